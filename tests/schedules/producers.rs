//! Producers: generators that are driven by their consumers, routines on threads and on a pool, chained and beside each other.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use futures_lite::StreamExt;
use handover::{Server, generate, produce, produce_on, rendezvous, try_generate, try_produce_on};
use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle};

use crate::census::{Census, Item};
use crate::explore::tally;
use crate::ways::{Driven, Way, below, drive, one_in, pick};

/// A panic that is planned. It is raised without the hook, which would write a schedule into a file.
struct Planned;

/// How a routine ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exit {
    Return,
    Fail,
    Panic,
}

/// Sends so many items, by blocking. What was withdrawn is sent again.
fn send_blocking(server: &mut Server<Item>, items: usize, census: &Census) -> bool {
    let mut number = 0;
    while number < items {
        let way = pick(&[Way::Block, Way::Block, Way::BlockFor, Way::Leave(1), Way::Await]);
        match block_on(drive(server.send(census.item(0, number)), way)) {
            Driven::Done(Ok(())) => number += 1,
            Driven::Done(Err(error)) if error.is_end() => return false,
            Driven::Done(Err(error)) => number += usize::from(error.unsent().is_none()),
            Driven::Nothing => unreachable!("a send tells"),
            Driven::Left(send) => number += usize::from(send.reclaim().is_none()),
        }
    }
    true
}

fn exit(exit: Exit) -> Result<(), &'static str> {
    match exit {
        Exit::Return => Ok(()),
        Exit::Fail => Err("failed"),
        Exit::Panic => resume_unwind(Box::new(Planned)),
    }
}

/// Takes at most so many, and checks that they are in order.
fn take<E>(items: impl Iterator<Item = Result<Item, E>>, most: usize) -> (usize, bool) {
    let mut taken = 0;
    for item in items.take(most) {
        let Ok(item) = item else { return (taken, true) };
        assert_eq!(item.number, taken);
        taken += 1;
    }
    (taken, false)
}

/// On a pool, by a routine that returns, fails or panics; a rendezvous brings the items of several consumers together.
fn on_pool(census: &Census) {
    let plan = pick(&[Exit::Return, Exit::Return, Exit::Fail, Exit::Panic]);
    let (items, most) = (below(4), 1 + below(5));
    let routine_census = census.clone();
    let is_dropped = one_in(8);
    let mut thread = None;
    let produced = try_produce_on(
        |job| thread = (!is_dropped).then(|| thread::spawn(job)),
        move |server| {
            if send_blocking(server, items, &routine_census) { exit(plan) } else { Ok(()) }
        },
    );
    let result = catch_unwind(AssertUnwindSafe(|| take(produced, most)));
    let is_whole = most > items && !is_dropped;
    match result {
        Ok((taken, has_failed)) => {
            assert!(!is_whole || plan != Exit::Panic, "the panic is raised again");
            assert_eq!(taken, if is_dropped { 0 } else { items.min(most) });
            assert_eq!(has_failed, is_whole && plan == Exit::Fail);
        }
        Err(panic) => {
            assert!(plan == Exit::Panic && panic.is::<Planned>());
        }
    }
    thread.map(JoinHandle::join).transpose().unwrap();
}

/// Two threads that produce, and a generator between them and a sender into a rendezvous; a receiver at its end.
fn chained(census: &Census) -> (usize, usize) {
    let (tx, rx) = rendezvous::<Item>();
    let counts = [below(4), below(4)];
    let consumers = counts.map(|items| {
        let (tx, census) = (tx.clone(), census.clone());
        thread::spawn(move || {
            let routine_census = census.clone();
            let mut produced =
                produce(move |server| _ = send_blocking(server, items, &routine_census));
            // An iterator of a thread, asked by a generator, asked by a task.
            let mut generator = generate(|mut server| async move {
                for item in produced.by_ref() {
                    if server.send(item).await.is_err() {
                        return;
                    }
                }
            });
            if one_in(2) {
                assert!(tx.send_all(generator.by_ref()).wait().is_ok());
            } else {
                block_on(async {
                    let mut generator = generator.into_stream();
                    while let Some(item) = generator.next().await {
                        assert!(tx.send(item).await.is_ok());
                    }
                });
            }
        })
    });
    drop(tx);
    let mut came = 0;
    let mut receive = |result: Result<Item, handover::RecvError>| {
        came += usize::from(result.is_ok());
        !result.is_err_and(|error| error.is_end())
    };
    while block_on(async {
        match drive(rx.recv(), Way::any()).await {
            Driven::Done(result) => receive(result),
            _ => true,
        }
    }) {}
    consumers.into_iter().for_each(|consumer| consumer.join().unwrap());
    let all = counts.iter().sum();
    assert_eq!(came, all);
    (all, came)
}

/// A generator that waits for another thread: its consumer is woken by that.
fn generator_that_waits(census: &Census) {
    let (tx, rx) = rendezvous::<Item>();
    let items = below(4);
    let sender_census = census.clone();
    let sender = thread::spawn(move || {
        (0..items).all(|number| tx.send(sender_census.item(0, number)).wait().is_ok())
    });
    let fails = one_in(2);
    let mut generator = try_generate(|mut server| async move {
        while let Ok(item) = rx.recv().await {
            if server.send(item).await.is_err() {
                return Ok(());
            }
        }
        if fails { Err("failed") } else { Ok(()) }
    });
    let (taken, has_failed) = if one_in(2) {
        take(generator.by_ref(), usize::MAX)
    } else {
        let mut items = Vec::new();
        block_on(async {
            let mut generator = generator.into_stream();
            while let Some(item) = generator.next().await {
                items.push(item);
            }
        });
        take(items.into_iter(), usize::MAX)
    };
    assert_eq!((taken, has_failed), (items, fails));
    assert!(sender.join().unwrap());
}

pub(crate) fn run() {
    let census = Census::default();
    let (all, came) = chained(&census);
    if one_in(2) {
        on_pool(&census);
    } else {
        generator_that_waits(&census);
        let mut thread = None;
        let produced = produce_on(
            |job| thread = Some(thread::spawn(job)),
            |server| _ = server.send_all([1, 2]).wait(),
        );
        drop(produced); // In the middle, or before it has begun.
        thread.map(JoinHandle::join).transpose().unwrap();
    }
    census.assert_empty();
    tally(all, came);
}
