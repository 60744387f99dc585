//! Ends that are closed by reference, as sinks are, and then go on.

use std::pin::Pin;
use std::task::{Context, Waker};

use crate::support::*;
use futures_util::Sink;
use handover::{Client, Reader, Server, Why, Writer, simplex, stream};
use loom::thread;

pairings! {
    a_server_that_was_closed_watches_its_client
    a_writer_that_was_closed_watches_its_reader
}

/// Closes a sink, which is done at once where nothing is in its hands.
fn close<T, S: Sink<T> + Unpin>(sink: &mut S) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    Pin::new(sink).poll_close(&mut context).is_ready()
}

/// Drops the peer of a party that closes, and watches it after that. (Both are made in the model.)
fn watch_after_close<S, P: Send + 'static>(
    by: By,
    (mut end, peer): (S, P),
    close: fn(&mut S) -> bool,
    peer_of: fn(&S) -> handover::Peer,
) {
    let leaving = thread::spawn(move || drop(peer));
    assert!(close(&mut end));
    let watched = peer_of(&end);
    assert_eq!(run!(by, watched.closed()), Ok(Why::Dropped));
    assert_eq!(watched.end(), Some(Why::Dropped));
    leaving.join().unwrap();
}

fn a_server_that_was_closed_watches_its_client(s: By, _: By) {
    let ends: (Server<u8>, Client<u8>) = simplex();
    watch_after_close(s, ends, close, Server::peer);
}

fn a_writer_that_was_closed_watches_its_reader(s: By, _: By) {
    let ends: (Writer<u8>, Reader<u8>) = stream();
    watch_after_close(s, ends, close, Writer::peer);
}
