//! Wakers that change in the middle: the newest one is woken.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use super::waits::*;
use crate::support::thread;
use crate::support::*;
use futures_core::Stream as _;
use handover::rendezvous;

#[test]
fn the_newest_waker_of_each_kind_of_wait_is_woken() {
    let _watchdog = Watchdog::new();
    for kind in KINDS {
        for polls in 1..4 {
            let census = Census::new();
            let (tx, rx) = rendezvous();
            let (old, new) = (Bell::new(), Bell::new());
            let mut waits = Waits::new(kind, &tx, &rx, &census);
            for n in 0..polls {
                // The waker changes to and fro; the last one is the newest.
                waits.pend(if (polls - n) % 2 == 0 { &old.1 } else { &new.1 });
            }
            let (_, _) = (old.0.rings(), new.0.rings());
            let peer = serve(kind, &tx, &rx, &census);
            assert!(new.0.rings() > 0, "{kind}: the newest waker sleeps");
            assert_eq!(old.0.rings(), 0, "{kind}: an old waker is woken");
            assert!(waits.poll(&new.1).is_ready(), "{kind}");
            drop((waits, peer));
            drop((tx, rx));
            census.assert_settled();
        }
    }
}

#[test]
fn the_newest_waker_of_each_kind_of_wait_is_told_of_the_end() {
    let _watchdog = Watchdog::new();
    for kind in KINDS {
        let census = Census::new();
        let (tx, rx) = rendezvous();
        let (old, new) = (Bell::new(), Bell::new());
        let mut waits = Waits::new(kind, &tx, &rx, &census);
        waits.pend(&old.1);
        waits.pend(&new.1);
        tx.close();
        assert_eq!((old.0.rings(), new.0.rings()), (0, 1), "{kind}");
        match waits.poll(&new.1) {
            Poll::Ready(Came::End) => assert!(!kind.starts_with("send")),
            Poll::Ready(Came::Unsent(values)) => assert_eq!(values.len(), 1, "{kind}"),
            other => panic!("{kind}: {other:?}"),
        }
        drop(waits);
        census.assert_settled();
    }
}

#[test]
fn a_receive_that_was_woken_for_nothing_leaves_its_newest_waker() {
    let (tx, rx) = rendezvous();
    let (old, new) = (Bell::new(), Bell::new());
    let mut recv = rx.recv();
    pend_with(&mut recv, &old.1);
    let mut gone = tx.send(1);
    pend(&mut gone);
    assert_eq!(old.0.rings(), 1);
    assert_eq!(gone.reclaim(), Some(1));
    pend_with(&mut recv, &new.1);
    let mut send = tx.send(2);
    pend(&mut send);
    assert_eq!((old.0.rings(), new.0.rings()), (0, 1));
    assert_eq!(ready(&mut recv), Ok(2));
    ready(&mut send).unwrap();
}

#[test]
fn a_receive_that_a_permit_keeps_leaves_its_newest_waker() {
    let (tx, rx) = rendezvous();
    let (old, new) = (Bell::new(), Bell::new());
    let mut recv = rx.recv();
    pend_with(&mut recv, &old.1);
    let permit = tx.reserve().now().unwrap();
    pend_with(&mut recv, &new.1);
    let mut send = permit.send(1);
    pend(&mut send);
    assert_eq!((old.0.rings(), new.0.rings()), (0, 1));
    assert_eq!(ready(&mut recv), Ok(1));
    ready(&mut send).unwrap();
    // The permit is dropped in between: the receiver is free for the next sender, with its newest waker.
    let mut recv = rx.recv();
    pend_with(&mut recv, &old.1);
    let permit = tx.reserve().now().unwrap();
    pend_with(&mut recv, &new.1);
    drop(permit);
    pend(&mut tx.send(2));
    assert_eq!((old.0.rings(), new.0.rings()), (0, 1));
}

#[test]
fn a_reserve_whose_receiver_went_leaves_its_newest_waker() {
    let (tx, rx) = rendezvous::<u8>();
    let (old, new) = (Bell::new(), Bell::new());
    let mut reserve = tx.reserve();
    pend_with(&mut reserve, &old.1);
    pend(&mut rx.recv()); // a receiver comes and goes
    assert_eq!(old.0.rings(), 1);
    pend_with(&mut reserve, &new.1);
    let mut recv = rx.recv();
    pend(&mut recv);
    assert_eq!((old.0.rings(), new.0.rings()), (0, 1));
    drop(ready(&mut reserve).unwrap());
}

#[test]
fn a_send_of_many_and_a_stream_leave_the_waker_of_the_item() {
    let (tx, rx) = rendezvous();
    let bells: Vec<_> = (0..8).map(|_| Bell::new()).collect();
    let mut send = tx.send_all(0..8);
    for (n, (bell, waker)) in bells.iter().enumerate() {
        pend_with(&mut send, waker);
        assert_eq!(rx.recv().now(), Ok(n));
        assert_eq!(bell.rings(), 1, "{n}");
    }
    ready(&mut send).unwrap();
    let mut stream = rx.stream();
    for (n, (bell, waker)) in bells.iter().enumerate() {
        assert!(Pin::new(&mut stream).poll_next(&mut Context::from_waker(waker)).is_pending());
        let mut send = tx.send(n);
        pend(&mut send);
        assert_eq!(bell.rings(), 1, "{n}");
        let next = Pin::new(&mut stream).poll_next(&mut Context::from_waker(waker));
        assert_eq!(next, Poll::Ready(Some(n)));
    }
    assert!(bells.iter().all(|(bell, _)| bell.rings() == 0));
}

#[test]
fn polling_again_without_news_wakes_nobody() {
    for kind in KINDS {
        let census = Census::new();
        let (tx, rx) = rendezvous();
        let (bell, waker) = Bell::new();
        let mut waits = Waits::new(kind, &tx, &rx, &census);
        (0..10).for_each(|_| waits.pend(&waker));
        assert_eq!(bell.rings(), 0, "{kind}");
        let stats = tx.stats();
        let waiting = (stats.waiting_senders, stats.waiting_receivers);
        let expected = match kind {
            "recv" | "stream" => (0, 1),
            "closed" => (0, 0),
            _ => (1, 0),
        };
        assert_eq!(waiting, expected, "{kind}");
    }
}

/// Runs a future as a task whose executor has another waker for each poll, and polls without a cause.
fn block_on_restless<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        let (bell, waker) = Bell::new();
        for _ in 0..2 {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
        }
        let mut patience = 0;
        until(|| {
            patience += 1;
            bell.rings() > 0 || patience == 1_000
        });
    }
}

#[test]
fn restless_tasks_meet() {
    let _watchdog = Watchdog::new();
    const N: usize = 3_000;
    let census = Census::new();
    let (tx, rx) = rendezvous();
    thread::scope(|scope| {
        for by_task in [true, false] {
            let (tx, census) = (tx.clone(), &census);
            scope.spawn(move || {
                for _ in 0..N {
                    let op = tx.send(census.make());
                    if by_task { block_on_restless(op).unwrap() } else { op.wait().unwrap() }
                }
            });
        }
        let got: Vec<_> = [true, false]
            .map(|by_task| {
                let rx = rx.clone();
                scope.spawn(move || {
                    let mut got = 0;
                    loop {
                        let op = rx.recv();
                        let value = if by_task { block_on_restless(op) } else { op.wait() };
                        if value.is_err() {
                            return got;
                        }
                        got += 1;
                    }
                })
            })
            .into();
        drop((tx, rx));
        assert_eq!(got.into_iter().map(|got| got.join().unwrap()).sum::<usize>(), 2 * N);
    });
    census.assert_settled();
}

#[test]
fn the_newest_waker_is_woken() {
    let (tx, rx) = rendezvous();
    let (old, new) = (Bell::new(), Bell::new());
    let mut recv = rx.recv();
    assert!(poll_with(&mut recv, &old.1).is_pending());
    assert!(poll_with(&mut recv, &new.1).is_pending());
    let mut send = tx.send(1);
    assert!(poll_with(&mut send, &old.1).is_pending());
    assert_eq!((old.0.rings(), new.0.rings()), (0, 1));
    assert!(poll_with(&mut send, &new.1).is_pending());
    assert_eq!(ready(&mut recv), Ok(1));
    assert_eq!((old.0.rings(), new.0.rings()), (0, 1));
    ready(&mut send).unwrap();
}

#[test]
fn a_task_may_go_on_as_a_thread() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    thread::scope(|scope| {
        let mut recv = rx.recv();
        pend(&mut recv);
        let mut send = tx.send(1);
        pend(&mut send);
        scope.spawn(move || send.wait().unwrap());
        assert_eq!(recv.wait(), Ok(1));
        let mut recv = rx.recv();
        pend(&mut recv);
        let blocked = scope.spawn(move || recv.wait());
        while tx.send(2).now().is_err() {} // a waiting thread is served at once
        assert_eq!(blocked.join().unwrap(), Ok(2));
    });
}

#[test]
fn who_no_longer_waits_for_the_end_is_not_woken_by_it_and_keeps_no_waker() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous::<u8>();
    let (bell, waker) = Bell::new();
    let mut closed = tx.closed();
    pend_with(&mut closed, &waker);
    drop((closed, waker));
    assert_eq!(Arc::strong_count(&bell), 1, "the channel keeps a waker");
    drop(rx);
    assert_eq!(bell.rings(), 0);
}
