//! `now`, deadlines and timeouts: what is told when the time is up.

#![allow(clippy::type_complexity)]

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::support::thread;
use crate::support::*;
use handover::{Why, duplex, simplex};

const SHORT: Duration = Duration::from_millis(1);

#[test]
fn now_tells_each_state_of_a_server() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    // The client does not ask.
    assert!(server.demand().now().unwrap_err().is_not_ready());
    let error = server.exchange(1).now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::NotReady, Some(1)));
    // A demand stands.
    let mut ask = client.exchange(7);
    pend(&mut ask);
    assert_eq!(server.demand().now(), Ok(7));
    // The demand is in hand.
    assert_eq!(server.demand().now().unwrap_err().why(), Why::OutOfTurn);
    let error = server.exchange(2).now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::NotReady, Some(2)));
    // An item on offer comes back.
    let mut exchange = server.exchange(3);
    pend(&mut exchange);
    let error = exchange.now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::NotReady, Some(3)));
    // The item was taken, the next demand has not come.
    let mut exchange = server.exchange(4);
    pend(&mut exchange);
    assert_eq!(ready(&mut ask).unwrap(), 4);
    drop(ask);
    let error = exchange.now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::NotReady, None));
    // The item was taken, and the next demand has come.
    let mut ask = client.exchange(8);
    pend(&mut ask);
    assert_eq!(server.demand().now(), Ok(8));
    let mut exchange = server.exchange(5);
    pend(&mut exchange);
    assert_eq!(ready(&mut ask).unwrap(), 5);
    drop(ask);
    let mut ask = client.exchange(9);
    pend(&mut ask);
    assert_eq!(exchange.now().unwrap(), 9);
    drop(ask);
    // The end.
    client.close();
    assert_eq!(server.demand().now().unwrap_err().why(), Why::Closed);
    assert_eq!(server.exchange(6).now().unwrap_err().into_unsent(), Some(6));
}

#[test]
fn now_tells_each_state_of_a_client() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    assert_eq!(client.owed().now().unwrap_err().why(), Why::OutOfTurn);
    let error = client.exchange(1).now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::NotReady, Some(1)));
    pend(&mut server.demand());
    // The demand was taken, but not answered.
    let mut ask = client.exchange(2);
    pend(&mut ask);
    assert_eq!(server.demand().now(), Ok(2));
    let error = ask.now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::NotReady, None));
    assert!(client.owed().now().unwrap_err().is_not_ready());
    // The demand was answered.
    pend(&mut server.exchange(3));
    assert!(client.owed().now().unwrap_err().is_not_ready()); // that one was withdrawn
    let mut exchange = server.exchange(4);
    pend(&mut exchange);
    assert_eq!(client.owed().now(), Ok(4));
    let mut ask = client.exchange(5);
    pend(&mut ask);
    assert_eq!(ready(&mut exchange).unwrap(), 5);
    drop(exchange);
    let mut exchange = server.exchange(6);
    pend(&mut exchange);
    assert_eq!(ask.now().unwrap(), 6);
    drop(exchange);
    server.finish();
    assert_eq!(client.exchange(7).now().unwrap_err().into_unsent(), Some(7));
    assert_eq!(client.owed().now().unwrap_err().why(), Why::Closed);
}

#[test]
fn now_is_never_done_for_a_send_to_a_waiting_task() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = simplex();
    let (bell, waker) = Bell::new();
    let mut recv = client.recv();
    assert!(poll_with(&mut recv, &waker).is_pending());
    let error = server.send(census.make()).now().unwrap_err();
    assert_eq!((error.why(), error.into_unsent().unwrap().id), (Why::NotReady, 0));
    // The receive may have been woken for nothing. It waits again, and gets the next item.
    bell.rings();
    assert!(poll_with(&mut recv, &waker).is_pending());
    server.finish_with(census.make()).unwrap();
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut recv).unwrap().id, 1);
}

#[test]
fn a_receive_by_now_leaves_a_plain_demand_standing() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    assert!(client.recv().now().unwrap_err().is_not_ready());
    assert_eq!(server.demand().now(), Ok(()));
}

#[test]
fn an_operation_that_can_be_done_is_done_although_its_deadline_is_past() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    let mut ask = client.exchange(1);
    pend(&mut ask);
    assert_eq!(server.demand().wait_deadline(past()), Ok(1));
    let mut exchange = server.exchange(2);
    pend(&mut exchange);
    assert_eq!(ask.wait_deadline(past()).unwrap(), 2);
    let mut ask = client.exchange(3);
    pend(&mut ask);
    assert_eq!(exchange.wait_timeout(Duration::ZERO).unwrap(), 3);
    drop(ask);
    let mut exchange = server.exchange(4);
    pend(&mut exchange);
    assert_eq!(client.owed().wait_deadline(past()), Ok(4));
}

#[test]
fn every_operation_times_out_and_says_what_was_taken() {
    let _watchdog = Watchdog::new();
    let hour_ago =
        Instant::now().checked_sub(Duration::from_secs(3600)).unwrap_or_else(Instant::now);
    let times: [&dyn Fn() -> Instant; 3] =
        [&|| hour_ago, &|| Instant::now(), &|| Instant::now() + SHORT];
    for time in times {
        let (mut server, mut client) = duplex::<u8, u8>();
        assert!(server.demand().wait_deadline(time()).unwrap_err().is_timed_out());
        let error = server.exchange(1).wait_deadline(time()).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, Some(1)));
        let error = client.exchange(2).wait_deadline(time()).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, Some(2)));
        let mut ask = client.exchange(3);
        pend(&mut ask);
        assert_eq!(server.demand().now(), Ok(3));
        let error = ask.wait_deadline(time()).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, None));
        assert!(client.owed().wait_deadline(time()).unwrap_err().is_timed_out());
        let error = server.exchange(4).wait_deadline(time()).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, Some(4)));
        let mut exchange = server.exchange(5);
        pend(&mut exchange);
        assert_eq!(client.owed().wait(), Ok(5));
        let error = exchange.wait_deadline(time()).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, None));
        assert_eq!(client.end(), None);

        let (mut server, mut client) = simplex::<u8>();
        let error = server.send_all(0..3).wait_deadline(time()).unwrap_err();
        assert_eq!(error.why(), Why::TimedOut);
        assert!(error.into_rest().eq(0..3));
        assert!(client.recv().wait_deadline(time()).unwrap_err().is_timed_out());
        let mut write = server.send_all(0..3);
        pend(&mut write);
        assert_eq!(client.recv().wait(), Ok(0));
        assert!(client.recv().now().unwrap_err().is_not_ready());
        let error = write.wait_deadline(time()).unwrap_err();
        assert_eq!(error.why(), Why::TimedOut);
        assert!(error.into_rest().eq(1..3)); // 1 was on offer, and comes back first
    }
}

#[test]
fn a_timeout_is_not_over_before_its_time() {
    let _watchdog = Watchdog::new();
    let (_server, mut client) = simplex::<u8>();
    let start = Instant::now();
    assert!(client.recv().wait_timeout(Duration::from_millis(20)).unwrap_err().is_timed_out());
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_timeout_too_long_for_the_clock_is_none() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    thread::scope(|scope| {
        scope.spawn(move || {
            until(|| peer_waits(&client));
            assert_eq!(client.exchange(1).wait_timeout(Duration::MAX).unwrap(), 2);
            until(|| peer_waits(&client));
            client.close();
        });
        assert_eq!(server.demand().wait_timeout(Duration::MAX), Ok(1));
        let error = server.exchange(2).wait_timeout(Duration::MAX).unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::Closed, None));
    });
}

#[test]
fn a_thread_that_timed_out_has_withdrawn_its_waker() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    let soon = Duration::from_millis(1);
    assert!(server.demand().wait_timeout(soon).is_err());
    assert!(!peer_waits(&client));
    assert!(server.exchange(1).wait_timeout(soon).is_err());
    assert!(!peer_waits(&client));
    assert!(client.exchange(1).wait_timeout(soon).is_err());
    assert!(!peer_waits(&server));
    let (server, mut client) = simplex::<u8>();
    assert!(client.recv().wait_timeout(soon).is_err());
    assert!(!peer_waits(&server));
}

/// The server drops an old waker between its put and its wake. That drop is held up until the receive is done waiting, so that
/// nobody wakes the receive in time.
#[test]
fn an_item_put_before_the_deadline_is_received_although_its_wake_comes_too_late() {
    let _watchdog = Watchdog::new();
    // On a busy machine the time may be up before the item is put: then there is more of it.
    for attempt in 0.. {
        assert!(attempt < 8, "the time was always up too soon");
        let hook = Hook::new();
        let (mut server, mut client) = simplex();
        let mut recv = client.recv();
        pend_with(&mut recv, &hook.waker());
        assert!(server.send(0).now().is_err());
        let (over, is_over) = mpsc::channel();
        let deadline = Instant::now() + Duration::from_millis(300 << attempt);
        let is_put_in_time = Arc::new(AtomicBool::new(false));
        let (got, is_pending) = thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let got = recv.wait_deadline(deadline);
                over.send(()).unwrap();
                got
            });
            until(|| peer_waits(&server) || waiting.is_finished());
            let put_in_time = Arc::clone(&is_put_in_time);
            hook.set(Moment::Drop, move || {
                put_in_time.store(Instant::now() < deadline, SeqCst);
                _ = is_over.recv();
            });
            let is_pending = poll_once(&mut server.send(1)).is_pending();
            (waiting.join().unwrap(), is_pending)
        });
        if is_put_in_time.load(SeqCst) {
            assert!(is_pending);
            assert_eq!(got, Ok(1));
            break;
        }
    }
}

#[test]
fn a_send_of_many_has_one_timeout_for_all() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    thread::scope(|scope| {
        let reader = scope.spawn(move || client.iter().count() as u64);
        let error = server.send_all(endless()).wait_timeout(Duration::from_millis(40)).unwrap_err();
        assert!(error.is_timed_out());
        let rest = error.into_rest().next().unwrap();
        server.finish();
        assert_eq!(reader.join().unwrap(), rest);
    });
}
