//! Counts the words in all text files of a directory: a thread walks, reads and finds the words, a task counts them.
//!
//! ```text
//! cargo run --release --example words -- [DIR] [--top N] [--json] [--single]
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
//!       0.01 seconds
//!     308.00 MiB/s
//!          4 handovers
//!      12.50 items per handover
//! ```
//!
//! The thread just writes one long iterator, blocking (`.wait()`); the task takes the items, awaiting, in batches and *ahead*: it has the
//! next batch made while it counts the one in hand. Items are chunks of text, whatever the size of the files, and two batches of them
//! are the most that there ever is.
//!
//! `--single` runs the same iterator where it is counted, without a channel. It took about one and a half times as long where
//! two cores are there: the work is cut where both sides have half of it. Finding the words costs as much as counting them, so
//! that goes with the reading; were it left to the counting side, most of the time the reader would wait.

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

use futures_lite::StreamExt;
use handover::{Reader, Why, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use walkdir::{DirEntry, FilterEntry, WalkDir};

const HELP: &str = "\
Counts the words (runs of ASCII letters, digits and `_`) in all text files below a directory.

Usage: words [DIR] [--top N] [--json] [--single]

  DIR       where to look, or a single file (default: the current directory)
  --top N   print the N most frequent words (default: 20)
  --json    print one JSON document
  --single  read and count in one thread, to compare
  --help    print this

Directories named `.git` or `target` are left out, links are not followed. Skipped are files with a NUL byte in their
first 8 KiB, and whatever cannot be read: that is named on standard error.
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output has seen enough.
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
    let text = Text::below(&options.dir, bar.clone());
    let show = |tally: &Tally| {
        bar.set_position(tally.bytes);
        bar.set_message(tally.files.to_string());
    };
    let counted = if options.single { count_here(text, show) } else { count_beside(text, show)? };
    bar.finish_and_clear();
    let report =
        Report { top: counted.words.top(options.top), counted: &counted, time: start.elapsed() };
    let mut out = BufWriter::new(io::stdout().lock());
    let written =
        if options.json { report.write_json(&mut out) } else { report.write_text(&mut out) };
    written.and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Reads and counts in this thread.
fn count_here(text: Text, progress: impl Fn(&Tally)) -> Counted {
    let mut counted = Counted::default();
    for chunk in text {
        counted.add(&chunk);
        progress(&counted.tally);
    }
    counted.finish()
}

/// Counts here what a thread reads.
fn count_beside(text: Text, progress: impl Fn(&Tally)) -> Result<Counted, Failure> {
    let (mut writer, reader) = stream();
    let read = move || {
        // Any other way out of here, a panic too, tells the reader that data is missing.
        if writer.write(text).wait().is_ok() {
            _ = writer.finish();
        }
    };
    thread::Builder::new().name("reader".into()).spawn(read).map_err(Failure::Start)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Failure::Start)?;
    runtime.block_on(count(reader, progress)).map_err(Failure::Incomplete)
}

struct Options {
    dir: PathBuf,
    top: usize,
    json: bool,
    single: bool,
}

impl Options {
    /// `None` when only help is wanted.
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        use lexopt::{Arg, Parser, ValueExt};

        let usage = |error: lexopt::Error| Failure::Arguments(error.to_string());
        let (mut dir, mut top, mut json, mut single) = (None, 20, false, false);
        let mut args = Parser::from_iter(args);
        while let Some(arg) = args.next().map_err(usage)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("json") => json = true,
                Arg::Long("single") => single = true,
                Arg::Long("top") => top = args.value().and_then(|n| n.parse()).map_err(usage)?,
                Arg::Value(value) if dir.is_none() => dir = Some(PathBuf::from(value)),
                other => return Err(usage(other.unexpected())),
            }
        }
        let dir = dir.unwrap_or_else(|| PathBuf::from("."));
        match fs::metadata(&dir) {
            Ok(what) if what.is_dir() || what.is_file() => {
                Ok(Some(Self { dir, top, json, single }))
            }
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

/// What has been met so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) skipped: u64,
    pub(crate) bytes: u64,
}

/// No chunk is longer: positions in it fit `u16`, and the two batches of chunks into the caches of two cores.
pub(crate) const CHUNK: usize = u16::MAX as usize;
/// How many chunks are asked for at a time: enough for a batch of small files to take about as long as one of large files.
pub(crate) const BATCH: usize = 16;
/// The bytes in which a NUL tells a binary file.
const HEAD: usize = 8 << 10;

/// What is handed over: text of one file or of many, and where the words are in it.
pub(crate) struct Chunk {
    /// With one byte between files that is part of no word. A word may go on in the next chunk.
    text: Vec<u8>,
    /// Where a word begins, where it ends, where the next one begins, and so on.
    borders: Vec<u16>,
    tally: Tally,
}

impl Chunk {
    pub(crate) fn new(text: Vec<u8>, tally: Tally) -> Self {
        Self { borders: borders(&text), text, tally }
    }

    fn words(&self) -> impl Iterator<Item = (usize, usize)> {
        self.borders.chunks_exact(2).map(|word| (usize::from(word[0]), usize::from(word[1])))
    }
}

/// Which bytes make words.
const IS_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        byte += 1;
    }
    table
};

/// Writes every position down, and keeps it by counting it if it is a border: a branch would be mispredicted at every second
/// border, and take twice as long.
fn borders(text: &[u8]) -> Vec<u16> {
    let mut borders = [0; CHUNK + 1];
    let (mut count, mut was_word) = (0, false);
    for (byte, at) in text.iter().zip(0..) {
        let is_word = IS_WORD[usize::from(*byte)];
        borders[count] = at;
        count += usize::from(is_word != was_word);
        was_word = is_word;
    }
    if was_word {
        borders[count] = text.len() as u16;
        count += 1;
    }
    borders[..count].to_vec()
}

/// The producer: the text of all files below a directory, in chunks. It reads when it is asked for the next one.
struct Text {
    walk: FilterEntry<walkdir::IntoIter, fn(&DirEntry) -> bool>,
    /// The file that goes on in the next chunk.
    open: Option<(PathBuf, File)>,
    is_over: bool,
    tally: Tally,
    bar: ProgressBar,
}

impl Iterator for Text {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        if self.is_over {
            return None;
        }
        let mut text = Vec::with_capacity(CHUNK);
        while CHUNK - text.len() > HEAD {
            let (path, read) = match self.open.take() {
                Some((path, file)) => (path, self.read(file, &mut text)),
                None => match self.walk.next() {
                    Some(Ok(entry)) => {
                        let read = self.begin(&entry, &mut text);
                        (entry.into_path(), read)
                    }
                    Some(Err(error)) => {
                        self.skip(&error.to_string());
                        continue;
                    }
                    None => {
                        self.is_over = true;
                        break;
                    }
                },
            };
            match read {
                Ok(rest) => self.open = rest.map(|file| (path, file)),
                Err(error) => self.skip(&format!("{path:?}: {error}")),
            }
        }
        Some(Chunk::new(text, self.tally))
    }
}

impl Text {
    fn below(dir: &Path, bar: ProgressBar) -> Self {
        let walk = WalkDir::new(dir).into_iter().filter_entry(is_wanted as fn(&DirEntry) -> bool);
        Self { walk, open: None, is_over: false, tally: Tally::default(), bar }
    }

    /// Reads as [`read`](Self::read) does, if it is a file, and text.
    fn begin(&mut self, entry: &DirEntry, text: &mut Vec<u8>) -> io::Result<Option<File>> {
        // The starting point may be a link: it was named, not found.
        let is_named_file = entry.depth() == 0 && entry.path().is_file();
        if !entry.file_type().is_file() && !is_named_file {
            return Ok(None);
        }
        let mut file = File::open(entry.path())?;
        let start = text.len();
        text.push(b'\n'); // no word spans two files
        let got = append(&mut file, HEAD.min(CHUNK - text.len()), text)?;
        if text[start..].contains(&0) {
            text.truncate(start);
            self.tally.skipped += 1;
            return Ok(None);
        }
        self.tally.bytes += got as u64;
        self.read(file, text)
    }

    /// Reads as much as the chunk has room for. Gives the file back if there may be more in it.
    fn read(&mut self, mut file: File, text: &mut Vec<u8>) -> io::Result<Option<File>> {
        let room = CHUNK - text.len();
        let got = append(&mut file, room, text)?;
        self.tally.bytes += got as u64;
        if got == room {
            return Ok(Some(file));
        }
        self.tally.files += 1;
        Ok(None)
    }

    fn skip(&mut self, why: &str) {
        self.tally.skipped += 1;
        self.bar.suspend(|| complain(why));
    }
}

fn is_wanted(entry: &DirEntry) -> bool {
    let is_left_out = entry.file_type().is_dir()
        && (entry.file_name() == ".git" || entry.file_name() == "target");
    entry.depth() == 0 || !is_left_out
}

/// Appends up to `limit` bytes, fewer only at the end of the file, or none of them.
fn append(file: &mut File, limit: usize, text: &mut Vec<u8>) -> io::Result<usize> {
    let len = text.len();
    let got = file.take(limit as u64).read_to_end(text);
    if got.is_err() {
        text.truncate(len);
    }
    got
}

/// The consumer: counts what comes, up to the end. It is an error unless the writer said that this was all.
pub(crate) async fn count(
    mut reader: Reader<Chunk>,
    progress: impl Fn(&Tally),
) -> Result<Counted, Why> {
    let mut counted = Counted::default();
    let mut chunks = reader.ahead(BATCH).into_stream();
    while let Some(chunk) = chunks.next().await {
        counted.add(&chunk);
        counted.items += 1;
        progress(&counted.tally);
    }
    match chunks.end() {
        Some(Why::Closed) => Ok(counted.finish()),
        end => Err(end.unwrap_or(Why::Dropped)),
    }
}

/// What there is to report.
#[derive(Default)]
pub(crate) struct Counted {
    words: Words,
    pub(crate) tally: Tally,
    /// How many chunks were handed over.
    items: u64,
}

impl Counted {
    fn add(&mut self, chunk: &Chunk) {
        self.words.add(chunk);
        self.tally = chunk.tally;
    }

    fn finish(mut self) -> Self {
        self.words.finish_word();
        self
    }

    /// All batches are full but the last.
    fn handovers(&self) -> u64 {
        self.items.div_ceil(BATCH as u64)
    }

    fn items_per_handover(&self) -> f64 {
        self.items as f64 / self.handovers().max(1) as f64
    }
}

/// How often each word was met.
#[derive(Default)]
struct Words {
    /// Those of up to eight bytes, filled up with zeros, which no word has: the table itself has all of the word.
    short: HashMap<[u8; 8], u64, BuildHasherDefault<WordHasher>>,
    long: HashMap<Box<[u8]>, u64, BuildHasherDefault<WordHasher>>,
    total: u64,
    /// The beginning of a word that the next chunk may go on with.
    begun: Vec<u8>,
}

impl Words {
    fn add(&mut self, chunk: &Chunk) {
        let text = &chunk.text[..];
        let mut words = chunk.words().peekable();
        if words.peek().is_none_or(|(start, _)| *start > 0) {
            self.finish_word();
        }
        for (start, end) in words {
            if end == text.len() || !self.begun.is_empty() {
                self.begun.extend_from_slice(&text[start..end]);
                if end < text.len() {
                    self.finish_word();
                }
            } else {
                self.add_word(&text[start..], end - start);
            }
        }
    }

    /// The word that was begun does not go on.
    fn finish_word(&mut self) {
        let word = mem::take(&mut self.begun);
        if !word.is_empty() {
            self.add_word(&word, word.len());
        }
    }

    /// Adds the word that is the first `len` bytes of `text`.
    fn add_word(&mut self, text: &[u8], len: usize) {
        self.total += 1;
        if len <= 8 {
            *self.short.entry(padded(text, len)).or_default() += 1;
        } else if let Some(count) = self.long.get_mut(&text[..len]) {
            *count += 1;
        } else {
            self.long.insert(text[..len].into(), 1);
        }
    }

    fn distinct(&self) -> usize {
        self.short.len() + self.long.len()
    }

    /// The most frequent words, equally frequent ones by name.
    fn top(&self, n: usize) -> Vec<(&str, u64)> {
        let short = self.short.iter().map(|(word, count)| (Reverse(*count), &word[..]));
        let long = self.long.iter().map(|(word, count)| (Reverse(*count), &word[..]));
        let mut words: Vec<_> = short.chain(long).collect();
        if n < words.len() {
            words.select_nth_unstable(n);
            words.truncate(n);
        }
        words.sort_unstable();
        let text = |word| str::from_utf8(word).expect("words are ASCII").trim_end_matches('\0');
        words.into_iter().map(|(Reverse(count), word)| (text(word), count)).collect()
    }
}

/// The first `len` of up to eight bytes, filled up with zeros.
fn padded(text: &[u8], len: usize) -> [u8; 8] {
    if let Some(eight) = text.first_chunk() {
        // Eight at once, and off with those that are too many: copying just the others takes longer.
        return (u64::from_le_bytes(*eight) & u64::MAX >> (64 - 8 * len)).to_le_bytes();
    }
    let mut eight = [0; 8];
    eight[..len].copy_from_slice(&text[..len]);
    eight
}

/// Hashes eight bytes a step. The standard one withstands words chosen to collide, for a quarter of the speed.
#[derive(Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            self.write_u64(part.iter().rev().fold(0, |eight, byte| eight << 8 | u64::from(*byte)));
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
    counted: &'a Counted,
    top: Vec<(&'a str, u64)>,
    time: Duration,
}

impl Report<'_> {
    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let Counted { words, tally: Tally { files, skipped, bytes }, .. } = self.counted;
        let (mib, seconds) = (*bytes as f64 / f64::from(1 << 20), self.time.as_secs_f64());
        for (word, count) in &self.top {
            writeln!(out, "{count:>10} {word}")?;
        }
        if !self.top.is_empty() {
            writeln!(out)?;
        }
        writeln!(out, "{files:>10} files")?;
        writeln!(out, "{skipped:>10} skipped files")?;
        writeln!(out, "{:>10} words", words.total)?;
        writeln!(out, "{:>10} distinct words", words.distinct())?;
        writeln!(out, "{mib:>10.2} MiB")?;
        writeln!(out, "{seconds:>10.2} seconds")?;
        writeln!(out, "{:>10.2} MiB/s", mib / seconds)?;
        writeln!(out, "{:>10} handovers", self.counted.handovers())?;
        writeln!(out, "{:>10.2} items per handover", self.counted.items_per_handover())
    }

    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let top: Vec<_> =
            self.top.iter().map(|(word, count)| json!({ "word": word, "count": count })).collect();
        let document = json!({
            "top": top,
            "files": self.counted.tally.files,
            "skipped": self.counted.tally.skipped,
            "words": self.counted.words.total,
            "distinct": self.counted.words.distinct(),
            "bytes": self.counted.tally.bytes,
            "seconds": self.time.as_secs_f64(),
            "handovers": self.counted.handovers(),
            "items_per_handover": self.counted.items_per_handover(),
        });
        writeln!(out, "{document}")
    }
}
