//! What a party that spins watches, instead of taking the lock: a number that changes when there is news.

use crate::sync::AtomicU16;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A number for each of the first entries of a queue, which its party watches while it spins; the entries behind share the last one.
#[derive(Debug)]
pub(super) struct Signals {
    numbers: [AtomicU16; Signals::EXACT as usize + 1],
    /// Whether the last party with a new entry found its own waker there. A hint.
    keeps_wakers: AtomicBool,
}

/// What a party has seen of its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    index: u32,
    seen: u16,
}

impl Signals {
    /// How many entries have a number of their own.
    const EXACT: u32 = 7;

    pub(super) fn new() -> Self {
        let numbers = std::array::from_fn(|_| AtomicU16::new(0));
        Self { numbers, keeps_wakers: AtomicBool::new(false) }
    }

    #[inline]
    fn number(&self, index: u32) -> &AtomicU16 {
        &self.numbers[index.min(Self::EXACT) as usize]
    }

    /// Whether the next new entry is likely to have its party's waker already.
    #[inline]
    pub(super) fn keeps_wakers(&self) -> bool {
        // Ordering: Relaxed, here and below, as a wrong hint only costs time.
        self.keeps_wakers.load(Relaxed)
    }

    #[inline]
    pub(super) fn set_keeps_wakers(&self, keeps: bool) {
        if self.keeps_wakers() != keeps {
            self.keeps_wakers.store(keeps, Relaxed);
        }
    }

    /// The number as it is now.
    #[inline]
    pub(super) fn version(&self, index: u32) -> Version {
        Version { index, seen: self.number(index).load(Relaxed) }
    }

    /// Sees a shared number as it is now. A number of one's own tells what it tells only once, and is left.
    #[inline]
    pub(super) fn refresh(&self, version: &mut Version) {
        if version.index >= Self::EXACT {
            *version = self.version(version.index);
        }
    }

    /// Starts an offer. Called under the lock.
    #[inline]
    pub(super) fn start(&self, index: u32, serial: u64) -> Version {
        if index >= Self::EXACT {
            return self.version(index);
        }
        let seen = Self::started(serial);
        // Ordering: Release, since the number may tell the sender of an offer before that it was taken; see `is_taken`.
        self.number(index).store(seen, Release);
        Version { index, seen }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // A number that differs from the last ones is enough.
    const fn started(serial: u64) -> u16 {
        (serial as u16) << 2
    }

    /// Tells the sender of an offer that it was taken. Called under the lock.
    #[inline]
    pub(super) fn set_taken(&self, index: u32, serial: u64) {
        if index >= Self::EXACT {
            self.notify(index);
        } else {
            // Ordering: Release, since the sender goes on without the lock when it sees this.
            self.number(index).store(Self::started(serial) + 1, Release);
        }
    }

    /// Whether this offer was surely taken.
    ///
    /// The entry is its sender's until then, and nothing but the end of the channel changes its number meanwhile: once, by 2. Any other number
    /// comes from the taker or, later still, from another party in this entry.
    #[inline]
    pub(super) fn is_taken(&self, version: Version) -> bool {
        let is_other = |number: u16| number.wrapping_sub(version.seen) & !2 != 0;
        version.index < Self::EXACT && is_other(self.number(version.index).load(Acquire))
    }

    /// Whether there may be something new.
    #[inline]
    pub(super) fn has_changed(&self, version: Version) -> bool {
        self.number(version.index).load(Relaxed) != version.seen
    }

    /// Tells the party that there may be something new.
    #[inline]
    pub(super) fn notify(&self, index: u32) {
        if !cfg!(handover_loom) {
            // Adds 2, so the result never equals the "taken" value.
            self.number(index).fetch_add(2, Relaxed);
        }
    }
}

#[cfg(all(test, not(any(handover_loom, handover_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_taken_when_its_taker_or_a_later_party_has_written() {
        let signals = Signals::new();
        let version = signals.start(3, 10);
        assert!(!signals.is_taken(version));
        signals.notify(3); // the end of the channel
        assert!(!signals.is_taken(version), "it was not taken before the end");
        let version = signals.start(3, 11);
        signals.set_taken(3, 11);
        assert!(signals.is_taken(version));
        let later = signals.start(3, 12);
        assert!(signals.is_taken(version) && !signals.is_taken(later));
        signals.notify(3);
        assert!(signals.is_taken(version) && !signals.is_taken(later));
    }

    #[test]
    fn behind_the_first_entries_nothing_is_sure() {
        let signals = Signals::new();
        let version = signals.start(Signals::EXACT, 1);
        signals.set_taken(Signals::EXACT, 1);
        assert!(signals.has_changed(version) && !signals.is_taken(version));
    }
}
