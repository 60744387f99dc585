//! What the rest builds on: the only file that names the source of a lock, an atomic or a cell.
//!
//! Two sets of the same names: parking_lot and std for use, loom for the models (`--cfg handover_loom`). loom's timed
//! wait never times out by itself, so the one here may always be over at once: a model then explores both outcomes.

#[cfg(not(handover_loom))]
mod real {
    pub(crate) use std::hint::spin_loop;
    use std::num::NonZero;
    pub(crate) use std::sync::Arc;
    use std::sync::OnceLock;
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

    /// Waits for a notification, until `deadline` where there is one. `_mutex` is the one that `guard` locks.
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

    /// Whether the time is up.
    pub(crate) fn is_past(deadline: Instant) -> bool {
        Instant::now() >= deadline
    }

    /// Pauses for about 70 ns: a pause instruction takes 4 ns on one processor and 45 ns on another.
    pub(crate) fn breathe() {
        static PAUSES: OnceLock<u32> = OnceLock::new();
        let pauses = *PAUSES.get_or_init(|| {
            const SAMPLE: u32 = 16;
            let sample = || {
                let start = Instant::now();
                (0..SAMPLE).for_each(|_| spin_loop());
                start.elapsed()
            };
            let took = (0..5).map(|_| sample()).min().unwrap_or_default();
            (70 * SAMPLE).checked_div(took.as_nanos() as u32).unwrap_or(1).clamp(1, 35)
        });
        (0..pauses).for_each(|_| spin_loop());
    }

    /// Whether a peer can run while this thread spins.
    pub(crate) fn has_other_cores() -> bool {
        static OTHER_CORES: OnceLock<bool> = OnceLock::new();
        *OTHER_CORES
            .get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get) > 1)
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

    /// In a model each deadline is past as soon as somebody asks; the waits before let the others run.
    pub(crate) fn is_past(_deadline: Instant) -> bool {
        true
    }

    /// Lets the others run.
    pub(crate) fn breathe() {
        spin_loop();
    }

    /// A model has nothing to gain from spinning, and many states to lose.
    pub(crate) fn has_other_cores() -> bool {
        false
    }
}

pub(crate) use real::*;

/// A number that no other running thread has, and that is not 0.
pub(crate) fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.try_with(|here| std::ptr::from_ref(here).addr()).unwrap_or(0)
}
