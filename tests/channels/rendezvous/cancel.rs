//! Operations that are given up, at every point: nothing is lost, and nothing comes twice.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::support::thread;
use crate::support::*;
use futures_lite::future::block_on;
use handover::rendezvous;

// ---- dropped after the other side has acted

#[test]
fn a_woken_receive_that_is_dropped_leaves_the_value_with_its_sender() {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut send = tx.send(census.make());
    pend(&mut send);
    drop(recv);
    pend(&mut send);
    census.assert_alive(1);
    assert_eq!(send.reclaim().unwrap(), 0);
    census.assert_settled();
}

#[test]
fn a_woken_receive_that_is_dropped_wakes_the_next_one() {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let bells: Vec<_> = (0..5).map(|_| Bell::new()).collect();
    let mut recvs: Vec<_> = bells.iter().map(|(_, waker)| (rx.recv(), waker)).collect();
    for (recv, waker) in &mut recvs {
        assert!(poll_with(recv, waker).is_pending());
    }
    let mut send = tx.send(census.make());
    pend(&mut send);
    for (bell, _) in &bells[..4] {
        assert_eq!(bell.rings(), 1);
        drop(recvs.remove(0));
    }
    assert_eq!(bells[4].0.rings(), 1);
    assert_eq!(ready(&mut recvs[0].0).unwrap(), 0);
    ready(&mut send).unwrap();
    census.assert_settled();
}

#[test]
fn a_send_that_was_taken_and_is_dropped_was_delivered() {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let mut send = tx.send(census.make());
    pend(&mut send);
    let value = rx.recv().now().unwrap();
    assert!(send.reclaim().is_none());
    let mut send = tx.send(census.make());
    pend(&mut send);
    let other = rx.recv().now().unwrap();
    drop(send);
    census.assert_alive(2);
    assert_eq!((value.id, other.id), (0, 1));
}

#[test]
fn a_send_that_is_dropped_takes_its_value_along() {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut send = tx.send(census.make());
    pend(&mut send);
    drop(send);
    census.assert_settled();
    pend(&mut recv); // woken for nothing, it keeps its place
    let (bell, waker) = Bell::new();
    assert!(poll_with(&mut recv, &waker).is_pending());
    let mut send = tx.send(census.make());
    pend(&mut send);
    assert_eq!(bell.rings(), 1, "is called again");
    assert_eq!(ready(&mut recv).unwrap(), 1);
}

#[test]
fn an_operation_never_polled_leaves_no_trace() {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    assert_eq!(tx.send(census.make()).reclaim().unwrap(), 0);
    drop((tx.send(census.make()), rx.recv(), tx.reserve(), tx.closed(), rx.stream()));
    drop(tx.send_all([census.make(), census.make()]));
    assert_eq!((tx.stats().waiting_senders, tx.stats().waiting_receivers), (0, 0));
    census.assert_settled();
}

#[test]
fn a_woken_stream_that_is_dropped_wakes_the_next_receive() {
    let (tx, rx) = rendezvous();
    let mut stream = rx.stream();
    let (bell, waker) = Bell::new();
    {
        use futures_lite::StreamExt;
        assert!(poll_with(&mut stream.next(), &Bell::new().1).is_pending());
    }
    let mut recv = rx.recv();
    assert!(poll_with(&mut recv, &waker).is_pending());
    let mut send = tx.send(1);
    pend(&mut send);
    drop(stream);
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut recv), Ok(1));
}

// ---- bursts

#[test]
fn a_burst_of_waiters_is_served_in_order_when_some_have_gone() {
    let mut stress = Stress::new("a_burst_of_waiters", Duration::from_secs(1));
    while stress.goes_on() {
        let census = Census::new();
        let (tx, rx) = rendezvous();
        let mut sends: Vec<_> = (0..300).map(|_| tx.send(census.make())).collect();
        sends.iter_mut().for_each(pend);
        let mut expected: Vec<usize> = (0..300).collect();
        while sends.len() > 100 {
            let gone = stress.below(sends.len() as u64) as usize;
            drop(sends.remove(gone));
            expected.remove(gone);
        }
        for id in expected {
            assert_eq!(rx.recv().now().unwrap(), id);
        }
        sends.iter_mut().for_each(|send| ready(send).unwrap());
        census.assert_settled();
    }
}

// ---- all at once

/// Threads and tasks give up all the time. Each value that was not given back was received, once.
#[test]
fn operations_that_give_up_at_random_lose_nothing() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("whatever_gives_up", Duration::from_secs(4));
    while stress.goes_on() {
        let census = Census::new();
        let (tx, rx) = rendezvous::<Counted>();
        let taken = AtomicUsize::new(0);
        let sent = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                let (mut dice, tx, census, sent) = (stress.fork(), tx.clone(), &census, &sent);
                scope.spawn(move || {
                    for _ in 0..100 {
                        let value = census.make();
                        dither(dice.below(200));
                        let is_sent = match dice.below(6) {
                            0 => tx.send(value).now().is_ok(),
                            1 => tx
                                .send(value)
                                .wait_timeout(Duration::from_micros(dice.below(60)))
                                .is_ok(),
                            2 => {
                                let mut op = tx.send(value);
                                let done = poll_once(&mut op).is_ready();
                                dither(dice.below(200));
                                done || op.reclaim().is_none()
                            }
                            3 => match tx.reserve().wait_timeout(Duration::from_micros(50)) {
                                Ok(permit) => permit
                                    .send(value)
                                    .wait_timeout(Duration::from_micros(50))
                                    .is_ok(),
                                Err(_) => false,
                            },
                            4 => block_on(tx.send(value)).is_ok(),
                            _ => tx.send(value).wait().is_ok(),
                        };
                        sent.fetch_add(usize::from(is_sent), SeqCst);
                    }
                });
            }
            for _ in 0..3 {
                let (mut dice, rx, taken) = (stress.fork(), rx.clone(), &taken);
                scope.spawn(move || {
                    loop {
                        dither(dice.below(200));
                        let got = match dice.below(5) {
                            0 => rx.recv().now(),
                            1 => rx.recv().wait_timeout(Duration::from_micros(dice.below(60))),
                            2 => {
                                let mut op = rx.recv();
                                match poll_once(&mut op) {
                                    std::task::Poll::Ready(got) => got,
                                    std::task::Poll::Pending => {
                                        dither(dice.below(200));
                                        continue;
                                    }
                                }
                            }
                            3 => block_on(rx.recv()),
                            _ => rx.recv().wait(),
                        };
                        match got {
                            Ok(_) => _ = taken.fetch_add(1, SeqCst),
                            Err(error) if error.is_end() => return,
                            Err(_) => {}
                        }
                    }
                });
            }
            let stats = tx.downgrade();
            drop((tx, rx));
            drop(stats);
        });
        assert_eq!(sent.load(SeqCst), taken.load(SeqCst));
        census.assert_settled();
    }
}
