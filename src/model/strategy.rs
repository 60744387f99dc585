//! Schedules as values of proptest, which shrink.
//!
//! | pass      | what is tried                                                                                     |
//! |-----------|---------------------------------------------------------------------------------------------------|
//! | `Pin`     | the run that failed, alone                                                                        |
//! | `Search`  | all schedules with 0, 1, 2 departures, for a failure of the same kind                             |
//! | `Zero`    | without a block of departures; the blocks become smaller                                          |
//! | `Remove`  | with the departures from one on a choice earlier                                                  |
//! | `Lower`   | a departure to an option with a lower number                                                      |
//! | `Done`    | the simplest that failed, once more, so that the last failure which proptest saw is that          |
//!
//! What a run chose may be no simpler than what it was told to choose. So only a schedule whose measure is strictly smaller is accepted, and shrinking ends.

use proptest::strategy::{NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::failure::FailureKind;
use super::schedule::{Departure, Found, Plan, Schedule};

/// Schedules for a `proptest!`: made by [`schedules`].
#[derive(Clone, Copy, Debug)]
pub struct Schedules {
    runs: u32,
}

/// Schedules of `runs` runs by chance each, by turns uniform, rarely switching, and by priorities.
///
/// One that fails shrinks: while it is random the other arguments of the test can shrink (so it should be the last argument), then the run that failed is
/// pinned, and then replaced by one with as few departures as possible that fails in the same way.
///
/// ```
/// use handover::model::{self, schedules, thread};
/// use handover::rendezvous;
/// use proptest::prelude::*;
///
/// proptest! {
///     # #![proptest_config(ProptestConfig::with_cases(8))]
///     # /*
///     #[test]
///     # */
///     fn every_value_arrives(values: Vec<u8>, s in schedules(20)) {
///         let got = model::check(&s, || {
///             let (tx, rx) = rendezvous();
///             let values = values.clone();
///             let sender = thread::spawn(move || tx.send_all(values).wait());
///             let got: Vec<u8> = rx.iter().collect();
///             sender.join().unwrap().unwrap();
///             got
///         })?;
///         prop_assert_eq!(got, values);
///     }
/// }
/// every_value_arrives();
/// ```
pub fn schedules(runs: u32) -> Schedules {
    Schedules { runs }
}

impl Strategy for Schedules {
    type Tree = ScheduleTree;
    type Value = Schedule;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let seed = proptest::num::u64::ANY.new_tree(runner)?.current();
        let now = Schedule::random(seed, self.runs.max(1));
        Ok(ScheduleTree { now, best: None, pass: Pass::Pin })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Pin,
    Search {
        departures: usize,
    },
    /// `size` departures at once, of which the last one has `from` behind it.
    Zero {
        size: usize,
        from: usize,
    },
    Remove {
        from: usize,
    },
    Lower {
        from: usize,
    },
    Done,
}

/// A run that failed.
#[derive(Clone, Debug)]
struct Best {
    departures: Vec<Departure>,
    choices: u32,
    kind: FailureKind,
}

impl Best {
    /// What makes one simpler than another: departures, the choice of the last one, the sum of the options, and then the length of the run.
    fn measure(&self) -> (usize, u32, u64, u32) {
        let last = self.departures.last().map_or(0, |departure| departure.0);
        let options = self.departures.iter().map(|departure| u64::from(departure.1)).sum();
        (self.departures.len(), last, options, self.choices)
    }
}

/// A schedule that shrinks.
#[derive(Clone, Debug)]
pub struct ScheduleTree {
    now: Schedule,
    /// The simplest run that failed, once there is one.
    best: Option<Best>,
    /// How `now` came from that.
    pass: Pass,
}

impl ScheduleTree {
    /// What is tried next.
    fn next(&mut self) -> Option<Plan> {
        let best = self.best.as_ref()?;
        let places = &best.departures;
        loop {
            match self.pass {
                Pass::Pin => self.pass = Pass::Search { departures: 0 },
                Pass::Search { departures } if departures >= places.len() => {
                    return self.last();
                }
                Pass::Search { departures } if departures > 2 => {
                    self.pass = Pass::Zero { size: places.len(), from: 0 };
                }
                Pass::Search { departures } => {
                    return Some(Plan::Search { departures: departures as u32, kind: best.kind });
                }
                Pass::Zero { size, from } if from >= places.len() => {
                    self.pass = match size {
                        0 | 1 => Pass::Remove { from: 0 },
                        size => Pass::Zero { size: size.div_ceil(2), from: 0 },
                    };
                }
                // From the end, since what comes late matters to fewer.
                Pass::Zero { size, from } => {
                    let end = places.len() - from;
                    let mut fewer = places.clone();
                    fewer.drain(end.saturating_sub(size)..end);
                    return Some(Plan::Given(fewer));
                }
                Pass::Remove { from } => match places.get(from) {
                    None => self.pass = Pass::Lower { from: 0 },
                    Some(&(at, _))
                        if from.checked_sub(1).map_or(at == 0, |i| places[i].0 + 1 == at) =>
                    {
                        self.pass = Pass::Remove { from: from + 1 };
                    }
                    Some(_) => {
                        let mut earlier = places.clone();
                        earlier[from..].iter_mut().for_each(|(at, _)| *at -= 1);
                        return Some(Plan::Given(earlier));
                    }
                },
                Pass::Lower { from } => match places.get(from) {
                    None => return self.last(),
                    Some((_, 1)) => self.pass = Pass::Lower { from: from + 1 },
                    Some(_) => {
                        let mut lower = places.clone();
                        lower[from].1 -= 1;
                        return Some(Plan::Given(lower));
                    }
                },
                Pass::Done => return None,
            }
        }
    }

    /// The simplest run that failed, once more and for the last time.
    fn last(&mut self) -> Option<Plan> {
        self.pass = Pass::Done;
        self.best.as_ref().map(|best| Plan::Given(best.departures.clone()))
    }

    fn confirm(&mut self) -> bool {
        let plan = self.last();
        self.now = plan.map_or_else(Schedule::default, Schedule::new);
        true
    }

    /// What was tried last is no simpler run that fails.
    fn skip(&mut self) {
        self.pass = match self.pass {
            Pass::Pin => Pass::Search { departures: 0 },
            Pass::Search { departures } => Pass::Search { departures: departures + 1 },
            Pass::Zero { size, from } => Pass::Zero { size, from: from + size },
            Pass::Remove { from } => Pass::Remove { from: from + 1 },
            Pass::Lower { from } => Pass::Lower { from: from + 1 },
            Pass::Done => Pass::Done,
        };
    }

    fn try_next(&mut self) -> bool {
        match self.next() {
            Some(plan) => {
                self.now = Schedule::new(plan);
                true
            }
            None => false,
        }
    }
}

impl ValueTree for ScheduleTree {
    type Value = Schedule;

    fn current(&self) -> Schedule {
        self.now.clone()
    }

    /// The run that was just made failed.
    fn simplify(&mut self) -> bool {
        let found = self.now.found.lock().take();
        let found =
            found.map(|Found { departures, choices, kind }| Best { departures, choices, kind });
        match (found, &self.best) {
            (Some(found), None) => {
                self.now = Schedule::new(Plan::Given(found.departures.clone()));
                self.best = Some(found);
                self.pass = Pass::Pin;
                return true;
            }
            (Some(found), Some(best)) => {
                let is_same = found.kind == best.kind;
                if is_same && found.measure() < best.measure() {
                    let is_shortest = matches!(self.pass, Pass::Search { .. });
                    self.best = Some(found);
                    if is_shortest {
                        return self.confirm();
                    }
                } else {
                    self.skip();
                }
            }
            // The test failed outside of the model: that has nothing to do with the schedule.
            (None, _) => return false,
        }
        self.try_next()
    }

    /// The run that was just made did not fail.
    fn complicate(&mut self) -> bool {
        if self.best.is_none() || self.pass == Pass::Done {
            return false;
        }
        self.skip();
        self.try_next()
    }
}
