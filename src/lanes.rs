//! Sixteen bytes that are looked at by one instruction: on wasm, on x86-64, and one by one anywhere else.

mod arch;

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

    /// Whether all are the same as another's.
    #[cfg(any(test, all(target_arch = "wasm32", feature = "host")))]
    pub fn is(self, other: Block) -> bool {
        !arch::has_zero(arch::same(self.0, other.0))
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

/// Up to sixteen bytes as two numbers, with zeros behind them. They are put together from two reads, which may have
/// some bytes in common.
fn few(bytes: &[u8]) -> [u64; 2] {
    let bytes = bytes.get(..LANES).unwrap_or(bytes);
    let length = bytes.len() as u32;
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return [u64::from_le_bytes(*first), u64::from_le_bytes(*last).checked_shr(128 - 8 * length).unwrap_or(0)];
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return [u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * length - 32), 0];
    }
    let (Some(first), Some(middle), Some(last)) = (bytes.first(), bytes.get(bytes.len() / 2), bytes.last()) else {
        return [0, 0];
    };
    [u64::from(*first) | u64::from(*middle) << (length / 2 * 8) | u64::from(*last) << (8 * length - 8), 0]
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

    /// Whether all are the same as another's.
    #[cfg(any(test, all(target_arch = "wasm32", feature = "host")))]
    #[inline(always)]
    pub fn is(&self, other: &Line) -> bool {
        let same = |one: &Block, other: &Block| arch::same(one.0, other.0);
        let first = arch::least(same(&self.0, &other.0), same(&self.1, &other.1));
        let last = arch::least(same(&self.2, &other.2), same(&self.3, &other.3));
        !arch::has_zero(arch::least(first, last))
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

#[cfg(test)]
mod tests {
    use super::*;

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
