//! The health of targets, which all workers share through Envoy's shared data.
//!
//! A record a target, changed by compare-and-swap. It outlives a VM that is reloaded. Reading is a call
//! to the host for each target, so what was read is believed for a moment: a breaker that another worker
//! opens is known here that much later.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use super::abi;
use crate::COUNTS;
use crate::route::health::{Health, Verdict};

/// How long what was read is believed.
const FRESH: Duration = Duration::from_millis(50);

/// Whoever loses as often has met as many other workers in the same microseconds: what it wanted to say is
/// left out.
const MOST_TRIES: usize = 8;

struct Cached {
    health: Health,
    read: Duration,
}

thread_local! {
    static CACHE: RefCell<BTreeMap<String, Cached>> = const { RefCell::new(BTreeMap::new()) };
}

fn key(model: &str) -> String {
    format!("dragoman.health.{model}")
}

/// The health of a model of the registry.
pub fn health(model: &str, now: Duration) -> Health {
    if !COUNTS {
        return Health::default();
    }
    let fresh = |cached: &Cached| (now.saturating_sub(cached.read) < FRESH).then_some(cached.health);
    if let Some(health) = CACHE.with_borrow(|cache| cache.get(model).and_then(fresh)) {
        return health;
    }
    let health = Health::from_bytes(&abi::shared(&key(model)).0);
    remember(model, health, now);
    health
}

/// Changes it for all workers. `change` may run several times, each time on what is there now; its last
/// result is given back.
pub fn update<T>(model: &str, now: Duration, mut change: impl FnMut(&mut Health) -> T) -> T {
    if !COUNTS {
        return change(&mut Health::default());
    }
    let key = key(model);
    let mut tries = 0;
    loop {
        let (bytes, version) = abi::shared(&key);
        let mut health = Health::from_bytes(&bytes);
        let result = change(&mut health);
        tries += 1;
        if abi::set_shared(&key, &health.to_bytes(), version) || tries == MOST_TRIES {
            remember(model, health, now);
            return result;
        }
    }
}

/// Tells all workers of a request that is about to be sent to a target that is not simply well: that it is the
/// probe, or that it takes what little is left of the limits. False if others were quicker.
pub fn claim(model: &str, tokens: u64, now: Duration) -> bool {
    let known = health(model, now);
    match known.verdict(now, tokens) {
        Verdict::Probe => update(model, now, |health| health.probe(now)),
        Verdict::Well if known.is_scarce(tokens, now) => update(model, now, |health| health.take(tokens, now)),
        _ => true,
    }
}

fn remember(model: &str, health: Health, read: Duration) {
    CACHE.with_borrow_mut(|cache| match cache.get_mut(model) {
        Some(cached) => *cached = Cached { health, read },
        None => drop(cache.insert(model.to_owned(), Cached { health, read })),
    });
}
