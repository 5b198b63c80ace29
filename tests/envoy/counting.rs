//! What the gateway counts is what has happened: the sums of its metrics are those of the fakes and of the
//! clients, exactly, on eight workers and whatever became of the requests.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{self, Connection, Reply, chat, post, request};
use crate::process::{Fakes, Setup};
use crate::record;
use crate::support::metrics::Metrics;
use crate::world::{Document, Session, World, marker, own, shared, shown, start, together};

pub async fn metrics(world: &World) -> Metrics {
    let reply = client::send(world.envoy.admin, request("GET", "/stats/prometheus", &[], "")).await;
    Metrics::parse(&String::from_utf8(reply.body()).unwrap())
}

/// Waits until as many requests have been counted: clients see the end of an answer before it is.
pub async fn after(world: &World, requests: u64) -> Metrics {
    let began = Instant::now();
    loop {
        let metrics = metrics(world).await;
        let counted = metrics.sum("dragoman_requests_total", &[]);
        if counted >= requests || began.elapsed() > Duration::from_secs(10) {
            assert_eq!(counted, requests, "requests are counted once: {metrics:#?}");
            return metrics;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

const GPT: &str = "org.x/gpt-6.1:8b@lane";

fn document(mut document: Document<'_>) -> Value {
    let price =
        |input: f64, output: f64| json!({"price": {"input": input, "cached_input": input / 10.0, "output": output}});
    document.model(GPT, "openai", "", None);
    document.facts(GPT, &price(2.0, 10.0));
    document.model("claude", "anthropic", "", None);
    document.facts("claude", &price(5.0, 25.0));
    for (name, fault) in [
        ("down", "status=503"),
        ("cut", "cut_after=3"),
        ("no", "error=context_length_exceeded"),
        ("slow", "pace_ms=60"),
    ] {
        document.model(name, "openai", fault, None);
    }
    document.model(
        "quiet",
        "anthropic",
        "headers_then_silence",
        Some(&json!({"first_token": "300ms", "answer": "300ms"})),
    );
    let arm = |version: &str, model: &str| json!({"version": version, "weight": 1, "targets": [model]});
    document.routing("trial", &json!({"variants": [arm("arm a", GPT), arm("arm b", "claude")]}));
    document.route("moves", &["down", "claude"], "first_token");
    document.route("waits", &["quiet", GPT], "first_token");
    document.route("none", &["down", "no"], "first_token");
    document.finish(json!({"first_token": "5s", "answer": "10s"}))
}

pub async fn counts(world: &World) -> Value {
    client::send(world.fakes.control(), request("GET", "/counts", &[], "")).await.json()
}

pub fn of_fakes(counts: &Value, what: &str) -> u64 {
    counts.as_object().unwrap().values().map(|provider| provider[what].as_u64().unwrap()).sum()
}

/// One request of each kind; what comes back of those that are read to their end.
async fn mix(world: &Session, round: usize) -> Vec<Reply> {
    let mut replies = Vec::new();
    for (model, stream) in [
        (GPT, true),
        ("claude", false),
        ("trial", true),
        ("trial", false),
        ("moves", true),
        ("moves", false),
        ("waits", true),
        ("none", false),
        ("cut", true),
    ] {
        let mut body = chat(model, stream, &format!("count {}", 3 + round));
        body["user"] = json!(format!("user-{round}"));
        if stream {
            body["stream_options"] = json!({"include_usage": true});
        }
        replies.push(world.ask(&body).await);
    }
    // Of these only the status is told.
    for body in [chat("nobody", true, ""), json!({"model": GPT})] {
        world.ask(&body).await;
    }
    client::send(world.envoy.address, request("GET", "/v1/nothing", &[], "")).await;
    client::send(world.envoy.address, request("GET", "/v1/models", &[], "")).await;
    let mut connection = Connection::open(world.envoy.address).await;
    let slow = chat("slow", true, "count 500").to_string();
    let begun = connection.begin(post(&[("content-type", "application/json")], slow)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    drop((begun, connection));
    replies
}

#[tokio::test]
async fn the_sums_of_all_metrics_are_what_fakes_and_clients_saw() {
    const ROUNDS: usize = 24;
    let fakes = Fakes::start();
    let document = document(Document::new(&fakes));
    let world = start(&Setup { workers: 8, ..Setup::new("counting", document) }, fakes);
    let rounds = (0..ROUNDS).map(|round| {
        let world = world.clone();
        async move { mix(&world, round).await }
    });
    let replies: Vec<Reply> = together(rounds).await.into_iter().flatten().collect();
    let rounds = ROUNDS as u64;
    let metrics = after(&world, replies.len() as u64 + rounds).await;
    let requests = |outcome: &str| metrics.sum("dragoman_requests_total", &[("outcome", outcome)]);

    let answered: Vec<&Reply> =
        replies.iter().filter(|reply| reply.status == 200 && reply.well_formed().is_ok()).collect();
    let failed = replies.iter().filter(|reply| reply.status != 200).count() as u64;
    assert_eq!(
        [requests("answered"), requests("failed"), requests("broken"), requests("aborted")],
        [answered.len() as u64, failed, rounds, rounds],
        "{metrics:#?}"
    );
    let refused = |status: &str| metrics.sum("dragoman_refused_total", &[("status", status)]);
    assert_eq!((refused("404"), refused("400")), (2 * rounds, rounds), "{metrics:#?}");
    assert_eq!(metrics.sum("dragoman_refused_total", &[]), 3 * rounds);

    // Every attempt is one request to a fake; clients were told of all but those of whom the client left.
    let counts = counts(&world).await;
    let told: u64 = replies.iter().map(Reply::attempts).sum();
    assert_eq!(metrics.sum("dragoman_attempts_total", &[]), of_fakes(&counts, "requests"), "{counts}");
    assert_eq!(metrics.sum("dragoman_attempts_total", &[]), told + rounds);
    for (class, sum) in [("answered", answered.len() as u64), ("broken", rounds), ("aborted", rounds)] {
        assert_eq!(metrics.sum("dragoman_attempts_total", &[("class", class)]), sum, "{class}");
    }

    // Tokens and costs, as the providers counted.
    let tokens = |kind: &str| metrics.sum("dragoman_tokens_total", &[("type", kind), ("counted", "reported")]);
    let usage = |name: &str| answered.iter().map(|reply| reply.usage()[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((tokens("input"), tokens("output")), (usage("prompt_tokens"), usage("completion_tokens")));
    let served = (of_fakes(&counts, "input_tokens"), of_fakes(&counts, "output_tokens"));
    assert_eq!((tokens("input"), tokens("output")), served, "{counts}");
    assert_eq!(of_fakes(&counts, "answered"), answered.len() as u64);
    let cost = answered.iter().map(|reply| {
        let usage = |name: &str| reply.usage()[name].as_u64().unwrap();
        let (input, output) = if reply.header("x-dragoman-model") == GPT { (2, 10) } else { (5, 25) };
        usage("prompt_tokens") * input + usage("completion_tokens") * output
    });
    assert_eq!(metrics.sum("dragoman_cost_microdollars_total", &[("counted", "reported")]), cost.sum::<u64>());
    assert_eq!(metrics.sum("dragoman_answers_total", &[("finish", "stop")]), answered.len() as u64);
    assert!(metrics.sum("dragoman_estimated_input_tokens_total", &[]) > 0);

    // What clients ask for makes no series, only what there is.
    let known = [GPT, "claude", "down", "cut", "no", "slow", "quiet", "trial", "moves", "waits", "none"];
    let named = metrics.0.iter().flat_map(|series| ["route", "model"].map(|label| series.labels.get(label)));
    let unknown: Vec<_> = named.flatten().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");

    // What clients left behind is estimated, and marked.
    let estimated = |model: &str| {
        metrics.sum("dragoman_tokens_total", &[("type", "output"), ("counted", "estimated"), ("model", model)])
    };
    assert!(estimated("slow") > 0 && estimated("cut") > 0 && estimated(GPT) == 0, "{metrics:#?}");

    // Who has answered, by every label, names with dots, slashes and colons as they are.
    for (version, escaped, model, provider) in
        [("arm a", "arm%20a", GPT, "openai"), ("arm b", "arm%20b", "claude", "anthropic")]
    {
        let arm = answered.iter().filter(|reply| reply.header("x-dragoman-version") == version).count() as u64;
        let labels = [
            ("route", "trial"),
            ("version", escaped),
            ("model", model),
            ("provider", provider),
            ("outcome", "answered"),
        ];
        assert!(arm > 0, "both arms have requests");
        assert_eq!(metrics.sum("dragoman_requests_total", &labels), arm, "{metrics:#?}");
    }
}

#[tokio::test]
async fn clients_of_http2_that_reset_a_stream_have_left_it() {
    let world = own("left", document, &[]);
    let slow = post(&[("content-type", "application/json")], chat("slow", true, "count 500").to_string());
    client::leave_http2(world.envoy.address, slow, Duration::from_millis(200)).await;
    let metrics = after(&world, 1).await;
    for name in ["dragoman_requests_total", "dragoman_attempts_total"] {
        let (all, label) = (metrics.sum(name, &[]), if name.contains("requests") { "outcome" } else { "class" });
        assert_eq!((all, metrics.sum(name, &[(label, "aborted")])), (1, 1), "{metrics:#?}");
    }
}

#[tokio::test]
async fn histograms_and_gauges_are_there_with_their_buckets() {
    let world = own("gauges", document, &[]);
    for _ in 0..6 {
        assert_eq!(world.ask(&chat("down", true, &marker())).await.status, 503);
        world.ask(&chat(GPT, true, "count 20")).await;
    }
    let began = Instant::now();
    loop {
        // Envoy merges the histograms of its workers every five seconds.
        let metrics = metrics(&world).await;
        let named = |name: &str| metrics.sum(name, &[("model", GPT)]);
        let first_tokens = named("gen_ai_server_time_to_first_token_milliseconds_count");
        let usage =
            metrics.sum("gen_ai_client_token_usage_bucket", &[("model", GPT), ("type", "output"), ("le", "64")]);
        let breaker = metrics.sum("dragoman_breaker_state", &[("model", "down"), ("provider", "openai")]);
        let learnt = named("dragoman_learnt_input_factor_percent");
        if first_tokens == 6 && usage == 6 && breaker > 0 && learnt > 0 {
            break;
        }
        let told = (first_tokens, usage, breaker, learnt);
        assert!(began.elapsed() < Duration::from_secs(20), "{told:?} {metrics:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn pages_tell_how_the_gateway_is_without_a_key_where_there_are_keys() {
    let keys = [("keys.yaml", "app: secret-key-of-the-app\n")];
    let with_keys = |mut document: Document<'_>| {
        document.model("first", "openai", "", None);
        document.model("second", "anthropic", "", None);
        document.route("one", &["first"], "first_token");
        document.route("both", &["first", "second"], "first_token");
        let mut document = document.finish(json!({"first_token": "5s", "answer": "10s"}));
        document["clients"] = json!({"keys": {"file": "keys.yaml"}});
        document
    };
    let world = own("pages", with_keys, &keys);
    let key = [("authorization", "Bearer secret-key-of-the-app")];
    let page = async |path: &str, headers: &[(&str, &str)]| {
        client::send(world.envoy.address, request("GET", path, headers, "")).await
    };
    for (path, status) in [("/healthz", 200), ("/readyz?verbose", 200), ("/status", 401), ("/v1/models", 401)] {
        assert_eq!(page(path, &[]).await.status, status, "{path}");
    }
    // What never comes to the module has a line of the access log as well.
    let line = record::line(&world, &record::id(&page("/status", &[]).await)).await;
    assert_eq!((&line["outcome"], &line["status"]), (&json!("refused"), &json!(401)), "{line:#}");
    assert_eq!(page("/readyz", &[]).await.json()["status"], "ready");
    // What has no key may be asked for without one, and nothing else by the same way.
    assert_eq!(client::send(world.envoy.address, request("POST", "/healthz", &[], "{}")).await.status, 405);

    world.control("PUT", "/faults/openai", "status=503").await;
    for _ in 0..5 {
        world.ask_with(&key, &chat("one", false, &marker())).await;
    }
    // What a worker has read of the others is believed for a moment.
    let moment = Duration::from_millis(100);
    tokio::time::sleep(moment).await;
    let ready = page("/readyz", &[]).await;
    assert_eq!((ready.status, ready.json()["status"].clone()), (200, json!("degraded")), "{}", shown(&ready));
    assert_eq!(ready.json()["without_healthy_target"], json!(["one"]));
    let status = page("/status", &key).await.json();
    assert_eq!(status["version"], "lane");
    assert_eq!(
        (&status["degraded"], &status["routes"]["both"]["healthy_targets"]),
        (&json!(true), &json!(1)),
        "{status:#}"
    );
    assert_eq!(
        (&status["models"]["first"]["state"], &status["models"]["second"]["state"]),
        (&json!("open"), &json!("well"))
    );

    world.control("PUT", "/faults/anthropic", "status=503").await;
    for _ in 0..6 {
        world.ask_with(&key, &chat("second", false, &marker())).await;
    }
    tokio::time::sleep(moment).await;
    let ready = page("/readyz", &[]).await;
    assert_eq!((ready.status, ready.json()["status"].clone()), (503, json!("unavailable")), "{}", shown(&ready));
    assert_eq!(page("/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn quality_is_judged_as_the_answer_passes() {
    let world = shared();
    let earlier = metrics(&world).await;
    let tool = json!({"type": "function", "function": {"name": "look", "parameters":
        {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}}});
    for stream in [false, true] {
        for model in ["openai", "anthropic"] {
            let mut tools = chat(model, stream, "use the tool");
            tools["tools"] = json!([tool]);
            assert_eq!(world.ask(&tools).await.status, 200);
            assert_eq!(world.ask(&chat(model, stream, "refuse")).await.status, 200);
        }
        let mut object = chat("openai", stream, "say it in JSON");
        object["response_format"] = json!({"type": "json_object"});
        assert_eq!(world.ask(&object).await.status, 200);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let later = metrics(&world).await;
    let more = |fact: &str, model: &str| {
        let labels = [("fact", fact), ("model", model)];
        later.sum("dragoman_quality_total", &labels) - earlier.sum("dragoman_quality_total", &labels)
    };
    for model in ["openai", "anthropic"] {
        assert!(more("good_call", model) >= 2 && more("refused", model) >= 2, "{model} {later:#?}");
    }
    assert!(more("valid_json", "openai") >= 2, "{later:#?}");
}
