//! Which wakers are woken, when, how often; and wakers that change in the middle.

#![allow(clippy::type_complexity)]

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::support::*;
use futures_core::Stream as _;
use handover::{Client, Server, Why, duplex, simplex};

// ---- which, and how often

#[test]
fn each_step_of_the_peer_wakes_once() {
    let _watchdog = Watchdog::new();
    let (s_bell, s) = Bell::new();
    let (c_bell, c) = Bell::new();
    let (mut server, mut client) = simplex();
    let mut write = server.send_all(0..5);
    pend_with(&mut write, &s);
    for n in 0..5 {
        let mut recv = client.recv();
        pend_with(&mut recv, &c);
        assert_eq!((s_bell.rings(), c_bell.rings()), (1, 0), "the demand wakes the server");
        pend_with(&mut write, &s);
        assert_eq!((s_bell.rings(), c_bell.rings()), (0, 1), "the item wakes the client");
        assert!(matches!(poll_with(&mut recv, &c), Poll::Ready(Ok(item)) if item == n));
        assert_eq!((s_bell.rings(), c_bell.rings()), (0, 0), "a take wakes nobody");
    }
    client.close();
    assert_eq!((s_bell.rings(), c_bell.rings()), (1, 0), "the end wakes the server");
    assert_eq!(ready(&mut write).unwrap_err().why(), Why::Closed);
}

#[test]
fn polling_again_without_news_wakes_nobody_and_stays_pending() {
    let _watchdog = Watchdog::new();
    let (s_bell, s) = Bell::new();
    let (c_bell, c) = Bell::new();
    let (mut server, mut client) = duplex();
    let mut demand = server.demand();
    let mut ask = client.exchange(1);
    for _ in 0..10 {
        pend_with(&mut demand, &s);
    }
    for _ in 0..10 {
        pend_with(&mut ask, &c);
    }
    assert_eq!((s_bell.rings(), c_bell.rings()), (1, 0));
    assert_eq!(ready(&mut demand), Ok(1));
    drop(demand);
    let mut exchange = server.exchange(2);
    for _ in 0..10 {
        pend_with(&mut exchange, &s);
    }
    assert_eq!((s_bell.rings(), c_bell.rings()), (0, 1));
    assert_eq!(ready(&mut ask).unwrap(), 2);
    for _ in 0..10 {
        pend_with(&mut exchange, &s);
    }
    assert_eq!((s_bell.rings(), c_bell.rings()), (0, 0));
}

/// Runs `test` for each kind of wait of a server. `test` says what the client does meanwhile.
fn each_wait_of_a_server(test: impl Fn(&str, &dyn Fn(&Waker, &dyn Fn(Client<u8, u8>)))) {
    test("a demand", &|waker, then| {
        let (mut server, client) = duplex::<u8, u8>();
        let mut demand = server.demand();
        pend_with(&mut demand, waker);
        then(client);
        assert!(poll_with(&mut demand, waker).is_ready());
    });
    test("an exchange that waits for a demand", &|waker, then| {
        let (mut server, client) = duplex::<u8, u8>();
        let mut exchange = server.exchange(1);
        pend_with(&mut exchange, waker);
        then(client);
        _ = poll_with(&mut exchange, waker);
    });
    test("an exchange whose item was taken", &|waker, then| {
        let (mut server, mut client) = duplex::<u8, u8>();
        let mut ask = client.exchange(0);
        pend(&mut ask);
        let mut exchange = server.exchange(1);
        pend_with(&mut exchange, waker);
        assert_eq!(ready(&mut ask).unwrap(), 1);
        drop(ask);
        then(client);
        assert!(poll_with(&mut exchange, waker).is_ready());
    });
}

/// Runs `test` for each kind of wait of a client. `test` says what the server does meanwhile.
fn each_wait_of_a_client(test: impl Fn(&str, &dyn Fn(&Waker, &dyn Fn(Server<u8, u8>)))) {
    test("an ask that was not taken", &|waker, then| {
        let (server, mut client) = duplex::<u8, u8>();
        let mut ask = client.exchange(1);
        pend_with(&mut ask, waker);
        then(server);
        assert!(poll_with(&mut ask, waker).is_ready());
    });
    test("an ask that was taken", &|waker, then| {
        let (mut server, mut client) = duplex::<u8, u8>();
        let mut ask = client.exchange(1);
        pend_with(&mut ask, waker);
        assert_eq!(server.demand().now(), Ok(1));
        then(server);
        assert!(poll_with(&mut ask, waker).is_ready());
    });
    test("an owed answer", &|waker, then| {
        let (mut server, mut client) = duplex::<u8, u8>();
        let mut ask = client.exchange(1);
        pend(&mut ask);
        assert_eq!(server.demand().now(), Ok(1));
        drop(ask);
        let mut answer = client.owed();
        pend_with(&mut answer, waker);
        then(server);
        assert!(poll_with(&mut answer, waker).is_ready());
    });
}

fn ways_of_a_client() -> [(&'static str, fn(Client<u8, u8>)); 4] {
    [
        ("asks", |mut client| {
            let mut ask = client.exchange(3);
            _ = poll_once(&mut ask);
            // The operation is kept, so that its demand stands.
            mem::forget(ask);
            mem::forget(client);
        }),
        ("closes", Client::close),
        ("is dropped", drop),
        ("panics", |client| {
            panic_holding(client);
        }),
    ]
}

fn ways_of_a_server() -> [(&'static str, fn(Server<u8, u8>)); 5] {
    [
        ("answers", |mut server| {
            let mut exchange = server.exchange(3);
            _ = poll_once(&mut exchange);
            mem::forget(exchange);
            mem::forget(server);
        }),
        ("finishes", Server::finish),
        ("finishes with an item", |server| server.finish_with(4).unwrap()),
        ("is dropped", drop),
        ("panics", |server| {
            panic_holding(server);
        }),
    ]
}

#[test]
fn a_waiting_server_is_woken_by_each_step_of_its_client() {
    let _watchdog = Watchdog::new();
    each_wait_of_a_server(|what, run| {
        for (way, act) in ways_of_a_client() {
            let (bell, waker) = Bell::new();
            run(&waker, &|client| {
                act(client);
                assert_eq!(bell.rings(), 1, "{what}, and the client {way}");
            });
        }
    });
}

#[test]
fn a_waiting_client_is_woken_by_each_step_of_its_server() {
    let _watchdog = Watchdog::new();
    each_wait_of_a_client(|what, run| {
        for (way, act) in ways_of_a_server() {
            let (bell, waker) = Bell::new();
            run(&waker, &|server| {
                act(server);
                assert!(bell.rings() >= 1, "{what}, and the server {way}");
            });
        }
    });
}

#[test]
fn a_send_whose_item_is_on_offer_is_told_of_the_clients_end() {
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped] {
        let (bell, waker) = Bell::new();
        let (mut server, mut client) = simplex();
        pend(&mut client.recv());
        let mut send = server.send(1);
        pend_with(&mut send, &waker);
        if why == Why::Closed {
            client.close()
        } else {
            drop(client)
        }
        assert_eq!(bell.rings(), 1);
        assert_eq!(ready(&mut send).unwrap_err().into_unsent(), Some(1));
    }
}

#[test]
fn nobody_is_woken_after_a_withdrawal() {
    let _watchdog = Watchdog::new();
    let (bell, waker) = Bell::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    // Each operation waits once, and is given up.
    pend_with(&mut server.demand(), &waker);
    pend_with(&mut server.exchange(1), &waker);
    let mut exchange = server.exchange(1);
    pend_with(&mut exchange, &waker);
    assert_eq!(exchange.reclaim(), Some(1));
    let mut ask = client.exchange(2);
    pend(&mut ask);
    assert_eq!(bell.rings(), 0, "by a demand");
    pend_with(&mut server.exchange(3), &waker); // on offer, withdrawn
    drop(ask);
    drop(client);
    assert_eq!(bell.rings(), 0, "by the client's end");

    let (mut server, mut client) = duplex::<u8, u8>();
    pend_with(&mut client.exchange(1), &waker);
    assert!(client.exchange(1).now().is_err());
    let mut ask = client.exchange(2);
    pend_with(&mut ask, &waker);
    assert_eq!(server.demand().now(), Ok(2));
    assert_eq!(ask.reclaim(), None);
    pend_with(&mut client.owed(), &waker);
    server.finish_with(1).unwrap();
    assert_eq!(bell.rings(), 0, "by the answer");

    let (mut server, mut client) = simplex::<u8>();
    pend_with(&mut client.recv(), &waker);
    {
        let mut stream = client.stream();
        assert!(Pin::new(&mut stream).poll_next(&mut Context::from_waker(&waker)).is_pending());
    }
    pend(&mut server.send(1));
    pend_with(&mut server.send_all([1]), &waker);
    drop(server);
    assert_eq!(bell.rings(), 0, "by the server's end");
    let (mut server, mut client) = simplex::<u8>();
    pend_with(&mut server.send_all([1]), &waker);
    pend(&mut client.recv());
    pend_with(&mut server.send_all([1]), &waker);
    drop(client);
    assert_eq!(bell.rings(), 0, "by the client's end");
}

// ---- another waker in the middle

#[test]
fn the_newest_waker_is_woken_at_every_step() {
    let _watchdog = Watchdog::new();
    let bells: Vec<_> = (0..3).map(|_| Bell::new()).collect();
    let only = |n: usize| {
        for (i, (bell, _)) in bells.iter().enumerate() {
            assert_eq!(bell.rings(), usize::from(i == n), "bell {i}, newest {n}");
        }
    };
    // Changes to another waker, back, and to the same one again: the peer may or may not have seen the waker before.
    let changes = [[0, 1], [1, 0], [0, 0], [2, 2], [1, 2], [2, 0], [0, 1], [1, 1]];
    let (mut server, mut client) = duplex();
    let mut value = 0;
    let mut ask = client.exchange(value);
    pend(&mut ask);
    assert_eq!(server.demand().now(), Ok(value));
    for [a, b] in changes {
        // The client waits with one, then with another; the answer wakes the other.
        pend_with(&mut ask, &bells[a].1);
        pend_with(&mut ask, &bells[b].1);
        let mut exchange = server.exchange(value * 2);
        pend(&mut exchange);
        only(b);
        assert_eq!(ready(&mut ask).unwrap(), value * 2);
        drop(ask);
        // The server waits likewise; the demand wakes the other.
        pend_with(&mut exchange, &bells[b].1);
        pend_with(&mut exchange, &bells[a].1);
        value += 1;
        ask = client.exchange(value);
        pend(&mut ask);
        only(a);
        assert_eq!(ready(&mut exchange).unwrap(), value);
    }
    // An item is on offer, and its waker has been seen.
    let mut exchange = server.exchange(0);
    pend_with(&mut exchange, &bells[0].1);
    pend_with(&mut exchange, &bells[1].1);
    drop(ask);
    drop(client);
    only(1);
}

#[test]
fn a_stream_polled_with_another_waker_goes_on() {
    let _watchdog = Watchdog::new();
    let (old, old_waker) = Bell::new();
    let (new, new_waker) = Bell::new();
    let (mut server, client) = simplex();
    let mut stream = client.into_stream();
    for n in 0..4 {
        assert!(next_with(&mut stream, &old_waker).is_pending());
        assert!(next_with(&mut stream, &new_waker).is_pending());
        let mut send = server.send(n);
        pend(&mut send);
        assert_eq!((old.rings(), new.rings()), (0, 1));
        assert_eq!(next_with(&mut stream, &old_waker), Poll::Ready(Some(n)));
    }
}
