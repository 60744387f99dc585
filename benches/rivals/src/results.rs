//! What one run measured and observed: written as JSON, read again, and turned into tables and charts.
//!
//! A process that was started for some of the rows passes them to its parent in this form, too.

use serde::{Deserialize, Serialize};

/// Everything that one run found out.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// The processor, the compiler and the versions of the crates.
    pub(crate) machine: String,
    /// The Cargo profile that the program was built with.
    pub(crate) profile: String,
    /// How often and how long each program was run.
    pub(crate) method: String,
    pub(crate) rows: Vec<RowResult>,
    /// Some of the rows again, by a program that was built with another profile.
    pub(crate) other_profile: Option<OtherProfile>,
    pub(crate) growth: Vec<GrowthResult>,
    pub(crate) promises: Vec<PromiseResult>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct OtherProfile {
    pub(crate) profile: String,
    pub(crate) rows: Vec<RowResult>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    #[serde(rename = "handover")]
    Ours,
    Rival,
    /// Not a channel, but it shows what a channel could reach.
    Reference,
}

/// Where the ends of a row's channels live.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Parties {
    Threads,
    Tasks,
    Both,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RowResult {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) parties: Parties,
    /// The first measure is the one that a row is sorted by.
    pub(crate) measures: Vec<Measure>,
    pub(crate) programs: Vec<ProgramResult>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Measure {
    pub(crate) name: String,
    pub(crate) unit: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ProgramResult {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// For each measure, one figure a round.
    pub(crate) samples: Vec<Vec<f64>>,
}

impl ProgramResult {
    /// The median of the row's first measure.
    pub(crate) fn median(&self) -> f64 {
        median(&self.samples[0])
    }
}

impl RowResult {
    /// The programs, the lowest median first.
    pub(crate) fn sorted(&self) -> Vec<&ProgramResult> {
        let mut programs: Vec<_> = self.programs.iter().collect();
        programs.sort_by(|a, b| a.median().total_cmp(&b.median()));
        programs
    }

    pub(crate) fn best(
        &self,
        is_wanted: impl Fn(&ProgramResult) -> bool,
    ) -> Option<&ProgramResult> {
        self.sorted().into_iter().find(|program| is_wanted(program))
    }

    /// Adds the samples of a later run of the same row.
    pub(crate) fn append(&mut self, later: Self) {
        for (program, later) in self.programs.iter_mut().zip(later.programs) {
            for (samples, later) in program.samples.iter_mut().zip(later.samples) {
                samples.extend(later);
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct GrowthResult {
    pub(crate) id: String,
    pub(crate) title: String,
    /// What there are more and more of: channels, tasks or threads.
    pub(crate) counted: String,
    pub(crate) unit: String,
    pub(crate) numbers: Vec<u64>,
    /// How much more the greatest number may cost than the smaller ones: see `GrowthLine::rise`.
    pub(crate) limit: f64,
    pub(crate) lines: Vec<GrowthLine>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct GrowthLine {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// For each number, one figure a round.
    pub(crate) samples: Vec<Vec<f64>>,
}

impl GrowthLine {
    pub(crate) fn medians(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(|samples| median(samples))
    }

    /// The cost at the greatest number, divided by the median of the costs at the smaller numbers. The cost at a number is the
    /// lowest of its rounds: a disturbance, or a spell in which waiting threads sleep rather than spin, adds to some rounds, and
    /// a cost that grows with the number adds to each. One number that is special (two threads have a core each) decides nothing.
    pub(crate) fn rise(&self) -> f64 {
        let lowest = |samples: &Vec<f64>| samples.iter().copied().fold(f64::INFINITY, f64::min);
        let lowest: Vec<_> = self.samples.iter().map(lowest).collect();
        lowest.split_last().map_or(1.0, |(last, smaller)| last / median(smaller))
    }
}

impl GrowthResult {
    pub(crate) fn exceeds(&self, line: &GrowthLine) -> bool {
        line.kind == Kind::Ours && line.rise() > self.limit
    }

    /// The lines of handover that rise more than they may.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failing = self.lines.iter().filter(|line| self.exceeds(line));
        let describe = |line: &GrowthLine| {
            format!(
                "{}: {}: one of {} {} costs {:.2} times as much as one of fewer; at most {} times is permitted",
                self.id,
                line.name,
                self.numbers.last().copied().unwrap_or_default(),
                self.counted,
                line.rise(),
                self.limit
            )
        };
        failing.map(describe).collect()
    }
}

/// What was observed of one channel. See `promise.rs`.
#[derive(Serialize, Deserialize)]
pub(crate) struct PromiseResult {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// On a thread: whether a send was `Ok` although nobody had called receive. None if the ends cannot block.
    pub(crate) is_early_on_threads: Option<bool>,
    /// The observations in tasks. None if the crate has no async ends.
    pub(crate) tasks: Option<TaskPromise>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct TaskPromise {
    /// Whether a send was `Ok` although nobody had called receive.
    pub(crate) is_early: bool,
    /// Whether a send was `Ok` while the only receive was a future that had been polled and returned Pending.
    pub(crate) is_early_beside_a_receive: bool,
    /// What became of the value when that future was dropped without another poll.
    pub(crate) fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// The next receive got it.
    Received,
    /// No receive got it, although its send was `Ok`.
    Lost,
    /// Its send is still pending, and the next receive did not get it.
    Stuck,
}

impl PromiseResult {
    /// Whether the channel kept the promise: a send is `Ok` only after a receive has the value, and no value is lost. None if
    /// it was not tried in this place.
    pub(crate) fn is_kept(&self, parties: Parties) -> Option<bool> {
        let on_threads = self.is_early_on_threads.map(|is_early| !is_early);
        let in_tasks = self.tasks.as_ref().map(|tasks| {
            !tasks.is_early && !tasks.is_early_beside_a_receive && tasks.fate == Fate::Received
        });
        match parties {
            Parties::Threads => on_threads,
            Parties::Tasks => in_tasks,
            Parties::Both => [on_threads, in_tasks].into_iter().flatten().reduce(|a, b| a && b),
        }
    }
}

pub(crate) fn median(samples: &[f64]) -> f64 {
    Spread::of(samples).median
}

/// The median, and the range of the samples without the outer tenth on either side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    pub(crate) fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else {
            return Self { low: 0.0, median: 0.0, high: 0.0 };
        };
        let outer = sorted.len() / 10;
        Self { low: sorted[outer], median: sorted[sorted.len() / 2], high: sorted[last - outer] }
    }

    /// Whether the figure varies more than twofold.
    pub(crate) fn is_wide(&self) -> bool {
        self.high > 2.0 * self.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [u64; 6] = [2, 4, 8, 16, 32, 64];

    /// Judges a line whose cost at each number and in each round `cost` tells.
    fn is_failing(cost: impl Fn(u64, usize) -> f64) -> bool {
        let samples = NUMBERS.map(|number| (0..5).map(|round| cost(number, round)).collect());
        let line = GrowthLine { name: "planted".into(), kind: Kind::Ours, samples: samples.into() };
        let result = GrowthResult {
            id: "id".into(),
            title: "title".into(),
            counted: "threads".into(),
            unit: "ns".into(),
            numbers: NUMBERS.into(),
            limit: 3.0,
            lines: vec![line],
        };
        !result.failures().is_empty()
    }

    #[test]
    fn a_level_line_passes_although_a_few_figures_are_disturbed() {
        assert!(!is_failing(|_, _| 700.0));
        // Four of five rounds are disturbed exactly at the greatest number.
        assert!(!is_failing(|number, round| {
            if number == 64 && round < 4 { 5_000.0 } else { 700.0 }
        }));
        // The machine is ten times as slow in some rounds.
        assert!(!is_failing(|_, round| if round % 2 == 0 { 700.0 } else { 7_000.0 }));
        // Two threads have a core each, and the cores are near.
        assert!(!is_failing(|number, _| if number == 2 { 90.0 } else { 700.0 }));
    }

    #[test]
    fn a_cost_of_n_for_each_item_fails() {
        assert!(is_failing(|number, _| 20.0 * number as f64));
        assert!(is_failing(|number, _| 700.0 + 100.0 * number as f64));
    }

    #[test]
    fn a_spread_leaves_the_outer_tenths_out() {
        let mut samples = vec![100.0; 18];
        samples.extend([1.0, 1_000.0]);
        let spread = Spread::of(&samples);
        assert_eq!((spread.low, spread.median, spread.high), (100.0, 100.0, 100.0));
        assert!(!spread.is_wide());
        assert!(Spread::of(&[100.0, 201.0]).is_wide());
    }
}
