//! Wakers that panic within the calls of a sink: nothing is lost, and the sink goes on.

use std::task::Context;

use super::*;
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
