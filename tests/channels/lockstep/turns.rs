//! Whose turn it is, and what an end is told of it.

use crate::support::*;
use handover::{Why, duplex, simplex};

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
    assert!(client.owed().now().is_err());
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
fn a_call_out_of_turn_says_so() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    // A plain demand may be waited for by `answer`, too; every other second request is out of turn.
    assert_eq!(client.owed().wait().unwrap_err().why(), Why::OutOfTurn);
    pend(&mut client.recv());
    let error = client.exchange(()).wait().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::OutOfTurn, Some(())));
    pend(&mut client.owed());
    assert_eq!(server.demand().wait(), Ok(()));
    for _ in 0..2 {
        assert_eq!(server.demand().wait().unwrap_err().why(), Why::OutOfTurn);
        assert_eq!(ready(&mut server.demand()).unwrap_err().why(), Why::OutOfTurn);
    }
    pend(&mut client.owed());
    server.finish_with(3).unwrap();
    assert_eq!(client.owed().wait(), Ok(3));
    assert_eq!(client.owed().wait().unwrap_err().why(), Why::Closed); // the end, not out of turn
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
    assert_eq!(client.owed().wait(), Ok(2));
    assert_eq!(client.owed().wait().unwrap_err().why(), Why::Closed);
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
    // An owed answer that never comes is the end, for each operation.
    let error = client.exchange(2).wait().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Dropped, Some(2)));
    assert_eq!(client.owed().wait().unwrap_err().why(), Why::Dropped);
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
