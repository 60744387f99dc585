//! Counts the instructions of the hot paths, which differ little from run to run, and compares them with the stored counts.
//!
//! `cargo bench --bench instructions`; see `HELP`. The count of an item is the difference between two runs, one of which passes more
//! items, so that neither the start of a program nor the creation of a channel is in it. Valgrind's `callgrind` counts. Atomic
//! operations that lock a cache line are counted apart: one of them costs as much time as a few dozen other instructions.

#![allow(missing_docs)]
#![allow(clippy::print_stdout)] // it is a program

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, io};

use paths::Run;

mod own;
mod paths;

const HELP: &str = "\
Counts the instructions of the hot paths by valgrind, and the atomic ones among them that lock a cache line; compares them
with benches/instructions/counts.txt.

usage: cargo bench --bench instructions [-- [--renew | --add] [PART]...]

  --renew  counts, and stores the counts in the file
  --add    counts only the paths that are not in the file, and stores them there
  PART     only the paths whose name contains this

Fails if a path takes over 5 % more than stored; over 30 % more with another compiler or C library than the stored one. On another
target it only prints. Without valgrind it says so, and counts nothing.";

/// Items of the two runs.
const FEW: u64 = 2_000;
const MANY: u64 = 12_000;

/// The share of more instructions that is a regression, with the same toolchain and with another one.
const TOLERANCE: f64 = 0.05;
const TOLERANCE_ELSEWHERE: f64 = 0.30;
/// So many more are no regression of a short path.
const TOLERATED: Counts = [2.0, 0.5];

/// Of an item: instructions, atomic ones.
type Counts = [f64; 2];

#[derive(Default)]
struct Options {
    is_bench: bool,
    renew: bool,
    add: bool,
    help: bool,
    parts: Vec<String>,
    /// Not for users: valgrind counts this process.
    run: Option<(usize, u64)>,
    /// An option that this program does not know.
    other: Option<String>,
}

/// All paths, with their names.
fn all_paths() -> impl Iterator<Item = &'static (&'static str, Run)> {
    paths::PATHS.iter().chain(own::PATHS)
}

fn path(number: usize) -> &'static (&'static str, Run) {
    all_paths().nth(number).expect("the number of a path")
}

impl Options {
    fn is_wanted(&self, name: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| name.contains(part))
    }
}

fn options() -> Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("bench") => options.is_bench = true,
            Long("renew") => options.renew = true,
            Long("add") => options.add = true,
            Long("help") | Short('h') => options.help = true,
            Long("run") => options.run = Some((parser.value()?.parse()?, parser.value()?.parse()?)),
            Value(part) => options.parts.push(part.string()?),
            Long(other) => options.other = Some(format!("--{other}")),
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let done = options().map_err(io::Error::other).and_then(|options| run(&options));
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<ExitCode> {
    if let Some((number, items)) = options.run {
        path(number).1(items);
        return Ok(ExitCode::SUCCESS);
    }
    if options.help {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(other) = &options.other {
        println!("SKIPPED: {other} is for the other benches; instructions are not counted.");
        return Ok(ExitCode::SUCCESS);
    }
    if !options.is_bench {
        // `cargo test --benches` only tries whether the paths work.
        all_paths().for_each(|(_, run)| run(100));
        return Ok(ExitCode::SUCCESS);
    }
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("SKIPPED: there is no valgrind, so NO INSTRUCTIONS WERE COUNTED.");
        return Ok(ExitCode::SUCCESS);
    }
    if options.renew || options.add { store(options) } else { compare(options) }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/counts.txt")
}

/// Counts the wanted paths, and writes the file: the other paths keep their counts.
fn store(options: &Options) -> io::Result<ExitCode> {
    let old = fs::read_to_string(file())?;
    let mut text = "\
# Instructions an item, and atomic ones among them, by callgrind. `cargo bench --bench instructions -- --renew` writes this file.\n"
        .to_string();
    for (name, value) in toolchain() {
        if options.add && stored(&old, name) != Some(&value) {
            return Err(io::Error::other(format!("{name} is {value}, not as stored: --renew all")));
        }
        _ = writeln!(text, "{name}: {value}");
    }
    for (number, (name, _)) in all_paths().enumerate() {
        let before = stored(&old, name);
        let is_counted = options.is_wanted(name) && (options.renew || before.is_none());
        let counts = if is_counted {
            let [instructions, atomics] = count(number)?;
            let counts = format!("{instructions:.1} {atomics:.1}");
            println!("{name}: {counts}");
            counts
        } else if let Some(counts) = before {
            counts.to_string()
        } else {
            continue;
        };
        _ = writeln!(text, "{name}: {counts}");
    }
    fs::write(file(), text)?;
    Ok(ExitCode::SUCCESS)
}

/// The value of a line in the file.
fn stored<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.rsplit_once(": "));
    lines.find(|(known, _)| *known == name).map(|(_, value)| value)
}

fn compare(options: &Options) -> io::Result<ExitCode> {
    let text = fs::read_to_string(file())?;
    let stored = |name: &str| stored(&text, name);
    let differs = |(name, now): &(&str, String)| stored(name) != Some(now);
    let (mut limit, mut is_judged) = (TOLERANCE, true);
    for (name, now) in toolchain().iter().filter(|pair| differs(pair)) {
        println!("ANOTHER TOOLCHAIN: {name} {now}, stored {}", stored(name).unwrap_or("none"));
        limit = TOLERANCE_ELSEWHERE;
        is_judged &= *name != TARGET;
    }
    if is_judged {
        println!("over {:.0} % more than stored is a regression\n", limit * 100.0);
    } else {
        println!("NOT JUDGED: the figures of another target are not comparable\n");
    }

    println!("{:^29}{:^24}", "instructions an item", "atomic ones");
    println!("{:>9} {:>9} {:>8} {:>7} {:>7} {:>8}  path", "stored", "now", "", "stored", "now", "");
    let (mut regressions, mut gains, mut unknown) = (0, 0, 0);
    for (number, (name, _)) in
        all_paths().enumerate().filter(|(_, (name, _))| options.is_wanted(name))
    {
        let now = count(number)?;
        let Some(before) = stored(name).and_then(parse) else {
            unknown += 1;
            println!("{name}: {now:.1?}, NOT STORED");
            continue;
        };
        let mut verdict = "";
        for ((before, now), tolerated) in before.into_iter().zip(now).zip(TOLERATED) {
            let (change, room) = (now - before, (before * limit).max(tolerated));
            if is_judged && change > room {
                verdict = "  REGRESSION";
            } else if is_judged && change < -room && verdict.is_empty() {
                verdict = "  less: renew";
            }
        }
        regressions += u32::from(verdict.contains("REGRESSION"));
        gains += u32::from(verdict.contains("less"));
        let share = |of: usize| (now[of] - before[of]) / before[of].max(1.0) * 100.0;
        println!(
            "{:>9.1} {:>9.1} {:>+7.1}% {:>7.1} {:>7.1} {:>+7.1}%  {name}{verdict}",
            before[0],
            now[0],
            share(0),
            before[1],
            now[1],
            share(1)
        );
    }
    println!("\n{regressions} regressions, {gains} gains, {unknown} not stored");
    if regressions + unknown > 0 {
        println!(
            "if the change is intended: cargo bench --bench instructions -- --renew; for new paths: --add"
        );
    }
    Ok(if regressions + unknown == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse(counts: &str) -> Option<Counts> {
    let (instructions, atomics) = counts.trim().split_once(' ')?;
    Some([instructions.parse().ok()?, atomics.parse().ok()?])
}

/// Counts the instructions of one item of a path.
fn count(number: usize) -> io::Result<Counts> {
    let start = |items: u64| {
        Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-bus=yes"])
            .arg(env::current_exe()?)
            .args(["--run", &number.to_string(), &items.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
    };
    let (few, many) = (start(FEW)?, start(MANY)?);
    let collected = |child: std::process::Child| {
        let output = child.wait_with_output()?;
        let output_text = String::from_utf8_lossy(&output.stderr);
        let counts = output_text.lines().find_map(|line| parse(line.split_once("Collected : ")?.1));
        let counts = counts.filter(|_| output.status.success());
        counts.ok_or_else(|| io::Error::other(format!("{}: {output_text}", path(number).0)))
    };
    let (few, many) = (collected(few)?, collected(many)?);
    Ok([0, 1].map(|of| (many[of] - few[of]) / (MANY - FEW) as f64))
}

const TARGET: &str = "target";

/// The versions that the counts depend on, besides the code.
fn toolchain() -> [(&'static str, String); 3] {
    let output_of = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok();
        output.map_or_else(String::new, |output| String::from_utf8_lossy(&output.stdout).into())
    };
    let rustc = output_of(&env::var("RUSTC").unwrap_or_else(|_| "rustc".to_string()), "-vV");
    let field =
        |name: &str| rustc.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("unknown");
    let libc = output_of("ldd", "--version");
    let libc =
        libc.lines().next().and_then(|line| line.split(' ').next_back()).unwrap_or("unknown");
    [
        ("rustc", field("rustc ").to_string()),
        (TARGET, field("host: ").to_string()),
        ("libc", libc.to_string()),
    ]
}
