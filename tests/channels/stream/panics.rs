//! Iterators and wakers that panic.

use std::future::{Future, poll_fn};
use std::iter;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::task::Poll;

use super::requests::*;
use crate::support::*;
use futures_lite::FutureExt as _;
use handover::{Why, stream};

// ---- an iterator

/// Gives `0..n`, then panics.
fn breaking(n: u32) -> impl Iterator<Item = u32> + Send + 'static {
    (0..=n).inspect(move |&item| {
        if item == n {
            quiet_panic();
        }
    })
}

#[test]
fn items_before_a_panic_are_delivered_and_the_peer_is_told() {
    for what in Ask::at_the_writer() {
        check(
            async |how, mut writer| {
                let write = async move { how.run(writer.write(breaking(5))).await.is_ok() };
                assert!(AssertUnwindSafe(write).catch_unwind().await.is_err());
            },
            async |how, mut reader| {
                let (items, end) = flat(drain(how, &mut reader, what).await);
                assert_eq!((items, end), ((0..5).collect(), Why::Panicked), "{what:?}");
                for again in Ask::ALL {
                    assert_eq!(ask(how, &mut reader, again).await, None, "never an empty read");
                }
            },
        );
    }
}

#[test]
fn a_caught_panic_of_an_iterator_leaves_the_writer_usable() {
    for what in Ask::at_the_writer() {
        check(
            async |how, mut writer| {
                let write = async { how.run(writer.write(breaking(2))).await.is_ok() };
                assert!(AssertUnwindSafe(write).catch_unwind().await.is_err());
                let write = async { how.run(writer.write_local(breaking(0))).await.is_ok() };
                assert!(AssertUnwindSafe(write).catch_unwind().await.is_err());
                how.run(writer.write(2..4)).await.unwrap();
                writer.finish().unwrap();
            },
            async |how, mut reader| {
                let drained = flat(drain(how, &mut reader, what).await);
                assert_eq!(drained, ((0..4).collect(), Why::Closed), "{what:?}");
            },
        );
    }
}

#[test]
fn a_panic_of_an_iterator_at_the_reader_stays_there() {
    check(
        async |how, mut writer| {
            how.run(writer.write(breaking(2))).await.unwrap();
            how.run(writer.send(10)).await.unwrap();
            writer.finish().unwrap();
        },
        async |how, mut reader| {
            let mut batch = how.run(reader.read_once()).await.unwrap();
            assert_eq!(batch.next(), Some(0));
            // The items that were gathered before the panic are for the next request.
            let read = async { how.run(reader.read(3)).await };
            assert!(AssertUnwindSafe(read).catch_unwind().await.is_err());
            assert_eq!(how.run(reader.recv()).await, Ok(1));
            assert_eq!(how.run(reader.recv()).await, Ok(10));
            assert_eq!(how.run(reader.recv()).await.unwrap_err().why(), Why::Closed);
        },
    );
}

/// Gives `n` items, then panics, once.
fn breaking_values<'a>(census: &'a Census, n: usize) -> impl Iterator<Item = Counted> + 'a {
    let mut left = n;
    iter::from_fn(move || {
        if left == 0 {
            quiet_panic();
        }
        left -= 1;
        Some(census.make())
    })
}

#[test]
fn an_iterator_that_panics_leaves_the_items_before_its_panic() {
    for what in Ask::SMALL {
        for before in 0..4 {
            for is_caught in [false, true] {
                let _context = Place(format!("{what:?} {before} {is_caught}"));
                let (mut writer, mut reader) = stream();
                let census = Census::new();
                let (_, got) = converse(
                    async {
                        let mut write = Box::pin(async {
                            _ = writer.write_local(breaking_values(&census, before)).await;
                        });
                        let result = poll_fn(|context| {
                            let mut polled = Poll::Pending;
                            if panics(|| polled = write.as_mut().poll(context)) {
                                return Poll::Ready(());
                            }
                            assert!(polled.is_pending(), "no panic");
                            Poll::Pending
                        })
                        .await;
                        drop(write);
                        if is_caught {
                            assert!(begin_deed(&mut writer, Deed::Send, &census).await);
                            writer.finish().unwrap();
                        } else {
                            panic_holding(writer);
                        }
                        result
                    },
                    async {
                        let mut got = Vec::new();
                        while let Some(items) = begin(&mut reader, what).await {
                            if items.is_empty() {
                                break;
                            }
                            got.extend(items);
                        }
                        got.extend(rest(&mut reader).await.0);
                        got
                    },
                );
                let count = before + usize::from(is_caught);
                assert!(got.iter().map(|item| item.id).eq(0..count), "{got:?}");
                assert_eq!(reader.end(), Some(if is_caught { Why::Closed } else { Why::Panicked }));
                drop(got);
                census.assert_settled();
            }
        }
    }
}

// ---- a waker

#[test]
fn a_reader_whose_waker_panics_loses_nothing() {
    for what in Ask::SMALL {
        for deed in [Deed::Send, Deed::Write, Deed::WriteLocal] {
            let _context = Place(format!("{what:?} {deed:?}"));
            let (mut writer, mut reader) = stream();
            let census = Census::new();
            let hook = Hook::new();
            let mut asked = begin(&mut reader, what);
            assert!(poll_with(&mut asked, &hook.waker()).is_pending());
            hook.set_panic(Moment::Wake);
            let mut write = begin_deed(&mut writer, deed, &census);
            let panicked = panics(|| poll_once(&mut write));
            drop((write, asked));
            let made = census.made();
            let (_, (items, _)) = converse(
                async {
                    assert!(begin_deed(&mut writer, Deed::Send, &census).await);
                    writer.finish().unwrap();
                },
                rest(&mut reader),
            );
            // The part of a panicked write that was not taken is withdrawn. Items that were pulled are kept, except the item of
            // a `send`.
            let ids: Vec<_> = items.iter().map(|item| item.id).collect();
            assert!(ids.is_sorted_by(|a, b| a < b) && ids.ends_with(&[made]), "{ids:?}");
            if !panicked {
                assert!(ids.iter().copied().eq(0..=made) || deed != Deed::Send, "{ids:?}");
            }
            drop(items);
            census.assert_settled();
        }
    }
}

#[test]
fn a_writer_whose_waker_panics_loses_nothing() {
    for what in Ask::SMALL {
        for first in [Deed::Send, Deed::Write, Deed::WriteLocal] {
            let _context = Place(format!("{what:?} {first:?}"));
            let (mut writer, mut reader) = stream();
            let census = Census::new();
            pend(&mut begin(&mut reader, what));
            let hook = Hook::new();
            let mut write = begin_deed(&mut writer, first, &census);
            let mut is_done = poll_with(&mut write, &hook.waker()).is_ready();
            hook.set_panic(Moment::Wake);
            let mut got = Vec::new();
            // The waker panics when the reader has taken items and wakes the writer; these items are for the next request.
            for _ in 0..20 {
                _ = panics(|| {
                    if let Poll::Ready(items) = poll_once(&mut begin(&mut reader, what)) {
                        got.extend(items.into_iter().flatten());
                    }
                });
                is_done = is_done || poll_with(&mut write, &hook.waker()).is_ready();
            }
            drop(write);
            writer.finish().unwrap();
            got.extend(ready(&mut Box::pin(rest(&mut reader))).0);
            assert!(is_done);
            assert!(got.iter().map(|item| item.id).eq(0..census.made()), "{got:?}");
            drop(got);
            census.assert_settled();
        }
    }
}

/// Polls with a waker whose clone panics, and says whether it did.
fn clone_panics<F: Future + Unpin>(future: &mut F) -> bool {
    let hook = Hook::new();
    hook.set_panic(Moment::Clone);
    let waker = hook.waker();
    panics(|| poll_with(future, &waker))
}

/// What happens to an operation whose waker's clone panicked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    GoesOn,
    Dropped,
    Reclaimed,
    Forgotten,
}

#[test]
fn an_operation_whose_wakers_clone_panics_takes_along_no_item_that_was_accepted_before() {
    for fate in [Fate::GoesOn, Fate::Dropped, Fate::Reclaimed, Fate::Forgotten] {
        let _context = Place(format!("{fate:?}"));
        let (mut writer, mut reader) = stream();
        let census = Census::new();
        let mut read = reader.read(3);
        pend(&mut read);
        assert!(writer.write([census.make(), census.make()]).now().is_ok()); // Both lie in the batch, which waits for a third one.
        let mut batch_is_full = writer.send(census.make());
        assert!(clone_panics(&mut batch_is_full));
        match fate {
            Fate::GoesOn => {
                pend(&mut batch_is_full);
                let got = ready(&mut read).unwrap();
                assert!(got.iter().map(|item| item.id).eq(0..3));
                assert!(ready(&mut batch_is_full).is_ok());
                drop(got);
                census.assert_settled();
                continue;
            }
            Fate::Dropped => drop(batch_is_full),
            Fate::Reclaimed => assert_eq!(batch_is_full.reclaim().unwrap().id, 2),
            Fate::Forgotten => mem::forget(batch_is_full),
        }
        writer.finish().unwrap();
        let got = ready(&mut read).unwrap();
        let ids: Vec<_> = got.iter().map(|item| item.id).collect();
        assert_eq!(ids, if fate == Fate::Forgotten { vec![0, 1, 2] } else { vec![0, 1] });
        drop(got);
        census.assert_settled();
    }
}

#[test]
fn a_flush_whose_wakers_clone_panics_flushes_when_it_goes_on_and_takes_nothing_along() {
    for fate in [Fate::GoesOn, Fate::Dropped, Fate::Forgotten] {
        let _context = Place(format!("{fate:?}"));
        let (mut writer, mut reader) = stream();
        let mut read = reader.read(3);
        pend(&mut read);
        _ = writer.write([0, 1]).now();
        let mut flush = writer.flush();
        assert!(clone_panics(&mut flush));
        match fate {
            Fate::GoesOn => {
                pend(&mut flush);
                assert_eq!(ready(&mut read), Ok(vec![0, 1]));
                assert_eq!(ready(&mut flush), Ok(()));
                continue;
            }
            Fate::Forgotten => mem::forget(flush),
            _ => drop(flush),
        }
        writer.finish().unwrap();
        assert_eq!(ready(&mut read), Ok(vec![0, 1]), "{fate:?}");
    }
}
