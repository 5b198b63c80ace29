//! Every folder of `tests/golden` is a conversation whose every byte is expected.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;

use dragoman::provider::KINDS;
use serde_json::Value;
use support::golden::in_one_piece;
use support::shown::Ask;
use support::{canonical, folders, inherited, shown};

#[test]
fn every_conversation_goes_as_recorded() {
    let folders = folders::all();
    assert!(!folders.is_empty());
    let differences: Vec<String> = folders
        .iter()
        .flat_map(|folder| folders::compare(folder, &folders::read(folder).replay(&in_one_piece)))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// What OpenAI's clients send and its servers answer, through every row of its format: what each is sent,
/// and that clients read the same of all, but for what the row's folder has in words of its own.
#[test]
fn the_canonical_conversations_go_as_recorded_with_every_vendor_of_the_format() {
    let differences: Vec<String> = canonical::rows().iter().flat_map(canonical::Row::compare).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// What one API is sent and answers, where it is served elsewhere: what each folder has in words of its own is all
/// that is different there.
#[test]
fn an_api_elsewhere_differs_from_its_first_home_only_as_recorded() {
    let differences: Vec<String> = inherited::surfaces().iter().filter_map(inherited::Surface::compare).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// What a provider does not have: its kind, the item, why, and what of a request is refused for it.
const WITHOUT: &[(&str, &str, &str, Ask)] = &[
    ("perplexity", "parallel calls", "Sonar models have no tools", Ask::Tools),
    ("perplexity", "results", "Sonar models have no tools", Ask::Results),
    ("perplexity", "thinking, then calls", "Sonar models have no tools", Ask::Tools),
    ("perplexity", "thinking comes back", "Sonar models have no tools", Ask::Thoughts),
];

#[test]
fn every_kind_has_a_conversation_of_everything_streamed_and_not() {
    let all = shown::all();
    let mut problems = Vec::new();
    for (kind, (item, shows)) in KINDS.iter().flat_map(|kind| shown::ITEMS.iter().map(move |item| (kind.name, item))) {
        let without = WITHOUT.iter().find(|(of, what, ..)| (*of, *what) == (kind, *item));
        for stream in [false, true] {
            let own = || all.iter().filter(|shown| shown.kind == kind && shown.stream == stream);
            let how = if stream { "streamed" } else { "whole" };
            match without {
                None if own().any(shows) => {}
                None => problems.push(format!("{kind}: no conversation has: {item}, {how}")),
                Some(_) if own().any(shows) => problems.push(format!("{kind} has {item}, {how}, after all")),
                Some((_, _, why, ask)) if !own().any(|shown| shown.is_refused(*ask)) => {
                    problems.push(format!("{kind}: no conversation is refused because {why}: {item}, {how}"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The known deviations of streams and answers, by their numbers: A is framing, B what chunks say, C
/// errors, D reasoning. Each is named by a conversation that shows how it is survived.
#[test]
fn every_known_quirk_has_a_conversation_or_a_reason_for_none() {
    const NONE: &[(&str, &str)] = &[
        ("A21", "silence is for the shell to bridge: a conversation has no time"),
        ("C18", "trailers and resets behind a whole answer are HTTP/2's: Envoy's business"),
    ];
    let mut named = BTreeSet::new();
    for folder in folders::all() {
        let about: Value = serde_json::from_slice(&fs::read(folder.join("case.json")).unwrap()).unwrap();
        let why = about["why"].as_str().unwrap().replace("section D", "D");
        let words = why.split(|c: char| !c.is_ascii_alphanumeric());
        named.extend(words.filter(|word| is_quirk(word)).map(str::to_owned));
    }
    let all = [("A", 23), ("B", 30), ("C", 18)].into_iter();
    let all = all.flat_map(|(letter, last)| (1..=last).map(move |n| format!("{letter}{n}"))).chain(["D".to_owned()]);
    let without = |quirk: &str| NONE.iter().any(|(known, _)| *known == quirk);
    for quirk in all {
        assert!(named.contains(&quirk) != without(&quirk), "{quirk}: named {}", named.contains(&quirk));
    }
}

fn is_quirk(word: &str) -> bool {
    let number = word.strip_prefix(['A', 'B', 'C']);
    word == "D" || number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
