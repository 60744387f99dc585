//! A pool of workers that parse the JSON files of a directory, in which a worker that dies is noticed and named.
//!
//! The walk hands each path to a worker that is free. Each worker has a clone of the sender of the results, and says `finish` when it is
//! through. So the main thread learns from the end of the results whether they are complete: `Closed` if all workers said `finish`,
//! `Panicked` if one of them died. The other workers go on with the files that are left.
//!
//! ```text
//! cargo run --release --example pool -- [DIR] [--workers N] [--panic-on NAME]
//! ```
//!
//! prints a line for each file, as the results come, with the number of values in the file or what is wrong with it:
//!
//! ```text
//! conf/colors.json: 12 values
//! conf/broken.json: expected value at line 3 column 7
//! ```
//!
//! The exit status is 1 if a file could not be parsed, and 3 if a worker died; the worker is named on standard error, with its file.

use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
#[cfg(not(test))]
use std::thread;

#[cfg(test)]
// Its model (`tests/model/examples.rs`) explores this program with threads of its own.
use handover::model::thread;
use handover::{Receiver, Sender, Why, rendezvous};
use serde_json::Value;
use walkdir::WalkDir;

const HELP: &str = "\
Parses all .json files below a directory, and counts their values.

Usage: pool [DIR] [--workers N] [--panic-on NAME]

  DIR              where to look, or a single file (default: the current directory)
  --workers N      how many threads parse (default: one a core)
  --panic-on NAME  the worker that gets a file of this name panics, to show what happens then
  --help           print this
";

fn main() -> ExitCode {
    match run() {
        Ok(status) => status,
        // The reader of the output has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failure::Arguments(text)) => {
            complain(&text);
            ExitCode::from(2)
        }
        Err(Failure::Output(error)) => {
            complain(&format!("standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn complain(text: &str) {
    // A standard error that is closed is no reason to stop.
    _ = writeln!(io::stderr(), "pool: {text}");
}

enum Failure {
    Arguments(String),
    Output(io::Error),
}

/// What a worker found in a file.
struct Parsed {
    path: PathBuf,
    values: Result<usize, String>,
}

fn run() -> Result<ExitCode, Failure> {
    let Some(Options { dir, workers, panic_on }) = Options::parse(std::env::args_os())? else {
        let written = io::stdout().write_all(HELP.as_bytes());
        return written.map(|()| ExitCode::SUCCESS).map_err(Failure::Output);
    };
    let out = BufWriter::new(io::stdout().lock());
    let report = parse_dir(&dir, workers, panic_on.as_deref(), out).map_err(Failure::Output)?;
    for complaint in &report.complaints {
        complain(complaint);
    }
    Ok(ExitCode::from(match report.status {
        Status::AllParsed => 0,
        Status::SomeAreNoJson => 1,
        Status::Incomplete => 3,
    }))
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    AllParsed,
    SomeAreNoJson,
    /// A worker died.
    Incomplete,
}

pub(crate) struct Report {
    pub(crate) status: Status,
    pub(crate) complaints: Vec<String>,
}

/// Parses the files below a directory, and writes a line for each.
pub(crate) fn parse_dir(
    dir: &Path,
    workers: usize,
    panic_on: Option<&OsStr>,
    out: impl Write,
) -> io::Result<Report> {
    let (jobs, free_workers) = rendezvous();
    let (results, collected) = rendezvous();
    thread::scope(|scope| {
        scope.spawn(move || walk(dir, jobs));
        let workers: Vec<_> = (1..=workers)
            .map(|number| {
                let (jobs, results) = (free_workers.clone(), results.clone());
                let work = move || parse_all(&jobs, results, panic_on);
                let name = format!("worker {number}");
                let thread = thread::Builder::new().name(name.clone());
                (name, thread.spawn_scoped(scope, work).expect("a thread"))
            })
            .collect();
        // From here on only the workers have ends of these. `results` ends with the worst that a sender said, so this one says `finish`.
        drop(free_workers);
        results.finish();

        let printed = print(collected, out);
        let mut complaints = Vec::new();
        for (name, worker) in workers {
            if let Err(panic) = worker.join() {
                complaints.push(format!("{name} has died: {}", message(&*panic)));
            }
        }
        let (status, end) = printed?;
        if end != Why::Closed {
            complaints.push(format!("the results are not complete: {end}"));
        }
        Ok(Report { status, complaints })
    })
}

/// Hands out the paths in order. Fails when no worker is left; then there is nothing to do.
fn walk(dir: &Path, jobs: Sender<Result<PathBuf, walkdir::Error>>) {
    let is_wanted = |path: &Path| path == dir || path.extension() == Some("json".as_ref());
    let paths = WalkDir::new(dir).sort_by_file_name().into_iter().filter_map(|entry| match entry {
        Ok(entry) if entry.file_type().is_file() && is_wanted(entry.path()) => {
            Some(Ok(entry.into_path()))
        }
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    if jobs.send_all(paths).wait().is_ok() {
        jobs.finish();
    }
}

/// A worker. If it panics, its `results` is dropped while the thread unwinds, and the other side is told.
fn parse_all(
    jobs: &Receiver<Result<PathBuf, walkdir::Error>>,
    results: Sender<Parsed>,
    panic_on: Option<&OsStr>,
) {
    for job in jobs {
        let parsed = match job {
            Ok(path) => {
                let is_deadly = panic_on.is_some() && path.file_name() == panic_on;
                assert!(!is_deadly, "{}: a panic was asked for", path.display());
                Parsed { values: parse(&path), path }
            }
            Err(error) => Parsed {
                path: error.path().unwrap_or(Path::new("")).to_owned(),
                values: Err(error.to_string()),
            },
        };
        if results.send(parsed).wait().is_err() {
            break; // the main thread has left
        }
    }
    results.finish();
}

fn parse(path: &Path) -> Result<usize, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    Ok(count(&value))
}

/// The numbers, strings, booleans and nulls.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(entries) => entries.values().map(count).sum(),
        _ => 1,
    }
}

/// Prints the results as they come, up to the end, which tells whether they are complete.
fn print(results: Receiver<Parsed>, mut out: impl Write) -> io::Result<(Status, Why)> {
    let (mut status, mut end) = (Status::AllParsed, Why::Closed);
    for parsed in results.into_iter().checked() {
        match parsed {
            Ok(Parsed { path, values: Ok(values) }) => {
                writeln!(out, "{}: {values} values", path.display())?;
            }
            Ok(Parsed { path, values: Err(error) }) => {
                writeln!(out, "{}: {error}", path.display())?;
                status = Status::SomeAreNoJson;
            }
            Err(why) => (status, end) = (Status::Incomplete, why),
        }
    }
    out.flush()?;
    Ok((status, end))
}

/// What a thread panicked with.
fn message(panic: &(dyn Any + Send)) -> &str {
    let literal = || panic.downcast_ref::<&str>().copied();
    panic.downcast_ref::<String>().map(String::as_str).or_else(literal).unwrap_or("no message")
}

struct Options {
    dir: PathBuf,
    workers: usize,
    panic_on: Option<OsString>,
}

impl Options {
    /// `None` when only help is wanted.
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        use lexopt::{Arg, Parser, ValueExt};

        let usage = |error: lexopt::Error| Failure::Arguments(error.to_string());
        let (mut dir, mut workers, mut panic_on) = (None, None, None);
        let mut args = Parser::from_iter(args);
        while let Some(arg) = args.next().map_err(usage)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("workers") => {
                    let number = args.value().and_then(|value| value.parse::<NonZero<usize>>());
                    workers = Some(number.map_err(usage)?.get());
                }
                Arg::Long("panic-on") => panic_on = Some(args.value().map_err(usage)?),
                Arg::Value(value) if dir.is_none() => dir = Some(PathBuf::from(value)),
                other => return Err(usage(other.unexpected())),
            }
        }
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Some(Self {
            dir: dir.unwrap_or_else(|| ".".into()),
            workers: workers.unwrap_or_else(cores),
            panic_on,
        }))
    }
}
