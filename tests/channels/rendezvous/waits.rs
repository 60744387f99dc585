//! All that may wait on a channel, for tests that try each.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::support::*;
use futures_core::Stream as _;
use handover::{Permit, Receiver, Sender, op};

/// An operation of some kind that waits on a channel.
pub(crate) enum Waits<'a> {
    Send(op::Send<'a, Counted>),
    SendAll(op::SendEach<'a, std::vec::IntoIter<Counted>>),
    Reserve(op::Reserve<'a, Counted>),
    Recv(op::Take<'a, Counted>),
    Stream(handover::iter::ValuesStream<'a, Counted>),
    Closed(op::Closed<'a, Counted>),
}

/// The outcome of such an operation.
#[derive(Debug)]
pub(crate) enum Came<'a> {
    Sent,
    Unsent(Vec<Counted>),
    Permit(Permit<'a, Counted>),
    Value(Counted),
    End,
}

pub(crate) const KINDS: [&str; 6] = ["send", "send_all", "reserve", "recv", "stream", "closed"];

impl<'a> Waits<'a> {
    pub(crate) fn new(
        kind: &str,
        tx: &'a Sender<Counted>,
        rx: &'a Receiver<Counted>,
        census: &Census,
    ) -> Self {
        match kind {
            "send" => Self::Send(tx.send(census.make())),
            "send_all" => Self::SendAll(tx.send_all(vec![census.make()])),
            "reserve" => Self::Reserve(tx.reserve()),
            "recv" => Self::Recv(rx.recv()),
            "stream" => Self::Stream(rx.stream()),
            _ => Self::Closed(rx.closed()),
        }
    }

    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Came<'a>> {
        let context = &mut Context::from_waker(waker);
        match self {
            Self::Send(op) => Pin::new(op).poll(context).map(|result| match result {
                Ok(()) => Came::Sent,
                Err(error) => Came::Unsent(Vec::from_iter(error.into_unsent())),
            }),
            Self::SendAll(op) => Pin::new(op).poll(context).map(|result| match result {
                Ok(()) => Came::Sent,
                Err(error) => Came::Unsent(error.into_rest().collect()),
            }),
            Self::Reserve(op) => {
                Pin::new(op).poll(context).map(|result| result.map_or(Came::End, Came::Permit))
            }
            Self::Recv(op) => {
                Pin::new(op).poll(context).map(|result| result.map_or(Came::End, Came::Value))
            }
            Self::Stream(stream) => {
                Pin::new(stream).poll_next(context).map(|next| next.map_or(Came::End, Came::Value))
            }
            Self::Closed(op) => Pin::new(op).poll(context).map(|_| Came::End),
        }
    }

    #[track_caller]
    pub(crate) fn pend(&mut self, waker: &Waker) {
        assert!(self.poll(waker).is_pending(), "done, but should wait");
    }
}

/// Does what an operation of that kind waits for. Returns the peer's operation, if that waits in turn.
pub(crate) fn serve<'a>(
    kind: &str,
    tx: &'a Sender<Counted>,
    rx: &'a Receiver<Counted>,
    census: &Census,
) -> Option<Waits<'a>> {
    let mut peer = match kind {
        "send" | "send_all" => {
            drop(rx.recv().now().unwrap());
            return None;
        }
        "reserve" => Waits::new("recv", tx, rx, census),
        "recv" | "stream" => Waits::new("send", tx, rx, census),
        _ => {
            tx.close();
            return None;
        }
    };
    peer.pend(Waker::noop());
    Some(peer)
}
