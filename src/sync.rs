//! The only file that names the source of a lock, an atomic or a cell.
//!
//! There are two sets of the same names: parking_lot and std for use, loom for the models (`--cfg handover_loom`). loom's timed
//! wait never times out by itself, so the one here may always be over at once: a model then explores both outcomes.

#[cfg(not(handover_loom))]
mod real {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicU16, AtomicU32};
    pub(crate) use std::thread::yield_now;
    use std::time::Instant;

    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

    /// An `UnsafeCell` with loom's interface.
    #[derive(Debug, Default)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }

    /// Waits for a notification, until `deadline` if there is one. `_mutex` is the one that `guard` locks.
    pub(crate) fn wait_until<'a, T>(
        condvar: &Condvar,
        _mutex: &'a Mutex<T>,
        mut guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, T> {
        match deadline {
            Some(deadline) => _ = condvar.wait_until(&mut guard, deadline),
            None => condvar.wait(&mut guard),
        }
        guard
    }
}

#[cfg(handover_loom)]
mod real {
    use std::time::Instant;

    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicU16, AtomicU32};
    pub(crate) use loom::sync::{Arc, Condvar, MutexGuard};
    pub(crate) use loom::thread::yield_now;

    /// loom's mutex with parking_lot's interface.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }

    /// Waits for a notification; with a deadline it lets the others run and is over.
    pub(crate) fn wait_until<'a, T>(
        condvar: &Condvar,
        mutex: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, T> {
        if deadline.is_none() {
            return condvar.wait(guard).unwrap();
        }
        drop(guard);
        yield_now();
        mutex.lock()
    }
}

pub(crate) use real::*;
