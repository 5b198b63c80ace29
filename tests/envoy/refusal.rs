//! Whatever cannot be served is said in OpenAI's shape, by whomever it is said.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::client::{Body, Reply, chat, chunked, post, request, send};
use crate::world::{World, marker, own, shared, shown};

const JSON: (&str, &str) = ("content-type", "application/json");

async fn asked(world: &World, request: hyper::Request<Body>) -> Reply {
    send(world.envoy.address, request).await
}

/// Sends these bytes and reads up to the end of the answer.
async fn raw(world: &World, bytes: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(world.envoy.address).await.unwrap();
    // It may answer and close before it has read all.
    let _ = stream.write_all(bytes).await;
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        read.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&read);
        let length = text.to_lowercase().split_once("content-length: ").map(|(_, rest)| rest.to_owned());
        let length = length.and_then(|rest| rest.lines().next().and_then(|line| line.parse::<usize>().ok()));
        if let (Some(length), Some(end)) = (length, text.find("\r\n\r\n"))
            && read.len() >= end + 4 + length
        {
            break;
        }
    }
    let text = String::from_utf8_lossy(&read).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// The beginning of a request, whose body has so many bytes.
fn head(length: usize) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

fn is_error(body: &str) -> bool {
    let error = serde_json::from_str::<serde_json::Value>(body).unwrap_or_default()["error"].clone();
    error["message"].is_string() && error["type"].is_string() && error.get("param").is_some()
}

#[tokio::test]
async fn a_body_that_is_no_request_is_a_400() {
    let world = shared();
    for body in ["", "{", "null", "[]", "\"model\"", "{}", r#"{"model":1}"#, r#"{"model":"openai"}"#, "\u{0}"] {
        let reply = asked(&world, post(&[JSON], body)).await;
        assert_eq!(reply.status, 400, "{body:?}: {}", shown(&reply));
        assert_eq!(reply.error()["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn an_unknown_model_is_a_404_that_names_it() {
    let world = shared();
    let reply = world.ask(&chat("no/such-model", true, "hello")).await;
    let error = reply.error();
    assert_eq!(
        (reply.status, error["code"].as_str(), error["param"].as_str()),
        (404, Some("model_not_found"), Some("model"))
    );
    assert!(error["message"].as_str().unwrap().contains("no/such-model"));
}

#[tokio::test]
async fn an_unknown_path_is_a_404_and_a_wrong_method_a_405_that_says_which_is_right() {
    let world = shared();
    for (method, path, status, allow) in [
        ("GET", "/", 404, ""),
        ("POST", "/v1/completions", 404, ""),
        ("POST", "/v1/chat/completions/", 404, ""),
        ("GET", "/v1/chat/completions", 405, "POST"),
        ("DELETE", "/v1/chat/completions", 405, "POST"),
        ("POST", "/v1/models", 405, "GET"),
        ("PUT", "/v1/models/openai", 405, "GET"),
    ] {
        let reply = asked(&world, request(method, path, &[JSON], "{}")).await;
        assert_eq!((reply.status, reply.header("allow")), (status, allow), "{method} {path}: {}", shown(&reply));
        reply.error();
    }
}

#[tokio::test]
async fn models_are_listed_and_found_by_name() {
    let world = shared();
    let list = asked(&world, request("GET", "/v1/models", &[], "")).await.json();
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(list["object"], "list");
    assert!(ids.contains(&"openai") && ids.contains(&"from:openai/status-503"), "{ids:?}");
    for path in
        ["/v1/models/org/openai:8b@lane", "/v1/models/org%2Fopenai:8b@lane", "/v1/models/org%2fopenai%3A8b%40lane"]
    {
        let reply = asked(&world, request("GET", path, &[], "")).await;
        assert_eq!((reply.status, &reply.json()["id"]), (200, &json!("org/openai:8b@lane")), "{path}");
    }
    let reply = world.ask(&chat("org/openai:8b@lane", false, "hello")).await;
    assert_eq!((reply.status, reply.header("x-dragoman-model")), (200, "org/openai:8b@lane"));
    let reply = asked(&world, request("GET", "/v1/models/none", &[], "")).await;
    assert_eq!((reply.status, reply.error()["code"].as_str()), (404, Some("model_not_found")));
}

#[tokio::test]
async fn a_body_above_the_limit_is_a_413_however_it_comes() {
    let world = own(
        "small",
        |mut document| {
            document.model("gpt", "openai", "", None);
            document.finish(json!({"body": "64KiB"}))
        },
        &[],
    );
    let body = |size: usize| chat("gpt", false, &"x".repeat(size)).to_string();
    let within = asked(&world, post(&[JSON], body(60 << 10))).await;
    assert_eq!(within.status, 200, "{}", shown(&within));
    for size in [70 << 10, 3 << 20] {
        let reply = asked(&world, post(&[JSON], body(size))).await;
        assert_eq!(
            (reply.status, reply.error()["code"].as_str()),
            (413, Some("request_too_large")),
            "{}",
            shown(&reply)
        );
    }
    for size in [70 << 10, 300 << 10] {
        let pieces = body(size).into_bytes().chunks(10_000).map(|piece| piece.to_vec().into()).collect();
        let request = post(&[JSON], "").map(|_| chunked(pieces));
        let reply = asked(&world, request).await;
        assert_eq!(
            (reply.status, reply.error()["code"].as_str()),
            (413, Some("request_too_large")),
            "{}",
            shown(&reply)
        );
    }
    // The default: 32 MiB, told by the length alone.
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 33554433\r\n\r\n";
    let (status, body) = raw(&shared(), head.as_bytes()).await;
    assert!(status == 413 && is_error(&body), "{status} {body}");
}

#[tokio::test]
async fn what_envoy_itself_refuses_has_the_same_shape() {
    let world = shared();
    let long = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(100 << 10));
    let many = format!(
        "GET /v1/models HTTP/1.1\r\nhost: x\r\n{}\r\n",
        (0..200).map(|n| format!("x-{n}: 1\r\n")).collect::<String>()
    );
    let cases: [(&str, &str, &[u16]); 6] = [
        ("long headers", &long, &[431]),
        ("many headers", &many, &[431]),
        (
            "websocket",
            "GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
            &[403],
        ),
        ("no host", "GET /v1/models HTTP/1.1\r\n\r\n", &[400]),
        ("HTTP/1.0", "GET /v1/models HTTP/1.0\r\nhost: x\r\n\r\n", &[426]),
        ("bad header", "GET /v1/models HTTP/1.1\r\nhost: x\r\nno header: x\r\n\r\n", &[400]),
    ];
    for (what, bytes, expected) in cases {
        let (status, body) = raw(&world, bytes.as_bytes()).await;
        assert!(expected.contains(&status), "{what}: {status} {body}");
        assert!(is_error(&body), "{what}: {status} {body}");
    }
}

#[tokio::test]
async fn what_is_not_http_gets_no_answer_of_a_provider() {
    let world = shared();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n\r\n",
    ] {
        let (status, body) = raw(&world, bytes).await;
        assert!(matches!(status, 0 | 400..=499), "{status} {body}");
    }
}

#[tokio::test]
async fn a_compressed_body_is_refused() {
    let reply = asked(&shared(), post(&[JSON, ("content-encoding", "gzip")], "x")).await;
    assert_eq!((reply.status, reply.error()["code"].as_str()), (415, Some("unsupported_encoding")));
}

#[tokio::test]
async fn a_parameter_that_cannot_be_kept_is_named_or_with_strict_refused() {
    let world = shared();
    let text = marker();
    let mut body = chat("anthropic", false, &text);
    body["seed"] = json!(7);
    let reply = world.ask(&body).await;
    assert_eq!((reply.status, reply.header("x-dragoman-dropped")), (200, "seed"), "{}", shown(&reply));
    assert!(!world.received(&text).await[0]["body"].as_str().unwrap().contains("seed"));

    let text = marker();
    let mut body = chat("anthropic", false, &text);
    body["seed"] = json!(7);
    let reply = world.ask_with(&[("x-dragoman-strict", "true")], &body).await;
    assert_eq!((reply.status, reply.error()["param"].as_str()), (400, Some("seed")), "{}", shown(&reply));
    assert!(world.received(&text).await.is_empty());

    // Where one of the targets can keep it, that one answers.
    body["model"] = json!("both:anthropic");
    let reply = world.ask_with(&[("x-dragoman-strict", "true")], &body).await;
    assert_eq!((reply.status, reply.header("x-dragoman-model")), (200, "openai"), "{}", shown(&reply));

    for (name, value) in [("x-dragoman-strict", "yes"), ("x-dragoman-commit", "never")] {
        let reply = world.ask_with(&[(name, value)], &body).await;
        assert_eq!((reply.status, reply.error()["param"].as_str()), (400, Some(name)), "{}", shown(&reply));
    }
}

#[tokio::test]
async fn a_client_that_never_ends_its_headers_is_told_that_it_took_too_long() {
    let (status, body) = raw(&shared(), b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n").await;
    assert!(status == 408 && is_error(&body), "{status} {body}");
}

#[tokio::test]
async fn a_request_that_stands_still_is_a_408_and_a_slow_one_is_served() {
    let world = own(
        "upload",
        |mut document| {
            document.model("gpt", "openai", "", None);
            document.finish(json!({"idle": "2s"}))
        },
        &[],
    );
    for body in ["", "{\"model\":"] {
        let began = Instant::now();
        let (status, said) = raw(&world, format!("{}{body}", head(100)).as_bytes()).await;
        assert!(status == 408 && is_error(&said) && said.contains("request_timeout"), "{status} {said}");
        let took = began.elapsed();
        // To within one tick, which is an eighth of it.
        assert!(took >= Duration::from_millis(1_750) && took < Duration::from_secs(5), "{took:?}");
    }
    // Twice as long, but it moves.
    let body = chat("gpt", false, "hello").to_string();
    let mut stream = TcpStream::connect(world.envoy.address).await.unwrap();
    stream.write_all(head(body.len()).as_bytes()).await.unwrap();
    for piece in body.as_bytes().chunks(body.len().div_ceil(5)) {
        tokio::time::sleep(Duration::from_millis(800)).await;
        stream.write_all(piece).await.unwrap();
    }
    let mut buffer = [0; 12];
    stream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 200");
}
