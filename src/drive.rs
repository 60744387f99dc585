//! The drivers: they run a step once, by blocking a thread, or for a task.
//!
//! | driver  | attempts                                                                | the time is up                       |
//! |---------|-------------------------------------------------------------------------|--------------------------------------|
//! | `now`   | once                                                                    | at once: the step expires            |
//! | `block` | spins between attempts while that pays, then registers a waker and parks | one more attempt, then it expires    |
//! | `poll`  | spins while the peer runs elsewhere, then registers the task's waker     | (`operation::Until` does as `block`) |

use std::mem;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::Why;
#[cfg(feature = "model")]
use crate::point;
use crate::point::{Origin, leave_seat, take_seat};
use crate::step::{Attempt, PutMode, Step, Waiter};
use crate::wait::{OwnParker, Parker, WaiterKind, is_past};

#[cfg(feature = "model")]
mod modelled;

#[cfg(feature = "model")]
pub(crate) use modelled::Aside;

/// Spins if that has lately paid. Tells whether an attempt may now find something else.
fn spin(waiter: &mut dyn Waiter, kind: WaiterKind) -> bool {
    let mut spin = waiter.spin();
    let has_changed = spin.run(kind, &mut || waiter.has_changed());
    waiter.set_spin(spin);
    has_changed
}

/// Never blocks: the step is done at once or expires.
#[cfg_attr(not(feature = "model"), allow(unused_variables))]
pub(crate) fn now<S: Step>(step: &mut S, origin: Origin) -> S::Output {
    #[cfg(feature = "model")]
    if point::is_live() {
        let output = modelled::now(step, origin);
        leave_seat(step);
        return output;
    }
    let output = attempt_or_expire(step, Why::NotReady);
    leave_seat(step);
    output
}

/// The last attempt: what is done by now beats the clock.
fn attempt_or_expire<S: Step>(step: &mut S, why: Why) -> S::Output {
    match step.step(Attempt::ONCE) {
        Poll::Ready(output) => output,
        Poll::Pending => step.expire(why),
    }
}

/// Blocks this thread until the step is done, or until `deadline` if there is one.
#[inline]
pub(crate) fn block<S: Step>(step: &mut S, deadline: Option<Instant>, origin: Origin) -> S::Output {
    #[cfg(feature = "model")]
    if point::is_live() {
        let output = modelled::block(step, deadline, origin);
        leave_seat(step);
        return output;
    }
    let output = block_here(step, deadline, origin);
    leave_seat(step);
    output
}

#[inline(always)]
fn block_here<S: Step>(step: &mut S, deadline: Option<Instant>, origin: Origin) -> S::Output {
    let put_mode = if deadline.is_none() { PutMode::Committed } else { PutMode::Revocable };
    let mut is_first = true;
    loop {
        let attempt = Attempt { put_mode, ..Attempt::by(WaiterKind::Thread) };
        if let Poll::Ready(output) = step.step(attempt) {
            return output;
        }
        // A step that changes again and again, in vain or for one item of many, may never come to park.
        if !mem::take(&mut is_first) && deadline.is_some_and(is_past) {
            return time_out(step);
        }
        _ = step.waiter().is_peer_elsewhere(); // This also tells the peer where this thread is.
        if !spin(step.waiter(), WaiterKind::Thread) {
            if let Poll::Ready(output) = park(step, deadline, put_mode, origin) {
                return output;
            }
        }
    }
}

/// Registers this thread's waker and parks until it is woken or the time is up.
#[cold]
fn park<S: Step>(
    step: &mut S,
    deadline: Option<Instant>,
    put_mode: PutMode,
    origin: Origin,
) -> Poll<S::Output> {
    let (own, is_kept) = OwnParker::take();
    let attempt = Attempt { waker: Some(&own.waker), put_mode, ..Attempt::by(WaiterKind::Thread) };
    let mut polled = step.step(attempt);
    if polled.is_pending() {
        if deadline.is_none() && step.waiter().can_never_go_on() {
            blocks_its_driver(S::NAME);
        }
        take_seat(step, origin, WaiterKind::Thread);
        if sleep(step.waiter(), &own.parker, deadline) {
            polled = Poll::Ready(time_out(step));
        }
    }
    if is_kept {
        own.keep();
    }
    polled
}

#[cold]
fn blocks_its_driver(name: &str) -> ! {
    panic!(
        "handover: `{name}` blocks the thread that drives its generator, and so would wait for ever; \
         a generator's routine awaits: `.await` in place of `.wait()`"
    )
}

/// Parks. Tells whether the time is up.
fn sleep(waiter: &mut dyn Waiter, parker: &Parker, deadline: Option<Instant>) -> bool {
    let mut spin = waiter.spin();
    let start = Instant::now();
    let recheck = waiter.recheck_at();
    let recheck = recheck.filter(|at| deadline.is_none_or(|deadline| *at < deadline));
    let is_woken = parker.park_or_recheck(deadline, recheck);
    spin.parked_since(start);
    waiter.set_spin(spin);
    !is_woken && recheck.is_none()
}

#[cold]
fn time_out<S: Step>(step: &mut S) -> S::Output {
    attempt_or_expire(step, Why::TimedOut)
}

/// The last look of a task that has polled the step before.
#[cold]
#[cfg_attr(not(feature = "model"), allow(unused_variables))]
pub(crate) fn time_out_in_poll<S: Step>(step: &mut S, origin: Origin) -> S::Output {
    #[cfg(feature = "model")]
    if point::is_live() {
        let output = modelled::time_out_in_poll(step, origin);
        leave_seat(step);
        return output;
    }
    let output = time_out(step);
    leave_seat(step);
    output
}

/// How often one poll goes on because spinning paid.
const MOST_ROUNDS: u32 = 256;

/// Polls the step for a task.
#[inline]
pub(crate) fn poll<S: Step>(
    step: &mut S,
    context: &mut Context<'_>,
    origin: Origin,
) -> Poll<S::Output> {
    #[cfg(feature = "model")]
    if point::is_live() {
        return modelled::poll(step, context, origin).0;
    }
    poll_unmodelled(step, context, origin)
}

/// As `poll`, when no model is under way.
#[inline(always)]
pub(crate) fn poll_unmodelled<S: Step>(
    step: &mut S,
    context: &mut Context<'_>,
    origin: Origin,
) -> Poll<S::Output> {
    let polled = poll_here(step, context);
    tell_polled(step, &polled, origin);
    polled
}

/// Tells a diagnosis whether the operation waits.
#[inline(always)]
fn tell_polled<S: Step>(step: &mut S, polled: &Poll<S::Output>, origin: Origin) {
    match polled {
        Poll::Ready(_) => leave_seat(step),
        Poll::Pending => take_seat(step, origin, WaiterKind::Task),
    }
}

#[inline(always)]
fn poll_here<S: Step>(step: &mut S, context: &mut Context<'_>) -> Poll<S::Output> {
    if step.waiter().is_peer_elsewhere() {
        if let Some(polled) = poll_spinning(step, context) {
            return polled;
        }
    }
    step.step(Attempt { waker: Some(context.waker()), ..Attempt::by(WaiterKind::Task) })
}

/// `None`: spinning has not paid.
#[cold]
#[inline(never)]
fn poll_spinning<S: Step>(step: &mut S, context: &mut Context<'_>) -> Option<Poll<S::Output>> {
    for round in 0.. {
        if let Poll::Ready(output) = step.step(Attempt::by(WaiterKind::Task)) {
            return Some(Poll::Ready(output));
        }
        if !spin(step.waiter(), WaiterKind::Task) {
            break;
        }
        if round == MOST_ROUNDS {
            // An operation of many items that goes well must not keep the executor's other tasks waiting.
            context.waker().wake_by_ref();
            return Some(Poll::Pending);
        }
    }
    None
}
