//! Why something did not happen: one reason, and with it whatever was not taken.

use std::error::Error;
use std::fmt;
use std::io;

use parking_lot::Mutex;

use crate::point::Reason;

/// Why an operation ended without what it was for.
///
/// Every error of this crate turns into it by `?`, without what it carries. The first three are the end of a channel, told by [`is_end`](Why::is_end): the peer will never answer again. The first
/// end that is told stays: every later call on that end of the channel tells the same.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The peer said that it was finished, by `finish`, `finish_with` or `close`.
    Closed,
    /// The peer went away without saying so (an early `?`, a forgotten `finish`): data may be missing.
    Dropped,
    /// The peer went away while its thread was unwinding from a panic: data is missing.
    Panicked,
    /// The time was up.
    TimedOut,
    /// It could not be done without waiting. Only `now()` gives this.
    NotReady,
    /// It is not this end's turn: an answer is still owed ([`Client::exchange`](crate::Client::exchange): call [`owed`](crate::Client::owed) first), or none is
    /// ([`Client::owed`](crate::Client::owed): call `exchange` or `recv`), or a demand is in hand already ([`Server::demand`](crate::Server::demand): answer it first).
    OutOfTurn,
}

impl Why {
    /// Whether the channel has ended: [`Closed`](Why::Closed), [`Dropped`](Why::Dropped) or [`Panicked`](Why::Panicked).
    ///
    /// ```
    /// use handover::Why;
    /// assert!(Why::Dropped.is_end());
    /// assert!(!Why::TimedOut.is_end());
    /// ```
    pub const fn is_end(self) -> bool {
        matches!(self, Why::Closed | Why::Dropped | Why::Panicked)
    }

    /// Asserts that it is an end.
    #[track_caller]
    pub(crate) fn assert_end(self) -> Self {
        assert!(
            self.is_end(),
            "handover: `{self:?}` is no end of a channel; an end is `Closed`, `Dropped` or `Panicked`"
        );
        self
    }

    const fn text(self) -> &'static str {
        match self {
            Why::Closed => "the channel is closed",
            Why::Dropped => "the peer was dropped without closing the channel",
            Why::Panicked => "the peer went away in a panic",
            Why::TimedOut => "the time was up",
            Why::NotReady => "it would have had to wait",
            Why::OutOfTurn => {
                "it is not this end's turn: a client fetches the answer that is owed by `owed`, or asks first by `exchange` or `recv`; \
                 a server gives the demand that it has its `answer` first"
            }
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Error for Why {}

impl From<RecvError> for Why {
    fn from(error: RecvError) -> Why {
        error.why
    }
}

impl<T> From<SendError<T>> for Why {
    fn from(error: SendError<T>) -> Why {
        error.why
    }
}

impl<I: Iterator> From<WriteError<I>> for Why {
    fn from(error: WriteError<I>) -> Why {
        error.why
    }
}

/// How an end appears to `std::io`: a receiver finds the end of a file too early, a sender a broken pipe.
fn io_error(why: Why, end: io::ErrorKind) -> io::Error {
    let kind = match why {
        Why::Closed | Why::Dropped | Why::Panicked => end,
        Why::TimedOut => io::ErrorKind::TimedOut,
        Why::NotReady => io::ErrorKind::WouldBlock,
        Why::OutOfTurn => io::ErrorKind::InvalidInput,
    };
    io::Error::new(kind, why)
}

/// As for a [`RecvError`]. The reason is inside: `error.get_ref()` is a `Why`.
///
/// ```
/// use handover::Why;
/// use std::io;
///
/// let error = io::Error::from(Why::Dropped);
/// assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
/// assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&Why::Dropped));
/// ```
impl From<Why> for io::Error {
    fn from(why: Why) -> io::Error {
        io_error(why, io::ErrorKind::UnexpectedEof)
    }
}

/// An end is [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): a receiver that is told of it wanted more.
impl From<RecvError> for io::Error {
    fn from(error: RecvError) -> io::Error {
        error.why.into()
    }
}

/// An end is [`BrokenPipe`](io::ErrorKind::BrokenPipe).
impl<T> From<SendError<T>> for io::Error {
    fn from(error: SendError<T>) -> io::Error {
        io_error(error.why, io::ErrorKind::BrokenPipe)
    }
}

/// An end is [`BrokenPipe`](io::ErrorKind::BrokenPipe).
impl<I: Iterator> From<WriteError<I>> for io::Error {
    fn from(error: WriteError<I>) -> io::Error {
        io_error(error.why, io::ErrorKind::BrokenPipe)
    }
}

/// The questions that every error answers alike.
macro_rules! reasons {
    () => {
        /// Why it did not happen.
        ///
        /// ```
        /// let (_tx, rx) = handover::rendezvous::<u8>();
        /// assert_eq!(rx.recv().now().unwrap_err().why(), handover::Why::NotReady);
        /// ```
        pub const fn why(&self) -> Why {
            self.why
        }

        /// Whether the channel has ended: no later call can succeed.
        ///
        /// ```
        /// let (tx, rx) = handover::rendezvous::<u8>();
        /// tx.close();
        /// assert!(rx.recv().wait().unwrap_err().is_end());
        /// ```
        pub const fn is_end(&self) -> bool {
            self.why.is_end()
        }

        /// Whether the time was up: a later call may succeed.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// let (_tx, rx) = handover::rendezvous::<u8>();
        /// assert!(rx.recv().wait_timeout(Duration::ZERO).unwrap_err().is_timed_out());
        /// ```
        pub const fn is_timed_out(&self) -> bool {
            matches!(self.why, Why::TimedOut)
        }

        /// Whether it would have had to wait: a later call may succeed.
        ///
        /// ```
        /// let (_tx, rx) = handover::rendezvous::<u8>();
        /// assert!(rx.recv().now().unwrap_err().is_not_ready());
        /// ```
        pub const fn is_not_ready(&self) -> bool {
            matches!(self.why, Why::NotReady)
        }
    };
}

/// Why nothing was received.
///
/// ```
/// use handover::{Why, simplex};
///
/// let (server, mut client) = simplex::<u8>();
/// assert!(client.recv().now().unwrap_err().is_not_ready());
/// server.finish();
/// assert_eq!(client.recv().wait().unwrap_err().why(), Why::Closed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecvError {
    why: Why,
}

impl RecvError {
    /// For mocks and adapters.
    ///
    /// ```
    /// use handover::{RecvError, Why};
    /// assert!(RecvError::new(Why::Dropped).is_end());
    /// ```
    pub const fn new(why: Why) -> Self {
        Self { why }
    }

    reasons!();
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing was received: {}", self.why)
    }
}

impl Error for RecvError {}

/// Why a value was not sent, or was sent but brought nothing back; with the value, if it was not taken.
///
/// [`unsent`](SendError::unsent) is `None` where the value was taken, but what comes back for it (the next demand, or the
/// answer) did not come: the peer left, or the time was up. It is `None`, too, where there was no value: a sink or a `send_stream` that finds the end
/// before it has an item.
///
/// ```
/// use handover::{Why, simplex};
///
/// let (mut server, client) = simplex();
/// client.close();
/// let error = server.send("a letter").wait().unwrap_err();
/// assert_eq!(error.why(), Why::Closed);
/// assert_eq!(error.into_unsent(), Some("a letter"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SendError<T> {
    why: Why,
    unsent: Option<T>,
}

impl<T> SendError<T> {
    /// For mocks and adapters: with the value, if it was not taken.
    ///
    /// ```
    /// use handover::{SendError, Why};
    /// assert_eq!(SendError::new(Why::TimedOut, Some(1)).unsent(), Some(&1));
    /// ```
    pub const fn new(why: Why, unsent: Option<T>) -> Self {
        Self { why, unsent }
    }

    reasons!();

    /// The value, if it was not taken.
    ///
    /// ```
    /// let (tx, _rx) = handover::rendezvous();
    /// assert_eq!(tx.send("a letter").now().unwrap_err().unsent(), Some(&"a letter"));
    /// ```
    pub const fn unsent(&self) -> Option<&T> {
        self.unsent.as_ref()
    }

    /// The value, if it was not taken.
    ///
    /// ```
    /// let (tx, _rx) = handover::rendezvous();
    /// assert_eq!(tx.send("a letter").now().unwrap_err().into_unsent(), Some("a letter"));
    /// ```
    pub fn into_unsent(self) -> Option<T> {
        self.unsent
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unsent = if self.unsent.is_some() { "Some(_)" } else { "None" };
        f.debug_struct("SendError")
            .field("why", &self.why)
            .field("unsent", &format_args!("{unsent}"))
            .finish()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.unsent.is_some() {
            "the value was not taken"
        } else {
            "no value comes back (it was taken, or there was none)"
        };
        write!(f, "{what}: {}", self.why)
    }
}

impl<T> Error for SendError<T> {}

/// Why not all items of an iterator were sent; with those that were not taken.
///
/// ```
/// use handover::simplex;
///
/// let (mut server, client) = simplex();
/// drop(client);
/// let error = server.send_all(1..=3).wait().unwrap_err();
/// assert!(error.into_rest().eq(1..=3));
/// ```
pub struct WriteError<I: Iterator> {
    why: Why,
    rest: Rest<I>,
}

impl<I: Iterator> WriteError<I> {
    pub(crate) const fn new(why: Why, rest: Rest<I>) -> Self {
        Self { why, rest }
    }

    reasons!();

    /// Every item that was not taken, in order: those that the iterator had already given, then the iterator itself.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous();
    /// drop(rx);
    /// assert!(tx.send_all(1..=3).wait().unwrap_err().into_rest().eq(1..=3));
    /// ```
    pub fn into_rest(self) -> Rest<I> {
        self.rest
    }
}

impl<I: Iterator> fmt::Debug for WriteError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteError").field("why", &self.why).finish_non_exhaustive()
    }
}

impl<I: Iterator> fmt::Display for WriteError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not all items were taken: {}", self.why)
    }
}

impl<I: Iterator> Error for WriteError<I> {}

/// The items that a failed write did not hand over, in order. See [`WriteError::into_rest`].
#[must_use = "an iterator does nothing until it is asked for an item"]
pub struct Rest<I: Iterator> {
    head: std::vec::IntoIter<I::Item>,
    /// An iterator that was on its way as a whole. In a mutex that is never locked, so that an error can be shared.
    whole: Option<Mutex<Box<dyn Iterator<Item = I::Item> + Send>>>,
    tail: Option<I>,
}

impl<I: Iterator> Rest<I> {
    pub(crate) fn new(
        head: Vec<I::Item>,
        whole: Option<Box<dyn Iterator<Item = I::Item> + Send>>,
        tail: Option<I>,
    ) -> Self {
        Self { head: head.into_iter(), whole: whole.map(Mutex::new), tail }
    }
}

impl<I: Iterator> Iterator for Rest<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let next = self.head.next().or_else(|| self.whole.as_mut()?.get_mut().next());
        next.or_else(|| self.tail.as_mut()?.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let whole = if self.whole.is_some() { (0, None) } else { (0, Some(0)) };
        let tail = self.tail.as_ref().map_or((0, Some(0)), Iterator::size_hint);
        [whole, tail].into_iter().fold((self.head.len(), Some(self.head.len())), |sum, hint| {
            let high = sum.1.zip(hint.1).and_then(|(sum, hint)| sum.checked_add(hint));
            (sum.0.saturating_add(hint.0), high)
        })
    }
}

impl<I: Iterator> fmt::Debug for Rest<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("size_hint", &self.size_hint()).finish()
    }
}

impl Reason for RecvError {
    fn reason(&self) -> Why {
        self.why
    }
}

impl<T> Reason for SendError<T> {
    fn reason(&self) -> Why {
        self.why
    }
}

impl<I: Iterator> Reason for WriteError<I> {
    fn reason(&self) -> Why {
        self.why
    }
}

/// An error of a pipe has its reason inside.
impl Reason for io::Error {
    fn reason(&self) -> Why {
        self.get_ref().and_then(|inner| inner.downcast_ref()).copied().unwrap_or(Why::Dropped)
    }
}
