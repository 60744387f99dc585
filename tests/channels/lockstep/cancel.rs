//! Operations that are dropped or taken back: nothing is lost, and nothing comes twice.

use std::mem;

use crate::support::*;
use futures_core::FusedStream as _;
use futures_lite::StreamExt;
use handover::{Why, duplex, simplex};

// ---- dropped

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
        // The next item that is sent is the next one that is received.
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
    assert_eq!(ready(&mut client.owed()).unwrap_err().why(), Why::OutOfTurn);
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
            let mut answer = client.owed();
            pend(&mut answer);
            pend(&mut exchange);
            drop(answer);
        }
        assert_eq!(ready(&mut client.owed()).unwrap().id, 0);
        assert_eq!(ready(&mut client.owed()).unwrap_err().why(), Why::OutOfTurn);
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
    drop(client.owed());
    drop(server.demand());
    drop(server.exchange(census.make()));
    census.assert_settled();
    pend(&mut server.demand());
    assert_eq!(ready(&mut client.owed()).unwrap_err().why(), Why::OutOfTurn);

    let (mut server, mut client) = simplex::<Counted>();
    drop(client.recv());
    drop(client.stream());
    pend(&mut server.demand());
    drop(server.send_all([census.make()]));
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
fn the_last_item_of_a_finish_with_answers_each_kind_of_receive() {
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
    assert_eq!(left().owed().now(), Ok(1));
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

#[test]
fn a_send_given_up_before_the_take_gives_the_item_back() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    let mut send = server.send(census.make());
    pend(&mut send);
    assert_eq!(send.reclaim().unwrap().id, 0);
    // An item is dropped with its operation.
    pend(&mut server.send(census.make()));
    assert_eq!(census.gone(), 2);
    let mut send = server.send(census.make());
    pend(&mut send);
    assert_eq!(ready(&mut client.recv()).unwrap().id, 2);
    pend(&mut client.recv());
    assert!(ready(&mut send).is_ok());
    drop(send);
    census.assert_settled();
}

#[test]
fn a_send_given_up_after_the_take_was_delivered() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    let mut send = server.send(census.make());
    pend(&mut send);
    let first = ready(&mut client.recv()).unwrap();
    assert!(send.reclaim().is_none());
    let mut send = server.send(census.make());
    pend(&mut send);
    pend(&mut client.recv());
    pend(&mut send);
    let second = ready(&mut client.recv()).unwrap();
    assert_eq!((first.id, second.id), (0, 1));
    drop((first, second));
    drop(send);
    census.assert_settled();
}

// ---- taken back

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
