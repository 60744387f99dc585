//! First come, first served: one party keeps several operations of a `rendezvous`, begun in order, and the order must hold at the other side.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll, Wake, Waker};

use handover::op::Take;
use handover::{Receiver, Sender, rendezvous};
use parking_lot::Mutex;

use super::{Party, party};
use crate::chance::Chance;
use crate::oracle::Fate;
use crate::party::{Me, Modes, Not, catch, catch_async};
use crate::value::Value;

pub(super) fn make(chance: &mut Chance, modes: &mut Modes) -> Vec<Party> {
    modes.forgets = false;
    let (tx, rx) = rendezvous();
    if chance.one_in(2) {
        vec![party!(|me| offer_in_order(me, tx)), party!(|me| receive(me, rx))]
    } else {
        modes.panics = false;
        let (tell, told) = rendezvous();
        vec![party!(|me| send_when_told(me, tx, told)), party!(|me| receive_in_order(me, rx, tell))]
    }
}

/// Sends that are kept, the next one begun after the last. The judge sees that they are received in the order of their serials.
async fn offer_in_order(me: &mut Me, tx: Sender<Value>) {
    for _ in 0..me.chance.below(12) {
        me.begin("several sends, in order");
        let mut sends: Vec<_> = (0..2 + me.chance.below(5))
            .map(|_| {
                let (serial, value) = me.make();
                (serial, tx.send(value))
            })
            .collect();
        let rounds = me.chance.below(6);
        for round in 0..=rounds {
            let mut n = 0;
            while n < sends.len() {
                let is_cancelled = round > 0 && me.chance.one_in(6);
                let (serial, send) = &mut sends[n];
                let serial = *serial;
                if is_cancelled {
                    me.cancelled();
                    let send = sends.remove(n).1;
                    let value = catch(|| send.reclaim());
                    me.reclaimed(serial, Fate::Delivered, value);
                    continue;
                }
                let polled =
                    poll_fn(|context| Poll::Ready(catch(|| Pin::new(&mut *send).poll(context))));
                match polled.await {
                    Some(Poll::Ready(told)) => {
                        _ = me.told(serial, Fate::Delivered, Some(told));
                        drop(sends.remove(n));
                    }
                    _ => n += 1,
                }
            }
            me.dawdle().await;
        }
        let waits = !me.modes.is_bounded && me.chance.one_in(2);
        for (serial, mut send) in sends {
            match if waits { catch_async(&mut send).await } else { None } {
                Some(told) => _ = me.told(serial, Fate::Delivered, Some(told)),
                None => {
                    me.cancelled();
                    let value = catch(|| send.reclaim());
                    me.reclaimed(serial, Fate::Delivered, value);
                }
            }
        }
    }
    me.quietly("Sender::finish", || tx.finish());
}

async fn receive(me: &mut Me, rx: Receiver<Value>) {
    loop {
        me.dawdle().await;
        match me.receive("Receiver::recv", rx.recv()).await {
            Ok(value) => me.got(value),
            Err(Not::Ended) => return,
            Err(Not::Yet) => {}
        }
    }
}

/// Sends as many values as it is told that receives wait, and gives none up: an offer that is withdrawn may leave its place in the order to the next one.
async fn send_when_told(me: &mut Me, tx: Sender<Value>, told: Receiver<usize>) {
    while let Ok(count) = told.recv().await {
        for _ in 0..count {
            me.dawdle().await;
            me.begin("Sender::send");
            let (serial, value) = me.make();
            let sent = if me.is_thread() && me.chance.one_in(2) {
                tx.send(value).wait()
            } else {
                tx.send(value).await
            };
            _ = me.told(serial, Fate::Delivered, Some(sent));
        }
    }
    me.quietly("Sender::finish", || tx.finish());
}

/// Wakes the task, and tells which receive was woken: another that is polled may take what was meant for the first.
struct Bell {
    is_rung: AtomicBool,
    task: Mutex<Waker>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.is_rung.store(true, Release);
        let task = self.task.lock().clone();
        task.wake();
    }
}

/// Begins some receives before anything is sent, and polls each when it is woken: the one that came first must be served first.
async fn receive_in_order(me: &mut Me, rx: Receiver<Value>, tell: Sender<usize>) {
    for _ in 0..me.chance.below(10) {
        me.begin("several receives, in order");
        let mut receives: Vec<_> = (0..2 + me.chance.below(5))
            .map(|_| {
                let task = Mutex::new(Waker::noop().clone());
                (Arc::new(Bell { is_rung: AtomicBool::new(true), task }), rx.recv())
            })
            .collect();
        let values = poll_fn(|context| Poll::Ready(poll_rung(&mut receives, context))).await;
        while receives.len() > 1 && me.chance.one_in(3) {
            me.cancelled();
            let n = me.chance.below(receives.len() as u64) as usize;
            drop(receives.remove(n));
        }
        if !values.is_empty() || tell.send(receives.len()).await.is_err() {
            return me.wrong("a value came before it was sent, or the sender left");
        }
        while !receives.is_empty() {
            let served = poll_fn(|context| match poll_rung(&mut receives, context) {
                served if served.is_empty() => Poll::Pending,
                served => Poll::Ready(served),
            });
            for (value, is_too_early) in served.await {
                me.log.out_of_turn += u64::from(is_too_early);
                match value {
                    Some(value) => me.got(value),
                    None => return me.wrong("the channel ended before all was sent"),
                }
            }
        }
    }
    me.quietly("Sender::finish", || tell.finish());
}

/// Polls the receives that were woken, and takes out those that are done: the value, and whether an earlier one is still pending.
fn poll_rung(
    receives: &mut Vec<(Arc<Bell>, Take<'_, Value>)>,
    context: &mut Context<'_>,
) -> Vec<(Option<Value>, bool)> {
    let (mut served, mut is_one_pending) = (Vec::new(), false);
    receives.retain_mut(|(bell, receive)| {
        bell.task.lock().clone_from(context.waker());
        if bell.is_rung.swap(false, Acquire) {
            let waker = Waker::from(Arc::clone(bell));
            if let Poll::Ready(received) = Pin::new(receive).poll(&mut Context::from_waker(&waker))
            {
                served.push((received.ok(), is_one_pending));
                return false;
            }
        }
        is_one_pending = true;
        true
    });
    served
}
