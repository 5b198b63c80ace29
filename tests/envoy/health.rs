//! What workers share of a target's health: breakers, probes and rate limits, on two workers.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{self, chat};
use crate::world::{Document, PROVIDERS, Session, marker, other, own, shown, together};

/// A route over both fakes that both tests and faults of the control listener decide about.
fn world(name: &str) -> Session {
    world_of(name, "openai")
}

fn world_of(name: &str, first: &str) -> Session {
    own(
        name,
        |mut document: Document<'_>| {
            document.model("first", first, "", None);
            document.model("second", other(first), "", None);
            document.route("both", &["first", "second"], "first_token");
            document.finish(json!({"first_token": "5s", "answer": "10s"}))
        },
        &[],
    )
}

/// The requests that a fake has received, oldest first.
async fn records(world: &Session, provider: &str) -> Vec<Value> {
    let path = format!("/requests?provider={provider}");
    let reply = client::send(world.fakes.control(), client::request("GET", &path, &[], "")).await;
    reply.json().as_array().unwrap().clone()
}

/// How many the fake of `first` has received.
async fn received(world: &Session) -> usize {
    records(world, "openai").await.len()
}

async fn ask(world: &Session) -> (u64, String) {
    ask_for(world, &marker()).await
}

async fn ask_for(world: &Session, text: &str) -> (u64, String) {
    let reply = world.ask(&chat("both", false, text)).await;
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
async fn clients_that_leave_say_nothing_of_the_provider() {
    let world = world("left");
    world.control("PUT", "/faults/openai", "delay_ms=3000").await;
    for _ in 0..8 {
        let mut connection = client::Connection::open(world.envoy.address).await;
        let body = chat("both", false, &marker()).to_string();
        let request = connection.begin(client::post(&[("content-type", "application/json")], body));
        assert!(tokio::time::timeout(Duration::from_millis(150), request).await.is_err());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.control("DELETE", "/faults/openai", "").await;
    assert_eq!(ask(&world).await, (1, "first".to_owned()));
}

#[tokio::test]
async fn a_provider_that_breaks_its_streams_off_is_left_alone() {
    for fault in ["cut_after=3", "error_after=3"] {
        let world = world("breaks");
        world.control("PUT", "/faults/openai", fault).await;
        let mut broken = 0;
        let answered = loop {
            let reply = world.ask(&chat("both", true, &marker())).await;
            match reply.header("x-dragoman-model") {
                "first" if broken < 40 => broken += 1,
                model => break model.to_owned(),
            }
            // What one worker finds out, the other knows 50 ms later.
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(answered, "second", "{fault}: {broken} streams were broken off");
        assert!(broken >= 5, "{fault}: {broken} streams say little");
    }
}

#[tokio::test]
async fn who_comes_while_a_short_wait_is_on_waits_as_well() {
    let world = own(
        "short-wait",
        |mut document: Document<'_>| {
            document.model("first", "openai", "", None);
            document.route("only", &["first"], "first_token");
            document.finish(json!({"retry_after": "5s"}))
        },
        &[],
    );
    let ask = || async {
        let reply = world.ask(&chat("only", false, &marker())).await;
        (reply.status, reply.attempts())
    };
    world.control("PUT", "/faults/openai", "status=429&retry_after=1&times=3").await;
    let later = || async {
        // The other worker knows by now.
        tokio::time::sleep(Duration::from_millis(200)).await;
        ask().await
    };
    assert_eq!(tokio::join!(ask(), later(), later()), ((200, 2), (200, 2), (200, 2)));
}

/// What explain says of the health of the route's targets, by the order of attempts.
pub async fn explained(world: &Session, text: &str) -> Vec<(String, String)> {
    let reply = world.ask_with(&[("x-dragoman-explain", "only")], &chat("both", false, text)).await;
    let mut targets = reply.json()["targets"].as_array().unwrap().clone();
    targets.sort_by_key(|target| target["attempt"].as_u64());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    targets.iter().map(|target| (text(&target["model"]), text(&target["health"]))).collect()
}

pub fn is_last(explained: &[(String, String)], why: &str) -> bool {
    let [(first, well), (last, health)] = explained else { return false };
    (first.as_str(), well.as_str(), last.as_str()) == ("second", "well", "first") && health.starts_with(why)
}

/// Goes on for longer if that is asked for, as `scripts/soak --flapping` does.
#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
fn how_long() -> Duration {
    let seconds = std::env::var("DRAGOMAN_FLAPPING_SECONDS").map_or(9, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn while_a_provider_flaps_every_request_is_answered_and_there_is_one_probe_an_interval() {
    const CLIENTS: usize = 4;
    const DOWN: Duration = Duration::from_secs(3);
    const UP: Duration = Duration::from_millis(1_500);
    let world = world("flapping");
    let end = Instant::now() + how_long();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move {
                let mut answered = 0;
                while Instant::now() < end {
                    ask(&world).await;
                    answered += 1;
                    // So that the fake can remember all that it has received.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                answered
            })
        })
        .collect();
    let (mut is_down, mut change) = (false, Instant::now());
    while clients.iter().any(|client| !client.is_finished()) {
        if Instant::now() >= change {
            is_down = !is_down;
            change += if is_down { DOWN } else { UP };
            let (method, fault) = if is_down { ("PUT", "status=503") } else { ("DELETE", "") };
            world.control(method, "/faults/openai", fault).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut answered = 0;
    for client in clients {
        answered += client.await.unwrap();
    }
    let received = records(&world, "openai").await;
    let ended = received.iter().filter_map(|record| Some((record["at_ms"].as_f64()?, record["status"].as_u64()?)));
    let (failures, probes) = judge_probes(ended.collect());
    println!(
        "{answered} requests, all answered; {failures} met the provider while it was down, {probes} of them as probes"
    );
    assert!(answered > 20 * how_long().as_secs() && failures >= 5 && probes > 0, "{answered} {failures} {probes}");
}

/// Holds the requests of a target, when they came and with what status they ended, to the breaker's promise:
/// after five failures, and what others send until they know, it is asked once an interval, and each is twice
/// as long as the one before, until it answers. How many have failed, and how many of those were probes.
fn judge_probes(requests: Vec<(f64, u64)>) -> (usize, usize) {
    const IN_A_ROW: usize = 5;
    /// 50 ms, on a busy machine.
    const KNOWN_TO_ALL: f64 = 300.0;
    /// Half a second, less the jitter.
    const FIRST: f64 = 400.0;
    const LONGEST: f64 = 24_000.0;
    let (mut all, mut probes) = (0, 0);
    for run in requests.split(|(_, status)| *status == 200) {
        all += run.len();
        let Some((opened, _)) = run.get(IN_A_ROW - 1) else { continue };
        let mut earliest = opened + FIRST;
        let mut interval = FIRST;
        for (at, _) in run.iter().skip(IN_A_ROW).filter(|(at, _)| *at > opened + KNOWN_TO_ALL) {
            assert!(*at >= earliest, "a probe {:.0} ms too early, of {run:?}", earliest - at);
            interval = (interval * 2.0).min(LONGEST);
            earliest = at + interval;
            probes += 1;
        }
    }
    (all, probes)
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
    let explained = explained(&world, &marker()).await;
    assert!(is_last(&explained, "exhausted until"), "{explained:?}");
}

#[tokio::test]
async fn what_is_left_of_a_limit_of_requests_is_shared_by_all_workers_and_never_overdrawn() {
    let worlds = PROVIDERS.map(|first| async move {
        let world = world_of("requests-left", first);
        world.control("PUT", &format!("/faults/{first}"), "limit_requests=10&limit_window_s=30").await;
        // One learns of the limit; then many come at once, to both workers.
        assert_eq!(ask(&world).await, (1, "first".to_owned()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        let tasks = (0..40).map(|_| {
            let world = world.clone();
            async move { ask(&world).await }
        });
        let answered = together(tasks).await;
        let by_first = answered.iter().filter(|(_, model)| model == "first").count() as u64;
        // Nine are left, and one comes back every three seconds.
        let came_back = began.elapsed().as_secs() / 3 + 1;
        assert!((9..=9 + came_back).contains(&by_first), "{first}: {by_first} of 10");
        assert!(answered.iter().all(|(attempts, _)| *attempts == 1), "{first}: {answered:?}");
        // Nobody has to be told: it is asked again as soon as there is room.
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(ask(&world).await, (1, "first".to_owned()));
        let refused = records(&world, first).await.iter().filter(|record| record["status"] == 429).count();
        assert_eq!(refused, 0, "{first}");
    });
    together(worlds).await;
}

#[tokio::test]
async fn a_target_whose_tokens_do_not_hold_the_request_is_skipped_and_takes_a_smaller_one() {
    let worlds = PROVIDERS.map(|first| async move {
        let world = world_of("tokens-left", first);
        world.control("PUT", &format!("/faults/{first}"), "limit_tokens=1000&limit_window_s=60").await;
        // About 400 tokens each: after two there are 200 left, and what comes back of 1,000 a minute.
        let long = || format!("{} {}", marker(), "what is left of it ".repeat(80));
        for expected in ["first", "first", "second", "second", "second"] {
            assert_eq!(ask_for(&world, &long()).await, (1, expected.to_owned()), "{first}");
            // What one worker finds out, the other knows 50 ms later.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let explained = explained(&world, &long()).await;
        assert!(is_last(&explained, "exhausted until"), "{first}: {explained:?}");
        assert_eq!(ask(&world).await, (1, "first".to_owned()), "{first}: a short one");
        let refused = records(&world, first).await.iter().filter(|record| record["status"] == 429).count();
        assert_eq!(refused, 0, "{first}");
    });
    together(worlds).await;
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
