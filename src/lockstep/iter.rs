//! A client as an iterator, and as a stream.

use std::task::{Context, Poll};

use super::Client;
use crate::error::Why;
use crate::point::{Name, Origin};
use crate::sequence::{IntoInner, Iter, Source};

impl<T> Source for Client<T> {
    type Item = T;

    #[inline]
    fn wait_next(&mut self, origin: Origin) -> Option<T> {
        self.recv_by(origin).wait().ok()
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>, origin: Origin) -> Poll<Option<T>> {
        self.poll_recv_by(context, origin).map(Result::ok)
    }

    fn unregister(&mut self) {
        self.half.unregister();
    }

    fn end(&self) -> Option<Why> {
        self.reported_end
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}

impl<T> IntoInner for Client<T> {
    type Inner = Self;

    fn into_inner(self) -> Self {
        self
    }
}

/// The items one by one, each awaited by *blocking this thread*.
///
/// Inside of an `async fn` a `for` loop over a client would block the executor's thread; there it is
/// `while let Some(item) = items.next().await` over [`Client::into_stream`]. Clippy can look for calls that
/// block, by lines in a project's `clippy.toml` (a `for` loop is none; see [the guide](crate::guide::when_it_hangs) for all lines):
///
/// ```toml
/// disallowed-methods = [
///     { path = "handover::op::Op::wait", reason = "blocks the executor: .await" },
///     { path = "handover::Client::iter", reason = "blocks the executor: .stream()" },
/// ]
/// ```
///
/// ```
/// let (server, client) = handover::simplex();
/// server.finish_with(1).unwrap();
/// for item in client {
///     assert_eq!(item, 1);
/// }
/// ```
impl<T> IntoIterator for Client<T> {
    type Item = T;
    type IntoIter = Iter<Client<T>>;

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn into_iter(self) -> Iter<Client<T>> {
        Iter::new(self, const { Name::of("Client::into_iter") })
    }
}

impl<'a, T> IntoIterator for &'a mut Client<T> {
    type Item = T;
    type IntoIter = Iter<&'a mut Client<T>>;

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn into_iter(self) -> Iter<&'a mut Client<T>> {
        self.iter()
    }
}
