//! Spans of time as whole numbers.
//!
//! The standard library counts them by 128 bits, which takes wasm a call for every multiplication and division.

use std::time::Duration;

pub fn milliseconds(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000).saturating_add(time.subsec_millis().into())
}

pub fn microseconds(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000).saturating_add(time.subsec_micros().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_standard_library() {
        for time in [Duration::ZERO, Duration::from_nanos(1_999_999), Duration::new(1_795_255_200, 999_999_999)] {
            assert_eq!(u128::from(milliseconds(time)), time.as_millis());
            assert_eq!(u128::from(microseconds(time)), time.as_micros());
        }
        assert_eq!((milliseconds(Duration::MAX), microseconds(Duration::MAX)), (u64::MAX, u64::MAX));
    }
}
