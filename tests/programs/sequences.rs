//! Readers' requests that bring more than one value.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use handover::Reader;

use super::ledger::Value;
use super::out::{IntoOut, Out};
use super::party::{Command, Seat, Ways, ways};
use super::world::{Arm, Deed, RECEIVING};

/// One whole write, of which so many items are used; the others are for the next request.
pub(crate) async fn read_once(
    seat: &Seat,
    arm: Arm,
    reader: &mut Reader<Value>,
    used: usize,
    first: Option<Command>,
) {
    let op = reader.read_once();
    let ways = ways!(op);
    let outcome = seat.drive(vec![arm], op, first, ways).await;
    let Some((out, way)) = outcome else { return };
    let out = match out {
        Ok(mut batch) => {
            let mut values = Vec::new();
            // A planned panic lets the batch go on with its next item.
            for _ in 0..used {
                values.extend(seat.call(|| batch.next()).flatten());
            }
            seat.call(|| drop(batch));
            Out::Received(Ok(values))
        }
        Err(error) => Out::Received(Err(error.why())),
    };
    seat.world.borrow_mut().finish(seat.number, 0, out, way);
}

/// A request in the caller's own allocation.
pub(crate) async fn read_into(
    seat: &Seat,
    channel: usize,
    reader: &mut Reader<Value>,
    n: usize,
    first: Option<Command>,
) {
    let mut into = Vec::new();
    let op = reader.read_into(n, &mut into);
    let ways = ways!(op).gathering(true);
    let arm = Arm::new(channel, RECEIVING, Deed::Read(n));
    let outcome = seat.drive(vec![arm], op, first, ways).await;
    let Some((out, way)) = outcome else {
        assert!(into.is_empty(), "a request that was given up has appended items");
        return;
    };
    let out = match out {
        Ok(count) => {
            assert_eq!(count, into.len());
            Ok(into)
        }
        Err(error) => Err(error),
    };
    seat.world.borrow_mut().finish(seat.number, 0, out.into_out(), way);
}

/// Three items of a sequence that asks for the next batch while this one is used.
pub(crate) async fn ahead(
    seat: &Seat,
    channel: usize,
    reader: &mut Reader<Value>,
    n: usize,
    mut first: Option<Command>,
) {
    let mut items = reader.ahead(n).into_stream();
    for _ in 0..3 {
        let op = Next(&mut items);
        let ways = Ways::of_future(&op).gathering(true);
        let arm = Arm::new(channel, RECEIVING, Deed::Receive);
        let outcome = seat.drive(vec![arm], op, first.take(), ways).await;
        let Some((item, way)) = outcome else { break };
        let is_end = item.is_none();
        let out = match item {
            Some(value) => Ok(vec![value]),
            None => Err(items.end().expect("a sequence that has ended knows why")),
        };
        seat.world.borrow_mut().finish(seat.number, 0, Out::Received(out), way);
        if is_end {
            break;
        }
    }
    seat.call(|| drop(items));
}

/// The next item of a stream.
struct Next<'a, S>(&'a mut S);

impl<S: Stream + Unpin> Future for Next<'_, S> {
    type Output = Option<S::Item>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut *self.0).poll_next(context)
    }
}
