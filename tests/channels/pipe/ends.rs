//! How a pipe ends, and what is told of it.

use std::io::{self, BufRead as _, ErrorKind, Read, Write};

use super::*;
use crate::support::thread;
use handover::{Why, pipe};

/// The reason inside of an error.
fn why(error: &io::Error) -> Option<Why> {
    error.get_ref()?.downcast_ref().copied()
}

#[test]
fn the_end_is_told_by_all_traits_again_and_again() {
    let _watchdog = Watchdog::new();
    for end in [Why::Closed, Why::Dropped, Why::Panicked] {
        in_all_pairs(|by| {
            let (mut writer, mut reader) = pipe();
            apart(
                by,
                async |by| {
                    by.write_all(&mut writer, b"the last", 3).await.unwrap();
                    leave_by(writer, end, |writer| {
                        pollster::block_on(by.finish(writer)).unwrap();
                    });
                },
                async |by| {
                    let (read, told) = by.read_all(&mut reader, 5).await;
                    assert_eq!(read, b"the last");
                    let mut tellings = vec![told.map(|()| 0)];
                    for _ in 0..3 {
                        tellings.push(by.read(&mut reader, &mut [0; 4]).await);
                        tellings.push(by.fill(&mut reader, 0).await.map(|bytes| bytes.len()));
                    }
                    for told in tellings {
                        match told {
                            Ok(n) => assert_eq!((n, end), (0, Why::Closed)),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                                assert_eq!(why(&error), Some(end));
                            }
                        }
                    }
                    assert_eq!(reader.end(), Some(end));
                },
            );
        });
    }
}

#[test]
fn a_writer_that_waits_is_told_that_the_reader_has_left() {
    let _watchdog = Watchdog::new();
    for &by in By::ALL {
        for end in [Why::Dropped, Why::Panicked] {
            let (mut writer, reader) = pipe();
            thread::scope(|scope| {
                let writing = scope.spawn(|| {
                    by.how().drive(async {
                        let first = by.write(&mut writer, b"in vain").await.unwrap_err();
                        let second = by.write(&mut writer, b"in vain").await.unwrap_err();
                        [first, second]
                    })
                });
                until(|| peer_waits(&reader));
                leave_by(reader, end, drop);
                for error in writing.join().unwrap() {
                    assert_eq!((error.kind(), why(&error)), (ErrorKind::BrokenPipe, Some(end)));
                }
            });
            assert!(writer.is_closed());
            assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
    }
}

#[test]
fn a_reader_that_waits_is_told_of_the_end_at_once() {
    let _watchdog = Watchdog::new();
    for &by in By::ALL {
        let (writer, mut reader) = pipe();
        thread::scope(|scope| {
            let reading = scope
                .spawn(|| by.how().drive(by.read(&mut reader, &mut [0; 9])).map_err(|e| e.kind()));
            until(|| peer_waits(&writer));
            drop(writer);
            assert_eq!(reading.join().unwrap(), Err(ErrorKind::UnexpectedEof));
        });
    }
}

#[test]
fn a_reader_is_dropped_with_bytes_in_flight() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = pipe();
    reader.set_timeout(Some(std::time::Duration::ZERO));
    assert!(reader.read(&mut [0; 10]).is_err());
    assert_eq!(writer.write(b"abc").unwrap(), 3);
    drop(reader);
    assert_eq!(writer.write(b"d").unwrap_err().kind(), ErrorKind::BrokenPipe, "there was room");
    assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_finished_writer_writes_no_more_and_tells_the_same_again() {
    let _watchdog = Watchdog::new();
    #[cfg(feature = "futures-io")]
    {
        use futures_util::AsyncWriteExt;
        let (mut writer, reader) = pipe();
        pollster::block_on(async {
            writer.close().await.unwrap();
            drop(reader);
            writer.close().await.unwrap();
            AsyncWriteExt::flush(&mut writer).await.unwrap();
            let error = AsyncWriteExt::write(&mut writer, b"late").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        });
        writer.finish().unwrap();
    }
    #[cfg(feature = "tokio")]
    {
        use tokio::io::AsyncWriteExt;
        let (mut writer, reader) = pipe();
        drop(reader);
        pollster::block_on(async {
            for _ in 0..2 {
                let error = writer.shutdown().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            }
        });
    }
    let (writer, mut reader) = pipe();
    writer.finish().unwrap();
    assert_eq!(reader.read(&mut [0; 3]).unwrap(), 0);
}

#[test]
fn a_drop_of_an_async_writer_is_no_close() {
    let _watchdog = Watchdog::new();
    for &by in By::ALL {
        let (mut writer, mut reader) = pipe();
        thread::scope(|scope| {
            scope.spawn(move || by.how().drive(by.write_all(&mut writer, b"cut", 3)));
            let mut text = String::new();
            assert_eq!(
                reader.read_to_string(&mut text).unwrap_err().kind(),
                ErrorKind::UnexpectedEof
            );
            assert_eq!((text.as_str(), reader.end()), ("cut", Some(Why::Dropped)));
        });
    }
}

#[test]
fn finished_reads_away_what_is_left() {
    let _watchdog = Watchdog::new();
    for end in [Why::Closed, Why::Dropped, Why::Panicked] {
        for is_task in [false, true] {
            let (mut writer, mut reader) = pipe();
            thread::scope(|scope| {
                scope.spawn(move || {
                    writer.write_all(&pattern(200_000)).unwrap();
                    leave_by(writer, end, |writer| writer.finish().unwrap());
                });
                reader.read_exact(&mut [0; 10]).unwrap();
                for _ in 0..2 {
                    let finished = reader.finished();
                    let told = if is_task { pollster::block_on(finished) } else { finished.wait() };
                    assert_eq!(
                        told.err().and_then(|error| why(&error)),
                        (end != Why::Closed).then_some(end)
                    );
                }
            });
            assert_eq!(reader.end(), Some(end));
        }
    }
}

#[test]
fn finished_before_the_end_is_given_up_without_losing_the_pipe() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = pipe();
    assert_eq!(reader.finished().now().unwrap_err().kind(), ErrorKind::WouldBlock);
    writer.write_all(b"read away").unwrap();
    let limit = std::time::Duration::from_millis(1);
    assert_eq!(reader.finished().wait_timeout(limit).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(reader.end(), None);
    writer.write_all(b"kept").unwrap();
    assert_eq!(reader.fill_buf().unwrap(), b"kept");
    {
        let mut finished = reader.finished();
        pend(&mut finished);
    }
    writer.finish().unwrap();
    reader.finished().wait().unwrap();
}

#[test]
fn finished_in_a_select() {
    let _watchdog = Watchdog::new();
    let (writer, mut reader) = pipe();
    let (stop, stopped) = handover::rendezvous::<()>();
    thread::scope(|scope| {
        scope.spawn(|| stop.send(()).wait().unwrap());
        let first = handover::select((reader.finished(), stopped.recv())).wait();
        assert!(matches!(first, handover::Sel2::B(Ok(()))));
    });
    writer.finish().unwrap();
    let second = pollster::block_on(handover::select((reader.finished(), stopped.recv())));
    assert!(matches!(second, handover::Sel2::A(Ok(()))));
}

#[test]
fn a_writer_that_panics_on_its_thread_is_told_apart() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = pipe();
    let writing = thread::spawn(move || {
        writer.write_all(b"half of ").unwrap();
        quiet_panic();
        _ = writer.finish();
    });
    let mut text = String::new();
    let error = reader.read_to_string(&mut text).unwrap_err();
    assert_eq!((text.as_str(), why(&error)), ("half of ", Some(Why::Panicked)));
    assert!(writing.join().is_err());
}
