#![doc = include_str!("../docs/model.md")]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, Location, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Once};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::error::Why;
use crate::point::{ChannelId, Ending, Origin};
use crate::wait::with_parker;

mod channels;
mod crew;
mod diagram;
mod failure;
mod report;
mod run;
mod schedule;
#[cfg(feature = "proptest")]
mod strategy;
pub mod thread;
mod token;
mod watchdog;

use crew::Crew;
pub use failure::{Failure, FailureKind};
pub(crate) use run::Seat;
use run::{Aborted, Doing, Name, PartyKind, Pass, Place, Run, What};
use schedule::{Chance, Chooser, Explorer, Found, Pick, Plan, departures};
pub use schedule::{ParseScheduleError, Schedule};
#[cfg(feature = "proptest")]
pub use strategy::{ScheduleTree, Schedules, schedules};
use thread::JoinHandle;
pub use token::Token;

/// When the deadlines of waits and sleeps pass.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Timers {
    /// The earliest deadline may pass at any point of choice, as a machine may stall anywhere.
    #[default]
    AnyTime,
    /// A deadline passes only while all parties wait, as if everything else took no time.
    WhenIdle,
}

/// What the panic of a party is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Panics {
    /// A failure of the run.
    #[default]
    Fail,
    /// An error of [`join`](thread::JoinHandle::join), as with threads of std. The panic of the body itself is a failure all the same.
    Join,
}

/// The settings of a run.
#[derive(Clone, Copy, Debug)]
struct Settings {
    max_steps: u32,
    timers: Timers,
    patience: Duration,
    panics: Panics,
}

/// How runs are made.
///
/// ```
/// use handover::model::{FailureKind, Model, Schedule, Timers};
/// use handover::rendezvous;
/// use std::time::Duration;
///
/// let body = || {
///     let (tx, rx) = rendezvous();
///     let receiver = handover::model::thread::spawn(move || rx.recv().wait());
///     let sent = tx.send(1).wait_timeout(Duration::from_secs(1));
///     drop(tx);
///     _ = receiver.join();
///     sent.expect("the receiver takes it within a second")
/// };
/// // A machine may stall for a second ...
/// let failure = Model::new().exhaust(2, body).unwrap_err();
/// assert_eq!(failure.kind(), FailureKind::Panic);
/// // ... unless it is taken for infinitely fast.
/// assert!(Model::new().timers(Timers::WhenIdle).exhaust(2, body).is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "settings do nothing until a program is checked by them"]
pub struct Model {
    settings: Settings,
}

/// As [`Model::new`].
impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

/// What [`Model::exhaust`] has explored.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explored {
    /// Runs, one for each schedule.
    pub runs: u64,
    /// Steps of all runs together.
    pub steps: u64,
}

/// What came of one run.
struct Ran<R> {
    result: Result<R, Failure>,
    picks: Vec<Pick>,
    steps: u32,
}

/// Schedules of one search, at most, and their steps: it is a part of shrinking, which must end.
const MOST_SEARCHED: u64 = 3_000;
const MOST_SEARCHED_STEPS: u64 = 300_000;

impl Model {
    /// At most 10,000 steps a run; deadlines pass at any time; a party is stuck after 5 seconds; a panic fails the run.
    ///
    /// ```
    /// let model = handover::model::Model::new();
    /// assert!(model.exhaust(0, || ()).is_ok());
    /// ```
    pub const fn new() -> Self {
        Self {
            settings: Settings {
                max_steps: 10_000,
                timers: Timers::AnyTime,
                patience: Duration::from_secs(5),
                panics: Panics::Fail,
            },
        }
    }

    /// A run with more steps than this is [`FailureKind::Endless`].
    ///
    /// # Panics
    ///
    /// If it is 0: then no run could do anything.
    ///
    /// ```
    /// use handover::model::{FailureKind, Model, Schedule};
    /// use handover::rendezvous;
    ///
    /// let failure = Model::new().max_steps(100).check(&Schedule::default(), || {
    ///     let (_tx, rx) = rendezvous::<()>();
    ///     while rx.recv().now().is_err() {}
    /// });
    /// assert_eq!(failure.unwrap_err().kind(), FailureKind::Endless);
    /// ```
    #[track_caller]
    pub const fn max_steps(mut self, n: u32) -> Self {
        assert!(n > 0, "handover::model: `max_steps(0)` lets no run make a step");
        self.settings.max_steps = n;
        self
    }

    /// When deadlines pass.
    ///
    /// ```
    /// use handover::model::{Model, Timers};
    ///
    /// let model = Model::new().timers(Timers::WhenIdle);
    /// assert!(model.exhaust(1, || ()).is_ok());
    /// ```
    pub const fn timers(mut self, timers: Timers) -> Self {
        self.settings.timers = timers;
        self
    }

    /// The real time after which a party that does not come back to a point of choice is [`FailureKind::Stuck`].
    ///
    /// ```
    /// use handover::model::{FailureKind, Model, Schedule, thread};
    /// use std::sync::Mutex;
    /// use std::time::Duration;
    ///
    /// let model = Model::new().patience(Duration::from_millis(100));
    /// let failure = model.check(&Schedule::default(), || {
    ///     let shared = std::sync::Arc::new(Mutex::new(0));
    ///     let (tx, rx) = handover::rendezvous::<u8>();
    ///     let its = std::sync::Arc::clone(&shared);
    ///     let holder = thread::spawn(move || {
    ///         let guard = its.lock().unwrap();
    ///         _ = rx.recv().wait(); // while it holds the mutex
    ///         drop(guard);
    ///     });
    ///     thread::yield_now();
    ///     drop(shared.lock()); // waits for the holder, which waits for a value
    ///     drop(tx);
    ///     _ = holder.join();
    /// });
    /// assert_eq!(failure.unwrap_err().kind(), FailureKind::Stuck);
    /// ```
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.settings.patience = patience;
        self
    }

    /// What the panic of a party is.
    ///
    /// ```
    /// use handover::model::{Model, Panics, Schedule, thread};
    ///
    /// let model = Model::new().panics(Panics::Join);
    /// let joined = model.check(&Schedule::default(), || thread::spawn(|| panic!("as planned")).join());
    /// assert!(joined.unwrap().is_err());
    /// ```
    pub const fn panics(mut self, panics: Panics) -> Self {
        self.settings.panics = panics;
        self
    }

    /// Runs `body`, and all the parties that it starts, as the schedule says. Gives what the body returned in the last run.
    ///
    /// # Errors
    ///
    /// The first run that failed. In a `proptest!`, `?` reports it.
    ///
    /// # Panics
    ///
    /// In a party of a model.
    ///
    /// ```
    /// use handover::model::{Model, Schedule, thread};
    ///
    /// let sum = Model::new().check(&Schedule::random(1, 10), || thread::spawn(|| 3).join().unwrap());
    /// assert_eq!(sum.unwrap(), 3);
    /// ```
    #[track_caller]
    pub fn check<R>(&self, s: &Schedule, body: impl Fn() -> R) -> Result<R, Failure> {
        let at = Location::caller();
        let runs = Runs::new(self.settings, at);
        *s.found.lock() = None;
        let ran = match &s.plan {
            &Plan::Random { seed, runs: count } => {
                let mut run = 0;
                loop {
                    let ran = runs.once(Chooser::Chance(Chance::new(seed, run)), &body);
                    run += 1;
                    if ran.result.is_err() || run >= count {
                        break ran;
                    }
                }
            }
            Plan::Given(departures) => runs.once(Chooser::given(departures), &body),
            &Plan::Search { departures, kind } => runs.search(departures, kind, &body),
        };
        if let Err(failure) = &ran.result {
            let choices = ran.picks.len() as u32;
            let departures = departures(&ran.picks);
            *s.found.lock() = Some(Found { departures, choices, kind: failure.kind() });
        }
        ran.result
    }

    /// Runs `body` by every schedule with at most so many departures, each once, those with the fewest first.
    ///
    /// # Errors
    ///
    /// The first run that failed. No schedule with fewer departures fails.
    ///
    /// # Panics
    ///
    /// In a party of a model.
    ///
    /// ```
    /// use handover::model::{Model, choose};
    ///
    /// // With no departure 0, with one 1 or 2 from each, with two any of two.
    /// let explored = |departures| Model::new().exhaust(departures, || _ = (choose(3), choose(3)));
    /// assert_eq!(explored(0).unwrap().runs, 1);
    /// assert_eq!(explored(1).unwrap().runs, 1 + 4);
    /// assert_eq!(explored(2).unwrap().runs, 9);
    /// ```
    #[track_caller]
    pub fn exhaust(&self, departures: u32, body: impl Fn()) -> Result<Explored, Failure> {
        let runs = Runs::new(self.settings, Location::caller());
        let mut explorer = Explorer::new(departures);
        let mut explored = Explored { runs: 0, steps: 0 };
        while let Some(schedule) = explorer.next() {
            let ran = runs.once(Chooser::given(&schedule), &body);
            ran.result?;
            explored.runs += 1;
            explored.steps += u64::from(ran.steps);
            explorer.learn(&schedule, &ran.picks);
        }
        Ok(explored)
    }
}

/// Runs of one exploration, which share their threads.
struct Runs {
    settings: Settings,
    at: Place,
    crew: Arc<Crew>,
}

impl Runs {
    #[track_caller]
    fn new(settings: Settings, at: Place) -> Self {
        assert!(
            here().is_none(),
            "handover::model: a model inside a model: call `check` outside of the body"
        );
        be_quiet();
        crate::point::begin_model();
        Self { settings, at, crew: Arc::default() }
    }

    fn once<R>(&self, chooser: Chooser, body: impl FnOnce() -> R) -> Ran<R> {
        let run = Run::new(chooser, self.settings, Arc::clone(&self.crew));
        let watching = watchdog::watch(&run);
        let root = run.add(Some("main".to_string()), PartyKind::Main, self.at);
        root.arrive();
        sit(Some(root.clone()));
        let result = catch_unwind(AssertUnwindSafe(body));
        let result = result.map_err(|payload| drop(party_ended(&root, payload)));
        sit(None);
        root.leave();
        root.wait_turn();
        if run.is_ending() {
            run.wait_for_the_others();
        }
        drop(watching);
        let mut state = run.state();
        if state.failure.is_none() && !state.lost.is_empty() {
            run.fail(&mut state, FailureKind::Lost, &report::Verdict::Plain);
        }
        let (picks, steps) = (std::mem::take(&mut state.picks), state.steps);
        let failure = state.failure.take();
        drop(state);
        let result = match (result, failure) {
            (Ok(result), None) => Ok(result),
            (_, Some(details)) => Err(Failure::new(details)),
            (Err(()), None) => unreachable!("a run whose body was unwound has failed"),
        };
        Ran { result, picks, steps }
    }

    /// The first run that fails in this way, of all with so many departures. If there is none, the last one that does not fail, or the last one.
    fn search<R>(&self, most: u32, kind: FailureKind, body: impl Fn() -> R) -> Ran<R> {
        let mut explorer = Explorer::new(most);
        let (mut searched, mut steps) = (0, 0);
        let mut shortest: Option<Ran<R>> = None;
        let mut last: Option<Ran<R>> = None;
        while let Some(schedule) = explorer.next() {
            if shortest.is_some() && (schedule.len() as u32) < most {
                break;
            }
            let ran = self.once(Chooser::given(&schedule), &body);
            searched += 1;
            steps += u64::from(ran.steps);
            explorer.learn(&schedule, &ran.picks);
            match &ran.result {
                Err(failure) if failure.kind() == kind => {
                    shortest = Some(ran);
                    break;
                }
                Err(_) if last.is_some() => {}
                _ => last = Some(ran),
            }
            if searched >= MOST_SEARCHED || steps >= MOST_SEARCHED_STEPS {
                break;
            }
        }
        shortest.or(last).unwrap_or_else(|| self.once(Chooser::given(&[]), body))
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.crew.stop();
        crate::point::end_model();
    }
}

/// Runs `body` as the schedule says, with the settings of [`Model::new`]: see [`Model::check`].
///
/// # Errors
///
/// The first run that failed.
///
/// # Panics
///
/// In a party of a model.
///
/// ```
/// use handover::model::{self, Schedule};
/// use handover::simplex;
///
/// model::check(&Schedule::random(1, 20), || {
///     let (mut server, client) = simplex();
///     let producer = model::thread::spawn(move || {
///         server.send_all(1..=3).wait().unwrap();
///         server.finish();
///     });
///     assert!(client.into_iter().eq([1, 2, 3]));
///     producer.join().unwrap();
/// })
/// .unwrap();
/// ```
#[track_caller]
pub fn check<R>(s: &Schedule, body: impl Fn() -> R) -> Result<R, Failure> {
    Model::new().check(s, body)
}

/// Registers a party now, and gives a closure that runs `f` as that party, on any thread: of a pool, of another crate.
///
/// The party is ready at once; the model waits for its thread where it is chosen. If no thread ever runs it, and it is waited for, the report names it. On a thread that is a party
/// already, `f` runs as that party. Outside of a model the closure is `f`.
///
/// ```
/// use handover::model::{self, Schedule};
/// use handover::rendezvous;
///
/// let got = model::check(&Schedule::random(1, 10), || {
///     let (tx, rx) = rendezvous();
///     let job = model::party("a job", move || tx.send(1).wait());
///     let pool = std::thread::spawn(job); // as a pool would run it
///     let got = rx.recv().wait();
///     drop(pool);
///     got
/// });
/// assert_eq!(got.unwrap(), Ok(1));
/// ```
#[track_caller]
pub fn party<R, F: FnOnce() -> R>(name: &str, f: F) -> impl FnOnce() -> R + use<R, F> {
    let at = Location::caller();
    let registered = here().map(|spawner| {
        let seat = spawner.run.add(Some(name.to_string()), PartyKind::Foreign, at);
        thread::note_spawn(&spawner, &seat, at);
        Registered(Some(seat))
    });
    move || match registered {
        Some(registered) => registered.run(f),
        None => f(),
    }
}

/// A party whose thread has not come yet.
struct Registered(Option<Seat>);

impl Registered {
    fn run<R>(mut self, f: impl FnOnce() -> R) -> R {
        let Some(seat) = self.0.take() else { return f() };
        if here().is_some() {
            seat.vanish();
            return f();
        }
        let was = sit(Some(seat.clone()));
        seat.arrive();
        seat.wait_turn();
        let result = catch_unwind(AssertUnwindSafe(|| {
            if seat.run.is_ending() {
                drop(f);
                panic::resume_unwind(Box::new(Aborted));
            }
            f()
        }));
        let result = result.map_err(|payload| party_ended(&seat, payload));
        seat.leave();
        sit(was);
        match result {
            Ok(result) => result,
            Err(payload) => panic::resume_unwind(payload),
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(seat) = self.0.take() {
            seat.vanish();
        }
    }
}

/// Starts a task: a party that drives a future. Outside of a model it gets a thread of its own.
///
/// The handle can be joined, or awaited: then it gives what [`join`](thread::JoinHandle::join) gives.
///
/// # Panics
///
/// If the system cannot start a thread.
///
/// ```
/// use handover::model::{self, Schedule};
/// use handover::rendezvous;
///
/// let got = model::check(&Schedule::random(1, 10), || {
///     let (tx, rx) = rendezvous();
///     let sender = model::spawn_async("sender", async move { tx.send(1).await });
///     let got = model::block_on(rx.recv());
///     sender.join().unwrap().unwrap();
///     got
/// });
/// assert_eq!(got.unwrap(), Ok(1));
/// ```
#[track_caller]
pub fn spawn_async<F>(name: &str, f: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let at = Location::caller();
    let run = move || block_on_at(at, f);
    thread::start(Some(name.to_string()), PartyKind::Task, at, run).expect("failed to spawn thread")
}

/// Drives a future on this thread until it is done.
///
/// In a model the `block_on` of another crate would wait where the model does not see it.
///
/// ```
/// assert_eq!(handover::model::block_on(async { 1 + 1 }), 2);
/// ```
#[track_caller]
pub fn block_on<F: Future>(f: F) -> F::Output {
    block_on_at(Location::caller(), f)
}

fn block_on_at<F: Future>(at: Place, f: F) -> F::Output {
    let mut future = pin!(f);
    let seat = here();
    // A `block_on` in a poll of another one must leave the operations of that.
    let outer = seat.as_ref().map(|seat| {
        let mut state = seat.run.state();
        let doing = &mut state.parties[seat.party].doing;
        let name = Name::Method("block_on");
        doing.push(Doing { name, at, targets: Vec::new(), is_polled: false });
        doing.len()
    });
    let output = with_parker(|parker, waker| {
        let mut context = Context::from_waker(waker);
        loop {
            if let (Some(seat), Some(outer)) = (&seat, outer) {
                seat.run.state().parties[seat.party].doing.truncate(outer);
            }
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            parker.park(None);
        }
    });
    if let (Some(seat), Some(outer)) = (&seat, outer) {
        seat.run.state().parties[seat.party].doing.truncate(outer - 1);
    }
    output
}

/// The time: in a model virtual, outside of one [`Instant::now`].
///
/// ```
/// use handover::model::{self, Schedule, thread};
/// use std::time::Duration;
///
/// model::check(&Schedule::default(), || {
///     let start = model::now();
///     thread::sleep(Duration::from_secs(60)); // at once
///     assert_eq!(model::now() - start, Duration::from_secs(60));
/// })
/// .unwrap();
/// ```
pub fn now() -> Instant {
    crate::point::now()
}

/// A choice of the user's own: a number below `n`, by the schedule. It shrinks to 0, and is 0 outside of a model.
///
/// # Panics
///
/// If `n` is 0.
///
/// ```
/// use handover::model::{self, Model};
/// use std::cell::Cell;
///
/// let seen = Cell::new(0);
/// Model::new().exhaust(1, || seen.set(seen.get() | 1 << model::choose(4))).unwrap();
/// assert_eq!(seen.get(), 0b1111);
/// ```
#[track_caller]
pub fn choose(n: usize) -> usize {
    let at = Location::caller();
    assert!(n > 0, "handover::model: `choose(0)` has nothing to choose from");
    let pick = pick(n).unwrap_or(0);
    with_seat(|seat| {
        let mut state = seat.run.state();
        state.push(seat.party, What::Chooses(pick, n), Some(at), 0);
    });
    pick
}

thread_local! {
    /// The party that this thread is.
    static HERE: RefCell<Option<Seat>> = const { RefCell::new(None) };
    /// The message and the line of this party's last panic.
    static LAST_PANIC: Cell<Option<(String, String)>> = const { Cell::new(None) };
}

/// Calls `f` with the party that this thread is.
fn with_seat<R>(f: impl FnOnce(&Seat) -> R) -> Option<R> {
    let seat = here()?;
    Some(f(&seat))
}

/// The party that this thread is.
pub(crate) fn here() -> Option<Seat> {
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}

/// Makes this thread a party, or none; gives what it was.
fn sit(seat: Option<Seat>) -> Option<Seat> {
    HERE.try_with(|here| here.replace(seat)).ok().flatten()
}

/// Panics of parties are told by the report, not one by one.
fn be_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if here().is_none() {
                return before(info);
            }
            let at = info.location().map(ToString::to_string).unwrap_or_default();
            LAST_PANIC.set(Some((message(info.payload()), at)));
        }));
    });
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic whose message is no text".to_string())
}

/// A party has ended by a panic, of its own or because its run has failed. Gives the payload back.
fn party_ended(seat: &Seat, payload: Box<dyn Any + Send>) -> Box<dyn Any + Send> {
    let last = LAST_PANIC.take();
    if payload.is::<Aborted>() {
        return payload;
    }
    let mut state = seat.run.state();
    let party = seat.party;
    if !seat.run.is_ending() {
        state.push(party, What::Panics, None, 0);
    }
    state.parties[party].has_untold_panic = true;
    if seat.run.settings.panics == Panics::Fail || state.parties[party].kind == PartyKind::Main {
        let (message, at) = match last {
            Some((message, at)) => (message, Some(at)),
            None => (message(&*payload), None),
        };
        let verdict = report::Verdict::Panic { party, message, at };
        seat.run.fail(&mut state, FailureKind::Panic, &verdict);
    }
    payload
}

// What the rest of the crate calls, by `point`, while a model is under way.

/// The time of the party that this thread is.
pub(crate) fn now_of_party() -> Option<Instant> {
    with_seat(Seat::now)
}

#[cold]
pub(crate) fn made(channel: ChannelId, kind: &'static str, at: Place) {
    match here() {
        Some(seat) => _ = seat.run.state().channels.made(channel, kind, at),
        None => watchdog::forget(channel),
    }
}

/// A point of choice at something that does not wait. `leaves`: an end leaves its channel so.
#[cold]
pub(crate) fn act(origin: Origin, channel: ChannelId, leaves: Option<Why>) {
    let (name, at) = (origin.name(), origin.at());
    let Some(seat) = here() else {
        let is_end = leaves.is_some();
        let what = if is_end { format!("the drop of a {name}") } else { name.to_string() };
        watchdog::is_stranger(&what, (!is_end).then_some(at), channel);
        return;
    };
    seat.point(Pass::Goes, false, |state, party| {
        let number = state.channels.number(channel);
        let step = state.steps;
        state.channels.uses(number, party, Name::Method(name), step);
        match leaves {
            Some(why) => state.push(party, What::Leaves(name, why), None, number),
            None => state.push(party, What::Acts(name), Some(at), number),
        }
    });
}

/// A point of choice at the drop of an operation that is not done.
#[cold]
pub(crate) fn withdraw(origin: Origin, channel: ChannelId) {
    let Some(seat) = here() else {
        watchdog::is_stranger(origin.name(), Some(origin.at()), channel);
        return;
    };
    seat.point(Pass::Goes, false, |state, party| {
        let number = state.channels.number(channel);
        state.push(party, What::Withdraws(origin.name()), Some(origin.at()), number);
    });
    let mut state = seat.run.state();
    state.parties[seat.party].doing.retain(|doing| doing.at != origin.at() || !doing.is_polled);
}

/// One of `n` options, by the schedule. `None`: this thread is in no model.
#[cold]
pub(crate) fn pick(n: usize) -> Option<usize> {
    with_seat(|seat| {
        if n < 2 || seat.run.is_ending() {
            return 0;
        }
        seat.run.state().choose(n)
    })
}

/// How an operation is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Until it is done, by blocking its thread.
    Block,
    /// Once.
    Once,
    /// By a task.
    Poll,
}

/// An operation under way.
#[derive(Debug)]
pub(crate) struct Begun {
    seat: Seat,
    origin: Origin,
    targets: Vec<(Origin, u32)>,
}

/// The point of choice at which an operation begins. `None`: this thread is no party.
///
/// # Panics
///
/// If the channel is one of a model, of which this thread is no party.
pub(crate) fn begin(origin: Origin, targets: Vec<(Origin, ChannelId)>, way: Way) -> Option<Begun> {
    let (name, at) = (origin.name(), origin.at());
    let Some(seat) = here() else {
        for (origin, channel) in targets {
            let is_stranger = watchdog::is_stranger(origin.name(), Some(at), channel);
            assert!(
                !is_stranger || std::thread::panicking(),
                "handover::model: this thread is no party of the model whose channel it uses by `{}` at {at}; \
                 start threads by `model::thread`, and let those of a pool run a `model::party`",
                origin.name()
            );
        }
        return None;
    };
    let mut numbered = Vec::with_capacity(targets.len());
    seat.point(Pass::Goes, way == Way::Poll, |state, party| {
        let step = state.steps;
        for (origin, channel) in targets {
            let number = state.channels.number(channel);
            state.channels.uses(number, party, Name::Method(origin.name()), step);
            numbered.push((origin, number));
        }
        let channel = if numbered.len() == 1 { numbered[0].1 } else { 0 };
        let (name, is_polled) = (Name::Method(name), way == Way::Poll);
        state.push(party, What::Begins(name), Some(at), channel);
        let doing = &mut state.parties[party].doing;
        doing.retain(|old| old.at != at || old.is_polled != is_polled);
        doing.push(Doing { name, at, targets: numbered.clone(), is_polled });
    });
    Some(Begun { seat, origin, targets: numbered })
}

impl Begun {
    /// It is done, by this arm if it is a `select`.
    pub(crate) fn end(self, arm: Option<usize>, ending: Ending) {
        let Self { seat, origin, targets } = self;
        let mut state = seat.run.state();
        let party = seat.party;
        let doing = &mut state.parties[party].doing;
        if let Some(at) = doing.iter().rposition(|doing| doing.at == origin.at()) {
            doing.remove(at);
        }
        let arm = arm.and_then(|arm| targets.get(arm));
        let channel = match (arm, &targets[..]) {
            (Some(&(_, channel)), _) | (None, &[(_, channel)]) => channel,
            _ => 0,
        };
        let what = What::Did(Name::Method(origin.name()), ending, arm.map(|&(origin, _)| origin));
        state.push(party, what, None, channel);
    }
}

/// The waker of a party was woken.
pub(crate) fn wake(seat: &Seat) {
    let by = with_seat(|by| Arc::ptr_eq(&by.run, &seat.run).then_some(by.party)).flatten();
    seat.wake(by);
}

/// For a party that can neither go on nor be unwound.
#[cold]
pub(crate) fn stay_stuck() -> ! {
    loop {
        std::thread::park();
    }
}
