//! Whose turn it is: threads beside tasks and beside threads in a select.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::support::thread;
use crate::support::*;
use futures_lite::future::block_on;
use handover::{Sel2, never, rendezvous, select};

/// A receiving task and a receiving thread, each of which always asks again at once, are served in turn.
#[test]
fn a_task_is_served_beside_a_thread() {
    let _watchdog = Watchdog::new();
    let served = share(Party::Thread, Party::Task);
    assert!(is_nobody_starved(served), "thread, task: {served:?}");
}

#[test]
fn a_choosing_thread_is_served_beside_a_blocked_one() {
    let _watchdog = Watchdog::new();
    let served = share(Party::Thread, Party::Chooser);
    assert!(is_nobody_starved(served), "thread, chooser: {served:?}");
}

/// Two threads behind two kept tasks take the two values for which the tasks were woken.
#[test]
fn each_waiting_thread_takes_a_value_that_kept_tasks_do_not_take() {
    let _watchdog = Watchdog::new();
    for _ in 0..50 {
        let (tx, rx) = rendezvous();
        let mut kept = [rx.recv(), rx.recv()];
        kept.iter_mut().for_each(pend);
        thread::scope(|scope| {
            let threads = [3, 4].map(|waiting| {
                let thread = scope.spawn(|| rx.recv().wait().unwrap());
                until_receivers(&tx, waiting);
                thread
            });
            let_them_park();
            let mut sends = [tx.send(1), tx.send(2)];
            _ = sends.each_mut().map(poll_once); // a thread may be quick
            // A thread that is not woken waits for ever.
            let mut got = threads.map(|thread| thread.join().unwrap());
            got.sort_unstable();
            assert_eq!(got, [1, 2]);
        });
    }
}

/// A thread in a `select` is woken in place of a kept task, but goes with another arm: the next thread must be woken.
#[test]
fn a_choosing_thread_that_goes_with_another_arm_wakes_the_next_thread() {
    let _watchdog = Watchdog::new();
    for _ in 0..50 {
        let ((a, a_rx), (b, b_rx)) = (rendezvous(), rendezvous());
        let mut kept = a_rx.recv();
        pend(&mut kept);
        thread::scope(|scope| {
            let chooser = scope.spawn(|| select((b_rx.recv(), a_rx.recv())).biased().wait());
            until_receivers(&a, 2);
            let behind = scope.spawn(|| a_rx.recv().wait());
            until_receivers(&a, 3);
            let_them_park();
            let (mut send_b, mut send_a) = (b.send(2), a.send(1));
            _ = (poll_once(&mut send_a), poll_once(&mut send_b)); // the thread in the select may be quick
            if matches!(chooser.join().unwrap(), Sel2::A(_)) {
                // A thread that is not woken waits for ever.
                assert_eq!(behind.join().unwrap(), Ok(1));
            } else {
                a.close();
            }
        });
    }
}

/// Of two parties of one kind each gets about half: this checks the measure itself.
#[test]
fn two_of_a_kind_are_served_alike() {
    let _watchdog = Watchdog::new();
    for (one, other) in [
        (Party::Thread, Party::Thread),
        (Party::Task, Party::Task),
        (Party::Chooser, Party::Chooser),
    ] {
        let served = share(one, other);
        assert!(is_nobody_starved(served), "{served:?}");
    }
}

/// Each gets about half on a quiet machine. On a busy one a party that was woken may not run within its patience, again and again; then the other one is
/// served in its place, so that only a party that is passed over by rule falls below this.
fn is_nobody_starved([one, other]: [usize; 2]) -> bool {
    one.min(other) * 40 > one + other
}

#[derive(Clone, Copy)]
enum Party {
    Thread,
    Task,
    Chooser,
}

fn share(one: Party, other: Party) -> [usize; 2] {
    const ITEMS: usize = 20_000;
    const LEAST_ITEMS: usize = 200;
    let stress = Stress::new("share", Duration::from_secs(2));
    let (tx, rx) = rendezvous::<usize>();
    let served = [AtomicUsize::new(0), AtomicUsize::new(0)];
    thread::scope(|scope| {
        for (party, count) in [one, other].into_iter().zip(&served) {
            let rx = rx.clone();
            scope.spawn(move || {
                let quiet = never::<()>();
                loop {
                    let got = match party {
                        Party::Thread => rx.recv().wait(),
                        Party::Task => block_on(rx.recv()),
                        Party::Chooser => match select((rx.recv(), quiet.recv())).wait() {
                            Sel2::A(got) => got,
                            Sel2::B(_) => unreachable!(),
                        },
                    };
                    if got.is_err() {
                        return;
                    }
                    count.fetch_add(1, Relaxed);
                }
            });
        }
        for n in 0..ITEMS {
            if n >= LEAST_ITEMS && !stress.goes_on() {
                break;
            }
            // Both are there before each item.
            until_receivers(&tx, 2);
            tx.send(n).wait().unwrap();
        }
        tx.close();
    });
    served.map(AtomicUsize::into_inner)
}

/// Two selects that meet crosswise again and again must not keep passing each other over.
#[test]
fn crossed_choices_go_on() {
    let _watchdog = Watchdog::new();
    let ((a, a_rx), (b, b_rx)) = (rendezvous(), rendezvous());
    thread::scope(|scope| {
        let (a2, b2) = (a_rx.clone(), b.clone());
        scope.spawn(move || {
            for n in 0..20_000 {
                match select((b2.send(n), a2.recv())).wait() {
                    Sel2::A(sent) => sent.unwrap(),
                    Sel2::B(got) => drop(got.unwrap()),
                }
            }
        });
        for n in 0..20_000 {
            match select((a.send(n), b_rx.recv())).wait() {
                Sel2::A(sent) => sent.unwrap(),
                Sel2::B(got) => drop(got.unwrap()),
            }
        }
    });
}

#[test]
fn many_arms_and_none() {
    let _watchdog = Watchdog::new();
    let none: Vec<handover::op::Take<'_, u8>> = Vec::new();
    assert!(select(none).wait_timeout(Duration::from_millis(1)).is_none());
    let channels: Vec<_> = (0..1000).map(|_| rendezvous::<usize>()).collect();
    for target in [0, 500, 999] {
        let mut choice = select(channels.iter().map(|(_, rx)| rx.recv()).collect::<Vec<_>>());
        pend(&mut choice);
        let mut send = channels[target].0.send(target);
        pend(&mut send);
        assert_eq!(ready(&mut choice), (target, Ok(target)));
        ready(&mut send).unwrap();
        drop(choice);
    }
    assert!(channels.iter().all(|(tx, _)| tx.stats().waiting_receivers == 0));
    let (tx, rx) = &channels[0];
    let mut choice = select((0..1000).map(|n| tx.send(n)).collect::<Vec<_>>());
    pend(&mut choice);
    let got = rx.recv().now().unwrap();
    assert!(rx.recv().now().is_err());
    assert_eq!(ready(&mut choice).0, got);
    assert_eq!(tx.stats().waiting_senders, 0);
}
