//! The state by itself: no lock, no wakers, random steps, and after each the invariants of the header.

use super::super::effects::Words;
use super::*;

impl<T> State<T> {
    fn assert_consistent(&mut self) {
        let called = self.takers.all().filter(|(_, taker)| taker.role == Role::Called).count();
        assert_eq!(called, self.called as usize, "`called` counts the called");
        let is_called_task =
            |taker: &Taker<T>| taker.role == Role::Called && taker.who == Who::Task;
        let tasks = self.takers.all().filter(|(_, taker)| is_called_task(taker)).count();
        assert_eq!(tasks, self.called_tasks as usize, "and the tasks among them");
        assert!(self.lazy <= self.called_tasks, "the lazy are among them");
        if self.end.is_none() && tasks > 0 && !self.senders.is_empty(VALUES) {
            let first = self.takers.iter(THREADS).next();
            assert!(first.is_none_or(|(_, taker)| taker.told), "the first thread is told");
        }
        if self.end.is_none() && self.next_is_value().is_some() {
            assert_eq!(self.next_pair(), None, "who is idle has nobody to meet");
        }
        let idle = self.takers.all().filter(|(_, taker)| taker.role == Role::Idle).count();
        assert_eq!(
            (self.takers.len(THREADS) + self.takers.len(TASKS)) as usize,
            idle,
            "the idle are in a list"
        );
        for (_, taker) in self.takers.all() {
            assert!(taker.role != Role::Filled || taker.who == Who::Thread);
            assert_eq!(taker.value.is_some(), taker.role == Role::Filled);
        }
    }
}

fn look(stays: Option<Who>) -> Glance<'static> {
    Glance { stays, enters: true, is_patient: true, share: None, waker: None, fresh: None }
}

#[test]
fn random_steps_keep_the_invariants() {
    let mut seed = 7_u64;
    let mut below = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    for _ in 0..300 {
        let words = [Words::new(), Words::new()];
        let mut state = State::new([1, 1]);
        let (mut next, mut sent, mut got) = (0_u64, 0, 0);
        let (mut offers, mut takers) = (Vec::new(), Vec::<(Ticket, Who)>::new());
        let (mut reserves, mut permits) = (Vec::<Option<Ticket>>::new(), Vec::<Ticket>::new());
        for _ in 0..200 {
            let mut fx = Effects::new(&words[0], &words[1]);
            let who = if below(2) == 0 { Who::Thread } else { Who::Task };
            match below(9) {
                kind @ (0 | 1) => {
                    next += 1;
                    let permit = if kind == 1 { permits.pop() } else { None };
                    let stays = (below(4) > 0).then_some(who);
                    match state.offer(&mut Some(next), permit, &mut look(stays), &mut fx) {
                        Found::Done(Some(ticket)) => offers.push(ticket),
                        Found::Done(None) => sent += 1,
                        _ => {}
                    }
                }
                2 | 3 => {
                    let mut at = None;
                    match state.receive(&mut at, &mut look((below(5) > 0).then_some(who)), &mut fx)
                    {
                        Found::Done(_) => got += 1,
                        _ => takers.extend(at.map(|at| (at, who))),
                    }
                }
                4 if !takers.is_empty() => {
                    let index = below(takers.len() as u64) as usize;
                    let (at, who) = takers[index];
                    let is_patient = below(2) == 0;
                    let mut glance = Glance { is_patient, ..look(Some(who)) };
                    let found = state.receive(&mut Some(at), &mut glance, &mut fx);
                    if let Found::Done(_) = found {
                        got += 1;
                        takers.swap_remove(index);
                    }
                }
                5 if !takers.is_empty() => {
                    let (at, _) = takers.swap_remove(below(takers.len() as u64) as usize);
                    got += u64::from(state.give_up(at, &mut fx).is_some());
                }
                6 if !offers.is_empty() => {
                    let at = offers.swap_remove(below(offers.len() as u64) as usize);
                    sent += u64::from(state.take_back(at, &mut fx).is_none());
                }
                7 => {
                    let mut at = if below(2) == 0 { None } else { reserves.pop().flatten() };
                    match state.reserve(&mut at, &mut look(Some(who)), &mut fx) {
                        Found::Done(taker) => permits.push(taker),
                        _ => reserves.push(at),
                    }
                }
                8 => match (permits.pop(), reserves.pop().flatten()) {
                    (Some(taker), reserve) => {
                        state.release(taker, &mut fx);
                        reserves.push(reserve);
                    }
                    (None, Some(reserve)) => drop(state.take_back(reserve, &mut fx)),
                    (None, None) => {}
                },
                _ => {}
            }
            fx.run();
            state.assert_consistent();
        }
        let mut fx = Effects::new(&words[0], &words[1]);
        for at in offers {
            sent += u64::from(state.take_back(at, &mut fx).is_none());
        }
        for (at, _) in takers {
            got += u64::from(state.give_up(at, &mut fx).is_some());
        }
        fx.run();
        assert_eq!((sent, got), (state.handed_over(), state.handed_over()));
    }
}

/// Registers a receiver.
fn stand(state: &mut State<u32>, who: Who, fx: &mut Effects<'_>) -> Ticket {
    let mut at = None;
    assert!(matches!(state.receive(&mut at, &mut look(Some(who)), fx), Found::Nothing));
    at.expect("an entry")
}

/// Places an offer.
fn place(state: &mut State<u32>, value: u32, fx: &mut Effects<'_>) -> Ticket {
    match state.offer(&mut Some(value), None, &mut look(Some(Who::Task)), fx) {
        Found::Done(Some(ticket)) => ticket,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_was_called_for_nothing_is_called_first_again() {
    let words = [Words::new(), Words::new()];
    let mut fx = Effects::new(&words[0], &words[1]);
    let mut state = State::new([1, 1]);
    let tickets = [(); 3].map(|()| stand(&mut state, Who::Task, &mut fx));
    let withdrawn = [1, 2].map(|value| place(&mut state, value, &mut fx));
    for ticket in withdrawn {
        state.take_back(ticket, &mut fx);
    }
    // They look in another order than they came.
    for at in [tickets[1], tickets[0]] {
        let found = state.receive(&mut Some(at), &mut look(Some(Who::Task)), &mut fx);
        assert!(matches!(found, Found::Nothing));
    }
    for (at, value) in tickets.into_iter().zip(3..) {
        assert_eq!(state.first_idle(|_| true), Some(at));
        place(&mut state, value, &mut fx);
        let found = state.receive(&mut Some(at), &mut look(Some(Who::Task)), &mut fx);
        assert!(matches!(found, Found::Done(got) if got == value));
    }
    fx.run();
}

#[test]
fn a_thread_behind_a_called_task_is_roused_and_given_the_older_offer() {
    struct Bell(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Bell {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let bell = std::sync::Arc::new(Bell(false.into()));
    let waker = Waker::from(std::sync::Arc::clone(&bell));
    let words = [Words::new(), Words::new()];
    let mut state = State::new([1, 1]);
    let mut fx = Effects::new(&words[0], &words[1]);
    stand(&mut state, Who::Task, &mut fx);
    let mut thread = Some(stand(&mut state, Who::Thread, &mut fx));
    // It parks.
    let (stays, fresh) = (Some(Who::Thread), Some(waker.clone()));
    let mut glance = Glance { waker: Some(&waker), fresh, ..look(stays) };
    assert!(matches!(state.receive(&mut thread, &mut glance, &mut fx), Found::Nothing));
    let first = place(&mut state, 1, &mut fx);
    fx.run();
    assert!(bell.0.load(std::sync::atomic::Ordering::SeqCst), "told too");
    // Somebody who cannot wait comes before it looks: it is given what was there first.
    let mut fx = Effects::new(&words[0], &words[1]);
    let found = state.offer(&mut Some(2), None, &mut look(None), &mut fx);
    assert!(matches!(found, Found::Nothing));
    assert!(!state.senders.contains(first));
    let found = state.receive(&mut thread, &mut look(Some(Who::Thread)), &mut fx);
    assert!(matches!(found, Found::Done(1)));
    fx.run();
}

/// Who waits behind a task that never looks gives it some time once, not for every offer.
#[test]
fn a_task_that_does_not_come_is_waited_for_only_once() {
    let words = [Words::new(), Words::new()];
    let mut state = State::new([1, 1]);
    let mut fx = Effects::new(&words[0], &words[1]);
    let kept = stand(&mut state, Who::Task, &mut fx);
    place(&mut state, 1, &mut fx);
    let mut thread = None;
    let found = state.receive(&mut thread, &mut look(Some(Who::Thread)), &mut fx);
    assert!(matches!(found, Found::Nothing), "it is left to the task");
    let found = state.receive(&mut thread, &mut look(Some(Who::Thread)), &mut fx);
    assert!(matches!(found, Found::LookAgain), "a little longer");
    let mut impatient = Glance { is_patient: false, ..look(Some(Who::Thread)) };
    let found = state.receive(&mut thread, &mut impatient, &mut fx);
    assert!(matches!(found, Found::Done(1)));
    for value in 2..5 {
        place(&mut state, value, &mut fx);
        let found = state.receive(&mut None, &mut look(Some(Who::Thread)), &mut fx);
        assert!(matches!(found, Found::Done(got) if got == value), "at once");
    }
    // It is awake after all: it is called again, and has its turn.
    let found = state.receive(&mut Some(kept), &mut look(Some(Who::Task)), &mut fx);
    assert!(matches!(found, Found::Nothing));
    place(&mut state, 5, &mut fx);
    let found = state.receive(&mut None, &mut look(Some(Who::Thread)), &mut fx);
    assert!(matches!(found, Found::Nothing), "left to the task again");
    let found = state.receive(&mut Some(kept), &mut look(Some(Who::Task)), &mut fx);
    assert!(matches!(found, Found::Done(5)));
    state.assert_consistent();
    fx.run();
}
