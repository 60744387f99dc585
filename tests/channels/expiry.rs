//! Faults that were once planted and that no test noticed: each has a test here.

use std::cell::RefCell;
use std::iter;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;
use handover::{Sel2, Why, generate, never, rendezvous, select};

use crate::support::thread;
use crate::support::watch::watched;
use crate::support::{
    Bell, Hook, Moment, Stress, dither, panics, pend, poll_once, poll_with, quiet_panic,
};

// ---- a send whose value was taken between the last look and the end of its time

/// The receiver is woken by the last look itself, and takes the value there.
#[test]
fn a_send_whose_value_is_taken_during_the_last_look_of_now_says_ok() {
    watched(|_| {
        let (tx, rx) = rendezvous();
        let quiet = never::<u8>();
        let receiver = Arc::new(Mutex::new(rx.into_stream()));
        let got = Arc::new(Mutex::new(None));

        // The receiver takes whatever is there as soon as it is woken.
        let its = Hook::new();
        let take = {
            let (receiver, got) = (Arc::clone(&receiver), Arc::clone(&got));
            move || {
                let mut receiver = receiver.lock().unwrap();
                let polled = Pin::new(&mut *receiver)
                    .poll_next(&mut Context::from_waker(std::task::Waker::noop()));
                if let Poll::Ready(Some(value)) = polled {
                    *got.lock().unwrap() = Some(value);
                }
            }
        };
        its.set(Moment::Wake, take);

        // While a select looks through its arms, the receiver comes and must pass its offer by; then the select breaks off.
        let mut send = tx.send(7);
        let choosers = Hook::new();
        let waker = choosers.waker();
        let mut choice = select((&mut send, quiet.recv())).biased();
        let arrive = {
            let (receiver, its) = (Arc::clone(&receiver), its.waker());
            move || {
                // The first copy is for the offer, the second one for the other arm.
                let mut receiver = receiver.lock().unwrap();
                let polled = Pin::new(&mut *receiver).poll_next(&mut Context::from_waker(&its));
                assert!(polled.is_pending());
                drop(receiver);
                quiet_panic();
            }
        };
        let hook = Arc::clone(&choosers);
        let mut second = Some(arrive);
        choosers.set(Moment::Clone, move || {
            let arrive = second.take().unwrap();
            hook.set(Moment::Clone, arrive);
        });
        let broke_off = panics(|| poll_with(&mut choice, &waker).is_pending());
        mem::forget(choice);

        let sent = send.now();
        let got = *got.lock().unwrap();
        assert!(broke_off, "the select was to break off in the middle of its look");
        match got {
            Some(value) => {
                assert_eq!(value, 7);
                assert!(sent.is_ok(), "it was received, and the send says {sent:?}");
            }
            None => {
                let error = sent.unwrap_err();
                assert_eq!(error.into_unsent(), Some(7), "nobody received it");
            }
        }
    });
}

/// The same by chance, with threads: a rendezvous send never fails without its value.
#[test]
fn a_rendezvous_send_that_times_out_has_its_value() {
    watched(|progress| {
        let mut stress = Stress::new("a_rendezvous_send_that_times_out", Duration::from_secs(2));
        let (tx, rx) = rendezvous::<u64>();
        let received = AtomicUsize::new(0);
        let mut sent = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut its = 1_u64;
                loop {
                    its = its.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    // As a task: it is told of the offer, and takes the value when it looks.
                    let mut recv = rx.recv();
                    let got = match poll_once(&mut recv) {
                        Poll::Ready(got) => got,
                        Poll::Pending => {
                            dither((its >> 33) % 300);
                            recv.now()
                        }
                    };
                    match got {
                        Ok(_) => _ = received.fetch_add(1, SeqCst),
                        Err(error) if error.is_end() => break,
                        Err(_) => {}
                    }
                }
            });
            for round in 0..200_000 {
                if !stress.goes_on() {
                    break;
                }
                let patience = Duration::from_nanos(stress.below(3_000));
                match tx.send(round).wait_timeout(patience) {
                    Ok(()) => sent += 1,
                    Err(error) => assert_eq!(error.into_unsent(), Some(round)),
                }
                progress.step();
            }
            tx.close();
        });
        assert_eq!(sent, received.load(SeqCst));
    });
}

// ---- a select whose claim was won between its last look and the end of its time

/// The receiver comes while the select looks for the last time, is called when that look is over, and takes the value at once.
#[test]
fn a_select_whose_send_is_taken_at_the_end_of_its_last_look_says_so() {
    watched(|_| {
        let (tx, rx) = rendezvous();
        let (many, each) = rendezvous();
        let receiver = Arc::new(Mutex::new(rx.into_stream()));
        let got = Arc::new(Mutex::new(None));
        let its = Hook::new();
        let waker = its.waker();
        {
            let (receiver, got) = (Arc::clone(&receiver), Arc::clone(&got));
            its.set(Moment::Wake, move || {
                let mut receiver = receiver.lock().unwrap();
                let mut context = Context::from_waker(std::task::Waker::noop());
                if let Poll::Ready(Some(value)) = Pin::new(&mut *receiver).poll_next(&mut context) {
                    *got.lock().unwrap() = Some(value);
                }
            });
        }
        let mut made = 0;
        let items = iter::from_fn(|| {
            made += 1;
            if made == 2 {
                let mut receiver = receiver.lock().unwrap();
                let mut context = Context::from_waker(&waker);
                assert!(Pin::new(&mut *receiver).poll_next(&mut context).is_pending());
            }
            Some(made)
        });
        let mut choice = select((tx.send(7), many.send_all(items))).biased();
        pend(&mut choice);
        assert_eq!(each.recv().now(), Ok(1));
        // This look makes the second item, and with it the receiver.
        let chosen = choice.now();
        match *got.lock().unwrap() {
            Some(7) => assert!(
                matches!(chosen, Some(Sel2::A(Ok(())))),
                "the value was received, and the select says nothing of it"
            ),
            None => assert!(chosen.is_none(), "nothing was received"),
            _ => panic!("another value"),
        }
    });
}

/// The same by chance, with threads: each value of a select that timed out is received, and said to be, or neither.
#[test]
fn a_select_that_times_out_delivers_what_it_says() {
    watched(|progress| {
        let mut stress = Stress::new("a_select_that_times_out", Duration::from_secs(2));
        let (tx, rx) = rendezvous::<u64>();
        let quiet = never::<u8>();
        let received = AtomicUsize::new(0);
        let mut sent = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                while rx.recv().wait().is_ok() {
                    received.fetch_add(1, SeqCst);
                }
            });
            for round in 0..100_000 {
                if !stress.goes_on() {
                    break;
                }
                let patience = Duration::from_nanos(stress.below(6_000));
                let chosen = select((tx.send(round), quiet.recv())).wait_timeout(patience);
                sent += usize::from(matches!(chosen, Some(Sel2::A(Ok(())))));
                progress.step();
            }
            tx.close();
        });
        assert_eq!(sent, received.load(SeqCst));
    });
}

// ---- a generator whose server is polled elsewhere in the same task

/// The routine gives its server away, and goes on or returns. Another future of the task sends on it with the same waker: when
/// the consumer asks for the next item, the task is woken, so that this future is polled again.
#[test]
fn a_generator_wakes_the_other_future_of_its_task_that_has_the_server() {
    for returns in [true, false] {
        let passed = RefCell::new(None);
        let mut items = pin!(
            generate(|server| async {
                *passed.borrow_mut() = Some(server);
                if !returns {
                    std::future::pending::<()>().await;
                }
            })
            .into_stream()
        );
        let (bell, waker) = Bell::new();
        let mut context = Context::from_waker(&waker);
        assert!(items.as_mut().poll_next(&mut context).is_pending());
        let mut server = passed.borrow_mut().take().expect("the routine has run");
        for item in 0..5 {
            let mut send = server.send(item);
            assert!(poll_with(&mut send, &waker).is_pending());
            assert!(bell.rings() > 0, "the consumer is told of item {item}");
            assert_eq!(items.as_mut().poll_next(&mut context), Poll::Ready(Some(item)));
            bell.rings();
            assert!(items.as_mut().poll_next(&mut context).is_pending());
            assert!(
                bell.rings() > 0,
                "the task sleeps, and its other future has item {} to send; the routine returns: {returns}",
                item + 1
            );
            assert!(matches!(poll_with(&mut send, &waker), Poll::Ready(Ok(()))));
        }
        server.finish();
        assert!(bell.rings() > 0);
        assert_eq!(items.as_mut().poll_next(&mut context), Poll::Ready(None));
    }
}

// ---- a thread behind a task that never looks is told each time, not once

#[test]
fn a_thread_is_told_again_of_an_offer_that_a_kept_task_does_not_take() {
    watched(|progress| {
        let (tx, rx) = rendezvous();
        let is_over = AtomicBool::new(false);
        let mut kept = rx.recv();
        pend(&mut kept);
        thread::scope(|scope| {
            scope.spawn(|| {
                while rx.recv().wait().is_ok() {}
                is_over.store(true, SeqCst);
            });
            for round in 0..100 {
                while tx.stats().waiting_receivers < 2 {
                    thread::yield_now();
                }
                // The thread is told of an offer, and finds nothing.
                let mut withdrawn = tx.send(round);
                _ = poll_once(&mut withdrawn);
                drop(withdrawn);
                // Whatever it does meanwhile, it must be told of the next one. The pause lets it park, where a missed wake-up shows; no assertion needs it.
                thread::sleep(Duration::from_millis(2));
                if poll_once(&mut kept).is_ready() {
                    kept = rx.recv();
                    pend(&mut kept);
                }
                let (bell, waker) = Bell::new();
                let mut send = tx.send(round);
                let mut polled = poll_with(&mut send, &waker);
                while polled.is_pending() {
                    thread::yield_now();
                    if bell.rings() > 0 {
                        polled = poll_with(&mut send, &waker);
                    }
                }
                assert!(matches!(polled, Poll::Ready(Ok(()))));
                progress.step();
            }
            tx.close();
        });
        assert!(is_over.load(SeqCst));
    });
}

// ---- a deadline is kept although there is always news

/// The receiver is woken by each offer and takes it there and then, so that the sender finds news after each look and never parks.
#[test]
fn a_deadline_is_kept_although_each_item_is_taken_at_once() {
    /// Takes the item that is there and waits for the next one, each time it is woken.
    struct Greedy {
        stops: Instant,
        is_late: AtomicBool,
        taken: AtomicUsize,
        stream: Mutex<Option<Pin<Box<dyn Stream<Item = u64> + Send>>>>,
    }

    impl std::task::Wake for Greedy {
        fn wake(self: Arc<Self>) {
            if Instant::now() > self.stops {
                self.is_late.store(true, SeqCst);
                return;
            }
            let waker = std::task::Waker::from(Arc::clone(&self));
            let mut context = Context::from_waker(&waker);
            let mut stream = self.stream.lock().unwrap();
            let Some(stream) = stream.as_mut() else { return };
            while let Poll::Ready(Some(_)) = stream.as_mut().poll_next(&mut context) {
                self.taken.fetch_add(1, SeqCst);
            }
        }
    }

    for in_select in [false, true] {
        watched(move |_| {
            let (tx, rx) = rendezvous();
            let greedy = Arc::new(Greedy {
                // Far beyond the deadline, however busy the machine is.
                stops: Instant::now() + Duration::from_secs(20),
                is_late: AtomicBool::new(false),
                taken: AtomicUsize::new(0),
                stream: Mutex::new(Some(Box::pin(rx.into_stream()))),
            });
            std::task::Wake::wake(Arc::clone(&greedy));
            let timeout = Duration::from_millis(50);
            if in_select {
                let quiet = never::<u8>();
                let chosen = select((tx.send_all(0_u64..), quiet.recv())).wait_timeout(timeout);
                assert!(chosen.is_none());
            } else {
                let error = tx.send_all(0_u64..).wait_timeout(timeout).unwrap_err();
                assert_eq!(error.why(), Why::TimedOut);
            }
            assert!(!greedy.is_late.load(SeqCst), "the deadline passed unseen");
            assert!(greedy.taken.load(SeqCst) > 100, "there was news all the time");
            drop(greedy.stream.lock().unwrap().take());
        });
    }
}
