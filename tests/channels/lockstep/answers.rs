//! `answer`: done when the item is taken, not when the next demand comes.

use std::sync::Arc;
use std::time::Duration;

use crate::support::thread;
use crate::support::*;
use handover::{Client, Sel2, Server, Why, duplex, select, simplex};

/// A channel whose server has a demand in hand.
fn asked<T>() -> (Server<T>, Client<T>) {
    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    assert_eq!(server.demand().now(), Ok(()));
    (server, client)
}

#[test]
fn an_answer_is_done_when_the_client_has_taken_it_though_it_does_not_ask_again() {
    let _dog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (mut server, mut client) = simplex();
        let (sent, got) = pair(
            pairing,
            first,
            async move |how| {
                let sent = how.run(server.answer(1)).await.map_err(|error| error.why());
                server.finish();
                sent
            },
            async move |how| how.run(client.recv()).await,
        );
        assert_eq!((sent, got), (Ok(()), Ok(1)), "{pairing:?} {first:?}");
    });
}

#[test]
fn an_answer_that_is_taken_wakes_the_server_once() {
    let (mut server, mut client) = asked();
    let (bell, waker) = Bell::new();
    let mut answer = server.answer(1);
    pend_with(&mut answer, &waker);
    assert_eq!(bell.rings(), 0);
    assert_eq!(client.recv().now(), Ok(1));
    assert_eq!(bell.rings(), 1);
    assert_eq!(done(answer), Ok(()));
    assert!(client.recv().now().unwrap_err().is_not_ready());
    assert_eq!(bell.rings(), 0, "the next demand wakes nobody: nobody waits for it");
}

#[test]
fn several_answers_come_in_order_whatever_follows_them() {
    let _dog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (mut server, mut client) = duplex::<u32, u32>();
        let (ups, downs) = pair(
            pairing,
            first,
            async move |how| {
                let mut ups = vec![how.run(server.demand()).await.unwrap()];
                how.run(server.answer(10)).await.unwrap();
                how.run(server.answer(11)).await.unwrap(); // drops what came up with the second demand
                ups.push(how.run(server.demand()).await.unwrap());
                how.run(server.answer(12)).await.unwrap();
                ups.push(how.run(server.exchange(13)).await.unwrap()); // drops the fourth
                how.run(server.answer(14)).await.unwrap();
                ups
            },
            async move |how| {
                let mut downs = Vec::new();
                for up in 0..5 {
                    downs.push(how.run(client.exchange(up)).await.unwrap());
                }
                downs
            },
        );
        assert_eq!(downs, [10, 11, 12, 13, 14], "{pairing:?} {first:?}");
        assert_eq!(ups, [0, 2, 4], "{pairing:?} {first:?}");
    });
}

#[test]
fn a_demand_after_an_answer_fetches_what_came_up_and_no_demand_twice() {
    let census = Census::new();
    let (mut server, mut client) = duplex::<u8, Counted>();
    let mut ask = client.exchange(census.make());
    pend(&mut ask);
    assert_eq!(server.demand().now().unwrap(), 0);
    let mut answer = server.answer(1);
    pend(&mut answer);
    assert_eq!(done(ask).map_err(|error| error.why()), Ok(1));
    assert_eq!(done(answer), Ok(()));
    assert!(server.demand().now().unwrap_err().is_not_ready());
    let mut ask = client.exchange(census.make());
    pend(&mut ask);
    assert_eq!(server.demand().now().unwrap(), 1);
    assert_eq!(server.demand().now().unwrap_err().why(), Why::OutOfTurn);
    server.finish_with(2).unwrap();
    assert_eq!(done(ask).map_err(|error| error.why()), Ok(2));
    census.assert_settled();
}

#[test]
fn an_answer_that_was_taken_is_ok_though_the_client_left() {
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        let census = Census::new();
        let (mut server, mut client) = asked();
        let mut answer = server.answer(census.make());
        pend(&mut answer);
        assert_eq!(client.recv().now().unwrap(), 0);
        super::leave(client, why);
        assert!(done(answer).is_ok());
        let error = server.answer(census.make()).now().unwrap_err();
        assert_eq!(error.why(), why);
        assert_eq!(error.into_unsent().unwrap(), 1);
        drop(server);
        census.assert_settled();
    }
}

#[test]
fn an_answer_that_was_not_taken_comes_back_when_the_client_leaves() {
    let _dog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        for how in [How::Thread, How::Task] {
            let census = Census::new();
            let (mut server, client) = asked();
            let item = census.make();
            let answering = thread::spawn(move || {
                let error = how.drive(how.run(server.answer(item))).unwrap_err();
                assert_eq!(error.why(), why);
                assert_eq!(error.into_unsent().unwrap(), 0);
                assert_eq!(server.closed().now(), Ok(why));
            });
            until(|| peer_waits(&client));
            super::leave(client, why);
            answering.join().unwrap();
            census.assert_settled();
        }
    }
}

#[test]
fn an_answer_to_a_client_that_has_left_gives_the_item_back_at_once() {
    let _dog = Watchdog::new();
    let (mut server, client) = simplex();
    client.close();
    assert_eq!(server.answer(1).wait().unwrap_err().into_unsent(), Some(1));
    assert_eq!(server.answer(2).now().unwrap_err().why(), Why::Closed);
    assert_eq!(ready(&mut server.answer(3)).unwrap_err().why(), Why::Closed);
}

#[test]
fn an_answer_without_a_client_that_takes_it_does_not_happen_by_now() {
    let (mut server, mut client) = asked();
    let error = server.answer(1).now().unwrap_err();
    assert!(error.is_not_ready());
    assert_eq!(error.into_unsent(), Some(1));
    let error = server.answer(2).wait_timeout(Duration::ZERO).unwrap_err();
    assert!(error.is_timed_out());
    assert_eq!(error.into_unsent(), Some(2));
    server.finish_with(3).unwrap();
    assert_eq!(client.recv().now(), Ok(3));
}

#[test]
fn an_answer_that_is_dropped_is_withdrawn_or_delivered() {
    let census = Census::new();
    let (mut server, mut client) = asked();
    let mut answer = server.answer(census.make());
    pend(&mut answer);
    drop(answer);
    assert_eq!(census.gone(), 1);
    assert!(client.recv().now().unwrap_err().is_not_ready());

    let mut answer = server.answer(census.make());
    pend(&mut answer);
    assert_eq!(client.recv().now().unwrap(), 1);
    drop(answer); // delivered
    assert_eq!(census.gone(), 2);

    let mut answer = server.answer(census.make());
    pend(&mut answer);
    assert_eq!(answer.reclaim().unwrap(), 2);
    pend(&mut client.recv());
    let mut answer = server.answer(census.make());
    pend(&mut answer);
    assert_eq!(client.recv().now().unwrap(), 3);
    assert!(answer.reclaim().is_none());
    census.assert_settled();
}

#[test]
fn a_withdrawn_answer_leaves_no_wake_behind() {
    let (mut server, mut client) = asked();
    let (bell, waker) = Bell::new();
    let mut answer = server.answer(1);
    pend_with(&mut answer, &waker);
    drop(answer);
    let mut send = server.send(2);
    pend(&mut send);
    assert_eq!(client.recv().now(), Ok(2));
    assert_eq!(bell.rings(), 0, "a send is not told that its item was taken");
    pend(&mut client.recv());
    assert_eq!(done(send), Ok(()));
    assert_eq!(bell.rings(), 0);
    drop(server);
    drop(client);
    drop(waker);
    assert_eq!(Arc::strong_count(&bell), 1);
}

#[test]
fn an_answer_that_was_forgotten_is_taken_and_the_server_goes_on() {
    let census = Census::new();
    let (mut server, mut client) = asked();
    let mut answer = server.answer(census.make());
    pend(&mut answer);
    std::mem::forget(answer);
    let error = server.answer(census.make()).now().unwrap_err();
    assert_eq!(error.into_unsent().unwrap(), 1);
    assert_eq!(client.recv().now().unwrap(), 0);
    pend(&mut client.recv());
    let mut answer = server.answer(census.make());
    pend(&mut answer);
    assert_eq!(client.recv().now().unwrap(), 2);
    assert!(done(answer).is_ok());
    drop(server);
    census.assert_settled();
}

#[test]
fn an_answer_is_an_arm_that_is_done_when_it_is_taken() {
    let _dog = Watchdog::new();
    for how in [How::Thread, How::Task] {
        let (mut server, mut client) = simplex();
        let other = handover::never::<u8>();
        let receiving = thread::spawn(move || {
            let got = client.recv().wait();
            (got, client)
        });
        let choice = select((server.answer(7), other.recv()));
        let chosen = match how {
            How::Thread => choice.wait(),
            How::Task => pollster::block_on(choice),
        };
        assert!(matches!(chosen, Sel2::A(Ok(()))));
        let (got, _client) = receiving.join().unwrap();
        assert_eq!(got, Ok(7));
    }
}

#[test]
fn an_answer_that_lost_its_select_tells_whether_it_was_delivered() {
    let (mut server, mut client) = asked();
    let (tx, rx) = handover::rendezvous::<u8>();
    let mut answer = server.answer(1);
    let mut choice = select((&mut answer, rx.recv()));
    pend(&mut choice);
    tx.close();
    assert!(matches!(done(choice), Sel2::B(Err(_))));
    assert!(client.recv().now().unwrap_err().is_not_ready(), "a lost arm offers nothing");
    assert_eq!(answer.reclaim(), Some(1));

    let mut answer = server.answer(2);
    let choice = select((&mut answer, rx.recv())).biased();
    // The arm that is ready at once comes second, and the answer first was put: it may not be there any more.
    assert!(matches!(done(choice), Sel2::B(Err(_))));
    assert!(client.recv().now().unwrap_err().is_not_ready());
    assert_eq!(answer.reclaim(), Some(2));
}

#[test]
fn an_answer_races_its_timeout_and_is_never_both() {
    let mut stress = Stress::new("answer against timeout", Duration::from_secs(2));
    let _dog = Watchdog::new();
    while stress.goes_on() {
        let census = Census::new();
        let (mut server, mut client) = simplex();
        let items: Vec<_> = (0..20).map(|_| census.next()).collect();
        let (a, b) = (stress.below(400), stress.below(400));
        let (delivered, got) = thread::scope(|scope| {
            let serving = scope.spawn(move || {
                let mut delivered = Vec::new();
                for (id, item) in items {
                    dither(a);
                    let limit = Duration::from_nanos(a * 50);
                    match server.answer(item).wait_timeout(limit) {
                        Ok(()) => delivered.push(id),
                        Err(error) => {
                            assert!(error.is_timed_out());
                            assert_eq!(error.into_unsent().unwrap(), id);
                        }
                    }
                }
                server.finish();
                delivered
            });
            let mut got = Vec::new();
            for item in client.iter() {
                got.push(item.id);
                dither(b);
            }
            (serving.join().unwrap(), got)
        });
        assert_eq!(delivered, got);
        drop(client);
        census.assert_settled();
    }
}

#[test]
fn both_ends_of_an_answered_channel_may_go_in_either_order() {
    for server_first in [true, false] {
        for taken in [true, false] {
            let census = Census::new();
            let (mut server, mut client) = asked();
            let mut answer = server.answer(census.make());
            pend(&mut answer);
            if taken {
                assert_eq!(client.recv().now().unwrap(), 0);
            }
            std::mem::forget(answer);
            if server_first {
                drop(server);
                let last = client.recv().now();
                assert_eq!(last.is_ok(), !taken);
                drop(client);
            } else {
                drop(client);
                drop(server);
            }
            census.assert_settled();
        }
    }
}

#[test]
fn a_waker_that_panics_at_the_take_of_an_answer_costs_neither_side_anything() {
    let (mut server, mut client) = asked();
    let hook = Hook::new();
    let mut answer = server.answer(5);
    pend_with(&mut answer, &hook.waker());
    hook.set_panic(Moment::Wake);
    assert_eq!(client.recv().now(), Ok(5));
    assert!(!hook.is_set(Moment::Wake));
    assert_eq!(done(answer), Ok(()));
}

#[test]
fn a_waker_that_panics_while_an_answer_is_put_leaves_the_item_with_the_server() {
    let (mut server, mut client) = asked();
    let hook = Hook::new();
    let waker = hook.waker();
    let mut answer = server.answer(5);
    hook.set_panic(Moment::Clone);
    assert!(panics(|| poll_with(&mut answer, &waker)));
    assert!(client.recv().now().unwrap_err().is_not_ready());
    pend(&mut answer);
    assert_eq!(client.recv().now(), Ok(5));
    assert_eq!(done(answer), Ok(()));

    pend(&mut client.recv());
    let mut answer = server.answer(6);
    hook.set_panic(Moment::Clone);
    assert!(panics(|| poll_with(&mut answer, &waker)));
    assert_eq!(answer.reclaim(), Some(6));
}

#[test]
fn a_client_s_waker_that_panics_when_it_is_answered_does_not_undo_the_answer() {
    let (mut server, mut client) = simplex();
    let hook = Hook::new();
    let mut recv = client.recv();
    pend_with(&mut recv, &hook.waker());
    hook.set_panic(Moment::Wake);
    let mut answer = server.answer(5);
    assert!(panics(|| poll_once(&mut answer)));
    assert_eq!(ready(&mut recv), Ok(5));
    assert_eq!(done(answer), Ok(()));
}

#[test]
fn a_generator_may_answer_and_end_with_its_last_item() {
    let _dog = Watchdog::new();
    let routine = |mut server: Server<u8>| async move {
        server.answer(1).await.unwrap();
        server.answer(2).await.unwrap();
        server.finish_with(3).unwrap();
    };
    let mut items = handover::generate(routine);
    assert!(items.by_ref().eq([1, 2, 3]));
    assert_eq!(items.end(), Some(Why::Closed));
    use futures_lite::StreamExt;
    let items = handover::generate(routine).into_stream().collect::<Vec<_>>();
    assert_eq!(pollster::block_on(items), [1, 2, 3]);
}
