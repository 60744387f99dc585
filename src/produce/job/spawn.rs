//! The threads of producers: with the feature `model` those of `model::thread`, which are parties of a model if one is under way.

use std::thread::Scope;

#[cfg(feature = "model")]
pub(super) use crate::model::thread::{JoinHandle, ScopedJoinHandle, spawn};
#[cfg(all(not(feature = "model"), handover_shuttle))]
pub(super) use shuttle::thread::{JoinHandle, spawn};
#[cfg(not(feature = "model"))]
pub(super) use std::thread::ScopedJoinHandle;
#[cfg(all(not(feature = "model"), not(handover_shuttle)))]
pub(super) use std::thread::{JoinHandle, spawn};

/// A scope that threads can be started in: `&`[`std::thread::Scope`], or `&model::thread::Scope`.
///
/// It cannot be implemented outside this crate.
pub trait SpawnIn<'scope> {
    /// Starts a thread.
    #[doc(hidden)]
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn spawn_in<R: Send + 'scope>(
        self,
        f: impl FnOnce() -> R + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, R>;
}

impl<'scope> SpawnIn<'scope> for &'scope Scope<'scope, '_> {
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn spawn_in<R: Send + 'scope>(
        self,
        f: impl FnOnce() -> R + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, R> {
        #[cfg(feature = "model")]
        return crate::model::thread::spawn_in(self, f);
        #[cfg(not(feature = "model"))]
        self.spawn(f)
    }
}

#[cfg(feature = "model")]
impl<'scope> SpawnIn<'scope> for &crate::model::thread::Scope<'scope, '_> {
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    fn spawn_in<R: Send + 'scope>(
        self,
        f: impl FnOnce() -> R + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, R> {
        self.spawn(f)
    }
}
