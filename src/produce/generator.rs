//! `generate`: an async routine that its consumer drives.
#![allow(
    missing_debug_implementations,
    reason = "users meet the sources only inside of `Iter` and `Stream`"
)]

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::drive;
use crate::error::Why;
use crate::lockstep::{Client, Server, simplex};
use crate::point::{Name, Origin};
use crate::sequence::{Iter, Source};
use crate::slot::driven;
use crate::step::{Attempt, Step};
use crate::wait::with_parker;

/// Makes an iterator, or a stream, of an async routine that sends.
///
/// There is no thread and no spawn: the consumer drives the routine, from one `send` to the next. The routine may await
/// other things too; the iterator then blocks, the stream waits. It can be sent to another thread if the routine can. A stream gives its executor a turn
/// at least every 128 items.
///
/// When the routine returns, the sequence ends as [`Why::Closed`], however it returned: a routine that can fail uses [`try_generate`]. A panic of the
/// routine goes to the consumer that drives it; the items before it came.
///
/// # Panics
///
/// On its server the routine must await. If it blocks there ([`wait`](crate::op::Op::wait)) on the thread that drives it, the only thread that could ask is blocked: it
/// panics, and says so. So does a [`select`](crate::select()) whose arms are all of that server. (A foreign `block_on`
/// inside of the routine is not seen, and hangs; so does a [`Peer`](crate::Peer) on which it blocks, and a `select` with another arm that never happens.) A server that was passed to another thread may block there.
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
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn generate<T, F>(f: impl FnOnce(Server<T>) -> F) -> Generator<T, F>
where
    F: Future<Output = ()>,
{
    Iter::new(GeneratorSource { routine: Routine::new(f, false) }, const { Name::of("generate") })
}

/// Makes an iterator, or a stream, of an async routine that sends and may fail: the items are results, and the routine's error is the last one, after
/// everything that it sent. So a routine that leaves by `?` cannot look complete.
///
/// Otherwise as [`generate`]; [`end`](Iter::end) is [`Why::Closed`] also after an error, which was told.
///
/// ```
/// use handover::try_generate;
///
/// let numbers = try_generate(|mut server| async move {
///     for text in ["1", "2", "three"] {
///         _ = server.send(text.parse::<u8>()?).await;
///     }
///     Ok::<_, std::num::ParseIntError>(())
/// });
/// let (good, bad): (Vec<_>, Vec<_>) = numbers.partition(Result::is_ok);
/// assert_eq!((good.len(), bad.len()), (2, 1));
/// ```
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
pub fn try_generate<T, E, F>(f: impl FnOnce(Server<T>) -> F) -> TryGenerator<T, E, F>
where
    F: Future<Output = Result<(), E>>,
{
    Iter::new(
        TryGeneratorSource { routine: Routine::new(f, true), error: None },
        const { Name::of("try_generate") },
    )
}

/// The items of an async routine, which runs in the calls of `next`. See [`generate`].
pub type Generator<T, F> = Iter<GeneratorSource<T, F>>;

/// The items of an async routine that may fail. See [`try_generate`].
pub type TryGenerator<T, E, F> = Iter<TryGeneratorSource<T, E, F>>;

/// How many items a stream gives before its executor has a turn.
const ITEMS_A_TURN: u8 = 127;

/// A routine, and the client of what it sends.
struct Routine<T, F> {
    client: Client<T>,
    future: Option<Pin<Box<F>>>,
    /// What the routine returns is an item: it is driven until it returns, also after the end of its channel.
    runs_to_return: bool,
    /// The routine returned, and with that its server was gone.
    has_returned: bool,
    /// Items since the executor had a turn.
    items: u8,
}

impl<T, F: Future> Routine<T, F> {
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn new(f: impl FnOnce(Server<T>) -> F, runs_to_return: bool) -> Self {
        let (server, client) = simplex();
        let future = Some(Box::pin(f(server)));
        Self { client, future, runs_to_return, has_returned: false, items: 0 }
    }

    /// The next item. Gives what the routine returns to `on_return`.
    #[inline]
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        on_return: &mut impl FnMut(F::Output),
        origin: Origin,
    ) -> Poll<Option<T>> {
        // The demand wakes no task, since the routine is polled next.
        self.client.drive_server_with(context.waker());
        loop {
            let mut recv = self.client.recv_step();
            let mut polled = recv.step(Attempt::ONCE);
            if polled.is_pending() && self.future.is_none() {
                // The routine has passed its server on to another party.
                polled = drive::poll(&mut recv, context, origin);
                if polled.is_pending() {
                    self.pass_wake_on(context);
                }
                return polled.map(Result::ok);
            }
            if let Poll::Ready(item) = polled {
                return item.map_or_else(
                    |_| self.poll_to_return(context, on_return),
                    |item| Poll::Ready(Some(item)),
                );
            }
            // Taken out, so that a routine that panics is not polled again.
            let Some(mut future) = self.future.take() else { return Poll::Pending };
            let driving = driven::enter(self.client.slot_address());
            let returned = future.as_mut().poll(context);
            drop(driving);
            match returned {
                Poll::Ready(output) => {
                    on_return(output);
                    drop(future);
                    // A server that the routine left to other parties ends as they say.
                    self.has_returned = self.client.is_ended();
                }
                Poll::Pending => {
                    self.future = Some(future);
                    let attempt = Attempt { waker: Some(context.waker()), ..Attempt::ONCE };
                    let polled = self.client.recv_step().step(attempt);
                    if polled.is_pending() {
                        self.pass_wake_on(context);
                    }
                    if matches!(polled, Poll::Ready(Err(_))) && self.runs_to_return {
                        // It is polled again, and may have registered its waker for that.
                        return Poll::Pending;
                    }
                    return polled.map(Result::ok);
                }
            }
        }
    }

    /// The channel has ended.
    #[cold]
    fn poll_to_return(
        &mut self,
        context: &mut Context<'_>,
        on_return: &mut impl FnMut(F::Output),
    ) -> Poll<Option<T>> {
        if self.runs_to_return {
            if let Some(mut future) = self.future.take() {
                let driving = driven::enter(self.client.slot_address());
                let returned = future.as_mut().poll(context);
                drop(driving);
                match returned {
                    Poll::Ready(output) => on_return(output),
                    Poll::Pending => {
                        self.future = Some(future);
                        return Poll::Pending;
                    }
                }
            }
        }
        Poll::Ready(None)
    }

    /// A wake-up that was left to this task may be for another future of it, which has the server.
    #[inline]
    fn pass_wake_on(&mut self, context: &Context<'_>) {
        if self.client.takes_owed_wake() {
            context.waker().wake_by_ref();
        }
    }

    /// The next item of a stream.
    #[inline]
    fn poll_in_turn(
        &mut self,
        context: &mut Context<'_>,
        on_return: &mut impl FnMut(F::Output),
        origin: Origin,
    ) -> Poll<Option<T>> {
        if self.items == ITEMS_A_TURN {
            self.items = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.items += 1;
        let polled = self.poll(context, on_return, origin);
        if polled.is_pending() {
            self.items = 0;
        }
        polled
    }

    /// The next item, by blocking.
    #[inline]
    fn wait(&mut self, on_return: &mut impl FnMut(F::Output), origin: Origin) -> Option<T> {
        with_parker(|parker, waker| {
            let mut context = Context::from_waker(waker);
            loop {
                match self.poll(&mut context, on_return, origin) {
                    Poll::Ready(item) => return item,
                    Poll::Pending => _ = parker.park(None),
                }
            }
        })
    }
}

impl<T, F> Routine<T, F> {
    fn end(&self) -> Option<Why> {
        match self.client.end() {
            Some(Why::Dropped) if self.has_returned => Some(Why::Closed),
            end => end,
        }
    }
}

/// The items of a routine.
pub struct GeneratorSource<T, F> {
    routine: Routine<T, F>,
}

impl<T, F: Future<Output = ()>> Source for GeneratorSource<T, F> {
    type Item = T;

    #[inline]
    fn wait_next(&mut self, origin: Origin) -> Option<T> {
        self.routine.wait(&mut |()| {}, origin)
    }

    #[inline]
    fn fold<B>(mut self, init: B, mut f: impl FnMut(B, T) -> B, origin: Origin) -> B {
        with_parker(|parker, waker| {
            let mut context = Context::from_waker(waker);
            let mut result = init;
            loop {
                match self.routine.poll(&mut context, &mut |()| {}, origin) {
                    Poll::Ready(Some(item)) => result = f(result, item),
                    Poll::Ready(None) => return result,
                    Poll::Pending => _ = parker.park(None),
                }
            }
        })
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>, origin: Origin) -> Poll<Option<T>> {
        self.routine.poll_in_turn(context, &mut |()| {}, origin)
    }

    fn unregister(&mut self) {}

    fn end(&self) -> Option<Why> {
        self.routine.end()
    }
}

/// The items of a routine that may fail, and its error.
pub struct TryGeneratorSource<T, E, F> {
    routine: Routine<T, F>,
    error: Option<E>,
}

impl<T, E, F: Future<Output = Result<(), E>>> Source for TryGeneratorSource<T, E, F> {
    type Item = Result<T, E>;

    #[inline]
    fn wait_next(&mut self, origin: Origin) -> Option<Self::Item> {
        let error = &mut self.error;
        let mut on_return = |result: Result<(), E>| *error = result.err();
        match self.routine.wait(&mut on_return, origin) {
            Some(item) => Some(Ok(item)),
            None => self.error.take().map(Err),
        }
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>, origin: Origin) -> Poll<Option<Self::Item>> {
        let error = &mut self.error;
        let mut on_return = |result: Result<(), E>| *error = result.err();
        match self.routine.poll_in_turn(context, &mut on_return, origin) {
            Poll::Ready(Some(item)) => Poll::Ready(Some(Ok(item))),
            Poll::Ready(None) => Poll::Ready(self.error.take().map(Err)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn unregister(&mut self) {}

    fn end(&self) -> Option<Why> {
        self.routine.end()
    }

    fn is_over(&self) -> bool {
        self.end().is_some() && self.error.is_none() && self.routine.future.is_none()
    }
}
