//! `finish` of one end among many, and the end that a channel has when all ends of a side have gone.

use std::sync::Arc;

use crate::support::thread;
use crate::support::*;
use handover::{Receiver, Sender, WeakReceiver, WeakSender, Why, rendezvous};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

#[test]
fn a_pool_of_which_all_finish_ends_closed() {
    let _dog = Watchdog::new();
    for how in [How::Thread, How::Task] {
        let (tx, rx) = rendezvous();
        let workers: Vec<_> = (0..4)
            .map(|n| {
                let tx = tx.clone();
                thread::spawn(move || {
                    how.drive(how.run(tx.send(n))).unwrap();
                    tx.finish();
                })
            })
            .collect();
        tx.finish();
        let mut values = rx.into_iter();
        let mut got: Vec<_> = values.by_ref().collect();
        got.sort_unstable();
        assert_eq!((got, values.end()), (vec![0, 1, 2, 3], Some(Why::Closed)));
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    }
}

#[test]
fn the_end_is_the_worst_that_an_end_said_in_whichever_order() {
    use Why::{Closed, Dropped, Panicked};
    for (said, end) in [
        ([Closed, Closed, Closed], Closed),
        ([Dropped, Closed, Closed], Dropped),
        ([Closed, Dropped, Closed], Dropped),
        ([Closed, Closed, Dropped], Dropped),
        ([Panicked, Dropped, Closed], Panicked),
        ([Closed, Dropped, Panicked], Panicked),
        ([Dropped, Panicked, Closed], Panicked),
    ] {
        let (tx, rx) = rendezvous::<u8>();
        let [a, b, c] = [tx.clone(), tx.clone(), tx];
        let senders = [a, b, c];
        for (n, (tx, why)) in senders.into_iter().zip(said).enumerate() {
            assert_eq!(rx.end(), None, "after {n} of {said:?}");
            leave_by(tx, why, Sender::finish);
        }
        assert_eq!(rx.recv().wait().unwrap_err().why(), end, "{said:?}");
        assert_eq!((rx.end(), rx.closed().wait()), (Some(end), Ok(end)));

        let (tx, rx) = rendezvous::<u8>();
        let receivers = [rx.clone(), rx.clone(), rx];
        for (rx, why) in receivers.into_iter().zip(said) {
            assert!(!tx.is_closed());
            leave_by(rx, why, Receiver::finish);
        }
        let error = tx.send(1).wait().unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (end, Some(1)), "{said:?}");
        assert_eq!(tx.closed().wait(), Ok(end));
    }
}

#[test]
fn close_is_the_word_of_all_ends_whatever_was_said_before() {
    let (tx, rx) = rendezvous::<u8>();
    panic_holding(tx.clone());
    drop(tx.clone());
    assert!(tx.close());
    assert_eq!(rx.recv().now().unwrap_err().why(), Why::Closed);
    panic_holding(tx);
    assert_eq!(rx.end(), Some(Why::Closed), "the first one that was told stays");

    let (tx, rx) = rendezvous::<u8>();
    drop(tx.clone());
    assert!(rx.close());
    drop(tx);
    assert_eq!(rx.end(), Some(Why::Closed));
    assert!(!rx.close());
}

#[test]
fn finish_while_unwinding_is_finish() {
    struct FinishOnDrop(Option<Sender<u8>>);
    impl Drop for FinishOnDrop {
        fn drop(&mut self) {
            self.0.take().unwrap().finish();
        }
    }
    let (tx, rx) = rendezvous();
    panic_holding(FinishOnDrop(Some(tx)));
    assert_eq!(rx.end(), Some(Why::Closed));
}

#[test]
fn a_finished_end_leaves_the_others_to_go_on() {
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    tx.clone().finish();
    pend(&mut recv);
    rx.clone().finish();
    let mut send = tx.send(1);
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok(1));
    assert_eq!(ready(&mut send), Ok(()));
    drop(send);
    let stats = tx.stats();
    assert_eq!((stats.senders, stats.receivers), (1, 1));
    pend(&mut rx.recv());
    let mut recv = rx.recv();
    pend(&mut recv);
    tx.finish();
    assert_eq!(ready(&mut recv).unwrap_err().why(), Why::Closed);
}

#[test]
fn the_last_finish_wakes_every_party_even_if_a_waker_panics() {
    let (tx, rx) = rendezvous::<u8>();
    let hooks: Vec<_> = (0..3).map(|_| Hook::new()).collect();
    let mut recvs: Vec<_> = hooks.iter().map(|_| rx.recv()).collect();
    let mut closed = rx.closed();
    let (bell, waker) = Bell::new();
    pend_with(&mut closed, &waker);
    for (recv, hook) in recvs.iter_mut().zip(&hooks) {
        pend_with(recv, &hook.waker());
        hook.set_panic(Moment::Wake);
    }
    assert!(panics(|| tx.finish()));
    assert_eq!(bell.rings(), 1);
    for (recv, hook) in recvs.iter_mut().zip(&hooks) {
        assert_eq!(hook.bell.rings(), 1);
        assert_eq!(ready(recv).unwrap_err().why(), Why::Closed);
    }
    assert_eq!(ready(&mut closed), Ok(Why::Closed));
    drop(closed);
    drop(waker);
    assert_eq!(Arc::strong_count(&bell), 1);
}

#[test]
fn an_upgraded_end_counts_as_any_other() {
    let (tx, rx) = rendezvous::<u8>();
    let weak = tx.downgrade();
    let again = weak.upgrade().unwrap();
    tx.finish();
    assert_eq!(rx.end(), None);
    drop(again);
    assert_eq!(rx.end(), Some(Why::Dropped));
    assert!(weak.upgrade().is_none());
}

#[derive(Clone, Copy, Debug)]
enum Command {
    Clone(bool, usize),
    /// How the n-th end of a side goes.
    Leave(bool, usize, Why),
    Downgrade(bool, usize),
    Upgrade(bool, usize),
    Close(bool, usize),
}

fn command() -> impl Strategy<Value = Command> {
    let (side, n) = (any::<bool>(), 0..6_usize);
    let why = prop_oneof![
        4 => Just(Why::Closed),
        2 => Just(Why::Dropped),
        1 => Just(Why::Panicked),
    ];
    prop_oneof![
        4 => (side, n.clone()).prop_map(|(side, n)| Command::Clone(side, n)),
        6 => (side, n.clone(), why).prop_map(|(side, n, why)| Command::Leave(side, n, why)),
        2 => (side, n.clone()).prop_map(|(side, n)| Command::Downgrade(side, n)),
        3 => (side, n.clone()).prop_map(|(side, n)| Command::Upgrade(side, n)),
        1 => (side, n).prop_map(|(side, n)| Command::Close(side, n)),
    ]
}

/// What a channel is to this model: how many ends each side has, the worst that they said, and how it ended.
#[derive(Default)]
struct Reference {
    ends: [usize; 2],
    worst: [Option<Why>; 2],
    end: Option<Why>,
}

const fn badness(why: Why) -> u8 {
    match why {
        Why::Panicked => 2,
        Why::Dropped => 1,
        _ => 0,
    }
}

impl Reference {
    fn leave(&mut self, side: usize, why: Why) {
        self.ends[side] -= 1;
        if self.worst[side].is_none_or(|worst| badness(worst) < badness(why)) {
            self.worst[side] = Some(why);
        }
        if self.ends[side] == 0 && self.end.is_none() {
            self.end = self.worst[side];
        }
    }
}

fn run(commands: Vec<Command>) {
    progress();
    let (tx, rx) = rendezvous::<u8>();
    let (mut txs, mut rxs) = (vec![tx], vec![rx]);
    let (mut weak_txs, mut weak_rxs) =
        (Vec::<WeakSender<u8>>::new(), Vec::<WeakReceiver<u8>>::new());
    let mut reference = Reference { ends: [1, 1], ..Reference::default() };
    for command in commands {
        match command {
            Command::Clone(false, n) if !txs.is_empty() => {
                txs.push(txs[n % txs.len()].clone());
                reference.ends[0] += 1;
            }
            Command::Clone(true, n) if !rxs.is_empty() => {
                rxs.push(rxs[n % rxs.len()].clone());
                reference.ends[1] += 1;
            }
            Command::Leave(false, n, why) if !txs.is_empty() => {
                leave_by(txs.swap_remove(n % txs.len()), why, Sender::finish);
                reference.leave(0, why);
            }
            Command::Leave(true, n, why) if !rxs.is_empty() => {
                leave_by(rxs.swap_remove(n % rxs.len()), why, Receiver::finish);
                reference.leave(1, why);
            }
            Command::Downgrade(false, n) if !txs.is_empty() => {
                weak_txs.push(txs[n % txs.len()].downgrade());
            }
            Command::Downgrade(true, n) if !rxs.is_empty() => {
                weak_rxs.push(rxs[n % rxs.len()].downgrade());
            }
            Command::Upgrade(false, n) if !weak_txs.is_empty() => {
                let got = weak_txs[n % weak_txs.len()].upgrade();
                assert_eq!(got.is_some(), !txs.is_empty());
                reference.ends[0] += usize::from(got.is_some());
                txs.extend(got);
            }
            Command::Upgrade(true, n) if !weak_rxs.is_empty() => {
                let got = weak_rxs[n % weak_rxs.len()].upgrade();
                assert_eq!(got.is_some(), !rxs.is_empty());
                reference.ends[1] += usize::from(got.is_some());
                rxs.extend(got);
            }
            Command::Close(side, n) => {
                let closed = match side {
                    false if !txs.is_empty() => Some(txs[n % txs.len()].close()),
                    true if !rxs.is_empty() => Some(rxs[n % rxs.len()].close()),
                    _ => None,
                };
                if let Some(closed) = closed {
                    assert_eq!(closed, reference.end.is_none());
                    reference.end.get_or_insert(Why::Closed);
                }
            }
            _ => {}
        }
        for tx in &txs {
            let stats = tx.stats();
            assert_eq!([stats.senders, stats.receivers], reference.ends);
            assert_eq!(tx.closed().now().ok(), reference.end);
            assert_eq!(tx.is_closed(), reference.end.is_some());
        }
        for rx in &rxs {
            let error = rx.recv().now().unwrap_err().why();
            assert_eq!(error, reference.end.unwrap_or(Why::NotReady));
            assert_eq!(rx.end(), reference.end);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn clones_that_go_in_any_way_end_the_channel_as_the_reference_says(
        commands in prop::collection::vec(command(), 1..40),
    ) {
        let _dog = Watchdog::new();
        run(commands);
    }
}
