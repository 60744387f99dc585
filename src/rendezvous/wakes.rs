//! Which parties to wake after a change of the state, once the lock is free again.
//!
//! Where the party to wake is the task of the attempt itself (both ends may live in one task), its waker stays in the entry, and the attempt's
//! own is called in its place: a hand-over in one task neither clones nor drops a waker.

use std::mem::{self, ManuallyDrop};
use std::task::Waker;

use super::signals::Signals;
use crate::panics::{self, FirstPanic};
use crate::queue::{KEPT, Ticket};

/// What an attempt has to do after unlocking: parties to wake, and wakers to drop. Both are user code.
pub(super) trait Wakes<'a> {
    fn one(&mut self) -> &mut WakeOne<'a>;

    fn wake_taken(&mut self, waker: Option<Waker>);

    fn drop_later(&mut self, waker: Option<Waker>);

    /// Whether the party of this waker is the one that attempts.
    #[inline(always)]
    fn is_own(&mut self, stored: &Waker) -> bool {
        self.one().own.is_some_and(|own| stored.will_wake(own))
    }

    /// Sees to it that the attempt's waker is stored. `false`: it must be cloned first.
    #[inline]
    fn register(&mut self, stored: &mut Option<Waker>) -> bool {
        if self.one().own.is_none() || stored.as_ref().is_some_and(|stored| self.is_own(stored)) {
            return true;
        }
        let Some(fresh) = self.one().fresh.take() else { return false };
        let outdated = stored.replace(fresh);
        self.drop_later(outdated);
        true
    }

    /// Does as `register` for a sender's entry that is new. It may have kept the waker of another party.
    #[inline(always)]
    fn register_sender(&mut self, stored: &mut Option<Waker>) -> bool {
        let signals = self.one().senders;
        self.register_new(signals, stored)
    }

    /// Does as `register` for a receiver's entry that is new.
    #[inline(always)]
    fn register_receiver(&mut self, stored: &mut Option<Waker>) -> bool {
        let signals = self.one().receivers;
        self.register_new(signals, stored)
    }

    #[inline(always)]
    fn register_new(&mut self, signals: &Signals, stored: &mut Option<Waker>) -> bool {
        let is_own = stored.as_ref().is_some_and(|stored| self.is_own(stored));
        signals.set_keeps_wakers(is_own);
        if is_own {
            return true;
        }
        let kept = mem::replace(stored, self.one().fresh.take());
        self.drop_later(kept);
        stored.is_some() || self.one().own.is_none()
    }

    /// Wakes the party of an entry.
    #[inline(always)]
    fn wake(&mut self, index: u32, stored: &mut Option<Waker>) {
        let Some(waker) = stored else { return };
        if index < KEPT && self.is_own(waker) {
            self.one().wakes_own = true;
        } else {
            self.wake_taken(stored.take());
        }
    }

    /// The party of an entry is done. Its waker may stay for its next entry, if it is the one that attempts.
    #[inline(always)]
    fn unregister(&mut self, index: u32, stored: &mut Option<Waker>) {
        let Some(waker) = stored else { return };
        if index >= KEPT || !self.is_own(waker) {
            self.drop_later(stored.take());
        }
    }

    /// Tells the sender of an offer that it was taken.
    #[inline(always)]
    fn set_taken(&mut self, offer: Ticket) {
        self.one().senders.set_taken(offer.index, offer.serial);
    }

    /// Lets a receiver that spins attempt again.
    #[inline(always)]
    fn notify_receiver(&mut self, index: u32) {
        if let Some(index) = self.one().receiver.replace(index) {
            self.one().receivers.notify(index);
        }
    }
}

/// For an attempt of a plain task among plain tasks: it wakes at most one party, and drops at most one waker. It has no destructor, and its methods are
/// inlined, so that it never need be in memory.
#[must_use = "parties must be woken"]
#[derive(Debug)]
pub(super) struct WakeOne<'a> {
    senders: &'a Signals,
    receivers: &'a Signals,
    /// The attempt's waker.
    own: Option<&'a Waker>,
    /// A clone of it, made before the lock was taken.
    fresh: ManuallyDrop<Option<Waker>>,
    first: ManuallyDrop<Option<Waker>>,
    wakes_own: bool,
    /// A receiver that spins, to be told once the lock is free: it would only wait for that.
    receiver: Option<u32>,
    outdated: ManuallyDrop<Option<Waker>>,
}

impl<'a> WakeOne<'a> {
    #[inline(always)]
    pub(super) const fn new(
        senders: &'a Signals,
        receivers: &'a Signals,
        own: Option<&'a Waker>,
        fresh: Option<Waker>,
    ) -> Self {
        let fresh = ManuallyDrop::new(fresh);
        let (first, outdated) = (ManuallyDrop::new(None), ManuallyDrop::new(None));
        Self { senders, receivers, own, fresh, first, wakes_own: false, receiver: None, outdated }
    }

    #[inline(always)]
    pub(super) const fn has_waker(&self) -> bool {
        self.own.is_some()
    }

    /// Wakes and drops; a panic of a waker ends here if `IS_QUIET`.
    #[inline(always)]
    pub(super) fn run<const IS_QUIET: bool>(self) {
        if let Some(index) = self.receiver {
            self.receivers.notify(index);
        }
        if self.fresh.is_some() || self.outdated.is_some() || self.wakes_own && self.first.is_some()
        {
            WakeList::from(self).finish(IS_QUIET);
            return;
        }
        let first = ManuallyDrop::into_inner(self.first);
        let own = self.own.filter(|_| self.wakes_own);
        if IS_QUIET {
            if own.is_some() || first.is_some() {
                panics::swallow(|| wake(own, first));
            }
        } else {
            wake(own, first);
        }
    }
}

#[inline(always)]
fn wake(own: Option<&Waker>, first: Option<Waker>) {
    if let Some(waker) = first {
        waker.wake();
    } else if let Some(own) = own {
        own.wake_by_ref();
    }
}

impl<'a> Wakes<'a> for WakeOne<'a> {
    #[inline(always)]
    fn one(&mut self) -> &mut WakeOne<'a> {
        self
    }

    #[inline(always)]
    fn wake_taken(&mut self, waker: Option<Waker>) {
        debug_assert!(self.first.is_none(), "one party is woken");
        self.first = ManuallyDrop::new(waker);
    }

    #[inline(always)]
    fn drop_later(&mut self, waker: Option<Waker>) {
        if waker.is_some() {
            debug_assert!(self.outdated.is_none(), "one waker is dropped");
            self.outdated = ManuallyDrop::new(waker);
        }
    }
}

/// For any attempt.
#[must_use = "parties must be woken"]
#[derive(Debug)]
pub(super) struct WakeList<'a> {
    one: WakeOne<'a>,
    /// There is more to do than to wake the first, or the own one.
    has_more: bool,
    /// A meeting wakes up to three: the task that is notified, a thread, and the sender.
    second: Option<Waker>,
    third: Option<Waker>,
    /// Any more: the parties that the end wakes.
    more: Vec<Waker>,
    /// Any more to drop: what the free entries kept until the end.
    kept: Vec<Waker>,
}

impl<'a> From<WakeOne<'a>> for WakeList<'a> {
    #[inline(always)]
    fn from(one: WakeOne<'a>) -> Self {
        let has_more = one.outdated.is_some();
        Self { one, has_more, second: None, third: None, more: Vec::new(), kept: Vec::new() }
    }
}

impl<'a> Wakes<'a> for WakeList<'a> {
    #[inline(always)]
    fn one(&mut self) -> &mut WakeOne<'a> {
        &mut self.one
    }

    #[inline]
    fn wake_taken(&mut self, waker: Option<Waker>) {
        if waker.is_none() {
        } else if self.one.first.is_none() {
            self.one.first = ManuallyDrop::new(waker);
        } else {
            self.wake_another(waker);
        }
    }

    #[inline]
    fn drop_later(&mut self, waker: Option<Waker>) {
        if waker.is_some() {
            debug_assert!(self.one.outdated.is_none(), "an attempt replaces one waker");
            self.has_more = true;
            self.one.outdated = ManuallyDrop::new(waker);
        }
    }
}

impl<'a> WakeList<'a> {
    #[inline(always)]
    pub(super) fn new(
        senders: &'a Signals,
        receivers: &'a Signals,
        own: Option<&'a Waker>,
        fresh: Option<Waker>,
    ) -> Self {
        Self::from(WakeOne::new(senders, receivers, own, fresh))
    }

    fn wake_another(&mut self, waker: Option<Waker>) {
        self.has_more = true;
        if self.second.is_none() {
            self.second = waker;
        } else if self.third.is_none() {
            self.third = waker;
        } else {
            self.more.extend(waker);
        }
    }

    /// Drops what a free entry kept.
    pub(super) fn drop_kept(&mut self, waker: Option<Waker>) {
        self.kept.extend(waker);
        self.has_more |= !self.kept.is_empty();
    }

    pub(super) fn notify_sender(&self, index: u32) {
        self.one.senders.notify(index);
    }

    /// Wakes and drops. A waker that panics keeps no other party asleep. The list is empty then.
    #[inline]
    pub(super) fn run(&mut self) {
        if let Some(index) = self.one.receiver.take() {
            self.one.receivers.notify(index);
        }
        let one = &mut self.one;
        if self.has_more || one.fresh.is_some() || one.wakes_own && one.first.is_some() {
            self.run_all();
        } else {
            wake(one.own.filter(|_| one.wakes_own), one.first.take());
        }
    }

    /// Does as `run` for a party that holds a value: it would be lost in a panic, which is swallowed.
    #[inline]
    pub(super) fn run_quietly(&mut self) {
        let one = &self.one;
        if one.wakes_own || one.first.is_some() || self.has_more || one.fresh.is_some() {
            panics::swallow(|| self.run());
        } else {
            self.run();
        }
    }

    #[cold]
    fn finish(self, is_quiet: bool) {
        let mut list = ManuallyDrop::new(self);
        if is_quiet { list.run_quietly() } else { list.run() }
    }

    #[cold]
    fn run_all(&mut self) {
        let mut panic = FirstPanic::default();
        let few = [self.one.first.take(), self.second.take(), self.third.take()];
        for waker in few.into_iter().flatten().chain(mem::take(&mut self.more)) {
            panic.run(|| waker.wake());
        }
        if let Some(own) = self.one.own.filter(|_| self.one.wakes_own) {
            panic.run(|| own.wake_by_ref());
        }
        let few = [self.one.outdated.take(), self.one.fresh.take()];
        for outdated in few.into_iter().flatten().chain(mem::take(&mut self.kept)) {
            panic.run(|| drop(outdated));
        }
        panic.resume();
    }
}
