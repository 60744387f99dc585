//! `std::thread`, but what a thread runs is boxed: a test program of two thousand tests compiles in much less time if threads are not started anew for each
//! closure.

pub(crate) use std::thread::{
    Builder, JoinHandle, ScopedJoinHandle, ThreadId, current, panicking, sleep, yield_now,
};

pub(crate) fn spawn<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    let f: Box<dyn FnOnce() -> R + Send> = Box::new(f);
    std::thread::spawn(f)
}

#[derive(Clone, Copy)]
pub(crate) struct Scope<'scope, 'env>(&'scope std::thread::Scope<'scope, 'env>);

impl<'scope> Scope<'scope, '_> {
    pub(crate) fn spawn<R: Send + 'scope>(
        self,
        f: impl FnOnce() -> R + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, R> {
        let f: Box<dyn FnOnce() -> R + Send + 'scope> = Box::new(f);
        self.0.spawn(f)
    }
}

pub(crate) fn scope<'env, R>(f: impl for<'scope> FnOnce(Scope<'scope, 'env>) -> R) -> R {
    std::thread::scope(|scope| f(Scope(scope)))
}
