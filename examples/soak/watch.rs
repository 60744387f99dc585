//! What is counted while a soak runs, and how a hang is noticed.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

/// What parties have done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) operations: u64,
    /// Operations that were pending and then given up.
    pub(crate) cancelled: u64,
    /// Those of them whose peer ran on another thread.
    pub(crate) across: u64,
}

impl Counts {
    pub(crate) const fn add(&mut self, more: Self) {
        self.operations += more.operations;
        self.cancelled += more.cancelled;
        self.across += more.across;
    }
}

/// Where one party of a round tells what it does.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    steps: AtomicU64,
    doing: Mutex<&'static str>,
}

impl Seat {
    pub(crate) fn begin(&self, doing: &'static str) {
        self.steps.store(self.steps.load(Relaxed).wrapping_add(1), Relaxed);
        *self.doing.lock() = doing;
    }

    /// Nobody sits here any more.
    pub(crate) fn leave(&self) {
        *self.doing.lock() = "";
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Relaxed)
    }

    pub(crate) fn doing(&self) -> &'static str {
        *self.doing.lock()
    }
}

/// Notices that a lane makes no step for long. Ticks are counted, and not read from a clock: a tick comes only when this process runs, so a busy machine is no hang.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    seen: u64,
    idle_ticks: u64,
}

impl Patience {
    /// `true` when the steps have not changed for so many ticks.
    pub(crate) const fn tick(&mut self, steps: u64, most: u64) -> bool {
        self.idle_ticks = if steps == self.seen { self.idle_ticks + 1 } else { 0 };
        self.seen = steps;
        self.idle_ticks >= most
    }
}
