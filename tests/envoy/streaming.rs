//! Streams and large answers pass through as they come, and whole.

use std::time::Duration;

use hyper::body::Bytes;
use serde_json::json;

use crate::client::{Connection, chat, post};
use crate::world::{PROVIDERS, marker, own, shared, shown, together};

#[tokio::test]
async fn tokens_arrive_as_they_are_written() {
    let world = shared();
    for provider in PROVIDERS {
        let reply = world.ask(&chat(&format!("{provider}/pace_ms-60"), true, "count 12")).await;
        assert_eq!(reply.text(), "1 2 3 4 5 6 7 8 9 10 11 12", "{}", shown(&reply));
        let times: Vec<_> = reply.pieces.iter().map(|(time, _)| *time).collect();
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        // Eleven pauses of 60 ms; a loaded machine may put two tokens together, not all of them.
        let pauses = gaps.filter(|gap| *gap >= Duration::from_millis(30)).count();
        assert!(pauses >= 8, "{provider}: {times:?}");
        assert!(times[0] < Duration::from_millis(400), "{provider}: {times:?}");
    }
}

#[tokio::test]
async fn a_stream_that_arrives_byte_by_byte_is_the_same() {
    let world = shared();
    for provider in PROVIDERS {
        let reply = world.ask(&chat(&format!("{provider}/split-1"), true, "count 30")).await;
        reply.well_formed().unwrap();
        let whole = world.ask(&chat(provider, true, "count 30")).await;
        assert_eq!(reply.text(), whole.text());
        assert!(reply.is_done());
    }
}

#[tokio::test]
async fn a_stream_of_twenty_thousand_tokens_comes_whole() {
    let world = shared();
    for provider in PROVIDERS {
        let mut body = chat(provider, true, "count 20000");
        body["max_tokens"] = json!(64000);
        let reply = world.ask(&body).await;
        reply.well_formed().unwrap();
        let text = reply.text();
        assert!(reply.is_done() && text.starts_with("1 2 3 ") && text.ends_with(" 19999 20000"), "{provider}");
        assert_eq!(text.split(' ').count(), 20_000, "{provider}");
    }
}

#[tokio::test]
async fn an_answer_of_five_megabytes_comes_whole() {
    let world = shared();
    for provider in PROVIDERS {
        // Whole as JSON; as a stream that is held back, 5 MB are the events of a shorter text.
        for (stream, length) in [(false, 5_000_000), (true, 150_000)] {
            let mut body = chat(provider, stream, &format!("lorem {length} {}", marker()));
            body["max_tokens"] = json!(10_000_000);
            let reply = world.ask_with(&[("x-dragoman-commit", "complete")], &body).await;
            if let Err(problem) = reply.well_formed() {
                panic!("{provider} stream={stream}: {problem}");
            }
            // Anthropic's model writes 64,000 tokens at most.
            let whole = reply.text().len();
            assert!(whole == length || (provider == "anthropic" && whole > 400_000), "{provider}: {whole} of {length}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_to_be_held_is_an_error_whatever_the_limit_of_requests() {
    let small = own(
        "held",
        |mut document| {
            document.model("openai", "openai", "", None);
            document.model("anthropic", "anthropic", "", None);
            document.finish(json!({"body": "64KiB"}))
        },
        &[],
    );
    // Around the limit of 16 MiB, and a stream of many more bytes than its text has.
    let cases = [(false, 12_000_000, 200), (false, 17_000_000, 502), (true, 500_000, 502)];
    for (world, cases) in [(shared(), &cases[1..]), (small, &cases[..])] {
        for &(stream, length, status) in cases {
            let mut body = chat("openai", stream, &format!("lorem {length} {}", marker()));
            body["max_completion_tokens"] = json!(10_000_000);
            let reply = world.ask_with(&[("x-dragoman-commit", "complete")], &body).await;
            if let Err(problem) = reply.well_formed() {
                panic!("stream={stream} {length}: {problem}");
            }
            assert_eq!(reply.status, status, "stream={stream} {length}: {}", shown(&reply));
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_request_to_the_provider() {
    let world = shared();
    for provider in PROVIDERS {
        let text = format!("lorem 10000 {}", marker());
        let body = chat(&format!("{provider}/pace_ms-60"), true, &text).to_string();
        let mut connection = Connection::open(world.envoy.address).await;
        let response = connection.begin(post(&[("content-type", "application/json")], body)).await.unwrap();
        assert_eq!(response.status(), 200);
        drop((response, connection));
        let question = text.split(' ').next_back().unwrap();
        let mut record = json!(null);
        for _ in 0..60 {
            record = world.received(question).await[0].clone();
            if record["aborted"] == true {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(record["aborted"], true, "{provider}: {record}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_answer_ends_the_request_to_the_provider() {
    let world = shared();
    let text = marker();
    let body = chat("openai/delay_ms-1600", false, &text).to_string();
    let mut connection = Connection::open(world.envoy.address).await;
    let request = connection.begin(post(&[("content-type", "application/json")], Bytes::from(body)));
    assert!(tokio::time::timeout(Duration::from_millis(500), request).await.is_err());
    drop(connection);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let records = world.received(&text).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["aborted"], true, "{}", records[0]);
}

/// A client that keeps its connection would wait with its next request for as long as the provider goes on.
#[tokio::test]
async fn an_answer_that_fails_at_its_beginning_ends_with_the_error() {
    let world = own(
        "endless",
        |mut document| {
            document.model("endless", "openai", "gzip_header&pace_ms=60", None);
            document.finish(json!({}))
        },
        &[],
    );
    let text = marker();
    let body = chat("endless", true, &format!("lorem 10000 {text}")).to_string();
    let mut connection = Connection::open(world.envoy.address).await;
    let reply = connection.send(post(&[("content-type", "application/json")], body)).await.unwrap();
    assert_eq!(reply.status, 502, "{}", shown(&reply));
    reply.well_formed().unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let records = world.received(&text).await;
    assert_eq!(records[0]["aborted"], true, "{}", records[0]);
    drop(connection);
}

#[tokio::test]
async fn sixty_four_connections_at_once_are_served_by_two_workers() {
    let world = shared();
    let tasks = (0..64).map(|number| {
        let world = world.clone();
        async move { world.answered(PROVIDERS[number % 2], number % 4 < 2).await.map(drop) }
    });
    for answered in together(tasks).await {
        answered.unwrap();
    }
}
