//! The ways to wait for a select, and what is told when the time is up.

use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::MOMENT;
use crate::support::thread;
use crate::support::*;
use handover::{Sel2, Sel3, never, rendezvous, select, simplex, stream};

#[test]
fn a_select_does_nothing_before_it_is_waited_for_nor_after_its_time_is_up() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let (in_, out) = rendezvous::<u8>();
    let waiting = || (tx.stats().waiting_senders, in_.stats().waiting_receivers);
    let arms = || select((tx.send(1), out.recv()));
    drop(arms());
    let fresh = arms();
    assert_eq!(waiting(), (0, 0));
    assert!(rx.recv().now().is_err());
    drop(fresh);

    let start = Instant::now();
    assert!(arms().wait_timeout(10 * MOMENT).is_none());
    assert!(start.elapsed() >= 10 * MOMENT);
    let deadline = Instant::now() + 5 * MOMENT;
    assert!(arms().wait_deadline(deadline).is_none());
    assert!(Instant::now() >= deadline);
    assert!(arms().wait_deadline(start).is_none());
    assert!(arms().wait_timeout(Duration::ZERO).is_none());
    assert!(arms().now().is_none());
    assert_eq!(waiting(), (0, 0));

    let mut polled = arms();
    pend(&mut polled);
    assert_eq!(waiting(), (1, 1));
    // A polled select may be waited for in any other way.
    assert!(polled.wait_timeout(MOMENT).is_none());
    let mut polled = arms();
    pend(&mut polled);
    assert!(polled.now().is_none());
    let mut polled = arms();
    pend(&mut polled);
    assert_eq!(rx.recv().now(), Ok(1));
    assert!(matches!(polled.now(), Some(Sel2::A(Ok(())))));
    assert_eq!(waiting(), (0, 0));
}

#[test]
fn an_arm_that_is_done_when_the_time_is_up_counts() {
    let (tx, rx) = rendezvous();
    let never = never::<u8>();
    for way in 0..3 {
        let mut send = tx.send(way);
        pend(&mut send);
        let choice = select((never.recv(), rx.recv()));
        let choice = match way {
            0 => choice.wait_timeout(Duration::ZERO),
            1 => choice.wait_deadline(Instant::now()),
            _ => choice.now(),
        };
        assert!(matches!(choice, Some(Sel2::B(Ok(n))) if n == way));
        ready(&mut send).unwrap();
        // A value that is taken after the last poll counts, too.
        let mut choice = select((never.recv(), tx.send(way)));
        pend(&mut choice);
        assert_eq!(rx.recv().now(), Ok(way));
        let choice = match way {
            0 => choice.wait_timeout(Duration::ZERO),
            1 => choice.wait_deadline(Instant::now()),
            _ => choice.now(),
        };
        assert!(matches!(choice, Some(Sel2::B(Ok(())))));
    }
}

#[test]
fn a_timeout_too_long_for_the_clock_is_none() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let never = never::<u8>();
    thread::scope(|scope| {
        let receiver =
            scope.spawn(|| select((rx.recv(), never.recv())).wait_timeout(Duration::MAX));
        until_receivers(&tx, 1);
        let sent = select((tx.send(3), never.recv())).wait_timeout(Duration::MAX);
        assert!(matches!(sent, Some(Sel2::A(Ok(())))));
        assert!(matches!(receiver.join().unwrap(), Some(Sel2::A(Ok(3)))));
    });
}

#[test]
fn never_is_never_ready() {
    let _watchdog = Watchdog::new();
    let quiet = never::<Rc<u8>>();
    assert!(quiet.recv().now().unwrap_err().is_not_ready());
    assert!(quiet.recv().wait_timeout(MOMENT).unwrap_err().is_timed_out());
    assert!(quiet.closed().wait_timeout(MOMENT).unwrap_err().is_timed_out());
    assert_eq!(quiet.end(), None);
    assert_eq!(quiet.stats().senders, 0);
    drop(quiet.clone());
    assert_eq!(quiet.end(), None);
    let (tx, rx) = rendezvous();
    let choices = || (never::<u8>(), never::<u8>());
    thread::scope(|scope| {
        scope.spawn(|| tx.send_all(0..10).wait().map_err(drop));
        for n in 0..10 {
            let (before, after) = choices();
            let choice = select((before.recv(), rx.recv(), after.recv())).wait();
            assert!(matches!(choice, Sel3::B(Ok(got)) if got == n));
        }
    });
}

/// `Ok`, or `reclaim`, tells where the value is.
#[test]
fn a_borrowed_arm_tells_the_truth_while_the_clock_races_the_peer() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("while_the_clock_races", Duration::from_secs(2));
    let quiet = never::<u8>();
    while stress.goes_on() {
        let census = Census::new();
        let (tx, rx) = rendezvous::<Counted>();
        let (mut server, mut client) = simplex();
        let (mut writer, mut reader) = stream();
        let delays = [(); 2].map(|()| stress.below(60));
        let thread = thread::scope(|scope| {
            let taker = scope.spawn(|| {
                dither(delays[0] * 10);
                let micros = Duration::from_micros(delays[0]);
                let choice = select((rx.recv(), client.recv(), reader.recv()));
                let got = if delays[1] % 2 == 0 {
                    choice.wait_timeout(micros)
                } else {
                    let mut choice = choice;
                    let mut got = None;
                    for _ in 0..delays[0] {
                        if let Poll::Ready(done) = poll_once(&mut choice) {
                            got = Some(done);
                            break;
                        }
                    }
                    got
                };
                match got {
                    Some(Sel3::A(got) | Sel3::B(got) | Sel3::C(got)) => Some(got.unwrap().id),
                    None => None,
                }
            });
            let micros = Duration::from_micros(delays[1]);
            let (mut one, mut two, mut three) =
                (tx.send(census.make()), server.send(census.make()), writer.send(census.make()));
            drop(select((&mut one, &mut two, &mut three, quiet.recv())).wait_timeout(micros));
            let taken = taker.join().unwrap();
            let back = [one.reclaim(), two.reclaim(), three.reclaim()];
            for (id, back) in back.iter().enumerate() {
                let is_away = taken == Some(id);
                // The item came back, or stays with the demand that the client left: exactly one of the two.
                assert_eq!(back.is_none(), is_away, "value {id}, {taken:?}, {back:?}");
            }
            taken
        });
        drop((thread, server, client, writer, reader));
        census.assert_settled();
    }
}
