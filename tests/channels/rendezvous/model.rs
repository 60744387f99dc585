//! Random meetings of 2 to 4 ends a side against a reference that keeps only a list of offers.
//!
//! All of it in one thread, hand-polled, so that a run is the same each time and shrinks. Checked: which value a receive brings,
//! whether a send is done exactly when its value was received, where each value is, and (`Settle`) that no task that could go on
//! is left asleep, when each task that was woken has been polled.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::support::*;
use handover::{Permit, Receiver, Sender, Why, rendezvous};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

#[derive(Clone, Debug)]
enum Command {
    Send(usize),
    Recv(usize),
    Reserve,
    /// Polls the n-th task, woken or not.
    Poll(usize),
    /// Drops the n-th task.
    Cancel(usize),
    SendNow,
    RecvNow,
    /// Uses, or drops, the n-th permit.
    Use(usize),
    Waste(usize),
    /// Polls all tasks that were woken, until none is.
    Settle,
    DropEnd(bool, usize),
    Close,
}

fn command() -> impl Strategy<Value = Command> {
    let n = 0..8_usize;
    prop_oneof![
        6 => n.clone().prop_map(Command::Send),
        6 => n.clone().prop_map(Command::Recv),
        2 => Just(Command::Reserve),
        12 => n.clone().prop_map(Command::Poll),
        5 => n.clone().prop_map(Command::Cancel),
        1 => Just(Command::SendNow),
        2 => Just(Command::RecvNow),
        3 => n.clone().prop_map(Command::Use),
        2 => n.clone().prop_map(Command::Waste),
        4 => Just(Command::Settle),
        1 => (any::<bool>(), n).prop_map(|(side, n)| Command::DropEnd(side, n)),
        1 => Just(Command::Close),
    ]
}

enum Output {
    Sent(Result<(), Why>),
    Received(Result<Counted, Why>),
    Reserved(Result<Permit<'static, Counted>, Why>),
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Send { id: usize, by_permit: bool },
    Recv,
    Reserve,
}

struct Task {
    kind: Kind,
    future: Pin<Box<dyn Future<Output = Output>>>,
    bell: Arc<Bell>,
    waker: Waker,
    polls: usize,
    woken: bool,
}

struct World {
    census: Census,
    senders: Vec<Option<Sender<Counted>>>,
    receivers: Vec<Option<Receiver<Counted>>>,
    /// Lives as long as all that borrows from it, and is dropped last.
    keeper: &'static Sender<Counted>,
    tasks: Vec<Task>,
    permits: Vec<Permit<'static, Counted>>,
    /// On offer, in the order in which they are to be taken.
    offers: Vec<usize>,
    received: Vec<usize>,
    had_permits: bool,
    closed: bool,
}

impl World {
    fn new(ends: usize) -> Self {
        let (tx, rx) = rendezvous();
        Self {
            census: Census::new(),
            senders: (0..ends).map(|_| Some(tx.clone())).collect(),
            receivers: (0..ends).map(|_| Some(rx.clone())).collect(),
            keeper: Box::leak(Box::new(tx)),
            tasks: Vec::new(),
            permits: Vec::new(),
            offers: Vec::new(),
            received: Vec::new(),
            had_permits: false,
            closed: false,
        }
    }

    fn add(&mut self, kind: Kind, future: impl Future<Output = Output> + 'static) {
        let (bell, waker) = Bell::new();
        self.tasks.push(Task {
            kind,
            future: Box::pin(future),
            bell,
            waker,
            polls: 0,
            woken: true,
        });
    }

    fn has_ended(&self) -> bool {
        self.keeper.is_closed()
    }

    fn take(&mut self, value: Counted) {
        assert!(!self.closed, "received after the end");
        assert_eq!(self.offers.first(), Some(&value.id), "the first offer of {:?}", self.offers);
        self.received.push(self.offers.remove(0));
    }

    fn poll(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        task.polls += 1;
        task.woken = false;
        _ = task.bell.rings();
        let (kind, polls) = (task.kind, task.polls);
        if let (Kind::Send { id, by_permit }, 1, false) = (kind, polls, self.closed) {
            let place = if by_permit { 0 } else { self.offers.len() };
            self.offers.insert(place, id);
        }
        let task = &mut self.tasks[index];
        let polled = task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
        let ended = self.has_ended();
        match polled {
            Poll::Pending => {
                assert!(!ended, "waits after the end");
                if let Kind::Send { id, .. } = kind {
                    assert!(!self.received.contains(&id), "a send waits though it was taken");
                }
                if kind == Kind::Recv && polls > 1 && !self.had_permits {
                    assert!(
                        self.offers.is_empty(),
                        "waits, on a later look, beside {:?}",
                        self.offers
                    );
                }
            }
            Poll::Ready(output) => {
                drop(self.tasks.swap_remove(index));
                match output {
                    Output::Received(Ok(value)) => self.take(value),
                    Output::Sent(Ok(())) => {
                        let Kind::Send { id, .. } = kind else { panic!("a send") };
                        assert!(self.received.contains(&id), "done, but not received");
                    }
                    Output::Sent(Err(why)) => {
                        assert!(ended && why.is_end());
                        let Kind::Send { id, .. } = kind else { panic!("a send") };
                        assert!(!self.received.contains(&id));
                        self.offers.retain(|&offer| offer != id);
                    }
                    Output::Reserved(Ok(permit)) => self.permits.push(permit),
                    Output::Received(Err(why)) | Output::Reserved(Err(why)) => {
                        assert!(ended && why.is_end());
                    }
                }
            }
        }
        self.note_wakes();
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
        if self.has_ended() {
            assert!(self.tasks.is_empty(), "told of the end");
            return;
        }
        let waiting = |kind: fn(Kind) -> bool| self.tasks.iter().any(|task| kind(task.kind));
        let receivers = self.tasks.iter().filter(|task| task.kind == Kind::Recv).count();
        if receivers > self.permits.len() {
            assert!(self.offers.is_empty(), "{:?} on offer, {receivers} wait", self.offers);
            assert!(!waiting(|kind| kind == Kind::Reserve), "a reserve waits beside a receiver");
        }
    }

    fn send(&mut self, n: usize) {
        let n = n % self.senders.len();
        let Some(tx) = self.senders[n].clone() else { return };
        let value = self.census.make();
        let kind = Kind::Send { id: value.id, by_permit: false };
        self.add(
            kind,
            async move { Output::Sent(tx.send(value).await.map_err(|error| error.why())) },
        );
    }

    fn run(&mut self, command: Command) {
        match command {
            Command::Send(n) => self.send(n),
            Command::Recv(n) => {
                let n = n % self.receivers.len();
                if let Some(rx) = self.receivers[n].clone() {
                    self.add(Kind::Recv, async move {
                        Output::Received(rx.recv().await.map_err(|error| error.why()))
                    });
                }
            }
            Command::Reserve => {
                self.had_permits = true;
                let tx = self.keeper;
                self.add(Kind::Reserve, async move {
                    Output::Reserved(tx.reserve().await.map_err(|error| error.why()))
                });
            }
            Command::Poll(n) if !self.tasks.is_empty() => self.poll(n % self.tasks.len()),
            Command::Cancel(n) if !self.tasks.is_empty() => {
                let task = self.tasks.swap_remove(n % self.tasks.len());
                if let Kind::Send { id, .. } = task.kind {
                    self.offers.retain(|&offer| offer != id);
                }
                drop(task);
                self.note_wakes();
            }
            Command::SendNow => {
                if let Some(tx) = self.senders.iter().flatten().next() {
                    let error = tx.send(self.census.make()).now().expect_err("only tasks here");
                    assert!(error.unsent().is_some());
                }
            }
            Command::RecvNow => {
                let Some(rx) = self.receivers.iter().flatten().next().cloned() else { return };
                match rx.recv().now() {
                    Ok(value) => self.take(value),
                    Err(_) => assert!(self.closed || self.has_ended() || self.offers.is_empty()),
                }
                drop(rx);
                self.note_wakes();
            }
            Command::Use(n) if !self.permits.is_empty() => {
                let permit = self.permits.swap_remove(n % self.permits.len());
                let value = self.census.make();
                let kind = Kind::Send { id: value.id, by_permit: true };
                let mut send = permit.send(value);
                self.add(kind, async move {
                    Output::Sent((&mut send).await.map_err(|error| error.why()))
                });
                let last = self.tasks.len() - 1;
                self.poll(last);
            }
            Command::Waste(n) if !self.permits.is_empty() => {
                drop(self.permits.swap_remove(n % self.permits.len()));
                self.note_wakes();
            }
            Command::Settle => self.settle(),
            Command::DropEnd(true, n) => {
                let n = n % self.senders.len();
                self.senders[n] = None;
            }
            Command::DropEnd(false, n) => {
                let n = n % self.receivers.len();
                self.receivers[n] = None;
                self.note_wakes();
            }
            Command::Close if self.received.len() > 6 => {
                self.keeper.close();
                self.closed = true;
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
    fn random_meetings_agree_with_the_reference(ends in 2_usize..=4, commands in prop::collection::vec(command(), 1..80)) {
        let mut world = World::new(ends);
        let census = world.census.clone();
        for command in commands {
            world.run(command);
            world.closed |= world.has_ended();
        }
        world.settle();
        let stats = world.keeper.stats();
        assert_eq!(stats.handed_over as usize, world.received.len());
        world.tasks.clear();
        world.permits.clear();
        let stats = world.keeper.stats();
        assert_eq!((stats.waiting_senders, stats.waiting_receivers), (0, 0));
        census.assert_settled();
    }
}
