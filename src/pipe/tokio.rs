//! The ends of a pipe by the traits of `tokio::io`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::{MOST, PipeReader, PipeWriter};
use crate::point::Name;

/// With the feature `tokio`. A shutdown is [`finish`](PipeWriter::finish).
///
/// ```
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let (mut writer, mut reader) = handover::pipe();
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let write = async move {
///     writer.write_all(b"a letter").await?;
///     writer.shutdown().await
/// };
/// let mut text = String::new();
/// let (written, read) = tokio::join!(write, reader.read_to_string(&mut text));
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

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.close())
    }
}

/// With the feature `tokio`.
impl AsyncRead for PipeReader {
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll(into.remaining(), context, const { Name::of("PipeReader::read") }))?;
        let unread = self.unread();
        let n = unread.len().min(into.remaining());
        into.put_slice(&unread[..n]);
        self.consume_bytes(n);
        Poll::Ready(Ok(()))
    }
}

/// With the feature `tokio`.
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
