//! Many to many: the programs that other channels without capacity are known by, on threads, in tasks and mixed.

use std::future::Future;

use crate::support::thread;
use crate::support::*;
use handover::{Why, rendezvous};

/// Ways to run bodies that end when their channels do: each on a thread, each as a task of one executor, or in turns.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Chain {
    Threads,
    Tasks,
    Mixed,
}

impl Chain {
    const ALL: [Self; 3] = [Self::Threads, Self::Tasks, Self::Mixed];

    const fn how(self, n: usize) -> How {
        match self {
            Self::Threads => How::Thread,
            Self::Tasks => How::Task,
            Self::Mixed if n % 2 == 0 => How::Thread,
            Self::Mixed => How::Task,
        }
    }
}

/// Starts bodies, and waits in its drop until all of them have ended.
struct Crew {
    chain: Chain,
    tasks: tokio::runtime::Runtime,
    threads: Vec<thread::JoinHandle<()>>,
    handles: Vec<tokio::task::JoinHandle<()>>,
}

impl Crew {
    fn new(chain: Chain) -> Self {
        let tasks = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        Self { chain, tasks, threads: Vec::new(), handles: Vec::new() }
    }

    /// `body` waits only for operations, by `How::run`.
    fn add<F: Future<Output = ()> + Send + 'static>(&mut self, body: impl FnOnce(How) -> F) {
        let n = self.threads.len() + self.handles.len();
        let how = self.chain.how(n);
        let body = body(how);
        match how {
            How::Thread => self.threads.push(thread::spawn(move || how.drive(body))),
            How::Task => self.handles.push(self.tasks.spawn(body)),
        }
    }

    fn join(self) {
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.tasks.block_on(async {
            for handle in self.handles {
                handle.await.unwrap();
            }
        });
    }
}

// ---- the sieve, the ring

#[test]
fn prime_sieve() {
    let _watchdog = Watchdog::new();
    for chain in Chain::ALL {
        let mut crew = Crew::new(chain);
        let (tx, mut rx) = rendezvous::<u32>();
        crew.add(|how| async move { drop(how.run(tx.send_all(2..)).await) });
        let mut primes = Vec::new();
        for _ in 0..40 {
            let prime = rx.recv().wait().unwrap();
            primes.push(prime);
            let (tx, next) = rendezvous();
            let source = std::mem::replace(&mut rx, next);
            crew.add(|how| async move {
                while let Ok(n) = how.run(source.recv()).await {
                    if n % prime != 0 && how.run(tx.send(n)).await.is_err() {
                        return;
                    }
                }
            });
        }
        assert_eq!(primes[..10], [2, 3, 5, 7, 11, 13, 17, 19, 23, 29], "{chain:?}");
        assert_eq!(primes[39], 173, "{chain:?}");
        drop(rx);
        crew.join();
    }
}

#[test]
fn a_token_goes_round_a_ring_of_a_hundred() {
    let _watchdog = Watchdog::new();
    const LAPS: u32 = 10;
    for chain in Chain::ALL {
        let mut crew = Crew::new(chain);
        let (first, mut rx) = rendezvous::<u32>();
        for n in 1..100 {
            let (tx, next) = rendezvous();
            let source = std::mem::replace(&mut rx, next);
            crew.add(|how| async move {
                for lap in 0..LAPS {
                    let token = how.run(source.recv()).await.unwrap();
                    assert_eq!(token, lap * 100 + n);
                    how.run(tx.send(token + 1)).await.unwrap();
                }
                assert!(how.run(source.recv()).await.unwrap_err().is_end());
            });
        }
        // The hundredth is this thread.
        let mut token = 0;
        for lap in 1..=LAPS {
            first.send(token + 1).wait().unwrap();
            token = rx.recv().wait().unwrap();
            assert_eq!(token, lap * 100);
        }
        drop(first);
        assert!(rx.recv().wait().unwrap_err().is_end(), "the end goes round too");
        crew.join();
    }
}

#[test]
fn ping_pong_on_two_channels() {
    let _watchdog = Watchdog::new();
    const N: u32 = 2_000;
    in_all_pairings(|pairing, first| {
        let ((to, asked), (answers, from)) = (rendezvous(), rendezvous());
        let ((), sum) = pair(
            pairing,
            first,
            async |how| {
                while let Ok(n) = how.run(asked.recv()).await {
                    how.run(answers.send(n + 1)).await.unwrap();
                }
            },
            async move |how| {
                let to = to;
                let mut sum = 0;
                for n in 0..N {
                    how.run(to.send(n)).await.unwrap();
                    sum += how.run(from.recv()).await.unwrap();
                }
                sum
            },
        );
        assert_eq!(sum, N * (N + 1) / 2, "{pairing:?}");
    });
}

#[test]
fn a_pipeline_of_threads_then_tasks_then_threads() {
    let _watchdog = Watchdog::new();
    const N: usize = 300;
    let census = Census::new();
    let tasks = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (raw_tx, raw) = rendezvous::<Counted>();
    let (done_tx, done) = rendezvous::<(usize, Counted)>();
    let handles: Vec<_> = (0..3)
        .map(|worker| {
            let (raw, done) = (raw.clone(), done_tx.clone());
            tasks.spawn(async move {
                while let Ok(value) = raw.recv().await {
                    done.send((worker, value)).await.unwrap();
                }
                assert_eq!(raw.end(), Some(Why::Dropped));
            })
        })
        .collect();
    drop((raw, done_tx));
    let mut ids = thread::scope(|scope| {
        for _ in 0..3 {
            let (tx, census) = (raw_tx.clone(), &census);
            scope.spawn(move || {
                tx.send_all(std::iter::repeat_with(|| census.make()).take(N)).wait().unwrap();
            });
        }
        drop(raw_tx);
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let done = done.clone();
                scope.spawn(move || done.iter().map(|(_, value)| value.id).collect::<Vec<_>>())
            })
            .collect();
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..3 * N));
    census.assert_settled();
    assert_eq!(done.stats().handed_over as usize, 3 * N);
    tasks.block_on(async {
        for handle in handles {
            handle.await.unwrap();
        }
    });
}

// ---- alone

#[test]
fn sending_to_oneself_on_one_thread_gives_the_value_back() {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let error = tx.send(census.make()).now().unwrap_err();
    assert!(error.is_not_ready());
    assert_eq!(error.into_unsent().unwrap(), 0);
    // The same holds beside a receive of the same task that has no value yet.
    let mut recv = rx.recv();
    pend(&mut recv);
    assert_eq!(tx.send(census.make()).now().unwrap_err().into_unsent().unwrap(), 1);
    let timeout = std::time::Duration::from_millis(1);
    assert!(tx.send(census.make()).wait_timeout(timeout).unwrap_err().is_timed_out());
    pend(&mut recv);
    drop(recv);
    assert_eq!(tx.stats().handed_over, 0);
    census.assert_settled();
}
