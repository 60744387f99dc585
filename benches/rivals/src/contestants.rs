//! Who takes part, in what. A channel whose ends do everything is one line here and four in `ends.rs`.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crossfire::{AsyncRx, AsyncTx, Rx, Tx, spsc};
use futures_lite::future::block_on;
use handover::{duplex, generate, rendezvous, select, simplex};

use crate::clock::{Clock, Spent};
use crate::drive::{Work, drain};
use crate::ends::{Give, Take, Two};
use crate::footprint::{BLOCKED, blocked, blocked_until};
use crate::table::{Kind, Table, WORKS};

/// Enters all of them. The figure behind a name is the capacity; where there is no capacity of zero it is one.
pub(crate) fn enter(table: &mut Table) {
    channels(table);
    crate::many::enter(table);
    crate::choose::enter(table);
    generators(table);
    crate::batches::enter(table);
    ping_pong(table);
    waits(table);
}

fn channels(table: &mut Table) {
    let raw = |n| raw_ping_pong(n).each(n);
    table.enter_as(Kind::Reference, "threads", "raw cache line, to and fro", raw);

    table.everywhere("handover simplex", simplex);
    table.everywhere("handover rendezvous", rendezvous);

    table.threads("std sync_channel(0)", || sync_channel(0));
    table.threads("crossbeam(0)", || crossbeam_channel::bounded(0));
    table.everywhere("flume(0)", || flume::bounded(0));
    table.everywhere("async-channel(1)", || async_channel::bounded(1));
    table.everywhere("tokio mpsc(1)", || tokio::sync::mpsc::channel(1));

    table.threads("kanal(0)", || kanal::bounded(0));
    table.tasks("kanal(0)", || kanal::bounded_async(0));
    table.thread_to_task("kanal(0)", || {
        let (sender, receiver) = kanal::bounded(0);
        (sender, receiver.to_async())
    });
    table.task_to_thread("kanal(0)", || {
        let (sender, receiver) = kanal::bounded(0);
        (sender.to_async(), receiver)
    });

    table.threads("crossfire(1)", crossfire_threads);
    table.tasks("crossfire(1)", spsc::new::<_, AsyncTx<spsc::One<u64>>, AsyncRx<_>>);
    table.thread_to_task("crossfire(1)", spsc::new::<_, Tx<spsc::One<u64>>, AsyncRx<_>>);
    table.task_to_thread("crossfire(1)", spsc::new::<_, AsyncTx<spsc::One<u64>>, Rx<_>>);

    table.tasks("futures mpsc(1)", || futures_channel::mpsc::channel(0)); // and one for each sender
    table.tasks("handoff", handoff::channel);
}

fn crossfire_threads() -> (Tx<spsc::One<u64>>, Rx<spsc::One<u64>>) {
    spsc::new()
}

/// Two threads that pass a cache line to and fro, and nothing else. An item is a round trip: a demand and an answer.
fn raw_ping_pong(n: u64) -> Spent {
    #[repr(align(128))]
    struct Line(AtomicU64);
    let line = Line(AtomicU64::new(0));
    let clock = Clock::start();
    thread::scope(|scope| {
        let pass = |from: u64| {
            for turn in 0..n {
                while line.0.load(Ordering::Acquire) != 2 * turn + from {
                    spin_loop();
                }
                line.0.store(2 * turn + from + 1, Ordering::Release);
            }
        };
        scope.spawn(move || pass(1));
        pass(0);
    });
    assert_eq!(line.0.into_inner(), 2 * n, "the turns");
    clock.stop()
}

fn generators(table: &mut Table) {
    const ROW: &str = "generator";
    table.enter(ROW, "handover generate", |n| {
        let items = generate(|mut server| async move {
            for item in 0..n {
                if server.send(item).await.is_err() {
                    break;
                }
            }
        });
        drain(n, items).each(n)
    });
    table.enter(ROW, "handover generate, send_all", |n| {
        let items = generate(|mut server| async move { _ = server.send_all(0..n).await });
        drain(n, items).each(n)
    });
    table.enter(ROW, "genawaiter sync", |n| {
        let items = genawaiter::sync::Gen::new(|co| async move {
            for item in 0..n {
                co.yield_(item).await;
            }
        });
        drain(n, items.into_iter()).each(n)
    });
    table.enter(ROW, "genawaiter rc (not Send)", |n| {
        let items = genawaiter::rc::Gen::new(|co| async move {
            for item in 0..n {
                co.yield_(item).await;
            }
        });
        drain(n, items.into_iter()).each(n)
    });
}

fn ping_pong(table: &mut Table) {
    for (row, _, nanos) in WORKS {
        table.enter_as(Kind::Reference, row, "the work alone, one thread", move |n| {
            let work = Work::of(nanos);
            let clock = Clock::start();
            (0..2 * n).for_each(|_| work.run());
            clock.stop().each(n)
        });
    }
    for (row, _, nanos) in WORKS {
        table.enter_as(Kind::Reference, row, "park only (mutex, condvar)", move |n| {
            let work = Work::of(nanos);
            crate::drive::ping_pong(n, two(slot), || work.run()).each(n)
        });
    }
    table.ping_pong("handover duplex", || {
        let (server, client) = duplex::<u64, u64>();
        (client, server)
    });
    table.ping_pong("handover rendezvous × 2", || two(rendezvous));
    table.ping_pong("std sync_channel(0) × 2", || two(|| sync_channel(0)));
    table.ping_pong("crossbeam(0) × 2", || two(|| crossbeam_channel::bounded(0)));
    table.ping_pong("flume(0) × 2", || two(|| flume::bounded(0)));
    table.ping_pong("kanal(0) × 2", || two(|| kanal::bounded(0)));
    table.ping_pong("crossfire(1) × 2", || two(crossfire_threads));
    table.ping_pong("async-channel(1) × 2", || two(|| async_channel::bounded(1)));
    table.ping_pong("tokio mpsc(1) × 2", || two(|| tokio::sync::mpsc::channel(1)));
}

/// Two channels, one there and one back.
fn two<G, T>(open: impl Fn() -> (G, T)) -> (Two<G, T>, Two<G, T>) {
    let ((there, arrival), (back, answer)) = (open(), open());
    (Two(there, answer), Two(back, arrival))
}

/// What the standard library offers for waiting without any spinning, as a channel of one slot.
struct Slot(Arc<(Mutex<State>, Condvar)>);

/// The item, and whether an end has left.
type State = (Option<u64>, bool);

fn slot() -> (Slot, Slot) {
    let shared = Arc::default();
    (Slot(Arc::clone(&shared)), Slot(shared))
}

impl Give for Slot {
    fn give(&mut self, item: u64) -> bool {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        let mut state = changed.wait_while(state, |(item, end)| item.is_some() && !*end).unwrap();
        state.0 = Some(item);
        changed.notify_one();
        !state.1
    }
}

impl Take for Slot {
    fn take(&mut self) -> Option<u64> {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        let mut state = changed.wait_while(state, |(item, end)| item.is_none() && !*end).unwrap();
        changed.notify_one();
        state.0.take()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let (state, changed) = &*self.0;
        state.lock().unwrap().1 = true;
        changed.notify_one();
    }
}

fn waits(table: &mut Table) {
    const ROW: &str = "blocked";
    fn swapped<A, B>((a, b): (A, B)) -> (B, A) {
        (b, a)
    }
    table.enter(ROW, "handover simplex recv().wait_timeout()", |_| {
        blocked(swapped(simplex::<u64>()), |mut client| {
            assert!(client.recv().wait_timeout(BLOCKED).unwrap_err().is_timed_out());
        })
    });
    table.enter(ROW, "handover simplex send().wait_timeout()", |_| {
        blocked(simplex(), |mut server| {
            assert!(server.send(1).wait_timeout(BLOCKED).unwrap_err().is_timed_out());
        })
    });
    table.enter(ROW, "handover simplex recv().wait()", |_| {
        blocked_until(swapped(simplex::<u64>()), |mut end| assert!(end.take().is_none()), drop)
    });
    table.enter(ROW, "handover simplex recv().await, block_on", |_| {
        let wait = |mut client: handover::Client<u64>| assert!(block_on(client.recv()).is_err());
        blocked_until(swapped(simplex()), wait, drop)
    });
    table.enter(ROW, "handover rendezvous recv().wait_timeout()", |_| {
        blocked(swapped(rendezvous::<u64>()), |rx| {
            assert!(rx.recv().wait_timeout(BLOCKED).unwrap_err().is_timed_out());
        })
    });
    table.enter(ROW, "handover rendezvous send().wait_timeout()", |_| {
        blocked(rendezvous(), |tx| {
            assert!(tx.send(1).wait_timeout(BLOCKED).unwrap_err().is_timed_out());
        })
    });
    table.enter(ROW, "handover rendezvous recv().wait()", |_| {
        blocked_until(swapped(rendezvous::<u64>()), |mut end| assert!(end.take().is_none()), drop)
    });
    table.enter(ROW, "handover rendezvous send().wait()", |_| {
        blocked_until(rendezvous(), |mut end| assert!(!end.give(1)), drop)
    });
    table.enter(ROW, "handover select of 2 receives", |_| {
        let ((a, from_a), (b, from_b)) = (rendezvous::<u64>(), rendezvous::<u64>());
        let wait = |(a, b): (handover::Receiver<u64>, handover::Receiver<u64>)| {
            assert!(select((a.recv(), b.recv())).wait_timeout(BLOCKED).is_none());
        };
        blocked(((from_a, from_b), (a, b)), wait)
    });
    macro_rules! recv_timeout {
        ($($name:literal: $open:expr;)+) => { $(
            table.enter(ROW, concat!($name, " recv_timeout"), |_| {
                let (sender, receiver) = $open;
                blocked((receiver, sender), |end| assert!(end.recv_timeout(BLOCKED).is_err()))
            });
        )+ };
    }
    recv_timeout! {
        "std sync_channel(0)": sync_channel::<u64>(0);
        "crossbeam(0)": crossbeam_channel::bounded::<u64>(0);
        "flume(0)": flume::bounded::<u64>(0);
        "kanal(0)": kanal::bounded::<u64>(0);
        "crossfire(1)": crossfire_threads();
    }
}
