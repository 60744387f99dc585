//! The straight way: what an attempt comes to while none but plain tasks receive, and every sender has a plain offer. See `state`.
//!
//! Nothing is done here that the long way would not do; there is only less to look for. What needs one more look goes on there, under the
//! same lock (`settle`).

use std::mem;

use super::{OFFERS, Role, State, TASKS, Waiting};
use crate::queue::Ticket;
use crate::rendezvous::wakes::{WakeList, WakeOne, Wakes};
use crate::step::Attempt;
use crate::wait::WaiterKind;

impl<T> State<T> {
    /// Whether an attempt may go the straight way.
    #[inline(always)]
    pub(in crate::rendezvous) fn is_plain_for(&mut self, attempt: Attempt<'_>) -> bool {
        attempt.arm.is_none() && attempt.may_enqueue && (self.is_plain || self.becomes_plain())
    }

    /// The last party of another kind may have gone.
    fn becomes_plain(&mut self) -> bool {
        let is_empty = !self.senders.has_entries() && !self.receivers.has_entries();
        self.is_plain = is_empty && self.end.is_none();
        self.is_plain
    }

    /// Offers a value for a party that waits. Gives its entry, and whether its waker is registered.
    #[inline(always)]
    pub(in crate::rendezvous) fn offer_plainly(
        &mut self,
        value: T,
        wakes: &mut WakeOne<'_>,
    ) -> (Ticket, bool) {
        let (ticket, sender) = self.senders.push_back(OFFERS);
        sender.waiting = Waiting::Offer(value);
        let is_registered = wakes.register_sender(&mut sender.waker);
        // The tasks that were notified, and are responsive, are no more than the offers before: none of them comes for this one.
        if let Some(first) = self.receivers.first(TASKS) {
            self.notify(first, wakes);
        }
        (ticket, is_registered)
    }

    /// The offer that a task with this entry, or with none, may take now. A task with an entry takes any offer that is still there; one without leaves
    /// offers to the tasks that were notified of them.
    #[inline(always)]
    pub(in crate::rendezvous) fn offer_plainly_for(&self, at: Option<Ticket>) -> Option<Ticket> {
        let left = if at.is_some() { 0 } else { self.awaited() };
        if self.senders.len(OFFERS) > left { self.senders.first(OFFERS) } else { None }
    }

    /// Takes the value of an offer, for the task with this entry, or with none.
    #[inline(always)]
    pub(in crate::rendezvous) fn take_plainly(
        &mut self,
        offer: Ticket,
        at: Option<Ticket>,
        wakes: &mut WakeOne<'_>,
    ) -> Option<T> {
        let value = self.take_offer(offer, wakes);
        if let Some(ticket) = at {
            self.leave_plainly(ticket, wakes);
        }
        self.count_unresponsive();
        // No offer is without a receiver now if none was before: a notified receiver that took one is notified no more, and if the taker was another one, a
        // notified one counts as unresponsive.
        debug_assert!(self.receivers.is_empty(TASKS) || self.senders.len(OFFERS) <= self.awaited());
        value
    }

    /// A receiver is done.
    #[inline(always)]
    fn leave_plainly(&mut self, ticket: Ticket, wakes: &mut WakeOne<'_>) {
        let Some(receiver) = self.receivers.remove(ticket) else { return };
        wakes.unregister(ticket.index, &mut receiver.waker);
        if let Role::Notified = mem::replace(&mut receiver.role, Role::Idle) {
            self.unnotify(true);
        }
    }

    /// A task begins to wait for a value. Gives its entry, and whether its waker is registered.
    #[inline(always)]
    pub(in crate::rendezvous) fn wait_plainly(
        &mut self,
        wakes: &mut WakeOne<'_>,
    ) -> (Ticket, bool) {
        let (ticket, receiver) = self.receivers.push_back(TASKS);
        receiver.kind = WaiterKind::Task;
        receiver.is_spinning = !wakes.has_waker();
        (ticket, wakes.register_receiver(&mut receiver.waker))
    }

    /// Whether offers stand that are left to tasks that were notified. A party that begins to wait passes one of them on (`settle`).
    #[inline(always)]
    pub(in crate::rendezvous) fn leaves_offers(&self) -> bool {
        !self.senders.is_empty(OFFERS)
    }

    /// What a party that begins to wait has left to do.
    #[cold]
    pub(in crate::rendezvous) fn settle(&mut self, wakes: &mut WakeList<'_>) {
        self.pair(wakes);
        self.pass_on(wakes);
    }
}
