//! `pipe`: bytes from a writer to a reader, on threads and in tasks. The reader lends its buffer, the writer fills it.
//!
//! Over a slot: a reader that has nothing left puts its buffer into the slot, with the number of bytes that it asks for (a *loan*). The writer takes
//! the loan, copies bytes into it and puts it back, all in one call. So a write waits for a loan, and for nothing after it.
//!
//! | the buffer is ...                   | the slot says            | a read ...                           | a write ...                                  |
//! |-------------------------------------|--------------------------|--------------------------------------|----------------------------------------------|
//! | the reader's, with unread bytes     | held by the reader       | is served from it, at once           | waits for a loan; it has written nothing     |
//! | the reader's, used up               | held by the reader       | lends it, and waits                  | waits for a loan; it has written nothing     |
//! | lent                                | put by the reader        | waits                                | takes it, copies, puts it back: done         |
//! | back, filled as far as was asked    | put for good by the writer | takes it: done                     | waits for the next loan                      |
//! | back, with room left                | put revocably by the writer | takes it: done                    | takes it back, copies, puts it again: done   |
//! | the writer's                        | held by the writer       | waits                                | only within a call of the writer             |
//!
//! | what happens                              | then                                                                                            |
//! |-------------------------------------------|-------------------------------------------------------------------------------------------------|
//! | a read is dropped or runs out of time     | the loan stands; what comes into it is for the next read, which need not ask for the same number |
//! | a write is dropped or runs out of time    | it has written nothing; its waker is unregistered by a thread, and stays registered by a task     |
//! | the writer finishes, is dropped, panics   | the bytes that it has put are read first, then the end is told                                   |
//! | the reader is dropped                     | bytes that it has not read are dropped with the channel; the next write is told                  |
//! | the reader's waker panics in a write      | the bytes are the reader's by then; the panic goes on                                            |
//! | a waker's clone panics in a read          | nothing was lent: the buffer stays the reader's                                                  |
//!
//! Nothing but bytes is passed, so no destructor of a user's runs here; wakers run as `slot` tells. The buffer is allocated for the first read that asks
//! for so much, and then passed to and fro.

#[cfg(feature = "futures-io")]
mod futures_io;
mod reader;
#[cfg(feature = "tokio")]
mod tokio;
mod writer;

use std::time::{Duration, Instant};

pub use reader::{Finished, PipeReader};
pub use writer::PipeWriter;

use crate::point;
use crate::slot::slot;

/// The most bytes that one read asks for: what a kernel's pipe holds, too.
const MOST: usize = 64 * 1024;

/// A buffer on its way from the reader to the writer and back.
#[allow(missing_debug_implementations, reason = "users do not meet it")]
pub struct Loan {
    bytes: Vec<u8>,
    /// The number of bytes that the reader asks for.
    asked: usize,
}

/// When a call of a trait of `std::io` gives up that starts now.
fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| point::now().checked_add(timeout))
}

/// Creates a pipe for bytes: what is written at one end is read at the other, by a thread or by a task.
///
/// Both ends are used by the traits that bytes are passed by: [`Write`](std::io::Write) at the writer, [`Read`](std::io::Read) and
/// [`BufRead`](std::io::BufRead) at the reader, which block; with the feature `futures-io` also `futures_io::{AsyncWrite, AsyncRead, AsyncBufRead}`, with the feature
/// `tokio` also the traits of these names in `tokio::io`. An end may change between them at any time.
///
/// Nothing is buffered ahead: a write waits until the reader waits, and is done when its bytes are copied into the buffer that the reader lent, at most as
/// many as that asked for (64 KiB, or the length of a shorter buffer). It does not wait for the next read. The bytes are then the reader's, also if
/// that read was given up: they come with its next one. A write that is pending has written nothing.
///
/// For small pieces put a [`BufWriter`](std::io::BufWriter) around the writer, and read by `BufRead`: one copy, where `Read` makes two.
///
/// Where the traits of two families are in scope at once, a call says which it means: `BufRead::fill_buf(&mut reader)`.
///
/// The reader finds the end (0 bytes) only after [`finish`](PipeWriter::finish) or a shutdown; after a drop or a panic of the writer it finds
/// [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof), so that bytes that were cut short do not look complete.
///
/// ```
/// use std::io::{self, BufRead, Write};
/// use std::thread;
///
/// let (mut writer, reader) = handover::pipe();
/// let listing = thread::spawn(move || {
///     writeln!(writer, "two\nlines")?;
///     writer.finish()
/// });
/// let lines: Vec<String> = reader.lines().collect::<io::Result<_>>()?;
/// assert_eq!(lines, ["two", "lines"]);
/// listing.join().unwrap()?;
/// # io::Result::Ok(())
/// ```
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn pipe() -> (PipeWriter, PipeReader) {
    let (server, client) = slot("pipe");
    (PipeWriter::new(server), PipeReader::new(client))
}
