//! What the loom models share: how to explore, wait, and count values.
#![allow(dead_code, unused_imports, unused_macros)]

use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicIsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use handover::{Arms, Receiver, Sender, Why, op};
use loom::sync::{Condvar, Mutex};

/// Explores a model with at most so many preemptions (`LOOM_MAX_PREEMPTIONS` says otherwise).
pub(crate) fn explore_with(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(model);
}

/// With at most two: three take ten times as long.
pub(crate) fn explore(sender: By, receiver: By, model: fn(By, By)) {
    explore_with(2, move || model(sender, receiver));
}

/// How a party waits.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum By {
    Thread,
    Task,
}

/// Runs an operation to its end as a party of that kind does.
macro_rules! run {
    ($by:expr, $op:expr) => {
        match $by {
            $crate::support::By::Thread => $op.wait(),
            $crate::support::By::Task => $crate::support::block_on($op),
        }
    };
}

/// The alarm that a task's waker rings.
pub(crate) struct Alarm {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Alarm {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { rung: Mutex::new(false), bell: Condvar::new() })
    }

    pub(crate) fn sleep(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !mem::take(&mut *rung) {
            rung = self.bell.wait(rung).unwrap();
        }
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.bell.notify_one();
    }
}

pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let alarm = Alarm::new();
    let waker = Waker::from(Arc::clone(&alarm));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        alarm.sleep();
    }
}

/// Polls once, with a waker, and drops.
pub(crate) fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(&Alarm::new().into())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Counts the values that live.
#[derive(Clone)]
pub(crate) struct Census(Arc<AtomicIsize>);

impl Census {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicIsize::new(0)))
    }

    pub(crate) fn value(&self, number: u8) -> Value {
        self.0.fetch_add(1, Relaxed);
        Value { number, census: self.clone() }
    }

    pub(crate) fn values(&self, numbers: impl IntoIterator<Item = u8>) -> Vec<Value> {
        numbers.into_iter().map(|number| self.value(number)).collect()
    }

    /// Everything has been dropped, once.
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.0.load(Relaxed), 0, "values lost (> 0) or dropped twice (< 0)");
    }
}

/// A value that is counted: a lost one and a doubled one are noticed.
pub(crate) struct Value {
    pub(crate) number: u8,
    census: Census,
}

impl Drop for Value {
    fn drop(&mut self) {
        assert!(self.census.0.fetch_sub(1, Relaxed) > 0, "{} was dropped twice", self.number);
    }
}

/// Sends on a channel of many ends.
pub(crate) fn send(by: By, tx: &Sender<Value>, value: Value) -> Result<(), Why> {
    run!(by, tx.send(value)).map_err(|error| {
        let why = error.why();
        assert!(error.into_unsent().is_some());
        why
    })
}

/// Receives from a channel of many ends.
pub(crate) fn recv(by: By, rx: &Receiver<Value>) -> Result<u8, Why> {
    run!(by, rx.recv()).map(|value| value.number).map_err(|error| error.why())
}

pub(crate) fn choose<A: Arms>(by: By, choice: op::Select<A>) -> A::Output {
    run!(by, choice)
}

/// Chooses, and gives up at once.
pub(crate) fn choose_briefly<A: Arms>(by: By, choice: op::Select<A>) -> Option<A::Output> {
    match by {
        By::Thread => choice.wait_timeout(Duration::ZERO),
        By::Task => poll_once(choice),
    }
}

/// One test for each model in each pairing of a sender with a receiver. It calls the `explore` of the file that uses it.
macro_rules! pairings {
    ($($model:ident)*) => {
        pairings!(@ thread_thread Thread Thread: $($model)*);
        pairings!(@ thread_task Thread Task: $($model)*);
        pairings!(@ task_thread Task Thread: $($model)*);
        pairings!(@ task_task Task Task: $($model)*);
    };
    (@ $pairing:ident $sender:ident $receiver:ident: $($model:ident)*) => {
        mod $pairing {
            use super::{By, explore};
            $(
                #[test]
                fn $model() {
                    explore(By::$sender, By::$receiver, super::$model);
                }
            )*
        }
    };
}

pub(crate) use {pairings, run};
