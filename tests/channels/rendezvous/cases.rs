//! What a channel of many ends does: hand-over, order.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::support::thread;
use crate::support::*;
use futures_lite::StreamExt;
use futures_lite::future::{block_on, zip};
use handover::{Receiver, Sender, Why, op, rendezvous};

// ---- hand-over

#[test]
fn a_send_is_done_when_a_waiting_task_has_polled_and_not_before() {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let (bell, waker) = Bell::new();
    let mut recv = rx.recv();
    assert!(poll_with(&mut recv, &waker).is_pending());
    let mut send = tx.send(census.make());
    pend(&mut send);
    assert_eq!(bell.rings(), 1);
    pend(&mut send);
    assert_eq!(ready(&mut recv).unwrap(), 0);
    ready(&mut send).unwrap();
    assert_eq!(tx.stats().handed_over, 1);
    census.assert_settled();
}

#[test]
fn now_gives_the_value_back_unless_a_thread_waits() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let error = tx.send(1).now().unwrap_err();
    assert!(error.is_not_ready());
    assert_eq!(error.into_unsent(), Some(1));
    let mut task = rx.recv();
    pend(&mut task);
    assert!(tx.send(2).now().unwrap_err().is_not_ready(), "a task merely waits");
    thread::scope(|scope| {
        let receiver = scope.spawn(|| rx.recv().wait());
        until_receivers(&tx, 2);
        tx.send(3).now().unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(3));
    });
    pend(&mut task);
}

#[test]
fn now_receives_an_offer_that_stands() {
    let (tx, rx) = rendezvous();
    assert!(rx.recv().now().unwrap_err().is_not_ready());
    let mut send = tx.send('x');
    pend(&mut send);
    assert_eq!(rx.recv().now(), Ok('x'));
    ready(&mut send).unwrap();
}

#[test]
fn a_timeout_gives_the_value_back_and_leaves_no_trace() {
    let (tx, rx) = rendezvous();
    let error = tx.send(1).wait_timeout(Duration::from_millis(2)).unwrap_err();
    assert!(error.is_timed_out());
    assert_eq!(error.into_unsent(), Some(1));
    assert!(rx.recv().wait_timeout(Duration::from_millis(2)).unwrap_err().is_timed_out());
    assert!(rx.recv().wait_deadline(Instant::now()).unwrap_err().is_timed_out());
    assert!(tx.reserve().wait_timeout(Duration::ZERO).unwrap_err().is_timed_out());
    assert!(tx.closed().wait_timeout(Duration::ZERO).unwrap_err().is_timed_out());
    assert_eq!((tx.stats().waiting_senders, tx.stats().waiting_receivers), (0, 0));
    let waits = thread::spawn(move || rx.recv().wait_timeout(Duration::MAX));
    tx.send(2).wait_timeout(Duration::MAX).unwrap();
    assert_eq!(waits.join().unwrap(), Ok(2));
}

#[test]
fn threads_and_tasks_meet_in_any_pairing() {
    let _watchdog = Watchdog::new();
    const N: u64 = 2_000;
    for (by_task_down, by_task_up) in [(false, false), (false, true), (true, false), (true, true)] {
        let (tx, rx) = rendezvous();
        thread::scope(|scope| {
            scope.spawn(move || {
                for n in 0..N {
                    if by_task_down { block_on(tx.send(n)) } else { tx.send(n).wait() }.unwrap();
                }
            });
            for n in 0..N {
                let got = if by_task_up { block_on(rx.recv()) } else { rx.recv().wait() };
                assert_eq!(got, Ok(n));
            }
            let end = if by_task_up { block_on(rx.recv()) } else { rx.recv().wait() };
            assert_eq!(end.unwrap_err().why(), Why::Dropped);
        });
    }
}

#[test]
fn two_tasks_in_one_task() {
    let (tx, rx) = rendezvous();
    let produce = async move { tx.send_all(0..1_000u64).await.map(|()| tx.close()) };
    let consume = async { rx.stream().fold(0, |sum, n| sum + n).await };
    let (sent, sum) = block_on(zip(produce, consume));
    assert!(sent.unwrap());
    assert_eq!(sum, 499_500);
}

#[test]
fn iterators_and_streams_end_and_tell() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    thread::scope(|scope| {
        scope.spawn(move || {
            tx.send_all(0..6).wait().unwrap();
            tx.close();
        });
        assert!((&rx).into_iter().take(2).eq([0, 1]));
        assert!(rx.iter().take(1).eq([2]));
        assert_eq!(block_on(rx.stream().next()), Some(3));
        let mut rest = rx.clone().into_iter();
        assert!(rest.by_ref().eq([4, 5]));
        assert_eq!((rest.next(), rest.end()), (None, Some(Why::Closed)));
    });
    let mut stream = rx.into_stream();
    assert_eq!(block_on(stream.next()), None);
    assert_eq!(stream.end(), Some(Why::Closed));
}

#[test]
fn send_all_is_lazy_and_gives_the_rest_back() {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let mut send = tx.send_all(std::iter::repeat_with(|| census.make()).take(5));
    assert_eq!(census.made(), 0);
    pend(&mut send);
    assert_eq!(census.made(), 1);
    assert_eq!(rx.recv().now().unwrap(), 0);
    pend(&mut send);
    assert_eq!(census.made(), 2);
    drop(rx);
    let error = ready(&mut send).unwrap_err();
    assert_eq!(error.why(), Why::Dropped);
    assert_eq!(error.into_rest().map(|value| value.id).collect::<Vec<_>>(), [1, 2, 3, 4]);
    census.assert_settled();
}

// ---- order

#[test]
fn senders_are_served_in_order_also_when_some_have_gone() {
    let (tx, rx) = rendezvous();
    let mut sends: Vec<_> = (0..8).map(|n| tx.send(n)).collect();
    sends.iter_mut().for_each(pend);
    assert_eq!(sends.remove(3).reclaim(), Some(3));
    drop(sends.remove(0));
    let got: Vec<_> = std::iter::from_fn(|| rx.recv().now().ok()).collect();
    assert_eq!(got, [1, 2, 4, 5, 6, 7]);
    sends.iter_mut().for_each(|send| ready(send).unwrap());
}

#[test]
fn waiting_tasks_are_woken_in_order_also_when_some_have_gone() {
    let (tx, rx) = rendezvous();
    let bells: Vec<_> = (0..6).map(|_| Bell::new()).collect();
    let mut recvs: Vec<_> = bells.iter().map(|(_, waker)| (rx.recv(), waker)).collect();
    for (recv, waker) in &mut recvs {
        assert!(poll_with(recv, waker).is_pending());
    }
    drop(recvs.remove(2));
    for place in [0, 1, 3, 4, 5] {
        let mut send = tx.send(place);
        pend(&mut send);
        let rung: Vec<_> = bells.iter().map(|(bell, _)| bell.rings()).collect();
        assert_eq!(rung.iter().sum::<usize>(), 1, "one is called: {rung:?}");
        assert_eq!(rung[place], 1, "{rung:?}");
        assert_eq!(ready(&mut recvs.remove(0).0), Ok(place));
        ready(&mut send).unwrap();
    }
}

#[test]
fn waiting_threads_are_served_in_order() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    thread::scope(|scope| {
        let mut receivers = Vec::new();
        for n in 0..8 {
            let rx = rx.clone();
            receivers.push(scope.spawn(move || rx.recv().wait()));
            until_receivers(&tx, n + 1);
        }
        for n in 0..8 {
            tx.send(n).now().unwrap();
        }
        for (n, receiver) in receivers.into_iter().enumerate() {
            assert_eq!(receiver.join().unwrap(), Ok(n));
        }
    });
}

#[test]
fn a_new_receive_stands_behind_one_that_an_offer_has_woken() {
    let (tx, rx) = rendezvous();
    let (mut called, mut newcomer) = (rx.recv(), rx.recv());
    pend(&mut called);
    let mut send = tx.send(1);
    pend(&mut send);
    let (bell, waker) = Bell::new();
    assert!(poll_with(&mut newcomer, &waker).is_pending());
    assert_eq!(bell.rings(), 1, "is to look once more");
    assert_eq!(ready(&mut called), Ok(1));
    pend(&mut newcomer);
}

#[test]
fn four_to_four_lose_nothing() {
    let _watchdog = Watchdog::new();
    const N: usize = 2_000;
    let (tx, rx) = rendezvous();
    let counts = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        let start = Arc::new(Barrier::new(8));
        for sender in 0..4 {
            let (tx, start) = (tx.clone(), Arc::clone(&start));
            scope.spawn(move || {
                start.wait();
                (0..N).for_each(|_| tx.send(sender).wait().unwrap());
            });
        }
        for _ in 0..4 {
            let (rx, counts, start) = (rx.clone(), &counts, Arc::clone(&start));
            scope.spawn(move || {
                start.wait();
                for sender in rx.iter() {
                    *counts.lock().unwrap().entry(sender).or_insert(0) += 1;
                }
            });
        }
        drop((tx, rx));
    });
    assert!(counts.into_inner().unwrap().values().all(|&count| count == N));
}

// ---- misuse, and what may be sent where

#[test]
fn a_ready_future_polled_again_panics_with_its_name() {
    let (tx, rx) = rendezvous::<u8>();
    drop(tx);
    let mut recv = rx.recv();
    assert!(ready(&mut recv).is_err());
    assert!(panic_text(|| poll_once(&mut recv)).contains("Receiver::recv"));
    assert_eq!(poll_once(&mut rx.closed()), Poll::Ready(Ok(Why::Dropped)));
}
static_assertions::assert_impl_all!(Sender<std::cell::Cell<u8>>: Send, Sync);
static_assertions::assert_impl_all!(Receiver<std::cell::Cell<u8>>: Send, Sync);
static_assertions::assert_impl_all!(op::Send<'static, std::cell::Cell<u8>>: Send, Unpin);
static_assertions::assert_impl_all!(op::Take<'static, std::cell::Cell<u8>>: Send, Unpin);
static_assertions::assert_not_impl_any!(Sender<std::rc::Rc<u8>>: Send, Sync);
static_assertions::assert_not_impl_any!(Receiver<std::rc::Rc<u8>>: Send, Sync);
