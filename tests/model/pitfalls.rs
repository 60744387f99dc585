//! What could make a model hang, abort, or say the wrong thing.

use std::cell::Cell;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use handover::model::{self, Failure, FailureKind, Model, Panics, Schedule, Token, thread};
use handover::{Receiver, Sel2, Sender, rendezvous, select, simplex};

use crate::support::{plain, schedule, watched};

fn named<R: Send + 'static>(
    name: &str,
    f: impl FnOnce() -> R + Send + 'static,
) -> thread::JoinHandle<R> {
    thread::Builder::new().name(name.to_string()).spawn(f).unwrap()
}

/// Fails, and is over: no thread but a stuck one is left behind.
fn fails<R: 'static>(kind: FailureKind, body: impl Fn() -> R + Send + 'static) -> Failure {
    watched(move || {
        let failure = model::check(&plain(), body).err().expect("a failure");
        assert_eq!(failure.kind(), kind, "{failure}");
        failure
    })
}

/// A short patience, for parties that are stuck for sure.
fn impatient() -> Model {
    Model::new().patience(Duration::from_millis(200))
}

#[test]
fn a_deadlock_tells_who_waits_for_what_and_where() {
    let failure = fails(FailureKind::Deadlock, || {
        let (tx, rx) = rendezvous::<u8>();
        let (tx2, rx2) = rendezvous::<u8>();
        let first = named("first", move || {
            rx.recv().wait().unwrap(); // line A
            tx2.send(1).wait().unwrap();
        });
        let line = line!() + 1;
        rx2.recv().wait().unwrap();
        _ = (tx, line);
        first.join().unwrap();
    });
    let report = failure.report();
    assert!(
        report.starts_with("deadlock at step 3: all 2 parties wait (virtual time 0ns)\n"),
        "{report}"
    );
    for part in [
        "main   Receiver::recv #2  tests/model/pitfalls.rs:",
        "first  Receiver::recv #1  tests/model/pitfalls.rs:",
        "#1 rendezvous, made at tests/model/pitfalls.rs:",
        "; last used by: first (Receiver::recv, step 3; waits)\n",
        "schedule: \"\" (0 departures of 2 choices)\n",
        "the last steps:\n",
    ] {
        assert!(report.contains(part), "{part} in {report}");
    }
}

#[test]
fn a_panic_is_told_with_its_line_and_nothing_is_printed_by_the_hook() {
    let failure = fails(FailureKind::Panic, || {
        let (tx, rx) = rendezvous::<u32>();
        let adder = named("adder", move || rx.iter().map(|n| 10 / n).sum::<u32>());
        for n in [2, 1, 0, 5] {
            if tx.send(n).wait().is_err() {
                break;
            }
        }
        adder.join()
    });
    let report = failure.report();
    assert!(report.starts_with("adder panicked at step "), "{report}");
    assert!(report.contains("attempt to divide by zero"), "{report}");
    assert!(report.contains("tests/model/pitfalls.rs:"), "{report}");
}

#[test]
fn with_join_a_panic_is_what_join_gives() {
    watched(|| {
        let model = Model::new().panics(Panics::Join);
        let result = model.check(&plain(), || {
            let thread = named("thread", || panic!("as planned"));
            let task = model::spawn_async("task", async { panic!("so, too") });
            let payload = thread.join().unwrap_err();
            assert_eq!(*payload.downcast_ref::<&str>().unwrap(), "as planned");
            assert!(model::block_on(task).is_err());
        });
        result.unwrap();
        let failure = model.check(&plain(), || panic!("the body's own")).unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Panic);
        let scoped =
            model.check(&plain(), || thread::scope(|scope| _ = scope.spawn(|| panic!("unjoined"))));
        let report = scoped.unwrap_err().report().to_string();
        assert!(report.contains("a scoped thread panicked"), "{report}");
        let joined = model.check(&plain(), || {
            thread::scope(|scope| scope.spawn(|| panic!("joined")).join().is_err())
        });
        assert!(joined.unwrap());
    });
}

#[test]
fn endless_runs_end() {
    let failure = watched(|| {
        let model = Model::new().max_steps(200);
        model.check(&plain(), || {
            let (_tx, rx) = rendezvous::<u32>();
            while rx.recv().now().is_err() {}
        })
    });
    let failure = failure.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Endless);
    assert!(failure.report().starts_with("no end within 200 steps"), "{failure}");
    // Two parties that only let each other run.
    let failure = watched(|| {
        Model::new().max_steps(200).check(&plain(), || {
            let other = thread::spawn(|| {
                loop {
                    thread::yield_now();
                }
            });
            while !other.is_finished() {
                thread::yield_now();
            }
        })
    });
    assert_eq!(failure.unwrap_err().kind(), FailureKind::Endless);
}

#[test]
fn a_task_that_wakes_itself_counts_as_yielding() {
    watched(|| {
        let got = model::check(&plain(), || {
            let (tx, rx) = rendezvous();
            let sender = thread::spawn(move || tx.send(1).wait());
            let got = model::block_on(async {
                loop {
                    if let Ok(got) = rx.recv().now() {
                        return got;
                    }
                    futures_lite::future::yield_now().await; // wakes itself
                }
            });
            sender.join().unwrap().unwrap();
            got
        });
        assert_eq!(got.unwrap(), 1);
    });
    let alone = watched(|| {
        Model::new().max_steps(100).check(&plain(), || {
            model::block_on(async {
                loop {
                    futures_lite::future::yield_now().await;
                }
            })
        })
    });
    assert_eq!(alone.map(|_: ()| ()).unwrap_err().kind(), FailureKind::Endless);
}

#[test]
fn a_stranger_is_told_by_thread_and_line() {
    let failure = watched(|| {
        impatient().check(&plain(), || {
            let (tx, rx) = rendezvous::<u32>();
            let stranger = std::thread::Builder::new().name("stranger".to_string());
            let stranger = stranger.spawn(move || tx.send(1).wait()).unwrap();
            // The model does not see this, but the stranger gives up: it was told that it is none.
            let joined = stranger.join();
            assert!(joined.is_err());
            drop(rx);
        })
    });
    let failure = failure.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Stuck);
    let report = failure.report();
    assert!(report.contains("thread `stranger` is no party of the model, and used Sender::send #1 at tests/model/pitfalls.rs:"), "{report}");
}

#[test]
fn a_stranger_that_drops_an_end_is_told() {
    let failure = watched(|| {
        impatient().check(&plain(), || {
            let (tx, rx) = rendezvous::<u32>();
            std::thread::spawn(move || drop(tx)).join().unwrap();
            drop(rx);
        })
    });
    let failure = failure.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Stuck);
    assert!(failure.report().contains("used the drop of a Sender #1"), "{failure}");
}

#[test]
fn channels_of_other_threads_are_their_own_affair() {
    watched(|| {
        let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let its = Arc::clone(&is_over);
        let busy = std::thread::spawn(move || {
            while !its.load(SeqCst) {
                let (tx, rx) = rendezvous();
                let sender = std::thread::spawn(move || tx.send(1).wait());
                assert_eq!(rx.recv().wait(), Ok(1));
                sender.join().unwrap().unwrap();
            }
        });
        model::check(&Schedule::random(1, 200), || {
            let (tx, rx) = rendezvous();
            let sender = thread::spawn(move || tx.send(1).wait());
            assert_eq!(rx.recv().wait(), Ok(1));
            sender.join().unwrap().unwrap();
        })
        .unwrap();
        is_over.store(true, SeqCst);
        busy.join().unwrap();
    });
}

#[test]
fn a_mutex_held_across_an_operation_is_stuck_and_freed() {
    let failure = watched(|| {
        impatient().check(&plain(), || {
            let (tx, rx) = rendezvous::<u32>();
            let shared = Arc::new(Mutex::new(0));
            let its = Arc::clone(&shared);
            let holder = named("holder", move || {
                let mut total = its.lock().unwrap();
                for n in &rx {
                    *total += n;
                }
            });
            tx.send(1).wait().unwrap();
            drop(shared.lock()); // main is stuck, until the holder is unwound
            drop(tx);
            holder.join().unwrap();
        })
    });
    let failure = failure.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Stuck);
    let report = failure.report();
    assert!(
        report.contains(
            "main has the turn and does not come to a point of choice; the last it did was `Sender::send #1` at tests/model/pitfalls.rs:"
        ),
        "{report}"
    );
}

#[test]
fn a_body_that_sleeps_for_real_for_too_long_is_stuck() {
    let failure = watched(|| {
        impatient().check(&plain(), || {
            let asleep = named("asleep", || {
                std::thread::sleep(Duration::from_millis(900));
                thread::yield_now();
            });
            asleep.join().unwrap();
        })
    });
    let failure = failure.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Stuck);
    assert!(failure.report().contains("asleep has the turn"), "{failure}");
}

#[test]
fn a_stuck_thread_of_spawn_is_left_behind() {
    let (never, stuck) = (std::sync::mpsc::channel::<()>(), Arc::new(AtomicU32::new(0)));
    let (hold, wait) = never;
    let wait = Arc::new(Mutex::new(Some(wait)));
    let its = Arc::clone(&stuck);
    let failure = watched(move || {
        let failure = impatient().check(&plain(), move || {
            let (wait, stuck) = (wait.lock().unwrap().take().unwrap(), Arc::clone(&its));
            let thread = named("deaf", move || {
                _ = wait.recv();
                stuck.fetch_add(1, SeqCst);
            });
            thread.join().unwrap();
        });
        drop(hold);
        failure
    });
    assert_eq!(failure.unwrap_err().kind(), FailureKind::Stuck);
}

/// Waits in its destructor, also while it is being unwound.
struct Waits(Receiver<u32>);

impl Drop for Waits {
    fn drop(&mut self) {
        _ = self.0.recv().wait();
    }
}

#[test]
fn destructors_that_wait_while_being_unwound() {
    let failure = fails(FailureKind::Deadlock, || {
        let (tx, rx) = rendezvous::<u32>();
        let (tx2, rx2) = rendezvous::<u32>();
        let thread = named("waits", move || {
            let _waits = Waits(rx2.clone());
            _ = rx2.recv().wait();
        });
        let _waits_too = Waits(rx.clone());
        _ = rx.recv().wait();
        drop((tx, tx2));
        _ = thread.join();
    });
    assert!(failure.report().starts_with("deadlock"));
}

/// Holds both ends, and waits for itself.
struct WaitsForItself(Sender<u32>, Receiver<u32>);

impl Drop for WaitsForItself {
    fn drop(&mut self) {
        _ = self.1.recv().wait();
        _ = self.0.send(1).wait();
        _ = self.1.iter().next();
        _ = select((self.1.recv(), self.1.recv())).wait_timeout(Duration::from_secs(1));
        model::block_on(async { _ = self.1.recv().now() });
    }
}

#[test]
fn a_destructor_that_nobody_could_help_gives_up() {
    fails(FailureKind::Deadlock, || {
        let (tx, rx) = rendezvous::<u32>();
        let _both = WaitsForItself(tx, rx);
        let (_tx, rx) = rendezvous::<u32>();
        _ = rx.recv().wait();
    });
}

/// Chooses in its destructor: there is no output without an arm that is done.
struct Chooses(Receiver<u32>, Receiver<u32>);

impl Drop for Chooses {
    fn drop(&mut self) {
        match select((self.0.recv(), self.1.recv())).wait() {
            Sel2::A(result) | Sel2::B(result) => assert!(result.is_err()),
        }
    }
}

#[test]
fn a_choice_in_a_destructor_does_not_panic_a_second_time() {
    fails(FailureKind::Deadlock, || {
        let (a, b) = (rendezvous::<u32>(), rendezvous::<u32>());
        let thread = named("chooses", move || {
            let chooses = Chooses(a.1, b.1);
            _ = chooses.0.recv().wait();
        });
        _ = thread.join();
        drop((a.0, b.0));
    });
}

#[test]
fn a_panic_while_others_wait_unwinds_them_and_their_destructors_run() {
    let dropped = Arc::new(AtomicU32::new(0));
    struct Counts(Arc<AtomicU32>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let its = Arc::clone(&dropped);
    fails(FailureKind::Panic, move || {
        let (tx, rx) = rendezvous::<u32>();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (rx, counts) = (rx.clone(), Counts(Arc::clone(&its)));
                thread::spawn(move || {
                    let _counts = counts;
                    _ = rx.recv().wait();
                })
            })
            .collect();
        thread::yield_now();
        if model::now() == model::now() {
            panic!("as planned");
        }
        drop(tx);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(dropped.load(SeqCst), 3);
}

#[test]
fn parties_that_never_started_drop_their_closures() {
    let dropped = Arc::new(AtomicU32::new(0));
    struct Panics(Arc<AtomicU32>);
    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
            if !std::thread::panicking() {
                panic!("in the destructor of a closure that was never run");
            }
        }
    }
    let its = Arc::clone(&dropped);
    fails(FailureKind::Panic, move || {
        let bombs = [Panics(Arc::clone(&its)), Panics(Arc::clone(&its))];
        for bomb in bombs {
            thread::spawn(move || {
                thread::yield_now();
                std::mem::forget(bomb);
            });
        }
        panic!("before they start");
    });
    assert_eq!(dropped.load(SeqCst), 2);
}

#[test]
fn a_user_that_catches_the_unwinding_is_unwound_again() {
    fails(FailureKind::Deadlock, || {
        let (_tx, rx) = rendezvous::<u32>();
        for _ in 0..10 {
            _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rx.recv().wait()));
        }
        rx.recv().wait()
    });
}

#[test]
fn scoped_threads_are_unwound_too() {
    let failure = fails(FailureKind::Deadlock, || {
        let (tx, rx) = rendezvous::<u32>();
        thread::scope(|scope| {
            scope.spawn(|| _ = rx.recv().wait());
            scope.spawn(|| _ = rx.recv().wait());
        });
        drop(tx);
    });
    assert!(failure.report().contains("the threads of its scope"), "{failure}");
    let failure = fails(FailureKind::Panic, || {
        let (_tx, rx) = rendezvous::<u32>();
        thread::scope(|scope| {
            scope.spawn(|| _ = rx.recv().wait());
            panic!("in the scope");
        });
    });
    assert!(failure.report().contains("in the scope"));
}

#[test]
fn a_model_in_a_model_panics_clearly() {
    let failure = fails(FailureKind::Panic, || _ = model::check(&plain(), || ()));
    assert!(failure.report().contains("handover::model: a model inside a model"), "{failure}");
    let failure = fails(FailureKind::Panic, || {
        thread::spawn(|| _ = Model::new().exhaust(1, || ())).join().unwrap();
    });
    assert!(failure.report().contains("a model inside a model"), "{failure}");
}

#[test]
fn bad_input_is_told() {
    let panics = |f: fn()| {
        let payload = std::panic::catch_unwind(f).unwrap_err();
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap()
    };
    assert!(panics(|| _ = Model::new().max_steps(0)).contains("`max_steps(0)`"));
    assert!(panics(|| _ = model::choose(0)).contains("`choose(0)`"));
    for (text, part) in [
        ("3", "`3`: no `:`"),
        ("a:1", "`a:1`: not the number of a choice"),
        ("1:b", "`1:b`: not the number of an option"),
        ("1:-1", "`1:-1`: not the number of an option"),
        ("1:0", "`1:0`: option 0 is no departure"),
        ("4:1 4:2", "`4:2`: the choices are not in order"),
        ("99999999999:1", "not the number of a choice"),
        ("random", "a seed and a number of runs follow"),
        ("random x 1", "`x`: not a seed"),
        ("random 1 -1", "`-1`: not a number of runs"),
    ] {
        let error = text.parse::<Schedule>().unwrap_err();
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
    for text in ["", "3:1", "3:1 17:2", "random 7 100"] {
        assert_eq!(schedule(text).to_string(), text);
        assert_eq!(schedule(&format!("  {text}\n")), schedule(text));
    }
}

#[test]
fn a_random_schedule_of_no_runs_makes_one() {
    let runs = Cell::new(0);
    model::check(&Schedule::random(1, 0), || runs.set(runs.get() + 1)).unwrap();
    assert_eq!(runs.get(), 1);
}

#[test]
fn an_hour_passes_at_once() {
    let start = Instant::now();
    let passed = model::check(&plain(), || {
        let (tx, rx) = rendezvous::<u32>();
        let start = model::now();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_secs(3600));
            tx.send(1).wait().unwrap();
        });
        assert!(rx.recv().wait_timeout(Duration::from_secs(3599)).unwrap_err().is_timed_out());
        assert_eq!(rx.recv().wait_timeout(Duration::from_secs(2)), Ok(1));
        thread.join().unwrap();
        model::now() - start
    });
    assert_eq!(passed.unwrap(), Duration::from_secs(3600));
    assert!(start.elapsed() < Duration::from_secs(600));
}

#[test]
fn deadlines_that_are_past_or_never_come() {
    watched(|| {
        model::check(&Schedule::random(2, 100), || {
            let (_tx, rx) = rendezvous::<u32>();
            assert!(rx.recv().wait_timeout(Duration::ZERO).unwrap_err().is_timed_out());
            assert!(rx.recv().wait_deadline(model::now()).unwrap_err().is_timed_out());
            let (tx, rx) = rendezvous::<u32>();
            let sender = thread::spawn(move || tx.send(1).wait_timeout(Duration::MAX));
            assert_eq!(rx.recv().wait_timeout(Duration::MAX), Ok(1));
            sender.join().unwrap().unwrap();
        })
        .unwrap();
    });
}

#[test]
fn a_kept_receive_is_passed_over_when_nothing_else_can_happen() {
    // The 1 ms for which a sender's offer waits for a task that is kept and not polled is no choice of the model's.
    watched(|| {
        model::check(&Schedule::random(2, 300), || {
            let (tx, rx) = rendezvous::<u32>();
            let other = rx.clone();
            let sender = thread::spawn(move || tx.send(1).wait());
            let receiver = thread::spawn(move || other.recv().wait());
            let mut kept = std::pin::pin!(rx.recv());
            let first = model::block_on(futures_lite::future::poll_once(&mut kept));
            if first.is_none() {
                // Kept until the other receiver has the value.
                assert_eq!(receiver.join().unwrap(), Ok(1));
            }
            sender.join().unwrap().unwrap();
        })
        .unwrap();
    });
}

#[test]
fn a_party_runs_on_any_thread() {
    watched(|| {
        let got = model::check(&Schedule::random(1, 60), || {
            let (tx, rx) = rendezvous();
            let pool: Vec<_> = (0..3)
                .map(|n| {
                    let tx = tx.clone();
                    let job = model::party(&format!("job {n}"), move || tx.send(n).wait());
                    std::thread::spawn(job)
                })
                .collect();
            drop(tx);
            let mut got: Vec<u32> = rx.iter().collect();
            drop(pool);
            got.sort_unstable();
            got
        });
        assert_eq!(got.unwrap(), [0, 1, 2]);
        // On a thread that is a party it is a call, and dropped it is gone.
        let got = model::check(&plain(), || {
            drop(model::party("dropped", || ()));
            model::party("called", || 7)()
        });
        assert_eq!(got.unwrap(), 7);
        assert_eq!(model::party("outside", || 8)(), 8);
    });
}

#[test]
fn a_pool_with_fewer_threads_than_jobs() {
    watched(|| {
        model::check(&Schedule::random(1, 5), || {
            let (tx, rx) = rendezvous();
            let jobs: Vec<_> = (0..3)
                .map(|n| {
                    let tx = tx.clone();
                    model::party(&format!("job {n}"), move || tx.send(n).wait().unwrap())
                })
                .collect();
            drop(tx);
            let pool = std::thread::spawn(move || jobs.into_iter().for_each(|job| job()));
            assert_eq!(rx.iter().count(), 3);
            drop(pool);
        })
        .unwrap();
    });
}

#[test]
fn a_party_that_nobody_runs_is_named() {
    let failure = watched(|| {
        impatient().check(&plain(), || {
            let (tx, rx) = rendezvous::<u32>();
            let job = model::party("the job", move || tx.send(1).wait());
            let got = rx.recv().wait();
            drop(job);
            got
        })
    });
    let failure = failure.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Deadlock);
    assert!(failure.report().contains("the job"), "{failure}");
    assert!(failure.report().contains("(no thread runs it)"), "{failure}");
}

#[test]
fn tokens_that_come_home_are_not_lost() {
    model::check(&Schedule::random(1, 50), || {
        let (tx, rx) = rendezvous();
        let sender = thread::spawn(move || {
            // A send that is given up gives its token back.
            if let Err(error) = tx.send(Token::new("a")).wait_timeout(Duration::from_millis(1)) {
                error.into_unsent().map(Token::done);
            }
        });
        if let Ok(token) = rx.recv().wait_timeout(Duration::from_millis(1)) {
            assert_eq!(*token.get(), "a");
            token.done();
        }
        sender.join().unwrap();
    })
    .unwrap();
    drop(Token::new("outside of a model nothing is told"));
}

#[test]
fn no_thread_is_left_behind() {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads() == 0 {
        return; // A system that does not tell.
    }
    watched(move || {
        // Other tests run meanwhile: a thread for each run would show all the same.
        let before = threads();
        for seed in 0..300 {
            _ = model::check(&Schedule::random(seed, 2), || {
                let (mut server, client) = simplex();
                thread::spawn(move || _ = server.send_all(1..=2).wait());
                thread::spawn(|| ());
                client.into_iter().count()
            });
        }
        assert!(threads() < before + 150, "{} threads, {before} before", threads());
    });
}
