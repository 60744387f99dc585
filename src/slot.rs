//! One slot that two parties pass to and fro, and the word that says whose it is: the heart of every one-to-one channel.
//!
//! This is the only file with `unsafe`; the word is changed here and in `ends` and `wakers`, whose changes the tables below cover, too. What that buys (two threads on two cores, a round trip, medians of one run on a machine
//! where a bare cache line takes 122 ns to go there and back): 128 ns with the slot in an `UnsafeCell`, 385 ns with the slot
//! in an uncontended mutex beside the same atomic word, 430 ns with all of it under one mutex.
//!
//! # Whose the slot is
//!
//! The low bits of the word, for a party S and its peer P. A party touches the slot only if this table says that the slot is its own.
//!
//! | word             | meaning                                    | the slot is        | what may come next                             |
//! |------------------|--------------------------------------------|--------------------|------------------------------------------------|
//! | `HELD` by S      | S has the turn; the slot is empty          | S's                | S puts: `REVOCABLE` or `COMMITTED` by S        |
//! | `REVOCABLE` by S | S put a message and may still take it back | the party's that claims it | P takes: `HELD` by P; S withdraws: `HELD` by S |
//! | `COMMITTED` by S | S put a message and waits, come what may   | P's                | P takes (the word stays), then puts            |
//!
//! A claim is one compare-exchange, so a message is taken or withdrawn, never both. `COMMITTED` saves the claim: a thread that blocks
//! without a deadline cannot change its mind. P then notes for itself that it has taken the message (`has_taken`), and does not touch
//! the cache line before it puts; at the latest when it leaves, P makes the take known (`HELD` by P). So once P has
//! left, `COMMITTED` by S means that the message was not taken, and the slot is S's again.
//!
//! There is a message in the slot under `REVOCABLE`, and under `COMMITTED` unless P has noted that it took it; never under `HELD`.
//!
//! # Wakers
//!
//! Each party has in the word a flag `WAIT` (wake me at your next move), a flag `WAKER_UPDATED` (with another waker than before), and
//! two bits `END` (it left, and why). A party only ever sets its own `WAIT` and `WAKER_UPDATED`. Its peer clears them, and wakes it,
//! when the peer puts or leaves, or takes by `take_and_wake`. `END` is set once and stays. `FLUSH_REQUESTED` asks the holder to put what
//! it has; a put clears it. `TELL_TAKEN` asks the taker to wake the party that put the message; a put and a take clear it. `WATCHED`
//! says that there is a watch (see `watch`); it stays. So does `STAYS`: a party that leaves goes on by reference. Without these two flags, the party that leaves
//! second stores the word and does not exchange it, since nobody looks at it any more.
//!
//! The waker itself is stored beside the slot, behind a mutex that is locked only when the waker is another one: each side
//! keeps a copy (`my_waker`, to compare; `peer_waker`, to wake), so that steady waiting touches no lock and counts no reference.
//! Wakers are cloned, woken and dropped with no lock held.
//!
//! # What happens to a message
//!
//! | the party that put it ...       | `REVOCABLE`, not taken                      | taken     |
//! |---------------------------------|---------------------------------------------|-----------|
//! | times out, drops the operation  | withdrawn                                   | delivered |
//! | forgets the operation           | stays until taken; dropped with the channel | delivered |
//! | leaves (also in a panic)        | stays until taken; dropped with the channel | delivered |
//! | learns that its peer left       | withdrawn                                   | delivered |
//!
//! Operations withdraw before an end can leave, unless they were forgotten.
//!
//! # Where user code can interrupt
//!
//! | call              | user code                         | what holds if it panics                                        |
//! |-------------------|-----------------------------------|----------------------------------------------------------------|
//! | `put`             | clone, drop of this party's wakers | nothing was put                                                |
//! | `put`             | wake of the peer, drop of its old waker | the message is in the slot, the peer has been woken       |
//! | `take_and_wake`   | the same                          | the panic ends there: the caller has the message               |
//! | `register`        | clone, drop of this party's wakers | nothing is registered, or all                                 |
//! | `leave`           | wake of the peer, drops           | this party has left                                            |
#![allow(unsafe_code)]

use std::fmt;
use std::mem::{self, MaybeUninit};
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::task::Waker;

use crate::panics;
use crate::point::{self, ChannelId, Seat};
use crate::step::PutMode;
use crate::sync::{Arc, AtomicU32, Mutex, UnsafeCell};
use crate::wait::AdaptiveSpin;

pub(crate) mod driven;
mod ends;
mod outgoing;
mod wakers;
#[cfg(all(test, not(any(handover_loom, handover_shuttle))))]
mod walk;
mod watch;
mod word;

pub(crate) use outgoing::{Message, Outgoing};
use watch::Watch;
pub use watch::{Left, Peer, PeerLeft};
pub(crate) use word::{CLIENT, SERVER};
use word::{
    COMMITTED, END, FLUSH_REQUESTED, HELD, KIND, REVOCABLE, TELL_TAKEN, WAIT, WAKER_UPDATED, WHOSE,
    by, shift,
};

/// What a party sees in the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    /// The turn is this party's.
    MyTurn,
    /// This party's message is in the slot; a committed one may have been taken.
    Sent,
    /// The turn is the peer's.
    PeerTurn,
    /// A message for this party is in the slot.
    Received,
}

// `repr(C)`: the word and the slot share a cache line, which is what a hand-over costs.
#[repr(C)]
struct Shared<M> {
    word: AtomicU32,
    slot: UnsafeCell<MaybeUninit<M>>,
    wakers: [Mutex<Option<Waker>>; 2],
    /// A message that a party left outside of the slot for a peer that had not asked.
    left_behind: Mutex<Option<Box<M>>>,
    /// The threads on which the parties last waited. A hint.
    threads: [AtomicUsize; 2],
    /// Made for the first call that watches a peer; then the word says `WATCHED`.
    watch: OnceLock<Arc<Watch>>,
}

// SAFETY: the slot moves values of `M` between threads, and the word admits one party at a time to it (see the table);
// no `&M` is ever given to two threads, so `M: Sync` is not needed.
unsafe impl<M: Send> Send for Shared<M> {}
// SAFETY: as above.
unsafe impl<M: Send> Sync for Shared<M> {}

impl<M> Drop for Shared<M> {
    fn drop(&mut self) {
        point::gone(ChannelId::of(self));
        if self.word.load(Relaxed) & KIND != HELD {
            // SAFETY: both halves are gone, so no other code touches the slot, and both have left: a take under `COMMITTED`
            // was made known, so by the word there is a message.
            self.slot.with_mut(|slot| unsafe { (*slot).assume_init_drop() });
        }
    }
}

/// One party of the two. It cannot be cloned and is used by `&mut`, so each side is one thread at a time: the invariant under
/// every `SAFETY` below.
pub struct Half<M, const ME: u32> {
    shared: Arc<Shared<M>>,
    /// The word when this party last looked.
    seen: u32,
    /// This party has taken the message of the committed put that the word tells of.
    has_taken: bool,
    /// A copy of this party's newest waker.
    my_waker: Option<Waker>,
    /// This party has stored a waker of which the word does not tell yet.
    is_unannounced: bool,
    /// The peer's waker, as last announced.
    peer_waker: Option<Waker>,
    /// The waker of the task that polls both parties: the peer is polled next, so it need not be woken.
    driver: Option<Waker>,
    /// A wake-up was left to the driver.
    owes_wake: bool,
    /// The thread on which this party last waited.
    thread: usize,
    spin: AdaptiveSpin,
    seat: Seat,
}

pub(crate) type Asker<M> = Half<M, CLIENT>;
pub(crate) type Answerer<M> = Half<M, SERVER>;

/// Both parties of a new slot, for the function `kind`; the client holds it.
#[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
#[inline(always)]
pub(crate) fn slot<M>(kind: &'static str) -> (Answerer<M>, Asker<M>) {
    let shared = Arc::new(Shared {
        word: AtomicU32::new(HELD | by(CLIENT)),
        slot: UnsafeCell::new(MaybeUninit::uninit()),
        wakers: [Mutex::new(None), Mutex::new(None)],
        left_behind: Mutex::new(None),
        threads: [AtomicUsize::new(0), AtomicUsize::new(0)],
        watch: OnceLock::new(),
    });
    point::made(ChannelId::of(&*shared), kind);
    (Half::new(Arc::clone(&shared)), Half::new(shared))
}

impl<M, const ME: u32> Half<M, ME> {
    const PEER: u32 = 1 - ME;

    const MY_WAIT: u32 = WAIT << shift(ME);
    const MY_WAKER_UPDATED: u32 = WAKER_UPDATED << shift(ME);
    const THEIR_WAIT: u32 = WAIT << shift(Self::PEER);
    const THEIR_WAKER_UPDATED: u32 = WAKER_UPDATED << shift(Self::PEER);
    const THEIR_END: u32 = END << shift(Self::PEER);
    const MY_END: u32 = END << shift(ME);

    const HELD_BY_ME: u32 = HELD | by(ME);
    const REVOCABLE_BY_ME: u32 = REVOCABLE | by(ME);
    const COMMITTED_BY_ME: u32 = COMMITTED | by(ME);
    const REVOCABLE_BY_THEM: u32 = REVOCABLE | by(Self::PEER);
    const COMMITTED_BY_THEM: u32 = COMMITTED | by(Self::PEER);

    fn new(shared: Arc<Shared<M>>) -> Self {
        Self {
            shared,
            seen: HELD | by(CLIENT),
            has_taken: false,
            my_waker: None,
            is_unannounced: false,
            peer_waker: None,
            driver: None,
            owes_wake: false,
            thread: 0,
            spin: AdaptiveSpin::new(),
            seat: Seat::new(),
        }
    }

    #[inline(always)]
    fn load(&mut self) -> u32 {
        // Ordering: Acquire, to see the slot as the peer left it when the word says that it is ours.
        self.seen = self.shared.word.load(Acquire);
        self.seen
    }

    /// The one way in which this party changes the word. `None` from `change` leaves it. Gives the word before, if changed.
    #[inline(always)]
    fn update(&mut self, change: impl Fn(u32) -> Option<u32>) -> Option<u32> {
        let mut old = self.load();
        loop {
            let new = change(old)?;
            // Ordering: AcqRel, to publish the slot when it is given away and to see it when it is claimed.
            match self.shared.word.compare_exchange_weak(old, new, AcqRel, Acquire) {
                Ok(_) => {
                    self.seen = new;
                    return Some(old);
                }
                Err(newer) => {
                    self.seen = newer;
                    old = newer;
                }
            }
        }
    }

    /// Whether the word says that the slot is this party's.
    #[inline(always)]
    fn is_mine(word: u32) -> bool {
        let whose = word & WHOSE;
        whose == Self::HELD_BY_ME
            || whose == Self::COMMITTED_BY_THEM
            || (whose == Self::COMMITTED_BY_ME && word & Self::THEIR_END != 0)
    }

    /// Fills the slot, which must be empty and this party's.
    #[inline(always)]
    fn fill(&mut self, message: M) {
        debug_assert!(Self::is_mine(self.seen), "the slot is not ours in {:#b}", self.seen);
        // SAFETY: `put`, the only caller, has seen to it that the word which this party saw last makes the slot its own; only this
        // party can then change whose it is, and `&mut self` makes this its only call.
        self.shared.slot.with_mut(|slot| unsafe { (*slot).write(message) });
    }

    /// Empties the slot, which must be full and this party's; the caller sees to it that the word or `has_taken` says so.
    #[inline(always)]
    fn empty(&mut self) -> M {
        debug_assert!(Self::is_mine(self.seen), "the slot is not ours in {:#b}", self.seen);
        // SAFETY: as in `fill`; each caller has just claimed a full slot by its own change of the word or of `has_taken`, so that it is read
        // once, or has filled it itself and not given it away.
        self.shared.slot.with_mut(|slot| unsafe { (*slot).assume_init_read() })
    }

    /// What this party sees now.
    #[inline(always)]
    pub(crate) fn load_state(&mut self) -> SlotState {
        match self.load() & WHOSE {
            whose if whose == Self::HELD_BY_ME => SlotState::MyTurn,
            whose if whose == Self::COMMITTED_BY_THEM && self.has_taken => SlotState::MyTurn,
            whose if whose == Self::COMMITTED_BY_THEM => SlotState::Received,
            whose if whose == Self::REVOCABLE_BY_THEM => SlotState::Received,
            whose if whose == Self::REVOCABLE_BY_ME || whose == Self::COMMITTED_BY_ME => {
                SlotState::Sent
            }
            _ => SlotState::PeerTurn,
        }
    }

    /// Whether the word has changed since this party last looked: what a spinning party watches.
    #[inline(always)]
    pub(crate) fn is_changed(&self) -> bool {
        // Ordering: Relaxed, since a party that sees a change looks again.
        self.shared.word.load(Relaxed) != self.seen
    }

    /// Puts the message for the peer, with a waker if this party is going to wait for what comes next. The turn must be this
    /// party's. `false`: the peer has left, and the message stays where it is.
    #[inline(always)]
    pub(crate) fn put(
        &mut self,
        message: &mut Option<M>,
        mode: PutMode,
        waker: Option<&Waker>,
    ) -> bool {
        self.put_with(message, mode, waker, 0)
    }

    /// As `put`; the take of the message wakes this party, too.
    pub(crate) fn put_telling(
        &mut self,
        message: &mut Option<M>,
        mode: PutMode,
        waker: Option<&Waker>,
    ) -> bool {
        self.put_with(message, mode, waker, TELL_TAKEN)
    }

    #[inline(always)]
    fn put_with(
        &mut self,
        message: &mut Option<M>,
        mode: PutMode,
        waker: Option<&Waker>,
        tell: u32,
    ) -> bool {
        let flags = waker.map_or(0, |waker| self.store_waker(waker));
        let kind = match mode {
            PutMode::Revocable => Self::REVOCABLE_BY_ME,
            PutMode::Committed => Self::COMMITTED_BY_ME,
        };
        let kind = kind | tell;
        // This keeps the put sound, whatever the caller does: the slot is this party's, and empty.
        let whose = self.seen & WHOSE;
        assert!(
            whose == Self::HELD_BY_ME || (whose == Self::COMMITTED_BY_THEM && self.has_taken),
            "put out of turn"
        );
        let Some(value) = message.take() else { return true };
        self.fill(value);
        let old = self.update(|word| {
            let cleared = WHOSE | FLUSH_REQUESTED | TELL_TAKEN;
            let kept = word & !(cleared | Self::THEIR_WAIT | Self::THEIR_WAKER_UPDATED);
            (word & Self::THEIR_END == 0).then_some(kept | kind | flags)
        });
        match old {
            Some(old) => {
                self.has_taken = false;
                self.announced(flags);
                self.wake(old);
                true
            }
            None => {
                // The peer left, and the word did not change: the slot is still ours, and full.
                *message = Some(self.empty());
                false
            }
        }
    }

    /// Takes the peer's message, if there is one. The peer is not woken, unless it asked for that: it waits for what comes next.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Option<M> {
        let word = self.load();
        if word & TELL_TAKEN != 0 {
            return self.take_and_wake();
        }
        if word & WHOSE == Self::COMMITTED_BY_THEM {
            return (!mem::replace(&mut self.has_taken, true)).then(|| self.empty());
        }
        let taken = self.update(|word| {
            let is_untold = word & (WHOSE | TELL_TAKEN) == Self::REVOCABLE_BY_THEM;
            is_untold.then_some(word & !WHOSE | Self::HELD_BY_ME)
        });
        match taken {
            Some(_) => Some(self.empty()),
            // The peer has withdrawn the message meanwhile, and put one of which it wants to be told.
            None if self.seen & TELL_TAKEN != 0 => self.take_and_wake(),
            None => None,
        }
    }

    /// Takes the peer's message, if there is one, and wakes the peer. A panic of its waker ends here: the message would be lost.
    pub(crate) fn take_and_wake(&mut self) -> Option<M> {
        if self.load() & WHOSE == Self::COMMITTED_BY_THEM && self.has_taken {
            return None;
        }
        let old = self.update(|word| {
            let whose = word & WHOSE;
            let is_mine = whose == Self::REVOCABLE_BY_THEM || whose == Self::COMMITTED_BY_THEM;
            let kept = word & !(WHOSE | TELL_TAKEN | Self::THEIR_WAIT | Self::THEIR_WAKER_UPDATED);
            is_mine.then_some(kept | Self::HELD_BY_ME)
        })?;
        let message = self.empty();
        // The driver polls the peer after a demand, not after a take.
        let driver = self.driver.take();
        panics::swallow(|| self.wake(old));
        self.driver = driver;
        Some(message)
    }

    /// Asks the peer, which has the turn, to put what it has, however little. It is woken if it waits, which with the turn it does only for an
    /// item that is still to be made.
    pub(crate) fn request_flush(&mut self) {
        let old = self.update(|word| {
            let whose = word & WHOSE;
            let is_theirs = whose == HELD | by(Self::PEER) || whose == Self::COMMITTED_BY_ME;
            let kept = word & !(Self::THEIR_WAIT | Self::THEIR_WAKER_UPDATED);
            (is_theirs && word & FLUSH_REQUESTED == 0).then_some(kept | FLUSH_REQUESTED)
        });
        if let Some(old) = old {
            self.wake(old);
        }
    }

    /// Whether the peer had requested a flush when this party last looked.
    pub(crate) fn is_flush_requested(&self) -> bool {
        self.seen & FLUSH_REQUESTED != 0
    }

    /// Takes back what this party put, if the peer has not taken it; the turn is then this party's again.
    pub(crate) fn withdraw(&mut self) -> Option<M> {
        self.update(|word| {
            let whose = word & WHOSE;
            let ours = whose == Self::REVOCABLE_BY_ME
                || (whose == Self::COMMITTED_BY_ME && word & Self::THEIR_END != 0);
            ours.then_some(word & !WHOSE | Self::HELD_BY_ME)
        })?;
        Some(self.empty())
    }

    /// A number that only the two parties of this slot have in common.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }
}

impl<M, const ME: u32> fmt::Debug for Half<M, ME> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        word::describe(self.shared.word.load(Relaxed), ME, f)
    }
}
