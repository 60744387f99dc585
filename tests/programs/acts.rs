//! What a party does with one of its ends.

use handover::{Client, Permit, Reader, Receiver, Sender, Server, Why, Writer};

use super::ledger::{self, Value};
use super::party::{Command, Seat, run};
use super::pipes::{PipeReads, PipeWrites};
use super::world::{Arm, Deed, RECEIVING, SENDING};

#[cfg_attr(not(feature = "futures-io"), allow(dead_code, reason = "there are no pipes then"))]
pub(crate) enum End {
    Server(Server<Value>),
    Client(Client<Value>),
    /// Of a duplex.
    Answering(Server<Value, Value>),
    Asking(Client<Value, Value>),
    Writer(Writer<Value>),
    Reader(Reader<Value>),
    Sender(Sender<Value>),
    Receiver(Receiver<Value>),
    PipeWriter(PipeWrites),
    PipeReader(PipeReads),
}

impl End {
    pub(crate) fn side(&self) -> usize {
        match self {
            Self::Server(_)
            | Self::Answering(_)
            | Self::Writer(_)
            | Self::Sender(_)
            | Self::PipeWriter(_) => SENDING,
            _ => RECEIVING,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Server(_) => "Server",
            Self::Client(_) => "Client",
            Self::Answering(_) => "Server of a duplex",
            Self::Asking(_) => "Client of a duplex",
            Self::Writer(_) => "Writer",
            Self::Reader(_) => "Reader",
            Self::Sender(_) => "Sender",
            Self::Receiver(_) => "Receiver",
            Self::PipeWriter(_) => "PipeWriter",
            Self::PipeReader(_) => "PipeReader",
        }
    }

    fn clone_end(&self) -> Option<Self> {
        match self {
            Self::Sender(tx) => Some(Self::Sender(tx.clone())),
            Self::Receiver(rx) => Some(Self::Receiver(rx.clone())),
            _ => None,
        }
    }
}

/// An end, and the number of its channel.
pub(crate) struct Held {
    pub(crate) channel: usize,
    pub(crate) end: End,
}

impl Held {
    pub(crate) fn arm(&self, deed: Deed) -> Arm {
        Arm::new(self.channel, self.end.side(), deed)
    }
}

/// One operation with that end, or its leave. Returns the end if it is still there, and a clone of it if one was made.
pub(crate) async fn act(
    seat: &Seat,
    held: Held,
    code: u8,
    arg: u8,
) -> (Option<Held>, Option<Held>) {
    if code % 16 == 0 {
        leave(seat, held, arg);
        return (None, None);
    }
    if code % 16 == 1 {
        if let Some(end) = held.end.clone_end() {
            ledger::trace(|| format!("  clones its {} of channel {}", end.name(), held.channel));
            seat.world.borrow_mut().channels[held.channel].ends[held.end.side()] += 1;
            let clone = Held { channel: held.channel, end };
            return (Some(held), Some(clone));
        }
    }
    let mut held = held;
    operate(seat, &mut held, code, arg).await;
    (Some(held), None)
}

/// The first step of an operation follows at once, for most arguments.
pub(crate) fn first(arg: u8) -> Option<Command> {
    match arg >> 4 {
        14 => None,
        15 => Some(Command::Now),
        13 => Some(Command::TimeOut),
        _ => Some(Command::Poll),
    }
}

async fn operate(seat: &Seat, held: &mut Held, code: u8, arg: u8) {
    let first = first(arg);
    let n = usize::from(arg % 16 % 5);
    ledger::trace(|| {
        format!("  begins with its {} of channel {} ({code}, {n})", held.end.name(), held.channel)
    });
    if code % 16 == 2 {
        return closed(seat, held, first).await;
    }
    match &mut held.end {
        End::Server(server) => match code % 4 {
            0 => {
                let arm = Arm::new(held.channel, SENDING, Deed::Demand);
                run!(seat, arm, first, server.demand());
            }
            1 => {
                let (arm, value) = Arm::new(held.channel, SENDING, Deed::Send).with_value();
                run!(seat, arm, first, server.answer(value), send);
            }
            2 => {
                let (arm, values) =
                    Arm::new(held.channel, SENDING, Deed::SendAll).with_lazy_values(n);
                run!(seat, arm, first, server.send_all(values));
            }
            _ => {
                let (arm, value) = Arm::new(held.channel, SENDING, Deed::Send).with_value();
                run!(seat, arm, first, server.send(value), send);
            }
        },
        End::Client(client) => {
            let arm = Arm::new(held.channel, RECEIVING, Deed::Receive);
            if code % 4 == 0 {
                run!(seat, arm, first, client.owed());
            } else {
                run!(seat, arm, first, client.recv());
            }
        }
        End::Answering(server) => match code % 4 {
            0 => {
                let arm = Arm::new(held.channel, SENDING, Deed::Demand);
                run!(seat, arm, first, server.demand());
            }
            1 => {
                let (arm, value) = Arm::new(held.channel, SENDING, Deed::Send).with_value();
                run!(seat, arm, first, server.answer(value), send);
            }
            _ => {
                let (arm, value) = Arm::new(held.channel, SENDING, Deed::Send).with_value();
                run!(seat, arm, first, server.exchange(value), send);
            }
        },
        End::Asking(client) => {
            if code % 3 == 0 {
                let arm = Arm::new(held.channel, RECEIVING, Deed::Receive);
                run!(seat, arm, first, client.owed());
            } else {
                let (arm, value) = Arm::new(held.channel, RECEIVING, Deed::Ask).with_value();
                run!(seat, arm, first, client.exchange(value), send);
            }
        }
        End::Writer(writer) => write(seat, held.channel, writer, code, n, first).await,
        End::Reader(reader) => read(seat, held.channel, reader, code, n, first).await,
        End::Sender(tx) => match code % 4 {
            0 => {
                let arm = Arm::new(held.channel, SENDING, Deed::Reserve);
                if let Some(permit) = run!(seat, arm, first, tx.reserve()) {
                    hold(seat, held.channel, permit).await;
                }
            }
            1 => {
                let (arm, values) =
                    Arm::new(held.channel, SENDING, Deed::SendAll).with_lazy_values(n);
                run!(seat, arm, first, tx.send_all(values));
            }
            _ => {
                let (arm, value) = Arm::new(held.channel, SENDING, Deed::Send).with_value();
                run!(seat, arm, first, tx.send(value), send);
            }
        },
        End::Receiver(rx) => {
            let arm = Arm::new(held.channel, RECEIVING, Deed::Receive);
            run!(seat, arm, first, rx.recv());
        }
        End::PipeWriter(writer) => {
            let arm = Arm::new(held.channel, SENDING, Deed::Demand);
            writer.write(seat, arm, n + 1, first).await;
        }
        End::PipeReader(reader) => {
            let arm = Arm::new(held.channel, RECEIVING, Deed::Demand);
            reader.read(seat, arm, code, n + 1, first).await;
        }
    }
}

async fn closed(seat: &Seat, held: &mut Held, first: Option<Command>) {
    let arm = held.arm(Deed::Closed);
    match &mut held.end {
        End::Server(server) => drop(run!(seat, arm, first, server.closed())),
        End::Client(client) => drop(run!(seat, arm, first, client.closed())),
        End::Answering(server) => drop(run!(seat, arm, first, server.closed())),
        End::Asking(client) => drop(run!(seat, arm, first, client.closed())),
        End::Writer(writer) => drop(run!(seat, arm, first, writer.closed())),
        End::Reader(reader) => drop(run!(seat, arm, first, reader.closed())),
        End::Sender(tx) => drop(run!(seat, arm, first, tx.closed())),
        End::Receiver(rx) => drop(run!(seat, arm, first, rx.closed())),
        End::PipeWriter(_) | End::PipeReader(_) => {}
    }
}

async fn write(
    seat: &Seat,
    channel: usize,
    writer: &mut Writer<Value>,
    code: u8,
    n: usize,
    first: Option<Command>,
) {
    let arm = |deed| Arm::new(channel, SENDING, deed);
    let vague = |values: Vec<Value>| {
        let mut values = values.into_iter();
        std::iter::from_fn(move || values.next())
    };
    match code % 8 {
        0 => drop(run!(seat, arm(Deed::Flush), first, writer.flush())),
        1 => drop(run!(seat, arm(Deed::Demand), first, writer.wanted())),
        2 => {
            let (arm, values) = arm(Deed::SendAll).with_values(n);
            run!(seat, arm, first, writer.write(vague(values)));
        }
        3 => {
            let (arm, values) = arm(Deed::SendAll).with_values(n);
            run!(seat, arm, first, writer.write_local(values));
        }
        4 => {
            let (arm, values) = arm(Deed::SendAll).with_values(n);
            run!(seat, arm, first, writer.write_local(vague(values)));
        }
        5 => {
            let (arm, value) = arm(Deed::Send).with_value();
            run!(seat, arm, first, writer.send(value), send);
        }
        _ => {
            let (arm, values) = arm(Deed::SendAll).with_values(n);
            run!(seat, arm, first, writer.write(values));
        }
    }
}

async fn read(
    seat: &Seat,
    channel: usize,
    reader: &mut Reader<Value>,
    code: u8,
    n: usize,
    first: Option<Command>,
) {
    let arm = |deed| Arm::new(channel, RECEIVING, deed);
    match code % 8 {
        0 => {
            let arm = arm(Deed::Receive);
            run!(seat, arm, first, reader.read_some(n + 1));
        }
        1 => drop(run!(seat, arm(Deed::Receive), first, reader.read_all(), gathers)),
        2 => super::sequences::read_once(seat, arm(Deed::Receive), reader, n, first).await,
        3 => super::sequences::ahead(seat, channel, reader, n + 1, first).await,
        4 => super::sequences::read_into(seat, channel, reader, n + 1, first).await,
        5 => drop(run!(seat, arm(Deed::Receive), first, reader.recv())),
        _ => drop(run!(seat, arm(Deed::Read(n)), first, reader.read(n), gathers)),
    }
}

/// A party that has a permit uses it when it is polled next.
pub(crate) async fn hold(seat: &Seat, channel: usize, permit: Permit<'_, Value>) {
    let me = seat.number;
    seat.world.borrow_mut().seats[me].is_busy = true;
    seat.is_woken.set(false);
    loop {
        match seat.next().await {
            Command::Poll | Command::PollAnew => {
                let (arm, value) = Arm::new(channel, SENDING, Deed::SendByPermit).with_value();
                seat.world.borrow_mut().channels[channel].permits -= 1;
                ledger::trace(|| format!("  uses its permit: #{}", value.0));
                run!(seat, arm, Some(Command::Poll), permit.send(value), send);
                return;
            }
            Command::Drop | Command::Reclaim => {
                ledger::trace(|| "  drops its permit".to_owned());
                seat.world.borrow_mut().channels[channel].permits -= 1;
                seat.call(|| drop(permit));
                break;
            }
            Command::Forget => {
                // It stays for ever.
                std::mem::forget(permit);
                break;
            }
            _ => {}
        }
    }
    seat.world.borrow_mut().seats[me].is_busy = false;
}

/// A plain send or receive, which meets another such one.
pub(crate) async fn use_end(seat: &Seat, held: &mut Held) {
    // Of each kind of end, the codes of `operate` that mean that.
    let code = match held.end {
        End::Writer(_) | End::Reader(_) => 5,
        End::Asking(_) if seat.world.borrow().end_for(held.channel, RECEIVING).is_some() => 3,
        End::Asking(_) => 4,
        _ => 3,
    };
    operate(seat, held, code, 0).await;
}

/// The end leaves, in one of the ways that it has.
pub(crate) fn leave(seat: &Seat, held: Held, arg: u8) {
    let (channel, side) = (held.channel, held.end.side());
    let name = held.end.name();
    let word = match arg % 4 {
        0 => Why::Closed,
        1 => Why::Panicked,
        _ => Why::Dropped,
    };
    let world = &seat.world;
    let say = |why| {
        ledger::trace(|| format!("  leaves with its {name} of channel {channel}: {why:?}"));
        world.borrow_mut().leave(channel, side, why);
    };
    match (held.end, word) {
        (End::Server(server), Why::Closed) if arg & 4 == 0 => {
            finish_with(seat, channel, |value| server.finish_with(value))
        }
        (End::Answering(server), Why::Closed) if arg & 4 == 0 => {
            finish_with(seat, channel, |value| server.finish_with(value))
        }
        (End::Writer(writer), word) => {
            say(word);
            let result = seat.call(|| match word {
                Why::Closed => writer.finish(),
                Why::Dropped => {
                    drop(writer);
                    Ok(())
                }
                word => writer.end_as(word),
            });
            match result {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    let values = error.into_unsent().expect("a batch");
                    world.borrow_mut().take_back_batch(values);
                }
                None => world.borrow_mut().interrupt(channel),
            }
        }
        (End::Sender(tx), Why::Panicked) => {
            // All ends at once; this one is dropped.
            let is_first = seat.call(|| tx.close());
            world.borrow_mut().close(channel, is_first);
            say(Why::Dropped);
            seat.call(|| drop(tx));
        }
        (End::Receiver(rx), Why::Panicked) => {
            let is_first = seat.call(|| rx.close());
            world.borrow_mut().close(channel, is_first);
            say(Why::Dropped);
            seat.call(|| drop(rx));
        }
        (end, word) => {
            let word = end_word(&end, word);
            say(word);
            seat.call(|| match (end, word) {
                (end, Why::Dropped) => drop(end),
                (End::Server(server), Why::Closed) => server.finish(),
                (End::Server(server), word) => server.end_as(word),
                (End::Answering(server), Why::Closed) => server.finish(),
                (End::Answering(server), word) => server.end_as(word),
                (End::Client(client), Why::Closed) => client.close(),
                (End::Client(client), word) => client.end_as(word),
                (End::Asking(client), Why::Closed) => client.close(),
                (End::Asking(client), word) => client.end_as(word),
                (End::Reader(reader), Why::Closed) => reader.close(),
                (End::Reader(reader), word) => reader.end_as(word),
                (End::Sender(tx), _) => tx.finish(),
                (End::Receiver(rx), _) => rx.finish(),
                (End::PipeWriter(writer), _) => writer.finish(),
                (end, _) => drop(end),
            });
        }
    }
}

/// What the end can say.
fn end_word(end: &End, word: Why) -> Why {
    match (end, word) {
        (End::PipeWriter(_), Why::Panicked) | (End::PipeReader(_), _) => Why::Dropped,
        (_, word) => word,
    }
}

fn finish_with(
    seat: &Seat,
    channel: usize,
    finish: impl FnOnce(Value) -> Result<(), handover::SendError<Value>>,
) {
    let value = Value::new(channel, false);
    let id = value.0;
    let result = seat.call(|| finish(value));
    let mut world = seat.world.borrow_mut();
    match result {
        Some(Ok(())) => {
            world.leave(channel, SENDING, Why::Closed);
            world.leave_value(id, None);
        }
        Some(Err(error)) => {
            let why = if error.why() == Why::OutOfTurn { Why::Dropped } else { Why::Closed };
            world.leave(channel, SENDING, why);
            world.leave_value(id, error.into_unsent());
        }
        // It was interrupted: which of both words was said is not told.
        None => {
            world.leave(channel, SENDING, Why::Closed);
            world.interrupt(channel);
        }
    }
    ledger::trace(|| format!("  finishes channel {channel} with #{id}"));
}
