//! Random choices among 2 or 3 channels against a reference that keeps a list of offers for each.
//!
//! All of it in one thread, hand-polled, so that a run is the same each time and shrinks (but for the order in which a choice looks
//! at its arms). Checked: which value a receive brings, that one arm of a choice happens and no other, that a choice tells which one
//! it was, where each value is, and (`Settle`) that nobody waits beside a partner, when each task that was woken has been polled.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::support::*;
use handover::{
    Arms, Permit, Receiver, RecvError, Sel2, Sel4, SendError, Sender, Why, WriteError, op,
    rendezvous, select,
};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// The operation of an arm, and its channel.
#[derive(Clone, Copy, Debug)]
enum Spec {
    Send(usize),
    Recv(usize),
    Reserve(usize),
    /// Two values, one after the other.
    Each(usize),
}

#[derive(Clone, Debug)]
enum Command {
    /// A task that does one operation, or chooses among several.
    Choose(Vec<Spec>, bool),
    /// Chooses between a send and a receive, and goes on with the send if the receive was done.
    SendAfter(usize, usize),
    /// Polls the n-th task, woken or not.
    Poll(usize),
    /// Drops the n-th task.
    Cancel(usize),
    /// Chooses at once, or as a thread whose time is up at once.
    Try(Vec<Spec>, bool),
    /// Uses the n-th permit, as an arm beside a receive.
    Use(usize, usize),
    Waste(usize),
    /// Polls all tasks that were woken, until none is.
    Settle,
    Close(usize),
}

fn command() -> impl Strategy<Value = Command> {
    let n = 0..8_usize;
    let ch = 0..3_usize;
    let spec = prop_oneof![
        4 => ch.clone().prop_map(Spec::Send),
        4 => ch.clone().prop_map(Spec::Recv),
        1 => ch.clone().prop_map(Spec::Reserve),
        1 => ch.clone().prop_map(Spec::Each),
    ];
    let specs = prop::collection::vec(spec, 1..=4);
    prop_oneof![
        12 => (specs.clone(), any::<bool>()).prop_map(|(arms, is_biased)| Command::Choose(arms, is_biased)),
        2 => (ch.clone(), ch.clone()).prop_map(|(to, from)| Command::SendAfter(to, from)),
        14 => n.clone().prop_map(Command::Poll),
        4 => n.clone().prop_map(Command::Cancel),
        3 => (specs, any::<bool>()).prop_map(|(arms, waits)| Command::Try(arms, waits)),
        2 => (n.clone(), ch.clone()).prop_map(|(permit, from)| Command::Use(permit, from)),
        2 => n.prop_map(Command::Waste),
        4 => Just(Command::Settle),
        1 => ch.prop_map(Command::Close),
    ]
}

/// The outcome of an arm.
enum Out {
    Sent(Result<(), (Why, Option<Counted>)>),
    Received(Result<Counted, Why>),
    Reserved(Result<Permit<'static, Counted>, Why>),
    SentAll(Result<(), (Why, Vec<Counted>)>),
}

trait IntoOut {
    fn out(self) -> Out;
}

impl IntoOut for Result<(), SendError<Counted>> {
    fn out(self) -> Out {
        Out::Sent(self.map_err(|error| (error.why(), error.into_unsent())))
    }
}

impl IntoOut for Result<Counted, RecvError> {
    fn out(self) -> Out {
        Out::Received(self.map_err(|error| error.why()))
    }
}

impl IntoOut for Result<Permit<'static, Counted>, RecvError> {
    fn out(self) -> Out {
        Out::Reserved(self.map_err(|error| error.why()))
    }
}

impl<I: Iterator<Item = Counted>> IntoOut for Result<(), WriteError<I>> {
    fn out(self) -> Out {
        Out::SentAll(self.map_err(|error| (error.why(), error.into_rest().collect())))
    }
}

type Made = Rc<RefCell<Vec<usize>>>;
type Log = Rc<RefCell<Vec<(usize, Out)>>>;

#[derive(Clone)]
enum Arm {
    Send { ch: usize, id: usize, by_permit: bool },
    Recv { ch: usize },
    Reserve { ch: usize },
    Each { ch: usize, made: Made },
}

impl Arm {
    fn channel(&self) -> usize {
        match *self {
            Self::Send { ch, .. }
            | Self::Recv { ch }
            | Self::Reserve { ch }
            | Self::Each { ch, .. } => ch,
        }
    }
}

struct Task {
    uid: usize,
    arms: Vec<Arm>,
    future: Pin<Box<dyn Future<Output = ()>>>,
    /// The outcomes so far, with their arms.
    log: Log,
    bell: Arc<Bell>,
    waker: Waker,
    woken: bool,
    /// The value of the arm that has happened.
    won: Option<usize>,
    /// All values of the task that were ever on offer.
    offered: BTreeSet<usize>,
}

struct Offer {
    uid: usize,
    id: usize,
    /// May be taken beside another arm.
    is_free: bool,
}

type Ends = (Sender<Counted>, Receiver<Counted>);

struct World {
    census: Census,
    channels: Vec<&'static Ends>,
    closed: Vec<bool>,
    tasks: Vec<Task>,
    permits: Vec<(usize, Permit<'static, Counted>)>,
    /// The offers of each channel, in the order in which they are to be taken.
    offers: Vec<Vec<Offer>>,
    received: BTreeSet<usize>,
    handed_over: Vec<u64>,
    next_uid: usize,
}

/// Calls `$then` with the operations that the arms are.
macro_rules! with_operations {
    ($world:ident, [] [$($op:ident)*] $then:ident) => { $then!($($op)*) };
    ($world:ident, [$arm:expr $(, $rest:expr)*] [$($op:ident)*] $then:ident) => {{
        let (tx, rx) = $world.channels[$arm.0.channel()];
        match ($arm.0, $arm.1) {
            (Arm::Send { .. }, value) => {
                let op = tx.send(value.unwrap());
                with_operations!($world, [$($rest),*] [$($op)* op] $then)
            }
            (Arm::Recv { .. }, _) => {
                let op = rx.recv();
                with_operations!($world, [$($rest),*] [$($op)* op] $then)
            }
            (Arm::Reserve { .. }, _) => {
                let op = tx.reserve();
                with_operations!($world, [$($rest),*] [$($op)* op] $then)
            }
            (Arm::Each { made, .. }, _) => {
                let op = tx.send_all($world.two(made));
                with_operations!($world, [$($rest),*] [$($op)* op] $then)
            }
        }
    }};
}

/// An arm, and what it sends.
type ArmOf = (Arm, Option<Counted>);

type Ops = Vec<ArmOf>;

type Values = Box<dyn Iterator<Item = Counted>>;

/// An operation as an arm of a list, whatever it is: one of these lists has it, and the others are empty.
type AnyOp = (
    Vec<op::Send<'static, Counted>>,
    Vec<op::Take<'static, Counted>>,
    Vec<op::Reserve<'static, Counted>>,
    Vec<op::SendEach<'static, Values>>,
);

type AnyOutput = Sel4<
    (usize, Result<(), SendError<Counted>>),
    (usize, Result<Counted, RecvError>),
    (usize, Result<Permit<'static, Counted>, RecvError>),
    (usize, Result<(), WriteError<Values>>),
>;

/// One arm or two; or the list of them, if there are more.
fn one_or_two(ops: Ops) -> Result<(ArmOf, Option<ArmOf>), Ops> {
    if ops.len() > 2 {
        return Err(ops);
    }
    let mut ops = ops.into_iter();
    Ok((ops.next().unwrap(), ops.next()))
}

fn at_once<A: Arms>(choice: op::Select<A>, waits: bool) -> Option<A::Output> {
    if waits { choice.wait_timeout(Duration::ZERO) } else { choice.now() }
}

/// The outcome of a choice from a list.
fn of_list((place, output): (usize, AnyOutput)) -> (usize, Out) {
    let out = match output {
        Sel4::A((_, out)) => out.out(),
        Sel4::B((_, out)) => out.out(),
        Sel4::C((_, out)) => out.out(),
        Sel4::D((_, out)) => out.out(),
    };
    (place, out)
}

impl World {
    fn new(channels: usize) -> Self {
        Self {
            census: Census::new(),
            channels: (0..channels).map(|_| &*Box::leak(Box::new(rendezvous()))).collect(),
            closed: vec![false; channels],
            tasks: Vec::new(),
            permits: Vec::new(),
            offers: (0..channels).map(|_| Vec::new()).collect(),
            received: BTreeSet::new(),
            handed_over: vec![0; channels],
            next_uid: 0,
        }
    }

    fn uid(&mut self) -> usize {
        self.next_uid += 1;
        self.next_uid
    }

    fn arms(&self, specs: &[Spec]) -> Ops {
        let channel = |ch: usize| ch % self.channels.len();
        let arm = |&spec: &Spec| match spec {
            Spec::Send(ch) => {
                let value = self.census.make();
                (Arm::Send { ch: channel(ch), id: value.id, by_permit: false }, Some(value))
            }
            Spec::Recv(ch) => (Arm::Recv { ch: channel(ch) }, None),
            Spec::Reserve(ch) => (Arm::Reserve { ch: channel(ch) }, None),
            Spec::Each(ch) => (Arm::Each { ch: channel(ch), made: Made::default() }, None),
        };
        specs.iter().map(arm).collect()
    }

    /// Two values, made when they are asked for.
    fn two(&self, made: Made) -> Values {
        let census = self.census.clone();
        Box::new((0..2).map(move |_| {
            let value = census.make();
            made.borrow_mut().push(value.id);
            value
        }))
    }

    fn list(&self, ops: Ops) -> Vec<AnyOp> {
        let one = |(arm, value): ArmOf| {
            let (tx, rx) = self.channels[arm.channel()];
            let mut op = AnyOp::default();
            match arm {
                Arm::Send { .. } => op.0.push(tx.send(value.unwrap())),
                Arm::Recv { .. } => op.1.push(rx.recv()),
                Arm::Reserve { .. } => op.2.push(tx.reserve()),
                Arm::Each { made, .. } => op.3.push(tx.send_all(self.two(made))),
            }
            op
        };
        ops.into_iter().map(one).collect()
    }

    fn add(&mut self, arms: Vec<Arm>, log: Log, future: Pin<Box<dyn Future<Output = ()>>>) {
        let (bell, waker) = Bell::new();
        let uid = self.uid();
        self.tasks.push(Task {
            uid,
            arms,
            future,
            log,
            bell,
            waker,
            woken: true,
            won: None,
            offered: BTreeSet::new(),
        });
    }

    fn choose(&mut self, specs: &[Spec], is_biased: bool) {
        let ops = self.arms(specs);
        let arms: Vec<_> = ops.iter().map(|(arm, _)| arm.clone()).collect();
        let log = Log::default();
        let tell = Rc::clone(&log);
        macro_rules! run {
            ($a:ident) => {
                Box::pin(async move {
                    let out = if is_biased { $a.await } else { select(vec![$a]).await.1 };
                    tell.borrow_mut().push((0, out.out()));
                })
            };
            ($a:ident $b:ident) => {
                Box::pin(async move {
                    let choice = select(($a, $b));
                    let choice = if is_biased { choice.biased() } else { choice };
                    let done = match choice.await {
                        Sel2::A(out) => (0, out.out()),
                        Sel2::B(out) => (1, out.out()),
                    };
                    tell.borrow_mut().push(done);
                })
            };
        }
        let future: Pin<Box<dyn Future<Output = ()>>> = match one_or_two(ops) {
            Ok((a, None)) => with_operations!(self, [a] [] run),
            Ok((a, Some(b))) => with_operations!(self, [a, b] [] run),
            Err(ops) => {
                let choice = select(self.list(ops));
                let choice = if is_biased { choice.biased() } else { choice };
                Box::pin(async move {
                    let done = of_list(choice.await);
                    tell.borrow_mut().push(done);
                })
            }
        };
        self.add(arms, log, future);
    }

    /// Chooses at once, without a task, and notes the outcome.
    fn attempt(&mut self, specs: &[Spec], waits: bool) {
        let ops = self.arms(specs);
        let arms: Vec<_> = ops.iter().map(|(arm, _)| arm.clone()).collect();
        macro_rules! run {
            ($a:ident) => {
                at_once(select(vec![$a]), waits).map(|(place, out)| (place, out.out()))
            };
            ($a:ident $b:ident) => {
                at_once(select(($a, $b)), waits).map(|choice| match choice {
                    Sel2::A(out) => (0, out.out()),
                    Sel2::B(out) => (1, out.out()),
                })
            };
        }
        let done: Option<(usize, Out)> = match one_or_two(ops) {
            Ok((a, None)) => with_operations!(self, [a] [] run),
            Ok((a, Some(b))) => with_operations!(self, [a, b] [] run),
            Err(ops) => at_once(select(self.list(ops)), waits).map(of_list),
        };
        let uid = self.uid();
        match done {
            Some((place, out)) => {
                let arm = arms[place].clone();
                assert!(!matches!(out, Out::Sent(Ok(()))), "there are only tasks");
                self.settle_out(uid, &arm, out);
            }
            None => {
                for arm in arms {
                    assert!(!self.closed[arm.channel()], "the end is an output");
                    if let Arm::Recv { ch } = arm {
                        let there = self.offers[ch].iter().any(|offer| self.may_be_taken(offer));
                        assert!(!there, "a value is there");
                    }
                }
            }
        }
        self.note_wakes();
    }

    fn send_after(&mut self, to: usize, from: usize) {
        let (to, from) = (to % self.channels.len(), from % self.channels.len());
        let value = self.census.make();
        let id = value.id;
        let (tx, rx) = (&self.channels[to].0, &self.channels[from].1);
        let log = Log::default();
        let tell = Rc::clone(&log);
        let future = Box::pin(async move {
            let mut send = tx.send(value);
            let choice = select((&mut send, rx.recv())).await;
            match choice {
                Sel2::A(out) => tell.borrow_mut().push((0, out.out())),
                Sel2::B(out) => {
                    tell.borrow_mut().push((1, out.out()));
                    let out = send.await.out();
                    tell.borrow_mut().push((0, out));
                }
            }
        });
        let arms = vec![Arm::Send { ch: to, id, by_permit: false }, Arm::Recv { ch: from }];
        self.add(arms, log, future);
    }

    fn may_be_taken(&self, offer: &Offer) -> bool {
        let has_won = |task: &Task| task.uid == offer.uid && task.won.is_some();
        offer.is_free || !self.tasks.iter().any(has_won)
    }

    fn take(&mut self, uid: usize, ch: usize, value: Counted) {
        assert!(!self.closed[ch], "received after the end");
        let first = self.offers[ch]
            .iter()
            .position(|offer| offer.uid != uid && self.may_be_taken(offer))
            .expect("a value that nobody offers");
        // Arms of one choice come in any order.
        let first = self.offers[ch][first].uid;
        let place = self.offers[ch].iter().position(|offer| value == offer.id);
        let offer = self.offers[ch].remove(place.expect("a value that is not on offer"));
        assert_eq!(offer.uid, first, "the first offer, of {value:?}");
        assert!(self.may_be_taken(&offer), "its choice is made");
        assert!(self.received.insert(value.id), "received twice");
        self.handed_over[ch] += 1;
        if let Some(task) = self.tasks.iter_mut().find(|task| task.uid == offer.uid) {
            if !offer.is_free {
                assert_eq!(task.won, None, "two arms of one choice");
                task.won = Some(value.id);
            }
        }
    }

    fn settle_out(&mut self, uid: usize, arm: &Arm, out: Out) {
        let ch = arm.channel();
        match (arm, out) {
            (Arm::Recv { .. }, Out::Received(Ok(value))) => self.take(uid, ch, value),
            (Arm::Send { id, .. }, Out::Sent(Ok(()))) => {
                assert!(self.received.contains(id), "done, but not received");
            }
            (Arm::Send { id, .. }, Out::Sent(Err((why, unsent)))) => {
                assert!(self.closed[ch] && why == Why::Closed);
                assert_eq!(unsent.unwrap(), *id);
                assert!(!self.received.contains(id), "received, but given back");
            }
            (Arm::Reserve { .. }, Out::Reserved(Ok(permit))) => self.permits.push((ch, permit)),
            (Arm::Each { made, .. }, Out::SentAll(Ok(()))) => {
                assert_eq!(made.borrow().len(), 2);
                assert!(made.borrow().iter().all(|id| self.received.contains(id)));
            }
            (Arm::Each { made, .. }, Out::SentAll(Err((why, rest)))) => {
                assert!(self.closed[ch] && why == Why::Closed);
                let sent = made.borrow().iter().filter(|id| self.received.contains(id)).count();
                assert_eq!(sent + rest.len(), 2);
                assert!(rest.iter().all(|value| !self.received.contains(&value.id)));
            }
            (Arm::Recv { .. }, Out::Received(Err(why)))
            | (Arm::Reserve { .. }, Out::Reserved(Err(why))) => {
                assert!(self.closed[ch] && why == Why::Closed);
            }
            _ => panic!("an output of another arm"),
        }
    }

    fn withdraw(&mut self, uid: usize) {
        self.offers.iter_mut().for_each(|offers| offers.retain(|offer| offer.uid != uid));
    }

    fn poll(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        _ = task.bell.rings();
        task.woken = false;
        let (uid, won) = (task.uid, task.won);
        let is_done = task.future.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready();
        let outs = std::mem::take(&mut *task.log.borrow_mut());
        if let (Some(won), first) = (won, outs.first()) {
            let told = first.expect("an arm has happened, but it waits");
            let Arm::Send { id, .. } = task.arms[told.0] else { panic!("another arm than that") };
            assert_eq!(id, won, "another arm than that");
        }
        for (place, out) in outs {
            let task = &mut self.tasks[index];
            let arm = task.arms[place].clone();
            if let Out::Sent(Ok(())) = out {
                assert!(task.won.is_some(), "nobody has taken it");
            }
            // No value of the task can be taken any more.
            self.withdraw(uid);
            self.settle_out(uid, &arm, out);
            if !is_done {
                // The task goes on with its send, which is offered anew.
                let task = &mut self.tasks[index];
                task.arms.truncate(1);
                task.offered.clear();
            }
        }
        if is_done {
            drop(self.tasks.swap_remove(index));
        } else {
            self.note_offers(index);
        }
        self.note_wakes();
    }

    /// Puts the offers of a waiting task into the lists.
    fn note_offers(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        let uid = task.uid;
        for arm in &task.arms {
            assert!(!self.closed[arm.channel()], "waits after the end");
            match arm {
                &Arm::Send { ch, id, by_permit } => {
                    assert!(!self.received.contains(&id), "a send waits though it was taken");
                    if task.offered.insert(id) {
                        let place = if by_permit { 0 } else { self.offers[ch].len() };
                        self.offers[ch].insert(place, Offer { uid, id, is_free: false });
                    }
                }
                Arm::Each { ch, made } => {
                    for &id in &*made.borrow() {
                        if task.offered.insert(id) {
                            self.offers[*ch].push(Offer { uid, id, is_free: true });
                        }
                    }
                    let last = made.borrow().last().copied().expect("nothing was made");
                    assert!(!self.received.contains(&last), "waits though all was taken");
                }
                Arm::Recv { .. } | Arm::Reserve { .. } => {}
            }
        }
    }

    fn note_wakes(&mut self) {
        for task in &mut self.tasks {
            task.woken |= task.bell.rings() > 0;
        }
    }

    fn settle(&mut self) {
        let mut rounds = 0;
        while let Some(index) = self.tasks.iter().position(|task| task.woken) {
            self.poll(index);
            rounds += 1;
            assert!(rounds < 10_000, "wakes for ever");
        }
        for ch in 0..self.channels.len() {
            self.assert_nobody_waits_beside_a_partner(ch);
        }
        assert!(self.tasks.iter().all(|task| task.won.is_none()), "not told that it was done");
    }

    fn assert_nobody_waits_beside_a_partner(&self, ch: usize) {
        let arms =
            || self.tasks.iter().flat_map(|task| task.arms.iter().map(|arm| (task.uid, arm)));
        let here = || arms().filter(|(_, arm)| arm.channel() == ch);
        if self.closed[ch] {
            assert_eq!(here().count(), 0, "not told of the end");
            return;
        }
        let is_recv = |arm: &Arm| matches!(arm, Arm::Recv { .. });
        let takers: Vec<_> = here().filter(|(_, arm)| is_recv(arm)).map(|(uid, _)| uid).collect();
        // A party of which a receive belongs to a permit is granted none meanwhile.
        let is_bound = |uid: usize| {
            let mut receives = arms().filter(|(of, arm)| *of == uid && is_recv(arm));
            receives.any(|(_, arm)| self.permits.iter().any(|(at, _)| *at == arm.channel()))
        };
        let is_giver = |(uid, arm): &(usize, &Arm)| {
            let is_kept_back = matches!(arm, Arm::Reserve { .. }) && is_bound(*uid);
            !is_recv(arm) && !is_kept_back
        };
        let givers: Vec<_> = here().filter(is_giver).map(|(uid, _)| uid).collect();
        let permits = self.permits.iter().filter(|(at, _)| *at == ch).count();
        let are_others = givers.iter().all(|giver| !takers.contains(giver));
        if permits == 0 {
            for giver in &givers {
                assert!(takers.iter().all(|taker| taker == giver), "{givers:?} beside {takers:?}");
            }
        } else if takers.len() > permits && are_others {
            assert!(givers.is_empty(), "{givers:?} beside {takers:?}, and {permits} permits");
        }
    }

    fn run(&mut self, command: Command) {
        match command {
            Command::Choose(specs, is_biased) => self.choose(&specs, is_biased),
            Command::SendAfter(to, from) => self.send_after(to, from),
            Command::Poll(n) if !self.tasks.is_empty() => self.poll(n % self.tasks.len()),
            Command::Cancel(n) if !self.tasks.is_empty() => {
                let task = self.tasks.swap_remove(n % self.tasks.len());
                self.withdraw(task.uid);
                drop(task);
                self.note_wakes();
            }
            Command::Try(specs, waits) => self.attempt(&specs, waits),
            Command::Use(n, from) if !self.permits.is_empty() => {
                let (ch, permit) = self.permits.swap_remove(n % self.permits.len());
                let from = from % self.channels.len();
                let value = self.census.make();
                let arms =
                    vec![Arm::Send { ch, id: value.id, by_permit: true }, Arm::Recv { ch: from }];
                let log = Log::default();
                let tell = Rc::clone(&log);
                let (send, recv) = (permit.send(value), self.channels[from].1.recv());
                let future = Box::pin(async move {
                    let done = match select((send, recv)).await {
                        Sel2::A(out) => (0, out.out()),
                        Sel2::B(out) => (1, out.out()),
                    };
                    tell.borrow_mut().push(done);
                });
                self.add(arms, log, future);
                self.poll(self.tasks.len() - 1);
            }
            Command::Waste(n) if !self.permits.is_empty() => {
                drop(self.permits.swap_remove(n % self.permits.len()));
                self.note_wakes();
            }
            Command::Settle => self.settle(),
            Command::Close(ch) if self.received.len() > 6 => {
                let ch = ch % self.channels.len();
                self.channels[ch].0.close();
                self.closed[ch] = true;
                self.note_wakes();
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2 * ProptestConfig::default().cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_choices_agree_with_the_reference(channels in 2_usize..=3, commands in prop::collection::vec(command(), 1..80)) {
        let mut world = World::new(channels);
        let census = world.census.clone();
        for command in commands {
            world.run(command);
        }
        world.settle();
        world.tasks.clear();
        world.permits.clear();
        for (ch, (tx, _)) in world.channels.iter().enumerate() {
            let stats = tx.stats();
            assert_eq!(stats.handed_over, world.handed_over[ch]);
            assert_eq!((stats.waiting_senders, stats.waiting_receivers), (0, 0));
        }
        census.assert_settled();
    }
}
