//! How a party leaves, and how the other one learns of it.

use std::mem;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::thread;

#[cfg(feature = "model")]
use super::CLIENT;
use super::watch::Watch;
use super::word::{STAYS, WATCHED, WHOSE, end_code, end_of, shift};
use super::{Half, Peer};
use crate::error::Why;
use crate::panics::FirstPanic;
#[cfg(feature = "model")]
use crate::point::{self, Name};
use crate::step::Waiter as _;
use crate::sync::Arc;

impl<M, const ME: u32> Half<M, ME> {
    /// How the peer left, if it had when this party last looked; or how this party did, which goes on only by reference: after the close of a
    /// sink. Either way nothing comes any more.
    #[inline(always)]
    pub(crate) fn peer_end(&self) -> Option<Why> {
        if self.seen & (Self::THEIR_END | Self::MY_END) == 0 {
            return None;
        }
        end_of(self.seen, ME).or_else(|| end_of(self.seen, Self::PEER))
    }

    /// How the peer left, if it has by now.
    #[inline(always)]
    pub(crate) fn peer_end_now(&self) -> Option<Why> {
        end_of(self.shared.word.load(Relaxed), Self::PEER)
    }

    /// Whether this party has left.
    #[cfg(feature = "sink")]
    pub(crate) fn has_left(&self) -> bool {
        // Ordering: Relaxed, since this party's own call has set it.
        end_of(self.shared.word.load(Relaxed), ME).is_some()
    }

    /// Before this party leaves: it goes on by reference after that, as a sink does that is closed. So its peer does not leave as the last one that looks at the
    /// word, and this party can still watch it.
    pub(crate) fn stay(&self) {
        // Ordering: Relaxed, since this party's end is set later, in the same word: a peer that sees the end sees the flag.
        self.shared.word.fetch_or(STAYS, Relaxed);
    }

    /// Leaves for good; only the first call counts. Tells how the peer had left, if it had.
    pub(crate) fn leave(&mut self, why: Why) -> Option<Why> {
        #[cfg(feature = "model")]
        if point::is_live() {
            self.before_leave(why);
        }
        let word = self.load();
        if end_of(word, ME).is_some() {
            return end_of(word, Self::PEER);
        }
        let has_taken = mem::take(&mut self.has_taken);
        let left = |word| {
            // A take under `COMMITTED` is made known now: the peer must not take that message back.
            let whose = if has_taken { Self::HELD_BY_ME } else { word & WHOSE };
            let cleared = WHOSE | Self::THEIR_WAIT | Self::THEIR_WAKER_UPDATED | Self::MY_WAIT;
            word & !cleared | whose | end_code(why) << shift(ME)
        };
        let mut panic = FirstPanic::default();
        let is_last = word & Self::THEIR_END != 0 && word & (WATCHED | STAYS) == 0;
        let old = if is_last {
            // Ordering: Relaxed, since only the drop of the channel looks at it from now on.
            self.shared.word.store(left(word), Relaxed);
            word
        } else {
            self.publish_end(why, left, &mut panic)?
        };
        // The task that drove this party does not poll the peer any more.
        let driver = self.driver.take();
        panic.run(|| self.wake(old));
        panic.drop(driver);
        panic.resume();
        if let Some(mine) = self.my_waker.take() {
            let stored = self.shared.wakers[ME as usize].lock().take();
            drop((mine, stored));
        }
        end_of(old, Self::PEER)
    }

    /// In a model other parties may act before an end leaves.
    #[cfg(feature = "model")]
    #[cold]
    #[inline(never)]
    fn before_leave(&mut self, why: Why) {
        if end_of(self.load(), ME).is_none() {
            point::leave(
                if ME == CLIENT {
                    const { Name::of("Client") }
                } else {
                    const { Name::of("Server") }
                },
                self.channel(),
                why,
            );
        }
    }

    /// Sets this party's end in the word, and as one with it in the watch, if there is one.
    fn publish_end(
        &mut self,
        why: Why,
        left: impl Fn(u32) -> u32,
        panic: &mut FirstPanic,
    ) -> Option<u32> {
        // A watch that is made meanwhile changes the word.
        let unwatched = |word| (word & WATCHED == 0).then(|| left(word));
        if let Some(old) = self.update(unwatched) {
            return Some(old);
        }
        let watch = Arc::clone(self.shared.watch.get()?);
        let mut state = watch.lock();
        let old = self.update(|word| Some(left(word)));
        let watchers = state.leave(ME, why);
        drop(state);
        for waker in watchers {
            panic.wake(waker);
        }
        old
    }

    /// Watches the peer.
    pub(crate) fn peer(&self) -> Peer {
        let watch = self.shared.watch.get_or_init(Watch::new);
        // Ordering: AcqRel, so that the party that finds the flag finds the watch.
        let old = self.shared.word.fetch_or(WATCHED, AcqRel);
        if let Some(why) = end_of(old, Self::PEER) {
            watch.set_end(Self::PEER, why);
        }
        Peer::new(Arc::clone(watch), Self::PEER, self.channel())
    }

    /// Leaves a message outside of the slot, for a peer that has not asked.
    pub(crate) fn leave_behind(&mut self, message: M) {
        let old = self.shared.left_behind.lock().replace(Box::new(message));
        drop(old);
    }

    /// Takes what the peer (or this party) left outside of the slot.
    pub(crate) fn take_left_behind(&mut self) -> Option<M> {
        let left = self.shared.left_behind.lock().take();
        left.map(|message| *message)
    }
}

impl<M, const ME: u32> Drop for Half<M, ME> {
    fn drop(&mut self) {
        self.leave(if thread::panicking() { Why::Panicked } else { Why::Dropped });
    }
}
