//! An allocator that counts, but only when it is told to: timed work sees one relaxed load more.
#![allow(unsafe_code)] // `GlobalAlloc` is an unsafe trait

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicI64 = AtomicI64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static HEAP: Counting = Counting;

// SAFETY: each call is handed on to `System` unchanged; what is counted beside it does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ON.load(Relaxed) {
            BYTES.fetch_add(layout.size() as i64, Relaxed);
            CALLS.fetch_add(1, Relaxed);
        }
        // SAFETY: the caller keeps what `GlobalAlloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if ON.load(Relaxed) {
            BYTES.fetch_sub(layout.size() as i64, Relaxed);
        }
        // SAFETY: the caller keeps what `GlobalAlloc` asks for.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What was on the heap more than before, and how often something was allocated.
#[derive(Clone, Copy)]
pub(crate) struct Heap {
    pub(crate) bytes: i64,
    pub(crate) calls: u64,
}

/// Counts what `f` does on the heap, on any thread, before its result is dropped.
pub(crate) fn counted<R>(f: impl FnOnce() -> R) -> Heap {
    BYTES.store(0, Relaxed);
    CALLS.store(0, Relaxed);
    ON.store(true, Relaxed);
    let result = f();
    ON.store(false, Relaxed);
    drop(result);
    Heap { bytes: BYTES.load(Relaxed), calls: CALLS.load(Relaxed) }
}
