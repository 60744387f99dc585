//! Which arm of a `select` is done, of those that are ready.

use crate::support::thread;
use crate::support::*;
use futures_lite::future::block_on;
use handover::{Sel2, Sel3, Sel8, rendezvous, select};

/// Counts how often each of `arms` is chosen, where those for which `is_ready` holds are ready.
fn tally(arms: usize, is_ready: impl Fn(usize) -> bool, rounds: usize) -> Vec<usize> {
    let channels: Vec<_> = (0..arms).map(|_| rendezvous::<u8>()).collect();
    for (place, (tx, _)) in channels.iter().enumerate() {
        if is_ready(place) {
            tx.close();
        }
    }
    let mut counts = vec![0; arms];
    for _ in 0..rounds {
        let recvs: Vec<_> = channels.iter().map(|(_, rx)| rx.recv()).collect();
        counts[select(recvs).wait().0] += 1;
    }
    counts
}

/// Each count is within six standard deviations of an even share.
#[track_caller]
fn assert_even(counts: &[usize]) {
    let rounds: usize = counts.iter().sum();
    let share = 1.0 / counts.len() as f64;
    let mean = rounds as f64 * share;
    let bound = 6.0 * (mean * (1.0 - share)).sqrt();
    assert!(counts.iter().all(|&count| (count as f64 - mean).abs() < bound), "{counts:?}");
}

const ROUNDS: usize = 10_000;

#[test]
fn of_those_that_are_ready_each_is_chosen_as_often() {
    for arms in [2, 3, 5, 8] {
        assert_even(&tally(arms, |_| true, ROUNDS));
    }
    let ends = [(); 8].map(|()| rendezvous::<u8>());
    ends.iter().for_each(|(tx, _)| _ = tx.close());
    let recv = |n: usize| ends[n].1.recv();
    let mut counts = [0; 2];
    let mut counts_of_3 = [0; 3];
    let mut counts_of_8 = [0; 8];
    for _ in 0..ROUNDS {
        counts[match select((recv(0), recv(1))).wait() {
            Sel2::A(_) => 0,
            Sel2::B(_) => 1,
        }] += 1;
        counts_of_3[match select((recv(0), recv(1), recv(2))).now().unwrap() {
            Sel3::A(_) => 0,
            Sel3::B(_) => 1,
            Sel3::C(_) => 2,
        }] += 1;
        let eight = (recv(0), recv(1), recv(2), recv(3), recv(4), recv(5), recv(6), recv(7));
        counts_of_8[match block_on(select(eight)) {
            Sel8::A(_) => 0,
            Sel8::B(_) => 1,
            Sel8::C(_) => 2,
            Sel8::D(_) => 3,
            Sel8::E(_) => 4,
            Sel8::F(_) => 5,
            Sel8::G(_) => 6,
            Sel8::H(_) => 7,
        }] += 1;
    }
    assert_even(&counts);
    assert_even(&counts_of_3);
    assert_even(&counts_of_8);
}

#[test]
fn of_two_that_are_ready_among_others_each_is_chosen_as_often() {
    for arms in 3..=8 {
        for (one, other) in [(0, 1), (0, arms - 1), (1, 2), (0, arms / 2)] {
            let counts = tally(arms, |place| place == one || place == other, ROUNDS);
            assert_even(&[counts[one], counts[other]]);
        }
    }
}

#[test]
fn of_those_that_became_ready_meanwhile_each_is_chosen_as_often() {
    let (a, b) = (rendezvous(), rendezvous());
    let mut counts = [0; 2];
    for _ in 0..ROUNDS / 4 {
        let mut choice = select((a.1.recv(), b.1.recv()));
        pend(&mut choice);
        let mut sends = [a.0.send(0), b.0.send(1)];
        sends.iter_mut().for_each(pend);
        counts[match ready(&mut choice) {
            Sel2::A(got) | Sel2::B(got) => got.unwrap(),
        }] += 1;
    }
    assert_even(&counts);
}

#[test]
fn threads_do_not_all_begin_with_the_same_arm() {
    let _watchdog = Watchdog::new();
    let mut counts = [0; 2];
    for _ in 0..200 {
        let first = thread::spawn(|| tally(2, |_| true, 1)[0]).join().unwrap();
        counts[first] += 1;
    }
    assert_even(&counts);
}

#[test]
fn biased_takes_the_first_that_is_ready() {
    let channels: Vec<_> = (0..8).map(|_| rendezvous::<u8>()).collect();
    for first in (0..8).rev() {
        channels[first].0.close(); // and all behind
        for _ in 0..30 {
            let recvs = || select(channels.iter().map(|(_, rx)| rx.recv()).collect::<Vec<_>>());
            assert_eq!(recvs().biased().wait().0, first);
            assert_eq!(recvs().biased().now().unwrap().0, first);
            assert_eq!(block_on(recvs().biased()).0, first);
        }
    }
    // The first arm wins also if both become ready while the select waits, in whichever order.
    let (a, b) = (rendezvous(), rendezvous());
    for _ in 0..30 {
        let mut choice = select((a.1.recv(), b.1.recv())).biased();
        pend(&mut choice);
        let mut sends = [b.0.send(2), a.0.send(1)];
        sends.iter_mut().for_each(pend);
        assert!(matches!(ready(&mut choice), Sel2::A(Ok(1))));
    }
    // An arm that has happened comes before an arm that is ready.
    let mut choice = select((a.1.recv(), b.0.send(1))).biased();
    pend(&mut choice);
    assert_eq!(b.1.recv().now(), Ok(1));
    let mut send = a.0.send(1);
    pend(&mut send);
    assert!(matches!(ready(&mut choice), Sel2::B(Ok(()))));
    assert_eq!(send.reclaim(), Some(1));
}
