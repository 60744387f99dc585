//! Values whose destructors use the channel or panic, and iterators that use it.

use std::cell::Cell;
use std::mem;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;
use std::time::Duration;

use crate::support::thread;
use crate::support::*;
use handover::{Receiver, Sender, Why, rendezvous};

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
        // The value's own destructor receives a value.
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
    // The offer keeps its channel alive until it is received.
    drop(rx.recv().now().ok().unwrap());
    assert!(drops.load(SeqCst) >= 3);
    assert_eq!((tx.stats().senders, tx.stats().receivers), (1, 1));
}

/// Panics when it is dropped, if it is armed.
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
    // Of two offers the first one panics when it is dropped; the other one is received.
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
    // A forgotten offer panics when the channel is dropped.
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

#[test]
fn the_destructor_of_a_value_may_use_the_channel() {
    struct Loud(Option<(Sender<Loud>, Receiver<Loud>)>);
    impl Drop for Loud {
        fn drop(&mut self) {
            if let Some((tx, rx)) = self.0.take() {
                drop(tx.send(Loud(None)).now());
                drop(rx.recv().now());
                tx.close();
            }
        }
    }
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut send = tx.send(Loud(Some((tx.clone(), rx.clone()))));
    pend(&mut send);
    drop(send);
    assert!(rx.is_closed());
}
