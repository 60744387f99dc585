//! Wakers that use the channel while it wakes, clones or drops them.

#![allow(clippy::type_complexity)]

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::support::*;
use handover::{Why, duplex, simplex};

#[test]
fn a_waker_may_receive_while_the_item_is_being_put() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, client) = simplex();
    let hook = Hook::new();
    let stream = Arc::new(Mutex::new(client.into_stream()));
    let got = Arc::new(Mutex::new(Vec::new()));
    assert!(next_with(&mut stream.lock().unwrap(), &hook.waker()).is_pending());
    {
        let (stream, got, hook2) = (Arc::clone(&stream), Arc::clone(&got), Arc::clone(&hook));
        hook.set(Moment::Wake, move || {
            // The waker takes the item and asks for the next one, before the poll of `send` is over.
            let mut stream = stream.lock().unwrap();
            while let Poll::Ready(Some(item)) = next_with(&mut stream, &hook2.waker()) {
                got.lock().unwrap().push(item);
            }
        });
    }
    let (bell, waker) = Bell::new();
    let mut send = server.send(census.make());
    match poll_with(&mut send, &waker) {
        Poll::Ready(sent) => assert!(sent.is_ok()),
        Poll::Pending => {
            assert_eq!(bell.rings(), 1);
            assert!(ready(&mut send).is_ok());
        }
    }
    drop(send);
    assert_eq!(*got.lock().unwrap(), [0]);
    drop(server);
    got.lock().unwrap().clear();
    census.assert_settled();
}

#[test]
fn a_waker_may_drop_its_end() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let hook = Hook::new();
    // The client is dropped while an item is put.
    let (mut server, client) = simplex();
    let client = Arc::new(Mutex::new(Some(client.into_stream())));
    _ = next_with(client.lock().unwrap().as_mut().unwrap(), &hook.waker());
    hook.set(Moment::Wake, {
        let client = Arc::clone(&client);
        move || drop(client.lock().unwrap().take())
    });
    let mut send = server.send(census.make());
    let error = match poll_once(&mut send) {
        Poll::Ready(sent) => sent.unwrap_err(),
        Poll::Pending => ready(&mut send).unwrap_err(),
    };
    assert_eq!((error.why(), error.into_unsent().unwrap().id), (Why::Dropped, 0));
    drop(send);

    // The server is dropped while a demand is put.
    let (mut server, mut client) = duplex::<(), Counted>();
    let mut demand = server.demand();
    pend_with(&mut demand, &hook.waker());
    mem::forget(demand);
    let server = Mutex::new(Some(server));
    hook.set(Moment::Wake, move || drop(server.lock().unwrap().take()));
    let mut ask = client.exchange(census.make());
    let error = match poll_once(&mut ask) {
        Poll::Ready(asked) => asked.unwrap_err(),
        Poll::Pending => ready(&mut ask).unwrap_err(),
    };
    assert_eq!((error.why(), error.into_unsent().unwrap().id), (Why::Dropped, 1));
    drop(ask);
    census.assert_settled();
}

/// A task that is polled inside its waker's `wake`.
struct Inline {
    task: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    wakes: AtomicUsize,
}

impl Inline {
    fn run(task: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let inline =
            Arc::new(Self { task: Mutex::new(Some(Box::pin(task))), wakes: AtomicUsize::new(0) });
        Arc::clone(&inline).wake();
        inline
    }

    fn is_done(&self) -> bool {
        self.task.lock().unwrap().is_none()
    }
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        // A wake-up that finds the task running has it polled once more.
        if self.wakes.fetch_add(1, SeqCst) > 0 {
            return;
        }
        let waker = Waker::from(Arc::clone(&self));
        loop {
            let seen = self.wakes.load(SeqCst);
            let mut task = self.task.lock().unwrap();
            if let Some(future) = &mut *task
                && future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
            {
                *task = None;
            }
            drop(task);
            if self.wakes.fetch_sub(seen, SeqCst) == seen {
                return;
            }
        }
    }
}

#[test]
fn two_tasks_that_run_inside_each_others_wakes_hand_over_all() {
    let _watchdog = Watchdog::new();
    for server_first in [true, false] {
        let (mut server, mut client) = duplex::<u32, u32>();
        let produce = async move {
            let mut n = server.demand().await.unwrap();
            while let Ok(next) = server.exchange(n + 1).await {
                n = next;
            }
        };
        let consume = async move {
            let mut n = 0;
            while n < 500 {
                n = client.exchange(n).await.unwrap();
            }
            client.close();
        };
        let (a, b);
        if server_first {
            a = Inline::run(produce);
            b = Inline::run(consume);
        } else {
            b = Inline::run(consume);
            a = Inline::run(produce);
        }
        assert!(a.is_done() && b.is_done());
    }
}

#[test]
fn a_waker_may_use_the_other_end_while_it_is_cloned_or_dropped() {
    let _watchdog = Watchdog::new();
    for moment in [Moment::Clone, Moment::Drop] {
        let hook = Hook::new();
        let (server, mut client) = simplex();
        let server = Arc::new(Mutex::new(Some(server)));
        let finish = {
            let server = Arc::clone(&server);
            move || {
                let server = server.lock().unwrap().take().expect("called once");
                server.finish_with(1).unwrap();
            }
        };
        let mut recv = client.recv();
        if moment == Moment::Drop {
            // The waker is dropped when another one replaces it.
            pend_with(&mut recv, &hook.waker());
        }
        hook.set(moment, finish);
        let waker = if moment == Moment::Clone { hook.waker() } else { Waker::noop().clone() };
        let polled = poll_with(&mut recv, &waker);
        assert!(!hook.is_set(moment));
        let item = match polled {
            Poll::Ready(item) => item,
            Poll::Pending => ready(&mut recv),
        };
        assert_eq!(item, Ok(1));
    }
}

#[test]
fn a_waker_may_use_its_end_while_the_peer_drops_an_old_copy() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (newer, newer_waker) = Bell::new();
    let (newest, newest_waker) = Bell::new();
    let (mut server, client) = simplex();
    let stream = Arc::new(Mutex::new(client.into_stream()));
    let next = |waker: &Waker| next_with(&mut stream.lock().unwrap(), waker);
    // The server has a copy of the first waker, and drops it for the second one.
    assert!(next_with(&mut stream.lock().unwrap(), &hook.waker()).is_pending());
    assert!(server.send(0).now().is_err());
    assert!(next(&newer_waker).is_pending());
    hook.set(Moment::Drop, {
        let stream = Arc::clone(&stream);
        move || {
            let mut stream = stream.lock().unwrap();
            assert_eq!(next_with(&mut stream, &newest_waker), Poll::Ready(Some(1)));
            assert!(next_with(&mut stream, &newest_waker).is_pending());
        }
    });
    let mut send = server.send(1);
    _ = poll_once(&mut send).map(Result::unwrap);
    assert!(!hook.is_set(Moment::Drop));
    drop(send);
    newer.rings();
    let mut send = server.send(2);
    pend(&mut send);
    assert_eq!((newer.rings(), newest.rings()), (0, 1));
    assert_eq!(next(&newer_waker), Poll::Ready(Some(2)));
}

#[test]
fn a_put_survives_a_waker_whose_clone_ends_the_channel() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    // The server's waker is cloned after the server has seen the demand, and before it puts the item.
    let (mut server, client) = simplex();
    let hook = Hook::new();
    let client = Arc::new(Mutex::new(Some(client)));
    pend(&mut client.lock().unwrap().as_mut().unwrap().recv());
    server.demand().now().unwrap();
    hook.set(Moment::Clone, {
        let client = Arc::clone(&client);
        move || drop(client.lock().unwrap().take())
    });
    let mut send = server.send(census.make());
    let error = match poll_with(&mut send, &hook.waker()) {
        Poll::Ready(sent) => sent.unwrap_err(),
        Poll::Pending => ready(&mut send).unwrap_err(),
    };
    assert_eq!(error.into_unsent().unwrap().id, 0);
    drop(send);

    let (server, mut client) = duplex::<(), Counted>();
    hook.set(Moment::Clone, move || drop(server));
    let mut ask = client.exchange(census.make());
    let error = match poll_with(&mut ask, &hook.waker()) {
        Poll::Ready(asked) => asked.unwrap_err(),
        Poll::Pending => ready(&mut ask).unwrap_err(),
    };
    assert_eq!(error.into_unsent().unwrap().id, 1);
    drop(ask);
    census.assert_settled();
}
