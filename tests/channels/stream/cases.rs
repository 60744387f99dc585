//! The cases of `stream()` that must work, each in every pairing of thread and task, either end first.

use std::cell::RefCell;
use std::iter;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use crate::support::*;
use futures_core::{FusedStream as _, Stream as _};
use futures_lite::future::zip;
use futures_lite::{FutureExt as _, StreamExt as _};
use handover::{Reader, Why, Writer, op, stream};

// ---- What the cases share

/// Runs a writer against a reader, in all pairings, either end first.
fn check<T: Send>(
    write: impl AsyncFn(How, Writer<T>) + Sync,
    read: impl AsyncFn(How, Reader<T>) + Sync,
) {
    let _watchdog = Watchdog::new();
    let (write, read) = (&write, &read);
    in_all_pairings(|pairing, first| {
        let (writer, reader) = stream();
        pair(
            pairing,
            first,
            async move |how| write(how, writer).await,
            async move |how| read(how, reader).await,
        );
    });
}

/// How a reader asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    Recv,
    Read(usize),
    ReadSome(usize),
    ReadInto(usize),
    ReadAll,
    ReadOnce,
    Items,
    Chunks(usize),
    Ahead(usize),
}

impl Ask {
    const ALL: [Self; 15] = [
        Self::Recv,
        Self::Read(1),
        Self::Read(3),
        Self::Read(usize::MAX),
        Self::ReadSome(1),
        Self::ReadSome(3),
        Self::ReadSome(usize::MAX),
        Self::ReadInto(3),
        Self::ReadAll,
        Self::ReadOnce,
        Self::Items,
        Self::Chunks(3),
        Self::Ahead(0),
        Self::Ahead(3),
        Self::Ahead(1000),
    ];

    /// Where the writer runs the iterator.
    fn at_the_writer() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|ask| *ask != Self::ReadOnce)
    }
}

/// Asks once. Nothing at the end.
async fn ask<T>(how: How, reader: &mut Reader<T>, ask: Ask) -> Option<Vec<T>> {
    match ask {
        Ask::Recv => how.run(reader.recv()).await.ok().map(|item| vec![item]),
        Ask::Read(n) => how.run(reader.read(n)).await.ok(),
        Ask::ReadSome(n) => how.run(reader.read_some(n)).await.ok(),
        Ask::ReadAll => how.run(reader.read_all()).await.ok(),
        Ask::ReadInto(n) => {
            let mut into = Vec::new();
            let result = how.run(reader.read_into(n, &mut into)).await;
            assert_eq!(into.len(), result.unwrap_or(0));
            result.ok().map(|_| into)
        }
        Ask::ReadOnce => how.run(reader.read_once()).await.ok().map(|batch| {
            let mut items = Vec::new();
            // Not `collect`, which believes what the iterator promises.
            batch.for_each(|item| items.push(item));
            items
        }),
        Ask::Items => {
            let item = match how {
                How::Thread => reader.iter().next(),
                How::Task => reader.stream().next().await,
            };
            item.map(|item| vec![item])
        }
        Ask::Chunks(n) => match how {
            How::Thread => reader.chunks(n).next(),
            How::Task => reader.chunks(n).into_stream().next().await,
        },
        Ask::Ahead(n) => {
            let items: Vec<_> = match how {
                How::Thread => reader.ahead(n).collect(),
                How::Task => reader.ahead(n).into_stream().collect().await,
            };
            (!items.is_empty()).then_some(items)
        }
    }
}

/// Asks again and again up to the end. Gives what came each time, and the end.
async fn drain<T>(how: How, reader: &mut Reader<T>, what: Ask) -> (Vec<Vec<T>>, Why) {
    let mut batches = Vec::new();
    while let Some(batch) = ask(how, reader, what).await {
        if batch.is_empty() && what != Ask::ReadOnce {
            // That is the end, told once.
            assert_eq!(reader.end(), Some(Why::Closed));
            assert!(ask(how, reader, what).await.is_none());
            break;
        }
        batches.push(batch);
    }
    (batches, reader.end().expect("an end"))
}

fn flat<T>((batches, end): (Vec<Vec<T>>, Why)) -> (Vec<T>, Why) {
    (batches.into_iter().flatten().collect(), end)
}

/// How many ways there are to run three bodies: each combination of thread and task, and all in one task.
const TRIPLES: u32 = 9;

/// Runs three bodies to their end, in one of the ways.
fn triple(
    way: u32,
    a: impl AsyncFnOnce(How) + Send,
    b: impl AsyncFnOnce(How) + Send,
    c: impl AsyncFnOnce(How) + Send,
) {
    if way == TRIPLES - 1 {
        return pollster::block_on(async {
            zip(zip(a(How::Task), b(How::Task)), c(How::Task)).await;
        });
    }
    let [a_how, b_how, c_how] =
        [1, 2, 4].map(|bit| if way & bit != 0 { How::Task } else { How::Thread });
    thread::scope(|scope| {
        scope.spawn(move || a_how.drive(a(a_how)));
        scope.spawn(move || b_how.drive(b(b_how)));
        c_how.drive(c(c_how));
    });
}

/// An iterator that promises what it likes.
#[derive(Clone)]
struct Promising<I>(I, (usize, Option<usize>));

impl<I: Iterator> Iterator for Promising<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.1
    }
}

/// Gives `0..n`, then panics.
fn breaking(n: u32) -> impl Iterator<Item = u32> + Send + 'static {
    (0..=n).inspect(move |&item| {
        if item == n {
            quiet_panic();
        }
    })
}

/// Counts those of its kind that live, and how many there were at the most.
struct Live(Arc<(AtomicUsize, AtomicUsize)>);

impl Live {
    fn new(census: &Arc<(AtomicUsize, AtomicUsize)>) -> Self {
        let alive = census.0.fetch_add(1, SeqCst) + 1;
        census.1.fetch_max(alive, SeqCst);
        Self(Arc::clone(census))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, SeqCst);
    }
}

// ---- From the original

#[test]
fn s2_a_transformer_between_two_streams_takes_two_and_yields_one() {
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
fn s5_write_against_read_all_gives_all_and_the_writer_returns() {
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

// ---- Derived

#[test]
fn d10_read_all_then_the_end_without_a_further_demand_is_empty_once() {
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
fn d11_read_three_over_ten() {
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
fn d12_read_five_over_ten() {
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
fn d13_read_zero_is_empty_at_once_before_and_after_the_end() {
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

async fn write_d14(how: How, mut writer: Writer<i32>) {
    how.run(writer.send(0)).await.unwrap();
    how.run(writer.write([1, 2])).await.unwrap();
    how.run(writer.send(3)).await.unwrap();
    how.run(writer.write(4..7)).await.unwrap();
    writer.finish().unwrap();
}

#[test]
fn d14_sends_and_writes_under_each_request() {
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
        check(write_d14, async |how, mut reader| {
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
fn d15_one_write_under_requests_of_four_kinds() {
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

/// Counts the steps of an iterator, and tells where they are made.
fn counted(
    steps: &Arc<AtomicUsize>,
    place: &Arc<Mutex<Option<thread::ThreadId>>>,
) -> impl Iterator<Item = usize> + Send + 'static {
    let (steps, place) = (Arc::clone(steps), Arc::clone(place));
    iter::from_fn(move || {
        *place.lock().unwrap() = Some(thread::current().id());
        Some(steps.fetch_add(1, SeqCst))
    })
}

#[test]
fn d16_an_infinite_iterator_is_pulled_as_it_is_asked_for() {
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
                // Taken as a whole, unless the reader left before that.
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
fn d17_a_reader_that_leaves_an_infinite_iterator_is_noticed() {
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
                    // Every item, in order, also those in the batch in hand.
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
                            assert!(panics(move || {
                                let _reader = reader;
                                quiet_panic();
                            }));
                        }
                        _ => drop(reader),
                    }
                },
            );
        }
    }
}

#[test]
fn d18_empty_writes_are_seen_by_read_once_alone() {
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

#[test]
fn d19_what_came_before_a_panic_is_delivered_and_the_peer_is_told() {
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
fn d19_a_caught_panic_leaves_the_writer_usable() {
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
fn d19_a_panic_at_the_reader_stays_there() {
    check(
        async |how, mut writer| {
            how.run(writer.write(breaking(2))).await.unwrap();
            how.run(writer.send(10)).await.unwrap();
            writer.finish().unwrap();
        },
        async |how, mut reader| {
            let mut batch = how.run(reader.read_once()).await.unwrap();
            assert_eq!(batch.next(), Some(0));
            // What was gathered before the panic is for the next request.
            let read = async { how.run(reader.read(3)).await };
            assert!(AssertUnwindSafe(read).catch_unwind().await.is_err());
            assert_eq!(how.run(reader.recv()).await, Ok(1));
            assert_eq!(how.run(reader.recv()).await, Ok(10));
            assert_eq!(how.run(reader.recv()).await.unwrap_err().why(), Why::Closed);
        },
    );
}

#[test]
fn d23_write_after_the_reader_left_gives_the_rest() {
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
fn d23_write_while_the_reader_leaves_gives_every_item_not_taken() {
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

// ---- Memory

const MANY: usize = 1_000_000;

#[test]
fn at_most_two_batches_are_alive_under_ahead() {
    for n in [1, 64, 1000] {
        for how in [How::Thread, How::Task] {
            let _watchdog = Watchdog::new();
            let census = Arc::default();
            let (mut writer, mut reader) = stream();
            let most = &census;
            pair(
                if how == How::Thread { Pairing::ThreadThread } else { Pairing::TaskTask },
                First::Server,
                async |how| {
                    let count = if n == 1 { MANY / 20 } else { MANY };
                    let items = (0..count).map(|_| Live::new(most));
                    how.run(writer.write_local(items)).await.unwrap();
                    writer.finish().unwrap();
                },
                async |how| {
                    let count = match how {
                        How::Thread => reader.ahead(n).count(),
                        How::Task => {
                            reader.ahead(n).into_stream().fold(0, |count, _| count + 1).await
                        }
                    };
                    assert_eq!(count, if n == 1 { MANY / 20 } else { MANY });
                },
            );
            assert_eq!(census.0.load(SeqCst), 0);
            let most = census.1.load(SeqCst);
            assert!((n..=2 * n).contains(&most), "{most} alive under ahead({n})");
        }
    }
}

#[test]
fn at_most_one_batch_is_alive_under_the_other_requests() {
    let _watchdog = Watchdog::new();
    for (what, limit, count) in [
        (Ask::Recv, 1, 20_000),
        (Ask::Items, 1, 20_000),
        (Ask::Read(500), 500, MANY),
        (Ask::ReadSome(500), 500, MANY),
        (Ask::ReadInto(500), 500, MANY),
        (Ask::Chunks(500), 500, MANY),
    ] {
        let census = Arc::default();
        let (mut writer, mut reader) = stream();
        pair(
            Pairing::ThreadThread,
            First::Server,
            async |how| {
                let items = (0..count).map(|_| Live::new(&census));
                how.run(writer.write_local(items)).await.unwrap();
                writer.finish().unwrap();
            },
            async |how| {
                let mut came = 0;
                while let Some(batch) = ask(how, &mut reader, what).await {
                    came += batch.len();
                    if batch.is_empty() {
                        break;
                    }
                }
                assert_eq!(came, count);
            },
        );
        assert_eq!(census.0.load(SeqCst), 0);
        assert_eq!(census.1.load(SeqCst), limit, "{what:?}");
    }
}

#[test]
fn nothing_is_reserved_for_what_is_only_asked_for() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = stream();
    let mut read = reader.read(usize::MAX);
    pend(&mut read);
    writer.write(0..3_u64).now().unwrap();
    // Nor for what is only promised.
    writer.write(Promising(3..6, (usize::MAX, None))).now().unwrap();
    writer.finish().unwrap();
    let items = ready(&mut read).unwrap();
    assert_eq!(items, [0, 1, 2, 3, 4, 5]);
    assert!(items.capacity() <= 1 << 14, "{}", items.capacity());
}

// ---- Bad input

#[test]
fn lying_iterators_come_whole_and_once() {
    for what in Ask::ALL {
        for promise in [
            (usize::MAX, None),
            (usize::MAX, Some(usize::MAX)),
            (usize::MAX, Some(0)),
            (0, Some(0)),
            (3, Some(2)),
            (0, None),
        ] {
            check(
                async |how, mut writer| {
                    how.run(writer.write(Promising(0..7, promise))).await.unwrap();
                    how.run(writer.write_local(Promising(7..9, promise))).await.unwrap();
                    how.run(writer.write(Promising(9..9, promise))).await.unwrap();
                    how.run(writer.send(9)).await.unwrap();
                    writer.finish().unwrap();
                },
                async |how, mut reader| {
                    let drained = flat(drain(how, &mut reader, what).await);
                    assert_eq!(drained, ((0..10).collect(), Why::Closed), "{what:?} {promise:?}");
                },
            );
        }
    }
}

#[test]
fn a_lying_iterator_comes_back_whole() {
    let _watchdog = Watchdog::new();
    for taken in 0..5 {
        let (mut writer, mut reader) = stream();
        let mut write = writer.write(Promising(0..5, (0, Some(0))));
        for n in 0..taken {
            let mut recv = reader.recv();
            pend(&mut recv);
            pend(&mut write);
            assert_eq!(ready(&mut recv), Ok(n));
            drop(recv);
            _ = poll_once(&mut write);
        }
        drop(reader);
        assert!(ready(&mut write).unwrap_err().into_rest().eq(taken..5), "{taken}");
    }
}

#[test]
fn zero_sized_items_are_counted() {
    for what in Ask::ALL {
        check(
            async |how, mut writer| {
                how.run(writer.write(iter::repeat_n((), 10))).await.unwrap();
                how.run(writer.send(())).await.unwrap();
                writer.finish().unwrap();
            },
            async |how, mut reader| {
                let (items, end) = flat(drain(how, &mut reader, what).await);
                assert_eq!((items.len(), end), (11, Why::Closed), "{what:?}");
            },
        );
    }
}

#[test]
fn large_and_empty_and_borrowed_items_work() {
    check(
        async |how, mut writer: Writer<([u8; 10_000], &str)>| {
            let text = "one two";
            how.run(writer.write_local(text.split(' ').map(|word| ([1; 10_000], word))))
                .await
                .unwrap();
            writer.finish().unwrap();
        },
        async |how, mut reader| {
            let items = how.run(reader.read_all()).await.unwrap();
            assert!(items.iter().all(|item| item.0 == [1; 10_000]));
            assert!(items.iter().map(|item| item.1).eq(["one", "two"]));
        },
    );
}

#[test]
fn an_iterator_may_ask_its_own_reader() {
    let _watchdog = Watchdog::new();
    for standing in 0..4 {
        let (mut writer, reader) = stream();
        let reader = RefCell::new(reader);
        match standing {
            0 => pend(&mut reader.borrow_mut().recv()),
            1 => pend(&mut reader.borrow_mut().read(3)),
            2 => pend(&mut reader.borrow_mut().read_some(3)),
            _ => pend(&mut reader.borrow_mut().read_all()),
        }
        let mut n = 0;
        let items = iter::from_fn(|| {
            n += 1;
            let mut reader = reader.borrow_mut();
            assert!(reader.recv().now().unwrap_err().is_not_ready());
            assert!(reader.read(2).now().unwrap_err().is_not_ready());
            assert_eq!(reader.read(0).now().unwrap().len(), 0);
            (n < 4).then_some(n)
        });
        let mut write = writer.write_local(items);
        let mut got = Vec::new();
        while poll_once(&mut write).is_pending() {
            got.extend(reader.borrow_mut().recv().now().ok());
        }
        drop(write);
        got.extend(reader.borrow_mut().recv().now().ok());
        writer.finish().unwrap();
        got.extend(reader.borrow_mut().read_all().now().unwrap());
        assert_eq!(got, [1, 2, 3], "{standing}");
    }
}

#[test]
fn an_iterator_may_drop_its_own_reader() {
    let _watchdog = Watchdog::new();
    for standing in 0..4 {
        let (mut writer, mut reader) = stream();
        match standing {
            0 => pend(&mut reader.recv()),
            1 => pend(&mut reader.read(3)),
            2 => pend(&mut reader.read_some(3)),
            _ => pend(&mut reader.read_once()),
        }
        let mut reader = Some(reader);
        let items = (0..5).inspect(|_| drop(reader.take()));
        let error = writer.write_local(items).wait().unwrap_err();
        assert_eq!(error.why(), Why::Dropped);
        assert!(error.into_rest().eq(0..5), "{standing}");
    }
}

#[test]
fn an_iterator_may_use_its_own_writer_at_the_reader() {
    let _watchdog = Watchdog::new();
    let (writer, mut reader) = stream();
    let writer = Arc::new(Mutex::new(Some(writer)));
    let at_reader = Arc::clone(&writer);
    let items = (0..4).inspect(move |&n| {
        let mut writer = at_reader.lock().unwrap();
        if n == 3 {
            return writer.take().unwrap().finish().unwrap();
        }
        let error = writer.as_mut().unwrap().send(10).now().unwrap_err();
        assert!(error.is_not_ready());
    });
    pend(&mut reader.read_once());
    let mut lent = writer.lock().unwrap();
    let mut write = lent.as_mut().unwrap().write(items);
    pend(&mut write);
    let batch = reader.read_once().now().unwrap();
    ready(&mut write).unwrap();
    drop(write);
    drop(lent);
    assert!(batch.eq(0..4));
    assert_eq!(reader.recv().now().unwrap_err().why(), Why::Closed);
}

#[test]
fn an_iterator_may_block_on_another_channel() {
    let _watchdog = Watchdog::new();
    let (mut first, mut middle) = stream();
    let (mut second, mut last) = stream();
    thread::scope(|scope| {
        scope.spawn(move || first.write(0..1000_u32).wait().map(|()| first.finish()));
        scope.spawn(move || {
            second.write_local(middle.iter().map(|n| n * 2)).wait().unwrap();
            assert_eq!(middle.end(), Some(Why::Closed));
            second.finish().unwrap();
        });
        assert_eq!(last.read(10).wait().unwrap(), (0..20).step_by(2).collect::<Vec<_>>());
        assert!(last.ahead(16).eq((20..2000).step_by(2)));
    });
}

// ---- Flush and finish

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
fn what_goes_over_whole_comes_back_whole() {
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

// ---- The end

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

// ---- Ends as iterators and streams

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
    // What it had asked for is for the next request.
    assert_eq!(reader.recv().now(), Ok(3));
    pend(&mut write);
    assert_eq!(reader.read(2).now().unwrap(), [4, 5]);
    assert_eq!(steps.load(SeqCst), 6);
}

// ---- Allocations

#[test]
fn read_into_reuses_the_allocation() {
    check(
        async |how, mut writer| {
            how.run(writer.write(0..1000_u32)).await.unwrap();
            writer.finish().unwrap();
        },
        async |how, mut reader| {
            let mut into = Vec::with_capacity(40);
            let (place, capacity) = (into.as_ptr(), into.capacity());
            for round in 0..25 {
                assert_eq!(how.run(reader.read_into(40, &mut into)).await, Ok(40));
                assert_eq!((into.as_ptr(), into.capacity()), (place, capacity), "round {round}");
                assert!(into.drain(..).eq(round * 40..(round + 1) * 40));
            }
            assert_eq!(how.run(reader.read_into(40, &mut into)).await, Ok(0));
        },
    );
}

#[test]
fn read_into_appends() {
    check(
        async |how, mut writer| {
            how.run(writer.write(0..100_u32)).await.unwrap();
            writer.finish().unwrap();
        },
        async |how, mut reader| {
            let mut into = Vec::with_capacity(200);
            let place = into.as_ptr();
            into.push(1000);
            for round in 0..10 {
                assert_eq!(how.run(reader.read_into(10, &mut into)).await, Ok(10));
                assert_eq!(into.len(), 1 + (round + 1) * 10);
            }
            assert_eq!(into.as_ptr(), place);
            assert!(into.into_iter().skip(1).eq(0..100));
        },
    );
}

#[test]
fn a_cancelled_read_into_leaves_the_vector_as_it_was() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = stream();
    for mut into in [vec![], vec![7], Vec::with_capacity(10)] {
        let before = into.clone();
        pend(&mut reader.read_into(5, &mut into));
        assert_eq!(into, before);
        writer.send(1).now().unwrap();
        pend(&mut reader.read_into(5, &mut into));
        assert_eq!(into, before);
        writer.flush().now().unwrap_err();
        let mut flush = writer.flush();
        pend(&mut flush);
        assert_eq!(reader.read_into(5, &mut into).now(), Ok(1));
        assert_eq!(into.last(), Some(&1));
        assert_eq!(into.len(), before.len() + 1);
        ready(&mut flush).unwrap();
    }
}

#[test]
fn an_iterator_is_not_asked_again_after_its_end() {
    for what in Ask::ALL {
        check(
            async |how, mut writer| {
                let not_fused = || {
                    let mut step = 0;
                    iter::from_fn(move || {
                        step += 1;
                        (step != 3).then_some(step)
                    })
                };
                how.run(writer.write(not_fused())).await.unwrap();
                how.run(writer.write_local(not_fused())).await.unwrap();
                writer.finish().unwrap();
            },
            async |how, mut reader| {
                let drained = flat(drain(how, &mut reader, what).await);
                assert_eq!(drained, (vec![1, 2, 1, 2], Why::Closed), "{what:?}");
            },
        );
    }
}
