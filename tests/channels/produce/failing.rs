//! Routines that fail: by an error, by a panic, or since their pool never ran them.

use std::cell::RefCell;
use std::sync::{Arc, Barrier, mpsc};

use super::message;
use crate::support::thread;
use crate::support::*;
use futures_core::FusedStream;
use futures_lite::StreamExt;
use futures_lite::future::{block_on, yield_now};
use handover::{
    Server, Why, generate, produce, produce_on, try_generate, try_produce, try_produce_on,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

type Job = Box<dyn FnOnce() + Send>;

fn fails(server: &mut Server<u8>) -> Result<(), &'static str> {
    server.send(1).wait().map_err(|_| "no consumer")?;
    server.send(2).wait().map_err(|_| "no consumer")?;
    Err("the disk is full")
}

const TOLD: [Result<u8, &str>; 3] = [Ok(1), Ok(2), Err("the disk is full")];

fn on_a_thread(job: Job) {
    thread::spawn(job);
}

#[test]
fn an_error_of_a_routine_comes_last_and_once_in_every_form() {
    let _dog = Watchdog::new();
    let mut items = try_produce(fails);
    assert!(items.by_ref().eq(TOLD));
    assert_eq!((items.next(), items.end()), (None, Some(Why::Closed)));
    let mut items = try_produce_on(on_a_thread, fails);
    assert!(items.by_ref().eq(TOLD));
    assert_eq!((items.next(), items.end()), (None, Some(Why::Closed)));
    let routine = |mut server: Server<u8>| async move {
        server.send(1).await.map_err(|_| "no consumer")?;
        yield_now().await;
        server.send(2).await.map_err(|_| "no consumer")?;
        Err("the disk is full")
    };
    let mut items = try_generate(routine);
    assert!(items.by_ref().eq(TOLD));
    assert_eq!((items.next(), items.end()), (None, Some(Why::Closed)));

    block_on(async {
        let mut items = try_produce(fails).into_stream();
        assert!(!items.is_terminated());
        assert_eq!((&mut items).collect::<Vec<_>>().await, TOLD);
        assert!(items.is_terminated());
        let items = try_produce_on(on_a_thread, fails).into_stream();
        assert_eq!(items.collect::<Vec<_>>().await, TOLD);
        let mut items = try_generate(routine).into_stream();
        assert_eq!((&mut items).collect::<Vec<_>>().await, TOLD);
        assert!(items.is_terminated());
        assert_eq!((items.next().await, items.end()), (None, Some(Why::Closed)));
    });
}

#[test]
fn a_routine_that_returns_ok_ends_closed() {
    let _dog = Watchdog::new();
    let mut items = try_generate(|mut server| async move {
        _ = server.send(1).await;
        Ok::<_, ()>(())
    });
    assert!(items.by_ref().eq([Ok(1)]));
    assert_eq!(items.end(), Some(Why::Closed));
    let mut items = try_produce(|server| server.send_all(0..3).wait().map_err(|error| error.why()));
    assert!(items.by_ref().eq([Ok(0), Ok(1), Ok(2)]));
    assert_eq!(items.end(), Some(Why::Closed));
}

#[test]
fn checked_forms_of_a_failing_routine_tell_its_error_and_no_other() {
    let _dog = Watchdog::new();
    #[derive(Debug, PartialEq)]
    enum Error {
        Disk,
        Channel(Why),
    }
    impl From<Why> for Error {
        fn from(why: Why) -> Self {
            Error::Channel(why)
        }
    }
    let fails = |server: &mut Server<u8>| {
        _ = server.send(1).wait();
        Err(Error::Disk)
    };
    assert!(try_produce(fails).checked_results().eq([Ok(1), Err(Error::Disk)]));
    assert!(try_produce(fails).checked().eq([Ok(Ok(1)), Ok(Err(Error::Disk))]));
    let unrun = try_produce_on(drop, fails);
    assert!(unrun.checked_results().eq([Err(Error::Channel(Why::Dropped))]));
}

#[test]
fn an_error_after_the_server_was_given_up_still_comes() {
    let _dog = Watchdog::new();
    let routine = |mut server: Server<u8>| async move {
        _ = server.answer(1).await;
        server.finish();
        yield_now().await; // tidies up, which fails
        Err("not tidy")
    };
    assert!(try_generate(routine).eq([Ok(1), Err("not tidy")]));
    let items = try_generate(routine).into_stream();
    assert_eq!(block_on(items.collect::<Vec<_>>()), [Ok(1), Err("not tidy")]);
}

#[test]
fn a_job_that_the_pool_drops_unrun_ends_the_sequence_as_dropped() {
    let _dog = Watchdog::new();
    let send = |server: &mut Server<u8>| _ = server.send(1).wait();
    let mut items = produce_on(drop, send);
    assert_eq!((items.next(), items.end()), (None, Some(Why::Dropped)));
    assert!(produce_on(drop, send).join().is_ok());
    let items = try_produce_on(drop, fails);
    assert!(items.join().unwrap().is_ok());

    // Later, while the consumer waits.
    let (jobs, queue) = mpsc::channel::<Job>();
    let items = produce_on(|job| jobs.send(job).unwrap(), send);
    let waiting = thread::spawn(move || items.checked().collect::<Vec<_>>());
    let_them_park();
    drop(queue);
    assert_eq!(waiting.join().unwrap(), [Err(Why::Dropped)]);
}

#[test]
fn a_panic_on_a_pool_is_raised_again_in_the_consumer_and_not_in_the_pool() {
    let _dog = Watchdog::new();
    let (jobs, queue) = mpsc::channel::<Job>();
    let pool = thread::spawn(move || queue.into_iter().map(|job| job()).count());
    let spawn = |job| jobs.send(job).unwrap();
    let fails = |server: &mut Server<u8>| {
        _ = server.send(1).wait();
        panic!("the disk is gone");
    };
    let mut items = produce_on(spawn, fails);
    assert_eq!(items.next(), Some(1));
    let panic = catch_unwind(AssertUnwindSafe(|| items.next())).unwrap_err();
    assert_eq!(message(&*panic), "the disk is gone");
    assert_eq!((items.next(), items.end()), (None, Some(Why::Panicked)));

    let mut items = produce_on(spawn, fails).checked();
    assert_eq!(items.next(), Some(Ok(1)));
    let panic = catch_unwind(AssertUnwindSafe(|| items.next())).unwrap_err();
    assert_eq!(message(&*panic), "the disk is gone");
    assert_eq!((items.next(), items.next()), (Some(Err(Why::Panicked)), None));

    let mut items = try_produce_on(spawn, |server| -> Result<(), ()> {
        _ = server.send(1).wait();
        panic!("the disk is gone");
    })
    .into_stream();
    assert_eq!(block_on(items.next()), Some(Ok(1)));
    let panic = catch_unwind(AssertUnwindSafe(|| block_on(items.next()))).unwrap_err();
    assert_eq!(message(&*panic), "the disk is gone");
    assert_eq!(block_on(items.next()), None);

    let mut items = produce_on(spawn, fails);
    assert_eq!(items.next(), Some(1));
    assert_eq!(message(&*items.join().unwrap_err()), "the disk is gone");

    drop(jobs);
    assert_eq!(pool.join().unwrap(), 4, "the pool goes on after each panic");
}

#[test]
fn join_waits_for_the_job_on_the_pool() {
    let _dog = Watchdog::new();
    let barrier = Arc::new(Barrier::new(2));
    let (done, told) = mpsc::channel();
    let inner = Arc::clone(&barrier);
    let items = produce_on(on_a_thread, move |server: &mut Server<u8>| {
        assert!(server.closed().wait().is_ok_and(|why| why == Why::Closed));
        inner.wait();
        done.send(()).unwrap();
    });
    let joining = thread::spawn(move || items.join().is_ok());
    assert!(told.try_recv().is_err());
    barrier.wait();
    assert!(joining.join().unwrap());
    told.try_recv().expect("the job was done before join returned");

    let mut items = try_produce_on(on_a_thread, |server| {
        loop {
            if let Err(error) = server.send(1).wait() {
                return Err::<(), _>(error.why());
            }
        }
    });
    assert_eq!(items.next(), Some(Ok(1)));
    assert_eq!(items.join().unwrap(), Err(Why::Closed));
    assert_eq!(try_produce(fails).join().unwrap(), Err("no consumer"));
}

#[test]
fn a_dropped_sequence_tells_the_routine_that_its_consumer_is_gone() {
    let _dog = Watchdog::new();
    let (told, ends) = mpsc::channel();
    let routine = |told: mpsc::Sender<Why>| {
        move |server: &mut Server<u8>| {
            while server.send(0).wait().is_ok() {}
            told.send(server.closed().wait().unwrap()).unwrap();
        }
    };
    let mut items = produce(routine(told.clone()));
    assert_eq!(items.next(), Some(0));
    drop(items);
    assert_eq!(ends.recv(), Ok(Why::Dropped));
    let mut items = produce_on(on_a_thread, routine(told)).into_stream();
    assert_eq!(block_on(items.next()), Some(0));
    drop(items);
    assert_eq!(ends.recv(), Ok(Why::Dropped));
}

#[test]
fn a_consumer_s_waker_that_panics_does_not_reach_the_pool() {
    let _dog = Watchdog::new();
    let queue = RefCell::new(Vec::<Job>::new());
    let items = produce_on(|job| queue.borrow_mut().push(job), |_: &mut Server<u8>| {});
    let mut items = items.into_stream();
    let hook = Hook::new();
    let mut next = items.next();
    pend_with(&mut next, &hook.waker());
    hook.set_panic(Moment::Wake);
    let job = queue.borrow_mut().pop().unwrap();
    job();
    assert!(!hook.is_set(Moment::Wake));
    assert_eq!(ready(&mut next), None);
    assert_eq!(items.end(), Some(Why::Closed));
}

#[test]
fn a_panic_of_a_generator_is_raised_by_checked_once_and_then_told() {
    let _dog = Watchdog::new();
    let mut items = generate(|mut server: Server<u8>| async move {
        _ = server.send(1).await;
        panic!("no more memory");
    })
    .checked();
    assert_eq!(items.next(), Some(Ok(1)));
    let panic = catch_unwind(AssertUnwindSafe(|| items.next())).unwrap_err();
    assert_eq!(message(&*panic), "no more memory");
    assert_eq!((items.next(), items.next()), (Some(Err(Why::Panicked)), None));
}

#[test]
fn a_server_that_a_routine_gave_to_another_party_ends_as_that_party_says() {
    let _dog = Watchdog::new();
    for finish in [true, false] {
        let mut items = generate(|server: Server<u8>| async move {
            thread::spawn(move || {
                let mut server = server;
                _ = server.answer(1).wait();
                if finish {
                    server.finish();
                }
            });
        });
        assert!(items.by_ref().eq([1]));
        assert_eq!(items.end(), Some(if finish { Why::Closed } else { Why::Dropped }));
    }
}
