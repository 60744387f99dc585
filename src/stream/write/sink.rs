//! A writer as a sink: an item goes into the batch that a request has begun.
//!
//! | call         | a request is in hand                        | its batch is in the slot               | no request       | the reader has left     |
//! |--------------|---------------------------------------------|----------------------------------------|------------------|-------------------------|
//! | `poll_ready` | ready                                       | waits for the next request             | waits for one    | the end                 |
//! | `start_send` | into the batch; a full one is put for good   | out of turn                            | out of turn      | the end, with the item  |
//! | `poll_flush` | puts what is in the batch, and waits         | waits until it is taken                | done             | the end; the items stay for `finish` |
//! | `poll_close` | `finish`                                    | `finish`; the batch stays for the reader | `finish`       | the end, if items lie in hand; they stay for `finish` |
//!
//! After `poll_close` each call tells `Closed`; `poll_close` itself, and `poll_flush`, are `Ok`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;

use super::super::{Answer, Writer};
use super::{SendOneStep, WantedStep, WriteProgress};
use crate::drive;
use crate::error::{SendError, Why};
use crate::point::{Name, Origin};
use crate::send_stream::{Forward, SendStream};
use crate::slot::{Message, SlotState};
use crate::step::{Attempt, PutMode, ReclaimStep, Step};
use crate::wait::WaiterKind;

/// With the feature `sink`: see [`sink`](crate::sink).
impl<T> Sink<T> for Writer<T> {
    type Error = SendError<T>;

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn poll_ready(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        self.get_mut().poll_ready_by(context, Origin::of(const { Name::of("Writer::poll_ready") }))
    }

    fn start_send(self: Pin<&mut Self>, item: T) -> Result<(), SendError<T>> {
        let writer = self.get_mut();
        if writer.half.has_left() {
            return Err(SendError::new(Why::Closed, Some(item)));
        }
        let progress = WriteProgress::new(Some(item).into_iter(), None);
        let mut step = SendOneStep { writer, progress };
        // What is put is the reader's to take, and so it is never withdrawn.
        let attempt = Attempt { put_mode: PutMode::Committed, ..Attempt::by(WaiterKind::Task) };
        match step.step(attempt) {
            Poll::Ready(sent) => sent,
            Poll::Pending if step.progress.answer.is_sent() => Ok(()),
            Poll::Pending => Err(SendError::new(Why::OutOfTurn, step.reclaim())),
        }
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        let writer = self.get_mut();
        if writer.half.has_left() {
            return Poll::Ready(Ok(()));
        }
        if let Some(why) = writer.put_batch() {
            return Poll::Ready(Err(SendError::new(why, None)));
        }
        let attempt = Attempt { waker: Some(context.waker()), ..Attempt::by(WaiterKind::Task) };
        if writer.half.load_state() != SlotState::Sent {
            return Poll::Ready(Ok(()));
        }
        let taken = ready!(writer.until_taken(attempt));
        Poll::Ready(taken.map_err(|why| SendError::new(why, None)))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let writer = self.get_mut();
        let has_items = writer.request.as_ref().is_some_and(|request| !request.batch.is_empty());
        if has_items {
            if let Some(why) = writer.half.peer_end_now() {
                return Poll::Ready(Err(SendError::new(why, None)));
            }
        }
        match writer.leave(Why::Closed) {
            Some((why, mut items)) => Poll::Ready(Err(SendError::new(why, items.pop()))),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<T> Writer<T> {
    /// Puts the items of the batch in hand for good. `Some`: the reader has left, and they stay in the batch.
    fn put_batch(&mut self) -> Option<Why> {
        let batch = self.take_batch();
        if batch.is_empty() {
            return None;
        }
        // With items in hand it is this end's turn.
        _ = self.half.load_state();
        let mut message = Some(Message::Answer(Answer::Flushed(batch)));
        if self.half.put_telling(&mut message, PutMode::Committed, None) {
            return None;
        }
        if let (Some(request), Some(Message::Answer(Answer::Flushed(batch)))) =
            (&mut self.request, message)
        {
            request.batch = batch;
        }
        Some(self.half.peer_end_now().unwrap_or(Why::Dropped))
    }

    /// Writes the items of a stream as [`write`](Writer::write) does, as they are asked for: the stream is not polled before that. With the feature `sink`.
    ///
    /// It is done when the stream is, which it is asked when one more item is wanted; what then lies in the batch in hand is still the writer's. A reader that leaves
    /// while the stream makes an item is noticed at once.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the reader has left; with the item that was not taken, if there is one. What lies in the batch in hand stays there:
    /// [`finish`](Writer::finish) gives it back.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the stream; pass `&mut stream` to keep it. An item that the stream has given is the reader's to take, or lies in the batch in hand.
    ///
    /// ```
    /// use futures_util::stream;
    ///
    /// let (mut writer, mut reader) = handover::stream();
    /// # pollster::block_on(async {
    /// let write = async move {
    ///     writer.send_stream(stream::iter(1..=5)).await.unwrap();
    ///     writer.finish().unwrap();
    /// };
    /// let ((), items) = futures_lite::future::zip(write, reader.read_all()).await;
    /// assert_eq!(items.unwrap(), [1, 2, 3, 4, 5]);
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn send_stream<S: Stream<Item = T> + Unpin>(
        &mut self,
        stream: S,
    ) -> SendStream<'_, Self, S> {
        SendStream::new(self, stream, Origin::of(const { Name::of("Writer::send_stream") }))
    }
}

impl<T> Forward<T> for Writer<T> {
    fn poll_ready_by(
        &mut self,
        context: &mut Context<'_>,
        origin: Origin,
    ) -> Poll<Result<(), SendError<T>>> {
        if self.half.has_left() {
            return Poll::Ready(Err(SendError::new(Why::Closed, None)));
        }
        // Nothing is withdrawn between two polls: the waker stays registered.
        let wanted = ready!(drive::poll(&mut WantedStep { writer: self }, context, origin));
        Poll::Ready(wanted.map(|_| ()).map_err(|error| SendError::new(error.why(), None)))
    }

    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<Why> {
        self.half.poll_left(context.waker())
    }
}
