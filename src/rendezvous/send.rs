//! `Sender::send` and `Sender::send_all`: a value on its way to a receiver.
#![allow(missing_debug_implementations, reason = "users meet the steps only inside of `Op`")]

use std::task::{Poll, Waker};

use super::channel::{Core, Place, SENDERS};
use super::state::{Outcome, State};
use crate::claim::ArmRef;
use crate::error::{Rest, SendError, Why, WriteError};
use crate::operation::Op;
use crate::point::Seat;
use crate::queue::Ticket;
use crate::step::{Attempt, ReclaimStep, SelectStep, Step};
use crate::sync::MutexGuard;

/// A value on its way.
///
/// | `value` | `at`          | the value is                                       |
/// |---------|---------------|----------------------------------------------------|
/// | some    | `New`         | the sender's, not offered yet                      |
/// | some    | `Permit`      | the same, and a receiver is kept for it            |
/// | none    | `Offered`     | in the sender's entry, or taken: the channel tells |
/// | none    | `New`         | taken, or there never was one                      |
pub(super) struct Sending<'a, T> {
    place: Place<&'a Core<T>, SENDERS>,
    value: Option<T>,
    at: At,
    is_registered: bool,
}

#[derive(Clone, Copy)]
enum At {
    New,
    Permit(Ticket),
    Offered(Ticket),
}

impl<'a, T> Sending<'a, T> {
    const fn new(core: &'a Core<T>, value: Option<T>, permit: Option<Ticket>) -> Self {
        let at = match permit {
            Some(receiver) => At::Permit(receiver),
            None => At::New,
        };
        let place = Place { core, version: None, seat: Seat::new() };
        Self { place, value, at, is_registered: false }
    }

    /// Whether it is neither to be offered nor on offer.
    #[inline]
    const fn is_through(&self) -> bool {
        self.value.is_none() && !matches!(self.at, At::Offered(_))
    }

    /// Whether the offer was surely taken; this takes no lock.
    #[inline]
    fn is_taken(&self) -> bool {
        self.place.version.is_some_and(|version| self.place.core.senders.is_taken(version))
    }

    #[inline(always)]
    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Result<(), Why>> {
        match self.at {
            At::Offered(_) if self.is_taken() => {
                self.at = At::New;
                Poll::Ready(Ok(()))
            }
            At::Offered(ticket) => self.check_offer(ticket, attempt),
            At::New => self.make_offer(attempt),
            At::Permit(receiver) => {
                let core = self.place.core;
                let (state, fresh) = core.begin(attempt.waker, true);
                self.make_offer_on(state, fresh, Some(receiver), attempt)
            }
        }
    }

    #[inline(always)]
    fn make_offer(&mut self, attempt: Attempt<'_>) -> Poll<Result<(), Why>> {
        let core = self.place.core;
        let (mut state, fresh) = core.begin(attempt.waker, !core.senders.keeps_wakers());
        if attempt.waiter.is_none() || !state.is_plain_for(attempt) {
            return self.make_offer_on(state, fresh, None, attempt);
        }
        let Some(value) = self.value.take() else { return Poll::Pending };
        let mut wakes = core.wake_one(attempt.waker, fresh);
        let (ticket, is_registered) = state.offer_plainly(value, &mut wakes);
        self.place.version = Some(core.senders.start(ticket.index, ticket.serial));
        self.at = At::Offered(ticket);
        self.is_registered = is_registered && attempt.waker.is_some();
        drop(state);
        wakes.run::<false>();
        if is_registered { Poll::Pending } else { self.check_offer(ticket, attempt) }
    }

    /// The long way of an offer.
    #[inline(never)]
    fn make_offer_on(
        &mut self,
        state: MutexGuard<'_, State<T>>,
        fresh: Option<Waker>,
        permit: Option<Ticket>,
        attempt: Attempt<'_>,
    ) -> Poll<Result<(), Why>> {
        let core = self.place.core;
        let (value, at, version) = (&mut self.value, &mut self.at, &mut self.place.version);
        let outcome =
            core.attempt_locked::<_, false>(state, attempt.waker, fresh, |state, wakes| {
                if attempt.may_enqueue {
                    *at = At::New; // A probing attempt keeps the permit.
                }
                let outcome = state.offer(value, permit, attempt, wakes);
                if let Outcome::Queued(ticket, _) = outcome {
                    *version = Some(core.senders.start(ticket.index, ticket.serial));
                    *at = At::Offered(ticket);
                }
                outcome
            });
        match outcome {
            Outcome::Done(()) => Poll::Ready(Ok(())),
            Outcome::Closed(why) => Poll::Ready(Err(why)),
            Outcome::Queued(ticket, false) => self.check_offer(ticket, attempt),
            Outcome::Queued(..) => {
                self.is_registered = attempt.waker.is_some();
                Poll::Pending
            }
            _ => Poll::Pending,
        }
    }

    #[inline(never)]
    fn check_offer(&mut self, ticket: Ticket, attempt: Attempt<'_>) -> Poll<Result<(), Why>> {
        let (core, version) = (self.place.core, &mut self.place.version);
        let outcome =
            core.attempt::<_, false>(attempt.waker, self.is_registered, |state, wakes| {
                let outcome = state.check_offer(ticket, attempt, wakes);
                if let Some(version) = version {
                    core.senders.refresh(version);
                }
                outcome
            });
        match outcome {
            Outcome::Done(()) => {
                self.at = At::New;
                Poll::Ready(Ok(()))
            }
            Outcome::Closed(why) => Poll::Ready(Err(why)),
            _ => {
                self.is_registered |= attempt.waker.is_some();
                Poll::Pending
            }
        }
    }

    /// Gives up: the value, if it was not taken.
    fn take_back(&mut self) -> Option<T> {
        self.rewind();
        self.release_permit();
        self.value.take()
    }

    fn release_permit(&mut self) {
        if let At::Permit(receiver) = self.at {
            self.at = At::New;
            self.place.core.with_received(|state, wakes| state.release(receiver, wakes));
        }
    }

    /// Withdraws the offer for now.
    fn rewind(&mut self) {
        let At::Offered(ticket) = self.at else { return };
        self.at = At::New;
        if !self.is_taken() {
            let core = self.place.core;
            self.value = core.with_received(|state, wakes| state.withdraw(ticket, wakes));
        }
        self.place.version = None;
    }

    /// Queues an offer again that was passed over.
    fn reregister(&self) {
        if let At::Offered(ticket) = self.at {
            self.place.core.with(|state, wakes| state.reregister(ticket, wakes));
        }
    }
}

/// Hands a value to a receiver: see [`Sender::send`](crate::Sender::send).
pub type Send<'a, T> = Op<SendStep<'a, T>>;

pub struct SendStep<'a, T> {
    sending: Sending<'a, T>,
}

impl<'a, T> SendStep<'a, T> {
    #[inline]
    pub(super) const fn new(core: &'a Core<T>, value: T, permit: Option<Ticket>) -> Self {
        Self { sending: Sending::new(core, Some(value), permit) }
    }
}

impl<'a, T> Step for SendStep<'a, T> {
    const NAME: &'static str = "Sender::send";
    type Output = Result<(), SendError<T>>;
    type Waiter = Place<&'a Core<T>, SENDERS>;

    #[inline(always)]
    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        if self.sending.is_through() {
            return Poll::Ready(Ok(())); // The value was taken before the arm could be rewound.
        }
        let sent = self.sending.step(attempt);
        sent.map_err(|why| SendError::new(why, self.sending.take_back()))
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        match self.sending.take_back() {
            Some(value) => Err(SendError::new(why, Some(value))),
            None => Ok(()), // The value was taken since the last attempt.
        }
    }

    fn withdraw(&mut self) {
        drop(self.sending.take_back());
    }

    #[inline]
    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.sending.place
    }
}

impl<T> SelectStep for SendStep<'_, T> {
    fn needs_claim(&self) -> bool {
        true
    }

    fn rewind(&mut self) {
        self.sending.rewind();
    }

    fn release(&mut self) {
        self.sending.rewind();
        self.sending.release_permit();
    }

    fn reregister(&mut self) {
        self.sending.reregister();
    }
}

impl<T> ReclaimStep for SendStep<'_, T> {
    type Value = T;

    fn reclaim(&mut self) -> Option<T> {
        self.sending.take_back()
    }
}

/// Hands over the items of an iterator, one after the other: see [`Sender::send_all`](crate::Sender::send_all).
pub type SendEach<'a, I> = Op<SendEachStep<'a, I>>;

pub struct SendEachStep<'a, I: Iterator> {
    items: Option<I>,
    sending: Sending<'a, I::Item>,
}

impl<'a, I: Iterator> SendEachStep<'a, I> {
    pub(super) const fn new(core: &'a Core<I::Item>, items: I) -> Self {
        Self { items: Some(items), sending: Sending::new(core, None, None) }
    }

    fn fail(&mut self, why: Why, unsent: Option<I::Item>) -> Result<(), WriteError<I>> {
        Err(WriteError::new(why, Rest::new(Vec::from_iter(unsent), None, self.items.take())))
    }
}

impl<'a, I: Iterator> Step for SendEachStep<'a, I> {
    const NAME: &'static str = "Sender::send_all";
    type Output = Result<(), WriteError<I>>;
    type Waiter = Place<&'a Core<I::Item>, SENDERS>;

    #[inline(always)]
    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        // One item taken does not complete the operation, and so does not win the claim of a `select`.
        let attempt = Attempt { arm: attempt.arm.map(ArmRef::unclaimed), ..attempt };
        loop {
            if self.sending.is_through() {
                match self.items.as_mut().and_then(Iterator::next) {
                    Some(item) => {
                        self.sending = Sending::new(self.sending.place.core, Some(item), None);
                    }
                    None => return Poll::Ready(Ok(())),
                }
            }
            match self.sending.step(attempt) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(why)) => {
                    let unsent = self.sending.take_back();
                    return Poll::Ready(self.fail(why, unsent));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        // The item on offer may have been taken since the last attempt: was it the last one?
        let unsent = self.sending.take_back().or_else(|| self.items.as_mut()?.next());
        if unsent.is_some() { self.fail(why, unsent) } else { Ok(()) }
    }

    fn withdraw(&mut self) {
        drop(self.sending.take_back());
    }

    #[inline]
    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.sending.place
    }
}

impl<I: Iterator> SelectStep for SendEachStep<'_, I> {
    fn needs_claim(&self) -> bool {
        true
    }

    fn rewind(&mut self) {
        self.sending.rewind();
    }

    fn reregister(&mut self) {
        self.sending.reregister();
    }
}
