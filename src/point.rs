//! The points at which a model (feature `model`) or a diagnosis (feature `diagnose`) looks into a program: the only names of theirs that the rest of the crate knows.
//!
//! | what                | where it is kept                     | without both features |
//! |---------------------|--------------------------------------|-----------------------|
//! | `Origin`            | in each operation, and each sequence | has no size           |
//! | `ChannelId`         | nowhere: it is an address            | has no size           |
//! | `is_live`           | one flag of the process              | is not there          |
//! | `Seat`              | in each place where an operation waits | has no size         |
//!
//! An operation tests the flag in each poll, and when it begins to block; what a model does then is in a cold copy behind that (`drive::modelled`).

mod seat;

#[cfg(any(feature = "model", feature = "diagnose"))]
use std::panic::Location;
#[cfg(feature = "model")]
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

#[cfg(feature = "model")]
use parking_lot::Mutex;

use crate::error::Why;
use crate::sync;

pub(crate) use seat::{Seat, leave_seat, take_seat};

/// The name of a method, as in `Sender::send`, by its place in a table: one byte, so that an operation does not grow much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    #[cfg(any(feature = "model", feature = "diagnose"))]
    place: u8,
}

#[cfg(any(feature = "model", feature = "diagnose"))]
static NAMES: [&str; 88] = [
    "Client",
    "Client::closed",
    "Client::exchange",
    "Client::into_iter",
    "Client::into_stream",
    "Client::iter",
    "Client::owed",
    "Client::poll_recv",
    "Client::recv",
    "Client::stream",
    "Peer::closed",
    "Peer::end",
    "Peer::is_closed",
    "Permit",
    "Permit::send",
    "PipeReader::fill_buf",
    "PipeReader::finished",
    "PipeReader::read",
    "PipeWriter::write",
    "Reader::ahead",
    "Reader::chunks",
    "Reader::closed",
    "Reader::into_ahead",
    "Reader::into_chunks",
    "Reader::into_iter",
    "Reader::into_stream",
    "Reader::iter",
    "Reader::poll_recv",
    "Reader::read",
    "Reader::read_all",
    "Reader::read_into",
    "Reader::read_once",
    "Reader::read_some",
    "Reader::recv",
    "Reader::stream",
    "Receiver",
    "Receiver::close",
    "Receiver::closed",
    "Receiver::end",
    "Receiver::into_iter",
    "Receiver::into_stream",
    "Receiver::is_closed",
    "Receiver::iter",
    "Receiver::recv",
    "Receiver::stats",
    "Receiver::stream",
    "Sender",
    "Sender::close",
    "Sender::closed",
    "Sender::into_sink",
    "Sender::is_closed",
    "Sender::reserve",
    "Sender::send",
    "Sender::send_all",
    "Sender::send_stream",
    "Sender::stats",
    "Server",
    "Server::answer",
    "Server::closed",
    "Server::demand",
    "Server::exchange",
    "Server::finish_with",
    "Server::is_closed",
    "Server::poll_flush",
    "Server::poll_ready",
    "Server::send",
    "Server::send_all",
    "Server::send_stream",
    "WeakReceiver::upgrade",
    "WeakSender::upgrade",
    "Writer::closed",
    "Writer::flush",
    "Writer::is_closed",
    "Writer::poll_ready",
    "Writer::poll_flush",
    "Writer::send",
    "Writer::send_stream",
    "Writer::wanted",
    "Writer::write",
    "Writer::write_local",
    "generate",
    "produce",
    "produce_in",
    "produce_on",
    "select",
    "try_generate",
    "try_produce",
    "try_produce_on",
];

impl Name {
    /// A name of the table. Called at compile time, in a `const` block: a name that is missing does not compile.
    #[cfg_attr(not(any(feature = "model", feature = "diagnose")), allow(unused_variables))]
    pub(crate) const fn of(name: &str) -> Self {
        #[cfg(any(feature = "model", feature = "diagnose"))]
        {
            let mut place = 0;
            while !is_same(NAMES[place as usize], name) {
                place += 1;
            }
            Self { place }
        }
        #[cfg(not(any(feature = "model", feature = "diagnose")))]
        Self {}
    }
}

#[cfg(any(feature = "model", feature = "diagnose"))]
const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// Where an operation or a sequence was made: the method, and the line of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    name: Name,
    at: At,
}

/// The line of a caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    #[cfg(any(feature = "model", feature = "diagnose"))]
    location: &'static Location<'static>,
}

impl At {
    /// The line of this function's caller.
    #[inline(always)]
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub(crate) const fn caller() -> Self {
        Self {
            #[cfg(any(feature = "model", feature = "diagnose"))]
            location: Location::caller(),
        }
    }
}

impl Origin {
    /// The caller's line, and the name of the method that it called.
    #[inline(always)]
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub(crate) const fn of(name: Name) -> Self {
        Self { name, at: At::caller() }
    }

    pub(crate) const fn new(name: Name, at: At) -> Self {
        Self { name, at }
    }

    /// Taken apart, to be kept where it costs the least room.
    pub(crate) const fn parts(self) -> (Name, At) {
        (self.name, self.at)
    }
}

#[cfg(any(feature = "model", feature = "diagnose"))]
#[allow(dead_code, reason = "reports tell it")]
impl Origin {
    /// The method, as in `Sender::send`.
    pub(crate) const fn name(self) -> &'static str {
        NAMES[self.name.place as usize]
    }

    /// The line of the method's caller.
    pub(crate) const fn at(self) -> &'static Location<'static> {
        self.at.location
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

/// How many models are under way in this process.
#[cfg(feature = "model")]
static MODELS: Mutex<u32> = Mutex::new(0);

/// Whether there are any.
#[cfg(feature = "model")]
static IS_LIVE: AtomicBool = AtomicBool::new(false);

/// A model has begun.
#[cfg(feature = "model")]
pub(crate) fn begin_model() {
    *MODELS.lock() += 1;
    IS_LIVE.store(true, Relaxed);
}

/// A model is over.
#[cfg(feature = "model")]
pub(crate) fn end_model() {
    let mut models = MODELS.lock();
    *models -= 1;
    IS_LIVE.store(*models > 0, Relaxed);
}

/// Whether a model is under way in this process: then a thread may be one of its parties.
#[cfg(feature = "model")]
#[inline(always)]
pub(crate) fn is_live() -> bool {
    // Ordering: Relaxed, since a party of a model was started by that model.
    IS_LIVE.load(Relaxed)
}

/// The time: in a party of a model, the model's.
#[inline]
pub(crate) fn now() -> Instant {
    #[cfg(feature = "model")]
    if is_live() {
        if let Some(now) = crate::model::now_of_party() {
            return now;
        }
    }
    sync::now()
}

/// A channel was made. `kind` is the function that made it.
#[inline(always)]
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
#[cfg_attr(not(any(feature = "model", feature = "diagnose")), allow(unused_variables))]
pub(crate) fn made(channel: ChannelId, kind: &'static str) {
    #[cfg(feature = "diagnose")]
    crate::diagnose::made(channel, Location::caller());
    #[cfg(feature = "model")]
    if is_live() {
        crate::model::made(channel, kind, Location::caller());
    }
    #[cfg(not(feature = "model"))]
    let _ = kind;
}

/// A channel is no more.
#[inline(always)]
#[cfg_attr(not(feature = "diagnose"), allow(unused_variables))]
pub(crate) fn gone(channel: ChannelId) {
    #[cfg(feature = "diagnose")]
    crate::diagnose::gone(channel);
}

/// Something that other parties can see, and that does not wait: a model may let them act before it.
#[inline(always)]
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
#[cfg_attr(not(feature = "model"), allow(unused_variables))]
pub(crate) fn act(name: Name, channel: impl FnOnce() -> ChannelId) {
    #[cfg(feature = "model")]
    if is_live() {
        crate::model::act(Origin::of(name), channel(), None);
    }
}

/// An end, a `Permit` is about to leave its channel. Called only if a model is under way.
#[cfg(feature = "model")]
#[cold]
#[inline(never)]
pub(crate) fn leave(name: Name, channel: ChannelId, why: Why) {
    crate::model::act(Origin::of(name), channel, Some(why));
}

/// An operation is dropped before it was done. Called only if a model is under way.
#[cfg(feature = "model")]
pub(crate) fn withdraw(origin: Origin, channel: ChannelId) {
    crate::model::withdraw(origin, channel);
}
