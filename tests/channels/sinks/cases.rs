//! `Server` and `Writer` as sinks.

use std::task::Poll;

use super::*;
use crate::support::thread;
use crate::support::*;
use futures_lite::future::zip;
use futures_util::{SinkExt, StreamExt, stream};
use handover::{Client, Server, Why, simplex};

#[test]
fn forward_brings_everything_and_closes() {
    let _watchdog = Watchdog::new();
    pollster::block_on(async {
        let (server, client) = simplex();
        let forward = stream::iter(0..1_000).map(Ok).forward(server);
        let (done, items) = zip(forward, client.into_stream().checked().collect::<Vec<_>>()).await;
        done.unwrap();
        assert!(items.into_iter().eq((0..1_000).map(Ok)), "and no end but `Closed`");

        for n in [1, 7, 64, 5_000] {
            let (writer, reader) = handover::stream();
            let forward = stream::iter(0..1_000).map(Ok).forward(writer);
            let batches = reader.into_chunks(n).into_stream().checked();
            let (done, batches) = zip(forward, batches.collect::<Vec<_>>()).await;
            done.unwrap();
            let items = batches.into_iter().flat_map(|batch| batch.unwrap());
            assert!(items.eq(0..1_000));
        }
    });
}

#[test]
fn between_a_task_and_a_thread() {
    let _watchdog = Watchdog::new();
    let (mut server, client) = simplex();
    let (mut writer, mut reader) = handover::stream();
    thread::scope(|scope| {
        scope.spawn(|| {
            pollster::block_on(async {
                for n in 0..2_000 {
                    SinkExt::send(&mut server, n).await.unwrap();
                    SinkExt::feed(&mut writer, n).await.unwrap();
                }
                SinkExt::close(&mut server).await.unwrap();
                SinkExt::close(&mut writer).await.unwrap();
            });
        });
        let reading = scope.spawn(move || {
            let mut items = Vec::new();
            while let Ok(batch) = reader.read_some(50).wait() {
                items.extend(batch);
                progress();
            }
            (items, reader.end())
        });
        assert!(client.into_iter().checked().eq((0..2_000).map(Ok)));
        let (items, end) = reading.join().unwrap();
        assert!(items.into_iter().eq(0..2_000));
        assert_eq!(end, Some(Why::Closed));
    });
}

fn asked() -> (Server<u8>, Client<u8>) {
    let (server, mut client) = simplex();
    pend(&mut client.recv());
    (server, client)
}

#[test]
fn a_server_is_ready_when_a_demand_stands_and_flushed_when_the_answer_was_taken() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    assert!(poll_ready(&mut server).is_pending());
    assert!(is_done(poll_flush(&mut server)), "there is nothing to flush");
    let early = start(&mut server, 0).unwrap_err();
    assert_eq!((early.why(), early.into_unsent()), (Why::OutOfTurn, Some(0)));
    pend(&mut client.recv());
    assert!(is_done(poll_ready(&mut server)));
    assert!(is_done(poll_ready(&mut server)));
    start(&mut server, 1).unwrap();
    assert!(start(&mut server, 2).is_err(), "one item a demand");
    assert!(poll_flush(&mut server).is_pending());
    assert!(poll_ready(&mut server).is_pending());
    assert_eq!(done(client.recv()), Ok(1));
    assert!(is_done(poll_flush(&mut server)));
    assert!(poll_ready(&mut server).is_pending());
}

#[test]
fn the_take_wakes_the_flush() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = asked();
    assert!(is_done(poll_ready(&mut server)));
    start(&mut server, 1).unwrap();
    let (bell, waker) = Bell::new();
    pend_with(&mut SinkExt::flush(&mut server), &waker);
    assert_eq!(bell.rings(), 0);
    assert_eq!(done(client.recv()), Ok(1));
    assert_eq!(bell.rings(), 1);

    let (mut writer, mut reader) = handover::stream::<u8>();
    pend(&mut reader.read(10));
    assert!(is_done(poll_ready(&mut writer)));
    start(&mut writer, 1).unwrap();
    pend_with(&mut SinkExt::flush(&mut writer), &waker);
    assert_eq!(bell.rings(), 0);
    assert_eq!(done(reader.read(10)), Ok(vec![1]));
    assert_eq!(bell.rings(), 1);
    assert!(is_done(poll_flush(&mut writer)));
}

#[test]
fn what_was_started_is_the_clients_also_if_the_server_leaves() {
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        let (mut server, mut client) = asked();
        assert!(is_done(poll_ready(&mut server)));
        start(&mut server, 1).unwrap();
        leave_by(server, why, |mut server| assert!(is_done(poll_close(&mut server))));
        assert_eq!(client.recv().wait(), Ok(1));
        assert_eq!(client.recv().wait().unwrap_err().why(), why);
    }
}

#[test]
fn a_client_that_leaves_gives_the_item_back() {
    let _watchdog = Watchdog::new();
    // Before the item is started.
    let (mut server, client) = asked();
    assert!(is_done(poll_ready(&mut server)));
    client.close();
    let error = start(&mut server, 1).unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(1)));
    let Poll::Ready(Err(error)) = poll_ready(&mut server) else { panic!("ready") };
    assert_eq!((error.why(), error.into_unsent()), (Why::Closed, None));
    // After that, and before it is taken.
    let (mut server, client) = asked();
    assert!(is_done(poll_ready(&mut server)));
    start(&mut server, 1).unwrap();
    drop(client);
    let Poll::Ready(Err(error)) = poll_flush(&mut server) else { panic!("flushed") };
    assert_eq!((error.why(), error.into_unsent()), (Why::Dropped, Some(1)));
    // After it was taken.
    let (mut server, mut client) = asked();
    assert!(is_done(poll_ready(&mut server)));
    start(&mut server, 1).unwrap();
    assert_eq!(client.recv().wait(), Ok(1));
    drop(client);
    assert!(is_done(poll_flush(&mut server)));
}

#[test]
fn after_a_close_nothing_waits_for_what_the_peer_has_not_taken() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    let mut recv = client.recv();
    pend(&mut recv);
    assert!(is_done(poll_ready(&mut server)));
    start(&mut server, 1).unwrap();
    assert!(poll_flush(&mut server).is_pending());
    assert!(is_done(poll_close(&mut server)));
    assert!(is_done(poll_flush(&mut server)));
    let Poll::Ready(Err(error)) = poll_ready(&mut server) else { panic!("closed") };
    assert_eq!(error.why(), Why::Closed);
    let error = start(&mut server, 2).unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(2)));
    assert_eq!(ready(&mut recv), Ok(1));

    let (mut writer, mut reader) = handover::stream();
    let mut read = reader.read(2);
    pend(&mut read);
    assert!(is_done(poll_ready(&mut writer)));
    start(&mut writer, 1).unwrap();
    assert!(poll_flush(&mut writer).is_pending());
    assert!(is_done(poll_close(&mut writer)));
    assert!(is_done(poll_flush(&mut writer)));
    let Poll::Ready(Err(error)) = poll_ready(&mut writer) else { panic!("closed") };
    assert_eq!(error.why(), Why::Closed);
    let error = start(&mut writer, 2).unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(2)));
    assert_eq!(ready(&mut read), Ok(vec![1]));
}

#[test]
fn a_closed_sink_tells_so() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = asked();
    assert!(is_done(poll_close(&mut server)));
    assert!(is_done(poll_close(&mut server)));
    assert!(is_done(poll_flush(&mut server)));
    let Poll::Ready(Err(error)) = poll_ready(&mut server) else { panic!("ready") };
    assert_eq!(error.why(), Why::Closed);
    assert_eq!(start(&mut server, 1).unwrap_err().into_unsent(), Some(1));
    drop(server);
    assert_eq!(client.recv().wait().unwrap_err().why(), Why::Closed, "the drop tells no more");

    let (mut writer, mut reader) = handover::stream::<u8>();
    assert!(is_done(poll_close(&mut writer)));
    assert!(is_done(poll_close(&mut writer)));
    assert!(is_done(poll_flush(&mut writer)));
    let Poll::Ready(Err(error)) = poll_ready(&mut writer) else { panic!("ready") };
    assert_eq!(error.why(), Why::Closed);
    assert_eq!(start(&mut writer, 1).unwrap_err().into_unsent(), Some(1));
    drop(writer);
    assert_eq!(reader.recv().wait().unwrap_err().why(), Why::Closed);
}

#[test]
fn operations_and_the_sink_are_mixed() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    pollster::block_on(async {
        let produce = async {
            server.send(1).await.unwrap();
            SinkExt::send(&mut server, 2).await.unwrap();
            server.send(3).await.unwrap();
            server.feed(4).await.unwrap();
            server.answer(5).await.unwrap();
            SinkExt::close(&mut server).await.unwrap();
        };
        let consume = async { client.stream().collect::<Vec<_>>().await };
        let ((), items) = zip(produce, consume).await;
        assert_eq!(items, [1, 2, 3, 4, 5]);
    });
}

#[test]
fn a_writer_fills_the_batch_of_each_kind_of_request() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = handover::stream::<u8>();
    assert!(poll_ready(&mut writer).is_pending());
    assert_eq!(start(&mut writer, 0).unwrap_err().into_unsent(), Some(0));
    {
        let mut read = reader.read(2);
        pend(&mut read);
        assert!(is_done(poll_ready(&mut writer)));
        start(&mut writer, 1).unwrap();
        assert!(is_done(poll_ready(&mut writer)), "one more is asked for");
        start(&mut writer, 2).unwrap();
        assert!(poll_ready(&mut writer).is_pending(), "the batch is full");
        assert_eq!(ready(&mut read), Ok(vec![1, 2]));
    }
    {
        let mut recv = reader.recv();
        pend(&mut recv);
        assert!(is_done(poll_ready(&mut writer)));
        start(&mut writer, 3).unwrap();
        assert!(poll_flush(&mut writer).is_pending());
        assert_eq!(ready(&mut recv), Ok(3));
    }
    {
        let mut some = reader.read_some(5);
        pend(&mut some);
        assert!(is_done(poll_ready(&mut writer)));
        start(&mut writer, 4).unwrap();
        assert_eq!(ready(&mut some), Ok(vec![4]));
    }
    {
        let mut once = reader.read_once();
        pend(&mut once);
        assert!(is_done(poll_ready(&mut writer)));
        start(&mut writer, 5).unwrap();
        assert!(ready(&mut once).unwrap().eq([5]));
    }
    assert!(is_done(poll_flush(&mut writer)));
}

#[test]
fn what_lies_in_a_writers_batch_is_the_readers_also_if_the_writer_leaves() {
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        for is_flushed in [false, true] {
            let (mut writer, mut reader) = handover::stream::<u8>();
            pend(&mut reader.read(3));
            assert!(is_done(poll_ready(&mut writer)));
            start(&mut writer, 1).unwrap();
            if is_flushed {
                assert!(poll_flush(&mut writer).is_pending());
            }
            leave_by(writer, why, |mut writer| assert!(is_done(poll_close(&mut writer))));
            assert_eq!(reader.read(3).wait(), Ok(vec![1]));
            assert_eq!(reader.closed().wait(), Ok(why));
        }
    }
}

#[test]
fn a_reader_that_leaves_gives_the_items_back() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = handover::stream::<u8>();
    pend(&mut reader.read(3));
    for n in [1, 2] {
        assert!(is_done(poll_ready(&mut writer)));
        start(&mut writer, n).unwrap();
    }
    drop(reader);
    let Poll::Ready(Err(error)) = poll_flush(&mut writer) else { panic!("flushed") };
    assert_eq!(error.why(), Why::Dropped);
    let Poll::Ready(Err(error)) = poll_close(&mut writer) else { panic!("closed") };
    assert_eq!(error.why(), Why::Dropped);
    assert_eq!(start(&mut writer, 3).unwrap_err().into_unsent(), Some(3));
    assert_eq!(writer.finish().unwrap_err().into_unsent(), Some(vec![1, 2]));
}

#[test]
fn a_feed_that_is_dropped_has_started_nothing() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    pend(&mut server.feed(1));
    pend(&mut client.recv());
    pollster::block_on(server.feed(2)).unwrap();
    assert_eq!(client.recv().wait(), Ok(2));

    let (mut writer, mut reader) = handover::stream::<u8>();
    pend(&mut writer.feed(1));
    pend(&mut reader.recv());
    pollster::block_on(writer.feed(2)).unwrap();
    assert_eq!(reader.recv().wait(), Ok(2));
}
