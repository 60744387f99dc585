//! A writer as a sink: an item goes into the batch that a request has begun.
//!
//! | call         | a request is in hand, and misses items      | its batch is in the slot               | no request       | the reader has left     |
//! |--------------|---------------------------------------------|----------------------------------------|------------------|-------------------------|
//! | `poll_ready` | ready                                       | waits for the next request             | waits for one    | the end                 |
//! | `start_send` | into the batch; a full one is put for good   | out of turn                            | out of turn      | the end, with the item  |
//! | `poll_flush` | puts what is in the batch, and waits         | waits until it is taken                | done             | the end; the items stay for `finish` |
//! | `poll_close` | `finish`                                    | `finish`; the batch stays for the reader | `finish`       | the end, if items lie in hand; they stay for `finish` |
//!
//! A request in hand whose items are all there (a dropped write has left them), or of which a flush is requested, is answered by `poll_ready`; to `start_send` the former is
//! out of turn. After `poll_close` each call tells `Closed`, an operation of the writer too; `poll_close` itself, and `poll_flush`, are `Ok`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;

use super::super::{Answer, Request, Want, Writer, WriterHalf};
use super::WantedStep;
use crate::drive;
use crate::error::{RecvError, SendError, Why};
use crate::point::{Name, Origin};
use crate::send_stream::{Forward, SendStream};
use crate::slot::SlotState;
use crate::step::{Attempt, Step};
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
        match writer.until_asked(Attempt::by(WaiterKind::Task)) {
            Poll::Ready(Ok(())) if !writer.has_all() => writer.add(item),
            Poll::Ready(Ok(())) | Poll::Pending => Err(SendError::new(Why::OutOfTurn, Some(item))),
            Poll::Ready(Err(why)) => Err(SendError::new(why, Some(item))),
        }
    }

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn poll_flush(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        let writer = self.get_mut();
        if writer.half.has_left() {
            return Poll::Ready(Ok(()));
        }
        let batch = writer.take_batch();
        if !batch.is_empty() {
            if let Err(why) = writer.put_batch(Answer::Flushed(batch)) {
                return Poll::Ready(Err(SendError::new(why, None)));
            }
        }
        let origin = Origin::of(const { Name::of("Writer::poll_flush") });
        let taken = ready!(drive::poll(&mut TakenStep { writer }, context, origin));
        Poll::Ready(taken.map_err(|error| SendError::new(error.why(), None)))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let writer = self.get_mut();
        if let Some(why) = writer.half.peer_end_now().filter(|_| !writer.half.has_left()) {
            writer.recover();
            if writer.request.as_ref().is_some_and(|request| !request.batch.is_empty()) {
                return Poll::Ready(Err(SendError::new(why, None)));
            }
        }
        writer.half.stay();
        match writer.leave(Why::Closed) {
            Some((why, batch)) => {
                writer.request = Some(Request { want: Want::Write, batch }); // For `finish`.
                Poll::Ready(Err(SendError::new(why, None)))
            }
            None => Poll::Ready(Ok(())),
        }
    }
}

/// Waits until the batch in the slot was taken, if there is one.
struct TakenStep<'a, T> {
    writer: &'a mut Writer<T>,
}

impl<T> Step for TakenStep<'_, T> {
    const NAME: &'static str = "Writer::poll_flush";
    type Output = Result<(), RecvError>;
    type Waiter = WriterHalf<T>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        if self.writer.half.load_state() != SlotState::Sent {
            return Poll::Ready(Ok(())); // A request in hand stays.
        }
        let taken = ready!(self.writer.until_taken(attempt));
        Poll::Ready(taken.map_err(|why| {
            self.writer.recover();
            RecvError::new(why)
        }))
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        self.writer.half.unregister();
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.writer.half
    }
}

impl<T> Writer<T> {
    /// Adds an item to the batch of the request in hand, and puts it for good if that is all, or if the reader asks for what there is.
    fn add(&mut self, item: T) -> Result<(), SendError<T>> {
        let is_flush_requested = self.half.is_flush_requested();
        let Some(request) = &mut self.request else {
            return Err(SendError::new(Why::OutOfTurn, Some(item)));
        };
        request.batch.push(item);
        let is_up_to = matches!(request.want, Want::UpTo(_));
        if !(is_flush_requested || is_up_to || self.has_all()) {
            return Ok(());
        }
        let batch = self.take_batch();
        self.put_batch(Answer::Batch(batch)).map_err(|why| {
            let unsent = self.request.as_mut().and_then(|request| request.batch.pop());
            SendError::new(why, unsent)
        })
    }

    /// Takes back what the reader, which has left, did not take: `finish` gives it back.
    fn recover(&mut self) {
        if let Some(message) = self.half.withdraw() {
            self.keep_message(message);
        }
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
        Poll::Ready(match wanted {
            Ok(_) => Ok(()),
            Err(error) => Err(SendError::new(error.why(), None)),
        })
    }

    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<Why> {
        let left = self.half.poll_left(context.waker());
        if left.is_pending() && self.half.is_flush_requested() {
            context.waker().wake_by_ref(); // The request came after the look at that.
        }
        left
    }

    fn unregister(&mut self) {
        self.half.unregister();
    }
}
