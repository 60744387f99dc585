//! Counts the cache lines that change hands when two threads pass an item: what the distance of two cores costs.
//!
//! `cargo bench --bench cache_lines [-- PART]..`. Valgrind's `lackey` tells each load and store; the stack that is touched tells the thread. A line
//! changes hands when a thread reads what the other one has written, or writes what the other one has looked at since. The count of an item is the
//! difference between two runs, one of which passes more items.
//!
//! In the rows *in turns* each thread polls its end until that is pending, then the other one does, and wakers wake nobody: these are the lines of the
//! channel alone, and the counts are exact. In the rows *blocking* the threads wait as threads do. Under valgrind one runs at a time, so that mostly they
//! sleep: the lines of their sleep and of their wake-up are in it.

#![allow(missing_docs)]
#![allow(clippy::print_stdout)] // it is a program

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, BufRead, BufReader};
use std::pin::pin;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll, Waker};
use std::{env, thread};

use handover::{duplex, rendezvous, simplex, stream};

/// Items of the two runs.
const FEW: u64 = 200;
const MANY: u64 = 1_200;
const LINE: u64 = 64;
const STACK: usize = 1 << 20;

type Run = fn(u64);

const PATHS: &[(&str, Run)] = &[
    ("simplex, in turns", |items| {
        let (mut server, mut client) = simplex::<u64>();
        in_turns(
            async move {
                for item in 0..items {
                    server.send(item).await.unwrap();
                }
                server.finish();
            },
            async move { while client.recv().await.is_ok() {} },
        );
    }),
    ("simplex, blocking", |items| {
        let (mut server, mut client) = simplex::<u64>();
        on_threads(
            move || {
                for item in 0..items {
                    server.send(item).wait().unwrap();
                }
                server.finish();
            },
            move || while client.recv().wait().is_ok() {},
        );
    }),
    ("duplex, in turns", |items| {
        let (mut server, mut client) = duplex::<u64, u64>();
        in_turns(
            async move {
                let mut demand = server.demand().await.unwrap();
                while let Ok(next) = server.exchange(demand).await {
                    demand = next;
                }
            },
            async move {
                for number in 0..items {
                    client.exchange(number).await.unwrap();
                }
                client.close();
            },
        );
    }),
    ("rendezvous, in turns", |items| {
        let (sender, receiver) = rendezvous::<u64>();
        in_turns(
            async move {
                for item in 0..items {
                    sender.send(item).await.unwrap();
                }
            },
            async move { while receiver.recv().await.is_ok() {} },
        );
    }),
    ("rendezvous, blocking", |items| {
        let (sender, receiver) = rendezvous::<u64>();
        on_threads(
            move || (0..items).for_each(|item| sender.send(item).wait().unwrap()),
            move || while receiver.recv().wait().is_ok() {},
        );
    }),
    ("stream by item, in turns", |items| {
        let (mut writer, mut reader) = stream::<u64>();
        in_turns(
            async move {
                for item in 0..items {
                    writer.send(item).await.unwrap();
                }
                writer.finish().unwrap();
            },
            async move { while reader.recv().await.is_ok() {} },
        );
    }),
];

/// Runs both on a thread each, whose stacks the trace can tell apart.
fn on_threads(one: impl FnOnce() + Send + 'static, two: impl FnOnce() + Send + 'static) {
    fn told(number: usize, run: impl FnOnce()) {
        let local = 0_u8;
        eprintln!("stack {number} {}", std::ptr::from_ref(&local).addr());
        run();
    }
    let builder = || thread::Builder::new().stack_size(STACK);
    let one = builder().spawn(|| told(0, one)).expect("a thread");
    let two = builder().spawn(|| told(1, two)).expect("a thread");
    one.join().expect("the first thread");
    two.join().expect("the second thread");
}

/// Whose turn it is; the line of it is not counted.
#[repr(align(128))]
struct Turn(AtomicUsize);

static TURN: Turn = Turn(AtomicUsize::new(0));

/// Polls both, each on a thread of its own until it is pending, in turns.
fn in_turns(
    one: impl Future<Output = ()> + Send + 'static,
    two: impl Future<Output = ()> + Send + 'static,
) {
    fn run(me: usize, routine: impl Future<Output = ()>) {
        let mut routine = pin!(routine);
        let mut is_done = false;
        while !is_done {
            while TURN.0.load(Acquire) & 1 != me {
                thread::yield_now();
            }
            is_done = matches!(
                routine.as_mut().poll(&mut Context::from_waker(Waker::noop())),
                Poll::Ready(())
            );
            if is_done {
                // From now on it is always the other one's turn.
                TURN.0.store(2 | (1 - me), Release);
            } else if TURN.0.load(Acquire) & 2 == 0 {
                TURN.0.store(1 - me, Release);
            }
        }
    }
    TURN.0.store(0, Release);
    eprintln!("turn {}", std::ptr::from_ref(&TURN).addr());
    on_threads(move || run(0, one), move || run(1, two));
}

/// Who has a copy of a line, by bits, and whether the last access was a store.
#[derive(Clone, Copy, Default)]
struct Copies(u8);

#[derive(Default)]
struct Counted {
    hands: u64,
    lines: HashMap<u64, u64>,
}

/// Runs a path under valgrind, and counts.
fn trace(path: usize, items: u64) -> io::Result<Counted> {
    let mut child = Command::new("valgrind")
        .args(["--tool=lackey", "--trace-mem=yes", "--log-fd=1", "--fair-sched=yes"])
        .arg(env::current_exe()?)
        .args(["--run", &path.to_string(), &items.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = child.stderr.take().expect("a pipe");
    // The child says where its stacks are while it runs, so its trace is kept until that is known.
    let told = thread::spawn(move || BufReader::new(stderr).lines().collect::<Result<Vec<_>, _>>());
    let mut accesses = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("a pipe")).lines() {
        let line = line?;
        let Some((kind, rest)) = line.trim_start().split_once(' ') else { continue };
        if !matches!(kind, "L" | "S" | "M") {
            continue;
        }
        let Some((address, size)) = rest.trim().split_once(',') else { continue };
        let (Ok(address), Ok(size)) = (u64::from_str_radix(address, 16), size.parse::<u64>())
        else {
            continue;
        };
        accesses.push((kind != "L", address, size));
    }
    if !child.wait()?.success() {
        return Err(io::Error::other("the traced run failed"));
    }
    let told = told.join().expect("the reading thread")?;
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let mut stacks = [0..0, 0..0];
    let mut turn = 0..0;
    for words in told.iter().map(|line| line.split(' ').collect::<Vec<_>>()) {
        match words[..] {
            ["stack", party, local] => {
                let top = number(local) + 16 * 1024;
                stacks[number(party) as usize] = top - STACK as u64 / 2..top;
            }
            ["turn", at] => turn = number(at)..number(at) + 128,
            _ => {}
        }
    }
    Ok(count(&accesses, &stacks, &turn))
}

fn count(
    accesses: &[(bool, u64, u64)],
    stacks: &[std::ops::Range<u64>; 2],
    turn: &std::ops::Range<u64>,
) -> Counted {
    let mut copies: HashMap<u64, Copies> = HashMap::new();
    let mut counted = Counted::default();
    let mut party = None;
    for &(is_store, address, size) in accesses {
        if let Some(of) = stacks.iter().position(|stack| stack.contains(&address)) {
            party = Some(of);
        }
        let Some(party) = party else { continue };
        if turn.contains(&address) {
            continue;
        }
        for line in address / LINE..=(address + size - 1) / LINE {
            let copy = copies.entry(line).or_default();
            let (mine, theirs) = (1 << party, 1 << (1 - party));
            let changes =
                if is_store { copy.0 & theirs != 0 } else { copy.0 & mine == 0 && copy.0 != 0 };
            copy.0 = if is_store { mine } else { copy.0 | mine };
            if changes {
                counted.hands += 1;
                *counted.lines.entry(line).or_default() += 1;
            }
        }
    }
    counted
}

fn main() -> ExitCode {
    let arguments: Vec<String> =
        env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [run, path, items] = &arguments[..] {
        if run == "--run" {
            PATHS[path.parse::<usize>().expect("a path")].1(items.parse().expect("a number"));
            return ExitCode::SUCCESS;
        }
    }
    if !env::args().any(|argument| argument == "--bench") {
        PATHS.iter().for_each(|(_, run)| run(100)); // `cargo test --benches` only tries whether the paths work.
        return ExitCode::SUCCESS;
    }
    if let Some(other) = arguments.iter().find(|argument| argument.starts_with('-')) {
        println!("SKIPPED: {other} is for the other benches; no cache lines are counted.");
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("SKIPPED: there is no valgrind, so NO CACHE LINES WERE COUNTED.");
        return ExitCode::SUCCESS;
    }
    println!("{:<28} {:>22} {:>10}", "an item", "changes of hands", "lines");
    for (number, (name, _)) in PATHS.iter().enumerate() {
        if !arguments.is_empty() && !arguments.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        match trace(number, FEW).and_then(|few| Ok((few, trace(number, MANY)?))) {
            Ok((few, many)) => {
                let hands = (many.hands - few.hands) as f64 / (MANY - FEW) as f64;
                // Lines that change hands at nearly every item.
                let lines = many.lines.values().filter(|&&times| times > MANY / 2).count();
                println!("{name:<28} {hands:>22.1} {lines:>10}");
            }
            Err(error) => {
                eprintln!("cache_lines: {name}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
