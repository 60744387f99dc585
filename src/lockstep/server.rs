//! The answering end.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::Poll;

use super::steps::{
    Answer, AnswerStep, Demand, DemandStep, Exchange, ExchangeStep, SendAll, SendAllStep,
};
use super::{Message, ServerHalf};
use crate::error::{SendError, Why};
use crate::operation::Op;
use crate::point::{self, Name, Origin};
use crate::slot::{Left, Outgoing, Peer, SlotState};
use crate::step::{Attempt, PutMode, Waiter};

/// The answering end of a channel in lockstep. Values of `T` go down, values of `U` come up with the demands.
///
/// It may be lent (`&mut Server`) to another function, which then produces in its place. Dropping it tells the client
/// [`Why::Dropped`] (or [`Why::Panicked`], while unwinding); [`finish`](Server::finish) tells it [`Why::Closed`].
///
/// One operation at a time, which the borrow checker sees to:
///
/// ```
/// let (mut server, _client) = handover::simplex();
/// let first = server.send(1);
/// drop(first);
/// let second = server.send(2);
/// # drop(second);
/// ```
///
/// ```compile_fail,E0499
/// let (mut server, _client) = handover::simplex();
/// let first = server.send(1);
/// let second = server.send(2); // while the first is there
/// drop(first);
/// ```
///
/// It goes to another thread if the values can:
///
/// ```
/// use std::sync::Arc;
/// let (mut server, client) = handover::simplex();
/// drop(client);
/// std::thread::spawn(move || server.send(Arc::new(1)).wait().is_err());
/// ```
///
/// ```compile_fail,E0277
/// use std::rc::Rc;
/// let (mut server, client) = handover::simplex();
/// drop(client);
/// std::thread::spawn(move || server.send(Rc::new(1)).wait().is_err());
/// ```
pub struct Server<T, U = ()> {
    pub(super) half: ServerHalf<T, U>,
}

impl<T, U> Server<T, U> {
    /// Waits until the client asks: the opening of the channel. Gives what came up with the demand, which is then in hand
    /// until it is answered.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the client has left; [`Why::OutOfTurn`] while a demand is in hand already.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: a demand that came meanwhile is for the next call.
    ///
    /// ```
    /// use handover::{Why, duplex};
    ///
    /// let (mut server, mut client) = duplex::<(), char>();
    /// # pollster::block_on(async {
    /// let mut ask = client.exchange('x');
    /// assert!(futures_lite::future::poll_once(&mut ask).await.is_none());
    /// assert_eq!(server.demand().await, Ok('x'));
    /// assert_eq!(server.demand().await.unwrap_err().why(), Why::OutOfTurn);
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn demand(&mut self) -> Demand<'_, T, U> {
        Op::new(DemandStep { server: self }, const { Name::of("Server::demand") })
    }

    /// Answers the demand in hand and waits for the next one. Gives what came up with that.
    ///
    /// Without a demand in hand it waits for one first, and drops what came up with it.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the client has left. The item is in the error if the client did not take it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it withdraws the item if the client has not taken it; then the demand is in hand again. If the client has taken it, the item is
    /// delivered, and to send it again is to send it twice; [`demand`](Server::demand) then fetches what comes up next, another `exchange` drops that.
    /// `until`, `wait_timeout`
    /// and `reclaim` tell which; a future that is dropped by a foreign `select!` or timeout tells nobody: see
    /// [the guide](crate::guide::foreign_select).
    ///
    /// ```
    /// use handover::duplex;
    /// use std::thread;
    ///
    /// let (mut server, mut client) = duplex();
    /// let asker = thread::spawn(move || [client.exchange(1).wait().unwrap(), client.exchange(2).wait().unwrap()]);
    /// assert_eq!(server.demand().wait().unwrap(), 1);
    /// assert_eq!(server.exchange("one").wait().unwrap(), 2);
    /// server.finish_with("two").unwrap();
    /// assert_eq!(asker.join().unwrap(), ["one", "two"]);
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn exchange(&mut self, item: T) -> Exchange<'_, T, U> {
        self.exchange_by(Origin::of(const { Name::of("Server::exchange") }), item)
    }

    #[inline]
    fn exchange_by(&mut self, origin: Origin, item: T) -> Exchange<'_, T, U> {
        let answer = Outgoing::new(Message::Answer(item));
        Op::made_by(origin, ExchangeStep { server: self, answer })
    }

    /// Answers the demand in hand, and is done when the client has *taken* the answer. It does not wait for the next demand.
    ///
    /// [`exchange`](Server::exchange) and [`send`](Server::send) are this and then [`demand`](Server::demand). Between an answer and the next demand both
    /// sides run. The next `answer` or `exchange` waits for the next demand first, and drops what comes up with it; `demand` fetches that.
    ///
    /// # Errors
    ///
    /// The end of the channel with the item, if the client has left without taking it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it withdraws the item if the client has not taken it; else the item is delivered, and to send it again is to send it twice.
    /// `until`, `wait_timeout`
    /// and `reclaim` tell which; a future that is dropped by a foreign `select!` or timeout tells nobody: see
    /// [the guide](crate::guide::foreign_select).
    ///
    /// ```
    /// use handover::simplex;
    /// use std::thread;
    ///
    /// let (mut server, mut client) = simplex();
    /// let producer = thread::spawn(move || server.answer("the last one").wait().map(|()| server.finish()));
    /// assert_eq!(client.recv().wait(), Ok("the last one"));
    /// assert!(producer.join().unwrap().is_ok()); // it arrived, though the client does not ask for more
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn answer(&mut self, item: T) -> Answer<'_, T, U> {
        let answer = Outgoing::new(Message::Answer(item));
        Op::new(AnswerStep { server: self, answer }, const { Name::of("Server::answer") })
    }

    /// Waits until the client has left, and gives how. It needs no demand: a server that makes something that takes long can watch the client meanwhile.
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
    /// let (mut server, client) = simplex::<u8>();
    /// assert!(server.closed().now().unwrap_err().is_not_ready());
    /// drop(client);
    /// assert_eq!(server.closed().wait(), Ok(Why::Dropped));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn closed(&mut self) -> Left<'_> {
        let is_driven = self.half.can_never_go_on();
        self.half.peer().left(None, is_driven, const { Name::of("Server::closed") })
    }

    /// A handle that watches the client: another thread, a callback or a task can keep it. The first one costs an allocation.
    ///
    /// ```
    /// let (server, client) = handover::simplex::<u8>();
    /// let peer = server.peer();
    /// assert!(!peer.is_closed());
    /// drop(client);
    /// assert!(peer.is_closed());
    /// ```
    pub fn peer(&self) -> Peer {
        self.half.peer()
    }

    /// Closes the channel: the client is told [`Why::Closed`], at once if it waits. Never waits itself.
    ///
    /// ```
    /// use handover::{Why, simplex};
    ///
    /// let (server, mut client) = simplex::<()>();
    /// server.finish();
    /// assert_eq!(client.recv().wait().unwrap_err().why(), Why::Closed);
    /// ```
    pub fn finish(mut self) {
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
    /// let (server, mut client) = simplex::<u8>();
    /// server.end_as(Why::Panicked);
    /// assert_eq!(client.closed().wait(), Ok(Why::Panicked));
    /// ```
    pub fn end_as(mut self, why: Why) {
        self.half.leave(why.assert_end());
    }

    /// Answers the demand that stands and closes the channel: the client gets the item, then [`Why::Closed`]. Never waits.
    ///
    /// Without an outstanding demand the item is left for the client's next one. What comes up with a demand that this server has not
    /// looked at is dropped.
    ///
    /// # Errors
    ///
    /// The end of the channel with the item, if the client has left; [`Why::OutOfTurn`] with the item, if the item of a forgotten
    /// ([`std::mem::forget`]) `exchange` still lies there.
    ///
    /// ```
    /// use handover::simplex;
    ///
    /// let (server, client) = simplex();
    /// server.finish_with("the only one").unwrap();
    /// assert!(client.into_iter().eq(["the only one"]));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn finish_with(mut self, item: T) -> Result<(), SendError<T>> {
        point::act(const { Name::of("Server::finish_with") }, || self.half.channel());
        let finished = self.put_last(item);
        // Before `finished` is the return value, which the compiler would leak if a waker's destructor panicked after that.
        drop(self);
        finished
    }

    fn put_last(&mut self, item: T) -> Result<(), SendError<T>> {
        let half = &mut self.half;
        let mut message = Some(Message::Answer(item));
        let unsent = |why, message: Option<Message<T, U>>| {
            Err(SendError::new(why, message.and_then(Message::answer)))
        };
        loop {
            let state = half.load_state();
            if let Some(why) = half.peer_end() {
                return unsent(why, message);
            }
            match state {
                SlotState::Received => drop(half.take()),
                SlotState::MyTurn => {
                    if half.put(&mut message, PutMode::Committed, None) {
                        half.leave(Why::Closed);
                        return Ok(());
                    }
                }
                SlotState::PeerTurn => {
                    half.leave_behind(message.take().expect("a message not yet left"));
                    return match half.leave(Why::Closed) {
                        Some(why) => unsent(why, half.take_left_behind()),
                        None => Ok(()),
                    };
                }
                SlotState::Sent => return unsent(Why::OutOfTurn, message),
            }
        }
    }

    /// Whether the client has left. It may leave at any moment after a `false`; a `true` stays.
    ///
    /// ```
    /// let (server, client) = handover::simplex::<()>();
    /// assert!(!server.is_closed());
    /// drop(client);
    /// assert!(server.is_closed());
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn is_closed(&self) -> bool {
        point::act(const { Name::of("Server::is_closed") }, || self.half.channel());
        self.half.peer_end_now().is_some()
    }

    /// Takes the next demand.
    #[inline(always)]
    pub(super) fn take_demand(&mut self, attempt: Attempt<'_>) -> Poll<Result<U, Why>> {
        // A client puts nothing but demands.
        let next = self.half.next_message(attempt);
        next.map(|next| next.and_then(|message| message.demand().ok_or(Why::OutOfTurn)))
    }
}

impl<T> Server<T> {
    /// Hands an item to the client and waits until it comes back for the next one, as `yield` does in a generator.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the client has left. The item is in the error if the client did not take it; `unsent()` is
    /// `None` where it took the item and left then.
    ///
    /// # Cancel safety
    ///
    /// Dropping it withdraws the item if the client has not taken it. Else the item is delivered although the future is not done, since that waits for
    /// the client to come back; to send it again is to send it twice. `until`, `wait_timeout`
    /// and `reclaim` tell which; a future that is dropped by a foreign `select!` or timeout tells nobody: see
    /// [the guide](crate::guide::foreign_select).
    ///
    /// ```
    /// use handover::simplex;
    ///
    /// let (mut server, mut client) = simplex();
    /// # pollster::block_on(async {
    /// let produce = async {
    ///     server.send("one").await?;
    ///     server.send("two").await
    /// };
    /// let consume = async {
    ///     assert_eq!(client.recv().await, Ok("one"));
    ///     assert_eq!(client.recv().await, Ok("two"));
    ///     client.close();
    /// };
    /// let (produced, ()) = futures_lite::future::zip(produce, consume).await;
    /// assert_eq!(produced.unwrap_err().unsent(), None); // both were taken
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn send(&mut self, item: T) -> Exchange<'_, T, ()> {
        self.exchange_by(Origin::of(const { Name::of("Server::send") }), item)
    }

    /// Sends each item as [`send`](Server::send) does. The iterator makes one step a demand, never ahead of it, and is done
    /// with when the client has come back after the last item.
    ///
    /// In a spawned task an iterator with a closure over references may not compile: see [`Sender::send_all`](crate::Sender::send_all).
    ///
    /// # Errors
    ///
    /// The end of the channel, with every item that was not taken.
    ///
    /// # Cancel safety
    ///
    /// Dropping it withdraws the item on offer if the client has not taken it, and drops that item and the rest. The items before it are delivered; to
    /// begin again with the first one is to send them twice. `until` and `wait_timeout` give back the rest; see [the guide](crate::guide::foreign_select).
    ///
    /// ```
    /// use handover::simplex;
    /// use std::thread;
    ///
    /// let (mut server, client) = simplex();
    /// let consumer = thread::spawn(move || client.into_iter().take(2).sum::<u32>());
    /// let error = server.send_all([1, 2, 3, 4]).wait().unwrap_err();
    /// assert!(error.into_rest().eq([3, 4]));
    /// assert_eq!(consumer.join().unwrap(), 3);
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn send_all<I: IntoIterator<Item = T>>(&mut self, items: I) -> SendAll<'_, I::IntoIter> {
        let (items, answer) = (Some(items.into_iter()), Outgoing::none());
        Op::new(SendAllStep { server: self, items, answer }, const { Name::of("Server::send_all") })
    }
}

impl<T, U> fmt::Debug for Server<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.half).finish()
    }
}

// An end is whole again after a panic: what a panic interrupts is an operation, which withdraws.
impl<T, U> UnwindSafe for Server<T, U> {}
impl<T, U> RefUnwindSafe for Server<T, U> {}
