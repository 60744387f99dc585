//! Bytes through a pipe, by `std::io` with timeouts on a thread, and by the async traits (where their features are on) in a task.
//!
//! Every byte tells its place, so that one that is lost, doubled or moved is seen by the reader.

use std::io::{BufRead, ErrorKind, Read, Write};

use handover::{PipeReader, PipeWriter, pipe};

use super::{Party, party};
use crate::chance::Chance;
use crate::party::{Me, Modes};

pub(super) fn make(_: &mut Chance, modes: &mut Modes) -> Vec<Party> {
    modes.panics = false;
    modes.needs_threads = !cfg!(any(feature = "futures-io", feature = "tokio"));
    let (writer, reader) = pipe();
    vec![party!(|me| write(me, writer)), party!(|me| read(me, reader))]
}

/// The byte at a place.
const fn byte(place: u64) -> u8 {
    (place ^ (place >> 7)) as u8
}

async fn write(me: &mut Me, mut writer: PipeWriter) {
    for _ in 0..me.chance.below(50) {
        me.dawdle().await;
        let place = me.log.written;
        let len = [1, 7, 100, 5_000][me.chance.below(4) as usize];
        let data: Vec<_> = (place..place + 1 + me.chance.below(len)).map(byte).collect();
        let written = if me.is_thread() {
            me.begin("PipeWriter::write");
            let limit = me.chance.one_in(3).then(|| me.a_while());
            writer.set_timeout(limit);
            Some(writer.write(&data))
        } else {
            write_async(me, &mut writer, &data).await
        };
        match written {
            Some(Ok(n)) => me.log.written += n as u64,
            Some(Err(error)) if error.kind() == ErrorKind::TimedOut => me.cancelled(),
            Some(Err(error)) if error.kind() == ErrorKind::BrokenPipe => break,
            Some(Err(error)) => return me.wrong(format!("a write told: {error:?}")),
            None => me.cancelled(),
        }
    }
    match me.chance.below(4) {
        0 => me.quietly("PipeWriter::drop", || drop(writer)),
        1 => me.panic_with(writer),
        _ => me.quietly("PipeWriter::finish", || _ = writer.finish()),
    }
}

async fn read(me: &mut Me, mut reader: PipeReader) {
    me.log.is_receiver = true;
    let mut buffer = [0; 6_000];
    for _ in 0..me.chance.below(60) {
        me.dawdle().await;
        let len = [1, 10, 300, buffer.len() as u64][me.chance.below(4) as usize];
        let into = &mut buffer[..1 + me.chance.below(len) as usize];
        let read = if me.is_thread() {
            let limit = me.chance.one_in(3).then(|| me.a_while());
            reader.set_timeout(limit);
            if me.chance.one_in(2) {
                me.begin("PipeReader::read");
                Some(reader.read(into))
            } else {
                me.begin("PipeReader::fill_buf");
                Some(reader.fill_buf().map(|bytes| {
                    let n = bytes.len().min(into.len());
                    into[..n].copy_from_slice(&bytes[..n]);
                    n
                }))
                .inspect(|read| _ = read.as_ref().map(|n| reader.consume(*n)))
            }
        } else {
            read_async(me, &mut reader, into).await
        };
        match read {
            Some(Ok(0)) => {
                me.log.has_seen_end = true;
                break;
            }
            Some(Ok(n)) => {
                let places = me.log.read..me.log.read + n as u64;
                if !places.map(byte).eq(into[..n].iter().copied()) {
                    me.wrong(format!(
                        "the {n} bytes at {} are others than were written",
                        me.log.read
                    ));
                }
                me.log.read += n as u64;
            }
            Some(Err(error)) if error.kind() == ErrorKind::TimedOut => me.cancelled(),
            Some(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                me.log.has_seen_end = true;
                break;
            }
            Some(Err(error)) => return me.wrong(format!("a read told: {error:?}")),
            None => me.cancelled(),
        }
    }
    if me.chance.one_in(2) {
        me.quietly("PipeReader::drop", || drop(reader));
    } else {
        me.panic_with(reader);
    }
}

#[cfg(not(any(feature = "futures-io", feature = "tokio")))]
async fn write_async(
    _: &mut Me,
    writer: &mut PipeWriter,
    data: &[u8],
) -> Option<std::io::Result<usize>> {
    Some(writer.write(data))
}

#[cfg(not(any(feature = "futures-io", feature = "tokio")))]
async fn read_async(
    _: &mut Me,
    reader: &mut PipeReader,
    into: &mut [u8],
) -> Option<std::io::Result<usize>> {
    Some(reader.read(into))
}

#[cfg(any(feature = "futures-io", feature = "tokio"))]
async fn write_async(
    me: &mut Me,
    writer: &mut PipeWriter,
    data: &[u8],
) -> Option<std::io::Result<usize>> {
    #[cfg(feature = "futures-io")]
    if !cfg!(feature = "tokio") || me.chance.one_in(2) {
        let write = futures_util::AsyncWriteExt::write(writer, data);
        return me.some_or_all("AsyncWrite::write", write).await;
    }
    #[cfg(feature = "tokio")]
    {
        let write = Box::pin(tokio::io::AsyncWriteExt::write(writer, data));
        return me.some_or_all("AsyncWrite::write (tokio)", write).await;
    }
    #[cfg(not(feature = "tokio"))]
    unreachable!("one of the features is on")
}

#[cfg(any(feature = "futures-io", feature = "tokio"))]
async fn read_async(
    me: &mut Me,
    reader: &mut PipeReader,
    into: &mut [u8],
) -> Option<std::io::Result<usize>> {
    #[cfg(feature = "futures-io")]
    if !cfg!(feature = "tokio") || me.chance.one_in(2) {
        let read = futures_util::AsyncReadExt::read(reader, into);
        return me.some_or_all("AsyncRead::read", read).await;
    }
    #[cfg(feature = "tokio")]
    {
        let read = Box::pin(tokio::io::AsyncReadExt::read(reader, into));
        return me.some_or_all("AsyncRead::read (tokio)", read).await;
    }
    #[cfg(not(feature = "tokio"))]
    unreachable!("one of the features is on")
}
