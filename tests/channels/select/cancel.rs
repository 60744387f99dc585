//! What becomes of arms that lose, and of their values.

use super::MOMENT;
use crate::support::thread;
use crate::support::*;
use handover::{Sel2, Sender, Why, duplex, never, rendezvous, select, simplex, stream};

// ---- arms that lose

/// A closed channel, for an arm that wins.
fn open_and_shut() -> (Sender<u8>, handover::Receiver<u8>) {
    let ends = rendezvous();
    ends.0.close();
    ends
}

#[test]
fn values_of_arms_that_lost_are_dropped_once_and_that_of_the_winner_is_delivered() {
    for winner in 0..4 {
        for by_thread in [false, true] {
            let census = Census::new();
            let channels: Vec<_> = (0..4).map(|_| rendezvous()).collect();
            let arms = || channels.iter().map(|(tx, _)| tx.send(census.make())).collect::<Vec<_>>();
            let mut choice = select(arms());
            let (place, got) = if by_thread {
                thread::scope(|scope| {
                    let receiver = scope.spawn(|| channels[winner].1.recv().wait());
                    (choice.wait(), receiver.join().unwrap())
                })
            } else {
                pend(&mut choice);
                let got = channels[winner].1.recv().now();
                census.assert_alive(4);
                (ready(&mut choice), got)
            };
            assert_eq!(place.0, winner);
            place.1.unwrap();
            census.assert_alive(1);
            assert_eq!(got.unwrap(), winner);
            census.assert_settled();
            for (tx, _) in &channels {
                assert_eq!(tx.stats().waiting_senders, 0);
            }
        }
    }
}

#[test]
fn only_one_of_many_offers_is_ever_taken() {
    let census = Census::new();
    let channels: Vec<_> = (0..5).map(|_| rendezvous()).collect();
    let mut choice =
        select(channels.iter().map(|(tx, _)| tx.send(census.make())).collect::<Vec<_>>());
    pend(&mut choice);
    assert_eq!(channels[3].1.recv().now().unwrap(), 3);
    for (_, rx) in &channels {
        assert!(rx.recv().now().is_err(), "the choice is made, although nobody has looked");
        let mut recv = rx.recv();
        pend(&mut recv);
        pend(&mut recv);
    }
    let (place, sent) = ready(&mut choice);
    sent.unwrap();
    assert_eq!(place, 3);
    census.assert_settled();
}

/// Two offers of one select on one channel are one: a receiver gets one of them.
#[test]
fn two_offers_on_one_channel_are_one() {
    let (tx, rx) = rendezvous();
    let mut choice = select((tx.send(1), tx.send(2))).biased();
    pend(&mut choice);
    let mut behind = tx.send(3);
    pend(&mut behind);
    assert_eq!(rx.recv().now(), Ok(1));
    assert_eq!(rx.recv().now(), Ok(3), "not the other one of the choice");
    assert!(matches!(ready(&mut choice), Sel2::A(Ok(()))));
    ready(&mut behind).unwrap();
}

#[test]
fn a_borrowed_send_that_lost_is_reclaimed() {
    let census = Census::new();
    let shut = open_and_shut();
    let (tx, _rx) = rendezvous();
    for was_polled in [false, true] {
        let mut send = tx.send(census.make());
        if was_polled {
            pend(&mut send);
        }
        assert!(matches!(select((&mut send, shut.1.recv())).wait(), Sel2::B(Err(_))));
        assert_eq!(tx.stats().waiting_senders, 0);
        assert!(send.reclaim().is_some());
    }
    // The select waited, since no arm was ready at first.
    let (later, rx) = rendezvous();
    let mut send = tx.send(census.make());
    let mut choice = select((&mut send, rx.recv()));
    pend(&mut choice);
    assert_eq!(tx.stats().waiting_senders, 1);
    let mut signal = later.send(1_u8);
    pend(&mut signal);
    assert!(matches!(ready(&mut choice), Sel2::B(Ok(1))));
    drop(choice);
    assert_eq!(tx.stats().waiting_senders, 0);
    assert!(send.reclaim().is_some());
    // The time was up.
    let mut send = tx.send(census.make());
    assert!(select((&mut send, rx.recv())).wait_timeout(MOMENT).is_none());
    assert!(send.reclaim().is_some());
    let mut send = tx.send(census.make());
    assert!(select((&mut send, rx.recv())).now().is_none());
    assert!(send.reclaim().is_some());
    census.assert_settled();
}

#[test]
fn values_of_every_kind_are_reclaimed_from_arms_that_lost() {
    for had_to_wait in [false, true] {
        let census = Census::new();
        /// Lets `op` lose, as an arm, against the end of `rx`.
        macro_rules! lose {
            ($op:expr) => {{
                let mut op = $op;
                let (signal, rx) = rendezvous::<u8>();
                {
                    let mut choice = select((&mut op, rx.recv()));
                    if had_to_wait {
                        pend(&mut choice);
                    }
                    signal.close();
                    assert!(matches!(choice.biased().now(), Some(Sel2::B(Err(_)))));
                }
                op
            }};
        }
        let (mut server, mut client) = simplex();
        assert!(lose!(server.send(census.make())).reclaim().is_some());
        // The same on a demand that stands.
        pend(&mut client.recv());
        assert!(lose!(server.send(census.make())).reclaim().is_some());
        let (mut server, mut client) = duplex::<Counted, Counted>();
        assert!(lose!(client.exchange(census.make())).reclaim().is_some());
        assert!(lose!(server.exchange(census.make())).reclaim().is_some());
        pend(&mut client.exchange(census.make()));
        assert!(lose!(server.exchange(census.make())).reclaim().is_some());
        let (mut writer, mut reader) = stream();
        assert!(lose!(writer.send(census.make())).reclaim().is_some());
        pend(&mut reader.recv());
        assert!(lose!(writer.send(census.make())).reclaim().is_some());
        let (tx, many) = rendezvous();
        assert!(lose!(tx.send(census.make())).reclaim().is_some());
        let mut recv = many.recv();
        pend(&mut recv);
        let permit = tx.reserve().now().unwrap();
        assert!(lose!(permit.send(census.make())).reclaim().is_some());
        drop(recv);
        census.assert_settled();
    }
}

/// An arm loses once, is then waited for alone, and as an arm again.
#[test]
fn an_arm_that_lost_begins_anew() {
    let shut = open_and_shut();
    let quiet = never::<u8>();
    for again in 0..3 {
        macro_rules! lose_then_win {
            ($op:expr, $peer:expr) => {{
                let mut op = $op;
                assert!(matches!(select((&mut op, shut.1.recv())).wait(), Sel2::B(_)));
                if again == 1 {
                    assert!(select((quiet.recv(), &mut op)).wait_timeout(MOMENT).is_none());
                }
                pend(&mut op);
                $peer;
                if again == 2 {
                    match ready(&mut select((quiet.recv(), &mut op))) {
                        Sel2::A(_) => panic!("never"),
                        Sel2::B(output) => output,
                    }
                } else {
                    ready(&mut op)
                }
            }};
        }
        let (tx, rx) = rendezvous::<u8>();
        lose_then_win!(tx.send(1), assert_eq!(rx.recv().now(), Ok(1))).unwrap();
        let mut send = tx.send(2);
        assert_eq!(lose_then_win!(rx.recv(), pend(&mut send)), Ok(2));
        ready(&mut send).unwrap();
        let mut recv = rx.recv();
        let permit = lose_then_win!(tx.reserve(), pend(&mut recv)).unwrap();
        let mut sent = lose_then_win!(permit.send(3), assert_eq!(ready(&mut recv), Ok(3)));
        sent.as_mut().unwrap();
        let mut got = Vec::new();
        let mut each = tx.send_all([4, 5]);
        assert!(matches!(select((&mut each, shut.1.recv())).biased().wait(), Sel2::B(_)));
        pend(&mut each);
        got.push(rx.recv().now());
        pend(&mut each);
        assert!(select((&mut each, quiet.recv())).wait_timeout(MOMENT).is_none());
        pend(&mut each);
        got.push(rx.recv().now());
        ready(&mut each).unwrap();
        assert_eq!(got, [Ok(4), Ok(5)]);
        assert_eq!(lose_then_win!(tx.closed(), rx.close()), Ok(Why::Closed));

        // In lockstep.
        let (mut server, mut client) = duplex::<u8, u8>();
        let mut ask = client.exchange(1);
        assert_eq!(lose_then_win!(server.demand(), pend(&mut ask)), Ok(1));
        let mut answer = server.exchange(10);
        pend(&mut answer);
        assert_eq!(ready(&mut ask).unwrap(), 10);
        drop(ask);
        let mut next = None;
        let answered = lose_then_win!(client.exchange(2), {
            assert_eq!(ready(&mut answer).unwrap(), 2);
            drop(answer);
            pend(next.insert(server.exchange(20)));
        });
        assert_eq!(answered.unwrap(), 20);
        drop(next);

        // A demand or a request stays when its operation is dropped.
        let (mut server, mut client) = simplex::<u8>();
        pend(&mut client.recv());
        lose_then_win!(server.send(1), {
            assert_eq!(client.recv().now(), Ok(1));
            pend(&mut client.recv());
        })
        .unwrap();
        let mut send = server.send(2);
        assert_eq!(lose_then_win!(client.recv(), pend(&mut send)), Ok(2));
        drop(send);
        pend(&mut client.recv());
        let mut all = server.send_all([3, 4]);
        assert!(matches!(select((&mut all, shut.1.recv())).biased().wait(), Sel2::B(_)));
        pend(&mut all);
        assert_eq!(client.recv().now(), Ok(3));
        assert!(select((&mut all, quiet.recv())).wait_timeout(MOMENT).is_none());
        pend(&mut client.recv());
        pend(&mut all);
        assert!(matches!(select((&mut all, shut.1.recv())).biased().wait(), Sel2::B(_)));
        pend(&mut all);
        assert_eq!(client.recv().now(), Ok(4));
        pend(&mut client.recv());
        ready(&mut all).unwrap();

        // In batches.
        let (mut writer, mut reader) = stream::<u8>();
        pend(&mut reader.recv());
        lose_then_win!(writer.send(1), assert_eq!(reader.recv().now(), Ok(1))).unwrap();
        pend(&mut reader.read(3));
        let all = Ok(vec![2, 3, 4]);
        lose_then_win!(writer.write([2, 3, 4]), assert_eq!(reader.read(3).now(), all)).unwrap();
        assert!(poll_once(&mut reader.read_once()).is_pending());
        lose_then_win!(writer.write([5]), assert!(reader.read_once().now().unwrap().eq([5])))
            .unwrap();
        let mut write = writer.write_local([6, 7]);
        assert_eq!(lose_then_win!(reader.read(2), pend(&mut write)), Ok(vec![6, 7]));
        ready(&mut write).unwrap();
        drop(write);
        let mut write = writer.write([8, 9]);
        assert_eq!(lose_then_win!(reader.recv(), pend(&mut write)), Ok(8));
        pend(&mut write);
        let mut into = vec![0];
        assert_eq!(lose_then_win!(reader.read_into(1, &mut into), pend(&mut write)), Ok(1));
        assert_eq!(into, [0, 9]);
        ready(&mut write).unwrap();
    }
}

// ---- sends that are taken before they are done

#[test]
fn a_send_in_lockstep_that_was_taken_is_delivered_though_another_arm_won() {
    for way in 0..2 {
        let census = Census::new();
        let (signal, rx) = rendezvous::<u8>();
        let (mut server, mut client) = simplex();
        let mut recv = client.recv();
        pend(&mut recv);
        let mut send = server.send(census.make());
        let mut choice = select((&mut send, rx.recv()));
        pend(&mut choice);
        assert_eq!(ready(&mut recv).unwrap(), 0);
        pend(&mut choice);
        if way == 0 {
            signal.close();
            assert!(matches!(ready(&mut choice), Sel2::B(Err(_))));
        } else {
            assert!(poll_once(&mut choice).is_pending());
        }
        drop(choice);
        assert!(send.reclaim().is_none(), "it is the client's");
        drop(recv);
        // The next item is the next one.
        let mut recv = client.recv();
        pend(&mut recv);
        let mut send = server.send(census.make());
        pend(&mut send);
        assert_eq!(ready(&mut recv).unwrap(), 1);
        drop(send);
        census.assert_settled();
    }
    // A demand goes the same way: its answer is owed.
    let (signal, rx) = rendezvous::<u8>();
    let (mut server, mut client) = duplex::<u8, u8>();
    let mut ask = client.exchange(1);
    let mut choice = select((&mut ask, rx.recv()));
    pend(&mut choice);
    assert_eq!(server.demand().now(), Ok(1));
    signal.close();
    assert!(matches!(ready(&mut choice), Sel2::B(Err(_))));
    drop(choice);
    assert_eq!(ask.reclaim(), None);
    assert!(client.exchange(2).now().unwrap_err().unsent() == Some(&2));
    server.finish_with(3).unwrap();
    assert_eq!(client.owed().now(), Ok(3));
}

#[test]
fn a_send_to_a_stream_that_was_taken_is_delivered_though_another_arm_won() {
    let census = Census::new();
    let shut = open_and_shut();
    let (mut writer, mut reader) = stream();
    let mut read = reader.recv();
    pend(&mut read);
    let mut send = writer.send(census.make());
    let quiet = never::<u8>();
    let mut choice = select((quiet.recv(), &mut send));
    pend(&mut choice);
    assert_eq!(ready(&mut read).unwrap(), 0);
    drop(choice);
    assert!(matches!(select((shut.1.recv(), &mut send)).biased().wait(), Sel2::A(_)));
    assert!(send.reclaim().is_none());
    drop(read);
    census.assert_settled();
    // The writer still has an item in the batch in hand.
    let mut read = reader.read(2);
    pend(&mut read);
    _ = select((shut.1.recv(), writer.write([census.make()]))).wait();
    writer.finish().unwrap();
    assert!(ready(&mut read).unwrap().len() <= 1);
    drop(read);
    census.assert_settled();
}

// ---- a select that is dropped

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
    // An item that was taken before the select was dropped is delivered, and no other.
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
fn a_woken_choice_that_is_dropped_wakes_the_next_receive() {
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
    // So does a select that another arm won.
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
    // So does a permit that was granted meanwhile.
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

/// A select that lets a permit go must not touch its receiver again: another permit may have it.
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
