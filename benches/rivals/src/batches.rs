//! Batches of 256 between two threads. Each item is made by the producer and looked at by the consumer, one by one.

use std::hint::spin_loop;
use std::thread;

use handover::stream;
use rtrb::RingBuffer;

use crate::drive::{Tally, halves};
use crate::table::Table;

const BATCH: usize = 256;
const ROW: &str = "batches";

pub(crate) fn enter(table: &mut Table) {
    table.enter(ROW, "handover stream, ahead(256)", |n| {
        halves(n, stream(), write, |mut reader, tally| {
            reader.ahead(BATCH).for_each(|item| tally.take(item));
        })
        .each(n)
    });
    table.enter(ROW, "handover stream, read_into(256)", |n| {
        halves(n, stream(), write, |mut reader, tally| {
            let mut batch = Vec::new();
            while reader.read_into(BATCH, &mut batch).wait().expect("items, or the end") > 0 {
                batch.drain(..).for_each(|item| tally.take(item));
            }
        })
        .each(n)
    });
    table.enter(ROW, "kanal(0), a Vec a batch", |n| {
        let send = |end: kanal::Sender<_>, n| vecs(n, |batch| end.send(batch).is_ok());
        halves(n, kanal::bounded(0), send, |end, tally| take_vecs(end.into_iter(), tally)).each(n)
    });
    table.enter(ROW, "crossbeam(1), a Vec a batch", |n| {
        let send = |end: crossbeam_channel::Sender<_>, n| vecs(n, |batch| end.send(batch).is_ok());
        let take = |end: crossbeam_channel::Receiver<_>, tally: &mut Tally| {
            take_vecs(end.into_iter(), tally);
        };
        halves(n, crossbeam_channel::bounded(1), send, take).each(n)
    });
    table.enter(ROW, "rtrb(256), chunks, spins", |n| {
        halves(n, RingBuffer::new(BATCH), write_chunks, read_chunks).each(n)
    });
    table.enter(ROW, "rtrb(512), chunks, spins", |n| {
        halves(n, RingBuffer::new(2 * BATCH), write_chunks, read_chunks).each(n)
    });
    table.enter(ROW, "tokio mpsc(256), recv_many", |n| {
        let (sender, receiver) = tokio::sync::mpsc::channel(BATCH);
        let send = |end: tokio::sync::mpsc::Sender<u64>, n| {
            (0..n).for_each(|item| end.blocking_send(item).expect("a receiver"));
        };
        halves(n, (sender, receiver), send, |mut end, tally| {
            let mut batch = Vec::with_capacity(BATCH);
            while end.blocking_recv_many(&mut batch, BATCH) > 0 {
                batch.drain(..).for_each(|item| tally.take(item));
            }
        })
        .each(n)
    });
    table.enter(ROW, "crossbeam(256), one by one", |n| {
        let send = |end: crossbeam_channel::Sender<u64>, n| {
            (0..n).for_each(|item| end.send(item).expect("a receiver"));
        };
        halves(n, crossbeam_channel::bounded(BATCH), send, |end, tally| {
            end.into_iter().for_each(|item| tally.take(item));
        })
        .each(n)
    });
    table.enter(ROW, "kanal(256), one by one", |n| {
        let send = |end: kanal::Sender<u64>, n| {
            (0..n).for_each(|item| end.send(item).expect("a receiver"));
        };
        halves(n, kanal::bounded(BATCH), send, |end: kanal::Receiver<u64>, tally| {
            while let Ok(item) = end.recv() {
                tally.take(item);
            }
        })
        .each(n)
    });
}

fn write(mut writer: handover::Writer<u64>, n: u64) {
    writer.write(0..n).wait().expect("a reader");
    writer.finish().expect("a reader");
}

/// Sends the numbers as vectors of 256, each a new one.
fn vecs(n: u64, send: impl Fn(Vec<u64>) -> bool) {
    for start in (0..n).step_by(BATCH) {
        assert!(send((start..n.min(start + BATCH as u64)).collect()), "a receiver");
    }
}

fn take_vecs(batches: impl Iterator<Item = Vec<u64>>, tally: &mut Tally) {
    batches.flatten().for_each(|item| tally.take(item));
}

fn write_chunks(mut end: rtrb::Producer<u64>, n: u64) {
    for start in (0..n).step_by(BATCH) {
        let items = start..n.min(start + BATCH as u64);
        let length = (items.end - items.start) as usize;
        spin_until(|| end.slots() >= length);
        end.write_chunk_uninit(length).expect("free slots").fill_from_iter(items);
    }
}

fn read_chunks(mut end: rtrb::Consumer<u64>, tally: &mut Tally) {
    loop {
        // Nothing comes after it was abandoned: look at that first.
        let mut is_end = false;
        spin_until(|| {
            is_end = end.is_abandoned();
            is_end || end.slots() >= BATCH
        });
        let length = end.slots();
        end.read_chunk(length).expect("filled slots").into_iter().for_each(|item| tally.take(item));
        if is_end {
            return;
        }
    }
}

/// `rtrb` has no way to wait. Yields now and then, lest nothing moves while the peer has no core.
fn spin_until(mut is_so: impl FnMut() -> bool) {
    let mut looks = 0_u32;
    while !is_so() {
        looks += 1;
        if looks.is_multiple_of(10_000) {
            thread::yield_now();
        } else {
            spin_loop();
        }
    }
}
