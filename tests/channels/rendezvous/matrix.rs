//! Many to many: what each side gets, for each thing that a sender may do with each that a receiver may, on threads and in tasks.
//!
//! Every value is counted: it is received once, or given back once, or dropped with what gave it up; and the channel's own
//! account (`stats`) agrees with both sides.

use std::mem;
use std::task::Poll;
use std::time::Duration;

use crate::support::*;
use futures_lite::StreamExt;
use handover::{RecvError, SendError, Stats, Why, rendezvous};

type Tx = handover::Sender<Counted>;
type Rx = handover::Receiver<Counted>;

// ---- what each side says afterwards

/// The values by number, sorted by what the sender was told of them.
#[derive(Debug, Default)]
struct Sent {
    taken: Vec<usize>,
    back: Vec<usize>,
    /// Forgotten, or dropped on offer: the sender is not told.
    unknown: Vec<usize>,
    end: Option<Why>,
    /// The result of `close`.
    closed: Option<bool>,
    /// An end that outlives the channel's close, for its account.
    tx: Option<Tx>,
}

impl Sent {
    /// Notes the result of an operation with the value `id`. Returns whether the side may go on.
    fn note(&mut self, id: usize, result: Result<(), SendError<Counted>>) -> bool {
        let Err(error) = result else {
            self.taken.push(id);
            return true;
        };
        self.end = error.is_end().then(|| error.why());
        let value = error.into_unsent().expect("a send that failed gives its value back");
        assert_eq!(value.id, id, "another value came back");
        self.back.push(id);
        false
    }

    fn close(mut self, tx: Tx) -> Self {
        self.closed = Some(tx.close());
        self
    }
}

#[derive(Debug, Default)]
struct Got {
    items: Vec<usize>,
    end: Option<Why>,
    /// Receives that were forgotten while they waited.
    forgotten: usize,
    /// The result of `close`.
    closed: Option<bool>,
    rx: Option<Rx>,
}

impl Got {
    fn note(&mut self, result: Result<Counted, RecvError>) {
        match result {
            Ok(item) => self.items.push(item.id),
            Err(error) if error.is_end() => self.end = Some(error.why()),
            Err(error) => assert!(error.is_timed_out() || error.is_not_ready(), "{error:?}"),
        }
    }
}

// ---- senders

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// Sends two values, then closes.
    Send,
    /// The same, in one operation.
    SendAll,
    /// The same, each by a permit.
    Reserve,
    /// Is dropped at once.
    DropBefore,
    /// Has a value on offer, drops the operation, is dropped.
    DropDuring,
    /// Forgets a send whose value is on offer, sends another value, closes.
    Forget,
    /// Offers a value until the time is up, is dropped.
    TimeOut,
    /// Offers a value for a moment, is dropped.
    Now,
    /// Sends a value, then panics.
    Panic,
    /// Panics while a value is on offer.
    PanicDuring,
    Close,
}

async fn send(tx: Tx, act: Sender, census: &Census, how: How) -> Sent {
    let mut sent = Sent::default();
    match act {
        Sender::Send => {
            for _ in 0..2 {
                let (id, value) = census.next();
                if !sent.note(id, how.run(tx.send(value)).await) {
                    sent.tx = Some(tx);
                    return sent;
                }
            }
            sent.close(tx)
        }
        Sender::SendAll => {
            let values = [census.make(), census.make()];
            match how.run(tx.send_all(values)).await {
                Ok(()) => {
                    sent.taken = vec![0, 1];
                    sent.close(tx)
                }
                Err(error) => {
                    sent.end = Some(error.why());
                    sent.back = error.into_rest().map(|value| value.id).collect();
                    sent.taken = (0..2).filter(|id| !sent.back.contains(id)).collect();
                    sent.tx = Some(tx);
                    sent
                }
            }
        }
        Sender::Reserve => {
            for _ in 0..2 {
                let permit = match how.run(tx.reserve()).await {
                    Ok(permit) => permit,
                    Err(error) => {
                        sent.end = Some(error.why());
                        break;
                    }
                };
                // The value is made only when a receiver stands ready.
                let (id, value) = census.next();
                if !sent.note(id, how.run(permit.send(value)).await) {
                    break;
                }
            }
            if sent.end.is_none() {
                return sent.close(tx);
            }
            sent.tx = Some(tx);
            sent
        }
        Sender::DropBefore => sent,
        Sender::DropDuring | Sender::PanicDuring => {
            let (id, value) = census.next();
            let mut send = tx.send(value);
            match poll_once(&mut send) {
                Poll::Ready(result) => _ = sent.note(id, result),
                Poll::Pending => sent.unknown.push(id),
            }
            if act == Sender::PanicDuring {
                assert!(panics(|| {
                    let _send = send;
                    quiet_panic();
                }));
                panic_holding(tx);
            }
            sent
        }
        Sender::Forget => {
            let (id, value) = census.next();
            let goes_on = {
                let mut send = tx.send(value);
                match poll_once(&mut send) {
                    Poll::Ready(result) => sent.note(id, result),
                    Poll::Pending => {
                        sent.unknown.push(id);
                        mem::forget(send);
                        true
                    }
                }
            };
            if !goes_on {
                sent.tx = Some(tx);
                return sent;
            }
            let (id, value) = census.next();
            if sent.note(id, how.run(tx.send(value)).await) {
                return sent.close(tx);
            }
            sent.tx = Some(tx);
            sent
        }
        Sender::TimeOut => {
            let (id, value) = census.next();
            let mut send = tx.send(value);
            let result = match how {
                How::Thread => send.wait_timeout(Duration::from_micros(50)),
                How::Task => match poll_once(&mut send) {
                    Poll::Ready(result) => result,
                    // A timer beside the operation does the same.
                    Poll::Pending => {
                        match send.reclaim() {
                            Some(value) => {
                                assert_eq!(value.id, id);
                                sent.back.push(id);
                            }
                            None => sent.taken.push(id),
                        }
                        return sent;
                    }
                },
            };
            sent.note(id, result);
            sent
        }
        Sender::Now => {
            let (id, value) = census.next();
            sent.note(id, tx.send(value).now());
            sent
        }
        Sender::Panic => {
            let (id, value) = census.next();
            if sent.note(id, how.run(tx.send(value)).await) {
                panic_holding(tx);
            } else {
                sent.tx = Some(tx);
            }
            sent
        }
        Sender::Close => sent.close(tx),
    }
}

// ---- receivers

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiver {
    /// Receives all up to the end.
    Recv,
    /// Waits until the time is up, then receives all.
    TimeOut,
    /// Looks some times without waiting, then receives all.
    Now,
    /// All, as an iterator or a stream.
    Iter,
    /// All, as an iterator or a stream that is the end.
    IntoIter,
    /// Is dropped before the sender begins.
    DropBefore,
    /// Waits, drops the operation when there is something to take, is dropped.
    DropDuring,
    /// Forgets a receive that waits, then receives all.
    Forget,
    /// Receives a value, then panics.
    Panic,
    /// Panics while a receive waits, and there is something to take.
    PanicDuring,
    /// Receives a value, then closes.
    Close,
}

impl Receiver {
    const fn stays(self) -> bool {
        matches!(
            self,
            Self::Recv | Self::TimeOut | Self::Now | Self::Iter | Self::IntoIter | Self::Forget
        )
    }

    const fn end(self) -> Why {
        match self {
            Self::Close => Why::Closed,
            Self::Panic | Self::PanicDuring => Why::Panicked,
            _ => Why::Dropped,
        }
    }
}

async fn receive(rx: Rx, act: Receiver, how: How) -> Got {
    let mut got = Got::default();
    match act {
        Receiver::DropBefore => unreachable!("dropped already"),
        Receiver::Recv | Receiver::Panic | Receiver::Close => {}
        Receiver::TimeOut => {
            let recv = rx.recv();
            got.note(match how {
                How::Thread => recv.wait_timeout(Duration::from_micros(20)),
                How::Task => recv.now(),
            });
        }
        Receiver::Now => {
            let mut looks = 0;
            how.until(|| {
                got.note(rx.recv().now());
                looks += 1;
                looks == 20 || !got.items.is_empty() || got.end.is_some()
            })
            .await;
        }
        Receiver::DropDuring | Receiver::PanicDuring => {
            let mut recv = rx.recv();
            match poll_once(&mut recv) {
                Poll::Ready(result) => got.note(result),
                Poll::Pending => {
                    how.until(|| rx.stats().waiting_senders > 0 || rx.is_closed()).await;
                }
            }
            if act == Receiver::PanicDuring {
                assert!(panics(|| {
                    let _recv = recv;
                    quiet_panic();
                }));
                panic_holding(rx);
            }
            return got;
        }
        Receiver::Forget => {
            let mut recv = rx.recv();
            match poll_once(&mut recv) {
                Poll::Ready(result) => got.note(result),
                Poll::Pending => {
                    mem::forget(recv);
                    got.forgotten = 1;
                }
            }
            // A receive that *waits* in a task is not woken in place of the forgotten one; a receive that begins finds the value.
            while how == How::Task && got.end.is_none() {
                let mut recv = rx.recv();
                let mut looks = 0;
                how.until(|| {
                    looks += 1;
                    match poll_once(&mut recv) {
                        Poll::Ready(result) => got.note(result),
                        Poll::Pending => return looks == 100,
                    }
                    true
                })
                .await;
            }
        }
        Receiver::Iter => {
            got.end = match how {
                How::Thread => {
                    let mut values = rx.iter();
                    got.items.extend(values.by_ref().map(|value| value.id));
                    values.end()
                }
                How::Task => {
                    let mut values = rx.stream();
                    while let Some(value) = values.next().await {
                        got.items.push(value.id);
                    }
                    values.end()
                }
            };
        }
        Receiver::IntoIter => {
            let owned = rx.clone();
            got.end = match how {
                How::Thread => {
                    let mut values = owned.into_iter();
                    got.items.extend(values.by_ref().map(|value| value.id));
                    assert!(values.next().is_none());
                    values.end()
                }
                How::Task => {
                    let mut values = owned.into_stream();
                    while let Some(value) = values.next().await {
                        got.items.push(value.id);
                    }
                    assert!(values.next().await.is_none());
                    values.end()
                }
            };
        }
    }
    if act.stays() {
        while got.end.is_none() {
            got.note(how.run(rx.recv()).await);
        }
        for _ in 0..2 {
            assert_eq!(rx.recv().now().unwrap_err().why(), got.end.unwrap());
        }
        assert_eq!(rx.end(), got.end);
        got.rx = Some(rx);
    } else {
        got.note(how.run(rx.recv()).await);
        match act {
            Receiver::Panic => panic_holding(rx),
            _ => got.closed = Some(rx.close()),
        }
    }
    got
}

// ---- a cell

fn meet(pairing: Pairing, sender: Sender, receiver: Receiver) {
    let _watchdog = Watchdog::new();
    for first in [First::Server, First::Client] {
        let census = Census::new();
        let (tx, rx) = rendezvous();
        let sends = async |how| send(tx, sender, &census, how).await;
        let (sent, got) = if receiver == Receiver::DropBefore {
            drop(rx);
            (pair(pairing, first, sends, async |_| ()).0, Got::default())
        } else {
            pair(pairing, first, sends, async |how| receive(rx, receiver, how).await)
        };
        let case = format!("{sent:?} {got:?} {first:?}");
        assert_account(&sent, &got, &case);
        assert_outputs(sender, receiver, &sent, &got, &case);
        drop((sent, got));
        census.assert_settled();
    }
}

/// The accounts of both sides and of the channel agree.
fn assert_account(sent: &Sent, got: &Got, case: &str) {
    assert!(got.items.is_sorted_by(|a, b| a < b), "in order, each once: {case}");
    assert!(sent.taken.iter().all(|id| got.items.contains(id)), "Ok, but not received: {case}");
    assert!(
        got.items.iter().all(|id| sent.taken.contains(id) || sent.unknown.contains(id)),
        "received, but given back: {case}"
    );
    let check = |stats: Stats, senders, receivers| {
        assert_eq!(stats.handed_over as usize, got.items.len(), "{stats:?} {case}");
        assert_eq!((stats.senders, stats.receivers), (senders, receivers), "{stats:?} {case}");
        // Only forgotten receives are there for ever.
        let offers = sent.unknown.iter().filter(|id| !got.items.contains(id)).count();
        assert!(stats.waiting_senders <= offers, "{stats:?} {case}");
        assert!(stats.waiting_receivers <= got.forgotten, "{stats:?} {case}");
    };
    let (senders, receivers) = (usize::from(sent.tx.is_some()), usize::from(got.rx.is_some()));
    sent.tx.iter().for_each(|tx| check(tx.stats(), senders, receivers));
    got.rx.iter().for_each(|rx| check(rx.stats(), senders, receivers));
}

fn assert_outputs(sender: Sender, receiver: Receiver, sent: &Sent, got: &Got, case: &str) {
    use Sender::*;
    let wanted = match sender {
        Send | SendAll | Reserve | Forget => &[0, 1][..],
        Panic => &[0],
        DropBefore | Close => &[],
        // Either is right: the sender's account agrees with it.
        DropDuring | PanicDuring | TimeOut | Now => &got.items,
    };
    let senders_end = match sender {
        Send | SendAll | Reserve | Forget | Close => Why::Closed,
        DropBefore | DropDuring | TimeOut | Now => Why::Dropped,
        Panic | PanicDuring => Why::Panicked,
    };
    if receiver.stays() {
        assert_eq!(got.items, wanted, "{case}");
        assert_eq!((got.end, sent.end), (Some(senders_end), None), "{case}");
        assert!(sent.closed != Some(false), "the first to close: {case}");
        if !matches!(sender, TimeOut | Now) {
            assert!(sent.back.is_empty(), "{case}");
        }
        return;
    }
    // The receiver leaves after one value, or after none.
    assert!(sent.end.is_none_or(|end| end == receiver.end()), "{case}");
    assert!(got.end.is_none_or(|end| end == senders_end), "{case}");
    match receiver {
        Receiver::Panic | Receiver::Close => {
            assert_eq!(got.items, &wanted[..wanted.len().min(1)], "{case}");
            assert_eq!(got.items.is_empty(), got.end.is_some(), "{case}");
            match sender {
                Send | SendAll => assert_eq!(sent.back, [1], "{case}"),
                Reserve => assert!(sent.back.is_empty(), "nothing is made for nobody: {case}"),
                Forget => assert_eq!(sent.back, [1], "{case}"),
                _ => {}
            }
            let is_told = matches!(sender, Send | SendAll | Reserve | Forget);
            assert_eq!(sent.end.is_some(), is_told, "{case}");
            if receiver == Receiver::Close && (is_told || got.end.is_some()) {
                assert_eq!(got.closed, Some(is_told), "the first to close: {case}");
            }
        }
        Receiver::DropBefore => {
            let back = match sender {
                SendAll => &[0, 1][..],
                DropBefore | Close | Reserve => &[],
                _ => &[0],
            };
            assert_eq!(sent.back, back, "{case}");
            let is_told = !matches!(sender, DropBefore | Close);
            assert_eq!(sent.end, is_told.then_some(Why::Dropped), "{case}");
            assert!(sent.closed != Some(true), "{case}");
        }
        _ => {
            // The receiver takes the value that its one poll finds, and none later.
            assert!(got.items.len() <= 1, "{case}");
            let n = got.items.len();
            match sender {
                Send | Panic => assert_eq!(
                    sent.back,
                    if sender == Panic && n == 1 { vec![] } else { vec![n] },
                    "{case}"
                ),
                SendAll => assert_eq!(sent.back, (n..2).collect::<Vec<_>>(), "{case}"),
                _ => {}
            }
            if matches!(sender, Send | SendAll | Reserve) {
                assert_eq!(sent.end, Some(receiver.end()), "{case}");
            }
        }
    }
}

// ---- the cells

macro_rules! cell {
    ($name:ident, $sender:ident, $receiver:ident) => {
        mod $name {
            use super::*;

            cell!(@ $sender, $receiver, thread_thread: ThreadThread, thread_task: ThreadTask, task_thread: TaskThread,
                task_task: TaskTask, one_task: OneTask);
        }
    };
    (@ $sender:ident, $receiver:ident, $($name:ident: $pairing:ident),*) => {
        $(
            #[test]
            fn $name() {
                meet(Pairing::$pairing, Sender::$sender, Receiver::$receiver);
            }
        )*
    };
}

macro_rules! rows {
    ($($module:ident: $sender:ident,)*) => {
        $(mod $module {
            use super::*;

            cell!(to_recv, $sender, Recv);
            cell!(to_time_out, $sender, TimeOut);
            cell!(to_now, $sender, Now);
            cell!(to_iter, $sender, Iter);
            cell!(to_into_iter, $sender, IntoIter);
            cell!(to_drop_before, $sender, DropBefore);
            cell!(to_drop_during, $sender, DropDuring);
            cell!(to_forget, $sender, Forget);
            cell!(to_panic, $sender, Panic);
            cell!(to_panic_during, $sender, PanicDuring);
            cell!(to_close, $sender, Close);
        })*
    };
}

rows! {
    send: Send,
    send_all: SendAll,
    reserve: Reserve,
    drop_before: DropBefore,
    drop_during: DropDuring,
    forget: Forget,
    time_out: TimeOut,
    now: Now,
    panic: Panic,
    panic_during: PanicDuring,
    close: Close,
}
