//! What a future may do that is kept and not polled, or forgotten.

#![allow(clippy::type_complexity)]

use std::mem;
use std::task::Poll;
use std::time::Duration;

use crate::support::*;
use handover::{Why, duplex, simplex};

#[test]
fn a_future_that_is_kept_and_never_polled_stops_nobody() {
    let _watchdog = Watchdog::new();
    // Beside a kept receive the server gives up in time, gets its item back, and finishes.
    let (mut server, mut client) = simplex();
    let mut kept = client.recv();
    pend(&mut kept);
    let error = server.send(1).wait_timeout(Duration::from_millis(1)).unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, Some(1)));
    assert!(!server.is_closed());
    server.finish_with(2).unwrap();
    assert_eq!(ready(&mut kept), Ok(2));

    // Beside a kept send the client gets the item, gives up waiting for the next one, and leaves.
    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    let mut kept = server.send(1);
    pend(&mut kept);
    assert_eq!(client.recv().wait(), Ok(1));
    assert!(client.recv().wait_timeout(Duration::from_millis(1)).unwrap_err().is_timed_out());
    client.close();
    assert_eq!(ready(&mut kept).unwrap_err().into_unsent(), None);
}

#[test]
fn a_stream_that_is_kept_stays_registered() {
    let _watchdog = Watchdog::new();
    let (bell, waker) = Bell::new();
    let (mut server, client) = simplex();
    let mut stream = client.into_stream();
    assert!(next_with(&mut stream, &waker).is_pending());
    let mut send = server.send(1);
    pend(&mut send);
    assert_eq!(bell.rings(), 1);
    assert_eq!(next_with(&mut stream, &waker), Poll::Ready(Some(1)));
    assert!(next_with(&mut stream, &waker).is_pending());
    ready(&mut send).unwrap();
    drop(send);
    server.finish();
    assert_eq!(bell.rings(), 1);
    assert_eq!(next_with(&mut stream, &waker), Poll::Ready(None));
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
            // Nobody can take the item back any more.
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
