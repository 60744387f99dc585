//! A test that hangs ends its process, and says which test it was.

use std::io::Write as _;
use std::panic::Location;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// What all tests have done so far: values made and dropped, operations done, rounds begun.
static PROGRESS: AtomicU64 = AtomicU64::new(0);

/// Tells the watchdogs that something was done. The other helpers do so; only a test that uses none of them for long must.
pub(crate) fn progress() {
    PROGRESS.fetch_add(1, Relaxed);
}

/// Aborts the process, naming the test, when no test has done anything for a minute. A busy machine makes a test slow, but it
/// does not stop it.
#[must_use]
pub(crate) struct Watchdog {
    _stop: mpsc::Sender<()>,
}

impl Watchdog {
    const TICK: Duration = Duration::from_secs(1);
    const IDLE_TICKS: u32 = 60;
    /// For a test that does something for ever.
    const TICKS: u32 = 1_800;

    #[track_caller]
    pub(crate) fn new() -> Self {
        progress();
        let test = thread::current().name().unwrap_or("a test").to_owned();
        let place = Location::caller();
        let (stop, stopped) = mpsc::channel();
        thread::spawn(move || {
            let (mut ticks, mut idle_ticks, mut seen) = (0, 0, PROGRESS.load(Relaxed));
            // Ticks are counted, and not read from a clock: a tick comes only when this thread runs.
            while stopped.recv_timeout(Self::TICK) == Err(RecvTimeoutError::Timeout) {
                let now = PROGRESS.load(Relaxed);
                idle_ticks = if now == seen { idle_ticks + 1 } else { 0 };
                (ticks, seen) = (ticks + 1, now);
                if idle_ticks >= Self::IDLE_TICKS || ticks >= Self::TICKS {
                    // Not `eprintln`: what that says is captured, and lost in the abort.
                    _ = writeln!(std::io::stderr(), "\ntest {test} ({place}) hangs: aborting");
                    std::process::abort();
                }
            }
            progress();
        });
        Self { _stop: stop }
    }
}

/// Yields until `condition` holds; a watchdog bounds it.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Gives waiting threads the time to park. No test relies on it: what a test claims holds for a thread that still spins, too.
/// But a missing wake-up shows only with a parked one.
pub(crate) fn let_them_park() {
    thread::sleep(Duration::from_millis(5));
}

/// A deadline that has passed.
pub(crate) fn past() -> Instant {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(1)).unwrap_or(now)
}
