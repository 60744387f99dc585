//! Producers: a routine in the consumer's own task, on a thread, or on a pool; the consumer gives up polls, and leaves when it likes.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use futures_util::Stream;
use handover::{Server, generate, produce, produce_on, try_generate, try_produce};

use super::{Party, party};
use crate::chance::Chance;
use crate::oracle::number;
use crate::party::{Limit, Me, Modes, Not, Runner, catch};
use crate::value::{Planned, Value};

/// The sender of what a routine makes: no party.
const ROUTINE: u32 = 1_000;

pub(super) fn make(_: &mut Chance, modes: &mut Modes) -> Vec<Party> {
    modes.is_across = false;
    // A panic of a waker would end a routine early, and be no fault.
    modes.panics = false;
    vec![party!(|me| consume(me))]
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Finish,
    Error,
    Panic,
}

async fn consume(me: &mut Me) {
    for _ in 0..=me.chance.below(2) {
        consume_one(me).await;
    }
}

async fn consume_one(me: &mut Me) {
    let count = me.chance.below(40) as usize;
    let living = me.living;
    let value = move |serial| Value::new(number(ROUTINE, serial), living, false);
    let end = [End::Finish, End::Error, End::Panic][me.chance.below(3) as usize];
    let ended = move || match end {
        End::Finish => Ok(()),
        End::Error => Err(Planned),
        End::Panic => resume_unwind(Box::new(Planned)),
    };
    // Gone when the routine is, so that the round ends after it.
    let running = Arc::new(());
    let is_running = Arc::downgrade(&running);
    let send_all = move |server: &mut Server<Value>| {
        (0..count).all(|serial| server.send(value(serial)).wait().is_ok())
    };
    match me.chance.below(12) {
        0..5 => {
            me.begin("generate");
            drop(running);
            let turns = me.chance.below(3);
            let items = generate(move |mut server| async move {
                for serial in 0..count {
                    Limit::Turns(turns).await;
                    if server.send(value(serial)).await.is_err() {
                        return;
                    }
                }
                if end == End::Panic {
                    _ = ended();
                }
            });
            let items = Box::pin(items.into_stream());
            take(me, items, count, false).await;
        }
        5..9 => {
            me.begin("try_generate");
            drop(running);
            let items = try_generate(move |mut server| async move {
                for serial in 0..count {
                    if server.send(value(serial)).await.is_err() {
                        return Ok(());
                    }
                }
                ended()
            });
            let items = Box::pin(items.into_stream());
            let items =
                futures_util::StreamExt::filter_map(items, |item| std::future::ready(item.ok()));
            take(me, items, count, false).await;
        }
        9 => {
            me.begin("produce");
            let items = produce(move |server| {
                let _running = running;
                if send_all(server) && end == End::Panic {
                    _ = ended();
                }
            });
            take(me, items.into_stream(), count, true).await;
        }
        10 => {
            me.begin("try_produce");
            let items = try_produce(move |server| {
                let _running = running;
                if send_all(server) { ended() } else { Ok(()) }
            });
            let items = futures_util::StreamExt::filter_map(items.into_stream(), |item| {
                std::future::ready(item.ok())
            });
            take(me, items, count, true).await;
        }
        _ => {
            me.begin("produce_on");
            let spawn = |job: Box<dyn FnOnce() + Send>| match me.runner {
                Runner::TokioCurrent | Runner::TokioMulti => drop(tokio::task::spawn_blocking(job)),
                _ => drop(thread::spawn(job)),
            };
            let items = produce_on(spawn, move |server| {
                let _running = running;
                if send_all(server) && end == End::Panic {
                    _ = ended();
                }
            });
            take(me, items.into_stream(), count, true).await;
        }
    }
    me.note("waiting for the routine's end");
    while is_running.strong_count() > 0 {
        thread::yield_now();
        Limit::Turns(1).await;
    }
}

/// The items must be 0, 1, 2 ... and all of them if the sequence is read to its end.
async fn take<S: Stream<Item = Value> + Unpin>(
    me: &mut Me,
    mut items: S,
    count: usize,
    is_across: bool,
) {
    me.modes.is_across = is_across;
    let most = if me.chance.one_in(2) { usize::MAX } else { me.chance.below(40) as usize };
    let mut taken = 0;
    while taken < most {
        // A panic of the routine is raised again here, and counts as a poll that was given up.
        match me.next("the next of a producer", &mut items).await {
            Ok(item) => {
                let item = item.number();
                if item != number(ROUTINE, taken) {
                    me.wrong(format!("a producer's item {taken} is {item:#x}"));
                }
                taken += 1;
            }
            Err(Not::Ended) => {
                if taken < count {
                    me.log.lost += (count - taken) as u64;
                }
                break;
            }
            Err(Not::Yet) => {}
        }
    }
    me.modes.is_across = false;
    me.note("the drop of a producer");
    catch(|| drop(items));
}
