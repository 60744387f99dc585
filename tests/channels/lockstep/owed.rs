//! `owed`, `end_as`, `poll_recv`, and `finish` while unwinding.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::support::thread;
use crate::support::*;
use handover::{Client, Server, Why, duplex, simplex};

/// A channel whose client has given up on a demand that the server has taken.
fn given_up() -> (Server<u8, u8>, Client<u8, u8>) {
    let (mut server, mut client) = duplex();
    let mut ask = client.exchange(1);
    pend(&mut ask);
    assert_eq!(server.demand().now(), Ok(1));
    assert_eq!(ask.reclaim(), None);
    (server, client)
}

#[test]
fn an_answer_that_is_owed_comes_by_owed_and_only_once() {
    let _dog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (mut server, mut client) = given_up();
        let (sent, got) = pair(
            pairing,
            first,
            async move |how| {
                let sent = how.run(server.answer(10)).await.map_err(|error| error.why());
                (sent, how.run(server.demand()).await)
            },
            async move |how| {
                let refused = client.exchange(2).now().unwrap_err();
                assert_eq!(refused.why(), Why::OutOfTurn);
                assert_eq!(refused.into_unsent(), Some(2));
                let owed = how.run(client.owed()).await;
                assert_eq!(client.owed().now().unwrap_err().why(), Why::OutOfTurn);
                _ = poll_once(&mut client.exchange(3)); // not refused: the server is told of it, or that it is over
                owed
            },
        );
        assert_eq!((sent.0, got), (Ok(()), Ok(10)), "{pairing:?} {first:?}");
        // The exchange that followed was dropped, and the client with it.
        assert!(sent.1.is_err() || sent.1 == Ok(3));
    });
}

#[test]
fn owed_with_nothing_owed_is_out_of_turn_and_the_end_after_the_end() {
    let _dog = Watchdog::new();
    let (server, mut client) = duplex::<u8, u8>();
    assert_eq!(client.owed().now().unwrap_err().why(), Why::OutOfTurn);
    assert_eq!(client.owed().wait().unwrap_err().why(), Why::OutOfTurn);
    assert_eq!(ready(&mut client.owed()).unwrap_err().why(), Why::OutOfTurn);
    assert_eq!(client.end(), None);
    drop(server);
    assert_eq!(client.owed().now().unwrap_err().why(), Why::Dropped);
    assert_eq!(client.owed().wait().unwrap_err().why(), Why::Dropped);
    assert_eq!(client.end(), Some(Why::Dropped));
}

#[test]
fn owed_may_be_given_up_and_asked_again() {
    let (mut server, mut client) = given_up();
    assert!(client.owed().now().unwrap_err().is_not_ready());
    assert!(client.owed().wait_timeout(Duration::from_millis(1)).unwrap_err().is_timed_out());
    let (bell, waker) = Bell::new();
    let mut owed = client.owed();
    pend_with(&mut owed, &waker);
    drop(owed);
    let mut answer = server.answer(10);
    pend(&mut answer);
    assert_eq!(bell.rings(), 0);
    assert_eq!(client.owed().now(), Ok(10));
    assert_eq!(done(answer), Ok(()));
}

#[test]
fn a_server_that_owes_and_ends_tells_its_end_by_owed() {
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        let (server, mut client) = given_up();
        super::leave(server, why);
        assert_eq!(client.owed().now().unwrap_err().why(), why);
        assert_eq!(client.exchange(2).now().unwrap_err().into_unsent(), Some(2));
    }
    let (server, mut client) = given_up();
    server.finish_with(9).unwrap();
    assert_eq!(client.owed().now(), Ok(9));
    assert_eq!(client.owed().now().unwrap_err().why(), Why::Closed);
}

#[test]
fn an_exchange_that_times_out_is_owed_or_withdrawn() {
    let mut stress = Stress::new("exchange against timeout", Duration::from_secs(2));
    let _dog = Watchdog::new();
    while stress.goes_on() {
        let (mut server, mut client) = duplex::<u64, u64>();
        let (a, b) = (stress.below(400), stress.below(400));
        thread::scope(|scope| {
            scope.spawn(move || {
                let Ok(mut up) = server.demand().wait() else { return };
                loop {
                    dither(a);
                    match server.exchange(up * 2).wait() {
                        Ok(next) => up = next,
                        Err(_) => return,
                    }
                }
            });
            for up in 0..20 {
                match client.exchange(up).wait_timeout(Duration::from_nanos(b * 50)) {
                    Ok(down) => assert_eq!(down, up * 2),
                    Err(error) if error.unsent().is_some() => {
                        assert_eq!(client.owed().now().unwrap_err().why(), Why::OutOfTurn);
                    }
                    Err(_) => assert_eq!(client.owed().wait(), Ok(up * 2)),
                }
            }
            client.close();
        });
    }
}

#[test]
fn end_as_tells_each_end_and_refuses_what_is_none() {
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        let (server, mut client) = simplex::<u8>();
        server.end_as(why);
        assert_eq!(client.recv().now().unwrap_err().why(), why);
        let (mut server, client) = simplex::<u8>();
        client.end_as(why);
        assert_eq!(server.send(1).now().unwrap_err().why(), why);
    }
    for why in [Why::TimedOut, Why::NotReady, Why::OutOfTurn] {
        let (server, client) = simplex::<u8>();
        let text = panic_text(move || server.end_as(why));
        assert!(text.contains(&format!("{why:?}")) && text.contains("Closed"), "{text}");
        assert!(client.is_ended_as_panicked());
        let (server, client) = simplex::<u8>();
        assert!(panic_text(move || client.end_as(why)).contains(&format!("{why:?}")));
        assert_eq!(server.peer().end(), Some(Why::Panicked));
    }
}

trait Ended {
    fn is_ended_as_panicked(&self) -> bool;
}

impl Ended for Client<u8> {
    fn is_ended_as_panicked(&self) -> bool {
        self.peer().end() == Some(Why::Panicked)
    }
}

#[test]
fn an_end_that_was_given_as_another_wakes_who_waits() {
    let _dog = Watchdog::new();
    let (server, mut client) = simplex::<u8>();
    let waiting = thread::spawn(move || client.recv().wait().unwrap_err().why());
    until(|| peer_waits(&server));
    server.end_as(Why::Panicked);
    assert_eq!(waiting.join().unwrap(), Why::Panicked);
}

#[test]
fn finish_while_unwinding_is_finish() {
    struct FinishOnDrop(Option<Server<u8>>);
    impl Drop for FinishOnDrop {
        fn drop(&mut self) {
            self.0.take().unwrap().finish();
        }
    }
    let (server, mut client) = simplex();
    panic_holding(FinishOnDrop(Some(server)));
    assert_eq!(client.recv().now().unwrap_err().why(), Why::Closed);

    struct CloseOnDrop(Option<Client<u8>>);
    impl Drop for CloseOnDrop {
        fn drop(&mut self) {
            self.0.take().unwrap().close();
        }
    }
    let (server, client) = simplex();
    panic_holding(CloseOnDrop(Some(client)));
    assert_eq!(server.peer().end(), Some(Why::Closed));
}

#[test]
fn poll_recv_keeps_its_waker_and_comes_to_each_item_and_the_end() {
    let _dog = Watchdog::new();
    let (mut server, mut client) = simplex();
    let (bell, waker) = Bell::new();
    let mut context = Context::from_waker(&waker);
    assert!(client.poll_recv(&mut context).is_pending());
    assert!(client.poll_recv(&mut context).is_pending());
    let mut send = server.send(1);
    pend(&mut send);
    assert_eq!(bell.rings(), 1);
    assert_eq!(client.poll_recv(&mut context), Poll::Ready(Ok(1)));
    assert!(client.poll_recv(&mut context).is_pending());
    assert_eq!(done(send), Ok(()));
    server.finish();
    assert_eq!(bell.rings(), 1);
    for _ in 0..2 {
        let Poll::Ready(Err(end)) = client.poll_recv(&mut context) else { panic!() };
        assert_eq!(end.why(), Why::Closed);
    }

    let (mut server, mut client) = simplex();
    let producing = thread::spawn(move || {
        server.send_all(0..100).wait().unwrap();
        server.finish();
    });
    pollster::block_on(async {
        for n in 0..100 {
            assert_eq!(poll_fn(|context| client.poll_recv(context)).await, Ok(n));
        }
        assert!(poll_fn(|context| client.poll_recv(context)).await.is_err());
    });
    producing.join().unwrap();
}
