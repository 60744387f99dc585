//! A client as an iterator, for threads, and as a stream, for tasks.

use std::fmt;
use std::iter::FusedIterator;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::FusedStream;

use super::Client;
use crate::error::Why;
use crate::step;

impl<T> Client<T> {
    fn next(&mut self) -> Option<T> {
        self.recv().wait().ok()
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut recv = self.recv();
        let polled = step::poll(&mut recv, context);
        // Pending, the waker stays: the stream goes on waiting without the operation.
        recv.done = true;
        polled.map(Result::ok)
    }
}

/// The items of a client, each awaited by blocking the thread. See [`Client::iter`].
pub struct Iter<'a, T> {
    pub(super) client: &'a mut Client<T>,
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
    client: Client<T>,
}

/// The items of a client, for a task. See [`Client::stream`].
#[must_use = "a stream does nothing until it is polled"]
pub struct Stream<'a, T> {
    pub(super) client: &'a mut Client<T>,
}

/// The items of a client, for a task. See [`Client::into_stream`].
#[must_use = "a stream does nothing until it is polled"]
pub struct IntoStream<T> {
    pub(super) client: Client<T>,
}

macro_rules! iterator {
    ($name:ident <$($lifetime:lifetime,)? T>) => {
        impl<T> Iterator for $name<$($lifetime,)? T> {
            type Item = T;

            fn next(&mut self) -> Option<T> {
                self.client.next()
            }
        }

        impl<T> FusedIterator for $name<$($lifetime,)? T> {}
    };
}

macro_rules! stream {
    ($name:ident <$($lifetime:lifetime,)? T>) => {
        impl<T> futures_core::Stream for $name<$($lifetime,)? T> {
            type Item = T;

            fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
                self.client.poll_next(context)
            }
        }

        impl<T> FusedStream for $name<$($lifetime,)? T> {
            fn is_terminated(&self) -> bool {
                self.client.end().is_some()
            }
        }
    };
}

macro_rules! both {
    ($name:ident <$($lifetime:lifetime,)? T>) => {
        impl<T> $name<$($lifetime,)? T> {
            /// How the channel ended, once the items have.
            pub fn end(&self) -> Option<Why> {
                self.client.end()
            }
        }

        impl<T> fmt::Debug for $name<$($lifetime,)? T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.client).finish()
            }
        }
    };
}

iterator!(Iter<'_, T>);
iterator!(IntoIter<T>);
stream!(Stream<'_, T>);
stream!(IntoStream<T>);
both!(Iter<'_, T>);
both!(IntoIter<T>);
both!(Stream<'_, T>);
both!(IntoStream<T>);

impl<T> Drop for Stream<'_, T> {
    fn drop(&mut self) {
        self.client.half.unwait();
    }
}

impl<T> IntoIterator for Client<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { client: self }
    }
}

impl<'a, T> IntoIterator for &'a mut Client<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}
