//! How a party waits: which kind of party it is, whether it spins first, and how a thread parks.
//!
//! A task registers its waker. A thread does the same: its waker notifies the condvar on which the thread then parks. So channels
//! know only wakers, and any two kinds of party can meet.

mod parker;
mod spin;

pub(crate) use parker::{OwnParker, Parker, is_past, with_parker};
pub(crate) use spin::{AdaptiveSpin, this_thread};

/// The kind of party that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaiterKind {
    /// A thread that stays until it is served: it may park, and so may spin for as long as parking costs.
    Thread,
    /// A thread in a `select`, which may leave with another arm.
    Selecting,
    /// A task in a poll: it may be dropped between two polls, and while it spins its executor runs nothing else.
    Task,
}
