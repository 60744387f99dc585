//! A server and a client, of a `simplex` or of a `duplex`.

use handover::{Client, Server, Why, duplex as new_duplex, simplex as new_simplex};

use super::{Party, party};
use crate::chance::Chance;
use crate::oracle::Fate;
use crate::party::{Me, Modes, Not, catch};
use crate::value::Value;

pub(super) fn simplex(_: &mut Chance, _: &mut Modes) -> Vec<Party> {
    let (server, client) = new_simplex();
    vec![party!(|me| serve_simplex(me, server)), party!(|me| take(me, client))]
}

pub(super) fn duplex(chance: &mut Chance, _: &mut Modes) -> Vec<Party> {
    let (server, client) = new_duplex();
    let is_attentive = chance.one_in(2);
    vec![
        party!(|me| serve_duplex(me, server, is_attentive)),
        party!(|me| ask(me, client, is_attentive)),
    ]
}

async fn serve_simplex(me: &mut Me, mut server: Server<Value>) {
    for _ in 0..me.chance.below(50) {
        me.dawdle().await;
        let served = match me.chance.below(8) {
            0 => me.receive("Server::demand", server.demand()).await,
            1..3 => {
                let (serial, value) = me.make();
                me.carry("Server::answer", serial, Fate::Delivered, server.answer(value)).await
            }
            3 => {
                let (written, items) = me.sequence();
                me.write(
                    "Server::send_all",
                    &written,
                    Fate::Delivered,
                    true,
                    server.send_all(items),
                )
                .await
            }
            _ => {
                let (serial, value) = me.make();
                me.carry("Server::send", serial, Fate::Delivered, server.send(value)).await
            }
        };
        if served == Err(Not::Ended) {
            break;
        }
    }
    end_server(me, server, true);
}

/// With `is_attentive` it looks at every demand, and otherwise drops some.
async fn serve_duplex(me: &mut Me, mut server: Server<Value, Value>, is_attentive: bool) {
    for _ in 0..me.chance.below(50) {
        me.dawdle().await;
        if is_attentive || me.chance.one_in(4) {
            match me.receive("Server::demand", server.demand()).await {
                Ok(demand) => me.got(demand),
                Err(Not::Ended) => break,
                Err(Not::Yet) if is_attentive => continue,
                Err(Not::Yet) => {}
            }
        }
        let (serial, value) = me.make();
        if is_attentive || me.chance.one_in(3) {
            // Until it is taken: nothing may be demanded of a server that still owes an answer.
            let answered =
                me.carry("Server::answer", serial, Fate::Delivered, server.answer(value)).await;
            if answered == Err(Not::Ended) {
                break;
            }
            continue;
        }
        match me.carry("Server::exchange", serial, Fate::Delivered, server.exchange(value)).await {
            Ok(demand) => me.got(demand),
            Err(Not::Ended) => break,
            Err(Not::Yet) => {}
        }
    }
    end_server(me, server, !is_attentive);
}

/// The server leaves, in one of the ways. A last answer drops the demand that came up before it, so it is left out where none may be dropped.
fn end_server<U>(me: &mut Me, server: Server<Value, U>, may_answer: bool) {
    match me.chance.below(6) {
        0 => me.quietly("Server::drop", || drop(server)),
        1 => me.panic_with(server),
        2 => me.quietly("Server::end_as", || server.end_as(Why::Panicked)),
        3 if may_answer => {
            let (serial, value) = me.make();
            me.note("Server::finish_with");
            match catch(|| server.finish_with(value)) {
                Some(told) => _ = me.told(serial, Fate::Left, Some(told)),
                None => me.log.fates[serial] = Fate::Untold,
            }
        }
        _ => me.quietly("Server::finish", || server.finish()),
    }
}

pub(super) async fn take(me: &mut Me, mut client: Client<Value>) {
    me.log.is_receiver = true;
    for _ in 0..me.chance.below(70) {
        me.dawdle().await;
        let got = match me.chance.below(6) {
            0 => me.first("Client::stream", client.stream()).await,
            1 if me.is_thread() && !me.modes.is_bounded => {
                me.begin("Client::iter");
                catch(|| client.iter().next())
                    .ok_or(Not::Yet)
                    .and_then(|next| next.ok_or(Not::Ended))
            }
            2 if me.chance.one_in(4) => {
                // Only for a while, since the server may wait for a demand. What it has left still comes.
                _ = me.receive_briefly("Client::closed", client.closed()).await;
                continue;
            }
            _ => me.receive("Client::recv", client.recv()).await,
        };
        match got {
            Ok(value) => me.got(value),
            Err(Not::Ended) => {
                me.log.has_seen_end = true;
                break;
            }
            Err(Not::Yet) => {}
        }
    }
    end_client(me, client);
}

async fn ask(me: &mut Me, mut client: Client<Value, Value>, is_attentive: bool) {
    me.log.is_receiver = true;
    // A server that looks at every demand must have got what was taken of it.
    let taken = if is_attentive { Fate::Delivered } else { Fate::Untold };
    for _ in 0..me.chance.below(70) {
        me.dawdle().await;
        let (serial, value) = me.make();
        let asked = me.carry("Client::exchange", serial, taken, client.exchange(value)).await;
        let answer = match asked {
            // It was taken, or refused since an answer is owed, or it was withdrawn.
            Err(Not::Yet) if me.chance.one_in(2) => me.receive("Client::owed", client.owed()).await,
            other => other,
        };
        match answer {
            Ok(value) => me.got(value),
            Err(Not::Ended) => {
                me.log.has_seen_end = true;
                break;
            }
            Err(Not::Yet) => {}
        }
    }
    end_client(me, client);
}

fn end_client<U>(me: &mut Me, client: Client<Value, U>) {
    match me.chance.below(5) {
        0 => me.quietly("Client::drop", || drop(client)),
        1 => me.panic_with(client),
        2 => me.quietly("Client::end_as", || client.end_as(Why::Dropped)),
        _ => me.quietly("Client::close", || client.close()),
    }
}
