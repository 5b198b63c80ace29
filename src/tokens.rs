//! How many tokens a prompt is, without any tokenizer's tables: an estimate, marked as such wherever it is
//! told.
//!
//! Of a request the texts count, what is around them little: a provider sees a few tokens for each message
//! and none of the JSON. Texts are read once by classes of characters. Of long ones only samples are looked
//! at, so that the cost does not grow with the prompt; what is attached in base64 is no text and is stepped
//! over. The weights are fitted to o200k, OpenAI's; other tokenizers differ by a factor that is learnt from
//! what providers count. `scripts/tokens` measures how near it comes, and writes the table in docs/routing.md.

use crate::chat::ChatRequest;
use crate::chat::attached::{Attachment, Kind};

/// How much of a text is looked at, and in what pieces, evenly spread: enough of them to meet every part of
/// a conversation, and long enough that their cut ends count little.
const MOST: usize = 8 << 10;
const WINDOW: usize = 128;

/// What an image counts for: about what a picture of a megapixel costs with most providers.
const IMAGE: u64 = 1_000;
/// A page of a document costs as much, and is about so many bytes of base64 for each token.
const FILE_BYTES: u64 = 64;
/// Speech is ten to thirty tokens a second and, compressed, some 20 kB of base64.
const AUDIO_BYTES: u64 = 1_000;

/// What frames a request's messages, and each of them, with its role; OpenAI's numbers.
const FRAME: u64 = 3;
const MESSAGE: u64 = 4;
/// The same for a request's tools, and each of them, and each of their properties.
const TOOLS: u64 = 12;
const TOOL: u64 = 7;
const PROPERTY: u64 = 5;

/// The tokens of a request's prompt.
pub fn estimate(chat: &ChatRequest<'_>) -> u64 {
    let of = |name: &str| chat.field(name).map_or(0, |value| texts(value.get().as_bytes(), &[]));
    let tools = chat.field("tools").or_else(|| chat.field("functions")).map(|tools| tools.get().as_bytes());
    let tools = tools.filter(|tools| tools.contains(&b'{')).map_or(0, |tools| TOOLS + texts(tools, &[]));
    let messages = chat.field("messages").map_or(0, |value| texts(value.get().as_bytes(), &chat.listed.attachments));
    FRAME + messages + tools + of("response_format")
}

/// The tokens of the texts in a part of a request, and of what is attached to them.
fn texts(json: &[u8], attachments: &[Attachment]) -> u64 {
    let mut sample = Sample::default();
    let mut attached = 0;
    let mut from = 0;
    for Attachment { kind, place } in attachments {
        sample.add(json.get(from..place.start).unwrap_or_default());
        let length = place.len() as u64;
        attached += match kind {
            Kind::ImageData | Kind::ImageUrl => IMAGE,
            Kind::Audio => length.div_ceil(AUDIO_BYTES),
            Kind::Pdf | Kind::File => IMAGE + length / FILE_BYTES,
        };
        from = place.end;
    }
    sample.add(json.get(from..).unwrap_or_default());
    sample.tokens() + attached
}

/// Texts, of which only a part is looked at.
#[derive(Default)]
struct Sample {
    looked_at: usize,
    /// Of the texts that were looked at: their bytes and, in 1/64, their tokens.
    length: usize,
    parts: u64,
    /// The bytes of those for which nothing was left.
    rest: usize,
}

impl Sample {
    fn add(&mut self, text: &[u8]) {
        let left = MOST.saturating_sub(self.looked_at);
        if text.len() <= left {
            self.looked_at += text.len();
            self.length += text.len();
            self.parts += strings(text);
            return;
        }
        let windows = left / WINDOW;
        if windows == 0 {
            self.rest += text.len();
            return;
        }
        let stride = text.len() / windows;
        let window = |index: usize| {
            // Never behind a backslash, whose meaning would be lost.
            let at = index * stride;
            let escape = text.get(..at).unwrap_or_default().iter().rev().take_while(|byte| **byte == b'\\').count();
            text.get(at + escape % 2..at + WINDOW)
        };
        let parts: u64 = (0..windows).filter_map(window).map(strings).sum();
        self.looked_at += windows * WINDOW;
        self.length += text.len();
        self.parts += scaled(parts, text.len(), windows * WINDOW);
    }

    fn tokens(&self) -> u64 {
        (self.parts + scaled(self.parts, self.rest, self.length.max(1))).div_ceil(64)
    }
}

fn scaled(parts: u64, length: usize, of: usize) -> u64 {
    (parts as f64 * length as f64 / of as f64) as u64
}

/// What a key says of its own cost and of the strings after it.
struct Key {
    tokens: u64,
    value: Value,
}

#[derive(Clone, Copy, PartialEq)]
enum Value {
    Text,
    /// Names and marks that a model is not shown, or only as a part of what frames a message.
    Nothing,
}

fn key(name: &[u8]) -> Key {
    let (tokens, value) = match name {
        b"role" => (MESSAGE, Value::Nothing),
        b"type" | b"id" | b"tool_call_id" | b"detail" | b"format" | b"required" | b"file_id" => (0, Value::Nothing),
        b"parameters" => (TOOL, Value::Text),
        b"content"
        | b"text"
        | b"refusal"
        | b"name"
        | b"arguments"
        | b"function"
        | b"tool_calls"
        | b"description"
        | b"properties"
        | b"items"
        | b"enum"
        | b"strict"
        | b"additionalProperties"
        | b"json_schema"
        | b"schema"
        | b"cache_control" => (0, Value::Text),
        // A property of a schema.
        name => (PROPERTY + parts(name).div_ceil(64), Value::Text),
    };
    Key { tokens, value }
}

/// The strings in a piece of JSON, which may begin and end anywhere, in 1/64 tokens.
fn strings(piece: &[u8]) -> u64 {
    let mut total = 0;
    let mut value = Value::Text;
    let mut rest = piece;
    let (first, after) = string(piece);
    // A quote that ends a string is followed by what comes after strings; without one all is within one.
    if after.is_none_or(|after| after.is_empty() || b":,}] \n".contains(after.first().unwrap_or(&b' '))) {
        total += parts(first);
        rest = after.unwrap_or_default();
    }
    while let Some(open) = memchr::memchr(b'"', rest) {
        let (text, after) = string(rest.get(open + 1..).unwrap_or_default());
        rest = after.unwrap_or_default();
        if rest.trim_ascii_start().first() == Some(&b':') {
            let key = key(text);
            total += key.tokens * 64;
            value = key.value;
            continue;
        }
        total += match value {
            Value::Text => parts(text),
            Value::Nothing => 0,
        };
    }
    total
}

/// A string up to its end, and what is behind the quote there, if there is one.
fn string(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        let at = from + at;
        if text.get(at) == Some(&b'"') {
            return (text.get(..at).unwrap_or_default(), text.get(at + 1..));
        }
        from = at + 2;
    }
    (text, None)
}

/// Counts a text that comes in pieces, as JSON has it. Models are streamed by tokens, so that a piece is
/// one at least.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// In 1/64 tokens.
    parts: u64,
}

impl Count {
    pub fn push(&mut self, text: &str) {
        if !text.is_empty() {
            // An answer that comes whole may be long, and is sampled as a prompt is.
            let mut sample = Sample::default();
            sample.add(text.as_bytes());
            self.parts += sample.parts.max(64);
        }
    }

    pub fn tokens(self) -> u64 {
        self.parts.div_ceil(64)
    }
}

/// What of a character its cost depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    /// Letters with accents: most of Europe.
    Accented,
    Digit,
    Space,
    Newline,
    /// Greek, Cyrillic, Hebrew, Arabic and the others of two bytes.
    Alphabet,
    /// South and south-east Asia.
    Syllable,
    /// Dashes, quotes, arrows, frames.
    Mark,
    Kana,
    Ideograph,
    Hangul,
    FullWidth,
    Picture,
    Sign,
    /// A byte within a character.
    Within,
}

const CLASS_COUNT: usize = Class::Within as usize + 1;

const ALL_CLASSES: [Class; CLASS_COUNT] = [
    Class::Lower,
    Class::Upper,
    Class::Accented,
    Class::Digit,
    Class::Space,
    Class::Newline,
    Class::Alphabet,
    Class::Syllable,
    Class::Mark,
    Class::Kana,
    Class::Ideograph,
    Class::Hangul,
    Class::FullWidth,
    Class::Picture,
    Class::Sign,
    Class::Within,
];

#[expect(clippy::indexing_slicing, reason = "at compile time, where a panic is an error")]
const CLASSES: [Class; 256] = {
    let mut classes = [Class::Sign; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b' ' | b'\t' => Class::Space,
            b'\n' | b'\r' => Class::Newline,
            b'a'..=b'z' => Class::Lower,
            b'A'..=b'Z' => Class::Upper,
            b'0'..=b'9' => Class::Digit,
            0x80..=0xBF => Class::Within,
            0xC3..=0xCA => Class::Accented,
            0xCB..=0xDF => Class::Alphabet,
            0xE0 | 0xE1 => Class::Syllable,
            0xE2 => Class::Mark,
            0xE3 => Class::Kana,
            0xE4..=0xE9 => Class::Ideograph,
            0xEA..=0xED => Class::Hangul,
            0xEE | 0xEF => Class::FullWidth,
            0xF0..=0xFF => Class::Picture,
            _ => Class::Sign,
        };
        byte += 1;
    }
    classes
};

/// The class of an escaped character, and the bytes behind the backslash.
fn escape(after: &[u8]) -> (Class, usize) {
    let first = after.first().copied().unwrap_or(b'\\');
    let class = match first {
        b'n' | b'r' => Class::Newline,
        b't' | b'b' | b'f' => Class::Space,
        b'u' => {
            let digits = after.get(1..5).and_then(|digits| std::str::from_utf8(digits).ok());
            let class = match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
                Some(..0x80) | None => Class::Sign,
                Some(..0xC0) => Class::Sign,
                Some(..0x2C0) => Class::Accented,
                Some(..0x800) => Class::Alphabet,
                Some(..0x2000) => Class::Syllable,
                Some(..0x3000) => Class::Mark,
                Some(..0x4000) => Class::Kana,
                Some(..0xA000) => Class::Ideograph,
                Some(..0xD800) => Class::Hangul,
                // One half of a pair counts, the other is part of it.
                Some(..0xDC00) => Class::Picture,
                Some(..0xE000) => Class::Within,
                Some(_) => Class::FullWidth,
            };
            return (class, 5);
        }
        _ => Class::Sign,
    };
    (class, 1)
}

/// What the cost of the next character depends on: what the one before was, and how long its word, number or
/// run has been.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A word of so many letters, [`LONG_WORD`] at most, and whether the last of them is a capital.
    Word(usize, bool),
    /// The digits so far, modulo three.
    Number(usize),
    /// Whether it is the only one.
    Sign(bool),
    /// So many spaces, [`SPACES`] at most; none at the beginning of a text.
    Space(usize),
    Newline,
    Alphabet,
    /// What costs the same wherever it stands.
    Other,
}

/// Letters beyond which each costs the same.
const LONG_WORD: usize = 12;
const SPACES: usize = 3;
const WORDS: usize = 0;
const NUMBERS: usize = WORDS + 2 * LONG_WORD;
const SIGNS: usize = NUMBERS + 3;
const SPACE: usize = SIGNS + 2;
const NEWLINE: usize = SPACE + SPACES + 1;
const STATE_COUNT: usize = NEWLINE + 3;

impl State {
    const fn number(self) -> usize {
        match self {
            State::Word(letters, is_upper) => WORDS + (letters - 1) * 2 + is_upper as usize,
            State::Number(digits) => NUMBERS + digits,
            State::Sign(is_single) => SIGNS + is_single as usize,
            State::Space(spaces) => SPACE + spaces,
            State::Newline => NEWLINE,
            State::Alphabet => NEWLINE + 1,
            State::Other => NEWLINE + 2,
        }
    }

    const fn numbered(number: usize) -> Self {
        match number {
            ..NUMBERS => State::Word((number - WORDS) / 2 + 1, (number - WORDS) % 2 == 1),
            NUMBERS..SIGNS => State::Number(number - NUMBERS),
            SIGNS..SPACE => State::Sign(number > SIGNS),
            SPACE..NEWLINE => State::Space(number - SPACE),
            NEWLINE => State::Newline,
            number => {
                if number == NEWLINE + 1 {
                    State::Alphabet
                } else {
                    State::Other
                }
            }
        }
    }
}

/// What a character costs after what was before it, in 1/64 tokens, and what it leaves. The weights were
/// fitted to o200k over code, prose and data in many languages: a word with the space before it is about a
/// token, and so are three digits, a run of signs or an ideograph.
const fn step(before: State, class: Class) -> (u8, State) {
    match class {
        Class::Within => (0, before),
        Class::Lower | Class::Upper | Class::Accented => {
            let is_upper = matches!(class, Class::Upper);
            let accent = if matches!(class, Class::Accented) { 78 } else { 0 };
            match before {
                State::Word(_, false) if is_upper => (80, State::Word(1, true)),
                State::Word(letters, _) => {
                    let cost = match letters {
                        ..4 => 5,
                        4..LONG_WORD => 13,
                        _ => 82,
                    };
                    let longer = if letters < LONG_WORD { letters + 1 } else { letters };
                    (cost + accent + if is_upper { 7 } else { 0 }, State::Word(longer, is_upper))
                }
                // One sign before a word belongs to it.
                State::Sign(true) => (accent, State::Word(1, is_upper)),
                _ => (39 + accent, State::Word(1, is_upper)),
            }
        }
        Class::Digit => match before {
            State::Number(digits) => (if digits == 0 { 75 } else { 0 }, State::Number((digits + 1) % 3)),
            State::Word(..) => (75 + 30, State::Number(1)),
            _ => (75, State::Number(1)),
        },
        // The same one again costs more, which `parts` adds.
        Class::Sign => match before {
            State::Sign(_) => (3, State::Sign(false)),
            _ => (62, State::Sign(true)),
        },
        Class::Space => match before {
            State::Space(spaces) => {
                let more = if spaces < SPACES { spaces + 1 } else { spaces };
                (if more == 2 { 26 } else { 0 }, State::Space(more))
            }
            _ => (0, State::Space(1)),
        },
        Class::Newline => (if matches!(before, State::Newline) { 0 } else { 48 }, State::Newline),
        Class::Alphabet => (if matches!(before, State::Alphabet) { 3 } else { 105 }, State::Alphabet),
        Class::Syllable => (20, State::Other),
        Class::Mark => (40, State::Other),
        Class::Kana => (45, State::Other),
        Class::Ideograph => (55, State::Other),
        Class::Hangul => (50, State::Other),
        Class::FullWidth => (64, State::Other),
        Class::Picture => (96, State::Other),
    }
}

/// What a sign costs beyond [`step`] that is the same as the one before it.
const REPEATED_SIGN: u64 = 10;

/// [`step`] as a table, a row of the classes for each state, up to a power of two: every byte of what is
/// looked at is one look-up, a tenth of the instructions that the branches would take.
#[expect(clippy::indexing_slicing, reason = "at compile time, where a panic is an error")]
static STEPS: [(u8, u8); ROWS * CLASS_COUNT] = {
    let mut steps = [(0, 0); ROWS * CLASS_COUNT];
    let mut state = 0;
    while state < STATE_COUNT {
        let mut class = 0;
        while class < CLASS_COUNT {
            let (cost, next) = step(State::numbered(state), ALL_CLASSES[class]);
            steps[state * CLASS_COUNT + class] = (cost, next.number() as u8);
            class += 1;
        }
        state += 1;
    }
    steps
};

const ROWS: usize = STATE_COUNT.next_power_of_two();

/// What a text costs, in 1/64 tokens.
fn parts(text: &[u8]) -> u64 {
    let mut total = 0;
    let mut state = State::Space(0).number();
    // The sign before, and any letter where none was.
    let mut last = b'a';
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        let mut class = CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Sign);
        if class as usize >= Class::Sign as usize {
            if class == Class::Within {
                continue;
            }
            if byte == b'\\' {
                let escaped;
                (class, escaped) = escape(text.get(at..).unwrap_or_default());
                at += escaped;
            }
            if class == Class::Sign {
                total += if byte == last { REPEATED_SIGN } else { 0 };
                last = byte;
            } else {
                last = b'a';
            }
        } else {
            last = b'a';
        }
        let place = (state * CLASS_COUNT + class as usize) % STEPS.len();
        let (cost, next) = STEPS.get(place).copied().unwrap_or_default();
        total += u64::from(cost);
        state = usize::from(next);
        if class == Class::Lower {
            // Most of most texts: the rest of the word at once.
            let rest = text.get(at..).unwrap_or_default();
            let letters = rest.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
            if letters > 0 {
                let known = state / 2 + 1;
                let all = (known + letters).min(LONG_WORD);
                total += letters_of(known + letters) - letters_of(known);
                state = State::Word(all, false).number();
                at += letters;
            }
        }
    }
    total
}

/// What the letters of a word cost that follow its first.
fn letters_of(word: usize) -> u64 {
    let (near, far) = (word.clamp(1, 4) - 1, word.clamp(4, LONG_WORD) - 4);
    (5 * near + 13 * far + 82 * word.saturating_sub(LONG_WORD)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(text: &str, least: u64, most: u64) {
        let tokens = parts(text.as_bytes()).div_ceil(64);
        assert!((least..=most).contains(&tokens), "{text}: {tokens}");
    }

    fn request(messages: &str, rest: &str) -> u64 {
        let body = format!(r#"{{"model":"smart","messages":{messages}{rest}}}"#);
        estimate(&ChatRequest::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn an_estimate_is_near_for_texts_of_every_kind() {
        near("", 0, 0);
        near("hi", 1, 1);
        near("The quick brown fox jumps over the lazy dog.", 9, 12);
        near("fn main() { println!(\"{}\", 42); }", 8, 16);
        near("你好世界", 2, 4);
        near(r"\u4f60\u597d\u4e16\u754c", 2, 4);
        near("1234567890", 3, 5);
        near("\u{1f600}", 1, 3);
        near(r"\ud83d\ude00", 1, 3);
    }

    #[test]
    fn a_message_counts_its_text_and_little_else() {
        assert_eq!(request(r#"[{"role":"user","content":"hi"}]"#, ""), 8);
        assert_eq!(request(r#"[ { "content" : "hi" , "role" : "user" } ]"#, r#","user":"someone","top_p":0.5"#), 8);
        let parts = r#"[{"role":"user","content":[{"type":"text","text":"hi"}]}]"#;
        assert_eq!(request(parts, ""), 8);
        let tools = r#","tools":[{"type":"function","function":{"name":"get_weather","description":"The weather",
            "parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]"#;
        let with_tools = request(parts, tools);
        assert!((30..50).contains(&with_tools), "{with_tools}");
    }

    #[test]
    fn a_long_text_is_sampled_and_comes_to_the_same() {
        let sentence = r#"The quick brown fox says \"hm\\n\" over the lazy dog.\n"#;
        let one = parts(sentence.as_bytes()) as f64 / 64.0;
        let message = |times: usize| format!(r#"{{"role":"user","content":"{}"}}"#, sentence.repeat(times));
        let many = request(&format!("[{}]", message(10_000)), "") as f64;
        assert!((many / one / 10_000.0 - 1.0).abs() < 0.05, "{many} for {one}");
        // In many messages, too.
        let messages = vec![message(5); 1_000].join(",");
        let many = request(&format!("[{messages}]"), "") as f64;
        assert!((many / (5.0 * one + 4.0) / 1_000.0 - 1.0).abs() < 0.1, "{many} for {one}");
    }

    #[test]
    fn what_is_attached_is_stepped_over() {
        let data = "A".repeat(3_000_000);
        for (part, least, most) in [
            (format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}"#), 1_000, 1_010),
            (r#"{"type":"image_url","image_url":{"url":"https://example.org/a.png"}}"#.to_owned(), 1_000, 1_010),
            (format!(r#"{{"type":"input_audio","input_audio":{{"data" : "{data}","format":"wav"}}}}"#), 3_000, 3_010),
            (format!(r#"{{"type":"file","file":{{"file_data":"data:x/y;base64,{data}"}}}}"#), 47_000, 49_000),
            (r#"{"type":"text","text":"the \"data\": nothing"}"#.to_owned(), 8, 20),
            (r#"{"type":"text","text":"<img src=\"data:image/png;base64,AA\">"}"#.to_owned(), 15, 30),
        ] {
            let tokens = request(&format!(r#"[{{"role":"user","content":[{part}]}}]"#), "");
            let start = &part[..part.len().min(60)];
            assert!((least..=most).contains(&tokens), "{start}: {tokens}");
        }
        // However many, in linear time.
        let many = format!(r#"[{{"role":"user","content":"{}"}}]"#, ";base64,".repeat(400_000));
        assert!(request(&many, "") >= 1_000_000);
    }
}
