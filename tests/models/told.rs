//! Ends that are told and sends that are accounted for: `answer`, `closed`, `peer`, `until`, and permits that meet receives.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use crate::support::*;
use handover::{Receiver, Sel2, SendError, Sender, Why, rendezvous, select, simplex};
use loom::thread;

pairings! {
    an_answer_is_taken
    an_answer_against_a_client_that_leaves
    an_answer_that_gives_up
    closed_against_leave
    a_late_peer_against_leave
    two_watchers_against_leave
    closed_that_gives_up_against_leave
    until_against_a_delivery
    until_against_a_take
    answer_until_against_a_take
    reserves_and_receives_crosswise
}

/// A limit that is up at the second look.
fn soon() -> impl Future<Output = ()> {
    let mut looks = 0;
    poll_fn(move |context| {
        looks += 1;
        if looks == 2 {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

fn an_answer_is_taken(s: By, c: By) {
    let census = Census::new();
    let (mut server, mut client) = simplex();
    let one = census.value(1);
    let receiving = thread::spawn(move || run!(c, client.recv()).map(|value: Value| value.number));
    assert!(run!(s, server.answer(one)).is_ok());
    server.finish();
    assert_eq!(receiving.join().unwrap(), Ok(1));
    census.assert_empty();
}

/// Tries to receive, and gives up at once.
fn recv_once(by: By, client: &mut handover::Client<Value>) -> Option<u8> {
    let got = match by {
        By::Thread => client.recv().wait_timeout(Duration::ZERO),
        By::Task => poll_once(client.recv())?,
    };
    got.ok().map(|value| value.number)
}

fn an_answer_against_a_client_that_leaves(s: By, c: By) {
    let census = Census::new();
    let (mut server, mut client) = simplex();
    let one = census.value(1);
    let receiving = thread::spawn(move || recv_once(c, &mut client));
    let answered = run!(s, server.answer(one));
    let is_taken = answered.is_ok();
    if let Err(error) = answered {
        assert_eq!(error.why(), Why::Dropped);
        assert!(error.into_unsent().is_some(), "not taken, and not given back");
    }
    assert_eq!(receiving.join().unwrap().is_some(), is_taken);
    drop(server);
    census.assert_empty();
}

fn an_answer_that_gives_up(s: By, c: By) {
    let census = Census::new();
    let (mut server, mut client) = simplex();
    let one = census.value(1);
    let receiving =
        thread::spawn(move || run!(c, client.recv()).ok().map(|value: Value| value.number));
    let unsent = match s {
        By::Thread => {
            server.answer(one).wait_timeout(Duration::ZERO).err().and_then(SendError::into_unsent)
        }
        By::Task => {
            let mut answer = server.answer(one);
            match poll_with(&mut answer, &Alarm::new().into()) {
                Poll::Ready(answered) => answered.err().and_then(SendError::into_unsent),
                Poll::Pending => answer.reclaim(),
            }
        }
    };
    drop(server);
    assert_eq!(receiving.join().unwrap().is_none(), unsent.is_some());
    drop(unsent);
    census.assert_empty();
}

/// With one preemption: two threads that block take minutes with more.
#[test]
fn an_answer_against_a_demand_that_follows() {
    for (s, c) in [By::Thread, By::Task].into_iter().flat_map(|s| [(s, By::Thread), (s, By::Task)])
    {
        explore_with(1, move || two_answers(s, c));
    }
}

fn two_answers(s: By, c: By) {
    let census = Census::new();
    let (mut server, mut client) = simplex();
    let values = census.values([1, 2]);
    let receiving = thread::spawn(move || {
        [(); 2].map(|()| run!(c, client.recv()).map(|value: Value| value.number))
    });
    for value in values {
        assert!(run!(s, server.answer(value)).is_ok());
    }
    drop(server);
    assert_eq!(receiving.join().unwrap(), [Ok(1), Ok(2)]);
    census.assert_empty();
}

fn closed_against_leave(s: By, c: By) {
    let (mut server, mut client) = simplex::<Value>();
    let leaving = thread::spawn(move || {
        _ = recv_once(c, &mut client);
        client.close();
    });
    assert_eq!(run!(s, server.closed()), Ok(Why::Closed));
    assert_eq!(server.peer().end(), Some(Why::Closed));
    leaving.join().unwrap();
}

fn a_late_peer_against_leave(s: By, _: By) {
    let (server, client) = simplex::<Value>();
    let leaving = thread::spawn(move || drop(client));
    if server.is_closed() {
        assert_eq!(server.peer().end(), Some(Why::Dropped));
    } else {
        let peer = server.peer();
        assert_eq!(run!(s, peer.closed()), Ok(Why::Dropped));
    }
    leaving.join().unwrap();
}

fn two_watchers_against_leave(a: By, b: By) {
    let (server, client) = simplex::<Value>();
    let (one, other) = (server.peer(), server.peer());
    let watching = thread::spawn(move || run!(a, one.closed()));
    let leaving = thread::spawn(move || client.close());
    assert_eq!(run!(b, other.closed()), Ok(Why::Closed));
    assert_eq!(watching.join().unwrap(), Ok(Why::Closed));
    leaving.join().unwrap();
}

fn closed_that_gives_up_against_leave(s: By, _: By) {
    let (mut server, client) = simplex::<Value>();
    let leaving = thread::spawn(move || drop(client));
    let told = match s {
        By::Thread => server.closed().wait_timeout(Duration::ZERO).ok(),
        By::Task => poll_once(server.closed()).and_then(Result::ok),
    };
    assert!(told.is_none_or(|why| why == Why::Dropped));
    assert_eq!(run!(s, server.closed()), Ok(Why::Dropped));
    leaving.join().unwrap();
}

fn until_against_a_delivery(s: By, _: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let one = census.value(1);
    let sending = thread::spawn(move || send(s, &tx, one));
    let got = block_on(rx.recv().until(soon()));
    drop(rx);
    assert_eq!(sending.join().unwrap().is_ok(), got.is_ok());
    drop(got);
    census.assert_empty();
}

fn until_against_a_take(_: By, r: By) {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let receiving = thread::spawn(move || recv(r, &rx));
    let sent = block_on(tx.send(census.value(1)).until(soon()));
    drop(tx);
    let is_taken = sent.is_ok();
    if let Err(error) = sent {
        assert!(error.is_timed_out());
        assert!(error.into_unsent().is_some());
    }
    assert_eq!(receiving.join().unwrap().is_ok(), is_taken);
    census.assert_empty();
}

fn answer_until_against_a_take(_: By, c: By) {
    let census = Census::new();
    let (mut server, mut client) = simplex();
    let receiving = thread::spawn(move || run!(c, client.recv()).map(|value: Value| value.number));
    let sent = block_on(server.answer(census.value(1)).until(soon()));
    drop(server);
    let is_taken = sent.is_ok();
    if let Err(error) = sent {
        assert!(error.into_unsent().is_some());
    }
    assert_eq!(receiving.join().unwrap().is_ok(), is_taken);
    census.assert_empty();
}

/// Sends by a permit, or receives. Returns the number that it received.
fn trade(by: By, to: &Sender<Value>, from: &Receiver<Value>, value: Value) -> Option<u8> {
    match choose(by, select((to.reserve(), from.recv()))) {
        Sel2::A(permit) => {
            assert!(run!(by, permit.unwrap().send(value)).is_ok());
            None
        }
        Sel2::B(got) => Some(got.unwrap().number),
    }
}

/// Were both granted a permit, both would send, and nobody would receive.
fn reserves_and_receives_crosswise(a: By, b: By) {
    let census = Census::new();
    let ((up, up_rx), (down, down_rx)) = (rendezvous(), rendezvous());
    let (one, two) = (census.value(1), census.value(2));
    // Both channels outlive both parties: an end must not decide the race.
    let kept = (up.clone(), up_rx.clone(), down.clone(), down_rx.clone());
    let other = thread::spawn(move || trade(a, &up, &down_rx, one));
    let mine = trade(b, &down, &up_rx, two);
    let theirs = other.join().unwrap();
    assert!(matches!((mine, theirs), (Some(1), None) | (None, Some(2))), "{mine:?} {theirs:?}");
    drop(kept);
    census.assert_empty();
}
