//! The reader's operations, as steps: requests, and what the writer answers.
#![allow(missing_debug_implementations, reason = "users meet them only inside of `Op`")]

use std::mem;
use std::task::{Poll, ready};

use super::{Answer, Batch, Reader, ReaderHalf, Request, StreamMessage, Want};
use crate::error::{RecvError, Why};
use crate::operation::Op;
use crate::panics;
use crate::point::{ChannelId, Seat};
use crate::slot::{Message, SlotState};
use crate::step::{Attempt, SelectStep, Step, Waiter};
use crate::wait::AdaptiveSpin;

impl<T> Reader<T> {
    /// Asks for `want`, unless that is asked for already, and waits for the next answer. The answer may be less, from a writer of which
    /// a flush was requested or that leaves. With `ahead` the reader asks for as much again when it takes the answer.
    ///
    /// There must be nothing left over.
    fn fetch(
        &mut self,
        want: Want,
        ahead: bool,
        attempt: Attempt<'_>,
    ) -> Poll<Result<Answer<T>, Why>> {
        loop {
            let half = &mut self.half;
            let state = half.load_state();
            if state == SlotState::Received {
                let message = if ahead { half.take() } else { half.take_and_wake() };
                // Without a message, the writer has taken it back.
                let Some(answer) = message.and_then(Message::answer) else { continue };
                self.outstanding = None;
                if ahead {
                    self.spare = mem::take(&mut self.leftover.items);
                    // The answer would be lost in a panic of the writer's waker.
                    panics::swallow(|| _ = self.ask(want, Attempt::ONCE));
                }
                return Poll::Ready(Ok(answer));
            } else if let Some(why) = half.peer_end() {
                return Poll::Ready(Err(why));
            } else if state == SlotState::MyTurn {
                if self.ask(want, attempt) {
                    return Poll::Pending;
                }
            } else {
                if self.outstanding != Some(want) {
                    // An earlier request was given up on.
                    self.outstanding = None;
                    if let Some(request) = half.withdraw() {
                        self.recycle(request);
                        continue;
                    }
                    half.request_flush();
                    // The writer may have answered, or left, since the state was loaded: that must not be slept through.
                    let is_waiting =
                        matches!(half.load_state(), SlotState::Sent | SlotState::PeerTurn);
                    if !is_waiting || half.peer_end().is_some() {
                        continue;
                    }
                }
                if self.half.is_pending(attempt) {
                    return Poll::Pending;
                }
            }
        }
    }

    /// Puts a request; the turn must be this end's. `false`: the writer has left.
    fn ask(&mut self, want: Want, attempt: Attempt<'_>) -> bool {
        let batch = mem::take(&mut self.spare);
        let mut request = Some(Message::Demand(Request { want, batch }));
        // Set before the put: a waker may panic when the request is already in the slot.
        self.outstanding = Some(want);
        let is_put = self.half.put(&mut request, attempt.put_mode, attempt.waker);
        if let Some(request) = request {
            self.outstanding = None;
            self.recycle(request);
        }
        is_put
    }

    /// Keeps the allocation of a request that came back.
    fn recycle(&mut self, request: StreamMessage<T>) {
        if let Message::Demand(request) = request {
            self.spare = request.batch;
        }
    }

    /// Keeps an answer for the requests to come.
    fn keep(&mut self, answer: Answer<T>) {
        match answer {
            Answer::One(item) => self.leftover.append(vec![item]),
            Answer::Batch(batch) | Answer::Flushed(batch) => self.leftover.append(batch),
            Answer::Write(write) => self.leftover.write = Some(write),
        }
    }

    /// Puts back what a read that was given up on has gathered: it is for the next request.
    #[inline]
    fn put_back(&mut self) {
        if !self.gathered.is_empty() {
            self.leftover.put_back(mem::take(&mut self.gathered).into_iter());
        }
    }

    /// Reports the end to a call that found nothing before it.
    fn report_end(&mut self, why: Why) -> Why {
        self.reported_end = Some(why);
        self.is_over = true;
        why
    }

    /// The next item. `want` is the request if there is none left over.
    fn next_item(&mut self, want: Want, ahead: bool, attempt: Attempt<'_>) -> Poll<Result<T, Why>> {
        self.put_back();
        loop {
            if let Some(item) = self.leftover.next() {
                return Poll::Ready(Ok(item));
            }
            match ready!(self.fetch(want, ahead, attempt)) {
                Ok(Answer::One(item)) => return Poll::Ready(Ok(item)),
                Ok(answer) => self.keep(answer),
                Err(why) => return Poll::Ready(Err(self.report_end(why))),
            }
        }
    }
}

/// How many items a read is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    /// Exactly so many, or as many as a flush or the end brings.
    Exactly(usize),
    /// At most so many, from one write.
    UpTo(usize),
    /// All items up to the end.
    All,
}

impl Amount {
    /// The request for the items that are missing.
    const fn want(self, missing: usize) -> Want {
        match self {
            Amount::Exactly(_) => Want::Exactly(missing),
            Amount::UpTo(_) => Want::UpTo(missing),
            Amount::All => Want::Exactly(usize::MAX),
        }
    }
}

/// A read under way. The items are with the reader, so that nothing is lost with an operation that is forgotten.
pub(super) struct ReadProgress {
    amount: Amount,
    is_begun: bool,
}

impl ReadProgress {
    pub(super) const fn new(amount: Amount) -> Self {
        Self { amount, is_begun: false }
    }

    /// Done: the reader has gathered what was wanted.
    fn step<T>(&mut self, reader: &mut Reader<T>, attempt: Attempt<'_>) -> Poll<Result<(), Why>> {
        if !mem::replace(&mut self.is_begun, true) {
            reader.put_back();
        }
        let is_up_to = matches!(self.amount, Amount::UpTo(_));
        let n = match self.amount {
            Amount::Exactly(n) | Amount::UpTo(n) => n,
            Amount::All => usize::MAX,
        };
        loop {
            let missing = n - reader.gathered.len();
            reader.leftover.move_to(&mut reader.gathered, missing);
            let missing = n - reader.gathered.len();
            if missing == 0 || (is_up_to && !reader.gathered.is_empty()) {
                return Poll::Ready(Ok(()));
            }
            match ready!(reader.fetch(self.amount.want(missing), false, attempt)) {
                Ok(Answer::Batch(batch)) if batch.len() <= missing => reader.gather(batch),
                Ok(Answer::Flushed(batch)) if batch.len() <= missing => {
                    reader.gather(batch);
                    if self.amount != Amount::All && !reader.gathered.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Ok(answer) => reader.keep(answer),
                Err(why) => {
                    reader.report_end(why);
                    let is_first_empty = why == Why::Closed && !reader.gave_empty && !is_up_to;
                    if !reader.gathered.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    if is_first_empty {
                        reader.gave_empty = true;
                        return Poll::Ready(Ok(()));
                    }
                    return Poll::Ready(Err(why));
                }
            }
        }
    }
}

impl<T> Reader<T> {
    fn gather(&mut self, batch: Vec<T>) {
        if self.gathered.is_empty() {
            self.gathered = batch;
        } else {
            self.gathered.extend(batch);
        }
    }
}

/// Waits for one item: see [`Reader::recv`].
pub type ReadOne<'a, T> = Op<ReadOneStep<'a, T>>;

pub struct ReadOneStep<'a, T> {
    pub(super) reader: &'a mut Reader<T>,
}

impl<T> Step for ReadOneStep<'_, T> {
    const NAME: &'static str = "Reader::recv";
    type Output = Result<T, RecvError>;
    type Waiter = ReaderHalf<T>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        self.reader.next_item(Want::One, false, attempt).map_err(RecvError::new)
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        self.reader.half.unregister();
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.reader.half
    }
}

impl<T> SelectStep for ReadOneStep<'_, T> {}

/// Waits for the next item of batches that are asked for ahead: see [`Reader::ahead`].
pub(super) struct ReadAheadStep<'a, T> {
    pub(super) reader: &'a mut Reader<T>,
    pub(super) n: usize,
}

impl<T> Step for ReadAheadStep<'_, T> {
    const NAME: &'static str = "Reader::ahead";
    type Output = Result<T, RecvError>;
    type Waiter = ReaderHalf<T>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        self.reader.next_item(Want::Exactly(self.n), true, attempt).map_err(RecvError::new)
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {}

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.reader.half
    }
}

/// Waits for a batch: see [`Reader::read`], [`Reader::read_some`] and [`Reader::read_all`].
pub type Read<'a, T> = Op<ReadStep<'a, T>>;

pub struct ReadStep<'a, T> {
    pub(super) reader: &'a mut Reader<T>,
    pub(super) progress: ReadProgress,
}

impl<T> Read<'_, T> {
    /// Lets go of a pending read; its waker stays registered.
    pub(super) fn suspend(self) {
        self.step.reader.put_back();
        self.detach();
    }
}

impl<T> Step for ReadStep<'_, T> {
    const NAME: &'static str = "Reader::read, Reader::read_some or Reader::read_all";
    type Output = Result<Vec<T>, RecvError>;
    type Waiter = ReaderHalf<T>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        let gathered = ready!(self.progress.step(self.reader, attempt));
        let items = gathered.map(|()| mem::take(&mut self.reader.gathered));
        Poll::Ready(items.map_err(RecvError::new))
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        self.reader.put_back();
        self.reader.half.unregister();
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.reader.half
    }
}

impl<T> SelectStep for ReadStep<'_, T> {}

/// Waits for a batch in the caller's vector: see [`Reader::read_into`].
pub type ReadInto<'a, T> = Op<ReadIntoStep<'a, T>>;

pub struct ReadIntoStep<'a, T> {
    pub(super) reader: &'a mut Reader<T>,
    pub(super) progress: ReadProgress,
    pub(super) into: &'a mut Vec<T>,
}

impl<T> ReadIntoStep<'_, T> {
    /// Gives the caller's allocation back, unless it has come back filled.
    fn give_back(&mut self) {
        if self.into.capacity() == 0 {
            mem::swap(self.into, &mut self.reader.spare);
        }
    }
}

impl<T> Step for ReadIntoStep<'_, T> {
    const NAME: &'static str = "Reader::read_into";
    type Output = Result<usize, RecvError>;
    type Waiter = ReaderHalf<T>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        if self.into.is_empty() && self.into.capacity() > self.reader.spare.capacity() {
            // Of two empty vectors, the caller's goes to the writer.
            mem::swap(self.into, &mut self.reader.spare);
        }
        let gathered = ready!(self.progress.step(self.reader, attempt));
        let items = &mut self.reader.gathered;
        let n = items.len();
        if self.into.is_empty() && n > 0 {
            mem::swap(self.into, items);
        } else {
            self.into.append(items);
        }
        if items.capacity() > self.reader.spare.capacity() {
            self.reader.spare = mem::take(items);
        }
        self.give_back();
        Poll::Ready(gathered.map(|()| n).map_err(RecvError::new))
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        self.reader.put_back();
        self.reader.half.unregister();
        self.give_back();
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.reader.half
    }
}

impl<T> SelectStep for ReadIntoStep<'_, T> {}

/// Waits for a whole write: see [`Reader::read_once`].
pub type ReadOnce<'a, T> = Op<ReadOnceStep<'a, T>>;

pub struct ReadOnceStep<'a, T> {
    /// Until the batch borrows it.
    pub(super) reader: Option<&'a mut Reader<T>>,
}

impl<T> ReadOnceStep<'_, T> {
    /// Waits until there is a batch: the items left over, or a write.
    fn fetch(reader: &mut Reader<T>, attempt: Attempt<'_>) -> Poll<Result<(), Why>> {
        reader.put_back();
        loop {
            if reader.leftover.has_item() {
                return Poll::Ready(Ok(()));
            }
            match ready!(reader.fetch(Want::Write, false, attempt)) {
                Ok(Answer::Write(write)) => {
                    // The only batch that may be empty: as it was written.
                    reader.leftover.write = Some(write);
                    return Poll::Ready(Ok(()));
                }
                Ok(answer) => reader.keep(answer),
                Err(why) => return Poll::Ready(Err(reader.report_end(why))),
            }
        }
    }
}

impl<'a, T> Step for ReadOnceStep<'a, T> {
    const NAME: &'static str = "Reader::read_once";
    type Output = Result<Batch<'a, T>, RecvError>;
    type Waiter = Option<&'a mut Reader<T>>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        let Some(reader) = self.reader.as_deref_mut() else { return Poll::Pending };
        if let Err(why) = ready!(Self::fetch(reader, attempt)) {
            return Poll::Ready(Err(RecvError::new(why)));
        }
        match self.reader.take() {
            Some(reader) => {
                reader.half.seat().map(Seat::leave);
                Poll::Ready(Ok(Batch { reader }))
            }
            None => Poll::Pending,
        }
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        if let Some(reader) = &mut self.reader {
            reader.half.unregister();
        }
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.reader
    }
}

impl<T> SelectStep for ReadOnceStep<'_, T> {}

impl<T> Waiter for Option<&mut Reader<T>> {
    fn has_changed(&mut self) -> bool {
        self.as_mut().is_some_and(|reader| reader.half.has_changed())
    }

    fn is_peer_elsewhere(&mut self) -> bool {
        self.as_mut().is_some_and(|reader| reader.half.is_peer_elsewhere())
    }

    fn channel(&self) -> ChannelId {
        self.as_ref().map_or(ChannelId::NONE, |reader| reader.half.channel())
    }

    fn seat(&mut self) -> Option<&mut Seat> {
        self.as_mut().and_then(|reader| reader.half.seat())
    }

    fn spin(&self) -> AdaptiveSpin {
        self.as_ref().map_or(AdaptiveSpin::new(), |reader| reader.half.spin())
    }

    fn set_spin(&mut self, spin: AdaptiveSpin) {
        if let Some(reader) = self {
            reader.half.set_spin(spin);
        }
    }
}
