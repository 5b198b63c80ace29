//! Durations (`1.5s`), sizes (`32MiB`) and decimals (`0.25`) as text. What is written is exact, or refused.

use std::time::Duration;

use super::document::quoted;

const DURATIONS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const SIZES: &[(&str, u64)] = &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const DECIMAL_SIZES: &[&str] = &["KB", "kB", "MB", "GB", "K", "M", "G", "B"];

/// No wait of a gateway is longer than a day, and sums of a few such fit everywhere.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

pub fn duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("expected a duration (a number and ms, s, m or h, as in 10s), found {}", quoted(text));
    let (number, unit) = split(text);
    let Some((_, milliseconds)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
        return Err(expected());
    };
    let duration = match scaled(number, *milliseconds) {
        Scaled::Whole(milliseconds) => Duration::from_millis(milliseconds),
        Scaled::Fraction => return Err("a duration is a whole number of milliseconds".to_owned()),
        Scaled::TooLarge => LONGEST + Duration::from_millis(1),
        Scaled::NotANumber => return Err(expected()),
    };
    if duration.is_zero() {
        return Err("a duration is more than 0".to_owned());
    }
    if duration > LONGEST {
        return Err("a duration is at most 24h".to_owned());
    }
    Ok(duration)
}

/// As the resolved document writes it.
pub fn duration_text(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds if milliseconds % 1_000 == 0 => format!("{}s", milliseconds / 1_000),
        milliseconds => format!("{milliseconds}ms"),
    }
}

pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    if DECIMAL_SIZES.contains(&unit) {
        let binary = unit.trim_end_matches('B').to_ascii_uppercase();
        let binary =
            if binary.is_empty() { "a plain number of bytes".to_owned() } else { format!("{number}{binary}iB") };
        return Err(format!("the unit {unit} is not taken, because readers differ about it; write {binary}"));
    }
    let expected =
        || format!("expected a size (bytes, or a number and KiB, MiB or GiB, as in 32MiB), found {}", quoted(text));
    let Some((_, bytes)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        return Err(expected());
    };
    match scaled(number, *bytes) {
        Scaled::Whole(bytes) => Ok(bytes),
        Scaled::Fraction => Err("a size is a whole number of bytes".to_owned()),
        Scaled::TooLarge => Ok(u64::MAX),
        Scaled::NotANumber => Err(expected()),
    }
}

/// As the resolved document writes it, if some unit divides it; else it is a plain number.
pub fn size_text(bytes: u64) -> Option<String> {
    let (name, unit) = SIZES.iter().rev().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit))?;
    Some(format!("{}{name}", bytes / unit))
}

/// A decimal as a whole number of its smallest parts: with three `places`, `0.25` is 250.
pub fn decimal(text: &str, places: u32) -> Result<u64, String> {
    match scaled(text, 10u64.pow(places.min(18))) {
        Scaled::Whole(parts) => Ok(parts),
        Scaled::Fraction => Err(format!("at most {places} digits are taken behind the point")),
        Scaled::TooLarge => Ok(u64::MAX),
        Scaled::NotANumber => Err(format!("expected a number as in 0.25, found {text}")),
    }
}

/// As the resolved document writes it.
pub fn decimal_text(parts: u64, places: u32) -> String {
    let scale = 10u64.pow(places.min(18));
    let (whole, fraction) = (parts / scale, parts % scale);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = format!("{fraction:0width$}", width = places as usize);
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start_matches(' '))
}

enum Scaled {
    Whole(u64),
    Fraction,
    TooLarge,
    NotANumber,
}

/// `number` (digits, perhaps a point and more digits) times `unit`, without rounding.
fn scaled(number: &str, unit: u64) -> Scaled {
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return Scaled::NotANumber,
        Some((whole, fraction)) => (whole, fraction.trim_end_matches('0')),
        None => (number, ""),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !(fraction.is_empty() || digits(fraction)) {
        return Scaled::NotANumber;
    }
    // More digits than this are finer than any unit's smallest part.
    let Ok(places @ 0..=12) = u32::try_from(fraction.len()) else { return Scaled::Fraction };
    let Ok(value) = format!("{whole}{fraction}").parse::<u128>() else { return Scaled::TooLarge };
    let Some(value) = value.checked_mul(u128::from(unit)) else { return Scaled::TooLarge };
    let scale = 10u128.pow(places);
    if value % scale != 0 {
        return Scaled::Fraction;
    }
    u64::try_from(value / scale).map_or(Scaled::TooLarge, Scaled::Whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        for (text, milliseconds) in [
            ("10s", 10_000),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("250ms", 250),
            ("0.001s", 1),
            ("24h", 86_400_000),
            ("1.50 s", 1_500),
        ] {
            let duration = duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(super::duration(&duration_text(duration)), Ok(duration));
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "s",
            "10",
            "10 sec",
            "1.s",
            ".5s",
            "1..5s",
            "-1s",
            "0s",
            "0.0ms",
            "1.0001s",
            "25h",
            "9999999999999999999999999999999999999999999s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_exact_and_binary() {
        for (text, bytes) in [("32MiB", 32 << 20), ("1.5KiB", 1536), ("1GiB", 1 << 30)] {
            assert_eq!(size(text), Ok(bytes));
            if let Some(text) = size_text(bytes) {
                assert_eq!(size(&text), Ok(bytes));
            }
        }
        assert!(size("32MB").unwrap_err().contains("32MiB"));
        assert!(size("1.0001KiB").is_err());
        assert!(size("many").is_err());
    }

    #[test]
    fn decimals_are_exact() {
        for (text, parts, written) in [
            ("0.25", 250, "0.25"),
            ("2.50", 2_500, "2.5"),
            ("10", 10_000, "10"),
            ("0.001", 1, "0.001"),
            ("0", 0, "0"),
            ("1.000000", 1_000, "1"),
        ] {
            assert_eq!(decimal(text, 3), Ok(parts), "{text}");
            assert_eq!(decimal_text(parts, 3), written);
        }
        for text in ["0.0001", ".5", "1.", "1e3", "-1", "", "1,5"] {
            assert!(decimal(text, 3).is_err(), "{text}");
        }
        assert_eq!(decimal("99999999999999999999", 6), Ok(u64::MAX));
    }
}
