//! The writing end.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::thread;

use super::write::{
    Flush, FlushStep, SendOne, SendOneStep, Wanted, WantedStep, Write, WriteLocal, WriteProgress,
    WriteStep,
};
use super::{Answer, Request, WriterHalf};
use crate::error::{SendError, Why};
use crate::operation::Op;
use crate::panics::FirstPanic;
use crate::point::{self, Name};
use crate::slot::{Left, Message, Peer};
use crate::step::{PutMode, Waiter as _};

/// The writing end of a channel for batches.
///
/// Dropping it hands over the batch in hand and tells the reader [`Why::Dropped`] (or [`Why::Panicked`], while unwinding);
/// [`finish`](Writer::finish) tells it [`Why::Closed`].
///
/// [`write`](Writer::write) asks for an iterator that may go over to the reader; [`write_local`](Writer::write_local) takes others:
///
/// ```
/// let words = String::from("one two");
/// let (mut writer, _reader) = handover::stream();
/// _ = writer.write_local(words.split(' ')).now();
/// ```
///
/// ```compile_fail,E0597
/// let words = String::from("one two");
/// let (mut writer, _reader) = handover::stream();
/// _ = writer.write(words.split(' ')).now();
/// ```
pub struct Writer<T> {
    pub(super) half: WriterHalf<T>,
    /// The request that is being answered.
    pub(super) request: Option<Request<T>>,
}

impl<T> Writer<T> {
    /// Writes one item. Done when the reader has taken it, or when it lies in the batch in hand that a request has begun.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the reader has left; the item is in the error. What lies in the batch in hand stays there:
    /// [`finish`](Writer::finish) gives it back.
    ///
    /// # Cancel safety
    ///
    /// Dropping it withdraws the item if the reader has not taken it and it does not lie in the batch in hand. Else the item is delivered, and to send
    /// it again is to send it twice. `until`, `wait_timeout`
    /// and `reclaim` tell which; a future that is dropped by a foreign `select!` or timeout tells nobody: see
    /// [the guide](crate::guide::foreign_select).
    ///
    /// ```
    /// use handover::stream;
    ///
    /// let (mut writer, mut reader) = stream();
    /// # pollster::block_on(async {
    /// let write = async {
    ///     writer.send('a').await.unwrap(); // in the batch in hand
    ///     writer.send('b').await.unwrap(); // that is two
    /// };
    /// let ((), read) = futures_lite::future::zip(write, reader.read(2)).await;
    /// assert_eq!(read.unwrap(), ['a', 'b']);
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn send(&mut self, item: T) -> SendOne<'_, T> {
        let progress = WriteProgress::new(Some(item).into_iter(), None);
        Op::new(SendOneStep { writer: self, progress }, const { Name::of("Writer::send") })
    }

    /// Writes the items of an iterator. It is pulled as they are asked for: one step a [`recv`](crate::Reader::recv), `n` for a
    /// [`read(n)`](crate::Reader::read), at the reader itself under [`read_once`](crate::Reader::read_once), to which the iterator itself goes over
    /// (for which it must be `Send + 'static`; [`write_local`](Writer::write_local) asks for neither).
    ///
    /// For items that are borrowed there is [`write_local`](Writer::write_local).
    ///
    /// Done when each item has been taken, or lies in the batch in hand that a request has begun. Since nothing is made before it is
    /// asked for, an iterator that does not know its end (by its [`size_hint`](Iterator::size_hint): `filter` and `split` do not,
    /// ranges and vectors do), and an empty one, needs one more request to be found at its end.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the reader has left; with every item that was not taken, in order, those that already lay
    /// in the batch in hand first. The end of the time (`wait_timeout`, `until`, `now`) gives the same: items whose own `send` was done, and that lay
    /// in the batch, are the caller's again. A reader that leaves, or the end of the time, is noticed between two items, not while the iterator makes one.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the iterator, with the items that it has not given yet. What was pulled from it before is taken, or lies in the batch in hand; to write these items again
    /// is to send them twice. `until` and `wait_timeout` give back the rest; see [the guide](crate::guide::foreign_select).
    ///
    /// # Panics
    ///
    /// A panic of the iterator goes to the side that runs it: to the caller here, or to the reader of the [`Batch`](crate::Batch). The items before it
    /// are handed over.
    ///
    /// ```
    /// use handover::{Why, stream};
    /// use std::thread;
    ///
    /// let (mut writer, mut reader) = stream();
    /// let producer = thread::spawn(move || writer.write(1..).wait().unwrap_err());
    /// assert_eq!(reader.read(3).wait(), Ok(vec![1, 2, 3]));
    /// reader.close();
    /// let error = producer.join().unwrap();
    /// assert_eq!(error.why(), Why::Closed);
    /// assert!(error.into_rest().take(2).eq([4, 5]));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn write<I>(&mut self, items: I) -> Write<'_, I::IntoIter>
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Send + 'static,
    {
        let progress = WriteProgress::new(items.into_iter(), Some(|items| Box::new(items)));
        Op::new(WriteStep { writer: self, progress }, const { Name::of("Writer::write") })
    }

    /// Writes the items of an iterator that borrows, or must stay on this thread. As [`write`](Writer::write), but under
    /// [`read_once`](crate::Reader::read_once) each item comes as a batch of one.
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Writer::write). In a spawned task an iterator with a closure over references may not compile: see
    /// [`Sender::send_all`](crate::Sender::send_all).
    ///
    /// ```
    /// use handover::stream;
    /// use std::thread;
    ///
    /// let words = "one two three".to_string();
    /// let (mut writer, mut reader) = stream();
    /// thread::scope(|scope| {
    ///     scope.spawn(|| writer.write_local(words.split(' ')).wait().map(|()| writer.finish()));
    ///     assert_eq!(reader.read_all().wait().unwrap(), ["one", "two", "three"]);
    /// });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn write_local<I: IntoIterator<Item = T>>(
        &mut self,
        items: I,
    ) -> WriteLocal<'_, I::IntoIter> {
        let progress = WriteProgress::new(items.into_iter(), None);
        Op::new(WriteStep { writer: self, progress }, const { Name::of("Writer::write_local") })
    }

    /// Hands over the batch in hand, although it has fewer items than were asked for. Done when the reader has taken it; at once if
    /// there is nothing in it.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the reader has left. The items stay in the batch in hand: [`finish`](Writer::finish) gives
    /// them back.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: what was not taken is in the batch in hand again.
    ///
    /// ```
    /// use handover::stream;
    ///
    /// let (mut writer, mut reader) = stream();
    /// # pollster::block_on(async {
    /// let write = async {
    ///     writer.write([1, 2]).await.unwrap();
    ///     writer.flush().await.unwrap();
    /// };
    /// let ((), read) = futures_lite::future::zip(write, reader.read(100)).await;
    /// assert_eq!(read.unwrap(), [1, 2]);
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn flush(&mut self) -> Flush<'_, T> {
        let progress = WriteProgress::empty();
        Op::new(FlushStep { writer: self, progress }, const { Name::of("Writer::flush") })
    }

    /// Waits until the reader asks, and gives what is still missing of what it asks for. For a writer that makes its items in portions, or asks another
    /// channel for them.
    ///
    /// Items that lie in the batch in hand, and are all that the reader asks for, or all that it waits for by now, are handed over first: then it waits for the next request. Else it leaves
    /// the request as it is. A reader may give up on its request at any moment, and ask for something else.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the reader has left.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    ///
    /// ```
    /// use handover::{Want, stream};
    ///
    /// let (mut writer, mut reader) = stream();
    /// # pollster::block_on(async {
    /// let write = async {
    ///     assert_eq!(writer.wanted().await, Ok(Want::Exactly(3)));
    ///     writer.send('a').await.unwrap();
    ///     assert_eq!(writer.wanted().await, Ok(Want::Exactly(2)));
    ///     writer.write(['b', 'c']).await.unwrap();
    /// };
    /// let ((), read) = futures_lite::future::zip(write, reader.read(3)).await;
    /// assert_eq!(read.unwrap(), ['a', 'b', 'c']);
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn wanted(&mut self) -> Wanted<'_, T> {
        Op::new(WantedStep { writer: self }, const { Name::of("Writer::wanted") })
    }

    /// Waits until the reader has left, and gives how. It needs no request.
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
    /// use handover::{Why, stream};
    ///
    /// let (mut writer, reader) = stream::<u8>();
    /// assert!(writer.closed().now().unwrap_err().is_not_ready());
    /// drop(reader);
    /// assert_eq!(writer.closed().wait(), Ok(Why::Dropped));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn closed(&mut self) -> Left<'_> {
        self.half.peer().left(None, false, const { Name::of("Writer::closed") })
    }

    /// A handle that watches the reader: another thread, a callback or a task can keep it. The first one costs an allocation.
    ///
    /// ```
    /// let (writer, reader) = handover::stream::<u8>();
    /// let peer = writer.peer();
    /// assert!(!peer.is_closed());
    /// drop(reader);
    /// assert!(peer.is_closed());
    /// ```
    pub fn peer(&self) -> Peer {
        self.half.peer()
    }

    /// As [`finish`](Writer::finish), with another end than [`Why::Closed`]: for a relay that passes on the end of another channel.
    ///
    /// # Errors
    ///
    /// As [`finish`](Writer::finish).
    ///
    /// # Panics
    ///
    /// If `why` is no end: see [`Why::is_end`].
    ///
    /// ```
    /// use handover::{Why, stream};
    ///
    /// let (writer, mut reader) = stream::<u8>();
    /// writer.end_as(Why::Dropped).unwrap();
    /// assert_eq!(reader.recv().wait().unwrap_err().why(), Why::Dropped);
    /// ```
    pub fn end_as(self, why: Why) -> Result<(), SendError<Vec<T>>> {
        self.finish_as(why.assert_end())
    }

    /// Hands over the batch in hand, however short, and closes the channel: the reader is told [`Why::Closed`] after the items. Never
    /// waits.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the reader has left and items lay in the batch in hand; with them.
    ///
    /// ```
    /// use handover::stream;
    ///
    /// let (mut writer, mut reader) = stream();
    /// # pollster::block_on(async {
    /// let write = async {
    ///     writer.write([1, 2]).await.unwrap();
    ///     writer.finish().unwrap();
    /// };
    /// let ((), read) = futures_lite::future::zip(write, reader.read(100)).await;
    /// assert_eq!(read.unwrap(), [1, 2]);
    /// # });
    /// ```
    pub fn finish(self) -> Result<(), SendError<Vec<T>>> {
        self.finish_as(Why::Closed)
    }

    fn finish_as(mut self, why: Why) -> Result<(), SendError<Vec<T>>> {
        let unsent = self.leave(why);
        // Before `unsent` is in the return value, which the compiler would leak if a waker's destructor panicked after that.
        drop(self);
        match unsent {
            Some((why, items)) => Err(SendError::new(why, Some(items))),
            None => Ok(()),
        }
    }

    /// Whether the reader has left. It may leave at any moment after a `false`; a `true` stays.
    ///
    /// ```
    /// let (writer, reader) = handover::stream::<u8>();
    /// assert!(!writer.is_closed());
    /// drop(reader);
    /// assert!(writer.is_closed());
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn is_closed(&self) -> bool {
        point::act(const { Name::of("Writer::is_closed") }, || self.half.channel());
        self.half.peer_end_now().is_some()
    }

    /// Puts the batch that a request has begun and leaves for good. Gives the items back if the reader had left.
    pub(super) fn leave(&mut self, why: Why) -> Option<(Why, Vec<T>)> {
        let batch = self.request.take().map(|request| request.batch);
        let batch = batch.filter(|batch| !batch.is_empty());
        let mut message = batch.map(|batch| Message::Answer(Answer::Batch(batch)));
        let mut panic = FirstPanic::default();
        if message.is_some() {
            // With a request in hand it is this end's turn.
            _ = self.half.load_state();
            panic.run(|| self.half.put(&mut message, PutMode::Committed, None));
        }
        let end = panic.run(|| self.half.leave(why));
        panic.resume();
        if end.flatten().is_some() && message.is_none() {
            // A batch that a sink has put, and that the reader did not take.
            message = self.half.withdraw();
        }
        match (end.flatten(), message) {
            (Some(why), Some(Message::Answer(Answer::Batch(batch)))) => Some((why, batch)),
            _ => None,
        }
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        let unsent = self.leave(if thread::panicking() { Why::Panicked } else { Why::Dropped });
        drop(unsent);
    }
}

impl<T> fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = self.request.as_ref().map(|request| (request.want, request.batch.len()));
        f.debug_struct("Writer").field("half", &self.half).field("request", &request).finish()
    }
}

// No part of an end is ever pinned: items are moved in and out.
impl<T> Unpin for Writer<T> {}

impl<T> UnwindSafe for Writer<T> {}
impl<T> RefUnwindSafe for Writer<T> {}
