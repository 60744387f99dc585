//! Parties that want a permit and to receive, at once: none keeps a permit while its own receive belongs to somebody else's.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::task::Poll;

use handover::{Receiver, Sel2, Sender, rendezvous, select};

use crate::support::thread;
use crate::support::watch::{Progress, watched};
use crate::support::{Bell, pend, poll_once, poll_with, ready, rounds};

type Ends = (Sender<u64>, Receiver<u64>);

/// Which channel a party reserves on, and from which one it receives.
type Way = (usize, usize);

/// How a party waits.
#[derive(Clone, Copy, Debug)]
enum By {
    Thread,
    Task,
    /// Now as a thread, now as a task.
    Both,
}

/// So many parties on these channels, each with a `select` of a reserve and a receive, until so many values went over.
fn run(progress: &Progress, channels: usize, ways: &[Way], by: &[By], parties: usize, values: u64) {
    let ends: Arc<Vec<Ends>> = Arc::new((0..channels).map(|_| rendezvous()).collect());
    let sent = Arc::new(AtomicUsize::new(0));
    let got = Arc::new(AtomicUsize::new(0));
    {
        let (ends, sent, got) = (Arc::clone(&ends), Arc::clone(&sent), Arc::clone(&got));
        progress.tell(move || {
            let stats: Vec<_> = ends.iter().map(|(tx, _)| tx.stats()).collect();
            format!("{sent:?} sent, {got:?} received, {stats:?}")
        });
    }
    thread::scope(|scope| {
        let threads: Vec<_> = (0..parties)
            .map(|party| {
                let (ends, sent, got) = (&ends, &sent, &got);
                let ((reserves, receives), by) = (ways[party % ways.len()], by[party % by.len()]);
                scope.spawn(move || {
                    let (tx, rx) = (&ends[reserves].0, &ends[receives].1);
                    for round in 0.. {
                        let is_task = match by {
                            By::Thread => false,
                            By::Task => true,
                            By::Both => round % 2 == 1,
                        };
                        let choice = select((tx.reserve(), rx.recv()));
                        let chosen =
                            if is_task { pollster::block_on(choice) } else { choice.wait() };
                        match chosen {
                            Sel2::A(Ok(permit)) => {
                                let send = permit.send(round);
                                let is_sent = if is_task {
                                    pollster::block_on(send).is_ok()
                                } else {
                                    send.wait().is_ok()
                                };
                                if !is_sent {
                                    break;
                                }
                                if sent.fetch_add(1, SeqCst) as u64 >= values {
                                    ends.iter().for_each(|(tx, _)| _ = tx.close());
                                }
                                progress.step();
                            }
                            Sel2::B(Ok(_)) => _ = got.fetch_add(1, SeqCst),
                            Sel2::A(Err(_)) | Sel2::B(Err(_)) => break,
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(sent.load(SeqCst), got.load(SeqCst), "each value that was sent was received");
}

/// In each round every party chooses once. Any two of those that are left can meet, so that in the end all have met.
fn run_in_rounds(progress: &Progress, ways: &[Way], by: &[By], parties: usize, rounds: u64) {
    let channels = ways.len();
    let ends: Arc<Vec<Ends>> = Arc::new((0..channels).map(|_| rendezvous()).collect());
    let states: Arc<Vec<AtomicUsize>> = Arc::new((0..parties).map(|_| 0.into()).collect());
    {
        let (ends, states) = (Arc::clone(&ends), Arc::clone(&states));
        progress.tell(move || {
            const NAMES: [&str; 4] = ["done", "chooses", "sends by its permit", "has received"];
            let stats: Vec<_> = ends.iter().map(|(tx, _)| tx.stats()).collect();
            let stuck: Vec<_> = states
                .iter()
                .enumerate()
                .filter(|(_, state)| state.load(SeqCst) > 0)
                .map(|(party, state)| (party, NAMES[state.load(SeqCst)]))
                .collect();
            format!("{stuck:?}, {stats:?}")
        });
    }
    let barrier = Barrier::new(parties);
    thread::scope(|scope| {
        for party in 0..parties {
            let (ends, states, barrier) = (&ends, &states, &barrier);
            let ((reserves, receives), by) = (ways[party % ways.len()], by[party / 2 % by.len()]);
            scope.spawn(move || {
                let (tx, rx) = (&ends[reserves].0, &ends[receives].1);
                for round in 0..rounds {
                    barrier.wait();
                    progress.step();
                    let is_task = match by {
                        By::Thread => false,
                        By::Task => true,
                        By::Both => round % 2 == 1,
                    };
                    states[party].store(1, SeqCst);
                    let choice = select((tx.reserve(), rx.recv()));
                    let chosen = if is_task { pollster::block_on(choice) } else { choice.wait() };
                    match chosen {
                        Sel2::A(permit) => {
                            states[party].store(2, SeqCst);
                            let send = permit.unwrap().send(round);
                            if is_task { pollster::block_on(send) } else { send.wait() }.unwrap();
                        }
                        Sel2::B(got) => assert_eq!(got, Ok(round), "a value of another round"),
                    }
                    states[party].store(0, SeqCst);
                }
            });
        }
    });
}

macro_rules! in_rounds {
    ($($name:ident: $ways:ident $by:expr, $parties:literal;)+) => {$(
        #[test]
        fn $name() {
            watched(|progress| run_in_rounds(progress, $ways, $by, $parties, rounds(400)));
        }
    )+};
}

in_rounds! {
    threads_that_reserve_and_receive_on_one_channel_all_meet: ONE &[By::Thread], 44;
    tasks_that_reserve_and_receive_on_one_channel_all_meet: ONE &[By::Task], 44;
    threads_and_tasks_that_reserve_and_receive_on_one_channel_all_meet: ONE &[By::Thread, By::Task, By::Both], 44;
    four_threads_that_reserve_and_receive_on_one_channel_all_meet: ONE &[By::Thread], 4;
    threads_that_reserve_and_receive_crosswise_all_meet: ACROSS &[By::Thread], 44;
    tasks_that_reserve_and_receive_crosswise_all_meet: ACROSS &[By::Task], 44;
    threads_and_tasks_that_reserve_and_receive_crosswise_all_meet: ACROSS &[By::Thread, By::Task, By::Both], 44;
    four_threads_that_reserve_and_receive_crosswise_all_meet: ACROSS &[By::Thread], 4;
}

const ONE: &[Way] = &[(0, 0)];
const ACROSS: &[Way] = &[(0, 1), (1, 0)];
const RING: &[Way] = &[(0, 1), (1, 2), (2, 0)];
const MIXED: &[Way] = &[(0, 0), (0, 1), (1, 0), (1, 1)];

macro_rules! parties {
    ($($name:ident: $channels:literal $ways:ident $by:expr, $parties:literal;)+) => {$(
        #[test]
        fn $name() {
            watched(|progress| run(progress, $channels, $ways, $by, $parties, rounds(20_000)));
        }
    )+};
}

parties! {
    parties_that_reserve_and_receive_on_one_channel_go_on: 1 ONE &[By::Thread, By::Task, By::Both], 44;
    parties_that_reserve_and_receive_crosswise_go_on: 2 ACROSS &[By::Thread, By::Both, By::Task], 44;
    parties_that_reserve_and_receive_around_three_channels_go_on: 3 RING &[By::Thread, By::Both], 45;
    parties_that_reserve_and_receive_on_all_of_two_channels_go_on: 2 MIXED &[By::Thread, By::Task, By::Both], 44;
}

// ---- the same, step by step

/// A party whose receive belongs to a permit: it has none of its own, though a receiver comes that it could have.
#[test]
fn a_party_that_belongs_to_a_permit_is_granted_none() {
    let mut wrong = Vec::new();
    for one_channel in [true, false] {
        for permit_is_used in [true, false] {
            for newcomer_first in [true, false] {
                let (a, b) = (rendezvous::<u64>(), rendezvous::<u64>());
                let from = if one_channel { &a } else { &b };
                let (bell, waker) = Bell::new();
                let mut party = select((a.0.reserve(), from.1.recv()));
                assert!(poll_with(&mut party, &waker).is_pending());
                // Somebody has a permit for the party's receive.
                let permit = from.0.reserve().now().unwrap();
                // A receiver comes for which the party has wanted a permit.
                let mut newcomer = a.1.recv();
                pend(&mut newcomer);
                let case = format!(
                    "one channel: {one_channel}, the permit is used: {permit_is_used}, {newcomer_first}"
                );
                let polled = poll_with(&mut party, &waker);
                if polled.is_ready() {
                    wrong.push(case);
                    continue;
                }
                bell.rings();
                if newcomer_first {
                    // It is free for others.
                    let mut send = a.0.send(1);
                    pend(&mut send);
                    assert_eq!(poll_once(&mut newcomer), Poll::Ready(Ok(1)), "{case}");
                    ready(&mut send).unwrap();
                    newcomer = a.1.recv();
                    pend(&mut newcomer);
                    assert!(poll_with(&mut party, &waker).is_pending(), "{case}");
                }
                if permit_is_used {
                    let mut send = permit.send(9);
                    pend(&mut send);
                    assert!(bell.rings() > 0, "{case}: asleep");
                    let chosen = poll_with(&mut party, &waker);
                    assert!(matches!(chosen, Poll::Ready(Sel2::B(Ok(9)))), "{case}");
                    ready(&mut send).unwrap();
                } else {
                    // Released, the party is woken and has a permit for the newcomer.
                    drop(permit);
                    assert!(bell.rings() > 0, "{case}: asleep");
                    match poll_with(&mut party, &waker) {
                        Poll::Ready(Sel2::A(Ok(permit))) => {
                            let mut send = permit.send(3);
                            pend(&mut send);
                            assert_eq!(ready(&mut newcomer), Ok(3), "{case}");
                            ready(&mut send).unwrap();
                        }
                        other => panic!("{case}: no permit: {}", other.is_pending()),
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "holds a permit and belongs to one: {wrong:#?}");
}

/// Two parties, crosswise, and a third of each kind: whoever is polled in whatever order, somebody has a permit and uses it.
#[test]
fn parties_that_are_polled_in_any_order_hand_over() {
    for one_channel in [true, false] {
        for code in 0_u32..3_u32.pow(6) {
            let (a, b) = (rendezvous::<u64>(), rendezvous::<u64>());
            let ends = if one_channel { [&a, &a] } else { [&a, &b] };
            let bells: [_; 3] = std::array::from_fn(|_| Bell::new());
            let mut parties: [_; 3] = std::array::from_fn(|party| {
                let (mine, other) = (ends[party % 2], ends[1 - party % 2]);
                Some(select((mine.0.reserve(), other.1.recv())))
            });
            let (mut sends, mut ended) = (Vec::new(), 0);
            let mut poll = |party: usize| {
                let Some(choice) = &mut parties[party] else { return };
                match poll_with(choice, &bells[party].1) {
                    Poll::Pending => return,
                    Poll::Ready(Sel2::A(permit)) => sends.push(permit.unwrap().send(1)),
                    Poll::Ready(Sel2::B(got)) => _ = got.unwrap(),
                }
                ended += 1;
                parties[party] = None;
                sends.retain_mut(|send| poll_once(send).is_pending());
            };
            let mut rest = code;
            for _ in 0..6 {
                poll((rest % 3) as usize);
                rest /= 3;
            }
            // From now on only those that are woken.
            (0..3).for_each(&mut poll);
            for _ in 0..6 {
                for (party, (bell, _)) in bells.iter().enumerate() {
                    if bell.rings() > 0 {
                        poll(party);
                    }
                }
            }
            assert!(ended >= 2, "{code}, one channel: {one_channel}: {ended} of 3 are done");
        }
    }
}

/// The value that was to come by the permit is withdrawn when the party looks: in whatever order it looks at its arms, it has the permit
/// that it could not have before.
#[test]
fn a_party_whose_value_was_withdrawn_looks_again_for_its_permit() {
    for reserve_first in [true, false] {
        let (a, b) = (rendezvous::<u64>(), rendezvous::<u64>());
        let (bell, waker) = Bell::new();
        let (mut first, mut second) = (a.0.reserve(), b.1.recv());
        let (mut third, mut fourth) = (b.1.recv(), a.0.reserve());
        let (mut one, mut other);
        let poll: &mut dyn FnMut() -> bool = if reserve_first {
            one = select((&mut first, &mut second)).biased();
            &mut || matches!(poll_with(&mut one, &waker), Poll::Ready(Sel2::A(Ok(_))))
        } else {
            other = select((&mut third, &mut fourth)).biased();
            &mut || matches!(poll_with(&mut other, &waker), Poll::Ready(Sel2::B(Ok(_))))
        };
        assert!(!poll());
        let mut send = b.0.reserve().now().unwrap().send(1);
        pend(&mut send);
        let mut newcomer = a.1.recv();
        pend(&mut newcomer);
        assert_eq!(send.reclaim(), Some(1));
        bell.rings();
        let has_permit = poll() || (bell.rings() > 0 && poll());
        assert!(has_permit, "asleep beside a receiver, the reserve first: {reserve_first}");
    }
}

/// A reserve that outlives its `select`, which was forgotten while its other arm belonged to a permit.
#[test]
fn a_reserve_of_a_forgotten_select_is_a_plain_one() {
    let (a, b) = (rendezvous::<u64>(), rendezvous::<u64>());
    let (mut reserve, mut recv) = (a.0.reserve(), b.1.recv());
    let mut choice = select((&mut reserve, &mut recv));
    pend(&mut choice);
    let _permit = b.0.reserve().now().unwrap();
    std::mem::forget(choice);
    pend(&mut reserve);
    let mut receiver = a.1.recv();
    pend(&mut receiver);
    let permit = ready(&mut reserve).unwrap();
    let mut send = permit.send(1);
    pend(&mut send);
    assert_eq!(ready(&mut receiver), Ok(1));
}

/// While a party has a permit, its own receive is passed over. If that permit comes to nothing, whoever wanted the receive has it.
#[test]
fn a_receive_that_was_passed_over_is_had_when_its_partys_permit_comes_to_nothing() {
    for reserve_first in [true, false] {
        let (a, b) = (rendezvous::<u64>(), rendezvous::<u64>());
        let (mut first, mut second) = (a.0.reserve(), b.1.recv());
        let (mut third, mut fourth) = (b.1.recv(), a.0.reserve());
        let (mut one, mut other);
        let poll: &mut dyn FnMut() -> bool = if reserve_first {
            one = select((&mut first, &mut second)).biased();
            &mut || poll_once(&mut one).is_ready()
        } else {
            other = select((&mut third, &mut fourth)).biased();
            &mut || poll_once(&mut other).is_ready()
        };
        assert!(!poll());
        let mut receiver = a.1.recv();
        pend(&mut receiver);
        let (bell, waker) = Bell::new();
        let mut reserve = b.0.reserve();
        assert!(poll_with(&mut reserve, &waker).is_pending());
        drop(receiver);
        assert!(!poll());
        assert!(bell.rings() > 0, "asleep beside a receiver, the reserve first: {reserve_first}");
        assert!(ready(&mut reserve).is_ok());
    }
}
