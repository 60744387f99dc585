//! Up to three senders and three receivers of one `rendezvous`, with permits, watchers and weak ends.

use handover::{Receiver, Sender, rendezvous};

use super::{Party, party};
use crate::chance::Chance;
use crate::oracle::Fate;
use crate::party::{Me, Modes, Not, catch};
use crate::value::Value;

pub(super) fn make(chance: &mut Chance, modes: &mut Modes) -> Vec<Party> {
    // A receive or a permit that was forgotten may keep an offer for ever.
    modes.is_bounded |= modes.forgets;
    let (tx, rx) = rendezvous();
    let mut parties: Vec<Party> = Vec::new();
    for _ in 0..=chance.below(3) {
        let tx = tx.clone();
        parties.push(party!(|me| send(me, tx)));
    }
    for _ in 0..=chance.below(3) {
        let rx = rx.clone();
        parties.push(party!(|me| receive(me, rx)));
    }
    parties
}

async fn send(me: &mut Me, tx: Sender<Value>) {
    let weak = tx.downgrade();
    for _ in 0..me.chance.below(50) {
        me.dawdle().await;
        let sent = match me.chance.below(12) {
            0..3 => match me.receive("Sender::reserve", tx.reserve()).await {
                Ok(permit) if me.chance.one_in(4) => {
                    me.quietly("Permit::drop", || drop(permit));
                    Ok(())
                }
                Ok(permit) => {
                    let (serial, value) = me.make();
                    me.carry("Permit::send", serial, Fate::Delivered, permit.send(value)).await
                }
                Err(not) => Err(not),
            },
            3 => {
                let (written, items) = me.sequence();
                me.write("Sender::send_all", &written, Fate::Delivered, true, tx.send_all(items))
                    .await
            }
            4 if me.chance.one_in(4) => {
                // Somebody may still receive, so only for a while.
                let closed = me.receive_briefly("Sender::closed", tx.closed()).await;
                if closed.is_ok() { Err(Not::Ended) } else { Ok(()) }
            }
            5 if me.chance.one_in(4) => match weak.upgrade() {
                Some(other) => {
                    let (serial, value) = me.make();
                    let sent =
                        me.carry("Sender::send", serial, Fate::Delivered, other.send(value)).await;
                    me.quietly("Sender::finish", || other.finish());
                    sent
                }
                None => Ok(()),
            },
            _ => {
                let (serial, value) = me.make();
                me.carry("Sender::send", serial, Fate::Delivered, tx.send(value)).await
            }
        };
        if sent == Err(Not::Ended) {
            break;
        }
    }
    me.quietly("WeakSender::drop", || drop(weak));
    match me.chance.below(10) {
        0..3 => me.quietly("Sender::drop", || drop(tx)),
        3 => me.panic_with(tx),
        4 => me.quietly("Sender::close", || {
            tx.close();
            drop(tx);
        }),
        _ => me.quietly("Sender::finish", || tx.finish()),
    }
}

pub(super) async fn receive(me: &mut Me, rx: Receiver<Value>) {
    let most = if me.chance.one_in(3) { me.chance.below(40) } else { 120 };
    for _ in 0..most {
        me.dawdle().await;
        let got = match me.chance.below(8) {
            0 => me.first("Receiver::stream", rx.stream()).await,
            1 if me.is_thread() && !me.modes.is_bounded => {
                me.begin("Receiver::iter");
                catch(|| rx.iter().next()).ok_or(Not::Yet).and_then(|next| next.ok_or(Not::Ended))
            }
            2 if me.chance.one_in(8) => {
                // What was on offer before the end still comes.
                _ = me.receive_briefly("Receiver::closed", rx.closed()).await;
                continue;
            }
            _ => me.receive("Receiver::recv", rx.recv()).await,
        };
        match got {
            Ok(value) => me.got(value),
            Err(Not::Ended) => break,
            Err(Not::Yet) => {}
        }
    }
    match me.chance.below(10) {
        0..3 => me.quietly("Receiver::drop", || drop(rx)),
        3 => me.panic_with(rx),
        4 => me.quietly("Receiver::close", || {
            rx.close();
            drop(rx);
        }),
        _ => me.quietly("Receiver::finish", || rx.finish()),
    }
}
