//! Runs rounds one after another: a scene, its parties on threads and in tasks, and the judge when all have left.

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

use futures_util::FutureExt;
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use crate::chance::Chance;
use crate::crew::{Work, Worker};
use crate::options::Options;
use crate::oracle::{Faults, Log, judge};
use crate::party::{Me, Modes, Runner};
use crate::scenes;
use crate::watch::{Counts, Seat};

/// The most parties that a scene has.
const MOST_PARTIES: usize = 6;

/// What all lanes have in common.
pub(crate) struct Soak {
    pub(crate) options: Options,
    next_round: AtomicU64,
    pub(crate) is_stopped: AtomicBool,
    pub(crate) totals: Mutex<Totals>,
}

impl Soak {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            next_round: AtomicU64::new(0),
            is_stopped: AtomicBool::new(false),
            totals: Mutex::default(),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) rounds: u64,
    pub(crate) counts: Counts,
    pub(crate) faults: Faults,
    /// The rounds that went wrong, and how.
    pub(crate) reports: Vec<Report>,
}

#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) round: u64,
    pub(crate) text: String,
}

/// What the watchdog sees of a lane: it lives as long as the process.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) round: AtomicU64,
    about: Mutex<String>,
    seats: [Seat; MOST_PARTIES],
    living: AtomicI64,
    pub(crate) is_over: AtomicBool,
}

impl Lane {
    pub(crate) fn steps(&self) -> u64 {
        self.seats.iter().map(Seat::steps).fold(self.round.load(Relaxed), u64::wrapping_add)
    }

    /// What its round is, and what each party does.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("  {}\n", self.about.lock());
        for (party, seat) in self.seats.iter().enumerate() {
            if !seat.doing().is_empty() {
                _ = writeln!(text, "  party {party} is in {}", seat.doing());
            }
        }
        text
    }
}

/// The parties that have left.
#[derive(Default)]
struct Left {
    logs: Mutex<Vec<(u32, Log, Counts)>>,
    bell: Condvar,
}

impl Left {
    fn add(&self, party: u32, log: Log, counts: Counts) {
        self.logs.lock().push((party, log, counts));
        self.bell.notify_one();
    }
}

/// Runs rounds until the soak is stopped.
pub(crate) fn run_lane(soak: &Soak, number: usize, lane: &'static Lane, tokio: Option<&Handle>) {
    let crew: Vec<_> =
        (0..MOST_PARTIES).map(|worker| Worker::new(format!("lane {number}.{worker}"))).collect();
    while !soak.is_stopped.load(Relaxed) {
        let round = match soak.options.round {
            Some(round) => round,
            None => soak.next_round.fetch_add(1, Relaxed),
        };
        run_round(soak, round, lane, &crew, tokio);
    }
    lane.is_over.store(true, Relaxed);
}

fn run_round(
    soak: &Soak,
    round: u64,
    lane: &'static Lane,
    crew: &[Worker],
    tokio: Option<&Handle>,
) {
    let options = &soak.options;
    let mut chance = Chance::of_round(options.seed, round);
    let mut modes = Modes {
        forgets: chance.one_in(8) && options.forgets,
        panics: chance.one_in(4) && options.panics,
        is_bounded: chance.one_in(8),
        needs_threads: false,
        is_across: true,
    };
    let (scene, make) = scenes::choose(&mut chance, options.only.as_deref());
    let parties = make(&mut chance, &mut modes);
    let is_together = !modes.needs_threads && chance.one_in(12);
    let mut runners: Vec<_> =
        parties.iter().map(|_| a_runner(&mut chance, modes.needs_threads, options)).collect();
    if is_together {
        let runner = match runners[0] {
            Runner::Thread | Runner::TokioMulti => Runner::Hand,
            runner => runner,
        };
        runners.fill(runner);
    }
    let on_tokio = runners.iter().filter(|runner| **runner == Runner::TokioMulti).count();
    modes.is_across &= !is_together && on_tokio <= 1;

    let together = if is_together { ", in one task" } else { "" };
    *lane.about.lock() = format!("{scene}: {runners:?}{together}; {modes:?}");
    lane.seats.iter().for_each(|seat| seat.leave());
    lane.living.store(0, Relaxed);
    lane.round.store(round, Relaxed);

    let left = Arc::new(Left::default());
    let count = parties.len();
    let mut works: Vec<(Runner, Work)> = Vec::new();
    for ((party, runner), number) in parties.into_iter().zip(runners).zip(0..) {
        let me = Me {
            number,
            chance: Chance::new(chance.next()),
            modes,
            runner,
            seat: &lane.seats[number as usize],
            living: &lane.living,
            log: Log::default(),

            counts: Counts::default(),
            has_panicked: false,
        };
        let left = Arc::clone(&left);
        let work = Box::pin(async move {
            let done = AssertUnwindSafe(async move { party(me).await }).catch_unwind().await;
            match done {
                Ok(me) => {
                    me.seat.begin("leaving");
                    left.add(number, me.log, me.counts);
                }
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().map(String::as_str);
                    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                    let wrong = format!("a panic: {}", text.unwrap_or("one that was planned"));
                    let log = Log { wrong: vec![wrong], ..Log::default() };
                    left.add(number, log, Counts::default());
                }
            }
        });
        works.push((runner, work));
    }
    if is_together {
        let runner = works[0].0;
        let all = futures_util::future::join_all(works.into_iter().map(|(_, work)| work));
        crew[0].run(runner, Box::pin(async move { _ = all.await }));
    } else {
        for ((runner, work), worker) in works.into_iter().zip(crew) {
            match tokio {
                Some(tokio) if runner == Runner::TokioMulti => drop(tokio.spawn(work)),
                _ => worker.run(runner, work),
            }
        }
    }

    let mut logs = left.logs.lock();
    while logs.len() < count {
        left.bell.wait(&mut logs);
    }
    let mut counts = Counts::default();
    let mut all = Vec::new();
    for (party, log, count) in logs.drain(..) {
        counts.add(count);
        all.push((party, log));
    }
    all.sort_by_key(|(party, _)| *party);
    let (faults, text) = judge(&all, lane.living.load(Relaxed));

    let mut totals = soak.totals.lock();
    totals.rounds += 1;
    totals.counts.add(counts);
    totals.faults.add(faults);
    if faults.total() > 0 {
        let text = format!("  {}\n{text}", lane.about.lock());
        totals.reports.push(Report { round, text });
        soak.is_stopped.store(true, Relaxed);
    }
}

fn a_runner(chance: &mut Chance, needs_threads: bool, options: &Options) -> Runner {
    let runner = match chance.below(16) {
        0..5 => Runner::Thread,
        5..8 => Runner::Hand,
        8..10 => Runner::Pollster,
        10..12 => Runner::FuturesLite,
        12..14 => Runner::TokioCurrent,
        _ => Runner::TokioMulti,
    };
    match runner {
        _ if needs_threads => Runner::Thread,
        Runner::TokioCurrent | Runner::TokioMulti if !options.tokio => Runner::Hand,
        Runner::Pollster | Runner::FuturesLite if !options.executors => Runner::Hand,
        runner => runner,
    }
}
