//! The reference: what may happen, as lists of offers and counts of ends.
//!
//! It does not tell which interleaving comes next; the program does. After each call of the library it tells whether the outcome
//! is one of those that are allowed:
//!
//! * a value is received once, or given back, or dropped with an operation that was given up or lost a choice;
//! * a send that is done was received (in a stream: accepted, and received as long as the reader reads on);
//! * what comes through a channel of two parties comes in order, with no gap; at a rendezvous the first offer that may be taken comes first;
//! * of a choice one arm happens;
//! * an error is the right one, and after the end nobody waits;
//! * when each party that was woken has been polled, nobody waits beside a partner.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use handover::Why;

use super::decode::Kind;
use super::ledger::{self, Value};
use super::out::Out;

pub(crate) const SENDING: usize = 0;
pub(crate) const RECEIVING: usize = 1;

/// What an operation is to the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// One value.
    Send,
    /// One value, by a permit.
    SendByPermit,
    /// Several values.
    SendAll,
    Receive,
    /// A batch of so many items, which comes whole but after a flush and at the end.
    Read(usize),
    Reserve,
    /// Asks, and carries a value up.
    Ask,
    /// Waits for the other side's next step, and carries no value.
    Demand,
    Flush,
    /// Waits until the other side has left.
    Closed,
}

/// An operation that was begun, or an arm of one.
#[derive(Clone, Debug)]
pub(crate) struct Arm {
    pub(crate) channel: usize,
    pub(crate) side: usize,
    pub(crate) deed: Deed,
    /// The values that it has brought in so far.
    pub(crate) values: Rc<RefCell<Vec<usize>>>,
    /// How many of them were put on the list of offers.
    offered: usize,
}

impl Arm {
    pub(crate) fn new(channel: usize, side: usize, deed: Deed) -> Self {
        Self { channel, side, deed, values: Rc::default(), offered: 0 }
    }

    /// With a new value, which is given to the operation.
    pub(crate) fn with_value(self) -> (Self, Value) {
        let value = Value::new(self.channel, self.deed == Deed::Ask);
        self.values.borrow_mut().push(value.0);
        (self, value)
    }

    /// Makes so many values, each when it is asked for.
    pub(crate) fn with_lazy_values(self, count: usize) -> (Self, impl Iterator<Item = Value>) {
        let (channel, values) = (self.channel, Rc::clone(&self.values));
        let iter = (0..count).map(move |_| {
            let value = Value::new(channel, false);
            values.borrow_mut().push(value.0);
            value
        });
        (self, iter)
    }

    /// Makes so many values at once, which may go to another thread.
    pub(crate) fn with_values(self, count: usize) -> (Self, Vec<Value>) {
        let values: Vec<_> = (0..count).map(|_| Value::new(self.channel, false)).collect();
        self.values.borrow_mut().extend(values.iter().map(|value| value.0));
        (self, values)
    }
}

#[derive(Clone, Copy, Debug)]
struct Offer {
    uid: usize,
    id: usize,
    /// May be taken beside another arm.
    is_free: bool,
}

/// How an operation came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Polled,
    Now,
    TimedOut,
}

#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) kind: Kind,
    /// How many ends of each side there are.
    pub(crate) ends: [usize; 2],
    /// What the ends of each side said when they left; the worst of it.
    pub(crate) said: [Option<Why>; 2],
    /// Of a rendezvous.
    pub(crate) ended: Option<Why>,
    /// In the order in which they are to be taken.
    offers: Vec<Offer>,
    /// How many permits are held.
    pub(crate) permits: usize,
    /// How many operations were forgotten while they waited.
    pub(crate) forgotten: usize,
    /// The greatest number received so far, downward and upward.
    last: [Option<usize>; 2],
    /// How many values there were when the last flush began: a batch of them may be short.
    flushed: usize,
    pub(crate) handed_over: u64,
    /// Bytes of a pipe.
    pub(crate) written: usize,
    pub(crate) read: usize,
    /// A receiver was told of the end.
    pub(crate) is_end_told: bool,
    /// A planned panic has interrupted the leave of an end: what it said is not known.
    is_interrupted: bool,
}

/// What a party is about.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    pub(crate) is_busy: bool,
    /// Was polled, and waits.
    pub(crate) waits: bool,
    pub(crate) uid: usize,
    pub(crate) arms: Vec<Arm>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) channels: Vec<Channel>,
    pub(crate) seats: Vec<Seat>,
    /// The choices of which an arm has happened by its partner's call.
    won: BTreeSet<usize>,
    /// A planned panic has interrupted something: offers may stand in another order.
    pub(crate) is_disturbed: bool,
    uids: usize,
}

fn rank(why: Why) -> u8 {
    match why {
        Why::Closed => 0,
        Why::Dropped => 1,
        _ => 2,
    }
}

impl World {
    pub(crate) fn new(parties: usize) -> Self {
        Self {
            channels: Vec::new(),
            seats: (0..parties).map(|_| Seat::default()).collect(),
            won: BTreeSet::new(),
            is_disturbed: false,
            uids: 0,
        }
    }

    pub(crate) fn add_channel(&mut self, kind: Kind, ends: [usize; 2]) {
        self.channels.push(Channel {
            kind,
            ends,
            said: [None; 2],
            ended: None,
            offers: Vec::new(),
            permits: 0,
            forgotten: 0,
            last: [None; 2],
            flushed: 0,
            handed_over: 0,
            written: 0,
            read: 0,
            is_end_told: false,
            is_interrupted: false,
        });
    }

    pub(crate) fn disturb(&mut self) {
        self.is_disturbed = true;
    }

    // ---- Ends

    /// Why whoever is on `side` is told that the channel has ended, if it has.
    pub(crate) fn end_for(&self, channel: usize, side: usize) -> Option<Why> {
        let channel = &self.channels[channel];
        match channel.kind {
            Kind::Rendezvous => channel.ended,
            _ => channel.said[1 - side],
        }
    }

    pub(crate) fn leave(&mut self, channel: usize, side: usize, why: Why) {
        let channel = &mut self.channels[channel];
        let worst =
            channel.said[side].map_or(why, |said| if rank(said) > rank(why) { said } else { why });
        channel.said[side] = Some(worst);
        channel.ends[side] -= 1;
        if channel.ends[side] == 0 && channel.kind == Kind::Rendezvous {
            channel.ended.get_or_insert(worst);
        }
    }

    /// All ends at once. `is_first` is what `close` returned, if no planned panic came out of it.
    pub(crate) fn close(&mut self, channel: usize, is_first: Option<bool>) {
        let channel = &mut self.channels[channel];
        let says_so = is_first.is_none_or(|is_first| is_first == channel.ended.is_none());
        assert!(says_so, "the call that closes says so, and no other");
        channel.ended.get_or_insert(Why::Closed);
    }

    pub(crate) fn interrupt(&mut self, channel: usize) {
        self.channels[channel].is_interrupted = true;
    }

    fn assert_end(&mut self, arm: &Arm, why: Why) {
        let end = self.end_for(arm.channel, arm.side);
        let channel = &mut self.channels[arm.channel];
        channel.is_end_told |= arm.side == RECEIVING && arm.deed != Deed::Closed;
        if channel.is_interrupted {
            assert!(end.is_some() && why.is_end());
            return;
        }
        assert_eq!(Some(why), end, "told of an end of channel {} to {:?}", arm.channel, arm.deed);
    }

    /// An error of the operation.
    fn assert_why(&mut self, arm: &Arm, why: Why, way: Way) {
        match why {
            Why::NotReady => assert_eq!(way, Way::Now),
            Why::TimedOut => assert_eq!(way, Way::TimedOut),
            Why::OutOfTurn => {
                let kind = self.channels[arm.channel].kind;
                assert!(matches!(kind, Kind::Simplex | Kind::Duplex), "out of turn");
                assert!(
                    matches!(arm.deed, Deed::Demand | Deed::Ask | Deed::Receive),
                    "out of turn"
                );
            }
            why => self.assert_end(arm, why),
        }
    }

    // ---- Operations

    pub(crate) fn begin(&mut self, party: usize, arms: Vec<Arm>) {
        self.uids += 1;
        for arm in &arms {
            if arm.deed == Deed::Flush {
                self.channels[arm.channel].flushed = ledger::fates().len();
            }
        }
        self.seats[party] = Seat { is_busy: true, waits: false, uid: self.uids, arms };
    }

    /// The operation was polled, and waits.
    pub(crate) fn wait(&mut self, party: usize) {
        let uid = self.seats[party].uid;
        assert!(!self.won.contains(&uid), "an arm has happened, but it waits");
        let mut arms = std::mem::take(&mut self.seats[party].arms);
        for arm in &mut arms {
            self.assert_may_wait(arm);
            self.put_on_offer(uid, arm);
        }
        let seat = &mut self.seats[party];
        (seat.arms, seat.waits) = (arms, true);
    }

    fn assert_may_wait(&self, arm: &Arm) {
        let end = self.end_for(arm.channel, arm.side);
        assert_eq!(end, None, "{:?} waits after the end of channel {}", arm.deed, arm.channel);
        let kind = self.channels[arm.channel].kind;
        for &id in &*arm.values.borrow() {
            let fate = ledger::fate(id);
            assert!(
                fate.drops == 0 || fate.is_received || fate.goes_up,
                "#{id} is lost in {:?}",
                arm.deed
            );
            let is_done = fate.is_received && kind == Kind::Rendezvous;
            assert!(!is_done || arm.deed == Deed::SendAll, "#{id} was taken, but its send waits");
        }
    }

    fn put_on_offer(&mut self, uid: usize, arm: &mut Arm) {
        let channel = &mut self.channels[arm.channel];
        if channel.kind != Kind::Rendezvous {
            return;
        }
        let values = arm.values.borrow();
        for &id in &values[arm.offered..] {
            let is_free = arm.deed == Deed::SendAll;
            if is_free && ledger::fate(id).is_received {
                continue;
            }
            let place = if arm.deed == Deed::SendByPermit { 0 } else { channel.offers.len() };
            channel.offers.insert(place, Offer { uid, id, is_free });
        }
        arm.offered = values.len();
    }

    fn may_be_taken(&self, offer: &Offer) -> bool {
        offer.is_free || !self.won.contains(&offer.uid)
    }

    /// A value came out of a channel.
    fn receive(&mut self, uid: usize, channel: usize, value: &Value) {
        let id = value.0;
        let fate = ledger::fate(id);
        assert_eq!(fate.channel, channel, "#{id} came out of another channel");
        assert!(!fate.is_received, "#{id} was received twice");
        assert!(!fate.is_returned, "#{id} was received, and given back");
        assert_eq!(fate.drops, 0, "#{id} was received, and dropped before");
        ledger::change(id, |fate| fate.is_received = true);
        ledger::trace(|| format!("    #{id} comes out of channel {channel}"));
        self.channels[channel].handed_over += 1;
        if self.channels[channel].kind == Kind::Rendezvous {
            return self.take_offer(uid, channel, id);
        }
        let last = &mut self.channels[channel].last[usize::from(fate.goes_up)];
        assert!(*last < Some(id), "#{id} after {last:?}");
        *last = Some(id);
        let missing = ledger::fates().into_iter().take(id).position(|fate| {
            fate.channel == channel && fate.is_accepted && !fate.is_received && !fate.is_returned
        });
        assert_eq!(missing, None, "accepted before #{id}, but not received");
    }

    fn take_offer(&mut self, uid: usize, channel: usize, id: usize) {
        let offers = &self.channels[channel].offers;
        let place = offers.iter().position(|offer| offer.id == id);
        let first = offers.iter().find(|offer| offer.uid != uid && self.may_be_taken(offer));
        let Some(place) = place else {
            assert!(self.is_disturbed, "#{id} is not on offer");
            return;
        };
        let offer = offers[place];
        if !self.is_disturbed {
            // The arms of one choice come in any order.
            assert_eq!(
                Some(offer.uid),
                first.map(|first| first.uid),
                "the first offer, not #{id}, of {offers:?}"
            );
        }
        assert!(self.may_be_taken(&offer), "#{id}: its choice was made before");
        self.channels[channel].offers.remove(place);
        if !offer.is_free {
            self.won.insert(offer.uid);
        }
    }

    fn withdraw(&mut self, uid: usize) {
        for channel in &mut self.channels {
            channel.offers.retain(|offer| offer.uid != uid);
        }
    }

    /// The values of an arm that was given up, or lost: each went with it or was received.
    fn let_go(&self, arm: &Arm) {
        let is_batch = self.channels[arm.channel].kind == Kind::Stream;
        for &id in &*arm.values.borrow() {
            let fate = ledger::fate(id);
            assert!(
                fate.drops > 0 || fate.is_received || fate.is_returned || is_batch,
                "#{id} is neither withdrawn nor received"
            );
        }
    }

    fn take_back(&self, values: impl IntoIterator<Item = Value>) {
        for value in values {
            let fate = ledger::fate(value.0);
            assert!(!fate.is_received, "#{} was received, and given back", value.0);
            ledger::change(value.0, |fate| fate.is_returned = true);
            ledger::trace(|| format!("    #{} comes back", value.0));
        }
    }

    /// The operation is over, and had no outcome.
    pub(crate) fn give_up(&mut self, party: usize, way: Option<Way>) {
        let seat = std::mem::take(&mut self.seats[party]);
        let is_undisturbed = way.is_some() && !self.is_disturbed;
        if is_undisturbed {
            assert!(!self.won.contains(&seat.uid), "an arm has happened, but none is told");
        }
        self.withdraw(seat.uid);
        for arm in &seat.arms {
            if !self.is_disturbed {
                self.let_go(arm);
            }
            if is_undisturbed {
                let end = self.end_for(arm.channel, arm.side);
                assert_eq!(end, None, "the end of channel {} is an outcome", arm.channel);
                self.assert_nothing_there(seat.uid, arm);
            }
        }
    }

    /// A receive that looked finds what is on offer.
    fn assert_nothing_there(&self, uid: usize, arm: &Arm) {
        let channel = &self.channels[arm.channel];
        if arm.deed == Deed::Receive && !self.is_disturbed {
            let is_for = |offer: &&Offer| offer.uid != uid && self.may_be_taken(offer);
            let there = channel.offers.iter().find(is_for);
            assert!(there.is_none(), "{there:?} is on offer, and a receive says that nothing is");
        }
    }

    pub(crate) fn forget(&mut self, party: usize) {
        let seat = std::mem::take(&mut self.seats[party]);
        for arm in &seat.arms {
            for &id in &*arm.values.borrow() {
                ledger::change(id, |fate| fate.is_forgotten = true);
            }
            self.channels[arm.channel].forgotten += 1;
        }
    }

    /// What `reclaim` gave.
    pub(crate) fn reclaim(&mut self, party: usize, value: Option<Value>) {
        let seat = std::mem::take(&mut self.seats[party]);
        self.withdraw(seat.uid);
        match value {
            Some(value) => self.take_back([value]),
            None => {
                for &id in &*seat.arms[0].values.borrow() {
                    let fate = ledger::fate(id);
                    let kind = self.channels[seat.arms[0].channel].kind;
                    let is_taken = fate.is_received || fate.goes_up || kind == Kind::Stream;
                    assert!(
                        is_taken || self.is_disturbed,
                        "#{id} was not taken, and does not come back"
                    );
                }
            }
        }
        self.let_go(&seat.arms[0]);
    }

    /// An arm has happened. Returns the permit if it brings one.
    pub(crate) fn finish<'a>(
        &mut self,
        party: usize,
        arm: usize,
        out: Out<'a>,
        way: Way,
    ) -> Option<handover::Permit<'a, Value>> {
        let seat = std::mem::take(&mut self.seats[party]);
        let done = seat.arms[arm].clone();
        ledger::trace(|| format!("    {:?} on channel {}: {out:?}", done.deed, done.channel));
        if self.won.contains(&seat.uid) {
            let is_taken = done.values.borrow().iter().any(|id| ledger::fate(*id).is_received);
            assert!(is_taken, "another arm of the choice has happened before");
        }
        self.withdraw(seat.uid);
        let mut permit = None;
        match out {
            Out::Done(result) => {
                if let Err(why) = result {
                    self.assert_why(&done, why, way);
                }
            }
            Out::Left(Ok(why)) => self.assert_end(&done, why),
            Out::Left(Err(why)) => self.assert_why(&done, why, way),
            Out::Received(Ok(values)) => self.receive_all(seat.uid, &done, values),
            Out::Received(Err(why)) => {
                self.assert_why(&done, why, way);
                if !why.is_end() {
                    self.assert_nothing_there(seat.uid, &done);
                }
            }
            Out::Sent(Ok(())) => self.sent(&done),
            Out::Sent(Err((why, back))) => {
                self.assert_why(&done, why, way);
                self.take_back(back);
                self.unsent(&done);
            }
            Out::Exchanged(value) => {
                self.sent(&done);
                self.receive(seat.uid, done.channel, &value);
            }
            Out::Permitted(Ok(got)) => {
                self.channels[done.channel].permits += 1;
                permit = Some(got);
            }
            Out::Permitted(Err(why)) => self.assert_why(&done, why, way),
        }
        for (place, lost) in seat.arms.iter().enumerate() {
            if place != arm {
                self.let_go(lost);
            }
        }
        permit
    }

    fn receive_all(&mut self, uid: usize, arm: &Arm, values: Vec<Value>) {
        let channel = &mut self.channels[arm.channel];
        if let Deed::Read(n) = arm.deed {
            let count = values.len();
            assert!(count <= n, "{count} items, where {n} were asked for");
            let is_flushed = values.iter().all(|value| value.0 < channel.flushed);
            let may_be_short = is_flushed || channel.said[SENDING].is_some();
            assert!(count == n || may_be_short, "{count} items, where {n} were asked for");
        }
        for value in &values {
            self.receive(uid, arm.channel, value);
        }
    }

    /// All values of the arm are where a send that is done leaves them.
    fn sent(&self, arm: &Arm) {
        let is_batch = self.channels[arm.channel].kind == Kind::Stream;
        // What a reader has gathered goes with it.
        let may_be_gone = self.channels[arm.channel].said[RECEIVING].is_some();
        for &id in &*arm.values.borrow() {
            let fate = ledger::fate(id);
            if is_batch {
                assert!(
                    fate.is_received || fate.drops == 0 || may_be_gone,
                    "#{id} was accepted, and is lost"
                );
                ledger::change(id, |fate| fate.is_accepted = true);
            } else {
                assert!(fate.is_received || fate.goes_up, "#{id} was sent, but not received");
            }
        }
    }

    /// All values of the arm were received or given back.
    fn unsent(&self, arm: &Arm) {
        let is_batch = self.channels[arm.channel].kind == Kind::Stream;
        for &id in &*arm.values.borrow() {
            let fate = ledger::fate(id);
            // An item that was put into the batch before is the reader's, or comes back from `finish`.
            let is_told = fate.is_received || fate.is_returned || fate.goes_up || is_batch;
            assert!(is_told, "#{id} neither comes back nor was received");
        }
    }

    // ---- The words of an end that leaves

    /// A value that is left for the peer: `finish_with`.
    pub(crate) fn leave_value(&mut self, id: usize, back: Option<Value>) {
        match back {
            Some(value) => self.take_back([value]),
            None => ledger::change(id, |fate| fate.is_accepted = true),
        }
    }

    /// A channel of two parties whose sender has left, and whose receiver was told so, owes nothing.
    pub(crate) fn assert_nothing_owed(&self, channel: usize) {
        let it = &self.channels[channel];
        assert!(it.is_end_told, "the receiver of channel {channel} is not told of the end");
        if it.is_interrupted {
            return;
        }
        for (id, fate) in ledger::fates().into_iter().enumerate() {
            let is_owed = fate.channel == channel && fate.is_accepted;
            assert!(
                !is_owed || fate.is_received || fate.is_returned,
                "#{id} was accepted, but never received"
            );
        }
        assert!(
            self.is_disturbed || it.read == it.written,
            "bytes were written that were not read"
        );
    }

    /// The batch that `finish` gave back.
    pub(crate) fn take_back_batch(&mut self, values: Vec<Value>) {
        self.take_back(values);
    }

    // ---- What holds when each party that was woken has been polled

    pub(crate) fn assert_settled(&self) {
        for seat in &self.seats {
            assert!(!self.won.contains(&seat.uid), "not told that an arm has happened");
            for arm in seat.arms.iter().filter(|_| seat.waits) {
                let end = self.end_for(arm.channel, arm.side);
                assert_eq!(
                    end, None,
                    "{:?} is not told of the end of channel {}",
                    arm.deed, arm.channel
                );
            }
        }
        for channel in 0..self.channels.len() {
            self.assert_nobody_waits_beside_a_partner(channel);
        }
    }

    fn assert_nobody_waits_beside_a_partner(&self, channel: usize) {
        let waiting = || self.seats.iter().filter(|seat| seat.waits);
        let arms = || waiting().flat_map(|seat| seat.arms.iter().map(move |arm| (seat, arm)));
        let on = |side: usize| {
            let here = move |arm: &Arm| arm.channel == channel && arm.side == side;
            arms().filter(move |(_, arm)| here(arm) && arm.deed != Deed::Closed)
        };
        let (takers, all): (Vec<_>, Vec<_>) = (on(RECEIVING).collect(), on(SENDING).collect());
        let it = &self.channels[channel];
        if it.kind != Kind::Rendezvous {
            assert!(
                takers.is_empty() || all.is_empty(),
                "both wait on channel {channel}: {:?} and {:?}",
                all[0].1,
                takers[0].1
            );
            return;
        }
        // A party of which a receive belongs to a permit is granted none meanwhile.
        let is_bound = |uid: usize| {
            arms().any(|(seat, arm)| {
                let other = &self.channels[arm.channel];
                seat.uid == uid && arm.side == RECEIVING && other.permits + other.forgotten > 0
            })
        };
        let is_giver = |seat: &Seat, arm: &Arm| arm.deed != Deed::Reserve || !is_bound(seat.uid);
        let givers: Vec<_> = all
            .iter()
            .filter(|(seat, arm)| is_giver(seat, arm))
            .map(|(seat, _)| seat.uid)
            .collect();
        let takers: Vec<_> = takers.iter().map(|(seat, _)| seat.uid).collect();
        // So many receivers may be held by a permit, or be passed over for an operation that nobody polls.
        let held = it.permits + it.forgotten;
        if held == 0 {
            for giver in &givers {
                assert!(
                    takers.iter().all(|taker| taker == giver),
                    "channel {channel}: {givers:?} beside {takers:?}"
                );
            }
        } else if takers.len() > held && givers.iter().all(|giver| !takers.contains(giver)) {
            // Each receive that nobody polls may delay one offer.
            assert!(
                givers.len() <= it.forgotten,
                "channel {channel}: {givers:?} beside {takers:?}, and {held} are held"
            );
        }
    }
}
