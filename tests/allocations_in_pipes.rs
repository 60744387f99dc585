//! A pipe allocates its channel and one buffer, and nothing for what goes through it. Counted by the global allocator, so this file has one test.
#![cfg(not(any(handover_loom, handover_shuttle)))]
#![allow(unsafe_code)] // a global allocator can be had in no other way

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{BufRead, Read, Write};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use handover::{PipeReader, PipeWriter, pipe};

/// The system's allocator, and what the counted threads asked of it.
struct Counting;

thread_local!(static IS_COUNTED: Cell<bool> = const { Cell::new(false) });

static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_COUNTED.get() {
            CALLS.fetch_add(1, Relaxed);
            BYTES.fetch_add(layout.size(), Relaxed);
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CHUNKS: usize = 3_000;

/// A thread's first park allocates the place on which it parks from then on.
fn park_once() {
    let (_writer, mut reader) = pipe();
    reader.set_timeout(Some(Duration::from_millis(2)));
    assert!(reader.read(&mut [0]).is_err());
}

/// Calls and bytes, while both ends work on threads of their own.
fn count(
    write: impl FnOnce(PipeWriter) + Send,
    read: impl FnOnce(PipeReader) + Send,
) -> (usize, usize) {
    let before = (CALLS.load(Relaxed), BYTES.load(Relaxed));
    let (writer, reader) = pipe();
    thread::scope(|scope| {
        scope.spawn(|| {
            park_once();
            IS_COUNTED.set(true);
            write(writer);
            IS_COUNTED.set(false);
        });
        park_once();
        IS_COUNTED.set(true);
        read(reader);
        IS_COUNTED.set(false);
    });
    (CALLS.load(Relaxed) - before.0, BYTES.load(Relaxed) - before.1)
}

fn write_chunks(mut writer: PipeWriter, size: usize) {
    let data = vec![7; size];
    (0..CHUNKS).for_each(|_| writer.write_all(&data).unwrap());
    writer.finish().unwrap();
}

/// Uses up the pipe by `fill_buf`, or by reads of this length.
fn read_chunks(mut reader: PipeReader, length: usize) {
    let mut into = vec![0; length];
    loop {
        let n = match length {
            0 => reader.fill_buf().unwrap().len(),
            _ => reader.read(&mut into).unwrap(),
        };
        if length == 0 {
            reader.consume(n);
        }
        if n == 0 {
            break;
        }
    }
}

#[test]
fn what_goes_through_a_pipe_allocates_nothing() {
    for size in [100, 4_000, 100_000] {
        for length in [0, 1_000, 100_000] {
            let write = |writer| write_chunks(writer, size);
            let (calls, bytes) = count(write, |reader| read_chunks(reader, length));
            // The writer's data, the reader's own buffer if it has one, and the buffer that is lent.
            let most = 2 + usize::from(length > 0);
            assert!(calls <= most, "{calls} allocations, chunks of {size}, reads of {length}");
            assert!(
                bytes <= size + length + 65_536,
                "{bytes} bytes, chunks of {size}, reads of {length}"
            );
        }
    }

    // Each other length of a read may let the buffer grow, up to 64 KiB, and no further.
    let (calls, bytes) = count(
        |writer| write_chunks(writer, 500),
        |mut reader| {
            for length in (1..400).chain([3_000, 70_000, 5, 70_000]).cycle() {
                let mut into = [0; 70_000];
                if reader.read(&mut into[..length]).unwrap() == 0 {
                    break;
                }
            }
        },
    );
    assert!(calls <= 24 && bytes <= 4 * 65_536, "{calls} allocations, {bytes} bytes");
}
