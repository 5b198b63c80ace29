//! Which targets get a request, in which order, and why: pure functions over the request, what is
//! known of the models, what is known of their health, and the time.
//!
//! Hard limits first (what a request needs, what it may cost, where it may go), then an order by the
//! route's policy, then health: who is not well goes last. Every target that is considered is in the
//! [`Decision`], with the reason if it was left out, so that whoever asks can be told.

use std::fmt;
use std::hash::Hasher;
use std::time::Duration;

use crate::chat::Usage;
use crate::config::registry::{Capabilities, Capability, Date, Facts, Price, Rank, Variant};
use crate::json;
use crate::route::health::{Health, Verdict};

/// A running conversation may go on for so many days after its model has retired.
const GRACE: u32 = 7;

/// An estimate of the prompt may be this much too high: only what is surely too long is left out.
const SURELY: f64 = 0.8;

/// The output of a model that nothing is known of.
const USUAL_OUTPUT: f64 = 400.0;

/// One request in so many goes to the target of which least is known, …
const EXPLORE: u64 = 50;
/// … as long as that is less than this.
const ENOUGH_SAMPLES: f64 = 10.0;

/// What the policy has to know of a request.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    pub needs: Capabilities,
    /// Of tokens in the prompt, as estimated.
    pub input: u64,
    /// The most output that was asked for.
    pub output: Option<u64>,
    pub streamed: bool,
    /// Whether it goes on a conversation: a model has spoken in it before.
    pub running: bool,
    /// Micro-dollars.
    pub max_cost: Option<u64>,
    pub region: Option<&'a str>,
    pub task: Option<&'a str>,
    /// What weighted choices are the same for.
    pub key: u64,
    /// Any number, another for each request.
    pub seed: u64,
}

/// A target as the policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Its name in the registry.
    pub name: &'a str,
    pub facts: &'a Facts,
    pub context_window: Option<u64>,
    pub max_output: Option<u64>,
    pub health: Health,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Indices into the variant's targets, in the order to try them.
    pub order: Vec<usize>,
    /// Nobody is well: only the first is tried, rather than nothing, and this is how it is.
    pub last_resort: Option<Verdict>,
    /// All targets of the variant, in its order.
    pub considered: Vec<Considered>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Considered {
    pub left_out: Option<LeftOut>,
    /// Its place in the order of attempts, from 1, once the request is written for it.
    pub place: Option<usize>,
    /// What the request needs and it lacks.
    pub lacks: Capabilities,
    /// Micro-dollars, estimated.
    pub cost: Option<u64>,
    /// Milliseconds to the first token, and for the whole answer, as learnt.
    pub first_token: Option<f64>,
    pub whole: Option<f64>,
    /// Thousandths.
    pub quality: Option<u16>,
    /// The higher the better; only where the policy is a score.
    pub score: Option<f64>,
    /// What it is the sum of: see [`PARTS`].
    pub parts: [f64; PARTS.len()],
    pub verdict: Verdict,
}

/// The parts of a score.
pub const PARTS: [&str; 5] = ["cost", "latency", "quality", "bias", "failures"];

/// Why a target is no candidate. Put into words only for whoever asks: most requests leave somebody out.
#[derive(Clone, Debug, PartialEq)]
pub enum LeftOut {
    Retired(Date),
    Lacks(Capabilities),
    TooLong {
        tokens: u64,
        window: u64,
    },
    Elsewhere(String),
    Untagged(String),
    TooDear {
        cost: u64,
        most: u64,
    },
    TooSlow {
        first_token: f64,
        limit: f64,
    },
    Weightless,
    /// In the words of whoever was to write the request for it.
    Refused(String),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeftOut::Retired(date) => write!(f, "it retired on {date}"),
            LeftOut::Lacks(lacks) => {
                let names: Vec<_> = lacks.iter().map(Capability::name).collect();
                write!(f, "it lacks {}", names.join(", "))
            }
            LeftOut::TooLong { tokens, window } => write!(f, "about {tokens} tokens do not fit into its {window}"),
            LeftOut::Elsewhere(region) => write!(f, "it is not in the region {region}"),
            LeftOut::Untagged(tag) => write!(f, "it has no tag {tag}"),
            LeftOut::TooDear { cost, most } => {
                write!(f, "it would cost about {cost} micro-dollars, more than {most}")
            }
            LeftOut::TooSlow { first_token, limit } => {
                let [first_token, limit] = [first_token, limit].map(|time| json::decimal(*time, 0));
                write!(f, "its first token takes about {first_token} ms, more than {limit}")
            }
            LeftOut::Weightless => f.write_str("its weight is 0"),
            LeftOut::Refused(why) => f.write_str(why),
        }
    }
}

/// Decides. `targets`: what is known of the variant's targets, in its order.
pub fn decide(variant: &Variant, targets: &[Known<'_>], request: &Request<'_>, now: Duration) -> Decision {
    let mut considered = Vec::with_capacity(targets.len());
    considered.extend(targets.iter().map(|target| consider(variant, target, request, now)));
    let first = match variant.rank {
        Rank::Ordered => None,
        Rank::Weighted => drawn(variant, targets, &mut considered, request.key, now),
        Rank::Score { cost, latency, quality } => {
            let weights = [cost, latency, quality].map(|weight| f64::from(weight) / 1_000.0);
            best(variant, targets, &mut considered, weights, request, now)
        }
    };
    let chosen = first.and_then(|first| targets.get(first).zip(considered.get(first)));
    let mut places: Vec<Place> = Vec::with_capacity(targets.len());
    for (index, (target, it)) in targets.iter().zip(&considered).enumerate() {
        if it.left_out.is_none() {
            let behind = match chosen {
                Some(chosen) if first != Some(index) => 1.0 + distance(chosen, (target, it)),
                _ => 0.0,
            };
            // Numbers that are not negative are ordered as their bits are.
            places.push((u128::from(wait(it)) << 64 | u128::from(behind.to_bits()), index));
        }
    }
    sort(&mut places);
    let order: Vec<usize> = places.into_iter().map(|(_, index)| index).collect();
    let first = order.first().and_then(|first| considered.get(*first));
    let last_resort = first.filter(|it| wait(it) > 0).map(|it| it.verdict);
    Decision { order, last_resort, considered }
}

/// What something is sorted by, and its index, which decides between equals.
pub type Place = (u128, usize);

/// One for all that is sorted when a request is routed: a sort is a lot of code.
pub fn sort(places: &mut [Place]) {
    places.sort_unstable();
}

/// Who is not well goes behind everybody who is; if nobody is, whoever is back first is in front.
fn wait(it: &Considered) -> u64 {
    match it.verdict {
        Verdict::Open(until) | Verdict::Exhausted(until) => until,
        Verdict::Well | Verdict::Probe => 0,
    }
}

/// Below this share of its rate limits a target's weight shrinks with what is left, …
const LITTLE_ROOM: f64 = 0.1;
/// … but never to nothing, which would end the draw where all are short of it.
const LEAST_ROOM: f64 = 0.001;

fn consider(variant: &Variant, target: &Known<'_>, request: &Request<'_>, now: Duration) -> Considered {
    let facts = target.facts;
    let learnt = target.health.learnt();
    let input = request.input as f64 * learnt.factor();
    let usual = learnt.output().unwrap_or(USUAL_OUTPUT);
    let most_output = [request.output, target.max_output].into_iter().flatten().min();
    let output = most_output.map_or(usual, |most| usual.min(most as f64));
    let cost = facts.price.as_ref().map(|price| cost(price, input, output, learnt.cached()));
    let first_token = learnt.first_token(input as u64);
    // Of a target that has only given whole answers the rate is all that is known.
    let whole = learnt.rate().map(|rate| first_token.unwrap_or(0.0) + output / rate * 1_000.0);
    let mut considered = Considered {
        left_out: None,
        place: None,
        lacks: facts.capabilities.map_or(Capabilities::NONE, |has| request.needs.without(has)),
        cost,
        first_token,
        whole,
        quality: facts.quality.of(request.task.or(variant.task.as_deref())),
        score: None,
        parts: [0.0; PARTS.len()],
        verdict: target.health.verdict(now, input as u64),
    };
    // What was asked for has to fit in, too.
    let wanted = request.output.and(most_output).unwrap_or(0) as f64;
    considered.left_out = left_out(variant, target, request, now, &considered, input, wanted);
    considered
}

fn left_out(
    variant: &Variant,
    target: &Known<'_>,
    request: &Request<'_>,
    now: Duration,
    it: &Considered,
    input: f64,
    wanted: f64,
) -> Option<LeftOut> {
    let facts = target.facts;
    if let Some(date) = facts.retires.filter(|_| has_ended(facts, Date::of(now), request.running)) {
        return Some(LeftOut::Retired(date));
    }
    if !it.lacks.is_empty() {
        return Some(LeftOut::Lacks(it.lacks));
    }
    if let Some(window) = target.context_window.filter(|window| input * SURELY + wanted > *window as f64) {
        return Some(LeftOut::TooLong { tokens: (input + wanted) as u64, window });
    }
    for region in [request.region, variant.region.as_deref()].into_iter().flatten() {
        if facts.region.as_deref() != Some(region) {
            return Some(LeftOut::Elsewhere(region.to_owned()));
        }
    }
    if let Some(tag) = variant.tags.iter().find(|tag| !facts.tags.contains(tag)) {
        return Some(LeftOut::Untagged(tag.clone()));
    }
    let most = [variant.max_cost, request.max_cost].into_iter().flatten().min();
    if let Some((cost, most)) = it.cost.zip(most).filter(|(cost, most)| cost > most) {
        return Some(LeftOut::TooDear { cost, most });
    }
    // Who is never asked is never known to be fast again.
    let explores = request.seed.is_multiple_of(EXPLORE);
    let limit = variant.max_first_token.filter(|_| !explores).map(|limit| limit.as_millis() as f64);
    let too_slow = it.first_token.zip(limit).filter(|(first_token, limit)| first_token > limit);
    too_slow.map(|(first_token, limit)| LeftOut::TooSlow { first_token, limit })
}

/// Whether a model gets no request of this kind any more.
pub fn has_ended(facts: &Facts, today: Date, running: bool) -> bool {
    let grace = if running { GRACE } else { 0 };
    facts.retires.is_some_and(|retires| today >= Date(retires.0.saturating_add(grace)))
}

/// Micro-dollars for so many tokens, of which a share of the input comes from a cache.
pub fn cost(price: &Price, input: f64, output: f64, cached: f64) -> u64 {
    let tier = tier(price, input);
    let cached_price = tier.cached_input.unwrap_or(tier.input) as f64;
    let input_price = tier.input as f64 * (1.0 - cached) + cached_price * cached;
    ((input * input_price + output * tier.output as f64) / 1_000_000.0).round() as u64
}

/// What an answer has cost, in micro-dollars, by the tokens that were counted.
pub fn settled(price: &Price, usage: &Usage) -> u64 {
    let tier = tier(price, usage.input as f64);
    let cached = usage.cached_input.unwrap_or(0).min(usage.input);
    let written = usage.cache_write.unwrap_or(0).min(usage.input - cached);
    let parts = [
        (usage.input - cached - written, tier.input),
        (cached, tier.cached_input.unwrap_or(tier.input)),
        (written, tier.cache_write.unwrap_or(tier.input)),
        (usage.output, tier.output),
    ];
    // No provider counts so far, but whoever claims to is not to stop anything here.
    let total: u128 = parts.iter().map(|(tokens, price)| u128::from(*tokens) * u128::from(*price)).sum();
    u64::try_from((total + 500_000) / 1_000_000).unwrap_or(u64::MAX)
}

/// The prices for a prompt of so many tokens.
fn tier(price: &Price, input: f64) -> &Price {
    price.above.iter().rev().find(|(above, _)| input > *above as f64).map_or(price, |(_, tier)| tier)
}

/// Cost, latency and quality, each against the best of the candidates: the best has 1, who is twice as dear,
/// twice as slow, or twice as far from a quality of 1, has a half. So a small difference decides little, and a
/// target far behind changes nothing between those in front. Who is not known counts as half as good as the
/// best. Of it all goes the share of attempts that failed of late.
///
/// Gives the target of the highest score, or one to find out how fast it is.
fn best(
    variant: &Variant,
    targets: &[Known<'_>],
    considered: &mut [Considered],
    weights: [f64; 3],
    request: &Request<'_>,
    now: Duration,
) -> Option<usize> {
    let mut least = [f64::INFINITY; 3];
    for it in considered.iter().filter(|it| it.left_out.is_none()) {
        for (least, value) in least.iter_mut().zip(parts(it, request.streamed)) {
            *least = least.min(value.unwrap_or(f64::INFINITY));
        }
    }
    let mut best: Option<(usize, f64)> = None;
    for (index, (it, target)) in considered.iter_mut().zip(targets).enumerate() {
        if it.left_out.is_some() {
            continue;
        }
        let bias = variant.targets.get(index).map_or(0.0, |target| f64::from(target.bias) / 1_000.0);
        let values = parts(it, request.streamed);
        it.parts = [0.0, 0.0, 0.0, bias, 0.0 - target.health.failed_share()];
        for (part, ((weight, least), value)) in it.parts.iter_mut().zip(weights.iter().zip(least).zip(values)) {
            *part = weight * value.map_or(UNKNOWN, |value| least / value);
        }
        let total = it.parts.iter().sum();
        it.score = Some(total);
        if best.is_none_or(|(_, highest)| total > highest) {
            best = Some((index, total));
        }
    }
    let (best, highest) = best?;
    // What is learnt by trying is how fast a target is: only who could win by that is tried.
    let [_, latency, _] = weights;
    let mut explored: Option<(usize, f64)> = None;
    if latency > 0.0 && request.seed.is_multiple_of(EXPLORE) {
        for (index, (it, target)) in considered.iter().zip(targets).enumerate() {
            let could_win = index != best && it.score.is_some_and(|score| score + latency > highest);
            let samples = target.health.learnt().samples(now);
            let least = explored.map_or(ENOUGH_SAMPLES, |(_, least)| least);
            if could_win && it.verdict == Verdict::Well && samples < least {
                explored = Some((index, samples));
            }
        }
    }
    Some(explored.map_or(best, |(index, _)| index))
}

/// Cost, latency and what is missing to the highest quality: something of which less is better.
fn parts(it: &Considered, streamed: bool) -> [Option<f64>; 3] {
    let latency = match (it.first_token, it.whole) {
        // Readers of a stream wait for its beginning; what follows comes faster than they read.
        (Some(first), Some(whole)) if streamed => Some(first + (whole - first) * 0.1),
        (first, whole) => whole.or(first),
    };
    [
        it.cost.map(|cost| cost as f64 + NO_COST),
        latency.map(|latency| latency + NO_TIME),
        it.quality.map(|quality| f64::from(1_000_u16.saturating_sub(quality)) + NO_FLAW),
    ]
}

/// What nobody cares about: micro-dollars of a request, milliseconds, and thousandths of quality.
const NO_COST: f64 = 10.0;
const NO_TIME: f64 = 50.0;
const NO_FLAW: f64 = 20.0;

const UNKNOWN: f64 = 0.5;

/// What somebody with a share draws by weighted rendezvous hashing; the highest wins. The same for the same
/// hash of key and name, and a change of one share moves only keys to or from its owner.
fn draw(hash: u64, share: f64) -> f64 {
    // In (0, 1): never an end of it, where the logarithm has none.
    let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    share / -uniform.ln()
}

/// One of several by their weights, the same for the same key: `None` if all weights are 0.
pub fn pick<T>(key: u64, items: &[T], weight: impl Fn(&T) -> u32, name: impl Fn(&T) -> &str) -> Option<&T> {
    let mut best = (0.0, None);
    for item in items {
        let drawn = draw(hash(key, name(item).as_bytes()), f64::from(weight(item)));
        if drawn > best.0 {
            best = (drawn, Some(item));
        }
    }
    best.1
}

/// One of the candidates by their shares. Whose share is nothing gets nothing, not even in failover.
fn drawn(
    variant: &Variant,
    targets: &[Known<'_>],
    considered: &mut [Considered],
    key: u64,
    now: Duration,
) -> Option<usize> {
    let mut hashes: Vec<Place> = Vec::with_capacity(targets.len());
    for (index, (target, it)) in targets.iter().zip(considered.iter()).enumerate() {
        if it.left_out.is_none() {
            hashes.push((u128::from(hash(key, target.name.as_bytes())), index));
        }
    }
    // A model that takes a retired one's place beside its own has both shares, and so they stand together.
    sort(&mut hashes);
    let mut best = (0.0, None);
    for same in hashes.chunk_by(|(a, _), (b, _)| a == b) {
        let weight = |(_, index): &Place| variant.targets.get(*index).map_or(0, |target| u64::from(target.weight));
        let weight: u64 = same.iter().map(weight).sum();
        if weight == 0 {
            for (_, index) in same {
                considered.get_mut(*index).into_iter().for_each(|it| it.left_out = Some(LeftOut::Weightless));
            }
        }
        let Some((hash, index)) = same.first().copied() else { continue };
        let room = match targets.get(index).map_or(1.0, |target| target.health.room(now)) {
            room if room < LITTLE_ROOM => room.max(LEAST_ROOM) / LITTLE_ROOM,
            _ => 1.0,
        };
        let drawn = draw(hash as u64, weight as f64 * room);
        if drawn > best.0 {
            best = (drawn, Some(index));
        }
    }
    best.1
}

/// How unlike the first choice another target is: its tier, then quality, context and price.
fn distance(chosen: (&Known<'_>, &Considered), other: (&Known<'_>, &Considered)) -> f64 {
    let ((this, chosen), (other, it)) = (chosen, other);
    let ratio = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (a, b) if a == b && a.is_some() => 0.0,
        (Some(a), Some(b)) => ((a.max(1) as f64) / (b.max(1) as f64)).ln().abs(),
        _ => 0.5,
    };
    let quality = match (chosen.quality, it.quality) {
        (Some(a), Some(b)) => f64::from(a.abs_diff(b)) / 100.0,
        _ => 0.5,
    };
    // A model of another class comes behind all of the same, and behind those that are in none.
    let tier = match (&this.facts.tier, &other.facts.tier) {
        (this, other) if this == other => 0.0,
        (Some(_), Some(_)) => 1_000.0,
        _ => 500.0,
    };
    tier + quality + 0.3 * ratio(this.context_window, other.context_window) + 0.5 * ratio(chosen.cost, it.cost)
}

/// A hash that is the same on every worker and after every start.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut hasher = fnv::FnvHasher::with_key(seed ^ 0xcbf2_9ce4_8422_2325);
    hasher.write(bytes);
    // FNV leaves the high bits of short texts alike; this spreads them (the end of splitmix64).
    let mut hash = hasher.finish();
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::registry::{Quality, RouteTarget, Sticky};
    use crate::error::Class;
    use crate::route::health::Budget;

    const NOW: Duration = Duration::from_secs(1_795_000_000);

    fn price(input: u64, output: u64) -> Option<Price> {
        let (input, output) = (input * 1_000_000, output * 1_000_000);
        Some(Price { input, cached_input: Some(input / 10), cache_write: None, output, above: Vec::new() })
    }

    fn facts(input: u64, output: u64, quality: u16, tier: &str) -> Facts {
        let quality = Quality { default: Some(quality), tasks: vec![("code".into(), 1000 - quality)] };
        Facts { price: price(input, output), quality, tier: Some(tier.into()), ..Facts::default() }
    }

    fn variant(rank: Rank, weights: &[u32]) -> Variant {
        let target = |(model, weight): (usize, &u32)| RouteTarget { model, weight: *weight, bias: 0 };
        Variant {
            version: "1".into(),
            weight: 1,
            rank,
            targets: weights.iter().enumerate().map(target).collect(),
            max_cost: None,
            max_first_token: None,
            region: None,
            tags: Vec::new(),
            task: None,
            sticky: Sticky::User,
        }
    }

    fn known<'a>(name: &'a str, facts: &'a Facts) -> Known<'a> {
        Known { name, facts, context_window: Some(100_000), max_output: None, health: Health::default() }
    }

    fn reason(considered: &Considered) -> String {
        considered.left_out.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    fn broken() -> Health {
        let mut health = Health::default();
        (0..5).for_each(|_| health.failed(Class::Unreachable, None, NOW, 0));
        health
    }

    #[test]
    fn whoever_lacks_what_is_needed_is_no_candidate_and_the_reason_is_told() {
        let capabilities = Some(Capabilities::NONE.with(Capability::Tools));
        let plain = Facts { capabilities, ..Facts::default() };
        let unknown = Facts::default();
        let retired = Facts { retires: Some(Date::of(NOW)), ..Facts::default() };
        let targets = [known("plain", &plain), known("unknown", &unknown), known("retired", &retired)];
        let variant = variant(Rank::Ordered, &[1, 1, 1]);
        let request = Request { needs: Capabilities::NONE.with(Capability::Images), ..Request::default() };
        let decision = decide(&variant, &targets, &request, NOW);
        assert_eq!(decision.order, [1], "what is not known is held against nobody");
        let reasons: Vec<_> = decision.considered.iter().map(reason).collect();
        assert_eq!(reasons, ["it lacks images", "", "it retired on 2026-11-18"]);
        let running = Request { running: true, ..Request::default() };
        assert_eq!(decide(&variant, &targets, &running, NOW).order, [0, 1, 2], "a conversation may end");
        let later = NOW + Duration::from_secs(u64::from(GRACE) * 86_400);
        assert_eq!(decide(&variant, &targets, &running, later).order, [0, 1]);
        let long = Request { input: 200_000, ..Request::default() };
        assert!(decide(&variant, &targets, &long, NOW).order.is_empty());
    }

    #[test]
    fn limits_of_cost_and_place_hold() {
        let (cheap, dear) = (facts(1, 1, 500, "a"), Facts { region: Some("eu".into()), ..facts(100, 100, 900, "a") });
        let targets = [known("cheap", &cheap), known("dear", &dear)];
        let mut variant = variant(Rank::Ordered, &[1, 1]);
        let request = Request { input: 10_000, max_cost: Some(50_000), ..Request::default() };
        assert_eq!(decide(&variant, &targets, &request, NOW).order, [0]);
        let request = Request { region: Some("eu"), ..Request::default() };
        assert_eq!(decide(&variant, &targets, &request, NOW).order, [1]);
        variant.max_cost = Some(1);
        let request = Request { input: 10_000, ..Request::default() };
        assert!(decide(&variant, &targets, &request, NOW).order.is_empty());
    }

    #[test]
    fn a_price_has_tiers_and_a_cached_share() {
        let mut tiered = price(2, 10).unwrap();
        tiered.above.push((200_000, price(4, 15).unwrap()));
        assert_eq!(cost(&tiered, 1_000.0, 100.0, 0.0), 3_000);
        assert_eq!(cost(&tiered, 1_000.0, 0.0, 0.5), 1_100);
        assert_eq!(cost(&tiered, 300_000.0, 1_000.0, 0.0), 1_215_000);
    }

    #[test]
    fn scores_weigh_cost_and_quality_and_names_are_their_ends() {
        let (cheap, good) = (facts(1, 1, 300, "a"), facts(10, 10, 900, "a"));
        let targets = [known("good", &good), known("cheap", &cheap)];
        let request = Request { input: 1_000, seed: 1, ..Request::default() };
        let first = |rank, request: &Request<'_>| decide(&variant(rank, &[1, 1]), &targets, request, NOW).order[0];
        assert_eq!(first(Rank::CHEAPEST, &request), 1);
        assert_eq!(first(Rank::Score { cost: 0, latency: 0, quality: 1000 }, &request), 0);
        let code = Request { task: Some("code"), ..request };
        assert_eq!(first(Rank::Score { cost: 0, latency: 0, quality: 1000 }, &code), 1, "by task");
    }

    #[test]
    fn failover_goes_to_the_likest_and_not_to_the_cheapest() {
        let all = [
            facts(10, 30, 900, "frontier"),
            facts(1, 2, 400, "small"),
            facts(8, 40, 880, "frontier"),
            facts(2, 2, 890, "small"),
        ];
        let names = ["a", "b", "c", "d"];
        let targets: Vec<_> = names.iter().zip(&all).map(|(name, facts)| known(name, facts)).collect();
        let rank = Rank::Score { cost: 0, latency: 0, quality: 1000 };
        let request = Request { input: 1_000, seed: 1, ..Request::default() };
        assert_eq!(decide(&variant(rank, &[1; 4]), &targets, &request, NOW).order, [0, 2, 3, 1]);
    }

    #[test]
    fn who_is_not_well_goes_last_and_when_nobody_is_the_first_back_is_tried() {
        let facts = Facts::default();
        let ill = Known { health: broken(), ..known("ill", &facts) };
        let well = known("well", &facts);
        let variant = variant(Rank::Ordered, &[1, 1]);
        let request = Request::default();
        assert_eq!(decide(&variant, &[ill, well], &request, NOW).order, [1, 0]);
        let mut worse = broken();
        (0..9).for_each(|n| worse.failed(Class::Unreachable, None, NOW + Duration::from_secs(n), 0));
        let worse = Known { health: worse, ..known("worse", &facts) };
        let later = NOW + Duration::from_secs(8);
        let mut ill_then = Known { health: broken(), ..ill };
        ill_then.health.failed(Class::Unreachable, None, later, 0);
        assert_eq!(decide(&variant, &[worse, ill_then], &request, later).order, [1, 0], "who is back first");
    }

    #[test]
    fn shares_are_kept_sticky_and_a_change_moves_as_few_as_possible() {
        let facts = Facts::default();
        let names = ["a", "b", "c"];
        let targets: Vec<_> = names.iter().map(|name| known(name, &facts)).collect();
        let first = |weights: &[u32], key: u64| {
            let request = Request { key, ..Request::default() };
            decide(&variant(Rank::Weighted, weights), &targets, &request, NOW).order[0]
        };
        let keys: Vec<u64> = (0..20_000).map(|n: u64| hash(0, &n.to_le_bytes())).collect();
        let share =
            |weights: &[u32], index| keys.iter().filter(|key| first(weights, **key) == index).count() as f64 / 20_000.0;
        for (index, expected) in [(0, 0.7), (1, 0.2), (2, 0.1)] {
            assert!((share(&[70, 20, 10], index) - expected).abs() < 0.015, "{index}");
        }
        assert!(keys.iter().all(|key| first(&[0, 100, 0], *key) == 1), "all or nothing is exact");
        let moved: Vec<_> = keys.iter().map(|key| (first(&[70, 20, 10], *key), first(&[70, 20, 20], *key))).collect();
        assert!(moved.iter().all(|(before, after)| before == after || *after == 2), "only to the one that grew");
    }

    #[test]
    fn a_share_shrinks_with_what_is_left_of_the_limits_before_anybody_refuses() {
        let facts = Facts::default();
        let share = |remaining: u64| {
            let mut targets = [known("short", &facts), known("other", &facts)];
            let at = NOW.as_millis() as u64;
            let budget = Budget { limit: 10_000, remaining, reset: at + 60_000, at };
            targets[0].health.limits(Some(budget), None);
            let first = |key: u64| {
                let request = Request { key: hash(0, &key.to_le_bytes()), ..Request::default() };
                decide(&variant(Rank::Weighted, &[50, 50]), &targets, &request, NOW).order[0]
            };
            (0..4_000).filter(|key| first(*key) == 0).count() as f64 / 4_000.0
        };
        for (remaining, expected) in [(9_000, 0.5), (1_000, 0.5), (500, 1.0 / 3.0), (100, 1.0 / 11.0)] {
            assert!((share(remaining) - expected).abs() < 0.03, "{remaining}: {}", share(remaining));
        }
    }

    #[test]
    fn the_least_known_is_tried_now_and_then_and_no_more_once_it_is_known() {
        let (cheap, dear) = (facts(1, 1, 500, "a"), facts(9, 9, 500, "a"));
        let targets = [known("cheap", &cheap), known("dear", &dear)];
        let mut tried = 0;
        for seed in 0..5_000 {
            let request = Request { input: 100, seed, ..Request::default() };
            let mut measured = targets;
            let learnt = crate::route::health::Measured {
                first_token: Duration::from_millis(100),
                whole: Duration::from_millis(200),
                estimated_input: 100,
                input: Some(100),
                cached_input: 0,
                output: 10,
                streamed: true,
            };
            (0..20).for_each(|_| measured[0].health.learn(&learnt, NOW));
            let first = |rank| decide(&variant(rank, &[1, 1]), &measured, &request, NOW).order[0];
            tried += usize::from(first(Rank::FASTEST) == 1);
            assert_eq!(first(Rank::CHEAPEST), 0, "trying tells nothing of a price");
        }
        assert_eq!(tried, 100);
    }

    fn measured(first_token: u64, streamed: bool) -> crate::route::health::Measured {
        let first_token = Duration::from_millis(first_token);
        let whole = first_token + Duration::from_millis(100);
        let (estimated_input, input, cached_input, output) = (1_000, Some(1_000), 0, 10);
        crate::route::health::Measured { first_token, whole, estimated_input, input, cached_input, output, streamed }
    }

    #[test]
    fn who_was_slow_is_tried_again_once_that_is_long_ago() {
        let facts = Facts::default();
        let mut targets = [known("fast", &facts), known("slow", &facts)];
        (0..50).for_each(|_| targets[0].health.learn(&measured(300, true), NOW));
        (0..50).for_each(|_| targets[1].health.learn(&measured(9_000, true), NOW));
        let tried = |variant: &Variant, now| {
            let first = |seed| {
                decide(variant, &targets, &Request { seed, ..Request::default() }, now).order.first() == Some(&1)
            };
            (0..1_000).filter(|seed| first(*seed)).count()
        };
        let fastest = variant(Rank::FASTEST, &[1, 1]);
        assert_eq!(tried(&fastest, NOW), 0);
        assert_eq!(tried(&fastest, NOW + Duration::from_secs(3_600)), 20);
        // A limit that leaves it out does not leave it out for ever.
        let limited = Variant { max_first_token: Some(Duration::from_secs(1)), ..fastest };
        assert_eq!(tried(&limited, NOW + Duration::from_secs(3_600)), 20);
    }

    #[test]
    fn whole_answers_teach_how_fast_a_target_is_too() {
        let facts = Facts::default();
        let mut targets = [known("slow", &facts), known("fast", &facts)];
        targets[0].health.learn(&measured(9_000, false), NOW);
        targets[1].health.learn(&measured(300, false), NOW);
        let request = Request { seed: 1, ..Request::default() };
        assert_eq!(decide(&variant(Rank::FASTEST, &[1, 1]), &targets, &request, NOW).order[0], 1);
    }

    #[test]
    fn a_small_difference_decides_little_and_a_far_target_nothing() {
        let quick = |first_token| {
            let mut health = Health::default();
            health.learn(&measured(first_token, true), NOW);
            health
        };
        let (good, fair, dear) = (facts(2, 2, 900, "a"), facts(1, 1, 700, "a"), facts(500, 500, 100, "a"));
        let rank = Rank::Score { cost: 0, latency: 500, quality: 500 };
        let request = Request { input: 1_000, seed: 1, ..Request::default() };
        let near = [
            Known { health: quick(305), ..known("good", &good) },
            Known { health: quick(300), ..known("fair", &fair) },
        ];
        assert_eq!(decide(&variant(rank, &[1, 1]), &near, &request, NOW).order[0], 0, "five milliseconds");
        let cheap = Rank::Score { cost: 500, latency: 0, quality: 100 };
        let with_dear = [near[0], near[1], known("dear", &dear)];
        for (weights, targets) in [(&[1; 2][..], &with_dear[..2]), (&[1; 3], &with_dear)] {
            assert_eq!(decide(&variant(cheap, weights), targets, &request, NOW).order[0], 1, "half the price");
        }
    }

    #[test]
    fn who_fails_often_loses_by_it_and_unknown_facts_are_in_the_middle() {
        let (same, unknown) = (facts(1, 1, 500, "a"), Facts::default());
        let mut failing = known("failing", &same);
        for n in 0..30 {
            if n % 3 == 0 { failing.health.failed(Class::Transient, None, NOW, 0) } else { failing.health.succeeded() }
        }
        let request = Request { seed: 1, ..Request::default() };
        let targets = [failing, known("well", &same)];
        assert_eq!(decide(&variant(Rank::CHEAPEST, &[1, 1]), &targets, &request, NOW).order[0], 1);
        let (cheap, dear) = (facts(1, 1, 900, "a"), facts(9, 9, 300, "a"));
        let targets = [known("dear", &dear), known("unknown", &unknown), known("cheap", &cheap)];
        for rank in [Rank::CHEAPEST, Rank::Score { cost: 0, latency: 0, quality: 1000 }] {
            let decision = decide(&variant(rank, &[1; 3]), &targets, &request, NOW);
            let score = |index: usize| decision.considered[index].score.unwrap();
            assert_eq!(decision.order[0], 2);
            assert!(score(0) < score(1) && score(1) < score(2), "{rank:?}");
        }
        // What has no price is held to no limit of it.
        let poor = Request { max_cost: Some(0), ..request };
        assert_eq!(decide(&variant(Rank::Ordered, &[1; 3]), &targets, &poor, NOW).order, [1]);
    }

    #[test]
    fn two_shares_of_one_model_are_one_share_and_none_is_said_to_be_none() {
        let facts = Facts::default();
        let targets = [known("a", &facts), known("a", &facts), known("b", &facts), known("c", &facts)];
        let variant = variant(Rank::Weighted, &[30, 30, 40, 0]);
        let first = |key: u64| {
            let request = Request { key: hash(0, &key.to_le_bytes()), ..Request::default() };
            decide(&variant, &targets, &request, NOW).order[0]
        };
        let share = (0..10_000).filter(|key| first(*key) < 2).count() as f64 / 10_000.0;
        assert!((share - 0.6).abs() < 0.02, "{share}");
        let decision = decide(&variant, &targets, &Request::default(), NOW);
        assert_eq!(reason(&decision.considered[3]), "its weight is 0");
    }

    #[test]
    fn the_cost_counts_no_more_output_than_there_can_be() {
        let priced = facts(0, 10, 500, "a");
        let cost = |output, max_output| {
            let target = Known { max_output, ..known("a", &priced) };
            let request = Request { output, ..Request::default() };
            decide(&variant(Rank::Ordered, &[1]), &[target], &request, NOW).considered[0].cost.unwrap()
        };
        assert_eq!(cost(None, None), 4_000);
        assert_eq!(cost(Some(100), Some(50)), 500);
        assert_eq!(cost(Some(100), Some(5_000)), 1_000);
        // And what is asked for has to fit behind the prompt.
        let target = [known("a", &priced)];
        let request = Request { input: 50_000, output: Some(70_000), ..Request::default() };
        assert!(decide(&variant(Rank::Ordered, &[1]), &target, &request, NOW).order.is_empty());
    }

    #[test]
    fn knowledge_that_makes_no_sense_makes_no_decision() {
        let priced = facts(1, 1, 500, "a");
        let mut bytes = Health::default().to_bytes();
        let floats = bytes.len() - 48;
        for value in [f32::MAX, f32::MIN_POSITIVE, -1.0, f32::MIN] {
            bytes.get_mut(floats..).unwrap().chunks_mut(4).for_each(|it| it.copy_from_slice(&value.to_le_bytes()));
            let odd = Known { health: Health::from_bytes(&bytes), ..known("odd", &priced) };
            for rank in [Rank::CHEAPEST, Rank::FASTEST, Rank::Weighted] {
                let decision =
                    decide(&variant(rank, &[1, 1]), &[odd, known("even", &priced)], &Request::default(), NOW);
                assert_eq!(decision.order.len(), 2);
                assert!(decision.considered.iter().all(|it| it.score.is_none_or(f64::is_finite)), "{value}");
            }
        }
    }
}
