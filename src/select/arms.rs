//! What can be chosen from: operations, and tuples, arrays and vectors of them, nested as one likes.

use std::task::Poll;
use std::time::Instant;

use crate::operation::Op;
use crate::point::{ChannelId, Ending, Origin, Outcome, leave_seat};
use crate::step::{Attempt, SelectStep, Waiter};

/// An arm of a [`select`](crate::select()): each operation of [`op`](crate::op), `&mut` of one, or again a tuple, an array or a [`Vec`] of arms.
///
/// ```
/// use handover::op;
///
/// fn drain_one(arm: impl op::Arm) {
///     _ = handover::select(vec![arm]).now();
/// }
///
/// let (_tx, rx) = handover::rendezvous::<u8>();
/// drain_one(rx.recv());
/// drain_one(&mut rx.recv());
/// drain_one((rx.recv(), rx.closed()));
/// ```
///
/// It cannot be implemented outside this crate.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an operation of a channel",
    label = "not an operation",
    note = "arms are operations, like `receiver.recv()` or `&mut send`, that are not yet awaited or waited for, or tuples, arrays and `Vec`s of such arms; a `select` is none: give all arms to one",
    note = "a future of another crate is no arm: give it a time limit's place, `select(..).until(future)`, send what it brings over a channel, or put the `select` into that crate's own `select!`"
)]
pub trait Arm {
    /// Which arm was done, with its output.
    type Output: Outcome;

    /// How many operations there are, if the type tells.
    #[doc(hidden)]
    const COUNT: Option<usize>;

    /// How many operations there are.
    #[doc(hidden)]
    fn count(&self) -> usize;

    /// Attempts one operation, by its number in reading order.
    #[doc(hidden)]
    fn attempt(&mut self, number: usize, attempt: Attempt<'_>) -> Poll<Self::Output>;

    /// Calls `f` with each operation.
    #[doc(hidden)]
    fn each(&mut self, f: &mut impl FnMut(&mut dyn ArmOp));
}

/// What a [`select`](crate::select()) chooses from: a tuple of two to eight arms, or an array or a [`Vec`] of arms of one type.
///
/// ```
/// use handover::Arms;
///
/// fn at_once<A: Arms>(arms: A) -> bool {
///     handover::select(arms).now().is_some()
/// }
///
/// let (_tx, rx) = handover::rendezvous::<u8>();
/// assert!(!at_once((rx.recv(), rx.closed())));
/// assert!(!at_once([rx.recv(), rx.recv()]));
/// assert!(!at_once(vec![rx.recv()]));
/// assert!(!at_once((vec![rx.recv()], rx.closed())));
/// ```
///
/// It cannot be implemented outside this crate.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that `select` can choose from",
    label = "not a tuple of 2 to 8 arms, nor an array or a `Vec` of arms of one type",
    note = "like `select((a.recv(), b.send(1)))`; a single operation needs no `select`: it is awaited, or waited for",
    note = "for more than 8 arms, nest them: `select((a.recv(), (b.recv(), c.recv())))`"
)]
pub trait Arms: Arm {}

/// One operation of a `select`, whatever its type.
pub trait ArmOp {
    /// Another arm was done.
    fn cancel(&mut self);

    /// See `SelectStep`.
    fn rewind(&mut self);

    /// See `SelectStep`.
    fn reregister(&mut self);

    /// See `SelectStep`.
    fn needs_claim(&self) -> bool;

    /// See `SelectStep`.
    fn wants_permit(&self) -> bool;

    /// See `Waiter`.
    fn has_changed(&mut self) -> bool;

    /// See `Waiter`.
    fn is_peer_elsewhere(&mut self) -> bool;

    /// See `Waiter`.
    fn can_never_go_on(&mut self) -> bool;

    /// See `Waiter`.
    fn recheck_at(&mut self) -> Option<Instant>;

    /// See `Step`.
    fn each_target(&mut self, f: &mut dyn FnMut(Origin, ChannelId));
}

/// The methods that do not depend on whose the operation is.
macro_rules! arm_op {
    () => {
        #[inline]
        fn rewind(&mut self) {
            self.step.rewind();
        }

        fn reregister(&mut self) {
            self.step.reregister();
        }

        #[inline]
        fn needs_claim(&self) -> bool {
            self.step.needs_claim()
        }

        #[inline]
        fn wants_permit(&self) -> bool {
            self.step.wants_permit()
        }

        #[inline]
        fn has_changed(&mut self) -> bool {
            self.step.waiter().has_changed()
        }

        #[inline]
        fn is_peer_elsewhere(&mut self) -> bool {
            self.step.waiter().is_peer_elsewhere()
        }

        fn can_never_go_on(&mut self) -> bool {
            self.step.waiter().can_never_go_on()
        }

        fn recheck_at(&mut self) -> Option<Instant> {
            self.step.waiter().recheck_at()
        }

        fn each_target(&mut self, f: &mut dyn FnMut(Origin, ChannelId)) {
            leave_seat(&mut self.step); // It may have waited by itself before.
            self.step.each_target(self.origin(), f);
        }
    };
}

impl<S: SelectStep> ArmOp for Op<S> {
    fn cancel(&mut self) {
        if !self.is_done() {
            self.set_done();
            self.step.withdraw();
        }
    }

    arm_op!();
}

impl<S: SelectStep> ArmOp for &mut Op<S> {
    /// Its owner keeps it, and may begin it again.
    fn cancel(&mut self) {
        if !self.is_done() {
            leave_seat(&mut self.step);
            self.step.release();
        }
    }

    arm_op!();
}

/// Attempts an operation as its own future would.
#[inline]
fn attempt_op<S: SelectStep>(op: &mut Op<S>, attempt: Attempt<'_>) -> Poll<S::Output> {
    op.assert_unfinished();
    let polled = op.step.step(attempt);
    if polled.is_ready() {
        op.set_done();
        leave_seat(&mut op.step);
    }
    polled
}

impl<S: SelectStep> Arm for Op<S> {
    type Output = S::Output;
    const COUNT: Option<usize> = Some(1);

    fn count(&self) -> usize {
        1
    }

    #[inline]
    fn attempt(&mut self, _: usize, attempt: Attempt<'_>) -> Poll<S::Output> {
        attempt_op(self, attempt)
    }

    #[inline]
    fn each(&mut self, f: &mut impl FnMut(&mut dyn ArmOp)) {
        f(self);
    }
}

impl<S: SelectStep> Arm for &mut Op<S> {
    type Output = S::Output;
    const COUNT: Option<usize> = Some(1);

    fn count(&self) -> usize {
        1
    }

    #[inline]
    fn attempt(&mut self, _: usize, attempt: Attempt<'_>) -> Poll<S::Output> {
        attempt_op(self, attempt)
    }

    #[inline]
    fn each(&mut self, f: &mut impl FnMut(&mut dyn ArmOp)) {
        f(self);
    }
}

/// The number of a operation in a slice of arms, as the index of the arm and the number within it.
#[inline]
fn locate<A: Arm>(arms: &[A], number: usize) -> Option<(usize, usize)> {
    match A::COUNT {
        Some(0) => None,
        Some(count) => Some((number / count, number % count)),
        None => {
            let mut number = number;
            for (index, arm) in arms.iter().enumerate() {
                let count = arm.count();
                if number < count {
                    return Some((index, number));
                }
                number -= count;
            }
            None
        }
    }
}

#[inline]
fn count<A: Arm>(arms: &[A]) -> usize {
    match A::COUNT {
        Some(count) => arms.len() * count,
        None => arms.iter().map(Arm::count).sum(),
    }
}

/// An arm of a list, and its index.
macro_rules! list_arm {
    () => {
        type Output = (usize, A::Output);

        #[inline]
        fn count(&self) -> usize {
            count(self)
        }

        #[inline]
        fn attempt(&mut self, number: usize, attempt: Attempt<'_>) -> Poll<Self::Output> {
            let Some((index, number)) = locate(self, number) else { return Poll::Pending };
            self[index].attempt(number, attempt).map(|output| (index, output))
        }

        #[inline]
        fn each(&mut self, f: &mut impl FnMut(&mut dyn ArmOp)) {
            self.iter_mut().for_each(|arm| arm.each(f));
        }
    };
}

impl<A: Arm> Arm for Vec<A> {
    const COUNT: Option<usize> = None;
    list_arm!();
}

impl<A: Arm> Arms for Vec<A> {}

impl<A: Arm, const N: usize> Arm for [A; N] {
    const COUNT: Option<usize> = match A::COUNT {
        Some(count) => Some(N * count),
        None => None,
    };
    list_arm!();
}

impl<A: Arm, const N: usize> Arms for [A; N] {}

const fn sum(counts: &[Option<usize>]) -> Option<usize> {
    let (mut sum, mut at) = (0, 0);
    while at < counts.len() {
        match counts[at] {
            Some(count) => sum += count,
            None => return None,
        }
        at += 1;
    }
    Some(sum)
}

macro_rules! sel {
    ($Sel:ident, $how_many:literal: $($Arm:ident $field:tt $n:literal),+) => {
        #[doc = concat!("Which of ", $how_many, " arms was done, with its output: see [`select`](crate::select()).")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $Sel<$($Arm),+> {
            $(
                #[doc = concat!("The ", $n, " arm.")]
                $Arm($Arm),
            )+
        }

        impl<$($Arm: Arm),+> Arm for ($($Arm,)+) {
            type Output = $Sel<$($Arm::Output),+>;
            const COUNT: Option<usize> = sum(&[$($Arm::COUNT),+]);

            #[inline]
            fn count(&self) -> usize {
                match Self::COUNT {
                    Some(count) => count,
                    None => [$(self.$field.count()),+].into_iter().sum(),
                }
            }

            #[inline]
            fn attempt(&mut self, number: usize, attempt: Attempt<'_>) -> Poll<Self::Output> {
                let mut number = number;
                $(
                    let count = self.$field.count();
                    if number < count {
                        return self.$field.attempt(number, attempt).map($Sel::$Arm);
                    }
                    number -= count;
                )+
                _ = number;
                Poll::Pending
            }

            #[inline]
            fn each(&mut self, f: &mut impl FnMut(&mut dyn ArmOp)) {
                $(self.$field.each(f);)+
            }
        }

        impl<$($Arm: Arm),+> Arms for ($($Arm,)+) {}

        impl<$($Arm: Outcome),+> Outcome for $Sel<$($Arm),+> {
            fn ending(&self) -> Ending {
                match self {
                    $($Sel::$Arm(output) => output.ending()),+
                }
            }
        }
    };
}

sel!(Sel2, "two": A 0 "first", B 1 "second");
sel!(Sel3, "three": A 0 "first", B 1 "second", C 2 "third");
sel!(Sel4, "four": A 0 "first", B 1 "second", C 2 "third", D 3 "fourth");
sel!(Sel5, "five": A 0 "first", B 1 "second", C 2 "third", D 3 "fourth", E 4 "fifth");
sel!(Sel6, "six": A 0 "first", B 1 "second", C 2 "third", D 3 "fourth", E 4 "fifth", F 5 "sixth");
sel!(Sel7, "seven": A 0 "first", B 1 "second", C 2 "third", D 3 "fourth", E 4 "fifth", F 5 "sixth", G 6 "seventh");
sel!(Sel8, "eight": A 0 "first", B 1 "second", C 2 "third", D 3 "fourth", E 4 "fifth", F 5 "sixth", G 6 "seventh", H 7 "eighth");
