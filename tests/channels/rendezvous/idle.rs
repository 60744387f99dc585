//! A blocked thread sleeps, whatever else waits on its channels, as long as nothing happens there.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Waker;
use std::time::Duration;

use handover::{Receiver, Sender, rendezvous, select};

use crate::support::poll_with;
use crate::support::thread;
use crate::support::watch::watched;

/// How long a thread is watched.
const QUIET: Duration = Duration::from_millis(300);
/// A thread that looks again each millisecond wakes up 300 times. What it may is to park, and to find that nothing is there.
const MOST_WAKE_UPS: u64 = 20;
/// A thread that spins takes all the time, or its share of a busy machine.
const MOST_CPU: Duration = Duration::from_millis(30);

/// How often this thread has gone to sleep, and the CPU time that it has used, if the system tells.
fn usage() -> Option<(u64, Duration)> {
    let status = std::fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let cpu = stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)?;
    Some((line.trim().parse().ok()?, cpu))
}

type Ends = (Sender<u8>, Receiver<u8>);

/// Polls once, and keeps it if it waits.
fn keep<'a, F: Future + Unpin + 'a>(mut future: F, kept: &mut Vec<Box<dyn FnOnce() + 'a>>)
where
    F::Output: 'a,
{
    if poll_with(&mut future, Waker::noop()).is_pending() {
        kept.push(Box::new(move || drop(future)));
    }
}

/// What is kept, on the first channel.
const KEPT: [(&str, for<'a> fn(&'a Ends, &'a Ends, &mut Vec<Box<dyn FnOnce() + 'a>>)); 16] = [
    ("nothing", |_, _, _| {}),
    ("a recv", |a, _, kept| keep(a.1.recv(), kept)),
    ("three recvs", |a, _, kept| (0..3).for_each(|_| keep(a.1.recv(), kept))),
    ("a send", |a, _, kept| keep(a.0.send(1), kept)),
    ("a send_all", |a, _, kept| keep(a.0.send_all([1, 2]), kept)),
    ("a reserve", |a, _, kept| keep(a.0.reserve(), kept)),
    ("a closed", |a, _, kept| keep(a.0.closed(), kept)),
    ("a recv, called for a send", |a, _, kept| {
        keep(a.1.recv(), kept);
        keep(a.0.send(1), kept);
    }),
    ("two recvs, one of them called for a send", |a, _, kept| {
        keep(a.1.recv(), kept);
        keep(a.1.recv(), kept);
        keep(a.0.send(1), kept);
    }),
    ("a recv, called for a send that has gone", |a, _, kept| {
        keep(a.1.recv(), kept);
        let mut gone = Vec::new();
        keep(a.0.send(1), &mut gone);
        drop(gone);
    }),
    ("a recv, granted to a reserve", |a, _, kept| {
        keep(a.0.reserve(), kept);
        keep(a.1.recv(), kept);
    }),
    ("a recv, granted to a reserve, and a send", |a, _, kept| {
        keep(a.0.reserve(), kept);
        keep(a.1.recv(), kept);
        keep(a.0.send(1), kept);
    }),
    ("a select of both", |a, _, kept| keep(select((a.0.send(1), a.1.recv())), kept)),
    ("a select of reserve and recv", |a, _, kept| {
        keep(select((a.0.reserve(), a.1.recv())), kept);
    }),
    ("a select of two recvs of the channel", |a, _, kept| {
        keep(select((a.1.recv(), a.1.recv())), kept);
    }),
    ("a select across two channels", |a, b, kept| {
        keep(select((a.0.send(1), b.1.recv())), kept);
    }),
];

/// What a thread blocks in; the end of the channels is what ends it.
const BLOCKED: [(&str, fn(&Ends, &Ends, Duration)); 25] = [
    ("recv", |a, _, d| _ = a.1.recv().wait_timeout(d)),
    ("recv, without a deadline", |a, _, _| _ = a.1.recv().wait()),
    ("an iterator", |a, _, _| _ = a.1.iter().next()),
    ("send", |a, _, d| _ = a.0.send(2).wait_timeout(d)),
    ("send, without a deadline", |a, _, _| _ = a.0.send(2).wait()),
    ("send_all", |a, _, d| _ = a.0.send_all([2, 3]).wait_timeout(d)),
    ("reserve", |a, _, d| _ = a.0.reserve().wait_timeout(d).is_ok()),
    ("closed", |a, _, d| _ = a.0.closed().wait_timeout(d)),
    ("a select of send and recv", |a, _, d| {
        _ = select((a.0.send(2), a.1.recv())).wait_timeout(d);
    }),
    ("a select of send and recv, without a deadline", |a, _, _| {
        _ = select((a.0.send(2), a.1.recv())).wait();
    }),
    ("a select of recv and send", |a, _, _| _ = select((a.1.recv(), a.0.send(2))).biased().wait()),
    ("a select of reserve and recv", |a, _, d| {
        _ = select((a.0.reserve(), a.1.recv())).wait_timeout(d).is_some();
    }),
    ("a select of two sends and a recv", |a, _, d| {
        _ = select((a.0.send(2), a.0.send(3), a.1.recv())).wait_timeout(d);
    }),
    ("a select of a send and two recvs", |a, _, d| {
        _ = select((a.0.send(2), a.1.recv(), a.1.recv())).wait_timeout(d);
    }),
    ("a select of two recvs", |a, b, d| _ = select((a.1.recv(), b.1.recv())).wait_timeout(d)),
    ("a select of two sends", |a, b, d| _ = select((a.0.send(2), b.0.send(2))).wait_timeout(d)),
    ("a select of a send here and a recv there", |a, b, d| {
        _ = select((a.0.send(2), b.1.recv())).wait_timeout(d);
    }),
    ("a select of a recv here and a send there", |a, b, d| {
        _ = select((a.1.recv(), b.0.send(2))).wait_timeout(d);
    }),
    ("a select of all on two channels", |a, b, d| {
        let on_a = (a.0.send(2), a.1.recv(), a.0.closed());
        _ = select((on_a.0, on_a.1, on_a.2, b.0.send(2), b.1.recv(), b.0.reserve()))
            .wait_timeout(d)
            .is_some();
    }),
    ("a select of a send_all and a recv", |a, _, d| {
        _ = select((a.0.send_all([2, 3]), a.1.recv())).wait_timeout(d);
    }),
    ("the executor of a recv", |a, _, _| _ = pollster::block_on(a.1.recv())),
    ("the executor of a send", |a, _, _| _ = pollster::block_on(a.0.send(2))),
    ("the executor of a reserve", |a, _, _| _ = pollster::block_on(a.0.reserve()).is_ok()),
    ("the executor of a select of send and recv", |a, _, _| {
        _ = pollster::block_on(select((a.0.send(2), a.1.recv())));
    }),
    ("the executor of a select of all on two channels", |a, b, _| {
        let on_a = (a.0.send(2), a.1.recv(), a.0.reserve());
        let choice = select((on_a.0, on_a.1, on_a.2, b.0.send(2), b.1.recv()));
        _ = pollster::block_on(choice);
    }),
];

/// Each row has channels of its own. A row in which the two meet is over at once, and has nothing to sleep for.
fn watch_rows(thread_count: usize) {
    if usage().is_none() {
        return;
    }
    let rows: Vec<_> = (0..KEPT.len())
        .flat_map(|kept| (0..BLOCKED.len()).map(move |blocked| (kept, blocked)))
        .map(|(kept, blocked)| (kept, blocked, rendezvous(), rendezvous()))
        .collect();
    let mut restless = BTreeMap::new();
    // A part at a time: so many that wake up again and again disturb the others.
    for rows in rows.chunks(100) {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let mut kept = Vec::new();
            for (what, _, a, b) in rows {
                KEPT[*what].1(a, b, &mut kept);
            }
            let threads: Vec<_> = rows
                .iter()
                .flat_map(|row| (0..thread_count).map(move |_| row))
                .map(|(kept, blocked, a, b)| {
                    let is_over = &is_over;
                    scope.spawn(move || {
                        let before = usage().unwrap();
                        BLOCKED[*blocked].1(a, b, 4 * QUIET);
                        let after = usage().unwrap();
                        let used = (after.0 - before.0, after.1 - before.1);
                        let has_slept = is_over.load(SeqCst);
                        (KEPT[*kept].0, BLOCKED[*blocked].0, has_slept, used)
                    })
                })
                .collect();
            // The span in which the blocked threads' wake-ups are counted.
            thread::sleep(QUIET);
            is_over.store(true, SeqCst);
            for (_, _, a, b) in rows {
                a.0.close();
                b.0.close();
            }
            for thread in threads {
                let (kept, blocked, has_slept, (wake_ups, cpu)) = thread.join().unwrap();
                if has_slept && (wake_ups > MOST_WAKE_UPS || cpu > MOST_CPU) {
                    restless.insert(format!("{blocked}, beside {kept}"), (wake_ups, cpu));
                }
            }
        });
    }
    assert!(
        restless.is_empty(),
        "{} of {} rows, wake-ups and CPU time in {QUIET:?}: {restless:#?}",
        restless.len(),
        KEPT.len() * BLOCKED.len()
    );
}

#[test]
fn a_blocked_thread_sleeps_whatever_is_kept_beside_it() {
    watched(|_| watch_rows(1));
}

#[test]
fn two_threads_blocked_in_the_same_way_sleep_whatever_is_kept_beside_them() {
    watched(|_| watch_rows(2));
}

/// A thread that once gave a notified task its time, and then took the value, sleeps in its next receive.
#[test]
fn an_iterator_that_was_patient_once_sleeps_again() {
    watched(|_| {
        let (tx, rx) = rendezvous();
        let mut kept = rx.recv();
        assert!(poll_with(&mut kept, Waker::noop()).is_pending());
        let has_first = AtomicBool::new(false);
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let mut values = rx.iter();
                assert_eq!(values.next(), Some(1));
                has_first.store(true, SeqCst);
                let before = usage();
                assert_eq!(values.next(), None);
                before.zip(usage())
            });
            let mut send = tx.send(1);
            _ = poll_with(&mut send, Waker::noop());
            while !has_first.load(SeqCst) {
                thread::yield_now();
            }
            thread::sleep(QUIET);
            tx.close();
            if let Some((before, after)) = thread.join().unwrap() {
                assert!(after.0 - before.0 <= MOST_WAKE_UPS, "{} wake-ups", after.0 - before.0);
                assert!(after.1 - before.1 <= MOST_CPU, "{:?} of CPU time", after.1 - before.1);
            }
        });
    });
}
