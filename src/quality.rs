//! Whether an answer is of use: JSON that parses where JSON was asked for, tool calls with arguments that
//! parse and have the required keys, something said at all, no refusal.
//!
//! It reads along as the answer passes, keeps nothing of it, and costs nothing where there is nothing to
//! judge: text that is not to be JSON is not looked at. Of several choices the first is judged.

use std::hash::Hasher;

use fnv::FnvHasher;

use crate::chat::request::ResponseFormat;
use crate::chat::{Arguments, ChatRequest, FinishReason};
use crate::json::{self, RawValue, Str};

/// Whose tools are longer is asked only whether the arguments parse: they are kept until the answer is there.
const MOST_TOOLS: usize = 32 << 10;

/// More calls in one answer are not judged.
const MOST_CALLS: usize = 32;

/// More keys of one call are not remembered: no tool requires as many.
const MOST_KEYS: usize = 64;

/// What the request says an answer has to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    json: bool,
    /// The list of tools, as the client wrote it.
    tools: Option<Box<str>>,
}

impl Expected {
    pub fn of(chat: &ChatRequest<'_>) -> Self {
        let format = chat.field("response_format").and_then(|_| chat.response_format().ok());
        let tools = chat.field("tools").map(RawValue::get).filter(|tools| tools.len() <= MOST_TOOLS);
        Expected {
            json: matches!(format, Some(ResponseFormat::JsonObject | ResponseFormat::JsonSchema { .. })),
            tools: tools.map(Into::into),
        }
    }

    pub fn judge(&self) -> Judge {
        Judge { json: self.json.then(Box::default), ..Judge::default() }
    }

    /// The hashes of the keys that a tool's arguments must have, as far as that is told.
    fn required(&self, name: u64) -> Vec<u64> {
        let hash = |text: &RawValue| Str::new(text).map(|text| hash(text.decode().as_bytes()));
        let Some(tools) = self.tools.as_deref().and_then(|tools| json::parse_str(tools).ok()) else {
            return Vec::new();
        };
        let called = tools
            .elements()
            .filter_map(|tool| tool.field("function"))
            .find(|function| function.field("name").and_then(hash) == Some(name));
        let required = called.and_then(|function| function.field("parameters")?.field("required"));
        required.into_iter().flat_map(RawValue::elements).filter_map(hash).collect()
    }
}

/// What can be said of an answer that is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Where JSON was asked for and the model answered in words: whether it parses.
    pub json: Option<bool>,
    /// Tool calls whose arguments parse and have what the tool requires, and those whose do not.
    pub good_calls: u32,
    pub bad_calls: u32,
    pub refused: bool,
    /// Nothing is said and nothing is called.
    pub empty: bool,
}

/// One thing that can be said of an answer, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    ValidJson,
    InvalidJson,
    GoodCall,
    BadCall,
    Refused,
    Empty,
}

impl Fact {
    pub const ALL: &'static [Fact] =
        &[Fact::ValidJson, Fact::InvalidJson, Fact::GoodCall, Fact::BadCall, Fact::Refused, Fact::Empty];

    pub fn name(self) -> &'static str {
        match self {
            Fact::ValidJson => "valid_json",
            Fact::InvalidJson => "invalid_json",
            Fact::GoodCall => "good_call",
            Fact::BadCall => "bad_call",
            Fact::Refused => "refused",
            Fact::Empty => "empty",
        }
    }
}

impl Quality {
    /// What there is to say, and how often.
    pub fn facts(self) -> impl Iterator<Item = (Fact, u64)> {
        Fact::ALL.iter().map(move |fact| (*fact, self.count(*fact))).filter(|(_, count)| *count > 0)
    }

    fn count(self, fact: Fact) -> u64 {
        match fact {
            Fact::ValidJson => (self.json == Some(true)).into(),
            Fact::InvalidJson => (self.json == Some(false)).into(),
            Fact::GoodCall => self.good_calls.into(),
            Fact::BadCall => self.bad_calls.into(),
            Fact::Refused => self.refused.into(),
            Fact::Empty => self.empty.into(),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Judge {
    /// Where JSON was asked for.
    json: Option<Box<Scanner>>,
    calls: Vec<Call>,
    says: bool,
    refuses: bool,
}

#[derive(Clone, Debug)]
struct Call {
    index: usize,
    /// Names are the provider's to choose: only their hashes are kept.
    name: u64,
    arguments: Scanner,
}

impl Judge {
    #[inline]
    pub fn content(&mut self, text: Str<'_>) {
        self.says |= !text.is_empty();
        if let Some(scanner) = &mut self.json {
            scanner.push(text.decode().as_bytes());
        }
    }

    /// Something that is no text: audio and the like.
    pub fn other(&mut self) {
        self.says = true;
    }

    pub fn refusal(&mut self, text: Str<'_>) {
        self.refuses |= !text.is_empty();
    }

    /// A call, of which the arguments follow.
    pub fn call(&mut self, index: usize, name: Str<'_>) {
        self.says = true;
        if self.calls.len() < MOST_CALLS {
            let arguments = Scanner { keys: Some(Vec::new()), ..Scanner::default() };
            self.calls.push(Call { index, name: hash(name.decode().as_bytes()), arguments });
        }
    }

    pub fn arguments(&mut self, index: usize, arguments: Arguments<'_>) {
        let Some(call) = self.calls.iter_mut().rev().find(|call| call.index == index) else { return };
        match arguments {
            Arguments::Text(text) => call.arguments.push(text.decode().as_bytes()),
            Arguments::Json(json) => call.arguments.push(json.as_bytes()),
        }
    }

    /// The verdict on a whole answer.
    pub fn quality(&self, finish: Option<FinishReason>, expected: &Expected) -> Quality {
        let refused = self.refuses || finish == Some(FinishReason::ContentFilter);
        let is_good =
            |call: &&Call| call.arguments.is_whole() && call.arguments.has_keys(|| expected.required(call.name));
        let good_calls = self.calls.iter().filter(is_good).count() as u32;
        let in_words = self.calls.is_empty() && !refused;
        Quality {
            json: self.json.as_ref().filter(|_| in_words).map(|scanner| scanner.is_whole()),
            good_calls,
            bad_calls: self.calls.len() as u32 - good_calls,
            refused,
            empty: !self.says && !refused,
        }
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

/// Tells whether a text that comes in pieces is JSON (RFC 8259), and which keys its object has.
#[derive(Clone, Debug, Default)]
struct Scanner {
    state: State,
    /// Whether each open bracket is an object's, the innermost in the lowest bit.
    objects: u128,
    depth: u32,
    /// The hashes of the outermost object's keys, where somebody wants to know them.
    keys: Option<Vec<u64>>,
    /// Of the key that is being read.
    key: u64,
    /// A key was written with an escape: which it is, is not known.
    unclear: bool,
}

/// The limit of most readers.
const MOST_NESTED: u32 = 128;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Value,
    /// Behind `[`.
    ValueOrEnd,
    /// Behind `{`.
    KeyOrEnd,
    /// Behind a comma in an object.
    Key,
    Colon,
    /// Behind a value.
    Next,
    Text {
        key: bool,
    },
    Escape {
        key: bool,
    },
    Hex {
        key: bool,
        left: u8,
    },
    Literal(&'static [u8]),
    Number(Digits),
    Broken,
}

/// Where in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

impl Digits {
    fn may_end(self) -> bool {
        matches!(self, Digits::Zero | Digits::Whole | Digits::Fraction | Digits::Exponent)
    }

    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Digits::Minus, b'0') => Digits::Zero,
            (Digits::Minus, b'1'..=b'9') | (Digits::Whole, b'0'..=b'9') => Digits::Whole,
            (Digits::Zero | Digits::Whole, b'.') => Digits::Point,
            (Digits::Point | Digits::Fraction, b'0'..=b'9') => Digits::Fraction,
            (Digits::Zero | Digits::Whole | Digits::Fraction, b'e' | b'E') => Digits::E,
            (Digits::E, b'+' | b'-') => Digits::Sign,
            (Digits::E | Digits::Sign | Digits::Exponent, b'0'..=b'9') => Digits::Exponent,
            _ => return None,
        })
    }
}

impl Scanner {
    fn push(&mut self, text: &[u8]) {
        for byte in text {
            self.state = self.step(*byte);
        }
    }

    fn is_whole(&self) -> bool {
        self.depth == 0
            && match self.state {
                State::Next => true,
                State::Number(digits) => digits.may_end(),
                _ => false,
            }
    }

    fn has_keys(&self, required: impl FnOnce() -> Vec<u64>) -> bool {
        match &self.keys {
            Some(keys) if !self.unclear && keys.len() < MOST_KEYS => {
                required().iter().all(|required| keys.contains(required))
            }
            _ => true,
        }
    }

    fn step(&mut self, byte: u8) -> State {
        let state = match self.state {
            State::Number(digits) => match digits.next(byte) {
                Some(digits) => return State::Number(digits),
                None if digits.may_end() => State::Next,
                None => return State::Broken,
            },
            state => state,
        };
        match (state, byte) {
            (State::Text { key }, b'"') => {
                if key {
                    self.key_ends();
                    State::Colon
                } else {
                    State::Next
                }
            }
            (State::Text { key }, b'\\') => {
                self.unclear |= key && self.depth == 1;
                State::Escape { key }
            }
            (State::Text { .. }, ..0x20) => State::Broken,
            (State::Text { key }, _) => {
                if key && self.keys.is_some() {
                    let mut hasher = FnvHasher::with_key(self.key);
                    hasher.write_u8(byte);
                    self.key = hasher.finish();
                }
                state
            }
            (State::Escape { key }, b'u') => State::Hex { key, left: 4 },
            (State::Escape { key }, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => State::Text { key },
            (State::Hex { key, left: 1 }, _) if byte.is_ascii_hexdigit() => State::Text { key },
            (State::Hex { key, left }, _) if byte.is_ascii_hexdigit() => State::Hex { key, left: left - 1 },
            (State::Literal([first]), _) if byte == *first => State::Next,
            (State::Literal([first, rest @ ..]), _) if byte == *first => State::Literal(rest),
            (State::Escape { .. } | State::Hex { .. } | State::Literal(_) | State::Broken, _) => State::Broken,
            (_, b' ' | b'\n' | b'\r' | b'\t') => state,
            (State::Value | State::ValueOrEnd, b'"') => State::Text { key: false },
            (State::Value | State::ValueOrEnd, b'{') => self.open(true),
            (State::Value | State::ValueOrEnd, b'[') => self.open(false),
            (State::Value | State::ValueOrEnd, b't') => State::Literal(b"rue"),
            (State::Value | State::ValueOrEnd, b'f') => State::Literal(b"alse"),
            (State::Value | State::ValueOrEnd, b'n') => State::Literal(b"ull"),
            (State::Value | State::ValueOrEnd, b'-') => State::Number(Digits::Minus),
            (State::Value | State::ValueOrEnd, b'0') => State::Number(Digits::Zero),
            (State::Value | State::ValueOrEnd, b'1'..=b'9') => State::Number(Digits::Whole),
            (State::Key | State::KeyOrEnd, b'"') => {
                self.key = FnvHasher::default().finish();
                State::Text { key: true }
            }
            (State::Colon, b':') => State::Value,
            (State::ValueOrEnd | State::Next, b']') => self.close(false),
            (State::KeyOrEnd | State::Next, b'}') => self.close(true),
            (State::Next, b',') if self.depth > 0 => {
                if self.objects & 1 == 1 {
                    State::Key
                } else {
                    State::Value
                }
            }
            _ => State::Broken,
        }
    }

    fn open(&mut self, object: bool) -> State {
        if self.depth >= MOST_NESTED {
            return State::Broken;
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(object);
        if object { State::KeyOrEnd } else { State::ValueOrEnd }
    }

    fn close(&mut self, object: bool) -> State {
        if self.depth == 0 || (self.objects & 1 == 1) != object {
            return State::Broken;
        }
        self.depth -= 1;
        self.objects >>= 1;
        State::Next
    }

    fn key_ends(&mut self) {
        if let Some(keys) = self.keys.as_mut().filter(|keys| self.depth == 1 && keys.len() < MOST_KEYS) {
            keys.push(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_json(text: &str, piece: usize) -> bool {
        let mut scanner = Scanner::default();
        text.as_bytes().chunks(piece).for_each(|piece| scanner.push(piece));
        scanner.is_whole()
    }

    #[test]
    fn the_scanner_agrees_with_a_parser_however_the_text_is_cut() {
        let nested = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
        let texts = [
            "",
            " ",
            "{}",
            "[]",
            " {\"a\" : [1, -2.5e+3, true,false , null, \"x\\u00e9\\n\"] }\n",
            "0",
            "01",
            "-",
            "-0",
            "1.",
            "1.5",
            "1e",
            "1e5",
            "1e+",
            "tru",
            "true",
            "truex",
            "\"a",
            "\"a\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{1:2}",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{}}",
            "[}",
            "{]",
            "{} {}",
            "1 2",
            "a",
            "{\"a\":{\"b\":[{}]}}",
            "[[],{}]",
            "]",
            "}",
            ",",
            ":",
            "[1]]",
            "\u{feff}{}",
            "{\"a\":1",
        ];
        let texts = texts.iter().map(|text| (*text).to_owned()).chain([nested(127), nested(200)]);
        for text in texts {
            let parses = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            for piece in [1, 3, 1000] {
                assert_eq!(is_json(&text, piece), parses, "{text:?}");
            }
        }
    }

    fn expected(body: &str) -> Expected {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{body}}}"#);
        Expected::of(&ChatRequest::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn tool_arguments_have_to_parse_and_to_have_what_is_required() {
        let tools = r#","tools":[{"type":"function","function":{"name":"other"}},
            {"type":"function","function":{"name":"f","parameters":{"type":"object","required":["a","b"]}}}]"#;
        for (name, arguments, tools, good) in [
            ("f", r#"{"a":1,"b":{"c":2}}"#, tools, true),
            ("f", r#"{"a":1}"#, tools, false),
            ("f", r#"{"a":{"b":2}}"#, tools, false),
            ("f", r#"{"a":1,"b""#, tools, false),
            ("f", "", tools, false),
            ("f", r#"{"\u0061":1,"b":2}"#, tools, true),
            ("other", "{}", tools, true),
            ("unknown", "{}", tools, true),
            ("f", "{}", "", true),
        ] {
            let expected = expected(tools);
            let mut judge = expected.judge();
            let (name, said) = (json::escape(name), json::escape(arguments));
            judge.call(0, Str::parse(&name).unwrap());
            judge.arguments(0, Arguments::Text(Str::parse(&said).unwrap()));
            let quality = judge.quality(Some(FinishReason::ToolCalls), &expected);
            assert_eq!((quality.good_calls, quality.bad_calls), (good.into(), (!good).into()), "{arguments}");
            assert!(!quality.empty && !quality.refused);
        }
    }

    #[test]
    fn json_is_judged_where_it_was_asked_for_and_only_what_is_said_in_words() {
        let plain = expected("");
        let json = expected(r#","response_format":{"type":"json_object"}"#);
        let judged = |expected: &Expected, said: &str, refusal: &str| {
            let mut judge = expected.judge();
            let (said, refusal) = (json::escape(said), json::escape(refusal));
            judge.content(Str::parse(&said).unwrap());
            judge.refusal(Str::parse(&refusal).unwrap());
            let quality = judge.quality(Some(FinishReason::Stop), expected);
            (quality.json, quality.refused, quality.empty)
        };
        assert_eq!(judged(&plain, "words", ""), (None, false, false));
        assert_eq!(judged(&plain, "", ""), (None, false, true));
        assert_eq!(judged(&json, "{\"a\":\"\\n\"}", ""), (Some(true), false, false));
        assert_eq!(judged(&json, "```{}```", ""), (Some(false), false, false));
        assert_eq!(judged(&json, "", "no"), (None, true, false));
    }
}
