//! What `select` does: who wins, which way it is waited for, whom it meets, and how evenly it chooses.
//!
//! Each operation as an arm is in `select_arms`; what becomes of arms that lose in `select_cancel`.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use handover::{
    RecvError, Sel2, Sel3, Sel4, Sel5, Sel6, Sel7, Sel8, Sender, Why, never, op, rendezvous,
    select, simplex,
};
use support::{
    Bell, Census, Stress, Watchdog, panic_text, pend, poll_once, poll_with, ready, until,
};

fn until_receivers<T>(tx: &Sender<T>, n: usize) {
    until(|| tx.stats().waiting_receivers == n);
}

const MOMENT: Duration = Duration::from_millis(2);

// ---- each arm of each size

macro_rules! each_position_wins {
    ($Sel:ident: $($Arm:ident $n:tt),+) => {{
        let channels = [$({ _ = $n; rendezvous::<usize>() }),+];
        for winner in 0..channels.len() {
            let arm_of = |choice| match choice {
                $($Sel::$Arm(Ok(value)) => {
                    assert_eq!(value, winner);
                    $n
                })+
                other => panic!("{other:?}"),
            };
            let recvs = || select(($(channels[$n].1.recv(),)+));
            // It is there before, in the order of ways to wait.
            let ways: [fn(op::Select<_>) -> _; 4] = [
                |choice| choice.now().unwrap(),
                |choice| choice.wait(),
                |choice| choice.wait_timeout(Duration::MAX).unwrap(),
                |choice| block_on(choice),
            ];
            for way in ways {
                let mut send = channels[winner].0.send(winner);
                pend(&mut send);
                assert_eq!(arm_of(way(recvs())), winner);
                ready(&mut send).unwrap();
            }
            // It comes while the choice waits.
            let (bell, waker) = Bell::new();
            let mut choice = recvs();
            assert!(poll_with(&mut choice, &waker).is_pending());
            let mut send = channels[winner].0.send(winner);
            pend(&mut send);
            assert_eq!(bell.rings(), 1);
            assert_eq!(arm_of(ready(&mut choice)), winner);
            ready(&mut send).unwrap();

            // The same for sends.
            let arm_of = |choice| match choice {
                $($Sel::$Arm(Ok(())) => $n,)+
                other => panic!("{other:?}"),
            };
            let sends = || select(($(channels[$n].0.send($n),)+));
            let mut recv = channels[winner].1.recv();
            pend(&mut recv);
            let mut choice = sends();
            assert!(poll_with(&mut choice, &waker).is_pending());
            assert_eq!(ready(&mut recv), Ok(winner));
            assert_eq!(bell.rings(), 1);
            assert_eq!(arm_of(ready(&mut choice)), winner);
            thread::scope(|scope| {
                let receiver = scope.spawn(|| channels[winner].1.recv().wait());
                until_receivers(&channels[winner].0, 1);
                assert_eq!(arm_of(sends().now().unwrap()), winner, "a thread takes it at once");
                assert_eq!(receiver.join().unwrap(), Ok(winner));
            });
        }
        for (tx, _) in &channels {
            let stats = tx.stats();
            assert_eq!((stats.waiting_senders, stats.waiting_receivers), (0, 0));
        }
    }};
}

#[test]
fn each_position_of_each_tuple_can_win() {
    let _watchdog = Watchdog::new();
    each_position_wins!(Sel2: A 0, B 1);
    each_position_wins!(Sel3: A 0, B 1, C 2);
    each_position_wins!(Sel4: A 0, B 1, C 2, D 3);
    each_position_wins!(Sel5: A 0, B 1, C 2, D 3, E 4);
    each_position_wins!(Sel6: A 0, B 1, C 2, D 3, E 4, F 5);
    each_position_wins!(Sel7: A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    each_position_wins!(Sel8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
}

#[test]
fn a_vec_tells_the_index() {
    let _watchdog = Watchdog::new();
    let channels: Vec<_> = (0..20).map(|_| rendezvous::<usize>()).collect();
    for winner in 0..20 {
        let mut send = channels[winner].0.send(winner);
        pend(&mut send);
        let recvs = channels.iter().map(|(_, rx)| rx.recv()).collect::<Vec<_>>();
        assert_eq!(select(recvs).wait(), (winner, Ok(winner)));
        ready(&mut send).unwrap();
        // Borrowed ones, sends, and a thread that waits.
        let mut sends: Vec<_> = channels.iter().map(|(tx, _)| tx.send(7)).collect();
        let (index, sent) = thread::scope(|scope| {
            scope.spawn(|| assert_eq!(channels[winner].1.recv().wait(), Ok(7)));
            select(sends.iter_mut().collect::<Vec<_>>()).wait()
        });
        sent.unwrap();
        assert_eq!(index, winner);
        for (place, send) in sends.into_iter().enumerate() {
            assert_eq!(send.reclaim().is_none(), place == winner);
        }
    }
    let (tx, rx) = rendezvous();
    let mut send = tx.send(1);
    pend(&mut send);
    assert_eq!(select(vec![rx.recv()]).wait(), (0, Ok(1)));
}

#[test]
fn an_empty_vec_is_never_done() {
    let empty = || select(Vec::<op::Take<'static, u8>>::new());
    assert!(empty().now().is_none());
    assert!(empty().biased().now().is_none());
    assert!(empty().wait_timeout(MOMENT).is_none());
    assert!(empty().wait_timeout(Duration::ZERO).is_none());
    assert!(empty().wait_deadline(Instant::now()).is_none());
    let (bell, waker) = Bell::new();
    let mut choice = empty();
    for _ in 0..3 {
        assert!(poll_with(&mut choice, &waker).is_pending());
    }
    assert_eq!(bell.rings(), 0);
    // Left behind: it blocks as long as the process lives.
    let blocked = thread::spawn(move || _ = empty().wait());
    assert!(empty().wait_timeout(10 * MOMENT).is_none());
    assert!(!blocked.is_finished());
}

// ---- ways to wait

#[test]
fn nothing_happens_before_it_is_waited_for_nor_after_the_time_is_up() {
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
    // What was polled may be waited for in any other way.
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
fn what_is_done_when_the_time_is_up_counts() {
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
        // Taken after the last look.
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

// ---- whom it meets

#[test]
fn threads_and_tasks_choose_and_are_chosen_in_any_pairing() {
    let _watchdog = Watchdog::new();
    const N: u32 = 500;
    for ways in 0..4 {
        let (down, up) = (rendezvous(), rendezvous());
        thread::scope(|scope| {
            let (tx, rx) = (&down.0, &up.1);
            let other = scope.spawn(move || {
                // A plain party: sends its own, and answers.
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

/// In each round one sends and the other receives, as both tell.
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
        while stress.goes_on() {
            support::dither(stress.below(1_000));
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

// ---- nobody meets himself

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
    // On threads, with both a plain sender and a plain receiver between.
    const N: u32 = 2_000;
    let (tx, rx) = rendezvous();
    let total = thread::scope(|scope| {
        let play = || {
            let (mut sent, mut got) = (0, 0);
            for n in 0..N {
                match select((tx.send(n), rx.recv())).wait_timeout(Duration::from_millis(50)) {
                    Some(Sel2::A(done)) => sent += done.map(|()| 1).unwrap(),
                    Some(Sel2::B(one)) => got += one.map(|_| 1).unwrap(),
                    None => break, // the other one is through
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

// ---- misuse, and what it is

#[test]
fn a_finished_choice_or_arm_is_named_in_the_panic() {
    let (tx, rx) = rendezvous::<u8>();
    tx.close();
    let quiet = never::<u8>();
    let mut choice = select((rx.recv(), quiet.recv()));
    assert!(matches!(ready(&mut choice), Sel2::A(Err(_))));
    let text = panic_text(|| poll_once(&mut choice));
    assert!(text.contains("`select`") && text.contains("after it was done"), "{text}");
    let text = panic_text(|| choice.wait_timeout(MOMENT));
    assert!(text.contains("`select`"), "{text}");

    let mut recv = rx.recv();
    assert!(ready(&mut recv).is_err());
    let text = panic_text(|| select((&mut recv, quiet.recv())).wait());
    assert!(text.contains("`Receiver::recv`"), "{text}");
    let (mut server, _client) = simplex::<u8>();
    drop(_client);
    let mut send = server.send(1);
    assert!(ready(&mut send).is_err());
    let text = panic_text(|| select(vec![&mut send]).now());
    assert!(text.contains("Server::send"), "{text}");
}

#[test]
fn debug_asks_nothing_of_the_values() {
    struct Opaque;
    let (tx, rx) = rendezvous::<Opaque>();
    let mut choice = select((tx.send(Opaque), rx.recv(), rx.recv()));
    let text = format!("{choice:?}");
    assert!(text.contains("select") && text.contains("arms: 3"), "{text}");
    assert!(text.contains("done: false"), "{text}");
    drop(rx.recv().now());
    tx.close();
    assert!(!format!("{:?}", ready(&mut choice).is_a()).is_empty());
    assert!(format!("{choice:?}").contains("done: true"));
}

trait IsA {
    fn is_a(&self) -> bool;
}

impl<A, B, C> IsA for Sel3<A, B, C> {
    fn is_a(&self) -> bool {
        matches!(self, Self::A(_))
    }
}

type Unshared = Cell<u8>;
type Both<T> = op::Select<(op::Send<'static, T>, op::Take<'static, T>)>;
static_assertions::assert_impl_all!(Both<Unshared>: Send, Unpin, std::future::Future);
static_assertions::assert_impl_all!(op::Select<Vec<op::Recv<'static, Unshared, ()>>>: Send, Unpin);
static_assertions::assert_impl_all!(op::Select<(&'static mut op::Take<'static, u8>, op::Closed<'static, u8>)>: Send, Unpin);
static_assertions::assert_impl_all!(Both<u8>: Send, Sync, Unpin);
static_assertions::assert_not_impl_any!(Both<Rc<u8>>: Send, Sync);
static_assertions::assert_impl_all!(Both<Rc<u8>>: Unpin);
static_assertions::assert_not_impl_any!(Both<u8>: Clone, Copy);
static_assertions::assert_impl_all!(Sel2<u8, Result<u8, RecvError>>: Copy, std::fmt::Debug, Eq, std::hash::Hash, Send, Sync);
static_assertions::assert_impl_all!(Sel8<u8, u8, u8, u8, u8, u8, u8, u8>: Copy, std::fmt::Debug, Eq, std::hash::Hash);

#[test]
fn a_choice_is_spawned_on_a_work_stealing_executor() {
    let _watchdog = Watchdog::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let (tx, rx) = rendezvous::<u64>();
        let (back, results) = rendezvous::<u64>();
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let (rx, back) = (rx.clone(), back.clone());
            tasks.push(tokio::spawn(async move {
                let mut ready = None;
                loop {
                    match ready {
                        None => match rx.recv().await {
                            Ok(n) => ready = Some(n * 2),
                            Err(_) => return,
                        },
                        // Gives what is ready away, or takes more on.
                        Some(n) => match select((back.send(n), rx.recv())).await {
                            Sel2::A(sent) => {
                                sent.unwrap();
                                ready = None;
                            }
                            Sel2::B(Ok(more)) => ready = Some(n + more * 2),
                            Sel2::B(Err(_)) => {
                                back.send(n).await.unwrap();
                                return;
                            }
                        },
                    }
                }
            }));
        }
        drop((rx, back));
        let feed = tokio::spawn(async move {
            for n in 0..2_000 {
                tx.send(n).await.unwrap();
            }
            tx.close();
        });
        let mut sum = 0;
        while let Ok(part) = results.recv().await {
            sum += part;
        }
        feed.await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(sum, 2_000 * 1_999);
    });
}
