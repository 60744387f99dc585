//! A writer and a reader: requests and writes of all kinds, mixed.

use handover::{Reader, Why, Writer, stream};

use super::{Party, party};
use crate::chance::Chance;
use crate::oracle::Fate;
use crate::party::{Me, Modes, Not, catch};
use crate::value::Value;

pub(super) fn make(_: &mut Chance, _: &mut Modes) -> Vec<Party> {
    let (writer, reader) = stream();
    vec![party!(|me| write(me, writer)), party!(|me| read(me, reader))]
}

async fn write(me: &mut Me, mut writer: Writer<Value>) {
    for _ in 0..me.chance.below(50) {
        me.dawdle().await;
        let written = match me.chance.below(8) {
            0 => me.receive("Writer::flush", writer.flush()).await,
            1 => me.receive("Writer::wanted", writer.wanted()).await.map(drop),
            2..4 => {
                let (written, items) = me.sequence();
                me.write("Writer::write", &written, Fate::Left, false, writer.write(items)).await
            }
            4 => {
                let (written, items) = me.sequence();
                me.write(
                    "Writer::write_local",
                    &written,
                    Fate::Left,
                    false,
                    writer.write_local(items),
                )
                .await
            }
            _ => {
                let (serial, value) = me.make();
                me.carry("Writer::send", serial, Fate::Left, writer.send(value)).await
            }
        };
        if written == Err(Not::Ended) {
            break;
        }
    }
    match me.chance.below(5) {
        0 => me.quietly("Writer::drop", || drop(writer)),
        1 => me.panic_with(writer),
        2 => {
            me.note("Writer::end_as");
            if let Some(Err(error)) = catch(|| writer.end_as(Why::Dropped)) {
                error.into_unsent().into_iter().flatten().for_each(|value| me.back(value));
            }
        }
        _ => {
            me.note("Writer::finish");
            if let Some(Err(error)) = catch(|| writer.finish()) {
                error.into_unsent().into_iter().flatten().for_each(|value| me.back(value));
            }
        }
    }
}

pub(super) async fn read(me: &mut Me, mut reader: Reader<Value>) {
    me.log.is_receiver = true;
    for _ in 0..me.chance.below(60) {
        me.dawdle().await;
        let n = 1 + me.chance.below(8) as usize;
        let mut into = Vec::new();
        let read = match me.chance.below(12) {
            0 => me.receive("Reader::read", reader.read(n)).await,
            1 => me.receive("Reader::read_some", reader.read_some(n)).await,
            2 => {
                let read = me
                    .receive("Reader::read_into", reader.read_into(n, &mut into))
                    .await
                    .map(|_| ());
                // Also what a read that was given up on has left there.
                match read {
                    Err(error) if into.is_empty() => Err(error),
                    _ => Ok(into),
                }
            }
            3..5 => match me.receive("Reader::read_once", reader.read_once()).await {
                Ok(mut batch) => {
                    let mut items = Vec::new();
                    for _ in 0..me.chance.below(6) {
                        match catch(|| batch.next()) {
                            Some(Some(item)) => items.push(item),
                            Some(None) => break,
                            None => {}
                        }
                    }
                    me.quietly("Batch::drop", || drop(batch));
                    items.into_iter().for_each(|item| me.got(item));
                    continue;
                }
                Err(not) => Err(not),
            },
            5 => me.first("Reader::chunks", reader.chunks(n).into_stream()).await,
            6..8 => {
                let mut ahead = reader.ahead(n).into_stream();
                let mut items = Vec::new();
                let mut end = Ok(());
                for _ in 0..me.chance.below(12) {
                    match me.next("Reader::ahead", &mut ahead).await {
                        Ok(item) => items.push(item),
                        Err(not) => {
                            end = Err(not);
                            break;
                        }
                    }
                }
                me.quietly("Ahead::drop", || drop(ahead));
                items.into_iter().for_each(|item| me.got(item));
                match end {
                    Err(Not::Ended) => Err(Not::Ended),
                    _ => continue,
                }
            }
            8 => me.first("Reader::stream", reader.stream()).await.map(|item| vec![item]),
            9 if me.chance.one_in(8) => me.receive("Reader::read_all", reader.read_all()).await,
            10 if me.is_thread() && !me.modes.is_bounded => {
                me.begin("Reader::iter");
                let next = catch(|| reader.iter().next()).ok_or(Not::Yet);
                next.and_then(|next| next.ok_or(Not::Ended)).map(|item| vec![item])
            }
            _ => me.receive("Reader::recv", reader.recv()).await.map(|item| vec![item]),
        };
        match read {
            // The end of a stream that was finished.
            Ok(items) if items.is_empty() && reader.end().is_some() => {
                me.log.has_seen_end = true;
                break;
            }
            Ok(items) => items.into_iter().for_each(|item| me.got(item)),
            Err(Not::Ended) => {
                me.log.has_seen_end = true;
                break;
            }
            Err(Not::Yet) => {}
        }
    }
    match me.chance.below(4) {
        0 => me.quietly("Reader::drop", || drop(reader)),
        1 => me.panic_with(reader),
        2 => me.quietly("Reader::end_as", || reader.end_as(Why::Panicked)),
        _ => me.quietly("Reader::close", || reader.close()),
    }
}
