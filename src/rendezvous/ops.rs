//! The operations of a channel of many ends, as steps.

use std::fmt;
use std::mem;
use std::task::Poll;
use std::time::Instant;

use super::core::{Core, Reserving, SENDERS, Sending, Taking, Watching};
use super::line::Ticket;
use crate::claim::Share;
use crate::error::{RecvError, Rest, SendError, Why, WriteError};
use crate::step::{Look, Step, operation};
use crate::wait::Pace;

/// What the steps of all senders have in common.
macro_rules! sender {
    ($stirred:ident) => {
        #[inline]
        fn is_stirred(&self) -> bool {
            self.$stirred.is_stirred(self.core)
        }

        #[inline]
        fn is_peer_elsewhere(&mut self) -> bool {
            self.core.is_other_side_elsewhere(SENDERS)
        }

        fn pace(&mut self) -> &mut Pace {
            &mut self.pace
        }

        fn fetch_pace(&mut self) {
            self.pace = self.core.pace(SENDERS);
        }

        fn store_pace(&mut self) {
            self.core.set_pace(SENDERS, self.pace);
        }
    };
}

/// And of those that offer values.
macro_rules! offers {
    () => {
        fn withdraw(&mut self) {
            drop(self.sending.take_back(self.core));
        }

        fn retract(&mut self) {
            self.sending.retract(self.core);
        }

        fn give_way(&mut self) {
            self.sending.retract(self.core);
            self.sending.release(self.core);
        }

        fn wants_claim(&self) -> bool {
            true
        }

        fn resume(&mut self) {
            self.sending.resume(self.core);
        }
    };
}

/// Hands a value to a receiver: see [`Sender::send`](crate::Sender::send).
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct Send<'a, T> {
    core: &'a Core<T>,
    sending: Sending<T>,
    pace: Pace,
    done: bool,
}

operation!(impl['a, T] Send<'a, T> => Result<(), SendError<T>>, "Sender::send");

impl<'a, T> Send<'a, T> {
    pub(super) fn new(core: &'a Core<T>, value: T, permit: Option<Ticket>) -> Self {
        let sending = Sending::new(Some(value), permit);
        Self { core, sending, pace: Pace::new(), done: false }
    }

    /// Gives up on it: the value, if no receiver has taken it.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous();
    /// # pollster::block_on(async {
    /// let mut send = tx.send("a letter");
    /// assert!(futures_lite::future::poll_once(&mut send).await.is_none());
    /// assert_eq!(send.reclaim(), Some("a letter"));
    ///
    /// let mut send = tx.send("another");
    /// assert!(futures_lite::future::poll_once(&mut send).await.is_none());
    /// assert_eq!(rx.recv().await, Ok("another"));
    /// assert_eq!(send.reclaim(), None); // it was taken
    /// # });
    /// ```
    pub fn reclaim(mut self) -> Option<T> {
        self.sending.take_back(self.core)
    }
}

impl<T> Step for Send<'_, T> {
    type Output = Result<(), SendError<T>>;

    #[inline]
    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        if self.sending.is_through() {
            return Poll::Ready(Ok(())); // it was taken before it could be retracted
        }
        self.sending
            .step(self.core, look)
            .map_err(|why| SendError::new(why, self.sending.take_back(self.core)))
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        match self.sending.take_back(self.core) {
            Some(value) => Err(SendError::new(why, Some(value))),
            None => Ok(()), // taken since the last look
        }
    }

    offers!();
    sender!(sending);
}

/// Hands over the items of an iterator, one after the other: see [`Sender::send_all`](crate::Sender::send_all).
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct SendEach<'a, I: Iterator> {
    core: &'a Core<I::Item>,
    items: Option<I>,
    sending: Sending<I::Item>,
    pace: Pace,
    done: bool,
}

operation!(impl['a, I: Iterator] SendEach<'a, I> => Result<(), WriteError<I>>, "Sender::send_all");

impl<'a, I: Iterator> SendEach<'a, I> {
    pub(super) fn new(core: &'a Core<I::Item>, items: I) -> Self {
        let sending = Sending::new(None, None);
        Self { core, items: Some(items), sending, pace: Pace::new(), done: false }
    }

    fn fail(&mut self, why: Why) -> Result<(), WriteError<I>> {
        let unsent = self.sending.take_back(self.core);
        Err(WriteError::new(why, Rest::new(Vec::from_iter(unsent), None, self.items.take())))
    }
}

impl<I: Iterator> Step for SendEach<'_, I> {
    type Output = Result<(), WriteError<I>>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        // An item that is taken is not yet the whole.
        let look = Look { share: look.share.map(Share::freed), ..look };
        loop {
            if self.sending.is_through() {
                match self.items.as_mut().and_then(Iterator::next) {
                    Some(item) => self.sending = Sending::new(Some(item), None),
                    None => return Poll::Ready(Ok(())),
                }
            }
            match self.sending.step(self.core, look) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(why)) => return Poll::Ready(self.fail(why)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        let unsent = self.sending.take_back(self.core);
        // The item before was taken since the last look: was it the last one?
        match unsent.or_else(|| self.items.as_mut()?.next()) {
            Some(item) => Err(WriteError::new(why, Rest::new(vec![item], None, self.items.take()))),
            None => Ok(()),
        }
    }

    offers!();
    sender!(sending);
}

/// Waits until a receiver stands ready: see [`Sender::reserve`](crate::Sender::reserve).
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct Reserve<'a, T> {
    core: &'a Core<T>,
    reserving: Reserving,
    pace: Pace,
    done: bool,
}

operation!(impl['a, T] Reserve<'a, T> => Result<Permit<'a, T>, RecvError>, "Sender::reserve");

impl<'a, T> Reserve<'a, T> {
    pub(super) fn new(core: &'a Core<T>) -> Self {
        Self { core, reserving: Reserving::default(), pace: Pace::new(), done: false }
    }
}

impl<'a, T> Step for Reserve<'a, T> {
    type Output = Result<Permit<'a, T>, RecvError>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        let core = self.core;
        match self.reserving.step(core, look) {
            Poll::Ready(Ok(taker)) => Poll::Ready(Ok(Permit { core, taker: Some(taker) })),
            Poll::Ready(Err(why)) => {
                self.reserving.give_up(core);
                Poll::Ready(Err(RecvError::new(why)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        self.reserving.give_up(self.core);
    }

    fn retract(&mut self) {
        self.withdraw();
    }

    fn wants_claim(&self) -> bool {
        true
    }

    sender!(reserving);
}

/// A receiver that stands ready, kept for one value. See [`Sender::reserve`](crate::Sender::reserve).
///
/// While the permit is kept, so is its receiver, which gets nothing from anybody else: use it, or drop it, soon. Dropped, the
/// receiver is free for the next sender.
#[must_use = "a permit keeps a receiver waiting"]
pub struct Permit<'a, T> {
    core: &'a Core<T>,
    taker: Option<Ticket>,
}

impl<'a, T> Permit<'a, T> {
    /// Hands a value to the receiver that stands ready: a thread has it at once, a task takes it when it is polled.
    ///
    /// If that receiver has gone meanwhile, the value is on offer to the next one, before all other offers.
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
    pub fn send(mut self, value: T) -> Send<'a, T> {
        Send::new(self.core, value, mem::take(&mut self.taker))
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        if let Some(taker) = self.taker.take() {
            self.core.with(|state, fx| state.release(taker, fx));
        }
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// Waits for the end: see [`Sender::closed`](crate::Sender::closed) and [`Receiver::closed`](crate::Receiver::closed).
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct Closed<'a, T> {
    core: &'a Core<T>,
    watching: Watching,
    pace: Pace,
    done: bool,
}

operation!(impl['a, T] Closed<'a, T> => Result<Why, RecvError>, "closed");

impl<'a, T> Closed<'a, T> {
    pub(super) fn new(core: &'a Core<T>) -> Self {
        Self { core, watching: Watching::default(), pace: Pace::new(), done: false }
    }
}

impl<T> Step for Closed<'_, T> {
    type Output = Result<Why, RecvError>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        self.watching.step(self.core, look).map(Ok)
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        self.watching.give_up(self.core);
    }

    fn retract(&mut self) {
        self.withdraw();
    }

    fn is_stirred(&self) -> bool {
        false // an end may be long in coming: parks soon
    }

    fn is_peer_elsewhere(&mut self) -> bool {
        false
    }

    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }
}

/// Waits for a value: see [`Receiver::recv`](crate::Receiver::recv).
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct Take<'a, T> {
    taking: Taking<&'a Core<T>>,
    done: bool,
}

operation!(impl['a, T] Take<'a, T> => Result<T, RecvError>, "Receiver::recv");

impl<'a, T> Take<'a, T> {
    #[inline]
    pub(super) fn new(core: &'a Core<T>) -> Self {
        Self { taking: Taking::new(core), done: false }
    }
}

impl<T> Step for Take<'_, T> {
    type Output = Result<T, RecvError>;

    #[inline]
    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        self.taking.step(look).map_err(RecvError::new)
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.taking.expire(why).map_err(RecvError::new)
    }

    fn withdraw(&mut self) {
        self.taking.withdraw();
    }

    fn retract(&mut self) {
        self.taking.retract();
    }

    #[inline]
    fn is_stirred(&self) -> bool {
        self.taking.is_stirred()
    }

    #[inline]
    fn is_peer_elsewhere(&mut self) -> bool {
        self.taking.is_peer_elsewhere()
    }

    fn pace(&mut self) -> &mut Pace {
        self.taking.pace()
    }

    fn looks_again_at(&self) -> Option<Instant> {
        self.taking.looks_again_at()
    }

    fn fetch_pace(&mut self) {
        self.taking.fetch_pace();
    }

    fn store_pace(&mut self) {
        self.taking.store_pace();
    }
}
