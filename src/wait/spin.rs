//! Adaptive spinning: an end watches for news, for as long as that lately paid, before it parks.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::WaiterKind;
use crate::sync::{self, spin_loop, thread_local, yield_now};

/// How long an end spins before it parks: as long as lately paid.
///
/// `level` is the binary logarithm of the time that a spin may take, in units of 125 ns. A spin that succeeds raises it to the top, one that fails lowers it
/// quickly to nothing. From there each `1 << patience`-th wait tries again for as long as a park costs, since that long a parked
/// peer takes to wake up; these trials become ever rarer while they fail.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveSpin {
    level: u8,
    patience: u8,
    skipped: u16,
    /// The last park was a short one: the peer is lively, and may be spinning by now.
    is_lively: bool,
}

impl AdaptiveSpin {
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

    /// The state in one word, for an atomic that several parties share.
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

    /// Watches until `has_changed`, for as long as that lately paid. Tells whether it did.
    #[inline]
    pub(crate) fn run(&mut self, kind: WaiterKind, has_changed: &mut dyn FnMut() -> bool) -> bool {
        if let Some(picked) = sync::pick(4) {
            return picked == 0 && Self::yield_now(has_changed);
        }
        let level = match (kind, self.level) {
            _ if cfg!(handover_loom) => return false, // A model gains nothing from spinning, and loses many states.
            (_, 0) if self.is_time_for_a_trial() => Self::TOP,
            (_, 0) if self.is_lively => Self::BRIEFLY,
            (_, 0) => return false,
            (WaiterKind::Thread | WaiterKind::Selecting, level) => level,
            (WaiterKind::Task, level) => level.min(Self::TOP_IN_POLL),
        };
        if has_other_cores() && Self::spin(level, has_changed) {
            (self.level, self.patience) = (Self::TOP, Self::PATIENCE);
            return true;
        }
        self.level = self.level.saturating_sub(3);
        if kind != WaiterKind::Task && Self::yield_now(has_changed) {
            // The peer wanted a core rather than time: yield again, but do not spin for long.
            self.level = Self::BRIEFLY;
            return true;
        }
        false
    }

    /// Learns from a park.
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

    /// Looks again and again, with a pause between: each look takes the cache line from a peer that may be about to write it.
    /// (With 10 ns between two looks a hand-over between two threads took 320 ns, with 70 ns 215 ns, with 180 ns 290 ns.)
    fn spin(level: u8, has_changed: &mut dyn FnMut() -> bool) -> bool {
        let budget = Self::UNIT * (1 << level);
        let mut start = None;
        loop {
            for _ in 0..Self::LOOKS {
                if has_changed() {
                    return true;
                }
                pause();
            }
            if start.get_or_insert_with(Instant::now).elapsed() >= budget {
                return false;
            }
        }
    }

    /// Lets other threads run: on one core, the peer.
    fn yield_now(has_changed: &mut dyn FnMut() -> bool) -> bool {
        (0..Self::YIELDS).any(|_| {
            yield_now();
            has_changed()
        })
    }
}

/// Pauses for about 70 ns: a pause instruction takes 4 ns on one processor and 45 ns on another.
fn pause() {
    static PAUSES: AtomicU32 = AtomicU32::new(0);
    // Ordering: Relaxed, here and below, as each thread may measure for itself.
    let mut pauses = PAUSES.load(Relaxed);
    if pauses == 0 {
        pauses = measure_pauses();
        PAUSES.store(pauses, Relaxed);
    }
    (0..pauses).for_each(|_| spin_loop());
}

#[cold]
fn measure_pauses() -> u32 {
    const SAMPLE: u32 = 16;
    let sample = || {
        let start = Instant::now();
        (0..SAMPLE).for_each(|_| spin_loop());
        start.elapsed()
    };
    let took = (0..5).map(|_| sample()).min().unwrap_or_default();
    (70 * SAMPLE).checked_div(took.as_nanos() as u32).unwrap_or(1).clamp(1, 35)
}

/// Whether a peer can run while this thread spins.
fn has_other_cores() -> bool {
    static CORES: AtomicU32 = AtomicU32::new(0);
    let mut cores = CORES.load(Relaxed);
    if cores == 0 {
        cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        CORES.store(cores, Relaxed);
    }
    cores > 1
}

/// A number that no other running thread has, and that is not 0.
#[inline]
pub(crate) fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.try_with(|here| std::ptr::from_ref(here).addr()).unwrap_or(0)
}
