//! HTTP headers as the host gives them: names in lower case, values as bytes.

use std::ops::Range;

use crate::json;
use crate::memory::{append_all, append_ended};

/// Pseudo-headers (`:status`, `:path` …) are among them.
///
/// All names and values lie in one text, each with a NUL behind it, as the host gives and takes them: a request has
/// some fifty, and memory for each of them would cost more than all that is done with them.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    text: Vec<u8>,
    /// Where the first of them lies; from there on there is nothing else.
    start: usize,
    pairs: Vec<Pair>,
}

/// Where the name and the value of a header lie in the text: the value behind the name and its NUL.
#[derive(Clone, Debug)]
pub struct Pair {
    pub name: Range<usize>,
    pub value: Range<usize>,
}

impl Headers {
    /// Of names and values that lie in `text` from a place to its end, as [`Pair`] says.
    pub fn within(text: Vec<u8>, start: usize, pairs: Vec<Pair>) -> Self {
        Headers { text, start, pairs }
    }

    /// With room for so many headers of so many bytes together.
    pub fn with_capacity(pairs: usize, text: usize) -> Self {
        Headers { text: Vec::with_capacity(text), start: 0, pairs: Vec::with_capacity(pairs) }
    }

    /// The first value of a header, if it is text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.bytes(name).and_then(|value| json::utf8(value).ok())
    }

    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        let is_named = |pair: &&Pair| pair.name.len() == name.len() && self.part(&pair.name) == name.as_bytes();
        let pair = self.pairs.iter().find(is_named)?;
        Some(self.part(&pair.value))
    }

    /// The names that begin with a prefix.
    pub fn names_with<'h>(&'h self, prefix: &'h str) -> impl Iterator<Item = &'h str> {
        let names = self.pairs.iter().map(|pair| self.part(&pair.name));
        names.filter(|name| name.starts_with(prefix.as_bytes())).filter_map(|name| json::utf8(name).ok())
    }

    /// All names and values in their order, each with its NUL.
    pub fn text(&self) -> &[u8] {
        self.text.get(self.start..).unwrap_or_default()
    }

    /// How long each name and its value are.
    pub fn lengths(&self) -> impl Iterator<Item = (usize, usize)> {
        self.pairs.iter().map(|pair| (pair.name.len(), pair.value.len()))
    }

    /// A name that is not text, which HTTP does not allow, is empty.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.pairs.iter().map(|pair| (json::utf8(self.part(&pair.name)).unwrap_or_default(), self.part(&pair.value)))
    }

    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.put(name.as_bytes(), value.as_ref());
    }

    /// A value that is put together from parts.
    pub fn push_joined(&mut self, name: &str, parts: &[&str]) {
        self.put(name.as_bytes(), b"");
        self.text.pop();
        append_all(&mut self.text, parts);
        if let Some(last) = self.pairs.last_mut() {
            last.value.end = self.text.len();
        }
        self.text.push(0);
    }

    fn put(&mut self, name: &[u8], value: &[u8]) {
        if self.pairs.capacity() == 0 {
            // As many as most have, so that they do not move as they grow.
            self.pairs.reserve(16);
            self.text.reserve(768);
        }
        let start = self.text.len();
        append_ended(&mut self.text, name);
        let middle = self.text.len();
        append_ended(&mut self.text, value);
        self.pairs.push(Pair { name: start..middle - 1, value: middle..self.text.len() - 1 });
    }

    /// Adds all headers of another.
    pub fn extend(&mut self, other: &Headers) {
        let by = self.text.len();
        let moved = |place: &Range<usize>| place.start - other.start + by..place.end - other.start + by;
        self.text.extend_from_slice(other.text());
        self.pairs
            .extend(other.pairs.iter().map(|Pair { name, value }| Pair { name: moved(name), value: moved(value) }));
    }

    /// The media type of the body, without its parameters.
    pub fn content_type(&self) -> Option<&str> {
        let value = self.get("content-type")?;
        Some(value.split(';').next().unwrap_or_default().trim())
    }

    fn part(&self, place: &Range<usize>) -> &[u8] {
        self.text.get(place.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_another_and_values_of_parts_are_where_they_should_be() {
        let mut headers = Headers::default();
        headers.push_joined(":path", &["/v1", "", "/chat"]);
        headers.push("a", "1");
        // As the host gives them, behind their lengths.
        let given = [Pair { name: 8..9, value: 10..12 }, Pair { name: 13..14, value: 15..15 }];
        headers.extend(&Headers::within(b"lengths:b\x0022\0c\0\0".to_vec(), 8, given.to_vec()));
        headers.push("d", "4");
        let all: Vec<_> = headers.iter().map(|(name, value)| (name, str::from_utf8(value).unwrap())).collect();
        assert_eq!(all, [(":path", "/v1/chat"), ("a", "1"), ("b", "22"), ("c", ""), ("d", "4")]);
        assert_eq!(headers.text(), b":path\0/v1/chat\0a\x001\0b\x0022\0c\0\0d\x004\0");
        assert_eq!(headers.lengths().collect::<Vec<_>>(), [(5, 8), (1, 1), (1, 2), (1, 0), (1, 1)]);
    }
}
