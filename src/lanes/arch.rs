//! What each kind of processor has for sixteen bytes at once.

pub use kind::*;

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod kind {
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
mod kind {
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
mod kind {
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
