//! A choice: how a `select` attempts its arms, in random order.
//!
//! 1. First each arm probes: no arm is queued for that. If one is done, so is the select.
//! 2. Then each arm is queued and registers the waker. From now on the party has a claim (see `claim`), if an arm needs one.
//! 3. Each further attempt begins by the claim: while the party attempts its arms, no peer can make one of them happen.
//!
//! | an attempt finds        | it does                                                                        |
//! |-------------------------|--------------------------------------------------------------------------------|
//! | the claim won by an arm | attempts that arm, which is done                                               |
//! | an arm done             | leaves the claim registering, and cancels the other arms                       |
//! | nothing                 | lets the claim wait, and queues the arms again that were passed over meanwhile |
//!
//! A loop over the arms is not broken off by the panic of one (see `panics`): each is rewound, cancelled or queued again.
//!
//! Only `Attempted` depends on the types of the arms: the rest is compiled once, and not for each `select` of a program.

use std::cell::Cell;
use std::task::Poll;
use std::time::Instant;

use super::arms::{ArmOp, Arms};
use super::order::Order;
use crate::claim::{ArmRef, Claim};
use crate::panics::FirstPanic;
use crate::point::{ChannelId, Origin, Seat};
use crate::step::{Attempt, PutMode};
use crate::sync::{self, Arc};
use crate::wait::{AdaptiveSpin, WaiterKind};

/// The arms of a choice, whatever their type. `rewind` and `cancel`, which each select calls, go over the arms where their type is known: one more indirect call for each arm costs
/// a select 5 % of its instructions, and more if it has many.
pub(super) trait AnyArms {
    fn count(&self) -> usize;

    /// Attempts one arm, and keeps its output. Tells whether it is done.
    fn attempt(&mut self, number: usize, attempt: Attempt<'_>) -> bool;

    /// Calls `rewind` of each arm. A panic of one leaves out no other.
    fn rewind(&mut self) -> FirstPanic;

    /// Withdraws each arm that is not done. A panic of one leaves out no other.
    fn cancel(&mut self) -> FirstPanic;

    fn each(&mut self, f: &mut dyn FnMut(&mut dyn ArmOp));
}

// What is done to each arm, as functions, so that they are not compiled anew for each type of `Arms`.

#[inline]
fn rewinding(panic: &mut FirstPanic) -> impl FnMut(&mut dyn ArmOp) {
    |arm| _ = panic.run(|| arm.rewind())
}

#[inline]
fn cancelling(panic: &mut FirstPanic) -> impl FnMut(&mut dyn ArmOp) {
    |arm| _ = panic.run(|| arm.cancel())
}

/// Queues each arm again that was passed over.
fn reregister(arms: &mut dyn AnyArms) -> FirstPanic {
    let mut panic = FirstPanic::default();
    arms.each(&mut |arm| _ = panic.run(|| arm.reregister()));
    panic
}

/// Whether there are arms, and each waits for a peer that this very thread drives.
pub(super) fn none_can_go_on(arms: &mut dyn AnyArms) -> bool {
    let mut is_stuck = arms.count() > 0;
    arms.each(&mut |arm| is_stuck &= arm.can_never_go_on());
    is_stuck
}

pub(super) fn earliest_recheck(arms: &mut dyn AnyArms) -> Option<Instant> {
    let mut earliest: Option<Instant> = None;
    arms.each(&mut |arm| earliest = earliest.into_iter().chain(arm.recheck_at()).min());
    earliest
}

pub(super) fn each_target(arms: &mut dyn AnyArms, f: &mut dyn FnMut(Origin, ChannelId)) {
    arms.each(&mut |arm| arm.each_target(f));
}

/// Arms, with the output of the one that is done.
pub(super) struct Attempted<'a, A: Arms> {
    arms: &'a mut A,
    pub(super) output: Option<A::Output>,
}

impl<'a, A: Arms> Attempted<'a, A> {
    #[inline]
    pub(super) const fn new(arms: &'a mut A) -> Self {
        Self { arms, output: None }
    }
}

impl<A: Arms> AnyArms for Attempted<'_, A> {
    fn count(&self) -> usize {
        self.arms.count()
    }

    #[inline]
    fn attempt(&mut self, number: usize, attempt: Attempt<'_>) -> bool {
        let polled = self.arms.attempt(number, attempt);
        let is_done = polled.is_ready();
        if let Poll::Ready(output) = polled {
            self.output = Some(output);
        }
        is_done
    }

    fn rewind(&mut self) -> FirstPanic {
        let mut panic = FirstPanic::default();
        self.arms.each(&mut rewinding(&mut panic));
        panic
    }

    fn cancel(&mut self) -> FirstPanic {
        let mut panic = FirstPanic::default();
        self.arms.each(&mut cancelling(&mut panic));
        panic
    }

    fn each(&mut self, f: &mut dyn FnMut(&mut dyn ArmOp)) {
        self.arms.each(&mut |arm| f(arm));
    }
}

/// What a choice is beside its arms.
pub(super) struct Choice {
    claim: Option<Arc<Claim>>,
    order: Order,
    is_biased: bool,
    is_queued: bool,
    /// For reports.
    done_arm: DoneArm,
    seat: Seat,
}

impl Choice {
    #[inline]
    pub(super) fn new() -> Self {
        let (claim, order) = (None, Order::new());
        let (is_biased, is_queued, done_arm) = (false, false, DoneArm::default());
        Self { claim, order, is_biased, is_queued, done_arm, seat: Seat::new() }
    }

    pub(super) const fn set_biased(&mut self) {
        self.is_biased = true;
    }

    /// Whether a peer has made one of the arms happen.
    #[inline]
    pub(super) fn is_won(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.is_won())
    }

    pub(super) fn done_arm(&self) -> Option<usize> {
        self.done_arm.get()
    }

    #[inline]
    pub(super) const fn seat(&mut self) -> &mut Seat {
        &mut self.seat
    }

    /// Attempts one arm; if it is done, so is the select.
    fn attempt_arm(&mut self, arms: &mut dyn AnyArms, number: usize, attempt: Attempt<'_>) -> bool {
        let claim = self.claim.as_ref();
        let arm = claim.and_then(|claim| Some(ArmRef::new(claim, number.try_into().ok()?)));
        let is_done = arms.attempt(number, Attempt { arm, ..attempt });
        if is_done {
            self.done_arm.set(number);
            // The claim stays registering: no offer of the other arms is taken before they are cancelled. A panic of theirs must not take
            // away what this arm has brought.
            arms.cancel().swallow();
        }
        is_done
    }

    /// Attempts each arm until one is done.
    fn attempt_all(&mut self, arms: &mut dyn AnyArms, attempt: Attempt<'_>) -> bool {
        let mut order = std::mem::take(&mut self.order);
        let is_done = order
            .any(arms.count(), self.is_biased, |number| self.attempt_arm(arms, number, attempt));
        self.order = order;
        is_done
    }

    /// Begins to attempt the arms; or attempts the one that has won the claim, which is done.
    pub(super) fn begin(&mut self, arms: &mut dyn AnyArms) -> bool {
        let won = self.claim.as_ref().and_then(|claim| claim.begin().err());
        won.is_some_and(|arm| self.attempt_arm(arms, arm as usize, Attempt::ONCE))
    }

    pub(super) fn step(&mut self, arms: &mut dyn AnyArms, attempt: Attempt<'_>) -> bool {
        let waiter = match attempt.waiter {
            Some(WaiterKind::Thread) => Some(WaiterKind::Selecting),
            waiter => waiter,
        };
        let attempt = Attempt { put_mode: PutMode::Revocable, waiter, ..attempt };
        if !self.is_queued {
            arms.rewind().resume();
            let is_done =
                self.attempt_all(arms, Attempt { waker: None, may_enqueue: false, ..attempt });
            if is_done || attempt.waiter.is_none() {
                return is_done;
            }
            self.is_queued = true;
            let (mut needs_claim, mut wants_permit) = (false, false);
            arms.each(&mut |arm| {
                needs_claim |= arm.needs_claim();
                wants_permit |= arm.wants_permit();
            });
            if needs_claim {
                self.claim = Some(Claim::new(wants_permit));
            }
        } else if self.begin(arms) {
            return true;
        }
        let is_done = self.attempt_all(arms, attempt);
        if !is_done && self.claim.as_ref().is_some_and(|claim| claim.end()) {
            reregister(arms).resume();
        }
        is_done
    }
}

/// The arm that is done, by its number; kept only for a model, which reports it.
#[derive(Clone, Copy, Debug, Default)]
struct DoneArm {
    /// One more than the number.
    #[cfg(feature = "model")]
    place: u32,
}

impl DoneArm {
    #[inline]
    #[cfg_attr(not(feature = "model"), allow(unused_variables, clippy::needless_pass_by_ref_mut))]
    fn set(&mut self, number: usize) {
        #[cfg(feature = "model")]
        {
            self.place = number as u32 + 1;
        }
    }

    #[allow(clippy::unused_self)]
    fn get(self) -> Option<usize> {
        #[cfg(feature = "model")]
        return (self.place as usize).checked_sub(1);
        #[cfg(not(feature = "model"))]
        None
    }
}

sync::thread_local! {
    /// A loop makes a new select for each round: what its thread has learned about spinning stays with the thread.
    static SPIN: Cell<AdaptiveSpin> = const { Cell::new(AdaptiveSpin::new()) };
}

pub(super) fn spin() -> AdaptiveSpin {
    SPIN.try_with(Cell::get).unwrap_or(AdaptiveSpin::new())
}

pub(super) fn set_spin(spin: AdaptiveSpin) {
    _ = SPIN.try_with(|kept| kept.set(spin));
}
