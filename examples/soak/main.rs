//! A soak: random operations on all channels for as long as one likes, cancelled at any moment, on threads and in tasks of several executors, and
//! every value counted.
//!
//! ```text
//! cargo run --release --example soak --features sink,tokio,futures-io -- --seconds 600 --seed 7
//! ```
//!
//! The run is made of short rounds. A round is a scene (a channel or some, and the parties that use them), and each party is a thread or a task: polled by
//! hand with changing wakers, by pollster, by futures-lite, by tokio's `current_thread` or its `multi_thread`. A party does operations at random and waits
//! for each in a way chosen at random (see `party`): blocking, with a time limit, by `until`, by `now`, as an arm of a nested `select`, or it polls it once or
//! twice and then reclaims, drops or forgets it. In some rounds wakers, destructors and iterators panic. Parties leave by finishing, by a drop, or by a panic.
//! When all have left, what the senders were told must agree with what the receivers got (see `oracle`).
//!
//! A fault ends the soak, with a line that tells how to repeat the choices of its round, again and again:
//!
//! ```text
//! soak: FAULT in round 1234; the same choices again: --seed 7 --round 1234
//! ```
//!
//! The choices are repeated, not the interleaving: that is the system's. A round that makes no step for a minute hangs, which is a fault, too.
//!
//! Without the features it uses the channels without sinks, and pipes on threads only. It takes no more memory after an hour than after a
//! minute; the last lines tell how much.
#![allow(clippy::print_stdout, reason = "a program of its own")]

mod chance;
mod crew;
mod operation;
mod options;
mod oracle;
mod party;
mod round;
mod scenes;
mod value;
mod watch;

use std::env;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::process::{self, Command, ExitCode};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use options::{HELP, Options};
use round::{Lane, Report, Soak, Totals, run_lane};
use watch::Patience;

/// The exit status of a soak that was interrupted, as of a program that dies of ctrl-c.
const INTERRUPTED: u8 = 130;
const TICK: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    match Options::parse(env::args_os()) {
        Ok(Some(options)) if options.is_pinned => pin(),
        Ok(Some(options)) => run(options),
        Ok(None) => {
            say(HELP);
            ExitCode::SUCCESS
        }
        Err(text) => complain(&text, 2),
    }
}

/// Prints to standard output. That nobody reads it any more is no reason to stop.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn complain(text: &str, status: u8) -> ExitCode {
    _ = writeln!(io::stderr(), "soak: {text}");
    ExitCode::from(status)
}

/// Runs this program again, on one core of those that it may use.
fn pin() -> ExitCode {
    let core = allowed_core().unwrap_or_else(|| "0".into());
    let Ok(program) = env::current_exe() else {
        return complain("--pinned: the system does not tell where this program is", 2);
    };
    let args = env::args_os().skip(1).filter(|arg| arg != "--pinned");
    let mut command = Command::new("taskset");
    command.args(["-c", &core]).arg(program).args(args);
    #[cfg(unix)]
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    #[cfg(not(unix))]
    let error = io::Error::from(io::ErrorKind::Unsupported);
    complain(&format!("--pinned needs the program `taskset`: {error}"), 2)
}

/// The first core on which the system lets this process run.
fn allowed_core() -> Option<String> {
    let cores = status_of_process("Cpus_allowed_list:")?;
    Some(cores.chars().take_while(char::is_ascii_digit).collect())
}

/// A line of what Linux tells of this process.
fn status_of_process(name: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned())
}

/// The memory in use, in kilobytes, where the system tells it.
fn memory() -> Option<u64> {
    status_of_process("VmRSS:")?.strip_suffix(" kB")?.parse().ok()
}

/// Values count themselves in their lane, so that it lives as long as any thread.
static LANES: OnceLock<Vec<Lane>> = OnceLock::new();

/// How often ctrl-c was pressed.
static INTERRUPTS: AtomicU64 = AtomicU64::new(0);

/// Counts ctrl-c from now on; the second one ends the process at once.
fn watch_for_interrupts() {
    let (ready, is_ready) = mpsc::channel();
    let watch = move || -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(async {
            loop {
                let mut pressed = pin!(tokio::signal::ctrl_c());
                // Its first poll makes the system tell it of ctrl-c.
                let told = match futures_lite::future::poll_once(&mut pressed).await {
                    Some(told) => told,
                    None => {
                        _ = ready.send(());
                        pressed.await
                    }
                };
                told?;
                if INTERRUPTS.fetch_add(1, Relaxed) > 0 {
                    process::exit(i32::from(INTERRUPTED));
                }
            }
        })
    };
    let watch = move || {
        if let Err(error) = watch() {
            complain(&format!("ctrl-c will end it without a word: {error}"), 0);
        }
    };
    if thread::Builder::new().name("interrupts".into()).spawn(watch).is_ok() {
        // An error when it has failed.
        _ = is_ready.recv();
    }
}

fn run(options: Options) -> ExitCode {
    watch_for_interrupts();
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    let Options { seconds, seed, round, lanes: count, patience, .. } = options;
    let again = round.map_or_else(String::new, |round| format!(", round {round}"));
    let made = format!("{count} rounds at a time on {cores} cores");
    say(&format!("soak: --seed {seed}{again}, {seconds} s, {made}\n"));

    let mut runtime = None;
    if options.tokio {
        let made =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
        match made {
            Ok(made) => runtime = Some(made),
            Err(error) => return complain(&format!("no runtime: {error}"), 2),
        }
    }
    let soak = Arc::new(Soak::new(options));
    let lanes = LANES.get_or_init(|| (0..count).map(|_| Lane::default()).collect());
    let threads: Vec<_> = lanes
        .iter()
        .enumerate()
        .map(|(number, lane)| {
            let soak = Arc::clone(&soak);
            let tokio = runtime.as_ref().map(|runtime| runtime.handle().clone());
            let run = move || run_lane(&soak, number, lane, tokio.as_ref());
            thread::Builder::new().name(format!("lane {number}")).spawn(run).expect("a thread")
        })
        .collect();

    let mut progress = Progress::new();
    let mut patiences: Vec<_> = lanes.iter().map(|_| Patience::default()).collect();
    let most_ticks = patience * 1_000 / TICK.as_millis() as u64;
    while !lanes.iter().all(|lane| lane.is_over.load(Relaxed)) {
        thread::sleep(TICK); // The lanes work; this thread only looks after them.
        let is_over = progress.start.elapsed() >= Duration::from_secs(seconds);
        if is_over || INTERRUPTS.load(Relaxed) > 0 {
            soak.is_stopped.store(true, Relaxed);
        }
        progress.print(&soak.totals.lock());
        for (lane, patience) in lanes.iter().zip(&mut patiences) {
            if patience.tick(lane.steps(), most_ticks) && !lane.is_over.load(Relaxed) {
                let report = Report { round: lane.round.load(Relaxed), text: lane.describe() };
                progress.erase();
                let totals = soak.totals.lock().clone();
                for report in &totals.reports {
                    say(&told("FAULT", seed, report));
                }
                say(&told("HANG", seed, &report));
                say(&summary(&totals, &progress, 1));
                // Its threads never end.
                process::exit(1);
            }
        }
    }
    threads.into_iter().for_each(|thread| _ = thread.join());
    drop(runtime);

    progress.erase();
    let totals = soak.totals.lock().clone();
    for report in &totals.reports {
        say(&told("FAULT", seed, report));
    }
    say(&summary(&totals, &progress, 0));
    if totals.faults.total() > 0 {
        ExitCode::FAILURE
    } else if INTERRUPTS.load(Relaxed) > 0 {
        complain("it was interrupted", INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    }
}

fn told(what: &str, seed: u64, report: &Report) -> String {
    let Report { round, text } = report;
    format!(
        "soak: {what} in round {round}; the same choices again: --seed {seed} --round {round}\n{text}"
    )
}

/// The line that is written while it runs: each second on a terminal, and otherwise every ten.
struct Progress {
    start: Instant,
    is_terminal: bool,
    next: Duration,
    early_memory: Option<(u64, u64)>,
}

impl Progress {
    fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        let next = Duration::from_secs(1);
        Self { start: Instant::now(), is_terminal, next, early_memory: None }
    }

    fn print(&mut self, totals: &Totals) {
        let elapsed = self.start.elapsed();
        if elapsed < self.next {
            return;
        }
        let seconds = elapsed.as_secs();
        self.next += Duration::from_secs(if self.is_terminal { 1 } else { 10 });
        let memory = memory();
        if seconds >= 5 && self.early_memory.is_none() {
            self.early_memory = memory.map(|memory| (seconds, memory));
        }
        let (begin, end) = if self.is_terminal { ("\r", "  ") } else { ("", "\n") };
        let memory = memory.map_or_else(String::new, |kb| format!(", {} MB", kb / 1_024));
        let line = format!(
            "{begin}{seconds} s: {} rounds, {} operations, {} cancelled across threads ({} a second){memory}{end}",
            grouped(totals.rounds),
            grouped(totals.counts.operations),
            grouped(totals.counts.across),
            grouped(a_second(totals.counts.across, elapsed)),
        );
        _ = io::stderr().write_all(line.as_bytes());
    }

    fn erase(&self) {
        if self.is_terminal {
            _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

fn a_second(count: u64, elapsed: Duration) -> u64 {
    (count as f64 / elapsed.as_secs_f64()) as u64
}

/// 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn summary(totals: &Totals, progress: &Progress, hangs: u64) -> String {
    let elapsed = progress.start.elapsed();
    let (counts, faults) = (totals.counts, totals.faults);
    let rate = format!(" ({} a second)", grouped(a_second(counts.across, elapsed)));
    let rows = [
        ("rounds", totals.rounds, ""),
        ("operations", counts.operations, ""),
        ("cancelled", counts.cancelled, ""),
        ("cancelled across threads", counts.across, &*rate),
        ("lost", faults.lost, ""),
        ("twice", faults.twice, ""),
        ("out of order", faults.out_of_order, ""),
        ("other faults", faults.other, ""),
        ("hangs", hangs, ""),
    ];
    let mut text = format!("soak: {} s\n", elapsed.as_secs());
    for (name, number, more) in rows {
        text += &format!("  {name:<25}{:>15}{more}\n", grouped(number));
    }
    if let (Some((seconds, early)), Some(late)) = (progress.early_memory, memory()) {
        let (early, late) = (early / 1_024, late / 1_024);
        text += &format!("  memory after {seconds} s, and at the end: {early} MB, {late} MB\n");
    }
    text
}
