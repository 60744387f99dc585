//! Simplex and duplex channels beside a rendezvous: two servers and a sender, one party that selects from all three and has each item echoed by a fourth server.
//!
//! An operation that was given up is begun again until it is done, so each item of a server must arrive, in order, and the end after it.

use std::mem;

use handover::op::{Recv, Take};
use handover::{
    Client, Receiver, RecvError, Sel2, SendError, Sender, Server, Why, duplex, rendezvous, simplex,
};
use shuttle::future::block_on;
use shuttle::thread;

use crate::census::{Census, Item};
use crate::explore::{note, tally};
use crate::ways::{Driven, Way, below, choose, drive, one_in};

/// One of the servers, and how it ends.
#[derive(Clone, Copy)]
struct Plan {
    source: usize,
    items: usize,
    finishes: bool,
}

/// How many items the client has taken, as the server knows.
struct Sent {
    items: usize,
    /// One more was left behind for it.
    has_left_one: bool,
    /// The send of one more was forgotten. If it was put by then, it stays until it is taken.
    has_forgotten_one: bool,
}

/// Sends its items. What comes by `noise` is nothing but another arm.
async fn serve(
    mut server: Server<Item>,
    plan: Plan,
    noise: Option<Receiver<Item>>,
    census: Census,
) -> Sent {
    let mut sent = Sent { items: 0, has_left_one: false, has_forgotten_one: false };
    while sent.items < plan.items {
        let item = census.item(plan.source, sent.items);
        if plan.finishes && sent.items + 1 == plan.items && one_in(4) {
            sent.has_left_one = server.finish_with(item).is_ok();
            return sent;
        }
        let way = Way::any();
        note(|| format!("server {}: sends {} by {way:?}", plan.source, sent.items));
        let is_taken_or_end = match &noise {
            Some(noise) if one_in(3) => send_beside(&mut server, item, noise, way).await,
            _ if one_in(4) => send_rest(&mut server, plan, &mut sent, way, &census).await,
            _ => match drive(server.send(item), way).await {
                Driven::Done(result) => taken_or_end(result),
                Driven::Nothing => unreachable!("a send tells"),
                Driven::Left(send) if one_in(6) => {
                    mem::forget(send);
                    sent.has_forgotten_one = true;
                    break;
                }
                Driven::Left(send) => Ok(send.reclaim().is_none()),
            },
        };
        match is_taken_or_end {
            Ok(is_taken) => sent.items += usize::from(is_taken),
            Err(is_taken) => {
                sent.items += usize::from(is_taken);
                return sent;
            }
        }
    }
    if plan.finishes {
        server.finish()
    } else {
        drop(server)
    }
    sent
}

/// Whether the item of a send was taken; as an error, if the client has left.
fn taken_or_end<T>(result: Result<(), SendError<T>>) -> Result<bool, bool> {
    let Err(error) = result else { return Ok(true) };
    let is_taken = error.unsent().is_none();
    if error.is_end() { Err(is_taken) } else { Ok(is_taken) }
}

async fn send_beside(
    server: &mut Server<Item>,
    item: Item,
    noise: &Receiver<Item>,
    way: Way,
) -> Result<bool, bool> {
    let mut send = server.send(item);
    // A receive that is forgotten could hold up the sender for ever.
    let is_forgotten = one_in(4);
    let receives: Vec<Take<'_, Item>> = if is_forgotten { Vec::new() } else { vec![noise.recv()] };
    let way = if is_forgotten { Way::Leave(1) } else { way };
    match drive(choose((&mut send, receives)), way).await {
        Driven::Done(Sel2::A(result)) => return taken_or_end(result),
        Driven::Left(select) if is_forgotten => mem::forget(select),
        _ => {}
    }
    Ok(send.reclaim().is_none())
}

/// Sends all items that are left, by one operation. It is done by the error, or the others are not known.
async fn send_rest(
    server: &mut Server<Item>,
    plan: Plan,
    sent: &mut Sent,
    way: Way,
    census: &Census,
) -> Result<bool, bool> {
    let items: Vec<Item> =
        (sent.items..plan.items).map(|number| census.item(plan.source, number)).collect();
    let way = if matches!(way, Way::Leave(_)) { Way::for_good() } else { way };
    let Driven::Done(result) = drive(server.send_all(items), way).await else {
        unreachable!("it tells")
    };
    let Err(error) = result else {
        sent.items = plan.items;
        return Ok(false);
    };
    let is_end = error.is_end();
    let rest = error.into_rest().count();
    sent.items = plan.items - rest;
    if is_end { Err(false) } else { Ok(false) }
}

/// Sends into the rendezvous. What is withdrawn is sent again, so that each comes.
async fn send(tx: Sender<Item>, items: usize, census: Census) -> usize {
    let mut number = 0;
    while number < items {
        let way = Way::any();
        let is_taken_or_end = match drive(tx.send(census.item(2, number)), way).await {
            Driven::Done(result) => taken_or_end(result),
            Driven::Nothing => unreachable!("a send tells"),
            Driven::Left(send) => Ok(send.reclaim().is_none()),
        };
        match is_taken_or_end {
            Ok(is_taken) => number += usize::from(is_taken),
            Err(_) => return number,
        }
    }
    if one_in(2) {
        tx.close();
    }
    number
}

/// What the echo makes of an item.
fn code((source, number): (usize, usize)) -> usize {
    1000 * source + number
}

/// Answers each item with its code. Gives what it was asked.
async fn echo(mut server: Server<usize, Item>) -> Vec<(usize, usize)> {
    let mut asked = Vec::new();
    let mut next: Option<(usize, usize)> = None;
    loop {
        let way = Way::any();
        let demanded = match next {
            None => match drive(server.demand(), way).await {
                Driven::Done(result) => result.map_err(|error| error.is_end()),
                _ => Err(false),
            },
            Some(key) if one_in(2) => match drive(server.exchange(code(key)), way).await {
                Driven::Done(result) => result.map_err(|error| {
                    next = next.filter(|_| error.unsent().is_some());
                    error.is_end()
                }),
                Driven::Nothing => unreachable!("it tells"),
                Driven::Left(exchange) => {
                    next = next.filter(|_| exchange.reclaim().is_some());
                    Err(false)
                }
            },
            Some(key) => {
                let is_end = match drive(server.answer(code(key)), way).await {
                    Driven::Done(Ok(())) => {
                        next = None;
                        false
                    }
                    Driven::Done(Err(error)) => {
                        next = next.filter(|_| error.unsent().is_some());
                        error.is_end()
                    }
                    Driven::Nothing => unreachable!("it tells"),
                    Driven::Left(answer) => {
                        next = next.filter(|_| answer.reclaim().is_some());
                        false
                    }
                };
                Err(is_end)
            }
        };
        match demanded {
            Ok(item) => {
                asked.push(item.key());
                next = Some(item.key());
            }
            Err(true) => return asked,
            Err(false) => {}
        }
    }
}

/// Has an item echoed, however often an operation is given up.
async fn ask(client: &mut Client<usize, Item>, item: Item) {
    let due = code(item.key());
    let mut item = Some(item);
    loop {
        let way = Way::any();
        let answer = match item.take() {
            Some(demand) => match drive(client.exchange(demand), way).await {
                Driven::Done(Ok(answer)) => Some(answer),
                Driven::Done(Err(error)) => {
                    assert!(!error.is_end(), "the echo has left: {error:?}");
                    item = error.into_unsent();
                    None
                }
                Driven::Nothing => unreachable!("it tells"),
                Driven::Left(exchange) => {
                    item = exchange.reclaim();
                    None
                }
            },
            None => match drive(client.owed(), way).await {
                Driven::Done(Ok(answer)) => Some(answer),
                Driven::Done(Err(error)) => {
                    assert!(!error.is_end(), "the echo has left: {error:?}");
                    None
                }
                _ => None,
            },
        };
        if let Some(answer) = answer {
            return assert_eq!(answer, due, "the answer to another item");
        }
    }
}

/// The clients that have not ended, and the receiver.
struct Inputs {
    clients: Vec<(usize, Client<Item>)>,
    receiver: Option<Receiver<Item>>,
}

impl Inputs {
    /// The next item of any source, or which source has ended.
    async fn next(&mut self) -> Option<(usize, Result<Item, RecvError>)> {
        let way = Way::any();
        if self.clients.len() == 1 && self.receiver.is_none() && one_in(2) {
            let (source, client) = &mut self.clients[0];
            return match drive(client.recv(), way).await {
                Driven::Done(result) => Some((*source, result)),
                _ => None,
            };
        }
        let sources: Vec<usize> = self.clients.iter().map(|(source, _)| *source).collect();
        let clients: Vec<Recv<'_, Item, ()>> =
            self.clients.iter_mut().map(|(_, client)| client.recv()).collect();
        let receivers: Vec<Take<'_, Item>> = self.receiver.iter().map(Receiver::recv).collect();
        match drive(choose((clients, receivers)), way).await {
            Driven::Done(Sel2::A((at, result))) => Some((sources[at], result)),
            Driven::Done(Sel2::B((_, result))) => Some((2, result)),
            Driven::Left(select) if self.receiver.is_none() && one_in(3) => {
                // What it asked for comes with the next one. (A forgotten receive could hold up the sender for ever.)
                mem::forget(select);
                None
            }
            _ => None,
        }
    }

    fn remove(&mut self, source: usize) {
        if source == 2 {
            self.receiver = None;
        }
        self.clients.retain(|(other, _)| *other != source);
    }
}

/// If `leaves_early`, the selecting party leaves in the middle.
pub(crate) fn run(leaves_early: bool) {
    let census = Census::default();
    let plans = [0, 1].map(|source| Plan { source, items: below(4), finishes: one_in(2) });
    let (tx, rx) = rendezvous::<Item>();
    let noise = one_in(2).then(|| rx.clone());
    let is_noisy = noise.is_some();
    let mut clients = Vec::new();
    let servers = plans.map(|plan| {
        let (server, client) = simplex::<Item>();
        clients.push((plan.source, client));
        let (noise, census) = (noise.clone(), census.clone());
        thread::spawn(move || block_on(serve(server, plan, noise, census)))
    });
    drop(noise);
    let items = below(4);
    let sender = {
        let census = census.clone();
        thread::spawn(move || block_on(send(tx, items, census)))
    };
    let (server, mut client) = duplex::<usize, Item>();
    let echo = thread::spawn(move || block_on(echo(server)));

    let mut inputs = Inputs { clients, receiver: Some(rx) };
    let mut due = [0; 3];
    let mut merged = Vec::new();
    let mut has_left = false;
    block_on(async {
        while !inputs.clients.is_empty() || inputs.receiver.is_some() {
            if leaves_early && one_in(8) {
                has_left = true;
                break;
            }
            match inputs.next().await {
                None => {}
                Some((source, Ok(item))) => {
                    assert_eq!(item.source, source);
                    // The servers take some of the sender's items.
                    let may_skip = source == 2 && is_noisy && item.number > due[source];
                    let is_due = item.number == due[source];
                    assert!(is_due || may_skip, "{:?}, and {} is due", item.key(), due[source]);
                    due[source] = item.number + 1;
                    merged.push(item.key());
                    ask(&mut client, item).await;
                }
                Some((source, Err(error))) if error.is_end() => {
                    if let Some(plan) = plans.get(source) {
                        assert_eq!(error.why() == Why::Closed, plan.finishes, "{error:?}");
                    }
                    inputs.remove(source);
                }
                Some(_) => {}
            }
        }
    });
    drop(inputs);
    if one_in(2) {
        client.close()
    } else {
        drop(client)
    }
    let sent = servers.map(|server| server.join().unwrap());
    let sent_by_sender = sender.join().unwrap();
    assert_eq!(echo.join().unwrap(), merged, "what was echoed");
    let mut forgotten = 0;
    for (source, sent) in sent.iter().enumerate() {
        let came = due[source];
        let left = sent.items + usize::from(sent.has_left_one);
        let most = left + usize::from(sent.has_forgotten_one);
        let least = if has_left { sent.items } else { left };
        assert!((least..=most).contains(&came), "source {source}: {came}, not {least} to {most}");
        forgotten += most - came.max(left);
    }
    if !is_noisy && !has_left {
        assert_eq!(sent_by_sender, due[2]);
    }
    census.assert_at_most(forgotten); // In operations that were forgotten.
    tally(plans.iter().map(|plan| plan.items).sum::<usize>() + items, merged.len());
}
