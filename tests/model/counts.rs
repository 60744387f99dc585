//! `exhaust` counts what can be counted by hand, and the same schedule brings the same run.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use handover::model::{self, Model, Schedule, Timers, thread};
use handover::{Sel2, rendezvous, select, simplex};

use crate::programs;
use crate::support::{check, schedule, watched};

fn runs(departures: u32, body: impl Fn()) -> u64 {
    Model::new().exhaust(departures, body).unwrap().runs
}

#[test]
fn a_body_alone_has_one_run() {
    assert_eq!(runs(9, || ()), 1);
    // Points of choice at which nobody else could act are none.
    assert_eq!(runs(9, || drop(rendezvous::<u8>())), 1);
    assert_eq!(runs(9, || thread::yield_now()), 1);
    assert_eq!(runs(9, || thread::sleep(Duration::from_secs(1))), 1);
}

#[test]
fn choices_of_the_user_multiply() {
    let body = || _ = (model::choose(2), model::choose(3), model::choose(4));
    // With d departures: the sum over the choices that depart of the products of (options - 1): 1, 2 and 3.
    assert_eq!(runs(0, body), 1);
    assert_eq!(runs(1, body), 1 + (1 + 2 + 3));
    assert_eq!(runs(2, body), 1 + 6 + (2 + 3 + 6));
    assert_eq!(runs(3, body), 24);
    assert_eq!(runs(9, body), 24);
    assert_eq!(runs(9, || _ = model::choose(1)), 1);
}

#[test]
fn a_thread_that_does_nothing_may_run_at_the_spawn_or_at_the_join() {
    // After the spawn: main goes on, or the thread. If main goes on, it comes to the join, where again either may act. (At the join
    // of a thread that has ended there is no choice.)
    let body = || thread::spawn(|| ()).join().unwrap();
    assert_eq!(runs(0, body), 1);
    assert_eq!(runs(1, body), 1 + 2);
    assert_eq!(runs(9, body), 3);
}

#[test]
fn two_threads_that_do_nothing() {
    // Let s and j be main's points: spawn a, spawn b, join a, join b. Each thread ends in one turn, at any of the points from its spawn
    // on; two threads in one gap come in either order. The gaps: 1 (after spawn a), 2 (after spawn b), 3 (join a, before it looks), then
    // main waits if a has not ended ... The orders of these five turns, counted by hand with main's waits: see the table.
    //
    // | a ends in gap | b ends in gap, and in which order                                               | runs |
    // |---------------|---------------------------------------------------------------------------------|------|
    // | 1             | 2, 3, or 4 (join b)                                                             | 3, and the one in which b ends after main waits: 1 |
    // | 2             | 2 before a, 2 after a, 3, 4, main waits                                         | 5    |
    // | 3             | 2, 3 before a, 3 after a, 4, main waits                                         | 5    |
    // | main waits in join a | 2, 3, while main waits before a, while main waits after a, 4, main waits | 6    |
    let by_hand = 4 + 5 + 5 + 6;
    let seen = RefCell::new(BTreeSet::new());
    let counted = runs(99, || {
        let order = std::sync::Arc::new(Mutex::new(String::new()));
        let push = |c: char| {
            let order = std::sync::Arc::clone(&order);
            move || order.lock().unwrap().push(c)
        };
        let (a, b) = (thread::spawn(push('a')), thread::spawn(push('b')));
        a.join().unwrap();
        order.lock().unwrap().push('j');
        b.join().unwrap();
        seen.borrow_mut().insert(order.lock().unwrap().clone());
    });
    assert_eq!(counted, by_hand);
    let seen: Vec<_> = seen.into_inner().into_iter().collect();
    assert_eq!(seen, ["abj", "ajb", "baj"]);
}

#[test]
fn the_arms_of_a_choice_are_departures() {
    let seen = RefCell::new(Vec::new());
    let body = || {
        let (a, b) = (rendezvous::<u8>(), rendezvous::<u8>());
        a.0.close();
        b.0.close();
        let arm = match select((a.1.recv(), b.1.recv())).wait() {
            Sel2::A(_) => 'a',
            Sel2::B(_) => 'b',
        };
        seen.borrow_mut().push(arm);
    };
    assert_eq!(runs(1, body), 2);
    assert_eq!(*seen.borrow(), ['a', 'b']);
}

#[test]
fn deadlines_of_one_moment_pass_in_any_order() {
    let seen = RefCell::new(BTreeSet::new());
    let body = || {
        let order = std::sync::Arc::new(Mutex::new(String::new()));
        let threads = ['a', 'b'].map(|c| {
            let order = std::sync::Arc::clone(&order);
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(5));
                order.lock().unwrap().push(c);
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        seen.borrow_mut().insert(order.lock().unwrap().clone());
    };
    Model::new().timers(Timers::WhenIdle).exhaust(2, body).unwrap();
    assert_eq!(seen.into_inner().into_iter().collect::<Vec<_>>(), ["ab", "ba"]);
}

#[test]
fn between_the_deadline_and_the_last_look_others_may_act() {
    let seen = RefCell::new(BTreeSet::new());
    let body = || {
        let (tx, rx) = rendezvous();
        let start = model::now();
        let sender = thread::spawn(move || tx.send(1).wait().is_ok());
        let got = rx.recv().wait_timeout(Duration::from_millis(1)).is_ok();
        let is_late = model::now() - start == Duration::from_millis(1);
        drop(rx);
        _ = sender.join();
        seen.borrow_mut().insert((got, is_late));
    };
    Model::new().exhaust(2, body).unwrap();
    // It came in time, it did not come, and it came between the deadline and the last look.
    assert_eq!(
        seen.into_inner().into_iter().collect::<Vec<_>>(),
        [(false, true), (true, false), (true, true)]
    );
}

#[test]
fn the_same_seed_brings_the_same_failure_twenty_times_in_parallel_and_after_other_models() {
    watched(|| {
        let of_seed = || {
            let body = || programs::pool(2, 4, false);
            let failure = check(&Schedule::random(11, 300), body).unwrap_err();
            (failure.report().to_string(), failure.diagram(), failure.schedule().to_string())
        };
        let expected = of_seed();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(move || {
                    (0..5)
                        .map(|_| {
                            _ = check(&Schedule::random(3, 20), || programs::service(2, 2, true));
                            of_seed()
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap().into_iter().for_each(|again| assert_eq!(again, expected));
        }
    });
}

#[test]
fn a_replay_makes_the_same_choices_and_no_schedule_is_run_twice() {
    let seen = RefCell::new(Vec::new());
    let body = || {
        let (mut server, client) = simplex();
        let log = std::sync::Arc::new(Mutex::new(String::new()));
        let its = std::sync::Arc::clone(&log);
        let sender = thread::spawn(move || {
            for n in 0..3 {
                its.lock().unwrap().push('s');
                if server.send(n).wait().is_err() {
                    return;
                }
            }
            server.finish();
        });
        for _ in client {
            log.lock().unwrap().push('r');
        }
        sender.join().unwrap();
        seen.borrow_mut().push(log.lock().unwrap().clone());
    };
    Model::new().exhaust(2, body).unwrap();
    let first = seen.take();
    Model::new().exhaust(2, body).unwrap();
    assert_eq!(first, seen.take());
}

#[test]
fn departures_that_do_not_fit_are_clipped() {
    let body = || (model::choose(3), model::choose(2));
    assert_eq!(check(&schedule("0:2"), body).unwrap(), (2, 0));
    assert_eq!(check(&schedule("0:9 1:9"), body).unwrap(), (2, 1));
    assert_eq!(check(&schedule("7:1 900:3"), body).unwrap(), (0, 0));
}

#[test]
fn check_gives_what_the_last_run_returned() {
    let runs = std::cell::Cell::new(0);
    let last = check(&Schedule::random(1, 17), || {
        runs.set(runs.get() + 1);
        runs.get()
    });
    assert_eq!(last.unwrap(), 17);
}
