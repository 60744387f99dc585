//! What the ends of a channel share, and how one party looks at it.

use std::ops::Deref;
use std::task::{Poll, Waker};

use super::effects::{Effects, Mark, Words};
use super::line::Ticket;
use super::state::State;
use super::waiter::{Found, Glance};
use crate::error::Why;
use crate::step::{Look, Step};
use crate::sync::{self, Arc, Mutex};
use crate::wait::{Pace, Who};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

pub(super) const SENDERS: usize = 0;
pub(super) const RECEIVERS: usize = 1;

// In this order: a party that lingers watches its word, so that must not share a cache line with the other side's, nor with what
// changes at each look. What lies beside it, and at the beginning of the state, changes rarely.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Core<T> {
    /// Of the receivers' entries.
    takers: Words,
    state: Mutex<State<T>>,
    /// How long each side lingers. A hint.
    paces: [AtomicU32; 2],
    /// The thread on which each side last waited. A hint.
    places: [AtomicUsize; 2],
    /// A side has more than one end, of which others may be ready to run on this thread. A hint.
    is_crowded: AtomicBool,
    /// Of the senders' entries.
    offers: Words,
}

impl<T> Core<T> {
    /// With so many ends on each side.
    pub(super) fn new(ends: [u32; 2]) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State::new(ends)),
            takers: Words::new(),
            offers: Words::new(),
            paces: [(); 2].map(|()| AtomicU32::new(Pace::new().to_bits())),
            places: [(); 2].map(|()| AtomicUsize::new(0)),
            is_crowded: AtomicBool::new(false),
        })
    }

    /// The one way to the state. What it entails for others is done after unlocking.
    #[inline]
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut State<T>, &mut Effects<'_>) -> R) -> R {
        let mut fx = Effects::new(&self.offers, &self.takers);
        let result = f(&mut self.state.lock(), &mut fx);
        fx.run();
        result
    }

    /// As `with`, for what may bring the caller something that a panic of a waker must not take away: now, or, since a thread that waits
    /// is given its value, by what that very waker does before it panics.
    #[inline]
    fn with_prize<R>(&self, f: impl FnOnce(&mut State<T>, &mut Effects<'_>) -> R) -> R {
        let mut fx = Effects::new(&self.offers, &self.takers);
        let result = f(&mut self.state.lock(), &mut fx);
        fx.run_quietly();
        result
    }

    /// Another end of a side.
    pub(super) fn join(&self, side: usize) {
        self.with(|state, _| {
            state.join(side);
            self.note_ends(state);
        });
    }

    /// One end of a side less.
    pub(super) fn part(&self, side: usize, why: Why) {
        self.with(|state, fx| {
            state.part(side, why, fx);
            self.note_ends(state);
        });
    }

    pub(super) fn note_ends(&self, state: &State<T>) {
        // Ordering: Relaxed, as a wrong hint only costs time.
        self.is_crowded.store(state.ends().into_iter().any(|ends| ends > 1), Relaxed);
    }

    /// Whether it may pay to linger for the other side. Also leaves a hint for it.
    #[inline]
    pub(super) fn is_other_side_elsewhere(&self, side: usize) -> bool {
        let here = sync::this_thread();
        // Ordering: Relaxed, as a wrong hint only costs time.
        if self.places[side].load(Relaxed) != here {
            self.places[side].store(here, Relaxed);
        }
        let there = self.places[1 - side].load(Relaxed);
        there != 0 && there != here && !self.is_crowded.load(Relaxed)
    }

    pub(super) fn pace(&self, side: usize) -> Pace {
        Pace::from_bits(self.paces[side].load(Relaxed))
    }

    pub(super) fn set_pace(&self, side: usize, pace: Pace) {
        self.paces[side].store(pace.to_bits(), Relaxed);
    }
}

/// How a look becomes a glance: with a clone of the waker, if one is surely needed.
#[inline]
fn glance<'w>(look: Look<'w>, is_seated: bool) -> Glance<'w> {
    let fresh = if is_seated { None } else { look.waker.cloned() };
    let Look { waker, stays, enters, share, .. } = look;
    Glance { stays, enters, is_patient: true, share, waker, fresh }
}

/// Repeats a look that needs a clone of the waker.
macro_rules! look_with_waker {
    ($glance:ident, $look:expr) => {
        loop {
            match $look {
                Found::NeedsWaker => $glance.fresh = $glance.waker.map(Waker::clone),
                found => break found,
            }
        }
    };
}

/// A value on its way.
#[derive(Debug)]
pub(super) struct Sending<T> {
    /// Here until it is offered.
    value: Option<T>,
    placed: Option<(Ticket, Mark)>,
    permit: Option<Ticket>,
    is_seated: bool,
}

impl<T> Sending<T> {
    pub(super) const fn new(value: Option<T>, permit: Option<Ticket>) -> Self {
        Self { value, placed: None, permit, is_seated: false }
    }

    /// Whether it is neither to be offered nor on offer.
    #[inline]
    pub(super) const fn is_through(&self) -> bool {
        self.value.is_none() && self.placed.is_none()
    }

    #[inline]
    pub(super) fn step(&mut self, core: &Core<T>, look: Look<'_>) -> Poll<Result<(), Why>> {
        match self.placed {
            Some((_, mark)) if core.offers.is_taken(mark) => {
                self.placed = None;
                Poll::Ready(Ok(()))
            }
            Some((ticket, _)) => self.look_again(core, ticket, look),
            None => self.offer(core, look),
        }
    }

    #[inline]
    fn offer(&mut self, core: &Core<T>, look: Look<'_>) -> Poll<Result<(), Why>> {
        let mut glance = glance(look, false);
        let (value, placed, permit) = (&mut self.value, &mut self.placed, self.permit);
        if look.enters {
            self.permit = None; // who only peeks keeps it
        }
        let found = core.with(|state, fx| {
            let found = state.offer(value, permit, &mut glance, fx);
            if let Found::Done(Some(ticket)) = found {
                let mark = core.offers.begin(ticket.index, ticket.serial);
                *placed = Some((ticket, mark));
            }
            found
        });
        match found {
            Found::Done(None) => Poll::Ready(Ok(())),
            Found::Ended(why) => Poll::Ready(Err(why)),
            _ => {
                self.is_seated = self.placed.is_some() && look.waker.is_some();
                Poll::Pending
            }
        }
    }

    fn look_again(
        &mut self,
        core: &Core<T>,
        ticket: Ticket,
        look: Look<'_>,
    ) -> Poll<Result<(), Why>> {
        let mut glance = glance(look, self.is_seated);
        let found = look_with_waker!(
            glance,
            core.with(|state, fx| {
                let found = state.see_offer(ticket, &mut glance, fx);
                if let Some((_, mark)) = &mut self.placed {
                    core.offers.refresh(mark);
                }
                found
            })
        );
        match found {
            Found::Done(()) => {
                self.placed = None;
                Poll::Ready(Ok(()))
            }
            Found::Ended(why) => Poll::Ready(Err(why)),
            _ => {
                self.is_seated |= look.waker.is_some();
                Poll::Pending
            }
        }
    }

    /// Gives up: the value, if it was not taken.
    pub(super) fn take_back(&mut self, core: &Core<T>) -> Option<T> {
        if let Some((ticket, mark)) = self.placed.take() {
            if core.offers.is_taken(mark) {
                return None;
            }
            return core.with(|state, fx| state.take_back(ticket, fx));
        }
        self.release(core);
        self.value.take()
    }

    /// Gives up its permit.
    pub(super) fn release(&mut self, core: &Core<T>) {
        if let Some(permit) = self.permit.take() {
            core.with(|state, fx| state.release(permit, fx));
        }
    }

    /// Withdraws it for now.
    pub(super) fn retract(&mut self, core: &Core<T>) {
        if self.placed.is_some() {
            self.value = self.take_back(core);
        }
    }

    /// Puts an offer that was passed over back.
    pub(super) fn resume(&self, core: &Core<T>) {
        if let Some((ticket, _)) = self.placed {
            core.with(|state, fx| state.resume(ticket, fx));
        }
    }

    pub(super) fn is_stirred(&self, core: &Core<T>) -> bool {
        self.placed.is_some_and(|(_, mark)| core.offers.is_stirred(mark))
    }
}

/// Waiting for a permit.
#[derive(Debug, Default)]
pub(super) struct Reserving {
    at: Option<Ticket>,
    mark: Option<Mark>,
    is_seated: bool,
}

impl Reserving {
    pub(super) fn step<T>(&mut self, core: &Core<T>, look: Look<'_>) -> Poll<Result<Ticket, Why>> {
        let mut glance = glance(look, self.is_seated);
        let found = look_with_waker!(
            glance,
            core.with_prize(|state, fx| {
                let found = state.reserve(&mut self.at, &mut glance, fx);
                self.mark = self.at.map(|at| core.offers.mark(at.index));
                found
            })
        );
        match found {
            Found::Done(taker) => Poll::Ready(Ok(taker)),
            Found::Ended(why) => Poll::Ready(Err(why)),
            _ => {
                self.is_seated |= look.waker.is_some();
                Poll::Pending
            }
        }
    }

    pub(super) fn give_up<T>(&mut self, core: &Core<T>) {
        self.is_seated = false;
        if let Some(ticket) = self.at.take() {
            drop(core.with(|state, fx| state.take_back(ticket, fx)));
        }
    }

    pub(super) fn is_stirred<T>(&self, core: &Core<T>) -> bool {
        self.mark.is_some_and(|mark| core.offers.is_stirred(mark))
    }
}

/// Waiting for the end.
#[derive(Debug, Default)]
pub(super) struct Watching {
    at: Option<Ticket>,
    is_seated: bool,
}

impl Watching {
    pub(super) fn step<T>(&mut self, core: &Core<T>, look: Look<'_>) -> Poll<Why> {
        let mut glance = glance(look, self.is_seated);
        let found = look_with_waker!(
            glance,
            core.with(|state, fx| state.watch(&mut self.at, &mut glance, fx))
        );
        match found {
            Found::Done(why) => {
                self.give_up(core);
                Poll::Ready(why)
            }
            _ => {
                self.is_seated |= look.waker.is_some();
                Poll::Pending
            }
        }
    }

    pub(super) fn give_up<T>(&mut self, core: &Core<T>) {
        self.is_seated = false;
        if let Some(ticket) = self.at.take() {
            core.with(|state, fx| state.unwatch(ticket, fx));
        }
    }
}

/// Waiting for values, one after the other. `C` leads to the core: borrowed, or as an end of its own.
#[derive(Debug)]
pub(super) struct Taking<C> {
    pub(super) core: C,
    at: Option<Ticket>,
    mark: Option<Mark>,
    is_seated: bool,
    /// How long it leaves the offers that are there to others, who were called for them.
    patience: Option<Instant>,
    pace: Pace,
}

/// Far longer than a task takes to be polled, and short for who waits behind one that never will be.
const PATIENCE: Duration = Duration::from_millis(1);

impl<T, C: Deref<Target = Core<T>>> Taking<C> {
    pub(super) const fn new(core: C) -> Self {
        Self { core, at: None, mark: None, is_seated: false, patience: None, pace: Pace::new() }
    }

    fn give_up(&mut self) -> Option<T> {
        self.is_seated = false;
        let ticket = self.at.take()?;
        self.core.with(|state, fx| state.give_up(ticket, fx))
    }
}

impl<T, C: Deref<Target = Core<T>>> Step for Taking<C> {
    type Output = Result<T, Why>;

    #[inline]
    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        let core = &*self.core;
        let mut glance = glance(look, self.is_seated);
        glance.is_patient = !self.patience.is_some_and(sync::is_past);
        let found = look_with_waker!(
            glance,
            core.with_prize(|state, fx| {
                let found = state.receive(&mut self.at, &mut glance, fx);
                self.mark = self.at.map(|at| core.takers.mark(at.index));
                found
            })
        );
        match found {
            Found::Done(value) => {
                self.is_seated = false;
                Poll::Ready(Ok(value))
            }
            Found::Ended(why) => {
                self.is_seated = false;
                Poll::Ready(Err(why))
            }
            found => {
                self.is_seated |= look.waker.is_some();
                match (found, look.waker, look.stays) {
                    (Found::LookAgain, Some(waker), Some(Who::Task)) => waker.wake_by_ref(),
                    (Found::LookAgain, ..) => {
                        self.patience.get_or_insert_with(|| Instant::now() + PATIENCE);
                    }
                    _ => self.patience = None,
                }
                Poll::Pending
            }
        }
    }

    fn looks_again_at(&self) -> Option<Instant> {
        self.patience
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        // A thread may have been given its value since it looked.
        self.give_up().ok_or(why)
    }

    fn withdraw(&mut self) {
        drop(self.give_up());
    }

    fn retract(&mut self) {
        // A value is only given to a thread that cannot go away.
        self.withdraw();
    }

    #[inline]
    fn is_stirred(&self) -> bool {
        self.mark.is_some_and(|mark| self.core.takers.is_stirred(mark))
    }

    #[inline]
    fn is_peer_elsewhere(&mut self) -> bool {
        self.core.is_other_side_elsewhere(RECEIVERS)
    }

    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    fn fetch_pace(&mut self) {
        self.pace = self.core.pace(RECEIVERS);
    }

    fn store_pace(&mut self) {
        self.core.set_pace(RECEIVERS, self.pace);
    }
}
