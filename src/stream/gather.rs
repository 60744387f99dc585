//! The reader's operations: asking, and gathering what comes.

use std::collections::VecDeque;
use std::mem;
use std::task::{Poll, ready};

use super::{Answer, Batch, Mail, Reader, Request, Want};
use crate::error::{RecvError, Why};
use crate::step::{Look, Step, operation, waits_with};
use crate::turn::Sight;
use crate::wait::Pace;

impl<T> Answer<T> {
    fn len(&self) -> usize {
        match self {
            Answer::One(_) => 1,
            Answer::Batch(batch) | Answer::Flushed(batch) => batch.len(),
            Answer::Write(_) => usize::MAX,
        }
    }
}

impl<T> Reader<T> {
    /// Asks for `want`, unless that is asked for already, and waits for the next answer; it may be less, from a writer that was
    /// nudged or leaves. With `ahead` it asks for as much again when it takes the answer.
    ///
    /// What is left must be used up.
    fn fetch(&mut self, want: Want, ahead: bool, look: Look<'_>) -> Poll<Result<Answer<T>, Why>> {
        loop {
            if let Some(answer) = self.arrived() {
                self.standing = None;
                return Poll::Ready(Ok(answer));
            }
            let half = &mut self.half;
            let sight = half.look();
            if sight == Sight::Mail && ahead {
                self.arrived = half.take();
                if self.arrived.is_none() {
                    // The writer took it back.
                    continue;
                }
                self.standing = None;
                self.spare = Vec::from(mem::take(&mut self.left.items));
                _ = self.ask(want, Look::ONCE);
                if let Some(answer) = self.arrived() {
                    return Poll::Ready(Ok(answer));
                }
            } else if sight == Sight::Mail {
                _ = half.take_telling(&mut self.arrived);
            } else if let Some(why) = half.peer_end() {
                return Poll::Ready(Err(why));
            } else if sight == Sight::Mine {
                if self.ask(want, look) {
                    return Poll::Pending;
                }
            } else {
                if self.standing != Some(want) {
                    // An earlier request was given up on.
                    self.standing = None;
                    if let Some(request) = half.withdraw() {
                        self.recycle(request);
                        continue;
                    }
                    half.nudge();
                    // The writer may have answered, or left, since the look above: that must not be slept through.
                    let is_its_turn = matches!(half.look(), Sight::Put | Sight::Theirs);
                    if !is_its_turn || half.peer_end().is_some() {
                        continue;
                    }
                }
                if look.is_left_with(&mut self.half) {
                    return Poll::Pending;
                }
            }
        }
    }

    fn arrived(&mut self) -> Option<Answer<T>> {
        match self.arrived.take()? {
            Mail::Down(answer) => Some(answer),
            Mail::Up(_) => None,
        }
    }

    /// Puts a request; the turn must be this end's. `false` if the writer has left.
    fn ask(&mut self, want: Want, look: Look<'_>) -> bool {
        let mut request = Some(Mail::Up(Request { want, batch: mem::take(&mut self.spare) }));
        let is_put = self.half.put(&mut request, look.how, look.waker);
        match request {
            None => self.standing = Some(want),
            Some(request) => self.recycle(request),
        }
        is_put
    }

    fn recycle(&mut self, request: Mail<T>) {
        if let Mail::Up(request) = request {
            self.spare = request.batch;
        }
    }

    /// Keeps what came for the requests to come.
    fn keep(&mut self, answer: Answer<T>) {
        match answer {
            Answer::One(item) => self.left.items.push_back(item),
            Answer::Batch(batch) | Answer::Flushed(batch) if self.left.items.is_empty() => {
                self.left.items = VecDeque::from(batch);
            }
            Answer::Batch(batch) | Answer::Flushed(batch) => self.left.items.extend(batch),
            Answer::Write(write) => self.left.write = Some(write),
        }
    }

    /// What a read that was given up on has gathered is for the next request.
    #[inline]
    fn put_back(&mut self) {
        if !self.gathered.is_empty() {
            self.left.put_back(mem::take(&mut self.gathered).into_iter());
        }
    }

    /// The end, for a call that found nothing before it.
    fn ended(&mut self, why: Why) -> Why {
        self.told = Some(why);
        why
    }

    /// The next item; whatever comes, `want` is what is asked for.
    fn next_item(&mut self, want: Want, ahead: bool, look: Look<'_>) -> Poll<Result<T, Why>> {
        self.put_back();
        loop {
            if let Some(item) = self.left.next() {
                return Poll::Ready(Ok(item));
            }
            match ready!(self.fetch(want, ahead, look)) {
                Ok(Answer::One(item)) => return Poll::Ready(Ok(item)),
                Ok(answer) => self.keep(answer),
                Err(why) => return Poll::Ready(Err(self.ended(why))),
            }
        }
    }
}

/// What a gathering is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// So many, or as many as a flush or the end brings.
    Exactly(usize),
    /// At most so many, whatever one write brings.
    Some(usize),
    /// All up to the end.
    All,
}

/// A batch on its way from the writer to who asked. The reader keeps it, so that nothing is lost with an operation that is forgotten.
pub(super) struct Gather {
    kind: Kind,
    is_begun: bool,
}

impl Gather {
    pub(super) const fn new(kind: Kind) -> Self {
        Self { kind, is_begun: false }
    }

    /// Done: the reader has gathered what was wanted.
    fn step<T>(&mut self, reader: &mut Reader<T>, look: Look<'_>) -> Poll<Result<(), Why>> {
        if !mem::replace(&mut self.is_begun, true) {
            reader.put_back();
        }
        let n = match self.kind {
            Kind::Exactly(n) | Kind::Some(n) => n,
            Kind::All => usize::MAX,
        };
        loop {
            let missing = n - reader.gathered.len();
            reader.left.move_to(&mut reader.gathered, missing);
            let missing = n - reader.gathered.len();
            if missing == 0 || (matches!(self.kind, Kind::Some(_)) && !reader.gathered.is_empty()) {
                return Poll::Ready(Ok(()));
            }
            let want = match self.kind {
                Kind::Exactly(_) => Want::Exactly(missing),
                Kind::Some(_) => Want::Some(missing),
                Kind::All => Want::Exactly(usize::MAX),
            };
            match ready!(reader.fetch(want, false, look)) {
                Ok(answer @ (Answer::Batch(_) | Answer::Flushed(_))) if answer.len() <= missing => {
                    let is_flushed = matches!(answer, Answer::Flushed(_)) && self.kind != Kind::All;
                    let (Answer::Batch(batch) | Answer::Flushed(batch)) = answer else { continue };
                    if reader.gathered.is_empty() {
                        reader.gathered = batch;
                    } else {
                        reader.gathered.extend(batch);
                    }
                    if is_flushed && !reader.gathered.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Ok(answer) => reader.keep(answer),
                Err(why) if !reader.gathered.is_empty() => {
                    reader.ended(why);
                    return Poll::Ready(Ok(()));
                }
                Err(Why::Closed) if !reader.gave_empty && !matches!(self.kind, Kind::Some(_)) => {
                    reader.gave_empty = true;
                    reader.ended(Why::Closed);
                    return Poll::Ready(Ok(()));
                }
                Err(why) => return Poll::Ready(Err(reader.ended(why))),
            }
        }
    }
}

/// The parts of a step that are the same for all operations of a reader.
macro_rules! reader_step {
    () => {
        fn expire(&mut self, why: Why) -> Self::Output {
            self.withdraw();
            Err(RecvError::new(why))
        }

        waits_with!(reader);
    };
}

/// Waits for one item: see [`Reader::recv`].
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct ReadOne<'a, T> {
    pub(super) reader: &'a mut Reader<T>,
    pub(super) done: bool,
}

operation!(impl['a, T] ReadOne<'a, T> => Result<T, RecvError>, "Reader::recv");

impl<T> Step for ReadOne<'_, T> {
    type Output = Result<T, RecvError>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        self.reader.next_item(Want::One, false, look).map_err(RecvError::new)
    }

    fn withdraw(&mut self) {
        self.reader.half.unwait();
    }

    reader_step!();
}

/// Waits for the next item of batches that are asked for ahead: what [`Ahead`](super::Ahead) does.
pub(super) struct ReadAhead<'a, T> {
    pub(super) reader: &'a mut Reader<T>,
    pub(super) n: usize,
}

impl<T> Step for ReadAhead<'_, T> {
    type Output = Result<T, RecvError>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        self.reader.next_item(Want::Exactly(self.n), true, look).map_err(RecvError::new)
    }

    fn withdraw(&mut self) {}

    reader_step!();
}

/// Waits for a batch: see [`Reader::read`], [`Reader::read_some`] and [`Reader::read_all`].
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct Read<'a, T> {
    pub(super) reader: &'a mut Reader<T>,
    pub(super) gather: Gather,
    pub(super) done: bool,
}

operation!(impl['a, T] Read<'a, T> => Result<Vec<T>, RecvError>, "Reader::read, Reader::read_some or Reader::read_all");

impl<T> Read<'_, T> {
    /// Polls no more, but leaves the waker.
    pub(super) fn suspend(mut self) {
        self.reader.put_back();
        self.done = true;
    }
}

impl<T> Step for Read<'_, T> {
    type Output = Result<Vec<T>, RecvError>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        let gathered = ready!(self.gather.step(self.reader, look));
        Poll::Ready(gathered.map(|()| mem::take(&mut self.reader.gathered)).map_err(RecvError::new))
    }

    fn withdraw(&mut self) {
        self.reader.put_back();
        self.reader.half.unwait();
    }

    reader_step!();
}

/// Waits for a batch in the caller's vector: see [`Reader::read_into`].
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct ReadInto<'a, T> {
    pub(super) reader: &'a mut Reader<T>,
    pub(super) gather: Gather,
    pub(super) into: &'a mut Vec<T>,
    pub(super) done: bool,
}

operation!(impl['a, T] ReadInto<'a, T> => Result<usize, RecvError>, "Reader::read_into");

impl<T> ReadInto<'_, T> {
    /// The caller's allocation, if it did not go away and come back filled.
    fn give_back(&mut self) {
        if self.into.capacity() == 0 {
            mem::swap(self.into, &mut self.reader.spare);
        }
    }
}

impl<T> Step for ReadInto<'_, T> {
    type Output = Result<usize, RecvError>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        if self.into.is_empty() && self.into.capacity() > self.reader.spare.capacity() {
            // Two empty vectors: the caller's goes to the writer.
            mem::swap(self.into, &mut self.reader.spare);
        }
        let gathered = ready!(self.gather.step(self.reader, look));
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

    fn withdraw(&mut self) {
        self.reader.put_back();
        self.reader.half.unwait();
        self.give_back();
    }

    reader_step!();
}

/// Waits for a whole write: see [`Reader::read_once`].
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct ReadOnce<'a, T> {
    pub(super) reader: Option<&'a mut Reader<T>>,
    pub(super) pace: Pace,
    pub(super) done: bool,
}

operation!(impl['a, T] ReadOnce<'a, T> => Result<Batch<'a, T>, RecvError>, "Reader::read_once");

impl<T> ReadOnce<'_, T> {
    /// Whether a batch is there: what was left, or what comes.
    fn fetch(reader: &mut Reader<T>, look: Look<'_>) -> Poll<Result<(), Why>> {
        reader.put_back();
        loop {
            if reader.left.has_item() {
                return Poll::Ready(Ok(()));
            }
            match ready!(reader.fetch(Want::Write, false, look)) {
                Ok(Answer::Write(write)) => {
                    // The only batch that may be empty: as it was written.
                    reader.left.write = Some(write);
                    return Poll::Ready(Ok(()));
                }
                Ok(answer) => reader.keep(answer),
                Err(why) => return Poll::Ready(Err(reader.ended(why))),
            }
        }
    }
}

impl<'a, T> Step for ReadOnce<'a, T> {
    type Output = Result<Batch<'a, T>, RecvError>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        let Some(reader) = self.reader.as_deref_mut() else { return Poll::Pending };
        if let Err(why) = ready!(Self::fetch(reader, look)) {
            return Poll::Ready(Err(RecvError::new(why)));
        }
        match self.reader.take() {
            Some(reader) => {
                reader.pace = self.pace;
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
            reader.half.unwait();
        }
    }

    fn is_stirred(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.half.is_stirred())
    }

    fn is_peer_elsewhere(&mut self) -> bool {
        self.reader.as_mut().is_some_and(|reader| reader.half.is_peer_elsewhere())
    }

    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }
}
