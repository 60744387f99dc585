//! A server as a sink: an item answers the demand that stands.
//!
//! | call         | turn: the server's (a demand is in hand) | its item is in the slot          | turn: the client's    | the client has left          |
//! |--------------|------------------------------------------|----------------------------------|-----------------------|------------------------------|
//! | `poll_ready` | ready                                    | waits for the next demand        | waits for a demand    | the end                      |
//! | `start_send` | puts the item for good; its take will be told | out of turn                 | out of turn           | the end, with the item       |
//! | `poll_flush` | done                                     | waits until it is taken          | done                  | the end, with the item if it lies there |
//! | `poll_close` | `finish`                                 | `finish`; the item stays for the client | `finish`       | the end, with the item if it lies there |
//!
//! After `poll_close` each call tells `Closed`, an operation of the server too; `poll_close` itself, and `poll_flush` of nothing, are `Ok`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;

use super::steps::{AnswerStep, DemandStep};
use super::{Message, Server};
use crate::drive;
use crate::error::{SendError, Why};
use crate::point::{Name, Origin};
use crate::send_stream::{Forward, SendStream};
use crate::slot::{Outgoing, SlotState};
use crate::step::PutMode;

/// With the feature `sink`: see [`sink`](crate::sink).
impl<T> Sink<T> for Server<T> {
    type Error = SendError<T>;

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn poll_ready(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        self.get_mut().poll_ready_by(context, Origin::of(const { Name::of("Server::poll_ready") }))
    }

    fn start_send(self: Pin<&mut Self>, item: T) -> Result<(), SendError<T>> {
        let half = &mut self.get_mut().half;
        if half.has_left() {
            return Err(SendError::new(Why::Closed, Some(item)));
        }
        let state = half.load_state();
        if let Some(why) = half.peer_end() {
            return Err(SendError::new(why, Some(item)));
        }
        if state != SlotState::MyTurn {
            return Err(SendError::new(Why::OutOfTurn, Some(item)));
        }
        let mut message = Some(Message::Answer(item));
        if half.put_telling(&mut message, PutMode::Committed, None) {
            return Ok(());
        }
        let why = half.peer_end_now().unwrap_or(Why::Dropped);
        Err(SendError::new(why, message.and_then(Message::answer)))
    }

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn poll_flush(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        let server = self.get_mut();
        if server.half.has_left() {
            return Poll::Ready(Ok(()));
        }
        // As the answer that has put the item would have done.
        let origin = Origin::of(const { Name::of("Server::poll_flush") });
        drive::poll(&mut AnswerStep { server, answer: Outgoing::sent() }, context, origin)
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let half = &mut self.get_mut().half;
        half.stay();
        let end = half.leave(Why::Closed);
        // Nobody takes any more what lies there when the client has left.
        let unsent = end.and_then(|_| half.withdraw()).and_then(Message::answer);
        Poll::Ready(match (end, unsent) {
            (Some(why), Some(item)) => Err(SendError::new(why, Some(item))),
            _ => Ok(()),
        })
    }
}

impl<T> Server<T> {
    /// Sends the items of a stream as [`send`](Server::send) does, each when it is asked for: the stream is not polled before that. With the feature `sink`.
    ///
    /// It is done when the stream is, and the client has come back after the last item. A client that leaves while the stream makes an item is noticed at once.
    ///
    /// # Errors
    ///
    /// The end of the channel, if the client has left; with the item that was not taken, if there is one.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the stream; pass `&mut stream` to keep it. An item that the stream has given is the client's to take.
    ///
    /// ```
    /// use futures_util::{StreamExt, stream};
    /// use handover::simplex;
    ///
    /// let (mut server, client) = simplex();
    /// # pollster::block_on(async {
    /// let send = async move {
    ///     server.send_stream(stream::iter(1..=3)).await.unwrap();
    ///     server.finish();
    /// };
    /// let ((), items) = futures_lite::future::zip(send, client.into_stream().collect::<Vec<_>>()).await;
    /// assert_eq!(items, [1, 2, 3]);
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn send_stream<S: Stream<Item = T> + Unpin>(
        &mut self,
        stream: S,
    ) -> SendStream<'_, Self, S> {
        SendStream::new(self, stream, Origin::of(const { Name::of("Server::send_stream") }))
    }
}

impl<T> Forward<T> for Server<T> {
    fn poll_ready_by(
        &mut self,
        context: &mut Context<'_>,
        origin: Origin,
    ) -> Poll<Result<(), SendError<T>>> {
        if self.half.has_left() {
            return Poll::Ready(Err(SendError::new(Why::Closed, None)));
        }
        // Nothing is withdrawn between two polls: the waker stays registered.
        let demanded = ready!(drive::poll(&mut DemandStep { server: self }, context, origin));
        Poll::Ready(match demanded.map_err(|error| error.why()) {
            Ok(()) | Err(Why::OutOfTurn) => Ok(()),
            Err(why) => Err(SendError::new(why, None)),
        })
    }

    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<Why> {
        self.half.poll_left(context.waker())
    }

    fn unregister(&mut self) {
        self.half.unregister();
    }
}
