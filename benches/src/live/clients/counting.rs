//! Counts allocations and what is held of them, over all threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// The system's allocator, which counts once it was told to.
#[derive(Debug)]
pub struct Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);
/// May fall below zero by what was there before.
static LIVE: AtomicI64 = AtomicI64::new(0);

impl Counting {
    /// Begins to count. It costs time, so who takes time does not.
    pub(super) fn begin() {
        IS_COUNTING.store(true, Ordering::Relaxed);
    }

    /// How many allocations there were since [`begin`](Self::begin), growing ones among them.
    pub(super) fn count() -> u64 {
        COUNT.load(Ordering::Relaxed)
    }

    /// How many bytes are held of what was allocated since then.
    pub(super) fn live() -> u64 {
        u64::try_from(LIVE.load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn note(allocations: u64, new: usize, old: usize) {
        if IS_COUNTING.load(Ordering::Relaxed) {
            COUNT.fetch_add(allocations, Ordering::Relaxed);
            let signed = |size| i64::try_from(size).unwrap_or(i64::MAX);
            LIVE.fetch_add(signed(new) - signed(old), Ordering::Relaxed);
        }
    }
}

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note(1, layout.size(), 0);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::note(1, layout.size(), 0);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        Self::note(0, 0, layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::note(1, size, layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(memory, layout, size) }
    }
}
