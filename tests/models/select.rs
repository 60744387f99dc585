//! Small choices: a select against plain operations, and against another one. Two arms that both happened show as values that do
//! not add up.

use crate::support::*;
use handover::{Sel2, Why, rendezvous, select, simplex};
use loom::thread;

/// The outcome of a select between a send and a receive: `None` if it sent, or the number that it received.
fn told<E: std::fmt::Debug, F: std::fmt::Debug>(
    choice: Sel2<Result<(), E>, Result<Value, F>>,
) -> Option<u8> {
    match choice {
        Sel2::A(sent) => {
            sent.unwrap();
            None
        }
        Sel2::B(received) => Some(received.unwrap().number),
    }
}

// The first party is the one that chooses.
pairings! {
    receives_against_senders
    sends_against_receivers
    send_and_receive_against_plain_ones
    sends_against_receives
    crossed_choices
    crossed_choices_of_which_one_gives_up
    chosen_send_that_gives_up
    chosen_receive_that_gives_up
    one_is_dropped_with_another_waiting
    own_arms_do_not_meet
    own_items_do_not_meet
    reserve_as_an_arm
    lockstep_as_an_arm
    close_against_a_choice
}

/// Two senders on two channels: one is served, the other one told that the receiver has gone.
fn receives_against_senders(s: By, p: By) {
    let census = Census::new();
    let ((a_tx, a), (b_tx, b)) = (rendezvous(), rendezvous());
    let (one, two) = (census.value(1), census.value(2));
    let first = thread::spawn(move || send(p, &a_tx, one));
    let second = thread::spawn(move || send(p, &b_tx, two));
    let got = match choose(s, select((a.recv(), b.recv()))) {
        Sel2::A(value) | Sel2::B(value) => value.unwrap().number,
    };
    drop((a, b));
    let sent = [first.join().unwrap(), second.join().unwrap()];
    assert_eq!(sent.map(|sent| sent.is_ok()), [got == 1, got == 2]);
    census.assert_empty();
}

fn sends_against_receivers(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b, b_rx)) = (rendezvous(), rendezvous());
    let first = thread::spawn(move || recv(p, &a_rx));
    let second = thread::spawn(move || recv(p, &b_rx));
    let choice = select((a.send(census.value(1)), b.send(census.value(2))));
    let is_first = match choose(s, choice) {
        Sel2::A(sent) => sent.is_ok(),
        Sel2::B(sent) => !sent.is_ok(),
    };
    drop((a, b));
    let got = [first.join().unwrap(), second.join().unwrap()];
    assert_eq!(got, if is_first { [Ok(1), Err(Why::Dropped)] } else { [Err(Why::Dropped), Ok(2)] });
    census.assert_empty();
}

fn send_and_receive_against_plain_ones(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b_tx, b)) = (rendezvous(), rendezvous());
    let two = census.value(2);
    let receiver = thread::spawn(move || recv(p, &a_rx));
    let sender = thread::spawn(move || send(p, &b_tx, two));
    let got = told(choose(s, select((a.send(census.value(1)), b.recv()))));
    drop((a, b));
    let (received, sent) = (receiver.join().unwrap(), sender.join().unwrap());
    match got {
        None => assert_eq!((received, sent), (Ok(1), Err(Why::Dropped))),
        Some(number) => {
            assert_eq!(number, 2);
            assert_eq!((received, sent), (Err(Why::Dropped), Ok(())));
        }
    }
    census.assert_empty();
}

/// All sends on one side, all receives on the other.
fn sends_against_receives(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b, b_rx)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let receiver = thread::spawn(move || {
        // The arms are in the other order, so that the two selects do not look at the same channel first.
        match choose(p, select((b_rx.recv(), a_rx.recv()))) {
            Sel2::A(value) | Sel2::B(value) => value.unwrap().number,
        }
    });
    let choice = select((a.send(census.value(1)), b.send(census.value(2))));
    let sent = match choose(s, choice) {
        Sel2::A(sent) => sent.map(|()| 1).map_err(|error| error.why()),
        Sel2::B(sent) => sent.map(|()| 2).map_err(|error| error.why()),
    };
    assert_eq!(sent, Ok(receiver.join().unwrap()));
    census.assert_empty();
}

/// Each select sends where the other one receives.
fn crossed_choices(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b, b_rx)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let (one, two) = (census.value(1), census.value(2));
    let (a_stays, b_stays) = ((a.clone(), a_rx.clone()), (b.clone(), b_rx.clone()));
    let other = thread::spawn(move || told(choose(p, select((b.send(two), a_rx.recv())))));
    let here = told(choose(s, select((a.send(one), b_rx.recv()))));
    let there = other.join().unwrap();
    assert!(matches!((here, there), (None, Some(1)) | (Some(2), None)), "{here:?} {there:?}");
    assert_eq!(a_stays.0.stats().handed_over + b_stays.0.stats().handed_over, 1);
    census.assert_empty();
}

fn crossed_choices_of_which_one_gives_up(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b, b_rx)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let (one, two) = (census.value(1), census.value(2));
    let other = thread::spawn(move || match choose(p, select((b.send(two), a_rx.recv()))) {
        Sel2::A(sent) => sent.map(|()| 0).map_err(|error| error.why()),
        Sel2::B(received) => received.map(|value| value.number).map_err(|error| error.why()),
    });
    let here = choose_briefly(s, select((a.send(one), b_rx.recv()))).map(told);
    drop((a, b_rx));
    let there = other.join().unwrap();
    let is_one = matches!(
        (here, there),
        (None, Err(Why::Dropped)) | (Some(None), Ok(1)) | (Some(Some(2)), Ok(0))
    );
    assert!(is_one || (s == By::Task && here.is_none()), "{here:?} {there:?}");
    census.assert_empty();
}

/// A value that a borrowed arm gives back was not received.
fn chosen_send_that_gives_up(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (_b, b_rx)) = (rendezvous(), rendezvous::<Value>());
    let one = census.value(1);
    let receiver = thread::spawn(move || recv(p, &a_rx));
    let mut send = a.send(one);
    let choice = choose_briefly(s, select((&mut send, b_rx.recv())));
    let is_back = match choice {
        None => send.reclaim().is_some(),
        Some(Sel2::A(sent)) => {
            drop(send);
            sent.is_err()
        }
        Some(Sel2::B(_)) => unreachable!("nobody sends"),
    };
    drop(a);
    assert_eq!(receiver.join().unwrap(), if is_back { Err(Why::Dropped) } else { Ok(1) });
    census.assert_empty();
}

fn chosen_receive_that_gives_up(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (_b, b_rx)) = (rendezvous(), rendezvous::<Value>());
    let one = census.value(1);
    let sender = thread::spawn(move || send(p, &a, one));
    let choice = choose_briefly(s, select((a_rx.recv(), b_rx.recv())));
    let got = matches!(choice, Some(Sel2::A(Ok(_))));
    drop(choice);
    drop(a_rx);
    assert_eq!(sender.join().unwrap().is_ok(), got);
    census.assert_empty();
}

/// A select that may have passed an offer over, or may have been woken, goes. No other party may miss anything by that.
fn one_is_dropped_with_another_waiting(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b, b_rx)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let (one, two) = (census.value(1), census.value(2));
    let other = {
        let (b, a_rx) = (b.clone(), a_rx.clone());
        thread::spawn(move || told(choose(p, select((b.send(two), a_rx.recv())))))
    };
    let fickle = choose_briefly(s, select((a.send(one), b_rx.recv()))).map(told);
    if fickle.is_none() && a.stats().handed_over == 0 && b.stats().handed_over == 0 {
        // The other select still wants both values.
        _ = a.send(census.value(3)).wait();
        assert_eq!(other.join().unwrap(), Some(3));
    } else {
        other.join().unwrap();
    }
    drop((a, a_rx, b, b_rx));
    census.assert_empty();
}

fn own_arms_do_not_meet(s: By, p: By) {
    let census = Census::new();
    let (a, a_rx) = rendezvous::<Value>();
    let one = census.value(1);
    let other = {
        let a_rx = a_rx.clone();
        thread::spawn(move || recv(p, &a_rx))
    };
    assert_eq!(told(choose(s, select((a.send(one), a_rx.recv())))), None);
    assert_eq!(other.join().unwrap(), Ok(1));
    census.assert_empty();
}

/// The items of a send_all arm do not meet a receive of the same select, but other receivers may take them.
fn own_items_do_not_meet(s: By, p: By) {
    let census = Census::new();
    let (a, a_rx) = rendezvous::<Value>();
    let one = census.value(1);
    let other = {
        let a_rx = a_rx.clone();
        thread::spawn(move || recv(p, &a_rx))
    };
    let Sel2::A(sent) = choose(s, select((a.send_all([one]), a_rx.recv()))) else {
        panic!("it met itself");
    };
    sent.map_err(|error| error.why()).unwrap();
    assert_eq!(other.join().unwrap(), Ok(1));
    census.assert_empty();
}

fn reserve_as_an_arm(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b_tx, b)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let two = census.value(2);
    let receiver = thread::spawn(move || recv(p, &a_rx));
    let sender = thread::spawn(move || send(p, &b_tx, two));
    let is_first = match choose(s, select((a.reserve(), b.recv()))) {
        Sel2::A(permit) => {
            let op = permit.unwrap().send(census.value(1));
            run!(s, op).unwrap();
            true
        }
        Sel2::B(value) => {
            assert_eq!(value.unwrap().number, 2);
            false
        }
    };
    drop((a, b));
    assert_eq!(receiver.join().unwrap().is_ok(), is_first);
    assert_eq!(sender.join().unwrap().is_ok(), !is_first);
    census.assert_empty();
}

/// An item in lockstep, and an offer: the item may be taken although the offer is.
fn lockstep_as_an_arm(s: By, p: By) {
    let census = Census::new();
    let (mut server, mut client) = simplex::<Value>();
    let (a, a_rx) = rendezvous::<Value>();
    let consumer = thread::spawn(move || {
        let item = run!(p, client.recv());
        item.map(|value| value.number).map_err(|error| error.why())
    });
    let receiver = thread::spawn(move || recv(p, &a_rx));
    let mut send = server.send(census.value(1));
    let choice = choose(s, select((&mut send, a.send(census.value(2)))));
    let is_offer_taken = match choice {
        Sel2::A(sent) => {
            assert!(sent.unwrap_err().unsent().is_none(), "taken, and then the client left");
            false
        }
        Sel2::B(sent) => {
            sent.map_err(|error| error.why()).unwrap();
            true
        }
    };
    let is_item_back = send.reclaim().is_some();
    drop((server, a));
    assert_eq!(consumer.join().unwrap().is_ok(), !is_item_back);
    assert_eq!(receiver.join().unwrap().is_ok(), is_offer_taken);
    census.assert_empty();
}

fn close_against_a_choice(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b, b_rx)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let one = census.value(1);
    let closer = {
        let (a, b) = (a_rx.clone(), b.clone());
        thread::spawn(move || {
            b.close();
            a.close();
        })
    };
    let receiver = thread::spawn(move || recv(p, &a_rx));
    let sent = match choose(s, select((a.send(one), b_rx.recv()))) {
        Sel2::A(sent) => sent.is_ok(),
        Sel2::B(received) => {
            assert_eq!(received.map(drop).unwrap_err().why(), Why::Closed);
            false
        }
    };
    drop(a);
    assert_eq!(receiver.join().unwrap().is_ok(), sent);
    closer.join().unwrap();
    drop((b, b_rx));
    census.assert_empty();
}
