//! How ends leave, and which operations are told.

use crate::support::thread;
use crate::support::*;
use futures_lite::future::block_on;
use handover::{Receiver, Sender, Why, op, rendezvous};

#[test]
fn the_first_end_told_stays() {
    let (tx, rx) = rendezvous::<u8>();
    assert!(tx.clone().close());
    assert!(!rx.close() && !tx.close());
    drop(tx);
    assert_eq!(rx.end(), Some(Why::Closed));
    for _ in 0..3 {
        assert_eq!(rx.recv().wait().unwrap_err().why(), Why::Closed);
    }
}

#[test]
fn drops_and_panics_are_told_apart() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous::<u8>();
    drop(tx.clone());
    assert!(!rx.is_closed());
    drop(tx);
    assert_eq!(rx.recv().wait().unwrap_err().why(), Why::Dropped);

    let (tx, rx) = rendezvous::<u8>();
    let panicking = thread::spawn(move || {
        let _tx = tx;
        quiet_panic();
    });
    assert!(panicking.join().is_err());
    assert_eq!(rx.recv().wait().unwrap_err().why(), Why::Panicked);

    let (tx, rx) = rendezvous();
    drop(rx);
    let error = tx.send(5).wait().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Dropped, Some(5)));
    assert_eq!(tx.closed().wait(), Ok(Why::Dropped));
    assert!(tx.reserve().wait().unwrap_err().is_end());
    assert!(tx.clone().is_closed(), "a clone made after the end has ended");
}

#[test]
fn disconnect_wakes_all() {
    let _watchdog = Watchdog::new();
    for closes in [true, false] {
        let (tx, rx) = rendezvous::<u8>();
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..16).map(|_| scope.spawn(|| rx.recv().wait())).collect();
            let watching = scope.spawn(|| rx.closed().wait());
            until_receivers(&tx, 16);
            let why = if closes { Why::Closed } else { Why::Dropped };
            if closes {
                tx.close();
            }
            drop(tx);
            for waiting in waiting {
                assert_eq!(waiting.join().unwrap().unwrap_err().why(), why);
            }
            assert_eq!(watching.join().unwrap(), Ok(why));
        });
        let (tx, rx) = rendezvous();
        let census = Census::new();
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..16)
                .map(|_| {
                    let (tx, value) = (&tx, census.make());
                    scope.spawn(move || tx.send(value).wait())
                })
                .collect();
            let reserving = scope.spawn(|| tx.reserve().wait().map(drop));
            until_senders(&rx, 17);
            drop(rx);
            for waiting in waiting {
                assert!(waiting.join().unwrap().unwrap_err().into_unsent().is_some());
            }
            assert!(reserving.join().unwrap().unwrap_err().is_end());
        });
        census.assert_settled();
    }
}

#[test]
fn every_task_that_waits_is_told_of_the_end() {
    let (tx, rx) = rendezvous::<u8>();
    let bells: Vec<_> = (0..12).map(|_| Bell::new()).collect();
    let mut recvs: Vec<op::Take<'_, u8>> = bells.iter().map(|_| rx.recv()).collect();
    for (recv, (_, waker)) in recvs.iter_mut().zip(&bells) {
        assert!(poll_with(recv, waker).is_pending());
    }
    drop(tx);
    for (recv, (bell, _)) in recvs.iter_mut().zip(&bells) {
        assert_eq!(bell.rings(), 1);
        assert!(ready(recv).unwrap_err().is_end());
    }
    assert_eq!(rx.stats().waiting_receivers, 0);
}

#[test]
fn weak_handles_do_not_keep_a_channel_open() {
    let (tx, rx) = rendezvous::<u8>();
    let weak = tx.downgrade();
    let second = weak.upgrade().unwrap();
    assert!(second.same_channel(&tx));
    drop((tx, second));
    assert_eq!(rx.end(), Some(Why::Dropped));
    assert!(weak.upgrade().is_none());
    assert!(rx.downgrade().upgrade().unwrap().is_closed());
}

#[test]
fn a_forgotten_offer_is_received_or_dropped_with_the_channel() {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    for _ in 0..2 {
        let mut send = tx.send(census.make());
        pend(&mut send);
        std::mem::forget(send);
    }
    assert_eq!(rx.recv().now().unwrap(), 0);
    drop((tx, rx));
    census.assert_settled();
}

// ---- the end wakes all

const MANY: usize = 64;

/// The ways in which the last end of a side leaves.
const WAYS: [Why; 3] = [Why::Closed, Why::Dropped, Why::Panicked];

#[test]
fn the_end_wakes_all_receivers() {
    let _watchdog = Watchdog::new();
    for why in WAYS {
        let (tx, rx) = rendezvous::<u8>();
        let bells: Vec<_> = (0..MANY).map(|_| Bell::new()).collect();
        let mut recvs: Vec<_> = bells.iter().map(|(_, waker)| (rx.recv(), waker)).collect();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..MANY)
                .map(|n| {
                    let rx = &rx;
                    scope.spawn(move || match n % 4 {
                        0 => rx
                            .iter()
                            .next()
                            .map_or_else(|| rx.end().unwrap(), |_| panic!("a value")),
                        1 => rx.recv().wait_timeout(std::time::Duration::MAX).unwrap_err().why(),
                        2 => rx.closed().wait().unwrap(),
                        _ => rx.recv().wait().unwrap_err().why(),
                    })
                })
                .collect();
            for (recv, waker) in &mut recvs {
                assert!(poll_with(recv, waker).is_pending());
            }
            // A quarter of the threads only wait for the end.
            until(|| tx.stats().waiting_receivers == MANY + MANY / 4 * 3);
            let_them_park();
            leave_by(tx, why, |tx| _ = tx.close());
            for thread in threads {
                assert_eq!(thread.join().unwrap(), why);
            }
        });
        for ((recv, _), (bell, _)) in recvs.iter_mut().zip(&bells) {
            assert!(bell.rings() > 0, "{why:?}");
            assert_eq!(ready(recv).unwrap_err().why(), why);
        }
        assert_eq!(rx.stats().waiting_receivers, 0);
    }
}

#[test]
fn the_end_wakes_all_senders() {
    let _watchdog = Watchdog::new();
    for why in WAYS {
        let census = Census::new();
        let (tx, rx) = rendezvous();
        let bells: Vec<_> = (0..MANY).map(|_| Bell::new()).collect();
        let mut sends: Vec<_> =
            bells.iter().map(|(_, waker)| (tx.send(census.make()), waker)).collect();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..MANY)
                .map(|n| {
                    let (tx, census) = (&tx, &census);
                    scope.spawn(move || match n % 4 {
                        0 => {
                            let error =
                                tx.send_all([census.make(), census.make()]).wait().unwrap_err();
                            let why = error.why();
                            assert_eq!(error.into_rest().count(), 2);
                            why
                        }
                        1 => tx.reserve().wait().map(drop).unwrap_err().why(),
                        _ => {
                            let error = tx.send(census.make()).wait().unwrap_err();
                            assert!(error.unsent().is_some());
                            error.why()
                        }
                    })
                })
                .collect();
            for (send, waker) in &mut sends {
                assert!(poll_with(send, waker).is_pending());
            }
            until(|| rx.stats().waiting_senders == 2 * MANY);
            let_them_park();
            leave_by(rx, why, |rx| _ = rx.close());
            for thread in threads {
                assert_eq!(thread.join().unwrap(), why);
            }
        });
        for ((send, _), (bell, _)) in sends.iter_mut().zip(&bells) {
            assert!(bell.rings() > 0, "{why:?}");
            let error = ready(send).unwrap_err();
            assert_eq!(error.why(), why);
            assert!(error.into_unsent().is_some());
        }
        assert_eq!(tx.stats().waiting_senders, 0);
        drop(sends);
        census.assert_settled();
    }
}

#[test]
fn an_end_made_after_the_close_is_closed() {
    fn all_closed(tx: &Sender<u8>, rx: &Receiver<u8>) {
        assert!(tx.is_closed() && rx.is_closed());
        assert_eq!(rx.end(), Some(Why::Closed));
        assert_eq!(tx.send(1).now().unwrap_err().why(), Why::Closed);
        assert_eq!(block_on(tx.send(1)).unwrap_err().into_unsent(), Some(1));
        assert!(tx.send_all([1, 2]).wait().unwrap_err().into_rest().eq([1, 2]));
        assert_eq!(tx.reserve().now().unwrap_err().why(), Why::Closed);
        assert_eq!(rx.recv().wait().unwrap_err().why(), Why::Closed);
        assert_eq!((rx.iter().next(), rx.into_iter().next()), (None, None));
        assert_eq!((tx.closed().now(), rx.closed().wait()), (Ok(Why::Closed), Ok(Why::Closed)));
        assert!(!tx.close() && !rx.close());
    }
    let (tx, rx) = rendezvous();
    let (weak_tx, weak_rx) = (tx.downgrade(), rx.downgrade());
    tx.close();
    all_closed(&tx, &rx);
    all_closed(&tx.clone(), &rx.clone());
    all_closed(&weak_tx.upgrade().unwrap(), &weak_rx.upgrade().unwrap());
    assert_eq!((tx.stats().senders, tx.stats().receivers), (1, 1));
    drop((tx, rx));
    assert!(weak_tx.upgrade().is_none() && weak_rx.clone().upgrade().is_none());
}
