//! The ways to wait for an operation, picked by shuttle.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use handover::op::{
    Answer, Ask, Closed, Demand, Exchange, Flush, Left, PeerLeft, Read, ReadInto, ReadOnce,
    ReadOne, Recv, Reserve, Select, Send, SendAll, SendEach, SendOne, Take, Wanted, Write,
    WriteLocal,
};
use handover::{Arms, select};
use shuttle::future::yield_now;
use shuttle::rand::{Rng, thread_rng};

/// A number below `bound`.
pub(crate) fn below(bound: usize) -> usize {
    thread_rng().gen_range(0..bound)
}

/// Whether something is done that is done one time in so many.
pub(crate) fn one_in(times: usize) -> bool {
    below(times) == 0
}

pub(crate) fn pick<T: Copy>(from: &[T]) -> T {
    from[below(from.len())]
}

/// Lets the others go on for a while.
pub(crate) async fn rest() {
    for _ in 0..below(4) {
        yield_now().await;
    }
}

/// How a party waits for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The thread blocks until it is done.
    Block,
    /// The thread blocks, but not for ever.
    BlockFor,
    /// The task awaits it.
    Await,
    /// The task awaits it until a future is done that is polled so often.
    Until(usize),
    /// Once, at once.
    Now,
    /// The task polls it so often at most; if it is not done it is left: dropped, taken back, kept or forgotten.
    Leave(usize),
}

impl Way {
    /// Any, for a party with a thread of its own.
    pub(crate) fn any() -> Self {
        use Way::{Await, Block, BlockFor, Leave, Now, Until};
        pick(&[
            Block,
            Block,
            Block,
            Await,
            Await,
            Await,
            BlockFor,
            Until(1),
            Until(3),
            Now,
            Leave(1),
            Leave(2),
        ])
    }

    /// Any that leaves the thread to the other tasks on it.
    pub(crate) fn of_task() -> Self {
        use Way::{Await, Leave, Now, Until};
        pick(&[Await, Await, Await, Until(1), Until(3), Now, Leave(1), Leave(2)])
    }

    /// One that waits until the operation is done.
    pub(crate) fn for_good() -> Self {
        pick(&[Way::Block, Way::Await])
    }

    /// Whether it waits until the operation is done.
    pub(crate) fn is_for_good(self) -> bool {
        matches!(self, Way::Block | Way::Await)
    }
}

/// What every operation has, and `Select` has in another form.
pub(crate) trait Operation: Future + Unpin + Sized {
    fn block(self) -> Self::Output;
    /// `None`: there is nothing to tell but that it did not happen.
    fn block_for(self, timeout: Duration) -> Option<Self::Output>;
    fn at_once(self) -> Option<Self::Output>;
    fn until_done(self, future: impl Future) -> impl Future<Output = Option<Self::Output>>;
}

macro_rules! operations {
    ($([$($generics:tt)*] $op:ty;)+) => {
        $(impl<$($generics)*> Operation for $op {
            fn block(self) -> Self::Output {
                self.wait()
            }

            fn block_for(self, timeout: Duration) -> Option<Self::Output> {
                Some(self.wait_timeout(timeout))
            }

            fn at_once(self) -> Option<Self::Output> {
                Some(self.now())
            }

            async fn until_done(self, future: impl Future) -> Option<Self::Output> {
                Some(self.until(future).await)
            }
        })+
    };
}

operations! {
    ['a, T] Send<'a, T>;
    ['a, I: Iterator] SendEach<'a, I>;
    ['a, T] Take<'a, T>;
    ['a, T] Reserve<'a, T>;
    ['a, T] Closed<'a, T>;
    ['a, T, U] Demand<'a, T, U>;
    ['a, T, U] Exchange<'a, T, U>;
    ['a, T, U] Answer<'a, T, U>;
    ['a, T, U] Ask<'a, T, U>;
    ['a, T, U] Recv<'a, T, U>;
    ['a, I: Iterator] SendAll<'a, I>;
    ['a] Left<'a>;
    ['a] PeerLeft<'a>;
    ['a, T] ReadOne<'a, T>;
    ['a, T] Read<'a, T>;
    ['a, T] ReadInto<'a, T>;
    ['a, T] ReadOnce<'a, T>;
    ['a, T] SendOne<'a, T>;
    ['a, T] Flush<'a, T>;
    ['a, T] Wanted<'a, T>;
    ['a, I: Iterator<Item: std::marker::Send + 'static> + std::marker::Send + 'static] Write<'a, I>;
    ['a, I: Iterator] WriteLocal<'a, I>;
}

impl<A: Arms> Operation for Select<A> {
    fn block(self) -> Self::Output {
        self.wait()
    }

    fn block_for(self, timeout: Duration) -> Option<Self::Output> {
        self.wait_timeout(timeout)
    }

    fn at_once(self) -> Option<Self::Output> {
        self.now()
    }

    async fn until_done(self, future: impl Future) -> Option<Self::Output> {
        self.until(future).await
    }
}

/// A select, in the order of its arms one time in four.
pub(crate) fn choose<A: Arms>(arms: A) -> Select<A> {
    let select = select(arms);
    if one_in(4) { select.biased() } else { select }
}

/// What has come of an operation.
pub(crate) enum Driven<O: Future> {
    Done(O::Output),
    /// It is not done, and nothing has happened.
    Nothing,
    /// It was polled, and is not done.
    Left(O),
}

/// Polls an operation so often at most, and lets others run in between.
pub(crate) async fn poll_times<O: Future + Unpin>(
    operation: &mut O,
    times: usize,
) -> Option<O::Output> {
    for time in 0..times {
        if time > 0 {
            yield_now().await;
        }
        let poll = poll_fn(|context| Poll::Ready(Pin::new(&mut *operation).poll(context)));
        if let Poll::Ready(output) = poll.await {
            return Some(output);
        }
    }
    None
}

/// Waits for an operation in that way.
pub(crate) async fn drive<O: Operation>(mut operation: O, way: Way) -> Driven<O> {
    let found = match way {
        Way::Block => Some(operation.block()),
        Way::Await => Some(operation.await),
        Way::BlockFor => operation.block_for(pick(&[Duration::ZERO, Duration::from_secs(60)])),
        Way::Now => operation.at_once(),
        Way::Until(polls) => {
            let stop = async {
                for _ in 0..polls {
                    yield_now().await;
                }
            };
            operation.until_done(stop).await
        }
        Way::Leave(polls) => match poll_times(&mut operation, polls).await {
            Some(output) => Some(output),
            None => {
                rest().await;
                return Driven::Left(operation);
            }
        },
    };
    found.map_or(Driven::Nothing, Driven::Done)
}
