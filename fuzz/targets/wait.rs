//! Headers of a refusal: how long to wait never panics and never depends on names of no concern.
//!
//! Input: a character from which the time follows, then headers, a line each.
#![no_main]

use std::time::Duration;

use dragoman::headers::Headers;
use dragoman::route::{limits, wait};
use dragoman_fuzz::headers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((time, lines)) = input.split_first() else { return };
    let now = match time {
        b'0' => Duration::ZERO,
        b'9' => Duration::MAX,
        time => Duration::new(1_767_225_600 + u64::from(*time), u32::from(*time) * 1_000_000),
    };
    let (headers, _) = headers(lines);
    let asked = wait::asked(429, &headers, now);
    let read = |name: &str| name.starts_with("retry-after") || name.contains("ratelimit") || limits::is_told(name);
    let mut few = Headers::default();
    headers.iter().filter(|(name, _)| read(name)).for_each(|(name, value)| few.push(name, value));
    assert_eq!(wait::asked(429, &few, now), asked);
});
