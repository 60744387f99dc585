//! Routines on threads of their own: how they end, and what becomes of their panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread; // `produce_in` takes its scope.

use crate::support::*;
use futures_lite::StreamExt;
use futures_lite::future::block_on;
use handover::{Server, Why, produce, produce_in};

use super::message;

#[test]
fn a_produced_routine_gives_its_items_and_then_the_end() {
    let _dog = Watchdog::new();
    assert!(produce(|server| _ = server.send_all(0..100).wait()).eq(0..100));
    let mut none = produce(|_: &mut Server<u8>| {});
    assert_eq!((none.next(), none.next(), none.end()), (None, None, Some(Why::Closed)));
    let stream = produce(|server| _ = server.send_all(0..100).wait()).into_stream();
    assert!(block_on(stream.collect::<Vec<_>>()).into_iter().eq(0..100));
}

#[test]
fn a_panic_of_a_produced_routine_goes_on_in_the_consumer_after_the_items() {
    let _dog = Watchdog::new();
    let fails = |server: &mut Server<u32>| {
        _ = server.send(1).wait();
        panic!("the disk is gone");
    };
    let mut items = produce(fails);
    assert_eq!(items.next(), Some(1));
    let panic = catch_unwind(AssertUnwindSafe(|| items.next())).unwrap_err();
    assert_eq!(message(&*panic), "the disk is gone");
    assert_eq!((items.next(), items.end()), (None, Some(Why::Panicked)));

    let mut items = produce(fails).into_stream();
    assert_eq!(block_on(items.next()), Some(1));
    let panic = catch_unwind(AssertUnwindSafe(|| block_on(items.next()))).unwrap_err();
    assert_eq!(message(&*panic), "the disk is gone");

    let mut items = produce(fails);
    assert_eq!(items.next(), Some(1));
    assert_eq!(message(&*items.join().unwrap_err()), "the disk is gone");
}

#[test]
fn dropping_what_is_produced_closes_the_channel() {
    let _dog = Watchdog::new();
    let (told, why) = mpsc::channel();
    let mut items = produce(move |server| {
        let error = server.send_all(0..).wait().unwrap_err();
        told.send((error.why(), error.into_rest().next())).unwrap();
    });
    assert_eq!(items.next(), Some(0));
    drop(items);
    assert_eq!(why.recv().unwrap(), (Why::Dropped, Some(1)));
}

#[test]
fn joining_waits_for_the_routine_and_says_closed_to_it() {
    let _dog = Watchdog::new();
    let ends = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&ends);
    let mut items = produce(move |server| {
        assert_eq!(server.send_all(0..).wait().unwrap_err().why(), Why::Closed);
        counter.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(items.next(), Some(0));
    items.join().unwrap();
    assert_eq!(ends.load(Ordering::Relaxed), 1);
}

#[test]
fn a_scoped_routine_borrows() {
    let _dog = Watchdog::new();
    let text = String::from("one two three");
    let mut lines = 0;
    thread::scope(|scope| {
        let words = produce_in(scope, |server| {
            lines += 1;
            _ = server.send_all(text.split(' ')).wait();
        });
        assert!(words.eq(["one", "two", "three"]));
        let letters =
            produce_in(scope, |server| _ = server.send_all(text.chars()).wait()).into_stream();
        assert_eq!(block_on(letters.collect::<String>()), text);
    });
    assert_eq!(lines, 1);
}

#[test]
fn a_panic_of_a_scoped_routine_goes_on_once() {
    let _dog = Watchdog::new();
    let panic = catch_unwind(|| {
        thread::scope(|scope| {
            let mut items = produce_in(scope, |server| {
                server.send(1).wait().unwrap();
                panic!("scoped");
            });
            assert_eq!(items.next(), Some(1));
            _ = items.next();
        });
    })
    .unwrap_err();
    assert_eq!(message(&*panic), "scoped");
    thread::scope(|scope| {
        let mut items = produce_in(scope, |server: &mut Server<u8>| {
            _ = server.demand().wait();
            panic!("joined");
        });
        assert!(catch_unwind(AssertUnwindSafe(|| items.next())).is_err());
        assert_eq!(items.next(), None);
    });
}
