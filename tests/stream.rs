//! Properties that hold for every golden conversation, whatever is in it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use support::folders;
use support::golden::{Case, in_one_piece, parse_response};
use support::reader;

fn for_each_case(check: impl Fn(&str, &Case)) {
    let folders = folders::all();
    assert!(!folders.is_empty());
    for folder in folders {
        check(&folders::name(&folder), &folders::read(&folder));
    }
}

#[test]
fn any_split_gives_the_same_answer() {
    for_each_case(|name, case| {
        let whole = case.replay(&in_one_piece);
        let bytes = |body: &[u8]| body.chunks(1).map(<[u8]>::to_vec).collect();
        assert!(case.replay(&bytes) == whole, "{name}: byte by byte");
        let Some(given) = &case.upstream_response else { return };
        let (_, _, body) = parse_response(given);
        for at in 1..body.len() {
            let two = |body: &[u8]| vec![body[..at].to_vec(), body[at..].to_vec()];
            assert!(case.replay(&two) == whole, "{name}: cut at {at}");
        }
    });
}

#[test]
fn a_stream_that_ends_early_never_looks_whole() {
    for_each_case(|name, case| {
        let Some(given) = &case.upstream_response else { return };
        let whole = case.replay(&in_one_piece);
        let (_, headers, body) = parse_response(given);
        if headers.content_type() != Some("text/event-stream") || !whole.whole {
            return;
        }
        for at in 0..body.len() {
            let cut = case.replay(&|body: &[u8]| vec![body[..at].to_vec()]);
            let text = String::from_utf8_lossy(&cut.response);
            if cut.whole && text.starts_with("HTTP/1.1 200") {
                // What is missing can only be what comes behind the finish reason.
                assert_eq!(without_usage(&cut.response), without_usage(&whole.response), "{name}: cut at {at}");
            } else {
                assert!(text.contains("\"error\""), "{name}: cut at {at} says nothing of it:\n{text}");
            }
        }
    });
}

fn without_usage(response: &[u8]) -> String {
    let text = String::from_utf8_lossy(response).into_owned();
    let events = text.split("\n\n").filter(|event| !event.contains("\"choices\":[]"));
    events.collect::<Vec<_>>().join("\n\n")
}

#[test]
fn every_answer_passes_a_strict_reader() {
    for_each_case(|name, case| {
        let replayed = case.replay(&in_one_piece);
        let (status, headers, body) = parse_response(&replayed.response);
        if let Err(problem) = reader::read(status, &headers, &body) {
            panic!("{name}: {problem}\n{}", String::from_utf8_lossy(&replayed.response));
        }
    });
}

#[test]
fn translating_twice_gives_the_same_bytes() {
    for_each_case(|name, case| {
        let request = case.request.clone();
        assert!(case.replay(&in_one_piece) == case.replay(&in_one_piece), "{name}");
        assert_eq!(case.request, request, "{name}: the original is untouched");
    });
}
