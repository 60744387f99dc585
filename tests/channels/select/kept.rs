//! A select that is kept and not polled, or forgotten.

use std::mem;
use std::task::Poll;

use super::MOMENT;
use crate::support::thread;
use crate::support::*;
use handover::{Sel2, never, rendezvous, select, simplex};

#[test]
fn a_kept_choice_that_nobody_polls_does_not_stop_waiting_threads() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let quiet = never::<u8>();
    let mut kept = select((quiet.recv(), rx.recv()));
    pend(&mut kept);
    thread::scope(|scope| {
        let receiver = scope.spawn(|| rx.recv().wait());
        until_receivers(&tx, 2);
        tx.send(1).wait().unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(1));
        // Nor does it stop threads in a select.
        let receiver = scope.spawn(|| select((rx.recv(), quiet.recv())).wait());
        until_receivers(&tx, 2);
        // The receiver is most likely parked by then; the test holds without that, too.
        assert!(quiet.recv().wait_timeout(10 * MOMENT).is_err());
        let sent = select((tx.send(2), quiet.recv())).wait();
        assert!(matches!(sent, Sel2::A(Ok(()))));
        assert!(matches!(receiver.join().unwrap(), Sel2::A(Ok(2))));
    });
    // The offers of a kept select can be taken.
    let (back, got) = rendezvous();
    let mut offering = select((back.send(3), quiet.recv()));
    pend(&mut offering);
    assert_eq!(got.recv().wait(), Ok(3));
    // The kept select did not come for the first value, so that a waiting task is woken at once.
    let (bell, waker) = Bell::new();
    let mut task = select((rx.recv(), quiet.recv()));
    assert!(poll_with(&mut task, &waker).is_pending());
    let mut first = tx.send(4);
    pend(&mut first);
    assert_eq!(bell.rings(), 1);
    drop(kept);
    assert!(matches!(ready(&mut task), Sel2::A(Ok(4))));
}

#[test]
fn a_forgotten_choice_gives_one_of_its_values_at_the_most() {
    let census = Census::new();
    let (a, b) = (rendezvous(), rendezvous());
    let mut choice = select((a.0.send(census.make()), b.0.send(census.make())));
    pend(&mut choice);
    mem::forget(choice);
    assert_eq!(b.1.recv().now().unwrap(), 1);
    let mut recv = a.1.recv();
    pend(&mut recv);
    pend(&mut recv);
    drop(recv);
    // Other sends are not held up.
    let mut send = a.0.send(census.make());
    pend(&mut send);
    assert_eq!(a.1.recv().now().unwrap(), 2);
    ready(&mut send).unwrap();
    drop(send);
    drop((a, b));
    census.assert_settled();
}

#[test]
fn arms_borrowed_by_a_forgotten_choice_go_on_alone() {
    let quiet = never::<u8>();
    for way in 0..4 {
        let (tx, rx) = rendezvous();
        let (mut one, mut two) = (tx.send(1), tx.send(2));
        let mut choice = select((&mut one, &mut two, quiet.recv())).biased();
        pend(&mut choice);
        mem::forget(choice);
        match way {
            0 => assert_eq!((one.reclaim(), two.reclaim()), (Some(1), Some(2))),
            1 => {
                pend(&mut one);
                pend(&mut two);
                assert_eq!((rx.recv().now(), rx.recv().now()), (Ok(1), Ok(2)));
                ready(&mut one).unwrap();
                ready(&mut two).unwrap();
            }
            2 => {
                assert_eq!(rx.recv().now(), Ok(1));
                assert!(rx.recv().now().is_err());
                ready(&mut one).unwrap();
                pend(&mut two); // the send is on its own from here
                assert_eq!(rx.recv().now(), Ok(2));
                ready(&mut two).unwrap();
            }
            _ => {
                let mut choice = select((quiet.recv(), &mut two));
                pend(&mut choice);
                assert_eq!(one.reclaim(), Some(1));
                assert_eq!(rx.recv().now(), Ok(2));
                assert!(matches!(ready(&mut choice), Sel2::B(Ok(()))));
            }
        }
    }
}

#[test]
fn a_send_that_lost_a_select_is_woken_when_it_goes_on_by_itself() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    let (tx, rx) = rendezvous();
    let mut recv = client.recv();
    pend(&mut recv);
    server.demand().now().unwrap();
    let mut send = server.send("an item");
    let (bell, waker) = Bell::new();
    let mut choice = select((&mut send, rx.recv()));
    pend_with(&mut choice, &waker);
    let mut letter = tx.send("a letter");
    pend(&mut letter);
    assert!(matches!(poll_with(&mut choice, &waker), Poll::Ready(Sel2::B(Ok("a letter")))));
    drop(choice);
    pend_with(&mut send, &waker);
    _ = bell.rings();
    assert_eq!(ready(&mut recv), Ok("an item"));
    drop(recv);
    let mut next = client.recv();
    pend(&mut next);
    assert_eq!(bell.rings(), 1);
    assert!(poll_with(&mut send, &waker).is_ready());
}

#[test]
fn a_choosing_thread_has_back_what_a_lost_arm_had_put() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    let (tx, rx) = rendezvous();
    let mut recv = client.recv();
    pend(&mut recv);
    thread::scope(|scope| {
        let mut send = server.send(7);
        // It puts the item, and then waits for the next demand.
        let choice = select((&mut send, rx.recv())).biased();
        scope.spawn(|| tx.send(()).wait());
        assert!(matches!(choice.wait(), Sel2::B(Ok(()))));
        assert_eq!(send.reclaim(), Some(7));
    });
    pend(&mut recv);
    drop(server);
    assert_eq!(ready(&mut recv).unwrap_err().why(), handover::Why::Dropped);
}

#[test]
fn a_reserve_that_waited_by_itself_and_lost_a_choice_keeps_no_receiver() {
    let (tx, rx) = rendezvous();
    let (other_tx, other_rx) = rendezvous();
    let mut reserve = tx.reserve();
    pend(&mut reserve);
    let mut offer = other_tx.send(());
    pend(&mut offer);
    assert!(matches!(ready(&mut select((&mut reserve, other_rx.recv()))), Sel2::B(Ok(()))));
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut send = tx.send(1);
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok(1));
    ready(&mut send).unwrap();
    pend(&mut reserve);
}
