//! The sequences: ends and producers as iterators, for threads, and as streams, for tasks.
//!
//! All are an [`Iter`] or a [`Stream`] over some source: an end itself (`Iter<Client<T>>`, `Stream<&mut Reader<T>>`), or one of those that have names
//! here. They end quietly with the channel, as iterators do, and `end()` tells how that came; [`checked`](Iter::checked) makes an early end an item, and
//! [`checked_results`](Iter::checked_results) one of the errors among items that are results: what a response body wants.

use crate::rendezvous;
pub use crate::sequence::{Checked, CheckedResults, Iter, Stream};
use crate::stream::{self, Reader};

/// The values of a [`Receiver`](crate::Receiver), by reference: see [`Receiver::iter`](crate::Receiver::iter).
pub type Values<'a, T> = Iter<rendezvous::Values<'a, T>>;
/// The values of a [`Receiver`](crate::Receiver), by reference, for a task: see [`Receiver::stream`](crate::Receiver::stream).
pub type ValuesStream<'a, T> = Stream<rendezvous::Values<'a, T>>;
/// A [`Receiver`](crate::Receiver) as an iterator.
pub type IntoValues<T> = Iter<rendezvous::IntoValues<T>>;
/// A [`Receiver`](crate::Receiver) as a stream: see [`Receiver::into_stream`](crate::Receiver::into_stream).
pub type IntoValuesStream<T> = Stream<rendezvous::IntoValues<T>>;
/// The batches of a [`Reader`]: see [`Reader::chunks`](crate::Reader::chunks).
pub type Chunks<'a, T> = Iter<stream::ChunkSource<T, &'a mut Reader<T>>>;
/// The batches of a [`Reader`], for a task.
pub type ChunksStream<'a, T> = Stream<stream::ChunkSource<T, &'a mut Reader<T>>>;
/// The batches of a [`Reader`] that is given away: see [`Reader::into_chunks`](crate::Reader::into_chunks).
pub type IntoChunks<T> = Iter<stream::ChunkSource<T, Reader<T>>>;
/// The batches of a [`Reader`] that is given away, for a task.
pub type IntoChunksStream<T> = Stream<stream::ChunkSource<T, Reader<T>>>;
/// The items of a [`Reader`], in batches asked for ahead: see [`Reader::ahead`](crate::Reader::ahead).
pub type Ahead<'a, T> = Iter<stream::AheadSource<T, &'a mut Reader<T>>>;
/// The items of a [`Reader`], in batches asked for ahead, for a task.
pub type AheadStream<'a, T> = Stream<stream::AheadSource<T, &'a mut Reader<T>>>;
/// The items of a [`Reader`] that is given away: see [`Reader::into_ahead`](crate::Reader::into_ahead).
pub type IntoAhead<T> = Iter<stream::AheadSource<T, Reader<T>>>;
/// The items of a [`Reader`] that is given away, for a task.
pub type IntoAheadStream<T> = Stream<stream::AheadSource<T, Reader<T>>>;
