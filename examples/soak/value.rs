//! Values that are counted, and whose destructor may panic.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

/// What a panic that was planned carries.
pub(crate) struct Planned;

/// Panics without a message, unless the thread is unwinding already.
pub(crate) fn panic_as_planned() {
    if !thread::panicking() {
        resume_unwind(Box::new(Planned));
    }
}

/// A value on the heap, in a cell: a hand-over without order is a race for a sanitizer to see.
pub(crate) struct Value {
    number: Box<Cell<u64>>,
    living: &'static AtomicI64,
    /// Its destructor panics.
    is_bomb: bool,
}

impl Value {
    pub(crate) fn new(number: u64, living: &'static AtomicI64, is_bomb: bool) -> Self {
        living.fetch_add(1, Relaxed);
        Self { number: Box::new(Cell::new(number)), living, is_bomb }
    }

    /// Reads it and writes to it.
    pub(crate) fn number(mut self) -> u64 {
        self.is_bomb = false;
        self.number.replace(u64::MAX)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.number.set(u64::MAX);
        self.living.fetch_sub(1, Relaxed);
        if self.is_bomb {
            panic_as_planned();
        }
    }
}
