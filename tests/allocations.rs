//! A channel is one allocation, and a message none. Counted by the global allocator, so this file has one test.
#![allow(unsafe_code)] // a global allocator can be had in no other way

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use futures_lite::StreamExt;
use futures_lite::future::{block_on, poll_once, zip};
use handover::{Client, Receiver, Sender, Server, duplex, never, rendezvous, select, simplex};

/// The system's allocator, with counts of the requests of threads that take part (the test harness has other threads).
struct Counting;

thread_local!(static TAKES_PART: Cell<bool> = const { Cell::new(false) });

static CALLS: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// The number of values received so far, for the watchdog.
static PROGRESS: AtomicUsize = AtomicUsize::new(0);
/// Bytes asked for and not given back.
static HELD: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if TAKES_PART.get() {
            CALLS.fetch_add(1, Relaxed);
            BYTES.fetch_add(layout.size(), Relaxed);
            HELD.fetch_add(layout.size() as isize, Relaxed);
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if TAKES_PART.get() {
            FREED.fetch_add(1, Relaxed);
            HELD.fetch_sub(layout.size() as isize, Relaxed);
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations, frees and bytes while `run` runs.
fn count<R>(run: impl FnOnce() -> R) -> (R, [usize; 3]) {
    let read = || [&CALLS, &FREED, &BYTES].map(|counter| counter.load(Relaxed));
    let before = read();
    let result = run();
    let after = read();
    (result, std::array::from_fn(|i| after[i] - before[i]))
}

const ROUNDS: u32 = 2_000;

/// A thread's first park allocates the place on which it parks from then on. Two busy threads may park for the first time late.
fn park_once() {
    let (_server, mut client) = simplex::<u8>();
    assert!(
        client.recv().wait_timeout(std::time::Duration::from_millis(2)).unwrap_err().is_timed_out()
    );
}

/// A scope does not wait for the destructors of a thread's locals, which must not be counted with the next part.
fn leave_out() {
    TAKES_PART.set(false);
}

/// Two threads warm up, and go on while it is counted.
fn between_threads(
    name: &str,
    mut server: impl FnMut(&mut Server<u32>, u32) -> Result<(), ()> + Send,
    mut client: impl FnMut(&mut Client<u32>) -> u32 + Send,
) {
    let (mut tx, mut rx) = simplex();
    thread::scope(|scope| {
        scope.spawn(|| {
            TAKES_PART.set(true);
            park_once();
            for round in 0..2 * ROUNDS {
                // The consumer leaves after the last item, when it has looked at the counters.
                assert_eq!(server(&mut tx, round).is_ok(), round < 2 * ROUNDS - 1, "{name}");
            }
            leave_out();
        });
        let mut take = |range: std::ops::Range<u32>| {
            for round in range {
                assert_eq!(client(&mut rx), round, "{name}");
                PROGRESS.fetch_add(1, Relaxed);
            }
        };
        park_once();
        take(0..ROUNDS);
        let ((), [calls, freed, _]) = count(|| take(ROUNDS..2 * ROUNDS));
        assert_eq!((calls, freed), (0, 0), "{name}");
        drop(rx);
    });
}

fn in_one_task() {
    let (mut tx, mut rx) = duplex::<u32, u32>();
    block_on(async {
        let answer = async {
            let mut demand = tx.demand().await.unwrap();
            while let Ok(next) = tx.exchange(demand + 1).await {
                demand = next;
            }
        };
        let ask = async {
            // The first exchange allocates the wakers.
            assert_eq!(rx.exchange(0).await.unwrap(), 1);
            let (mut sum, before) = (0, CALLS.load(Relaxed));
            for round in 0..ROUNDS {
                sum += rx.exchange(round).await.unwrap();
            }
            assert_eq!(CALLS.load(Relaxed) - before, 0, "two tasks in one task");
            drop(rx);
            assert_eq!(sum, ROUNDS * (ROUNDS + 1) / 2);
        };
        zip(answer, ask).await
    });
}

fn as_a_stream() {
    let (mut tx, mut rx) = simplex();
    block_on(async {
        let produce = async { tx.send_all(0..ROUNDS).await.map(|()| tx.finish()).unwrap() };
        let consume = async {
            let mut items = rx.stream();
            assert_eq!(items.next().await, Some(0));
            let before = CALLS.load(Relaxed);
            for round in 1..ROUNDS {
                assert_eq!(items.next().await, Some(round));
            }
            assert_eq!(items.next().await, None);
            assert_eq!(CALLS.load(Relaxed) - before, 0, "a stream");
        };
        zip(produce, consume).await
    });
}

/// Operations that are given up on cost nothing either.
fn given_up(is_warm: bool) {
    let (mut tx, mut rx) = duplex::<u32, u32>();
    block_on(async {
        let ((), [calls, freed, _]) = count(|| {
            for round in 0..ROUNDS {
                assert!(tx.exchange(round).now().is_err());
                assert_eq!(rx.exchange(round).reclaim(), Some(round));
                assert!(rx.exchange(round).wait_timeout(Duration::ZERO).is_err());
                assert!(tx.demand().now().is_err());
            }
        });
        // This thread's first park allocates.
        assert!(!is_warm || (calls, freed) == (0, 0), "given up: {calls} allocations");
    });
}

// ---- many to many

/// Threads on each side warm up, all of them, and go on while it is counted.
fn many_to_many(
    name: &str,
    threads: u32,
    send: impl Fn(&Sender<u32>, u32) -> bool + Sync,
    receive: impl Fn(&Receiver<u32>) -> u32 + Sync,
) {
    let (tx, rx) = rendezvous();
    let is_over = AtomicBool::new(false);
    let rounds = AtomicUsize::new(0);
    thread::scope(|scope| {
        for n in 0..threads {
            scope.spawn({
                let (tx, send, is_over) = (&tx, &send, &is_over);
                move || {
                    TAKES_PART.set(true);
                    park_once();
                    while send(tx, n) && !is_over.load(Relaxed) {}
                    leave_out();
                }
            });
            // The first receiver is the one that counts, below.
            if n > 0 {
                let (rx, receive, is_over, rounds) = (&rx, &receive, &is_over, &rounds);
                scope.spawn(move || {
                    TAKES_PART.set(true);
                    park_once();
                    while receive(rx) != END && !is_over.load(Relaxed) {
                        rounds.fetch_add(1, Relaxed);
                    }
                    leave_out();
                });
            }
        }
        park_once();
        let take = |n| {
            for _ in 0..n {
                assert_ne!(receive(&rx), END, "{name}");
                PROGRESS.fetch_add(1, Relaxed);
            }
        };
        take(ROUNDS);
        while threads > 1 && (rounds.load(Relaxed) as u32) < ROUNDS {
            take(1);
        }
        // The line may still grow once, when all stand in it for the first time.
        let ((), [calls, freed, bytes]) = count(|| take(ROUNDS));
        is_over.store(true, Relaxed);
        tx.close();
        let most = if threads > 1 { 2 } else { 0 };
        assert!(calls <= most && freed <= most, "{name}: {calls} ({bytes} bytes), {freed} freed");
    });
}

/// No value.
const END: u32 = u32::MAX;

fn rendezvous_in_steady_state() {
    const BY_TASK: [bool; 2] = [false, true];
    for threads in [1, 3] {
        for sends_by_task in BY_TASK {
            for receives_by_task in BY_TASK {
                many_to_many(
                    &format!("{threads} to {threads}, tasks: {sends_by_task}, {receives_by_task}"),
                    threads,
                    |tx, n| {
                        let op = tx.send(n);
                        if sends_by_task { block_on(op) } else { op.wait() }.is_ok()
                    },
                    |rx| {
                        let op = rx.recv();
                        if receives_by_task { block_on(op) } else { op.wait() }.unwrap_or(END)
                    },
                );
            }
        }
    }
    // Each thread waits by turns as a thread and as the executor of a task.
    let turn = || {
        thread_local!(static TURN: Cell<bool> = const { Cell::new(false) });
        TURN.replace(!TURN.get())
    };
    many_to_many(
        "3 to 3, threads and tasks",
        3,
        |tx, n| if turn() { block_on(tx.send(n)) } else { tx.send(n).wait() }.is_ok(),
        |rx| if turn() { block_on(rx.recv()) } else { rx.recv().wait() }.unwrap_or(END),
    );
    many_to_many(
        "send_all to an iterator",
        1,
        |tx, n| tx.send_all([n; 50]).wait().is_ok(),
        |rx| rx.iter().next().unwrap_or(END),
    );
    many_to_many(
        "by permits",
        1,
        |tx, n| tx.reserve().wait().is_ok_and(|permit| permit.send(n).wait().is_ok()),
        |rx| rx.recv().wait().unwrap_or(END),
    );
    many_to_many(
        "with timeouts",
        1,
        |tx, n| tx.send(n).wait_timeout(Duration::from_secs(3600)).is_ok(),
        |rx| rx.recv().wait_timeout(Duration::from_secs(3600)).unwrap_or(END),
    );
}

/// Two tasks in one, and operations that are given up on.
fn rendezvous_in_one_task() {
    let (tx, rx) = rendezvous();
    block_on(async {
        let produce = async { tx.send_all(0..2 * ROUNDS).await.unwrap() };
        let consume = async {
            let mut values = rx.stream();
            for n in 0..ROUNDS {
                assert_eq!(values.next().await, Some(n));
            }
            let before = CALLS.load(Relaxed);
            for n in ROUNDS..2 * ROUNDS {
                assert_eq!(values.next().await, Some(n));
            }
            assert_eq!(CALLS.load(Relaxed) - before, 0, "two tasks in one task");
        };
        zip(produce, consume).await;
        let mut recv = rx.recv();
        assert!(poll_once(&mut recv).await.is_none());
        drop(recv);
        let ((), [calls, freed, _]) = count(|| {
            for n in 0..ROUNDS {
                assert_eq!(tx.send(n).reclaim(), Some(n));
                assert!(tx.send(n).now().is_err() && rx.recv().now().is_err());
                assert!(tx.send(n).wait_timeout(Duration::ZERO).is_err());
                assert!(rx.recv().wait_timeout(Duration::ZERO).is_err());
                assert!(tx.reserve().now().is_err() && tx.closed().now().is_err());
                drop((tx.clone(), rx.clone(), tx.downgrade()));
            }
        });
        assert_eq!((calls, freed), (0, 0), "given up");
    });
}

/// Ten thousand operations wait and go. The channel then holds no more memory than after a few.
fn rendezvous_after_a_burst() {
    const MANY: usize = 10_000;
    fn held<R>(burst: impl FnOnce() -> R) -> isize {
        let before = HELD.load(Relaxed);
        drop(burst());
        HELD.load(Relaxed) - before
    }
    let (tx, rx) = rendezvous();
    let waker = std::task::Waker::noop();
    let poll = |op: &mut dyn Polled| op.is_pending(&mut Context::from_waker(waker));
    // The first few allocate the memory that is kept. (A diagnosis keeps a node for as many as ever waited at once in this process.)
    let mut few: Vec<_> =
        (0..if cfg!(feature = "diagnose") { MANY } else { 4 }).map(|_| never::<u8>()).collect();
    let mut receives: Vec<_> = few.iter().map(|never| never.recv()).collect();
    assert!(receives.iter_mut().all(|op| poll(op)));
    drop(receives);
    few.clear();
    let mut few = [(); 4].map(|()| rx.recv());
    assert!(few.iter_mut().all(|op| poll(op)));
    drop(few);
    let mut few = [(); 4].map(|()| tx.send(0));
    assert!(few.iter_mut().all(|op| poll(op)));
    drop(few);
    let most = 4096;
    for is_backwards in [false, true] {
        let left = held(|| {
            let mut all: Vec<_> = (0..MANY).map(|_| rx.recv()).collect();
            assert!(all.iter_mut().all(|op| poll(op)));
            if is_backwards { all.into_iter().rev().for_each(drop) } else { drop(all) }
        });
        assert!(left <= most, "{left} bytes more, after a burst of receivers");
        let left = held(|| {
            let mut all: Vec<_> = (0..MANY).map(|n| tx.send(n)).collect();
            assert!(all.iter_mut().all(|op| poll(op)));
            // Half of them are received, half give up.
            for n in 0..MANY / 2 {
                assert_eq!(rx.recv().now(), Ok(n));
            }
            if is_backwards { all.into_iter().rev().for_each(drop) } else { drop(all) }
        });
        assert!(left <= most, "{left} bytes more, after a burst of senders");
        let left = held(|| {
            let mut all: Vec<_> = (0..MANY).map(|_| tx.reserve()).collect();
            assert!(all.iter_mut().all(|op| poll(op)));
            drop(all);
            let mut all: Vec<_> = (0..MANY).map(|_| tx.closed()).collect();
            assert!(all.iter_mut().all(|op| poll(op)));
        });
        assert!(left <= most, "{left} bytes more, after a burst of reserves and watchers");
    }
}

trait Polled {
    fn is_pending(&mut self, context: &mut Context<'_>) -> bool;
}

impl<F: Future + Unpin> Polled for F {
    fn is_pending(&mut self, context: &mut Context<'_>) -> bool {
        Pin::new(self).poll(context).is_pending()
    }
}

fn rendezvous_creation() {
    fn create<T>() {
        let (ends, [calls, _, bytes]) = count(rendezvous::<T>);
        assert_eq!(calls, 1, "a channel is one allocation");
        assert!(bytes <= 512, "a channel takes {bytes} bytes, whatever its values");
        let ((), [calls, freed, _]) = count(|| drop(ends));
        assert_eq!((calls, freed), (0, 1), "and one free");
    }
    create::<()>();
    create::<u64>();
    create::<[u8; 4096]>();
    // Nothing is left of a conversation, in whichever order the ends go.
    let before = HELD.load(Relaxed);
    for receiver_first in [true, false] {
        let (tx, rx) = rendezvous();
        assert!(rx.recv().now().is_err());
        let mut send = tx.send(Box::new(1));
        assert!(send.is_pending(&mut Context::from_waker(std::task::Waker::noop())));
        std::mem::forget(send);
        if receiver_first {
            drop(rx);
            drop(tx);
        } else {
            drop(tx);
            drop(rx);
        }
    }
    assert_eq!(HELD.load(Relaxed), before);
}

/// A select that waits with offers allocates the claim that these share; every other select allocates nothing.
fn choices() {
    fn pends(op: &mut (impl Future + Unpin)) -> bool {
        Pin::new(op).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }
    let (tx, rx) = rendezvous::<u32>();
    let (other, _keeps) = rendezvous::<u32>();
    let (mut server, mut client) = simplex::<u32>();
    let quiet = never::<u32>();
    let mut receive = || {
        for round in 0..ROUNDS {
            let mut choice = select((rx.recv(), quiet.recv(), client.recv()));
            assert!(pends(&mut choice));
            let mut send = tx.send(round);
            assert!(pends(&mut send));
            assert!(!pends(&mut choice) && !pends(&mut send));
            let mut choice = select((tx.closed(), quiet.recv(), server.demand(), rx.recv()));
            assert!(!pends(&mut choice), "a demand stands");
            let mut send = tx.send(round);
            assert!(pends(&mut send));
            assert!(select((other.send(1), rx.recv())).now().is_some(), "there at once");
            assert!(select((other.send(1), rx.recv())).now().is_none());
        }
    };
    let send = || {
        for round in 0..ROUNDS {
            let mut choice = select((tx.send(round), other.send(round), tx.reserve()));
            assert!(pends(&mut choice) && pends(&mut choice));
            assert_eq!(rx.recv().now(), Ok(round));
            assert!(!pends(&mut choice));
        }
    };
    // The first time, the queues grow.
    receive();
    send();
    let ((), [calls, freed, _]) = count(&mut receive);
    assert_eq!((calls, freed), (0, 0), "choices of what is received, or is there");
    let ((), [calls, freed, _]) = count(send);
    assert_eq!((calls, freed), (ROUNDS as usize, ROUNDS as usize), "choices with offers");
}

fn creation() {
    fn create<T, U>() {
        let (ends, [calls, _, bytes]) = count(duplex::<T, U>);
        assert_eq!(calls, 1, "a channel is one allocation");
        let values = size_of::<T>().max(size_of::<U>());
        assert!(bytes <= 256 + values, "a channel of {values} takes {bytes} bytes");
        let ((), [calls, freed, _]) = count(|| drop(ends));
        assert_eq!((calls, freed), (0, 1), "and one free");
    }
    create::<(), ()>();
    create::<u64, ()>();
    create::<[u8; 24], String>();
    create::<[u8; 4096], u8>();
    create::<u8, [u8; 4096]>();
}

#[test]
fn a_message_allocates_nothing() {
    let (done, watched) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        let (mut idle_seconds, mut seen) = (0, 0);
        while watched.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
            let now = PROGRESS.load(Relaxed);
            idle_seconds = if now == seen { idle_seconds + 1 } else { 0 };
            seen = now;
            if idle_seconds >= 60 {
                eprintln!("a conversation hangs");
                std::process::abort();
            }
        }
    });
    TAKES_PART.set(true);
    given_up(false);
    choices(); // before there are threads, whose last destructors run when they have been joined
    creation();
    between_threads(
        "thread to thread",
        |tx, item| tx.send(item).wait().map_err(drop),
        |rx| rx.recv().wait().unwrap(),
    );
    between_threads(
        "thread to iterator",
        |tx, item| tx.send(item).wait().map_err(drop),
        |rx| rx.iter().next().unwrap(),
    );
    between_threads(
        "thread to task",
        |tx, item| tx.send(item).wait().map_err(drop),
        |rx| block_on(rx.recv()).unwrap(),
    );
    between_threads(
        "task to thread",
        |tx, item| block_on(tx.send(item)).map_err(drop),
        |rx| rx.recv().wait().unwrap(),
    );
    between_threads(
        "task to task",
        |tx, item| block_on(tx.send(item)).map_err(drop),
        |rx| block_on(rx.recv()).unwrap(),
    );
    in_one_task();
    as_a_stream();
    given_up(true);
    rendezvous_creation();
    rendezvous_in_steady_state();
    rendezvous_in_one_task();
    rendezvous_after_a_burst();

    // Nothing is left of a conversation, in whichever order the ends go.
    let ((), [calls, freed, _]) = count(|| {
        for client_first in [true, false] {
            let (mut tx, mut rx) = simplex();
            assert!(rx.recv().now().is_err());
            assert!(tx.send(Box::new(1)).now().is_err());
            if client_first {
                drop(rx);
                drop(tx);
            } else {
                tx.finish_with(Box::new(2)).unwrap();
                drop(rx);
            }
        }
    });
    assert_eq!(calls, freed, "allocations and frees");

    drop(done);
    watchdog.join().unwrap();
}
