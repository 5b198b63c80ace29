//! Writes YAML for people: a tree in the order it was built, with comments, small things on one line.
//!
//! No library writes comments. What is written here is the part of YAML that every reader agrees on:
//! block and flow collections, plain words where nothing can be taken for anything else, JSON strings
//! where it could, and literal blocks for texts.

#[derive(Clone, Debug)]
pub enum Yaml {
    /// As it is to be written.
    Scalar(String),
    /// A text of several lines, kept as it is (without the newline at its end).
    Text(String),
    List(Vec<Yaml>),
    Map(Map),
}

#[derive(Clone, Debug, Default)]
pub struct Map {
    entries: Vec<Entry>,
    comment: Option<String>,
}

#[derive(Clone, Debug)]
struct Entry {
    comment: Option<String>,
    key: String,
    value: Yaml,
}

impl Map {
    pub fn new() -> Self {
        Map::default()
    }

    pub fn with(mut self, key: &str, value: impl Into<Yaml>) -> Self {
        self.entries.push(Entry { comment: self.comment.take(), key: key.to_owned(), value: value.into() });
        self
    }

    pub fn with_some(self, key: &str, value: Option<impl Into<Yaml>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    pub fn append(&mut self, other: Map) {
        self.entries.extend(other.entries);
    }

    /// A comment above the entry that follows.
    pub fn note(mut self, comment: &str) -> Self {
        self.comment = Some(comment.to_owned());
        self
    }

    /// The same, where it is said for the first time.
    pub fn note_if(self, first: bool, comment: &str) -> Self {
        if first { self.note(comment) } else { self }
    }
}

impl From<Map> for Yaml {
    fn from(map: Map) -> Self {
        Yaml::Map(map)
    }
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Yaml::Scalar(word(text))
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<u64> for Yaml {
    fn from(number: u64) -> Self {
        Yaml::Scalar(number.to_string())
    }
}

impl From<bool> for Yaml {
    fn from(value: bool) -> Self {
        Yaml::Scalar(value.to_string())
    }
}

impl<T: Into<Yaml>> From<Vec<T>> for Yaml {
    fn from(items: Vec<T>) -> Self {
        Yaml::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Yaml>, const N: usize> From<[T; N]> for Yaml {
    fn from(items: [T; N]) -> Self {
        Yaml::List(items.into_iter().map(Into::into).collect())
    }
}

pub fn write(head: &str, document: &Map) -> String {
    let mut out = String::new();
    comment(&mut out, head, 0);
    out.push('\n');
    block_map(&mut out, document, 0, false);
    out
}

/// How wide a line may get before a collection is given lines of its own.
const WIDTH: usize = 110;
/// More than this is not read at a glance, however short.
const GLANCE: usize = 8;

/// `begun` says that the first entry's place is written already: behind the dash of a list, where
/// the list has written its comment, too.
fn block_map(out: &mut String, map: &Map, depth: usize, mut begun: bool) {
    for entry in &map.entries {
        if !begun {
            comment(out, entry.comment.as_deref().unwrap_or_default(), depth);
            indent(out, depth);
        }
        begun = false;
        out.push_str(&word(&entry.key));
        out.push(':');
        value(out, &entry.value, depth);
    }
}

/// What follows `key:` or a dash, up to and with the newline.
fn value(out: &mut String, node: &Yaml, depth: usize) {
    let column = out.len() - out.rfind('\n').map_or(0, |newline| newline + 1);
    if let Some(flow) = flow(node)
        && column + 1 + flow.len() <= WIDTH
    {
        out.push(' ');
        out.push_str(&flow);
        out.push('\n');
        return;
    }
    match node {
        Yaml::Scalar(text) => {
            out.push(' ');
            out.push_str(text);
            out.push('\n');
        }
        Yaml::Text(text) => {
            out.push_str(" |-\n");
            for line in text.lines() {
                indent(out, depth + 1);
                out.push_str(line);
                out.push('\n');
            }
        }
        Yaml::List(items) => {
            out.push('\n');
            for item in items {
                if let Yaml::Map(Map { entries, .. }) = item
                    && let Some(Entry { comment: Some(text), .. }) = entries.first()
                {
                    comment(out, text, depth);
                }
                indent(out, depth);
                out.push('-');
                match item {
                    Yaml::Map(map) if flow(item).is_none_or(|flow| 2 * depth + 2 + flow.len() > WIDTH) => {
                        out.push(' ');
                        block_map(out, map, depth + 1, true);
                    }
                    _ => value(out, item, depth),
                }
            }
        }
        Yaml::Map(map) => {
            out.push('\n');
            block_map(out, map, depth + 1, false);
        }
    }
}

/// On one line, if it has no comments and can be read at a glance.
fn flow(node: &Yaml) -> Option<String> {
    fn count(node: &Yaml) -> usize {
        match node {
            Yaml::Scalar(_) | Yaml::Text(_) => 1,
            Yaml::List(items) => items.iter().map(count).sum(),
            Yaml::Map(map) => map.entries.iter().map(|entry| count(&entry.value)).sum(),
        }
    }
    if count(node) > GLANCE {
        return None;
    }
    match node {
        Yaml::Scalar(text) => Some(text.clone()),
        Yaml::Text(_) => None,
        Yaml::List(items) => {
            let items: Option<Vec<_>> = items.iter().map(flow).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        Yaml::Map(map) => {
            let entry = |entry: &Entry| match entry.comment {
                Some(_) => None,
                None => Some(format!("{}: {}", word(&entry.key), flow(&entry.value)?)),
            };
            let entries: Option<Vec<_>> = map.entries.iter().map(entry).collect();
            Some(format!("{{{}}}", entries?.join(", ")))
        }
    }
}

fn comment(out: &mut String, text: &str, depth: usize) {
    for line in text.lines() {
        indent(out, depth);
        out.push_str(if line.is_empty() { "#" } else { "# " });
        out.push_str(line);
        out.push('\n');
    }
}

fn indent(out: &mut String, depth: usize) {
    out.push_str(&"  ".repeat(depth));
}

/// A string, in quotes unless no reader, of YAML 1.1 or 1.2, could take it for something else.
fn word(text: &str) -> String {
    const RESERVED: &[&str] = &["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    let first = text.bytes().next();
    let letter = first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'/' || byte == b'_');
    let plain = text.bytes().all(inner) && !RESERVED.contains(&text.to_ascii_lowercase().as_str());
    let is_plain = plain && (letter || is_seconds(text) || is_address(text));
    if is_plain { text.to_owned() } else { serde_json::to_string(text).unwrap_or_default() }
}

/// `0.025s`: what Envoy's durations look like.
fn is_seconds(text: &str) -> bool {
    text.strip_suffix('s').is_some_and(|number| {
        number.starts_with(|first: char| first.is_ascii_digit())
            && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    })
}

/// `127.0.0.1`: two points and more are no number.
fn is_address(text: &str) -> bool {
    text.parse::<std::net::Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use saphyr::{LoadableYamlNode, Yaml as Read};

    use super::*;

    #[test]
    fn strings_are_read_back_as_strings() {
        for text in [
            "",
            " ",
            "plain",
            "with space",
            "true",
            "No",
            "y",
            "null",
            "~",
            "1",
            "1.5",
            "1e3",
            "0x10",
            "0o7",
            ".5",
            "10s",
            "1.2.3.4",
            "12:30",
            "::1",
            "-",
            "- a",
            "a: b",
            "a:",
            "# a",
            "a #b",
            "*",
            "&a",
            "!a",
            "{",
            "[a",
            "a,b",
            "%a%",
            "@a",
            "`a",
            "'a'",
            "\"a\"",
            "a\nb",
            "\t",
            "é",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "=",
            "<<",
            "2026-11-21",
            "_1",
        ] {
            let written = write("", &Map::new().with("flow", text).with("list", [[text, text]]).with(text, true));
            let read = &Read::load_from_str(&written).unwrap()[0];
            assert_eq!(read["flow"].as_str(), Some(text), "{written}");
            assert_eq!(read["list"][0][1].as_str(), Some(text), "{written}");
            assert_eq!(read.as_mapping_get(text).and_then(Read::as_bool), Some(true), "{written}");
        }
    }

    #[test]
    fn comments_and_texts_stand_where_they_belong() {
        let text = Yaml::Text("{\n  \"a\": 1\n}".to_owned());
        let item = Map::new().note("of the item").with("name", "x").note("of the text").with("text", text.clone());
        let document = Map::new().with("list", [item, Map::new().with("name", "z")]).with("empty", Map::new());
        let written = write("Head,\nin two lines.", &document);
        assert_eq!(
            written,
            "# Head,\n# in two lines.\n\nlist:\n# of the item\n- name: x\n  # of the text\n  text: |-\n    {\n      \"a\": 1\n    }\n\
             - {name: z}\nempty: {}\n"
        );
        let read = &Read::load_from_str(&written).unwrap()[0];
        assert_eq!(read["list"][0]["text"].as_str(), Some("{\n  \"a\": 1\n}"));
        assert_eq!(read["list"][1]["name"].as_str(), Some("z"));
    }
}
