//! What a provider is sent is the allow-list and nothing else, whatever the client says and whoever was
//! asked before; what a client is sent is ours.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::{chat, post, send};
use crate::upstream::{Given, Upstream};
use crate::world::{PROVIDERS, Session, marker, none, other, own, route, shared, shown, together};

/// All that a client could try.
const CLIENTS: &[(&str, &str)] = &[
    ("authorization", "Bearer the-client-s-own-key"),
    ("x-api-key", "the-client-s-own-key"),
    ("api-key", "the-client-s-own-key"),
    ("x-goog-api-key", "the-client-s-own-key"),
    ("proxy-authorization", "Basic dGhlLWNsaWVudC1zLW93bi1rZXk="),
    ("cookie", "session=the-client-s-own-key"),
    ("openai-organization", "org-client"),
    ("openai-project", "project-client"),
    ("anthropic-version", "1999-01-01"),
    ("anthropic-beta", "everything"),
    ("x-amz-security-token", "the-client-s-own-key"),
    ("x-forwarded-for", "203.0.113.7"),
    ("x-forwarded-host", "client.example"),
    ("x-forwarded-proto", "https"),
    ("forwarded", "for=203.0.113.7"),
    ("via", "1.1 client"),
    ("x-request-id", "the-client-s-own-id"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("referer", "http://client.example/"),
    ("origin", "http://client.example"),
    ("user-agent", "client/1"),
    ("accept-encoding", "gzip, br"),
    ("x-stainless-lang", "python"),
    ("x-envoy-max-retries", "0"),
    ("x-envoy-attempt-count", "3"),
    ("x-envoy-upstream-rq-per-try-timeout-ms", "1"),
    ("x-envoy-upstream-rq-timeout-ms", "1"),
    ("x-envoy-retry-on", "5xx"),
    ("x-envoy-original-path", "/v1/other"),
    ("x-envoy-hedge-on-per-try-timeout", "true"),
    ("x-envoy-decorator-operation", "other"),
    ("x-envoy-expected-rq-timeout-ms", "1"),
    ("x-dragoman-cluster", "anthropic"),
    ("x-dragoman-retry", "1"),
    ("x-dragoman-plan", "{}"),
    ("x-dragoman-model", "anthropic"),
    ("host", "other.example"),
];

/// The names of the headers that a provider is sent.
fn allowed(provider: &str) -> BTreeSet<&'static str> {
    let own: &[&str] = if provider == "openai" { &["authorization"] } else { &["x-api-key", "anthropic-version"] };
    let all = ["host", "content-type", "content-length", "accept", "accept-encoding", "user-agent"];
    all.iter().chain(own).copied().collect()
}

/// What is wrong with a request that a fake has recorded.
fn problems(record: &Value, keys: [&str; 2]) -> Vec<String> {
    let provider = record["provider"].as_str().unwrap();
    let headers: Vec<_> = record["headers"].as_array().unwrap().iter().collect();
    let names: Vec<_> = headers.iter().map(|pair| pair[0].as_str().unwrap()).collect();
    let value = |name: &str| headers.iter().find(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap());
    let (path, key) = match provider {
        "openai" => ("/v1/chat/completions", format!("Bearer {}", keys[0])),
        _ => ("/v1/messages", keys[1].to_owned()),
    };
    let credential = if provider == "openai" { "authorization" } else { "x-api-key" };
    let text = record.to_string();
    let foreign = if provider == "openai" { keys[1] } else { keys[0] };
    let checks = [
        (names.iter().copied().collect::<BTreeSet<_>>() == allowed(provider), "the headers are not the allow-list"),
        (names.len() == allowed(provider).len(), "a header is there twice"),
        (record["path"] == path, "the path is not the provider's"),
        (
            value("content-length") == Some(record["body_bytes"].to_string().as_str()),
            "content-length is not the body's",
        ),
        (value(credential) == Some(key.as_str()), "the credential is not the provider's"),
        (!text.contains(foreign), "another provider's key"),
        (!text.contains("the-client-s-own"), "the client's key"),
        (value("user-agent").is_some_and(|agent| agent.starts_with("dragoman/")), "user-agent"),
        (value("host").is_some_and(|host| host.starts_with("127.0.0.1:")), "host"),
        (value("accept-encoding") == Some("identity"), "accept-encoding"),
    ];
    let wrong = checks.iter().filter(|(holds, _)| !holds);
    wrong.map(|(_, what)| format!("{what}: {record}")).collect()
}

/// Sends a request with everything that a client could try, and looks at all that the fakes received.
async fn attempts(world: Session, model: String, stream: bool, padding: usize) -> Vec<String> {
    let text = marker();
    let mut body = chat(&model, stream, &format!("{text} {}", "x".repeat(padding)));
    body["metadata"] = Value::Null;
    let reply = world.ask_with(CLIENTS, &body).await;
    let mut found = Vec::new();
    if reply.status != 200 || reply.well_formed().is_err() || !reply.text().contains(&text) {
        found.push(format!("{model} stream={stream} padding={padding}: {}", shown(&reply)));
    }
    let records = world.received(&text).await;
    if records.len() as u64 != reply.attempts() {
        found.push(format!("{model}: {} requests for {} attempts", records.len(), reply.attempts()));
    }
    let keys = [world.fakes.say("openai_key"), world.fakes.say("anthropic_key")];
    found.extend(records.iter().flat_map(|record| problems(record, keys)));
    found
}

#[tokio::test]
async fn every_attempt_begins_from_the_allow_list() {
    let world = shared();
    let mut tasks = Vec::new();
    for provider in PROVIDERS {
        let mut models = vec![provider.to_owned()];
        let faults = ["status=503", "status=500", "error_in_200", "html", "reset", "silent"];
        models.extend(faults.map(|fault| route(provider, fault)));
        for model in models {
            // Lengths of very different bodies in a row, over the same connections.
            for padding in [0, 5_000, 40, 50_000, 3] {
                tasks.push(attempts(world.clone(), model.clone(), padding % 2 == 0, padding));
            }
        }
    }
    none(together(tasks).await.concat());
}

#[tokio::test]
async fn nothing_that_a_client_sends_chooses_a_target_or_changes_the_plan() {
    let world = shared();
    for provider in PROVIDERS {
        let text = marker();
        let reply = world.ask_with(CLIENTS, &chat(&route(provider, "status=503"), false, &text)).await;
        let route = route(provider, "status=503");
        assert_eq!(reply.status, 200, "{}", shown(&reply));
        assert_eq!(
            (reply.header("x-dragoman-route"), reply.header("x-dragoman-model")),
            (route.as_str(), other(provider))
        );
        let asked = world.asked(&text).await;
        let mut moved = asked.clone();
        moved.dedup();
        assert_eq!(moved, [provider, other(provider)]);
        assert_eq!(reply.attempts(), asked.len() as u64);
        assert!(!reply.headers.contains_key("x-dragoman-retry") && !reply.headers.contains_key("x-dragoman-cluster"));
    }
    // Nobody needs a time-out that a client has set to 1 ms.
    let reply = world.ask_with(CLIENTS, &chat("openai/delay_ms-1600", false, "hello")).await;
    assert_eq!((reply.status, reply.attempts()), (200, 1), "{}", shown(&reply));
}

/// What a client may see, by name.
const FOR_CLIENTS: &[&str] = &[
    "content-type",
    "content-length",
    "transfer-encoding",
    "cache-control",
    "date",
    "retry-after",
    "openai-processing-ms",
    "openai-version",
    "x-accel-buffering",
    "x-request-id",
    "x-upstream-request-id",
    "x-dragoman-model",
    "x-dragoman-route",
    "x-dragoman-attempts",
    "x-dragoman-version",
    "x-dragoman-dropped",
];

#[tokio::test]
async fn a_client_is_sent_no_header_of_the_provider_s_account() {
    let world = shared();
    for model in ["openai", "anthropic", "openai/status-429", "anthropic/status-429"] {
        for stream in [false, true] {
            let reply = world.ask(&chat(model, stream, "hello")).await;
            let names = reply.headers.keys().map(|name| name.as_str());
            let others: Vec<_> =
                names.filter(|name| !FOR_CLIENTS.contains(name) && !name.starts_with("x-ratelimit-")).collect();
            assert!(others.is_empty(), "{others:?} {}", shown(&reply));
            assert!(!reply.header("x-upstream-request-id").is_empty(), "{}", shown(&reply));
            assert_ne!(reply.header("x-request-id"), "");
        }
    }
}

#[tokio::test]
async fn a_provider_cannot_forge_what_the_gateway_says() {
    let upstream = Upstream::start().await;
    let url = format!("http://{}/v1", upstream.address);
    let world = own(
        "forged",
        |mut document| {
            document.provider("forger", "openai", &url);
            document.model("forger", "forger", "", None);
            document.model("claude", "anthropic", "", None);
            document.route("smart", &["forger", "claude"], "first_token");
            document.finish(json!({}))
        },
        &[],
    );
    let body = r#"{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"forged"},"finish_reason":"stop"}]}"#;
    let head = |status: u16| {
        let forged = "x-dragoman-retry: 1\r\nx-dragoman-model: claude\r\nx-dragoman-attempts: 9\r\n\
                      x-dragoman-route: other\r\nx-dragoman-version: 9\r\nx-envoy-overloaded: true\r\n\
                      x-envoy-ratelimited: true\r\nx-envoy-upstream-service-time: 1\r\nserver: forger\r\n\
                      set-cookie: a=b\r\nopenai-organization: ours\r\nlocation: http://other.example/\r\n\
                      x-request-id: forged-id\r\n";
        format!(
            "HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\n{forged}content-length: {}\r\n\r\n",
            body.len()
        )
    };
    for (status, expected) in [(200, 200), (400, 400), (302, 502)] {
        upstream.give(Given { head: head(status).into_bytes(), pieces: vec![body.as_bytes().to_vec()] });
        let reply = world.ask(&chat("forger", false, "hello")).await;
        assert_eq!(reply.status, expected, "{}", shown(&reply));
        let said = ["x-dragoman-model", "x-dragoman-route", "x-dragoman-version"].map(|name| reply.header(name));
        assert_eq!(said, ["forger", "forger", "lane"], "{}", shown(&reply));
        let names = reply.headers.keys().map(|name| name.as_str());
        let others: Vec<_> = names.filter(|name| !FOR_CLIENTS.contains(name)).collect();
        assert!(others.is_empty(), "{others:?} {}", shown(&reply));
        assert_ne!(reply.header("x-request-id"), "forged-id");
        // A marker that is not the attempt stage's own asks for no retry.
        let tries = upstream.received().len() as u64;
        assert_eq!(reply.attempts(), tries);
        assert!(tries == 1 || status == 302, "{}", shown(&reply));
        let names = reply.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-dragoman-"));
        assert_eq!(names.count(), 4, "{}", shown(&reply));
    }
    // On the way to the next target its headers are gone, too.
    upstream.give(Given { head: head(503).into_bytes(), pieces: vec![body.as_bytes().to_vec()] });
    let reply = world.ask(&chat("smart", true, "hello")).await;
    assert_eq!((reply.status, reply.attempts(), reply.header("x-dragoman-model")), (200, 2, "claude"));
    assert!(!reply.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn a_client_s_key_opens_the_gateway_and_goes_no_further() {
    const KEY: &str = "the-client-s-own-key-0123456789";
    let world = own(
        "keys",
        |mut document| {
            document.model("gpt", "openai", "", None);
            document.model("claude", "anthropic", "", None);
            let mut document = document.finish(json!({}));
            document["clients"] = json!({"keys": {"file": "keys.yaml"}});
            document
        },
        &[("keys.yaml", "team: the-client-s-own-key-0123456789\n")],
    );
    let none: [&[(&str, &str)]; 4] =
        [&[], &[("authorization", "Bearer wrong")], &[("authorization", "Basic dGVhbTpr")], &[("x-api-key", KEY)]];
    for headers in none {
        let reply = world.ask_with(headers, &chat("gpt", false, "hello")).await;
        assert_eq!((reply.status, reply.error()["code"].as_str()), (401, Some("invalid_api_key")), "{}", shown(&reply));
    }
    let bearer = format!("Bearer {KEY}");
    for (model, stream) in [("gpt", false), ("claude", true)] {
        let text = marker();
        let reply = world.ask_with(&[("authorization", &bearer)], &chat(model, stream, &text)).await;
        assert_eq!(reply.status, 200, "{}", shown(&reply));
        let keys = [world.fakes.say("openai_key"), world.fakes.say("anthropic_key")];
        let records = world.received(&text).await;
        assert_eq!(records.len(), 1);
        assert_eq!(problems(&records[0], keys), Vec::<String>::new());
    }
    let list =
        send(world.envoy.address, crate::client::request("GET", "/v1/models", &[("authorization", &bearer)], ""));
    assert_eq!(list.await.status, 200);
    let reply = send(world.envoy.address, post(&[("content-type", "application/json")], "{}")).await;
    assert_eq!(reply.status, 401);
}
