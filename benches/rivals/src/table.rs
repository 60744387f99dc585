//! The rows of the table, the programs in them, and how a row is measured: all programs in rotation, several times.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::drive;
use crate::ends::{Answerer, Caller, Give, GiveAsync, Take, TakeAsync};
use crate::footprint;
use crate::watch::watched;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Rival,
    /// What is no channel, but tells what a channel could reach.
    Reference,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "handover",
            Self::Rival => "rival",
            Self::Reference => "reference",
        }
    }
}

/// Runs a number of items, and gives a figure for each measure of its row.
type Run = Box<dyn Fn(u64) -> Vec<f64>>;

pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    run: Run,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// As many items as fill the time; the first measure is nanoseconds of wall time for each.
    Timed,
    /// One item, a few times.
    Once,
}

pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// Name and unit. The first one is what a chart shows.
    pub(crate) measures: &'static [(&'static str, &'static str)],
    effort: Effort,
    pub(crate) on_one_core: bool,
    pub(crate) programs: Vec<Program>,
}

const TIMES: &[(&str, &str)] = &[("wall", "ns"), ("CPU", "ns")];
const ITEM: u64 = 1;

impl Row {
    fn timed(id: &'static str, title: &'static str) -> Self {
        let programs = Vec::new();
        Self { id, title, measures: TIMES, effort: Effort::Timed, on_one_core: false, programs }
    }

    /// Measures all programs in rotation. Gives the samples: for each program, for each measure, one a round.
    pub(crate) fn measure(&self, plan: &Plan) -> Vec<Vec<Vec<f64>>> {
        let counts: Vec<u64> =
            self.programs.iter().map(|program| self.count(program, plan)).collect();
        let mut samples = vec![vec![Vec::new(); self.measures.len()]; self.programs.len()];
        for _ in 0..if self.effort == Effort::Once { plan.rounds_of_once } else { plan.rounds } {
            for ((program, &count), samples) in self.programs.iter().zip(&counts).zip(&mut samples)
            {
                let figures = watched(self.id, program.name, || (program.run)(count));
                for (figure, samples) in figures.into_iter().zip(samples) {
                    samples.push(figure);
                }
            }
        }
        samples
    }

    /// How many items fill the time of a sample. Finding out warms up, too.
    fn count(&self, program: &Program, plan: &Plan) -> u64 {
        if self.effort == Effort::Once {
            return ITEM;
        }
        watched(self.id, program.name, || count(plan.sample, |n| (program.run)(n)[0]))
    }
}

/// How long to measure.
pub(crate) struct Plan {
    pub(crate) sample: Duration,
    pub(crate) rounds: usize,
    pub(crate) rounds_of_once: usize,
    sample_of_growth: Duration,
    rounds_of_growth: usize,
}

impl Plan {
    pub(crate) fn new(is_quick: bool) -> Self {
        let millis = Duration::from_millis;
        let (sample, sample_of_growth) =
            if is_quick { (millis(40), millis(15)) } else { (millis(300), millis(100)) };
        let (rounds, rounds_of_once) = if is_quick { (5, 1) } else { (9, 3) };
        let rounds_of_growth = if is_quick { 3 } else { 5 };
        Self { sample, rounds, rounds_of_once, sample_of_growth, rounds_of_growth }
    }

    /// Samples of `run`, which gives the nanoseconds of each of so many. `least` of them are always run: starting all the
    /// parties shall not count.
    pub(crate) fn growth(&self, least: u64, mut run: impl FnMut(u64) -> f64) -> Vec<f64> {
        let count = count(self.sample_of_growth, &mut run).max(least);
        let is_long = least >= 1_000_000;
        let rounds = if is_long { self.rounds_of_once } else { self.rounds_of_growth };
        (0..rounds).map(|_| run(count)).collect()
    }
}

/// How many items fill the time of a sample, by `run`, which gives the nanoseconds of each.
fn count(sample: Duration, mut run: impl FnMut(u64) -> f64) -> u64 {
    let target = sample.as_nanos() as f64;
    let mut count = 8.0;
    loop {
        let elapsed = run(count as u64) * count;
        let factor = target / elapsed.max(1.0);
        if factor < 4.0 {
            return (count * factor).max(8.0) as u64;
        }
        count *= factor.min(20.0);
    }
}

/// Lowest, median and highest of the samples.
pub(crate) fn spread(samples: &[f64]) -> [f64; 3] {
    let mut sorted = samples.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    [sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]]
}

/// All rows. The methods enter a contestant into each row that its ends can do.
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
    is_made: HashSet<&'static str>,
}

/// The rows of the ping-pong with work between: id, title, nanoseconds of work at each turn.
pub(crate) const WORKS: [(&str, &str, u64); 4] = [
    ("work-1us", "ping-pong, 1 µs of work at each turn; a round trip", 1_000),
    ("work-10us", "ping-pong, 10 µs of work at each turn; a round trip", 10_000),
    ("work-100us", "ping-pong, 100 µs of work at each turn; a round trip", 100_000),
    ("work-1ms", "ping-pong, 1 ms of work at each turn; a round trip", 1_000_000),
];

impl Table {
    pub(crate) fn new() -> Self {
        let mut rows = vec![
            Row::timed("threads", "thread to thread, an item a hand-over"),
            Row::timed("thread-to-task", "thread to task (`block_on`)"),
            Row::timed("task-to-thread", "task (`block_on`) to thread"),
            Row {
                on_one_core: true,
                ..Row::timed("one-core", "thread to thread, both pinned to one core")
            },
            Row::timed("joined", "two tasks joined in one task"),
            Row::timed("current-thread", "two tasks on tokio's `current_thread`"),
            Row::timed("multi-thread", "two tasks on tokio's `multi_thread`, 2 workers"),
            Row::timed("4-to-4", "4 producers to 4 consumers, threads"),
            Row::timed("4-to-1", "4 producers to 1 consumer, threads"),
            Row::timed("1-to-4", "1 producer to 4 consumers, threads"),
            Row {
                on_one_core: true,
                ..Row::timed("4-to-4-one-core", "4 producers to 4 consumers, threads on one core")
            },
            Row::timed(
                "4-to-4-current-thread",
                "4 producers to 4 consumers, tasks on tokio's `current_thread`",
            ),
            Row::timed(
                "4-to-4-multi-thread",
                "4 producers to 4 consumers, tasks on tokio's `multi_thread`, 2 workers",
            ),
            Row::timed("select-2", "a receive from one of 2 channels, thread to thread"),
            Row::timed("select-8", "a receive from one of 8 channels, thread to thread"),
            Row::timed("select-send-2", "a send into one of 2 channels, thread to thread"),
            Row::timed("select-send-8", "a send into one of 8 channels, thread to thread"),
            Row::timed("generator", "a generator driven by its consumer"),
            Row::timed("batches", "batches of 256, thread to thread; an item"),
        ];
        rows.extend(WORKS.map(|(id, title, _)| Row::timed(id, title)));
        rows.push(Row {
            measures: &[("CPU", "ns"), ("wall", "ns")],
            effort: Effort::Once,
            ..Row::timed("blocked", "blocked for a second")
        });
        rows.push(Row::timed("create", "create and drop a channel"));
        rows.push(Row {
            measures: &[
                ("heap of a channel", "bytes"),
                ("allocations of a channel", ""),
                ("allocations of a message", ""),
            ],
            effort: Effort::Once,
            ..Row::timed("memory", "memory of a channel and of a message (u64)")
        });
        Self { rows, is_made: HashSet::new() }
    }

    /// Enters one program into one row.
    pub(crate) fn enter(
        &mut self,
        row: &str,
        name: &'static str,
        run: impl Fn(u64) -> Vec<f64> + 'static,
    ) {
        let kind = if name.starts_with("handover") { Kind::Ours } else { Kind::Rival };
        self.enter_as(kind, row, name, run);
    }

    pub(crate) fn enter_as(
        &mut self,
        kind: Kind,
        row: &str,
        name: &'static str,
        run: impl Fn(u64) -> Vec<f64> + 'static,
    ) {
        let row = self.rows.iter_mut().find(|known| known.id == row).expect("a row that exists");
        row.programs.push(Program { name, kind, run: Box::new(run) });
    }

    /// A channel whose ends do everything.
    pub(crate) fn everywhere<G: Give + GiveAsync, T: Take + TakeAsync>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> (G, T) + Copy + 'static,
    ) {
        self.threads(name, open);
        self.tasks(name, open);
        self.thread_to_task(name, open);
        self.task_to_thread(name, open);
    }

    pub(crate) fn threads<G: Give, T: Take>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> (G, T) + Copy + 'static,
    ) {
        for row in ["threads", "one-core"] {
            self.enter(row, name, move |n| drive::threads(n, open()).each(n));
        }
        self.made(name, open, move |n| _ = drive::threads(n, open()));
    }

    pub(crate) fn tasks<G: GiveAsync, T: TakeAsync>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> (G, T) + Copy + 'static,
    ) {
        self.enter("joined", name, move |n| drive::joined(n, open()).each(n));
        self.enter("current-thread", name, move |n| {
            drive::spawned(&runtime(&mut Builder::new_current_thread()), n, open()).each(n)
        });
        self.enter("multi-thread", name, move |n| {
            let runtime = runtime(Builder::new_multi_thread().worker_threads(2));
            drive::spawned(&runtime, n, open()).each(n)
        });
        self.made(name, open, move |n| _ = drive::joined(n, open()));
    }

    pub(crate) fn thread_to_task<G: Give, T: TakeAsync>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> (G, T) + 'static,
    ) {
        self.enter("thread-to-task", name, move |n| drive::thread_to_task(n, open()).each(n));
    }

    pub(crate) fn task_to_thread<G: GiveAsync, T: Take>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> (G, T) + 'static,
    ) {
        self.enter("task-to-thread", name, move |n| drive::task_to_thread(n, open()).each(n));
    }

    /// A pair of ends that ask and answer.
    pub(crate) fn ping_pong<C: Caller, A: Answerer>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> (C, A) + Copy + 'static,
    ) {
        for (row, _, nanos) in WORKS {
            self.enter(row, name, move |n| {
                let work = drive::Work::of(nanos);
                drive::ping_pong(n, open(), || work.run()).each(n)
            });
        }
    }

    /// The rows about making a channel; once for each contestant. `pass` sends so many items through one.
    fn made<C: 'static>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> C + Copy + 'static,
        pass: impl Fn(u64) + 'static,
    ) {
        if self.is_made.insert(name) {
            self.enter("create", name, move |n| footprint::create(n, open).each(n));
            self.enter("memory", name, move |_| footprint::memory(open, &pass));
        }
    }
}

pub(crate) fn runtime(builder: &mut Builder) -> Runtime {
    builder.build().expect("a runtime")
}
