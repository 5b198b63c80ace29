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

    /// Of what is shorter, with zeros behind it. It is put together in a register: whoever reads at once what was
    /// written piece by piece waits for it.
    pub fn of_few(bytes: &[u8]) -> Self {
        Block(arch::pair(few(bytes)))
    }

    /// Which of them are this one.
    pub fn are(self, byte: u8) -> u16 {
        arch::mask(equal(self.0, byte))
    }

    /// Which of them lie in a band.
    #[inline(always)]
    pub fn within(self, band: &Band) -> u16 {
        let beyond = arch::less_or_zero(arch::less(self.0, band.first), band.span);
        arch::mask(arch::same(beyond, arch::splat(0)))
    }

    /// Which of them are no ASCII.
    pub fn beyond_ascii(self) -> u16 {
        arch::mask(self.0)
    }

    /// Which of them no JSON string has as they are: quotes, backslashes, and control characters.
    pub fn special(self) -> u16 {
        let marks = arch::or(equal(self.0, b'"'), equal(self.0, b'\\'));
        arch::mask(arch::or(marks, arch::up_to(self.0, b' ' - 1)))
    }
}

/// Up to sixteen bytes as two numbers, with zeros behind them.
fn few(bytes: &[u8]) -> [u64; 2] {
    let bytes = bytes.get(..LANES).unwrap_or(bytes);
    let length = bytes.len() as u32;
    // The first and the last may have some in common.
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return [u64::from_le_bytes(*first), u64::from_le_bytes(*last).checked_shr(128 - 8 * length).unwrap_or(0)];
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return [u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * length - 32), 0];
    }
    [bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)), 0]
}

fn equal(lanes: arch::Lanes, byte: u8) -> arch::Lanes {
    arch::same(lanes, arch::splat(byte))
}

/// Bytes that follow each other, kept in registers as [`Marks`] are.
pub struct Band {
    first: arch::Lanes,
    span: arch::Lanes,
}

impl Band {
    /// Each from a byte up to another. What is a word or less the compiler sees through, so that these are made
    /// together.
    #[inline(always)]
    pub fn all<const COUNT: usize>(bounds: [(u8, u8); COUNT]) -> [Band; COUNT] {
        let splat = |(first, last)| Band { first: arch::splat(first), span: arch::splat(last - first) };
        std::hint::black_box(bounds).map(splat)
    }
}

/// Four blocks, and what is told of them in one mask.
pub struct Line(Block, Block, Block, Block);

/// What lines are searched for. Engines put a constant together anew wherever it stands; what they cannot see through
/// they keep in registers, and compare with fewer instructions.
pub struct Marks {
    quote: arch::Lanes,
    backslash: arch::Lanes,
    last_control: arch::Lanes,
}

impl Marks {
    #[inline(always)]
    pub fn new() -> Self {
        let [quote, backslash, last_control] = std::hint::black_box([b'"', b'\\', b' ' - 1]).map(arch::splat);
        Marks { quote, backslash, last_control }
    }
}

impl Line {
    pub const LENGTH: usize = 4 * LANES;

    #[inline(always)]
    pub fn load(bytes: &[u8; Self::LENGTH]) -> Self {
        let [first, second, third, fourth] = bytes.as_chunks().0 else {
            let none = Block::load(&[0; LANES]);
            return Line(none, none, none, none);
        };
        Line(Block::load(first), Block::load(second), Block::load(third), Block::load(fourth))
    }

    pub fn quotes(&self, marks: &Marks) -> u64 {
        self.mask(|lanes| arch::same(lanes, marks.quote))
    }

    pub fn backslashes(&self, marks: &Marks) -> u64 {
        self.mask(|lanes| arch::same(lanes, marks.backslash))
    }

    /// Which of them are no ASCII.
    pub fn beyond_ascii(&self) -> u64 {
        self.mask(|lanes| lanes)
    }

    /// Whether all of them are ASCII.
    #[inline(always)]
    pub fn is_ascii(&self) -> bool {
        arch::mask(self.join(arch::or, |lanes| lanes)) == 0
    }

    /// Whether any of them is a control character.
    pub fn has_control(&self, marks: &Marks) -> bool {
        arch::has_zero(self.beyond_control(marks))
    }

    /// Whether any of them is one that no JSON string has as it is: see [`Block::special`]. What is looked for becomes
    /// zero, and the least of all says whether there is one: of comparisons that are joined the compiler makes truths,
    /// and lanes of them again.
    #[inline(always)]
    pub fn has_special(&self, marks: &Marks) -> bool {
        let apart = |lanes| arch::least(arch::xor(lanes, marks.quote), arch::xor(lanes, marks.backslash));
        arch::has_zero(arch::least(self.join(arch::least, apart), self.beyond_control(marks)))
    }

    /// Zero in each lane that is a control character in any of the blocks.
    #[inline(always)]
    fn beyond_control(&self, marks: &Marks) -> arch::Lanes {
        arch::less_or_zero(self.join(arch::least, |lanes| lanes), marks.last_control)
    }

    #[inline(always)]
    fn join(
        &self,
        with: fn(arch::Lanes, arch::Lanes) -> arch::Lanes,
        of: impl Fn(arch::Lanes) -> arch::Lanes,
    ) -> arch::Lanes {
        with(with(of(self.0.0), of(self.1.0)), with(of(self.2.0), of(self.3.0)))
    }

    #[inline(always)]
    fn mask(&self, of: impl Fn(arch::Lanes) -> arch::Lanes) -> u64 {
        let mask = |block: &Block| u64::from(arch::mask(of(block.0)));
        mask(&self.0) | mask(&self.1) << 16 | mask(&self.2) << 32 | mask(&self.3) << 48
    }
}

/// What is no longer is copied here. Engines copy memory by a call: of V8 it is one of 350 instructions.
const SHORT: usize = 16 * LANES;

/// Appends a piece. What is short is copied by a few loads and stores, of which the last two may overlap.
pub fn append(out: &mut Vec<u8>, piece: &[u8]) {
    append_with(out, piece, []);
}

/// Appends a piece and a NUL behind it.
pub fn append_ended(out: &mut Vec<u8>, piece: &[u8]) {
    append_with(out, piece, [0]);
}

/// Appends pieces, with room for all of them from the first on.
pub fn append_all(out: &mut Vec<u8>, pieces: &[&str]) {
    out.reserve(pieces.iter().map(|piece| piece.len()).sum());
    pieces.iter().for_each(|piece| append_with(out, piece.as_bytes(), []));
}

#[inline(always)]
fn append_with<const MORE: usize>(out: &mut Vec<u8>, piece: &[u8], end: [u8; MORE]) {
    let length = piece.len();
    out.reserve(length + MORE);
    if length > SHORT {
        out.extend_from_slice(piece);
        return out.extend_from_slice(&end);
    }
    // SAFETY: there is room for so many bytes, and after it they are there.
    unsafe {
        let to: *mut u8 = out.spare_capacity_mut().as_mut_ptr().cast();
        copy_few(piece, to);
        to.add(length).cast::<[u8; MORE]>().write_unaligned(end);
        out.set_len(out.len() + length + MORE);
    }
}

/// Puts a short piece to this place. Tells whether there is room for it.
pub fn put(bytes: &mut [u8], at: usize, piece: &[u8]) -> bool {
    let room = bytes.get_mut(at..).filter(|room| room.len() >= piece.len());
    // SAFETY: there is.
    room.map(|room| unsafe { copy_few(piece, room.as_mut_ptr()) }).is_some()
}

/// # Safety
///
/// So many bytes have to be writable from there on.
#[inline(always)]
unsafe fn copy_few(piece: &[u8], to: *mut u8) {
    let (from, length) = (piece.as_ptr(), piece.len());
    // SAFETY: all that is read lies within the piece, and what is written as far behind the place.
    unsafe {
        match length {
            16.. => {
                for at in (0..length - 15).step_by(16) {
                    copy::<16>(from, to, at);
                }
                copy::<16>(from, to, length - 16);
            }
            8.. => {
                copy::<8>(from, to, 0);
                copy::<8>(from, to, length - 8);
            }
            4.. => {
                copy::<4>(from, to, 0);
                copy::<4>(from, to, length - 4);
            }
            1.. => {
                copy::<1>(from, to, 0);
                copy::<1>(from, to, length / 2);
                copy::<1>(from, to, length - 1);
            }
            0 => {}
        }
    }
}

/// # Safety
///
/// So many bytes have to be readable and writable at this place.
#[inline(always)]
unsafe fn copy<const BYTES: usize>(from: *const u8, to: *mut u8, at: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = from.add(at).cast::<[u8; BYTES]>().read_unaligned();
        to.add(at).cast::<[u8; BYTES]>().write_unaligned(bytes);
    }
}

/// Whether the first of two equally long pieces of memory is less (-1) or greater (1) than the second, or the same (0).
/// By sixteen bytes: what the compiler brings for WebAssembly, where every `==` of slices ends, looks at one at a
/// time, and took half of the module's instructions in a stream.
///
/// # Safety
///
/// So many bytes have to be readable from both places on.
#[cfg(any(test, all(target_arch = "wasm32", feature = "host")))]
pub unsafe fn compare(a: *const u8, b: *const u8, length: usize) -> i32 {
    // SAFETY: all that is read lies within the two, by the caller's promise.
    unsafe {
        let mut at = 0;
        let block = |from: *const u8, at| arch::load(&*from.add(at).cast::<[u8; LANES]>());
        let same = |at| arch::same(block(a, at), block(b, at));
        let are_blocks_same = |at| !arch::has_zero(same(at));
        let are_lines_same = |at| {
            let first = arch::least(same(at), same(at + LANES));
            let last = arch::least(same(at + 2 * LANES), same(at + 3 * LANES));
            !arch::has_zero(arch::least(first, last))
        };
        // Of two numbers that differ, the first byte that does decides. What is shorter than a block is compared as two
        // of them, which may overlap: where the first are the same, so is what the last have of them.
        let both = |first: (u64, u64), last: (u64, u64)| {
            let (one, other) = if first.0 == first.1 { last } else { first };
            let place = (one ^ other).trailing_zeros() & !7;
            match () {
                // Nothing else gives 0, so that for an `==` the compiler leaves the others away.
                () if one == other => 0,
                () if (one >> place & 0xff) < (other >> place & 0xff) => -1,
                () => 1,
            }
        };
        let eight =
            |at| (a.add(at).cast::<u64>().read_unaligned().to_le(), b.add(at).cast::<u64>().read_unaligned().to_le());
        let four = |at| {
            let (one, other) = (a.add(at).cast::<u32>().read_unaligned(), b.add(at).cast::<u32>().read_unaligned());
            (u64::from(one.to_le()), u64::from(other.to_le()))
        };
        let few = |from: *const u8| {
            u64::from(*from) | u64::from(*from.add(length / 2)) << 8 | u64::from(*from.add(length - 1)) << 16
        };
        match length {
            LANES.. => {
                while length - at >= Line::LENGTH && are_lines_same(at) {
                    at += Line::LENGTH;
                }
                while length - at >= LANES && are_blocks_same(at) {
                    at += LANES;
                }
                let at = if length - at < LANES { length - LANES } else { at };
                both(eight(at), eight(at + 8))
            }
            8.. => both(eight(0), eight(length - 8)),
            4.. => both(four(0), four(length - 4)),
            1.. => both((few(a), few(b)), (0, 0)),
            0 => 0,
        }
    }
}

#[cfg(all(target_arch = "wasm32", feature = "host"))]
mod builtins {
    //! In place of the compiler's own, which are weak symbols.

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, length: usize) -> i32 {
        // SAFETY: the caller's promise.
        unsafe { super::compare(a, b, length) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, length: usize) -> i32 {
        // SAFETY: the caller's promise.
        unsafe { super::compare(a, b, length) }
    }
}

/// Whether a short text is ASCII: what is made for long ones takes a hundred instructions to get going.
pub fn is_short_ascii(bytes: &[u8]) -> bool {
    const BEYOND: u64 = u64::from_ne_bytes([0x80; 8]);
    let Some(last) = bytes.last_chunk() else { return few(bytes)[0] & BEYOND == 0 };
    let words = bytes.as_chunks().0.iter().chain([last]);
    words.fold(0, |all, word| all | u64::from_ne_bytes(*word)) & BEYOND == 0
}

/// After so many lines in a row in which there was nothing to see, it is worth to try whole pages.
pub const BEFORE_PAGES: usize = 4;

/// How many bytes from the first on are ASCII, as far as whole pages (256) of them are.
pub fn ascii_pages(bytes: &[u8]) -> usize {
    pages(bytes, |a, b, c, d| {
        let all = |line: Line| line.join(arch::or, |lanes| lanes);
        arch::mask(arch::or(arch::or(all(a), all(b)), arch::or(all(c), all(d)))) == 0
    })
}

/// How many bytes from the first on are letters, digits or signs, as base64 is: none of them a space, a control
/// character, a quote or a backslash. As far as whole pages (256) of them are: less is looked at than for
/// [`Line::has_special`].
pub fn solid_pages(bytes: &[u8], marks: &Marks) -> usize {
    pages(bytes, |a, b, c, d| {
        let least = |line: &Line| line.join(arch::least, |lanes| lanes);
        let beyond = arch::least(arch::least(least(&a), least(&b)), arch::least(least(&c), least(&d)));
        let apart = |line: Line| line.join(arch::least, |lanes| arch::xor(lanes, marks.backslash));
        let apart = arch::least(arch::least(apart(a), apart(b)), arch::least(apart(c), apart(d)));
        !arch::has_zero(arch::least(arch::less_or_zero(beyond, marks.quote), apart))
    })
}

#[inline(always)]
fn pages(bytes: &[u8], are: impl Fn(Line, Line, Line, Line) -> bool) -> usize {
    const PAGE: usize = 4 * Line::LENGTH;
    let is_one = |page: &&[u8; PAGE]| {
        let [a, b, c, d] = page.as_chunks().0 else { return false };
        are(Line::load(a), Line::load(b), Line::load(c), Line::load(d))
    };
    bytes.as_chunks().0.iter().take_while(is_one).count() * PAGE
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
    use std::arch::wasm32::{
        u8x16_all_true, u8x16_bitmask, u8x16_eq, u8x16_le, u8x16_min, u8x16_splat, u8x16_sub, u8x16_sub_sat, u64x2,
        v128, v128_load, v128_or, v128_xor,
    };

    pub type Lanes = v128;

    pub fn load(bytes: &[u8; 16]) -> Lanes {
        // SAFETY: so many bytes can be read from there, and the instruction wants no alignment.
        unsafe { v128_load(bytes.as_ptr().cast()) }
    }

    pub fn pair([first, last]: [u64; 2]) -> Lanes {
        u64x2(first, last)
    }

    pub fn splat(byte: u8) -> Lanes {
        u8x16_splat(byte)
    }

    pub fn or(a: Lanes, b: Lanes) -> Lanes {
        v128_or(a, b)
    }

    pub fn same(a: Lanes, b: Lanes) -> Lanes {
        u8x16_eq(a, b)
    }

    pub fn least(a: Lanes, b: Lanes) -> Lanes {
        u8x16_min(a, b)
    }

    pub fn xor(a: Lanes, b: Lanes) -> Lanes {
        v128_xor(a, b)
    }

    pub fn less_or_zero(a: Lanes, b: Lanes) -> Lanes {
        u8x16_sub_sat(a, b)
    }

    pub fn has_zero(lanes: Lanes) -> bool {
        !u8x16_all_true(lanes)
    }

    pub fn less(a: Lanes, b: Lanes) -> Lanes {
        u8x16_sub(a, b)
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
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_sub_epi8, _mm_subs_epu8, _mm_xor_si128,
    };

    pub type Lanes = __m128i;

    pub fn load(bytes: &[u8; 16]) -> Lanes {
        // SAFETY: so many bytes can be read from there, and the instruction wants no alignment.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    pub fn pair(words: [u64; 2]) -> Lanes {
        // SAFETY: every x86-64 has SSE2.
        unsafe { _mm_set_epi64x(words[1].cast_signed(), words[0].cast_signed()) }
    }

    pub fn splat(byte: u8) -> Lanes {
        // SAFETY: every x86-64 has SSE2.
        unsafe { _mm_set1_epi8(byte.cast_signed()) }
    }

    pub fn or(a: Lanes, b: Lanes) -> Lanes {
        // SAFETY: as above.
        unsafe { _mm_or_si128(a, b) }
    }

    pub fn less(a: Lanes, b: Lanes) -> Lanes {
        // SAFETY: as above.
        unsafe { _mm_sub_epi8(a, b) }
    }

    pub fn up_to(lanes: Lanes, byte: u8) -> Lanes {
        // SAFETY: as above.
        unsafe { _mm_cmpeq_epi8(_mm_min_epu8(lanes, splat(byte)), lanes) }
    }

    pub fn mask(lanes: Lanes) -> u16 {
        // SAFETY: as above.
        unsafe { _mm_movemask_epi8(lanes) as u16 }
    }

    pub fn same(a: Lanes, b: Lanes) -> Lanes {
        // SAFETY: as above.
        unsafe { _mm_cmpeq_epi8(a, b) }
    }

    pub fn least(a: Lanes, b: Lanes) -> Lanes {
        // SAFETY: as above.
        unsafe { _mm_min_epu8(a, b) }
    }

    pub fn xor(a: Lanes, b: Lanes) -> Lanes {
        // SAFETY: as above.
        unsafe { _mm_xor_si128(a, b) }
    }

    pub fn less_or_zero(a: Lanes, b: Lanes) -> Lanes {
        // SAFETY: as above.
        unsafe { _mm_subs_epu8(a, b) }
    }

    pub fn has_zero(lanes: Lanes) -> bool {
        mask(same(lanes, splat(0))) != 0
    }
}

#[cfg(not(any(all(target_arch = "wasm32", target_feature = "simd128"), target_arch = "x86_64")))]
mod arch {
    pub type Lanes = [u8; 16];

    pub fn load(bytes: &[u8; 16]) -> Lanes {
        *bytes
    }

    pub fn pair(words: [u64; 2]) -> Lanes {
        let both = u128::from(words[1]) << 64 | u128::from(words[0]);
        both.to_le_bytes()
    }

    pub fn or(mut a: Lanes, b: Lanes) -> Lanes {
        a.iter_mut().zip(b).for_each(|(a, b)| *a |= b);
        a
    }

    pub fn less(mut a: Lanes, b: Lanes) -> Lanes {
        a.iter_mut().zip(b).for_each(|(a, b)| *a = a.wrapping_sub(b));
        a
    }

    pub fn up_to(lanes: Lanes, byte: u8) -> Lanes {
        lanes.map(|lane| if lane <= byte { u8::MAX } else { 0 })
    }

    pub fn mask(lanes: Lanes) -> u16 {
        lanes.iter().rev().fold(0, |mask, lane| mask << 1 | u16::from(lane >> 7))
    }

    pub fn splat(byte: u8) -> Lanes {
        [byte; 16]
    }

    pub fn same(mut a: Lanes, b: Lanes) -> Lanes {
        a.iter_mut().zip(b).for_each(|(a, b)| *a = if *a == b { u8::MAX } else { 0 });
        a
    }

    pub fn least(mut a: Lanes, b: Lanes) -> Lanes {
        a.iter_mut().zip(b).for_each(|(a, b)| *a = b.min(*a));
        a
    }

    pub fn xor(mut a: Lanes, b: Lanes) -> Lanes {
        a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
        a
    }

    pub fn less_or_zero(mut a: Lanes, b: Lanes) -> Lanes {
        a.iter_mut().zip(b).for_each(|(a, b)| *a = a.saturating_sub(b));
        a
    }

    pub fn has_zero(lanes: Lanes) -> bool {
        lanes.contains(&0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn what_is_told_of_a_block_is_true_of_each_byte() {
        let all: Vec<u8> = (0..=255).collect();
        let [digits, high] = Band::all([(b'0', b'9'), (0xc0, 0xff)]);
        for bytes in all.as_chunks().0 {
            let block = Block::load(bytes);
            let told = |mask: u16, is: &dyn Fn(u8) -> bool| {
                let expected = bytes.iter().enumerate().fold(0, |mask, (at, byte)| mask | u16::from(is(*byte)) << at);
                assert_eq!(mask, expected, "{bytes:?}");
            };
            told(block.are(b'"'), &|byte| byte == b'"');
            told(block.within(&digits), &|byte| byte.is_ascii_digit());
            told(block.within(&high), &|byte| byte >= 0xc0);
            told(block.beyond_ascii(), &|byte| !byte.is_ascii());
            told(block.special(), &|byte| matches!(byte, b'"' | b'\\' | ..b' '));
        }
        let marks = Marks::new();
        for bytes in all.as_chunks().0 {
            let line = Line::load(bytes);
            let told = |mask: u64, is: &dyn Fn(u8) -> bool| {
                let expected = bytes.iter().rev().fold(0, |mask, byte| mask << 1 | u64::from(is(*byte)));
                assert_eq!(mask, expected, "{bytes:?}");
            };
            told(line.quotes(&marks), &|byte| byte == b'"');
            told(line.backslashes(&marks), &|byte| byte == b'\\');
            told(line.beyond_ascii(), &|byte| !byte.is_ascii());
            assert_eq!(line.is_ascii(), bytes.is_ascii());
            assert_eq!(line.has_control(&marks), bytes.iter().any(|byte| *byte < b' '));
            assert_eq!(line.has_special(&marks), bytes.iter().any(|byte| matches!(byte, b'"' | b'\\' | ..b' ')));
        }
    }

    #[test]
    fn what_is_shorter_than_a_block_has_zeros_behind_it() {
        let bytes: Vec<u8> = (1..=17).map(|byte| byte * 15).collect();
        for length in 0..=LANES {
            let (few, mut padded) = (Block::of_few(&bytes[..length]), [0; LANES]);
            padded[..length].copy_from_slice(&bytes[..length]);
            let whole = Block::load(&padded);
            for byte in [&[0], &bytes[..]].concat() {
                assert_eq!(few.are(byte), whole.are(byte), "{byte} of {length}");
            }
            assert_eq!(is_short_ascii(&bytes[..length]), bytes[..length].is_ascii());
        }
        assert_eq!(Block::of_few(&bytes).are(bytes[16]), 0);
    }

    #[test]
    fn memory_compares_as_slices_do() {
        let mut random = Random(1);
        for length in 0..150 {
            let one: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
            let compared = |other: &[u8]| {
                // SAFETY: both are as long.
                let order = unsafe { compare(one.as_ptr(), other.as_ptr(), length) };
                assert_eq!(order, one.as_slice().cmp(other) as i32, "{one:?} {other:?}");
            };
            compared(&one.clone());
            for place in 0..length {
                for other in [0, 1, 127, 128, 255] {
                    let mut another = one.clone();
                    another[place] = other;
                    compared(&another);
                    // The first difference decides.
                    another[place..].fill(other);
                    compared(&another);
                }
            }
        }
    }

    #[test]
    fn one_lane_is_enough() {
        let marks = Marks::new();
        for place in 0..Line::LENGTH {
            for byte in [b'"', b'\\', 0, b'\n', 0x1f, b' ', 0x7f, 0x80, 0xff] {
                let mut bytes = [b'a'; Line::LENGTH];
                bytes[place] = byte;
                let line = Line::load(&bytes);
                assert_eq!(line.has_special(&marks), matches!(byte, b'"' | b'\\' | ..b' '), "{byte} at {place}");
                assert_eq!(line.has_control(&marks), byte < b' ', "{byte} at {place}");
                assert_eq!((line.is_ascii(), line.beyond_ascii()), (byte.is_ascii(), u64::from(byte >> 7) << place));
            }
        }
    }

    #[test]
    fn whatever_is_appended_is_there() {
        let all: Vec<u8> = (0..=255).collect();
        for length in 0..200 {
            let mut out = b"before".to_vec();
            append(&mut out, &all[1..=length]);
            append_ended(&mut out, &all[..length]);
            assert_eq!(out, [b"before", &all[1..=length], &all[..length], &[0]].concat());
            let (mut out, text) = (Vec::new(), "x".repeat(length));
            append_all(&mut out, &["before", &text, "", &text]);
            assert_eq!(out, ["before", &text, &text].concat().as_bytes());
        }
    }

    #[test]
    fn pages_end_where_something_else_stands() {
        let marks = Marks::new();
        for length in [0, 1, 255, 256, 257, 600, 1024] {
            assert_eq!(ascii_pages(&vec![b'a'; length]), length / 256 * 256);
            assert_eq!(solid_pages(&vec![b'a'; length], &marks), length / 256 * 256);
        }
        for place in 0..600 {
            for byte in 0..=255 {
                let mut bytes = [b'#'; 600];
                bytes[place] = byte;
                let found = |is_odd: bool| if is_odd { place / 256 * 256 } else { 512 };
                assert_eq!(ascii_pages(&bytes), found(place < 512 && !byte.is_ascii()));
                assert_eq!(solid_pages(&bytes, &marks), found(place < 512 && (byte <= b'"' || byte == b'\\')));
            }
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
