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

/// A thread that stayed in the panic hook would keep the test program from its end.
#[test]
fn a_destructor_that_unwraps_a_join_in_a_thread_is_told_too() {
    if is_alone() {
        _ = model::check(&plain(), || thread::spawn(a_pool_in_a_deadlock).join());
        return;
    }
    let output = alone("hostile::a_destructor_that_unwraps_a_join_in_a_thread_is_told_too");
    let text = String::from_utf8_lossy(&output.stderr);
    for part in ["was being unwound, and a destructor panicked meanwhile", "deadlock at step "] {
        assert!(text.contains(part), "{part} in {text}");
    }
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

#[test]
fn a_supervisor_that_catches_all_does_not_hold_the_model() {
    let failure = watched(|| {
        let model = Model::new().patience(Duration::from_millis(200));
        model.check(&plain(), || {
            let (tx, rx) = rendezvous::<u8>();
            // It begins its work again after each panic.
            let supervisor = thread::spawn(move || {
                while catch_unwind(AssertUnwindSafe(|| rx.recv().wait())).is_err() {}
            });
            _ = supervisor.join();
            drop(tx);
        })
    });
    assert_eq!(failure.unwrap_err().kind(), FailureKind::Deadlock);
}

/// The schedules that fail with the fewest departures, by brute force: every list of so many, over choices and options of any number.
fn fewest(body: impl Fn(), most: usize, choices: u32, options: u32) -> Option<usize> {
    fn with(
        body: &impl Fn(),
        list: &mut Vec<String>,
        more: usize,
        from: u32,
        to: (u32, u32),
    ) -> bool {
        if more == 0 {
            return model::check(&list.join(" ").parse().unwrap(), body).is_err();
        }
        (from..to.0).any(|at| {
            (1..to.1).any(|option| {
                list.push(format!("{at}:{option}"));
                let fails = with(body, list, more - 1, at + 1, to);
                list.pop();
                fails
            })
        })
    }
    (0..=most).find(|&n| with(&body, &mut Vec::new(), n, 0, (choices, options)))
}

#[test]
fn what_is_shrunk_has_the_fewest_departures_by_brute_force() {
    fn two_locks() {
        let (a, b) = (rendezvous::<u8>(), rendezvous::<u8>());
        let give = |tx: handover::Sender<u8>| thread::spawn(move || _ = tx.send(1).wait());
        let (first, second) = (give(a.0), give(b.0));
        let take = |rx: Receiver<u8>, other: Receiver<u8>| {
            thread::spawn(move || {
                if rx.recv().now().is_ok() {
                    assert!(other.recv().wait().is_err(), "both are here");
                }
            })
        };
        take(a.1, b.1).join().unwrap();
        _ = (first.join(), second.join());
    }
    fn race() {
        let (tx, rx) = rendezvous::<u8>();
        let (tx2, rx2) = rendezvous::<u8>();
        let sender = thread::spawn(move || {
            tx.send(1).wait_timeout(Duration::from_millis(2)).is_ok()
                && tx2.send(2).wait_timeout(Duration::from_millis(2)).is_err()
        });
        _ = rx.recv().wait();
        _ = rx2.recv().wait();
        assert!(!sender.join().unwrap(), "it was late");
    }
    watched(|| {
        for (body, seed) in [(two_locks as fn(), 3), (race as fn(), 4)] {
            let shrunk = crate::support::shrink(handover::model::schedules(300), seed, body);
            let shrunk = shrunk.expect("a failure").last;
            let again = crate::support::check(&shrunk.schedule(), body).unwrap_err();
            assert_eq!(again.report(), shrunk.report());
            let by_hand = fewest(body, 2, 30, 4).expect("a failure with at most two");
            assert_eq!(crate::support::departures(&shrunk), by_hand, "{shrunk}");
            let failure = Model::new().exhaust(3, body).unwrap_err();
            assert_eq!(crate::support::departures(&failure), by_hand);
        }
    });
}

#[test]
fn counts_of_a_close_by_hand() {
    // The thread has one point of choice, before it drops its end, and ends in the same turn. `main` has its spawn, its receive and its join. With t for a
    // turn of the thread (the first brings it to its point, the second to its end), and M for one that it has because `main` waits:
    //
    // | turns of the thread after the spawn | before main's look | in main's wait | at the join | runs |
    // |-------------------------------------|--------------------|----------------|-------------|------|
    // | t (to its point), and there it goes on: t                                | -                  | -              | -           | 1 |
    // | t, and at its point main goes on    | t                  | -              | -           | 1    |
    // | t, and at its point main goes on    | none               | M              | -           | 1    |
    // | none                                | t, t               | -              | -           | 1    |
    // | none                                | t, main goes on    | M              | -           | 1    |
    // | none                                | none               | M M            | -           | 1    |
    //
    // (When the receive has looked in vain `main` waits for the end of the channel, after which the thread has ended in the same turn, or it is `main`'s turn.)
    let runs = |departures| {
        let runs = Model::new().exhaust(departures, || {
            let (tx, rx) = rendezvous::<u8>();
            let thread = thread::spawn(move || drop(tx));
            assert!(rx.recv().wait().is_err());
            thread.join().unwrap();
        });
        runs.unwrap().runs
    };
    assert_eq!(runs(0), 1);
    assert_eq!(runs(99), 6);
}

#[test]
fn a_schedule_that_is_huge_or_for_another_program() {
    watched(|| {
        let text: Vec<String> = (0..200_000).map(|at| format!("{at}:4294967295")).collect();
        let huge: Schedule = text.join(" ").parse().unwrap();
        let body = || {
            let (mut server, client) = simplex();
            let thread = thread::spawn(move || {
                _ = server.send_all(0..3).wait();
                server.finish();
            });
            assert_eq!(client.into_iter().count(), 3);
            thread.join().unwrap();
        };
        model::check(&huge, body).unwrap();
        assert_eq!(huge.to_string().parse::<Schedule>().unwrap(), huge);
        for text in [
            "4294967296:1",
            "1:",
            ":1",
            "1:1:1",
            "1;1",
            "-1:1",
            "+1:1",
            "1:+1",
            "1:1,2:1",
            "random",
            "random 1",
            "random x 1",
            "random 1 1 1",
            "search 1",
            "０:1",
        ] {
            let error = text.parse::<Schedule>().expect_err(text).to_string();
            assert!(error.starts_with("no schedule: `"), "{error}");
        }
    });
}

static OUTLIVES: std::sync::Mutex<Option<(handover::Sender<u8>, Receiver<u8>)>> =
    std::sync::Mutex::new(None);

#[test]
fn a_channel_that_outlives_its_run() {
    watched(|| {
        let take = || OUTLIVES.lock().unwrap().clone().unwrap();
        model::check(&plain(), || *OUTLIVES.lock().unwrap() = Some(rendezvous())).unwrap();
        // In another run, and outside of any.
        let body = move || {
            let (tx, rx) = take();
            let thread = thread::spawn(move || tx.send(1).wait().unwrap());
            let got = rx.recv().wait().unwrap();
            thread.join().unwrap();
            got
        };
        assert_eq!(model::check(&Schedule::random(1, 50), body).unwrap(), 1);
        assert_eq!(body(), 1);
        // A run that fails leaves nobody queued.
        let failure = model::check(&plain(), move || take().1.recv().wait()).unwrap_err();
        assert!(failure.report().contains("#1 a channel made outside of the model"), "{failure}");
        assert!(take().0.send(1).now().is_err());
        assert_eq!(body(), 1);
        // And one made outside and used inside, by a task whose run ends while it waits.
        let failure = model::check(&plain(), move || {
            model::spawn_async("waits", async move { _ = take().1.recv().await }).join()
        });
        assert_eq!(failure.unwrap_err().kind(), FailureKind::Deadlock);
        assert!(take().0.send(1).now().is_err());
        *OUTLIVES.lock().unwrap() = None;
    });
}

#[test]
fn runtimes_elsewhere_do_not_change_a_run() {
    watched(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let is_over = Arc::new(AtomicU32::new(0));
        let pairs: Vec<_> = (0..3)
            .map(|_| {
                let is_over = Arc::clone(&is_over);
                runtime.spawn(async move {
                    let mut count = 0_u32;
                    while is_over.load(SeqCst) == 0 {
                        let (tx, rx) = rendezvous();
                        let (sent, got) = future::zip(tx.send(count), rx.recv()).await;
                        sent.unwrap();
                        assert_eq!(got, Ok(count));
                        count += 1;
                        tokio::task::yield_now().await;
                    }
                    count
                })
            })
            .collect();
        let report = || {
            let failure =
                model::check(&Schedule::random(11, 300), || _ = crate::programs::pool(2, 4, false));
            failure.unwrap_err().report().to_string()
        };
        let expected = report();
        for _ in 0..20 {
            assert_eq!(report(), expected);
        }
        is_over.store(1, SeqCst);
        for pair in pairs {
            assert!(runtime.block_on(pair).unwrap() > 0);
        }
    });
}
