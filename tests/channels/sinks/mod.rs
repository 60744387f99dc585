//! The sending ends as sinks, and `send_stream`.

mod cases;
mod mixed;
mod panics;
mod senders;
mod streams;

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::Sink;
use handover::sink::SenderSink;
use handover::{SendError, Server, Writer};
use static_assertions::assert_impl_all;

/// Neither `Unpin` nor `Sync`.
struct Pinned(
    #[allow(dead_code)] std::marker::PhantomPinned,
    #[allow(dead_code)] std::cell::Cell<u8>,
);

assert_impl_all!(Server<Pinned>: Sink<Pinned, Error = SendError<Pinned>>, Send, Unpin);
assert_impl_all!(Writer<Pinned>: Sink<Pinned, Error = SendError<Pinned>>, Send, Unpin);
assert_impl_all!(SenderSink<Pinned>: Sink<Pinned, Error = SendError<Pinned>>, Send, Unpin);

/// One poll of each of a sink's calls, with a waker that does nothing.
pub(crate) fn poll_ready<T, S: Sink<T> + Unpin>(sink: &mut S) -> Poll<Result<(), S::Error>> {
    Pin::new(sink).poll_ready(&mut Context::from_waker(Waker::noop()))
}

pub(crate) fn start<T, S: Sink<T> + Unpin>(sink: &mut S, item: T) -> Result<(), S::Error> {
    Pin::new(sink).start_send(item)
}

pub(crate) fn poll_flush<T, S: Sink<T> + Unpin>(sink: &mut S) -> Poll<Result<(), S::Error>> {
    Pin::new(sink).poll_flush(&mut Context::from_waker(Waker::noop()))
}

pub(crate) fn poll_close<T, S: Sink<T> + Unpin>(sink: &mut S) -> Poll<Result<(), S::Error>> {
    Pin::new(sink).poll_close(&mut Context::from_waker(Waker::noop()))
}

pub(crate) fn is_done<E>(polled: Poll<Result<(), E>>) -> bool {
    matches!(polled, Poll::Ready(Ok(())))
}
