//! Tells which program does not come to an end: channels that lose a wake-up are among the rivals.

use std::process;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Much longer than any sample takes.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs `f`. Ends the process if that takes far too long.
pub(crate) fn watched<R>(row: &'static str, program: &'static str, f: impl FnOnce() -> R) -> R {
    let (done, is_done) = channel::<()>();
    thread::Builder::new()
        .spawn(move || {
            if is_done.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                eprintln!("rivals: row {row}, {program}: no end after {LIMIT:?}");
                process::exit(1);
            }
        })
        .expect("a thread");
    let result = f();
    drop(done);
    result
}
