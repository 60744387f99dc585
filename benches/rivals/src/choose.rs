//! One thread selects over several channels, and another thread serves the channels in turn.

use std::thread;

use crossbeam_channel::Select;
use crossfire::spsc;
use flume::Selector;
use handover::{Sel2, Sel8, rendezvous, select, simplex};

use crate::clock::{Clock, Spent};
use crate::ends::{BlockingRecv, BlockingSend};
use crate::many::{AnyOrder, check};
use crate::table::Table;

const RECEIVES: [(&str, usize); 2] = [("select-2", 2), ("select-8", 8)];
const SENDS: [(&str, usize); 2] = [("select-send-2", 2), ("select-send-8", 8)];

pub(crate) fn add_to(table: &mut Table) {
    receives(table);
    sends(table);
}

fn receives(table: &mut Table) {
    table.add("select-2", "handover rendezvous, a tuple", |n| {
        receiving(n, open::<2, _, _>(rendezvous), |[a, b], add| {
            for _ in 0..n {
                let (Sel2::A(item) | Sel2::B(item)) = select((a.recv(), b.recv())).wait();
                add(item.expect("a sender"));
            }
        })
    });
    table.add("select-2", "handover simplex, a tuple", |n| {
        receiving(n, open::<2, _, _>(simplex), |[mut a, mut b], add| {
            for _ in 0..n {
                let (Sel2::A(item) | Sel2::B(item)) = select((a.recv(), b.recv())).wait();
                add(item.expect("a sender"));
            }
        })
    });
    table.add("select-8", "handover rendezvous, a tuple", |n| {
        receiving(n, open::<8, _, _>(rendezvous), |ends, add| {
            let [a, b, c, d, e, f, g, h] = &ends;
            for _ in 0..n {
                let first = (a.recv(), b.recv(), c.recv(), d.recv());
                let arms =
                    (first.0, first.1, first.2, first.3, e.recv(), f.recv(), g.recv(), h.recv());
                let (Sel8::A(item)
                | Sel8::B(item)
                | Sel8::C(item)
                | Sel8::D(item)
                | Sel8::E(item)
                | Sel8::F(item)
                | Sel8::G(item)
                | Sel8::H(item)) = select(arms).wait();
                add(item.expect("a sender"));
            }
        })
    });
    table.add("select-8", "handover rendezvous, a Vec", |n| {
        receiving(n, open::<8, _, _>(rendezvous), |ends, add| {
            for _ in 0..n {
                let arms: Vec<_> = ends.iter().map(|end| end.recv()).collect();
                add(select(arms).wait().1.expect("a sender"));
            }
        })
    });
    table.add("select-2", "crossbeam(0), select!", |n| {
        receiving(n, open::<2, _, _>(|| crossbeam_channel::bounded(0)), |[a, b], add| {
            for _ in 0..n {
                crossbeam_channel::select! {
                    recv(a) -> item => add(item.expect("a sender")),
                    recv(b) -> item => add(item.expect("a sender")),
                }
            }
        })
    });
    receives_of_any::<2>(table, RECEIVES[0].0);
    receives_of_any::<8>(table, RECEIVES[1].0);
}

fn receives_of_any<const N: usize>(table: &mut Table, row: &str) {
    table.add(row, "crossbeam(0), one Select for all", |n| {
        receiving(n, open::<N, _, _>(|| crossbeam_channel::bounded(0)), |ends, add| {
            let mut select = Select::new();
            for end in &ends {
                select.recv(end);
            }
            for _ in 0..n {
                let ready = select.select();
                let end = &ends[ready.index()];
                add(ready.recv(end).expect("a sender"));
            }
        })
    });
    table.add(row, "flume(0), Selector", |n| {
        receiving(n, open::<N, _, _>(|| flume::bounded(0)), |ends, add| {
            for _ in 0..n {
                let selector = ends.iter().fold(Selector::new(), |selector, end| {
                    selector.recv(end, |item| item.expect("a sender"))
                });
                add(selector.wait());
            }
        })
    });
    table.add(row, "crossfire(1), one Select for all", |n| {
        receiving(n, open::<N, _, _>(|| spsc::bounded_blocking(1)), |ends, add| {
            let mut select = crossfire::select::Select::new();
            for end in &ends {
                select.add(end);
            }
            for _ in 0..n {
                let ready = select.select().expect("a sender");
                let end = ends.iter().find(|end| ready == **end).expect("one of the arms");
                add(end.read_select(ready).expect("a sender"));
            }
        })
    });
}

fn sends(table: &mut Table) {
    table.add("select-send-2", "handover rendezvous, a tuple", |n| {
        sending(n, open::<2, _, _>(rendezvous), |[a, b]| {
            for item in 0..n {
                let (Sel2::A(sent) | Sel2::B(sent)) = select((a.send(item), b.send(item))).wait();
                sent.expect("a receiver");
            }
        })
    });
    table.add("select-send-8", "handover rendezvous, a Vec", |n| {
        sending(n, open::<8, _, _>(rendezvous), |ends| {
            for item in 0..n {
                let arms: Vec<_> = ends.iter().map(|end| end.send(item)).collect();
                select(arms).wait().1.expect("a receiver");
            }
        })
    });
    table.add("select-send-2", "crossbeam(0), select!", |n| {
        sending(n, open::<2, _, _>(|| crossbeam_channel::bounded(0)), |[a, b]| {
            for item in 0..n {
                crossbeam_channel::select! {
                    send(a, item) -> sent => sent.expect("a receiver"),
                    send(b, item) -> sent => sent.expect("a receiver"),
                }
            }
        })
    });
    sends_of_any::<2>(table, SENDS[0].0);
    sends_of_any::<8>(table, SENDS[1].0);
}

fn sends_of_any<const N: usize>(table: &mut Table, row: &str) {
    table.add(row, "crossbeam(0), one Select for all", |n| {
        sending(n, open::<N, _, _>(|| crossbeam_channel::bounded(0)), |ends| {
            let mut select = Select::new();
            for end in &ends {
                select.send(end);
            }
            for item in 0..n {
                let ready = select.select();
                let end = &ends[ready.index()];
                ready.send(end, item).expect("a receiver");
            }
        })
    });
    // flume's Selector hangs here when it sends.
}

fn open<const N: usize, S, R>(open: impl Fn() -> (S, R)) -> ([S; N], [R; N]) {
    let mut receivers = Vec::new();
    let senders = std::array::from_fn(|_| {
        let (sender, receiver) = open();
        receivers.push(receiver);
        sender
    });
    let receivers =
        receivers.try_into().unwrap_or_else(|_| unreachable!("as many receivers as senders"));
    (senders, receivers)
}

/// `choose` receives `n` items on this thread; another thread sends them into the channels in turn.
fn receiving<const N: usize, S: BlockingSend, R>(
    n: u64,
    (senders, receivers): ([S; N], [R; N]),
    choose: impl FnOnce([R; N], &mut dyn FnMut(u64)),
) -> Vec<f64> {
    let mut items = AnyOrder::default();
    let serve = || {
        let mut senders = senders;
        for item in 0..n {
            let is_sent = senders[(item % N as u64) as usize].send_item(item);
            // A lockstep send returns at the next demand, and the last item of a channel is followed by none.
            assert!(is_sent || item + N as u64 >= n, "a receiver");
        }
        senders
    };
    let spent = beside(serve, || choose(receivers, &mut |item| items.add(item)));
    check(n, vec![items]);
    spent.each(n)
}

/// `choose` sends `n` items on this thread; another thread receives them from the channels in turn.
fn sending<const N: usize, S, R: BlockingRecv>(
    n: u64,
    (senders, receivers): ([S; N], [R; N]),
    choose: impl FnOnce([S; N]),
) -> Vec<f64> {
    let mut items = AnyOrder::default();
    let serve = || {
        let mut receivers = receivers;
        for turn in 0..n {
            items.add(receivers[(turn % N as u64) as usize].recv_item().expect("a sender"));
        }
        receivers
    };
    let spent = beside(serve, || choose(senders));
    check(n, vec![items]);
    spent.each(n)
}

/// The ends that `serve` returns are dropped only after `choose`, so that no arm of a select sees their end.
fn beside<E: Send>(serve: impl FnOnce() -> E + Send, choose: impl FnOnce()) -> Spent {
    let clock = Clock::start();
    thread::scope(|scope| {
        let serving = scope.spawn(serve);
        choose();
        drop(serving.join().expect("ends"));
    });
    clock.stop()
}
