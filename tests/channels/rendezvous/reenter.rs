//! Wakers that use the channel while it wakes, clones or drops them.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::waits::*;
use crate::support::*;
use handover::{Receiver, Sender, Why, rendezvous};

type Act = fn(&Sender<Counted>, &Receiver<Counted>, &Census);

/// Actions of a waker that uses the channel.
const ACTS: [(&str, Act); 12] = [
    ("sends", |tx, _, census| drop(tx.send(census.make()).now())),
    ("receives", |_, rx, _| drop(rx.recv().now())),
    ("waits to send", |tx, _, census| _ = poll_once(&mut tx.send(census.make()))),
    ("waits to receive", |_, rx, _| _ = poll_once(&mut rx.recv())),
    ("sends, with a timeout", |tx, _, census| {
        drop(tx.send(census.make()).wait_timeout(Duration::from_micros(10)));
    }),
    ("receives, with a timeout", |_, rx, _| {
        drop(rx.recv().wait_timeout(Duration::from_micros(10)));
    }),
    ("wants a permit", |tx, _, _| _ = poll_once(&mut tx.reserve())),
    ("sends by a permit", |tx, _, census| {
        if let Ok(permit) = tx.reserve().now() {
            drop(permit.send(census.make()).now());
        }
    }),
    ("watches", |tx, _, _| _ = poll_once(&mut tx.closed())),
    ("closes", |tx, _, _| _ = tx.close()),
    ("clones and drops ends", |tx, rx, _| {
        drop((tx.clone(), rx.clone()));
        drop((tx.downgrade().upgrade(), rx.downgrade().upgrade()));
    }),
    ("looks", |tx, rx, _| {
        assert!(format!("{tx:?} {rx:?} {:?}", tx.stats()).contains("handed_over"));
        assert_eq!(tx.is_closed(), rx.end().is_some());
    }),
];

#[test]
fn a_waker_of_each_kind_of_wait_may_use_the_channel_at_any_moment_of_its_life() {
    let _watchdog = Watchdog::new();
    for moment in [Moment::Wake, Moment::Clone, Moment::Drop] {
        for kind in KINDS {
            for (name, act) in ACTS {
                let census = Census::new();
                let (tx, rx) = rendezvous();
                let calls = Arc::new(AtomicUsize::new(0));
                let hook = Hook::new();
                let set = || {
                    let (tx, rx, census, calls) =
                        (tx.clone(), rx.clone(), census.clone(), Arc::clone(&calls));
                    hook.set(moment, move || {
                        act(&tx, &rx, &census);
                        calls.fetch_add(1, SeqCst);
                    });
                };
                let case = format!("{kind}, whose waker {name} at its {moment:?}");
                let mut waits = Waits::new(kind, &tx, &rx, &census);
                if moment == Moment::Clone {
                    set();
                }
                let polled = waits.poll(&hook.waker());
                if moment == Moment::Drop {
                    // The older waker is dropped when it is replaced.
                    set();
                    assert!(polled.is_pending() && waits.poll(Waker::noop()).is_pending());
                } else if moment == Moment::Wake {
                    set();
                    assert!(polled.is_pending());
                }
                // Whatever came of the meeting, the end is told.
                tx.close();
                assert!(calls.load(SeqCst) > 0, "{case}: not called");
                drop((waits, polled));
                let stats = tx.stats();
                assert_eq!((stats.waiting_senders, stats.waiting_receivers), (0, 0), "{case}");
                assert_eq!((stats.senders, stats.receivers), (1, 1), "{case}");
                census.assert_settled();
            }
        }
    }
}

#[test]
fn a_waker_may_use_the_channel_while_it_is_woken_for_a_meeting() {
    let _watchdog = Watchdog::new();
    for kind in ["send", "send_all", "reserve", "recv", "stream"] {
        for (name, act) in ACTS {
            let census = Census::new();
            let (tx, rx) = rendezvous();
            let hook = Hook::new();
            let mut waits = Waits::new(kind, &tx, &rx, &census);
            waits.pend(&hook.waker());
            let (tx2, rx2, census2) = (tx.clone(), rx.clone(), census.clone());
            hook.set(Moment::Wake, move || act(&tx2, &rx2, &census2));
            let case = format!("{kind}, whose waker {name}");
            let mut peer = serve(kind, &tx, &rx, &census);
            assert!(!hook.is_set(Moment::Wake), "{case}: not woken");
            // The two meet all the same, unless the waker took the value, or closed the channel.
            for _ in 0..3 {
                if let Poll::Ready(came) = waits.poll(Waker::noop()) {
                    if let Came::Permit(permit) = came {
                        drop(permit);
                    }
                    break;
                }
                if let Some(Poll::Ready(_)) = peer.as_mut().map(|peer| peer.poll(Waker::noop())) {
                    peer = None;
                }
            }
            tx.close();
            drop((waits, peer));
            let stats = rx.stats();
            assert_eq!((stats.waiting_senders, stats.waiting_receivers), (0, 0), "{case}");
            drop((tx, rx));
            census.assert_settled();
        }
    }
}

#[test]
fn a_waker_that_receives_the_value_itself_leaves_its_task_waiting() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let (hook, got) = (Hook::new(), Arc::new(Mutex::new(Vec::new())));
    let mut recv = rx.recv();
    pend_with(&mut recv, &hook.waker());
    let (rx2, got2) = (rx.clone(), Arc::clone(&got));
    hook.set(Moment::Wake, move || got2.lock().unwrap().extend(rx2.recv().now()));
    let mut send = tx.send(1);
    // The value is taken within the sender's own poll, or just after it.
    if poll_once(&mut send).is_pending() {
        ready(&mut send).unwrap();
    }
    assert_eq!(*got.lock().unwrap(), [1]);
    pend(&mut recv);
    let mut send = tx.send(2);
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok(2));
}

#[test]
fn the_last_ends_may_be_dropped_inside_a_waker() {
    let _watchdog = Watchdog::new();
    let why = Why::Dropped;
    for of_sender in [true, false] {
        let census = Census::new();
        let (tx, rx) = rendezvous();
        let hook = Hook::new();
        let (bell, waker) = Bell::new();
        // A watcher is woken too, before or after the receive.
        let (watched_tx, watched_rx) = (tx.downgrade(), rx.downgrade());
        if of_sender {
            let rx = Arc::new(rx);
            let mut closed = rx.closed();
            pend_with(&mut closed, &waker);
            let mut recv = rx.recv();
            pend_with(&mut recv, &hook.waker());
            let second = tx.clone();
            hook.set(Moment::Wake, move || drop(second));
            let mut send = tx.send(census.make());
            pend(&mut send);
            assert_eq!(send.reclaim().unwrap(), 0);
            drop(tx);
            assert_eq!(bell.rings(), 1);
            assert_eq!(ready(&mut recv).unwrap_err().why(), why);
            assert_eq!(ready(&mut closed), Ok(why));
            assert!(watched_tx.upgrade().is_none() && watched_rx.upgrade().is_some());
        } else {
            let mut closed = tx.closed();
            pend_with(&mut closed, &waker);
            let mut send = tx.send(census.make());
            pend_with(&mut send, &hook.waker());
            let second = rx.clone();
            hook.set(Moment::Wake, move || drop(second));
            assert_eq!(rx.recv().now().unwrap(), 0);
            drop(rx);
            assert_eq!(bell.rings(), 1);
            ready(&mut send).unwrap();
            assert_eq!(ready(&mut closed), Ok(why));
            assert!(watched_rx.upgrade().is_none() && watched_tx.upgrade().is_some());
        }
        census.assert_settled();
    }
}

#[test]
fn a_waker_that_owns_an_end_goes_with_its_channel() {
    // The waiting receive holds the waker, which holds the channel, until the receive is dropped.
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let hook = Hook::new();
    let tx2 = tx.clone();
    let held = census.make();
    hook.set(Moment::Wake, move || drop((held, tx2)));
    let mut recv = rx.recv();
    pend_with(&mut recv, &hook.waker());
    drop(hook);
    drop(recv); // and with it the waker, its hook, and the sender in it
    census.assert_settled();
    assert_eq!(tx.stats().senders, 1);
    drop(rx);
    assert_eq!(tx.send(census.make()).now().unwrap_err().why(), Why::Dropped);
}

#[test]
fn wakers_may_use_the_channel_at_any_moment_of_their_life() {
    let _watchdog = Watchdog::new();
    for moment in [Moment::Wake, Moment::Clone, Moment::Drop] {
        let census = Census::new();
        let (tx, rx) = rendezvous();
        let calls = Arc::new(AtomicUsize::new(0));
        let use_all = {
            let (tx, rx, calls) = (tx.downgrade(), rx.downgrade(), Arc::clone(&calls));
            move || {
                let (tx, rx) = (tx.upgrade().unwrap(), rx.upgrade().unwrap());
                let fresh = Census::new();
                drop(tx.send(fresh.make()).now());
                pend(&mut rx.recv());
                drop(tx.reserve().now());
                calls.fetch_add(1 + tx.stats().senders, SeqCst);
            }
        };
        let hook = Hook::new();
        let mut recv = rx.recv();
        hook.set(moment, use_all.clone());
        assert!(poll_with(&mut recv, &hook.waker()).is_pending());
        let mut send = tx.send(census.make());
        pend(&mut send);
        assert_eq!(ready(&mut recv).unwrap(), 0);
        ready(&mut send).unwrap();
        drop(hook);
        assert!(calls.load(SeqCst) > 0, "{moment:?}");
        assert_eq!((tx.stats().waiting_senders, tx.stats().waiting_receivers), (0, 0));
    }
}

#[test]
fn a_waker_that_drops_the_last_ends_tells_everybody() {
    let (tx, rx) = rendezvous::<u8>();
    let weak = tx.downgrade();
    let held = std::sync::Mutex::new(Some(tx));
    let hook = Hook::new();
    let mut recv = rx.recv();
    assert!(poll_with(&mut recv, &hook.waker()).is_pending());
    let held = Arc::new(held);
    hook.set(Moment::Wake, {
        let held = Arc::clone(&held);
        move || drop(held.lock().unwrap().take())
    });
    {
        let tx = weak.upgrade().unwrap();
        let mut send = tx.send(1);
        pend(&mut send); // wakes, and drops the other sender
        assert_eq!(send.reclaim(), Some(1));
    }
    assert_eq!(ready(&mut recv).unwrap_err().why(), Why::Dropped);
}
