//! `export` and `import`: a `Client` in another process than its `Server`.

use futures_lite::future::or;
use handover::{Client, Peer, Server, Why, duplex};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zenoh::Session;
use zenoh::bytes::ZBytes;

use crate::answering::{Desk, Ended, Made, Source, serve};
use crate::asking::{Heard, Line};
use crate::codec;
use crate::driver::Driver;
use crate::error::Error;
use crate::options::Options;

/// Exports a client under a key: the process that imports it asks in its place. The server stays here, with the local producer.
///
/// One process may [`import`] it, once. Nothing is made until that process asks. The driver must be polled, as by spawning it; its output
/// tells how the channel ended and gives back what may not have been used: see [`Ended`].
///
/// An end of the local producer is told as the answer to the next demand. The driver goes on until that was acknowledged.
///
/// # Errors
///
/// [`Error::Key`]; [`Error::Taken`], if somebody exports under this key; [`Error::Session`].
///
/// In the driver's output: [`Error::Gone`], [`Error::Encode`], [`Error::Decode`] (of a demand), [`Error::TooLarge`], [`Error::Peer`],
/// [`Error::Session`].
///
/// # Cancel safety
///
/// If it is dropped, nothing is exported, and the client is dropped.
///
/// ```
/// use handover::{Why, duplex};
/// use handover_remote::{Options, export, import, open_local, zenoh};
/// use std::thread;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let session = zenoh::open(open_local()).await.unwrap();
///
/// // One process: a blocking producer on a thread, and a client that goes abroad.
/// let (mut server, client) = duplex::<String, u32>();
/// thread::spawn(move || -> Option<()> {
///     let mut n = server.demand().wait().ok()?;
///     loop {
///         n = server.exchange("ab".repeat(n as usize)).wait().ok()?;
///     }
/// });
/// let exporting = tokio::spawn(export(&session, "repeat", client, Options::default()).await.unwrap());
///
/// // Another process (here it is the same one).
/// let (mut client, driver) = import::<String, u32>(&session, "repeat", Options::default()).await.unwrap();
/// tokio::spawn(driver);
/// assert_eq!(client.exchange(2).await.unwrap(), "abab");
/// client.close();
///
/// let ended = exporting.await.unwrap();
/// assert_eq!((ended.why, ended.in_doubt, ended.answers), (Why::Closed, None, 1));
/// # });
/// ```
pub async fn export<T, U>(
    session: &Session,
    key: &str,
    client: Client<T, U>,
    options: Options,
) -> Result<Driver<Ended<T>>, Error>
where
    T: Serialize + Send + 'static,
    U: DeserializeOwned + Send + 'static,
{
    let desk = Desk::open(session, key, options).await?;
    Ok(Driver::new(serve(desk, Lockstep { client, limit: options.max_batch_bytes })))
}

struct Lockstep<T, U> {
    client: Client<T, U>,
    limit: usize,
}

impl<T: Serialize + Send, U: DeserializeOwned + Send> Source for Lockstep<T, U> {
    type Kept = T;

    async fn make(&mut self, demand: &[u8], head: Vec<u8>) -> Made<T> {
        let demand = match codec::read(demand) {
            Ok(demand) => demand,
            Err(error) => return Made::Failed { error, unsent: None },
        };
        let item = match self.client.exchange(demand).await {
            Ok(item) => item,
            Err(error) => return Made::End(error.why()),
        };
        let head_size = head.len();
        let bytes = codec::append(&item, head).and_then(|bytes| {
            codec::check_size(bytes.len() - head_size, self.limit)?;
            Ok(bytes)
        });
        match bytes {
            Ok(bytes) => Made::Answer { bytes, kept: item },
            Err(error) => Made::Failed { error, unsent: Some(item) },
        }
    }

    fn unused(&mut self, kept: T, unused: u64) -> Option<T> {
        (unused > 0).then_some(kept)
    }

    fn leave(self, why: Why, unsent: Option<T>) -> Option<T> {
        self.client.end_as(why);
        unsent
    }
}

/// Imports what another process has exported under this key: the client is here, its server there.
///
/// It is a client like any other; between two demands nothing is made there. A demand that nobody answers yet, since nobody exports under the key,
/// waits: use `wait_timeout` or `until` where that shall end. The driver must be polled, as by spawning it.
///
/// If the other process dies, or is away for longer than [`grace`](Options::grace), the client is told [`Why::Dropped`], also between two demands, and
/// the driver tells why. An end that the producer gives is told at the next demand.
///
/// # Errors
///
/// [`Error::Key`], [`Error::Session`].
///
/// In the driver's output: [`Error::Taken`], if somebody else has imported it; [`Error::Gone`], [`Error::Restarted`], [`Error::Version`], [`Error::Encode`]
/// (of a demand), [`Error::Decode`], [`Error::TooLarge`], [`Error::Peer`], [`Error::Session`]. After a clean end, whoever gave it, it is `Ok`.
///
/// # Cancel safety
///
/// If it is dropped, nothing is imported.
///
/// ```
/// use handover::simplex;
/// use handover_remote::{Options, export, import, open_local, zenoh};
/// use std::thread;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let session = zenoh::open(open_local()).await.unwrap();
/// # let (mut server, client) = simplex::<String>();
/// # thread::spawn(move || server.send_all(["to be", "or not"].map(String::from)).wait().is_ok());
/// # tokio::spawn(export(&session, "lines", client, Options::default()).await.unwrap());
/// let (mut lines, driver) = import::<String, ()>(&session, "lines", Options::default()).await.unwrap();
/// let importing = tokio::spawn(driver);
/// assert_eq!(lines.recv().await.unwrap(), "to be");
/// lines.close();
/// importing.await.unwrap().unwrap(); // nothing broke it
/// # });
/// ```
pub async fn import<T, U>(
    session: &Session,
    key: &str,
    options: Options,
) -> Result<(Client<T, U>, Driver<Result<(), Error>>), Error>
where
    T: DeserializeOwned + Send + 'static,
    U: Serialize + Send + 'static,
{
    let line = Line::open(session, key, options).await?;
    let (server, client) = duplex();
    Ok((client, Driver::new(ask(line, server))))
}

/// Passes demands of the local client on, and answers back, until one side ends.
async fn ask<T, U>(mut line: Line, mut server: Server<T, U>) -> Result<(), Error>
where
    T: DeserializeOwned + Send,
    U: Serialize + Send,
{
    let mut item = None;
    loop {
        let demand = match next_demand(&mut line, &mut server, item.take()).await {
            Next::Demand(demand) => demand,
            Next::Left { why, was_used } => {
                line.leave(why, u64::from(!was_used), "").await;
                return Ok(());
            }
            Next::Gone(error) => {
                server.end_as(Why::Dropped);
                return Err(error);
            }
        };
        let begun = codec::append(&demand, vec![]).and_then(|bytes| line.demand(&bytes));
        if let Err(error) = begun {
            server.end_as(Why::Dropped);
            line.leave(Why::Dropped, 0, &error.to_string()).await;
            return Err(error);
        }
        let (payload, at) = match answer(&mut line, &server.peer()).await {
            Answer::Item(payload, at) => (payload, at),
            Answer::End(why, fault) => {
                server.end_as(why);
                line.acknowledge_end().await;
                return if fault.is_empty() { Ok(()) } else { Err(Error::Peer(fault)) };
            }
            Answer::Left(why) => {
                line.leave(why, u64::MAX, "").await;
                return Ok(());
            }
            Answer::Failed(error) => {
                server.end_as(Why::Dropped);
                return Err(error);
            }
        };
        match codec::read(&payload.to_bytes()[at..]) {
            Ok(value) => item = Some(value),
            Err(error) => {
                server.end_as(Why::Dropped);
                line.leave(Why::Dropped, u64::MAX, &error.to_string()).await;
                return Err(error);
            }
        }
    }
}

enum Next<U> {
    Demand(U),
    Left { why: Why, was_used: bool },
    Gone(Error),
}

/// Hands over the last answer and waits for the next demand. The answerer may go meanwhile.
async fn next_demand<T: Send, U: Send>(
    line: &mut Line,
    server: &mut Server<T, U>,
    item: Option<T>,
) -> Next<U> {
    let Some(item) = item else {
        let demand = async {
            match server.demand().await {
                Ok(demand) => Next::Demand(demand),
                Err(error) => Next::Left { why: error.why(), was_used: true },
            }
        };
        return or(demand, async { Next::Gone(line.gone().await) }).await;
    };
    let mut exchange = server.exchange(item);
    let demand = async {
        match (&mut exchange).await {
            Ok(demand) => Next::Demand(demand),
            Err(error) => Next::Left { why: error.why(), was_used: error.unsent().is_none() },
        }
    };
    let next = or(demand, async { Next::Gone(line.gone().await) }).await;
    if matches!(next, Next::Gone(_)) {
        // The item came before the end: the consumer gets it first.
        if let Some(item) = exchange.reclaim() {
            _ = server.answer(item).await;
        }
    }
    next
}

/// What became of a demand.
pub(crate) enum Answer {
    Item(ZBytes, usize),
    End(Why, String),
    /// The local consumer has left meanwhile.
    Left(Why),
    Failed(Error),
}

/// Waits for the answer to the demand that was begun, or until the local consumer has left.
pub(crate) async fn answer(line: &mut Line, consumer: &Peer) -> Answer {
    let answer = async {
        match line.answer().await {
            Ok(Heard::Item(payload, at)) => Answer::Item(payload, at),
            Ok(Heard::End(why, fault)) => Answer::End(why, fault),
            Ok(Heard::Left) => Answer::Failed(Error::Forgotten),
            Err(error) => Answer::Failed(error),
        }
    };
    let left = async { Answer::Left(consumer.closed().await.unwrap_or(Why::Dropped)) };
    or(answer, left).await
}
