//! Lending an open end: a producer lets another function produce in its place for a while.
//!
//! Producer and consumer are two futures in one task: no thread is started, and neither end knows.
//!
//! ```text
//! cargo run --example delegate
//! ```
//!
//! prints
//!
//! ```text
//! One
//! Two
//! Three
//! ```
#![allow(clippy::print_stdout)] // printing is its job

use futures_lite::{StreamExt, future};
use handover::{Client, SendError, Server, simplex};

type Sent = Result<(), SendError<&'static str>>;

fn main() -> Sent {
    let (server, client) = simplex();
    let (sent, ()) = pollster::block_on(future::zip(produce(server), consume(client)));
    sent
}

async fn produce(mut server: Server<&'static str>) -> Sent {
    server.send("One").await?;
    stand_in(&mut server).await?;
    server.send("Three").await?;
    server.finish();
    Ok(())
}

/// Neither opens the channel nor closes it.
async fn stand_in(server: &mut Server<&'static str>) -> Sent {
    server.send("Two").await
}

async fn consume(mut client: Client<&'static str>) {
    let mut items = client.stream();
    while let Some(item) = items.next().await {
        println!("{item}");
    }
}
