//! A client as an iterator, and as a stream.

use std::task::{Context, Poll};

use super::Client;
use crate::error::Why;
use crate::pull::{self, Pull};
use crate::step;

impl<T> Pull for Client<T> {
    type Item = T;

    #[inline]
    fn wait_next(&mut self) -> Option<T> {
        self.recv().wait().ok()
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut recv = self.recv();
        let polled = step::poll(&mut recv, context);
        // Pending, the waker stays: the stream goes on waiting without the operation.
        recv.detach();
        polled.map(Result::ok)
    }

    fn unwait(&mut self) {
        self.half.unwait();
    }

    fn end(&self) -> Option<Why> {
        self.told
    }
}

/// The items of a client, each awaited by blocking the thread. See [`Client::iter`].
pub struct Iter<'a, T> {
    pub(super) pull: &'a mut Client<T>,
}

/// The items of a client, each awaited by blocking the thread. A client turns into it in a `for` loop.
///
/// ```
/// use handover::{Why, simplex};
///
/// let (server, client) = simplex();
/// server.finish_with('a').unwrap();
/// let mut items = client.into_iter();
/// assert!(items.by_ref().eq(['a']));
/// assert_eq!(items.end(), Some(Why::Closed));
/// ```
pub struct IntoIter<T> {
    pull: Client<T>,
}

/// The items of a client, for a task. See [`Client::stream`].
#[must_use = "a stream does nothing until it is polled"]
pub struct Stream<'a, T> {
    pub(super) pull: &'a mut Client<T>,
}

/// The items of a client, for a task. See [`Client::into_stream`].
#[must_use = "a stream does nothing until it is polled"]
pub struct IntoStream<T> {
    pub(super) pull: Client<T>,
}

pull::iterator!(Iter<'_, T>, T);
pull::iterator!(IntoIter<T>, T);
pull::stream!(Stream<'_, T>, T);
pull::stream!(IntoStream<T>, T);

impl<T> IntoIterator for Client<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { pull: self }
    }
}

impl<'a, T> IntoIterator for &'a mut Client<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}
