//! Reads and writes that are given up: pending once, completed from the other side, dropped without another poll.

use std::io::{BufRead, ErrorKind, Read, Write};
#[cfg(any(feature = "futures-io", feature = "tokio"))]
use std::pin::pin;
use std::time::Duration;

use super::*;
use futures_lite::future::poll_once;
use handover::pipe;

/// A read that is pending, and then dropped; by a thread it runs out of time.
fn give_up_read(by: By, reader: &mut PipeReader, length: usize) {
    match by {
        By::Std => {
            reader.set_timeout(Some(Duration::ZERO));
            assert_eq!(reader.read(&mut vec![0; length]).unwrap_err().kind(), ErrorKind::TimedOut);
            reader.set_timeout(None);
        }
        #[cfg(any(feature = "futures-io", feature = "tokio"))]
        _ => pollster::block_on(async {
            let mut into = vec![0; length];
            assert!(poll_once(pin!(by.read(reader, &mut into))).await.is_none());
        }),
    }
}

fn give_up_fill(by: By, reader: &mut PipeReader) {
    match by {
        By::Std => {
            reader.set_timeout(Some(Duration::ZERO));
            assert_eq!(reader.fill_buf().unwrap_err().kind(), ErrorKind::TimedOut);
            reader.set_timeout(None);
        }
        #[cfg(any(feature = "futures-io", feature = "tokio"))]
        _ => pollster::block_on(async {
            assert!(poll_once(pin!(by.fill(reader, 0))).await.is_none());
        }),
    }
}

fn give_up_write(by: By, writer: &mut PipeWriter, data: &[u8]) {
    match by {
        By::Std => {
            writer.set_timeout(Some(Duration::ZERO));
            assert_eq!(writer.write(data).unwrap_err().kind(), ErrorKind::TimedOut);
            writer.set_timeout(None);
        }
        #[cfg(any(feature = "futures-io", feature = "tokio"))]
        _ => pollster::block_on(async {
            assert!(poll_once(pin!(by.write(writer, data))).await.is_none());
        }),
    }
}

#[test]
fn what_a_read_asked_for_that_was_given_up_is_there_for_the_next_one() {
    let _watchdog = Watchdog::new();
    in_all_pairs(|(by, next)| {
        for (asked, then) in [(10, 10), (10, 3), (3, 10), (5, 5)] {
            let (mut writer, mut reader) = pipe();
            give_up_read(by, &mut reader, asked);
            let n = writer.write(b"abcdefgh").unwrap();
            assert_eq!(n, asked.min(8), "the request stands");
            let mut into = vec![0; then];
            let read = pollster::block_on(next.read(&mut reader, &mut into)).unwrap();
            assert_eq!(
                &into[..read],
                &b"abcdefgh"[..n.min(then)],
                "{by:?} {next:?} {asked} {then}"
            );
            writer.finish().unwrap();
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, &b"abcdefgh"[read..n]);
        }
    });
}

#[test]
fn a_read_that_is_given_up_again_and_again_loses_nothing() {
    let _watchdog = Watchdog::new();
    for &by in By::ALL {
        let (mut writer, mut reader) = pipe();
        let mut read = Vec::new();
        for piece in pattern(5_000).chunks(37) {
            give_up_read(by, &mut reader, 40);
            give_up_fill(by, &mut reader);
            writer.write_all(piece).unwrap();
            read.extend_from_slice(reader.fill_buf().unwrap());
            reader.consume(usize::MAX);
        }
        assert!(read == pattern(5_000));
    }
}

#[test]
fn a_write_that_is_pending_has_written_nothing() {
    let _watchdog = Watchdog::new();
    in_all_pairs(|(by, other)| {
        let (mut writer, mut reader) = pipe();
        give_up_write(by, &mut writer, b"never");
        give_up_fill(other, &mut reader);
        assert_eq!(writer.write(b"first").unwrap(), 5);
        assert_eq!(reader.fill_buf().unwrap(), b"first");
        reader.consume(5);
        // Now the last bytes are taken, and nothing is asked for.
        give_up_write(by, &mut writer, b"never");
        writer.finish().unwrap();
        assert_eq!(reader.fill_buf().unwrap(), b"");
    });
}

#[test]
fn a_write_into_a_full_request_waits_until_it_is_fetched() {
    let _watchdog = Watchdog::new();
    for &by in By::ALL {
        let (mut writer, mut reader) = pipe();
        give_up_read(by, &mut reader, 4);
        assert_eq!(writer.write(b"abcdef").unwrap(), 4);
        give_up_write(by, &mut writer, b"ef");
        assert_eq!(reader.fill_buf().unwrap(), b"abcd");
        give_up_write(by, &mut writer, b"ef");
        reader.consume(2);
        give_up_write(by, &mut writer, b"ef");
        reader.consume(2);
        give_up_fill(by, &mut reader);
        assert_eq!(writer.write(b"ef").unwrap(), 2);
        assert_eq!(reader.fill_buf().unwrap(), b"ef");
    }
}

#[test]
fn finished_given_up_loses_nothing_that_comes_later() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = pipe();
    assert!(pollster::block_on(poll_once(reader.finished())).is_none());
    assert_eq!(writer.write(b"later").unwrap(), 5);
    assert_eq!(reader.fill_buf().unwrap(), b"later");
}
