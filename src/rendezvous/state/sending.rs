//! What senders do: offer, look after an offer, want a permit, give up. The states are told in `state`.

use super::super::effects::Effects;
use super::super::line::Ticket;
use super::super::waiter::{Found, Glance, Offer, RESERVES, Role, TASKS, THREADS, Taker, VALUES};
use super::State;
use crate::claim::Party;
use crate::wait::Who;

impl<T> State<T> {
    /// Offers a value for the first time. Done: it was taken; else, if the sender stays, it has an entry.
    #[inline]
    pub(in crate::rendezvous) fn offer(
        &mut self,
        value: &mut Option<T>,
        permit: Option<Ticket>,
        glance: &mut Glance<'_>,
        fx: &mut Effects<'_>,
    ) -> Found<Option<Ticket>> {
        if let Some(why) = self.end {
            return Found::Ended(why);
        }
        if let Some(taker) = permit {
            if self.is_bound(taker) {
                return self.offer_to(taker, value, glance, fx);
            }
        }
        if self.senders.is_empty(VALUES) {
            // Nobody came before; so nobody is idle if there are reserves.
            if let Some(first) = self.first_for(glance.stays) {
                if let Some(value) = value.take() {
                    self.handed_over += 1;
                    self.fill(first, value, fx);
                }
                return Found::Done(None);
            }
        }
        if glance.stays.is_none() {
            return self.offer_at_once(value, fx);
        }
        if !glance.enters {
            return Found::Nothing;
        }
        let had_turn = permit.is_some();
        let ticket = self.enter_offer(value.take(), had_turn, glance);
        self.pair(fx);
        Found::Done(self.senders.contains(ticket).then_some(ticket))
    }

    #[inline]
    fn enter_offer(&mut self, value: Option<T>, had_turn: bool, glance: &mut Glance<'_>) -> Ticket {
        let (waker, held) = (glance.fresh.take(), glance.held());
        let offer = Offer { waker, value, granted: None, held };
        if had_turn {
            self.had_turn += 1;
            let ticket = self.senders.enter_first(offer, self.had_turn);
            self.senders.prepend(ticket, VALUES);
            ticket
        } else {
            let ticket = self.senders.enter(offer);
            self.senders.append(ticket, VALUES);
            ticket
        }
    }

    /// The thread that may be given a value straight: the first idle receiver, or for who does not stay the first that is one.
    #[inline]
    fn first_for(&self, stays: Option<Who>) -> Option<Ticket> {
        if stays.is_none() {
            return self.first_thread();
        }
        let (thread, taker) = self.takers.iter(THREADS).next()?;
        let is_first = self.takers.first(TASKS).is_none_or(|task| thread.serial < task.serial);
        (is_first && taker.who == Who::Thread).then_some(thread)
    }

    /// The first idle thread that cannot go away.
    pub(super) fn first_thread(&self) -> Option<Ticket> {
        let mut threads = self.takers.iter(THREADS);
        threads.find(|(_, taker)| taker.who == Who::Thread).map(|(ticket, _)| ticket)
    }

    /// Offers a value to the threads that wait, behind the offers that stand.
    #[cold]
    fn offer_at_once(
        &mut self,
        value: &mut Option<T>,
        fx: &mut Effects<'_>,
    ) -> Found<Option<Ticket>> {
        while let Some(thread) = self.first_thread() {
            let older = self.take_first(Party::NONE, fx);
            let is_mine = older.is_none();
            let Some(next) = older.or_else(|| value.take()) else { break };
            self.fill(thread, next, fx);
            if is_mine {
                self.handed_over += 1;
                return Found::Done(None);
            }
        }
        Found::Nothing
    }

    pub(super) fn is_bound(&mut self, taker: Ticket) -> bool {
        self.takers.get(taker).is_some_and(|taker| taker.role == Role::Reserved)
    }

    /// Offers a value by a permit, to its receiver.
    fn offer_to(
        &mut self,
        taker: Ticket,
        value: &mut Option<T>,
        glance: &mut Glance<'_>,
        fx: &mut Effects<'_>,
    ) -> Found<Option<Ticket>> {
        if self.takers.get(taker).is_some_and(|taker| taker.who == Who::Thread) {
            if let Some(value) = value.take() {
                self.handed_over += 1;
                self.fill(taker, value, fx);
            }
            return Found::Done(None);
        }
        if !glance.enters {
            return Found::Nothing; // who only peeks keeps the permit
        }
        if glance.stays.is_none() {
            self.release(taker, fx);
            return Found::Nothing;
        }
        let ticket = self.enter_offer(value.take(), true, glance);
        self.call(taker, fx);
        self.tell_thread(fx);
        Found::Done(Some(ticket))
    }

    /// Looks after an offer.
    pub(in crate::rendezvous) fn see_offer(
        &mut self,
        ticket: Ticket,
        glance: &mut Glance<'_>,
        fx: &mut Effects<'_>,
    ) -> Found<()> {
        match (self.senders.get(ticket), self.end) {
            (None, _) => Found::Done(()),
            (Some(_), Some(why)) => Found::Ended(why),
            (Some(offer), None) => {
                let found = glance.wait_on(&mut offer.waker, fx);
                // Its `select` was forgotten.
                if glance.share.is_none() && offer.held.take().is_some() {
                    self.resume(ticket, fx);
                }
                found
            }
        }
    }

    /// Takes back what was not taken. Also gives up on a permit.
    pub(in crate::rendezvous) fn take_back(
        &mut self,
        ticket: Ticket,
        fx: &mut Effects<'_>,
    ) -> Option<T> {
        let offer = self.senders.leave(ticket)?;
        fx.drop_waker(offer.waker);
        if let Some(taker) = offer.granted {
            self.release(taker, fx);
        }
        offer.value
    }

    /// Wants a permit.
    pub(in crate::rendezvous) fn reserve(
        &mut self,
        at: &mut Option<Ticket>,
        glance: &mut Glance<'_>,
        fx: &mut Effects<'_>,
    ) -> Found<Ticket> {
        if let Some(why) = self.end {
            return Found::Ended(why);
        }
        let ticket = match *at {
            Some(ticket) => ticket,
            None => {
                // If somebody is idle, nobody came before.
                let party = glance.party();
                let is_other = |taker: &Taker<T>| party == Party::NONE || taker.party != party;
                if let Some(taker) = self.first_idle(is_other) {
                    self.bind(taker);
                    self.tell_thread(fx);
                    return Found::Done(taker);
                }
                if glance.stays.is_none() || !glance.enters {
                    return Found::Nothing;
                }
                let held = glance.held();
                let offer = Offer { waker: None, value: None, granted: None, held };
                let ticket = self.senders.enter(offer);
                self.senders.append(ticket, RESERVES);
                *at.insert(ticket)
            }
        };
        if let Some(taker) = self.senders.get(ticket).and_then(|offer| offer.granted.take()) {
            if !self.is_bound(taker) {
                // The receiver has gone: the next one, please.
                self.senders.insert(ticket, RESERVES);
                self.pair(fx);
                return self.reserve(at, glance, fx);
            }
            *at = None;
            let offer = self.senders.leave(ticket);
            fx.drop_waker(offer.and_then(|offer| offer.waker));
            return Found::Done(taker);
        }
        match self.senders.get(ticket) {
            Some(offer) => glance.wait_on(&mut offer.waker, fx),
            None => Found::Nothing,
        }
    }

    /// Gives up on a permit: its receiver is free for the next.
    pub(in crate::rendezvous) fn release(&mut self, ticket: Ticket, fx: &mut Effects<'_>) {
        if self.is_bound(ticket) {
            self.stand_back(ticket);
            self.pair(fx);
        }
    }
}
