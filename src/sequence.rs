//! The sequences: ends and producers as iterators, for threads, and as streams, for tasks.

use std::fmt;
use std::iter::FusedIterator;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::Why;

/// What gives one item after the other, up to the end of the channel.
pub trait Source {
    /// What it gives.
    type Item;

    /// The next item; blocks this thread.
    fn wait_next(&mut self) -> Option<Self::Item>;

    /// All items, one after the other; blocks this thread.
    #[inline]
    fn fold<B>(mut self, init: B, mut f: impl FnMut(B, Self::Item) -> B) -> B
    where
        Self: Sized,
    {
        let mut result = init;
        while let Some(item) = self.wait_next() {
            result = f(result, item);
        }
        result
    }

    /// The next item, for a task. If it is pending, the waker is registered.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Self::Item>>;

    /// Unregisters the waker.
    fn unregister(&mut self);

    /// How the channel ended, once that was told.
    fn end(&self) -> Option<Why>;
}

impl<S: Source> Source for &mut S {
    type Item = S::Item;

    #[inline]
    fn wait_next(&mut self) -> Option<S::Item> {
        (**self).wait_next()
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        (**self).poll_next(context)
    }

    fn unregister(&mut self) {
        (**self).unregister();
    }

    fn end(&self) -> Option<Why> {
        (**self).end()
    }
}

/// The items of an end or of a producer, as an iterator: waiting for one blocks this thread.
///
/// It ends with the channel; [`end`](Iter::end) then tells how that came.
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
#[must_use = "an iterator does nothing until it is asked for an item"]
pub struct Iter<S: Source> {
    pub(crate) source: S,
}

/// The items of an end or of a producer, as a stream for a task.
///
/// It ends with the channel; [`end`](Stream::end) then tells how that came.
///
/// ```
/// use futures_lite::StreamExt;
/// use handover::{Why, simplex};
///
/// let (server, client) = simplex();
/// server.finish_with('a').unwrap();
/// let mut items = client.into_stream();
/// # pollster::block_on(async {
/// assert_eq!(items.next().await, Some('a'));
/// assert_eq!(items.next().await, None);
/// assert_eq!(items.end(), Some(Why::Closed));
/// # });
/// ```
#[must_use = "a stream does nothing until it is polled"]
pub struct Stream<S: Source> {
    pub(crate) source: S,
}

impl<S: Source> Iter<S> {
    /// The same sequence for a task.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use handover::stream;
    /// use std::thread;
    ///
    /// let (mut writer, mut reader) = stream();
    /// thread::spawn(move || writer.write(1..=4).wait().map(|()| writer.finish()));
    /// # pollster::block_on(async {
    /// assert_eq!(reader.ahead(2).into_stream().fold(1, |product, n| product * n).await, 24);
    /// # });
    /// ```
    pub fn into_stream(self) -> Stream<S> {
        Stream { source: self.source }
    }

    /// How the channel ended, once the items have.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<u8>();
    /// let mut values = rx.into_iter();
    /// assert_eq!(values.end(), None);
    /// drop(tx);
    /// assert_eq!(values.next(), None);
    /// assert_eq!(values.end(), Some(handover::Why::Dropped));
    /// ```
    pub fn end(&self) -> Option<Why> {
        self.source.end()
    }
}

impl<S: Source> Stream<S> {
    /// How the channel ended, once the items have.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    ///
    /// let (tx, rx) = handover::rendezvous::<u8>();
    /// tx.close();
    /// let mut values = rx.stream();
    /// # pollster::block_on(async {
    /// assert_eq!(values.next().await, None);
    /// assert_eq!(values.end(), Some(handover::Why::Closed));
    /// # });
    /// ```
    pub fn end(&self) -> Option<Why> {
        self.source.end()
    }
}

impl<S: Source> Iterator for Iter<S> {
    type Item = S::Item;

    #[inline]
    fn next(&mut self) -> Option<S::Item> {
        self.source.wait_next()
    }

    #[inline]
    fn fold<B, F: FnMut(B, S::Item) -> B>(self, init: B, f: F) -> B {
        self.source.fold(init, f)
    }
}

impl<S: Source> FusedIterator for Iter<S> {}

impl<S: Source> futures_core::Stream for Stream<S> {
    type Item = S::Item;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.source.poll_next(context)
    }
}

impl<S: Source> futures_core::FusedStream for Stream<S> {
    fn is_terminated(&self) -> bool {
        self.end().is_some()
    }
}

// No part of a stream is ever pinned.
impl<S: Source> Unpin for Stream<S> {}

impl<S: Source> Drop for Stream<S> {
    fn drop(&mut self) {
        self.source.unregister();
    }
}

impl<S: Source> fmt::Debug for Iter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("end", &self.end()).finish_non_exhaustive()
    }
}

impl<S: Source> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("end", &self.end()).finish_non_exhaustive()
    }
}
