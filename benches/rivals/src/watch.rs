//! Ends the process with the name of a program that hangs: some rivals lose a wake-up.

use std::process;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Much longer than any sample.
const LIMIT: Duration = Duration::from_secs(30);

/// The row and the program that is running, and its start.
static RUNNING: Mutex<Option<(&str, &str, Instant)>> = Mutex::new(None);

/// Starts to watch: the process ends if a program takes far too long. One thread watches all programs and seldom wakes, so that it
/// does not disturb them.
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
