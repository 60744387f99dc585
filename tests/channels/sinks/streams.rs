//! `send_stream`: nothing is pulled ahead.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::support::*;
use futures_core::Stream;
use futures_lite::future::zip;
use futures_util::{StreamExt, stream};
use handover::{Why, rendezvous, simplex};

/// Counts how many items were asked of it; pending when the list is at an end, if it is said so.
struct Counted<'a> {
    pulled: &'a Cell<usize>,
    last: usize,
    then_pending: bool,
}

impl Stream for Counted<'_> {
    type Item = usize;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<usize>> {
        let n = self.pulled.get();
        if n == self.last {
            return if self.then_pending { Poll::Pending } else { Poll::Ready(None) };
        }
        self.pulled.set(n + 1);
        Poll::Ready(Some(n))
    }
}

#[test]
fn a_server_pulls_when_it_is_asked() {
    let _watchdog = Watchdog::new();
    let pulled = Cell::new(0);
    let (mut server, mut client) = simplex();
    let mut send = server.send_stream(Counted { pulled: &pulled, last: 3, then_pending: false });
    for n in 0..3 {
        pend(&mut send);
        assert_eq!(pulled.get(), n);
        let mut recv = client.recv();
        pend(&mut recv);
        pend(&mut send);
        assert_eq!(pulled.get(), n + 1);
        assert_eq!(ready(&mut recv), Ok(n));
    }
    pend(&mut send);
    pend(&mut client.recv());
    ready(&mut send).unwrap();
    assert!(panics(|| poll_once(&mut send)), "it was done");
}

#[test]
fn futures_forward_pulls_one_ahead() {
    let _watchdog = Watchdog::new();
    let pulled = Cell::new(0);
    let (server, mut client) = simplex();
    let stream = Counted { pulled: &pulled, last: 3, then_pending: false };
    let mut forward = Box::pin(stream.map(Ok).forward(server));
    pend(&mut forward);
    assert_eq!(pulled.get(), 1, "nobody has asked: the docs of `sink` warn of this");
    pend(&mut client.recv());
    pend(&mut forward);
    assert_eq!(client.recv().wait(), Ok(0));
}

#[test]
fn a_writer_pulls_what_is_asked_for() {
    let _watchdog = Watchdog::new();
    let pulled = Cell::new(0);
    let (mut writer, mut reader) = handover::stream();
    {
        let stream = Counted { pulled: &pulled, last: 5, then_pending: false };
        let mut send = writer.send_stream(stream);
        pend(&mut send);
        assert_eq!(pulled.get(), 0);
        let mut read = reader.read(2);
        pend(&mut read);
        pend(&mut send);
        assert_eq!(pulled.get(), 2);
        assert_eq!(ready(&mut read), Ok(vec![0, 1]));
        drop(read);
        pend(&mut reader.read(9));
        ready(&mut send).unwrap();
        assert_eq!(pulled.get(), 5);
    }
    writer.finish().unwrap();
    assert_eq!(reader.read(9).wait(), Ok(vec![2, 3, 4]));
}

#[test]
fn a_sender_pulls_when_a_receiver_stands_ready() {
    let _watchdog = Watchdog::new();
    let pulled = Cell::new(0);
    let (tx, rx) = rendezvous();
    let mut send = tx.send_stream(Counted { pulled: &pulled, last: 2, then_pending: false });
    for n in 0..2 {
        pend(&mut send);
        assert_eq!(pulled.get(), n);
        let mut recv = rx.recv();
        pend(&mut recv);
        pend(&mut send);
        assert_eq!(pulled.get(), n + 1);
        assert_eq!(ready(&mut recv), Ok(n));
    }
    pend(&mut send);
    let mut recv = rx.recv();
    pend(&mut recv);
    ready(&mut send).unwrap();
    drop(send);
    tx.send(7).now().unwrap_err(); // a task takes it in its own step; but no permit is left
    let mut other = tx.send(8);
    pend(&mut other);
    assert_eq!(ready(&mut recv), Ok(8));
}

#[test]
fn a_stream_that_is_long_in_coming_keeps_no_receiver() {
    let _watchdog = Watchdog::new();
    let pulled = Cell::new(0);
    let (tx, rx) = rendezvous();
    let mut slow = tx.send_stream(Counted { pulled: &pulled, last: 0, then_pending: true });
    let mut recv = rx.recv();
    pend(&mut recv);
    pend(&mut slow);
    let mut send = tx.send(1);
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok(1));
    assert!(ready(&mut send).is_ok());
}

#[test]
fn a_peer_that_leaves_is_noticed_while_the_stream_makes_an_item() {
    let _watchdog = Watchdog::new();
    let pulled = Cell::new(0);
    let pending = || Counted { pulled: &pulled, last: 0, then_pending: true };
    let (bell, waker) = Bell::new();

    let (mut server, mut client) = simplex::<usize>();
    pend(&mut client.recv());
    let mut send = server.send_stream(pending());
    pend_with(&mut send, &waker);
    client.close();
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut send).unwrap_err().why(), Why::Closed);

    let (mut writer, mut reader) = handover::stream::<usize>();
    pend(&mut reader.read(2));
    let mut send = writer.send_stream(pending());
    pend_with(&mut send, &waker);
    drop(reader);
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut send).unwrap_err().why(), Why::Dropped);

    let (tx, rx) = rendezvous::<usize>();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut send = tx.send_stream(pending());
    pend_with(&mut send, &waker);
    bell.rings();
    drop(recv);
    drop(rx);
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut send).unwrap_err().why(), Why::Dropped);
}

#[test]
fn an_item_that_was_not_taken_comes_back() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut send = tx.send_stream(stream::iter(["a", "b"]));
    {
        let mut recv = rx.recv();
        pend(&mut recv);
        pend(&mut send);
    }
    drop(rx);
    assert_eq!(ready(&mut send).unwrap_err().into_unsent(), Some("a"));
}

#[test]
fn a_borrowed_stream_is_kept() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    let mut items = stream::iter(0..4);
    {
        let mut send = server.send_stream(&mut items);
        pend(&mut client.recv());
        pend(&mut send);
        assert_eq!(client.recv().wait(), Ok(0));
    }
    pollster::block_on(async {
        let rest = zip(server.send_stream(items), async {
            let rest = client.stream().take(3).collect::<Vec<_>>().await;
            drop(client);
            rest
        });
        let (sent, rest) = rest.await;
        assert_eq!(rest, [1, 2, 3]);
        assert_eq!(sent.unwrap_err().why(), Why::Dropped, "nobody has asked for the end");
    });
}

#[test]
fn a_reader_that_asks_anew_is_served_while_the_stream_makes_an_item() {
    let _watchdog = Watchdog::new();
    for in_hand in [0, 2] {
        let pulled = Cell::new(0);
        let (bell, waker) = Bell::new();
        let (mut writer, mut reader) = handover::stream();
        let stream = Counted { pulled: &pulled, last: in_hand, then_pending: true };
        let mut send = writer.send_stream(stream);
        pend(&mut reader.read(5));
        pend_with(&mut send, &waker);
        assert_eq!((pulled.get(), bell.rings()), (in_hand, 0));
        let mut recv = reader.recv();
        pend(&mut recv);
        assert_eq!(bell.rings(), 1, "it gives up on five");
        pend_with(&mut send, &waker);
        if in_hand > 0 {
            assert_eq!(ready(&mut recv), Ok(0));
        }
    }
}

#[test]
fn a_reader_asks_anew_while_the_stream_is_polled() {
    let _watchdog = Watchdog::new();
    let (bell, waker) = Bell::new();
    let (mut writer, mut reader) = handover::stream();
    pend(&mut reader.read(5));
    let reader = Cell::new(Some(reader));
    let mut polls = 0;
    let mut send = writer.send_stream(stream::poll_fn(|_| {
        polls += 1;
        if polls == 1 {
            return Poll::Ready(Some(1));
        }
        let mut asking = reader.take();
        if let Some(reader) = &mut asking {
            assert!(poll_once(&mut reader.recv()).is_pending());
        }
        reader.set(asking);
        Poll::Pending
    }));
    pend_with(&mut send, &waker);
    assert_eq!(bell.rings(), 1);
    pend_with(&mut send, &waker);
    let mut reader = reader.take().unwrap();
    assert_eq!(done(reader.recv()), Ok(1));
}

#[test]
fn one_that_is_dropped_leaves_no_waker_behind() {
    let (bell, waker) = Bell::new();
    let (mut server, mut client) = simplex::<u8>();
    let mut send = server.send_stream(stream::pending::<u8>());
    pend_with(&mut send, &waker);
    assert!(format!("{send:?}").starts_with("send_stream { is_done: false"), "{send:?}");
    drop(send);
    pend(&mut client.recv());
    assert_eq!(bell.rings(), 0, "nobody waits for the demand");
    let mut send = server.send_stream(stream::empty::<u8>());
    ready(&mut send).unwrap();
    assert!(format!("{send:?}").starts_with("send_stream { is_done: true"), "{send:?}");
}
