//! A receiver as an iterator, and as a stream.

use std::ops::Deref;
use std::task::{Context, Poll};

use super::Receiver;
use super::core::{Core, Taking};
use crate::error::Why;
use crate::pull::{self, Pull};
use crate::step::{self, Step};

/// Values up to the end. It keeps its place among the waiting receivers from poll to poll.
pub(super) struct Feed<C> {
    taking: Taking<C>,
    told: Option<Why>,
}

impl<C> Feed<C> {
    fn tell<T>(&mut self, result: Result<T, Why>) -> Option<T> {
        result.map_err(|why| self.told = Some(why)).ok()
    }
}

impl<T, C: Deref<Target = Core<T>>> Feed<C> {
    fn new(core: C) -> Self {
        Self { taking: Taking::new(core), told: None }
    }
}

impl<T, C: Deref<Target = Core<T>>> Pull for Feed<C> {
    type Item = T;

    #[inline]
    fn wait_next(&mut self) -> Option<T> {
        if self.told.is_some() {
            return None;
        }
        let result = step::block(&mut self.taking, None);
        self.tell(result)
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.told.is_some() {
            return Poll::Ready(None);
        }
        step::poll(&mut self.taking, context).map(|result| self.tell(result))
    }

    fn unwait(&mut self) {
        self.taking.withdraw();
    }

    fn end(&self) -> Option<Why> {
        self.told
    }
}

/// An end that is kept for its core. (`Receiver` itself is not to be a pointer for its users.)
pub(super) struct Kept<T>(Receiver<T>);

impl<T> Deref for Kept<T> {
    type Target = Core<T>;

    #[inline]
    fn deref(&self) -> &Core<T> {
        &self.0.core
    }
}

/// The values that a receiver takes, each awaited by blocking the thread. See [`Receiver::iter`].
pub struct Values<'a, T> {
    pull: Feed<&'a Core<T>>,
}

/// The values that a receiver takes, each awaited by blocking the thread. A receiver turns into it in a `for` loop.
///
/// ```
/// use handover::{Why, rendezvous};
/// use std::thread;
///
/// let (tx, rx) = rendezvous();
/// thread::spawn(move || tx.send_all(["a", "b"]).wait().map(|()| tx.close()));
/// let mut values = rx.into_iter();
/// assert!(values.by_ref().eq(["a", "b"]));
/// assert_eq!(values.end(), Some(Why::Closed));
/// ```
pub struct IntoValues<T> {
    pull: Feed<Kept<T>>,
}

/// The values that a receiver takes, for a task. See [`Receiver::stream`].
#[must_use = "a stream does nothing until it is polled"]
pub struct ValuesStream<'a, T> {
    pull: Feed<&'a Core<T>>,
}

/// The values that a receiver takes, for a task. See [`Receiver::into_stream`].
#[must_use = "a stream does nothing until it is polled"]
pub struct IntoValuesStream<T> {
    pull: Feed<Kept<T>>,
}

pull::iterator!(Values<'_, T>, T);
pull::iterator!(IntoValues<T>, T);
pull::stream!(ValuesStream<'_, T>, T);
pull::stream!(IntoValuesStream<T>, T);

impl<T> Receiver<T> {
    /// The values as a blocking iterator, up to the end of the channel, which its `end()` then tells.
    ///
    /// ```
    /// use handover::rendezvous;
    /// use std::thread;
    ///
    /// let (tx, rx) = rendezvous();
    /// thread::spawn(move || tx.send_all(1..=4).wait());
    /// assert_eq!(rx.iter().take(3).sum::<u32>(), 6);
    /// assert_eq!(rx.iter().next(), Some(4));
    /// ```
    pub fn iter(&self) -> Values<'_, T> {
        Values { pull: Feed::new(&*self.core) }
    }

    /// The values as a [`futures_core::Stream`], up to the end of the channel, which its `end()` then tells.
    ///
    /// Pending, it has a place among the receivers, and keeps it until it is dropped: what is said of a kept
    /// [`recv`](Receiver::recv) is true of it too.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use handover::rendezvous;
    ///
    /// let (tx, rx) = rendezvous();
    /// # pollster::block_on(async {
    /// let produce = async move { tx.send_all([2, 3]).await.unwrap() };
    /// let consume = rx.stream().fold(1, |product, value| product * value);
    /// assert_eq!(futures_lite::future::zip(produce, consume).await, ((), 6));
    /// # });
    /// ```
    pub fn stream(&self) -> ValuesStream<'_, T> {
        ValuesStream { pull: Feed::new(&*self.core) }
    }

    /// This end as a [`futures_core::Stream`] of its values.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    ///
    /// let (tx, rx) = handover::rendezvous::<u8>();
    /// tx.close();
    /// # pollster::block_on(async {
    /// assert_eq!(rx.into_stream().next().await, None);
    /// # });
    /// ```
    pub fn into_stream(self) -> IntoValuesStream<T> {
        IntoValuesStream { pull: Feed::new(Kept(self)) }
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoValues<T>;

    fn into_iter(self) -> IntoValues<T> {
        IntoValues { pull: Feed::new(Kept(self)) }
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Values<'a, T>;

    fn into_iter(self) -> Values<'a, T> {
        self.iter()
    }
}
