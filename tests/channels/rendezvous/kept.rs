//! What a future may do that is kept and not polled: it stops nobody.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::support::thread;
use crate::support::*;
use futures_core::Stream as _;
use handover::{Why, rendezvous};

#[test]
fn a_waiting_thread_takes_the_value_that_a_kept_task_does_not_take() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut kept = rx.recv();
    pend(&mut kept);
    thread::scope(|scope| {
        let receiver = scope.spawn(|| rx.recv().wait());
        until_receivers(&tx, 2);
        // `kept` came first and is woken; the thread is woken, too.
        tx.send(1).wait().unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(1));
        // A thread that comes after the offer takes it on its second look.
        let sender = scope.spawn(|| tx.send(2).wait());
        until_senders(&rx, 1);
        assert_eq!(rx.recv().wait(), Ok(2));
        sender.join().unwrap().unwrap();
    });
    pend(&mut kept);
}

#[test]
fn a_task_behind_a_kept_one_is_woken_by_the_next_operation_or_the_drop() {
    let (tx, rx) = rendezvous();
    let (mut kept, mut waiting) = (rx.recv(), rx.recv());
    let (bell, waker) = Bell::new();
    pend(&mut kept);
    assert!(poll_with(&mut waiting, &waker).is_pending());
    let mut first = tx.send(1);
    pend(&mut first);
    assert_eq!(bell.rings(), 0, "this is the hazard: `kept` is called, and it alone");
    // Any other send passes the offer on.
    let mut second = tx.send(2);
    pend(&mut second);
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut waiting), Ok(1));
    ready(&mut first).unwrap();
    // So does a receive that begins, after it has looked once more.
    let mut newcomer = rx.recv();
    assert!(poll_with(&mut newcomer, &waker).is_pending());
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut newcomer), Ok(2));
    ready(&mut second).unwrap();
    // So does the drop of the kept receive.
    let mut waiting = rx.recv();
    assert!(poll_with(&mut waiting, &waker).is_pending());
    drop(kept);
    assert_eq!(bell.rings(), 0, "there is no offer");
    // A kept receive that has delayed an offer is passed over from then on.
    let mut kept = rx.recv();
    pend(&mut kept);
    let mut third = tx.send(3);
    pend(&mut third);
    assert_eq!(bell.rings(), 1, "`waiting` came first");
    assert_eq!(ready(&mut waiting), Ok(3));
    let mut fourth = tx.send(4);
    pend(&mut fourth); // It is left to the kept one.
    drop(fourth);
    let (bell, waker) = Bell::new();
    let mut waiting = rx.recv();
    assert!(poll_with(&mut waiting, &waker).is_pending());
    let mut fifth = tx.send(5);
    pend(&mut fifth);
    assert_eq!(bell.rings(), 1, "the kept one is passed over");
    assert_eq!(ready(&mut waiting), Ok(5));
    // The drop of a kept one passes its offer on, too.
    drop(kept);
    let mut kept = rx.recv();
    pend(&mut kept);
    let (bell, waker) = Bell::new();
    let mut waiting = rx.recv();
    assert!(poll_with(&mut waiting, &waker).is_pending());
    let mut sixth = tx.send(6);
    pend(&mut sixth);
    assert_eq!(bell.rings(), 0, "the offer is the kept one's");
    drop(kept);
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut waiting), Ok(6));
}

#[test]
fn a_thread_behind_a_kept_task_does_not_overtake_the_older_offer() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut kept = rx.recv();
    pend(&mut kept);
    let (mut first, mut second) = (tx.send(1), tx.send(2));
    pend(&mut first);
    pend(&mut second);
    assert_eq!(rx.recv().wait(), Ok(1));
    assert_eq!(ready(&mut kept), Ok(2));
}

#[test]
fn blocked_threads_take_each_value_that_a_kept_task_does_not_take() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut kept = rx.recv();
    pend(&mut kept);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| rx.recv().wait().unwrap())).collect();
        until(|| tx.stats().waiting_receivers == 5);
        let_them_park();
        for n in 0..4 {
            tx.send(n).wait().unwrap();
        }
        let mut got: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3]);
    });
    pend(&mut kept);
}

#[test]
fn a_kept_stream_is_passed_by_too() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut kept = rx.stream();
    assert!(Pin::new(&mut kept).poll_next(&mut Context::from_waker(Waker::noop())).is_pending());
    let mut send = tx.send(1);
    pend(&mut send);
    assert_eq!(rx.recv().wait_timeout(Duration::MAX), Ok(1));
    ready(&mut send).unwrap();
    // `now` takes an offer that stands, although the kept stream was woken for it.
    let mut send = tx.send(2);
    pend(&mut send);
    assert_eq!(rx.recv().now(), Ok(2));
    ready(&mut send).unwrap();
    drop(kept);
    assert_eq!(rx.stats().waiting_receivers, 0);
}

#[test]
fn a_value_goes_on_through_many_kept_tasks() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut kept: Vec<_> = (0..3).map(|_| rx.recv()).collect();
    kept.iter_mut().for_each(pend);
    let (bell, waker) = Bell::new();
    let mut waiting = rx.recv();
    pend_with(&mut waiting, &waker);
    let mut sends: Vec<_> = (0..4).map(|n| tx.send(n)).collect();
    // Each further send wakes one more receive; the fourth receive is the one that is polled.
    for (n, send) in sends.iter_mut().enumerate() {
        assert_eq!(bell.rings(), 0, "{n}");
        pend(send);
    }
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut waiting), Ok(0), "the offer that came first");
    ready(&mut sends[0]).unwrap();
    // Each kept receive that is dropped wakes the next one. None is left, so that a new receive takes the offers.
    drop(kept);
    for n in 1..4 {
        let mut recv = rx.recv();
        assert_eq!(ready(&mut recv), Ok(n));
    }
    sends[1..].iter_mut().for_each(|send| ready(send).unwrap());
}

#[test]
fn a_kept_send_stops_nobody() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut kept = tx.send(1);
    pend(&mut kept);
    thread::scope(|scope| {
        let sender = scope.spawn(|| tx.send(2).wait());
        until(|| rx.stats().waiting_senders == 2);
        let_them_park();
        assert_eq!(rx.recv().wait(), Ok(1));
        assert_eq!(rx.recv().wait(), Ok(2));
        sender.join().unwrap().unwrap();
    });
    ready(&mut kept).unwrap();
}

#[test]
fn a_kept_permit_keeps_one_receiver_and_no_other() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut mine = rx.recv();
    pend(&mut mine);
    let permit = tx.reserve().now().unwrap();
    thread::scope(|scope| {
        let other = scope.spawn(|| rx.recv().wait());
        until(|| tx.stats().waiting_receivers == 2);
        let_them_park();
        tx.send(1).wait().unwrap();
        assert_eq!(other.join().unwrap(), Ok(1));
        // A granted reserve that is not polled again keeps a receiver, too.
        let mut kept = tx.reserve();
        pend(&mut kept);
        let mut its = rx.recv();
        pend(&mut its);
        let other = scope.spawn(|| rx.recv().wait());
        tx.send(2).wait().unwrap();
        assert_eq!(other.join().unwrap(), Ok(2));
        drop(kept);
        let mut send = tx.send(3);
        pend(&mut send);
        assert_eq!(ready(&mut its), Ok(3));
    });
    let mut send = permit.send(4);
    pend(&mut send);
    assert_eq!(ready(&mut mine), Ok(4));
}

#[test]
fn a_kept_watcher_stops_nobody() {
    let (tx, rx) = rendezvous::<u8>();
    let (mut kept, mut other) = (tx.closed(), rx.closed());
    let (bell, waker) = Bell::new();
    pend(&mut kept);
    pend_with(&mut other, &waker);
    mem::forget(kept);
    tx.close();
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut other), Ok(Why::Closed));
}

#[test]
fn time_that_is_up_frees_a_receiver_that_a_kept_permit_keeps() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let (mut reserve, mut send) = (tx.reserve(), tx.send(1));
    pend(&mut reserve);
    pend(&mut send);
    // The receiver is reserved for the permit. When its time is up, it takes the offer that stands.
    assert_eq!(rx.recv().wait_timeout(Duration::from_millis(5)), Ok(1));
    ready(&mut send).unwrap();
    // The permit waits for the next receiver.
    pend(&mut reserve);
    thread::scope(|scope| {
        let receiver = scope.spawn(|| rx.recv().wait());
        reserve.wait().unwrap().send(2).wait().unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(2));
    });
}
