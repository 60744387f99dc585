//! What has come and was not used yet, and a whole write that is used up where it was asked for.

use std::fmt;
use std::iter::FusedIterator;

use super::Reader;

pub(crate) type BoxIter<T> = Box<dyn Iterator<Item = T> + Send>;

/// Items at the reader: first the items, then those of the iterator.
pub(super) struct Leftover<T> {
    /// In reverse: the next item is the last one.
    pub(super) items: Vec<T>,
    pub(super) write: Option<BoxIter<T>>,
}

impl<T> Default for Leftover<T> {
    fn default() -> Self {
        Self { items: Vec::new(), write: None }
    }
}

impl<T> Leftover<T> {
    #[inline]
    pub(super) fn next(&mut self) -> Option<T> {
        self.items.pop().or_else(|| self.next_of_write())
    }

    fn next_of_write(&mut self) -> Option<T> {
        let next = self.write.as_mut()?.next();
        if next.is_none() {
            self.write = None;
        }
        next
    }

    /// Whether there is an item; finds out by making the iterator's next one.
    pub(super) fn has_item(&mut self) -> bool {
        if self.items.is_empty() {
            let next = self.next_of_write();
            self.items.extend(next);
        }
        !self.items.is_empty()
    }

    /// Moves up to `n` items to `into`.
    pub(super) fn move_to(&mut self, into: &mut Vec<T>, n: usize) {
        let ready = n.min(self.items.len());
        let stay = self.items.len() - ready;
        into.extend(self.items.drain(stay..).rev());
        for _ in ready..n {
            let Some(item) = self.next_of_write() else { break };
            into.push(item);
        }
    }

    /// Appends a batch behind the items that are there.
    pub(super) fn append(&mut self, mut batch: Vec<T>) {
        batch.reverse();
        batch.append(&mut self.items);
        self.items = batch;
    }

    /// Puts items back before the others.
    pub(super) fn put_back(&mut self, items: impl DoubleEndedIterator<Item = T>) {
        self.items.extend(items.rev());
    }
}

/// One whole write, as an iterator that runs at the reader. See [`Reader::read_once`].
///
/// Dropped before its end, it leaves the rest for the reader's next request.
#[must_use = "an iterator does nothing until it is asked for an item; dropped, it leaves the rest for the next request"]
pub struct Batch<'a, T> {
    pub(super) reader: &'a mut Reader<T>,
}

impl<T> Iterator for Batch<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.reader.leftover.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let items = self.reader.leftover.items.len();
        let (low, high) =
            self.reader.leftover.write.as_ref().map_or((0, Some(0)), |write| write.size_hint());
        (low.saturating_add(items), high.and_then(|high| high.checked_add(items)))
    }
}

impl<T> FusedIterator for Batch<'_, T> {}

impl<T> fmt::Debug for Batch<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("size_hint", &self.size_hint()).finish()
    }
}
