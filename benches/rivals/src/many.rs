//! Many producers and many consumers on one channel: the same ends, cloned.

use std::ops::Range;
use std::sync::Barrier;
use std::thread;

use crossfire::mpmc;
use handover::rendezvous;
use tokio::runtime::{Builder, Runtime};

use crate::clock::{Clock, Spent};
use crate::ends::{Give, GiveAsync, Take, TakeAsync};
use crate::table::{Table, runtime};

/// The rows on threads: id, producers, consumers.
const ON_THREADS: [(&str, usize, usize); 4] =
    [("4-to-4", 4, 4), ("4-to-1", 4, 1), ("1-to-4", 1, 4), ("4-to-4-one-core", 4, 4)];

pub(crate) fn enter(table: &mut Table) {
    threads(table, "handover rendezvous", rendezvous);
    threads(table, "kanal(0)", || kanal::bounded(0));
    threads(table, "crossbeam(0)", || crossbeam_channel::bounded(0));
    threads(table, "flume(0)", || flume::bounded(0));
    // Its slot for one item, `mpmc::One`, does not come to an end here.
    threads(table, "crossfire(2)", || mpmc::bounded_blocking(2));
    threads(table, "async-channel(1)", || async_channel::bounded(1));
    to_one(table, "std sync_channel(0)", || std::sync::mpsc::sync_channel(0));
    to_one(table, "tokio mpsc(1)", || tokio::sync::mpsc::channel(1));

    tasks(table, "handover rendezvous", rendezvous);
    tasks(table, "kanal(0)", || kanal::bounded_async(0));
    tasks(table, "flume(0)", || flume::bounded(0));
    tasks(table, "crossfire(2)", || mpmc::bounded_async(2));
    tasks(table, "async-channel(1)", || async_channel::bounded(1));
}

fn threads<G: Give + Clone, T: Take + Clone>(
    table: &mut Table,
    name: &'static str,
    open: impl Fn() -> (G, T) + Copy + 'static,
) {
    for (row, givers, takers) in ON_THREADS {
        table.enter(row, name, move |n| {
            let (giver, taker) = open();
            on_threads(n, vec![giver; givers], vec![taker; takers]).each(n)
        });
    }
}

/// A channel whose receiving end cannot be cloned.
fn to_one<G: Give + Clone, T: Take>(
    table: &mut Table,
    name: &'static str,
    open: impl Fn() -> (G, T) + 'static,
) {
    table.enter("4-to-1", name, move |n| {
        let (giver, taker) = open();
        on_threads(n, vec![giver; 4], vec![taker]).each(n)
    });
}

fn tasks<G: GiveAsync + Clone, T: TakeAsync + Clone>(
    table: &mut Table,
    name: &'static str,
    open: impl Fn() -> (G, T) + Copy + 'static,
) {
    let run = move |runtime: &Runtime, n| {
        let (giver, taker) = open();
        on_tasks(runtime, n, vec![giver; 4], vec![taker; 4]).each(n)
    };
    table.enter("4-to-4-current-thread", name, move |n| {
        run(&runtime(&mut Builder::new_current_thread()), n)
    });
    table.enter("4-to-4-multi-thread", name, move |n| {
        run(&runtime(Builder::new_multi_thread().worker_threads(2)), n)
    });
}

/// `n` items, in equal parts, each end on a thread of its own.
pub(crate) fn on_threads(n: u64, givers: Vec<impl Give>, takers: Vec<impl Take>) -> Spent {
    let parts = parts(n, givers.len());
    let barrier = &Barrier::new(givers.len() + takers.len() + 1);
    let ready = || {
        // The second time, the clock runs.
        barrier.wait();
        barrier.wait();
    };
    let (clock, seen) = thread::scope(|scope| {
        for (mut giver, part) in givers.into_iter().zip(parts) {
            scope.spawn(move || {
                ready();
                for item in part {
                    assert!(giver.give(item), "a receiver");
                }
            });
        }
        let take = |mut taker: _| {
            ready();
            let mut seen = Seen::default();
            while let Some(item) = Take::take(&mut taker) {
                seen.take(item);
            }
            seen
        };
        let takers: Vec<_> =
            takers.into_iter().map(|taker| scope.spawn(move || take(taker))).collect();
        barrier.wait();
        let clock = Clock::start();
        barrier.wait();
        let seen =
            takers.into_iter().map(|taker| taker.join().expect("a taker that does not panic"));
        let seen: Vec<_> = seen.collect();
        (clock, seen)
    });
    let spent = clock.stop();
    check(n, seen);
    spent
}

/// `n` items, in equal parts, each end in a task of its own.
pub(crate) fn on_tasks(
    runtime: &Runtime,
    n: u64,
    givers: Vec<impl GiveAsync>,
    takers: Vec<impl TakeAsync>,
) -> Spent {
    let parts = parts(n, givers.len());
    let clock = Clock::start();
    let seen = runtime.block_on(async {
        let give = |(mut giver, part): (_, Range<u64>)| async move {
            for item in part {
                assert!(GiveAsync::give_async(&mut giver, item).await, "a receiver");
            }
        };
        let givers: Vec<_> = givers.into_iter().zip(parts).map(give).map(tokio::spawn).collect();
        let take = |mut taker: _| async move {
            let mut seen = Seen::default();
            while let Some(item) = TakeAsync::take_async(&mut taker).await {
                seen.take(item);
            }
            seen
        };
        let takers: Vec<_> = takers.into_iter().map(take).map(tokio::spawn).collect();
        for giver in givers {
            giver.await.expect("a giver that does not panic");
        }
        let mut seen = Vec::new();
        for taker in takers {
            seen.push(taker.await.expect("a taker that does not panic"));
        }
        seen
    });
    let spent = clock.stop();
    check(n, seen);
    spent
}

/// The numbers up to `n` in as many parts.
fn parts(n: u64, count: usize) -> impl Iterator<Item = Range<u64>> {
    let count = count as u64;
    (0..count).map(move |part| n * part / count..n * (part + 1) / count)
}

/// What came, whatever the order: how many, their sum, and the sum of their mixed bits, which is another one if an item came
/// twice and another one did not come.
#[derive(Default, PartialEq, Debug)]
pub(crate) struct Seen {
    count: u64,
    sum: u64,
    mixed: u64,
}

impl Seen {
    #[inline]
    pub(crate) fn take(&mut self, item: u64) {
        let spread = item.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.count += 1;
        self.sum = self.sum.wrapping_add(item);
        self.mixed =
            self.mixed.wrapping_add((spread ^ spread >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93));
    }
}

/// Panics unless it was the numbers up to `n`, each once.
pub(crate) fn check(n: u64, seen: Vec<Seen>) {
    let mut expected = Seen::default();
    (0..n).for_each(|item| expected.take(item));
    let mut sum = Seen::default();
    for part in seen {
        sum.count += part.count;
        sum.sum = sum.sum.wrapping_add(part.sum);
        sum.mixed = sum.mixed.wrapping_add(part.mixed);
    }
    assert_eq!(sum, expected, "each item, once");
}
