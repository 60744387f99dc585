//! The straight way, beside the long one.

use super::*;
use crate::rendezvous::wakes::WakeOne;

/// A state whose attempts go the straight way where they may, or never do.
struct Twin {
    state: State<u64>,
    bench: Bench,
    may_be_straight: bool,
    went_straight: u32,
}

impl Twin {
    fn new(may_be_straight: bool) -> Self {
        Self { state: State::new([1, 1]), bench: Bench::new(), may_be_straight, went_straight: 0 }
    }

    fn offer(&mut self, value: u64, kind: WaiterKind, waker: &Waker) -> Outcome<()> {
        let Self { state, bench, .. } = self;
        let attempt = Attempt { waker: Some(waker), ..by(Some(kind)) };
        let fresh = Some(waker.clone());
        let mut one = WakeOne::new(&bench.senders, &bench.receivers, Some(waker), fresh);
        if self.may_be_straight && state.is_plain_for(attempt) {
            self.went_straight += 1;
            let (ticket, is_registered) = state.offer_plainly(value, &mut one);
            one.run::<false>();
            return Outcome::Queued(ticket, is_registered);
        }
        let mut wakes = WakeList::from(one);
        let outcome = state.offer(&mut Some(value), None, attempt, &mut wakes);
        wakes.run();
        outcome
    }

    fn receive(
        &mut self,
        at: &mut Option<Ticket>,
        kind: WaiterKind,
        waker: &Waker,
    ) -> Outcome<u64> {
        let Self { state, bench, .. } = self;
        let attempt = Attempt { waker: Some(waker), ..by(Some(kind)) };
        let fresh = Some(waker.clone());
        let mut one = WakeOne::new(&bench.senders, &bench.receivers, Some(waker), fresh);
        let is_task = kind == WaiterKind::Task;
        let is_plain = is_task && self.may_be_straight && state.is_plain_for(attempt);
        let offer = if is_plain { state.offer_plainly_for(*at) } else { None };
        let begins_to_wait = offer.is_none();
        let outcome = if let Some(offer) = offer {
            Outcome::Done(state.take_plainly(offer, at.take(), &mut one).expect("a value"))
        } else if is_plain && at.is_none() {
            let (ticket, is_registered) = state.wait_plainly(&mut one);
            assert!(is_registered);
            *at = Some(ticket);
            Outcome::Pending
        } else {
            let mut wakes = WakeList::from(one);
            let outcome = state.receive(at, attempt, false, &mut wakes);
            wakes.run();
            return outcome;
        };
        self.went_straight += 1;
        let mut wakes = WakeList::from(one);
        if begins_to_wait && state.leaves_offers() {
            state.settle(&mut wakes);
        }
        wakes.run();
        outcome
    }

    /// A receiver gives up, or an offer is withdrawn.
    fn give_up(&mut self, at: Ticket, is_receiver: bool) -> Option<u64> {
        let mut wakes = self.bench.wakes();
        let state = &mut self.state;
        let value =
            if is_receiver { state.leave(at, &mut wakes) } else { state.withdraw(at, &mut wakes) };
        wakes.run();
        value
    }
}

/// Random attempts, most of them by tasks, on one state that goes the straight way and on one that never does: they come to the same, and wake the
/// same parties.
#[test]
fn the_straight_way_leads_where_the_long_one_does() {
    struct Counter(AtomicU32);
    impl std::task::Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    let mut seed = 11_u64;
    let mut below = |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % bound
    };
    let mut went_straight = [0, 0];
    for round in 0..600 {
        let threads = [0, 12][round % 2];
        let mut twins = [Twin::new(true), Twin::new(false)];
        // Few parties, so that a party often wakes itself.
        let counters = [(); 2].map(|()| [(); 3].map(|()| Arc::new(Counter(AtomicU32::new(0)))));
        let wakers =
            counters.each_ref().map(|own| own.each_ref().map(|own| Waker::from(own.clone())));
        let (mut offers, mut receivers) =
            (Vec::<Ticket>::new(), Vec::<(Ticket, WaiterKind)>::new());
        for step in 0..150 {
            let is_thread = threads > 0 && below(threads) == 0;
            let kind = if is_thread { WaiterKind::Thread } else { WaiterKind::Task };
            let party = below(3);
            let what = below(8);
            let (offer, receiver) = (below(offers.len().max(1)), below(receivers.len().max(1)));
            let results = [0, 1].map(|twin| {
                let (twin, waker) = (&mut twins[twin], &wakers[twin][party]);
                let (mut at, mut result) = (None, String::new());
                match what {
                    0..=2 => {
                        let outcome = twin.offer(step, kind, waker);
                        result = format!("{outcome:?}");
                        if let Outcome::Queued(ticket, _) = outcome {
                            at = Some(ticket);
                        }
                    }
                    3 | 4 => result = format!("{:?}", twin.receive(&mut at, kind, waker)),
                    5 if !receivers.is_empty() => {
                        let (ticket, kind) = receivers[receiver];
                        at = Some(ticket);
                        result = format!("{:?}", twin.receive(&mut at, kind, waker));
                    }
                    6 if !receivers.is_empty() => {
                        result = format!("{:?}", twin.give_up(receivers[receiver].0, true));
                    }
                    7 if !offers.is_empty() => {
                        result = format!("{:?}", twin.give_up(offers[offer], false));
                    }
                    _ => {}
                }
                twin.state.assert_consistent();
                let State { senders, receivers, .. } = &twin.state;
                let firsts =
                    [senders.first(OFFERS), receivers.first(TASKS), receivers.first(THREADS)];
                let State { notified, notified_tasks, unresponsive, .. } = twin.state;
                (result, at, firsts, [notified, notified_tasks, unresponsive])
            });
            assert_eq!(results[0], results[1], "step {step} of round {round}");
            let counts =
                counters.each_ref().map(|own| own.each_ref().map(|own| own.0.load(Relaxed)));
            assert_eq!(counts[0], counts[1], "step {step} of round {round}");
            let at = results[0].1;
            match what {
                0..=2 => offers.extend(at),
                3 | 4 => receivers.extend(at.map(|at| (at, kind))),
                5 if !receivers.is_empty() && at.is_none() => _ = receivers.swap_remove(receiver),
                6 if !receivers.is_empty() => _ = receivers.swap_remove(receiver),
                7 if !offers.is_empty() => _ = offers.swap_remove(offer),
                _ => {}
            }
        }
        went_straight[round % 2] += twins[0].went_straight;
        assert_eq!(twins[1].went_straight, 0);
    }
    assert!(went_straight.iter().all(|&count| count > 1000), "{went_straight:?}");
}

#[test]
fn a_plain_task_s_receive_that_a_thread_or_a_select_goes_on_with_ends_the_straight_way() {
    let claim = Claim::new(false);
    let arm = Some(ArmRef::new(&claim, 0));
    let others = [
        (by(Some(WaiterKind::Task)), true),
        (by(Some(WaiterKind::Thread)), false),
        (Attempt { arm, ..by(Some(WaiterKind::Task)) }, false),
    ];
    for (attempt, is_plain) in others {
        let mut twin = Twin::new(true);
        let mut at = None;
        let outcome = twin.receive(&mut at, WaiterKind::Task, Waker::noop());
        assert!(matches!(outcome, Outcome::Pending) && twin.state.is_plain);
        let mut wakes = twin.bench.wakes();
        let outcome = twin.state.receive(&mut at, attempt, true, &mut wakes);
        assert!(matches!(outcome, Outcome::Pending | Outcome::NeedsWaker));
        assert_eq!(twin.state.is_plain, is_plain, "{attempt:?}");
        twin.state.assert_consistent();
        assert_eq!(twin.state.leave(at.expect("it waits"), &mut wakes), None);
        wakes.run();
    }
}
