//! `select`: one of several operations, whichever can be done first.
//!
//! A select is an operation like others: a step, with the drivers of all. Its step looks through the arms, in random order:
//!
//! 1. First at what is ready; no arm takes a place in a queue for that. If one is done, that was all.
//! 2. Then each arm enters, and leaves its waker; from now on its party has a claim (see `claim`), if it has an offer.
//! 3. Each further look makes the claim busy, so that no arm can happen by somebody else's doing while it does one itself.
//!
//! | a look finds      | it does                                                                        |
//! |-------------------|--------------------------------------------------------------------------------|
//! | the claim won by an arm | steps that arm, which is done                                            |
//! | an arm done       | leaves the claim busy; the other arms are withdrawn                            |
//! | nothing           | lets the claim wait; puts back the offers that were passed over meanwhile       |
//!
//! | it is          | what happens to the values                                                                       |
//! |----------------|--------------------------------------------------------------------------------------------------|
//! | done, dropped  | arms that lost are withdrawn as if dropped; a borrowed one has its value back, and can be begun again |
//! | out of time    | the same, unless the claim was won before: then it is done                                        |
//! | forgotten      | its offers stand until one of them is taken                                                       |

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::claim::{Claim, Share};
use crate::error::Why;
use crate::step::{self, Look, Operation, Step};
use crate::sync::Arc;
use crate::turn::Put;
use crate::wait::{Pace, Who};

mod arms;

pub use arms::{Arm, Arms, Sel2, Sel3, Sel4, Sel5, Sel6, Sel7, Sel8};

/// Chooses one of several operations: the one that can be done first, and only that one.
///
/// The arms are a tuple of two to eight operations, or a [`Vec`] of operations of one type: of ends of any kind, sends and receives
/// mixed, borrowed (`&mut op`) or not. The result tells which arm was done, with its output: [`Sel2::A`] and so on, or the index. The end
/// of a channel is an output too. Of arms that are ready at once a random one is done, unless the choice is [`biased`](Select::biased).
///
/// The other arms are withdrawn, as if they had been dropped. A borrowed one then has its value again: [`reclaim`](crate::op::Send::reclaim)
/// gives it, or the operation is waited for again, and begins anew.
///
/// * A [`Sender::send`](crate::Sender::send) happens when it is taken. Sends of the other kinds are taken first, and done when the peer
///   comes back: another arm may be done in between. The value is then delivered, and not in what `reclaim` gives.
/// * Arms of one select on a [`rendezvous`](crate::rendezvous) channel do not meet each other. (Two ends in lockstep or of a stream do:
///   what one takes the other has delivered.)
/// * In a task, a timeout is that of the executor, around the select: dropping it loses nothing.
/// * No arm is done: `wait` and `.await` go on, also for ever if the `Vec` is empty; the other ways to wait give `None`.
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
pub fn select<A: Arms>(arms: A) -> Select<A> {
    let (claim, pace) = (None, Pace::new());
    Select {
        choosing: Choosing { arms, claim, is_biased: false, is_entered: false, done: false, pace },
    }
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
#[must_use = "an operation does nothing until it is awaited or waited for"]
pub struct Select<A: Arms> {
    choosing: Choosing<A>,
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
        self.choosing.is_biased = true;
        self
    }

    /// Blocks this thread until an arm is done; for ever, if there is none.
    ///
    /// # Panics
    ///
    /// Like the other ways to wait, when it was awaited by `&mut` before and is done, or when an arm is.
    pub fn wait(mut self) -> A::Output {
        step::finish(&mut self.choosing, |op| step::block(op, None))
            .expect("only a deadline ends it without")
    }

    /// Blocks this thread until an arm is done, at the longest for `timeout`: then all are withdrawn and it is `None`. What is done
    /// when the time is up counts as done. A timeout too long for the clock is none.
    pub fn wait_timeout(mut self, timeout: Duration) -> Option<A::Output> {
        let deadline = Instant::now().checked_add(timeout);
        step::finish(&mut self.choosing, |op| step::block(op, deadline))
    }

    /// Blocks this thread until an arm is done, at the longest until `deadline`: then all are withdrawn and it is `None`. What is
    /// done when the time is up counts as done.
    pub fn wait_deadline(mut self, deadline: Instant) -> Option<A::Output> {
        step::finish(&mut self.choosing, |op| step::block(op, Some(deadline)))
    }

    /// Never blocks: an arm is done at once, or all are withdrawn and it is `None`.
    ///
    /// As everywhere, a send to a task that merely waits is not done at once; so two selects that would meet need one that waits.
    pub fn now(mut self) -> Option<A::Output> {
        step::finish(&mut self.choosing, step::now)
    }
}

/// A choice under way. (`Select` itself is no operation: an arm cannot be a choice, whose arms would have two claims.)
struct Choosing<A: Arms> {
    arms: A,
    claim: Option<Arc<Claim>>,
    is_biased: bool,
    is_entered: bool,
    done: bool,
    pace: Pace,
}

impl<A: Arms> Choosing<A> {
    /// Steps one arm; if it is done, so is the choice.
    fn step_arm(&mut self, arm: usize, look: Look<'_>) -> Poll<A::Output> {
        let claim = self.claim.as_ref();
        let share = claim.and_then(|claim| Some(Share::new(claim, arm.try_into().ok()?)));
        let polled = self.arms.step(arm, Look { share, ..look });
        if polled.is_ready() {
            // The claim stays busy: nobody takes an offer of the others before they are withdrawn. What this arm has brought is not lost
            // by a panic of what the others call as they go: each panic is of another.
            for _ in 0..=self.arms.len() {
                if catch_unwind(AssertUnwindSafe(|| self.arms.lose())).is_ok() {
                    break;
                }
            }
        }
        polled
    }

    /// Steps each arm until one is done.
    fn look_through(&mut self, look: Look<'_>) -> Poll<A::Output> {
        let order = Order::new(self.arms.len(), self.is_biased);
        for arm in order {
            let polled = self.step_arm(arm, look);
            if polled.is_ready() {
                return polled;
            }
        }
        Poll::Pending
    }

    /// Makes the claim busy; or gives the output of the arm that has won it.
    fn begin_look(&mut self) -> Option<A::Output> {
        let arm = self.claim.as_ref()?.look().err()?;
        match self.step_arm(arm as usize, Look::ONCE) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}

impl<A: Arms> Step for Choosing<A> {
    type Output = Option<A::Output>;

    fn step(&mut self, look: Look<'_>) -> Poll<Self::Output> {
        let look = Look {
            how: Put::Soft,
            stays: look.stays.map(|who| if who == Who::Thread { Who::Chooser } else { who }),
            ..look
        };
        if !self.is_entered {
            self.arms.retract();
            let polled = self.look_through(Look { waker: None, enters: false, ..look });
            if polled.is_ready() || look.stays.is_none() {
                return polled.map(Some);
            }
            self.is_entered = true;
            if self.arms.wants_claim() {
                self.claim = Some(Claim::new());
            }
        } else if let Some(output) = self.begin_look() {
            return Poll::Ready(Some(output));
        }
        let polled = self.look_through(look);
        if polled.is_pending() && self.claim.as_ref().is_some_and(|claim| claim.wait()) {
            self.arms.resume();
        }
        polled.map(Some)
    }

    fn expire(&mut self, _: Why) -> Self::Output {
        let output = self.begin_look();
        if output.is_none() {
            self.withdraw();
        }
        output
    }

    fn withdraw(&mut self) {
        self.arms.lose();
    }

    fn is_stirred(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.is_won()) || self.arms.is_stirred()
    }

    fn is_peer_elsewhere(&mut self) -> bool {
        self.arms.is_peer_elsewhere()
    }

    fn looks_again_at(&self) -> Option<Instant> {
        self.arms.looks_again_at()
    }

    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    // A loop makes a new select for each round: what its thread has learned about waiting stays with the thread.

    fn fetch_pace(&mut self) {
        self.pace = PACE.try_with(Cell::get).unwrap_or(self.pace);
    }

    fn store_pace(&mut self) {
        _ = PACE.try_with(|pace| pace.set(self.pace));
    }
}

thread_local! {
    static PACE: Cell<Pace> = const { Cell::new(Pace::new()) };
    static DICE: Cell<u64> = Cell::new(RandomState::new().hash_one(0) | 1);
}

impl<A: Arms> Operation for Choosing<A> {
    const NAME: &'static str = "select";

    fn done(&mut self) -> &mut bool {
        &mut self.done
    }
}

/// # Panics
///
/// When it is polled again after it was done, or with an arm that was done before.
impl<A: Arms> Future for Select<A> {
    type Output = A::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<A::Output> {
        match step::poll_operation(&mut self.choosing, context) {
            Poll::Ready(Some(output)) => Poll::Ready(output),
            _ => Poll::Pending,
        }
    }
}

// Nothing in it is ever pinned.
impl<A: Arms> Unpin for Select<A> {}

impl<A: Arms> Drop for Choosing<A> {
    fn drop(&mut self) {
        if !self.done {
            self.withdraw();
        }
    }
}

impl<A: Arms> fmt::Debug for Select<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Choosing { arms, done, .. } = &self.choosing;
        f.debug_struct("select")
            .field("arms", &arms.len())
            .field("done", done)
            .finish_non_exhaustive()
    }
}

/// The order in which arms are looked at: each once.
///
/// Steps of one length around the circle of arms. From a random start with a random length, any two arms come first equally often.
struct Order {
    next: usize,
    stride: usize,
    left: usize,
    len: usize,
}

impl Order {
    fn new(len: usize, is_biased: bool) -> Self {
        // A model explores the same steps again.
        if is_biased || len < 2 || cfg!(handover_loom) {
            return Self { next: 0, stride: 1, left: len, len };
        }
        let next = random_below(len);
        // Each length that comes around all arms is as likely as the one the other way around.
        let stride = loop {
            let stride = 1 + random_below(len - 1);
            if gcd(stride, len) == 1 {
                break stride;
            }
        };
        Self { next, stride, left: len, len }
    }
}

impl Iterator for Order {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let this = self.next;
        self.next = (this + self.stride) % self.len;
        Some(this)
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// By xorshift: good enough for a choice, and it takes a nanosecond.
fn random_below(bound: usize) -> usize {
    let roll = |dice: &Cell<u64>| {
        let mut state = dice.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        dice.set(state);
        // The high bits of a product are spread more evenly than a remainder.
        ((u128::from(state) * bound as u128) >> 64) as usize
    };
    DICE.try_with(roll).unwrap_or(0)
}
