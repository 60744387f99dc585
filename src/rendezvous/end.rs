//! What the two kinds of ends have in common: they are counted, and the last one of a side ends the channel.

use std::fmt;
use std::thread;

use super::Stats;
use super::channel::Core;
use super::closed::{Closed, ClosedStep};
use crate::error::Why;
use crate::operation::Op;
use crate::point::{self, ChannelId, Name};
use crate::sync::Arc;

/// An end of a side.
pub(super) struct End<T, const SIDE: usize> {
    /// `None` once it has left.
    core: Option<Arc<Core<T>>>,
}

impl<T, const SIDE: usize> End<T, SIDE> {
    /// An end that is counted already.
    pub(super) const fn counted(core: Arc<Core<T>>) -> Self {
        Self { core: Some(core) }
    }

    /// A model may let other parties act before what follows.
    #[inline(always)]
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub(super) fn act(&self, name: Name) {
        point::act(name, || ChannelId::of(&**self.core()));
    }

    #[inline]
    pub(super) fn core(&self) -> &Arc<Core<T>> {
        self.core.as_ref().expect("an end that has not left")
    }

    /// Leaves; only the first call counts.
    pub(super) fn leave(&mut self, why: Why) {
        if let Some(core) = self.core.take() {
            #[cfg(feature = "model")]
            if point::is_live() {
                let name = if SIDE == super::channel::SENDERS {
                    const { Name::of("Sender") }
                } else {
                    const { Name::of("Receiver") }
                };
                point::leave(name, ChannelId::of(&*core), why);
            }
            core.remove_end(SIDE, why);
        }
    }

    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub(super) fn closed(&self, name: Name) -> Closed<'_, T> {
        Op::new(ClosedStep::new(self.core()), name)
    }

    pub(super) fn close(&self) -> bool {
        self.core().with(|state, wakes| state.close(Why::Closed, wakes))
    }

    pub(super) fn how_ended(&self) -> Option<Why> {
        self.core().with_state(|state| state.end())
    }

    pub(super) fn downgrade(&self) -> WeakEnd<T, SIDE> {
        WeakEnd { core: Arc::clone(self.core()) }
    }

    pub(super) fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(self.core(), other.core())
    }

    pub(super) fn stats(&self) -> Stats {
        self.core().with_state(|state| {
            let [senders, receivers] = state.ends().map(|ends| ends as usize);
            let [waiting_senders, waiting_receivers] = state.waiting();
            let handed_over = state.handed_over();
            Stats { senders, receivers, waiting_senders, waiting_receivers, handed_over }
        })
    }

    pub(super) fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name).field("end", &self.how_ended()).field("stats", &self.stats()).finish()
    }
}

impl<T, const SIDE: usize> Clone for End<T, SIDE> {
    fn clone(&self) -> Self {
        let core = self.core();
        core.add_end(SIDE);
        Self::counted(Arc::clone(core))
    }
}

impl<T, const SIDE: usize> Drop for End<T, SIDE> {
    fn drop(&mut self) {
        self.leave(if thread::panicking() { Why::Panicked } else { Why::Dropped });
    }
}

/// A handle to an end's side that does not keep the channel open.
pub(super) struct WeakEnd<T, const SIDE: usize> {
    core: Arc<Core<T>>,
}

impl<T, const SIDE: usize> WeakEnd<T, SIDE> {
    /// See `End::act`.
    #[inline(always)]
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub(super) fn act(&self, name: Name) {
        point::act(name, || ChannelId::of(&*self.core));
    }

    pub(super) fn upgrade(&self) -> Option<End<T, SIDE>> {
        let is_alive = self.core.with_state(|state| {
            let is_alive = state.ends()[SIDE] > 0;
            if is_alive {
                state.add_end(SIDE);
                self.core.note_ends(state);
            }
            is_alive
        });
        is_alive.then(|| End::counted(Arc::clone(&self.core)))
    }
}

impl<T, const SIDE: usize> Clone for WeakEnd<T, SIDE> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core) }
    }
}
