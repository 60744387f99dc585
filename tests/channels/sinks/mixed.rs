//! A sink beside the operations of its end: what those left in hand, what the reader asks anew, and calls after the close.

use std::task::Poll;

use super::*;
use crate::support::*;
use futures_util::SinkExt;
use handover::{Want, Why, simplex};

/// A writer in whose batch a dropped write has left an item, for a reader that asks for one.
fn with_a_leftover() -> (handover::Writer<u8>, handover::Reader<u8>) {
    let (mut writer, mut reader) = handover::stream::<u8>();
    pend(&mut reader.recv());
    pend(&mut writer.write_local([1, 2]));
    (writer, reader)
}

#[test]
fn an_item_that_a_dropped_write_left_comes_before_the_sinks() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = with_a_leftover();
    assert!(poll_ready(&mut writer).is_pending(), "what is in hand is all that was asked for");
    let early = start(&mut writer, 3).unwrap_err();
    assert_eq!((early.why(), early.into_unsent()), (Why::OutOfTurn, Some(3)));
    assert_eq!(done(reader.recv()), Ok(1));
    pend(&mut reader.recv());
    assert!(is_done(poll_ready(&mut writer)));
    start(&mut writer, 3).unwrap();
    assert_eq!(done(reader.recv()), Ok(3));
}

#[test]
fn start_send_at_once_loses_nothing_either() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = with_a_leftover();
    let started = start(&mut writer, 3);
    let mut items = Vec::new();
    while let std::task::Poll::Ready(item) = poll_once(&mut reader.recv()) {
        items.push(item.unwrap());
    }
    match started {
        Ok(()) => assert_eq!(items, [1, 3]),
        Err(error) => {
            assert_eq!((items, error.into_unsent()), (vec![], Some(3)));
            assert!(poll_ready(&mut writer).is_pending());
            assert_eq!(done(reader.recv()), Ok(1));
        }
    }
}

#[test]
fn a_reader_that_asks_anew_gets_what_is_in_hand_and_every_item() {
    let _watchdog = Watchdog::new();
    for in_hand in [0, 2] {
        for asks_before_ready in [true, false] {
            let (mut writer, mut reader) = handover::stream::<u8>();
            pend(&mut reader.read(5));
            let mut sent = Vec::new();
            for n in 0..in_hand {
                assert!(is_done(poll_ready(&mut writer)));
                start(&mut writer, n).unwrap();
                sent.push(n);
            }
            if in_hand == 0 {
                assert_eq!(done(writer.wanted()), Ok(Want::Exactly(5)));
            }
            let mut ready_before = Poll::Pending;
            if !asks_before_ready {
                ready_before = poll_ready(&mut writer).map(|ready| ready.unwrap());
            }
            // The request is given up for another one.
            pend(&mut reader.recv());
            if asks_before_ready {
                ready_before = poll_ready(&mut writer).map(|ready| ready.unwrap());
            }
            if ready_before.is_ready() {
                start(&mut writer, 9).unwrap();
                sent.push(9);
            }
            let mut items = Vec::new();
            let mut last = 0;
            loop {
                match poll_once(&mut reader.recv()) {
                    Poll::Ready(item) => items.push(item.unwrap()),
                    Poll::Pending if last == 3 => break,
                    Poll::Pending => {
                        last += 1;
                        if is_done(poll_ready(&mut writer)) {
                            start(&mut writer, 100 + last).unwrap();
                            sent.push(100 + last);
                        }
                    }
                }
            }
            assert!(sent.len() >= 3, "{in_hand} {asks_before_ready}: {sent:?}");
            assert_eq!(items, sent, "{in_hand} {asks_before_ready}");
        }
    }
}

#[test]
fn after_a_close_the_operations_tell_it_too() {
    let _watchdog = Watchdog::new();
    for is_asked in [false, true] {
        let (mut server, mut client) = simplex::<u8>();
        if is_asked {
            pend(&mut client.recv());
            assert!(is_done(poll_ready(&mut server)));
        }
        assert!(is_done(poll_close(&mut server)));
        let error = done(server.send(1)).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(1)));
        let error = done(server.answer(1)).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(1)));
        assert_eq!(done(server.demand()).unwrap_err().why(), Why::Closed);
        let error = done(server.send_all([1, 2])).unwrap_err();
        assert_eq!((error.why(), error.into_rest().collect::<Vec<_>>()), (Why::Closed, vec![1, 2]));
        let error = done(server.send_stream(futures_util::stream::iter([1]))).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::Closed, None));
        let error = server.finish_with(1).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(1)));
        assert_eq!(client.recv().wait().unwrap_err().why(), Why::Closed);

        let (mut writer, mut reader) = handover::stream::<u8>();
        if is_asked {
            pend(&mut reader.read(3));
            assert!(is_done(poll_ready(&mut writer)));
        }
        assert!(is_done(poll_close(&mut writer)));
        let error = done(writer.send(1)).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(1)));
        let error = done(writer.write([1, 2])).unwrap_err();
        assert_eq!((error.why(), error.into_rest().collect::<Vec<_>>()), (Why::Closed, vec![1, 2]));
        assert_eq!(done(writer.wanted()).unwrap_err().why(), Why::Closed);
        assert!(done(writer.flush()).is_ok(), "there is nothing to flush");
        let error = done(writer.send_stream(futures_util::stream::iter([1]))).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::Closed, None));
        assert!(writer.finish().is_ok());
        assert_eq!(reader.recv().wait().unwrap_err().why(), Why::Closed);
    }
}

#[test]
fn a_close_with_an_item_in_the_slot_and_operations_after_it() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    pend(&mut client.recv());
    assert!(is_done(poll_ready(&mut server)));
    start(&mut server, 1).unwrap();
    assert!(is_done(poll_close(&mut server)));
    let error = done(server.send(2)).unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(2)));
    assert_eq!(client.recv().wait(), Ok(1));
    assert_eq!(client.recv().wait().unwrap_err().why(), Why::Closed);
}

#[test]
fn a_flush_tells_an_item_that_a_full_batch_brought() {
    let _watchdog = Watchdog::new();
    // A full batch is put by `start_send` itself: its flush waits, too, and is woken.
    let (mut writer, mut reader) = handover::stream::<u8>();
    pend(&mut reader.read(2));
    for n in [1, 2] {
        assert!(is_done(poll_ready(&mut writer)));
        start(&mut writer, n).unwrap();
    }
    let (bell, waker) = Bell::new();
    pend_with(&mut SinkExt::flush(&mut writer), &waker);
    assert_eq!(done(reader.read(2)), Ok(vec![1, 2]));
    assert_eq!(bell.rings(), 1);
    assert!(is_done(poll_flush(&mut writer)));
}

#[test]
fn operations_after_start_send_wait_for_the_next_demand() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    pend(&mut client.recv());
    assert!(is_done(poll_ready(&mut server)));
    start(&mut server, 1).unwrap();
    pend(&mut server.send(2));
    pend(&mut server.answer(2));
    pend(&mut server.demand());
    pend(&mut handover::select((server.send(2), handover::never::<u8>().recv())));
    assert_eq!(done(client.recv()), Ok(1));
    pend(&mut client.recv());
    assert!(is_done(poll_flush(&mut server)));
    assert!(is_done(poll_ready(&mut server)));
    start(&mut server, 3).unwrap();
    let error = server.finish_with(4).unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::OutOfTurn, Some(4)));
    assert_eq!(client.recv().wait(), Ok(3));

    let (mut writer, mut reader) = handover::stream::<u8>();
    pend(&mut reader.recv());
    assert!(is_done(poll_ready(&mut writer)));
    start(&mut writer, 1).unwrap();
    pend(&mut writer.send(2));
    pend(&mut writer.write([2]));
    pend(&mut writer.wanted());
    assert_eq!(done(reader.recv()), Ok(1));
    assert!(is_done(poll_flush(&mut writer)));
    assert!(writer.finish().is_ok());
    assert_eq!(reader.recv().wait().unwrap_err().why(), Why::Closed);
}

#[test]
fn a_batch_that_a_reader_left_in_the_slot_comes_back() {
    let _watchdog = Watchdog::new();
    for calls in 0..4 {
        let (mut writer, mut reader) = handover::stream::<u8>();
        pend(&mut reader.read(2));
        for n in [1, 2] {
            assert!(is_done(poll_ready(&mut writer)));
            start(&mut writer, n).unwrap();
        }
        drop(reader);
        let polled = match calls {
            0 => Poll::Ready(Err(handover::SendError::new(Why::Dropped, None))),
            1 => poll_flush(&mut writer),
            2 => poll_ready(&mut writer),
            _ => poll_close(&mut writer),
        };
        let Poll::Ready(Err(error)) = polled else { panic!("{calls}: the reader has left") };
        assert_eq!(error.why(), Why::Dropped);
        let unsent = writer.finish().unwrap_err();
        assert_eq!((unsent.why(), unsent.into_unsent()), (Why::Dropped, Some(vec![1, 2])));
    }
}

#[test]
fn an_answer_that_a_client_left_in_the_slot_comes_back_from_the_close() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    pend(&mut client.recv());
    assert!(is_done(poll_ready(&mut server)));
    start(&mut server, 1).unwrap();
    drop(client);
    let Poll::Ready(Err(error)) = poll_close(&mut server) else { panic!("it was not taken") };
    assert_eq!((error.why(), error.into_unsent()), (Why::Dropped, Some(1)));
    assert!(is_done(poll_close(&mut server)));
}

#[test]
fn a_batch_that_came_back_whole_from_a_dropped_write_comes_first() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = handover::stream::<u8>();
    pend(&mut reader.read(2));
    pend(&mut writer.write_local([1, 2, 3]));
    assert_eq!(start(&mut writer, 9).unwrap_err().into_unsent(), Some(9));
    assert!(poll_ready(&mut writer).is_pending());
    assert_eq!(done(reader.read(2)), Ok(vec![1, 2]));
    pend(&mut reader.read(2));
    assert!(is_done(poll_ready(&mut writer)));
    start(&mut writer, 9).unwrap();
    drop(writer);
    assert_eq!(reader.read(2).wait(), Ok(vec![9]));
}

#[test]
fn send_stream_after_a_dropped_write_and_a_reader_that_asks_anew() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = with_a_leftover();
    let mut send = writer.send_stream(futures_util::stream::iter([5, 6, 7]));
    pend(&mut send);
    assert_eq!(done(reader.recv()), Ok(1));
    pend(&mut reader.read(2));
    pend(&mut send);
    assert_eq!(done(reader.read(2)), Ok(vec![5, 6]));
    pend(&mut reader.read(2));
    ready(&mut send).unwrap();
    drop(send);
    pend(&mut reader.recv());
    pend(&mut writer.send_stream(futures_util::stream::iter([8])));
    assert_eq!(done(reader.recv()), Ok(7));
}

#[test]
fn what_is_started_for_a_reader_that_asks_anew_is_there_at_once() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = handover::stream::<u8>();
    pend(&mut reader.read(5));
    for n in [1, 2] {
        assert!(is_done(poll_ready(&mut writer)));
        start(&mut writer, n).unwrap();
    }
    assert!(is_done(poll_ready(&mut writer)));
    let (bell, waker) = Bell::new();
    pend_with(&mut reader.recv(), &waker);
    let mut recv = reader.recv();
    pend_with(&mut recv, &waker);
    start(&mut writer, 3).unwrap();
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut recv), Ok(1));
    drop(recv);
    assert_eq!(done(reader.read(2)), Ok(vec![2, 3]));
}
