//! Each action of a writer against each action of a reader, one test a cell, in every pairing of thread and task, either end
//! first. Every value is counted: it comes, or comes back, or is dropped where that was asked for; once.

use std::mem;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use crate::support::*;
use futures_lite::FutureExt as _;
use handover::{Reader, Why, Writer, stream};

/// The first operation of the writer. Then it sends one more item and finishes, if it still can.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Send,
    Write,
    WriteLocal,
    Flush,
    Finish,
    Drop,
    Panic,
    PanicInIterator,
    Forget,
    TimeOut,
}

/// The first operation of the reader. Then it receives up to the end, if it still can.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    Recv,
    Read,
    ReadSome,
    ReadAll,
    ReadOnce,
    ReadInto,
    Ahead,
    Cancel,
    Forget,
    TimeOut,
    Close,
    Drop,
    Panic,
}

impl Ask {
    /// The reason that the writer is told, if the reader leaves first.
    fn leaves(self) -> Option<Why> {
        match self {
            Self::Close => Some(Why::Closed),
            Self::Drop => Some(Why::Dropped),
            Self::Panic => Some(Why::Panicked),
            _ => None,
        }
    }
}

/// The account of the writer in the end.
#[derive(Default)]
struct Told {
    /// Came back.
    back: Vec<Counted>,
    /// Was forgotten: the fate of these is unknown.
    forgotten: Vec<usize>,
    end: Option<Why>,
}

impl Told {
    /// Notes a result: an end, or that the time was up, and what came back.
    fn note(&mut self, result: Result<(), (Why, Vec<Counted>)>) {
        if let Err((why, back)) = result {
            assert!(why.is_end() || why == Why::TimedOut || why == Why::NotReady);
            self.end = self.end.or(Some(why).filter(|why| why.is_end()));
            self.back.extend(back);
        }
    }
}

async fn write(how: How, mut writer: Writer<Counted>, deed: Deed, census: &Census) -> Told {
    let mut told = Told::default();
    let three = || (0..3).map(|_| census.make()).collect::<Vec<_>>();
    match deed {
        Deed::Send => {
            let result = how.run(writer.send(census.make())).await;
            told.note(result.map_err(|error| (error.why(), Vec::from_iter(error.into_unsent()))));
        }
        Deed::Write => {
            let result = how.run(writer.write(three())).await;
            told.note(result.map_err(|error| (error.why(), error.into_rest().collect())));
        }
        Deed::WriteLocal => {
            let result = how.run(writer.write_local(three())).await;
            told.note(result.map_err(|error| (error.why(), error.into_rest().collect())));
        }
        Deed::Flush => {
            let result = how.run(writer.send(census.make())).await;
            told.note(result.map_err(|error| (error.why(), Vec::from_iter(error.into_unsent()))));
            let result = how.run(writer.flush()).await;
            told.note(result.map_err(|error| (error.why(), vec![])));
        }
        Deed::TimeOut => {
            let result = match how {
                How::Thread => writer.write(three()).wait_timeout(Duration::ZERO),
                How::Task => writer.write(three()).now(),
            };
            told.note(result.map_err(|error| (error.why(), error.into_rest().collect())));
        }
        Deed::Forget => {
            let item = census.make();
            let id = item.id;
            let mut send = writer.send(item);
            match poll_once(&mut send) {
                std::task::Poll::Ready(result) => told.note(
                    result.map_err(|error| (error.why(), Vec::from_iter(error.into_unsent()))),
                ),
                std::task::Poll::Pending => {
                    told.forgotten.push(id);
                    mem::forget(send);
                }
            }
        }
        Deed::PanicInIterator => {
            let items = (0..3).map(|n| {
                if n == 2 {
                    quiet_panic();
                }
                census.make()
            });
            let write = async {
                let result = how.run(writer.write_local(items)).await;
                told.note(result.map_err(|error| {
                    // The test asks the iterator only for the items that may have come back.
                    let why = error.why();
                    let mut rest = error.into_rest();
                    (why, rest.by_ref().take(2).collect())
                }));
            };
            _ = AssertUnwindSafe(write).catch_unwind().await;
        }
        Deed::Panic => {
            let write = async move {
                let mut writer = writer;
                let result = how.run(writer.send(census.make())).await;
                _ = result.map_err(|error| told.back.extend(error.into_unsent()));
                quiet_panic();
            };
            assert!(AssertUnwindSafe(write).catch_unwind().await.is_err());
            return Told::default();
        }
        Deed::Finish => {
            writer.finish().note_in(&mut told);
            return told;
        }
        Deed::Drop => return told,
    }
    let result = how.run(writer.send(census.make())).await;
    told.note(result.map_err(|error| (error.why(), Vec::from_iter(error.into_unsent()))));
    writer.finish().note_in(&mut told);
    told
}

/// The result of `finish`.
trait Finished {
    /// Notes the items that `finish` gave back, before those that had come back by then.
    fn note_in(self, told: &mut Told);
}

impl Finished for Result<(), handover::SendError<Vec<Counted>>> {
    fn note_in(self, told: &mut Told) {
        if let Err(error) = self {
            assert!(error.is_end());
            let back = error.into_unsent().expect("the batch in hand");
            told.back.splice(0..0, back);
        }
    }
}

async fn read(how: How, mut reader: Reader<Counted>, ask: Ask) -> (Vec<Counted>, Option<Why>) {
    let mut got = Vec::new();
    match ask {
        Ask::Recv => got.extend(how.run(reader.recv()).await),
        Ask::Read => got.extend(how.run(reader.read(2)).await.unwrap_or_default()),
        Ask::ReadSome => got.extend(how.run(reader.read_some(2)).await.unwrap_or_default()),
        Ask::ReadAll => got.extend(how.run(reader.read_all()).await.unwrap_or_default()),
        Ask::ReadOnce => {
            got.extend(
                how.run(reader.read_once()).await.into_iter().flat_map(|batch| batch.take(2)),
            );
        }
        Ask::ReadInto => _ = how.run(reader.read_into(2, &mut got)).await,
        Ask::Ahead => match how {
            How::Thread => got.extend(reader.ahead(2).take(2)),
            How::Task => {
                use futures_lite::StreamExt as _;
                let mut ahead = reader.ahead(2).into_stream().take(2);
                while let Some(item) = ahead.next().await {
                    got.push(item);
                }
            }
        },
        Ask::Cancel => {
            if let std::task::Poll::Ready(Ok(items)) = poll_once(&mut reader.read(2)) {
                got.extend(items);
            }
        }
        Ask::Forget => {
            let mut recv = reader.recv();
            match poll_once(&mut recv) {
                std::task::Poll::Ready(item) => got.extend(item),
                std::task::Poll::Pending => mem::forget(recv),
            }
        }
        Ask::TimeOut => {
            let read = match how {
                How::Thread => reader.read(2).wait_timeout(Duration::ZERO),
                How::Task => reader.read(2).now(),
            };
            got.extend(read.unwrap_or_default());
        }
        Ask::Close | Ask::Drop | Ask::Panic => {
            // With a request standing, so that the writer may have something in hand.
            _ = poll_once(&mut reader.read(2)).map(|read| got.extend(read.unwrap_or_default()));
            match ask {
                Ask::Close => reader.close(),
                Ask::Panic => {
                    panic_holding(reader);
                }
                _ => drop(reader),
            }
            return (got, None);
        }
    }
    loop {
        match how.run(reader.recv()).await {
            Ok(item) => got.push(item),
            Err(error) => {
                assert_eq!(reader.end(), Some(error.why()));
                return (got, reader.end());
            }
        }
    }
}

fn cell(deed: Deed, ask: Ask) {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let census = Census::new();
        let (writer, reader) = stream();
        let made = &census;
        let (told, (got, end)) = pair(
            pairing,
            first,
            async move |how| write(how, writer, deed, made).await,
            async move |how| read(how, reader, ask).await,
        );
        let what = format!("{pairing:?} {first:?}");
        let ids: Vec<_> = got.iter().map(|item| item.id).collect();
        let back: Vec<_> = told.back.iter().map(|item| item.id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{what}: {ids:?}");
        // A send that fails gives back its own item; the batch in hand comes back with the finish.
        assert!(deed == Deed::TimeOut || back.is_sorted_by(|a, b| a < b), "{what}: {back:?}");
        assert!(back.iter().all(|id| !ids.contains(id)), "{what}: {ids:?} and {back:?}");
        if ask.leaves().is_none() {
            // The stream ends only when the writer ends it, so that each item that did not come back was received.
            let known = |id: &usize| !told.forgotten.contains(id);
            let mut all: Vec<_> = ids.iter().chain(&back).copied().filter(known).collect();
            all.sort_unstable();
            assert!(
                all.into_iter().eq((0..census.made()).filter(known)),
                "{what}: {ids:?} {back:?}"
            );
            assert_eq!(told.end, None, "{what}");
            let why = match deed {
                Deed::Drop => Why::Dropped,
                Deed::Panic => Why::Panicked,
                _ => Why::Closed,
            };
            assert_eq!(end, Some(why), "{what}");
        } else {
            assert!(told.end.is_none() || told.end == ask.leaves(), "{what}: {:?}", told.end);
        }
        drop((got, told));
        // All ends are gone; items of forgotten operations may have leaked.
        if deed != Deed::Forget {
            census.assert_settled();
        }
    });
}

macro_rules! matrix {
    ($($row:ident $deed:ident)*) => {
        $(mod $row {
            use super::{Ask, Deed, cell};
            matrix!(@ $deed:
                recv Recv read Read read_some ReadSome read_all ReadAll read_once ReadOnce read_into ReadInto ahead Ahead
                cancel Cancel forget Forget time_out TimeOut close Close drop Drop panic Panic);
        })*
    };
    (@ $deed:ident: $($column:ident $ask:ident)*) => {
        $(#[test]
        fn $column() {
            cell(Deed::$deed, Ask::$ask);
        })*
    };
}

matrix! {
    send Send
    write Write
    write_local WriteLocal
    flush Flush
    finish Finish
    drop Drop
    panic Panic
    panic_in_iterator PanicInIterator
    forget Forget
    time_out TimeOut
}
