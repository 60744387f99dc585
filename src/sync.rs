//! The only file that names the source of a lock, an atomic or a cell.
//!
//! There are three sets of the same names:
//!
//! | set               | for                                              | a timed wait                                                     | `pick`         |
//! |-------------------|--------------------------------------------------|------------------------------------------------------------------|----------------|
//! | parking_lot, std  | use                                              | by the system's clock                                            | nothing        |
//! | loom              | models of the races (`--cfg handover_loom`)      | may be over at once: both outcomes are explored                  | nothing        |
//! | shuttle           | schedules of many parties (`--cfg handover_shuttle`) | by a clock of the schedule, which goes on as shuttle picks   | shuttle's pick |

#[cfg(not(any(handover_loom, handover_shuttle)))]
mod real {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicU16, AtomicU32};
    pub(crate) use std::thread::yield_now;
    pub(crate) use std::thread_local;
    use std::time::Instant;

    pub(crate) use super::unscheduled::{may_pass, now, pick};
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
    pub(crate) use std::thread_local;
    use std::time::Instant;

    pub(crate) use super::unscheduled::{may_pass, now, pick};
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

#[cfg(handover_shuttle)]
mod real {
    pub(crate) use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::sync::{LazyLock, PoisonError};
    use std::time::{Duration, Instant};

    pub(crate) use shuttle::hint::spin_loop;
    use shuttle::rand::{Rng, thread_rng};
    pub(crate) use shuttle::sync::atomic::{AtomicU16, AtomicU32};
    pub(crate) use shuttle::sync::{Condvar, MutexGuard};
    pub(crate) use shuttle::thread::yield_now;
    pub(crate) use shuttle::thread_local;

    /// An `UnsafeCell` with loom's interface.
    #[derive(Debug, Default)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }

    /// shuttle's mutex with parking_lot's interface. A panic does not poison it.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Waits for a notification; with a deadline it lets the others run, and may be over without one.
    pub(crate) fn wait_until<'a, T>(
        condvar: &Condvar,
        mutex: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, T> {
        if deadline.is_none() {
            return condvar.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        drop(guard);
        yield_now();
        mutex.lock()
    }

    /// Shuttle's choice of a number below `bound`.
    pub(crate) fn pick(bound: usize) -> Option<usize> {
        Some(thread_rng().gen_range(0..bound))
    }

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    shuttle::lazy_static! {
        /// How many nanoseconds after `START` it is, in this schedule.
        static ref CLOCK: AtomicU64 = AtomicU64::new(0);
    }

    /// The time: a little later at each call.
    pub(crate) fn now() -> Instant {
        *START + Duration::from_nanos(CLOCK.fetch_add(1, Relaxed))
    }

    /// A party asks whether `deadline` is past: one time in eight the clock goes on to it.
    pub(crate) fn may_pass(deadline: Instant) {
        if pick(8) == Some(0) {
            let passed = deadline.saturating_duration_since(*START).as_nanos();
            CLOCK.fetch_max(u64::try_from(passed).unwrap_or(u64::MAX >> 1), Relaxed);
        }
    }
}

/// What the sets without a scheduler of their own have in common.
#[cfg(not(handover_shuttle))]
mod unscheduled {
    use std::time::Instant;

    /// What a scheduler picks, as a number below `bound`: nothing picks.
    #[inline(always)]
    pub(crate) const fn pick(_: usize) -> Option<usize> {
        None
    }

    /// The time.
    #[inline(always)]
    pub(crate) fn now() -> Instant {
        Instant::now()
    }

    /// A party asks whether `deadline` is past: the clock goes on by itself.
    #[inline(always)]
    pub(crate) const fn may_pass(_: Instant) {}
}

pub(crate) use real::*;
