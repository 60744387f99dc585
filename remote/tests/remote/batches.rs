//! Readers and writers in two processes.

use std::thread;

use handover::{Reader, Want, Why, Writer, stream};
use handover_remote::zenoh::Session;
use handover_remote::{Driver, Ended, Error, Options, export_reader, import_reader};
use tokio::task::JoinHandle;

use crate::support::{Dice, run, two_sessions};

struct Pair<T> {
    writer: Option<Writer<T>>,
    reader: Option<Reader<T>>,
    exporting: JoinHandle<Ended<Vec<T>>>,
    importing: JoinHandle<Result<(), Error>>,
    _sessions: (Session, Session),
}

async fn pair<T>(options: Options) -> Pair<T>
where
    T: serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
{
    let (there, here) = two_sessions().await;
    let (writer, local) = stream::<T>();
    let exporting: Driver<_> = export_reader(&there, "batches", local, options).await.unwrap();
    let exporting = tokio::spawn(exporting);
    let (reader, driver) = import_reader::<T>(&here, "batches", options).await.unwrap();
    let (writer, reader) = (Some(writer), Some(reader));
    Pair { writer, reader, exporting, importing: tokio::spawn(driver), _sessions: (there, here) }
}

#[test]
fn the_producer_is_told_how_many_are_wanted() {
    run(async {
        let mut pair = pair::<u32>(Options::default()).await;
        let (mut writer, mut reader) = (pair.writer.take().unwrap(), pair.reader.take().unwrap());
        let producer = async {
            for (want, items) in [
                (Want::Exactly(3), vec![0, 1, 2]),
                (Want::One, vec![3]),
                (Want::UpTo(10), vec![4, 5]),
                (Want::UpTo(1024), vec![6]), // `read_once`
            ] {
                assert_eq!(writer.wanted().await, Ok(want));
                writer.write(items).await.unwrap();
            }
            // `read_all`, a piece at a time
            assert!(matches!(writer.wanted().await, Ok(Want::Exactly(n)) if n > 1));
            writer.write(7..1000).await.unwrap();
            writer.finish().unwrap();
        };
        let consumer = async {
            assert_eq!(reader.read(3).await.unwrap(), [0, 1, 2]);
            assert_eq!(reader.recv().await, Ok(3));
            assert_eq!(reader.read_some(10).await.unwrap(), [4, 5]);
            assert!(reader.read_once().await.unwrap().eq([6]));
            assert!(reader.read_all().await.unwrap().into_iter().eq(7..1000));
        };
        futures_lite::future::zip(producer, consumer).await;
        drop(reader);
        pair.importing.await.unwrap().unwrap();
        assert_eq!(pair.exporting.await.unwrap().unsent, None);
    });
}

#[test]
fn a_flush_is_passed_on() {
    run(async {
        let mut pair = pair::<u32>(Options::default()).await;
        let (mut writer, mut reader) = (pair.writer.take().unwrap(), pair.reader.take().unwrap());
        let producer = async {
            writer.write([1, 2]).await.unwrap();
            writer.flush().await.unwrap();
            writer.write([3, 4, 5]).await.unwrap();
            writer.finish().unwrap();
        };
        let consumer = async {
            assert_eq!(reader.read(100).await.unwrap(), [1, 2]);
            assert_eq!(reader.read(100).await.unwrap(), [3, 4, 5]);
        };
        futures_lite::future::zip(producer, consumer).await;
    });
}

#[test]
fn a_batch_above_the_bound_goes_over_in_several() {
    run(async {
        let mut pair =
            pair::<String>(Options { max_batch_bytes: 1000, ..Options::default() }).await;
        let (mut writer, mut reader) = (pair.writer.take().unwrap(), pair.reader.take().unwrap());
        let item = |n: usize| format!("{n} {}", "x".repeat(n % 300));
        thread::spawn(move || writer.write((0..500).map(item)).wait().map(|()| writer.finish()));
        let items = reader.read(200).await.unwrap();
        assert!(items.into_iter().eq((0..200).map(item)));
        let items = reader.read_all().await.unwrap();
        assert!(items.into_iter().eq((200..500).map(item)));
        pair.importing.await.unwrap().unwrap();
        let ended = pair.exporting.await.unwrap();
        assert_eq!(ended.why, Why::Closed);
        assert!(ended.answers > 50, "{}", ended.answers);
    });
}

#[test]
fn an_item_above_the_bound_is_an_error_and_comes_back() {
    run(async {
        let mut pair = pair::<String>(Options { max_batch_bytes: 100, ..Options::default() }).await;
        let (mut writer, mut reader) = (pair.writer.take().unwrap(), pair.reader.take().unwrap());
        let large = "x".repeat(200);
        let items = ["a".to_owned(), large.clone(), "b".to_owned()];
        let producer = async { _ = writer.write(items).await };
        let consumer = async {
            assert_eq!(reader.read(3).await.unwrap(), ["a"]);
            assert_eq!(reader.read(3).await.unwrap_err().why(), Why::Dropped);
        };
        futures_lite::future::zip(producer, consumer).await;
        let error = pair.importing.await.unwrap().unwrap_err();
        assert!(matches!(&error, Error::Peer(why) if why.contains("bound")), "{error}");
        let ended = pair.exporting.await.unwrap();
        assert!(matches!(ended.error, Some(Error::TooLarge { bytes: 202, limit: 100 })));
        assert_eq!(ended.unsent.unwrap(), [large, "b".to_owned()]);
    });
}

#[test]
fn requests_of_all_kinds_in_any_order() {
    run(async {
        let mut pair = pair::<u64>(Options { max_batch_bytes: 64, ..Options::default() }).await;
        let (mut writer, mut reader) = (pair.writer.take().unwrap(), pair.reader.take().unwrap());
        const ITEMS: u64 = 3000;
        let producer = tokio::spawn(async move {
            let mut dice = Dice(11);
            let mut n = 0;
            while n < ITEMS {
                let end = (n + 1 + dice.below(50)).min(ITEMS);
                match dice.below(4) {
                    0 => {
                        writer.send(n).await.unwrap();
                        n += 1;
                    }
                    1 => {
                        writer.write(n..end).await.unwrap();
                        writer.flush().await.unwrap();
                        n = end;
                    }
                    _ => {
                        writer.write(n..end).await.unwrap();
                        n = end;
                    }
                }
            }
            writer.finish().unwrap();
        });
        let mut dice = Dice(12);
        let mut got = Vec::new();
        let why = loop {
            let many = 1 + dice.below(40) as usize;
            let items = match dice.below(4) {
                0 => reader.recv().await.map(|item| vec![item]),
                1 => reader.read_some(many).await,
                2 => reader.read_once().await.map(|batch| batch.take(many).collect()),
                _ => reader.read(many).await,
            };
            match items {
                Ok(items) => got.extend(items),
                Err(error) => break error.why(),
            }
        };
        assert_eq!(why, Why::Closed);
        assert!(got.into_iter().eq(0..ITEMS));
        producer.await.unwrap();
        assert_eq!(pair.exporting.await.unwrap().unsent, None);
    });
}

/// A reader that leaves in the middle: what it did not use comes back.
#[test]
fn what_the_reader_left_behind_comes_back() {
    run(async {
        let mut pair = pair::<u32>(Options::default()).await;
        let (mut writer, mut reader) = (pair.writer.take().unwrap(), pair.reader.take().unwrap());
        assert!(futures_lite::future::poll_once(reader.read(3)).await.is_none());
        writer.write(0..3).await.unwrap();
        writer.flush().await.unwrap(); // the exporting driver has them
        drop(reader);
        pair.importing.await.unwrap().unwrap();
        let ended = pair.exporting.await.unwrap();
        assert_eq!((ended.why, ended.in_doubt), (Why::Dropped, None));
        assert_eq!(ended.unsent.unwrap(), [0, 1, 2]);
    });
}
