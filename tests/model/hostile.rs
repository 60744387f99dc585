//! What a hostile user does to a model.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use futures_lite::future;
use handover::model::{self, Failure, FailureKind, Model, Panics, Schedule, thread};
use handover::{Receiver, never, rendezvous, simplex};

use crate::support::{plain, watched};

/// Fails, and soon: a party that did not end would hold the run for its patience.
fn fails_soon<R: 'static>(kind: FailureKind, body: impl Fn() -> R + Send + 'static) -> Failure {
    watched(move || {
        let start = Instant::now();
        let patience = Duration::from_secs(40);
        let result = Model::new().patience(patience).check(&plain(), body);
        let failure = result.err().expect("a failure");
        assert_eq!(failure.kind(), kind, "{failure}");
        assert!(start.elapsed() < patience, "it waited for a party that had gone: {failure}");
        failure
    })
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("in the destructor of a result");
        }
    }
}

#[test]
fn a_result_that_nobody_takes_may_panic_when_it_is_dropped() {
    let failure = fails_soon(FailureKind::Panic, || {
        drop(thread::spawn(|| PanicsWhenDropped));
        thread::yield_now();
    });
    assert!(failure.report().contains("in the destructor of a result"), "{failure}");
    let failure = fails_soon(FailureKind::Panic, || {
        thread::scope(|scope| {
            drop(scope.spawn(|| PanicsWhenDropped));
            thread::yield_now();
        });
    });
    assert!(failure.report().contains("in the destructor of a result"), "{failure}");
}

#[test]
fn a_payload_may_panic_when_it_is_dropped() {
    fails_soon(FailureKind::Panic, || panic_any(PanicsWhenDropped));
    fails_soon(FailureKind::Panic, || {
        drop(thread::spawn(|| panic_any(PanicsWhenDropped)));
        thread::yield_now();
    });
    // This thread is no party any more.
    watched(|| {
        _ = catch_unwind(|| model::check(&plain(), || panic_any(PanicsWhenDropped)));
        model::check(&plain(), || ()).unwrap();
    });
}

#[test]
fn a_result_that_nobody_takes_may_be_unwound_while_it_is_dropped() {
    fails_soon(FailureKind::Panic, || {
        let (tx, rx) = rendezvous::<u8>();
        // Its result is an end, whose drop is a point of choice: there `main` goes on, and panics.
        drop(thread::spawn(move || (tx, rx)));
        thread::yield_now();
        panic!("while the result is dropped");
    });
    watched(|| {
        let start = Instant::now();
        let model = Model::new().patience(Duration::from_secs(40));
        _ = model.exhaust(2, || {
            let (tx, rx) = rendezvous::<u8>();
            drop(thread::spawn(move || (tx, rx)));
            let other = thread::spawn(|| thread::yield_now());
            if other.is_finished() {
                panic!("the other one has ended");
            }
        });
        for departures in ["0:1 1:1", "0:1 1:2", "0:1 1:1 2:1", "0:1 1:1 2:2", "0:1", "0:1 2:1"] {
            _ = model.check(&departures.parse().unwrap(), || {
                let (tx, rx) = rendezvous::<u8>();
                drop(thread::spawn(move || (tx, rx)));
                thread::yield_now();
                panic!("at any time");
            });
        }
        assert!(start.elapsed() < Duration::from_secs(40));
    });
}

#[test]
fn a_party_whose_thread_comes_too_late_does_not_wait_for_ever() {
    watched(|| {
        let (job, jobs) = std::sync::mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let has_run = Arc::new(AtomicU32::new(0));
        let its = Arc::clone(&has_run);
        let model = Model::new().patience(Duration::from_millis(50));
        model
            .check(&plain(), || {
                let its = Arc::clone(&its);
                _ = job.send(Box::new(model::party("late", move || {
                    its.fetch_add(1, SeqCst);
                })));
            })
            .unwrap();
        // The run is over; now the thread comes.
        let late = jobs.recv().unwrap();
        let thread = std::thread::spawn(move || _ = catch_unwind(AssertUnwindSafe(late)));
        thread.join().unwrap();
        assert_eq!(has_run.load(SeqCst), 0);
    });
}

#[test]
fn a_loop_over_choices_or_the_clock_ends() {
    let failure = fails_soon(FailureKind::Endless, || while model::choose(2) == 0 {});
    assert!(failure.report().starts_with("no end within"), "{failure}");
    let failure = fails_soon(FailureKind::Endless, || {
        let until = model::now() + Duration::from_millis(1);
        while model::now() < until {}
    });
    assert!(failure.report().starts_with("no end within"), "{failure}");
}

struct BlocksOnATask(Receiver<u32>);

impl Drop for BlocksOnATask {
    fn drop(&mut self) {
        assert!(model::block_on(self.0.recv()).is_err());
    }
}

struct AwaitsAThread(Option<thread::JoinHandle<()>>);

impl Drop for AwaitsAThread {
    fn drop(&mut self) {
        _ = model::block_on(self.0.take().unwrap());
    }
}

#[test]
fn destructors_that_await_while_being_unwound() {
    fails_soon(FailureKind::Deadlock, || {
        let (tx, rx) = rendezvous::<u32>();
        let awaits = BlocksOnATask(rx);
        _ = awaits.0.recv().wait();
        drop(tx);
    });
    fails_soon(FailureKind::Deadlock, || {
        let (tx, rx) = rendezvous::<u32>();
        let (tx2, rx2) = rendezvous::<u32>();
        let thread = thread::spawn(move || {
            let awaits = BlocksOnATask(rx2);
            _ = awaits.0.recv().wait();
            _ = tx;
        });
        let _awaits = AwaitsAThread(Some(thread));
        _ = rx.recv().wait();
        drop(tx2);
    });
}

#[test]
fn the_longest_patience() {
    watched(|| {
        let model = Model::new().patience(Duration::MAX);
        let sum = model.check(&plain(), || {
            let (tx, rx) = rendezvous();
            let party = model::party("sender", move || tx.send(3).wait());
            let pool = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(20)); // so that `main` mostly has to wait for this thread
                party()
            });
            let sum = rx.recv().wait().unwrap();
            drop(rx);
            _ = pool;
            sum
        });
        assert_eq!(sum.unwrap(), 3);
    });
}

#[test]
fn a_handle_of_an_earlier_run() {
    watched(|| {
        let kept = std::sync::Mutex::new(None);
        for _ in 0..2 {
            _ = model::check(&plain(), || {
                for _ in 0..5 {
                    thread::spawn(|| ());
                }
                *kept.lock().unwrap() = Some(thread::spawn(|| 7));
            });
        }
        let handle = kept.lock().unwrap().take();
        let handle = std::cell::Cell::new(handle);
        let failure = model::check(&plain(), || {
            assert_eq!(handle.take().unwrap().join().unwrap(), 7);
            never::<u8>().recv().wait()
        });
        let failure = failure.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Deadlock, "{failure}");
    });
}

#[test]
fn joins_of_tasks_are_told_at_the_users_line() {
    fn stuck() -> thread::JoinHandle<()> {
        model::spawn_async("stuck", async { _ = never::<u8>().recv().await })
    }
    #[rustfmt::skip]
    let bodies: [(fn(), u32); 6] = [
        (|| _ = model::block_on(async { stuck().await }), line!()),
        (|| _ = model::block_on(stuck()), line!()),
        (|| _ = model::block_on(future::zip(stuck(), stuck())), line!()),
        (|| _ = model::block_on(async { rendezvous::<u8>().1.recv().until(stuck()).await }), line!()),
        (|| _ = model::block_on(Box::pin(stuck()) as std::pin::Pin<Box<dyn Future<Output = _>>>), line!()),
        (|| _ = model::spawn_async("inner", stuck()).join(), line!()),
    ];
    for (body, line) in bodies {
        let failure = watched(move || model::check(&plain(), body)).unwrap_err();
        let row = failure.report().lines().find(|row| row.contains("join of stuck"));
        let row = row.unwrap_or_else(|| panic!("{failure}"));
        assert!(row.contains(&format!(" tests/model/hostile.rs:{line}:")), "{line} in {failure}");
    }
}

#[test]
fn names_of_any_kind_stay_in_their_cell() {
    let failure = fails_soon(FailureKind::Deadlock, || {
        let names =
            ["", " ", "end", "a\nb", "quo\"ted; #semi", "p0", "as", "größe 漢字", "\u{202e}x\t"];
        let threads: Vec<_> = names
            .iter()
            .map(|name| {
                let builder = thread::Builder::new().name(name.to_string());
                builder.spawn(|| _ = never::<u8>().recv().wait()).unwrap()
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    // One line a party, but for the headline and the list of channels.
    let rows = failure.report().lines().filter(|line| {
        line.contains("Receiver::recv #")
            && line.contains("  step ")
            && line.contains("tests/model/hostile.rs")
    });
    assert_eq!(rows.count(), 9, "{failure}");
    let participants = failure.diagram();
    for line in participants.lines().filter(|line| line.contains("participant")) {
        let name = line.split_once(" as ").expect("a name").1;
        assert!(!name.trim().is_empty(), "{line:?}");
    }
}

/// Runs one test of this file in a process of its own, where it finds that it `is_alone`.
fn alone(test: &str) -> std::process::Output {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "--test-threads=1", test]).env(ALONE, "yes");
    watched(move || command.output().unwrap())
}

const ALONE: &str = "HANDOVER_TEST_IS_ALONE";

fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

#[test]
fn ten_thousand_runs_keep_no_memory() {
    /// Pages.
    fn resident() -> Option<u64> {
        let text = std::fs::read_to_string("/proc/self/statm").ok()?;
        text.split_whitespace().nth(1)?.parse().ok()
    }
    if !is_alone() {
        let output = alone("hostile::ten_thousand_runs_keep_no_memory");
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let body = || {
        let (mut server, client) = simplex();
        let thread = thread::spawn(move || {
            _ = server.send_all(0..3).wait();
            server.finish();
        });
        assert_eq!(client.into_iter().count(), 3);
        thread.join().unwrap();
    };
    let explore = |runs| {
        model::check(&Schedule::random(1, runs), body).unwrap();
        // Each exploration has threads of its own.
        for seed in 0..u64::from(runs) / 30 {
            model::check(&Schedule::random(seed, 1), body).unwrap();
        }
    };
    explore(1_000);
    let before = resident();
    explore(10_000);
    if let (Some(before), Some(after)) = (before, resident()) {
        assert!(after < before + before / 4, "{before} pages have become {after}");
    }
}

/// As in many a book: its destructor unwraps the joins.
struct Pool(Option<thread::JoinHandle<()>>);

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.take().unwrap().join().unwrap();
    }
}

fn a_pool_in_a_deadlock() {
    let (_tx, rx) = rendezvous::<u8>();
    let its = rx.clone();
    let _pool = Pool(Some(thread::spawn(move || _ = its.recv().wait())));
    _ = rx.recv().wait();
}

#[test]
fn a_destructor_that_unwraps_a_join_is_told_before_std_aborts() {
    if is_alone() {
        _ = model::check(&plain(), a_pool_in_a_deadlock);
        return;
    }
    let output = alone("hostile::a_destructor_that_unwraps_a_join_is_told_before_std_aborts");
    let text = String::from_utf8_lossy(&output.stderr);
    for part in [
        "main was being unwound, and a destructor panicked meanwhile, at tests/model/hostile.rs:",
        "`Result::unwrap()` on an `Err` value",
        "So std aborts the process. Let the destructor ask `std::thread::panicking()`",
        "deadlock at step ",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_destructor_that_unwraps_a_join_in_a_thread_leaves_that_behind() {
    let failure = watched(|| {
        let model = Model::new().patience(Duration::from_millis(200));
        model.check(&plain(), || thread::spawn(a_pool_in_a_deadlock).join())
    });
    assert_eq!(failure.map(|_| ()).unwrap_err().kind(), FailureKind::Deadlock);
}

#[test]
fn a_panic_in_join_mode_in_a_party_of_a_pool() {
    watched(|| {
        let model = Model::new().panics(Panics::Join);
        let result = model.check(&plain(), || {
            let party = model::party("pooled", || panic!("as planned"));
            let pooled = std::thread::spawn(party);
            thread::yield_now();
            pooled.join().is_err()
        });
        assert!(result.unwrap());
    });
}
