//! The drivers: one for each kind of work, the same for every crate. Each checks what came out.

use std::thread;

use futures_lite::future::{block_on, zip};
use tokio::runtime::Runtime;

use crate::clock::{Clock, Spent};
use crate::ends::{Answerer, Caller, Give, GiveAsync, Take, TakeAsync};

/// Checks what a consumer gets, without a branch an item: the numbers from 0 on, in order.
#[derive(Default)]
pub(crate) struct Tally {
    count: u64,
    sum: u64,
    disorder: u64,
}

impl Tally {
    #[inline]
    pub(crate) fn take(&mut self, item: u64) {
        self.disorder |= item ^ self.count;
        self.count += 1;
        self.sum = self.sum.wrapping_add(item);
    }

    /// Panics unless it was `n` items, each once, in order.
    pub(crate) fn check(&self, n: u64) {
        assert_eq!(self.count, n, "the number of items");
        assert_eq!(self.sum, n * n.saturating_sub(1) / 2, "the sum of the items");
        assert_eq!(self.disorder, 0, "the order of the items");
    }
}

fn give_all(mut end: impl Give, n: u64) {
    for item in 0..n {
        assert!(end.give(item), "a receiver");
    }
}

fn take_all(mut end: impl Take, tally: &mut Tally) {
    while let Some(item) = end.take() {
        tally.take(item);
    }
}

async fn give_all_async(mut end: impl GiveAsync, n: u64) {
    for item in 0..n {
        assert!(end.give_async(item).await, "a receiver");
    }
}

async fn take_all_async(mut end: impl TakeAsync) -> Tally {
    let mut tally = Tally::default();
    while let Some(item) = end.take_async().await {
        tally.take(item);
    }
    tally
}

/// `give` on a thread of its own, `take` on this one.
pub(crate) fn halves<G: Send, T>(
    n: u64,
    (giver, taker): (G, T),
    give: impl FnOnce(G, u64) + Send,
    take: impl FnOnce(T, &mut Tally),
) -> Spent {
    let mut tally = Tally::default();
    let clock = Clock::start();
    thread::scope(|scope| {
        scope.spawn(|| give(giver, n));
        take(taker, &mut tally);
    });
    let spent = clock.stop();
    tally.check(n);
    spent
}

pub(crate) fn threads(n: u64, ends: (impl Give, impl Take)) -> Spent {
    halves(n, ends, |end, n| give_all(end, n), |end, tally| take_all(end, tally))
}

pub(crate) fn thread_to_task(n: u64, ends: (impl Give, impl TakeAsync)) -> Spent {
    let take = |end, tally: &mut Tally| *tally = block_on(take_all_async(end));
    halves(n, ends, |end, n| give_all(end, n), take)
}

pub(crate) fn task_to_thread(n: u64, ends: (impl GiveAsync, impl Take)) -> Spent {
    let give = |end, n| block_on(give_all_async(end, n));
    halves(n, ends, give, |end, tally| take_all(end, tally))
}

pub(crate) fn joined(n: u64, (giver, taker): (impl GiveAsync, impl TakeAsync)) -> Spent {
    let clock = Clock::start();
    let ((), tally) = block_on(zip(give_all_async(giver, n), take_all_async(taker)));
    let spent = clock.stop();
    tally.check(n);
    spent
}

pub(crate) fn spawned(
    runtime: &Runtime,
    n: u64,
    (giver, taker): (impl GiveAsync, impl TakeAsync),
) -> Spent {
    let clock = Clock::start();
    let tally = runtime.block_on(async {
        let giving = tokio::spawn(give_all_async(giver, n));
        let taking = tokio::spawn(take_all_async(taker));
        giving.await.expect("a giver that does not panic");
        taking.await.expect("a taker that does not panic")
    });
    let spent = clock.stop();
    tally.check(n);
    spent
}

/// Runs an iterator to its end.
pub(crate) fn drain(n: u64, items: impl Iterator<Item = u64>) -> Spent {
    let mut tally = Tally::default();
    let clock = Clock::start();
    items.for_each(|item| tally.take(item));
    let spent = clock.stop();
    tally.check(n);
    spent
}

/// `n` round trips between two threads, each of which does `work` at its turn.
pub(crate) fn ping_pong(
    n: u64,
    (mut caller, answerer): (impl Caller, impl Answerer),
    work: impl Fn() + Sync,
) -> Spent {
    let work = &work;
    let clock = Clock::start();
    thread::scope(|scope| {
        scope.spawn(move || {
            answerer.answer(|number| {
                work();
                number + 1
            });
        });
        let mut number = 0;
        for _ in 0..n {
            number = caller.call(number);
            work();
        }
        assert_eq!(number, n, "the answers");
        drop(caller);
    });
    clock.stop()
}

/// As much work as takes `nanos` where nothing disturbs it: always the same steps, whatever the clock says meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    steps: u64,
}

impl Work {
    pub(crate) fn of(nanos: u64) -> Self {
        use std::sync::OnceLock;
        static STEPS_A_MILLI: OnceLock<f64> = OnceLock::new();
        let per_milli = STEPS_A_MILLI.get_or_init(|| {
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
