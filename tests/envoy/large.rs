//! Requests of the largest size that is taken.

use serde_json::{Value, json};

use crate::client::post;
use crate::world::{PROVIDERS, marker, route, shared, shown};

/// A request with images of about this many bytes altogether.
fn with_images(model: &str, text: &str, size: usize) -> Value {
    const IMAGES: usize = 4;
    let data = "QUJD".repeat(size / IMAGES / 4);
    let url = format!("data:image/png;base64,{data}");
    let mut content = vec![json!({"type": "text", "text": text})];
    content.extend((0..IMAGES).map(|_| json!({"type": "image_url", "image_url": {"url": url}})));
    json!({"model": model, "messages": [{"role": "user", "content": content}]})
}

#[tokio::test]
async fn twenty_mebibytes_of_images_are_translated_and_fail_over() {
    let world = shared();
    for (model, attempts) in
        [("anthropic".to_owned(), 1), (route("openai", "status=503"), 2), (route("anthropic", "status=529"), 2)]
    {
        let text = marker();
        let reply = world.ask(&with_images(&model, &text, 20 << 20)).await;
        assert_eq!((reply.status, reply.attempts()), (200, attempts), "{model}: {}", shown(&reply));
        assert!(reply.text().contains(&text), "{}", shown(&reply));
        let records = world.received(&text).await;
        assert_eq!(records.len() as u64, attempts);
        for record in records {
            assert!(record["body_bytes"].as_u64().unwrap() > 20_900_000, "{}", record["body_bytes"]);
        }
    }
}

#[tokio::test]
async fn a_request_at_the_limit_is_served_and_one_byte_more_is_not() {
    const LIMIT: usize = 32 << 20;
    let world = shared();
    for provider in PROVIDERS {
        for (extra, status) in [(0, 200), (1, 413)] {
            let mut body = with_images(provider, "hello", 30 << 20).to_string();
            body.push_str(&" ".repeat(LIMIT + extra - body.len()));
            let request = post(&[("content-type", "application/json")], body);
            let reply = crate::client::send(world.envoy.address, request).await;
            assert_eq!(reply.status, status, "{provider}: {}", shown(&reply));
            reply.well_formed().unwrap();
        }
    }
}

#[tokio::test]
async fn a_request_that_grows_too_much_in_another_format_goes_where_it_does_not() {
    let world = shared();
    let pair = r#"{"role":"user","content":"a"},{"role":"assistant","content":"b"},"#;
    let messages = pair.repeat((31 << 20) / pair.len());
    for (model, status) in [("anthropic", 413), ("both:anthropic", 200)] {
        let body = format!(r#"{{"model":"{model}","messages":[{messages}{{"role":"user","content":"c"}}]}}"#);
        let request = post(&[("content-type", "application/json")], body);
        let reply = crate::client::send(world.envoy.address, request).await;
        assert_eq!(reply.status, status, "{model}: {}", shown(&reply));
        match status {
            200 => assert_eq!((reply.attempts(), reply.header("x-dragoman-model")), (1, "openai")),
            _ => assert_eq!(reply.error()["code"], "request_too_large"),
        }
    }
}
