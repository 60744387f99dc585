//! How a thread parks: on a mutex and a condvar that its waker notifies.

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
pub(crate) fn with_parker<R>(f: impl FnOnce(&Parker, &Waker) -> R) -> R {
    let fresh = || {
        let parker = Parker::new();
        let waker = Waker::from(Arc::clone(&parker));
        (parker, waker)
    };
    #[cfg(feature = "model")]
    if point::is_live() {
        if let Some(seat) = model::here() {
            let parker = Parker::of_party(seat);
            let waker = Waker::from(Arc::clone(&parker));
            return f(&parker, &waker);
        }
    }
    #[cfg(not(handover_loom))]
    {
        use std::cell::RefCell;
        sync::thread_local! {
            static CACHED: RefCell<Option<(Arc<Parker>, Waker)>> = const { RefCell::new(None) };
        }
        if sync::pick(4) == Some(0) {
            let (parker, waker) = fresh();
            return f(&parker, &waker);
        }
        // The parker is taken out for the wait: an inner wait, or one in a thread's last destructors, finds none and makes its own.
        let cached = CACHED.try_with(|cached| cached.try_borrow_mut().ok()?.take()).ok().flatten();
        let (parker, waker) = cached.unwrap_or_else(fresh);
        let result = f(&parker, &waker);
        let spare = CACHED.try_with(|cached| cached.replace(Some((parker, waker))));
        drop(spare);
        result
    }
    #[cfg(handover_loom)]
    {
        let (parker, waker) = fresh();
        f(&parker, &waker)
    }
}
