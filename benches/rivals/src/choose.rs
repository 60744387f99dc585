//! One thread that selects over several channels, and another one that serves them in turn.

use std::thread;

use crossbeam_channel::Select;
use crossfire::spsc;
use flume::Selector;
use handover::{Sel2, Sel8, rendezvous, select, simplex};

use crate::clock::{Clock, Spent};
use crate::ends::{Give, Take};
use crate::many::{Seen, check};
use crate::table::Table;

const RECEIVES: [(&str, usize); 2] = [("select-2", 2), ("select-8", 8)];
const SENDS: [(&str, usize); 2] = [("select-send-2", 2), ("select-send-8", 8)];

pub(crate) fn enter(table: &mut Table) {
    receives(table);
    sends(table);
}

fn receives(table: &mut Table) {
    table.enter("select-2", "handover rendezvous, a tuple", |n| {
        receiving(n, open::<2, _, _>(rendezvous), |[a, b], take| {
            for _ in 0..n {
                let (Sel2::A(item) | Sel2::B(item)) = select((a.recv(), b.recv())).wait();
                take(item.expect("a sender"));
            }
        })
    });
    table.enter("select-2", "handover simplex, a tuple", |n| {
        receiving(n, open::<2, _, _>(simplex), |[mut a, mut b], take| {
            for _ in 0..n {
                let (Sel2::A(item) | Sel2::B(item)) = select((a.recv(), b.recv())).wait();
                take(item.expect("a sender"));
            }
        })
    });
    table.enter("select-8", "handover rendezvous, a tuple", |n| {
        receiving(n, open::<8, _, _>(rendezvous), |ends, take| {
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
                take(item.expect("a sender"));
            }
        })
    });
    table.enter("select-8", "handover rendezvous, a Vec", |n| {
        receiving(n, open::<8, _, _>(rendezvous), |ends, take| {
            for _ in 0..n {
                let arms: Vec<_> = ends.iter().map(|end| end.recv()).collect();
                take(select(arms).wait().1.expect("a sender"));
            }
        })
    });
    table.enter("select-2", "crossbeam(0), select!", |n| {
        receiving(n, open::<2, _, _>(|| crossbeam_channel::bounded(0)), |[a, b], take| {
            for _ in 0..n {
                crossbeam_channel::select! {
                    recv(a) -> item => take(item.expect("a sender")),
                    recv(b) -> item => take(item.expect("a sender")),
                }
            }
        })
    });
    receives_of_any::<2>(table, RECEIVES[0].0);
    receives_of_any::<8>(table, RECEIVES[1].0);
}

fn receives_of_any<const N: usize>(table: &mut Table, row: &str) {
    table.enter(row, "crossbeam(0), one Select for all", |n| {
        receiving(n, open::<N, _, _>(|| crossbeam_channel::bounded(0)), |ends, take| {
            let mut select = Select::new();
            for end in &ends {
                select.recv(end);
            }
            for _ in 0..n {
                let ready = select.select();
                let end = &ends[ready.index()];
                take(ready.recv(end).expect("a sender"));
            }
        })
    });
    table.enter(row, "flume(0), Selector", |n| {
        receiving(n, open::<N, _, _>(|| flume::bounded(0)), |ends, take| {
            for _ in 0..n {
                let selector = ends.iter().fold(Selector::new(), |selector, end| {
                    selector.recv(end, |item| item.expect("a sender"))
                });
                take(selector.wait());
            }
        })
    });
    table.enter(row, "crossfire(1), one Select for all", |n| {
        receiving(n, open::<N, _, _>(|| spsc::bounded_blocking(1)), |ends, take| {
            let mut select = crossfire::select::Select::new();
            for end in &ends {
                select.add(end);
            }
            for _ in 0..n {
                let ready = select.select().expect("a sender");
                let end = ends.iter().find(|end| ready == **end).expect("one of the arms");
                take(end.read_select(ready).expect("a sender"));
            }
        })
    });
}

fn sends(table: &mut Table) {
    table.enter("select-send-2", "handover rendezvous, a tuple", |n| {
        sending(n, open::<2, _, _>(rendezvous), |[a, b]| {
            for item in 0..n {
                let (Sel2::A(sent) | Sel2::B(sent)) = select((a.send(item), b.send(item))).wait();
                sent.expect("a receiver");
            }
        })
    });
    table.enter("select-send-8", "handover rendezvous, a Vec", |n| {
        sending(n, open::<8, _, _>(rendezvous), |ends| {
            for item in 0..n {
                let arms: Vec<_> = ends.iter().map(|end| end.send(item)).collect();
                select(arms).wait().1.expect("a receiver");
            }
        })
    });
    table.enter("select-send-2", "crossbeam(0), select!", |n| {
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
    table.enter(row, "crossbeam(0), one Select for all", |n| {
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
    // flume's Selector does not come to an end here when it sends.
}

fn open<const N: usize, G, T>(open: impl Fn() -> (G, T)) -> ([G; N], [T; N]) {
    let mut takers = Vec::new();
    let givers = std::array::from_fn(|_| {
        let (giver, taker) = open();
        takers.push(taker);
        giver
    });
    let takers = takers.try_into().unwrap_or_else(|_| unreachable!("as many takers as givers"));
    (givers, takers)
}

/// `choose` receives `n` items on this thread, which another one gives to the channels in turn.
fn receiving<const N: usize, G: Give, T>(
    n: u64,
    (givers, takers): ([G; N], [T; N]),
    choose: impl FnOnce([T; N], &mut dyn FnMut(u64)),
) -> Vec<f64> {
    let mut seen = Seen::default();
    let serve = || {
        let mut givers = givers;
        for item in 0..n {
            let is_given = givers[(item % N as u64) as usize].give(item);
            // In lockstep the last one of a channel waits for a demand that does not come.
            assert!(is_given || item + N as u64 >= n, "a receiver");
        }
        givers
    };
    let spent = beside(serve, || choose(takers, &mut |item| seen.take(item)));
    check(n, vec![seen]);
    spent.each(n)
}

/// `choose` sends `n` items on this thread, which another one takes from the channels in turn.
fn sending<const N: usize, G, T: Take>(
    n: u64,
    (givers, takers): ([G; N], [T; N]),
    choose: impl FnOnce([G; N]),
) -> Vec<f64> {
    let mut seen = Seen::default();
    let serve = || {
        let mut takers = takers;
        for turn in 0..n {
            seen.take(takers[(turn % N as u64) as usize].take().expect("a sender"));
        }
        takers
    };
    let spent = beside(serve, || choose(givers));
    check(n, vec![seen]);
    spent.each(n)
}

/// The ends that `serve` gives live until `choose` is done: that they are gone is not what is chosen.
fn beside<E: Send>(serve: impl FnOnce() -> E + Send, choose: impl FnOnce()) -> Spent {
    let clock = Clock::start();
    thread::scope(|scope| {
        let serving = scope.spawn(serve);
        choose();
        drop(serving.join().expect("ends"));
    });
    clock.stop()
}
