//! Ends that go from thread to task and back, and what a parked thread hears.

#![allow(clippy::type_complexity)]

use std::mem;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::support::thread;
use crate::support::*;
use futures_lite::StreamExt;
use handover::{Client, Server, Why, duplex, simplex};

#[test]
fn an_end_changes_from_thread_to_task_between_two_operations() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..300 {
                match n % 3 {
                    0 => server.send(n).wait().unwrap(),
                    1 => pollster::block_on(server.send(n)).unwrap(),
                    _ => server.send(n).wait_timeout(Duration::MAX).unwrap(),
                }
            }
            server.finish();
        });
        for n in 0..300 {
            let item = match n % 4 {
                0 => pollster::block_on(client.recv()),
                1 => client.recv().wait(),
                2 => pollster::block_on(client.stream().next())
                    .ok_or(())
                    .map_or_else(|()| unreachable!(), Ok),
                _ => Ok(client.iter().next().unwrap()),
            };
            assert_eq!(item, Ok(n));
        }
        assert_eq!(client.recv().wait().unwrap_err().why(), Why::Closed);
    });
}

#[test]
fn an_operation_that_was_polled_is_then_waited_for() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u32, u32>();
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..100 {
                let mut ask = client.exchange(n);
                // The exchange may be done already.
                match poll_once(&mut ask) {
                    Poll::Ready(answer) => assert_eq!(answer.unwrap(), n + 1),
                    Poll::Pending => assert_eq!(ask.wait().unwrap(), n + 1),
                }
            }
        });
        let mut n = {
            let mut demand = server.demand();
            match poll_once(&mut demand) {
                Poll::Ready(n) => n.unwrap(),
                Poll::Pending => demand.wait().unwrap(),
            }
        };
        loop {
            let mut exchange = server.exchange(n + 1);
            let next = match poll_once(&mut exchange) {
                Poll::Ready(next) => next,
                Poll::Pending => exchange.wait(),
            };
            match next {
                Ok(next) => n = next,
                Err(error) => break assert_eq!(error.into_unsent(), None),
            }
        }
    });
    assert!(server.is_closed());
}

#[test]
fn ends_move_between_threads_and_executors() {
    let _watchdog = Watchdog::new();
    const LAPS: u32 = 20;
    let _watchdog = Watchdog::new();
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let one = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut server, mut client) = simplex();
    thread::scope(|scope| {
        scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
            for lap in 0..LAPS {
                let n = lap * 4;
                server.send(n).wait().unwrap();
                server = runtime
                    .block_on(runtime.spawn(async move {
                        server.send(n + 1).await.unwrap();
                        server
                    }))
                    .unwrap();
                server = thread::spawn(move || {
                    server.send(n + 2).wait().unwrap();
                    server
                })
                .join()
                .unwrap();
                pollster::block_on(server.send(n + 3)).unwrap();
            }
            server.finish();
        });
        for lap in 0..LAPS {
            let n = lap * 4;
            client = many
                .block_on(many.spawn(async move {
                    assert_eq!(client.recv().await, Ok(n));
                    client
                }))
                .unwrap();
            assert_eq!(one.block_on(client.recv()), Ok(n + 1));
            assert_eq!(client.recv().wait(), Ok(n + 2));
            client = thread::spawn(move || {
                assert_eq!(pollster::block_on(client.recv()), Ok(n + 3));
                client
            })
            .join()
            .unwrap();
        }
        assert_eq!(one.block_on(client.recv()).unwrap_err().why(), Why::Closed);
    });
}

#[test]
fn two_tokio_tasks_converse() {
    let _watchdog = Watchdog::new();
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (mut server, mut client) = duplex::<u64, u64>();
    many.block_on(async {
        let squares = tokio::spawn(async move {
            let mut n = server.demand().await.unwrap();
            while let Ok(next) = server.exchange(n * n).await {
                n = next;
            }
        });
        for n in 0..500 {
            assert_eq!(client.exchange(n).await.unwrap(), n * n);
        }
        client.close();
        squares.await.unwrap();
    });
}

/// One poll of a long `send_all` ends although the receiving thread always asks again, so that the executor's other tasks get
/// their turn.
#[test]
fn a_poll_comes_to_an_end_however_well_it_goes() {
    let _watchdog = Watchdog::new();
    let (mut server, client) = simplex();
    let stress = Stress::new("a_poll_comes_to_an_end", Duration::from_secs(5));
    let consumer = thread::spawn(move || {
        client.into_iter().take(200_000).take_while(|_| stress.goes_on()).count()
    });
    let made = AtomicU64::new(0);
    let mut send = server.send_all((0_usize..).inspect(|_| _ = made.fetch_add(1, Relaxed)));
    let (_bell, waker) = Bell::new();
    let rest = loop {
        let before = made.load(Relaxed);
        let polled = poll_with(&mut send, &waker);
        let in_this_poll = made.load(Relaxed) - before;
        assert!(in_this_poll <= 2_000, "{in_this_poll} items in one poll");
        if let Poll::Ready(sent) = polled {
            break sent.unwrap_err().into_rest().next().unwrap();
        }
    };
    drop(send);
    let counted = consumer.join().unwrap();
    // The item at which the time was up is received, too, but not counted.
    assert!(rest == counted || rest == counted + 1, "{counted} received, {rest} is the next one");
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
            // The server takes the demand. From then on only the thread's own waker can be woken.
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

// ---- a parked thread

/// Runs `wait` on a thread, and `go` here, when `wait` is waiting or before it begins.
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
fn each_wait_of_a_thread_is_told_of_the_peers_end_in_either_order() {
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
                let answer = client.owed();
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
            assert_eq!(sum, (1..51).sum::<u32>());
        });
        let mut n = pollster::block_on(server.demand()).unwrap();
        loop {
            // The thread waits before each exchange.
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
