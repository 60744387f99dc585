//! Deadlines and timeouts: what is told when the time is up.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::support::thread;
use crate::support::*;
use handover::{Why, rendezvous};

// ---- for ever, and not at all

#[test]
fn the_longest_timeout_is_none() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    for timeout in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(1 << 40)] {
        thread::scope(|scope| {
            let receiver = scope.spawn(|| rx.recv().wait_timeout(timeout));
            until(|| tx.stats().waiting_receivers == 1);
            let_them_park();
            tx.send(1).wait_timeout(timeout).unwrap();
            assert_eq!(receiver.join().unwrap(), Ok(1));

            let sender = scope.spawn(|| tx.send(2).wait_timeout(timeout));
            until(|| rx.stats().waiting_senders == 1);
            let_them_park();
            assert_eq!(rx.recv().wait_timeout(timeout), Ok(2));
            sender.join().unwrap().unwrap();

            let sender = scope.spawn(|| tx.send_all([3, 4]).wait_timeout(timeout));
            assert_eq!(rx.recv().wait_timeout(timeout), Ok(3));
            assert_eq!(rx.recv().wait_timeout(timeout), Ok(4));
            sender.join().unwrap().unwrap();

            let sender = scope.spawn(|| {
                let permit = tx.reserve().wait_timeout(timeout).unwrap();
                permit.send(5).wait_timeout(timeout).unwrap();
            });
            until(|| rx.stats().waiting_senders == 1);
            assert_eq!(rx.recv().wait_timeout(timeout), Ok(5));
            sender.join().unwrap();
        });
    }
    thread::scope(|scope| {
        let watches = scope.spawn(|| tx.closed().wait_timeout(Duration::MAX));
        let receives = scope.spawn(|| rx.recv().wait_timeout(Duration::MAX));
        until(|| tx.stats().waiting_receivers == 1);
        tx.close();
        assert_eq!(watches.join().unwrap(), Ok(Why::Closed));
        assert_eq!(receives.join().unwrap().unwrap_err().why(), Why::Closed);
    });
}

#[test]
fn a_deadline_that_is_past_is_up_at_once_and_leaves_nobody_in_line() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (tx, rx) = rendezvous();
    for deadline in [past(), Instant::now()] {
        let error = tx.send(census.make()).wait_deadline(deadline).unwrap_err();
        assert!(error.is_timed_out() && error.into_unsent().is_some());
        let error =
            tx.send_all([census.make(), census.make()]).wait_deadline(deadline).unwrap_err();
        assert!(error.is_timed_out());
        assert_eq!(error.into_rest().count(), 2);
        assert!(tx.reserve().wait_deadline(deadline).unwrap_err().is_timed_out());
        assert!(rx.recv().wait_deadline(deadline).unwrap_err().is_timed_out());
        assert!(rx.closed().wait_deadline(deadline).unwrap_err().is_timed_out());
        // A task that only waits does not take the value in time.
        let mut recv = rx.recv();
        pend(&mut recv);
        assert!(tx.send(census.make()).wait_deadline(deadline).unwrap_err().unsent().is_some());
        pend(&mut recv); // was woken for nothing, and waits again
        let permit = tx.reserve().wait_deadline(deadline).unwrap();
        assert!(permit.send(census.make()).wait_deadline(deadline).unwrap_err().is_timed_out());
        pend(&mut recv);
        assert_eq!(tx.stats().waiting_receivers, 1);
    }
    assert_eq!((tx.stats().waiting_senders, tx.stats().waiting_receivers), (0, 0));
    assert_eq!(tx.stats().handed_over, 0);
    census.assert_settled();
}

// ---- what is done counts

#[test]
fn an_operation_that_can_be_done_at_once_is_done_although_its_time_is_up() {
    let _watchdog = Watchdog::new();
    let (tx, rx) = rendezvous();
    thread::scope(|scope| {
        let mut send = tx.send(1);
        pend(&mut send);
        assert_eq!(rx.recv().wait_deadline(past()), Ok(1));
        assert!(send.wait_deadline(past()).is_ok());

        let receiver = scope.spawn(|| rx.recv().wait());
        until(|| tx.stats().waiting_receivers == 1);
        tx.send(2).wait_deadline(past()).unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(2));

        let receiver = scope.spawn(|| rx.recv().wait());
        until(|| tx.stats().waiting_receivers == 1);
        let permit = tx.reserve().wait_timeout(Duration::ZERO).unwrap();
        permit.send(3).wait_timeout(Duration::ZERO).unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(3));
    });
    tx.close();
    assert_eq!(tx.closed().wait_deadline(past()), Ok(Why::Closed));
    assert_eq!(rx.recv().wait_deadline(past()).unwrap_err().why(), Why::Closed);
}

#[test]
fn an_operation_that_the_peer_completed_is_done_although_its_time_is_up() {
    let _watchdog = Watchdog::new();
    for at_once in [false, true] {
        let (tx, rx) = rendezvous();
        macro_rules! end {
            ($op:expr) => {
                if at_once { $op.now() } else { $op.wait_deadline(past()) }
            };
        }
        // The operation is begun, and not polled again until the time is up.
        let mut send = tx.send(1);
        pend(&mut send);
        let mut recv = rx.recv();
        assert_eq!(ready(&mut recv), Ok(1));
        end!(send).unwrap();

        let mut recv = rx.recv();
        pend(&mut recv);
        let mut send = tx.send(2);
        pend(&mut send);
        assert_eq!(end!(recv), Ok(2));
        end!(send).unwrap();

        let mut sends = tx.send_all([3, 4]);
        pend(&mut sends);
        assert_eq!(rx.recv().now(), Ok(3));
        pend(&mut sends);
        assert_eq!(rx.recv().now(), Ok(4));
        end!(sends).unwrap();

        let mut reserve = tx.reserve();
        pend(&mut reserve);
        let mut recv = rx.recv();
        pend(&mut recv);
        drop(end!(reserve).unwrap());

        let mut closed = rx.closed();
        pend(&mut closed);
        tx.close();
        assert_eq!(end!(closed), Ok(Why::Closed));
        assert_eq!(end!(recv).unwrap_err().why(), Why::Closed);
    }
}

/// The wake of a task is held up until the thread behind that task is done waiting, so that nobody wakes the thread in time.
#[test]
fn a_value_or_end_from_before_the_deadline_counts_although_its_wake_comes_too_late() {
    let _watchdog = Watchdog::new();
    for closes in [false, true] {
        // On a busy machine the time may be up before anything is done: then there is more of it.
        for attempt in 0.. {
            assert!(attempt < 8, "the time was always up too soon");
            let (tx, rx) = rendezvous();
            let hook = Hook::new();
            let mut task = rx.recv();
            pend_with(&mut task, &hook.waker());
            let (over, is_over) = mpsc::channel();
            let is_called_in_time = Arc::new(AtomicBool::new(false));
            let deadline = Instant::now() + Duration::from_millis(100 << attempt);
            let is_in_time = thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    let got = rx.recv().wait_deadline(deadline);
                    over.send(()).unwrap();
                    got
                });
                until(|| tx.stats().waiting_receivers == 2 || thread.is_finished());
                let called_in_time = Arc::clone(&is_called_in_time);
                hook.set(Moment::Wake, move || {
                    called_in_time.store(Instant::now() < deadline, SeqCst);
                    _ = is_over.recv();
                });
                let mut is_sent = false;
                let mut send = tx.send(1);
                if closes {
                    tx.close();
                } else {
                    // The thread may have the value when this returns.
                    is_sent = poll_once(&mut send).is_ready();
                }
                assert!(!hook.is_set(Moment::Wake));
                let got = thread.join().unwrap();
                if !is_called_in_time.load(SeqCst) {
                    return false;
                }
                if closes {
                    assert_eq!(got.unwrap_err().why(), Why::Closed);
                } else {
                    assert_eq!(got, Ok(1));
                    assert!(is_sent || ready(&mut send).is_ok());
                }
                true
            });
            if is_in_time {
                break;
            }
        }
    }
}

/// A value may come between a receiver's last attempt and its leaving the queue.
#[test]
fn a_value_that_is_given_in_the_last_moment_is_received() {
    let _watchdog = Watchdog::new();
    let mut stress = Stress::new("a_value_given_in_the_last_moment", Duration::from_millis(1_500));
    let (tx, rx) = rendezvous();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let mut got = 0;
            while !is_over.load(SeqCst) {
                got += u64::from(rx.recv().wait_deadline(Instant::now()).is_ok());
            }
            got
        });
        let mut sent = 0;
        while stress.goes_on() {
            for _ in 0..100 {
                dither(stress.below(400));
                sent += u64::from(tx.send(1).now().is_ok());
            }
        }
        is_over.store(true, SeqCst);
        assert_eq!(receiver.join().unwrap(), sent, "each value that was Ok was received");
    });
}

// ---- a timeout is one timeout

#[test]
fn a_receive_that_is_woken_for_nothing_does_not_begin_its_timeout_again() {
    let _watchdog = Watchdog::new();
    const TIMEOUT: Duration = Duration::from_millis(60);
    for _ in 0..20 {
        let (tx, rx) = rendezvous();
        let wakes = AtomicUsize::new(0);
        let result = thread::scope(|scope| {
            let mut task = rx.recv();
            pend(&mut task);
            let thread = scope.spawn(|| {
                let start = Instant::now();
                (rx.recv().wait_timeout(TIMEOUT), start.elapsed())
            });
            // Each time the task is woken the thread is woken along with it, and the value is gone when the thread looks.
            let start = Instant::now();
            while !thread.is_finished() && start.elapsed() < PATIENCE {
                let mut send = tx.send(1);
                _ = poll_once(&mut send);
                drop(send);
                _ = poll_once(&mut task);
                wakes.fetch_add(1, SeqCst);
                progress();
                dither(20_000);
            }
            assert!(thread.is_finished(), "still waits after {:?}", start.elapsed());
            thread.join().unwrap()
        });
        assert!(wakes.load(SeqCst) > 0);
        assert_eq!(rx.stats().waiting_receivers, 0);
        match result {
            (Ok(value), _) => assert_eq!(value, 1), // it was quick
            (Err(error), took) => {
                assert!(error.is_timed_out() && took >= TIMEOUT, "{took:?}");
                return;
            }
        }
    }
}

#[test]
fn a_reserve_whose_receivers_go_does_not_begin_its_timeout_again() {
    let _watchdog = Watchdog::new();
    const TIMEOUT: Duration = Duration::from_millis(60);
    for _ in 0..20 {
        let (tx, rx) = rendezvous::<u8>();
        let result = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let start = Instant::now();
                (tx.reserve().wait_timeout(TIMEOUT).map(drop), start.elapsed())
            });
            let start = Instant::now();
            while !thread.is_finished() && start.elapsed() < PATIENCE {
                _ = poll_once(&mut rx.recv());
                progress();
                dither(20_000);
            }
            assert!(thread.is_finished(), "still waits after {:?}", start.elapsed());
            thread.join().unwrap()
        });
        assert_eq!(rx.stats().waiting_senders, 0);
        if let (Err(error), took) = result {
            assert!(error.is_timed_out() && took >= TIMEOUT, "{took:?}");
            return;
        }
    }
}

#[test]
fn a_send_of_many_has_one_timeout_for_all() {
    let _watchdog = Watchdog::new();
    for is_slow in [false, true] {
        let (tx, rx) = rendezvous();
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut n = 0;
                for value in rx.iter() {
                    assert_eq!(value, n);
                    n += 1;
                    if is_slow {
                        // The sender parks for each item, for far less than the timeout.
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                n
            });
            let (start, timeout) = (Instant::now(), Duration::from_millis(40));
            let error = tx.send_all(endless()).wait_timeout(timeout).unwrap_err();
            assert!(error.is_timed_out() && start.elapsed() >= timeout);
            let rest = error.into_rest().next().unwrap();
            tx.close();
            assert_eq!(reader.join().unwrap(), rest, "the rest begins where the reader ended");
        });
    }
}
