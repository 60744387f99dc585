//! A reader as an iterator, and as a stream: item by item, in batches, or in batches asked for ahead.

use std::task::{Context, Poll};

use super::Reader;
use super::gather::ReadAhead;
use crate::error::Why;
use crate::pull::{self, Pull};
use crate::step;

impl<T> Pull for Reader<T> {
    type Item = T;

    fn wait_next(&mut self) -> Option<T> {
        self.recv().wait().ok()
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut recv = self.recv();
        let polled = step::poll(&mut recv, context);
        // Pending, the waker stays: the stream goes on waiting without the operation.
        recv.done = true;
        polled.map(Result::ok)
    }

    fn unwait(&mut self) {
        self.half.unwait();
    }

    fn end(&self) -> Option<Why> {
        self.told
    }
}

/// A reader that is asked for `n` at a time: batches.
struct InChunks<'a, T> {
    reader: &'a mut Reader<T>,
    n: usize,
}

impl<T> Pull for InChunks<'_, T> {
    type Item = Vec<T>;

    fn wait_next(&mut self) -> Option<Vec<T>> {
        self.reader.read(self.n).wait().ok().filter(|chunk| !chunk.is_empty())
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Vec<T>>> {
        let mut read = self.reader.read(self.n);
        let polled = step::poll(&mut read, context);
        read.suspend();
        polled.map(|read| read.ok().filter(|chunk| !chunk.is_empty()))
    }

    fn unwait(&mut self) {
        self.reader.half.unwait();
    }

    fn end(&self) -> Option<Why> {
        self.reader.told
    }
}

/// A reader that asks for the next `n` when it has got `n`: items.
struct AskingAhead<'a, T> {
    reader: &'a mut Reader<T>,
    n: usize,
}

impl<T> Pull for AskingAhead<'_, T> {
    type Item = T;

    #[inline]
    fn wait_next(&mut self) -> Option<T> {
        match self.reader.left.items.pop_front() {
            Some(item) => Some(item),
            None => step::block(&mut ReadAhead { reader: self.reader, n: self.n }, None).ok(),
        }
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        match self.reader.left.items.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None => step::poll(&mut ReadAhead { reader: self.reader, n: self.n }, context)
                .map(Result::ok),
        }
    }

    fn unwait(&mut self) {
        self.reader.half.unwait();
    }

    fn end(&self) -> Option<Why> {
        self.reader.told
    }
}

/// The items of a reader, each awaited by blocking the thread. See [`Reader::iter`].
pub struct Items<'a, T> {
    pull: &'a mut Reader<T>,
}

/// The items of a reader, each awaited by blocking the thread. A reader turns into it in a `for` loop.
pub struct IntoItems<T> {
    pull: Reader<T>,
}

/// The items of a reader, for a task. See [`Reader::stream`].
#[must_use = "a stream does nothing until it is polled"]
pub struct ItemsStream<'a, T> {
    pull: &'a mut Reader<T>,
}

/// The items of a reader, for a task. See [`Reader::into_stream`].
#[must_use = "a stream does nothing until it is polled"]
pub struct IntoItemsStream<T> {
    pull: Reader<T>,
}

/// The batches of a reader, each awaited by blocking the thread. See [`Reader::chunks`].
pub struct Chunks<'a, T> {
    pull: InChunks<'a, T>,
}

/// The batches of a reader, for a task. See [`Chunks::into_stream`].
#[must_use = "a stream does nothing until it is polled"]
pub struct ChunksStream<'a, T> {
    pull: InChunks<'a, T>,
}

/// The items of a reader, which come in batches asked for ahead, each awaited by blocking the thread. See [`Reader::ahead`].
pub struct Ahead<'a, T> {
    pull: AskingAhead<'a, T>,
}

/// The items of a reader, which come in batches asked for ahead, for a task. See [`Ahead::into_stream`].
#[must_use = "a stream does nothing until it is polled"]
pub struct AheadStream<'a, T> {
    pull: AskingAhead<'a, T>,
}

pull::iterator!(Items<'_, T>, T);
pull::iterator!(IntoItems<T>, T);
pull::iterator!(Chunks<'_, T>, Vec<T>);
pull::iterator!(Ahead<'_, T>, T);
pull::stream!(ItemsStream<'_, T>, T);
pull::stream!(IntoItemsStream<T>, T);
pull::stream!(ChunksStream<'_, T>, Vec<T>);
pull::stream!(AheadStream<'_, T>, T);

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
    pub fn iter(&mut self) -> Items<'_, T> {
        Items { pull: self }
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
    pub fn stream(&mut self) -> ItemsStream<'_, T> {
        ItemsStream { pull: self }
    }

    /// This end as a [`futures_core::Stream`] of its items.
    pub fn into_stream(self) -> IntoItemsStream<T> {
        IntoItemsStream { pull: self }
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
    pub fn chunks(&mut self, n: usize) -> Chunks<'_, T> {
        Chunks { pull: InChunks { reader: self, n } }
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
    pub fn ahead(&mut self, n: usize) -> Ahead<'_, T> {
        Ahead { pull: AskingAhead { reader: self, n: n.max(1) } }
    }
}

impl<'a, T> Chunks<'a, T> {
    /// The same for a task.
    pub fn into_stream(self) -> ChunksStream<'a, T> {
        ChunksStream { pull: self.pull }
    }
}

impl<'a, T> Ahead<'a, T> {
    /// The same for a task.
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
    pub fn into_stream(self) -> AheadStream<'a, T> {
        AheadStream { pull: self.pull }
    }
}

impl<T> IntoIterator for Reader<T> {
    type Item = T;
    type IntoIter = IntoItems<T>;

    fn into_iter(self) -> IntoItems<T> {
        IntoItems { pull: self }
    }
}

impl<'a, T> IntoIterator for &'a mut Reader<T> {
    type Item = T;
    type IntoIter = Items<'a, T>;

    fn into_iter(self) -> Items<'a, T> {
        self.iter()
    }
}
