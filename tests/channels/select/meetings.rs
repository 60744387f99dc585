//! A `select` meets other selects, on threads and in tasks, and never itself.

use std::sync::Barrier;
use std::time::Duration;

use super::MOMENT;
use crate::support::thread;
use crate::support::*;
use futures_lite::future::block_on;
use handover::{Sel2, Sel3, Sender, Why, never, rendezvous, select};

#[test]
fn threads_and_tasks_choose_and_are_chosen_in_any_pairing() {
    let _watchdog = Watchdog::new();
    const N: u32 = 500;
    for ways in 0..4 {
        let (down, up) = (rendezvous(), rendezvous());
        thread::scope(|scope| {
            let (tx, rx) = (&down.0, &up.1);
            let other = scope.spawn(move || {
                // The plain party sends its own value, and answers.
                for n in 0..N {
                    let sent = if ways & 1 == 0 { tx.send(n).wait() } else { block_on(tx.send(n)) };
                    sent.unwrap();
                    let got = if ways & 1 == 0 { rx.recv().wait() } else { block_on(rx.recv()) };
                    assert_eq!(got, Ok(n + 1));
                }
            });
            let mut answer = None;
            let mut left = 2 * N;
            let quiet = never::<u32>();
            while left > 0 {
                left -= 1;
                let Some(n) = answer.take() else {
                    let choice = select((down.1.recv(), quiet.recv()));
                    let choice = if ways & 2 == 0 { choice.wait() } else { block_on(choice) };
                    let Sel2::A(Ok(n)) = choice else { panic!("{choice:?}") };
                    answer = Some(n + 1);
                    continue;
                };
                let choice = select((quiet.recv(), up.0.send(n)));
                let choice = if ways & 2 == 0 { choice.wait() } else { block_on(choice) };
                assert!(matches!(choice, Sel2::B(Ok(()))));
            }
            other.join().unwrap();
        });
    }
}

#[test]
fn a_choice_to_send_meets_a_choice_to_receive() {
    let quiet = never::<u8>();
    for sender_first in [true, false] {
        let (tx, rx) = rendezvous();
        let mut to = select((quiet.recv(), tx.send(1)));
        let mut from = select((rx.recv(), quiet.recv()));
        let (bell, waker) = Bell::new();
        if sender_first {
            assert!(poll_with(&mut to, &waker).is_pending());
        } else {
            assert!(poll_with(&mut from, &waker).is_pending());
            pend(&mut to);
            assert_eq!(bell.rings(), 1);
        }
        assert!(matches!(ready(&mut from), Sel2::A(Ok(1))));
        assert!(!sender_first || bell.rings() == 1);
        assert!(matches!(ready(&mut to), Sel2::B(Ok(()))));
    }
}

#[test]
fn two_choices_each_to_send_and_to_receive_make_one_pairing() {
    let orders: [&[usize]; 4] = [&[0, 1], &[1, 0], &[0, 1, 0, 1], &[1, 1, 0, 0]];
    for order in orders.into_iter().cycle().take(400) {
        let census = Census::new();
        let (ab, ba) = (rendezvous(), rendezvous());
        let bells = [Bell::new(), Bell::new()];
        let mut choices = [
            select((ab.0.send(census.make()), ba.1.recv())),
            select((ba.0.send(census.make()), ab.1.recv())),
        ];
        let mut done = [None, None];
        let mut poll = |at: usize, done: &mut [Option<bool>; 2]| {
            if done[at].is_some() {
                return;
            }
            if let std::task::Poll::Ready(choice) = poll_with(&mut choices[at], &bells[at].1) {
                done[at] = Some(match choice {
                    Sel2::A(sent) => {
                        sent.unwrap();
                        true
                    }
                    Sel2::B(got) => {
                        assert_eq!(got.unwrap(), 1 - at);
                        false
                    }
                });
            }
        };
        for &at in order {
            poll(at, &mut done);
        }
        while let Some(at) = (0..2).find(|&at| done[at].is_none() && bells[at].0.rings() > 0) {
            poll(at, &mut done);
        }
        assert!(done[0].is_some() && done[1].is_some(), "{order:?}: {done:?}");
        assert_ne!(done[0], done[1], "one sends, the other receives");
        drop(choices);
        assert_eq!(ab.0.stats().handed_over + ba.0.stats().handed_over, 1);
        census.assert_settled();
    }
}

/// In each round one thread sends and the other one receives, and both say the same.
#[test]
fn two_threads_that_send_or_receive_agree_in_each_round() {
    let _watchdog = Watchdog::new();
    const N: usize = 5_000;
    for ways in 0..4 {
        let (ab, ba) = (rendezvous(), rendezvous());
        let start = Barrier::new(2);
        let play = |to: &Sender<usize>, from: &handover::Receiver<usize>, is_task: bool| {
            start.wait();
            let mut sent = Vec::with_capacity(N);
            for round in 0..N {
                let choice = select((to.send(round), from.recv()));
                match if is_task { block_on(choice) } else { choice.wait() } {
                    Sel2::A(done) => {
                        done.unwrap();
                        sent.push(true);
                    }
                    Sel2::B(got) => {
                        assert_eq!(got, Ok(round));
                        sent.push(false);
                    }
                }
            }
            sent
        };
        let (a, b) = thread::scope(|scope| {
            let a = scope.spawn(|| play(&ab.0, &ba.1, ways & 1 != 0));
            let b = play(&ba.0, &ab.1, ways & 2 != 0);
            (a.join().unwrap(), b)
        });
        assert!(a.iter().zip(&b).all(|(a, b)| a != b));
        let to_b = a.iter().filter(|sent| **sent).count() as u64;
        assert_eq!(ab.0.stats().handed_over, to_b);
        assert_eq!(ba.0.stats().handed_over, N as u64 - to_b);
    }
}

#[test]
fn in_a_ring_of_three_two_meet_and_the_third_waits() {
    for start in 0..60 {
        let ring = [rendezvous(), rendezvous(), rendezvous()];
        let bells = [Bell::new(), Bell::new(), Bell::new()];
        let mut choices: Vec<_> = (0..3)
            .map(|at| Some(select((ring[at].0.send(at), ring[(at + 2) % 3].1.recv()))))
            .collect();
        let mut done = Vec::new();
        let mut queue: std::collections::VecDeque<_> = (start..start + 3).map(|n| n % 3).collect();
        while let Some(at) = queue.pop_front() {
            let Some(choice) = &mut choices[at] else { continue };
            if let std::task::Poll::Ready(choice) = poll_with(choice, &bells[at].1) {
                choices[at] = None;
                done.push((at, choice));
            }
            queue.extend((0..3).filter(|&at| bells[at].0.rings() > 0));
        }
        assert_eq!(done.len(), 2, "{done:?}");
        let find = |is_sent: bool| {
            done.iter().find(|(_, choice)| matches!(choice, Sel2::A(_)) == is_sent).unwrap()
        };
        let (sender, receiver) = (find(true), find(false));
        assert_eq!((sender.0 + 1) % 3, receiver.0);
        assert!(matches!(receiver.1, Sel2::B(Ok(from)) if from == sender.0));
        assert_eq!(ring.iter().map(|(tx, _)| tx.stats().handed_over).sum::<u64>(), 1);
    }
}

/// Three threads in a ring; a fourth channel ends it.
#[test]
fn a_ring_of_three_threads_turns() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("a_ring_of_three_threads_turns", Duration::from_millis(400));
    let ring = [rendezvous(), rendezvous(), rendezvous()];
    let (stop, stopped) = rendezvous::<()>();
    let counts = thread::scope(|scope| {
        let players: Vec<_> = (0..3)
            .map(|at| {
                let (to, from, stopped) = (&ring[at].0, &ring[(at + 2) % 3].1, &stopped);
                scope.spawn(move || {
                    let (mut sent, mut got) = (0_u64, 0_u64);
                    loop {
                        let choice = select((to.send(sent), from.recv(), stopped.closed()));
                        match if at == 2 { block_on(choice) } else { choice.wait() } {
                            Sel3::A(done) => {
                                done.unwrap();
                                sent += 1;
                            }
                            Sel3::B(n) => {
                                assert_eq!(n, Ok(got), "in order");
                                got += 1;
                            }
                            Sel3::C(why) => {
                                assert_eq!(why, Ok(Why::Closed));
                                return (sent, got);
                            }
                        }
                    }
                })
            })
            .collect();
        while stress.goes_on() || ring.iter().all(|(to, _)| to.stats().handed_over == 0) {
            dither(stress.below(1_000));
            thread::yield_now();
        }
        stop.close();
        players.into_iter().map(|player| player.join().unwrap()).collect::<Vec<_>>()
    });
    for at in 0..3 {
        assert_eq!(counts[at].0, counts[(at + 1) % 3].1, "{counts:?}");
        assert_eq!(ring[at].0.stats().handed_over, counts[at].0);
    }
    assert!(counts.iter().map(|(sent, _)| sent).sum::<u64>() > 0);
}

// ---- a select does not meet itself

#[test]
fn arms_of_one_select_do_not_meet() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    assert!(select((tx.send(1), rx.recv())).now().is_none());
    assert!(select((tx.send(1), rx.recv())).wait_timeout(MOMENT).is_none());
    assert!(select((rx.recv(), tx.send(1))).biased().wait_timeout(MOMENT).is_none());
    assert!(select((tx.send_all([1, 2]), rx.recv())).wait_timeout(MOMENT).is_none());
    assert!(select((tx.reserve(), rx.recv())).wait_timeout(MOMENT).is_none());
    assert!(select((rx.recv(), tx.reserve(), tx.send(1))).wait_timeout(MOMENT).is_none());
    let many = || (tx.send(1), tx.send_all([2]), tx.reserve(), rx.recv(), rx.recv());
    assert!(select(many()).wait_timeout(MOMENT).is_none());
    for is_biased in [true, false] {
        let (bell, waker) = Bell::new();
        let mut choice = select(many());
        if is_biased {
            choice = choice.biased();
        }
        let mut polls = 0;
        while polls == 0 || bell.rings() > 0 {
            assert!(poll_with(&mut choice, &waker).is_pending());
            polls += 1;
            assert!(polls < 100, "wakes itself for ever");
        }
    }
    assert_eq!(tx.stats().handed_over, 0);
    assert_eq!((tx.stats().waiting_senders, tx.stats().waiting_receivers), (0, 0));
}

#[test]
fn two_that_do_not_meet_themselves_meet_each_other() {
    let _watchdog = Watchdog::new();
    for _ in 0..50 {
        let (tx, rx) = rendezvous();
        let bells = [Bell::new(), Bell::new()];
        let mut choices: Vec<_> = (0..2).map(|me| Some(select((tx.send(me), rx.recv())))).collect();
        let mut done = Vec::new();
        let mut queue = vec![1, 0];
        while let Some(me) = queue.pop() {
            let Some(choice) = &mut choices[me] else { continue };
            if let std::task::Poll::Ready(choice) = poll_with(choice, &bells[me].1) {
                choices[me] = None;
                done.push(match choice {
                    Sel2::A(sent) => sent.map(|()| 2).unwrap(),
                    Sel2::B(got) => {
                        assert_eq!(got, Ok(1 - me));
                        3
                    }
                });
            }
            queue.extend((0..2).filter(|&me| bells[me].0.rings() > 0));
        }
        done.sort_unstable();
        assert_eq!(done, [2, 3], "one sent and one received");
    }
    // The same on threads.
    const N: u32 = 2_000;
    let (tx, rx) = rendezvous();
    let total = thread::scope(|scope| {
        let play = || {
            let (mut sent, mut got) = (0, 0);
            for n in 0..N {
                match select((tx.send(n), rx.recv())).wait_timeout(Duration::from_millis(50)) {
                    Some(Sel2::A(done)) => sent += done.map(|()| 1).unwrap(),
                    Some(Sel2::B(one)) => got += one.map(|_| 1).unwrap(),
                    None => break, // the other thread has ended
                }
            }
            (sent, got)
        };
        let (a, b) = (scope.spawn(play), scope.spawn(play));
        let (a, b) = (a.join().unwrap(), b.join().unwrap());
        assert_eq!(a.0 + b.0, a.1 + b.1);
        a.0 + b.0
    });
    assert_eq!(tx.stats().handed_over, total);
}

#[test]
fn beside_its_own_offers_it_meets_those_of_others() {
    for way in 0..4 {
        let (tx, rx) = rendezvous();
        let mut choice = select((tx.send(1), rx.recv())).biased();
        pend(&mut choice);
        match way {
            0 => {
                let mut other = tx.send(2);
                pend(&mut other);
                assert!(matches!(ready(&mut choice), Sel2::B(Ok(2))));
                ready(&mut other).unwrap();
            }
            1 => {
                assert_eq!(rx.recv().now(), Ok(1));
                assert!(matches!(ready(&mut choice), Sel2::A(Ok(()))));
            }
            2 => {
                let permit = ready(&mut tx.reserve()).unwrap();
                let mut send = permit.send(3);
                pend(&mut send);
                assert!(matches!(ready(&mut choice), Sel2::B(Ok(3))));
                ready(&mut send).unwrap();
            }
            _ => {
                let mut other = select((rx.recv(), tx.send(4)));
                let met = poll_once(&mut other).is_ready();
                assert!(poll_once(&mut choice).is_ready());
                assert!(met || poll_once(&mut other).is_ready());
            }
        }
    }
}
