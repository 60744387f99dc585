//! Each operation of each channel as an arm of a `select`: owned and borrowed, on a thread and in a task, against peers of either kind.

use std::task::Poll;

use crate::support::thread;
use crate::support::*;
use futures_lite::future::block_on;
use handover::{Sel2, Sel3, Why, duplex, never, op, rendezvous, select, simplex, stream};

#[derive(Clone, Copy, Debug)]
struct Way {
    chooser: How,
    peer: How,
    is_borrowed: bool,
    /// The operation is the first arm, and not the last one.
    is_first: bool,
}

fn in_all_ways(test: impl Fn(Way)) {
    let _watchdog = Watchdog::new();
    let both = [How::Thread, How::Task];
    for (chooser, peer) in both.into_iter().flat_map(|chooser| both.map(|peer| (chooser, peer))) {
        for is_borrowed in [false, true] {
            for is_first in [false, true] {
                // There are enough rounds that either side comes first in some.
                for _ in 0..20 {
                    test(Way { chooser, peer, is_borrowed, is_first });
                }
            }
        }
    }
}

/// The output of an operation that is the only arm which can be done.
macro_rules! choose {
    ($way:expr, $op:expr) => {{
        let quiet = never::<()>();
        let mut op = $op;
        let way: Way = $way;
        macro_rules! run {
            ($arm:expr) => {
                if way.is_first {
                    let choice = select(($arm, quiet.recv()));
                    match if way.chooser == How::Task { block_on(choice) } else { choice.wait() } {
                        Sel2::A(output) => output,
                        Sel2::B(_) => panic!("never"),
                    }
                } else {
                    let choice = select((quiet.recv(), quiet.recv(), $arm)).biased();
                    match if way.chooser == How::Task { block_on(choice) } else { choice.wait() } {
                        Sel3::C(output) => output,
                        _ => panic!("never"),
                    }
                }
            };
        }
        if way.is_borrowed { run!(&mut op) } else { run!(op) }
    }};
}

macro_rules! go {
    ($way:expr, $op:expr) => {
        if $way.peer == How::Task { block_on($op) } else { $op.wait() }
    };
}

/// Runs the peer on a thread of its own.
macro_rules! beside {
    ($peer:expr, $mine:expr) => {
        thread::scope(|scope| {
            scope.spawn(|| $peer);
            $mine
        })
    };
}

// ---- in lockstep

#[test]
fn demand_and_exchange() {
    in_all_ways(|way| {
        let (mut server, mut client) = duplex::<u32, u32>();
        beside!(
            {
                for n in 0..3 {
                    assert_eq!(go!(way, client.exchange(n)).unwrap(), 10 * n);
                }
                client.close();
            },
            {
                assert_eq!(choose!(way, server.demand()), Ok(0));
                assert_eq!(choose!(way, server.exchange(0)).unwrap(), 1);
                assert_eq!(choose!(way, server.exchange(10)).unwrap(), 2);
                let error = choose!(way, server.exchange(20)).unwrap_err();
                assert_eq!((error.why(), error.into_unsent()), (Why::Closed, None));
                let error = choose!(way, server.exchange(30)).unwrap_err();
                assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(30)));
            }
        );
    });
}

#[test]
fn send_all_in_lockstep() {
    in_all_ways(|way| {
        let (mut server, mut client) = simplex::<u32>();
        beside!(
            {
                for n in 0..5 {
                    assert_eq!(go!(way, client.recv()), Ok(n));
                }
                assert_eq!(go!(way, client.recv()).unwrap_err().why(), Why::Closed);
            },
            {
                choose!(way, server.send_all(0..3)).unwrap();
                choose!(way, server.send(3)).unwrap();
                choose!(way, server.send_all([4])).unwrap();
                server.finish();
            }
        );
    });
}

#[test]
fn ask_and_answer() {
    in_all_ways(|way| {
        let (mut server, mut client) = duplex::<u32, u32>();
        beside!(
            {
                let mut demand = go!(way, server.demand()).unwrap();
                for _ in 0..2 {
                    demand = go!(way, server.exchange(demand * 10)).unwrap();
                }
                server.finish_with(demand * 10).unwrap();
            },
            {
                assert_eq!(choose!(way, client.exchange(1)).unwrap(), 10);
                assert_eq!(choose!(way, client.exchange(2)).unwrap(), 20);
                // The exchange is given up, and its answer fetched.
                let mut ask = client.exchange(3);
                match (poll_once(&mut ask), ask.reclaim()) {
                    (Poll::Ready(answer), None) => assert_eq!(answer.unwrap(), 30),
                    (Poll::Pending, None) => assert_eq!(choose!(way, client.owed()), Ok(30)),
                    (_, back) => {
                        assert_eq!(back, Some(3));
                        assert_eq!(choose!(way, client.exchange(3)).unwrap(), 30);
                    }
                }
            }
        );
    });
}

#[test]
fn receive_in_lockstep() {
    in_all_ways(|way| {
        let (mut server, mut client) = simplex::<u32>();
        beside!(
            {
                for n in 0..3 {
                    go!(way, server.send(n)).unwrap();
                }
                drop(server);
            },
            {
                for n in 0..3 {
                    assert_eq!(choose!(way, client.recv()), Ok(n));
                }
                for _ in 0..2 {
                    assert_eq!(choose!(way, client.recv()).unwrap_err().why(), Why::Dropped);
                }
            }
        );
    });
}

// ---- in batches

#[test]
fn writes_of_all_kinds() {
    in_all_ways(|way| {
        let (mut writer, mut reader) = stream::<u32>();
        beside!(
            {
                assert_eq!(go!(way, reader.read(6)), Ok(vec![0, 1, 2, 3, 4, 5]));
                assert_eq!(go!(way, reader.read(9)), Ok(vec![6, 7]), "flushed");
                assert_eq!(go!(way, reader.recv()), Ok(8));
                assert!(go!(way, reader.read_once()).unwrap().eq([9, 10]));
                assert_eq!(go!(way, reader.read_all()), Ok(vec![]));
            },
            {
                choose!(way, writer.send(0)).unwrap();
                choose!(way, writer.write(1..3)).unwrap();
                let borrowed = [3, 4, 5];
                choose!(way, writer.write_local(borrowed.iter().copied())).unwrap();
                choose!(way, writer.write([6, 7])).unwrap();
                choose!(way, writer.flush()).unwrap();
                choose!(way, writer.send(8)).unwrap();
                choose!(way, writer.write([9, 10])).unwrap();
                writer.finish().unwrap();
            }
        );
    });
}

#[test]
fn reads_of_all_kinds() {
    in_all_ways(|way| {
        let (mut writer, mut reader) = stream::<u32>();
        beside!(
            {
                go!(way, writer.write(0..8)).unwrap();
                go!(way, writer.write(8..11)).unwrap();
                go!(way, writer.send(11)).unwrap();
                writer.finish().unwrap();
            },
            {
                assert_eq!(choose!(way, reader.read(2)), Ok(vec![0, 1]));
                let mut into = vec![7];
                assert_eq!(choose!(way, reader.read_into(3, &mut into)), Ok(3));
                assert_eq!(into, [7, 2, 3, 4]);
                assert_eq!(choose!(way, reader.recv()), Ok(5));
                assert_eq!(choose!(way, reader.read_some(9)), Ok(vec![6, 7]));
                {
                    let quiet = never::<()>();
                    let choice = select((reader.read_once(), quiet.recv()));
                    let choice =
                        if way.chooser == How::Task { block_on(choice) } else { choice.wait() };
                    let Sel2::A(batch) = choice else { panic!("never") };
                    assert!(batch.unwrap().eq(8..11));
                }
                assert_eq!(choose!(way, reader.read_all()), Ok(vec![11]));
                assert_eq!(choose!(way, reader.recv()).unwrap_err().why(), Why::Closed);
            }
        );
    });
}

// ---- among many

#[test]
fn sends_and_receives_of_many() {
    in_all_ways(|way| {
        let (tx, rx) = rendezvous::<u32>();
        beside!(
            {
                for n in 0..5 {
                    assert_eq!(go!(way, rx.recv()), Ok(n));
                }
                assert_eq!(go!(way, rx.recv()).unwrap_err().why(), Why::Closed);
            },
            {
                choose!(way, tx.send(0)).unwrap();
                choose!(way, tx.send_all([1, 2])).unwrap();
                let permit = choose!(way, tx.reserve()).unwrap();
                choose!(way, permit.send(3)).unwrap();
                choose!(way, tx.send(4)).unwrap();
                tx.close();
            }
        );
        let (tx, rx) = rendezvous::<u32>();
        beside!(
            {
                for n in 0..3 {
                    go!(way, tx.send(n)).unwrap();
                }
                go!(way, go!(way, tx.reserve()).unwrap().send(3)).unwrap();
                assert_eq!(go!(way, tx.closed()), Ok(Why::Dropped));
            },
            {
                for n in 0..4 {
                    assert_eq!(choose!(way, rx.recv()), Ok(n));
                }
                drop(rx);
            }
        );
    });
}

#[test]
fn the_end_of_many() {
    in_all_ways(|way| {
        let (tx, rx) = rendezvous::<u32>();
        let at_tx = tx.clone();
        beside!(
            {
                assert_eq!(go!(way, rx.closed()), Ok(Why::Closed));
            },
            {
                assert!(at_tx.close());
                assert_eq!(choose!(way, tx.closed()), Ok(Why::Closed));
                assert!(choose!(way, tx.send(1)).unwrap_err().into_unsent().is_some());
                assert!(choose!(way, tx.reserve()).map(drop).unwrap_err().is_end());
                let rest = choose!(way, tx.send_all([1, 2])).unwrap_err().into_rest();
                assert!(rest.eq([1, 2]));
            }
        );
        let (tx, rx) = rendezvous::<u32>();
        beside!(drop(tx), assert_eq!(choose!(way, rx.closed()), Ok(Why::Dropped)));
    });
}

// ---- all kinds side by side

#[test]
fn arms_of_all_channels_in_one_choice() {
    let _watchdog = Watchdog::new();
    for winner in 0..8 {
        let (mut server, mut client) = duplex::<u8, u8>();
        let (mut asked, mut asks) = duplex::<u8, u8>();
        let (mut writer, mut reads) = stream::<u8>();
        let (mut writes, mut reader) = stream::<u8>();
        let many = rendezvous::<u8>();
        let back = rendezvous::<u8>();
        let mut choice = select((
            server.demand(),
            asks.exchange(1),
            writer.write([2, 3]),
            reader.read(2),
            many.0.send(4),
            back.1.recv(),
            back.0.reserve(),
            many.0.closed(),
        ));
        pend(&mut choice);
        pend(&mut choice);
        use handover::Sel8::{A, B, C, D, E, F, G, H};
        match winner {
            0 => {
                let mut ask = client.exchange(9);
                pend(&mut ask);
                assert!(matches!(ready(&mut choice), A(Ok(9))));
            }
            1 => {
                assert_eq!(asked.demand().now(), Ok(1));
                pend(&mut choice);
                asked.finish_with(10).unwrap();
                assert!(matches!(ready(&mut choice), B(Ok(10))));
            }
            2 => {
                let mut read = reads.read(2);
                pend(&mut read);
                pend(&mut choice);
                assert_eq!(ready(&mut read), Ok(vec![2, 3]));
                assert!(matches!(ready(&mut choice), C(Ok(()))));
            }
            3 => {
                let mut write = writes.write([5, 6]);
                pend(&mut write);
                assert!(matches!(ready(&mut choice), D(Ok(batch)) if batch == [5, 6]));
                ready(&mut write).unwrap();
            }
            4 => {
                assert_eq!(many.1.recv().now(), Ok(4));
                assert!(matches!(ready(&mut choice), E(Ok(()))));
            }
            5 => {
                let mut send = back.0.send(7);
                pend(&mut send);
                assert!(matches!(ready(&mut choice), F(Ok(7))));
                ready(&mut send).unwrap();
            }
            6 => {
                let mut recv = back.1.recv();
                pend(&mut recv);
                let G(permit) = ready(&mut choice) else { panic!("another arm") };
                let mut send = permit.unwrap().send(8);
                pend(&mut send);
                assert_eq!(ready(&mut recv), Ok(8));
            }
            _ => {
                many.1.close();
                match ready(&mut choice) {
                    E(Err(error)) => assert_eq!(error.into_unsent(), Some(4)),
                    H(Ok(why)) => assert_eq!(why, Why::Closed),
                    other => panic!("another arm: {other:?}"),
                }
            }
        }
        drop(choice);
        let stats = [&many, &back].map(|(tx, _)| {
            let stats = tx.stats();
            stats.waiting_senders + stats.waiting_receivers
        });
        assert_eq!(stats, [0, 0]);
    }
}

/// Each value is sent once and received once, whichever way it goes.
#[test]
fn a_relay_chooses_between_taking_and_giving() {
    let _watchdog = Watchdog::new();
    const N: u64 = 300;
    for ways in 0..4 {
        let (mut source, mut from_source) = simplex::<u64>();
        let (tx, rx) = rendezvous::<u64>();
        let (mut writer, mut reader) = stream::<u64>();
        let total = thread::scope(|scope| {
            scope.spawn(move || source.send_all(0..N).wait().map(|()| source.finish()));
            scope.spawn(move || {
                for n in N..2 * N {
                    tx.send(n).wait().unwrap();
                }
            });
            scope.spawn(move || {
                // Each item goes on to the stream, from whichever channel it came.
                let (mut a_left, mut b_left) = (true, true);
                let quiet = never::<u64>();
                while a_left || b_left {
                    let rx = if b_left { &rx } else { &quiet };
                    let got = if a_left {
                        let choice = select((from_source.recv(), rx.recv()));
                        match if ways & 1 == 0 { choice.wait() } else { block_on(choice) } {
                            Sel2::A(Ok(n)) | Sel2::B(Ok(n)) => n,
                            Sel2::A(Err(_)) => {
                                a_left = false;
                                continue;
                            }
                            Sel2::B(Err(_)) => {
                                b_left = false;
                                continue;
                            }
                        }
                    } else {
                        match rx.recv().wait() {
                            Ok(n) => n,
                            Err(_) => {
                                b_left = false;
                                continue;
                            }
                        }
                    };
                    let choice = select((quiet.recv(), writer.send(got), quiet.closed()));
                    let choice = if ways & 2 == 0 { choice.wait() } else { block_on(choice) };
                    assert!(matches!(choice, Sel3::B(Ok(()))));
                }
                writer.finish().unwrap();
            });
            reader.iter().sum::<u64>()
        });
        assert_eq!(total, (2 * N) * (2 * N - 1) / 2);
    }
}

#[test]
fn a_vec_of_any_operation() {
    let (tx, rx) = rendezvous::<u8>();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut reserves = select((0..3).map(|_| tx.reserve()).collect::<Vec<op::Reserve<'_, u8>>>());
    let (_, permit) = ready(&mut reserves);
    drop(reserves);
    let mut sends = select(vec![permit.unwrap().send(1)]);
    pend(&mut sends);
    assert_eq!(ready(&mut recv), Ok(1));
    assert!(ready(&mut sends).1.is_ok());
    let mut ends: Vec<_> = (0..3).map(|_| simplex::<u8>()).collect();
    for (n, (server, client)) in ends.iter_mut().enumerate().rev() {
        pend(&mut client.recv());
        let mut send = server.send(n as u8);
        pend(&mut send);
        std::mem::forget(send); // so that its item stays on offer
    }
    let mut choice =
        select(ends.iter_mut().map(|(_, client)| client.recv()).collect::<Vec<_>>()).biased();
    assert_eq!(ready(&mut choice), (0, Ok(0)));
    assert!(select((rx.recv(), rx.closed(), tx.closed(), tx.reserve())).now().is_none());
}
