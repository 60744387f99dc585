//! The reading end.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll};

use super::leftover::Leftover;
use super::read::{
    Amount, Read, ReadInto, ReadIntoStep, ReadOnce, ReadOnceStep, ReadOne, ReadOneStep,
    ReadProgress, ReadStep,
};
use super::{ReaderHalf, Want};
use crate::drive;
use crate::error::{RecvError, Why};
use crate::operation::Op;
use crate::point::{Name, Origin};
use crate::slot::{Left, Peer};

/// The reading end of a channel for batches.
///
/// Dropping it tells the writer [`Why::Dropped`] (or [`Why::Panicked`], while unwinding); [`close`](Reader::close) tells it
/// [`Why::Closed`].
///
/// After the end of a *finished* stream the first [`read`](Reader::read), [`read_into`](Reader::read_into) or
/// [`read_all`](Reader::read_all) is empty, once. Every other call, and every one after a [`Why::Dropped`] or [`Why::Panicked`] end,
/// gives the reason at once, and always again; only what asks for no item (`read(0)` and its like) is always empty.
pub struct Reader<T> {
    pub(super) half: ReaderHalf<T>,
    /// Items that came for an earlier request and were not used.
    pub(super) leftover: Leftover<T>,
    /// The items of the read that is under way. If it was forgotten, they come before the leftover ones.
    pub(super) gathered: Vec<T>,
    /// What the request that the writer has asks for.
    pub(super) outstanding: Option<Want>,
    /// An allocation for the next request.
    pub(super) spare: Vec<T>,
    /// The end, once a call has told it.
    pub(super) reported_end: Option<Why>,
    /// A call that looked for items has told the end. (`closed` tells it also when there are some.)
    pub(super) is_over: bool,
    /// A read has told the end of a finished stream by an empty result.
    pub(super) gave_empty: bool,
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
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn recv(&mut self) -> ReadOne<'_, T> {
        self.recv_by(Origin::of(const { Name::of("Reader::recv") }))
    }

    /// As `recv`, for the operation or the sequence that was made there.
    pub(super) const fn recv_by(&mut self, origin: Origin) -> ReadOne<'_, T> {
        Op::made_by(origin, ReadOneStep { reader: self })
    }

    /// Waits for `n` items, in one hand-over. Fewer come only at the end or at a [`flush`](crate::Writer::flush); none for `read(0)`, at
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
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn read(&mut self, n: usize) -> Read<'_, T> {
        self.read_by(Origin::of(const { Name::of("Reader::read") }), Amount::Exactly(n))
    }

    /// The reads that give a vector.
    pub(super) const fn read_by(&mut self, origin: Origin, amount: Amount) -> Read<'_, T> {
        Op::made_by(origin, ReadStep { reader: self, progress: ReadProgress::new(amount) })
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
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn read_into<'a>(&'a mut self, n: usize, into: &'a mut Vec<T>) -> ReadInto<'a, T> {
        let progress = ReadProgress::new(Amount::Exactly(n));
        Op::new(
            ReadIntoStep { reader: self, progress, into },
            const { Name::of("Reader::read_into") },
        )
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
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn read_some(&mut self, n: usize) -> Read<'_, T> {
        self.read_by(Origin::of(const { Name::of("Reader::read_some") }), Amount::UpTo(n))
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
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn read_all(&mut self) -> Read<'_, T> {
        self.read_by(Origin::of(const { Name::of("Reader::read_all") }), Amount::All)
    }

    /// Waits for one whole write: the writer's own iterator, which then runs here. What is left in a dropped [`Batch`](crate::Batch) answers the next
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
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn read_once(&mut self) -> ReadOnce<'_, T> {
        Op::new(ReadOnceStep { reader: Some(self) }, const { Name::of("Reader::read_once") })
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
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn closed(&mut self) -> Left<'_> {
        self.half.peer().left(
            Some(&mut self.reported_end),
            false,
            const { Name::of("Reader::closed") },
        )
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
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        self.poll_recv_by(context, Origin::of(const { Name::of("Reader::poll_recv") }))
    }

    pub(super) fn poll_recv_by(
        &mut self,
        context: &mut Context<'_>,
        origin: Origin,
    ) -> Poll<Result<T, RecvError>> {
        let mut recv = self.recv_by(origin);
        let polled = drive::poll(&mut recv.step, context, origin);
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
