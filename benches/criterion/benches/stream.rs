//! The cost of an item in batches, thread to thread, by the size of a batch and of an item.
//!
//! `cargo bench --bench stream` in `benches/criterion`. `benches/rivals` compares it with other crates.

use std::time::{Duration, Instant};
use std::{array, thread};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use handover::{Reader, stream};

/// Times `n` items of `WORDS * 8` bytes. `read` returns the sum of their first words.
fn timed<const WORDS: usize>(
    n: u64,
    read: impl FnOnce(&mut Reader<[u64; WORDS]>) -> u64,
) -> Duration {
    let (mut writer, mut reader) = stream();
    thread::scope(|scope| {
        scope.spawn(move || {
            writer.write((0..n).map(|item| array::from_fn(|_| item))).wait().unwrap();
            writer.finish().unwrap();
        });
        let start = Instant::now();
        assert_eq!(read(&mut reader), n * n.saturating_sub(1) / 2);
        start.elapsed()
    })
}

fn batches<const WORDS: usize>(c: &mut Criterion) {
    let mut group = c.benchmark_group(format!("batches, items of {} bytes", WORDS * 8));
    group.throughput(Throughput::Elements(1));
    for size in [1, 16, 256, 4096] {
        group.bench_with_input(BenchmarkId::new("ahead", size), &size, |b, &size| {
            b.iter_custom(|n| {
                timed::<WORDS>(n, |reader| reader.ahead(size).map(|item| item[0]).sum())
            });
        });
        group.bench_with_input(BenchmarkId::new("read_into", size), &size, |b, &size| {
            b.iter_custom(|n| {
                timed::<WORDS>(n, |reader| {
                    let (mut batch, mut sum) = (Vec::new(), 0);
                    while reader.read_into(size, &mut batch).wait().unwrap() > 0 {
                        sum += batch.drain(..).map(|item| item[0]).sum::<u64>();
                    }
                    sum
                })
            });
        });
    }
    group.bench_function("recv, one by one", |b| {
        b.iter_custom(|n| timed::<WORDS>(n, |reader| reader.iter().map(|item| item[0]).sum()));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = batches::<1>, batches::<32>
}
criterion_main!(benches);
