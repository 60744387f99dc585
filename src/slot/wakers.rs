//! The wakers of the two parties: a party registers its own, and wakes its peer; and what a waiting party can ask.

use std::mem;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::task::Waker;

use super::{Half, SERVER, driven};
use crate::panics::FirstPanic;
use crate::point::{ChannelId, Seat};
use crate::step::Waiter;
use crate::wait::{AdaptiveSpin, this_thread};

impl<M, const ME: u32> Half<M, ME> {
    /// Registers a waker for the peer's next move. `false`: the word has changed since the last look.
    #[inline(always)]
    pub(crate) fn register(&mut self, waker: &Waker) -> bool {
        let flags = self.store_waker(waker);
        let new = self.seen | flags;
        if new == self.seen {
            return !self.is_changed();
        }
        // Ordering: as in `update`; Relaxed on failure, since the caller looks again.
        if self.shared.word.compare_exchange(self.seen, new, AcqRel, Relaxed).is_err() {
            return false;
        }
        self.seen = new;
        self.announced(flags);
        true
    }

    /// Unregisters: a later move of the peer wakes nobody.
    pub(crate) fn unregister(&mut self) {
        self.seat.leave();
        _ = self.update(|word| (word & Self::MY_WAIT != 0).then_some(word & !Self::MY_WAIT));
    }

    /// Tells this party that its own task, of `waker`, polls the peer after each of this party's steps. So a peer that waits with the
    /// same waker need not be woken.
    #[inline(always)]
    pub(crate) fn drive_peer_with(&mut self, waker: &Waker) {
        if !self.driver.as_ref().is_some_and(|driver| driver.will_wake(waker)) {
            self.driver = Some(waker.clone());
        }
    }

    /// Whether a wake-up was left to the driver since the last call.
    #[inline(always)]
    pub(crate) fn takes_owed_wake(&mut self) -> bool {
        mem::take(&mut self.owes_wake)
    }

    /// Stores `waker` for the peer, unless it is stored already. Gives the flags for the word.
    #[inline(always)]
    pub(super) fn store_waker(&mut self, waker: &Waker) -> u32 {
        if !self.my_waker.as_ref().is_some_and(|mine| mine.will_wake(waker)) {
            self.replace_waker(waker);
        }
        if self.is_unannounced { Self::MY_WAIT | Self::MY_WAKER_UPDATED } else { Self::MY_WAIT }
    }

    #[cold]
    fn replace_waker(&mut self, waker: &Waker) {
        let (copy, stored) = (waker.clone(), waker.clone());
        let old = self.shared.wakers[ME as usize].lock().replace(stored);
        self.is_unannounced = true;
        drop((old, self.my_waker.replace(copy)));
    }

    #[inline(always)]
    pub(super) fn announced(&mut self, flags: u32) {
        if flags & Self::MY_WAKER_UPDATED != 0 {
            self.is_unannounced = false;
        }
    }

    /// Wakes the peer if it waited in the word `old`, from which this party has cleared its flags.
    #[inline(always)]
    pub(super) fn wake(&mut self, old: u32) {
        if old & Self::THEIR_WAKER_UPDATED != 0 {
            self.wake_by_new_waker(old);
        } else if old & Self::THEIR_WAIT != 0 {
            self.wake_peer();
        }
    }

    #[inline(always)]
    pub(super) fn wake_peer(&mut self) {
        let Some(theirs) = &self.peer_waker else { return };
        if self.driver.as_ref().is_some_and(|driver| driver.will_wake(theirs)) {
            self.owes_wake = true;
        } else {
            theirs.wake_by_ref();
        }
    }

    #[cold]
    fn wake_by_new_waker(&mut self, old: u32) {
        let new = self.shared.wakers[Self::PEER as usize].lock().take();
        let outdated = if new.is_some() { mem::replace(&mut self.peer_waker, new) } else { None };
        let mut panic = FirstPanic::default();
        if old & Self::THEIR_WAIT != 0 {
            panic.run(|| self.wake_peer());
        }
        panic.drop(outdated);
        panic.resume();
    }
}

impl<M, const ME: u32> Waiter for Half<M, ME> {
    #[inline(always)]
    fn has_changed(&mut self) -> bool {
        self.is_changed()
    }

    /// `false` too if the peer has not waited yet.
    #[inline(always)]
    fn is_peer_elsewhere(&mut self) -> bool {
        let here = this_thread();
        if self.thread != here {
            self.thread = here;
            self.shared.threads[ME as usize].store(here, Relaxed);
        }
        // Ordering: Relaxed, as a wrong hint only costs time.
        let there = self.shared.threads[Self::PEER as usize].load(Relaxed);
        there != 0 && there != here
    }

    fn can_never_go_on(&mut self) -> bool {
        ME == SERVER && driven::is_driven(self.address())
    }

    #[inline(always)]
    fn channel(&self) -> ChannelId {
        ChannelId::of(&*self.shared)
    }

    #[inline(always)]
    fn seat(&mut self) -> Option<&mut Seat> {
        Some(&mut self.seat)
    }

    #[inline(always)]
    fn spin(&self) -> AdaptiveSpin {
        self.spin
    }

    #[inline(always)]
    fn set_spin(&mut self, spin: AdaptiveSpin) {
        self.spin = spin;
    }
}
