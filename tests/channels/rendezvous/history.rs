//! Many to many: recorded histories are those of a channel without a place between (each value once, in order, both there
//! together), whatever is cancelled; and the first that came is served first.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;
use std::time::Duration;

use crate::support::thread;
use crate::support::*;
use futures_lite::future::{block_on, poll_fn, yield_now};
use handover::{Receiver, Sender, rendezvous};

/// The events of all parties, stamped by one clock.
#[derive(Default)]
struct History {
    clock: AtomicU64,
    /// When a send began and ended, and whether it was Ok.
    sends: Mutex<BTreeMap<Value, (u64, u64, bool)>>,
    /// When a receive that brought a value began and ended, receiver by receiver in order.
    receives: Mutex<Vec<(usize, Value, u64, u64)>>,
    /// When the first call of `close` began, and when it had returned.
    closed: Mutex<Option<(u64, u64)>>,
}

impl History {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, SeqCst)
    }

    fn sent(&self, value: Value, began: u64, is_ok: bool) {
        let ended = self.tick();
        let was = self.sends.lock().unwrap().insert(value, (began, ended, is_ok));
        assert!(was.is_none());
    }

    fn received(&self, receiver: usize, value: Value, began: u64) {
        let ended = self.tick();
        self.receives.lock().unwrap().push((receiver, value, began, ended));
    }

    fn close(&self, tx: &Sender<Value>) {
        let began = self.tick();
        if tx.close() {
            *self.closed.lock().unwrap() = Some((began, self.tick()));
        }
    }

    fn check(self, handed_over: Option<u64>) {
        let sends = self.sends.into_inner().unwrap();
        let receives = self.receives.into_inner().unwrap();
        let closed = self.closed.into_inner().unwrap();
        let mut seen = BTreeSet::new();
        let mut last = BTreeMap::new();
        for &(receiver, value @ (sender, n), began, ended) in &receives {
            assert!(seen.insert(value), "{value:?} was received twice");
            let before = last.insert((receiver, sender), n);
            assert!(before < Some(n), "{n} after {before:?}: not in the sender's order");
            let (send_began, send_ended, is_ok) = sends[&value];
            assert!(is_ok, "{value:?} was received, and given back");
            assert!(send_began < ended, "{value:?} was received before its send began");
            assert!(began < send_ended, "{value:?} was sent before its receive began");
            if let Some((_, closed)) = closed {
                assert!(began < closed, "{value:?}: a receive that began after the end");
            }
        }
        for (value, &(began, _, is_ok)) in &sends {
            assert_eq!(seen.contains(value), is_ok, "{value:?}: received, and Ok");
            assert!(!is_ok || closed.is_none_or(|(_, closed)| began < closed), "{value:?}: late");
        }
        if let Some(handed_over) = handed_over {
            assert_eq!(handed_over as usize, seen.len());
        }
    }
}

/// The sender's number, and its values in order.
type Value = (usize, usize);

// ---- threads, and tasks on executors of their own

fn a_while(dice: &mut Stress) -> Duration {
    Duration::from_micros([0, 1, 20, 150][dice.below(4) as usize])
}

/// Polls a few times, and gives up.
fn poll_some<F: Future + Unpin>(op: &mut F, dice: &mut Stress) -> Option<F::Output> {
    for _ in 0..=dice.below(2) {
        if let Poll::Ready(output) = poll_once(op) {
            return Some(output);
        }
        dither(dice.below(300));
    }
    None
}

/// Sends one value in a random way. The error is the value that came back.
fn send_one(tx: &Sender<Value>, value: Value, dice: &mut Stress) -> Result<(), Value> {
    let back = |error: handover::SendError<Value>| error.into_unsent().expect("it was not taken");
    match dice.below(8) {
        0 => tx.send(value).now().map_err(back),
        1 | 2 => tx.send(value).wait_timeout(a_while(dice)).map_err(back),
        3 => {
            let mut op = tx.send(value);
            match poll_some(&mut op, dice) {
                Some(result) => result.map_err(back),
                None => op.reclaim().map_or(Ok(()), Err),
            }
        }
        4 => match tx.reserve().wait_timeout(a_while(dice)) {
            Ok(permit) if dice.below(4) == 0 => {
                drop(permit);
                Err(value)
            }
            Ok(permit) => permit.send(value).wait().map_err(back),
            Err(_) => Err(value),
        },
        5 => block_on(tx.send(value)).map_err(back),
        6 => {
            // The send is begun as a task, and ended as a thread.
            let mut op = tx.send(value);
            match poll_some(&mut op, dice) {
                Some(result) => result.map_err(back),
                None => op.wait().map_err(back),
            }
        }
        _ => tx.send(value).wait().map_err(back),
    }
}

fn receive_one(rx: &Receiver<Value>, dice: &mut Stress) -> Result<Option<Value>, ()> {
    let result = match dice.below(7) {
        0 => rx.recv().now(),
        1 | 2 => rx.recv().wait_timeout(a_while(dice)),
        3 => match poll_some(&mut rx.recv(), dice) {
            Some(result) => result,
            None => return Ok(None),
        },
        4 => block_on(rx.recv()),
        5 => {
            let mut op = rx.recv();
            poll_some(&mut op, dice).unwrap_or_else(|| op.wait())
        }
        _ => rx.recv().wait(),
    };
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_end() => Err(()),
        Err(_) => Ok(None),
    }
}

fn run_sender(tx: &Sender<Value>, me: usize, history: &History, mut dice: Stress) {
    let mut n = 0;
    while n < 60 {
        dither(dice.below(150));
        if dice.below(12) == 0 {
            let began = history.tick();
            let values = [(me, n), (me, n + 1), (me, n + 2)];
            let rest = match tx.send_all(values).wait_timeout(Duration::from_micros(300)) {
                Ok(()) => vec![],
                Err(error) => error.into_rest().collect(),
            };
            assert!(rest.is_sorted() && values.ends_with(&rest), "the rest in order: {rest:?}");
            for value in values {
                history.sent(value, began, !rest.contains(&value));
            }
            n += 3;
            continue;
        }
        let (value, began) = ((me, n), history.tick());
        let result = send_one(tx, value, &mut dice);
        assert!(result.is_ok() || result == Err(value), "{result:?} came back for {value:?}");
        history.sent(value, began, result.is_ok());
        n += 1;
    }
}

#[test]
fn histories_of_threads_and_tasks_with_cancels() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("histories_of_threads_and_tasks", Duration::from_secs(3));
    let mut rounds = 0;
    while stress.goes_on() && rounds < 1_000 {
        rounds += 1;
        let (senders, receivers) = (1 + stress.below(3) as usize, 1 + stress.below(3) as usize);
        let closes = stress.below(3) == 0;
        let history = History::default();
        let (tx, rx) = rendezvous();
        let account = rx.clone();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            let sending: Vec<_> = (0..senders)
                .map(|me| {
                    let (tx, history, mut dice) = (tx.clone(), &history, stress.fork());
                    scope.spawn(move || {
                        let delay = dice.below(20_000);
                        run_sender(&tx, me, history, dice);
                        if closes && me == 0 {
                            dither(delay);
                            history.close(&tx);
                        }
                    })
                })
                .collect();
            for me in 0..receivers {
                let (rx, history, mut dice) = (rx.clone(), &history, stress.fork());
                let is_over = &is_over;
                scope.spawn(move || {
                    loop {
                        dither(dice.below(150));
                        let began = history.tick();
                        match receive_one(&rx, &mut dice) {
                            Ok(Some(value)) => history.received(me, value, began),
                            Ok(None) => {}
                            Err(()) => break,
                        }
                    }
                    is_over.store(true, SeqCst);
                });
            }
            drop((tx, rx));
            sending.into_iter().for_each(|sending| sending.join().unwrap());
        });
        let stats = account.stats();
        assert!(is_over.load(SeqCst));
        assert_eq!((stats.waiting_senders, stats.waiting_receivers, stats.senders), (0, 0, 0));
        history.check(Some(stats.handed_over));
    }
}

// ---- tasks on one executor: the same run for the same seed, and a lost wake-up is seen at once

/// Polls `op` until it is done, at most `most` times.
async fn some_polls<F: Future + Unpin>(op: &mut F, most: u64) -> Option<F::Output> {
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        match Pin::new(&mut *op).poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polls > most => Poll::Ready(None),
            Poll::Pending => {
                context.waker().wake_by_ref(); // the timer that ends it
                Poll::Pending
            }
        }
    })
    .await
}

type Dice = Rc<RefCell<Stress>>;

fn roll(dice: &Dice, bound: u64) -> u64 {
    dice.borrow_mut().below(bound)
}

async fn sender_task(tx: Sender<Value>, me: usize, history: Rc<History>, dice: Dice) {
    for n in 0..30 {
        for _ in 0..roll(&dice, 3) {
            yield_now().await;
        }
        let (value, began) = ((me, n), history.tick());
        let is_ok = match roll(&dice, 5) {
            0 => {
                let mut op = tx.send(value);
                match some_polls(&mut op, roll(&dice, 3)).await {
                    Some(result) => result.is_ok(),
                    None => match op.reclaim() {
                        Some(back) => {
                            assert_eq!(back, value);
                            false
                        }
                        None => true,
                    },
                }
            }
            1 => {
                let mut reserve = tx.reserve();
                let permit = some_polls(&mut reserve, roll(&dice, 3)).await;
                match permit {
                    Some(Ok(permit)) if roll(&dice, 2) == 0 => {
                        for _ in 0..roll(&dice, 3) {
                            yield_now().await;
                        }
                        permit.send(value).await.is_ok()
                    }
                    _ => false,
                }
            }
            _ => tx.send(value).await.is_ok(),
        };
        history.sent(value, began, is_ok);
    }
}

async fn receiver_task(rx: Receiver<Value>, me: usize, history: Rc<History>, dice: Dice) {
    loop {
        for _ in 0..roll(&dice, 3) {
            yield_now().await;
        }
        let began = history.tick();
        let result = match roll(&dice, 4) {
            0 => match some_polls(&mut rx.recv(), roll(&dice, 3)).await {
                Some(result) => result,
                None => continue,
            },
            1 => rx.recv().now(),
            _ => rx.recv().await,
        };
        match result {
            Ok(value) => history.received(me, value, began),
            Err(error) if error.is_end() => return,
            Err(_) => {}
        }
    }
}

#[test]
fn histories_of_tasks_in_one_thread() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("histories_of_tasks_in_one_thread", Duration::from_secs(2));
    let mut rounds = 0;
    while stress.goes_on() && rounds < 3_000 {
        rounds += 1;
        let history = Rc::new(History::default());
        let (senders, receivers) = (1 + stress.below(4) as usize, 1 + stress.below(4) as usize);
        let dice: Dice = Rc::new(RefCell::new(stress.fork()));
        let (tx, rx) = rendezvous();
        let account = rx.clone();
        let mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        for me in 0..senders {
            let (history, dice) = (Rc::clone(&history), Rc::clone(&dice));
            tasks.push(Box::pin(sender_task(tx.clone(), me, history, dice)));
        }
        for me in 0..receivers {
            let (history, dice) = (Rc::clone(&history), Rc::clone(&dice));
            tasks.push(Box::pin(receiver_task(rx.clone(), me, history, dice)));
        }
        drop((tx, rx));
        let mut tasks: Vec<_> = tasks
            .into_iter()
            .map(|task| {
                let (bell, waker) = Bell::new();
                (Some(task), bell, waker, Cell::new(true))
            })
            .collect();
        loop {
            let woken: Vec<_> = (0..tasks.len())
                .filter(|&n| {
                    let (task, bell, _, is_woken) = &tasks[n];
                    is_woken.set(is_woken.get() | (bell.rings() > 0));
                    task.is_some() && is_woken.get()
                })
                .collect();
            if woken.is_empty() {
                break;
            }
            let (task, _, waker, is_woken) =
                &mut tasks[woken[roll(&dice, woken.len() as u64) as usize]];
            is_woken.set(false);
            if poll_with(task.as_mut().unwrap(), waker).is_ready() {
                *task = None;
            }
        }
        let asleep = tasks.iter().filter(|(task, ..)| task.is_some()).count();
        assert_eq!(asleep, 0, "a wake-up was lost: {:?}", account.stats());
        let stats = account.stats();
        assert_eq!((stats.waiting_senders, stats.waiting_receivers), (0, 0));
        drop((tasks, dice));
        Rc::into_inner(history).unwrap().check(Some(stats.handed_over));
    }
}
