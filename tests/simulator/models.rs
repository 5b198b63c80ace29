//! The providers' models, and what happens to them: the same for every policy.

use dragoman::config::registry::{Facts, Price, Quality};
use dragoman::error::Class;
use dragoman::route::health::Budget;

pub const COUNT: usize = 5;

/// In seconds from the start.
pub const LENGTH: u64 = 5_400;

pub struct Model {
    pub name: &'static str,
    /// Dollars per million tokens.
    input: u64,
    output: u64,
    quality: u16,
    tier: &'static str,
    /// Milliseconds to the first token, and for each thousand tokens of the prompt.
    base: f64,
    slope: f64,
    /// Tokens a second.
    pub rate: f64,
    /// How long its answers are, against those of others.
    pub wordiness: f64,
    /// The tokenizer's, against ours.
    pub tokens: f64,
    /// Requests a minute; 0 for no limit.
    limit: u64,
    /// Of ten thousand attempts so many fail for no reason.
    pub faults: usize,
}

pub const MODELS: [Model; COUNT] = [
    Model {
        name: "large",
        input: 5,
        output: 25,
        quality: 930,
        tier: "large",
        base: 900.0,
        slope: 60.0,
        rate: 60.0,
        wordiness: 1.2,
        tokens: 1.2,
        limit: 0,
        faults: 60,
    },
    Model {
        name: "large-too",
        input: 2,
        output: 10,
        quality: 910,
        tier: "large",
        base: 600.0,
        slope: 90.0,
        rate: 80.0,
        wordiness: 1.0,
        tokens: 1.0,
        limit: 0,
        faults: 40,
    },
    Model {
        name: "middle",
        input: 1,
        output: 5,
        quality: 840,
        tier: "middle",
        base: 450.0,
        slope: 25.0,
        rate: 120.0,
        wordiness: 1.0,
        tokens: 1.2,
        limit: 0,
        faults: 40,
    },
    Model {
        name: "quick",
        input: 1,
        output: 2,
        quality: 760,
        tier: "small",
        base: 150.0,
        slope: 20.0,
        rate: 400.0,
        wordiness: 0.9,
        tokens: 1.05,
        limit: 45,
        faults: 100,
    },
    Model {
        name: "small",
        input: 0,
        output: 1,
        quality: 720,
        tier: "small",
        base: 380.0,
        slope: 35.0,
        rate: 150.0,
        wordiness: 0.8,
        tokens: 1.0,
        limit: 0,
        faults: 40,
    },
];

impl Model {
    pub fn facts(&self) -> Facts {
        // The smallest costs a fraction of a dollar.
        let dollars = |price: u64| if price == 0 { 200_000 } else { price * 1_000_000 };
        let price = Price {
            input: dollars(self.input),
            cached_input: None,
            cache_write: None,
            output: dollars(self.output),
            above: Vec::new(),
        };
        let quality = Quality { default: Some(self.quality), tasks: Vec::new() };
        Facts { price: Some(price), quality, tier: Some(self.tier.into()), ..Facts::default() }
    }

    pub fn quality(&self) -> u16 {
        self.quality
    }

    /// Milliseconds to the first token at a time.
    pub fn first_token(&self, second: u64, input: f64) -> f64 {
        (self.base + self.slope * input / 1_000.0) * slowness(self.name, second)
    }

    pub fn bucket(&self) -> Option<Bucket> {
        (self.limit > 0).then_some(Bucket { limit: self.limit, level: self.limit as f64, at: 0 })
    }
}

/// What is wrong at a time: how an attempt fails, and what share of a hundred does.
pub fn outage(model: &str, second: u64) -> Option<(Class, usize)> {
    match (model, second) {
        // It is down.
        ("large", 600..=1_200) => Some((Class::Unreachable, 100)),
        // It accepts requests and says nothing.
        ("large", 1_800..=2_100) => Some((Class::Silent, 100)),
        // It flaps: two seconds of ten.
        ("small", 2_700..=3_300) => (second % 10 < 2).then_some((Class::Unreachable, 100)),
        // A third of the attempts fail.
        ("middle", 3_000..=3_600) => Some((Class::Transient, 33)),
        ("large", 4_500..=4_800) => Some((Class::Malformed, 60)),
        _ => None,
    }
}

/// By what its first token is late.
fn slowness(model: &str, second: u64) -> f64 {
    match (model, second) {
        ("large-too", 3_900..=4_200) => 6.0,
        ("small", 1_200..=1_800) => 5.0,
        ("quick", 2_400..=2_700) => 20.0,
        _ => 1.0,
    }
}

/// A rate limit, filled evenly.
pub struct Bucket {
    limit: u64,
    level: f64,
    at: u64,
}

impl Bucket {
    /// What the headers of an answer say, and whether the request was let through.
    pub fn take(&mut self, now: u64) -> (Budget, bool) {
        let filled = self.limit as f64 * (now - self.at) as f64 / 60_000.0;
        self.level = (self.level + filled).min(self.limit as f64);
        self.at = now;
        let is_let = self.level >= 1.0;
        if is_let {
            self.level -= 1.0;
        }
        let reset = now + ((self.limit as f64 - self.level) / self.limit as f64 * 60_000.0) as u64;
        (Budget { limit: self.limit, remaining: self.level as u64, reset, at: now }, is_let)
    }
}
