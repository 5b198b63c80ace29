//! What the policies are worth: the same traffic for each of them, over modelled providers, through the
//! same pure code that decides in Envoy. Time is virtual and chance is seeded, so that every run is the same.
//!
//! The table in docs/routing.md is this test's output: `UPDATE_GOLDEN=1 cargo test --test simulator`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod models;
#[path = "../support/random.rs"]
mod random;
mod world;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use dragoman::config::registry::{Rank, RouteTarget, Sticky, Variant};

use world::{Outcome, World};

const DOCUMENT: &str = "docs/routing.md";

/// A policy and how it is told of in the table.
struct Policy {
    name: &'static str,
    rank: Rank,
    weights: &'static [u32],
    /// Whether what has happened to other requests is known.
    remembers: bool,
}

const POLICIES: &[Policy] = &[
    Policy { name: "`ordered`, without memory", rank: Rank::Ordered, weights: &[1; models::COUNT], remembers: false },
    Policy { name: "`ordered`", rank: Rank::Ordered, weights: &[1; models::COUNT], remembers: true },
    Policy { name: "`weighted`, 40 30 20 5 5", rank: Rank::Weighted, weights: &[40, 30, 20, 5, 5], remembers: true },
    Policy { name: "`cheapest`", rank: Rank::CHEAPEST, weights: &[1; models::COUNT], remembers: true },
    Policy { name: "`fastest`", rank: Rank::FASTEST, weights: &[1; models::COUNT], remembers: true },
    Policy {
        name: "`score`, cost 0.3, latency 0.2, quality 0.5",
        rank: Rank::Score { cost: 300, latency: 200, quality: 500 },
        weights: &[1; models::COUNT],
        remembers: true,
    },
    Policy {
        name: "`score`, cost 0.1, latency 0.2, quality 0.7",
        rank: Rank::Score { cost: 100, latency: 200, quality: 700 },
        weights: &[1; models::COUNT],
        remembers: true,
    },
];

fn variant(policy: &Policy) -> Variant {
    let target = |(model, weight): (usize, &u32)| RouteTarget { model, weight: *weight, bias: 0 };
    Variant {
        version: "1".into(),
        weight: 1,
        rank: policy.rank,
        targets: policy.weights.iter().enumerate().map(target).collect(),
        max_cost: None,
        max_first_token: None,
        region: None,
        tags: Vec::new(),
        task: None,
        sticky: Sticky::User,
    }
}

fn run(policy: &Policy) -> Vec<Outcome> {
    World::new(variant(policy), policy.remembers).run()
}

struct Summary {
    cost: f64,
    median: u64,
    slow: u64,
    failed: f64,
    attempts: f64,
    quality: f64,
}

fn summary(outcomes: &[Outcome]) -> Summary {
    let answered: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.answer.as_ref()).collect();
    let mut waits: Vec<u64> = answered.iter().map(|answer| answer.waited).collect();
    waits.sort_unstable();
    let count = answered.len() as f64;
    Summary {
        cost: answered.iter().map(|answer| answer.cost).sum::<f64>() / count * 1_000.0,
        median: waits[waits.len() / 2],
        slow: waits[waits.len() * 99 / 100],
        failed: (outcomes.len() - answered.len()) as f64 / outcomes.len() as f64,
        attempts: outcomes.iter().map(|outcome| outcome.attempts as f64).sum::<f64>() / outcomes.len() as f64,
        quality: answered.iter().map(|answer| f64::from(answer.quality)).sum::<f64>() / count / 1_000.0,
    }
}

fn table(summaries: &[(&Policy, Summary)]) -> String {
    let mut out = String::from(
        "| policy | dollars per 1,000 answers | first token p50 | p99 | unanswered | attempts | quality |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (policy, it) in summaries {
        let seconds = |milliseconds: u64| milliseconds as f64 / 1_000.0;
        writeln!(
            out,
            "| {} | {:.2} | {:.2} s | {:.1} s | {:.2} % | {:.2} | {:.2} |",
            policy.name,
            it.cost,
            seconds(it.median),
            seconds(it.slow),
            it.failed * 100.0,
            it.attempts,
            it.quality
        )
        .unwrap();
    }
    out
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test's own switch")]
fn the_document_tells_what_the_policies_are_worth() {
    let summaries: Vec<_> = POLICIES.iter().map(|policy| (policy, summary(&run(policy)))).collect();
    every_policy_is_best_at_what_it_is_for(&summaries);
    let table = table(&summaries);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- simulator -->\n").unwrap();
    let (written, after) = rest.split_once("<!-- /simulator -->").unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{before}<!-- simulator -->\n{table}<!-- /simulator -->{after}")).unwrap();
        return;
    }
    assert!(written == table, "{DOCUMENT} is not what was seen; if that is right, UPDATE_GOLDEN=1\n{table}");
}

fn every_policy_is_best_at_what_it_is_for(summaries: &[(&Policy, Summary)]) {
    let of = |name: &str| &summaries.iter().find(|(policy, _)| policy.name == name).unwrap().1;
    let (forgetful, ordered) = (of("`ordered`, without memory"), of("`ordered`"));
    let (cheapest, fastest) = (of("`cheapest`"), of("`fastest`"));
    assert!(ordered.slow * 2 < forgetful.slow && ordered.attempts < forgetful.attempts);
    for (policy, it) in summaries {
        assert!(it.failed < 0.001 || !policy.remembers, "{}", policy.name);
        assert!(cheapest.cost <= it.cost && fastest.median <= it.median, "{}", policy.name);
    }
}
