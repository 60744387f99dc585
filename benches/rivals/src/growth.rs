//! What one more costs where there are many: channels that are alive, tasks or threads on one channel. The cost of each must not
//! grow with their number; the program fails if it does.

use std::hint::black_box;

use handover::{rendezvous, simplex, stream};

use crate::clock::Clock;
use crate::ends::{AsyncRecv, AsyncSend, BlockingRecv, BlockingSend};
use crate::heap::counted;
use crate::many::{on_tasks, on_threads};
use crate::results::{GrowthLine, GrowthResult, Kind};
use crate::table::{Plan, count, current_thread};
use crate::watch::watched;

/// Passes so many items among so many parties, and returns the cost of each.
type Run = Box<dyn Fn(u64, u64) -> f64>;

struct Program {
    name: &'static str,
    kind: Kind,
    run: Run,
}

pub(crate) struct Growth {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// What there are more and more of.
    pub(crate) counted: &'static str,
    unit: &'static str,
    pub(crate) numbers: &'static [u64],
    limit: f64,
    /// How many items a sample passes at least among so many parties.
    least: fn(u64) -> u64,
    programs: Vec<Program>,
}

const CHANNELS: &[u64] = &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
const TASKS: &[u64] = &[2, 4, 10, 30, 100, 300, 1_000];
const THREADS: &[u64] = &[2, 4, 8, 16, 32, 64];

/// Enough items for every party, so that starting the parties is a small share, and parties that adapt have time to.
fn least_of_parties(parties: u64) -> u64 {
    (200 * parties).max(5_000)
}

pub(crate) fn all() -> Vec<Growth> {
    let programs = Vec::new;
    let mut memory = Growth {
        id: "many-channels-memory",
        title: "memory of each of many channels that are alive",
        counted: "channels",
        unit: "bytes",
        numbers: CHANNELS,
        limit: 1.01,
        least: |_| 0,
        programs: programs(),
    };
    let mut time = Growth {
        id: "many-channels",
        title: "create and drop each of many channels that are alive together",
        unit: "ns",
        // Beyond the caches, and where the system must clear pages, a plain Box costs more, too; it is in the table.
        limit: 10.0,
        least: |channels| channels,
        programs: programs(),
        ..memory
    };
    let mut tasks = Growth {
        id: "many-tasks",
        title: "an item, many tasks on one channel (tokio's `current_thread`)",
        counted: "tasks",
        unit: "ns",
        numbers: TASKS,
        // Level lines come to at most 1.2 even on a busy machine; a walk over all waiters for each item comes to over 2.
        limit: 2.0,
        least: least_of_parties,
        programs: programs(),
    };
    let mut threads = Growth {
        id: "many-threads",
        title: "an item, many threads on one channel",
        counted: "threads",
        numbers: THREADS,
        limit: 3.0,
        programs: programs(),
        ..tasks
    };

    both(&mut memory, &mut time, Kind::Reference, "a Box of 200 bytes", || Box::new([0_u8; 200]));
    both(&mut memory, &mut time, Kind::Ours, "handover simplex", simplex::<u64>);
    both(&mut memory, &mut time, Kind::Ours, "handover stream", stream::<u64>);
    both(&mut memory, &mut time, Kind::Ours, "handover rendezvous", rendezvous::<u64>);
    both(&mut memory, &mut time, Kind::Rival, "kanal(0)", || kanal::bounded::<u64>(0));
    both(&mut memory, &mut time, Kind::Rival, "crossbeam(0)", || {
        crossbeam_channel::bounded::<u64>(0)
    });
    both(&mut memory, &mut time, Kind::Rival, "flume(0)", || flume::bounded::<u64>(0));
    both(&mut memory, &mut time, Kind::Rival, "handoff", handoff::channel::<u64>);

    tasks.on_tasks(Kind::Ours, "handover rendezvous", rendezvous);
    tasks.on_tasks(Kind::Rival, "kanal(0)", || kanal::bounded_async(0));
    tasks.on_tasks(Kind::Rival, "flume(0)", || flume::bounded(0));
    tasks.on_tasks(Kind::Rival, "async-channel(1)", || async_channel::bounded(1));

    threads.on_threads(Kind::Ours, "handover rendezvous", rendezvous);
    threads.on_threads(Kind::Rival, "kanal(0)", || kanal::bounded(0));
    threads.on_threads(Kind::Rival, "crossbeam(0)", || crossbeam_channel::bounded(0));
    threads.on_threads(Kind::Rival, "flume(0)", || flume::bounded(0));
    vec![memory, time, tasks, threads]
}

fn both<C: 'static>(
    memory: &mut Growth,
    time: &mut Growth,
    kind: Kind,
    name: &'static str,
    open: impl Fn() -> C + Copy + 'static,
) {
    memory.add(kind, name, move |number, _| {
        let mut alive = Vec::with_capacity(number as usize);
        let heap = counted(|| alive.extend((0..number).map(|_| open())));
        heap.bytes as f64 / number as f64
    });
    time.add(kind, name, move |number, n| {
        let mut alive = Vec::with_capacity(number as usize);
        let times = n.div_ceil(number);
        let clock = Clock::start();
        for _ in 0..times {
            alive.extend((0..number).map(|_| open()));
            black_box(&mut alive).clear();
        }
        clock.stop().each(times * number)[0]
    });
}

impl Growth {
    fn add(&mut self, kind: Kind, name: &'static str, run: impl Fn(u64, u64) -> f64 + 'static) {
        self.programs.push(Program { name, kind, run: Box::new(run) });
    }

    /// One half of the parties sends, the other half receives.
    fn on_tasks<S: AsyncSend + Clone, R: AsyncRecv + Clone>(
        &mut self,
        kind: Kind,
        name: &'static str,
        open: impl Fn() -> (S, R) + 'static,
    ) {
        self.add(kind, name, move |number, n| {
            let half = number as usize / 2;
            let (sender, receiver) = open();
            on_tasks(&current_thread(), n, vec![sender; half], vec![receiver; half]).each(n)[0]
        });
    }

    fn on_threads<S: BlockingSend + Clone, R: BlockingRecv + Clone>(
        &mut self,
        kind: Kind,
        name: &'static str,
        open: impl Fn() -> (S, R) + 'static,
    ) {
        self.add(kind, name, move |number, n| {
            let half = number as usize / 2;
            let (sender, receiver) = open();
            on_threads(n, vec![sender; half], vec![receiver; half]).each(n)[0]
        });
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.programs.iter().map(|program| program.name).collect()
    }

    /// Measures all programs at all numbers. A line that rises too much is measured once more with twice as many rounds, and the
    /// second result counts: a cost that grows is there both times, a disturbance of the machine hardly ever.
    pub(crate) fn measure(&self, plan: &Plan) -> GrowthResult {
        let all: Vec<_> = self.programs.iter().collect();
        let mut result = GrowthResult {
            id: self.id.into(),
            title: self.title.into(),
            counted: self.counted.into(),
            unit: self.unit.into(),
            numbers: self.numbers.into(),
            limit: self.limit,
            lines: self.lines(&all, plan, plan.rounds_of_growth),
        };
        for (at, program) in self.programs.iter().enumerate() {
            if result.exceeds(&result.lines[at]) {
                eprintln!("{}: {} rises; once more ...", self.id, program.name);
                result.lines[at] =
                    self.lines(&[program], plan, 2 * plan.rounds_of_growth).remove(0);
            }
        }
        result
    }

    /// Each round runs every program at every number, so that figures of one round may be compared; every second round goes from
    /// the greatest number to the smallest.
    fn lines(&self, programs: &[&Program], plan: &Plan, rounds: usize) -> Vec<GrowthLine> {
        let run = |program: &Program, number, n| {
            watched(self.id, program.name, || (program.run)(number, n))
        };
        let items = |program: &Program, number| {
            let least = (self.least)(number);
            if least == 0 {
                0
            } else {
                count(plan.sample_of_growth, |n| run(program, number, n)).max(least)
            }
        };
        let counts: Vec<Vec<u64>> = programs
            .iter()
            .map(|program| self.numbers.iter().map(|&number| items(program, number)).collect())
            .collect();
        let empty = vec![Vec::new(); self.numbers.len()];
        let line = |program: &&Program| GrowthLine {
            name: program.name.into(),
            kind: program.kind,
            samples: empty.clone(),
        };
        let mut lines: Vec<_> = programs.iter().map(line).collect();
        // An amount of memory is the same in each round.
        let rounds = if self.unit == "bytes" { 1 } else { rounds };
        for round in 0..rounds {
            for place in 0..self.numbers.len() {
                let at = if round % 2 == 0 { place } else { self.numbers.len() - 1 - place };
                for ((program, counts), line) in programs.iter().zip(&counts).zip(&mut lines) {
                    line.samples[at].push(run(program, self.numbers[at], counts[at]));
                }
            }
        }
        lines
    }
}
