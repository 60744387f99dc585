//! Many producers and many consumers on one channel: clones of the same two ends.

use std::ops::Range;
use std::sync::Barrier;
use std::thread::{self, Scope, ScopedJoinHandle};

use crossfire::{MAsyncRx, MAsyncTx, mpmc};
use handover::rendezvous;
use tokio::runtime::Runtime;

use crate::clock::{Clock, Spent};
use crate::ends::{AsyncRecv, AsyncSend, BlockingRecv, BlockingSend};
use crate::table::{Table, current_thread, two_workers};

/// The rows on threads: id, producers, consumers.
const ON_THREADS: [(&str, usize, usize); 4] =
    [("4-to-4", 4, 4), ("4-to-1", 4, 1), ("1-to-4", 1, 4), ("4-to-4-one-core", 4, 4)];

pub(crate) fn add_to(table: &mut Table) {
    threads(table, "handover rendezvous", rendezvous);
    threads(table, "kanal(0)", || kanal::bounded(0));
    threads(table, "crossbeam(0)", || crossbeam_channel::bounded(0));
    threads(table, "flume(0)", || flume::bounded(0));
    // crossfire's channel for one item, `mpmc::One`, hangs here.
    threads(table, "crossfire(2)", || mpmc::bounded_blocking(2));
    threads(table, "async-channel(1)", || async_channel::bounded(1));
    to_one(table, "std sync_channel(0)", || std::sync::mpsc::sync_channel(0));
    to_one(table, "tokio mpsc(1)", || tokio::sync::mpsc::channel(1));

    tasks(table, "handover rendezvous", rendezvous);
    tasks(table, "kanal(0)", || kanal::bounded_async(0));
    tasks(table, "flume(0)", || flume::bounded(0));
    tasks(table, "crossfire(2)", || mpmc::bounded_async(2));
    tasks(table, "async-channel(1)", || async_channel::bounded(1));

    mixed(table, "handover rendezvous", || {
        let (tx, rx) = rendezvous();
        ((tx.clone(), rx.clone()), (tx, rx))
    });
    mixed(table, "kanal(0)", || {
        let (sender, receiver) = kanal::bounded(0);
        ((sender.clone(), receiver.clone()), (sender.to_async(), receiver.to_async()))
    });
    // flume hangs here.
    mixed(table, "crossfire(2)", || {
        let (sender, receiver) = mpmc::bounded_blocking(2);
        let in_tasks = (MAsyncTx::from(sender.clone()), MAsyncRx::from(receiver.clone()));
        ((sender, receiver), in_tasks)
    });
    mixed(table, "async-channel(1)", || {
        let (sender, receiver) = async_channel::bounded(1);
        ((sender.clone(), receiver.clone()), (sender, receiver))
    });
}

fn threads<S: BlockingSend + Clone, R: BlockingRecv + Clone>(
    table: &mut Table,
    name: &'static str,
    open: impl Fn() -> (S, R) + Copy + 'static,
) {
    for (row, senders, receivers) in ON_THREADS {
        table.add(row, name, move |n| {
            let (sender, receiver) = open();
            on_threads(n, vec![sender; senders], vec![receiver; receivers]).each(n)
        });
    }
}

/// Adds a channel whose receiving end cannot be cloned.
fn to_one<S: BlockingSend + Clone, R: BlockingRecv>(
    table: &mut Table,
    name: &'static str,
    open: impl Fn() -> (S, R) + 'static,
) {
    table.add("4-to-1", name, move |n| {
        let (sender, receiver) = open();
        on_threads(n, vec![sender; 4], vec![receiver]).each(n)
    });
}

fn tasks<S: AsyncSend + Clone, R: AsyncRecv + Clone>(
    table: &mut Table,
    name: &'static str,
    open: impl Fn() -> (S, R) + Copy + 'static,
) {
    let run = move |runtime: &Runtime, n| {
        let (sender, receiver) = open();
        on_tasks(runtime, n, vec![sender; 4], vec![receiver; 4]).each(n)
    };
    table.add("4-to-4-current-thread", name, move |n| run(&current_thread(), n));
    table.add("4-to-4-multi-thread", name, move |n| run(&two_workers(), n));
}

/// Adds a channel to the row in which threads and tasks share it. `open` returns the ends for the threads and those for the tasks.
fn mixed<S, R, A, B>(
    table: &mut Table,
    name: &'static str,
    open: impl Fn() -> ((S, R), (A, B)) + 'static,
) where
    S: BlockingSend + Clone,
    R: BlockingRecv + Clone,
    A: AsyncSend + Clone,
    B: AsyncRecv + Clone,
{
    table.add("mixed", name, move |n| {
        let ((sender, receiver), (async_sender, async_receiver)) = open();
        let runtime = current_thread();
        let mut parts = parts(n, 4);
        let clock = Clock::start();
        let items = thread::scope(|scope| {
            for part in parts.by_ref().take(2) {
                let sender = sender.clone();
                scope.spawn(move || send_part(sender, part));
            }
            let mut receivers = spawn_receivers(scope, vec![receiver; 2], || {});
            drop(sender);
            let senders = vec![async_sender; 2];
            let mut items =
                in_tasks(&runtime, senders.into_iter().zip(parts), vec![async_receiver; 2]);
            items.extend(receivers.drain(..).map(joined));
            items
        });
        let spent = clock.stop();
        check(n, items);
        spent.each(n)
    });
}

/// Passes `n` items in equal parts. Each end has a thread of its own.
pub(crate) fn on_threads(
    n: u64,
    senders: Vec<impl BlockingSend>,
    receivers: Vec<impl BlockingRecv>,
) -> Spent {
    let parts = parts(n, senders.len());
    let barrier = &Barrier::new(senders.len() + receivers.len() + 1);
    // The first wait ends when all threads exist, the second one when the clock runs.
    let start = || {
        barrier.wait();
        barrier.wait();
    };
    let (clock, items) = thread::scope(|scope| {
        for (sender, part) in senders.into_iter().zip(parts) {
            scope.spawn(move || {
                start();
                send_part(sender, part);
            });
        }
        let receivers = spawn_receivers(scope, receivers, start);
        barrier.wait();
        let clock = Clock::start();
        barrier.wait();
        (clock, receivers.into_iter().map(joined).collect())
    });
    let spent = clock.stop();
    check(n, items);
    spent
}

fn send_part(mut sender: impl BlockingSend, part: Range<u64>) {
    for item in part {
        assert!(sender.send_item(item), "a receiver");
    }
}

fn spawn_receivers<'scope>(
    scope: &'scope Scope<'scope, '_>,
    receivers: Vec<impl BlockingRecv>,
    start: impl Fn() + Copy + Send + 'scope,
) -> Vec<ScopedJoinHandle<'scope, AnyOrder>> {
    let receive = |mut receiver: _| {
        scope.spawn(move || {
            start();
            let mut items = AnyOrder::default();
            while let Some(item) = BlockingRecv::recv_item(&mut receiver) {
                items.add(item);
            }
            items
        })
    };
    receivers.into_iter().map(receive).collect()
}

fn joined(receiver: ScopedJoinHandle<'_, AnyOrder>) -> AnyOrder {
    receiver.join().expect("a receiver that does not panic")
}

/// Passes `n` items in equal parts. Each end has a task of its own.
pub(crate) fn on_tasks(
    runtime: &Runtime,
    n: u64,
    senders: Vec<impl AsyncSend>,
    receivers: Vec<impl AsyncRecv>,
) -> Spent {
    let parts = parts(n, senders.len());
    let clock = Clock::start();
    let items = in_tasks(runtime, senders.into_iter().zip(parts), receivers);
    let spent = clock.stop();
    check(n, items);
    spent
}

/// Runs a task for each sender and for each receiver until all of them are done.
fn in_tasks(
    runtime: &Runtime,
    senders: impl Iterator<Item = (impl AsyncSend, Range<u64>)>,
    receivers: Vec<impl AsyncRecv>,
) -> Vec<AnyOrder> {
    runtime.block_on(async {
        let send = |(mut sender, part): (_, Range<u64>)| async move {
            for item in part {
                assert!(AsyncSend::send_item_async(&mut sender, item).await, "a receiver");
            }
        };
        let senders: Vec<_> = senders.map(send).map(tokio::spawn).collect();
        let receive = |mut receiver: _| async move {
            let mut items = AnyOrder::default();
            while let Some(item) = AsyncRecv::recv_item_async(&mut receiver).await {
                items.add(item);
            }
            items
        };
        let receivers: Vec<_> = receivers.into_iter().map(receive).map(tokio::spawn).collect();
        for sender in senders {
            sender.await.expect("a sender that does not panic");
        }
        let mut items = Vec::new();
        for receiver in receivers {
            items.push(receiver.await.expect("a receiver that does not panic"));
        }
        items
    })
}

/// Splits the numbers below `n` into so many equal parts.
fn parts(n: u64, count: usize) -> impl Iterator<Item = Range<u64>> {
    let count = count as u64;
    (0..count).map(move |part| n * part / count..n * (part + 1) / count)
}

/// Checks items in any order: their number, their sum, and the sum of their mixed bits, which changes if one item arrives twice
/// in place of another one.
#[derive(Default, PartialEq, Debug)]
pub(crate) struct AnyOrder {
    count: u64,
    sum: u64,
    mixed: u64,
}

impl AnyOrder {
    #[inline]
    pub(crate) fn add(&mut self, item: u64) {
        let spread = item.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.count += 1;
        self.sum = self.sum.wrapping_add(item);
        self.mixed =
            self.mixed.wrapping_add((spread ^ spread >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93));
    }
}

/// Panics unless the items were the numbers below `n`, each once.
pub(crate) fn check(n: u64, items: Vec<AnyOrder>) {
    let mut expected = AnyOrder::default();
    (0..n).for_each(|item| expected.add(item));
    let mut sum = AnyOrder::default();
    for part in items {
        sum.count += part.count;
        sum.sum = sum.sum.wrapping_add(part.sum);
        sum.mixed = sum.mixed.wrapping_add(part.mixed);
    }
    assert_eq!(sum, expected, "each item, once");
}
