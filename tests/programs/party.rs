//! A party: it does one operation at a time, and its next step when the program says so.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::ledger::{self, Value};
use super::world::{Arm, Way, World};
use crate::support::{Hook, Moment};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Begin {
        code: u8,
        arg: u8,
    },
    Poll,
    /// With another waker than before.
    PollAnew,
    Drop,
    Forget,
    Now,
    /// As a thread whose time is up.
    TimeOut,
    Reclaim,
    /// A plain send or receive, at the end of a program.
    Use {
        channel: usize,
        side: usize,
    },
    Leave {
        channel: usize,
        side: usize,
    },
}

/// Where the program's steps reach a party.
pub(crate) struct Seat {
    pub(crate) number: usize,
    pub(crate) world: Rc<RefCell<World>>,
    pub(crate) command: Cell<Option<Command>>,
    pub(crate) is_woken: Cell<bool>,
    hook: RefCell<Arc<Hook>>,
    waker: RefCell<Waker>,
}

impl Seat {
    pub(crate) fn new(number: usize, world: Rc<RefCell<World>>) -> Self {
        let hook = Hook::new();
        let waker = RefCell::new(hook.waker());
        Self {
            number,
            world,
            command: Cell::new(None),
            is_woken: Cell::new(false),
            hook: RefCell::new(hook),
            waker,
        }
    }

    /// The waker of the moment panics once.
    pub(crate) fn arm(&self, moment: u8) {
        let moment = [Moment::Wake, Moment::Clone, Moment::Drop][usize::from(moment)];
        self.hook.borrow().set(moment, ledger::panic_as_planned);
    }

    /// From now on another waker, which panics never. The old one does not panic any more, either.
    pub(crate) fn renew_waker(&self) {
        self.note_rings();
        for moment in [Moment::Wake, Moment::Clone, Moment::Drop] {
            self.hook.borrow().set(moment, || ());
        }
        let hook = Hook::new();
        let waker = hook.waker();
        self.hook.replace(hook);
        self.waker.replace(waker);
    }

    pub(crate) fn note_rings(&self) {
        if self.hook.borrow().bell.rings() > 0 {
            self.is_woken.set(true);
        }
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.world.borrow().seats[self.number].is_busy
    }

    /// The next step of the program for this party.
    pub(crate) async fn next(&self) -> Command {
        poll_fn(|_| self.command.take().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Calls the library. What comes out of it may be a planned panic: `None`.
    pub(crate) fn call<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        self.note_panic(ledger::call(f))
    }

    /// The same for a call that takes the operation by value.
    fn call_by_value<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        self.note_panic(ledger::call_by_value(f))
    }

    fn note_panic<R>(&self, result: Option<R>) -> Option<R> {
        if result.is_none() {
            self.world.borrow_mut().disturb();
        }
        result
    }

    /// Polls a future once with the party's waker. `None`: a planned panic came out, which counts as a wake.
    fn poll<F: Future + Unpin>(&self, future: &mut F) -> Option<Poll<F::Output>> {
        self.note_rings();
        self.is_woken.set(false);
        let waker = self.waker.borrow();
        let polled = self.call(|| Pin::new(future).poll(&mut Context::from_waker(&waker)));
        if polled.is_none() {
            self.is_woken.set(true);
        }
        polled
    }

    /// Goes on with an operation as the program says, up to its end. `None`: it had no outcome.
    pub(crate) async fn drive<O: Future + Unpin>(
        &self,
        arms: Vec<Arm>,
        mut op: O,
        first: Option<Command>,
        ways: Ways<O>,
    ) -> Option<(O::Output, Way)> {
        let (me, world) = (self.number, &self.world);
        world.borrow_mut().begin(me, arms);
        self.is_woken.set(true);
        let mut first = first;
        let mut was_interrupted = false;
        loop {
            let command = match first.take() {
                Some(command) => command,
                None => self.next().await,
            };
            ledger::trace(|| format!("    {command:?}"));
            let (outcome, way) = match command {
                Command::Poll
                | Command::PollAnew
                | Command::Begin { .. }
                | Command::Use { .. }
                | Command::Leave { .. } => {
                    if command == Command::PollAnew {
                        self.renew_waker();
                    }
                    match self.poll(&mut op) {
                        Some(Poll::Ready(out)) => return Some((out, Way::Polled)),
                        Some(Poll::Pending) => world.borrow_mut().wait(me),
                        // It is polled again, since it counts as woken. What it was about to put may lie in it, and so it is not
                        // forgotten any more: that would forget what a stream has accepted before, too.
                        None => was_interrupted = true,
                    }
                    continue;
                }
                Command::Forget if !ways.gathers && !was_interrupted => {
                    std::mem::forget(op);
                    world.borrow_mut().forget(me);
                    return None;
                }
                Command::Forget | Command::Drop => {
                    self.call(|| drop(op));
                    world.borrow_mut().give_up(me, None);
                    return None;
                }
                Command::Reclaim => {
                    let value = self.call_by_value(|| (ways.reclaim)(op));
                    match value {
                        Some(Some(value)) => world.borrow_mut().reclaim(me, value),
                        _ => world.borrow_mut().give_up(me, None),
                    }
                    return None;
                }
                Command::Now => (self.call_by_value(|| (ways.now)(op)), Way::Now),
                Command::TimeOut => (self.call_by_value(|| (ways.time_out)(op)), Way::TimedOut),
            };
            return match outcome {
                Some(Some(out)) => Some((out, way)),
                Some(None) => {
                    world.borrow_mut().give_up(me, ways.looks.then_some(way));
                    None
                }
                None => {
                    world.borrow_mut().give_up(me, None);
                    None
                }
            };
        }
    }
}

/// The ways to end an operation but by polling it.
pub(crate) struct Ways<O: Future> {
    now: fn(O) -> Option<O::Output>,
    time_out: fn(O) -> Option<O::Output>,
    /// The inner `Option` is what `reclaim` gave; the outer one is `None` where there is no `reclaim`.
    reclaim: fn(O) -> Option<Option<Value>>,
    /// What it has received lies in it, and would be forgotten with it.
    gathers: bool,
    /// `now` and `time_out` look at what is there before they give up.
    looks: bool,
}

impl<O: Future> Ways<O> {
    /// The ways of `op`, which tells the type.
    pub(crate) fn of(
        _op: &O,
        now: fn(O) -> Option<O::Output>,
        time_out: fn(O) -> Option<O::Output>,
    ) -> Self {
        let reclaim = |op| {
            drop(op);
            None
        };
        Self { now, time_out, reclaim, gathers: false, looks: true }
    }

    /// Those of a future that is no operation.
    pub(crate) fn of_future(op: &O) -> Self {
        let drops = |op| {
            drop(op);
            None
        };
        Self { looks: false, ..Self::of(op, drops, drops) }
    }

    #[cfg_attr(not(feature = "futures-io"), allow(dead_code, reason = "there are no pipes then"))]
    pub(crate) fn with_time_out(self, time_out: fn(O) -> Option<O::Output>) -> Self {
        Self { time_out, ..self }
    }

    pub(crate) fn with_reclaim(self, reclaim: fn(O) -> Option<Option<Value>>) -> Self {
        Self { reclaim, ..self }
    }

    pub(crate) fn gathering(self, gathers: bool) -> Self {
        Self { gathers, ..self }
    }
}

/// A deadline that has passed.
pub(crate) fn past() -> Instant {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(1)).unwrap_or(now)
}

/// The ways of an operation.
macro_rules! ways {
    ($op:expr) => {
        $crate::programs::party::Ways::of(
            &$op,
            |op| Some(op.now()),
            |op| Some(op.wait_deadline($crate::programs::party::past())),
        )
    };
}
pub(crate) use ways;

/// Drives an operation of one arm, and tells the reference its outcome. The value is the permit, if it brings one.
macro_rules! run {
    ($seat:expr, $arm:expr, $first:expr, $op:expr) => {
        run!($seat, $arm, $first, $op, |ways| ways)
    };
    ($seat:expr, $arm:expr, $first:expr, $op:expr, send) => {
        run!($seat, $arm, $first, $op, |ways| ways.with_reclaim(|op| Some(op.reclaim())))
    };
    ($seat:expr, $arm:expr, $first:expr, $op:expr, gathers) => {
        run!($seat, $arm, $first, $op, |ways| ways.gathering(true))
    };
    ($seat:expr, $arm:expr, $first:expr, $op:expr, |$ways:ident| $more:expr) => {{
        let op = $op;
        let $ways = $crate::programs::party::ways!(op);
        let ways = $more;
        let outcome = $seat.drive(vec![$arm], op, $first, ways).await;
        outcome.and_then(|(out, way)| {
            let out = $crate::programs::out::IntoOut::into_out(out);
            $seat.world.borrow_mut().finish($seat.number, 0, out, way)
        })
    }};
}
pub(crate) use run;
