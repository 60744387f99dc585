//! From blocking to async: a library that blocks feeds a task on tokio.
//!
//! `BufRead::lines` blocks in `next`, which no task may do. So it runs on a thread, and the task takes the lines from a stream. No line
//! is read before the task wants it: when the connection to which it passes them is slow, the file is read slowly.
//!
//! ```text
//! printf 'red\ngreen\n\nblue\n' | cargo run --example lines_to_async
//! cargo run --example lines_to_async -- FILE
//! ```
//!
//! prints each line of the file, or of standard input, as a service on the other end of a connection answers it: with its number and in
//! capitals. For the first of these:
//!
//! ```text
//! 1: RED
//! 2: GREEN
//! 3:
//! 4: BLUE
//! ```
#![allow(clippy::print_stdout)] // printing is its job

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

use futures_lite::{Stream, StreamExt};
use handover::{Server, produce};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Builder;

fn main() -> Result<(), Box<dyn Error>> {
    let lines = match std::env::args_os().nth(1) {
        Some(path) => {
            let file = BufReader::new(File::open(path)?);
            produce(|server| send_lines(file, server))
        }
        None => produce(|server| send_lines(io::stdin().lock(), server)),
    };
    let runtime = Builder::new_multi_thread().worker_threads(1).build()?;
    let (near, far) = tokio::io::duplex(64);
    runtime.spawn(serve(far));
    // A task that gives up, over a line that cannot be read, does not wait for the thread that would read the next one.
    Ok(runtime.block_on(runtime.spawn(pass_on(lines.into_stream(), near)))??)
}

/// The blocking side: knows nothing of tasks.
fn send_lines(input: impl BufRead, server: &mut Server<io::Result<String>>) {
    // It fails when nobody wants more: nothing is left to do then either.
    _ = server.send_all(input.lines()).wait();
}

/// The async side: passes each line on, and prints the answer.
async fn pass_on(
    mut lines: impl Stream<Item = io::Result<String>> + Unpin,
    connection: DuplexStream,
) -> io::Result<()> {
    let (answers, mut requests) = tokio::io::split(connection);
    let mut answers = tokio::io::BufReader::new(answers).lines();
    while let Some(line) = lines.next().await {
        requests.write_all(format!("{}\n", line?).as_bytes()).await?;
        match answers.next_line().await? {
            Some(answer) => println!("{answer}"),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
    Ok(())
}

/// The service, which could as well be on another machine.
async fn serve(connection: DuplexStream) -> io::Result<()> {
    let (requests, mut answers) = tokio::io::split(connection);
    let mut requests = tokio::io::BufReader::new(requests).lines();
    let mut number = 0;
    while let Some(line) = requests.next_line().await? {
        number += 1;
        let answer = format!("{number}: {}", line.to_uppercase());
        answers.write_all(format!("{}\n", answer.trim_end()).as_bytes()).await?;
    }
    Ok(())
}
