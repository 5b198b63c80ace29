//! JSON that keeps what it does not understand.
//!
//! A body is read as borrowed slices of its own text ([`Object`], [`Str`]), changed in place
//! ([`Edits`]) and written without building a tree ([`Writer`]), so that number formats, key order
//! and unknown fields survive byte for byte. Nothing here knows what the JSON means.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use serde::de::IgnoredAny;

use crate::places::Places;

mod edit;
mod float;
mod scan;
mod utf8;
mod write;

pub use edit::{Edits, pair_span, span};
pub use float::{decimal, float};
pub use scan::{escape_into, hexadecimal, plain_end, quote_end};
pub use write::{Digits, Writer, escape};

/// A value as it was written: valid JSON, without space around it.
#[derive(Debug)]
#[repr(transparent)]
pub struct RawValue(str);

impl RawValue {
    fn new(json: &str) -> &Self {
        // SAFETY: it is a `str` and nothing else.
        unsafe { &*(std::ptr::from_ref(json) as *const RawValue) }
    }

    /// Of a text that is known to be a value.
    pub(crate) fn trusted(json: &str) -> &Self {
        RawValue::new(json)
    }

    pub fn get(&self) -> &str {
        &self.0
    }

    /// The first value under this key, if it is an object.
    pub fn field(&self, key: &str) -> Option<&RawValue> {
        self.pairs().find(|(name, _)| name.is(key)).map(|(_, value)| value)
    }

    /// The elements of an array; of anything else none.
    pub fn elements(&self) -> Elements<'_> {
        Elements::of(self)
    }

    /// The pairs of an object, each with its key as it was written; of anything else none.
    pub fn pairs(&self) -> Pairs<'_> {
        Pairs::of(self)
    }
}

/// Why a text is not what is wanted.
#[derive(Debug)]
pub enum Error {
    Syntax(serde_json::Error),
    NotUtf8(std::str::Utf8Error),
    NotAnObject,
    /// A key that is read stands there twice. Readers differ in which of the two they believe.
    Repeated(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Syntax(error) => error.fmt(f),
            Error::NotUtf8(error) => error.fmt(f),
            Error::NotAnObject => f.write_str("it is not a JSON object"),
            Error::Repeated(key) => write!(f, "`{key}` stands there twice"),
        }
    }
}

/// The value of a whole text.
pub fn parse(text: &[u8]) -> Result<&RawValue, Error> {
    parse_str(utf8(text)?)
}

pub fn parse_str(text: &str) -> Result<&RawValue, Error> {
    read_whole(text, Reader::value)
}

/// The text that these bytes are.
pub fn utf8(text: &[u8]) -> Result<&str, Error> {
    utf8::text(text).map_or_else(|| std::str::from_utf8(text).map_err(Error::NotUtf8), Ok)
}

/// What `read` finds in a text that has nothing behind it.
pub fn read_whole<'a, T>(text: &'a str, read: impl FnOnce(&mut Reader<'a>) -> Result<T, Failure>) -> Result<T, Error> {
    let mut reader = Reader { text, at: 0 };
    match read(&mut reader) {
        Ok(value) if scan::skip_space(text.as_bytes(), reader.at) == text.len() => Ok(value),
        Ok(_) | Err(Failure::Syntax) => Err(syntax_error(text)),
        // Whatever it is, it has to be JSON first.
        Err(_) if scan::value_end(text.as_bytes(), 0).is_none() => Err(syntax_error(text)),
        Err(Failure::NotAnObject) => Err(Error::NotAnObject),
        Err(Failure::Repeated(key)) => Err(Error::Repeated(key)),
    }
}

/// What is wrong with a text, and where.
#[cold]
fn syntax_error(text: &str) -> Error {
    match serde_json::from_str::<IgnoredAny>(text) {
        Err(error) => Error::Syntax(error),
        Ok(_) => Error::NotAnObject,
    }
}

/// Why a [`Reader`] does not go on.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    Syntax,
    NotAnObject,
    Repeated(&'static str),
}

/// A place in a text of which everything before it has been found to be JSON.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn of(value: &'a RawValue) -> Self {
        Reader { text: value.get(), at: 0 }
    }

    /// The first byte of the next value, without taking it.
    #[inline(always)]
    pub fn peek(&mut self) -> Option<u8> {
        self.at = scan::skip_space(self.text.as_bytes(), self.at);
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes the next value.
    pub fn value(&mut self) -> Result<&'a RawValue, Failure> {
        self.skip().ok_or(Failure::Syntax)
    }

    /// The same, little enough to stand where most values are taken.
    #[inline(always)]
    pub fn skip(&mut self) -> Option<&'a RawValue> {
        self.peek();
        let end = scan::end(self.text.as_bytes(), self.at)?;
        self.take(end).ok().map(RawValue::new)
    }

    /// Takes what lies before this place.
    #[inline(always)]
    fn take(&mut self, end: usize) -> Result<&'a str, Failure> {
        let taken = self.text.get(self.at..end).ok_or(Failure::Syntax)?;
        self.at = end;
        Ok(taken)
    }

    /// Takes the next value, behind which another reader of the text is.
    pub fn value_before(&mut self, other: &Reader<'a>) -> Result<&'a RawValue, Failure> {
        self.take(other.at).map(RawValue::new)
    }

    /// The value that was taken bit by bit since this place.
    pub fn taken(&self, place: usize) -> &'a RawValue {
        RawValue::new(self.text.get(place..self.at).unwrap_or("null"))
    }

    /// Where in the text it is.
    pub fn place(&self) -> usize {
        self.at
    }

    /// Takes the bracket that opens an object or a list.
    #[inline(always)]
    pub fn open(&mut self, bracket: u8) -> bool {
        let is_there = self.peek() == Some(bracket);
        self.at += usize::from(is_there);
        is_there
    }

    /// Whether there is one more in the list or object that was opened: takes the comma before it, or the
    /// bracket that closes. `is_first`: none has been taken.
    #[inline]
    pub fn has_next(&mut self, is_first: &mut bool, closing: u8) -> Result<bool, Failure> {
        let was_first = std::mem::replace(is_first, false);
        match self.peek() {
            Some(byte) if byte == closing => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !was_first => {
                self.at += 1;
                Ok(true)
            }
            _ if was_first => Ok(true),
            _ => Err(Failure::Syntax),
        }
    }

    /// Takes the key of the next pair of the object that was opened, and its colon; `None` behind the object.
    #[inline]
    pub fn next_key(&mut self, is_first: &mut bool) -> Result<Option<Str<'a>>, Failure> {
        if !self.has_next(is_first, b'}')? {
            return Ok(None);
        }
        self.peek();
        let (end, _) = self.string_end().ok_or(Failure::Syntax)?;
        let key = Str(self.take(end)?);
        if self.open(b':') { Ok(Some(key)) } else { Err(Failure::Syntax) }
    }

    /// The same, as it is looked up.
    #[inline(always)]
    pub fn next_name(&mut self, is_first: &mut bool) -> Result<Option<Name<'a>>, Failure> {
        if !self.has_next(is_first, b'}')? {
            return Ok(None);
        }
        self.peek();
        let (end, is_plain) = self.string_end().ok_or(Failure::Syntax)?;
        let from = self.text.as_bytes().get(self.at + 1..).ok_or(Failure::Syntax)?;
        let escaped = from.get(..end - self.at - 2).ok_or(Failure::Syntax)?;
        let beginning = match from.first_chunk() {
            Some(eight) if escaped.len() < 8 => u64::from_le_bytes(*eight) & !(u64::MAX << (8 * escaped.len())),
            _ => beginning(escaped),
        };
        self.at = end;
        if self.open(b':') { Ok(Some(Name { escaped, beginning, is_plain })) } else { Err(Failure::Syntax) }
    }

    /// Where the string ends that begins here, and whether it is sure to have no escapes.
    #[inline(always)]
    fn string_end(&self) -> Option<(usize, bool)> {
        let text = self.text.as_bytes();
        match scan::short_string_end(text, self.at) {
            Some(end) => Some((end, true)),
            None => scan::string_end(text, self.at).map(|end| (end, false)),
        }
    }
}

/// A key as it is looked up.
pub struct Name<'a> {
    /// Between its quotes.
    pub escaped: &'a [u8],
    /// How it [begins](beginning).
    pub beginning: u64,
    /// Whether it is sure to have no escapes.
    pub is_plain: bool,
}

impl Name<'_> {
    /// The text it stands for.
    pub fn decode(&self) -> String {
        scan::unescape(std::str::from_utf8(self.escaped).unwrap_or_default())
    }
}

/// The first eight bytes as a number, which is enough to tell most names apart.
pub const fn beginning(name: &[u8]) -> u64 {
    if let Some(eight) = name.first_chunk::<8>() {
        return u64::from_le_bytes(*eight);
    }
    let (mut number, mut rest) = (0, name);
    while let [before @ .., last] = rest {
        number = number << 8 | *last as u64;
        rest = before;
    }
    number
}

/// The elements of a list.
pub struct Elements<'a> {
    /// `None` at the end.
    reader: Option<Reader<'a>>,
    is_first: bool,
}

impl<'a> Elements<'a> {
    fn of(value: &'a RawValue) -> Self {
        let mut reader = Reader::of(value);
        let is_list = reader.open(b'[');
        Elements { reader: is_list.then_some(reader), is_first: true }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a RawValue;

    fn next(&mut self) -> Option<&'a RawValue> {
        let reader = self.reader.as_mut()?;
        match reader.has_next(&mut self.is_first, b']') {
            Ok(true) => reader.value().ok(),
            _ => {
                self.reader = None;
                None
            }
        }
    }
}

/// The pairs of an object, each with its key.
pub struct Pairs<'a> {
    reader: Option<Reader<'a>>,
    is_first: bool,
}

impl<'a> Pairs<'a> {
    fn of(value: &'a RawValue) -> Self {
        let mut reader = Reader::of(value);
        let is_object = reader.open(b'{');
        Pairs { reader: is_object.then_some(reader), is_first: true }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Str<'a>, &'a RawValue);

    fn next(&mut self) -> Option<(Str<'a>, &'a RawValue)> {
        let reader = self.reader.as_mut()?;
        match reader.next_key(&mut self.is_first) {
            Ok(Some(key)) => Some((key, reader.value().ok()?)),
            _ => {
                self.reader = None;
                None
            }
        }
    }
}

/// An object as it was written: keys in order, values as slices of the text.
#[derive(Debug, Default)]
pub struct Object<'a> {
    pairs: Vec<Pair<'a>>,
}

/// Takes the value of a key, or leaves it.
pub type Look<'l, 'a> = dyn FnMut(&str, &mut Reader<'a>) -> Result<bool, Failure> + 'l;

#[derive(Debug)]
struct Pair<'a> {
    key: Cow<'a, str>,
    value: &'a RawValue,
}

impl<'a> Object<'a> {
    pub fn parse(text: &'a [u8]) -> Result<Self, Error> {
        Object::parse_looking(text, &mut |_, _| Ok(false))
    }

    /// The same of a text in which `look` is asked to take each value, whose key it is given, and tells whether
    /// it has: who wants to know what is in it need not read it again.
    pub fn parse_looking(text: &'a [u8], look: &mut Look<'_, 'a>) -> Result<Self, Error> {
        read_whole(utf8(text)?, |reader| Object::read(reader, look))
    }

    fn read(reader: &mut Reader<'a>, look: &mut Look<'_, 'a>) -> Result<Self, Failure> {
        if !reader.open(b'{') {
            return Err(Failure::NotAnObject);
        }
        let mut pairs = Vec::with_capacity(16);
        let mut is_first = true;
        while let Some(key) = reader.next_key(&mut is_first)? {
            let key = key.decode();
            reader.peek();
            let place = reader.at;
            let value = if look(&key, reader)? { reader.taken(place) } else { reader.value()? };
            pairs.push(Pair { key, value });
        }
        Ok(Object { pairs })
    }

    pub fn of_pairs(pairs: &[(Str<'a>, &'a RawValue)]) -> Self {
        Object { pairs: pairs.iter().map(|(key, value)| Pair { key: key.decode(), value }).collect() }
    }

    /// Takes an object, which is there, of which `look` is asked to take each value.
    pub fn take(reader: &mut Reader<'a>, look: &mut Look<'_, 'a>) -> Option<Self> {
        Object::read(reader, look).ok()
    }

    /// The value, if it is an object.
    pub fn of(value: &'a RawValue) -> Option<Self> {
        Object::read(&mut Reader::of(value), &mut |_, _| Ok(false)).ok()
    }

    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.pairs.iter().map(|pair| (pair.key.as_ref(), pair.value))
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Where each pair lies in `whole`, which this object was read from: its key with the quotes, and its
    /// value. `open`: the place behind the object's brace. `None` for a text that it was not read from.
    pub fn spans(&self, whole: &[u8], open: usize) -> Option<Vec<(Range<usize>, Range<usize>)>> {
        let mut from = open;
        let mut spans = Vec::with_capacity(self.pairs.len());
        for pair in &self.pairs {
            let value = span(whole, pair.value.get())?;
            // Between two values there is nothing but the key that has quotes.
            let between = whole.get(from..value.start)?;
            let first = memchr::memchr(b'"', between)?;
            let last = memchr::memrchr(b'"', between)?;
            spans.push((from + first..from + last + 1, value.clone()));
            from = value.end;
        }
        Some(spans)
    }

    /// The first key for which `read` holds that stands here twice. Readers differ in which of the
    /// two they believe, so a gateway must believe neither.
    pub fn repeated(&self, read: impl Fn(&str) -> bool) -> Option<&str> {
        /// Up to so many looking through them again is less than a map.
        const FEW: usize = 12;
        let mut keys = self.pairs.iter().map(|pair| pair.key.as_ref());
        if self.pairs.len() <= FEW {
            let stands_before = |at: usize, key: &str| self.pairs.iter().take(at).any(|pair| pair.key == key);
            return keys.enumerate().find(|(at, key)| stands_before(*at, key) && read(key)).map(|(_, key)| key);
        }
        let mut seen = Places::default();
        keys.find(|key| read(key) && !seen.set(Cow::Borrowed(*key), 0))
    }
}

/// Whether the whole text is one JSON value.
pub fn is_valid(text: &[u8]) -> bool {
    parse(text).is_ok()
}

/// What a raw value is, told by its first byte (a [`RawValue`] is valid and has no leading space).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

#[inline(always)]
pub fn type_of(value: &RawValue) -> Type {
    match value.get().as_bytes().first() {
        Some(b'n') => Type::Null,
        Some(b't' | b'f') => Type::Bool,
        Some(b'"') => Type::String,
        Some(b'[') => Type::Array,
        Some(b'{') => Type::Object,
        _ => Type::Number,
    }
}

/// The elements of an array, or nothing if the value is no array.
pub fn elements(value: &RawValue) -> Option<Vec<&RawValue>> {
    (type_of(value) == Type::Array).then(|| value.elements().collect())
}

/// A number as a count: providers also write them as floats, now and then negative.
pub fn whole_number(value: &RawValue) -> Option<u64> {
    let text = value.get();
    text.parse().ok().or_else(|| float(text).map(|number| number as u64))
}

/// A JSON string as it was written, quotes and escapes included: what one API escaped, another can
/// be given without being unescaped and escaped again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Str<'a>(&'a str);

impl<'a> Str<'a> {
    pub const EMPTY: Str<'static> = Str("\"\"");

    /// The value, if it is a string.
    pub fn new(value: &'a RawValue) -> Option<Self> {
        (type_of(value) == Type::String).then(|| Str(value.get()))
    }

    /// A text that is one JSON string.
    pub fn parse(json: &'a str) -> Option<Self> {
        Str::new(parse_str(json).ok()?)
    }

    pub fn is_empty(self) -> bool {
        self.0.len() <= 2
    }

    /// With its quotes, ready to be written into other JSON.
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// Between its quotes, still escaped.
    pub fn escaped(self) -> &'a str {
        let [b'"', inside @ .., b'"'] = self.0.as_bytes() else { return "" };
        // SAFETY: a text is one without its first and its last character, too, which are a byte each.
        unsafe { std::str::from_utf8_unchecked(inside) }
    }

    /// Whether it stands for this text.
    #[inline(always)]
    pub fn is(self, text: &str) -> bool {
        // Escapes only make it longer, the quotes by two.
        match self.0.len().checked_sub(2).map(|length| length.cmp(&text.len())) {
            Some(Ordering::Equal) => self.escaped() == text,
            Some(Ordering::Greater) => self.decodes_to(text),
            _ => false,
        }
    }

    // Apart, so that the question above takes no room on the stack: it is asked of every key.
    #[inline(never)]
    fn decodes_to(self, text: &str) -> bool {
        !self.is_plain() && self.decode() == text
    }

    /// Whether it has no escapes.
    pub fn is_plain(self) -> bool {
        memchr::memchr(b'\\', self.0.as_bytes()).is_none()
    }

    /// The text it stands for. Lone surrogates, which Rust cannot hold, become U+FFFD.
    pub fn decode(self) -> Cow<'a, str> {
        let escaped = self.escaped();
        if self.is_plain() {
            return Cow::Borrowed(escaped);
        }
        Cow::Owned(scan::unescape(escaped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_keeps_order_numbers_and_repeated_keys() {
        let text = br#"{"model":"m","z":1.10,"a\u0062":{"b":1,"a":2},"seed":12345678901234567890123,"z":2}"#;
        let object = Object::parse(text).unwrap();
        let pairs: Vec<_> = object.iter().map(|(key, value)| (key, value.get())).collect();
        assert_eq!(
            pairs,
            [
                ("model", "\"m\""),
                ("z", "1.10"),
                ("ab", r#"{"b":1,"a":2}"#),
                ("seed", "12345678901234567890123"),
                ("z", "2")
            ]
        );
        assert_eq!(object.repeated(|_| true), Some("z"));
        assert_eq!(object.repeated(|key| key == "model"), None);
    }

    #[test]
    fn strings_decode_with_and_without_escapes() {
        let raw = |text: &'static str| parse_str(text).unwrap();
        assert_eq!(Str::new(raw(r#""plain é""#)).unwrap().decode(), "plain é");
        assert_eq!(Str::new(raw(r#""a\nb\ud83d\ude00""#)).unwrap().decode(), "a\nb😀");
        assert!(Str::new(raw(r#""x\ud83dy""#)).unwrap().decode().starts_with('x'));
        assert!(Str::new(raw("12")).is_none());
    }
}
