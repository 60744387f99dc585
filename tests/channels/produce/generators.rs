//! Routines that their consumer drives: how they end, and what becomes of their panics.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};

use crate::support::thread;
use crate::support::*;
use futures_core::FusedStream;
use futures_lite::StreamExt;
use futures_lite::future::{block_on, poll_fn, poll_once, yield_now, zip};
use handover::{Client, Generator, Server, Why, generate, simplex};

use super::message;

fn up_to(n: u32) -> Generator<u32, impl Future<Output = ()> + Send> {
    generate(move |mut server| async move { _ = server.send_all(0..n).await })
}

#[test]
fn a_generator_gives_what_is_sent_as_an_iterator_and_as_a_stream() {
    let _dog = Watchdog::new();
    assert!(up_to(5).eq(0..5));
    assert_eq!(block_on(up_to(5).into_stream().collect::<Vec<_>>()), [0, 1, 2, 3, 4]);
    assert!(up_to(0).eq(0..0));
}

#[test]
fn a_generator_runs_from_one_demand_to_the_next_and_never_ahead() {
    let _dog = Watchdog::new();
    let made = Rc::new(Cell::new(0));
    let counter = Rc::clone(&made);
    let mut numbers = generate(|mut server| async move {
        loop {
            counter.set(counter.get() + 1);
            if server.send(counter.get()).await.is_err() {
                break;
            }
        }
    });
    assert_eq!(made.get(), 0);
    for n in 1..100 {
        assert_eq!(numbers.next(), Some(n));
        assert_eq!(made.get(), n);
    }
}

#[test]
fn a_generator_borrows_and_needs_no_send() {
    let _dog = Watchdog::new();
    let text = String::from("one two");
    let words = generate(|mut server| {
        let text = &text;
        async move {
            for word in text.split(' ') {
                _ = server.send(Rc::new(word)).await;
            }
        }
    });
    assert_eq!(words.map(|word| word.len()).sum::<usize>(), 6);
}

#[test]
fn a_generator_moves_between_threads_half_way() {
    let _dog = Watchdog::new();
    let mut numbers = up_to(4);
    assert_eq!(numbers.next(), Some(0));
    let mut numbers = thread::spawn(move || {
        assert_eq!(numbers.next(), Some(1));
        numbers
    })
    .join()
    .unwrap();
    assert_eq!(numbers.next(), Some(2));
    assert_eq!(block_on(numbers.into_stream().collect::<Vec<_>>()), [3]);
}

#[test]
fn a_generator_that_awaits_elsewhere_blocks_its_iterator_until_that_comes() {
    let _dog = Watchdog::new();
    let (mut source, mut relayed) = simplex();
    let numbers = generate(|mut server| async move {
        while let Ok(number) = relayed.recv().await {
            _ = server.send(number).await;
        }
    });
    let feeder = thread::spawn(move || source.send_all(0..1000).wait().map(|()| source.finish()));
    assert!(numbers.eq(0..1000));
    feeder.join().unwrap().unwrap();
}

#[test]
fn a_generator_stream_that_awaits_elsewhere_is_woken_by_that() {
    let _dog = Watchdog::new();
    let (mut source, mut relayed) = simplex();
    let numbers = generate(|mut server| async move {
        while let Ok(number) = relayed.recv().await {
            yield_now().await;
            _ = server.send(number).await;
        }
    });
    let feed = async move { source.send_all(0..100).await.map(|()| source.finish()) };
    let (fed, got) = block_on(zip(feed, numbers.into_stream().collect::<Vec<_>>()));
    fed.unwrap();
    assert!(got.into_iter().eq(0..100));
}

#[test]
fn a_generator_whose_server_went_to_another_thread_goes_on() {
    let _dog = Watchdog::new();
    let mut threads = Vec::new();
    let numbers = generate(|mut server: Server<u32>| {
        threads
            .push(thread::spawn(move || server.send_all(0..100).wait().map(|()| server.finish())));
        async {}
    });
    assert!(numbers.eq(0..100));
    threads.pop().unwrap().join().unwrap().unwrap();
}

#[test]
fn a_generator_whose_server_went_to_another_future_of_the_same_task_goes_on() {
    let _dog = Watchdog::new();
    let (out, inbox) = mpsc::channel::<Server<u32>>();
    // The server leaves the routine, and the routine goes on.
    let numbers = generate(|server| async move {
        out.send(server).unwrap();
        poll_fn(|_| Poll::<()>::Pending).await;
    });
    let mut server = None;
    let serve = async move {
        let mut server = poll_fn(|context| {
            server = server.take().or_else(|| inbox.try_recv().ok());
            match server.take() {
                Some(server) => Poll::Ready(server),
                None => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        })
        .await;
        server.send_all(0..100).await.map(|()| server.finish())
    };
    // The sibling is polled first, so that the generator's demand needs another poll of the task.
    let (served, got) = block_on(zip(serve, numbers.into_stream().collect::<Vec<_>>()));
    served.unwrap();
    assert!(got.into_iter().eq(0..100));
}

#[test]
fn a_generator_tells_how_it_ended() {
    let _dog = Watchdog::new();
    let mut returned = up_to(1);
    assert_eq!((returned.next(), returned.end()), (Some(0), None));
    assert_eq!((returned.next(), returned.end()), (None, Some(Why::Closed)));
    assert_eq!((returned.next(), returned.end()), (None, Some(Why::Closed)));

    let mut finished = generate(|server| async move { server.finish_with(7).unwrap() });
    assert_eq!(
        (finished.next(), finished.next(), finished.end()),
        (Some(7), None, Some(Why::Closed))
    );

    let mut went_on = generate(|server: Server<u8>| async move {
        drop(server);
        poll_fn(|_| Poll::<()>::Pending).await;
    });
    assert_eq!((went_on.next(), went_on.end()), (None, Some(Why::Dropped)));

    let mut stream = up_to(1).into_stream();
    assert_eq!(block_on(stream.next()), Some(0));
    assert!(!stream.is_terminated());
    assert_eq!(block_on(stream.next()), None);
    assert!(stream.is_terminated());
}

#[test]
fn a_panic_of_a_generator_goes_to_its_consumer_after_the_items() {
    let _dog = Watchdog::new();
    let mut numbers = generate(|mut server| async move {
        server.send(1).await.unwrap();
        panic!("no more");
    });
    assert_eq!(numbers.next(), Some(1));
    let panic = catch_unwind(AssertUnwindSafe(|| numbers.next())).unwrap_err();
    assert_eq!(message(&*panic), "no more");
    assert_eq!((numbers.next(), numbers.end()), (None, Some(Why::Panicked)));
}

#[test]
fn a_dropped_generator_drops_its_routine() {
    let _dog = Watchdog::new();
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let mut numbers = generate(|mut server| async move {
        let _held = held;
        _ = server.send_all(0..).await;
    });
    assert_eq!(numbers.next(), Some(0));
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(numbers);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_cancelled_next_of_a_generator_stream_loses_nothing() {
    let _dog = Watchdog::new();
    let (mut gate, mut opened) = simplex::<()>();
    let numbers = generate(|mut server| async move {
        while opened.recv().await.is_ok() {
            _ = server.send(5).await;
        }
    });
    block_on(async {
        let mut numbers = numbers.into_stream();
        assert_eq!(poll_once(numbers.next()).await, None);
        let mut open = gate.send(());
        assert!(poll_once(&mut open).await.is_none());
        assert_eq!(numbers.next().await, Some(5));
    });
}

#[test]
fn generators_can_be_nested() {
    let _dog = Watchdog::new();
    fn halves(n: u32) -> Generator<u32, impl Future<Output = ()>> {
        generate(move |mut server| async move {
            let mut inner = up_to(n).into_stream();
            while let Some(item) = inner.next().await {
                _ = server.send(item * 10).await;
            }
        })
    }
    assert!(halves(3).eq([0, 10, 20]));
    // A blocking generator within a generator: each `next` parks on its own.
    let outer = generate(|mut server| async move {
        for item in halves(2) {
            _ = server.send(item + 1).await;
        }
    });
    assert!(outer.eq([1, 11]));
}

/// The same three lines have one transcript as a routine and as a generator.
#[test]
fn a_routine_and_a_generator_have_one_transcript() {
    let _dog = Watchdog::new();
    async fn body(server: &mut Server<&'static str, u32>, seen: &mut Vec<u32>) -> Option<()> {
        seen.push(server.exchange("One").await.ok()?);
        seen.push(server.exchange("Two").await.ok()?);
        server.exchange("Three").await.map(drop).ok()
    }
    async fn ask(client: &mut Client<&'static str, u32>) -> Vec<&'static str> {
        let mut got = Vec::new();
        for demand in 0..3 {
            got.push(client.exchange(demand).await.unwrap());
        }
        got
    }
    let (mut server, mut client) = handover::duplex();
    let mut seen = Vec::new();
    let consume = async move {
        let got = ask(&mut client).await;
        client.close();
        got
    };
    let (end, got) = block_on(zip(body(&mut server, &mut seen), consume));
    assert_eq!((end, got, seen), (None, vec!["One", "Two", "Three"], vec![1, 2]));
    let generated = generate(|mut server| async move {
        for word in ["One", "Two", "Three"] {
            _ = server.send(word).await;
        }
    });
    assert!(generated.eq(["One", "Two", "Three"]));
}

#[test]
fn a_generator_stream_polled_with_changing_wakers_goes_on() {
    let _dog = Watchdog::new();
    let mut stream = Box::pin(up_to(50).into_stream());
    for expected in 0..50 {
        let (_bell, waker) = Bell::new();
        let mut context = Context::from_waker(&waker);
        let mut next = stream.next();
        let Poll::Ready(item) = std::pin::Pin::new(&mut next).poll(&mut context) else {
            panic!("nothing to wait for")
        };
        assert_eq!(item, Some(expected));
    }
}

#[test]
fn a_dropped_generator_wakes_a_server_that_waits_elsewhere_in_the_same_task() {
    let _dog = Watchdog::new();
    let (out, inbox) = mpsc::channel::<Server<u32>>();
    let mut numbers = generate(|server| async move { out.send(server).unwrap() }).into_stream();
    let (bell, waker) = Bell::new();
    let mut context = Context::from_waker(&waker);
    let mut next = numbers.next();
    assert!(std::pin::Pin::new(&mut next).poll(&mut context).is_pending());
    let mut server = inbox.recv().unwrap();
    let mut send = server.send(1);
    assert!(std::pin::Pin::new(&mut send).poll(&mut context).is_pending());
    assert_eq!(std::pin::Pin::new(&mut next).poll(&mut context), Poll::Ready(Some(1)));
    _ = bell.rings();
    drop(numbers);
    assert_eq!(bell.rings(), 1, "the server was not told that its client left");
    assert_eq!(ready(&mut send).unwrap_err().why(), Why::Dropped);
}

#[test]
fn a_generator_whose_server_was_dropped_elsewhere_does_not_look_finished() {
    let _dog = Watchdog::new();
    let (out, inbox) = mpsc::channel::<Server<u32>>();
    let server = thread::spawn(move || inbox.recv().unwrap().send(1).wait().unwrap());
    let mut numbers = generate(|server| async move { out.send(server).unwrap() });
    assert_eq!(numbers.next(), Some(1));
    assert_eq!(numbers.by_ref().take(1).count(), 0);
    assert_eq!(numbers.end(), Some(Why::Dropped));
    drop(numbers);
    server.join().unwrap();
}
