//! `stream`: the reader says how much, the writer writes iterators, and a batch goes over at a time.
//!
//! Over a slot: the reader puts a request, the writer takes it and fills the batch that came with it from the items that are written, in
//! one write or in many; when there are enough it puts the answer, and the reader takes it. The owner of each item:
//!
//! | an item is ...         | owner      | the writer fails, or the reader leaves | the writer leaves, or panics | the reader gives up                   |
//! |------------------------|------------|----------------------------------------|------------------------------|---------------------------------------|
//! | in the iterator        | the writer | given back                             | dropped with it              | untouched                             |
//! | in the request's batch | the writer | given back, before the others          | handed over                  | handed over at the writer's next call |
//! | in the slot, not taken | the writer | withdrawn, given back                  | stays for the reader         | stays for the next request            |
//! | taken                  | the reader | —                                      | —                            | kept for the next request             |
//!
//! A reader that gave up on a request, and now wants something else, withdraws it. If the writer has taken it, the reader requests a flush: the
//! writer then hands over the items that it has, however few, and the reader asks again for the rest.

use std::fmt;
use std::mem;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll};
use std::thread;

use crate::drive;
use crate::error::{RecvError, SendError, Why};
use crate::operation::Op;
use crate::panics::FirstPanic;
use crate::slot::{Answerer, Asker, Left, Message, Peer, slot};
use crate::step::PutMode;

mod iter;
mod leftover;
mod read;
mod write;

pub(crate) use iter::{AheadSource, ChunkSource};
pub use leftover::Batch;
use leftover::{BoxIter, Leftover};
use read::{Amount, ReadIntoStep, ReadOnceStep, ReadOneStep, ReadProgress, ReadStep};
pub use read::{Read, ReadInto, ReadOnce, ReadOne};
pub use write::{Flush, SendOne, Wanted, Write, WriteLocal};
use write::{FlushStep, SendOneStep, WantedStep, WriteProgress, WriteStep};

/// What goes through the slot: requests up, answers down.
type StreamMessage<T> = Message<Answer<T>, Request<T>>;
type WriterHalf<T> = Answerer<StreamMessage<T>>;
type ReaderHalf<T> = Asker<StreamMessage<T>>;

/// A request, with the batch that answers it, as far as it is filled. The batch's allocation is the reader's.
#[allow(missing_debug_implementations, reason = "users do not meet it")]
pub struct Request<T> {
    want: Want,
    batch: Vec<T>,
}

impl<T> Request<T> {
    fn take_batch(&mut self) -> Vec<T> {
        mem::take(&mut self.batch)
    }
}

/// What a reader asks for: see [`Writer::wanted`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// One item: [`Reader::recv`] and what is made of it.
    One,
    /// So many items: [`Reader::read`]; [`Reader::read_all`] asks for [`usize::MAX`].
    Exactly(usize),
    /// As many items as one write brings, but no more than this: [`Reader::read_some`].
    UpTo(usize),
    /// A whole write: [`Reader::read_once`].
    Write,
}

impl Want {
    /// What is missing when there are so many items.
    const fn missing(self, items: usize) -> Self {
        match self {
            Want::Exactly(usize::MAX) => self,
            Want::Exactly(n) => Want::Exactly(n.saturating_sub(items)),
            Want::UpTo(n) => Want::UpTo(n.saturating_sub(items)),
            Want::One | Want::Write => self,
        }
    }
}

/// The answer to a request.
#[allow(missing_debug_implementations, reason = "users do not meet it")]
pub enum Answer<T> {
    One(T),
    Batch(Vec<T>),
    /// Fewer items than were asked for, since the writer flushed.
    Flushed(Vec<T>),
    Write(BoxIter<T>),
}

/// Creates a channel for batches on demand: the reader says how much, the writer just writes.
///
/// One sequence of items goes over. What the reader calls ([`recv`](Reader::recv), [`read`](Reader::read),
/// [`read_once`](Reader::read_once), ...) and what the writer calls ([`send`](Writer::send), [`write`](Writer::write)) may be mixed
/// as they like: every item comes out once, in order. Nothing is made before it is asked for.
///
/// ```
/// use handover::stream;
/// use std::thread;
///
/// let (mut writer, mut reader) = stream();
/// let producer = thread::spawn(move || {
///     writer.send(0).wait().unwrap();
///     writer.write(1..10).wait().unwrap();
///     writer.finish().unwrap();
/// });
/// assert_eq!(reader.recv().wait(), Ok(0));
/// assert_eq!(reader.read(4).wait(), Ok(vec![1, 2, 3, 4]));
/// assert_eq!(reader.read_all().wait(), Ok(vec![5, 6, 7, 8, 9]));
/// producer.join().unwrap();
/// ```
pub fn stream<T>() -> (Writer<T>, Reader<T>) {
    let (writer, reader) = slot();
    let writer = Writer { half: writer, request: None };
    let reader = Reader {
        half: reader,
        leftover: Leftover::default(),
        gathered: Vec::new(),
        outstanding: None,
        spare: Vec::new(),
        reported_end: None,
        is_over: false,
        gave_empty: false,
    };
    (writer, reader)
}

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
    half: WriterHalf<T>,
    /// The request that is being answered.
    request: Option<Request<T>>,
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
    pub fn send(&mut self, item: T) -> SendOne<'_, T> {
        Op::new(SendOneStep {
            writer: self,
            progress: WriteProgress::new(Some(item).into_iter(), None),
        })
    }

    /// Writes the items of an iterator. It is pulled as they are asked for: one step a [`recv`](Reader::recv), `n` for a
    /// [`read(n)`](Reader::read), at the reader itself under [`read_once`](Reader::read_once), to which the iterator itself goes over
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
    /// in the batch in hand first. A reader that leaves, or the end of the time, is noticed between two items, not while the
    /// iterator makes one.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the iterator, with the items that it has not given yet. What was pulled from it before is taken, or lies in the batch in hand; to write these items again
    /// is to send them twice. `until` and `wait_timeout` give back the rest; see [the guide](crate::guide::foreign_select).
    ///
    /// # Panics
    ///
    /// A panic of the iterator goes to the side that runs it: to the caller here, or to the reader of the [`Batch`]. The items before it
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
    pub fn write<I>(&mut self, items: I) -> Write<'_, I::IntoIter>
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Send + 'static,
    {
        Op::new(WriteStep {
            writer: self,
            progress: WriteProgress::new(items.into_iter(), Some(|items| Box::new(items))),
        })
    }

    /// Writes the items of an iterator that borrows, or must stay on this thread. As [`write`](Writer::write), but under
    /// [`read_once`](Reader::read_once) each item comes as a batch of one.
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
    pub fn write_local<I: IntoIterator<Item = T>>(
        &mut self,
        items: I,
    ) -> WriteLocal<'_, I::IntoIter> {
        Op::new(WriteStep { writer: self, progress: WriteProgress::new(items.into_iter(), None) })
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
    pub fn flush(&mut self) -> Flush<'_, T> {
        Op::new(FlushStep { writer: self, progress: WriteProgress::empty(), is_begun: false })
    }

    /// Waits until the reader asks, and gives what is still missing of what it asks for. For a writer that makes its items in portions, or asks another
    /// channel for them.
    ///
    /// It leaves the request as it is. A reader may give up on its request at any moment, and ask for something else.
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
    pub fn wanted(&mut self) -> Wanted<'_, T> {
        Op::new(WantedStep { writer: self })
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
    pub fn closed(&mut self) -> Left<'_> {
        self.half.peer().left(None, false)
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
    pub fn end_as(mut self, why: Why) -> Result<(), SendError<Vec<T>>> {
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
    pub fn finish(mut self) -> Result<(), SendError<Vec<T>>> {
        self.finish_as(Why::Closed)
    }

    fn finish_as(&mut self, why: Why) -> Result<(), SendError<Vec<T>>> {
        match self.leave(why) {
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
    pub fn is_closed(&self) -> bool {
        self.half.peer_end_now().is_some()
    }

    /// Puts the batch that a request has begun and leaves for good. Gives the items back if the reader had left.
    fn leave(&mut self, why: Why) -> Option<(Why, Vec<T>)> {
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

impl<T> UnwindSafe for Writer<T> {}
impl<T> RefUnwindSafe for Writer<T> {}

/// The reading end of a channel for batches.
///
/// Dropping it tells the writer [`Why::Dropped`] (or [`Why::Panicked`], while unwinding); [`close`](Reader::close) tells it
/// [`Why::Closed`].
///
/// After the end of a *finished* stream the first [`read`](Reader::read), [`read_into`](Reader::read_into) or
/// [`read_all`](Reader::read_all) is empty, once. Every other call, and every one after a [`Why::Dropped`] or [`Why::Panicked`] end,
/// gives the reason at once, and always again; only `read(0)` is always empty.
pub struct Reader<T> {
    half: ReaderHalf<T>,
    /// Items that came for an earlier request and were not used.
    leftover: Leftover<T>,
    /// The items of the read that is under way. If it was forgotten, they come before the leftover ones.
    gathered: Vec<T>,
    /// What the request that the writer has asks for.
    outstanding: Option<Want>,
    /// An allocation for the next request.
    spare: Vec<T>,
    /// The end, once a call has told it.
    reported_end: Option<Why>,
    /// A call that looked for items has told the end. (`closed` tells it also when there are some.)
    is_over: bool,
    /// A read has told the end of a finished stream by an empty result.
    gave_empty: bool,
}

impl<T> Reader<T> {
    /// Waits for one item.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the writer has left.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: an item that comes is for the next request, of whatever kind. So it is for all requests.
    ///
    /// ```
    /// use handover::stream;
    /// use std::thread;
    ///
    /// let (mut writer, mut reader) = stream();
    /// thread::spawn(move || writer.write(1..).wait());
    /// assert_eq!((reader.recv().wait(), reader.recv().wait()), (Ok(1), Ok(2)));
    /// ```
    pub fn recv(&mut self) -> ReadOne<'_, T> {
        Op::new(ReadOneStep { reader: self })
    }

    /// Waits for `n` items, in one hand-over. Fewer come only at the end or at a [`flush`](Writer::flush); none for `read(0)`, at
    /// once, and at the end of a finished stream, once.
    ///
    /// No memory is reserved for items that are not there.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the writer has left and no item came before.
    ///
    /// # Cancel safety
    ///
    /// Dropping it, or running out of time, loses nothing: what was already filled is for the next request. (What lies in the writer's
    /// batch in hand comes at the writer's next call.)
    ///
    /// ```
    /// use handover::{Why, stream};
    /// use std::thread;
    ///
    /// let (mut writer, mut reader) = stream();
    /// thread::spawn(move || writer.write(0..5).wait().map(|()| writer.finish()));
    /// assert_eq!(reader.read(3).wait().unwrap(), [0, 1, 2]);
    /// assert_eq!(reader.read(3).wait().unwrap(), [3, 4]);
    /// assert_eq!(reader.read(3).wait().unwrap(), []);
    /// assert_eq!(reader.read(3).wait().unwrap_err().why(), Why::Closed);
    /// ```
    pub fn read(&mut self, n: usize) -> Read<'_, T> {
        Op::new(ReadStep { reader: self, progress: ReadProgress::new(Amount::Exactly(n)) })
    }

    /// Waits for `n` items as [`read`](Reader::read) does, and appends them to `into`. Gives how many came.
    ///
    /// An empty vector's own allocation goes to the writer and comes back filled; so reading into one again and again allocates
    /// nothing.
    ///
    /// # Errors
    ///
    /// As [`read`](Reader::read).
    ///
    /// # Cancel safety
    ///
    /// As [`read`](Reader::read): `into` has then what it had before, though perhaps not its capacity.
    ///
    /// ```
    /// use handover::stream;
    /// use std::thread;
    ///
    /// let (mut writer, mut reader) = stream();
    /// thread::spawn(move || writer.write(0..100).wait().map(|()| writer.finish()));
    /// let mut batch = Vec::with_capacity(40);
    /// let mut sum = 0;
    /// while reader.read_into(40, &mut batch).wait().unwrap() > 0 {
    ///     sum += batch.drain(..).sum::<i32>();
    /// }
    /// assert_eq!(sum, (0..100).sum());
    /// ```
    pub fn read_into<'a>(&'a mut self, n: usize, into: &'a mut Vec<T>) -> ReadInto<'a, T> {
        Op::new(ReadIntoStep {
            reader: self,
            progress: ReadProgress::new(Amount::Exactly(n)),
            into,
        })
    }

    /// Waits for what one write brings, 1 to `n` items, without waiting for more; none for `read_some(0)`, at once.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the writer has left.
    ///
    /// # Cancel safety
    ///
    /// As [`read`](Reader::read).
    ///
    /// ```
    /// use handover::stream;
    /// use std::thread;
    ///
    /// let (mut writer, mut reader) = stream();
    /// thread::spawn(move || {
    ///     writer.write([1, 2]).wait().unwrap();
    ///     writer.write([3, 4, 5]).wait().unwrap();
    /// });
    /// assert_eq!(reader.read_some(100).wait().unwrap(), [1, 2]);
    /// assert_eq!(reader.read_some(2).wait().unwrap(), [3, 4]);
    /// assert_eq!(reader.read_some(2).wait().unwrap(), [5]);
    /// ```
    pub fn read_some(&mut self, n: usize) -> Read<'_, T> {
        Op::new(ReadStep { reader: self, progress: ReadProgress::new(Amount::UpTo(n)) })
    }

    /// Waits for all items up to the end. [`end`](Reader::end) then tells whether that was [`Why::Closed`], or whether items are
    /// missing.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the writer has left and no item came before.
    ///
    /// # Cancel safety
    ///
    /// As [`read`](Reader::read).
    ///
    /// ```
    /// use handover::{Why, stream};
    /// use std::thread;
    ///
    /// let (mut writer, mut reader) = stream();
    /// thread::spawn(move || writer.write(0..4).wait().map(|()| writer.finish()));
    /// assert_eq!(reader.read_all().wait().unwrap(), [0, 1, 2, 3]);
    /// assert_eq!(reader.end(), Some(Why::Closed)); // that was all
    /// ```
    pub fn read_all(&mut self) -> Read<'_, T> {
        Op::new(ReadStep { reader: self, progress: ReadProgress::new(Amount::All) })
    }

    /// Waits for one whole write: the writer's own iterator, which then runs here. What is left in a dropped [`Batch`] answers the next
    /// request.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the writer has left.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    ///
    /// ```
    /// use handover::stream;
    /// use std::thread;
    ///
    /// let (mut writer, mut reader) = stream();
    /// thread::spawn(move || writer.write("a lazy iterator".chars().map(|c| c.to_ascii_uppercase())).wait());
    /// let batch = reader.read_once().wait().unwrap();
    /// assert_eq!(batch.take(6).collect::<String>(), "A LAZY");
    /// assert_eq!(reader.recv().wait(), Ok(' ')); // the rest is not lost
    /// ```
    pub fn read_once(&mut self) -> ReadOnce<'_, T> {
        Op::new(ReadOnceStep { reader: Some(self) })
    }

    /// Waits until the writer has left, and gives how. Items that the writer handed over before are still received after it.
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
    /// let (writer, mut reader) = stream::<u8>();
    /// assert!(reader.closed().now().unwrap_err().is_not_ready());
    /// drop(writer);
    /// assert_eq!(reader.closed().wait(), Ok(Why::Dropped));
    /// ```
    pub fn closed(&mut self) -> Left<'_> {
        self.half.peer().left(Some(&mut self.reported_end), false)
    }

    /// A handle that watches the writer: another thread, a callback or a task can keep it. The first one costs an allocation.
    ///
    /// ```
    /// let (writer, reader) = handover::stream::<u8>();
    /// let peer = reader.peer();
    /// assert!(!peer.is_closed());
    /// drop(writer);
    /// assert!(peer.is_closed());
    /// ```
    pub fn peer(&self) -> Peer {
        self.half.peer()
    }

    /// Closes the channel with another end than [`Why::Closed`]: for a relay that passes on the end of another channel. Never waits.
    ///
    /// # Panics
    ///
    /// If `why` is no end: see [`Why::is_end`].
    ///
    /// ```
    /// use handover::{Why, stream};
    ///
    /// let (mut writer, reader) = stream::<u8>();
    /// reader.end_as(Why::Panicked);
    /// assert_eq!(writer.send(1).wait().unwrap_err().why(), Why::Panicked);
    /// ```
    pub fn end_as(mut self, why: Why) {
        self.half.leave(why.assert_end());
    }

    /// Asks for an item and waits for it, for a future that is written by hand. If it is pending, the waker stays registered.
    ///
    /// # Errors
    ///
    /// As [`recv`](Reader::recv).
    ///
    /// ```
    /// use std::future::poll_fn;
    ///
    /// let (mut writer, mut reader) = handover::stream();
    /// # pollster::block_on(async {
    /// let recv = poll_fn(|context| reader.poll_recv(context));
    /// let (sent, received) = futures_lite::future::zip(writer.send(1), recv).await;
    /// assert_eq!((sent.is_ok(), received), (true, Ok(1)));
    /// # });
    /// ```
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        let mut recv = self.recv();
        let polled = drive::poll(&mut recv.step, context);
        recv.detach(); // Its waker stays registered.
        polled
    }

    /// How the channel ended, once a call on this end has told it: by its error, by fewer items than asked for, or by [`closed`](Reader::closed).
    ///
    /// ```
    /// use handover::{Why, stream};
    ///
    /// let (writer, mut reader) = stream::<u8>();
    /// writer.finish().unwrap();
    /// assert_eq!(reader.end(), None);
    /// assert_eq!(reader.read(3).wait().unwrap(), []);
    /// assert_eq!(reader.end(), Some(Why::Closed));
    /// ```
    pub fn end(&self) -> Option<Why> {
        self.reported_end
    }

    /// Closes the channel: the writer is told [`Why::Closed`], at once if it waits. Never waits itself.
    ///
    /// ```
    /// use handover::{Why, stream};
    ///
    /// let (mut writer, reader) = stream();
    /// reader.close();
    /// assert_eq!(writer.send(1).wait().unwrap_err().why(), Why::Closed);
    /// ```
    pub fn close(mut self) {
        self.half.leave(Why::Closed);
    }
}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("half", &self.half)
            .field("outstanding", &self.outstanding)
            .finish_non_exhaustive()
    }
}

impl<T> UnwindSafe for Reader<T> {}
impl<T> RefUnwindSafe for Reader<T> {}
