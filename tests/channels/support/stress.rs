//! Random choices, bounded in count and time.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::progress;

/// Random numbers for a test that is bounded in time. The test prints their seed, and `HANDOVER_SEED` repeats it; with `HANDOVER_SECONDS` it takes so long.
pub(crate) struct Stress {
    state: u64,
    until: Instant,
    has_begun: Cell<bool>,
}

impl Stress {
    // The harness captures this line, and shows it when the test fails.
    #[allow(clippy::print_stdout)]
    pub(crate) fn new(test: &str, limit: Duration) -> Self {
        let seed = std::env::var("HANDOVER_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| RandomState::new().hash_one(test));
        println!("{test}: HANDOVER_SEED={seed}");
        Self { state: seed, until: Instant::now() + time(limit), has_begun: Cell::new(false) }
    }

    /// Whether there is time for one more round. There always is for the first one, however busy the machine.
    pub(crate) fn goes_on(&self) -> bool {
        progress();
        !self.has_begun.replace(true) || Instant::now() < self.until
    }

    /// Another one, with a seed that follows from this one's.
    pub(crate) fn fork(&mut self) -> Self {
        Self { state: self.below(u64::MAX), until: self.until, has_begun: Cell::new(false) }
    }

    /// Another one, with a time of its own.
    pub(crate) fn fork_for(&mut self, limit: Duration) -> Self {
        Self { until: Instant::now() + time(limit), ..self.fork() }
    }

    /// The next number below `bound` (splitmix64).
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }
}

/// The time for a test that would like to have `limit`: a quarter of it, so that all of them together do not take minutes, or what `HANDOVER_SECONDS` says.
fn time(limit: Duration) -> Duration {
    let seconds = std::env::var("HANDOVER_SECONDS").ok();
    seconds.and_then(|seconds| seconds.parse().ok()).map_or(limit / 4, Duration::from_secs)
}

/// The rounds of a test that would like to have `limit`: a quarter of them, or with `HANDOVER_SECONDS` twice as many.
pub(crate) fn rounds(limit: u64) -> u64 {
    if std::env::var_os("HANDOVER_SECONDS").is_some() { 2 * limit } else { limit / 4 }
}

/// Keeps a thread busy for about as long as a hand-over takes, to shift two threads against each other.
pub(crate) fn dither(turns: u64) {
    for _ in 0..turns {
        std::hint::spin_loop();
    }
}

/// A wait that begins its timeout again at each wake-up does not end; one on a busy machine does, by then.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The items of a writer that would write for ever, were there no timeout.
pub(crate) fn endless() -> impl Iterator<Item = u64> {
    let start = Instant::now();
    (0..).inspect(move |_| {
        progress();
        assert!(start.elapsed() < PATIENCE, "the timeout begins again, or is not seen");
    })
}
