//! The writer's operations: feeding an iterator to the requests that come.

use std::mem;
use std::option;
use std::task::{Poll, ready};

use super::batch::BoxIter;
use super::{Answer, Mail, Want, Writer};
use crate::error::{RecvError, Rest, SendError, Why, WriteError};
use crate::step::{Look, Step, operation, waits_with};
use crate::turn::Sight;

/// How to send an iterator itself, if it may go to another thread.
type Boxed<I> = fn(I) -> BoxIter<<I as Iterator>::Item>;

/// An iterator on its way to the reader.
pub(super) struct Feed<I: Iterator> {
    items: Option<I>,
    boxed: Option<Boxed<I>>,
    /// An answer that the slot has not got, since the reader left.
    answer: Option<Mail<I::Item>>,
    is_put: bool,
    /// Something of the iterator was taken.
    was_taken: bool,
    /// An item that was made before it was asked for.
    made: Option<I::Item>,
}

impl<I: Iterator> Feed<I> {
    pub(super) fn new(items: I, boxed: Option<Boxed<I>>) -> Self {
        Self {
            items: Some(items),
            boxed,
            answer: None,
            is_put: false,
            was_taken: false,
            made: None,
        }
    }

    /// No iterator: for an answer alone.
    pub(super) const fn empty() -> Self {
        Self { items: None, boxed: None, answer: None, is_put: false, was_taken: false, made: None }
    }

    /// Answers requests until the iterator is used up and nothing of it lies in the slot.
    fn step(&mut self, writer: &mut Writer<I::Item>, look: Look<'_>) -> Poll<Result<(), Why>> {
        loop {
            if self.answer.is_some() {
                ready!(writer.until_asked(look))?;
                self.is_put = true;
                if writer.half.put(&mut self.answer, look.how, look.waker) {
                    return Poll::Pending;
                }
                self.is_put = false;
            } else if self.is_put {
                ready!(writer.until_taken(look))?;
                self.is_put = false;
                self.was_taken = true;
                self.look_for_the_end();
            } else if self.items.is_none() && self.made.is_none() {
                return Poll::Ready(Ok(()));
            } else {
                ready!(writer.until_asked(look))?;
                self.answer = self.fill(writer).map(Mail::Down);
            }
            if let Some(why) = writer.half.peer_end() {
                return Poll::Ready(Err(why));
            }
        }
    }

    /// Fills the batch in hand, as far as the iterator goes. Gives the answer, once it is one.
    fn fill(&mut self, writer: &mut Writer<I::Item>) -> Option<Answer<I::Item>> {
        let half = &mut writer.half;
        let hand = writer.hand.as_mut()?;
        let n = match hand.want {
            _ if half.is_nudged() => 0,
            // What a write that was dropped has left comes first.
            Want::One | Want::Write if !hand.batch.is_empty() => 0,
            Want::Write if self.boxed.is_some() => {
                let boxed = self.boxed?;
                return match self.made.take() {
                    Some(item) => Some(Answer::One(item)),
                    None => self.items.take().map(|items| Answer::Write(boxed(items))),
                };
            }
            Want::One | Want::Write => return self.next().map(Answer::One),
            Want::Exactly(n) | Want::Some(n) => n,
        };
        let promised = self.items.as_ref().map_or(0, |items| items.size_hint().0);
        hand.batch.reserve(
            promised.min(n.saturating_sub(hand.batch.len())).min(most_reserved::<I::Item>()),
        );
        while hand.batch.len() < n {
            // News between two items: the reader has left, or wants what there is.
            if half.is_stirred() {
                _ = half.look();
                if half.peer_end().is_some() {
                    return None;
                }
                if half.is_nudged() {
                    break;
                }
            }
            match self.next() {
                Some(item) => hand.batch.push(item),
                None if matches!(hand.want, Want::Some(_)) && !hand.batch.is_empty() => break,
                None => return None,
            }
        }
        Some(Answer::Batch(mem::take(&mut hand.batch)))
    }

    /// Finds out whether that was all, if the iterator says so: another one is asked with the next request.
    fn look_for_the_end(&mut self) {
        if self.items.as_ref().is_some_and(|items| items.size_hint().1 == Some(0)) {
            // It may lie.
            self.made = self.next();
        }
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
    fn retract(&mut self, writer: &mut Writer<I::Item>) {
        if self.is_put {
            self.answer = writer.half.withdraw();
            self.is_put = self.answer.is_none();
        }
    }

    /// Takes back the answer that was not taken: a batch to the hand, else it is given.
    fn take_back(&mut self, writer: &mut Writer<I::Item>) -> Option<Answer<I::Item>> {
        writer.half.unwait();
        let mut put = None;
        if mem::take(&mut self.is_put) {
            put = writer.half.withdraw();
            self.was_taken |= put.is_none();
        }
        match (self.answer.take().or(put)?, &mut writer.hand) {
            (Mail::Down(Answer::Batch(batch) | Answer::Flushed(batch)), Some(hand)) => {
                hand.batch = batch;
                None
            }
            (Mail::Down(answer), _) => Some(answer),
            (Mail::Up(_), _) => None,
        }
    }

    /// Gives up, but keeps what was pulled, in the batch in hand.
    fn keep(&mut self, writer: &mut Writer<I::Item>) {
        if let (Some(Answer::One(item)), Some(hand)) = (self.take_back(writer), &mut writer.hand) {
            hand.batch.push(item);
        }
    }

    /// Gives up: everything that was not taken, the batch in hand first.
    fn fail(&mut self, writer: &mut Writer<I::Item>, why: Why) -> Result<(), WriteError<I>> {
        let answer = self.take_back(writer);
        let mut head =
            writer.hand.as_mut().map_or_else(Vec::new, |hand| mem::take(&mut hand.batch));
        let mut whole = None;
        match answer {
            Some(Answer::One(item)) => head.push(item),
            Some(Answer::Batch(batch) | Answer::Flushed(batch)) => head.extend(batch),
            Some(Answer::Write(write)) => whole = Some(write),
            None => {}
        }
        if self.was_taken && head.is_empty() && whole.is_none() {
            self.look_for_the_end();
            if self.items.is_none() && self.made.is_none() {
                return Ok(());
            }
        }
        head.extend(self.made.take());
        Err(WriteError::new(why, Rest::new(head, whole, self.items.take())))
    }
}

/// What is reserved at the most for items that an iterator only promises: 64 KiB of them.
fn most_reserved<T>() -> usize {
    65_536_usize.checked_div(size_of::<T>()).unwrap_or(0)
}

impl<T> Writer<T> {
    /// Waits until a request is in hand and it is this end's turn.
    fn until_asked(&mut self, look: Look<'_>) -> Poll<Result<(), Why>> {
        if self.hand.is_some() {
            match self.half.look() {
                Sight::Mine => return Poll::Ready(self.half.peer_end().map_or(Ok(()), Err)),
                // The answer of a forgotten operation.
                _ => ready!(self.until_taken(look))?,
            }
        }
        match ready!(look.next_message(&mut self.half))? {
            Mail::Up(request) => {
                self.hand = Some(request);
                Poll::Ready(Ok(()))
            }
            Mail::Down(_) => Poll::Ready(Err(Why::OutOfTurn)),
        }
    }

    /// Waits until the reader has taken what lies in the slot, and with it the request in hand is answered.
    fn until_taken(&mut self, look: Look<'_>) -> Poll<Result<(), Why>> {
        loop {
            if self.half.look() != Sight::Put {
                self.hand = None;
                return Poll::Ready(Ok(()));
            }
            if let Some(why) = self.half.peer_end() {
                return Poll::Ready(Err(why));
            }
            if look.is_left_with(&mut self.half) {
                return Poll::Pending;
            }
        }
    }
}

/// The parts of a step that are the same for all operations of a writer.
macro_rules! writer_step {
    () => {
        fn retract(&mut self) {
            self.feed.retract(self.writer);
        }

        waits_with!(writer);
    };
}

/// Writes one item: see [`Writer::send`].
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct SendOne<'a, T> {
    pub(super) writer: &'a mut Writer<T>,
    pub(super) feed: Feed<option::IntoIter<T>>,
    pub(super) done: bool,
}

operation!(impl['a, T] SendOne<'a, T> => Result<(), SendError<T>>, "Writer::send");

impl<T> SendOne<'_, T> {
    /// Gives up on it: the item, if it was not taken.
    pub fn reclaim(mut self) -> Option<T> {
        self.done = true;
        self.take_back()
    }

    fn take_back(&mut self) -> Option<T> {
        let was_put = self.feed.is_put || self.feed.answer.is_some();
        let answer = self.feed.take_back(self.writer);
        let is_back = was_put && self.writer.hand.is_some();
        match answer {
            Some(Answer::One(item)) => Some(item),
            Some(Answer::Write(mut write)) => write.next(),
            _ => match self.feed.next() {
                Some(item) => Some(item),
                // It was the last item of a batch that came back.
                None if is_back => self.writer.hand.as_mut().and_then(|hand| hand.batch.pop()),
                None => None,
            },
        }
    }
}

impl<T> Step for SendOne<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        let fed = ready!(self.feed.step(self.writer, look));
        // The reader may have left after it took the item.
        Poll::Ready(fed.or_else(|why| self.expire(why)))
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        match self.take_back() {
            None => Ok(()),
            unsent => Err(SendError::new(why, unsent)),
        }
    }

    fn withdraw(&mut self) {
        drop(self.take_back());
    }

    writer_step!();
}

/// Writes the items of an iterator: see [`Writer::write`].
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct Write<'a, I: Iterator> {
    pub(super) writer: &'a mut Writer<I::Item>,
    pub(super) feed: Feed<I>,
    pub(super) done: bool,
}

operation!(impl['a, I: Iterator] Write<'a, I> => Result<(), WriteError<I>>, "Writer::write");

/// Writes the items of an iterator that stays on its thread: see [`Writer::write_local`].
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct WriteLocal<'a, I: Iterator> {
    pub(super) writer: &'a mut Writer<I::Item>,
    pub(super) feed: Feed<I>,
    pub(super) done: bool,
}

operation!(impl['a, I: Iterator] WriteLocal<'a, I> => Result<(), WriteError<I>>, "Writer::write_local");

macro_rules! write_step {
    ($name:ident) => {
        impl<I: Iterator> Step for $name<'_, I> {
            type Output = Result<(), WriteError<I>>;

            fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
                let fed = ready!(self.feed.step(self.writer, look));
                Poll::Ready(fed.or_else(|why| self.feed.fail(self.writer, why)))
            }

            fn expire(&mut self, why: Why) -> Self::Output {
                self.feed.fail(self.writer, why)
            }

            fn withdraw(&mut self) {
                self.feed.keep(self.writer);
            }

            writer_step!();
        }
    };
}

write_step!(Write);
write_step!(WriteLocal);

/// Hands over a short batch: see [`Writer::flush`].
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct Flush<'a, T> {
    pub(super) writer: &'a mut Writer<T>,
    pub(super) feed: Feed<option::IntoIter<T>>,
    pub(super) is_begun: bool,
    pub(super) done: bool,
}

operation!(impl['a, T] Flush<'a, T> => Result<(), RecvError>, "Writer::flush");

impl<T> Step for Flush<'_, T> {
    type Output = Result<(), RecvError>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        if !mem::replace(&mut self.is_begun, true) {
            let batch =
                self.writer.hand.as_mut().map_or_else(Vec::new, |hand| mem::take(&mut hand.batch));
            if !batch.is_empty() {
                self.feed.answer = Some(Mail::Down(Answer::Flushed(batch)));
            }
        }
        let taken = ready!(self.feed.step(self.writer, look));
        // The reader may have left after it took the batch.
        Poll::Ready(taken.or_else(|why| self.expire(why)))
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        if self.feed.was_taken { Ok(()) } else { Err(RecvError::new(why)) }
    }

    fn withdraw(&mut self) {
        drop(self.feed.take_back(self.writer));
    }

    writer_step!();
}
