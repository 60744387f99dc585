//! A test that hangs ends its process, and says which test it was.

use std::io::Write as _;
use std::panic::Location;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Aborts the process, naming the test, unless it is dropped in time.
#[must_use]
pub(crate) struct Watchdog {
    _stop: mpsc::Sender<()>,
}

impl Watchdog {
    const LIMIT: Duration = Duration::from_secs(20);

    #[track_caller]
    pub(crate) fn new() -> Self {
        let test = thread::current().name().unwrap_or("a test").to_owned();
        let place = Location::caller();
        let (stop, stopped) = mpsc::channel();
        thread::spawn(move || {
            if stopped.recv_timeout(Self::LIMIT) == Err(RecvTimeoutError::Timeout) {
                // Not `eprintln`: what that says is captured, and lost in the abort.
                _ = writeln!(std::io::stderr(), "\ntest {test} ({place}) hangs: aborting");
                std::process::abort();
            }
        });
        Self { _stop: stop }
    }
}

/// Gives way until `condition` holds; a watchdog bounds it.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Lets the threads that wait go from lingering to parking. No test relies on it: what it claims is so before and after; but a
/// wake-up that is missing shows only after.
pub(crate) fn let_them_park() {
    thread::sleep(Duration::from_millis(5));
}

/// A deadline that has passed.
pub(crate) fn past() -> Instant {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(1)).unwrap_or(now)
}
