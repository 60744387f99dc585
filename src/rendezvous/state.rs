//! Which party waits for which on a channel of many ends. Pure: called under one lock, it runs no user code; parties to wake go to `WakeList`.
//!
//! # Senders
//!
//! | an entry          | is in       | means                                                    | ends when                                                |
//! |-------------------|-------------|----------------------------------------------------------|----------------------------------------------------------|
//! | `Offer`           | `OFFERS`    | a value on offer                                         | it is taken (the entry is then gone), or its owner leaves |
//! | the same, of a `select` | no list | it was passed over while its owner was registering       | its owner queues it again, or leaves                     |
//! | `Reserve`         | `RESERVES`  | wants a permit                                           | it is granted one, or its owner leaves                   |
//! | `Granted`         | no list     | has a permit for that receiver, and does not know it yet | its owner attempts again or leaves                       |
//!
//! # Receivers
//!
//! | role        | is in                | means                                      | what may come next                                             |
//! |-------------|----------------------|--------------------------------------------|----------------------------------------------------------------|
//! | `Idle`      | `THREADS` or `TASKS` | nothing is meant for it                    | is notified, delivered to, reserved; takes; leaves             |
//! | `Notified`  | no list              | it was woken for an offer                  | attempts: takes one, or is idle again where it stood; leaves: the next one is notified |
//! | `Reserved`  | no list              | belongs to a permit                        | its permit sends: it is notified or delivered to; is dropped: it is idle; its time is up: it may take an offer |
//! | `Delivered` | no list              | a thread that has been given its value     | attempts: receives it                                          |
//!
//! A thread in a `select` (`Selecting`) is queued with the threads, but notified as a task is: it may leave with another arm. An offer
//! of a `select` must win its claim (see `claim`) before its value is taken; receivers of the same `select` neither are notified of it nor take it.
//!
//! # What always holds when the lock is free and the channel has not ended
//!
//! * If there are more offers than notified receivers (without the unresponsive ones), or reserves, then no receiver is idle (but arms of a `select` that has all of these).
//! * `notified` counts the entries that are `Notified`, `notified_tasks` those of them that are tasks.
//! * `unresponsive` is at most `notified_tasks`.
//! * If there are offers, and a task is notified, then the first idle thread that they are for has been prodded.
//! * Only a thread is ever `Delivered`: it cannot leave between two attempts, a task can.
//!
//! # The straight way
//!
//! While every receiver with an entry is a plain task and every sender with one has a plain offer (`is_plain`: no thread receives, and no `select`, permit
//! or reserve takes part), an attempt has little to look for (`plain`). It changes the state as the long way would, with fewer looks. The first entry of another kind ends that, until no party waits any more.
//!
//! `walk` has both tables as data, and tries them on every state that two senders and two receivers reach.
//!
//! # Which receiver gets an offer
//!
//! The first offer goes to the first idle receiver: a thread gets the value at once, a task is notified
//! and takes it at its next attempt. A receiver that comes when each offer has a notified receiver queues behind them.
//!
//! But a notified task may be kept by its owner and never polled again. It must not hold up the others:
//!
//! * A receiver that has an entry and attempts again (and is not `Reserved`) takes any offer that is still there.
//! * If an offer is withdrawn, or taken by a receiver that was not notified, a notified task is left without one. It counts as `unresponsive`: nothing is
//!   left to it any more, until it attempts again.
//! * A party that begins to wait while offers are left to notified receivers passes one on: the first idle task is notified, too (it may be the party itself).
//! * While a task is notified, the first idle thread is prodded: it is woken and attempts. It first gives the notified ones some time
//!   and attempts once more a little later, whatever happens (`is_patient`).

use std::mem;
use std::task::Waker;

use super::wakes::{WakeList, Wakes};
use crate::claim::{ArmHandle, SelectId};
use crate::error::Why;
use crate::queue::{Ticket, WaitQueue};
use crate::step::Attempt;
use crate::wait::WaiterKind;

mod plain;
mod receiving;
mod sending;
#[cfg(all(test, not(any(handover_loom, handover_shuttle))))]
mod tests;
#[cfg(all(test, not(any(handover_loom, handover_shuttle))))]
mod walk;

// The lists of senders and of receivers.
const OFFERS: u8 = 0;
const RESERVES: u8 = 1;
const THREADS: u8 = 0;
const TASKS: u8 = 1;

/// Where so many tasks have proved to be unresponsive, threads leave nothing to notified tasks any more.
pub(super) const MANY_UNRESPONSIVE: u32 = 4;

/// What an attempt has come to.
#[derive(Debug)]
pub(super) enum Outcome<R> {
    Done(R),
    Closed(Why),
    /// An offer now has an entry. `false`: the attempt's waker is not registered yet.
    Queued(Ticket, bool),
    /// Nothing yet.
    Pending,
    /// Nothing yet for a thread, but there is an offer that another receiver was notified of: one more attempt is due soon. With the
    /// number of tasks that have proved to be unresponsive.
    Recheck(u32),
    /// Nothing yet; the waker must be cloned before the next attempt, which is due at once.
    NeedsWaker,
}

// In this order, here and below: what the plain way changes first, see `Entry`.
/// The entry of a sender; the default is a free one. A free one may keep the waker of its last party.
#[derive(Debug)]
#[repr(C)]
struct WaitingSender<T> {
    waker: Option<Waker>,
    waiting: Waiting<T>,
    /// The arm of a `select` whose claim must be won before the value is taken.
    arm: Option<ArmHandle>,
}

#[derive(Debug)]
enum Waiting<T> {
    Nothing,
    Offer(T),
    Reserve,
    Granted(Ticket),
}

impl<T> Default for WaitingSender<T> {
    fn default() -> Self {
        Self { waker: None, waiting: Waiting::Nothing, arm: None }
    }
}

impl<T> WaitingSender<T> {
    fn select_id(&self) -> SelectId {
        self.arm.as_ref().map_or(SelectId::NONE, ArmHandle::select_id)
    }

    /// Whether it is for receivers of this `select` (or of none): a `select` does not meet itself.
    #[inline]
    fn is_for(&self, receiver: SelectId) -> bool {
        receiver == SelectId::NONE || self.select_id() != receiver
    }

    /// Whether its party may now be granted a permit.
    fn may_be_granted(&self) -> bool {
        self.arm.as_ref().is_none_or(ArmHandle::may_be_granted)
    }

    /// It is no arm any more. Whether it was one.
    fn leave_select(&mut self) -> bool {
        if matches!(self.waiting, Waiting::Granted(_)) {
            _ = self.must_retry_grant(); // The other arms are left alone, or do the same.
        }
        self.arm.take().is_some()
    }

    /// A permit for its party has come to nothing. Whether the party must attempt its arms again.
    fn must_retry_grant(&self) -> bool {
        self.arm.as_ref().is_some_and(ArmHandle::undo_grant)
    }
}

/// The entry of a receiver; the default is a free one. A free one may keep the waker of its last party.
#[derive(Debug)]
#[repr(C)]
struct WaitingReceiver<T> {
    waker: Option<Waker>,
    role: Role<T>,
    kind: WaiterKind,
    /// Its claim counts this receiver as reserved.
    is_marked: bool,
    /// A thread that was woken for offers of which only tasks may have been notified.
    is_prodded: bool,
    /// It watches its signal.
    is_spinning: bool,
    select_id: SelectId,
    /// The arm of a `select` that also waits for permits: its claim tells whether this receiver may be reserved.
    arm: Option<ArmHandle>,
}

#[derive(Debug)]
enum Role<T> {
    Idle,
    Notified,
    Reserved,
    Delivered(T),
}

impl<T> Default for WaitingReceiver<T> {
    fn default() -> Self {
        Self {
            waker: None,
            role: Role::Idle,
            kind: WaiterKind::Task,
            select_id: SelectId::NONE,
            arm: None,
            is_marked: false,
            is_prodded: false,
            is_spinning: false,
        }
    }
}

impl<T> WaitingReceiver<T> {
    fn list(&self) -> u8 {
        if self.kind == WaiterKind::Task { TASKS } else { THREADS }
    }

    #[inline(always)]
    fn wake<'a>(&mut self, ticket: Ticket, wakes: &mut impl Wakes<'a>) {
        wakes.wake(ticket.index, &mut self.waker);
        if self.is_spinning {
            wakes.notify_receiver(ticket.index);
        }
    }

    const fn is_idle(&self) -> bool {
        matches!(self.role, Role::Idle)
    }

    /// Whether a permit may now have it.
    fn may_be_reserved(&self) -> bool {
        self.arm.as_ref().is_none_or(ArmHandle::may_be_reserved)
    }

    /// It no longer belongs to a permit. Tells whether its party may have had to do without a permit meanwhile.
    fn unmark(&mut self) -> bool {
        if !mem::take(&mut self.is_marked) {
            return false;
        }
        self.arm.as_ref().inspect(|arm| arm.undo_reserve()).is_some()
    }
}

/// A sender and a receiver that can be brought together.
enum Meeting {
    /// Any offer, with this receiver.
    Offer(Ticket),
    /// This receiver, with the party that wants a permit.
    Permit(Ticket, Ticket),
}

#[inline]
fn select_id(attempt: Attempt<'_>) -> SelectId {
    attempt.arm.map_or(SelectId::NONE, |arm| arm.select_id())
}

// In this order: what changes rarely first, see `Core`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct State<T> {
    watchers: Option<Box<WaitQueue<Option<Waker>, 0>>>,
    /// How many offers had a turn before: those of permits.
    had_turn: u64,
    /// How many ends each side has.
    ends: [u32; 2],
    end: Option<Why>,
    /// The worst that an end of each side has said as it left: 0 for `Closed`, 1 for `Dropped`, 2 for `Panicked`.
    worst: [u8; 2],
    /// Each entry is a plain task's receiver or a plain offer, and the channel has not ended.
    is_plain: bool,
    /// How many of the notified tasks have been left without an offer.
    unresponsive: u32,
    receivers: WaitQueue<WaitingReceiver<T>, 2>,
    senders: WaitQueue<WaitingSender<T>, 2>,
    notified: u32,
    notified_tasks: u32,
    handed_over: u64,
}

/// The ends.
impl<T> State<T> {
    pub(super) const fn new(ends: [u32; 2]) -> Self {
        Self {
            senders: WaitQueue::new(),
            receivers: WaitQueue::new(),
            had_turn: 0,
            notified: 0,
            notified_tasks: 0,
            unresponsive: 0,
            watchers: None,
            handed_over: 0,
            ends,
            end: None,
            worst: [0; 2],
            is_plain: true,
        }
    }

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

    pub(super) const fn add_end(&mut self, side: usize) {
        self.ends[side] = self.ends[side].checked_add(1).expect("fewer than 2^32 ends of a side");
    }

    /// Removes an end of a side. The last one ends the channel with the worst that an end of that side has said. `Some`: parties wait, so the
    /// caller is to end it, and to wake them.
    pub(super) fn remove_end(&mut self, side: usize, why: Why) -> Option<Why> {
        let badness = match why {
            Why::Closed => 0,
            Why::Panicked => 2,
            _ => 1,
        };
        let worst = self.worst[side].max(badness);
        self.worst[side] = worst;
        self.ends[side] -= 1;
        if self.ends[side] > 0 || self.end.is_some() {
            return None;
        }
        let why = [Why::Closed, Why::Dropped, Why::Panicked][usize::from(worst)];
        if self.senders.has_entries()
            || self.receivers.has_entries()
            || self.watchers.is_some()
            || self.senders.all_free().any(|sender| sender.waker.is_some())
            || self.receivers.all_free().any(|receiver| receiver.waker.is_some())
        {
            return Some(why);
        }
        self.end = Some(why);
        self.is_plain = false;
        None
    }

    /// Ends the channel, unless it has ended. The parties that wait are woken, and remove their entries themselves.
    pub(super) fn close(&mut self, why: Why, wakes: &mut WakeList<'_>) -> bool {
        if self.end.is_some() {
            return false;
        }
        self.end = Some(why);
        self.is_plain = false;
        for (ticket, sender) in self.senders.all() {
            wakes.wake_taken(sender.waker.take());
            wakes.notify_sender(ticket.index);
        }
        for (ticket, receiver) in self.receivers.all() {
            wakes.wake_taken(receiver.waker.take());
            wakes.notify_receiver(ticket.index);
        }
        if let Some(watchers) = &mut self.watchers {
            for (_, waker) in watchers.all() {
                wakes.wake_taken(waker.take());
            }
        }
        for sender in self.senders.all_free() {
            wakes.drop_kept(sender.waker.take());
        }
        for receiver in self.receivers.all_free() {
            wakes.drop_kept(receiver.waker.take());
        }
        true
    }

    /// How many operations wait on each side.
    pub(super) fn waiting(&mut self) -> [usize; 2] {
        let mut waiting = [0, 0];
        for _ in self.senders.all() {
            waiting[0] += 1;
        }
        for (_, receiver) in self.receivers.all() {
            waiting[1] += usize::from(!matches!(receiver.role, Role::Delivered(_)));
        }
        waiting
    }

    /// Waits for the end.
    pub(super) fn watch(
        &mut self,
        at: &mut Option<Ticket>,
        attempt: Attempt<'_>,
        wakes: &mut WakeList<'_>,
    ) -> Outcome<Why> {
        if let Some(why) = self.end {
            return Outcome::Done(why);
        }
        if attempt.waker.is_none() {
            return Outcome::Pending;
        }
        if at.is_none() {
            self.pass_on(wakes);
        }
        let watchers = self.watchers.get_or_insert_with(|| Box::new(WaitQueue::new()));
        let ticket = *at.get_or_insert_with(|| watchers.insert().0);
        let stored = watchers.get(ticket);
        if stored.is_none_or(|stored| wakes.register(stored)) {
            Outcome::Pending
        } else {
            Outcome::NeedsWaker
        }
    }

    pub(super) fn unwatch(&mut self, ticket: Ticket, wakes: &mut WakeList<'_>) {
        let stored = self.watchers.as_mut().and_then(|watchers| watchers.remove(ticket)?.take());
        wakes.drop_later(stored);
    }
}

/// Meetings.
impl<T> State<T> {
    /// Whether there is an offer for receivers of this `select` (or of none).
    #[inline]
    fn has_offer_for(&self, receiver: SelectId) -> bool {
        if receiver == SelectId::NONE {
            !self.senders.is_empty(OFFERS)
        } else {
            self.senders.find(OFFERS, |sender| sender.is_for(receiver)).is_some()
        }
    }

    /// The first idle receiver of those that fit.
    #[inline]
    fn first_idle(&self, fits: impl Fn(&WaitingReceiver<T>) -> bool) -> Option<Ticket> {
        match (self.receivers.find(THREADS, &fits), self.receivers.find(TASKS, &fits)) {
            (Some(thread), Some(task)) => {
                Some(if thread.serial < task.serial { thread } else { task })
            }
            (thread, task) => thread.or(task),
        }
    }

    /// The first idle receiver for which there is an offer that is not of its own `select`.
    #[inline]
    fn first_idle_for_offer(&self) -> Option<Ticket> {
        self.first_idle(|receiver| {
            receiver.select_id == SelectId::NONE || self.has_offer_for(receiver.select_id)
        })
    }

    /// The first idle receiver for which a permit is wanted, and the party that wants it.
    #[cold]
    fn first_idle_for_reserve(&self) -> Option<(Ticket, Ticket)> {
        let reserve_for = |receiver: &WaitingReceiver<T>| {
            let id = receiver.select_id;
            self.senders.find(RESERVES, |sender| sender.is_for(id) && sender.may_be_granted())
        };
        let receiver = self
            .first_idle(|receiver| receiver.may_be_reserved() && reserve_for(receiver).is_some())?;
        Some((receiver, reserve_for(self.receivers.peek(receiver)?)?))
    }

    /// The next meeting.
    #[inline]
    fn next_pair(&self) -> Option<Meeting> {
        let is_offer = self.is_offer_next()?;
        let find = |is_offer| {
            if is_offer {
                self.first_idle_for_offer().map(Meeting::Offer)
            } else {
                self.first_idle_for_reserve()
                    .map(|(receiver, reserve)| Meeting::Permit(receiver, reserve))
            }
        };
        find(is_offer).or_else(|| {
            // The first senders and the idle receivers are arms of the same `select`: other senders may meet them.
            let has_offer = self.senders.len(OFFERS) > self.awaited();
            if is_offer || has_offer { find(!is_offer) } else { None }
        })
    }

    /// How many offers are left to the receivers that were notified of them.
    #[inline]
    const fn awaited(&self) -> u32 {
        self.notified - self.unresponsive
    }

    /// After an offer has gone: notified tasks that are left without one count as unresponsive.
    #[inline]
    fn count_unresponsive(&mut self) {
        if self.notified_tasks == 0 {
            return; // So none is unresponsive.
        }
        let without = self.notified.saturating_sub(self.senders.len(OFFERS));
        self.unresponsive = self.unresponsive.max(without).min(self.notified_tasks);
    }

    /// Clears one receiver's `Notified` role.
    fn unnotify(&mut self, is_task: bool) {
        self.notified -= 1;
        self.notified_tasks -= u32::from(is_task);
        self.unresponsive = self.unresponsive.min(self.notified_tasks);
    }

    /// Whether the next sender that has no notified receiver has a value. `None`: there is no such sender.
    #[inline]
    fn is_offer_next(&self) -> Option<bool> {
        let has_offer = self.senders.len(OFFERS) > self.awaited();
        match self.senders.first(RESERVES) {
            None => has_offer.then_some(true),
            Some(reserve) => {
                let offer = self.senders.first(OFFERS);
                Some(has_offer && offer.is_some_and(|offer| offer.serial < reserve.serial))
            }
        }
    }

    /// Brings senders and idle receivers together, while there are both.
    #[inline]
    pub(super) fn pair(&mut self, wakes: &mut WakeList<'_>) {
        if self.end.is_some() || self.receivers.is_empty(THREADS) && self.receivers.is_empty(TASKS)
        {
            return; // Nothing is handed over after the end, nor without an idle receiver.
        }
        while let Some(meeting) = self.next_pair() {
            let ticket = match meeting {
                Meeting::Offer(receiver) => receiver,
                Meeting::Permit(receiver, reserve) => {
                    self.grant(receiver, reserve, wakes);
                    continue;
                }
            };
            let Some(receiver) = self.receivers.get(ticket) else { return };
            let (kind, select_id) = (receiver.kind, receiver.select_id);
            if kind != WaiterKind::Thread {
                self.notify(ticket, wakes);
            } else if let Some(value) = self.take_first(select_id, wakes) {
                self.deliver(ticket, value, wakes);
                self.count_unresponsive(); // Offers may have been passed over.
            }
        }
        self.prod_thread(wakes);
    }

    /// A party begins to wait: an offer that is left to notified tasks is passed on to the first idle task.
    #[inline]
    fn pass_on(&mut self, wakes: &mut WakeList<'_>) {
        if self.end.is_some()
            || self.senders.is_empty(OFFERS)
            || self.unresponsive == self.notified_tasks
        {
            return;
        }
        let first = self.first_idle_for_offer().and_then(|first| self.receivers.peek(first));
        if first.is_some_and(|first| first.kind == WaiterKind::Task) {
            self.unresponsive += 1;
            self.pair(wakes);
        }
    }

    /// Sees to it that the first thread attempts, in case the tasks that were notified do not.
    #[inline]
    fn prod_thread(&mut self, wakes: &mut WakeList<'_>) {
        if self.notified_tasks == 0
            || self.senders.is_empty(OFFERS)
            || self.receivers.is_empty(THREADS)
        {
            return;
        }
        let fits = |receiver: &WaitingReceiver<T>| self.has_offer_for(receiver.select_id);
        let Some(thread) = self.receivers.find(THREADS, fits) else { return };
        let Some(receiver) = self.receivers.get(thread) else { return };
        if !mem::replace(&mut receiver.is_prodded, true) {
            self.wake(thread, wakes);
        }
    }

    /// Gives a party a permit for an idle receiver, unless the claim of one of them does not allow it any more.
    #[cold]
    fn grant(&mut self, receiver: Ticket, reserve: Ticket, wakes: &mut WakeList<'_>) {
        let arm = self.senders.peek(reserve).and_then(|sender| sender.arm.as_ref());
        if !arm.is_none_or(ArmHandle::try_grant) {
            return;
        }
        if self.reserve_receiver(receiver) {
            self.senders.unlink(reserve);
            if let Some(sender) = self.senders.get(reserve) {
                sender.waiting = Waiting::Granted(receiver);
            }
        } else if !self.senders.peek(reserve).is_some_and(WaitingSender::must_retry_grant) {
            return;
        }
        if let Some(sender) = self.senders.get(reserve) {
            wakes.wake(reserve.index, &mut sender.waker);
            wakes.notify_sender(reserve.index);
        }
    }

    /// Makes an idle receiver that of a permit. `false`: its party has been granted a permit itself.
    fn reserve_receiver(&mut self, ticket: Ticket) -> bool {
        let Some(receiver) = self.receivers.get(ticket) else { return false };
        if !receiver.arm.as_ref().is_none_or(ArmHandle::try_reserve) {
            return false;
        }
        self.is_plain = false;
        receiver.is_marked = receiver.arm.is_some();
        receiver.role = Role::Reserved;
        receiver.is_prodded = false; // It takes no offer now; when it is idle again it must be woken for them.
        self.receivers.unlink(ticket);
        true
    }

    /// Notifies a receiver of an offer.
    #[inline(always)]
    fn notify<'a>(&mut self, ticket: Ticket, wakes: &mut impl Wakes<'a>) {
        let receiver = self.receivers.unlink(ticket);
        self.notified += 1;
        receiver.role = Role::Notified;
        self.notified_tasks += u32::from(receiver.kind == WaiterKind::Task);
        receiver.wake(ticket, wakes);
    }

    /// Wakes a receiver.
    #[inline]
    fn wake(&mut self, ticket: Ticket, wakes: &mut WakeList<'_>) {
        if let Some(receiver) = self.receivers.get(ticket) {
            receiver.wake(ticket, wakes);
        }
    }

    /// Delivers a value to a waiting thread.
    #[inline]
    fn deliver(&mut self, ticket: Ticket, value: T, wakes: &mut WakeList<'_>) {
        let receiver = self.receivers.unlink(ticket);
        debug_assert_eq!(receiver.kind, WaiterKind::Thread, "others may leave");
        receiver.role = Role::Delivered(value);
        receiver.wake(ticket, wakes);
    }

    /// Takes the value of the first offer; its sender is then done.
    fn take_first(&mut self, receiver: SelectId, wakes: &mut WakeList<'_>) -> Option<T> {
        let first = self.senders.first(OFFERS)?;
        let is_plain = self.senders.peek(first).is_some_and(|sender| sender.arm.is_none());
        let ticket = if is_plain { first } else { self.win_first(receiver)? };
        self.take_offer(ticket, wakes)
    }

    /// Takes the value of an offer that may be taken.
    #[inline(always)]
    fn take_offer<'a>(&mut self, ticket: Ticket, wakes: &mut impl Wakes<'a>) -> Option<T> {
        let sender = self.senders.remove(ticket)?;
        wakes.set_taken(ticket);
        wakes.wake(ticket.index, &mut sender.waker);
        if sender.arm.is_some() {
            sender.arm = None; // Otherwise that line of the entry is only looked at, and both parties keep it.
        }
        self.handed_over += 1;
        match mem::replace(&mut sender.waiting, Waiting::Nothing) {
            Waiting::Offer(value) => Some(value),
            Waiting::Nothing | Waiting::Reserve | Waiting::Granted(_) => None,
        }
    }

    /// The first offer of another party that may be taken. Those that may not leave their list: their owners queue them again.
    #[cold]
    fn win_first(&mut self, receiver: SelectId) -> Option<Ticket> {
        loop {
            let ticket = self.senders.find(OFFERS, |sender| sender.is_for(receiver))?;
            match self.senders.get(ticket).and_then(|sender| sender.arm.as_ref()) {
                None => return Some(ticket),
                Some(arm) if arm.try_select() => return Some(ticket),
                Some(_) => {
                    self.senders.unlink(ticket);
                    self.count_unresponsive();
                }
            }
        }
    }

    /// Queues an offer again, where it stood, that was passed over.
    pub(super) fn reregister(&mut self, ticket: Ticket, wakes: &mut WakeList<'_>) {
        if self.senders.contains(ticket) && !self.senders.is_in_list(ticket) {
            self.senders.put_back(ticket, OFFERS);
            self.pair(wakes);
        }
    }
}
