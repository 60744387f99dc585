//! Threads that choose at random, with deadlines, over a few channels: the counts agree at the end, and nobody hangs.

use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use crate::support::thread;
use crate::support::*;
use futures_lite::future::block_on;
use handover::{Receiver, Sel2, Sel3, Sender, never, rendezvous, select};

const CHANNELS: usize = 3;

/// So many choices each thread makes, however slow they are.
const LEAST_TURNS: u32 = 200;

/// The account of one party.
#[derive(Default)]
struct Ledger {
    /// Values that the party was told are taken.
    sent: Vec<usize>,
    /// Values that came back.
    kept: Vec<usize>,
    /// Received values in order, by channel.
    received: [Vec<usize>; CHANNELS],
}

type Channels = [(Sender<Counted>, Receiver<Counted>); CHANNELS];

fn play(me: usize, channels: &Channels, census: &Census, mut stress: Stress) -> Ledger {
    let mut ledger = Ledger::default();
    let quiet = never::<Counted>();
    for turn in 0.. {
        if turn >= LEAST_TURNS && !stress.goes_on() {
            break;
        }
        let pick = |stress: &mut Stress| &channels[stress.below(CHANNELS as u64) as usize];
        let (a, b, c) = (pick(&mut stress), pick(&mut stress), pick(&mut stress));
        let place_of = |rx: &Receiver<Counted>| {
            channels.iter().position(|(_, own)| own.same_channel(rx)).unwrap()
        };
        let (first, second) = (census.make(), census.make());
        let ids = [first.id, second.id];
        let time = Duration::from_micros(stress.below(300));
        let (way, polls) = (stress.below(5), stress.below(6));
        let (mut one, mut two) = (a.0.send(first), b.0.send(second));
        // Runs a select in one of the ways to wait.
        macro_rules! run {
            ($choice:expr) => {{
                let mut choice = $choice;
                match way {
                    0 => choice.now(),
                    1 => {
                        // The select is polled as a task does, and dropped.
                        let mut done = None;
                        for _ in 0..=polls {
                            if let Poll::Ready(output) = poll_once(&mut choice) {
                                done = Some(output);
                                break;
                            }
                            dither(50);
                        }
                        done
                    }
                    _ => choice.wait_timeout(time),
                }
            }};
        }
        let mut took = |rx: &Receiver<Counted>, value: Counted| {
            ledger.received[place_of(rx)].push(value.id);
        };
        let mut told = [None, None];
        match stress.below(5) {
            0 => match run!(select((&mut one, &mut two, c.1.recv()))) {
                Some(Sel3::A(sent)) => told[0] = Some(sent.is_ok()),
                Some(Sel3::B(sent)) => told[1] = Some(sent.is_ok()),
                Some(Sel3::C(got)) => took(&c.1, got.unwrap()),
                None => {}
            },
            1 => match run!(select((b.1.recv(), &mut one))) {
                Some(Sel2::A(got)) => took(&b.1, got.unwrap()),
                Some(Sel2::B(sent)) => told[0] = Some(sent.is_ok()),
                None => {}
            },
            2 => {
                if let Some((place, got)) = run!(select(vec![a.1.recv(), b.1.recv(), quiet.recv()]))
                {
                    took([&a.1, &b.1][place], got.unwrap());
                }
            }
            3 => match run!(select((&mut two, a.0.reserve(), c.1.recv()))) {
                Some(Sel3::A(sent)) => told[1] = Some(sent.is_ok()),
                Some(Sel3::B(permit)) => {
                    let (id, value) = census.next();
                    // The value goes to the permit's receiver, or comes back.
                    match permit.unwrap().send(value).wait_timeout(time) {
                        Ok(()) => ledger.sent.push(id),
                        Err(error) => {
                            assert_eq!(error.into_unsent().unwrap(), id);
                            ledger.kept.push(id);
                        }
                    }
                }
                Some(Sel3::C(got)) => took(&c.1, got.unwrap()),
                None => {}
            },
            _ => {
                if me % 2 == 0 {
                    match c.1.recv().wait_timeout(time) {
                        Ok(value) => took(&c.1, value),
                        Err(error) => assert!(error.is_timed_out()),
                    }
                } else {
                    let (id, value) = census.next();
                    match c.0.send(value).wait_timeout(time) {
                        Ok(()) => ledger.sent.push(id),
                        Err(error) => {
                            assert_eq!(error.into_unsent().unwrap(), id);
                            ledger.kept.push(id);
                        }
                    }
                }
            }
        }
        let mut taken = 0;
        for (at, send) in [one, two].into_iter().enumerate() {
            // An arm that was done has no value; neither has an arm that was taken before its select was dropped.
            let back = send.reclaim();
            assert!(told[at] != Some(true) || back.is_none());
            assert!(told[at] != Some(false), "nobody closes");
            if back.is_none() {
                taken += 1;
                assert!(told[at] == Some(true) || way == 1, "taken, but not told");
                ledger.sent.push(ids[at]);
            } else {
                ledger.kept.push(ids[at]);
            }
        }
        assert!(taken <= 1, "two arms of one choice");
    }
    ledger
}

#[test]
fn counts_agree_after_random_choices() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("counts_agree_after_random_choices", Duration::ZERO);
    for players in [2, 3, 5, 8] {
        let census = Census::new();
        let channels: Channels = [rendezvous(), rendezvous(), rendezvous()];
        let mut round = stress.fork_for(Duration::from_secs(1));
        let ledgers: Vec<Ledger> = thread::scope(|scope| {
            let players: Vec<_> = (0..players)
                .map(|me| {
                    let (channels, census, stress) = (&channels, &census, round.fork());
                    scope.spawn(move || play(me, channels, census, stress))
                })
                .collect();
            players.into_iter().map(|player| player.join().unwrap()).collect()
        });
        let mut sent: Vec<_> = ledgers.iter().flat_map(|ledger| ledger.sent.clone()).collect();
        let mut received: Vec<_> =
            ledgers.iter().flat_map(|ledger| ledger.received.iter().flatten().copied()).collect();
        sent.sort_unstable();
        received.sort_unstable();
        assert_eq!(sent, received, "a send is done if and only if it was received");
        assert!(!sent.is_empty());
        let kept: usize = ledgers.iter().map(|ledger| ledger.kept.len()).sum();
        assert_eq!(sent.len() + kept, census.made());
        for (at, (tx, _)) in channels.iter().enumerate() {
            let stats = tx.stats();
            let count: usize = ledgers.iter().map(|ledger| ledger.received[at].len()).sum();
            assert_eq!(stats.handed_over, count as u64);
            assert_eq!((stats.waiting_senders, stats.waiting_receivers), (0, 0));
        }
        drop((ledgers, channels));
        census.assert_settled();
    }
}

/// Without deadlines a thread that finds no partner hangs. Each select has a partner as long as two threads are there.
#[test]
fn nobody_is_left_beside_a_partner() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("nobody_is_left_beside_a_partner", Duration::from_secs(3));
    let mut rounds = 0;
    while stress.goes_on() && rounds < 300 {
        rounds += 1;
        let players = 2 * (1 + stress.below(3)) as usize;
        let turns = 2 * (1 + stress.below(20));
        let channels = [rendezvous(), rendezvous()];
        let log = Mutex::new([0_i64; 2]);
        // The threads share this number of hand-overs, on either side of either channel.
        let left = std::sync::atomic::AtomicI64::new(players as i64 * turns as i64);
        thread::scope(|scope| {
            for _ in 0..players {
                let (channels, log, left, mut stress) = (&channels, &log, &left, stress.fork());
                let [(tx0, rx0), (tx1, rx1)] = channels;
                scope.spawn(move || {
                    let stop = || {
                        // The last hand-over closes the channels for all that still wait.
                        tx0.close();
                        tx1.close();
                    };
                    loop {
                        let in_task = stress.below(3) == 0;
                        let choice = select((tx0.send(1_i64), rx0.recv(), tx1.send(1), rx1.recv()));
                        let choice = if stress.below(2) == 0 { choice.biased() } else { choice };
                        let done = if in_task { block_on(choice) } else { choice.wait() };
                        use handover::Sel4::{A, B, C, D};
                        let (channel, balance) = match done {
                            A(Ok(())) => (0, 1),
                            B(Ok(n)) => (0, -n),
                            C(Ok(())) => (1, 1),
                            D(Ok(n)) => (1, -n),
                            _ => return,
                        };
                        log.lock().unwrap()[channel] += balance;
                        if left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
                            stop();
                        }
                    }
                });
            }
        });
        // Some hand-overs were under way at the close, but each has both its sides.
        assert_eq!(*log.lock().unwrap(), [0, 0]);
    }
    assert!(rounds > 0);
}
