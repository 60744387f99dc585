//! Timeouts of the traits of `std::io`.

use std::io::{BufRead, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use super::*;
use crate::support::thread;
use handover::pipe;

#[test]
fn a_timeout_ends_the_wait_and_the_pipe_goes_on() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = pipe();
    let limit = Duration::from_millis(20);
    reader.set_timeout(Some(limit));
    writer.set_timeout(Some(limit));
    for _ in 0..2 {
        let start = Instant::now();
        assert_eq!(reader.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(reader.fill_buf().unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= 2 * limit);
    }
    assert_eq!(writer.write(b"abc").unwrap(), 3);
    assert_eq!(reader.fill_buf().unwrap(), b"abc");
    let start = Instant::now();
    assert_eq!(writer.write(b"d").unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(start.elapsed() >= limit);
}

#[test]
fn the_longest_timeout_is_none_and_none_takes_it_back() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = pipe();
    reader.set_timeout(Some(Duration::MAX));
    thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(b"abc").unwrap();
            writer.set_timeout(Some(Duration::ZERO));
            writer.set_timeout(None);
            writer.write_all(b"def").unwrap();
        });
        reader.read_exact(&mut [0; 3]).unwrap();
        let_them_park();
        reader.read_exact(&mut [0; 3]).unwrap();
    });
}

#[test]
fn bytes_beat_an_expired_timeout() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = pipe();
    reader.set_timeout(Some(Duration::ZERO));
    assert!(reader.fill_buf().is_err());
    writer.set_timeout(Some(Duration::ZERO));
    assert_eq!(writer.write(b"abc").unwrap(), 3, "the request is there");
    assert_eq!(reader.fill_buf().unwrap(), b"abc", "the bytes are there");
    drop(writer);
    reader.consume(3);
    assert_eq!(reader.fill_buf().unwrap_err().kind(), ErrorKind::UnexpectedEof, "the end is there");
}

#[test]
fn a_call_that_ran_out_of_time_waits_no_more() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = pipe();
    reader.set_timeout(Some(Duration::from_millis(1)));
    writer.set_timeout(Some(Duration::from_millis(1)));
    writer.write(b"abc").unwrap_err();
    assert!(!peer_waits(&reader));
    reader.read(&mut [0; 8]).unwrap_err();
    assert!(!peer_waits(&writer), "a later write wakes nobody");
    reader.finished().wait_timeout(Duration::from_millis(1)).unwrap_err();
    assert!(!peer_waits(&writer));
}
