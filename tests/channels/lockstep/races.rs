//! Operations that are given up at the moment at which the peer completes them.

use std::task::Poll;
use std::time::{Duration, Instant};

use super::collect;
use crate::support::*;
use handover::{SendError, Why, duplex, simplex};

#[test]
fn receives_that_are_given_up_and_made_again_lose_nothing() {
    let _watchdog = Watchdog::new();
    const ITEMS: u32 = 200;
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (mut server, mut client) = simplex();
        let (_, got) = pair(
            pairing,
            first,
            async |how| {
                for n in 0..ITEMS {
                    how.run(server.send(n)).await.unwrap();
                }
                server.finish();
            },
            async |how| {
                let mut got = Vec::new();
                for attempt in 0u32.. {
                    let item = match attempt % 5 {
                        0 => client.recv().now(),
                        1 => match poll_once(&mut client.recv()) {
                            Poll::Ready(item) => item,
                            Poll::Pending => continue,
                        },
                        2 if how == How::Thread => {
                            client.recv().wait_timeout(Duration::from_micros(20))
                        }
                        3 => client.recv().wait_deadline(Instant::now()),
                        _ => how.run(client.recv()).await,
                    };
                    match item {
                        Ok(item) => got.push(item),
                        Err(error) if error.is_end() => break,
                        Err(error) => assert!(error.is_timed_out() || error.is_not_ready()),
                    }
                }
                got
            },
        );
        assert!(got.into_iter().eq(0..ITEMS), "{pairing:?} {first:?}");
        assert_eq!(client.end(), Some(Why::Closed));
    });
}

#[test]
fn sends_given_up_at_random_moments_are_reclaimed_or_delivered() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let census = Census::new();
        let (server, mut client) = simplex();
        let (delivered, got) = pair(
            pairing,
            first,
            async |how| {
                let mut server = server;
                let mut delivered = Vec::new();
                for n in 0..200 {
                    let item = census.make();
                    let id = item.id;
                    let mut send = server.send(item);
                    let fate = match n % 3 {
                        0 => {
                            let polled = poll_once(&mut send);
                            dither(n);
                            match polled {
                                Poll::Ready(done) => done.err().map(|error| error.into_unsent()),
                                Poll::Pending => Some(send.reclaim()),
                            }
                        }
                        1 => send.now().err().map(|error| {
                            assert!(error.is_not_ready());
                            error.into_unsent()
                        }),
                        _ => how.run(send).await.err().map(|error| error.into_unsent()),
                    };
                    if !matches!(fate, Some(Some(_))) {
                        delivered.push(id);
                    }
                }
                server.finish();
                delivered
            },
            async |how| {
                let (items, end) = collect(&mut client, how).await;
                assert_eq!(end, Why::Closed);
                items.into_iter().map(|item| item.id).collect::<Vec<_>>()
            },
        );
        assert_eq!(delivered, got, "{pairing:?} {first:?}");
        census.assert_settled();
    });
}

/// Both ends give up about half of their operations, at random moments.
#[test]
fn timeouts_race_delivery_one_way() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("timeouts_race_delivery_one_way", Duration::from_secs(2));
    while stress.goes_on() {
        let census = Census::new();
        let (server, client) = simplex();
        let (mut ours, mut theirs) = (stress.fork(), stress.fork());
        let (delivered, got) = pair(
            Pairing::ALL[stress.below(4) as usize],
            First::Server,
            async |_| {
                let mut server = server;
                let mut delivered = Vec::new();
                for _ in 0..500 {
                    let (id, item) = census.next();
                    let mut send = server.send(item);
                    let wait = Duration::from_nanos(ours.below(30_000));
                    let back = match ours.below(5) {
                        0 => send.wait().err().and_then(SendError::into_unsent),
                        1 => send.wait_timeout(wait).err().and_then(SendError::into_unsent),
                        2 => send.now().err().and_then(SendError::into_unsent),
                        3 => {
                            let polled = poll_once(&mut send);
                            dither(ours.below(200));
                            match polled {
                                Poll::Ready(done) => done.err().and_then(SendError::into_unsent),
                                Poll::Pending => send.reclaim(),
                            }
                        }
                        _ => pollster::block_on(send).err().and_then(SendError::into_unsent),
                    };
                    match back {
                        Some(back) => assert_eq!(back.id, id),
                        None => delivered.push(id),
                    }
                }
                server.finish();
                delivered
            },
            async |_| {
                let mut client = client;
                let mut got = Vec::new();
                loop {
                    let mut recv = client.recv();
                    let wait = Duration::from_nanos(theirs.below(30_000));
                    let item = match theirs.below(5) {
                        0 => recv.wait(),
                        1 => recv.wait_timeout(wait),
                        2 => recv.now(),
                        3 => {
                            let polled = poll_once(&mut recv);
                            dither(theirs.below(200));
                            match polled {
                                Poll::Ready(item) => item,
                                Poll::Pending => continue,
                            }
                        }
                        _ => pollster::block_on(recv),
                    };
                    match item {
                        Ok(item) => got.push(item.id),
                        Err(error) if error.is_end() => break got,
                        Err(_) => {}
                    }
                }
            },
        );
        assert_eq!(delivered, got);
        census.assert_settled();
    }
}

#[test]
fn timeouts_race_delivery_both_ways() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("timeouts_race_delivery_both_ways", Duration::from_secs(2));
    while stress.goes_on() {
        let (demands, answers) = (Census::new(), Census::new());
        let (server, client) = duplex::<Counted, Counted>();
        let (mut ours, mut theirs) = (stress.fork(), stress.fork());
        let ((taken, answered), (asked, got)) = pair(
            Pairing::ThreadThread,
            First::Server,
            async |_| {
                let mut server = server;
                let (mut taken, mut answered) = (Vec::new(), Vec::new());
                let mut in_hand = false;
                loop {
                    let wait = Duration::from_nanos(ours.below(30_000));
                    if !in_hand {
                        let demand = server.demand();
                        let demand = match ours.below(3) {
                            0 => demand.wait(),
                            1 => demand.wait_timeout(wait),
                            _ => demand.now(),
                        };
                        match demand {
                            Ok(demand) => taken.push(demand.id),
                            Err(error) if error.is_end() => break (taken, answered),
                            Err(_) => continue,
                        }
                    }
                    let (id, item) = answers.next();
                    let exchange = server.exchange(item);
                    let next = match ours.below(3) {
                        0 => exchange.wait(),
                        1 => exchange.wait_timeout(wait),
                        _ => exchange.now(),
                    };
                    match next {
                        Ok(demand) => {
                            taken.push(demand.id);
                            answered.push(id);
                            in_hand = true;
                        }
                        Err(error) => {
                            let is_end = error.is_end();
                            in_hand = error.unsent().is_some();
                            if !in_hand {
                                answered.push(id);
                            }
                            if is_end {
                                break (taken, answered);
                            }
                        }
                    }
                }
            },
            async |_| {
                let mut client = client;
                let (mut asked, mut got) = (Vec::new(), Vec::new());
                for _ in 0..500 {
                    let (id, value) = demands.next();
                    let wait = Duration::from_nanos(theirs.below(30_000));
                    // If there is no answer, the error is whether the value came back.
                    let result = {
                        let came_back = |error: SendError<Counted>| error.unsent().is_some();
                        let mut ask = client.exchange(value);
                        match theirs.below(4) {
                            0 => ask.wait().map_err(came_back),
                            1 => ask.wait_timeout(wait).map_err(came_back),
                            2 => ask.now().map_err(came_back),
                            _ => {
                                let polled = poll_once(&mut ask);
                                dither(theirs.below(200));
                                match polled {
                                    Poll::Ready(result) => result.map_err(came_back),
                                    Poll::Pending => Err(ask.reclaim().is_some()),
                                }
                            }
                        }
                    };
                    let answer = match result {
                        Err(true) => continue,
                        Err(false) => loop {
                            match client.owed().wait_timeout(wait) {
                                Err(error) => assert!(error.is_timed_out()),
                                Ok(answer) => break answer,
                            }
                        },
                        Ok(answer) => answer,
                    };
                    asked.push(id);
                    got.push(answer.id);
                }
                client.close();
                (asked, got)
            },
        );
        assert_eq!(taken, asked);
        assert_eq!(answered, got);
        demands.assert_settled();
        answers.assert_settled();
    }
}

#[test]
fn ends_dropped_during_a_hand_over() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("ends_dropped_during_a_hand_over", Duration::from_secs(2));
    for _ in 0..20_000 {
        if !stress.goes_on() {
            break;
        }
        let census = Census::new();
        let (server, mut client) = simplex();
        if stress.below(2) == 0 {
            pend(&mut client.recv());
        }
        let (ours, theirs) = (stress.below(300), stress.below(300));
        let (how, last) = (stress.below(3), stress.below(2) == 0);
        let (back, got) = pair(
            Pairing::ThreadThread,
            First::Server,
            async |_| {
                let mut server = server;
                dither(ours);
                if last {
                    return server.finish_with(census.make()).err().map(SendError::into_unsent);
                }
                let send = server.send(census.make());
                let error = match how {
                    0 => send.wait().unwrap_err(),
                    1 => pollster::block_on(send).unwrap_err(),
                    _ => send.wait_timeout(Duration::from_nanos(ours * 10)).unwrap_err(),
                };
                Some(error.into_unsent())
            },
            async |_| {
                let mut client = client;
                dither(theirs);
                client.recv().now().ok()
            },
        );
        match back {
            Some(Some(_)) => assert!(got.is_none(), "given back, and received"),
            Some(None) => assert!(got.is_some(), "neither given back nor received"),
            None => {} // left behind: received or dropped with the channel
        }
        drop((back, got));
        census.assert_settled();
    }
}
