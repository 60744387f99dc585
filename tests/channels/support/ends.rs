//! Waiting until the peer waits or has left, and the ways to leave.

use std::fmt;

use super::{panic_holding, until};
use handover::{Receiver, Sender, Why};

// Only `Debug` says whether an end's peer waits. Tests that wait for that need not sleep.
pub(crate) fn peer_waits(end: &impl fmt::Debug) -> bool {
    format!("{end:?}").contains("peer_waits: true")
}

pub(crate) fn peer_has_left(end: &impl fmt::Debug) -> bool {
    format!("{end:?}").contains("peer_end: Some")
}

/// Waits until so many receivers wait.
pub(crate) fn until_receivers<T>(tx: &Sender<T>, n: usize) {
    until(|| tx.stats().waiting_receivers == n);
}

/// Waits until so many senders wait.
pub(crate) fn until_senders<T>(rx: &Receiver<T>, n: usize) {
    until(|| rx.stats().waiting_senders == n);
}

/// Lets an end leave for the reason `why`: by `close`, by a panic, or by a drop.
pub(crate) fn leave_by<E>(end: E, why: Why, close: impl FnOnce(E)) {
    match why {
        Why::Closed => close(end),
        Why::Panicked => panic_holding(end),
        _ => drop(end),
    }
}
