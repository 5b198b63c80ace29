//! How many tokens a text is, without any tokenizer's tables: an estimate, marked as such wherever it is
//! told.
//!
//! One pass over the bytes by classes of characters. Long texts are sampled, so that the cost of a prompt
//! does not grow with its length; base64 is no text and is stepped over.

/// Windows of a long text that are looked at, evenly spread, and their length in bytes.
const WINDOWS: usize = 8;
const WINDOW: usize = 1 << 10;

/// What an image or a file counts for: about what a picture of a megapixel costs with most providers.
const ATTACHMENT: u64 = 1_000;

/// The tokens of a text, or of JSON with texts in it, as it is written.
pub fn estimate(text: &[u8]) -> u64 {
    let mut total = 0;
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b";base64,") {
        let (before, after) = rest.split_at(at);
        total += sampled(before) + ATTACHMENT;
        // Base64 in JSON ends with the string it stands in.
        let end = memchr::memchr(b'"', after).unwrap_or(after.len());
        rest = after.get(end..).unwrap_or_default();
    }
    total + sampled(rest)
}

fn sampled(text: &[u8]) -> u64 {
    if text.len() <= WINDOWS * WINDOW {
        return Count::of(text);
    }
    let stride = text.len() / WINDOWS;
    let windows = (0..WINDOWS).filter_map(|index| text.get(index * stride..index * stride + WINDOW));
    let tokens: u64 = windows.map(Count::of).sum();
    let scale = text.len() as f64 / (WINDOWS * WINDOW) as f64;
    (tokens as f64 * scale) as u64
}

/// Counts a text that comes in pieces. Models are streamed by tokens, so that a piece is one at least.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// In 1/64 tokens.
    parts: u64,
}

impl Count {
    pub fn push(&mut self, text: &str) {
        if !text.is_empty() {
            let long = text.len() > WINDOWS * WINDOW;
            let parts = if long { sampled(text.as_bytes()) * 64 } else { parts(text.as_bytes()) };
            self.parts += parts.max(64);
        }
    }

    pub fn tokens(self) -> u64 {
        self.parts.div_ceil(64)
    }

    fn of(text: &[u8]) -> u64 {
        Count { parts: parts(text) }.tokens()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    Digit,
    Sign,
    /// The first byte of a character beyond ASCII; the others are part of it.
    Wide,
    Rest,
}

#[expect(clippy::indexing_slicing, reason = "at compile time, where a panic is an error")]
const CLASSES: [Class; 256] = {
    let mut classes = [Class::Sign; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b' ' | b'\n' | b'\t' | b'\r' => Class::Space,
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            0x80..=0xBF => Class::Rest,
            0xC0..=0xFF => Class::Wide,
            _ => Class::Sign,
        };
        byte += 1;
    }
    classes
};

/// In 1/64 tokens. A word with the space before it is a token up to some length, and its parts beyond;
/// digits go by threes, signs about one by one, characters beyond ASCII by two to three bytes.
fn parts(text: &[u8]) -> u64 {
    const WORD: u64 = 64;
    const LETTER_BEYOND: u64 = 12;
    const DIGIT: u64 = 22;
    const SIGN: u64 = 40;
    const WIDE: u64 = 44;
    let mut total = 0;
    let mut run = 0_u32;
    let mut before = Class::Space;
    for byte in text {
        let Some(class) = CLASSES.get(usize::from(*byte)).copied() else { continue };
        run = if class == before { run + 1 } else { 1 };
        total += match class {
            Class::Letter if run == 1 => WORD,
            Class::Letter if run > 5 => LETTER_BEYOND,
            Class::Digit => DIGIT,
            Class::Sign => SIGN,
            Class::Wide => WIDE,
            // Indentation is one token, the space before a word none.
            Class::Space if run == 2 => SIGN,
            Class::Letter | Class::Space | Class::Rest => 0,
        };
        before = class;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_near_for_texts_of_every_kind() {
        for (text, least, most) in [
            ("", 0, 0),
            ("hi", 1, 1),
            ("The quick brown fox jumps over the lazy dog.", 9, 13),
            ("fn main() { println!(\"{}\", 42); }", 10, 20),
            ("你好世界", 2, 6),
            ("1234567890", 3, 5),
        ] {
            let tokens = estimate(text.as_bytes());
            assert!((least..=most).contains(&tokens), "{text}: {tokens}");
        }
    }

    #[test]
    fn a_long_text_is_sampled_and_an_image_is_stepped_over() {
        let sentence = "The quick brown fox jumps over the lazy dog. ";
        let one = estimate(sentence.as_bytes()) as f64;
        let many = estimate(sentence.repeat(10_000).as_bytes()) as f64;
        assert!((many / one / 10_000.0 - 1.0).abs() < 0.05, "{many} for {one}");
        let image = format!("{{\"url\":\"data:image/png;base64,{}\"}}", "A".repeat(3_000_000));
        assert!((1_000..1_030).contains(&estimate(image.as_bytes())));
    }
}
