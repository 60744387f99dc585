//! Operations of `stream()` that are given up on, forgotten, or disturbed by a panic: nothing is lost, nothing comes twice.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::iter;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::*;
use futures_core::Stream as _;
use futures_lite::StreamExt as _;
use handover::{Reader, Why, Writer, op, stream};

// ---- What the tests share

/// How a reader asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
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
    const ALL: [Self; 12] = [
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

    /// Whether items lie in the batch in hand until there are enough of them.
    fn gathers(self) -> bool {
        matches!(
            self,
            Self::Read(2..) | Self::ReadInto(_) | Self::ReadAll | Self::Chunks(_) | Self::Ahead(_)
        )
    }
}

type Asked<'a, R> = Pin<Box<dyn Future<Output = R> + 'a>>;

/// Begins to ask once, as a task does. Nothing at the end.
fn begin<T>(reader: &mut Reader<T>, ask: Ask) -> Asked<'_, Option<Vec<T>>> {
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

/// Asks, but not for long.
fn ask_briefly<T>(reader: &mut Reader<T>, ask: Ask, timeout: Option<Duration>) -> Option<Vec<T>> {
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

/// How an operation is given up on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Drop,
    Forget,
    Now,
    TimeOut,
}

impl Way {
    const ALL: [Self; 4] = [Self::Drop, Self::Forget, Self::Now, Self::TimeOut];
}

/// Polls both bodies, each only when it was woken, up to their end: a wake-up that is lost ends in a panic.
#[track_caller]
fn converse<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
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

/// Does its work once, and may be polled again.
struct Job<'a>(Option<Asked<'a, ()>>);

impl<'a> Job<'a> {
    fn new(body: impl Future<Output = ()> + 'a) -> Self {
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

/// Receives up to the end.
async fn rest<T>(reader: &mut Reader<T>) -> (Vec<T>, Why) {
    let mut items = Vec::new();
    loop {
        match reader.recv().await {
            Ok(item) => items.push(item),
            Err(end) => return (items, end.why()),
        }
    }
}

// ---- Reads that are given up on

/// What the writer had done when the reader gave up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// It has not seen the request: it is withdrawn.
    Unseen,
    /// It has the request in hand, and nothing for it.
    HasNone,
    /// It has the request in hand, and something for it.
    HasSome,
    /// It has answered, or has as much as it has.
    Answered,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Unseen, Self::HasNone, Self::HasSome, Self::Answered];
}

const ITEMS: usize = 12;

#[test]
fn a_cancelled_read_of_each_kind_loses_nothing_for_one_of_each_kind() {
    for first in Ask::ALL {
        for second in Ask::ALL {
            for stage in Stage::ALL {
                for way in Way::ALL {
                    cancel_then_ask(first, stage, way, second);
                }
            }
        }
    }
}

fn cancel_then_ask(first: Ask, stage: Stage, way: Way, second: Ask) {
    let _context = Place(format!("{first:?} {stage:?} {way:?} {second:?}"));
    let (mut writer, mut reader) = stream();
    let census = Census::new();
    let gate = &AtomicUsize::new(0);
    let pass = |step| {
        poll_fn(move |_| if gate.load(SeqCst) > step { Poll::Ready(()) } else { Poll::Pending })
    };
    let mut write = Job::new(async {
        pass(0).await;
        writer.write_local(iter::empty()).await.unwrap();
        pass(1).await;
        writer.send(census.make()).await.unwrap();
        pass(2).await;
        writer.send(census.make()).await.unwrap();
        let five: Vec<_> = (0..5).map(|_| census.make()).collect();
        writer.write(five).await.unwrap();
        writer.write_local((0..4).map(|_| census.make())).await.unwrap();
        writer.send(census.make()).await.unwrap();
        writer.finish().unwrap();
    });
    let mut early = Vec::new();
    let seen = |write: &mut Job<'_>| {
        gate.store(stage as usize, SeqCst);
        _ = poll_once(write);
    };
    match way {
        Way::Drop | Way::Forget => {
            let mut asked = begin(&mut reader, first);
            pend(&mut asked);
            seen(&mut write);
            if way == Way::Drop {
                drop(asked);
            } else {
                mem::forget(asked);
            }
        }
        Way::Now | Way::TimeOut => {
            let timeout = (way == Way::TimeOut).then_some(Duration::ZERO);
            early.extend(ask_briefly(&mut reader, first, timeout).into_iter().flatten());
            seen(&mut write);
            if stage == Stage::HasSome {
                // The same one, once more.
                early.extend(ask_briefly(&mut reader, first, timeout).into_iter().flatten());
            }
        }
    }
    gate.store(usize::MAX, SeqCst);
    let read = async {
        let items = begin(&mut reader, second).await.expect("items");
        match second {
            // Not more than were asked for, nor fewer: there was no flush.
            Ask::Read(n) | Ask::ReadInto(n) | Ask::Chunks(n) => assert_eq!(items.len(), n),
            Ask::Recv | Ask::Items | Ask::Ahead(_) => assert_eq!(items.len(), 1),
            Ask::ReadSome(n) => assert!((1..=n).contains(&items.len())),
            Ask::ReadAll => assert_eq!(items.len() + early.len(), ITEMS),
            Ask::ReadOnce => {}
        }
        early.extend(items);
        let (items, end) = rest(&mut reader).await;
        assert_eq!(end, Why::Closed);
        early.extend(items);
    };
    converse(write, read);
    assert!(early.iter().map(|item| item.id).eq(0..ITEMS), "{early:?}");
    drop((early, reader));
    census.assert_settled();
}

/// What a read had gathered before it was forgotten is for the next request, of whatever kind.
#[test]
fn a_forgotten_read_loses_nothing_of_what_it_had() {
    for next in 0..5 {
        let (mut writer, mut reader) = handover::stream();
        let mut write = writer.write([0, 1, 2, 3]);
        pend(&mut reader.read(4));
        pend(&mut write);
        assert_eq!(ready(&mut reader.recv()), Ok(0)); // three are left
        assert!(ready(&mut write).is_ok());
        drop(write);
        let mut read = reader.read(5);
        pend(&mut read);
        mem::forget(read);
        writer.finish().unwrap();
        let rest: Vec<_> = match next {
            0 => reader.read_all().wait().unwrap(),
            1 => reader.read(50).wait().unwrap(),
            2 => reader.iter().collect(),
            3 => reader.read_once().wait().unwrap().collect(),
            _ => {
                let mut into = Vec::new();
                assert_eq!(reader.read_into(2, &mut into).wait(), Ok(2));
                into.extend(reader.chunks(3).flatten());
                into
            }
        };
        assert_eq!(rest, [1, 2, 3]);
    }
}

/// Says where a test was when it panics.
struct Place(String);

impl Drop for Place {
    // Captured, and shown when the test fails.
    #[allow(clippy::print_stdout)]
    fn drop(&mut self) {
        if thread::panicking() {
            println!("at {}", self.0);
        }
    }
}

#[test]
fn reads_cancelled_again_and_again_lose_nothing() {
    // Each request is polled once and dropped, of another kind each time, until one is done.
    for shift in 0..Ask::ALL.len() {
        for stride in [1, 5, 7, 11] {
            let (mut writer, mut reader) = stream();
            let census = Census::new();
            let mut write = Box::pin(async {
                for _ in 0..5 {
                    writer.write_local((0..4).map(|_| census.make())).await.unwrap();
                    writer.send(census.make()).await.unwrap();
                }
                writer.finish().unwrap();
            });
            let mut is_written = false;
            let mut got = Vec::new();
            let mut kind = shift;
            for _ in 0..1000 {
                kind += stride;
                let ask = Ask::ALL[kind % Ask::ALL.len()];
                if let Poll::Ready(items) = poll_once(&mut begin(&mut reader, ask)) {
                    got.extend(items.into_iter().flatten());
                }
                is_written = is_written || poll_once(&mut write).is_ready();
            }
            assert!(is_written);
            assert!(got.iter().map(|item| item.id).eq(0..25), "{shift} {stride}: {got:?}");
            assert_eq!(reader.end(), Some(Why::Closed));
            drop(got);
            census.assert_settled();
        }
    }
}

#[test]
fn a_batch_of_the_same_request_is_gathered_over_its_cancels() {
    let (mut writer, mut reader) = stream();
    for n in 0..5 {
        pend(&mut reader.read(6));
        writer.send(n).now().unwrap();
    }
    let mut send = writer.send(5);
    pend(&mut send);
    assert_eq!(ready(&mut reader.read(6)).unwrap(), [0, 1, 2, 3, 4, 5]);
    ready(&mut send).unwrap();
}

#[test]
fn a_used_half_batch_answers_each_request() {
    for what in Ask::ALL {
        for used in 0..4 {
            let (mut writer, mut reader) = stream();
            pend(&mut reader.read_once());
            let mut write = writer.write(0..6);
            pend(&mut write);
            let batch = ready(&mut reader.read_once()).unwrap();
            assert!(batch.take(used).eq(0..used));
            ready(&mut write).unwrap();
            drop(write);
            writer.finish().unwrap();
            let mut got = ready(&mut begin(&mut reader, what)).unwrap();
            while let Some(items) = ready(&mut begin(&mut reader, what)) {
                if items.is_empty() {
                    break;
                }
                got.extend(items);
            }
            // What `Ahead` has not given is left when it is dropped.
            got.extend(ready(&mut Box::pin(rest(&mut reader))).0);
            assert!(got.into_iter().eq(used..6), "{what:?} {used}");
        }
    }
}

#[test]
fn a_cancelled_read_wakes_nobody_later() {
    for what in Ask::ALL {
        let (bell, waker) = Bell::new();
        let (mut writer, mut reader) = stream();
        let mut asked = begin(&mut reader, what);
        assert!(poll_with(&mut asked, &waker).is_pending());
        drop(asked);
        _ = poll_once(&mut writer.send(1));
        drop(writer);
        assert_eq!(bell.rings(), 0, "{what:?}");
    }
}

// ---- Writes that are given up on

/// What the writer does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Send,
    Write,
    WriteLocal,
    Flush,
}

impl Deed {
    const ALL: [Self; 4] = [Self::Send, Self::Write, Self::WriteLocal, Self::Flush];
}

fn begin_deed<'a>(
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

#[test]
fn a_cancelled_write_of_each_kind_under_each_request_is_withdrawn_or_delivered() {
    for deed in Deed::ALL {
        for what in Ask::ALL {
            for is_asked in [false, true] {
                for is_taken in [false, true] {
                    for forget in [false, true] {
                        cancel_then_write(deed, what, is_asked, is_taken, forget);
                    }
                }
            }
        }
    }
}

fn cancel_then_write(deed: Deed, what: Ask, is_asked: bool, is_taken: bool, forget: bool) {
    let _context = Place(format!("{deed:?} {what:?} {is_asked} {is_taken} {forget}"));
    let (mut writer, mut reader) = stream();
    let census = Census::new();
    let mut got = Vec::new();
    if is_asked {
        pend(&mut begin(&mut reader, what));
    }
    let in_hand = deed == Deed::Flush && is_asked && what.gathers();
    if in_hand {
        assert!(ready(&mut begin_deed(&mut writer, Deed::Send, &census)));
    }
    let mut write = begin_deed(&mut writer, deed, &census);
    let is_done = poll_once(&mut write).is_ready();
    if is_taken {
        if let Poll::Ready(items) = poll_once(&mut begin(&mut reader, what)) {
            got.extend(items.into_iter().flatten());
        }
    }
    if forget {
        mem::forget(write);
    } else {
        drop(write);
    }
    let made = census.made();
    // The next writes go on as if nothing had been.
    let (_, (items, end)) = converse(
        async {
            for deed in [Deed::Send, Deed::WriteLocal, Deed::Flush, Deed::Write] {
                assert!(begin_deed(&mut writer, deed, &census).await);
            }
            writer.finish().unwrap();
        },
        rest(&mut reader),
    );
    got.extend(items);
    assert_eq!(end, Why::Closed);
    let ids: Vec<_> = got.iter().map(|item| item.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "in order, and none twice: {ids:?}");
    assert!(ids.ends_with(&(made..census.made()).collect::<Vec<_>>()), "{ids:?} of {made}");
    if is_done || in_hand {
        // What was accepted is delivered.
        assert_eq!(ids, (0..census.made()).collect::<Vec<_>>());
    }
    drop((got, reader));
    if !forget {
        census.assert_settled();
    }
}

#[test]
fn what_a_cancelled_write_had_pulled_is_not_lost() {
    for what in Ask::ALL {
        for local in [false, true] {
            for taken in 0..3 {
                let (mut writer, mut reader) = stream();
                let source = Arc::new(AtomicUsize::new(0));
                let items = {
                    let source = Arc::clone(&source);
                    iter::from_fn(move || Some(source.fetch_add(1, SeqCst)))
                };
                let mut got = Vec::new();
                let mut write = Job::new(async {
                    if local {
                        writer.write_local(items.take(7)).await.unwrap();
                    } else {
                        writer.write(items.take(7)).await.unwrap();
                    }
                });
                for _ in 0..taken {
                    let mut asked = begin(&mut reader, what);
                    pend_or(&mut asked, &mut got);
                    _ = poll_once(&mut write);
                    drop(asked);
                    if let Poll::Ready(items) = poll_once(&mut begin(&mut reader, what)) {
                        got.extend(items.into_iter().flatten());
                    }
                }
                _ = poll_once(&mut begin(&mut reader, what))
                    .map(|items| got.extend(items.into_iter().flatten()));
                _ = poll_once(&mut write);
                let whole = what == Ask::ReadOnce && !local;
                drop(write);
                let pulled = source.load(SeqCst);
                // What is written next comes after it.
                let (_, (items, end)) = converse(
                    async {
                        writer.send(100).await.unwrap();
                        writer.finish().unwrap();
                    },
                    rest(&mut reader),
                );
                got.extend(items);
                assert_eq!(end, Why::Closed);
                if !whole {
                    assert!(
                        got.iter().copied().eq((0..pulled).chain([100])),
                        "{what:?} {local} {taken}: {got:?} of {pulled}"
                    );
                }
            }
        }
    }
}

fn pend_or<'a, T: 'a>(asked: &mut Asked<'a, Option<Vec<T>>>, got: &mut Vec<T>) {
    if let Poll::Ready(items) = poll_once(asked) {
        got.extend(items.into_iter().flatten());
        // A finished future is not polled again.
        *asked = Box::pin(std::future::pending());
    }
}

#[test]
fn a_send_that_was_taken_is_done_although_the_reader_left() {
    for what in Ask::ALL {
        let (mut writer, mut reader) = stream();
        pend(&mut begin(&mut reader, what));
        let mut send = writer.send(1);
        if poll_once(&mut send).is_pending() {
            assert_eq!(ready(&mut begin(&mut reader, what)), Some(vec![1]));
            drop(reader);
            ready(&mut send).unwrap();
        }
    }
}

#[test]
fn a_write_that_was_taken_is_done_although_the_reader_left() {
    for what in [Ask::Read(3), Ask::ReadSome(3), Ask::ReadInto(3), Ask::ReadOnce, Ask::Ahead(3)] {
        for local in [false, true] {
            let (mut writer, mut reader) = stream();
            pend(&mut begin(&mut reader, what));
            let mut write: Asked<'_, bool> = if local {
                Box::pin(async { writer.write_local(0..3).await.is_ok() })
            } else {
                Box::pin(async { writer.write(0..3).await.is_ok() })
            };
            pend(&mut write);
            let items = ready(&mut begin(&mut reader, what)).unwrap();
            drop(reader);
            let all = !(local && what == Ask::ReadOnce);
            assert_eq!(items.len(), if all && !matches!(what, Ask::Ahead(_)) { 3 } else { 1 });
            assert_eq!(ready(&mut write), all, "{what:?} {local}");
        }
    }
}

#[test]
fn a_flush_that_was_taken_is_done_although_the_reader_left() {
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(3));
    writer.send(1).now().unwrap();
    let mut flush = writer.flush();
    pend(&mut flush);
    assert_eq!(ready(&mut reader.read(3)).unwrap(), [1]);
    drop(reader);
    ready(&mut flush).unwrap();
}

#[test]
fn reclaim_tells_whether_a_send_was_taken() {
    for what in Ask::ALL {
        for is_asked in [false, true] {
            for is_taken in [false, true] {
                let (mut writer, mut reader) = stream();
                let census = Census::new();
                if is_asked {
                    pend(&mut begin(&mut reader, what));
                }
                let mut send = writer.send(census.make());
                let is_accepted = poll_once(&mut send).is_ready();
                let got =
                    if is_taken { poll_once(&mut begin(&mut reader, what)) } else { Poll::Pending };
                let got: Vec<_> = match got {
                    Poll::Ready(items) => items.into_iter().flatten().collect(),
                    Poll::Pending => vec![],
                };
                let back = send.reclaim();
                assert_eq!(usize::from(back.is_some()) + got.len() + usize::from(is_accepted), 1);
                drop((back, got));
                let mut send = writer.send(census.make());
                _ = poll_once(&mut send);
                drop(send);
                drop((writer, reader));
                census.assert_settled();
            }
        }
    }
}

#[test]
fn a_reclaimed_item_leaves_those_before_it_in_hand() {
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(3));
    writer.send(0).now().unwrap();
    writer.send(1).now().unwrap();
    let mut send = writer.send(2);
    pend(&mut send);
    assert_eq!(send.reclaim(), Some(2));
    // The same by the clock, and by a drop.
    assert_eq!(writer.send(2).now().unwrap_err().into_unsent(), Some(2));
    assert_eq!(writer.send(2).wait_timeout(Duration::ZERO).unwrap_err().into_unsent(), Some(2));
    let mut send = writer.send(2);
    pend(&mut send);
    drop(send);
    let mut send = writer.send(3);
    pend(&mut send);
    assert_eq!(ready(&mut reader.read(3)).unwrap(), [0, 1, 3]);
    ready(&mut send).unwrap();
}

#[test]
fn a_cancelled_flush_leaves_the_batch_in_hand() {
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(3));
    writer.send(0).now().unwrap();
    let mut flush = writer.flush();
    pend(&mut flush);
    drop(flush);
    assert!(writer.flush().now().unwrap_err().is_not_ready());
    assert!(writer.flush().wait_timeout(Duration::ZERO).unwrap_err().is_timed_out());
    pend(&mut reader.read(3));
    writer.send(1).now().unwrap();
    let mut send = writer.send(2);
    pend(&mut send);
    assert_eq!(ready(&mut reader.read(3)).unwrap(), [0, 1, 2]);
}

// ---- Panics

#[test]
fn a_reader_whose_waker_panics_loses_nothing() {
    for what in Ask::ALL {
        for deed in [Deed::Send, Deed::Write, Deed::WriteLocal] {
            let _context = Place(format!("{what:?} {deed:?}"));
            let (mut writer, mut reader) = stream();
            let census = Census::new();
            let hook = Hook::new();
            let mut asked = begin(&mut reader, what);
            assert!(poll_with(&mut asked, &hook.waker()).is_pending());
            hook.set_panic(Moment::Wake);
            let mut write = begin_deed(&mut writer, deed, &census);
            let panicked = panics(|| poll_once(&mut write));
            drop((write, asked));
            let made = census.made();
            let (_, (items, _)) = converse(
                async {
                    assert!(begin_deed(&mut writer, Deed::Send, &census).await);
                    writer.finish().unwrap();
                },
                rest(&mut reader),
            );
            // A write that panicked is withdrawn as far as it was not taken: but for `send` that keeps what was pulled.
            let ids: Vec<_> = items.iter().map(|item| item.id).collect();
            assert!(ids.is_sorted_by(|a, b| a < b) && ids.ends_with(&[made]), "{ids:?}");
            if !panicked {
                assert!(ids.iter().copied().eq(0..=made) || deed != Deed::Send, "{ids:?}");
            }
            drop(items);
            census.assert_settled();
        }
    }
}

#[test]
fn a_writer_whose_waker_panics_loses_nothing() {
    for what in Ask::ALL {
        for first in [Deed::Send, Deed::Write, Deed::WriteLocal] {
            let _context = Place(format!("{what:?} {first:?}"));
            let (mut writer, mut reader) = stream();
            let census = Census::new();
            pend(&mut begin(&mut reader, what));
            let hook = Hook::new();
            let mut write = begin_deed(&mut writer, first, &census);
            let mut is_done = poll_with(&mut write, &hook.waker()).is_ready();
            hook.set_panic(Moment::Wake);
            let mut got = Vec::new();
            // It panics where the reader takes and tells, and what it took is for the next request.
            for _ in 0..20 {
                _ = panics(|| {
                    if let Poll::Ready(items) = poll_once(&mut begin(&mut reader, what)) {
                        got.extend(items.into_iter().flatten());
                    }
                });
                is_done = is_done || poll_with(&mut write, &hook.waker()).is_ready();
            }
            drop(write);
            writer.finish().unwrap();
            got.extend(ready(&mut Box::pin(rest(&mut reader))).0);
            assert!(is_done);
            assert!(got.iter().map(|item| item.id).eq(0..census.made()), "{got:?}");
            drop(got);
            census.assert_settled();
        }
    }
}

/// Gives `n` items, then panics, once.
fn breaking<'a>(census: &'a Census, n: usize) -> impl Iterator<Item = Counted> + 'a {
    let mut left = n;
    iter::from_fn(move || {
        if left == 0 {
            quiet_panic();
        }
        left -= 1;
        Some(census.make())
    })
}

#[test]
fn an_iterator_that_panics_leaves_what_came_before_it() {
    for what in Ask::ALL {
        for before in 0..4 {
            for is_caught in [false, true] {
                let _context = Place(format!("{what:?} {before} {is_caught}"));
                let (mut writer, mut reader) = stream();
                let census = Census::new();
                let (_, got) = converse(
                    async {
                        let mut write = Box::pin(async {
                            _ = writer.write_local(breaking(&census, before)).await;
                        });
                        let result = poll_fn(|context| {
                            let mut polled = Poll::Pending;
                            if panics(|| polled = write.as_mut().poll(context)) {
                                return Poll::Ready(());
                            }
                            assert!(polled.is_pending(), "no panic");
                            Poll::Pending
                        })
                        .await;
                        drop(write);
                        if is_caught {
                            assert!(begin_deed(&mut writer, Deed::Send, &census).await);
                            writer.finish().unwrap();
                        } else {
                            assert!(panics(move || {
                                let _writer = writer;
                                quiet_panic();
                            }));
                        }
                        result
                    },
                    async {
                        let mut got = Vec::new();
                        while let Some(items) = begin(&mut reader, what).await {
                            if items.is_empty() {
                                break;
                            }
                            got.extend(items);
                        }
                        got.extend(rest(&mut reader).await.0);
                        got
                    },
                );
                let count = before + usize::from(is_caught);
                assert!(got.iter().map(|item| item.id).eq(0..count), "{got:?}");
                assert_eq!(reader.end(), Some(if is_caught { Why::Closed } else { Why::Panicked }));
                drop(got);
                census.assert_settled();
            }
        }
    }
}

// ---- A reader that leaves

#[test]
fn a_reader_that_leaves_is_noticed_under_each_request() {
    let _watchdog = Watchdog::new();
    for what in Ask::ALL {
        for how in [How::Thread, How::Task] {
            let (mut writer, mut reader) = stream();
            let pulled = AtomicUsize::new(0);
            let items = iter::from_fn(|| Some(pulled.fetch_add(1, SeqCst)));
            thread::scope(|scope| {
                let write =
                    scope.spawn(|| how.drive(how.run(writer.write_local(items))).unwrap_err());
                _ = poll_once(&mut begin(&mut reader, what));
                until(|| pulled.load(SeqCst) > 0);
                drop(reader);
                let error = write.join().unwrap();
                assert_eq!(error.why(), Why::Dropped);
                let mut rest = error.into_rest();
                assert!(rest.by_ref().take(5).eq(0..5), "{what:?}: nothing had been taken");
            });
        }
    }
}

// ---- By the clock, and at random

#[test]
fn timeouts_that_race_with_delivery_lose_nothing() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("timeouts_that_race_with_delivery", Duration::from_secs(4));
    while stress.goes_on() {
        let census = Census::new();
        let (mut writer, mut reader) = stream();
        let (mut here, mut there) = (stress.fork(), stress.fork());
        let got = thread::scope(|scope| {
            let made = &census;
            scope.spawn(move || {
                let mut kept: Vec<Counted> = Vec::new();
                while made.made() < 200 || !kept.is_empty() {
                    let time = Duration::from_nanos(here.below(20_000));
                    dither(here.below(200));
                    // What comes back is sent again, in the same order.
                    match here.below(5) {
                        0 => {
                            let item = if kept.is_empty() { made.make() } else { kept.remove(0) };
                            if let Err(error) = writer.send(item).wait_timeout(time) {
                                assert!(error.is_timed_out());
                                kept.insert(0, error.into_unsent().expect("not taken"));
                            }
                        }
                        4 => {
                            _ = writer.flush().wait_timeout(time);
                        }
                        kind => {
                            let mut items = mem::take(&mut kept);
                            items.extend((0..here.below(4)).map(|_| made.make()));
                            let result = if kind == 1 {
                                writer
                                    .write_local(items)
                                    .wait_timeout(time)
                                    .map_err(|error| error.into_rest().collect())
                            } else {
                                writer
                                    .write(items)
                                    .wait_timeout(time)
                                    .map_err(|error| error.into_rest().collect())
                            };
                            kept = result.err().unwrap_or_default();
                        }
                    }
                }
                writer.finish().unwrap();
            });
            let mut got = Vec::new();
            while reader.end().is_none() {
                let ask = Ask::ALL[there.below(Ask::ALL.len() as u64) as usize];
                let time = (there.below(4) > 0).then(|| Duration::from_nanos(there.below(20_000)));
                dither(there.below(200));
                if ask == Ask::ReadAll && there.below(4) > 0 {
                    continue;
                }
                got.extend(ask_briefly(&mut reader, ask, time).into_iter().flatten());
            }
            got
        });
        let ids: Vec<_> = got.iter().map(|item| item.id).collect();
        assert!(ids.iter().copied().eq(0..census.made()), "{ids:?}");
        drop((got, reader));
        census.assert_settled();
    }
}

#[test]
fn reads_polled_once_on_two_threads_lose_no_wake_up() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("reads_polled_once_on_two_threads", Duration::from_secs(4));
    while stress.goes_on() {
        let (mut writer, mut reader) = stream();
        let mut there = stress.fork();
        let mut here = stress.fork();
        thread::scope(|scope| {
            scope.spawn(move || {
                for n in 0..100 {
                    dither(here.below(300));
                    writer.send(2 * n).wait().unwrap();
                    pollster::block_on(writer.write_local([2 * n + 1])).unwrap();
                }
                writer.finish().unwrap();
            });
            let mut got = Vec::new();
            while reader.end().is_none() {
                for _ in 0..there.below(3) {
                    let ask = Ask::ALL[there.below(Ask::ALL.len() as u64) as usize];
                    let polled = poll_once(&mut begin(&mut reader, ask));
                    if let Poll::Ready(items) = polled {
                        got.extend(items.into_iter().flatten());
                    }
                    dither(there.below(300));
                }
                // One that stays: it must be woken. Nothing bounds it but the watchdog.
                let asks =
                    [Ask::Recv, Ask::Read(2), Ask::ReadSome(3), Ask::ReadOnce, Ask::Ahead(3)];
                let ask = asks[there.below(asks.len() as u64) as usize];
                got.extend(pollster::block_on(begin(&mut reader, ask)).into_iter().flatten());
            }
            assert!(got.into_iter().eq(0..200));
        });
    }
}

// What a stream leaves when it is dropped between two polls is as with any other request.
#[test]
fn a_stream_that_waits_again_and_again_is_one_request() {
    let (mut writer, mut reader) = stream();
    let calls = RefCell::new(0);
    let (bell, waker) = Bell::new();
    let context = &mut Context::from_waker(&waker);
    let mut chunks = reader.chunks(2).into_stream();
    for _ in 0..3 {
        assert!(Pin::new(&mut chunks).poll_next(context).is_pending());
    }
    let mut write = writer.write_local(iter::from_fn(|| {
        *calls.borrow_mut() += 1;
        Some(*calls.borrow())
    }));
    pend(&mut write);
    assert_eq!(bell.rings(), 1);
    assert_eq!(*calls.borrow(), 2);
    assert_eq!(Pin::new(&mut chunks).poll_next(context), Poll::Ready(Some(vec![1, 2])));
    let noop = &mut Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut chunks).poll_next(noop).is_pending());
    drop(chunks);
    pend(&mut write);
    assert_eq!(ready(&mut reader.recv()), Ok(3));
    assert_eq!(ready(&mut reader.recv()), Ok(4));
}

#[test]
fn a_flush_ends_a_read_also_after_another_one_was_given_up() {
    let _dog = crate::support::Watchdog::new();
    let (mut writer, mut reader) = handover::stream();
    assert!(reader.read(10).now().is_err());
    writer.write([1, 2, 3]).now().unwrap();
    let mut read = reader.read(20);
    crate::support::pend(&mut read);
    let mut flush = writer.flush();
    crate::support::pend(&mut flush);
    assert_eq!(crate::support::ready(&mut read).unwrap(), [1, 2, 3]);
    crate::support::ready(&mut flush).unwrap();
}

#[test]
fn another_request_does_not_wait_for_as_many_as_the_cancelled_one() {
    for second in Ask::ALL.into_iter().filter(|ask| !ask.gathers() || matches!(ask, Ask::Ahead(_)))
    {
        let (mut writer, mut reader) = stream();
        pend(&mut reader.read(5));
        writer.send(0).now().unwrap();
        let mut asked = begin(&mut reader, second);
        pend(&mut asked);
        // The writer's next call hands over what lies in hand.
        let mut send = writer.send(1);
        pend(&mut send);
        assert_eq!(ready(&mut asked), Some(vec![0]), "{second:?}");
    }
}

#[test]
fn a_request_that_nobody_has_seen_is_withdrawn_for_another_one() {
    for second in Ask::ALL.into_iter().filter(|ask| !ask.gathers()) {
        let (mut writer, mut reader) = stream();
        pend(&mut reader.read(5));
        let mut asked = begin(&mut reader, second);
        pend(&mut asked);
        let mut send = writer.send(0);
        pend(&mut send);
        assert_eq!(ready(&mut asked), Some(vec![0]), "{second:?}");
        ready(&mut send).unwrap();
    }
}

#[test]
fn a_nudged_writer_stops_between_two_items() {
    let (mut writer, reader) = stream();
    let reader = RefCell::new(reader);
    pend(&mut reader.borrow_mut().read(5));
    let mut n = 0;
    let mut write = writer.write_local(iter::from_fn(|| {
        n += 1;
        if n == 3 {
            pend(&mut reader.borrow_mut().recv());
        }
        Some(n)
    }));
    pend(&mut write);
    assert_eq!(ready(&mut reader.borrow_mut().read_some(5)).unwrap(), [1, 2, 3]);
}

#[test]
fn a_nudged_writer_pulls_nothing() {
    let (mut writer, mut reader) = stream();
    pend(&mut reader.read(5));
    writer.write_local(iter::empty()).now().unwrap();
    pend(&mut reader.recv());
    let mut n = 0;
    let mut write = writer.write_local(iter::from_fn(|| {
        n += 1;
        Some(n)
    }));
    pend(&mut write);
    // The answer has nothing, and then comes what was asked for.
    pend(&mut reader.recv());
    pend(&mut write);
    assert_eq!(ready(&mut reader.recv()), Ok(1));
    drop(write);
    assert_eq!(n, 1);
}
