//! Batches of 256 between two threads. The producer makes each item, and the consumer looks at each item.

use std::hint::spin_loop;
use std::thread;

use handover::stream;
use rtrb::RingBuffer;

use crate::clock::Spent;
use crate::drive::{InOrder, halves};
use crate::table::Table;

const BATCH: usize = 256;
const ROW: &str = "batches";
const LARGE: &str = "large-batches";

pub(crate) fn add_to(table: &mut Table) {
    table.add(ROW, "handover stream, ahead(256)", |n| ahead(n, BATCH).each(n));
    table.add(LARGE, "handover stream, ahead(4096)", |n| ahead(n, 4096).each(n));
    table.add(LARGE, "rtrb(512), chunks of 256, spins", |n| {
        halves(n, RingBuffer::new(2 * BATCH), write_chunks, read_chunks).each(n)
    });
    table.add(ROW, "handover stream, read_into(256)", |n| {
        halves(n, stream(), write, |mut reader, check| {
            let mut batch = Vec::new();
            while reader.read_into(BATCH, &mut batch).wait().expect("items, or the end") > 0 {
                batch.drain(..).for_each(|item| check.add(item));
            }
        })
        .each(n)
    });
    table.add(ROW, "kanal(0), a Vec a batch", |n| {
        let send = |end: kanal::Sender<_>, n| vecs(n, |batch| end.send(batch).is_ok());
        halves(n, kanal::bounded(0), send, |end, check| recv_vecs(end.into_iter(), check)).each(n)
    });
    table.add(ROW, "crossbeam(1), a Vec a batch", |n| {
        let send = |end: crossbeam_channel::Sender<_>, n| vecs(n, |batch| end.send(batch).is_ok());
        let recv = |end: crossbeam_channel::Receiver<_>, check: &mut InOrder| {
            recv_vecs(end.into_iter(), check);
        };
        halves(n, crossbeam_channel::bounded(1), send, recv).each(n)
    });
    table.add(ROW, "rtrb(256), chunks, spins", |n| {
        halves(n, RingBuffer::new(BATCH), write_chunks, read_chunks).each(n)
    });
    table.add(ROW, "rtrb(512), chunks, spins", |n| {
        halves(n, RingBuffer::new(2 * BATCH), write_chunks, read_chunks).each(n)
    });
    table.add(ROW, "tokio mpsc(256), recv_many", |n| {
        let (sender, receiver) = tokio::sync::mpsc::channel(BATCH);
        let send = |end: tokio::sync::mpsc::Sender<u64>, n| {
            (0..n).for_each(|item| end.blocking_send(item).expect("a receiver"));
        };
        halves(n, (sender, receiver), send, |mut end, check| {
            let mut batch = Vec::with_capacity(BATCH);
            while end.blocking_recv_many(&mut batch, BATCH) > 0 {
                batch.drain(..).for_each(|item| check.add(item));
            }
        })
        .each(n)
    });
    table.add(ROW, "crossbeam(256), one by one", |n| {
        let send = |end: crossbeam_channel::Sender<u64>, n| {
            (0..n).for_each(|item| end.send(item).expect("a receiver"));
        };
        halves(n, crossbeam_channel::bounded(BATCH), send, |end, check| {
            end.into_iter().for_each(|item| check.add(item));
        })
        .each(n)
    });
    table.add(ROW, "kanal(256), one by one", |n| {
        let send = |end: kanal::Sender<u64>, n| {
            (0..n).for_each(|item| end.send(item).expect("a receiver"));
        };
        halves(n, kanal::bounded(BATCH), send, |end: kanal::Receiver<u64>, check| {
            while let Ok(item) = end.recv() {
                check.add(item);
            }
        })
        .each(n)
    });
}

/// Passes so many items through a stream.
pub(crate) fn pass(n: u64) {
    ahead(n, BATCH);
}

fn ahead(n: u64, batch: usize) -> Spent {
    halves(n, stream(), write, |mut reader, check| {
        reader.ahead(batch).for_each(|item| check.add(item));
    })
}

fn write(mut writer: handover::Writer<u64>, n: u64) {
    writer.write(0..n).wait().expect("a reader");
    writer.finish().expect("a reader");
}

/// Sends the numbers in vectors of 256 items. Each vector is a new one.
fn vecs(n: u64, send: impl Fn(Vec<u64>) -> bool) {
    for start in (0..n).step_by(BATCH) {
        assert!(send((start..n.min(start + BATCH as u64)).collect()), "a receiver");
    }
}

fn recv_vecs(batches: impl Iterator<Item = Vec<u64>>, check: &mut InOrder) {
    batches.flatten().for_each(|item| check.add(item));
}

fn write_chunks(mut end: rtrb::Producer<u64>, n: u64) {
    for start in (0..n).step_by(BATCH) {
        let items = start..n.min(start + BATCH as u64);
        let length = (items.end - items.start) as usize;
        spin_until(|| end.slots() >= length);
        end.write_chunk_uninit(length).expect("free slots").fill_from_iter(items);
    }
}

fn read_chunks(mut end: rtrb::Consumer<u64>, check: &mut InOrder) {
    loop {
        // Nothing arrives once the ring is abandoned, so this is read before the number of filled slots.
        let mut is_end = false;
        spin_until(|| {
            is_end = end.is_abandoned();
            is_end || end.slots() >= BATCH
        });
        let length = end.slots();
        end.read_chunk(length).expect("filled slots").into_iter().for_each(|item| check.add(item));
        if is_end {
            return;
        }
    }
}

/// `rtrb` has no way to wait. The loop yields now and then, in case that the peer has no core.
fn spin_until(mut is_ready: impl FnMut() -> bool) {
    let mut spins = 0_u32;
    while !is_ready() {
        spins += 1;
        if spins.is_multiple_of(10_000) {
            thread::yield_now();
        } else {
            spin_loop();
        }
    }
}
