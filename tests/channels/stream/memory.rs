//! How many items are alive at a time, and what is allocated for them.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use super::requests::*;
use crate::support::*;
use futures_lite::StreamExt as _;
use handover::stream;

/// Counts the values of its kind that are alive, and the most that ever were.
struct Live(Arc<(AtomicUsize, AtomicUsize)>);

impl Live {
    fn new(census: &Arc<(AtomicUsize, AtomicUsize)>) -> Self {
        let alive = census.0.fetch_add(1, SeqCst) + 1;
        census.1.fetch_max(alive, SeqCst);
        progress();
        Self(Arc::clone(census))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, SeqCst);
    }
}

const MANY: usize = 250_000;

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
fn no_memory_is_reserved_for_items_that_are_only_asked_for() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = stream();
    let mut read = reader.read(usize::MAX);
    pend(&mut read);
    writer.write(0..3_u64).now().unwrap();
    // Nor is memory reserved for items that a size hint promises.
    writer.write(Promising(3..6, (usize::MAX, None))).now().unwrap();
    writer.finish().unwrap();
    let items = ready(&mut read).unwrap();
    assert_eq!(items, [0, 1, 2, 3, 4, 5]);
    assert!(items.capacity() <= 1 << 14, "{}", items.capacity());
}

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
