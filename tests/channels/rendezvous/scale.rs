//! Every way back costs the same for each of those that wait, however many they are and in whatever order they go back.

use std::future::Future;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use handover::{never, rendezvous, select};

use crate::support::thread;
use crate::support::watch::watched;
use crate::support::{Hook, Moment, panics, poll_once, poll_with};

const FEW: usize = 500;
const MORE: usize = 32;
/// Thirty-two times as many should take thirty-two times as long; caches make it a few times more. Steps that each walk past
/// all the others take a thousand times as long.
const MOST: u32 = 256;

/// The order in which they go back.
#[derive(Clone, Copy, Debug)]
enum Order {
    Forward,
    Backward,
    Shuffled,
}

/// Puts them into that order.
fn arrange<T>(order: Order, all: &mut [T]) {
    match order {
        Order::Forward => {}
        Order::Backward => all.reverse(),
        Order::Shuffled => {
            let mut state = 7_u64;
            for i in (1..all.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                all.swap(i, (state >> 33) as usize % (i + 1));
            }
        }
    }
}

/// So many operations, each polled once.
fn waiting<F: Future + Unpin>(n: usize, make: impl Fn() -> F) -> Vec<F> {
    let mut all: Vec<_> = (0..n).map(|_| make()).collect();
    all.iter_mut().for_each(|op| _ = poll_once(op));
    all
}

/// How long this thread takes, without the time that a busy machine gives to others, if the system tells.
fn time(run: impl FnOnce()) -> Duration {
    // What the system tells may be as old as this.
    const TICK: Duration = Duration::from_millis(10);
    let used = || {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    let (start, before) = (Instant::now(), used());
    run();
    let took = start.elapsed();
    match (before, used()) {
        (Some(before), Some(after)) => took.min(after - before + TICK),
        _ => took,
    }
}

/// Every way back, for so many in that order: the time it takes.
const WAYS: [(&str, fn(usize, Order) -> Duration); 14] = [
    ("permits that are dropped", |n, order| {
        let (tx, rx) = rendezvous::<u8>();
        let _receives = waiting(n, || rx.recv());
        let mut permits: Vec<_> = (0..n).map(|_| tx.reserve().now().unwrap()).collect();
        arrange(order, &mut permits);
        time(|| permits.into_iter().for_each(drop))
    }),
    ("grants that are given up unseen", |n, order| {
        let (tx, rx) = rendezvous::<u8>();
        let mut reserves = waiting(n, || tx.reserve());
        let _receives = waiting(n, || rx.recv());
        arrange(order, &mut reserves);
        time(|| reserves.into_iter().for_each(drop))
    }),
    ("reserves whose receivers have gone", |n, order| {
        let (tx, rx) = rendezvous::<u8>();
        let mut reserves = waiting(n, || tx.reserve());
        drop(waiting(n, || rx.recv()));
        arrange(order, &mut reserves);
        time(|| reserves.iter_mut().for_each(|reserve| assert!(poll_once(reserve).is_pending())))
    }),
    ("called receivers that look in vain", |n, order| {
        let (tx, rx) = rendezvous::<u8>();
        let mut receives = waiting(n, || rx.recv());
        drop(waiting(n, || tx.send(1)));
        arrange(order, &mut receives);
        time(|| receives.iter_mut().for_each(|recv| assert!(poll_once(recv).is_pending())))
    }),
    ("called selects that look in vain", |n, order| {
        let (tx, rx) = rendezvous::<u8>();
        let quiet = never::<u8>();
        let mut receives = waiting(n, || select((rx.recv(), quiet.recv())));
        drop(waiting(n, || tx.send(1)));
        arrange(order, &mut receives);
        time(|| receives.iter_mut().for_each(|recv| assert!(poll_once(recv).is_pending())))
    }),
    ("called receivers that leave", |n, order| {
        let (tx, rx) = rendezvous::<u8>();
        let mut receives = waiting(n, || rx.recv());
        let _others = waiting(n, || rx.recv());
        let _sends = waiting(n, || tx.send(1));
        arrange(order, &mut receives);
        time(|| receives.into_iter().for_each(drop))
    }),
    ("offers that are withdrawn", |n, order| {
        let (tx, _rx) = rendezvous();
        let mut sends = waiting(n, || tx.send(1));
        arrange(order, &mut sends);
        time(|| sends.into_iter().for_each(|send| assert_eq!(send.reclaim(), Some(1))))
    }),
    ("offers that are withdrawn from called receivers", |n, order| {
        let (tx, rx) = rendezvous();
        let _receives = waiting(n, || rx.recv());
        let mut sends = waiting(n, || tx.send(1));
        arrange(order, &mut sends);
        time(|| sends.into_iter().for_each(|send| assert_eq!(send.reclaim(), Some(1))))
    }),
    ("offers of selects that are withdrawn", |n, order| {
        let (tx, _rx) = rendezvous();
        let quiet = never::<u8>();
        let mut choices = waiting(n, || select((tx.send(1), quiet.recv())));
        arrange(order, &mut choices);
        time(|| choices.into_iter().for_each(|choice| assert!(choice.now().is_none())))
    }),
    ("offers of permits whose receivers have gone, withdrawn", |n, order| {
        let (tx, rx) = rendezvous();
        let receives = waiting(n, || rx.recv());
        let permits: Vec<_> = (0..n).map(|_| tx.reserve().now().unwrap()).collect();
        drop(receives);
        let mut sends: Vec<_> = permits.into_iter().map(|permit| permit.send(1)).collect();
        sends.iter_mut().for_each(|send| assert!(poll_once(send).is_pending()));
        arrange(order, &mut sends);
        time(|| sends.into_iter().for_each(|send| assert_eq!(send.reclaim(), Some(1))))
    }),
    ("selects whose offers were passed over", |n, order| {
        let (tx, rx) = rendezvous();
        let quiet = never::<u8>();
        // Each select breaks off in the middle of its look: a receiver that comes meanwhile passes its offer over.
        let mut choices: Vec<_> = (0..n)
            .map(|_| {
                let mut choice = select((tx.send(1), quiet.recv())).biased();
                let hook = Hook::new();
                let again = std::sync::Arc::clone(&hook);
                hook.set(Moment::Clone, move || again.set_panic(Moment::Clone));
                let waker = hook.waker();
                assert!(panics(|| poll_with(&mut choice, &waker).is_pending()));
                choice
            })
            .collect();
        let mut recv = rx.recv();
        _ = poll_once(&mut recv);
        drop(recv);
        arrange(order, &mut choices);
        time(|| choices.iter_mut().for_each(|choice| _ = poll_once(choice)))
    }),
    ("sends that get a new waker", |n, order| {
        let (tx, _rx) = rendezvous();
        let mut sends = waiting(n, || tx.send(1));
        arrange(order, &mut sends);
        let (_bell, waker) = crate::support::Bell::new();
        time(|| sends.iter_mut().for_each(|send| assert!(poll_with(send, &waker).is_pending())))
    }),
    ("watchers of the end that leave", |n, order| {
        let (tx, _rx) = rendezvous::<u8>();
        let mut watchers = waiting(n, || tx.closed());
        arrange(order, &mut watchers);
        time(|| watchers.into_iter().for_each(drop))
    }),
    ("receivers that give up, each after a poll", |n, order| {
        let (_tx, rx) = rendezvous::<u8>();
        let mut receives = waiting(n, || rx.recv());
        arrange(order, &mut receives);
        time(|| {
            for mut recv in receives {
                assert!(poll_with(&mut recv, Waker::noop()).is_pending());
                assert!(recv.now().is_err());
            }
        })
    }),
];

/// The least of some runs, as many as it takes to show that it is little.
#[test]
fn each_way_back_costs_the_same_for_many_as_for_few_in_any_order() {
    watched(|progress| {
        let mut wrong = Vec::new();
        for (name, way) in WAYS {
            for order in [Order::Forward, Order::Backward, Order::Shuffled] {
                progress.doing(format!("{name}, {order:?}"));
                // The least that the few take cannot be made more by a busy machine.
                let few =
                    (0..5).map(|_| way(FEW, order)).min().unwrap().max(Duration::from_micros(50));
                let mut many = Duration::MAX;
                for _ in 0..4 {
                    many = many.min(way(FEW * MORE, order));
                    progress.step();
                    // It is little, or so much that no machine is to blame.
                    if many <= MOST * few || many > 3 * MOST / 2 * few {
                        break;
                    }
                }
                if many > MOST * few {
                    let times = many.as_nanos() / few.as_nanos();
                    wrong.push(format!("{name}, {order:?}: {few:?} and {many:?}, {times} times"));
                }
            }
        }
        assert!(wrong.is_empty(), "for {MORE} times as many: {wrong:#?}");
    });
}

/// A receive that a task has begun and a thread goes on with takes its place among the threads: many of them, or few.
#[test]
fn a_receive_that_goes_from_a_task_to_a_thread_costs_the_same_beside_many_threads() {
    watched(|progress| {
        let run = |arms: usize| {
            let (tx, rx) = rendezvous::<u8>();
            thread::scope(|scope| {
                // One thread with so many arms stands for so many threads.
                let blocked = rx.clone();
                scope.spawn(move || {
                    let all: Vec<_> = (0..arms).map(|_| blocked.recv()).collect();
                    _ = select(all).wait();
                });
                while tx.stats().waiting_receivers < arms {
                    thread::yield_now();
                }
                // Until that thread sleeps, it is in the way.
                thread::sleep(Duration::from_millis(20));
                let took = (0..20)
                    .map(|_| {
                        let mut all = waiting(50, || rx.recv());
                        time(|| {
                            for recv in all.drain(..) {
                                assert!(recv.wait_timeout(Duration::ZERO).is_err());
                            }
                        })
                    })
                    .min()
                    .unwrap();
                progress.step();
                tx.close();
                took
            })
        };
        let (few, many) = (run(100), run(64_000));
        assert!(many <= 8 * few, "50 changes take {few:?} beside 100, {many:?} beside 64000");
    });
}

/// The same the other way round, in a select whose arms are borrowed: first a thread, then a task.
#[test]
fn receives_that_go_from_a_thread_to_a_task_cost_the_same_for_many() {
    watched(|progress| {
        let run = |n: usize| {
            let (_tx, rx) = rendezvous::<u8>();
            let mut all = waiting(n, || rx.recv());
            let took = time(|| {
                let choice = select(all.iter_mut().collect::<Vec<_>>());
                assert!(choice.wait_timeout(Duration::ZERO).is_none());
                all.iter_mut().for_each(|recv| assert!(matches!(poll_once(recv), Poll::Pending)));
            });
            progress.step();
            took
        };
        let few = (0..5).map(|_| run(FEW)).min().unwrap();
        let many = (0..4).map(|_| run(FEW * MORE)).min().unwrap();
        assert!(many <= MOST * few, "{FEW} take {few:?}, {MORE} times as many {many:?}");
    });
}
