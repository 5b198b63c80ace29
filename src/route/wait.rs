//! How long a provider asks to wait, by the headers of its refusal.
//!
//! `retry-after-ms` and `retry-after` as OpenAI's and Anthropic's SDKs read them (`_base_client.py`), and
//! where neither is there, the resets of the budgets that are used up, in all the spellings that there
//! are: of a 429 also those of which nobody says what is left.

use std::time::{Duration, UNIX_EPOCH};

use super::limits;
use crate::headers::Headers;
use crate::json;

/// `now`: since the Unix epoch. `None` if nothing is said, or nothing that makes sense.
pub fn asked(status: u16, headers: &Headers, now: Duration) -> Option<Duration> {
    let milliseconds = headers.get("retry-after-ms").and_then(|text| json::float(text.trim()));
    milliseconds
        .and_then(|milliseconds| seconds(milliseconds / 1000.0))
        .or_else(|| headers.get("retry-after").and_then(|text| after(text, now)))
        .or_else(|| resets(status, headers, now))
}

/// Seconds, or an HTTP date.
fn after(text: &str, now: Duration) -> Option<Duration> {
    let text = text.trim();
    json::float(text).and_then(seconds).or_else(|| {
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(UNIX_EPOCH).ok()?.saturating_sub(now))
    })
}

/// The longest of the resets, those of budgets of which something is left apart.
fn resets(status: u16, headers: &Headers, now: Duration) -> Option<Duration> {
    let spent = |name: &str| match headers.get(&name.replace("-reset", "-remaining")) {
        // Some write counts as floats.
        Some(remaining) => json::float(remaining.trim()).is_some_and(|remaining| remaining <= 0.0),
        None => status == 429,
    };
    let is_reset = |name: &str| (name.contains("ratelimit") || limits::is_told(name)) && name.contains("-reset");
    let resets = headers.iter().filter(|(name, _)| is_reset(name) && spent(name));
    resets.filter_map(|(_, value)| until(std::str::from_utf8(value).ok()?, now)).max()
}

/// `1h2m3.5s`, `120ms`, seconds, an RFC 3339 time, or Unix seconds or milliseconds.
pub fn until(text: &str, now: Duration) -> Option<Duration> {
    let text = text.trim();
    if let Some(number) = json::float(text) {
        // No budget takes three years to come back: larger numbers are times.
        return match number {
            1e12.. => seconds(number / 1000.0).map(|time| time.saturating_sub(now)),
            1e8.. => seconds(number).map(|time| time.saturating_sub(now)),
            _ => seconds(number),
        };
    }
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Some(time.duration_since(UNIX_EPOCH).ok()?.saturating_sub(now));
    }
    go_duration(text)
}

/// A duration as Go prints it: numbers with fractions, each with its unit.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|byte: char| !byte.is_ascii_digit() && byte != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let end = tail.find(|byte: char| byte.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(end)?;
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.checked_add(seconds(json::float(number)? * scale)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T10:00:00Z
    const NOW: Duration = Duration::from_secs(1_795_255_200);

    fn wait(list: &[(&str, &str)]) -> Option<u64> {
        wait_of(429, list)
    }

    fn wait_of(status: u16, list: &[(&str, &str)]) -> Option<u64> {
        let mut headers = Headers::default();
        for (name, value) in list {
            headers.push(name, *value);
        }
        asked(status, &headers, NOW).map(|wait| wait.as_millis() as u64)
    }

    #[test]
    fn every_spelling_is_read() {
        for (name, value, milliseconds) in [
            ("retry-after", "7", Some(7000)),
            ("retry-after", " 1.5 ", Some(1500)),
            ("retry-after", "Sat, 21 Nov 2026 10:00:09 GMT", Some(9000)),
            ("retry-after", "Sat, 21 Nov 2026 09:00:00 GMT", Some(0)),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
            ("retry-after", "NaN", None),
            ("retry-after", "1e300", None),
            ("retry-after-ms", "250.5", Some(250)),
            ("x-ratelimit-reset-requests", "1h2m3.5s", Some(3_723_500)),
            ("x-ratelimit-reset-tokens", "120ms", Some(120)),
            ("x-ratelimit-reset", "2.5", Some(2500)),
            ("x-ratelimit-reset", "1795255203", Some(3000)),
            ("x-ratelimit-reset", "1795255202500", Some(2500)),
            ("anthropic-ratelimit-requests-reset", "2026-11-21T10:00:04Z", Some(4000)),
            ("anthropic-ratelimit-requests-reset", "2026-11-21T09:00:00Z", Some(0)),
            ("x-ratelimit-reset-requests", "5x", None),
            ("x-ratelimit-reset-requests", "", None),
            ("x-ratelimit-limit-requests", "5", None),
        ] {
            assert_eq!(wait(&[(name, value)]), milliseconds, "{name}: {value}");
        }
    }

    #[test]
    fn the_most_exact_header_wins_and_a_spent_budget_says_how_long() {
        assert_eq!(wait(&[("retry-after", "9"), ("retry-after-ms", "300")]), Some(300));
        let spent = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "3s"),
            ("x-ratelimit-remaining-tokens", "100"),
            ("x-ratelimit-reset-tokens", "1s"),
        ];
        assert_eq!(wait(&spent), Some(3000));
        assert_eq!(wait(&spent[2..]), None, "nothing is spent, so nothing is known");
        assert_eq!(wait_of(500, &spent), Some(3000));
        assert_eq!(wait_of(500, &spent[1..]), None, "only of a 429 a reset alone says that it is spent");
        assert_eq!(wait(&[("x-ratelimit-remaining", "0.0"), ("x-ratelimit-reset", "2")]), Some(2000), "Together");
        assert_eq!(
            wait(&[("x-requests-limit-remaining", "0"), ("x-requests-limit-reset", "1")]),
            Some(1000),
            "watsonx"
        );
    }
}
