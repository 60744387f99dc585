//! `stream`: the reader says how much, the writer writes iterators, and a batch goes over at a time.
//!
//! Over a slot: the reader puts a request, the writer takes it and fills the batch that came with it from the items that are written, in
//! one write or in many; when there are enough it puts the answer, and the reader takes it. The owner of each item:
//!
//! | an item is ...         | owner      | the writer fails, or the reader leaves | the writer leaves, or panics | the reader gives up                   |
//! |------------------------|------------|----------------------------------------|------------------------------|---------------------------------------|
//! | in the iterator        | the writer | given back                             | dropped with it              | untouched                             |
//! | in the request's batch | the writer | given back, before the others          | handed over                  | handed over at the writer's next call |
//! | in the slot, not taken | the writer | withdrawn, given back                  | stays for the reader         | stays for the next request            |
//! | taken                  | the reader | —                                      | —                            | kept for the next request             |
//!
//! A reader that gave up on a request, and now wants something else, withdraws it. If the writer has taken it, the reader requests a flush: the
//! writer then hands over the items that it has, however few, and the reader asks again for the rest.

use std::mem;

use crate::slot::{Answerer, Asker, Message, slot};

mod iter;
mod leftover;
mod read;
mod reader;
mod write;
mod writer;

pub(crate) use iter::{AheadSource, ChunkSource};
pub use leftover::Batch;
use leftover::{BoxIter, Leftover};
pub use read::{Read, ReadInto, ReadOnce, ReadOne};
pub use reader::Reader;
pub use write::{Flush, SendOne, Wanted, Write, WriteLocal};
pub use writer::Writer;

/// What goes through the slot: requests up, answers down.
type StreamMessage<T> = Message<Answer<T>, Request<T>>;
type WriterHalf<T> = Answerer<StreamMessage<T>>;
type ReaderHalf<T> = Asker<StreamMessage<T>>;

/// A request, with the batch that answers it, as far as it is filled. The batch's allocation is the reader's.
#[allow(missing_debug_implementations, reason = "users do not meet it")]
pub struct Request<T> {
    want: Want,
    batch: Vec<T>,
}

impl<T> Request<T> {
    fn take_batch(&mut self) -> Vec<T> {
        mem::take(&mut self.batch)
    }
}

/// What a reader asks for: see [`Writer::wanted`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// One item: [`Reader::recv`] and what is made of it.
    One,
    /// So many items: [`Reader::read`]; [`Reader::read_all`] asks for [`usize::MAX`].
    Exactly(usize),
    /// As many items as one write brings, but no more than this: [`Reader::read_some`].
    UpTo(usize),
    /// A whole write: [`Reader::read_once`].
    Write,
}

impl Want {
    /// What is missing when there are so many items.
    const fn missing(self, items: usize) -> Self {
        match self {
            Want::Exactly(usize::MAX) => self,
            Want::Exactly(n) => Want::Exactly(n.saturating_sub(items)),
            Want::UpTo(n) => Want::UpTo(n.saturating_sub(items)),
            Want::One | Want::Write => self,
        }
    }
}

/// The answer to a request.
#[allow(missing_debug_implementations, reason = "users do not meet it")]
pub enum Answer<T> {
    One(T),
    Batch(Vec<T>),
    /// Fewer items than were asked for, since the writer flushed.
    Flushed(Vec<T>),
    Write(BoxIter<T>),
}

/// Creates a channel for batches on demand: the reader says how much, the writer just writes.
///
/// One sequence of items goes over. What the reader calls ([`recv`](Reader::recv), [`read`](Reader::read),
/// [`read_once`](Reader::read_once), ...) and what the writer calls ([`send`](Writer::send), [`write`](Writer::write)) may be mixed
/// as they like: every item comes out once, in order. Nothing is made before it is asked for.
///
/// ```
/// use handover::stream;
/// use std::thread;
///
/// let (mut writer, mut reader) = stream();
/// let producer = thread::spawn(move || {
///     writer.send(0).wait().unwrap();
///     writer.write(1..10).wait().unwrap();
///     writer.finish().unwrap();
/// });
/// assert_eq!(reader.recv().wait(), Ok(0));
/// assert_eq!(reader.read(4).wait(), Ok(vec![1, 2, 3, 4]));
/// assert_eq!(reader.read_all().wait(), Ok(vec![5, 6, 7, 8, 9]));
/// producer.join().unwrap();
/// ```
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn stream<T>() -> (Writer<T>, Reader<T>) {
    let (writer, reader) = slot("stream");
    let writer = Writer { half: writer, request: None };
    let reader = Reader {
        half: reader,
        leftover: Leftover::default(),
        gathered: Vec::new(),
        outstanding: None,
        spare: Vec::new(),
        reported_end: None,
        is_over: false,
        gave_empty: false,
    };
    (writer, reader)
}
