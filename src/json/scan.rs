//! JSON byte by byte: where a value ends, what a string stands for, and which bytes of a text need an escape.
//! Strings are looked at by sixteen bytes at once. Nothing is built, and no depth is too deep.

/// Where the value ends that begins at `at`, space before it allowed, and how deep it is nested: 1 for an
/// object or an array of plain or empty values. `None` if no value (RFC 8259) is there.
pub fn value_end(json: &[u8], at: usize) -> Option<(usize, usize)> {
    let at = skip_space(json, at);
    match *json.get(at)? {
        b'{' | b'[' => nested_end(json, at),
        _ => Some((end(json, at)?, 0)),
    }
}

/// The same of a value that begins right at `at`, however deep it is nested.
pub fn end(json: &[u8], at: usize) -> Option<usize> {
    match *json.get(at)? {
        b'"' => short_string_end(json, at).or_else(|| string_end(json, at)),
        b'{' | b'[' => nested_end(json, at).map(|(end, _)| end),
        _ => scalar_end(json, at),
    }
}

fn nested_end(json: &[u8], mut at: usize) -> Option<(usize, usize)> {
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
            let Some(is_object) = open.last() else { return Some((at, open.deepest)) };
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
    deepest: usize,
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
        self.deepest = self.deepest.max(self.depth);
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
    let mut at = at + 1;
    loop {
        at = plain_end(json, at);
        match *json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => {
                at += match *json.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                    b'u' => {
                        code_unit(json, at)?;
                        6
                    }
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
}

/// Where the first byte lies, from `at` on, that stands for itself in no string: a quote, a backslash or a
/// control character. The end of the text if there is none.
pub fn plain_end(text: &[u8], mut at: usize) -> usize {
    while let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let special = Block::load(bytes).special();
        if special != 0 {
            return at + special.trailing_zeros() as usize;
        }
        at += LANES;
    }
    let rest = text.get(at..).unwrap_or_default();
    let mut bytes = [b' '; LANES];
    bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    at + rest.len().min(Block::load(&bytes).special().trailing_zeros() as usize)
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

/// The four hexadecimal digits of the escape `\uXXXX` at `at`.
fn code_unit(json: &[u8], at: usize) -> Option<u32> {
    let digits = json.get(at..)?.strip_prefix(b"\\u")?.first_chunk::<4>()?;
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
        out.extend_from_slice(bytes.get(at..end).unwrap_or_default());
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
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            let digit = |shift: u32| HEX.get(usize::from(byte >> shift & 0xf)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'0', b'0', digit(4), digit(0)]);
        }
        at = end + 1;
    }
    out.push(b'"');
}

const LANES: usize = 16;

/// Sixteen bytes that are compared at once. Of a mask a bit stands for each, the lowest for the first.
#[derive(Clone, Copy)]
struct Block(lanes::Lanes);

impl Block {
    fn load(bytes: &[u8; LANES]) -> Self {
        Block(lanes::load(bytes))
    }

    /// Quotes, backslashes, and the control characters that no string may have.
    fn special(self) -> u16 {
        lanes::mask(lanes::or(self.mark_lanes(), lanes::below_space(self.0)))
    }

    fn mark_lanes(self) -> lanes::Lanes {
        lanes::or(lanes::equal(self.0, b'"'), lanes::equal(self.0, b'\\'))
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod lanes {
    use std::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_lt, v128, v128_load};
    pub use std::arch::wasm32::{u8x16_splat as splat, v128_or as or};

    pub type Lanes = v128;

    pub fn load(bytes: &[u8; 16]) -> Lanes {
        // SAFETY: so many bytes can be read from there, and the instruction wants no alignment.
        unsafe { v128_load(bytes.as_ptr().cast()) }
    }

    pub fn equal(lanes: Lanes, byte: u8) -> Lanes {
        u8x16_eq(lanes, splat(byte))
    }

    pub fn below_space(lanes: Lanes) -> Lanes {
        u8x16_lt(lanes, splat(b' '))
    }

    pub fn mask(lanes: Lanes) -> u16 {
        u8x16_bitmask(lanes)
    }
}

#[cfg(target_arch = "x86_64")]
mod lanes {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };

    pub type Lanes = __m128i;

    pub fn load(bytes: &[u8; 16]) -> Lanes {
        // SAFETY: so many bytes can be read from there, and the instruction wants no alignment.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    pub fn splat(byte: u8) -> Lanes {
        // SAFETY: every x86-64 has SSE2.
        unsafe { _mm_set1_epi8(byte.cast_signed()) }
    }

    pub fn or(a: Lanes, b: Lanes) -> Lanes {
        // SAFETY: as above.
        unsafe { _mm_or_si128(a, b) }
    }

    pub fn equal(lanes: Lanes, byte: u8) -> Lanes {
        // SAFETY: as above.
        unsafe { _mm_cmpeq_epi8(lanes, splat(byte)) }
    }

    pub fn below_space(lanes: Lanes) -> Lanes {
        const LAST: u8 = b' ' - 1;
        // SAFETY: as above.
        equal(unsafe { _mm_max_epu8(lanes, splat(LAST)) }, LAST)
    }

    pub fn mask(lanes: Lanes) -> u16 {
        // SAFETY: as above.
        unsafe { _mm_movemask_epi8(lanes) as u16 }
    }
}

#[cfg(not(any(all(target_arch = "wasm32", target_feature = "simd128"), target_arch = "x86_64")))]
mod lanes {
    pub type Lanes = [u8; 16];

    pub fn load(bytes: &[u8; 16]) -> Lanes {
        *bytes
    }

    pub fn splat(byte: u8) -> Lanes {
        [byte; 16]
    }

    pub fn or(mut a: Lanes, b: Lanes) -> Lanes {
        a.iter_mut().zip(b).for_each(|(a, b)| *a |= b);
        a
    }

    pub fn equal(lanes: Lanes, byte: u8) -> Lanes {
        lanes.map(|lane| if lane == byte { u8::MAX } else { 0 })
    }

    pub fn below_space(lanes: Lanes) -> Lanes {
        lanes.map(|lane| if lane < b' ' { u8::MAX } else { 0 })
    }

    pub fn mask(lanes: Lanes) -> u16 {
        lanes.iter().rev().fold(0, |mask, lane| mask << 1 | u16::from(lane >> 7))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let judge = |text: &[u8]| {
            let expected = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
            let found = value_end(text, 0).is_some_and(|(end, _)| skip_space(text, end) == text.len());
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(text));
        };
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
