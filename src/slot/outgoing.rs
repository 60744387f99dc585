//! Messages: on their way out, and the next one in.

use std::mem;
use std::task::Poll;
#[cfg(feature = "sink")]
use std::task::Waker;

use super::{Half, SlotState};
use crate::error::Why;
use crate::step::Attempt;

/// What goes through the slot of a channel: demands up, answers down.
#[allow(missing_debug_implementations, reason = "users do not meet it")]
pub enum Message<T, U> {
    /// From the client to the server.
    Demand(U),
    /// From the server to the client.
    Answer(T),
}

impl<T, U> Message<T, U> {
    pub(crate) fn demand(self) -> Option<U> {
        match self {
            Message::Demand(demand) => Some(demand),
            Message::Answer(_) => None,
        }
    }

    pub(crate) fn answer(self) -> Option<T> {
        match self {
            Message::Answer(answer) => Some(answer),
            Message::Demand(_) => None,
        }
    }
}

/// A message that a party sends.
///
/// | `message` | `is_put` | the message is                                            |
/// |-----------|----------|-----------------------------------------------------------|
/// | some      | no       | the party's, not put yet                                  |
/// | none      | yes      | in the slot, or taken: the slot tells                     |
/// | none      | no       | taken, or there never was one                             |
/// | some      | yes      | the party's: a waker panicked before the put              |
pub(crate) struct Outgoing<M> {
    message: Option<M>,
    is_put: bool,
}

impl<M> Outgoing<M> {
    pub(crate) const fn new(message: M) -> Self {
        Self { message: Some(message), is_put: false }
    }

    pub(crate) const fn none() -> Self {
        Self { message: None, is_put: false }
    }

    /// One that an operation which is gone has put.
    #[cfg(feature = "sink")]
    pub(crate) const fn sent() -> Self {
        Self { message: None, is_put: true }
    }

    /// Whether it is still to be put.
    pub(crate) const fn is_here(&self) -> bool {
        self.message.is_some()
    }

    pub(crate) const fn is_put(&self) -> bool {
        self.is_put
    }

    /// Whether it is in the slot, or taken.
    pub(crate) const fn is_sent(&self) -> bool {
        self.is_put && self.message.is_none()
    }

    /// Whether nothing is to be put or to be taken.
    pub(crate) const fn is_through(&self) -> bool {
        self.message.is_none() && !self.is_put
    }

    /// Puts it: see `Half::put`. The turn must be this party's.
    #[inline(always)]
    pub(crate) fn put<const ME: u32>(
        &mut self,
        half: &mut Half<M, ME>,
        attempt: Attempt<'_>,
    ) -> bool {
        // Set before the put: a waker may panic when the message is already in the slot.
        self.is_put = true;
        self.is_put = half.put(&mut self.message, attempt.put_mode, attempt.waker);
        self.is_put
    }

    /// As `put`; the take wakes this party, too.
    pub(crate) fn put_telling<const ME: u32>(
        &mut self,
        half: &mut Half<M, ME>,
        attempt: Attempt<'_>,
    ) -> bool {
        self.is_put = true;
        self.is_put = half.put_telling(&mut self.message, attempt.put_mode, attempt.waker);
        self.is_put
    }

    /// The peer has taken it.
    pub(crate) const fn set_taken(&mut self) {
        self.is_put = false;
    }

    /// The message, if it is the party's.
    pub(crate) fn take_unput(&mut self) -> Option<M> {
        let message = self.message.take()?;
        self.is_put = false;
        Some(message)
    }

    /// Takes it back for now, if the peer has not taken it.
    pub(crate) fn rewind<const ME: u32>(&mut self, half: &mut Half<M, ME>) {
        if self.is_put && self.message.is_none() {
            self.message = half.withdraw();
        }
        self.is_put &= self.message.is_none();
    }

    /// Gives up on it: the message, if the peer has not taken it.
    pub(crate) fn take_back<const ME: u32>(&mut self, half: &mut Half<M, ME>) -> Option<M> {
        half.unregister();
        let put = if mem::take(&mut self.is_put) { half.withdraw() } else { None };
        self.message.take().or(put)
    }
}

impl<M, const ME: u32> Half<M, ME> {
    /// Takes the message that comes next, or tells that the peer has left. Out of turn if the turn is this party's own.
    #[inline(always)]
    pub(crate) fn next_message(&mut self, attempt: Attempt<'_>) -> Poll<Result<M, Why>> {
        loop {
            let state = self.load_state();
            if let Some(why) = self.peer_end() {
                return Poll::Ready(Err(why));
            }
            match state {
                SlotState::MyTurn => return Poll::Ready(Err(Why::OutOfTurn)),
                SlotState::Received => {
                    if let Some(message) = self.take() {
                        return Poll::Ready(Ok(message));
                    }
                }
                SlotState::Sent | SlotState::PeerTurn => {
                    if self.is_pending(attempt) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Registers the attempt's waker, if it has one. `false`: the slot has changed, and must be looked at again.
    #[inline(always)]
    pub(crate) fn is_pending(&mut self, attempt: Attempt<'_>) -> bool {
        attempt.waker.is_none_or(|waker| self.register(waker))
    }

    /// Waits until the peer leaves, for a party that has the turn: nothing else can come then. If it is pending, the waker is registered.
    #[cfg(feature = "sink")]
    pub(crate) fn poll_left(&mut self, waker: &Waker) -> Poll<Why> {
        loop {
            _ = self.load_state();
            if let Some(why) = self.peer_end() {
                return Poll::Ready(why);
            }
            if self.register(waker) {
                return Poll::Pending;
            }
        }
    }
}
