//! What workers share of a target's health: breakers, probes and rate limits, on two workers.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::client::chat;
use crate::world::{Document, Session, marker, own, shown, together};

/// A route over both fakes that both tests and faults of the control listener decide about.
fn world(name: &str) -> Session {
    own(
        name,
        |mut document: Document<'_>| {
            document.model("first", "openai", "", None);
            document.model("second", "anthropic", "", None);
            document.route("both", &["first", "second"], "first_token");
            document.finish(json!({"first_token": "5s", "answer": "10s"}))
        },
        &[],
    )
}

/// How many requests the fake of `first` has received since.
async fn received(world: &Session) -> usize {
    let reply =
        crate::client::send(world.fakes.control(), crate::client::request("GET", "/requests?provider=openai", &[], ""))
            .await;
    reply.json().as_array().unwrap().len()
}

async fn ask(world: &Session) -> (u64, String) {
    let reply = world.ask(&chat("both", false, &marker())).await;
    assert_eq!(reply.status, 200, "every request is answered: {}", shown(&reply));
    (reply.attempts(), reply.header("x-dragoman-model").to_owned())
}

#[tokio::test]
async fn a_breaker_opens_for_all_workers_lets_one_probe_through_and_closes() {
    let world = world("breaker");
    world.control("PUT", "/faults/openai", "status=503").await;
    for _ in 0..5 {
        assert_eq!(ask(&world).await, (2, "second".to_owned()));
    }
    // What one worker finds out, the other knows 50 ms later.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = received(&world).await;
    // Half a second at least, on both workers: many connections reach both.
    let tasks = (0..40).map(|_| {
        let world = world.clone();
        async move { ask(&world).await }
    });
    let answered = together(tasks).await;
    assert!(answered.iter().all(|(_, model)| model == "second"));
    // On a busy machine they may take longer than that, and then one of them is the probe.
    let asked = received(&world).await - before;
    assert!(asked <= 1, "{asked} have asked a target that is known to be down");

    // Half-open: of many at once one is the probe, and its failure opens for twice as long.
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    let before = received(&world).await;
    let tasks = (0..40).map(|_| {
        let world = world.clone();
        async move { ask(&world).await }
    });
    let attempts: Vec<u64> = together(tasks).await.into_iter().map(|(attempts, _)| attempts).collect();
    let probes = received(&world).await - before;
    assert_eq!(probes, 1, "{attempts:?}");
    assert!(attempts.iter().filter(|attempts| **attempts > 1).count() <= 1);

    // The provider is back: the next probe closes the breaker for everybody.
    world.control("DELETE", "/faults/openai", "").await;
    let began = Instant::now();
    while ask(&world).await.1 == "second" {
        assert!(began.elapsed() < Duration::from_secs(5), "the breaker does not close");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..20 {
        assert_eq!(ask(&world).await, (1, "first".to_owned()));
    }
}

#[tokio::test]
async fn while_a_provider_flaps_every_request_is_answered_and_probes_are_rare() {
    const FLAPS: usize = 6;
    let world = world("flapping");
    let mut asked = 0;
    for flap in 0..FLAPS {
        let fault = if flap % 2 == 0 { "status=503" } else { "" };
        match fault {
            "" => world.control("DELETE", "/faults/openai", "").await,
            _ => world.control("PUT", "/faults/openai", "status=503").await,
        }
        let before = received(&world).await;
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(2) {
            ask(&world).await;
            asked += 1;
        }
        if flap % 2 == 0 {
            // Five to open it the first time, whatever the other worker sends in the 50 ms until it knows, and a
            // probe an interval: 0.5, 1, 2 seconds and longer.
            let probes = received(&world).await - before;
            assert!(probes <= 20, "{probes} requests to a provider that was down for two seconds");
        }
    }
    assert!(asked > 100, "{asked}");
}

#[tokio::test]
async fn a_target_that_is_rate_limited_is_left_alone_until_it_said() {
    let world = world("limited");
    world.control("PUT", "/faults/openai", "status=429&retry_after=60").await;
    assert_eq!(ask(&world).await, (2, "second".to_owned()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = received(&world).await;
    for _ in 0..10 {
        assert_eq!(ask(&world).await, (1, "second".to_owned()));
    }
    assert_eq!(received(&world).await, before);
}

#[tokio::test]
async fn when_everybody_is_down_the_one_that_is_back_first_is_tried() {
    let world = world("all_down");
    for provider in ["openai", "anthropic"] {
        world.control("PUT", &format!("/faults/{provider}"), "status=503").await;
    }
    // Each failure opens for longer, so that soon both are open, however slow this machine is.
    for _ in 0..60 {
        let reply = world.ask(&chat("both", false, &marker())).await;
        assert!(reply.status >= 500, "{}", shown(&reply));
        if reply.attempts() == 1 {
            return;
        }
        // What one worker finds out, the other knows 50 ms later.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("targets that are known to be down are asked one after the other");
}
