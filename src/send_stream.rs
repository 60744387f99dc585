//! `send_stream`: a stream is forwarded, and not polled before its next item is wanted.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;

use crate::error::{SendError, Why};
use crate::point::{Name, Origin};
use crate::rendezvous::{Closed, Permit, Reserve, Send, Sender};

/// A sink that notices, while the next item is made, that its peer leaves.
pub trait Forward<T>: Sink<T, Error = SendError<T>> + Unpin {
    /// `Sink::poll_ready`, for the operation that was made there.
    fn poll_ready_by(
        &mut self,
        context: &mut Context<'_>,
        origin: Origin,
    ) -> Poll<Result<(), SendError<T>>>;

    /// Waits until the peer leaves. Called when the sink is ready.
    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<Why>;

    /// Waits no more.
    fn unregister(&mut self);
}

/// Sends the items of a stream: see [`Server::send_stream`](crate::Server::send_stream) and [`Writer::send_stream`](crate::Writer::send_stream).
#[must_use = "a future does nothing until it is awaited (`.await`)"]
pub struct SendStream<'a, K, S> {
    sink: &'a mut K,
    stream: Option<S>,
    origin: Origin,
    /// Told when it is dropped in the middle.
    unregister: fn(&mut K),
}

impl<'a, K, S> SendStream<'a, K, S> {
    pub(crate) const fn new<T>(sink: &'a mut K, stream: S, origin: Origin) -> Self
    where
        K: Forward<T>,
    {
        Self { sink, stream: Some(stream), origin, unregister: K::unregister }
    }
}

impl<K, S> Drop for SendStream<'_, K, S> {
    fn drop(&mut self) {
        if self.stream.is_some() {
            (self.unregister)(self.sink);
        }
    }
}

/// # Panics
///
/// If it is polled again after it was done.
impl<T, K: Forward<T>, S: Stream<Item = T> + Unpin> Future for SendStream<'_, K, S> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(stream) = &mut this.stream else { finished() };
        let sent = loop {
            if let Err(error) = ready!(this.sink.poll_ready_by(context, this.origin)) {
                break Err(error);
            }
            match Pin::new(&mut *stream).poll_next(context) {
                Poll::Ready(Some(item)) => {
                    if let Err(error) = Pin::new(&mut *this.sink).start_send(item) {
                        break Err(error);
                    }
                }
                Poll::Ready(None) => break Ok(()),
                Poll::Pending => {
                    let why = ready!(this.sink.poll_left(context));
                    break Err(SendError::new(why, None));
                }
            }
        };
        this.stream = None;
        Poll::Ready(sent)
    }
}

#[cold]
fn finished() -> ! {
    panic!("handover: `send_stream` was polled again after it was done");
}

// No part of it is ever pinned.
impl<K, S> Unpin for SendStream<'_, K, S> {}

impl<K, S> fmt::Debug for SendStream<'_, K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("send_stream")
            .field("is_done", &self.stream.is_none())
            .finish_non_exhaustive()
    }
}

/// Sends the items of a stream: see [`Sender::send_stream`].
///
/// | `state`    | it waits for                                                              |
/// |------------|---------------------------------------------------------------------------|
/// | `Reserving` | a receiver that stands ready; the stream is not polled                   |
/// | `Pulling`  | the stream's next item, with no receiver kept, and the end of the channel  |
/// | `Sending`  | a receiver to take the item                                               |
///
/// A permit is kept only during a poll of the stream, so that a stream that is long in coming keeps no receiver from other senders.
#[must_use = "a future does nothing until it is awaited (`.await`)"]
pub struct SendStreamEach<'a, T, S> {
    sender: &'a Sender<T>,
    stream: Option<S>,
    state: State<'a, T>,
    origin: Origin,
}

enum State<'a, T> {
    Reserving(Reserve<'a, T>),
    Pulling(#[allow(dead_code, reason = "its waker stays registered")] Closed<'a, T>),
    Sending(Send<'a, T>),
}

impl<T, S: Stream<Item = T> + Unpin> SendStreamEach<'_, T, S> {
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let Some(stream) = &mut self.stream else { finished() };
        loop {
            match &mut self.state {
                State::Sending(send) => {
                    ready!(Pin::new(send).poll(context))?;
                    self.state = reserving(self.sender, self.origin);
                }
                // The next item may be there, but it is not pulled without a receiver.
                State::Pulling(_) => self.state = reserving(self.sender, self.origin),
                State::Reserving(reserve) => {
                    let permit: Permit<'_, T> = match ready!(Pin::new(reserve).poll(context)) {
                        Ok(permit) => permit,
                        Err(error) => return Poll::Ready(Err(SendError::new(error.why(), None))),
                    };
                    // Set before the stream is polled, which may panic: that reserve is done.
                    self.state = reserving(self.sender, self.origin);
                    match Pin::new(&mut *stream).poll_next(context) {
                        Poll::Ready(Some(item)) => {
                            let mut send = permit.send(item);
                            send.set_origin(self.origin);
                            self.state = State::Sending(send);
                        }
                        Poll::Ready(None) => return Poll::Ready(Ok(())),
                        Poll::Pending => {
                            let mut closed = self.sender.closed();
                            closed.set_origin(self.origin);
                            let ended = Pin::new(&mut closed).poll(context);
                            self.state = State::Pulling(closed);
                            drop(permit);
                            let ended = match ready!(ended) {
                                Ok(why) => why,
                                Err(error) => error.why(),
                            };
                            return Poll::Ready(Err(SendError::new(ended, None)));
                        }
                    }
                }
            }
        }
    }
}

/// Waits for a receiver, as the operation that was made there.
fn reserving<T>(sender: &Sender<T>, origin: Origin) -> State<'_, T> {
    let mut reserve = sender.reserve();
    reserve.set_origin(origin);
    State::Reserving(reserve)
}

/// # Panics
///
/// If it is polled again after it was done.
impl<T, S: Stream<Item = T> + Unpin> Future for SendStreamEach<'_, T, S> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let sent = ready!(self.poll_sent(context));
        self.stream = None;
        Poll::Ready(sent)
    }
}

// No part of it is ever pinned.
impl<T, S> Unpin for SendStreamEach<'_, T, S> {}

impl<T, S> fmt::Debug for SendStreamEach<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("send_stream")
            .field("is_done", &self.stream.is_none())
            .finish_non_exhaustive()
    }
}

impl<T> Sender<T> {
    /// Hands over the items of a stream, each to a receiver that stands ready: the stream is not polled before one does. With the feature `sink`.
    ///
    /// It is done when the stream is, which it is asked when a receiver stands ready for one more item. No receiver is kept while the stream makes an item, so others may
    /// send meanwhile. The end of the channel is noticed at once.
    ///
    /// # Errors
    ///
    /// The end of the channel; with the item that was not taken, if there is one.
    ///
    /// # Cancel safety
    ///
    /// Dropping it withdraws the item on offer, if no receiver has taken it, and drops that with the stream; pass `&mut stream` to keep the stream.
    ///
    /// ```
    /// use futures_util::{StreamExt, stream};
    /// use handover::rendezvous;
    ///
    /// let (tx, rx) = rendezvous();
    /// # pollster::block_on(async {
    /// let send = async move {
    ///     tx.send_stream(stream::iter(1..=3)).await.unwrap();
    ///     tx.finish();
    /// };
    /// let ((), items) = futures_lite::future::zip(send, rx.into_stream().collect::<Vec<_>>()).await;
    /// assert_eq!(items, [1, 2, 3]);
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn send_stream<S: Stream<Item = T> + Unpin>(&self, stream: S) -> SendStreamEach<'_, T, S> {
        let origin = Origin::of(const { Name::of("Sender::send_stream") });
        let state = reserving(self, origin);
        SendStreamEach { sender: self, stream: Some(stream), state, origin }
    }
}
