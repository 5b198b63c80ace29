//! Memory in short pieces: to append, to put and to compare. What engines and compilers have for it is made for long
//! ones.

use crate::lanes::LANES;
#[cfg(any(test, all(target_arch = "wasm32", feature = "host")))]
use crate::lanes::{Block, Line};

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
/// time, and took half of the module's instructions in a stream. By pointers: through slices it takes twice as many.
///
/// # Safety
///
/// So many bytes have to be readable from both places on.
#[cfg(any(test, all(target_arch = "wasm32", feature = "host")))]
unsafe fn compare(a: *const u8, b: *const u8, length: usize) -> i32 {
    // SAFETY: all that is read lies within the two, by the caller's promise.
    unsafe {
        let mut at = 0;
        let line = |from: *const u8, at| Line::load(&*from.add(at).cast());
        let block = |from: *const u8, at| Block::load(&*from.add(at).cast());
        let eight = |at| [a, b].map(|from| from.add(at).cast::<u64>().read_unaligned().to_le());
        let four = |at| [a, b].map(|from| u64::from(from.add(at).cast::<u32>().read_unaligned().to_le()));
        let few = |from: *const u8| {
            u64::from(*from) | u64::from(*from.add(length / 2)) << 8 | u64::from(*from.add(length - 1)) << 16
        };
        // What is shorter than a block is compared as numbers, of which the last may have some bytes of the first.
        match length {
            LANES.. => {
                while length - at >= Line::LENGTH && line(a, at).is(&line(b, at)) {
                    at += Line::LENGTH;
                }
                while length - at >= LANES && block(a, at).is(block(b, at)) {
                    at += LANES;
                }
                let at = at.min(length - LANES);
                order(eight(at), eight(at + 8))
            }
            8.. => order(eight(0), eight(length - 8)),
            4.. => order(four(0), four(length - 4)),
            1.. => order([a, b].map(few), [0, 0]),
            0 => 0,
        }
    }
}

/// The order of the first two numbers, or of the last where those are the same: by the first byte that differs.
#[cfg(any(test, all(target_arch = "wasm32", feature = "host")))]
#[inline(always)]
fn order(first: [u64; 2], last: [u64; 2]) -> i32 {
    let [one, other] = if first[0] == first[1] { last } else { first };
    let place = (one ^ other).trailing_zeros() & !7;
    match () {
        // Nothing else gives 0, so that for an `==` the compiler leaves the others away.
        () if one == other => 0,
        () if (one >> place & 0xff) < (other >> place & 0xff) => -1,
        () => 1,
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
        // SAFETY: the same promise.
        unsafe { memcmp(a, b, length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

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
}
