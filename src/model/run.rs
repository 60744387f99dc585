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
//! | over         | none is left, but for those that are stuck                                                                     |
//!
//! While a run is ending, a party that is unwinding and waits in a destructor really waits, for as long as another party could still wake it; then its wait is given up.
//! The state is under one mutex, and no user code runs under it.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::channels::Channels;
use super::crew::Crew;
use super::failure::{Details, FailureKind};
use super::report;
use super::schedule::{Chooser, Options, Pick};
use super::{Settings, Timers};
use crate::point::{Ending, Origin};

pub(super) type Place = &'static std::panic::Location<'static>;

/// For so long a deadlocked run waits for a thread that is no party to show itself.
const FOR_STRANGERS: Duration = Duration::from_millis(10);
/// For so long a run waits for the thread of a party that is chosen, while others could go on.
const FOR_ARRIVAL: Duration = Duration::from_millis(50);
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
    is_timed_out: bool,
    /// It has got its turn, and has not done anything since.
    is_fresh: bool,
    /// It panicked, and nobody has joined it.
    pub(super) has_untold_panic: bool,
    turn: Arc<Turn>,
}

/// The turn of one party.
#[derive(Debug, Default)]
pub(super) struct Turn {
    is_given: AtomicBool,
    /// The party that ended last leaves it to this one to choose who goes on.
    must_choose: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Turn {
    fn give(&self) {
        self.is_given.store(true, Release);
        self.unpark();
    }

    fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// The thread of the party, which may not run yet.
    pub(super) fn set_thread(&self, thread: Thread) {
        _ = self.thread.set(thread);
    }
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
    waiting_in_unwind: usize,
    /// Who waits for the end of a scope's threads.
    scope_waiters: Vec<(usize, Waker)>,
    /// Kept for its memory.
    options: Vec<usize>,
    ending_since: Option<Instant>,
    has_told_that_it_is_stuck: bool,
}

/// One run of a model.
#[derive(Debug)]
pub(crate) struct Run {
    state: Mutex<State>,
    /// Something happened that the party which chooses waits for: a thread came, a stranger showed itself, a party ended in an ending run.
    changed: Condvar,
    is_ending: AtomicBool,
    /// Changes with each turn, for the watchdog.
    progress: AtomicU64,
    /// The one who has the turn waits for a thread in real time, which is no standstill.
    is_patient: AtomicBool,
    base: Instant,
    pub(super) settings: Settings,
    pub(super) crew: Arc<Crew>,
}

/// What comes next.
enum Next {
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
    /// It waits, or has ended.
    Stops,
}

impl State {
    pub(super) fn push(&mut self, party: usize, what: What, at: Option<Place>, channel: u32) {
        let step = self.steps;
        self.trace.push(Event { step, party, what, at, channel });
    }

    /// The channel on which the party does something just now.
    fn channel_of(&self, party: usize) -> u32 {
        match self.parties[party].doing.last().map(|doing| &doing.targets[..]) {
            Some(&[(_, channel)]) => channel,
            Some([_, ..]) => 0,
            _ => {
                let mut events = self.trace.iter().rev();
                events.find(|event| event.party == party).map_or(0, |event| event.channel)
            }
        }
    }

    fn live(&self) -> usize {
        let is_live = |party: &&Party| party.is_here && party.status != Status::Ended;
        self.parties.iter().filter(is_live).count()
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
            let yields = is_first_ready && pass == Pass::Yields;
            if yields && options.len() > 1 {
                options.rotate_left(1);
            }
            // A party that only goes round in a circle lets time pass.
            let is_idle = options.is_empty() || (yields && options.len() == 1);
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
            name: name.unwrap_or_else(|| format!("thread {party}")),
            kind,
            spawned_at: at,
            status: Status::Ready,
            doing: Vec::new(),
            since: 0,
            is_here: kind != PartyKind::Foreign,
            is_late: false,
            is_timed_out: false,
            is_fresh: false,
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

    /// Who goes on.
    fn next(&self, state: &mut MutexGuard<'_, State>, pass: Pass) -> Next {
        self.progress.fetch_add(1, Relaxed);
        state.turns += 1;
        if state.turns > u64::from(self.settings.max_steps).saturating_mul(WAITS_A_STEP) {
            self.fail(state, FailureKind::Endless, &report::Verdict::Plain);
        }
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

    /// Waits in real time for something that another thread does.
    fn wait_for(
        &self,
        state: &mut MutexGuard<'_, State>,
        patience: Duration,
        mut is_done: impl FnMut(&State) -> bool,
    ) {
        self.is_patient.store(true, Relaxed);
        let until = Instant::now() + patience;
        while !self.is_ending() && !is_done(state) {
            if self.changed.wait_until(state, until).timed_out() {
                break;
            }
        }
        self.is_patient.store(false, Relaxed);
        self.progress.fetch_add(1, Relaxed);
    }

    /// Somebody who is no party used a channel of this run.
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
            Some(since) if since.elapsed() > self.settings.patience => {
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

/// With what a party is unwound when its run has failed.
pub(super) struct Aborted;

/// A party, as its own thread and its wakers know it.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(super) run: Arc<Run>,
    pub(super) party: usize,
    pub(super) turn: Arc<Turn>,
}

impl Seat {
    /// Unwinds this party if its run has failed, unless it is unwinding already.
    fn unwind_if_ending(&self) {
        if self.run.is_ending() && !thread::panicking() {
            std::panic::resume_unwind(Box::new(Aborted));
        }
    }

    /// Waits until it is this party's turn, or the run has failed.
    pub(super) fn wait_turn(&self) {
        while !self.turn.is_given.swap(false, Acquire) && !self.run.is_ending() {
            if self.turn.must_choose.swap(false, Acquire) {
                let state = self.run.state();
                if self.hand_over(state, Pass::Stops) {
                    return;
                }
                continue;
            }
            thread::park();
        }
    }

    /// Gives the turn to the next party; `true` if that is this one.
    fn hand_over(&self, mut state: MutexGuard<'_, State>, pass: Pass) -> bool {
        match self.run.next(&mut state, pass) {
            Next::Party(next) => {
                state.current = next;
                if next == self.party {
                    return true;
                }
                let turn = Arc::clone(&state.parties[next].turn);
                drop(state);
                turn.give();
            }
            Next::Over => {
                let turn = Arc::clone(&state.parties[0].turn);
                drop(state);
                turn.give();
            }
            Next::Ending => {}
        }
        false
    }

    /// A point of choice: others may act before this party goes on with `what`.
    pub(super) fn point(&self, pass: Pass, is_poll: bool, note: impl FnOnce(&mut State, usize)) {
        self.unwind_if_ending();
        let mut state = self.run.state();
        if self.run.is_ending() {
            return; // In a destructor.
        }
        state.steps += 1;
        if state.steps > self.run.settings.max_steps {
            self.run.fail(&mut state, FailureKind::Endless, &report::Verdict::Plain);
            drop(state);
            return self.unwind_if_ending();
        }
        note(&mut state, self.party);
        let is_fresh = std::mem::take(&mut state.parties[self.party].is_fresh);
        if is_fresh && is_poll {
            return; // It was just chosen for this.
        }
        if !self.hand_over(state, pass) {
            self.wait_turn();
            self.unwind_if_ending();
        }
    }

    /// Waits until the party is woken (`true`), or for the deadline.
    pub(crate) fn wait(&self, deadline: Option<Instant>, recheck: Option<Instant>) -> bool {
        self.unwind_if_ending();
        let mut state = self.run.state();
        if self.run.is_ending() {
            drop(state);
            return self.wait_in_unwind();
        }
        let since_base = |time: Instant| time.saturating_duration_since(self.run.base);
        let (deadline, recheck) = (deadline.map(since_base), recheck.map(since_base));
        if deadline.is_some_and(|deadline| deadline <= state.now) {
            return false;
        }
        let (party, step) = (self.party, state.steps);
        state.parties[party].status = Status::Waiting { deadline, recheck };
        state.parties[party].since = step;
        state.parties[party].is_timed_out = false;
        state.push(party, What::Waits, None, 0);
        if !self.hand_over(state, Pass::Stops) {
            self.wait_turn();
        }
        self.unwind_if_ending();
        let mut state = self.run.state();
        if self.run.is_ending() {
            drop(state);
            return self.wait_in_unwind();
        }
        state.parties[party].is_fresh = true;
        !state.parties[party].is_timed_out
    }

    /// Waits in a destructor while the run is ending: for a moment, if another party may still wake this one. `false`: none will.
    fn wait_in_unwind(&self) -> bool {
        let mut state = self.run.state();
        state.waiting_in_unwind += 1;
        let is_hopeless = |state: &State| {
            let since = state.ending_since.map_or(Duration::ZERO, |since| since.elapsed());
            state.live() <= state.waiting_in_unwind || since > self.run.settings.patience
        };
        self.run.changed.wait_for(&mut state, Duration::from_millis(1));
        let is_hopeless = is_hopeless(&state);
        state.waiting_in_unwind -= 1;
        !is_hopeless
    }

    /// The party has woken itself, or was woken before it waited: others go first.
    pub(crate) fn wait_awake(&self) {
        self.point(Pass::Yields, false, |state, party| {
            state.push(party, What::Yields, None, 0);
        });
        if !self.run.is_ending() {
            self.run.state().parties[self.party].is_fresh = true;
        }
    }

    /// Makes the party ready. `by`: the party that wakes it, if it is one of the same run.
    pub(super) fn wake(&self, by: Option<usize>) {
        let mut state = self.run.state();
        if let Status::Waiting { .. } = state.parties[self.party].status {
            if !self.run.is_ending() {
                state.parties[self.party].status = Status::Ready;
                match by {
                    Some(by) => {
                        let channel = state.channel_of(by);
                        state.push(by, What::Wakes(self.party), None, channel);
                    }
                    None => {
                        let name = state.parties[self.party].name.clone();
                        drop(state);
                        self.run.stranger(&format!("the waker of {name}"), None, 0);
                        return;
                    }
                }
            }
        }
        drop(state);
        self.run.changed.notify_all();
    }

    /// The thread of the party has come.
    pub(super) fn arrive(&self) {
        self.turn.set_thread(thread::current());
        let mut state = self.run.state();
        let party = &mut state.parties[self.party];
        (party.is_here, party.is_late) = (true, false);
        drop(state);
        self.run.changed.notify_all();
    }

    /// The party has ended, and passes its turn on.
    pub(super) fn leave(&self) {
        let mut state = self.run.state();
        let party = &mut state.parties[self.party];
        party.status = Status::Ended;
        party.doing.clear();
        let kind = party.kind;
        state.push(self.party, What::Ends, None, 0);
        if let PartyKind::Scoped(scope) = kind {
            let waiters = std::mem::take(&mut state.scope_waiters);
            let (ours, others) = waiters.into_iter().partition(|&(waited, _)| waited == scope);
            state.scope_waiters = others;
            drop(state);
            let ours: Vec<(usize, Waker)> = ours;
            ours.into_iter().for_each(|(_, waker)| waker.wake());
            state = self.run.state();
        }
        if self.run.is_ending() {
            drop(state);
        } else if kind == PartyKind::Foreign {
            // This thread may be awaited as the next party's, so it must not wait itself.
            let main = Arc::clone(&state.parties[0].turn);
            drop(state);
            main.must_choose.store(true, Release);
            main.unpark();
        } else {
            self.hand_over(state, Pass::Stops);
        }
        self.run.changed.notify_all();
    }

    /// A party that no thread runs any more: its closure was dropped.
    pub(super) fn vanish(&self) {
        self.run.state().parties[self.party].status = Status::Ended;
        self.run.changed.notify_all();
    }

    /// Whether a thread of this scope still runs; then the waker is woken when one has ended.
    pub(super) fn is_scope_busy(&self, scope: usize, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut state = self.run.state();
        let is_busy = state
            .parties
            .iter()
            .any(|party| party.kind == PartyKind::Scoped(scope) && party.status != Status::Ended);
        if is_busy {
            state.scope_waiters.push((scope, waker));
        }
        is_busy
    }

    /// Whether a thread of this scope panicked and was not joined. The scope is over.
    pub(super) fn end_scope(&self, scope: usize) -> bool {
        let mut state = self.run.state();
        let mut has_panicked = false;
        for party in &mut state.parties {
            if party.kind == PartyKind::Scoped(scope) {
                has_panicked |= std::mem::take(&mut party.has_untold_panic);
                party.kind = PartyKind::Scoped(0);
            }
        }
        has_panicked
    }

    pub(super) fn now(&self) -> Instant {
        self.run.base + self.run.state().now
    }
}
