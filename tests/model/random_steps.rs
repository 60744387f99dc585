//! Random programs on one or two rendezvous, run by the model under random schedules. Data and schedule shrink together.
//!
//! Each party, a thread or a task, does a list of operations, and each of these has a time limit of its own: so no program deadlocks by itself. Checked:
//!
//! * a send is Ok if and only if its value was received, once; else the value comes back, or goes with an operation that is dropped;
//! * what a receiver has from one sender comes in the order in which that sent it;
//! * an end is told only when there is one, and by its name;
//! * where time passes only while all parties wait: when a time limit is over, no party waits beside a partner;
//! * at the end no value lives, and the channel has counted what was received.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use handover::model::{self, Model, Timers, schedules, thread};
use handover::{Receiver, Sel2, SendError, Sender, Why, rendezvous, select};
use proptest::prelude::*;

/// One operation of a party, on the channel of that number.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send(usize),
    SendNow(usize),
    /// So many values, one after the other.
    SendAll(usize, u32),
    Recv(usize),
    RecvNow(usize),
    /// Reserves, and then sends, or drops the permit.
    Reserve(usize, bool),
    /// Is polled once, and dropped after the next operation, a receive.
    KeepRecv(usize),
    /// Is polled once and dropped.
    SendOnce(usize),
    RecvOnce(usize),
    /// Sends on the one or receives from the other.
    Choose(usize, usize),
    ChooseRecv(usize, usize),
    ChooseSend(usize, usize),
    /// This party has one more end, for a while.
    Clone(usize),
    /// All of this party's ends of a side say `finish`.
    Finish(usize, usize),
    Close(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let ch = 0..2_usize;
    let two = (ch.clone(), ch.clone());
    prop_oneof![
        8 => ch.clone().prop_map(Step::Send),
        2 => ch.clone().prop_map(Step::SendNow),
        2 => (ch.clone(), 1..3_u32).prop_map(|(ch, n)| Step::SendAll(ch, n)),
        8 => ch.clone().prop_map(Step::Recv),
        2 => ch.clone().prop_map(Step::RecvNow),
        3 => (ch.clone(), any::<bool>()).prop_map(|(ch, is_used)| Step::Reserve(ch, is_used)),
        2 => ch.clone().prop_map(Step::KeepRecv),
        3 => ch.clone().prop_map(Step::SendOnce),
        5 => ch.clone().prop_map(Step::RecvOnce),
        4 => two.clone().prop_map(|(a, b)| Step::Choose(a, b)),
        2 => two.clone().prop_map(|(a, b)| Step::ChooseRecv(a, b)),
        3 => two.clone().prop_map(|(a, b)| Step::ChooseSend(a, b)),
        1 => ch.clone().prop_map(Step::Clone),
        1 => two.prop_map(|(ch, side)| Step::Finish(ch, side)),
        1 => ch.prop_map(Step::Close),
    ]
}

#[derive(Clone, Debug)]
struct Script {
    is_task: bool,
    steps: Vec<Step>,
}

fn script() -> impl Strategy<Value = Script> {
    (any::<bool>(), prop::collection::vec(step(), 1..5))
        .prop_map(|(is_task, steps)| Script { is_task, steps })
}

const SENDING: usize = 0;
const RECEIVING: usize = 1;

#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    drops: u32,
    received: u32,
    /// Its send is done: it was received, or a thread that is about to return has it.
    is_sent: bool,
}

/// What the parties tell of themselves. No operation is done under its lock.
#[derive(Default)]
struct Board {
    /// One for each value.
    fates: Vec<Fate>,
    /// What each party waits for, as channels and sides.
    waits: Vec<Vec<(usize, usize)>>,
    /// How many receives of a channel are kept unpolled: each may delay an offer.
    kept: [usize; 2],
    /// How many ends of each side there are.
    ends: [[usize; 2]; 2],
    /// Whether one of the side was dropped without a word.
    is_dropped: [[bool; 2]; 2],
    is_closed: [bool; 2],
    /// The last number that each party has from each.
    last: Vec<Vec<Option<usize>>>,
    deadlines: u64,
}

type Shared = Arc<Mutex<Board>>;

/// A party whose assertion failed has poisoned it; what the others tell then does not matter.
fn lock(board: &Shared) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Value {
    id: usize,
    sender: usize,
    board: Shared,
}

impl Drop for Value {
    fn drop(&mut self) {
        lock(&self.board).fates[self.id].drops += 1;
    }
}

struct Party {
    number: usize,
    is_task: bool,
    /// Time passes only while all wait.
    is_idle_time: bool,
    board: Shared,
    senders: Vec<Option<Sender<Value>>>,
    receivers: Vec<Option<Receiver<Value>>>,
}

impl Party {
    fn make(&self) -> Value {
        let mut board = lock(&self.board);
        board.fates.push(Fate::default());
        Value { id: board.fates.len() - 1, sender: self.number, board: Arc::clone(&self.board) }
    }

    /// The value with that number was not taken.
    fn unsent(&self, id: usize) {
        assert_eq!(lock(&self.board).fates[id].received, 0, "given back, and received");
    }

    fn is_sent(&self, id: usize) {
        lock(&self.board).fates[id].is_sent = true;
    }

    fn received(&self, value: &Value) {
        let mut board = lock(&self.board);
        let fate = &mut board.fates[value.id];
        fate.received += 1;
        assert_eq!((fate.received, fate.drops), (1, 0), "received once");
        let last = &mut board.last[self.number][value.sender];
        assert!(*last < Some(value.id), "{} after {last:?}, of one sender", value.id);
        *last = Some(value.id);
    }

    /// The error of an operation on a channel: an end only if there is one.
    fn failed(&self, ch: usize, why: Why) {
        let board = lock(&self.board);
        if why.is_end() {
            // The last end of a side tells the worst that one of the side has said.
            let said = |is_dropped: bool| {
                (0..2).any(|side| {
                    board.ends[ch][side] == 0 && board.is_dropped[ch][side] == is_dropped
                })
            };
            let may_be = match why {
                Why::Closed => board.is_closed[ch] || said(false),
                Why::Dropped => said(true),
                _ => false,
            };
            assert!(may_be, "{why:?} on channel {ch}, which has {:?} ends", board.ends[ch]);
        }
    }

    fn sent(&self, id: usize, result: Result<(), SendError<Value>>, ch: usize) {
        match result {
            Ok(()) => self.is_sent(id),
            Err(error) => {
                self.failed(ch, error.why());
                assert!(error.unsent().is_some_and(|value| value.id == id), "it comes back");
                self.unsent(id);
            }
        }
    }

    fn begin(&self, waits: &[(usize, usize)]) -> Duration {
        let mut board = lock(&self.board);
        board.waits[self.number] = waits.to_vec();
        // No two deadlines are the same, so that one time limit at a time is over.
        board.deadlines += 1;
        Duration::from_secs(1) + Duration::from_micros(board.deadlines)
    }

    /// The operation is over. `is_late`: its time was up.
    fn end(&self, is_late: bool) {
        let mut board = lock(&self.board);
        if is_late && self.is_idle_time {
            let waits = || {
                let of = |(party, waits): (usize, &Vec<_>)| {
                    waits.iter().map(move |&(ch, side)| (party, ch, side)).collect::<Vec<_>>()
                };
                board.waits.iter().enumerate().flat_map(of)
            };
            for (party, ch, side) in waits() {
                let partner =
                    waits().find(|&(other, at, its)| other != party && at == ch && its != side);
                assert!(
                    partner.is_none() || board.kept[ch] > 0,
                    "parties {party} and {partner:?} wait for each other on channel {ch}"
                );
            }
        }
        board.waits[self.number].clear();
    }

    fn leave(&self, ch: usize, side: usize, says_so: bool) {
        let mut board = lock(&self.board);
        board.is_dropped[ch][side] |= !says_so;
        board.ends[ch][side] -= 1;
    }

    fn join(&self, ch: usize, side: usize) {
        lock(&self.board).ends[ch][side] += 1;
    }

    fn keep(&self, ch: usize, change: isize) {
        let mut board = lock(&self.board);
        board.kept[ch] = board.kept[ch].checked_add_signed(change).unwrap();
    }
}

/// Waits for an operation with a time limit, in the way of the party.
macro_rules! timed {
    ($party:expr, $waits:expr, $op:expr, |$out:ident| $is_late:expr) => {{
        let limit = $party.begin($waits);
        let op = $op;
        let $out = if $party.is_task {
            let timer = model::spawn_async("timer", async move { thread::sleep(limit) });
            op.until(timer).await
        } else {
            op.wait_timeout(limit)
        };
        $party.end($is_late);
        $out
    }};
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

async fn live(mut party: Party, steps: Vec<Step>) {
    for step in steps {
        run(&mut party, step).await;
    }
    // What is left goes without a word.
    for ch in 0..party.senders.len() {
        if let Some(tx) = party.senders[ch].take() {
            party.leave(ch, SENDING, false);
            drop(tx);
        }
        if let Some(rx) = party.receivers[ch].take() {
            party.leave(ch, RECEIVING, false);
            drop(rx);
        }
    }
}

async fn run(party: &mut Party, step: Step) {
    let count = party.senders.len();
    let tx = |ch: usize| party.senders[ch % count].as_ref();
    let rx = |ch: usize| party.receivers[ch % count].as_ref();
    match step {
        Step::Send(ch) => {
            let (ch, Some(tx)) = (ch % count, tx(ch)) else { return };
            let value = party.make();
            let id = value.id;
            let sent = timed!(party, &[(ch, SENDING)], tx.send(value), |out| is_late(&out));
            party.sent(id, sent, ch);
        }
        Step::SendNow(ch) => {
            let (ch, Some(tx)) = (ch % count, tx(ch)) else { return };
            let value = party.make();
            let (id, sent) = (value.id, tx.send(value).now());
            party.sent(id, sent, ch);
        }
        Step::SendAll(ch, n) => {
            let (ch, Some(tx)) = (ch % count, tx(ch)) else { return };
            let values: Vec<_> = (0..n).map(|_| party.make()).collect();
            let ids: Vec<_> = values.iter().map(|value| value.id).collect();
            let sent = timed!(party, &[(ch, SENDING)], tx.send_all(values), |out| out
                .as_ref()
                .is_err_and(|error| error.why() == Why::TimedOut));
            let rest: Vec<_> = match sent {
                Ok(()) => vec![],
                Err(error) => {
                    party.failed(ch, error.why());
                    error.into_rest().collect()
                }
            };
            for id in ids {
                if rest.iter().any(|value| value.id == id) {
                    party.unsent(id);
                } else {
                    party.is_sent(id);
                }
            }
        }
        Step::Recv(ch) => {
            let (ch, Some(rx)) = (ch % count, rx(ch)) else { return };
            recv(party, ch, rx).await;
        }
        Step::RecvNow(ch) => {
            let (ch, Some(rx)) = (ch % count, rx(ch)) else { return };
            match rx.recv().now() {
                Ok(value) => party.received(&value),
                Err(error) => party.failed(ch, error.why()),
            }
        }
        Step::Reserve(ch, is_used) => {
            let (ch, Some(tx)) = (ch % count, tx(ch)) else { return };
            let permit = timed!(party, &[(ch, SENDING)], tx.reserve(), |out| out
                .as_ref()
                .is_err_and(|error| error.is_timed_out()));
            match permit {
                Ok(permit) if is_used => {
                    let value = party.make();
                    let id = value.id;
                    let sent =
                        timed!(party, &[(ch, SENDING)], permit.send(value), |out| is_late(&out));
                    party.sent(id, sent, ch);
                }
                Ok(permit) => drop(permit),
                Err(error) => party.failed(ch, error.why()),
            }
        }
        Step::KeepRecv(ch) => {
            let (ch, Some(rx)) = (ch % count, rx(ch)) else { return };
            party.keep(ch, 1);
            let mut kept = rx.recv();
            match poll_once(&mut kept) {
                Poll::Ready(Ok(value)) => party.received(&value),
                Poll::Ready(Err(error)) => party.failed(ch, error.why()),
                Poll::Pending => {
                    recv(party, ch, rx).await;
                    drop(kept);
                }
            }
            party.keep(ch, -1);
        }
        Step::SendOnce(ch) => {
            let (ch, Some(tx)) = (ch % count, tx(ch)) else { return };
            let value = party.make();
            let id = value.id;
            let mut send = tx.send(value);
            match poll_once(&mut send) {
                Poll::Ready(sent) => party.sent(id, sent, ch),
                Poll::Pending => match send.reclaim() {
                    Some(_) => party.unsent(id),
                    None => party.is_sent(id),
                },
            }
        }
        Step::RecvOnce(ch) => {
            let (ch, Some(rx)) = (ch % count, rx(ch)) else { return };
            let mut recv = rx.recv();
            match poll_once(&mut recv) {
                Poll::Ready(Ok(value)) => party.received(&value),
                Poll::Ready(Err(error)) => party.failed(ch, error.why()),
                Poll::Pending => drop(recv),
            }
        }
        Step::Choose(to, from) => {
            let (to, from) = (to % count, from % count);
            let (Some(tx), Some(rx)) = (tx(to), rx(from)) else { return };
            let value = party.make();
            let id = value.id;
            let mut send = tx.send(value);
            let arms = [(to, SENDING), (from, RECEIVING)];
            match timed!(party, &arms, select((&mut send, rx.recv())), |out| out.is_none()) {
                Some(Sel2::A(sent)) => party.sent(id, sent, to),
                Some(Sel2::B(got)) => {
                    match got {
                        Ok(value) => party.received(&value),
                        Err(error) => party.failed(from, error.why()),
                    }
                    assert!(send.reclaim().is_some(), "one arm happens");
                }
                None => assert!(send.reclaim().is_some(), "no arm has happened"),
            }
        }
        Step::ChooseRecv(a, b) => {
            let (a, b) = (a % count, b % count);
            let (Some(one), Some(other)) = (rx(a), rx(b)) else { return };
            let arms = [(a, RECEIVING), (b, RECEIVING)];
            let (ch, got) =
                match timed!(party, &arms, select((one.recv(), other.recv())), |out| out.is_none())
                {
                    Some(Sel2::A(got)) => (a, got),
                    Some(Sel2::B(got)) => (b, got),
                    None => return,
                };
            match got {
                Ok(value) => party.received(&value),
                Err(error) => party.failed(ch, error.why()),
            }
        }
        Step::ChooseSend(a, b) => {
            let (a, b) = (a % count, b % count);
            let (Some(one), Some(other)) = (tx(a), tx(b)) else { return };
            let values = [party.make(), party.make()];
            let ids = [values[0].id, values[1].id];
            let [first, second] = values;
            let (mut first, mut second) = (one.send(first), other.send(second));
            let arms = [(a, SENDING), (b, SENDING)];
            match timed!(party, &arms, select((&mut first, &mut second)), |out| out.is_none()) {
                Some(Sel2::A(sent)) => {
                    party.sent(ids[0], sent, a);
                    assert!(second.reclaim().is_some(), "one arm happens");
                    party.unsent(ids[1]);
                }
                Some(Sel2::B(sent)) => {
                    party.sent(ids[1], sent, b);
                    assert!(first.reclaim().is_some(), "one arm happens");
                    party.unsent(ids[0]);
                }
                None => {
                    assert!(first.reclaim().is_some() && second.reclaim().is_some(), "no arm");
                    ids.iter().for_each(|&id| party.unsent(id));
                }
            }
        }
        Step::Clone(ch) => {
            let ch = ch % count;
            if let Some(rx) = rx(ch).cloned() {
                party.join(ch, RECEIVING);
                recv(party, ch, &rx).await;
                party.leave(ch, RECEIVING, true);
                rx.finish();
            }
        }
        Step::Finish(ch, side) => {
            let ch = ch % count;
            if side == SENDING {
                if let Some(tx) = party.senders[ch].take() {
                    party.leave(ch, SENDING, true);
                    tx.finish();
                }
            } else if let Some(rx) = party.receivers[ch].take() {
                party.leave(ch, RECEIVING, true);
                rx.finish();
            }
        }
        Step::Close(ch) => {
            let ch = ch % count;
            if let Some(tx) = tx(ch) {
                lock(&party.board).is_closed[ch] = true;
                tx.close();
            }
        }
    }
}

async fn recv(party: &Party, ch: usize, rx: &Receiver<Value>) {
    let got = timed!(party, &[(ch, RECEIVING)], rx.recv(), |out| out
        .as_ref()
        .is_err_and(|error| error.is_timed_out()));
    match got {
        Ok(value) => party.received(&value),
        Err(error) => party.failed(ch, error.why()),
    }
}

fn is_late(out: &Result<(), SendError<Value>>) -> bool {
    out.as_ref().is_err_and(SendError::is_timed_out)
}

/// One run. All that it uses is made anew.
fn meet(scripts: &[Script], channels: usize, is_idle_time: bool, has_witness: bool) {
    let parties = scripts.len();
    let board = Shared::default();
    {
        let mut board = lock(&board);
        board.waits = vec![Vec::new(); parties];
        board.last = vec![vec![None; parties]; parties];
        board.ends = [[parties + usize::from(has_witness), parties]; 2];
    }
    let pairs: Vec<_> = (0..channels).map(|_| rendezvous::<Value>()).collect();
    // Somebody must be there to ask for the counts.
    let kept: Vec<_> = pairs.iter().filter(|_| has_witness).map(|(tx, _)| tx.clone()).collect();
    let threads: Vec<_> = (scripts.iter().enumerate())
        .map(|(number, script)| {
            let party = Party {
                number,
                is_task: script.is_task,
                is_idle_time,
                board: Arc::clone(&board),
                senders: pairs.iter().map(|(tx, _)| Some(tx.clone())).collect(),
                receivers: pairs.iter().map(|(_, rx)| Some(rx.clone())).collect(),
            };
            let steps = script.steps.clone();
            if script.is_task {
                return model::spawn_async("task", live(party, steps));
            }
            thread::spawn(move || {
                // It blocks inside, and so is done at once.
                let polled = pin!(live(party, steps)).poll(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_ready());
            })
        })
        .collect();
    for (tx, rx) in pairs {
        tx.finish();
        rx.finish();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let all = kept.iter().map(Sender::stats);
    let counts = all.map(|stats| {
        assert_eq!((stats.waiting_senders, stats.waiting_receivers), (0, 0));
        stats.handed_over
    });
    let counted: u64 = counts.sum();
    let board = lock(&board);
    if has_witness {
        let received: u32 = board.fates.iter().map(|fate| fate.received).sum();
        assert_eq!(counted, u64::from(received), "counted, and received");
    }
    for (id, fate) in board.fates.iter().enumerate() {
        assert_eq!(fate.drops, 1, "value {id} lives, or was dropped twice");
        assert!(!fate.is_sent || fate.received == 1, "value {id} was sent, and never received");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn random_steps_agree_with_the_reference(
        scripts in prop::collection::vec(script(), 2..=4),
        channels in 1..=2_usize,
        is_idle_time in any::<bool>(),
        has_witness in any::<bool>(),
        s in schedules(10),
    ) {
        let timers = if is_idle_time { Timers::WhenIdle } else { Timers::AnyTime };
        let model = Model::new().timers(timers);
        model.check(&s, || meet(&scripts, channels, is_idle_time, has_witness))?;
    }
}

/// Found by the random steps: time passed although a task had been woken, if that was before it began to wait.
#[test]
fn no_time_passes_beside_a_task_that_was_woken_before_it_waited() {
    let body = || {
        let (to_task, in_task) = rendezvous::<()>();
        let (to_thread, in_thread) = rendezvous::<()>();
        let late = thread::spawn(move || in_thread.recv().wait_timeout(Duration::from_secs(1)));
        let task = model::spawn_async("task", async move {
            let timer = model::spawn_async("timer", async {
                thread::sleep(Duration::from_secs(10));
            });
            assert!(in_task.recv().until(timer).await.is_ok());
            assert!(
                to_thread.send(()).await.is_ok(),
                "it waits for a second, and nothing takes time"
            );
        });
        assert!(to_task.send(()).wait().is_ok());
        task.join().unwrap();
        assert!(late.join().unwrap().is_ok());
    };
    Model::new().timers(Timers::WhenIdle).exhaust(2, body).unwrap();
}
