//! How a thread parks: on a mutex and a condvar that its waker notifies.

#[cfg(not(handover_loom))]
use std::cell::RefCell;
#[cfg(feature = "model")]
use std::mem;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Instant;

#[cfg(feature = "model")]
use crate::model;
use crate::point;
use crate::sync::{self, Condvar, Mutex};

/// What a thread parks on. Each blocked thread has one of its own.
#[derive(Debug)]
pub(crate) struct Parker {
    is_woken: Mutex<bool>,
    condvar: Condvar,
    /// The party of a model that parks on it.
    #[cfg(feature = "model")]
    seat: Option<model::Seat>,
}

impl Parker {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            is_woken: Mutex::new(false),
            condvar: Condvar::new(),
            #[cfg(feature = "model")]
            seat: None,
        })
    }

    /// The parker of a party of a model, which waits in virtual time.
    #[cfg(feature = "model")]
    fn of_party(seat: model::Seat) -> Arc<Self> {
        Arc::new(Self { is_woken: Mutex::new(false), condvar: Condvar::new(), seat: Some(seat) })
    }

    /// Blocks until the waker was woken since the last call. `false`: `deadline` came first.
    pub(crate) fn park(&self, deadline: Option<Instant>) -> bool {
        self.park_or_recheck(deadline, None)
    }

    /// As `park`, but at the latest until `recheck`.
    pub(crate) fn park_or_recheck(
        &self,
        deadline: Option<Instant>,
        recheck: Option<Instant>,
    ) -> bool {
        #[cfg(feature = "model")]
        if let Some(seat) = &self.seat {
            return self.park_party(seat, deadline, recheck);
        }
        let deadline = recheck.or(deadline);
        let mut is_woken = self.is_woken.lock();
        while !*is_woken {
            is_woken = sync::wait_until(&self.condvar, &self.is_woken, is_woken, deadline);
            if !*is_woken && deadline.is_some_and(is_past) {
                return false;
            }
        }
        *is_woken = false;
        true
    }

    #[cfg(feature = "model")]
    fn park_party(
        &self,
        seat: &model::Seat,
        deadline: Option<Instant>,
        recheck: Option<Instant>,
    ) -> bool {
        if mem::take(&mut *self.is_woken.lock()) {
            seat.wait_awake();
            return true;
        }
        loop {
            let is_woken = seat.wait(deadline, recheck);
            if mem::take(&mut *self.is_woken.lock()) {
                return true;
            }
            // Else another parker of the same party was woken.
            if !is_woken {
                return false;
            }
        }
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.is_woken.lock() = true;
        #[cfg(feature = "model")]
        if let Some(seat) = &self.seat {
            return model::wake(seat);
        }
        self.condvar.notify_one();
    }
}

/// Whether the time is up. Under shuttle it may be from now on. In a loom model each deadline is past as soon as it is asked for; the wait before it lets the others run.
pub(crate) fn is_past(deadline: Instant) -> bool {
    sync::may_pass(deadline);
    cfg!(handover_loom) || point::now() >= deadline
}

/// Calls `f` with this thread's parker and its waker.
///
/// A thread keeps one parker for all its waits, so that channels see the same waker again. A wait inside a wait (an iterator that
/// blocks, run by a blocked write) gets another parker: it must not use up the outer wait's wake-up.
#[inline]
pub(crate) fn with_parker<R>(f: impl FnOnce(&Parker, &Waker) -> R) -> R {
    let (own, is_kept) = OwnParker::take();
    let result = f(&own.parker, &own.waker);
    if is_kept {
        own.keep();
    }
    result
}

#[cfg(not(handover_loom))]
sync::thread_local! {
    static KEPT: RefCell<Option<OwnParker>> = const { RefCell::new(None) };
}

/// A thread's parker, and its waker. (No part of `with_parker`, so that it is compiled once, and not for each kind of wait.)
pub(crate) struct OwnParker {
    pub(crate) parker: Arc<Parker>,
    pub(crate) waker: Waker,
}

impl OwnParker {
    #[cold]
    fn new(parker: Arc<Parker>) -> Self {
        let waker = Waker::from(Arc::clone(&parker));
        Self { parker, waker }
    }

    /// Takes the parker out of the thread, for a wait: an inner wait, or one in a thread's last destructors, finds none and makes its own. Tells, too, whether the
    /// next wait may have it.
    #[inline]
    pub(crate) fn take() -> (Self, bool) {
        #[cfg(feature = "model")]
        if point::is_live() {
            if let Some(seat) = model::here() {
                return (Self::new(Parker::of_party(seat)), false);
            }
        }
        #[cfg(not(handover_loom))]
        if sync::pick(4) != Some(0) {
            let kept = KEPT.try_with(|kept| kept.try_borrow_mut().ok()?.take()).ok().flatten();
            return (kept.unwrap_or_else(|| Self::new(Parker::new())), true);
        }
        (Self::new(Parker::new()), false)
    }

    /// Leaves it to the thread's next wait.
    #[inline]
    pub(crate) fn keep(self) {
        #[cfg(not(handover_loom))]
        {
            let spare = KEPT.try_with(|kept| kept.replace(Some(self)));
            drop(spare);
        }
    }
}

#[cfg(all(test, not(any(handover_loom, handover_shuttle))))]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Another party's `notify_one` may come after its wake-up was seen, in the middle of the next wait.
    #[test]
    fn a_notification_without_a_wake_up_ends_no_wait() {
        let parker = Parker::new();
        thread::scope(|scope| {
            let parked = scope.spawn(|| parker.park(None));
            for _ in 0..100 {
                parker.condvar.notify_one();
                thread::sleep(Duration::from_micros(100)); // Lets it park; if it has not, the test asks less, and passes.
            }
            assert!(!parked.is_finished());
            parker.wake_by_ref();
            assert!(parked.join().unwrap());
        });
    }

    #[test]
    fn a_wake_up_counts_once() {
        let parker = Parker::new();
        parker.wake_by_ref();
        parker.wake_by_ref();
        assert!(parker.park(None));
        assert!(!parker.park(Some(Instant::now())));
    }

    #[test]
    fn a_wait_inside_a_wait_has_a_parker_of_its_own_and_the_next_wait_the_first() {
        let address = |parker: &Parker| std::ptr::from_ref(parker).addr();
        let (outer, inner) =
            with_parker(|outer, _| (address(outer), with_parker(|inner, _| address(inner))));
        assert_ne!(outer, inner);
        assert_eq!(with_parker(|next, _| address(next)), outer);
    }
}
