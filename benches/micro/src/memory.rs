//! What is allocated, counted where [`Counting`] is the allocator: in wasm. Natively Criterion times the plain one.
#![cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's own allocator does the work; only numbers are added up.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(held, Relaxed);
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: as this function's caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as this function's caller has promised.
        unsafe { System.dealloc(pointer, layout) }
    }

    // In place where that can be, as without the counting.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let held = HELD.fetch_add(size, Relaxed) + size;
        HELD.fetch_sub(layout.size(), Relaxed);
        PEAK.fetch_max(held - layout.size(), Relaxed);
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: as this function's caller has promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Bytes that are held now.
pub fn held() -> usize {
    HELD.load(Relaxed)
}

/// The most bytes held at once while `work` runs, beyond those held before, and how often it allocates.
pub fn allocated(work: impl FnOnce()) -> (usize, usize) {
    let (held, calls) = (HELD.load(Relaxed), CALLS.load(Relaxed));
    PEAK.store(held, Relaxed);
    work();
    (PEAK.load(Relaxed).saturating_sub(held), CALLS.load(Relaxed) - calls)
}
