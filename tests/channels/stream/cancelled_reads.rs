//! Reads that are given up or forgotten: nothing is lost, and nothing comes twice.

use std::cell::RefCell;
use std::future::poll_fn;
use std::iter;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::requests::*;
use crate::support::*;
use futures_core::Stream as _;
use handover::{Why, stream};

/// The ways to give up an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Drop,
    Forget,
    Now,
    TimeOut,
}

impl Way {
    const ALL: [Self; 4] = [Self::Drop, Self::Forget, Self::Now, Self::TimeOut];
}

/// The state of the writer when the reader gives up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// It has not seen the request, which is withdrawn.
    Unseen,
    /// It has the request in hand, and nothing for it.
    HasNone,
    /// It has the request in hand, and something for it.
    HasSome,
    /// It has answered, or has gathered all that it will.
    Answered,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Unseen, Self::HasNone, Self::HasSome, Self::Answered];
}

const ITEMS: usize = 12;

#[test]
fn a_cancelled_read_of_each_kind_loses_nothing_for_one_of_each_kind() {
    for first in Ask::SMALL {
        for second in Ask::SMALL {
            for stage in Stage::ALL {
                for way in Way::ALL {
                    cancel_then_ask(first, stage, way, second);
                }
            }
        }
    }
}

fn cancel_then_ask(first: Ask, stage: Stage, way: Way, second: Ask) {
    let _context = Place(format!("{first:?} {stage:?} {way:?} {second:?}"));
    let (mut writer, mut reader) = stream();
    let census = Census::new();
    let gate = &AtomicUsize::new(0);
    let pass = |step| {
        poll_fn(move |_| if gate.load(SeqCst) > step { Poll::Ready(()) } else { Poll::Pending })
    };
    let mut write = Job::new(async {
        pass(0).await;
        writer.write_local(iter::empty()).await.unwrap();
        pass(1).await;
        writer.send(census.make()).await.unwrap();
        pass(2).await;
        writer.send(census.make()).await.unwrap();
        let five: Vec<_> = (0..5).map(|_| census.make()).collect();
        writer.write(five).await.unwrap();
        writer.write_local((0..4).map(|_| census.make())).await.unwrap();
        writer.send(census.make()).await.unwrap();
        writer.finish().unwrap();
    });
    let mut early = Vec::new();
    let seen = |write: &mut Job<'_>| {
        gate.store(stage as usize, SeqCst);
        _ = poll_once(write);
    };
    match way {
        Way::Drop | Way::Forget => {
            let mut asked = begin(&mut reader, first);
            pend(&mut asked);
            seen(&mut write);
            if way == Way::Drop {
                drop(asked);
            } else {
                mem::forget(asked);
            }
        }
        Way::Now | Way::TimeOut => {
            let timeout = (way == Way::TimeOut).then_some(Duration::ZERO);
            early.extend(ask_briefly(&mut reader, first, timeout).into_iter().flatten());
            seen(&mut write);
            if stage == Stage::HasSome {
                // The same request once more.
                early.extend(ask_briefly(&mut reader, first, timeout).into_iter().flatten());
            }
        }
    }
    gate.store(usize::MAX, SeqCst);
    let read = async {
        let items = begin(&mut reader, second).await.expect("items");
        match second {
            // Exactly as many as were asked for, since there was no flush.
            Ask::Read(n) | Ask::ReadInto(n) | Ask::Chunks(n) => assert_eq!(items.len(), n),
            Ask::Recv | Ask::Items | Ask::Ahead(_) => assert_eq!(items.len(), 1),
            Ask::ReadSome(n) => assert!((1..=n).contains(&items.len())),
            Ask::ReadAll => assert_eq!(items.len() + early.len(), ITEMS),
            Ask::ReadOnce => {}
        }
        early.extend(items);
        let (items, end) = rest(&mut reader).await;
        assert_eq!(end, Why::Closed);
        early.extend(items);
    };
    converse(write, read);
    assert!(early.iter().map(|item| item.id).eq(0..ITEMS), "{early:?}");
    drop((early, reader));
    census.assert_settled();
}

/// The items that a read had gathered before it was forgotten are for the next request, of any kind.
#[test]
fn a_forgotten_read_loses_nothing_of_what_it_had() {
    for next in 0..5 {
        let (mut writer, mut reader) = handover::stream();
        let mut write = writer.write([0, 1, 2, 3]);
        pend(&mut reader.read(4));
        pend(&mut write);
        assert_eq!(ready(&mut reader.recv()), Ok(0)); // three are left
        assert!(ready(&mut write).is_ok());
        drop(write);
        let mut read = reader.read(5);
        pend(&mut read);
        mem::forget(read);
        writer.finish().unwrap();
        let rest: Vec<_> = match next {
            0 => reader.read_all().wait().unwrap(),
            1 => reader.read(50).wait().unwrap(),
            2 => reader.iter().collect(),
            3 => reader.read_once().wait().unwrap().collect(),
            _ => {
                let mut into = Vec::new();
                assert_eq!(reader.read_into(2, &mut into).wait(), Ok(2));
                into.extend(reader.chunks(3).flatten());
                into
            }
        };
        assert_eq!(rest, [1, 2, 3]);
    }
}

#[test]
fn reads_cancelled_again_and_again_lose_nothing() {
    // Each request is polled once and dropped, of another kind each time, until one is done.
    for shift in 0..Ask::SMALL.len() {
        for stride in [1, 5, 7, 11] {
            let (mut writer, mut reader) = stream();
            let census = Census::new();
            let mut write = Box::pin(async {
                for _ in 0..5 {
                    writer.write_local((0..4).map(|_| census.make())).await.unwrap();
                    writer.send(census.make()).await.unwrap();
                }
                writer.finish().unwrap();
            });
            let mut is_written = false;
            let mut got = Vec::new();
            let mut kind = shift;
            for _ in 0..1000 {
                kind += stride;
                let ask = Ask::SMALL[kind % Ask::SMALL.len()];
                if let Poll::Ready(items) = poll_once(&mut begin(&mut reader, ask)) {
                    got.extend(items.into_iter().flatten());
                }
                is_written = is_written || poll_once(&mut write).is_ready();
            }
            assert!(is_written);
            assert!(got.iter().map(|item| item.id).eq(0..25), "{shift} {stride}: {got:?}");
            assert_eq!(reader.end(), Some(Why::Closed));
            drop(got);
            census.assert_settled();
        }
    }
}

#[test]
fn a_batch_of_the_same_request_is_gathered_over_its_cancels() {
    let (mut writer, mut reader) = stream();
    for n in 0..5 {
        pend(&mut reader.read(6));
        writer.send(n).now().unwrap();
    }
    let mut send = writer.send(5);
    pend(&mut send);
    assert_eq!(ready(&mut reader.read(6)).unwrap(), [0, 1, 2, 3, 4, 5]);
    ready(&mut send).unwrap();
}

#[test]
fn a_used_half_batch_answers_each_request() {
    for what in Ask::SMALL {
        for used in 0..4 {
            let (mut writer, mut reader) = stream();
            pend(&mut reader.read_once());
            let mut write = writer.write(0..6);
            pend(&mut write);
            let batch = ready(&mut reader.read_once()).unwrap();
            assert!(batch.take(used).eq(0..used));
            ready(&mut write).unwrap();
            drop(write);
            writer.finish().unwrap();
            let mut got = ready(&mut begin(&mut reader, what)).unwrap();
            while let Some(items) = ready(&mut begin(&mut reader, what)) {
                if items.is_empty() {
                    break;
                }
                got.extend(items);
            }
            // The items that `Ahead` has not given are left in the reader when `Ahead` is dropped.
            got.extend(ready(&mut Box::pin(rest(&mut reader))).0);
            assert!(got.into_iter().eq(used..6), "{what:?} {used}");
        }
    }
}

#[test]
fn a_cancelled_read_wakes_nobody_later() {
    for what in Ask::SMALL {
        let (bell, waker) = Bell::new();
        let (mut writer, mut reader) = stream();
        let mut asked = begin(&mut reader, what);
        assert!(poll_with(&mut asked, &waker).is_pending());
        drop(asked);
        _ = poll_once(&mut writer.send(1));
        drop(writer);
        assert_eq!(bell.rings(), 0, "{what:?}");
    }
}

// A stream that is dropped between two polls leaves its request, as every other read does.
#[test]
fn a_stream_that_waits_again_and_again_is_one_request() {
    let (mut writer, mut reader) = stream();
    let calls = RefCell::new(0);
    let (bell, waker) = Bell::new();
    let context = &mut Context::from_waker(&waker);
    let mut chunks = reader.chunks(2).into_stream();
    for _ in 0..3 {
        assert!(Pin::new(&mut chunks).poll_next(context).is_pending());
    }
    let mut write = writer.write_local(iter::from_fn(|| {
        *calls.borrow_mut() += 1;
        Some(*calls.borrow())
    }));
    pend(&mut write);
    assert_eq!(bell.rings(), 1);
    assert_eq!(*calls.borrow(), 2);
    assert_eq!(Pin::new(&mut chunks).poll_next(context), Poll::Ready(Some(vec![1, 2])));
    let noop = &mut Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut chunks).poll_next(noop).is_pending());
    drop(chunks);
    pend(&mut write);
    assert_eq!(ready(&mut reader.recv()), Ok(3));
    assert_eq!(ready(&mut reader.recv()), Ok(4));
}

// ---- one request after another

#[test]
fn a_flush_ends_a_read_also_after_another_one_was_given_up() {
    let _dog = Watchdog::new();
    let (mut writer, mut reader) = handover::stream();
    assert!(reader.read(10).now().is_err());
    writer.write([1, 2, 3]).now().unwrap();
    let mut read = reader.read(20);
    pend(&mut read);
    let mut flush = writer.flush();
    pend(&mut flush);
    assert_eq!(ready(&mut read).unwrap(), [1, 2, 3]);
    ready(&mut flush).unwrap();
}

#[test]
fn another_request_does_not_wait_for_as_many_as_the_cancelled_one() {
    for second in
        Ask::SMALL.into_iter().filter(|ask| !ask.gathers() || matches!(ask, Ask::Ahead(_)))
    {
        let (mut writer, mut reader) = stream();
        pend(&mut reader.read(5));
        writer.send(0).now().unwrap();
        let mut asked = begin(&mut reader, second);
        pend(&mut asked);
        // The writer's next call hands over the batch in hand.
        let mut send = writer.send(1);
        pend(&mut send);
        assert_eq!(ready(&mut asked), Some(vec![0]), "{second:?}");
    }
}

#[test]
fn a_request_that_nobody_has_seen_is_withdrawn_for_another_one() {
    for second in Ask::SMALL.into_iter().filter(|ask| !ask.gathers()) {
        let (mut writer, mut reader) = stream();
        pend(&mut reader.read(5));
        let mut asked = begin(&mut reader, second);
        pend(&mut asked);
        let mut send = writer.send(0);
        pend(&mut send);
        assert_eq!(ready(&mut asked), Some(vec![0]), "{second:?}");
        ready(&mut send).unwrap();
    }
}

#[test]
fn a_writer_that_is_to_hand_over_what_it_has_stops_between_two_items() {
    let (mut writer, reader) = stream();
    let reader = RefCell::new(reader);
    pend(&mut reader.borrow_mut().read(5));
    let mut n = 0;
    let mut write = writer.write_local(iter::from_fn(|| {
        n += 1;
        if n == 3 {
            pend(&mut reader.borrow_mut().recv());
        }
        Some(n)
    }));
    pend(&mut write);
    assert_eq!(ready(&mut reader.borrow_mut().read_some(5)).unwrap(), [1, 2, 3]);
}

#[test]
fn a_writer_that_is_to_hand_over_what_it_has_pulls_nothing_more() {
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(5));
    writer.write_local(iter::empty()).now().unwrap();
    pend(&mut reader.recv());
    let mut n = 0;
    let mut write = writer.write_local(iter::from_fn(|| {
        n += 1;
        Some(n)
    }));
    pend(&mut write);
    // The first answer is empty; the next one has the item that was asked for.
    pend(&mut reader.recv());
    pend(&mut write);
    assert_eq!(ready(&mut reader.recv()), Ok(1));
    drop(write);
    assert_eq!(n, 1);
}
