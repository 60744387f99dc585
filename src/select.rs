//! `select`: one of several operations, whichever can be done first.
//!
//! A select is an operation like the others: a step, run by the same drivers. How it attempts its arms is told in `choice`.
//!
//! | the select is ... | what happens to the values                                                                              |
//! |-------------------|---------------------------------------------------------------------------------------------------------|
//! | done, dropped     | arms that lost are withdrawn as if dropped; a borrowed one has its value back, and can be begun again   |
//! | out of time       | the same, unless the claim was won before: then the select is done                                     |
//! | forgotten         | its offers stay queued until one of them is taken                                                      |

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::error::Why;
use crate::operation::{Op, Until};
use crate::point::{ChannelId, Name, Origin, Seat};
use crate::step::{Attempt, Step, Waiter};
use crate::wait::AdaptiveSpin;

mod arms;
mod choice;
mod order;

pub use arms::{Arm, Arms, Sel2, Sel3, Sel4, Sel5, Sel6, Sel7, Sel8};
use choice::{AnyArms, Attempted, Choice, each_target, earliest_recheck, none_can_go_on};

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
    let step = SelectingStep { arms, choice: Choice::new() };
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
        self.op.step.choice.set_biased();
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
    choice: Choice,
}

impl<A: Arms> SelectingStep<A> {
    fn attempted(&mut self) -> (&mut Choice, Attempted<'_, A>) {
        (&mut self.choice, Attempted::new(&mut self.arms))
    }
}

impl<A: Arms> Step for SelectingStep<A> {
    const NAME: &'static str = "select";
    type Output = Option<A::Output>;
    type Waiter = Self;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        let (choice, mut attempted) = self.attempted();
        if choice.step(&mut attempted, attempt) {
            return Poll::Ready(attempted.output);
        }
        Poll::Pending
    }

    fn expire(&mut self, _: Why) -> Self::Output {
        let (choice, mut attempted) = self.attempted();
        if !choice.begin(&mut attempted) {
            attempted.cancel().resume();
        }
        attempted.output
    }

    fn withdraw(&mut self) {
        self.attempted().1.cancel().resume();
    }

    fn waiter(&mut self) -> &mut Self {
        self
    }

    fn each_target(&mut self, _: Origin, f: &mut dyn FnMut(Origin, ChannelId)) {
        each_target(&mut self.attempted().1, f);
    }

    fn done_arm(&self) -> Option<usize> {
        self.choice.done_arm()
    }
}

impl<A: Arms> Waiter for SelectingStep<A> {
    fn has_changed(&mut self) -> bool {
        let mut has_changed = self.choice.is_won();
        self.arms.each(&mut |arm| has_changed |= arm.has_changed());
        has_changed
    }

    fn is_peer_elsewhere(&mut self) -> bool {
        // Each arm is asked: it also tells its peer where this party is.
        let mut is_elsewhere = false;
        self.arms.each(&mut |arm| is_elsewhere |= arm.is_peer_elsewhere());
        is_elsewhere
    }

    fn can_never_go_on(&mut self) -> bool {
        none_can_go_on(&mut self.attempted().1)
    }

    fn recheck_at(&mut self) -> Option<Instant> {
        earliest_recheck(&mut self.attempted().1)
    }

    fn channel(&self) -> ChannelId {
        ChannelId::NONE // The arms have one each.
    }

    fn seat(&mut self) -> Option<&mut Seat> {
        Some(self.choice.seat())
    }

    fn spin(&self) -> AdaptiveSpin {
        choice::spin()
    }

    fn set_spin(&mut self, spin: AdaptiveSpin) {
        choice::set_spin(spin);
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
