//! `produce`, `produce_in`, `produce_on`: a blocking routine on another thread.
#![allow(
    missing_debug_implementations,
    reason = "users meet the sources only inside of `Iter` and `Stream`"
)]

use std::any::Any;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::error::Why;
use crate::lockstep::{Client, Server, simplex};
use crate::panics;
use crate::point::{Name, Origin};
use crate::sequence::{Iter, Source};
use crate::sync::{Arc, Mutex};
use crate::wait::with_parker;

use spawn::{JoinHandle, ScopedJoinHandle, SpawnIn};

mod spawn;

/// Runs a blocking routine on a thread, and makes an iterator, or a stream, of what it sends.
///
/// The routine runs from one demand to the next, in lockstep with its consumer. When it returns, the items end, as [`Why::Closed`], however it returned: a routine
/// that can fail uses [`try_produce`]. When it panics, the panic goes on in the consumer, after the items before it: it never looks like the end. Dropping the
/// iterator ends the channel, so that the routine's next `send` fails, with [`Why::Dropped`]; it does not wait for the routine.
///
/// ```
/// use handover::produce;
///
/// // A parser that pushes ...
/// fn parse(text: &str, mut callback: impl FnMut(&str)) {
///     text.split(',').for_each(|field| callback(field.trim()));
/// }
///
/// // ... as an iterator.
/// let fields = produce(|server| parse("one, two, three", |field| _ = server.send(field.to_string()).wait()));
/// assert_eq!(fields.collect::<Vec<_>>(), ["one", "two", "three"]);
/// ```
///
/// # Panics
///
/// If the system cannot start a thread.
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn produce<T: Send + 'static>(f: impl FnOnce(&mut Server<T>) + Send + 'static) -> Produced<T> {
    let (server, client) = simplex();
    Iter::new(
        Production::new(client, spawn::spawn(move || run(f, server))),
        const { Name::of("produce") },
    )
}

/// Runs a blocking routine that may fail on a thread. The items are results, and the routine's error is the last one, after everything that
/// it sent: a routine that leaves by `?` cannot look complete. Otherwise as [`produce`]; [`end`](Iter::end) is [`Why::Closed`] also after an error, which was told.
///
/// ```
/// use handover::try_produce;
/// use std::io::{self, BufRead};
///
/// let lines = try_produce(|server| {
///     for line in (&b"one\ntwo\n\xff"[..]).lines() {
///         _ = server.send(line?).wait();
///     }
///     Ok::<_, io::Error>(())
/// });
/// let lines: Vec<io::Result<String>> = lines.collect();
/// assert_eq!(lines.len(), 3);
/// assert!(lines[2].is_err());
/// ```
///
/// # Panics
///
/// If the system cannot start a thread.
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn try_produce<T: Send + 'static, E: Send + 'static>(
    f: impl FnOnce(&mut Server<T>) -> Result<(), E> + Send + 'static,
) -> TryProduced<T, E> {
    let (server, client) = simplex();
    Iter::new(
        TryProduction(Production::new(client, spawn::spawn(move || run(f, server)))),
        const { Name::of("try_produce") },
    )
}

/// Runs a blocking routine on a thread of a scope, with what it borrows, as [`produce`] does.
///
/// ```
/// use handover::produce_in;
/// use std::thread;
///
/// let text = "one two three".to_string();
/// let longest = thread::scope(|scope| {
///     let words = produce_in(scope, |server| _ = server.send_all(text.split(' ')).wait());
///     words.max_by_key(|word| word.len())
/// });
/// assert_eq!(longest, Some("three"));
/// ```
///
/// # Panics
///
/// If the system cannot start a thread.
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn produce_in<'scope, T: Send + 'scope>(
    scope: impl SpawnIn<'scope>,
    f: impl FnOnce(&mut Server<T>) + Send + 'scope,
) -> ProducedIn<'scope, T> {
    let (server, client) = simplex();
    Iter::new(
        Production::new(client, scope.spawn_in(move || run(f, server))),
        const { Name::of("produce_in") },
    )
}

/// Runs a blocking routine on a pool, to which `spawn` gives it, as [`produce`] does on a thread of its own.
///
/// A panic of the routine is raised again in the consumer, and does not reach the pool. A job that the pool drops without running it ends the sequence as
/// [`Why::Dropped`]. `spawn` must not run the job itself: its first `send` would wait for a consumer that is not there yet.
///
/// ```
/// use handover::produce_on;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # let _guard = runtime.enter();
/// let squares = produce_on(
///     |job| {
///         tokio::task::spawn_blocking(job);
///     },
///     |server| _ = server.send_all((1..=3).map(|n| n * n)).wait(),
/// );
/// assert_eq!(squares.collect::<Vec<_>>(), [1, 4, 9]);
/// ```
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn produce_on<T: Send + 'static>(
    spawn: impl FnOnce(Box<dyn FnOnce() + Send>),
    f: impl FnOnce(&mut Server<T>) + Send + 'static,
) -> ProducedOn<T> {
    let (server, client) = simplex();
    Iter::new(Production::new(client, run_on(spawn, f, server)), const { Name::of("produce_on") })
}

/// Runs a blocking routine that may fail on a pool: as [`produce_on`], with the routine's error as the last item, as in [`try_produce`].
///
/// ```
/// use handover::try_produce_on;
/// use std::thread;
///
/// let numbers = try_produce_on(
///     |job| _ = thread::spawn(job),
///     |server| {
///         _ = server.send(1).wait();
///         Err("that was all there was")
///     },
/// );
/// assert!(numbers.eq([Ok(1), Err("that was all there was")]));
/// ```
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn try_produce_on<T: Send + 'static, E: Send + 'static>(
    spawn: impl FnOnce(Box<dyn FnOnce() + Send>),
    f: impl FnOnce(&mut Server<T>) -> Result<(), E> + Send + 'static,
) -> TryProducedOn<T, E> {
    let (server, client) = simplex();
    Iter::new(
        TryProduction(Production::new(client, run_on(spawn, f, server))),
        const { Name::of("try_produce_on") },
    )
}

/// The items of a routine on a thread. See [`produce`].
pub type Produced<T> = Iter<Production<T, JoinHandle<()>>>;

/// The items of a routine on a thread of a scope. See [`produce_in`].
pub type ProducedIn<'scope, T> = Iter<Production<T, ScopedJoinHandle<'scope, ()>>>;

/// The items of a routine on a pool. See [`produce_on`].
pub type ProducedOn<T> = Iter<Production<T, PoolJob<()>>>;

/// The items of a routine on a thread that may fail. See [`try_produce`].
pub type TryProduced<T, E> = Iter<TryProduction<T, JoinHandle<Result<(), E>>>>;

/// The items of a routine on a pool that may fail. See [`try_produce_on`].
pub type TryProducedOn<T, E> = Iter<TryProduction<T, PoolJob<Result<(), E>>>>;

fn run<T, R>(f: impl FnOnce(&mut Server<T>) -> R, mut server: Server<T>) -> R {
    let result = f(&mut server);
    server.finish();
    result
}

/// A job that can be waited for.
pub trait Job {
    /// What the routine returns.
    type Output;

    /// Waits for the job. `None`: it was dropped without having run.
    fn join(self) -> thread::Result<Option<Self::Output>>;
}

impl<R> Job for JoinHandle<R> {
    type Output = R;

    fn join(self) -> thread::Result<Option<R>> {
        self.join().map(Some)
    }
}

impl<R> Job for ScopedJoinHandle<'_, R> {
    type Output = R;

    fn join(self) -> thread::Result<Option<R>> {
        self.join().map(Some)
    }
}

/// A job on a pool.
pub struct PoolJob<R> {
    done: Arc<Done<R>>,
}

/// Whether a job on a pool is done, and how.
struct Done<R> {
    state: Mutex<Progress<R>>,
    /// The waker of the party that waits for it.
    waiter: Mutex<Option<Waker>>,
}

impl<R> Done<R> {
    fn wake(&self) {
        let waiter = self.waiter.lock().take();
        if let Some(waiter) = waiter {
            waiter.wake(); // A parker's.
        }
    }
}

enum Progress<R> {
    Running,
    Returned(R),
    Panicked(Box<dyn Any + Send>),
    /// The job was dropped without having run; or it was joined.
    Gone,
}

impl<R> Job for PoolJob<R> {
    type Output = R;

    fn join(self) -> thread::Result<Option<R>> {
        let Done { state, waiter } = &*self.done;
        with_parker(|parker, waker| {
            *waiter.lock() = Some(waker.clone());
            while matches!(*state.lock(), Progress::Running) {
                if !parker.park(None) {
                    break; // In a model that has failed: the job may not end before this party does.
                }
            }
        });
        let progress = std::mem::replace(&mut *state.lock(), Progress::Gone);
        match progress {
            Progress::Returned(result) => Ok(Some(result)),
            Progress::Panicked(payload) => Err(payload),
            Progress::Running | Progress::Gone => Ok(None),
        }
    }
}

/// The pool's side of a job. Dropped, the job is done.
struct Running<R>(Arc<Done<R>>);

impl<R> Running<R> {
    fn set(&self, progress: Progress<R>) {
        *self.0.state.lock() = progress;
        self.0.wake();
    }
}

impl<R> Drop for Running<R> {
    fn drop(&mut self) {
        let mut progress = self.0.state.lock();
        if matches!(*progress, Progress::Running) {
            *progress = Progress::Gone;
        }
        drop(progress);
        self.0.wake();
    }
}

/// Gives a routine to a pool.
fn run_on<T: Send + 'static, R: Send + 'static>(
    spawn: impl FnOnce(Box<dyn FnOnce() + Send>),
    f: impl FnOnce(&mut Server<T>) -> R + Send + 'static,
    mut server: Server<T>,
) -> PoolJob<R> {
    let done = Arc::new(Done { state: Mutex::new(Progress::Running), waiter: Mutex::new(None) });
    let running = Running(Arc::clone(&done));
    spawn(Box::new(move || {
        // A routine that panics takes its server along: the client is told `Panicked`.
        let result = catch_unwind(AssertUnwindSafe(move || (f(&mut server), server)));
        match result {
            Ok((result, server)) => {
                running.set(Progress::Returned(result));
                panics::swallow(|| server.finish()); // A waker that panics is not the pool's affair.
            }
            Err(payload) => running.set(Progress::Panicked(payload)),
        }
    }));
    PoolJob { done }
}

/// A routine elsewhere, and the client of what it sends.
pub struct Production<T, J> {
    client: Client<T>,
    job: Option<J>,
}

impl<T, J: Job> Production<T, J> {
    const fn new(client: Client<T>, job: J) -> Self {
        Self { client, job: Some(job) }
    }

    /// After the end the routine has returned or panicked, so that there is next to nothing to wait for. Gives what it returned, once.
    fn join_at_end(&mut self) -> Option<J::Output> {
        match self.job.take()?.join() {
            Ok(output) => output,
            Err(payload) => panic::resume_unwind(payload),
        }
    }

    fn close_and_join(self) -> thread::Result<Option<J::Output>> {
        let Production { client, job } = self;
        client.close();
        job.map_or(Ok(None), Job::join)
    }
}

impl<T, J: Job<Output = ()>> Source for Production<T, J> {
    type Item = T;

    fn wait_next(&mut self, origin: Origin) -> Option<T> {
        let item = self.client.wait_next(origin);
        if item.is_none() {
            self.join_at_end();
        }
        item
    }

    fn poll_next(&mut self, context: &mut Context<'_>, origin: Origin) -> Poll<Option<T>> {
        let polled = self.client.poll_next(context, origin);
        if matches!(polled, Poll::Ready(None)) {
            self.join_at_end();
        }
        polled
    }

    fn unregister(&mut self) {
        self.client.unregister();
    }

    fn end(&self) -> Option<Why> {
        self.client.end()
    }
}

/// A routine elsewhere that may fail.
pub struct TryProduction<T, J>(Production<T, J>);

impl<T, E, J: Job<Output = Result<(), E>>> Source for TryProduction<T, J> {
    type Item = Result<T, E>;

    fn wait_next(&mut self, origin: Origin) -> Option<Self::Item> {
        match self.0.client.wait_next(origin) {
            Some(item) => Some(Ok(item)),
            None => self.0.join_at_end()?.err().map(Err),
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>, origin: Origin) -> Poll<Option<Self::Item>> {
        match self.0.client.poll_next(context, origin) {
            Poll::Ready(Some(item)) => Poll::Ready(Some(Ok(item))),
            Poll::Ready(None) => {
                let output = self.0.join_at_end();
                Poll::Ready(output.and_then(Result::err).map(Err))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn unregister(&mut self) {
        self.0.client.unregister();
    }

    fn end(&self) -> Option<Why> {
        self.0.client.end()
    }

    fn is_over(&self) -> bool {
        self.end().is_some() && self.0.job.is_none()
    }
}

impl<T, J: Job<Output = ()>> Iter<Production<T, J>> {
    /// Closes the channel and waits for the routine (on a pool: for the job). `Err` has its panic, if it panicked and that was not told yet.
    ///
    /// ```
    /// use handover::produce;
    ///
    /// let mut numbers = produce(|server| _ = server.send_all(1..).wait());
    /// assert_eq!(numbers.next(), Some(1));
    /// assert!(numbers.join().is_ok());
    /// ```
    pub fn join(self) -> thread::Result<()> {
        self.into_source().close_and_join().map(|_| ())
    }
}

impl<T, E, J: Job<Output = Result<(), E>>> Iter<TryProduction<T, J>> {
    /// Closes the channel and waits for the routine (on a pool: for the job), and gives its error, if that was not told yet. The outer `Err` has its panic.
    ///
    /// ```
    /// use handover::try_produce;
    ///
    /// let mut numbers = try_produce(|server| server.send_all(1..).wait().map_err(|error| error.why()));
    /// assert_eq!(numbers.next(), Some(Ok(1)));
    /// assert!(numbers.join().unwrap().unwrap_err().is_end()); // its consumer has left
    /// ```
    pub fn join(self) -> thread::Result<Result<(), E>> {
        self.into_source().0.close_and_join().map(|output| output.unwrap_or(Ok(())))
    }
}
