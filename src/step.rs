//! What an operation is to the rest of the crate: something that can be attempted, again and again, until it is done.
//!
//! The protocol of a channel is in its steps, written once. `drive` runs them for threads and tasks, `operation` gives them their
//! public face, `select` runs several of them as one.

use std::task::{Poll, Waker};
use std::time::Instant;

use crate::claim::ArmRef;
use crate::error::Why;
use crate::point::{ChannelId, Origin, Outcome, Seat};
use crate::wait::{AdaptiveSpin, WaiterKind};

/// How a message is put into a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutMode {
    /// It may be withdrawn.
    Revocable,
    /// It is never withdrawn while the peer is there.
    Committed,
}

/// How an operation is attempted.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'w> {
    /// The waker that is registered if the operation stays pending. Without one the attempt only probes or spins.
    pub(crate) waker: Option<&'w Waker>,
    /// A thread that blocks without a deadline commits what it puts, since it never changes its mind.
    pub(crate) put_mode: PutMode,
    /// The kind of party that attempts the operation again if it stays pending. `None`: there is no further attempt.
    pub(crate) waiter: Option<WaiterKind>,
    /// Whether a pending attempt may join the queue now. Probing attempts never do.
    pub(crate) may_enqueue: bool,
    /// The arm of a `select` that this operation is.
    pub(crate) arm: Option<ArmRef<'w>>,
}

impl Attempt<'_> {
    /// The only attempt: nobody tries again.
    pub(crate) const ONCE: Attempt<'static> = Attempt {
        waker: None,
        put_mode: PutMode::Revocable,
        waiter: None,
        may_enqueue: true,
        arm: None,
    };

    /// One of several attempts.
    pub(crate) const fn by(kind: WaiterKind) -> Self {
        Self { waiter: Some(kind), ..Attempt::ONCE }
    }
}

/// One operation of one end.
pub trait Step {
    /// The method that makes it.
    const NAME: &'static str;

    /// What the operation brings.
    type Output: Outcome;

    /// What the driver asks while the operation waits.
    type Waiter: Waiter;

    /// Attempts the operation once.
    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output>;

    /// Ends an operation that the last attempt found pending: withdraws it and gives the error for `why`.
    fn expire(&mut self, why: Why) -> Self::Output;

    /// Withdraws an operation that is dropped. Does nothing if it was never attempted or is done.
    fn withdraw(&mut self);

    /// Where the operation waits.
    fn waiter(&mut self) -> &mut Self::Waiter;

    /// Calls `f` with what the operation is, and on which channel: for a `select`, with each arm.
    fn each_target(&mut self, origin: Origin, f: &mut dyn FnMut(Origin, ChannelId)) {
        f(origin, self.waiter().channel());
    }

    /// The arm of a `select` that is done, by its number in reading order.
    fn done_arm(&self) -> Option<usize> {
        None
    }
}

/// What a waiting party can ask about the place where it waits, without taking part in the protocol.
pub trait Waiter {
    /// Whether an attempt may now find something else than the last one did.
    fn has_changed(&mut self) -> bool;

    /// Whether the peer last ran on another thread than this one. If it ran on this thread, spinning would only stop it from running.
    fn is_peer_elsewhere(&mut self) -> bool;

    /// When a parked thread attempts again although nothing wakes it.
    fn recheck_at(&mut self) -> Option<Instant> {
        None
    }

    /// Whether this very thread drives the peer, so that it would wait for ever if it blocked.
    fn can_never_go_on(&mut self) -> bool {
        false
    }

    /// The channel.
    fn channel(&self) -> ChannelId;

    /// Where it is kept that the operation waits. `None`: there is no place any more.
    fn seat(&mut self) -> Option<&mut Seat>;

    /// How long this end spins.
    fn spin(&self) -> AdaptiveSpin;

    /// Keeps what the last wait taught about spinning.
    fn set_spin(&mut self, spin: AdaptiveSpin);
}

/// The waiter of a party that waits for an end. That may be long in coming, so a thread parks soon.
#[derive(Debug, Default)]
pub struct Unhurried {
    /// See `Waiter`.
    pub(crate) can_never_go_on: bool,
    /// See `Waiter`.
    pub(crate) channel: ChannelId,
    /// See `Waiter`.
    pub(crate) seat: Seat,
}

impl Waiter for Unhurried {
    fn has_changed(&mut self) -> bool {
        false
    }

    fn is_peer_elsewhere(&mut self) -> bool {
        false
    }

    fn can_never_go_on(&mut self) -> bool {
        self.can_never_go_on
    }

    fn channel(&self) -> ChannelId {
        self.channel
    }

    fn seat(&mut self) -> Option<&mut Seat> {
        Some(&mut self.seat)
    }

    fn spin(&self) -> AdaptiveSpin {
        AdaptiveSpin::new()
    }

    fn set_spin(&mut self, _: AdaptiveSpin) {}
}

/// What `select` needs of a step, beside the attempts.
pub trait SelectStep: Step {
    /// Whether two arms of one `select` could otherwise both happen, or meet each other: then the arms share a claim.
    fn needs_claim(&self) -> bool {
        false
    }

    /// Whether it waits for a permit: then the party must not have a receiving arm reserved meanwhile.
    fn wants_permit(&self) -> bool {
        false
    }

    /// Takes back what is only offered, so that nothing happens before the next attempt, which starts from the beginning.
    fn rewind(&mut self) {}

    /// Rewinds an arm that lost, and gives up what was kept for it.
    fn release(&mut self) {
        self.rewind();
    }

    /// Queues an offer again that was passed over while its `select` was registering.
    fn reregister(&mut self) {}
}

/// A step that carries one value, which can be had back.
pub trait ReclaimStep: Step {
    /// The value that is sent.
    type Value;

    /// Gives up: the value, if it was not taken.
    fn reclaim(&mut self) -> Option<Self::Value>;
}
