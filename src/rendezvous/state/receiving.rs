//! What receivers do: take, wait, give up. The states are told in `state`.

use std::mem;

use super::super::effects::Effects;
use super::super::line::Ticket;
use super::super::waiter::{Found, Glance, Role, Taker, VALUES};
use super::State;
use crate::wait::Who;

impl<T> State<T> {
    /// An entry in no list is idle again, where it stood.
    pub(super) fn stand_back(&mut self, ticket: Ticket) {
        if let Some(taker) = self.takers.get(ticket) {
            taker.role = Role::Idle;
            let list = taker.list();
            self.takers.insert(ticket, list);
        }
    }

    /// Looks for a value.
    #[inline]
    pub(in crate::rendezvous) fn receive(
        &mut self,
        at: &mut Option<Ticket>,
        glance: &mut Glance<'_>,
        fx: &mut Effects<'_>,
    ) -> Found<T> {
        match *at {
            None => self.receive_first(at, glance, fx),
            Some(ticket) => {
                let found = self.receive_again(ticket, glance, fx);
                if matches!(found, Found::Done(_) | Found::Ended(_)) {
                    *at = None;
                }
                found
            }
        }
    }

    #[inline]
    fn receive_first(
        &mut self,
        at: &mut Option<Ticket>,
        glance: &mut Glance<'_>,
        fx: &mut Effects<'_>,
    ) -> Found<T> {
        if let Some(why) = self.end {
            return Found::Ended(why);
        }
        // Who does not stay cannot come later, and takes what is there.
        if glance.stays.is_none() || self.next_is_value() == Some(true) {
            if let Some(value) = self.take_first(glance.party(), fx) {
                return Found::Done(value);
            }
        }
        let Some(who) = glance.stays else { return Found::Nothing };
        if !glance.enters {
            return Found::Nothing;
        }
        let taker = Taker {
            waker: glance.fresh.take(),
            role: Role::Idle,
            who,
            told: false,
            party: glance.party(),
            lingers: glance.waker.is_none(),
            value: None,
        };
        let list = taker.list();
        let ticket = self.takers.enter(taker);
        self.takers.append(ticket, list);
        *at = Some(ticket);
        self.pair(fx);
        let is_waiting = glance.waker.is_some() && !self.senders.is_empty(VALUES);
        if is_waiting && !self.is_bound(ticket) { Found::LookAgain } else { Found::Nothing }
    }

    #[inline]
    fn receive_again(
        &mut self,
        ticket: Ticket,
        glance: &mut Glance<'_>,
        fx: &mut Effects<'_>,
    ) -> Found<T> {
        let end = self.end;
        let Some(taker) = self.takers.get(ticket) else { return Found::Nothing };
        if let Some(value) = taker.value.take() {
            self.retire(ticket, fx);
            return Found::Done(value);
        }
        if let Some(why) = end {
            self.retire(ticket, fx);
            return Found::Ended(why);
        }
        // Who belongs to a permit is true to it, as long as it can be.
        let is_free = taker.role != Role::Reserved || glance.stays.is_none();
        if is_free && !self.senders.is_empty(VALUES) {
            let is_thread = glance.stays.is_some_and(|who| who != Who::Task);
            let is_left_to_others = is_thread
                && taker.role == Role::Idle
                && self.senders.len(VALUES) <= self.called - self.lazy;
            if is_left_to_others && glance.is_patient {
                // Who was called comes first, if it comes.
                return match self.stay(ticket, glance, fx) {
                    Found::NeedsWaker => Found::NeedsWaker,
                    _ => Found::LookAgain,
                };
            }
            if let Some(value) = self.take_first(glance.party(), fx) {
                if is_left_to_others {
                    self.lazy = (self.lazy + 1).min(self.called_tasks);
                }
                self.retire(ticket, fx);
                self.pair(fx);
                return Found::Done(value);
            }
        }
        self.stay(ticket, glance, fx)
    }

    /// Nothing is there: a called receiver stands back, where it was.
    fn stay(&mut self, ticket: Ticket, glance: &mut Glance<'_>, fx: &mut Effects<'_>) -> Found<T> {
        let Some(taker) = self.takers.get(ticket) else { return Found::Nothing };
        let found = glance.wait_on(&mut taker.waker, fx);
        taker.lingers = glance.stays.is_some() && glance.waker.is_none();
        taker.told &= !self.senders.is_empty(VALUES);
        let (was_called, was_task) = (taker.role == Role::Called, taker.who == Who::Task);
        let is_other = glance.stays.is_some_and(|who| mem::replace(&mut taker.who, who) != who);
        taker.party = glance.party();
        if was_called {
            self.uncall(was_task);
            self.stand_back(ticket);
            self.pair(fx);
        } else if is_other && taker.role == Role::Idle {
            self.takers.step_out(ticket);
            self.stand_back(ticket);
            self.tell_thread(fx);
        }
        found
    }

    #[inline]
    fn retire(&mut self, ticket: Ticket, fx: &mut Effects<'_>) -> Option<T> {
        let taker = self.takers.leave(ticket)?;
        fx.drop_waker(taker.waker);
        if taker.role == Role::Called {
            self.uncall(taker.who == Who::Task);
        }
        taker.value
    }

    /// Gives up on receiving: a call goes on to the next. (A value is only there if the receiver panicked.)
    pub(in crate::rendezvous) fn give_up(
        &mut self,
        ticket: Ticket,
        fx: &mut Effects<'_>,
    ) -> Option<T> {
        let value = self.retire(ticket, fx);
        self.pair(fx);
        value
    }
}
