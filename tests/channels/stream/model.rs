//! Random requests against random writes, many of them given up on, against a reference that is one list.
//!
//! Both ends are coroutines in one thread, polled in a random order and only when they were woken, so that a run is the same each
//! time and shrinks, and a wake-up that is lost shows. Checked: what comes is the list, in order, once; batch sizes; what is
//! given back is what the list then lacks; every value is dropped once.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::iter;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::support::{Watchdog, progress};
use handover::{Reader, Why, Writer, stream};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

// ---- Values

type Drops = Arc<Mutex<Vec<u8>>>;

struct Value {
    id: usize,
    drops: Drops,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.drops.lock().unwrap()[self.id] += 1;
    }
}

fn make(drops: &Drops) -> Value {
    let mut all = drops.lock().unwrap();
    all.push(0);
    Value { id: all.len() - 1, drops: Arc::clone(drops) }
}

fn ids(values: impl IntoIterator<Item = Value>) -> Vec<usize> {
    values.into_iter().map(|value| value.id).collect()
}

// ---- Scripts

/// How an operation is waited for.
#[derive(Clone, Copy, Debug)]
enum Give {
    Await,
    /// Dropped after so many polls.
    DropAfter(u8),
    ForgetAfter(u8),
    Now,
    TimeOut,
}

#[derive(Clone, Copy, Debug)]
enum WriterDeed {
    Send,
    Write(usize),
    /// An iterator that does not tell its length.
    WriteVaguely(usize),
    WriteLocal(usize),
    WriteLocalVaguely(usize),
    Flush,
}

#[derive(Clone, Copy, Debug)]
enum ReaderDeed {
    Recv,
    Read(usize),
    ReadSome(usize),
    ReadInto(usize),
    ReadAll,
    /// Uses so many items of the batch.
    ReadOnce(usize),
    /// Uses so many items.
    Ahead(usize, usize),
}

fn give() -> impl Strategy<Value = Give> {
    prop_oneof![
        4 => Just(Give::Await),
        2 => (1..4_u8).prop_map(Give::DropAfter),
        1 => (1..3_u8).prop_map(Give::ForgetAfter),
        1 => Just(Give::Now),
        1 => Just(Give::TimeOut),
    ]
}

fn writer_deed() -> impl Strategy<Value = (WriterDeed, Give)> {
    let deed = prop_oneof![
        4 => Just(WriterDeed::Send),
        2 => (0..7_usize).prop_map(WriterDeed::Write),
        2 => (0..7_usize).prop_map(WriterDeed::WriteVaguely),
        1 => (0..7_usize).prop_map(WriterDeed::WriteLocal),
        2 => (0..7_usize).prop_map(WriterDeed::WriteLocalVaguely),
        2 => Just(WriterDeed::Flush),
    ];
    (deed, give())
}

fn reader_deed() -> impl Strategy<Value = (ReaderDeed, Give)> {
    let deed = prop_oneof![
        3 => Just(ReaderDeed::Recv),
        3 => (0..6_usize).prop_map(ReaderDeed::Read),
        2 => (1..6_usize).prop_map(ReaderDeed::ReadSome),
        2 => (1..6_usize).prop_map(ReaderDeed::ReadInto),
        1 => Just(ReaderDeed::ReadAll),
        2 => (0..6_usize).prop_map(ReaderDeed::ReadOnce),
        2 => (1..4_usize, 1..6_usize).prop_map(|(n, used)| ReaderDeed::Ahead(n, used)),
    ];
    (deed, give())
}

/// How an end leaves after its script.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leave {
    Finish,
    Drop,
    /// The reader alone: receives up to the end.
    Drain,
}

#[derive(Clone, Debug)]
struct Script {
    writer: Vec<(WriterDeed, Give)>,
    writer_leaves: Leave,
    reader: Vec<(ReaderDeed, Give)>,
    reader_leaves: Leave,
    /// The side that is polled next, if both can go on.
    schedule: Vec<bool>,
}

fn script() -> impl Strategy<Value = Script> {
    (
        prop::collection::vec(writer_deed(), 0..14),
        prop_oneof![3 => Just(Leave::Finish), 1 => Just(Leave::Drop)],
        prop::collection::vec(reader_deed(), 0..14),
        prop_oneof![4 => Just(Leave::Drain), 1 => Just(Leave::Finish), 1 => Just(Leave::Drop)],
        prop::collection::vec(any::<bool>(), 0..60),
    )
        .prop_map(|(writer, writer_leaves, reader, reader_leaves, schedule)| Script {
            writer,
            writer_leaves,
            reader,
            reader_leaves,
            schedule,
        })
}

// ---- The reference

/// The items that were written and not given back.
#[derive(Default)]
struct Model {
    list: RefCell<Vec<usize>>,
    /// Items of unknown fate: their operation was forgotten.
    lost: RefCell<Vec<usize>>,
    got: RefCell<Vec<Value>>,
    /// How many flushes were begun that no short read was for yet. (A read that finds items left over may come between a flush and its short read.)
    flushes: Cell<usize>,
    is_ended: Cell<bool>,
}

impl Model {
    fn write(&self, values: &[Value]) {
        self.list.borrow_mut().extend(values.iter().map(|value| value.id));
    }

    /// Removes the items that came back, which are the last of the list.
    fn give_back(&self, back: &[usize]) {
        let mut list = self.list.borrow_mut();
        assert!(list.ends_with(back), "{back:?} came back of {list:?}");
        let left = list.len() - back.len();
        list.truncate(left);
        assert!(self.got.borrow().iter().all(|value| !back.contains(&value.id)), "{back:?}: both");
    }

    fn take(&self, values: impl IntoIterator<Item = Value>) {
        self.got.borrow_mut().extend(values);
    }

    fn forget(&self, from: usize) {
        self.lost.borrow_mut().extend(self.list.borrow_mut().drain(from..));
    }
}

// ---- The ends

/// Polls an operation as a script says. Returns `None` if the script gives it up.
async fn run<F: Future + Unpin>(mut op: F, give: Give) -> Option<F::Output> {
    let (mut polls, forgets) = match give {
        Give::DropAfter(polls) => (polls, false),
        Give::ForgetAfter(polls) => (polls, true),
        _ => return Some(op.await),
    };
    let output = poll_fn(|context| {
        let polled = Pin::new(&mut op).poll(context);
        polls -= 1;
        match polled {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polls == 0 => Poll::Ready(None),
            Poll::Pending => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await;
    if forgets && output.is_none() {
        mem::forget(op);
    }
    output
}

macro_rules! run {
    ($op:expr, $give:expr) => {
        match $give {
            Give::Now => Some($op.now()),
            Give::TimeOut => Some($op.wait_timeout(Duration::ZERO)),
            give => run($op, give).await,
        }
    };
}

async fn write(mut writer: Writer<Value>, script: &Script, model: &Model, drops: &Drops) {
    for &(deed, give) in &script.writer {
        let before = model.list.borrow().len();
        let count = match deed {
            WriterDeed::Send => 1,
            WriterDeed::Write(n)
            | WriterDeed::WriteVaguely(n)
            | WriterDeed::WriteLocal(n)
            | WriterDeed::WriteLocalVaguely(n) => n,
            WriterDeed::Flush => 0,
        };
        let mut values: Vec<_> = (0..count).map(|_| make(drops)).collect();
        model.write(&values);
        let vague = |values: Vec<Value>| {
            let mut values = values.into_iter();
            iter::from_fn(move || values.next())
        };
        // The items that came back, if the operation said so.
        let back = match deed {
            WriterDeed::Send => run!(writer.send(values.remove(0)), give).map(|result| {
                result.map_err(|error| {
                    let why = error.why();
                    (why, ids([error.into_unsent().expect("what was taken is no error")]))
                })
            }),
            WriterDeed::Write(_) => run!(writer.write(values), give)
                .map(|result| result.map_err(|error| (error.why(), ids(error.into_rest())))),
            WriterDeed::WriteVaguely(_) => run!(writer.write(vague(values)), give)
                .map(|result| result.map_err(|error| (error.why(), ids(error.into_rest())))),
            WriterDeed::WriteLocal(_) => run!(writer.write_local(values), give)
                .map(|result| result.map_err(|error| (error.why(), ids(error.into_rest())))),
            WriterDeed::WriteLocalVaguely(_) => run!(writer.write_local(vague(values)), give)
                .map(|result| result.map_err(|error| (error.why(), ids(error.into_rest())))),
            WriterDeed::Flush => {
                model.flushes.set(model.flushes.get() + 1);
                run!(writer.flush(), give)
                    .map(|result| result.map_err(|error| (error.why(), vec![])))
            }
        };
        match (back, give) {
            (Some(Ok(())), _) => {}
            (Some(Err((why, back))), _) => {
                match give {
                    Give::Now => assert!(why.is_end() || why == Why::NotReady),
                    Give::TimeOut => assert!(why.is_end() || why == Why::TimedOut),
                    _ => assert!(why.is_end()),
                }
                assert!(!why.is_end() || writer.is_closed());
                // Only an iterator that does not tell its length may have ended unnoticed.
                let is_vague =
                    matches!(deed, WriterDeed::WriteVaguely(_) | WriterDeed::WriteLocalVaguely(_));
                assert!(
                    count == 0 || is_vague || !back.is_empty(),
                    "an error that gives nothing back"
                );
                model.give_back(&back);
            }
            (None, Give::ForgetAfter(_)) => model.forget(before),
            (None, _) => {
                // The items that were dropped with the operation are the last ones that were written.
                let dropped = {
                    let drops = drops.lock().unwrap();
                    let got = model.got.borrow();
                    let list = model.list.borrow();
                    let is_dropped = |id: &&usize| drops[**id] > 0;
                    let is_got = |id: &&usize| got.iter().any(|value| value.id == **id);
                    list[before..]
                        .iter()
                        .filter(is_dropped)
                        .filter(|id| !is_got(id))
                        .copied()
                        .collect::<Vec<_>>()
                };
                model.give_back(&dropped);
            }
        }
    }
    model.is_ended.set(true);
    if script.writer_leaves == Leave::Finish {
        if let Err(error) = writer.finish() {
            assert!(error.is_end());
            model.give_back(&ids(error.into_unsent().expect("a batch")));
        }
    }
}

async fn read(mut reader: Reader<Value>, script: &Script, model: &Model) {
    for &(deed, mut give) in &script.reader {
        // The items that such a request has gathered lie in it, and are forgotten with it.
        let gathers =
            matches!(deed, ReaderDeed::Read(_) | ReaderDeed::ReadInto(_) | ReaderDeed::ReadAll);
        if let (true, Give::ForgetAfter(polls)) = (gathers, give) {
            give = Give::DropAfter(polls);
        }
        match deed {
            ReaderDeed::Recv => {
                if let Some(Ok(value)) = run!(reader.recv(), give) {
                    model.take([value]);
                }
            }
            ReaderDeed::Read(n) => {
                if let Some(Ok(values)) = run!(reader.read(n), give) {
                    check_size(model, &reader, n, values.len());
                    model.take(values);
                }
            }
            ReaderDeed::ReadInto(n) => {
                let mut into = Vec::new();
                match run!(reader.read_into(n, &mut into), give) {
                    Some(Ok(count)) => {
                        assert_eq!(count, into.len());
                        check_size(model, &reader, n, count);
                        model.take(into);
                    }
                    _ => {
                        assert!(into.is_empty());
                    }
                }
            }
            ReaderDeed::ReadSome(n) => {
                if let Some(Ok(values)) = run!(reader.read_some(n), give) {
                    assert!((1..=n).contains(&values.len()));
                    model.take(values);
                }
            }
            ReaderDeed::ReadAll => {
                if let Some(Ok(values)) = run!(reader.read_all(), give) {
                    assert!(model.is_ended.get());
                    assert!(!values.is_empty() || reader.end() == Some(Why::Closed));
                    model.take(values);
                }
            }
            ReaderDeed::ReadOnce(used) => {
                if let Some(Ok(batch)) = run!(reader.read_once(), give) {
                    model.take(batch.take(used));
                }
            }
            ReaderDeed::Ahead(n, used) => {
                let mut ahead = reader.ahead(n).into_stream();
                for _ in 0..used {
                    let next = Next(&mut ahead);
                    match run(next, give).await {
                        Some(Some(value)) => model.take([value]),
                        _ => break,
                    }
                }
            }
        }
        if let Some(end) = reader.end() {
            let why =
                if script.writer_leaves == Leave::Finish { Why::Closed } else { Why::Dropped };
            assert_eq!(end, why);
        }
    }
    match script.reader_leaves {
        Leave::Drain => {
            while let Ok(value) = reader.recv().await {
                model.take([value]);
            }
        }
        Leave::Finish => reader.close(),
        Leave::Drop => {}
    }
}

/// A read gives exactly as many items as were asked for, except after a flush and at the end.
fn check_size(model: &Model, reader: &Reader<Value>, n: usize, count: usize) {
    assert!(count <= n);
    if count < n {
        let flushes = model.flushes.get();
        assert!(flushes > 0 || model.is_ended.get(), "{count} of {n}");
        model.flushes.set(flushes.saturating_sub(1));
    }
    if count == 0 && n > 0 {
        assert_eq!(reader.end(), Some(Why::Closed));
    }
}

/// The next item of a stream.
struct Next<'a, S>(&'a mut S);

impl<S: futures_core::Stream + Unpin> Future for Next<'_, S> {
    type Output = Option<S::Item>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut *self.0).poll_next(context)
    }
}

// ---- The run

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn converse(script: &Script) {
    progress();
    let drops = Drops::default();
    let model = Model::default();
    let (writer, reader) = stream();
    let mut bodies: [Option<Pin<Box<dyn Future<Output = ()> + '_>>>; 2] = [
        Some(Box::pin(write(writer, script, &model, &drops))),
        Some(Box::pin(read(reader, script, &model))),
    ];
    let bells: [Arc<Bell>; 2] = [Arc::default(), Arc::default()];
    bells.iter().for_each(|bell| Arc::clone(bell).wake());
    let mut schedule = script.schedule.iter();
    while bodies.iter().any(Option::is_some) {
        let can = |side: usize| bodies[side].is_some() && bells[side].0.load(SeqCst) > 0;
        let side = match (can(0), can(1)) {
            (true, true) => usize::from(schedule.next().copied().unwrap_or_default()),
            (true, false) => 0,
            (false, true) => 1,
            (false, false) => panic!("nobody was woken"),
        };
        bells[side].0.store(0, SeqCst);
        let waker = Waker::from(Arc::clone(&bells[side]));
        if let Some(body) = &mut bodies[side] {
            if body.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                bodies[side] = None;
            }
        }
    }
    drop(bodies);
    let got = ids(model.got.take());
    let (list, lost) = (model.list.take(), model.lost.take());
    assert!(got.is_sorted_by(|a, b| a < b), "in order, none twice: {got:?}");
    let known: Vec<_> = got.iter().copied().filter(|id| !lost.contains(id)).collect();
    if script.reader_leaves == Leave::Drain {
        assert_eq!(known, list, "all of the list");
    } else {
        assert!(list.starts_with(&known), "{known:?} is the beginning of {list:?}");
    }
    let drops = drops.lock().unwrap();
    assert!(drops.iter().all(|&drops| drops <= 1), "dropped: {drops:?}");
    if lost.is_empty()
        && !script.writer.iter().any(|(_, give)| matches!(give, Give::ForgetAfter(_)))
    {
        assert!(drops.iter().all(|&drops| drops == 1), "dropped: {drops:?}");
    }
}

#[test]
fn the_reader_reads_all_that_the_writer_wrote() {
    let _watchdog = Watchdog::new();
    let config = ProptestConfig {
        cases: 6 * ProptestConfig::default().cases,
        max_shrink_iters: 20_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        source_file: Some(file!()),
        ..ProptestConfig::default()
    };
    proptest!(config, |(script in script())| {
        converse(&script);
    });
}
