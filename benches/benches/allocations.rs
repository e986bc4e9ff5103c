//! Counts allocations. A program of its own, so that counting slows nobody down where time is taken.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use benches::{groups, report};

struct Counting;

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> std::io::Result<()> {
    // Any other word is for the bench that takes the time, such as the name of a group.
    if std::env::args().skip(1).any(|arg| arg != "--bench") {
        return Ok(());
    }
    let mut figures = Vec::new();
    for group in groups() {
        for case in group.cases {
            let mut work = (case.make)();
            work.prepare();
            let before = COUNT.get();
            work.run();
            figures.push((group.id, case.who, f64::from(COUNT.get() - before)));
        }
    }
    report::keep("allocations", &figures)
}
