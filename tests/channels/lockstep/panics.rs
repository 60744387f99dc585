//! Wakers and iterators that panic.

#![allow(clippy::type_complexity)]

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use crate::support::*;
use handover::{Why, duplex, simplex};

#[test]
fn a_waker_that_panics_loses_no_item_that_is_put() {
    let _watchdog = Watchdog::new();
    for keep in [false, true] {
        let census = Census::new();
        let hook = Hook::new();
        let (mut server, mut client) = simplex();
        let mut recv = client.recv();
        pend_with(&mut recv, &hook.waker());
        hook.set_panic(Moment::Wake);
        let mut send = server.send(census.make());
        assert!(panics(|| poll_once(&mut send)));
        census.assert_alive(1);
        if keep {
            assert_eq!(ready(&mut recv).unwrap().id, 0);
            drop(recv);
            pend(&mut client.recv());
            assert!(ready(&mut send).is_ok());
        } else {
            assert_eq!(send.reclaim().unwrap().id, 0);
            pend(&mut recv);
            server.finish_with(census.make()).unwrap();
            assert_eq!(ready(&mut recv).unwrap().id, 1);
        }
        census.assert_settled();
    }
}

#[test]
fn a_destructor_of_a_waker_leaks_no_item_that_finish_with_gives_back() {
    let census = Census::new();
    let (mut server, client) = simplex();
    let hook = Hook::new();
    pend_with(&mut server.demand(), &hook.waker());
    drop(client);
    hook.set_panic(Moment::Drop);
    assert!(panics(|| server.finish_with(census.make())));
    census.assert_settled();
}

#[test]
fn a_demand_that_panics_when_it_is_dropped_loses_no_last_item() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            quiet_panic();
        }
    }
    let (server, mut client) = duplex::<_, Bomb>();
    server.finish_with(9).unwrap();
    assert_eq!(client.exchange(Bomb).wait().unwrap(), 9);
}

#[test]
fn a_waker_that_panics_loses_no_item_of_a_thread() {
    let _watchdog = Watchdog::new();
    for forever in [false, true] {
        let census = Census::new();
        let hook = Hook::new();
        let (mut server, mut client) = simplex();
        let mut recv = client.recv();
        pend_with(&mut recv, &hook.waker());
        hook.set_panic(Moment::Wake);
        let item = census.make();
        assert!(panics(|| {
            let send = server.send(item);
            if forever { send.wait() } else { send.wait_timeout(Duration::from_secs(3600)) }
        }));
        // The item is on offer, or it was dropped with the operation; never both.
        let stands = match poll_once(&mut recv) {
            Poll::Ready(item) => item.unwrap() == 0,
            Poll::Pending => false,
        };
        drop(recv);
        census.assert_alive(0);
        if stands {
            assert!(client.recv().now().unwrap_err().is_not_ready());
        }
        server.finish_with(census.make()).unwrap();
        assert_eq!(client.recv().now().unwrap().id, 1);
        assert_eq!(client.recv().now().unwrap_err().why(), Why::Closed);
        census.assert_settled();
    }
}

#[test]
fn a_waker_that_panics_loses_no_demand() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let hook = Hook::new();
    let (mut server, mut client) = duplex::<u8, Counted>();
    let mut demand = server.demand();
    pend_with(&mut demand, &hook.waker());
    hook.set_panic(Moment::Wake);
    let mut ask = client.exchange(census.make());
    assert!(panics(|| poll_once(&mut ask)));
    census.assert_alive(1);
    assert_eq!(ready(&mut demand).unwrap().id, 0);
    drop(demand);
    let mut exchange = server.exchange(1);
    pend(&mut exchange);
    assert_eq!(ready(&mut ask).unwrap(), 1);
    drop((ask, exchange));
    census.assert_settled();

    let (mut server, mut client) = simplex::<u8>();
    let mut send = server.send(1);
    pend_with(&mut send, &hook.waker());
    hook.set_panic(Moment::Wake);
    let mut recv = client.recv();
    assert!(panics(|| poll_once(&mut recv)));
    pend(&mut recv);
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok(1));
}

#[test]
fn a_waker_that_panics_does_not_keep_an_end_from_leaving() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    pend_with(&mut recv, &hook.waker());
    hook.set_panic(Moment::Wake);
    assert!(panics(|| drop(server)));
    assert_eq!(ready(&mut recv).unwrap_err().why(), Why::Dropped);

    let (server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    pend_with(&mut recv, &hook.waker());
    hook.set_panic(Moment::Wake);
    assert!(panics(|| server.finish()));
    assert_eq!(ready(&mut recv).unwrap_err().why(), Why::Closed);

    let (server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    pend_with(&mut recv, &hook.waker());
    hook.set_panic(Moment::Wake);
    assert!(panics(|| server.finish_with(1)));
    assert_eq!(ready(&mut recv), Ok(1));
    drop(recv);
    assert!(client.recv().now().unwrap_err().is_end());

    let (mut server, client) = simplex::<u8>();
    let mut send = server.send(1);
    pend_with(&mut send, &hook.waker());
    hook.set_panic(Moment::Wake);
    assert!(panics(|| client.close()));
    let error = ready(&mut send).unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(1)));
}

/// Polls with a waker whose clone panics, which must change nothing.
#[track_caller]
fn clone_panics<F: Future + Unpin>(future: &mut F) {
    let hook = Hook::new();
    hook.set_panic(Moment::Clone);
    let waker = hook.waker();
    assert!(panics(|| poll_with(future, &waker)), "the waker was not cloned");
}

#[test]
fn a_waker_whose_clone_panics_changes_nothing_for_a_demand() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    let mut demand = server.demand();
    clone_panics(&mut demand);
    let (bell, waker) = Bell::new();
    pend_with(&mut demand, &waker);
    let mut ask = client.exchange(1);
    pend(&mut ask);
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut demand), Ok(1));
}

#[test]
fn a_waker_whose_clone_panics_changes_nothing_for_an_exchange() {
    let _watchdog = Watchdog::new();
    for reclaim in [false, true] {
        let (mut server, mut client) = simplex();
        let mut recv = client.recv();
        pend(&mut recv);
        server.demand().now().unwrap();
        let mut send = server.send(1);
        clone_panics(&mut send);
        pend(&mut recv);
        if reclaim {
            assert_eq!(send.reclaim(), Some(1));
        } else {
            pend(&mut send);
            assert_eq!(ready(&mut recv), Ok(1));
        }
    }
}

#[test]
fn a_waker_whose_clone_panics_changes_nothing_for_a_write() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    let mut recv = client.recv();
    let mut write = server.send_all([1, 2]);
    clone_panics(&mut write);
    pend(&mut recv);
    clone_panics(&mut write);
    pend(&mut write);
    assert_eq!(ready(&mut recv), Ok(1));
}

#[test]
fn a_waker_whose_clone_panics_changes_nothing_for_an_ask() {
    let _watchdog = Watchdog::new();
    for reclaim in [false, true] {
        let (mut server, mut client) = duplex::<u8, u8>();
        let mut ask = client.exchange(1);
        clone_panics(&mut ask);
        assert!(server.demand().now().unwrap_err().is_not_ready());
        if reclaim {
            assert_eq!(ask.reclaim(), Some(1));
        } else {
            pend(&mut ask);
            assert_eq!(server.demand().now(), Ok(1));
        }
    }
}

#[test]
fn a_waker_whose_clone_panics_changes_nothing_for_a_receive() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    clone_panics(&mut recv);
    pend(&mut recv);
    assert_eq!(server.demand().now(), Ok(()));
    clone_panics(&mut recv);
    server.finish_with(1).unwrap();
    assert_eq!(ready(&mut recv), Ok(1));
}

#[test]
fn a_waker_whose_drop_panics_keeps_no_step_from_waking_the_newer_one() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (bell, waker) = Bell::new();
    let (mut server, mut client) = simplex();
    let mut recv = client.recv();
    pend_with(&mut recv, &hook.waker());
    // The server gets the first waker, then the second one, and drops the first one then.
    pend(&mut server.send(0));
    pend_with(&mut recv, &waker);
    hook.set_panic(Moment::Drop);
    let mut send = server.send(1);
    assert!(panics(|| poll_once(&mut send)), "the old waker was not dropped");
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut recv), Ok(1));
}

#[test]
fn a_waker_whose_drop_panics_keeps_no_end_from_waking_its_peer() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (bell, waker) = Bell::new();
    let (mut server, mut client) = simplex::<u8>();
    pend_with(&mut server.demand(), &hook.waker());
    let mut recv = client.recv();
    pend_with(&mut recv, &waker);
    // The server drops its own waker when it leaves.
    hook.set_panic(Moment::Drop);
    assert!(panics(|| drop(server)), "its waker was not dropped");
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut recv).unwrap_err().why(), Why::Dropped);
}

#[test]
fn a_waker_whose_drop_panics_changes_nothing_for_its_own_end() {
    let _watchdog = Watchdog::new();
    let hook = Hook::new();
    let (bell, waker) = Bell::new();
    let (mut server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    pend_with(&mut recv, &hook.waker());
    hook.set_panic(Moment::Drop);
    assert!(panics(|| poll_with(&mut recv, &waker)), "the old waker was not dropped");
    pend_with(&mut recv, &waker);
    pend(&mut server.send(0));
    assert_eq!(bell.rings(), 1);
}

#[test]
fn a_write_in_which_the_iterator_panics_leaves_a_whole_end() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    let mut write = server.send_all((0..3).inspect(|&n| {
        if n == 1 {
            quiet_panic()
        }
    }));
    pend(&mut write);
    assert_eq!(client.recv().now(), Ok(0));
    pend(&mut client.recv());
    assert!(panics(|| poll_once(&mut write)));
    drop(write);
    assert_eq!(client.end(), None);
    server.finish_with(9).unwrap();
    assert_eq!(client.recv().now(), Ok(9));
}

/// Its destructor panics.
struct Loud;

impl Drop for Loud {
    fn drop(&mut self) {
        quiet_panic();
    }
}

#[test]
fn a_demand_whose_destructor_panics_does_not_take_the_last_item_along() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (server, mut client) = duplex();
    server.finish_with(census.make()).unwrap();
    let mut ask = client.exchange(Loud);
    assert_eq!(ready(&mut ask).ok().unwrap(), 0);
    drop(ask);
    assert_eq!(client.end(), None);
    assert_eq!(client.owed().now().unwrap_err().why(), Why::Closed);
    census.assert_settled();
}

#[test]
fn a_waker_whose_drop_panics_does_not_leak_the_item_that_comes_back() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let hook = Hook::new();
    let (mut server, client) = simplex();
    pend_with(&mut server.demand(), &hook.waker());
    drop(client);
    hook.set_panic(Moment::Drop);
    let item = census.make();
    assert!(panics(|| server.finish_with(item)), "its waker was not dropped");
    census.assert_settled();
}
