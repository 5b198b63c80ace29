//! The module's allocator: what is small comes from lists of free blocks of one size, everything else from the
//! standard library's (dlmalloc).
//!
//! A relayed request makes a hundred small allocations, which took dlmalloc an eighth of the module's instructions: it
//! looks for the best fit and joins what is freed with its neighbours. A block of a list is one read and one
//! write away. What is in the lists stays in them: as much as was ever in use at once, of each size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

/// Sizes are rounded up to a multiple of this, to which every block is aligned.
const UNIT: usize = 16;
/// The largest that comes from a list.
const LARGEST: usize = 1024;
/// What is cut into blocks at once.
const SLAB: usize = 4096;

pub struct Allocator {
    /// The first free block of each size, by units.
    free: [Cell<*mut Free>; LARGEST / UNIT + 1],
}

/// What stands in a block while it is free.
struct Free {
    next: *mut Free,
}

// SAFETY: wasm has no threads; a test does not share one.
unsafe impl Sync for Allocator {}

impl Allocator {
    pub const fn new() -> Self {
        Allocator { free: [const { Cell::new(null_mut()) }; LARGEST / UNIT + 1] }
    }

    /// The list that has such blocks, and their size; `None` for those that have no list.
    fn list(&self, layout: Layout) -> Option<(&Cell<*mut Free>, usize)> {
        let units = layout.size().div_ceil(UNIT).max(1);
        let list = self.free.get(units).filter(|_| layout.align() <= UNIT)?;
        Some((list, units * UNIT))
    }

    /// A block out of a new slab, whose others are free from here on. Null if there is no memory.
    #[cold]
    fn cut(list: &Cell<*mut Free>, size: usize) -> *mut u8 {
        let Ok(layout) = Layout::from_size_align(SLAB, UNIT) else { return null_mut() };
        // SAFETY: its size is not zero.
        let slab = unsafe { System.alloc(layout) };
        if slab.is_null() {
            return slab;
        }
        for index in (1..SLAB / size).rev() {
            // SAFETY: the block that begins there lies within the slab, is aligned as the slab is, and nobody has it.
            unsafe {
                let block = slab.add(index * size).cast::<Free>();
                block.write(Free { next: list.get() });
                list.set(block);
            }
        }
        slab
    }
}

// SAFETY: a block is in a list or with one owner, blocks do not overlap, and a block's list is told by its layout, with
// which it is given back.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((list, size)) = self.list(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        };
        let block = list.get();
        if block.is_null() {
            return Self::cut(list, size);
        }
        // SAFETY: whatever is in a list is a free block that was written when it got there.
        list.set(unsafe { (*block).next });
        block.cast()
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some((list, _)) = self.list(layout) else {
            // SAFETY: the caller's promise; a layout without a list had none when the block was allocated.
            return unsafe { System.dealloc(block, layout) };
        };
        let block = block.cast::<Free>();
        // SAFETY: it is the caller's, who gives it up, and large enough: every list's blocks have a unit or more.
        unsafe { block.write(Free { next: list.get() }) };
        list.set(block);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (self.list(layout), self.list(new)) {
            // SAFETY: the caller's promise, and both come from there.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            (Some((_, old)), Some((_, new))) if old == new => block,
            // SAFETY: the caller's promise; the two blocks are different ones, and as long as the smaller layout.
            _ => unsafe {
                let moved = self.alloc(new);
                if !moved.is_null() {
                    block.copy_to_nonoverlapping(moved, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                moved
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// A block, and the byte that it is full of.
    struct Held {
        block: *mut u8,
        layout: Layout,
        byte: u8,
    }

    impl Held {
        fn fill(&self) {
            unsafe { self.block.write_bytes(self.byte, self.layout.size()) };
        }

        fn check(&self, length: usize) {
            let bytes = unsafe { std::slice::from_raw_parts(self.block, length) };
            assert!(bytes.iter().all(|byte| *byte == self.byte), "{:?}", self.layout);
            assert!(self.block.addr().is_multiple_of(self.layout.align()), "{:?}", self.layout);
        }
    }

    #[test]
    fn blocks_are_aligned_and_nobody_elses_and_keep_what_is_in_them() {
        let allocator = Allocator::new();
        let mut held: Vec<Held> = Vec::new();
        let mut random = Random(1);
        let mut below = |end: usize| random.below(end);
        for step in 0..20_000 {
            let size = match below(4) {
                0 => 1 + below(3 * LARGEST),
                1 => LARGEST - 20 + below(40),
                _ => 1 + below(100),
            };
            let layout = Layout::from_size_align(size, 1 << below(7)).unwrap();
            match below(5) {
                0 | 1 if held.len() > 50 => {
                    let gone = held.swap_remove(below(held.len()));
                    gone.check(gone.layout.size());
                    unsafe { allocator.dealloc(gone.block, gone.layout) };
                }
                2 if !held.is_empty() => {
                    let index = below(held.len());
                    let one = &mut held[index];
                    let kept = one.layout.size().min(size);
                    one.block = unsafe { allocator.realloc(one.block, one.layout, size) };
                    one.layout = Layout::from_size_align(size, one.layout.align()).unwrap();
                    one.check(kept);
                    one.fill();
                }
                _ => {
                    let one = Held { block: unsafe { allocator.alloc(layout) }, layout, byte: step as u8 };
                    one.fill();
                    held.push(one);
                }
            }
        }
        for one in held {
            one.check(one.layout.size());
            unsafe { allocator.dealloc(one.block, one.layout) };
        }
    }

    #[test]
    fn what_was_freed_is_used_again() {
        let allocator = Allocator::new();
        let layout = Layout::from_size_align(100, 8).unwrap();
        let (first, second) = unsafe { (allocator.alloc(layout), allocator.alloc(layout)) };
        unsafe { allocator.dealloc(first, layout) };
        assert_eq!(unsafe { allocator.alloc(layout) }, first);
        for block in [first, second] {
            unsafe { allocator.dealloc(block, layout) };
        }
    }
}
