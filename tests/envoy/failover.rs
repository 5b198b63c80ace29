//! A target that fails is made up for by the next, and the client sees one whole answer.

use std::time::Duration;

use crate::client::chat;
use crate::world::{
    FAULTS, Fault, LONG_SILENCE, PROVIDERS, SILENCE, Session, Shapes, marker, none, other, own, route, shared, shown,
    together,
};
use serde_json::json;

/// Asks a route whose first target fails, and says what is wrong with what came of it.
async fn moves_on(
    world: Session,
    provider: &'static str,
    fault: &'static str,
    stream: bool,
    reachable: bool,
) -> Vec<String> {
    let name = route(provider, fault);
    let (reply, text) = match world.answered(&name, stream).await {
        Ok(answered) => answered,
        Err(problem) => return vec![problem],
    };
    let next = other(provider);
    let asked = world.asked(&text).await;
    let mut expected = vec![next.to_owned()];
    if reachable {
        expected.insert(0, provider.to_owned());
        // A passing fault of a server is worth a second try at the same place.
        if reply.attempts() == 3 && fault.starts_with("status=5") {
            expected.insert(0, provider.to_owned());
        }
    }
    let attempts = expected.len() as u64 + u64::from(!reachable);
    let mut problems = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            problems.push(format!("{name} stream={stream}: {what}; asked {asked:?}\n{}", shown(&reply)));
        }
    };
    check(asked == expected, "the providers were not asked in this order");
    check(reply.attempts() == attempts, "x-dragoman-attempts is not the number of tries");
    check(reply.header("x-dragoman-model").starts_with(next), "x-dragoman-model is not who answered");
    check(reply.header("x-dragoman-route") == name, "x-dragoman-route is not the route");
    problems
}

async fn all_move_on(faults: impl Iterator<Item = &'static Fault>) {
    let world = shared();
    let mut tasks = Vec::new();
    for Fault { text, with, .. } in faults {
        for provider in PROVIDERS {
            tasks.extend(with.streams().iter().map(|stream| moves_on(world.clone(), provider, text, *stream, true)));
        }
    }
    none(together(tasks).await.concat());
}

#[tokio::test]
async fn every_failure_of_a_target_is_answered_by_the_other_provider() {
    all_move_on(FAULTS.iter().filter(|fault| !fault.silent)).await;
}

#[tokio::test]
async fn every_silence_of_a_target_is_answered_by_the_other_provider() {
    all_move_on(FAULTS.iter().filter(|fault| fault.silent)).await;
}

#[tokio::test]
async fn a_target_that_cannot_be_reached_is_answered_for_by_the_other_provider() {
    let world = shared();
    let mut tasks = Vec::new();
    for provider in PROVIDERS {
        for end in ["refused", "unresolved"] {
            tasks.extend(
                Shapes::Both.streams().iter().map(|stream| moves_on(world.clone(), provider, end, *stream, false)),
            );
        }
    }
    none(together(tasks).await.concat());
}

#[tokio::test]
async fn the_limit_of_the_first_token_moves_on_in_time() {
    let world = shared();
    for (stream, limit) in [(true, SILENCE), (false, LONG_SILENCE)] {
        let (reply, _) = world.answered(&route("openai", "headers_then_silence"), stream).await.unwrap();
        let took = reply.took;
        assert!(took >= limit && took < limit + Duration::from_millis(1500), "stream={stream}: {took:?}");
    }
}

#[tokio::test]
async fn waiting_for_one_provider_does_not_delay_the_move_to_another() {
    let world = shared();
    for provider in PROVIDERS {
        let (reply, _) = world.answered(&route(provider, "status=429&retry_after=60"), true).await.unwrap();
        assert!(reply.took < Duration::from_secs(2), "{:?}", reply.took);
    }
}

#[tokio::test]
async fn a_provider_that_asks_for_a_short_while_is_waited_for_once() {
    let world = shared();
    for provider in PROVIDERS {
        let (reply, text) = world.answered(&route(provider, "status=429&retry_after=1"), false).await.unwrap();
        assert_eq!(world.asked(&text).await, [provider, provider, other(provider)]);
        assert!(reply.took >= Duration::from_secs(1) && reply.took < Duration::from_secs(3), "{:?}", reply.took);
    }
}

#[tokio::test]
async fn a_json_answer_slower_than_the_limit_of_the_first_token_is_not_cut() {
    let world = shared();
    for provider in PROVIDERS {
        let (reply, text) = world.answered(&format!("{provider}/delay_ms-1600"), false).await.unwrap();
        assert_eq!(reply.attempts(), 1);
        assert!(reply.took >= Duration::from_millis(1600));
        assert_eq!(world.asked(&text).await, [provider]);
    }
}

#[tokio::test]
async fn three_requests_meet_a_503_an_error_in_a_stream_and_silence_and_are_each_answered_whole() {
    let world = own(
        "three",
        |mut document| {
            let limits = json!({"first_token": "700ms"});
            document.model("gpt", "openai", "", Some(&limits));
            document.model("claude", "anthropic", "", Some(&limits));
            document.route("smart", &["gpt", "claude"], "first_token");
            document.finish(json!({}))
        },
        &[],
    );
    for fault in ["status=503&times=1", "error_in_stream&times=1", "headers_then_silence&times=1"] {
        world.control("PUT", "/faults/openai", fault).await;
        let (reply, text) = world.answered("smart", true).await.unwrap();
        assert!(reply.is_done(), "{fault}: {}", shown(&reply));
        assert_eq!((reply.attempts(), reply.header("x-dragoman-model")), (2, "claude"), "{fault}");
        assert_eq!(world.asked(&text).await, PROVIDERS, "{fault}");
    }
}

/// 200 requests at once on connections of their own, while the first provider is out.
async fn outage(fault: &'static str) {
    let world = shared();
    let tasks = (0..200).map(|number| {
        let world = world.clone();
        async move {
            let text = marker();
            let reply = world.ask(&chat(&route("openai", fault), number % 2 == 0, &text)).await;
            let whole = reply.status == 200 && reply.well_formed().is_ok() && reply.text().contains(&text);
            let by_the_second = reply.header("x-dragoman-model") == "anthropic" && reply.attempts() == 2;
            (!whole || !by_the_second).then(|| shown(&reply))
        }
    });
    none(together(tasks).await.into_iter().flatten().collect());
}

#[tokio::test]
async fn two_hundred_requests_at_once_survive_an_outage_where_connections_are_refused() {
    outage("refused").await;
}

#[tokio::test]
async fn two_hundred_requests_at_once_survive_an_outage_where_all_is_503() {
    outage("status=503").await;
}
