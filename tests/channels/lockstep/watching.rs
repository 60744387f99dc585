//! `closed` and `Peer`: watching the other end without asking or answering.

use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::task::Poll;
use std::time::Duration;

use super::leave;
use crate::support::thread;
use crate::support::*;
use handover::{Peer, Sel2, Why, duplex, rendezvous, select, simplex, stream};

const ENDS: [Why; 3] = [Why::Closed, Why::Dropped, Why::Panicked];

#[test]
fn closed_waits_for_the_other_end_without_a_demand_or_an_answer() {
    let _dog = Watchdog::new();
    for why in ENDS {
        for how in [How::Thread, How::Task] {
            let (mut server, client) = simplex::<u8>();
            let watcher = thread::spawn(move || how.drive(how.run(server.closed())));
            let_them_park();
            leave(client, why);
            assert_eq!(watcher.join().unwrap(), Ok(why));

            let (server, mut client) = simplex::<u8>();
            let watcher = thread::spawn(move || {
                let told = how.drive(how.run(client.closed()));
                (told, client.end(), client.recv().now().unwrap_err().why())
            });
            let_them_park();
            leave(server, why);
            assert_eq!(watcher.join().unwrap(), (Ok(why), Some(why), why));
        }
    }
}

#[test]
fn closed_gives_up_in_each_way_and_then_works_again() {
    let (mut server, client) = simplex::<u8>();
    assert!(server.closed().now().unwrap_err().is_not_ready());
    assert!(server.closed().wait_timeout(Duration::from_millis(1)).unwrap_err().is_timed_out());
    assert!(server.closed().wait_deadline(past()).unwrap_err().is_timed_out());
    let until = server.closed().until(std::future::ready(()));
    assert!(pollster::block_on(until).unwrap_err().is_timed_out());
    pend(&mut server.closed());
    let peer = server.peer();
    assert!(peer.closed().now().unwrap_err().is_not_ready());
    assert!(peer.closed().wait_timeout(Duration::from_millis(1)).unwrap_err().is_timed_out());
    drop(client);
    // What has happened beats the clock.
    assert_eq!(server.closed().wait_deadline(past()), Ok(Why::Dropped));
    assert_eq!(peer.closed().now(), Ok(Why::Dropped));
    assert_eq!(pollster::block_on(peer.closed()), Ok(Why::Dropped));
}

#[test]
fn a_peer_tells_the_same_from_before_and_from_after_the_end_and_when_both_ends_are_gone() {
    for why in ENDS {
        let (server, client) = duplex::<u8, String>();
        let (early, other) = (server.peer(), client.peer());
        leave(client, why);
        let late = server.peer();
        assert!(server.is_closed());
        assert_eq!(
            (early.end(), late.end(), early.clone().end()),
            (Some(why), Some(why), Some(why))
        );
        assert_eq!(other.end(), None);
        server.finish();
        for peer in [&early, &late] {
            assert!(peer.is_closed());
            assert_eq!(peer.end(), Some(why));
            assert_eq!(peer.closed().wait(), Ok(why));
        }
        assert_eq!(other.end(), Some(Why::Closed));
        assert!(format!("{early:?}").contains("end: Some"));
    }
}

#[test]
fn each_end_watches_the_other_and_not_itself() {
    let (writer, reader) = stream::<u8>();
    let (of_reader, of_writer) = (writer.peer(), reader.peer());
    writer.end_as(Why::Panicked).unwrap();
    assert_eq!((of_reader.end(), of_writer.end()), (None, Some(Why::Panicked)));
    reader.close();
    assert_eq!((of_reader.end(), of_writer.end()), (Some(Why::Closed), Some(Why::Panicked)));
}

#[test]
fn the_first_end_that_is_told_stays() {
    let (server, client) = simplex::<u8>();
    let peer = server.peer();
    client.end_as(Why::Closed); // and its drop says no other
    assert_eq!(peer.end(), Some(Why::Closed));
}

#[test]
fn what_was_handed_over_before_the_end_comes_after_closed() {
    let (server, mut client) = simplex();
    server.finish_with(1).unwrap();
    assert_eq!(client.closed().now(), Ok(Why::Closed));
    assert_eq!(client.end(), Some(Why::Closed));
    assert_eq!(client.recv().now(), Ok(1));
    assert_eq!(client.recv().now().unwrap_err().why(), Why::Closed);

    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    let mut send = server.send(1);
    pend(&mut send);
    std::mem::forget(send);
    drop(server);
    assert_eq!(client.closed().now(), Ok(Why::Dropped));
    assert!(client.iter().eq([1]));
}

#[test]
fn a_stream_that_was_told_the_end_by_closed_is_terminated_only_after_its_last_item() {
    use futures_core::FusedStream;
    let (server, mut client) = simplex();
    server.finish_with(1).unwrap();
    assert_eq!(client.closed().now(), Ok(Why::Closed));
    let mut items = client.into_stream();
    assert!(!items.is_terminated(), "an item is still to come");
    assert_eq!(next_with(&mut items, std::task::Waker::noop()), std::task::Poll::Ready(Some(1)));
    assert_eq!(next_with(&mut items, std::task::Waker::noop()), std::task::Poll::Ready(None));
    assert!(items.is_terminated());
}

#[test]
fn a_peer_goes_to_other_threads_whatever_the_values_are() {
    fn assert_bounds<T: Send + Sync + Clone + 'static>(_: &T) {}
    fn assert_shared<T: Send + Sync>(_: &T) {}
    let _dog = Watchdog::new();
    let (mut server, client) = simplex::<Rc<u8>>();
    let peer = server.peer();
    assert_bounds(&peer);
    assert_shared(&peer.closed());
    let closed = server.closed();
    assert_shared(&closed);
    drop(closed);
    let watcher = thread::spawn(move || peer.closed().wait());
    client.close();
    assert_eq!(watcher.join().unwrap(), Ok(Why::Closed));
}

#[test]
fn many_watchers_are_all_told() {
    let _dog = Watchdog::new();
    for why in ENDS {
        let (server, client) = simplex::<u8>();
        let peer = server.peer();
        let barrier = Barrier::new(9);
        thread::scope(|scope| {
            let watchers: Vec<_> = (0..8)
                .map(|n| {
                    let (peer, barrier) = (&peer, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        if n % 2 == 0 {
                            peer.closed().wait()
                        } else {
                            pollster::block_on(peer.closed())
                        }
                    })
                })
                .collect();
            barrier.wait();
            leave(client, why);
            for watcher in watchers {
                assert_eq!(watcher.join().unwrap(), Ok(why));
            }
        });
        drop(server);
    }
}

#[test]
fn ten_thousand_watchers_come_and_go_without_a_waker_left_behind() {
    let _dog = Watchdog::new();
    let (server, client) = simplex::<u8>();
    let peer = server.peer();
    let (bell, waker) = Bell::new();
    let none = Arc::strong_count(&bell);
    let mut kept: Vec<_> = (0..10_000).map(|_| peer.closed()).collect();
    kept.iter_mut().for_each(|closed| pend_with(closed, &waker));
    assert_eq!(Arc::strong_count(&bell), none + 10_000);
    // Every other one, from the front, then from behind.
    let mut at = 0;
    kept.retain(|_| (at += 1, at % 2 == 0).1);
    assert_eq!(Arc::strong_count(&bell), none + 5_000);
    while kept.len() > 3 {
        kept.pop();
    }
    assert_eq!(Arc::strong_count(&bell), none + 3);
    drop(client);
    assert_eq!(bell.rings(), 3);
    kept.iter_mut().for_each(|closed| assert_eq!(ready(closed), Ok(Why::Dropped)));
    assert_eq!(Arc::strong_count(&bell), none);
}

#[test]
fn a_watcher_that_is_polled_with_another_waker_wakes_by_the_new_one_only() {
    let (mut server, client) = simplex::<u8>();
    let (old, old_waker) = Bell::new();
    let (new, new_waker) = Bell::new();
    let mut closed = server.closed();
    pend_with(&mut closed, &old_waker);
    pend_with(&mut closed, &new_waker);
    drop(old_waker);
    assert_eq!(Arc::strong_count(&old), 1, "the old waker is gone");
    drop(client);
    assert_eq!((old.rings(), new.rings()), (0, 1));
    assert_eq!(ready(&mut closed), Ok(Why::Dropped));
}

#[test]
fn a_watcher_that_gave_up_is_not_woken() {
    let (mut server, client) = simplex::<u8>();
    let (bell, waker) = Bell::new();
    let mut closed = server.closed();
    pend_with(&mut closed, &waker);
    drop(closed);
    assert_eq!(Arc::strong_count(&bell), 2, "no waker is left behind");
    drop(client);
    assert_eq!(bell.rings(), 0);
}

#[test]
fn a_watcher_whose_waker_panics_takes_nothing_from_the_others() {
    let (server, client) = simplex::<u8>();
    let peer = server.peer();
    let hooks: Vec<_> = (0..3).map(|_| Hook::new()).collect();
    let mut watchers: Vec<_> = hooks.iter().map(|_| peer.closed()).collect();
    for (hook, watcher) in hooks.iter().zip(&mut watchers) {
        pend_with(watcher, &hook.waker());
        hook.set_panic(Moment::Wake);
    }
    assert!(panics(|| client.close()));
    for (hook, watcher) in hooks.iter().zip(&mut watchers) {
        assert_eq!(hook.bell.rings(), 1);
        assert_eq!(ready(watcher), Ok(Why::Closed));
    }
    assert!(server.is_closed());
}

#[test]
fn a_peer_that_waits_is_woken_though_a_watcher_s_waker_panics() {
    let (server, mut client) = simplex::<u8>();
    let peer = client.peer();
    let hook = Hook::new();
    let (bell, waker) = Bell::new();
    let mut recv = client.recv();
    pend_with(&mut recv, &waker);
    let mut watcher = peer.closed();
    pend_with(&mut watcher, &hook.waker());
    hook.set_panic(Moment::Wake);
    assert!(panics(|| server.finish()));
    assert_eq!(bell.rings(), 1);
    assert_eq!(ready(&mut recv).unwrap_err().why(), Why::Closed);
    assert_eq!(ready(&mut watcher), Ok(Why::Closed));
}

#[test]
fn a_watcher_s_waker_may_panic_when_it_is_cloned_or_dropped_and_use_the_peer() {
    let (server, client) = simplex::<u8>();
    let peer = server.peer();
    let hook = Hook::new();
    let waker = hook.waker();
    let mut watcher = peer.closed();
    hook.set_panic(Moment::Clone);
    assert!(panics(|| poll_with(&mut watcher, &waker)));
    pend_with(&mut watcher, &waker);
    // Dropped in place of another one, it asks the peer: no lock is held.
    let again = peer.clone();
    hook.set(Moment::Drop, move || assert!(!again.is_closed()));
    pend(&mut watcher);
    assert!(!hook.is_set(Moment::Drop));
    pend_with(&mut watcher, &waker);
    let again = peer.clone();
    hook.set(Moment::Wake, move || assert_eq!(again.end(), Some(Why::Closed)));
    client.close();
    assert!(!hook.is_set(Moment::Wake));
    assert_eq!(ready(&mut watcher), Ok(Why::Closed));
    // A watcher that goes drops its waker, whose panic leaves nothing behind.
    let (server, client) = simplex::<u8>();
    let peer = server.peer();
    let mut watcher = peer.closed();
    pend_with(&mut watcher, &waker);
    hook.set_panic(Moment::Drop);
    assert!(panics(move || drop(watcher)));
    client.close();
    assert_eq!(peer.closed().now(), Ok(Why::Closed));
}

#[test]
fn is_closed_is_never_ahead_of_the_peer() {
    let mut stress = Stress::new("is_closed implies an end", Duration::from_secs(2));
    let _dog = Watchdog::new();
    while stress.goes_on() {
        let (server, client) = simplex::<u8>();
        let kept = (stress.below(2) == 0).then(|| server.peer());
        let turns = stress.below(300);
        thread::scope(|scope| {
            scope.spawn(move || {
                dither(turns);
                client.close();
            });
            until(|| server.is_closed());
            assert_eq!(server.peer().end(), Some(Why::Closed));
            assert!(kept.as_ref().is_none_or(Peer::is_closed));
        });
    }
}

#[test]
fn closed_is_an_arm_beside_the_end_s_peer() {
    let _dog = Watchdog::new();
    let (mut server, client) = simplex::<u8>();
    let (tx, rx) = handover::rendezvous::<u8>();
    let mut choice = select((server.closed(), rx.recv()));
    pend(&mut choice);
    let mut send = tx.send(1);
    pend(&mut send);
    assert!(matches!(ready(&mut choice), Sel2::B(Ok(1))));
    assert_eq!(ready(&mut send), Ok(()));
    drop(choice);
    let leaving = thread::spawn(move || client.close());
    assert!(matches!(select((server.closed(), rx.recv())).wait(), Sel2::A(Ok(Why::Closed))));
    leaving.join().unwrap();
}

#[test]
fn watching_does_not_disturb_the_exchange() {
    let _dog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (mut server, mut client) = simplex();
        let (sum, count) = pair(
            pairing,
            first,
            async move |how| {
                let mut sent = 0;
                for n in 0..200 {
                    assert!(server.closed().now().unwrap_err().is_not_ready());
                    how.run(server.send(n)).await.unwrap_or_else(|_| assert_eq!(n, 199));
                    sent += n;
                }
                sent
            },
            async move |how| {
                let mut got = 0;
                for n in 0..200 {
                    _ = client.peer();
                    assert_eq!(how.run(client.recv()).await, Ok(n));
                    got += n;
                }
                got
            },
        );
        assert_eq!(sum, count);
    });
}

#[test]
fn a_watch_that_lost_a_select_wakes_nobody_until_it_is_polled_again() {
    let _watchdog = Watchdog::new();
    let (server, client) = simplex::<u8>();
    let (tx, rx) = rendezvous();
    let peer = server.peer();
    let mut left = peer.closed();
    let (bell, waker) = Bell::new();
    let mut choice = select((&mut left, rx.recv()));
    pend_with(&mut choice, &waker);
    pend(&mut tx.send(1));
    let mut send = tx.send(2);
    pend(&mut send);
    assert_eq!(poll_with(&mut choice, &waker), Poll::Ready(Sel2::B(Ok(2))));
    drop(choice);
    _ = bell.rings();
    drop(client);
    assert_eq!(bell.rings(), 0);
    assert_eq!(ready(&mut left), Ok(Why::Dropped));
}
