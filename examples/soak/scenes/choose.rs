//! Selects over several channels, against plain operations and against other selects, also of both directions in one select.

use handover::{Receiver, Sel2, Sender, never, rendezvous, select};

use super::{Party, party};
use crate::chance::Chance;
use crate::oracle::Fate;
use crate::party::{Me, Modes, Not, catch, catch_async};
use crate::value::Value;

const CHANNELS: usize = 3;

type Senders = [Sender<Value>; CHANNELS];
type Receivers = [Receiver<Value>; CHANNELS];

pub(super) fn make(chance: &mut Chance, modes: &mut Modes) -> Vec<Party> {
    modes.is_bounded |= modes.forgets;
    let [a, b, c] = [rendezvous(), rendezvous(), rendezvous()];
    let (tx, rx) = ([a.0, b.0, c.0], [a.1, b.1, c.1]);
    if chance.one_in(2) {
        // All have all ends, so that the last one would wait for ever.
        modes.is_bounded = true;
        let ends: Vec<_> = (0..2 + chance.below(3)).map(|_| (tx.clone(), rx.clone())).collect();
        return ends
            .into_iter()
            .map(|(tx, rx)| -> Party { party!(|me| meet(me, tx, rx)) })
            .collect();
    }
    let mut parties: Vec<Party> = Vec::new();
    for _ in 0..=chance.below(2) {
        let tx = tx.clone();
        parties.push(party!(|me| send(me, tx)));
    }
    for _ in 0..=chance.below(2) {
        let rx = rx.clone();
        parties.push(party!(|me| take(me, rx)));
    }
    parties
}

/// Waits for the select `$choice`: `None` if none of its arms happened.
macro_rules! wait_for {
    ($me:ident, $choice:expr) => {{
        let mut choice = $choice;
        match $me.chance.below(8) {
            0 => catch(|| choice.now()).flatten(),
            1..4 => {
                let polled = $me.poll_some(&mut choice).await;
                if polled.is_none() {
                    $me.cancelled();
                    catch(|| drop(choice));
                }
                polled
            }
            4.. if !$me.modes.is_bounded && $me.is_thread() => catch(|| choice.wait()),
            4.. if !$me.modes.is_bounded => catch_async(choice).await,
            _ => {
                let chosen = if $me.is_thread() {
                    let limit = $me.a_while();
                    catch(|| choice.wait_timeout(limit)).flatten()
                } else {
                    let limit = $me.a_limit();
                    catch_async(choice.until(limit)).await.flatten()
                };
                if chosen.is_none() {
                    $me.cancelled();
                }
                chosen
            }
        }
    }};
}

/// Which of the channels.
fn some(me: &mut Me) -> Vec<usize> {
    let chosen: Vec<_> = (0..CHANNELS).filter(|_| me.chance.one_in(2)).collect();
    if chosen.is_empty() { vec![me.chance.below(CHANNELS as u64) as usize] } else { chosen }
}

/// One choice among sends of these channels and receives of those.
async fn choose(
    me: &mut Me,
    tx: &Senders,
    of: Vec<usize>,
    rx: &Receivers,
    from: Vec<usize>,
) -> Result<(), Not> {
    me.begin("select");
    let mut sends: Vec<_> = of
        .into_iter()
        .map(|channel| {
            let (serial, value) = me.make();
            (serial, tx[channel].send(value))
        })
        .collect();
    let receives = from.into_iter().map(|channel| rx[channel].recv()).collect::<Vec<_>>();
    let arms: Vec<_> = sends.iter_mut().map(|(_, send)| send).collect();
    let chosen = match me.chance.below(3) {
        0 => wait_for!(me, select((arms, receives))),
        1 => wait_for!(me, select((receives, arms)).biased()).map(|chosen| match chosen {
            Sel2::A(received) => Sel2::B(received),
            Sel2::B(sent) => Sel2::A(sent),
        }),
        _ => {
            let quiet = never::<()>();
            wait_for!(me, select((quiet.recv(), (arms, receives)))).and_then(
                |chosen| match chosen {
                    Sel2::A(_) => None,
                    Sel2::B(chosen) => Some(chosen),
                },
            )
        }
    };
    let (mut happened, mut winner, mut is_end) = (0, None, false);
    match chosen {
        Some(Sel2::A((arm, told))) => {
            winner = Some(arm);
            match me.told(sends[arm].0, Fate::Delivered, Some(told)) {
                Ok(()) => happened += 1,
                Err(not) => is_end = not == Not::Ended,
            }
        }
        Some(Sel2::B((_, Ok(value)))) => {
            happened += 1;
            me.got(value);
        }
        Some(Sel2::B((_, Err(_)))) => is_end = true,
        None => {}
    }
    for (arm, (serial, send)) in sends.into_iter().enumerate() {
        if Some(arm) == winner {
            continue;
        }
        let value = catch(|| send.reclaim());
        happened += u32::from(matches!(value, Some(None)));
        me.reclaimed(serial, Fate::Delivered, value);
    }
    if happened > 1 {
        me.wrong(format!("{happened} arms of one select have happened"));
    }
    if is_end { Err(Not::Ended) } else { Ok(()) }
}

async fn send(me: &mut Me, tx: Senders) {
    let rx = [never(), never(), never()];
    for _ in 0..me.chance.below(40) {
        me.dawdle().await;
        let sent = if me.chance.one_in(3) {
            let (serial, value) = me.make();
            let channel = me.chance.below(CHANNELS as u64) as usize;
            me.carry("Sender::send", serial, Fate::Delivered, tx[channel].send(value)).await
        } else {
            let of = some(me);
            choose(me, &tx, of, &rx, vec![]).await
        };
        if sent == Err(Not::Ended) {
            break;
        }
    }
    for tx in tx {
        me.quietly("Sender::finish", || tx.finish());
    }
}

async fn take(me: &mut Me, rx: Receivers) {
    let tx = [(); CHANNELS].map(|()| {
        let (tx, rx) = rendezvous();
        drop(rx);
        tx
    });
    for _ in 0..100 {
        me.dawdle().await;
        let taken = if me.chance.one_in(3) {
            // Only for a while: the senders may all wait at another channel.
            let channel = me.chance.below(CHANNELS as u64) as usize;
            let taken = me.receive_briefly("Receiver::recv", rx[channel].recv()).await;
            taken.map(|value| me.got(value))
        } else {
            let from = (0..CHANNELS).collect();
            choose(me, &tx, vec![], &rx, from).await
        };
        if taken == Err(Not::Ended) {
            break;
        }
    }
    for rx in rx {
        me.quietly("Receiver::drop", || drop(rx));
    }
}

/// Sends and receives, and meets others that do the same.
async fn meet(me: &mut Me, tx: Senders, rx: Receivers) {
    for _ in 0..me.chance.below(60) {
        me.dawdle().await;
        let at = me.chance.below(CHANNELS as u64) as usize;
        match me.chance.below(8) {
            0 => {
                let (serial, value) = me.make();
                _ = me.carry("Sender::send", serial, Fate::Delivered, tx[at].send(value)).await;
            }
            1 => {
                if let Ok(value) = me.receive("Receiver::recv", rx[at].recv()).await {
                    me.got(value);
                }
            }
            2 => permit_or_receive(me, &tx[at], &rx[(at + 1) % CHANNELS]).await,
            _ => {
                let (of, from) = (some(me), some(me));
                _ = choose(me, &tx, of, &rx, from).await;
            }
        }
    }
    me.quietly("all ends", || drop((tx, rx)));
}

/// A permit here or a value there, never both.
async fn permit_or_receive(me: &mut Me, tx: &Sender<Value>, rx: &Receiver<Value>) {
    me.begin("select of a reserve and a receive");
    match wait_for!(me, select((tx.reserve(), rx.recv()))) {
        Some(Sel2::A(Ok(permit))) => {
            let (serial, value) = me.make();
            _ = me.carry("Permit::send", serial, Fate::Delivered, permit.send(value)).await;
        }
        Some(Sel2::B(Ok(value))) => me.got(value),
        _ => {}
    }
}
