//! What the rest of the crate calls while a model is under way: by `point`, by the drivers and by the parkers.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::{Arc, Once};
use std::time::Instant;

use super::Panics;
use super::failure::FailureKind;
use super::run::{Doing, Name, PartyKind, Pass, Place, What};
use super::seat::{Aborted, Seat};
use super::{report, watchdog};
use crate::error::Why;
use crate::point::{ChannelId, Ending, Origin};

thread_local! {
    /// The party that this thread is.
    static HERE: RefCell<Option<Seat>> = const { RefCell::new(None) };
    /// The message and the line of this party's last panic.
    static LAST_PANIC: Cell<Option<(String, String)>> = const { Cell::new(None) };
}

/// Calls `f` with the party that this thread is.
pub(super) fn with_seat<R>(f: impl FnOnce(&Seat) -> R) -> Option<R> {
    let seat = here()?;
    Some(f(&seat))
}

/// The party that this thread is.
pub(crate) fn here() -> Option<Seat> {
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}

/// Makes this thread a party, or none; gives what it was.
pub(super) fn sit(seat: Option<Seat>) -> Option<Seat> {
    HERE.try_with(|here| here.replace(seat)).ok().flatten()
}

/// Panics of parties are told by the report, not one by one.
pub(super) fn be_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if here().is_none() {
                return before(info);
            }
            let at = info.location().map(ToString::to_string).unwrap_or_default();
            let message = message(info.payload());
            if IS_LAST.iter().any(|last| message.starts_with(last)) {
                before_abort(LAST_PANIC.take());
            }
            LAST_PANIC.set(Some((message, at)));
        }));
    });
}

/// What std says when a second panic leaves a destructor of a thread that is unwound already. When the hook has returned, it aborts the process.
const IS_LAST: [&str; 2] =
    ["panic in a destructor during cleanup", "panic in a function that cannot unwind"];

/// A destructor of this party panicked while the party was unwound, as by the `unwrap` of a join or of a send. The process aborts, but not without a word.
/// (A thread that stayed here would keep the lock of std's panic hook, for which the end of every test program waits.)
#[cold]
fn before_abort(last: Option<(String, String)>) {
    let Some(seat) = here() else { return };
    let state = seat.run.state();
    let party = &state.parties[seat.party];
    let (message, at) = last.unwrap_or_default();
    let report = state.failure.as_ref().map_or("", |failure| failure.report.as_str());
    let text = format!(
        "handover::model: {} was being unwound, and a destructor panicked meanwhile, at {at}:\n  {message}\n\
         So std aborts the process. Let the destructor ask `std::thread::panicking()` before it unwraps what other parties give.\n{report}",
        party.name
    );
    drop(state);
    eprintln!("{text}");
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic whose message is no text".to_string())
}

/// A party has ended by a panic, of its own or because its run has failed. Gives the payload back.
pub(super) fn party_ended(seat: &Seat, payload: Box<dyn Any + Send>) -> Box<dyn Any + Send> {
    let last = LAST_PANIC.take();
    if payload.is::<Aborted>() {
        return payload;
    }
    let mut state = seat.run.state();
    let party = seat.party;
    if !seat.run.is_ending() {
        state.push(party, What::Panics, None, 0);
    }
    state.parties[party].has_untold_panic = true;
    if seat.run.settings.panics == Panics::Fail || state.parties[party].kind == PartyKind::Main {
        let (message, at) = match last {
            Some((message, at)) => (message, Some(at)),
            None => (message(&*payload), None),
        };
        let verdict = report::Verdict::Panic { party, message, at };
        seat.run.fail(&mut state, FailureKind::Panic, &verdict);
    }
    payload
}

/// The time of the party that this thread is.
pub(crate) fn now_of_party() -> Option<Instant> {
    with_seat(Seat::now)
}

#[cold]
pub(crate) fn made(channel: ChannelId, kind: &'static str, at: Place) {
    match here() {
        Some(seat) => _ = seat.run.state().channels.made(channel, kind, at),
        None => watchdog::forget(channel),
    }
}

/// A point of choice at something that does not wait. `leaves`: an end leaves its channel so.
#[cold]
pub(crate) fn act(origin: Origin, channel: ChannelId, leaves: Option<Why>) {
    let (name, at) = (origin.name(), origin.at());
    let Some(seat) = here() else {
        let is_end = leaves.is_some();
        let what = if is_end { format!("the drop of a {name}") } else { name.to_string() };
        watchdog::is_stranger(&what, (!is_end).then_some(at), channel);
        return;
    };
    seat.point(Pass::Goes, false, |state, party| {
        let number = state.channels.number(channel);
        let step = state.steps;
        state.channels.uses(number, party, Name::Method(name), step);
        match leaves {
            Some(why) => state.push(party, What::Leaves(name, why), None, number),
            None => state.push(party, What::Acts(name), Some(at), number),
        }
    });
}

/// A point of choice at the drop of an operation that is not done.
#[cold]
pub(crate) fn withdraw(origin: Origin, channel: ChannelId) {
    let Some(seat) = here() else {
        watchdog::is_stranger(origin.name(), Some(origin.at()), channel);
        return;
    };
    seat.point(Pass::Goes, false, |state, party| {
        let number = state.channels.number(channel);
        state.push(party, What::Withdraws(origin.name()), Some(origin.at()), number);
    });
    let mut state = seat.run.state();
    state.parties[seat.party].doing.retain(|doing| doing.at != origin.at() || !doing.is_polled);
}

/// One of `n` options, by the schedule. `None`: this thread is in no model.
#[cold]
pub(crate) fn pick(n: usize) -> Option<usize> {
    with_seat(|seat| {
        if n < 2 || seat.run.is_ending() {
            return 0;
        }
        seat.run.state().choose(n)
    })
}

/// How an operation is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Until it is done, by blocking its thread.
    Block,
    /// Once.
    Once,
    /// By a task.
    Poll,
}

/// An operation under way.
#[derive(Debug)]
pub(crate) struct Begun {
    seat: Seat,
    origin: Origin,
    targets: Vec<(Origin, u32)>,
}

/// The point of choice at which an operation begins. `None`: this thread is no party.
///
/// # Panics
///
/// If the channel is one of a model, of which this thread is no party.
pub(crate) fn begin(origin: Origin, targets: Vec<(Origin, ChannelId)>, way: Way) -> Option<Begun> {
    let (name, at) = (origin.name(), origin.at());
    let Some(seat) = here() else {
        for (origin, channel) in targets {
            let is_stranger = watchdog::is_stranger(origin.name(), Some(at), channel);
            assert!(
                !is_stranger || std::thread::panicking(),
                "handover::model: this thread is no party of the model whose channel it uses by `{}` at {at}; \
                 start threads by `model::thread`, and let those of a pool run a `model::party`",
                origin.name()
            );
        }
        return None;
    };
    let mut numbered = Vec::with_capacity(targets.len());
    seat.point(Pass::Goes, way == Way::Poll, |state, party| {
        let step = state.steps;
        for (origin, channel) in targets {
            let number = state.channels.number(channel);
            state.channels.uses(number, party, Name::Method(origin.name()), step);
            numbered.push((origin, number));
        }
        let channel = if numbered.len() == 1 { numbered[0].1 } else { 0 };
        let (name, is_polled) = (Name::Method(name), way == Way::Poll);
        state.push(party, What::Begins(name), Some(at), channel);
        let doing = &mut state.parties[party].doing;
        doing.retain(|old| old.at != at || old.is_polled != is_polled);
        doing.push(Doing { name, at, targets: numbered.clone(), is_polled });
    });
    Some(Begun { seat, origin, targets: numbered })
}

impl Begun {
    /// It is done, by this arm if it is a `select`.
    pub(crate) fn end(self, arm: Option<usize>, ending: Ending) {
        let Self { seat, origin, targets } = self;
        let mut state = seat.run.state();
        let party = seat.party;
        let doing = &mut state.parties[party].doing;
        if let Some(at) = doing.iter().rposition(|doing| doing.at == origin.at()) {
            doing.remove(at);
        }
        let arm = arm.and_then(|arm| targets.get(arm));
        let channel = match (arm, &targets[..]) {
            (Some(&(_, channel)), _) | (None, &[(_, channel)]) => channel,
            _ => 0,
        };
        // What was in vain may come in a circle.
        state.parties[party].goes_round &= ending != Ending::Done;
        let what = What::Did(Name::Method(origin.name()), ending, arm.map(|&(origin, _)| origin));
        state.push(party, what, None, channel);
    }
}

/// The waker of a party was woken.
pub(crate) fn wake(seat: &Seat) {
    let by = with_seat(|by| Arc::ptr_eq(&by.run, &seat.run).then_some(by.party)).flatten();
    seat.wake(by);
}

/// Whether this party waits in a destructor while it is unwound, and nobody will wake it.
#[cold]
pub(crate) fn is_hopeless() -> bool {
    with_seat(Seat::is_hopeless).unwrap_or(false)
}

/// For a party that can neither go on nor be unwound.
#[cold]
pub(crate) fn stay_stuck() -> ! {
    loop {
        std::thread::park();
    }
}
