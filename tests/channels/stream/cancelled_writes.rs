//! Writes that are given up: nothing is lost, and nothing comes twice.

use std::iter;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;
use std::time::Duration;

use super::requests::*;
use crate::support::*;
use handover::{Sel2, Why, rendezvous, select, stream};

#[test]
fn a_cancelled_write_of_each_kind_under_each_request_is_withdrawn_or_delivered() {
    for deed in Deed::ALL {
        for what in Ask::SMALL {
            for is_asked in [false, true] {
                for is_taken in [false, true] {
                    for forget in [false, true] {
                        cancel_then_write(deed, what, is_asked, is_taken, forget);
                    }
                }
            }
        }
    }
}

fn cancel_then_write(deed: Deed, what: Ask, is_asked: bool, is_taken: bool, forget: bool) {
    let _context = Place(format!("{deed:?} {what:?} {is_asked} {is_taken} {forget}"));
    let (mut writer, mut reader) = stream();
    let census = Census::new();
    let mut got = Vec::new();
    if is_asked {
        pend(&mut begin(&mut reader, what));
    }
    let in_hand = deed == Deed::Flush && is_asked && what.gathers();
    if in_hand {
        assert!(ready(&mut begin_deed(&mut writer, Deed::Send, &census)));
    }
    let mut write = begin_deed(&mut writer, deed, &census);
    let is_done = poll_once(&mut write).is_ready();
    if is_taken {
        if let Poll::Ready(items) = poll_once(&mut begin(&mut reader, what)) {
            got.extend(items.into_iter().flatten());
        }
    }
    if forget {
        mem::forget(write);
    } else {
        drop(write);
    }
    let made = census.made();
    // The next writes go on as if nothing had been given up.
    let (_, (items, end)) = converse(
        async {
            for deed in [Deed::Send, Deed::WriteLocal, Deed::Flush, Deed::Write] {
                assert!(begin_deed(&mut writer, deed, &census).await);
            }
            writer.finish().unwrap();
        },
        rest(&mut reader),
    );
    got.extend(items);
    assert_eq!(end, Why::Closed);
    let ids: Vec<_> = got.iter().map(|item| item.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "in order, and none twice: {ids:?}");
    assert!(ids.ends_with(&(made..census.made()).collect::<Vec<_>>()), "{ids:?} of {made}");
    if is_done || in_hand {
        // The items that were accepted are delivered.
        assert_eq!(ids, (0..census.made()).collect::<Vec<_>>());
    }
    drop((got, reader));
    if !forget {
        census.assert_settled();
    }
}

#[test]
fn items_that_a_cancelled_write_had_pulled_are_not_lost() {
    for what in Ask::SMALL {
        for local in [false, true] {
            for taken in 0..3 {
                let (mut writer, mut reader) = stream();
                let source = Arc::new(AtomicUsize::new(0));
                let items = {
                    let source = Arc::clone(&source);
                    iter::from_fn(move || Some(source.fetch_add(1, SeqCst)))
                };
                let mut got = Vec::new();
                let mut write = Job::new(async {
                    if local {
                        writer.write_local(items.take(7)).await.unwrap();
                    } else {
                        writer.write(items.take(7)).await.unwrap();
                    }
                });
                for _ in 0..taken {
                    let mut asked = begin(&mut reader, what);
                    pend_or(&mut asked, &mut got);
                    _ = poll_once(&mut write);
                    drop(asked);
                    if let Poll::Ready(items) = poll_once(&mut begin(&mut reader, what)) {
                        got.extend(items.into_iter().flatten());
                    }
                }
                _ = poll_once(&mut begin(&mut reader, what))
                    .map(|items| got.extend(items.into_iter().flatten()));
                _ = poll_once(&mut write);
                let whole = what == Ask::ReadOnce && !local;
                drop(write);
                let pulled = source.load(SeqCst);
                // The next write comes after the pulled items.
                let (_, (items, end)) = converse(
                    async {
                        writer.send(100).await.unwrap();
                        writer.finish().unwrap();
                    },
                    rest(&mut reader),
                );
                got.extend(items);
                assert_eq!(end, Why::Closed);
                if !whole {
                    assert!(
                        got.iter().copied().eq((0..pulled).chain([100])),
                        "{what:?} {local} {taken}: {got:?} of {pulled}"
                    );
                }
            }
        }
    }
}

fn pend_or<'a, T: 'a>(asked: &mut Asked<'a, Option<Vec<T>>>, got: &mut Vec<T>) {
    if let Poll::Ready(items) = poll_once(asked) {
        got.extend(items.into_iter().flatten());
        // A finished future is not polled again.
        *asked = Box::pin(std::future::pending());
    }
}

#[test]
fn reclaim_tells_whether_a_send_was_taken() {
    for what in Ask::SMALL {
        for is_asked in [false, true] {
            for is_taken in [false, true] {
                let (mut writer, mut reader) = stream();
                let census = Census::new();
                if is_asked {
                    pend(&mut begin(&mut reader, what));
                }
                let mut send = writer.send(census.make());
                let is_accepted = poll_once(&mut send).is_ready();
                let got =
                    if is_taken { poll_once(&mut begin(&mut reader, what)) } else { Poll::Pending };
                let got: Vec<_> = match got {
                    Poll::Ready(items) => items.into_iter().flatten().collect(),
                    Poll::Pending => vec![],
                };
                let back = send.reclaim();
                assert_eq!(usize::from(back.is_some()) + got.len() + usize::from(is_accepted), 1);
                drop((back, got));
                let mut send = writer.send(census.make());
                _ = poll_once(&mut send);
                drop(send);
                drop((writer, reader));
                census.assert_settled();
            }
        }
    }
}

#[test]
fn a_reclaimed_item_leaves_those_before_it_in_hand() {
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(3));
    writer.send(0).now().unwrap();
    writer.send(1).now().unwrap();
    let mut send = writer.send(2);
    pend(&mut send);
    assert_eq!(send.reclaim(), Some(2));
    // A timeout and a drop do the same.
    assert_eq!(writer.send(2).now().unwrap_err().into_unsent(), Some(2));
    assert_eq!(writer.send(2).wait_timeout(Duration::ZERO).unwrap_err().into_unsent(), Some(2));
    let mut send = writer.send(2);
    pend(&mut send);
    drop(send);
    let mut send = writer.send(3);
    pend(&mut send);
    assert_eq!(ready(&mut reader.read(3)).unwrap(), [0, 1, 3]);
    ready(&mut send).unwrap();
}

#[test]
fn a_cancelled_flush_leaves_the_batch_in_hand() {
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(3));
    writer.send(0).now().unwrap();
    let mut flush = writer.flush();
    pend(&mut flush);
    drop(flush);
    assert!(writer.flush().now().unwrap_err().is_not_ready());
    assert!(writer.flush().wait_timeout(Duration::ZERO).unwrap_err().is_timed_out());
    pend(&mut reader.read(3));
    writer.send(1).now().unwrap();
    let mut send = writer.send(2);
    pend(&mut send);
    assert_eq!(ready(&mut reader.read(3)).unwrap(), [0, 1, 2]);
}

#[test]
fn a_send_that_lost_a_select_and_is_forgotten_takes_along_no_item_of_the_batch() {
    let _watchdog = Watchdog::new();
    for is_forgotten in [true, false] {
        let (mut writer, mut reader) = stream();
        let (tx, rx) = rendezvous();
        let mut read = reader.read(2);
        pend(&mut read);
        writer.send(0).now().unwrap(); // It lies in the batch, which waits for a second one.
        let mut send = writer.send(1);
        let mut choice = select((&mut send, rx.recv()));
        pend(&mut choice);
        let mut letter = tx.send("a letter");
        pend(&mut letter);
        assert_eq!(ready(&mut choice), Sel2::B(Ok("a letter")));
        drop(choice);
        if is_forgotten {
            mem::forget(send);
            writer.finish().unwrap();
        } else {
            pend(&mut send); // It goes on.
        }
        assert_eq!(ready(&mut read), Ok(vec![0, 1]), "{is_forgotten}");
    }
}
