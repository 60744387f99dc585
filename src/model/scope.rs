//! Scopes: threads that borrow, as parties.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::thread;

use super::hooks::{here, party_ended};
use super::run::{Name, PartyKind, Pass, Place};
use super::seat::Seat;
use super::thread::{Builder, Packet, act, begin_doing, join, note_spawn, run_party};
use crate::wait::with_parker;

/// A scope for threads that borrow: as [`std::thread::Scope`]. Made by [`scope`].
///
/// It can be copied into the threads, which may start others.
#[derive(Clone, Copy, Debug)]
#[allow(explicit_outlives_requirements, reason = "as std's")]
pub struct Scope<'scope, 'env: 'scope> {
    pub(super) inner: &'scope thread::Scope<'scope, 'env>,
}

/// Makes a scope for threads that borrow: as [`std::thread::scope`]. At its end it waits for all of them.
///
/// # Panics
///
/// If a thread panicked that was not joined.
///
/// ```
/// use handover::model::thread;
/// use handover::rendezvous;
///
/// let words = ["one", "two"];
/// let (tx, rx) = rendezvous();
/// let count = thread::scope(|scope| {
///     scope.spawn(|| tx.send_all(words).wait());
///     rx.iter().take(2).count()
/// });
/// assert_eq!(count, 2);
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&Scope<'scope, 'env>) -> T,
{
    let at = Location::caller();
    thread::scope(|inner| {
        let Some(seat) = here() else { return f(&Scope { inner }) };
        let result = catch_unwind(AssertUnwindSafe(|| f(&Scope { inner })));
        let id = address(inner);
        let result = result.map_err(|payload| {
            // Its threads may wait for ever, and the panic must not be hidden behind that.
            if seat.is_scope_busy(id, Waker::noop()) {
                party_ended(&seat, payload)
            } else {
                payload
            }
        });
        wait_for_scope(&seat, id, at);
        let has_panicked = seat.end_scope(id);
        match result {
            Ok(_) if has_panicked && !thread::panicking() => panic!("a scoped thread panicked"),
            Ok(result) => result,
            Err(payload) => resume_unwind(payload),
        }
    })
}

fn address(scope: &thread::Scope<'_, '_>) -> usize {
    std::ptr::from_ref(scope).addr()
}

/// Waits until no thread of the scope runs, so that std's own wait is over at once.
fn wait_for_scope(seat: &Seat, scope: usize, at: Place) {
    with_parker(|parker, waker| {
        let mut is_first = true;
        while seat.is_scope_busy(scope, waker) {
            if std::mem::take(&mut is_first) {
                let name = Name::Scope;
                seat.point(Pass::Goes, false, |state, party| {
                    begin_doing(state, party, name, at, false);
                });
                continue;
            }
            if !parker.park(None) && seat.run.is_ending() {
                return;
            }
        }
        if !is_first {
            let mut state = seat.run.state();
            state.parties[seat.party].doing.retain(|doing| doing.name != Name::Scope);
        }
    });
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a thread: as [`std::thread::Scope::spawn`].
    ///
    /// # Panics
    ///
    /// If the system cannot start one.
    ///
    /// ```
    /// use handover::model::thread;
    ///
    /// let mut n = 1;
    /// thread::scope(|scope| _ = scope.spawn(|| n += 1));
    /// assert_eq!(n, 2);
    /// ```
    #[track_caller]
    pub fn spawn<F, T>(&self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        start_in(self.inner, Builder::new(), Location::caller(), f).expect("failed to spawn thread")
    }
}

/// For `produce_in`.
#[track_caller]
pub(crate) fn spawn_in<'scope, F, T>(
    scope: &'scope thread::Scope<'scope, '_>,
    f: F,
) -> ScopedJoinHandle<'scope, T>
where
    F: FnOnce() -> T + Send + 'scope,
    T: Send + 'scope,
{
    start_in(scope, Builder::new(), Location::caller(), f).expect("failed to spawn thread")
}

pub(super) fn start_in<'scope, F, T>(
    scope: &'scope thread::Scope<'scope, '_>,
    builder: Builder,
    at: Place,
    f: F,
) -> io::Result<ScopedJoinHandle<'scope, T>>
where
    F: FnOnce() -> T + Send + 'scope,
    T: Send + 'scope,
{
    let of_std = builder.of_std();
    let Some(spawner) = here() else {
        let inner = Scoped::Std(of_std.spawn_scoped(scope, f)?);
        return Ok(ScopedJoinHandle { inner });
    };
    let packet = Packet::new();
    let its_packet = Arc::clone(&packet);
    let seat = spawner.run.add(builder.name, PartyKind::Scoped(address(scope)), at);
    let its_seat = seat.clone();
    let spawned = of_std.spawn_scoped(scope, move || {
        its_seat.turn.set_thread(thread::current());
        run_party(&its_seat, its_packet, f, || {});
    });
    match spawned {
        Ok(thread) => seat.turn.set_thread(thread.thread().clone()),
        Err(error) => {
            seat.vanish();
            return Err(error);
        }
    }
    note_spawn(&spawner, &seat, at);
    Ok(ScopedJoinHandle { inner: Scoped::Party(packet, seat) })
}

/// A thread of a scope that can be joined: as [`std::thread::ScopedJoinHandle`].
pub struct ScopedJoinHandle<'scope, T> {
    inner: Scoped<'scope, T>,
}

enum Scoped<'scope, T> {
    Std(thread::ScopedJoinHandle<'scope, T>),
    Party(Arc<Packet<T>>, Seat),
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the thread to end, and gives what it returned.
    ///
    /// # Errors
    ///
    /// The thread's panic.
    ///
    /// ```
    /// use handover::model::thread;
    ///
    /// let sum = thread::scope(|scope| scope.spawn(|| 1 + 1).join().unwrap());
    /// assert_eq!(sum, 2);
    /// ```
    #[track_caller]
    pub fn join(self) -> thread::Result<T> {
        match self.inner {
            Scoped::Std(thread) => thread.join(),
            Scoped::Party(packet, seat) => join(&packet, Some(&seat)),
        }
    }

    /// Whether the thread has returned or panicked.
    ///
    /// ```
    /// use handover::model::thread;
    ///
    /// thread::scope(|scope| {
    ///     let thread = scope.spawn(|| ());
    ///     while !thread.is_finished() {
    ///         thread::yield_now();
    ///     }
    /// });
    /// ```
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        act(Location::caller(), "ScopedJoinHandle::is_finished");
        match &self.inner {
            Scoped::Std(thread) => thread.is_finished(),
            Scoped::Party(packet, _) => packet.is_done(),
        }
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}
