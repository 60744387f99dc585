//! Permits: what is reserved, granted, used, given up.

use crate::support::thread;
use crate::support::*;
use handover::{never, rendezvous, select};

#[test]
fn a_permit_waits_for_a_receiver_and_hands_to_it() {
    let (tx, rx) = rendezvous();
    let (bell, waker) = Bell::new();
    let mut reserve = tx.reserve();
    assert!(poll_with(&mut reserve, &waker).is_pending());
    let mut recv = rx.recv();
    pend(&mut recv);
    assert_eq!(bell.rings(), 1);
    let permit = ready(&mut reserve).unwrap();
    let mut other = tx.send(1);
    pend(&mut other);
    pend(&mut recv); // kept for the permit
    let mut send = permit.send(2);
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok(2));
    ready(&mut send).unwrap();
    pend(&mut other);
}

#[test]
fn a_permit_that_is_dropped_passes_its_receiver_on() {
    let (tx, rx) = rendezvous();
    let (bell, waker) = Bell::new();
    let mut recv = rx.recv();
    assert!(poll_with(&mut recv, &waker).is_pending());
    let permit = tx.reserve().now().unwrap();
    let mut send = tx.send(1);
    pend(&mut send);
    assert_eq!(bell.rings(), 0);
    drop(permit);
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut recv), Ok(1));
    // The same holds for a send by permit that is never polled again, and for a granted reserve that is not polled again.
    let mut recv = rx.recv();
    let mut reserve = tx.reserve();
    pend(&mut reserve);
    assert!(poll_with(&mut recv, &waker).is_pending());
    let mut send = tx.send(2);
    pend(&mut send);
    drop(reserve);
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut recv), Ok(2));
    let mut recv = rx.recv();
    pend(&mut recv);
    assert_eq!(tx.reserve().now().unwrap().send(3).reclaim(), Some(3));
    let mut send = tx.send(4);
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok(4));
}

#[test]
fn a_permit_whose_receiver_went_waits_for_the_next_before_all_others() {
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let permit = tx.reserve().now().unwrap();
    let mut other = tx.send(1);
    pend(&mut other);
    drop(recv);
    let mut send = permit.send(2);
    pend(&mut send);
    assert_eq!(rx.recv().now(), Ok(2));
    assert_eq!(rx.recv().now(), Ok(1));
}

#[test]
fn a_granted_reserve_whose_receiver_went_waits_on() {
    let (tx, rx) = rendezvous::<u8>();
    let mut reserve = tx.reserve();
    pend(&mut reserve);
    let mut recv = rx.recv();
    pend(&mut recv);
    drop(recv);
    pend(&mut reserve);
    assert_eq!(tx.stats().waiting_senders, 1);
    let mut recv = rx.recv();
    pend(&mut recv);
    drop(ready(&mut reserve).unwrap());
    assert_eq!(tx.stats().waiting_senders, 0);
}

#[test]
fn a_permit_hands_to_a_thread_at_once() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    thread::scope(|scope| {
        let receiver = scope.spawn(|| rx.recv().wait());
        let permit = tx.reserve().wait().unwrap();
        permit.send(1).now().unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(1));
    });
}

/// `select(..).now()` frees a permit's receiver, and must not do so again when the arm is dropped.
#[test]
fn a_permit_as_an_arm_of_now_frees_its_receiver_only_once() {
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut first = tx.reserve().now().unwrap().send("first");
    let mut reserve = tx.reserve();
    pend(&mut reserve);
    assert!(select((&mut first, never::<()>().recv())).now().is_none());
    let second = ready(&mut reserve).unwrap(); // the receiver is reserved for this one now
    assert_eq!(first.reclaim(), Some("first"));
    let mut third = tx.send("third");
    pend(&mut third);
    assert!(poll_once(&mut recv).is_pending(), "nothing from anybody else while a permit keeps it");
    let mut second = second.send("second");
    pend(&mut second);
    assert_eq!(ready(&mut recv), Ok("second"));
}

#[test]
fn a_permit_as_an_arm_of_now_does_not_use_the_receiver_of_another_permit() {
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut first = tx.reserve().now().unwrap().send("first");
    let mut reserve = tx.reserve();
    pend(&mut reserve);
    assert!(select((&mut first, never::<()>().recv())).now().is_none());
    let second = ready(&mut reserve).unwrap();
    pend(&mut first);
    assert!(poll_once(&mut recv).is_pending(), "nothing from anybody else while a permit keeps it");
    let mut second = second.send("second");
    pend(&mut second);
    assert_eq!(ready(&mut recv), Ok("second"));
}

/// The value of a permit has had its turn: it comes before each reserve that waits.
#[test]
fn the_value_of_a_permit_comes_before_a_later_reserve() {
    let (tx, rx) = rendezvous();
    let mut gone = rx.recv();
    pend(&mut gone);
    let permit = tx.reserve().now().unwrap();
    drop(gone);
    let mut reserve = tx.reserve();
    pend(&mut reserve);
    let mut send = permit.send(1);
    pend(&mut send);
    assert_eq!(ready(&mut rx.recv()), Ok(1));
}

/// A permit's offer does not let a reserve overtake an offer that came before the reserve.
#[test]
fn a_permits_offer_does_not_let_a_reserve_overtake_an_older_offer() {
    let (tx, rx) = rendezvous();
    let mut gone = rx.recv();
    pend(&mut gone);
    let permit = tx.reserve().now().unwrap();
    drop(gone);
    let mut older = tx.send(1);
    pend(&mut older);
    let mut reserve = tx.reserve();
    pend(&mut reserve);
    let mut send = permit.send(0);
    pend(&mut send);
    let mut recvs = [rx.recv(), rx.recv()];
    let got = recvs.each_mut().map(poll_once);
    assert!(
        got.iter().all(std::task::Poll::is_ready),
        "{got:?}: a reserve that came later was first"
    );
}
