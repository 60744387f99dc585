//! What must work.

use std::io::{self, BufRead, BufReader, BufWriter, IoSlice, Read, Write};

use super::*;
use crate::support::thread;
use futures_lite::future::zip;
use handover::{Why, pipe};

#[test]
fn what_is_written_is_read_between_all_traits() {
    let _watchdog = Watchdog::new();
    let data = pattern(300_000);
    in_all_pairs(|by| {
        for (size, length) in
            [(1_000, 0), (70_000, 0), (1_000, 300), (300, 1_000), (100_000, 70_000)]
        {
            let (mut writer, mut reader) = pipe();
            let (written, (read, end)) = apart(
                by,
                async |by| {
                    by.write_all(&mut writer, &data, size).await?;
                    by.finish(writer).await
                },
                async |by| by.read_all(&mut reader, length).await,
            );
            written.unwrap();
            end.unwrap();
            assert!(read == data, "{by:?}, {size}, {length}");
            assert_eq!(reader.end(), Some(Why::Closed));
        }
    });
}

#[test]
fn both_ends_in_one_task() {
    let _watchdog = Watchdog::new();
    let data = pattern(200_000);
    in_all_pairs(|(write_by, read_by)| {
        if !write_by.is_task() || !read_by.is_task() {
            return;
        }
        let (mut writer, mut reader) = pipe();
        let write = async {
            write_by.write_all(&mut writer, &data, 1_500).await?;
            write_by.finish(writer).await
        };
        let (written, (read, end)) =
            pollster::block_on(zip(write, read_by.read_all(&mut reader, 900)));
        assert!(written.is_ok() && end.is_ok() && read == data);
    });
}

#[test]
fn an_end_changes_from_one_family_of_traits_to_the_next() {
    let _watchdog = Watchdog::new();
    let data = pattern(50_000);
    let (mut writer, mut reader) = pipe();
    thread::scope(|scope| {
        scope.spawn(|| {
            pollster::block_on(async {
                for (n, piece) in data.chunks(777).enumerate() {
                    By::ALL[n % By::ALL.len()].write_all(&mut writer, piece, 500).await.unwrap();
                }
            });
            writer.finish()
        });
        let mut read = Vec::new();
        pollster::block_on(async {
            for n in 0.. {
                let mut into = [0; 311];
                let length = By::ALL[n % By::ALL.len()].read(&mut reader, &mut into).await.unwrap();
                read.extend_from_slice(&into[..length]);
                if length == 0 {
                    break;
                }
            }
        });
        assert!(read == data);
    });
}

#[test]
fn a_write_waits_for_a_read_and_not_for_the_next_one() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = pipe();
    let writing = thread::spawn(move || {
        let n = writer.write(b"a request").unwrap();
        // Were this to wait for the next read, it would wait for ever.
        (writer, n)
    });
    let mut into = [0; 100];
    assert_eq!(reader.read(&mut into).unwrap(), 9);
    let (mut writer, n) = writing.join().unwrap();
    assert_eq!(n, 9);
    writer.set_timeout(Some(std::time::Duration::ZERO));
    assert_eq!(writer.write(b"more").unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn two_pipes_as_request_and_reply() {
    let _watchdog = Watchdog::new();
    let ((mut ask, mut asked), (mut answer, answers)) = (pipe(), pipe());
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut line = [0; 1];
            while asked.read(&mut line).unwrap() == 1 {
                answer.write_all(&[line[0] * 2, b'\n']).unwrap();
            }
            answer.finish()
        });
        let mut answers = answers.lines();
        for n in 6..60 {
            ask.write_all(&[n]).unwrap();
            assert_eq!(answers.next().unwrap().unwrap().as_bytes(), [n * 2]);
        }
        ask.finish().unwrap();
        assert!(answers.next().is_none());
    });
}

/// Pends a read that asks for so many bytes, and gives what one write after the other brings.
fn written_into_one_read(length: usize, sizes: &[usize]) -> Vec<usize> {
    let (mut writer, mut reader) = pipe();
    reader.set_timeout(Some(std::time::Duration::ZERO));
    let read = if length == 0 {
        reader.fill_buf().map(<[u8]>::len)
    } else {
        reader.read(&mut vec![0; length])
    };
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
    writer.set_timeout(Some(std::time::Duration::ZERO));
    let sizes = sizes.iter().map(|&size| writer.write(&pattern(size)));
    sizes.map_while(|written| written.ok()).collect()
}

#[test]
fn no_more_is_written_than_was_asked_for() {
    let _watchdog = Watchdog::new();
    assert_eq!(written_into_one_read(10, &[25, 1]), [10]);
    assert_eq!(written_into_one_read(10, &[4, 4, 4, 1]), [4, 4, 2]);
    assert_eq!(written_into_one_read(10, &[10, 1]), [10]);
    assert_eq!(written_into_one_read(1, &[1, 1]), [1]);
    assert_eq!(written_into_one_read(0, &[100_000, 1]), [65_536]);
    assert_eq!(written_into_one_read(0, &[60_000, 60_000, 1]), [60_000, 5_536]);
    assert_eq!(written_into_one_read(1_000_000, &[100_000, 1]), [65_536]);
}

#[test]
fn small_writes_that_one_read_asked_for_come_together() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = pipe();
    reader.set_timeout(Some(std::time::Duration::ZERO));
    assert!(reader.fill_buf().is_err());
    for piece in ["to ", "be ", "or not"] {
        assert_eq!(writer.write(piece.as_bytes()).unwrap(), piece.len());
    }
    assert_eq!(reader.fill_buf().unwrap(), b"to be or not");
    reader.consume(3);
    assert_eq!(reader.fill_buf().unwrap(), b"be or not");
}

#[test]
fn empty_reads_and_writes_are_done_at_once() {
    let _watchdog = Watchdog::new();
    for &by in By::ALL {
        let (mut writer, mut reader) = pipe();
        pollster::block_on(async {
            assert_eq!(by.write(&mut writer, &[]).await.unwrap(), 0);
            assert_eq!(by.read(&mut reader, &mut []).await.unwrap(), 0);
            assert_eq!(reader.end(), None, "{by:?}: an empty read tells nothing");
            drop(reader);
            assert_eq!(by.write(&mut writer, &[]).await.unwrap(), 0);
        });
    }
}

#[test]
fn consuming_more_than_there_is_is_consuming_all() {
    let _watchdog = Watchdog::new();
    for &by in By::ALL {
        let (mut writer, mut reader) = pipe();
        thread::scope(|scope| {
            scope.spawn(|| writer.write_all(b"abc").unwrap());
            pollster::block_on(async {
                assert_eq!(by.fill(&mut reader, usize::MAX).await.unwrap(), b"abc");
            });
        });
        writer.finish().unwrap();
        reader.consume(usize::MAX);
        assert_eq!(reader.fill_buf().unwrap(), b"");
    }
}

#[test]
fn a_reader_that_takes_without_limit() {
    let _watchdog = Watchdog::new();
    let (mut writer, reader) = pipe();
    let data = pattern(400_000);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Capacities that no buffer has, and a buffer that is longer than any request.
            writer.write_all(&data).unwrap();
            writer.finish()
        });
        let mut read = Vec::new();
        assert_eq!(reader.take(u64::MAX).read_to_end(&mut read).unwrap(), data.len());
        assert!(read == data);
    });
}

#[test]
fn several_slices_are_written_as_one() {
    let _watchdog = Watchdog::new();
    let slices: [&[u8]; 4] = [b"ab", b"", b"cdef", b"ghi"];
    let slices = slices.map(IoSlice::new);
    let (mut writer, mut reader) = pipe();
    reader.set_timeout(Some(std::time::Duration::ZERO));
    assert!(reader.read(&mut [0; 7]).is_err());
    assert_eq!(writer.write_vectored(&slices).unwrap(), 7);
    assert_eq!(reader.fill_buf().unwrap(), b"abcdefg");
    assert_eq!(writer.write_vectored(&[]).unwrap(), 0);
    #[cfg(feature = "tokio")]
    {
        use tokio::io::{AsyncWrite, AsyncWriteExt};
        reader.consume(7);
        assert!(reader.read(&mut [0; 7]).is_err());
        assert!(AsyncWrite::is_write_vectored(&writer));
        let written = pollster::block_on(AsyncWriteExt::write_vectored(&mut writer, &slices));
        assert_eq!(written.unwrap(), 7);
        writer.flush_now();
    }
}

/// Two traits of one writer have a `flush`; the inherent methods have none.
#[cfg(feature = "tokio")]
trait FlushNow {
    fn flush_now(&mut self);
}

#[cfg(feature = "tokio")]
impl FlushNow for PipeWriter {
    fn flush_now(&mut self) {
        pollster::block_on(tokio::io::AsyncWriteExt::flush(self)).unwrap();
        Write::flush(self).unwrap();
    }
}

#[test]
fn io_copy_out_of_a_pipe_and_into_one() {
    let _watchdog = Watchdog::new();
    let data = pattern(1_000_000);
    let (mut first, mut between) = pipe();
    let (mut second, mut reader) = pipe();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(io::copy(&mut &data[..], &mut first).unwrap(), 1_000_000);
            first.finish()
        });
        scope.spawn(move || {
            assert_eq!(io::copy(&mut between, &mut second).unwrap(), 1_000_000);
            second.finish()
        });
        let mut read = Vec::new();
        assert_eq!(io::copy(&mut reader, &mut read).unwrap(), 1_000_000);
        assert!(read == data);
    });
}

#[cfg(feature = "futures-io")]
#[test]
fn futures_copy_and_copy_buf() {
    let _watchdog = Watchdog::new();
    let data = pattern(500_000);
    let (mut first, between) = pipe();
    let (mut second, mut reader) = pipe();
    pollster::block_on(async {
        let write = async {
            futures_util::io::copy(&mut &data[..], &mut first).await.unwrap();
            futures_util::AsyncWriteExt::close(&mut first).await
        };
        let relay = async {
            assert_eq!(futures_util::io::copy_buf(between, &mut second).await.unwrap(), 500_000);
            futures_util::AsyncWriteExt::close(&mut second).await
        };
        let mut read = Vec::new();
        let collect = futures_util::AsyncReadExt::read_to_end(&mut reader, &mut read);
        let ((a, b), c) = zip(zip(write, relay), collect).await;
        assert!(a.is_ok() && b.is_ok() && c.unwrap() == 500_000 && read == data);
    });
}

#[cfg(feature = "tokio")]
#[test]
fn tokio_copy_and_copy_buf() {
    let _watchdog = Watchdog::new();
    let data = pattern(500_000);
    let (mut first, mut between) = pipe();
    let (mut second, mut reader) = pipe();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let write = async {
            tokio::io::copy(&mut &data[..], &mut first).await.unwrap();
            tokio::io::AsyncWriteExt::shutdown(&mut first).await.unwrap();
        };
        let relay = async {
            assert_eq!(tokio::io::copy_buf(&mut between, &mut second).await.unwrap(), 500_000);
            tokio::io::AsyncWriteExt::shutdown(&mut second).await.unwrap();
        };
        let mut read = Vec::new();
        let collect = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut read);
        let ((), (), read_bytes) = tokio::join!(write, relay, collect);
        assert!(read_bytes.unwrap() == 500_000 && read == data);
    });
}

#[test]
fn buffers_around_both_ends() {
    let _watchdog = Watchdog::new();
    let (writer, reader) = pipe();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = BufWriter::new(writer);
            for n in 0..50_000 {
                writeln!(writer, "{n}").unwrap();
            }
            writer.into_inner().unwrap().finish()
        });
        let lines = BufReader::new(reader).lines();
        assert!(lines.map(|line| line.unwrap().parse::<u32>().unwrap()).eq(0..50_000));
    });
}

#[test]
fn the_bytes_go_into_what_the_caller_has_already() {
    let _watchdog = Watchdog::new();
    let (mut writer, mut reader) = pipe();
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(b"be").and_then(|()| writer.finish()));
        let mut read = b"to ".to_vec();
        assert_eq!(reader.read_to_end(&mut read).unwrap(), 2);
        assert_eq!(read, b"to be");
    });
}
