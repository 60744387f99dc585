//! How an end leaves, and what its peer is told, then and for ever after.

use std::time::{Duration, Instant};

use super::collect;
use super::leave;
use crate::support::thread;
use crate::support::*;
use futures_lite::StreamExt;
use handover::{RecvError, SendError, Why, duplex, simplex};

#[test]
fn an_empty_body_ends_the_consumer_without_items() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        for (close, end) in [(true, Why::Closed), (false, Why::Dropped)] {
            let (server, mut client) = simplex::<u8>();
            let (_, got) = pair(
                pairing,
                first,
                async |_| if close { server.finish() } else { drop(server) },
                async |how| collect(&mut client, how).await,
            );
            assert_eq!(got, (vec![], end));
        }
    });
}

#[test]
fn an_opened_and_empty_body_ends_the_consumer_without_items() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (server, mut client) = simplex::<u8>();
        let (_, got) = pair(
            pairing,
            first,
            async |how| {
                let mut server = server;
                how.run(server.demand()).await.unwrap();
                server.finish();
            },
            async |how| collect(&mut client, how).await,
        );
        assert_eq!(got, (vec![], Why::Closed));
    });
}

#[test]
fn a_body_that_fails_by_question_mark_is_dropped() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (server, mut client) = simplex();
        let (failed, got) = pair(
            pairing,
            first,
            async |how| {
                let mut server = server;
                how.run(server.send(1)).await.unwrap();
                let parsed: u8 = "not a number".parse()?;
                how.run(server.send(parsed)).await.unwrap();
                server.finish();
                Ok::<_, std::num::ParseIntError>(())
            },
            async |how| collect(&mut client, how).await,
        );
        assert!(failed.is_err());
        assert_eq!(got, (vec![1], Why::Dropped));
    });
}

#[test]
fn a_body_that_panics_is_told_apart() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (server, mut client) = simplex();
        let (_, got) = pair(
            pairing,
            first,
            async |how| {
                let mut server = server;
                how.run(server.send(1)).await.unwrap();
                panic_holding(server);
            },
            async |how| collect(&mut client, how).await,
        );
        assert_eq!(got, (vec![1], Why::Panicked));
    });
}

#[test]
fn a_consumer_that_leaves_after_one_item_had_taken_it() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        for how_to_leave in [Why::Closed, Why::Dropped, Why::Panicked] {
            let (mut server, client) = simplex();
            let (error, item) = pair(
                pairing,
                first,
                async |how| how.run(server.send(1)).await.unwrap_err(),
                async |how| {
                    let mut client = client;
                    let item = how.run(client.recv()).await;
                    leave(client, how_to_leave);
                    item
                },
            );
            assert_eq!(item, Ok(1));
            assert_eq!((error.why(), error.into_unsent()), (how_to_leave, None));
            let error = server.send(2).wait().unwrap_err();
            assert_eq!((error.why(), error.into_unsent()), (how_to_leave, Some(2)));
        }
    });
}

#[test]
fn a_loop_that_breaks_had_taken_its_item() {
    let _watchdog = Watchdog::new();
    let (mut server, client) = simplex();
    let consumer = thread::spawn(move || client.into_iter().next());
    let error = server.send(1).wait().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Dropped, None));
    assert_eq!(consumer.join().unwrap(), Some(1));
}

#[test]
fn a_consumer_dropped_while_the_item_is_on_offer_leaves_it_to_the_server() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let census = Census::new();
        let (mut server, mut client) = simplex();
        pend(&mut client.recv());
        let (error, ()) = pair(
            pairing,
            first,
            async |how| how.run(server.send(census.make())).await.unwrap_err(),
            async |how| {
                let client = client;
                how.until(|| peer_waits(&client)).await;
            },
        );
        assert_eq!((error.why(), error.into_unsent().unwrap().id), (Why::Dropped, 0));
        census.assert_settled();
    });
}

#[test]
fn an_unused_end_that_is_dropped_wakes_the_waiting_peer() {
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        for pairing in Pairing::ALL {
            let (server, mut client) = simplex::<u8>();
            let (_, got) = pair(
                pairing,
                First::Client,
                async |how| {
                    let server = server;
                    how.until(|| peer_waits(&server)).await;
                    leave(server, why);
                },
                async |how| collect(&mut client, how).await,
            );
            assert_eq!(got, (vec![], why));

            let (mut server, client) = simplex();
            let (error, _) = pair(
                pairing,
                First::Server,
                async |how| how.run(server.send(1)).await.unwrap_err(),
                async |how| {
                    let client = client;
                    how.until(|| peer_waits(&client)).await;
                    leave(client, why);
                },
            );
            assert_eq!((error.why(), error.into_unsent()), (why, Some(1)));
        }
    }
}

#[test]
fn items_handed_over_before_the_end_are_received_before_the_end_is_told() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (mut server, mut client) = simplex();
        let (_, got) = pair(
            pairing,
            first,
            async |how| {
                how.run(server.send(1)).await.unwrap();
                server.finish_with(2).unwrap();
            },
            async |how| collect(&mut client, how).await,
        );
        assert_eq!(got, (vec![1, 2], Why::Closed));
    });
}

// ---- after the end, for ever

#[test]
fn after_the_end_a_server_says_the_same_for_ever_and_gives_back_the_value() {
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        for asked in [false, true] {
            let (mut server, mut client) = duplex::<u8, u8>();
            if asked {
                pend(&mut client.exchange(0));
            }
            leave(client, why);
            let soon = Duration::from_secs(1);
            for _ in 0..3 {
                assert!(server.is_closed());
                let recv =
                    |result: Result<u8, RecvError>| assert_eq!(result.unwrap_err().why(), why);
                recv(ready(&mut server.demand()));
                recv(server.demand().wait());
                recv(server.demand().wait_timeout(soon));
                recv(server.demand().wait_deadline(Instant::now()));
                recv(server.demand().now());
                let send = |result: Result<u8, SendError<u8>>| {
                    let error = result.unwrap_err();
                    assert_eq!((error.why(), error.into_unsent()), (why, Some(5)));
                };
                send(ready(&mut server.exchange(5)));
                send(server.exchange(5).wait());
                send(server.exchange(5).wait_timeout(soon));
                send(server.exchange(5).wait_deadline(Instant::now()));
                send(server.exchange(5).now());
            }
            let error = server.finish_with(6).unwrap_err();
            assert_eq!((error.why(), error.into_unsent()), (why, Some(6)));
        }
    }
}

#[test]
fn after_the_end_a_write_says_the_same_for_ever_and_gives_back_the_rest() {
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        let (mut server, client) = simplex::<u8>();
        leave(client, why);
        for _ in 0..3 {
            let polled = ready(&mut server.send_all([1, 2, 3]));
            for result in [
                polled,
                server.send_all([1, 2, 3]).wait(),
                server.send_all([1, 2, 3]).wait_timeout(Duration::from_secs(1)),
                server.send_all([1, 2, 3]).wait_deadline(Instant::now()),
                server.send_all([1, 2, 3]).now(),
            ] {
                let error = result.unwrap_err();
                assert_eq!(error.why(), why);
                assert!(error.into_rest().eq([1, 2, 3]));
            }
            assert_eq!(server.send_all([]).wait().unwrap_err().why(), why);
        }
    }
}

#[test]
fn after_the_end_a_client_says_the_same_for_ever_and_gives_back_the_value() {
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        let (server, mut client) = duplex::<u8, u8>();
        leave(server, why);
        let soon = Duration::from_secs(1);
        for round in 0..3 {
            assert_eq!(client.end(), (round > 0).then_some(why));
            let send = |result: Result<u8, SendError<u8>>| {
                let error = result.unwrap_err();
                assert_eq!((error.why(), error.into_unsent()), (why, Some(5)));
            };
            send(ready(&mut client.exchange(5)));
            assert_eq!(client.end(), Some(why));
            send(client.exchange(5).wait());
            send(client.exchange(5).wait_timeout(soon));
            send(client.exchange(5).wait_deadline(Instant::now()));
            send(client.exchange(5).now());
            let recv = |result: Result<u8, RecvError>| assert_eq!(result.unwrap_err().why(), why);
            recv(ready(&mut client.owed()));
            recv(client.owed().wait());
            recv(client.owed().wait_timeout(soon));
            recv(client.owed().wait_deadline(Instant::now()));
            recv(client.owed().now());
        }
    }
}

#[test]
fn after_the_end_iterators_and_streams_stay_ended() {
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        let (server, mut client) = simplex::<u8>();
        leave(server, why);
        for _ in 0..3 {
            assert_eq!(client.recv().wait().unwrap_err().why(), why);
            assert_eq!(client.iter().next(), None);
            let mut stream = client.stream();
            assert_eq!(ready(&mut stream.next()), None);
            assert_eq!(ready(&mut stream.next()), None);
            assert_eq!(stream.end(), Some(why));
        }
        let mut stream = client.into_stream();
        assert_eq!(ready(&mut stream.next()), None);
        assert_eq!(stream.end(), Some(why));
    }
}
