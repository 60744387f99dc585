//! What more of something costs: channels that are alive, tasks or threads on one channel. The cost of each must not grow with
//! their number; that is checked.

use std::fmt::Write as _;
use std::hint::black_box;

use handover::{rendezvous, simplex, stream};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::clock::Clock;
use crate::ends::{Give, GiveAsync, Take, TakeAsync};
use crate::heap::counted;
use crate::many::{on_tasks, on_threads};
use crate::report::{figure, named};
use crate::table::{Kind, Plan, runtime, spread};
use crate::watch::watched;

/// What so many of them cost, each.
type Run = Box<dyn Fn(u64, &Plan) -> Samples>;
type Samples = Vec<f64>;

struct Program {
    name: &'static str,
    kind: Kind,
    run: Run,
}

pub(crate) struct Growth {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// Of what there is more and more.
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) numbers: &'static [u64],
    /// How many times as much each may cost where there are most of them as where there are fewest.
    pub(crate) limit: f64,
    programs: Vec<Program>,
}

const CHANNELS: &[u64] = &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
const TASKS: &[u64] = &[2, 4, 10, 30, 100, 300, 1_000];
/// How many items a sample passes at least: enough for each party, and for those that learn how to wait.
fn least(parties: u64) -> u64 {
    (200 * parties).max(5_000)
}
const THREADS: &[u64] = &[2, 4, 8, 16, 32, 64];

pub(crate) fn all() -> Vec<Growth> {
    let programs = Vec::new;
    let mut memory = Growth {
        id: "many-channels-memory",
        title: "memory of each of many channels that are alive",
        what: "channels",
        unit: "bytes",
        numbers: CHANNELS,
        limit: 1.01,
        programs: programs(),
    };
    let mut time = Growth {
        id: "many-channels",
        title: "create and drop each of many channels that are alive together",
        unit: "ns",
        // Caches end, and the system clears pages: what nothing but boxes costs is in the table, too.
        limit: 10.0,
        programs: programs(),
        ..memory
    };
    let mut tasks = Growth {
        id: "many-tasks",
        title: "an item, many tasks on one channel (tokio's `current_thread`)",
        what: "tasks",
        unit: "ns",
        numbers: TASKS,
        limit: 3.0,
        programs: programs(),
    };
    let mut threads = Growth {
        id: "many-threads",
        title: "an item, many threads on one channel",
        what: "threads",
        numbers: THREADS,
        limit: 4.0,
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
    memory.enter(kind, name, move |number, _| {
        let mut alive = Vec::with_capacity(number as usize);
        let heap = counted(|| alive.extend((0..number).map(|_| open())));
        vec![heap.bytes as f64 / number as f64]
    });
    time.enter(kind, name, move |number, plan| {
        let mut alive = Vec::with_capacity(number as usize);
        plan.growth(number, |n| {
            let times = n.div_ceil(number);
            let clock = Clock::start();
            for _ in 0..times {
                alive.extend((0..number).map(|_| open()));
                black_box(&mut alive).clear();
            }
            clock.stop().each(times * number)[0]
        })
    });
}

impl Growth {
    fn enter(
        &mut self,
        kind: Kind,
        name: &'static str,
        run: impl Fn(u64, &Plan) -> Samples + 'static,
    ) {
        self.programs.push(Program { name, kind, run: Box::new(run) });
    }

    /// One half gives, the other half takes.
    fn on_tasks<G: GiveAsync + Clone, T: TakeAsync + Clone>(
        &mut self,
        kind: Kind,
        name: &'static str,
        open: impl Fn() -> (G, T) + 'static,
    ) {
        self.enter(kind, name, move |number, plan| {
            let runtime = runtime(&mut Builder::new_current_thread());
            let half = number as usize / 2;
            plan.growth(least(number), |n| {
                let (giver, taker) = open();
                on_tasks(&runtime, n, vec![giver; half], vec![taker; half]).each(n)[0]
            })
        });
    }

    fn on_threads<G: Give + Clone, T: Take + Clone>(
        &mut self,
        kind: Kind,
        name: &'static str,
        open: impl Fn() -> (G, T) + 'static,
    ) {
        self.enter(kind, name, move |number, plan| {
            let half = number as usize / 2;
            plan.growth(least(number), |n| {
                let (giver, taker) = open();
                on_threads(n, vec![giver; half], vec![taker; half]).each(n)[0]
            })
        });
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.programs.iter().map(|program| program.name).collect()
    }

    pub(crate) fn measure(&self, plan: &Plan) -> Grown<'_> {
        let mut lines: Vec<_> = self
            .programs
            .iter()
            .map(|program| Line { name: program.name, kind: program.kind, points: Vec::new() })
            .collect();
        for &number in self.numbers {
            for (line, program) in lines.iter_mut().zip(&self.programs) {
                let samples = watched(self.id, program.name, || (program.run)(number, plan));
                line.points.push(samples);
            }
        }
        Grown { growth: self, lines }
    }
}

/// A program's samples, at each number.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    points: Vec<Samples>,
}

impl Line {
    pub(crate) fn medians(&self) -> impl Iterator<Item = f64> {
        self.points.iter().map(|samples| spread(samples)[1])
    }

    /// How many times as much as where there are fewest each costs where there are most.
    fn factor(&self) -> f64 {
        self.medians().last().unwrap_or_default() / self.medians().next().unwrap_or_default()
    }
}

/// What was measured.
pub(crate) struct Grown<'a> {
    pub(crate) growth: &'a Growth,
    pub(crate) lines: Vec<Line>,
}

impl Grown<'_> {
    /// What grew faster than it may, of ours.
    pub(crate) fn too_fast(&self) -> Option<String> {
        let Growth { id, limit, .. } = self.growth;
        let ours = self.lines.iter().filter(|line| line.kind == Kind::Ours);
        let told = ours.filter(|line| line.factor() > *limit).map(|line| {
            format!("{id}: {} costs × {:.2} each, at most × {limit}", line.name, line.factor())
        });
        told.reduce(|all, one| format!("{all}; {one}"))
    }

    pub(crate) fn to_markdown(&self) -> String {
        let Growth { title, what, unit, limit, numbers, .. } = self.growth;
        let mut text = format!("### {title}\n\n| {unit}, by the number of {what} |");
        for &number in *numbers {
            _ = write!(text, " {} |", figure(number as f64));
        }
        _ = writeln!(text, " most / fewest |\n|---|{}---:|", "---:|".repeat(numbers.len()));
        for line in &self.lines {
            _ = write!(text, "| {} |", named(line.kind, line.name));
            line.medians().for_each(|median| _ = write!(text, " {} |", figure(median)));
            _ = writeln!(text, " {:.2} |", line.factor());
        }
        let verdict = self.too_fast().unwrap_or_else(|| "holds".to_string());
        _ = writeln!(text, "\nNo line of handover may grow over × {limit}: {verdict}.");
        text
    }

    pub(crate) fn to_json(&self) -> Value {
        let lines = self.lines.iter().map(|line| {
            json!({
                "name": line.name,
                "kind": line.kind.name(),
                "medians": line.medians().collect::<Vec<_>>(),
                "samples": line.points,
            })
        });
        json!({
            "id": self.growth.id,
            "title": self.growth.title,
            "unit": self.growth.unit,
            "of": self.growth.what,
            "numbers": self.growth.numbers,
            "limit": self.growth.limit,
            "programs": lines.collect::<Vec<_>>(),
        })
    }
}
