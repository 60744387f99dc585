//! Operations that are given up, at every point, in every way: nothing is lost, and nothing comes twice.

use std::fmt;
use std::mem;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::*;
use futures_core::FusedStream as _;
use futures_lite::StreamExt as _;
use handover::{RecvError, SendError, Why, WriteError, duplex, simplex};

const SHORT: Duration = Duration::from_millis(1);

fn past() -> Instant {
    Instant::now()
}

// ---- polled once, completed by the other side, dropped ----

#[test]
fn a_dropped_demand_leaves_what_came_up_to_the_next() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = duplex::<(), Counted>();
    pend(&mut server.demand());
    let mut demand = server.demand();
    pend(&mut demand);
    let mut ask = client.exchange(census.make());
    pend(&mut ask);
    drop(demand);
    census.assert_alive(1);
    assert_eq!(ready(&mut server.demand()).unwrap().id, 0);
    pend(&mut ask);
    drop(ask);
    census.assert_settled();
}

#[test]
fn a_dropped_exchange_whose_item_is_on_offer_drops_the_item_and_leaves_the_demand_in_hand() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    let mut send = server.send(census.make());
    pend(&mut send);
    pend(&mut send);
    census.assert_alive(1);
    drop(send);
    census.assert_alive(0);
    assert!(client.recv().now().unwrap_err().is_not_ready());
    assert_eq!(ready(&mut server.demand()).unwrap_err().why(), Why::OutOfTurn);
    server.finish_with(census.make()).unwrap();
    assert_eq!(ready(&mut client.recv()).unwrap().id, 1);
    census.assert_settled();
}

#[test]
fn a_dropped_exchange_whose_item_was_taken_has_delivered_it() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = duplex();
    let mut ask = client.exchange('a');
    pend(&mut ask);
    assert_eq!(ready(&mut server.demand()), Ok('a'));
    let mut exchange = server.exchange(census.make());
    pend(&mut exchange);
    let item = ready(&mut ask).unwrap();
    drop(ask);
    drop(exchange);
    census.assert_alive(1);
    assert_eq!(item.id, 0);
    // The channel goes on as if the operation had been polled again.
    let mut ask = client.exchange('b');
    pend(&mut ask);
    assert_eq!(ready(&mut server.demand()), Ok('b'));
    pend(&mut server.exchange(census.make()));
    drop(item);
    census.assert_settled();
}

#[test]
fn a_dropped_exchange_leaves_the_next_demand_to_the_next_call() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = duplex();
    let mut ask = client.exchange(census.make());
    pend(&mut ask);
    drop(ready(&mut server.demand()));
    let mut exchange = server.exchange('x');
    pend(&mut exchange);
    assert_eq!(ready(&mut ask).unwrap(), 'x');
    drop(ask);
    let mut ask = client.exchange(census.make());
    pend(&mut ask);
    drop(exchange);
    assert_eq!(ready(&mut server.demand()).unwrap().id, 1);
    drop(ask);
    census.assert_settled();
}

#[test]
fn a_dropped_write_delivers_what_was_taken_and_drops_the_rest() {
    let _watchdog = Watchdog::new();
    for taken in [false, true] {
        let census = Census::new();
        let (mut server, mut client) = simplex();
        pend(&mut client.recv());
        let items: Vec<_> = (0..4).map(|_| census.make()).collect();
        let mut write = server.send_all(items);
        pend(&mut write);
        let got = taken.then(|| ready(&mut client.recv()).unwrap());
        drop(write);
        census.assert_alive(usize::from(taken));
        assert!(got.is_none_or(|item| item.id == 0));
        census.assert_settled();
        // What is sent next arrives next.
        pend(&mut client.recv());
        pend(&mut server.send(census.make()));
        let mut send = server.send(census.make());
        pend(&mut send);
        assert_eq!(ready(&mut client.recv()).unwrap().id, 5);
        drop(send);
        census.assert_settled();
    }
}

#[test]
fn a_dropped_ask_that_was_not_taken_is_withdrawn() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = duplex::<(), Counted>();
    let mut ask = client.exchange(census.make());
    pend(&mut ask);
    pend(&mut ask);
    census.assert_alive(1);
    drop(ask);
    census.assert_alive(0);
    pend(&mut server.demand());
    assert_eq!(ready(&mut client.answer()).unwrap_err().why(), Why::OutOfTurn);
    let mut ask = client.exchange(census.make());
    pend(&mut ask);
    assert_eq!(ready(&mut server.demand()).unwrap().id, 1);
    drop(ask);
    census.assert_settled();
}

#[test]
fn a_dropped_ask_that_was_taken_is_owed_an_answer() {
    let _watchdog = Watchdog::new();
    for answered in [false, true] {
        let census = Census::new();
        let (mut server, mut client) = duplex();
        let mut ask = client.exchange('a');
        pend(&mut ask);
        assert_eq!(ready(&mut server.demand()), Ok('a'));
        let mut exchange = server.exchange(census.make());
        if answered {
            pend(&mut exchange);
        }
        drop(ask);
        for _ in 0..2 {
            let error = ready(&mut client.exchange('b')).unwrap_err();
            assert_eq!((error.why(), error.into_unsent()), (Why::OutOfTurn, Some('b')));
            let error = client.exchange('b').wait().unwrap_err();
            assert_eq!((error.why(), error.into_unsent()), (Why::OutOfTurn, Some('b')));
        }
        if !answered {
            let mut answer = client.answer();
            pend(&mut answer);
            pend(&mut exchange);
            drop(answer);
        }
        assert_eq!(ready(&mut client.answer()).unwrap().id, 0);
        assert_eq!(ready(&mut client.answer()).unwrap_err().why(), Why::OutOfTurn);
        assert_eq!(client.end(), None);
        let mut ask = client.exchange('c');
        pend(&mut ask);
        assert_eq!(ready(&mut exchange).unwrap(), 'c');
        drop((ask, exchange));
        census.assert_settled();
    }
}

#[test]
fn a_dropped_receive_leaves_its_demand_and_the_item() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    let mut recv = client.recv();
    pend(&mut recv);
    let mut send = server.send(census.make());
    pend(&mut send);
    drop(recv);
    census.assert_alive(1);
    assert_eq!(ready(&mut client.recv()).unwrap().id, 0);
    pend(&mut client.recv());
    assert!(ready(&mut send).is_ok());
    drop(send);
    census.assert_settled();
}

#[test]
fn a_dropped_stream_leaves_its_demand_and_the_item() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = simplex();
    let mut stream = client.stream();
    pend(&mut stream.next());
    let mut send = server.send(census.make());
    pend(&mut send);
    drop(stream);
    let mut stream = client.stream();
    assert_eq!(ready(&mut stream.next()).unwrap().id, 0);
    assert!(!stream.is_terminated());
    drop(stream);
    pend(&mut client.stream().next());
    assert!(ready(&mut send).is_ok());
    drop(send);
    server.finish();
    let mut stream = client.into_stream();
    assert!(!stream.is_terminated());
    assert!(ready(&mut stream.next()).is_none());
    assert!(stream.is_terminated());
    census.assert_settled();
}

#[test]
fn an_operation_that_was_never_polled_does_nothing() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = duplex::<Counted, Counted>();
    drop(client.exchange(census.make()));
    drop(client.answer());
    drop(server.demand());
    drop(server.exchange(census.make()));
    census.assert_settled();
    pend(&mut server.demand());
    assert_eq!(ready(&mut client.answer()).unwrap_err().why(), Why::OutOfTurn);

    let (mut server, mut client) = simplex::<Counted>();
    drop(client.recv());
    drop(client.stream());
    pend(&mut server.demand());
    drop(server.send_all([census.make()]));
    census.assert_settled();
}

#[test]
fn a_forgotten_exchange_stays_on_offer_and_is_dropped_with_the_channel() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    for taken in [false, true] {
        let (mut server, mut client) = simplex();
        pend(&mut client.recv());
        let mut send = server.send(census.make());
        pend(&mut send);
        mem::forget(send);
        if taken {
            drop(ready(&mut client.recv()).unwrap());
        } else {
            // Its item is no longer anybody's to take back.
            let error = server.finish_with(census.make()).unwrap_err();
            assert_eq!(error.why(), Why::OutOfTurn);
            drop(error.into_unsent().unwrap());
            census.assert_alive(1);
        }
        drop(client);
    }
    census.assert_settled();
}

#[test]
fn a_forgotten_ask_is_answered_or_dropped_with_the_channel() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (server, mut client) = duplex::<(), Counted>();
    let mut ask = client.exchange(census.make());
    pend(&mut ask);
    mem::forget(ask);
    let error = ready(&mut client.exchange(census.make())).unwrap_err();
    assert_eq!((error.why(), error.into_unsent().unwrap().id), (Why::OutOfTurn, 1));
    drop(client);
    census.assert_alive(1);
    drop(server);
    census.assert_settled();
}

#[test]
fn a_demand_that_outlived_its_client_is_not_answered() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = simplex::<u8>();
    pend(&mut client.recv());
    client.close();
    assert_eq!(server.demand().now().unwrap_err().why(), Why::Closed);
    let error = server.send(1).now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(1)));
    let unmade = std::iter::from_fn(|| -> Option<u8> { panic!("nobody asked") });
    assert_eq!(server.send_all(unmade).now().unwrap_err().why(), Why::Closed);

    let (mut server, mut client) = duplex::<(), Counted>();
    let mut ask = client.exchange(census.make());
    pend(&mut ask);
    mem::forget(ask);
    drop(client);
    assert_eq!(server.demand().now().unwrap_err().why(), Why::Dropped);
    census.assert_alive(1);
    drop(server);
    census.assert_settled();
}

#[test]
fn a_finish_with_that_nobody_fetches_is_dropped_with_the_channel() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    for asked in [false, true] {
        let (server, mut client) = simplex();
        if asked {
            pend(&mut client.recv());
        }
        server.finish_with(census.make()).unwrap();
        census.assert_alive(1);
        drop(client);
        census.assert_settled();
    }
}

#[test]
fn what_a_finish_with_left_answers_each_kind_of_receive() {
    let _watchdog = Watchdog::new();
    let left = || {
        let (server, client) = duplex::<u8, u8>();
        server.finish_with(1).unwrap();
        client
    };
    let mut client = left();
    assert_eq!(ready(&mut client.exchange(9)).unwrap(), 1);
    assert_eq!(client.end(), None);
    let error = ready(&mut client.exchange(9)).unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(9)));
    assert_eq!(left().answer().now(), Ok(1));
    assert_eq!(left().exchange(9).now().unwrap(), 1);
    assert_eq!(left().exchange(9).wait_deadline(past()).unwrap(), 1);

    let (server, mut client) = simplex();
    pend(&mut client.recv());
    server.finish_with(1).unwrap();
    assert_eq!(client.iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn finish_with_drops_a_demand_that_was_not_looked_at() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (server, mut client) = duplex();
    let mut ask = client.exchange(census.make());
    pend(&mut ask);
    server.finish_with('x').unwrap();
    census.assert_settled();
    assert_eq!(ready(&mut ask).unwrap(), 'x');
    drop(ask);
    let error = client.exchange(census.make()).wait().unwrap_err();
    assert_eq!((error.why(), error.into_unsent().unwrap().id), (Why::Closed, 1));
}

// ---- reclaim ----

#[test]
fn reclaim_gives_an_item_back_until_it_is_taken() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    assert_eq!(server.exchange(1).reclaim(), Some(1)); // never polled
    let mut exchange = server.exchange(1); // no demand yet
    pend(&mut exchange);
    assert_eq!(exchange.reclaim(), Some(1));

    let mut ask = client.exchange(0);
    pend(&mut ask);
    let mut exchange = server.exchange(2); // on offer
    pend(&mut exchange);
    assert_eq!(exchange.reclaim(), Some(2));
    let mut exchange = server.exchange(3);
    pend(&mut exchange);
    assert_eq!(ready(&mut ask).unwrap(), 3);
    assert_eq!(exchange.reclaim(), None); // taken
    drop(ask);

    let mut ask = client.exchange(0);
    pend(&mut ask);
    let mut exchange = server.exchange(4); // its demand still waits to be looked at
    pend(&mut exchange);
    assert_eq!(ready(&mut ask).unwrap(), 4);
    drop(ask);
    let mut ask = client.exchange(7);
    pend(&mut ask);
    assert_eq!(ready(&mut exchange).unwrap(), 7);
    assert_eq!(exchange.reclaim(), None); // done
    drop(ask);
    drop(client);
    let mut exchange = server.exchange(5);
    assert_eq!(ready(&mut exchange).unwrap_err().into_unsent(), Some(5));
    assert_eq!(exchange.reclaim(), None); // the error had it
}

#[test]
fn reclaim_gives_a_demand_back_until_it_is_taken() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    assert_eq!(client.exchange(1).reclaim(), Some(1));
    let mut ask = client.exchange(2);
    pend(&mut ask);
    assert_eq!(ask.reclaim(), Some(2));
    pend(&mut server.demand());
    let mut ask = client.exchange(3);
    pend(&mut ask);
    assert_eq!(ready(&mut server.demand()), Ok(3));
    assert_eq!(ask.reclaim(), None);
    assert_eq!(client.exchange(4).reclaim(), Some(4)); // an answer is owed, but nobody asked
    drop(server);
    let mut ask = client.exchange(5);
    assert_eq!(ready(&mut ask).unwrap_err().into_unsent(), Some(5));
    assert_eq!(ask.reclaim(), None);
}

#[test]
fn reclaim_withdraws_what_the_end_of_the_peer_left_untaken() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    let mut ask = client.exchange(1);
    pend(&mut ask);
    drop(server.demand());
    drop(server);
    assert_eq!(ask.reclaim(), Some(1));

    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    let mut send = server.send(2);
    pend(&mut send);
    drop(client);
    assert_eq!(send.reclaim(), Some(2));
}

#[test]
fn an_operation_awaited_by_reference_is_reclaimed() {
    let _watchdog = Watchdog::new();
    pollster::block_on(async {
        let (mut server, mut client) = simplex();
        pend(&mut client.recv());
        let mut send = server.send(1);
        assert!(futures_lite::future::poll_once(&mut send).await.is_none());
        let raced = futures_lite::future::or(
            async { (&mut send).await.is_ok() },
            std::future::ready(false),
        );
        assert!(!raced.await);
        assert_eq!(send.reclaim(), Some(1));

        let mut send = server.send(2);
        let consume = async {
            assert_eq!(client.recv().await, Ok(2));
            pend(&mut client.recv());
        };
        let (sent, ()) = futures_lite::future::zip(&mut send, consume).await;
        sent.unwrap();
        assert_eq!(send.reclaim(), None);
    });
}

// ---- now, deadlines, timeouts ----

#[test]
fn now_tells_each_state_of_a_server() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    // Nobody asks.
    assert!(server.demand().now().unwrap_err().is_not_ready());
    let error = server.exchange(1).now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::NotReady, Some(1)));
    // A demand stands.
    let mut ask = client.exchange(7);
    pend(&mut ask);
    assert_eq!(server.demand().now(), Ok(7));
    // It is in hand.
    assert_eq!(server.demand().now().unwrap_err().why(), Why::OutOfTurn);
    let error = server.exchange(2).now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::NotReady, Some(2)));
    // The item is on offer: it comes back.
    let mut exchange = server.exchange(3);
    pend(&mut exchange);
    let error = exchange.now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::NotReady, Some(3)));
    // The item was taken, the next demand has not come.
    let mut exchange = server.exchange(4);
    pend(&mut exchange);
    assert_eq!(ready(&mut ask).unwrap(), 4);
    drop(ask);
    let error = exchange.now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::NotReady, None));
    // Taken, and the next demand has come.
    let mut ask = client.exchange(8);
    pend(&mut ask);
    assert_eq!(server.demand().now(), Ok(8));
    let mut exchange = server.exchange(5);
    pend(&mut exchange);
    assert_eq!(ready(&mut ask).unwrap(), 5);
    drop(ask);
    let mut ask = client.exchange(9);
    pend(&mut ask);
    assert_eq!(exchange.now().unwrap(), 9);
    drop(ask);
    // The end.
    client.close();
    assert_eq!(server.demand().now().unwrap_err().why(), Why::Closed);
    assert_eq!(server.exchange(6).now().unwrap_err().into_unsent(), Some(6));
}

#[test]
fn now_tells_each_state_of_a_client() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    assert_eq!(client.answer().now().unwrap_err().why(), Why::OutOfTurn);
    let error = client.exchange(1).now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::NotReady, Some(1)));
    pend(&mut server.demand());
    // Taken, not answered.
    let mut ask = client.exchange(2);
    pend(&mut ask);
    assert_eq!(server.demand().now(), Ok(2));
    let error = ask.now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::NotReady, None));
    assert!(client.answer().now().unwrap_err().is_not_ready());
    // Answered.
    pend(&mut server.exchange(3));
    assert!(client.answer().now().unwrap_err().is_not_ready()); // that one was withdrawn
    let mut exchange = server.exchange(4);
    pend(&mut exchange);
    assert_eq!(client.answer().now(), Ok(4));
    let mut ask = client.exchange(5);
    pend(&mut ask);
    assert_eq!(ready(&mut exchange).unwrap(), 5);
    drop(exchange);
    let mut exchange = server.exchange(6);
    pend(&mut exchange);
    assert_eq!(ask.now().unwrap(), 6);
    drop(exchange);
    server.finish();
    assert_eq!(client.exchange(7).now().unwrap_err().into_unsent(), Some(7));
    assert_eq!(client.answer().now().unwrap_err().why(), Why::Closed);
}

#[test]
fn now_is_never_done_for_a_send_to_a_waiting_task() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = simplex();
    let (bell, waker) = Bell::new();
    let mut recv = client.recv();
    assert!(poll_with(&mut recv, &waker).is_pending());
    let error = server.send(census.make()).now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent().unwrap().id), (Why::NotReady, 0));
    // It may have been woken for nothing; it waits again, and gets the next item.
    bell.rings();
    assert!(poll_with(&mut recv, &waker).is_pending());
    server.finish_with(census.make()).unwrap();
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut recv).unwrap().id, 1);
}

#[test]
fn a_receive_by_now_leaves_a_plain_demand_standing() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    assert!(client.recv().now().unwrap_err().is_not_ready());
    assert_eq!(server.demand().now(), Ok(()));
}

#[test]
fn what_is_done_beats_a_deadline_in_the_past() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    let mut ask = client.exchange(1);
    pend(&mut ask);
    assert_eq!(server.demand().wait_deadline(past()), Ok(1));
    let mut exchange = server.exchange(2);
    pend(&mut exchange);
    assert_eq!(ask.wait_deadline(past()).unwrap(), 2);
    let mut ask = client.exchange(3);
    pend(&mut ask);
    assert_eq!(exchange.wait_timeout(Duration::ZERO).unwrap(), 3);
    drop(ask);
    let mut exchange = server.exchange(4);
    pend(&mut exchange);
    assert_eq!(client.answer().wait_deadline(past()), Ok(4));
}

#[test]
fn every_operation_times_out_and_says_what_was_taken() {
    let _watchdog = Watchdog::new();
    let hour_ago =
        Instant::now().checked_sub(Duration::from_secs(3600)).unwrap_or_else(Instant::now);
    let times: [&dyn Fn() -> Instant; 3] =
        [&|| hour_ago, &|| Instant::now(), &|| Instant::now() + SHORT];
    for time in times {
        let (mut server, mut client) = duplex::<u8, u8>();
        assert!(server.demand().wait_deadline(time()).unwrap_err().is_timed_out());
        let error = server.exchange(1).wait_deadline(time()).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, Some(1)));
        let error = client.exchange(2).wait_deadline(time()).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, Some(2)));
        let mut ask = client.exchange(3);
        pend(&mut ask);
        assert_eq!(server.demand().now(), Ok(3));
        let error = ask.wait_deadline(time()).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, None));
        assert!(client.answer().wait_deadline(time()).unwrap_err().is_timed_out());
        let error = server.exchange(4).wait_deadline(time()).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, Some(4)));
        let mut exchange = server.exchange(5);
        pend(&mut exchange);
        assert_eq!(client.answer().wait(), Ok(5));
        let error = exchange.wait_deadline(time()).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, None));
        assert_eq!(client.end(), None);

        let (mut server, mut client) = simplex::<u8>();
        let error = server.send_all(0..3).wait_deadline(time()).unwrap_err();
        assert_eq!(error.why(), Why::TimedOut);
        assert!(error.into_rest().eq(0..3));
        assert!(client.recv().wait_deadline(time()).unwrap_err().is_timed_out());
        let mut write = server.send_all(0..3);
        pend(&mut write);
        assert_eq!(client.recv().wait(), Ok(0));
        assert!(client.recv().now().unwrap_err().is_not_ready());
        let error = write.wait_deadline(time()).unwrap_err();
        assert_eq!(error.why(), Why::TimedOut);
        assert!(error.into_rest().eq(1..3)); // 1 was on offer, and comes back first
    }
}

#[test]
fn a_timeout_is_not_over_before_its_time() {
    let _watchdog = Watchdog::new();
    let (_server, mut client) = simplex::<u8>();
    let start = Instant::now();
    assert!(client.recv().wait_timeout(Duration::from_millis(20)).unwrap_err().is_timed_out());
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_timeout_too_long_for_the_clock_is_none() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    thread::scope(|scope| {
        scope.spawn(move || {
            until(|| peer_waits(&client));
            assert_eq!(client.exchange(1).wait_timeout(Duration::MAX).unwrap(), 2);
            until(|| peer_waits(&client));
            client.close();
        });
        assert_eq!(server.demand().wait_timeout(Duration::MAX), Ok(1));
        let error = server.exchange(2).wait_timeout(Duration::MAX).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::Closed, None));
    });
}

// ---- what an end is told, and when ----

#[test]
fn end_is_told_only_once_a_call_has_told_it() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    assert_eq!(client.end(), None);
    pend(&mut client.recv());
    pend(&mut server.send(0));
    server.finish_with(1).unwrap();
    assert_eq!(client.end(), None);
    assert_eq!(client.recv().now(), Ok(1));
    assert_eq!(client.end(), None);
    assert_eq!(client.recv().now().unwrap_err().why(), Why::Closed);
    assert_eq!(client.end(), Some(Why::Closed));

    let (server, client) = simplex::<u8>();
    drop(server);
    assert_eq!(client.end(), None);
    let mut items = client.into_iter();
    assert_eq!(items.end(), None);
    assert_eq!(items.next(), None);
    assert_eq!(items.end(), Some(Why::Dropped));

    let (_server, mut client) = duplex::<(), ()>();
    assert!(client.answer().now().is_err());
    assert!(client.exchange(()).now().is_err());
    assert_eq!(client.end(), None); // neither was the end
}

#[test]
fn a_server_sees_that_its_client_is_gone_without_a_call() {
    let _watchdog = Watchdog::new();
    let (server, client) = simplex::<u8>();
    assert!(!server.is_closed());
    client.close();
    assert!(server.is_closed());
}

#[test]
fn out_of_turn_is_told_to_whoever_is() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    // A plain demand may be waited for by `answer`, too; nothing else asks twice.
    assert_eq!(client.answer().wait().unwrap_err().why(), Why::OutOfTurn);
    pend(&mut client.recv());
    let error = client.exchange(()).wait().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::OutOfTurn, Some(())));
    pend(&mut client.answer());
    assert_eq!(server.demand().wait(), Ok(()));
    for _ in 0..2 {
        assert_eq!(server.demand().wait().unwrap_err().why(), Why::OutOfTurn);
        assert_eq!(ready(&mut server.demand()).unwrap_err().why(), Why::OutOfTurn);
    }
    pend(&mut client.answer());
    server.finish_with(3).unwrap();
    assert_eq!(client.answer().wait(), Ok(3));
    assert_eq!(client.answer().wait().unwrap_err().why(), Why::Closed); // the end, not out of turn
}

#[test]
fn an_owed_answer_comes_before_the_end() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    let mut ask = client.exchange(1);
    pend(&mut ask);
    assert_eq!(server.demand().now(), Ok(1));
    drop(ask);
    server.finish_with(2).unwrap();
    let error = client.exchange(3).wait().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::OutOfTurn, Some(3)));
    assert_eq!(client.answer().wait(), Ok(2));
    assert_eq!(client.answer().wait().unwrap_err().why(), Why::Closed);
    assert_eq!(client.exchange(3).wait().unwrap_err().why(), Why::Closed);
}

#[test]
fn an_answer_that_never_comes_is_the_end() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    let mut ask = client.exchange(1);
    pend(&mut ask);
    assert_eq!(server.demand().now(), Ok(1));
    drop(ask);
    drop(server);
    // Owed, and never paid: the end is told to each.
    let error = client.exchange(2).wait().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Dropped, Some(2)));
    assert_eq!(client.answer().wait().unwrap_err().why(), Why::Dropped);
}

#[test]
fn an_exchange_opens_by_itself_and_drops_what_came_up_first() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = duplex();
    let mut ask = client.exchange(census.make());
    pend(&mut ask);
    let mut exchange = server.exchange('x');
    pend(&mut exchange);
    census.assert_alive(0);
    assert_eq!(ready(&mut ask).unwrap(), 'x');
    drop(ask);
    let mut ask = client.exchange(census.make());
    pend(&mut ask);
    assert_eq!(ready(&mut exchange).unwrap().id, 1);
    drop(ask);
    census.assert_settled();
}

#[test]
fn an_empty_write_waits_for_a_demand_and_leaves_it_in_hand() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    let mut write = server.send_all([]);
    pend(&mut write);
    pend(&mut client.recv());
    ready(&mut write).unwrap();
    drop(write);
    ready(&mut server.send_all([])).unwrap();
    assert_eq!(server.demand().now().unwrap_err().why(), Why::OutOfTurn);
    server.finish_with(1).unwrap();
    assert_eq!(client.recv().now(), Ok(1));
}

#[test]
fn a_write_in_which_the_iterator_panics_leaves_a_whole_end() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    let mut write = server.send_all((0..3).inspect(|&n| {
        if n == 1 {
            quiet_panic()
        }
    }));
    pend(&mut write);
    assert_eq!(client.recv().now(), Ok(0));
    pend(&mut client.recv());
    assert!(panics(|| poll_once(&mut write)));
    drop(write);
    assert_eq!(client.end(), None);
    server.finish_with(9).unwrap();
    assert_eq!(client.recv().now(), Ok(9));
}

// ---- polled again after it was done ----

#[test]
fn a_finished_operation_that_is_polled_again_panics_with_its_name() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    drop(server.demand());
    let mut ask = client.exchange(1);
    pend(&mut ask);

    let mut demand = server.demand();
    ready(&mut demand).unwrap();
    let text = panic_text(|| poll_once(&mut demand));
    assert!(text.contains("`Server::demand`"), "{text}");
    assert!(panic_text(|| demand.wait()).contains("`Server::demand`"));

    let mut exchange = server.exchange(2);
    pend(&mut exchange);
    ready(&mut ask).unwrap();
    assert!(panic_text(|| poll_once(&mut ask)).contains("`Client::exchange`"));
    assert!(panic_text(|| ask.now()).contains("`Client::exchange`"));
    let mut ask = client.exchange(3);
    pend(&mut ask);
    ready(&mut exchange).unwrap();
    assert!(panic_text(|| poll_once(&mut exchange)).contains("`Server::exchange or Server::send`"));
    assert!(
        panic_text(|| exchange.wait_timeout(SHORT)).contains("`Server::exchange or Server::send`")
    );
    drop(ask);

    let (mut server, mut client) = simplex::<u8>();
    pend(&mut client.recv());
    let mut write = server.send_all([]);
    ready(&mut write).unwrap();
    assert!(panic_text(|| poll_once(&mut write)).contains("`Server::send_all`"));
    assert!(panic_text(|| write.wait_deadline(past())).contains("`Server::send_all`"));
    server.finish();
    let mut recv = client.recv();
    ready(&mut recv).unwrap_err();
    assert!(panic_text(|| poll_once(&mut recv)).contains("`Client::recv or Client::answer`"));
    assert!(panic_text(|| recv.wait()).contains("`Client::recv or Client::answer`"));
    // None of that harmed the channel.
    assert_eq!(client.recv().wait().unwrap_err().why(), Why::Closed);
}

// ---- errors ----

/// Says nothing of itself.
struct Mute;

#[test]
fn errors_speak_without_their_values_doing_so() {
    fn texts<E: std::error::Error>(error: &E) -> (String, String) {
        (error.to_string(), format!("{error:?}"))
    }
    let _watchdog = Watchdog::new();
    let (mut server, client) = simplex::<Mute>();
    let late = server.send(Mute).wait_deadline(past()).unwrap_err();
    let early = server.demand().now().unwrap_err();
    drop(client);
    let gone = server.send_all([Mute]).now().unwrap_err();
    for (display, debug) in [texts(&late), texts(&early), texts(&gone)] {
        assert!(!display.is_empty() && !debug.is_empty());
    }
    assert!(late.to_string().contains("the time was up"), "{late}");
    assert!(format!("{late:?}").contains("TimedOut"), "{late:?}");
    assert!(early.to_string().contains("would have had to wait"), "{early}");
    assert!(format!("{gone:?}").contains("Dropped"), "{gone:?}");
    assert!(!format!("{:?}", gone.into_rest()).is_empty());

    // A value that came back is told from one that was taken.
    let (mut server, mut client) = simplex::<Mute>();
    pend(&mut client.recv());
    let mut send = server.send(Mute);
    pend(&mut send);
    drop(ready(&mut client.recv()));
    let taken = send.now().unwrap_err();
    assert!(taken.unsent().is_none() && late.unsent().is_some());
    let reason = |text: String| text.split(':').next().unwrap().to_owned();
    assert_ne!(reason(taken.to_string()), reason(late.to_string()));
    assert!(late.into_unsent().is_some());
}

#[test]
fn errors_answer_what_they_are() {
    fn check<E: Reason>(error: &E, why: Why) {
        assert_eq!(error.reason(), why);
        assert_eq!(
            error.is(),
            [why.is_end(), why == Why::TimedOut, why == Why::NotReady],
            "{error:?}"
        );
        assert!(error.to_string().contains(&why.to_string()), "{error}");
    }
    fn leave<T>(end: T, how: fn(T), why: Why) {
        if why == Why::Panicked {
            assert!(panics(move || {
                let _end = end;
                quiet_panic();
            }));
        } else if why == Why::Closed {
            how(end);
        }
    }
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        assert!(why.is_end());
        let (mut server, client) = simplex::<Mute>();
        leave(client, |client| client.close(), why);
        check::<RecvError>(&server.demand().now().unwrap_err(), why);
        check::<SendError<Mute>>(&server.send(Mute).now().unwrap_err(), why);
        check::<WriteError<_>>(&server.send_all([Mute]).now().unwrap_err(), why);
        let (server, mut client) = duplex::<Mute, Mute>();
        leave(server, |server| server.finish(), why);
        check(&client.exchange(Mute).now().map(drop).unwrap_err(), why);
        check(&client.answer().now().map(drop).unwrap_err(), why);
    }
    let (mut server, mut client) = duplex::<Mute, Mute>();
    check(&client.answer().now().map(drop).unwrap_err(), Why::OutOfTurn);
    check(&client.exchange(Mute).now().map(drop).unwrap_err(), Why::NotReady);
    check(&client.exchange(Mute).wait_deadline(past()).map(drop).unwrap_err(), Why::TimedOut);
    check(&server.demand().wait_deadline(past()).map(drop).unwrap_err(), Why::TimedOut);
    check(&server.demand().now().map(drop).unwrap_err(), Why::NotReady);
    for why in [Why::TimedOut, Why::NotReady, Why::OutOfTurn] {
        assert!(!why.is_end());
    }
}

#[test]
fn ends_and_operations_speak_without_their_values_doing_so() {
    fn speaks(it: &dyn fmt::Debug) {
        assert!(!format!("{it:?}").is_empty());
    }
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<Mute, Mute>();
    speaks(&server);
    speaks(&client);
    speaks(&server.demand());
    speaks(&server.exchange(Mute));
    speaks(&client.exchange(Mute));
    speaks(&client.answer());
    let (mut server, mut client) = simplex::<Mute>();
    speaks(&server.send_all([Mute]));
    speaks(&client.recv());
    speaks(&client.iter());
    speaks(&client.stream());
    speaks(&client.into_iter());
    assert!(server.is_closed());
}

// ---- given up at the same moment as it is completed ----

/// Gives up on about half of what it does, at random moments, while the other end does the same.
#[test]
fn stress_timeouts_race_delivery_one_way() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("stress_timeouts_race_delivery_one_way", Duration::from_secs(2));
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
fn stress_timeouts_race_delivery_both_ways() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("stress_timeouts_race_delivery_both_ways", Duration::from_secs(2));
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
                    // Without an answer: whether the value came back.
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
                            match client.answer().wait_timeout(wait) {
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
fn stress_ends_dropped_during_a_hand_over() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("stress_ends_dropped_during_a_hand_over", Duration::from_secs(2));
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
