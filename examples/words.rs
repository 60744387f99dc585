//! Counts the words in all text files of a directory: a thread walks and reads, a task counts.
//!
//! ```text
//! cargo run --release --example words -- [DIR] [--top N] [--json]
//! ```
//!
//! It prints the most frequent words with their counts, then a summary:
//!
//! ```text
//!       7321 the
//!       5044 a
//!
//!        120 files
//!          1 skipped files
//!     381022 words
//!      10417 distinct words
//!       3.08 MiB
//!       0.02 seconds
//!     154.00 MiB/s
//! ```
//!
//! The thread blocks (`.wait()`), the task awaits, on one `duplex` channel. Full buffers come down as answers; each emptied
//! buffer goes back up with the next demand, so two buffers are all that is ever needed, whatever the size of the files. The
//! task asks for the next buffer *before* it counts the one in hand, so that both sides work at the same time.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{mem, str, thread};

use futures_lite::future;
use handover::{Client, SendError, Server, Why, duplex};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use walkdir::{DirEntry, WalkDir};

const HELP: &str = "\
Counts the words (runs of ASCII letters, digits and `_`) in all text files below a directory.

Usage: words [DIR] [--top N] [--json]

  DIR       where to look, or a single file (default: the current directory)
  --top N   print the N most frequent words (default: 20)
  --json    print one JSON document
  --help    print this

Directories named `.git` or `target` are left out, links are not followed. Skipped are files with a NUL byte in their
first 8 KiB, and whatever cannot be read: that is named on standard error.
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let (status, text) = match failure {
                Failure::Arguments(text) => (2, text),
                Failure::Output(error) => (1, format!("standard output: {error}")),
                Failure::Start(error) => (1, format!("cannot start: {error}")),
                Failure::Incomplete(why) => (1, format!("the count is not complete: {why}")),
            };
            complain(&text);
            ExitCode::from(status)
        }
    }
}

/// Why there is no result, or nobody to read it.
enum Failure {
    Arguments(String),
    Output(io::Error),
    Start(io::Error),
    Incomplete(Why),
}

fn run() -> Result<(), Failure> {
    let Some(options) = Options::parse(std::env::args_os())? else {
        return io::stdout().write_all(HELP.as_bytes()).map_err(Failure::Output);
    };
    let start = Instant::now();
    let bar = progress_bar();
    let (server, client) = duplex();
    let reader = Reader::new(server, bar.clone());
    let dir = options.dir;
    thread::Builder::new()
        .name("reader".into())
        .spawn(move || reader.read_all(&dir))
        .map_err(Failure::Start)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Failure::Start)?;
    let counted = runtime.block_on(count(client, |tally| {
        bar.set_position(tally.bytes);
        bar.set_message(tally.files.to_string());
    }));
    bar.finish_and_clear();
    let (words, tally) = counted.map_err(Failure::Incomplete)?;
    let report =
        Report { top: words.top(options.top), words: &words, tally, time: start.elapsed() };
    let mut out = BufWriter::new(io::stdout().lock());
    let written =
        if options.json { report.write_json(&mut out) } else { report.write_text(&mut out) };
    written.and_then(|()| out.flush()).map_err(Failure::Output)
}

struct Options {
    dir: PathBuf,
    top: usize,
    json: bool,
}

impl Options {
    /// `None` when only help is wanted.
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        use lexopt::{Arg, Parser, ValueExt};

        let usage = |error: lexopt::Error| Failure::Arguments(error.to_string());
        let (mut dir, mut top, mut json) = (None, 20, false);
        let mut args = Parser::from_iter(args);
        while let Some(arg) = args.next().map_err(usage)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("json") => json = true,
                Arg::Long("top") => top = args.value().and_then(|n| n.parse()).map_err(usage)?,
                Arg::Value(value) if dir.is_none() => dir = Some(PathBuf::from(value)),
                other => return Err(usage(other.unexpected())),
            }
        }
        let dir = dir.unwrap_or_else(|| PathBuf::from("."));
        match fs::metadata(&dir) {
            Ok(what) if what.is_dir() || what.is_file() => Ok(Some(Self { dir, top, json })),
            Ok(_) => {
                Err(Failure::Arguments(format!("{dir:?}: neither a directory nor a regular file")))
            }
            Err(error) => Err(Failure::Arguments(format!("{dir:?}: {error}"))),
        }
    }
}

fn complain(text: &str) {
    // A standard error that is closed is no reason to stop.
    _ = writeln!(io::stderr(), "words: {text}");
}

fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {bytes} in {msg} files, {bytes_per_sec}");
    ProgressBar::new_spinner().with_style(style.expect("a valid template"))
}

/// What the reader has met so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) skipped: u64,
    pub(crate) bytes: u64,
}

/// What is handed over: text, with one byte between files that is part of no word. A word may go on in the next chunk.
pub(crate) struct Chunk {
    pub(crate) text: Vec<u8>,
    pub(crate) tally: Tally,
}

/// The producer: reads file after file into the buffer in hand, and swaps a full one for an empty one.
struct Reader {
    server: Server<Chunk, Vec<u8>>,
    text: Vec<u8>,
    tally: Tally,
    bar: ProgressBar,
}

/// Why a file was not read to its end.
enum Halt {
    Unreadable(io::Error),
    /// Nobody counts any more.
    Gone,
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Halt::Unreadable(error)
    }
}

impl<T> From<SendError<T>> for Halt {
    fn from(_: SendError<T>) -> Self {
        Halt::Gone
    }
}

impl Reader {
    /// The bytes in which a NUL tells a binary file.
    const HEAD: usize = 8 << 10;
    /// No buffer grows beyond this.
    const CHUNK: usize = 256 << 10;

    fn new(server: Server<Chunk, Vec<u8>>, bar: ProgressBar) -> Self {
        Self { server, text: Vec::new(), tally: Tally::default(), bar }
    }

    /// Reads everything below `dir`, then finishes. Any other way out of here tells the client that data is missing.
    fn read_all(mut self, dir: &Path) {
        let Ok(first) = self.server.demand().wait() else { return };
        self.begin(first);
        let walk = WalkDir::new(dir).into_iter().filter_entry(|entry| {
            let left_out = entry.file_type().is_dir()
                && (entry.file_name() == ".git" || entry.file_name() == "target");
            entry.depth() == 0 || !left_out
        });
        for entry in walk {
            match entry {
                Ok(entry) => match self.read_entry(&entry) {
                    Ok(()) => {}
                    Err(Halt::Unreadable(error)) => {
                        self.skip(&format!("{:?}: {error}", entry.path()));
                    }
                    Err(Halt::Gone) => return,
                },
                Err(error) => self.skip(&error.to_string()),
            }
        }
        let last = Chunk { text: self.text, tally: self.tally };
        _ = self.server.finish_with(last);
    }

    fn read_entry(&mut self, entry: &DirEntry) -> Result<(), Halt> {
        // The starting point may be a link: it was named, not found.
        let is_named_file = entry.depth() == 0 && entry.path().is_file();
        if entry.file_type().is_file() || is_named_file { self.read(entry.path()) } else { Ok(()) }
    }

    fn read(&mut self, path: &Path) -> Result<(), Halt> {
        let mut file = File::open(path)?;
        if self.room() <= Self::HEAD {
            self.hand_over()?;
        }
        let start = self.text.len();
        self.text.push(b'\n'); // no word spans two files
        let mut wanted = Self::HEAD;
        let mut got = self.append(&mut file, wanted)?;
        if self.text[start..].contains(&0) {
            self.text.truncate(start);
            self.tally.skipped += 1;
            return Ok(());
        }
        self.tally.bytes += got as u64;
        while got == wanted {
            if self.room() == 0 {
                self.hand_over()?;
            }
            wanted = self.room();
            got = self.append(&mut file, wanted)?;
            self.tally.bytes += got as u64;
        }
        self.tally.files += 1;
        Ok(())
    }

    /// Appends up to `limit` bytes, fewer only at the end of the file, or none of them.
    fn append(&mut self, file: &mut File, limit: usize) -> io::Result<usize> {
        let len = self.text.len();
        let got = file.take(limit as u64).read_to_end(&mut self.text);
        if got.is_err() {
            self.text.truncate(len);
        }
        got
    }

    fn skip(&mut self, why: &str) {
        self.tally.skipped += 1;
        self.bar.suspend(|| complain(why));
    }

    fn room(&self) -> usize {
        Self::CHUNK - self.text.len()
    }

    /// The only place where it waits for the counting side.
    fn hand_over(&mut self) -> Result<(), SendError<Chunk>> {
        let full = Chunk { text: mem::take(&mut self.text), tally: self.tally };
        let emptied = self.server.exchange(full).wait()?;
        self.begin(emptied);
        Ok(())
    }

    fn begin(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        buffer.reserve_exact(Self::CHUNK);
        self.text = buffer;
    }
}

/// The consumer: counts what the client gets, up to the end. It is an error unless the server said that this was all.
pub(crate) async fn count(
    mut client: Client<Chunk, Vec<u8>>,
    mut progress: impl FnMut(&Tally),
) -> Result<(Words, Tally), Why> {
    let mut words = Words::default();
    let mut chunk = Chunk { text: Vec::new(), tally: Tally::default() };
    let mut spare = Vec::new();
    loop {
        // `zip` polls the first future first: the demand is up while this task counts.
        let ask = client.exchange(spare);
        let add = async { words.add(&chunk.text) };
        match future::zip(ask, add).await.0 {
            Ok(next) => spare = mem::replace(&mut chunk, next).text,
            Err(_) => break,
        }
        progress(&chunk.tally);
    }
    match client.end() {
        Some(Why::Closed) => Ok((words.finish(), chunk.tally)),
        end => Err(end.unwrap_or(Why::Dropped)),
    }
}

/// How often each word was met.
#[derive(Default)]
pub(crate) struct Words {
    counts: HashMap<Box<[u8]>, u64, BuildHasherDefault<WordHasher>>,
    total: u64,
    /// The beginning of a word that the next chunk may go on with.
    begun: Vec<u8>,
}

/// Which bytes make words. A table: comparisons would be mispredicted at every border, and cost a quarter of the speed.
const IS_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        byte += 1;
    }
    table
};

impl Words {
    fn add(&mut self, text: &[u8]) {
        let mut pieces = text.split(|byte| !IS_WORD[usize::from(*byte)]);
        let last = pieces.next_back().unwrap_or_default();
        if let Some(first) = pieces.next() {
            let mut word = mem::take(&mut self.begun);
            word.extend_from_slice(first);
            self.add_word(&word);
            pieces.for_each(|word| self.add_word(word));
        }
        self.begun.extend_from_slice(last);
    }

    fn add_word(&mut self, word: &[u8]) {
        if word.is_empty() {
            return;
        }
        self.total += 1;
        match self.counts.get_mut(word) {
            Some(count) => *count += 1,
            None => _ = self.counts.insert(word.into(), 1),
        }
    }

    fn finish(mut self) -> Self {
        self.add(b"\n");
        self
    }

    /// The most frequent words, equally frequent ones by name.
    fn top(&self, n: usize) -> Vec<(&str, u64)> {
        let mut words: Vec<_> =
            self.counts.iter().map(|(word, count)| (Reverse(*count), &**word)).collect();
        if n < words.len() {
            words.select_nth_unstable(n);
            words.truncate(n);
        }
        words.sort_unstable();
        let text = |word| str::from_utf8(word).expect("words are ASCII");
        words.into_iter().map(|(Reverse(count), word)| (text(word), count)).collect()
    }
}

/// Hashes eight bytes a step. The standard one withstands words chosen to collide, for a quarter of the speed.
#[derive(Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            self.write_u64(part.iter().fold(0, |eight, byte| eight << 8 | u64::from(*byte)));
        }
    }

    fn write_u64(&mut self, eight: u64) {
        self.0 = (self.0 ^ eight).wrapping_mul(0xf135_7aea_2e62_a9c5).rotate_left(26);
    }

    /// Lengths come here: words that differ in length only differ in bytes too.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

struct Report<'a> {
    words: &'a Words,
    top: Vec<(&'a str, u64)>,
    tally: Tally,
    time: Duration,
}

impl Report<'_> {
    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let Tally { files, skipped, bytes } = self.tally;
        let (mib, seconds) = (bytes as f64 / f64::from(1 << 20), self.time.as_secs_f64());
        for (word, count) in &self.top {
            writeln!(out, "{count:>10} {word}")?;
        }
        if !self.top.is_empty() {
            writeln!(out)?;
        }
        writeln!(out, "{files:>10} files")?;
        writeln!(out, "{skipped:>10} skipped files")?;
        writeln!(out, "{:>10} words", self.words.total)?;
        writeln!(out, "{:>10} distinct words", self.words.counts.len())?;
        writeln!(out, "{mib:>10.2} MiB")?;
        writeln!(out, "{seconds:>10.2} seconds")?;
        writeln!(out, "{:>10.2} MiB/s", mib / seconds)
    }

    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let top: Vec<_> =
            self.top.iter().map(|(word, count)| json!({ "word": word, "count": count })).collect();
        let document = json!({
            "top": top,
            "files": self.tally.files,
            "skipped": self.tally.skipped,
            "words": self.words.total,
            "distinct": self.words.counts.len(),
            "bytes": self.tally.bytes,
            "seconds": self.time.as_secs_f64(),
        });
        writeln!(out, "{document}")
    }
}
