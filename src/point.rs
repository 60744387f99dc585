//! The points at which a model (feature `model`) or a diagnosis (feature `diagnose`) looks into a program: the only names of theirs that the rest of the crate knows.
//!
//! | what                | where it is kept                     | without both features |
//! |---------------------|--------------------------------------|-----------------------|
//! | `Origin`            | in each operation, and each sequence | has no size           |
//! | `ChannelId`         | nowhere: it is an address            | has no size           |
//! | `is_live`           | one flag of the process              | always `false`        |
//! | `Seat`              | in each place where an operation waits | has no size         |
//!
//! An operation tests the flag once, when it begins; what a model does then is in a cold copy behind that (`drive::modelled`).

mod seat;

#[cfg(any(feature = "model", feature = "diagnose"))]
use std::panic::Location;
use std::time::Instant;

use crate::error::Why;

pub(crate) use seat::{Seat, leave_seat, take_seat};

/// The name of a method, as in `Sender::send`: one word, so that an operation does not grow much.
pub(crate) type Name = &'static &'static str;

/// Where an operation or a sequence was made: the method, and the line of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    #[cfg(any(feature = "model", feature = "diagnose"))]
    name: Name,
    #[cfg(any(feature = "model", feature = "diagnose"))]
    at: &'static Location<'static>,
}

impl Origin {
    /// The caller's line, and the name of the method that it called.
    #[inline(always)]
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    #[cfg_attr(not(any(feature = "model", feature = "diagnose")), allow(unused_variables))]
    pub(crate) const fn of(name: Name) -> Self {
        Self {
            #[cfg(any(feature = "model", feature = "diagnose"))]
            name,
            #[cfg(any(feature = "model", feature = "diagnose"))]
            at: Location::caller(),
        }
    }
}

#[cfg(any(feature = "model", feature = "diagnose"))]
#[allow(dead_code, reason = "reports tell it")]
impl Origin {
    /// The method, as in `Sender::send`.
    pub(crate) const fn name(self) -> &'static str {
        self.name
    }

    /// The line of the method's caller.
    pub(crate) const fn at(self) -> &'static Location<'static> {
        self.at
    }
}

/// What tells a channel from all others that live: its address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId {
    #[cfg(any(feature = "model", feature = "diagnose"))]
    address: usize,
}

impl ChannelId {
    /// No channel.
    pub(crate) const NONE: ChannelId = ChannelId {
        #[cfg(any(feature = "model", feature = "diagnose"))]
        address: 0,
    };

    /// The channel whose ends share this.
    #[inline(always)]
    #[cfg_attr(not(any(feature = "model", feature = "diagnose")), allow(unused_variables))]
    pub(crate) fn of<T>(shared: &T) -> Self {
        Self {
            #[cfg(any(feature = "model", feature = "diagnose"))]
            address: std::ptr::from_ref(shared).addr(),
        }
    }
}

/// How an operation ended, for a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Done.
    Done,
    /// With an error.
    Failed(Why),
    /// Without an output: a `select` whose time was up.
    Nothing,
}

/// An output that tells how its operation ended.
pub trait Outcome {
    /// How the operation ended.
    fn ending(&self) -> Ending;
}

impl<T, E: Reason> Outcome for Result<T, E> {
    fn ending(&self) -> Ending {
        match self {
            Ok(_) => Ending::Done,
            Err(error) => Ending::Failed(error.reason()),
        }
    }
}

impl<T: Outcome> Outcome for Option<T> {
    fn ending(&self) -> Ending {
        self.as_ref().map_or(Ending::Nothing, T::ending)
    }
}

/// The output of an arm of a list, with its index.
impl<T: Outcome> Outcome for (usize, T) {
    fn ending(&self) -> Ending {
        self.1.ending()
    }
}

/// An error that has a reason.
pub trait Reason {
    /// The reason.
    fn reason(&self) -> Why;
}

/// Whether a thread may be a party of a model.
#[inline(always)]
pub(crate) const fn is_live() -> bool {
    false
}

/// The time.
#[inline]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A channel was made. `kind` is the function that made it.
#[inline(always)]
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
#[cfg_attr(not(feature = "diagnose"), allow(unused_variables))]
pub(crate) fn made(channel: ChannelId, kind: &'static str) {
    _ = kind;
    #[cfg(feature = "diagnose")]
    crate::diagnose::made(channel, Location::caller());
}

/// A channel is no more.
#[inline(always)]
#[cfg_attr(not(feature = "diagnose"), allow(unused_variables))]
pub(crate) fn gone(channel: ChannelId) {
    #[cfg(feature = "diagnose")]
    crate::diagnose::gone(channel);
}

/// Something that other parties can see, and that does not wait.
#[inline(always)]
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub(crate) fn act(_name: Name, _channel: impl FnOnce() -> ChannelId) {}

/// An end is about to leave its channel.
#[inline(always)]
pub(crate) fn leave(_name: Name, _channel: impl FnOnce() -> ChannelId, _why: Why) {}

/// An operation is dropped before it was done.
#[inline(always)]
pub(crate) fn withdraw(_origin: Origin, _channel: impl FnOnce() -> ChannelId) {}

/// Which one of `n` arms is attempted next, if that is not left to chance.
#[inline(always)]
pub(crate) const fn pick(_n: usize) -> Option<usize> {
    None
}
