//! Who waits for whom on a channel of many ends. Pure: under one lock, no user code; what others must be told goes to `Effects`.
//!
//! # Senders
//!
//! | an entry                   | stands in  | means                                                   | ends when                             |
//! |----------------------------|------------|---------------------------------------------------------|---------------------------------------|
//! | with a value               | `VALUES`   | an offer                                                | it is taken (the entry is then gone), or its owner leaves |
//! | the same, of a `select`    | no list    | was passed over while its owner looked elsewhere        | its owner puts it back, or leaves     |
//! | without, `granted` is none | `RESERVES` | wants a permit                                          | it is granted one, or its owner leaves |
//! | without, `granted` is some | no list    | has a permit for that receiver, and does not know it yet | its owner looks or leaves             |
//!
//! # Receivers
//!
//! | role       | stands in             | means                                             | what may come next                                   |
//! |------------|-----------------------|---------------------------------------------------|------------------------------------------------------|
//! | `Idle`     | `THREADS` or `TASKS`  | nobody has asked for it                           | is called, filled, reserved; takes; leaves           |
//! | `Called`   | no list               | a task that was told of an offer                  | looks: takes one, or is idle again where it stood; leaves: the call goes on to the next |
//! | `Reserved` | no list               | belongs to a permit                               | its permit sends: called or filled; is dropped: idle; its time is up: may take an offer that stands |
//! | `Filled`   | no list               | a thread that has been given its value            | looks: has it                                        |
//!
//! A thread in a `select` (`Chooser`) stands among the threads, but is called as a task is: it may go away with another arm. An offer
//! of a `select` must be won (see `claim`) before its value is taken; receivers of the same `select` are neither called for it nor given it.
//!
//! # What always holds when the lock is free and the channel has not ended
//!
//! * If there are more offers than called receivers (but the lazy ones), or reserves, then nobody is idle (but arms of a `select` that has all of these).
//! * `called` counts the entries that are `Called`, `called_tasks` those of them that are tasks.
//! * If there are offers, and a task is called, then the first idle thread has been told.
//! * Only a thread is ever `Filled`: it cannot go away between two looks, a task can.
//!
//! # Who gets an offer
//!
//! The offer that came first, always; but which receiver? The idle one that came first: a thread gets it at once, a task is called
//! and takes it when it looks. Who comes when each offer has somebody called for it stands behind them. But a called task may never look,
//! kept by its owner and not polled. So whoever has stood here and looks again (and is not `Reserved`) takes what is still there, and while a task is
//! called, the first waiting thread is told (`told`), so that it looks. It first gives those that were called some time: it looks once
//! more a little later, whatever happens (`is_patient`). When it has taken what a task was called for, that task counts as `lazy`, and
//! nothing is left to it any more, until it looks.

use std::mem;
use std::task::Waker;

use super::effects::Effects;
use super::line::{Line, Ticket};
use super::waiter::{Found, Glance, Offer, RESERVES, Role, TASKS, THREADS, Taker, VALUES};
use crate::claim::Party;
use crate::error::Why;
use crate::wait::Who;

// In this order: what changes rarely first, see `Core`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct State<T> {
    watchers: Option<Box<Line<Option<Waker>, 0>>>,
    /// How many offers had a turn before: those of permits.
    had_turn: u64,
    /// How many ends each side has.
    ends: [u32; 2],
    end: Option<Why>,
    /// Of the tasks that are called, how many were proved not to come soon.
    lazy: u32,
    takers: Line<Taker<T>, 2>,
    senders: Line<Offer<T>, 2>,
    called: u32,
    called_tasks: u32,
    handed_over: u64,
}

impl<T> State<T> {
    pub(super) const fn new(ends: [u32; 2]) -> Self {
        Self {
            senders: Line::new(),
            takers: Line::new(),
            had_turn: 0,
            called: 0,
            called_tasks: 0,
            lazy: 0,
            watchers: None,
            handed_over: 0,
            ends,
            end: None,
        }
    }

    // ---- ends

    #[inline]
    pub(super) const fn end(&self) -> Option<Why> {
        self.end
    }

    pub(super) const fn ends(&self) -> [u32; 2] {
        self.ends
    }

    pub(super) const fn handed_over(&self) -> u64 {
        self.handed_over
    }

    /// One more end of a side.
    pub(super) const fn join(&mut self, side: usize) {
        self.ends[side] = self.ends[side].checked_add(1).expect("fewer than 2^32 ends of a side");
    }

    /// One end of a side less; the last one ends the channel.
    pub(super) fn part(&mut self, side: usize, why: Why, fx: &mut Effects<'_>) {
        self.ends[side] -= 1;
        if self.ends[side] == 0 {
            self.finish(why, fx);
        }
    }

    /// Ends the channel, unless it has ended. Whoever waits takes its entry away itself.
    pub(super) fn finish(&mut self, why: Why, fx: &mut Effects<'_>) -> bool {
        if self.end.is_some() {
            return false;
        }
        self.end = Some(why);
        for (ticket, offer) in self.senders.all() {
            fx.wake(offer.waker.take());
            fx.stir_offer(ticket.index);
        }
        for (ticket, taker) in self.takers.all() {
            fx.wake(taker.waker.take());
            fx.stir_taker(ticket.index);
        }
        for (_, waker) in self.watchers.iter_mut().flat_map(|watchers| watchers.all()) {
            fx.wake(waker.take());
        }
        true
    }

    /// Those that wait on each side.
    pub(super) fn waiting(&mut self) -> [usize; 2] {
        let senders = self.senders.all().count();
        let takers = self.takers.all().filter(|(_, taker)| taker.role != Role::Filled).count();
        [senders, takers]
    }

    /// Waits for the end.
    pub(super) fn watch(
        &mut self,
        at: &mut Option<Ticket>,
        glance: &mut Glance<'_>,
        fx: &mut Effects<'_>,
    ) -> Found<Why> {
        if let Some(why) = self.end {
            return Found::Done(why);
        }
        if glance.waker.is_none() {
            return Found::Nothing;
        }
        let watchers = self.watchers.get_or_insert_with(|| Box::new(Line::new()));
        let ticket = *at.get_or_insert_with(|| watchers.enter(None));
        match watchers.get(ticket) {
            Some(seat) => glance.wait_on(seat, fx),
            None => Found::Nothing,
        }
    }

    pub(super) fn unwatch(&mut self, ticket: Ticket, fx: &mut Effects<'_>) {
        let seat = self.watchers.as_mut().and_then(|watchers| watchers.leave(ticket));
        fx.drop_waker(seat.flatten());
    }

    // ---- meetings

    /// The idle receiver that came first, of those that `is_apt`.
    #[inline]
    fn first_idle(&self, is_apt: impl Fn(&Taker<T>) -> bool) -> Option<Ticket> {
        let first = |list| self.takers.iter(list).find(|(_, taker)| is_apt(taker));
        match (first(THREADS), first(TASKS)) {
            (Some((thread, _)), Some((task, _))) => {
                Some(if thread.serial < task.serial { thread } else { task })
            }
            (thread, task) => thread.or(task).map(|(ticket, _)| ticket),
        }
    }

    /// The idle receiver that came first, of those that somebody else than themselves has an offer for, or wants a permit.
    #[inline]
    fn first_idle_for(&self, senders: u8) -> Option<Ticket> {
        self.first_idle(|taker| {
            taker.party == Party::NONE
                || self.senders.iter(senders).any(|(_, offer)| offer.party() != taker.party)
        })
    }

    /// A sender who can be paired with a receiver: whether it has a value, and for whom.
    #[inline]
    fn next_pair(&self) -> Option<(bool, Ticket)> {
        let is_value = self.next_is_value()?;
        let find = |is_value| {
            let taker = self.first_idle_for(if is_value { VALUES } else { RESERVES })?;
            Some((is_value, taker))
        };
        find(is_value).or_else(|| {
            // Those that came first and those that are idle are arms of the same `select`: others may come before them.
            let has_value = self.senders.len(VALUES) > self.awaited();
            if is_value || has_value { find(!is_value) } else { None }
        })
    }

    /// How many offers are left to those who were called for them.
    #[inline]
    const fn awaited(&self) -> u32 {
        self.called - self.lazy
    }

    /// One of the called, a task or not, is it no more.
    fn uncall(&mut self, is_task: bool) {
        self.called -= 1;
        self.called_tasks -= u32::from(is_task);
        self.lazy = self.lazy.min(self.called_tasks);
    }

    /// Whether the sender that came first, of those for whom nobody is called, is one with a value. `None`: there is none.
    #[inline]
    fn next_is_value(&self) -> Option<bool> {
        let has_value = self.senders.len(VALUES) > self.awaited();
        match self.senders.first(RESERVES) {
            None => has_value.then_some(true),
            Some(reserve) => Some(
                has_value
                    && self
                        .senders
                        .first(VALUES)
                        .is_some_and(|value| value.serial < reserve.serial),
            ),
        }
    }

    /// Brings senders and idle receivers together, while there are both.
    #[inline]
    fn pair(&mut self, fx: &mut Effects<'_>) {
        if self.end.is_some() || self.takers.is_empty(THREADS) && self.takers.is_empty(TASKS) {
            return; // nothing is handed over after the end, nor without an idle receiver
        }
        while let Some((is_value, ticket)) = self.next_pair() {
            let Some(taker) = self.takers.get(ticket) else { return };
            let (who, party) = (taker.who, taker.party);
            if !is_value {
                self.grant(ticket, party, fx);
            } else if who != Who::Thread {
                self.call(ticket, fx);
            } else if let Some(value) = self.take_first(party, fx) {
                self.fill(ticket, value, fx);
            }
        }
        self.tell_thread(fx);
    }

    /// Sees to it that the first thread looks, should the tasks that are called not do so.
    #[inline]
    fn tell_thread(&mut self, fx: &mut Effects<'_>) {
        if self.called_tasks == 0 || self.senders.is_empty(VALUES) {
            return;
        }
        let Some(thread) = self.takers.first(THREADS) else { return };
        if self.takers.get(thread).is_some_and(|taker| !mem::replace(&mut taker.told, true)) {
            self.rouse(thread, fx);
        }
    }

    /// Gives a permit for an idle receiver to the first other party that wants one.
    fn grant(&mut self, taker: Ticket, party: Party, fx: &mut Effects<'_>) {
        let mut reserves = self.senders.iter(RESERVES);
        let is_other = |offer: &Offer<T>| party == Party::NONE || offer.party() != party;
        let Some((reserve, _)) = reserves.find(|(_, offer)| is_other(offer)) else { return };
        drop(reserves);
        self.senders.step_out(reserve);
        if let Some(offer) = self.senders.get(reserve) {
            offer.granted = Some(taker);
            fx.wake(offer.waker.take());
            fx.stir_offer(reserve.index);
        }
        self.bind(taker);
    }

    /// Makes an idle receiver that of a permit.
    fn bind(&mut self, ticket: Ticket) {
        self.takers.step_out(ticket);
        if let Some(taker) = self.takers.get(ticket) {
            taker.role = Role::Reserved;
        }
    }

    /// Tells a receiver of an offer.
    #[inline]
    fn call(&mut self, ticket: Ticket, fx: &mut Effects<'_>) {
        self.takers.step_out(ticket);
        self.called += 1;
        let Some(taker) = self.takers.get(ticket) else { return };
        taker.role = Role::Called;
        self.called_tasks += u32::from(taker.who == Who::Task);
        self.rouse(ticket, fx);
    }

    /// Has a receiver look.
    #[inline]
    fn rouse(&mut self, ticket: Ticket, fx: &mut Effects<'_>) {
        if let Some(taker) = self.takers.get(ticket) {
            fx.wake(taker.waker.take());
            if taker.lingers {
                fx.stir_taker(ticket.index);
            }
        }
    }

    /// Gives a thread its value.
    #[inline]
    fn fill(&mut self, ticket: Ticket, value: T, fx: &mut Effects<'_>) {
        self.takers.step_out(ticket);
        if let Some(taker) = self.takers.get(ticket) {
            debug_assert_eq!(taker.who, Who::Thread, "others may go away");
            taker.role = Role::Filled;
            taker.value = Some(value);
        }
        self.rouse(ticket, fx);
    }

    /// Takes the value of the first offer, whose sender is then done.
    #[inline]
    fn take_first(&mut self, party: Party, fx: &mut Effects<'_>) -> Option<T> {
        let first = self.senders.first(VALUES)?;
        let is_plain = self.senders.get(first).is_some_and(|offer| offer.held.is_none());
        let ticket = if is_plain { first } else { self.win_first(party)? };
        let offer = self.senders.leave(ticket)?;
        fx.tell_taken(ticket.index, ticket.serial);
        fx.wake(offer.waker);
        self.handed_over += 1;
        offer.value
    }

    /// The first offer of another party that may be taken. Those that may not step out: their owners put them back.
    #[cold]
    fn win_first(&mut self, party: Party) -> Option<Ticket> {
        let mut at = self.senders.first(VALUES);
        while let Some(ticket) = at {
            at = self.senders.next(ticket);
            match self.senders.get(ticket).and_then(|offer| offer.held.as_ref()) {
                None => return Some(ticket),
                Some(held) if held.party() == party => {}
                Some(held) if held.win() => return Some(ticket),
                Some(_) => self.senders.step_out(ticket),
            }
        }
        None
    }

    /// Puts an offer that was passed over back to where it stood.
    pub(super) fn resume(&mut self, ticket: Ticket, fx: &mut Effects<'_>) {
        if self.senders.contains(ticket) && !self.senders.is_in_list(ticket) {
            self.senders.insert(ticket, VALUES);
            self.pair(fx);
        }
    }
}

mod receiving;
mod sending;
#[cfg(all(test, not(handover_loom)))]
mod tests;
