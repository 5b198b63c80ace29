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
use crate::json::{self, Str};
use crate::memory;
use weight::{CHUNK, parts};

mod weight;

/// How much of a text is looked at: all of a short one, of others a sixteenth, but not less than that nor more than a
/// longest prompt is told well by. To look at more of a short one makes no estimate better (`scripts/tokens`).
const LEAST: usize = 512;
const MOST: usize = 4 << 10;
const SHARE: usize = 16;
/// In what pieces, evenly spread: enough of them to meet every part of a conversation, and long enough that their cut
/// ends count little.
const WINDOW: usize = 96;

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
    FRAME
        + chat.field("messages").map_or(0, |list| messages(chat, list.get().as_bytes()))
        + tools
        + of("response_format")
}

fn messages(chat: &ChatRequest<'_>, json: &[u8]) -> u64 {
    if json.len() > LEAST || !chat.listed.attachments.is_empty() {
        return texts(json, &chat.listed.attachments);
    }
    // Where their texts lie is known.
    let parts = chat.listed.fields().iter().map(|(name, value)| {
        let key = key(name.escaped().as_bytes());
        let text = match Str::new(value) {
            Some(_) if key.value == Value::Nothing => 0,
            Some(text) => parts(text.escaped().as_bytes()),
            None => strings(value.get().as_bytes(), key.value),
        };
        key.tokens * 64 + text
    });
    parts.sum::<u64>().div_ceil(64)
}

/// The tokens of the texts in a part of a request, and of what is attached to them.
fn texts(json: &[u8], attachments: &[Attachment]) -> u64 {
    let attached_bytes: usize = attachments.iter().map(|attachment| attachment.place.len()).sum();
    let mut sample = Sample::of(json.len().saturating_sub(attached_bytes));
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
struct Sample {
    /// How much is still looked at.
    left: usize,
    /// Of the texts that were looked at: their bytes and, in 1/64, their tokens.
    length: usize,
    parts: u64,
    /// The bytes of those for which nothing was left.
    rest: usize,
}

impl Sample {
    /// Of so many bytes together.
    fn of(length: usize) -> Self {
        Sample { left: (length / SHARE).clamp(LEAST, MOST), length: 0, parts: 0, rest: 0 }
    }

    fn add(&mut self, text: &[u8]) {
        if text.len() <= self.left {
            self.left -= text.len();
            self.length += text.len();
            self.parts += strings(text, Value::Text);
            return;
        }
        let windows = self.left / WINDOW;
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
        let parts: u64 = (0..windows).filter_map(window).map(|piece| strings(piece, Value::Text)).sum();
        self.left -= windows * WINDOW;
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

/// The strings in a piece of JSON, which may begin and end anywhere, in 1/64 tokens. `value`: what the key before
/// it says.
fn strings(piece: &[u8], mut value: Value) -> u64 {
    let mut total = 0;
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
    let Some(end) = json::quote_end(text, 0) else { return (text, None) };
    (text.get(..end - 1).unwrap_or_default(), text.get(end..))
}

/// Counts a text that comes in pieces, as JSON has it. Models are streamed by tokens, so that a piece is
/// one at least. Short ones are looked at together: a chunk takes as long to look at, however little is in it.
/// Of a long text a part is looked at, as of a prompt.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// All of the text: its bytes, and its pieces.
    bytes: usize,
    pieces: usize,
    /// Of what has been looked at: its bytes and, in 1/64, its tokens.
    looked_at: usize,
    parts: u64,
    /// The latest pieces, which have not been looked at: so many bytes of so many.
    held: [u8; CHUNK],
    length: usize,
    held_pieces: u64,
    /// So many bytes are to be passed over.
    passing: usize,
}

/// Behind the first that are looked at, so many bytes are passed over after each chunk.
const FIRST: usize = 4 * CHUNK;
const PASSED: usize = 7 * CHUNK;

impl Default for Count {
    fn default() -> Self {
        Count { bytes: 0, pieces: 0, looked_at: 0, parts: 0, held: [0; CHUNK], length: 0, held_pieces: 0, passing: 0 }
    }
}

impl Count {
    // Of most pieces no more is done than this, little enough to stand where it is called.
    #[inline(always)]
    pub fn push(&mut self, text: &str) {
        self.bytes += text.len();
        self.pieces += usize::from(!text.is_empty());
        if self.passing > 0 {
            self.passing = self.passing.saturating_sub(text.len());
        } else {
            self.take(text.as_bytes());
        }
    }

    /// Holds it, to be looked at with those that follow.
    #[inline(never)]
    fn take(&mut self, text: &[u8]) {
        if text.len() > CHUNK - self.length {
            self.look();
        }
        if memory::put(&mut self.held, self.length, text) {
            self.length += text.len();
            self.held_pieces += u64::from(!text.is_empty());
        } else if text.len() <= LEAST {
            self.looked_at += text.len();
            self.parts += parts(text).max(64);
        } else {
            // An answer that comes whole may be long, and is sampled as a prompt is.
            let mut sample = Sample::of(text.len());
            sample.add(text);
            self.looked_at += text.len();
            self.parts += sample.parts;
        }
    }

    pub fn tokens(mut self) -> u64 {
        self.look();
        scaled(self.parts, self.bytes, self.looked_at.max(1)).div_ceil(64).max(self.pieces as u64)
    }

    fn look(&mut self) {
        let text = self.held.get(..self.length).unwrap_or_default();
        if !text.is_empty() {
            self.parts += parts(text).max(64 * self.held_pieces);
            self.looked_at += self.length;
            if self.looked_at >= FIRST {
                self.passing = PASSED;
            }
        }
        (self.length, self.held_pieces) = (0, 0);
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
    fn pieces_are_one_token_at_least_and_together_what_their_text_is() {
        let count = |pieces: &[&str]| {
            let mut count = Count::default();
            pieces.iter().for_each(|piece| count.push(piece));
            count.tokens()
        };
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&["", "a", "", "b"]), 2);
        assert_eq!(count(&["in", "ter", "pre", "ter"]), 4);
        assert_eq!(count(&["x "; 200]), 200);
        let words = ["spoken quietly, ", "in the rooms of traders\\n"].repeat(20);
        let whole = parts(words.concat().as_bytes()).div_ceil(64);
        assert!(count(&words).abs_diff(whole) <= whole / 20, "{} {whole}", count(&words));
        // What longer pieces have left where they are held does not count.
        let parts_of = |count: &mut Count, pieces: [&str; 2]| {
            let before = count.parts;
            pieces.iter().for_each(|piece| count.push(piece));
            count.look();
            count.parts - before
        };
        let mut used = Count::default();
        used.push("\\u4e2d and 3.5 “quoted” words: as long as what is looked at.");
        used.look();
        let pieces = ["\\u4e2d\\u4e2d", "é"];
        assert_eq!(parts_of(&mut used, pieces), parts_of(&mut Count::default(), pieces));
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
