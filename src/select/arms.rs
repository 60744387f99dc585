//! What can be chosen from: tuples, and vectors.

use std::task::Poll;
use std::time::Instant;

use crate::step::{Look, Operation, Step};

/// An operation as an arm of a [`select`](crate::select()): each operation of [`op`](crate::op), and `&mut` of one.
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
/// ```
///
/// It cannot be implemented outside this crate.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an operation of a channel",
    label = "not an operation",
    note = "arms are operations, like `receiver.recv()` or `&mut send`, that are not yet awaited or waited for; a `select` is none: give all arms to one",
    note = "what another future brings can come over a channel; for a timeout in a task, put the executor's around the `select`"
)]
pub trait Arm: Operation {}

impl<O: Operation> Arm for O {}

/// What a [`select`](crate::select()) chooses from: a tuple of two to eight operations, or a [`Vec`] of operations of one type.
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
/// assert!(!at_once(vec![rx.recv()]));
/// ```
///
/// It cannot be implemented outside this crate.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that `select` can choose from",
    label = "not a tuple of 2 to 8 operations, nor a `Vec` of operations of one type",
    note = "like `select((a.recv(), b.send(1)))`; a single operation needs no `select`: it is awaited, or waited for"
)]
pub trait Arms: Choice {}

impl<A: Choice> Arms for A {}

/// What `Select` does with its arms.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that `select` can choose from",
    label = "not a tuple of 2 to 8 operations, nor a `Vec` of operations of one type",
    note = "like `select((a.recv(), b.send(1)))`; a single operation needs no `select`: it is awaited, or waited for"
)]
pub trait Choice {
    /// Which arm was done, with its output.
    type Output;

    fn len(&self) -> usize;

    fn step(&mut self, arm: usize, look: Look<'_>) -> Poll<Self::Output>;

    /// Withdraws each arm that is not done.
    fn lose(&mut self);

    fn retract(&mut self);

    fn resume(&mut self);

    fn wants_claim(&self) -> bool;

    fn is_stirred(&self) -> bool;

    fn is_peer_elsewhere(&mut self) -> bool;

    fn looks_again_at(&self) -> Option<Instant>;
}

/// Steps an arm as its own future would.
fn step_arm<O: Operation>(arm: &mut O, look: Look<'_>) -> Poll<O::Output> {
    crate::step::assert_unfinished(arm);
    let polled = arm.step(look);
    *arm.done() = polled.is_ready();
    polled
}

macro_rules! sel {
    ($Sel:ident: $($Arm:ident $field:tt $n:literal),+) => {
        #[doc = concat!("Which of ", sel!(@count $($n),+), " arms was done, with its output: see [`select`](crate::select()).")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $Sel<$($Arm),+> {
            $(
                #[doc = concat!("The ", $n, " arm.")]
                $Arm($Arm),
            )+
        }

        impl<$($Arm: Operation),+> Choice for ($($Arm,)+) {
            type Output = $Sel<$($Arm::Output),+>;

            #[inline]
            fn len(&self) -> usize {
                [$($field),+].len()
            }

            #[inline]
            fn step(&mut self, arm: usize, look: Look<'_>) -> Poll<Self::Output> {
                match arm {
                    $($field => step_arm(&mut self.$field, look).map($Sel::$Arm),)+
                    _ => Poll::Pending,
                }
            }

            fn lose(&mut self) {
                $(self.$field.lose();)+
            }

            fn retract(&mut self) {
                $(self.$field.retract();)+
            }

            fn resume(&mut self) {
                $(self.$field.resume();)+
            }

            fn wants_claim(&self) -> bool {
                $(self.$field.wants_claim())||+
            }

            #[inline]
            fn is_stirred(&self) -> bool {
                $(self.$field.is_stirred())||+
            }

            #[inline]
            fn is_peer_elsewhere(&mut self) -> bool {
                // Each is asked: it also tells its peer where this party is.
                $(self.$field.is_peer_elsewhere())|+
            }

            fn looks_again_at(&self) -> Option<Instant> {
                [$(self.$field.looks_again_at()),+].into_iter().flatten().min()
            }
        }
    };
    (@count "first", "second") => { "two" };
    (@count "first", "second", "third") => { "three" };
    (@count "first", "second", "third", "fourth") => { "four" };
    (@count "first", "second", "third", "fourth", "fifth") => { "five" };
    (@count "first", "second", "third", "fourth", "fifth", "sixth") => { "six" };
    (@count "first", "second", "third", "fourth", "fifth", "sixth", "seventh") => { "seven" };
    (@count $($n:literal),+) => { "eight" };
}

sel!(Sel2: A 0 "first", B 1 "second");
sel!(Sel3: A 0 "first", B 1 "second", C 2 "third");
sel!(Sel4: A 0 "first", B 1 "second", C 2 "third", D 3 "fourth");
sel!(Sel5: A 0 "first", B 1 "second", C 2 "third", D 3 "fourth", E 4 "fifth");
sel!(Sel6: A 0 "first", B 1 "second", C 2 "third", D 3 "fourth", E 4 "fifth", F 5 "sixth");
sel!(Sel7: A 0 "first", B 1 "second", C 2 "third", D 3 "fourth", E 4 "fifth", F 5 "sixth", G 6 "seventh");
sel!(Sel8: A 0 "first", B 1 "second", C 2 "third", D 3 "fourth", E 4 "fifth", F 5 "sixth", G 6 "seventh", H 7 "eighth");

impl<O: Operation> Choice for Vec<O> {
    type Output = (usize, O::Output);

    fn len(&self) -> usize {
        self.len()
    }

    fn step(&mut self, arm: usize, look: Look<'_>) -> Poll<Self::Output> {
        step_arm(&mut self[arm], look).map(|output| (arm, output))
    }

    fn lose(&mut self) {
        self.iter_mut().for_each(Operation::lose);
    }

    fn retract(&mut self) {
        self.iter_mut().for_each(Step::retract);
    }

    fn resume(&mut self) {
        self.iter_mut().for_each(Step::resume);
    }

    fn wants_claim(&self) -> bool {
        self.iter().any(Step::wants_claim)
    }

    fn is_stirred(&self) -> bool {
        self.iter().any(Step::is_stirred)
    }

    fn is_peer_elsewhere(&mut self) -> bool {
        self.iter_mut().fold(false, |found, arm| arm.is_peer_elsewhere() | found)
    }

    fn looks_again_at(&self) -> Option<Instant> {
        self.iter().filter_map(Step::looks_again_at).min()
    }
}
