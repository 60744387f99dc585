//! Many to many: wakers that change in the middle of a hand-over, use the channel, or panic.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::support::*;
use futures_core::Stream as _;
use handover::{Permit, Receiver, Sender, Why, op, rendezvous};

/// Polls once: it must be pending.
#[track_caller]
fn pend_with<F: Future + Unpin>(future: &mut F, waker: &Waker) {
    assert!(poll_with(future, waker).is_pending(), "done, but should wait");
}

/// One who waits on a channel, whichever way.
enum Waits<'a> {
    Send(op::Send<'a, Counted>),
    SendAll(op::SendEach<'a, std::vec::IntoIter<Counted>>),
    Reserve(op::Reserve<'a, Counted>),
    Recv(op::Take<'a, Counted>),
    Stream(handover::ValuesStream<'a, Counted>),
    Closed(op::Closed<'a, Counted>),
}

/// What became of it.
#[derive(Debug)]
enum Came<'a> {
    Sent,
    Unsent(Vec<Counted>),
    Permit(Permit<'a, Counted>),
    Value(Counted),
    End,
}

const KINDS: [&str; 6] = ["send", "send_all", "reserve", "recv", "stream", "closed"];

impl<'a> Waits<'a> {
    fn new(
        kind: &str,
        tx: &'a Sender<Counted>,
        rx: &'a Receiver<Counted>,
        census: &Census,
    ) -> Self {
        match kind {
            "send" => Self::Send(tx.send(census.make())),
            "send_all" => Self::SendAll(tx.send_all(vec![census.make()])),
            "reserve" => Self::Reserve(tx.reserve()),
            "recv" => Self::Recv(rx.recv()),
            "stream" => Self::Stream(rx.stream()),
            _ => Self::Closed(rx.closed()),
        }
    }

    fn poll(&mut self, waker: &Waker) -> Poll<Came<'a>> {
        let context = &mut Context::from_waker(waker);
        match self {
            Self::Send(op) => Pin::new(op).poll(context).map(|result| match result {
                Ok(()) => Came::Sent,
                Err(error) => Came::Unsent(Vec::from_iter(error.into_unsent())),
            }),
            Self::SendAll(op) => Pin::new(op).poll(context).map(|result| match result {
                Ok(()) => Came::Sent,
                Err(error) => Came::Unsent(error.into_rest().collect()),
            }),
            Self::Reserve(op) => {
                Pin::new(op).poll(context).map(|result| result.map_or(Came::End, Came::Permit))
            }
            Self::Recv(op) => {
                Pin::new(op).poll(context).map(|result| result.map_or(Came::End, Came::Value))
            }
            Self::Stream(stream) => {
                Pin::new(stream).poll_next(context).map(|next| next.map_or(Came::End, Came::Value))
            }
            Self::Closed(op) => Pin::new(op).poll(context).map(|_| Came::End),
        }
    }

    #[track_caller]
    fn pend(&mut self, waker: &Waker) {
        assert!(self.poll(waker).is_pending(), "done, but should wait");
    }
}

/// Does for one who waits what it waits for; the peer, if that waits in turn.
fn serve<'a>(
    kind: &str,
    tx: &'a Sender<Counted>,
    rx: &'a Receiver<Counted>,
    census: &Census,
) -> Option<Waits<'a>> {
    let mut peer = match kind {
        "send" | "send_all" => {
            drop(rx.recv().now().unwrap());
            return None;
        }
        "reserve" => Waits::new("recv", tx, rx, census),
        "recv" | "stream" => Waits::new("send", tx, rx, census),
        _ => {
            tx.close();
            return None;
        }
    };
    peer.pend(Waker::noop());
    Some(peer)
}

// ---- another waker

#[test]
fn the_newest_waker_is_woken_whatever_waits() {
    let _watchdog = Watchdog::new();
    for kind in KINDS {
        for polls in 1..4 {
            let census = Census::new();
            let (tx, rx) = rendezvous();
            let (old, new) = (Bell::new(), Bell::new());
            let mut waits = Waits::new(kind, &tx, &rx, &census);
            for n in 0..polls {
                // To and fro: the last one is the new one.
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
fn the_newest_waker_is_told_of_the_end_whatever_waits() {
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
fn a_receive_that_was_called_for_nothing_leaves_its_newest_waker() {
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
    // The permit is dropped in between: free for the next sender, with the newest waker.
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
    pend(&mut rx.recv()); // comes, and goes
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

// ---- wakers that use the channel

type Act = fn(&Sender<Counted>, &Receiver<Counted>, &Census);

/// What a waker may come to do with a channel.
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
fn a_waker_may_use_the_channel_at_any_moment_of_its_life_whatever_waits() {
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
                // Whatever came of it: the end is told.
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
            // They meet all the same, unless the waker took what there was, or ended it.
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
fn a_waker_that_receives_what_it_is_woken_for_leaves_the_task_waiting() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let (hook, got) = (Hook::new(), Arc::new(Mutex::new(Vec::new())));
    let mut recv = rx.recv();
    pend_with(&mut recv, &hook.waker());
    let (rx2, got2) = (rx.clone(), Arc::clone(&got));
    hook.set(Moment::Wake, move || got2.lock().unwrap().extend(rx2.recv().now()));
    let mut send = tx.send(1);
    // Taken within the sender's own step, or just after it.
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
        // A watcher is woken too, whoever is first.
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
    // The waker on the seat holds the channel that holds the waker, until the operation goes.
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

// ---- wakers that panic

#[test]
fn a_waker_that_panics_changes_nothing_whatever_waits() {
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
            // The panic goes to who wakes, or is swallowed where that would lose a value.
            let mut peer = None;
            panics(|| peer = serve(kind, &tx, &rx, &census));
            assert!(moment != Moment::Wake || !hook.is_set(moment), "{case}: not woken");
            let (bell, fresh) = Bell::new();
            let mut came = None;
            for _ in 0..4 {
                panics(|| match waits.poll(&fresh) {
                    Poll::Ready(it) => came = Some(it),
                    Poll::Pending => {
                        // The peer was cut short: it came and went, and comes again.
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
    // Watchers, reserves: all told of one end, each waker panics.
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
        // The thread was told along with the task, and takes it.
        assert_eq!(thread.join().unwrap(), Ok(1));
        ready(&mut send).unwrap();
    });
    pend(&mut task);
}
