//! `answer`, `closed` and `peer`: which party is woken, and which is not.

use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use crate::support::thread;
use crate::support::*;
use handover::{Peer, Why, simplex};

#[test]
fn an_answer_is_done_when_it_is_taken_without_another_demand() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    let (bell, waker) = Bell::new();
    pend(&mut client.recv());
    let mut answer = server.answer(1);
    pend_with(&mut answer, &waker);
    assert_eq!(bell.rings(), 0);
    assert_eq!(client.recv().now(), Ok(1));
    assert!(bell.rings() > 0, "the answer is told");
    assert!(ready(&mut answer).is_ok());
    drop(answer);

    let answering = thread::spawn(move || server.answer(2).wait().map(|()| server));
    until(|| peer_waits(&client));
    assert_eq!(client.recv().wait(), Ok(2));
    let server = answering.join().unwrap();
    assert!(server.is_ok(), "the answer of a thread is told");
}

/// Only an answer asks to be told of the take, and only for itself: a send sleeps until the next demand.
#[test]
fn a_send_after_an_answer_that_was_given_up_is_not_woken_by_the_take() {
    let (mut server, mut client) = simplex();
    let (bell, waker) = Bell::new();
    pend(&mut client.recv());
    let mut answer = server.answer(1);
    pend_with(&mut answer, &waker);
    assert_eq!(answer.reclaim(), Some(1));
    let mut send = server.send(2);
    pend_with(&mut send, &waker);
    bell.rings();
    assert_eq!(client.recv().now(), Ok(2));
    assert_eq!(bell.rings(), 0);
    pend(&mut client.recv());
    assert!(bell.rings() > 0);
    assert!(ready(&mut send).is_ok());
}

fn ends() -> (handover::Server<u8>, handover::Client<u8>, Peer, Peer) {
    let (server, client) = simplex::<u8>();
    let (of_client, of_server) = (server.peer(), client.peer());
    (server, client, of_server, of_client)
}

#[test]
fn a_peer_tells_how_each_end_has_left_in_either_order() {
    for server_first in [true, false] {
        let (server, client, of_server, of_client) = ends();
        assert_eq!((of_server.end(), of_client.end()), (None, None));
        if server_first {
            server.finish();
            assert_eq!((of_server.end(), of_client.end()), (Some(Why::Closed), None));
            drop(client);
        } else {
            drop(client);
            assert_eq!((of_server.end(), of_client.end()), (None, Some(Why::Dropped)));
            server.finish();
        }
        assert_eq!((of_server.end(), of_client.end()), (Some(Why::Closed), Some(Why::Dropped)));
    }
}

#[test]
fn a_peer_that_is_made_late_knows_the_end() {
    let (server, client) = simplex::<u8>();
    drop(client);
    assert_eq!(server.peer().end(), Some(Why::Dropped));
    assert_eq!(server.peer().closed().now(), Ok(Why::Dropped));
}

#[test]
fn whoever_waits_for_an_end_is_woken_by_it_with_the_newest_waker() {
    let _watchdog = Watchdog::new();
    let (mut server, client, _, of_client) = ends();
    let blocked = thread::spawn({
        let peer = of_client.clone();
        move || peer.closed().wait()
    });
    let bells: [_; 3] = std::array::from_fn(|_| Bell::new());
    let mut of_peer = of_client.closed();
    pend_with(&mut of_peer, &bells[0].1);
    pend_with(&mut of_peer, &bells[1].1);
    let mut of_server = server.closed();
    pend_with(&mut of_server, &bells[2].1);
    drop(client);
    assert!(bells[1].0.rings() > 0 && bells[2].0.rings() > 0);
    assert_eq!((ready(&mut of_peer), ready(&mut of_server)), (Ok(Why::Dropped), Ok(Why::Dropped)));
    assert_eq!(blocked.join().unwrap(), Ok(Why::Dropped));
}

#[test]
fn an_end_that_closed_has_told_is_the_end_of_the_client() {
    let (server, mut client) = simplex::<u8>();
    server.finish();
    assert_eq!(client.end(), None);
    assert_eq!(client.closed().now(), Ok(Why::Closed));
    assert_eq!(client.end(), Some(Why::Closed));
}

struct Counted;

impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_watcher_that_goes_leaves_no_waker_behind() {
    let (_server, _client, of_server, _) = ends();
    let counted = Arc::new(Counted);
    let waker = Waker::from(Arc::clone(&counted));
    let mut closed = of_server.closed();
    assert_eq!(poll_with(&mut closed, &waker), Poll::Pending);
    assert!(Arc::strong_count(&counted) > 2);
    drop(closed);
    assert_eq!(Arc::strong_count(&counted), 2);
}

#[test]
fn an_end_that_leaves_leaves_no_waker_behind() {
    let (mut server, mut client) = simplex::<u8>();
    let counted = [Arc::new(Counted), Arc::new(Counted)];
    let wakers = counted.each_ref().map(|counted| Waker::from(Arc::clone(counted)));
    pend_with(&mut server.closed(), &wakers[0]);
    pend_with(&mut client.recv(), &wakers[0]);
    pend_with(&mut client.recv(), &wakers[1]);
    drop(client);
    assert_eq!(counted.each_ref().map(Arc::strong_count), [2, 2]);
    server.finish();
}

#[test]
fn a_waker_that_panics_while_its_peer_unwinds_does_not_end_the_process() {
    let (mut server, client) = simplex::<u8>();
    let hook = Hook::new();
    hook.set_panic(Moment::Wake);
    pend_with(&mut server.demand(), &hook.waker());
    let mut watcher = server.closed();
    hook.set_panic(Moment::Wake);
    pend_with(&mut watcher, &hook.waker());
    panic_holding(client);
    assert_eq!(ready(&mut watcher), Ok(Why::Panicked));
}
