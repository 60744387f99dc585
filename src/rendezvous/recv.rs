//! `Receiver::recv` and the sequences of a receiver: waiting for values.
#![allow(missing_debug_implementations, reason = "users meet them only inside of `Op` and `Iter`")]

use std::ops::Deref;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::Receiver;
use super::channel::{Core, Place, RECEIVERS};
use super::signals::Version;
use super::state::{MANY_UNRESPONSIVE, Outcome, State};
use crate::drive;
use crate::error::{RecvError, Why};
use crate::operation::Op;
use crate::point::{self, ChannelId, Name, Origin, Seat};
use crate::queue::Ticket;
use crate::sequence::{IntoInner, Iter, Source, Stream};
use crate::step::{Attempt, SelectStep, Step, Waiter};
use crate::sync::MutexGuard;
use crate::wait::{AdaptiveSpin, WaiterKind, is_past};

/// Waits for a value: see [`Receiver::recv`].
pub type Take<'a, T> = Op<TakeStep<&'a Core<T>>>;

/// Waits for values, one after the other. `C` leads to the core: borrowed, or as an end of its own.
pub struct TakeStep<C> {
    place: PatientPlace<C>,
    at: Option<Ticket>,
    is_registered: bool,
}

/// Where a receiver waits.
pub struct PatientPlace<C> {
    place: Place<C, RECEIVERS>,
    /// When a parked thread attempts again although nothing wakes it: it leaves the offers so long to tasks that were notified of them.
    recheck_at: Option<Instant>,
}

impl<T, C: Deref<Target = Core<T>>> Waiter for PatientPlace<C> {
    #[inline]
    fn has_changed(&mut self) -> bool {
        self.place.has_changed()
    }

    #[inline]
    fn is_peer_elsewhere(&mut self) -> bool {
        self.place.is_peer_elsewhere()
    }

    fn recheck_at(&mut self) -> Option<Instant> {
        self.recheck_at
    }

    fn channel(&self) -> ChannelId {
        self.place.channel()
    }

    #[inline]
    fn seat(&mut self) -> Option<&mut Seat> {
        self.place.seat()
    }

    #[inline]
    fn spin(&self) -> AdaptiveSpin {
        self.place.spin()
    }

    #[inline]
    fn set_spin(&mut self, spin: AdaptiveSpin) {
        self.place.set_spin(spin);
    }
}

/// How long a thread leaves an offer to tasks that were notified of it: far longer than a task takes to be polled, and short for a
/// thread behind a task that is never polled again. It is halved for each task that has proved to be unresponsive, and soon nothing.
fn patience(unresponsive: u32) -> Duration {
    const PATIENCE: Duration = Duration::from_millis(1);
    if unresponsive < MANY_UNRESPONSIVE { PATIENCE / (1 << unresponsive) } else { Duration::ZERO }
}

impl<T, C: Deref<Target = Core<T>>> TakeStep<C> {
    pub(super) const fn new(core: C) -> Self {
        let place = Place { core, version: None, seat: Seat::new() };
        let place = PatientPlace { place, recheck_at: None };
        Self { place, at: None, is_registered: false }
    }

    #[inline]
    fn leave(&mut self) -> Option<T> {
        self.is_registered = false;
        self.at.take().and_then(|ticket| self.remove(ticket))
    }

    fn remove(&mut self, ticket: Ticket) -> Option<T> {
        self.place.place.core.with_received(|state, wakes| state.leave(ticket, wakes))
    }
}

/// A receive on the long way: the parts of its step.
struct Receiving<'s, T> {
    core: &'s Core<T>,
    at: &'s mut Option<Ticket>,
    version: &'s mut Option<Version>,
    is_registered: &'s mut bool,
    recheck_at: &'s mut Option<Instant>,
}

impl<T> Receiving<'_, T> {
    #[inline(never)]
    fn step(
        mut self,
        state: MutexGuard<'_, State<T>>,
        fresh: Option<Waker>,
        attempt: Attempt<'_>,
    ) -> Poll<Result<T, RecvError>> {
        let is_patient = !self.recheck_at.is_some_and(is_past);
        let mut is_queued = false;
        let outcome =
            self.core.attempt_locked::<_, true>(state, attempt.waker, fresh, |state, wakes| {
                let was_new = self.at.is_none();
                let outcome = if is_queued {
                    state.register_queued(self.at, attempt, wakes)
                } else {
                    state.receive(self.at, attempt, is_patient, wakes)
                };
                is_queued = was_new && self.at.is_some();
                self.see();
                outcome
            });
        self.after(outcome, attempt)
    }

    /// Registers a clone of the waker in an entry that is new.
    #[cold]
    fn register(mut self, attempt: Attempt<'_>) -> Poll<Result<T, RecvError>> {
        let outcome = self.core.attempt_again::<_, true>(attempt.waker, |state, wakes| {
            let outcome = state.register_queued(self.at, attempt, wakes);
            self.see();
            outcome
        });
        self.after(outcome, attempt)
    }

    fn see(&mut self) {
        *self.version = self.at.map(|at| self.core.receivers.version(at.index));
    }

    fn after(self, outcome: Outcome<T>, attempt: Attempt<'_>) -> Poll<Result<T, RecvError>> {
        match outcome {
            Outcome::Done(value) => {
                *self.is_registered = false;
                Poll::Ready(Ok(value))
            }
            Outcome::Closed(why) => {
                *self.is_registered = false;
                Poll::Ready(Err(RecvError::new(why)))
            }
            outcome => {
                *self.is_registered |= attempt.waker.is_some();
                if let Outcome::Recheck(unresponsive) = outcome {
                    self.recheck_at.get_or_insert_with(|| point::now() + patience(unresponsive));
                } else {
                    *self.recheck_at = None;
                }
                Poll::Pending
            }
        }
    }
}

impl<T, C: Deref<Target = Core<T>>> Step for TakeStep<C> {
    const NAME: &'static str = "Receiver::recv";
    type Output = Result<T, RecvError>;
    type Waiter = PatientPlace<C>;

    #[inline(always)]
    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        let PatientPlace { place: Place { core, version, .. }, recheck_at } = &mut self.place;
        let (core, at, is_registered) = (&**core, &mut self.at, &mut self.is_registered);
        let needs_clone = match at {
            Some(_) => !*is_registered,
            None => !core.receivers.keeps_wakers(),
        };
        let (mut state, fresh) = core.begin(attempt.waker, needs_clone);
        if attempt.waiter.is_none() && at.is_none() && state.has_nothing() {
            return Poll::Pending;
        }
        let is_plain = attempt.waiter == Some(WaiterKind::Task) && state.is_plain_for(attempt);
        let offer = if is_plain { state.offer_plainly_for(*at) } else { None };
        if let Some(offer) = offer {
            let mut wakes = core.wake_one(attempt.waker, fresh);
            let value = state.take_plainly(offer, at.take(), &mut wakes);
            drop(state);
            wakes.run::<true>();
            *is_registered = false;
            return value.map_or(Poll::Pending, |value| Poll::Ready(Ok(value)));
        }
        if is_plain && at.is_none() {
            let mut wakes = core.wake_one(attempt.waker, fresh);
            let (ticket, has_waker) = state.wait_plainly(&mut wakes);
            *at = Some(ticket);
            *version = Some(core.receivers.version(ticket.index));
            *is_registered = has_waker && attempt.waker.is_some();
            Core::begin_to_wait(state, wakes);
            if has_waker {
                return Poll::Pending;
            }
            let receiving = Receiving { core, at, version, is_registered, recheck_at };
            return receiving.register(attempt);
        }
        Receiving { core, at, version, is_registered, recheck_at }.step(state, fresh, attempt)
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        // A thread may have been given its value since the last attempt.
        self.leave().ok_or(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        drop(self.leave());
    }

    #[inline]
    fn waiter(&mut self) -> &mut Self::Waiter {
        &mut self.place
    }
}

impl<T, C: Deref<Target = Core<T>>> SelectStep for TakeStep<C> {
    fn rewind(&mut self) {
        // A value is only given to a thread that cannot leave, so there is none.
        self.withdraw();
    }

    fn reregister(&mut self) {
        if self.at.is_some() {
            self.place.place.core.with(|state, wakes| state.pair(wakes));
        }
    }
}

/// The values of a receiver that is borrowed.
pub(crate) type Values<'a, T> = ValueSource<BorrowedEnd<'a, T>>;
/// The values of a receiver that is owned.
pub(crate) type IntoValues<T> = ValueSource<OwnedEnd<T>>;

/// The values up to the end. The source keeps its place among the waiting receivers from poll to poll.
pub struct ValueSource<C> {
    take: TakeStep<C>,
    reported_end: Option<Why>,
}

impl<T, C: Deref<Target = Core<T>>> ValueSource<C> {
    const fn new(core: C) -> Self {
        Self { take: TakeStep::new(core), reported_end: None }
    }

    fn report(&mut self, result: Result<T, RecvError>) -> Option<T> {
        result.map_err(|error| self.reported_end = Some(error.why())).ok()
    }
}

impl<T, C: Deref<Target = Core<T>>> Source for ValueSource<C> {
    type Item = T;

    #[inline]
    fn wait_next(&mut self, origin: Origin) -> Option<T> {
        if self.reported_end.is_some() {
            return None;
        }
        let result = drive::block(&mut self.take, None, origin);
        self.report(result)
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>, origin: Origin) -> Poll<Option<T>> {
        if self.reported_end.is_some() {
            return Poll::Ready(None);
        }
        drive::poll(&mut self.take, context, origin).map(|result| self.report(result))
    }

    fn unregister(&mut self) {
        self.take.withdraw();
    }

    fn end(&self) -> Option<Why> {
        self.reported_end
    }
}

/// An end that is borrowed, with the way to its core.
pub struct BorrowedEnd<'a, T>(&'a Receiver<T>);

impl<T> Deref for BorrowedEnd<'_, T> {
    type Target = Core<T>;

    #[inline]
    fn deref(&self) -> &Core<T> {
        self.0.end.core()
    }
}

/// An end that is kept for its core. (`Receiver` itself is not to be a pointer for its users.)
pub struct OwnedEnd<T>(Receiver<T>);

impl<T> Deref for OwnedEnd<T> {
    type Target = Core<T>;

    #[inline]
    fn deref(&self) -> &Core<T> {
        self.0.end.core()
    }
}

impl<'a, T> IntoInner for Values<'a, T> {
    type Inner = &'a Receiver<T>;

    fn into_inner(mut self) -> &'a Receiver<T> {
        self.unregister();
        self.take.place.place.core.0
    }
}

impl<T> IntoInner for IntoValues<T> {
    type Inner = Receiver<T>;

    fn into_inner(mut self) -> Receiver<T> {
        self.unregister();
        self.take.place.place.core.0
    }
}

impl<T> Receiver<T> {
    /// The values as a blocking iterator, up to the end of the channel, which its `end()` then tells.
    ///
    /// ```
    /// use handover::rendezvous;
    /// use std::thread;
    ///
    /// let (tx, rx) = rendezvous();
    /// thread::spawn(move || tx.send_all(1..=4).wait());
    /// assert_eq!(rx.iter().take(3).sum::<u32>(), 6);
    /// assert_eq!(rx.iter().next(), Some(4));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn iter(&self) -> Iter<Values<'_, T>> {
        Iter::new(ValueSource::new(BorrowedEnd(self)), const { Name::of("Receiver::iter") })
    }

    /// The values as a [`futures_core::Stream`], up to the end of the channel, which its `end()` then tells.
    ///
    /// Pending, it has a place among the receivers, and keeps it until it is dropped: what is said of a kept
    /// [`recv`](Receiver::recv) is true of it too.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use handover::rendezvous;
    ///
    /// let (tx, rx) = rendezvous();
    /// # pollster::block_on(async {
    /// let produce = async move { tx.send_all([2, 3]).await.unwrap() };
    /// let consume = rx.stream().fold(1, |product, value| product * value);
    /// assert_eq!(futures_lite::future::zip(produce, consume).await, ((), 6));
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn stream(&self) -> Stream<Values<'_, T>> {
        Stream::new(ValueSource::new(BorrowedEnd(self)), const { Name::of("Receiver::stream") })
    }

    /// This end as a [`futures_core::Stream`] of its values.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    ///
    /// let (tx, rx) = handover::rendezvous::<u8>();
    /// tx.close();
    /// # pollster::block_on(async {
    /// assert_eq!(rx.into_stream().next().await, None);
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn into_stream(self) -> Stream<IntoValues<T>> {
        Stream::new(ValueSource::new(OwnedEnd(self)), const { Name::of("Receiver::into_stream") })
    }
}

/// The values one by one, each awaited by *blocking this thread*.
///
/// Inside of an `async fn` a `for` loop over a receiver would block the executor's thread; there it is
/// `while let Some(item) = items.next().await` over [`Receiver::into_stream`]. Clippy can look for calls that
/// block, by lines in a project's `clippy.toml` (a `for` loop is none; see [the guide](crate::guide::when_it_hangs) for all lines):
///
/// ```toml
/// disallowed-methods = [
///     { path = "handover::op::Op::wait", reason = "blocks the executor: .await" },
///     { path = "handover::Receiver::iter", reason = "blocks the executor: .stream()" },
/// ]
/// ```
///
/// ```
/// let (tx, rx) = handover::rendezvous::<u8>();
/// tx.close();
/// for value in rx {
///     unreachable!("{value}");
/// }
/// ```
impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = Iter<IntoValues<T>>;

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn into_iter(self) -> Iter<IntoValues<T>> {
        Iter::new(ValueSource::new(OwnedEnd(self)), const { Name::of("Receiver::into_iter") })
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<Values<'a, T>>;

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn into_iter(self) -> Iter<Values<'a, T>> {
        self.iter()
    }
}
