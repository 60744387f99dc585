//! The cost of an item from a routine that its consumer drives, and from a routine on a thread.
//!
//! `cargo bench --bench produce` in `benches/criterion`.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use futures_lite::StreamExt;
use futures_lite::future::block_on;
use handover::{Generator, generate, produce};

fn numbers(n: u64) -> Generator<u64, impl Future<Output = ()> + Send> {
    generate(move |mut server| async move {
        for item in 0..n {
            if server.send(item).await.is_err() {
                break;
            }
        }
    })
}

fn timed(n: u64, sum: impl FnOnce() -> u64) -> Duration {
    let start = Instant::now();
    assert_eq!(sum(), n * n.saturating_sub(1) / 2);
    start.elapsed()
}

fn producers(c: &mut Criterion) {
    let mut group = c.benchmark_group("producers");
    group.bench_function("generate, as an iterator", |b| {
        b.iter_custom(|n| timed(n, || numbers(n).sum()))
    });
    group.bench_function("generate, as a stream", |b| {
        b.iter_custom(|n| {
            timed(n, || block_on(numbers(n).into_stream().fold(0, |sum, item| sum + item)))
        });
    });
    group.bench_function("produce, on a thread", |b| {
        b.iter_custom(|n| {
            timed(n, || produce(move |server| _ = server.send_all(0..n).wait()).sum())
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = producers
}
criterion_main!(benches);
