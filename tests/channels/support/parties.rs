//! Bodies that run as a thread or as a task, and what they did.

use std::future::Future;
use std::panic::{self};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::thread;
use super::{Op, progress};
use futures_lite::future::zip;

/// How a body waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Thread,
    Task,
}

impl How {
    pub(crate) async fn run<O: Op>(self, op: O) -> O::Output {
        let output = match self {
            How::Thread => op.block(),
            How::Task => op.await,
        };
        progress();
        output
    }

    /// Yields until `condition` holds.
    pub(crate) async fn until(self, mut condition: impl FnMut() -> bool) {
        while !condition() {
            thread::yield_now();
            if self == How::Task {
                futures_lite::future::yield_now().await;
            }
        }
    }

    /// Runs the body here.
    pub(crate) fn drive<R>(self, body: impl Future<Output = R>) -> R {
        match self {
            // A body that blocks is done when it has been polled once.
            How::Thread => match pin!(body).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => result,
                Poll::Pending => panic!("a thread's body awaits"),
            },
            How::Task => pollster::block_on(body),
        }
    }
}

/// The kinds of the server's side and of the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairing {
    ThreadThread,
    ThreadTask,
    TaskThread,
    /// Each on an executor of its own.
    TaskTask,
    OneTask,
}

impl Pairing {
    pub(crate) const ALL: [Self; 5] =
        [Self::ThreadThread, Self::ThreadTask, Self::TaskThread, Self::TaskTask, Self::OneTask];
}

/// The side that starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    Server,
    Client,
}

/// A body, boxed: what runs it is compiled for each type of result only.
type Body<'a, R> = Box<dyn FnOnce(How) -> Pin<Box<dyn Future<Output = R> + 'a>> + Send + 'a>;

fn boxed<'a, R: 'a>(body: impl AsyncFnOnce(How) -> R + Send + 'a) -> Body<'a, R> {
    Box::new(|how| Box::pin(async move { body(how).await }))
}

/// Runs both bodies to their end.
pub(crate) fn pair<'a, A: Send + 'a, B: Send + 'a>(
    pairing: Pairing,
    first: First,
    server: impl AsyncFnOnce(How) -> A + Send + 'a,
    client: impl AsyncFnOnce(How) -> B + Send + 'a,
) -> (A, B) {
    pair_boxed(pairing, first, boxed(server), boxed(client))
}

fn pair_boxed<A: Send, B: Send>(
    pairing: Pairing,
    first: First,
    server: Body<'_, A>,
    client: Body<'_, B>,
) -> (A, B) {
    use How::{Task, Thread};
    let (server_how, client_how) = match pairing {
        Pairing::ThreadThread => (Thread, Thread),
        Pairing::ThreadTask => (Thread, Task),
        Pairing::TaskThread => (Task, Thread),
        Pairing::TaskTask => (Task, Task),
        Pairing::OneTask => {
            return pollster::block_on(async {
                use futures_lite::future::zip;
                match first {
                    First::Server => zip(server(Task), client(Task)).await,
                    First::Client => {
                        let (b, a) = zip(client(Task), server(Task)).await;
                        (a, b)
                    }
                }
            });
        }
    };
    let server = move || server_how.drive(server(server_how));
    let client = move || client_how.drive(client(client_how));
    thread::scope(|scope| match first {
        First::Server => {
            let server = scope.spawn(server);
            let b = client();
            (join(server), b)
        }
        First::Client => {
            let client = scope.spawn(client);
            let a = server();
            (a, join(client))
        }
    })
}

fn join<R>(thread: thread::ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// Runs a test in all pairings, either end first.
pub(crate) fn in_all_pairings(test: impl Fn(Pairing, First)) {
    for pairing in Pairing::ALL {
        for first in [First::Server, First::Client] {
            test(pairing, first);
        }
    }
}

/// The steps of both sides, in the order in which they happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn log(&self, what: impl Into<String>) {
        progress();
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// The number of ways to run three bodies: each combination of thread and task, and all in one task.
pub(crate) const TRIPLES: u32 = 9;

/// Runs three bodies to their end, in one of these ways.
pub(crate) fn triple(
    way: u32,
    a: impl AsyncFnOnce(How) + Send,
    b: impl AsyncFnOnce(How) + Send,
    c: impl AsyncFnOnce(How) + Send,
) {
    if way == TRIPLES - 1 {
        return pollster::block_on(async {
            zip(zip(a(How::Task), b(How::Task)), c(How::Task)).await;
        });
    }
    let [a_how, b_how, c_how] =
        [1, 2, 4].map(|bit| if way & bit != 0 { How::Task } else { How::Thread });
    thread::scope(|scope| {
        scope.spawn(move || a_how.drive(a(a_how)));
        scope.spawn(move || b_how.drive(b(b_how)));
        c_how.drive(c(c_how));
    });
}
