//! First come, first served, also when some in the line give up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::support::thread;
use crate::support::*;
use futures_lite::future::block_on;
use handover::rendezvous;

/// Some of twelve, at random, but not all.
fn some_of_twelve(stress: &mut Stress) -> BTreeSet<usize> {
    (0..1 + stress.below(8)).map(|_| stress.below(12) as usize).collect()
}

/// Twelve threads wait, one after the other, and some give up at a deadline. Returns `None` if the deadline came too soon.
fn twelve_threads<'scope, R: Send + 'scope>(
    scope: thread::Scope<'scope, '_>,
    gone: &BTreeSet<usize>,
    waiting: impl Fn() -> usize,
    wait: impl Fn(usize, Option<Instant>) -> R + Clone + Send + 'scope,
) -> Option<Vec<(usize, thread::ScopedJoinHandle<'scope, R>)>> {
    let deadline = Instant::now() + Duration::from_millis(80);
    let mut all = Vec::new();
    for n in 0..12 {
        let (wait, deadline) = (wait.clone(), gone.contains(&n).then_some(deadline));
        all.push((n, scope.spawn(move || wait(n, deadline))));
        until(|| waiting() > n || all.iter().any(|(_, thread)| thread.is_finished()));
    }
    let is_in_time = all.iter().all(|(_, thread)| !thread.is_finished());
    until(|| waiting() == 12 - gone.len());
    let_them_park();
    all.retain(|(n, _)| !gone.contains(n));
    is_in_time.then_some(all)
}

#[test]
fn waiting_threads_receive_in_order_also_when_some_gave_up() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("waiting_threads_receive_in_order", Duration::from_secs(2));
    for _ in 0..6 {
        let gone = some_of_twelve(&mut stress);
        let (tx, rx) = rendezvous();
        thread::scope(|scope| {
            let rx = &rx;
            let receive = move |_, deadline| match deadline {
                Some(deadline) => rx.recv().wait_deadline(deadline),
                None => rx.recv().wait(),
            };
            let stay = twelve_threads(scope, &gone, || tx.stats().waiting_receivers, receive);
            for (n, receiver) in stay.into_iter().flatten() {
                tx.send(n).now().unwrap();
                assert_eq!(receiver.join().unwrap(), Ok(n), "without {gone:?}");
            }
            tx.close();
        });
    }
}

#[test]
fn waiting_threads_send_in_order_also_when_some_gave_up() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("waiting_threads_send_in_order", Duration::from_secs(2));
    for round in 0..6 {
        let gone = some_of_twelve(&mut stress);
        let (tx, rx) = rendezvous();
        thread::scope(|scope| {
            let tx = &tx;
            let send = move |n, deadline| match deadline {
                Some(deadline) => tx.send(n).wait_deadline(deadline),
                None => tx.send(n).wait(),
            };
            let stay = twelve_threads(scope, &gone, || rx.stats().waiting_senders, send);
            for (n, sender) in stay.into_iter().flatten() {
                let got = match round % 3 {
                    0 => rx.recv().now(),
                    1 => rx.recv().wait(),
                    _ => block_on(rx.recv()),
                };
                assert_eq!(got, Ok(n), "without {gone:?}");
                sender.join().unwrap().unwrap();
            }
            rx.close();
        });
    }
}

#[test]
fn threads_and_tasks_send_in_one_order() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("threads_and_tasks_send_in_one_order", Duration::from_secs(2));
    for _ in 0..20 {
        let (gone, kinds) = (some_of_twelve(&mut stress), stress.below(1 << 12));
        let (tx, rx) = rendezvous();
        thread::scope(|scope| {
            let mut sends = BTreeMap::new();
            for n in 0..12 {
                if kinds >> n & 1 == 0 && !gone.contains(&n) {
                    let tx = &tx;
                    scope.spawn(move || tx.send(n).wait().unwrap());
                } else {
                    let mut send = tx.send(n);
                    pend(&mut send);
                    sends.insert(n, send);
                }
                until(|| rx.stats().waiting_senders == n + 1);
            }
            for n in &gone {
                let send = sends.remove(n).unwrap();
                if n % 2 == 0 { assert_eq!(send.reclaim(), Some(*n)) } else { drop(send) }
            }
            for n in (0..12).filter(|n| !gone.contains(n)) {
                let got = if n % 2 == 0 { rx.recv().wait() } else { block_on(rx.recv()) };
                assert_eq!(got, Ok(n), "without {gone:?}");
            }
            sends.values_mut().for_each(|send| ready(send).unwrap());
        });
    }
}

#[test]
fn waiting_tasks_are_woken_in_order_also_when_some_gave_up() {
    let mut stress = Stress::new("waiting_tasks_are_called_in_order", Duration::from_secs(2));
    for _ in 0..50 {
        let gone = some_of_twelve(&mut stress);
        let (tx, rx) = rendezvous();
        let bells: Vec<_> = (0..12).map(|_| Bell::new()).collect();
        let mut recvs = BTreeMap::new();
        for (n, (_, waker)) in bells.iter().enumerate() {
            let mut recv = rx.recv();
            assert!(poll_with(&mut recv, waker).is_pending());
            recvs.insert(n, recv);
        }
        // Some leave while they are only waiting, some when they have been woken.
        let called = stress.below(4) as usize;
        let mut sends: Vec<_> = (0..called).map(|n| tx.send(n)).collect();
        sends.iter_mut().for_each(pend);
        recvs.retain(|n, _| !gone.contains(n));
        let stay: Vec<_> = (0..12).filter(|n| !gone.contains(n)).collect();
        for n in called..stay.len() {
            let mut send = tx.send(n);
            pend(&mut send);
            sends.push(send);
        }
        for (place, &n) in stay.iter().enumerate() {
            assert!(bells[n].0.rings() > 0, "{n} is not called, without {gone:?}");
            assert_eq!(ready(recvs.get_mut(&n).unwrap()), Ok(place), "without {gone:?}");
        }
        sends.iter_mut().take(stay.len()).for_each(|send| ready(send).unwrap());
    }
}

#[test]
fn permits_are_granted_in_order_beside_sends() {
    let (tx, rx) = rendezvous();
    let mut sends: BTreeMap<_, _> = (0..5).map(|n| (n, tx.send(n))).collect();
    let mut reserves: BTreeMap<_, _> = (0..5).map(|n| (n, tx.reserve())).collect();
    for n in 0..5 {
        pend(sends.get_mut(&n).unwrap());
        pend(reserves.get_mut(&n).unwrap());
    }
    // One send and one reserve give up.
    assert_eq!(sends.remove(&2).unwrap().reclaim(), Some(2));
    drop(reserves.remove(&1));
    for (turn, is_permit) in [0, 1, 2, 3, 4].into_iter().flat_map(|n| [(n, false), (n, true)]) {
        if is_permit {
            let Some(mut reserve) = reserves.remove(&turn) else { continue };
            let mut recv = rx.recv();
            pend(&mut recv);
            let mut send = ready(&mut reserve).unwrap().send(10 + turn);
            pend(&mut send);
            assert_eq!(ready(&mut recv), Ok(10 + turn));
            ready(&mut send).unwrap();
        } else if let Some(mut send) = sends.remove(&turn) {
            assert_eq!(ready(&mut rx.recv()), Ok(turn));
            ready(&mut send).unwrap();
        }
    }
    assert_eq!((tx.stats().handed_over, tx.stats().waiting_senders), (8, 0));
}

#[test]
fn a_receive_that_was_woken_for_nothing_keeps_its_place() {
    let (tx, rx) = rendezvous();
    let bells: Vec<_> = (0..3).map(|_| Bell::new()).collect();
    let mut recvs: Vec<_> = bells.iter().map(|(_, waker)| (rx.recv(), waker)).collect();
    for (recv, waker) in &mut recvs {
        assert!(poll_with(recv, waker).is_pending());
    }
    for _ in 0..3 {
        // The first receive is woken, and the value is gone when it is polled.
        let mut send = tx.send(0);
        pend(&mut send);
        assert_eq!(send.reclaim(), Some(0));
        assert_eq!(bells[0].0.rings(), 1);
        let (recv, waker) = &mut recvs[0];
        assert!(poll_with(recv, waker).is_pending());
    }
    // A permit reserves the first receive, and is dropped.
    drop(tx.reserve().now().unwrap());
    let mut send = tx.send(1);
    pend(&mut send);
    let rings: Vec<_> = bells.iter().map(|(bell, _)| bell.rings()).collect();
    assert_eq!(rings, [1, 0, 0]);
    assert_eq!(ready(&mut recvs[0].0), Ok(1));
}
