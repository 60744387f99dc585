//! Meetings of three and more, beyond those of `select_loom` and `rendezvous_loom`.
//!
//! Run: `RUSTFLAGS="--cfg handover_loom" cargo test --release --test meetings_loom`.
#![cfg(handover_loom)]

use std::task::Poll;
use std::time::Duration;

use handover::{Arms, Receiver, Sel2, Sender, Why, op, rendezvous, select};
use loom::thread;
use models::{Alarm, By, Census, Value, block_on, explore, pairings, poll_with};

#[path = "support/models.rs"]
mod models;

fn choose<A: Arms>(by: By, choice: op::Select<A>) -> A::Output {
    match by {
        By::Thread => choice.wait(),
        By::Task => block_on(choice),
    }
}

fn choose_briefly<A: Arms>(by: By, mut choice: op::Select<A>) -> Option<A::Output> {
    match by {
        By::Thread => choice.wait_timeout(Duration::ZERO),
        By::Task => match poll_with(&mut choice, &Alarm::new().into()) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        },
    }
}

fn send(by: By, tx: &Sender<Value>, value: Value) -> Result<(), Why> {
    match by {
        By::Thread => tx.send(value).wait(),
        By::Task => block_on(tx.send(value)),
    }
    .map_err(|error| error.why())
}

fn recv(by: By, rx: &Receiver<Value>) -> Result<u8, Why> {
    match by {
        By::Thread => rx.recv().wait(),
        By::Task => block_on(rx.recv()),
    }
    .map(|value| value.number)
    .map_err(|error| error.why())
}

/// Received, or sent (0), or the end.
fn told<E, F: Into<Option<Value>>>(sent: Result<(), E>, got: Option<F>) -> Option<u8> {
    match (sent, got) {
        (Ok(()), None) => Some(0),
        (_, Some(value)) => value.into().map(|value| value.number),
        _ => None,
    }
}

fn tell(
    choice: Sel2<Result<(), handover::SendError<Value>>, Result<Value, handover::RecvError>>,
) -> Option<u8> {
    match choice {
        Sel2::A(sent) => told::<_, Value>(sent, None),
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

/// All taken is `Ok`, and `Ok` is all taken.
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

/// A crossed pair, and a receiver that takes what one of them sends; in the end all have met somebody, or are told the end.
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
    // Whoever is left over is served now.
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

fn two_choices_and_a_plain_sender(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b, b_rx)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let (one, two, three) = (census.value(1), census.value(2), census.value(3));
    let (a_stays, b_stays) = (a.clone(), b.clone());
    let other = {
        let (a_rx, b) = (a_rx.clone(), b.clone());
        thread::spawn(move || tell(choose(p, select((b.send(two), a_rx.recv())))))
    };
    let plain = {
        let a = a.clone();
        thread::spawn(move || send(s, &a, three))
    };
    // Meets `other`, unless the plain one did.
    let here = choose(s, select((a.send(one), b_rx.recv(), a_rx.closed())));
    let here = match here {
        handover::Sel3::A(sent) => sent.ok().map(|()| 0),
        handover::Sel3::B(got) => got.ok().map(|value| value.number),
        handover::Sel3::C(_) => None,
    };
    let _ = (&a_stays, &b_stays);
    a_stays.close();
    b_stays.close();
    let (there, plain) = (other.join().unwrap(), plain.join().unwrap());
    match (here, there, plain) {
        (Some(0), Some(1), Err(_)) | (Some(2), Some(0), Err(_)) => {}
        all => panic!("{all:?}"),
    }
    census.assert_empty();
}

/// Each sends to the next one: two meet, the third is told the end.
fn three_choices_in_a_ring(s: By, p: By) {
    let census = Census::new();
    let channels: Vec<_> = (0..3).map(|_| rendezvous::<Value>()).collect();
    let spawn = |i: usize, by: By| {
        let (tx, rx) = (channels[i].0.clone(), channels[(i + 2) % 3].1.clone());
        let value = census.value(i as u8 + 1);
        thread::spawn(move || tell(choose(by, select((tx.send(value), rx.recv())))))
    };
    let (one, two) = (spawn(1, p), spawn(2, p));
    let (tx, rx) = (&channels[0].0, &channels[2].1);
    let zero = choose(s, select((tx.send(census.value(1)), rx.recv(), channels[1].1.closed())));
    let zero = match zero {
        handover::Sel3::A(sent) => sent.ok().map(|()| 0),
        handover::Sel3::B(got) => got.ok().map(|value| value.number),
        handover::Sel3::C(_) => None,
    };
    drop(zero);
    channels.iter().for_each(|(tx, _)| _ = tx.close());
    drop((one.join().unwrap(), two.join().unwrap()));
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
    drop((a, b));
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

/// One offer, two that choose: one of them gets it, the other one the next.
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

/// One offers on two channels and gives up; another offer waits behind it on one of them.
fn a_choice_that_expires_beside_another(s: By, p: By) {
    let census = Census::new();
    let ((a, a_rx), (b, _b_rx)) = (rendezvous::<Value>(), rendezvous::<Value>());
    let (one, two, three) = (census.value(1), census.value(2), census.value(3));
    let receiver = thread::spawn(move || recv(p, &a_rx));
    let plain = {
        let a = a.clone();
        thread::spawn(move || send(p, &a, three))
    };
    let mut first = a.send(one);
    let chosen = choose_briefly(s, select((&mut first, b.send(two))));
    let is_sent = matches!(chosen, Some(Sel2::A(Ok(()))));
    drop(chosen);
    let is_back = !is_sent && first.reclaim().is_some();
    let got = receiver.join().unwrap();
    a.close();
    let plain = plain.join().unwrap();
    if got == Ok(1) {
        assert!(!is_back && plain.is_err());
    } else {
        assert_eq!((got, plain), (Ok(3), Ok(())));
        assert!(is_back || is_sent == (got == Ok(1)));
    }
    drop((a, b, _b_rx));
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
    let (one, two, three) = (census.value(1), census.value(2), census.value(3));
    let receiver = thread::spawn(move || recv(p, &a_rx));
    let sender = thread::spawn(move || send(p, &b_tx, two));
    let other = {
        let a = a.clone();
        thread::spawn(move || send(p, &a, three))
    };
    let permit = match s {
        By::Thread => a.reserve().wait(),
        By::Task => block_on(a.reserve()),
    };
    // The other sender may have been served: then there is no receiver any more.
    let here = match permit {
        Ok(permit) => tell(choose(s, select((permit.send(one), b.recv())))),
        Err(_) => {
            drop(one);
            None
        }
    };
    drop(b);
    let got = match here {
        Some(2) => {
            sender.join().unwrap().unwrap();
            let got = receiver.join().unwrap();
            assert_eq!(got, Ok(3));
            other.join().unwrap().unwrap();
            return census.assert_empty();
        }
        _ => receiver.join().unwrap(),
    };
    drop(a);
    let (sent, plain) = (other.join().unwrap(), sender.join().unwrap());
    assert_eq!((here == Some(0), sent.is_ok()), (got == Ok(1), got == Ok(3)));
    assert!(plain.is_err());
    census.assert_empty();
}
