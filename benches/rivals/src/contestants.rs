//! The channels that take part, and the rows in which they do. A channel whose ends can block and be awaited is one line here
//! and four lines in `ends.rs`.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crossfire::{AsyncRx, AsyncTx, Rx, Tx, spsc};
use futures_lite::StreamExt;
use futures_lite::future::block_on;
use handover::{Generator, duplex, generate, rendezvous, select, simplex, stream};

use crate::clock::{Clock, Spent};
use crate::drive::{Work, checked, for_each};
use crate::ends::{BlockingRecv, BlockingSend, TwoWay};
use crate::footprint::{BLOCKED, blocked, blocked_until};
use crate::results::Kind;
use crate::table::{Table, WORKS};

/// Adds all of them. The figure behind a name is the capacity: zero, or one where the crate has no capacity of zero.
pub(crate) fn add_to(table: &mut Table) {
    channels(table);
    crate::many::add_to(table);
    crate::choose::add_to(table);
    generators(table);
    crate::batches::add_to(table);
    ping_pong(table);
    waits(table);
}

fn channels(table: &mut Table) {
    let raw = |n| raw_ping_pong(n).each(n);
    table.add_as(Kind::Reference, "threads", "raw cache line, a round trip", raw);

    table.everywhere("handover simplex", simplex);
    table.everywhere("handover rendezvous", rendezvous);
    table.add_creation("handover duplex", duplex::<u64, u64>, |n| {
        let (server, client) = duplex();
        _ = crate::drive::ping_pong(n, (client, server), || {});
    });
    table.add_creation("handover stream", stream::<u64>, crate::batches::pass);

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

/// Two threads pass a cache line to each other, and nothing else. An item is a round trip: a demand and an answer.
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
    table.add(ROW, "handover generate, for_each", |n| for_each(n, numbers(n)).each(n));
    table.add(ROW, "handover generate, for", |n| {
        checked(n, |check| {
            for item in numbers(n) {
                check.add(item);
            }
        })
        .each(n)
    });
    table.add(ROW, "handover generate, as a stream", |n| {
        checked(n, |check| {
            block_on(numbers(n).into_stream().for_each(|item| check.add(item)));
        })
        .each(n)
    });
    table.add(ROW, "handover generate, send_all", |n| {
        let items = generate(|mut server| async move { _ = server.send_all(0..n).await });
        for_each(n, items).each(n)
    });
    table.add(ROW, "genawaiter sync", |n| {
        let items = genawaiter::sync::Gen::new(|co| async move {
            for item in 0..n {
                co.yield_(item).await;
            }
        });
        for_each(n, items.into_iter()).each(n)
    });
    table.add(ROW, "genawaiter rc (not Send)", |n| {
        let items = genawaiter::rc::Gen::new(|co| async move {
            for item in 0..n {
                co.yield_(item).await;
            }
        });
        for_each(n, items.into_iter()).each(n)
    });
}

fn numbers(n: u64) -> Generator<u64, impl Future<Output = ()> + Send> {
    generate(move |mut server| async move {
        for item in 0..n {
            if server.send(item).await.is_err() {
                break;
            }
        }
    })
}

fn ping_pong(table: &mut Table) {
    for (row, _, nanos) in WORKS {
        table.add_as(Kind::Reference, row, "the work alone, one thread", move |n| {
            let work = Work::of(nanos);
            let clock = Clock::start();
            (0..2 * n).for_each(|_| work.run());
            clock.stop().each(n)
        });
    }
    for (row, _, nanos) in WORKS {
        table.add_as(Kind::Reference, row, "park only (mutex, condvar)", move |n| {
            let work = Work::of(nanos);
            crate::drive::ping_pong(n, two_way(slot), || work.run()).each(n)
        });
    }
    table.ping_pong("handover duplex", || {
        let (server, client) = duplex::<u64, u64>();
        (client, server)
    });
    table.ping_pong("handover rendezvous × 2", || two_way(rendezvous));
    table.ping_pong("std sync_channel(0) × 2", || two_way(|| sync_channel(0)));
    table.ping_pong("crossbeam(0) × 2", || two_way(|| crossbeam_channel::bounded(0)));
    table.ping_pong("flume(0) × 2", || two_way(|| flume::bounded(0)));
    table.ping_pong("kanal(0) × 2", || two_way(|| kanal::bounded(0)));
    table.ping_pong("crossfire(1) × 2", || two_way(crossfire_threads));
    table.ping_pong("async-channel(1) × 2", || two_way(|| async_channel::bounded(1)));
    table.ping_pong("tokio mpsc(1) × 2", || two_way(|| tokio::sync::mpsc::channel(1)));
}

/// Two channels in opposite directions.
fn two_way<S, R>(open: impl Fn() -> (S, R)) -> (TwoWay<S, R>, TwoWay<S, R>) {
    let ((there, arrival), (back, answer)) = (open(), open());
    (TwoWay(there, answer), TwoWay(back, arrival))
}

/// A channel of one slot that waits by a condition variable of the standard library, without any spinning.
struct Slot(Arc<(Mutex<State>, Condvar)>);

/// The item, and whether an end has been dropped.
type State = (Option<u64>, bool);

fn slot() -> (Slot, Slot) {
    let shared = Arc::default();
    (Slot(Arc::clone(&shared)), Slot(shared))
}

impl BlockingSend for Slot {
    fn send_item(&mut self, item: u64) -> bool {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        let mut state = changed.wait_while(state, |(item, end)| item.is_some() && !*end).unwrap();
        state.0 = Some(item);
        changed.notify_one();
        !state.1
    }
}

impl BlockingRecv for Slot {
    fn recv_item(&mut self) -> Option<u64> {
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
    table.add(ROW, "handover simplex recv().wait_timeout()", |_| {
        blocked(swapped(simplex::<u64>()), |mut client| {
            assert!(client.recv().wait_timeout(BLOCKED).unwrap_err().is_timed_out());
        })
    });
    table.add(ROW, "handover simplex send().wait_timeout()", |_| {
        blocked(simplex(), |mut server| {
            assert!(server.send(1).wait_timeout(BLOCKED).unwrap_err().is_timed_out());
        })
    });
    table.add(ROW, "handover simplex recv().wait()", |_| {
        blocked_until(swapped(simplex::<u64>()), |mut end| assert!(end.recv_item().is_none()), drop)
    });
    table.add(ROW, "handover simplex recv().await, block_on", |_| {
        let wait = |mut client: handover::Client<u64>| assert!(block_on(client.recv()).is_err());
        blocked_until(swapped(simplex()), wait, drop)
    });
    table.add(ROW, "handover rendezvous recv().wait_timeout()", |_| {
        blocked(swapped(rendezvous::<u64>()), |rx| {
            assert!(rx.recv().wait_timeout(BLOCKED).unwrap_err().is_timed_out());
        })
    });
    table.add(ROW, "handover rendezvous send().wait_timeout()", |_| {
        blocked(rendezvous(), |tx| {
            assert!(tx.send(1).wait_timeout(BLOCKED).unwrap_err().is_timed_out());
        })
    });
    table.add(ROW, "handover rendezvous recv().wait()", |_| {
        blocked_until(
            swapped(rendezvous::<u64>()),
            |mut end| assert!(end.recv_item().is_none()),
            drop,
        )
    });
    table.add(ROW, "handover rendezvous send().wait()", |_| {
        blocked_until(rendezvous(), |mut end| assert!(!end.send_item(1)), drop)
    });
    table.add(ROW, "handover select of 2 receives", |_| {
        let ((a, from_a), (b, from_b)) = (rendezvous::<u64>(), rendezvous::<u64>());
        let wait = |(a, b): (handover::Receiver<u64>, handover::Receiver<u64>)| {
            assert!(select((a.recv(), b.recv())).wait_timeout(BLOCKED).is_none());
        };
        blocked(((from_a, from_b), (a, b)), wait)
    });
    macro_rules! recv_timeout {
        ($($name:literal: $open:expr;)+) => { $(
            table.add(ROW, concat!($name, " recv_timeout"), |_| {
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
