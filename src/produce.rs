//! `generate`, `produce`, `produce_in`: a routine that pushes, as something to source from.
//!
//! | | the routine runs | the consumer |
//! |---|---|---|
//! | `generate` | in the consumer, between two items | an iterator or a stream |
//! | `produce` | on a thread of its own | an iterator or a stream |
//! | `produce_in` | on a thread of a scope, with borrowed data | an iterator or a stream |

use std::fmt;
use std::iter::FusedIterator;
use std::panic;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle, Scope, ScopedJoinHandle};

use crate::drive;
use crate::error::Why;
use crate::lockstep::{Client, Server, simplex};
use crate::sequence::{Iter, Source, Stream};
use crate::step::{Attempt, Step};
use crate::wait::with_parker;

/// Makes an iterator, or a stream, of an async routine that sends.
///
/// There is no thread and no spawn: the consumer drives the routine, from one `send` to the next. The routine may await
/// other things too; the iterator then blocks, the stream waits. It can be sent to another thread if the routine can.
///
/// A panic of the routine goes to the consumer that drives it; the items before it came. On its server the routine must await, and
/// never [`wait`](crate::op::Exchange::wait): that blocks the only thread that could ask.
///
/// ```
/// use handover::generate;
///
/// let fibonacci = generate(|mut server| async move {
///     let (mut a, mut b) = (0_u64, 1);
///     while server.send(a).await.is_ok() {
///         (a, b) = (b, a + b);
///     }
/// });
/// assert_eq!(fibonacci.take(8).collect::<Vec<_>>(), [0, 1, 1, 2, 3, 5, 8, 13]);
/// ```
pub fn generate<T, F>(f: impl FnOnce(Server<T>) -> F) -> Generator<T, F>
where
    F: Future<Output = ()>,
{
    let (server, client) = simplex();
    Generator { client, routine: Some(Box::pin(f(server))), has_returned: false }
}

/// The items of an async routine, which runs in the calls of `next`. See [`generate`].
pub struct Generator<T, F> {
    client: Client<T>,
    routine: Option<Pin<Box<F>>>,
    /// The routine returned, and with that its server was gone.
    has_returned: bool,
}

impl<T, F: Future<Output = ()>> Generator<T, F> {
    /// The same for a task.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use handover::generate;
    ///
    /// let greeting = generate(|mut server| async move {
    ///     _ = server.send_all(["hello", "world"]).await;
    /// });
    /// # pollster::block_on(async {
    /// assert_eq!(greeting.into_stream().collect::<Vec<_>>().await, ["hello", "world"]);
    /// # });
    /// ```
    pub fn into_stream(self) -> Stream<Self> {
        Stream { source: self }
    }

    #[inline]
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        // Asking wakes nobody, since the routine is polled next.
        self.client.drive_server_with(context.waker());
        loop {
            let mut recv = self.client.recv();
            let mut polled = recv.step.step(Attempt::ONCE);
            if polled.is_pending() && self.routine.is_none() {
                // The server is elsewhere: the routine has passed it on.
                polled = drive::poll(&mut recv.step, context);
                recv.detach();
                if self.client.takes_owed_wake() && polled.is_pending() {
                    context.waker().wake_by_ref();
                }
                return polled.map(Result::ok);
            }
            recv.detach();
            if let Poll::Ready(item) = polled {
                return Poll::Ready(item.ok());
            }
            // Taken out, so that a routine that panics is not polled again.
            let Some(mut routine) = self.routine.take() else { return Poll::Pending };
            match routine.as_mut().poll(context) {
                // A server that it left to others ends as they say.
                Poll::Ready(()) => self.has_returned = self.client.is_ended(),
                Poll::Pending => {
                    self.routine = Some(routine);
                    let mut recv = self.client.recv();
                    let polled =
                        recv.step.step(Attempt { waker: Some(context.waker()), ..Attempt::ONCE });
                    recv.detach();
                    if self.client.takes_owed_wake() && polled.is_pending() {
                        // It may be that another future of this task has the server.
                        context.waker().wake_by_ref();
                    }
                    return polled.map(Result::ok);
                }
            }
        }
    }
}

impl<T, F> Generator<T, F> {
    /// How it ended, once the items have: [`Why::Closed`] when the routine returned, or finished its server;
    /// [`Why::Panicked`] when it panicked; [`Why::Dropped`] when it dropped its server and went on, or whoever it gave the server to.
    pub fn end(&self) -> Option<Why> {
        match self.client.end() {
            Some(Why::Dropped) if self.has_returned => Some(Why::Closed),
            end => end,
        }
    }
}

impl<T, F: Future<Output = ()>> Iterator for Generator<T, F> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        with_parker(|parker, waker| {
            let mut context = Context::from_waker(waker);
            loop {
                match self.poll(&mut context) {
                    Poll::Ready(item) => return item,
                    Poll::Pending => _ = parker.park(None),
                }
            }
        })
    }
}

impl<T, F: Future<Output = ()>> FusedIterator for Generator<T, F> {}

impl<T, F> fmt::Debug for Generator<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator").field("end", &self.end()).finish_non_exhaustive()
    }
}

impl<T, F: Future<Output = ()>> Source for Generator<T, F> {
    type Item = T;

    #[inline]
    fn wait_next(&mut self) -> Option<T> {
        self.next()
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll(context)
    }

    fn unregister(&mut self) {}

    fn end(&self) -> Option<Why> {
        Self::end(self)
    }
}

/// Runs a blocking routine on a thread, and makes an iterator, or a stream, of what it sends.
///
/// The routine runs from one demand to the next, in lockstep with its consumer. When it returns, the items end; when it panics, the
/// panic goes on in the consumer, after the items before it: it never looks like the end. Dropping the iterator ends the channel, so
/// that the routine's next `send` fails, with [`Why::Dropped`]; it does not wait for the routine.
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
pub fn produce<T: Send + 'static>(f: impl FnOnce(&mut Server<T>) + Send + 'static) -> Produced<T> {
    let (server, client) = simplex();
    let thread = thread::spawn(move || run(f, server));
    Iter { source: Production { client, thread: Some(thread) } }
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
pub fn produce_in<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    f: impl FnOnce(&mut Server<T>) + Send + 'scope,
) -> ProducedIn<'scope, T> {
    let (server, client) = simplex();
    let thread = scope.spawn(move || run(f, server));
    Iter { source: Production { client, thread: Some(thread) } }
}

fn run<T>(f: impl FnOnce(&mut Server<T>), mut server: Server<T>) {
    f(&mut server);
    server.finish();
}

/// A thread to wait for.
pub trait Join {
    fn join(self) -> thread::Result<()>;
}

impl Join for JoinHandle<()> {
    fn join(self) -> thread::Result<()> {
        self.join()
    }
}

impl Join for ScopedJoinHandle<'_, ()> {
    fn join(self) -> thread::Result<()> {
        self.join()
    }
}

/// A routine on a thread, and the client of what it sends.
#[allow(missing_debug_implementations, reason = "users meet it only inside of `Iter` and `Stream`")]
pub struct Production<T, J> {
    client: Client<T>,
    thread: Option<J>,
}

impl<T, J: Join> Production<T, J> {
    /// At the end, the routine has returned or panicked, so that there is next to nothing to wait for.
    fn or_panic(&mut self, item: Option<T>) -> Option<T> {
        if item.is_none() {
            if let Some(Err(panic)) = self.thread.take().map(Join::join) {
                panic::resume_unwind(panic);
            }
        }
        item
    }

    fn join(self) -> thread::Result<()> {
        let Production { client, thread } = self;
        client.close();
        thread.map_or(Ok(()), Join::join)
    }
}

impl<T, J: Join> Source for Production<T, J> {
    type Item = T;

    fn wait_next(&mut self) -> Option<T> {
        let item = self.client.wait_next();
        self.or_panic(item)
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.client.poll_next(context).map(|item| self.or_panic(item))
    }

    fn unregister(&mut self) {
        self.client.unregister();
    }

    fn end(&self) -> Option<Why> {
        self.client.end()
    }
}

/// The items of a routine on a thread, each awaited by blocking this one. See [`produce`].
pub type Produced<T> = Iter<Production<T, JoinHandle<()>>>;

/// The items of a routine on a thread of a scope, each awaited by blocking this one. See [`produce_in`].
pub type ProducedIn<'scope, T> = Iter<Production<T, ScopedJoinHandle<'scope, ()>>>;

impl<T, J: Join> Iter<Production<T, J>> {
    /// Closes the channel and waits for the routine. `Err` has its panic, if it panicked and that was not told yet.
    ///
    /// ```
    /// use handover::produce;
    ///
    /// let mut numbers = produce(|server| _ = server.send_all(1..).wait());
    /// assert_eq!(numbers.next(), Some(1));
    /// assert!(numbers.join().is_ok());
    /// ```
    pub fn join(self) -> thread::Result<()> {
        self.source.join()
    }
}
