//! The ends of a pipe by the traits of `futures_io`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};

use super::{MOST, PipeReader, PipeWriter};
use crate::point::Name;

/// With the feature `futures-io`. Closing is [`finish`](PipeWriter::finish).
///
/// ```
/// use futures_util::{AsyncReadExt, AsyncWriteExt};
///
/// let (mut writer, mut reader) = handover::pipe();
/// # pollster::block_on(async {
/// let write = async move {
///     writer.write_all(b"a letter").await?;
///     writer.close().await
/// };
/// let mut text = String::new();
/// let (written, read) = futures_lite::future::zip(write, reader.read_to_string(&mut text)).await;
/// assert_eq!((written.unwrap(), read.unwrap()), ((), 8));
/// # });
/// ```
impl AsyncWrite for PipeWriter {
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(data)])
    }

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(data, context)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.close())
    }
}

/// With the feature `futures-io`.
impl AsyncRead for PipeReader {
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if into.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll(into.len(), context, const { Name::of("PipeReader::read") }))?;
        Poll::Ready(Ok(self.copy_unread(into)))
    }
}

/// With the feature `futures-io`.
impl AsyncBufRead for PipeReader {
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll(MOST, context, const { Name::of("PipeReader::fill_buf") }))?;
        Poll::Ready(Ok(this.unread()))
    }

    fn consume(mut self: Pin<&mut Self>, n: usize) {
        self.consume_bytes(n);
    }
}
