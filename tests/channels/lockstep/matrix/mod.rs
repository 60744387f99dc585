//! What each side gets, for each thing that the sender may do with each that the receiver may, on threads and in tasks.
//!
//! Down: a server sends, a client receives. Up: a client asks, a server takes. Every value is counted: it is received once,
//! or given back once, or dropped with what gave it up.

use std::mem;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::support::*;
use handover::{Client, SendError, Server, Why, duplex, simplex};

fn panic_holding<T>(end: T) {
    assert!(panics(move || {
        let _end = end;
        quiet_panic();
    }));
}

/// What became of the values that a side sent, as far as it was told, by number.
#[derive(Debug, Default)]
struct Sent {
    taken: Vec<usize>,
    back: Vec<usize>,
    /// Forgotten, or left behind: nobody tells.
    unknown: Vec<usize>,
    end: Option<Why>,
}

impl Sent {
    /// Notes what an operation with the value `id` came to; whether it may go on.
    fn note<R>(&mut self, id: usize, result: Result<R, SendError<Counted>>) -> bool {
        let error = match result {
            Ok(_) => {
                self.taken.push(id);
                return true;
            }
            Err(error) => error,
        };
        self.end = error.is_end().then(|| error.why());
        match error.into_unsent() {
            Some(value) => {
                assert_eq!(value.id, id, "another value came back");
                self.back.push(id);
            }
            None => self.taken.push(id),
        }
        false
    }

    fn note_reclaimed(&mut self, id: usize, value: Option<Counted>) {
        match value {
            Some(value) => {
                assert_eq!(value.id, id, "another value came back");
                self.back.push(id);
            }
            None => self.taken.push(id),
        }
    }
}

/// What a side received, and the end if it was told one.
#[derive(Debug, Default)]
struct Got {
    items: Vec<usize>,
    end: Option<Why>,
}

// ---- down ----

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// Sends two items, then finishes.
    Send,
    /// Is dropped without a word.
    DropBefore,
    /// Has an item on offer, drops the operation, is dropped.
    DropDuring,
    /// Forgets a send whose item is on offer, sends another item, finishes.
    Forget,
    /// Offers an item until the time is up, is dropped.
    TimeOut,
    /// Sends an item, then panics.
    Panic,
    Finish,
    FinishWith,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiver {
    /// Receives all up to the end.
    Recv,
    /// Is dropped before the sender begins.
    DropBefore,
    /// Has asked, drops the operation, and is dropped when the sender has done what it can.
    DropDuring,
    /// Forgets a receive that waits, then receives all.
    Forget,
    /// Asks until the time is up, then receives all.
    TimeOut,
    /// Receives an item, then panics.
    Panic,
    /// Receives an item, then closes.
    Close,
}

async fn send(server: Server<Counted>, act: Sender, census: &Census, how: How) -> Sent {
    let mut server = server;
    let mut sent = Sent::default();
    if matches!(act, Sender::DropDuring | Sender::Forget | Sender::TimeOut) {
        // With the demand in hand the item is really on offer.
        _ = how.run(server.demand()).await;
    }
    match act {
        Sender::Send => {
            for _ in 0..2 {
                let (id, item) = census.next();
                if !sent.note(id, how.run(server.send(item)).await) {
                    return sent;
                }
            }
            server.finish();
        }
        Sender::DropBefore => drop(server),
        Sender::DropDuring => {
            let (id, item) = census.next();
            let mut send = server.send(item);
            match poll_once(&mut send) {
                Poll::Ready(result) => _ = sent.note(id, result),
                Poll::Pending => sent.unknown.push(id),
            }
            drop(send);
        }
        Sender::Forget => {
            let (id, item) = census.next();
            let goes_on = {
                let mut send = server.send(item);
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
                return sent;
            }
            let (id, item) = census.next();
            if sent.note(id, how.run(server.send(item)).await) {
                server.finish();
            }
        }
        Sender::TimeOut => {
            let (id, item) = census.next();
            let mut send = server.send(item);
            match how {
                How::Thread => _ = sent.note(id, send.wait_timeout(Duration::from_micros(50))),
                How::Task => match poll_once(&mut send) {
                    Poll::Ready(result) => _ = sent.note(id, result),
                    Poll::Pending => sent.note_reclaimed(id, send.reclaim()),
                },
            }
        }
        Sender::Panic => {
            let (id, item) = census.next();
            sent.note(id, how.run(server.send(item)).await);
            panic_holding(server);
        }
        Sender::Finish => server.finish(),
        Sender::FinishWith => {
            let (id, item) = census.next();
            match server.finish_with(item) {
                Ok(()) => sent.unknown.push(id),
                error => _ = sent.note(id, error),
            }
        }
    }
    sent
}

async fn receive(client: Client<Counted>, act: Receiver, how: How) -> Got {
    let mut client = client;
    let mut got = Got::default();
    match act {
        Receiver::DropBefore => unreachable!("dropped already"),
        Receiver::DropDuring => {
            how.until(|| peer_waits(&client) || peer_has_left(&client)).await;
            return got;
        }
        Receiver::Forget => {
            let mut recv = client.recv();
            match poll_once(&mut recv) {
                Poll::Ready(result) => got.note(result),
                Poll::Pending => mem::forget(recv),
            }
        }
        Receiver::TimeOut => {
            let recv = client.recv();
            let result = match how {
                How::Thread => recv.wait_timeout(Duration::from_micros(20)),
                How::Task => recv.now(),
            };
            got.note(result);
        }
        Receiver::Recv | Receiver::Panic | Receiver::Close => {}
    }
    match act {
        Receiver::Panic | Receiver::Close => {
            got.note(how.run(client.recv()).await);
            if act == Receiver::Panic { panic_holding(client) } else { client.close() }
        }
        _ => {
            while got.end.is_none() {
                got.note(how.run(client.recv()).await);
            }
            assert_eq!(client.end(), got.end);
        }
    }
    got
}

fn down(pairing: Pairing, sender: Sender, receiver: Receiver) {
    let _watchdog = Watchdog::new();
    for first in [First::Server, First::Client] {
        let census = Census::new();
        let (server, mut client) = simplex();
        let (sent, got) = if receiver == Receiver::DropBefore {
            drop(client);
            let server = async |how| send(server, sender, &census, how).await;
            (pair(pairing, first, server, async |_| ()).0, Got::default())
        } else {
            if receiver == Receiver::DropDuring {
                pend(&mut client.recv());
            }
            pair(
                pairing,
                first,
                async |how| send(server, sender, &census, how).await,
                async |how| receive(client, receiver, how).await,
            )
        };
        census.assert_settled();
        let case = format!("{sent:?} {got:?} {first:?}");
        sent.assert_agrees_with(&got.items, &case);

        // What the receiver's side got.
        let all = match sender {
            Sender::Send | Sender::Forget => &[0, 1][..],
            Sender::Panic | Sender::FinishWith => &[0],
            Sender::DropBefore | Sender::Finish => &[],
            // Either way: what the sender was told is checked above.
            Sender::DropDuring | Sender::TimeOut => &got.items,
        };
        let senders_end = match sender {
            Sender::Send | Sender::Forget | Sender::Finish | Sender::FinishWith => Why::Closed,
            Sender::DropBefore | Sender::DropDuring | Sender::TimeOut => Why::Dropped,
            Sender::Panic => Why::Panicked,
        };
        match receiver {
            Receiver::Recv | Receiver::Forget | Receiver::TimeOut => {
                assert_eq!(got.items, all, "{case}");
                assert_eq!(got.end, Some(senders_end), "{case}");
                assert_eq!(sent.end, None, "{case}");
            }
            Receiver::Panic | Receiver::Close => {
                assert_eq!(got.items, all[..all.len().min(1)], "{case}");
                assert_eq!(got.end, got.items.is_empty().then_some(senders_end), "{case}");
            }
            Receiver::DropBefore | Receiver::DropDuring => assert!(got.items.is_empty(), "{case}"),
        }

        // What the sender's side was told.
        let receivers_end = match receiver {
            Receiver::Close => Why::Closed,
            Receiver::Panic => Why::Panicked,
            _ => Why::Dropped,
        };
        assert!(sent.end.is_none_or(|end| end == receivers_end), "{case}");
        let stays = matches!(receiver, Receiver::Recv | Receiver::Forget | Receiver::TimeOut);
        if !stays && matches!(sender, Sender::Send | Sender::Forget | Sender::Panic) {
            assert_eq!(sent.end, Some(receivers_end), "{case}");
        }
        match (sender, receiver) {
            (Sender::DropBefore | Sender::Finish, _) => {}
            (_, Receiver::DropBefore) => {
                assert_eq!((&sent.back[..], sent.end), (&[0][..], Some(Why::Dropped)), "{case}");
            }
            (Sender::Send | Sender::Panic | Sender::TimeOut, Receiver::DropDuring) => {
                assert_eq!(sent.back, [0], "{case}");
            }
            (Sender::Forget, Receiver::Panic | Receiver::Close) => {
                assert!(sent.taken == [0] || (&sent.unknown, &sent.back) == (&vec![0], &vec![1]));
            }
            (Sender::Send | Sender::Panic, _) => assert!(sent.back.is_empty(), "{case}"),
            _ => {}
        }
    }
}

// ---- up ----

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// Asks twice, then closes.
    Ask,
    DropBefore,
    /// Has a value on its way up, drops the operation, is dropped.
    DropDuring,
    /// Forgets an operation whose value is on its way up, and fetches the answer.
    Forget,
    /// Asks until the time is up; fetches the answer if it is owed one; is dropped.
    TimeOut,
    /// Asks once, then panics.
    Panic,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answerer {
    /// Answers all.
    Answer,
    DropBefore,
    /// Takes a demand and is dropped without an answer.
    DropDuring,
    /// Forgets a wait for a demand, then answers all.
    Forget,
    /// Waits for a demand until the time is up, then answers all.
    TimeOut,
    /// Takes a demand, then panics.
    Panic,
    Finish,
    /// Takes a demand, answers it, closes.
    FinishWith,
}

async fn ask(
    client: Client<Counted, Counted>,
    act: Asker,
    census: &Census,
    how: How,
) -> (Sent, Got) {
    let mut client = client;
    let (mut sent, mut got) = (Sent::default(), Got::default());
    let mut note = |sent: &mut Sent, id, result: Result<Counted, SendError<Counted>>| match result {
        Ok(answer) => {
            got.items.push(answer.id);
            sent.note(id, Ok(()))
        }
        Err(error) => sent.note::<()>(id, Err(error)),
    };
    match act {
        Asker::DropBefore => drop(client),
        Asker::Ask | Asker::Panic => {
            for _ in 0..if act == Asker::Ask { 2 } else { 1 } {
                let (id, value) = census.next();
                if !note(&mut sent, id, how.run(client.exchange(value)).await) {
                    assert_eq!(client.end(), sent.end);
                    break;
                }
            }
            if act == Asker::Ask { client.close() } else { panic_holding(client) }
        }
        Asker::DropDuring => {
            let (id, value) = census.next();
            let mut ask = client.exchange(value);
            match poll_once(&mut ask) {
                Poll::Ready(result) => _ = note(&mut sent, id, result),
                Poll::Pending => sent.unknown.push(id),
            }
        }
        Asker::Forget => {
            let (id, value) = census.next();
            let mut ask = client.exchange(value);
            match poll_once(&mut ask) {
                Poll::Ready(result) => _ = note(&mut sent, id, result),
                Poll::Pending => {
                    sent.unknown.push(id);
                    mem::forget(ask);
                    let (id, value) = census.next();
                    let error = client.exchange(value).now().unwrap_err();
                    assert!(error.why() == Why::OutOfTurn || error.is_end(), "{error:?}");
                    assert_eq!(error.into_unsent().unwrap().id, id);
                    sent.back.push(id);
                    match how.run(client.answer()).await {
                        Ok(answer) => got.items.push(answer.id),
                        Err(error) => sent.end = Some(error.why()),
                    }
                }
            }
        }
        Asker::TimeOut => {
            let (id, value) = census.next();
            let ask = client.exchange(value);
            let result = match how {
                How::Thread => ask.wait_deadline(Instant::now()),
                How::Task => ask.now(),
            };
            note(&mut sent, id, result);
            if sent.taken == [id] && got.items.is_empty() && sent.end.is_none() {
                match how.run(client.answer()).await {
                    Ok(answer) => got.items.push(answer.id),
                    Err(error) => sent.end = Some(error.why()),
                }
            }
        }
        Asker::Close => client.close(),
    }
    (sent, got)
}

async fn answer(
    server: Server<Counted, Counted>,
    act: Answerer,
    census: &Census,
    how: How,
) -> (Sent, Got) {
    let mut server = server;
    let (mut sent, mut got) = (Sent::default(), Got::default());
    match act {
        Answerer::DropBefore => return (sent, got),
        Answerer::Finish => {
            server.finish();
            return (sent, got);
        }
        Answerer::Forget => {
            let mut demand = server.demand();
            match poll_once(&mut demand) {
                Poll::Ready(result) => got.note(result),
                Poll::Pending => mem::forget(demand),
            }
        }
        Answerer::TimeOut => {
            let demand = server.demand();
            let result = match how {
                How::Thread => demand.wait_timeout(Duration::from_micros(20)),
                How::Task => demand.now(),
            };
            got.note(result);
        }
        _ => {}
    }
    if got.items.is_empty() && got.end.is_none() {
        got.note(how.run(server.demand()).await);
    }
    match act {
        Answerer::DropDuring => drop(server),
        Answerer::Panic => panic_holding(server),
        Answerer::FinishWith => {
            let (id, item) = census.next();
            match server.finish_with(item) {
                Ok(()) => sent.unknown.push(id),
                error => _ = sent.note(id, error),
            }
        }
        _ => {
            while got.end.is_none() {
                let (id, item) = census.next();
                match how.run(server.exchange(item)).await {
                    Ok(demand) => {
                        got.items.push(demand.id);
                        sent.note(id, Ok(()));
                    }
                    Err(error) => {
                        sent.note::<()>(id, Err(error));
                        got.end = sent.end;
                    }
                }
            }
        }
    }
    (sent, got)
}

fn up(pairing: Pairing, asker: Asker, answerer: Answerer) {
    let _watchdog = Watchdog::new();
    for first in [First::Server, First::Client] {
        let (demands, answers) = (Census::new(), Census::new());
        let (server, client) = duplex();
        let ((answered, asked), (sent, got)) = pair(
            pairing,
            first,
            async |how| answer(server, answerer, &answers, how).await,
            async |how| ask(client, asker, &demands, how).await,
        );
        demands.assert_settled();
        answers.assert_settled();
        let case = format!("{answered:?} {asked:?} {sent:?} {got:?} {first:?}");
        sent.assert_agrees_with(&asked.items, &case);
        answered.assert_agrees_with(&got.items, &case);

        let askers_end = match asker {
            Asker::Ask | Asker::Close => Why::Closed,
            Asker::Panic => Why::Panicked,
            _ => Why::Dropped,
        };
        let answerers_end = match answerer {
            Answerer::Finish | Answerer::FinishWith => Why::Closed,
            Answerer::Panic => Why::Panicked,
            // One that answers all leaves after the asker has.
            _ => Why::Dropped,
        };
        assert!(asked.end.is_none_or(|end| end == askers_end), "{case}");
        assert!(sent.end.is_none_or(|end| end == answerers_end), "{case}");

        let n = if asker == Asker::Ask { 2 } else { 1 };
        let all = &[0, 1][..n];
        let refused = (vec![], vec![0], Some(answerers_end));
        let told = (sent.taken, sent.back, sent.end);
        match (asker, answerer) {
            (Asker::Ask | Asker::Panic, answerer) => match answerer {
                Answerer::Answer | Answerer::Forget | Answerer::TimeOut => {
                    assert_eq!((&asked.items[..], &got.items[..]), (all, all), "{case}");
                    assert_eq!(told, (all.to_vec(), vec![], None), "{case}");
                    assert_eq!(asked.end, Some(askers_end), "{case}");
                }
                Answerer::DropBefore | Answerer::Finish => assert_eq!(told, refused, "{case}"),
                Answerer::DropDuring | Answerer::Panic => {
                    assert_eq!(told, (vec![0], vec![], Some(answerers_end)), "{case}");
                    assert_eq!((asked.items, got.items), (vec![0], vec![]), "{case}");
                }
                Answerer::FinishWith => {
                    assert_eq!((asked.items, got.items), (vec![0], vec![0]), "{case}");
                    let second = (n == 2).then_some(answerers_end);
                    assert_eq!(told, (vec![0], vec![1; n - 1], second), "{case}");
                }
            },
            (Asker::Forget, answerer) => match answerer {
                Answerer::Answer | Answerer::Forget | Answerer::TimeOut | Answerer::FinishWith => {
                    assert_eq!((asked.items, got.items), (vec![0], vec![0]), "{case}");
                }
                Answerer::DropDuring | Answerer::Panic => {
                    assert_eq!((asked.items, got.items), (vec![0], vec![]), "{case}");
                    assert_eq!(told.2, Some(answerers_end), "{case}");
                }
                Answerer::DropBefore | Answerer::Finish => {
                    assert_eq!((asked.items, got.items), (vec![], vec![]), "{case}");
                    assert_eq!(told.2, Some(answerers_end), "{case}");
                }
            },
            (Asker::DropBefore | Asker::Close, _) => {
                assert!(asked.items.is_empty() && got.items.is_empty(), "{case}");
                if !matches!(answerer, Answerer::DropBefore | Answerer::Finish) {
                    assert_eq!(asked.end, Some(askers_end), "{case}");
                }
            }
            // These race; what each side was told is checked above.
            (Asker::DropDuring | Asker::TimeOut, _) => {}
        }
    }
}

// ---- the cells ----

impl Got {
    fn note(&mut self, result: Result<Counted, handover::RecvError>) {
        match result {
            Ok(item) => self.items.push(item.id),
            Err(error) if error.is_end() => self.end = Some(error.why()),
            Err(error) => assert!(error.is_timed_out() || error.is_not_ready(), "{error:?}"),
        }
    }
}

impl Sent {
    /// All that was told to be taken was received, in order, and nothing else but what is unknown.
    fn assert_agrees_with(&self, received: &[usize], case: &str) {
        assert!(received.is_sorted_by(|a, b| a < b), "{case}");
        assert!(self.taken.iter().all(|id| received.contains(id)), "{case}");
        assert!(
            received.iter().all(|id| self.taken.contains(id) || self.unknown.contains(id)),
            "{case}"
        );
    }
}

macro_rules! cell {
    ($run:ident, $name:ident, $a:expr, $b:expr) => {
        mod $name {
            use super::*;

            cell!(@ $run, $a, $b, thread_thread: ThreadThread, thread_task: ThreadTask, task_thread: TaskThread,
                task_task: TaskTask, one_task: OneTask);
        }
    };
    (@ $run:ident, $a:expr, $b:expr, $($name:ident: $pairing:ident),*) => {
        $(
            #[test]
            fn $name() {
                $run(Pairing::$pairing, $a, $b);
            }
        )*
    };
}

macro_rules! row {
    ($module:ident, $run:ident, $a:expr, $other:ident { $($name:ident: $b:ident,)* }) => {
        mod $module {
            use super::*;

            $(cell!($run, $name, $a, $other::$b);)*
        }
    };
}

macro_rules! rows {
    (down: $($module:ident: $a:ident,)*) => {
        mod down_ {
            use super::*;

            $(row!($module, down, Sender::$a, Receiver {
                to_recv: Recv,
                to_drop_before: DropBefore,
                to_drop_during: DropDuring,
                to_forget: Forget,
                to_time_out: TimeOut,
                to_panic: Panic,
                to_close: Close,
            });)*
        }
    };
    (up: $($module:ident: $a:ident,)*) => {
        mod up_ {
            use super::*;

            $(row!($module, up, Asker::$a, Answerer {
                to_answer: Answer,
                to_drop_before: DropBefore,
                to_drop_during: DropDuring,
                to_forget: Forget,
                to_time_out: TimeOut,
                to_panic: Panic,
                to_finish: Finish,
                to_finish_with: FinishWith,
            });)*
        }
    };
}

rows! { down:
    send: Send,
    drop_before: DropBefore,
    drop_during: DropDuring,
    forget: Forget,
    time_out: TimeOut,
    panic: Panic,
    finish: Finish,
    finish_with: FinishWith,
}

rows! { up:
    ask: Ask,
    drop_before: DropBefore,
    drop_during: DropDuring,
    forget: Forget,
    time_out: TimeOut,
    panic: Panic,
    close: Close,
}
