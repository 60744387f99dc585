//! Generators that block, and generators that never let go.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::support::thread;
use crate::support::*;
use futures_lite::StreamExt;
use futures_lite::future::block_on;
use handover::{Sel2, Server, generate, rendezvous, select, simplex, try_generate};

#[track_caller]
fn assert_says_so(f: impl FnOnce()) {
    let text = panic_text(f);
    assert!(text.contains("generator") && text.contains(".await"), "{text}");
}

#[test]
fn a_routine_that_blocks_on_its_own_server_panics_and_says_so() {
    let _dog = Watchdog::new();
    assert_says_so(|| {
        let mut items = generate(|mut server| async move { _ = server.send(1).wait() });
        _ = items.next();
        _ = items.next();
    });
    assert_says_so(|| {
        let items = generate(|mut server| async move { _ = server.send_all(0..3).wait() });
        _ = items.count();
    });
    assert_says_so(|| {
        let mut items = generate(|mut server| async move { _ = server.answer(1).wait() });
        _ = items.next();
    });
    assert_says_so(|| {
        let items = try_generate(|mut server: Server<u8>| async move {
            server.send(1).await.map_err(|error| error.why())?;
            server.send(2).wait().map_err(|error| error.why())
        });
        _ = block_on(items.into_stream().collect::<Vec<_>>());
    });
}

#[test]
fn a_routine_that_waits_for_its_consumer_to_leave_by_blocking_panics_and_says_so() {
    let _dog = Watchdog::new();
    assert_says_so(|| {
        let mut items = generate(|mut server: Server<u8>| async move {
            _ = server.closed().wait();
        });
        _ = items.next();
    });
}

#[test]
fn a_routine_that_blocks_on_a_select_of_its_own_server_alone_panics_and_says_so() {
    let _dog = Watchdog::new();
    assert_says_so(|| {
        let mut items = generate(|mut server| async move {
            _ = select(vec![server.send(1)]).wait();
        });
        _ = items.next();
        _ = items.next();
    });
    assert_says_so(|| {
        let mut items = generate(|mut server: Server<u8>| async move {
            _ = select([server.closed()]).wait();
        });
        _ = items.next();
    });
    // Another thread may make the other arm happen.
    let (tx, rx) = rendezvous();
    let helper = thread::spawn(move || tx.send(7).wait());
    let mut items = generate(|mut server| async move {
        let choice = select((server.closed(), rx.recv())).wait();
        _ = server.send(choice).await;
    });
    assert!(matches!(items.next(), Some(Sel2::B(Ok(7)))));
    assert!(helper.join().unwrap().is_ok());
    // No arm is nobody's fault: it waits for ever, as it says.
    assert!(
        select(Vec::<handover::op::Take<'_, u8>>::new()).wait_timeout(Duration::ZERO).is_none()
    );
}

#[test]
fn a_nested_routine_that_blocks_on_the_outer_server_panics_and_says_so() {
    let _dog = Watchdog::new();
    assert_says_so(|| {
        let mut outer = generate(|mut outer: Server<u8>| async move {
            let inner = generate(|mut inner: Server<u8>| async move {
                _ = inner.send(1).await;
                _ = outer.send(1).wait();
                _ = outer.send(2).wait();
            });
            _ = inner.into_stream().count().await;
        });
        _ = outer.next();
        _ = outer.next();
    });
}

#[test]
fn a_routine_may_block_with_a_deadline_and_on_other_channels() {
    let _dog = Watchdog::new();
    let (mut other, mut answers) = simplex();
    let helper = thread::spawn(move || other.send_all(0..3).wait().map(|()| other.finish()));
    let items = generate(|mut server| async move {
        let error = server.closed().wait_timeout(Duration::from_millis(1)).unwrap_err();
        assert!(error.is_timed_out());
        let error = server.send(9).wait_timeout(Duration::from_millis(1)).unwrap_err();
        assert!(error.is_timed_out());
        while let Ok(n) = answers.recv().wait() {
            _ = server.send(n).await;
        }
    });
    // The demand that was there took the item of the send that was given up on, or did not: a demand stands either way.
    let items: Vec<_> = items.collect();
    assert_eq!(items, [0, 1, 2]);
    helper.join().unwrap().unwrap();
}

#[test]
fn a_routine_may_block_on_the_server_of_another_channel() {
    let _dog = Watchdog::new();
    let (mut other, client) = simplex();
    let helper = thread::spawn(move || {
        let_them_park(); // Only a server that parks is looked at.
        client.into_iter().collect::<Vec<_>>()
    });
    let items = generate(|mut server| async move {
        other.send_all(0..3).wait().unwrap();
        other.finish();
        _ = server.send(4).await;
    });
    assert!(items.eq([4]));
    assert_eq!(helper.join().unwrap(), [0, 1, 2]);
}

#[test]
fn a_server_that_was_passed_to_another_thread_may_block_there() {
    let _dog = Watchdog::new();
    let items = generate(|mut server| async move {
        let (mut done, mut is_done) = simplex();
        thread::spawn(move || {
            server.send_all(0..100).wait().unwrap();
            server.finish();
            _ = done.answer(()).wait();
        });
        _ = is_done.recv().await;
    });
    assert!(items.eq(0..100));
}

#[test]
fn a_routine_that_panicked_for_blocking_leaves_its_thread_fit_for_others() {
    let _dog = Watchdog::new();
    for _ in 0..3 {
        let blocked = catch_unwind(AssertUnwindSafe(|| {
            generate(|mut server| async move { _ = server.send(1).wait() }).count()
        }));
        assert!(blocked.is_err());
        assert!(generate(|mut server| async move { _ = server.send_all(0..3).await }).eq(0..3));
        let (mut server, client) = simplex();
        let other = thread::spawn(move || client.into_iter().count());
        server.send_all(0..3).wait().unwrap();
        server.finish();
        assert_eq!(other.join().unwrap(), 3);
    }
}

/// The longest run of items without a `Pending`; each `Pending` must have woken.
fn longest_run<S: futures_core::Stream + Unpin>(mut stream: S, most: usize) -> usize {
    let (bell, waker) = Bell::new();
    let mut context = Context::from_waker(&waker);
    let (mut longest, mut run, mut items) = (0, 0, 0);
    while items < most {
        match std::pin::Pin::new(&mut stream).poll_next(&mut context) {
            Poll::Ready(Some(_)) => {
                (run, items) = (run + 1, items + 1);
                longest = longest.max(run);
                progress();
            }
            Poll::Ready(None) => break,
            Poll::Pending => {
                assert!(bell.rings() > 0, "it is pending, and wakes nobody");
                run = 0;
            }
        }
    }
    longest
}

#[test]
fn a_generator_s_stream_gives_its_executor_a_turn_at_least_every_128_items() {
    let _dog = Watchdog::new();
    let endless = |mut server: Server<u64>| async move { _ = server.send_all(0..).await };
    let by_one = |mut server: Server<u64>| async move { while server.send(1).await.is_ok() {} };
    let by_answers =
        |mut server: Server<u64>| async move { while server.answer(1).await.is_ok() {} };
    let fallible = |mut server: Server<u64>| async move {
        while server.send(1).await.is_ok() {}
        Ok::<_, ()>(())
    };
    for longest in [
        longest_run(generate(endless).into_stream(), 2_000),
        longest_run(generate(by_one).into_stream(), 2_000),
        longest_run(generate(by_answers).into_stream(), 2_000),
        longest_run(generate(by_one).into_stream().checked(), 2_000),
        longest_run(generate(by_one).checked().into_stream(), 2_000),
        longest_run(try_generate(fallible).into_stream(), 2_000),
    ] {
        assert!((1..=128).contains(&longest), "{longest}");
    }
}

#[test]
fn another_task_has_its_turn_beside_an_endless_generator() {
    let _dog = Watchdog::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (tx, rx) = rendezvous::<u8>();
        let items = generate(|mut server| async move { _ = server.send_all(0_u64..).await });
        let other = tokio::spawn(async move { tx.send(1).await });
        let mut stream = items.into_stream();
        let mut count = 0;
        loop {
            stream.next().await.unwrap();
            count += 1;
            if rx.recv().now().is_ok() {
                break;
            }
            assert!(count < 1_000, "the other task starves");
        }
        other.await.unwrap().unwrap();
    });
}
