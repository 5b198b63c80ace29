//! Every request leaves one line in the access log, whatever became of it: who was asked, how it ended,
//! and the tokens it took.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{self, Connection, Reply, chat, post, request};
use crate::world::{PROVIDERS, Session, marker, model, route, shared};

/// The only line of a request; Envoy writes it a little later.
pub async fn line(world: &Session, request_id: &str) -> Value {
    for _ in 0..60 {
        let mut lines = world.envoy.access_log(request_id);
        assert!(lines.len() <= 1, "{lines:#?}");
        if let Some(line) = lines.pop() {
            return line;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no line for {request_id}");
}

pub fn id(reply: &Reply) -> String {
    reply.header("x-request-id").to_owned()
}

#[tokio::test]
async fn an_answer_is_told_with_what_its_provider_counted() {
    let world = shared();
    for provider in PROVIDERS {
        for stream in [false, true] {
            let mut body = chat(provider, stream, &marker());
            body["stream_options"] = if stream { json!({"include_usage": true}) } else { Value::Null };
            let reply = world.ask(&body).await;
            let line = line(&world, &id(&reply)).await;
            let told = |name: &str| line[name].clone();
            assert_eq!(
                [told("outcome"), told("status"), told("model"), told("gen_ai.provider.name"), told("estimated")],
                [json!("answered"), json!(200), json!(provider), json!(provider), json!(false)],
                "{line:#}"
            );
            assert_eq!(told("attempts"), json!([{"model": provider, "class": "answered"}]));
            assert_eq!(told("gen_ai.response.finish_reasons"), json!(["stop"]));
            let usage = reply.usage();
            assert_eq!(
                [&usage["prompt_tokens"], &usage["completion_tokens"]],
                [&line["gen_ai.usage.input_tokens"], &line["gen_ai.usage.output_tokens"]],
                "{line:#}"
            );
            assert_eq!(told("conversation").as_str().map(str::len), Some(16), "{line:#}");
            assert!(told("first_token_ms").as_u64() <= told("duration_ms").as_u64());
            assert!(!line.to_string().contains("question-"), "a prompt is nobody's: {line}");
        }
    }
}

#[tokio::test]
async fn the_tokens_of_a_client_that_leaves_are_estimated_and_marked() {
    let world = shared();
    for provider in PROVIDERS {
        let body = chat(&model(provider, "pace_ms=60"), true, "count 200").to_string();
        let mut connection = Connection::open(world.envoy.address).await;
        let response = connection.begin(post(&[("content-type", "application/json")], body)).await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        tokio::time::sleep(Duration::from_millis(600)).await;
        drop((response, connection));
        let line = line(&world, &id).await;
        assert_eq!((&line["outcome"], &line["estimated"]), (&json!("aborted"), &json!(true)), "{line:#}");
        // About ten of two hundred words, on a machine that may be busy.
        let output = line["gen_ai.usage.output_tokens"].as_u64().unwrap();
        assert!((2..60).contains(&output), "{line:#}");
        assert!(line["gen_ai.usage.input_tokens"].as_u64().unwrap() > 0, "{line:#}");
        assert_eq!(line["gen_ai.response.finish_reasons"], Value::Null);
    }
}

#[tokio::test]
async fn failures_before_and_after_the_commit_are_told_by_their_class() {
    let world = shared();
    let reply = world.ask(&chat(&route("openai", "status=503"), false, &marker())).await;
    let moved = line(&world, &id(&reply)).await;
    let expected = json!([
        {"model": model("openai", "status=503"), "class": "unreachable", "status": 503},
        {"model": "anthropic", "class": "answered"},
    ]);
    assert_eq!((&moved["outcome"], &moved["attempts"]), (&json!("answered"), &expected), "{moved:#}");

    let reply = world.ask(&chat("none:last-429", false, &marker())).await;
    let failed = line(&world, &id(&reply)).await;
    assert_eq!((&failed["outcome"], &failed["status"]), (&json!("failed"), &json!(429)), "{failed:#}");
    assert_eq!(failed["attempts"].as_array().unwrap().len(), 3, "{failed:#}");
    assert_eq!(failed["gen_ai.usage.output_tokens"], Value::Null, "nobody answered, nobody is paid: {failed:#}");

    for fault in ["cut_after=3", "error_after=3"] {
        let reply = world.ask(&chat(&model("openai", fault), true, &marker())).await;
        let broken = line(&world, &id(&reply)).await;
        assert_eq!((&broken["outcome"], &broken["estimated"]), (&json!("broken"), &json!(true)), "{fault} {broken:#}");
    }
}

#[tokio::test]
async fn what_is_refused_before_it_is_planned_has_a_line_too() {
    let world = shared();
    let reply = client::send(world.envoy.address, request("GET", "/v1/nothing", &[], "")).await;
    let line = line(&world, &id(&reply)).await;
    assert_eq!((&line["outcome"], &line["status"]), (&json!("refused"), &json!(404)), "{line:#}");
    let models = client::send(world.envoy.address, request("GET", "/v1/models", &[], "")).await;
    let line = self::line(&world, &id(&models)).await;
    assert_eq!((&line["outcome"], &line["method"]), (&json!("served"), &json!("GET")), "{line:#}");
}
