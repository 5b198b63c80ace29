//! Where strings and values end, found sixteen bytes at a time, and whether a text is JSON at all.
//!
//! Every byte of a request and of an answer passes through here, most of them within strings. `serde_json`
//! looks at each of them alone where nothing is kept of a value; this is several times as fast. It only says
//! yes or no: of what it refuses, `serde_json` tells what is wrong and where.

use std::ops::Range;

const LANES: usize = 16;

/// Deeper nesting is left to `serde_json`.
const MOST_DEPTH: usize = 128;

/// A pair of the object that a whole text is.
pub struct Pair {
    /// With its quotes.
    pub key: Range<usize>,
    pub value: Range<usize>,
    /// How deep the value is nested: 0 for what is neither object nor array, 1 for one of plain values.
    pub depth: usize,
}

/// The place of the value that is all of a text, beside space; `None` for what is not valid, or too deep.
/// `pairs`: is given the pairs of the value, if it is an object.
pub fn check(json: &[u8], mut pairs: Option<&mut Vec<Pair>>) -> Option<Range<usize>> {
    let start = space_end(json, 0);
    let mut at = start;
    // A bit for each container that is open, the innermost last: whether it is an object.
    let (mut objects, mut depth, mut deepest) = (0u128, 0, 0);
    'value: loop {
        let first = *json.get(at)?;
        match first {
            b'"' => at = checked_string_end(json, at + 1)?,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
                if depth == MOST_DEPTH {
                    return None;
                }
                let is_object = first == b'{';
                objects = objects << 1 | u128::from(is_object);
                at = space_end(json, at + 1);
                if is_object && *json.get(at)? != b'}' {
                    at = key_end(json, at, pairs.as_deref_mut().filter(|_| depth == 1))?;
                    continue 'value;
                }
                if !is_object && *json.get(at)? != b']' {
                    continue 'value;
                }
            }
            b't' => at = word_end(json, at, b"true")?,
            b'f' => at = word_end(json, at, b"false")?,
            b'n' => at = word_end(json, at, b"null")?,
            _ => at = number_end(json, at)?,
        }
        // A value has ended, or a container is empty.
        loop {
            if depth == 0 {
                return (space_end(json, at) == json.len()).then_some(start..at);
            }
            let is_object = objects & 1 == 1;
            if depth == 1
                && let Some(pair) = pairs.as_deref_mut().and_then(|pairs| pairs.last_mut())
            {
                (pair.value.end, pair.depth) = (at, deepest - 1);
                deepest = 1;
            }
            at = space_end(json, at);
            match *json.get(at)? {
                b',' => {
                    at = space_end(json, at + 1);
                    if is_object {
                        at = key_end(json, at, pairs.as_deref_mut().filter(|_| depth == 1))?;
                    }
                    continue 'value;
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return None,
            }
            (at, depth, objects) = (at + 1, depth - 1, objects >> 1);
        }
    }
}

/// Behind a key and its colon, where the value begins.
fn key_end(json: &[u8], at: usize, pairs: Option<&mut Vec<Pair>>) -> Option<usize> {
    if *json.get(at)? != b'"' {
        return None;
    }
    let end = checked_string_end(json, at + 1)?;
    let colon = space_end(json, end);
    if *json.get(colon)? != b':' {
        return None;
    }
    let value = space_end(json, colon + 1);
    if let Some(pairs) = pairs {
        pairs.push(Pair { key: at..end, value: value..value, depth: 0 });
    }
    Some(value)
}

fn space_end(json: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = json.get(at) {
        at += 1;
    }
    at
}

fn word_end(json: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    json.get(at..)?.starts_with(word).then_some(at + word.len())
}

fn number_end(json: &[u8], at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        let start = at;
        while json.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at > start).then_some(at)
    };
    let first = if json.get(at) == Some(&b'-') { at + 1 } else { at };
    let mut end = digits(first)?;
    if json.get(first) == Some(&b'0') && end > first + 1 {
        return None;
    }
    if json.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if let Some(b'e' | b'E') = json.get(end) {
        let sign = usize::from(matches!(json.get(end + 1), Some(b'+' | b'-')));
        end = digits(end + 1 + sign)?;
    }
    Some(end)
}

/// Behind the quote that ends the string whose inside begins at `at`, if that is a string.
fn checked_string_end(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let special = block(json, at).special();
        if special == 0 {
            at += LANES;
            if at >= json.len() {
                return None;
            }
            continue;
        }
        at += special.trailing_zeros() as usize;
        match *json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => match *json.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                b'u' => {
                    let digits = json.get(at + 2..at + 6)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    at += 6;
                }
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// Where the string ends, in valid JSON, whose inside begins at `at`.
pub fn string_end(json: &[u8], mut at: usize) -> usize {
    while at < json.len() {
        let marks = block(json, at).marks();
        if marks == 0 {
            at += LANES;
            continue;
        }
        at += marks.trailing_zeros() as usize;
        if json.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    json.len()
}

/// Where the value ends that begins at `at`, in valid JSON.
pub fn value_end(json: &[u8], at: usize) -> usize {
    match json.get(at) {
        Some(b'"') => string_end(json, at + 1),
        Some(b'{' | b'[') => container_end(json, at),
        _ => {
            let is_in_word = |byte: &u8| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            at + json.get(at..).unwrap_or_default().iter().take_while(|byte| is_in_word(byte)).count()
        }
    }
}

fn container_end(json: &[u8], mut at: usize) -> usize {
    let mut depth = 0u32;
    // All bits, if what comes is within a string, and whether a backslash stands before it.
    let (mut in_string, mut is_escaped) = (0u16, false);
    while at < json.len() {
        let block = block(json, at);
        let (mut quotes, backslashes) = (block.equal(b'"'), block.equal(b'\\'));
        if backslashes != 0 || is_escaped {
            quotes &= !escaped(backslashes, &mut is_escaped);
        }
        if quotes == 0 && in_string != 0 {
            at += LANES;
            continue;
        }
        // From each opening quote up to the closing one.
        let mut inside = quotes;
        for step in [1, 2, 4, 8] {
            inside ^= inside << step;
        }
        inside ^= in_string;
        in_string = if inside & 0x8000 == 0 { 0 } else { u16::MAX };
        let (open, close) = (block.open() & !inside, block.close() & !inside);
        if close == 0 {
            depth += open.count_ones();
        } else {
            let mut brackets = open | close;
            while brackets != 0 {
                let place = brackets.trailing_zeros();
                if open >> place & 1 == 1 {
                    depth += 1;
                } else {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return at + place as usize + 1;
                    }
                }
                brackets &= brackets - 1;
            }
        }
        at += LANES;
    }
    json.len()
}

/// The characters behind a backslash that is not itself behind one.
fn escaped(backslashes: u16, is_escaped: &mut bool) -> u16 {
    let mut escaped = u32::from(*is_escaped);
    let mut left = u32::from(backslashes) & !escaped;
    while left != 0 {
        let next = (left & left.wrapping_neg()) << 1;
        escaped |= next;
        // All up to it are done with.
        left &= !(next | (next - 1));
    }
    *is_escaped = escaped >> LANES & 1 == 1;
    escaped as u16
}

fn block(json: &[u8], at: usize) -> Block {
    let rest = json.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(bytes) => Block::load(bytes),
        None => {
            let mut bytes = [b' '; LANES];
            bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            Block::load(&bytes)
        }
    }
}

/// Sixteen bytes that are compared at once. Of a mask a bit stands for each, the lowest for the first.
#[derive(Clone, Copy)]
struct Block(lanes::Lanes);

impl Block {
    fn load(bytes: &[u8; LANES]) -> Self {
        Block(lanes::load(bytes))
    }

    fn equal(self, byte: u8) -> u16 {
        lanes::mask(lanes::equal(self.0, byte))
    }

    /// Quotes and backslashes.
    fn marks(self) -> u16 {
        lanes::mask(self.mark_lanes())
    }

    /// Marks, and the control characters that no string may have.
    fn special(self) -> u16 {
        lanes::mask(lanes::or(self.mark_lanes(), lanes::below_space(self.0)))
    }

    fn open(self) -> u16 {
        self.bracket(b'{')
    }

    fn close(self) -> u16 {
        self.bracket(b'}')
    }

    fn mark_lanes(self) -> lanes::Lanes {
        lanes::or(lanes::equal(self.0, b'"'), lanes::equal(self.0, b'\\'))
    }

    /// Square brackets differ from braces by one bit.
    fn bracket(self, brace: u8) -> u16 {
        lanes::mask(lanes::equal(lanes::or(self.0, lanes::splat(0x20)), brace))
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

    const TEXTS: [&str; 8] = [
        r#"{"model":"m","messages":[{"role":"user","content":"a \"quoted\\\" [text] {of} many words\u00e9"}],"n":[1,-0.5e+3,[]]}"#,
        r#" { "a" : { } , "b" : [ ] , "c" : [ { "d" : [ true , false , null ] } ] , "" : "" } "#,
        r#""\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\"""#,
        r#"["0123456789abcde\"","0123456789abcd\\","\\\\\\\\\\\\\\\\]",{"]":"}"},1]"#,
        "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]",
        "-1.25E-7",
        r#"{"naïve":"“日本語”","x":"y"}"#,
        r#"[0,01,1.,.5,-,+1,1e,1e+,tru,"\x","\u12g4"]"#,
    ];

    fn is_json(text: &[u8]) -> bool {
        serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok()
    }

    #[test]
    fn it_is_json_where_serde_json_says_so() {
        let mut dice = 1u64;
        let mut roll = |below: usize| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            (dice % below as u64) as usize
        };
        let (mut valid, mut invalid) = (0, 0);
        for round in 0..60_000 {
            let mut text = TEXTS[round % TEXTS.len()].as_bytes().to_vec();
            for _ in 0..roll(3) {
                let at = roll(text.len());
                match roll(3) {
                    0 => text[at] = b"\"\\{}[],:0e- \n\x1fn"[roll(15)],
                    1 => drop(text.remove(at)),
                    _ => text.insert(at, b"\"\\{}[],:0e- \n\x1fn"[roll(15)]),
                }
            }
            if std::str::from_utf8(&text).is_err() {
                continue;
            }
            let found = check(&text, None);
            assert_eq!(found.is_some(), is_json(&text), "{}", String::from_utf8_lossy(&text));
            *(if found.is_some() { &mut valid } else { &mut invalid }) += 1;
        }
        assert!(valid > 5_000 && invalid > 5_000, "{valid} {invalid}");
    }

    #[test]
    fn values_end_where_the_next_begins_wherever_they_lie_in_a_block() {
        for shift in 0..40 {
            for text in TEXTS.iter().filter(|text| is_json(text.as_bytes())) {
                let text = text.trim();
                let whole = format!("{}{text},\"]}}", " ".repeat(shift));
                assert_eq!(value_end(whole.as_bytes(), shift), shift + text.len(), "{whole}");
            }
        }
    }

    #[test]
    fn pairs_have_their_places_and_depth() {
        let text = br#" {"a" : 1,"b":{"c":[{}]} , "\"":[ ]} "#;
        let mut pairs = Vec::new();
        assert_eq!(check(text, Some(&mut pairs)), Some(1..text.len() - 1));
        let found: Vec<_> = pairs
            .iter()
            .map(|pair| {
                let part = |range: &Range<usize>| std::str::from_utf8(&text[range.clone()]).unwrap();
                (part(&pair.key), part(&pair.value), pair.depth)
            })
            .collect();
        assert_eq!(found, [("\"a\"", "1", 0), ("\"b\"", r#"{"c":[{}]}"#, 3), (r#""\"""#, "[ ]", 1)]);
    }

    #[test]
    fn deep_nesting_is_left_to_others() {
        let deep = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(check(deep(127).as_bytes(), None).is_some());
        assert!(check(deep(128).as_bytes(), None).is_none());
    }
}
