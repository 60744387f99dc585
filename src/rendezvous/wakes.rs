//! Which parties to wake after a change of the state, once the lock is free again.

use std::mem;
use std::task::Waker;

use super::signals::Signals;
use crate::panics::{self, FirstPanic};

/// What to do after unlocking: parties to wake, and wakers to drop. Both are user code.
#[must_use = "parties must be woken"]
#[derive(Debug)]
pub(super) struct WakeList<'a> {
    senders: &'a Signals,
    receivers: &'a Signals,
    first: Option<Waker>,
    /// A meeting wakes up to three: the task that is notified, a thread, and the sender.
    second: Option<Waker>,
    third: Option<Waker>,
    /// Any more: the parties that the end wakes.
    #[allow(
        clippy::box_collection,
        reason = "the list is moved at each attempt, and seldom has more"
    )]
    more: Option<Box<Vec<Waker>>>,
    /// There is more to do than to wake the first.
    has_more: bool,
    outdated: Option<Waker>,
    /// A receiver that spins, to be told once the lock is free: it would only wait for that.
    receiver: Option<u32>,
    /// A clone of the attempt's waker, made before the lock was taken.
    fresh: Option<Waker>,
}

impl<'a> WakeList<'a> {
    #[inline(always)]
    pub(super) const fn new(
        senders: &'a Signals,
        receivers: &'a Signals,
        fresh: Option<Waker>,
    ) -> Self {
        Self {
            senders,
            receivers,
            first: None,
            second: None,
            third: None,
            more: None,
            has_more: false,
            outdated: None,
            receiver: None,
            fresh,
        }
    }

    /// The clone of the attempt's waker, for an entry that is new.
    #[inline]
    pub(super) fn take_fresh(&mut self) -> Option<Waker> {
        self.fresh.take()
    }

    /// Sees to it that `waker` is stored. `false`: it must be cloned first.
    #[inline]
    pub(super) fn register(&mut self, stored: &mut Option<Waker>, waker: Option<&Waker>) -> bool {
        let Some(waker) = waker else { return true };
        if stored.as_ref().is_some_and(|stored| stored.will_wake(waker)) {
            return true;
        }
        let Some(fresh) = self.fresh.take() else { return false };
        let outdated = stored.replace(fresh);
        self.drop_later(outdated);
        true
    }

    #[inline]
    pub(super) fn wake(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else { return };
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.wake_another(waker);
        }
    }

    fn wake_another(&mut self, waker: Waker) {
        self.has_more = true;
        if self.second.is_none() {
            self.second = Some(waker);
        } else if self.third.is_none() {
            self.third = Some(waker);
        } else {
            self.more.get_or_insert_default().push(waker);
        }
    }

    #[inline]
    pub(super) fn drop_later(&mut self, waker: Option<Waker>) {
        debug_assert!(self.outdated.is_none() || waker.is_none(), "an attempt replaces one waker");
        if waker.is_some() {
            self.has_more = true;
            self.outdated = waker;
        }
    }

    /// Tells the sender of an offer that it was taken.
    #[inline]
    pub(super) fn set_taken(&self, index: u32, serial: u64) {
        self.senders.set_taken(index, serial);
    }

    pub(super) fn notify_sender(&self, index: u32) {
        self.senders.notify(index);
    }

    /// Lets a receiver that spins attempt again.
    #[inline]
    pub(super) fn notify_receiver(&mut self, index: u32) {
        if let Some(index) = self.receiver.replace(index) {
            self.receivers.notify(index);
        }
    }

    /// Wakes and drops. A waker that panics keeps no other party asleep.
    #[inline]
    pub(super) fn run(mut self) {
        if let Some(index) = self.receiver.take() {
            self.receivers.notify(index);
        }
        if self.has_more || self.fresh.is_some() {
            self.run_all();
            return;
        }
        let first = self.first.take();
        // Nothing is left in the list; without a destructor there is no look at each field.
        mem::forget(self);
        if let Some(waker) = first {
            waker.wake();
        }
    }

    /// Does as `run` for a party that holds a value: it would be lost in a panic, which is swallowed.
    #[inline]
    pub(super) fn run_quietly(self) {
        if self.first.is_some() || self.has_more || self.fresh.is_some() {
            panics::swallow(|| self.run());
        } else {
            self.run();
        }
    }

    #[cold]
    fn run_all(&mut self) {
        let mut panic = FirstPanic::default();
        let few = [self.first.take(), self.second.take(), self.third.take()];
        for waker in
            few.into_iter().flatten().chain(self.more.take().into_iter().flat_map(|more| *more))
        {
            panic.run(|| waker.wake());
        }
        for outdated in [self.outdated.take(), self.fresh.take()] {
            panic.run(|| drop(outdated));
        }
        panic.resume();
    }
}
