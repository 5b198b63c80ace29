//! How many tokens a prompt is, without any tokenizer's tables: an estimate, marked as such wherever it is
//! told.
//!
//! Of a request the texts count, what is around them little: a provider sees a few tokens for each message
//! and none of the JSON. Texts are read once by classes of characters. Of long ones only samples are looked
//! at, so that the cost does not grow with the prompt; what is attached in base64 is no text and is stepped
//! over. The weights are fitted to o200k, OpenAI's; other tokenizers differ by a factor that is learnt from
//! what providers count. `scripts/tokens` measures how near it comes, and writes the table in docs/routing.md.

use crate::chat::ChatRequest;
use crate::json::RawValue;
use crate::needle::Needle;

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
    let of = |name: &str| chat.field(name).map_or(0, |value| texts(value.get().as_bytes()));
    let tools = chat.field("tools").or_else(|| chat.field("functions")).map(RawValue::get);
    let tools = tools.filter(|tools| tools.contains('{')).map_or(0, |tools| TOOLS + texts(tools.as_bytes()));
    FRAME + of("messages") + tools + of("response_format")
}

/// The tokens of the texts in a part of a request.
fn texts(json: &[u8]) -> u64 {
    let mut sample = Sample::default();
    let mut attached = 0;
    let mut from = 0;
    for attachment in attachments(json) {
        sample.add(json.get(from..attachment.start).unwrap_or_default());
        attached += attachment.tokens;
        from = attachment.end;
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

/// Base64 that is no text, from `start` to `end`.
struct Attachment {
    start: usize,
    end: usize,
    tokens: u64,
}

/// What is attached as data: URLs of data anywhere, and the fields `data` (audio) and `file_data`. Each
/// byte is looked for once, however many there are.
fn attachments(json: &[u8]) -> impl Iterator<Item = Attachment> {
    static URL: Needle = Needle::new(";base64,");
    static FIELD: Needle = Needle::new("data\"");
    let mut urls = URL.find_iter(json).peekable();
    let mut fields = FIELD.find_iter(json).peekable();
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let (url, field) = (urls.peek().copied(), fields.peek().copied());
            let is_url = match (url, field) {
                (Some(url), Some(field)) => url < field,
                (url, _) => url.is_some(),
            };
            let at = if is_url { urls.next()? } else { fields.next()? };
            if at < from {
                continue;
            }
            let before = json.get(..at).unwrap_or_default();
            let start = if is_url { begins_as_data(before) } else { value_of_field(json, at + b"data\"".len()) };
            let Some(start) = start else { continue };
            let data = json.get(start..).unwrap_or_default();
            let length = memchr::memchr(b'"', data).unwrap_or(data.len());
            let is_file = if is_url { before.ends_with(b"pdf") } else { before.ends_with(b"_") };
            let tokens = match length as u64 {
                length if is_file => IMAGE + length / FILE_BYTES,
                _ if is_url => IMAGE,
                length => length.div_ceil(AUDIO_BYTES),
            };
            from = start + length;
            return Some(Attachment { start, end: from, tokens });
        }
    })
}

/// Where the URL of data begins that a string consists of; a text in which there is one is a text.
fn begins_as_data(before: &[u8]) -> Option<usize> {
    const LONGEST_TYPE: usize = 128;
    let from = before.len().saturating_sub(LONGEST_TYPE);
    let quote = from + memchr::memrchr(b'"', before.get(from..)?)?;
    let is_string = before.get(quote + 1..)?.starts_with(b"data:") && !before.get(..quote)?.ends_with(b"\\");
    is_string.then_some(quote + 1)
}

/// Where the string begins that a key, which ends at `at`, has for its value.
fn value_of_field(json: &[u8], at: usize) -> Option<usize> {
    let after = json.get(at..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    Some(json.len() - after.len())
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
    /// An address is fetched, and what is there counts.
    Address,
}

fn key(name: &[u8]) -> Key {
    let (tokens, value) = match name {
        b"role" => (MESSAGE, Value::Nothing),
        b"type" | b"id" | b"tool_call_id" | b"detail" | b"format" | b"required" | b"file_id" => (0, Value::Nothing),
        b"url" => (0, Value::Address),
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
        | b"image_url"
        | b"input_audio"
        | b"file"
        | b"filename"
        | b"file_data"
        | b"data"
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
            Value::Address if !text.is_empty() && !text.starts_with(b"data:") => IMAGE * 64,
            Value::Address | Value::Nothing => 0,
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
    Space,
    Newline,
    Lower,
    Upper,
    /// Letters with accents: most of Europe.
    Accented,
    Digit,
    Sign,
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
    /// A byte within a character.
    Within,
}

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

/// In 1/64 tokens, by weights that were fitted to o200k over code, prose and data in many languages. A word
/// with the space before it is about a token, and so are three digits, a run of signs or an ideograph.
fn parts(text: &[u8]) -> u64 {
    let mut total = 0;
    // How long the word, the number or the run of signs or spaces has been.
    let mut run = 0_u32;
    let mut before = Class::Space;
    let mut last = b' ';
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        // Most of most texts: the letters within a word, and a space with the word behind it. By the word, because
        // every request pays for each of its letters.
        let is_space = byte == b' ' && before != Class::Space && after.first().is_some_and(u8::is_ascii_lowercase);
        if is_space || before == Class::Lower && byte.is_ascii_lowercase() {
            let (word, known) = if is_space { (after, 1) } else { (rest, run) };
            let letters = word.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
            run = letters as u32 + if is_space { 0 } else { run };
            total += letters_of(run) - letters_of(known) + if is_space { WORD } else { 0 };
            before = Class::Lower;
            rest = word.get(letters..).unwrap_or_default();
            continue;
        }
        let (class, escaped) = match byte {
            b'\\' => escape(after),
            _ => (CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Sign), 0),
        };
        rest = after.get(escaped..).unwrap_or_default();
        let in_word = matches!(before, Class::Lower | Class::Upper | Class::Accented);
        let goes_on = class == before;
        match class {
            Class::Within => continue,
            Class::Lower | Class::Upper | Class::Accented => {
                let is_hump = in_word && class == Class::Upper && before != Class::Upper;
                total += match (in_word, before, run) {
                    _ if is_hump => 80,
                    // One sign before a word belongs to it.
                    (false, Class::Sign, 1) => 0,
                    (false, _, _) => WORD,
                    (true, _, run) => letters_of(run + 1) - letters_of(run),
                };
                total += match class {
                    Class::Accented => 78,
                    Class::Upper if in_word && !is_hump => 7,
                    _ => 0,
                };
                run = if in_word && !is_hump { run + 1 } else { 1 };
            }
            Class::Digit => {
                run = if goes_on { run + 1 } else { 1 };
                total += if run % 3 == 1 { 75 } else { 0 };
                total += if in_word { 30 } else { 0 };
            }
            Class::Sign => {
                run = if goes_on { run + 1 } else { 1 };
                total += match goes_on {
                    false => 62,
                    true if byte == last => 13,
                    true => 3,
                };
            }
            Class::Newline => total += if goes_on { 0 } else { 48 },
            Class::Space => {
                run = if goes_on { run + 1 } else { 1 };
                total += if run == 2 { 26 } else { 0 };
            }
            Class::Alphabet => total += if goes_on { 3 } else { 105 },
            Class::Syllable => total += 20,
            Class::Mark => total += 40,
            Class::Kana => total += 45,
            Class::Ideograph => total += 55,
            Class::Hangul => total += 50,
            Class::FullWidth => total += 64,
            Class::Picture => total += 96,
        }
        before = class;
        last = byte;
    }
    total
}

/// What a word costs, …
const WORD: u64 = 39;

/// … and what its letters add, by how many there are: a short word is one token, a long one several.
fn letters_of(word: u32) -> u64 {
    let word = u64::from(word);
    match word {
        ..4 => 5 * word,
        4..12 => 5 * 4 + 13 * (word - 4),
        _ => 5 * 4 + 13 * 8 + 82 * (word - 12),
    }
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
