//! The rows, the programs in them, and how a row is measured: all programs in turn, in several rounds.

use std::collections::HashSet;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::drive;
use crate::ends::{AsyncRecv, AsyncSend, BlockingRecv, BlockingSend, Requester, Responder};
use crate::footprint;
use crate::results::{Kind, Measure, Parties, ProgramResult, RowResult, median};
use crate::watch::watched;

/// Passes a number of items, and returns a figure for each measure of its row.
type Run = Box<dyn Fn(u64) -> Vec<f64>>;

pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    run: Run,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Effort {
    /// As many items as fill the time of a sample. The first measure is nanoseconds of wall time for each item.
    Timed,
    /// One item, a few times.
    Once,
}

pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    parties: Parties,
    /// Name and unit. The first measure is the one that a row is sorted by.
    measures: &'static [(&'static str, &'static str)],
    effort: Effort,
    /// Samples of each program in a round; their median is the figure of the round. More than one where a sample depends on
    /// where the system puts its threads.
    samples_a_round: usize,
    pub(crate) on_one_core: bool,
    /// Whether the row is also measured with the second build profile: how well a compiler inlines decides there.
    pub(crate) in_both_profiles: bool,
    pub(crate) programs: Vec<Program>,
}

const TIMES: &[(&str, &str)] = &[("wall", "ns"), ("CPU", "ns")];

impl Row {
    fn timed(id: &'static str, parties: Parties, title: &'static str) -> Self {
        Self {
            id,
            title,
            parties,
            measures: TIMES,
            effort: Effort::Timed,
            samples_a_round: 1,
            on_one_core: false,
            in_both_profiles: false,
            programs: Vec::new(),
        }
    }

    /// Measures all programs in turn. Every second round runs them in the opposite order, so that no program always comes after
    /// the same other one.
    pub(crate) fn measure(&self, plan: &Plan) -> RowResult {
        let counts: Vec<u64> =
            self.programs.iter().map(|program| self.count(program, plan)).collect();
        let mut samples = vec![vec![Vec::new(); self.measures.len()]; self.programs.len()];
        for round in 0..plan.rounds(self.effort) {
            let mut parts = vec![vec![Vec::new(); self.measures.len()]; self.programs.len()];
            for _ in 0..self.samples_a_round {
                for place in 0..self.programs.len() {
                    let at = if round % 2 == 0 { place } else { self.programs.len() - 1 - place };
                    let program = &self.programs[at];
                    let figures = watched(self.id, program.name, || (program.run)(counts[at]));
                    for (figure, parts) in figures.into_iter().zip(&mut parts[at]) {
                        parts.push(figure);
                    }
                }
            }
            for (samples, parts) in samples.iter_mut().flatten().zip(parts.iter().flatten()) {
                samples.push(median(parts));
            }
        }
        self.result(samples)
    }

    fn result(&self, samples: Vec<Vec<Vec<f64>>>) -> RowResult {
        let measure =
            |&(name, unit): &(&str, &str)| Measure { name: name.into(), unit: unit.into() };
        let programs = self.programs.iter().zip(samples).map(|(program, samples)| ProgramResult {
            name: program.name.into(),
            kind: program.kind,
            samples,
        });
        RowResult {
            id: self.id.into(),
            title: self.title.into(),
            parties: self.parties,
            measures: self.measures.iter().map(measure).collect(),
            programs: programs.collect(),
        }
    }

    /// How many items fill the time of a sample. Finding this out also warms up.
    fn count(&self, program: &Program, plan: &Plan) -> u64 {
        if self.effort == Effort::Once {
            return 1;
        }
        let sample = plan.sample / self.samples_a_round as u32;
        watched(self.id, program.name, || count(sample, |n| (program.run)(n)[0]))
    }
}

/// How long to measure.
pub(crate) struct Plan {
    pub(crate) sample: Duration,
    pub(crate) rounds: usize,
    pub(crate) rounds_of_once: usize,
    pub(crate) sample_of_growth: Duration,
    pub(crate) rounds_of_growth: usize,
}

impl Plan {
    pub(crate) fn new(is_quick: bool) -> Self {
        let millis = Duration::from_millis;
        let (sample, sample_of_growth) =
            if is_quick { (millis(40), millis(15)) } else { (millis(300), millis(60)) };
        let (rounds, rounds_of_once) = if is_quick { (5, 1) } else { (9, 3) };
        Self { sample, rounds, rounds_of_once, sample_of_growth, rounds_of_growth: 5 }
    }

    fn rounds(&self, effort: Effort) -> usize {
        if effort == Effort::Once { self.rounds_of_once } else { self.rounds }
    }
}

/// How many items fill the time of a sample, by `run`, which returns the nanoseconds of each item.
pub(crate) fn count(sample: Duration, mut run: impl FnMut(u64) -> f64) -> u64 {
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

/// All rows. The methods add a contestant to each row that its ends can do.
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
    has_creation_rows: HashSet<&'static str>,
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
        use Parties::{Both, Tasks, Threads};
        let timed = Row::timed;
        let in_both_profiles = |row| Row { in_both_profiles: true, ..row };
        let on_one_core = |row| Row { on_one_core: true, ..row };
        let by_medians = |row| Row { samples_a_round: 5, ..row };
        let mut rows = vec![
            in_both_profiles(timed("threads", Threads, "thread to thread, an item a hand-over")),
            by_medians(timed("thread-to-task", Both, "thread to task (`block_on`)")),
            by_medians(timed("task-to-thread", Both, "task (`block_on`) to thread")),
            on_one_core(timed("one-core", Threads, "thread to thread, both pinned to one core")),
            in_both_profiles(timed("joined", Tasks, "two tasks joined in one task")),
            in_both_profiles(timed(
                "current-thread",
                Tasks,
                "two tasks on tokio's `current_thread`",
            )),
            timed("multi-thread", Tasks, "two tasks on tokio's `multi_thread`, 2 workers"),
            timed("4-to-4", Threads, "4 producers to 4 consumers, threads"),
            timed("4-to-1", Threads, "4 producers to 1 consumer, threads"),
            timed("1-to-4", Threads, "1 producer to 4 consumers, threads"),
            on_one_core(timed(
                "4-to-4-one-core",
                Threads,
                "4 producers to 4 consumers, threads on one core",
            )),
            timed("mixed", Both, "2 threads and 2 tasks to 2 threads and 2 tasks"),
            in_both_profiles(timed(
                "4-to-4-current-thread",
                Tasks,
                "4 producers to 4 consumers, tasks on tokio's `current_thread`",
            )),
            timed(
                "4-to-4-multi-thread",
                Tasks,
                "4 producers to 4 consumers, tasks on tokio's `multi_thread`, 2 workers",
            ),
            timed("select-2", Threads, "a receive from one of 2 channels, thread to thread"),
            timed("select-8", Threads, "a receive from one of 8 channels, thread to thread"),
            timed("select-send-2", Threads, "a send into one of 2 channels, thread to thread"),
            timed("select-send-8", Threads, "a send into one of 8 channels, thread to thread"),
            in_both_profiles(timed("generator", Tasks, "a generator driven by its consumer")),
            in_both_profiles(timed(
                "batches",
                Threads,
                "batches of 256, thread to thread; an item",
            )),
            in_both_profiles(timed(
                "large-batches",
                Threads,
                "batches of 4096, thread to thread, beside a ring; an item",
            )),
        ];
        rows.extend(WORKS.map(|(id, title, _)| timed(id, Threads, title)));
        rows.push(Row {
            measures: &[("CPU", "ns"), ("wall", "ns")],
            effort: Effort::Once,
            ..timed("blocked", Threads, "blocked for a second")
        });
        rows.push(in_both_profiles(timed("create", Both, "create and drop a channel")));
        rows.push(Row {
            measures: &[
                ("heap of a channel", "bytes"),
                ("allocations of a channel", ""),
                ("allocations of a message", ""),
            ],
            effort: Effort::Once,
            ..timed("memory", Both, "memory of a channel and of a message (u64)")
        });
        Self { rows, has_creation_rows: HashSet::new() }
    }

    /// Adds one program to one row.
    pub(crate) fn add(
        &mut self,
        row: &str,
        name: &'static str,
        run: impl Fn(u64) -> Vec<f64> + 'static,
    ) {
        let kind = if name.starts_with("handover") { Kind::Ours } else { Kind::Rival };
        self.add_as(kind, row, name, run);
    }

    pub(crate) fn add_as(
        &mut self,
        kind: Kind,
        row: &str,
        name: &'static str,
        run: impl Fn(u64) -> Vec<f64> + 'static,
    ) {
        let row = self.rows.iter_mut().find(|known| known.id == row).expect("a row that exists");
        row.programs.push(Program { name, kind, run: Box::new(run) });
    }

    /// Adds a channel whose ends can block and be awaited.
    pub(crate) fn everywhere<S: BlockingSend + AsyncSend, R: BlockingRecv + AsyncRecv>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> (S, R) + Copy + 'static,
    ) {
        self.threads(name, open);
        self.tasks(name, open);
        self.thread_to_task(name, open);
        self.task_to_thread(name, open);
    }

    pub(crate) fn threads<S: BlockingSend, R: BlockingRecv>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> (S, R) + Copy + 'static,
    ) {
        for row in ["threads", "one-core"] {
            self.add(row, name, move |n| drive::threads(n, open()).each(n));
        }
        self.add_creation(name, open, move |n| _ = drive::threads(n, open()));
    }

    pub(crate) fn tasks<S: AsyncSend, R: AsyncRecv>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> (S, R) + Copy + 'static,
    ) {
        self.add("joined", name, move |n| drive::joined(n, open()).each(n));
        self.add("current-thread", name, move |n| {
            drive::spawned(&current_thread(), n, open()).each(n)
        });
        self.add("multi-thread", name, move |n| drive::spawned(&two_workers(), n, open()).each(n));
        self.add_creation(name, open, move |n| _ = drive::joined(n, open()));
    }

    pub(crate) fn thread_to_task<S: BlockingSend, R: AsyncRecv>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> (S, R) + 'static,
    ) {
        self.add("thread-to-task", name, move |n| drive::thread_to_task(n, open()).each(n));
    }

    pub(crate) fn task_to_thread<S: AsyncSend, R: BlockingRecv>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> (S, R) + 'static,
    ) {
        self.add("task-to-thread", name, move |n| drive::task_to_thread(n, open()).each(n));
    }

    /// Adds a pair of ends of which one asks and the other one answers.
    pub(crate) fn ping_pong<A: Requester, B: Responder>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> (A, B) + Copy + 'static,
    ) {
        for (row, _, nanos) in WORKS {
            self.add(row, name, move |n| {
                let work = drive::Work::of(nanos);
                drive::ping_pong(n, open(), || work.run()).each(n)
            });
        }
    }

    /// Adds a channel to the rows about creation and memory, once for each name. `pass` sends so many items through a channel.
    pub(crate) fn add_creation<C: 'static>(
        &mut self,
        name: &'static str,
        open: impl Fn() -> C + Copy + 'static,
        pass: impl Fn(u64) + 'static,
    ) {
        if self.has_creation_rows.insert(name) {
            self.add("create", name, move |n| footprint::create(n, open).each(n));
            self.add("memory", name, move |_| footprint::memory(open, &pass));
        }
    }
}

pub(crate) fn current_thread() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

pub(crate) fn two_workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().expect("a runtime")
}
