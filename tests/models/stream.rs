//! Small conversations over `stream()`.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::support::{Alarm, By, Census, Value, block_on, explore_with, pairings, poll_once, run};
use futures_core::Stream as _;
use handover::{Reader, Why, Writer, stream};
use loom::thread;

/// Explores `model` with at most two preemptions, or one where both are threads: these have a hundred times as many states.
/// `LOOM_MAX_PREEMPTIONS` says otherwise.
fn explore(writer: By, reader: By, model: fn(By, By)) {
    let preemptions = if (writer, reader) == (By::Thread, By::Thread) { 1 } else { 2 };
    explore_with(preemptions, move || model(writer, reader));
}

/// Tries an operation, and gives up at once. The result is `None`, or an error, if it was not done.
macro_rules! run_briefly {
    ($by:expr, $op:expr) => {
        match $by {
            By::Thread => Some($op.wait_timeout(Duration::ZERO)),
            By::Task => poll_once($op),
        }
    };
}

fn numbers(values: impl IntoIterator<Item = Value>) -> Vec<u8> {
    values.into_iter().map(|value| value.number).collect()
}

/// Reads up to the end.
fn receive_rest(by: By, reader: &mut Reader<Value>) -> (Vec<u8>, Why) {
    let got = run!(by, reader.read_all()).map(numbers).unwrap_or_default();
    // The end is there by now.
    (got, reader.recv().now().map(|value| value.number).unwrap_err().why())
}

/// Writes, and gives what was not taken.
fn write(by: By, writer: &mut Writer<Value>, values: Vec<Value>) -> Vec<u8> {
    match run!(by, writer.write(values)) {
        Ok(()) => vec![],
        Err(error) => numbers(error.into_rest()),
    }
}

pairings! {
    read_against_write
    read_some_against_sends
    read_once_against_write
    cancelled_recv_then_read
    cancelled_read_then_recv
    cancelled_read_then_another
    cancelled_read_once_then_read
    cancelled_write_against_read
    cancelled_send_against_recv
    cancelled_flush_against_read
    cancels_on_both_sides
    finish_against_read_briefly
    writer_drop_against_read_briefly
    reader_leaves_against_sends
    reader_leaves_against_write
    half_a_batch
    ahead
    ahead_is_dropped
    forgotten_read
}

// ---- Hand-over

fn read_against_write(writer: By, reader: By) {
    let census = Census::new();
    let (mut tx, mut rx) = stream();
    let values = census.values(1..=3);
    let producer = thread::spawn(move || {
        assert!(write(writer, &mut tx, values).is_empty());
        assert!(tx.finish().is_ok());
    });
    assert_eq!(run!(reader, rx.read(2)).map(numbers), Ok(vec![1, 2]));
    assert_eq!(run!(reader, rx.read(2)).map(numbers), Ok(vec![3]));
    assert_eq!(receive_rest(reader, &mut rx), (vec![], Why::Closed));
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

fn read_some_against_sends(writer: By, reader: By) {
    let census = Census::new();
    let (mut tx, mut rx) = stream();
    let [one, two] = [1, 2].map(|n| census.value(n));
    let producer = thread::spawn(move || {
        assert!(run!(writer, tx.send(one)).is_ok());
        assert!(run!(writer, tx.send(two)).is_ok());
    });
    assert_eq!(run!(reader, rx.read_some(2)).map(numbers), Ok(vec![1]));
    assert_eq!(run!(reader, rx.read_some(2)).map(numbers), Ok(vec![2]));
    producer.join().unwrap();
    assert_eq!(rx.read_some(2).now().map(numbers).unwrap_err().why(), Why::Dropped);
    drop(rx);
    census.assert_empty();
}

fn read_once_against_write(writer: By, reader: By) {
    let census = Census::new();
    let (mut tx, mut rx) = stream();
    let values = census.values(1..=2);
    let producer = thread::spawn(move || {
        assert!(write(writer, &mut tx, values).is_empty());
        assert!(tx.finish().is_ok());
    });
    assert_eq!(run!(reader, rx.read_once()).map(numbers), Ok(vec![1, 2]));
    assert_eq!(run!(reader, rx.read_once()).map(numbers).unwrap_err().why(), Why::Closed);
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

// ---- Giving up against a hand-over

/// A writer of two values against a reader that got some of them early.
fn check_two(writer: By, reader: By, early: impl FnOnce(&mut Reader<Value>) -> Vec<u8>) {
    let census = Census::new();
    let (mut tx, mut rx) = stream();
    let values = census.values(1..=2);
    let producer = thread::spawn(move || {
        assert!(write(writer, &mut tx, values).is_empty());
        assert!(tx.finish().is_ok());
    });
    let mut got = early(&mut rx);
    let (rest, why) = receive_rest(reader, &mut rx);
    got.extend(rest);
    assert_eq!((got, why), (vec![1, 2], Why::Closed));
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

fn cancelled_recv_then_read(writer: By, reader: By) {
    check_two(writer, reader, |rx| {
        let mut got = Vec::new();
        got.extend(run_briefly!(reader, rx.recv()).and_then(Result::ok).map(|value| value.number));
        let missing = 2 - got.len();
        let read = numbers(run!(reader, rx.read(missing)).unwrap());
        assert_eq!(read.len(), missing);
        got.extend(read);
        got
    });
}

fn cancelled_read_then_recv(writer: By, reader: By) {
    check_two(writer, reader, |rx| {
        let read = run_briefly!(reader, rx.read(2)).and_then(Result::ok);
        if read.is_none() {
            return numbers([run!(reader, rx.recv()).unwrap()]);
        }
        read.map_or_else(Vec::new, numbers)
    });
}

fn cancelled_read_then_another(writer: By, reader: By) {
    check_two(writer, reader, |rx| {
        let read = run_briefly!(reader, rx.read(2)).and_then(Result::ok);
        read.map_or_else(|| numbers(run!(reader, rx.read_some(1)).unwrap()), numbers)
    });
}

fn cancelled_read_once_then_read(writer: By, reader: By) {
    check_two(writer, reader, |rx| {
        let batch = run_briefly!(reader, rx.read_once()).and_then(Result::ok);
        if let Some(batch) = batch {
            return numbers(batch.take(1));
        }
        numbers(run!(reader, rx.read(2)).unwrap())
    });
}

/// A forgotten read goes on waiting; the next read works as if it had been dropped.
fn forgotten_read(writer: By, reader: By) {
    check_two(writer, reader, |rx| {
        let mut read = rx.read(2);
        match Pin::new(&mut read).poll(&mut Context::from_waker(&Alarm::new().into())) {
            Poll::Ready(values) => numbers(values.unwrap()),
            Poll::Pending => {
                mem::forget(read);
                vec![]
            }
        }
    });
}

fn cancelled_write_against_read(writer: By, reader: By) {
    let census = Census::new();
    let (mut tx, mut rx) = stream();
    let values = census.values(1..=2);
    let producer = thread::spawn(move || {
        let result = run_briefly!(writer, tx.write(values));
        let rest = match result {
            Some(Err(error)) => error.into_rest().collect(),
            // A dropped write does not say how much was taken.
            _ => vec![],
        };
        // A thread's time-out gives back all that was not taken.
        let is_known = writer == By::Thread;
        assert!(write(writer, &mut tx, rest).is_empty());
        assert!(tx.finish().is_ok());
        is_known
    });
    let mut got = run!(reader, rx.read(2)).map(numbers).unwrap_or_default();
    let (rest, why) = receive_rest(reader, &mut rx);
    got.extend(rest);
    assert_eq!(why, Why::Closed);
    let all = [1, 2];
    if producer.join().unwrap() {
        assert_eq!(got, all);
    } else {
        assert!(all.starts_with(&got), "{got:?}");
    }
    drop(rx);
    census.assert_empty();
}

fn cancelled_send_against_recv(writer: By, reader: By) {
    let census = Census::new();
    let (mut tx, mut rx) = stream();
    let values = census.values(1..=2);
    let producer = thread::spawn(move || {
        let mut sent = Vec::new();
        for value in values {
            let number = value.number;
            let back = match writer {
                By::Thread => tx
                    .send(value)
                    .wait_timeout(Duration::ZERO)
                    .err()
                    .map(|error| error.into_unsent().expect("not taken")),
                By::Task => {
                    let mut op = tx.send(value);
                    let context = &mut Context::from_waker(Waker::noop());
                    match Pin::new(&mut op).poll(context) {
                        Poll::Ready(result) => result.err().and_then(|error| error.into_unsent()),
                        Poll::Pending => op.reclaim(),
                    }
                }
            };
            if back.is_none() {
                sent.push(number);
            }
        }
        assert!(tx.finish().is_ok());
        sent
    });
    let mut got = Vec::new();
    while let Ok(value) = run!(reader, rx.recv()) {
        got.push(value.number);
    }
    assert_eq!(got, producer.join().unwrap());
    drop(rx);
    census.assert_empty();
}

fn cancelled_flush_against_read(writer: By, reader: By) {
    let census = Census::new();
    let (mut tx, mut rx) = stream();
    let [one, two] = [1, 2].map(|n| census.value(n));
    assert!(poll_once(rx.read(3)).is_none());
    let producer = thread::spawn(move || {
        assert!(run!(writer, tx.send(one)).is_ok());
        _ = run_briefly!(writer, tx.flush());
        assert!(run!(writer, tx.send(two)).is_ok());
        assert!(tx.finish().is_ok());
    });
    let mut got = numbers(run!(reader, rx.read(3)).unwrap());
    let (rest, why) = receive_rest(reader, &mut rx);
    got.extend(rest);
    assert_eq!((got, why), (vec![1, 2], Why::Closed));
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

fn cancels_on_both_sides(writer: By, reader: By) {
    let census = Census::new();
    let (mut tx, mut rx) = stream();
    let values = census.values(1..=2);
    let producer = thread::spawn(move || {
        let mut rest = values;
        if writer == By::Thread {
            rest = match tx.write(rest).wait_timeout(Duration::ZERO) {
                Ok(()) => vec![],
                Err(error) => error.into_rest().collect(),
            };
        } else {
            _ = poll_once(tx.flush());
        }
        assert!(write(writer, &mut tx, rest).is_empty());
        assert!(tx.finish().is_ok());
    });
    let early = run_briefly!(reader, rx.read_some(2)).and_then(Result::ok);
    let mut got = early.map_or_else(Vec::new, numbers);
    let (rest, why) = receive_rest(reader, &mut rx);
    got.extend(rest);
    assert_eq!((got, why), (vec![1, 2], Why::Closed));
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

// ---- Ends

fn leave_against_read_briefly(writer: By, reader: By, finish: bool) {
    let census = Census::new();
    let (mut tx, mut rx) = stream();
    assert!(poll_once(rx.read(2)).is_none());
    let one = census.value(1);
    let producer = thread::spawn(move || {
        assert!(run!(writer, tx.send(one)).is_ok());
        if finish {
            assert!(tx.finish().is_ok());
        }
    });
    let mut got = match run_briefly!(reader, rx.read(2)) {
        Some(Ok(values)) => numbers(values),
        Some(Err(error)) => {
            assert_eq!(error.why(), Why::TimedOut);
            vec![]
        }
        None => vec![],
    };
    let (rest, why) = receive_rest(reader, &mut rx);
    got.extend(rest);
    assert_eq!((got, why), (vec![1], if finish { Why::Closed } else { Why::Dropped }));
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

fn finish_against_read_briefly(writer: By, reader: By) {
    leave_against_read_briefly(writer, reader, true);
}

fn writer_drop_against_read_briefly(writer: By, reader: By) {
    leave_against_read_briefly(writer, reader, false);
}

/// The writer gets back the values that the reader had not taken when it left.
fn reader_leaves_against_sends(writer: By, reader: By) {
    let census = Census::new();
    let (mut tx, mut rx) = stream();
    let values = census.values(1..=2);
    let producer = thread::spawn(move || {
        let mut back = Vec::new();
        for value in values {
            if let Err(error) = run!(writer, tx.send(value)) {
                assert_eq!(error.why(), Why::Dropped);
                back.extend(error.into_unsent().map(|value| value.number));
            }
        }
        let mut hand = match tx.finish() {
            Ok(()) => vec![],
            Err(error) => numbers(error.into_unsent().unwrap()),
        };
        hand.extend(back);
        hand
    });
    let read = run_briefly!(reader, rx.read(2)).and_then(Result::ok);
    drop(rx);
    let mut all = read.map_or_else(Vec::new, numbers);
    all.extend(producer.join().unwrap());
    assert_eq!(all, [1, 2]);
    census.assert_empty();
}

fn reader_leaves_against_write(writer: By, reader: By) {
    let census = Census::new();
    let (mut tx, mut rx) = stream();
    let values = census.values(1..=3);
    let producer = thread::spawn(move || write(writer, &mut tx, values));
    let mut all = numbers([run!(reader, rx.recv()).map_err(|_| ()).unwrap()]);
    _ = run_briefly!(reader, rx.read(2)).and_then(Result::ok).map(|read| all.extend(numbers(read)));
    drop(rx);
    let back = producer.join().unwrap();
    all.extend(back);
    assert_eq!(all, [1, 2, 3]);
    census.assert_empty();
}

// ---- Batches

fn half_a_batch(writer: By, reader: By) {
    let census = Census::new();
    let (mut tx, mut rx) = stream();
    let (values, three) = (census.values(1..=2), census.value(3));
    let producer = thread::spawn(move || {
        assert!(write(writer, &mut tx, values).is_empty());
        assert!(run!(writer, tx.send(three)).is_ok());
        assert!(tx.finish().is_ok());
    });
    assert_eq!(numbers(run!(reader, rx.read_once()).unwrap().take(1)), [1]);
    assert_eq!(run!(reader, rx.read(2)).map(numbers), Ok(vec![2, 3]));
    assert_eq!(receive_rest(reader, &mut rx), (vec![], Why::Closed));
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

fn take_ahead(by: By, reader: &mut Reader<Value>, n: usize, count: usize) -> Vec<u8> {
    match by {
        By::Thread => numbers(reader.ahead(n).take(count)),
        By::Task => {
            let mut items = reader.ahead(n).into_stream();
            let mut got = Vec::new();
            while got.len() < count {
                let next = std::future::poll_fn(|context| Pin::new(&mut items).poll_next(context));
                match block_on(next) {
                    Some(value) => got.push(value.number),
                    None => break,
                }
            }
            got
        }
    }
}

fn ahead(writer: By, reader: By) {
    let census = Census::new();
    let (mut tx, mut rx) = stream();
    let values = census.values(1..=2);
    let producer = thread::spawn(move || {
        assert!(write(writer, &mut tx, values).is_empty());
        assert!(tx.finish().is_ok());
    });
    assert_eq!(take_ahead(reader, &mut rx, 1, 10), [1, 2]);
    assert_eq!(rx.end(), Some(Why::Closed));
    producer.join().unwrap();
    drop(rx);
    census.assert_empty();
}

/// The values that `ahead` had asked for are for the next request.
fn ahead_is_dropped(writer: By, reader: By) {
    check_two(writer, reader, |rx| take_ahead(reader, rx, 1, 1));
}
