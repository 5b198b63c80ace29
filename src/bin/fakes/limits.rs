//! Rate limits as providers have them: a bucket of requests and one of tokens, which fill up evenly. Every answer tells
//! what is left of them, in the headers of its provider.

use std::time::{Duration, SystemTime};

use crate::faults::Faults;

const MINUTE: u64 = 60;

/// Those that were asked for, with what is left of them.
pub struct Limits {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

struct Bucket {
    limit: f64,
    level: f64,
    /// In which an empty one fills up.
    window: Duration,
    at: SystemTime,
}

/// What a request has found.
#[derive(Default)]
pub struct Found {
    /// In so many seconds the limits hold the request, which they do not now.
    pub wait: Option<u64>,
    /// The provider's own, as they now are.
    pub headers: Vec<(&'static str, String)>,
}

impl Limits {
    /// `limit_requests` and `limit_tokens` in `limit_window_s`, a minute if that is not said.
    pub fn asked(faults: &Faults, now: SystemTime) -> Self {
        let window = Duration::from_secs(faults.number("limit_window_s").unwrap_or(MINUTE).max(1));
        let bucket = |name| faults.number(name).map(|limit| Bucket::full(limit as f64, window, now));
        Limits { requests: bucket("limit_requests"), tokens: bucket("limit_tokens") }
    }

    /// Takes a request of so many tokens, if there is room for it. `headers`: the provider's, with values that show
    /// how it writes them.
    pub fn take(&mut self, tokens: u64, headers: &[(&'static str, &'static str)], now: SystemTime) -> Found {
        let wanted = || [(&self.requests, 1.0), (&self.tokens, tokens as f64)].into_iter();
        let waits = wanted().filter_map(|(bucket, needed)| Some(bucket.as_ref()?.wait(needed, now)));
        let wait = waits.max().filter(|wait| !wait.is_zero());
        if wait.is_none() {
            for (bucket, taken) in [(&mut self.requests, 1.0), (&mut self.tokens, tokens as f64)] {
                if let Some(bucket) = bucket {
                    (bucket.level, bucket.at) = (bucket.level(now) - taken, now);
                }
            }
        }
        let told = headers.iter().filter_map(|(name, example)| {
            let bucket = if name.contains("token") { &self.tokens } else { &self.requests };
            Some((*name, bucket.as_ref()?.told(name, example, now)?))
        });
        Found { wait: wait.map(|wait| wait.as_secs_f64().ceil() as u64), headers: told.collect() }
    }
}

impl Bucket {
    fn full(limit: f64, window: Duration, now: SystemTime) -> Self {
        Bucket { limit, level: limit, window, at: now }
    }

    fn level(&self, now: SystemTime) -> f64 {
        let since = now.duration_since(self.at).unwrap_or_default();
        (self.level + self.limit * since.as_secs_f64() / self.window.as_secs_f64()).min(self.limit)
    }

    /// Until it holds so much, or is full.
    fn wait(&self, needed: f64, now: SystemTime) -> Duration {
        let missing = (needed - self.level(now)).clamp(0.0, self.limit);
        self.window.mul_f64(missing / self.limit.max(1.0))
    }

    /// The value of one of the provider's headers; `None` if it tells something else.
    fn told(&self, name: &str, example: &str, now: SystemTime) -> Option<String> {
        let field = name.rsplit_once("ratelimit-").map(|(_, field)| field)?;
        if field.contains("remaining") {
            return Some(format!("{:.0}", self.level(now).floor()));
        }
        if !field.contains("reset") {
            return field.contains("limit").then(|| self.limit.to_string());
        }
        let whole = self.wait(self.limit, now);
        Some(if example.ends_with('Z') {
            humantime::format_rfc3339_seconds(now + whole + Duration::from_millis(999)).to_string()
        } else if example.ends_with('s') {
            format!("{:.3}s", whole.as_secs_f64())
        } else {
            format!("{:.0}", whole.as_secs_f64().ceil())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FAKES;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn limits(requests: f64, tokens: f64) -> Limits {
        let bucket = |limit| Some(Bucket::full(limit, Duration::from_secs(10), NOW));
        Limits { requests: bucket(requests), tokens: bucket(tokens) }
    }

    #[test]
    fn buckets_are_emptied_and_fill_up_evenly() {
        let at = |seconds: u64| NOW + Duration::from_secs(seconds);
        let mut limits = limits(2.0, 1000.0);
        assert_eq!([0, 0, 0].map(|second| limits.take(100, &[], at(second)).wait), [None, None, Some(5)]);
        assert_eq!([4, 5, 5].map(|second| limits.take(100, &[], at(second)).wait), [Some(1), None, Some(5)]);
        assert_eq!([60, 60].map(|second| limits.take(600, &[], at(second)).wait), [None, Some(2)]);
        // More than there ever is.
        assert_eq!(limits.take(9_000, &[], at(70)).wait, Some(10));
    }

    #[test]
    fn providers_tell_what_is_left_in_their_own_words() {
        let of = |name: &str| FAKES.iter().find(|fake| fake.name() == name).unwrap().headers();
        let told = |name: &str| {
            let found = limits(4.0, 1000.0).take(250, of(name), NOW);
            found.headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        let openai = told("openai");
        for line in [
            "x-ratelimit-limit-requests: 4",
            "x-ratelimit-remaining-requests: 3",
            "x-ratelimit-reset-requests: 2.500s",
            "x-ratelimit-remaining-tokens: 750",
        ] {
            assert!(openai.iter().any(|told| told == line), "{line}: {openai:?}");
        }
        let anthropic = told("anthropic");
        for line in [
            "anthropic-ratelimit-requests-remaining: 3",
            "anthropic-ratelimit-input-tokens-limit: 1000",
            "anthropic-ratelimit-input-tokens-reset: 1970-01-01T00:00:03Z",
        ] {
            assert!(anthropic.iter().any(|told| told == line), "{line}: {anthropic:?}");
        }
        assert!(told("mistral").contains(&"x-ratelimit-remaining-req-minute: 3".to_owned()), "{:?}", told("mistral"));
    }
}
