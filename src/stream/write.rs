//! The writer's operations, as steps: an iterator answers the requests that come.
#![allow(missing_debug_implementations, reason = "users meet them only inside of `Op`")]

#[cfg(feature = "sink")]
mod sink;

use std::mem;
use std::option;
use std::task::{Poll, ready};

use super::leftover::BoxIter;
use super::{Answer, Request, StreamMessage, Want, Writer, WriterHalf};
use crate::error::{RecvError, Rest, SendError, Why, WriteError};
use crate::operation::Op;
use crate::panics::FirstPanic;
use crate::slot::{Message, Outgoing, SlotState};
use crate::step::{Attempt, PutMode, ReclaimStep, SelectStep, Step};

/// How to send an iterator itself, if it may go to another thread.
pub(super) type Boxed<I> = fn(I) -> BoxIter<<I as Iterator>::Item>;

/// An iterator on its way to the reader.
pub(super) struct WriteProgress<I: Iterator> {
    items: Option<I>,
    boxed: Option<Boxed<I>>,
    answer: Outgoing<StreamMessage<I::Item>>,
    /// The reader has taken something of the iterator.
    was_taken: bool,
    /// The batch of an answer that was not put went back to the request, with what this operation has added to it.
    is_back: bool,
    /// An item that was made before the reader asked for it.
    made: Option<I::Item>,
}

impl<I: Iterator> WriteProgress<I> {
    pub(super) const fn new(items: I, boxed: Option<Boxed<I>>) -> Self {
        let answer = Outgoing::none();
        Self { items: Some(items), boxed, answer, was_taken: false, is_back: false, made: None }
    }

    /// Without an iterator, for an answer alone.
    pub(super) const fn empty() -> Self {
        Self {
            items: None,
            boxed: None,
            answer: Outgoing::none(),
            was_taken: false,
            is_back: false,
            made: None,
        }
    }

    /// Answers requests until the iterator is used up and nothing of it is in the slot.
    fn step(
        &mut self,
        writer: &mut Writer<I::Item>,
        attempt: Attempt<'_>,
    ) -> Poll<Result<(), Why>> {
        loop {
            if self.answer.is_here() {
                ready!(writer.until_asked(attempt))?;
                if self.put(writer, attempt) {
                    return Poll::Pending;
                }
            } else if self.answer.is_put() {
                ready!(writer.until_taken(attempt))?;
                self.answer.set_taken();
                self.was_taken = true;
                self.look_ahead_at_end();
            } else if self.items.is_none() && self.made.is_none() {
                match writer.take_some() {
                    Some(batch) => {
                        self.answer = Outgoing::new(Message::Answer(Answer::Batch(batch)))
                    }
                    None => return Poll::Ready(Ok(())),
                }
            } else {
                ready!(writer.until_asked(attempt))?;
                if let Some(answer) = self.fill(writer) {
                    self.answer = Outgoing::new(Message::Answer(answer));
                }
            }
            if let Some(why) = writer.half.peer_end() {
                return Poll::Ready(Err(why));
            }
        }
    }

    /// Puts the answer: see `Half::put`. If a waker panics before that, a batch goes back to the request.
    #[inline(always)]
    fn put(&mut self, writer: &mut Writer<I::Item>, attempt: Attempt<'_>) -> bool {
        let putting = Putting { progress: self, writer };
        let is_put = putting.progress.answer.put(&mut putting.writer.half, attempt);
        mem::forget(putting);
        is_put
    }

    /// Gives the batch of an answer that is not put back to the request: other writes have filled it, too, and an operation that is forgotten must not take
    /// it along.
    fn return_batch(&mut self, request: Option<&mut Request<I::Item>>) {
        let Some(request) = request else { return };
        match self.answer.take_unput() {
            Some(Message::Answer(Answer::Batch(batch) | Answer::Flushed(batch))) => {
                request.batch = batch;
                self.is_back = true;
            }
            Some(answer) => self.answer = Outgoing::new(answer),
            None => {}
        }
    }

    /// Fills the batch of the request as far as the iterator goes. Gives the answer, once there is one.
    fn fill(&mut self, writer: &mut Writer<I::Item>) -> Option<Answer<I::Item>> {
        let half = &mut writer.half;
        // A reader that left just before its request was taken is no news to the loop below, which might have no other end.
        if half.peer_end().is_some() {
            return None;
        }
        let request = writer.request.as_mut()?;
        let n = match request.want {
            _ if half.is_flush_requested() => 0,
            // The items that a dropped write has left in the batch come first.
            Want::One | Want::Write if !request.batch.is_empty() => 0,
            Want::Write if self.boxed.is_some() => {
                let boxed = self.boxed?;
                return match self.made.take() {
                    Some(item) => Some(Answer::One(item)),
                    None => self.items.take().map(|items| Answer::Write(boxed(items))),
                };
            }
            Want::One | Want::Write => return self.next().map(Answer::One),
            Want::Exactly(n) | Want::UpTo(n) => n,
        };
        let promised = self.items.as_ref().map_or(0, |items| items.size_hint().0);
        request.batch.reserve(
            promised.min(n.saturating_sub(request.batch.len())).min(most_reserved::<I::Item>()),
        );
        let is_up_to = matches!(request.want, Want::UpTo(_));
        let mut filling = Filling::begin(&mut request.batch);
        if filling.batch.len() < n {
            filling.batch.extend(self.made.take());
        }
        loop {
            let stop = match &mut self.items {
                Some(items) => filling.fill(items, n, || half.is_changed()),
                None => Stop::End,
            };
            match stop {
                Stop::Full => break,
                Stop::End => {
                    self.items = None;
                    if is_up_to && !filling.batch.is_empty() {
                        break;
                    }
                    return None;
                }
                Stop::News => {
                    _ = half.load_state();
                    if half.peer_end().is_some() {
                        return None;
                    }
                    if half.is_flush_requested() {
                        break;
                    }
                }
            }
        }
        Some(Answer::Batch(filling.take()))
    }

    /// Makes the next item already if the iterator says that there is none: it may be wrong, and then the item waits for a request.
    fn look_ahead_at_end(&mut self) {
        let mut panic = FirstPanic::default();
        let looked = panic.run(|| {
            if self.items.as_ref().is_some_and(|items| items.size_hint().1 == Some(0)) {
                self.made = self.next();
            }
        });
        if looked.is_none() {
            panic.run(|| self.items = None); // It panicked, and is not asked again.
        }
        panic.resume();
    }

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        if let Some(made) = self.made.take() {
            return Some(made);
        }
        let next = self.items.as_mut()?.next();
        if next.is_none() {
            self.items = None;
        }
        next
    }

    /// Takes the answer back for now, if it was not taken.
    fn rewind(&mut self, writer: &mut Writer<I::Item>) {
        self.answer.rewind(&mut writer.half);
        self.return_batch(writer.request.as_mut());
    }

    /// Takes back the answer that was not taken. A batch goes back to the request, anything else to the caller.
    fn take_back(&mut self, writer: &mut Writer<I::Item>) -> Option<Answer<I::Item>> {
        let was_put = self.answer.is_put();
        let answer = self.answer.take_back(&mut writer.half);
        self.was_taken |= was_put && answer.is_none();
        match (answer?, &mut writer.request) {
            (Message::Answer(Answer::Batch(batch) | Answer::Flushed(batch)), Some(request)) => {
                request.batch = batch;
                None
            }
            (Message::Answer(answer), _) => Some(answer),
            (Message::Demand(_), _) => None,
        }
    }

    /// Gives up, but keeps the items that were made already, in the batch of the request.
    fn keep(&mut self, writer: &mut Writer<I::Item>) {
        if let (Some(Answer::One(item)), Some(request)) =
            (self.take_back(writer), &mut writer.request)
        {
            request.batch.push(item);
        }
    }

    /// Gives up: every item that was not taken, those of the batch first.
    fn fail(&mut self, writer: &mut Writer<I::Item>, why: Why) -> Result<(), WriteError<I>> {
        let answer = self.take_back(writer);
        let mut head = writer.take_batch();
        let mut whole = None;
        match answer {
            Some(Answer::One(item)) => head.push(item),
            Some(Answer::Batch(batch) | Answer::Flushed(batch)) => head.extend(batch),
            Some(Answer::Write(write)) => whole = Some(write),
            None => {}
        }
        if self.was_taken && head.is_empty() && whole.is_none() {
            self.look_ahead_at_end();
            if self.items.is_none() && self.made.is_none() {
                return Ok(());
            }
        }
        head.extend(self.made.take());
        Err(WriteError::new(why, Rest::new(head, whole, self.items.take())))
    }
}

/// An answer on its way into the slot. Dropped if a waker panics.
struct Putting<'a, I: Iterator> {
    progress: &'a mut WriteProgress<I>,
    writer: &'a mut Writer<I::Item>,
}

impl<I: Iterator> Drop for Putting<'_, I> {
    #[cold]
    fn drop(&mut self) {
        self.progress.return_batch(self.writer.request.as_mut());
    }
}

/// A batch that is being filled, taken out of its place so that it stays in registers. It goes back, whatever the iterator does.
struct Filling<'a, T> {
    batch: Vec<T>,
    place: &'a mut Vec<T>,
}

enum Stop {
    /// The batch has enough items.
    Full,
    /// The iterator has no more.
    End,
    /// Between two items something has changed: the reader has left, or requests a flush.
    News,
}

impl<'a, T> Filling<'a, T> {
    fn begin(place: &'a mut Vec<T>) -> Self {
        Self { batch: mem::take(place), place }
    }

    #[inline]
    fn fill(
        &mut self,
        items: &mut impl Iterator<Item = T>,
        n: usize,
        has_news: impl Fn() -> bool,
    ) -> Stop {
        while self.batch.len() < n {
            if has_news() {
                return Stop::News;
            }
            match items.next() {
                Some(item) => self.batch.push(item),
                None => return Stop::End,
            }
        }
        Stop::Full
    }

    fn take(mut self) -> Vec<T> {
        mem::take(&mut self.batch)
    }
}

impl<T> Drop for Filling<'_, T> {
    #[inline]
    fn drop(&mut self) {
        mem::swap(&mut self.batch, self.place);
    }
}

/// How many items that an iterator only promises are reserved for, at most: 64 KiB of them.
fn most_reserved<T>() -> usize {
    65_536_usize.checked_div(size_of::<T>()).unwrap_or(0)
}

impl<T> Writer<T> {
    /// Waits until there is a request and it is this end's turn.
    fn until_asked(&mut self, attempt: Attempt<'_>) -> Poll<Result<(), Why>> {
        if self.request.is_some() {
            match self.half.load_state() {
                SlotState::MyTurn => return Poll::Ready(self.half.peer_end().map_or(Ok(()), Err)),
                // The answer of a forgotten operation, or what `wanted` handed over, is still in the slot.
                _ => ready!(self.until_taken(attempt))?,
            }
        }
        match ready!(self.half.next_message(attempt))? {
            Message::Demand(request) => {
                self.request = Some(request);
                Poll::Ready(Ok(()))
            }
            Message::Answer(_) => Poll::Ready(Err(Why::OutOfTurn)),
        }
    }

    /// Waits until the reader has taken the answer that is in the slot. The request is then answered.
    fn until_taken(&mut self, attempt: Attempt<'_>) -> Poll<Result<(), Why>> {
        loop {
            if self.half.load_state() != SlotState::Sent {
                self.request = None;
                return Poll::Ready(Ok(()));
            }
            if let Some(why) = self.half.peer_end() {
                return Poll::Ready(Err(why));
            }
            if self.half.is_pending(attempt) {
                return Poll::Pending;
            }
        }
    }

    /// The items of the batch, if the request is for what one write brings. There are some only if the iterator's destructor panicked.
    fn take_some(&mut self) -> Option<Vec<T>> {
        let request = self.request.as_mut().filter(|request| matches!(request.want, Want::UpTo(_)));
        request.filter(|request| !request.batch.is_empty()).map(Request::take_batch)
    }

    /// Whether nothing is to be added to the batch in hand. It may have come back whole from a write that was dropped.
    fn has_all(&self) -> bool {
        self.request.as_ref().is_some_and(|request| match request.want {
            Want::One | Want::Write => !request.batch.is_empty(),
            Want::Exactly(n) | Want::UpTo(n) => request.batch.len() >= n,
        })
    }

    /// Puts items of the request in hand for good. If the reader has left, they go back.
    fn put_batch(&mut self, answer: Answer<T>) -> Result<(), Why> {
        // With a request in hand and its items, it is this end's turn.
        _ = self.half.load_state();
        let mut message = Some(Message::Answer(answer));
        if self.half.put_telling(&mut message, PutMode::Committed, None) {
            return Ok(());
        }
        if let Some(message) = message {
            self.keep_message(message);
        }
        Err(self.half.peer_end_now().unwrap_or(Why::Dropped))
    }

    fn keep_message(&mut self, message: StreamMessage<T>) {
        let Some(request) = &mut self.request else { return };
        match message {
            Message::Answer(Answer::Batch(batch) | Answer::Flushed(batch)) => request.batch = batch,
            Message::Answer(Answer::One(item)) => request.batch.push(item),
            Message::Answer(Answer::Write(_)) | Message::Demand(_) => {}
        }
    }

    /// The items of the batch that a request has begun.
    fn take_batch(&mut self) -> Vec<T> {
        self.request.as_mut().map_or_else(Vec::new, Request::take_batch)
    }
}

/// Writes one item: see [`Writer::send`].
pub type SendOne<'a, T> = Op<SendOneStep<'a, T>>;

pub struct SendOneStep<'a, T> {
    pub(super) writer: &'a mut Writer<T>,
    pub(super) progress: WriteProgress<option::IntoIter<T>>,
}

impl<T> Step for SendOneStep<'_, T> {
    const NAME: &'static str = "Writer::send";
    type Output = Result<(), SendError<T>>;
    type Waiter = WriterHalf<T>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        let written = ready!(self.progress.step(self.writer, attempt));
        // The reader may have left after it took the item.
        Poll::Ready(written.or_else(|why| self.expire(why)))
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        match self.reclaim() {
            None => Ok(()),
            unsent => Err(SendError::new(why, unsent)),
        }
    }

    fn withdraw(&mut self) {
        drop(self.reclaim());
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.writer.half
    }
}

impl<T> SelectStep for SendOneStep<'_, T> {
    fn rewind(&mut self) {
        self.progress.rewind(self.writer);
    }
}

impl<T> ReclaimStep for SendOneStep<'_, T> {
    type Value = T;

    fn reclaim(&mut self) -> Option<T> {
        let is_back = self.progress.is_back && !self.progress.was_taken;
        let was_begun = is_back || !self.progress.answer.is_through();
        let answer = self.progress.take_back(self.writer);
        match answer {
            Some(Answer::One(item)) => Some(item),
            Some(Answer::Write(mut write)) => write.next(),
            _ => match self.progress.next() {
                // The item was the last one of a batch that came back.
                None if was_begun => self.writer.request.as_mut()?.batch.pop(),
                item => item,
            },
        }
    }
}

/// Writes the items of an iterator: see [`Writer::write`].
pub type Write<'a, I> = Op<WriteStep<'a, I, false>>;

/// Writes the items of an iterator that stays on its thread: see [`Writer::write_local`].
pub type WriteLocal<'a, I> = Op<WriteStep<'a, I, true>>;

pub struct WriteStep<'a, I: Iterator, const IS_LOCAL: bool> {
    pub(super) writer: &'a mut Writer<I::Item>,
    pub(super) progress: WriteProgress<I>,
}

impl<I: Iterator, const IS_LOCAL: bool> Step for WriteStep<'_, I, IS_LOCAL> {
    const NAME: &'static str = if IS_LOCAL { "Writer::write_local" } else { "Writer::write" };
    type Output = Result<(), WriteError<I>>;
    type Waiter = WriterHalf<I::Item>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        let written = ready!(self.progress.step(self.writer, attempt));
        Poll::Ready(written.or_else(|why| self.expire(why)))
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.progress.fail(self.writer, why)
    }

    fn withdraw(&mut self) {
        self.progress.keep(self.writer);
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.writer.half
    }
}

impl<I: Iterator, const IS_LOCAL: bool> SelectStep for WriteStep<'_, I, IS_LOCAL> {
    fn rewind(&mut self) {
        self.progress.rewind(self.writer);
    }
}

/// Waits for a request: see [`Writer::wanted`].
pub type Wanted<'a, T> = Op<WantedStep<'a, T>>;

pub struct WantedStep<'a, T> {
    pub(super) writer: &'a mut Writer<T>,
}

impl<T> Step for WantedStep<'_, T> {
    const NAME: &'static str = "Writer::wanted";
    type Output = Result<Want, RecvError>;
    type Waiter = WriterHalf<T>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        let writer = &mut *self.writer;
        loop {
            let mut asked = ready!(writer.until_asked(attempt));
            if asked.is_ok() && (writer.has_all() || writer.half.is_flush_requested()) {
                // What a dropped write has left may be all that was asked for; or the reader has given up on its request, and waits for what there is.
                let batch = writer.take_batch();
                asked = writer.put_batch(Answer::Batch(batch));
                if asked.is_ok() {
                    continue;
                }
            }
            let want = asked.and_then(|()| {
                let request = writer.request.as_ref().ok_or(Why::OutOfTurn)?;
                Ok(request.want.missing(request.batch.len()))
            });
            return Poll::Ready(want.map_err(RecvError::new));
        }
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        self.writer.half.unregister();
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.writer.half
    }
}

impl<T> SelectStep for WantedStep<'_, T> {}

/// Hands over a short batch: see [`Writer::flush`].
pub type Flush<'a, T> = Op<FlushStep<'a, T>>;

pub struct FlushStep<'a, T> {
    pub(super) writer: &'a mut Writer<T>,
    pub(super) progress: WriteProgress<option::IntoIter<T>>,
}

impl<T> Step for FlushStep<'_, T> {
    const NAME: &'static str = "Writer::flush";
    type Output = Result<(), RecvError>;
    type Waiter = WriterHalf<T>;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        if self.progress.answer.is_through() && !self.progress.was_taken {
            let batch = self.writer.take_batch();
            if !batch.is_empty() {
                let answer = Message::Answer(Answer::Flushed(batch));
                self.progress.answer = Outgoing::new(answer);
            }
        }
        let written = ready!(self.progress.step(self.writer, attempt));
        // The reader may have left after it took the batch.
        Poll::Ready(written.or_else(|why| self.expire(why)))
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        if self.progress.was_taken { Ok(()) } else { Err(RecvError::new(why)) }
    }

    fn withdraw(&mut self) {
        drop(self.progress.take_back(self.writer));
    }

    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.writer.half
    }
}

impl<T> SelectStep for FlushStep<'_, T> {
    fn rewind(&mut self) {
        self.progress.rewind(self.writer);
    }
}
