//! Users' code that interrupts: wakers that panic or use the channel, destructors that panic, iterators that panic, operations that are dropped by an unwinding.
//!
//! | interrupts                                | what must hold for the others                                            |
//! |-------------------------------------------|--------------------------------------------------------------------------|
//! | a waker that panics when it is woken      | it was woken; the others were, too; the call that woke it may panic       |
//! | a waker that uses the channel             | no lock is held                                                          |
//! | a value whose drop panics                 | nobody waits for ever                                                    |
//! | an iterator that panics in the middle     | the items before it were sent; the channel goes on                       |
//!
//! Each party does a number of operations, and begins again what a panic took away. So what a panic interrupted may be there twice, under two
//! numbers; and the number of one comes once at most.

use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicIsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use handover::{Receiver, Sel2, Sender, rendezvous, select, stream};
use shuttle::future::{block_on, yield_now};
use shuttle::thread;

use crate::explore::tally;
use crate::ways::{below, one_in};

/// A panic that is planned. It is raised without the hook, which would write a schedule into a file.
struct Planned;

fn panic_as_planned() {
    if !std::thread::panicking() {
        resume_unwind(Box::new(Planned));
    }
}

/// Runs what may panic as planned.
fn interruptible<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(panic) if panic.is::<Planned>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

/// Wakes the waker of a task, and then interrupts.
struct HostileWaker {
    inner: Waker,
    ends: Option<(Sender<Item>, Receiver<Item>)>,
}

impl Wake for HostileWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.inner.wake_by_ref();
        match &self.ends {
            Some((tx, rx)) => {
                _ = tx.stats();
                _ = (rx.is_closed(), tx.clone());
            }
            None => panic_as_planned(),
        }
    }
}

/// A future whose waker is hostile one time in two.
async fn hostile<F: Future>(future: F, ends: (&Sender<Item>, &Receiver<Item>)) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let ends = match below(4) {
            0 => None,
            1 => Some((ends.0.clone(), ends.1.clone())),
            _ => return future.as_mut().poll(context),
        };
        let waker = Waker::from(Arc::new(HostileWaker { inner: context.waker().clone(), ends }));
        future.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

/// Catches a planned panic of a poll. The future is dropped when the panic has ended.
async fn interruptible_task<F: Future>(future: F) -> Option<F::Output> {
    let mut future: Pin<Box<F>> = Box::pin(future);
    poll_fn(move |context| match interruptible(|| future.as_mut().poll(context)) {
        Some(Poll::Pending) => Poll::Pending,
        Some(Poll::Ready(output)) => Poll::Ready(Some(output)),
        None => Poll::Ready(None),
    })
    .await
}

/// A value that may panic when it is dropped.
struct Item {
    number: usize,
    is_hostile: bool,
    live: Arc<AtomicIsize>,
}

impl Drop for Item {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Relaxed);
        if self.is_hostile {
            panic_as_planned();
        }
    }
}

#[derive(Default)]
struct Log {
    next: usize,
    /// What the sender of each number was told: whether it was sent, if anything.
    sent: HashMap<usize, Option<bool>>,
    received: Vec<usize>,
}

#[derive(Clone, Default)]
struct Shared {
    log: Arc<Mutex<Log>>,
    live: Arc<AtomicIsize>,
}

impl Shared {
    fn with<R>(&self, f: impl FnOnce(&mut Log) -> R) -> R {
        f(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn item(&self) -> Item {
        self.live.fetch_add(1, Relaxed);
        let number = self.with(|log| {
            log.next += 1;
            log.sent.insert(log.next, None);
            log.next
        });
        Item { number, is_hostile: one_in(4), live: Arc::clone(&self.live) }
    }

    fn told(&self, number: usize, is_sent: bool) {
        self.with(|log| log.sent.insert(number, Some(is_sent)));
    }

    fn receive(&self, item: Item) {
        self.with(|log| log.received.push(item.number));
        _ = interruptible(move || drop(item));
    }
}

/// Sends until the channel has ended, in all ways.
fn send(tx: &Sender<Item>, rx: &Receiver<Item>, shared: &Shared) {
    loop {
        let item = shared.item();
        let number = item.number;
        let result = match below(5) {
            0 => interruptible(|| tx.send(item).wait()),
            1 => block_on(interruptible_task(hostile(tx.send(item), (tx, rx)))),
            2 => block_on(interruptible_task(hostile(tx.send(item).until(yield_now()), (tx, rx)))),
            3 => {
                let choice = select((tx.send(item), tx.closed()));
                match block_on(interruptible_task(hostile(choice, (tx, rx)))) {
                    Some(Sel2::A(result)) => Some(result),
                    Some(Sel2::B(_)) => {
                        shared.told(number, false);
                        return;
                    }
                    None => None,
                }
            }
            _ => {
                send_all(tx, rx, item, shared);
                None
            }
        };
        match result {
            Some(Ok(())) => shared.told(number, true),
            Some(Err(error)) => {
                let is_end = error.is_end();
                assert_eq!(error.unsent().map(|item| item.number), Some(number));
                shared.told(number, false);
                _ = interruptible(move || drop(error));
                if is_end {
                    return;
                }
            }
            None if tx.is_closed() => return,
            None => {}
        }
    }
}

/// The iterator panics after its first item.
fn send_all(tx: &Sender<Item>, rx: &Receiver<Item>, item: Item, shared: &Shared) {
    let number = item.number;
    let mut has_made_one = false;
    let mut first = Some(item);
    let items = std::iter::from_fn(move || {
        if std::mem::replace(&mut has_made_one, true) {
            panic_as_planned();
        }
        first.take()
    });
    let op = tx.send_all(items);
    let result = if one_in(2) {
        interruptible(|| op.wait())
    } else {
        block_on(interruptible_task(hostile(op, (tx, rx))))
    };
    if let Some(Err(error)) = result {
        // It has ended before the first was taken: the iterator panics after that.
        shared.told(number, false);
        _ = interruptible(move || drop(error));
    }
}

/// Receives so many.
fn receive(tx: &Sender<Item>, rx: &Receiver<Item>, count: usize, shared: &Shared) {
    let mut received = 0;
    while received < count {
        let result = match below(4) {
            0 => interruptible(|| rx.recv().wait()),
            1 => block_on(interruptible_task(hostile(rx.recv(), (tx, rx)))),
            2 => block_on(interruptible_task(hostile(rx.recv().until(yield_now()), (tx, rx)))),
            _ => {
                let choice = select((rx.recv(), rx.closed()));
                match block_on(interruptible_task(hostile(choice, (tx, rx)))) {
                    Some(Sel2::A(result)) => Some(result),
                    _ => None,
                }
            }
        };
        if let Some(Ok(item)) = result {
            shared.receive(item);
            received += 1;
        }
    }
}

/// Senders go on until the last receiver has what it wants: then the channel is closed.
pub(crate) fn over_a_rendezvous() {
    let shared = Shared::default();
    let (tx, rx) = rendezvous::<Item>();
    let senders = (0..1 + below(2)).map(|_| {
        let (tx, rx, shared) = (tx.clone(), rx.clone(), shared.clone());
        thread::spawn(move || send(&tx, &rx, &shared))
    });
    let senders: Vec<_> = senders.collect();
    let receivers = (0..1 + below(3)).map(|_| {
        let (tx, rx, shared, count) = (tx.clone(), rx.clone(), shared.clone(), 1 + below(2));
        thread::spawn(move || receive(&tx, &rx, count, &shared))
    });
    let receivers: Vec<_> = receivers.collect();
    receivers.into_iter().for_each(|receiver| receiver.join().unwrap());
    _ = interruptible(|| tx.close());
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    _ = interruptible(move || drop((tx, rx)));
    shared.with(|log| {
        let mut received = log.received.clone();
        received.sort_unstable();
        assert!(received.is_sorted_by(|a, b| a < b), "one came twice: {received:?}");
        for (number, sent) in &log.sent {
            let came = received.contains(number);
            assert!(sent.is_none_or(|sent| sent == came), "{number}: sent {sent:?}, came {came}");
        }
        tally(log.sent.len(), received.len());
    });
    assert_eq!(shared.live.load(Relaxed), 0, "items lost (> 0) or dropped twice (< 0)");
}

/// Writes of iterators that panic in the middle, some of which are run by the reader; what was written before comes, in order.
pub(crate) fn over_a_stream() {
    let (mut writer, mut reader) = stream::<usize>();
    let count = 2 + below(6);
    let writing = thread::spawn(move || {
        let mut next = 0;
        while next < count {
            let (begin, panics_at) = (next, next + 1 + below(3));
            let made = Arc::new(AtomicIsize::new(0));
            let counted = Arc::clone(&made);
            let items = (begin..count).inspect(move |number| {
                if *number == panics_at {
                    panic_as_planned();
                }
                counted.fetch_add(1, Relaxed);
            });
            let result = match below(3) {
                0 => interruptible(|| writer.write_local(items).wait().is_ok()),
                1 => block_on(interruptible_task(writer.write_local(items))).map(|r| r.is_ok()),
                _ => interruptible(|| writer.send(begin).wait().is_ok()),
            };
            match result {
                Some(true) if made.load(Relaxed) == 0 => next += 1, // One was sent.
                Some(true) => next = count,
                Some(false) => return,
                None => next = panics_at + 1, // The one that panicked is gone.
            }
        }
        _ = interruptible(move || writer.finish());
    });
    let mut received = Vec::new();
    loop {
        let most = 1 + below(3);
        let read =
            if one_in(2) { reader.read_some(most).wait() } else { block_on(reader.read(most)) };
        match read {
            Ok(items) => received.extend(items),
            Err(_) => break,
        }
    }
    writing.join().unwrap();
    assert!(received.is_sorted_by(|a, b| a < b), "{received:?}");
    assert_eq!(received.first(), Some(&0));
    tally(count, received.len());
}
