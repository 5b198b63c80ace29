//! When every target fails the client is told the last real error, in OpenAI's shape and never in
//! Envoy's words.

use crate::client::{Reply, chat};
use crate::world::{World, none, shared, shown, together};

/// Words by which Envoy's own texts are known.
const ENVOYS: &[&str] =
    &["upstream connect", "no healthy upstream", "upstream request timeout", "reset reason", "envoy", "fake-secret"];

async fn ask(world: &World, model: &str, stream: bool) -> Reply {
    let reply = world.ask(&chat(model, stream, "hello")).await;
    let text = String::from_utf8_lossy(&reply.body()).to_lowercase();
    assert!(!ENVOYS.iter().any(|words| text.contains(words)), "{model}: {}", shown(&reply));
    reply
}

/// model, status, code, attempts
const ALONE: &[(&str, u16, &str, u64)] = &[
    ("none:last-429", 429, "rate_limit_exceeded", 3),
    ("none:last-refused", 503, "upstream_unreachable", 3),
    ("none:last-reset", 503, "upstream_unreachable", 3),
    ("none:last-empty", 503, "", 3),
    ("none:last-silent", 504, "upstream_timeout", 3),
    ("openai/refused", 503, "upstream_unreachable", 1),
    ("anthropic/refused", 503, "upstream_unreachable", 1),
    ("openai/unresolved", 503, "upstream_unreachable", 1),
    ("openai/reset", 503, "upstream_unreachable", 1),
    ("anthropic/reset", 503, "upstream_unreachable", 1),
    ("openai/silent", 504, "upstream_timeout", 1),
    ("anthropic/headers_then_silence", 504, "upstream_timeout", 1),
    ("openai/status-503:empty_body", 503, "", 1),
    ("anthropic/status-503:empty_body", 503, "", 1),
    ("openai/status-500", 502, "", 2),
    ("openai/status-429", 429, "", 1),
    ("openai/status-401", 502, "upstream_auth_error", 1),
    ("openai/garbage", 502, "", 1),
    ("openai/html", 502, "", 1),
    ("openai/empty_body", 502, "", 1),
    ("anthropic/empty_body", 502, "", 1),
    ("openai/error-context_length_exceeded", 400, "context_length_exceeded", 1),
    ("anthropic/error-context_length_exceeded", 400, "context_length_exceeded", 1),
];

#[tokio::test]
async fn the_last_real_error_is_told_with_its_status_and_the_number_of_attempts() {
    let world = shared();
    let tasks = ALONE.iter().flat_map(|row| [(row, false), (row, true)]).map(|(row, stream)| {
        let world = world.clone();
        async move {
            let (model, status, code, attempts) = *row;
            let reply = ask(&world, model, stream).await;
            let error = reply.error();
            let right = reply.status == status
                && (code.is_empty() || error["code"] == code)
                && reply.attempts() == attempts
                && reply.header("x-dragoman-route") == model
                && reply.header("x-dragoman-version") == "lane"
                && !reply.header("x-dragoman-model").is_empty()
                && !reply.headers.contains_key("x-dragoman-retry");
            (!right).then(|| format!("{model} stream={stream}, expected {status} {code} {attempts}: {}", shown(&reply)))
        }
    });
    none(together(tasks).await.into_iter().flatten().collect());
}

#[tokio::test]
async fn how_long_to_wait_is_told_to_the_client() {
    let world = shared();
    let reply = ask(&world, "openai/retry_after-7:status-429", false).await;
    assert_eq!((reply.status, reply.header("retry-after"), reply.attempts()), (429, "7", 1), "{}", shown(&reply));
}

#[tokio::test]
async fn a_provider_s_words_about_our_account_stay_here() {
    let world = shared();
    let reply = ask(&world, "openai/status-401", false).await;
    assert!(!reply.error().to_string().contains("sk-"), "{}", shown(&reply));
}
