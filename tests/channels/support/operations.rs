//! What operations and errors have in common, for bodies that are written once.

use std::future::Future;

use handover::{RecvError, SendError, Why, WriteError, op};

/// What all operations have in common, for bodies that are written once.
pub(crate) trait Op: Future + Unpin {
    fn block(self) -> Self::Output;
}

macro_rules! op {
    (impl[$($generics:tt)*] $name:ty) => {
        impl<$($generics)*> Op for $name {
            fn block(self) -> Self::Output {
                self.wait()
            }
        }
    };
}

op!(impl[T, U] op::Demand<'_, T, U>);
op!(impl[T, U] op::Exchange<'_, T, U>);
op!(impl[T, U] op::Answer<'_, T, U>);
op!(impl[] op::Left<'_>);
op!(impl[] op::PeerLeft<'_>);
op!(impl[I: Iterator] op::SendAll<'_, I>);
op!(impl[T, U] op::Ask<'_, T, U>);
op!(impl[T, U] op::Recv<'_, T, U>);
op!(impl[T] op::Send<'_, T>);
op!(impl[I: Iterator] op::SendEach<'_, I>);
op!(impl[T] op::SendOne<'_, T>);
op!(impl[I: Iterator] op::Write<'_, I>);
op!(impl[I: Iterator] op::WriteLocal<'_, I>);
op!(impl[T] op::Flush<'_, T>);
op!(impl[T] op::Wanted<'_, T>);
op!(impl[T] op::ReadOne<'_, T>);
op!(impl[T] op::Read<'_, T>);
op!(impl[T] op::ReadInto<'_, T>);
op!(impl['a, T] op::ReadOnce<'a, T>);
op!(impl['a, T] op::Reserve<'a, T>);
op!(impl[T] op::Take<'_, T>);
op!(impl[T] op::Closed<'_, T>);

/// The questions that all errors answer.
pub(crate) trait Reason: std::error::Error {
    fn reason(&self) -> Why;
    /// `is_end`, `is_timed_out`, `is_not_ready`
    fn is(&self) -> [bool; 3];
}

macro_rules! reason {
    (impl[$($generics:tt)*] $name:ty) => {
        impl<$($generics)*> Reason for $name {
            fn reason(&self) -> Why {
                self.why()
            }

            fn is(&self) -> [bool; 3] {
                [self.is_end(), self.is_timed_out(), self.is_not_ready()]
            }
        }
    };
}

reason!(impl[] RecvError);
reason!(impl[T] SendError<T>);
reason!(impl[I: Iterator] WriteError<I>);
