//! Reading a request without any mercy: small readers that say what is wrong and where.
//!
//! A reader takes a JSON value and returns what it holds or a [`Problem`] whose path grows on the way
//! out. The wording belongs to the providers; this file must not know whose request it reads.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// A no in the provider's vocabulary, before it is put into the provider's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub status: u16,
    /// `error.type`.
    pub kind: Cow<'static, str>,
    /// `error.code`; Anthropic has none.
    pub code: Option<Cow<'static, str>>,
    pub param: Option<String>,
    pub message: String,
    /// When to come again, in seconds: a header of most providers, part of the error of others.
    pub retry_after: Option<u64>,
}

impl Refusal {
    pub fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind: kind.into(), code: None, param: None, message: message.into(), retry_after: None }
    }

    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code.into());
        self
    }

    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }
}

#[derive(Debug, PartialEq)]
pub enum Wrong {
    /// A field that the reference does not list.
    Unknown,
    Missing,
    Type {
        expected: &'static str,
        got: &'static str,
    },
    Choice {
        got: String,
        supported: &'static [&'static str],
    },
    /// A rule that is not about one value's type; the text is the provider's own.
    Rule(String),
    /// One that has a type and a code of its own.
    Refused(Box<Refusal>),
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

#[derive(Debug)]
pub struct Problem {
    pub wrong: Wrong,
    /// Innermost first: it is collected while the readers return.
    path: Vec<Step>,
}

impl Problem {
    pub fn new(wrong: Wrong) -> Self {
        Self { wrong, path: Vec::new() }
    }

    pub fn rule(text: impl Into<String>) -> Self {
        Self::new(Wrong::Rule(text.into()))
    }

    pub fn under(mut self, key: &str) -> Self {
        self.path.push(Step::Key(key.to_owned()));
        self
    }

    pub fn at(mut self, index: usize) -> Self {
        self.path.push(Step::Index(index));
        self
    }

    pub fn refused(refusal: Refusal) -> Self {
        Self::new(Wrong::Refused(Box::new(refusal)))
    }

    /// `messages[0].content`
    pub fn bracketed(&self) -> String {
        let mut text = String::new();
        for step in self.path.iter().rev() {
            match step {
                Step::Key(key) if text.is_empty() => text.push_str(key),
                Step::Key(key) => text.extend([".", key]),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    /// `messages.0.content`
    pub fn dotted(&self) -> String {
        let steps = self.path.iter().rev().map(|step| match step {
            Step::Key(key) => key.clone(),
            Step::Index(index) => index.to_string(),
        });
        steps.collect::<Vec<_>>().join(".")
    }
}

pub type Checked<T> = Result<T, Problem>;

fn wrong_type<T>(value: &Value, expected: &'static str) -> Checked<T> {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Err(Problem::new(Wrong::Type { expected, got }))
}

pub fn string(value: &Value) -> Checked<&str> {
    value.as_str().map_or_else(|| wrong_type(value, "a string"), Ok)
}

pub fn boolean(value: &Value) -> Checked<bool> {
    value.as_bool().map_or_else(|| wrong_type(value, "a boolean"), Ok)
}

pub fn integer(value: &Value) -> Checked<i64> {
    value.as_i64().map_or_else(|| wrong_type(value, "an integer"), Ok)
}

pub fn integer_in(value: &Value, least: i64, most: i64) -> Checked<i64> {
    match integer(value)? {
        n if (least..=most).contains(&n) => Ok(n),
        n => Err(Problem::rule(format!("expected a value from {least} to {most}, but got {n} instead"))),
    }
}

pub fn number_in(value: &Value, least: f64, most: f64) -> Checked<f64> {
    match value.as_f64() {
        Some(n) if (least..=most).contains(&n) => Ok(n),
        Some(n) => Err(Problem::rule(format!("expected a value from {least} to {most}, but got {n} instead"))),
        None => wrong_type(value, "a number"),
    }
}

pub fn choice<'a>(value: &'a Value, supported: &'static [&'static str]) -> Checked<&'a str> {
    match string(value)? {
        got if supported.contains(&got) => Ok(got),
        got => Err(Problem::new(Wrong::Choice { got: got.to_owned(), supported })),
    }
}

pub fn array(value: &Value) -> Checked<&Vec<Value>> {
    value.as_array().map_or_else(|| wrong_type(value, "an array"), Ok)
}

pub fn each<'a, T>(value: &'a Value, mut read: impl FnMut(&'a Value) -> Checked<T>) -> Checked<Vec<T>> {
    let items = array(value)?.iter().enumerate();
    items.map(|(index, item)| read(item).map_err(|problem| problem.at(index))).collect()
}

/// An object with any keys, such as a JSON schema.
pub fn open_object(value: &Value) -> Checked<&Map<String, Value>> {
    value.as_object().map_or_else(|| wrong_type(value, "an object"), Ok)
}

/// An object with no other keys than these.
pub fn object<'a>(value: &'a Value, known: &[&str]) -> Checked<&'a Map<String, Value>> {
    let object = open_object(value)?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Problem::new(Wrong::Unknown).under(key)),
        None => Ok(object),
    }
}

/// A field that has to be there, and not as `null`.
pub fn required<'a, T>(
    object: &'a Map<String, Value>,
    key: &str,
    read: impl FnOnce(&'a Value) -> Checked<T>,
) -> Checked<T> {
    let value = object.get(key).ok_or_else(|| Problem::new(Wrong::Missing).under(key))?;
    read(value).map_err(|problem| problem.under(key))
}

/// A field that may be absent but, when it is there, has a value: `null` is a wrong type.
pub fn present<'a, T>(
    object: &'a Map<String, Value>,
    key: &str,
    read: impl FnOnce(&'a Value) -> Checked<T>,
) -> Checked<Option<T>> {
    let value = object.get(key);
    value.map(|value| read(value).map_err(|problem| problem.under(key))).transpose()
}

/// A field that may be absent, also by being `null`.
pub fn nullable<'a, T>(
    object: &'a Map<String, Value>,
    key: &str,
    read: impl FnOnce(&'a Value) -> Checked<T>,
) -> Checked<Option<T>> {
    match object.get(key) {
        Some(Value::Null) => Ok(None),
        _ => present(object, key, read),
    }
}

/// `[a-zA-Z0-9_-]{1,most}`: tool names and ids of both providers.
pub fn identifier(value: &Value, most: usize) -> Checked<&str> {
    let text = string(value)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !text.is_empty() && text.len() <= most && text.bytes().all(allowed) {
        return Ok(text);
    }
    let pattern =
        if most == usize::MAX { "^[a-zA-Z0-9_-]+$".to_owned() } else { format!("^[a-zA-Z0-9_-]{{1,{most}}}$") };
    Err(Problem::rule(format!("String should match pattern '{pattern}'")))
}

/// Which keyword of a schema for texts is more than a grammar can hold: a pattern that looks around, or a format
/// that it does not know.
pub fn too_much_of_text(keywords: &Map<String, Value>) -> Option<&'static str> {
    let known = ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
    let text = |key: &str| keywords.get(key).and_then(Value::as_str);
    match (text("pattern"), text("format")) {
        (Some(pattern), _) if pattern.contains("(?") => Some("pattern"),
        (_, Some(format)) if !known.contains(&format) => Some("format"),
        _ => None,
    }
}

/// Standard alphabet with padding, and nothing else.
pub fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    !body.is_empty() && text.len().is_multiple_of(4) && padding <= 2 && body.bytes().all(allowed)
}

/// A body's top level, with the keys that stand there twice: the map alone would hide them.
pub struct TopLevel {
    pub fields: Value,
    pub repeated: Option<String>,
}

impl<'de> Deserialize<'de> for TopLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = TopLevel;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TopLevel, A::Error> {
                let mut fields = BTreeMap::new();
                let mut repeated = None;
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if fields.insert(key.clone(), value).is_some() {
                        repeated.get_or_insert(key);
                    }
                }
                Ok(TopLevel { fields: Value::Object(fields.into_iter().collect()), repeated })
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn path_names_the_innermost_place() {
        let body = json!({"messages": [{"content": 1}]});
        let problem = required(body.as_object().unwrap(), "messages", |messages| {
            each(messages, |message| required(object(message, &["content"])?, "content", |content| string(content)))
        });
        let problem = problem.unwrap_err();
        assert_eq!(problem.bracketed(), "messages[0].content");
        assert_eq!(problem.dotted(), "messages.0.content");
        assert_eq!(problem.wrong, Wrong::Type { expected: "a string", got: "an integer" });
    }

    #[test]
    fn base64_is_padded_and_clean() {
        for good in ["aGk=", "aGkh", "aA=="] {
            assert!(is_base64(good), "{good}");
        }
        for bad in ["", "aGk", "aG k", "a===", "aGk-", "===="] {
            assert!(!is_base64(bad), "{bad}");
        }
    }

    #[test]
    fn repeated_key_is_seen() {
        let top: TopLevel = serde_json::from_str(r#"{"model":"a","n":1,"model":"b"}"#).unwrap();
        assert_eq!(top.repeated.as_deref(), Some("model"));
    }
}
