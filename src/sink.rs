//! With the feature `sink`: the sending ends as a [`futures_sink::Sink`].
//!
//! | sink | ready | `start_send` | flush | close |
//! |---|---|---|---|---|
//! | [`Server<T>`](crate::Server) | a demand stands | answers it | the answer was taken | [`finish`](crate::Server::finish): does not wait |
//! | [`Writer<T>`](crate::Writer) | there is a request | puts the item into its batch | hands over what is in the batch, and it was taken | [`finish`](crate::Writer::finish): does not wait |
//! | [`SenderSink<T>`], by [`Sender::into_sink`](crate::Sender::into_sink) | a receiver stands ready, and is kept for the item | hands it over | it was taken | flushes, then [`finish`](crate::Sender::finish) |
//!
//! No sink holds an item that its peer has not asked for. An item that was started is the peer's to take: when the sink is dropped before that, the peer
//! still gets it, and then learns of the drop. `start_send` without being ready first gives [`Why::OutOfTurn`](crate::Why::OutOfTurn) with the item. The error is a
//! [`SendError`](crate::SendError), with the item if it was not taken.
//!
//! # `forward` pulls one item ahead
//!
//! `StreamExt::forward` (and `SinkExt::send_all`) of futures-util takes an item out of the stream *before* it asks whether the sink is ready. So one item is made
//! that nobody has asked for, and lockstep is off by one. [`Server::send_stream`](crate::Server::send_stream), [`Writer::send_stream`](crate::Writer::send_stream) and
//! [`Sender::send_stream`](crate::Sender::send_stream) take an item only when it is wanted.
//!
//! # Two methods of one name
//!
//! The ends' own `send`, `send_all` and `flush` come before those of `futures_util::SinkExt`: where both are in scope, `server.send(item)` is the operation of this crate.
//! The sink's is written in full:
//!
//! ```
//! use futures_util::{SinkExt, StreamExt};
//! use handover::simplex;
//!
//! let (mut server, client) = simplex();
//! # pollster::block_on(async {
//! let produce = async move {
//!     SinkExt::send(&mut server, 1).await?; // done when it was taken
//!     server.feed(2).await?; // done when the client has asked, and the item is on its way
//!     SinkExt::close(&mut server).await
//! };
//! let (produced, items) = futures_lite::future::zip(produce, client.into_stream().checked().collect::<Vec<_>>()).await;
//! assert!(produced.is_ok());
//! assert_eq!(items, [Ok(1), Ok(2)]);
//! # });
//! ```

pub use crate::rendezvous::SenderSink;
