//! Hashes all files of a directory on several threads: a walker hands each path to whichever hasher is free, the hashers hand their
//! results to one task, which prints them in order.
//!
//! ```text
//! cargo run --release --example hash_tree -- [DIR] [--threads N]
//! ```
//!
//! prints what `sha256sum` prints for the same files, in the order of their paths:
//!
//! ```text
//! 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824  src/greeting.txt
//! e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  src/nothing.txt
//! ```
//!
//! so that `sha256sum --check` reads it. What cannot be read is named on standard error, and the exit status is 1.
//!
//! Nothing waits in a queue: the walker is as far ahead as there are hashers, a hasher that has a result waits until it is taken.
//! Three things end it, and each passes from end to end without further ado: the walker is through (it closes the jobs), the output
//! cannot be written (the task leaves, then the hashers, then the walker), or a hasher panics (the task is told that the results were
//! not all).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
#[cfg(not(test))]
use std::thread;

#[cfg(test)]
// Its model (`tests/model/examples.rs`) explores this program with threads of its own.
use handover::model::{block_on, thread};
use handover::{Receiver, Sender, rendezvous};
#[cfg(not(test))]
use pollster::block_on;
use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

const HELP: &str = "\
Prints the SHA-256 of all files below a directory, as sha256sum does, in the order of their paths.

Usage: hash_tree [DIR] [--threads N]

  DIR          where to look, or a single file (default: the current directory)
  --threads N  how many threads hash (default: one a core)
  --help       print this

Links are not followed.
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
        Err(Failure::Incomplete) => {
            complain("a hasher has failed: the list is not complete");
            ExitCode::FAILURE
        }
    }
}

fn complain(text: &str) {
    // A standard error that is closed is no reason to stop.
    _ = writeln!(io::stderr(), "hash_tree: {text}");
}

pub(crate) enum Failure {
    Arguments(String),
    Output(io::Error),
    Incomplete,
}

/// What is to be hashed, or what the walk could not enter; numbered from 0 in the order of the paths.
struct Job {
    number: usize,
    path: Result<PathBuf, String>,
}

/// A line of the output, or what to complain about.
struct Done {
    number: usize,
    line: Result<Vec<u8>, String>,
}

fn run() -> Result<ExitCode, Failure> {
    let Some(Options { dir, threads }) = Options::parse(std::env::args_os())? else {
        let written = io::stdout().write_all(HELP.as_bytes());
        return written.map(|()| ExitCode::SUCCESS).map_err(Failure::Output);
    };
    let has_complaints = hash_dir(&dir, threads, BufWriter::new(io::stdout().lock()))?;
    Ok(if has_complaints { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Hashes the files below a directory, and writes a line for each. Tells whether there was something to complain about.
pub(crate) fn hash_dir(dir: &Path, threads: usize, out: impl Write) -> Result<bool, Failure> {
    let (jobs, free_hashers) = rendezvous();
    let (results, collected) = rendezvous();
    thread::scope(|scope| {
        let walker = scope.spawn(move || walk(dir, &jobs));
        let hashers: Vec<_> = (0..threads)
            .map(|_| {
                let (jobs, results) = (free_hashers.clone(), results.clone());
                scope.spawn(move || hash_all(&jobs, &results))
            })
            .collect();
        // The clones are what counts from here on: with the last of them the other side is told.
        drop((free_hashers, results));

        let printed = block_on(print_in_order(collected, out));
        let walked = walker.join();
        let hashed = hashers.into_iter().map(thread::ScopedJoinHandle::join);
        let is_whole = hashed.fold(walked.is_ok(), |is_whole, hashed| is_whole & hashed.is_ok());
        let has_complaints = printed.map_err(Failure::Output)?;
        if is_whole { Ok(has_complaints) } else { Err(Failure::Incomplete) }
    })
}

/// The walker: a blocking thread that hands out the jobs.
fn walk(dir: &Path, jobs: &Sender<Job>) {
    let entries = WalkDir::new(dir).sort_by(in_order_of_paths).into_iter();
    let paths = entries.filter_map(|entry| match entry {
        Ok(entry) => entry.file_type().is_file().then(|| Ok(entry.into_path())),
        Err(error) => Some(Err(error.to_string())),
    });
    let numbered = (0..).zip(paths).map(|(number, path)| Job { number, path });
    // It fails when all hashers have gone; then there is nothing left to do.
    if jobs.send_all(numbered).wait().is_ok() {
        jobs.close();
    }
}

/// As `sort` orders the whole paths, byte by byte: behind a directory's name comes a separator.
fn in_order_of_paths(a: &DirEntry, b: &DirEntry) -> Ordering {
    let key = |entry: &DirEntry| {
        let mut name = entry.file_name().as_encoded_bytes().to_vec();
        if entry.file_type().is_dir() {
            name.push(b'/');
        }
        name
    };
    key(a).cmp(&key(b))
}

/// A hasher: a blocking thread that takes jobs as long as there are any and somebody wants the results.
fn hash_all(jobs: &Receiver<Job>, results: &Sender<Done>) {
    for Job { number, path } in jobs {
        let line = path.and_then(|path| {
            line_of(&path).map_err(|error| format!("{}: {error}", path.display()))
        });
        if results.send(Done { number, line }).wait().is_err() {
            return;
        }
    }
}

fn line_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    let (name, is_escaped) = escaped(path.as_os_str().as_encoded_bytes());
    let mut line = Vec::new();
    if is_escaped {
        line.push(b'\\');
    }
    for byte in hasher.finalize() {
        write!(line, "{byte:02x}")?;
    }
    line.extend(b"  ");
    line.extend(name);
    line.push(b'\n');
    Ok(line)
}

/// A name that would break its line is told as `sha256sum` tells it.
fn escaped(name: &[u8]) -> (Vec<u8>, bool) {
    let mut escaped = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'\\' => escaped.extend(br"\\"),
            b'\n' => escaped.extend(br"\n"),
            b'\r' => escaped.extend(br"\r"),
            other => escaped.push(other),
        }
    }
    let is_escaped = escaped.len() > name.len();
    (escaped, is_escaped)
}

/// The collector: a task. Keeps what comes too early. Tells whether there was something to complain about.
async fn print_in_order(results: Receiver<Done>, mut out: impl Write) -> io::Result<bool> {
    let (mut early, mut next, mut has_complaints) = (BTreeMap::new(), 0, false);
    while let Ok(Done { number, line }) = results.recv().await {
        early.insert(number, line);
        while let Some(line) = early.remove(&next) {
            next += 1;
            match line {
                Ok(line) => out.write_all(&line)?,
                Err(text) => {
                    has_complaints = true;
                    complain(&text);
                }
            }
        }
    }
    out.flush()?;
    Ok(has_complaints)
}

struct Options {
    dir: PathBuf,
    threads: usize,
}

impl Options {
    /// `None` when only help is wanted.
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        use lexopt::{Arg, Parser, ValueExt};

        let usage = |error: lexopt::Error| Failure::Arguments(error.to_string());
        let (mut dir, mut threads) = (None, None);
        let mut args = Parser::from_iter(args);
        while let Some(arg) = args.next().map_err(usage)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("threads") => {
                    let number = args.value().and_then(|value| value.parse::<NonZero<usize>>());
                    threads = Some(number.map_err(usage)?.get());
                }
                Arg::Value(value) if dir.is_none() => dir = Some(PathBuf::from(value)),
                other => return Err(usage(other.unexpected())),
            }
        }
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Some(Self {
            dir: dir.unwrap_or_else(|| ".".into()),
            threads: threads.unwrap_or_else(cores),
        }))
    }
}
