//! Pipes: `pipe()`, by the traits of `std::io`, `futures_io` and `tokio::io`.

mod cancel;
mod cases;
mod ends;
mod formats;
mod model;
mod time;
mod wakers;

use std::fmt::Debug;
use std::io::{self, BufRead, Read, Write};
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::support::thread;
use crate::support::*;
use handover::{PipeReader, PipeWriter, op};
use static_assertions::{assert_impl_all, assert_not_impl_any};

assert_impl_all!(PipeWriter: Write, Debug, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(PipeReader: Read, BufRead, Debug, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe);
assert_impl_all!(op::Finished<'static>: Future<Output = io::Result<()>>, Send, Unpin);
// One end is one party.
assert_not_impl_any!(PipeWriter: Clone);
assert_not_impl_any!(PipeReader: Clone);
#[cfg(feature = "futures-io")]
assert_impl_all!(PipeWriter: futures_io::AsyncWrite);
#[cfg(feature = "futures-io")]
assert_impl_all!(PipeReader: futures_io::AsyncRead, futures_io::AsyncBufRead);
#[cfg(feature = "tokio")]
assert_impl_all!(PipeWriter: tokio::io::AsyncWrite);
#[cfg(feature = "tokio")]
assert_impl_all!(PipeReader: tokio::io::AsyncRead, tokio::io::AsyncBufRead);

/// The traits by which an end is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Std,
    #[cfg(feature = "futures-io")]
    FuturesIo,
    #[cfg(feature = "tokio")]
    Tokio,
}

impl By {
    pub(crate) const ALL: &[Self] = &[
        Self::Std,
        #[cfg(feature = "futures-io")]
        Self::FuturesIo,
        #[cfg(feature = "tokio")]
        Self::Tokio,
    ];

    pub(crate) const fn is_task(self) -> bool {
        !matches!(self, By::Std)
    }

    pub(crate) async fn write(self, writer: &mut PipeWriter, data: &[u8]) -> io::Result<usize> {
        progress();
        match self {
            By::Std => writer.write(data),
            #[cfg(feature = "futures-io")]
            By::FuturesIo => futures_util::AsyncWriteExt::write(writer, data).await,
            #[cfg(feature = "tokio")]
            By::Tokio => tokio::io::AsyncWriteExt::write(writer, data).await,
        }
    }

    /// Writes all, in pieces of at most `size`.
    pub(crate) async fn write_all(
        self,
        writer: &mut PipeWriter,
        mut data: &[u8],
        size: usize,
    ) -> io::Result<()> {
        while !data.is_empty() {
            let n = self.write(writer, &data[..size.min(data.len())]).await?;
            assert_ne!(n, 0);
            data = &data[n..];
        }
        Ok(())
    }

    pub(crate) async fn read(self, reader: &mut PipeReader, into: &mut [u8]) -> io::Result<usize> {
        progress();
        match self {
            By::Std => reader.read(into),
            #[cfg(feature = "futures-io")]
            By::FuturesIo => futures_util::AsyncReadExt::read(reader, into).await,
            #[cfg(feature = "tokio")]
            By::Tokio => tokio::io::AsyncReadExt::read(reader, into).await,
        }
    }

    /// What `fill_buf` gives, of which `n` bytes are consumed.
    pub(crate) async fn fill(self, reader: &mut PipeReader, n: usize) -> io::Result<Vec<u8>> {
        progress();
        let filled = match self {
            By::Std => reader.fill_buf()?.to_vec(),
            #[cfg(feature = "futures-io")]
            By::FuturesIo => futures_util::AsyncBufReadExt::fill_buf(reader).await?.to_vec(),
            #[cfg(feature = "tokio")]
            By::Tokio => tokio::io::AsyncBufReadExt::fill_buf(reader).await?.to_vec(),
        };
        match self {
            By::Std => reader.consume(n),
            #[cfg(feature = "futures-io")]
            By::FuturesIo => futures_util::AsyncBufReadExt::consume_unpin(reader, n),
            #[cfg(feature = "tokio")]
            By::Tokio => tokio::io::AsyncBufReadExt::consume(reader, n),
        }
        Ok(filled)
    }

    /// Reads up to the end, by buffers of this length; 0 is `fill_buf`.
    pub(crate) async fn read_all(
        self,
        reader: &mut PipeReader,
        length: usize,
    ) -> (Vec<u8>, io::Result<()>) {
        let (mut all, mut into) = (Vec::new(), vec![0; length]);
        loop {
            let read = if length == 0 {
                let filled = self.fill(reader, usize::MAX).await;
                filled.map(|bytes| {
                    all.extend_from_slice(&bytes);
                    bytes.len()
                })
            } else {
                let read = self.read(reader, &mut into).await;
                read.inspect(|n| all.extend_from_slice(&into[..*n]))
            };
            match read {
                Ok(0) => return (all, Ok(())),
                Ok(_) => {}
                Err(error) => return (all, Err(error)),
            }
        }
    }

    /// Closes by the trait's own way, and drops the writer.
    pub(crate) async fn finish(self, writer: PipeWriter) -> io::Result<()> {
        match self {
            By::Std => writer.finish(),
            #[cfg(feature = "futures-io")]
            By::FuturesIo => {
                let mut writer = writer;
                futures_util::AsyncWriteExt::close(&mut writer).await
            }
            #[cfg(feature = "tokio")]
            By::Tokio => {
                let mut writer = writer;
                tokio::io::AsyncWriteExt::shutdown(&mut writer).await
            }
        }
    }

    fn how(self) -> How {
        if self.is_task() { How::Task } else { How::Thread }
    }
}

/// Runs both bodies, each on a thread or on an executor of its own.
pub(crate) fn apart<A: Send, B: Send>(
    (write_by, read_by): (By, By),
    write: impl AsyncFnOnce(By) -> A + Send,
    read: impl AsyncFnOnce(By) -> B + Send,
) -> (A, B) {
    thread::scope(|scope| {
        let writing = scope.spawn(move || write_by.how().drive(write(write_by)));
        let read = read_by.how().drive(read(read_by));
        (writing.join().unwrap(), read)
    })
}

/// Each family of traits at either end.
pub(crate) fn in_all_pairs(test: impl Fn((By, By))) {
    for &write_by in By::ALL {
        for &read_by in By::ALL {
            test((write_by, read_by));
        }
    }
}

/// `length` bytes, no two of them alike within 251.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}
