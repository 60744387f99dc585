//! The drivers: one for each kind of work, the same for every crate. Each checks the items that arrive.

use std::thread;

use futures_lite::future::{block_on, zip};
use tokio::runtime::Runtime;

use crate::clock::{Clock, Spent};
use crate::ends::{AsyncRecv, AsyncSend, BlockingRecv, BlockingSend, Requester, Responder};

/// Checks the items that a receiver gets, without a branch for each item: the numbers from 0 on, in order.
#[derive(Default)]
pub(crate) struct InOrder {
    count: u64,
    sum: u64,
    disorder: u64,
}

impl InOrder {
    #[inline]
    pub(crate) fn add(&mut self, item: u64) {
        self.disorder |= item ^ self.count;
        self.count += 1;
        self.sum = self.sum.wrapping_add(item);
    }

    /// Panics unless there were `n` items, each once, in order.
    pub(crate) fn check(&self, n: u64) {
        assert_eq!(self.count, n, "the number of items");
        assert_eq!(self.sum, n * n.saturating_sub(1) / 2, "the sum of the items");
        assert_eq!(self.disorder, 0, "the order of the items");
    }
}

fn send_all(mut end: impl BlockingSend, n: u64) {
    for item in 0..n {
        assert!(end.send_item(item), "a receiver");
    }
}

fn recv_all(mut end: impl BlockingRecv, items: &mut InOrder) {
    while let Some(item) = end.recv_item() {
        items.add(item);
    }
}

async fn send_all_async(mut end: impl AsyncSend, n: u64) {
    for item in 0..n {
        assert!(end.send_item_async(item).await, "a receiver");
    }
}

async fn recv_all_async(mut end: impl AsyncRecv) -> InOrder {
    let mut items = InOrder::default();
    while let Some(item) = end.recv_item_async().await {
        items.add(item);
    }
    items
}

/// `send` on a thread of its own, `recv` on this one.
pub(crate) fn halves<S: Send, R>(
    n: u64,
    (sender, receiver): (S, R),
    send: impl FnOnce(S, u64) + Send,
    recv: impl FnOnce(R, &mut InOrder),
) -> Spent {
    let mut items = InOrder::default();
    let clock = Clock::start();
    thread::scope(|scope| {
        scope.spawn(|| send(sender, n));
        recv(receiver, &mut items);
    });
    let spent = clock.stop();
    items.check(n);
    spent
}

pub(crate) fn threads(n: u64, ends: (impl BlockingSend, impl BlockingRecv)) -> Spent {
    halves(n, ends, |end, n| send_all(end, n), |end, items| recv_all(end, items))
}

pub(crate) fn thread_to_task(n: u64, ends: (impl BlockingSend, impl AsyncRecv)) -> Spent {
    let recv = |end, items: &mut InOrder| *items = block_on(recv_all_async(end));
    halves(n, ends, |end, n| send_all(end, n), recv)
}

pub(crate) fn task_to_thread(n: u64, ends: (impl AsyncSend, impl BlockingRecv)) -> Spent {
    let send = |end, n| block_on(send_all_async(end, n));
    halves(n, ends, send, |end, items| recv_all(end, items))
}

pub(crate) fn joined(n: u64, (sender, receiver): (impl AsyncSend, impl AsyncRecv)) -> Spent {
    let clock = Clock::start();
    let ((), items) = block_on(zip(send_all_async(sender, n), recv_all_async(receiver)));
    let spent = clock.stop();
    items.check(n);
    spent
}

pub(crate) fn spawned(
    runtime: &Runtime,
    n: u64,
    (sender, receiver): (impl AsyncSend, impl AsyncRecv),
) -> Spent {
    let clock = Clock::start();
    let items = runtime.block_on(async {
        let sending = tokio::spawn(send_all_async(sender, n));
        let receiving = tokio::spawn(recv_all_async(receiver));
        sending.await.expect("a sender that does not panic");
        receiving.await.expect("a receiver that does not panic")
    });
    let spent = clock.stop();
    items.check(n);
    spent
}

/// Runs an iterator to its end by `for_each`.
pub(crate) fn for_each(n: u64, items: impl Iterator<Item = u64>) -> Spent {
    checked(n, |check| items.for_each(|item| check.add(item)))
}

/// Runs `work`, which adds each item that it gets to the check.
pub(crate) fn checked(n: u64, work: impl FnOnce(&mut InOrder)) -> Spent {
    let mut check = InOrder::default();
    let clock = Clock::start();
    work(&mut check);
    let spent = clock.stop();
    check.check(n);
    spent
}

/// `n` round trips between two threads, each of which does `work` at its turn.
pub(crate) fn ping_pong(
    n: u64,
    (mut requester, responder): (impl Requester, impl Responder),
    work: impl Fn() + Sync,
) -> Spent {
    let work = &work;
    let clock = Clock::start();
    thread::scope(|scope| {
        scope.spawn(move || {
            responder.respond(|number| {
                work();
                number + 1
            });
        });
        let mut number = 0;
        for _ in 0..n {
            number = requester.request(number);
            work();
        }
        assert_eq!(number, n, "the answers");
        drop(requester);
    });
    clock.stop()
}

/// Work that takes so many nanoseconds where nothing disturbs it. The number of its steps never changes within a run.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    steps: u64,
}

impl Work {
    pub(crate) fn of(nanos: u64) -> Self {
        use std::sync::OnceLock;
        static STEPS_PER_MILLI: OnceLock<f64> = OnceLock::new();
        let per_milli = STEPS_PER_MILLI.get_or_init(|| {
            let steps = 200_000;
            let best = (0..30).map(|_| {
                let clock = Clock::start();
                Self { steps }.run();
                clock.stop().wall
            });
            steps as f64 / (best.min().unwrap_or_default().as_secs_f64() * 1e3)
        });
        Self { steps: (nanos as f64 / 1e6 * per_milli) as u64 }
    }

    pub(crate) fn run(self) {
        let mut state = 1_u64;
        for _ in 0..self.steps {
            state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005) | 1);
        }
    }
}
