//! The cost of an item in lockstep, beside a bare cache line that two threads pass to each other.
//!
//! `cargo bench --bench lockstep` in `benches/criterion`. A sample sets up a channel once and passes many items.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use futures_lite::future::{block_on, zip};
use handover::{Client, Server, duplex, simplex};

fn serve(server: &mut Server<u64>, n: u64) {
    for item in 0..n {
        server.send(item).wait().unwrap();
    }
}

async fn serve_async(server: &mut Server<u64>, n: u64) {
    for item in 0..n {
        server.send(item).await.unwrap();
    }
}

fn sum(client: &mut Client<u64>, n: u64) -> u64 {
    (0..n).map(|_| client.recv().wait().unwrap()).sum()
}

async fn sum_async(client: &mut Client<u64>, n: u64) -> u64 {
    let mut sum = 0;
    for _ in 0..n {
        sum += client.recv().await.unwrap();
    }
    sum
}

const fn expected(n: u64) -> u64 {
    n * n.saturating_sub(1) / 2
}

/// Times `n` items between two threads: `serve` runs on a second thread, `consume` on this one.
fn timed(
    n: u64,
    serve: impl FnOnce(Server<u64>) + Send,
    consume: impl FnOnce(&mut Client<u64>) -> u64,
) -> Duration {
    let (server, mut client) = simplex();
    thread::scope(|scope| {
        scope.spawn(|| serve(server));
        let start = Instant::now();
        assert_eq!(consume(&mut client), expected(n));
        let elapsed = start.elapsed();
        client.close();
        elapsed
    })
}

/// Checks the last send, which waits for another demand until the client closes.
fn last(result: Result<(), handover::SendError<u64>>) {
    result.unwrap_or_else(|error| assert!(error.is_end() && error.unsent().is_none()));
}

fn raw_ping_pong(n: u64) -> Duration {
    #[repr(align(128))]
    struct Line(AtomicU64);
    let line = Line(AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0..n {
                while line.0.load(Ordering::Acquire) != 2 * turn + 1 {
                    spin_loop();
                }
                line.0.store(2 * turn + 2, Ordering::Release);
            }
        });
        let start = Instant::now();
        for turn in 0..n {
            line.0.store(2 * turn + 1, Ordering::Release);
            while line.0.load(Ordering::Acquire) != 2 * turn + 2 {
                spin_loop();
            }
        }
        start.elapsed()
    })
}

fn lockstep(c: &mut Criterion) {
    let mut group = c.benchmark_group("lockstep");
    group.bench_function("raw cache line ping-pong", |b| b.iter_custom(raw_ping_pong));
    group.bench_function("simplex, thread to thread", |b| {
        b.iter_custom(|n| {
            let server = move |mut server: Server<u64>| {
                serve(&mut server, n - 1);
                last(server.send(n - 1).wait());
            };
            timed(n, server, |client| sum(client, n))
        });
    });
    group.bench_function("simplex, thread to task", |b| {
        b.iter_custom(|n| {
            let server = move |mut server: Server<u64>| {
                serve(&mut server, n - 1);
                last(server.send(n - 1).wait());
            };
            timed(n, server, |client| block_on(sum_async(client, n)))
        });
    });
    group.bench_function("simplex, task to thread", |b| {
        b.iter_custom(|n| {
            let server = move |mut server: Server<u64>| {
                block_on(async {
                    serve_async(&mut server, n - 1).await;
                    last(server.send(n - 1).await);
                });
            };
            timed(n, server, |client| sum(client, n))
        });
    });
    group.bench_function("simplex, task to task on two threads", |b| {
        b.iter_custom(|n| {
            let server = move |mut server: Server<u64>| {
                block_on(async {
                    serve_async(&mut server, n - 1).await;
                    last(server.send(n - 1).await);
                });
            };
            timed(n, server, |client| block_on(sum_async(client, n)))
        });
    });
    group.bench_function("simplex, two tasks in one task", |b| {
        b.iter_custom(|n| {
            let (mut server, mut client) = simplex();
            let start = Instant::now();
            let serve = async move {
                serve_async(&mut server, n - 1).await;
                server.finish_with(n - 1).unwrap();
            };
            let ((), sum) = block_on(zip(serve, sum_async(&mut client, n)));
            assert_eq!(sum, expected(n));
            start.elapsed()
        });
    });
    group.bench_function("duplex round trip, thread to thread", |b| {
        b.iter_custom(|n| {
            let (mut server, mut client) = duplex::<u64, u64>();
            thread::scope(|scope| {
                scope.spawn(move || {
                    let mut demand = server.demand().wait();
                    while let Ok(number) = demand {
                        demand = server
                            .exchange(number + 1)
                            .wait()
                            .map_err(|_| server.demand().now().unwrap_err());
                    }
                });
                let start = Instant::now();
                for number in 0..n {
                    assert_eq!(client.exchange(number).wait().unwrap(), number + 1);
                }
                let elapsed = start.elapsed();
                client.close();
                elapsed
            })
        });
    });
    group.bench_function("create and drop", |b| b.iter(|| black_box(simplex::<u64>())));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = lockstep
}
criterion_main!(benches);
