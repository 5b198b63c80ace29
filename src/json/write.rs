//! JSON from its parts.

use super::Str;
use super::scan::{escape_into, plain_end};
use crate::memory::{append, append_all};

/// Writes JSON without a tree. Commas are its business, nesting is the caller's.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    needs_comma: bool,
}

impl Writer {
    pub fn with_capacity(capacity: usize) -> Self {
        Writer { out: Vec::with_capacity(capacity), needs_comma: false }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// How many bytes there are so far.
    pub fn written(&self) -> usize {
        self.out.len()
    }

    pub fn begin_object(&mut self) -> &mut Self {
        self.open(b'{')
    }

    pub fn end_object(&mut self) -> &mut Self {
        self.close(b'}')
    }

    pub fn begin_array(&mut self) -> &mut Self {
        self.open(b'[')
    }

    pub fn end_array(&mut self) -> &mut Self {
        self.close(b']')
    }

    /// JSON that is the same whatever is written, up to the value that follows: commas, brackets, keys and values.
    pub fn fixed(&mut self, json: &'static str) -> &mut Self {
        append(&mut self.out, json.as_bytes());
        self.needs_comma = false;
        self
    }

    /// The same with texts in it that need no escapes.
    pub fn parts(&mut self, json: &[&str]) -> &mut Self {
        append_all(&mut self.out, json);
        self.needs_comma = false;
        self
    }

    /// A key of ours, none of which needs escapes.
    pub fn key(&mut self, key: &'static str) -> &mut Self {
        debug_assert_eq!(plain_end(key.as_bytes(), 0), key.len());
        self.out.reserve(key.len() + 4);
        self.separate();
        self.out.push(b'"');
        append(&mut self.out, key.as_bytes());
        self.out.push(b'"');
        self.out.push(b':');
        self.needs_comma = false;
        self
    }

    /// Any key.
    pub fn any_key(&mut self, key: &str) -> &mut Self {
        self.string(key);
        self.out.push(b':');
        self.needs_comma = false;
        self
    }

    pub fn string(&mut self, text: &str) -> &mut Self {
        self.separate();
        escape_into(&mut self.out, text);
        self
    }

    /// A string whose content is `escaped` text, already in JSON's escapes.
    pub fn escaped(&mut self, escaped: &[&str]) -> &mut Self {
        self.separate();
        self.out.push(b'"');
        append_all(&mut self.out, escaped);
        self.out.push(b'"');
        self
    }

    pub fn str(&mut self, text: Str<'_>) -> &mut Self {
        self.raw(text.raw())
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, json: &str) -> &mut Self {
        self.separate();
        append(&mut self.out, json.as_bytes());
        self
    }

    pub fn number(&mut self, number: u64) -> &mut Self {
        self.separate();
        append(&mut self.out, Digits::default().of(number));
        self
    }

    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.raw(if value { "true" } else { "false" })
    }

    pub fn null(&mut self) -> &mut Self {
        self.raw("null")
    }

    fn open(&mut self, bracket: u8) -> &mut Self {
        self.separate();
        self.out.push(bracket);
        self.needs_comma = false;
        self
    }

    fn close(&mut self, bracket: u8) -> &mut Self {
        self.out.push(bracket);
        self.needs_comma = true;
        self
    }

    #[inline(always)]
    fn separate(&mut self) {
        if self.needs_comma {
            self.out.push(b',');
        }
        self.needs_comma = true;
    }
}

/// Room for the digits of a number.
#[derive(Default)]
pub struct Digits {
    /// By eight, of which some may be none.
    text: [u8; 24],
    length: usize,
}

impl Digits {
    /// Those of this number. They stay where they are written: whoever reads several bytes at once that were written
    /// one by one, or fewer at once, waits for them, as who moves them does.
    #[inline(always)]
    pub fn of(&mut self, number: u64) -> &[u8] {
        self.length = 0;
        self.put(number);
        self.text.get(..self.length).unwrap_or_default()
    }

    fn put(&mut self, number: u64) {
        const EIGHT: u64 = 100_000_000;
        if number < EIGHT {
            return self.put_eight(number as u32, 1);
        }
        self.put(number / EIGHT);
        self.put_eight((number % EIGHT) as u32, 8);
    }

    /// So many at least, put together in a register and written as one.
    fn put_eight(&mut self, mut number: u32, least: usize) {
        let (mut packed, mut count) = (0_u64, 0);
        while number > 0 || count < least {
            packed = packed << 8 | u64::from(b'0' + (number % 10) as u8);
            number /= 10;
            count += 1;
        }
        if let Some(place) = self.text.get_mut(self.length..).and_then(<[u8]>::first_chunk_mut) {
            *place = packed.to_le_bytes();
        }
        self.length += count;
    }
}

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

/// `text` as a JSON string, quotes included.
pub fn escape(text: &str) -> String {
    let mut out = Vec::new();
    escape_into(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
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

    #[test]
    fn the_writer_places_commas() {
        let mut w = Writer::default();
        w.begin_object().key("a").begin_array().number(1).string("x\"").end_array();
        w.key("b").begin_object().end_object().fixed(",\"c\":").null().key("d").bool(true).end_object();
        assert_eq!(w.into_bytes(), br#"{"a":[1,"x\""],"b":{},"c":null,"d":true}"#);
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 7, 10, 99, 1_767_225_600, u32::MAX.into(), 5_000_000_000, 10_u64.pow(18), u64::MAX] {
            assert_eq!(Digits::default().of(number), number.to_string().as_bytes());
        }
    }
}
