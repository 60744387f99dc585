//! How a scenario is explored: under which schedulers, for how long, and how a schedule that failed is run again.

use std::cell::Cell;
use std::env;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

/// How many schedules one scheduler makes before the next one has its turn.
const PORTION: usize = 200;
/// A schedule of more steps goes round in circles.
const MOST_STEPS: usize = 200_000;
/// In all, where the environment says nothing.
const SECONDS: u64 = 10;

static IS_REPLAY: AtomicBool = AtomicBool::new(false);

// Of one scenario: shuttle runs all its parties on one thread of the system.
std::thread_local! {
    static BEGUN: Cell<usize> = const { Cell::new(0) };
    static OFFERED: Cell<usize> = const { Cell::new(0) };
    static HANDED_OVER: Cell<usize> = const { Cell::new(0) };
}

/// Counts what one schedule has done, so that a scenario in which nothing meets is noticed.
pub(crate) fn tally(offered: usize, handed_over: usize) {
    OFFERED.set(OFFERED.get() + offered);
    HANDED_OVER.set(HANDED_OVER.get() + handed_over);
}

/// Says what a party does, where a schedule is run again.
pub(crate) fn note(what: impl FnOnce() -> String) {
    if IS_REPLAY.load(Relaxed) {
        eprintln!("{}", what());
    }
}

fn number(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

/// How much one scenario may take.
#[derive(Clone, Copy)]
enum Budget {
    Schedules(usize),
    Until(Instant),
}

impl Budget {
    /// Of one of so many scenarios.
    fn of_one(scenarios: usize) -> Self {
        if let Some(schedules) = number("HANDOVER_SCHEDULES") {
            return Self::Schedules(schedules as usize);
        }
        let threads = number("RUST_TEST_THREADS").unwrap_or_else(|| {
            thread::available_parallelism().map_or(1, |threads| threads.get() as u64)
        });
        let seconds = number("HANDOVER_SECONDS").unwrap_or(SECONDS);
        let all = Duration::from_secs(seconds * threads.min(scenarios as u64));
        Self::Until(Instant::now() + all / scenarios as u32)
    }

    /// What is left after so many schedules.
    fn left(self, done: usize) -> usize {
        match self {
            Self::Schedules(all) => all.saturating_sub(done),
            Self::Until(end) if Instant::now() < end => PORTION,
            Self::Until(_) => 0,
        }
    }

    fn time(self) -> Option<Duration> {
        match self {
            Self::Schedules(_) => None,
            Self::Until(end) => Some(end.saturating_duration_since(Instant::now())),
        }
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 0x4_0000;
    config.silence_warnings = true;
    config.max_steps = MaxSteps::FailAfter(MOST_STEPS);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    config.failure_persistence = FailurePersistence::File(Some(folder));
    config
}

fn run(scheduler: impl Scheduler + 'static, time: Option<Duration>, scenario: fn()) -> usize {
    let mut config = config();
    config.max_time = time;
    Runner::new(scheduler, config).run(move || {
        BEGUN.set(BEGUN.get() + 1);
        scenario();
    })
}

/// One portion. The schedulers take turns: at random, and with 2, 3 and 5 changes of priority.
fn run_portion(
    turn: usize,
    seed: u64,
    schedules: usize,
    time: Option<Duration>,
    scenario: fn(),
) -> usize {
    match [None, Some(2), None, Some(3), None, Some(5)][turn % 6] {
        None => run(RandomScheduler::new_from_seed(seed, schedules), time, scenario),
        Some(depth) => run(PctScheduler::new_from_seed(seed, depth, schedules), time, scenario),
    }
}

/// Explores one of so many scenarios.
pub(crate) fn explore(scenarios: usize, scenario: fn()) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("?");
    if let Some(file) = env::var_os("HANDOVER_REPLAY") {
        IS_REPLAY.store(true, Relaxed);
        let scheduler = ReplayScheduler::new_from_file(file).expect("a file with a schedule");
        run(scheduler, None, scenario);
        return;
    }
    let seed = number("HANDOVER_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let budget = Budget::of_one(scenarios);
    let start = Instant::now();
    let mut done = 0;
    let mut turn = 0;
    while budget.left(done) > 0 {
        let schedules = budget.left(done).min(PORTION);
        let seed = seed.wrapping_add(turn as u64);
        let begun = BEGUN.get();
        let result = catch_unwind(AssertUnwindSafe(|| {
            run_portion(turn, seed, schedules, budget.time(), scenario)
        }));
        match result {
            Ok(portion) => done += portion,
            Err(panic) => {
                done += BEGUN.get() - begun;
                eprintln!(
                    "{name} failed in schedule {done} (seed {seed}). Once more, with what each party does:\n\
                     HANDOVER_REPLAY=<the file named above> RUSTFLAGS=\"--cfg handover_shuttle\" \\\n    \
                     cargo test --release --target-dir target/shuttle --test schedules -- --exact {name} --nocapture"
                );
                resume_unwind(panic);
            }
        }
        turn += 1;
    }
    let (offered, handed_over) = (OFFERED.get(), HANDED_OVER.get());
    println!(
        "{name}: {done} schedules in {:.1} s, {handed_over} of {offered} values handed over",
        start.elapsed().as_secs_f64()
    );
    assert!(done < 100 || handed_over > 0, "nothing was handed over");
}
