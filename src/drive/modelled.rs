//! The drivers as a model sees them: the cold copy of `now`, `block` and `poll`, for the parties of a model.
//!
//! Each begins with a point of choice, at which other parties may act, and tells the model how the operation ended. Nothing spins: a party that waits passes its
//! turn on by its parker. A thread that is no party of any model goes the usual way.

use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::Why;
use crate::model::{Begun, Way};
use crate::point::{Ending, Origin, Outcome};
use crate::step::{Attempt, PutMode, Step};
use crate::wait::{WaiterKind, is_past};

/// What comes from the cold copy. It is a type of its own, so that the hot one keeps its result in registers, and not where this is returned.
pub(crate) struct Aside<T>(pub(crate) T);

/// The point of choice. `None`: this thread is no party.
fn begin<S: Step>(step: &mut S, origin: Origin, way: Way) -> Option<Begun> {
    let mut targets = Vec::new();
    step.each_target(origin, &mut |origin, channel| targets.push((origin, channel)));
    crate::model::begin(origin, targets, way)
}

#[cold]
#[inline(never)]
pub(super) fn now<S: Step>(step: &mut S, origin: Origin) -> S::Output {
    attempt_once(step, origin, Why::NotReady)
}

#[cold]
#[inline(never)]
pub(super) fn time_out_in_poll<S: Step>(step: &mut S, origin: Origin) -> S::Output {
    attempt_once(step, origin, Why::TimedOut)
}

fn attempt_once<S: Step>(step: &mut S, origin: Origin, why: Why) -> S::Output {
    let begun = begin(step, origin, Way::Once);
    let output = super::attempt_or_expire(step, why);
    if let Some(begun) = begun {
        begun.end(step.done_arm(), output.ending());
    }
    output
}

#[cold]
#[inline(never)]
pub(super) fn block<S: Step>(step: &mut S, deadline: Option<Instant>, origin: Origin) -> S::Output {
    let Some(begun) = begin(step, origin, Way::Block) else {
        return super::block_here(step, deadline, origin);
    };
    let put_mode = if deadline.is_none() { PutMode::Committed } else { PutMode::Revocable };
    let output = loop {
        if let Poll::Ready(output) = super::park(step, deadline, put_mode, origin) {
            break output;
        }
        if deadline.is_some_and(is_past) {
            break super::time_out(step);
        }
    };
    if deadline.is_none() && output.ending() == Ending::Nothing {
        // A `select` in a destructor of a party that is unwound: no arm will ever be done, and a second panic would abort the process.
        crate::model::stay_stuck();
    }
    begun.end(step.done_arm(), output.ending());
    output
}

#[cold]
#[inline(never)]
pub(super) fn poll<S: Step>(
    step: &mut S,
    context: &mut Context<'_>,
    origin: Origin,
) -> Aside<Poll<S::Output>> {
    let polled = poll_party(step, context, origin);
    super::tell_polled(step, &polled, origin);
    Aside(polled)
}

fn poll_party<S: Step>(step: &mut S, context: &mut Context<'_>, origin: Origin) -> Poll<S::Output> {
    let Some(begun) = begin(step, origin, Way::Poll) else {
        return super::poll_here(step, context);
    };
    let attempt = Attempt { waker: Some(context.waker()), ..Attempt::by(WaiterKind::Task) };
    let polled = step.step(attempt);
    let polled = match polled {
        // In a destructor of a party that is unwound, as in `block`.
        Poll::Pending if crate::model::is_hopeless() => Poll::Ready(step.expire(Why::TimedOut)),
        polled => polled,
    };
    if let Poll::Ready(output) = &polled {
        if output.ending() == Ending::Nothing {
            crate::model::stay_stuck();
        }
        begun.end(step.done_arm(), output.ending());
    }
    polled
}
