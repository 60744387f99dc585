//! A party of a rendezvous: it does what its program says, and tells the world what it learns.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::vec;

use handover::op::{self, Closed, Reserve, Select, SendEach, Take};
use handover::{
    Permit, Receiver, RecvError, Sel6, SendError, Sender, WeakReceiver, WeakSender, Why, WriteError,
};

use crate::explore::note;
use crate::program::{Act, Arm};
use crate::ways::{Driven, Operation, Way, choose, drive, one_in, pick, rest};
use crate::world::{Doing, Fate, Kept, Kind, Value, Wish, World};

/// What an operation has brought.
pub(crate) enum Outcome<'a> {
    Sent(Result<(), SendError<Value>>),
    SentAll(Result<(), WriteError<vec::IntoIter<Value>>>),
    Received(Result<Value, RecvError>),
    Reserved(Result<Permit<'a, Value>, RecvError>),
    Ended(Result<Why, RecvError>),
}

macro_rules! outcomes {
    ($($variant:ident: $output:ty;)+) => {
        $(impl<'a> From<$output> for Outcome<'a> {
            fn from(output: $output) -> Self {
                Self::$variant(output)
            }
        })+
    };
}

outcomes! {
    Sent: Result<(), SendError<Value>>;
    SentAll: Result<(), WriteError<vec::IntoIter<Value>>>;
    Received: Result<Value, RecvError>;
    Reserved: Result<Permit<'a, Value>, RecvError>;
    Ended: Result<Why, RecvError>;
}

/// All arms of one select: each kind has a list.
type Arms<'a, 'b> = (
    Vec<op::Send<'a, Value>>,
    Vec<&'b mut op::Send<'a, Value>>,
    Vec<SendEach<'a, vec::IntoIter<Value>>>,
    Vec<Take<'a, Value>>,
    Vec<Reserve<'a, Value>>,
    Vec<Closed<'a, Value>>,
);

type Chosen<'a> = <Select<Arms<'a, 'a>> as Future>::Output;

/// In the order of `Arms`.
const KINDS: [Kind; 6] =
    [Kind::Send, Kind::Borrowed, Kind::SendAll, Kind::Recv, Kind::Reserve, Kind::Closed];

/// Which arm was done: the place of its kind in `KINDS`, and its place among those of that kind.
fn chosen(chosen: Chosen<'_>) -> (usize, usize, Outcome<'_>) {
    match chosen {
        Sel6::A((at, output)) => (0, at, output.into()),
        Sel6::B((at, output)) => (1, at, output.into()),
        Sel6::C((at, output)) => (2, at, output.into()),
        Sel6::D((at, output)) => (3, at, output.into()),
        Sel6::E((at, output)) => (4, at, output.into()),
        Sel6::F((at, output)) => (5, at, output.into()),
    }
}

/// The ends of one channel that a party has.
#[derive(Default)]
pub(crate) struct Ends {
    pub(crate) sender: Option<Sender<Value>>,
    pub(crate) receiver: Option<Receiver<Value>>,
    pub(crate) weak: Option<(WeakSender<Value>, WeakReceiver<Value>)>,
}

pub(crate) struct Party {
    pub(crate) number: usize,
    pub(crate) world: Arc<World>,
    pub(crate) ends: Vec<Ends>,
    /// No other party shares its thread.
    pub(crate) is_alone: bool,
    /// The last value that came from a party through a channel.
    pub(crate) last: RefCell<HashMap<(usize, usize), usize>>,
}

impl Party {
    fn sender(&self, channel: usize) -> &Sender<Value> {
        self.ends[channel].sender.as_ref().expect("the program needs it")
    }

    fn receiver(&self, channel: usize) -> &Receiver<Value> {
        self.ends[channel].receiver.as_ref().expect("the program needs it")
    }

    fn closed(&self, channel: usize) -> Closed<'_, Value> {
        let ends = &self.ends[channel];
        match (&ends.sender, &ends.receiver) {
            (Some(sender), _) => sender.closed(),
            (None, Some(receiver)) => receiver.closed(),
            (None, None) => unreachable!("the program needs one"),
        }
    }

    fn values(&self, ids: &[usize]) -> Vec<Value> {
        ids.iter().map(|&id| self.world.value(id)).collect()
    }

    /// The party is about to wait for these arms.
    fn begin(&self, arms: &[Arm], way: Way) {
        note(|| format!("{}: {way:?} {arms:?}", self.number));
        if way.is_for_good() {
            self.world.set(self.number, self.waiting(arms, way));
        }
    }

    fn waiting(&self, arms: &[Arm], way: Way) -> Doing {
        Doing::Waiting { wishes: wishes(arms), is_thread: way == Way::Block }
    }

    fn busy(&self) {
        self.world.set(self.number, Doing::Busy);
    }

    fn way_for_good(&self) -> Way {
        if self.is_alone { Way::for_good() } else { Way::Await }
    }

    /// Does what the program says, and leaves.
    pub(crate) async fn run(mut self, program: Vec<Act>) {
        note(|| format!("{}: {program:?}", self.number));
        let mut acts = program.into_iter();
        while let Some(act) = acts.next() {
            self.act(act, &mut acts).await;
        }
        let world = Arc::clone(&self.world);
        for (channel, ends) in mem::take(&mut self.ends).into_iter().enumerate() {
            if let Some(sender) = ends.sender {
                world.leave(channel, 0);
                if one_in(2) { sender.finish() } else { drop(sender) }
            }
            if let Some(receiver) = ends.receiver {
                world.leave(channel, 1);
                if one_in(2) { receiver.finish() } else { drop(receiver) }
            }
        }
        world.set(self.number, Doing::Done);
    }

    /// One act. While it keeps an operation, it goes on to the acts after it.
    fn act<'p>(
        &'p self,
        act: Act,
        after: &'p mut vec::IntoIter<Act>,
    ) -> Pin<Box<dyn Future<Output = ()> + 'p>> {
        Box::pin(async move {
            match act {
                Act::Close(channel, side) => self.close(channel, side),
                Act::Upgrade(channel, side) => self.upgrade(channel, side).await,
                Act::Operation { arms, way } if arms.len() == 1 => {
                    self.single(arms[0], way, after).await;
                }
                Act::Operation { arms, way } => self.select(&arms, way, after).await,
            }
        })
    }

    fn close(&self, channel: usize, side: usize) {
        let ends = &self.ends[channel];
        self.world.close(channel);
        match side {
            0 => _ = ends.sender.as_ref().map(Sender::close),
            _ => _ = ends.receiver.as_ref().map(Receiver::close),
        }
        self.busy();
    }

    async fn upgrade(&self, channel: usize, side: usize) {
        let (sender, receiver) = self.ends[channel].weak.as_ref().expect("each party has them");
        let way = pick(&[Way::Now, Way::Until(1), Way::Until(2)]);
        if side == 0 {
            let Some(sender) = sender.upgrade() else { return };
            self.world.add_end(channel, 0);
            let id = self.world.id(self.number, channel, true);
            if let Driven::Done(sent) = drive(sender.send(self.world.value(id)), way).await {
                self.sent(sent, id, channel, way);
            }
            self.world.leave(channel, 0);
            drop(sender);
        } else {
            let Some(receiver) = receiver.upgrade() else { return };
            self.world.add_end(channel, 1);
            if let Driven::Done(received) = drive(receiver.recv(), way).await {
                self.received(received, channel, way);
            }
            self.world.leave(channel, 1);
            drop(receiver);
        }
        self.busy();
    }

    // ---- One operation

    async fn single(&self, arm: Arm, way: Way, after: &mut vec::IntoIter<Act>) {
        let Arm { kind, channel, items } = arm;
        let ids: Vec<usize> = match kind {
            Kind::Send | Kind::Borrowed => vec![self.world.id(self.number, channel, true)],
            Kind::SendAll => {
                (0..items).map(|_| self.world.id(self.number, channel, true)).collect()
            }
            _ => Vec::new(),
        };
        match kind {
            Kind::Send | Kind::Borrowed => {
                let send = self.sender(channel).send(self.world.value(ids[0]));
                self.send(send, ids[0], arm, way, after).await;
            }
            Kind::SendAll => {
                let op = self.sender(channel).send_all(self.values(&ids));
                self.drop_left(op, &ids, arm, way).await;
            }
            Kind::Closed => self.drop_left(self.closed(channel), &ids, arm, way).await,
            Kind::Recv => {
                let take = self.receiver(channel).recv();
                self.keep_left(
                    take,
                    &[arm],
                    way,
                    after,
                    |output| (0, Outcome::from(output)),
                    &[vec![]],
                )
                .await;
            }
            Kind::Reserve => {
                let reserve = self.sender(channel).reserve();
                self.keep_left(
                    reserve,
                    &[arm],
                    way,
                    after,
                    |output| (0, Outcome::from(output)),
                    &[vec![]],
                )
                .await;
            }
        }
    }

    /// An operation that is dropped if it is left.
    async fn drop_left<'a, O: Operation>(&'a self, op: O, ids: &[usize], arm: Arm, way: Way)
    where
        Outcome<'a>: From<O::Output>,
    {
        self.begin(&[arm], way);
        let driven = drive(op, way).await;
        self.busy();
        if let Driven::Done(output) = driven {
            self.settle(output.into(), ids, arm, way).await;
        }
    }

    /// A send, also by a permit. If it is left, it is taken back, dropped, kept or forgotten.
    async fn send<'a>(
        &'a self,
        send: op::Send<'a, Value>,
        id: usize,
        arm: Arm,
        way: Way,
        after: &mut vec::IntoIter<Act>,
    ) {
        self.begin(&[arm], way);
        let driven = drive(send, way).await;
        self.busy();
        match driven {
            Driven::Done(sent) => self.sent(sent, id, arm.channel, way),
            Driven::Nothing => unreachable!("a send tells"),
            Driven::Left(send) if one_in(4) => self.world.learn(id, send.reclaim().is_none()),
            Driven::Left(send) => {
                let done = |output| (0, Outcome::from(output));
                self.left(send, &[arm], after, done, &[vec![id]]).await;
            }
        }
    }

    /// An operation or a select, which is kept or dropped if it is left.
    async fn keep_left<'a, O: Operation>(
        &'a self,
        op: O,
        arms: &[Arm],
        way: Way,
        after: &mut vec::IntoIter<Act>,
        done: impl FnOnce(O::Output) -> (usize, Outcome<'a>),
        ids: &[Vec<usize>],
    ) {
        self.begin(arms, way);
        let driven = drive(op, way).await;
        self.busy();
        match driven {
            Driven::Done(output) => {
                let (at, outcome) = done(output);
                self.settle_all(at, outcome, arms, ids, way).await;
            }
            Driven::Nothing => self.learn_not_sent(None, arms, ids),
            Driven::Left(op) => self.left(op, arms, after, done, ids).await,
        }
    }

    /// An operation was polled and is not done: it is dropped, forgotten, or kept while the party does something else.
    async fn left<'a, O: Operation>(
        &'a self,
        op: O,
        arms: &[Arm],
        after: &mut vec::IntoIter<Act>,
        done: impl FnOnce(O::Output) -> (usize, Outcome<'a>),
        ids: &[Vec<usize>],
    ) {
        let can_be_kept = |arm: &Arm| !matches!(arm.kind, Kind::SendAll | Kind::Closed);
        if !arms.iter().all(can_be_kept) || one_in(3) {
            return drop(op);
        }
        let is_forgotten = one_in(4);
        let (party, wishes) = (self.number, wishes(arms));
        let values = ids.iter().flatten().copied().collect();
        self.world.keep(Kept { party, wishes, values, is_forgotten });
        if is_forgotten {
            return mem::forget(op);
        }
        if let Some(act) = after.next() {
            self.act(act, after).await;
        }
        let way = if one_in(2) {
            self.way_for_good()
        } else {
            pick(&[Way::Leave(1), Way::Until(2), Way::Now])
        };
        let doing = if way.is_for_good() { self.waiting(arms, way) } else { Doing::Busy };
        note(|| format!("{party}: goes on with what it kept, by {way:?}"));
        self.world.resume(party, doing);
        let driven = drive(op, way).await;
        self.busy();
        match driven {
            Driven::Done(output) => {
                let (at, outcome) = done(output);
                self.settle_all(at, outcome, arms, ids, way).await;
            }
            Driven::Nothing => self.learn_not_sent(None, arms, ids),
            Driven::Left(op) => drop(op),
        }
    }

    // ---- A select

    async fn select(&self, arms: &[Arm], way: Way, after: &mut vec::IntoIter<Act>) {
        // A `send_all` that lost may have sent something, so what comes after another arm's value is not known.
        let is_in_order = arms.iter().all(|arm| arm.kind != Kind::SendAll);
        let id = |channel| self.world.id(self.number, channel, is_in_order);
        let ids: Vec<Vec<usize>> = arms
            .iter()
            .map(|arm| match arm.kind {
                Kind::Send | Kind::Borrowed => vec![id(arm.channel)],
                Kind::SendAll => (0..arm.items).map(|_| id(arm.channel)).collect(),
                _ => Vec::new(),
            })
            .collect();
        let places = |kind| {
            let is_of_kind = move |at: &usize| arms[*at].kind == kind;
            (0..arms.len()).filter(is_of_kind).collect::<Vec<_>>()
        };
        let places = KINDS.map(places);
        let of = |kind: usize| places[kind].iter().map(|&at| (arms[at].channel, &ids[at]));
        let send = |(channel, ids): (usize, &Vec<usize>)| {
            self.sender(channel).send(self.world.value(ids[0]))
        };
        let mut borrowed: Vec<_> = of(1).map(send).collect();
        let select = choose((
            of(0).map(send).collect::<Vec<_>>(),
            borrowed.iter_mut().collect::<Vec<_>>(),
            of(2)
                .map(|(channel, ids)| self.sender(channel).send_all(self.values(ids)))
                .collect::<Vec<_>>(),
            of(3).map(|(channel, _)| self.receiver(channel).recv()).collect::<Vec<_>>(),
            of(4).map(|(channel, _)| self.sender(channel).reserve()).collect::<Vec<_>>(),
            of(5).map(|(channel, _)| self.closed(channel)).collect::<Vec<_>>(),
        ));
        let done = |output| {
            let (kind, at, outcome) = chosen(output);
            (places[kind][at], outcome)
        };
        self.keep_left(select, arms, way, after, done, &ids).await;
        // What is borrowed tells itself what has become of it, unless it was the arm that was done.
        for (send, &at) in borrowed.into_iter().zip(&places[1]) {
            let id = ids[at][0];
            let back = send.reclaim();
            if self.world.fate(id) == Fate::Unknown {
                self.world.learn(id, back.is_none());
            } else {
                assert!(back.is_none(), "it was done, and has its value");
            }
        }
    }

    // ---- What has come of it

    /// An arm was done, the others were not.
    async fn settle_all<'a>(
        &'a self,
        at: usize,
        outcome: Outcome<'a>,
        arms: &[Arm],
        ids: &[Vec<usize>],
        way: Way,
    ) {
        note(|| format!("{}: arm {at} of {arms:?}", self.number));
        self.learn_not_sent(Some(at), arms, ids);
        self.settle(outcome, &ids[at], arms[at], way).await;
    }

    /// No arm but `done` was done.
    fn learn_not_sent(&self, done: Option<usize>, arms: &[Arm], ids: &[Vec<usize>]) {
        for (at, arm) in arms.iter().enumerate() {
            if Some(at) != done && arm.kind == Kind::Send {
                ids[at].iter().for_each(|&id| self.world.learn(id, false));
            }
        }
    }

    async fn settle<'a>(&'a self, outcome: Outcome<'a>, ids: &[usize], arm: Arm, way: Way) {
        let channel = arm.channel;
        match outcome {
            Outcome::Sent(sent) => self.sent(sent, ids[0], channel, way),
            Outcome::SentAll(sent) => self.sent_all(sent, ids, channel, way),
            Outcome::Received(received) => self.received(received, channel, way),
            Outcome::Ended(Ok(_)) => self.check_end(Why::Closed, channel, way),
            Outcome::Ended(Err(error)) => self.check_end(error.why(), channel, way),
            Outcome::Reserved(Err(error)) => self.check_end(error.why(), channel, way),
            Outcome::Reserved(Ok(permit)) => self.send_by_permit(permit, channel).await,
        }
    }

    async fn send_by_permit<'a>(&'a self, permit: Permit<'a, Value>, channel: usize) {
        rest().await;
        if one_in(4) {
            return drop(permit);
        }
        let id = self.world.id(self.number, channel, false);
        let way = if one_in(2) {
            self.way_for_good()
        } else {
            pick(&[Way::Now, Way::Until(2), Way::Leave(1)])
        };
        let arm = Arm { kind: Kind::Send, channel, items: 1 };
        let none = &mut Vec::new().into_iter();
        let send = permit.send(self.world.value(id));
        Box::pin(self.send(send, id, arm, way, none)).await; // Boxed, since it may come back here.
    }

    fn sent(&self, sent: Result<(), SendError<Value>>, id: usize, channel: usize, way: Way) {
        if let Err(error) = &sent {
            self.check_end(error.why(), channel, way);
        }
        let unsent =
            sent.as_ref().is_err_and(|error| error.unsent().is_some_and(|unsent| unsent.id == id));
        assert_eq!(sent.is_err(), unsent, "a send that failed gives its value back");
        self.world.learn(id, sent.is_ok());
    }

    fn sent_all(
        &self,
        sent: Result<(), WriteError<vec::IntoIter<Value>>>,
        ids: &[usize],
        channel: usize,
        way: Way,
    ) {
        let mut rest = Vec::new();
        if let Err(error) = sent {
            self.check_end(error.why(), channel, way);
            rest.extend(error.into_rest());
            assert!(!rest.is_empty(), "all were sent, and it failed");
        }
        let (taken, left) = ids.split_at(ids.len() - rest.len());
        assert!(rest.iter().map(|value| &value.id).eq(left), "the rest is in order");
        taken.iter().for_each(|&id| self.world.learn(id, true));
        left.iter().for_each(|&id| self.world.learn(id, false));
    }

    fn received(&self, received: Result<Value, RecvError>, channel: usize, way: Way) {
        let value = match received {
            Ok(value) => value,
            Err(error) => return self.check_end(error.why(), channel, way),
        };
        note(|| format!("{}: receives {}", self.number, value.id));
        self.world.with(|state| {
            let record = &mut state.values[value.id];
            assert_eq!(record.channel, channel, "a value of another channel");
            record.deliveries += 1;
            assert_eq!(record.deliveries, 1, "value {} came twice", value.id);
            if record.is_in_order {
                let mut last = self.last.borrow_mut();
                let last = last.entry((record.party, channel)).or_default();
                assert!(*last <= value.id, "{} came after {last}", value.id);
                *last = value.id;
            }
        });
    }

    fn check_end(&self, why: Why, channel: usize, way: Way) {
        match why {
            Why::TimedOut => assert!(matches!(way, Way::BlockFor | Way::Until(_)), "{way:?}"),
            Why::NotReady => assert_eq!(way, Way::Now),
            Why::Closed | Why::Dropped => assert!(self.world.has_ended(channel), "no end: {why:?}"),
            other => panic!("no end of a rendezvous: {other:?}"),
        }
    }
}

fn wishes(arms: &[Arm]) -> Vec<Wish> {
    arms.iter().map(|arm| Wish { kind: arm.kind, channel: arm.channel }).collect()
}
