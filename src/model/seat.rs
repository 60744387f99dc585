//! A party as its own thread and its wakers know it: how it passes its turn on, waits, and is unwound.

use std::mem;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::Waker;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::failure::FailureKind;
use super::report;
use super::run::{Next, PartyKind, Pass, Run, State, Status, What};

/// The turn of one party.
#[derive(Debug, Default)]
pub(super) struct Turn {
    is_given: AtomicBool,
    /// The party that ended last leaves it to this one to choose the next.
    must_choose: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Turn {
    pub(super) fn give(&self) {
        self.is_given.store(true, Release);
        self.unpark();
    }

    pub(super) fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// The thread of the party, which may not run yet.
    pub(super) fn set_thread(&self, thread: Thread) {
        _ = self.thread.set(thread);
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

    /// Something that is no point of choice, and that a loop could do for ever.
    pub(super) fn glance(&self) {
        self.unwind_if_ending();
        self.run.count_turn(&mut self.run.state());
        self.unwind_if_ending();
    }

    /// Whether the run is ending, and no other party will come to wake this one, which waits in a destructor.
    pub(super) fn is_hopeless(&self) -> bool {
        self.run.is_ending() && self.run.state().is_hopeless(1, self.run.settings.patience)
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
        let is_fresh = mem::take(&mut state.parties[self.party].is_fresh);
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
        state.parties[party].goes_round = false;
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
        self.run.changed.wait_for(&mut state, Duration::from_millis(1));
        let is_hopeless = state.is_hopeless(0, self.run.settings.patience);
        state.waiting_in_unwind -= 1;
        !is_hopeless
    }

    /// The party has woken itself, or was woken before it waited: others go first.
    pub(crate) fn wait_awake(&self) {
        let goes_round = mem::replace(&mut self.run.state().parties[self.party].goes_round, true);
        let pass = if goes_round { Pass::Yields } else { Pass::YieldsOnce };
        self.point(pass, false, |state, party| {
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
        } else if by.is_some_and(|by| by != self.party) {
            state.parties[self.party].goes_round = false;
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
            let waiters = mem::take(&mut state.scope_waiters);
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
                has_panicked |= mem::take(&mut party.has_untold_panic);
                party.kind = PartyKind::Scoped(0);
            }
        }
        has_panicked
    }

    pub(super) fn now(&self) -> Instant {
        self.run.base + self.run.state().now
    }
}
