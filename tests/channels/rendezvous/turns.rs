//! Whose turn it is: permits, threads beside tasks and selects, wakers that panic in somebody's look.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Hook, Moment, Watchdog, let_them_park, panics, pend, poll_once, poll_with, ready,
};
use futures_lite::future::block_on;
use handover::{Sel2, never, rendezvous, select};

/// What wakers of others do in its looks is nothing to a blocking iterator: it goes on to wait.
#[test]
fn a_blocking_iterator_goes_on_after_a_panic_of_a_waker() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous::<u8>();
    let hook = Hook::new();
    let mut reserve = tx.reserve();
    assert!(poll_with(&mut reserve, &hook.waker()).is_pending());
    hook.set_panic(Moment::Wake);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            while tx.stats().waiting_receivers == 0 {
                thread::yield_now();
            }
            drop(reserve);
            tx.send(1).wait().unwrap();
        });
        assert_eq!(rx.iter().next(), Some(1));
        sender.join().unwrap();
    });
    assert!(!hook.is_set(Moment::Wake), "the waker did panic");
    assert_eq!(rx.stats().waiting_receivers, 0);
}

/// A blocked thread whose look runs somebody's waker, which hands it a value and then panics.
#[test]
fn a_blocked_receive_that_a_waker_makes_panic_has_not_been_given_a_value() {
    let (tx, rx) = rendezvous::<u8>();
    let tx: &'static _ = Box::leak(Box::new(tx));
    let hook = Hook::new();
    let reserve = Arc::new(Mutex::new(tx.reserve()));
    assert!(poll_with(&mut *reserve.lock().unwrap(), &hook.waker()).is_pending());
    let is_sent = Arc::new(AtomicUsize::new(0));
    {
        let (reserve, is_sent) = (Arc::clone(&reserve), Arc::clone(&is_sent));
        hook.set(Moment::Wake, move || {
            let permit = ready(&mut *reserve.lock().unwrap()).unwrap();
            is_sent.store(usize::from(permit.send(1).now().is_ok()), SeqCst);
            crate::support::quiet_panic();
        });
    }
    let mut got = None;
    let has_panicked = panics(|| got = rx.recv().wait().ok());
    assert_eq!(is_sent.load(SeqCst), usize::from(got.is_some()), "panicked: {has_panicked}");
}

/// `select(..).now()` gives a permit's receiver free, and must not do so once more when the arm is dropped.
#[test]
fn a_permit_as_an_arm_of_now_frees_its_receiver_only_once() {
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut first = tx.reserve().now().unwrap().send("first");
    let mut reserve = tx.reserve();
    pend(&mut reserve);
    assert!(select((&mut first, never::<()>().recv())).now().is_none());
    let second = ready(&mut reserve).unwrap(); // the receiver is kept for this one now
    assert_eq!(first.reclaim(), Some("first"));
    let mut third = tx.send("third");
    pend(&mut third);
    assert!(poll_once(&mut recv).is_pending(), "nothing from anybody else while a permit keeps it");
    let mut second = second.send("second");
    pend(&mut second);
    assert_eq!(ready(&mut recv), Ok("second"));
}

#[test]
fn a_permit_as_an_arm_of_now_does_not_use_the_receiver_of_another_permit() {
    let (tx, rx) = rendezvous();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut first = tx.reserve().now().unwrap().send("first");
    let mut reserve = tx.reserve();
    pend(&mut reserve);
    assert!(select((&mut first, never::<()>().recv())).now().is_none());
    let second = ready(&mut reserve).unwrap();
    pend(&mut first);
    assert!(poll_once(&mut recv).is_pending(), "nothing from anybody else while a permit keeps it");
    let mut second = second.send("second");
    pend(&mut second);
    assert_eq!(ready(&mut recv), Ok("second"));
}

/// What a permit sends has had its turn, also before those who want a permit.
#[test]
fn what_a_permit_sends_comes_before_a_later_reserve() {
    let (tx, rx) = rendezvous();
    let mut gone = rx.recv();
    pend(&mut gone);
    let permit = tx.reserve().now().unwrap();
    drop(gone);
    let mut reserve = tx.reserve();
    pend(&mut reserve);
    let mut send = permit.send(1);
    pend(&mut send);
    assert_eq!(ready(&mut rx.recv()), Ok(1));
}

/// Nor is an offer overtaken that came before the reserve.
#[test]
fn a_permits_offer_does_not_let_a_reserve_overtake_an_older_offer() {
    let (tx, rx) = rendezvous();
    let mut gone = rx.recv();
    pend(&mut gone);
    let permit = tx.reserve().now().unwrap();
    drop(gone);
    let mut older = tx.send(1);
    pend(&mut older);
    let mut reserve = tx.reserve();
    pend(&mut reserve);
    let mut send = permit.send(0);
    pend(&mut send);
    let mut recvs = [rx.recv(), rx.recv()];
    let got = recvs.each_mut().map(poll_once);
    assert!(
        got.iter().all(std::task::Poll::is_ready),
        "{got:?}: a reserve that came later was first"
    );
}

/// First come, first served: a receiving task beside a receiving thread, each always there again at once.
#[test]
fn a_task_is_served_beside_a_thread() {
    let _watchdog = Watchdog::new();
    let served = share(Party::Thread, Party::Task);
    assert!(served[0] < 4 * served[1] && served[1] < 4 * served[0], "thread, task: {served:?}");
}

#[test]
fn a_choosing_thread_is_served_beside_a_blocked_one() {
    let _watchdog = Watchdog::new();
    let served = share(Party::Thread, Party::Chooser);
    assert!(served[0] < 4 * served[1] && served[1] < 4 * served[0], "thread, chooser: {served:?}");
}

/// "Waiting threads are told along with it, and take the value if it does not": also two of them, of two values.
#[test]
fn each_waiting_thread_is_told_of_what_kept_tasks_do_not_take() {
    let _watchdog = Watchdog::new();
    for round in 0..50 {
        let (tx, rx) = rendezvous();
        let mut kept = [rx.recv(), rx.recv()];
        kept.iter_mut().for_each(pend);
        thread::scope(|scope| {
            let threads = [(); 2].map(|()| {
                let handle = scope.spawn(|| rx.recv().wait_timeout(Duration::from_secs(2)));
                until_receivers(&rx);
                handle
            });
            while rx.stats().waiting_receivers < 4 {
                thread::yield_now();
            }
            let_them_park();
            let mut sends = [tx.send(1), tx.send(2)];
            _ = sends.each_mut().map(poll_once); // a thread may be quick
            let start = Instant::now();
            let got = threads.map(|thread| thread.join().unwrap());
            let took = start.elapsed();
            assert!(
                took < Duration::from_secs(1),
                "round {round}: {got:?} after {took:?}: only its time woke the second one"
            );
        });
    }
}

fn until_receivers<T>(rx: &handover::Receiver<T>) {
    let before = rx.stats().waiting_receivers;
    let start = Instant::now();
    while rx.stats().waiting_receivers <= before && start.elapsed() < Duration::from_millis(20) {
        thread::yield_now();
    }
}

/// The thread that was told along is one in a `select`, and goes with another arm: the next thread must be told.
#[test]
fn a_choosing_thread_that_goes_with_another_arm_passes_on_what_it_was_told() {
    let _watchdog = Watchdog::new();
    for round in 0..50 {
        let ((a, a_rx), (b, b_rx)) = (rendezvous(), rendezvous());
        let mut kept = a_rx.recv();
        pend(&mut kept);
        thread::scope(|scope| {
            let chooser = scope.spawn(|| select((b_rx.recv(), a_rx.recv())).biased().wait());
            while a.stats().waiting_receivers < 2 {
                thread::yield_now();
            }
            let behind = scope.spawn(|| a_rx.recv().wait_timeout(Duration::from_secs(2)));
            while a.stats().waiting_receivers < 3 {
                thread::yield_now();
            }
            let_them_park();
            let (mut send_b, mut send_a) = (b.send(2), a.send(1));
            _ = (poll_once(&mut send_a), poll_once(&mut send_b)); // the chooser may be quick
            if matches!(chooser.join().unwrap(), Sel2::A(_)) {
                let start = Instant::now();
                let got = behind.join().unwrap();
                let took = start.elapsed();
                assert!(
                    took < Duration::from_secs(1),
                    "round {round}: {got:?} after {took:?}: only its time woke it"
                );
            } else {
                a.close();
            }
        });
    }
}

/// The measure itself: of two of a kind each gets about half.
#[test]
fn two_of_a_kind_are_served_alike() {
    let _watchdog = Watchdog::new();
    for (one, other) in [
        (Party::Thread, Party::Thread),
        (Party::Task, Party::Task),
        (Party::Chooser, Party::Chooser),
    ] {
        let served = share(one, other);
        assert!(served[0] < 4 * served[1] && served[1] < 4 * served[0], "{served:?}");
    }
}

#[derive(Clone, Copy)]
enum Party {
    Thread,
    Task,
    Chooser,
}

fn share(one: Party, other: Party) -> [usize; 2] {
    const ITEMS: usize = 20_000;
    let (tx, rx) = rendezvous::<usize>();
    let served = [AtomicUsize::new(0), AtomicUsize::new(0)];
    thread::scope(|scope| {
        for (party, count) in [one, other].into_iter().zip(&served) {
            let rx = rx.clone();
            scope.spawn(move || {
                let quiet = never::<()>();
                loop {
                    let got = match party {
                        Party::Thread => rx.recv().wait(),
                        Party::Task => block_on(rx.recv()),
                        Party::Chooser => match select((rx.recv(), quiet.recv())).wait() {
                            Sel2::A(got) => got,
                            Sel2::B(_) => unreachable!(),
                        },
                    };
                    if got.is_err() {
                        return;
                    }
                    count.fetch_add(1, Relaxed);
                }
            });
        }
        while rx.stats().waiting_receivers < 2 {
            thread::yield_now();
        }
        for n in 0..ITEMS {
            // Both are there before each item.
            let start = Instant::now();
            while tx.stats().waiting_receivers < 2 && start.elapsed() < Duration::from_millis(1) {
                thread::yield_now();
            }
            tx.send(n).wait().unwrap();
        }
        tx.close();
    });
    served.map(AtomicUsize::into_inner)
}

/// Two choices that meet crosswise, again and again: they must not keep passing each other over.
#[test]
fn crossed_choices_go_on() {
    let _watchdog = Watchdog::new();
    let ((a, a_rx), (b, b_rx)) = (rendezvous(), rendezvous());
    thread::scope(|scope| {
        let (a2, b2) = (a_rx.clone(), b.clone());
        scope.spawn(move || {
            for n in 0..20_000 {
                match select((b2.send(n), a2.recv())).wait() {
                    Sel2::A(sent) => sent.unwrap(),
                    Sel2::B(got) => drop(got.unwrap()),
                }
            }
        });
        for n in 0..20_000 {
            match select((a.send(n), b_rx.recv())).wait() {
                Sel2::A(sent) => sent.unwrap(),
                Sel2::B(got) => drop(got.unwrap()),
            }
        }
    });
}

#[test]
fn many_arms_and_none() {
    let _watchdog = Watchdog::new();
    let none: Vec<handover::op::Take<'_, u8>> = Vec::new();
    assert!(select(none).wait_timeout(Duration::from_millis(1)).is_none());
    let channels: Vec<_> = (0..1000).map(|_| rendezvous::<usize>()).collect();
    for target in [0, 500, 999] {
        let mut choice = select(channels.iter().map(|(_, rx)| rx.recv()).collect::<Vec<_>>());
        pend(&mut choice);
        let mut send = channels[target].0.send(target);
        pend(&mut send);
        assert_eq!(ready(&mut choice), (target, Ok(target)));
        ready(&mut send).unwrap();
        drop(choice);
    }
    assert!(channels.iter().all(|(tx, _)| tx.stats().waiting_receivers == 0));
    let (tx, rx) = &channels[0];
    let mut choice = select((0..1000).map(|n| tx.send(n)).collect::<Vec<_>>());
    pend(&mut choice);
    let got = rx.recv().now().unwrap();
    assert!(rx.recv().now().is_err());
    assert_eq!(ready(&mut choice).0, got);
    assert_eq!(tx.stats().waiting_senders, 0);
}
