//! What the tests share: counted values, wakers that tell or misbehave, a watchdog, and bodies that run as thread or task.
#![allow(dead_code)]

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe, Location};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use handover::op;
use handover::{RecvError, SendError, Why, WriteError};

// ---- a test that hangs ----

/// Aborts the process, naming the test, unless it is dropped in time.
#[must_use]
pub(crate) struct Watchdog {
    _stop: mpsc::Sender<()>,
}

impl Watchdog {
    const LIMIT: Duration = Duration::from_secs(20);

    #[track_caller]
    pub(crate) fn new() -> Self {
        let test = thread::current().name().unwrap_or("a test").to_owned();
        let place = Location::caller();
        let (stop, stopped) = mpsc::channel();
        thread::spawn(move || {
            if stopped.recv_timeout(Self::LIMIT) == Err(RecvTimeoutError::Timeout) {
                // Not `eprintln`: what that says is captured, and lost in the abort.
                _ = writeln!(std::io::stderr(), "\ntest {test} ({place}) hangs: aborting");
                std::process::abort();
            }
        });
        Self { _stop: stop }
    }
}

/// Gives way until `condition` holds; a watchdog bounds it.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Lets the threads that wait go from lingering to parking. No test relies on it: what it claims is so before and after; but a
/// wake-up that is missing shows only after.
pub(crate) fn let_them_park() {
    thread::sleep(Duration::from_millis(5));
}

// Nothing but `Debug` tells of an end whether its peer has left a waker, so that tests need not sleep until it has.
pub(crate) fn peer_waits(end: &impl fmt::Debug) -> bool {
    format!("{end:?}").contains("peer_waits: true")
}

pub(crate) fn peer_has_left(end: &impl fmt::Debug) -> bool {
    format!("{end:?}").contains("peer_end: Some")
}

// ---- values that are counted ----

/// Makes values and sees that each is dropped once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    drops: Arc<Mutex<Vec<usize>>>,
}

/// A value with a number. Not `Clone`, nor `Copy`; its `Debug` is only for the tests.
pub(crate) struct Counted {
    pub(crate) id: usize,
    drops: Arc<Mutex<Vec<usize>>>,
}

impl Census {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The next value: 0, 1, 2 ...
    pub(crate) fn make(&self) -> Counted {
        let mut drops = self.drops.lock().unwrap();
        drops.push(0);
        Counted { id: drops.len() - 1, drops: Arc::clone(&self.drops) }
    }

    /// The next value, and its number.
    pub(crate) fn next(&self) -> (usize, Counted) {
        let value = self.make();
        (value.id, value)
    }

    pub(crate) fn made(&self) -> usize {
        self.drops.lock().unwrap().len()
    }

    /// How many have been dropped.
    pub(crate) fn gone(&self) -> usize {
        self.drops.lock().unwrap().iter().sum()
    }

    /// Each value was dropped exactly once.
    #[track_caller]
    pub(crate) fn assert_settled(&self) {
        let drops = self.drops.lock().unwrap();
        assert!(drops.iter().all(|&n| n == 1), "drops of each value: {drops:?}");
    }

    /// No value was dropped more often than once.
    #[track_caller]
    pub(crate) fn assert_alive(&self, alive: usize) {
        let drops = self.drops.lock().unwrap();
        assert!(drops.iter().all(|&n| n <= 1), "drops of each value: {drops:?}");
        assert_eq!(drops.iter().filter(|&&n| n == 0).count(), alive, "drops: {drops:?}");
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Ok(mut drops) = self.drops.lock() {
            drops[self.id] += 1;
        }
    }
}

impl PartialEq<usize> for Counted {
    fn eq(&self, id: &usize) -> bool {
        self.id == *id
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.id)
    }
}

// ---- wakers ----

/// A waker that counts how often it was woken.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rings: AtomicUsize,
}

impl Bell {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let bell = Arc::new(Self::default());
        let waker = Waker::from(Arc::clone(&bell));
        (bell, waker)
    }

    /// How often it rang since the last call.
    pub(crate) fn rings(&self) -> usize {
        self.rings.swap(0, SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rings.fetch_add(1, SeqCst);
    }
}

/// Where a waker calls what a test has given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Wake,
    Clone,
    Drop,
}

type Once = Mutex<Option<Box<dyn FnOnce() + Send>>>;

/// A waker that calls, once for each time it was set, what a test has set for a moment of its life.
#[derive(Default)]
pub(crate) struct Hook {
    pub(crate) bell: Bell,
    hooks: [Once; 3],
}

impl Hook {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Calls `f` at the next such moment.
    pub(crate) fn set(&self, moment: Moment, f: impl FnOnce() + Send + 'static) {
        *self.hooks[moment as usize].lock().unwrap() = Some(Box::new(f));
    }

    /// Panics at the next such moment.
    pub(crate) fn set_panic(&self, moment: Moment) {
        self.set(moment, quiet_panic);
    }

    pub(crate) fn is_set(&self, moment: Moment) -> bool {
        self.hooks[moment as usize].lock().unwrap().is_some()
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        raw::waker(Arc::clone(self))
    }

    fn call(&self, moment: Moment) {
        let hook = self.hooks[moment as usize].lock().unwrap().take();
        if let Some(hook) = hook {
            hook();
        }
    }
}

/// `std::task::Wake` lets nobody see a clone or a drop.
#[allow(unsafe_code)]
mod raw {
    use super::*;
    use std::mem::ManuallyDrop;
    use std::task::{RawWaker, RawWakerVTable};

    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

    pub(super) fn waker(hook: Arc<Hook>) -> Waker {
        // SAFETY: the data is an `Arc` turned raw, which is what each function of the table takes it for.
        unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(hook).cast(), &VTABLE)) }
    }

    fn borrow(data: *const ()) -> ManuallyDrop<Arc<Hook>> {
        // SAFETY: the waker that owns the reference lives during the call, and `ManuallyDrop` leaves it that.
        ManuallyDrop::new(unsafe { Arc::from_raw(data.cast::<Hook>()) })
    }

    fn clone(data: *const ()) -> RawWaker {
        let hook = borrow(data);
        hook.call(Moment::Clone);
        RawWaker::new(Arc::into_raw(Arc::clone(&hook)).cast(), &VTABLE)
    }

    fn wake(data: *const ()) {
        wake_by_ref(data);
        drop_waker(data);
    }

    fn wake_by_ref(data: *const ()) {
        let hook = borrow(data);
        hook.bell.rings.fetch_add(1, SeqCst);
        hook.call(Moment::Wake);
    }

    fn drop_waker(data: *const ()) {
        let hook = ManuallyDrop::into_inner(borrow(data));
        hook.call(Moment::Drop);
    }
}

/// Panics without a word on standard error.
pub(crate) fn quiet_panic() {
    panic::resume_unwind(Box::new("on purpose"));
}

/// Whether `f` panics.
pub(crate) fn panics<R>(f: impl FnOnce() -> R) -> bool {
    panic::catch_unwind(AssertUnwindSafe(f)).is_err()
}

/// What the panic of `f` says; standard error stays quiet only where the test captures it.
#[track_caller]
pub(crate) fn panic_text<R>(f: impl FnOnce() -> R) -> String {
    let panic = panic::catch_unwind(AssertUnwindSafe(f)).err().expect("no panic");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => (*other.downcast::<&str>().expect("a text")).to_owned(),
    }
}

/// Polls once with `waker`.
pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Polls once, for whoever polls again by itself.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

/// Polls once: it must be pending.
#[track_caller]
pub(crate) fn pend<F: Future + Unpin>(future: &mut F) {
    assert!(poll_once(future).is_pending(), "done, but should wait");
}

/// Polls once: it must be done.
#[track_caller]
pub(crate) fn ready<F: Future + Unpin>(future: &mut F) -> F::Output {
    match poll_once(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("waits, but should be done"),
    }
}

// ---- the same body as thread or task ----

/// What all operations have in common, for bodies that are written once.
pub(crate) trait Op: Future + Unpin {
    fn block(self) -> Self::Output;
    fn block_until(self, deadline: Instant) -> Self::Output;
    fn at_once(self) -> Self::Output;
}

macro_rules! op {
    (impl[$($generics:tt)*] $name:ty) => {
        impl<$($generics)*> Op for $name {
            fn block(self) -> Self::Output {
                self.wait()
            }

            fn block_until(self, deadline: Instant) -> Self::Output {
                self.wait_deadline(deadline)
            }

            fn at_once(self) -> Self::Output {
                self.now()
            }
        }
    };
}

op!(impl[T, U] op::Demand<'_, T, U>);
op!(impl[T, U] op::Exchange<'_, T, U>);
op!(impl[I: Iterator] op::SendAll<'_, I>);
op!(impl[T, U] op::Ask<'_, T, U>);
op!(impl[T, U] op::Recv<'_, T, U>);
op!(impl[T] op::Send<'_, T>);
op!(impl[I: Iterator] op::SendEach<'_, I>);
op!(impl[T] op::SendOne<'_, T>);
op!(impl[I: Iterator] op::Write<'_, I>);
op!(impl[I: Iterator] op::WriteLocal<'_, I>);
op!(impl[T] op::Flush<'_, T>);
op!(impl[T] op::ReadOne<'_, T>);
op!(impl[T] op::Read<'_, T>);
op!(impl[T] op::ReadInto<'_, T>);
op!(impl['a, T] op::ReadOnce<'a, T>);
op!(impl['a, T] op::Reserve<'a, T>);
op!(impl[T] op::Take<'_, T>);
op!(impl[T] op::Closed<'_, T>);

/// What all errors answer.
pub(crate) trait Reason: std::error::Error {
    fn reason(&self) -> Why;
    /// `is_end`, `is_timed_out`, `is_not_ready`
    fn is(&self) -> [bool; 3];
}

macro_rules! reason {
    (impl[$($generics:tt)*] $name:ty) => {
        impl<$($generics)*> Reason for $name {
            fn reason(&self) -> Why {
                self.why()
            }

            fn is(&self) -> [bool; 3] {
                [self.is_end(), self.is_timed_out(), self.is_not_ready()]
            }
        }
    };
}

reason!(impl[] RecvError);
reason!(impl[T] SendError<T>);
reason!(impl[I: Iterator] WriteError<I>);

/// How a body waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Thread,
    Task,
}

impl How {
    pub(crate) async fn run<O: Op>(self, op: O) -> O::Output {
        match self {
            How::Thread => op.block(),
            How::Task => op.await,
        }
    }

    /// Gives way until `condition` holds.
    pub(crate) async fn until(self, mut condition: impl FnMut() -> bool) {
        while !condition() {
            thread::yield_now();
            if self == How::Task {
                futures_lite::future::yield_now().await;
            }
        }
    }

    /// Runs the body here.
    pub(crate) fn drive<R>(self, body: impl Future<Output = R>) -> R {
        match self {
            // A body that blocks is done when it has been polled once.
            How::Thread => match pin!(body).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => result,
                Poll::Pending => panic!("a thread's body awaits"),
            },
            How::Task => pollster::block_on(body),
        }
    }
}

/// What the server's side and the client's side are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairing {
    ThreadThread,
    ThreadTask,
    TaskThread,
    /// Each on an executor of its own.
    TaskTask,
    OneTask,
}

impl Pairing {
    pub(crate) const ALL: [Self; 5] =
        [Self::ThreadThread, Self::ThreadTask, Self::TaskThread, Self::TaskTask, Self::OneTask];
}

/// Who starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    Server,
    Client,
}

/// Runs both bodies to their end.
pub(crate) fn pair<A: Send, B: Send>(
    pairing: Pairing,
    first: First,
    server: impl AsyncFnOnce(How) -> A + Send,
    client: impl AsyncFnOnce(How) -> B + Send,
) -> (A, B) {
    use How::{Task, Thread};
    let (server_how, client_how) = match pairing {
        Pairing::ThreadThread => (Thread, Thread),
        Pairing::ThreadTask => (Thread, Task),
        Pairing::TaskThread => (Task, Thread),
        Pairing::TaskTask => (Task, Task),
        Pairing::OneTask => {
            return pollster::block_on(async {
                use futures_lite::future::zip;
                match first {
                    First::Server => zip(server(Task), client(Task)).await,
                    First::Client => {
                        let (b, a) = zip(client(Task), server(Task)).await;
                        (a, b)
                    }
                }
            });
        }
    };
    let server = move || server_how.drive(server(server_how));
    let client = move || client_how.drive(client(client_how));
    thread::scope(|scope| match first {
        First::Server => {
            let server = scope.spawn(server);
            let b = client();
            (join(server), b)
        }
        First::Client => {
            let client = scope.spawn(client);
            let a = server();
            (a, join(client))
        }
    })
}

fn join<R>(thread: thread::ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// Runs a test in all pairings, either end first.
pub(crate) fn in_all_pairings(test: impl Fn(Pairing, First)) {
    for pairing in Pairing::ALL {
        for first in [First::Server, First::Client] {
            test(pairing, first);
        }
    }
}

// ---- what happened, in order ----

/// What both sides did, in the order in which they did it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn log(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

// ---- stress ----

/// Bounded in count and time; says its seed, so that a failure can be looked at again with `HANDOVER_SEED`.
pub(crate) struct Stress {
    state: u64,
    until: Instant,
}

impl Stress {
    // Captured, and shown when the test fails.
    #[allow(clippy::print_stdout)]
    pub(crate) fn new(test: &str, limit: Duration) -> Self {
        let seed = std::env::var("HANDOVER_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| RandomState::new().hash_one(test));
        println!("{test}: HANDOVER_SEED={seed}");
        Self { state: seed, until: Instant::now() + limit }
    }

    /// Whether there is time for one more round.
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// There is time for so long from now, at the most.
    pub(crate) fn until_in(&mut self, limit: Duration) {
        self.until = self.until.min(Instant::now() + limit);
    }

    /// Another one, with a seed that follows from this one's.
    pub(crate) fn fork(&mut self) -> Self {
        Self { state: self.below(u64::MAX), until: self.until }
    }

    /// The next number below `bound` (splitmix64).
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }
}

/// Keeps a thread busy for about as long as a hand-over takes, to shift two threads against each other.
pub(crate) fn dither(turns: u64) {
    for _ in 0..turns {
        std::hint::spin_loop();
    }
}
