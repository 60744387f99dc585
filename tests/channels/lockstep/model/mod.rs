//! Random conversations against a reference model that knows only whose turn it is and what lies between the two.
//!
//! Both ends live in one thread, each in a hand-polled coroutine, so that a run is the same each time and shrinks. Checked after
//! each command: the result, where each value is, and the wakers (a side that can go on is woken, the other is not).

mod reference;

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::support::{Watchdog, progress};
use futures_core::Stream as _;
use handover::{Client, RecvError, SendError, Server, Why, duplex, op, simplex};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestCaseError};
use reference::*;

// ---- values

/// How often each value was dropped.
type Census = Rc<RefCell<Vec<u8>>>;

/// A value that counts its drops.
struct Value {
    number: usize,
    drops: Census,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.drops.borrow_mut()[self.number] += 1;
    }
}

/// The two kinds of channel: nothing goes up, or values do.
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
        client.owed()
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

// ---- commands, and what they give

/// A step of one end. Some steps need an operation that is under way, the others need that there is none.
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

/// The outcome of a command.
#[derive(Clone, Debug, PartialEq)]
enum Output {
    Begun,
    Pending,
    Dropped,
    Left,
    /// A received item, or the value of a demand (`None` for a plain one).
    Got(Option<usize>),
    Failed(Why, Vec<usize>),
    /// The next item of a stream, or its end.
    Ended,
    /// The iterator has ended.
    Sent,
    Reclaimed(Option<usize>),
}

// ---- the channel, as two coroutines

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

/// Drives one operation by commands until it is over. Returns whether the end of the channel is to be dropped then.
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
            Command::Answer => drive!(&desk, client.owed(), received),
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

// ---- both side by side

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

/// The command that a random number means for one side in the present state.
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
    progress();
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

/// Prints one line for each command.
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

fn check<K: Kind>() {
    let _watchdog = Watchdog::new();
    let config = ProptestConfig {
        cases: 4 * ProptestConfig::default().cases,
        max_shrink_iters: 20_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        source_file: Some(file!()),
        ..ProptestConfig::default()
    };
    proptest!(config, |(choices in prop::collection::vec(any::<(bool, u8)>(), 1..80))| {
        converse::<K>(&choices)?;
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
