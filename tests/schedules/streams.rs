//! Streams: writers and readers in all ways, beside a rendezvous.
//!
//! A write that was given up gives back what was not accepted, and that is written again; so all items come, in order, but for those of writes that were dropped.

use std::collections::{HashSet, VecDeque};
use std::mem;

use handover::op::{ReadOne, Take};
use handover::{
    Reader, Receiver, RecvError, Sel2, SendError, Why, WriteError, Writer, rendezvous, stream,
};
use shuttle::future::{block_on, yield_now};
use shuttle::thread;

use crate::census::{Census, Item};
use crate::explore::{note, tally};
use crate::ways::{Driven, Way, below, choose, drive, one_in, pick};

/// What is left to write, and what may be missing at the reader.
struct Writing {
    todo: VecDeque<Item>,
    /// The numbers of the items that a dropped write had.
    holes: HashSet<usize>,
}

impl Writing {
    /// A write or a send was withdrawn, or failed with the rest of its items.
    fn put_back(&mut self, rest: impl IntoIterator<Item = Item>) {
        let rest: Vec<Item> = rest.into_iter().collect();
        rest.into_iter().rev().for_each(|item| self.todo.push_front(item));
    }

    /// Whether the reader has left.
    fn after_send(&mut self, result: Result<(), SendError<Item>>) -> bool {
        let Err(error) = result else { return false };
        let is_end = error.is_end();
        self.put_back(error.into_unsent());
        is_end
    }

    fn after_write<I: Iterator<Item = Item>>(&mut self, result: Result<(), WriteError<I>>) -> bool {
        let Err(error) = result else { return false };
        let is_end = error.is_end();
        self.put_back(error.into_rest());
        is_end
    }
}

/// Writes so many items; ends by `finish` or by a drop. Gives which items may be missing.
async fn write_all(
    mut writer: Writer<Item>,
    items: usize,
    noise: Option<Receiver<Item>>,
    finishes: bool,
    census: Census,
) -> HashSet<usize> {
    let todo = (0..items).map(|number| census.item(0, number)).collect();
    let mut writing = Writing { todo, holes: HashSet::new() };
    while !writing.todo.is_empty() {
        let way = Way::any();
        let is_end = match below(6) {
            0 => write_one(&mut writer, &mut writing, noise.as_ref(), way).await,
            1 => write_many::<false>(&mut writer, &mut writing, way).await,
            2 => write_many::<true>(&mut writer, &mut writing, way).await,
            3 => match drive(writer.flush(), way).await {
                Driven::Done(result) => result.is_err_and(|error| error.is_end()),
                _ => false,
            },
            4 => match drive(writer.wanted(), way).await {
                Driven::Done(result) => result.is_err_and(|error| error.is_end()),
                _ => false,
            },
            _ => write_one(&mut writer, &mut writing, None, way).await,
        };
        if is_end {
            return writing.holes;
        }
    }
    if finishes {
        _ = writer.finish()
    } else {
        drop(writer)
    }
    writing.holes
}

async fn write_one(
    writer: &mut Writer<Item>,
    writing: &mut Writing,
    noise: Option<&Receiver<Item>>,
    way: Way,
) -> bool {
    let Some(item) = writing.todo.pop_front() else { return false };
    note(|| format!("writer: sends {} by {way:?}", item.number));
    let mut send = writer.send(item);
    let receives: Vec<Take<'_, Item>> = noise.into_iter().map(Receiver::recv).collect();
    if receives.is_empty() {
        return match drive(send, way).await {
            Driven::Done(result) => writing.after_send(result),
            Driven::Nothing => unreachable!("a send tells"),
            Driven::Left(send) => {
                writing.put_back(send.reclaim());
                false
            }
        };
    }
    if let Driven::Done(Sel2::A(result)) = drive(choose((&mut send, receives)), way).await {
        return writing.after_send(result);
    }
    writing.put_back(send.reclaim());
    false
}

async fn write_many<const IS_LOCAL: bool>(
    writer: &mut Writer<Item>,
    writing: &mut Writing,
    way: Way,
) -> bool {
    let count = (1 + below(3)).min(writing.todo.len());
    let items: Vec<Item> = writing.todo.drain(..count).collect();
    let numbers: Vec<usize> = items.iter().map(|item| item.number).collect();
    note(|| format!("writer: writes {numbers:?} by {way:?}, local: {IS_LOCAL}"));
    // The iterator lets others run between two items.
    let items = items.into_iter().inspect(|_| {
        if one_in(4) {
            thread::yield_now();
        }
    });
    let result = if IS_LOCAL {
        match drive(writer.write_local(items), way).await {
            Driven::Done(result) => Some(writing.after_write(result)),
            _ => None,
        }
    } else {
        match drive(writer.write(items), way).await {
            Driven::Done(result) => Some(writing.after_write(result)),
            _ => None,
        }
    };
    result.unwrap_or_else(|| {
        writing.holes.extend(numbers);
        false
    })
}

/// What a reader has got, and how it ended; no end if it left early.
struct Read {
    items: Vec<Item>,
    end: Option<Why>,
}

impl Read {
    /// Whether that is the end.
    fn after<T>(
        &mut self,
        result: Result<T, RecvError>,
        items: impl FnOnce(T, &mut Vec<Item>),
    ) -> bool {
        match result {
            Ok(found) => items(found, &mut self.items),
            Err(error) if error.is_end() => self.end = Some(error.why()),
            Err(_) => {}
        }
        self.end.is_some()
    }
}

async fn read_all(
    mut reader: Reader<Item>,
    leaves_early: bool,
    noise: Option<Receiver<Item>>,
) -> Read {
    let mut read = Read { items: Vec::new(), end: None };
    loop {
        if leaves_early && one_in(8) {
            return read;
        }
        if one_in(12) {
            return read_ahead(reader, read).await;
        }
        if read_some(&mut reader, &mut read, noise.as_ref()).await {
            return read;
        }
    }
}

/// Whether it found the end.
async fn read_some(
    reader: &mut Reader<Item>,
    read: &mut Read,
    noise: Option<&Receiver<Item>>,
) -> bool {
    let (way, count) = (Way::any(), 1 + below(3));
    let kind = below(6);
    note(|| format!("reader: reads {count} by {way:?}, in the way {kind}"));
    match kind {
        0 => {
            let receives: Vec<Take<'_, Item>> = noise.into_iter().map(Receiver::recv).collect();
            let reads: Vec<ReadOne<'_, Item>> = vec![reader.recv()];
            if let Driven::Done(Sel2::A((_, result))) = drive(choose((reads, receives)), way).await
            {
                return read.after(result, |item, items| items.push(item));
            }
        }
        1 => {
            if let Driven::Done(result) = drive(reader.recv(), way).await {
                return read.after(result, |item, items| items.push(item));
            }
        }
        2 => match drive(reader.read(count), way).await {
            Driven::Done(result) => return read.after(result, |found, items| items.extend(found)),
            Driven::Left(op) if one_in(4) => mem::forget(op),
            _ => {}
        },
        3 => {
            if let Driven::Done(result) = drive(reader.read_some(count), way).await {
                return read.after(result, |found, items| items.extend(found));
            }
        }
        4 => {
            let mut into = Vec::new();
            let result = match drive(reader.read_into(count, &mut into), way).await {
                Driven::Done(result) => Some(result),
                _ => None,
            };
            let is_end = result.is_some_and(|result| read.after(result, |_, _| {}));
            read.items.extend(into);
            return is_end;
        }
        _ => {
            if let Driven::Done(result) = drive(reader.read_once(), way).await {
                return read.after(result, |batch, items| items.extend(batch.take(below(4))));
            }
        }
    }
    false
}

/// Reads the rest by an iterator or a stream.
async fn read_ahead(reader: Reader<Item>, mut read: Read) -> Read {
    match below(3) {
        0 => {
            let mut items = reader.into_iter();
            read.items.extend(items.by_ref());
            read.end = items.end();
        }
        1 => {
            let mut items = reader.into_ahead(1 + below(4));
            while let Some(item) = items.next() {
                read.items.push(item);
                yield_now().await;
            }
            read.end = items.end();
        }
        _ => {
            let mut items = reader.into_stream();
            while let Some(item) = futures_lite::StreamExt::next(&mut items).await {
                read.items.push(item);
            }
            read.end = items.end();
        }
    }
    read
}

/// Sends what nobody need have.
async fn make_noise(tx: handover::Sender<Item>, items: usize, census: Census) {
    for number in 0..items {
        if let Driven::Done(Err(error)) = drive(tx.send(census.item(1, number)), Way::any()).await {
            if error.is_end() {
                return;
            }
        }
    }
}

/// If they `leave_early`, the readers may leave in the middle.
pub(crate) fn run(leave_early: bool) {
    let census = Census::default();
    let (tx, rx) = rendezvous::<Item>();
    let is_noisy = one_in(2);
    let mut streams = Vec::new();
    for _ in 0..1 + below(2) {
        let (items, finishes) = (below(8), one_in(2));
        let (writer, reader) = stream();
        let noise = is_noisy.then(|| rx.clone());
        let reader_noise = noise.clone();
        let writer_census = census.clone();
        let writer = thread::spawn(move || {
            block_on(write_all(writer, items, noise, finishes, writer_census))
        });
        let reader = thread::spawn(move || block_on(read_all(reader, leave_early, reader_noise)));
        streams.push((items, finishes, writer, reader));
    }
    drop(rx);
    let noise_census = census.clone();
    let noise = thread::spawn(move || block_on(make_noise(tx, below(4), noise_census)));
    for (items, finishes, writer, reader) in streams {
        let holes = writer.join().unwrap();
        let Read { items: read, end } = reader.join().unwrap();
        let numbers: Vec<usize> = read.iter().map(|item| item.number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        if let Some(end) = end {
            assert_eq!(end == Why::Closed, finishes, "{end:?}");
            let is_missing = |number: &usize| !numbers.contains(number) && !holes.contains(number);
            let missing: Vec<usize> = (0..items).filter(is_missing).collect();
            assert!(missing.is_empty(), "{missing:?} are missing in {numbers:?}");
        }
        tally(items, numbers.len());
    }
    noise.join().unwrap();
    census.assert_empty();
}

/// A write without an end, to a reader that asks for all of it, gives that up, and asks for less: the writer must see that between two items.
pub(crate) fn endless() {
    let (mut writer, mut reader) = stream::<usize>();
    let peer = reader.peer();
    let writing = thread::spawn(move || {
        let items = (0..).inspect(|_| thread::yield_now());
        if one_in(2) {
            writer.write(items).wait().is_err()
        } else {
            block_on(writer.write_local(items)).is_err()
        }
    });
    let watching = thread::spawn(move || peer.is_closed());
    let mut numbers = Vec::new();
    block_on(async {
        while numbers.len() < 4 {
            let way = pick(&[Way::BlockFor, Way::Until(2), Way::Leave(1), Way::Leave(2)]);
            assert!(
                !matches!(drive(reader.read_all(), way).await, Driven::Done(Ok(_))),
                "it has no end"
            );
            let kind = below(3);
            note(|| {
                format!(
                    "reader: gave up by {way:?}, has {}, goes on in the way {kind}",
                    numbers.len()
                )
            });
            match kind {
                0 => numbers.push(reader.recv().await.unwrap()),
                1 => numbers.push(reader.recv().wait().unwrap()),
                _ => numbers.extend(reader.read_some(2).await.unwrap()),
            }
        }
    });
    drop(reader);
    assert!(numbers.iter().copied().eq(0..numbers.len()), "{numbers:?}");
    assert!(writing.join().unwrap(), "the reader has left");
    watching.join().unwrap();
    tally(numbers.len(), numbers.len());
}
