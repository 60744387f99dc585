//! Small conversations over `simplex()` and `duplex()`.

use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::support::{Alarm, By, Census, Value, explore, pairings, poll_once, poll_with, run};
use futures_core::Stream as _;
use handover::{Client, SendError, Server, Why, duplex, simplex};
use loom::thread;

/// Polls with another waker each time, the first `others` times without sleeping; only the last one rings for this task.
fn block_on_changing<F: Future + Unpin>(mut future: F, others: usize) -> F::Output {
    for _ in 0..others {
        if let Poll::Ready(output) = poll_with(&mut future, &Alarm::new().into()) {
            return output;
        }
    }
    loop {
        let alarm = Alarm::new();
        if let Poll::Ready(output) = poll_with(&mut future, &Arc::clone(&alarm).into()) {
            return output;
        }
        alarm.sleep();
    }
}

fn number(value: Value) -> u8 {
    value.number
}

fn drop_unsent(error: SendError<Value>) -> Why {
    error.why()
}

/// Tries to send, and gives up at once. Returns the value if it was not taken.
fn send_briefly<U>(by: By, server: &mut Server<Value, U>, value: Value) -> Option<Value> {
    match by {
        By::Thread => server
            .exchange(value)
            .wait_timeout(Duration::ZERO)
            .err()
            .and_then(SendError::into_unsent),
        By::Task => {
            let mut op = server.exchange(value);
            match poll_with(&mut op, &Alarm::new().into()) {
                Poll::Ready(result) => result.err().and_then(SendError::into_unsent),
                Poll::Pending => op.reclaim(),
            }
        }
    }
}

/// Tries to ask, and gives up at once. Returns the answer, or the question if it was not taken.
fn ask_briefly(
    by: By,
    client: &mut Client<Value, Value>,
    question: Value,
) -> Result<Value, Option<Value>> {
    match by {
        By::Thread => {
            client.exchange(question).wait_timeout(Duration::ZERO).map_err(SendError::into_unsent)
        }
        By::Task => {
            let mut op = client.exchange(question);
            match poll_with(&mut op, &Alarm::new().into()) {
                Poll::Ready(result) => result.map_err(SendError::into_unsent),
                Poll::Pending => Err(op.reclaim()),
            }
        }
    }
}

/// Tries to receive, and gives up at once.
fn recv_briefly(by: By, client: &mut Client<Value>) -> Option<Value> {
    match by {
        By::Thread => client.recv().wait_timeout(Duration::ZERO).ok(),
        By::Task => poll_once(client.recv()).and_then(Result::ok),
    }
}

/// Tries to take a demand, and gives up at once.
fn demand_briefly<T>(by: By, server: &mut Server<T, Value>) -> Option<Value> {
    match by {
        By::Thread => server.demand().wait_timeout(Duration::ZERO).ok(),
        By::Task => poll_once(server.demand()).and_then(Result::ok),
    }
}

/// Receives up to the end.
fn receive_all(by: By, client: &mut Client<Value>) -> (Vec<u8>, Why) {
    let mut numbers = Vec::new();
    loop {
        match run!(by, client.recv()) {
            Ok(value) => numbers.push(number(value)),
            Err(error) => return (numbers, error.why()),
        }
    }
}

pairings! {
    hand_over
    hand_over_both_ways
    send_gives_up
    recv_gives_up
    demand_gives_up
    ask_gives_up
    both_give_up
    client_leaves_before_or_after_taking
    client_takes_one_and_leaves
    server_leaves_while_client_waits
    server_takes_a_demand_and_leaves
    client_closes_while_server_waits
    finish_with_against_recv
    finish_with_against_ask
    finish_with_against_drop
    answer_after_a_send_that_was_given_up
    forgotten_offer_against_drop
    now_against_now
    other_wakers_at_the_client
    other_wakers_at_the_server
    other_wakers_at_both
    stream
    changes_of_kind
    panicking_waker
}

// ---- Hand-over

fn hand_over(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = simplex();
    let values = [census.value(1), census.value(2)];
    let producer = thread::spawn(move || {
        for value in values {
            run!(server, tx.send(value)).map_err(drop_unsent).unwrap();
        }
        tx.finish();
    });
    assert_eq!(receive_all(client, &mut rx), (vec![1, 2], Why::Closed));
    assert_eq!(run!(client, rx.recv()).map(number).unwrap_err().why(), Why::Closed);
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

fn hand_over_both_ways(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = duplex();
    let answers = [census.value(1), census.value(2)];
    let questions = [census.value(11), census.value(12)];
    let producer = thread::spawn(move || {
        let [first, second] = answers;
        assert_eq!(run!(server, tx.demand()).map(number), Ok(11));
        assert_eq!(run!(server, tx.exchange(first)).map(number).map_err(drop_unsent), Ok(12));
        tx.finish_with(second).map_err(drop_unsent).unwrap();
    });
    for (question, answer) in questions.into_iter().zip([1, 2]) {
        let got = run!(client, rx.exchange(question)).map(number).map_err(drop_unsent);
        assert_eq!(got, Ok(answer));
    }
    let error = run!(client, rx.exchange(census.value(13))).map(number).unwrap_err();
    assert_eq!((error.why(), error.into_unsent().map(number)), (Why::Closed, Some(13)));
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

// ---- Giving up against a hand-over

/// A value that a given-up send did not give back is received, and no other value is.
fn send_gives_up(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = simplex();
    let values = [census.value(1), census.value(2)];
    let producer = thread::spawn(move || {
        let mut sent = Vec::new();
        for value in values {
            let number = value.number;
            let unsent = send_briefly(server, &mut tx, value);
            if unsent.is_none() {
                sent.push(number);
            }
        }
        tx.finish();
        sent
    });
    let (received, why) = receive_all(client, &mut rx);
    assert_eq!(why, Why::Closed);
    assert_eq!(received, producer.join().unwrap());
    drop(rx);
    census.assert_empty();
}

/// A receive that is given up on loses nothing.
fn recv_gives_up(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = simplex();
    let values = [census.value(1), census.value(2)];
    let producer = thread::spawn(move || {
        for value in values {
            run!(server, tx.send(value)).map_err(drop_unsent).unwrap();
        }
        tx.finish();
    });
    let mut received: Vec<u8> = Vec::new();
    for _ in 0..2 {
        received.extend(recv_briefly(client, &mut rx).map(number));
    }
    let (rest, why) = receive_all(client, &mut rx);
    received.extend(rest);
    assert_eq!((received, why), (vec![1, 2], Why::Closed));
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

/// A demand that is given up on is there for the next call.
fn demand_gives_up(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = duplex();
    let (question, answer) = (census.value(1), census.value(2));
    let producer = thread::spawn(move || {
        let demand = demand_briefly(server, &mut tx);
        let demand = demand.unwrap_or_else(|| run!(server, tx.demand()).unwrap());
        assert_eq!(number(demand), 1);
        tx.finish_with(answer).map_err(drop_unsent).unwrap();
    });
    assert_eq!(run!(client, rx.exchange(question)).map(number).map_err(drop_unsent), Ok(2));
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

/// A question that is given up on comes back, or the server has it and its answer is owed.
fn ask_gives_up(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = duplex();
    let (question, answer) = (census.value(1), census.value(2));
    let producer = thread::spawn(move || {
        let demand = run!(server, tx.demand()).map(number);
        if let Ok(question) = demand {
            assert_eq!(question, 1);
            let error = run!(server, tx.exchange(answer)).map(number).unwrap_err();
            assert_eq!(error.why(), Why::Closed);
            assert!(error.unsent().is_none(), "the answer was fetched");
        }
        demand
    });
    let was_taken = match ask_briefly(client, &mut rx, question) {
        Ok(answer) => {
            assert_eq!(number(answer), 2);
            true
        }
        Err(Some(question)) => {
            assert_eq!(number(question), 1);
            assert_eq!(rx.owed().now().map(number).unwrap_err().why(), Why::OutOfTurn);
            false
        }
        Err(None) => {
            let refused = rx.exchange(census.value(3)).now().map(number).unwrap_err();
            assert_eq!(refused.why(), Why::OutOfTurn);
            assert_eq!(refused.into_unsent().map(number), Some(3));
            assert_eq!(run!(client, rx.owed()).map(number), Ok(2));
            true
        }
    };
    rx.close();
    let demand = producer.join().unwrap();
    assert_eq!(demand.is_ok(), was_taken);
    census.assert_empty();
}

/// Both sides in a hurry: the value is on one side at any time.
fn both_give_up(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = simplex();
    let value = census.value(1);
    let producer = thread::spawn(move || {
        let unsent = send_briefly(server, &mut tx, value);
        // The server stays, so that the client is not told the end instead.
        (tx, unsent.is_none())
    });
    let early = recv_briefly(client, &mut rx);
    let (tx, is_sent) = producer.join().unwrap();
    let is_received = early.is_some() || rx.recv().now().is_ok();
    assert_eq!(is_sent, is_received);
    drop((tx, rx, early));
    census.assert_empty();
}

// ---- Leaving

/// The value comes back exactly if the client did not get it.
fn client_leaves_before_or_after_taking(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = simplex();
    let value = census.value(1);
    let consumer = thread::spawn(move || recv_briefly(client, &mut rx).is_some());
    let error = run!(server, tx.send(value)).unwrap_err();
    assert_eq!(error.why(), Why::Dropped);
    assert_eq!(error.into_unsent().is_none(), consumer.join().unwrap());
    drop(tx);
    census.assert_empty();
}

fn client_takes_one_and_leaves(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = simplex();
    let value = census.value(1);
    let consumer = thread::spawn(move || {
        let got = run!(client, rx.recv());
        assert_eq!(got.map(number), Ok(1));
    });
    let error = run!(server, tx.send(value)).unwrap_err();
    assert_eq!((error.why(), error.into_unsent().is_none()), (Why::Dropped, true));
    consumer.join().unwrap();
    drop(tx);
    census.assert_empty();
}

fn server_leaves_while_client_waits(server: By, client: By) {
    let (tx, mut rx) = simplex::<()>();
    let leaving = thread::spawn(move || match server {
        By::Thread => drop(tx),
        By::Task => tx.finish(),
    });
    let why = if server == By::Thread { Why::Dropped } else { Why::Closed };
    assert_eq!(run!(client, rx.recv()).unwrap_err().why(), why);
    leaving.join().unwrap();
    assert_eq!(rx.end(), Some(why));
    assert_eq!(rx.recv().now().unwrap_err().why(), why);
}

/// The question was taken, so it does not come back although nobody answers it.
fn server_takes_a_demand_and_leaves(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = duplex::<(), _>();
    let question = census.value(1);
    let leaving = thread::spawn(move || demand_briefly(server, &mut tx).is_some());
    let error = run!(client, rx.exchange(question)).unwrap_err();
    assert_eq!(error.why(), Why::Dropped);
    assert_eq!(error.into_unsent().is_none(), leaving.join().unwrap());
    drop(rx);
    census.assert_empty();
}

fn client_closes_while_server_waits(server: By, client: By) {
    let census = Census::new();
    let (mut tx, rx) = simplex();
    let value = census.value(1);
    let closing = thread::spawn(move || match client {
        By::Thread => rx.close(),
        By::Task => drop(rx),
    });
    let why = if client == By::Thread { Why::Closed } else { Why::Dropped };
    assert_eq!(run!(server, tx.demand()).unwrap_err().why(), why);
    assert!(tx.is_closed());
    let error = run!(server, tx.send(value)).unwrap_err();
    assert_eq!((error.why(), error.into_unsent().map(number)), (why, Some(1)));
    closing.join().unwrap();
    drop(tx);
    census.assert_empty();
}

fn finish_with_against_recv(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = simplex();
    let value = census.value(1);
    let producer = thread::spawn(move || {
        // A thread looks first; a task may find the demand or not.
        if server == By::Task {
            _ = tx.demand().now();
        }
        tx.finish_with(value).map_err(drop_unsent).unwrap();
    });
    assert_eq!(receive_all(client, &mut rx), (vec![1], Why::Closed));
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

fn finish_with_against_ask(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = duplex();
    let (question, answer) = (census.value(1), census.value(2));
    let producer = thread::spawn(move || {
        let taken = if server == By::Task { tx.demand().now().map(number) } else { Ok(1) };
        tx.finish_with(answer).map_err(drop_unsent).unwrap();
        taken.is_ok()
    });
    let first = run!(client, rx.exchange(question)).map(number).map_err(drop_unsent);
    assert_eq!(first, Ok(2));
    let error = run!(client, rx.exchange(census.value(3))).map(number).unwrap_err();
    assert_eq!((error.why(), error.into_unsent().map(number)), (Why::Closed, Some(3)));
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

/// A last item that the client does not fetch is dropped once, by the end that leaves last; a refused item comes back.
fn finish_with_against_drop(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = simplex();
    let value = census.value(1);
    let consumer = thread::spawn(move || recv_briefly(client, &mut rx).is_some());
    if server == By::Task {
        _ = tx.demand().now();
    }
    let refused = tx.finish_with(value);
    let is_received = consumer.join().unwrap();
    if let Err(error) = refused {
        assert_eq!(error.why(), Why::Dropped);
        assert!(!is_received && error.into_unsent().is_some_and(|value| value.number == 1));
    }
    census.assert_empty();
}

/// Both ends leave, in either order, while a value lies between them and no operation waits for it.
fn forgotten_offer_against_drop(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = duplex();
    assert!(poll_with(&mut rx.exchange(census.value(1)), Waker::noop()).is_pending());
    let mut ask = rx.exchange(census.value(2));
    assert!(poll_with(&mut ask, Waker::noop()).is_pending());
    if server == By::Thread {
        // An answer on offer; otherwise a demand.
        assert_eq!(tx.demand().now().map(number), Ok(2));
        let mut exchange = tx.exchange(census.value(3));
        assert!(poll_with(&mut exchange, Waker::noop()).is_pending());
        mem::forget(exchange);
    }
    mem::forget(ask);
    let leaving = thread::spawn(move || tx.finish());
    if client == By::Thread {
        let last = rx.owed().now().map(number);
        assert!(server == By::Task || last == Ok(3));
    }
    drop(rx);
    leaving.join().unwrap();
    census.assert_empty();
}

/// Attempts that never wait, on both sides at once.
fn now_against_now(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = duplex();
    let (question, answer) = (census.value(1), census.value(2));
    let producer = thread::spawn(move || {
        let is_taken = tx.demand().now().is_ok();
        let unsent = match server {
            By::Thread => tx.exchange(answer).now().err().and_then(SendError::into_unsent),
            By::Task => tx.exchange(answer).reclaim(),
        };
        (is_taken, unsent.is_none(), tx)
    });
    let asked = match client {
        By::Thread => rx.exchange(question).now().map_err(SendError::into_unsent),
        By::Task => ask_briefly(client, &mut rx, question),
    };
    let (is_taken, is_sent, tx) = producer.join().unwrap();
    match &asked {
        Ok(_) => assert!(is_sent),
        Err(Some(_)) => assert!(!is_taken && !is_sent, "both have the question"),
        Err(None) => {
            let late = rx.owed().now();
            assert_eq!(is_sent, late.is_ok());
        }
    }
    drop((tx, rx, asked));
    census.assert_empty();
}

// ---- Wakers

/// Polls with other wakers while the value is put: the newest is woken.
fn other_wakers_at_the_client(server: By, polls: By) {
    let others = if polls == By::Thread { 1 } else { 2 };
    let (mut tx, mut rx) = simplex();
    let producer = thread::spawn(move || {
        run!(server, tx.send(1)).unwrap();
        tx.finish_with(2).unwrap();
    });
    assert_eq!(block_on_changing(rx.recv(), others), Ok(1));
    assert_eq!(block_on_changing(rx.recv(), others), Ok(2));
    producer.join().unwrap();
}

fn other_wakers_at_the_server(polls: By, client: By) {
    let others = if polls == By::Thread { 1 } else { 2 };
    let (mut tx, mut rx) = duplex();
    let producer = thread::spawn(move || {
        assert_eq!(block_on_changing(tx.demand(), others), Ok(11));
        assert_eq!(block_on_changing(tx.exchange(1), others), Ok(12));
        let error = block_on_changing(tx.exchange(2), others).unwrap_err();
        assert_eq!((error.why(), error.unsent()), (Why::Closed, None));
    });
    assert_eq!(run!(client, rx.exchange(11)), Ok(1));
    assert_eq!(run!(client, rx.exchange(12)), Ok(2));
    rx.close();
    producer.join().unwrap();
}

/// Both change their wakers, and one goes back to its first.
fn other_wakers_at_both(server: By, client: By) {
    let (mut tx, mut rx) = simplex();
    let producer = thread::spawn(move || {
        if server == By::Task {
            _ = poll_once(tx.demand());
        }
        assert!(block_on_changing(tx.send(1), 1).is_err());
    });
    let first = Alarm::new();
    let waker = Waker::from(Arc::clone(&first));
    let mut recv = rx.recv();
    let mut polled = poll_with(&mut recv, &waker);
    if polled.is_pending() && client == By::Task {
        polled = poll_with(&mut recv, &Alarm::new().into());
    }
    let received = loop {
        if let Poll::Ready(received) = polled {
            break received;
        }
        polled = poll_with(&mut recv, &waker);
        if polled.is_pending() {
            first.sleep();
            polled = poll_with(&mut recv, &waker);
        }
    };
    assert_eq!(received, Ok(1));
    drop(recv);
    drop(rx);
    producer.join().unwrap();
}

/// A stream keeps its place without an operation, and its waker.
fn stream(server: By, polls: By) {
    let (mut tx, rx) = simplex();
    let producer = thread::spawn(move || {
        run!(server, tx.send_all([1, 2])).unwrap();
        tx.finish();
    });
    let mut stream = rx.into_stream();
    let mut items = Vec::new();
    let mut alarm = Alarm::new();
    loop {
        let waker = Waker::from(Arc::clone(&alarm));
        match Pin::new(&mut stream).poll_next(&mut Context::from_waker(&waker)) {
            Poll::Ready(Some(item)) => items.push(item),
            Poll::Ready(None) => break,
            Poll::Pending => alarm.sleep(),
        }
        if polls == By::Thread {
            alarm = Alarm::new();
        }
    }
    assert_eq!(items, [1, 2]);
    assert_eq!(stream.end(), Some(Why::Closed));
    producer.join().unwrap();
}

/// Each end changes from one kind to the other between two operations.
fn changes_of_kind(server: By, client: By) {
    let other = |by| if by == By::Thread { By::Task } else { By::Thread };
    let (mut tx, mut rx) = simplex();
    let producer = thread::spawn(move || {
        run!(server, tx.send(1)).unwrap();
        run!(other(server), tx.send(2)).unwrap_err();
    });
    assert_eq!(run!(client, rx.recv()), Ok(1));
    assert_eq!(run!(other(client), rx.recv()), Ok(2));
    rx.close();
    producer.join().unwrap();
}

/// A send is given up for an answer while the client takes: whichever it takes, the answer is told of that, without another demand.
fn answer_after_a_send_that_was_given_up(server: By, client: By) {
    let (mut tx, mut rx) = simplex();
    let producer = thread::spawn(move || {
        tx.demand().wait().unwrap();
        let is_given_up = {
            let mut send = tx.send(1);
            let is_pending = poll_with(&mut send, &Alarm::new().into()).is_pending();
            is_pending && send.reclaim().is_some()
        };
        if is_given_up {
            run!(server, tx.answer(2)).unwrap();
        }
        (tx, is_given_up)
    });
    let got = run!(client, rx.recv());
    let (_tx, is_given_up) = producer.join().unwrap();
    assert_eq!(got, Ok(if is_given_up { 2 } else { 1 }));
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new(()));
    }
}

/// A waker that panics breaks off the send that wakes it: the value is withdrawn, or received.
fn panicking_waker(server: By, client: By) {
    let census = Census::new();
    let (mut tx, mut rx) = simplex();
    let value = census.value(1);
    let producer = thread::spawn(move || {
        let sent = catch_unwind(AssertUnwindSafe(|| run!(server, tx.send(value)).is_ok()));
        drop(tx);
        sent
    });
    let early = poll_with(&mut rx.recv(), &Arc::new(Panics).into());
    let mut received = match early {
        Poll::Ready(result) => vec![number(result.unwrap())],
        Poll::Pending => vec![],
    };
    let (rest, why) = receive_all(client, &mut rx);
    received.extend(rest);
    assert_eq!(why, Why::Dropped);
    let sent = producer.join().unwrap();
    match (&received[..], sent) {
        ([1], Ok(true) | Err(_)) => {}
        // A thread that sends does not change its mind.
        ([], Err(_)) => assert!(server == By::Task),
        (received, sent) => panic!("{received:?} against {sent:?}"),
    }
    drop(rx);
    census.assert_empty();
}
