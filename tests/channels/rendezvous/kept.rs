//! Many to many: futures that are kept and not polled must not stop others beyond what `recv` says; and values whose destructors use
//! the channel, or panic.

use std::cell::Cell;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::support::*;
use futures_core::Stream as _;
use handover::{Receiver, Sender, Why, rendezvous};

/// Polls once: it must be pending.
#[track_caller]
fn pend_with<F: Future + Unpin>(future: &mut F, waker: &Waker) {
    assert!(poll_with(future, waker).is_pending(), "done, but should wait");
}

// ---- a future that is kept, but not polled

#[test]
fn futurelock_blocked_threads_take_each_value_that_a_kept_task_does_not() {
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
fn futurelock_a_kept_stream_is_passed_by_too() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut kept = rx.stream();
    assert!(Pin::new(&mut kept).poll_next(&mut Context::from_waker(Waker::noop())).is_pending());
    let mut send = tx.send(1);
    pend(&mut send);
    assert_eq!(rx.recv().wait_timeout(Duration::from_secs(10)), Ok(1));
    ready(&mut send).unwrap();
    // `now` takes what stands, whoever was called for it.
    let mut send = tx.send(2);
    pend(&mut send);
    assert_eq!(rx.recv().now(), Ok(2));
    ready(&mut send).unwrap();
    drop(kept);
    assert_eq!(rx.stats().waiting_receivers, 0);
}

#[test]
fn futurelock_the_value_goes_on_through_many_kept_tasks() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut kept: Vec<_> = (0..3).map(|_| rx.recv()).collect();
    kept.iter_mut().for_each(pend);
    let (bell, waker) = Bell::new();
    let mut waiting = rx.recv();
    pend_with(&mut waiting, &waker);
    let mut sends: Vec<_> = (0..4).map(|n| tx.send(n)).collect();
    // Each other send calls one more; the fourth is the one that is polled.
    for (n, send) in sends.iter_mut().enumerate() {
        assert_eq!(bell.rings(), 0, "{n}");
        pend(send);
    }
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut waiting), Ok(0), "the offer that came first");
    ready(&mut sends[0]).unwrap();
    // Each one that is dropped passes its call on, to nobody now: who comes takes them.
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
        // A granted reserve that is never looked at keeps one too.
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
    // It belongs to the permit that was wanted first; but when it must go anyway, it takes what stands.
    assert_eq!(rx.recv().wait_timeout(Duration::from_millis(5)), Ok(1));
    ready(&mut send).unwrap();
    // The permit waits for the next one.
    pend(&mut reserve);
    thread::scope(|scope| {
        let receiver = scope.spawn(|| rx.recv().wait());
        reserve.wait().unwrap().send(2).wait().unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(2));
    });
}

// ---- values whose destructors use the channel, or panic

/// Uses its channel when it is dropped.
struct Loud<'a> {
    channel: Option<(Sender<Loud<'a>>, Receiver<Loud<'a>>)>,
    drops: &'a AtomicUsize,
}

impl<'a> Loud<'a> {
    fn new(tx: &Sender<Self>, rx: &Receiver<Self>, drops: &'a AtomicUsize) -> Self {
        Self { channel: Some((tx.clone(), rx.clone())), drops }
    }
}

impl<'a> Drop for Loud<'a> {
    fn drop(&mut self) {
        self.drops.fetch_add(1, SeqCst);
        let Some((tx, rx)) = self.channel.take() else { return };
        let quiet = || Loud { channel: None, drops: self.drops };
        // Received by itself, in its own destructor.
        let mut send = tx.send(quiet());
        if poll_once(&mut send).is_pending() {
            drop(rx.recv().now().unwrap());
            ready(&mut send).ok().unwrap();
        }
        drop(tx.send(quiet()).now());
        _ = poll_once(&mut tx.reserve());
        _ = poll_once(&mut rx.recv());
        assert!(tx.stats().senders > 0 && format!("{rx:?}").contains("Receiver"));
    }
}

#[test]
fn a_destructor_may_use_the_channel_wherever_a_value_is_dropped() {
    let _watchdog = Watchdog::new();
    type Way = for<'a> fn(&Sender<Loud<'a>>, &Receiver<Loud<'a>>, Loud<'a>);
    let ways: [(&str, Way); 9] = [
        ("an operation never polled", |tx, _, value| drop(tx.send(value))),
        ("an offer withdrawn", |tx, _, value| {
            let mut send = tx.send(value);
            pend(&mut send);
        }),
        ("an offer reclaimed", |tx, _, value| {
            let mut send = tx.send(value);
            pend(&mut send);
            drop(send.reclaim().unwrap());
        }),
        ("at once", |tx, _, value| drop(tx.send(value).now())),
        ("a timeout", |tx, _, value| drop(tx.send(value).wait_timeout(Duration::from_micros(10)))),
        ("the rest of many", |tx, _, value| {
            let mut send = tx.send_all([value]);
            pend(&mut send);
        }),
        ("received", |tx, rx, value| {
            let mut send = tx.send(value);
            pend(&mut send);
            drop(rx.recv().now().ok().unwrap());
        }),
        ("after the end", |tx, rx, value| {
            rx.close();
            drop(tx.send(value).wait());
        }),
        ("by a permit whose receiver went", |tx, rx, value| {
            let mut recv = rx.recv();
            pend(&mut recv);
            let permit = tx.reserve().now().unwrap();
            drop(recv);
            let mut send = permit.send(value);
            pend(&mut send);
        }),
    ];
    for (name, way) in ways {
        let drops = AtomicUsize::new(0);
        let (tx, rx) = rendezvous();
        let value = Loud::new(&tx, &rx, &drops);
        way(&tx, &rx, value);
        assert!(drops.load(SeqCst) >= 3, "{name}");
        let stats = tx.stats();
        assert_eq!((stats.waiting_senders, stats.waiting_receivers), (0, 0), "{name}");
        assert_eq!((stats.senders, stats.receivers), (1, 1), "{name}");
    }
}

#[test]
fn an_offer_that_was_forgotten_may_hold_its_own_channel() {
    let drops = AtomicUsize::new(0);
    let (tx, rx) = rendezvous();
    let mut send = tx.send(Loud::new(&tx, &rx, &drops));
    pend(&mut send);
    mem::forget(send);
    // It keeps its channel alive, until somebody takes it.
    drop(rx.recv().now().ok().unwrap());
    assert!(drops.load(SeqCst) >= 3);
    assert_eq!((tx.stats().senders, tx.stats().receivers), (1, 1));
}

/// Panics when it is dropped, where it is armed.
struct Fragile<'a>(&'a Cell<usize>, bool);

impl Drop for Fragile<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        if self.1 && !thread::panicking() {
            quiet_panic();
        }
    }
}

#[test]
fn a_destructor_that_panics_leaves_the_channel_whole() {
    let _watchdog = Watchdog::new();
    let drops = Cell::new(0);
    let (tx, rx) = rendezvous();
    let armed = || Fragile(&drops, true);
    assert!(panics(|| drop(tx.send(armed()))));
    assert!(panics(|| {
        let mut send = tx.send(armed());
        pend(&mut send);
    }));
    assert!(panics(|| drop(tx.send(armed()).now())));
    assert!(panics(|| drop(tx.send(armed()).wait_timeout(Duration::from_micros(10)))));
    assert!(panics(|| {
        let mut send = tx.send_all([armed(), Fragile(&drops, false)]);
        pend(&mut send);
    }));
    assert!(panics(|| {
        let mut send = tx.send(armed());
        pend(&mut send);
        drop(rx.recv().now());
    }));
    assert_eq!(drops.get(), 7, "each once");
    assert_eq!((tx.stats().waiting_senders, tx.stats().waiting_receivers), (0, 0));
    // Two that wait, of which one panics: the other one is received.
    let mut first = tx.send(armed());
    pend(&mut first);
    let mut second = tx.send(Fragile(&drops, false));
    pend(&mut second);
    assert!(panics(|| drop(first)));
    assert!(rx.recv().now().is_ok());
    assert!(matches!(poll_once(&mut second), Poll::Ready(Ok(()))));
    drop(second);
    assert_eq!(drops.get(), 9);
    assert!(!tx.is_closed(), "no end was dropped");
    // Forgotten in a channel that goes.
    let mut last = tx.send(armed());
    pend(&mut last);
    mem::forget(last);
    drop(tx);
    assert!(panics(|| drop(rx)));
    assert_eq!(drops.get(), 10);
}

#[test]
fn an_iterator_may_send_into_the_channel_it_feeds() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let inner = tx.clone();
    thread::scope(|scope| {
        scope.spawn(move || {
            // Each step sends a value of its own before it makes one.
            tx.send_all((0..20).map(|n| {
                inner.send(2 * n).wait().unwrap();
                2 * n + 1
            }))
            .wait()
            .unwrap();
        });
        assert!(rx.iter().eq(0..40));
        assert_eq!(rx.end(), Some(Why::Dropped));
    });
}
