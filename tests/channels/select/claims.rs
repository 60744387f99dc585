//! Exactly one arm happens, also where the time is up, or where an arm was on offer before it was one.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::support::*;
use futures_core::Stream;
use handover::{Sel2, iter, rendezvous, select};

#[test]
fn a_send_that_was_on_offer_before_it_was_an_arm_happens_alone() {
    for borrowed_first in [true, false] {
        let (a, b) = (rendezvous(), rendezvous());
        let mut early = a.0.send(1);
        pend(&mut early);
        let mut choice = select((&mut early, b.0.send(2)));
        pend(&mut choice);
        let (first, second) = if borrowed_first { (&a.1, &b.1) } else { (&b.1, &a.1) };
        assert!(first.recv().now().is_ok());
        assert!(second.recv().now().is_err(), "both arms happen");
        assert_eq!(matches!(ready(&mut choice), Sel2::A(Ok(()))), borrowed_first);
    }
}

/// A stream of values that receives as soon as it is woken.
struct Eager {
    values: Mutex<iter::IntoValuesStream<u8>>,
    got: Mutex<Vec<u8>>,
}

impl Eager {
    fn receive(&self, waker: &Waker) {
        let polled =
            Pin::new(&mut *self.values.lock().unwrap()).poll_next(&mut Context::from_waker(waker));
        if let Poll::Ready(Some(value)) = polled {
            self.got.lock().unwrap().push(value);
        }
    }
}

impl Wake for Eager {
    fn wake(self: Arc<Self>) {
        self.receive(Waker::noop());
    }
}

/// A receiver finds the select busy with its last look, and takes the offer as soon as that is over.
#[test]
fn an_arm_that_happens_between_the_last_look_and_the_end_of_the_time_is_told() {
    let (a, b) = (rendezvous(), rendezvous::<u8>());
    let eager = Arc::new(Eager { values: Mutex::new(a.1.into_stream()), got: Mutex::default() });
    let waker = Waker::from(Arc::clone(&eager));
    let mut items = 0;
    let items = std::iter::from_fn(|| {
        items += 1;
        if items == 2 {
            eager.receive(&waker);
        }
        Some(items)
    });
    let choice = select((b.0.send_all(items), a.0.send(5))).biased();
    // The item is taken after the look of a poll, so that the last look makes the next one.
    let mut is_over = false;
    let time = std::future::poll_fn(|_| {
        if !std::mem::replace(&mut is_over, true) {
            return Poll::Pending;
        }
        assert_eq!(b.1.recv().now(), Ok(1));
        Poll::Ready(())
    });
    let mut choice = Box::pin(choice.until(time));
    pend(&mut choice);
    let chosen = poll_once(&mut choice);
    assert_eq!(*eager.got.lock().unwrap(), [5]);
    assert!(matches!(chosen, Poll::Ready(Some(Sel2::B(Ok(()))))), "it happened, and is told");
}

/// A select that was forgotten: its borrowed send is polled alone, and is then a send like any other.
#[test]
fn a_send_of_a_forgotten_select_is_a_plain_one() {
    let (a, b) = (rendezvous(), rendezvous());
    let (mut one, mut other) = (a.0.send(1), b.0.send(2));
    let mut choice = select((&mut one, &mut other));
    pend(&mut choice);
    std::mem::forget(choice);
    pend(&mut one);
    assert_eq!(b.1.recv().now(), Ok(2));
    assert_eq!(a.1.recv().now(), Ok(1));
    assert_eq!((ready(&mut one), ready(&mut other)), (Ok(()), Ok(())));
}

/// The place among the receivers that the select had is a plain receive's now.
#[test]
fn a_receive_is_not_bound_by_the_permit_of_a_select_before_it() {
    let (values, permits) = (rendezvous::<u8>(), rendezvous::<u8>());
    let mut choice = select((values.1.recv(), permits.0.reserve()));
    pend(&mut choice);
    let mut taker = permits.1.recv();
    pend(&mut taker);
    let Sel2::B(Ok(permit)) = ready(&mut choice) else { panic!("a permit was free") };
    drop(choice);

    let mut recv = values.1.recv();
    pend(&mut recv);
    let second = values.0.reserve().now().expect("a receiver is free");
    let mut sends = (second.send(1), permit.send(2));
    pend(&mut sends.0);
    pend(&mut sends.1);
    assert_eq!((ready(&mut recv), ready(&mut taker)), (Ok(1), Ok(2)));
    assert_eq!((ready(&mut sends.0), ready(&mut sends.1)), (Ok(()), Ok(())));
}

/// While a receiving arm belongs to a permit the party is granted none. When the select is forgotten, its reserve may be granted one again.
#[test]
fn a_reserve_of_a_forgotten_select_looks_for_a_receiver_at_once() {
    let (a, b) = (rendezvous::<u8>(), rendezvous::<u8>());
    let mut reserve = a.0.reserve();
    let mut choice = select((&mut reserve, b.1.recv()));
    pend(&mut choice);
    let _permit = b.0.reserve().now().expect("the arm receives");
    let mut recv = a.1.recv();
    pend(&mut recv);
    std::mem::forget(choice);
    let permit = ready(&mut reserve).expect("a receiver is free");
    assert!(permit.send(1).now().is_err(), "a task receives when it is polled");
}

/// A party that is granted a permit receives for no other permit. When the grant has come to nothing, and it waits again, its receiving arm is free.
#[test]
fn the_receiving_arm_of_a_party_whose_grant_came_to_nothing_is_free_again() {
    let (a, b) = (rendezvous::<u8>(), rendezvous::<u8>());
    let mut choice = select((a.0.reserve(), b.1.recv())).biased();
    pend(&mut choice);
    let mut recv = a.1.recv();
    pend(&mut recv); // The party is granted a permit for this one, and has not looked yet.
    let (bell, waker) = Bell::new();
    let mut other = b.0.reserve();
    pend_with(&mut other, &waker);
    drop(recv);
    pend(&mut choice);
    assert_eq!(bell.rings(), 1, "the arm is free");
    assert!(ready(&mut other).is_ok());
}

/// A receiver comes to the reserve's channel while another arm is being queued: the reserve, which is queued next, finds it.
#[test]
fn a_reserve_finds_a_receiver_that_comes_while_the_arm_before_it_is_queued() {
    let (a, b) = (rendezvous::<u8>(), rendezvous::<u8>());
    let recv = Arc::new(Mutex::new(Box::pin(async move { a.1.recv().await })));
    let hook = Hook::new();
    let waker = hook.waker();
    let mut choice = select((b.1.recv(), a.0.reserve())).biased();
    let late = Arc::clone(&recv);
    hook.set(Moment::Clone, move || pend(&mut *late.lock().unwrap()));
    let chosen = poll_with(&mut choice, &waker);
    assert!(!hook.is_set(Moment::Clone), "the receiver has come");
    let Poll::Ready(Sel2::B(Ok(permit))) = chosen else { panic!("a receiver is there") };
    drop(permit);
}
