//! A choice among operations of several ends of one party, of whatever kinds.
//!
//! The choices are biased, so that a program runs the same each time; two orders of the arms are tried.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use handover::{op, select};

use super::acts::{End, Held, first, hold};
use super::ledger::{self, Value};
use super::out::{IntoPlacedOut, Out};
use super::party::{Seat, Ways, past};
use super::world::{Arm, Deed};

type Values = std::vec::IntoIter<Value>;
type Lazy<'a> = Box<dyn Iterator<Item = Value> + 'a>;

/// The arms by their types: of the lockstep channels, and of the others.
#[derive(Default)]
struct Lockstep<'a> {
    send: Vec<op::Exchange<'a, Value, ()>>,
    demand: Vec<op::Demand<'a, Value, ()>>,
    answer: Vec<op::Answer<'a, Value, ()>>,
    recv: Vec<op::Recv<'a, Value, ()>>,
    exchange: Vec<op::Exchange<'a, Value, Value>>,
    demand_up: Vec<op::Demand<'a, Value, Value>>,
    ask: Vec<op::Ask<'a, Value, Value>>,
    owed: Vec<op::Recv<'a, Value, Value>>,
}

#[derive(Default)]
struct Many<'a> {
    send_one: Vec<op::SendOne<'a, Value>>,
    write: Vec<op::Write<'a, Values>>,
    read_one: Vec<op::ReadOne<'a, Value>>,
    read: Vec<op::Read<'a, Value>>,
    send: Vec<op::Send<'a, Value>>,
    each: Vec<op::SendEach<'a, Lazy<'a>>>,
    take: Vec<op::Take<'a, Value>>,
    reserve: Vec<op::Reserve<'a, Value>>,
}

/// How many arms a choice has at most.
const MOST: usize = 3;

pub(crate) async fn choose(seat: &Seat, ends: &mut [Held], code: u8, arg: u8) {
    let (mut lockstep, mut many) = (Lockstep::default(), Many::default());
    let mut groups: [Vec<Arm>; 16] = Default::default();
    let mut gathers = false;
    let mut count = 0;
    for (place, held) in ends.iter_mut().enumerate() {
        if count == MOST {
            break;
        }
        let pick = (usize::from(arg) >> (2 * place % 6)) & 3;
        let (channel, side) = (held.channel, held.end.side());
        let arm = |deed| Arm::new(channel, side, deed);
        let group = match &mut held.end {
            End::Server(server) => match pick {
                0 => {
                    lockstep.demand.push(server.demand());
                    (1, arm(Deed::Demand))
                }
                1 => {
                    let (arm, value) = arm(Deed::Send).with_value();
                    lockstep.answer.push(server.answer(value));
                    (2, arm)
                }
                _ => {
                    let (arm, value) = arm(Deed::Send).with_value();
                    lockstep.send.push(server.send(value));
                    (0, arm)
                }
            },
            End::Client(client) => {
                lockstep.recv.push(client.recv());
                (3, arm(Deed::Receive))
            }
            End::Answering(server) => {
                if pick == 0 {
                    lockstep.demand_up.push(server.demand());
                    (5, arm(Deed::Demand))
                } else {
                    let (arm, value) = arm(Deed::Send).with_value();
                    lockstep.exchange.push(server.exchange(value));
                    (4, arm)
                }
            }
            End::Asking(client) => {
                if pick == 0 {
                    lockstep.owed.push(client.owed());
                    (7, arm(Deed::Receive))
                } else {
                    let (arm, value) = arm(Deed::Ask).with_value();
                    lockstep.ask.push(client.exchange(value));
                    (6, arm)
                }
            }
            End::Writer(writer) => {
                if pick < 2 {
                    let (arm, value) = arm(Deed::Send).with_value();
                    many.send_one.push(writer.send(value));
                    (8, arm)
                } else {
                    let (arm, values) = arm(Deed::SendAll).with_values(pick);
                    many.write.push(writer.write(values));
                    (9, arm)
                }
            }
            End::Reader(reader) => {
                gathers = true;
                if pick < 2 {
                    many.read_one.push(reader.recv());
                    (10, arm(Deed::Receive))
                } else {
                    many.read.push(reader.read(pick));
                    (11, arm(Deed::Read(pick)))
                }
            }
            End::Sender(tx) => match pick {
                0 => {
                    many.reserve.push(tx.reserve());
                    (15, arm(Deed::Reserve))
                }
                1 => {
                    let (arm, values) = arm(Deed::SendAll).with_lazy_values(2);
                    many.each.push(tx.send_all(Box::new(values) as Lazy<'_>));
                    (13, arm)
                }
                _ => {
                    let (arm, value) = arm(Deed::Send).with_value();
                    many.send.push(tx.send(value));
                    (12, arm)
                }
            },
            End::Receiver(rx) => {
                many.take.push(rx.recv());
                (14, arm(Deed::Receive))
            }
            End::PipeWriter(_) | End::PipeReader(_) => continue,
        };
        groups[group.0].push(group.1);
        count += 1;
    }
    if count == 0 {
        return;
    }
    let starts: Vec<usize> =
        (0..16).map(|group| groups[..group].iter().map(Vec::len).sum()).collect();
    let arms: Vec<Arm> = groups.into_iter().flatten().collect();
    ledger::trace(|| {
        let told: Vec<_> =
            arms.iter().map(|arm| format!("{:?} on {}", arm.deed, arm.channel)).collect();
        format!("  chooses: {}", told.join(", "))
    });
    let channels: Vec<usize> = arms.iter().map(|arm| arm.channel).collect();
    let lockstep = (
        lockstep.send,
        lockstep.demand,
        lockstep.answer,
        lockstep.recv,
        lockstep.exchange,
        lockstep.demand_up,
        lockstep.ask,
        lockstep.owed,
    );
    let many = (
        many.send_one,
        many.write,
        many.read_one,
        many.read,
        many.send,
        many.each,
        many.take,
        many.reserve,
    );
    let first = first(arg.rotate_left(3));
    macro_rules! run {
        ($op:expr, $swapped:literal) => {{
            let op = Placed::<_, $swapped>($op, PhantomData);
            let ways = Ways::of(
                &op,
                |Placed(op, _)| op.now().map(|out| place(out, $swapped)),
                |Placed(op, _)| op.wait_deadline(past()).map(|out| place(out, $swapped)),
            );
            seat.drive(arms, op, first, ways.gathering(gathers)).await
        }};
    }
    let outcome = if code % 2 == 0 {
        run!(select((lockstep, many)).biased(), false)
    } else {
        run!(select((many, lockstep)).biased(), true)
    };
    let Some(((group, place, out), way)) = outcome else { return };
    let arm = starts[group] + place;
    let permit = seat.world.borrow_mut().finish(seat.number, arm, out, way);
    if let Some(permit) = permit {
        hold(seat, channels[arm], permit).await;
    }
}

fn place<'a>(out: impl IntoPlacedOut<'a>, is_swapped: bool) -> (usize, usize, Out<'a>) {
    let (group, place, out) = out.into_placed();
    (if is_swapped { (group + 8) % 16 } else { group }, place, out)
}

/// A choice whose outcome tells its arm.
struct Placed<'a, S, const SWAPPED: bool>(S, PhantomData<&'a ()>);

impl<'a, S, const SWAPPED: bool> Future for Placed<'a, S, SWAPPED>
where
    S: Future + Unpin,
    S::Output: IntoPlacedOut<'a>,
{
    type Output = (usize, usize, Out<'a>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|out| place(out, SWAPPED))
    }
}
