//! What a receive may cost the others that is kept by its owner and never polled: one offer, and that only until it is withdrawn,
//! taken by somebody else, or until somebody else begins to wait.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_core::Stream;
use handover::{Receiver, Sel2, Sender, never, rendezvous, select};

use crate::support::thread;
use crate::support::watch::watched;
use crate::support::{Bell, pend, poll_once, poll_with, ready};

/// A future or stream that was polled once, and is kept.
type Kept<'a> = Box<dyn FnMut(&Waker) -> Poll<Option<u64>> + 'a>;

/// Every way in which a task waits for a value.
fn forms_of_receiving(rx: &Receiver<u64>) -> Vec<(&'static str, Kept<'_>)> {
    let mut recv = rx.recv();
    let mut stream = rx.stream();
    let mut owned = rx.clone().into_stream();
    let mut choice = select((rx.recv(), rx.closed()));
    let mut arms = select(vec![rx.recv()]);
    vec![
        ("recv", Box::new(move |waker| poll_with(&mut recv, waker).map(Result::ok))),
        (
            "a stream",
            Box::new(move |waker| Pin::new(&mut stream).poll_next(&mut Context::from_waker(waker))),
        ),
        (
            "an owned stream",
            Box::new(move |waker| Pin::new(&mut owned).poll_next(&mut Context::from_waker(waker))),
        ),
        (
            "a tuple of a select",
            Box::new(move |waker| {
                poll_with(&mut choice, waker).map(|chosen| match chosen {
                    Sel2::A(got) => got.ok(),
                    Sel2::B(_) => None,
                })
            }),
        ),
        (
            "a vector of a select",
            Box::new(move |waker| poll_with(&mut arms, waker).map(|(_, got)| got.ok())),
        ),
    ]
}

/// Every way in which an offer goes away without the kept receive.
const WITHDRAWALS: [(&str, fn(&Sender<u64>, &Receiver<u64>)); 13] = [
    ("polled and dropped", |tx, _| drop(polled(tx.send(0)))),
    ("reclaimed", |tx, _| assert_eq!(polled(tx.send(0)).reclaim(), Some(0))),
    ("polled, then now", |tx, _| assert!(polled(tx.send(0)).now().is_err())),
    ("out of time", |tx, _| {
        assert!(tx.send(0).wait_timeout(Duration::from_millis(1)).is_err());
    }),
    ("past its deadline", |tx, _| assert!(tx.send(0).wait_deadline(Instant::now()).is_err())),
    ("one of many, dropped", |tx, _| drop(polled(tx.send_all([0, 0])))),
    ("one of many, out of time", |tx, _| {
        assert!(tx.send_all([0, 0]).wait_timeout(Duration::from_millis(1)).is_err());
    }),
    ("in a select that is dropped", |tx, _| drop(polled(select((tx.send(0), tx.closed()))))),
    ("in a select that is out of time", |tx, _| {
        let choice = select((tx.send(0), tx.closed()));
        assert!(choice.wait_timeout(Duration::from_millis(1)).is_none());
    }),
    ("in a select, polled, then now", |tx, _| {
        assert!(polled(select((tx.send(0), tx.closed()))).now().is_none());
    }),
    ("borrowed by a select that is out of time", |tx, _| {
        let mut send = tx.send(0);
        let choice = select((&mut send, tx.closed()));
        assert!(choice.wait_timeout(Duration::from_millis(1)).is_none());
        assert_eq!(send.reclaim(), Some(0));
    }),
    ("in a select that another arm won", |tx, _| {
        let (other, others) = rendezvous();
        let mut choice = select((tx.send(0), others.recv()));
        pend(&mut choice);
        let mut send = other.send(1);
        pend(&mut send);
        assert!(matches!(ready(&mut choice), Sel2::B(Ok(1))));
    }),
    ("taken by another receiver", |tx, rx| {
        let mut send = tx.send(0);
        pend(&mut send);
        assert_eq!(rx.recv().now(), Ok(0));
        ready(&mut send).unwrap();
    }),
];

fn polled<F: Future + Unpin>(mut future: F) -> F {
    pend(&mut future);
    future
}

/// An offer that goes away was the one that the kept receive may delay; the next one is for the task that is polled.
#[test]
fn a_kept_receive_delays_no_offer_after_the_one_that_went_away() {
    let (mut rows, mut wrong) = (0, Vec::new());
    for (withdrawal, withdraw) in WITHDRAWALS {
        let forms = forms_of_receiving(&rendezvous().1).len();
        for (kept_form, live_form) in (0..forms).flat_map(|a| (0..forms).map(move |b| (a, b))) {
            let (tx, rx) = rendezvous();
            let (kept_name, mut kept) = forms_of_receiving(&rx).swap_remove(kept_form);
            assert!(kept(Waker::noop()).is_pending());
            let (live_name, mut live) = forms_of_receiving(&rx).swap_remove(live_form);
            let (bell, waker) = Bell::new();
            assert!(live(&waker).is_pending());
            withdraw(&tx, &rx);
            rows += 1;
            // It may have been woken for the offer that has gone; it finds nothing then.
            if bell.rings() > 0 {
                assert!(live(&waker).is_pending());
            }
            let mut send = tx.send(5);
            pend(&mut send);
            if bell.rings() == 0 {
                wrong.push(format!("{withdrawal}; {kept_name} is kept, {live_name} sleeps"));
                continue;
            }
            assert_eq!(live(&waker), Poll::Ready(Some(5)));
            ready(&mut send).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{} of {rows}: {wrong:#?}", wrong.len());
}

/// As it is met: a task awaits on another thread, and sends with a timeout come one after the other.
#[test]
fn a_task_that_is_polled_gets_the_offers_that_a_kept_receive_does_not_take() {
    watched(|progress| {
        for in_select in [false, true] {
            let (tx, rx) = rendezvous();
            let mut kept = rx.recv();
            pend(&mut kept);
            thread::scope(|scope| {
                let live = rx.clone();
                scope.spawn(move || {
                    pollster::block_on(async { while live.recv().await.is_ok() {} });
                });
                while tx.stats().waiting_receivers < 2 {
                    thread::yield_now();
                }
                let send = |value, timeout| {
                    if in_select {
                        let choice = select((tx.send(value), tx.closed()));
                        choice.wait_timeout(timeout).is_some()
                    } else {
                        tx.send(value).wait_timeout(timeout).is_ok()
                    }
                };
                // This one may be delayed.
                send(0, Duration::from_millis(100));
                for value in 1..8 {
                    // So long that no busy machine makes it too short; without the kept receive it takes no time.
                    let is_sent = send(value, Duration::from_secs(10));
                    if !is_sent {
                        tx.close();
                    }
                    assert!(is_sent, "send {value}, in a select: {in_select}");
                    progress.step();
                }
                tx.close();
            });
        }
    });
}

#[test]
fn so_many_kept_receives_delay_so_many_offers_at_the_most() {
    for kept in [1, 2, 10] {
        let (tx, rx) = rendezvous();
        let mut receives: Vec<_> = (0..kept).map(|_| rx.recv()).collect();
        receives.iter_mut().for_each(pend);
        let (bell, waker) = Bell::new();
        let mut live = rx.recv();
        assert!(poll_with(&mut live, &waker).is_pending());
        let mut delayed = 0;
        let sent = loop {
            let mut send = tx.send(5_u64);
            pend(&mut send);
            if bell.rings() > 0 {
                break send;
            }
            drop(send);
            delayed += 1;
            assert!(delayed <= kept, "{kept} kept receives delayed {delayed} offers");
        };
        assert_eq!(ready(&mut live), Ok(5));
        drop(sent);
    }
}

/// It is passed over only until it is polled: then it stands where it stood, before those who came later.
#[test]
fn a_kept_receive_that_is_polled_again_has_its_turn_again() {
    for (withdrawal, withdraw) in WITHDRAWALS {
        let (tx, rx) = rendezvous();
        let (first_bell, first_waker) = Bell::new();
        let mut first = rx.recv();
        assert!(poll_with(&mut first, &first_waker).is_pending());
        let (second_bell, second_waker) = Bell::new();
        let mut second = rx.recv();
        assert!(poll_with(&mut second, &second_waker).is_pending());
        withdraw(&tx, &rx);
        // Both look, and find nothing.
        assert!(poll_with(&mut second, &second_waker).is_pending(), "{withdrawal}");
        assert!(poll_with(&mut first, &first_waker).is_pending(), "{withdrawal}");
        first_bell.rings();
        second_bell.rings();
        let mut send = tx.send(5);
        pend(&mut send);
        assert_eq!(first_bell.rings(), 1, "{withdrawal}: it came first");
        assert_eq!(ready(&mut first), Ok(5), "{withdrawal}");
    }
}

/// What begins to wait while an offer is delayed.
#[test]
fn whatever_begins_to_wait_passes_a_delayed_offer_on_at_once() {
    let names =
        ["recv", "send", "send_all", "reserve", "closed", "closed of the receivers", "select"];
    let mut wrong = Vec::new();
    for name in names {
        let (tx, rx) = rendezvous();
        let mut kept = rx.recv();
        pend(&mut kept);
        let (bell, waker) = Bell::new();
        let mut live = rx.recv();
        assert!(poll_with(&mut live, &waker).is_pending());
        let mut send = tx.send(1);
        pend(&mut send);
        if bell.rings() > 0 {
            // It was not delayed at all.
            assert_eq!(ready(&mut live), Ok(1));
            continue;
        }
        let (mut recv, mut more) = (rx.recv(), tx.send(2));
        let (mut all, mut reserve) = (tx.send_all([2]), tx.reserve());
        let (mut closed, mut left) = (tx.closed(), rx.closed());
        let quiet = never::<u8>();
        let mut choice = select((rx.recv(), quiet.recv()));
        let newcomer_has_it = match name {
            "recv" => poll_once(&mut recv) == Poll::Ready(Ok(1)),
            "send" => poll_once(&mut more).is_ready(),
            "send_all" => poll_once(&mut all).is_ready(),
            "reserve" => poll_once(&mut reserve).is_ready(),
            "closed" => poll_once(&mut closed).is_ready(),
            "closed of the receivers" => poll_once(&mut left).is_ready(),
            _ => matches!(poll_once(&mut choice), Poll::Ready(Sel2::A(Ok(1)))),
        };
        let live_has_it = !newcomer_has_it
            && bell.rings() > 0
            && poll_with(&mut live, &waker) == Poll::Ready(Ok(1));
        if !newcomer_has_it && !live_has_it {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "these left the offer to the kept receive: {wrong:?}");
}

/// A receiver that comes alone takes what is only delayed, whatever its form.
#[test]
fn a_receive_that_comes_later_takes_an_offer_that_a_kept_one_delays() {
    let mut wrong = Vec::new();
    for form in 0..forms_of_receiving(&rendezvous().1).len() {
        let (tx, rx) = rendezvous();
        let mut kept = rx.recv();
        pend(&mut kept);
        let mut send = tx.send(1);
        pend(&mut send);
        let (name, mut receive) = forms_of_receiving(&rx).swap_remove(form);
        let (bell, waker) = Bell::new();
        let mut polled = receive(&waker);
        if polled.is_pending() && bell.rings() > 0 {
            polled = receive(&waker);
        }
        if polled != Poll::Ready(Some(1)) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "these do not get it: {wrong:?}");
}

/// How long a thread takes to receive `n` offers that stand, with as many kept receives before it.
fn time_to_receive(n: u64, is_kept: bool, way: usize) -> Duration {
    let (tx, rx) = rendezvous();
    let mut kept: Vec<_> = (0..n).map(|_| rx.recv()).collect();
    if is_kept {
        kept.iter_mut().for_each(pend);
    }
    let mut sends: Vec<_> = (0..n).map(|value| tx.send(value)).collect();
    sends.iter_mut().for_each(pend);
    let long = Duration::from_secs(60);
    let start = Instant::now();
    match way {
        0 => (0..n).for_each(|value| assert_eq!(rx.recv().wait(), Ok(value))),
        1 => (0..n).for_each(|value| assert_eq!(rx.recv().wait_timeout(long), Ok(value))),
        2 => assert!(rx.iter().take(n as usize).eq(0..n)),
        3 => (0..n).for_each(|value| {
            let choice = select((rx.recv(), rx.closed()));
            assert!(matches!(choice.wait(), Sel2::A(Ok(got)) if got == value));
        }),
        _ => (0..n).for_each(|value| assert_eq!(rx.recv().now(), Ok(value))),
    }
    start.elapsed()
}

/// A thousand offers, each delayed by a receive of its own, in well below a thousand milliseconds.
#[test]
fn a_thread_receives_at_once_what_a_thousand_kept_receives_delay() {
    watched(|progress| {
        const N: u64 = 1_000;
        let names = ["wait", "wait_timeout", "iter", "select", "now"];
        let mut wrong = Vec::new();
        for (way, name) in names.into_iter().enumerate() {
            progress.doing(name);
            let measure = |is_kept| (0..3).map(|_| time_to_receive(N, is_kept, way)).min().unwrap();
            let (alone, beside) = (measure(false), measure(true));
            // Tens of times of what it takes without them, or six tenths of a millisecond each (a patience of a millisecond for each of them fails).
            let most = (50 * alone).max(Duration::from_micros(600) * N as u32);
            if beside > most {
                wrong.push(format!("{name}: {beside:?}, without kept receives {alone:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

/// Also when the offers come one by one, while the thread waits for them.
#[test]
fn a_waiting_thread_is_kept_by_each_kept_receive_once_at_the_most() {
    watched(|progress| {
        const N: u64 = 1_000;
        let run = |kept: u64| {
            let (tx, rx) = rendezvous();
            let mut receives: Vec<_> = (0..kept).map(|_| rx.recv()).collect();
            receives.iter_mut().for_each(pend);
            let start = Instant::now();
            thread::scope(|scope| {
                scope.spawn(|| (0..N).for_each(|value| tx.send(value).wait().unwrap()));
                (0..N).for_each(|value| assert_eq!(rx.recv().wait(), Ok(value)));
            });
            progress.step();
            start.elapsed()
        };
        // A machine with other work may slow any run down, but not each of ten.
        let is_bounded = (0..10).any(|_| {
            let (alone, beside) = (run(0), run(N));
            beside <= (50 * alone).max(Duration::from_micros(600) * N as u32)
        });
        assert!(is_bounded, "each kept receive keeps it waiting, again and again");
    });
}

/// Two offers are delayed by two kept receives, a thread waits, and behind it a thread in a select. A send that does not wait gives
/// the first offer to the thread; whatever begins to wait then passes the other one on to the select.
#[test]
fn a_thread_in_a_select_gets_what_a_send_at_once_has_left() {
    watched(|progress| {
        for newcomer in ["closed", "send"] {
            for _ in 0..20 {
                progress.doing(newcomer);
                let (tx, rx) = rendezvous();
                let quiet = never::<u8>();
                let mut kept = [rx.recv(), rx.recv()];
                kept.iter_mut().for_each(pend);
                thread::scope(|scope| {
                    let first = scope.spawn(|| rx.recv().wait());
                    while tx.stats().waiting_receivers < 3 {
                        thread::yield_now();
                    }
                    let second = scope.spawn(|| select((rx.recv(), quiet.recv())).wait());
                    while tx.stats().waiting_receivers < 4 {
                        thread::yield_now();
                    }
                    // Only what it does when it sleeps is looked at here; it is right at any other time, too.
                    thread::sleep(Duration::from_millis(1));
                    let mut sends = [tx.send(1), tx.send(2)];
                    sends.iter_mut().for_each(|send| _ = poll_once(send));
                    _ = tx.send(3).now();
                    let (mut closed, mut send) = (tx.closed(), tx.send(4));
                    match newcomer {
                        "closed" => _ = poll_once(&mut closed),
                        _ => _ = poll_once(&mut send),
                    }
                    assert!(first.join().unwrap().is_ok());
                    assert!(matches!(second.join().unwrap(), Sel2::A(Ok(_))));
                });
            }
        }
    });
}

/// A thread was woken for an offer that is left to a kept receive, and is reserved before it may take it. When the permit is dropped it
/// is woken again.
#[test]
fn a_thread_that_was_kept_for_a_permit_takes_what_a_kept_receive_leaves() {
    watched(|progress| {
        // In a round in which it takes the offer before it can be reserved, nothing is tried.
        for _ in 0..50 {
            let (tx, rx) = rendezvous();
            let mut kept = rx.recv();
            pend(&mut kept);
            thread::scope(|scope| {
                let thread = scope.spawn(|| rx.recv().wait());
                while tx.stats().waiting_receivers < 2 {
                    thread::yield_now();
                }
                // The two pauses lead to the interleaving that is looked at; what is asserted is right in any other one, too.
                thread::sleep(Duration::from_millis(2)); // The thread parks.
                let mut send = tx.send(1);
                _ = poll_once(&mut send); // On a busy machine the thread may have taken it by now.
                let permit = tx.reserve().now();
                thread::sleep(Duration::from_millis(3)); // It attempts once more, and finds itself reserved.
                drop(permit);
                assert_eq!(thread.join().unwrap(), Ok(1));
            });
            progress.step();
        }
    });
}
