//! A deadlock, and what `diagnose` says of it.
//!
//! Two clerks pass each other a letter, and each first sends its own and then takes the other's. A send waits until its letter is taken, so both wait for ever.
//!
//! ```text
//! cargo run --features diagnose --example deadlock
//! cargo run --features diagnose --example deadlock -- --watch
//! ```
//!
//! The first asks once both wait, and prints
//!
//! ```text
//! 0.2 s  thread east  Sender::send  examples/deadlock.rs:50:16  channel 2 of examples/deadlock.rs:32:32
//! 0.2 s  thread west  Sender::send  examples/deadlock.rs:50:16  channel 1 of examples/deadlock.rs:31:32
//! ```
//!
//! (the times vary). Both wait in a send, on two channels, and nobody takes: one of them must take first, or wait for both at once by `select`. The second asks nothing: `watch` prints
//! the same to standard error, when something has waited for so long.
#![allow(clippy::print_stdout)] // printing is its job

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use handover::{Receiver, Sender, diagnose, rendezvous};

/// After so long a wait is too long. (A service takes seconds, or minutes.)
const LONG: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let (to_east, east_desk) = rendezvous();
    let (to_west, west_desk) = rendezvous();
    start_clerk("east", to_west, east_desk);
    start_clerk("west", to_east, west_desk);
    match std::env::args().nth(1).as_deref() {
        None => print_when_late(),
        Some("--watch") => watch(),
        Some(_) => {
            eprintln!("deadlock: only --watch can be said");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS // The clerks wait for ever.
}

/// One clerk, on a thread of its own.
fn start_clerk(name: &'static str, to: Sender<&'static str>, desk: Receiver<&'static str>) {
    let run = move || {
        // The mistake: the other clerk does the same.
        _ = to.send(name).wait();
        _ = desk.recv().wait();
    };
    thread::Builder::new().name(name.to_owned()).spawn(run).expect("a thread");
}

fn print_when_late() {
    loop {
        let table = diagnose::waiting();
        if table.len() == 2 && table.iter().all(|row| row.since() + LONG < Instant::now()) {
            return println!("{table}");
        }
        thread::sleep(LONG / 4); // Then it looks again.
    }
}

fn watch() {
    let _watch = diagnose::watch(LONG);
    thread::sleep(10 * LONG); // Here a service would do its work.
}
