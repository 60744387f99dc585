//! One slot that two parties pass to and fro, and the word that says whose it is. The heart of every one-to-one channel.
//!
//! The only file with `unsafe`. What that buys (two threads on two cores, a round trip, medians of one run on a machine
//! where a bare cache line takes 122 ns to go there and back): 128 ns with the slot in an `UnsafeCell`, 385 ns with the slot
//! in an uncontended mutex beside the same atomic word, 430 ns with all of it under one mutex.
//!
//! # Whose the slot is
//!
//! The low bits of the word, for a party S and its peer P. Nobody touches the slot unless this table says that it is theirs.
//!
//! | word        | meaning                                     | the slot is         | what may come next                          |
//! |-------------|---------------------------------------------|---------------------|---------------------------------------------|
//! | `HELD` by S | S has the turn; the slot is empty           | S's                 | S puts: `SOFT` or `FIRM` by S               |
//! | `SOFT` by S | S put a message and may still take it back  | whoever claims it   | P takes: `HELD` by P; S withdraws: `HELD` by S |
//! | `FIRM` by S | S put a message and waits, come what may    | P's                 | P takes (the word stays), then puts         |
//!
//! A claim is one compare-exchange, so a message is taken or withdrawn, never both. `FIRM` saves it: a thread that blocks
//! without a deadline cannot change its mind. P then notes for itself that it has taken the message (`taken`), and touches
//! the cache line not at all before it puts; at the latest when it leaves it makes the take known (`HELD` by P). So once P has
//! left, `FIRM` by S means that the message was not taken, and the slot is S's again.
//!
//! There is a message in the slot under `SOFT`, and under `FIRM` unless P has noted that it took it; never under `HELD`.
//!
//! # Who is told
//!
//! Each party has in the word a flag `WAIT` (wake me at your next move), a flag `NEWS` (with another waker than before), and
//! two bits `END` (it left, and why). A party only ever sets its own `WAIT` and `NEWS`, its peer clears them, and wakes,
//! when it puts or leaves, or takes and says so (`take_telling`). `END` is set once and stays. `NUDGE` asks the holder to put what
//! it has; a put clears it.
//!
//! The waker itself lies in the party's seat, behind a mutex that is locked only when the waker is another one: each side
//! keeps a copy (`mine`, to compare; `theirs`, to wake), so that steady waiting touches no lock and counts no reference.
//! Wakers are cloned, woken and dropped with no lock held.
//!
//! # What happens to a message
//!
//! | the putter ...     | `SOFT`, not taken       | taken                 |
//! |--------------------|-------------------------|-----------------------|
//! | times out, drops the operation | withdrawn   | delivered             |
//! | forgets the operation | stays until taken; dropped with the channel | delivered |
//! | leaves (also in a panic) | stays until taken; dropped with the channel | delivered |
//! | learns that its peer left | withdrawn        | delivered             |
//!
//! Operations withdraw before an end can leave, unless they were forgotten.
#![allow(unsafe_code)]

use std::fmt;
use std::mem::{self, MaybeUninit};
use std::task::Waker;
use std::thread;

use crate::error::Why;
use crate::sync::{self, Arc, AtomicU32, Mutex, UnsafeCell};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// The party that asks, and holds the slot at first.
pub(crate) const CLIENT: u32 = 0;
/// The party that answers.
pub(crate) const SERVER: u32 = 1;

const KIND: u32 = 0b011;
const HELD: u32 = 0b000;
const SOFT: u32 = 0b001;
const FIRM: u32 = 0b010;
const SIDE: u32 = 0b100;
const WHOSE: u32 = KIND | SIDE;
const NUDGE: u32 = 0b1000;

// A party's flags, to be shifted by `shift(side)`.
const WAIT: u32 = 0b0001;
const NEWS: u32 = 0b0010;
const END: u32 = 0b1100;

const fn shift(side: u32) -> u32 {
    4 + 4 * side
}

const fn by(side: u32) -> u32 {
    side * SIDE
}

/// How a message is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It may be withdrawn.
    Soft,
    /// Never withdrawn while the peer is there.
    Firm,
}

/// What a party sees when it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The turn is mine.
    Mine,
    /// My message lies there; a firm one may have been taken.
    Put,
    /// The turn is the peer's.
    Theirs,
    /// A message for me lies there.
    Mail,
}

// `repr(C)`: the word and the slot share a cache line, which is what a hand-over costs.
#[repr(C, align(64))]
struct Shared<M> {
    word: AtomicU32,
    slot: UnsafeCell<MaybeUninit<M>>,
    seats: [Mutex<Option<Waker>>; 2],
    left: Mutex<Option<Box<M>>>,
    /// The threads on which the parties last waited; a hint.
    places: [AtomicUsize; 2],
}

// SAFETY: the slot moves values of `M` between threads, and the word admits one party at a time to it (see the table);
// no `&M` is ever given to two threads, so `M: Sync` is not needed.
unsafe impl<M: Send> Send for Shared<M> {}
// SAFETY: as above.
unsafe impl<M: Send> Sync for Shared<M> {}

impl<M> Drop for Shared<M> {
    fn drop(&mut self) {
        if self.word.load(Relaxed) & KIND != HELD {
            // SAFETY: both halves are gone, so nobody else touches the slot, and both have left: what was taken under `FIRM`
            // was made known, so that by the word there is a message.
            self.slot.with_mut(|slot| unsafe { (*slot).assume_init_drop() });
        }
    }
}

/// One party of the two. Not cloneable and used by `&mut`, so each side is one thread at a time: the invariant under
/// every `SAFETY` below.
pub(crate) struct Half<M, const ME: u32> {
    shared: Arc<Shared<M>>,
    /// The word when this party last looked.
    seen: u32,
    /// This party has taken the message of the firm put that the word tells of.
    taken: bool,
    /// A copy of my newest waker.
    mine: Option<Waker>,
    /// My seat holds a waker that no word has announced.
    unannounced: bool,
    /// The peer's waker, as last announced.
    theirs: Option<Waker>,
    /// The waker of whoever polls the peer: this party's own driver, which does so next and need not be told.
    driver: Option<Waker>,
    /// A wake-up was left to the driver.
    owes_wake: bool,
    /// The thread on which this party last waited.
    place: usize,
}

pub(crate) type Asker<M> = Half<M, CLIENT>;
pub(crate) type Answerer<M> = Half<M, SERVER>;

/// Both parties of a new slot; the client holds it.
pub(crate) fn turn<M>() -> (Answerer<M>, Asker<M>) {
    let shared = Arc::new(Shared {
        word: AtomicU32::new(HELD | by(CLIENT)),
        slot: UnsafeCell::new(MaybeUninit::uninit()),
        seats: [Mutex::new(None), Mutex::new(None)],
        left: Mutex::new(None),
        places: [AtomicUsize::new(0), AtomicUsize::new(0)],
    });
    (Half::new(Arc::clone(&shared)), Half::new(shared))
}

impl<M, const ME: u32> Half<M, ME> {
    const PEER: u32 = 1 - ME;

    const MY_WAIT: u32 = WAIT << shift(ME);
    const MY_NEWS: u32 = NEWS << shift(ME);
    const THEIR_WAIT: u32 = WAIT << shift(Self::PEER);
    const THEIR_NEWS: u32 = NEWS << shift(Self::PEER);
    const THEIR_END: u32 = END << shift(Self::PEER);

    const HELD_BY_ME: u32 = HELD | by(ME);
    const SOFT_BY_ME: u32 = SOFT | by(ME);
    const FIRM_BY_ME: u32 = FIRM | by(ME);
    const SOFT_BY_THEM: u32 = SOFT | by(Self::PEER);
    const FIRM_BY_THEM: u32 = FIRM | by(Self::PEER);

    fn new(shared: Arc<Shared<M>>) -> Self {
        Self {
            shared,
            seen: HELD | by(CLIENT),
            taken: false,
            mine: None,
            unannounced: false,
            theirs: None,
            driver: None,
            owes_wake: false,
            place: 0,
        }
    }

    #[inline]
    fn load(&mut self) -> u32 {
        // Ordering: Acquire, to see the slot as the peer left it when the word says that it is ours.
        self.seen = self.shared.word.load(Acquire);
        self.seen
    }

    /// The one way in which this party changes the word. `None` from `change` leaves it. Gives the word before, if changed.
    #[inline]
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
    #[inline]
    fn is_mine(word: u32) -> bool {
        let whose = word & WHOSE;
        whose == Self::HELD_BY_ME
            || whose == Self::FIRM_BY_THEM
            || (whose == Self::FIRM_BY_ME && word & Self::THEIR_END != 0)
    }

    /// Fills the slot, which must be empty and this party's.
    #[inline]
    fn fill(&mut self, message: M) {
        debug_assert!(Self::is_mine(self.seen), "the slot is not ours in {:#b}", self.seen);
        // SAFETY: `put`, the only caller, has seen to it that the word which this party saw last makes the slot its own; only this
        // party can then change whose it is, and `&mut self` makes this its only call.
        self.shared.slot.with_mut(|slot| unsafe { (*slot).write(message) });
    }

    /// Empties the slot, which must be full and this party's; the caller sees to it that the word or `taken` says so.
    #[inline]
    fn empty(&mut self) -> M {
        debug_assert!(Self::is_mine(self.seen), "the slot is not ours in {:#b}", self.seen);
        // SAFETY: as in `fill`; each caller has just claimed a full slot by its own change of the word or of `taken`, so that it is read
        // once, or has filled it itself and not given it away.
        self.shared.slot.with_mut(|slot| unsafe { (*slot).assume_init_read() })
    }

    /// What this party sees now.
    #[inline]
    pub(crate) fn look(&mut self) -> Sight {
        match self.load() & WHOSE {
            whose if whose == Self::HELD_BY_ME => Sight::Mine,
            whose if whose == Self::FIRM_BY_THEM && self.taken => Sight::Mine,
            whose if whose == Self::FIRM_BY_THEM => Sight::Mail,
            whose if whose == Self::SOFT_BY_THEM => Sight::Mail,
            whose if whose == Self::SOFT_BY_ME || whose == Self::FIRM_BY_ME => Sight::Put,
            _ => Sight::Theirs,
        }
    }

    /// How the peer left, if it had when this party last looked.
    #[inline]
    pub(crate) fn peer_end(&self) -> Option<Why> {
        end_of(self.seen, Self::PEER)
    }

    /// How the peer left, if it has by now.
    #[inline]
    pub(crate) fn peer_end_now(&self) -> Option<Why> {
        end_of(self.shared.word.load(Relaxed), Self::PEER)
    }

    /// Whether the word is another one than at the last look: what a spinning party watches.
    #[inline]
    pub(crate) fn is_stirred(&self) -> bool {
        // Ordering: Relaxed, since whoever sees a change looks again.
        self.shared.word.load(Relaxed) != self.seen
    }

    /// Whether the peer last waited on another thread than this party does now (or has not waited yet: then no).
    #[inline]
    pub(crate) fn is_peer_elsewhere(&mut self) -> bool {
        let here = sync::this_thread();
        if self.place != here {
            self.place = here;
            self.shared.places[ME as usize].store(here, Relaxed);
        }
        // Ordering: Relaxed, as a wrong hint only costs time.
        let there = self.shared.places[Self::PEER as usize].load(Relaxed);
        there != 0 && there != here
    }

    /// Puts the message for the peer, with a waker if this party is going to wait for what comes next. The turn must be this
    /// party's. `false`, and the message stays where it is, if the peer has left.
    #[inline]
    pub(crate) fn put(&mut self, message: &mut Option<M>, how: Put, waker: Option<&Waker>) -> bool {
        let flags = waker.map_or(0, |waker| self.take_seat(waker));
        let kind = if how == Put::Firm { Self::FIRM_BY_ME } else { Self::SOFT_BY_ME };
        // What keeps this sound, whatever the caller does: the slot is this party's, and empty.
        let whose = self.seen & WHOSE;
        assert!(
            whose == Self::HELD_BY_ME || (whose == Self::FIRM_BY_THEM && self.taken),
            "put out of turn"
        );
        let Some(value) = message.take() else { return true };
        self.fill(value);
        let old = self.update(|word| {
            let kept = word & !(WHOSE | NUDGE | Self::THEIR_WAIT | Self::THEIR_NEWS);
            (word & Self::THEIR_END == 0).then_some(kept | kind | flags)
        });
        match old {
            Some(old) => {
                self.taken = false;
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

    /// Takes the peer's message, if one lies there. The peer, if it waits, waits for what comes next.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<M> {
        if self.load() & WHOSE == Self::FIRM_BY_THEM {
            return (!mem::replace(&mut self.taken, true)).then(|| self.empty());
        }
        self.update(|word| {
            (word & WHOSE == Self::SOFT_BY_THEM).then_some(word & !WHOSE | Self::HELD_BY_ME)
        })?;
        Some(self.empty())
    }

    /// Takes the peer's message, if one lies there, and lets it know. It is kept in `place` before the peer is woken, so that a
    /// waker that panics cannot make it lost.
    pub(crate) fn take_telling(&mut self, place: &mut Option<M>) -> bool {
        if self.load() & WHOSE == Self::FIRM_BY_THEM && self.taken {
            return false;
        }
        let old = self.update(|word| {
            let is_mail = matches!(word & WHOSE, whose if whose == Self::SOFT_BY_THEM || whose == Self::FIRM_BY_THEM);
            is_mail.then_some(word & !(WHOSE | Self::THEIR_WAIT | Self::THEIR_NEWS) | Self::HELD_BY_ME)
        });
        let Some(old) = old else { return false };
        *place = Some(self.empty());
        self.wake(old);
        true
    }

    /// Asks the peer, which has the turn, to put what it has, however little.
    pub(crate) fn nudge(&mut self) {
        _ = self.update(|word| {
            let is_theirs = matches!(word & WHOSE, whose if whose == HELD | by(Self::PEER) || whose == Self::FIRM_BY_ME);
            (is_theirs && word & NUDGE == 0).then_some(word | NUDGE)
        });
    }

    /// Whether the peer had asked for what there is when this party last looked.
    pub(crate) fn is_nudged(&self) -> bool {
        self.seen & NUDGE != 0
    }

    /// Takes back what this party put, if the peer has not taken it; the turn is then this party's again.
    pub(crate) fn withdraw(&mut self) -> Option<M> {
        self.update(|word| {
            let whose = word & WHOSE;
            let ours = whose == Self::SOFT_BY_ME
                || (whose == Self::FIRM_BY_ME && word & Self::THEIR_END != 0);
            ours.then_some(word & !WHOSE | Self::HELD_BY_ME)
        })?;
        Some(self.empty())
    }

    /// Leaves a waker for the peer's next move, unless the word is another one than at the last look: then `false`.
    #[inline]
    pub(crate) fn wait(&mut self, waker: &Waker) -> bool {
        let flags = self.take_seat(waker);
        let new = self.seen | flags;
        if new == self.seen {
            return !self.is_stirred();
        }
        // Ordering: as in `update`; Relaxed on failure, since the caller looks again.
        if self.shared.word.compare_exchange(self.seen, new, AcqRel, Relaxed).is_err() {
            return false;
        }
        self.seen = new;
        self.announced(flags);
        true
    }

    /// Says that whoever drives this party with `waker` polls the peer too, after each of this party's steps: if the peer waits with the
    /// same waker, it is not woken.
    #[inline]
    pub(crate) fn drive_peer_with(&mut self, waker: &Waker) {
        if !self.driver.as_ref().is_some_and(|driver| driver.will_wake(waker)) {
            self.driver = Some(waker.clone());
        }
    }

    /// Whether a wake-up was left to the driver since the last call.
    #[inline]
    pub(crate) fn takes_owed_wake(&mut self) -> bool {
        mem::take(&mut self.owes_wake)
    }

    /// No longer waits: a later move of the peer wakes nobody.
    pub(crate) fn unwait(&mut self) {
        _ = self.update(|word| (word & Self::MY_WAIT != 0).then_some(word & !Self::MY_WAIT));
    }

    /// Leaves for good; the first time counts. Tells how the peer had left, if it had.
    pub(crate) fn leave(&mut self, why: Why) -> Option<Why> {
        let word = self.load();
        if end_of(word, ME).is_some() {
            return end_of(word, Self::PEER);
        }
        let taken = mem::take(&mut self.taken);
        let left = |word| {
            // What was taken from a firm put is made known now: the peer must not take it back.
            let whose = if taken { Self::HELD_BY_ME } else { word & WHOSE };
            let kept = word & !(WHOSE | Self::THEIR_WAIT | Self::THEIR_NEWS | Self::MY_WAIT);
            kept | whose | end_code(why) << shift(ME)
        };
        let old = if word & Self::THEIR_END == 0 {
            self.update(|word| Some(left(word)))?
        } else {
            // Ordering: Relaxed, since nobody but the drop of the channel looks at it any more.
            self.shared.word.store(left(word), Relaxed);
            word
        };
        // Whoever drove this party does not drive the peer any more.
        let driver = self.driver.take();
        self.wake(old);
        drop(driver);
        if let Some(mine) = self.mine.take() {
            let seated = self.shared.seats[ME as usize].lock().take();
            drop((mine, seated));
        }
        end_of(old, Self::PEER)
    }

    /// Leaves a message outside of the slot, for a peer that has not asked.
    pub(crate) fn leave_behind(&mut self, message: M) {
        let old = self.shared.left.lock().replace(Box::new(message));
        drop(old);
    }

    /// Takes what the peer (or this party) left outside of the slot.
    pub(crate) fn take_left(&mut self) -> Option<M> {
        let left = self.shared.left.lock().take();
        left.map(|message| *message)
    }

    /// Sees to it that `waker` is on this party's seat, and gives the flags that tell of it.
    #[inline]
    fn take_seat(&mut self, waker: &Waker) -> u32 {
        if !self.mine.as_ref().is_some_and(|mine| mine.will_wake(waker)) {
            self.change_seat(waker);
        }
        if self.unannounced { Self::MY_WAIT | Self::MY_NEWS } else { Self::MY_WAIT }
    }

    #[cold]
    fn change_seat(&mut self, waker: &Waker) {
        let (copy, seated) = (waker.clone(), waker.clone());
        let old = self.shared.seats[ME as usize].lock().replace(seated);
        self.unannounced = true;
        drop((old, self.mine.replace(copy)));
    }

    #[inline]
    fn announced(&mut self, flags: u32) {
        if flags & Self::MY_NEWS != 0 {
            self.unannounced = false;
        }
    }

    /// Wakes the peer if it waited in the word `old`, from which this party has cleared its flags.
    #[inline]
    fn wake(&mut self, old: u32) {
        // Dropped last: it may panic, and then the peer is already awake.
        let _outdated = if old & Self::THEIR_NEWS != 0 { self.learn_waker() } else { None };
        if old & Self::THEIR_WAIT != 0 {
            if let Some(theirs) = &self.theirs {
                if self.driver.as_ref().is_some_and(|driver| driver.will_wake(theirs)) {
                    self.owes_wake = true;
                } else {
                    theirs.wake_by_ref();
                }
            }
        }
    }

    /// Takes the waker from the peer's seat. Gives the one before.
    #[cold]
    fn learn_waker(&mut self) -> Option<Waker> {
        let news = self.shared.seats[Self::PEER as usize].lock().take();
        if news.is_some() { mem::replace(&mut self.theirs, news) } else { None }
    }
}

impl<M, const ME: u32> Drop for Half<M, ME> {
    fn drop(&mut self) {
        self.leave(if thread::panicking() { Why::Panicked } else { Why::Dropped });
    }
}

impl<M, const ME: u32> fmt::Debug for Half<M, ME> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.shared.word.load(Relaxed);
        let side = |side| if side == CLIENT { "client" } else { "server" };
        let kind = match word & KIND {
            HELD => "held by",
            SOFT => "put softly by",
            _ => "put firmly by",
        };
        let waits = |party: u32| word & WAIT << shift(party) != 0;
        f.debug_struct(side(ME))
            .field("slot", &format_args!("{kind} {}", side(u32::from(word & SIDE != 0))))
            .field("waits", &waits(ME))
            .field("peer_waits", &waits(Self::PEER))
            .field("peer_end", &end_of(word, Self::PEER))
            .finish()
    }
}

const fn end_code(why: Why) -> u32 {
    match why {
        Why::Closed => 0b0100,
        Why::Panicked => 0b1100,
        _ => 0b1000,
    }
}

const fn end_of(word: u32, side: u32) -> Option<Why> {
    match word >> shift(side) & END {
        0b0000 => None,
        0b0100 => Some(Why::Closed),
        0b1000 => Some(Why::Dropped),
        _ => Some(Why::Panicked),
    }
}
