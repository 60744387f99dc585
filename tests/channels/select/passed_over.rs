//! While a choice looks through its arms nobody wins it: what is passed over then is put back, and nobody is left out.
//!
//! Iterators run in the midst of such a look, so that one thread is enough to see it.

use std::cell::RefCell;
use std::iter;

use crate::support::*;
use handover::{Receiver, Sel2, Sel3, op, rendezvous, select};

/// Gives two items, and runs `meanwhile` when it is asked for the second one.
fn items(meanwhile: impl FnOnce()) -> impl Iterator<Item = u8> {
    let mut meanwhile = Some(meanwhile);
    let mut made = 0;
    iter::from_fn(move || {
        made += 1;
        if made == 2 {
            meanwhile.take().unwrap()();
        }
        Some(made)
    })
}

/// Takes the first item, so that the next look asks for the second.
fn take_one(rx: &Receiver<u8>) {
    assert_eq!(rx.recv().now(), Ok(1));
}

#[test]
fn an_offer_that_was_passed_over_is_put_back_where_it_stood() {
    let (tx, rx) = rendezvous();
    let other = rendezvous();
    let mut sends = [tx.send(2), tx.send(3)];
    let passes_over = items(|| {
        // The select is busy, so that the next sender is served first.
        assert_eq!(rx.recv().now(), Ok(2));
    });
    let mut choice = select((tx.send(1), other.0.send_all(passes_over))).biased();
    pend(&mut choice);
    sends.iter_mut().for_each(pend);
    take_one(&other.1);
    pend(&mut choice);
    assert_eq!(rx.recv().now(), Ok(1));
    assert_eq!(rx.recv().now(), Ok(3));
    assert!(matches!(ready(&mut choice), Sel2::A(Ok(()))));
    sends.iter_mut().for_each(|send| ready(send).unwrap());
}

#[test]
fn a_select_that_passed_over_an_offer_is_woken_when_it_is_back() {
    let (tx, rx) = rendezvous();
    let other = rendezvous();
    let bells = [Bell::new(), Bell::new()];
    let waiting: RefCell<Vec<op::Take<'_, u8>>> = RefCell::default();
    let passes_over = items(|| {
        for (_, waker) in &bells {
            let mut recv = rx.recv();
            assert!(poll_with(&mut recv, waker).is_pending());
            waiting.borrow_mut().push(recv);
        }
    });
    let (own, own_waker) = Bell::new();
    let mut choice = select((tx.send(9), other.0.send_all(passes_over))).biased();
    assert!(poll_with(&mut choice, &own_waker).is_pending());
    take_one(&other.1);
    assert!(poll_with(&mut choice, &own_waker).is_pending());
    let rung: Vec<_> = bells.iter().map(|(bell, _)| bell.rings()).collect();
    assert!(rung.iter().sum::<usize>() >= 1, "somebody is called");
    let mut got = 0;
    own.rings();
    for (recv, rings) in waiting.borrow_mut().iter_mut().zip(rung) {
        if rings > 0 {
            if let std::task::Poll::Ready(value) = poll_once(recv) {
                assert_eq!(value, Ok(9));
                got += 1;
            }
        }
    }
    assert_eq!(got, 1);
    assert_eq!(own.rings(), 1);
    assert!(matches!(ready(&mut choice), Sel2::A(Ok(()))));
}

/// The other party is a select, too, and both look through their arms at the same time.
#[test]
fn two_that_look_at_each_other_meet_afterwards() {
    let (ab, ba) = (rendezvous(), rendezvous());
    let other = rendezvous();
    let inner = RefCell::new(None);
    let (bell, waker) = Bell::new();
    let looks = items(|| {
        let mut choice = select((ba.0.send(20), ab.1.recv()));
        assert!(poll_with(&mut choice, &waker).is_pending(), "the first one is looking");
        *inner.borrow_mut() = Some(choice);
    });
    let mut outer = select((ab.0.send(10), other.0.send_all(looks), ba.1.recv())).biased();
    pend(&mut outer);
    take_one(&other.1);
    match poll_once(&mut outer) {
        std::task::Poll::Ready(Sel3::C(got)) => {
            assert_eq!(got, Ok(20), "it stood there when the last arm was looked at");
        }
        std::task::Poll::Ready(other) => panic!("{:?}", matches!(other, Sel3::A(_))),
        std::task::Poll::Pending => {}
    }
    assert!(bell.rings() > 0);
    let mut inner = inner.borrow_mut();
    assert!(matches!(ready(inner.as_mut().unwrap()), Sel2::A(Ok(()))));
    assert_eq!(ab.0.stats().handed_over + ba.0.stats().handed_over, 1);
}

#[test]
fn an_offer_that_was_passed_over_goes_with_its_choice() {
    for way in 0..3 {
        let census = Census::new();
        let (tx, rx) = rendezvous();
        let (other, signal) = (rendezvous(), rendezvous::<u8>());
        let passes_over = items(|| {
            assert!(rx.recv().now().is_err(), "busy");
            match way {
                0 => drop(signal.0.close()),
                1 => {}
                _ => quiet_panic(),
            }
        });
        let mut send = tx.send(census.make());
        let mut choice =
            select((&mut send, other.0.send_all(passes_over), signal.1.recv())).biased();
        pend(&mut choice);
        take_one(&other.1);
        match way {
            0 => assert!(matches!(ready(&mut choice), Sel3::C(Err(_)))),
            1 => pend(&mut choice),
            _ => assert!(panics(|| poll_once(&mut choice))),
        }
        drop(choice);
        assert_eq!(tx.stats().waiting_senders, 0);
        // The send begins anew.
        pend(&mut send);
        assert_eq!(rx.recv().now().unwrap(), 0);
        ready(&mut send).unwrap();
        drop(send);
        census.assert_settled();
    }
}

#[test]
fn an_offer_that_was_passed_over_before_a_panic_is_put_back_by_the_next_look() {
    let (tx, rx) = rendezvous();
    let other = rendezvous();
    let passes_over = items(|| {
        assert!(rx.recv().now().is_err(), "busy");
        quiet_panic();
    });
    let mut choice = select((tx.send(1), other.0.send_all(passes_over))).biased();
    pend(&mut choice);
    take_one(&other.1);
    assert!(panics(|| poll_once(&mut choice)));
    assert!(rx.recv().now().is_err(), "it has not looked to the end");
    pend(&mut choice);
    assert_eq!(rx.recv().now(), Ok(1));
    assert!(other.1.recv().now().is_ok(), "what is sent one by one goes on");
    assert!(matches!(ready(&mut choice), Sel2::A(Ok(()))));
}

/// A select whose arm was won is done, and looks at no other arm.
#[test]
fn an_arm_that_was_won_is_done_before_any_other_is_looked_at() {
    let (tx, rx) = rendezvous();
    let other = rendezvous();
    let is_asked = std::cell::Cell::new(false);
    let mut choice = select((other.0.send_all(items(|| is_asked.set(true))), tx.send(5))).biased();
    pend(&mut choice);
    take_one(&other.1);
    assert_eq!(rx.recv().now(), Ok(5));
    assert!(matches!(ready(&mut choice), Sel2::B(Ok(()))));
    assert!(!is_asked.get(), "the iterator was not asked in vain");
}

/// An offer is passed over and then withdrawn. What a kept receive was notified of is gone with it: it delays no other offer.
#[test]
fn an_offer_that_comes_while_another_is_passed_over_is_not_left_to_a_kept_receive() {
    let (a, b) = (rendezvous::<u8>(), rendezvous::<u8>());
    let (mut kept, mut live, mut second) = (a.1.recv(), a.1.recv(), a.0.send(9));
    let (bell, waker) = Bell::new();
    pend(&mut kept);
    pend_with(&mut live, &waker);
    // The second look makes the iterator's end, and so is the select's; the offer that was passed over in it is not put back.
    let mut made = 0;
    let items = iter::from_fn(|| {
        made += 1;
        if made == 2 {
            assert!(a.1.recv().now().is_err(), "the select is busy");
            pend(&mut second);
        }
        (made == 1).then_some(1)
    });
    let mut choice = select((a.0.send(1), b.0.send_all(items))).biased();
    pend(&mut choice);
    assert_eq!(b.1.recv().now(), Ok(1));
    assert!(matches!(ready(&mut choice), Sel2::B(Ok(()))));
    drop(choice);
    assert!(bell.rings() > 0, "an offer is there, and no one that is polled is told");
    assert_eq!(ready(&mut live), Ok(9));
}
