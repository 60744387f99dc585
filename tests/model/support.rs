//! What the tests of models share.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use handover::model::{self, Failure, Schedule, Schedules};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Runs `f` on a thread; panics if that hangs.
pub(crate) fn watched<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, is_done) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = f();
        _ = done.send(());
        result
    });
    let hung = is_done.recv_timeout(Duration::from_secs(120));
    assert_ne!(hung, Err(mpsc::RecvTimeoutError::Timeout), "the test hangs");
    thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// The schedule of this text.
pub(crate) fn schedule(text: &str) -> Schedule {
    text.parse().unwrap()
}

/// The default schedule.
pub(crate) fn plain() -> Schedule {
    Schedule::default()
}

/// `model::check`, always from the same line, which a report tells.
pub(crate) fn check<R>(s: &Schedule, body: impl Fn() -> R) -> Result<R, Failure> {
    model::check(s, body)
}

/// What shrinking a schedule brought.
pub(crate) struct Shrunk {
    pub(crate) first: Failure,
    pub(crate) last: Failure,
    pub(crate) tries: u32,
}

/// Shrinks as proptest does: the last failure is that of the value that is left.
pub(crate) fn shrink<R>(strategy: Schedules, seed: u8, body: impl Fn() -> R) -> Option<Shrunk> {
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let mut tree = strategy.new_tree(&mut runner).unwrap();
    let first = check(&tree.current(), &body).err()?;
    let (mut last, mut tries) = (first.clone(), 0);
    let mut goes_on = tree.simplify();
    while goes_on {
        tries += 1;
        goes_on = match check(&tree.current(), &body) {
            Err(failure) => {
                last = failure;
                tree.simplify()
            }
            Ok(_) => tree.complicate(),
        };
    }
    assert_eq!(tree.current().to_string(), last.schedule().to_string());
    Some(Shrunk { first, last, tries })
}

/// How many departures a schedule has.
pub(crate) fn departures(failure: &Failure) -> usize {
    failure.schedule().to_string().split_whitespace().count()
}
