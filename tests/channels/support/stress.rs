//! Random choices, bounded in count and time.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// Bounded in count and time; says its seed, so that a failure can be looked at again with `HANDOVER_SEED`.
pub(crate) struct Stress {
    state: u64,
    until: Instant,
}

impl Stress {
    // Captured, and shown when the test fails.
    #[allow(clippy::print_stdout)]
    pub(crate) fn new(test: &str, limit: Duration) -> Self {
        let seed = std::env::var("HANDOVER_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| RandomState::new().hash_one(test));
        println!("{test}: HANDOVER_SEED={seed}");
        Self { state: seed, until: Instant::now() + limit }
    }

    /// Whether there is time for one more round.
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// There is time for so long from now, at the most.
    pub(crate) fn until_in(&mut self, limit: Duration) {
        self.until = self.until.min(Instant::now() + limit);
    }

    /// Another one, with a seed that follows from this one's.
    pub(crate) fn fork(&mut self) -> Self {
        Self { state: self.below(u64::MAX), until: self.until }
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

/// Keeps a thread busy for about as long as a hand-over takes, to shift two threads against each other.
pub(crate) fn dither(turns: u64) {
    for _ in 0..turns {
        std::hint::spin_loop();
    }
}
