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
