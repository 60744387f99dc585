//! The threads on which parties run, each in one of several ways.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Runtime};

use crate::chance::Chance;
use crate::party::Runner;

/// A party, or several in one task.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
enum Job {
    #[default]
    None,
    Run(Runner, Work),
    Stop,
}

#[derive(Default)]
struct Mailbox {
    job: Mutex<Job>,
    bell: Condvar,
}

impl Mailbox {
    fn put(&self, job: Job) {
        *self.job.lock() = job;
        self.bell.notify_one();
    }

    fn take(&self) -> Job {
        let mut job = self.job.lock();
        while matches!(*job, Job::None) {
            self.bell.wait(&mut job);
        }
        mem::take(&mut *job)
    }
}

/// A thread that runs one piece of work after another.
pub(crate) struct Worker {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(crate) fn new(name: String) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let theirs = Arc::clone(&mailbox);
        let thread = thread::Builder::new().name(name).spawn(move || work(&theirs));
        Self { mailbox, thread: Some(thread.expect("a thread")) }
    }

    /// The work before must be done.
    pub(crate) fn run(&self, runner: Runner, work: Work) {
        self.mailbox.put(Job::Run(runner, work));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.mailbox.put(Job::Stop);
        _ = self.thread.take().map(JoinHandle::join);
    }
}

fn work(mailbox: &Mailbox) {
    let mut runtime: Option<Runtime> = None;
    let mut chance = Chance::new(0);
    while let Job::Run(runner, work) = mailbox.take() {
        match runner {
            Runner::Pollster => pollster::block_on(work),
            Runner::FuturesLite => futures_lite::future::block_on(work),
            Runner::Thread | Runner::Hand => by_hand(work, &mut chance),
            Runner::TokioCurrent | Runner::TokioMulti => {
                let make = || Builder::new_current_thread().enable_time().build();
                runtime.get_or_insert_with(|| make().expect("a runtime")).block_on(work);
            }
        }
    }
}

/// Wakes a thread that runs one task.
struct Unpark {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Release);
        self.thread.unpark();
    }
}

/// Runs a task at times with another waker than before, and at times without a cause.
fn by_hand(mut work: Work, chance: &mut Chance) {
    let new = || {
        let unpark = Unpark { thread: thread::current(), is_woken: AtomicBool::new(false) };
        let unpark = Arc::new(unpark);
        (Arc::clone(&unpark), Waker::from(unpark))
    };
    let (mut unpark, mut waker) = new();
    while work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        if chance.one_in(4) {
            (unpark, waker) = new();
            continue;
        }
        while !unpark.is_woken.swap(false, Acquire) {
            thread::park();
        }
    }
}
