//! The operations of the two ends in lockstep, as steps.

use std::mem;
use std::task::{Poll, ready};

use super::{Client, Mail, Server};
use crate::error::{RecvError, Rest, SendError, Why, WriteError};
use crate::step::{Look, Step, operation, waits_with};
use crate::turn::{Answerer, Sight};

/// Waits for a demand: see [`Server::demand`].
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct Demand<'a, T, U> {
    pub(super) server: &'a mut Server<T, U>,
    pub(super) done: bool,
}

operation!(impl['a, T, U] Demand<'a, T, U> => Result<U, RecvError>, "Server::demand");

impl<T, U> Step for Demand<'_, T, U> {
    type Output = Result<U, RecvError>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        self.server.take_demand(look).map_err(RecvError::new)
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        self.server.half.unwait();
    }

    waits_with!(server);
}

/// An item on its way to the client: not yet put, put, or (after the next demand) through.
pub(super) struct Answer<T, U> {
    item: Option<Mail<T, U>>,
    is_put: bool,
}

impl<T, U> Answer<T, U> {
    pub(super) fn new(item: T) -> Self {
        Self { item: Some(Mail::Down(item)), is_put: false }
    }

    pub(super) fn none() -> Self {
        Self { item: None, is_put: false }
    }

    fn is_through(&self) -> bool {
        self.item.is_none() && !self.is_put
    }

    /// Puts the item when there is a demand, and takes the next demand.
    fn step(&mut self, half: &mut Answerer<Mail<T, U>>, look: Look<'_>) -> Poll<Result<U, Why>> {
        loop {
            let sight = half.look();
            if let Some(why) = half.peer_end() {
                return Poll::Ready(Err(why));
            }
            match sight {
                Sight::Mine => {
                    self.is_put = true;
                    if half.put(&mut self.item, look.how, look.waker) {
                        return Poll::Pending;
                    }
                    self.is_put = false;
                }
                Sight::Mail => {
                    let demand = half.take().and_then(Mail::up);
                    if self.is_put && demand.is_some() {
                        self.is_put = false;
                        return Poll::Ready(demand.ok_or(Why::OutOfTurn));
                    }
                }
                Sight::Put | Sight::Theirs => {
                    if look.is_left_with(half) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Takes the item back for now, if it was not taken.
    fn retract(&mut self, half: &mut Answerer<Mail<T, U>>) {
        if self.is_put {
            self.item = half.withdraw();
            self.is_put = self.item.is_none();
        }
    }

    /// Gives up on it: the item, if it was not taken.
    fn take_back(&mut self, half: &mut Answerer<Mail<T, U>>) -> Option<T> {
        half.unwait();
        let put = if mem::take(&mut self.is_put) { half.withdraw() } else { None };
        self.item.take().or(put).and_then(Mail::down)
    }
}

/// Answers and waits for the next demand: see [`Server::exchange`] and [`Server::send`].
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct Exchange<'a, T, U> {
    pub(super) server: &'a mut Server<T, U>,
    pub(super) answer: Answer<T, U>,
    pub(super) done: bool,
}

operation!(impl['a, T, U] Exchange<'a, T, U> => Result<U, SendError<T>>, "Server::exchange or Server::send");

impl<T, U> Exchange<'_, T, U> {
    /// Gives up on it: the item, if the client has not taken it.
    pub fn reclaim(mut self) -> Option<T> {
        self.take_back()
    }

    fn take_back(&mut self) -> Option<T> {
        self.answer.take_back(&mut self.server.half)
    }
}

impl<T, U> Step for Exchange<'_, T, U> {
    type Output = Result<U, SendError<T>>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        let answered = ready!(self.answer.step(&mut self.server.half, look));
        Poll::Ready(answered.map_err(|why| SendError::new(why, self.take_back())))
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        Err(SendError::new(why, self.take_back()))
    }

    fn withdraw(&mut self) {
        drop(self.take_back());
    }

    fn retract(&mut self) {
        self.answer.retract(&mut self.server.half);
    }

    waits_with!(server);
}

/// Sends the items of an iterator, each on demand: see [`Server::send_all`].
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct SendAll<'a, I: Iterator> {
    pub(super) server: &'a mut Server<I::Item>,
    pub(super) items: Option<I>,
    pub(super) answer: Answer<I::Item, ()>,
    pub(super) done: bool,
}

operation!(impl['a, I: Iterator] SendAll<'a, I> => Result<(), WriteError<I>>, "Server::send_all");

impl<I: Iterator> SendAll<'_, I> {
    fn fail(&mut self, why: Why) -> Result<(), WriteError<I>> {
        let unsent = self.answer.take_back(&mut self.server.half);
        Err(WriteError::new(why, Rest::new(Vec::from_iter(unsent), None, self.items.take())))
    }
}

impl<I: Iterator> Step for SendAll<'_, I> {
    type Output = Result<(), WriteError<I>>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        loop {
            let turn = if self.answer.is_through() {
                // Nothing is made before it is asked for: out of turn means that it has been.
                match ready!(self.server.take_demand(look)) {
                    Err(Why::OutOfTurn) => Ok(()),
                    opened => opened,
                }
            } else {
                ready!(self.answer.step(&mut self.server.half, look))
            };
            if let Err(why) = turn {
                return Poll::Ready(self.fail(why));
            }
            match self.items.as_mut().and_then(Iterator::next) {
                Some(item) => self.answer = Answer::new(item),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.fail(why)
    }

    fn withdraw(&mut self) {
        drop(self.answer.take_back(&mut self.server.half));
    }

    fn retract(&mut self) {
        self.answer.retract(&mut self.server.half);
    }

    waits_with!(server);
}

/// Asks with a value and waits for the answer: see [`Client::exchange`].
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct Ask<'a, T, U> {
    pub(super) client: &'a mut Client<T, U>,
    pub(super) demand: Option<Mail<T, U>>,
    pub(super) is_put: bool,
    pub(super) done: bool,
}

operation!(impl['a, T, U] Ask<'a, T, U> => Result<T, SendError<U>>, "Client::exchange");

impl<T, U> Ask<'_, T, U> {
    /// Gives up on it: the value, if the server has not taken it. If it has, an answer is owed: see [`Client::answer`].
    pub fn reclaim(mut self) -> Option<U> {
        self.take_back()
    }

    fn take_back(&mut self) -> Option<U> {
        let half = &mut self.client.half;
        half.unwait();
        let put = if mem::take(&mut self.is_put) { half.withdraw() } else { None };
        self.demand.take().or(put).and_then(Mail::up)
    }
}

impl<T, U> Step for Ask<'_, T, U> {
    type Output = Result<T, SendError<U>>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        loop {
            let half = &mut self.client.half;
            let sight = half.look();
            if self.demand.is_some() && sight == Sight::Mine && half.peer_end().is_none() {
                self.is_put = true;
                if half.put(&mut self.demand, look.how, look.waker) {
                    return Poll::Pending;
                }
                self.is_put = false;
            } else if self.is_put && sight == Sight::Mail {
                if let Some(item) = half.take().and_then(Mail::down) {
                    self.is_put = false;
                    return Poll::Ready(Ok(item));
                }
            } else if sight == Sight::Mail {
                return Poll::Ready(Err(SendError::new(Why::OutOfTurn, self.take_back())));
            } else if let Some(why) = half.peer_end() {
                // What was left answers this demand, which its server did not want to see.
                let last = self.client.last_words(why);
                let unsent = self.take_back();
                return Poll::Ready(last.map_err(|why| SendError::new(why, unsent)));
            } else if !self.is_put {
                return Poll::Ready(Err(SendError::new(Why::OutOfTurn, self.take_back())));
            } else if look.is_left_with(half) {
                return Poll::Pending;
            }
        }
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        Err(SendError::new(why, self.take_back()))
    }

    fn withdraw(&mut self) {
        drop(self.take_back());
    }

    fn retract(&mut self) {
        if self.is_put {
            self.demand = self.client.half.withdraw();
            self.is_put = self.demand.is_none();
        }
    }

    waits_with!(client);
}

/// Waits for an item or an answer: see [`Client::recv`] and [`Client::answer`].
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct Recv<'a, T, U> {
    pub(super) client: &'a mut Client<T, U>,
    pub(super) demand: Option<Mail<T, U>>,
    pub(super) done: bool,
}

operation!(impl['a, T, U] Recv<'a, T, U> => Result<T, RecvError>, "Client::recv or Client::answer");

impl<T, U> Recv<'_, T, U> {
    /// Lets go of it without taking its waker back: another one goes on waiting.
    #[inline]
    pub(crate) fn detach(mut self) {
        self.done = true;
    }
}

impl<T, U> Step for Recv<'_, T, U> {
    type Output = Result<T, RecvError>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        self.client.receive(&mut self.demand, look).map_err(RecvError::new)
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        self.client.half.unwait();
    }

    waits_with!(client);
}
