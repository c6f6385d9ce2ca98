//! How much memory the values of scripts take: an allocator that counts, and the limit that the interpreter asks for at every
//! operation. One operation at most doubles what there is, or asks for room beforehand; so no script fills the memory.
//! Tensors are the system's and torch's matter, which refuse with an error.

use super::budget;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};

/// Blocks below this many bytes are counted by their thread alone: sharing a counter would cost as much as the block.
const SMALL: usize = 256;

/// More than the values of a script take.
const LARGEST: u64 = 2 << 30;

static LARGE_BLOCKS: AtomicIsize = AtomicIsize::new(0);
static LIMIT: AtomicIsize = AtomicIsize::new(isize::MAX);

thread_local! {
    static SMALL_BLOCKS: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, counted.
pub struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(size: usize, sign: isize) {
    let change = sign * size as isize;
    if size < SMALL {
        // A thread that ends has nothing to count any more.
        let _ = SMALL_BLOCKS.try_with(|bytes| bytes.set(bytes.get() + change));
    } else {
        LARGE_BLOCKS.fetch_add(change, Ordering::Relaxed);
    }
}

// SAFETY: every call is handed to the system's allocator as it came; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        let moved = unsafe { System.realloc(block, layout, size) };
        if !moved.is_null() {
            count(layout.size(), -1);
            count(size, 1);
        }
        moved
    }
}

/// Bytes in use, those of small blocks as far as this thread knows.
fn live() -> isize {
    LARGE_BLOCKS.load(Ordering::Relaxed) + SMALL_BLOCKS.with(Cell::get)
}

/// What the values of a script may take here: a quarter of what is free, 2 GiB at most.
fn allowance() -> isize {
    budget::free().map_or(LARGEST, |free| (free / 4).min(LARGEST)) as isize
}

/// Sets the limit for a script, or an input of a session, that begins now: what earlier inputs have left is no fault of it.
pub fn begin() {
    let allowance = allowance();
    LIMIT.store(allowance.max(live().saturating_add(allowance / 4)), Ordering::Relaxed);
}

/// Whether the limit has been passed; the interpreter asks at every operation.
pub fn beyond() -> Option<Beyond> {
    let limit = LIMIT.load(Ordering::Relaxed);
    (live() > limit).then_some(Beyond { limit: limit as u64 })
}

/// Asks for room before one call makes much of little.
///
/// # Errors
/// More than the limit leaves.
pub fn room(bytes: usize) -> Result<(), Beyond> {
    let limit = LIMIT.load(Ordering::Relaxed);
    let fits = isize::try_from(bytes).is_ok_and(|bytes| live().saturating_add(bytes) <= limit);
    if fits { Ok(()) } else { Err(Beyond { limit: limit as u64 }) }
}

/// That the values of a script take more memory than they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beyond {
    limit: u64,
}

impl Beyond {
    /// What to do about it.
    pub const HINT: &str = "does a loop let a value grow without end? numbers by the million belong in tensors";
}

impl std::fmt::Display for Beyond {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the values of the script would take more than {} of memory", budget::size(self.limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_count_while_they_live() {
        let before = LARGE_BLOCKS.load(Ordering::Relaxed);
        let block = vec![1_u8; 1 << 28];
        let during = LARGE_BLOCKS.load(Ordering::Relaxed);
        assert!(during - before > 1 << 27, "{before} {during}");
        drop(block);
        assert!(LARGE_BLOCKS.load(Ordering::Relaxed) < during - (1 << 27));
    }

    #[test]
    fn what_no_memory_holds_has_no_room() {
        begin();
        assert!(room(usize::MAX).is_err() && room(1 << 40).is_err());
        assert_eq!(room(1000), Ok(()));
    }
}
