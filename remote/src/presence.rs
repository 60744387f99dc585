//! Who is there: the liveliness tokens below a key, as the network tells them.
//!
//! | it hears | what it notes |
//! |---|---|
//! | a token appears | its id is here |
//! | a token goes (its process has ended or left, or the link to it is cut) | its id has left; one more departure |
//! | the session closes | it is closed |
//!
//! Every change wakes the one task that waits for it. Nothing is queued, so nobody can fill it: of those that have left the last
//! 1,024 are remembered.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use zenoh::Session;
use zenoh::pubsub::Subscriber;
use zenoh::sample::{Sample, SampleKind};

use crate::error::Error;

const REMEMBERED: usize = 1024;

/// Where a party stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// Nothing was heard of it.
    Unknown,
    Here,
    /// It was here, and is so no more.
    Left,
}

pub(crate) struct Presence {
    shared: Arc<Shared>,
    seen: u64,
    _subscriber: Subscriber<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    here: HashSet<u64>,
    left: VecDeque<u64>,
    departures: u64,
    changes: u64,
    is_closed: bool,
    waker: Option<Waker>,
}

impl Presence {
    /// Watches the tokens `prefix/<id>`.
    pub(crate) async fn watch(session: &Session, prefix: &str) -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        let listener = Listener(Arc::clone(&shared));
        let subscriber = session
            .liveliness()
            .declare_subscriber(format!("{prefix}/*"))
            .history(true)
            .callback(move |sample| listener.hear(&sample))
            .await
            .map_err(Error::Session)?;
        Ok(Self { shared, seen: 0, _subscriber: subscriber })
    }

    pub(crate) fn whereabouts(&self, id: u64) -> Whereabouts {
        let state = self.shared.lock();
        if state.here.contains(&id) {
            Whereabouts::Here
        } else if state.left.contains(&id) {
            Whereabouts::Left
        } else {
            Whereabouts::Unknown
        }
    }

    /// Somebody is here.
    pub(crate) fn is_anybody(&self) -> bool {
        !self.shared.lock().here.is_empty()
    }

    /// Of those that are here, the one with the next higher id than this; after the last one the first one again.
    pub(crate) fn next_after(&self, id: u64) -> Option<u64> {
        self.shared.lock().next_after(id)
    }

    /// So many departures were heard of, of whomever.
    pub(crate) fn departures(&self) -> u64 {
        self.shared.lock().departures
    }

    /// The session was closed: nothing more is heard.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.lock().is_closed
    }

    /// Waits until something has changed since this was last done.
    pub(crate) async fn changed(&mut self) {
        poll_fn(|context| {
            let mut state = self.shared.lock();
            if state.changes != self.seen {
                self.seen = state.changes;
                return Poll::Ready(());
            }
            if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                let waker = state.waker.replace(context.waker().clone());
                drop(state);
                drop(waker);
            }
            Poll::Pending
        })
        .await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.lock();
            change(&mut state);
            state.changes += 1;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What the network calls. It is dropped when the session closes.
struct Listener(Arc<Shared>);

impl Listener {
    fn hear(&self, sample: &Sample) {
        let key = sample.key_expr().as_str();
        let Some(id) = key.rsplit('/').next().and_then(|id| id.parse().ok()) else { return };
        let is_here = sample.kind() == SampleKind::Put;
        self.0.change(|state| state.note(id, is_here));
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.change(|state| state.is_closed = true);
    }
}

impl State {
    fn next_after(&self, id: u64) -> Option<u64> {
        let higher = self.here.iter().filter(|other| **other > id).min();
        higher.or_else(|| self.here.iter().min()).copied()
    }

    fn note(&mut self, id: u64, is_here: bool) {
        self.left.retain(|&other| other != id);
        if is_here {
            self.here.insert(id);
            return;
        }
        self.here.remove(&id);
        self.departures += 1;
        if self.left.len() == REMEMBERED {
            self.left.pop_front();
        }
        self.left.push_back(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_here_come_in_turn() {
        let mut state = State::default();
        assert_eq!(state.next_after(0), None);
        for id in [7, 3, 5] {
            state.note(id, true);
        }
        let turns = [0, 3, 5, 7, 8].map(|id| state.next_after(id).unwrap());
        assert_eq!(turns, [3, 5, 7, 3, 3]);
        state.note(5, false);
        assert_eq!(state.next_after(3), Some(7));
    }

    #[test]
    fn only_the_last_departures_are_remembered() {
        let mut state = State::default();
        for id in 0..3000 {
            state.note(id, true);
            state.note(id, false);
        }
        state.note(2999, true);
        assert_eq!(state.left.len(), REMEMBERED - 1);
        assert!(state.here.contains(&2999) && !state.left.contains(&2999));
        assert_eq!(state.departures, 3000);
    }
}
