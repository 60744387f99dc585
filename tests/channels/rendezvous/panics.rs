//! Wakers and iterators that panic.

use std::cell::RefCell;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use super::waits::*;
use crate::support::thread;
use crate::support::*;
use handover::rendezvous;

#[test]
fn a_waker_that_panics_changes_nothing_for_each_kind_of_wait() {
    let _watchdog = Watchdog::new();
    for moment in [Moment::Wake, Moment::Clone, Moment::Drop] {
        for kind in KINDS {
            let case = format!("{kind}, {moment:?}");
            let census = Census::new();
            let (tx, rx) = rendezvous();
            let hook = Hook::new();
            let waker = hook.waker();
            let mut waits = Waits::new(kind, &tx, &rx, &census);
            if moment == Moment::Clone {
                hook.set_panic(moment);
                assert!(panics(|| waits.poll(&waker)), "{case}");
            }
            waits.pend(&waker);
            hook.set_panic(moment);
            // The panic goes to the party that wakes, or is swallowed where it would lose a value.
            let mut peer = None;
            panics(|| peer = serve(kind, &tx, &rx, &census));
            assert!(moment != Moment::Wake || !hook.is_set(moment), "{case}: not woken");
            let (bell, fresh) = Bell::new();
            let mut came = None;
            for _ in 0..4 {
                panics(|| match waits.poll(&fresh) {
                    Poll::Ready(it) => came = Some(it),
                    Poll::Pending => {
                        // The peer was cut short by the panic, and begins again.
                        peer = serve(kind, &tx, &rx, &census);
                        assert!(bell.rings() > 0, "{case}: asleep");
                    }
                });
                if came.is_some() {
                    break;
                }
            }
            match came {
                Some(Came::Sent) => assert!(kind.starts_with("send"), "{case}"),
                Some(Came::Permit(permit)) => drop(permit),
                Some(Came::Value(value)) => drop(value),
                Some(Came::End) => assert_eq!(kind, "closed", "{case}"),
                other => panic!("{case}: {other:?}"),
            }
            panics(|| drop(waits));
            panics(|| drop(peer));
            panics(|| drop(waker));
            let stats = tx.stats();
            assert_eq!((stats.waiting_senders, stats.waiting_receivers), (0, 0), "{case}");
            census.assert_settled();
        }
    }
}

#[test]
fn wakers_that_panic_keep_nobody_asleep() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (tx, rx) = rendezvous();
    // Watchers and reserves are all told of one end, and each of their wakers panics.
    let hooks: Vec<_> = (0..9).map(|_| Hook::new()).collect();
    let mut all: Vec<_> = hooks
        .iter()
        .zip(["send", "closed", "reserve"].into_iter().cycle())
        .map(|(hook, kind)| (hook, kind, Waits::new(kind, &tx, &rx, &census)))
        .collect();
    for (hook, _, waits) in &mut all {
        waits.pend(&hook.waker());
        hook.set_panic(Moment::Wake);
    }
    assert!(panics(|| rx.close()));
    assert!(!rx.close());
    for (hook, kind, waits) in &mut all {
        assert_eq!(hook.bell.rings(), 1, "{kind}");
        assert!(waits.poll(Waker::noop()).is_ready(), "{kind}");
    }
    drop(all);
    census.assert_settled();
}

#[test]
fn a_waker_that_panics_beside_a_blocked_thread_leaves_the_value_to_it() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let hook = Hook::new();
    let mut task = rx.recv();
    pend_with(&mut task, &hook.waker());
    thread::scope(|scope| {
        let thread = scope.spawn(|| rx.recv().wait());
        until(|| tx.stats().waiting_receivers == 2);
        let_them_park();
        hook.set_panic(Moment::Wake);
        let mut send = tx.send(1);
        assert!(panics(|| poll_once(&mut send)));
        // The thread was woken along with the task, and takes the value.
        assert_eq!(thread.join().unwrap(), Ok(1));
        ready(&mut send).unwrap();
    });
    pend(&mut task);
}

#[test]
fn a_panicking_waker_loses_nothing() {
    for moment in [Moment::Wake, Moment::Clone, Moment::Drop] {
        let census = Census::new();
        let (tx, rx) = rendezvous();
        // The sender's waker: the receiver that wakes it has the value already.
        let hook = Hook::new();
        let waker = hook.waker();
        let mut send = tx.send(census.make());
        if moment == Moment::Clone {
            hook.set_panic(moment);
            assert!(panics(|| poll_with(&mut send, &waker)));
            assert!(poll_with(&mut send, &waker).is_pending());
        } else {
            assert!(poll_with(&mut send, &waker).is_pending());
            hook.set_panic(moment);
        }
        assert_eq!(rx.recv().now().unwrap(), 0, "{moment:?}");
        ready(&mut send).unwrap();
        // A receiver's waker: the sender's poll panics, and the sender still has the value.
        let hook = Hook::new();
        let waker = hook.waker();
        let mut recv = rx.recv();
        assert!(poll_with(&mut recv, &waker).is_pending());
        let mut send = tx.send(census.make());
        if moment == Moment::Wake {
            hook.set_panic(moment);
            assert!(panics(|| poll_once(&mut send)));
        }
        pend(&mut send);
        assert_eq!(ready(&mut recv).unwrap(), 1);
        ready(&mut send).unwrap();
        panics(|| drop(waker));
        census.assert_settled();
    }
}

#[test]
fn a_panicking_waker_keeps_nobody_asleep_at_the_end() {
    let (tx, rx) = rendezvous::<u8>();
    let hooks: Vec<_> = (0..3).map(|_| Hook::new()).collect();
    let mut recvs: Vec<_> = hooks.iter().map(|hook| (rx.recv(), hook.waker())).collect();
    for (recv, waker) in &mut recvs {
        assert!(poll_with(recv, waker).is_pending());
    }
    hooks[0].set_panic(Moment::Wake);
    hooks[1].set_panic(Moment::Wake);
    assert!(panics(|| tx.close()));
    for ((recv, _), hook) in recvs.iter_mut().zip(&hooks) {
        assert_eq!(hook.bell.rings(), 1);
        assert!(ready(recv).unwrap_err().is_end());
    }
}

#[test]
fn an_iterator_may_use_the_channel_and_panic() {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let count = RefCell::new(0);
    let mut send = tx.send_all(std::iter::from_fn(|| {
        *count.borrow_mut() += 1;
        drop(tx.send(census.make()).now());
        if *count.borrow() == 2 {
            quiet_panic();
        }
        Some(census.make())
    }));
    pend(&mut send);
    assert_eq!(rx.recv().now().unwrap(), 1);
    assert!(panics(|| poll_once(&mut send)));
    drop(send);
    assert_eq!(tx.stats().waiting_senders, 0);
    census.assert_settled();
}

/// Another party's waker may panic in an attempt of a blocking iterator. The iterator goes on waiting.
#[test]
fn a_blocking_iterator_goes_on_after_a_panic_of_a_waker() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous::<u8>();
    let hook = Hook::new();
    let mut reserve = tx.reserve();
    assert!(poll_with(&mut reserve, &hook.waker()).is_pending());
    hook.set_panic(Moment::Wake);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            while tx.stats().waiting_receivers == 0 {
                thread::yield_now();
            }
            drop(reserve);
            tx.send(1).wait().unwrap();
        });
        assert_eq!(rx.iter().next(), Some(1));
        sender.join().unwrap();
    });
    assert!(!hook.is_set(Moment::Wake), "the waker did panic");
    assert_eq!(rx.stats().waiting_receivers, 0);
}

/// A blocked thread runs another party's waker, which hands the thread a value and then panics.
#[test]
fn a_blocked_receive_that_a_waker_makes_panic_has_not_been_given_a_value() {
    let (tx, rx) = rendezvous::<u8>();
    let tx: &'static _ = Box::leak(Box::new(tx));
    let hook = Hook::new();
    let reserve = Arc::new(Mutex::new(tx.reserve()));
    assert!(poll_with(&mut *reserve.lock().unwrap(), &hook.waker()).is_pending());
    let is_sent = Arc::new(AtomicUsize::new(0));
    {
        let (reserve, is_sent) = (Arc::clone(&reserve), Arc::clone(&is_sent));
        hook.set(Moment::Wake, move || {
            let permit = ready(&mut *reserve.lock().unwrap()).unwrap();
            is_sent.store(usize::from(permit.send(1).now().is_ok()), SeqCst);
            quiet_panic();
        });
    }
    let mut got = None;
    let has_panicked = panics(|| got = rx.recv().wait().ok());
    assert_eq!(is_sent.load(SeqCst), usize::from(got.is_some()), "panicked: {has_panicked}");
}
