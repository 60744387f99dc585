//! Many to many: the programs that other channels without capacity are known by, on threads, in tasks and mixed.

use std::future::Future;
use std::thread;

use crate::support::*;
use futures_lite::future::block_on;
use handover::{Receiver, Sender, Why, rendezvous};

/// Runs bodies that end when their channels do: each on a thread, each as a task of one executor, or in turns.
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

/// Starts bodies; whoever drops it has seen them all end.
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

// ---- the end wakes all

const MANY: usize = 64;

/// How the last end of a side goes.
const WAYS: [Why; 3] = [Why::Closed, Why::Dropped, Why::Panicked];

#[test]
fn the_end_wakes_all_receivers() {
    let _watchdog = Watchdog::new();
    for why in WAYS {
        let (tx, rx) = rendezvous::<u8>();
        let bells: Vec<_> = (0..MANY).map(|_| Bell::new()).collect();
        let mut recvs: Vec<_> = bells.iter().map(|(_, waker)| (rx.recv(), waker)).collect();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..MANY)
                .map(|n| {
                    let rx = &rx;
                    scope.spawn(move || match n % 4 {
                        0 => rx
                            .iter()
                            .next()
                            .map_or_else(|| rx.end().unwrap(), |_| panic!("a value")),
                        1 => rx.recv().wait_timeout(std::time::Duration::MAX).unwrap_err().why(),
                        2 => rx.closed().wait().unwrap(),
                        _ => rx.recv().wait().unwrap_err().why(),
                    })
                })
                .collect();
            for (recv, waker) in &mut recvs {
                assert!(poll_with(recv, waker).is_pending());
            }
            // A quarter of the threads only watch.
            until(|| tx.stats().waiting_receivers == MANY + MANY / 4 * 3);
            let_them_park();
            leave(tx, why, |tx| _ = tx.close());
            for thread in threads {
                assert_eq!(thread.join().unwrap(), why);
            }
        });
        for ((recv, _), (bell, _)) in recvs.iter_mut().zip(&bells) {
            assert!(bell.rings() > 0, "{why:?}");
            assert_eq!(ready(recv).unwrap_err().why(), why);
        }
        assert_eq!(rx.stats().waiting_receivers, 0);
    }
}

#[test]
fn the_end_wakes_all_senders() {
    let _watchdog = Watchdog::new();
    for why in WAYS {
        let census = Census::new();
        let (tx, rx) = rendezvous();
        let bells: Vec<_> = (0..MANY).map(|_| Bell::new()).collect();
        let mut sends: Vec<_> =
            bells.iter().map(|(_, waker)| (tx.send(census.make()), waker)).collect();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..MANY)
                .map(|n| {
                    let (tx, census) = (&tx, &census);
                    scope.spawn(move || match n % 4 {
                        0 => {
                            let error =
                                tx.send_all([census.make(), census.make()]).wait().unwrap_err();
                            let why = error.why();
                            assert_eq!(error.into_rest().count(), 2);
                            why
                        }
                        1 => tx.reserve().wait().map(drop).unwrap_err().why(),
                        _ => {
                            let error = tx.send(census.make()).wait().unwrap_err();
                            assert!(error.unsent().is_some());
                            error.why()
                        }
                    })
                })
                .collect();
            for (send, waker) in &mut sends {
                assert!(poll_with(send, waker).is_pending());
            }
            until(|| rx.stats().waiting_senders == 2 * MANY);
            let_them_park();
            leave(rx, why, |rx| _ = rx.close());
            for thread in threads {
                assert_eq!(thread.join().unwrap(), why);
            }
        });
        for ((send, _), (bell, _)) in sends.iter_mut().zip(&bells) {
            assert!(bell.rings() > 0, "{why:?}");
            let error = ready(send).unwrap_err();
            assert_eq!(error.why(), why);
            assert!(error.into_unsent().is_some());
        }
        assert_eq!(tx.stats().waiting_senders, 0);
        drop(sends);
        census.assert_settled();
    }
}

fn leave<E>(end: E, why: Why, close: impl FnOnce(&E)) {
    match why {
        Why::Closed => close(&end),
        Why::Panicked => assert!(panics(move || {
            let _end = end;
            quiet_panic();
        })),
        _ => drop(end),
    }
}

// ---- alone

#[test]
fn sending_to_oneself_on_one_thread_gives_the_value_back() {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let error = tx.send(census.make()).now().unwrap_err();
    assert!(error.is_not_ready());
    assert_eq!(error.into_unsent().unwrap(), 0);
    // Also beside a receive of the same task, which has no value to hold yet.
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

#[test]
fn an_end_made_after_the_close_is_closed() {
    fn all_closed(tx: &Sender<u8>, rx: &Receiver<u8>) {
        assert!(tx.is_closed() && rx.is_closed());
        assert_eq!(rx.end(), Some(Why::Closed));
        assert_eq!(tx.send(1).now().unwrap_err().why(), Why::Closed);
        assert_eq!(block_on(tx.send(1)).unwrap_err().into_unsent(), Some(1));
        assert!(tx.send_all([1, 2]).wait().unwrap_err().into_rest().eq([1, 2]));
        assert_eq!(tx.reserve().now().unwrap_err().why(), Why::Closed);
        assert_eq!(rx.recv().wait().unwrap_err().why(), Why::Closed);
        assert_eq!((rx.iter().next(), rx.into_iter().next()), (None, None));
        assert_eq!((tx.closed().now(), rx.closed().wait()), (Ok(Why::Closed), Ok(Why::Closed)));
        assert!(!tx.close() && !rx.close());
    }
    let (tx, rx) = rendezvous();
    let (weak_tx, weak_rx) = (tx.downgrade(), rx.downgrade());
    tx.close();
    all_closed(&tx, &rx);
    all_closed(&tx.clone(), &rx.clone());
    all_closed(&weak_tx.upgrade().unwrap(), &weak_rx.upgrade().unwrap());
    assert_eq!((tx.stats().senders, tx.stats().receivers), (1, 1));
    drop((tx, rx));
    assert!(weak_tx.upgrade().is_none() && weak_rx.clone().upgrade().is_none());
}
