//! Meetings of three and more, beyond those of `select` and `rendezvous`.

use std::time::Duration;

use crate::support::*;
use handover::{Sel2, Why, rendezvous, select};
use loom::thread;

/// The number that was received, 0 for a send, or `None` for the end.
fn tell(
    choice: Sel2<Result<(), handover::SendError<Value>>, Result<Value, handover::RecvError>>,
) -> Option<u8> {
    match choice {
        Sel2::A(sent) => sent.ok().map(|()| 0),
        Sel2::B(got) => got.ok().map(|value| value.number),
    }
}

pairings! {
    timed_send_all_against_a_receiver
    two_choices_and_a_plain_receiver
    two_choices_and_a_plain_sender
    three_choices_in_a_ring
    reserve_against_a_choice
    close_against_crossed_choices
    two_receiving_choices_and_one_offer
    a_choice_that_expires_beside_another
    same_channel_twice
    permit_as_an_arm
}

/// A send of many is `Ok` exactly if all its values were taken.
fn timed_send_all_against_a_receiver(s: By, p: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let one = census.value(1);
    let receiver = thread::spawn(move || recv(p, &rx));
    let is_sent = match s {
        By::Thread => match tx.send_all([one]).wait_timeout(Duration::ZERO) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.into_rest().count(), 1, "nothing is left, but it is no Ok");
                false
            }
        },
        By::Task => block_on(tx.send_all([one])).is_ok(),
    };
    drop(tx);
    assert_eq!(receiver.join().unwrap().is_ok(), is_sent);
    census.assert_empty();
}

/// A crossed pair, and a receiver that takes the value of one of them. In the end all have met a party, or are told the end.
fn two_choices_and_a_plain_receiver(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b, b_rx)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let (one, two) = (census.value(1), census.value(2));
    let (a_watch, b_watch) = (a_rx.clone(), b_rx.clone());
    let other = {
        let (a_rx, b) = (a_rx.clone(), b.clone());
        thread::spawn(move || tell(choose(p, select((b.send(two), a_rx.recv())))))
    };
    let plain = thread::spawn(move || recv(p, &a_rx));
    let here = tell(choose(s, select((a.send(one), b_rx.recv()))));
    let met = a_watch.stats().handed_over + b_watch.stats().handed_over;
    assert!(met >= 1);
    // The select that is left over is served now.
    a.close();
    b.close();
    let (there, plain) = (other.join().unwrap(), plain.join().unwrap());
    match (here, there, plain) {
        (Some(2), Some(0), Err(Why::Closed))
        | (Some(0), Some(1), Err(Why::Closed))
        | (Some(0), None, Ok(1)) => {}
        all => panic!("{all:?}"),
    }
    drop((a_watch, b_watch));
    census.assert_empty();
}

/// The select that is served first closes the channel for the one that is left over.
fn two_choices_and_a_plain_sender(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b, b_rx)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let (one, two, three) = (census.value(1), census.value(2), census.value(3));
    let other = {
        let a_rx = a_rx.clone();
        thread::spawn(move || {
            let told = tell(choose(p, select((b.send(two), a_rx.recv()))));
            a_rx.close();
            told
        })
    };
    let plain = {
        let a = a.clone();
        thread::spawn(move || send(p, &a, three))
    };
    let here = tell(choose(s, select((a.send(one), b_rx.recv()))));
    let (there, plain) = (other.join().unwrap(), plain.join().unwrap());
    match (here, there, plain) {
        (Some(0), Some(1), Err(_)) | (Some(2), Some(0), Err(_)) | (None, Some(3), Ok(())) => {}
        all => panic!("{all:?}"),
    }
    census.assert_empty();
}

/// Each select sends to the next one. Two meet, and one of these closes the third one's channel.
fn three_choices_in_a_ring(s: By, p: By) {
    let census = Census::new();
    let channels = std::sync::Arc::new([(); 3].map(|()| rendezvous::<Value>()));
    let go = |i: usize, by: By| {
        let (channels, value) = (std::sync::Arc::clone(&channels), census.value(i as u8 + 1));
        move || {
            let (tx, rx) = (&channels[i].0, &channels[(i + 2) % 3].1);
            tell(choose(by, select((tx.send(value), rx.recv()))));
            channels.iter().for_each(|(tx, _)| _ = tx.close());
        }
    };
    let (one, two) = (thread::spawn(go(1, p)), thread::spawn(go(2, p)));
    go(0, s)();
    one.join().unwrap();
    two.join().unwrap();
    let met: u64 = channels.iter().map(|(tx, _)| tx.stats().handed_over).sum();
    assert_eq!(met, 1);
    census.assert_empty();
}

fn reserve_against_a_choice(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b, b_rx)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let (one, two) = (census.value(1), census.value(2));
    let other = thread::spawn(move || match choose(p, select((a_rx.recv(), b_rx.recv()))) {
        Sel2::A(got) | Sel2::B(got) => got.map(|value| value.number).map_err(|error| error.why()),
    });
    let plain = {
        let b = b.clone();
        thread::spawn(move || send(p, &b, two))
    };
    let permit = match s {
        By::Thread => a.reserve().wait(),
        By::Task => block_on(a.reserve()),
    };
    let sent = match permit {
        Ok(permit) => match s {
            By::Thread => permit.send(one).wait(),
            By::Task => block_on(permit.send(one)),
        }
        .is_ok(),
        Err(_) => {
            drop(one);
            false
        }
    };
    let got = other.join().unwrap();
    let plain = plain.join().unwrap();
    assert_eq!((sent, plain.is_ok()), (got == Ok(1), got == Ok(2)));
    let _ = &b;
    census.assert_empty();
}

fn close_against_crossed_choices(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b, b_rx)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let (one, two) = (census.value(1), census.value(2));
    let (a_stays, b_stays) = (a.clone(), b.clone());
    let closer = {
        let a = a.clone();
        thread::spawn(move || a.close())
    };
    let other = thread::spawn(move || tell(choose(p, select((b.send(two), a_rx.recv())))));
    let here = tell(choose(s, select((a.send(one), b_rx.recv()))));
    drop((a, b_rx));
    let there = other.join().unwrap();
    closer.join().unwrap();
    assert!(
        matches!((here, there), (Some(0), Some(1)) | (Some(2), Some(0)) | (None, None)),
        "{here:?} {there:?}"
    );
    assert_eq!(
        a_stays.stats().handed_over + b_stays.stats().handed_over,
        u64::from(here.is_some())
    );
    census.assert_empty();
}

/// One of two selects gets the first offer, the other one gets the next.
fn two_receiving_choices_and_one_offer(s: By, p: By) {
    let census = Census::new();
    let (a, a_rx) = rendezvous::<Value>();
    let (_b, b_rx) = rendezvous::<Value>();
    let choosers: Vec<_> = (0..2)
        .map(|_| {
            let (a, b) = (a_rx.clone(), b_rx.clone());
            thread::spawn(move || match choose(p, select((a.recv(), b.recv()))) {
                Sel2::A(got) | Sel2::B(got) => got.unwrap().number,
            })
        })
        .collect();
    send(s, &a, census.value(1)).unwrap();
    send(s, &a, census.value(2)).unwrap();
    let sum: u8 = choosers.into_iter().map(|chooser| chooser.join().unwrap()).sum();
    assert_eq!(sum, 3);
    census.assert_empty();
}

/// A select offers on two channels and gives up, while another offer waits beside it on one of them.
fn a_choice_that_expires_beside_another(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b, _b_rx)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let (one, two, three) = (census.value(1), census.value(2), census.value(3));
    let receiver = thread::spawn(move || recv(p, &a_rx));
    let plain = {
        let a = a.clone();
        thread::spawn(move || send(p, &a, three))
    };
    let is_delivered = {
        let mut first = a.send(one);
        match choose_briefly(s, select((&mut first, b.send(two)))) {
            Some(Sel2::A(sent)) => sent.is_ok(),
            Some(Sel2::B(_)) => unreachable!("nobody receives"),
            None => first.reclaim().is_none(),
        }
    };
    let (got, plain) = (receiver.join().unwrap(), plain.join().unwrap());
    assert_eq!((is_delivered, plain.is_ok()), (got == Ok(1), got == Ok(3)));
    census.assert_empty();
}

fn same_channel_twice(s: By, p: By) {
    let census = Census::new();
    let (a, a_rx) = rendezvous::<Value>();
    let receiver = {
        let a_rx = a_rx.clone();
        thread::spawn(move || match choose(p, select((a_rx.recv(), a_rx.recv()))) {
            Sel2::A(got) | Sel2::B(got) => got.unwrap().number,
        })
    };
    let sent = match choose(s, select((a.send(census.value(1)), a.send(census.value(2))))) {
        Sel2::A(sent) => sent.map(|()| 1),
        Sel2::B(sent) => sent.map(|()| 2),
    };
    assert_eq!(sent.map_err(|error| error.why()), Ok(receiver.join().unwrap()));
    let stats = a.stats();
    assert_eq!((stats.waiting_senders, stats.waiting_receivers, stats.handed_over), (0, 0, 1));
    drop(a_rx);
    census.assert_empty();
}

fn permit_as_an_arm(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b_tx, b)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let (one, two) = (census.value(1), census.value(2));
    let receiver = thread::spawn(move || recv(p, &a_rx));
    let sender = thread::spawn(move || send(p, &b_tx, two));
    let here = {
        let permit = match s {
            By::Thread => a.reserve().wait(),
            By::Task => block_on(a.reserve()),
        };
        tell(choose(s, select((permit.unwrap().send(one), b.recv()))))
    };
    drop((a, b));
    let (got, sent) = (receiver.join().unwrap(), sender.join().unwrap());
    assert_eq!((got.is_ok(), sent.is_ok()), (here == Some(0), here == Some(2)));
    census.assert_empty();
}
