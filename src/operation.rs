//! `Op`: the public face of every operation, with all the ways to wait for it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::drive;
#[cfg(feature = "model")]
use crate::drive::Aside;
use crate::point::{self, At, Name, Origin};
#[cfg(feature = "model")]
use crate::step::Waiter as _;
use crate::step::{ReclaimStep, Step};

/// An operation that is not done yet: await it, or say how to block. See [`op`](crate::op).
#[must_use = "an operation does nothing until it is awaited (`.await`), waited for (`.wait()`) or tried (`.now()`)"]
pub struct Op<S: Step> {
    pub(crate) step: S,
    is_done: bool,
    // The two parts of its `Origin`: apart, they fill what room there is.
    name: Name,
    at: At,
}

impl<S: Step> Op<S> {
    /// `name` is the method that makes the operation.
    #[inline]
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub(crate) const fn new(step: S, name: Name) -> Self {
        Self::made_by(Origin::of(name), step)
    }

    #[inline]
    pub(crate) const fn made_by(origin: Origin, step: S) -> Self {
        let (name, at) = origin.parts();
        Self { step, is_done: false, name, at }
    }

    /// The same operation, as one that another method has made.
    #[cfg(feature = "sink")]
    pub(crate) const fn set_origin(&mut self, origin: Origin) {
        (self.name, self.at) = origin.parts();
    }

    /// Nobody waits for it any more, although it was polled.
    #[cfg(feature = "sink")]
    pub(crate) fn leave_seat(&mut self) {
        point::leave_seat(&mut self.step);
    }

    pub(crate) const fn origin(&self) -> Origin {
        Origin::new(self.name, self.at)
    }

    pub(crate) const fn is_done(&self) -> bool {
        self.is_done
    }

    /// Nothing is attempted or withdrawn any more.
    #[inline]
    pub(crate) fn set_done(&mut self) {
        self.is_done = true;
    }

    /// Lets go of the operation without withdrawing it: its waker stays registered for the next one.
    #[inline]
    pub(crate) fn detach(mut self) {
        self.is_done = true;
    }

    /// Blocks this thread until the operation is done.
    ///
    /// # Panics
    ///
    /// Like the other ways to wait, if it was polled through `&mut` before and is done.
    ///
    /// ```
    /// let (server, mut client) = handover::simplex();
    /// server.finish_with("an item").unwrap();
    /// assert_eq!(client.recv().wait(), Ok("an item"));
    /// ```
    pub fn wait(self) -> S::Output {
        self.block(None)
    }

    /// Blocks this thread until the operation is done, for at most `timeout`: then it is withdrawn, and the error is
    /// [`Why::TimedOut`](crate::Why::TimedOut). If it is done when the time is up, it counts as done. A timeout that is too long for the clock is none.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (_server, mut client) = handover::simplex::<u8>();
    /// let error = client.recv().wait_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert!(error.is_timed_out());
    /// ```
    pub fn wait_timeout(self, timeout: Duration) -> S::Output {
        let deadline = point::now().checked_add(timeout);
        self.block(deadline)
    }

    /// Blocks this thread until the operation is done, at most until `deadline`: then it is withdrawn, and the error is
    /// [`Why::TimedOut`](crate::Why::TimedOut). If it is done when the time is up, it counts as done.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// let (_server, mut client) = handover::simplex::<u8>();
    /// assert!(client.recv().wait_deadline(deadline).unwrap_err().is_timed_out());
    /// ```
    pub fn wait_deadline(self, deadline: Instant) -> S::Output {
        self.block(Some(deadline))
    }

    /// Never blocks: the operation is done at once, or it is withdrawn and the error is [`Why::NotReady`](crate::Why::NotReady).
    ///
    /// ```
    /// let (_tx, rx) = handover::rendezvous::<u8>();
    /// assert!(rx.recv().now().unwrap_err().is_not_ready());
    /// ```
    pub fn now(self) -> S::Output {
        self.finish(drive::now)
    }

    /// Waits in a task until the operation is done or `future` is: a runtime's sleep, a stop signal, anything. Then the operation is looked at once more; if
    /// it is not done it is withdrawn, and the error is [`Why::TimedOut`](crate::Why::TimedOut), with the value if it was not taken.
    ///
    /// So this is the timeout of tasks, on any runtime. A timeout of the runtime around a send drops it, and tells nobody whether its value was delivered; this tells.
    /// The output of `future` is dropped.
    ///
    /// ```
    /// use handover::{Why, rendezvous};
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let (tx, rx) = rendezvous();
    /// let error = tx.send("a letter").until(tokio::time::sleep(Duration::from_millis(1))).await.unwrap_err();
    /// assert_eq!(error.why(), Why::TimedOut);
    /// assert_eq!(error.into_unsent(), Some("a letter")); // it was not taken
    /// # drop(rx);
    /// # });
    /// ```
    pub fn until<F: Future>(self, future: F) -> Until<Self, F> {
        Until { op: self, future: Some(future) }
    }

    #[inline]
    fn block(self, deadline: Option<Instant>) -> S::Output {
        self.finish(|step, origin| drive::block(step, deadline, origin))
    }

    #[inline]
    fn finish(self, run: impl FnOnce(&mut S, Origin) -> S::Output) -> S::Output {
        self.assert_unfinished();
        let origin = self.origin();
        // The operation goes before its output is on its way out: if a destructor in it panicked after that, the compiler would leak what is returned. (`drop`
        // would copy the operation.)
        let output;
        {
            let mut this = self;
            output = run(&mut this.step, origin);
            this.is_done = true;
        }
        output
    }

    /// The time is up.
    fn time_out(&mut self) -> S::Output {
        let origin = self.origin();
        let output = drive::time_out_in_poll(&mut self.step, origin);
        self.is_done = true;
        output
    }

    /// One poll of an operation that is not done. The model reads its origin itself: here it would be read for each poll.
    #[inline(always)]
    fn poll_unfinished(&mut self, context: &mut Context<'_>) -> Poll<S::Output> {
        #[cfg(feature = "model")]
        if point::is_live() {
            return self.poll_in_model(context).0;
        }
        let origin = self.origin();
        drive::poll_unmodelled(&mut self.step, context, origin)
    }

    #[cfg(feature = "model")]
    #[cold]
    #[inline(never)]
    fn poll_in_model(&mut self, context: &mut Context<'_>) -> Aside<Poll<S::Output>> {
        let origin = self.origin();
        Aside(drive::poll(&mut self.step, context, origin))
    }

    /// In a model other parties may act before an operation that is not done is withdrawn.
    #[cfg(feature = "model")]
    #[cold]
    #[inline(never)]
    fn withdraw_in_model(&mut self) {
        point::withdraw(self.origin(), self.step.waiter().channel());
        self.step.withdraw();
    }

    #[inline]
    pub(crate) fn assert_unfinished(&self) {
        assert!(
            !self.is_done,
            "handover: `{}` was polled or waited for again after it was done",
            S::NAME
        );
    }
}

impl<S: ReclaimStep> Op<S> {
    /// Gives up: the value, if it was not taken. After the operation was done, `None`.
    ///
    /// ```
    /// use futures_lite::future::poll_once;
    ///
    /// let (tx, rx) = handover::rendezvous();
    /// # pollster::block_on(async {
    /// let mut send = tx.send("a letter");
    /// assert!(poll_once(&mut send).await.is_none());
    /// assert_eq!(send.reclaim(), Some("a letter"));
    ///
    /// let mut send = tx.send("another");
    /// assert!(poll_once(&mut send).await.is_none());
    /// assert_eq!(rx.recv().await, Ok("another"));
    /// assert_eq!(send.reclaim(), None); // it was taken
    /// # });
    /// ```
    pub fn reclaim(mut self) -> Option<S::Value> {
        self.take_back()
    }

    /// As `reclaim`; the operation is then done.
    pub(crate) fn take_back(&mut self) -> Option<S::Value> {
        if self.is_done {
            return None;
        }
        #[cfg(feature = "model")]
        if point::is_live() {
            point::withdraw(self.origin(), self.step.waiter().channel());
        }
        let value = self.step.reclaim();
        self.is_done = true;
        point::leave_seat(&mut self.step);
        value
    }
}

pin_project_lite::pin_project! {
    /// An operation with a time limit, for a task: see [`Op::until`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it is dropping the operation.
    #[must_use = "an operation with a time limit does nothing until it is awaited (`.await`)"]
    pub struct Until<O, F> {
        op: O,
        // Dropped as soon as it is done, and not polled again.
        #[pin]
        future: Option<F>,
    }
}

impl<S: ReclaimStep, F> Until<Op<S>, F> {
    /// Gives up: the value, if it was not taken. For a `select!` that polled it by `&mut` and went on with another branch.
    ///
    /// ```
    /// use std::pin::pin;
    ///
    /// let (tx, _rx) = handover::rendezvous();
    /// # pollster::block_on(async {
    /// let mut send = pin!(tx.send("a letter").until(std::future::pending::<()>()));
    /// assert!(futures_lite::future::poll_once(&mut send).await.is_none());
    /// assert_eq!(send.as_mut().reclaim(), Some("a letter"));
    /// # });
    /// ```
    pub fn reclaim(self: Pin<&mut Self>) -> Option<S::Value> {
        self.project().op.take_back()
    }
}

/// # Panics
///
/// If it is polled again after it was done.
impl<S: Step, F: Future> Future for Until<Op<S>, F> {
    type Output = S::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<S::Output> {
        let mut this = self.project();
        if let Poll::Ready(output) = Pin::new(&mut *this.op).poll(context) {
            return Poll::Ready(output);
        }
        if let Some(future) = this.future.as_mut().as_pin_mut() {
            if future.poll(context).is_pending() {
                return Poll::Pending;
            }
            // Before the last look: its destructor may panic, and must not take away what the look brings.
            this.future.set(None);
        }
        Poll::Ready(this.op.time_out())
    }
}

impl<S: Step, F> fmt::Debug for Until<Op<S>, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Until").field(&self.op).finish()
    }
}

/// # Panics
///
/// If it is polled again after it was done.
impl<S: Step> Future for Op<S> {
    type Output = S::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<S::Output> {
        self.assert_unfinished();
        let polled = self.poll_unfinished(context);
        self.is_done = polled.is_ready();
        polled
    }
}

// No part of an operation is ever pinned: values are moved in and out.
impl<S: Step> Unpin for Op<S> {}

impl<S: Step> Drop for Op<S> {
    fn drop(&mut self) {
        if !self.is_done {
            #[cfg(feature = "model")]
            if point::is_live() {
                return self.withdraw_in_model();
            }
            self.step.withdraw();
        }
    }
}

impl<S: Step> fmt::Debug for Op<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(S::NAME).field("is_done", &self.is_done).finish_non_exhaustive()
    }
}
