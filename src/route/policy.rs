//! Which targets get a request, in which order, and why: pure functions over the request, what is
//! known of the models, what is known of their health, and the time.
//!
//! Hard limits first (what a request needs, what it may cost, where it may go), then an order by the
//! route's policy, then health: who is not well goes last. Every target that is considered is in the
//! [`Decision`], with the reason if it was left out, so that whoever asks can be told.

use std::borrow::Cow;
use std::hash::Hasher;
use std::time::Duration;

use crate::chat::Usage;
use crate::config::registry::{Capabilities, Capability, Date, Facts, Price, Rank, Variant};
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
    pub health: Health,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Indices into the variant's targets, in the order to try them.
    pub order: Vec<usize>,
    /// Nobody is well: the first is tried once, rather than nothing.
    pub is_last_resort: bool,
    /// All targets of the variant, in its order.
    pub considered: Vec<Considered>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Considered {
    /// Why it is no candidate.
    pub left_out: Option<Cow<'static, str>>,
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
    pub verdict: Verdict,
}

/// Decides. `targets`: what is known of the variant's targets, in its order.
pub fn decide(variant: &Variant, targets: &[Known<'_>], request: &Request<'_>, now: Duration) -> Decision {
    let mut considered: Vec<Considered> =
        targets.iter().map(|target| consider(variant, target, request, now)).collect();
    let mut order: Vec<usize> =
        considered.iter().enumerate().filter(|(_, it)| it.left_out.is_none()).map(|(index, _)| index).collect();
    match variant.rank {
        Rank::Ordered => {}
        Rank::Weighted => {
            let weight = |index: usize| variant.targets.get(index).map_or(0, |target| target.weight);
            let room = |index: usize| targets.get(index).map_or(1.0, |target| target.health.room(now));
            let share =
                |index: usize| f64::from(weight(index)) * if room(index) < LITTLE_ROOM { room(index) } else { 1.0 };
            let name = |index: usize| targets.get(index).map_or("", |target| target.name);
            // A share of nothing gets nothing, not even in failover.
            order.retain(|index| weight(*index) > 0);
            if let Some(first) = drawn(request.key, &order, share, name) {
                follow(&mut order, first, targets, &considered);
            }
        }
        Rank::Score { cost, latency, quality } => {
            let weights = [cost, latency, quality].map(|weight| f64::from(weight) / 1_000.0);
            score(variant, &mut considered, &order, weights, request.streamed);
            let score = |index: &usize| considered.get(*index).and_then(|it| it.score).unwrap_or(0.0);
            let best = order.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b)).then(b.cmp(a)));
            let first = explored(request.seed, &order, targets).or(best);
            if let Some(first) = first {
                follow(&mut order, first, targets, &considered);
            }
        }
    }
    // Who is not well goes behind everybody who is; if nobody is, whoever is back first is tried, once.
    let wait = |index: &usize| match considered.get(*index).map(|it| it.verdict) {
        Some(Verdict::Open(until) | Verdict::Exhausted(until)) => until,
        _ => 0,
    };
    order.sort_by_key(wait);
    let is_last_resort = order.first().is_some_and(|first| wait(first) > 0);
    if is_last_resort {
        order.truncate(1);
    }
    Decision { order, is_last_resort, considered }
}

/// Below this share of its rate limits a target's weight shrinks with what is left.
const LITTLE_ROOM: f64 = 0.1;

fn consider(variant: &Variant, target: &Known<'_>, request: &Request<'_>, now: Duration) -> Considered {
    let facts = target.facts;
    let learnt = target.health.learnt();
    let input = request.input as f64 * learnt.factor();
    let usual = learnt.output().unwrap_or(USUAL_OUTPUT);
    let output = request.output.map_or(usual, |most| usual.min(most as f64));
    let cost = facts.price.as_ref().map(|price| cost(price, input, output, learnt.cached()));
    let first_token = learnt.first_token(input as u64);
    let whole = first_token.zip(learnt.rate()).map(|(first_token, rate)| first_token + output / rate * 1_000.0);
    let lacks = facts.capabilities.map_or(Capabilities::NONE, |has| request.needs.without(has));
    let ended = facts.retires.filter(|_| has_ended(facts, Date::of(now), request.running));
    let regions = [request.region, variant.region.as_deref()];
    let elsewhere = regions.into_iter().flatten().find(|region| facts.region.as_deref() != Some(region));
    let most = [variant.max_cost, request.max_cost].into_iter().flatten().min();
    let slowest = variant.max_first_token.map(|limit| limit.as_millis() as f64);
    let left_out: Option<Cow<'static, str>> = if let Some(date) = ended {
        Some(format!("it retired on {date}").into())
    } else if !lacks.is_empty() {
        let names: Vec<_> = lacks.iter().map(Capability::name).collect();
        Some(format!("it lacks {}", names.join(", ")).into())
    } else if let Some(window) = target.context_window.filter(|window| input * SURELY > *window as f64) {
        Some(format!("about {} tokens do not fit into its {window}", input as u64).into())
    } else if let Some(region) = elsewhere {
        Some(format!("it is not in the region {region}").into())
    } else if let Some(tag) = variant.tags.iter().find(|tag| !facts.tags.contains(tag)) {
        Some(format!("it has no tag {tag}").into())
    } else if let Some((cost, most)) = cost.zip(most).filter(|(cost, most)| cost > most) {
        Some(format!("it would cost about {cost} micro-dollars, more than {most}").into())
    } else if let Some((slow, limit)) = first_token.zip(slowest).filter(|(slow, limit)| slow > limit) {
        Some(format!("its first token takes about {slow:.0} ms, more than {limit:.0}").into())
    } else {
        None
    };
    let tokens = input as u64;
    Considered {
        left_out,
        lacks,
        cost,
        first_token,
        whole,
        quality: facts.quality.of(request.task.or(variant.task.as_deref())),
        score: None,
        verdict: target.health.verdict(now, tokens),
    }
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

/// Cost, latency and quality against the best and worst of the candidates. What is not known counts as the
/// middle of what is, so that nobody wins or loses by being unknown.
fn score(variant: &Variant, considered: &mut [Considered], order: &[usize], weights: [f64; 3], streamed: bool) {
    let latency = |it: &Considered| match (it.first_token, it.whole) {
        // Readers of a stream wait for its beginning; what follows comes faster than they read.
        (Some(first), Some(whole)) if streamed => Some(first + (whole - first) * 0.1),
        (first, whole) => whole.or(first),
    };
    let parts = |it: &Considered| {
        [it.cost.map(|cost| -(cost as f64)), latency(it).map(|latency| -latency), it.quality.map(f64::from)]
    };
    let mut range = [(f64::INFINITY, f64::NEG_INFINITY); 3];
    for it in order.iter().filter_map(|index| considered.get(*index)) {
        for ((least, most), value) in range.iter_mut().zip(parts(it)) {
            if let Some(value) = value {
                *least = least.min(value);
                *most = most.max(value);
            }
        }
    }
    for index in order {
        let Some(it) = considered.get_mut(*index) else { continue };
        let mut total = variant.targets.get(*index).map_or(0.0, |target| f64::from(target.bias) / 1_000.0);
        for ((weight, (least, most)), value) in weights.iter().zip(range).zip(parts(it)) {
            let place = match value {
                Some(value) if most > least => (value - least) / (most - least),
                Some(_) => 1.0,
                None => 0.5,
            };
            total += weight * place;
        }
        it.score = Some(total);
    }
}

/// A draw by shares that is the same for the same key, by weighted rendezvous hashing: a change of one
/// share moves only keys to or from that target.
fn drawn<'a>(
    key: u64,
    order: &[usize],
    share: impl Fn(usize) -> f64,
    name: impl Fn(usize) -> &'a str,
) -> Option<usize> {
    let draw = |index: usize| {
        let hash = hash(key, name(index).as_bytes());
        // In (0, 1): never an end of it, where the logarithm has none.
        let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        share(index) / -uniform.ln()
    };
    order.iter().copied().filter(|index| share(*index) > 0.0).max_by(|a, b| draw(*a).total_cmp(&draw(*b)))
}

/// One of several by their weights, the same for the same key: `None` if all weights are 0.
pub fn pick<T>(key: u64, items: &[T], weight: impl Fn(&T) -> u32, name: impl Fn(&T) -> &str) -> Option<&T> {
    let order: Vec<usize> = (0..items.len()).collect();
    let share = |index: usize| items.get(index).map_or(0.0, |item| f64::from(weight(item)));
    items.get(drawn(key, &order, share, |index| items.get(index).map_or("", &name))?)
}

/// The target of which least is known, for a small and bounded part of the requests, so that none is
/// starved of measurements.
fn explored(seed: u64, order: &[usize], targets: &[Known<'_>]) -> Option<usize> {
    if !seed.is_multiple_of(EXPLORE) {
        return None;
    }
    let samples = |index: &usize| targets.get(*index).map_or(f64::MAX, |target| target.health.learnt().samples());
    order
        .iter()
        .copied()
        .min_by(|a, b| samples(a).total_cmp(&samples(b)))
        .filter(|least| samples(least) < ENOUGH_SAMPLES)
}

/// Puts `first` in front and the others behind it, the likest first: same tier, then near in quality,
/// context and price.
fn follow(order: &mut [usize], first: usize, targets: &[Known<'_>], considered: &[Considered]) {
    let Some((this, chosen)) = targets.get(first).zip(considered.get(first)) else { return };
    let ratio = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (Some(a), Some(b)) => ((a.max(1) as f64) / (b.max(1) as f64)).ln().abs(),
        _ => 0.5,
    };
    let distance = |index: &usize| {
        let Some((other, it)) = targets.get(*index).zip(considered.get(*index)) else { return f64::MAX };
        if *index == first {
            return -1.0;
        }
        let quality = match (chosen.quality, it.quality) {
            (Some(a), Some(b)) => f64::from(a.abs_diff(b)) / 100.0,
            _ => 0.5,
        };
        // A model of another class comes behind all of the same.
        let tier = if this.facts.tier == other.facts.tier { 0.0 } else { 1_000.0 };
        tier + quality + 0.3 * ratio(this.context_window, other.context_window) + 0.5 * ratio(chosen.cost, it.cost)
    };
    order.sort_by(|a, b| distance(a).total_cmp(&distance(b)).then(a.cmp(b)));
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
        Known { name, facts, context_window: Some(100_000), health: Health::default() }
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
        let reasons: Vec<_> = decision.considered.iter().map(|it| it.left_out.as_deref()).collect();
        assert_eq!(reasons, [Some("it lacks images"), None, Some("it retired on 2026-11-18")]);
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
        assert_eq!(decide(&variant, &[worse, ill_then], &request, later).order, [1], "once, rather than nothing");
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
            tried += usize::from(decide(&variant(Rank::CHEAPEST, &[1, 1]), &measured, &request, NOW).order[0] == 1);
        }
        assert_eq!(tried, 100);
    }
}
