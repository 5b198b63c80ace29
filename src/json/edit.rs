//! Changes of a JSON text in place: of the rest not a byte is another.

use std::ops::Range;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Object;

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
}
