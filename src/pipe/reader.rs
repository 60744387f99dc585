//! The reading end of a pipe.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::panic::{RefUnwindSafe, UnwindSafe};
#[cfg(any(feature = "futures-io", feature = "tokio"))]
use std::task::Context;
use std::task::{Poll, ready};
use std::time::Duration;

use super::{Loan, MOST, deadline};
use crate::drive;
use crate::error::Why;
use crate::operation::Op;
use crate::point::{Name, Origin};
use crate::slot::{Asker, SlotState};
use crate::step::{Attempt, PutMode, SelectStep, Step};

/// The reading end of a [`pipe`](crate::pipe).
///
/// [`Read`] and [`BufRead`] block until the writer writes. With the feature `futures-io` it is a `futures_io::{AsyncRead, AsyncBufRead}`, with
/// the feature `tokio` a `tokio::io::{AsyncRead, AsyncBufRead}`.
///
/// [`fill_buf`](BufRead::fill_buf) asks for up to 64 KiB, [`read`](Read::read) for as many bytes as its buffer holds, up to as many; both give what one write or more brought meanwhile, at
/// least one byte. A reader that makes many small reads wants a [`BufReader`](io::BufReader) around it. A read into an empty buffer is `Ok(0)` at
/// once. Otherwise 0 bytes mean that the writer said [`finish`](crate::PipeWriter::finish); a writer that was dropped, or that went away in a panic, gives
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), with the [`Why`] inside, again and again. No call gives [`Interrupted`](io::ErrorKind::Interrupted).
///
/// # Cancel safety
///
/// Bytes that a read asked for and did not fetch, since it was dropped or ran out of time, are there for the next read.
///
/// ```
/// use std::io::{Read, Write};
/// use std::thread;
///
/// let (mut writer, mut reader) = handover::pipe();
/// let writing = thread::spawn(move || writer.write_all(b"a letter").and_then(|()| writer.finish()));
/// let mut text = String::new();
/// reader.read_to_string(&mut text)?;
/// assert_eq!(text, "a letter");
/// # writing.join().unwrap()?;
/// # std::io::Result::Ok(())
/// ```
pub struct PipeReader {
    half: Asker<Loan>,
    /// The buffer, unless it is lent.
    loan: Option<Loan>,
    /// How many bytes of it have been read.
    read: usize,
    reported_end: Option<Why>,
    timeout: Option<Duration>,
}

impl PipeReader {
    pub(super) const fn new(half: Asker<Loan>) -> Self {
        let loan = Some(Loan { bytes: Vec::new(), asked: 0 });
        Self { half, loan, read: 0, reported_end: None, timeout: None }
    }

    /// How the pipe ended, once a call has told it: [`Why::Closed`] if the writer said [`finish`](crate::PipeWriter::finish).
    ///
    /// ```
    /// use handover::Why;
    /// use std::io::Read;
    ///
    /// let (writer, mut reader) = handover::pipe();
    /// drop(writer);
    /// assert_eq!(reader.end(), None);
    /// assert!(reader.read(&mut [0]).is_err());
    /// assert_eq!(reader.end(), Some(Why::Dropped));
    /// ```
    pub const fn end(&self) -> Option<Why> {
        self.reported_end
    }

    /// Reads away what is left, and waits for the end: `Ok` only if the writer said [`finish`](crate::PipeWriter::finish).
    ///
    /// It is for formats whose decoder stops before the end of the bytes. A gzip decoder stops at its trailer, and an encoder that is dropped by an early `?`
    /// writes one: only the end of the pipe then tells that data is missing.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), if the writer was dropped or panicked; [`TimedOut`](io::ErrorKind::TimedOut) and
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), if it has not ended yet.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing but the bytes that it has read away. It may be called again.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::thread;
    ///
    /// let (mut writer, mut reader) = handover::pipe();
    /// thread::spawn(move || writer.write_all(b"head; and then no `finish`"));
    /// let mut head = [0; 4];
    /// reader.read_exact(&mut head)?;
    /// assert_eq!(&head, b"head");
    /// assert_eq!(reader.finished().wait().unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    /// # std::io::Result::Ok(())
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn finished(&mut self) -> Finished<'_> {
        Op::new(FinishedStep { reader: self }, const { Name::of("PipeReader::finished") })
    }

    /// Sets how long a call of [`Read`] or [`BufRead`] waits for the writer, at most; `None`, as at first, is for ever. When the time is up the error is
    /// [`TimedOut`](io::ErrorKind::TimedOut), and nothing is lost. The async traits do not look at it.
    ///
    /// ```
    /// use std::io::{ErrorKind, Read};
    /// use std::time::Duration;
    ///
    /// let (_writer, mut reader) = handover::pipe();
    /// reader.set_timeout(Some(Duration::from_millis(1)));
    /// assert_eq!(reader.read(&mut [0; 10]).unwrap_err().kind(), ErrorKind::TimedOut);
    /// ```
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// The bytes that are there.
    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        self.loan.as_ref().map_or(&[], |loan| &loan.bytes[self.read..])
    }

    #[inline]
    pub(super) fn consume_bytes(&mut self, n: usize) {
        self.read += n.min(self.unread().len());
    }

    /// Copies what is there into `into`.
    pub(super) fn copy_unread(&mut self, into: &mut [u8]) -> usize {
        let unread = self.unread();
        let n = unread.len().min(into.len());
        into[..n].copy_from_slice(&unread[..n]);
        self.read += n;
        n
    }

    /// Waits until bytes are there, or the end is; asks for `asked` bytes, if it asks.
    #[inline]
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn wait_bytes(&mut self, asked: usize, name: Name) -> io::Result<()> {
        if !self.unread().is_empty() {
            return Ok(());
        }
        let deadline = deadline(self.timeout);
        drive::block(&mut ReadStep { reader: self, asked }, deadline, Origin::of(name))
    }

    /// The same for a task. If it is pending, the waker stays registered.
    #[cfg(any(feature = "futures-io", feature = "tokio"))]
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub(super) fn poll(
        &mut self,
        asked: usize,
        context: &mut Context<'_>,
        name: Name,
    ) -> Poll<io::Result<()>> {
        if !self.unread().is_empty() {
            return Poll::Ready(Ok(()));
        }
        drive::poll(&mut ReadStep { reader: self, asked }, context, Origin::of(name))
    }

    /// One attempt to have unread bytes. `Ok` without any is the end, after a `finish`.
    fn attempt(&mut self, asked: usize, attempt: Attempt<'_>) -> Poll<io::Result<()>> {
        while self.unread().is_empty() {
            match self.half.load_state() {
                SlotState::Received => {
                    if let Some(loan) = self.half.take() {
                        self.loan = Some(loan);
                        self.read = 0;
                    }
                }
                state => {
                    if let Some(why) = self.half.peer_end() {
                        let why = *self.reported_end.get_or_insert(why);
                        return Poll::Ready(if why == Why::Closed {
                            Ok(())
                        } else {
                            Err(why.into())
                        });
                    }
                    if state != SlotState::MyTurn {
                        if self.half.is_pending(attempt) {
                            return Poll::Pending;
                        }
                    } else if self.lend(asked, attempt) {
                        return Poll::Pending;
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Puts the buffer for the writer. `false`: the writer has left.
    fn lend(&mut self, asked: usize, attempt: Attempt<'_>) -> bool {
        let loan = self.loan.get_or_insert_with(|| Loan { bytes: Vec::new(), asked: 0 });
        loan.bytes.clear();
        loan.asked = asked.clamp(1, MOST);
        loan.bytes.reserve(loan.asked);
        self.read = 0;
        self.half.put(&mut self.loan, PutMode::Committed, attempt.waker)
    }
}

impl Read for PipeReader {
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        self.wait_bytes(into.len(), const { Name::of("PipeReader::read") })?;
        Ok(self.copy_unread(into))
    }

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn read_to_end(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let before = into.len();
        loop {
            let bytes = self.fill_buf()?;
            let n = bytes.len();
            if n == 0 {
                return Ok(into.len() - before);
            }
            into.extend_from_slice(bytes);
            self.consume_bytes(n);
        }
    }
}

impl BufRead for PipeReader {
    #[inline]
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.wait_bytes(MOST, const { Name::of("PipeReader::fill_buf") })?;
        Ok(self.unread())
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        self.consume_bytes(n);
    }
}

/// Waits for bytes, or for the end.
struct ReadStep<'a> {
    reader: &'a mut PipeReader,
    asked: usize,
}

impl Step for ReadStep<'_> {
    const NAME: &'static str = "PipeReader::read";
    type Output = io::Result<()>;
    type Waiter = Asker<Loan>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        self.reader.attempt(self.asked, attempt)
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(why.into())
    }

    fn withdraw(&mut self) {
        self.reader.half.unregister();
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.reader.half
    }
}

/// Waits for the end of a pipe: see [`PipeReader::finished`].
pub type Finished<'a> = Op<FinishedStep<'a>>;

#[allow(missing_debug_implementations, reason = "users meet it only inside of `Op`")]
pub struct FinishedStep<'a> {
    reader: &'a mut PipeReader,
}

impl Step for FinishedStep<'_> {
    const NAME: &'static str = "PipeReader::finished";
    type Output = io::Result<()>;
    type Waiter = Asker<Loan>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        loop {
            self.reader.consume_bytes(usize::MAX);
            ready!(self.reader.attempt(MOST, attempt))?;
            if self.reader.unread().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(why.into())
    }

    fn withdraw(&mut self) {
        self.reader.half.unregister();
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.reader.half
    }
}

impl SelectStep for FinishedStep<'_> {}

impl fmt::Debug for PipeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipeReader").field(&self.half).finish()
    }
}

// An end is whole again after a panic: a read changes it before and after user code runs, and not around it.
impl UnwindSafe for PipeReader {}
impl RefUnwindSafe for PipeReader {}
