//! What a reader may ask for, and what a writer may give, for tests that try each.

use std::future::Future;
use std::iter;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::support::thread;
use crate::support::*;
use futures_lite::StreamExt as _;
use handover::{Reader, Why, Writer, stream};

/// Runs a writer against a reader, in all pairings, either end first.
pub(crate) fn check<T: Send>(
    write: impl AsyncFn(How, Writer<T>) + Sync,
    read: impl AsyncFn(How, Reader<T>) + Sync,
) {
    let _watchdog = Watchdog::new();
    let (write, read) = (&write, &read);
    in_all_pairings(|pairing, first| {
        let (writer, reader) = stream();
        pair(
            pairing,
            first,
            async move |how| write(how, writer).await,
            async move |how| read(how, reader).await,
        );
    });
}

/// The requests of a reader.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ask {
    Recv,
    Read(usize),
    ReadSome(usize),
    ReadInto(usize),
    ReadAll,
    ReadOnce,
    Items,
    Chunks(usize),
    Ahead(usize),
}

impl Ask {
    pub(crate) const ALL: [Self; 15] = [
        Self::Recv,
        Self::Read(1),
        Self::Read(3),
        Self::Read(usize::MAX),
        Self::ReadSome(1),
        Self::ReadSome(3),
        Self::ReadSome(usize::MAX),
        Self::ReadInto(3),
        Self::ReadAll,
        Self::ReadOnce,
        Self::Items,
        Self::Chunks(3),
        Self::Ahead(0),
        Self::Ahead(3),
        Self::Ahead(1000),
    ];

    /// Requests of each kind for a few items, for tests that count them.
    pub(crate) const SMALL: [Self; 12] = [
        Self::Recv,
        Self::Read(1),
        Self::Read(3),
        Self::Read(4),
        Self::ReadSome(1),
        Self::ReadSome(3),
        Self::ReadInto(3),
        Self::ReadAll,
        Self::ReadOnce,
        Self::Items,
        Self::Chunks(2),
        Self::Ahead(2),
    ];

    /// The requests under which the iterator runs at the writer.
    pub(crate) fn at_the_writer() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|ask| *ask != Self::ReadOnce)
    }

    /// Whether items lie in the batch in hand until there are enough of them.
    pub(crate) fn gathers(self) -> bool {
        matches!(
            self,
            Self::Read(2..) | Self::ReadInto(_) | Self::ReadAll | Self::Chunks(_) | Self::Ahead(_)
        )
    }
}

/// Asks once, and returns the items, or `None` at the end.
pub(crate) async fn ask<T>(how: How, reader: &mut Reader<T>, ask: Ask) -> Option<Vec<T>> {
    match ask {
        Ask::Recv => how.run(reader.recv()).await.ok().map(|item| vec![item]),
        Ask::Read(n) => how.run(reader.read(n)).await.ok(),
        Ask::ReadSome(n) => how.run(reader.read_some(n)).await.ok(),
        Ask::ReadAll => how.run(reader.read_all()).await.ok(),
        Ask::ReadInto(n) => {
            let mut into = Vec::new();
            let result = how.run(reader.read_into(n, &mut into)).await;
            assert_eq!(into.len(), result.unwrap_or(0));
            result.ok().map(|_| into)
        }
        Ask::ReadOnce => how.run(reader.read_once()).await.ok().map(|batch| {
            let mut items = Vec::new();
            // Not `collect`, which believes what the iterator promises.
            batch.for_each(|item| items.push(item));
            items
        }),
        Ask::Items => {
            let item = match how {
                How::Thread => reader.iter().next(),
                How::Task => reader.stream().next().await,
            };
            item.map(|item| vec![item])
        }
        Ask::Chunks(n) => match how {
            How::Thread => reader.chunks(n).next(),
            How::Task => reader.chunks(n).into_stream().next().await,
        },
        Ask::Ahead(n) => {
            let items: Vec<_> = match how {
                How::Thread => reader.ahead(n).collect(),
                How::Task => reader.ahead(n).into_stream().collect().await,
            };
            (!items.is_empty()).then_some(items)
        }
    }
}

/// Asks again and again up to the end. Returns the items of each request, and the end.
pub(crate) async fn drain<T>(how: How, reader: &mut Reader<T>, what: Ask) -> (Vec<Vec<T>>, Why) {
    let mut batches = Vec::new();
    while let Some(batch) = ask(how, reader, what).await {
        if batch.is_empty() && what != Ask::ReadOnce {
            // The first read after the end is empty.
            assert_eq!(reader.end(), Some(Why::Closed));
            assert!(ask(how, reader, what).await.is_none());
            break;
        }
        batches.push(batch);
    }
    (batches, reader.end().expect("an end"))
}

pub(crate) fn flat<T>((batches, end): (Vec<Vec<T>>, Why)) -> (Vec<T>, Why) {
    (batches.into_iter().flatten().collect(), end)
}

pub(crate) type Asked<'a, R> = Pin<Box<dyn Future<Output = R> + 'a>>;

/// Begins to ask once, as a task does. The future gives the items, or `None` at the end.
pub(crate) fn begin<T>(reader: &mut Reader<T>, ask: Ask) -> Asked<'_, Option<Vec<T>>> {
    Box::pin(async move {
        match ask {
            Ask::Recv => reader.recv().await.ok().map(|item| vec![item]),
            Ask::Read(n) => reader.read(n).await.ok(),
            Ask::ReadSome(n) => reader.read_some(n).await.ok(),
            Ask::ReadAll => reader.read_all().await.ok(),
            Ask::ReadInto(n) => {
                let mut into = Vec::new();
                reader.read_into(n, &mut into).await.ok().map(|_| into)
            }
            Ask::ReadOnce => reader.read_once().await.ok().map(|batch| batch.collect()),
            Ask::Items => reader.stream().next().await.map(|item| vec![item]),
            Ask::Chunks(n) => reader.chunks(n).into_stream().next().await,
            Ask::Ahead(n) => reader.ahead(n).into_stream().next().await.map(|item| vec![item]),
        }
    })
}

/// Asks with a timeout, or without waiting at all.
pub(crate) fn ask_briefly<T>(
    reader: &mut Reader<T>,
    ask: Ask,
    timeout: Option<Duration>,
) -> Option<Vec<T>> {
    macro_rules! run {
        ($op:expr) => {
            match timeout {
                Some(timeout) => $op.wait_timeout(timeout).ok(),
                None => $op.now().ok(),
            }
        };
    }
    match ask {
        Ask::Recv | Ask::Items => run!(reader.recv()).map(|item| vec![item]),
        Ask::Read(n) | Ask::Chunks(n) | Ask::Ahead(n) => run!(reader.read(n)),
        Ask::ReadSome(n) => run!(reader.read_some(n)),
        Ask::ReadAll => run!(reader.read_all()),
        Ask::ReadInto(n) => {
            let mut into = Vec::new();
            let read = run!(reader.read_into(n, &mut into));
            assert_eq!(read.unwrap_or(0), into.len());
            read.map(|_| into)
        }
        Ask::ReadOnce => run!(reader.read_once()).map(|batch| batch.collect()),
    }
}

/// A future that may be polled again after it is done.
pub(crate) struct Job<'a>(pub(crate) Option<Asked<'a, ()>>);

impl<'a> Job<'a> {
    pub(crate) fn new(body: impl Future<Output = ()> + 'a) -> Self {
        Self(Some(Box::pin(body)))
    }
}

impl Future for Job<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(body) = &mut self.0 {
            std::task::ready!(body.as_mut().poll(context));
        }
        self.0 = None;
        Poll::Ready(())
    }
}

/// Polls both bodies, each only when it was woken, up to their end. A lost wake-up ends in a panic.
#[track_caller]
pub(crate) fn converse<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (Box::pin(a), Box::pin(b));
    let ((a_bell, a_waker), (b_bell, b_waker)) = (Bell::new(), Bell::new());
    let (mut a_out, mut b_out) = (None, None);
    let (mut a_runs, mut b_runs) = (true, true);
    loop {
        if a_runs && a_out.is_none() {
            if let Poll::Ready(out) = poll_with(&mut a, &a_waker) {
                a_out = Some(out);
            }
        }
        if b_runs && b_out.is_none() {
            if let Poll::Ready(out) = poll_with(&mut b, &b_waker) {
                b_out = Some(out);
            }
        }
        (a_runs, b_runs) = (a_bell.rings() > 0, b_bell.rings() > 0);
        if a_out.is_some() && b_out.is_some() {
            break;
        }
        assert!(
            (a_runs && a_out.is_none()) || (b_runs && b_out.is_none()),
            "nobody was woken; done: {} {}",
            a_out.is_some(),
            b_out.is_some()
        );
    }
    a_out.zip(b_out).unwrap()
}

/// Receives up to the end.
pub(crate) async fn rest<T>(reader: &mut Reader<T>) -> (Vec<T>, Why) {
    let mut items = Vec::new();
    loop {
        match reader.recv().await {
            Ok(item) => items.push(item),
            Err(end) => return (items, end.why()),
        }
    }
}

/// Prints the place of a test when the test panics.
pub(crate) struct Place(pub(crate) String);

impl Drop for Place {
    // The harness captures this line, and shows it when the test fails.
    #[allow(clippy::print_stdout)]
    fn drop(&mut self) {
        if thread::panicking() {
            println!("at {}", self.0);
        }
    }
}

/// The operations of a writer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Deed {
    Send,
    Write,
    WriteLocal,
    Flush,
}

impl Deed {
    pub(crate) const ALL: [Self; 4] = [Self::Send, Self::Write, Self::WriteLocal, Self::Flush];
}

pub(crate) fn begin_deed<'a>(
    writer: &'a mut Writer<Counted>,
    deed: Deed,
    census: &'a Census,
) -> Asked<'a, bool> {
    Box::pin(async move {
        match deed {
            Deed::Send => writer.send(census.make()).await.is_ok(),
            Deed::Write => {
                let items: Vec<_> = (0..3).map(|_| census.make()).collect();
                writer.write(items).await.is_ok()
            }
            Deed::WriteLocal => writer.write_local((0..3).map(|_| census.make())).await.is_ok(),
            Deed::Flush => writer.flush().await.is_ok(),
        }
    })
}

// ---- iterators

/// An iterator with a size hint that may be wrong.
#[derive(Clone)]
pub(crate) struct Promising<I>(pub(crate) I, pub(crate) (usize, Option<usize>));

impl<I: Iterator> Iterator for Promising<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.1
    }
}

/// Counts the steps of an iterator, and tells where they are made.
pub(crate) fn counted(
    steps: &Arc<AtomicUsize>,
    place: &Arc<Mutex<Option<thread::ThreadId>>>,
) -> impl Iterator<Item = usize> + Send + 'static {
    let (steps, place) = (Arc::clone(steps), Arc::clone(place));
    iter::from_fn(move || {
        *place.lock().unwrap() = Some(thread::current().id());
        Some(steps.fetch_add(1, SeqCst))
    })
}
