//! The cost of a channel that passes no items: creating it, keeping it, and waiting on it.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use crate::clock::{Clock, Spent};
use crate::heap::counted;

pub(crate) const BLOCKED: Duration = Duration::from_secs(1);

pub(crate) fn create<C>(n: u64, open: impl Fn() -> C) -> Spent {
    let clock = Clock::start();
    for _ in 0..n {
        drop(black_box(open()));
    }
    clock.stop()
}

/// Bytes and allocations of a channel, and allocations of a message.
pub(crate) fn memory<C>(open: impl Fn() -> C, pass: impl Fn(u64)) -> Vec<f64> {
    const CHANNELS: usize = 1_000;
    const MESSAGES: u64 = 20_000;
    let mut channels = Vec::with_capacity(CHANNELS);
    let made = counted(|| channels.extend((0..CHANNELS).map(|_| open())));
    drop(channels);
    let passed = |n| counted(|| pass(n)).calls as f64;
    // The difference of two runs leaves out the allocations of the parties themselves.
    let a_message = (passed(2 * MESSAGES) - passed(MESSAGES)) / MESSAGES as f64;
    let a_channel = |sum: f64| sum / CHANNELS as f64;
    vec![a_channel(made.bytes as f64), a_channel(made.calls as f64), a_message.max(0.0)]
}

/// CPU and wall time while `wait` is blocked on a thread of its own. The other end is alive and does nothing.
pub(crate) fn blocked<W: Send, O>(
    (waiter, other): (W, O),
    wait: impl FnOnce(W) + Send,
) -> Vec<f64> {
    let clock = Clock::start();
    thread::scope(|scope| _ = scope.spawn(|| wait(waiter)).join());
    drop(other);
    cpu_and_wall(clock)
}

/// Like [`blocked`], for a wait without a limit: `end` ends it after a second.
pub(crate) fn blocked_until<W: Send, O>(
    (waiter, other): (W, O),
    wait: impl FnOnce(W) + Send,
    end: impl FnOnce(O),
) -> Vec<f64> {
    let clock = Clock::start();
    thread::scope(|scope| {
        scope.spawn(|| wait(waiter));
        thread::sleep(BLOCKED); // The span that is measured, in which the other party is blocked.
        end(other);
    });
    cpu_and_wall(clock)
}

fn cpu_and_wall(clock: Clock) -> Vec<f64> {
    let spent = clock.stop();
    assert!(spent.wall >= BLOCKED, "blocked for a second");
    let mut times = spent.each(1);
    times.reverse();
    times
}
