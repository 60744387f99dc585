//! The slots whose servers are driven by this thread just now: a generator's routine is polled by the thread that asks.
//!
//! A server that blocks its driver could never go on.

use std::cell::RefCell;

use crate::sync;

sync::thread_local! {
    static DRIVEN: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, this thread drives the server of a slot.
pub(crate) struct Driving(());

/// This thread begins to drive the server of a slot.
#[inline]
pub(crate) fn enter(slot: usize) -> Driving {
    _ = DRIVEN.try_with(|driven| driven.borrow_mut().push(slot));
    Driving(())
}

impl Drop for Driving {
    #[inline]
    fn drop(&mut self) {
        _ = DRIVEN.try_with(|driven| driven.borrow_mut().pop());
    }
}

/// Whether this thread drives the server of that slot.
pub(super) fn is_driven(slot: usize) -> bool {
    DRIVEN.try_with(|driven| driven.borrow().contains(&slot)).unwrap_or(false)
}
