//! A reader as an iterator, and as a stream: item by item, in batches, or in batches asked for ahead.
#![allow(
    missing_debug_implementations,
    reason = "users meet the sources only inside of `Iter` and `Stream`"
)]

use std::borrow::BorrowMut;
use std::marker::PhantomData;
use std::mem;
use std::task::{Context, Poll};

use super::Reader;
use super::read::{Amount, ReadAheadStep};
use crate::drive;
use crate::error::Why;
use crate::point::{Name, Origin};
use crate::sequence::{IntoInner, Iter, Source, Stream};

/// See `iter`, where users find these names.
pub(crate) type Chunks<'a, T> = Iter<ChunkSource<T, &'a mut Reader<T>>>;
pub(crate) type IntoChunks<T> = Iter<ChunkSource<T, Reader<T>>>;
pub(crate) type Ahead<'a, T> = Iter<AheadSource<T, &'a mut Reader<T>>>;
pub(crate) type IntoAhead<T> = Iter<AheadSource<T, Reader<T>>>;

impl<T> Source for Reader<T> {
    type Item = T;

    fn wait_next(&mut self, origin: Origin) -> Option<T> {
        self.recv_by(origin).wait().ok()
    }

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

impl<T> IntoInner for Reader<T> {
    type Inner = Self;

    fn into_inner(self) -> Self {
        self
    }
}

/// A reader, owned or borrowed, that is asked for `n` items at a time: batches.
pub struct ChunkSource<T, R> {
    reader: R,
    n: usize,
    items: PhantomData<fn() -> T>,
}

impl<T, R> ChunkSource<T, R> {
    const fn new(reader: R, n: usize) -> Self {
        Self { reader, n, items: PhantomData }
    }
}

impl<T, R: BorrowMut<Reader<T>>> Source for ChunkSource<T, R> {
    type Item = Vec<T>;

    fn wait_next(&mut self, origin: Origin) -> Option<Vec<T>> {
        let amount = Amount::Exactly(self.n);
        let chunk = self.reader.borrow_mut().read_by(origin, amount).wait();
        chunk.ok().filter(|chunk| !chunk.is_empty())
    }

    fn poll_next(&mut self, context: &mut Context<'_>, origin: Origin) -> Poll<Option<Vec<T>>> {
        let mut read = self.reader.borrow_mut().read_by(origin, Amount::Exactly(self.n));
        let polled = drive::poll(&mut read.step, context, origin);
        read.suspend();
        polled.map(|read| read.ok().filter(|chunk| !chunk.is_empty()))
    }

    fn unregister(&mut self) {
        self.reader.borrow_mut().half.unregister();
    }

    fn end(&self) -> Option<Why> {
        self.reader.borrow().reported_end
    }

    fn is_over(&self) -> bool {
        self.reader.borrow().is_over
    }
}

impl<T, R: BorrowMut<Reader<T>>> IntoInner for ChunkSource<T, R> {
    type Inner = R;

    fn into_inner(self) -> R {
        self.reader
    }
}

/// A reader, owned or borrowed, that asks for the next `n` items when it has got `n`.
pub struct AheadSource<T, R> {
    reader: R,
    n: usize,
    items: PhantomData<fn() -> T>,
}

impl<T, R> AheadSource<T, R> {
    fn new(reader: R, n: usize) -> Self {
        Self { reader, n: n.max(1), items: PhantomData }
    }
}

impl<T, R: BorrowMut<Reader<T>>> AheadSource<T, R> {
    fn step(&mut self) -> ReadAheadStep<'_, T> {
        ReadAheadStep { reader: self.reader.borrow_mut(), n: self.n }
    }
}

impl<T, R: BorrowMut<Reader<T>>> Source for AheadSource<T, R> {
    type Item = T;

    #[inline]
    fn wait_next(&mut self, origin: Origin) -> Option<T> {
        match self.reader.borrow_mut().leftover.items.pop() {
            Some(item) => Some(item),
            None => drive::block(&mut self.step(), None, origin).ok(),
        }
    }

    #[inline]
    fn fold<B>(mut self, init: B, mut f: impl FnMut(B, T) -> B, origin: Origin) -> B {
        let mut result = init;
        loop {
            let mut using = Using::begin(&mut self.reader.borrow_mut().leftover.items);
            while let Some(item) = using.items.pop() {
                result = f(result, item);
            }
            drop(using);
            match self.wait_next(origin) {
                Some(item) => result = f(result, item),
                None => return result,
            }
        }
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>, origin: Origin) -> Poll<Option<T>> {
        match self.reader.borrow_mut().leftover.items.pop() {
            Some(item) => Poll::Ready(Some(item)),
            None => drive::poll(&mut self.step(), context, origin).map(Result::ok),
        }
    }

    fn unregister(&mut self) {
        self.reader.borrow_mut().half.unregister();
    }

    fn end(&self) -> Option<Why> {
        self.reader.borrow().reported_end
    }

    fn is_over(&self) -> bool {
        self.reader.borrow().is_over
    }
}

/// Items that are being used, taken out of their place so that they stay in registers. Those that are not used go back, come what may.
struct Using<'a, T> {
    items: Vec<T>,
    place: &'a mut Vec<T>,
}

impl<'a, T> Using<'a, T> {
    fn begin(place: &'a mut Vec<T>) -> Self {
        Self { items: mem::take(place), place }
    }
}

impl<T> Drop for Using<'_, T> {
    #[inline]
    fn drop(&mut self) {
        mem::swap(&mut self.items, self.place);
    }
}

impl<T, R: BorrowMut<Reader<T>>> IntoInner for AheadSource<T, R> {
    type Inner = R;

    fn into_inner(self) -> R {
        self.reader
    }
}

impl<T> Reader<T> {
    /// The items one by one as a blocking iterator, up to the end of the channel. [`end`](Reader::end) then tells how that came.
    ///
    /// ```
    /// use handover::stream;
    /// use std::thread;
    ///
    /// let (mut writer, mut reader) = stream();
    /// thread::spawn(move || writer.write("abc".chars()).wait().map(|()| writer.finish()));
    /// assert_eq!(reader.iter().collect::<String>(), "abc");
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn iter(&mut self) -> Iter<&mut Self> {
        Iter::new(self, const { Name::of("Reader::iter") })
    }

    /// The items one by one as a [`futures_core::Stream`], up to the end of the channel. [`end`](Reader::end) then tells how that
    /// came.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use handover::stream;
    ///
    /// let (mut writer, mut reader) = stream();
    /// # pollster::block_on(async {
    /// let write = async move { writer.write("abc".chars()).await.map(|()| writer.finish()) };
    /// let (_, text) = futures_lite::future::zip(write, reader.stream().collect::<String>()).await;
    /// assert_eq!(text, "abc");
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn stream(&mut self) -> Stream<&mut Self> {
        Stream::new(self, const { Name::of("Reader::stream") })
    }

    /// This end as a [`futures_core::Stream`] of its items.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    ///
    /// let (writer, reader) = handover::stream::<u8>();
    /// writer.finish().unwrap();
    /// # pollster::block_on(async {
    /// assert_eq!(reader.into_stream().next().await, None);
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn into_stream(self) -> Stream<Self> {
        Stream::new(self, const { Name::of("Reader::into_stream") })
    }

    /// Batches of `n` as a blocking iterator, the last one (and one at a [`flush`](super::Writer::flush)) shorter;
    /// [`into_stream`](Chunks::into_stream) for a task. `chunks(0)` has none.
    ///
    /// ```
    /// use handover::stream;
    /// use std::thread;
    ///
    /// let (mut writer, mut reader) = stream();
    /// thread::spawn(move || writer.write(0..5).wait().map(|()| writer.finish()));
    /// assert_eq!(reader.chunks(2).collect::<Vec<_>>(), [vec![0, 1], vec![2, 3], vec![4]]);
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn chunks(&mut self, n: usize) -> Chunks<'_, T> {
        Iter::new(ChunkSource::new(self, n), const { Name::of("Reader::chunks") })
    }

    /// The items one by one, though they come in batches of `n`, the next one asked for while this one is used: so the writer
    /// makes items while the reader uses them, and at most `2 * n` are alive. A blocking iterator;
    /// [`into_stream`](Ahead::into_stream) for a task. `ahead(0)` is as `ahead(1)`.
    ///
    /// Dropped, it leaves what it had asked for to the next request.
    ///
    /// ```
    /// use handover::stream;
    /// use std::thread;
    ///
    /// let (mut writer, mut reader) = stream();
    /// thread::spawn(move || writer.write(0..1000_u64).wait().map(|()| writer.finish()));
    /// assert_eq!(reader.ahead(64).sum::<u64>(), (0..1000).sum());
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn ahead(&mut self, n: usize) -> Ahead<'_, T> {
        Iter::new(AheadSource::new(self, n), const { Name::of("Reader::ahead") })
    }
}

impl<T> Reader<T> {
    /// As [`chunks`](Reader::chunks), of a reader that is given away: for a response body.
    ///
    /// ```
    /// use handover::stream;
    /// use std::thread;
    ///
    /// let (mut writer, reader) = stream();
    /// thread::spawn(move || writer.write(0..5).wait().map(|()| writer.finish()));
    /// assert!(reader.into_chunks(3).checked().eq([Ok(vec![0, 1, 2]), Ok(vec![3, 4])]));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn into_chunks(self, n: usize) -> IntoChunks<T> {
        Iter::new(ChunkSource::new(self, n), const { Name::of("Reader::into_chunks") })
    }

    /// As [`ahead`](Reader::ahead), of a reader that is given away: for a response body.
    ///
    /// ```
    /// use handover::stream;
    /// use std::thread;
    ///
    /// let (mut writer, reader) = stream();
    /// thread::spawn(move || writer.write(0..1000_u64).wait().map(|()| writer.finish()));
    /// assert_eq!(reader.into_ahead(64).sum::<u64>(), (0..1000).sum());
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn into_ahead(self, n: usize) -> IntoAhead<T> {
        Iter::new(AheadSource::new(self, n), const { Name::of("Reader::into_ahead") })
    }
}

/// The items one by one, each awaited by *blocking this thread*.
///
/// Inside of an `async fn` a `for` loop over a reader would block the executor's thread; there it is
/// `while let Some(item) = items.next().await` over [`Reader::into_stream`]. Clippy can look for calls that
/// block, by lines in a project's `clippy.toml` (a `for` loop is none; see [the guide](crate::guide::when_it_hangs) for all lines):
///
/// ```toml
/// disallowed-methods = [
///     { path = "handover::op::Op::wait", reason = "blocks the executor: .await" },
///     { path = "handover::Reader::iter", reason = "blocks the executor: .stream()" },
/// ]
/// ```
///
/// ```
/// let (writer, reader) = handover::stream::<u8>();
/// writer.finish().unwrap();
/// for item in reader {
///     unreachable!("{item}");
/// }
/// ```
impl<T> IntoIterator for Reader<T> {
    type Item = T;
    type IntoIter = Iter<Reader<T>>;

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn into_iter(self) -> Iter<Reader<T>> {
        Iter::new(self, const { Name::of("Reader::into_iter") })
    }
}

impl<'a, T> IntoIterator for &'a mut Reader<T> {
    type Item = T;
    type IntoIter = Iter<&'a mut Reader<T>>;

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn into_iter(self) -> Iter<&'a mut Reader<T>> {
        self.iter()
    }
}
