//! Sequences that say how they ended: `checked`, `checked_results`, `end` and `into_inner` of every iterator and stream.

use crate::support::thread;
use crate::support::*;
use futures_core::FusedStream;
use futures_lite::StreamExt;
use futures_lite::future::block_on;
use handover::{
    Client, Reader, Receiver, Server, Why, generate, produce, produce_in, rendezvous, simplex,
    stream,
};

const ENDS: [Why; 3] = [Why::Closed, Why::Dropped, Why::Panicked];

/// A client that gets 1, 2, 3 and then that end.
fn client(why: Why) -> Client<u32> {
    let (mut server, client) = simplex();
    thread::spawn(move || {
        for n in 1..=3 {
            server.answer(n).wait().unwrap();
        }
        server.end_as(why);
    });
    client
}

fn reader(why: Why) -> Reader<u32> {
    let (mut writer, reader) = stream();
    thread::spawn(move || {
        writer.write(1..=3).wait().unwrap();
        writer.end_as(why).unwrap();
    });
    reader
}

fn receiver(why: Why) -> Receiver<u32> {
    let (tx, rx) = rendezvous();
    thread::spawn(move || {
        tx.send_all(1..=3).wait().unwrap();
        leave_by(tx, why, handover::Sender::finish);
    });
    rx
}

/// 1, 2, 3, the end as an error if it is early, and nothing more.
fn told(why: Why) -> Vec<Result<u32, Why>> {
    let mut items = vec![Ok(1), Ok(2), Ok(3)];
    items.extend((why != Why::Closed).then_some(Err(why)));
    items
}

/// Tries a checked sequence in all its forms.
macro_rules! assert_tells {
    ($why:expr, $sequence:expr) => {{
        let why = $why;
        let mut items = $sequence.checked();
        assert_eq!(items.by_ref().collect::<Vec<_>>(), told(why), "{}", stringify!($sequence));
        assert_eq!((items.next(), items.next(), items.end()), (None, None, Some(why)));
        progress();

        for early in [false, true] {
            let mut plain = $sequence.into_stream();
            assert!(!plain.is_terminated());
            if early {
                assert_eq!(block_on(plain.next()), Some(1));
            }
            let mut items = plain.checked();
            assert!(!items.is_terminated());
            let got: Vec<_> = block_on((&mut items).collect());
            assert_eq!(got, told(why)[usize::from(early)..], "{}", stringify!($sequence));
            assert!(items.is_terminated());
            assert_eq!((block_on(items.next()), items.end()), (None, Some(why)));
        }

        let mut items = $sequence.checked().into_stream();
        assert_eq!(block_on((&mut items).collect::<Vec<_>>()), told(why));

        let mut plain = $sequence;
        assert!(plain.by_ref().eq([1, 2, 3]));
        assert_eq!((plain.next(), plain.end()), (None, Some(why)));
        progress();
    }};
}

#[test]
fn each_sequence_of_each_end_tells_how_it_ended() {
    let _dog = Watchdog::new();
    for why in ENDS {
        assert_tells!(why, client(why).into_iter());
        assert_tells!(why, reader(why).into_iter());
        assert_tells!(why, reader(why).into_ahead(2));
        assert_tells!(why, reader(why).into_ahead(100));
        assert_tells!(why, receiver(why).into_iter());
        let (mut lent, mut other) = (client(why), client(why));
        assert_eq!(lent.iter().checked().collect::<Vec<_>>(), told(why));
        assert_eq!(block_on(other.stream().checked().collect::<Vec<_>>()), told(why));
        assert_eq!((lent.end(), other.end()), (Some(why), Some(why)));
        let (mut lent, mut other) = (reader(why), reader(why));
        assert_eq!(lent.iter().checked().collect::<Vec<_>>(), told(why));
        assert_eq!(block_on(other.ahead(2).into_stream().checked().collect::<Vec<_>>()), told(why));
        assert_eq!((lent.end(), other.end()), (Some(why), Some(why)));
        let (lent, other) = (receiver(why), receiver(why));
        assert_eq!(lent.iter().checked().collect::<Vec<_>>(), told(why));
        assert_eq!(block_on(other.stream().checked().collect::<Vec<_>>()), told(why));
    }
}

#[test]
fn chunks_tell_how_they_ended_after_the_last_short_one() {
    let _dog = Watchdog::new();
    for why in ENDS {
        let mut expected = vec![Ok(vec![1, 2]), Ok(vec![3])];
        expected.extend((why != Why::Closed).then_some(Err(why)));
        let mut items = reader(why).into_chunks(2).checked();
        assert_eq!(items.by_ref().collect::<Vec<_>>(), expected);
        assert_eq!(items.next(), None);
        let mut items = reader(why).into_chunks(2).into_stream().checked();
        assert_eq!(block_on((&mut items).collect::<Vec<_>>()), expected);
        assert!(items.is_terminated());
        let mut reader = reader(why);
        assert_eq!(reader.chunks(2).checked().collect::<Vec<_>>(), expected);
        assert_eq!(reader.end(), Some(why));
    }
}

#[test]
fn producers_tell_how_they_ended() {
    let _dog = Watchdog::new();
    let blocking = |server: &mut Server<u32>| _ = server.send_all(1..=3).wait();
    let awaiting = |mut server: Server<u32>| async move { _ = server.send_all(1..=3).await };
    assert_tells!(Why::Closed, produce(blocking));
    assert_tells!(Why::Closed, generate(awaiting));
    assert_tells!(Why::Closed, handover::produce_on(|job| _ = thread::spawn(job), blocking));
    std::thread::scope(|scope| {
        assert_tells!(Why::Closed, produce_in(scope, blocking));
    });
}

#[test]
fn an_error_in_the_middle_ends_nothing() {
    let _dog = Watchdog::new();
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Error {
        Row,
        Ended(Why),
    }
    impl From<Why> for Error {
        fn from(why: Why) -> Self {
            Error::Ended(why)
        }
    }
    const ROWS: [Result<u8, Error>; 4] = [Ok(1), Err(Error::Row), Ok(2), Err(Error::Row)];
    for why in ENDS {
        let mut expected = ROWS.to_vec();
        expected.extend((why != Why::Closed).then_some(Err(Error::Ended(why))));
        let writing = || {
            let (mut writer, reader) = stream();
            thread::spawn(move || {
                writer.write(ROWS).wait().unwrap();
                writer.end_as(why).unwrap();
            });
            reader
        };
        let mut items = writing().into_iter().checked_results();
        assert_eq!(items.by_ref().collect::<Vec<_>>(), expected);
        assert_eq!((items.next(), items.end()), (None, Some(why)));
        let mut items = writing().into_ahead(3).into_stream().checked_results();
        assert_eq!(block_on((&mut items).collect::<Vec<_>>()), expected);
        assert!(items.is_terminated());
        let items = writing().into_stream().checked_results();
        assert_eq!(block_on(items.collect::<Vec<_>>()), expected);
        let mut reader = writing();
        assert_eq!(reader.iter().checked_results().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn into_inner_gives_the_end_that_goes_on_where_the_sequence_was() {
    let _dog = Watchdog::new();
    let why = Why::Dropped;
    let mut items = client(why).into_iter();
    assert_eq!(items.next(), Some(1));
    let mut items = items.into_inner().into_stream().checked();
    assert_eq!(block_on(items.next()), Some(Ok(2)));
    let mut inner: Client<u32> = items.into_inner();
    assert_eq!(inner.recv().wait(), Ok(3));

    let mut items = receiver(why).into_stream();
    assert_eq!(block_on(items.next()), Some(1));
    let mut items = items.checked();
    assert_eq!(block_on(items.next()), Some(Ok(2)));
    let inner: Receiver<u32> = items.into_inner();
    assert_eq!(inner.recv().wait(), Ok(3));
    assert_eq!(inner.iter().into_inner().recv().wait().unwrap_err().why(), why);

    let mut lent = client(why);
    let inner: &mut Client<u32> = lent.iter().into_inner();
    assert_eq!(inner.recv().wait(), Ok(1));
    let mut lent = reader(why);
    let inner: &mut Reader<u32> = lent.chunks(2).into_inner();
    assert_eq!(inner.recv().wait(), Ok(1));
}

#[test]
fn what_a_sequence_holds_answers_the_end_s_next_request() {
    let _dog = Watchdog::new();
    let mut items = reader(Why::Closed).into_ahead(2);
    assert_eq!(items.next(), Some(1));
    let mut inner = items.into_inner();
    assert_eq!(inner.read(1).wait(), Ok(vec![2]));
    assert_eq!(inner.read_all().wait(), Ok(vec![3]));

    let mut items = reader(Why::Closed).into_ahead(100).into_stream().checked();
    assert_eq!(block_on(items.next()), Some(Ok(1)));
    let mut inner = items.into_inner();
    assert_eq!(inner.recv().wait(), Ok(2));
    assert_eq!(inner.recv().wait(), Ok(3));
    assert_eq!(inner.end(), None);
    assert_eq!(inner.recv().wait().unwrap_err().why(), Why::Closed);

    // A stream that was polled and waits: its waker goes, its request stands.
    let (mut writer, reader) = stream();
    let (bell, waker) = Bell::new();
    let mut items = reader.into_ahead(2).into_stream();
    let mut next = items.next();
    pend_with(&mut next, &waker);
    let mut inner = items.into_inner();
    let mut write = writer.write(1..=3);
    pend(&mut write);
    assert_eq!(bell.rings(), 0);
    assert_eq!(inner.recv().now(), Ok(1));
    assert_eq!(inner.recv().now(), Ok(2));
    pend(&mut inner.recv());
    pend(&mut write);
    assert_eq!(inner.recv().now(), Ok(3));
    assert!(ready(&mut write).is_ok());
}

#[test]
fn a_sequence_over_an_end_that_is_over_is_over_at_once() {
    for why in ENDS {
        let (server, client) = simplex::<u8>();
        leave_by(server, why, Server::finish);
        let mut items = client.into_stream();
        assert!(!items.is_terminated());
        assert_eq!(block_on(items.next()), None);
        assert!(items.is_terminated());
        let mut items = items.into_inner().into_stream().checked();
        assert_eq!(items.is_terminated(), why == Why::Closed);
        assert_eq!(block_on(items.next()), (why != Why::Closed).then_some(Err(why)));
        assert!(items.is_terminated());
    }
}

#[test]
fn checked_sequences_are_iterators_like_others() {
    let _dog = Watchdog::new();
    let all: Result<Vec<_>, _> = client(Why::Closed).into_iter().checked().collect();
    assert_eq!(all, Ok(vec![1, 2, 3]));
    let all: Result<Vec<_>, _> = client(Why::Dropped).into_iter().checked().collect();
    assert_eq!(all, Err(Why::Dropped));
    let sum: Result<u32, Why> = reader(Why::Closed).into_ahead(2).checked().sum();
    assert_eq!(sum, Ok(6));
    let folded = receiver(Why::Panicked).into_iter().checked().fold(0, |n, item| match item {
        Ok(item) => n + item,
        Err(why) => {
            assert_eq!(why, Why::Panicked);
            n + 100
        }
    });
    assert_eq!(folded, 106);
}
