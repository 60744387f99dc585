//! Who waits, and how it looks. What the roles mean is told in `state`.

use std::task::Waker;

use super::effects::Effects;
use super::line::Ticket;
use crate::claim::{Held, Party, Share};
use crate::error::Why;
use crate::wait::Who;

pub(super) const VALUES: u8 = 0;
pub(super) const RESERVES: u8 = 1;
pub(super) const THREADS: u8 = 0;
pub(super) const TASKS: u8 = 1;

#[derive(Debug)]
pub(super) struct Offer<T> {
    pub(super) waker: Option<Waker>,
    pub(super) value: Option<T>,
    pub(super) granted: Option<Ticket>,
    /// What must be won before the value is taken.
    pub(super) held: Option<Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Idle,
    Called,
    Reserved,
    Filled,
}

#[derive(Debug)]
pub(super) struct Taker<T> {
    pub(super) waker: Option<Waker>,
    pub(super) role: Role,
    pub(super) who: Who,
    /// Whose offers are not for it.
    pub(super) party: Party,
    /// A thread that was told of offers for which only tasks may have been called.
    pub(super) told: bool,
    /// It watches its word.
    pub(super) lingers: bool,
    pub(super) value: Option<T>,
}

impl<T> Taker<T> {
    pub(super) fn list(&self) -> u8 {
        if self.who == Who::Task { TASKS } else { THREADS }
    }
}

/// How a party looks.
#[derive(Debug)]
pub(super) struct Glance<'w> {
    /// As in `Look`.
    pub(super) stays: Option<Who>,
    pub(super) enters: bool,
    /// Whether it leaves an offer to those who were called for it, a little longer.
    pub(super) is_patient: bool,
    pub(super) share: Option<Share<'w>>,
    pub(super) waker: Option<&'w Waker>,
    /// A clone of the waker, made before the lock was taken. Without one, a look may find that it needs one.
    pub(super) fresh: Option<Waker>,
}

impl<T> Offer<T> {
    pub(super) fn party(&self) -> Party {
        self.held.as_ref().map_or(Party::NONE, Held::party)
    }
}

impl Glance<'_> {
    pub(super) fn held(&self) -> Option<Held> {
        self.share.map(Share::held)
    }

    pub(super) fn party(&self) -> Party {
        self.share.map_or(Party::NONE, Share::party)
    }

    /// Nothing is there: sees to it that the waker is on `seat`, if it need not be cloned first.
    #[inline]
    pub(super) fn wait_on<R>(
        &mut self,
        seat: &mut Option<Waker>,
        fx: &mut Effects<'_>,
    ) -> Found<R> {
        let Some(waker) = self.waker else { return Found::Nothing };
        if seat.as_ref().is_some_and(|seated| seated.will_wake(waker)) {
            return Found::Nothing;
        }
        let Some(fresh) = self.fresh.take() else { return Found::NeedsWaker };
        fx.drop_waker(seat.replace(fresh));
        Found::Nothing
    }
}

/// What a look has found.
#[derive(Debug)]
pub(super) enum Found<R> {
    Done(R),
    Ended(Why),
    /// Nothing. Who stays has an entry now.
    Nothing,
    /// Nothing, and there must be a clone of the waker before the next look, which is due at once.
    NeedsWaker,
    /// Nothing, but there is somebody else's offer: one more look is due, soon.
    LookAgain,
}
