//! A message allocates nothing, in whatever mix of threads and tasks. Counted by the global allocator, so this file has one test.
#![allow(unsafe_code)] // a global allocator can be had in no other way

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Barrier;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use handover::{Receiver, Sel2, Sender, rendezvous, select};

/// The system's allocator, and what the counted threads asked of it.
struct Counting;

thread_local!(static IS_COUNTED: Cell<bool> = const { Cell::new(false) });

static CALLS: AtomicUsize = AtomicUsize::new(0);
/// Whether messages go over; not while a channel ends.
static IS_ON: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_COUNTED.get() && IS_ON.load(Relaxed) {
            CALLS.fetch_add(1, Relaxed);
            BYTES.fetch_add(layout.size(), Relaxed);
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Values each counted run hands over at least.
const VALUES: usize = 3_000;

/// How a party waits.
#[derive(Clone, Copy, Debug)]
enum By {
    Thread,
    Task,
    /// Now as a thread, now as a task.
    Both,
    /// As a thread, with a deadline.
    Timed,
}

impl By {
    fn is_task(self, round: usize) -> bool {
        match self {
            By::Thread | By::Timed => false,
            By::Task => true,
            By::Both => round % 2 == 1,
        }
    }
}

/// What a party does.
#[derive(Clone, Copy, Debug)]
enum Does {
    Single,
    /// Many values in one operation, or an iterator that takes them.
    Many,
    /// By permits; a receiver as `Single`.
    Permit,
    /// In a `select` of receives; a sender as `Single` (a select that offers may allocate its claim).
    Select,
}

const LONG: Duration = Duration::from_secs(600);

fn send(tx: &Sender<u32>, by: By, does: Does, round: usize) -> bool {
    let is_task = by.is_task(round);
    match does {
        Does::Many if is_task => futures_lite::future::block_on(tx.send_all([1; 8])).is_ok(),
        Does::Many => tx.send_all([1; 8]).wait().is_ok(),
        Does::Permit if is_task => futures_lite::future::block_on(async {
            match tx.reserve().await {
                Ok(permit) => permit.send(1).await.is_ok(),
                Err(_) => false,
            }
        }),
        Does::Permit => tx.reserve().wait().is_ok_and(|permit| permit.send(1).wait().is_ok()),
        _ if is_task => futures_lite::future::block_on(tx.send(1)).is_ok(),
        _ if matches!(by, By::Timed) => tx.send(1).wait_timeout(LONG).is_ok(),
        _ => tx.send(1).wait().is_ok(),
    }
}

fn receive(rx: &Receiver<u32>, by: By, does: Does, round: usize) -> bool {
    let is_task = by.is_task(round);
    match does {
        Does::Many => rx.iter().next().is_some(),
        Does::Select => {
            let choice = select((rx.recv(), rx.recv()));
            let chosen =
                if is_task { futures_lite::future::block_on(choice) } else { choice.wait() };
            matches!(chosen, Sel2::A(Ok(_)) | Sel2::B(Ok(_)))
        }
        _ if is_task => futures_lite::future::block_on(rx.recv()).is_ok(),
        _ if matches!(by, By::Timed) => rx.recv().wait_timeout(LONG).is_ok(),
        _ => rx.recv().wait().is_ok(),
    }
}

fn poll<F: Future + Unpin>(op: &mut F) {
    _ = Pin::new(op).poll(&mut Context::from_waker(Waker::noop()));
}

/// The lines of a channel have held so many: their memory is kept.
fn warm(tx: &Sender<u32>, rx: &Receiver<u32>) {
    let mut receives: Vec<_> = (0..32).map(|_| rx.recv()).collect();
    receives.iter_mut().for_each(poll);
    drop(receives);
    let mut sends: Vec<_> = (0..32).map(|_| tx.send(0)).collect();
    sends.iter_mut().for_each(poll);
    drop(sends);
}

/// What a thread's first waits allocate, it has.
fn warm_thread() {
    let (tx, rx) = rendezvous::<u32>();
    assert!(rx.recv().wait_timeout(Duration::from_millis(2)).is_err());
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2 {
                // The receiver parks meanwhile, so that its parker is made before anything is counted.
                thread::sleep(Duration::from_millis(1));
                tx.send(1).wait().unwrap();
            }
        });
        futures_lite::future::block_on(rx.recv()).unwrap();
        rx.recv().wait().unwrap();
        rx.recv().now().unwrap_err();
    });
    _ = select((rx.recv(), rx.recv())).now();
}

/// All of them at once, each counted from the moment when all are warm.
fn run(parties: &[By], does: [Does; 2], kept: usize) -> [usize; 2] {
    let (tx, rx) = rendezvous();
    warm(&tx, &rx);
    let mut receives: Vec<_> = (0..kept).map(|_| rx.recv()).collect();
    receives.iter_mut().for_each(poll);
    let barrier = Barrier::new(2 * parties.len());
    let (taken, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let before = [&CALLS, &BYTES].map(|counter| counter.load(SeqCst));
    IS_ON.store(true, SeqCst);
    thread::scope(|scope| {
        for &by in parties {
            let (tx, rx, barrier, taken, is_over) = (&tx, &rx, &barrier, &taken, &is_over);
            scope.spawn(move || {
                warm_thread();
                barrier.wait();
                IS_COUNTED.set(true);
                for round in 0.. {
                    if !send(tx, by, does[0], round) || is_over.load(SeqCst) {
                        break;
                    }
                }
                IS_COUNTED.set(false);
            });
            scope.spawn(move || {
                warm_thread();
                barrier.wait();
                IS_COUNTED.set(true);
                for round in 0.. {
                    if !receive(rx, by, does[1], round) {
                        break;
                    }
                    if taken.fetch_add(1, SeqCst) == VALUES {
                        is_over.store(true, SeqCst);
                        // All that wait are woken, and sends fail: these are no messages.
                        IS_ON.store(false, SeqCst);
                        tx.close();
                        break;
                    }
                }
                IS_COUNTED.set(false);
            });
        }
    });
    let after = [&CALLS, &BYTES].map(|counter| counter.load(SeqCst));
    std::array::from_fn(|i| after[i] - before[i])
}

#[test]
fn a_message_allocates_nothing_in_any_mix_of_threads_and_tasks() {
    let is_done = std::sync::Arc::new(AtomicUsize::new(0));
    let watched = std::sync::Arc::clone(&is_done);
    // It ends with the process.
    thread::spawn(move || {
        let mut last = 0;
        loop {
            thread::sleep(Duration::from_secs(60)); // The patience of this watchdog: no assertion depends on it.
            let now = watched.load(SeqCst);
            if now == usize::MAX {
                return;
            }
            if now == last {
                eprintln!("no progress after {now} runs: aborting");
                std::process::abort();
            }
            last = now;
        }
    });
    use By::{Both, Task, Thread, Timed};
    let mixes: [&[By]; 8] = [
        &[Thread, Task],
        &[Thread, Thread, Task],
        &[Task, Task, Thread],
        &[Both, Both, Both],
        &[Both, Thread, Task, Timed],
        &[Timed, Timed, Task],
        &[Task, Task, Task],
        &[Both, Both, Both, Both, Both],
    ];
    let doings = [
        [Does::Single, Does::Single],
        [Does::Many, Does::Single],
        [Does::Single, Does::Many],
        [Does::Permit, Does::Single],
        [Does::Single, Does::Select],
    ];
    let mut wrong = Vec::new();
    for parties in mixes {
        for does in doings {
            for kept in [0, 2] {
                let [calls, bytes] = run(parties, does, kept);
                is_done.fetch_add(1, SeqCst);
                if calls > 0 {
                    wrong.push(format!(
                        "{parties:?} on each side, {does:?}, {kept} kept: {calls} allocations ({bytes} bytes)"
                    ));
                }
            }
        }
    }
    is_done.store(usize::MAX, SeqCst);
    assert!(wrong.is_empty(), "{VALUES} messages each: {wrong:#?}");
}
