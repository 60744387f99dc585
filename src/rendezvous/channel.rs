//! What the ends of a channel share, and how one party attempts something on it.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::task::Waker;

use super::signals::{Signals, Version};
use super::state::{Outcome, State};
use super::wakes::{WakeList, WakeOne};
use crate::error::Why;
use crate::point::{ChannelId, Seat};
use crate::step::Waiter;
use crate::sync::{Arc, Mutex, MutexGuard};
use crate::wait::{AdaptiveSpin, this_thread};

pub(super) const SENDERS: usize = 0;
pub(super) const RECEIVERS: usize = 1;

// In this order: a party that spins watches its signal, so that must not share a cache line with the other side's, nor with what
// changes at each attempt. What lies beside it, and at the beginning of the state, changes rarely.
#[derive(Debug)]
#[repr(C)]
pub struct Core<T> {
    /// Of the receivers' entries.
    pub(super) receivers: Signals,
    state: Mutex<State<T>>,
    /// How long each side spins. A hint.
    spins: [AtomicU32; 2],
    /// The thread on which each side last waited. A hint.
    threads: [AtomicUsize; 2],
    /// A side has more than one end, of which others may be ready to run on this thread. A hint.
    is_crowded: AtomicBool,
    /// Of the senders' entries.
    pub(super) senders: Signals,
}

impl<T> Core<T> {
    /// With so many ends on each side.
    pub(super) fn new(ends: [u32; 2]) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::new(ends)),
            receivers: Signals::new(),
            senders: Signals::new(),
            spins: [(); 2].map(|()| AtomicU32::new(AdaptiveSpin::new().to_bits())),
            threads: [(); 2].map(|()| AtomicUsize::new(0)),
            is_crowded: AtomicBool::new(false),
        })
    }

    /// Changes the state. Other parties are woken after unlocking.
    #[inline]
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut State<T>, &mut WakeList<'_>) -> R) -> R {
        Self::run_locked::<_, false>(
            self.state.lock(),
            WakeList::from(self.wake_one(None, None)),
            f,
        )
    }

    /// Like `with`, but a waker's panic is swallowed, so that a value already received, or taken back, is not lost.
    #[inline]
    pub(super) fn with_received<R>(
        &self,
        f: impl FnOnce(&mut State<T>, &mut WakeList<'_>) -> R,
    ) -> R {
        Self::run_locked::<_, true>(self.state.lock(), WakeList::from(self.wake_one(None, None)), f)
    }

    /// Attempts something for a party that may wait: `f` again with a clone of the waker if the first time shows that it needs one.
    /// What `f` finds is received if `IS_QUIET`: then a waker's panic is swallowed.
    #[inline]
    pub(super) fn attempt<R, const IS_QUIET: bool>(
        &self,
        waker: Option<&Waker>,
        is_registered: bool,
        f: impl FnMut(&mut State<T>, &mut WakeList<'_>) -> Outcome<R>,
    ) -> Outcome<R> {
        let (state, fresh) = self.begin(waker, !is_registered);
        self.attempt_locked::<_, IS_QUIET>(state, waker, fresh, f)
    }

    /// Begins an attempt: locks the state. Gives a clone of the waker, if the entry `needs_clone`.
    #[inline(always)]
    pub(super) fn begin(
        &self,
        waker: Option<&Waker>,
        needs_clone: bool,
    ) -> (MutexGuard<'_, State<T>>, Option<Waker>) {
        let fresh = if needs_clone { waker.cloned() } else { None };
        (self.state.lock(), fresh)
    }

    /// Attempts under a lock that is held.
    #[inline]
    pub(super) fn attempt_locked<R, const IS_QUIET: bool>(
        &self,
        state: MutexGuard<'_, State<T>>,
        waker: Option<&Waker>,
        fresh: Option<Waker>,
        mut f: impl FnMut(&mut State<T>, &mut WakeList<'_>) -> Outcome<R>,
    ) -> Outcome<R> {
        let wakes = WakeList::from(self.wake_one(waker, fresh));
        match Self::run_locked::<_, IS_QUIET>(state, wakes, &mut f) {
            Outcome::NeedsWaker => self.attempt_again::<_, IS_QUIET>(waker, f),
            outcome => outcome,
        }
    }

    /// Attempts with a clone of the waker.
    #[cold]
    pub(super) fn attempt_again<R, const IS_QUIET: bool>(
        &self,
        waker: Option<&Waker>,
        mut f: impl FnMut(&mut State<T>, &mut WakeList<'_>) -> Outcome<R>,
    ) -> Outcome<R> {
        loop {
            let (state, fresh) = self.begin(waker, true);
            let wakes = WakeList::from(self.wake_one(waker, fresh));
            match Self::run_locked::<_, IS_QUIET>(state, wakes, &mut f) {
                Outcome::NeedsWaker => {}
                outcome => return outcome,
            }
        }
    }

    /// Changes the state, and wakes after unlocking.
    #[inline(always)]
    fn run_locked<R, const IS_QUIET: bool>(
        mut state: MutexGuard<'_, State<T>>,
        wakes: WakeList<'_>,
        f: impl FnOnce(&mut State<T>, &mut WakeList<'_>) -> R,
    ) -> R {
        // Without a destructor: after its run it is empty, and a look at each field would cost time.
        let mut wakes = ManuallyDrop::new(wakes);
        let result = f(&mut state, &mut wakes);
        drop(state);
        if IS_QUIET {
            wakes.run_quietly();
        } else {
            wakes.run();
        }
        result
    }

    /// What an attempt on the straight way has to do after unlocking. Without a destructor, and never passed on by reference, it stays in registers.
    #[inline(always)]
    pub(super) fn wake_one<'c>(
        &'c self,
        waker: Option<&'c Waker>,
        fresh: Option<Waker>,
    ) -> WakeOne<'c> {
        WakeOne::new(&self.senders, &self.receivers, waker, fresh)
    }

    /// A party that went the straight way has begun to wait: unlocks, and wakes.
    #[inline(always)]
    pub(super) fn begin_to_wait(state: MutexGuard<'_, State<T>>, wakes: WakeOne<'_>) {
        if state.leaves_offers() {
            Self::settle(state, WakeList::from(wakes));
        } else {
            drop(state);
            wakes.run::<true>();
        }
    }

    #[cold]
    fn settle(state: MutexGuard<'_, State<T>>, wakes: WakeList<'_>) {
        Self::run_locked::<_, true>(state, wakes, |state, wakes| state.settle(wakes));
    }

    /// Changes or reads the state where no party need be woken.
    #[inline]
    pub(super) fn with_state<R>(&self, f: impl FnOnce(&mut State<T>) -> R) -> R {
        f(&mut self.state.lock())
    }

    /// Adds an end to a side.
    pub(super) fn add_end(&self, side: usize) {
        self.with_state(|state| {
            state.add_end(side);
            self.note_ends(state);
        });
    }

    /// Removes an end from a side; the last one ends the channel.
    pub(super) fn remove_end(&self, side: usize, why: Why) {
        let mut state = self.state.lock();
        let end = state.remove_end(side, why);
        self.note_ends(&state);
        if let Some(why) = end {
            self.close(state, why);
        }
    }

    /// Ends the channel and wakes the parties that wait.
    #[cold]
    fn close(&self, mut state: MutexGuard<'_, State<T>>, why: Why) {
        let mut wakes = WakeList::new(&self.senders, &self.receivers, None, None);
        state.close(why, &mut wakes);
        drop(state);
        wakes.run();
    }

    pub(super) fn note_ends(&self, state: &State<T>) {
        // Ordering: Relaxed, as a wrong hint only costs time.
        self.is_crowded.store(state.ends().into_iter().any(|ends| ends > 1), Relaxed);
    }

    /// Whether it may pay to spin for the other side. This also leaves a hint for it.
    #[inline]
    fn is_other_side_elsewhere(&self, side: usize) -> bool {
        let here = this_thread();
        // Ordering: Relaxed, as a wrong hint only costs time.
        if self.threads[side].load(Relaxed) != here {
            self.threads[side].store(here, Relaxed);
        }
        let there = self.threads[1 - side].load(Relaxed);
        there != 0 && there != here && !self.is_crowded.load(Relaxed)
    }

    const fn signals(&self, side: usize) -> &Signals {
        if side == SENDERS { &self.senders } else { &self.receivers }
    }
}

/// Where an operation waits on a channel. `C` leads to the core: borrowed, or as an end of its own.
#[derive(Debug)]
pub struct Place<C, const SIDE: usize> {
    pub(super) core: C,
    /// What the party has seen of its entry's signal, if it has an entry.
    pub(super) version: Option<Version>,
    pub(super) seat: Seat,
}

impl<T, C: Deref<Target = Core<T>>, const SIDE: usize> Place<C, SIDE> {
    /// What there is to see now, in an entry.
    #[inline]
    pub(super) fn see(&mut self, index: Option<u32>) {
        self.version = index.map(|index| self.core.signals(SIDE).version(index));
    }
}

impl<T, C: Deref<Target = Core<T>>, const SIDE: usize> Waiter for Place<C, SIDE> {
    #[inline]
    fn has_changed(&mut self) -> bool {
        self.version.is_some_and(|version| self.core.signals(SIDE).has_changed(version))
    }

    #[inline]
    fn is_peer_elsewhere(&mut self) -> bool {
        self.core.is_other_side_elsewhere(SIDE)
    }

    fn channel(&self) -> ChannelId {
        ChannelId::of(&*self.core)
    }

    #[inline]
    fn seat(&mut self) -> Option<&mut Seat> {
        Some(&mut self.seat)
    }

    #[inline]
    fn spin(&self) -> AdaptiveSpin {
        AdaptiveSpin::from_bits(self.core.spins[SIDE].load(Relaxed))
    }

    #[inline]
    fn set_spin(&mut self, spin: AdaptiveSpin) {
        let (bits, stored) = (spin.to_bits(), &self.core.spins[SIDE]);
        if stored.load(Relaxed) != bits {
            stored.store(bits, Relaxed); // Its line is the state's, too, and is not to change hands for nothing.
        }
    }
}

#[cfg(feature = "diagnose")]
impl<T> Drop for Core<T> {
    fn drop(&mut self) {
        crate::point::gone(ChannelId::of(self));
    }
}
