//! Tells which program does not come to an end: channels that lose a wake-up are among the rivals.

use std::process;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Much longer than any sample takes.
const LIMIT: Duration = Duration::from_secs(30);

/// The row and the program that runs, and since when.
static RUNNING: Mutex<Option<(&str, &str, Instant)>> = Mutex::new(None);

/// From now on, ends the process if something takes far too long. One thread for all, which seldom wakes: what is measured
/// shall not see it.
pub(crate) fn start() {
    thread::spawn(|| {
        loop {
            thread::sleep(LIMIT / 5);
            if let Some((row, program, since)) = *RUNNING.lock().unwrap()
                && since.elapsed() > LIMIT
            {
                eprintln!("rivals: row {row}, {program}: no end after {LIMIT:?}");
                process::exit(1);
            }
        }
    });
}

/// Runs `f`, watched.
pub(crate) fn watched<R>(row: &'static str, program: &'static str, f: impl FnOnce() -> R) -> R {
    *RUNNING.lock().unwrap() = Some((row, program, Instant::now()));
    let result = f();
    *RUNNING.lock().unwrap() = None;
    result
}
