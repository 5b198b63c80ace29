//! JSON byte by byte: where a value ends, what a string stands for, and which bytes of a text need an escape.
//! Strings are looked at by sixteen bytes at once. Nothing is built, and no depth is too deep.

use crate::lanes::{self, Block, LANES, Line, Marks};
use crate::memory::append;

/// Where the value ends that begins at `at`, space before it allowed. `None` if no value (RFC 8259) is there.
pub fn value_end(json: &[u8], at: usize) -> Option<usize> {
    end(json, skip_space(json, at))
}

/// The same of a value that begins right at `at`.
pub fn end(json: &[u8], at: usize) -> Option<usize> {
    match *json.get(at)? {
        b'"' => short_string_end(json, at).or_else(|| string_end(json, at)),
        b'{' | b'[' => nested_end(json, at),
        _ => scalar_end(json, at),
    }
}

fn nested_end(json: &[u8], mut at: usize) -> Option<usize> {
    let mut open = Open::default();
    loop {
        at = skip_space(json, at);
        let first = *json.get(at)?;
        match first {
            b'"' => at = string_end(json, at)?,
            b'{' | b'[' => {
                at = skip_space(json, at + 1);
                if *json.get(at)? == first + 2 {
                    at += 1;
                } else {
                    let is_object = first == b'{';
                    open.push(is_object);
                    if is_object {
                        at = key_end(json, at)?;
                    }
                    continue;
                }
            }
            _ => at = scalar_end(json, at)?,
        }
        // A value has ended: so may those around it.
        loop {
            let Some(is_object) = open.last() else { return Some(at) };
            at = skip_space(json, at);
            match (*json.get(at)?, is_object) {
                (b',', true) => {
                    at = key_end(json, skip_space(json, at + 1))?;
                    break;
                }
                (b',', false) => {
                    at += 1;
                    break;
                }
                (b'}', true) | (b']', false) => {
                    at += 1;
                    open.pop();
                }
                _ => return None,
            }
        }
    }
}

/// Behind the colon of the key that begins at `at`.
fn key_end(json: &[u8], at: usize) -> Option<usize> {
    let at = skip_space(json, short_string_end(json, at).or_else(|| string_end(json, at))?);
    (*json.get(at)? == b':').then_some(at + 1)
}

/// What is open around a value, a bit for each: whether it is an object.
#[derive(Default)]
struct Open {
    depth: usize,
    last: u64,
    /// What has no room in `last`, by 64.
    before: Vec<u64>,
}

impl Open {
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.before.push(self.last);
        }
        self.last = self.last << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.last >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.last = self.before.pop().unwrap_or_default();
        }
    }

    fn last(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.last & 1 == 1)
    }
}

// Of what every event is read with, little enough to stand wherever it is called.
#[inline(always)]
pub fn skip_space(json: &[u8], at: usize) -> usize {
    match json.get(at) {
        Some(..=b' ') => space_end(json, at),
        _ => at,
    }
}

/// Behind white space: one blank mostly, or a line's end with the blanks of an indent.
#[inline(never)]
fn space_end(json: &[u8], mut at: usize) -> usize {
    const BLANKS: u64 = u64::from_le_bytes([b' '; 8]);
    if let Some([b' ', b'!'..=b'~', ..]) = json.get(at..) {
        return at + 1;
    }
    while let Some(b'\n' | b'\r' | b'\t' | b' ') = json.get(at) {
        at += 1;
        while let Some(eight) = json.get(at..).and_then(<[u8]>::first_chunk) {
            let blanks = (u64::from_le_bytes(*eight) ^ BLANKS).trailing_zeros() as usize / 8;
            at += blanks;
            if blanks < 8 {
                break;
            }
        }
    }
    at
}

/// Where the string ends whose first quote is at `at`, if it is one of the many that are short and have no escapes.
#[inline(always)]
pub fn short_string_end(json: &[u8], at: usize) -> Option<usize> {
    let [b'"', inside @ ..] = json.get(at..)? else { return None };
    let length = Block::load(inside.first_chunk()?).special().trailing_zeros() as usize;
    (inside.get(length) == Some(&b'"')).then_some(at + length + 2)
}

/// Where the string ends whose first quote is at `at`.
pub fn string_end(json: &[u8], at: usize) -> Option<usize> {
    if *json.get(at)? != b'"' {
        return None;
    }
    // Most strings are names, and end within a block or right behind it.
    let first = json.get(at + 1..).and_then(<[u8]>::first_chunk).map(|bytes| Block::load(bytes).special());
    let end = at + 1 + first.map_or(0, u16::trailing_zeros) as usize;
    if first.is_some() && json.get(end) == Some(&b'"') { Some(end + 1) } else { quote_end(json, at + 1) }
}

/// Behind the quote that ends the string within which `at` is.
pub fn quote_end(json: &[u8], mut at: usize) -> Option<usize> {
    let marks = Marks::new();
    let mut plain = 0_usize;
    while let Some(bytes) = json.get(at..).and_then(<[u8]>::first_chunk) {
        let line = Line::load(bytes);
        if !line.has_special(&marks) {
            at += Line::LENGTH;
            plain += 1;
            // The largest bodies are base64 for the most part, which is looked at faster. Prose does not look like it.
            if plain.is_multiple_of(lanes::BEFORE_PAGES) {
                at += lanes::solid_pages(json.get(at..).unwrap_or_default(), &marks);
            }
            continue;
        }
        plain = 0;
        if line.has_control(&marks) {
            break;
        }
        let (quotes, backslashes) = (line.quotes(&marks), line.backslashes(&marks));
        let escaped = if backslashes == 0 { 0 } else { lanes::escapes(backslashes) << 1 };
        let end = quotes & !escaped;
        // Before the end; all if there is none.
        let mut letters = escaped & !(quotes | backslashes) & end.wrapping_sub(1) & !end;
        while letters != 0 {
            escape_end(json, at + letters.trailing_zeros() as usize - 1)?;
            letters &= letters - 1;
        }
        if end != 0 {
            return Some(at + end.trailing_zeros() as usize + 1);
        }
        // An escape that is cut is looked at once more.
        at += Line::LENGTH - (backslashes & !escaped).leading_ones() as usize;
    }
    while at < json.len() {
        let mut special = special_at(json, at);
        let mut next = at + LANES;
        while special != 0 {
            let place = at + special.trailing_zeros() as usize;
            let byte = *json.get(place)?;
            if byte != b'\\' {
                return (byte == b'"').then_some(place + 1);
            }
            let end = escape_end(json, place)?;
            next = next.max(end);
            special &= u32::MAX << (end - at);
        }
        at = next;
    }
    None
}

/// Behind the escape at `at`.
fn escape_end(json: &[u8], at: usize) -> Option<usize> {
    let kind = *json.get(at + 1)?;
    match ESCAPES.get(usize::from(kind)) {
        Some(true) => Some(at + 2),
        _ if kind == b'u' => code_unit(json, at).map(|_| at + 6),
        _ => None,
    }
}

/// What may stand behind a backslash, but for `u`: looked up, as some texts are full of it.
#[expect(clippy::indexing_slicing, reason = "at compile time, where a panic is an error")]
static ESCAPES: [bool; 256] = {
    let mut escapes = [false; 256];
    let mut rest: &[u8] = b"\"\\/bfnrt";
    while let [first, others @ ..] = rest {
        escapes[*first as usize] = true;
        rest = others;
    }
    escapes
};

/// Where the first byte lies, from `at` on, that stands for itself in no string: a quote, a backslash or a
/// control character. The end of the text if there is none.
pub fn plain_end(text: &[u8], mut at: usize) -> usize {
    while at < text.len() {
        let special = special_at(text, at);
        if special != 0 {
            return at + special.trailing_zeros() as usize;
        }
        at += LANES;
    }
    text.len()
}

/// Which of the next bytes these are, as far as there are so many: a bit for each, the lowest for the first.
#[inline(always)]
fn special_at(text: &[u8], at: usize) -> u32 {
    let rest = text.get(at..).unwrap_or_default();
    match (rest.first_chunk(), text.last_chunk()) {
        (Some(bytes), _) => Block::load(bytes).special().into(),
        (None, Some(bytes)) => u32::from(Block::load(bytes).special()) >> (LANES - rest.len()),
        // The zeros behind it are no part of it.
        (None, None) => u32::from(Block::of_few(rest).special()) & !(u32::MAX << rest.len()),
    }
}

/// Of a number or a word.
fn scalar_end(json: &[u8], at: usize) -> Option<usize> {
    let word = match *json.get(at)? {
        b't' => "true",
        b'f' => "false",
        b'n' => "null",
        _ => return number_end(json, at),
    };
    json.get(at..)?.starts_with(word.as_bytes()).then(|| at + word.len())
}

fn number_end(json: &[u8], at: usize) -> Option<usize> {
    let first = at + usize::from(json.get(at) == Some(&b'-'));
    let mut at = digits_end(json, first)?;
    // No digit goes behind a leading zero.
    if at > first + 1 && json.get(first) == Some(&b'0') {
        return None;
    }
    if json.get(at) == Some(&b'.') {
        at = digits_end(json, at + 1)?;
    }
    if let Some(b'e' | b'E') = json.get(at) {
        at += if let Some(b'+' | b'-') = json.get(at + 1) { 2 } else { 1 };
        at = digits_end(json, at)?;
    }
    Some(at)
}

/// Behind a digit and those that follow it.
fn digits_end(json: &[u8], first: usize) -> Option<usize> {
    let mut at = first;
    while json.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    (at > first).then_some(at)
}

/// What the escape of a code unit stands for that is at `at`.
fn code_unit(json: &[u8], at: usize) -> Option<u32> {
    hexadecimal(json.get(at..)?.strip_prefix(b"\\u")?.first_chunk()?)
}

/// What four digits stand for.
pub fn hexadecimal(digits: &[u8; 4]) -> Option<u32> {
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// The text that stands between the quotes of a string. Lone surrogates, which Rust cannot hold, become U+FFFD.
pub fn unescape(escaped: &str) -> String {
    let bytes = escaped.as_bytes();
    let mut text = String::with_capacity(escaped.len());
    let mut at = 0;
    loop {
        let end = plain_end(bytes, at);
        text.push_str(escaped.get(at..end).unwrap_or_default());
        let Some(kind) = bytes.get(end + 1) else { return text };
        at = end + 2;
        text.push(match kind {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = code_unit(bytes, end).unwrap_or_default();
                at = end + 6;
                let low = code_unit(bytes, at).filter(|low| unit & 0xfc00 == 0xd800 && low & 0xfc00 == 0xdc00);
                at += if low.is_some() { 6 } else { 0 };
                let code = low.map_or(unit, |low| 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff));
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => char::from(*other),
        });
    }
}

/// Appends `text` as a JSON string, quotes included.
pub fn escape_into(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut at = 0;
    loop {
        let end = plain_end(bytes, at);
        append(out, bytes.get(at..end).unwrap_or_default());
        let Some(byte) = bytes.get(end) else { break };
        let short = match byte {
            b'"' | b'\\' => *byte,
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => b'u',
        };
        append(out, &[b'\\', short]);
        if short == b'u' {
            let digit = |shift: u32| HEX.get(usize::from(byte >> shift & 0xf)).copied().unwrap_or(b'0');
            append(out, &[b'0', b'0', digit(4), digit(0)]);
        }
        at = end + 1;
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &[u8]) {
        let expected = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
        let found = value_end(text, 0).is_some_and(|end| skip_space(text, end) == text.len());
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn a_string_is_judged_alike_wherever_in_a_line_it_has_what_is_special() {
        let rests =
            [r#"\\\"\n\\""#, r#"\u00e9\/\""#, r#"\\\\\\\""#, "\"\n", r#"\q""#, r#"\u12g4""#, "\t\"", r#"\""#, "\\"];
        for before in (0..70).chain([120, 190]) {
            for behind in [0, 80] {
                for rest in rests {
                    let (x, y) = ("x".repeat(before), "y".repeat(behind));
                    judge(format!("[\"{x}{rest}{}]", " ".repeat(behind)).as_bytes());
                    judge(format!("[\"{x}{rest}\",\"{y}\"]").as_bytes());
                    judge(format!("[\"{x}{rest}{y}\"]").as_bytes());
                }
            }
        }
    }

    /// Whole texts and their beginnings, and each with a byte changed: as `serde_json` judges them.
    #[test]
    fn what_is_json_is_what_another_reader_takes_for_it() {
        let texts = [
            r#" { "a" : [ 1 , -0 , 0.5e+10 , 12E-3 , true,false , null ] , "\u00e9\n" : { } , "" : [ ] } "#,
            r#"["\"\\\/\b\f\n\r\t\uD83d\ude00", "plain text that is longer than eight bytes é", "",{"x":{"y":[[[]]]}}]"#,
            "\"\u{7f}é\u{1f600}\"",
            "-12.50",
            "01",
            "[1,]",
            r#"{"a":1,}"#,
            "[1 2]",
            r#"{"a" 1}"#,
            "nul",
            "\"\t\"",
        ];
        for text in texts.map(str::as_bytes) {
            for end in 0..=text.len() {
                judge(&text[..end]);
            }
            for at in 0..text.len() {
                for byte in b"\"\\{}[],:0-.eEu \n\x01x\xc3" {
                    let mut changed = text.to_vec();
                    changed[at] = *byte;
                    judge(&changed);
                }
            }
        }
        for depth in [1, 63, 64, 65, 127, 128, 129, 1000] {
            let (open, close) = (r#"[{"a":"#.repeat(depth), "}]".repeat(depth));
            judge(format!("{open}1{close}").as_bytes());
            judge(format!("{open}1{close}]").as_bytes());
            judge(format!("{open}1{}", close.replacen("}]", "]}", 1)).as_bytes());
        }
    }

    #[test]
    fn strings_are_escaped_and_read_as_another_writer_and_reader_do() {
        let all: String = (0..0x100).chain([0x2028, 0xfffd, 0x1f600]).filter_map(char::from_u32).collect();
        for text in ["", "plain", "a\"b\\c/d", &all, &all.repeat(3)] {
            let mut escaped = Vec::new();
            escape_into(&mut escaped, text);
            let escaped = String::from_utf8(escaped).unwrap();
            assert_eq!(escaped, serde_json::to_string(text).unwrap());
            assert_eq!(unescape(escaped.trim_matches(|quote| quote == '"')), text.trim_matches('"'));
        }
        for escaped in [r"\ud83d\ude00\u00e9\/", r"a\\\n\u0000z", r#"\b\f\r\t\""#] {
            assert_eq!(unescape(escaped), serde_json::from_str::<String>(&format!("\"{escaped}\"")).unwrap());
        }
        for (escaped, expected) in [
            (r"x\ud83dy", "x\u{fffd}y"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83d\n", "\u{fffd}\n"),
            (r"\ud83d\u0041", "\u{fffd}A"),
        ] {
            assert_eq!(unescape(escaped), expected);
        }
    }
}
