//! One claim for all arms of a `select`: which of them happens is decided here.
//!
//! | state      | means                                                    | what may come next                                                |
//! |------------|----------------------------------------------------------|-------------------------------------------------------------------|
//! | `WAITING`  | the party waits; any of its offers may be taken          | its owner looks: `BUSY`; a taker takes an offer: won by that arm   |
//! | `BUSY`     | its owner looks through the arms, or has done one, or gave up | its owner has found nothing: `WAITING`; a taker passes over an offer: `ASKED` |
//! | `ASKED`    | as `BUSY`, and an offer was passed over and taken off its list | its owner has found nothing: `WAITING`, and it puts its offers back |
//! | won by `i` | that arm has happened, its owner does not know it yet    | nothing                                                           |
//!
//! Takers change it under the lock of the channel where the offer stands, and never wait for it. While a party looks it cannot be
//! won; so two that look at each other pass each other over, and ask each other to put the offers back.
//!
//! A party that only receives needs no claim: a value comes to it in a step of its own.

use crate::sync::{Arc, AtomicU32};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

const WAITING: u32 = 0;
const BUSY: u32 = 1;
const ASKED: u32 = 2;
/// And the arm.
const WON: u32 = 3;

/// What the arms of one `select` share.
#[derive(Debug)]
pub(crate) struct Claim(AtomicU32);

impl Claim {
    /// For a party that is looking.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(BUSY)))
    }

    /// Its owner begins to look, or learns which arm has happened.
    pub(crate) fn look(&self) -> Result<(), u32> {
        // Ordering: here and below AcqRel orders what the parties do by the claim; the offers themselves are under their channels' locks.
        match self.0.compare_exchange(WAITING, BUSY, AcqRel, Acquire) {
            // It was looking when a waker panicked.
            Ok(_) | Err(BUSY | ASKED) => Ok(()),
            Err(state) => Err(state.saturating_sub(WON)),
        }
    }

    /// Its owner has found nothing, and waits. Whether an offer was passed over meanwhile.
    pub(crate) fn wait(&self) -> bool {
        self.0.swap(WAITING, AcqRel) == ASKED
    }

    /// Whether an arm has happened.
    pub(crate) fn is_won(&self) -> bool {
        // Ordering: Relaxed, since whoever sees it looks again.
        self.0.load(Relaxed) >= WON
    }

    /// A taker would have an arm happen. Under the lock of the channel.
    fn win(&self, arm: u32) -> bool {
        // Ordering: Relaxed, since the exchange decides.
        let mut state = self.0.load(Relaxed);
        loop {
            let next = match state {
                WAITING => WON + arm,
                BUSY => ASKED,
                _ => return false,
            };
            match self.0.compare_exchange_weak(state, next, AcqRel, Relaxed) {
                Ok(_) => return next != ASKED,
                Err(now) => state = now,
            }
        }
    }
}

/// One arm's part in a claim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share<'c> {
    claim: &'c Arc<Claim>,
    arm: u32,
}

/// An arm that need not be won: its offers are taken while another arm may still happen.
const FREE: u32 = u32::MAX;

impl<'c> Share<'c> {
    pub(crate) fn new(claim: &'c Arc<Claim>, arm: u32) -> Self {
        Self { claim, arm }
    }

    /// For offers of which each is only a part of what the arm does.
    pub(crate) fn freed(self) -> Self {
        Self { arm: FREE, ..self }
    }

    /// Whose it is.
    pub(crate) fn party(self) -> Party {
        Party(Arc::as_ptr(self.claim).addr())
    }

    /// For an offer, which outlives a look.
    pub(crate) fn held(self) -> Held {
        Held { claim: Arc::clone(self.claim), arm: self.arm }
    }
}

/// A share that is kept with an offer.
#[derive(Debug)]
pub(crate) struct Held {
    claim: Arc<Claim>,
    arm: u32,
}

impl Held {
    /// Whether the offer may be taken: then its arm has happened. If not, its owner puts it back on its list, should it still wait.
    pub(crate) fn win(&self) -> bool {
        self.arm == FREE || self.claim.win(self.arm)
    }

    pub(crate) fn party(&self) -> Party {
        Party(Arc::as_ptr(&self.claim).addr())
    }
}

/// Who selects: one that must not meet itself. Those that do not select are all `NONE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Party(usize);

impl Party {
    pub(crate) const NONE: Self = Self(0);
}
