//! A reader as an iterator, and as a stream: item by item, in batches, or in batches asked for ahead.
#![allow(
    missing_debug_implementations,
    reason = "users meet the sources only inside of `Iter` and `Stream`"
)]

use std::task::{Context, Poll};

use super::Reader;
use super::read::ReadAheadStep;
use crate::drive;
use crate::error::Why;
use crate::sequence::{Iter, Source, Stream};

impl<T> Source for Reader<T> {
    type Item = T;

    fn wait_next(&mut self) -> Option<T> {
        self.recv().wait().ok()
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut recv = self.recv();
        let polled = drive::poll(&mut recv.step, context);
        // Pending, the waker stays: the stream goes on waiting without the operation.
        recv.detach();
        polled.map(Result::ok)
    }

    fn unregister(&mut self) {
        self.half.unregister();
    }

    fn end(&self) -> Option<Why> {
        self.reported_end
    }
}

/// A reader that is asked for `n` at a time: batches.
pub struct ChunkSource<'a, T> {
    reader: &'a mut Reader<T>,
    n: usize,
}

impl<T> Source for ChunkSource<'_, T> {
    type Item = Vec<T>;

    fn wait_next(&mut self) -> Option<Vec<T>> {
        self.reader.read(self.n).wait().ok().filter(|chunk| !chunk.is_empty())
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Vec<T>>> {
        let mut read = self.reader.read(self.n);
        let polled = drive::poll(&mut read.step, context);
        read.suspend();
        polled.map(|read| read.ok().filter(|chunk| !chunk.is_empty()))
    }

    fn unregister(&mut self) {
        self.reader.half.unregister();
    }

    fn end(&self) -> Option<Why> {
        self.reader.reported_end
    }
}

/// A reader that asks for the next `n` when it has got `n`: items.
pub struct AheadSource<'a, T> {
    reader: &'a mut Reader<T>,
    n: usize,
}

impl<T> Source for AheadSource<'_, T> {
    type Item = T;

    #[inline]
    fn wait_next(&mut self) -> Option<T> {
        match self.reader.leftover.items.pop_front() {
            Some(item) => Some(item),
            None => drive::block(&mut ReadAheadStep { reader: self.reader, n: self.n }, None).ok(),
        }
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        match self.reader.leftover.items.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None => drive::poll(&mut ReadAheadStep { reader: self.reader, n: self.n }, context)
                .map(Result::ok),
        }
    }

    fn unregister(&mut self) {
        self.reader.half.unregister();
    }

    fn end(&self) -> Option<Why> {
        self.reader.reported_end
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
    pub fn iter(&mut self) -> Iter<&mut Self> {
        Iter { source: self }
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
    pub fn stream(&mut self) -> Stream<&mut Self> {
        Stream { source: self }
    }

    /// This end as a [`futures_core::Stream`] of its items.
    pub fn into_stream(self) -> Stream<Self> {
        Stream { source: self }
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
    pub fn chunks(&mut self, n: usize) -> Iter<ChunkSource<'_, T>> {
        Iter { source: ChunkSource { reader: self, n } }
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
    pub fn ahead(&mut self, n: usize) -> Iter<AheadSource<'_, T>> {
        Iter { source: AheadSource { reader: self, n: n.max(1) } }
    }
}

impl<T> IntoIterator for Reader<T> {
    type Item = T;
    type IntoIter = Iter<Reader<T>>;

    fn into_iter(self) -> Iter<Reader<T>> {
        Iter { source: self }
    }
}

impl<'a, T> IntoIterator for &'a mut Reader<T> {
    type Item = T;
    type IntoIter = Iter<&'a mut Reader<T>>;

    fn into_iter(self) -> Iter<&'a mut Reader<T>> {
        self.iter()
    }
}
