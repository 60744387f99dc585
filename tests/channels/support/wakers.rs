//! Wakers that count or misbehave, single polls, and panics on purpose.

use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use handover::Client;

/// A waker that counts how often it was woken.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rings: AtomicUsize,
}

impl Bell {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let bell = Arc::new(Self::default());
        let waker = Waker::from(Arc::clone(&bell));
        (bell, waker)
    }

    /// How often it rang since the last call.
    pub(crate) fn rings(&self) -> usize {
        self.rings.swap(0, SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rings.fetch_add(1, SeqCst);
    }
}

/// The moments of a waker's life at which it calls a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Wake,
    Clone,
    Drop,
}

type Once = Mutex<Option<Box<dyn FnOnce() + Send>>>;

/// A waker with hooks, which a test sets and each of which is called once.
#[derive(Default)]
pub(crate) struct Hook {
    pub(crate) bell: Bell,
    hooks: [Once; 3],
}

impl Hook {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Calls `f` at the next such moment.
    pub(crate) fn set(&self, moment: Moment, f: impl FnOnce() + Send + 'static) {
        *self.hooks[moment as usize].lock().unwrap() = Some(Box::new(f));
    }

    /// Panics at the next such moment.
    pub(crate) fn set_panic(&self, moment: Moment) {
        self.set(moment, quiet_panic);
    }

    pub(crate) fn is_set(&self, moment: Moment) -> bool {
        self.hooks[moment as usize].lock().unwrap().is_some()
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        raw::waker(Arc::clone(self))
    }

    fn call(&self, moment: Moment) {
        let hook = self.hooks[moment as usize].lock().unwrap().take();
        if let Some(hook) = hook {
            hook();
        }
    }
}

/// `std::task::Wake` lets nobody see a clone or a drop.
#[allow(unsafe_code)]
mod raw {
    use super::*;
    use std::mem::ManuallyDrop;
    use std::task::{RawWaker, RawWakerVTable};

    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

    pub(super) fn waker(hook: Arc<Hook>) -> Waker {
        // SAFETY: the data is an `Arc` turned raw, which is what each function of the table takes it for.
        unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(hook).cast(), &VTABLE)) }
    }

    fn borrow(data: *const ()) -> ManuallyDrop<Arc<Hook>> {
        // SAFETY: the waker that owns the reference lives during the call, and `ManuallyDrop` leaves it that.
        ManuallyDrop::new(unsafe { Arc::from_raw(data.cast::<Hook>()) })
    }

    fn clone(data: *const ()) -> RawWaker {
        let hook = borrow(data);
        hook.call(Moment::Clone);
        RawWaker::new(Arc::into_raw(Arc::clone(&hook)).cast(), &VTABLE)
    }

    fn wake(data: *const ()) {
        wake_by_ref(data);
        drop_waker(data);
    }

    fn wake_by_ref(data: *const ()) {
        let hook = borrow(data);
        hook.bell.rings.fetch_add(1, SeqCst);
        hook.call(Moment::Wake);
    }

    fn drop_waker(data: *const ()) {
        let hook = ManuallyDrop::into_inner(borrow(data));
        hook.call(Moment::Drop);
    }
}

/// Panics without a message on standard error.
pub(crate) fn quiet_panic() {
    panic::resume_unwind(Box::new("on purpose"));
}

/// Panics while `held` lives, so that the panic drops it.
pub(crate) fn panic_holding<T>(held: T) {
    assert!(panics(move || {
        let _held = held;
        quiet_panic();
    }));
}

/// Whether `f` panics.
pub(crate) fn panics<R>(f: impl FnOnce() -> R) -> bool {
    panic::catch_unwind(AssertUnwindSafe(f)).is_err()
}

/// The message of the panic of `f`.
#[track_caller]
pub(crate) fn panic_text<R>(f: impl FnOnce() -> R) -> String {
    let panic = panic::catch_unwind(AssertUnwindSafe(f)).err().expect("no panic");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => (*other.downcast::<&str>().expect("a text")).to_owned(),
    }
}

/// Polls once with `waker`.
pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Polls once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

/// Polls once: it must be pending.
#[track_caller]
pub(crate) fn pend<F: Future + Unpin>(future: &mut F) {
    assert!(poll_once(future).is_pending(), "done, but should wait");
}

/// Polls once: it must be done.
#[track_caller]
pub(crate) fn ready<F: Future + Unpin>(future: &mut F) -> F::Output {
    match poll_once(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("waits, but should be done"),
    }
}

/// Polls once with `waker`: it must be pending.
#[track_caller]
pub(crate) fn pend_with<F: Future + Unpin>(future: &mut F, waker: &Waker) {
    assert!(poll_with(future, waker).is_pending(), "done, but should wait");
}

/// Polls a stream once for its next item.
pub(crate) fn next_with<T>(
    stream: &mut handover::iter::Stream<Client<T>>,
    waker: &Waker,
) -> Poll<Option<T>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(waker))
}

/// Polls once, for the last time: it must be done.
#[track_caller]
pub(crate) fn done<F: Future + Unpin>(mut future: F) -> F::Output {
    ready(&mut future)
}
