//! User code that panics, or uses the same channel, while a `select` is at work: no loss, and still one arm.

use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use crate::support::thread;
use crate::support::*;
use handover::{Sel2, Sel3, never, rendezvous, select, simplex, stream};

/// Gives so many values, and then panics.
fn breaking(census: &Census, values: usize) -> impl Iterator<Item = Counted> + Send + 'static {
    let census = census.clone();
    let mut left = values;
    iter::from_fn(move || {
        if left == 0 {
            quiet_panic();
        }
        left -= 1;
        Some(census.make())
    })
}

#[test]
fn an_iterator_that_panics_leaves_each_value_somewhere() {
    for taken in 0..3 {
        let census = Census::new();
        let (tx, rx) = rendezvous();
        let other = rendezvous();
        let mut got = Vec::new();
        let mut send = other.0.send(census.make());
        let mut choice = select((tx.send_all(breaking(&census, taken)), &mut send)).biased();
        for _ in 0..taken {
            pend(&mut choice);
            got.push(rx.recv().now().unwrap());
        }
        assert!(panics(|| poll_once(&mut choice)));
        drop(choice);
        assert_eq!(got.len(), taken);
        assert!(send.reclaim().is_some());
        assert_eq!(tx.stats().waiting_senders + other.0.stats().waiting_senders, 0);
        drop(got);
        census.assert_settled();

        // In lockstep, and in batches.
        let census = Census::new();
        let (mut server, mut client) = simplex();
        pend(&mut client.recv());
        let mut send = other.0.send(census.make());
        let mut choice = select((server.send_all(breaking(&census, taken)), &mut send)).biased();
        for _ in 0..taken {
            pend(&mut choice);
            drop(ready(&mut client.recv()).unwrap());
            pend(&mut client.recv());
        }
        assert!(panics(|| poll_once(&mut choice)));
        drop(choice);
        assert!(send.reclaim().is_some());
        let (mut writer, mut reader) = stream();
        let mut read = reader.read(9);
        pend(&mut read);
        let quiet = never::<u8>();
        let mut choice = select((writer.write(breaking(&census, taken)), quiet.recv()));
        assert!(panics(|| poll_once(&mut choice)));
        drop(choice);
        drop(writer.finish());
        assert_eq!(ready(&mut read).map_or(0, |batch| batch.len()), taken, "what was made");
        drop(read);
        census.assert_settled();
    }
}

/// A select that is polled again after a panic still has one winner.
#[test]
fn after_a_panic_it_is_still_one_choice() {
    let census = Census::new();
    let channels = [rendezvous(), rendezvous(), rendezvous()];
    let (tx, _rx) = rendezvous();
    for (waits, order) in [(0, [0, 1]), (1, [0, 1]), (1, [1, 0]), (2, [1, 0])] {
        let mut choice = select((
            channels[0].0.send(census.make()),
            channels[1].0.send(census.make()),
            tx.send_all(iter::once_with(|| -> u8 { std::panic::resume_unwind(Box::new(())) })),
        ))
        .biased();
        assert!(panics(|| poll_once(&mut choice)));
        for _ in 0..waits {
            // The iterator is asked again, and has ended.
            if catch_unwind(AssertUnwindSafe(|| poll_once(&mut choice).is_pending())).is_err() {
                break;
            }
        }
        let before: u64 = channels.iter().map(|(tx, _)| tx.stats().handed_over).sum();
        let got: Vec<_> = order.iter().filter_map(|&at| channels[at].1.recv().now().ok()).collect();
        assert!(got.len() <= 1, "two arms of one choice: {got:?}");
        drop(choice);
        let after: u64 = channels.iter().map(|(tx, _)| tx.stats().handed_over).sum();
        assert_eq!(after - before, got.len() as u64);
    }
    census.assert_settled();
}

/// The same where an arm wakes a waker that panics.
#[test]
fn after_a_wakers_panic_it_is_still_one_choice() {
    for polls_again in 0..3 {
        let census = Census::new();
        let (a, b) = (rendezvous(), rendezvous());
        let hook = Hook::new();
        let mut recv = a.1.recv();
        assert!(poll_with(&mut recv, &hook.waker()).is_pending());
        hook.set_panic(Moment::Wake);
        let mut choice = select((a.0.send(census.make()), b.0.send(census.make()))).biased();
        assert!(panics(|| poll_once(&mut choice)), "offers, and calls the receiver");
        for _ in 0..polls_again {
            pend(&mut choice);
        }
        let from_b = b.1.recv().now();
        let from_a = ready_or_none(&mut recv);
        if polls_again > 0 {
            assert!(from_a.is_some() != from_b.is_ok(), "{from_a:?} {from_b:?}");
            match ready(&mut choice) {
                Sel2::A(sent) => assert!(from_a.is_some() && sent.is_ok()),
                Sel2::B(sent) => assert!(from_b.is_ok() && sent.is_ok()),
            }
        }
        assert!(!(from_a.is_some() && from_b.is_ok()), "two arms of one choice");
        drop((from_a, from_b));
        drop(choice);
        drop(recv);
        census.assert_settled();
    }
}

fn ready_or_none<T>(recv: &mut handover::op::Take<'_, T>) -> Option<T> {
    match poll_once(recv) {
        std::task::Poll::Ready(got) => got.ok(),
        std::task::Poll::Pending => None,
    }
}

/// A panic in the withdrawal of the losing arms does not lose the winner's value.
#[test]
fn a_waker_that_a_losing_arm_wakes_does_not_lose_the_winners_value() {
    for way in 0..3 {
        let census = Census::new();
        let (a, b) = (rendezvous(), rendezvous());
        // Another task waits behind an arm of the select, and is woken when that arm goes.
        let hook = Hook::new();
        let mut choice = select((a.1.recv(), b.1.recv())).biased();
        pend(&mut choice);
        let mut behind = b.1.recv();
        assert!(poll_with(&mut behind, &hook.waker()).is_pending());
        let mut sends = [a.0.send(census.make()), b.0.send(census.make())];
        sends.iter_mut().for_each(pend);
        hook.set_panic(Moment::Wake);
        let got = catch_unwind(AssertUnwindSafe(|| match way {
            0 => ready(&mut choice),
            1 => choice.wait(),
            _ => choice.now().unwrap(),
        }));
        let [mut first, mut second] = sends;
        ready(&mut first).unwrap();
        let got = got.unwrap_or_else(|_| panic!("the value that was taken is lost"));
        assert!(matches!(got, Sel2::A(Ok(value)) if value == 0));
        assert_eq!(hook.bell.rings(), 1);
        assert_eq!(ready(&mut behind).unwrap(), 1);
        ready(&mut second).unwrap();
        drop((first, second, behind));
        census.assert_settled();
    }
}

/// A loser's value may panic when it is dropped, too.
#[test]
fn a_destructor_in_a_losing_arm_does_not_lose_the_winners_value() {
    struct Breaks;
    impl Drop for Breaks {
        fn drop(&mut self) {
            if !thread::panicking() {
                quiet_panic();
            }
        }
    }
    let census = Census::new();
    let (a, b) = (rendezvous(), rendezvous());
    let mut choice = select((a.1.recv(), b.0.send(Breaks))).biased();
    let mut send = a.0.send(census.make());
    pend(&mut send);
    let got = catch_unwind(AssertUnwindSafe(|| ready(&mut choice)));
    ready(&mut send).unwrap();
    assert!(matches!(got, Ok(Sel2::A(Ok(value))) if value == 0), "the value is lost");
    drop(choice);
    assert_eq!(b.0.stats().waiting_senders, 0);
    drop(send);
    census.assert_settled();
}

#[test]
fn a_waker_that_panics_when_a_send_is_taken_leaves_it_taken() {
    let (tx, rx) = rendezvous();
    let quiet = never::<u8>();
    let hook = Hook::new();
    let mut choice = select((tx.send(1), quiet.recv()));
    assert!(poll_with(&mut choice, &hook.waker()).is_pending());
    hook.set_panic(Moment::Wake);
    assert_eq!(rx.recv().now(), Ok(1), "the taker has it");
    assert!(matches!(ready(&mut choice), Sel2::A(Ok(()))));
    // A waker's clone panics before an arm has left anything in a channel.
    hook.set_panic(Moment::Clone);
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let mut send = tx.send(census.make());
    let mut choice = select((&mut send, quiet.recv()));
    assert!(panics(|| poll_with(&mut choice, &hook.waker())));
    assert!(poll_with(&mut choice, &hook.waker()).is_pending());
    assert_eq!(rx.recv().now().unwrap(), 0);
    assert!(matches!(ready(&mut choice), Sel2::A(Ok(()))));
    drop(choice);
    drop(send);
    census.assert_settled();
}

#[test]
fn a_send_whose_wakers_clone_panicked_has_its_item_as_an_arm_later() {
    let _watchdog = Watchdog::new();
    let quiet = never::<()>();
    let (mut server, mut client) = simplex();
    let mut recv = client.recv();
    pend(&mut recv);
    server.demand().now().unwrap();
    let mut send = server.send("an item");
    let hook = Hook::new();
    hook.set_panic(Moment::Clone);
    assert!(panics(|| poll_with(&mut send, &hook.waker())));
    pend(&mut select((&mut send, quiet.recv())));
    pend(&mut send);
    assert_eq!(ready(&mut recv), Ok("an item"));
}

/// Wakers may use the channels of the choice.
#[test]
fn wakers_may_use_the_same_channels() {
    let ends = Arc::new((rendezvous::<u8>(), rendezvous::<u8>()));
    let hook = Hook::new();
    let (inner, seen) = (Arc::clone(&ends), Arc::new(Mutex::new(Vec::new())));
    let quiet = never::<u8>();
    let (a, b) = &*ends;
    let mut choice = select((a.1.recv(), b.0.send(9), quiet.recv()));
    assert!(poll_with(&mut choice, &hook.waker()).is_pending());
    let log = Arc::clone(&seen);
    hook.set(Moment::Wake, move || {
        let (a, b) = &*inner;
        log.lock().unwrap().push(b.1.recv().now().is_ok());
        log.lock().unwrap().push(select((a.0.send(5), b.1.recv())).now().is_some());
        log.lock().unwrap().push(a.0.stats().waiting_senders > 0);
    });
    let mut send = a.0.send(1);
    pend(&mut send);
    assert_eq!(*seen.lock().unwrap(), [true, false, true]);
    assert!(matches!(ready(&mut choice), Sel3::B(Ok(()))), "the waker took it");
    assert_eq!(send.reclaim(), Some(1));
    // The iterator of an arm may use them, too.
    let (tx, rx) = rendezvous();
    let (bell, waker) = Bell::new();
    let items = iter::from_fn(|| {
        assert!(select((rx.recv(), tx.reserve())).now().is_none());
        rx.is_closed().then_some(0_u8)
    });
    let mut choice = select((tx.send_all(items), rx.recv()));
    assert!(matches!(poll_with(&mut choice, &waker), std::task::Poll::Ready(Sel2::A(Ok(())))));
    assert_eq!(bell.rings(), 0);
}

#[test]
fn an_arm_whose_destructor_panics_does_not_leak_what_another_arm_has_received() {
    /// Its destructor panics.
    struct Loud;

    impl Drop for Loud {
        fn drop(&mut self) {
            quiet_panic();
        }
    }

    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let (mut writer, _reader) = stream();
    for waits in [false, true] {
        let mut send = tx.send(census.make());
        pend(&mut send);
        let choice = select((rx.recv(), writer.write([Loud]))).biased();
        assert!(panics(|| if waits { choice.wait_deadline(past()) } else { choice.now() }));
        assert!(ready(&mut send).is_ok());
    }
    census.assert_settled();
}
