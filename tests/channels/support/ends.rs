//! What an end says of its peer.

use std::fmt;

use super::until;
use handover::{Receiver, Sender};

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
