//! An operation is a step, and five ways to run it.
//!
//! A step looks at the channel once: it is done, or it must wait and, given a waker, has left it. The protocol is in the
//! steps; thread and task only drive them.

use std::mem;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::claim::Share;
use crate::error::Why;
use crate::sync;
use crate::turn::{Half, Put, Sight};
use crate::wait::{Pace, Who, with_parker};

/// How a step is run.
#[derive(Clone, Copy, Debug)]
pub struct Look<'w> {
    /// Whom to wake when there is something new. Without one the step is only a look.
    pub(crate) waker: Option<&'w Waker>,
    /// Whether what is put may be withdrawn: a thread that blocks without a deadline never does.
    pub(crate) how: Put,
    /// Who will look again if it is not done; nobody in a mere look. A thread surely does, a task may be dropped instead.
    pub(crate) stays: Option<Who>,
    /// Whether who stays takes a place in a queue now, or at its next look. It pushes in front of nobody.
    pub(crate) enters: bool,
    /// The part of this operation in the claim of a `select`.
    pub(crate) share: Option<Share<'w>>,
}

impl Look<'_> {
    pub(crate) const ONCE: Look<'static> =
        Look { waker: None, how: Put::Soft, stays: None, enters: true, share: None };

    const fn by(who: Who) -> Self {
        Self { stays: Some(who), ..Look::ONCE }
    }

    /// Takes the message that comes next, or tells that the peer has left. Out of turn if the turn is this party's own.
    #[inline]
    pub(crate) fn next_message<M, const ME: u32>(
        self,
        half: &mut Half<M, ME>,
    ) -> Poll<Result<M, Why>> {
        loop {
            let sight = half.look();
            if let Some(why) = half.peer_end() {
                return Poll::Ready(Err(why));
            }
            match sight {
                Sight::Mine => return Poll::Ready(Err(Why::OutOfTurn)),
                Sight::Mail => {
                    if let Some(message) = half.take() {
                        return Poll::Ready(Ok(message));
                    }
                }
                Sight::Put | Sight::Theirs => {
                    if self.is_left_with(half) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Leaves the waker, if there is one, with a party that has nothing to do yet. `false`: it now has, and must look again.
    pub(crate) fn is_left_with<M, const ME: u32>(self, half: &mut Half<M, ME>) -> bool {
        self.waker.is_none_or(|waker| half.wait(waker))
    }
}

/// What an operation does, whichever way its caller waits.
pub trait Step {
    type Output;

    /// Looks once.
    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output>;

    /// Gives up on an operation that a step has just found pending: withdraws, and says why.
    fn expire(&mut self, why: Why) -> Self::Output;

    /// Gives up on an operation that is dropped; nothing if it was never stepped or is done.
    fn withdraw(&mut self);

    /// Takes back what is only on offer, so that nothing happens before another step, which begins anew.
    fn retract(&mut self) {}

    /// As `retract`, for an arm that lost: nothing is kept for it any more.
    fn give_way(&mut self) {
        self.retract();
    }

    /// Whether it must not happen beside another arm of a `select`, or must not meet one.
    fn wants_claim(&self) -> bool {
        false
    }

    /// Puts an offer that was passed over back to where it stood.
    fn resume(&mut self) {}

    /// Whether a step may now find something else than the last one did.
    fn is_stirred(&self) -> bool;

    /// Whether the peer last ran on another thread than this one, so that it may answer while this one lingers.
    fn is_peer_elsewhere(&mut self) -> bool;

    /// When a thread that parks looks again, although nothing tells it to.
    fn looks_again_at(&self) -> Option<Instant> {
        None
    }

    /// How long this end lingers.
    fn pace(&mut self) -> &mut Pace;

    /// Brings the pace up to date, where several parties share one.
    #[inline]
    fn fetch_pace(&mut self) {}

    /// Lets the others have the pace, where several parties share one.
    #[inline]
    fn store_pace(&mut self) {}
}

/// The parts of a step that are the same for all operations of an end with a half and a pace.
macro_rules! waits_with {
    ($end:ident) => {
        #[inline]
        fn is_stirred(&self) -> bool {
            self.$end.half.is_stirred()
        }

        #[inline]
        fn is_peer_elsewhere(&mut self) -> bool {
            self.$end.half.is_peer_elsewhere()
        }

        fn pace(&mut self) -> &mut $crate::wait::Pace {
            &mut self.$end.pace
        }
    };
}
pub(crate) use waits_with;

/// What the `operation` macro adds to a step.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an operation of a channel",
    label = "not an operation",
    note = "arms are operations, like `receiver.recv()` or `&mut send`, that are not yet awaited or waited for; a `select` is none: give all arms to one",
    note = "what another future brings can come over a channel; for a timeout in a task, put the executor's around the `select`"
)]
pub trait Operation: Step {
    const NAME: &'static str;

    fn done(&mut self) -> &mut bool;

    /// Another arm of its `select` was done.
    fn lose(&mut self) {
        if !*self.done() {
            self.withdraw();
            *self.done() = true;
        }
    }
}

/// A borrowed operation, as an arm of a `select`.
impl<S: Step> Step for &mut S {
    type Output = S::Output;

    #[inline]
    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        (**self).step(look)
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        (**self).expire(why)
    }

    fn withdraw(&mut self) {
        (**self).withdraw();
    }

    fn retract(&mut self) {
        (**self).retract();
    }

    fn give_way(&mut self) {
        (**self).give_way();
    }

    fn wants_claim(&self) -> bool {
        (**self).wants_claim()
    }

    fn resume(&mut self) {
        (**self).resume();
    }

    #[inline]
    fn is_stirred(&self) -> bool {
        (**self).is_stirred()
    }

    #[inline]
    fn is_peer_elsewhere(&mut self) -> bool {
        (**self).is_peer_elsewhere()
    }

    fn looks_again_at(&self) -> Option<Instant> {
        (**self).looks_again_at()
    }

    fn pace(&mut self) -> &mut Pace {
        (**self).pace()
    }
}

impl<O: Operation> Operation for &mut O {
    const NAME: &'static str = O::NAME;

    fn done(&mut self) -> &mut bool {
        (**self).done()
    }

    /// Its owner keeps it, and may begin it again.
    fn lose(&mut self) {
        if !*self.done() {
            (**self).give_way();
        }
    }
}

#[inline]
pub(crate) fn assert_unfinished<O: Operation>(op: &mut O) {
    assert!(
        !*op.done(),
        "handover: `{}` was polled or waited for again after it was done",
        O::NAME
    );
}

/// Runs an operation to its end, one way or the other.
#[inline]
pub(crate) fn finish<O: Operation>(op: &mut O, run: impl FnOnce(&mut O) -> O::Output) -> O::Output {
    assert_unfinished(op);
    let output = run(op);
    *op.done() = true;
    output
}

/// Lingers if that lately paid. Tells whether a step may now find something else.
#[inline]
fn linger(op: &mut impl Step, who: Who) -> bool {
    op.fetch_pace();
    let mut pace = *op.pace();
    let stirred = pace.linger(who, || op.is_stirred());
    *op.pace() = pace;
    op.store_pace();
    stirred
}

/// Does it at once or not at all.
pub(crate) fn now<S: Step>(op: &mut S) -> S::Output {
    match op.step(Look::ONCE) {
        Poll::Ready(output) => output,
        Poll::Pending => op.expire(Why::NotReady),
    }
}

/// Blocks this thread until it is done, or until `deadline` where there is one.
#[inline]
pub(crate) fn block<S: Step>(op: &mut S, deadline: Option<Instant>) -> S::Output {
    let how = if deadline.is_none() { Put::Firm } else { Put::Soft };
    let mut is_first = true;
    loop {
        if let Poll::Ready(output) = op.step(Look { how, ..Look::by(Who::Thread) }) {
            return output;
        }
        // Who is stirred again and again, for nothing or for one item of many, may never come to park.
        if !mem::take(&mut is_first) && deadline.is_some_and(sync::is_past) {
            return give_up(op);
        }
        _ = op.is_peer_elsewhere(); // the peer may want to know where this one is
        if !linger(op, Who::Thread) {
            if let Poll::Ready(output) = park(op, deadline, how) {
                return output;
            }
        }
    }
}

/// Leaves this thread's waker and parks, until there is news or the time is up.
#[cold]
fn park<S: Step>(op: &mut S, deadline: Option<Instant>, how: Put) -> Poll<S::Output> {
    with_parker(|parker, waker| {
        let look = Look { waker: Some(waker), how, ..Look::by(Who::Thread) };
        if let Poll::Ready(output) = op.step(look) {
            return Poll::Ready(output);
        }
        let start = Instant::now();
        let again =
            op.looks_again_at().filter(|again| deadline.is_none_or(|deadline| *again < deadline));
        let is_woken = parker.park(again.or(deadline));
        op.pace().parked_since(start);
        if is_woken || again.is_some() {
            return Poll::Pending;
        }
        Poll::Ready(give_up(op))
    })
}

/// The time is up, but what is done by now beats the clock.
#[cold]
fn give_up<S: Step>(op: &mut S) -> S::Output {
    match op.step(Look::ONCE) {
        Poll::Ready(output) => output,
        Poll::Pending => op.expire(Why::TimedOut),
    }
}

/// How often one poll goes on because lingering paid.
const MOST_ROUNDS: u32 = 256;

/// Polls it for a task.
#[inline]
pub(crate) fn poll<S: Step>(op: &mut S, context: &mut Context<'_>) -> Poll<S::Output> {
    // Who waits for a party that last ran on this very thread keeps it from running.
    let look = Look::by(Who::Task);
    if op.is_peer_elsewhere() {
        for round in 0.. {
            if let Poll::Ready(output) = op.step(look) {
                return Poll::Ready(output);
            }
            if !linger(op, Who::Task) {
                break;
            }
            if round == MOST_ROUNDS {
                // An operation of many items that goes well: others of this executor have their turn too.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
    op.step(Look { waker: Some(context.waker()), ..look })
}

/// Polls an operation, which is then done if it is ready.
#[inline]
pub(crate) fn poll_operation<O: Operation>(
    op: &mut O,
    context: &mut Context<'_>,
) -> Poll<O::Output> {
    assert_unfinished(op);
    let polled = poll(op, context);
    *op.done() = polled.is_ready();
    polled
}

/// Gives an operation its public face: the five ways to wait, and withdrawal when it is dropped.
///
/// The type has a field `done: bool`.
macro_rules! operation {
    (impl[$($generics:tt)*] $name:ty => $output:ty, $what:literal) => {
        impl<$($generics)*> $name {
            /// Blocks this thread until it is done.
            ///
            /// # Panics
            ///
            /// Like the other ways to wait, when it was awaited by `&mut` before and is done.
            pub fn wait(mut self) -> $output {
                $crate::step::finish(&mut self, |op| $crate::step::block(op, None))
            }

            /// Blocks this thread until it is done, at the longest for `timeout`: then it is withdrawn and the error is
            /// [`Why::TimedOut`](crate::Why::TimedOut). What is done when the time is up counts as done. A timeout too long for
            /// the clock is none.
            pub fn wait_timeout(mut self, timeout: ::std::time::Duration) -> $output {
                let deadline = ::std::time::Instant::now().checked_add(timeout);
                $crate::step::finish(&mut self, |op| $crate::step::block(op, deadline))
            }

            /// Blocks this thread until it is done, at the longest until `deadline`: then it is withdrawn and the error is
            /// [`Why::TimedOut`](crate::Why::TimedOut). What is done when the time is up counts as done.
            pub fn wait_deadline(mut self, deadline: ::std::time::Instant) -> $output {
                $crate::step::finish(&mut self, |op| $crate::step::block(op, Some(deadline)))
            }

            /// Never blocks: it is done at once, or withdrawn, and then the error is
            /// [`Why::NotReady`](crate::Why::NotReady).
            pub fn now(mut self) -> $output {
                $crate::step::finish(&mut self, $crate::step::now)
            }
        }

        /// # Panics
        ///
        /// When it is polled again after it was done.
        impl<$($generics)*> ::std::future::Future for $name {
            type Output = $output;

            #[inline]
            fn poll(
                mut self: ::std::pin::Pin<&mut Self>,
                context: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<$output> {
                $crate::step::poll_operation(&mut *self, context)
            }
        }

        // Nothing in it is ever pinned: values are moved in and out.
        impl<$($generics)*> Unpin for $name {}

        impl<$($generics)*> $crate::step::Operation for $name {
            const NAME: &'static str = $what;

            fn done(&mut self) -> &mut bool {
                &mut self.done
            }
        }

        impl<$($generics)*> Drop for $name {
            fn drop(&mut self) {
                if !self.done {
                    $crate::step::Step::withdraw(self);
                }
            }
        }

        impl<$($generics)*> ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct($what).field("done", &self.done).finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use operation;
