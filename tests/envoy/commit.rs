//! What a client sees of an answer that breaks: nothing of it with `commit: complete`, and never a clean
//! end of a part.

use std::time::Duration;

use crate::client::chat;
use serde_json::json;

use crate::world::{PROVIDERS, World, marker, model, other, own, route, shared, shown, together};

#[tokio::test]
async fn with_commit_complete_a_broken_stream_is_answered_whole_by_the_next_target() {
    let world = shared();
    for provider in PROVIDERS {
        for fault in ["cut_after=3", "error_after=3"] {
            let (reply, text) = world.answered(&format!("whole:{}", model(provider, fault)), true).await.unwrap();
            assert!(reply.is_done() && reply.attempts() == 2, "{}", shown(&reply));
            assert_eq!(reply.header("x-dragoman-model"), other(provider));
            assert_eq!(world.asked(&text).await, [provider, other(provider)]);
        }
    }
}

#[tokio::test]
async fn a_client_can_ask_for_commit_complete_itself() {
    let world = shared();
    for provider in PROVIDERS {
        let text = marker();
        let headers = [("x-dragoman-commit", "complete")];
        let reply = world.ask_with(&headers, &chat(&route(provider, "cut_after=3"), true, &text)).await;
        reply.well_formed().unwrap();
        assert!(reply.is_done() && reply.attempts() == 2 && reply.text().contains(&text), "{}", shown(&reply));
    }
}

/// Asks for a stream that fails after three tokens, which the client has.
async fn part(world: &World, provider: &str, fault: &str) -> crate::client::Reply {
    let reply = world.ask(&chat(&route(provider, fault), true, "count 50")).await;
    assert_eq!((reply.status, reply.attempts()), (200, 1), "{}", shown(&reply));
    assert_eq!(reply.text(), "1 2 3", "{}", shown(&reply));
    assert!(!reply.is_done(), "{}", shown(&reply));
    reply
}

#[tokio::test]
async fn after_the_first_token_a_cut_is_a_broken_transfer() {
    let world = shared();
    for provider in PROVIDERS {
        let reply = part(&world, provider, "cut_after=3").await;
        assert!(reply.broken.is_some(), "{}", shown(&reply));
    }
}

#[tokio::test]
async fn after_the_first_token_an_error_is_the_last_event() {
    let world = shared();
    for provider in PROVIDERS {
        let reply = part(&world, provider, "error_after=3").await;
        reply.well_formed().unwrap();
        assert!(reply.events().last().unwrap()["error"]["message"].is_string(), "{}", shown(&reply));
    }
}

#[tokio::test]
async fn after_the_first_token_a_stream_that_stands_still_is_broken_off() {
    let world = own(
        "stall",
        |mut document| {
            document.model("gpt", "openai", "stall_after=3", Some(&json!({"first_token": "300ms"})));
            document.model("claude", "anthropic", "stall_after=3", Some(&json!({"first_token": "300ms"})));
            document.finish(json!({"first_token": "300ms", "idle": "6s", "attempts": 1}))
        },
        &[],
    );
    for reply in together(["gpt", "claude"].map(|model| {
        let world = world.clone();
        async move { world.ask(&chat(model, true, "count 50")).await }
    }))
    .await
    {
        assert_eq!(reply.text(), "1 2 3");
        assert!(!reply.is_done() && reply.broken.is_some(), "{}", shown(&reply));
        assert!(reply.took >= Duration::from_secs(6) && reply.took < Duration::from_secs(9), "{}", shown(&reply));
    }
}

#[tokio::test]
async fn a_json_answer_cut_in_the_middle_is_answered_whole_by_the_next_target() {
    let world = shared();
    for provider in PROVIDERS {
        let (reply, _) = world.answered(&route(provider, "cut_after=3"), false).await.unwrap();
        assert_eq!(reply.attempts(), 2);
    }
}
