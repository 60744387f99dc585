//! Arms of a `select` that may belong to permits, and permits that give way to each other.

use super::*;

#[test]
fn the_receiver_of_a_forgotten_select_is_no_arm_any_more() {
    let bench = Bench::new();
    let mut wakes = bench.wakes();
    let mut state = State::<u32>::new([1, 1]);
    let claim = Claim::new(true);
    let by_select =
        Attempt { arm: Some(ArmRef::new(&claim, 0)), ..by(Some(WaiterKind::Selecting)) };
    let mut at = None;
    assert!(matches!(state.receive(&mut at, by_select, true, &mut wakes), Outcome::Pending));
    let ticket = at.expect("it waits");
    let is_arm = |state: &State<u32>| {
        let receiver = state.receivers.peek(ticket).expect("an entry");
        (receiver.select_id != SelectId::NONE, receiver.arm.is_some())
    };
    for _ in 0..2 {
        assert_eq!(is_arm(&state), (true, true));
        _ = state.receive(&mut at, by_select, true, &mut wakes);
        state.assert_consistent();
    }
    for kind in [WaiterKind::Thread, WaiterKind::Task, WaiterKind::Thread] {
        _ = state.receive(&mut at, by(Some(kind)), true, &mut wakes);
        assert_eq!(is_arm(&state), (false, false));
        state.assert_consistent();
    }
    assert_eq!(state.leave(ticket, &mut wakes), None);
    wakes.run();
}

/// A permit gave way to one that the receiver's party has for another channel, and that one came to nothing.
#[test]
fn a_receiver_whose_party_got_no_permit_after_all_may_be_reserved() {
    let (bench, claim) = (Bench::new(), Claim::new(true));
    let mut wakes = bench.wakes();
    let mut state = State::<u32>::new([1, 1]);
    let by_task = by(Some(WaiterKind::Task));
    let by_select = Attempt { arm: Some(ArmRef::new(&claim, 0)), ..by_task };
    let elsewhere = ArmRef::new(&claim, 1).handle();
    let (mut receiver, mut reserve) = (None, None);
    assert!(matches!(state.receive(&mut receiver, by_select, true, &mut wakes), Outcome::Pending));
    assert!(elsewhere.try_grant());
    assert!(matches!(state.reserve(&mut reserve, by_task, &mut wakes), Outcome::Pending));
    assert!(elsewhere.undo_grant(), "the receiver's party is to attempt its arms again");
    assert!(matches!(state.reserve(&mut reserve, by_task, &mut wakes), Outcome::Pending));
    assert!(matches!(state.receive(&mut receiver, by_select, true, &mut wakes), Outcome::Pending));
    let granted = state.reserve(&mut reserve, by_task, &mut wakes);
    assert!(matches!(granted, Outcome::Done(ticket) if Some(ticket) == receiver), "{granted:?}");
    state.assert_consistent();
    wakes.run();
}

/// `grant` gives way, since the receiver's party has a permit itself. It wakes its party if, and only if, somebody gave way to it meanwhile.
#[test]
fn a_grant_that_gives_way_wakes_its_party_if_another_gave_way_to_it() {
    struct Bell(AtomicU32);
    impl std::task::Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    const ROUNDS: u32 = 100_000;
    let (bench, bell) = (Bench::new(), Arc::new(Bell(AtomicU32::new(0))));
    let waker = Waker::from(Arc::clone(&bell));
    let mut state = State::<u32>::new([1, 1]);
    let [of_receiver, of_sender] = [(); 2].map(|()| Claim::new(true));
    let [by_receiver, by_sender] = [&of_receiver, &of_sender].map(|claim| {
        let arm = Some(ArmRef::new(claim, 0));
        Attempt { arm, ..by(Some(WaiterKind::Task)) }
    });
    let (mut receiver, mut reserve) = (None, None);
    let mut wakes = bench.wakes();
    _ = state.receive(&mut receiver, by_receiver, true, &mut wakes);
    assert!(ArmRef::new(&of_receiver, 1).handle().try_grant());
    _ = state.reserve(&mut reserve, by_sender, &mut wakes);
    wakes.run();
    let (receiver, reserve) = (receiver.expect("it waits"), reserve.expect("it waits"));
    let mut grant = || {
        state.senders.get(reserve).expect("an entry").waker = Some(waker.clone());
        let mut wakes = bench.wakes();
        state.grant(receiver, reserve, &mut wakes);
        wakes.run();
        bell.0.load(Relaxed)
    };
    assert_eq!(grant(), 0, "nobody gave way to it");
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let receiving = ArmRef::new(&of_sender, 1).handle();
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let look = |_: &u32| !is_over.load(Relaxed);
            (0..).take_while(look).filter(|_| !receiving.may_be_reserved()).count() as u32
        });
        _ = (0..ROUNDS).find(|_| grant() == 50);
        is_over.store(true, Relaxed);
        let (gave_way, woken) = (others.join().unwrap(), bell.0.load(Relaxed));
        assert_eq!(gave_way > 0, woken > 0, "{gave_way} gave way, {woken} grants told");
        assert!(woken <= gave_way, "{gave_way} gave way, {woken} grants told");
    });
}
