//! The asking end.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll, Waker};

use super::steps::{Ask, AskStep, Recv, RecvStep};
use super::{ClientHalf, Message};
use crate::drive;
use crate::error::{RecvError, Why};
use crate::operation::Op;
use crate::point::{Name, Origin};
use crate::sequence::{Iter, Stream};
use crate::slot::{Left, Outgoing, Peer, SlotState};
use crate::step::{Attempt, PutMode};

/// The asking end of a channel in lockstep. Values of `T` come down, values of `U` go up with the demands.
///
/// Dropping it tells the server [`Why::Dropped`] (or [`Why::Panicked`], while unwinding); [`close`](Client::close) tells it
/// [`Why::Closed`].
pub struct Client<T, U = ()> {
    pub(super) half: ClientHalf<T, U>,
    pub(super) reported_end: Option<Why>,
    /// A receive has told the end: there is no item before it. (`closed` tells it also when there is one.)
    pub(super) is_over: bool,
}

impl<T, U> Client<T, U> {
    /// Asks, with a value that goes up, and waits for the answer.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the server has left; the value is in the error if the server did not take it.
    /// [`Why::OutOfTurn`] with the value, if the answer to a demand that was given up on is still owed: see
    /// [`owed`](Client::owed).
    ///
    /// # Cancel safety
    ///
    /// Dropping it withdraws the value if the server has not taken it. If the server has taken it, the value is delivered, and to ask again with it is to
    /// ask twice; the answer is not lost, but owed: [`owed`](Client::owed) fetches it. `until`, `wait_timeout`
    /// and `reclaim` tell which; a future that is dropped by a foreign `select!` or timeout tells nobody: see
    /// [the guide](crate::guide::foreign_select).
    ///
    /// ```
    /// use handover::duplex;
    /// use std::thread;
    ///
    /// let (mut server, mut client) = duplex();
    /// thread::spawn(move || -> Option<()> {
    ///     let mut demand: i32 = server.demand().wait().ok()?;
    ///     loop {
    ///         demand = server.exchange(demand * 2).wait().ok()?;
    ///     }
    /// });
    /// assert_eq!(client.exchange(4).wait().unwrap(), 8);
    /// assert_eq!(client.exchange(5).wait().unwrap(), 10);
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn exchange(&mut self, demand: U) -> Ask<'_, T, U> {
        let demand = Outgoing::new(Message::Demand(demand));
        Op::new(AskStep { client: self, demand }, const { Name::of("Client::exchange") })
    }

    /// Waits for the answer to a demand that was given up on after the server had taken it.
    ///
    /// # Errors
    ///
    /// [`Why::OutOfTurn`] if no answer is owed; the end of the channel, if the server has left without one.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: the answer stays owed.
    ///
    /// ```
    /// use handover::{Why, duplex};
    ///
    /// let (mut server, mut client) = duplex();
    /// # pollster::block_on(async {
    /// let mut ask = client.exchange("slow?");
    /// assert!(futures_lite::future::poll_once(&mut ask).await.is_none());
    /// assert_eq!(server.demand().await, Ok("slow?"));
    /// drop(ask); // given up, but the server has the demand
    ///
    /// assert_eq!(client.exchange("next?").await.unwrap_err().why(), Why::OutOfTurn);
    /// server.finish_with("yes, slow").unwrap();
    /// assert_eq!(client.owed().await, Ok("yes, slow"));
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn owed(&mut self) -> Recv<'_, T, U> {
        Op::new(RecvStep { client: self, demand: None }, const { Name::of("Client::owed") })
    }

    /// Waits until the server has left, and gives how. An item that the server handed over before is still received after it.
    ///
    /// # Errors
    ///
    /// [`Why::TimedOut`] or [`Why::NotReady`], if it has not.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    ///
    /// ```
    /// use handover::{Why, simplex};
    ///
    /// let (mut client, server) = simplex::<u8>();
    /// assert!(client.closed().now().unwrap_err().is_not_ready());
    /// drop(server);
    /// assert_eq!(client.closed().wait(), Ok(Why::Dropped));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn closed(&mut self) -> Left<'_> {
        self.half.peer().left(
            Some(&mut self.reported_end),
            false,
            const { Name::of("Client::closed") },
        )
    }

    /// A handle that watches the server: another thread, a callback or a task can keep it. The first one costs an allocation.
    ///
    /// ```
    /// let (client, server) = handover::simplex::<u8>();
    /// let peer = client.peer();
    /// assert!(!peer.is_closed());
    /// drop(server);
    /// assert!(peer.is_closed());
    /// ```
    pub fn peer(&self) -> Peer {
        self.half.peer()
    }

    /// How the channel ended, once a call on this end has told it.
    ///
    /// ```
    /// use handover::{Why, simplex};
    ///
    /// let (server, mut client) = simplex();
    /// server.finish_with(1).unwrap();
    /// assert_eq!(client.iter().sum::<i32>(), 1);
    /// assert_eq!(client.end(), Some(Why::Closed)); // not Dropped: the sum is whole
    /// ```
    pub fn end(&self) -> Option<Why> {
        self.reported_end
    }

    /// Closes the channel: the server is told [`Why::Closed`], at once if it waits. Never waits itself.
    ///
    /// ```
    /// use handover::{Why, simplex};
    ///
    /// let (mut server, client) = simplex();
    /// client.close();
    /// assert_eq!(server.send(1).wait().unwrap_err().why(), Why::Closed);
    /// ```
    pub fn close(mut self) {
        self.half.leave(Why::Closed);
    }

    /// Closes the channel with another end than [`Why::Closed`]: for a relay that passes on the end of another channel. Never waits.
    ///
    /// # Panics
    ///
    /// If `why` is no end: see [`Why::is_end`].
    ///
    /// ```
    /// use handover::{Why, simplex};
    ///
    /// let (client, mut server) = simplex::<u8>();
    /// client.end_as(Why::Panicked);
    /// assert_eq!(server.closed().wait(), Ok(Why::Panicked));
    /// ```
    pub fn end_as(mut self, why: Why) {
        self.half.leave(why.assert_end());
    }

    /// Says that `waker` drives the server too: see `Half::drive_peer_with`.
    #[inline]
    pub(crate) fn drive_server_with(&mut self, waker: &Waker) {
        self.half.drive_peer_with(waker);
    }

    /// See `Half::address`.
    pub(crate) fn slot_address(&self) -> usize {
        self.half.address()
    }

    /// Whether the server has left by now.
    pub(crate) fn is_ended(&self) -> bool {
        self.half.peer_end_now().is_some()
    }

    /// Whether a wake-up was left to that driver.
    #[inline]
    pub(crate) fn takes_owed_wake(&mut self) -> bool {
        self.half.takes_owed_wake()
    }

    /// The item that a `finish_with` left behind, else the end.
    pub(super) fn final_item_or_end(&mut self, why: Why) -> Result<T, Why> {
        match self.half.take_left_behind().and_then(Message::answer) {
            Some(item) => Ok(item),
            None => {
                self.reported_end = Some(why);
                self.is_over = true;
                Err(why)
            }
        }
    }

    /// Takes the answer to the demand that stands; if none does, puts `demand` first.
    #[inline(always)]
    pub(super) fn receive(
        &mut self,
        demand: &mut Option<Message<T, U>>,
        attempt: Attempt<'_>,
    ) -> Poll<Result<T, Why>> {
        let half = &mut self.half;
        loop {
            match half.load_state() {
                SlotState::Received => {
                    if let Some(item) = half.take().and_then(Message::answer) {
                        return Poll::Ready(Ok(item));
                    }
                }
                state => {
                    if let Some(why) = half.peer_end() {
                        return Poll::Ready(self.final_item_or_end(why));
                    }
                    if state != SlotState::MyTurn {
                        if half.is_pending(attempt) {
                            return Poll::Pending;
                        }
                    } else if demand.is_none() {
                        return Poll::Ready(Err(Why::OutOfTurn));
                    } else if half.put(demand, PutMode::Committed, attempt.waker) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl<T> Client<T> {
    /// Asks for an item and waits for it.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the server has left: [`Why::Closed`] where it said that it was finished.
    ///
    /// # Cancel safety
    ///
    /// Dropping it, or running out of time, loses nothing: the demand stands, and the next call takes the answer to it.
    ///
    /// ```
    /// use handover::simplex;
    /// use std::time::Duration;
    ///
    /// let (server, mut client) = simplex();
    /// assert!(client.recv().wait_timeout(Duration::from_millis(1)).unwrap_err().is_timed_out());
    /// server.finish_with(5).unwrap();
    /// assert_eq!(client.recv().wait(), Ok(5));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn recv(&mut self) -> Recv<'_, T, ()> {
        self.recv_by(Origin::of(const { Name::of("Client::recv") }))
    }

    /// As `recv`, for the operation or the sequence that was made there.
    #[inline]
    pub(crate) const fn recv_by(&mut self, origin: Origin) -> Recv<'_, T, ()> {
        Op::made_by(origin, self.recv_step())
    }

    /// The step of `recv`, for a driver that lets go of it without withdrawing it.
    #[inline]
    pub(crate) const fn recv_step(&mut self) -> RecvStep<'_, T, ()> {
        RecvStep { client: self, demand: Some(Message::Demand(())) }
    }

    #[inline]
    pub(crate) fn poll_recv_by(
        &mut self,
        context: &mut Context<'_>,
        origin: Origin,
    ) -> Poll<Result<T, RecvError>> {
        drive::poll(&mut self.recv_step(), context, origin) // Its waker stays registered.
    }

    /// Asks for an item and waits for it, for a future that is written by hand. If it is pending, the waker stays registered.
    ///
    /// (A [`recv`](Client::recv) that is made anew in each poll, as in `poll_fn(|cx| pin!(client.recv()).poll(cx))`, is never woken: it is dropped, and its
    /// waker with it.)
    ///
    /// # Errors
    ///
    /// As [`recv`](Client::recv).
    ///
    /// ```
    /// use std::future::poll_fn;
    ///
    /// let (server, mut client) = handover::simplex();
    /// server.finish_with("an item").unwrap();
    /// # pollster::block_on(async {
    /// assert_eq!(poll_fn(|context| client.poll_recv(context)).await, Ok("an item"));
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        self.poll_recv_by(context, Origin::of(const { Name::of("Client::poll_recv") }))
    }

    /// The items as a blocking iterator, up to the end of the channel. [`end`](Client::end) then tells how that came.
    ///
    /// ```
    /// use handover::simplex;
    /// use std::thread;
    ///
    /// let (mut server, mut client) = simplex();
    /// thread::spawn(move || server.send_all(1..=3).wait().map(|()| server.finish()));
    /// assert_eq!(client.iter().collect::<Vec<_>>(), [1, 2, 3]);
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn iter(&mut self) -> Iter<&mut Self> {
        Iter::new(self, const { Name::of("Client::iter") })
    }

    /// The items as a [`futures_core::Stream`], up to the end of the channel. [`end`](Client::end) then tells how that came.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use handover::simplex;
    ///
    /// let (mut server, mut client) = simplex();
    /// # pollster::block_on(async {
    /// let produce = async move { server.send_all([2, 3]).await.map(|()| server.finish()) };
    /// let consume = client.stream().fold(1, |product, item| product * item);
    /// let (_, product) = futures_lite::future::zip(produce, consume).await;
    /// assert_eq!(product, 6);
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn stream(&mut self) -> Stream<&mut Self> {
        Stream::new(self, const { Name::of("Client::stream") })
    }

    /// This end as a [`futures_core::Stream`] of its items.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    ///
    /// let (server, client) = handover::simplex();
    /// server.finish_with("an item").unwrap();
    /// # pollster::block_on(async {
    /// assert_eq!(client.into_stream().next().await, Some("an item"));
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn into_stream(self) -> Stream<Self> {
        Stream::new(self, const { Name::of("Client::into_stream") })
    }
}

impl<T, U> fmt::Debug for Client<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.half).finish()
    }
}

impl<T, U> UnwindSafe for Client<T, U> {}
impl<T, U> RefUnwindSafe for Client<T, U> {}
