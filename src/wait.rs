//! How a party waits: whether it first lingers (spins, yields), and how a thread parks.
//!
//! A task leaves its waker. A thread does the same: its waker notifies the condvar on which the thread then parks, so that
//! channels know only wakers, and any two kinds of party can meet.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use crate::sync::{self, Condvar, Mutex};

/// What a thread parks on. Each blocked thread has one of its own.
#[derive(Debug)]
pub(crate) struct Parker {
    woken: Mutex<bool>,
    condvar: Condvar,
}

impl Parker {
    fn new() -> Arc<Self> {
        Arc::new(Self { woken: Mutex::new(false), condvar: Condvar::new() })
    }

    /// Blocks until the waker was woken since the last call, or until `deadline`: then `false`.
    pub(crate) fn park(&self, deadline: Option<Instant>) -> bool {
        let mut woken = self.woken.lock();
        while !*woken {
            woken = sync::wait_until(&self.condvar, &self.woken, woken, deadline);
            if !*woken && deadline.is_some_and(sync::is_past) {
                return false;
            }
        }
        *woken = false;
        true
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken.lock() = true;
        self.condvar.notify_one();
    }
}

/// Calls `f` with this thread's parker and its waker.
///
/// A thread keeps one for all its waits, so that channels see the same waker again. A wait inside a wait (an iterator
/// that blocks, run by a blocked write) gets another one: it must not use up the outer wait's wake-up.
pub(crate) fn with_parker<R>(f: impl FnOnce(&Parker, &Waker) -> R) -> R {
    let fresh = || {
        let parker = Parker::new();
        let waker = Waker::from(Arc::clone(&parker));
        (parker, waker)
    };
    #[cfg(not(handover_loom))]
    {
        use std::cell::RefCell;
        thread_local! {
            static CACHED: RefCell<Option<(Arc<Parker>, Waker)>> = const { RefCell::new(None) };
        }
        // Taken out for the wait, so that an inner one (or one in a thread's last destructors) finds nothing and makes its own.
        let cached = CACHED.try_with(|cached| cached.try_borrow_mut().ok()?.take()).ok().flatten();
        let (parker, waker) = cached.unwrap_or_else(fresh);
        let result = f(&parker, &waker);
        let spare = CACHED.try_with(|cached| cached.replace(Some((parker, waker))));
        drop(spare);
        result
    }
    #[cfg(handover_loom)]
    {
        let (parker, waker) = fresh();
        f(&parker, &waker)
    }
}

/// Who lingers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// A thread that may park, and so may spin for as long as that costs.
    Thread,
    /// A thread that may go away, with another arm of its `select`.
    Chooser,
    /// A task in a poll, which keeps others from running while it looks again.
    Task,
}

/// How long an end lingers before it parks: as long as lately paid.
///
/// `level` doubles what it may cost. A wait that ended while it lingered raises it to the top, one that did not lowers it
/// quickly to nothing. From there each `1 << patience`-th wait tries again for as long as a park costs, since that long a parked
/// peer takes to wake up; ever more rarely while that fails.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    level: u8,
    patience: u8,
    skipped: u16,
    /// The last park was a short one: the peer is lively, and may be spinning by now.
    is_lively: bool,
}

impl Pace {
    const UNIT: Duration = Duration::from_nanos(125);
    /// 64 µs: about what parking and unparking cost.
    const TOP: u8 = 9;
    /// 8 µs: what a poll may cost the other tasks of its executor.
    const TOP_IN_POLL: u8 = 6;
    const PATIENCE: u8 = 2;
    const MOST_PATIENT: u8 = 7;
    /// 1 µs: enough for a peer that is waiting for this end already.
    const BRIEFLY: u8 = 3;
    /// Looks before the clock is read, and between its readings.
    const LOOKS: u32 = 16;
    const YIELDS: u32 = 4;

    pub(crate) const fn new() -> Self {
        Self { level: Self::BRIEFLY, patience: Self::PATIENCE, skipped: 0, is_lively: false }
    }

    /// In one word, for an atomic that several parties share.
    #[inline]
    pub(crate) const fn to_bits(self) -> u32 {
        let [low, high] = self.skipped.to_le_bytes();
        u32::from_le_bytes([self.level, self.patience, low, high])
    }

    #[inline]
    pub(crate) const fn from_bits(bits: u32) -> Self {
        let [level, patience, low, high] = bits.to_le_bytes();
        Self { level, patience, skipped: u16::from_le_bytes([low, high]), is_lively: false }
    }

    /// Watches until `stirred`, for as long as that lately paid. Tells whether it did.
    #[inline]
    pub(crate) fn linger(&mut self, who: Who, stirred: impl Fn() -> bool) -> bool {
        let level = match (who, self.level) {
            _ if cfg!(handover_loom) => return false,
            (_, 0) if self.is_time_for_a_trial() => Self::TOP,
            (_, 0) if self.is_lively => Self::BRIEFLY,
            (_, 0) => return false,
            (Who::Thread | Who::Chooser, level) => level,
            (Who::Task, level) => level.min(Self::TOP_IN_POLL),
        };
        if sync::has_other_cores() && Self::spin(level, &stirred) {
            (self.level, self.patience) = (Self::TOP, Self::PATIENCE);
            return true;
        }
        self.level = self.level.saturating_sub(3);
        if who != Who::Task && Self::give_way(&stirred) {
            // The peer wanted a core rather than time: give way again, but do not spin for long.
            self.level = Self::BRIEFLY;
            return true;
        }
        false
    }

    /// After a park.
    pub(crate) fn parked_since(&mut self, start: Instant) {
        self.is_lively = start.elapsed() < Self::UNIT * (2 << Self::TOP);
    }

    fn is_time_for_a_trial(&mut self) -> bool {
        self.skipped += 1;
        if self.skipped >> self.patience == 0 {
            return false;
        }
        self.skipped = 0;
        self.patience = (self.patience + 1).min(Self::MOST_PATIENT);
        true
    }

    /// Looks again and again, with a breath between: each look takes the cache line from a peer that may be about to write it.
    /// (With 10 ns between two looks a hand-over between two threads took 320 ns, with 70 ns 215 ns, with 180 ns 290 ns.)
    fn spin(level: u8, stirred: impl Fn() -> bool) -> bool {
        let budget = Self::UNIT * (1 << level);
        let mut start = None;
        loop {
            for _ in 0..Self::LOOKS {
                if stirred() {
                    return true;
                }
                sync::breathe();
            }
            if start.get_or_insert_with(Instant::now).elapsed() >= budget {
                return false;
            }
        }
    }

    /// Lets other threads run: on one core, the peer.
    fn give_way(stirred: impl Fn() -> bool) -> bool {
        (0..Self::YIELDS).any(|_| {
            sync::yield_now();
            stirred()
        })
    }
}
