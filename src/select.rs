//! `select`: one of several operations, whichever can be done first.
//!
//! A select is an operation like the others: a step, run by the same drivers. It attempts its arms in random order:
//!
//! 1. First each arm probes: no arm is queued for that. If one is done, so is the select.
//! 2. Then each arm is queued and registers the waker. From now on the party has a claim (see `claim`), if an arm needs one.
//! 3. Each further attempt begins by the claim: while the party attempts its arms, no peer can make one of them happen.
//!
//! | an attempt finds        | it does                                                                        |
//! |-------------------------|--------------------------------------------------------------------------------|
//! | the claim won by an arm | attempts that arm, which is done                                               |
//! | an arm done             | leaves the claim registering, and cancels the other arms                       |
//! | nothing                 | lets the claim wait, and queues the arms again that were passed over meanwhile |
//!
//! | the select is ... | what happens to the values                                                                              |
//! |-------------------|---------------------------------------------------------------------------------------------------------|
//! | done, dropped     | arms that lost are withdrawn as if dropped; a borrowed one has its value back, and can be begun again   |
//! | out of time       | the same, unless the claim was won before: then the select is done                                     |
//! | forgotten         | its offers stay queued until one of them is taken                                                      |
//!
//! A loop over the arms is not broken off by the panic of one (see `panics`): each is rewound, cancelled or queued again.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::claim::{ArmRef, Claim};
use crate::error::Why;
use crate::operation::{Op, Until};
use crate::panics::FirstPanic;
use crate::point::{ChannelId, Name, Origin, Seat};
use crate::step::{Attempt, PutMode, Step, Waiter};
use crate::sync::{self, Arc};
use crate::wait::{AdaptiveSpin, WaiterKind};

mod arms;
mod order;

use arms::ArmOp;
pub use arms::{Arm, Arms, Sel2, Sel3, Sel4, Sel5, Sel6, Sel7, Sel8};
use order::Order;

/// Chooses one of several operations: the one that can be done first, and only that one.
///
/// The arms are a tuple of two to eight operations, or an array or a [`Vec`] of operations of one type: of ends of any kind, sends and receives
/// mixed, borrowed (`&mut op`) or not. An arm may again be a tuple, an array or a `Vec` of arms, so there may be any number of them. The result tells which arm was
/// done, with its output: [`Sel2::A`] and so on, or the index. The end of a channel is an output too. Of operations that are ready at once each is as likely to be done,
/// whatever their number and nesting, unless the choice is [`biased`](Select::biased): then the first one in reading order is.
///
/// The other arms are withdrawn, as if they had been dropped. A borrowed one then has its value again: [`reclaim`](crate::op::Send::reclaim)
/// gives it, or the operation is waited for again, and begins anew.
///
/// * A [`Sender::send`](crate::Sender::send) happens when it is taken. Sends of the other kinds are taken first, and done when the peer
///   comes back: another arm may be done in between. The value is then delivered, and not in what `reclaim` gives.
/// * Arms of one select on a [`rendezvous`](crate::rendezvous) channel do not meet each other. (Two ends in lockstep or of a stream do:
///   what one takes the other has delivered.)
/// * A party whose receiving arm belongs to a permit ([`Sender::reserve`](crate::Sender::reserve)) is granted no permit meanwhile, on whatever channel: so two
///   selects of `(reserve, recv)` never hold a permit for each other.
/// * While no arm can be done `wait` and `.await` go on, for ever if a `Vec` is empty; the ways to wait that have a limit give `None`. In a task that is
///   [`until`](Select::until), on any runtime. (A timeout of the executor around the select drops it, and then nothing tells whether a send was withdrawn or delivered: see
///   [the guide](crate::guide::foreign_select).)
/// * It allocates the claim that its arms share, if it has sends or reserves, and above 16 operations the order in which they are attempted, once.
///
/// ```
/// use handover::{Sel2, rendezvous, select};
///
/// let channels: Vec<_> = (0..12).map(|_| rendezvous::<u32>()).collect();
/// let stop = rendezvous::<()>();
/// stop.0.close();
/// let receives: Vec<_> = channels.iter().map(|(_, rx)| rx.recv()).collect();
/// match select((receives, stop.1.recv())).wait() {
///     Sel2::A((index, value)) => panic!("{value:?} from channel {index}"),
///     Sel2::B(end) => assert!(end.is_err()),
/// }
/// ```
///
/// ```
/// use handover::{Sel2, never, rendezvous, select, simplex};
/// use std::thread;
/// use std::time::Duration;
///
/// let (orders, stop) = (rendezvous(), rendezvous::<()>());
/// let worker = thread::spawn(move || {
///     let mut done = Vec::new();
///     loop {
///         match select((orders.1.recv(), stop.1.recv())).wait() {
///             Sel2::A(Ok(order)) => done.push(order),
///             Sel2::A(Err(_)) | Sel2::B(_) => return done,
///         }
///     }
/// });
/// orders.0.send("tea").wait().unwrap();
/// orders.0.send("cake").wait().unwrap();
/// stop.0.send(()).wait().unwrap();
/// assert_eq!(worker.join().unwrap(), ["tea", "cake"]);
///
/// // A value that nobody takes comes back.
/// let (mut server, _client) = simplex();
/// let (mut send, quiet) = (server.send("a letter"), never::<()>());
/// let choice = select((&mut send, quiet.recv())).wait_timeout(Duration::from_millis(1));
/// assert!(choice.is_none());
/// assert_eq!(send.reclaim(), Some("a letter"));
/// ```
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn select<A: Arms>(arms: A) -> Select<A> {
    let (claim, order) = (None, Order::default());
    let (is_biased, is_queued, done_arm) = (false, false, DoneArm::default());
    let seat = Seat::new();
    let step = SelectingStep { arms, claim, order, is_biased, is_queued, done_arm, seat };
    Select { op: Op::new(step, const { Name::of("select") }) }
}

/// Does one of several operations: see [`select()`]. Waited for like any operation; what may end without an output gives an `Option`.
///
/// # Cancel safety
///
/// Dropping it withdraws all arms: of what they carry, that one value is delivered whose arm has happened, if one has. Kept and not
/// polled again, its receives are like a kept [`recv`](crate::Receiver::recv), and its sends may still be taken, one of them.
///
/// ```
/// use handover::{rendezvous, select};
///
/// let channels: Vec<_> = (0..3).map(|_| rendezvous::<&str>()).collect();
/// let choice = || select(channels.iter().map(|(_, rx)| rx.recv()).collect::<Vec<_>>());
/// assert!(choice().now().is_none());
///
/// # pollster::block_on(async {
/// let send = channels[1].0.send("for the second");
/// let (sent, (index, received)) = futures_lite::future::zip(send, choice()).await;
/// assert!(sent.is_ok());
/// assert_eq!((index, received), (1, Ok("for the second")));
/// # });
/// ```
#[must_use = "a select does nothing until it is awaited (`.await`), waited for (`.wait()`) or tried (`.now()`)"]
pub struct Select<A: Arms> {
    op: Op<SelectingStep<A>>,
}

impl<A: Arms> Select<A> {
    /// Of arms that are ready at once, does the first one.
    ///
    /// ```
    /// use handover::{Sel2, Why, rendezvous, select};
    ///
    /// let (urgent, rest) = (rendezvous::<u8>(), rendezvous::<u8>());
    /// rest.0.close();
    /// urgent.0.close();
    /// for _ in 0..100 {
    ///     let choice = select((urgent.1.recv(), rest.1.recv())).biased();
    ///     assert!(matches!(choice.wait(), Sel2::A(Err(end)) if end.why() == Why::Closed));
    /// }
    /// ```
    pub fn biased(mut self) -> Self {
        self.op.step.is_biased = true;
        self
    }

    /// Blocks this thread until an arm is done; for ever, if there is none.
    ///
    /// # Panics
    ///
    /// Like the other ways to wait, if it was polled through `&mut` before and is done, or if an arm is.
    ///
    /// ```
    /// use handover::{Sel2, rendezvous, select};
    /// use std::thread;
    ///
    /// let (a, b) = (rendezvous(), rendezvous::<u8>());
    /// thread::spawn(move || a.0.send(1).wait());
    /// assert_eq!(select((a.1.recv(), b.1.recv())).wait(), Sel2::A(Ok(1)));
    /// ```
    pub fn wait(self) -> A::Output {
        self.op.wait().expect("only a deadline ends it without")
    }

    /// Blocks this thread until an arm is done, at the longest for `timeout`: then all are withdrawn and it is `None`. What is done
    /// when the time is up counts as done. A timeout too long for the clock is none.
    ///
    /// ```
    /// use handover::{rendezvous, select};
    /// use std::time::Duration;
    ///
    /// let (a, b) = (rendezvous::<u8>(), rendezvous::<u8>());
    /// let choice = select((a.1.recv(), b.1.recv())).wait_timeout(Duration::ZERO);
    /// assert!(choice.is_none());
    /// ```
    pub fn wait_timeout(self, timeout: Duration) -> Option<A::Output> {
        self.op.wait_timeout(timeout)
    }

    /// Blocks this thread until an arm is done, at the longest until `deadline`: then all are withdrawn and it is `None`. What is
    /// done when the time is up counts as done.
    ///
    /// ```
    /// use handover::{rendezvous, select};
    /// use std::time::Instant;
    ///
    /// let (a, b) = (rendezvous::<u8>(), rendezvous::<u8>());
    /// let choice = select((a.1.recv(), b.1.recv())).wait_deadline(Instant::now());
    /// assert!(choice.is_none());
    /// ```
    pub fn wait_deadline(self, deadline: Instant) -> Option<A::Output> {
        self.op.wait_deadline(deadline)
    }

    /// Waits in a task until an arm is done or `future` is: then all are looked at once more, and if none is done all are withdrawn and it is `None`.
    ///
    /// ```
    /// use handover::{rendezvous, select};
    ///
    /// let (a, b) = (rendezvous::<u8>(), rendezvous::<u8>());
    /// # pollster::block_on(async {
    /// let choice = select((a.1.recv(), b.1.recv())).until(std::future::ready(()));
    /// assert!(choice.await.is_none());
    /// # });
    /// ```
    pub fn until<F: Future>(self, future: F) -> Until<Op<SelectingStep<A>>, F> {
        self.op.until(future)
    }

    /// Never blocks: an arm is done at once, or all are withdrawn and it is `None`.
    ///
    /// As everywhere, a send to a task that merely waits is not done at once; so two selects that would meet need one that waits.
    ///
    /// ```
    /// use handover::{rendezvous, select};
    ///
    /// let (a, b) = (rendezvous::<u8>(), rendezvous::<u8>());
    /// let choice = select((a.1.recv(), b.1.recv())).now();
    /// assert!(choice.is_none());
    /// ```
    pub fn now(self) -> Option<A::Output> {
        self.op.now()
    }
}

/// A choice under way. (`Select` itself is no operation: an arm cannot be a choice, whose arms would have two claims.)
#[allow(missing_debug_implementations, reason = "users meet it only inside of `Select`")]
pub struct SelectingStep<A: Arms> {
    arms: A,
    claim: Option<Arc<Claim>>,
    order: Order,
    is_biased: bool,
    is_queued: bool,
    /// For reports.
    done_arm: DoneArm,
    seat: Seat,
}

/// The arm that is done, by its number; kept only for a model, which reports it.
#[derive(Clone, Copy, Debug, Default)]
struct DoneArm {
    /// One more than the number.
    #[cfg(feature = "model")]
    place: u32,
}

impl DoneArm {
    #[inline]
    #[cfg_attr(not(feature = "model"), allow(unused_variables, clippy::needless_pass_by_ref_mut))]
    fn set(&mut self, number: usize) {
        #[cfg(feature = "model")]
        {
            self.place = number as u32 + 1;
        }
    }

    #[allow(clippy::unused_self)]
    fn get(self) -> Option<usize> {
        #[cfg(feature = "model")]
        return (self.place as usize).checked_sub(1);
        #[cfg(not(feature = "model"))]
        None
    }
}

// What is done to each arm, a panic of which leaves out no other. (As functions, so that they are not compiled anew for each type of `Arms`.)

#[inline]
fn cancelling(panic: &mut FirstPanic) -> impl FnMut(&mut dyn ArmOp) {
    |arm| _ = panic.run(|| arm.cancel())
}

#[inline]
fn rewinding(panic: &mut FirstPanic) -> impl FnMut(&mut dyn ArmOp) {
    |arm| _ = panic.run(|| arm.rewind())
}

#[inline]
fn registering(panic: &mut FirstPanic) -> impl FnMut(&mut dyn ArmOp) {
    |arm| _ = panic.run(|| arm.reregister())
}

impl<A: Arms> SelectingStep<A> {
    /// Attempts one arm; if it is done, so is the select.
    #[inline]
    fn attempt_arm(&mut self, number: usize, attempt: Attempt<'_>) -> Poll<A::Output> {
        let claim = self.claim.as_ref();
        let arm = claim.and_then(|claim| Some(ArmRef::new(claim, number.try_into().ok()?)));
        let polled = self.arms.attempt(number, Attempt { arm, ..attempt });
        if polled.is_ready() {
            self.done_arm.set(number);
            // The claim stays registering: no offer of the other arms is taken before they are cancelled. A panic of theirs must not take
            // away what this arm has brought.
            self.cancel_all().swallow();
        }
        polled
    }

    /// Attempts each arm until one is done.
    #[inline]
    fn attempt_all(&mut self, attempt: Attempt<'_>) -> Poll<A::Output> {
        let mut order = std::mem::take(&mut self.order);
        let found = order.find_map(self.arms.count(), self.is_biased, |number| {
            match self.attempt_arm(number, attempt) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            }
        });
        self.order = order;
        found.map_or(Poll::Pending, Poll::Ready)
    }

    /// Begins to attempt the arms; or gives the output of the arm that has won the claim.
    fn begin(&mut self) -> Option<A::Output> {
        let arm = self.claim.as_ref()?.begin().err()?;
        match self.attempt_arm(arm as usize, Attempt::ONCE) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// Withdraws each arm that is not done. A panic of one leaves out no other.
    fn cancel_all(&mut self) -> FirstPanic {
        let mut panic = FirstPanic::default();
        self.arms.each(&mut cancelling(&mut panic));
        panic
    }

    fn needs_claim(&mut self) -> bool {
        let mut needs_claim = false;
        self.arms.each(&mut |arm| needs_claim |= arm.needs_claim());
        needs_claim
    }

    fn wants_permit(&mut self) -> bool {
        let mut wants_permit = false;
        self.arms.each(&mut |arm| wants_permit |= arm.wants_permit());
        wants_permit
    }
}

impl<A: Arms> Step for SelectingStep<A> {
    const NAME: &'static str = "select";
    type Output = Option<A::Output>;
    type Waiter = Self;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        let waiter = match attempt.waiter {
            Some(WaiterKind::Thread) => Some(WaiterKind::Selecting),
            waiter => waiter,
        };
        let attempt = Attempt { put_mode: PutMode::Revocable, waiter, ..attempt };
        if !self.is_queued {
            let mut panic = FirstPanic::default();
            self.arms.each(&mut rewinding(&mut panic));
            panic.resume();
            let polled = self.attempt_all(Attempt { waker: None, may_enqueue: false, ..attempt });
            if polled.is_ready() || attempt.waiter.is_none() {
                return polled.map(Some);
            }
            self.is_queued = true;
            if self.needs_claim() {
                self.claim = Some(Claim::new(self.wants_permit()));
            }
        } else if let Some(output) = self.begin() {
            return Poll::Ready(Some(output));
        }
        let polled = self.attempt_all(attempt);
        if polled.is_pending() && self.claim.as_ref().is_some_and(|claim| claim.end()) {
            let mut panic = FirstPanic::default();
            self.arms.each(&mut registering(&mut panic));
            panic.resume();
        }
        polled.map(Some)
    }

    fn expire(&mut self, _: Why) -> Self::Output {
        let output = self.begin();
        if output.is_none() {
            self.withdraw();
        }
        output
    }

    fn withdraw(&mut self) {
        self.cancel_all().resume();
    }

    fn waiter(&mut self) -> &mut Self {
        self
    }

    fn each_target(&mut self, _: Origin, f: &mut dyn FnMut(Origin, ChannelId)) {
        self.arms.each(&mut |arm| arm.each_target(f));
    }

    fn done_arm(&self) -> Option<usize> {
        self.done_arm.get()
    }
}

sync::thread_local! {
    /// A loop makes a new select for each round: what its thread has learned about spinning stays with the thread.
    static SPIN: Cell<AdaptiveSpin> = const { Cell::new(AdaptiveSpin::new()) };
}

impl<A: Arms> Waiter for SelectingStep<A> {
    fn has_changed(&mut self) -> bool {
        let mut has_changed = self.claim.as_ref().is_some_and(|claim| claim.is_won());
        self.arms.each(&mut |arm| has_changed |= arm.has_changed());
        has_changed
    }

    fn is_peer_elsewhere(&mut self) -> bool {
        // Each arm is asked: it also tells its peer where this party is.
        let mut is_elsewhere = false;
        self.arms.each(&mut |arm| is_elsewhere |= arm.is_peer_elsewhere());
        is_elsewhere
    }

    fn recheck_at(&mut self) -> Option<Instant> {
        let mut earliest: Option<Instant> = None;
        self.arms.each(&mut |arm| earliest = earliest.into_iter().chain(arm.recheck_at()).min());
        earliest
    }

    fn channel(&self) -> ChannelId {
        ChannelId::NONE // The arms have one each.
    }

    fn seat(&mut self) -> Option<&mut Seat> {
        Some(&mut self.seat)
    }

    fn spin(&self) -> AdaptiveSpin {
        SPIN.try_with(Cell::get).unwrap_or(AdaptiveSpin::new())
    }

    fn set_spin(&mut self, spin: AdaptiveSpin) {
        _ = SPIN.try_with(|kept| kept.set(spin));
    }
}

/// # Panics
///
/// When it is polled again after it was done, or with an arm that was done before.
impl<A: Arms> Future for Select<A> {
    type Output = A::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<A::Output> {
        match Pin::new(&mut self.op).poll(context) {
            Poll::Ready(Some(output)) => Poll::Ready(output),
            _ => Poll::Pending,
        }
    }
}

// Nothing in it is ever pinned.
impl<A: Arms> Unpin for Select<A> {}

impl<A: Arms> fmt::Debug for Select<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("select")
            .field("arms", &self.op.step.arms.count())
            .field("is_done", &self.op.is_done())
            .finish_non_exhaustive()
    }
}
