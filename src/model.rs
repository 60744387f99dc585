#![doc = include_str!("../docs/model.md")]

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

mod channels;
mod crew;
mod diagram;
mod failure;
mod hooks;
mod report;
mod run;
mod schedule;
mod scope;
mod seat;
#[cfg(feature = "proptest")]
mod strategy;
mod task;
pub mod thread;
mod token;
mod watchdog;

use crew::Crew;
pub use failure::{Failure, FailureKind};
pub(crate) use hooks::{
    Begun, Way, act, begin, here, is_hopeless, made, now_of_party, pick, stay_stuck, wake, withdraw,
};
use run::{PartyKind, Place, Run};
use schedule::{Chance, Chooser, Explorer, Found, Pick, Plan, departures};
pub use schedule::{ParseScheduleError, Schedule};
pub(crate) use seat::Seat;
#[cfg(feature = "proptest")]
pub use strategy::{ScheduleTree, Schedules, schedules};
pub use task::{block_on, choose, now, party, spawn_async};
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
        hooks::be_quiet();
        crate::point::begin_model();
        Self { settings, at, crew: Arc::default() }
    }

    fn once<R>(&self, chooser: Chooser, body: impl FnOnce() -> R) -> Ran<R> {
        let run = Run::new(chooser, self.settings, Arc::clone(&self.crew));
        let watching = watchdog::watch(&run);
        let root = run.add(Some("main".to_string()), PartyKind::Main, self.at);
        root.arrive();
        hooks::sit(Some(root.clone()));
        let result = catch_unwind(AssertUnwindSafe(body));
        let result = result.map_err(|payload| {
            let payload = hooks::party_ended(&root, payload);
            crate::panics::swallow(|| drop(payload));
        });
        hooks::sit(None);
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
        run.close();
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
