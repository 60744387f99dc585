//! `simplex` and `duplex`: one server, one client, and one of them at a time has the turn.
//!
//! Over a slot: the client puts a demand, the server takes it (the demand is then *in hand*), puts the answer, the client takes it,
//! and has the turn again. An attempt of each operation:
//!
//! | finds \ attempt | `Demand`    | `Exchange`, not put   | `Exchange`, put             | `Answer`, put  | `Ask`, not put  | `Ask`, put  | `Recv`          |
//! |-----------------|-------------|-----------------------|-----------------------------|----------------|-----------------|-------------|-----------------|
//! | its turn        | out of turn | puts the item         | cannot be                   | cannot be      | puts the demand | cannot be   | puts a demand (`owed`: out of turn) |
//! | its message     | waits       | waits (a forgotten one) | waits                     | waits          | out of turn     | waits       | waits           |
//! | the peer's turn | waits       | waits                 | waits: it was taken         | done           | out of turn     | waits       | waits           |
//! | a message       | takes it    | takes and drops it    | takes it                    | done           | out of turn     | takes it    | takes it        |
//! | the end         | the end     | the end and the item  | the end, the item if still there | the same, done if taken | the item left behind, or the end and the demand | the same, the demand if still there | the item left behind, or the end |
//!
//! `Answer` before its put does as `Exchange`. A server looks at the end first, a client at its message first. A plain demand is put for good: it carries
//! nothing to be missed, so it stays when its `Recv` is dropped, and the next one adopts it.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll, Waker};

use crate::drive;
use crate::error::{RecvError, SendError, Why};
use crate::operation::Op;
use crate::sequence::{Iter, Stream};
use crate::slot::{Answerer, Asker, Left, Message, Outgoing, Peer, SlotState, slot};
use crate::step::{Attempt, PutMode, Waiter};

mod iter;
mod steps;

pub use steps::{Answer, Ask, Demand, Exchange, Recv, SendAll};
use steps::{AnswerStep, AskStep, DemandStep, ExchangeStep, RecvStep, SendAllStep};

type ServerHalf<T, U> = Answerer<Message<T, U>>;
type ClientHalf<T, U> = Asker<Message<T, U>>;

/// Creates a channel in lockstep in which values go one way, from the server to the client.
///
/// The client asks, the server answers: `send` is `yield`. It returns when the client comes back for the *next* item, so that
/// between two demands exactly one side's code runs, and nothing is made that is not wanted. No thread and no executor is
/// involved; each call says how to wait.
///
/// ```
/// use handover::simplex;
/// use std::thread;
///
/// let (mut server, client) = simplex();
/// let squares = thread::spawn(move || {
///     for n in 1.. {
///         if server.send(n * n).wait().is_err() {
///             break; // the client has left
///         }
///     }
/// });
/// assert_eq!(client.into_iter().take(3).collect::<Vec<_>>(), [1, 4, 9]);
/// squares.join().unwrap();
/// ```
pub fn simplex<T>() -> (Server<T>, Client<T>) {
    duplex()
}

/// Creates a channel in lockstep in which values go both ways: each demand brings one up, each answer one down.
///
/// ```
/// use handover::{RecvError, duplex};
/// use std::thread;
///
/// let (mut server, mut client) = duplex::<String, u32>();
/// let clerk = thread::spawn(move || {
///     let mut number = server.demand().wait()?;
///     while let Ok(next) = server.exchange(format!("room {number}")).wait() {
///         number = next;
///     }
///     Ok::<_, RecvError>(number)
/// });
/// assert_eq!(client.exchange(7).wait().unwrap(), "room 7");
/// assert_eq!(client.exchange(9).wait().unwrap(), "room 9");
/// client.close();
/// assert_eq!(clerk.join().unwrap(), Ok(9));
/// ```
pub fn duplex<T, U>() -> (Server<T, U>, Client<T, U>) {
    let (server, client) = slot();
    (Server { half: server }, Client { half: client, reported_end: None, is_over: false })
}

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
    half: ServerHalf<T, U>,
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
    pub fn demand(&mut self) -> Demand<'_, T, U> {
        Op::new(DemandStep { server: self })
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
    pub fn exchange(&mut self, item: T) -> Exchange<'_, T, U> {
        Op::new(ExchangeStep { server: self, answer: Outgoing::new(Message::Answer(item)) })
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
    pub fn answer(&mut self, item: T) -> Answer<'_, T, U> {
        Op::new(AnswerStep { server: self, answer: Outgoing::new(Message::Answer(item)) })
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
    pub fn closed(&mut self) -> Left<'_> {
        let is_driven = self.half.can_never_go_on();
        self.half.peer().left(None, is_driven)
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
    pub fn finish_with(mut self, item: T) -> Result<(), SendError<T>> {
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
    pub fn is_closed(&self) -> bool {
        self.half.peer_end_now().is_some()
    }

    /// Takes the next demand.
    #[inline(always)]
    fn take_demand(&mut self, attempt: Attempt<'_>) -> Poll<Result<U, Why>> {
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
    pub fn send(&mut self, item: T) -> Exchange<'_, T, ()> {
        self.exchange(item)
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
    pub fn send_all<I: IntoIterator<Item = T>>(&mut self, items: I) -> SendAll<'_, I::IntoIter> {
        Op::new(SendAllStep {
            server: self,
            items: Some(items.into_iter()),
            answer: Outgoing::none(),
        })
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

/// The asking end of a channel in lockstep. Values of `T` come down, values of `U` go up with the demands.
///
/// Dropping it tells the server [`Why::Dropped`] (or [`Why::Panicked`], while unwinding); [`close`](Client::close) tells it
/// [`Why::Closed`].
pub struct Client<T, U = ()> {
    half: ClientHalf<T, U>,
    reported_end: Option<Why>,
    /// A receive has told the end: there is no item before it. (`closed` tells it also when there is one.)
    is_over: bool,
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
    pub fn exchange(&mut self, demand: U) -> Ask<'_, T, U> {
        Op::new(AskStep { client: self, demand: Outgoing::new(Message::Demand(demand)) })
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
    pub fn owed(&mut self) -> Recv<'_, T, U> {
        Op::new(RecvStep { client: self, demand: None })
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
    pub fn closed(&mut self) -> Left<'_> {
        self.half.peer().left(Some(&mut self.reported_end), false)
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
    fn final_item_or_end(&mut self, why: Why) -> Result<T, Why> {
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
    fn receive(
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
    pub fn recv(&mut self) -> Recv<'_, T, ()> {
        Op::new(RecvStep { client: self, demand: Some(Message::Demand(())) })
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
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        let mut recv = self.recv();
        let polled = drive::poll(&mut recv.step, context);
        recv.detach(); // Its waker stays registered.
        polled
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
    pub fn iter(&mut self) -> Iter<&mut Self> {
        Iter::new(self)
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
    pub fn stream(&mut self) -> Stream<&mut Self> {
        Stream::new(self)
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
    pub fn into_stream(self) -> Stream<Self> {
        Stream::new(self)
    }
}

impl<T, U> fmt::Debug for Client<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.half).finish()
    }
}

impl<T, U> UnwindSafe for Client<T, U> {}
impl<T, U> RefUnwindSafe for Client<T, U> {}
