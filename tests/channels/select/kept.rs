//! Choices that are dropped, kept or forgotten, and ends that leave.

use std::mem;
use std::thread;
use std::time::Duration;

use crate::support::{
    Bell, Census, Counted, Watchdog, panics, pend, poll_with, quiet_panic, ready, until,
};
use handover::{Sel2, Sel3, Sender, Why, never, rendezvous, select, simplex, stream};

fn until_receivers<T>(tx: &Sender<T>, n: usize) {
    until(|| tx.stats().waiting_receivers == n);
}

const MOMENT: Duration = Duration::from_millis(2);

// ---- choices that are dropped, kept or forgotten

#[test]
fn a_dropped_choice_withdraws_all() {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let other = rendezvous::<Counted>();
    let arms = || select((tx.send(census.make()), other.1.recv(), other.0.reserve(), tx.closed()));
    drop(arms());
    census.assert_settled();
    let mut choice = arms();
    pend(&mut choice);
    census.assert_alive(1);
    drop(choice);
    census.assert_settled();
    assert_eq!((tx.stats().waiting_senders, other.0.stats().waiting_receivers), (0, 0));
    assert_eq!(other.0.stats().waiting_senders, 0);
    // Taken before it was dropped: delivered, and nothing else.
    let mut choice = arms();
    pend(&mut choice);
    let got = rx.recv().now().unwrap();
    let mut unheard = other.0.send(census.make());
    pend(&mut unheard);
    drop(choice);
    assert!(unheard.reclaim().is_some());
    drop(got);
    assert_eq!(tx.stats().handed_over, 1);
    census.assert_settled();
}

#[test]
fn a_borrowed_arm_that_was_taken_before_its_choice_was_dropped_says_so() {
    let (tx, rx) = rendezvous();
    for way in 0..3 {
        let mut send = tx.send(1);
        let mut other = tx.send(2);
        let mut choice = select((&mut send, &mut other));
        pend(&mut choice);
        let got = rx.recv().now().unwrap();
        drop(choice);
        let (taken, kept) = if got == 1 { (send, other) } else { (other, send) };
        assert_eq!(kept.reclaim(), Some(3 - got));
        let mut taken = taken;
        match way {
            0 => assert_eq!(taken.reclaim(), None),
            1 => ready(&mut taken).unwrap(),
            _ => taken.wait_timeout(MOMENT).unwrap(),
        }
    }
}

#[test]
fn a_dropped_choice_passes_its_call_on() {
    let (tx, rx) = rendezvous();
    let quiet = never::<u8>();
    let (bell, waker) = Bell::new();
    let mut choice = select((rx.recv(), quiet.recv()));
    pend(&mut choice);
    let mut waiting = rx.recv();
    assert!(poll_with(&mut waiting, &waker).is_pending());
    let mut send = tx.send(1);
    pend(&mut send);
    assert_eq!(bell.rings(), 0);
    drop(choice);
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut waiting), Ok(1));
    // So does one that chose otherwise.
    let (signal, stop) = rendezvous();
    let mut choice = select((stop.recv(), rx.recv())).biased();
    pend(&mut choice);
    let mut waiting = rx.recv();
    assert!(poll_with(&mut waiting, &waker).is_pending());
    let (mut one, mut send) = (signal.send(1), tx.send(2));
    pend(&mut one);
    pend(&mut send);
    assert!(matches!(ready(&mut choice), Sel2::A(Ok(1))));
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut waiting), Ok(2));
    // And a permit that was granted meanwhile.
    let mut recv = rx.recv();
    let mut choice = select((signal.reserve(), tx.reserve())).biased();
    pend(&mut choice);
    let mut both = stop.recv();
    pend(&mut recv);
    pend(&mut both);
    let Sel2::A(permit) = ready(&mut choice) else { panic!("the first") };
    let mut send = tx.send(3);
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok(3), "nobody keeps it");
    drop(permit);
}

/// Who lets a permit go has nothing more to do with its receiver, which may be another's.
#[test]
fn a_permit_that_lost_is_given_up_once() {
    let (tx, rx) = rendezvous();
    let quiet = never::<u8>();
    for chooses in [true, false] {
        let mut recv = rx.recv();
        pend(&mut recv);
        let permit = tx.reserve().now().unwrap();
        let (mut next, mut behind) = (tx.reserve(), tx.send(5));
        pend(&mut next);
        pend(&mut behind);
        let mut send = permit.send(1);
        if chooses {
            assert!(select((&mut send, quiet.recv())).now().is_none());
        }
        assert_eq!(send.reclaim(), Some(1));
        let permit = ready(&mut next).expect("it came before the send that waits");
        let mut send = permit.send(2);
        pend(&mut send);
        assert_eq!(ready(&mut recv), Ok(2));
        ready(&mut send).unwrap();
    }
}

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
        // Also of those that choose themselves.
        let receiver = scope.spawn(|| select((rx.recv(), quiet.recv())).wait());
        until_receivers(&tx, 2);
        // Most likely it is parked by then.
        assert!(quiet.recv().wait_timeout(10 * MOMENT).is_err());
        let sent = select((tx.send(2), quiet.recv())).wait();
        assert!(matches!(sent, Sel2::A(Ok(()))));
        assert!(matches!(receiver.join().unwrap(), Sel2::A(Ok(2))));
    });
    // Its own offers are there to be taken.
    let (back, got) = rendezvous();
    let mut offering = select((back.send(3), quiet.recv()));
    pend(&mut offering);
    assert_eq!(got.recv().wait(), Ok(3));
    // It was waited for in vain: a waiting task is told at once.
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
    // Others are not held up.
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
                pend(&mut two); // on its own from here
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

// ---- ends

#[test]
fn ends_are_outputs_and_give_the_values_back() {
    let census = Census::new();
    let quiet = never::<u8>();
    for (how, why) in [Why::Closed, Why::Dropped, Why::Panicked].into_iter().enumerate() {
        for late in [false, true] {
            let (tx, rx) = rendezvous::<Counted>();
            let end = |tx: Sender<Counted>| match how {
                0 => drop(tx.close()),
                1 => drop(tx),
                _ => {
                    assert!(panics(move || {
                        let _tx = tx;
                        quiet_panic();
                    }));
                }
            };
            let mut choice = select((quiet.recv(), rx.recv()));
            let (bell, waker) = Bell::new();
            if late {
                assert!(poll_with(&mut choice, &waker).is_pending());
            }
            end(tx);
            assert_eq!(bell.rings(), usize::from(late));
            let Sel2::B(Err(error)) = ready(&mut choice) else { panic!("not the end") };
            assert_eq!(error.why(), why);
            // And again, every time.
            let choice = select((rx.recv(), rx.closed())).wait();
            assert!(match choice {
                Sel2::A(got) => got.unwrap_err().why() == why,
                Sel2::B(told) => told == Ok(why),
            });

            let (tx, rx) = rendezvous();
            let mut choice = select((quiet.recv(), tx.send(census.make()), tx.reserve()));
            if late {
                pend(&mut choice);
            }
            match how {
                0 => drop(rx.close()),
                1 => drop(rx),
                _ => assert!(panics(move || {
                    let _rx = rx;
                    quiet_panic();
                })),
            }
            match ready(&mut choice) {
                Sel3::A(_) => panic!("never"),
                Sel3::B(sent) => {
                    let error = sent.unwrap_err();
                    assert_eq!(error.why(), why);
                    assert!(error.into_unsent().is_some());
                }
                Sel3::C(reserved) => assert_eq!(reserved.unwrap_err().why(), why),
            }

            let (server, mut client) = simplex::<u8>();
            let mut choice = select((client.recv(), quiet.recv()));
            if late {
                pend(&mut choice);
            }
            match how {
                0 => server.finish(),
                1 => drop(server),
                _ => assert!(panics(move || {
                    let _server = server;
                    quiet_panic();
                })),
            }
            assert!(
                matches!(ready(&mut choice), Sel2::A(Err(error)) if error.why() == why),
                "{why:?}"
            );

            let (mut writer, reader) = stream();
            let mut choice = select((writer.send(census.make()), quiet.recv()));
            if late {
                pend(&mut choice);
            }
            match how {
                0 => reader.close(),
                1 => drop(reader),
                _ => assert!(panics(move || {
                    let _reader = reader;
                    quiet_panic();
                })),
            }
            let Sel2::A(Err(error)) = ready(&mut choice) else { panic!("not the end") };
            assert_eq!(error.why(), why);
            assert!(error.into_unsent().is_some());
        }
    }
    census.assert_settled();
}

#[test]
fn the_end_of_one_arm_leaves_the_others_what_they_have() {
    let (a, b) = (rendezvous::<u8>(), rendezvous());
    let mut send = b.0.send(7);
    let mut choice = select((a.1.recv(), &mut send));
    pend(&mut choice);
    drop(a.0);
    assert!(matches!(ready(&mut choice), Sel2::A(Err(_))));
    drop(choice);
    pend(&mut send);
    assert_eq!(b.1.recv().now(), Ok(7));
    ready(&mut send).unwrap();
    // What was handed over before the end comes first.
    let (server, mut client) = simplex();
    pend(&mut client.recv());
    server.finish_with(5).unwrap();
    let quiet = never::<u8>();
    assert!(matches!(select((client.recv(), quiet.recv())).wait(), Sel2::A(Ok(5))));
    assert!(matches!(select((client.recv(), quiet.recv())).wait(), Sel2::A(Err(_))));
}
