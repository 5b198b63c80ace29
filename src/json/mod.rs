//! JSON that keeps what it does not understand.
//!
//! A body is read as borrowed slices of its own text ([`Object`], [`Str`]), changed in place
//! ([`Edits`]) and written without building a tree ([`Writer`]), so that number formats, key order
//! and unknown fields survive byte for byte. Nothing here knows what the JSON means.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::IgnoredAny;

use crate::places::Places;

mod scan;

pub use scan::escape_into;

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
    simdutf8::basic::from_utf8(text).or_else(|_| std::str::from_utf8(text)).map_err(Error::NotUtf8)
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
        self.value_and_depth().map(|(value, _)| value)
    }

    /// The same, and how deep it is nested: 1 for an object or a list of plain values.
    fn value_and_depth(&mut self) -> Result<(&'a RawValue, usize), Failure> {
        self.peek();
        let (end, depth) = scan::value_end(self.text.as_bytes(), self.at).ok_or(Failure::Syntax)?;
        let value = self.text.get(self.at..end).ok_or(Failure::Syntax)?;
        self.at = end;
        Ok((RawValue::new(value), depth))
    }

    /// Where in the text it is.
    pub fn place(&self) -> usize {
        self.at
    }

    /// Takes the bracket that opens an object or a list.
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
    #[inline(always)]
    pub fn next_key(&mut self, is_first: &mut bool) -> Result<Option<Str<'a>>, Failure> {
        if self.has_next(is_first, b'}')? { self.key().map(Some) } else { Ok(None) }
    }

    /// Takes the key of a pair with its colon.
    #[inline(always)]
    pub fn key(&mut self) -> Result<Str<'a>, Failure> {
        self.peek();
        let end = scan::string_end(self.text.as_bytes(), self.at).ok_or(Failure::Syntax)?;
        let key = self.text.get(self.at..end).ok_or(Failure::Syntax)?;
        self.at = end;
        if self.open(b':') { Ok(Str(key)) } else { Err(Failure::Syntax) }
    }
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
    pairs: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// How deep each value is nested.
    depths: Vec<usize>,
}

impl<'a> Object<'a> {
    pub fn parse(text: &'a [u8]) -> Result<Self, Error> {
        read_whole(utf8(text)?, Object::read)
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Failure> {
        if !reader.open(b'{') {
            return Err(Failure::NotAnObject);
        }
        let (mut pairs, mut depths) = (Vec::with_capacity(16), Vec::with_capacity(16));
        let mut is_first = true;
        while let Some(key) = reader.next_key(&mut is_first)? {
            let (value, depth) = reader.value_and_depth()?;
            pairs.push((key.decode(), value));
            depths.push(depth);
        }
        Ok(Object { pairs, depths })
    }

    /// The value, if it is an object.
    pub fn of(value: &'a RawValue) -> Option<Self> {
        Object::read(&mut Reader::of(value)).ok()
    }

    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.pairs.iter().map(|(key, value)| (key.as_ref(), *value))
    }

    /// How deep the value under a key is nested, 1 for an object or array of plain values.
    pub fn depth(&self, key: &str) -> Option<usize> {
        let at = self.pairs.iter().position(|(name, _)| name == key)?;
        self.depths.get(at).copied()
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Where each pair lies in `whole`, which this object was read from: its key with the quotes, and its
    /// value. `open`: the place behind the object's brace. `None` for a text that it was not read from.
    pub fn spans(&self, whole: &[u8], open: usize) -> Option<Vec<(Range<usize>, Range<usize>)>> {
        let mut from = open;
        let mut spans = Vec::with_capacity(self.pairs.len());
        for (_, value) in &self.pairs {
            let value = span(whole, value.get())?;
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
        let mut seen = Places::default();
        self.pairs.iter().map(|(key, _)| key.as_ref()).find(|key| read(key) && !seen.set(Cow::Borrowed(*key), 0))
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
    text.parse().ok().or_else(|| text.parse::<f64>().ok().map(|number| number as u64))
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
        self.0.get(1..self.0.len().saturating_sub(1)).unwrap_or_default()
    }

    /// Whether it stands for this text.
    pub fn is(self, text: &str) -> bool {
        let escaped = self.escaped();
        // Escapes only make it longer.
        escaped == text || (escaped.len() > text.len() && !self.is_plain() && self.decode() == text)
    }

    /// Whether it has no escapes.
    pub fn is_plain(self) -> bool {
        !self.0.contains('\\')
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

/// Replacements in a text that otherwise stays as it is, in ascending order of place.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Edits(Vec<Edit>);

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
struct Edit {
    start: usize,
    end: usize,
    text: String,
}

impl Edits {
    /// Adds a replacement; ranges may be added in any order but must not overlap.
    pub fn replace(&mut self, range: Range<usize>, text: impl Into<String>) {
        let at = self.0.partition_point(|edit| edit.start <= range.start);
        self.0.insert(at, Edit { start: range.start, end: range.end, text: text.into() });
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes some of the items of a list (the pairs of an object, the elements of an array) out, with the
    /// commas that belong to them. `items`: where each lies, in order, and whether it goes; `open`: the
    /// place behind the bracket.
    pub fn cut(&mut self, open: usize, items: impl IntoIterator<Item = (Range<usize>, bool)>) {
        // The end of the last item that stays, and of the last of those that go behind it.
        let (mut stays, mut goes) = (None, None);
        for (item, is_cut) in items {
            if is_cut {
                goes = Some(item.end);
                continue;
            }
            match (stays, goes.take()) {
                (Some(stays), Some(goes)) => self.replace(stays..goes, ""),
                (None, Some(_)) => self.replace(open..item.start, ""),
                (_, None) => {}
            }
            stays = Some(item.end);
        }
        if let Some(goes) = goes {
            self.replace(stays.unwrap_or(open)..goes, "");
        }
    }

    /// How many bytes the replacements have.
    pub fn added(&self) -> usize {
        self.0.iter().map(|edit| edit.text.len()).sum()
    }

    /// Where the last replacement ends: what lies behind need not be looked at.
    pub fn end(&self) -> usize {
        self.0.last().map_or(0, |edit| edit.end)
    }

    /// By how many bytes the text grows (or shrinks).
    pub fn growth(&self) -> isize {
        self.0.iter().map(|edit| edit.text.len() as isize - (edit.end - edit.start) as isize).sum()
    }

    /// The text with its replacements; a prefix that contains them all will do. A range outside the
    /// text is left out rather than trusted.
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len().saturating_add_signed(self.growth()));
        let mut from = 0;
        for edit in &self.0 {
            let Some(kept) = text.get(from..edit.start) else { break };
            out.extend_from_slice(kept);
            out.extend_from_slice(edit.text.as_bytes());
            from = edit.end;
        }
        out.extend_from_slice(text.get(from..).unwrap_or_default());
        out
    }
}

/// Where `part`, a slice borrowed from `whole`, lies in it.
pub fn span(whole: &[u8], part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

/// The range of a whole `"key":value` pair with the comma that belongs to it, so that cutting it out
/// leaves valid JSON. `value` is the span of the value; `None` if the key is written in another way.
pub fn pair_span(whole: &[u8], key: &str, value: Range<usize>) -> Option<Range<usize>> {
    let before = |end: usize| whole.get(..end).map(|head| head.trim_ascii_end());
    let head = before(value.start)?.strip_suffix(b":")?.trim_ascii_end();
    let head = head.strip_suffix(b"\"")?.strip_suffix(key.as_bytes())?.strip_suffix(b"\"")?;
    let start = head.len();
    if let Some(head) = head.trim_ascii_end().strip_suffix(b",") {
        return Some(head.len()..value.end);
    }
    let tail = whole.get(value.end..)?;
    let rest = tail.trim_ascii_start();
    let end = match rest.strip_prefix(b",") {
        Some(rest) => whole.len() - rest.len(),
        None => value.end,
    };
    Some(start..end)
}

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

    pub fn key(&mut self, key: &str) -> &mut Self {
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
        for part in escaped {
            self.out.extend_from_slice(part.as_bytes());
        }
        self.out.push(b'"');
        self
    }

    pub fn str(&mut self, text: Str<'_>) -> &mut Self {
        self.raw(text.raw())
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, json: &str) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(json.as_bytes());
        self
    }

    pub fn number(&mut self, number: u64) -> &mut Self {
        self.raw(&number.to_string())
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

    fn separate(&mut self) {
        if self.needs_comma {
            self.out.push(b',');
        }
        self.needs_comma = true;
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
    fn edits_apply_to_a_prefix_and_ignore_ranges_outside() {
        let text = br#"{"model":"a","n":1}"#;
        let object = Object::parse(text).unwrap();
        let mut edits = Edits::default();
        edits.replace(span(text, object.get("n").unwrap().get()).unwrap(), "22");
        edits.replace(span(text, object.get("model").unwrap().get()).unwrap(), "\"long\"");
        assert_eq!(edits.apply(text), br#"{"model":"long","n":22}"#);
        assert_eq!(edits.growth(), 4);
        assert_eq!(edits.apply(&text[..edits.end()]), br#"{"model":"long","n":22"#);
        assert_eq!(edits.apply(b"{}"), b"{}");
    }

    #[test]
    fn a_pair_is_cut_with_its_comma() {
        for (text, expected) in [
            (r#"{"a":1,"usage":null}"#, r#"{"a":1}"#),
            (r#"{"usage": null , "a":1}"#, r#"{ "a":1}"#),
            (r#"{"usage":null}"#, "{}"),
            (r#"{"a":1 , "usage" : null,"b":2}"#, r#"{"a":1 ,"b":2}"#),
        ] {
            let object = Object::parse(text.as_bytes()).unwrap();
            let value = span(text.as_bytes(), object.get("usage").unwrap().get()).unwrap();
            let pair = pair_span(text.as_bytes(), "usage", value).unwrap();
            let mut edits = Edits::default();
            edits.replace(pair, "");
            assert_eq!(String::from_utf8(edits.apply(text.as_bytes())).unwrap(), expected);
        }
    }

    #[test]
    fn items_are_cut_with_their_commas_wherever_they_stand() {
        let text = br#" { "a" : 1 , "b\u0022":[2] ,"c":"}","d":null }"#;
        let object = Object::parse(text).unwrap();
        let spans = object.spans(text, 2).unwrap();
        let keys: Vec<_> = spans.iter().map(|(key, _)| std::str::from_utf8(&text[key.clone()]).unwrap()).collect();
        assert_eq!(keys, ["\"a\"", "\"b\\u0022\"", "\"c\"", "\"d\""]);
        for bits in 0..16u32 {
            let goes = |at: usize| bits & (1 << at) != 0;
            let mut edits = Edits::default();
            let items = spans.iter().enumerate().map(|(at, (key, value))| (key.start..value.end, goes(at)));
            edits.cut(3, items);
            let left = edits.apply(text);
            let left = Object::parse(&left).unwrap();
            let expected: Vec<_> = (0..4).filter(|at| !goes(*at)).map(|at| ["a", "b\"", "c", "d"][at]).collect();
            assert_eq!(left.iter().map(|(key, _)| key).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn strings_decode_with_and_without_escapes() {
        let raw = |text: &'static str| parse_str(text).unwrap();
        assert_eq!(Str::new(raw(r#""plain é""#)).unwrap().decode(), "plain é");
        assert_eq!(Str::new(raw(r#""a\nb\ud83d\ude00""#)).unwrap().decode(), "a\nb😀");
        assert!(Str::new(raw(r#""x\ud83dy""#)).unwrap().decode().starts_with('x'));
        assert!(Str::new(raw("12")).is_none());
    }

    #[test]
    fn decimals_are_rounded_to_their_places() {
        let numbers = [(0.0, 3), (-0.0004, 3), (-1.0625, 4), (2.9996, 3), (12.5, 0), (0.05, 1)];
        let written = numbers.map(|(number, places)| decimal(number, places));
        assert_eq!(written, ["0.000", "0.000", "-1.0625", "3.000", "13", "0.1"]);
    }

    #[test]
    fn the_writer_places_commas() {
        let mut w = Writer::default();
        w.begin_object().key("a").begin_array().number(1).string("x\"").end_array();
        w.key("b").begin_object().end_object().key("c").null().end_object();
        assert_eq!(w.into_bytes(), br#"{"a":[1,"x\""],"b":{},"c":null}"#);
    }
}
