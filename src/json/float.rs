//! Floats, written and read by little code.

/// A number with so many digits behind its point. The standard library writes any number exactly, which takes
/// twenty kilobytes; what is written here is small, and need not be.
pub fn decimal(number: f64, places: u32) -> String {
    let scale = 10_u64.pow(places.min(15));
    let parts = (number.abs() * scale as f64).round() as u64;
    let sign = if number < 0.0 && parts > 0 { "-" } else { "" };
    match places {
        0 => format!("{sign}{parts}"),
        _ => format!("{sign}{}.{:0width$}", parts / scale, parts % scale, width = places as usize),
    }
}

/// A decimal number as JSON and headers write it. Up to fifteen digits and 22 powers of ten it is the nearest there is, as
/// all are that anything here is compared with; beyond that it is near. The standard library's reader is exact of any
/// number, which takes seventeen kilobytes.
pub fn float(text: &str) -> Option<f64> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?.clamp(-999, 999)),
        None => (text, 0),
    };
    let (mut number, mut places, mut is_fraction, mut is_some) = (0_u64, exponent, false, false);
    for byte in digits.bytes() {
        match byte {
            b'0'..=b'9' => {
                is_some = true;
                let more = number.checked_mul(10).and_then(|number| number.checked_add(u64::from(byte - b'0')));
                match more {
                    Some(more) => {
                        number = more;
                        places -= i32::from(is_fraction);
                    }
                    // What a float cannot tell from it is left out.
                    None => places += i32::from(!is_fraction),
                }
            }
            b'.' if !is_fraction => is_fraction = true,
            _ => return None,
        }
    }
    let power = (0..places.unsigned_abs().min(400)).fold(1.0, |power, _| power * 10.0);
    let number = number as f64;
    // Zero times any power is zero, and not what infinity makes of it.
    let number = if places < 0 || number == 0.0 { number / power } else { number * power };
    is_some.then_some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_rounded_to_their_places() {
        let numbers = [(0.0, 3), (-0.0004, 3), (-1.0625, 4), (2.9996, 3), (12.5, 0), (0.05, 1)];
        let written = numbers.map(|(number, places)| decimal(number, places));
        assert_eq!(written, ["0.000", "0.000", "-1.0625", "3.000", "13", "0.1"]);
    }

    #[test]
    fn floats_are_read_as_the_standard_library_does() {
        for text in [
            "0",
            "-0",
            "1",
            "-1.5",
            "0.1",
            "0.7",
            "2.5",
            "1e3",
            "1E-3",
            "1.25e+2",
            "123456789012345",
            "0.000001",
            "1795255202.5",
            "9007199254740993",
            "0e999",
            "5.",
            ".5",
        ] {
            assert_eq!(float(text), text.parse().ok(), "{text}");
        }
        for (text, expected) in [("1e400", f64::INFINITY), ("1e-999", 0.0), ("1e99999999999", f64::NAN)] {
            let read = float(text).unwrap_or(f64::NAN);
            assert!(read == expected || read.is_nan() && expected.is_nan(), "{text}: {read}");
        }
        let long = format!("{}.{}", "123".repeat(20), "7".repeat(30));
        let exact: f64 = long.parse().unwrap();
        assert!((float(&long).unwrap() / exact - 1.0).abs() < 1e-15);
        for text in ["", "-", ".", "e5", "1e", "NaN", "inf", "infinity", "1.2.3", " 1", "0x1", "--1", "1e5.5"] {
            assert_eq!(float(text), None, "{text}");
        }
    }
}
