//! User code that panics in the middle of an operation: wakers, values, iterators, and the payloads of panics.
//!
//! Each scenario is a conversation with operations that are polled by hand. It is run once to count the calls of user code in
//! it, and then once for each of these calls, which panics then. Whatever is interrupted:
//!
//! * each value is afterwards where its owner can say: it was received, or given back, or it went with an operation that its
//!   owner dropped; one of these, once;
//! * a send that says Ok was received, and one that gives its value back was not;
//! * all parties come to their end, each polled again only when it was woken or when its own poll panicked.

use std::cell::RefCell;
use std::future::Future;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_core::Stream;
use handover::{
    RecvError, Sel2, Sel3, SendError, duplex, generate, never, produce, rendezvous, select,
    simplex, stream,
};

use crate::support::thread;
use crate::support::watch::watched;
use crate::support::{Hook, Moment, poll_once, poll_with};

/// The calls of user code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    WakerClone,
    Wake,
    WakerDrop,
    ValueDrop,
    Next,
    SizeHint,
    ItemsDrop,
}

const CALLS: [Call; 7] = [
    Call::WakerClone,
    Call::Wake,
    Call::WakerDrop,
    Call::ValueDrop,
    Call::Next,
    Call::SizeHint,
    Call::ItemsDrop,
];

/// What a panic carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payload {
    Plain,
    /// Panics when it is dropped.
    Bomb,
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic::resume_unwind(Box::new("a payload that was dropped"));
        }
    }
}

/// How a scenario is run.
#[derive(Clone, Copy, Debug)]
struct Mode {
    armed: Option<(Call, usize, Payload)>,
    /// Which party is polled first.
    backward: bool,
    /// Each poll has another waker than the last one.
    changes: bool,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    drops: usize,
    received: usize,
    given_back: usize,
    /// Its owner dropped the operation.
    let_go: usize,
    /// It was in an operation that its owner had passed on, and that panicked.
    went_down: usize,
    /// It was dropped, and nobody asked for that.
    lost: usize,
    is_sent: bool,
}

struct State {
    mode: Mode,
    counts: [usize; 7],
    has_sprung: bool,
    lets_go: bool,
    passes_on: bool,
    fates: Vec<Fate>,
    kept: Vec<Value>,
    wrong: Vec<String>,
}

/// Where a scenario takes place.
#[derive(Clone)]
struct Ground(Arc<Mutex<State>>);

/// A value whose fate is told.
struct Value {
    id: usize,
    is_owned: bool,
    ground: Ground,
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.id)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        {
            let mut state = self.ground.0.lock().unwrap();
            let (lets_go, passes_on) = (state.lets_go, state.passes_on);
            let fate = &mut state.fates[self.id];
            fate.drops += 1;
            if self.is_owned {
            } else if lets_go {
                fate.let_go += 1;
            } else if passes_on && thread::panicking() {
                fate.went_down += 1;
            } else {
                fate.lost += 1;
            }
        }
        self.ground.call(Call::ValueDrop);
    }
}

impl Ground {
    fn new(mode: Mode) -> Self {
        let state = State {
            mode,
            counts: [0; 7],
            has_sprung: false,
            lets_go: false,
            passes_on: false,
            fates: Vec::new(),
            kept: Vec::new(),
            wrong: Vec::new(),
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// User code is called.
    fn call(&self, call: Call) {
        // A second panic at once would end the process.
        if thread::panicking() {
            return;
        }
        let payload = {
            let mut state = self.0.lock().unwrap();
            state.counts[call as usize] += 1;
            let count = state.counts[call as usize];
            match state.mode.armed {
                Some((armed, at, payload)) if armed == call && at == count => {
                    state.has_sprung = true;
                    payload
                }
                _ => return,
            }
        };
        match payload {
            Payload::Plain => panic::resume_unwind(Box::new("on purpose")),
            Payload::Bomb => panic::resume_unwind(Box::new(Bomb)),
        }
    }

    fn value(&self) -> Value {
        let mut state = self.0.lock().unwrap();
        state.fates.push(Fate::default());
        Value { id: state.fates.len() - 1, is_owned: false, ground: self.clone() }
    }

    /// So many values, by an iterator that is user code.
    fn items(&self, n: usize) -> Items {
        Items { left: n, ground: self.clone() }
    }

    /// A waker that is user code.
    fn hook(&self) -> Arc<Hook> {
        let hook = Hook::new();
        self.arm(&hook, Moment::Clone, Call::WakerClone);
        self.arm(&hook, Moment::Wake, Call::Wake);
        self.arm(&hook, Moment::Drop, Call::WakerDrop);
        hook
    }

    /// Each such moment of the waker is a call of user code.
    fn arm(&self, hook: &Arc<Hook>, moment: Moment, call: Call) {
        let (weak, ground) = (Arc::downgrade(hook), self.clone());
        hook.set(moment, move || {
            if let Some(hook) = weak.upgrade() {
                ground.arm(&hook, moment, call);
            }
            ground.call(call);
        });
    }

    /// The test drops a waker of its own: this is no call.
    fn drop_own(&self, hook: &Arc<Hook>, waker: Waker) {
        hook.set(Moment::Drop, || {});
        drop(waker);
        self.arm(hook, Moment::Drop, Call::WakerDrop);
    }

    /// The caller goes on after a panic.
    fn act<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        match panic::catch_unwind(AssertUnwindSafe(f)) {
            Ok(result) => Some(result),
            Err(payload) => {
                mem::forget(payload);
                None
            }
        }
    }

    /// Drops what the owner no longer wants.
    fn let_go<R>(&self, what: R) {
        self.0.lock().unwrap().lets_go = true;
        self.act(|| drop(what));
        self.0.lock().unwrap().lets_go = false;
    }

    /// An operation is passed on to a method that waits, or may wake others: a panic that comes out of it may take the value along.
    fn pass_on<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        self.0.lock().unwrap().passes_on = true;
        let result = self.act(f);
        self.0.lock().unwrap().passes_on = false;
        result
    }

    fn own(&self, mut value: Value, note: impl FnOnce(&mut Fate)) {
        value.is_owned = true;
        let mut state = self.0.lock().unwrap();
        note(&mut state.fates[value.id]);
        state.kept.push(value);
    }

    fn got(&self, value: Value) {
        self.own(value, |fate| fate.received += 1);
    }

    fn got_all(&self, values: impl IntoIterator<Item = Value>) {
        values.into_iter().for_each(|value| self.got(value));
    }

    fn received(&self, got: Result<Value, RecvError>) {
        if let Ok(value) = got {
            self.got(value);
        }
    }

    fn back(&self, value: Value) {
        self.own(value, |fate| fate.given_back += 1);
    }

    fn sent<R>(&self, id: usize, sent: Result<R, SendError<Value>>) {
        match sent {
            Ok(_) => self.0.lock().unwrap().fates[id].is_sent = true,
            Err(error) => error.into_unsent().into_iter().for_each(|value| self.back(value)),
        }
    }

    fn wrong(&self, what: impl Into<String>) {
        self.0.lock().unwrap().wrong.push(what.into());
    }

    /// Polls each until it is done; again only when it was woken, or when its poll panicked.
    fn meet(&self, parties: Vec<Party<'_>>) {
        self.meet_with(parties, Duration::ZERO);
    }

    /// As `meet`, with other threads that may take so long.
    fn meet_with(&self, mut parties: Vec<Party<'_>>, patience: Duration) {
        let mode = self.0.lock().unwrap().mode;
        if mode.backward {
            parties.reverse();
        }
        let hooks: Vec<_> = parties.iter().map(|_| [self.hook(), self.hook()]).collect();
        let wakers: Vec<_> =
            hooks.iter().map(|two| [0, 1].map(|at: usize| two[at].waker())).collect();
        let (mut polls, mut is_due) = (vec![0; parties.len()], vec![true; parties.len()]);
        let mut is_done = vec![false; parties.len()];
        let mut has_panicked = vec![false; parties.len()];
        let mut since = Instant::now();
        while is_done.iter().any(|done| !done) {
            let mut has_moved = false;
            for at in 0..parties.len() {
                let newest = if mode.changes { polls[at] % 2 } else { 0 };
                is_due[at] |= hooks[at][newest].bell.rings() > 0;
                if is_done[at] || !mem::take(&mut is_due[at]) {
                    continue;
                }
                has_moved = true;
                polls[at] += 1;
                if polls[at] > 200 {
                    self.wrong(format!("{} is polled for ever", parties[at].0));
                    is_done.fill(true);
                    break;
                }
                let waker = &wakers[at][if mode.changes { polls[at] % 2 } else { 0 }];
                match self.act(|| parties[at].1(waker)) {
                    Some(Poll::Ready(())) => is_done[at] = true,
                    Some(Poll::Pending) => {}
                    // Its owner polls it again. There is one panic in a run, so that it does not panic a second time.
                    None if mem::replace(&mut has_panicked[at], true) => {
                        self.wrong(format!("{} panics again", parties[at].0));
                        is_done[at] = true;
                    }
                    None => is_due[at] = true,
                }
            }
            if has_moved {
                since = Instant::now();
            } else if since.elapsed() >= patience {
                for (at, (name, _)) in parties.iter().enumerate() {
                    if !is_done[at] {
                        self.wrong(format!("{name} sleeps for ever"));
                    }
                }
                break;
            } else {
                thread::yield_now();
            }
        }
        for (hooks, wakers) in hooks.iter().zip(wakers) {
            for (hook, waker) in hooks.iter().zip(wakers) {
                self.drop_own(hook, waker);
            }
        }
    }

    /// What is wrong in the end.
    fn settle(&self) -> (Vec<String>, [usize; 7], bool) {
        let (kept, counts) = {
            let mut state = self.0.lock().unwrap();
            state.mode.armed = None;
            (mem::take(&mut state.kept), state.counts)
        };
        drop(kept);
        let mut state = self.0.lock().unwrap();
        let mut wrong = mem::take(&mut state.wrong);
        for (id, fate) in state.fates.iter().enumerate() {
            let ways = fate.received + fate.given_back + fate.let_go + fate.went_down;
            if fate.drops != 1 || fate.lost > 0 || ways != 1 || fate.is_sent && fate.received == 0 {
                wrong.push(format!("value {id}: {fate:?}"));
            }
        }
        (wrong, counts, state.has_sprung)
    }
}

/// A party: its name, and how it is polled.
type Party<'a> = (&'static str, Box<dyn FnMut(&Waker) -> Poll<()> + 'a>);

/// A party that polls one operation until it is done.
fn party<'a, F: Future + Unpin>(
    name: &'static str,
    op: &'a mut F,
    mut done: impl FnMut(F::Output) + 'a,
) -> Party<'a> {
    (name, Box::new(move |waker| poll_with(op, waker).map(&mut done)))
}

struct Items {
    left: usize,
    ground: Ground,
}

impl Iterator for Items {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        self.ground.call(Call::Next);
        self.left = self.left.checked_sub(1)?;
        Some(self.ground.value())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ground.call(Call::SizeHint);
        (self.left, Some(self.left))
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        self.ground.call(Call::ItemsDrop);
    }
}

/// Polls once with a waker that is user code.
fn poke<F: Future + Unpin>(g: &Ground, op: &mut F) -> Option<Poll<F::Output>> {
    let hook = g.hook();
    let waker = hook.waker();
    let polled = g.act(|| poll_with(op, &waker));
    g.drop_own(&hook, waker);
    // As its executor would.
    match polled {
        None => g.act(|| poll_once(op)),
        polled => polled,
    }
}

macro_rules! scenarios {
    ($($name:ident ($g:ident) $body:block)+) => {
        const SCENARIOS: &[(&str, fn(&Ground))] = &[$((stringify!($name), |$g| $body)),+];
    };
}

scenarios! {
    // ---- rendezvous

    a_send_and_a_receive_meet(g) {
        let (tx, rx) = rendezvous();
        let (mut send, mut recv) = (tx.send(g.value()), rx.recv());
        g.meet(vec![
            party("send", &mut send, |sent| g.sent(0, sent)),
            party("recv", &mut recv, |got| g.received(got)),
        ]);
    }
    two_sends_and_two_receives_meet(g) {
        let (tx, rx) = rendezvous();
        let (mut send, mut other) = (tx.send(g.value()), tx.send(g.value()));
        let (mut recv, mut second) = (rx.recv(), rx.recv());
        g.meet(vec![
            party("send", &mut send, |sent| g.sent(0, sent)),
            party("other send", &mut other, |sent| g.sent(1, sent)),
            party("recv", &mut recv, |got| g.received(got)),
            party("second recv", &mut second, |got| g.received(got)),
        ]);
    }
    a_called_receive_leaves_and_another_takes(g) {
        let (tx, rx) = rendezvous();
        let mut first = rx.recv();
        poke(g, &mut first);
        let (mut second, mut send) = (rx.recv(), tx.send(g.value()));
        let first = RefCell::new(Some(first));
        g.meet(vec![
            party("second recv", &mut second, |got| g.received(got)),
            ("send", Box::new(|waker| {
                let polled = poll_with(&mut send, waker).map(|sent| g.sent(0, sent));
                let gone = first.borrow_mut().take();
                g.let_go(gone);
                polled
            })),
        ]);
    }
    a_send_is_reclaimed(g) {
        let (tx, _rx) = rendezvous();
        let mut send = tx.send(g.value());
        poke(g, &mut send);
        if let Some(Some(value)) = g.act(|| send.reclaim()) {
            g.back(value);
        }
    }
    a_send_is_reclaimed_from_a_called_receive(g) {
        let (tx, rx) = rendezvous();
        let mut recv = rx.recv();
        poke(g, &mut recv);
        let mut send = tx.send(g.value());
        poke(g, &mut send);
        if let Some(Some(value)) = g.act(|| send.reclaim()) {
            g.back(value);
        }
        let mut send = tx.send(g.value());
        g.meet(vec![
            party("send", &mut send, |sent| g.sent(1, sent)),
            party("recv", &mut recv, |got| g.received(got)),
        ]);
    }
    a_send_ends_by_now(g) {
        let (tx, _rx) = rendezvous();
        let mut send = tx.send(g.value());
        poke(g, &mut send);
        if let Some(sent) = g.act(|| send.now()) {
            g.sent(0, sent);
        }
    }
    a_send_ends_by_its_time(g) {
        let (tx, _rx) = rendezvous();
        let mut send = tx.send(g.value());
        poke(g, &mut send);
        if let Some(sent) = g.pass_on(|| send.wait_timeout(Duration::from_micros(1))) {
            g.sent(0, sent);
        }
    }
    a_send_ends_by_the_end(g) {
        let (tx, rx) = rendezvous();
        let mut send = tx.send(g.value());
        poke(g, &mut send);
        g.act(|| rx.close());
        g.meet(vec![party("send", &mut send, |sent| g.sent(0, sent))]);
    }
    a_send_that_is_waited_for_ends_by_the_end(g) {
        let (tx, rx) = rendezvous();
        let mut send = tx.send(g.value());
        poke(g, &mut send);
        g.act(|| rx.close());
        if let Some(sent) = g.pass_on(|| send.wait()) {
            g.sent(0, sent);
        }
    }
    a_send_is_dropped_and_another_is_received(g) {
        let (tx, rx) = rendezvous();
        let mut recv = rx.recv();
        poke(g, &mut recv);
        let mut send = tx.send(g.value());
        poke(g, &mut send);
        g.let_go(send);
        let mut send = tx.send(g.value());
        g.meet(vec![
            party("send", &mut send, |sent| g.sent(1, sent)),
            party("recv", &mut recv, |got| g.received(got)),
        ]);
    }
    a_receive_ends_by_now_and_by_its_time(g) {
        let (tx, rx) = rendezvous();
        let mut recv = rx.recv();
        poke(g, &mut recv);
        let mut send = tx.send(g.value());
        poke(g, &mut send);
        if let Some(got) = g.pass_on(|| recv.now()) {
            g.received(got);
        }
        let mut again = rx.recv();
        poke(g, &mut again);
        if let Some(got) = g.pass_on(|| again.wait_timeout(Duration::from_micros(1))) {
            g.received(got);
        }
        let mut last = rx.recv();
        if g.0.lock().unwrap().kept.is_empty() {
            g.meet(vec![
                party("send", &mut send, |sent| g.sent(0, sent)),
                party("last recv", &mut last, |got| g.received(got)),
            ]);
        } else {
            g.meet(vec![party("send", &mut send, |sent| g.sent(0, sent))]);
        }
    }
    a_send_at_once_beside_a_task(g) {
        let (tx, rx) = rendezvous();
        let mut recv = rx.recv();
        poke(g, &mut recv);
        if let Some(sent) = g.pass_on(|| tx.send(g.value()).now()) {
            g.sent(0, sent);
        }
        let mut send = tx.send(g.value());
        g.meet(vec![
            party("send", &mut send, |sent| g.sent(1, sent)),
            party("recv", &mut recv, |got| g.received(got)),
        ]);
    }
    a_permit_is_used(g) {
        let (tx, rx) = rendezvous();
        let (mut reserve, mut recv) = (tx.reserve(), rx.recv());
        let mut send = None;
        g.meet(vec![
            ("reserve", Box::new(|waker| {
                if send.is_none() {
                    match poll_with(&mut reserve, waker) {
                        Poll::Ready(permit) => send = Some(permit.unwrap().send(g.value())),
                        Poll::Pending => return Poll::Pending,
                    }
                }
                poll_with(send.as_mut().unwrap(), waker).map(|sent| g.sent(0, sent))
            })),
            party("recv", &mut recv, |got| g.received(got)),
        ]);
    }
    a_permit_is_dropped_for_the_next_one(g) {
        let (tx, rx) = rendezvous();
        let mut recv = rx.recv();
        poke(g, &mut recv);
        let mut reserve = tx.reserve();
        let permit = poke(g, &mut reserve);
        let mut send = tx.send(g.value());
        poke(g, &mut send);
        g.let_go(permit);
        g.meet(vec![
            party("send", &mut send, |sent| g.sent(0, sent)),
            party("recv", &mut recv, |got| g.received(got)),
        ]);
    }
    a_grant_is_dropped_unseen(g) {
        let (tx, rx) = rendezvous();
        let mut reserve = tx.reserve();
        poke(g, &mut reserve);
        let mut recv = rx.recv();
        poke(g, &mut recv);
        let mut send = tx.send(g.value());
        poke(g, &mut send);
        g.let_go(reserve);
        g.meet(vec![
            party("send", &mut send, |sent| g.sent(0, sent)),
            party("recv", &mut recv, |got| g.received(got)),
        ]);
    }
    a_permit_whose_receiver_goes(g) {
        let (tx, rx) = rendezvous();
        let mut gone = rx.recv();
        poke(g, &mut gone);
        let permit = tx.reserve().now().ok();
        g.let_go(gone);
        let (Some(permit), mut recv) = (permit, rx.recv()) else { return };
        let mut send = permit.send(g.value());
        g.meet(vec![
            party("send", &mut send, |sent| g.sent(0, sent)),
            party("recv", &mut recv, |got| g.received(got)),
        ]);
    }
    many_are_sent_to_a_stream(g) {
        let (tx, rx) = rendezvous();
        let mut send = tx.send_all(g.items(3));
        let mut values = rx.stream();
        g.meet(vec![
            party("send_all", &mut send, |sent| {
                if let Err(error) = sent {
                    error.into_rest().for_each(|value| g.back(value));
                }
                g.act(|| tx.close());
            }),
            ("stream", Box::new(|waker| loop {
                match Pin::new(&mut values).poll_next(&mut Context::from_waker(waker)) {
                    Poll::Ready(Some(value)) => g.got(value),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            })),
        ]);
    }
    many_are_given_back_by_an_error(g) {
        let (tx, rx) = rendezvous();
        let mut send = tx.send_all(g.items(3));
        poke(g, &mut send);
        g.act(|| rx.close());
        let mut rest = None;
        g.meet(vec![party("send_all", &mut send, |sent| rest = sent.err())]);
        g.act(|| {
            for value in rest.into_iter().flat_map(|error| error.into_rest()) {
                g.back(value);
            }
        });
    }
    many_are_dropped(g) {
        let (tx, rx) = rendezvous();
        let mut send = tx.send_all(g.items(3));
        poke(g, &mut send);
        if let Some(Ok(value)) = g.pass_on(|| rx.recv().now()) {
            g.got(value);
        }
        poke(g, &mut send);
        g.let_go(send);
    }
    the_end_wakes_all(g) {
        let (tx, rx) = rendezvous();
        let (mut send, mut other) = (tx.send(g.value()), tx.send(g.value()));
        let (mut closed, mut left, mut reserve) = (tx.closed(), rx.closed(), tx.reserve());
        let closes = RefCell::new(true);
        g.meet(vec![
            party("send", &mut send, |sent| g.sent(0, sent)),
            party("other send", &mut other, |sent| g.sent(1, sent)),
            party("closed", &mut closed, drop),
            party("the receivers' closed", &mut left, drop),
            party("reserve", &mut reserve, drop),
            ("close", Box::new(|_| {
                if closes.replace(false) {
                    rx.close();
                }
                Poll::Ready(())
            })),
        ]);
    }
    a_thread_receives_beside_a_kept_task(g) {
        let (tx, rx) = rendezvous();
        let mut kept = rx.recv();
        poke(g, &mut kept);
        thread::scope(|scope| {
            let thread = scope.spawn(|| rx.recv().wait());
            while tx.stats().waiting_receivers < 2 {
                thread::yield_now();
            }
            let mut send = tx.send(g.value());
            g.meet_with(
                vec![party("send", &mut send, |sent| g.sent(0, sent))],
                Duration::from_secs(10),
            );
            g.act(|| tx.close());
            g.received(thread.join().unwrap());
        });
        g.let_go(kept);
    }

    // ---- select

    a_select_of_a_send_is_received(g) {
        let ((tx, rx), quiet) = (rendezvous(), never::<u8>());
        let (mut choice, mut recv) = (select((tx.send(g.value()), quiet.recv())), rx.recv());
        g.meet(vec![
            party("select", &mut choice, |chosen| match chosen {
                Sel2::A(sent) => g.sent(0, sent),
                Sel2::B(_) => g.wrong("the quiet arm"),
            }),
            party("recv", &mut recv, |got| g.received(got)),
        ]);
    }
    a_select_of_a_receive_meets_a_select_of_a_send(g) {
        let ((tx, rx), quiet) = (rendezvous(), never::<u8>());
        let mut choice = select((tx.send(g.value()), quiet.recv()));
        let mut other = select((quiet.recv(), rx.recv()));
        g.meet(vec![
            party("select of a send", &mut choice, |chosen| match chosen {
                Sel2::A(sent) => g.sent(0, sent),
                Sel2::B(_) => g.wrong("the quiet arm"),
            }),
            party("select of a receive", &mut other, |chosen| match chosen {
                Sel2::B(got) => g.received(got),
                Sel2::A(_) => g.wrong("the quiet arm"),
            }),
        ]);
    }
    a_borrowed_send_loses_and_is_reclaimed(g) {
        let ((tx, _rx), other) = (rendezvous(), rendezvous());
        let mut send = tx.send(g.value());
        let mut choice = select((&mut send, other.1.recv()));
        poke(g, &mut choice);
        let mut wins = other.0.send(g.value());
        g.meet(vec![
            party("select", &mut choice, |chosen| match chosen {
                Sel2::A(_) => g.wrong("the arm that nobody took"),
                Sel2::B(got) => g.received(got),
            }),
            party("the send that wins", &mut wins, |sent| g.sent(1, sent)),
        ]);
        g.let_go(choice);
        match g.act(|| send.reclaim()) {
            Some(Some(value)) => g.back(value),
            _ => g.wrong("nothing to reclaim"),
        }
    }
    a_borrowed_send_loses_and_is_sent_again(g) {
        let ((tx, rx), other) = (rendezvous(), rendezvous());
        let mut send = tx.send(g.value());
        let mut choice = select((&mut send, other.1.recv()));
        poke(g, &mut choice);
        let mut wins = other.0.send(g.value());
        g.meet(vec![
            party("select", &mut choice, |chosen| match chosen {
                Sel2::A(_) => g.wrong("the arm that nobody took"),
                Sel2::B(got) => g.received(got),
            }),
            party("the send that wins", &mut wins, |sent| g.sent(1, sent)),
        ]);
        g.let_go(choice);
        let mut recv = rx.recv();
        g.meet(vec![
            party("send", &mut send, |sent| g.sent(0, sent)),
            party("recv", &mut recv, |got| g.received(got)),
        ]);
    }
    borrowed_sends_of_a_dropped_select_are_reclaimed(g) {
        let all = [rendezvous(), rendezvous(), rendezvous()];
        let mut sends = all.each_ref().map(|(tx, _)| tx.send(g.value()));
        let [a, b, c] = &mut sends;
        let mut choice = select((a, b, c));
        poke(g, &mut choice);
        g.act(|| drop(choice));
        for send in sends {
            match g.act(|| send.reclaim()) {
                Some(Some(value)) => g.back(value),
                _ => g.wrong("nothing to reclaim"),
            }
        }
    }
    borrowed_sends_of_a_select_that_is_out_of_time_are_reclaimed(g) {
        let all = [rendezvous(), rendezvous(), rendezvous()];
        let mut sends = all.each_ref().map(|(tx, _)| tx.send(g.value()));
        let [a, b, c] = &mut sends;
        let mut choice = select((a, b, c));
        poke(g, &mut choice);
        g.pass_on(|| choice.wait_timeout(Duration::from_micros(1)).is_none());
        for send in sends {
            match g.act(|| send.reclaim()) {
                Some(Some(value)) => g.back(value),
                _ => g.wrong("nothing to reclaim"),
            }
        }
    }
    sends_that_waited_alone_go_on_in_a_select(g) {
        let ((tx, rx), other) = (rendezvous(), rendezvous());
        let (mut a, mut b) = (tx.send(g.value()), other.0.send(g.value()));
        poke(g, &mut a);
        poke(g, &mut b);
        let (mut choice, mut recv) = (select((&mut a, &mut b)), rx.recv());
        g.meet(vec![
            party("select", &mut choice, |chosen| match chosen {
                Sel2::A(sent) => g.sent(0, sent),
                Sel2::B(_) => g.wrong("the arm that nobody took"),
            }),
            party("recv", &mut recv, |got| g.received(got)),
        ]);
        g.let_go(choice);
        if let Some(Some(value)) = g.act(|| b.reclaim()) {
            g.back(value);
        }
    }
    a_permit_arm_loses(g) {
        let ((tx, rx), other) = (rendezvous(), rendezvous());
        let mut choice = select((tx.reserve(), other.1.recv()));
        poke(g, &mut choice);
        let mut recv = rx.recv();
        let mut wins = other.0.send(g.value());
        let mut send = tx.send(g.value());
        g.meet(vec![
            party("the other send", &mut wins, |sent| g.sent(0, sent)),
            party("select", &mut choice, |chosen| match chosen {
                Sel2::A(_) => g.wrong("a permit, and no receiver"),
                Sel2::B(got) => g.received(got),
            }),
        ]);
        g.let_go(choice);
        g.meet(vec![
            party("send", &mut send, |sent| g.sent(1, sent)),
            party("recv", &mut recv, |got| g.received(got)),
        ]);
    }

    // ---- in lockstep

    a_server_sends_to_a_client(g) {
        let (mut server, client) = simplex();
        let mut send = server.send(g.value());
        let mut values = client.into_stream();
        g.meet(vec![
            // It is done when it has asked for a second one, and that ends the send.
            ("stream", Box::new(|waker| loop {
                match Pin::new(&mut values).poll_next(&mut Context::from_waker(waker)) {
                    Poll::Ready(Some(value)) => g.got(value),
                    Poll::Pending if g.0.lock().unwrap().kept.is_empty() => return Poll::Pending,
                    _ => return Poll::Ready(()),
                }
            })),
            party("send", &mut send, |sent| g.sent(0, sent)),
        ]);
    }
    many_are_sent_in_lockstep(g) {
        let (mut server, client) = simplex();
        let mut values = client.into_stream();
        let mut send = server.send_all(g.items(3));
        g.meet(vec![
            party("send_all", &mut send, |sent| {
                if let Err(error) = sent {
                    error.into_rest().for_each(|value| g.back(value));
                }
            }),
            ("stream", Box::new(|waker| loop {
                match Pin::new(&mut values).poll_next(&mut Context::from_waker(waker)) {
                    Poll::Ready(Some(value)) => g.got(value),
                    Poll::Ready(None) => return Poll::Ready(()),
                    // It has asked once more, which ends the operation of the server.
                    Poll::Pending if g.0.lock().unwrap().kept.len() == 3 => {
                        return Poll::Ready(());
                    }
                    Poll::Pending => return Poll::Pending,
                }
            })),
        ]);
    }
    an_exchange_goes_both_ways(g) {
        let (mut server, mut client) = duplex::<Value, Value>();
        let mut demand = server.demand();
        let mut ask = client.exchange(g.value());
        poke(g, &mut ask);
        g.meet(vec![party("demand", &mut demand, |got| g.received(got))]);
        g.let_go(demand);
        let mut answer = server.exchange(g.value());
        poke(g, &mut answer);
        g.meet(vec![party("exchange", &mut ask, |got| match got {
            Ok(value) => g.got(value),
            Err(error) => error.into_unsent().into_iter().for_each(|value| g.back(value)),
        })]);
        g.let_go(answer);
    }
    an_exchange_is_given_up_on_both_sides(g) {
        let (mut server, mut client) = duplex::<Value, Value>();
        let mut ask = client.exchange(g.value());
        poke(g, &mut ask);
        if let Some(Some(value)) = g.act(|| ask.reclaim()) {
            g.back(value);
        }
        let mut ask = client.exchange(g.value());
        poke(g, &mut ask);
        if let Some(error) = g.pass_on(|| ask.wait_timeout(Duration::from_micros(1)).err()) {
            error.and_then(|error| error.into_unsent()).into_iter().for_each(|value| g.back(value));
        }
        let mut answer = server.exchange(g.value());
        poke(g, &mut answer);
        if let Some(Some(value)) = g.act(|| answer.reclaim()) {
            g.back(value);
        }
        let mut answer = server.exchange(g.value());
        poke(g, &mut answer);
        if let Some(sent) = g.act(|| answer.now()) {
            g.sent(3, sent);
        }
    }
    an_item_is_left_for_a_waiting_client(g) {
        let (server, mut client) = simplex();
        let mut recv = client.recv();
        poke(g, &mut recv);
        if let Some(sent) = g.pass_on(|| server.finish_with(g.value())) {
            g.sent(0, sent);
        }
        g.meet(vec![party("recv", &mut recv, |got| g.received(got))]);
    }
    an_exchange_ends_by_the_end(g) {
        let (mut server, mut client) = duplex::<Value, Value>();
        let mut ask = client.exchange(g.value());
        poke(g, &mut ask);
        g.meet(vec![party("demand", &mut server.demand(), |got| g.received(got))]);
        let mut answer = server.exchange(g.value());
        poke(g, &mut answer);
        // The client goes with the answer in the slot.
        g.let_go(ask);
        g.let_go(client);
        g.meet(vec![party("exchange", &mut answer, |sent| g.sent(1, sent))]);
    }

    // ---- in batches

    a_writer_sends_and_a_reader_receives(g) {
        let (mut writer, mut reader) = stream();
        let mut send = writer.send(g.value());
        let mut recv = reader.recv();
        g.meet(vec![
            party("send", &mut send, |sent| g.sent(0, sent)),
            party("recv", &mut recv, |got| g.received(got)),
        ]);
    }
    items_are_read_in_a_batch(g) {
        let (mut writer, mut reader) = stream();
        let mut write = writer.write(g.items(3));
        let mut read = reader.read(3);
        g.meet(vec![
            party("write", &mut write, |sent| {
                if let Err(error) = sent {
                    error.into_rest().for_each(|value| g.back(value));
                }
            }),
            party("read", &mut read, |got| g.got_all(got.into_iter().flatten())),
        ]);
        drop((write, read));
        g.act(|| writer.finish().is_ok());
        g.meet(vec![party("read_all", &mut reader.read_all(), |got| {
            g.got_all(got.into_iter().flatten());
        })]);
    }
    local_items_are_read_into_a_vector(g) {
        let (mut writer, mut reader) = stream();
        let mut got = Vec::with_capacity(3);
        let mut write = writer.write_local(g.items(3));
        let mut read = reader.read_into(3, &mut got);
        g.meet(vec![
            party("write_local", &mut write, |sent| {
                if let Err(error) = sent {
                    error.into_rest().for_each(|value| g.back(value));
                }
            }),
            party("read_into", &mut read, drop),
        ]);
        drop((write, read));
        g.got_all(got);
        g.act(|| writer.finish().is_ok());
        g.meet(vec![party("read_all", &mut reader.read_all(), |got| {
            g.got_all(got.into_iter().flatten());
        })]);
    }
    some_items_are_read(g) {
        let (mut writer, mut reader) = stream();
        let mut write = writer.write(g.items(2));
        let mut read = reader.read_some(5);
        g.meet(vec![
            party("write", &mut write, |sent| {
                if let Err(error) = sent {
                    error.into_rest().for_each(|value| g.back(value));
                }
            }),
            party("read_some", &mut read, |got| g.got_all(got.into_iter().flatten())),
        ]);
        drop((write, read));
        g.act(|| writer.finish().is_ok());
        g.meet(vec![party("read_all", &mut reader.read_all(), |got| {
            g.got_all(got.into_iter().flatten());
        })]);
    }
    a_write_is_read_whole(g) {
        let (mut writer, mut reader) = stream();
        let mut write = writer.write(g.items(2));
        let mut read = reader.read_once();
        g.meet(vec![
            party("write", &mut write, |sent| {
                if let Err(error) = sent {
                    error.into_rest().for_each(|value| g.back(value));
                }
            }),
            party("read_once", &mut read, |batch| {
                let Ok(mut batch) = batch else { return };
                while let Some(Some(value)) = g.act(|| batch.next()) {
                    g.got(value);
                }
            }),
        ]);
        drop((write, read));
        g.act(|| drop(writer));
        for _ in 0..4 {
            g.meet(vec![party("recv", &mut reader.recv(), |got| g.received(got))]);
        }
    }
    a_write_is_dropped_and_its_batch_handed_over(g) {
        let (mut writer, mut reader) = stream();
        let mut read = reader.read(3);
        poke(g, &mut read);
        let mut write = writer.write(g.items(2));
        poke(g, &mut write);
        g.act(|| drop(write));
        g.act(|| writer.finish().is_ok());
        g.meet(vec![party("read", &mut read, |got| g.got_all(got.into_iter().flatten()))]);
    }
    a_batch_is_flushed(g) {
        let (mut writer, mut reader) = stream();
        let mut read = reader.read(3);
        poke(g, &mut read);
        let mut send = writer.send(g.value());
        g.meet(vec![party("send", &mut send, |sent| g.sent(0, sent))]);
        drop(send);
        let mut flush = writer.flush();
        g.meet(vec![
            party("flush", &mut flush, drop),
            party("read", &mut read, |got| g.got_all(got.into_iter().flatten())),
        ]);
    }
    a_writers_items_come_back_by_its_time(g) {
        let (mut writer, _reader) = stream();
        let mut send = writer.send(g.value());
        poke(g, &mut send);
        if let Some(Some(value)) = g.act(|| send.reclaim()) {
            g.back(value);
        }
        let mut send = writer.send(g.value());
        poke(g, &mut send);
        if let Some(sent) = g.pass_on(|| send.wait_timeout(Duration::from_micros(1))) {
            g.sent(1, sent);
        }
    }
    a_select_of_two_kinds_of_sends(g) {
        let ((mut server, mut client), (mut writer, mut reader)) = (simplex(), stream());
        let quiet = never::<u8>();
        // A client waits, too, but it does not look.
        poke(g, &mut client.recv());
        let (mut send, mut write) = (server.send(g.value()), writer.send(g.value()));
        let mut choice = select((&mut send, &mut write, quiet.recv())).biased();
        let mut read = reader.recv();
        g.meet(vec![
            party("select", &mut choice, |chosen| match chosen {
                Sel3::B(sent) => g.sent(1, sent),
                _ => g.wrong("an arm that nobody took"),
            }),
            party("read", &mut read, |got| g.received(got)),
        ]);
        g.let_go(choice);
        match g.act(|| send.reclaim()) {
            Some(Some(value)) => g.back(value),
            _ => g.wrong("nothing to reclaim"),
        }
    }

    // ---- producers

    a_generator_sends(g) {
        let inner = g.clone();
        let mut values = Box::pin(generate(move |mut server| async move {
            for _ in 0..3 {
                if server.send(inner.value()).await.is_err() {
                    break;
                }
            }
        }).into_stream());
        // What its routine has in hand goes down with it.
        g.0.lock().unwrap().passes_on = true;
        g.meet(vec![("stream", Box::new(|waker| {
            match values.as_mut().poll_next(&mut Context::from_waker(waker)) {
                Poll::Ready(Some(value)) => {
                    g.got(value);
                    waker.wake_by_ref();
                    Poll::Pending
                }
                Poll::Ready(None) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            }
        }))]);
        g.0.lock().unwrap().passes_on = false;
    }
    a_thread_produces(g) {
        let inner = g.clone();
        let mut values = produce(move |server| {
            _ = server.send_all(inner.items(3)).wait();
        }).into_stream();
        g.0.lock().unwrap().passes_on = true;
        g.meet_with(vec![("stream", Box::new(|waker| loop {
            match Pin::new(&mut values).poll_next(&mut Context::from_waker(waker)) {
                Poll::Ready(Some(value)) => g.got(value),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }))], Duration::from_secs(10));
        g.act(|| drop(values));
        g.0.lock().unwrap().passes_on = false;
    }
}

/// Runs all scenarios with a panic at each call of one kind.
fn interrupt_each(call: Call) {
    watched(move |progress| {
        let (mut runs, mut wrong) = (0, Vec::new());
        for (name, scenario) in SCENARIOS {
            for (backward, changes) in [(false, false), (true, false), (false, true), (true, true)]
            {
                let run = |armed| {
                    progress.doing(format!("{name}, {armed:?}"));
                    let ground = Ground::new(Mode { armed, backward, changes });
                    // What is left in the scenario's ends may panic, too, as it goes.
                    ground.act(|| scenario(&ground));
                    ground.settle()
                };
                let (calm, counts, _) = run(None);
                if !calm.is_empty() {
                    wrong.push(format!("{name}, without a panic: {calm:?}"));
                }
                for at in 1..=counts[call as usize] {
                    for payload in [Payload::Plain, Payload::Bomb] {
                        let (faults, ..) = run(Some((call, at, payload)));
                        runs += 1;
                        if !faults.is_empty() {
                            let way = format!(
                                "{}{}",
                                if backward { ", backward" } else { "" },
                                if changes { ", new wakers" } else { "" }
                            );
                            wrong.push(format!(
                                "{name}, {call:?} {at}, {payload:?}{way}: {faults:?}"
                            ));
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{} of {runs} runs: {wrong:#?}", wrong.len());
    });
}

macro_rules! interrupt {
    ($($name:ident: $call:ident;)+) => {
        $(
            #[test]
            fn $name() {
                interrupt_each(Call::$call);
            }
        )+

        #[test]
        fn each_kind_of_call_has_its_test() {
            assert_eq!([$(Call::$call),+], CALLS);
        }
    };
}

interrupt! {
    a_waker_whose_clone_panics_loses_nothing: WakerClone;
    a_waker_that_panics_when_it_wakes_loses_nothing: Wake;
    a_waker_whose_drop_panics_loses_nothing: WakerDrop;
    a_value_whose_drop_panics_takes_no_other_with_it: ValueDrop;
    an_iterator_whose_next_panics_loses_nothing_that_it_made: Next;
    an_iterator_whose_size_hint_panics_loses_nothing: SizeHint;
    an_iterator_whose_drop_panics_loses_nothing: ItemsDrop;
}

// ---- a loop over arms that one panic breaks off

/// While a select looks through its arms, a receiver comes for each of its sends, and passes its offer over. When the look is over, the
/// select puts all offers back, although the waker of one of the receivers panics then: each channel's offer stands again.
#[test]
fn a_select_puts_all_its_offers_back_although_a_waker_panics() {
    let mut wrong = Vec::new();
    for panicking in 0..3 {
        for payload in [Payload::Plain, Payload::Bomb] {
            for polls_again in [false, true] {
                let case = format!("{panicking}, {payload:?}, polls again: {polls_again}");
                // The waker of the select outlives the test.
                let all: &'static [_; 3] =
                    Box::leak(Box::new([(); 3].map(|()| rendezvous::<u8>())));
                let quiet = never::<u8>();
                let hooks: [_; 3] = std::array::from_fn(|_| Hook::new());
                let receives: Arc<Mutex<Vec<_>>> =
                    Arc::new(Mutex::new(all.iter().map(|(_, rx)| rx.recv()).collect()));
                let mut choice =
                    select((all[0].0.send(0), all[1].0.send(1), all[2].0.send(2), quiet.recv()))
                        .biased();

                // The fourth copy of the select's waker is for the last arm: then all three offers stand.
                let chooser = Hook::new();
                let arrive = {
                    let (receives, hooks) = (Arc::clone(&receives), hooks.clone());
                    move || {
                        for (recv, hook) in receives.lock().unwrap().iter_mut().zip(&hooks) {
                            assert!(poll_with(recv, &hook.waker()).is_pending());
                        }
                    }
                };
                fn at_copy(hook: &Arc<Hook>, n: usize, run: Box<dyn FnOnce() + Send>) {
                    let again = Arc::clone(hook);
                    hook.set(Moment::Clone, move || match n {
                        1 => run(),
                        n => at_copy(&again, n - 1, run),
                    });
                }
                at_copy(&chooser, 4, Box::new(arrive));
                hooks[panicking].set(Moment::Wake, move || match payload {
                    Payload::Plain => panic::resume_unwind(Box::new("on purpose")),
                    Payload::Bomb => panic::resume_unwind(Box::new(Bomb)),
                });
                let waker = chooser.waker();
                let mut poll = || match panic::catch_unwind(AssertUnwindSafe(|| {
                    poll_with(&mut choice, &waker).is_ready()
                })) {
                    Ok(is_ready) => is_ready,
                    Err(payload) => {
                        mem::forget(payload);
                        false
                    }
                };
                assert!(!poll(), "{case}: nothing was taken yet");
                assert!(!chooser.is_set(Moment::Clone), "{case}: the receivers have come");
                if polls_again {
                    assert!(!poll(), "{case}: nothing was taken yet");
                }
                // Every receiver is woken by the offer that stands for it. Whichever looks first takes its own.
                let asleep: Vec<_> = (0..3).filter(|&at| hooks[at].bell.rings() == 0).collect();
                if !asleep.is_empty() {
                    wrong.push(format!("{case}: receivers {asleep:?} sleep beside an offer"));
                    continue;
                }
                let first = (panicking + 1) % 3;
                let got = poll_once(&mut receives.lock().unwrap()[first]);
                if got != Poll::Ready(Ok(first as u8)) {
                    wrong.push(format!("{case}: receiver {first} does not meet the select"));
                } else if !poll() {
                    wrong.push(format!("{case}: the select does not know that it was taken"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The end of a channel wakes all that wait, although each of their wakers panics.
#[test]
fn the_end_wakes_all_although_each_waker_panics() {
    for payload in [Payload::Plain, Payload::Bomb] {
        let (tx, rx) = rendezvous::<u8>();
        let hooks: Vec<_> = (0..12).map(|_| Hook::new()).collect();
        let quiet = never::<u8>();
        let mut sends: Vec<_> = (0..3).map(|n| tx.send(n)).collect();
        let mut reserves: Vec<_> = (0..3).map(|_| tx.reserve()).collect();
        let mut watchers: Vec<_> = (0..3).map(|_| rx.closed()).collect();
        let mut choices: Vec<_> = (0..3).map(|n| select((tx.send(n), quiet.recv()))).collect();
        let wakers: Vec<_> = hooks.iter().map(Hook::waker).collect();
        for n in 0..3 {
            assert!(poll_with(&mut sends[n], &wakers[n]).is_pending());
            assert!(poll_with(&mut reserves[n], &wakers[3 + n]).is_pending());
            assert!(poll_with(&mut watchers[n], &wakers[6 + n]).is_pending());
            assert!(poll_with(&mut choices[n], &wakers[9 + n]).is_pending());
        }
        for hook in &hooks {
            hook.set(Moment::Wake, move || match payload {
                Payload::Plain => panic::resume_unwind(Box::new("on purpose")),
                Payload::Bomb => panic::resume_unwind(Box::new(Bomb)),
            });
        }
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| rx.close())) {
            mem::forget(payload);
        }
        let asleep: Vec<_> = (0..12).filter(|&at| hooks[at].bell.rings() == 0).collect();
        assert!(asleep.is_empty(), "{payload:?}: {asleep:?} sleep after the end");
        assert!(tx.is_closed());
    }
}
