//! The operations of the channels by one trait, so that all of them can be waited for in all ways.

use std::future::Future;
use std::time::Duration;
use std::time::Instant;

use handover::op::{
    Answer, Ask, Closed, Demand, Exchange, Flush, Left, Read, ReadInto, ReadOnce, ReadOne, Recv,
    Reserve, Send as SendOp, SendAll, SendEach, SendOne, Take, Wanted, Write, WriteLocal,
};
use handover::{Sel2, SendError, never, select};

use crate::party::{Limit, Making};
use crate::value::Value;

/// The ways to wait that every operation has.
pub(crate) trait Operation: Future<Output: Send> + Unpin + Send {
    fn now(self) -> Self::Output;
    fn wait(self) -> Self::Output;
    fn wait_timeout(self, limit: Duration) -> Self::Output;
    fn wait_deadline(self, limit: Instant) -> Self::Output;
    fn until(self, limit: Limit) -> impl Future<Output = Self::Output> + Send;
    /// As the only arm of a `select` that can happen; `form` tells which `select`.
    fn select_timeout(&mut self, form: u64, limit: Duration) -> Option<Self::Output>;
    fn select_until(
        &mut self,
        form: u64,
        limit: Limit,
    ) -> impl Future<Output = Option<Self::Output>> + Send;
}

/// An operation that carries a value and gives it back.
pub(crate) trait Carries: Operation {
    /// What it brings.
    type Brings;

    fn reclaim(self) -> Option<Value>;
    fn result(output: Self::Output) -> Result<Self::Brings, SendError<Value>>;
}

macro_rules! operations {
    ($($op:ty;)*) => {$(
        impl Operation for $op {
            fn now(self) -> Self::Output {
                self.now()
            }

            fn wait(self) -> Self::Output {
                self.wait()
            }

            fn wait_timeout(self, limit: Duration) -> Self::Output {
                self.wait_timeout(limit)
            }

            fn wait_deadline(self, limit: Instant) -> Self::Output {
                self.wait_deadline(limit)
            }

            fn until(self, limit: Limit) -> impl Future<Output = Self::Output> + Send {
                self.until(limit)
            }

            fn select_timeout(&mut self, form: u64, limit: Duration) -> Option<Self::Output> {
                let (quiet, other) = (never::<()>(), never::<()>());
                if form == 0 {
                    match select((vec![quiet.recv()], self)).biased().wait_timeout(limit)? {
                        Sel2::A(_) => None,
                        Sel2::B(output) => Some(output),
                    }
                } else {
                    match select((self, (quiet.recv(), [other.recv()]))).wait_timeout(limit)? {
                        Sel2::A(output) => Some(output),
                        Sel2::B(_) => None,
                    }
                }
            }

            async fn select_until(&mut self, form: u64, limit: Limit) -> Option<Self::Output> {
                let (quiet, other) = (never::<()>(), never::<()>());
                if form == 0 {
                    match select((vec![quiet.recv()], self)).biased().until(limit).await? {
                        Sel2::A(_) => None,
                        Sel2::B(output) => Some(output),
                    }
                } else {
                    match select((self, (quiet.recv(), [other.recv()]))).until(limit).await? {
                        Sel2::A(output) => Some(output),
                        Sel2::B(_) => None,
                    }
                }
            }
        }
    )*};
}

operations! {
    Demand<'_, Value, ()>;
    Demand<'_, Value, Value>;
    Exchange<'_, Value, ()>;
    Exchange<'_, Value, Value>;
    Answer<'_, Value, ()>;
    Answer<'_, Value, Value>;
    SendAll<'_, Making>;
    Ask<'_, Value, Value>;
    Recv<'_, Value, ()>;
    Recv<'_, Value, Value>;
    Left<'_>;
    SendOne<'_, Value>;
    Write<'_, Making>;
    WriteLocal<'_, Making>;
    Flush<'_, Value>;
    Wanted<'_, Value>;
    ReadOne<'_, Value>;
    Read<'_, Value>;
    ReadInto<'_, Value>;
    ReadOnce<'_, Value>;
    SendOp<'_, Value>;
    SendEach<'_, Making>;
    Reserve<'_, Value>;
    Take<'_, Value>;
    Closed<'_, Value>;
}

macro_rules! carrying {
    ($($op:ty, $brings:ty;)*) => {$(
        impl Carries for $op {
            type Brings = $brings;

            fn reclaim(self) -> Option<Value> {
                self.reclaim()
            }

            fn result(output: Self::Output) -> Result<$brings, SendError<Value>> {
                output
            }
        }
    )*};
}

carrying! {
    Exchange<'_, Value, ()>, ();
    Exchange<'_, Value, Value>, Value;
    Answer<'_, Value, ()>, ();
    Answer<'_, Value, Value>, ();
    Ask<'_, Value, Value>, Value;
    SendOne<'_, Value>, ();
    SendOp<'_, Value>, ();
}
