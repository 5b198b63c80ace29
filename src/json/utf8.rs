//! Whether bytes are UTF-8.
//!
//! Most texts are ASCII with a few other characters in every line, where a vector of sixteen bytes is checked in vain
//! for most of them: those lines are looked at character by character, and only what is dense with them (Cyrillic,
//! Chinese …) is left to the library. UTF-8 of prose takes half the time that way.

use crate::lanes::{self, Line};

/// So many bytes of a line are too many to look at one by one.
const DENSE: u32 = 24;
/// What the library is given at once.
const PIECE: usize = 1024;

/// The text that these bytes are, if they are one.
pub fn text(bytes: &[u8]) -> Option<&str> {
    let is_short = bytes.len() < Line::LENGTH && lanes::is_short_ascii(bytes);
    // SAFETY: they are UTF-8.
    (is_short || is_text(bytes)).then(|| unsafe { std::str::from_utf8_unchecked(bytes) })
}

#[inline(never)]
fn is_text(bytes: &[u8]) -> bool {
    let (mut at, mut plain) = (0, 0_usize);
    while let Some(line) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let line = Line::load(line);
        if line.is_ascii() {
            at += Line::LENGTH;
            plain += 1;
            if plain.is_multiple_of(lanes::BEFORE_PAGES) {
                at += lanes::ascii_pages(bytes.get(at..).unwrap_or_default());
            }
            continue;
        }
        plain = 0;
        let mut others = line.beyond_ascii();
        if others.count_ones() > DENSE {
            let piece = piece(bytes.get(at..).unwrap_or_default());
            if simdutf8::basic::from_utf8(piece).is_err() {
                return false;
            }
            at += piece.len();
            continue;
        }
        let mut end = at + Line::LENGTH;
        while others != 0 {
            let first = others.trailing_zeros();
            let place = at + first as usize;
            let Some(bytes) = bytes.get(place..).and_then(<[u8]>::first_chunk) else { break };
            let Some(length) = length(u32::from_le_bytes(*bytes)) else { return false };
            others &= !(((1 << length) - 1) << first);
            end = end.max(place + length);
        }
        if others != 0 {
            // The last three bytes of all.
            break;
        }
        at = end;
    }
    simdutf8::basic::from_utf8(bytes.get(at..).unwrap_or_default()).is_ok()
}

/// What a text begins with, cut before a character.
fn piece(text: &[u8]) -> &[u8] {
    let is_first = |end: &usize| text.get(*end).is_none_or(|byte| byte & 0xC0 != 0x80);
    let cut = (PIECE - 3..=PIECE).rev().find(is_first);
    cut.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// How long the character is that these bytes begin with, the first lowest; `None` if it is none of two bytes or more.
/// Table 3-7 of the Unicode Standard.
fn length(bytes: u32) -> Option<usize> {
    let bits = |at: u32| bytes >> at & 0x3F;
    match bytes & 0xFF {
        0xC2..=0xDF if bytes & 0xC000 == 0x8000 => Some(2),
        lead @ 0xE0..=0xEF if bytes & 0xC0_C000 == 0x80_8000 => {
            let code = (lead & 0xF) << 12 | bits(8) << 6 | bits(16);
            matches!(code, 0x800..=0xD7FF | 0xE000..).then_some(3)
        }
        lead @ 0xF0..=0xF4 if bytes & 0xC0C0_C000 == 0x8080_8000 => {
            let code = (lead & 7) << 18 | bits(8) << 12 | bits(16) << 6 | bits(24);
            matches!(code, 0x1_0000..=0x10_FFFF).then_some(4)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// As the standard library has it, wherever in a line it stands, and at the end of all.
    fn check(bytes: &[u8]) {
        let expected = std::str::from_utf8(bytes).is_ok();
        for before in [0, 1, 30, 61, 62, 63, 64, 125] {
            for after in [0, 1, 2, 3, 70] {
                let text = [&b"a".repeat(before), bytes, &b"z".repeat(after)].concat();
                assert_eq!(is_text(&text), expected, "{bytes:x?} behind {before}, before {after}");
            }
        }
    }

    #[test]
    fn every_character_is_one_and_nothing_else_is() {
        for code in (0..=0x11_0000).filter(|code| code % 61 == 0 || code & 0x3F > 0x3D || code & 0x3F < 2) {
            let bytes = [0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F];
            assert_eq!(
                length(u32::from_le_bytes(bytes.map(|byte| byte as u8))).is_some(),
                (0x1_0000..=0x10_FFFF).contains(&code)
            );
            if let Some(character) = char::from_u32(code) {
                assert!(is_text(format!("{}{character}{}", "-".repeat(63), "-".repeat(64)).as_bytes()), "{code:x}");
            }
        }
        // All of two bytes and of three, the third where it decides.
        for first in 0x80..=0xFF {
            for second in 0..=0xFF {
                for third in [b'a', 0x7F, 0x80, 0xBF, 0xC0] {
                    let bytes = [first, second, third, b'a'];
                    let text: Option<char> = std::str::from_utf8(&bytes[..3])
                        .or(std::str::from_utf8(&bytes[..2]))
                        .ok()
                        .and_then(|text| text.chars().next());
                    let expected = text.map(char::len_utf8);
                    assert_eq!(length(u32::from_le_bytes(bytes)), expected, "{bytes:x?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_text_is_found_wherever_it_stands() {
        for bytes in [
            &b""[..],
            "\u{e9}\u{2013}\u{1f600}".as_bytes(),
            b"\x80",
            b"\xBF\x80",
            b"\xC0\x80",
            b"\xC1\xBF",
            b"\xC3",
            b"\xE2\x80",
            b"\xE0\x9F\xBF",
            b"\xED\xA0\x80",
            b"\xED\x9F\xBF",
            b"\xEF\xBF\xBF",
            b"\xF0\x8F\xBF\xBF",
            b"\xF0\x9F\x98",
            b"\xF4\x8F\xBF\xBF",
            b"\xF4\x90\x80\x80",
            b"\xF5\x80\x80\x80",
            b"\xFF",
        ] {
            check(bytes);
        }
    }

    #[test]
    fn what_is_dense_is_cut_between_characters() {
        for (character, count) in [("\u{4e2d}", 2_000), ("\u{416}", 2_000), ("\u{1f600}", 1_000)] {
            for before in 0..5 {
                let mut text = [&b"a".repeat(before), character.repeat(count).as_bytes()].concat();
                assert!(is_text(&text));
                for place in [PIECE - 4, PIECE - 1, PIECE, PIECE + 3, text.len() - 1] {
                    let byte = std::mem::replace(&mut text[place], b'!');
                    assert!(!is_text(&text), "{character} {before} {place}");
                    text[place] = byte;
                }
            }
        }
        assert!(!is_text(&[0x80; 3_000]));
    }

    #[test]
    fn chance_finds_no_difference_to_the_standard_library() {
        let characters =
            ["a", "\n", "\u{e9}", "\u{416}", "\u{2013}", "\u{4e2d}", "\u{ffff}", "\u{1f600}", "\u{10ffff}"];
        let mut random = Random(1);
        let mut below = |end: usize| random.below(end);
        for _ in 0..20_000 {
            let ascii = 1 + below(40);
            let mut text = String::new();
            for _ in 0..below(120) {
                text.push_str(if below(ascii) == 0 { characters[below(characters.len())] } else { "x" });
            }
            let mut bytes = text.into_bytes();
            for _ in 0..below(3) {
                if !bytes.is_empty() {
                    let place = below(bytes.len());
                    bytes[place] = below(256) as u8;
                }
            }
            assert_eq!(is_text(&bytes), std::str::from_utf8(&bytes).is_ok(), "{bytes:x?}");
        }
    }
}
