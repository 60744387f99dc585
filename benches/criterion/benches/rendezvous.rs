//! The cost of an item from many senders to many receivers, and the cost of a select.
//!
//! `cargo bench --bench rendezvous` in `benches/criterion`. `benches/rivals` compares it with other crates.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_lite::future::{block_on, zip};
use handover::{Receiver, Sel2, Sender, rendezvous, select};

const fn expected(n: u64) -> u64 {
    n * n.saturating_sub(1) / 2
}

/// The numbers below `n` that one of so many senders sends.
fn part(n: u64, sender: u64, senders: u64) -> std::ops::Range<u64> {
    n * sender / senders..n * (sender + 1) / senders
}

fn send(tx: Sender<u64>, mut items: impl Iterator<Item = u64>) {
    items.try_for_each(|item| tx.send(item).wait()).unwrap();
}

async fn send_async(tx: Sender<u64>, items: impl Iterator<Item = u64>) {
    for item in items {
        tx.send(item).await.unwrap();
    }
}

async fn sum_async(rx: Receiver<u64>) -> u64 {
    let mut sum = 0;
    while let Ok(item) = rx.recv().await {
        sum += item;
    }
    sum
}

/// Times `n` items from so many sending threads to so many receiving threads.
fn many_to_many(n: u64, senders: u64, receivers: u64) -> Duration {
    let (tx, rx) = rendezvous();
    let start = Instant::now();
    let sum: u64 = thread::scope(|scope| {
        for sender in 0..senders {
            let tx = tx.clone();
            scope.spawn(move || send(tx, part(n, sender, senders)));
        }
        drop(tx);
        let receivers: Vec<_> =
            (0..receivers).map(|_| scope.spawn(|| rx.iter().sum::<u64>())).collect();
        receivers.into_iter().map(|receiver| receiver.join().unwrap()).sum()
    });
    assert_eq!(sum, expected(n));
    start.elapsed()
}

/// Times `n` items from another thread to this one. `receive` returns their sum.
fn pair(
    n: u64,
    send: impl FnOnce(Sender<u64>) + Send,
    receive: impl FnOnce(Receiver<u64>) -> u64,
) -> Duration {
    let (tx, rx) = rendezvous();
    thread::scope(|scope| {
        scope.spawn(|| send(tx));
        let start = Instant::now();
        assert_eq!(receive(rx), expected(n));
        start.elapsed()
    })
}

fn many(c: &mut Criterion) {
    let mut group = c.benchmark_group("rendezvous");
    for (senders, receivers) in [(1, 1), (4, 1), (1, 4), (4, 4)] {
        let id = BenchmarkId::new("threads", format!("{senders} to {receivers}"));
        group.bench_function(id, |b| b.iter_custom(|n| many_to_many(n, senders, receivers)));
    }
    group.bench_function("thread to task", |b| {
        b.iter_custom(|n| pair(n, |tx| send(tx, 0..n), |rx| block_on(sum_async(rx))));
    });
    group.bench_function("task to thread", |b| {
        b.iter_custom(|n| pair(n, |tx| block_on(send_async(tx, 0..n)), |rx| rx.iter().sum()));
    });
    group.bench_function("two tasks in one task", |b| {
        b.iter_custom(|n| {
            let (tx, rx) = rendezvous();
            let start = Instant::now();
            let ((), sum) = block_on(zip(send_async(tx, 0..n), sum_async(rx)));
            assert_eq!(sum, expected(n));
            start.elapsed()
        });
    });
    group.bench_function("select of 2, thread to thread", |b| {
        b.iter_custom(|n| {
            let (a, b) = (rendezvous(), rendezvous());
            thread::scope(|scope| {
                scope.spawn(move || {
                    for item in 0..n {
                        let tx = if item % 2 == 0 { &a.0 } else { &b.0 };
                        tx.send(item).wait().unwrap();
                    }
                    // Both senders live until all items are sent, so that no arm of the select sees an end.
                    drop((a.0, b.0));
                });
                let start = Instant::now();
                let mut sum = 0;
                for _ in 0..n {
                    let (Sel2::A(item) | Sel2::B(item)) = select((a.1.recv(), b.1.recv())).wait();
                    sum += item.unwrap();
                }
                assert_eq!(sum, expected(n));
                start.elapsed()
            })
        });
    });
    group.bench_function("now() finds nothing", |b| {
        let (_tx, rx) = rendezvous::<u64>();
        b.iter(|| black_box(rx.recv().now().is_err()));
    });
    group.bench_function("create and drop", |b| b.iter(|| black_box(rendezvous::<u64>())));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = many
}
criterion_main!(benches);
