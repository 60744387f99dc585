//! `wanted`: what the reader asks for; and the other ways to look at a stream from outside.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::support::thread;
use crate::support::*;
use handover::{Sel2, Want, Why, select, stream};

#[test]
fn each_kind_of_request_is_told_as_it_is() {
    let (mut writer, mut reader) = stream::<u8>();
    assert!(writer.wanted().now().unwrap_err().is_not_ready());
    let mut into = Vec::new();
    macro_rules! assert_wanted {
        ($request:expr, $want:expr, $items:expr) => {
            let mut request = $request;
            pend(&mut request);
            assert_eq!(writer.wanted().now(), Ok($want));
            assert_eq!(writer.wanted().now(), Ok($want), "asking changes nothing");
            let mut write = writer.write($items);
            _ = poll_once(&mut write);
            assert!(done(request).is_ok());
            _ = poll_once(&mut write);
            drop(write);
        };
    }
    assert_wanted!(reader.recv(), Want::One, vec![1]);
    assert_wanted!(reader.read(3), Want::Exactly(3), vec![1, 2, 3]);
    assert_wanted!(reader.read_into(2, &mut into), Want::Exactly(2), vec![1, 2]);
    assert_wanted!(reader.read_some(5), Want::UpTo(5), vec![1]);
    let mut once = reader.read_once();
    pend(&mut once);
    assert_eq!(writer.wanted().now(), Ok(Want::Write));
    drop(once);
    assert_eq!(into, [1, 2]);

    let (mut writer, mut reader) = stream::<u8>();
    let mut all = reader.read_all();
    pend(&mut all);
    assert_eq!(writer.wanted().now(), Ok(Want::Exactly(usize::MAX)));
    assert_eq!(done(writer.send(1)), Ok(()));
    assert_eq!(writer.wanted().now(), Ok(Want::Exactly(usize::MAX)));
    writer.finish().unwrap();
    assert_eq!(done(all), Ok(vec![1]));
}

#[test]
fn of_a_batch_that_was_begun_the_rest_is_wanted() {
    let (mut writer, mut reader) = stream();
    let mut read = reader.read(4);
    pend(&mut read);
    for missing in (1..=4).rev() {
        assert_eq!(writer.wanted().now(), Ok(Want::Exactly(missing)));
        let mut send = writer.send(missing);
        assert_eq!(poll_once(&mut send).is_ready(), missing > 1);
        if missing == 1 {
            assert_eq!(ready(&mut read), Ok(vec![4, 3, 2, 1]));
            assert_eq!(done(send), Ok(()));
        }
    }
    drop(read);
    assert!(writer.wanted().now().unwrap_err().is_not_ready());
}

#[test]
fn wanted_waits_for_a_request_and_for_the_end() {
    let _dog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (mut writer, mut reader) = stream();
        let (wants, items) = pair(
            pairing,
            first,
            async move |how| {
                let mut wants = Vec::new();
                loop {
                    match how.run(writer.wanted()).await {
                        Ok(want) => {
                            wants.push(want);
                            let n = if let Want::Exactly(n) = want { n } else { 1 };
                            how.run(writer.write(0..n)).await.unwrap();
                        }
                        Err(end) => return (wants, end.why()),
                    }
                }
            },
            async move |how| {
                let mut items = how.run(reader.read(2)).await.unwrap();
                items.push(how.run(reader.recv()).await.unwrap());
                items.extend(how.run(reader.read(3)).await.unwrap());
                reader.close();
                items
            },
        );
        assert_eq!(items, [0, 1, 0, 0, 1, 2], "{pairing:?} {first:?}");
        assert_eq!(wants, (vec![Want::Exactly(2), Want::One, Want::Exactly(3)], Why::Closed));
    });
}

#[test]
fn a_reader_that_gave_up_while_items_lie_in_the_batch_stops_nobody() {
    let _dog = Watchdog::new();
    for how in [How::Thread, How::Task] {
        let (mut writer, mut reader) = stream();
        pend(&mut reader.read(3));
        assert_eq!(done(writer.send('a')), Ok(()));
        // The request is withdrawn; its item is in the writer's hand. The reader now wants one.
        pend(&mut reader.recv());
        let writing = thread::spawn(move || {
            how.drive(async {
                let mut wants = Vec::new();
                for item in ['b', 'c'] {
                    wants.push(how.run(writer.wanted()).await.unwrap());
                    how.run(writer.send(item)).await.unwrap();
                }
                writer.finish().unwrap();
                wants
            })
        });
        assert_eq!(reader.recv().wait(), Ok('a'));
        assert_eq!(reader.read_all().wait(), Ok(vec!['b', 'c']));
        let wants = writing.join().unwrap();
        assert_eq!(
            wants,
            [Want::Exactly(usize::MAX); 2],
            "`a` was handed over, and answers the second"
        );
    }
}

#[test]
fn a_flush_in_place_of_more_items_satisfies_a_reader_that_changed_its_mind() {
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(3));
    assert!(done(writer.write([1, 2])).is_ok());
    pend(&mut reader.recv());
    let mut flush = writer.flush();
    pend(&mut flush);
    assert_eq!(reader.recv().now(), Ok(1));
    assert_eq!(done(flush), Ok(()));
    assert_eq!(reader.recv().now(), Ok(2));
    pend(&mut reader.recv());
    assert_eq!(writer.wanted().now(), Ok(Want::One));
}

/// A writer that only ever sends what is wanted would send nothing: so `wanted` hands over what lies in the batch in hand.
#[test]
fn what_a_dropped_write_has_left_is_handed_over_where_it_is_all_that_is_wanted() {
    for is_one in [false, true] {
        let (mut writer, mut reader) = stream();
        // All of the request; or the reader now waits for less.
        pend(&mut reader.read(if is_one { 10 } else { 3 }));
        let mut write = writer.write([1, 2, 3]);
        _ = poll_once(&mut write);
        drop(write);
        let mut one = reader.recv();
        if is_one {
            pend(&mut one);
        }
        drop(one);
        let (bell, waker) = Bell::new();
        let mut wanted = writer.wanted();
        pend_with(&mut wanted, &waker);
        let read =
            if is_one { done(reader.recv()).map(|item| vec![item]) } else { done(reader.read(3)) };
        assert_eq!(read, Ok(if is_one { vec![1] } else { vec![1, 2, 3] }));
        let mut next = reader.read(if is_one { 4 } else { 2 });
        pend(&mut next);
        assert!(bell.rings() > 0);
        assert_eq!(ready(&mut wanted), Ok(Want::Exactly(2)));
        drop(wanted);
        let mut write = writer.write([4, 5]);
        pend(&mut write);
        assert_eq!(ready(&mut next), Ok(if is_one { vec![2, 3, 4, 5] } else { vec![4, 5] }));
        assert!(done(write).is_ok());
    }
}

#[test]
fn a_write_whose_time_is_up_gives_back_what_lay_in_the_batch_too() {
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(3));
    assert_eq!((done(writer.send(1)), done(writer.send(2))), (Ok(()), Ok(())));
    let error = writer.write([3, 4]).now().unwrap_err();
    assert!(error.is_not_ready() && error.into_rest().eq([1, 2, 3, 4]));
    drop(reader);
    assert!(writer.finish().is_ok(), "nothing is left in it");
}

#[test]
fn what_wanted_hands_over_and_nobody_takes_is_the_writer_s_again() {
    for leaves_first in [true, false] {
        let (mut writer, mut reader) = stream();
        pend(&mut reader.read(2));
        pend(&mut writer.write([1, 2]));
        if !leaves_first {
            pend(&mut writer.wanted());
        }
        drop(reader);
        assert_eq!(done(writer.wanted()).unwrap_err().why(), Why::Dropped);
        assert_eq!(done(writer.wanted()).unwrap_err().why(), Why::Dropped, "and again");
        assert_eq!(writer.finish().unwrap_err().into_unsent(), Some(vec![1, 2]));
    }
}

#[test]
fn wanted_is_an_arm_and_may_be_given_up() {
    let (mut writer, mut reader) = stream::<u8>();
    let (tx, rx) = handover::rendezvous::<u8>();
    assert!(writer.wanted().wait_timeout(Duration::ZERO).unwrap_err().is_timed_out());
    let (bell, waker) = Bell::new();
    let mut wanted = writer.wanted();
    pend_with(&mut wanted, &waker);
    drop(wanted);
    pend(&mut reader.recv());
    assert_eq!(bell.rings(), 0);
    assert!(matches!(select((writer.wanted(), rx.recv())).now(), Some(Sel2::A(Ok(Want::One)))));
    let mut send = tx.send(1);
    pend(&mut send);
    let choice = select((rx.recv(), writer.wanted())).biased().now();
    assert!(matches!(choice, Some(Sel2::A(Ok(1)))));
    assert_eq!(writer.wanted().now(), Ok(Want::One));
}

#[test]
fn the_ends_of_a_stream_are_watched_by_closed_and_by_peers() {
    let _dog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        let (mut writer, reader) = stream::<u8>();
        let peer = writer.peer();
        reader.end_as(why);
        assert_eq!((writer.closed().wait(), peer.end()), (Ok(why), Some(why)));
        assert_eq!(writer.wanted().now().unwrap_err().why(), why);

        let (writer, mut reader) = stream::<u8>();
        let peer = reader.peer();
        let watching = thread::spawn(move || (reader.closed().wait(), reader.end()));
        let_them_park();
        writer.end_as(why).unwrap();
        assert_eq!(watching.join().unwrap(), (Ok(why), Some(why)));
        assert_eq!(peer.end(), Some(why));
    }
}

#[test]
fn what_lies_in_the_batch_comes_after_closed_and_before_the_end() {
    use futures_core::FusedStream;
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(5));
    assert!(done(writer.write([1, 2])).is_ok());
    writer.end_as(Why::Panicked).unwrap();
    assert_eq!(reader.closed().now(), Ok(Why::Panicked));
    assert!(!reader.stream().is_terminated(), "two items are still to come");
    assert_eq!(reader.recv().now(), Ok(1));
    assert!(!reader.ahead(2).into_stream().is_terminated());
    assert!(!reader.chunks(2).into_stream().is_terminated());
    assert_eq!(reader.read_all().now(), Ok(vec![2]));
    assert_eq!(reader.read_all().now().unwrap_err().why(), Why::Panicked);
    assert!(reader.stream().is_terminated());
}

#[test]
fn end_as_gives_back_what_the_reader_did_not_take_and_refuses_what_is_no_end() {
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(5));
    assert!(done(writer.write([1, 2])).is_ok());
    reader.close();
    let error = writer.end_as(Why::Dropped).unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(vec![1, 2])));

    for why in [Why::TimedOut, Why::NotReady, Why::OutOfTurn] {
        let (writer, reader) = stream::<u8>();
        let peer = reader.peer();
        assert!(panic_text(move || writer.end_as(why)).contains(&format!("{why:?}")));
        assert_eq!(peer.end(), Some(Why::Panicked));
        assert!(panic_text(move || reader.end_as(why)).contains(&format!("{why:?}")));
    }
}

#[test]
fn poll_recv_keeps_its_waker() {
    let _dog = Watchdog::new();
    let (mut writer, mut reader) = stream();
    let (bell, waker) = Bell::new();
    let mut context = Context::from_waker(&waker);
    assert!(reader.poll_recv(&mut context).is_pending());
    let mut send = writer.send(1);
    pend(&mut send);
    assert_eq!(bell.rings(), 1);
    assert_eq!(reader.poll_recv(&mut context), Poll::Ready(Ok(1)));
    assert!(reader.poll_recv(&mut context).is_pending());
    assert_eq!(done(send), Ok(()));
    writer.finish().unwrap();
    assert_eq!(bell.rings(), 1);
    assert!(matches!(reader.poll_recv(&mut context), Poll::Ready(Err(_))));

    let (mut writer, mut reader) = stream();
    let writing = thread::spawn(move || {
        writer.write(0..100).wait().unwrap();
        writer.finish().unwrap();
    });
    pollster::block_on(async {
        for n in 0..100 {
            assert_eq!(poll_fn(|context| reader.poll_recv(context)).await, Ok(n));
        }
    });
    assert!(reader.recv().wait().is_err());
    writing.join().unwrap();
}
