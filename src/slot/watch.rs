//! Watching a peer from anywhere: whether it has left, and how.
//!
//! What is watched lives apart from the slot, so that it does not depend on the type of the values. It is made for the first
//! `peer` or `closed`; without one a channel pays nothing.
//!
//! | a party that leaves ...            | does                                                                              |
//! |------------------------------------|-----------------------------------------------------------------------------------|
//! | finds no `WATCHED` in the word     | sets `END` in the word; a watch that is made later finds that there               |
//! | finds `WATCHED`                    | sets `END` and the end of the watch under the watch's lock, then wakes the watchers |
//!
//! So a call that has seen the end in the word finds it in the watch, too: at the latest it waits for the lock.
#![allow(missing_debug_implementations, reason = "users meet the step only inside of `Op`")]

use std::fmt;
use std::task::{Poll, Waker};

use crate::error::{RecvError, Why};
use crate::operation::Op;
use crate::point::{self, ChannelId, Name, Seat};
use crate::queue::{Ticket, WaitQueue};
use crate::step::{Attempt, SelectStep, Step, Unhurried};
use crate::sync::{Arc, Mutex, MutexGuard};

/// How the two parties of a slot have left, and the tasks and threads that wait for it.
pub(super) struct Watch {
    state: Mutex<State>,
}

pub(super) struct State {
    ends: [Option<Why>; 2],
    watchers: [WaitQueue<Option<Waker>, 0>; 2],
}

impl State {
    /// Gives the watchers to wake.
    pub(super) fn leave(&mut self, side: u32, why: Why) -> Vec<Waker> {
        self.ends[side as usize].get_or_insert(why);
        let watchers = self.watchers[side as usize].all();
        watchers.filter_map(|(_, waker)| waker.take()).collect()
    }
}

impl Watch {
    pub(super) fn new() -> Arc<Self> {
        let watchers = [WaitQueue::new(), WaitQueue::new()];
        Arc::new(Self { state: Mutex::new(State { ends: [None; 2], watchers }) })
    }

    /// A party had left before it was watched.
    pub(super) fn set_end(&self, side: u32, why: Why) {
        self.state.lock().ends[side as usize].get_or_insert(why);
    }

    /// A party leaves: under this lock it sets that in the word, too.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn end(&self, side: u32) -> Option<Why> {
        self.state.lock().ends[side as usize]
    }
}

/// Watches the other end of a one-to-one channel, from anywhere: another thread, a callback, a task.
///
/// It is got from [`Server::peer`](crate::Server::peer), [`Client::peer`](crate::Client::peer), [`Writer::peer`](crate::Writer::peer) or
/// [`Reader::peer`](crate::Reader::peer), keeps nothing alive but itself, and may be kept for longer than both ends.
///
/// ```
/// use handover::{Why, simplex};
/// use std::thread;
///
/// let (mut server, client) = simplex::<u8>();
/// let peer = server.peer();
/// let watcher = thread::spawn(move || peer.closed().wait()); // interrupts a long query, say
/// client.close();
/// assert_eq!(watcher.join().unwrap(), Ok(Why::Closed));
/// assert!(server.send(1).wait().is_err());
/// ```
#[derive(Clone)]
pub struct Peer {
    watch: Arc<Watch>,
    side: u32,
    channel: ChannelId,
}

impl Peer {
    pub(super) const fn new(watch: Arc<Watch>, side: u32, channel: ChannelId) -> Self {
        Self { watch, side, channel }
    }

    /// Whether that end has left. It may leave at any moment after a `false`; a `true` stays.
    ///
    /// ```
    /// let (server, client) = handover::simplex::<u8>();
    /// let peer = client.peer();
    /// assert!(!peer.is_closed());
    /// drop(server);
    /// assert!(peer.is_closed());
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn is_closed(&self) -> bool {
        point::act(const { Name::of("Peer::is_closed") }, || self.channel);
        self.watch.end(self.side).is_some()
    }

    /// How that end has left, if it has.
    ///
    /// ```
    /// let (server, client) = handover::simplex::<u8>();
    /// let peer = client.peer();
    /// assert_eq!(peer.end(), None);
    /// server.finish();
    /// assert_eq!(peer.end(), Some(handover::Why::Closed));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn end(&self) -> Option<Why> {
        point::act(const { Name::of("Peer::end") }, || self.channel);
        self.watch.end(self.side)
    }

    /// Waits until that end has left, and gives how. What it handed over before is still received.
    ///
    /// # Errors
    ///
    /// [`Why::TimedOut`] or [`Why::NotReady`], if it has not.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    ///
    /// ```
    /// let (server, client) = handover::simplex::<u8>();
    /// let peer = server.peer();
    /// assert!(peer.closed().now().unwrap_err().is_not_ready());
    /// client.close();
    /// assert_eq!(peer.closed().wait(), Ok(handover::Why::Closed));
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn closed(&self) -> PeerLeft<'_> {
        Op::new(LeftStep::new(self.clone(), None, false), const { Name::of("Peer::closed") })
    }

    /// The same for an end, which remembers what it was told, and may be the server of a generator that this thread drives.
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub(crate) fn left<'a>(
        self,
        reported_end: Option<&'a mut Option<Why>>,
        can_never_go_on: bool,
        name: Name,
    ) -> Left<'a> {
        Op::new(LeftStep::new(self, reported_end, can_never_go_on), name)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("end", &self.watch.end(self.side)).finish()
    }
}

/// Waits until the peer has left: see [`Server::closed`](crate::Server::closed).
pub type Left<'a> = Op<LeftStep<'a, false>>;

/// Waits until the peer has left: see [`Peer::closed`].
pub type PeerLeft<'a> = Op<LeftStep<'a, true>>;

pub struct LeftStep<'a, const OF_PEER: bool> {
    peer: Peer,
    reported_end: Option<&'a mut Option<Why>>,
    at: Option<Ticket>,
    waiter: Unhurried,
}

impl<'a, const OF_PEER: bool> LeftStep<'a, OF_PEER> {
    const fn new(
        peer: Peer,
        reported_end: Option<&'a mut Option<Why>>,
        can_never_go_on: bool,
    ) -> Self {
        let waiter = Unhurried { can_never_go_on, channel: peer.channel, seat: Seat::new() };
        Self { peer, reported_end, at: None, waiter }
    }
}

impl<const OF_PEER: bool> Step for LeftStep<'_, OF_PEER> {
    const NAME: &'static str = if OF_PEER { "Peer::closed" } else { "closed" };
    type Output = Result<Why, RecvError>;
    type Waiter = Unhurried;

    fn step(&mut self, attempt: Attempt<'_>) -> Poll<Self::Output> {
        let fresh = attempt.waker.cloned();
        let side = self.peer.side as usize;
        let mut state = self.peer.watch.state.lock();
        let Some(why) = state.ends[side] else {
            let mut outdated = None;
            if fresh.is_some() {
                let watchers = &mut state.watchers[side];
                let ticket = *self.at.get_or_insert_with(|| watchers.insert().0);
                if let Some(stored) = watchers.get(ticket) {
                    outdated = std::mem::replace(stored, fresh);
                }
            }
            drop(state);
            drop(outdated); // A waker's destructor is user code.
            return Poll::Pending;
        };
        drop(state);
        if let Some(reported_end) = &mut self.reported_end {
            reported_end.get_or_insert(why);
        }
        self.withdraw();
        Poll::Ready(Ok(why))
    }

    fn expire(&mut self, why: Why) -> Self::Output {
        self.withdraw();
        Err(RecvError::new(why))
    }

    fn withdraw(&mut self) {
        if let Some(ticket) = self.at.take() {
            let side = self.peer.side as usize;
            let removed =
                self.peer.watch.state.lock().watchers[side].remove(ticket).and_then(Option::take);
            drop(removed);
        }
    }

    fn waiter(&mut self) -> &mut Unhurried {
        &mut self.waiter
    }
}

impl<const OF_PEER: bool> SelectStep for LeftStep<'_, OF_PEER> {
    fn rewind(&mut self) {
        self.withdraw();
    }
}
