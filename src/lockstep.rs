//! `simplex` and `duplex`: one server, one client, and one of them at a time has the turn.
//!
//! Over a slot: the client puts a demand, the server takes it (the demand is then *in hand*), puts the answer, the client takes it,
//! and has the turn again. An attempt of each operation:
//!
//! | finds \ attempt | `Demand`    | `Exchange`, not put   | `Exchange`, put             | `Answer`, put  | `Ask`, not put  | `Ask`, put  | `Recv`          |
//! |-----------------|-------------|-----------------------|-----------------------------|----------------|-----------------|-------------|-----------------|
//! | its turn        | out of turn | puts the item         | cannot be                   | cannot be      | puts the demand | cannot be   | puts a demand (`owed`: out of turn) |
//! | its message     | waits       | waits (a forgotten one) | waits                     | waits          | out of turn     | waits       | waits           |
//! | the peer's turn | waits       | waits                 | waits: it was taken         | done           | out of turn     | waits       | waits           |
//! | a message       | takes it    | takes and drops it    | takes it                    | done           | out of turn     | takes it    | takes it        |
//! | the end         | the end     | the end and the item  | the end, the item if still there | the same, done if taken | the item left behind, or the end and the demand | the same, the demand if still there | the item left behind, or the end |
//!
//! `Answer` before its put does as `Exchange`. A server looks at the end first, a client at its message first. A plain demand is put for good: it carries
//! nothing to be missed, so it stays when its `Recv` is dropped, and the next one adopts it.

use crate::slot::{Answerer, Asker, Message, slot};

mod client;
mod iter;
mod server;
#[cfg(feature = "sink")]
mod sink;
mod steps;

pub use client::Client;
pub use server::Server;
pub use steps::{Answer, Ask, Demand, Exchange, Recv, SendAll};

type ServerHalf<T, U> = Answerer<Message<T, U>>;
type ClientHalf<T, U> = Asker<Message<T, U>>;

/// Creates a channel in lockstep in which values go one way, from the server to the client.
///
/// The client asks, the server answers: `send` is `yield`. It returns when the client comes back for the *next* item, so that
/// between two demands exactly one side's code runs, and nothing is made that is not wanted. No thread and no executor is
/// involved; each call says how to wait.
///
/// ```
/// use handover::simplex;
/// use std::thread;
///
/// let (mut server, client) = simplex();
/// let squares = thread::spawn(move || {
///     for n in 1.. {
///         if server.send(n * n).wait().is_err() {
///             break; // the client has left
///         }
///     }
/// });
/// assert_eq!(client.into_iter().take(3).collect::<Vec<_>>(), [1, 4, 9]);
/// squares.join().unwrap();
/// ```
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn simplex<T>() -> (Server<T>, Client<T>) {
    lockstep("simplex")
}

/// Creates a channel in lockstep in which values go both ways: each demand brings one up, each answer one down.
///
/// ```
/// use handover::{RecvError, duplex};
/// use std::thread;
///
/// let (mut server, mut client) = duplex::<String, u32>();
/// let clerk = thread::spawn(move || {
///     let mut number = server.demand().wait()?;
///     while let Ok(next) = server.exchange(format!("room {number}")).wait() {
///         number = next;
///     }
///     Ok::<_, RecvError>(number)
/// });
/// assert_eq!(client.exchange(7).wait().unwrap(), "room 7");
/// assert_eq!(client.exchange(9).wait().unwrap(), "room 9");
/// client.close();
/// assert_eq!(clerk.join().unwrap(), Ok(9));
/// ```
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn duplex<T, U>() -> (Server<T, U>, Client<T, U>) {
    lockstep("duplex")
}

/// Both ends, for the function `kind`.
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
fn lockstep<T, U>(kind: &'static str) -> (Server<T, U>, Client<T, U>) {
    let (server, client) = slot(kind);
    (Server { half: server }, Client { half: client, reported_end: None, is_over: false })
}
