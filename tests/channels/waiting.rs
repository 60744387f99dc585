//! What a blocked thread costs: next to no CPU time, whichever way it waits.

use std::time::{Duration, Instant};

use crate::support::thread;
use crate::support::*;
use handover::{Why, duplex, rendezvous, simplex, stream};

const BLOCKED: Duration = Duration::from_millis(500);
/// The CPU time that a blocked thread may use, for spinning a little and for parking. A spinning thread would use 500 ms.
const MOST: Duration = Duration::from_millis(10);

/// The CPU time that this thread has used, if the system tells.
fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[track_caller]
fn assert_idle(blocks: impl FnOnce()) {
    let Some(before) = cpu_time() else { return };
    blocks();
    let took = cpu_time().expect("it told before") - before;
    assert!(took < MOST, "a blocked thread used {took:?} of CPU time");
}

/// Each in a thread of its own, side by side.
fn assert_all_idle<const N: usize>(all: [Box<dyn FnOnce() + Send + '_>; N]) {
    thread::scope(|scope| {
        for blocks in all {
            scope.spawn(move || assert_idle(blocks));
        }
    });
}

#[test]
fn a_receive_with_a_timeout_costs_nothing() {
    let _dog = Watchdog::new();
    let (_server, mut client) = simplex::<u8>();
    let (_writer, mut reader) = stream::<u8>();
    assert_all_idle([
        Box::new(|| assert!(client.recv().wait_timeout(BLOCKED).unwrap_err().is_timed_out())),
        Box::new(|| assert!(reader.read(2).wait_timeout(BLOCKED).unwrap_err().is_timed_out())),
    ]);
}

#[test]
fn a_send_with_a_deadline_costs_nothing() {
    let _dog = Watchdog::new();
    let (mut server, _client) = simplex();
    let (mut writer, _reader) = stream();
    let deadline = Instant::now() + BLOCKED;
    assert_all_idle([
        Box::new(|| assert!(server.send(1).wait_deadline(deadline).unwrap_err().is_timed_out())),
        Box::new(|| assert!(writer.write(0..5).wait_timeout(BLOCKED).unwrap_err().is_timed_out())),
    ]);
}

#[test]
fn a_wait_without_end_costs_nothing() {
    let _dog = Watchdog::new();
    let (server, mut client) = duplex::<u8, u8>();
    let (mut pause, paused) = simplex::<()>();
    let blocked = thread::spawn(move || {
        assert_idle(|| assert!(client.exchange(1).wait().unwrap_err().is_end()))
    });
    until(|| peer_waits(&server));
    // A send to a second channel, from which nobody receives, keeps the time.
    assert!(pause.send(()).wait_timeout(BLOCKED).unwrap_err().is_timed_out());
    drop((server, paused));
    blocked.join().unwrap();
}

#[test]
fn many_to_many_a_timeout_costs_nothing_in_each_kind_of_wait() {
    let _dog = Watchdog::new();
    let channels: [_; 5] = std::array::from_fn(|_| rendezvous());
    let [(_tx, rx), (tx, _rx), (all, _all), (wants, _wanted), (_other, watched)] = &channels;
    assert_all_idle([
        Box::new(|| assert!(rx.recv().wait_timeout(BLOCKED).unwrap_err().is_timed_out())),
        Box::new(|| assert!(tx.send(1).wait_timeout(BLOCKED).unwrap_err().is_timed_out())),
        Box::new(|| {
            assert!(all.send_all([1, 2]).wait_timeout(BLOCKED).unwrap_err().is_timed_out())
        }),
        Box::new(|| assert!(wants.reserve().wait_timeout(BLOCKED).unwrap_err().is_timed_out())),
        Box::new(|| assert!(watched.closed().wait_timeout(BLOCKED).unwrap_err().is_timed_out())),
    ]);
}

#[test]
fn many_to_many_a_wait_without_end_costs_nothing_in_each_kind_of_wait() {
    let _dog = Watchdog::new();
    let (receivers, senders) = (rendezvous::<u8>(), rendezvous::<u8>());
    let (mut pause, _paused) = simplex::<()>();
    thread::scope(|scope| {
        let ((tx, rx), (full, _empty)) = (&receivers, &senders);
        for n in 0..4 {
            scope.spawn(move || {
                assert_idle(|| match n {
                    0 => assert!(rx.iter().next().is_none()),
                    1 => assert_eq!(rx.closed().wait(), Ok(Why::Closed)),
                    2 => assert!(pollster::block_on(rx.recv()).unwrap_err().is_end()),
                    _ => assert!(rx.recv().wait().unwrap_err().is_end()),
                });
            });
            scope.spawn(move || {
                assert_idle(|| match n {
                    0 => assert!(full.send_all([1, 2]).wait().is_err()),
                    1 => assert!(full.reserve().wait().is_err()),
                    2 => assert!(pollster::block_on(full.send(1)).unwrap_err().is_end()),
                    _ => assert!(full.send(1).wait().unwrap_err().is_end()),
                });
            });
        }
        until(|| tx.stats().waiting_receivers == 3 && full.stats().waiting_senders == 4);
        assert!(pause.send(()).wait_timeout(BLOCKED).unwrap_err().is_timed_out());
        tx.close();
        full.close();
    });
}
