//! `Sender::reserve`: a receiver that stands ready, kept for one value.

use std::fmt;
use std::mem;
use std::task::Poll;

use super::channel::{Core, Place, SENDERS};
use super::send::{Send, SendStep};
use super::state::Outcome;
use crate::error::{RecvError, Why};
use crate::operation::Op;
#[cfg(feature = "model")]
use crate::point::{self, ChannelId};
use crate::point::{Name, Seat};
use crate::queue::Ticket;
use crate::step::{Attempt, SelectStep, Step};

/// Waits until a receiver stands ready: see [`Sender::reserve`](crate::Sender::reserve).
pub type Reserve<'a, T> = Op<ReserveStep<'a, T>>;

#[allow(missing_debug_implementations, reason = "users meet it only inside of `Op`")]
pub struct ReserveStep<'a, T> {
    place: Place<&'a Core<T>, SENDERS>,
    at: Option<Ticket>,
    is_registered: bool,
}

impl<'a, T> ReserveStep<'a, T> {
    pub(super) const fn new(core: &'a Core<T>) -> Self {
        let place = Place { core, version: None, seat: Seat::new() };
        Self { place, at: None, is_registered: false }
    }
}

impl<'a, T> Step for ReserveStep<'a, T> {
    const NAME: &'static str = "Sender::reserve";
    type Output = Result<Permit<'a, T>, RecvError>;
    type Waiter = Place<&'a Core<T>, SENDERS>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        let core = self.place.core;
        let (place, at) = (&mut self.place, &mut self.at);
        let outcome = core.attempt::<_, true>(attempt.waker, self.is_registered, |state, wakes| {
            let outcome = state.reserve(at, attempt, wakes);
            place.see(at.map(|at| at.index));
            outcome
        });
        match outcome {
            Outcome::Done(receiver) => Poll::Ready(Ok(Permit { core, receiver: Some(receiver) })),
            Outcome::Closed(why) => Poll::Ready(self.expire(why)),
            _ => {
                self.is_registered |= attempt.waker.is_some();
                Poll::Pending
            }
        }
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        self.is_registered = false;
        if let Some(ticket) = self.at.take() {
            self.place.core.with(|state, wakes| drop(state.withdraw(ticket, wakes)));
        }
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.place
    }
}

impl<T> SelectStep for ReserveStep<'_, T> {
    fn needs_claim(&self) -> bool {
        true
    }

    fn wants_permit(&self) -> bool {
        true
    }

    fn rewind(&mut self) {
        self.withdraw();
    }

    fn reregister(&mut self) {
        if self.at.is_some() {
            self.place.core.with(|state, wakes| state.pair(wakes));
        }
    }
}

/// A receiver that stands ready, kept for one value. See [`Sender::reserve`](crate::Sender::reserve).
///
/// While the permit is kept, so is its receiver, which gets nothing from any other sender: use it, or drop it, soon. When it is dropped, the
/// receiver is free for the next sender.
#[must_use = "a permit keeps a receiver waiting: send by it, or drop it"]
pub struct Permit<'a, T> {
    core: &'a Core<T>,
    receiver: Option<Ticket>,
}

impl<'a, T> Permit<'a, T> {
    /// Hands a value to the receiver that stands ready: a thread has it at once, a task takes it when it is polled.
    ///
    /// If that receiver has gone meanwhile, the value is on offer to the next one, before all other offers.
    ///
    /// # Cancel safety
    ///
    /// As [`Sender::send`](crate::Sender::send): dropping it withdraws the value if no receiver has taken it, and the receiver is free for the next sender; else the value
    /// is delivered, and to send it again is to send it twice.
    ///
    /// ```
    /// use futures_lite::future::poll_once;
    ///
    /// let (tx, rx) = handover::rendezvous();
    /// # pollster::block_on(async {
    /// let mut recv = rx.recv();
    /// assert!(poll_once(&mut recv).await.is_none());
    ///
    /// let permit = tx.reserve().await.unwrap();
    /// let mut send = permit.send("made only now");
    /// assert!(poll_once(&mut send).await.is_none());
    /// assert_eq!(recv.await, Ok("made only now"));
    /// assert!(send.await.is_ok());
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn send(mut self, value: T) -> Send<'a, T> {
        let receiver = mem::take(&mut self.receiver);
        Op::new(SendStep::new(self.core, value, receiver), const { Name::of("Permit::send") })
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        if let Some(receiver) = self.receiver.take() {
            #[cfg(feature = "model")]
            if point::is_live() {
                point::leave(const { Name::of("Permit") }, ChannelId::of(self.core), Why::Dropped);
            }
            self.core.with(|state, wakes| state.release(receiver, wakes));
        }
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
