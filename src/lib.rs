//! Rendezvous channels between threads and tasks, in which nothing is buffered and nothing is lost.
//!
//! Code that is pushed meets code that pulls: a blocking parser feeds an async response, an async source feeds blocking code,
//! two threads or two tasks take turns. Two ideas carry all of it.
//!
//! 1. **A method describes an operation; the caller then says how to wait for it**: `op.await`, `op.wait()`,
//!    `op.wait_timeout(d)`, `op.wait_deadline(t)` or `op.now()`. So no end has a blocking and an async twin: any end works on a
//!    thread and in a task, on any executor, and may change between two operations. See [`op`].
//! 2. **Everything is one alternation: a demand goes up, an answer comes down.** A value is always owned by one side. Throughput
//!    comes from larger answers (a batch, a whole iterator), never from a queue.
//!
//! ```
//! use futures_lite::StreamExt;
//! use handover::{Why, simplex};
//! use std::thread;
//!
//! let (mut server, client) = simplex();
//!
//! // A blocking producer on a thread: `send` is `yield`, it returns when the next item is wanted.
//! thread::spawn(move || {
//!     for line in "to be\nor not".lines() {
//!         if server.send(line.len()).wait().is_err() {
//!             return; // the consumer has left
//!         }
//!     }
//!     server.finish(); // without this line the consumer below would get an error
//! });
//!
//! // A consumer in a task, on any executor. `checked` makes an error of an end that is not `finish`.
//! let total: Result<usize, Why> = pollster::block_on(async {
//!     let mut lengths = client.into_stream().checked();
//!     let mut total = 0;
//!     while let Some(length) = lengths.next().await {
//!         total += length?;
//!     }
//!     Ok(total)
//! });
//! assert_eq!(total, Ok(11)); // that was all
//! ```
//!
//! # Which one
//!
//! | need | take |
//! |---|---|
//! | take turns, one value a turn; `send` is `yield` | [`simplex`] |
//! | take turns, and answer the questions of one asker | [`duplex`] |
//! | many items, as many at a time as the reader says | [`stream`] |
//! | bytes, by `std::io`, `futures_io` or `tokio::io` | [`pipe`] |
//! | many senders and many receivers, each value to one receiver that is free | [`rendezvous`] |
//! | an actor that answers many askers | [`rendezvous`], with a reply end of a [`simplex`] inside the message |
//! | whichever of several operations can be done first | [`select`](select()) |
//! | an iterator or a stream of an async routine, without a thread | [`generate`], [`try_generate`] |
//! | an iterator or a stream of a blocking routine, on a thread or a pool | [`produce`], [`try_produce`], [`produce_in`], [`produce_on`] |
//!
//! The [`guide`] has pages on foreign `select!`s, on programs that hang, on response bodies, and on coming from another channel.
//!
//! # Features
//!
//! None is on by default, and none changes what the others do.
//!
//! | feature | gives | dependency |
//! |---|---|---|
//! | `futures-io` | the ends of a [`pipe`] by the traits of `futures_io` | futures-io |
//! | `tokio` | the ends of a [`pipe`] by the traits of `tokio::io` | tokio, without any of its features |
//! | `sink` | [`Server`], [`Writer`] and [`Sender`] as sinks; `send_stream` | futures-sink |
//! | `diagnose` | `diagnose`: what waits in this process, for what, and since when | – |
//! | `model` | `model`: the interleavings of a program's own threads and tasks, explored in its tests | – |
//! | `proptest` | schedules of such models as values of proptest, which shrink | proptest |
//!
//! # What holds
//!
//! * **True hand-over.** A send is `Ok` if and only if a receive has returned that very value, or is about to in the same call.
//!   (A [`Writer`]'s `Ok` means accepted: taken, or in the batch that a request has begun.) The one thing that lies in a channel
//!   without an owner is what [`finish`](Writer::finish), [`finish_with`](Server::finish_with), [`end_as`](Writer::end_as) and the drop of a [`Writer`] leave for a peer that is
//!   still there.
//! * **A receive that is dropped, or runs out of time, loses nothing.**
//! * **A send that is dropped, or runs out of time, was withdrawn or delivered**, never both. `reclaim()` or the error tells which, with the value; a future that is
//!   dropped by a foreign `select!` tells nobody (see [the guide](guide::foreign_select)).
//! * **One of several.** Exactly one arm of a [`select`](select()) happens, also when two of them meet.
//! * **The end is one thing**: [`Why::Closed`], [`Why::Dropped`] and [`Why::Panicked`] are told apart, by the error, by `end()`, and by
//!   [`checked()`](iter::Iter::checked), so that a stream that was cut short is not taken for a complete one. What was handed over before the end comes before it.
//! * **No user code runs under a lock**: wakers, destructors and iterators may use the same channel, or panic.
//! * **Waiting is cheap**: an end spins only while that lately paid, and then parks.
//!
//! Values need be neither `'static` nor `Clone`, `Debug` or `Unpin`; ends can be sent to other threads if the values can.
//!
//! # Panics
//!
//! A finished operation that is polled or waited for again panics, with its name. Otherwise these panic: user code; `end_as` with a [`Why`] that is no end; a routine
//! of [`generate`] that blocks on its own server; [`produce`] where the system has no thread left; and an iterator or a stream of a producer that panicked, which raises
//! that panic again.

mod claim;
#[cfg(feature = "diagnose")]
pub mod diagnose;
mod drive;
mod error;
pub mod guide;
pub mod iter;
mod lockstep;
#[cfg(feature = "model")]
pub mod model;
pub mod op;
mod operation;
mod panics;
mod pipe;
mod point;
mod produce;
mod queue;
mod rendezvous;
mod select;
#[cfg(feature = "sink")]
mod send_stream;
mod sequence;
#[cfg(feature = "sink")]
pub mod sink;
mod slot;
mod step;
mod stream;
mod sync;
mod wait;

pub use error::{RecvError, Rest, SendError, Why, WriteError};
pub use lockstep::{Client, Server, duplex, simplex};
pub use pipe::{PipeReader, PipeWriter, pipe};
pub use produce::{
    Generator, Produced, ProducedIn, ProducedOn, TryGenerator, TryProduced, TryProducedOn,
    generate, produce, produce_in, produce_on, try_generate, try_produce, try_produce_on,
};
pub use rendezvous::{
    Permit, Receiver, Sender, Stats, WeakReceiver, WeakSender, never, rendezvous,
};
pub use select::{Arms, Sel2, Sel3, Sel4, Sel5, Sel6, Sel7, Sel8, select};
pub use slot::Peer;
pub use stream::{Batch, Reader, Want, Writer, stream};

/// The code of the README is tested with the rest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
