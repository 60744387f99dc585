//! What senders do: offer, check on an offer, want a permit, give up. The states are told in `state`.

use std::mem;

use super::{
    OFFERS, Outcome, RESERVES, Role, State, TASKS, THREADS, Waiting, WaitingSender, select_id,
};
use crate::claim::{ArmHandle, ArmRef, SelectId};
use crate::queue::Ticket;
use crate::rendezvous::wakes::{WakeList, Wakes};
use crate::step::Attempt;
use crate::wait::WaiterKind;

impl<T> State<T> {
    /// Offers a value for the first time. Done: it was taken. Queued: the sender has an entry.
    pub(in crate::rendezvous) fn offer(
        &mut self,
        value: &mut Option<T>,
        permit: Option<Ticket>,
        attempt: Attempt<'_>,
        wakes: &mut WakeList<'_>,
    ) -> Outcome<()> {
        if let Some(why) = self.end {
            return Outcome::Closed(why);
        }
        if let Some(receiver) = permit {
            if self.is_reserved(receiver) {
                return self.offer_to(receiver, value, attempt, wakes);
            }
        }
        if self.senders.is_empty(OFFERS) {
            // No offer came before; and no receiver is idle if there are reserves.
            if let Some(first) = self.first_for(attempt.waiter) {
                if let Some(value) = value.take() {
                    self.handed_over += 1;
                    self.deliver(first, value, wakes);
                }
                return Outcome::Done(());
            }
        }
        if attempt.waiter.is_none() {
            return self.offer_at_once(value, wakes);
        }
        if !attempt.may_enqueue {
            return Outcome::Pending;
        }
        let Some(value) = value.take() else { return Outcome::Pending };
        let queued = self.insert_offer(value, permit.is_some(), attempt, wakes);
        self.pair(wakes);
        match queued {
            Outcome::Queued(ticket, _) if !self.senders.contains(ticket) => Outcome::Done(()),
            queued => queued,
        }
    }

    fn insert_offer(
        &mut self,
        value: T,
        had_turn: bool,
        attempt: Attempt<'_>,
        wakes: &mut WakeList<'_>,
    ) -> Outcome<()> {
        self.is_plain = false;
        let (ticket, sender) = if had_turn {
            self.had_turn += 1;
            self.senders.push_front(self.had_turn, OFFERS)
        } else {
            self.senders.push_back(OFFERS)
        };
        sender.waiting = Waiting::Offer(value);
        sender.arm = attempt.arm.map(ArmRef::handle);
        Outcome::Queued(ticket, wakes.register_sender(&mut sender.waker))
    }

    /// The thread to which a value may be delivered at once: the first idle receiver; for a sender that does not wait the first one that is a thread.
    #[inline]
    fn first_for(&self, sender: Option<WaiterKind>) -> Option<Ticket> {
        if sender.is_none() {
            return self.first_thread();
        }
        let thread = self.receivers.first(THREADS)?;
        let is_first = self.receivers.first(TASKS).is_none_or(|task| thread.serial < task.serial);
        let kind = self.receivers.peek(thread).map(|receiver| receiver.kind);
        (is_first && kind == Some(WaiterKind::Thread)).then_some(thread)
    }

    /// The first idle thread that cannot leave.
    fn first_thread(&self) -> Option<Ticket> {
        self.receivers.find(THREADS, |receiver| receiver.kind == WaiterKind::Thread)
    }

    /// Offers a value to the threads that wait, behind the offers that are queued.
    #[cold]
    fn offer_at_once(&mut self, value: &mut Option<T>, wakes: &mut WakeList<'_>) -> Outcome<()> {
        while let Some(thread) = self.first_thread() {
            let older = self.take_first(SelectId::NONE, wakes);
            self.count_unresponsive();
            let is_own = older.is_none();
            let Some(next) = older.or_else(|| value.take()) else { break };
            self.deliver(thread, next, wakes);
            if is_own {
                self.handed_over += 1;
                return Outcome::Done(());
            }
        }
        self.prod_thread(wakes); // The first thread is another one now.
        Outcome::Pending
    }

    fn is_reserved(&self, receiver: Ticket) -> bool {
        self.receivers.contains(receiver)
            && self
                .receivers
                .peek(receiver)
                .is_some_and(|receiver| matches!(receiver.role, Role::Reserved))
    }

    /// Offers a value by a permit, to its receiver.
    fn offer_to(
        &mut self,
        receiver: Ticket,
        value: &mut Option<T>,
        attempt: Attempt<'_>,
        wakes: &mut WakeList<'_>,
    ) -> Outcome<()> {
        let kind = self.receivers.peek(receiver).map(|receiver| receiver.kind);
        if kind == Some(WaiterKind::Thread) {
            if let Some(value) = value.take() {
                self.handed_over += 1;
                self.deliver(receiver, value, wakes);
            }
            return Outcome::Done(());
        }
        if !attempt.may_enqueue {
            return Outcome::Pending; // A probing attempt keeps the permit.
        }
        if attempt.waiter.is_none() {
            self.release(receiver, wakes);
            return Outcome::Pending;
        }
        let Some(value) = value.take() else { return Outcome::Pending };
        let queued = self.insert_offer(value, true, attempt, wakes);
        self.notify(receiver, wakes);
        self.prod_thread(wakes);
        queued
    }

    /// Checks on an offer.
    pub(in crate::rendezvous) fn check_offer(
        &mut self,
        ticket: Ticket,
        attempt: Attempt<'_>,
        wakes: &mut WakeList<'_>,
    ) -> Outcome<()> {
        let end = self.end;
        let Some(sender) = self.senders.get(ticket) else { return Outcome::Done(()) };
        if let Some(why) = end {
            return Outcome::Closed(why);
        }
        let is_registered = wakes.register(&mut sender.waker);
        // Its `select` was forgotten: the offer is a plain one now.
        if attempt.arm.is_none() && sender.arm.take().is_some() {
            self.reregister(ticket, wakes);
        }
        if is_registered { Outcome::Pending } else { Outcome::NeedsWaker }
    }

    /// Withdraws an offer that was not taken. Also gives up on a permit.
    pub(in crate::rendezvous) fn withdraw(
        &mut self,
        ticket: Ticket,
        wakes: &mut WakeList<'_>,
    ) -> Option<T> {
        let sender = self.senders.remove(ticket)?;
        if let Waiting::Granted(_) = sender.waiting {
            _ = sender.must_retry_grant(); // The party withdraws its arms.
        }
        wakes.drop_later(sender.waker.take());
        sender.arm = None;
        match mem::replace(&mut sender.waiting, Waiting::Nothing) {
            Waiting::Offer(value) => {
                self.count_unresponsive();
                Some(value)
            }
            Waiting::Granted(receiver) => {
                self.release(receiver, wakes);
                None
            }
            Waiting::Nothing | Waiting::Reserve => None,
        }
    }

    /// Attempts to get a permit.
    pub(in crate::rendezvous) fn reserve(
        &mut self,
        at: &mut Option<Ticket>,
        attempt: Attempt<'_>,
        wakes: &mut WakeList<'_>,
    ) -> Outcome<Ticket> {
        if let Some(why) = self.end {
            return Outcome::Closed(why);
        }
        let ticket = match *at {
            Some(ticket) => {
                // Its `select` was forgotten: it is a plain one now.
                let sender = self.senders.get(ticket).filter(|_| attempt.arm.is_none());
                let is_forgotten = sender.is_some_and(WaitingSender::leave_select);
                if attempt.arm.is_some() || is_forgotten {
                    self.pair(wakes); // This party's claim may allow now what it did not before.
                }
                ticket
            }
            None => {
                let arm = attempt.arm.map(ArmRef::handle);
                if let Some(receiver) = self.reserve_at_once(select_id(attempt), arm.as_ref()) {
                    self.prod_thread(wakes);
                    return Outcome::Done(receiver);
                }
                if attempt.waiter.is_none() || !attempt.may_enqueue {
                    return Outcome::Pending;
                }
                self.is_plain = false;
                let (ticket, sender) = self.senders.push_back(RESERVES);
                (sender.waiting, sender.arm) = (Waiting::Reserve, arm);
                wakes.unregister(ticket.index, &mut sender.waker); // The free entry may have kept it.
                *at = Some(ticket);
                self.pass_on(wakes);
                ticket
            }
        };
        let granted = match self.senders.peek(ticket).map(|sender| &sender.waiting) {
            Some(Waiting::Granted(receiver)) => Some(*receiver),
            _ => None,
        };
        if let Some(receiver) = granted {
            if self.is_reserved(receiver) {
                *at = None;
                if let Some(sender) = self.senders.remove(ticket) {
                    (sender.waiting, sender.arm) = (Waiting::Nothing, None);
                    wakes.unregister(ticket.index, &mut sender.waker);
                }
                return Outcome::Done(receiver);
            }
            // That receiver has gone: the next one, please.
            if let Some(sender) = self.senders.get(ticket) {
                sender.waiting = Waiting::Reserve;
                _ = sender.must_retry_grant(); // It attempts its arms already, and queues them again before it waits.
            }
            self.senders.put_back(ticket, RESERVES);
            self.pair(wakes);
            return self.reserve(at, attempt, wakes);
        }
        let stored = self.senders.get(ticket).map(|sender| &mut sender.waker);
        if stored.is_none_or(|stored| wakes.register(stored)) {
            Outcome::Pending
        } else {
            Outcome::NeedsWaker
        }
    }

    /// Reserves the first idle receiver that may be had. If a receiver is idle, no other reserve came before.
    fn reserve_at_once(&mut self, id: SelectId, arm: Option<&ArmHandle>) -> Option<Ticket> {
        loop {
            let receiver = self.first_idle(|receiver| {
                (id == SelectId::NONE || receiver.select_id != id) && receiver.may_be_reserved()
            })?;
            if !arm.is_none_or(ArmHandle::try_grant) {
                return None;
            }
            if self.reserve_receiver(receiver) {
                return Some(receiver);
            }
            if arm.is_some_and(ArmHandle::undo_grant) {
                return None; // This party queues its arms again before it waits.
            }
        }
    }

    /// Gives up a permit: its receiver is free for the next sender.
    pub(in crate::rendezvous) fn release(&mut self, receiver: Ticket, wakes: &mut WakeList<'_>) {
        if self.is_reserved(receiver) {
            self.requeue(receiver, wakes);
            self.pair(wakes);
        }
    }
}
