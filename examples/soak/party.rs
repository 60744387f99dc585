//! What every party of a round has: its choices, its log, and the ways in which it waits for an operation.
//!
//! A party is an async function, also on a thread: there its future never waits, since it waits by `wait`. An operation ends in one of these ways:
//!
//! | way     | on a thread                                   | in a task               | counts as cancelled if it was pending       |
//! |---------|-----------------------------------------------|-------------------------|---------------------------------------------|
//! | `Now`   | `now`                                         | `now`                   | no                                          |
//! | `Limit` | `wait_timeout`, `wait_deadline`               | `until`                 | when the time is up                         |
//! | `Poll`  | polled, then reclaimed, dropped or forgotten (or waited for) | the same | yes                                         |
//! | `Select`| as the one arm of a `select` that can happen, nested at times, with a limit | the same | when the time is up               |
//! | `Wait`  | `wait`, or awaited                            | awaited                 | -                                           |
//!
//! A panic that was planned (of a waker or of a destructor) ends the operation; what became of its value is then `Untold`, unless `reclaim` tells it.

use std::future::{Future, poll_fn};
use std::hint;
use std::mem;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicUsize};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, Stream, StreamExt};
use handover::{RecvError, SendError, WriteError};

use crate::chance::Chance;
use crate::operation::{Carries, Operation};
use crate::oracle::{Fate, Log, number};
use crate::value::{Planned, Value, panic_as_planned};
use crate::watch::{Counts, Seat};

/// What a round does beside the ordinary.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Modes {
    /// Futures are forgotten.
    pub(crate) forgets: bool,
    /// Wakers, destructors and iterators panic.
    pub(crate) panics: bool,
    /// Nobody waits for ever: for rounds in which a peer may never come.
    pub(crate) is_bounded: bool,
    /// Its parties block, whatever they run on.
    pub(crate) needs_threads: bool,
    /// No two parties may run on the same thread.
    pub(crate) is_across: bool,
}

/// How a party runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    Thread,
    /// Polled by hand, with changing wakers.
    Hand,
    Pollster,
    FuturesLite,
    TokioCurrent,
    TokioMulti,
}

#[derive(Clone, Copy)]
pub(crate) enum Way {
    Now,
    Limit,
    Poll,
    Select,
    Wait,
}

/// What comes after some polls of an operation that is still pending.
pub(crate) enum AfterPoll {
    Reclaim,
    Drop,
    Forget,
    Wait,
}

/// Why there is no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Not {
    /// The channel has ended.
    Ended,
    /// The operation was given up.
    Yet,
}

pub(crate) struct Me {
    /// The number among the parties of the round.
    pub(crate) number: u32,
    pub(crate) chance: Chance,
    pub(crate) modes: Modes,
    pub(crate) runner: Runner,
    pub(crate) seat: &'static Seat,
    /// How many values of this round live.
    pub(crate) living: &'static AtomicI64,
    pub(crate) log: Log,
    pub(crate) counts: Counts,
    /// The last polls have ended by a planned panic. An operation may have kept then what it was about to hand over, so it is not forgotten.
    pub(crate) has_panicked: bool,
}

/// Runs `f`; `None` if it ended by a planned panic.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(output) => Some(output),
        Err(panic) if panic.is::<Planned>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

/// As `catch`, for a future. The future is dropped before this is done.
pub(crate) async fn catch_async<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(Some(future));
    let polled = future.as_mut().as_pin_mut().map(|future| AssertUnwindSafe(future).catch_unwind());
    let caught = polled?.await;
    catch(|| future.set(None));
    match caught {
        Ok(output) => Some(output),
        Err(panic) if panic.is::<Planned>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

/// No sequence has as many values.
const MOST_OF_A_SEQUENCE: u64 = 8;

impl Me {
    pub(crate) fn is_thread(&self) -> bool {
        self.runner == Runner::Thread
    }

    /// An operation begins.
    pub(crate) fn begin(&mut self, name: &'static str) {
        self.counts.operations += 1;
        self.note(name);
    }

    /// A step that is no operation begins.
    pub(crate) fn note(&mut self, name: &'static str) {
        self.log.trail.push((name, self.log.fates.len(), self.log.got.len()));
        self.seat.begin(name);
    }

    /// An operation was pending, and was given up.
    pub(crate) fn cancelled(&mut self) {
        self.counts.cancelled += 1;
        self.counts.across += u64::from(self.modes.is_across);
    }

    /// Something happened that must not.
    pub(crate) fn wrong(&mut self, text: impl Into<String>) {
        self.log.wrong.push(text.into());
    }

    pub(crate) fn way(&mut self) -> Way {
        match self.chance.below(24) {
            0 => Way::Now,
            1..3 => Way::Limit,
            3..16 => Way::Poll,
            16..18 => Way::Select,
            _ if self.modes.is_bounded => Way::Limit,
            _ => Way::Wait,
        }
    }

    pub(crate) fn after_poll(&mut self) -> AfterPoll {
        match self.chance.below(16) {
            0 if self.modes.forgets && !self.has_panicked => AfterPoll::Forget,
            1 if !self.modes.is_bounded => AfterPoll::Wait,
            0..8 => AfterPoll::Reclaim,
            _ => AfterPoll::Drop,
        }
    }

    /// The next value, and its serial.
    pub(crate) fn make(&mut self) -> (usize, Value) {
        let serial = self.log.fates.len();
        self.log.fates.push(Fate::Untold);
        let is_bomb = self.modes.panics && self.chance.one_in(4);
        (serial, Value::new(number(self.number, serial), self.living, is_bomb))
    }

    pub(crate) fn got(&mut self, value: Value) {
        let number = value.number();
        if number == u64::MAX {
            self.wrong("received a value that was received or dropped before");
        }
        self.log.got.push(number);
    }

    /// A value came back.
    pub(crate) fn back(&mut self, value: Value) {
        let back = value.number();
        let serial = (back & 0xFFFF_FFFF) as usize;
        match self.log.fates.get_mut(serial) {
            Some(fate) if back >> 32 == u64::from(self.number) => *fate = Fate::Back,
            _ => self.wrong(format!("{back:#x} came back, which was never sent here")),
        }
    }

    /// What a send has told. `fate` is what its `Ok` means.
    pub(crate) fn told<R>(
        &mut self,
        serial: usize,
        fate: Fate,
        told: Option<Result<R, SendError<Value>>>,
    ) -> Result<R, Not> {
        match told {
            Some(Ok(output)) => {
                self.log.fates[serial] = fate;
                Ok(output)
            }
            Some(Err(error)) => {
                let why = if error.is_end() { Not::Ended } else { Not::Yet };
                if error.is_timed_out() {
                    self.cancelled();
                }
                self.reclaimed(serial, fate, Some(error.into_unsent()));
                Err(why)
            }
            None => Err(Not::Yet),
        }
    }

    /// What `reclaim` has told.
    pub(crate) fn reclaimed(&mut self, serial: usize, fate: Fate, value: Option<Option<Value>>) {
        match value {
            Some(Some(value)) => {
                self.back(value);
                if self.log.fates[serial] != Fate::Back {
                    self.wrong(format!("another value than {serial} came back"));
                }
            }
            Some(None) => self.log.fates[serial] = fate,
            None => {}
        }
    }

    /// What a receive has told.
    pub(crate) fn heard<R>(&mut self, heard: Option<Result<R, RecvError>>) -> Result<R, Not> {
        let Some(heard) = heard else { return Err(Not::Yet) };
        heard.map_err(|error| {
            if error.is_timed_out() {
                self.cancelled();
            }
            if error.is_end() { Not::Ended } else { Not::Yet }
        })
    }

    /// A short time, at times none.
    pub(crate) fn a_while(&mut self) -> Duration {
        Duration::from_micros([0, 1, 20, 100][self.chance.below(4) as usize])
    }

    /// For `until`.
    pub(crate) fn a_limit(&mut self) -> Limit {
        let is_tokio = matches!(self.runner, Runner::TokioCurrent | Runner::TokioMulti);
        if is_tokio && self.chance.one_in(64) {
            return Limit::Sleep(Box::pin(tokio::time::sleep(Duration::from_millis(1))));
        }
        Limit::Turns(self.chance.below(4))
    }

    /// Nothing, a little, or somebody else's turn.
    pub(crate) async fn dawdle(&mut self) {
        match self.chance.below(16) {
            0 if self.is_thread() => thread::yield_now(),
            0 => Limit::Turns(1).await,
            1 => (0..self.chance.below(1_000)).for_each(|_| hint::spin_loop()),
            _ => {}
        }
    }

    /// Polls an operation once or twice, by the task's waker or by one that wakes nobody. A panic counts as pending.
    pub(crate) async fn poll_some<F: Future + Unpin>(
        &mut self,
        future: &mut F,
    ) -> Option<F::Output> {
        self.has_panicked = false;
        for _ in 0..=self.chance.below(2) {
            let polled = if self.chance.one_in(2) {
                let waker = stray_waker(self.modes.panics && self.chance.one_in(2));
                let polled =
                    catch(|| Pin::new(&mut *future).poll(&mut Context::from_waker(&waker)));
                catch(|| drop(waker));
                polled
            } else {
                poll_fn(|context| Poll::Ready(catch(|| Pin::new(&mut *future).poll(context)))).await
            };
            self.has_panicked |= polled.is_none();
            if let Some(Poll::Ready(output)) = polled {
                return Some(output);
            }
            self.dawdle().await;
        }
        None
    }

    /// The next item of a stream that is made for it.
    pub(crate) async fn first<S: Stream + Unpin>(
        &mut self,
        name: &'static str,
        mut stream: S,
    ) -> Result<S::Item, Not> {
        let first = self.next(name, &mut stream).await;
        catch(|| drop(stream));
        first
    }

    /// The next item of a stream, for which it waits or not. `Err(Yet)`: it was given up.
    pub(crate) async fn next<S: Stream + Unpin>(
        &mut self,
        name: &'static str,
        stream: &mut S,
    ) -> Result<S::Item, Not> {
        self.begin(name);
        let mut next = stream.next();
        let item = if self.modes.is_bounded || self.chance.one_in(2) {
            let polled = self.poll_some(&mut next).await;
            if polled.is_none() {
                self.cancelled();
            }
            polled
        } else {
            catch_async(next).await
        };
        item.ok_or(Not::Yet)?.ok_or(Not::Ended)
    }

    /// Polls a future some times and gives it up (`None`), or waits for it.
    #[cfg(any(feature = "sink", feature = "futures-io", feature = "tokio"))]
    pub(crate) async fn some_or_all<F: Future + Unpin>(
        &mut self,
        name: &'static str,
        mut future: F,
    ) -> Option<F::Output> {
        self.begin(name);
        if self.modes.is_bounded || self.chance.one_in(2) {
            let polled = self.poll_some(&mut future).await;
            if polled.is_none() {
                self.cancelled();
            }
            catch(|| drop(future));
            polled
        } else {
            catch_async(future).await
        }
    }

    /// What a `send_stream` has told of its values.
    #[cfg(feature = "sink")]
    pub(crate) fn forwarded(
        &mut self,
        written: &Written,
        fate: Fate,
        told: Option<Result<(), SendError<Value>>>,
    ) -> Result<(), Not> {
        match told {
            Some(Ok(())) => {
                self.log.fates[written.start..written.end].fill(fate);
                Ok(())
            }
            Some(Err(error)) => {
                let is_end = error.is_end();
                error.into_unsent().into_iter().for_each(|value| self.back(value));
                Err(if is_end { Not::Ended } else { Not::Yet })
            }
            None => Err(Not::Yet),
        }
    }

    /// Does something that may panic as planned.
    pub(crate) fn quietly(&mut self, name: &'static str, f: impl FnOnce()) {
        self.note(name);
        catch(f);
    }

    /// Drops an end while the thread unwinds.
    pub(crate) fn panic_with<T>(&mut self, end: T) {
        self.note("a panic with an end");
        let unwound: Option<()> = catch(move || {
            let _end = end;
            resume_unwind(Box::new(Planned))
        });
        debug_assert!(unwound.is_none());
    }

    /// Some values for a sequence that is written: see `Making`.
    pub(crate) fn sequence(&mut self) -> (Written, Making) {
        let start = self.log.fates.len();
        let end = start + self.chance.below(MOST_OF_A_SEQUENCE) as usize;
        self.log.fates.resize(end, Fate::Untold);
        let made = Arc::new(AtomicUsize::new(start));
        let panics_at = (self.modes.panics && self.chance.one_in(4))
            .then(|| start + self.chance.below(8) as usize);
        let making = Making {
            sender: self.number,
            living: self.living,
            next: start,
            end,
            made: Arc::clone(&made),
            panics_at,
            is_exact: self.chance.one_in(2),
        };
        (Written { start, end, made }, making)
    }

    /// What a write has told of its values. `fate` is what was taken; of an operation that was given up the last value is `Untold` if `is_last_untold`.
    fn written(
        &mut self,
        written: &Written,
        fate: Fate,
        is_last_untold: bool,
        told: Option<Result<(), WriteError<Making>>>,
    ) -> Result<(), Not> {
        let Written { start, end, .. } = *written;
        match told {
            Some(Ok(())) => {
                self.log.fates[start..end].fill(fate);
                Ok(())
            }
            Some(Err(error)) => {
                let why = error.why();
                if why == handover::Why::TimedOut {
                    self.cancelled();
                }
                self.log.fates[start..end].fill(fate);
                match catch(|| error.into_rest().map(Value::number).collect::<Vec<_>>()) {
                    Some(rest) => self.rest(start..end, &rest),
                    // The iterator panicked in the rest.
                    None => self.log.fates.fill(Fate::Untold),
                }
                Err(if why.is_end() { Not::Ended } else { Not::Yet })
            }
            None => {
                let taken = written.made().saturating_sub(usize::from(is_last_untold)).max(start);
                self.log.fates[start..taken].fill(fate);
                Err(Not::Yet)
            }
        }
    }

    /// The rest of a sequence came back, behind those of earlier writes that lay in the batch in hand.
    fn rest(&mut self, written: Range<usize>, rest: &[u64]) {
        let serials: Vec<_> = rest.iter().map(|value| (value & 0xFFFF_FFFF) as usize).collect();
        let is_mine = rest.iter().all(|value| value >> 32 == u64::from(self.number));
        let mut own = serials.iter().filter(|serial| **serial >= written.start);
        let is_whole = own.next_back().is_none_or(|last| last + 1 == written.end);
        if !is_mine || !is_whole || !serials.is_sorted_by(|a, b| a < b) {
            self.wrong(format!("the rest of {written:?} is {rest:x?}"));
        }
        for serial in serials {
            if let Some(fate) = self.log.fates.get_mut(serial) {
                *fate = Fate::Back;
            }
        }
    }
}

/// The serials of a sequence, and how many of them have been made.
pub(crate) struct Written {
    start: usize,
    end: usize,
    made: Arc<AtomicUsize>,
}

impl Written {
    fn made(&self) -> usize {
        self.made.load(Relaxed)
    }
}

/// Makes the values of a sequence when they are asked for, at whichever party that is.
pub(crate) struct Making {
    sender: u32,
    living: &'static AtomicI64,
    next: usize,
    end: usize,
    made: Arc<AtomicUsize>,
    panics_at: Option<usize>,
    is_exact: bool,
}

impl Iterator for Making {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        if self.next == self.end {
            return None;
        }
        if self.panics_at == Some(self.next) {
            self.panics_at = None;
            panic_as_planned();
        }
        let value = Value::new(number(self.sender, self.next), self.living, false);
        self.next += 1;
        self.made.store(self.next, Relaxed);
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        if self.is_exact { (left, Some(left)) } else { (0, None) }
    }
}

/// Done after some turns of its executor, or some time.
pub(crate) enum Limit {
    Turns(u64),
    Sleep(Pin<Box<tokio::time::Sleep>>),
}

impl Future for Limit {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            Self::Turns(0) => Poll::Ready(()),
            Self::Turns(turns) => {
                *turns -= 1;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Sleep(sleep) => sleep.as_mut().poll(context),
        }
    }
}

/// Wakes nobody. It panics when it is woken, or when it is dropped, if it is told so.
struct Stray {
    panics: bool,
}

impl Wake for Stray {
    fn wake(self: Arc<Self>) {
        if self.panics {
            panic_as_planned();
        }
    }
}

impl Drop for Stray {
    fn drop(&mut self) {
        if self.panics {
            panic_as_planned();
        }
    }
}

fn stray_waker(panics: bool) -> Waker {
    Arc::new(Stray { panics }).into()
}

/// The operation is done; its own remains are dropped.
fn is_done<O: Operation>(op: O, output: O::Output) -> Waited<O> {
    catch(|| drop(op));
    Waited::Done(output)
}

/// What there is of an operation for which a party has waited.
pub(crate) enum Waited<O: Operation> {
    Done(O::Output),
    /// It is still pending.
    Pending(O),
    /// It is gone without an output: dropped, forgotten, or ended by a planned panic.
    Gone,
}

impl Me {
    /// Waits for an operation in one of the ways.
    async fn wait<O: Operation>(&mut self, name: &'static str, mut op: O) -> Waited<O> {
        self.begin(name);
        let done = |output: Option<O::Output>| output.map_or(Waited::Gone, Waited::Done);
        match self.way() {
            Way::Now => done(catch(|| op.now())),
            Way::Limit if self.is_thread() && self.chance.one_in(2) => {
                let limit = self.a_while();
                done(catch(|| op.wait_timeout(limit)))
            }
            Way::Limit if self.is_thread() => {
                let limit = Instant::now() + self.a_while();
                done(catch(|| op.wait_deadline(limit)))
            }
            Way::Limit => {
                let limit = self.a_limit();
                done(catch_async(op.until(limit)).await)
            }
            Way::Poll => match self.poll_some(&mut op).await {
                Some(output) => is_done(op, output),
                None => self.give_up(op).await,
            },
            Way::Select => {
                let form = self.chance.below(3);
                let output = if self.is_thread() {
                    let limit = self.a_while();
                    catch(|| op.select_timeout(form, limit))
                } else {
                    let limit = self.a_limit();
                    catch_async(op.select_until(form, limit)).await
                };
                match output.flatten() {
                    Some(output) => is_done(op, output),
                    None => {
                        self.cancelled();
                        Waited::Pending(op)
                    }
                }
            }
            Way::Wait if self.is_thread() && self.chance.one_in(2) => done(catch(|| op.wait())),
            Way::Wait => match catch_async(&mut op).await {
                Some(output) => is_done(op, output),
                None => Waited::Pending(op),
            },
        }
    }

    /// After some polls of an operation that is pending.
    async fn give_up<O: Operation>(&mut self, mut op: O) -> Waited<O> {
        match self.after_poll() {
            AfterPoll::Reclaim => {
                self.cancelled();
                Waited::Pending(op)
            }
            AfterPoll::Drop => {
                self.cancelled();
                catch(|| drop(op));
                Waited::Gone
            }
            AfterPoll::Forget => {
                self.cancelled();
                self.log.forgotten += MOST_OF_A_SEQUENCE as i64;
                self.log.may_be_late = true;
                mem::forget(op);
                Waited::Gone
            }
            AfterPoll::Wait => match catch_async(&mut op).await {
                Some(output) => is_done(op, output),
                None => Waited::Pending(op),
            },
        }
    }

    /// Waits for an operation that carries the value `serial`. `fate` is what its success means.
    pub(crate) async fn carry<O: Carries>(
        &mut self,
        name: &'static str,
        serial: usize,
        fate: Fate,
        op: O,
    ) -> Result<O::Brings, Not> {
        match self.wait(name, op).await {
            Waited::Done(told) => self.told(serial, fate, Some(O::result(told))),
            Waited::Pending(op) => {
                let value = catch(|| op.reclaim());
                self.reclaimed(serial, fate, value);
                Err(Not::Yet)
            }
            Waited::Gone => Err(Not::Yet),
        }
    }

    /// Waits for an operation that carries nothing.
    pub(crate) async fn receive<O, R>(&mut self, name: &'static str, op: O) -> Result<R, Not>
    where
        O: Operation<Output = Result<R, RecvError>>,
    {
        match self.wait(name, op).await {
            Waited::Done(heard) => self.heard(Some(heard)),
            Waited::Pending(op) => {
                catch(|| drop(op));
                Err(Not::Yet)
            }
            Waited::Gone => Err(Not::Yet),
        }
    }

    /// As `receive`, but not for ever, where the peer may wait for something else.
    pub(crate) async fn receive_briefly<O, R>(
        &mut self,
        name: &'static str,
        op: O,
    ) -> Result<R, Not>
    where
        O: Operation<Output = Result<R, RecvError>>,
    {
        let is_bounded = mem::replace(&mut self.modes.is_bounded, true);
        let heard = self.receive(name, op).await;
        self.modes.is_bounded = is_bounded;
        heard
    }

    /// Waits for an operation that writes a sequence: see `written`.
    pub(crate) async fn write<O>(
        &mut self,
        name: &'static str,
        written: &Written,
        fate: Fate,
        is_last_untold: bool,
        op: O,
    ) -> Result<(), Not>
    where
        O: Operation<Output = Result<(), WriteError<Making>>>,
    {
        let told = match self.wait(name, op).await {
            Waited::Done(told) => Some(told),
            Waited::Pending(op) => {
                catch(|| drop(op));
                None
            }
            Waited::Gone => None,
        };
        self.written(written, fate, is_last_untold, told)
    }
}
