//! Which choices a run makes: at random, as written down, or each in turn.
//!
//! A run asks at each point of choice for a number below the number of options. Number 0 is what happens by default; any other number is a departure. So a
//! schedule is its departures: `"14:2 16:2"` is option 2 at the choices 14 and 16, and option 0 everywhere else.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::failure::FailureKind;

/// One choice of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pick {
    pub(super) at: u32,
    pub(super) of: u32,
}

/// A departure: at which choice, and to which option.
pub(super) type Departure = (u32, u32);

/// The departures among the choices of a run.
pub(super) fn departures(picks: &[Pick]) -> Vec<Departure> {
    let numbered = (0..).zip(picks);
    numbered.filter(|(_, pick)| pick.at != 0).map(|(number, pick)| (number, pick.at)).collect()
}

/// The parties that may go on at a choice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options<'a> {
    /// The parties, in order of preference.
    pub(super) parties: &'a [usize],
    /// Whether option 0 is the party that has the turn, which could keep it.
    pub(super) keeps_turn: bool,
    /// The party that gives up its turn of its own will, though it could go on.
    pub(super) yields: Option<usize>,
}

/// What chooses.
#[derive(Debug)]
pub(super) enum Chooser {
    Given { departures: Arc<[Departure]>, next: usize, number: u32 },
    Chance(Chance),
}

impl Chooser {
    pub(super) fn given(departures: &[Departure]) -> Self {
        Self::Given { departures: departures.into(), next: 0, number: 0 }
    }

    /// One of `n` options.
    pub(super) fn choose(&mut self, n: usize) -> usize {
        match self {
            Self::Chance(chance) => chance.below(n),
            Self::Given { departures, next, number } => {
                let now = *number;
                *number += 1;
                match departures.get(*next) {
                    Some(&(at, pick)) if at == now => {
                        *next += 1;
                        (pick as usize).min(n - 1) // What does not fit is clipped.
                    }
                    _ => 0,
                }
            }
        }
    }

    pub(super) fn choose_party(&mut self, options: Options<'_>) -> usize {
        match self {
            Self::Chance(chance) => chance.choose_party(options),
            Self::Given { .. } => self.choose(options.parties.len()),
        }
    }
}

/// Three kinds of chance, by turns: each option alike; rarely another party; by priorities that change now and then ("probabilistic concurrency testing").
#[derive(Debug)]
pub(super) struct Chance {
    state: u64,
    kind: ChanceKind,
    priorities: Vec<u64>,
    lowest: u64,
}

#[derive(Clone, Copy, Debug)]
enum ChanceKind {
    Uniform,
    RarelySwitching,
    Priorities,
}

impl Chance {
    pub(super) fn new(seed: u64, run: u32) -> Self {
        let kind = match run % 3 {
            0 => ChanceKind::Uniform,
            1 => ChanceKind::RarelySwitching,
            _ => ChanceKind::Priorities,
        };
        let mut chance = Self {
            state: seed ^ (u64::from(run) << 32),
            kind,
            priorities: Vec::new(),
            lowest: 1 << 32,
        };
        chance.roll();
        chance
    }

    /// By splitmix64.
    fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.roll()) * n as u128) >> 64) as usize
    }

    fn choose_party(&mut self, options: Options<'_>) -> usize {
        let n = options.parties.len();
        match self.kind {
            ChanceKind::Uniform => self.below(n),
            ChanceKind::RarelySwitching => {
                let stays = options.keeps_turn && self.below(8) > 0;
                if stays { 0 } else { self.below(n) }
            }
            ChanceKind::Priorities => self.highest(options),
        }
    }

    fn highest(&mut self, options: Options<'_>) -> usize {
        let known = options.parties.iter().copied().max().map_or(0, |party| party + 1);
        while self.priorities.len() < known {
            let priority = self.roll() | 1 << 63;
            self.priorities.push(priority);
        }
        if let Some(party) = options.yields {
            self.lowest = self.lowest.saturating_sub(1);
            self.priorities[party] = self.lowest;
        }
        let highest = |priorities: &[u64]| {
            let by_priority = |&option: &usize| priorities[options.parties[option]];
            (0..options.parties.len()).max_by_key(by_priority).unwrap_or(0)
        };
        let first = highest(&self.priorities);
        if self.below(16) > 0 {
            return first;
        }
        let lowered = (self.roll() >> 1) | 1 << 40;
        self.priorities[options.parties[first]] = lowered;
        highest(&self.priorities)
    }
}

/// What a schedule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// So many runs, each by chance.
    Random { seed: u64, runs: u32 },
    /// One run.
    Given(Vec<Departure>),
    /// Every run with so many departures, until one fails in this way.
    #[cfg_attr(not(feature = "proptest"), allow(dead_code))]
    Search { departures: u32, kind: FailureKind },
}

/// What the last failing run of a schedule was.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "proptest"), allow(dead_code))]
pub(super) struct Found {
    pub(super) departures: Vec<Departure>,
    pub(super) choices: u32,
    pub(super) kind: FailureKind,
}

/// Which choices a model makes: the party that goes on at each point of choice, which deadline passes, what [`choose`](super::choose) gives.
///
/// Its text is its departures from the default: `"14:2 16:2"` is option 2 at the choices 14 and 16. The empty text is the schedule without departures.
/// A [`Failure`](super::Failure) has the schedule of its run, and its report has the text, which brings the same run again.
///
/// ```
/// use handover::model::Schedule;
///
/// let schedule: Schedule = "14:2 16:2".parse().unwrap();
/// assert_eq!(schedule.to_string(), "14:2 16:2");
/// assert!("14:".parse::<Schedule>().is_err());
/// ```
#[derive(Clone)]
pub struct Schedule {
    pub(super) plan: Plan,
    /// Shared by the clones: what the last failing run chose.
    pub(super) found: Arc<Mutex<Option<Found>>>,
}

impl Schedule {
    pub(super) fn new(plan: Plan) -> Self {
        Self { plan, found: Arc::default() }
    }

    /// `runs` runs by chance: as many are made by one [`check`](super::check), until one fails.
    ///
    /// The same seed brings the same runs.
    ///
    /// ```
    /// use handover::model::{self, Schedule};
    /// use handover::rendezvous;
    ///
    /// let sum = model::check(&Schedule::random(7, 100), || {
    ///     let (tx, rx) = rendezvous();
    ///     let sender = model::thread::spawn(move || tx.send_all([1, 2, 3]).wait());
    ///     let sum: u32 = rx.iter().sum();
    ///     sender.join().unwrap().unwrap();
    ///     sum
    /// });
    /// assert_eq!(sum.unwrap(), 6);
    /// ```
    pub fn random(seed: u64, runs: u32) -> Self {
        Self::new(Plan::Random { seed, runs })
    }
}

/// The schedule without departures.
impl Default for Schedule {
    fn default() -> Self {
        Self::new(Plan::Given(Vec::new()))
    }
}

/// Its text, which can be parsed again.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.plan {
            Plan::Random { seed, runs } => write!(f, "random {seed} {runs}"),
            Plan::Given(departures) => {
                for (n, (at, pick)) in departures.iter().enumerate() {
                    let space = if n > 0 { " " } else { "" };
                    write!(f, "{space}{at}:{pick}")?;
                }
                Ok(())
            }
            Plan::Search { departures, .. } => write!(f, "search {departures}"),
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schedule").field(&self.to_string()).finish()
    }
}

/// Two schedules are equal if they have the same text.
impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.plan == other.plan
    }
}

impl Eq for Schedule {}

/// A text that is no schedule.
///
/// ```
/// let error = "3:1 2:1".parse::<handover::model::Schedule>().unwrap_err();
/// assert!(error.to_string().contains("`2:1`"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseScheduleError {
    part: String,
    what: &'static str,
}

impl fmt::Display for ParseScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, what } = self;
        write!(
            f,
            "no schedule: `{part}`: {what}; a schedule is like \"14:2 16:2\" or \"random 7 100\""
        )
    }
}

impl Error for ParseScheduleError {}

/// A number without a sign.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

impl FromStr for Schedule {
    type Err = ParseScheduleError;

    fn from_str(text: &str) -> Result<Self, ParseScheduleError> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let error = |part: &str, what| ParseScheduleError { part: part.to_string(), what };
        if let ["random", rest @ ..] = &parts[..] {
            let [seed, runs] = rest else {
                return Err(error(text, "a seed and a number of runs follow `random`"));
            };
            let seed = seed.parse().map_err(|_| error(seed, "not a seed"))?;
            let runs = runs.parse().map_err(|_| error(runs, "not a number of runs"))?;
            return Ok(Self::random(seed, runs));
        }
        let mut departures: Vec<Departure> = Vec::new();
        for part in parts {
            let (at, pick) =
                part.split_once(':').ok_or_else(|| error(part, "no `:` between two numbers"))?;
            let at = number(at).ok_or_else(|| error(part, "not the number of a choice"))?;
            let pick = number(pick).ok_or_else(|| error(part, "not the number of an option"))?;
            if pick == 0 {
                return Err(error(part, "option 0 is no departure"));
            }
            if departures.last().is_some_and(|&(last, _)| last >= at) {
                return Err(error(part, "the choices are not in order"));
            }
            departures.push((at, pick));
        }
        Ok(Self::new(Plan::Given(departures)))
    }
}

/// Every schedule with a certain number of departures, once each: those with one more come from the runs of those with one less.
#[derive(Debug)]
pub(super) struct Explorer {
    /// Those of the present level that are still to be run.
    level: Vec<Vec<Departure>>,
    /// Those with one departure more.
    next_level: Vec<Vec<Departure>>,
    /// How many departures the present level has.
    departures: u32,
    most: u32,
}

impl Explorer {
    pub(super) fn new(most: u32) -> Self {
        Self { level: vec![Vec::new()], next_level: Vec::new(), departures: 0, most }
    }

    /// The next schedule, those with the fewest departures first.
    pub(super) fn next(&mut self) -> Option<Vec<Departure>> {
        if self.level.is_empty() {
            if self.departures == self.most {
                return None;
            }
            self.departures += 1;
            self.level = std::mem::take(&mut self.next_level);
            self.level.reverse();
        }
        self.level.pop()
    }

    /// Learns from a run of that schedule where more departures are possible.
    pub(super) fn learn(&mut self, schedule: &[Departure], picks: &[Pick]) {
        if self.departures == self.most {
            return;
        }
        let first = schedule.last().map_or(0, |&(at, _)| at as usize + 1);
        for (at, pick) in picks.iter().enumerate().skip(first) {
            for option in 1..pick.of {
                let mut longer = schedule.to_vec();
                longer.push((at as u32, option));
                self.next_level.push(longer);
            }
        }
    }
}
