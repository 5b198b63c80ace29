//! What a text costs, by classes of its characters: sixty-four bytes at a time.

use crate::json;
use crate::lanes::{self, Band, Block, LANES};
use crate::memory;

/// What of a text is looked at by one step.
pub const CHUNK: usize = 64;

/// A chunk is cut behind a space, so that no word is, where it has one behind so many bytes.
const SHORTEST: u64 = u64::MAX << 40;

/// Letters of a word beyond which they cost more, and beyond which each is nearly a token.
const LONG_WORD: u32 = 4;
const VERY_LONG_WORD: u32 = 12;

/// What a text costs, in 1/64 tokens, as JSON has it.
///
/// The weights were fitted to o200k over code, prose and data in many languages: a word with the space before it
/// is about a token, and so are three digits, a run of signs or an ideograph.
pub fn parts(mut text: &[u8]) -> u64 {
    let bands = Bands::new();
    let mut total = 0;
    while !text.is_empty() {
        let (chunk, length) = match text.first_chunk() {
            Some(bytes) => Chunk::read(bytes, text, &bands),
            None => {
                let mut padded = [0; CHUNK];
                memory::put(&mut padded, 0, text);
                Chunk::read(&padded, text, &bands)
            }
        };
        total += u64::from(chunk.cost());
        text = text.get(length..).unwrap_or_default();
    }
    total
}

/// Which bytes of a part of a text are of a class: a bit for each, the lowest for the first. An escaped character
/// is of its class with its backslash, a letter with an accent with all of its bytes.
#[derive(Clone, Copy, Default)]
struct Chunk {
    letters: u64,
    capitals: u64,
    digits: u64,
    spaces: u64,
    newlines: u64,
    /// Whatever else there is in ASCII.
    signs: u64,
    /// Backslashes before signs.
    escapes: u64,
    /// Greek, Cyrillic, Hebrew, Arabic and the others of two bytes.
    alphabet: u64,
    /// What characters cost by themselves that are not ASCII, or escaped as code points.
    others: u32,
}

/// What tells the larger classes.
struct Bands {
    letters: Band,
    capitals: Band,
    digits: Band,
}

impl Bands {
    #[inline(always)]
    fn new() -> Self {
        let [letters, capitals, digits] = Band::all([(b'a', b'z'), (b'A', b'Z'), (b'0', b'9')]);
        Bands { letters, capitals, digits }
    }
}

impl Chunk {
    /// The first of a text, which begins with these bytes (behind its end they say nothing), and its length.
    #[inline(always)]
    fn read(bytes: &[u8; CHUNK], text: &[u8], bands: &Bands) -> (Self, usize) {
        let mut chunk = Chunk::default();
        let (mut backslashes, mut beyond) = (0, 0);
        let end = text.len().min(CHUNK);
        for (index, block) in bytes.as_chunks().0.iter().enumerate().take(end.div_ceil(LANES)) {
            let (block, at) = (Block::load(block), index * LANES);
            chunk.letters |= u64::from(block.within(&bands.letters)) << at;
            chunk.capitals |= u64::from(block.within(&bands.capitals)) << at;
            chunk.digits |= u64::from(block.within(&bands.digits)) << at;
            chunk.spaces |= u64::from(block.are(b' ')) << at;
            backslashes |= u64::from(block.are(b'\\')) << at;
            beyond |= u64::from(block.beyond_ascii()) << at;
        }
        let mut length = end;
        if text.len() > CHUNK && chunk.spaces & SHORTEST != 0 {
            length = CHUNK - chunk.spaces.leading_zeros() as usize;
        } else if backslashes >> (end - 1) & 1 == 1 && text.len() > CHUNK {
            // No escape is cut, if not one of six bytes.
            length -= 1;
        }
        let all = u64::MAX >> (CHUNK - length);
        chunk.letters = (chunk.letters | chunk.capitals) & all;
        chunk.capitals &= all;
        chunk.digits &= all;
        chunk.spaces &= all;
        chunk.signs = all & !(chunk.letters | chunk.digits | chunk.spaces | beyond);
        if backslashes & all != 0 {
            chunk.unescape(text, backslashes & all);
        }
        if beyond & all != 0 {
            chunk.decode(text, beyond & all);
        }
        (chunk, length)
    }

    /// Puts what is escaped into its class.
    fn unescape(&mut self, text: &[u8], backslashes: u64) {
        self.escapes = lanes::escapes(backslashes);
        // The others are signs.
        let mut letters = self.escapes << 1 & self.letters;
        while letters != 0 {
            let at = letters.trailing_zeros() as usize;
            let kind = text.get(at).copied().unwrap_or_default();
            let bits = if kind == b'u' { 0x3f } else { 3 } << (at - 1);
            letters &= letters - 1;
            self.escapes &= !bits;
            self.letters &= !bits;
            self.signs &= !bits;
            match kind {
                b'n' | b'r' => self.newlines |= bits,
                b'u' => self.code_unit(text, at, bits),
                // The backslash is of no class, so that two of them are not many spaces.
                _ => self.spaces |= 1 << at,
            }
        }
    }

    /// The same of a code unit, whose `u` is at a place.
    #[cold]
    fn code_unit(&mut self, text: &[u8], at: usize, bits: u64) {
        self.capitals &= !bits;
        self.digits &= !bits;
        let unit = text.get(at + 1..).and_then(<[u8]>::first_chunk).and_then(json::hexadecimal).unwrap_or_default();
        self.others += match unit {
            ..0xc0 => 62,
            // It parts its word in two.
            0xc0..0x2c0 => 44,
            0x2c0..0x800 => {
                self.alphabet |= bits;
                character(0xd0)
            }
            // One half of a pair counts, the other is part of it.
            0xd800..0xdc00 => character(0xf0),
            0xdc00..0xe000 => 0,
            _ => character(0xe0 | (unit >> 12) as u8),
        };
    }

    /// Tells apart what is no ASCII.
    fn decode(&mut self, text: &[u8], mut beyond: u64) {
        while beyond != 0 {
            let at = beyond.trailing_zeros();
            let lead = text.get(at as usize).copied().unwrap_or_default();
            self.others += character(lead);
            let bits = match lead {
                ..0xc0 => 1,
                0xc0..0xe0 => 3,
                0xe0..0xf0 => 7,
                _ => 15,
            } << at;
            match lead {
                0xc3..=0xca => self.letters |= bits,
                0xcb..=0xdf => self.alphabet |= bits,
                _ => {}
            }
            beyond &= !bits;
        }
    }

    #[inline(always)]
    fn cost(&self) -> u32 {
        let Chunk { letters, capitals, digits, spaces, newlines, signs, escapes, alphabet, .. } = *self;
        let begins = |run: u64| run & !(run << 1);
        // A capital behind a small letter begins a word of its own.
        let humps = begins(capitals) & letters << 1;
        let within = letters & letters << 1 & !humps;
        let long = behind(within, LONG_WORD);
        let first_signs = begins(signs);
        let more_signs = signs & !first_signs & !(escapes << 1);
        // One sign before a word belongs to it.
        let sign_of_word = first_signs & !escapes | (first_signs & escapes) << 1;
        let words = begins(letters) & !(sign_of_word << 1);
        let mut cost = self.others + 39 * words.count_ones() + 5 * (within | more_signs).count_ones();
        cost += 8 * long.count_ones() + 62 * first_signs.count_ones();
        // What is rare in most texts.
        if capitals != 0 {
            cost += 80 * humps.count_ones() + 7 * (within & capitals).count_ones();
        }
        if digits != 0 {
            let behind_word = begins(digits) & letters << 1;
            cost += 75 * thirds(digits).count_ones() + 30 * behind_word.count_ones();
        }
        if newlines != 0 {
            cost += 48 * begins(newlines).count_ones();
        }
        let indented = begins(spaces & spaces << 1);
        if indented != 0 {
            cost += 26 * indented.count_ones();
        }
        let very_long = behind(long, VERY_LONG_WORD - LONG_WORD + 1);
        if very_long != 0 {
            cost += 69 * very_long.count_ones();
        }
        if alphabet != 0 {
            cost += 102 * begins(alphabet).count_ones();
        }
        cost
    }
}

/// The bits of a run behind so many of it, themselves counted; of nine at most.
fn behind(run: u64, length: u32) -> u64 {
    let two = run & run << 1;
    let four = two & two << 2;
    if length == LONG_WORD { four } else { four & four << 4 & run << 8 }
}

/// The first of every three of each run.
fn thirds(run: u64) -> u64 {
    let goes_on = run & run << 1 & run << 2 & run << 3;
    let mut thirds = run & !(run << 1);
    loop {
        let more = thirds | thirds << 3 & goes_on;
        if more == thirds {
            return thirds;
        }
        thirds = more;
    }
}

/// What a character costs by its first byte; words and alphabets cost where they begin, too.
fn character(lead: u8) -> u32 {
    const FIRST: u8 = 0xc0;
    #[expect(clippy::indexing_slicing, reason = "at compile time, where a panic is an error")]
    const COSTS: [u8; 64] = {
        let mut costs = [0; 64];
        let mut at = 0;
        while at < 64 {
            costs[at] = match FIRST + at as u8 {
                // Letters with accents: most of Europe.
                ..0xcb => 73,
                // Alphabets of their own.
                0xcb..0xe0 => 3,
                // South and south-east Asia.
                0xe0..0xe2 => 20,
                // Dashes, quotes, arrows, frames.
                0xe2 => 40,
                // Kana, ideographs, Hangul, full width.
                0xe3 => 45,
                0xe4..0xea => 55,
                0xea..0xee => 50,
                0xee..0xf0 => 64,
                // Pictures.
                _ => 96,
            };
            at += 1;
        }
        costs
    };
    // Bytes within a character cost nothing.
    lead.checked_sub(FIRST).and_then(|at| COSTS.get(usize::from(at))).map_or(0, |cost| u32::from(*cost))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same byte by byte. Of what is read: `a` and `A` are letters, `0` digits, `_` spaces, `n` newlines, `.`
    /// signs, `\` a backslash before one, `d` an alphabet's letters, and `?` whatever else.
    fn naive(read: &str, others: u32) -> u32 {
        let mut cost = others;
        let (mut run, mut before, mut signs) = (0, b'?', 0);
        for byte in read.bytes() {
            let class = |byte: u8| if byte == b'\\' { b'.' } else { byte.to_ascii_lowercase() };
            let is_hump = byte == b'A' && before == b'a';
            run = if class(byte) == class(before) && !is_hump { run + 1 } else { 1 };
            cost += match (byte, run) {
                (b'a' | b'A', 1) if is_hump => 80,
                (b'a' | b'A', 1) => {
                    if signs == 1 {
                        0
                    } else {
                        39
                    }
                }
                (b'a' | b'A', _) => {
                    let long = if run > 12 {
                        8 + 69
                    } else if run > 4 {
                        8
                    } else {
                        0
                    };
                    5 + long + if byte == b'A' { 7 } else { 0 }
                }
                (b'0', _) if run % 3 != 1 => 0,
                (b'0', _) => 75 + if run == 1 && before.eq_ignore_ascii_case(&b'a') { 30 } else { 0 },
                (b'_', 2) => 26,
                (b'n', 1) => 48,
                (b'.' | b'\\', 1) => 62,
                (b'.' | b'\\', _) => {
                    if before == b'\\' {
                        0
                    } else {
                        5
                    }
                }
                (b'd', 1) => 102,
                _ => 0,
            };
            signs = match byte {
                b'.' => signs + 1,
                b'\\' => signs,
                _ => 0,
            };
            before = byte;
        }
        cost
    }

    #[test]
    fn what_is_counted_at_once_is_what_is_counted_byte_by_byte() {
        let pieces: &[(&str, &str, u32)] = &[
            ("word", "aaaa", 0),
            ("internationally", "aaaaaaaaaaaaaaa", 0),
            ("A", "A", 0),
            ("HTTP", "AAAA", 0),
            ("7", "0", 0),
            ("20261121", "00000000", 0),
            (" ", "_", 0),
            ("   ", "___", 0),
            (".", ".", 0),
            ("=>", "..", 0),
            (r"\n", "nn", 0),
            (r"\t", "?_", 0),
            (r#"\""#, r"\.", 0),
            (r"\\", r"\.", 0),
            ("é", "aa", 73),
            ("д", "dd", 3),
            ("“", "???", 40),
            ("你", "???", 55),
            ("\u{1f600}", "????", 96),
            (r"\u00e9", "??????", 44),
            (r"\u0434", "dddddd", 3),
            (r"\u4f60", "??????", 55),
            (r"\ud83d\ude00", "????????????", 96),
        ];
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let (mut text, mut read, mut others) = (String::new(), String::new(), 0);
            loop {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (piece, classes, cost) = pieces[(seed >> 33) as usize % pieces.len()];
                if text.len() + piece.len() > CHUNK {
                    break;
                }
                text += piece;
                read += classes;
                others += cost;
            }
            assert_eq!(parts(text.as_bytes()), u64::from(naive(&read, others)), "{text}");
        }
    }
}
