//! The health of targets, which all workers share through Envoy's shared data.
//!
//! A record a target, changed by compare-and-swap. It outlives a VM that is reloaded. Reading is a call
//! to the host for each target, so what was read is believed for a moment: a breaker that another worker
//! opens is known here that much later.

use std::cell::RefCell;
use std::time::Duration;

use fnv::FnvHashMap;

use super::abi;
use crate::COUNTS;
use crate::route::health::{Health, Lengths, Verdict};
use crate::route::{Candidate, Plan};

/// How long what was read is believed.
const FRESH: Duration = Duration::from_millis(50);

/// The same for how long answers to a task are, which nobody hurries to know.
const FRESH_LENGTHS: Duration = Duration::from_secs(1);

/// Whoever loses as often has met as many other workers in the same microseconds: what it wanted to say is
/// left out.
const MOST_TRIES: usize = 8;

/// What is learnt of every answer is told to the others no more often: of a target that answers thousands a
/// second, a hundred say as much.
const OFTEN: Duration = Duration::from_millis(10);

struct Cached {
    health: Health,
    read: Duration,
    /// When this worker last changed it.
    told: Duration,
    /// By task, of which there are as many as the configuration names.
    lengths: Vec<(String, Lengths, Duration)>,
}

thread_local! {
    /// By the names of models, which a request looks up several times.
    static CACHE: RefCell<FnvHashMap<String, Cached>> = RefCell::default();
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

/// The same, and how long its answers to a task of the configuration are.
pub fn health_for(model: &str, task: Option<&str>, now: Duration) -> Health {
    let health = health(model, now);
    let Some(task) = task else { return health };
    let lengths = CACHE.with_borrow_mut(|cache| {
        let known = &mut cache.get_mut(model)?.lengths;
        if let Some((_, lengths, read)) = known.iter_mut().find(|(name, ..)| name == task) {
            if now.saturating_sub(*read) >= FRESH_LENGTHS {
                (*lengths, *read) = (Lengths::from_bytes(&abi::shared(&lengths_key(model, task)).0), now);
            }
            return Some(*lengths);
        }
        let lengths = Lengths::from_bytes(&abi::shared(&lengths_key(model, task)).0);
        known.push((task.to_owned(), lengths, now));
        Some(lengths)
    });
    health.for_task(lengths.unwrap_or_default())
}

/// No name of a model has a `#`.
fn lengths_key(model: &str, task: &str) -> String {
    format!("dragoman.lengths.{model}#{task}")
}

/// Tells all workers how long an answer to a task was, in tokens. When many end at once, some may be left out.
pub fn learn_length(model: &str, task: &str, output: u64) {
    if !COUNTS {
        return;
    }
    swap(&lengths_key(model, task), &mut |bytes| {
        let mut lengths = Lengths::from_bytes(bytes);
        lengths.learn(output);
        Some(lengths.to_bytes())
    });
}

/// Changes it for all workers. `change` may run several times, each time on what is there now; its last
/// result is given back.
pub fn update(model: &str, now: Duration, change: &mut dyn FnMut(&mut Health) -> bool) -> bool {
    if !COUNTS {
        return change(&mut Health::default());
    }
    let (mut health, mut result) = (Health::default(), false);
    swap(&key(model), &mut |bytes| {
        health = Health::from_bytes(bytes);
        result = change(&mut health);
        Some(health.to_bytes())
    });
    remember(model, health, now);
    CACHE.with_borrow_mut(|cache| cache.get_mut(model).into_iter().for_each(|cached| cached.told = now));
    result
}

/// Changes what all workers share under a key. `change` runs on what is there, again whenever another worker was
/// quicker, until it wants nothing changed.
pub fn swap(key: &str, change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) {
    for _ in 0..MOST_TRIES {
        let (bytes, version) = abi::shared(key);
        let Some(changed) = change(&bytes) else { return };
        if abi::set_shared(key, &changed, version) {
            return;
        }
    }
}

/// Whether this worker has told the others something of a target so shortly ago that what is only learnt can wait
/// for the next answer.
pub fn has_just_told(model: &str, now: Duration) -> bool {
    let is_recent = |cached: &Cached| now.saturating_sub(cached.told) < OFTEN;
    CACHE.with_borrow(|cache| cache.get(model).is_some_and(is_recent))
}

/// Tells all workers of a request that is about to be sent to a target that is not simply well: that it is the
/// probe, or that it takes what little is left of the limits. `tokens`: of its prompt, as estimated. Tells whether it
/// is the probe; `None` if others were quicker.
pub fn claim(model: &str, tokens: u64, now: Duration) -> Option<bool> {
    let known = health(model, now);
    let tokens = known.input(tokens);
    match known.verdict(now, tokens) {
        Verdict::Probe => update(model, now, &mut |health| health.probe(now)).then_some(true),
        Verdict::Well if known.is_scarce(tokens, now) => {
            update(model, now, &mut |health| health.take(tokens, now)).then_some(false)
        }
        _ => Some(false),
    }
}

/// Another request may be the probe: the client of the one that was has left without a word of the provider, which
/// says nothing of that.
pub fn left(candidate: Option<&Candidate>) {
    let Some(model) = candidate.map(|candidate| &candidate.target.model) else { return };
    update(model, abi::now(), &mut |health| {
        health.left();
        true
    });
}

/// Notes that an answer of a candidate was broken off.
pub fn broke(plan: &Plan, candidate: usize) {
    if let Some(candidate) = plan.candidates.get(candidate).filter(|_| plan.breaker) {
        let now = abi::now();
        update(&candidate.target.model, now, &mut |health| {
            health.broke(now, u64::from(now.subsec_nanos()));
            true
        });
    }
}

fn remember(model: &str, health: Health, read: Duration) {
    CACHE.with_borrow_mut(|cache| match cache.get_mut(model) {
        Some(cached) => (cached.health, cached.read) = (health, read),
        None => {
            drop(cache.insert(model.to_owned(), Cached { health, read, told: Duration::ZERO, lengths: Vec::new() }))
        }
    });
}
