//! User code that panics where something of another party's is at stake: a waker's clone, wake or drop, a destructor, an iterator.
//!
//! | function      | the panic                                | used where                                                       |
//! |---------------|------------------------------------------|------------------------------------------------------------------|
//! | `swallow`     | ends here                                | the caller holds a value that an unwinding would destroy          |
//! | `FirstPanic`  | goes on when everything has had its turn | a loop over several parties, none of which may be left out        |
//!
//! The payload of a swallowed panic is dropped, and its destructor may panic, too: that panic's payload is leaked.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;
use std::thread;

/// Runs user code; a panic of it ends here.
pub(crate) fn swallow(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        discard(payload);
    }
}

#[cold]
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(another);
    }
}

/// The first panic of several pieces of user code, each of which is run.
#[derive(Debug, Default)]
#[must_use = "the panic must go on"]
pub(crate) struct FirstPanic(Option<Box<dyn Any + Send>>);

impl FirstPanic {
    /// Runs one piece of user code. `None`: it panicked.
    pub(crate) fn run<R>(&mut self, f: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(result) => Some(result),
            Err(payload) => {
                match self.0 {
                    None => self.0 = Some(payload),
                    Some(_) => discard(payload),
                }
                None
            }
        }
    }

    /// Runs the `wake` of a waker.
    #[inline]
    pub(crate) fn wake(&mut self, waker: Waker) {
        self.run(|| waker.wake());
    }

    /// Runs the destructor of a waker.
    #[inline]
    pub(crate) fn drop(&mut self, waker: Option<Waker>) {
        self.run(|| drop(waker));
    }

    /// Lets the panic go on, if there was one. A thread that unwinds already is left to that: a second panic would abort the process.
    pub(crate) fn resume(self) {
        match self.0 {
            Some(payload) if thread::panicking() => discard(payload),
            Some(payload) => resume_unwind(payload),
            None => {}
        }
    }

    /// Ends the panic here.
    pub(crate) fn swallow(self) {
        if let Some(payload) = self.0 {
            discard(payload);
        }
    }
}
