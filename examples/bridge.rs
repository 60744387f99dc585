//! From async to blocking: a source that lives on tokio feeds a function that takes an `Iterator`.
//!
//! Neither is written for the other: the source awaits, the function blocks in `next`. The channel's two ends do the rest,
//! and in the end they tell whether the source came to its own end. Without that a source that fails half-way would look
//! like one that had no more to say.
//!
//! ```text
//! cargo run --example bridge
//! ```
//!
//! prints
//!
//! ```text
//! 4 readings, 17.5 to 21.0 degrees, 19.0 on average
//! the source has finished
//! ```
#![allow(clippy::print_stdout)] // printing is its job

use std::error::Error;
use std::time::Duration;

use handover::{SendError, Server, Why, simplex};
use tokio::runtime::Builder;
use tokio::time::interval;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
    let (server, mut client) = simplex();
    let source = runtime.spawn(measure(server));
    println!("{}", summarize(client.iter()));
    match client.end() {
        Some(Why::Closed) => println!("the source has finished"),
        end => println!("the source broke off: {end:?}"),
    }
    Ok(runtime.block_on(source)??)
}

/// The source: a thermometer that is read at intervals.
async fn measure(mut server: Server<f64>) -> Result<(), SendError<f64>> {
    let mut ticks = interval(Duration::from_millis(5));
    for degrees in [17.5, 18.5, 21.0, 19.0] {
        ticks.tick().await;
        server.send(degrees).await?;
    }
    server.finish();
    Ok(())
}

/// The consumer: knows nothing of tasks and channels.
fn summarize(readings: impl Iterator<Item = f64>) -> String {
    let (mut count, mut sum, mut least, mut most) = (0_u32, 0.0, f64::INFINITY, f64::NEG_INFINITY);
    for reading in readings {
        count += 1;
        sum += reading;
        least = reading.min(least);
        most = reading.max(most);
    }
    let mean = sum / f64::from(count);
    format!("{count} readings, {least:.1} to {most:.1} degrees, {mean:.1} on average")
}
