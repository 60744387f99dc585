//! Tries whether a channel keeps the promise: a send is `Ok` only after a receive has the value, and no value is lost.
//!
//! Nothing in the table is written by hand: each channel goes through the same three trials, and the table shows what was seen.
//!
//! 1. Nobody receives. Is a send `Ok`? Tried on a thread and in a task.
//! 2. A receive future has been polled and waits. Is a send `Ok` before that future is polled again?
//! 3. That future is then dropped without another poll. Does the next receive get the value?

use std::pin::{Pin, pin};
use std::sync::mpsc::{self, sync_channel};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use crossfire::{AsyncRx, AsyncTx, Rx, Tx, mpmc, spsc};
use handover::{rendezvous, simplex};
use rtrb::RingBuffer;

use crate::ends::{AsyncRecv, AsyncSend, BlockingRecv, BlockingSend};
use crate::results::{Fate, Kind, PromiseResult, TaskPromise};

pub(crate) const ID: &str = "promise";

/// A value that no channel makes up.
const VALUE: u64 = 0x5EA1_ED01;

/// How often a future is polled before it counts as waiting. Each poll may need a second one where an operation has steps.
const POLLS: usize = 10;

/// How long a blocking send may take to be `Ok` by itself.
const GRACE: Duration = Duration::from_millis(100);

/// Tries every channel that takes part in a row.
pub(crate) fn observe() -> Vec<PromiseResult> {
    let mut trials = Trials::default();
    trials.everywhere("handover simplex", simplex);
    trials.everywhere("handover rendezvous", rendezvous);
    trials.threads("std sync_channel(0)", || sync_channel(0));
    for capacity in [0, 1, 256] {
        let name = ["crossbeam(0)", "crossbeam(1)", "crossbeam(256)"][capacity.min(2)];
        trials.threads(name, || crossbeam_channel::bounded(capacity));
    }
    trials.everywhere("flume(0)", || flume::bounded(0));
    for (name, capacity) in [("kanal(0)", 0), ("kanal(256)", 256)] {
        trials.threads(name, || kanal::bounded(capacity));
        trials.tasks(name, || kanal::bounded_async(capacity));
    }
    trials.threads("crossfire(1)", spsc::new::<_, Tx<spsc::One<u64>>, Rx<_>>);
    trials.tasks("crossfire(1)", spsc::new::<_, AsyncTx<spsc::One<u64>>, AsyncRx<_>>);
    trials.threads("crossfire(2)", || mpmc::bounded_blocking(2));
    trials.tasks("crossfire(2)", || mpmc::bounded_async(2));
    trials.everywhere("async-channel(1)", || async_channel::bounded(1));
    trials.everywhere("tokio mpsc(1)", || tokio::sync::mpsc::channel(1));
    trials.everywhere("tokio mpsc(256)", || tokio::sync::mpsc::channel(256));
    trials.tasks("futures mpsc(1)", || futures_channel::mpsc::channel(0));
    trials.tasks("handoff", handoff::channel);
    trials.threads("rtrb(256)", || RingBuffer::new(256));
    trials.threads("rtrb(512)", || RingBuffer::new(512));
    trials.results
}

#[derive(Default)]
struct Trials {
    results: Vec<PromiseResult>,
}

impl Trials {
    fn everywhere<S: BlockingSend + AsyncSend, R: BlockingRecv + AsyncRecv>(
        &mut self,
        name: &str,
        open: impl Fn() -> (S, R),
    ) {
        self.threads(name, &open);
        self.tasks(name, &open);
    }

    fn threads<S: BlockingSend, R: BlockingRecv>(&mut self, name: &str, open: impl Fn() -> (S, R)) {
        self.result(name).is_early_on_threads = Some(is_early_on_a_thread(open()));
    }

    fn tasks<S: AsyncSend, R: AsyncRecv>(&mut self, name: &str, open: impl Fn() -> (S, R)) {
        let is_early = is_early_in_a_task(open());
        let (is_early_beside_a_receive, fate) = drop_a_waiting_receive(open());
        self.result(name).tasks = Some(TaskPromise { is_early, is_early_beside_a_receive, fate });
    }

    fn result(&mut self, name: &str) -> &mut PromiseResult {
        let at = self.results.iter().position(|result| result.name == name);
        let at = at.unwrap_or_else(|| {
            let kind = if name.starts_with("handover") { Kind::Ours } else { Kind::Rival };
            let name = name.to_string();
            self.results.push(PromiseResult { name, kind, is_early_on_threads: None, tasks: None });
            self.results.len() - 1
        });
        &mut self.results[at]
    }
}

/// Whether a blocking send is `Ok` although nobody has called receive.
fn is_early_on_a_thread(
    (mut sender, mut receiver): (impl BlockingSend, impl BlockingRecv),
) -> bool {
    let (results, result) = mpsc::channel();
    thread::scope(|scope| {
        // The sender is returned, so that it lives until the value has been received.
        let sending = scope.spawn(move || {
            results.send(sender.send_item(VALUE)).expect("a listener");
            sender
        });
        let is_early = result.recv_timeout(GRACE).is_ok_and(|is_ok| is_ok);
        assert_eq!(receiver.recv_item(), Some(VALUE), "the value");
        // A lockstep send returns at the next demand or at the end of the channel.
        drop(receiver);
        drop(sending.join());
        is_early
    })
}

/// Whether an async send is `Ok` although nobody has called receive.
fn is_early_in_a_task((mut sender, receiver): (impl AsyncSend, impl AsyncRecv)) -> bool {
    let is_early = poll_often(pin!(sender.send_item_async(VALUE))) == Some(true);
    drop(receiver);
    is_early
}

/// Whether an async send is `Ok` while a polled receive waits; and what becomes of the value when that receive is dropped.
fn drop_a_waiting_receive(
    (mut sender, mut receiver): (impl AsyncSend, impl AsyncRecv),
) -> (bool, Fate) {
    let mut waiting = Box::pin(receiver.recv_item_async());
    assert_eq!(poll_often(waiting.as_mut()), None, "nothing was sent yet");
    let mut sending = pin!(sender.send_item_async(VALUE));
    let is_early = poll_often(sending.as_mut()) == Some(true);
    drop(waiting);

    let mut next = pin!(receiver.recv_item_async());
    for _ in 0..POLLS {
        match poll_often(next.as_mut()) {
            Some(Some(VALUE)) => return (is_early, Fate::Received),
            Some(_) => break,
            None => {}
        }
        // A send that is not done may have to act before the next receive gets its value.
        if !is_early && poll_often(sending.as_mut()) == Some(true) {
            let is_received = poll_often(next.as_mut()) == Some(Some(VALUE));
            return (is_early, if is_received { Fate::Received } else { Fate::Lost });
        }
    }
    (is_early, if is_early { Fate::Lost } else { Fate::Stuck })
}

/// Polls a future a few times. None if it is still pending.
fn poll_often<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..POLLS {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    None
}

/// `rtrb` has no way to wait: these ends spin.
impl BlockingSend for rtrb::Producer<u64> {
    fn send_item(&mut self, item: u64) -> bool {
        while self.is_full() {
            thread::yield_now();
        }
        self.push(item).is_ok()
    }
}

impl BlockingRecv for rtrb::Consumer<u64> {
    fn recv_item(&mut self) -> Option<u64> {
        loop {
            match self.pop() {
                Ok(item) => return Some(item),
                Err(_) if self.is_abandoned() => return self.pop().ok(),
                Err(_) => thread::yield_now(),
            }
        }
    }
}
