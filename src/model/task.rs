//! Parties of other kinds than threads, and what a party may ask of its model.

use std::panic::{self, AssertUnwindSafe, Location, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Instant;

use super::hooks::{here, party_ended, pick, sit, with_seat};
use super::run::{Doing, Name, PartyKind, Place, What};
use super::seat::{Aborted, Seat};
use super::thread::{self, JoinHandle};
use crate::wait::with_parker;

/// Registers a party now, and gives a closure that runs `f` as that party, on any thread: of a pool, of another crate.
///
/// The party is ready at once; the model waits for its thread where it is chosen. If no thread ever runs it, and it is waited for, the report names it. On a thread that is a party
/// already, `f` runs as that party. Outside of a model the closure is `f`.
///
/// ```
/// use handover::model::{self, Schedule};
/// use handover::rendezvous;
///
/// let got = model::check(&Schedule::random(1, 10), || {
///     let (tx, rx) = rendezvous();
///     let job = model::party("a job", move || tx.send(1).wait());
///     let pool = std::thread::spawn(job); // as a pool would run it
///     let got = rx.recv().wait();
///     drop(pool);
///     got
/// });
/// assert_eq!(got.unwrap(), Ok(1));
/// ```
#[track_caller]
pub fn party<R, F: FnOnce() -> R>(name: &str, f: F) -> impl FnOnce() -> R + use<R, F> {
    let at = Location::caller();
    let registered = here().map(|spawner| {
        let seat = spawner.run.add(Some(name.to_string()), PartyKind::Foreign, at);
        thread::note_spawn(&spawner, &seat, at);
        Registered(Some(seat))
    });
    move || match registered {
        Some(registered) => registered.run(f),
        None => f(),
    }
}

/// A party whose thread has not come yet.
struct Registered(Option<Seat>);

impl Registered {
    fn run<R>(mut self, f: impl FnOnce() -> R) -> R {
        let Some(seat) = self.0.take() else { return f() };
        if here().is_some() {
            seat.vanish();
            return f();
        }
        let was = sit(Some(seat.clone()));
        seat.arrive();
        seat.wait_turn();
        let result = catch_unwind(AssertUnwindSafe(|| {
            if seat.run.is_ending() {
                drop(f);
                panic::resume_unwind(Box::new(Aborted));
            }
            f()
        }));
        let result = result.map_err(|payload| party_ended(&seat, payload));
        seat.leave();
        sit(was);
        match result {
            Ok(result) => result,
            Err(payload) => panic::resume_unwind(payload),
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(seat) = self.0.take() {
            seat.vanish();
        }
    }
}

/// Starts a task: a party that drives a future. Outside of a model it gets a thread of its own.
///
/// The handle can be joined, or awaited: then it gives what [`join`](thread::JoinHandle::join) gives.
///
/// # Panics
///
/// If the system cannot start a thread.
///
/// ```
/// use handover::model::{self, Schedule};
/// use handover::rendezvous;
///
/// let got = model::check(&Schedule::random(1, 10), || {
///     let (tx, rx) = rendezvous();
///     let sender = model::spawn_async("sender", async move { tx.send(1).await });
///     let got = model::block_on(rx.recv());
///     sender.join().unwrap().unwrap();
///     got
/// });
/// assert_eq!(got.unwrap(), Ok(1));
/// ```
#[track_caller]
pub fn spawn_async<F>(name: &str, f: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let at = Location::caller();
    let run = move || block_on_at(at, f);
    thread::start(thread::Builder::new().name(name.to_string()), PartyKind::Task, at, run)
        .expect("failed to spawn thread")
}

/// Drives a future on this thread until it is done.
///
/// In a model the `block_on` of another crate would wait where the model does not see it.
///
/// ```
/// assert_eq!(handover::model::block_on(async { 1 + 1 }), 2);
/// ```
#[track_caller]
pub fn block_on<F: Future>(f: F) -> F::Output {
    block_on_at(Location::caller(), f)
}

fn block_on_at<F: Future>(at: Place, f: F) -> F::Output {
    let mut future = pin!(f);
    let seat = here();
    // A `block_on` in a poll of another one must leave the operations of that.
    let outer = seat.as_ref().map(|seat| {
        let mut state = seat.run.state();
        let doing = &mut state.parties[seat.party].doing;
        let name = Name::Method("block_on");
        doing.push(Doing { name, at, targets: Vec::new(), is_polled: false });
        doing.len()
    });
    let output = with_parker(|parker, waker| {
        let mut context = Context::from_waker(waker);
        loop {
            if let (Some(seat), Some(outer)) = (&seat, outer) {
                seat.run.state().parties[seat.party].doing.truncate(outer);
            }
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            parker.park(None);
        }
    });
    if let (Some(seat), Some(outer)) = (&seat, outer) {
        seat.run.state().parties[seat.party].doing.truncate(outer - 1);
    }
    output
}

/// The time: in a model virtual, outside of one [`Instant::now`].
///
/// ```
/// use handover::model::{self, Schedule, thread};
/// use std::time::Duration;
///
/// model::check(&Schedule::default(), || {
///     let start = model::now();
///     thread::sleep(Duration::from_secs(60)); // at once
///     assert_eq!(model::now() - start, Duration::from_secs(60));
/// })
/// .unwrap();
/// ```
pub fn now() -> Instant {
    with_seat(Seat::glance);
    crate::point::now()
}

/// A choice of the user's own: a number below `n`, by the schedule. It shrinks to 0, and is 0 outside of a model.
///
/// # Panics
///
/// If `n` is 0.
///
/// ```
/// use handover::model::{self, Model};
/// use std::cell::Cell;
///
/// let seen = Cell::new(0);
/// Model::new().exhaust(1, || seen.set(seen.get() | 1 << model::choose(4))).unwrap();
/// assert_eq!(seen.get(), 0b1111);
/// ```
#[track_caller]
pub fn choose(n: usize) -> usize {
    let at = Location::caller();
    assert!(n > 0, "handover::model: `choose(0)` has nothing to choose from");
    with_seat(Seat::glance);
    let pick = pick(n).unwrap_or(0);
    with_seat(|seat| {
        let mut state = seat.run.state();
        state.push(seat.party, What::Chooses(pick, n), Some(at), 0);
    });
    pick
}
