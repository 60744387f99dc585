//! Wakers: who is woken, when, how often; and wakers that change, re-enter the channel, or panic.

#![allow(clippy::type_complexity)]

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::*;
use futures_core::Stream as _;
use handover::{Client, IntoStream, Server, Why, duplex, simplex};

/// Polls once with the bell's waker: it must be pending.
#[track_caller]
fn pend_with<F: Future + Unpin>(future: &mut F, waker: &Waker) {
    assert!(poll_with(future, waker).is_pending(), "done, but should wait");
}

fn next_with<T>(stream: &mut IntoStream<T>, waker: &Waker) -> Poll<Option<T>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(waker))
}

// ---- who is woken, and how often ----

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

/// Every kind of wait of a server, for a peer that then moves or leaves. The client is given back.
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

/// Every kind of wait of a client.
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
        let mut answer = client.answer();
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
            // Kept: what it left stands.
            mem::forget(ask);
            mem::forget(client);
        }),
        ("closes", Client::close),
        ("is dropped", drop),
        ("panics", |client| {
            assert!(panics(move || {
                let _client = client;
                quiet_panic();
            }));
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
            assert!(panics(move || {
                let _server = server;
                quiet_panic();
            }));
        }),
    ]
}

#[test]
fn a_waiting_server_is_woken_by_whatever_its_client_does() {
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
fn a_waiting_client_is_woken_by_whatever_its_server_does() {
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
fn an_item_on_offer_hears_of_the_clients_end() {
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
    pend_with(&mut client.answer(), &waker);
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

#[test]
fn a_thread_that_timed_out_has_withdrawn_its_waker() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    let soon = Duration::from_millis(1);
    assert!(server.demand().wait_timeout(soon).is_err());
    assert!(!peer_waits(&client));
    assert!(server.exchange(1).wait_timeout(soon).is_err());
    assert!(!peer_waits(&client));
    assert!(client.exchange(1).wait_timeout(soon).is_err());
    assert!(!peer_waits(&server));
    let (server, mut client) = simplex::<u8>();
    assert!(client.recv().wait_timeout(soon).is_err());
    assert!(!peer_waits(&server));
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

// ---- another waker in the middle ----

#[test]
fn the_newest_waker_is_woken_at_every_step() {
    let _watchdog = Watchdog::new();
    let bells: Vec<_> = (0..3).map(|_| Bell::new()).collect();
    let only = |n: usize| {
        for (i, (bell, _)) in bells.iter().enumerate() {
            assert_eq!(bell.rings(), usize::from(i == n), "bell {i}, newest {n}");
        }
    };
    // Forward, back, and the same one again: the peer may or may not have heard of the one before.
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
    // An item on offer, and a put that already has a waker.
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

#[test]
fn a_thread_takes_over_from_a_task_in_the_middle() {
    let _watchdog = Watchdog::new();
    let (bell, waker) = Bell::new();
    let (server, mut client) = duplex::<u8, u8>();
    let mut ask = client.exchange(1);
    pend_with(&mut ask, &waker);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut server = server;
            // Opens, and drops the demand: from then on no flag but the thread's own can be set again.
            assert_eq!(server.demand().wait(), Ok(1));
            let error = server.exchange(2).now().unwrap_err();
            bell.rings();
            if error.unsent().is_some() {
                until(|| peer_waits(&server));
                server.finish_with(3).unwrap();
                assert_eq!(bell.rings(), 0);
            }
        });
        assert!(matches!(ask.wait(), Ok(2 | 3)));
    });
}

// ---- a waker that re-enters ----

#[test]
fn a_waker_may_receive_while_the_item_is_being_put() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, client) = simplex();
    let hook = Hook::new();
    let stream = Arc::new(Mutex::new(client.into_stream()));
    let got = Arc::new(Mutex::new(Vec::new()));
    assert!(next_with(&mut stream.lock().unwrap(), &hook.waker()).is_pending());
    {
        let (stream, got, hook2) = (Arc::clone(&stream), Arc::clone(&got), Arc::clone(&hook));
        hook.set(Moment::Wake, move || {
            // Takes the item, and asks for the next, before `send` has been polled to its end.
            let mut stream = stream.lock().unwrap();
            while let Poll::Ready(Some(item)) = next_with(&mut stream, &hook2.waker()) {
                got.lock().unwrap().push(item);
            }
        });
    }
    let (bell, waker) = Bell::new();
    let mut send = server.send(census.make());
    match poll_with(&mut send, &waker) {
        Poll::Ready(sent) => assert!(sent.is_ok()),
        Poll::Pending => {
            assert_eq!(bell.rings(), 1);
            assert!(ready(&mut send).is_ok());
        }
    }
    drop(send);
    assert_eq!(*got.lock().unwrap(), [0]);
    drop(server);
    got.lock().unwrap().clear();
    census.assert_settled();
}

#[test]
fn a_waker_may_drop_its_end() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let hook = Hook::new();
    // The client's, while an item is put.
    let (mut server, client) = simplex();
    let client = Arc::new(Mutex::new(Some(client.into_stream())));
    _ = next_with(client.lock().unwrap().as_mut().unwrap(), &hook.waker());
    hook.set(Moment::Wake, {
        let client = Arc::clone(&client);
        move || drop(client.lock().unwrap().take())
    });
    let mut send = server.send(census.make());
    let error = match poll_once(&mut send) {
        Poll::Ready(sent) => sent.unwrap_err(),
        Poll::Pending => ready(&mut send).unwrap_err(),
    };
    assert_eq!((error.why(), error.into_unsent().unwrap().id), (Why::Dropped, 0));
    drop(send);

    // The server's, while a demand is put.
    let (mut server, mut client) = duplex::<(), Counted>();
    let mut demand = server.demand();
    pend_with(&mut demand, &hook.waker());
    mem::forget(demand);
    let server = Mutex::new(Some(server));
    hook.set(Moment::Wake, move || drop(server.lock().unwrap().take()));
    let mut ask = client.exchange(census.make());
    let error = match poll_once(&mut ask) {
        Poll::Ready(asked) => asked.unwrap_err(),
        Poll::Pending => ready(&mut ask).unwrap_err(),
    };
    assert_eq!((error.why(), error.into_unsent().unwrap().id), (Why::Dropped, 1));
    drop(ask);
    census.assert_settled();
}

/// A task that whoever wakes it polls at once, within `wake`.
struct Inline {
    task: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    wakes: AtomicUsize,
}

impl Inline {
    fn run(task: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let inline =
            Arc::new(Self { task: Mutex::new(Some(Box::pin(task))), wakes: AtomicUsize::new(0) });
        Arc::clone(&inline).wake();
        inline
    }

    fn is_done(&self) -> bool {
        self.task.lock().unwrap().is_none()
    }
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        // Who finds it running leaves it one more round.
        if self.wakes.fetch_add(1, SeqCst) > 0 {
            return;
        }
        let waker = Waker::from(Arc::clone(&self));
        loop {
            let seen = self.wakes.load(SeqCst);
            let mut task = self.task.lock().unwrap();
            if let Some(future) = &mut *task
                && future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
            {
                *task = None;
            }
            drop(task);
            if self.wakes.fetch_sub(seen, SeqCst) == seen {
                return;
            }
        }
    }
}

#[test]
fn two_tasks_that_run_inside_each_others_wakes_hand_over_all() {
    let _watchdog = Watchdog::new();
    for server_first in [true, false] {
        let (mut server, mut client) = duplex::<u32, u32>();
        let produce = async move {
            let mut n = server.demand().await.unwrap();
            while let Ok(next) = server.exchange(n + 1).await {
                n = next;
            }
        };
        let consume = async move {
            let mut n = 0;
            while n < 500 {
                n = client.exchange(n).await.unwrap();
            }
            client.close();
        };
        let (a, b);
        if server_first {
            a = Inline::run(produce);
            b = Inline::run(consume);
        } else {
            b = Inline::run(consume);
            a = Inline::run(produce);
        }
        assert!(a.is_done() && b.is_done());
    }
}

#[test]
fn a_waker_may_use_the_other_end_while_it_is_cloned_or_dropped() {
    let _watchdog = Watchdog::new();
    for moment in [Moment::Clone, Moment::Drop] {
        let hook = Hook::new();
        let (server, mut client) = simplex();
        let server = Arc::new(Mutex::new(Some(server)));
        let finish = {
            let server = Arc::clone(&server);
            move || {
                let server = server.lock().unwrap().take().expect("called once");
                server.finish_with(1).unwrap();
            }
        };
        let mut recv = client.recv();
        if moment == Moment::Drop {
            // Dropped when another one comes in its place.
            pend_with(&mut recv, &hook.waker());
        }
        hook.set(moment, finish);
        let waker = if moment == Moment::Clone { hook.waker() } else { Waker::noop().clone() };
        let polled = poll_with(&mut recv, &waker);
        assert!(!hook.is_set(moment));
        let item = match polled {
            Poll::Ready(item) => item,
            Poll::Pending => ready(&mut recv),
        };
        assert_eq!(item, Ok(1));
    }
}

#[test]
fn a_waker_may_use_its_end_while_the_peer_drops_an_old_copy() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (newer, newer_waker) = Bell::new();
    let (newest, newest_waker) = Bell::new();
    let (mut server, client) = simplex();
    let stream = Arc::new(Mutex::new(client.into_stream()));
    let next = |waker: &Waker| next_with(&mut stream.lock().unwrap(), waker);
    // The server hears of the first waker, and then drops it for the second.
    assert!(next_with(&mut stream.lock().unwrap(), &hook.waker()).is_pending());
    assert!(server.send(0).now().is_err());
    assert!(next(&newer_waker).is_pending());
    hook.set(Moment::Drop, {
        let stream = Arc::clone(&stream);
        move || {
            let mut stream = stream.lock().unwrap();
            assert_eq!(next_with(&mut stream, &newest_waker), Poll::Ready(Some(1)));
            assert!(next_with(&mut stream, &newest_waker).is_pending());
        }
    });
    let mut send = server.send(1);
    _ = poll_once(&mut send).map(Result::unwrap);
    assert!(!hook.is_set(Moment::Drop));
    drop(send);
    newer.rings();
    let mut send = server.send(2);
    pend(&mut send);
    assert_eq!((newer.rings(), newest.rings()), (0, 1));
    assert_eq!(next(&newer_waker), Poll::Ready(Some(2)));
}

#[test]
fn a_put_survives_a_waker_whose_clone_ends_the_channel() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    // The server's waker is cloned after it has looked, and before it has put.
    let (mut server, client) = simplex();
    let hook = Hook::new();
    let client = Arc::new(Mutex::new(Some(client)));
    pend(&mut client.lock().unwrap().as_mut().unwrap().recv());
    server.demand().now().unwrap();
    hook.set(Moment::Clone, {
        let client = Arc::clone(&client);
        move || drop(client.lock().unwrap().take())
    });
    let mut send = server.send(census.make());
    let error = match poll_with(&mut send, &hook.waker()) {
        Poll::Ready(sent) => sent.unwrap_err(),
        Poll::Pending => ready(&mut send).unwrap_err(),
    };
    assert_eq!(error.into_unsent().unwrap().id, 0);
    drop(send);

    let (server, mut client) = duplex::<(), Counted>();
    hook.set(Moment::Clone, move || drop(server));
    let mut ask = client.exchange(census.make());
    let error = match poll_with(&mut ask, &hook.waker()) {
        Poll::Ready(asked) => asked.unwrap_err(),
        Poll::Pending => ready(&mut ask).unwrap_err(),
    };
    assert_eq!(error.into_unsent().unwrap().id, 1);
    drop(ask);
    census.assert_settled();
}

// ---- a waker that panics ----

#[test]
fn a_waker_that_panics_loses_no_item_that_is_put() {
    let _watchdog = Watchdog::new();
    for keep in [false, true] {
        let census = Census::new();
        let hook = Hook::new();
        let (mut server, mut client) = simplex();
        let mut recv = client.recv();
        pend_with(&mut recv, &hook.waker());
        hook.set_panic(Moment::Wake);
        let mut send = server.send(census.make());
        assert!(panics(|| poll_once(&mut send)));
        census.assert_alive(1);
        if keep {
            assert_eq!(ready(&mut recv).unwrap().id, 0);
            drop(recv);
            pend(&mut client.recv());
            assert!(ready(&mut send).is_ok());
        } else {
            assert_eq!(send.reclaim().unwrap().id, 0);
            pend(&mut recv);
            server.finish_with(census.make()).unwrap();
            assert_eq!(ready(&mut recv).unwrap().id, 1);
        }
        census.assert_settled();
    }
}

#[test]
fn a_waker_that_panics_loses_no_item_of_a_thread() {
    let _watchdog = Watchdog::new();
    for forever in [false, true] {
        let census = Census::new();
        let hook = Hook::new();
        let (mut server, mut client) = simplex();
        let mut recv = client.recv();
        pend_with(&mut recv, &hook.waker());
        hook.set_panic(Moment::Wake);
        let item = census.make();
        assert!(panics(|| {
            let send = server.send(item);
            if forever { send.wait() } else { send.wait_timeout(Duration::from_secs(60)) }
        }));
        // It stands, or it was dropped with the operation; never both.
        let stands = match poll_once(&mut recv) {
            Poll::Ready(item) => item.unwrap() == 0,
            Poll::Pending => false,
        };
        drop(recv);
        census.assert_alive(0);
        if stands {
            assert!(client.recv().now().unwrap_err().is_not_ready());
        }
        server.finish_with(census.make()).unwrap();
        assert_eq!(client.recv().now().unwrap().id, 1);
        assert_eq!(client.recv().now().unwrap_err().why(), Why::Closed);
        census.assert_settled();
    }
}

#[test]
fn a_waker_that_panics_loses_no_demand() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let hook = Hook::new();
    let (mut server, mut client) = duplex::<u8, Counted>();
    let mut demand = server.demand();
    pend_with(&mut demand, &hook.waker());
    hook.set_panic(Moment::Wake);
    let mut ask = client.exchange(census.make());
    assert!(panics(|| poll_once(&mut ask)));
    census.assert_alive(1);
    assert_eq!(ready(&mut demand).unwrap().id, 0);
    drop(demand);
    let mut exchange = server.exchange(1);
    pend(&mut exchange);
    assert_eq!(ready(&mut ask).unwrap(), 1);
    drop((ask, exchange));
    census.assert_settled();

    let (mut server, mut client) = simplex::<u8>();
    let mut send = server.send(1);
    pend_with(&mut send, &hook.waker());
    hook.set_panic(Moment::Wake);
    let mut recv = client.recv();
    assert!(panics(|| poll_once(&mut recv)));
    pend(&mut recv);
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok(1));
}

#[test]
fn a_waker_that_panics_does_not_keep_an_end_from_leaving() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    pend_with(&mut recv, &hook.waker());
    hook.set_panic(Moment::Wake);
    assert!(panics(|| drop(server)));
    assert_eq!(ready(&mut recv).unwrap_err().why(), Why::Dropped);

    let (server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    pend_with(&mut recv, &hook.waker());
    hook.set_panic(Moment::Wake);
    assert!(panics(|| server.finish()));
    assert_eq!(ready(&mut recv).unwrap_err().why(), Why::Closed);

    let (server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    pend_with(&mut recv, &hook.waker());
    hook.set_panic(Moment::Wake);
    assert!(panics(|| server.finish_with(1)));
    assert_eq!(ready(&mut recv), Ok(1));
    drop(recv);
    assert!(client.recv().now().unwrap_err().is_end());

    let (mut server, client) = simplex::<u8>();
    let mut send = server.send(1);
    pend_with(&mut send, &hook.waker());
    hook.set_panic(Moment::Wake);
    assert!(panics(|| client.close()));
    let error = ready(&mut send).unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(1)));
}

/// Polls with a waker whose clone panics, which must change nothing.
#[track_caller]
fn clone_panics<F: Future + Unpin>(future: &mut F) {
    let hook = Hook::new();
    hook.set_panic(Moment::Clone);
    let waker = hook.waker();
    assert!(panics(|| poll_with(future, &waker)), "the waker was not cloned");
}

#[test]
fn a_waker_whose_clone_panics_changes_nothing_for_a_demand() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    let mut demand = server.demand();
    clone_panics(&mut demand);
    let (bell, waker) = Bell::new();
    pend_with(&mut demand, &waker);
    let mut ask = client.exchange(1);
    pend(&mut ask);
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut demand), Ok(1));
}

#[test]
fn a_waker_whose_clone_panics_changes_nothing_for_an_exchange() {
    let _watchdog = Watchdog::new();
    for reclaim in [false, true] {
        let (mut server, mut client) = simplex();
        let mut recv = client.recv();
        pend(&mut recv);
        server.demand().now().unwrap();
        let mut send = server.send(1);
        clone_panics(&mut send);
        pend(&mut recv);
        if reclaim {
            assert_eq!(send.reclaim(), Some(1));
        } else {
            pend(&mut send);
            assert_eq!(ready(&mut recv), Ok(1));
        }
    }
}

#[test]
fn a_waker_whose_clone_panics_changes_nothing_for_a_write() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    let mut recv = client.recv();
    let mut write = server.send_all([1, 2]);
    clone_panics(&mut write);
    pend(&mut recv);
    clone_panics(&mut write);
    pend(&mut write);
    assert_eq!(ready(&mut recv), Ok(1));
}

#[test]
fn a_waker_whose_clone_panics_changes_nothing_for_an_ask() {
    let _watchdog = Watchdog::new();
    for reclaim in [false, true] {
        let (mut server, mut client) = duplex::<u8, u8>();
        let mut ask = client.exchange(1);
        clone_panics(&mut ask);
        assert!(server.demand().now().unwrap_err().is_not_ready());
        if reclaim {
            assert_eq!(ask.reclaim(), Some(1));
        } else {
            pend(&mut ask);
            assert_eq!(server.demand().now(), Ok(1));
        }
    }
}

#[test]
fn a_waker_whose_clone_panics_changes_nothing_for_a_receive() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    clone_panics(&mut recv);
    pend(&mut recv);
    assert_eq!(server.demand().now(), Ok(()));
    clone_panics(&mut recv);
    server.finish_with(1).unwrap();
    assert_eq!(ready(&mut recv), Ok(1));
}

#[test]
fn a_waker_whose_drop_panics_keeps_no_step_from_waking_the_newer_one() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (bell, waker) = Bell::new();
    let (mut server, mut client) = simplex();
    let mut recv = client.recv();
    pend_with(&mut recv, &hook.waker());
    // The server hears of the first waker, then of the second, and drops the first then.
    pend(&mut server.send(0));
    pend_with(&mut recv, &waker);
    hook.set_panic(Moment::Drop);
    let mut send = server.send(1);
    assert!(panics(|| poll_once(&mut send)), "the old waker was not dropped");
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut recv), Ok(1));
}

#[test]
fn a_waker_whose_drop_panics_keeps_no_end_from_waking_its_peer() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (bell, waker) = Bell::new();
    let (mut server, mut client) = simplex::<u8>();
    pend_with(&mut server.demand(), &hook.waker());
    let mut recv = client.recv();
    pend_with(&mut recv, &waker);
    // The server drops its own waker when it leaves.
    hook.set_panic(Moment::Drop);
    assert!(panics(|| drop(server)), "its waker was not dropped");
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut recv).unwrap_err().why(), Why::Dropped);
}

#[test]
fn a_waker_whose_drop_panics_changes_nothing_for_its_own_end() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (bell, waker) = Bell::new();
    let (mut server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    pend_with(&mut recv, &hook.waker());
    hook.set_panic(Moment::Drop);
    assert!(panics(|| poll_with(&mut recv, &waker)), "the old waker was not dropped");
    pend_with(&mut recv, &waker);
    pend(&mut server.send(0));
    assert_eq!(bell.rings(), 1);
}

// ---- threads ----

#[test]
fn a_future_that_is_kept_and_never_polled_stops_nobody() {
    let _watchdog = Watchdog::new();
    // A kept receive: the server gives up in time, gets its item back, and finishes.
    let (mut server, mut client) = simplex();
    let mut kept = client.recv();
    pend(&mut kept);
    let error = server.send(1).wait_timeout(Duration::from_millis(1)).unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, Some(1)));
    assert!(!server.is_closed());
    server.finish_with(2).unwrap();
    assert_eq!(ready(&mut kept), Ok(2));

    // A kept send: the client gets the item, gives up on the next, and goes.
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
fn what_is_done_when_the_time_is_up_beats_the_clock_although_nobody_was_woken() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (mut server, mut client) = simplex();
    let mut recv = client.recv();
    pend_with(&mut recv, &hook.waker());
    assert!(server.send(0).now().is_err());
    let (over, is_over) = std::sync::mpsc::channel();
    let got = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let got = recv.wait_timeout(Duration::from_millis(300));
            over.send(()).unwrap();
            got
        });
        until(|| peer_waits(&server));
        // Between the put and the wake the server drops the old waker: there it stays until the receive has ended.
        hook.set(Moment::Drop, move || _ = is_over.recv());
        pend(&mut server.send(1));
        waiting.join().unwrap()
    });
    assert_eq!(got, Ok(1));
}

/// Runs `wait` on a thread and `go` here: once it waits, or before it has begun.
fn met<E: Send, P: Send + std::fmt::Debug, R: Send>(
    waiter: E,
    peer: P,
    wait: impl FnOnce(E) -> R + Send,
    go: impl FnOnce(P),
    before: bool,
) -> R {
    thread::scope(|scope| {
        if before {
            go(peer);
            return scope.spawn(|| wait(waiter)).join().unwrap();
        }
        let waiting = scope.spawn(|| wait(waiter));
        until(|| peer_waits(&peer));
        go(peer);
        waiting.join().unwrap()
    })
}

#[test]
fn a_threads_every_wait_hears_of_the_peers_end_in_either_order() {
    let _watchdog = Watchdog::new();
    for before in [false, true] {
        let end = Why::Dropped;
        // Without a demand in hand.
        let waits: [fn(Server<u8>) -> (Why, Option<u8>); 5] = [
            |mut server| (server.demand().wait().unwrap_err().why(), Some(1)),
            |mut server| {
                let error = server.send(1).wait().unwrap_err();
                (error.why(), error.into_unsent())
            },
            |mut server| {
                let wait = Instant::now() + Duration::from_secs(3600);
                let error = server.send(1).wait_deadline(wait).unwrap_err();
                (error.why(), error.into_unsent())
            },
            |mut server| {
                let error = server.send_all([1]).wait().unwrap_err();
                (error.why(), error.into_rest().next())
            },
            |mut server| {
                let error = pollster::block_on(server.send(1)).unwrap_err();
                (error.why(), error.into_unsent())
            },
        ];
        for wait in waits {
            let (server, client) = simplex();
            assert_eq!(met(server, client, wait, drop, before), (end, Some(1)));
        }
        // With an item on offer.
        for wait in &waits[1..] {
            let (mut server, mut client) = simplex();
            pend(&mut client.recv());
            assert_eq!(server.demand().now(), Ok(()));
            assert_eq!(met(server, client, wait, drop, before), (end, Some(1)));
        }
        // With an item that was taken.
        let (mut server, mut client) = simplex();
        pend(&mut client.recv());
        let mut send = server.send(1);
        pend(&mut send);
        assert_eq!(client.recv().now(), Ok(1));
        let error = met(send, client, |send| send.wait().unwrap_err(), drop, before);
        assert_eq!((error.why(), error.into_unsent()), (end, None));

        let waits: [fn(Client<u8, u8>) -> (Why, Option<u8>); 3] = [
            |mut client| {
                let error = client.exchange(1).wait().unwrap_err();
                (error.why(), error.into_unsent())
            },
            |mut client| {
                let error = client.exchange(1).wait_timeout(Duration::from_secs(3600)).unwrap_err();
                (error.why(), error.into_unsent())
            },
            |mut client| {
                let error = pollster::block_on(client.exchange(1)).unwrap_err();
                (error.why(), error.into_unsent())
            },
        ];
        for wait in waits {
            let (server, client) = duplex::<u8, u8>();
            assert_eq!(met(client, server, wait, drop, before), (end, Some(1)));
        }
        // A demand that was taken, and an answer that is owed.
        let taken = |mut server: Server<u8, u8>| {
            assert_eq!(server.demand().wait(), Ok(1));
            drop(server);
        };
        for owed in [false, true] {
            let (server, mut client) = duplex::<u8, u8>();
            let mut ask = client.exchange(1);
            pend(&mut ask);
            if owed {
                mem::forget(ask);
                let answer = client.answer();
                let error = met(answer, server, |a| a.wait().unwrap_err(), taken, before);
                assert_eq!(error.why(), end);
            } else {
                let error = met(ask, server, |ask| ask.wait().unwrap_err(), taken, before);
                assert_eq!((error.why(), error.into_unsent()), (end, None));
            }
        }
        let waits: [fn(Client<u8>) -> Option<Why>; 4] = [
            |mut client| client.recv().wait().err().map(|error| error.why()),
            |mut client| {
                client.recv().wait_timeout(Duration::from_secs(3600)).err().map(|error| error.why())
            },
            |client| {
                let mut items = client.into_iter();
                assert_eq!(items.next(), None);
                items.end()
            },
            |mut client| pollster::block_on(client.recv()).err().map(|error| error.why()),
        ];
        for wait in waits {
            let (server, client) = simplex();
            assert_eq!(met(client, server, wait, drop, before), Some(end));
        }
    }
}

#[test]
fn a_parked_thread_is_woken_by_a_task_and_goes_on() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u32, u32>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut sum = 0;
            for n in 0..50 {
                sum += client.exchange(n).wait().unwrap();
            }
            assert_eq!(sum, (1..51).sum());
        });
        let mut n = pollster::block_on(server.demand()).unwrap();
        loop {
            // Each time the thread has parked first.
            until(|| peer_waits(&server));
            match pollster::block_on(server.exchange(n + 1)) {
                Ok(next) => n = next,
                Err(error) => break assert_eq!(error.why(), Why::Dropped),
            }
        }
    });
}

#[test]
fn a_wait_inside_a_wait_on_one_thread_uses_up_no_wake_up() {
    let _watchdog = Watchdog::new();
    let (mut outer, mut outer_client) = simplex();
    let (mut inner, inner_client) = simplex();
    thread::scope(|scope| {
        // The iterator of the outer write waits for the inner channel, while the outer wait is under way.
        scope.spawn(move || {
            outer.send_all(inner_client).wait().unwrap();
            outer.finish();
        });
        for n in 0..50 {
            // Each of the two waits is parked before it is given what it waits for.
            until(|| peer_waits(&outer_client));
            let mut recv = outer_client.recv();
            pend(&mut recv);
            until(|| peer_waits(&inner));
            _ = inner.demand().now();
            let mut send = inner.send(n);
            pend(&mut send);
            assert_eq!(recv.wait(), Ok(n));
            mem::forget(send);
        }
        until(|| peer_waits(&outer_client));
        pend(&mut outer_client.recv());
        until(|| peer_waits(&inner));
        inner.finish();
        assert_eq!(outer_client.recv().wait().unwrap_err().why(), Why::Closed);
    });
}
