//! `Sender::into_sink`.

use std::task::Poll;

use super::*;
use crate::support::thread;
use crate::support::*;
use futures_lite::future::zip;
use futures_util::{SinkExt, StreamExt, stream};
use handover::{Why, rendezvous};

#[test]
fn forward_brings_everything_and_finishes() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let forward = stream::iter(0..1_000).map(Ok).forward(tx.into_sink());
    let items = rx.into_stream().checked().collect::<Vec<_>>();
    let (done, items) = pollster::block_on(zip(forward, items));
    done.unwrap();
    assert!(items.into_iter().eq((0..1_000).map(Ok)), "and no end but `Closed`");
}

#[test]
fn several_sinks_to_several_receivers() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous::<u32>();
    thread::scope(|scope| {
        for n in 0..3 {
            let mut sink = tx.clone().into_sink();
            scope.spawn(move || {
                pollster::block_on(async {
                    for item in 0..500 {
                        sink.send(n * 500 + item).await.unwrap();
                    }
                    sink.close().await.unwrap();
                });
            });
        }
        tx.finish();
        let receivers = [(); 2].map(|()| {
            let rx = rx.clone();
            scope.spawn(move || {
                let values = rx.into_iter().inspect(|_| progress());
                values.collect::<Vec<_>>()
            })
        });
        let values = rx.iter().collect::<Vec<_>>();
        let mut all: Vec<_> = receivers.into_iter().flat_map(|r| r.join().unwrap()).collect();
        all.extend(values);
        all.sort_unstable();
        assert!(all.into_iter().eq(0..1_500));
        assert_eq!(rx.end(), Some(Why::Closed));
    });
}

#[test]
fn ready_is_a_receiver_that_is_kept() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous::<u8>();
    let mut sink = tx.clone().into_sink();
    assert!(poll_ready(&mut sink).is_pending());
    assert!(is_done(poll_flush(&mut sink)), "there is nothing to flush");
    let early = start(&mut sink, 0).unwrap_err();
    assert_eq!((early.why(), early.into_unsent()), (Why::OutOfTurn, Some(0)));
    let mut recv = rx.recv();
    pend(&mut recv);
    assert!(is_done(poll_ready(&mut sink)));
    assert!(is_done(poll_ready(&mut sink)));
    assert!(tx.send(9).now().is_err(), "the receiver is kept");
    start(&mut sink, 1).unwrap();
    assert!(poll_flush(&mut sink).is_pending());
    assert!(poll_ready(&mut sink).is_pending());
    assert_eq!(ready(&mut recv), Ok(1));
    assert!(is_done(poll_flush(&mut sink)));
}

#[test]
fn the_take_wakes_the_flush_and_a_receiver_the_ready() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous::<u8>();
    let mut sink = tx.into_sink();
    let (bell, waker) = Bell::new();
    pend_with(&mut sink.feed(1), &waker);
    let mut recv = rx.recv();
    pend(&mut recv);
    assert_eq!(bell.rings(), 1);
    assert!(is_done(poll_ready(&mut sink)));
    start(&mut sink, 2).unwrap();
    pend_with(&mut SinkExt::<u8>::flush(&mut sink), &waker);
    assert_eq!(ready(&mut recv), Ok(2));
    assert_eq!(bell.rings(), 1);
}

#[test]
fn a_sink_that_is_dropped_frees_the_receiver_that_it_kept() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous::<u8>();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut sink = tx.clone().into_sink();
    assert!(is_done(poll_ready(&mut sink)));
    drop(sink);
    let mut send = tx.send(1);
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok(1));
}

#[test]
fn what_was_started_is_the_receivers_also_if_the_sink_is_dropped() {
    let _watchdog = Watchdog::new();
    for why in [Why::Dropped, Why::Panicked] {
        let census = Census::new();
        let (tx, rx) = rendezvous();
        let mut recv = rx.recv();
        pend(&mut recv);
        let mut sink = tx.into_sink();
        assert!(is_done(poll_ready(&mut sink)));
        start(&mut sink, census.make()).unwrap();
        leave_by(sink, why, drop);
        assert!(rx.end().is_none() && !rx.is_closed(), "the offer keeps the channel open");
        assert!(ready(&mut recv).unwrap() == 0);
        assert_eq!(rx.recv().wait().err().map(|error| error.why()), Some(why));
        census.assert_settled();
    }
}

#[test]
fn what_a_dropped_sink_left_is_dropped_when_the_receivers_leave() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let weak = tx.downgrade();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut sink = tx.into_sink();
    assert!(is_done(poll_ready(&mut sink)));
    start(&mut sink, census.make()).unwrap();
    drop(sink);
    assert_eq!(census.gone(), 0);
    drop(recv);
    assert!(weak.upgrade().is_some());
    drop(rx);
    census.assert_settled();
    assert!(weak.upgrade().is_none(), "the sender has left");
}

#[test]
fn what_a_dropped_sink_left_goes_to_another_receiver() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut sink = tx.into_sink();
    assert!(is_done(poll_ready(&mut sink)));
    start(&mut sink, 1).unwrap();
    drop(sink);
    drop(recv);
    thread::scope(|scope| {
        let values = scope.spawn(|| rx.iter().collect::<Vec<_>>());
        assert_eq!(values.join().unwrap(), [1]);
    });
    assert_eq!(rx.end(), Some(Why::Dropped));
}

#[test]
fn receivers_that_leave_give_the_item_back() {
    let _watchdog = Watchdog::new();
    for is_started in [false, true] {
        let (tx, rx) = rendezvous();
        let mut sink = tx.into_sink();
        {
            let mut recv = rx.recv();
            pend(&mut recv);
            assert!(is_done(poll_ready(&mut sink)));
            if is_started {
                start(&mut sink, 1).unwrap();
                assert!(poll_flush(&mut sink).is_pending());
            }
        }
        rx.close();
        let error = if is_started {
            let Poll::Ready(Err(error)) = poll_flush(&mut sink) else { panic!("flushed") };
            error
        } else {
            start(&mut sink, 1).unwrap_err()
        };
        assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(1)));
        let Poll::Ready(Err(again)) = poll_ready(&mut sink) else { panic!("ready") };
        assert_eq!((again.why(), again.into_unsent()), (Why::Closed, None));
    }
}

#[test]
fn reclaim_gives_back_what_was_not_taken() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut sink = tx.into_sink();
    assert_eq!(sink.reclaim(), None);
    for is_taken in [false, true] {
        let mut recv = rx.recv();
        pend(&mut recv);
        assert!(is_done(poll_ready(&mut sink)));
        assert_eq!(sink.reclaim(), None);
        start(&mut sink, 1).unwrap();
        if is_taken {
            assert_eq!(ready(&mut recv), Ok(1));
        }
        assert_eq!(sink.reclaim(), (!is_taken).then_some(1));
        assert!(is_done(poll_flush(&mut sink)));
    }
}

#[test]
fn the_sender_comes_back_and_its_offer_stays() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut sink = tx.into_sink();
    assert!(is_done(poll_ready(&mut sink)));
    let mut sink = sink.into_inner().unwrap().into_sink();
    assert!(is_done(poll_ready(&mut sink)), "the receiver is free again");
    start(&mut sink, 1).unwrap();
    let tx = sink.into_inner().unwrap();
    assert_eq!(ready(&mut recv), Ok(1));
    drop(recv);
    thread::scope(|scope| {
        scope.spawn(|| tx.send(2).wait().unwrap());
        assert_eq!(rx.recv().wait(), Ok(2));
    });
}

#[test]
fn close_waits_until_the_last_item_was_taken() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut sink = tx.into_sink();
    assert!(is_done(poll_ready(&mut sink)));
    start(&mut sink, 1).unwrap();
    assert!(poll_close(&mut sink).is_pending());
    assert_eq!(ready(&mut recv), Ok(1));
    assert!(is_done(poll_close(&mut sink)));
    assert!(is_done(poll_close(&mut sink)));
    assert_eq!(rx.recv().wait().unwrap_err().why(), Why::Closed);
    let Poll::Ready(Err(error)) = poll_ready(&mut sink) else { panic!("ready") };
    assert_eq!(error.why(), Why::Closed);
    assert_eq!(start(&mut sink, 2).unwrap_err().into_unsent(), Some(2));
    assert!(sink.into_inner().is_none());
}

#[test]
fn a_feed_that_is_dropped_has_started_nothing() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    let mut sink = tx.into_sink();
    pend(&mut sink.feed(1));
    let mut recv = rx.recv();
    pend(&mut recv);
    pollster::block_on(sink.feed(2)).unwrap();
    assert_eq!(ready(&mut recv), Ok(2));
}
