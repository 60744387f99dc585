//! Both ends in one task: its waker stays in the channel from one hand-over to the next, and no longer than it may.

use std::sync::Arc;
use std::task::Waker;

use crate::support::thread;
use crate::support::*;
use handover::{Receiver, Sender, Why, rendezvous};

/// Hands `n` values over in the task of this waker.
fn hand_over(tx: &Sender<u32>, rx: &Receiver<u32>, n: u32, waker: &Waker) {
    for value in 0..n {
        let mut recv = rx.recv();
        pend_with(&mut recv, waker);
        let mut send = tx.send(value);
        pend_with(&mut send, waker);
        assert!(poll_with(&mut recv, waker) == std::task::Poll::Ready(Ok(value)));
        assert!(poll_with(&mut send, waker).is_ready());
    }
}

#[test]
fn hand_overs_in_one_task_clone_and_drop_no_waker() {
    let hook = Hook::new();
    let waker = hook.waker();
    let (tx, rx) = rendezvous();
    hand_over(&tx, &rx, 2, &waker);
    hook.bell.rings();
    hook.set_panic(Moment::Clone);
    hook.set_panic(Moment::Drop);
    hand_over(&tx, &rx, 10, &waker);
    assert_eq!(hook.bell.rings(), 20, "the receiver is woken for each value, and the sender");
    assert!(hook.is_set(Moment::Clone) && hook.is_set(Moment::Drop));
    hook.set(Moment::Drop, || {});
}

#[test]
fn the_end_drops_the_kept_wakers() {
    type End = fn(Sender<u32>, Receiver<u32>) -> Option<Receiver<u32>>;
    let ends: [End; 4] = [
        |tx, rx| {
            tx.close();
            Some(rx)
        },
        |tx, rx| {
            drop(tx);
            Some(rx)
        },
        |tx, rx| {
            drop(rx);
            tx.finish();
            None
        },
        |tx, rx| {
            rx.finish();
            drop(tx);
            None
        },
    ];
    for end in ends {
        let (bell, waker) = Bell::new();
        let before = Arc::strong_count(&bell);
        let (tx, rx) = rendezvous();
        hand_over(&tx, &rx, 3, &waker);
        assert!(Arc::strong_count(&bell) > before, "they are kept");
        bell.rings();
        let _rest = end(tx, rx);
        assert_eq!(Arc::strong_count(&bell), before);
        assert_eq!(bell.rings(), 0, "nobody waits");
    }
}

#[test]
fn a_kept_waker_is_not_woken_for_another_party() {
    let _watchdog = Watchdog::new();
    let ((first, first_waker), (second, second_waker)) = (Bell::new(), Bell::new());
    let (tx, rx) = rendezvous();
    hand_over(&tx, &rx, 3, &first_waker);
    first.rings();
    // Another task, and then two threads, use the same entries.
    hand_over(&tx, &rx, 3, &second_waker);
    assert_eq!((first.rings(), second.rings()), (0, 6));
    hand_over(&tx, &rx, 3, &first_waker);
    first.rings();
    thread::scope(|scope| {
        scope.spawn(|| (0..20).for_each(|value| tx.send(value).wait().unwrap()));
        (0..20).for_each(|value| assert_eq!(rx.recv().wait(), Ok(value)));
    });
    assert_eq!(first.rings(), 0);
}

/// The waker that a task brings is known only after its entry was found to keep that of another one.
#[test]
fn tasks_that_take_turns_are_each_woken() {
    let _watchdog = Watchdog::new();
    let bells = [(); 3].map(|()| Bell::new());
    let (tx, rx) = rendezvous();
    for turn in 0..30 {
        let (bell, waker) = &bells[turn % 3];
        hand_over(&tx, &rx, 1 + (turn as u32 / 3) % 3, waker);
        assert!(bell.rings() >= 2);
        assert!(bells.iter().all(|(bell, _)| bell.rings() == 0), "the others are not");
        // A sender and a receiver of other tasks.
        let [(sender, sender_waker), (receiver, receiver_waker), _] = &bells;
        let (mut send, mut recv) = (tx.send(7), rx.recv());
        pend_with(&mut recv, receiver_waker);
        pend_with(&mut send, sender_waker);
        assert_eq!((sender.rings(), receiver.rings()), (0, 1));
        assert!(poll_with(&mut recv, receiver_waker).is_ready());
        assert_eq!((sender.rings(), receiver.rings()), (1, 0));
        assert!(poll_with(&mut send, sender_waker).is_ready());
    }
}

#[test]
fn after_a_burst_few_wakers_are_kept() {
    let (bell, waker) = Bell::new();
    let before = Arc::strong_count(&bell);
    let (tx, rx) = rendezvous();
    for _ in 0..3 {
        let mut receives: Vec<_> = (0..100).map(|_| rx.recv()).collect();
        receives.iter_mut().for_each(|recv| pend_with(recv, &waker));
        let mut sends: Vec<_> = (0..100).map(|value| tx.send(value)).collect();
        sends.iter_mut().for_each(|send| pend_with(send, &waker));
        for (value, recv) in receives.iter_mut().enumerate() {
            assert_eq!(poll_with(recv, &waker), std::task::Poll::Ready(Ok(value)));
        }
        assert!(sends.iter_mut().all(|send| poll_with(send, &waker).is_ready()));
        assert!(Arc::strong_count(&bell) <= before + 14, "{}", Arc::strong_count(&bell));
    }
    drop((tx, rx));
    assert_eq!(Arc::strong_count(&bell), before);
}

/// Those that take the offers were not woken for them, so that their wakers are still there.
#[test]
fn receives_that_are_done_before_they_are_woken_leave_few_wakers() {
    let (bell, waker) = Bell::new();
    let before = Arc::strong_count(&bell);
    let (tx, rx) = rendezvous();
    let mut receives: Vec<_> = (0..101).map(|_| rx.recv()).collect();
    receives.iter_mut().for_each(|recv| pend_with(recv, &waker));
    let mut sends: Vec<_> = (0..50).map(|value| tx.send(value)).collect();
    sends.iter_mut().for_each(|send| pend_with(send, &waker));
    for (value, recv) in receives.iter_mut().rev().take(50).enumerate() {
        assert_eq!(poll_with(recv, &waker), std::task::Poll::Ready(Ok(value)));
    }
    assert!(sends.iter_mut().all(|send| poll_with(send, &waker).is_ready()));
    assert!(Arc::strong_count(&bell) <= before + 15, "{}", Arc::strong_count(&bell) - before);
    drop((receives, sends));
    drop((tx, rx));
    assert_eq!(Arc::strong_count(&bell), before);
}

#[test]
fn a_cancelled_operation_keeps_no_waker() {
    let (bell, waker) = Bell::new();
    let before = Arc::strong_count(&bell);
    let (tx, rx) = rendezvous();
    for _ in 0..3 {
        let mut recv = rx.recv();
        pend_with(&mut recv, &waker);
        drop(recv);
        let mut send = tx.send(1);
        pend_with(&mut send, &waker);
        drop(send);
        assert_eq!(Arc::strong_count(&bell), before);
    }
}

/// Its destructor panics as the channel ends: the parties that wait are woken all the same, and a thread that unwinds goes on unwinding.
#[test]
fn a_kept_waker_that_panics_when_it_is_dropped_keeps_nobody_asleep() {
    for unwinds in [false, true] {
        let hook = Hook::new();
        let waker = hook.waker();
        let (tx, rx) = rendezvous();
        hand_over(&tx, &rx, 3, &waker);
        let rx = Arc::new(rx);
        let (bell, watcher) = Bell::new();
        let watched = Arc::clone(&rx);
        let mut closed = watched.closed();
        pend_with(&mut closed, &watcher);
        hook.set_panic(Moment::Drop);
        if unwinds {
            panic_holding(tx);
        } else {
            assert!(panics(|| drop(tx)));
        }
        assert_eq!(bell.rings(), 1);
        let why = if unwinds { Why::Panicked } else { Why::Dropped };
        assert_eq!(ready(&mut closed), Ok(why));
    }
}

#[test]
fn a_kept_waker_that_gives_way_may_use_the_channel_as_it_is_dropped() {
    let _watchdog = Watchdog::new();
    let (hook, bell) = (Hook::new(), Bell::new());
    let (tx, rx) = rendezvous();
    hand_over(&tx, &rx, 2, &hook.waker());
    let (out, inbox) = std::sync::mpsc::channel();
    let ends = tx.clone();
    hook.set(Moment::Drop, move || out.send(ends.send(9).now().is_ok()).unwrap());
    // Another task waits in the place of the one whose waker was kept.
    let mut recv = rx.recv();
    pend_with(&mut recv, &bell.1);
    assert_eq!(inbox.try_recv(), Ok(false), "it is dropped now, and may look at the channel");
    let mut send = tx.send(3);
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok(3));
    ready(&mut send).unwrap();
}

#[test]
fn the_end_drops_a_waker_that_only_one_side_has_kept() {
    let (bell, waker) = Bell::new();
    let before = Arc::strong_count(&bell);
    let (tx, rx) = rendezvous();
    let mut send = tx.send(1);
    pend_with(&mut send, &waker);
    assert_eq!(poll_with(&mut rx.recv(), &waker), std::task::Poll::Ready(Ok(1)));
    assert!(poll_with(&mut send, &waker).is_ready());
    drop(send);
    assert!(Arc::strong_count(&bell) > before, "it is kept");
    drop(tx);
    assert_eq!(Arc::strong_count(&bell), before);
    assert_eq!(rx.end(), Some(Why::Dropped));
}
