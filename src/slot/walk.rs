//! The tables of `slot` as data, beside a walk through every state that its two parties can reach.
//!
//! Each step of the walk is one call of one party. What it changes must be a line of the tables, each line must be met, the message must
//! be the one that was put, and a peer that waited for that move is woken once. States that differ only in numbers of messages are one.
//! Between a look and the call after it the peer may act, so the walk has the races of two threads as well, as far as a call is one
//! change of the word.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Wake, Waker};
use std::thread;

use super::word::{
    CLIENT, COMMITTED, END, FLUSH_REQUESTED, HELD, KIND, REVOCABLE, SERVER, STAYS, TELL_TAKEN,
    WAIT, WAKER_UPDATED, WATCHED, WHOSE, by, end_of, shift,
};
use super::{Answerer, Asker, Half, Peer, SlotState, slot};
use crate::error::Why;
use crate::step::PutMode;

/// Whose the slot is, for one party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Is {
    Mine,
    PutByMe,
    PutForGoodByMe,
    /// The peer has taken what this party put for good, and noted that for itself.
    TakenFromMe,
    Theirs,
    PutByThem,
    PutForGoodByThem,
    /// This party has taken what the peer put for good, and noted that for itself.
    TakenByMe,
}

use Is::{
    Mine, PutByMe, PutByThem, PutForGoodByMe, PutForGoodByThem, TakenByMe, TakenFromMe, Theirs,
};

/// From what to what by a call of this party, and how.
const WHOSE_IT_IS: &[(Is, Is, &str)] = &[
    (Mine, PutByMe, "it puts, and may take that back"),
    (Mine, PutForGoodByMe, "it puts for good"),
    (TakenByMe, PutByMe, "it answers what was put for good"),
    (TakenByMe, PutForGoodByMe, "it answers for good what was put for good"),
    (TakenByMe, Mine, "it leaves, and so tells that it has taken"),
    (PutByThem, Mine, "it takes"),
    (PutForGoodByThem, TakenByMe, "it takes, and notes that for itself"),
    (PutForGoodByThem, Mine, "it takes, and wakes the peer"),
    (PutByMe, Mine, "it withdraws"),
    (PutForGoodByMe, Mine, "it withdraws: the peer left without a take"),
];

/// A flag of the word, as the party that acts sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Flag {
    MyWait,
    MyWakerUpdated,
    MyEnd,
    TheirWait,
    TheirWakerUpdated,
    TheirEnd,
    FlushRequested,
    TellTaken,
    Watched,
    Stays,
}

use Flag::{
    FlushRequested, MyEnd, MyWait, MyWakerUpdated, Stays, TellTaken, TheirEnd, TheirWait,
    TheirWakerUpdated, Watched,
};

/// A flag, whether it is set or cleared, and how.
const FLAGS: &[(Flag, bool, &str)] = &[
    (MyWait, true, "it registers, or puts with a waker"),
    (MyWait, false, "it unregisters, or leaves"),
    (MyWakerUpdated, true, "it registers another waker, or puts with one"),
    (MyEnd, true, "it leaves"),
    (TheirWait, false, "it puts, leaves, requests a flush, or takes and wakes"),
    (TheirWakerUpdated, false, "the same, with a waker that the peer has changed"),
    (FlushRequested, true, "it requests a flush"),
    (FlushRequested, false, "it puts"),
    (TellTaken, true, "it puts, and wants to be told of the take"),
    (TellTaken, false, "it takes and tells, or puts"),
    (Watched, true, "it watches the peer"),
    (Stays, true, "it leaves, and goes on by reference"),
];

/// What a party does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Look,
    Put(PutMode, Option<Who>),
    PutTelling(PutMode, Option<Who>),
    Take,
    TakeAndWake,
    RequestFlush,
    Withdraw,
    Register(Who),
    Unregister,
    DrivePeer,
    Watch,
    Leave,
    /// It leaves, and may watch the peer after that, as a sink that is closed.
    Close,
}

/// What a waker wakes: the party's own task or thread, or the one task of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Who {
    Own,
    Both,
}

use Act::*;
use PutMode::{Committed, Revocable};
use Who::{Both, Own};

/// All calls, with one waker each.
const ALL: &[Act] = &[
    Look,
    Put(Revocable, None),
    Put(Revocable, Some(Own)),
    Put(Committed, None),
    Put(Committed, Some(Own)),
    PutTelling(Revocable, Some(Own)),
    PutTelling(Committed, Some(Own)),
    Take,
    TakeAndWake,
    RequestFlush,
    Withdraw,
    Register(Own),
    Unregister,
    Watch,
    Leave,
    Close,
];

/// A party whose waker changes, and that may poll its peer.
const CHANGING: &[Act] = &[
    Look,
    Put(Revocable, Some(Own)),
    Put(Committed, Some(Both)),
    Take,
    Withdraw,
    Register(Own),
    Register(Both),
    Unregister,
    DrivePeer,
    Leave,
];

/// Its peer.
const STEADY: &[Act] = &[
    Look,
    Put(Revocable, None),
    Put(Committed, Some(Both)),
    Take,
    TakeAndWake,
    Register(Both),
    DrivePeer,
    Leave,
];

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

thread_local! {
    /// The wakers of the client, of the server, and of the task of both. Each walk has a thread, and so wakers of its own.
    static COUNTERS: [(Arc<Counter>, Waker); 3] = [(); 3].map(|()| {
        let counter = Arc::new(Counter::default());
        (Arc::clone(&counter), Waker::from(counter))
    });
}

fn number_of(party: u32, who: Who) -> usize {
    if who == Both { 2 } else { party as usize }
}

fn wakes() -> [usize; 3] {
    COUNTERS.with(|all| [0, 1, 2].map(|number: usize| all[number].0.0.load(Relaxed)))
}

fn number(waker: Option<&Waker>) -> Option<usize> {
    let waker = waker?;
    COUNTERS.with(|all| all.iter().position(|(_, known)| known.will_wake(waker)))
}

#[derive(Debug)]
struct Letter {
    number: u32,
    _living: Arc<()>,
}

/// A slot with its parties.
struct Walk {
    client: Asker<Letter>,
    server: Answerer<Letter>,
    told: Told,
}

/// What was seen from outside.
struct Told {
    living: Arc<()>,
    written: u32,
    /// The number of the message that is on its way.
    on_its_way: Option<u32>,
    /// The waker that each party registered last, and those that came too late after it: they may be woken in its place.
    registered: [Vec<Who>; 2],
    watches: [Option<Peer>; 2],
    has_left: [bool; 2],
    stays: [bool; 2],
}

/// What a call did.
struct Done {
    is_changed: bool,
    /// It has to wake a peer that waits.
    is_move: bool,
}

impl Walk {
    fn new() -> Self {
        let (server, client) = slot("walk");
        let told = Told {
            living: Arc::new(()),
            written: 0,
            on_its_way: None,
            registered: [const { Vec::new() }; 2],
            watches: [None, None],
            has_left: [false; 2],
            stays: [false; 2],
        };
        Self { client, server, told }
    }

    fn after(path: &[(u32, Act)]) -> Self {
        let mut walk = Self::new();
        for &(party, act) in path {
            walk.act(party, act);
        }
        walk
    }

    fn word(&self) -> u32 {
        self.client.shared.word.load(Relaxed)
    }

    fn whose(&self, me: u32) -> Is {
        let taken = [self.client.has_taken, self.server.has_taken];
        let word = self.word();
        let is_mine = word & WHOSE & !KIND == by(me);
        match (word & KIND, is_mine) {
            (HELD, true) => Mine,
            (HELD, false) => Theirs,
            (REVOCABLE, true) => PutByMe,
            (REVOCABLE, false) => PutByThem,
            (COMMITTED, true) if taken[1 - me as usize] => TakenFromMe,
            (COMMITTED, true) => PutForGoodByMe,
            (COMMITTED, false) if taken[me as usize] => TakenByMe,
            (COMMITTED, false) => PutForGoodByThem,
            (kind, _) => panic!("there is no kind {kind:#b}"),
        }
    }

    fn flags(&self, me: u32) -> Vec<(Flag, bool)> {
        let word = self.word();
        let is = |flag| word & flag != 0;
        let of = |flag, party| is(flag << shift(party));
        vec![
            (MyWait, of(WAIT, me)),
            (MyWakerUpdated, of(WAKER_UPDATED, me)),
            (MyEnd, of(END, me)),
            (TheirWait, of(WAIT, 1 - me)),
            (TheirWakerUpdated, of(WAKER_UPDATED, 1 - me)),
            (TheirEnd, of(END, 1 - me)),
            (FlushRequested, is(FLUSH_REQUESTED)),
            (TellTaken, is(TELL_TAKEN)),
            (Watched, is(WATCHED)),
            (Stays, is(STAYS)),
        ]
    }

    /// Whether the party is there, and has the turn for that.
    fn may(&self, party: u32, act: Act) -> bool {
        let (seen, has_taken) = match party {
            CLIENT => (self.client.seen, self.client.has_taken),
            _ => (self.server.seen, self.server.has_taken),
        };
        let seen = seen & WHOSE;
        let has_turn = seen == HELD | by(party) || (seen == COMMITTED | by(1 - party) && has_taken);
        if self.told.has_left[party as usize] {
            return self.told.stays[party as usize] && act == Watch;
        }
        has_turn || !matches!(act, Put(..) | PutTelling(..))
    }

    fn act(&mut self, party: u32, act: Act) -> Done {
        let whose = self.whose(party);
        if party == CLIENT {
            self.told.act(&mut self.client, act, whose)
        } else {
            self.told.act(&mut self.server, act, whose)
        }
    }

    fn key(&self) -> Key {
        fn of<const ME: u32>(half: &Half<Letter, ME>) -> HalfKey {
            let is_stale = half.is_changed();
            HalfKey {
                flags: [half.has_taken, half.is_unannounced, half.owes_wake, is_stale],
                drives: half.driver.is_some(),
                seen: if is_stale { half.seen & WHOSE } else { 0 },
                stored: number(half.shared.wakers[ME as usize].lock().as_ref()),
                mine: number(half.my_waker.as_ref()),
                theirs: number(half.peer_waker.as_ref()),
            }
        }
        (self.word(), self.told.stays, of(&self.client), of(&self.server))
    }
}

/// All that can make a difference from now on.
type Key = (u32, [bool; 2], HalfKey, HalfKey);

#[derive(PartialEq, Eq, Hash)]
struct HalfKey {
    flags: [bool; 4],
    drives: bool,
    seen: u32,
    stored: Option<usize>,
    mine: Option<usize>,
    theirs: Option<usize>,
}

impl Told {
    fn letter(&mut self) -> Letter {
        self.written += 1;
        Letter { number: self.written, _living: Arc::clone(&self.living) }
    }

    fn act<const ME: u32>(&mut self, half: &mut Half<Letter, ME>, act: Act, whose: Is) -> Done {
        let waker = |who: Who| COUNTERS.with(|all| all[number_of(ME, who)].1.clone());
        let before = half.shared.word.load(Relaxed);
        let has_peer_left = self.has_left[1 - ME as usize];
        let mut is_move = false;
        match act {
            Look => {
                let expected = match whose {
                    Mine | TakenByMe => SlotState::MyTurn,
                    PutByMe | PutForGoodByMe | TakenFromMe => SlotState::Sent,
                    PutByThem | PutForGoodByThem => SlotState::Received,
                    Theirs => SlotState::PeerTurn,
                };
                assert_eq!(half.load_state(), expected);
                assert_eq!(half.peer_end().is_some(), has_peer_left);
                assert_eq!(half.is_flush_requested(), before & FLUSH_REQUESTED != 0);
            }
            Put(mode, who) | PutTelling(mode, who) => {
                let letter = self.letter();
                let (number, mut message) = (letter.number, Some(letter));
                let is_put = if matches!(act, Put(..)) {
                    half.put(&mut message, mode, who.map(waker).as_ref())
                } else {
                    half.put_telling(&mut message, mode, who.map(waker).as_ref())
                };
                assert_eq!(is_put, !has_peer_left, "an end is learnt by each put after it");
                assert_eq!(is_put, message.is_none());
                if is_put {
                    assert_eq!(self.on_its_way.replace(number), None);
                    if let Some(who) = who {
                        self.registered[ME as usize] = vec![who];
                    }
                    is_move = true;
                } else {
                    assert_eq!(message.map(|message| message.number), Some(number));
                }
            }
            Take | TakeAndWake => {
                let is_told = act == TakeAndWake || before & TELL_TAKEN != 0;
                let taken = if act == Take { half.take() } else { half.take_and_wake() };
                let is_there = matches!(whose, PutByThem | PutForGoodByThem);
                assert_eq!(taken.is_some(), is_there);
                if let Some(letter) = taken {
                    assert_eq!(Some(letter.number), self.on_its_way.take());
                    is_move = is_told;
                }
            }
            RequestFlush => {
                half.request_flush();
                let is_theirs = matches!(whose, Theirs | PutForGoodByMe | TakenFromMe);
                is_move = is_theirs && before & FLUSH_REQUESTED == 0;
                let is_set = half.shared.word.load(Relaxed) & FLUSH_REQUESTED != 0;
                assert_eq!(is_set, is_theirs || before & FLUSH_REQUESTED != 0);
            }
            Withdraw => {
                let withdrawn = half.withdraw();
                let may = whose == PutByMe || (whose == PutForGoodByMe && has_peer_left);
                assert_eq!(withdrawn.is_some(), may);
                if let Some(letter) = withdrawn {
                    assert_eq!(Some(letter.number), self.on_its_way.take());
                }
            }
            Register(who) => {
                let is_stale = half.is_changed();
                assert_eq!(half.register(&waker(who)), !is_stale);
                if is_stale {
                    self.registered[ME as usize].push(who);
                } else {
                    self.registered[ME as usize] = vec![who];
                    assert!(half.shared.word.load(Relaxed) & WAIT << shift(ME) != 0);
                }
            }
            Unregister => {
                half.unregister();
                assert!(half.shared.word.load(Relaxed) & WAIT << shift(ME) == 0);
            }
            DrivePeer => half.drive_peer_with(&waker(Both)),
            Watch => {
                let peer = half.peer();
                assert_eq!(peer.end().is_some(), has_peer_left);
                self.watches[ME as usize] = Some(peer);
            }
            Leave | Close => {
                if act == Close {
                    half.stay();
                    self.stays[ME as usize] = true;
                }
                assert_eq!(half.leave(Why::Closed).is_some(), has_peer_left);
                self.has_left[ME as usize] = true;
                is_move = true;
                if let Some(watch) = &self.watches[1 - ME as usize] {
                    assert_eq!(watch.end(), Some(Why::Closed));
                }
                assert_eq!(half.leave(Why::Dropped).is_some(), has_peer_left);
                let end = end_of(half.shared.word.load(Relaxed), ME);
                assert_eq!(end, Some(Why::Closed), "only the first time counts");
            }
        }
        Done { is_changed: half.shared.word.load(Relaxed) != before, is_move }
    }
}

/// Takes one step, checks it against the tables, and gives the state's key.
fn step(mut walk: Walk, me: u32, act: Act, met: &mut Met) -> Key {
    let (whose, flags, wakes_before) = (walk.whose(me), walk.flags(me), wakes());
    let owed =
        |walk: &Walk| if me == CLIENT { walk.client.owes_wake } else { walk.server.owes_wake };
    if me == CLIENT {
        _ = walk.client.takes_owed_wake();
    } else {
        _ = walk.server.takes_owed_wake();
    }
    let drives = if me == CLIENT { &walk.client.driver } else { &walk.server.driver }.is_some();
    let done = walk.act(me, act);

    let now = walk.whose(me);
    if now != whose {
        let is_known = WHOSE_IT_IS.iter().any(|&(from, to, _)| (from, to) == (whose, now));
        assert!(is_known, "from {whose:?} to {now:?} is in no table");
        met.whose.insert((whose, now));
    }
    for (&(flag, was), &(_, is)) in flags.iter().zip(&walk.flags(me)) {
        if was != is {
            let is_known = FLAGS.iter().any(|&(of, set, _)| (of, set) == (flag, is));
            assert!(is_known, "{flag:?} becomes {is}: that is in no table");
            met.flags.insert((flag, is));
        }
    }

    // A peer that waited for this move is woken once, by its newest waker or, where that polls both, by this party's own task.
    let waited = flags.contains(&(TheirWait, true));
    assert!(!(done.is_move && done.is_changed && walk.flags(me).contains(&(TheirWait, true))));
    let came = (wakes(), owed(&walk));
    let after_waking = |who: Who| {
        let mut woken = wakes_before;
        let is_polled_next =
            drives && who == Both && !matches!(act, Take | TakeAndWake | Leave | Close);
        woken[number_of(1 - me, who)] += usize::from(!is_polled_next);
        (woken, is_polled_next)
    };
    if done.is_move && waited {
        let mut may_wake = walk.told.registered[1 - me as usize].iter();
        assert!(may_wake.any(|&who| after_waking(who) == came), "{wakes_before:?}, then {came:?}");
    } else {
        assert_eq!(came, (wakes_before, false), "nobody waited for that");
    }
    // A message on its way is the only one that lives.
    let on_its_way = usize::from(walk.told.on_its_way.is_some());
    assert_eq!(Arc::strong_count(&walk.told.living) - 1, on_its_way);

    let key = walk.key();
    let living = Arc::clone(&walk.told.living);
    drop(walk);
    assert_eq!(Arc::strong_count(&living), 1, "the channel drops what was not taken, once");
    key
}

#[derive(Default)]
struct Met {
    whose: BTreeSet<(Is, Is)>,
    flags: BTreeSet<(Flag, bool)>,
}

/// Every state that the acts lead to; every step of each.
#[allow(clippy::print_stdout)] // how much it has seen
fn walk(acts: [&[Act]; 2]) -> Met {
    let mut met = Met::default();
    let mut seen = HashSet::from([Walk::new().key()]);
    let mut queue = VecDeque::from([Vec::new()]);
    let (mut steps, mut longest) = (0_u32, 0);
    while let Some(path) = queue.pop_front() {
        longest = longest.max(path.len());
        let here = Walk::after(&path);
        for party in [CLIENT, SERVER] {
            for &act in acts[party as usize] {
                if !here.may(party, act) {
                    continue;
                }
                let key = catch_unwind(AssertUnwindSafe(|| {
                    step(Walk::after(&path), party, act, &mut met)
                }));
                let key = key.unwrap_or_else(|_| panic!("after {path:?}, then {party} {act:?}"));
                steps += 1;
                if seen.insert(key) {
                    let mut path = path.clone();
                    path.push((party, act));
                    queue.push_back(path);
                }
            }
        }
    }
    println!("{} states, {steps} steps, the longest way {longest}", seen.len());
    assert!(seen.len() > 1000, "a walk that is worth its name");
    met
}

#[test]
fn the_tables_are_true() {
    let walks = [[ALL, ALL], [CHANGING, STEADY], [STEADY, CHANGING]];
    let mut met = Met::default();
    for walk in walks.map(|acts| thread::spawn(move || walk(acts))) {
        let Met { whose, flags } = walk.join().unwrap();
        met.whose.extend(whose);
        met.flags.extend(flags);
    }
    for &(from, to, how) in WHOSE_IT_IS {
        assert!(met.whose.contains(&(from, to)), "nothing leads from {from:?} to {to:?}: {how}");
    }
    for &(flag, is_set, how) in FLAGS {
        assert!(met.flags.contains(&(flag, is_set)), "{flag:?} never becomes {is_set}: {how}");
    }
}
