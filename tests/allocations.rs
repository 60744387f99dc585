//! A channel is one allocation, and a message none. Counted by the global allocator, so this file has one test.
#![allow(unsafe_code)] // a global allocator can be had in no other way

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_lite::StreamExt;
use futures_lite::future::{block_on, zip};
use handover::{Client, Server, duplex, simplex};

/// The system's allocator, and what the threads that take part asked of it (the test harness has others).
struct Counting;

thread_local!(static TAKES_PART: Cell<bool> = const { Cell::new(false) });

static CALLS: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if TAKES_PART.get() {
            CALLS.fetch_add(1, Relaxed);
            BYTES.fetch_add(layout.size(), Relaxed);
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if TAKES_PART.get() {
            FREED.fetch_add(1, Relaxed);
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

/// A thread's first park allocates what it parks on, for all its waits. Two hot threads may come to it late.
fn park_once() {
    let (_server, mut client) = simplex::<u8>();
    assert!(
        client.recv().wait_timeout(std::time::Duration::from_millis(2)).unwrap_err().is_timed_out()
    );
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
        });
        let mut take = |range: std::ops::Range<u32>| {
            for round in range {
                assert_eq!(client(&mut rx), round, "{name}");
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
            // The first exchange brings the wakers to their seats.
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
        // The first time this thread makes what it parks on.
        assert!(!is_warm || (calls, freed) == (0, 0), "given up: {calls} allocations");
    });
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
        if watched.recv_timeout(Duration::from_secs(120)) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("a conversation hangs");
            std::process::abort();
        }
    });
    TAKES_PART.set(true);
    given_up(false);
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

    // Nothing is left of a conversation, whoever goes first.
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
