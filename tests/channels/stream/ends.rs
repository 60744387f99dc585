//! How an end leaves, and what its peer is told and given back.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::requests::*;
use crate::support::thread;
use crate::support::*;
use handover::{Why, Writer, stream};

// ---- the end

#[test]
fn only_the_first_read_after_a_finished_stream_is_empty() {
    let _watchdog = Watchdog::new();
    let empty = [Ask::Read(2), Ask::ReadAll, Ask::ReadInto(2)];
    for first in empty {
        for how in [How::Thread, How::Task] {
            let (mut writer, mut reader) = stream();
            pend(&mut reader.read(2));
            writer.send(1).now().unwrap();
            writer.finish().unwrap();
            how.drive(async {
                assert_eq!(ask(how, &mut reader, first).await, Some(vec![1]));
                for other in Ask::ALL {
                    if !matches!(
                        other,
                        Ask::Read(_) | Ask::ReadAll | Ask::ReadInto(_) | Ask::Chunks(_)
                    ) {
                        assert_eq!(ask(how, &mut reader, other).await, None, "{other:?}");
                    }
                }
                assert_eq!(ask(how, &mut reader, first).await, Some(vec![]));
                for other in Ask::ALL {
                    assert_eq!(ask(how, &mut reader, other).await, None, "{other:?}");
                    assert_eq!(reader.end(), Some(Why::Closed));
                }
            });
        }
    }
}

#[test]
fn an_end_that_is_no_finish_is_never_an_empty_read() {
    let _watchdog = Watchdog::new();
    for panicking in [false, true] {
        for what in Ask::ALL {
            for items in [0, 1] {
                let (mut writer, mut reader) = stream();
                pend(&mut reader.read(2));
                for n in 0..items {
                    writer.send(n).now().unwrap();
                }
                assert_eq!(reader.end(), None);
                let why = if panicking { Why::Panicked } else { Why::Dropped };
                assert_eq!(
                    panicking,
                    panics(move || {
                        let _writer = writer;
                        if panicking {
                            quiet_panic();
                        }
                    })
                );
                if items > 0 {
                    let got = How::Thread.drive(ask(How::Thread, &mut reader, what));
                    assert_eq!(got, Some(vec![0]), "{what:?}");
                }
                for what in [what].into_iter().chain(Ask::ALL) {
                    let got = How::Thread.drive(ask(How::Thread, &mut reader, what));
                    assert_eq!(got, None, "{what:?}");
                    assert_eq!(reader.end(), Some(why));
                }
                assert_eq!(reader.read(1).now().unwrap_err().why(), why);
                assert_eq!(reader.recv().now().unwrap_err().why(), why);
                assert_eq!(reader.read_once().now().unwrap_err().why(), why);
                assert_eq!(reader.read_into(1, &mut vec![1]).now().unwrap_err().why(), why);
            }
        }
    }
}

#[test]
fn a_short_batch_comes_before_each_end() {
    for what in Ask::at_the_writer() {
        for finish in [true, false] {
            check(
                async |how, mut writer| {
                    how.run(writer.write(0..2)).await.unwrap();
                    if finish {
                        writer.finish().unwrap();
                    }
                },
                async |how, mut reader| {
                    let (items, end) = flat(drain(how, &mut reader, what).await);
                    let why = if finish { Why::Closed } else { Why::Dropped };
                    assert_eq!((items, end), (vec![0, 1], why), "{what:?}");
                },
            );
        }
    }
}

#[test]
fn an_end_that_was_never_used_wakes_its_peer() {
    for what in Ask::ALL {
        check(
            async |_, writer: Writer<u8>| drop(writer),
            async |how, mut reader| assert_eq!(ask(how, &mut reader, what).await, None),
        );
    }
    check(
        async |how, mut writer| {
            let error = how.run(writer.write(0..3)).await.unwrap_err();
            assert!(error.into_rest().eq(0..3));
        },
        async |_, reader| drop(reader),
    );
}

// ---- a reader that leaves

#[test]
fn a_reader_that_leaves_an_infinite_iterator_is_noticed() {
    let _watchdog = Watchdog::new();
    for leave in [Why::Dropped, Why::Closed, Why::Panicked] {
        for pairing in [Pairing::ThreadThread, Pairing::TaskTask, Pairing::TaskThread] {
            let (mut writer, mut reader) = stream();
            let pulled = AtomicUsize::new(0);
            pair(
                pairing,
                First::Server,
                async |how| {
                    let items = (0_u64..).inspect(|_| _ = pulled.fetch_add(1, SeqCst));
                    let error = how.run(writer.write_local(items)).await.unwrap_err();
                    assert_eq!(error.why(), leave);
                    // Every item comes back, in order, also those in the batch in hand.
                    let pulled = pulled.load(SeqCst) as u64;
                    assert!(error.into_rest().take(pulled as usize + 3).eq(0..pulled + 3));
                    assert!(writer.is_closed());
                },
                async |_| {
                    _ = poll_once(&mut reader.read_all());
                    until(|| pulled.load(SeqCst) > 10);
                    match leave {
                        Why::Closed => reader.close(),
                        Why::Panicked => {
                            panic_holding(reader);
                        }
                        _ => drop(reader),
                    }
                },
            );
        }
    }
}

#[test]
fn write_after_the_reader_left_gives_the_rest() {
    let _watchdog = Watchdog::new();
    for how in [How::Thread, How::Task] {
        let (mut writer, reader) = stream();
        reader.close();
        how.drive(async {
            for _ in 0..2 {
                let error = how.run(writer.write(0..4)).await.unwrap_err();
                assert_eq!(error.why(), Why::Closed);
                assert!(error.is_end());
                assert!(error.into_rest().eq(0..4));
                let error = how.run(writer.write_local(0..4)).await.unwrap_err();
                assert!(error.into_rest().eq(0..4));
                let error = how.run(writer.send(4)).await.unwrap_err();
                assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(4)));
                assert_eq!(how.run(writer.flush()).await, Ok(()), "there was nothing in hand");
            }
        });
        assert!(writer.write(0..4).now().unwrap_err().is_end());
        assert!(writer.is_closed());
        writer.finish().unwrap();
    }
}

#[test]
fn write_while_the_reader_leaves_gives_every_item_not_taken() {
    for taken in 0..6 {
        check(
            async |how, mut writer| {
                let error = how.run(writer.write(0..10)).await.unwrap_err();
                assert_eq!(error.why(), Why::Dropped);
                assert!(error.into_rest().eq(taken..10), "{taken}");
            },
            async |how, mut reader| match taken {
                0 => {}
                4 => _ = how.run(reader.read(4)).await.unwrap(),
                5 => {
                    assert_eq!(how.run(reader.recv()).await, Ok(0));
                    assert_eq!(how.run(reader.read(4)).await.unwrap(), [1, 2, 3, 4]);
                }
                n => {
                    for n in 0..n {
                        assert_eq!(how.run(reader.recv()).await, Ok(n));
                    }
                }
            },
        );
    }
}

#[test]
fn a_reader_that_leaves_is_noticed_under_each_request() {
    let _watchdog = Watchdog::new();
    for what in Ask::SMALL {
        for how in [How::Thread, How::Task] {
            let (mut writer, mut reader) = stream();
            let pulled = AtomicUsize::new(0);
            // The first item is made when the reader has been polled, so that nothing is there for it before it leaves.
            let is_asked = AtomicBool::new(false);
            let items = iter::from_fn(|| {
                until(|| is_asked.load(SeqCst));
                Some(pulled.fetch_add(1, SeqCst))
            });
            thread::scope(|scope| {
                let write =
                    scope.spawn(|| how.drive(how.run(writer.write_local(items))).unwrap_err());
                pend(&mut begin(&mut reader, what));
                is_asked.store(true, SeqCst);
                until(|| pulled.load(SeqCst) > 0);
                drop(reader);
                let error = write.join().unwrap();
                assert_eq!(error.why(), Why::Dropped);
                let mut rest = error.into_rest();
                assert!(rest.by_ref().take(5).eq(0..5), "{what:?}: nothing had been taken");
            });
        }
    }
}

// ---- what comes back

#[test]
fn flush_after_the_reader_left_keeps_the_batch_for_finish() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(5));
    writer.write([1, 2]).now().unwrap();
    drop(reader);
    for _ in 0..2 {
        assert_eq!(writer.flush().now().unwrap_err().why(), Why::Dropped);
    }
    let error = writer.finish().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Dropped, Some(vec![1, 2])));
}

#[test]
fn finish_gives_back_the_batch_in_hand() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(5));
    writer.send(1).now().unwrap();
    writer.write(2..4).now().unwrap();
    reader.close();
    let error = writer.send(4).now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(4)));
    let error = writer.finish().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(vec![1, 2, 3])));
}

#[test]
fn a_failed_write_gives_back_what_lay_in_hand_first() {
    let _watchdog = Watchdog::new();
    for leave in 0..3 {
        let (mut writer, mut reader) = stream();
        pend(&mut reader.read(6));
        writer.send(0).now().unwrap();
        writer.send(1).now().unwrap();
        writer.write_local(2..4).now().unwrap();
        let error = match leave {
            0 => {
                drop(reader);
                writer.write(4..8).now().unwrap_err()
            }
            1 => {
                // The batch is full and lies in the slot.
                let mut write = writer.write(4..8);
                pend(&mut write);
                drop(reader);
                ready(&mut write).unwrap_err()
            }
            _ => writer.write(4..8).now().unwrap_err(),
        };
        assert_eq!(error.why(), if leave == 2 { Why::NotReady } else { Why::Dropped });
        assert!(error.into_rest().eq(0..8), "{leave}");
        writer.finish().unwrap();
    }
}

#[test]
fn an_iterator_that_goes_over_whole_comes_back_whole() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read_once());
    let steps = Arc::new(AtomicUsize::new(0));
    let error = writer.write(counted(&steps, &Arc::default())).now().unwrap_err();
    assert!(error.is_not_ready());
    assert_eq!(steps.load(SeqCst), 0);
    let mut rest = error.into_rest();
    assert!(rest.by_ref().take(3).eq(0..3));
    let mut write = writer.write(rest);
    pend(&mut write);
    drop(reader);
    assert!(ready(&mut write).unwrap_err().into_rest().take(2).eq(3..5));
}

#[test]
fn a_send_that_was_taken_is_done_although_the_reader_left() {
    for what in Ask::SMALL {
        let (mut writer, mut reader) = stream();
        pend(&mut begin(&mut reader, what));
        let mut send = writer.send(1);
        if poll_once(&mut send).is_pending() {
            assert_eq!(ready(&mut begin(&mut reader, what)), Some(vec![1]));
            drop(reader);
            ready(&mut send).unwrap();
        }
    }
}

#[test]
fn a_write_that_was_taken_is_done_although_the_reader_left() {
    for what in [Ask::Read(3), Ask::ReadSome(3), Ask::ReadInto(3), Ask::ReadOnce, Ask::Ahead(3)] {
        for local in [false, true] {
            let (mut writer, mut reader) = stream();
            pend(&mut begin(&mut reader, what));
            let mut write: Asked<'_, bool> = if local {
                Box::pin(async { writer.write_local(0..3).await.is_ok() })
            } else {
                Box::pin(async { writer.write(0..3).await.is_ok() })
            };
            pend(&mut write);
            let items = ready(&mut begin(&mut reader, what)).unwrap();
            drop(reader);
            let all = !(local && what == Ask::ReadOnce);
            assert_eq!(items.len(), if all && !matches!(what, Ask::Ahead(_)) { 3 } else { 1 });
            assert_eq!(ready(&mut write), all, "{what:?} {local}");
        }
    }
}

#[test]
fn a_flush_that_was_taken_is_done_although_the_reader_left() {
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(3));
    writer.send(1).now().unwrap();
    let mut flush = writer.flush();
    pend(&mut flush);
    assert_eq!(ready(&mut reader.read(3)).unwrap(), [1]);
    drop(reader);
    ready(&mut flush).unwrap();
}
