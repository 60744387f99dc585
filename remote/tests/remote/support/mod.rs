//! What the tests share: sessions, children, a link that can be cut, and a watchdog.

mod child;
mod link;
mod roles;

use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use handover_remote::zenoh::{self, Config, Session};
use handover_remote::{Options, open_local_connecting, open_local_listening};

pub(crate) use child::{Child, ROLE};
pub(crate) use link::Link;
pub(crate) use roles::play;

/// No test takes so long. One that hangs ends the program, so that its neighbours' children end too.
const LIMIT: Duration = Duration::from_secs(100);

/// Runs a test on a runtime of its own, under a watchdog.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let (done, is_done) = mpsc::channel::<()>();
    let name = thread::current().name().unwrap_or_default().to_owned();
    thread::spawn(move || {
        if is_done.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            eprintln!("`{name}` hangs");
            std::process::exit(101);
        }
    });
    runtime().block_on(test);
    drop(done);
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// A port of 127.0.0.1 that nobody listens on, and that the system gives to nobody: it is below those that it gives by itself.
pub(crate) fn free_port() -> u16 {
    static TURN: AtomicU16 = AtomicU16::new(0);
    loop {
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let port =
            12_000 + (std::process::id() as u16).wrapping_mul(97).wrapping_add(turn) % 18_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// What a session announces: it counts as dead when it was not heard of for so long.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

pub(crate) async fn open(mut config: Config) -> Session {
    let lease = LEASE.as_millis().to_string();
    config.insert_json5("transport/link/tx/lease", &lease).unwrap();
    zenoh::open(config).await.unwrap()
}

pub(crate) async fn listen(port: u16) -> Session {
    open(open_local_listening(port)).await
}

/// A session that is connected to this port.
pub(crate) async fn connect(port: u16) -> Session {
    let session = open(open_local_connecting(port)).await;
    while session.info().peers_zid().await.next().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    session
}

/// Two sessions with a link between them.
pub(crate) async fn two_sessions() -> (Session, Session) {
    let port = free_port();
    (listen(port).await, connect(port).await)
}

/// Options with a short grace, and no question that is asked again.
pub(crate) fn grace(grace: Duration) -> Options {
    Options { grace, ask: Duration::from_secs(30), ..Options::default() }
}

/// How long this machine keeps a thread waiting that wants to run, at worst, while this lives: what a bound on a time must allow.
pub(crate) struct StallMeter {
    worst: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StallMeter {
    pub(crate) fn start() -> Self {
        let (worst, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (noted, is_over) = (Arc::clone(&worst), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            const TICK: Duration = Duration::from_millis(2);
            while !is_over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                thread::sleep(TICK);
                let late = begun.elapsed().saturating_sub(TICK).as_micros() as u64;
                noted.fetch_max(late, Ordering::Relaxed);
            }
        });
        Self { worst, stop, thread: Some(thread) }
    }

    /// Several threads in two processes take part in what is bounded, one after the other.
    pub(crate) fn allowance(&self) -> Duration {
        10 * Duration::from_micros(self.worst.load(Ordering::Relaxed))
    }
}

impl Drop for StallMeter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        _ = self.thread.take().unwrap().join();
    }
}

/// Numbers that look random, and are the same in each run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}
