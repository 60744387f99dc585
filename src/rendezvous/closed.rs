//! `Sender::closed` and `Receiver::closed`: waiting for the end of the channel.
#![allow(missing_debug_implementations, reason = "users meet it only inside of `Op`")]

use std::task::Poll;

use super::channel::Core;
use super::state::Outcome;
use crate::error::{RecvError, Why};
use crate::operation::Op;
use crate::point::{ChannelId, Seat};
use crate::queue::Ticket;
use crate::step::{Attempt, SelectStep, Step, Unhurried};

/// Waits for the end: see [`Sender::closed`](crate::Sender::closed) and [`Receiver::closed`](crate::Receiver::closed).
pub type Closed<'a, T> = Op<ClosedStep<'a, T>>;

pub struct ClosedStep<'a, T> {
    core: &'a Core<T>,
    at: Option<Ticket>,
    is_registered: bool,
    waiter: Unhurried,
}

impl<'a, T> ClosedStep<'a, T> {
    pub(super) fn new(core: &'a Core<T>) -> Self {
        let (channel, seat) = (ChannelId::of(core), Seat::new());
        let waiter = Unhurried { can_never_go_on: false, channel, seat };
        Self { core, at: None, is_registered: false, waiter }
    }
}

impl<T> Step for ClosedStep<'_, T> {
    const NAME: &'static str = "closed";
    type Output = Result<Why, RecvError>;
    type Waiter = Unhurried;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        let (core, at) = (self.core, &mut self.at);
        let outcome =
            core.attempt::<_, false>(attempt.waker, self.is_registered, |state, wakes| {
                state.watch(at, attempt, wakes)
            });
        match outcome {
            Outcome::Done(why) => {
                self.withdraw();
                Poll::Ready(Ok(why))
            }
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
            self.core.with(|state, wakes| state.unwatch(ticket, wakes));
        }
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.waiter
    }
}

impl<T> SelectStep for ClosedStep<'_, T> {
    fn rewind(&mut self) {
        self.withdraw();
    }
}
