//! What is left of a provider's rate limits, by the headers of any of its answers.
//!
//! OpenAI's names and their cousins (Groq, Azure, Together, OpenRouter), Anthropic's, Mistral's and Fireworks', which
//! have no reset because their windows are minutes (mapping.md of the provider reference, section 12), those of
//! Cerebras (inference-docs.cerebras.ai, rate limits) and of watsonx (IBM's own SDK).

use std::time::Duration;

use super::health::Budget;
use super::wait;
use crate::headers::Headers;
use crate::json;

/// The budgets of requests and of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub requests: Option<Budget>,
    pub tokens: Option<Budget>,
}

impl Limits {
    pub fn is_empty(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none()
    }
}

/// One spelling: the names of limit, remaining and reset. Without a reset the window is a minute.
struct Names {
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
}

const fn names(limit: &'static str, remaining: &'static str, reset: &'static str) -> Names {
    Names { limit, remaining, reset }
}

const REQUESTS: &[Names] = &[
    names("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    names(
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ),
    names("x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", ""),
    names(
        "x-ratelimit-limit-requests-minute",
        "x-ratelimit-remaining-requests-minute",
        "x-ratelimit-reset-requests-minute",
    ),
    names("x-ratelimit-limit-requests-day", "x-ratelimit-remaining-requests-day", "x-ratelimit-reset-requests-day"),
    names("x-requests-limit-rate", "x-requests-limit-remaining", "x-requests-limit-reset"),
    names("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
];

/// Of Anthropic's two, the input is what the next request is measured by.
const TOKENS: &[Names] = &[
    names("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    names(
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ),
    names(
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
    names("x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute"),
    names("x-ratelimit-limit-tokens-prompt", "x-ratelimit-remaining-tokens-prompt", ""),
];

/// Of all these names: most answers have none of them.
const PREFIXES: [&str; 3] = ["x-ratelimit-", "anthropic-ratelimit-", "x-requests-limit-"];

const MINUTE: Duration = Duration::from_secs(60);

/// Whether there is anything to read.
pub fn are_told(headers: &Headers) -> bool {
    headers.iter().any(|(name, _)| is_told(name))
}

/// Whether a header tells of limits.
pub fn is_told(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// `now`: since the Unix epoch.
pub fn of(headers: &Headers, now: Duration) -> Limits {
    let budget = |spellings: &[Names]| spellings.iter().find_map(|names| budget(headers, names, now));
    Limits { requests: budget(REQUESTS), tokens: budget(TOKENS) }
}

/// One of Anthropic's headers in OpenAI's words, for clients that read those. Its resets are times, OpenAI's are
/// durations.
pub fn as_openai(name: &str, value: &[u8], now: Duration) -> Option<(String, Vec<u8>)> {
    let (budget, field) = name.strip_prefix("anthropic-ratelimit-")?.rsplit_once('-')?;
    let value = match (budget, field) {
        ("requests" | "tokens", "limit" | "remaining") => value.to_vec(),
        ("requests" | "tokens", "reset") => {
            let wait = wait::until(std::str::from_utf8(value).ok()?, now)?;
            format!("{}s", wait.as_millis().div_ceil(1000)).into_bytes()
        }
        _ => return None,
    };
    Some((format!("x-ratelimit-{field}-{budget}"), value))
}

fn budget(headers: &Headers, names: &Names, now: Duration) -> Option<Budget> {
    // Some write counts as floats, and some -1 where there is no limit.
    let count = |name| json::float(headers.get(name)?.trim()).filter(|count| (0.0..1e15).contains(count));
    let remaining = count(names.remaining)?;
    let wait = match headers.get(names.reset) {
        Some(text) => wait::until(text, now)?,
        None => MINUTE,
    };
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).ok();
    let limit = count(names.limit).unwrap_or(0.0) as u64;
    let reset = milliseconds(now.saturating_add(wait))?;
    Some(Budget { limit, remaining: remaining as u64, reset, at: milliseconds(now)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_795_255_200);

    fn limits(list: &[(&str, &str)]) -> Limits {
        let mut headers = Headers::default();
        for (name, value) in list {
            headers.push(name, *value);
        }
        of(&headers, NOW)
    }

    fn budget(limit: u64, remaining: u64, seconds: u64) -> Option<Budget> {
        Some(Budget { limit, remaining, reset: (NOW.as_secs() + seconds) * 1_000, at: NOW.as_secs() * 1_000 })
    }

    #[test]
    fn every_providers_spelling_is_read() {
        let openai = limits(&[
            ("x-ratelimit-limit-requests", "5000"),
            ("x-ratelimit-remaining-requests", "4999"),
            ("x-ratelimit-reset-requests", "12ms"),
            ("x-ratelimit-limit-tokens", "160000"),
            ("x-ratelimit-remaining-tokens", "159976"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ]);
        assert_eq!(openai.tokens, budget(160_000, 159_976, 360));
        assert_eq!(openai.requests.map(|budget| budget.remaining), Some(4_999));
        let anthropic = limits(&[
            ("anthropic-ratelimit-requests-limit", "4000"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-11-21T10:00:30Z"),
            ("anthropic-ratelimit-input-tokens-limit", "400000"),
            ("anthropic-ratelimit-input-tokens-remaining", "399000"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-21T10:00:10Z"),
            ("anthropic-ratelimit-tokens-remaining", "1"),
        ]);
        assert_eq!((anthropic.requests, anthropic.tokens), (budget(4_000, 0, 30), budget(400_000, 399_000, 10)));
        let mistral = [("x-ratelimit-limit-req-minute", "60"), ("x-ratelimit-remaining-req-minute", "7")];
        assert_eq!(limits(&mistral).requests, budget(60, 7, 60));
        let cerebras = limits(&[
            ("x-ratelimit-limit-requests-day", "14400"),
            ("x-ratelimit-remaining-requests-day", "14399"),
            ("x-ratelimit-reset-requests-day", "33011"),
            ("x-ratelimit-limit-tokens-minute", "60000"),
            ("x-ratelimit-remaining-tokens-minute", "59000"),
            ("x-ratelimit-reset-tokens-minute", "11"),
        ]);
        assert_eq!((cerebras.requests, cerebras.tokens), (budget(14_400, 14_399, 33_011), budget(60_000, 59_000, 11)));
        let fireworks = [
            ("x-ratelimit-limit-tokens-generated", "72000"),
            ("x-ratelimit-limit-tokens-prompt", "7200000"),
            ("x-ratelimit-remaining-tokens-prompt", "7193993"),
        ];
        assert_eq!(limits(&fireworks).tokens, budget(7_200_000, 7_193_993, 60));
        let watsonx =
            [("x-requests-limit-rate", "8"), ("x-requests-limit-remaining", "7"), ("x-requests-limit-reset", "1")];
        assert_eq!(limits(&watsonx).requests, budget(8, 7, 1));
        let together = [("x-ratelimit-limit", "600"), ("x-ratelimit-remaining", "599.0"), ("x-ratelimit-reset", "1")];
        assert_eq!(limits(&together).requests, budget(600, 599, 1));
    }

    #[test]
    fn what_makes_no_sense_is_no_limit() {
        for list in [
            vec![("x-ratelimit-limit-requests", "5000")],
            vec![("x-ratelimit-remaining-requests", "-1")],
            vec![("x-ratelimit-remaining-requests", "many")],
            vec![("x-ratelimit-remaining-requests", "1"), ("x-ratelimit-reset-requests", "soon")],
            vec![("retry-after", "1")],
        ] {
            assert!(limits(&list).is_empty(), "{list:?}");
        }
    }

    #[test]
    fn anthropics_headers_are_told_in_openais_words() {
        let told = |name: &str, value: &str| {
            let (name, value) = as_openai(name, value.as_bytes(), NOW)?;
            Some(format!("{name}: {}", String::from_utf8(value).unwrap()))
        };
        let limit = told("anthropic-ratelimit-requests-limit", "4000");
        assert_eq!(limit.as_deref(), Some("x-ratelimit-limit-requests: 4000"));
        let reset = told("anthropic-ratelimit-tokens-reset", "2026-11-21T10:00:04Z");
        assert_eq!(reset.as_deref(), Some("x-ratelimit-reset-tokens: 4s"));
        for name in ["anthropic-ratelimit-input-tokens-limit", "anthropic-ratelimit-unified-reset", "x-ratelimit-limit"]
        {
            assert_eq!(told(name, "1"), None, "{name}");
        }
        assert_eq!(told("anthropic-ratelimit-tokens-reset", "soon"), None);
    }
}
