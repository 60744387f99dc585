//! Bytes from a thread that writes to a reader, in one run: `handover::pipe` beside the kernel's pipe, and beside tokio's `duplex` with `SyncIoBridge`.
//!
//! ```sh
//! cargo run --release --example pipe            # 1 GiB a row and round
//! cargo run --release --example pipe -- --quick # 128 MiB
//! cargo run --release --example pipe -- --flat  # 10 GiB through one pipe, and what the process holds before and after
//! ```
//!
//! The contestants take turns, round after round; a figure is the median of the rounds, a ratio the median of the rounds' ratios. The reader adds up one byte in 4096, so that
//! the bytes are there.

use std::hint::black_box;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::thread;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use tokio_util::io::SyncIoBridge;

const KIB: usize = 1024;
/// What one read takes, where the reader brings the buffer.
const BUFFER: usize = 64 * KIB;

/// How the writer writes.
#[derive(Clone, Copy)]
struct Job {
    /// The length of a write.
    size: usize,
    /// Whether through a `BufWriter` of 64 KiB.
    is_buffered: bool,
    total: usize,
}

impl Job {
    fn write(self, writer: impl Write) -> io::Result<()> {
        if self.is_buffered {
            self.write_to(BufWriter::with_capacity(BUFFER, writer))
        } else {
            self.write_to(writer)
        }
    }

    fn write_to(self, mut writer: impl Write) -> io::Result<()> {
        let data = vec![7; self.size];
        for _ in 0..self.total / self.size {
            writer.write_all(&data)?;
        }
        writer.flush()
    }
}

/// Uses what came: one byte in 4096.
fn look(bytes: &[u8]) {
    black_box(bytes.iter().step_by(4 * KIB).map(|byte| u64::from(*byte)).sum::<u64>());
}

fn read_by_buffer(mut reader: impl BufRead) -> io::Result<usize> {
    let mut total = 0;
    loop {
        let bytes = reader.fill_buf()?;
        let n = bytes.len();
        if n == 0 {
            return Ok(total);
        }
        look(bytes);
        total += n;
        reader.consume(n);
    }
}

fn read_by_read(mut reader: impl Read) -> io::Result<usize> {
    let (mut total, mut into) = (0, vec![0; BUFFER]);
    loop {
        let n = reader.read(&mut into)?;
        if n == 0 {
            return Ok(total);
        }
        look(&into[..n]);
        total += n;
    }
}

/// Writes on a thread, reads here.
fn between<W: Write + Send + 'static>(
    job: Job,
    writer: W,
    finish: impl FnOnce(W) + Send + 'static,
    read: impl FnOnce() -> io::Result<usize>,
) {
    let writing = thread::spawn(move || {
        let mut writer = writer;
        job.write(&mut writer).expect("a reader that stays");
        finish(writer);
    });
    assert_eq!(read().expect("a whole stream"), job.total);
    writing.join().expect("a writer that does not panic");
}

fn finish(writer: handover::PipeWriter) {
    writer.finish().expect("a reader that stays");
}

/// Runs the reader as a task of a runtime of one thread.
fn in_task(body: impl Future<Output = io::Result<usize>>) -> io::Result<usize> {
    tokio::runtime::Builder::new_current_thread().build()?.block_on(body)
}

async fn read_task(mut reader: impl tokio::io::AsyncRead + Unpin) -> io::Result<usize> {
    let (mut total, mut into) = (0, vec![0; BUFFER]);
    loop {
        let n = reader.read(&mut into).await?;
        if n == 0 {
            return Ok(total);
        }
        look(&into[..n]);
        total += n;
    }
}

async fn read_task_by_buffer(
    mut reader: impl tokio::io::AsyncBufRead + Unpin,
) -> io::Result<usize> {
    let mut total = 0;
    loop {
        let bytes = reader.fill_buf().await?;
        let n = bytes.len();
        if n == 0 {
            return Ok(total);
        }
        look(bytes);
        total += n;
        reader.consume(n);
    }
}

type Contestant = (&'static str, fn(Job));

/// Thread to thread: the first is this crate's way, the others are what it is held against.
const THREADS: &[Contestant] = &[
    ("handover, BufRead", |job| {
        let (writer, reader) = handover::pipe();
        between(job, writer, finish, || read_by_buffer(reader));
    }),
    ("handover, Read", |job| {
        let (writer, reader) = handover::pipe();
        between(job, writer, finish, || read_by_read(reader));
    }),
    ("kernel pipe, Read", |job| {
        let (reader, writer) = os_pipe::pipe().expect("a pipe");
        between(job, writer, drop, || read_by_read(reader));
    }),
    ("kernel pipe, BufReader", |job| {
        let (reader, writer) = os_pipe::pipe().expect("a pipe");
        between(job, writer, drop, || read_by_buffer(BufReader::with_capacity(BUFFER, reader)));
    }),
];

/// A thread that writes, a task that reads.
const TASKS: &[Contestant] = &[
    ("handover, AsyncBufRead", |job| {
        let (writer, reader) = handover::pipe();
        between(job, writer, finish, || in_task(read_task_by_buffer(reader)));
    }),
    ("handover, AsyncRead", |job| {
        let (writer, reader) = handover::pipe();
        between(job, writer, finish, || in_task(read_task(reader)));
    }),
    ("tokio duplex(64 KiB) + SyncIoBridge", |job| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (writer, reader) = tokio::io::duplex(BUFFER);
        let writer = SyncIoBridge::new_with_handle(writer, runtime.handle().clone());
        between(job, writer, drop, || runtime.block_on(read_task(reader)));
    }),
];

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn compare(title: &str, contestants: &[Contestant], job: Job, rounds: usize) {
    println!("\n{title}");
    let mut speeds = vec![Vec::new(); contestants.len()];
    for _ in 0..rounds {
        for (speeds, (_, run)) in speeds.iter_mut().zip(contestants) {
            let start = Instant::now();
            run(job);
            speeds.push(job.total as f64 / 1e6 / start.elapsed().as_secs_f64());
        }
    }
    for (n, (name, _)) in contestants.iter().enumerate() {
        let ratios = speeds[0].iter().zip(&speeds[n]).map(|(first, this)| first / this);
        let (speed, ratio) = (median(speeds[n].clone()), median(ratios.collect()));
        println!("{name:>38} {speed:>8.0} MB/s   the first is {ratio:.2} x as fast");
    }
}

/// Resident memory in KiB, where the system tells it.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok())
}

/// Whether memory grows with what goes through.
fn flat() {
    const TOTAL: usize = 10 * KIB * KIB * KIB;
    let (writer, mut reader) = handover::pipe();
    let job = Job { size: 64 * KIB, is_buffered: false, total: TOTAL };
    let (mut seen, mut begun) = (0, None);
    between(job, writer, finish, || {
        loop {
            let n = BufRead::fill_buf(&mut reader)?.len();
            if n == 0 {
                return Ok(seen);
            }
            seen += n;
            BufRead::consume(&mut reader, n);
            if begun.is_none() && seen > 100 * KIB * KIB {
                begun = resident();
            }
        }
    });
    let (begun, ended) = (begun.unwrap_or(0), resident().unwrap_or(0));
    println!("10 GiB through one pipe: {begun} KiB resident after 100 MiB, {ended} KiB after all");
    assert!(ended < begun + 4 * KIB, "memory grows");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--flat") {
        return flat();
    }
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let (total, rounds) = if is_quick { (128 * KIB * KIB, 5) } else { (KIB * KIB * KIB, 9) };
    let whole = Job { size: 64 * KIB, is_buffered: false, total };
    let small = Job { size: KIB, is_buffered: true, total };
    let bare = Job { size: KIB, is_buffered: false, total: total / 8 };
    compare("64 KiB writes, thread to thread", THREADS, whole, rounds);
    compare("64 KiB writes, thread to task", TASKS, whole, rounds);
    compare("1 KiB writes through BufWriter, thread to thread", THREADS, small, rounds);
    compare("1 KiB writes through BufWriter, thread to task", TASKS, small, rounds);
    compare("1 KiB writes, thread to thread", THREADS, bare, rounds);
    compare("1 KiB writes, thread to task", TASKS, bare, rounds);
}
