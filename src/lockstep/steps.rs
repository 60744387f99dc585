//! The operations of the two ends in lockstep, as steps.
#![allow(missing_debug_implementations, reason = "users meet them only inside of `Op`")]

use std::task::{Poll, ready};

use super::{Client, ClientHalf, Message, Server, ServerHalf};
use crate::error::{RecvError, Rest, SendError, Why, WriteError};
use crate::operation::Op;
use crate::panics;
use crate::slot::{Outgoing, SlotState};
use crate::step::{Attempt, ReclaimStep, SelectStep, Step};

/// Waits for a demand: see [`Server::demand`].
pub type Demand<'a, T, U> = Op<DemandStep<'a, T, U>>;

pub struct DemandStep<'a, T, U> {
    pub(super) server: &'a mut Server<T, U>,
}

impl<T, U> Step for DemandStep<'_, T, U> {
    const NAME: &'static str = "Server::demand";
    type Output = Result<U, RecvError>;
    type Waiter = ServerHalf<T, U>;

    #[inline(always)]
    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        self.server.take_demand(attempt).map_err(RecvError::new)
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        self.server.half.unregister();
    }

    #[inline]
    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.server.half
    }
}

impl<T, U> SelectStep for DemandStep<'_, T, U> {}

impl<T, U> Outgoing<Message<T, U>> {
    /// Puts the answer when there is a demand, and takes the next demand.
    #[inline(always)]
    fn exchange(
        &mut self,
        half: &mut ServerHalf<T, U>,
        attempt: Attempt<'_>,
    ) -> Poll<Result<U, Why>> {
        loop {
            let state = half.load_state();
            if let Some(why) = half.peer_end() {
                return Poll::Ready(Err(why));
            }
            match state {
                SlotState::MyTurn => {
                    if self.put(half, attempt) {
                        return Poll::Pending;
                    }
                }
                SlotState::Received => {
                    let demand = half.take().and_then(Message::demand);
                    if self.is_put() && demand.is_some() {
                        self.set_taken();
                        return Poll::Ready(demand.ok_or(Why::OutOfTurn));
                    }
                }
                SlotState::Sent | SlotState::PeerTurn => {
                    if half.is_pending(attempt) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

/// Answers and waits for the next demand: see [`Server::exchange`] and [`Server::send`].
pub type Exchange<'a, T, U> = Op<ExchangeStep<'a, T, U>>;

pub struct ExchangeStep<'a, T, U> {
    pub(super) server: &'a mut Server<T, U>,
    pub(super) answer: Outgoing<Message<T, U>>,
}

impl<T, U> Step for ExchangeStep<'_, T, U> {
    const NAME: &'static str = "Server::exchange or Server::send";
    type Output = Result<U, SendError<T>>;
    type Waiter = ServerHalf<T, U>;

    #[inline(always)]
    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        let answered = ready!(self.answer.exchange(&mut self.server.half, attempt));
        Poll::Ready(answered.map_err(|why| SendError::new(why, self.reclaim())))
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        Err(SendError::new(why, self.reclaim()))
    }

    fn withdraw(&mut self) {
        drop(self.reclaim());
    }

    #[inline]
    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.server.half
    }
}

impl<T, U> SelectStep for ExchangeStep<'_, T, U> {
    fn rewind(&mut self) {
        self.answer.rewind(&mut self.server.half);
    }
}

impl<T, U> ReclaimStep for ExchangeStep<'_, T, U> {
    type Value = T;

    fn reclaim(&mut self) -> Option<T> {
        self.answer.take_back(&mut self.server.half).and_then(Message::answer)
    }
}

/// Answers, and is done when the client has taken it: see [`Server::answer`].
pub type Answer<'a, T, U> = Op<AnswerStep<'a, T, U>>;

pub struct AnswerStep<'a, T, U> {
    pub(super) server: &'a mut Server<T, U>,
    pub(super) answer: Outgoing<Message<T, U>>,
}

impl<T, U> Step for AnswerStep<'_, T, U> {
    const NAME: &'static str = "Server::answer";
    type Output = Result<(), SendError<T>>;
    type Waiter = ServerHalf<T, U>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        loop {
            let half = &mut self.server.half;
            let state = half.load_state();
            if self.answer.is_through() || (self.answer.is_sent() && state != SlotState::Sent) {
                self.answer.set_taken();
                return Poll::Ready(Ok(()));
            }
            if let Some(why) = half.peer_end() {
                return Poll::Ready(self.expire(why));
            }
            match state {
                SlotState::MyTurn => {
                    if self.answer.put_telling(half, attempt) {
                        return Poll::Pending;
                    }
                }
                // The answer before this one has not been followed by a demand yet: what comes up with that is dropped.
                SlotState::Received => drop(half.take()),
                SlotState::Sent | SlotState::PeerTurn => {
                    if half.is_pending(attempt) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        match self.reclaim() {
            None => Ok(()), // The client has taken it since the last attempt.
            unsent => Err(SendError::new(why, unsent)),
        }
    }

    fn withdraw(&mut self) {
        drop(self.reclaim());
    }

    #[inline]
    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.server.half
    }
}

impl<T, U> SelectStep for AnswerStep<'_, T, U> {
    fn rewind(&mut self) {
        self.answer.rewind(&mut self.server.half);
    }
}

impl<T, U> ReclaimStep for AnswerStep<'_, T, U> {
    type Value = T;

    fn reclaim(&mut self) -> Option<T> {
        self.answer.take_back(&mut self.server.half).and_then(Message::answer)
    }
}

/// Sends the items of an iterator, each on demand: see [`Server::send_all`].
pub type SendAll<'a, I> = Op<SendAllStep<'a, I>>;

pub struct SendAllStep<'a, I: Iterator> {
    pub(super) server: &'a mut Server<I::Item>,
    pub(super) items: Option<I>,
    pub(super) answer: Outgoing<Message<I::Item, ()>>,
}

impl<I: Iterator> Step for SendAllStep<'_, I> {
    const NAME: &'static str = "Server::send_all";
    type Output = Result<(), WriteError<I>>;
    type Waiter = ServerHalf<I::Item, ()>;

    #[inline(always)]
    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        loop {
            let demanded = if self.answer.is_through() {
                // The iterator makes nothing before it is asked for. Out of turn means that a demand is in hand already.
                match ready!(self.server.take_demand(attempt)) {
                    Err(Why::OutOfTurn) => Ok(()),
                    opened => opened,
                }
            } else {
                ready!(self.answer.exchange(&mut self.server.half, attempt))
            };
            if let Err(why) = demanded {
                return Poll::Ready(self.expire(why));
            }
            match self.items.as_mut().and_then(Iterator::next) {
                Some(item) => self.answer = Outgoing::new(Message::Answer(item)),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        let unsent = self.answer.take_back(&mut self.server.half).and_then(Message::answer);
        Err(WriteError::new(why, Rest::new(Vec::from_iter(unsent), None, self.items.take())))
    }

    fn withdraw(&mut self) {
        drop(self.answer.take_back(&mut self.server.half));
    }

    #[inline]
    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.server.half
    }
}

impl<I: Iterator> SelectStep for SendAllStep<'_, I> {
    fn rewind(&mut self) {
        self.answer.rewind(&mut self.server.half);
    }
}

/// Asks with a value and waits for the answer: see [`Client::exchange`].
pub type Ask<'a, T, U> = Op<AskStep<'a, T, U>>;

pub struct AskStep<'a, T, U> {
    pub(super) client: &'a mut Client<T, U>,
    pub(super) demand: Outgoing<Message<T, U>>,
}

impl<T, U> Step for AskStep<'_, T, U> {
    const NAME: &'static str = "Client::exchange";
    type Output = Result<T, SendError<U>>;
    type Waiter = ClientHalf<T, U>;

    #[inline(always)]
    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        loop {
            let half = &mut self.client.half;
            let state = half.load_state();
            if self.demand.is_here() && state == SlotState::MyTurn && half.peer_end().is_none() {
                if self.demand.put(half, attempt) {
                    return Poll::Pending;
                }
            } else if self.demand.is_put() && state == SlotState::Received {
                if let Some(item) = half.take().and_then(Message::answer) {
                    self.demand.set_taken();
                    return Poll::Ready(Ok(item));
                }
            } else if state == SlotState::Received {
                return Poll::Ready(self.expire(Why::OutOfTurn));
            } else if let Some(why) = half.peer_end() {
                // The item that the server left behind answers this demand, which it did not want to see.
                return Poll::Ready(match self.client.final_item_or_end(why) {
                    Ok(item) => {
                        // A panic of the demand's destructor ends here: the item would be lost.
                        panics::swallow(|| drop(self.reclaim()));
                        Ok(item)
                    }
                    Err(why) => self.expire(why),
                });
            } else if !self.demand.is_put() {
                return Poll::Ready(self.expire(Why::OutOfTurn));
            } else if half.is_pending(attempt) {
                return Poll::Pending;
            }
        }
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        Err(SendError::new(why, self.reclaim()))
    }

    fn withdraw(&mut self) {
        drop(self.reclaim());
    }

    #[inline]
    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.client.half
    }
}

impl<T, U> SelectStep for AskStep<'_, T, U> {
    fn rewind(&mut self) {
        self.demand.rewind(&mut self.client.half);
    }
}

impl<T, U> ReclaimStep for AskStep<'_, T, U> {
    type Value = U;

    fn reclaim(&mut self) -> Option<U> {
        self.demand.take_back(&mut self.client.half).and_then(Message::demand)
    }
}

/// Waits for an item or an answer: see [`Client::recv`] and [`Client::owed`].
pub type Recv<'a, T, U> = Op<RecvStep<'a, T, U>>;

pub struct RecvStep<'a, T, U> {
    pub(super) client: &'a mut Client<T, U>,
    /// The demand to put if none is outstanding.
    pub(super) demand: Option<Message<T, U>>,
}

impl<T, U> Step for RecvStep<'_, T, U> {
    const NAME: &'static str = "Client::recv or Client::owed";
    type Output = Result<T, RecvError>;
    type Waiter = ClientHalf<T, U>;

    #[inline(always)]
    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        self.client.receive(&mut self.demand, attempt).map_err(RecvError::new)
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        self.client.half.unregister();
    }

    #[inline]
    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.client.half
    }
}

impl<T, U> SelectStep for RecvStep<'_, T, U> {}
