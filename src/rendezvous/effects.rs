//! What a change of the state entails for others, and is done when the lock is free again.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

use crate::sync::AtomicU16;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A word for each of the first entries of a line, which its party watches while it lingers; those behind share the last.
#[derive(Debug)]
pub(super) struct Words([AtomicU16; Words::EXACT as usize + 1]);

/// What a party has seen of its word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    index: u32,
    seen: u16,
}

impl Words {
    /// How many entries have a word of their own.
    const EXACT: u32 = 7;

    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU16::new(0)))
    }

    #[inline]
    fn word(&self, index: u32) -> &AtomicU16 {
        &self.0[index.min(Self::EXACT) as usize]
    }

    /// What there is to see now.
    #[inline]
    pub(super) fn mark(&self, index: u32) -> Mark {
        Mark { index, seen: self.word(index).load(Relaxed) }
    }

    /// What there is to see now in a word that is shared; what a word of one's own tells, it tells once.
    #[inline]
    pub(super) fn refresh(&self, mark: &mut Mark) {
        if mark.index >= Self::EXACT {
            *mark = self.mark(mark.index);
        }
    }

    /// Begins an offer: under the lock.
    #[inline]
    pub(super) fn begin(&self, index: u32, serial: u64) -> Mark {
        if index >= Self::EXACT {
            return self.mark(index);
        }
        let seen = Self::begun(serial);
        self.word(index).store(seen, Relaxed);
        Mark { index, seen }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // a number that differs from the last ones is enough
    const fn begun(serial: u64) -> u16 {
        (serial as u16) << 2
    }

    /// Tells the offer's sender that it was taken: under the lock.
    #[inline]
    fn tell_taken(&self, index: u32, serial: u64) {
        if index >= Self::EXACT {
            self.stir(index);
        } else {
            // Ordering: Release, since the sender goes on without the lock when it sees this.
            self.word(index).store(Self::begun(serial) + 1, Release);
        }
    }

    /// Whether this offer was surely taken.
    ///
    /// Nobody but its taker writes that to the word of an entry, and the entry is its sender's until then.
    #[inline]
    pub(super) fn is_taken(&self, mark: Mark) -> bool {
        mark.index < Self::EXACT && self.word(mark.index).load(Acquire) == mark.seen + 1
    }

    /// Whether there may be something new.
    #[inline]
    pub(super) fn is_stirred(&self, mark: Mark) -> bool {
        self.word(mark.index).load(Relaxed) != mark.seen
    }

    /// Lets the party look again.
    #[inline]
    fn stir(&self, index: u32) {
        if !cfg!(handover_loom) {
            // By 2: never what `tell_taken` says.
            self.word(index).fetch_add(2, Relaxed);
        }
    }
}

/// Whom to wake, and what to drop.
#[must_use = "somebody must be woken"]
#[derive(Debug)]
pub(super) struct Effects<'a> {
    offers: &'a Words,
    takers: &'a Words,
    wake: Option<Waker>,
    /// A meeting wakes two at the most: the task that is called, and a thread.
    also: Option<Waker>,
    more: Vec<Waker>,
    drop: Option<Waker>,
    stir: Option<u32>,
}

impl<'a> Effects<'a> {
    #[inline]
    pub(super) fn new(offers: &'a Words, takers: &'a Words) -> Self {
        Self { offers, takers, wake: None, also: None, more: Vec::new(), drop: None, stir: None }
    }

    #[inline]
    pub(super) fn wake(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            if self.wake.is_none() {
                self.wake = Some(waker);
            } else if self.also.is_none() {
                self.also = Some(waker);
            } else {
                self.more.push(waker);
            }
        }
    }

    #[inline]
    pub(super) fn drop_waker(&mut self, waker: Option<Waker>) {
        debug_assert!(self.drop.is_none() || waker.is_none(), "one look replaces one waker");
        if waker.is_some() {
            self.drop = waker;
        }
    }

    #[inline]
    pub(super) fn tell_taken(&self, index: u32, serial: u64) {
        self.offers.tell_taken(index, serial);
    }

    pub(super) fn stir_offer(&self, index: u32) {
        self.offers.stir(index);
    }

    /// Lets a receiver that lingers look again, once the lock is free: it would only wait for that.
    #[inline]
    pub(super) fn stir_taker(&mut self, index: u32) {
        if let Some(index) = self.stir.replace(index) {
            self.takers.stir(index);
        }
    }

    /// Does it all. A waker that panics keeps nobody else asleep.
    #[inline]
    pub(super) fn run(mut self) {
        if let Some(index) = self.stir.take() {
            self.takers.stir(index);
        }
        if self.also.is_some() {
            self.wake_all();
            return;
        }
        let (wake, outdated) = (self.wake.take(), self.drop.take());
        // Nothing is left in it: that spares a look at each field.
        mem::forget(self);
        if let Some(waker) = wake {
            waker.wake();
        }
        drop(outdated);
    }

    /// Does it all for a party that has a value in hand: a panic of a waker must not lose that, and ends here.
    #[inline]
    pub(super) fn run_quietly(self) {
        if self.wake.is_some() || self.drop.is_some() {
            drop(catch_unwind(AssertUnwindSafe(|| self.run())));
        } else {
            self.run();
        }
    }

    #[cold]
    fn wake_all(&mut self) {
        let mut panic = None;
        let two = self.wake.take().into_iter().chain(self.also.take());
        for waker in two.chain(mem::take(&mut self.more)) {
            if let Err(this) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                panic = Some(this);
            }
        }
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}
