//! Arms within arms: `Vec`, arrays, tuples and `&mut`, in any mixture and number.

use crate::support::thread;
use crate::support::*;
use futures_lite::future::block_on;
use handover::{
    Arms, Receiver, RecvError, Sel2, Sel3, Sel4, Sender, op, rendezvous, select, simplex, stream,
};

type Channel = (Sender<usize>, Receiver<usize>);
type Take<'a> = op::Take<'a, usize>;
type Got = Result<usize, RecvError>;

fn channels(n: usize) -> Vec<Channel> {
    (0..n).map(|_| rendezvous()).collect()
}

fn recvs(channels: &[Channel]) -> Vec<Take<'_>> {
    channels.iter().map(|(_, rx)| rx.recv()).collect()
}

#[test]
fn each_place_of_three_levels_is_told_by_its_path() {
    let ch = channels(8);
    for place in 0..8 {
        let mut r = recvs(&ch).into_iter();
        let mut next = || r.next().unwrap();
        let arms =
            (vec![[next(), next()], [next(), next()]], next(), ([next()], (vec![next()], next())));
        let mut choice = select(arms);
        pend(&mut choice);
        let mut send = ch[place].0.send(place);
        pend(&mut send);
        let path = match ready(&mut choice) {
            Sel3::A((outer, (inner, got))) => (format!("A {outer} {inner}"), got),
            Sel3::B(got) => (String::from("B"), got),
            Sel3::C(Sel2::A((inner, got))) => (format!("C A {inner}"), got),
            Sel3::C(Sel2::B(Sel2::A((inner, got)))) => (format!("C B A {inner}"), got),
            Sel3::C(Sel2::B(Sel2::B(got))) => (String::from("C B B"), got),
        };
        let expected =
            ["A 0 0", "A 0 1", "A 1 0", "A 1 1", "B", "C A 0", "C B A 0", "C B B"][place];
        assert_eq!(path, (String::from(expected), Ok(place)));
        assert_eq!(ready(&mut send), Ok(()));
        drop(choice);
        assert!(ch.iter().all(|(tx, _)| tx.stats().waiting_receivers == 0));
    }
}

#[test]
fn a_nested_choice_works_in_each_way_to_wait() {
    let _dog = Watchdog::new();
    let ch = channels(4);
    let arms = || (recvs(&ch[..3]), ch[3].1.recv());
    assert!(select(arms()).now().is_none());
    assert!(select(arms()).wait_timeout(super::MOMENT).is_none());
    assert!(select(arms()).wait_deadline(past()).is_none());
    assert!(block_on(select(arms()).until(std::future::ready(()))).is_none());
    for (n, (tx, _)) in ch.iter().enumerate() {
        for how in [How::Thread, How::Task] {
            thread::scope(|scope| {
                scope.spawn(|| tx.send(n).wait().unwrap());
                let chosen = match how {
                    How::Thread => select(arms()).wait(),
                    How::Task => block_on(select(arms())),
                };
                match chosen {
                    Sel2::A((index, got)) => assert_eq!((index, got), (n, Ok(n))),
                    Sel2::B(got) => assert_eq!((n, got), (3, Ok(3))),
                }
            });
        }
    }
}

#[test]
fn an_empty_list_never_happens_and_is_in_nobody_s_way() {
    let ch = channels(2);
    let none = Vec::<Take<'_>>::new;
    assert!(select(none()).now().is_none());
    assert!(select((none(), none())).wait_timeout(super::MOMENT).is_none());
    assert!(select(vec![none(), none()]).now().is_none());
    let no_arms: [_; 0] = std::array::from_fn(|_| none());
    assert!(select(no_arms).now().is_none());
    let mut send = ch[1].0.send(7);
    pend(&mut send);
    let arms = (none(), vec![none(), vec![ch[0].1.recv()], none(), vec![ch[1].1.recv()]], none());
    let Some(Sel3::B((3, (0, got)))) = select(arms).biased().now() else { panic!() };
    assert_eq!((got, ready(&mut send)), (Ok(7), Ok(())));
    drop(send);
    let empty: [Take<'_>; 0] = [];
    ch[0].0.close();
    let Some(Sel2::B(got)) = select((vec![empty], ch[0].1.recv())).now() else { panic!() };
    assert!(got.is_err());
}

#[test]
fn borrowed_and_mixed_arms_give_back_what_they_carry() {
    let ((a, a_rx), (b, b_rx)) = (rendezvous(), rendezvous::<u8>());
    let mut sends = vec![a.send(1), a.send(2), a.send(3)];
    let mut lone = b.send(4);
    {
        let borrowed: Vec<_> = sends.iter_mut().collect();
        let mut choice = select((borrowed, [(&mut lone, b.closed())], a.closed()));
        pend(&mut choice);
        assert_eq!(b_rx.recv().now(), Ok(4));
        let Sel3::B((0, Sel2::A(Ok(())))) = ready(&mut choice) else { panic!() };
    }
    assert_eq!(a.stats().waiting_senders, 0);
    assert!(a_rx.recv().now().is_err());
    let back: Vec<_> = sends.into_iter().map(op::Op::reclaim).collect();
    assert_eq!(back, [Some(1), Some(2), Some(3)]);
    assert_eq!(lone.reclaim(), None);
}

#[test]
fn arms_of_all_kinds_of_ends_nest() {
    let (mut server, mut client) = simplex::<u8>();
    let (mut writer, mut reader) = stream::<u8>();
    let (tx, rx) = rendezvous::<u8>();
    let peer = server.peer();
    let arms = ((client.recv(), reader.read(2)), [tx.reserve()], vec![rx.closed()], peer.closed());
    let mut choice = select(arms);
    pend(&mut choice);
    assert_eq!(server.demand().now(), Ok(()));
    let mut answer = server.answer(1);
    pend(&mut answer);
    assert!(matches!(ready(&mut choice), Sel4::A(Sel2::A(Ok(1)))));
    assert_eq!(ready(&mut answer), Ok(()));
    drop(choice);
    // The reader's request was given up on, and stands: it is the same one that it asks again.
    assert!(writer.wanted().now().is_ok());
}

#[test]
fn two_nested_choices_meet_each_other() {
    let _dog = Watchdog::new();
    let (up, down) = (rendezvous::<usize>(), rendezvous::<usize>());
    let never = handover::never::<u8>();
    thread::scope(|scope| {
        let one = scope.spawn(|| {
            (0..500)
                .filter(|&n| {
                    progress();
                    let arms = (vec![up.0.send(n)], [(down.1.recv(), never.closed())]);
                    match select(arms).wait() {
                        Sel2::A((0, sent)) => sent.is_ok(),
                        Sel2::B((0, Sel2::A(got))) => got.is_err(),
                        _ => panic!("another arm"),
                    }
                })
                .count()
        });
        let other = scope.spawn(|| {
            (0..500)
                .filter(|&n| {
                    let arms = [(up.1.recv(), [down.0.send(n)])];
                    match select(arms).wait() {
                        (0, Sel2::A(got)) => got.is_ok(),
                        (0, Sel2::B((0, sent))) => sent.is_err(),
                        _ => panic!("another arm"),
                    }
                })
                .count()
        });
        assert_eq!(one.join().unwrap(), other.join().unwrap());
    });
}

#[test]
fn more_than_sixteen_arms_are_chosen_among() {
    let _dog = Watchdog::new();
    let ch = channels(300);
    for place in [0, 15, 16, 17, 63, 64, 255, 256, 299] {
        let mut choice = select((recvs(&ch[..150]), vec![recvs(&ch[150..])]));
        pend(&mut choice);
        let mut send = ch[place].0.send(place);
        pend(&mut send);
        let got = match ready(&mut choice) {
            Sel2::A((index, got)) => (index, got),
            Sel2::B((0, (index, got))) => (index + 150, got),
            Sel2::B(_) => panic!("there is one list"),
        };
        assert_eq!(got, (place, Ok(place)));
        drop(choice);
        assert_eq!(ready(&mut send), Ok(()));
    }
    // As sends, of which exactly one happens.
    let sends: Vec<_> = ch.iter().map(|(tx, _)| vec![tx.send(1)]).collect();
    let mut choice = select(sends);
    pend(&mut choice);
    assert_eq!(ch[200].1.recv().now(), Ok(1));
    assert!(ch.iter().all(|(_, rx)| rx.recv().now().is_err()));
    assert!(matches!(ready(&mut choice), (200, (0, Ok(())))));
}

#[test]
fn biased_takes_the_first_in_reading_order() {
    let ch = channels(20);
    for first in (0..20).rev() {
        ch[first].0.close(); // and all behind
        for _ in 0..10 {
            let r = |n: usize| ch[n].1.recv();
            let arms =
                ((r(0), vec![r(1), r(2)]), [[r(3), r(4)], [r(5), r(6)]], recvs(&ch[7..19]), r(19));
            let place = match select(arms).biased().now().unwrap() {
                Sel4::A(Sel2::A(_)) => 0,
                Sel4::A(Sel2::B((n, _))) => 1 + n,
                Sel4::B((outer, (inner, _))) => 3 + 2 * outer + inner,
                Sel4::C((n, _)) => 7 + n,
                Sel4::D(_) => 19,
            };
            assert_eq!(place, first);
        }
    }
}

/// How often each of 12 places was chosen.
fn tally<A: Arms>(arms: impl Fn() -> A, place: impl Fn(A::Output) -> usize) -> [usize; 12] {
    let mut counts = [0; 12];
    for round in 0..100_000 {
        if round % 1_000 == 0 {
            progress();
        }
        counts[place(select(arms()).now().unwrap())] += 1;
    }
    counts
}

#[track_caller]
fn assert_fair(counts: &[usize; 12]) {
    let mean = counts.iter().sum::<usize>() as f64 / 12.0;
    let bound = mean * 0.15;
    assert!(counts.iter().all(|&count| (count as f64 - mean).abs() < bound), "{counts:?}");
}

#[test]
fn twelve_ready_arms_are_chosen_equally_often_in_three_nestings() {
    let _dog = Watchdog::new();
    let ch = channels(12);
    ch.iter().for_each(|(tx, _)| _ = tx.close());
    let r = |n: usize| ch[n].1.recv();
    assert_fair(&tally(|| recvs(&ch), |(n, _): (usize, Got)| n));
    assert_fair(&tally(
        || (r(0), recvs(&ch[1..9]), [r(9), r(10), r(11)]),
        |chosen| match chosen {
            Sel3::A(_) => 0,
            Sel3::B((n, _)) => 1 + n,
            Sel3::C((n, _)) => 9 + n,
        },
    ));
    assert_fair(&tally(
        || ((r(0), (r(1), [(r(2), r(3)), (r(4), r(5))])), vec![vec![r(6)], recvs(&ch[7..])]),
        |chosen| match chosen {
            Sel2::A(Sel2::A(_)) => 0,
            Sel2::A(Sel2::B(Sel2::A(_))) => 1,
            Sel2::A(Sel2::B(Sel2::B((n, Sel2::A(_))))) => 2 + 2 * n,
            Sel2::A(Sel2::B(Sel2::B((n, Sel2::B(_))))) => 3 + 2 * n,
            Sel2::B((0, _)) => 6,
            Sel2::B((_, (n, _))) => 7 + n,
        },
    ));
}

#[test]
fn twelve_ready_arms_among_twenty_are_chosen_equally_often() {
    let _dog = Watchdog::new();
    let ch = channels(20);
    ch[4..16].iter().for_each(|(tx, _)| _ = tx.close());
    assert_fair(&tally(
        || (recvs(&ch[..10]), vec![recvs(&ch[10..])]),
        |chosen| match chosen {
            Sel2::A((n, _)) => n - 4,
            Sel2::B((_, (n, _))) => n + 6,
        },
    ));
}
