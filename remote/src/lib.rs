//! The ends of [`handover`] beyond one machine: the client of a [`simplex`](handover::simplex) or [`duplex`](handover::duplex), the reader of a
//! [`stream`](handover::stream), or the jobs of a [`rendezvous`](handover::rendezvous) in another process than their producer.
//!
//! A demand is a question over the network ([zenoh]), an answer its reply. Nothing is made before it is asked for, there as here, and local code keeps to local
//! ends: it cannot tell how far its peer is.
//!
//! | here | there |
//! |---|---|
//! | [`export`] a `Client`: the `Server` stays with the local producer | [`import`] it |
//! | [`export_reader`]: the `Writer` stays with the local producer | [`import_reader`]: `read(n)` is one question |
//! | [`share`] a `Receiver`: jobs for whoever is free | [`work`] on them, in any number of processes |
//!
//! ```
//! use handover::{Why, simplex};
//! use handover_remote::{Options, export, import, open_local_connecting, open_local_listening, zenoh};
//! use std::thread;
//!
//! # fn free_port() -> u16 { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() }
//! # let port = free_port();
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! // One process: a blocking producer on a thread.
//! let session = zenoh::open(open_local_listening(port)).await.unwrap();
//! let (mut server, client) = simplex();
//! thread::spawn(move || {
//!     for line in ["to be", "or not"] {
//!         if server.send(line.to_owned()).wait().is_err() {
//!             return; // the consumer has left
//!         }
//!     }
//!     server.finish();
//! });
//! let exporting = tokio::spawn(export(&session, "lines", client, Options::default()).await.unwrap());
//!
//! // Another process.
//! let session = zenoh::open(open_local_connecting(port)).await.unwrap();
//! let (mut client, driver) = import::<String, ()>(&session, "lines", Options::default()).await.unwrap();
//! let importing = tokio::spawn(driver);
//! assert_eq!(client.recv().await.unwrap(), "to be");
//! assert_eq!(client.recv().await.unwrap(), "or not");
//! assert_eq!(client.recv().await.unwrap_err().why(), Why::Closed); // that was all
//!
//! importing.await.unwrap().unwrap();
//! assert_eq!(exporting.await.unwrap().why, Why::Closed);
//! # });
//! ```
//!
//! # What holds
//!
//! * **Each item once, in order**, while both processes live, whatever the link does within [`grace`](Options::grace).
//! * **When one of them dies, at most one answer is in doubt** (one item, or one batch), and [`Ended::in_doubt`] gives it back: it was sent, and nobody can know
//!   whether it was used. A producer that was started again is another one: the consumer is told [`Why::Dropped`](handover::Why::Dropped), and never silently resumed.
//! * **`Closed`, `Dropped` and `Panicked` arrive as such**, in both directions. What broke the channel, the [`Driver`] tells: see [`Error`].
//! * **A job is done at least once**: see [`share`].
//!
//! The case of each failure is in the README.
//!
//! # Running it
//!
//! Each function gives a [`Driver`], a future that carries the end for as long as it is polled; spawn it. There is no runtime of this crate's own, and any executor
//! will do. Zenoh itself brings its own threads, and refuses to be used within tokio's `current_thread` runtime.
//!
//! Values are written by [postcard](https://docs.rs/postcard), which does not describe itself: both sides must have the same types. Another type that happens to read the same bytes is
//! not noticed.
//!
//! # Features
//!
//! `tls` (on by default): links over TLS. `quic`: links over QUIC. How to set them up is zenoh's: see the example `tls`.

mod answering;
mod asking;
mod codec;
mod driver;
mod error;
mod jobs;
mod local;
mod lockstep;
mod names;
mod options;
#[cfg(feature = "planted-fault")]
#[doc(hidden)]
pub mod planted_fault;
mod presence;
mod protocol;
mod stream;
mod wire;

pub use answering::Ended;
pub use driver::Driver;
pub use error::Error;
pub use jobs::{Job, Jobs, Shared, share, work};
pub use local::{open_local, open_local_connecting, open_local_listening};
pub use lockstep::{export, import};
pub use options::Options;
pub use stream::{export_reader, import_reader};
pub use zenoh;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
