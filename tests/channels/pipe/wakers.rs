//! Which wakers are woken, wakers that change in the middle, and wakers that misbehave.
#![cfg(feature = "futures-io")]

use std::io::{BufRead, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::support::thread;
use futures_io::{AsyncBufRead, AsyncWrite};
use handover::pipe;

fn poll_fill(reader: &mut PipeReader, waker: &Waker) -> Poll<usize> {
    let filled = Pin::new(reader).poll_fill_buf(&mut Context::from_waker(waker));
    filled.map(|filled| filled.unwrap().len())
}

fn poll_write(writer: &mut PipeWriter, data: &[u8], waker: &Waker) -> Poll<usize> {
    let written = Pin::new(writer)
        .poll_write_vectored(&mut Context::from_waker(waker), &[IoSlice::new(data)]);
    written.map(|written| written.unwrap())
}

#[test]
fn a_request_wakes_the_writer_and_bytes_the_reader_once() {
    let _watchdog = Watchdog::new();
    let (w_bell, w) = Bell::new();
    let (r_bell, r) = Bell::new();
    let (mut writer, mut reader) = pipe();
    for _ in 0..5 {
        assert!(poll_write(&mut writer, b"abc", &w).is_pending());
        assert!(poll_write(&mut writer, b"abc", &w).is_pending());
        assert!(poll_fill(&mut reader, &r).is_pending());
        assert!(poll_fill(&mut reader, &r).is_pending());
        assert_eq!((w_bell.rings(), r_bell.rings()), (1, 0));
        assert_eq!(poll_write(&mut writer, b"abc", &w), Poll::Ready(3));
        assert_eq!(poll_write(&mut writer, b"def", &w), Poll::Ready(3));
        assert_eq!((w_bell.rings(), r_bell.rings()), (0, 1), "the reader is awake already");
        assert_eq!(poll_fill(&mut reader, &r), Poll::Ready(6));
        assert_eq!((w_bell.rings(), r_bell.rings()), (0, 0), "a take wakes nobody");
        reader.consume(6);
    }
    assert!(poll_write(&mut writer, b"abc", &w).is_pending());
    drop(reader);
    assert_eq!(w_bell.rings(), 1, "the end wakes the writer");
}

#[test]
fn the_newest_waker_is_woken() {
    let _watchdog = Watchdog::new();
    let ((old_bell, old), (new_bell, new)) = (Bell::new(), Bell::new());
    let (mut writer, mut reader) = pipe();
    assert!(poll_write(&mut writer, b"abc", &old).is_pending());
    assert!(poll_write(&mut writer, b"abc", &new).is_pending());
    assert!(poll_fill(&mut reader, &old).is_pending());
    assert_eq!((old_bell.rings(), new_bell.rings()), (0, 1));
    assert!(poll_fill(&mut reader, &new).is_pending());
    assert_eq!(poll_write(&mut writer, b"abc", &old), Poll::Ready(3));
    assert_eq!((old_bell.rings(), new_bell.rings()), (0, 1));
    assert_eq!(poll_fill(&mut reader, &new), Poll::Ready(3));
    reader.consume(3);
    assert!(poll_fill(&mut reader, &new).is_pending());
    assert!(poll_fill(&mut reader, &old).is_pending());
    drop(writer);
    assert_eq!((old_bell.rings(), new_bell.rings()), (1, 0), "the end wakes the newest, too");
}

#[test]
fn a_reader_whose_waker_panics_has_its_bytes() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (mut writer, mut reader) = pipe();
    assert!(poll_fill(&mut reader, &hook.waker()).is_pending());
    hook.set_panic(Moment::Wake);
    assert!(panics(|| writer.write(b"abc")));
    assert_eq!(writer.write(b"def").unwrap(), 3, "the writer is whole");
    assert_eq!(reader.fill_buf().unwrap(), b"abcdef");
    writer.finish().unwrap();
    reader.consume(6);
    assert_eq!(reader.fill_buf().unwrap(), b"");
}

#[test]
fn a_waker_whose_clone_panics_leaves_the_reader_its_buffer() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (mut writer, mut reader) = pipe();
    let waker = hook.waker();
    hook.set_panic(Moment::Clone);
    assert!(panics(|| poll_fill(&mut reader, &waker)));
    writer.set_timeout(Some(Duration::ZERO));
    assert!(writer.write(b"nothing is asked for").is_err());
    assert!(poll_fill(&mut reader, &waker).is_pending());
    assert_eq!(writer.write(b"abc").unwrap(), 3);
    assert_eq!(poll_fill(&mut reader, &waker), Poll::Ready(3));
}

#[test]
fn a_writer_whose_waker_panics_gets_the_request() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (mut writer, mut reader) = pipe();
    assert!(poll_write(&mut writer, b"abc", &hook.waker()).is_pending());
    hook.set_panic(Moment::Wake);
    assert!(panics(|| poll_fill(&mut reader, Waker::noop())));
    assert_eq!(poll_write(&mut writer, b"abc", Waker::noop()), Poll::Ready(3));
    assert_eq!(poll_fill(&mut reader, Waker::noop()), Poll::Ready(3));
}

#[test]
fn a_waker_may_use_the_pipe() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (mut writer, mut reader) = pipe();
    assert!(poll_fill(&mut reader, &hook.waker()).is_pending());
    // It holds the reader itself: a read within the wake-up finds what that tells of.
    let read = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let result = std::sync::Arc::clone(&read);
    hook.set(Moment::Wake, move || {
        let mut into = [0; 10];
        let n = reader.read(&mut into).unwrap();
        result.lock().unwrap().extend_from_slice(&into[..n]);
    });
    assert_eq!(writer.write(b"abc").unwrap(), 3);
    assert_eq!(*read.lock().unwrap(), b"abc");
}

#[test]
fn a_task_then_a_thread_waits_at_the_same_end() {
    let _watchdog = Watchdog::new();
    let (bell, waker) = Bell::new();
    let (mut writer, mut reader) = pipe();
    assert!(poll_fill(&mut reader, &waker).is_pending());
    thread::scope(|scope| {
        scope.spawn(|| {
            let_them_park();
            writer.write_all(b"abc").unwrap();
        });
        assert_eq!(reader.fill_buf().unwrap(), b"abc");
    });
    drop(bell);
}

#[test]
fn a_waker_whose_clone_panics_has_written_nothing() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (mut writer, mut reader) = pipe();
    let waker = hook.waker();
    hook.set_panic(Moment::Clone);
    assert!(panics(|| poll_write(&mut writer, b"never", &waker)));
    assert!(poll_fill(&mut reader, Waker::noop()).is_pending());
    assert_eq!(poll_write(&mut writer, b"abc", &waker), Poll::Ready(3));
    assert_eq!(poll_fill(&mut reader, Waker::noop()), Poll::Ready(3));
}

#[test]
fn wakers_whose_drop_panics_take_no_bytes_and_no_end_away() {
    let _watchdog = Watchdog::new();
    // One at a time: two destructors that panic in one drop abort the process, whoever's they are.
    for (writer_first, whose) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
        let hooks = [Hook::new(), Hook::new()];
        let (mut writer, mut reader) = pipe();
        assert!(poll_write(&mut writer, b"abc", &hooks[0].waker()).is_pending());
        assert!(poll_fill(&mut reader, &hooks[1].waker()).is_pending());
        assert_eq!(poll_write(&mut writer, b"abc", &hooks[0].waker()), Poll::Ready(3));
        hooks[whose].set_panic(Moment::Drop);
        if writer_first {
            _ = panics(|| drop(writer));
            assert_eq!(poll_fill(&mut reader, Waker::noop()), Poll::Ready(3));
            reader.consume(3);
            let end = reader.fill_buf().unwrap_err();
            assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
            _ = panics(|| drop(reader));
        } else {
            _ = panics(|| drop(reader));
            let end = writer.write(b"def").unwrap_err();
            assert_eq!(end.kind(), std::io::ErrorKind::BrokenPipe);
            _ = panics(|| drop(writer));
        }
    }
}
