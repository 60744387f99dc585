//! All pairings, with cancels, timeouts and drops at random, on real threads: a program (`harness = false`) for ThreadSanitizer,
//! which would report libtest's own channel.
//!
//! A round has a server and a client (or up to three senders and three receivers) that do random things until one side leaves; then
//! the logs must agree: what was sent and did not come back was received, in order (between two), once.
//! `HANDOVER_SEED=.. cargo test --test race_stress` repeats the choices of a run (not its interleaving); `HANDOVER_SECONDS=..` makes it longer.
//!
//! `.ci/sanitizers` runs it under both sanitizers.
#![allow(clippy::print_stdout)] // a program of its own

use std::cell::Cell;
use std::env;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::process::{abort, exit};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use handover::{Client, Receiver, SendError, Sender, Server, Why, duplex, rendezvous, simplex};

/// For how many seconds rounds are begun, unless `HANDOVER_SECONDS` says otherwise.
const SECONDS: u64 = 3;
/// Rounds of a run that nobody made longer.
const MOST_ROUNDS: u64 = 20_000;
/// How long a round may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

// ---- Chance

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A little while, of another length each time; mostly none.
    fn dawdle(&mut self) {
        match self.below(12) {
            0 => thread::yield_now(),
            1 => (0..self.below(2_000)).for_each(|_| std::hint::spin_loop()),
            _ => {}
        }
    }
}

// ---- Values

static LIVING: AtomicI64 = AtomicI64::new(0);

/// A value on the heap, in a cell: a hand-over without order is a race for the sanitizer to see.
struct Value(Box<Cell<u64>>);

impl Value {
    fn new(number: u64) -> Self {
        LIVING.fetch_add(1, Relaxed);
        Self(Box::new(Cell::new(number)))
    }

    /// Reads and writes it.
    fn number(self) -> u64 {
        self.0.replace(u64::MAX)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        LIVING.fetch_sub(1, Relaxed);
    }
}

// ---- Tasks

/// Wakes a thread that runs one task.
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Release);
        self.thread.unpark();
    }
}

fn unpark() -> (Arc<Unpark>, Waker) {
    let unpark = Arc::new(Unpark { thread: thread::current(), woken: AtomicBool::new(false) });
    (Arc::clone(&unpark), unpark.into())
}

/// Runs a future as a task does, at times with other wakers, at times polled without a cause.
fn block_on<F: Future>(future: F, chance: &mut Chance) -> F::Output {
    let mut future = pin!(future);
    let (mut flag, mut waker) = unpark();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        if chance.one_in(4) {
            (flag, waker) = unpark();
            continue;
        }
        while !flag.woken.swap(false, Acquire) {
            thread::park();
        }
    }
}

/// Polls it some times and leaves it be.
fn poll_some<F: Future + Unpin>(future: &mut F, chance: &mut Chance) -> Option<F::Output> {
    for _ in 0..=chance.below(2) {
        let (_, waker) = unpark();
        let polled = Pin::new(&mut *future).poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        chance.dawdle();
    }
    None
}

fn a_while(chance: &mut Chance) -> Duration {
    Duration::from_micros([0, 1, 20, 200][chance.below(4) as usize])
}

// ---- One round

/// What one end says of a round. Only what left for good is `given`, only what came is `got`.
#[derive(Debug, Default)]
struct Log {
    given: Vec<u64>,
    got: Vec<u64>,
    /// The last of `given` was left for a client that may have gone.
    is_last_left: bool,
}

/// Waits for the operation in one of the ways in which the value comes back if it is not taken.
macro_rules! send {
    ($op:expr, $chance:expr) => {{
        let mut op = $op;
        match $chance.below(10) {
            0 => op.now().map_err(Failure::of),
            1 => op.wait_timeout(a_while($chance)).map_err(Failure::of),
            2 => op.wait_deadline(Instant::now() + a_while($chance)).map_err(Failure::of),
            3..6 => match poll_some(&mut op, $chance) {
                Some(result) => result.map_err(Failure::of),
                None => Err(Failure { unsent: op.reclaim(), is_end: false }),
            },
            6..8 => op.wait().map_err(Failure::of),
            _ => block_on(op, $chance).map_err(Failure::of),
        }
    }};
}

/// The same for one that carries nothing.
macro_rules! receive {
    ($op:expr, $chance:expr) => {{
        let mut op = $op;
        match $chance.below(10) {
            0 => op.now().map_err(|error| error.is_end()),
            1 => op.wait_timeout(a_while($chance)).map_err(|error| error.is_end()),
            2 => {
                op.wait_deadline(Instant::now() + a_while($chance)).map_err(|error| error.is_end())
            }
            3..6 => match poll_some(&mut op, $chance) {
                Some(result) => result.map_err(|error| error.is_end()),
                None => Err(false),
            },
            6..8 => op.wait().map_err(|error| error.is_end()),
            _ => block_on(op, $chance).map_err(|error| error.is_end()),
        }
    }};
}

struct Failure {
    unsent: Option<Value>,
    is_end: bool,
}

impl Failure {
    fn of(error: SendError<Value>) -> Self {
        Self { is_end: error.is_end(), unsent: error.into_unsent() }
    }
}

/// Serves for some items. `demand` tells what came up.
fn serve<U>(
    mut server: Server<Value, U>,
    chance: &mut Chance,
    demand: impl Fn(U) -> Option<u64>,
) -> Log {
    let mut log = Log::default();
    let count = chance.below(40);
    for number in 0..count {
        chance.dawdle();
        if chance.one_in(4) {
            match receive!(server.demand(), chance) {
                Ok(up) => log.got.extend(demand(up)),
                Err(true) => return log,
                Err(false) => {}
            }
        }
        match send!(server.exchange(Value::new(number)), chance) {
            Ok(up) => {
                log.given.push(number);
                log.got.extend(demand(up));
            }
            Err(failure) => {
                match failure.unsent {
                    Some(value) => assert_eq!(value.number(), number),
                    None => log.given.push(number),
                }
                if failure.is_end {
                    return log;
                }
            }
        }
    }
    match chance.below(4) {
        0 => server.finish(),
        1 => drop(server),
        2 => {
            let panicked = catch_unwind(AssertUnwindSafe(move || {
                let _server = server;
                resume_unwind(Box::new(()));
            }));
            assert!(panicked.is_err());
        }
        _ => match server.finish_with(Value::new(count)) {
            Ok(()) => {
                log.given.push(count);
                log.is_last_left = true;
            }
            Err(error) => assert_eq!(error.into_unsent().map(Value::number), Some(count)),
        },
    }
    log
}

fn leave<T, U>(client: Client<T, U>, chance: &mut Chance) {
    if chance.one_in(2) { client.close() } else { drop(client) }
}

fn take(mut client: Client<Value>, chance: &mut Chance) -> Log {
    let mut log = Log::default();
    for _ in 0..chance.below(60) {
        chance.dawdle();
        if chance.one_in(3) {
            // As an iterator or as a stream.
            let next = if chance.one_in(2) {
                client.iter().next()
            } else {
                let mut stream = client.stream();
                block_on(futures_lite::StreamExt::next(&mut stream), chance)
            };
            match next {
                Some(value) => log.got.push(value.number()),
                None => break,
            }
            continue;
        }
        match receive!(client.recv(), chance) {
            Ok(value) => log.got.push(value.number()),
            Err(true) => break,
            Err(false) => {}
        }
    }
    leave(client, chance);
    log
}

fn ask(mut client: Client<Value, Value>, chance: &mut Chance) -> Log {
    let mut log = Log::default();
    for number in 0..chance.below(60) {
        chance.dawdle();
        match send!(client.exchange(Value::new(number)), chance) {
            Ok(value) => {
                log.given.push(number);
                log.got.push(value.number());
            }
            Err(failure) => {
                let is_taken = failure.unsent.is_none();
                match failure.unsent {
                    Some(value) => assert_eq!(value.number(), number),
                    None => log.given.push(number),
                }
                if failure.is_end {
                    break;
                }
                if is_taken {
                    match receive!(client.owed(), chance) {
                        Ok(value) => log.got.push(value.number()),
                        Err(true) => break,
                        Err(false) => {}
                    }
                } else if let Ok(value) = client.owed().now() {
                    // Out of turn: an answer was owed still.
                    log.got.push(value.number());
                }
            }
        }
    }
    leave(client, chance);
    log
}

/// Whether `part` comes out of `whole` by leaving some out.
fn is_within(part: &[u64], whole: &[u64]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|number| whole.any(|other| other == number))
}

fn check(server: &Log, client: &Log) -> bool {
    let mut given = &server.given[..];
    if server.is_last_left && client.got.len() < given.len() {
        given = &given[..given.len() - 1]; // nobody came for it
    }
    // A server that was not looking drops what comes up.
    given == client.got && is_within(&server.got, &client.given)
}

/// One of many that send: what did not come back.
fn send_many(tx: Sender<Value>, chance: &mut Chance) -> Log {
    let mut log = Log::default();
    let first = chance.below(1 << 40) << 8;
    for number in first..first + chance.below(40) {
        chance.dawdle();
        let result = if chance.one_in(4) {
            // By a permit, if a receiver stands ready; at times it is not used.
            match receive!(tx.reserve(), chance) {
                Ok(permit) if !chance.one_in(4) => send!(permit.send(Value::new(number)), chance),
                Ok(_) | Err(false) => continue,
                Err(true) => break,
            }
        } else {
            send!(tx.send(Value::new(number)), chance)
        };
        match result {
            Ok(()) => log.given.push(number),
            Err(failure) => {
                match failure.unsent {
                    Some(value) => assert_eq!(value.number(), number),
                    None => log.given.push(number),
                }
                if failure.is_end {
                    break;
                }
            }
        }
    }
    if chance.one_in(8) {
        tx.close();
    }
    log
}

/// One of many that receive, up to the end or a while.
fn take_many(rx: Receiver<Value>, chance: &mut Chance) -> Log {
    let mut log = Log::default();
    let most = if chance.one_in(4) { chance.below(40) } else { u64::MAX };
    for _ in 0..most {
        chance.dawdle();
        let got = if chance.one_in(4) {
            let next = if chance.one_in(2) {
                rx.iter().next()
            } else {
                block_on(futures_lite::StreamExt::next(&mut rx.stream()), chance)
            };
            next.ok_or(true)
        } else {
            receive!(rx.recv(), chance)
        };
        match got {
            Ok(value) => log.got.push(value.number()),
            Err(true) => break,
            Err(false) => {}
        }
    }
    log
}

/// Up to three senders and three receivers; how many values were received.
fn many_to_many(chance: &mut Chance) -> Result<usize, String> {
    let (senders, receivers) = (1 + chance.below(3), 1 + chance.below(3));
    let seeds: Vec<_> = (0..senders + receivers).map(|_| chance.next()).collect();
    let barrier = Barrier::new(seeds.len());
    let (tx, rx) = rendezvous();
    let logs: Vec<Log> = thread::scope(|scope| {
        let barrier = &barrier;
        let parties: Vec<_> = seeds
            .into_iter()
            .zip(0..)
            .map(|(seed, n)| {
                let (tx, rx) = (tx.clone(), rx.clone());
                scope.spawn(move || {
                    if n < senders {
                        drop(rx);
                        round(seed, barrier, |chance| send_many(tx, chance))
                    } else {
                        drop(tx);
                        round(seed, barrier, |chance| take_many(rx, chance))
                    }
                })
            })
            .collect();
        drop((tx, rx));
        parties
            .into_iter()
            .map(|party| party.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    let sorted = |of: fn(&Log) -> &Vec<u64>| {
        let mut numbers: Vec<_> = logs.iter().flat_map(of).copied().collect();
        numbers.sort_unstable();
        numbers
    };
    let (given, got) = (sorted(|log| &log.given), sorted(|log| &log.got));
    if given == got { Ok(got.len()) } else { Err(format!("{logs:?}")) }
}

fn round(seed: u64, waiter: &Barrier, job: impl FnOnce(&mut Chance) -> Log) -> Log {
    let mut chance = Chance(seed);
    waiter.wait();
    job(&mut chance)
}

/// A number from the environment, if it is there; the program ends if it is none.
fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| {
        eprintln!("race_stress: {variable} is to be a whole number, not {text:?}");
        exit(2);
    }))
}

fn main() {
    // `cargo nextest` asks every program for its tests, and for the ignored ones.
    if env::args().any(|argument| argument == "--list") {
        if !env::args().any(|argument| argument == "--ignored") {
            println!("race_stress: test");
        }
        return;
    }
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos());
    let seed = number("HANDOVER_SEED").unwrap_or_else(|| now() as u64);
    let seconds = number("HANDOVER_SECONDS");
    let limit = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let most_rounds = seconds.map_or(MOST_ROUNDS, |_| u64::MAX);
    println!("race_stress: HANDOVER_SEED={seed}");

    let rounds = Arc::new(AtomicU64::new(0));
    let watched = Arc::clone(&rounds);
    let is_over = Arc::new(AtomicBool::new(false));
    let is_watch_over = Arc::clone(&is_over);
    let watchdog = thread::spawn(move || {
        let mut last = (0, Instant::now());
        while !is_watch_over.load(Relaxed) {
            thread::park_timeout(Duration::from_secs(1));
            let done = watched.load(Relaxed);
            if done != last.0 {
                last = (done, Instant::now());
            } else if last.1.elapsed() > PATIENCE {
                eprintln!("race_stress: round {done} hangs, HANDOVER_SEED={seed}");
                abort();
            }
        }
    });

    let mut chance = Chance(seed);
    let start = Instant::now();
    let mut items = 0;
    while start.elapsed() < limit && rounds.load(Relaxed) < most_rounds {
        if chance.one_in(3) {
            let result = many_to_many(&mut chance);
            let done = rounds.fetch_add(1, Relaxed) + 1;
            items +=
                result.unwrap_or_else(|logs| panic!("round {done}, HANDOVER_SEED={seed}: {logs}"));
            assert_eq!(
                LIVING.load(Relaxed),
                0,
                "round {done}, HANDOVER_SEED={seed}: values leaked"
            );
            continue;
        }
        let seeds = [chance.next(), chance.next()];
        let is_duplex = chance.one_in(2);
        let barrier = Barrier::new(2);
        let (served, asked) = thread::scope(|scope| {
            let barrier = &barrier;
            if is_duplex {
                let (server, client) = duplex();
                let served = scope.spawn(move || {
                    round(seeds[0], barrier, |chance| {
                        serve(server, chance, |value: Value| Some(value.number()))
                    })
                });
                let asked = round(seeds[1], barrier, |chance| ask(client, chance));
                (served.join(), asked)
            } else {
                let (server, client) = simplex();
                let served = scope.spawn(move || {
                    round(seeds[0], barrier, |chance| serve(server, chance, |()| None))
                });
                let asked = round(seeds[1], barrier, |chance| take(client, chance));
                (served.join(), asked)
            }
        });
        let served = served.unwrap_or_else(|panic| resume_unwind(panic));
        let done = rounds.fetch_add(1, Relaxed) + 1;
        assert!(
            check(&served, &asked),
            "round {done}, HANDOVER_SEED={seed}: {served:?} against {asked:?}"
        );
        assert_eq!(LIVING.load(Relaxed), 0, "round {done}, HANDOVER_SEED={seed}: values leaked");
        items += asked.got.len();
    }
    leaves_a_waiting_client();

    is_over.store(true, Relaxed);
    watchdog.thread().unpark();
    watchdog.join().expect("the watchdog");
    println!("race_stress: {} rounds, {items} items", rounds.load(Relaxed));
}

/// A server that leaves while the client waits, with an offer just withdrawn.
fn leaves_a_waiting_client() {
    for round in 0..200 {
        let (mut server, mut client) = simplex();
        thread::scope(|scope| {
            scope.spawn(move || {
                let (_, waker) = unpark();
                let mut send = server.send(Value::new(round));
                let polled = Pin::new(&mut send).poll(&mut Context::from_waker(&waker));
                assert!(!matches!(polled, Poll::Ready(Ok(()))));
                drop(send);
                server.finish();
            });
            match client.recv().wait() {
                Ok(value) => assert_eq!(value.number(), round),
                Err(error) => assert_eq!(error.why(), Why::Closed),
            }
        });
        drop(client);
        assert_eq!(LIVING.load(Relaxed), 0);
    }
}
