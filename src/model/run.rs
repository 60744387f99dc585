//! One run: its parties, of which one at a time has the turn, and the choice of the next one.
//!
//! | a party is ... | it becomes ...                                                                                               |
//! |----------------|--------------------------------------------------------------------------------------------------------------|
//! | ready          | the one that has the turn, if it is chosen                                                                   |
//! | waiting        | ready: woken by another party, or by a deadline of its own that passes                                       |
//! | ended          | nothing any more                                                                                             |
//!
//! The party that has the turn gives it away at a point of choice (it stays ready), when it waits, and when it ends. Then `next` chooses among the parties that
//! are ready and the deadlines that may pass. If there is neither, the run has ended, or it is deadlocked.
//!
//! | a run is ... | what the parties do                                                                                            |
//! |--------------|----------------------------------------------------------------------------------------------------------------|
//! | under way    | one has the turn, the others are parked                                                                        |
//! | ending       | it has failed: all are unparked at once, and unwind, each on its own; a party that has not started drops its closure |
//! | over         | none is left, but for those that are stuck; one whose thread comes only now drops its closure                  |
//!
//! While a run is ending, a party that is unwinding and waits in a destructor really waits, for as long as another party could still wake it; then its wait is given up.
//! The state is under one mutex, and no user code runs under it.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::channels::Channels;
use super::crew::Crew;
use super::failure::{Details, FailureKind};
use super::report;
use super::schedule::{Chooser, Options, Pick};
use super::seat::{Seat, Turn};
use super::{Settings, Timers};
use crate::point::{Ending, Origin};

pub(super) type Place = &'static std::panic::Location<'static>;

/// For so long a deadlocked run waits for a thread that is no party to show itself.
const FOR_STRANGERS: Duration = Duration::from_millis(10);
/// For so long a run waits for the thread of a party that is chosen, while others could go on.
const FOR_ARRIVAL: Duration = Duration::from_millis(50);
/// A patience beyond this would not fit into an `Instant`.
const LONGEST: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// How many waits a step may have, before a run counts as endless.
const WAITS_A_STEP: u64 = 16;

/// What runs a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartyKind {
    /// The caller's thread.
    Main,
    /// A thread of `spawn`.
    Thread,
    /// A thread of `spawn_async`.
    Task,
    /// A thread of a scope, with the scope's address.
    Scoped(usize),
    /// Any thread, which comes by itself.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ready,
    /// Until it is woken or `deadline` has passed. A `recheck` passes only where nothing else can happen.
    Waiting {
        deadline: Option<Duration>,
        recheck: Option<Duration>,
    },
    Ended,
}

/// An operation under way.
#[derive(Clone, Debug)]
pub(super) struct Doing {
    pub(super) name: Name,
    pub(super) at: Place,
    /// The operations and the channels that they are on, by number: of a `select`, each arm.
    pub(super) targets: Vec<(Origin, u32)>,
    /// A task may have several of these under way.
    pub(super) is_polled: bool,
}

/// The name of what a party does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A method of this crate.
    Method(&'static str),
    /// `join` of another party.
    Join(usize),
    /// The end of a scope.
    Scope,
}

#[derive(Debug)]
pub(super) struct Party {
    pub(super) name: String,
    pub(super) kind: PartyKind,
    pub(super) spawned_at: Place,
    pub(super) status: Status,
    pub(super) doing: Vec<Doing>,
    /// The step since which it waits.
    pub(super) since: u32,
    /// A thread runs it, or will.
    pub(super) is_here: bool,
    /// Its thread did not come in time: it is no option until that comes.
    pub(super) is_late: bool,
    /// The last wait ended by a deadline.
    pub(super) is_timed_out: bool,
    /// It has got its turn, and has not done anything since.
    pub(super) is_fresh: bool,
    /// It has woken itself since it last waited or had something done, and no other party has woken it since.
    pub(super) goes_round: bool,
    /// It panicked, and nobody has joined it.
    pub(super) has_untold_panic: bool,
    pub(super) turn: Arc<Turn>,
}

/// What a party did.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Begins(Name),
    Waits,
    /// What it did is done; with the arm of a `select`.
    Did(Name, Ending, Option<Origin>),
    Acts(&'static str),
    Leaves(&'static str, crate::Why),
    Withdraws(&'static str),
    Wakes(usize),
    Spawns(usize),
    Chooses(usize, usize),
    Yields,
    Sleeps,
    TimePasses(Duration),
    Loses,
    Panics,
    Ends,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) step: u32,
    pub(super) party: usize,
    pub(super) what: What,
    pub(super) at: Option<Place>,
    /// By its number; 0 is none.
    pub(super) channel: u32,
}

/// A token that was dropped too early.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) made_at: Place,
    pub(super) by: usize,
    pub(super) step: u32,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) parties: Vec<Party>,
    pub(super) current: usize,
    pub(super) steps: u32,
    pub(super) now: Duration,
    pub(super) channels: Channels,
    pub(super) trace: Vec<Event>,
    pub(super) picks: Vec<Pick>,
    pub(super) lost: Vec<Lost>,
    pub(super) failure: Option<Details>,
    chooser: Chooser,
    /// Waits and points of choice.
    turns: u64,
    /// How many parties wait in a destructor while the run is ending.
    pub(super) waiting_in_unwind: usize,
    /// The parties that wait for the end of a scope's threads.
    pub(super) scope_waiters: Vec<(usize, Waker)>,
    /// Kept for its memory.
    options: Vec<usize>,
    pub(super) ending_since: Option<Instant>,
    has_told_that_it_is_stuck: bool,
}

/// One run of a model.
#[derive(Debug)]
pub(crate) struct Run {
    state: Mutex<State>,
    /// Something happened that the party which chooses waits for: a thread came, a stranger showed itself, a party ended in an ending run.
    pub(super) changed: Condvar,
    is_ending: AtomicBool,
    /// Changes with each turn, for the watchdog.
    progress: AtomicU64,
    /// The party that has the turn waits for a thread in real time, which is no standstill.
    is_patient: AtomicBool,
    pub(super) base: Instant,
    pub(super) settings: Settings,
    pub(super) crew: Arc<Crew>,
}

/// What comes next.
pub(super) enum Next {
    Party(usize),
    /// All have ended.
    Over,
    /// The run has failed.
    Ending,
}

/// How a party gives its turn away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// It could go on.
    Goes,
    /// It could go on, and lets others go first.
    Yields,
    /// The same for one that was about to wait and was woken, for the first time or by another party: it does not go round in a circle.
    YieldsOnce,
    /// It waits, or has ended.
    Stops,
}

impl State {
    pub(super) fn push(&mut self, party: usize, what: What, at: Option<Place>, channel: u32) {
        let step = self.steps;
        self.trace.push(Event { step, party, what, at, channel });
    }

    /// The channel on which the party does something just now.
    pub(super) fn channel_of(&self, party: usize) -> u32 {
        match self.parties[party].doing.last().map(|doing| &doing.targets[..]) {
            Some(&[(_, channel)]) => channel,
            Some([_, ..]) => 0,
            _ => {
                let mut events = self.trace.iter().rev();
                events.find(|event| event.party == party).map_or(0, |event| event.channel)
            }
        }
    }

    pub(super) fn live(&self) -> usize {
        let is_live = |party: &&Party| party.is_here && party.status != Status::Ended;
        self.parties.iter().filter(is_live).count()
    }

    /// Of a run that is ending: whether all parties that could wake another one wait in destructors, with so many that are not counted.
    pub(super) fn is_hopeless(&self, uncounted: usize, patience: Duration) -> bool {
        let since = self.ending_since.map_or(Duration::ZERO, |since| since.elapsed());
        self.live() <= self.waiting_in_unwind + uncounted || since > patience
    }

    /// Whether there is a party whose thread may still come.
    fn is_one_awaited(&self) -> bool {
        self.parties.iter().any(|party| !party.is_here && party.status != Status::Ended)
    }

    fn is_one_waiting(&self) -> bool {
        self.parties.iter().any(|party| matches!(party.status, Status::Waiting { .. }))
    }

    fn is_one_ready(&self) -> bool {
        self.parties.iter().any(|party| party.status == Status::Ready && !party.is_late)
    }

    /// The first moment at which a wait may end by itself, with `recheck`s if nothing else can happen.
    fn earliest(&self, is_idle: bool) -> Option<Duration> {
        let moments = self.parties.iter().filter_map(|party| party.status.ends_at(is_idle));
        moments.min()
    }

    pub(super) fn choose(&mut self, n: usize) -> usize {
        let pick = self.chooser.choose(n);
        self.picks.push(Pick { at: pick as u32, of: n as u32 });
        pick
    }

    /// Chooses the party that has the next turn. `None`: there is none.
    fn choose_party(&mut self, pass: Pass, timers: Timers) -> Option<usize> {
        let (mut first, mut pass) = (self.current, pass);
        let mut options = std::mem::take(&mut self.options);
        let chosen = loop {
            let n = self.parties.len();
            let is_ready = |&party: &usize| {
                let party = &self.parties[party];
                party.status == Status::Ready && !party.is_late
            };
            options.clear();
            options.extend((0..n).map(|i| (first + i) % n).filter(is_ready));
            let is_first_ready = options.first() == Some(&first);
            let yields = is_first_ready && matches!(pass, Pass::Yields | Pass::YieldsOnce);
            if yields && options.len() > 1 {
                options.rotate_left(1);
            }
            // A party that only goes round in a circle lets time pass.
            let may_wait_next = pass == Pass::YieldsOnce && timers == Timers::WhenIdle;
            let is_circling = yields && !may_wait_next;
            let is_idle = options.is_empty() || (is_circling && options.len() == 1);
            let earliest = match timers {
                Timers::WhenIdle if !is_idle => None,
                _ => self.earliest(is_idle),
            };
            let ready = options.len();
            if let Some(earliest) = earliest {
                let passes =
                    |&party: &usize| self.parties[party].status.ends_at(is_idle) == Some(earliest);
                options.extend((0..n).filter(passes));
                if is_idle {
                    options.rotate_left(ready);
                }
            }
            let pick = match options.len() {
                0 => break None,
                1 => 0,
                n => {
                    let options = Options {
                        parties: &options,
                        keeps_turn: is_first_ready && pass == Pass::Goes,
                        yields: yields.then_some(first),
                    };
                    let pick = self.chooser.choose_party(options).min(n - 1);
                    self.picks.push(Pick { at: pick as u32, of: n as u32 });
                    pick
                }
            };
            let party = options[pick];
            if self.parties[party].status == Status::Ready {
                break Some(party);
            }
            // Its deadline passes; that it goes on next is the default of another choice.
            self.now = self.now.max(earliest.unwrap_or_default());
            self.parties[party].status = Status::Ready;
            self.parties[party].is_timed_out = true;
            self.push(party, What::TimePasses(self.now), None, 0);
            (first, pass) = (party, Pass::Goes);
        };
        self.options = options;
        chosen
    }
}

/// A name as a report shows it, if there is anything to show.
fn in_one_line(name: &str) -> Option<String> {
    let shown =
        |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    (!name.trim().is_empty()).then(|| name.trim().chars().map(shown).collect())
}

impl Status {
    fn ends_at(self, is_idle: bool) -> Option<Duration> {
        match self {
            Status::Waiting { deadline, recheck } => {
                deadline.into_iter().chain(recheck.filter(|_| is_idle)).min()
            }
            Status::Ready | Status::Ended => None,
        }
    }
}

impl Run {
    pub(super) fn new(chooser: Chooser, settings: Settings, crew: Arc<Crew>) -> Arc<Self> {
        let state = State {
            parties: Vec::new(),
            current: 0,
            steps: 0,
            now: Duration::ZERO,
            channels: Channels::default(),
            trace: Vec::new(),
            picks: Vec::new(),
            lost: Vec::new(),
            failure: None,
            chooser,
            turns: 0,
            waiting_in_unwind: 0,
            scope_waiters: Vec::new(),
            options: Vec::new(),
            ending_since: None,
            has_told_that_it_is_stuck: false,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            is_ending: AtomicBool::new(false),
            progress: AtomicU64::new(0),
            is_patient: AtomicBool::new(false),
            base: Instant::now(),
            settings,
            crew,
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Acquire)
    }

    /// Adds a party, which is ready at once.
    pub(super) fn add(self: &Arc<Self>, name: Option<String>, kind: PartyKind, at: Place) -> Seat {
        let turn = Arc::<Turn>::default();
        let mut state = self.state();
        let party = state.parties.len();
        state.parties.push(Party {
            name: name
                .and_then(|name| in_one_line(&name))
                .unwrap_or_else(|| format!("thread {party}")),
            kind,
            spawned_at: at,
            status: Status::Ready,
            doing: Vec::new(),
            since: 0,
            is_here: kind != PartyKind::Foreign,
            is_late: false,
            is_timed_out: false,
            is_fresh: false,
            goes_round: false,
            has_untold_panic: false,
            turn: Arc::clone(&turn),
        });
        drop(state);
        Seat { run: Arc::clone(self), party, turn }
    }

    /// The run has failed: all parties are unwound.
    pub(super) fn fail(&self, state: &mut State, kind: FailureKind, what: &report::Verdict) {
        if self.is_ending() {
            return;
        }
        state.failure = Some(report::of(state, kind, what));
        state.ending_since = Some(Instant::now());
        self.is_ending.store(true, Release);
        state.parties.iter().for_each(|party| party.turn.unpark());
        self.changed.notify_all();
    }

    /// Chooses the party that goes on.
    pub(super) fn next(&self, state: &mut MutexGuard<'_, State>, pass: Pass) -> Next {
        self.progress.fetch_add(1, Relaxed);
        self.count_turn(state);
        let mut has_waited = false;
        loop {
            if self.is_ending() {
                return Next::Ending;
            }
            match state.choose_party(pass, self.settings.timers) {
                Some(party) if state.parties[party].is_here => return Next::Party(party),
                Some(party) => {
                    // The thread of this party comes by itself.
                    state.parties[party].is_late = true;
                    let patience =
                        if state.is_one_ready() { FOR_ARRIVAL } else { self.settings.patience };
                    self.wait_for(state, patience, |state| state.parties[party].is_here);
                }
                None if has_waited => {
                    self.fail(state, FailureKind::Deadlock, &report::Verdict::Plain);
                }
                None if !state.is_one_waiting() => return Next::Over,
                None => {
                    has_waited = true;
                    let is_awaited = state.is_one_awaited();
                    let patience = if is_awaited { self.settings.patience } else { FOR_STRANGERS };
                    self.wait_for(state, patience, State::is_one_ready);
                }
            }
        }
    }

    /// The run is over: a party whose thread comes only now does not wait for a turn.
    pub(super) fn close(&self) {
        self.is_ending.store(true, Release);
        self.state().parties.iter().for_each(|party| party.turn.unpark());
    }

    /// Counts what a party could do for ever without a step.
    pub(super) fn count_turn(&self, state: &mut State) {
        state.turns += 1;
        if state.turns > u64::from(self.settings.max_steps).saturating_mul(WAITS_A_STEP) {
            self.fail(state, FailureKind::Endless, &report::Verdict::Plain);
        }
    }

    /// Waits in real time for something that another thread does.
    fn wait_for(
        &self,
        state: &mut MutexGuard<'_, State>,
        patience: Duration,
        mut is_done: impl FnMut(&State) -> bool,
    ) {
        self.is_patient.store(true, Relaxed);
        let until = Instant::now() + patience.min(LONGEST);
        while !self.is_ending() && !is_done(state) {
            if self.changed.wait_until(state, until).timed_out() {
                break;
            }
        }
        self.is_patient.store(false, Relaxed);
        self.progress.fetch_add(1, Relaxed);
    }

    /// A thread that is no party used a channel of this run.
    pub(super) fn stranger(&self, what: &str, at: Option<Place>, channel: u32) {
        let thread = thread::current();
        let name = match thread.name() {
            Some(name) => format!("thread `{name}`"),
            None => format!("a thread without a name ({:?})", thread.id()),
        };
        let verdict = report::Verdict::Stranger { name, what: what.to_string(), at, channel };
        self.fail(&mut self.state(), FailureKind::Stuck, &verdict);
    }

    /// For the caller's thread, after its own part: waits until no party is left that could still end.
    pub(super) fn wait_for_the_others(&self) {
        let mut state = self.state();
        let since = state.ending_since.unwrap_or_else(Instant::now);
        while state.live() > 0 && since.elapsed() < self.settings.patience {
            self.changed.wait_for(&mut state, Duration::from_millis(20));
        }
    }

    /// For the watchdog: a number that changes while the run goes on. `None`: it need not.
    pub(super) fn progress(&self) -> Option<u64> {
        (!self.is_patient.load(Relaxed)).then(|| self.progress.load(Relaxed))
    }

    /// For the watchdog: the party that has the turn has not come back for too long.
    pub(super) fn stand_still(&self) {
        let mut state = self.state();
        match state.ending_since {
            None => {
                self.fail(&mut state, FailureKind::Stuck, &report::Verdict::Plain);
            }
            // Later than the caller's thread gives up on a thread that can be left behind.
            Some(since) if since.elapsed() > self.settings.patience.saturating_mul(2) => {
                if !std::mem::replace(&mut state.has_told_that_it_is_stuck, true) {
                    let text = report::still_stuck(&state);
                    drop(state);
                    eprintln!("{text}");
                }
            }
            Some(_) => {}
        }
    }
}
