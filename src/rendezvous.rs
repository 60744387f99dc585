//! `rendezvous`: many senders, many receivers, and no place between them.
//!
//! `state` tells which party waits for which (its header has the table of states), `queue` keeps them in order, `wakes` is the list of the parties to wake after
//! unlocking, `channel` puts these under one lock. Each verb has a file: `send`, `recv`, `reserve`, `closed`. An attempt takes the lock once; a sender that
//! spins learns without it (by `signals`) that its value was taken.
//!
//! | finds \ attempt | `Send`, not offered                     | `Send`, offered       | `Take`, first                                       | `Take`, later            |
//! |-----------------|-----------------------------------------|-----------------------|-----------------------------------------------------|--------------------------|
//! | a peer          | a thread: done; a task: offers, notifies it | cannot be         | takes an offer that no receiver was notified of; else queues | takes the first offer |
//! | no peer         | offers                                  | waits                 | queues                                              | waits                    |
//! | it was met      | cannot be                               | done                  | cannot be                                           | has its value (a thread) |
//! | the end         | the end and the value                   | the end and the value | the end                                             | its value, or the end    |
//!
//! A thread that waits is given its value by the sender: it cannot leave between two attempts. A task that waits is only notified; the
//! value moves in its own step.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::error::Why;
use crate::operation::Op;
use crate::point::{self, ChannelId, Name};
use crate::sync::Arc;

mod channel;
mod closed;
mod end;
mod recv;
mod reserve;
mod send;
mod signals;
#[cfg(feature = "sink")]
mod sink;
mod state;
mod wakes;

use channel::{Core, RECEIVERS, SENDERS};
pub use closed::Closed;
use end::{End, WeakEnd};
pub use recv::Take;
use recv::TakeStep;
pub(crate) use recv::{IntoValues, Values};
use reserve::ReserveStep;
pub use reserve::{Permit, Reserve};
pub use send::{Send, SendEach};
use send::{SendEachStep, SendStep};
#[cfg(feature = "sink")]
pub use sink::SenderSink;

/// Creates a channel of many senders and many receivers that has no capacity: a value goes from hand to hand.
///
/// Both ends can be cloned, and used by threads and tasks alike. The operation that came first is served first, on each side. Passed over
/// are only a [`recv`](Receiver::recv) that is kept and not polled, and the sends of a [`select`](crate::select()) in the moment in which it attempts its
/// arms: they keep their place in the queue, but another send may be taken before them.
///
/// ```
/// use handover::rendezvous;
/// use std::thread;
///
/// let (tx, rx) = rendezvous();
/// thread::scope(|scope| {
///     for worker in 0..3 {
///         let rx = rx.clone();
///         scope.spawn(move || rx.iter().for_each(|n| println!("worker {worker} has {n}")));
///     }
///     drop(rx);
///     tx.send_all(1..=9).wait().unwrap();
///     drop(tx);
/// });
/// ```
///
/// Ends go to other threads if their values may:
///
/// ```
/// use std::{sync::Arc, thread};
///
/// let (tx, rx) = handover::rendezvous();
/// thread::spawn(move || tx.send(Arc::new(1)).wait());
/// assert_eq!(*rx.recv().wait().unwrap(), 1);
/// ```
///
/// ```compile_fail,E0277
/// use std::{rc::Rc, thread};
///
/// let (tx, rx) = handover::rendezvous();
/// thread::spawn(move || tx.send(Rc::new(1)).wait());
/// assert_eq!(*rx.recv().wait().unwrap(), 1);
/// ```
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn rendezvous<T>() -> (Sender<T>, Receiver<T>) {
    let core = Core::new([1, 1]);
    point::made(ChannelId::of(&*core), "rendezvous");
    (Sender { end: End::counted(Arc::clone(&core)) }, Receiver { end: End::counted(core) })
}

/// A receiver to which nothing ever comes, for an arm of a [`select`](crate::select()) that is not wanted for now: `never::<()>()`.
///
/// It ends only by a [`close`](Receiver::close) of its own.
///
/// ```
/// use handover::{Sel2, never, rendezvous, select};
///
/// let (tx, rx) = rendezvous::<u8>();
/// tx.close();
/// let choice = select((never::<u8>().recv(), rx.recv())).wait();
/// assert!(matches!(choice, Sel2::B(Err(_))));
/// ```
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn never<T>() -> Receiver<T> {
    let core = Core::new([0, 1]);
    point::made(ChannelId::of(&*core), "never");
    Receiver { end: End::counted(core) }
}

/// What a channel has to do just now: see [`Sender::stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Stats {
    /// Sending ends that live.
    pub senders: usize,
    /// Receiving ends that live.
    pub receivers: usize,
    /// Operations of senders that wait for a receiver.
    pub waiting_senders: usize,
    /// Operations of receivers that wait for a value.
    pub waiting_receivers: usize,
    /// Values that were handed over, ever.
    pub handed_over: u64,
}

/// A sending end of a channel of many ends. Clones send into the same channel.
///
/// When the last one has gone, the channel ends with the worst that one of them said: [`Why::Panicked`] if one was dropped while unwinding, else
/// [`Why::Dropped`] if one was dropped, else [`Why::Closed`]: all of them said [`finish`](Sender::finish). So a pool of senders tells its
/// receiver whether one of them died. [`close`](Sender::close) ends it for all at once.
pub struct Sender<T> {
    end: End<T, SENDERS>,
}

impl<T> Sender<T> {
    /// Hands a value to a receiver. Done when one has taken it.
    ///
    /// Done at once if a thread waits in a receive of its own. A task that waits takes the value when it is polled next, and a thread that waits in a
    /// [`select`](crate::select()) when it has run; until then the value is still the sender's.
    ///
    /// # Errors
    ///
    /// The end of the channel, with the value.
    ///
    /// # Cancel safety
    ///
    /// Dropping it withdraws the value if no receiver has taken it; else the value is delivered, and to send it again is to send it twice. `until`, `wait_timeout`
    /// and `reclaim` tell which; a future that is dropped by a foreign `select!` or timeout tells nobody: see
    /// [the guide](crate::guide::foreign_select).
    ///
    /// ```
    /// use handover::rendezvous;
    /// use std::thread;
    ///
    /// let (tx, rx) = rendezvous();
    /// let receiver = thread::spawn(move || rx.recv().wait());
    /// tx.send("from hand to hand").wait().unwrap();
    /// assert_eq!(receiver.join().unwrap(), Ok("from hand to hand"));
    ///
    /// let error = tx.send("too late").wait().unwrap_err();
    /// assert_eq!(error.into_unsent(), Some("too late"));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn send(&self, value: T) -> Send<'_, T> {
        Op::new(SendStep::new(self.end.core(), value, None), const { Name::of("Sender::send") })
    }

    /// Hands over each item, one after the other. The iterator makes a step when the item before was taken.
    ///
    /// # Errors
    ///
    /// The end of the channel, with every item that was not taken.
    ///
    /// # Cancel safety
    ///
    /// Dropping it withdraws the item on offer if no receiver has taken it, and drops that item and the rest. The items before it are delivered; to begin again with the
    /// first one is to send them twice. `until` and `wait_timeout` give back the rest; see [the guide](crate::guide::foreign_select).
    ///
    /// # In a spawned task
    ///
    /// A future that is spawned must be `Send`, and the compiler cannot prove that of an iterator with a closure over references: "implementation of
    /// `FnOnce` is not general enough". A named function in place of the closure helps, or a boxed iterator, or an iterator over values:
    ///
    /// ```
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let (tx, rx) = handover::rendezvous();
    /// tokio::spawn(async move {
    ///     let numbers = vec![1, 2, 3];
    ///     // `numbers.iter().map(|n| n + 1)` would not compile here.
    ///     let items: Box<dyn Iterator<Item = i32> + Send> = Box::new(numbers.iter().map(|n| n + 1));
    ///     _ = tx.send_all(items).await;
    /// });
    /// assert_eq!(rx.recv().await, Ok(2));
    /// # });
    /// ```
    ///
    /// ```
    /// use handover::rendezvous;
    /// use std::thread;
    ///
    /// let (tx, rx) = rendezvous();
    /// let receiver = thread::spawn(move || rx.into_iter().take(2).sum::<u32>());
    /// let error = tx.send_all([1, 2, 3, 4]).wait().unwrap_err();
    /// assert!(error.into_rest().eq([3, 4]));
    /// assert_eq!(receiver.join().unwrap(), 3);
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn send_all<I: IntoIterator<Item = T>>(&self, items: I) -> SendEach<'_, I::IntoIter> {
        Op::new(
            SendEachStep::new(self.end.core(), items.into_iter()),
            const { Name::of("Sender::send_all") },
        )
    }

    /// Waits until a receiver stands ready, and keeps it for one value, which may be made only then.
    ///
    /// # Errors
    ///
    /// The end of the channel.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: a receiver that was kept for it is free for the next sender. Kept and not polled again, it keeps that
    /// receiver from others.
    ///
    /// ```
    /// use handover::rendezvous;
    /// use std::thread;
    ///
    /// let (tx, rx) = rendezvous();
    /// let receiver = thread::spawn(move || rx.recv().wait());
    /// let permit = tx.reserve().wait().unwrap();
    /// permit.send("wanted").wait().unwrap();
    /// assert_eq!(receiver.join().unwrap(), Ok("wanted"));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn reserve(&self) -> Reserve<'_, T> {
        Op::new(ReserveStep::new(self.end.core()), const { Name::of("Sender::reserve") })
    }

    /// Waits until the channel has ended, and gives how.
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
    /// use handover::{Why, rendezvous};
    ///
    /// let (tx, rx) = rendezvous::<()>();
    /// assert!(tx.closed().now().unwrap_err().is_not_ready());
    /// rx.close();
    /// assert_eq!(tx.closed().wait(), Ok(Why::Closed));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn closed(&self) -> Closed<'_, T> {
        self.end.closed(const { Name::of("Sender::closed") })
    }

    /// Ends the channel for all its ends: the parties that wait are told [`Why::Closed`] at once, whatever an end has said before. Never waits. `true` if this
    /// call ended it.
    ///
    /// A value that was handed over is received. One that is only on offer stays with its sender.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<()>();
    /// assert!(tx.close());
    /// assert!(!rx.close());
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn close(&self) -> bool {
        self.end.act(const { Name::of("Sender::close") });
        self.end.close()
    }

    /// This end is done, the others of its side go on. When the last one of the side has gone, the channel ends with the worst that they said: [`Why::Closed`] only if
    /// all of them said `finish`. Never waits.
    ///
    /// ```
    /// use handover::{Why, rendezvous};
    ///
    /// let (tx, rx) = rendezvous::<()>();
    /// let other = tx.clone();
    /// tx.finish();
    /// assert!(!rx.is_closed());
    /// other.finish();
    /// assert_eq!(rx.closed().wait(), Ok(Why::Closed));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn finish(mut self) {
        self.end.leave(Why::Closed);
    }

    /// Whether the channel has ended. It may end at any moment after a `false`; a `true` stays.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<()>();
    /// assert!(!tx.is_closed());
    /// drop(rx);
    /// assert!(tx.is_closed());
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn is_closed(&self) -> bool {
        self.end.act(const { Name::of("Sender::is_closed") });
        self.end.how_ended().is_some()
    }

    /// A handle that does not keep the channel open.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<()>();
    /// let weak = tx.downgrade();
    /// assert!(weak.upgrade().is_some());
    /// drop(tx);
    /// assert!(weak.upgrade().is_none());
    /// ```
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { end: self.end.downgrade() }
    }

    /// Whether both are ends of one channel.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<()>();
    /// assert!(tx.same_channel(&tx.clone()));
    /// assert!(!tx.same_channel(&handover::rendezvous().0));
    /// ```
    pub fn same_channel(&self, other: &Self) -> bool {
        self.end.same_channel(&other.end)
    }

    /// What the channel has to do just now. Costs as much as operations wait.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<()>();
    /// let other = tx.clone();
    /// assert_eq!(tx.stats().senders, 2);
    /// assert_eq!(tx.stats().handed_over, 0);
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn stats(&self) -> Stats {
        self.end.act(const { Name::of("Sender::stats") });
        self.end.stats()
    }
}

/// Another end of the same side. Of a channel that has ended, too.
impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { end: self.end.clone() }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.end.describe("Sender", f)
    }
}

// An end is whole again after a panic: the panic interrupts an operation, which withdraws.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

/// A handle to a [`Sender`] that does not keep the channel open. See [`Sender::downgrade`].
pub struct WeakSender<T> {
    end: WeakEnd<T, SENDERS>,
}

impl<T> WeakSender<T> {
    /// An end, if there is still one of its side (of a channel that has ended, too). It counts as any other.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<()>();
    /// let weak = tx.downgrade();
    /// assert!(weak.upgrade().is_some_and(|end| end.same_channel(&tx)));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.end.act(const { Name::of("WeakSender::upgrade") });
        self.end.upgrade().map(|end| Sender { end })
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self { end: self.end.clone() }
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSender").finish_non_exhaustive()
    }
}

impl<T> UnwindSafe for WeakSender<T> {}
impl<T> RefUnwindSafe for WeakSender<T> {}

/// A receiving end of a channel of many ends. Clones receive from the same channel; each value goes to one of them.
///
/// When the last one has gone, the channel ends with the worst that one of them said: [`Why::Panicked`] if one was dropped while unwinding, else
/// [`Why::Dropped`] if one was dropped, else [`Why::Closed`]: all of them said [`finish`](Receiver::finish).
/// [`close`](Receiver::close) ends it for all at once.
pub struct Receiver<T> {
    end: End<T, RECEIVERS>,
}

impl<T> Receiver<T> {
    /// Takes a value from a sender, or waits for one.
    ///
    /// # Errors
    ///
    /// The end of the channel.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: the value is its sender's until this operation is `Ready`, and an offer of which it was notified goes to the next
    /// receiver.
    ///
    /// # Do not keep it without polling it
    ///
    /// A pending future of this operation has a place in the queue. When its turn has come its task is woken, and should poll
    /// it or drop it. A future that is kept and not polled again (in an array beside another one that is awaited, say) may delay one offer, and each further
    /// one that is kept so may delay one more. Any operation that begins to wait on the channel passes the offer on at once, to tasks and threads;
    /// so does a drop of the future. A thread that waits already takes the offer after a millisecond.
    ///
    /// Once that offer was withdrawn, or taken by another receiver, the kept future is passed over until it is polled.
    ///
    /// ```
    /// use handover::{Why, rendezvous};
    ///
    /// let (tx, rx) = rendezvous();
    /// # pollster::block_on(async {
    /// let mut send = tx.send(1);
    /// assert!(futures_lite::future::poll_once(&mut send).await.is_none()); // nobody there
    /// assert_eq!(rx.recv().await, Ok(1));
    /// assert!(send.await.is_ok());
    /// drop(tx);
    /// assert_eq!(rx.recv().await.unwrap_err().why(), Why::Dropped);
    /// # });
    /// ```
    #[inline]
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn recv(&self) -> Take<'_, T> {
        Op::new(TakeStep::new(&**self.end.core()), const { Name::of("Receiver::recv") })
    }

    /// How the channel ended, once it has.
    ///
    /// ```
    /// use handover::{Why, rendezvous};
    ///
    /// let (tx, rx) = rendezvous::<()>();
    /// assert_eq!(rx.end(), None);
    /// tx.close();
    /// assert_eq!(rx.end(), Some(Why::Closed));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn end(&self) -> Option<Why> {
        self.end.act(const { Name::of("Receiver::end") });
        self.end.how_ended()
    }

    /// Waits until the channel has ended, and gives how.
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
    /// use handover::{Why, rendezvous};
    ///
    /// let (tx, rx) = rendezvous::<()>();
    /// assert!(rx.closed().now().unwrap_err().is_not_ready());
    /// tx.close();
    /// assert_eq!(rx.closed().wait(), Ok(Why::Closed));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn closed(&self) -> Closed<'_, T> {
        self.end.closed(const { Name::of("Receiver::closed") })
    }

    /// Ends the channel for all its ends: the parties that wait are told [`Why::Closed`] at once, whatever an end has said before. Never waits. `true` if this
    /// call ended it.
    ///
    /// A value that was handed over is received. One that is only on offer stays with its sender.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<()>();
    /// assert!(rx.close());
    /// assert!(!tx.close());
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn close(&self) -> bool {
        self.end.act(const { Name::of("Receiver::close") });
        self.end.close()
    }

    /// This end is done, the others of its side go on. When the last one of the side has gone, the channel ends with the worst that they said: [`Why::Closed`] only if
    /// all of them said `finish`. Never waits.
    ///
    /// ```
    /// use handover::{Why, rendezvous};
    ///
    /// let (tx, rx) = rendezvous::<()>();
    /// let other = rx.clone();
    /// rx.finish();
    /// assert!(!tx.is_closed());
    /// other.finish();
    /// assert_eq!(tx.closed().wait(), Ok(Why::Closed));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn finish(mut self) {
        self.end.leave(Why::Closed);
    }

    /// Whether the channel has ended. It may end at any moment after a `false`; a `true` stays.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<()>();
    /// assert!(!rx.is_closed());
    /// drop(tx);
    /// assert!(rx.is_closed());
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn is_closed(&self) -> bool {
        self.end.act(const { Name::of("Receiver::is_closed") });
        self.end.how_ended().is_some()
    }

    /// A handle that does not keep the channel open.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<()>();
    /// let weak = rx.downgrade();
    /// assert!(weak.upgrade().is_some());
    /// drop(rx);
    /// assert!(weak.upgrade().is_none());
    /// ```
    pub fn downgrade(&self) -> WeakReceiver<T> {
        WeakReceiver { end: self.end.downgrade() }
    }

    /// Whether both are ends of one channel.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<()>();
    /// assert!(rx.same_channel(&rx.clone()));
    /// assert!(!rx.same_channel(&handover::rendezvous().1));
    /// ```
    pub fn same_channel(&self, other: &Self) -> bool {
        self.end.same_channel(&other.end)
    }

    /// What the channel has to do just now. Costs as much as operations wait.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<()>();
    /// let other = rx.clone();
    /// assert_eq!(rx.stats().receivers, 2);
    /// assert_eq!(rx.stats().handed_over, 0);
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn stats(&self) -> Stats {
        self.end.act(const { Name::of("Receiver::stats") });
        self.end.stats()
    }
}

/// Another end of the same side. Of a channel that has ended, too.
impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { end: self.end.clone() }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.end.describe("Receiver", f)
    }
}

// An end is whole again after a panic: the panic interrupts an operation, which withdraws.
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

/// A handle to a [`Receiver`] that does not keep the channel open. See [`Receiver::downgrade`].
pub struct WeakReceiver<T> {
    end: WeakEnd<T, RECEIVERS>,
}

impl<T> WeakReceiver<T> {
    /// An end, if there is still one of its side (of a channel that has ended, too). It counts as any other.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<()>();
    /// let weak = rx.downgrade();
    /// assert!(weak.upgrade().is_some_and(|end| end.same_channel(&rx)));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn upgrade(&self) -> Option<Receiver<T>> {
        self.end.act(const { Name::of("WeakReceiver::upgrade") });
        self.end.upgrade().map(|end| Receiver { end })
    }
}

impl<T> Clone for WeakReceiver<T> {
    fn clone(&self) -> Self {
        Self { end: self.end.clone() }
    }
}

impl<T> fmt::Debug for WeakReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakReceiver").finish_non_exhaustive()
    }
}

impl<T> UnwindSafe for WeakReceiver<T> {}
impl<T> RefUnwindSafe for WeakReceiver<T> {}
