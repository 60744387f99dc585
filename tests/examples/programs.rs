//! Runs the examples as programs, in bounded time.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::{env, fs, io};

/// The time that an example may take on a very busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(600);

pub(crate) fn example(name: &str) -> Command {
    // target/PROFILE/deps/examples-HASH is where this test is.
    let test = env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let program = profile.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "{name} is not built: `cargo test` does, or `cargo build --examples`"
    );
    Command::new(program)
}

pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// The standard output of a program that ended without an error.
    #[track_caller]
    pub(crate) fn output(&self) -> &str {
        assert!(self.status.success(), "{}: {}", self.status, self.stderr);
        assert_eq!(self.stderr, "");
        &self.stdout
    }
}

/// Runs a program to its end, or kills it when the time is up.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Finished {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = text_of(child.stdout.take().unwrap());
    let stderr = text_of(child.stderr.take().unwrap());
    let (stdout, stderr) = (in_time(&mut child, stdout), in_time(&mut child, stderr));
    Finished { status: child.wait().unwrap(), stdout, stderr }
}

/// Does `work` on another thread, so that the caller can stop waiting for it.
pub(crate) fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    receiver
}

pub(crate) fn text_of(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    aside(|| io::read_to_string(from).unwrap())
}

#[track_caller]
pub(crate) fn in_time<T>(child: &mut Child, result: mpsc::Receiver<T>) -> T {
    result.recv_timeout(LIMIT).unwrap_or_else(|error| {
        child.kill().unwrap();
        panic!("no output in time: {error}")
    })
}

/// The last ```text block of a header, which is the output that the example promises.
pub(crate) fn promised(source: &str) -> String {
    let header: Vec<_> = source.lines().map_while(|line| line.strip_prefix("//!")).collect();
    let mut blocks = header.split(|line| line.trim() == "```").filter_map(|part| {
        let start = part.iter().rposition(|line| line.trim() == "```text")?;
        Some(part[start + 1..].iter().flat_map(|line| [line.trim_start(), "\n"]).collect())
    });
    blocks.next_back().expect("a block that tells what it prints")
}

/// A directory of the files that are given, gone with the value.
pub(crate) fn tree<'a>(files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

pub(crate) fn text(words: &str) -> Vec<u8> {
    words.into()
}

/// Reads one line of a program's output, closes that output, and returns the line.
pub(crate) fn has_seen_enough_of(command: &mut Command) -> String {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = aside(move || lines.next().unwrap().unwrap());
    let first = in_time(&mut child, first);
    let stderr = text_of(child.stderr.take().unwrap());
    assert_eq!(in_time(&mut child, stderr), "");
    assert!(child.wait().unwrap().success());
    first
}
