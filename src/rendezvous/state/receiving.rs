//! What receivers do: take, wait, leave. The roles are told in `state`.

use std::mem;

use super::{
    MANY_UNRESPONSIVE, OFFERS, Outcome, Role, State, TASKS, THREADS, WaitingReceiver, select_id,
};
use crate::claim::{ArmRef, SelectId};
use crate::queue::Ticket;
use crate::rendezvous::wakes::{WakeList, Wakes};
use crate::step::Attempt;
use crate::wait::WaiterKind;

impl<T> State<T> {
    /// Puts a receiver that is in no list back to where it stood, idle.
    pub(super) fn requeue(&mut self, ticket: Ticket, wakes: &mut WakeList<'_>) {
        let Some(receiver) = self.receivers.get(ticket) else { return };
        receiver.role = Role::Idle;
        let list = receiver.list();
        let may_be_granted = receiver.unmark();
        self.receivers.put_back(ticket, list);
        if may_be_granted {
            // Its party attempts all its arms again: it may now be granted the permit for which it waits.
            self.wake(ticket, wakes);
        }
    }

    /// Whether a party that does not wait has nothing to receive.
    #[inline]
    pub(in crate::rendezvous) fn has_nothing(&self) -> bool {
        self.senders.is_empty(OFFERS) && self.end.is_none()
    }

    /// Attempts to receive a value.
    #[inline]
    pub(in crate::rendezvous) fn receive(
        &mut self,
        at: &mut Option<Ticket>,
        attempt: Attempt<'_>,
        is_patient: bool,
        wakes: &mut WakeList<'_>,
    ) -> Outcome<T> {
        match *at {
            None => self.receive_first(at, attempt, wakes),
            Some(ticket) => {
                let outcome = self.receive_again(ticket, attempt, is_patient, wakes);
                if matches!(outcome, Outcome::Done(_) | Outcome::Closed(_)) {
                    *at = None;
                }
                outcome
            }
        }
    }

    fn receive_first(
        &mut self,
        at: &mut Option<Ticket>,
        attempt: Attempt<'_>,
        wakes: &mut WakeList<'_>,
    ) -> Outcome<T> {
        if let Some(why) = self.end {
            return Outcome::Closed(why);
        }
        // A party that does not wait cannot come later, and takes any offer.
        if attempt.waiter.is_none() || self.is_offer_next() == Some(true) {
            if let Some(value) = self.take_first(select_id(attempt), wakes) {
                self.count_unresponsive();
                return Outcome::Done(value);
            }
        }
        let Some(kind) = attempt.waiter else { return Outcome::Pending };
        if !attempt.may_enqueue {
            return Outcome::Pending;
        }
        let select_id = select_id(attempt);
        let list = if kind == WaiterKind::Task { TASKS } else { THREADS };
        self.is_plain = false;
        let (ticket, receiver) = self.receivers.push_back(list);
        receiver.kind = kind;
        receiver.select_id = select_id;
        receiver.arm = attempt.arm.and_then(ArmRef::permit_handle);
        receiver.is_spinning = attempt.waker.is_none();
        let is_registered = wakes.register_receiver(&mut receiver.waker);
        *at = Some(ticket);
        self.pair(wakes);
        if !self.senders.is_empty(OFFERS) {
            self.pass_on(wakes);
        }
        if is_registered { self.queued(ticket, attempt) } else { Outcome::NeedsWaker }
    }

    /// What an attempt that has just got an entry comes to.
    fn queued(&self, ticket: Ticket, attempt: Attempt<'_>) -> Outcome<T> {
        let is_thread = attempt.waiter.is_some_and(|kind| kind != WaiterKind::Task);
        let is_idle = self.receivers.peek(ticket).is_some_and(WaitingReceiver::is_idle);
        let is_parking = is_thread && attempt.waker.is_some();
        if is_parking && is_idle && self.has_offer_for(select_id(attempt)) {
            Outcome::Recheck(self.unresponsive)
        } else {
            Outcome::Pending
        }
    }

    /// Registers the waker of a receiver that has just got an entry, and has had to clone its waker since. It takes no offer that
    /// it left to others then.
    #[cold]
    pub(in crate::rendezvous) fn register_queued(
        &mut self,
        at: &mut Option<Ticket>,
        attempt: Attempt<'_>,
        wakes: &mut WakeList<'_>,
    ) -> Outcome<T> {
        if let (Some(ticket), None) = (*at, self.end) {
            if let Some(receiver) = self.receivers.get(ticket).filter(|entry| entry.is_idle()) {
                wakes.register(&mut receiver.waker);
                return self.queued(ticket, attempt);
            }
        }
        self.receive(at, attempt, true, wakes)
    }

    fn receive_again(
        &mut self,
        ticket: Ticket,
        attempt: Attempt<'_>,
        is_patient: bool,
        wakes: &mut WakeList<'_>,
    ) -> Outcome<T> {
        // The kind of its party may be another one now, or its `select` may have been forgotten.
        self.is_plain &=
            attempt.waiter.is_none_or(|kind| kind == WaiterKind::Task) && attempt.arm.is_none();
        let end = self.end;
        let Some(receiver) = self.receivers.get(ticket) else { return Outcome::Pending };
        if matches!(receiver.role, Role::Delivered(_)) {
            return match self.retire(ticket, wakes) {
                Some(value) => Outcome::Done(value),
                None => Outcome::Pending,
            };
        }
        if let Some(why) = end {
            self.retire(ticket, wakes);
            return Outcome::Closed(why);
        }
        // The receiver of a permit takes no other offer while it can wait.
        let is_free = !matches!(receiver.role, Role::Reserved) || attempt.waiter.is_none();
        let is_idle = receiver.is_idle();
        let receiver_id = select_id(attempt);
        if is_free && self.has_offer_for(receiver_id) {
            let is_thread = attempt.waiter.is_some_and(|kind| kind != WaiterKind::Task);
            let is_left_to_others =
                is_thread && is_idle && self.senders.len(OFFERS) <= self.awaited();
            if is_left_to_others && is_patient && self.unresponsive < MANY_UNRESPONSIVE {
                // The notified receivers come first, if they come.
                return match self.stay(ticket, attempt, wakes) {
                    Outcome::NeedsWaker => Outcome::NeedsWaker,
                    _ => Outcome::Recheck(self.unresponsive),
                };
            }
            if let Some(value) = self.take_first(receiver_id, wakes) {
                self.retire(ticket, wakes);
                self.count_unresponsive();
                self.pair(wakes);
                return Outcome::Done(value);
            }
        }
        self.stay(ticket, attempt, wakes)
    }

    /// Nothing is there: a notified receiver is idle again, where it stood.
    fn stay(
        &mut self,
        ticket: Ticket,
        attempt: Attempt<'_>,
        wakes: &mut WakeList<'_>,
    ) -> Outcome<T> {
        let id = select_id(attempt);
        let has_offer = self.has_offer_for(id);
        let Some(receiver) = self.receivers.get(ticket) else { return Outcome::Pending };
        let is_registered = wakes.register(&mut receiver.waker);
        receiver.is_spinning = attempt.waiter.is_some() && attempt.waker.is_none();
        receiver.is_prodded &= has_offer;
        if receiver.select_id != id {
            // It was the arm of a `select` that was forgotten.
            receiver.unmark();
            receiver.select_id = id;
            receiver.arm = attempt.arm.and_then(ArmRef::permit_handle);
        }
        let waits_for_permit = receiver.arm.is_some();
        let was_task = receiver.kind == WaiterKind::Task;
        let is_other_kind =
            attempt.waiter.is_some_and(|kind| mem::replace(&mut receiver.kind, kind) != kind);
        match receiver.role {
            Role::Notified => {
                self.unnotify(was_task);
                self.requeue(ticket, wakes);
                self.pair(wakes);
            }
            Role::Idle if is_other_kind => {
                self.receivers.unlink(ticket);
                self.requeue(ticket, wakes);
                self.prod_thread(wakes);
            }
            // A permit for it may have given way to one for its own party.
            Role::Idle if waits_for_permit => self.pair(wakes),
            _ => {}
        }
        if is_registered { Outcome::Pending } else { Outcome::NeedsWaker }
    }

    /// Removes the entry of a receiver that is done or gives up. Gives the value that was delivered to it.
    #[inline]
    fn retire(&mut self, ticket: Ticket, wakes: &mut WakeList<'_>) -> Option<T> {
        let receiver = self.receivers.remove(ticket)?;
        receiver.unmark();
        wakes.unregister(ticket.index, &mut receiver.waker);
        receiver.arm = None;
        receiver.select_id = SelectId::NONE;
        receiver.is_prodded = false;
        match mem::replace(&mut receiver.role, Role::Idle) {
            Role::Notified => {
                let is_task = receiver.kind == WaiterKind::Task;
                self.unnotify(is_task);
                None
            }
            Role::Delivered(value) => Some(value),
            Role::Idle | Role::Reserved => None,
        }
    }

    /// Gives up on receiving: the next receiver is notified in its place. (It has a value only if it panicked, or ran out of time.)
    pub(in crate::rendezvous) fn leave(
        &mut self,
        ticket: Ticket,
        wakes: &mut WakeList<'_>,
    ) -> Option<T> {
        let value = self.retire(ticket, wakes);
        self.pair(wakes);
        value
    }
}
