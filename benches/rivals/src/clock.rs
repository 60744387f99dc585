//! Wall time, the CPU time of the whole process, and the cores it may run on.

use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// The time that a piece of work took.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
}

impl Spent {
    /// Nanoseconds of wall time and of CPU time for each of `n` items.
    pub(crate) fn each(self, n: u64) -> Vec<f64> {
        [self.wall, self.cpu].map(|time| time.as_nanos() as f64 / n as f64).into()
    }
}

pub(crate) struct Clock {
    wall: Instant,
    cpu: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { cpu: cpu_time(), wall: Instant::now() }
    }

    pub(crate) fn stop(self) -> Spent {
        Spent { wall: self.wall.elapsed(), cpu: cpu_time() - self.cpu }
    }
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock of CPU time").into()
}

/// Restricts this process to one core. It must be the first thing that a process does: crates ask only once how many cores there
/// are.
pub(crate) fn pin_to_one_core() -> nix::Result<()> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let last = (0..CpuSet::count()).rev().find(|&core| allowed.is_set(core) == Ok(true));
    let mut one = CpuSet::new();
    one.set(last.ok_or(nix::Error::ENODEV)?)?;
    sched_setaffinity(this, &one)
}
