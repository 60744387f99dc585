//! The writing end of a pipe.

use std::fmt;
use std::io::{self, IoSlice, Write};
use std::panic::{RefUnwindSafe, UnwindSafe};
#[cfg(any(feature = "futures-io", feature = "tokio"))]
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use super::{Loan, deadline};
use crate::drive;
use crate::error::{SendError, Why};
use crate::point::{Name, Origin};
use crate::slot::{Answerer, SlotState};
use crate::step::{Attempt, PutMode, Step};

/// The writing end of a [`pipe`](crate::pipe).
///
/// [`Write`] blocks until the reader asks for bytes. With the feature `futures-io` it is a `futures_io::AsyncWrite`, with the feature `tokio` a
/// `tokio::io::AsyncWrite`, whose `close` or `shutdown` is [`finish`](PipeWriter::finish).
///
/// A write is done when the reader has its bytes; a flush has nothing left to do. When the reader has left, a write gives
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe), with the [`Why`] inside. A write of no bytes is `Ok(0)` at once. No call gives
/// [`Interrupted`](io::ErrorKind::Interrupted).
///
/// Dropping it tells the reader that bytes may be missing. That holds for an adapter around it, too: `writer.finish()` comes after the adapter's own last word,
/// as in `encoder.finish()?.finish()`.
///
/// # Cancel safety
///
/// A write that is pending has written nothing, so a future of it may be dropped. (`write_all`, in any crate, does not tell how far it came.)
///
/// ```
/// use std::io::{Read, Write};
/// use std::thread;
///
/// let (mut writer, mut reader) = handover::pipe();
/// thread::spawn(move || writer.write_all(b"cut short")); // no `finish`
/// let mut text = String::new();
/// let error = reader.read_to_string(&mut text).unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
/// assert_eq!(text, "cut short");
/// ```
pub struct PipeWriter {
    half: Answerer<Loan>,
    /// How many bytes the loan that was put back last had room for.
    room: usize,
    timeout: Option<Duration>,
    /// What `finish` or a close has told. After that nothing is written any more.
    closed: Option<Option<Why>>,
}

impl PipeWriter {
    pub(super) const fn new(half: Answerer<Loan>) -> Self {
        Self { half, room: 0, timeout: None, closed: None }
    }

    /// Says that this is all: the reader reads what was written, and then finds the end. Never waits.
    ///
    /// # Errors
    ///
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the reader has left; nobody can tell then how much it has read.
    ///
    /// ```
    /// use std::io::Read;
    ///
    /// let (writer, mut reader) = handover::pipe();
    /// writer.finish()?;
    /// assert_eq!(reader.read(&mut [0; 10])?, 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn finish(mut self) -> io::Result<()> {
        self.close()
    }

    /// As `finish`, for the traits that close by reference. Closing again tells the same again.
    pub(super) fn close(&mut self) -> io::Result<()> {
        let half = &mut self.half;
        let close = || {
            half.stay();
            half.leave(Why::Closed)
        };
        match *self.closed.get_or_insert_with(close) {
            Some(why) => Err(broken(why)),
            None => Ok(()),
        }
    }

    /// Whether the reader has left. It may leave at any moment after a `false`; a `true` stays.
    ///
    /// ```
    /// let (writer, reader) = handover::pipe();
    /// assert!(!writer.is_closed());
    /// drop(reader);
    /// assert!(writer.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.half.peer_end_now().is_some()
    }

    /// Sets how long a call of [`Write`] waits for the reader, at most; `None`, as at first, is for ever. When the time is up the error is
    /// [`TimedOut`](io::ErrorKind::TimedOut), and nothing was written. The async traits do not look at it.
    ///
    /// ```
    /// use std::io::{ErrorKind, Write};
    /// use std::time::Duration;
    ///
    /// let (mut writer, _reader) = handover::pipe();
    /// writer.set_timeout(Some(Duration::from_millis(1)));
    /// assert_eq!(writer.write(b"nobody reads").unwrap_err().kind(), ErrorKind::TimedOut);
    /// ```
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// The next write, for a task. If it is pending, the waker stays registered.
    #[cfg(any(feature = "futures-io", feature = "tokio"))]
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub(super) fn poll(
        &mut self,
        data: &[IoSlice<'_>],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let origin = Origin::of(const { Name::of("PipeWriter::write") });
        drive::poll(&mut WriteStep { writer: self, data }, context, origin)
    }
}

fn broken(why: Why) -> io::Error {
    SendError::<()>::new(why, None).into()
}

impl Write for PipeWriter {
    #[inline]
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(data)])
    }

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        let deadline = deadline(self.timeout);
        let origin = Origin::of(const { Name::of("PipeWriter::write") });
        drive::block(&mut WriteStep { writer: self, data }, deadline, origin)
    }

    /// Nothing is to be done: what was written is the reader's.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes as many bytes as were asked for.
struct WriteStep<'a> {
    writer: &'a mut PipeWriter,
    data: &'a [IoSlice<'a>],
}

impl WriteStep<'_> {
    /// Copies into the loan, which is the writer's, and puts it back. `None`: the reader has left meanwhile.
    fn fill(&mut self, mut loan: Loan) -> Option<usize> {
        let before = loan.bytes.len();
        for slice in self.data {
            let room = loan.asked - loan.bytes.len();
            loan.bytes.extend_from_slice(&slice[..room.min(slice.len())]);
        }
        let written = loan.bytes.len() - before;
        // Set before the put, since the reader's waker may panic.
        self.writer.room = loan.asked - loan.bytes.len();
        let mode = if self.writer.room == 0 { PutMode::Committed } else { PutMode::Revocable };
        self.writer.half.put(&mut Some(loan), mode, None).then_some(written)
    }
}

impl Step for WriteStep<'_> {
    const NAME: &'static str = "PipeWriter::write";
    type Output = io::Result<usize>;
    type Waiter = Answerer<Loan>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        if self.data.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        if let Some(end) = self.writer.closed {
            return Poll::Ready(Err(broken(end.unwrap_or(Why::Closed))));
        }
        loop {
            let half = &mut self.writer.half;
            let state = half.load_state();
            if let Some(why) = half.peer_end() {
                return Poll::Ready(Err(broken(why)));
            }
            let loan = match state {
                SlotState::Received => half.take(),
                // The reader has not come for the bytes of the last write, and has asked for more.
                SlotState::Sent if self.writer.room > 0 => half.withdraw(),
                _ if half.is_pending(attempt) => return Poll::Pending,
                _ => None,
            };
            if let Some(written) = loan.and_then(|loan| self.fill(loan)) {
                return Poll::Ready(Ok(written));
            }
        }
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(broken(why))
    }

    fn withdraw(&mut self) {
        self.writer.half.unregister();
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.writer.half
    }
}

impl fmt::Debug for PipeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipeWriter").field(&self.half).finish()
    }
}

// An end is whole again after a panic: a call puts the loan back before any user code runs.
impl UnwindSafe for PipeWriter {}
impl RefUnwindSafe for PipeWriter {}
