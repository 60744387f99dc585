//! Wakers that panic within the calls of a sink: nothing is lost, and the sink goes on.

use std::task::Context;

use super::*;
use crate::support::thread;
use crate::support::*;
use handover::{Why, rendezvous};

/// A sink of which a receiver has been kept, and that receiver's waker.
fn flush_with<T: Send + 'static>(
    sink: &mut SenderSink<T>,
    waker: &std::task::Waker,
) -> Poll<Result<(), SendError<T>>> {
    Pin::new(sink).poll_flush(&mut Context::from_waker(waker))
}

fn ready_with<T: Send + 'static>(
    sink: &mut SenderSink<T>,
    waker: &std::task::Waker,
) -> Poll<Result<(), SendError<T>>> {
    Pin::new(sink).poll_ready(&mut Context::from_waker(waker))
}

#[test]
fn a_waker_whose_clone_panics_in_a_flush_takes_nothing_away() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut sink = tx.into_sink();
    assert!(is_done(poll_ready(&mut sink)));
    start(&mut sink, 1).unwrap();
    let hook = Hook::new();
    let waker = hook.waker();
    hook.set_panic(Moment::Clone);
    let panicked = panics(|| flush_with(&mut sink, &waker));
    assert_eq!(panicked, !hook.is_set(Moment::Clone));
    assert!(flush_with(&mut sink, &waker).is_pending());
    assert_eq!(ready(&mut recv), Ok(1));
    assert!(is_done(flush_with(&mut sink, &waker)));
    assert!(hook.bell.rings() >= 1);
}

#[test]
fn a_waker_whose_clone_panics_in_a_ready() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut sink = tx.into_sink();
    let hook = Hook::new();
    let waker = hook.waker();
    hook.set_panic(Moment::Clone);
    assert!(panics(|| ready_with(&mut sink, &waker)));
    assert!(!rx.is_closed(), "the sender is still there");
    assert!(ready_with(&mut sink, &waker).is_pending());
    let mut recv = rx.recv();
    pend(&mut recv);
    assert!(is_done(ready_with(&mut sink, &waker)));
    start(&mut sink, 1).unwrap();
    assert_eq!(ready(&mut recv), Ok(1));
    assert!(is_done(poll_close(&mut sink)));
    drop(recv);
    assert_eq!(rx.recv().wait().unwrap_err().why(), Why::Closed);
}

#[test]
fn a_receiver_whose_waker_panics_has_the_item() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let hook = Hook::new();
    let mut recv = rx.recv();
    pend_with(&mut recv, &hook.waker());
    let mut sink = tx.into_sink();
    assert!(is_done(poll_ready(&mut sink)));
    hook.set_panic(Moment::Wake);
    let panicked = panics(|| start(&mut sink, 1).unwrap());
    assert!(panicked);
    assert!(poll_flush(&mut sink).is_pending());
    assert_eq!(ready(&mut recv), Ok(1));
    assert!(is_done(poll_flush(&mut sink)));
}

#[test]
fn a_waker_whose_drop_panics_when_the_sink_is_dropped() {
    let _watchdog = Watchdog::new();
    for is_unwinding in [false, true] {
        let (tx, rx) = rendezvous();
        let mut recv = rx.recv();
        pend(&mut recv);
        let mut sink = tx.into_sink();
        assert!(is_done(poll_ready(&mut sink)));
        start(&mut sink, 1).unwrap();
        let hook = Hook::new();
        assert!(flush_with(&mut sink, &hook.waker()).is_pending());
        hook.set_panic(Moment::Drop);
        let why = if is_unwinding {
            panic_holding(sink);
            Why::Panicked
        } else {
            _ = panics(move || drop(sink));
            Why::Dropped
        };
        assert_eq!(ready(&mut recv), Ok(1), "{is_unwinding}");
        drop(recv);
        assert_eq!(rx.recv().wait().unwrap_err().why(), why);
    }
}

#[test]
fn a_waker_whose_drop_panics_in_a_reclaim() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut sink = tx.into_sink();
    assert!(is_done(poll_ready(&mut sink)));
    start(&mut sink, 1).unwrap();
    let hook = Hook::new();
    assert!(flush_with(&mut sink, &hook.waker()).is_pending());
    hook.set_panic(Moment::Drop);
    let mut item = None;
    if panics(|| item = sink.reclaim()) {
        item = sink.reclaim();
    }
    assert_eq!(item, Some(1));
    pend(&mut recv);
    assert!(is_done(poll_ready(&mut sink)), "the receiver stands ready again");
    start(&mut sink, 2).unwrap();
    assert_eq!(ready(&mut recv), Ok(2));
}

#[test]
fn another_senders_waker_panics_when_the_permit_is_given_up() {
    let _watchdog = Watchdog::new();
    for closes in [false, true] {
        let (tx, rx) = rendezvous::<u8>();
        let mut recv = rx.recv();
        pend(&mut recv);
        let mut sink = tx.clone().into_sink();
        assert!(is_done(poll_ready(&mut sink)));
        let hook = Hook::new();
        let mut reserve = tx.reserve();
        pend_with(&mut reserve, &hook.waker());
        hook.set_panic(Moment::Wake);
        if closes {
            _ = panics(|| poll_close(&mut sink));
            assert!(is_done(poll_close(&mut sink)));
        } else {
            let mut back = None;
            _ = panics(|| back = sink.into_inner());
        }
        assert!(!hook.is_set(Moment::Wake));
        let permit = ready(&mut reserve).unwrap();
        drop(permit);
        drop(reserve);
        drop(tx);
        let why = ready(&mut recv).unwrap_err().why();
        if closes {
            assert!(matches!(why, Why::Closed | Why::Dropped));
        }
    }
}

/// Gives 1, panics once, and then gives 2.
fn panics_once() -> impl futures_core::Stream<Item = u8> + Unpin {
    let mut polls = 0;
    futures_util::stream::poll_fn(move |_| {
        polls += 1;
        match polls {
            1 => Poll::Ready(Some(1)),
            2 => std::panic::resume_unwind(Box::new("on purpose")),
            3 => Poll::Ready(Some(2)),
            _ => Poll::Ready(None),
        }
    })
}

#[test]
fn a_stream_that_panics_goes_on_and_loses_nothing() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = handover::simplex();
    let mut send = server.send_stream(panics_once());
    pend(&mut client.recv());
    pend(&mut send);
    assert_eq!(done(client.recv()), Ok(1));
    pend(&mut client.recv());
    assert!(panics(|| poll_once(&mut send)));
    pend(&mut send);
    assert_eq!(done(client.recv()), Ok(2));

    let (mut writer, mut reader) = handover::stream();
    let mut send = writer.send_stream(panics_once());
    pend(&mut reader.read(2));
    assert!(panics(|| poll_once(&mut send)));
    pend(&mut send);
    assert_eq!(done(reader.read(2)), Ok(vec![1, 2]));

    let (tx, rx) = rendezvous();
    let mut send = tx.send_stream(panics_once());
    let mut recv = rx.recv();
    pend(&mut recv);
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok(1));
    let mut recv = rx.recv();
    pend(&mut recv);
    assert!(panics(|| poll_once(&mut send)));
    pend(&mut recv);
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok(2));
}

#[test]
fn a_destructor_panics_in_a_sink_that_is_dropped() {
    let _watchdog = Watchdog::new();
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !thread::panicking() {
                quiet_panic();
            }
        }
    }
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut sink = tx.into_sink();
    assert!(is_done(poll_ready(&mut sink)));
    start(&mut sink, Bomb).unwrap();
    drop(sink);
    drop(recv);
    // The value is dropped with the channel, by the last receiver.
    assert!(panics(|| drop(rx)));
}

#[test]
fn an_item_is_taken_while_its_dropped_sink_is_about_to_wait() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut sink = tx.into_sink();
    assert!(is_done(poll_ready(&mut sink)));
    start(&mut sink, 1).unwrap();
    let hook = Hook::new();
    assert!(flush_with(&mut sink, &hook.waker()).is_pending());
    drop(recv);
    let other = rx.clone();
    let taken = std::sync::Arc::new(std::sync::Mutex::new(None));
    let result = std::sync::Arc::clone(&taken);
    // The sink's waker takes the place of this one, and is then woken within the poll that put it there.
    hook.set(Moment::Drop, move || *result.lock().unwrap() = other.recv().now().ok());
    drop(sink);
    assert_eq!(*taken.lock().unwrap(), Some(1));
    assert_eq!(rx.recv().wait().unwrap_err().why(), Why::Dropped);
}
