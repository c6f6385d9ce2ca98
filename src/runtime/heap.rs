//! How much memory the values of scripts take: an allocator that counts, and the limit that the interpreter asks for at every
//! operation. One operation at most doubles what there is, or asks for room beforehand; so no script fills the memory.
//! Tensors are torch's matter; but when what a script keeps has left the system hardly any memory, it ends as well, before the
//! system ends the process.

use super::budget;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, Ordering};

/// Blocks below this many bytes are counted by their thread alone: sharing a counter would cost as much as the block.
const SMALL: usize = 256;

/// More than the values of a script take.
const LARGEST: u64 = 2 << 30;

/// Bytes that are left to the system and to what one operation takes.
const RESERVE: u64 = 384 << 20;

/// Milliseconds between two looks at the system's memory: less than it takes to fill the reserve.
const PERIOD: u64 = 50;

/// When the system's memory was last looked at, in milliseconds of the coarse clock.
static LOOKED: AtomicU64 = AtomicU64::new(0);

/// Whether a call was refused that could not say so itself.
static REFUSED: AtomicBool = AtomicBool::new(false);

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
    REFUSED.store(false, Ordering::Relaxed);
    let allowance = allowance();
    LIMIT.store(allowance.max(live().saturating_add(allowance / 4)), Ordering::Relaxed);
}

/// Whether the limit has been passed; the interpreter asks at every operation.
pub fn beyond() -> Option<Beyond> {
    if let Some(beyond) = refused() {
        return Some(beyond);
    }
    let limit = LIMIT.load(Ordering::Relaxed);
    if live() > limit {
        return Some(Beyond::Values { limit: limit as u64 });
    }
    let now = coarse_milliseconds();
    if now.saturating_sub(LOOKED.load(Ordering::Relaxed)) < PERIOD {
        return None;
    }
    LOOKED.store(now, Ordering::Relaxed);
    budget::left().filter(|left| *left < RESERVE).map(|left| Beyond::System { left })
}

/// Ends the script at its next operation, for a call that [`room`] refused and whose errors are not heard.
pub fn refuse_later() {
    REFUSED.store(true, Ordering::Relaxed);
}

/// That there was such a call.
pub fn refused() -> Option<Beyond> {
    REFUSED.load(Ordering::Relaxed).then(|| Beyond::Values { limit: LIMIT.load(Ordering::Relaxed) as u64 })
}

/// A clock that costs next to nothing to read; it stands still where there is none.
fn coarse_milliseconds() -> u64 {
    #[cfg(target_os = "linux")]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is valid for the call, which fills the structure.
        if unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) } == 0 {
            return time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000;
        }
    }
    0
}

/// Asks for room before one call makes much of little.
///
/// # Errors
/// More than the limit leaves.
pub fn room(bytes: usize) -> Result<(), Beyond> {
    let limit = LIMIT.load(Ordering::Relaxed);
    let fits = isize::try_from(bytes).is_ok_and(|bytes| live().saturating_add(bytes) <= limit);
    if fits { Ok(()) } else { Err(Beyond::Values { limit: limit as u64 }) }
}

/// That a script takes more memory than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// Its values.
    Values {
        /// Bytes that they may take.
        limit: u64,
    },
    /// All of it, tensors and networks as well.
    System {
        /// Bytes that are left.
        left: u64,
    },
}

impl Beyond {
    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Beyond::Values { .. } => {
                "does a loop let a value grow without end? numbers by the million belong in tensors"
            }
            Beyond::System { .. } => "does a loop keep tensors or networks it needs no more? smaller batches take less",
        }
    }
}

impl std::fmt::Display for Beyond {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Beyond::Values { limit } => {
                write!(f, "the values of the script would take more than {} of memory", budget::size(*limit))
            }
            Beyond::System { left } => {
                write!(f, "only {} of memory are left, too little to go on", budget::size(*left))
            }
        }
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
