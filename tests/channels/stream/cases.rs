//! The cases that must work, each in every pairing of thread and task, either end first.

use std::iter;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::requests::*;
use crate::support::thread;
use crate::support::*;
use futures_core::{FusedStream as _, Stream as _};
use futures_lite::StreamExt as _;
use handover::{Reader, Why, Writer, stream};

// ---- from the original

#[test]
fn a_transformer_between_two_streams_takes_two_and_yields_one() {
    let _watchdog = Watchdog::new();
    for way in 0..TRIPLES {
        let (mut out, mut items) = stream::<String>();
        let (mut combined_out, mut combined) = stream::<String>();
        let got = Mutex::new(Vec::new());
        let got = &got;
        triple(
            way,
            async move |how| {
                for n in 1..=4 {
                    how.run(out.send(format!("Item {n}"))).await.unwrap();
                }
                out.finish().unwrap();
            },
            async move |how| {
                while let Ok([a, b]) = how.run(items.read(2)).await.as_deref() {
                    how.run(combined_out.send(format!("Combining: {a} {b}"))).await.unwrap();
                }
                assert_eq!(items.end(), Some(Why::Closed));
                combined_out.finish().unwrap();
            },
            async move |how| {
                *got.lock().unwrap() = how.run(combined.read_all()).await.unwrap();
            },
        );
        assert_eq!(*got.lock().unwrap(), ["Combining: Item 1 Item 2", "Combining: Item 3 Item 4"]);
    }
}

#[test]
fn write_against_read_all_gives_all_and_the_writer_returns() {
    check(
        async |how, mut writer| {
            how.run(writer.write(0..10)).await.unwrap();
            writer.finish().unwrap();
        },
        async |how, mut reader| {
            assert_eq!(how.run(reader.read_all()).await.unwrap(), (0..10).collect::<Vec<_>>());
        },
    );
}

// ---- derived

#[test]
fn read_all_then_the_end_without_a_further_demand_is_empty_once() {
    check(
        async |how, mut writer| {
            how.run(writer.write(0..10)).await.unwrap();
            writer.finish().unwrap();
        },
        async |how, mut reader| {
            assert_eq!(how.run(reader.read_all()).await.unwrap(), (0..10).collect::<Vec<_>>());
            assert_eq!(how.run(reader.read_all()).await.unwrap().len(), 0);
            for _ in 0..3 {
                assert_eq!(how.run(reader.read_all()).await.unwrap_err().why(), Why::Closed);
            }
        },
    );
}

#[test]
fn read_three_over_ten() {
    check(
        async |how, mut writer| {
            how.run(writer.write(0..10)).await.unwrap();
            writer.finish().unwrap();
        },
        async |how, mut reader| {
            for batch in [&[0, 1, 2][..], &[3, 4, 5], &[6, 7, 8], &[9], &[]] {
                assert_eq!(how.run(reader.read(3)).await.unwrap(), batch);
            }
        },
    );
}

#[test]
fn read_five_over_ten() {
    check(
        async |how, mut writer| {
            how.run(writer.write(0..10)).await.unwrap();
            writer.finish().unwrap();
        },
        async |how, mut reader| {
            for batch in [&[0, 1, 2, 3, 4][..], &[5, 6, 7, 8, 9], &[]] {
                assert_eq!(how.run(reader.read(5)).await.unwrap(), batch);
            }
        },
    );
}

#[test]
fn read_zero_is_empty_at_once_before_and_after_the_end() {
    let _watchdog = Watchdog::new();
    for how in [How::Thread, How::Task] {
        let (writer, mut reader) = stream::<u8>();
        let mut into = vec![7];
        let mut zeros = |reader: &mut Reader<u8>| {
            how.drive(async {
                assert_eq!(how.run(reader.read(0)).await.unwrap().len(), 0);
                assert_eq!(how.run(reader.read_some(0)).await.unwrap().len(), 0);
                assert_eq!(how.run(reader.read_into(0, &mut into)).await, Ok(0));
            });
            assert_eq!(reader.read(0).now().unwrap().len(), 0);
            assert_eq!(reader.chunks(0).next(), None);
            assert_eq!(into, [7]);
        };
        zeros(&mut reader);
        writer.finish().unwrap();
        zeros(&mut reader);
        assert_eq!(reader.end(), None, "read(0) asks nobody");
        // It does not use up the one empty read.
        assert_eq!(reader.read(1).now().unwrap().len(), 0);
        zeros(&mut reader);
        assert_eq!(reader.read(1).now().unwrap_err().why(), Why::Closed);
        zeros(&mut reader);
    }
}

async fn sends_and_writes(how: How, mut writer: Writer<i32>) {
    how.run(writer.send(0)).await.unwrap();
    how.run(writer.write([1, 2])).await.unwrap();
    how.run(writer.send(3)).await.unwrap();
    how.run(writer.write(4..7)).await.unwrap();
    writer.finish().unwrap();
}

#[test]
fn sends_and_writes_under_each_request() {
    let one_each: Vec<_> = (0..7).map(|n| vec![n]).collect();
    let threes = vec![vec![0, 1, 2], vec![3, 4, 5], vec![6]];
    let writes = vec![vec![0], vec![1, 2], vec![3], vec![4, 5, 6]];
    for (what, expected) in [
        (Ask::ReadOnce, &writes),
        (Ask::ReadSome(100), &writes),
        (Ask::ReadSome(3), &writes),
        (Ask::ReadSome(2), &vec![vec![0], vec![1, 2], vec![3], vec![4, 5], vec![6]]),
        (Ask::Items, &one_each),
        (Ask::Recv, &one_each),
        (Ask::ReadSome(1), &one_each),
        (Ask::Read(1), &one_each),
        (Ask::Chunks(3), &threes),
        (Ask::Read(3), &threes),
        (Ask::ReadInto(3), &threes),
        (Ask::ReadAll, &vec![(0..7).collect()]),
        (Ask::Ahead(2), &vec![(0..7).collect()]),
    ] {
        check(sends_and_writes, async |how, mut reader| {
            let (batches, end) = drain(how, &mut reader, what).await;
            assert_eq!((&batches, end), (expected, Why::Closed), "{what:?}");
        });
    }
}

#[test]
fn write_local_comes_in_batches_of_one_under_read_once() {
    check(
        async |how, mut writer| {
            let items = [1, 2, 3];
            how.run(writer.write_local(items.iter().copied())).await.unwrap();
            how.run(writer.write_local(iter::empty())).await.unwrap();
            writer.finish().unwrap();
        },
        async |how, mut reader| {
            let drained = drain(how, &mut reader, Ask::ReadOnce).await;
            assert_eq!(drained, (vec![vec![1], vec![2], vec![3]], Why::Closed));
        },
    );
}

#[test]
fn one_write_under_requests_of_four_kinds() {
    check(
        async |how, mut writer| {
            how.run(writer.write(0..10)).await.unwrap();
            writer.finish().unwrap();
        },
        async |how, mut reader| {
            for n in 0..3 {
                assert_eq!(ask(how, &mut reader, Ask::Items).await, Some(vec![n]));
            }
            assert_eq!(ask(how, &mut reader, Ask::Read(3)).await, Some(vec![3, 4, 5]));
            assert_eq!(ask(how, &mut reader, Ask::ReadOnce).await, Some(vec![6, 7, 8, 9]));
            assert_eq!(ask(how, &mut reader, Ask::Items).await, None);
            assert_eq!(reader.end(), Some(Why::Closed));
        },
    );
}

#[test]
fn an_infinite_iterator_is_pulled_as_it_is_asked_for() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (mut writer, mut reader) = stream();
        let steps = Arc::new(AtomicUsize::new(0));
        let place = Arc::new(Mutex::new(None));
        let items = counted(&steps, &place);
        let pulled = || steps.load(SeqCst);
        pair(
            pairing,
            first,
            async move |how| {
                let error = how.run(writer.write(items)).await.err();
                // The iterator was taken as a whole, unless the reader left before that.
                assert!(error.is_none());
            },
            async |how| {
                for n in 0..3 {
                    assert_eq!(how.run(reader.recv()).await, Ok(n));
                    assert_eq!(pulled(), n + 1, "one step a demand");
                }
                assert_eq!(how.run(reader.read(4)).await.unwrap(), [3, 4, 5, 6]);
                assert_eq!(pulled(), 7, "n steps for n items");
                assert_eq!(how.run(reader.read_some(2)).await.unwrap(), [7, 8]);
                assert_eq!(pulled(), 9);
                let batch = how.run(reader.read_once()).await.unwrap();
                assert_eq!(pulled(), 9, "no step before the batch is used");
                assert!(batch.take(2).eq([9, 10]));
                assert_eq!(pulled(), 11);
                assert_eq!(*place.lock().unwrap(), Some(thread::current().id()), "at the reader");
                assert_eq!(how.run(reader.recv()).await, Ok(11), "what the batch left");
                assert_eq!(how.run(reader.read(3)).await.unwrap(), [12, 13, 14]);
                assert!(how.run(reader.read_once()).await.unwrap().take(2).eq([15, 16]));
                assert_eq!(ask(how, &mut reader, Ask::Chunks(2)).await, Some(vec![17, 18]));
                assert_eq!(pulled(), 19);
            },
        );
    });
}

#[test]
fn one_step_a_demand_is_made_only_when_it_is_asked() {
    let _watchdog = Watchdog::new();
    for demands in 1..4 {
        let (mut writer, mut reader) = stream();
        let steps = Arc::new(AtomicUsize::new(0));
        let mut write = writer.write(counted(&steps, &Arc::default()));
        pend(&mut write);
        assert_eq!(steps.load(SeqCst), 0, "nothing is made that is not asked for");
        for demand in 0..demands {
            let mut recv = reader.recv();
            pend(&mut recv);
            pend(&mut write);
            assert_eq!(steps.load(SeqCst), demand + 1);
            assert_eq!(ready(&mut recv), Ok(demand));
            drop(recv);
            pend(&mut write);
            pend(&mut write);
            assert_eq!(steps.load(SeqCst), demand + 1);
        }
        drop(reader);
        let mut rest = ready(&mut write).unwrap_err().into_rest();
        assert_eq!(rest.next(), Some(demands));
    }
}

#[test]
fn empty_writes_are_seen_by_read_once_alone() {
    for what in Ask::ALL {
        check(
            async |how, mut writer: Writer<u8>| {
                how.run(writer.write([])).await.unwrap();
                how.run(writer.write([1, 2])).await.unwrap();
                how.run(writer.write([])).await.unwrap();
                how.run(writer.write([])).await.unwrap();
                how.run(writer.send(3)).await.unwrap();
                how.run(writer.write([])).await.unwrap();
                writer.finish().unwrap();
            },
            async |how, mut reader| {
                let (batches, end) = drain(how, &mut reader, what).await;
                assert_eq!(end, Why::Closed);
                if what == Ask::ReadOnce {
                    assert_eq!(batches, [&[][..], &[1, 2], &[], &[], &[3], &[]]);
                } else {
                    assert!(batches.iter().all(|batch| !batch.is_empty()), "{what:?}: {batches:?}");
                    assert_eq!(batches.concat(), [1, 2, 3], "{what:?}");
                }
            },
        );
    }
}

// ---- flush

#[test]
fn flush_hands_over_fewer_than_asked() {
    for what in [Ask::Read(5), Ask::ReadInto(5), Ask::Chunks(5)] {
        check(
            async |how, mut writer| {
                how.run(writer.flush()).await.unwrap();
                how.run(writer.write([1, 2])).await.unwrap();
                how.run(writer.flush()).await.unwrap();
                how.run(writer.flush()).await.unwrap();
                how.run(writer.write([3, 4, 5, 6, 7, 8])).await.unwrap();
                how.run(writer.flush()).await.unwrap();
                how.run(writer.send(9)).await.unwrap();
                writer.finish().unwrap();
            },
            async |how, mut reader| {
                let (batches, end) = drain(how, &mut reader, what).await;
                assert_eq!(batches, [&[1, 2][..], &[3, 4, 5, 6, 7], &[8], &[9]]);
                assert_eq!(end, Why::Closed);
            },
        );
    }
}

#[test]
fn flush_does_not_end_read_all() {
    check(
        async |how, mut writer| {
            for n in 0..4 {
                how.run(writer.send(n)).await.unwrap();
                how.run(writer.flush()).await.unwrap();
            }
            writer.finish().unwrap();
        },
        async |how, mut reader| {
            assert_eq!(how.run(reader.read_all()).await.unwrap(), [0, 1, 2, 3]);
        },
    );
}

// ---- ends as iterators and streams

#[test]
fn an_end_is_an_iterator_and_a_stream() {
    check(
        async |how, mut writer| {
            how.run(writer.write(0..6)).await.unwrap();
            writer.finish().unwrap();
        },
        async |how, mut reader| match how {
            How::Thread => {
                let mut got = vec![];
                for n in &mut reader {
                    got.push(n);
                    if n == 1 {
                        break;
                    }
                }
                got.extend(reader.iter().take(1));
                got.extend(reader.ahead(2).take(1));
                let mut items = reader.into_iter();
                got.extend(items.by_ref());
                assert_eq!(items.end(), Some(Why::Closed));
                assert_eq!(items.next(), None);
                assert_eq!(got, [0, 1, 2, 3, 4, 5]);
            }
            How::Task => {
                let mut got = vec![];
                got.extend(reader.stream().next().await);
                got.extend(reader.ahead(2).into_stream().next().await);
                got.extend(reader.chunks(2).into_stream().next().await.into_iter().flatten());
                let mut items = reader.into_stream();
                assert!(!items.is_terminated());
                while let Some(n) = items.next().await {
                    got.push(n);
                }
                assert!(items.is_terminated());
                assert_eq!(items.end(), Some(Why::Closed));
                assert_eq!(items.next().await, None);
                assert_eq!(got, [0, 1, 2, 3, 4, 5]);
            }
        },
    );
}

#[test]
fn a_stream_of_ahead_asks_again_while_its_batch_is_used() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = stream();
    let steps = Arc::new(AtomicUsize::new(0));
    let mut write = writer.write(counted(&steps, &Arc::default()));
    let mut ahead = reader.ahead(3).into_stream();
    let context = &mut Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut ahead).poll_next(context).is_pending());
    pend(&mut write);
    assert_eq!(steps.load(SeqCst), 3);
    assert_eq!(Pin::new(&mut ahead).poll_next(context), Poll::Ready(Some(0)));
    pend(&mut write);
    assert_eq!(steps.load(SeqCst), 6, "the next batch was asked for with the first item");
    for n in 1..3 {
        assert_eq!(Pin::new(&mut ahead).poll_next(context), Poll::Ready(Some(n)));
        pend(&mut write);
        assert_eq!(steps.load(SeqCst), 6);
    }
    drop(ahead);
    // The items that `ahead` had asked for are for the next request.
    assert_eq!(reader.recv().now(), Ok(3));
    pend(&mut write);
    assert_eq!(reader.read(2).now().unwrap(), [4, 5]);
    assert_eq!(steps.load(SeqCst), 6);
}
