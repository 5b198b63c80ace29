//! Sixteen bytes that are looked at by one instruction: on wasm, on x86-64, and one by one anywhere else.

/// How many bytes a [`Block`] has.
pub const LANES: usize = 16;

/// Sixteen bytes. Of what is told of them a bit stands for each, the lowest for the first.
#[derive(Clone, Copy)]
pub struct Block(arch::Lanes);

impl Block {
    pub fn load(bytes: &[u8; LANES]) -> Self {
        Block(arch::load(bytes))
    }

    /// Which of them are this one.
    pub fn are(self, byte: u8) -> u16 {
        arch::mask(arch::equal(self.0, byte))
    }

    /// Which of them are these or lie between them.
    pub fn within(self, first: u8, last: u8) -> u16 {
        arch::mask(arch::up_to(arch::less(self.0, first), last - first))
    }

    /// Which of them are no ASCII.
    pub fn beyond_ascii(self) -> u16 {
        arch::mask(self.0)
    }

    /// Which of them no JSON string has as they are: quotes, backslashes, and control characters.
    pub fn special(self) -> u16 {
        let marks = arch::or(arch::equal(self.0, b'"'), arch::equal(self.0, b'\\'));
        arch::mask(arch::or(marks, arch::up_to(self.0, b' ' - 1)))
    }
}

/// Four blocks, and what is told of them in one mask.
pub struct Line(Block, Block, Block, Block);

impl Line {
    pub const LENGTH: usize = 4 * LANES;

    pub fn load(bytes: &[u8; Self::LENGTH]) -> Self {
        let [first, second, third, fourth] = bytes.as_chunks().0 else {
            let none = Block::load(&[0; LANES]);
            return Line(none, none, none, none);
        };
        Line(Block::load(first), Block::load(second), Block::load(third), Block::load(fourth))
    }

    pub fn are(&self, byte: u8) -> u64 {
        let mask = |block: Block| u64::from(block.are(byte));
        mask(self.0) | mask(self.1) << 16 | mask(self.2) << 32 | mask(self.3) << 48
    }

    /// Which of them are no ASCII.
    pub fn beyond_ascii(&self) -> u64 {
        if arch::mask(arch::or(arch::or(self.0.0, self.1.0), arch::or(self.2.0, self.3.0))) == 0 {
            return 0;
        }
        let mask = |block: Block| u64::from(block.beyond_ascii());
        mask(self.0) | mask(self.1) << 16 | mask(self.2) << 32 | mask(self.3) << 48
    }

    /// Whether any of them is a control character.
    pub fn has_control(&self) -> bool {
        let control = |block: Block| arch::up_to(block.0, b' ' - 1);
        let (half, other) = (arch::or(control(self.0), control(self.1)), arch::or(control(self.2), control(self.3)));
        arch::mask(arch::or(half, other)) != 0
    }
}

/// Of these backslashes those that begin an escape.
pub fn escapes(mut backslashes: u64) -> u64 {
    if backslashes & backslashes << 1 == 0 {
        return backslashes;
    }
    let mut escapes = 0;
    while backslashes != 0 {
        let first = backslashes & backslashes.wrapping_neg();
        escapes |= first;
        backslashes &= !(first | first << 1);
    }
    escapes
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod arch {
    use std::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_le, u8x16_sub, v128, v128_load};
    pub use std::arch::wasm32::{u8x16_splat as splat, v128_or as or};

    pub type Lanes = v128;

    pub fn load(bytes: &[u8; 16]) -> Lanes {
        // SAFETY: so many bytes can be read from there, and the instruction wants no alignment.
        unsafe { v128_load(bytes.as_ptr().cast()) }
    }

    pub fn equal(lanes: Lanes, byte: u8) -> Lanes {
        u8x16_eq(lanes, splat(byte))
    }

    pub fn less(lanes: Lanes, by: u8) -> Lanes {
        u8x16_sub(lanes, splat(by))
    }

    pub fn up_to(lanes: Lanes, byte: u8) -> Lanes {
        u8x16_le(lanes, splat(byte))
    }

    pub fn mask(lanes: Lanes) -> u16 {
        u8x16_bitmask(lanes)
    }
}

#[cfg(target_arch = "x86_64")]
mod arch {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
        _mm_sub_epi8,
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

    pub fn less(lanes: Lanes, by: u8) -> Lanes {
        // SAFETY: as above.
        unsafe { _mm_sub_epi8(lanes, splat(by)) }
    }

    pub fn up_to(lanes: Lanes, byte: u8) -> Lanes {
        // SAFETY: as above.
        unsafe { _mm_cmpeq_epi8(_mm_min_epu8(lanes, splat(byte)), lanes) }
    }

    pub fn mask(lanes: Lanes) -> u16 {
        // SAFETY: as above.
        unsafe { _mm_movemask_epi8(lanes) as u16 }
    }
}

#[cfg(not(any(all(target_arch = "wasm32", target_feature = "simd128"), target_arch = "x86_64")))]
mod arch {
    pub type Lanes = [u8; 16];

    pub fn load(bytes: &[u8; 16]) -> Lanes {
        *bytes
    }

    pub fn or(mut a: Lanes, b: Lanes) -> Lanes {
        a.iter_mut().zip(b).for_each(|(a, b)| *a |= b);
        a
    }

    pub fn equal(lanes: Lanes, byte: u8) -> Lanes {
        lanes.map(|lane| if lane == byte { u8::MAX } else { 0 })
    }

    pub fn less(lanes: Lanes, by: u8) -> Lanes {
        lanes.map(|lane| lane.wrapping_sub(by))
    }

    pub fn up_to(lanes: Lanes, byte: u8) -> Lanes {
        lanes.map(|lane| if lane <= byte { u8::MAX } else { 0 })
    }

    pub fn mask(lanes: Lanes) -> u16 {
        lanes.iter().rev().fold(0, |mask, lane| mask << 1 | u16::from(lane >> 7))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_block_is_true_of_each_byte() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in all.as_chunks().0 {
            let block = Block::load(bytes);
            let told = |mask: u16, is: &dyn Fn(u8) -> bool| {
                let expected = bytes.iter().enumerate().fold(0, |mask, (at, byte)| mask | u16::from(is(*byte)) << at);
                assert_eq!(mask, expected, "{bytes:?}");
            };
            told(block.are(b'"'), &|byte| byte == b'"');
            told(block.within(b'0', b'9'), &|byte| byte.is_ascii_digit());
            told(block.within(0xc0, 0xff), &|byte| byte >= 0xc0);
            told(block.beyond_ascii(), &|byte| !byte.is_ascii());
            told(block.special(), &|byte| matches!(byte, b'"' | b'\\' | ..b' '));
        }
        for bytes in all.as_chunks().0 {
            let line = Line::load(bytes);
            let expected = bytes.iter().position(|byte| *byte == b'A').map_or(0, |at| 1 << at);
            assert_eq!(line.are(b'A'), expected);
            assert_eq!(line.has_control(), bytes.iter().any(|byte| *byte < b' '));
            let beyond = bytes.iter().rev().fold(0, |mask, byte| mask << 1 | u64::from(!byte.is_ascii()));
            assert_eq!(line.beyond_ascii(), beyond);
        }
    }

    #[test]
    fn every_other_backslash_of_a_row_begins_an_escape() {
        for (text, expected) in [(r"a\b\\c\\\d", r" \ \  \ \ "), ("", ""), (r"\\\\\\", r"\ \ \ ")] {
            let mask =
                |text: &str| text.bytes().enumerate().filter(|(_, it)| *it == b'\\').map(|(at, _)| 1 << at).sum();
            assert_eq!(escapes(mask(text)), mask(expected), "{text}");
        }
    }
}
