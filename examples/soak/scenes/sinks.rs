//! The sending ends as sinks, whose calls are polled and given up; and `send_stream`.

use std::future::poll_fn;
use std::pin::Pin;

use futures_util::{Sink, stream};
use handover::{SendError, Sender, Server, Writer, rendezvous, simplex, stream as new_stream};

use super::{Party, lockstep, many, party, stream as batches};
use crate::chance::Chance;
use crate::oracle::Fate;
use crate::party::{Me, Modes, Not, catch};
use crate::value::Value;

pub(super) fn make(chance: &mut Chance, modes: &mut Modes) -> Vec<Party> {
    match chance.below(3) {
        0 => {
            let (server, client) = simplex();
            vec![party!(|me| serve(me, server)), party!(|me| lockstep::take(me, client))]
        }
        1 => {
            let (writer, reader) = new_stream();
            vec![party!(|me| write(me, writer)), party!(|me| batches::read(me, reader))]
        }
        _ => {
            modes.is_bounded |= modes.forgets;
            let (tx, rx) = rendezvous();
            let mut parties: Vec<Party> = Vec::new();
            for _ in 0..=chance.below(2) {
                let (tx, rx) = (tx.clone(), rx.clone());
                parties.push(party!(|me| send(me, tx)));
                parties.push(party!(|me| many::receive(me, rx)));
            }
            parties
        }
    }
}

/// What the sink has started, and was not told to be taken.
struct Started {
    serials: Vec<usize>,
    /// What it means that an item is on its way, and that it was taken.
    fates: [Fate; 2],
}

impl Started {
    const fn new(on_its_way: Fate, taken: Fate) -> Self {
        Self { serials: Vec::new(), fates: [on_its_way, taken] }
    }

    fn taken(&mut self, me: &mut Me) {
        for serial in self.serials.drain(..) {
            // What came back stays that.
            if me.log.fates[serial] == self.fates[0] {
                me.log.fates[serial] = self.fates[1];
            }
        }
    }
}

/// What a call of a sink has told: `Err` if the sink is of no use any more.
fn told(me: &mut Me, told: Option<Result<(), SendError<Value>>>) -> Result<bool, Not> {
    match told {
        None => Ok(false),
        Some(Ok(())) => Ok(true),
        Some(Err(error)) => {
            let is_end = error.is_end();
            error.into_unsent().into_iter().for_each(|value| me.back(value));
            if is_end { Err(Not::Ended) } else { Ok(false) }
        }
    }
}

/// Starts some items, each when the sink is ready; at times flushes.
async fn feed<S: Sink<Value, Error = SendError<Value>> + Unpin>(
    me: &mut Me,
    sink: &mut S,
    started: &mut Started,
) -> Result<(), Not> {
    for _ in 0..me.chance.below(8) {
        me.dawdle().await;
        if me.chance.one_in(3) {
            let flush = poll_fn(|context| Pin::new(&mut *sink).poll_flush(context));
            let flushed = me.some_or_all("Sink::poll_flush", flush).await;
            if told(me, flushed)? {
                started.taken(me);
            }
            continue;
        }
        let ready = poll_fn(|context| Pin::new(&mut *sink).poll_ready(context));
        let ready = me.some_or_all("Sink::poll_ready", ready).await;
        if !told(me, ready)? {
            continue;
        }
        if started.fates[0] == Fate::Untold {
            started.taken(me);
        }
        if me.chance.one_in(8) {
            continue;
        }
        let (serial, value) = me.make();
        let sent = catch(|| Pin::new(&mut *sink).start_send(value));
        if sent.is_none() || told(me, sent)? {
            me.log.fates[serial] = started.fates[0];
            started.serials.push(serial);
        }
    }
    Ok(())
}

async fn close<S: Sink<Value, Error = SendError<Value>> + Unpin>(
    me: &mut Me,
    mut sink: S,
    started: &mut Started,
    flushes: bool,
) {
    if me.chance.one_in(2) {
        let close = poll_fn(|context| Pin::new(&mut sink).poll_close(context));
        let closed = me.some_or_all("Sink::poll_close", close).await;
        if told(me, closed) == Ok(true) && flushes {
            started.taken(me);
        }
    }
    if me.chance.one_in(4) {
        me.panic_with(sink);
    } else {
        me.quietly("the drop of a sink", || drop(sink));
    }
}

async fn serve(me: &mut Me, mut server: Server<Value>) {
    let mut started = Started::new(Fate::Left, Fate::Delivered);
    for _ in 0..me.chance.below(8) {
        let has_ended = if me.chance.one_in(3) {
            let (written, items) = me.sequence();
            let items = stream::iter(items);
            let sent = me.some_or_all("Server::send_stream", server.send_stream(items)).await;
            me.forwarded(&written, Fate::Left, sent)
        } else {
            feed(me, &mut server, &mut started).await
        };
        if has_ended == Err(Not::Ended) {
            break;
        }
    }
    close(me, server, &mut started, false).await;
}

async fn write(me: &mut Me, mut writer: Writer<Value>) {
    let mut started = Started::new(Fate::Left, Fate::Left);
    for _ in 0..me.chance.below(8) {
        let has_ended = if me.chance.one_in(3) {
            let (written, items) = me.sequence();
            let items = stream::iter(items);
            let sent = me.some_or_all("Writer::send_stream", writer.send_stream(items)).await;
            me.forwarded(&written, Fate::Left, sent)
        } else {
            feed(me, &mut writer, &mut started).await
        };
        if has_ended == Err(Not::Ended) {
            break;
        }
    }
    close(me, writer, &mut started, false).await;
}

async fn send(me: &mut Me, mut tx: Sender<Value>) {
    me.log.may_be_late = true;
    for _ in 0..me.chance.below(4) {
        let (written, items) = me.sequence();
        let items = stream::iter(items);
        let sent = me.some_or_all("Sender::send_stream", tx.send_stream(items)).await;
        if me.forwarded(&written, Fate::Untold, sent) == Err(Not::Ended) {
            break;
        }
        let mut sink = tx.into_sink();
        let mut started = Started::new(Fate::Untold, Fate::Delivered);
        let has_ended = feed(me, &mut sink, &mut started).await;
        if me.chance.one_in(3) {
            me.begin("SenderSink::reclaim");
            if let Some(value) = catch(|| sink.reclaim()).flatten() {
                me.back(value);
            }
        }
        if has_ended.is_err() || me.chance.one_in(2) {
            return close(me, sink, &mut started, true).await;
        }
        me.begin("SenderSink::into_inner");
        match catch(|| sink.into_inner()).flatten() {
            Some(inner) => tx = inner,
            None => return,
        }
    }
    me.quietly("Sender::finish", || tx.finish());
}
