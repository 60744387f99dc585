//! Threads of a model, with the interface of [`std::thread`]: in a model each is a party, outside of one it is what std makes it.
//!
//! ```
//! use handover::model::{self, Schedule, thread};
//! use handover::rendezvous;
//!
//! fn squares() -> u32 {
//!     let (tx, rx) = rendezvous();
//!     let sender = thread::spawn(move || tx.send_all((1..=3).map(|n| n * n)).wait());
//!     let sum = rx.iter().sum();
//!     sender.join().unwrap().unwrap();
//!     sum
//! }
//!
//! assert_eq!(squares(), 14); // on threads of std
//! assert_eq!(model::check(&Schedule::random(1, 50), squares).unwrap(), 14);
//! ```

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::hooks::{here, is_hopeless, party_ended, sit};
use super::run::{Doing, Name, PartyKind, Pass, Place, State, What};
pub(crate) use super::scope::spawn_in;
use super::scope::start_in;
pub use super::scope::{Scope, ScopedJoinHandle, scope};
use super::seat::{Aborted, Seat};
use crate::panics;
use crate::point::now;
use crate::wait::with_parker;

/// What a thread leaves for the one that joins it.
#[derive(Debug)]
pub(super) struct Packet<T> {
    state: Mutex<PacketState<T>>,
}

#[derive(Debug)]
struct PacketState<T> {
    result: Option<thread::Result<T>>,
    is_done: bool,
    wakers: Vec<Waker>,
}

impl<T> Packet<T> {
    pub(super) fn new() -> Arc<Self> {
        let state = PacketState { result: None, is_done: false, wakers: Vec::new() };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// The thread has ended, but for its last steps.
    pub(super) fn finish(&self, result: thread::Result<T>) {
        let mut state = self.state.lock();
        state.result = Some(result);
        state.is_done = true;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        for waker in wakers {
            panics::swallow(|| waker.wake());
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state.lock().is_done
    }

    /// What the thread left; or the waker is woken when there is something.
    fn poll(&self, waker: &Waker) -> Poll<thread::Result<T>> {
        let fresh = waker.clone();
        let mut state = self.state.lock();
        if state.is_done {
            let result = state.result.take();
            drop(state);
            return Poll::Ready(
                result.expect("handover: a `JoinHandle` was polled again after it was done"),
            );
        }
        if !state.wakers.iter().any(|stored| stored.will_wake(&fresh)) {
            state.wakers.push(fresh);
        }
        drop(state);
        Poll::Pending
    }
}

/// A thread that can be joined, or awaited: as [`std::thread::JoinHandle`].
///
/// Awaiting it gives what [`join`](JoinHandle::join) gives.
///
/// ```
/// use handover::model::{self, Schedule};
///
/// model::check(&Schedule::default(), || {
///     let thread = model::thread::spawn(|| 1);
///     let task = model::spawn_async("a task", async { 2 });
///     let sum = model::block_on(async { thread.await.unwrap() + task.await.unwrap() });
///     assert_eq!(sum, 3);
/// })
/// .unwrap();
/// ```
pub struct JoinHandle<T> {
    pub(super) packet: Arc<Packet<T>>,
    pub(super) thread: Option<thread::JoinHandle<()>>,
    pub(super) seat: Option<Seat>,
}

impl<T> JoinHandle<T> {
    /// Waits for the thread to end, and gives what it returned.
    ///
    /// # Errors
    ///
    /// The thread's panic.
    ///
    /// ```
    /// use handover::model::thread;
    ///
    /// assert_eq!(thread::spawn(|| 1 + 1).join().unwrap(), 2);
    /// ```
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        let result = join(&self.packet, self.seat.as_ref());
        if let Some(thread) = self.thread {
            _ = thread.join();
        }
        result
    }

    /// Whether the thread has returned or panicked.
    ///
    /// ```
    /// use handover::model::thread;
    ///
    /// let thread = thread::spawn(|| ());
    /// while !thread.is_finished() {
    ///     thread::yield_now();
    /// }
    /// ```
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        act(Location::caller(), "JoinHandle::is_finished");
        self.packet.is_done()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_finished = self.packet.is_done();
        f.debug_struct("JoinHandle").field("is_finished", &is_finished).finish_non_exhaustive()
    }
}

/// # Panics
///
/// If it is polled again after it was done.
impl<T> Future for JoinHandle<T> {
    type Output = thread::Result<T>;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<thread::Result<T>> {
        let at = Location::caller();
        if let Some((seat, other)) = here_beside(self.seat.as_ref()) {
            let name = Name::Join(other.party);
            seat.point(Pass::Goes, true, |state, party| {
                let at = users_line(state, party, at);
                begin_doing(state, party, name, at, true);
            });
        }
        let polled = self.packet.poll(context.waker());
        if polled.is_ready() {
            joined(self.seat.as_ref(), true);
        } else if is_hopeless() {
            return Poll::Ready(Err(Box::new(Aborted)));
        }
        polled
    }
}

/// Something that others can see, or that sees others.
pub(super) fn act(at: Place, name: &'static str) {
    if let Some(seat) = here() {
        seat.point(Pass::Goes, false, |state, party| {
            state.push(party, What::Acts(name), Some(at), 0);
        });
    }
}

/// This party and the other one, if both are of one run: a handle may outlive the run that it comes from.
fn here_beside(other: Option<&Seat>) -> Option<(Seat, &Seat)> {
    let (seat, other) = (here()?, other?);
    Arc::ptr_eq(&seat.run, &other.run).then_some((seat, other))
}

/// The user's line, where a handle is polled at `at`. If a combinator polls it, or this crate, that is the line of the `block_on` around it, or where the task was
/// spawned. (A dependency has an absolute path.)
fn users_line(state: &State, party: usize, at: Place) -> Place {
    let crate_dir = Path::new(file!()).parent().and_then(Path::parent);
    let file = Path::new(at.file());
    if !file.is_absolute() && crate_dir.is_none_or(|ours| !file.starts_with(ours)) {
        return at;
    }
    let party = &state.parties[party];
    let mut doing = party.doing.iter().rev();
    doing
        .find(|doing| doing.name == Name::Method("block_on"))
        .map_or(party.spawned_at, |doing| doing.at)
}

pub(super) fn begin_doing(state: &mut State, party: usize, name: Name, at: Place, is_polled: bool) {
    state.push(party, What::Begins(name), Some(at), 0);
    let doing = Doing { name, at, targets: Vec::new(), is_polled };
    state.parties[party].doing.retain(|old| old.at != at || old.name != name);
    state.parties[party].doing.push(doing);
}

/// A join is done.
fn joined(other: Option<&Seat>, is_polled: bool) {
    let Some((seat, other)) = here_beside(other) else { return };
    let mut state = seat.run.state();
    state.parties[other.party].has_untold_panic = false;
    let name = Name::Join(other.party);
    let doing = &mut state.parties[seat.party].doing;
    doing.retain(|doing| doing.name != name || doing.is_polled != is_polled);
}

#[track_caller]
pub(super) fn join<T>(packet: &Packet<T>, other: Option<&Seat>) -> thread::Result<T> {
    let at = Location::caller();
    if let Some((seat, other)) = here_beside(other) {
        let name = Name::Join(other.party);
        seat.point(Pass::Goes, false, |state, party| {
            begin_doing(state, party, name, at, false);
        });
    }
    let result = with_parker(|parker, waker| {
        loop {
            if let Poll::Ready(result) = packet.poll(waker) {
                return result;
            }
            if !parker.park(None) {
                return Err(Box::new(Aborted) as Box<dyn Any + Send>); // In a destructor, while the run is ending.
            }
        }
    });
    joined(other, false);
    result
}

/// What the thread of a party does.
pub(super) fn run_party<T>(
    seat: &Seat,
    packet: Arc<Packet<T>>,
    f: impl FnOnce() -> T,
    before_end: impl FnOnce(),
) {
    let was = sit(Some(seat.clone()));
    seat.wait_turn();
    let result = catch_unwind(AssertUnwindSafe(|| {
        if seat.run.is_ending() {
            drop(f);
            resume_unwind(Box::new(Aborted));
        }
        f()
    }));
    let result = result.map_err(|payload| party_ended(seat, payload));
    packet.finish(result);
    // The result of a thread that nobody joins is dropped while this is still a party. That may panic, or be unwound.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(packet))) {
        let payload = party_ended(seat, payload);
        panics::swallow(|| drop(payload));
    }
    before_end();
    seat.leave();
    sit(was);
}

/// Starts a thread: as [`std::thread::spawn`].
///
/// # Panics
///
/// If the system cannot start one.
///
/// ```
/// use handover::model::thread;
///
/// assert_eq!(thread::spawn(|| "done").join().unwrap(), "done");
/// ```
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    start(Builder::new(), PartyKind::Thread, Location::caller(), f).expect("failed to spawn thread")
}

pub(super) fn start<F, T>(
    builder: Builder,
    kind: PartyKind,
    at: Place,
    f: F,
) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let packet = Packet::new();
    let its_packet = Arc::clone(&packet);
    let Some(spawner) = here() else {
        let thread = builder.of_std().spawn(move || {
            its_packet.finish(catch_unwind(AssertUnwindSafe(f)));
        })?;
        return Ok(JoinHandle { packet, thread: Some(thread), seat: None });
    };
    let seat = spawner.run.add(builder.name, kind, at);
    let its_seat = seat.clone();
    let crew = Arc::clone(&spawner.run.crew);
    let job = move |before_end: &dyn Fn()| run_party(&its_seat, its_packet, f, before_end);
    if let Err(error) = crew.run(&seat, builder.stack_size, job) {
        seat.vanish();
        return Err(error);
    }
    note_spawn(&spawner, &seat, at);
    Ok(JoinHandle { packet, thread: None, seat: Some(seat) })
}

/// A point of choice after a party was added: it may act at once.
pub(super) fn note_spawn(spawner: &Seat, seat: &Seat, at: Place) {
    let other = seat.party;
    spawner.point(Pass::Goes, false, |state, party| {
        state.push(party, What::Spawns(other), Some(at), 0);
    });
}

/// Makes threads with names, or with stacks of another size: as [`std::thread::Builder`]. In a report a party is called by its name.
///
/// ```
/// use handover::model::thread;
///
/// let worker = thread::Builder::new().name("worker".to_string()).spawn(|| 7).unwrap();
/// assert_eq!(worker.join().unwrap(), 7);
/// ```
#[derive(Debug, Default)]
#[must_use = "it starts a thread only by `spawn`"]
pub struct Builder {
    pub(super) name: Option<String>,
    stack_size: Option<usize>,
}

impl Builder {
    /// Without a name yet.
    ///
    /// ```
    /// let thread = handover::model::thread::Builder::new().spawn(|| ()).unwrap();
    /// thread.join().unwrap();
    /// ```
    pub const fn new() -> Self {
        Self { name: None, stack_size: None }
    }

    /// The name of the thread.
    ///
    /// ```
    /// let builder = handover::model::thread::Builder::new().name("a".to_string());
    /// builder.spawn(|| ()).unwrap().join().unwrap();
    /// ```
    pub fn name(self, name: String) -> Self {
        Self { name: Some(name), ..self }
    }

    /// The size of the thread's stack, in bytes.
    ///
    /// ```
    /// use handover::model::thread::Builder;
    ///
    /// let deep = Builder::new().stack_size(32 << 20).spawn(|| [0_u8; 16 << 20].len());
    /// assert_eq!(deep.unwrap().join().unwrap(), 16 << 20);
    /// ```
    pub fn stack_size(self, size: usize) -> Self {
        Self { stack_size: Some(size), ..self }
    }

    /// The same of the standard library.
    pub(super) fn of_std(&self) -> thread::Builder {
        let mut builder = thread::Builder::new();
        if let Some(name) = &self.name {
            builder = builder.name(name.clone());
        }
        if let Some(size) = self.stack_size {
            builder = builder.stack_size(size);
        }
        builder
    }

    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system cannot start one.
    ///
    /// ```
    /// let thread = handover::model::thread::Builder::new().spawn(|| 1);
    /// assert_eq!(thread.unwrap().join().unwrap(), 1);
    /// ```
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        start(self, PartyKind::Thread, Location::caller(), f)
    }

    /// Starts the thread in a scope.
    ///
    /// # Errors
    ///
    /// If the system cannot start one.
    ///
    /// ```
    /// use handover::model::thread::{self, Builder};
    ///
    /// let text = String::from("borrowed");
    /// let length = thread::scope(|scope| {
    ///     let builder = Builder::new().name("measures".to_string());
    ///     builder.spawn_scoped(scope, || text.len()).unwrap().join().unwrap()
    /// });
    /// assert_eq!(length, 8);
    /// ```
    #[track_caller]
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: &Scope<'scope, '_>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        start_in(scope.inner, self, Location::caller(), f)
    }
}

/// Lets others run: as [`std::thread::yield_now`]. In a model the next ready party goes on by default; if there is none, the next deadline passes.
///
/// A loop that asks again and again (`while op().now().is_err()`) needs it, or no other party ever acts in the schedule without departures.
///
/// ```
/// use handover::model::{self, Schedule, thread};
/// use handover::rendezvous;
///
/// let got = model::check(&Schedule::default(), || {
///     let (tx, rx) = rendezvous();
///     thread::spawn(move || tx.send(1).wait());
///     loop {
///         match rx.recv().now() {
///             Ok(n) => return n,
///             Err(_) => thread::yield_now(),
///         }
///     }
/// });
/// assert_eq!(got.unwrap(), 1);
/// ```
#[track_caller]
pub fn yield_now() {
    let at = Location::caller();
    match here() {
        Some(seat) => seat.point(Pass::Yields, false, |state, party| {
            state.push(party, What::Yields, Some(at), 0);
        }),
        None => thread::yield_now(),
    }
}

/// Lets time pass: as [`std::thread::sleep`]. In a model that costs no time.
///
/// ```
/// use handover::model::{self, Schedule, thread};
/// use std::time::Duration;
///
/// let passed = model::check(&Schedule::default(), || {
///     let start = model::now();
///     thread::sleep(Duration::from_secs(3600));
///     model::now() - start
/// });
/// assert_eq!(passed.unwrap(), Duration::from_secs(3600));
/// ```
#[track_caller]
pub fn sleep(time: Duration) {
    let at = Location::caller();
    let Some(seat) = here() else { return thread::sleep(time) };
    seat.point(Pass::Goes, false, |state, party| {
        state.push(party, What::Sleeps, Some(at), 0);
        let name = Name::Method("thread::sleep");
        let doing = Doing { name, at, targets: Vec::new(), is_polled: false };
        state.parties[party].doing.push(doing);
    });
    let until = now().checked_add(time);
    with_parker(|parker, _| while parker.park(until) && !seat.run.is_ending() {});
    seat.run.state().parties[seat.party].doing.pop();
}
