//! A watchdog that fails only the test that hangs, and says what that test was doing.

use super::thread;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a test may go on without a step of progress: `HANDOVER_PATIENCE` seconds, or a minute.
fn patience() -> Duration {
    let seconds = std::env::var("HANDOVER_PATIENCE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// What a running test says of itself.
pub(crate) struct Progress {
    steps: AtomicUsize,
    doing: Mutex<String>,
    state: Mutex<Option<Box<dyn Fn() -> String + Send>>>,
}

impl Progress {
    /// The test has come one step further.
    pub(crate) fn step(&self) {
        self.steps.fetch_add(1, SeqCst);
    }

    /// The test begins with something else.
    pub(crate) fn doing(&self, what: impl Into<String>) {
        *self.doing.lock().unwrap() = what.into();
        self.step();
    }

    /// What the message tells when the test hangs.
    pub(crate) fn tell(&self, state: impl Fn() -> String + Send + 'static) {
        *self.state.lock().unwrap() = Some(Box::new(state));
    }
}

/// Runs a test on a thread of its own, and panics if it makes no progress for too long. Its threads are then left behind.
#[track_caller]
pub(crate) fn watched(test: impl FnOnce(&Progress) + Send + 'static) {
    let progress = Arc::new(Progress {
        steps: AtomicUsize::new(0),
        doing: Mutex::new(String::from("its first step")),
        state: Mutex::new(None),
    });
    let (done, finished) = mpsc::channel::<()>();
    let inner = Arc::clone(&progress);
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let runner = thread::Builder::new().name(name).spawn(move || {
        let _done = done;
        test(&inner);
    });
    let runner = runner.unwrap();
    let (mut last, mut since) = (0, Instant::now());
    while finished.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
        let steps = progress.steps.load(SeqCst);
        if steps != last {
            (last, since) = (steps, Instant::now());
        } else if since.elapsed() > patience() {
            let state = progress.state.lock().unwrap().as_ref().map(|state| state());
            let doing = progress.doing.lock().unwrap().clone();
            panic!(
                "no progress for {:?} in {doing} after {steps} steps: {state:?}",
                since.elapsed()
            );
        }
    }
    if let Err(panic) = runner.join() {
        panic::resume_unwind(panic);
    }
}
