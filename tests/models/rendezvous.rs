//! Small meetings on a channel of many ends.

use std::task::Poll;
use std::time::Duration;

use crate::support::*;
use handover::{Receiver, Sender, Why, rendezvous};
use loom::thread;

/// Tries to receive, and gives up at once.
fn recv_briefly(by: By, rx: &Receiver<Value>) -> Option<u8> {
    let received = match by {
        By::Thread => rx.recv().wait_timeout(Duration::ZERO),
        By::Task => match poll_with(&mut rx.recv(), &Alarm::new().into()) {
            Poll::Ready(result) => result,
            Poll::Pending => return None,
        },
    };
    received.ok().map(|value| value.number)
}

/// Tries to send, and gives up at once. Returns whether the value was taken.
fn send_briefly(by: By, tx: &Sender<Value>, value: Value) -> bool {
    match by {
        By::Thread => tx.send(value).wait_timeout(Duration::ZERO).is_ok(),
        By::Task => {
            let mut op = tx.send(value);
            match poll_with(&mut op, &Alarm::new().into()) {
                Poll::Ready(result) => result.is_ok(),
                Poll::Pending => op.reclaim().is_none(),
            }
        }
    }
}

pairings! {
    one_to_one
    two_to_one
    one_to_two
    cancelled_receiver_with_another_waiting
    kept_receiver_with_another_arriving
    send_gives_up
    recv_gives_up
    close_against_all
    last_sender_leaves
    reserve_against_drop
    reserve_against_a_receiver_that_goes
}

fn one_to_one(s: By, r: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let values = [census.value(1), census.value(2)];
    let sender = thread::spawn(move || {
        for value in values {
            send(s, &tx, value).unwrap();
        }
    });
    assert_eq!(recv(r, &rx), Ok(1));
    assert_eq!(recv(r, &rx), Ok(2));
    assert_eq!(recv(r, &rx), Err(Why::Dropped));
    sender.join().unwrap();
    census.assert_empty();
}

fn two_to_one(s: By, r: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let other = tx.clone();
    let (one, two) = (census.value(1), census.value(2));
    let first = thread::spawn(move || send(s, &tx, one).unwrap());
    let second = thread::spawn(move || send(s, &other, two).unwrap());
    let mut got = [recv(r, &rx).unwrap(), recv(r, &rx).unwrap()];
    got.sort_unstable();
    assert_eq!(got, [1, 2]);
    first.join().unwrap();
    second.join().unwrap();
    census.assert_empty();
}

fn one_to_two(s: By, r: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let other = rx.clone();
    let receivers = [rx, other].map(|rx| thread::spawn(move || recv(r, &rx).unwrap()));
    send(s, &tx, census.value(1)).unwrap();
    send(s, &tx, census.value(2)).unwrap();
    let mut got = receivers.map(|receiver| receiver.join().unwrap());
    got.sort_unstable();
    assert_eq!(got, [1, 2]);
    census.assert_empty();
}

/// One receiver is woken and goes. The other one, which waits, must get the value.
fn cancelled_receiver_with_another_waiting(s: By, r: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let other = rx.clone();
    let value = census.value(1);
    let mut fickle = rx.recv();
    assert!(poll_with(&mut fickle, &Alarm::new().into()).is_pending());
    let waiting = thread::spawn(move || recv(r, &other));
    let sender = thread::spawn(move || send(s, &tx, value));
    drop(fickle);
    assert_eq!(waiting.join().unwrap(), Ok(1));
    assert_eq!(sender.join().unwrap(), Ok(()));
    drop(rx);
    census.assert_empty();
}

/// A kept receive that is not polled does not hold up a receive that comes after the offer.
fn kept_receiver_with_another_arriving(s: By, r: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let value = census.value(1);
    let mut kept = rx.recv();
    assert!(poll_with(&mut kept, &Alarm::new().into()).is_pending());
    let sender = thread::spawn(move || send(s, &tx, value));
    if r == By::Thread {
        assert_eq!(recv(r, &rx), Ok(1)); // also a thread that came before the offer
    } else {
        while rx.stats().waiting_senders == 0 {
            thread::yield_now();
        }
        assert_eq!(recv(r, &rx), Ok(1));
    }
    assert_eq!(sender.join().unwrap(), Ok(()));
    drop(kept);
    census.assert_empty();
}

fn send_gives_up(s: By, r: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let values = [census.value(1), census.value(2)];
    let sender = thread::spawn(move || {
        values
            .into_iter()
            .zip(1..)
            .filter_map(|(v, n)| send_briefly(s, &tx, v).then_some(n))
            .collect::<Vec<u8>>()
    });
    let mut got = Vec::new();
    while let Ok(number) = recv(r, &rx) {
        got.push(number);
    }
    assert_eq!(got, sender.join().unwrap());
    census.assert_empty();
}

fn recv_gives_up(s: By, r: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let value = census.value(1);
    let sender = thread::spawn(move || send(s, &tx, value));
    let got = recv_briefly(r, &rx).or_else(|| recv_briefly(r, &rx));
    drop(rx);
    assert_eq!(sender.join().unwrap().is_ok(), got.is_some());
    census.assert_empty();
}

fn close_against_all(s: By, r: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let (closer, _stays) = (tx.clone(), rx.clone());
    let value = census.value(1);
    let sender = thread::spawn(move || send(s, &tx, value));
    let receiver = thread::spawn(move || recv(r, &rx));
    assert!(closer.close());
    let (sent, received) = (sender.join().unwrap(), receiver.join().unwrap());
    assert!(matches!((sent, received), (Ok(()), Ok(1)) | (Err(Why::Closed), Err(Why::Closed))));
    census.assert_empty();
}

/// A sender sends and goes: the value comes first, then the end.
fn last_sender_leaves(s: By, r: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let value = census.value(1);
    let sender = thread::spawn(move || {
        send(s, &tx, value).unwrap();
        tx.close();
    });
    let watcher = thread::spawn({
        let rx = rx.clone();
        move || run!(r, rx.closed())
    });
    assert_eq!(recv(r, &rx), Ok(1));
    assert_eq!(recv(r, &rx), Err(Why::Closed));
    assert_eq!(watcher.join().unwrap(), Ok(Why::Closed));
    sender.join().unwrap();
    census.assert_empty();
}

/// A permit that is dropped passes its receiver on to the sender that waits.
fn reserve_against_drop(s: By, r: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let other = tx.clone();
    let value = census.value(1);
    let receiver = thread::spawn(move || recv(r, &rx));
    let sender = thread::spawn(move || send(s, &other, value));
    if s == By::Thread {
        drop(tx.reserve().wait_timeout(Duration::ZERO));
    } else {
        drop(poll_with(&mut tx.reserve(), &Alarm::new().into()));
    }
    assert_eq!(receiver.join().unwrap(), Ok(1));
    assert_eq!(sender.join().unwrap(), Ok(()));
    drop(tx);
    census.assert_empty();
}

fn reserve_against_a_receiver_that_goes(s: By, r: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let value = census.value(1);
    let sender = thread::spawn(move || {
        let permit = run!(s, tx.reserve());
        let send = permit.unwrap().send(value);
        run!(s, send).map_err(|error| drop(error.into_unsent())).unwrap();
    });
    let got = recv_briefly(r, &rx).unwrap_or_else(|| recv(r, &rx).unwrap());
    assert_eq!(got, 1);
    sender.join().unwrap();
    census.assert_empty();
}
