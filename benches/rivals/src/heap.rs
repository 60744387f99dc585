//! An allocator that counts while it is switched on. While it is off, timed work pays one relaxed load for it.
#![allow(unsafe_code)] // `GlobalAlloc` is an unsafe trait

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicI64 = AtomicI64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static HEAP: Counting = Counting;

// SAFETY: each call goes to `System` unchanged, and counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ON.load(Relaxed) {
            BYTES.fetch_add(layout.size() as i64, Relaxed);
            CALLS.fetch_add(1, Relaxed);
        }
        // SAFETY: the caller upholds the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if ON.load(Relaxed) {
            BYTES.fetch_sub(layout.size() as i64, Relaxed);
        }
        // SAFETY: the caller upholds the contract of `GlobalAlloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The growth of the heap, and the number of allocations.
#[derive(Clone, Copy)]
pub(crate) struct Heap {
    pub(crate) bytes: i64,
    pub(crate) calls: u64,
}

/// Counts the allocations of `f` on all threads. The result of `f` is dropped only after counting.
pub(crate) fn counted<R>(f: impl FnOnce() -> R) -> Heap {
    BYTES.store(0, Relaxed);
    CALLS.store(0, Relaxed);
    ON.store(true, Relaxed);
    let result = f();
    ON.store(false, Relaxed);
    drop(result);
    Heap { bytes: BYTES.load(Relaxed), calls: CALLS.load(Relaxed) }
}
