//! Producers that fail, that are run by a pool, and whose server goes to somebody else.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Mutex;
use std::task::Poll;

use crate::support::thread;
use crate::support::*;
use futures_core::Stream;
use futures_lite::{StreamExt, future::block_on};
use handover::{Server, Why, generate, produce_on, try_generate, try_produce, try_produce_on};
use std::pin::Pin;
use std::task::{Context, Waker};

type Item = Result<u8, &'static str>;

const ALL: [Item; 2] = [Ok(1), Err("bad")];

fn spawn(job: Box<dyn FnOnce() + Send>) {
    thread::spawn(job);
}

fn fails(server: &mut Server<u8>) -> Result<(), &'static str> {
    _ = server.send(1).wait();
    Err("bad")
}

async fn fails_async(mut server: Server<u8>) -> Result<(), &'static str> {
    _ = server.send(1).await;
    Err("bad")
}

macro_rules! the_error_is_the_last_item {
    ($($name:ident: $make:expr;)+) => {$(
        #[test]
        fn $name() {
            let _watchdog = Watchdog::new();
            let mut items = $make;
            assert_eq!(items.by_ref().collect::<Vec<_>>(), ALL);
            assert_eq!((items.next(), items.end()), (None, Some(Why::Closed)));
            assert_eq!($make.checked().map(Result::unwrap).collect::<Vec<_>>(), ALL);
            let mut stream = $make.into_stream();
            assert_eq!(block_on((&mut stream).collect::<Vec<_>>()), ALL);
            assert_eq!((block_on(stream.next()), stream.end()), (None, Some(Why::Closed)));
            assert_eq!(block_on($make.into_stream().checked().map(Result::unwrap).collect::<Vec<_>>()), ALL);
        }
    )+};
}

the_error_is_the_last_item! {
    the_error_of_a_thread_is_its_last_item: try_produce(fails);
    the_error_of_a_job_is_its_last_item: try_produce_on(spawn, fails);
    the_error_of_a_routine_is_its_last_item: try_generate(fails_async);
}

#[test]
fn join_closes_and_tells_of_the_error_or_the_panic() {
    let _watchdog = Watchdog::new();
    let mut endless = produce_on(spawn, |server| _ = server.send_all(0_u8..).wait());
    assert_eq!(endless.next(), Some(0));
    assert!(endless.join().is_ok());
    let mut failing =
        try_produce_on(spawn, |server| server.send_all(0_u8..).wait().map_err(|error| error.why()));
    assert_eq!(failing.next(), Some(Ok(0)));
    assert_eq!(failing.join().unwrap(), Err(Why::Closed));
    let panicking = produce_on(spawn, |_: &mut Server<u8>| quiet_panic());
    assert!(panicking.join().is_err());
    let mut panicking = produce_on(spawn, |_: &mut Server<u8>| quiet_panic());
    assert!(panics(|| panicking.next()), "a panic of the job goes on in the consumer");
}

#[test]
fn a_job_that_its_pool_drops_ends_as_dropped() {
    let _watchdog = Watchdog::new();
    let mut items = produce_on(drop, |server| _ = server.send(1).wait());
    assert_eq!((items.next(), items.end()), (None, Some(Why::Dropped)));
    assert!(panics(|| produce_on(|_| quiet_panic(), |server| _ = server.send(1).wait())));
}

/// A generator whose routine has passed its server on, and returned.
fn passed_on() -> (Rc<RefCell<Option<Server<u8>>>>, impl Stream<Item = u8> + Unpin) {
    let passed = Rc::new(RefCell::new(None));
    let given = Rc::clone(&passed);
    let stream = generate(move |server| {
        *given.borrow_mut() = Some(server);
        async {}
    });
    (passed, stream.into_stream())
}

fn poll_next<S: Stream + Unpin>(stream: &mut S, waker: &Waker) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(waker))
}

/// The routine runs in the task of its consumer; its server may be in another future of that task.
#[test]
fn a_future_of_the_same_task_that_has_the_server_is_woken_when_the_generator_is_dropped() {
    let (passed, mut stream) = passed_on();
    let (bell, waker) = Bell::new();
    assert!(poll_next(&mut stream, &waker).is_pending());
    let mut server = passed.borrow_mut().take().unwrap();
    let mut send = server.send(1);
    pend_with(&mut send, &waker);
    assert_eq!(poll_next(&mut stream, &waker), Poll::Ready(Some(1)));
    pend_with(&mut send, &waker);
    bell.rings();
    drop(stream);
    assert!(bell.rings() > 0);
    assert!(ready(&mut send).is_err());
}

#[test]
fn an_answer_of_a_routine_is_told_to_its_task() {
    let (bell, waker) = Bell::new();
    let mut stream = generate(async |mut server: Server<u8>| {
        _ = server.answer(1).await;
        _ = server.closed().await;
    })
    .into_stream();
    assert_eq!(poll_next(&mut stream, &waker), Poll::Ready(Some(1)));
    assert!(bell.rings() > 0, "the routine goes on before the next demand");
}

#[test]
fn a_server_that_was_passed_on_ends_the_items_as_it_says() {
    let given = Mutex::new(None);
    let mut items = generate(|server: Server<u8>| {
        *given.lock().unwrap() = Some(server);
        async {}
    });
    thread::scope(|scope| {
        let items = &mut items;
        let asked = scope.spawn(|| given.lock().unwrap().take().map(drop));
        _ = asked.join().unwrap();
        assert_eq!(items.next(), None);
    });
    assert_eq!(items.end(), Some(Why::Dropped));
}

/// A thread that has driven a generator may block on the server that was passed to it.
#[test]
fn a_thread_blocks_on_a_server_that_it_does_not_drive_any_more() {
    let _watchdog = Watchdog::new();
    let (give, given) = std::sync::mpsc::channel();
    let mut stream = generate(move |server: Server<u8>| {
        give.send(server).unwrap();
        async {}
    })
    .into_stream();
    assert!(poll_next(&mut stream, Waker::noop()).is_pending());
    let mut server = given.recv().unwrap();
    let consumer = thread::spawn(move || {
        let_them_park();
        block_on(stream.next())
    });
    assert!(server.answer(7).wait().is_ok());
    assert_eq!(consumer.join().unwrap(), Some(7));
}

#[test]
fn a_nested_generator_that_blocks_on_the_outer_server_says_so() {
    let _watchdog = Watchdog::new();
    let mut outer = generate(async |mut server: Server<u8>| {
        let inner = generate(async |mut inner: Server<u8>| {
            _ = inner.send(1).await;
            _ = server.send(2).wait();
        });
        inner.for_each(drop);
    });
    assert!(panic_text(|| outer.next()).contains("drives its generator"));
}
