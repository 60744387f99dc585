//! A send that gives up: whichever comes first, somebody who takes the line or the word to stop.
//!
//! A thread reads a file and offers its lines, one after the other, to a task that wants only so many. Had they a queue between them,
//! some lines would be in it when the task has enough, and lost. Here the thread still owns the line that nobody took: the send is
//! one arm of a `select`, the stop signal is the other one, and `reclaim` gives the line back.
//!
//! ```text
//! cargo run --example select_race -- FILE [N]
//! ```
//!
//! prints the first N lines (default: 3), and what is left:
//!
//! ```text
//! taken: It was the best of times,
//! taken: it was the worst of times,
//! stopped before line 3, which is still here: it was the age of wisdom,
//! ```
#![allow(clippy::print_stdout)] // printing is its job

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::{env, thread};

use handover::{Receiver, Sel2, Sender, rendezvous, select};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args_os().skip(1);
    let file = File::open(args.next().ok_or("which file? select_race FILE [N]")?)?;
    let wanted = match args.next() {
        Some(number) => number.to_str().ok_or("N is not a number")?.parse()?,
        None => 3,
    };
    let (lines, taken) = rendezvous();
    let (stop, stopped) = rendezvous();
    let reader = thread::spawn(move || offer(BufReader::new(file), &lines, &stopped));
    pollster::block_on(take(&taken, wanted, &stop));
    match reader.join().map_err(|_| "the reader has panicked")?? {
        Some((number, line)) => {
            println!("stopped before line {number}, which is still here: {line}")
        }
        None => println!("that was all"),
    }
    Ok(())
}

/// Offers each line until it is told to stop. Gives the line that nobody took, with its number.
fn offer(
    text: impl BufRead,
    lines: &Sender<String>,
    stopped: &Receiver<()>,
) -> io::Result<Option<(usize, String)>> {
    for (line, number) in text.lines().zip(1..) {
        let mut send = lines.send(line?);
        match select((&mut send, stopped.recv())).wait() {
            Sel2::A(Ok(())) => {}
            // The task has gone: the error has the line.
            Sel2::A(Err(error)) => return Ok(error.into_unsent().map(|line| (number, line))),
            Sel2::B(_) => return Ok(send.reclaim().map(|line| (number, line))),
        }
    }
    lines.close();
    Ok(None)
}

/// Takes so many lines, if there are so many, and says stop.
async fn take(lines: &Receiver<String>, wanted: usize, stop: &Sender<()>) {
    for _ in 0..wanted {
        let Ok(line) = lines.recv().await else { return };
        println!("taken: {line}");
    }
    // An error: the reader was through before it heard.
    _ = stop.send(()).await;
}
