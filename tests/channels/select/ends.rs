//! Ends as outputs of a select.

use crate::support::*;
use handover::{Sel2, Sel3, Sender, Why, never, rendezvous, select, simplex, stream};

#[test]
fn ends_are_outputs_and_give_the_values_back() {
    let census = Census::new();
    let quiet = never::<u8>();
    for (how, why) in [Why::Closed, Why::Dropped, Why::Panicked].into_iter().enumerate() {
        for late in [false, true] {
            let (tx, rx) = rendezvous::<Counted>();
            let end = |tx: Sender<Counted>| match how {
                0 => drop(tx.close()),
                1 => drop(tx),
                _ => {
                    panic_holding(tx);
                }
            };
            let mut choice = select((quiet.recv(), rx.recv()));
            let (bell, waker) = Bell::new();
            if late {
                assert!(poll_with(&mut choice, &waker).is_pending());
            }
            end(tx);
            assert_eq!(bell.rings(), usize::from(late));
            let Sel2::B(Err(error)) = ready(&mut choice) else { panic!("not the end") };
            assert_eq!(error.why(), why);
            // The same happens every time.
            let choice = select((rx.recv(), rx.closed())).wait();
            assert!(match choice {
                Sel2::A(got) => got.unwrap_err().why() == why,
                Sel2::B(told) => told == Ok(why),
            });

            let (tx, rx) = rendezvous();
            let mut choice = select((quiet.recv(), tx.send(census.make()), tx.reserve()));
            if late {
                pend(&mut choice);
            }
            match how {
                0 => drop(rx.close()),
                1 => drop(rx),
                _ => panic_holding(rx),
            }
            match ready(&mut choice) {
                Sel3::A(_) => panic!("never"),
                Sel3::B(sent) => {
                    let error = sent.unwrap_err();
                    assert_eq!(error.why(), why);
                    assert!(error.into_unsent().is_some());
                }
                Sel3::C(reserved) => assert_eq!(reserved.unwrap_err().why(), why),
            }

            let (server, mut client) = simplex::<u8>();
            let mut choice = select((client.recv(), quiet.recv()));
            if late {
                pend(&mut choice);
            }
            match how {
                0 => server.finish(),
                1 => drop(server),
                _ => panic_holding(server),
            }
            assert!(
                matches!(ready(&mut choice), Sel2::A(Err(error)) if error.why() == why),
                "{why:?}"
            );

            let (mut writer, reader) = stream();
            let mut choice = select((writer.send(census.make()), quiet.recv()));
            if late {
                pend(&mut choice);
            }
            match how {
                0 => reader.close(),
                1 => drop(reader),
                _ => panic_holding(reader),
            }
            let Sel2::A(Err(error)) = ready(&mut choice) else { panic!("not the end") };
            assert_eq!(error.why(), why);
            assert!(error.into_unsent().is_some());
        }
    }
    census.assert_settled();
}

#[test]
fn the_end_of_one_arm_leaves_the_others_what_they_have() {
    let (a, b) = (rendezvous::<u8>(), rendezvous());
    let mut send = b.0.send(7);
    let mut choice = select((a.1.recv(), &mut send));
    pend(&mut choice);
    drop(a.0);
    assert!(matches!(ready(&mut choice), Sel2::A(Err(_))));
    drop(choice);
    pend(&mut send);
    assert_eq!(b.1.recv().now(), Ok(7));
    ready(&mut send).unwrap();
    // An item that was handed over before the end comes first.
    let (server, mut client) = simplex();
    pend(&mut client.recv());
    server.finish_with(5).unwrap();
    let quiet = never::<u8>();
    assert!(matches!(select((client.recv(), quiet.recv())).wait(), Sel2::A(Ok(5))));
    assert!(matches!(select((client.recv(), quiet.recv())).wait(), Sel2::A(Err(_))));
}
