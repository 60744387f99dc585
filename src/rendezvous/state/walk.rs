//! The tables of `state` as data, beside a walk through every state that two senders and two receivers can reach.
//!
//! States that differ only in values, serials and counts of what has been are one. Each step of the walk is one attempt; what it does to
//! each entry must be a line of the tables, and each line must be met.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::tests::{Bench, by};
use super::*;
use crate::claim::{ArmRef, Claim};
use crate::rendezvous::wakes::WakeOne;
use crate::sync::Arc;

/// What an entry of a sender or a receiver is, as in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Is {
    NoEntry,
    Offer,
    PassedOver,
    Reserve,
    Granted,
    Idle,
    Notified,
    Reserved,
    Delivered,
}

use Is::{Delivered, Granted, Idle, NoEntry, Notified, Offer, PassedOver, Reserve, Reserved};

/// From what to what, and how.
const SENDERS: &[(Is, Is, &str)] = &[
    (NoEntry, Offer, "it offers"),
    (NoEntry, PassedOver, "it offers to an idle thread while its select is registering"),
    (NoEntry, Reserve, "it wants a permit"),
    (Offer, NoEntry, "the offer is taken, or withdrawn"),
    (Offer, PassedOver, "its select was registering"),
    (PassedOver, Offer, "its select queues it again"),
    (PassedOver, NoEntry, "it is withdrawn, or queued again and taken"),
    (Reserve, Granted, "a receiver is free"),
    (Reserve, NoEntry, "it is granted at its own attempt, or leaves"),
    (Granted, NoEntry, "it has its permit, or leaves"),
    (Granted, Reserve, "that receiver has gone"),
];

const RECEIVERS: &[(Is, Is, &str)] = &[
    (NoEntry, Idle, "it waits"),
    (NoEntry, Notified, "it waits, and an offer is passed on to it"),
    (NoEntry, Reserved, "it waits, and a permit is wanted"),
    (Idle, NoEntry, "it takes, or leaves"),
    (Idle, Notified, "an offer is there"),
    (Idle, Reserved, "a permit is wanted"),
    (Idle, Delivered, "a thread is given its value"),
    (Notified, NoEntry, "it takes, or leaves"),
    (Notified, Idle, "it finds nothing"),
    (Notified, Reserved, "it finds nothing, and a permit is wanted"),
    (Reserved, NoEntry, "its time is up and it takes, or it leaves"),
    (Reserved, Idle, "the permit is given up"),
    (Reserved, Notified, "the permit sends to a task, or is given up while an offer is there"),
    (Reserved, Delivered, "the permit sends to a thread, or is given up while an offer is there"),
    (Delivered, NoEntry, "it receives the value"),
];

/// What a party does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    OfferByTask,
    OfferByThread,
    OfferNow,
    /// As an arm of a `select` that attempts its other arms yet.
    OfferByArm,
    /// That `select` has found nothing, and waits.
    ArmWaits,
    CheckOffer,
    Withdraw,
    Reserve,
    SendByPermit,
    GiveUpPermit,
    ReceiveByTask,
    ReceiveByThread,
    ReceiveBySelect,
    ReceiveNow,
    ReceiveAgain,
    /// The time that a thread leaves to notified tasks is over.
    ReceiveImpatiently,
    /// The time is up: it attempts once more, and leaves.
    Expire,
    Leave,
    Close,
}

use Act::*;

const ACTS: &[Act] = &[
    OfferByTask,
    OfferByThread,
    OfferNow,
    OfferByArm,
    ArmWaits,
    CheckOffer,
    Withdraw,
    Act::Reserve,
    SendByPermit,
    GiveUpPermit,
    ReceiveByTask,
    ReceiveByThread,
    ReceiveBySelect,
    ReceiveNow,
    ReceiveAgain,
    ReceiveImpatiently,
    Expire,
    Leave,
    Close,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Free,
    Offers(Ticket),
    /// Whether the `select` waits.
    IsArm(Ticket, bool),
    Reserves(Ticket),
    HasPermit(Ticket),
}

/// A channel with its parties.
struct Walk {
    state: State<u32>,
    bench: Bench,
    senders: [Sender; 2],
    claims: [Arc<Claim>; 2],
    receivers: [Option<(Ticket, WaiterKind)>; 2],
    sent: u64,
    received: u64,
}

impl Walk {
    fn new() -> Self {
        Self {
            state: State::new([1, 1]),
            bench: Bench::new(),
            senders: [Sender::Free; 2],
            claims: [(); 2].map(|()| Claim::new(false)),
            receivers: [None; 2],
            sent: 0,
            received: 0,
        }
    }

    fn after(path: &[(usize, Act)]) -> Self {
        let mut walk = Self::new();
        for &(party, act) in path {
            assert_eq!(walk.act(party, act), Some(true));
        }
        walk
    }

    /// `None`: the party cannot do that now, and nothing was called. `false`: it has to withdraw instead.
    fn act(&mut self, party: usize, act: Act) -> Option<bool> {
        let Self { state, bench, senders, claims, receivers, sent, received } = self;
        let mut wakes = bench.wakes();
        let (sender, receiver) = (&mut senders[party], &mut receivers[party]);
        let claim = Arc::clone(&claims[party]);
        let mut value = Some(0);
        match (act, *sender, *receiver) {
            (OfferByTask | OfferByThread, Sender::Free, _) => {
                let kind = if act == OfferByTask { WaiterKind::Task } else { WaiterKind::Thread };
                let attempt = by(Some(kind));
                if state.is_plain_for(attempt) {
                    let mut one = WakeOne::new(&bench.senders, &bench.receivers, None, None);
                    *sender = Sender::Offers(state.offer_plainly(0, &mut one).0);
                    one.run::<false>();
                } else {
                    match state.offer(&mut value, None, attempt, &mut wakes) {
                        Outcome::Queued(ticket, _) => *sender = Sender::Offers(ticket),
                        Outcome::Done(()) => *sent += 1,
                        _ => {}
                    }
                }
            }
            (OfferNow, Sender::Free, _) => {
                let outcome = state.offer(&mut value, None, by(None), &mut wakes);
                *sent += u64::from(matches!(outcome, Outcome::Done(())));
            }
            (OfferByArm, Sender::Free, _) => {
                claims[party] = Claim::new(false);
                let arm = Some(ArmRef::new(&claims[party], 0));
                let attempt = Attempt { arm, ..by(Some(WaiterKind::Task)) };
                match state.offer(&mut value, None, attempt, &mut wakes) {
                    Outcome::Queued(ticket, _) => *sender = Sender::IsArm(ticket, false),
                    Outcome::Done(()) => *sent += 1,
                    _ => {}
                }
            }
            (ArmWaits, Sender::IsArm(ticket, false), _) => {
                if claim.end() {
                    _ = claim.begin();
                    state.reregister(ticket, &mut wakes);
                    _ = claim.end();
                }
                *sender = Sender::IsArm(ticket, true);
            }
            (CheckOffer, Sender::Offers(ticket), _) => {
                let outcome = state.check_offer(ticket, by(Some(WaiterKind::Task)), &mut wakes);
                match outcome {
                    Outcome::Done(()) => (*sender, *sent) = (Sender::Free, *sent + 1),
                    Outcome::Closed(_) => return Some(false),
                    _ => {}
                }
            }
            (Withdraw, Sender::Offers(ticket) | Sender::IsArm(ticket, _), _) => {
                *sent += u64::from(state.withdraw(ticket, &mut wakes).is_none());
                *sender = Sender::Free;
            }
            (Withdraw, Sender::Reserves(ticket), _) => {
                assert!(state.withdraw(ticket, &mut wakes).is_none());
                *sender = Sender::Free;
            }
            (Act::Reserve, Sender::Free | Sender::Reserves(_), _) => {
                let mut at =
                    if let Sender::Reserves(ticket) = *sender { Some(ticket) } else { None };
                let outcome = state.reserve(&mut at, by(Some(WaiterKind::Task)), &mut wakes);
                *sender = match outcome {
                    Outcome::Done(permit) => Sender::HasPermit(permit),
                    Outcome::Closed(_) => return Some(false),
                    _ => at.map_or(Sender::Free, Sender::Reserves),
                };
            }
            (SendByPermit, Sender::HasPermit(permit), _) => {
                let attempt = by(Some(WaiterKind::Task));
                match state.offer(&mut value, Some(permit), attempt, &mut wakes) {
                    Outcome::Queued(ticket, _) => *sender = Sender::Offers(ticket),
                    Outcome::Done(()) => (*sender, *sent) = (Sender::Free, *sent + 1),
                    Outcome::Closed(_) => *sender = Sender::Free,
                    _ => unreachable!(),
                }
            }
            (GiveUpPermit, Sender::HasPermit(permit), _) => {
                state.release(permit, &mut wakes);
                *sender = Sender::Free;
            }
            (ReceiveByTask | ReceiveByThread | ReceiveBySelect, _, None) => {
                let kind = match act {
                    ReceiveByTask => WaiterKind::Task,
                    ReceiveByThread => WaiterKind::Thread,
                    _ => WaiterKind::Selecting,
                };
                let mut at = None;
                let outcome = Self::receive(state, bench, &mut at, kind, true, &mut wakes);
                *received += u64::from(matches!(outcome, Outcome::Done(_)));
                *receiver = at.map(|at| (at, kind));
            }
            (ReceiveNow, _, None) => {
                let outcome = state.receive(&mut None, by(None), true, &mut wakes);
                *received += u64::from(matches!(outcome, Outcome::Done(_)));
            }
            (ReceiveAgain | ReceiveImpatiently, _, Some((ticket, kind))) => {
                let (mut at, is_patient) = (Some(ticket), act == ReceiveAgain);
                let outcome = Self::receive(state, bench, &mut at, kind, is_patient, &mut wakes);
                *received += u64::from(matches!(outcome, Outcome::Done(_)));
                *receiver = at.map(|at| (at, kind));
            }
            (Expire, _, Some((ticket, _))) => {
                let mut at = Some(ticket);
                let outcome = state.receive(&mut at, by(None), true, &mut wakes);
                *received += u64::from(matches!(outcome, Outcome::Done(_)));
                if let Some(at) = at {
                    *received += u64::from(state.leave(at, &mut wakes).is_some());
                }
                *receiver = None;
            }
            (Leave, _, Some((ticket, _))) => {
                *received += u64::from(state.leave(ticket, &mut wakes).is_some());
                *receiver = None;
            }
            (Close, _, _) if party == 0 => {
                if !state.close(Why::Closed, &mut wakes) {
                    return Some(false);
                }
            }
            _ => return None,
        }
        wakes.run();
        Some(true)
    }

    fn receive(
        state: &mut State<u32>,
        bench: &Bench,
        at: &mut Option<Ticket>,
        kind: WaiterKind,
        is_patient: bool,
        wakes: &mut WakeList<'_>,
    ) -> Outcome<u32> {
        let attempt = by(Some(kind));
        let mut one = WakeOne::new(&bench.senders, &bench.receivers, None, None);
        let is_plain = kind == WaiterKind::Task && state.is_plain_for(attempt);
        let offer = if is_plain { state.offer_plainly_for(*at) } else { None };
        let outcome = if let Some(offer) = offer {
            Outcome::Done(state.take_plainly(offer, at.take(), &mut one).expect("a value"))
        } else if is_plain && at.is_none() {
            *at = Some(state.wait_plainly(&mut one).0);
            if state.leaves_offers() {
                state.settle(wakes);
            }
            Outcome::Pending
        } else {
            state.receive(at, attempt, is_patient, wakes)
        };
        one.run::<false>();
        outcome
    }

    fn sender_is(&self, party: usize) -> Is {
        let (Sender::Offers(ticket) | Sender::IsArm(ticket, _) | Sender::Reserves(ticket)) =
            self.senders[party]
        else {
            return NoEntry;
        };
        if !self.state.senders.contains(ticket) {
            return NoEntry;
        }
        match self.state.senders.peek(ticket).map(|sender| &sender.waiting) {
            Some(Waiting::Offer(_)) if self.state.senders.is_in_list(ticket) => Offer,
            Some(Waiting::Offer(_)) => PassedOver,
            Some(Waiting::Reserve) => Is::Reserve,
            Some(Waiting::Granted(_)) => Granted,
            Some(Waiting::Nothing) | None => unreachable!("an entry"),
        }
    }

    fn receiver_is(&self, party: usize) -> Is {
        let Some((ticket, _)) = self.receivers[party] else { return NoEntry };
        if !self.state.receivers.contains(ticket) {
            return NoEntry;
        }
        match self.state.receivers.peek(ticket).map(|receiver| &receiver.role) {
            Some(Role::Idle) => Idle,
            Some(Role::Notified) => Notified,
            Some(Role::Reserved) => Reserved,
            Some(Role::Delivered(_)) => Delivered,
            None => unreachable!("an entry"),
        }
    }

    /// All that can make a difference from now on, whichever sender and whichever receiver is called the first.
    fn key(&self) -> Key {
        let orders = [[0, 1], [1, 0]];
        let keys =
            orders.iter().flat_map(|&senders| orders.map(|to| self.key_in_order(senders, to)));
        keys.min().unwrap()
    }

    fn key_in_order(&self, senders: [usize; 2], receivers: [usize; 2]) -> Key {
        let State { notified, notified_tasks, unresponsive, is_plain, end, .. } = &self.state;
        let counts = [*notified, *notified_tasks, *unresponsive];
        let position = |of: Ticket| {
            receivers
                .iter()
                .position(|&party| self.receivers[party].is_some_and(|(at, _)| at == of))
        };
        let sending = senders.map(|party| {
            let at = match self.senders[party] {
                Sender::Free => At::Nothing,
                Sender::Offers(_) | Sender::Reserves(_) => At::Entry,
                Sender::IsArm(_, waits) => At::Arm(waits, format!("{:?}", self.claims[party])),
                Sender::HasPermit(permit) => At::Permit(position(permit)),
            };
            let is = self.sender_is(party);
            let granted = match self.senders[party] {
                Sender::Reserves(at) if is == Granted => self.state.senders.peek(at),
                _ => None,
            };
            let to = granted.and_then(|sender| match sender.waiting {
                Waiting::Granted(to) => position(to),
                _ => None,
            });
            (at, is, to)
        });
        let receiving = receivers.map(|party| {
            let receiver = self.receivers[party].map(|(at, kind)| {
                let is_prodded =
                    self.state.receivers.peek(at).is_some_and(|entry| entry.is_prodded);
                (kind as u8, is_prodded)
            });
            (receiver, self.receiver_is(party))
        });
        let sent = senders.map(|party| match self.senders[party] {
            Sender::Offers(at) | Sender::IsArm(at, _) | Sender::Reserves(at) => Some(at.serial),
            Sender::Free | Sender::HasPermit(_) => None,
        });
        let came = receivers.map(|party| self.receivers[party].map(|(at, _)| at.serial));
        Key {
            counts,
            flags: [*is_plain, end.is_some(), sent[0] < sent[1], came[0] < came[1]],
            sending,
            receiving,
        }
    }
}

/// What is said of a sender in a key.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
enum At {
    Nothing,
    Entry,
    Arm(bool, String),
    Permit(Option<usize>),
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    counts: [u32; 3],
    flags: [bool; 4],
    /// The senders: where each is, what its entry is, and the receiver that it is granted.
    sending: [(At, Is, Option<usize>); 2],
    /// The receivers: the kind of each, whether it is prodded, and what its entry is.
    receiving: [(Option<(u8, bool)>, Is); 2],
}

/// Every state that two senders and two receivers reach; every step of each.
#[test]
#[allow(clippy::print_stdout)] // how much it has seen
fn the_tables_are_true() {
    let mut seen = HashSet::from([Walk::new().key()]);
    let mut queue = VecDeque::from([Vec::new()]);
    let (mut steps, mut longest) = (0_u32, 0);
    let mut met = [BTreeSet::new(), BTreeSet::new()];
    while let Some(path) = queue.pop_front() {
        longest = longest.max(path.len());
        let mut untouched = None;
        for party in 0..2 {
            for &act in ACTS {
                let mut walk = untouched.take().unwrap_or_else(|| Walk::after(&path));
                let before = [0, 1].map(|party| [walk.sender_is(party), walk.receiver_is(party)]);
                let acted = catch_unwind(AssertUnwindSafe(|| walk.act(party, act)));
                match acted.unwrap_or_else(|_| panic!("after {path:?}, then {party} {act:?}")) {
                    Some(true) => {}
                    Some(false) => continue,
                    None => {
                        untouched = Some(walk);
                        continue;
                    }
                }
                steps += 1;
                let is_consistent =
                    catch_unwind(AssertUnwindSafe(|| walk.state.assert_consistent()));
                assert!(is_consistent.is_ok(), "after {path:?}, then {party} {act:?}");
                for (party, before) in before.into_iter().enumerate() {
                    let after = [walk.sender_is(party), walk.receiver_is(party)];
                    for (side, table) in [SENDERS, RECEIVERS].into_iter().enumerate() {
                        let change = (before[side], after[side]);
                        if change.0 != change.1 {
                            let is_known = table.iter().any(|&(from, to, _)| (from, to) == change);
                            assert!(
                                is_known,
                                "{change:?} is in no table: {path:?}, then {party} {act:?}"
                            );
                            met[side].insert(change);
                        }
                    }
                }
                if seen.insert(walk.key()) {
                    let mut path = path.clone();
                    path.push((party, act));
                    queue.push_back(path);
                }
            }
        }
    }
    for (side, table) in [SENDERS, RECEIVERS].into_iter().enumerate() {
        for &(from, to, how) in table {
            assert!(
                met[side].contains(&(from, to)),
                "no state leads from {from:?} to {to:?}: {how}"
            );
        }
    }
    println!("{} states, {steps} steps, the longest way {longest}", seen.len());
    assert!(seen.len() > 1000, "a walk that is worth its name");
}
