//! The state by itself: no lock, random steps, and after each the invariants of the header.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::claim::{ArmRef, Claim};
use crate::rendezvous::signals::Signals;

mod permits;
mod straight;

impl<T> State<T> {
    pub(super) fn assert_consistent(&mut self) {
        let mut counts = [0_u32; 4];
        for (_, receiver) in self.receivers.all() {
            let is_task = receiver.kind == WaiterKind::Task;
            match receiver.role {
                Role::Idle => counts[0] += 1,
                Role::Notified => {
                    counts[1] += 1;
                    counts[2] += u32::from(is_task);
                }
                Role::Reserved => {}
                Role::Delivered(_) => assert_eq!(receiver.kind, WaiterKind::Thread),
            }
        }
        let [idle, notified, notified_tasks, _] = counts;
        assert_eq!(
            self.receivers.len(THREADS) + self.receivers.len(TASKS),
            idle,
            "the idle are in a list"
        );
        for (list, is_task) in [(TASKS, true), (THREADS, false)] {
            let is_strange =
                |receiver: &WaitingReceiver<T>| (receiver.kind == WaiterKind::Task) != is_task;
            assert!(self.receivers.find(list, is_strange).is_none(), "each kind has its list");
        }
        assert_eq!(self.notified, notified);
        assert_eq!(self.notified_tasks, notified_tasks);
        assert!(self.unresponsive <= self.notified_tasks, "the unresponsive are notified tasks");
        if self.is_plain {
            assert!(self.end.is_none(), "an end is not plain");
            let is_plain = |receiver: &WaitingReceiver<T>| {
                let is_none = receiver.select_id == SelectId::NONE && receiver.arm.is_none();
                is_none
                    && receiver.kind == WaiterKind::Task
                    && !matches!(receiver.role, Role::Reserved)
            };
            assert!(
                self.receivers.all().all(|(_, receiver)| is_plain(receiver)),
                "plain receivers"
            );
            let is_plain = |sender: &WaitingSender<T>| {
                sender.arm.is_none() && matches!(sender.waiting, Waiting::Offer(_))
            };
            assert!(self.senders.all().all(|(_, sender)| is_plain(sender)), "plain offers");
        }
        if self.end.is_some() {
            return;
        }
        let offers = self.senders.len(OFFERS);
        assert!(
            notified_tasks < notified || self.awaited() <= offers,
            "{} offers are left to {notified} receivers, of which {} are unresponsive",
            offers,
            self.unresponsive
        );
        if notified_tasks > 0 && offers > 0 {
            let first = self.receivers.first(THREADS).and_then(|first| self.receivers.peek(first));
            assert!(first.is_none_or(|first| first.is_prodded), "the first thread is prodded");
        }
        if self.is_offer_next().is_some() {
            assert!(self.next_pair().is_none(), "an idle receiver has nothing to meet");
        }
    }
}

pub(super) fn by(waiter: Option<WaiterKind>) -> Attempt<'static> {
    Attempt { waiter, ..Attempt::ONCE }
}

/// A state with its signals.
pub(super) struct Bench {
    pub(super) senders: Signals,
    pub(super) receivers: Signals,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { senders: Signals::new(), receivers: Signals::new() }
    }

    pub(super) fn wakes(&self) -> WakeList<'_> {
        WakeList::new(&self.senders, &self.receivers, None, None)
    }
}

#[test]
fn random_steps_keep_the_invariants() {
    let mut seed = 7_u64;
    let mut below = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    for _ in 0..300 {
        let bench = Bench::new();
        let mut state = State::new([1, 1]);
        let (mut next, mut sent, mut got) = (0_u64, 0, 0);
        let (mut offers, mut receivers) = (Vec::new(), Vec::<(Ticket, WaiterKind)>::new());
        let (mut reserves, mut permits) = (Vec::<Option<Ticket>>::new(), Vec::<Ticket>::new());
        for _ in 0..200 {
            let mut wakes = bench.wakes();
            let kinds = [WaiterKind::Thread, WaiterKind::Task, WaiterKind::Selecting];
            let kind = kinds[below(3) as usize];
            match below(9) {
                what @ (0 | 1) => {
                    next += 1;
                    let permit = if what == 1 { permits.pop() } else { None };
                    let waiter = (below(4) > 0).then_some(kind);
                    match state.offer(&mut Some(next), permit, by(waiter), &mut wakes) {
                        Outcome::Queued(ticket, _) => offers.push(ticket),
                        Outcome::Done(()) => sent += 1,
                        _ => {}
                    }
                }
                2 | 3 => {
                    let (mut at, waiter) = (None, (below(5) > 0).then_some(kind));
                    match state.receive(&mut at, by(waiter), true, &mut wakes) {
                        Outcome::Done(_) => got += 1,
                        _ => receivers.extend(at.map(|at| (at, kind))),
                    }
                }
                4 if !receivers.is_empty() => {
                    let index = below(receivers.len() as u64) as usize;
                    let (at, kind) = receivers[index];
                    let is_patient = below(2) == 0;
                    let outcome =
                        state.receive(&mut Some(at), by(Some(kind)), is_patient, &mut wakes);
                    if let Outcome::Done(_) = outcome {
                        got += 1;
                        receivers.swap_remove(index);
                    }
                }
                5 if !receivers.is_empty() => {
                    let (at, _) = receivers.swap_remove(below(receivers.len() as u64) as usize);
                    got += u64::from(state.leave(at, &mut wakes).is_some());
                }
                6 if !offers.is_empty() => {
                    let at = offers.swap_remove(below(offers.len() as u64) as usize);
                    sent += u64::from(state.withdraw(at, &mut wakes).is_none());
                }
                7 => {
                    let mut at = if below(2) == 0 { None } else { reserves.pop().flatten() };
                    match state.reserve(&mut at, by(Some(kind)), &mut wakes) {
                        Outcome::Done(receiver) => permits.push(receiver),
                        _ => reserves.push(at),
                    }
                }
                8 => match (permits.pop(), reserves.pop().flatten()) {
                    (Some(receiver), reserve) => {
                        state.release(receiver, &mut wakes);
                        reserves.push(reserve);
                    }
                    (None, Some(reserve)) => drop(state.withdraw(reserve, &mut wakes)),
                    (None, None) => {}
                },
                _ => {}
            }
            wakes.run();
            state.assert_consistent();
        }
        let mut wakes = bench.wakes();
        for at in offers {
            sent += u64::from(state.withdraw(at, &mut wakes).is_none());
        }
        for (at, _) in receivers {
            got += u64::from(state.leave(at, &mut wakes).is_some());
        }
        wakes.run();
        assert_eq!((sent, got), (state.handed_over(), state.handed_over()));
    }
}

/// Queues a receiver.
fn queue(state: &mut State<u32>, kind: WaiterKind, wakes: &mut WakeList<'_>) -> Ticket {
    let mut at = None;
    assert!(matches!(state.receive(&mut at, by(Some(kind)), true, wakes), Outcome::Pending));
    at.expect("an entry")
}

/// Queues an offer.
fn offer(state: &mut State<u32>, value: u32, wakes: &mut WakeList<'_>) -> Ticket {
    match state.offer(&mut Some(value), None, by(Some(WaiterKind::Task)), wakes) {
        Outcome::Queued(ticket, _) => ticket,
        other => panic!("{other:?}"),
    }
}

fn poll(state: &mut State<u32>, at: Ticket, wakes: &mut WakeList<'_>) -> Outcome<u32> {
    state.receive(&mut Some(at), by(Some(WaiterKind::Task)), true, wakes)
}

#[test]
fn a_receiver_that_was_notified_in_vain_is_notified_first_again() {
    let bench = Bench::new();
    let mut wakes = bench.wakes();
    let mut state = State::new([1, 1]);
    let tickets = [(); 3].map(|()| queue(&mut state, WaiterKind::Task, &mut wakes));
    let withdrawn = [1, 2].map(|value| offer(&mut state, value, &mut wakes));
    for ticket in withdrawn {
        state.withdraw(ticket, &mut wakes);
    }
    // They attempt in another order than they came.
    for at in [tickets[1], tickets[0]] {
        assert!(matches!(poll(&mut state, at, &mut wakes), Outcome::Pending));
    }
    for (at, value) in tickets.into_iter().zip(3..) {
        assert_eq!(state.first_idle(|_| true), Some(at));
        offer(&mut state, value, &mut wakes);
        let outcome = poll(&mut state, at, &mut wakes);
        assert!(matches!(outcome, Outcome::Done(got) if got == value));
    }
    wakes.run();
}

#[test]
fn a_thread_behind_a_notified_task_is_prodded_and_given_the_older_offer() {
    struct Bell(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Bell {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let bell = std::sync::Arc::new(Bell(false.into()));
    let waker = Waker::from(std::sync::Arc::clone(&bell));
    let bench = Bench::new();
    let mut state = State::new([1, 1]);
    let mut wakes = bench.wakes();
    queue(&mut state, WaiterKind::Task, &mut wakes);
    let mut thread = Some(queue(&mut state, WaiterKind::Thread, &mut wakes));
    // The thread parks.
    let mut parking =
        WakeList::new(&bench.senders, &bench.receivers, Some(&waker), Some(waker.clone()));
    let attempt = Attempt { waker: Some(&waker), ..by(Some(WaiterKind::Thread)) };
    let outcome = state.receive(&mut thread, attempt, true, &mut parking);
    assert!(matches!(outcome, Outcome::Pending));
    parking.run();
    let first = offer(&mut state, 1, &mut wakes);
    wakes.run();
    assert!(bell.0.load(std::sync::atomic::Ordering::SeqCst), "it is woken, too");
    // A sender that cannot wait comes before the thread attempts: the thread is given the first offer.
    let mut wakes = bench.wakes();
    let outcome = state.offer(&mut Some(2), None, by(None), &mut wakes);
    assert!(matches!(outcome, Outcome::Pending));
    assert!(!state.senders.contains(first));
    let outcome = state.receive(&mut thread, by(Some(WaiterKind::Thread)), true, &mut wakes);
    assert!(matches!(outcome, Outcome::Done(1)));
    wakes.run();
}

/// A receiver behind a task that is never polled leaves it some time once, not for every offer.
#[test]
fn a_task_that_does_not_come_is_waited_for_only_once() {
    let bench = Bench::new();
    let mut state = State::new([1, 1]);
    let mut wakes = bench.wakes();
    let kept = queue(&mut state, WaiterKind::Task, &mut wakes);
    offer(&mut state, 1, &mut wakes);
    let mut thread = None;
    let by_thread = by(Some(WaiterKind::Thread));
    let outcome = state.receive(&mut thread, by_thread, true, &mut wakes);
    assert!(matches!(outcome, Outcome::Pending), "the offer is left to the task");
    let outcome = state.receive(&mut thread, by_thread, true, &mut wakes);
    assert!(matches!(outcome, Outcome::Recheck(_)), "a little longer");
    let outcome = state.receive(&mut thread, by_thread, false, &mut wakes);
    assert!(matches!(outcome, Outcome::Done(1)));
    for value in 2..5 {
        offer(&mut state, value, &mut wakes);
        let outcome = state.receive(&mut None, by_thread, true, &mut wakes);
        assert!(matches!(outcome, Outcome::Done(got) if got == value), "at once");
    }
    // The task is polled after all: it is notified again, and has its turn.
    assert!(matches!(poll(&mut state, kept, &mut wakes), Outcome::Pending));
    offer(&mut state, 5, &mut wakes);
    let outcome = state.receive(&mut None, by_thread, true, &mut wakes);
    assert!(matches!(outcome, Outcome::Pending), "left to the task again");
    assert!(matches!(poll(&mut state, kept, &mut wakes), Outcome::Done(5)));
    state.assert_consistent();
    wakes.run();
}

/// A kept task that has gone leaves no receiver unresponsive, although a thread of a `select` is still notified.
#[test]
fn only_tasks_are_ever_unresponsive() {
    let bench = Bench::new();
    let mut state = State::new([1, 1]);
    let mut wakes = bench.wakes();
    let kept = queue(&mut state, WaiterKind::Task, &mut wakes);
    offer(&mut state, 1, &mut wakes);
    // A thread comes, leaves the offer to the task for some time, and takes it: the task is unresponsive.
    let mut thread = None;
    let by_thread = by(Some(WaiterKind::Thread));
    let outcome = state.receive(&mut thread, by_thread, true, &mut wakes);
    assert!(matches!(outcome, Outcome::Pending), "the offer is left to the task");
    let outcome = state.receive(&mut thread, by_thread, false, &mut wakes);
    assert!(matches!(outcome, Outcome::Done(1)));
    assert_eq!((state.notified, state.notified_tasks, state.unresponsive), (1, 1, 1));
    // A thread of a `select` waits, and is notified of the next offer.
    let selecting = queue(&mut state, WaiterKind::Selecting, &mut wakes);
    offer(&mut state, 2, &mut wakes);
    assert_eq!((state.notified, state.notified_tasks, state.unresponsive), (2, 1, 1));
    state.assert_consistent();
    // The task leaves. The offer is still that thread's.
    state.leave(kept, &mut wakes);
    assert_eq!((state.notified, state.notified_tasks, state.unresponsive), (1, 0, 0));
    state.assert_consistent();
    let outcome = state.receive(&mut None, by(Some(WaiterKind::Task)), true, &mut wakes);
    assert!(matches!(outcome, Outcome::Pending), "it came later");
    let selecting = &mut Some(selecting);
    let outcome = state.receive(selecting, by(Some(WaiterKind::Selecting)), true, &mut wakes);
    assert!(matches!(outcome, Outcome::Done(2)));
    wakes.run();
}

/// A thread that takes past a notified thread of a `select` proves nothing of any task.
#[test]
fn a_notified_thread_is_never_unresponsive() {
    let bench = Bench::new();
    let mut state = State::new([1, 1]);
    let mut wakes = bench.wakes();
    let selecting = queue(&mut state, WaiterKind::Selecting, &mut wakes);
    offer(&mut state, 1, &mut wakes);
    let mut thread = None;
    let by_thread = by(Some(WaiterKind::Thread));
    let outcome = state.receive(&mut thread, by_thread, true, &mut wakes);
    assert!(matches!(outcome, Outcome::Pending));
    let outcome = state.receive(&mut thread, by_thread, false, &mut wakes);
    assert!(matches!(outcome, Outcome::Done(1)));
    assert_eq!((state.notified, state.notified_tasks, state.unresponsive), (1, 0, 0));
    state.assert_consistent();
    let selecting = &mut Some(selecting);
    let outcome = state.receive(selecting, by(Some(WaiterKind::Selecting)), true, &mut wakes);
    assert!(matches!(outcome, Outcome::Pending));
    wakes.run();
}

/// A thread that was prodded is prodded again, by the next offer, after it found none, and after a permit has let it go.
#[test]
fn a_thread_is_prodded_for_each_offer_that_is_left_to_a_task() {
    let bench = Bench::new();
    let mut wakes = bench.wakes();
    let mut state = State::new([1, 1]);
    let task = queue(&mut state, WaiterKind::Task, &mut wakes);
    let thread = queue(&mut state, WaiterKind::Thread, &mut wakes);
    let is_prodded = |state: &State<u32>| state.receivers.peek(thread).unwrap().is_prodded;
    let first = offer(&mut state, 1, &mut wakes);
    assert!(is_prodded(&state));
    state.withdraw(first, &mut wakes);
    let by_thread = by(Some(WaiterKind::Thread));
    assert!(matches!(
        state.receive(&mut Some(thread), by_thread, true, &mut wakes),
        Outcome::Pending
    ));
    assert!(!is_prodded(&state), "nothing is there any more");
    assert!(matches!(poll(&mut state, task, &mut wakes), Outcome::Pending));
    let second = offer(&mut state, 2, &mut wakes);
    assert!(is_prodded(&state), "the next offer");
    let Outcome::Done(permit) = state.reserve(&mut None, by(None), &mut wakes) else {
        panic!("it is idle");
    };
    assert!(permit == thread && !is_prodded(&state), "it is to be woken again");
    state.release(permit, &mut wakes);
    assert!(is_prodded(&state), "it may take the offer now");
    state.leave(thread, &mut wakes);
    state.withdraw(second, &mut wakes);
    let next = queue(&mut state, WaiterKind::Thread, &mut wakes);
    assert_eq!(next.index, thread.index, "the same entry");
    assert!(!is_prodded(&state), "another party, which nobody has prodded");
    wakes.run();
}

/// The next party in its entry, which may come by the straight way, is no arm of that `select`.
#[test]
fn a_receiving_arm_that_leaves_takes_its_select_with_it() {
    let bench = Bench::new();
    let mut wakes = bench.wakes();
    let mut state = State::<u32>::new([1, 1]);
    let claim = Claim::new(false);
    let arm = Some(ArmRef::new(&claim, 0));
    let attempt = Attempt { arm, ..by(Some(WaiterKind::Selecting)) };
    let mut at = None;
    _ = state.receive(&mut at, attempt, true, &mut wakes);
    let ticket = at.expect("it waits");
    assert!(state.receivers.peek(ticket).unwrap().select_id != SelectId::NONE);
    assert_eq!(state.leave(ticket, &mut wakes), None);
    let free = state.receivers.peek(ticket).unwrap();
    assert!(free.select_id == SelectId::NONE && free.arm.is_none());
    wakes.run();
}
