//! Random conversations against a reference model that knows only whose turn it is and what lies between the two.
//!
//! Both ends live in one thread, each in a hand-polled coroutine, so that a run is the same each time and shrinks. Checked after
//! each command: the result, where each value is, and the wakers (who can go on is woken, nobody else is).

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_core::Stream as _;
use handover::{Client, RecvError, SendError, Server, Why, duplex, op, simplex};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestCaseError};

// ---- Values

/// Where values are: alive, or dropped so many times.
type Census = Rc<RefCell<Vec<u8>>>;

/// A value that tells when it is dropped.
struct Value {
    number: usize,
    drops: Census,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.drops.borrow_mut()[self.number] += 1;
    }
}

/// What goes up: nothing, or a value.
trait Kind: Sized + 'static {
    type Up;
    const IS_SIMPLEX: bool;

    fn new() -> (Server<Value, Self::Up>, Client<Value, Self::Up>);
    fn up(value: Value) -> Self::Up;
    fn number(up: Self::Up) -> Option<usize>;
    fn recv(client: &mut Client<Value, Self::Up>) -> op::Recv<'_, Value, Self::Up>;
    fn poll_next(
        client: &mut Client<Value, Self::Up>,
        cx: &mut Context<'_>,
        keep: bool,
    ) -> Poll<Option<Value>>;
    fn send_all(server: &mut Server<Value, Self::Up>, items: Vec<Value>) -> SendAll<'_>;
}

type SendAll<'a> = op::SendAll<'a, std::vec::IntoIter<Value>>;

struct Simplex;

impl Kind for Simplex {
    type Up = ();
    const IS_SIMPLEX: bool = true;

    fn new() -> (Server<Value>, Client<Value>) {
        simplex()
    }
    fn up(_: Value) {}
    fn number((): ()) -> Option<usize> {
        None
    }
    fn recv(client: &mut Client<Value>) -> op::Recv<'_, Value, ()> {
        client.recv()
    }
    fn poll_next(
        client: &mut Client<Value>,
        cx: &mut Context<'_>,
        keep: bool,
    ) -> Poll<Option<Value>> {
        let mut stream = client.stream();
        let polled = Pin::new(&mut stream).poll_next(cx);
        if keep {
            mem::forget(stream); // goes on waiting
        }
        polled
    }
    fn send_all(server: &mut Server<Value>, items: Vec<Value>) -> SendAll<'_> {
        server.send_all(items)
    }
}

struct Duplex;

impl Kind for Duplex {
    type Up = Value;
    const IS_SIMPLEX: bool = false;

    fn new() -> (Server<Value, Value>, Client<Value, Value>) {
        duplex()
    }
    fn up(value: Value) -> Value {
        value
    }
    fn number(up: Value) -> Option<usize> {
        Some(up.number)
    }
    fn recv(client: &mut Client<Value, Value>) -> op::Recv<'_, Value, Value> {
        client.answer()
    }
    fn poll_next(
        _: &mut Client<Value, Value>,
        _: &mut Context<'_>,
        _: bool,
    ) -> Poll<Option<Value>> {
        unreachable!("a duplex is no stream")
    }
    fn send_all(_: &mut Server<Value, Value>, _: Vec<Value>) -> SendAll<'_> {
        unreachable!("a duplex has no send_all")
    }
}

// ---- Commands, and what they give

/// What an end is told to do. Some need an operation that is under way, the others need none.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Command {
    // The client begins ...
    Recv,
    Answer,
    Ask,
    PollNext,
    DropStream,
    Close,
    // ... the server begins ...
    Demand,
    Exchange,
    SendAll(usize),
    Finish,
    FinishWith,
    // ... either goes on.
    Poll {
        waker: usize,
    },
    Now,
    WaitTimeout,
    WaitDeadline,
    Drop,
    Reclaim,
    Forget,
    /// Drops the end, with the operation that is under way.
    Leave,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq)]
enum Output {
    Begun,
    Pending,
    Dropped,
    Left,
    /// What came: an item, or what a demand brought (`None` for a plain one).
    Got(Option<usize>),
    Failed(Why, Vec<usize>),
    /// Of a stream.
    Ended,
    /// The iterator is through.
    Sent,
    Reclaimed(Option<usize>),
}

// ---- The real thing, as two coroutines

#[derive(Default)]
struct Desk {
    command: RefCell<Option<(Command, Vec<Value>)>>,
    output: RefCell<Option<Output>>,
}

impl Desk {
    async fn next(&self) -> (Command, Vec<Value>) {
        poll_fn(|_| self.command.borrow_mut().take().map_or(Poll::Pending, Poll::Ready)).await
    }

    fn say(&self, output: Output) {
        assert!(self.output.replace(Some(output)).is_none(), "two outputs of one command");
    }
}

/// Drives one operation as it is told, up to its end. Gives whether the end of the channel is to be dropped then.
macro_rules! drive {
    ($desk:expr, $op:expr, $show:expr $(, $reclaim:expr)?) => {{
        let (desk, show) = ($desk, $show);
        let mut op = $op;
        desk.say(Output::Begun);
        loop {
            let output = match desk.next().await.0 {
                Command::Poll { .. } => {
                    match poll_fn(|cx| Poll::Ready(Pin::new(&mut op).poll(cx))).await {
                        Poll::Ready(output) => {
                            drop(op);
                            show(output)
                        }
                        Poll::Pending => {
                            desk.say(Output::Pending);
                            continue;
                        }
                    }
                }
                Command::Now => show(op.now()),
                Command::WaitTimeout => show(op.wait_timeout(Duration::ZERO)),
                Command::WaitDeadline => show(op.wait_deadline(Instant::now())),
                Command::Drop => {
                    drop(op);
                    Output::Dropped
                }
                $(Command::Reclaim => $reclaim(op.reclaim()),)?
                Command::Forget => {
                    mem::forget(op);
                    Output::Dropped
                }
                Command::Leave => {
                    drop(op);
                    break true;
                }
                other => unreachable!("{other:?} during an operation"),
            };
            desk.say(output);
            break false;
        }
    }};
}

fn received(result: Result<Value, RecvError>) -> Output {
    match result {
        Ok(value) => Output::Got(Some(value.number)),
        Err(error) => Output::Failed(error.why(), vec![]),
    }
}

async fn client<K: Kind>(desk: Rc<Desk>, mut client: Client<Value, K::Up>) {
    loop {
        let (command, mut values) = desk.next().await;
        let leave = match command {
            Command::Recv => drive!(&desk, K::recv(&mut client), received),
            Command::Answer => drive!(&desk, client.answer(), received),
            Command::Ask => {
                let up = K::up(values.pop().unwrap());
                let show = |result: Result<Value, SendError<K::Up>>| match result {
                    Ok(value) => Output::Got(Some(value.number)),
                    Err(error) => {
                        let why = error.why();
                        Output::Failed(
                            why,
                            error.into_unsent().and_then(K::number).into_iter().collect(),
                        )
                    }
                };
                drive!(&desk, client.exchange(up), show, |up: Option<K::Up>| Output::Reclaimed(
                    up.and_then(K::number)
                ))
            }
            Command::PollNext => {
                let polled = poll_fn(|cx| Poll::Ready(K::poll_next(&mut client, cx, true))).await;
                desk.say(match polled {
                    Poll::Ready(Some(value)) => Output::Got(Some(value.number)),
                    Poll::Ready(None) => Output::Ended,
                    Poll::Pending => Output::Pending,
                });
                false
            }
            Command::DropStream => {
                let polled = poll_fn(|cx| Poll::Ready(K::poll_next(&mut client, cx, false))).await;
                desk.say(match polled {
                    Poll::Ready(Some(value)) => Output::Got(Some(value.number)),
                    Poll::Ready(None) => Output::Ended,
                    Poll::Pending => Output::Dropped,
                });
                false
            }
            Command::Close => {
                client.close();
                return desk.say(Output::Left);
            }
            Command::Leave => true,
            other => unreachable!("{other:?} for a client"),
        };
        if leave {
            drop(client);
            return desk.say(Output::Left);
        }
    }
}

async fn server<K: Kind>(desk: Rc<Desk>, mut server: Server<Value, K::Up>) {
    loop {
        let (command, mut values) = desk.next().await;
        let leave = match command {
            Command::Demand => {
                let show = |result: Result<K::Up, RecvError>| match result {
                    Ok(up) => Output::Got(K::number(up)),
                    Err(error) => Output::Failed(error.why(), vec![]),
                };
                drive!(&desk, server.demand(), show)
            }
            Command::Exchange => {
                let show = |result: Result<K::Up, SendError<Value>>| match result {
                    Ok(up) => Output::Got(K::number(up)),
                    Err(error) => {
                        let why = error.why();
                        Output::Failed(why, error.into_unsent().iter().map(|v| v.number).collect())
                    }
                };
                drive!(&desk, server.exchange(values.pop().unwrap()), show, |item: Option<
                    Value,
                >| {
                    Output::Reclaimed(item.map(|item| item.number))
                })
            }
            Command::SendAll(_) => {
                let show = |result: Result<(), handover::WriteError<_>>| match result {
                    Ok(()) => Output::Sent,
                    Err(error) => {
                        let why = error.why();
                        Output::Failed(
                            why,
                            error.into_rest().map(|item: Value| item.number).collect(),
                        )
                    }
                };
                drive!(&desk, K::send_all(&mut server, values), show)
            }
            Command::Finish => {
                server.finish();
                return desk.say(Output::Left);
            }
            Command::FinishWith => {
                return desk.say(match server.finish_with(values.pop().unwrap()) {
                    Ok(()) => Output::Left,
                    Err(error) => {
                        let why = error.why();
                        Output::Failed(why, error.into_unsent().iter().map(|v| v.number).collect())
                    }
                });
            }
            Command::Leave => true,
            other => unreachable!("{other:?} for a server"),
        };
        if leave {
            drop(server);
            return desk.say(Output::Left);
        }
    }
}

// ---- The model

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// Whose turn it is, and what lies between the two.
#[derive(Clone, Debug, PartialEq)]
enum Turn {
    /// The client's.
    Idle,
    /// A demand lies there.
    Asked(Option<usize>),
    /// The server's, which has a demand in hand.
    InHand,
    /// An answer lies there.
    Offered(usize),
}

/// An operation that is under way.
#[derive(Clone, Debug, PartialEq)]
enum Op {
    /// Asks by itself, or only waits for what is owed.
    Recv {
        asks: bool,
    },
    Stream,
    Ask {
        up: Option<usize>,
        is_put: bool,
    },
    Demand,
    Exchange {
        item: Option<usize>,
        is_put: bool,
    },
    SendAll {
        item: Option<usize>,
        is_put: bool,
        rest: Vec<usize>,
    },
}

#[derive(Clone, Debug, PartialEq)]
struct Model {
    turn: Turn,
    ends: [Option<Why>; 2],
    left: Option<usize>,
    told: Option<Why>,
    ops: [Option<Op>; 2],
}

impl Model {
    fn new() -> Self {
        Self { turn: Turn::Idle, ends: [None; 2], left: None, told: None, ops: [None, None] }
    }

    /// One look of the side's operation. The values that die by it go to `dead`.
    fn step(&mut self, side: usize, dead: &mut Vec<usize>) -> Output {
        let mut op = self.ops[side].take().expect("an operation");
        let output = match &mut op {
            Op::Recv { asks } => self.step_recv(*asks, dead),
            Op::Stream => match self.step_recv(true, dead) {
                Output::Failed(..) => Output::Ended,
                output => output,
            },
            Op::Ask { up, is_put } => self.step_ask(up, is_put, dead),
            Op::Demand => match self.next_demand(dead, false) {
                Ok(Some(up)) => Output::Got(up),
                Ok(None) => Output::Pending,
                Err(why) => Output::Failed(why, vec![]),
            },
            Op::Exchange { item, is_put } => match self.step_answer(item, is_put, dead) {
                Ok(Some(up)) => Output::Got(up),
                Ok(None) => Output::Pending,
                Err((why, unsent)) => Output::Failed(why, unsent.into_iter().collect()),
            },
            Op::SendAll { item, is_put, rest } => loop {
                let is_asked = if item.is_some() || *is_put {
                    self.step_answer(item, is_put, dead)
                } else {
                    match self.next_demand(dead, false) {
                        Err(Why::OutOfTurn) => Ok(Some(None)),
                        other => other.map_err(|why| (why, None)),
                    }
                };
                match is_asked {
                    Ok(None) => break Output::Pending,
                    Err((why, unsent)) => {
                        break Output::Failed(
                            why,
                            unsent.into_iter().chain(mem::take(rest)).collect(),
                        );
                    }
                    Ok(Some(_)) if rest.is_empty() => break Output::Sent,
                    Ok(Some(_)) => *item = Some(rest.remove(0)),
                }
            },
        };
        match &output {
            Output::Pending => self.ops[side] = Some(op),
            Output::Got(Some(value)) => dead.push(*value),
            Output::Failed(_, values) => dead.extend(values),
            _ => {}
        }
        output
    }

    fn last_words(&mut self, why: Why) -> Result<usize, Why> {
        self.left.take().ok_or_else(|| {
            self.told = Some(why);
            why
        })
    }

    fn step_recv(&mut self, asks: bool, _: &mut Vec<usize>) -> Output {
        if let Turn::Offered(item) = self.turn {
            self.turn = Turn::Idle;
            return Output::Got(Some(item));
        }
        if let Some(why) = self.ends[SERVER] {
            return match self.last_words(why) {
                Ok(item) => Output::Got(Some(item)),
                Err(why) => Output::Failed(why, vec![]),
            };
        }
        match (&self.turn, asks) {
            (Turn::Idle, true) => self.turn = Turn::Asked(None),
            (Turn::Idle, false) => return Output::Failed(Why::OutOfTurn, vec![]),
            _ => {}
        }
        Output::Pending
    }

    fn step_ask(
        &mut self,
        up: &mut Option<usize>,
        is_put: &mut bool,
        dead: &mut Vec<usize>,
    ) -> Output {
        if let Turn::Offered(item) = self.turn {
            if !*is_put {
                return Output::Failed(Why::OutOfTurn, up.take().into_iter().collect());
            }
            self.turn = Turn::Idle;
            return Output::Got(Some(item));
        }
        if let Some(why) = self.ends[SERVER] {
            let last = self.last_words(why);
            let unsent = self.take_back_ask(up, is_put);
            return match last {
                Ok(item) => {
                    dead.extend(unsent);
                    Output::Got(Some(item))
                }
                Err(why) => Output::Failed(why, unsent.into_iter().collect()),
            };
        }
        if !*is_put {
            if self.turn != Turn::Idle {
                return Output::Failed(Why::OutOfTurn, up.take().into_iter().collect());
            }
            (self.turn, *is_put) = (Turn::Asked(up.take()), true);
        }
        Output::Pending
    }

    fn take_back_ask(&mut self, up: &mut Option<usize>, is_put: &mut bool) -> Option<usize> {
        match self.turn {
            Turn::Asked(demand) if mem::take(is_put) => {
                self.turn = Turn::Idle;
                demand
            }
            _ => up.take(),
        }
    }

    /// The next demand, if there is one; dropped here if it is `unwanted`.
    fn next_demand(
        &mut self,
        dead: &mut Vec<usize>,
        unwanted: bool,
    ) -> Result<Option<Option<usize>>, Why> {
        if let Some(why) = self.ends[CLIENT] {
            return Err(why);
        }
        match self.turn {
            Turn::Asked(up) => {
                self.turn = Turn::InHand;
                if unwanted {
                    dead.extend(up);
                }
                Ok(Some(up))
            }
            Turn::InHand => Err(Why::OutOfTurn),
            Turn::Idle | Turn::Offered(_) => Ok(None),
        }
    }

    fn step_answer(
        &mut self,
        item: &mut Option<usize>,
        is_put: &mut bool,
        dead: &mut Vec<usize>,
    ) -> Result<Option<Option<usize>>, (Why, Option<usize>)> {
        loop {
            match self.next_demand(dead, !*is_put) {
                Ok(Some(up)) if mem::take(is_put) => return Ok(Some(up)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(Why::OutOfTurn) => {
                    (self.turn, *is_put) = (Turn::Offered(item.take().unwrap()), true);
                    return Ok(None);
                }
                Err(why) => return Err((why, self.take_back_answer(item, is_put))),
            }
        }
    }

    fn take_back_answer(&mut self, item: &mut Option<usize>, is_put: &mut bool) -> Option<usize> {
        match self.turn {
            Turn::Offered(offered) if mem::take(is_put) => {
                self.turn = Turn::InHand;
                Some(offered)
            }
            _ => item.take(),
        }
    }

    /// Gives up on the side's operation: what was not taken, in order.
    fn withdraw(&mut self, side: usize) -> Vec<usize> {
        match self.ops[side].take().expect("an operation") {
            Op::Recv { .. } | Op::Stream | Op::Demand => vec![],
            Op::Ask { mut up, mut is_put } => {
                self.take_back_ask(&mut up, &mut is_put).into_iter().collect()
            }
            Op::Exchange { mut item, mut is_put } => {
                self.take_back_answer(&mut item, &mut is_put).into_iter().collect()
            }
            Op::SendAll { mut item, mut is_put, rest } => {
                let unsent = self.take_back_answer(&mut item, &mut is_put);
                unsent.into_iter().chain(rest).collect()
            }
        }
    }

    /// One end leaves; with both gone, what lies between them dies.
    fn leave(&mut self, side: usize, why: Why, dead: &mut Vec<usize>) {
        self.ends[side].get_or_insert(why);
        if self.ends.iter().all(Option::is_some) {
            match mem::replace(&mut self.turn, Turn::Idle) {
                Turn::Asked(up) => dead.extend(up),
                Turn::Offered(item) => dead.push(item),
                Turn::Idle | Turn::InHand => {}
            }
            dead.extend(self.left.take());
        }
    }

    /// What a command gives. `values` are those that it brings in, `dead` gets those that it drops.
    fn run(
        &mut self,
        side: usize,
        command: Command,
        values: &[usize],
        dead: &mut Vec<usize>,
        is_simplex: bool,
    ) -> Output {
        let begin = |model: &mut Self, op| {
            model.ops[side] = Some(op);
            Output::Begun
        };
        match command {
            Command::Recv => begin(self, Op::Recv { asks: is_simplex }),
            Command::Answer => begin(self, Op::Recv { asks: false }),
            Command::Ask => begin(self, Op::Ask { up: values.first().copied(), is_put: false }),
            Command::Demand => begin(self, Op::Demand),
            Command::Exchange => begin(self, Op::Exchange { item: Some(values[0]), is_put: false }),
            Command::SendAll(_) => {
                begin(self, Op::SendAll { item: None, is_put: false, rest: values.to_vec() })
            }
            Command::PollNext | Command::DropStream => {
                self.ops[side] = Some(Op::Stream);
                let output = self.step(side, dead);
                if command == Command::DropStream && output == Output::Pending {
                    self.ops[side] = None;
                    return Output::Dropped;
                }
                output
            }
            Command::Poll { .. } => self.step(side, dead),
            Command::Now | Command::WaitTimeout | Command::WaitDeadline => {
                match self.step(side, dead) {
                    Output::Pending => {
                        let why =
                            if command == Command::Now { Why::NotReady } else { Why::TimedOut };
                        let unsent = self.withdraw(side);
                        dead.extend(&unsent);
                        Output::Failed(why, unsent)
                    }
                    output => output,
                }
            }
            Command::Drop => {
                dead.extend(self.withdraw(side));
                Output::Dropped
            }
            Command::Reclaim => {
                let unsent = self.withdraw(side);
                dead.extend(&unsent);
                Output::Reclaimed(unsent.first().copied())
            }
            Command::Forget => {
                self.ops[side] = None; // what was put stays, the rest leaks
                Output::Dropped
            }
            Command::Leave | Command::Close | Command::Finish => {
                if matches!(&self.ops[side], Some(op) if *op != Op::Stream) {
                    dead.extend(self.withdraw(side));
                }
                self.ops[side] = None;
                let why = if command == Command::Leave { Why::Dropped } else { Why::Closed };
                self.leave(side, why, dead);
                Output::Left
            }
            Command::FinishWith => {
                let item = values[0];
                let refused = match self.next_demand(dead, true) {
                    Ok(Some(_)) | Err(Why::OutOfTurn) => {
                        self.turn = Turn::Offered(item);
                        None
                    }
                    Ok(None) if self.turn == Turn::Idle => {
                        self.left = Some(item);
                        None
                    }
                    Ok(None) => Some(Why::OutOfTurn),
                    Err(why) => Some(why),
                };
                let why = if refused == Some(Why::OutOfTurn) { Why::Dropped } else { Why::Closed };
                self.leave(side, why, dead);
                match refused {
                    None => Output::Left,
                    Some(why) => {
                        dead.push(item);
                        Output::Failed(why, vec![item])
                    }
                }
            }
        }
    }

    /// Whether the side's operation would get anywhere if it were polled.
    fn can_go_on(&self, side: usize) -> bool {
        let mut trial = self.clone();
        trial.step(side, &mut Vec::new());
        trial != *self
    }
}

// ---- Both side by side

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

struct Side {
    coroutine: Option<Pin<Box<dyn Future<Output = ()>>>>,
    desk: Rc<Desk>,
    bells: [Arc<Bell>; 3],
    wakers: [Waker; 3],
    /// The waker of the last poll, and how often it had rung.
    polled: Option<(usize, usize)>,
    /// The end may wait although no operation does.
    may_ring: bool,
}

impl Side {
    fn rings(&self) -> usize {
        self.bells.iter().map(|bell| bell.0.load(SeqCst)).sum()
    }
}

/// What the random choice for one side means as it now stands.
fn choose(model: &Model, side: usize, choice: u8, is_simplex: bool) -> Command {
    let waker = usize::from(choice) % 3;
    match (&model.ops[side], side) {
        // A stream needs no operation to go on waiting.
        (None | Some(Op::Stream), CLIENT) if is_simplex => match choice {
            0..70 => Command::Recv,
            70..90 => Command::Answer,
            90..120 => Command::Ask,
            120..200 => Command::PollNext,
            200..235 => Command::DropStream,
            235..245 => Command::Close,
            _ => Command::Leave,
        },
        (None, CLIENT) => match choice {
            0..50 => Command::Answer,
            50..235 => Command::Ask,
            235..245 => Command::Close,
            _ => Command::Leave,
        },
        (None, _) => match choice {
            0..60 => Command::Demand,
            60..110 if is_simplex => Command::SendAll(usize::from(choice) % 4),
            60..230 => Command::Exchange,
            230..238 => Command::Finish,
            238..248 => Command::FinishWith,
            _ => Command::Leave,
        },
        (Some(op), _) => match choice {
            0..160 => Command::Poll { waker },
            160..180 => Command::Now,
            180..190 => Command::WaitTimeout,
            190..200 => Command::WaitDeadline,
            200..220 if matches!(op, Op::Ask { .. } | Op::Exchange { .. }) => Command::Reclaim,
            200..240 => Command::Drop,
            240..248 => Command::Forget,
            _ => Command::Leave,
        },
    }
}

fn converse<K: Kind>(choices: &[(bool, u8)]) -> Result<(), TestCaseError> {
    let drops: Census = Rc::default();
    let mut expected_drops = Vec::new();
    let mut model = Model::new();
    let (tx, rx) = K::new();
    let new_side = |start: &dyn Fn(Rc<Desk>) -> Pin<Box<dyn Future<Output = ()>>>| {
        let desk = Rc::<Desk>::default();
        let bells: [Arc<Bell>; 3] = Default::default();
        let wakers = bells.each_ref().map(|bell| Waker::from(Arc::clone(bell)));
        Side {
            coroutine: Some(start(Rc::clone(&desk))),
            desk,
            bells,
            wakers,
            polled: None,
            may_ring: false,
        }
    };
    let (tx, rx) = (RefCell::new(Some(tx)), RefCell::new(Some(rx)));
    let mut sides = [
        new_side(&|desk| Box::pin(client::<K>(desk, rx.take().unwrap()))),
        new_side(&|desk| Box::pin(server::<K>(desk, tx.take().unwrap()))),
    ];
    let mut history = History::default();
    let leaving = [(false, 255), (true, 255)];
    for &(side, choice) in choices.iter().chain(&leaving) {
        let side = usize::from(side);
        if sides[side].coroutine.is_none() {
            continue;
        }
        let command = choose(&model, side, choice, K::IS_SIMPLEX);
        let count = match command {
            Command::Exchange | Command::FinishWith => 1,
            Command::Ask if !K::IS_SIMPLEX => 1,
            Command::SendAll(count) => count,
            _ => 0,
        };
        let first = expected_drops.len();
        let numbers: Vec<usize> = (first..first + count).collect();
        expected_drops.resize(first + count, 0);
        drops.borrow_mut().resize(first + count, 0);
        let new_value = |&number| Value { number, drops: Rc::clone(&drops) };
        let mut values: Vec<Value> = numbers.iter().map(new_value).collect();
        if command == Command::Ask && K::IS_SIMPLEX {
            // `up` drops it at once; it is none of those that are counted.
            values = vec![Value { number: 0, drops: Rc::new(RefCell::new(vec![0])) }];
        }

        let before = model.clone();
        let rings = sides.each_ref().map(Side::rings);
        let mut dead = Vec::new();
        let expected = model.run(side, command, &numbers, &mut dead, K::IS_SIMPLEX);

        let it = &mut sides[side];
        let waker = match command {
            Command::Poll { waker } => waker,
            _ => usize::from(choice) % 3,
        };
        *it.desk.command.borrow_mut() = Some((command, values));
        let mut context = Context::from_waker(&it.wakers[waker]);
        if it.coroutine.as_mut().unwrap().as_mut().poll(&mut context).is_ready() {
            it.coroutine = None;
        }
        let output = it.desk.output.take();
        history.0.push((side, command, output.clone()));
        prop_assert_eq!(output.as_ref(), Some(&expected), "{:?} before: {:?}", history, before);

        it.polled = None;
        if expected == Output::Pending {
            it.polled = Some((waker, it.bells[waker].0.load(SeqCst)));
        }
        // A forgotten operation goes on waiting, and so does a stream beside a new operation.
        it.may_ring = command == Command::Forget
            || (command == Command::PollNext && expected == Output::Pending)
            || (it.may_ring && matches!(expected, Output::Begun | Output::Pending));

        for number in dead {
            expected_drops[number] += 1;
        }
        prop_assert_eq!(&*drops.borrow(), &expected_drops, "drops: {:?}", history);

        for (side, it) in sides.iter().enumerate() {
            match it.polled {
                Some((waker, before)) if model.can_go_on(side) => {
                    let now = it.bells[waker].0.load(SeqCst);
                    prop_assert!(now > before, "not woken: side {} in {:?}", side, history);
                }
                Some(_) => {}
                None => prop_assert!(
                    it.may_ring || it.rings() == rings[side],
                    "woken without waiting: side {} in {:?}",
                    side,
                    history
                ),
            }
        }
    }
    Ok(())
}

/// Prints a line a command.
#[derive(Default)]
struct History(Vec<(usize, Command, Option<Output>)>);

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (side, command, output) in &self.0 {
            let side = if *side == CLIENT { "client" } else { "server" };
            write!(f, "\n  {side} {command:?} => {output:?}")?;
        }
        Ok(())
    }
}

/// Ends the test when it hangs: nothing here may block.
fn with_watchdog(test: impl FnOnce()) {
    let (done, watched) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        if watched.recv_timeout(Duration::from_secs(120)) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("an operation that must not block does");
            std::process::abort();
        }
    });
    test();
    drop(done);
}

fn check<K: Kind>() {
    with_watchdog(|| {
        let config = ProptestConfig {
            cases: 8 * ProptestConfig::default().cases,
            max_shrink_iters: 20_000,
            failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
            source_file: Some(file!()),
            ..ProptestConfig::default()
        };
        proptest!(config, |(choices in prop::collection::vec(any::<(bool, u8)>(), 1..80))| {
            converse::<K>(&choices)?;
        });
    });
}

#[test]
fn simplex_does_what_the_model_does() {
    check::<Simplex>();
}

#[test]
fn duplex_does_what_the_model_does() {
    check::<Duplex>();
}
