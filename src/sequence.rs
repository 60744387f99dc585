//! The sequences: ends and producers as iterators, for threads, and as streams, for tasks.

use std::fmt;
use std::iter::FusedIterator;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::Why;
use crate::point::{Name, Origin};

/// What gives one item after the other, up to the end of the channel.
pub trait Source {
    /// What it gives.
    type Item;

    /// The next item; blocks this thread. `origin` is where the sequence was made.
    fn wait_next(&mut self, origin: Origin) -> Option<Self::Item>;

    /// All items, one after the other; blocks this thread.
    #[inline]
    fn fold<B>(mut self, init: B, mut f: impl FnMut(B, Self::Item) -> B, origin: Origin) -> B
    where
        Self: Sized,
    {
        let mut result = init;
        while let Some(item) = self.wait_next(origin) {
            result = f(result, item);
        }
        result
    }

    /// The next item, for a task. If it is pending, the waker is registered.
    fn poll_next(&mut self, context: &mut Context<'_>, origin: Origin) -> Poll<Option<Self::Item>>;

    /// Unregisters the waker.
    fn unregister(&mut self);

    /// How the channel ended, once that was told.
    fn end(&self) -> Option<Why>;

    /// Whether there is nothing more to come.
    fn is_over(&self) -> bool {
        self.end().is_some()
    }
}

/// A source that is made of an end, and can be taken apart again.
pub trait IntoInner: Source {
    /// The end: by value, or the reference by which it is borrowed.
    type Inner;

    /// The end itself. What the source still holds answers the end's next request.
    fn into_inner(self) -> Self::Inner;
}

impl<S: Source> Source for &mut S {
    type Item = S::Item;

    #[inline]
    fn wait_next(&mut self, origin: Origin) -> Option<S::Item> {
        (**self).wait_next(origin)
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>, origin: Origin) -> Poll<Option<S::Item>> {
        (**self).poll_next(context, origin)
    }

    fn unregister(&mut self) {
        (**self).unregister();
    }

    fn end(&self) -> Option<Why> {
        (**self).end()
    }

    fn is_over(&self) -> bool {
        (**self).is_over()
    }
}

/// An end that is borrowed.
impl<S: Source> IntoInner for &mut S {
    type Inner = Self;

    fn into_inner(self) -> Self {
        self
    }
}

/// The items of an end or of a producer, as an iterator: waiting for one blocks this thread.
///
/// It ends with the channel; [`end`](Iter::end) then tells how that came, and [`checked`](Iter::checked) makes an early end an item.
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
    source: S,
    origin: Origin,
}

/// The items of an end or of a producer, as a stream for a task.
///
/// It ends with the channel; [`end`](Stream::end) then tells how that came, and [`checked`](Stream::checked) makes an early end an item.
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
    /// `None` once it was taken out.
    source: Option<S>,
    origin: Origin,
}

impl<S: Source> Iter<S> {
    /// `name` is the method that makes it.
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub(crate) const fn new(source: S, name: Name) -> Self {
        Self { source, origin: Origin::of(name) }
    }

    pub(crate) fn into_source(self) -> S {
        self.source
    }

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
        Stream { source: Some(self.source), origin: self.origin }
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

    /// The same items as `Ok`, and an end that is not [`Why::Closed`] as a last `Err`: so a sequence that was cut short does not look complete.
    ///
    /// ```
    /// use handover::{Why, simplex};
    /// use std::thread;
    ///
    /// let (mut server, client) = simplex();
    /// thread::spawn(move || {
    ///     _ = server.send(1).wait();
    ///     // leaves by an early `?`, say, without `finish`
    /// });
    /// assert!(client.into_iter().checked().eq([Ok(1), Err(Why::Dropped)]));
    /// ```
    pub fn checked(self) -> Iter<Checked<S>> {
        Iter { source: Checked::new(self.source), origin: self.origin }
    }

    /// For items that are results: an end that is not [`Why::Closed`] is a last error among them. An error in the middle ends nothing.
    ///
    /// ```
    /// use handover::simplex;
    /// use std::{io, thread};
    ///
    /// let (mut server, client) = simplex();
    /// thread::spawn(move || _ = server.send(Ok::<_, io::Error>("a row")).wait()); // no `finish`
    /// let rows: io::Result<Vec<_>> = client.into_iter().checked_results().collect();
    /// assert_eq!(rows.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    /// ```
    pub fn checked_results<U, E: From<Why>>(self) -> Iter<CheckedResults<S>>
    where
        S: Source<Item = Result<U, E>>,
    {
        Iter { source: CheckedResults(Checked::new(self.source)), origin: self.origin }
    }

    /// The end of which it is made: by value, or `&mut` (`&` of a [`Receiver`](crate::Receiver)) if it is borrowed. What the sequence still holds answers the
    /// end's next request.
    ///
    /// ```
    /// use handover::stream;
    /// use std::thread;
    ///
    /// let (mut writer, reader) = stream();
    /// thread::spawn(move || writer.write(1..=10).wait().map(|()| writer.finish()));
    /// let mut items = reader.into_ahead(4);
    /// assert_eq!(items.next(), Some(1));
    /// let mut reader = items.into_inner();
    /// assert_eq!(reader.read(2).wait().unwrap(), [2, 3]);
    /// ```
    pub fn into_inner(self) -> S::Inner
    where
        S: IntoInner,
    {
        self.source.into_inner()
    }
}

impl<S: Source> Stream<S> {
    /// `name` is the method that makes it.
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub(crate) const fn new(source: S, name: Name) -> Self {
        Self { source: Some(source), origin: Origin::of(name) }
    }

    fn source(&self) -> &S {
        self.source.as_ref().expect("a source that was not taken out")
    }

    /// The source itself, which waits for nothing any more.
    pub(crate) fn into_source(mut self) -> S {
        let mut source = self.source.take().expect("a source that was not taken out");
        source.unregister();
        source
    }

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
        self.source().end()
    }

    /// The same items as `Ok`, and an end that is not [`Why::Closed`] as a last `Err`: so a sequence that was cut short does not look complete.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use handover::{Why, simplex};
    ///
    /// let (server, client) = simplex::<u8>();
    /// drop(server);
    /// # pollster::block_on(async {
    /// let items: Vec<_> = client.into_stream().checked().collect().await;
    /// assert_eq!(items, [Err(Why::Dropped)]);
    /// # });
    /// ```
    pub fn checked(self) -> Stream<Checked<S>> {
        let origin = self.origin;
        Stream { source: Some(Checked::new(self.into_source())), origin }
    }

    /// For items that are results: an end that is not [`Why::Closed`] is a last error among them, as a response body wants it. An error in the middle
    /// ends nothing.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use handover::stream;
    /// use std::io;
    ///
    /// let (writer, reader) = stream::<io::Result<&str>>();
    /// drop(writer); // it should have said `finish`
    /// # pollster::block_on(async {
    /// let mut body = reader.into_stream().checked_results();
    /// let error = body.next().await.unwrap().unwrap_err();
    /// assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    /// assert!(body.next().await.is_none());
    /// # });
    /// ```
    pub fn checked_results<U, E: From<Why>>(self) -> Stream<CheckedResults<S>>
    where
        S: Source<Item = Result<U, E>>,
    {
        let origin = self.origin;
        Stream { source: Some(CheckedResults(Checked::new(self.into_source()))), origin }
    }

    /// The end of which it is made: by value, or `&mut` (`&` of a [`Receiver`](crate::Receiver)) if it is borrowed. What the sequence still holds answers the
    /// end's next request.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<u8>();
    /// let rx = rx.into_stream().into_inner();
    /// tx.close();
    /// assert!(rx.recv().wait().is_err());
    /// ```
    pub fn into_inner(self) -> S::Inner
    where
        S: IntoInner,
    {
        self.into_source().into_inner()
    }
}

impl<S: Source> Iterator for Iter<S> {
    type Item = S::Item;

    #[inline]
    fn next(&mut self) -> Option<S::Item> {
        self.source.wait_next(self.origin)
    }

    #[inline]
    fn fold<B, F: FnMut(B, S::Item) -> B>(self, init: B, f: F) -> B {
        self.source.fold(init, f, self.origin)
    }
}

impl<S: Source> FusedIterator for Iter<S> {}

impl<S: Source> futures_core::Stream for Stream<S> {
    type Item = S::Item;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let origin = self.origin;
        match &mut self.source {
            Some(source) => source.poll_next(context, origin),
            None => Poll::Ready(None),
        }
    }
}

impl<S: Source> futures_core::FusedStream for Stream<S> {
    fn is_terminated(&self) -> bool {
        self.source().is_over()
    }
}

// No part of a stream is ever pinned.
impl<S: Source> Unpin for Stream<S> {}

impl<S: Source> Drop for Stream<S> {
    fn drop(&mut self) {
        if let Some(source) = &mut self.source {
            source.unregister();
        }
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

/// The items of a sequence, and an end that is not [`Why::Closed`] as a last error. See [`Iter::checked`].
#[derive(Debug)]
pub struct Checked<S> {
    source: S,
    has_told: bool,
}

impl<S: Source> Checked<S> {
    const fn new(source: S) -> Self {
        Self { source, has_told: false }
    }

    /// The end, if it is to be told as an error. That happens once.
    #[cold]
    fn early_end(&mut self) -> Option<Why> {
        let end = self.source.end().filter(|why| *why != Why::Closed)?;
        (!std::mem::replace(&mut self.has_told, true)).then_some(end)
    }
}

impl<S: Source> Source for Checked<S> {
    type Item = Result<S::Item, Why>;

    #[inline]
    fn wait_next(&mut self, origin: Origin) -> Option<Self::Item> {
        match self.source.wait_next(origin) {
            Some(item) => Some(Ok(item)),
            None => self.early_end().map(Err),
        }
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>, origin: Origin) -> Poll<Option<Self::Item>> {
        match self.source.poll_next(context, origin) {
            Poll::Ready(Some(item)) => Poll::Ready(Some(Ok(item))),
            Poll::Ready(None) => Poll::Ready(self.early_end().map(Err)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn unregister(&mut self) {
        self.source.unregister();
    }

    fn end(&self) -> Option<Why> {
        self.source.end()
    }

    fn is_over(&self) -> bool {
        self.source.is_over() && (self.has_told || self.source.end() == Some(Why::Closed))
    }
}

impl<S: IntoInner> IntoInner for Checked<S> {
    type Inner = S::Inner;

    fn into_inner(self) -> S::Inner {
        self.source.into_inner()
    }
}

/// The results of a sequence, and an end that is not [`Why::Closed`] as a last error among them. See [`Iter::checked_results`].
#[derive(Debug)]
pub struct CheckedResults<S>(Checked<S>);

impl<U, E: From<Why>, S: Source<Item = Result<U, E>>> Source for CheckedResults<S> {
    type Item = Result<U, E>;

    #[inline]
    fn wait_next(&mut self, origin: Origin) -> Option<Self::Item> {
        match self.0.source.wait_next(origin) {
            Some(item) => Some(item),
            None => self.0.early_end().map(|why| Err(why.into())),
        }
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>, origin: Origin) -> Poll<Option<Self::Item>> {
        match self.0.source.poll_next(context, origin) {
            Poll::Ready(None) => Poll::Ready(self.0.early_end().map(|why| Err(why.into()))),
            polled => polled,
        }
    }

    fn unregister(&mut self) {
        self.0.unregister();
    }

    fn end(&self) -> Option<Why> {
        self.0.end()
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

impl<U, E: From<Why>, S: IntoInner<Item = Result<U, E>>> IntoInner for CheckedResults<S> {
    type Inner = S::Inner;

    fn into_inner(self) -> S::Inner {
        self.0.into_inner()
    }
}
