//! Pipes: a writer, a relay from pipe to pipe, and a reader, by the traits of `std::io`; some calls run out of time.

use std::io::{BufRead, ErrorKind, Read, Result, Write};
use std::time::Duration;

use handover::{PipeReader, PipeWriter, pipe};
use shuttle::thread;

use crate::explore::tally;
use crate::ways::{below, one_in, pick};

fn timeout() -> Option<Duration> {
    pick(&[None, None, Some(Duration::ZERO), Some(Duration::from_secs(60))])
}

/// What a call has done; `None` if it ran out of time.
fn in_time<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
            Ok(None)
        }
        other => other.map(Some),
    }
}

fn write(writer: &mut PipeWriter, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        writer.set_timeout(timeout());
        let piece = (1 + below(4)).min(bytes.len());
        if let Some(written) = in_time(writer.write(&bytes[..piece]))? {
            assert!(written > 0 && written <= piece);
            bytes = &bytes[written..];
        }
    }
    Ok(())
}

/// The next bytes; none at the end.
fn read(reader: &mut PipeReader) -> Result<Vec<u8>> {
    loop {
        reader.set_timeout(timeout());
        if one_in(2) {
            let mut buffer = [0; 3];
            let length = 1 + below(3);
            if let Some(read) = in_time(reader.read(&mut buffer[..length]))? {
                return Ok(buffer[..read].to_vec());
            }
        } else if let Some(bytes) = in_time(reader.fill_buf())? {
            let length = if bytes.is_empty() { 0 } else { 1 + below(bytes.len()) };
            let bytes = bytes[..length].to_vec();
            reader.consume(length);
            return Ok(bytes);
        }
    }
}

/// Passes on what it reads, and the end.
fn relay(mut reader: PipeReader, mut writer: PipeWriter) {
    loop {
        match read(&mut reader) {
            Ok(bytes) if bytes.is_empty() => {
                _ = writer.finish(); // The reader may have left.
                return;
            }
            Ok(bytes) => {
                if write(&mut writer, &bytes).is_err() {
                    return;
                }
            }
            Err(_) => return drop(writer),
        }
    }
}

pub(crate) fn run() {
    let bytes: Vec<u8> = (0..below(12) as u8).collect();
    let finishes = one_in(2);
    let leaves_early = one_in(4);
    let relays = 1 + below(2);
    let (mut writer, mut reader) = pipe();
    let sent = bytes.clone();
    let mut threads = vec![thread::spawn(move || {
        if write(&mut writer, &sent).is_ok() {
            // The reader may leave meanwhile.
            if finishes { _ = writer.finish() } else { drop(writer) }
        }
    })];
    for _ in 0..relays {
        let (writer, next) = pipe();
        let before = std::mem::replace(&mut reader, next);
        threads.push(thread::spawn(move || relay(before, writer)));
    }
    let mut received = Vec::new();
    let end = loop {
        if leaves_early && one_in(4) {
            break None;
        }
        match read(&mut reader) {
            Ok(bytes) if bytes.is_empty() => break Some(Ok(())),
            Ok(bytes) => received.extend(bytes),
            Err(error) => break Some(Err(error.kind())),
        }
    };
    drop(reader);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(bytes.starts_with(&received), "{received:?} of {bytes:?}");
    if let Some(end) = end {
        assert_eq!(received, bytes);
        assert_eq!(end, if finishes { Ok(()) } else { Err(ErrorKind::UnexpectedEof) });
    }
    tally(bytes.len(), received.len());
}
