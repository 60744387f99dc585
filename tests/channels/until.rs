//! `until`: the time limit of tasks, for each operation and for `select`.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready as now};
use std::marker::PhantomPinned;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::support::thread;
use crate::support::*;
use handover::{Sel2, Why, duplex, never, rendezvous, select, simplex, stream};

/// Polls once, with a waker that does nothing.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A limit that is up when `Cell` says so. It is not `Unpin`, and counts its polls.
struct Limit<'a> {
    is_up: &'a Cell<bool>,
    polls: &'a Cell<u32>,
    _pin: PhantomPinned,
}

impl Future for Limit<'_> {
    type Output = &'static str;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<&'static str> {
        self.polls.set(self.polls.get() + 1);
        if self.is_up.get() { Poll::Ready("its output is dropped") } else { Poll::Pending }
    }
}

macro_rules! assert_times_out {
    ($op:expr) => {{
        let error = pollster::block_on($op.until(now(()))).map(drop).unwrap_err();
        assert!(error.is_timed_out(), "{error:?}");
        error
    }};
}

#[test]
fn a_time_that_is_up_first_ends_every_operation_with_its_value() {
    let _dog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    assert_times_out!(server.demand());
    assert_eq!(assert_times_out!(server.exchange(1)).into_unsent(), Some(1));
    assert_eq!(assert_times_out!(server.answer(2)).into_unsent(), Some(2));
    assert_times_out!(server.closed());
    assert_eq!(assert_times_out!(client.exchange(3)).into_unsent(), Some(3));
    assert_times_out!(client.closed());
    assert_times_out!(server.peer().closed());

    let (mut server, mut client) = simplex::<u8>();
    assert_times_out!(client.recv());
    assert_times_out!(client.owed());
    assert_eq!(assert_times_out!(server.send(4)).into_unsent(), Some(4));
    assert!(assert_times_out!(server.send_all(0..3)).into_rest().eq(0..3));

    let (mut writer, mut reader) = stream::<u8>();
    assert_eq!(assert_times_out!(writer.send(5)).into_unsent(), Some(5));
    assert!(assert_times_out!(writer.write(0..3)).into_rest().eq(0..3));
    assert!(assert_times_out!(writer.write_local(0..3)).into_rest().eq(0..3));
    assert_times_out!(writer.wanted());
    assert_times_out!(writer.closed());
    assert_times_out!(reader.recv());
    assert_times_out!(reader.read(3));
    assert_times_out!(reader.read_into(3, &mut Vec::new()));
    assert_times_out!(reader.read_some(3));
    assert_times_out!(reader.read_all());
    assert_times_out!(reader.read_once());
    assert_times_out!(reader.closed());

    let (tx, rx) = rendezvous::<u8>();
    assert_eq!(assert_times_out!(tx.send(6)).into_unsent(), Some(6));
    assert!(assert_times_out!(tx.send_all(0..3)).into_rest().eq(0..3));
    assert_times_out!(tx.reserve());
    assert_times_out!(tx.closed());
    assert_times_out!(rx.recv());
    assert_times_out!(rx.closed());
    assert_eq!(tx.stats().waiting_senders + tx.stats().waiting_receivers, 0);
    assert!(pollster::block_on(select((tx.send(7), rx.closed())).until(now(()))).is_none());
}

#[test]
fn an_operation_that_is_done_first_never_asks_its_limit() {
    let (is_up, polls) = (Cell::new(true), Cell::new(0));
    let limit = || Limit { is_up: &is_up, polls: &polls, _pin: PhantomPinned };
    let (tx, rx) = rendezvous();
    let mut send = tx.send(1);
    pend(&mut send);
    assert_eq!(pollster::block_on(rx.recv().until(limit())), Ok(1));
    tx.close();
    assert!(pollster::block_on(tx.closed().until(limit())).is_ok());
    assert!(pollster::block_on(rx.recv().until(limit())).unwrap_err().is_end());
    assert!(pollster::block_on(select((rx.recv(), tx.closed())).until(limit())).is_some());
    assert_eq!(polls.get(), 0);
}

#[test]
fn an_operation_waits_for_its_peer_or_for_a_limit_that_is_not_unpin() {
    let (is_up, polls) = (Cell::new(false), Cell::new(0));
    let (tx, rx) = rendezvous();
    let mut until =
        pin!(rx.recv().until(Limit { is_up: &is_up, polls: &polls, _pin: PhantomPinned }));
    for n in 1..4 {
        assert!(poll(until.as_mut()).is_pending());
        assert_eq!(polls.get(), n);
    }
    let mut send = tx.send(1);
    pend(&mut send);
    assert_eq!(poll(until), Poll::Ready(Ok(1)));
    assert_eq!((ready(&mut send), polls.get()), (Ok(()), 3));

    let mut until =
        pin!(rx.recv().until(Limit { is_up: &is_up, polls: &polls, _pin: PhantomPinned }));
    assert!(poll(until.as_mut()).is_pending());
    is_up.set(true);
    assert_eq!(poll(until).map(|got| got.unwrap_err().why()), Poll::Ready(Why::TimedOut));
    assert_eq!(tx.stats().waiting_receivers, 0);
}

#[test]
fn what_happens_while_the_limit_is_asked_beats_it() {
    // The limit brings the value itself, and is then up: the last look finds it.
    let (tx, rx) = rendezvous();
    let mut send = tx.send(1);
    let limit = poll_fn(|_| {
        pend(&mut send);
        Poll::Ready(())
    });
    assert_eq!(pollster::block_on(rx.recv().until(limit)), Ok(1));
    assert_eq!(ready(&mut send), Ok(()));
    drop(send);

    let limit = poll_fn(|_| {
        assert_eq!(rx.recv().now(), Ok(2));
        Poll::Ready(())
    });
    assert!(pollster::block_on(tx.send(2).until(limit)).is_ok());

    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    let limit = poll_fn(|_| {
        assert_eq!(client.recv().now(), Ok(3));
        Poll::Ready(())
    });
    assert!(pollster::block_on(server.answer(3).until(limit)).is_ok());

    // A select, by an arm that is won meanwhile.
    let limit = poll_fn(|_| {
        assert_eq!(rx.recv().now(), Ok(4));
        Poll::Ready(())
    });
    let chosen = pollster::block_on(select((tx.send(4), never::<u8>().recv())).until(limit));
    assert!(matches!(chosen, Some(Sel2::A(Ok(())))));
}

#[test]
fn a_send_whose_time_is_up_after_the_take_has_nothing_unsent() {
    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    let limit = poll_fn(|_| {
        assert_eq!(client.recv().now(), Ok(1));
        Poll::Ready(())
    });
    let error = pollster::block_on(server.send(1).until(limit)).unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, None));

    let (mut server, mut client) = duplex::<u8, u8>();
    let limit = poll_fn(|_| {
        assert_eq!(server.demand().now(), Ok(7));
        Poll::Ready(())
    });
    let error = pollster::block_on(client.exchange(7).until(limit)).unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, None));
    server.finish_with(8).unwrap();
    assert_eq!(client.owed().now(), Ok(8));
}

#[test]
fn a_value_comes_back_through_the_pinned_operation() {
    let (tx, rx) = rendezvous();
    let mut send = pin!(tx.send(1).until(pending::<()>()));
    assert!(poll(send.as_mut()).is_pending());
    assert_eq!(send.as_mut().reclaim(), Some(1));
    assert_eq!(send.as_mut().reclaim(), None);
    assert!(rx.recv().now().is_err());
    assert!(panic_text(|| poll(send)).contains("again"));

    let mut send = pin!(tx.send(2).until(pending::<()>()));
    assert!(poll(send.as_mut()).is_pending());
    assert_eq!(rx.recv().now(), Ok(2));
    assert_eq!(send.reclaim(), None, "it was taken");

    let never_polled = pin!(tx.send(3).until(pending::<()>()));
    assert_eq!(never_polled.reclaim(), Some(3));

    let (mut server, mut client) = duplex::<u8, u8>();
    let mut ask = pin!(client.exchange(4).until(pending::<()>()));
    assert!(poll(ask.as_mut()).is_pending());
    assert_eq!(ask.reclaim(), Some(4));
    let mut answer = pin!(server.answer(5).until(pending::<()>()));
    assert!(poll(answer.as_mut()).is_pending());
    assert_eq!(answer.reclaim(), Some(5));
    let (mut writer, _reader) = stream();
    let mut send = pin!(writer.send(6).until(pending::<()>()));
    assert!(poll(send.as_mut()).is_pending());
    assert_eq!(send.reclaim(), Some(6));
}

#[test]
fn a_limited_operation_that_is_dropped_is_withdrawn_and_drops_its_limit() {
    let census = Census::new();
    let (tx, rx) = rendezvous();
    let alive = Rc::new(());
    {
        let held = Rc::clone(&alive);
        let limit = async move {
            pending::<()>().await;
            drop(held);
        };
        let mut send = pin!(tx.send(census.make()).until(limit));
        assert!(poll(send.as_mut()).is_pending());
        assert_eq!(tx.stats().waiting_senders, 1);
    }
    assert_eq!((tx.stats().waiting_senders, Rc::strong_count(&alive)), (0, 1));
    drop(tx.send(census.make()).until(pending::<()>()));
    let mut choice = Box::pin(select((tx.send(census.make()), rx.closed())).until(pending::<()>()));
    assert!(poll(choice.as_mut()).is_pending());
    drop(choice);
    assert_eq!(tx.stats().waiting_senders, 0);
    census.assert_settled();
}

#[test]
fn a_limit_that_panics_when_it_is_polled_loses_no_value() {
    let (tx, rx) = rendezvous();
    let limit = || poll_fn(|_| -> Poll<()> { std::panic::resume_unwind(Box::new("on purpose")) });
    let mut send = pin!(tx.send(1).until(limit()));
    assert!(panics(|| poll(send.as_mut())));
    assert_eq!(send.reclaim(), Some(1));

    let mut send = pin!(tx.send(2).until(limit()));
    assert!(panics(|| poll(send.as_mut())));
    assert_eq!(rx.recv().now(), Ok(2));
    assert_eq!(poll(send), Poll::Ready(Ok(())));

    let mut sending = tx.send(3);
    let mut recv = Box::pin(rx.recv().until(limit()));
    assert!(panics(|| poll(recv.as_mut())));
    pend(&mut sending);
    drop(recv); // what was offered to it is not lost
    assert_eq!(rx.recv().now(), Ok(3));
    assert_eq!(ready(&mut sending), Ok(()));
}

#[test]
fn a_limit_that_panics_when_it_is_dropped_loses_no_value() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            quiet_panic();
        }
    }
    impl Future for Bomb {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }
    let (tx, rx) = rendezvous();
    let mut send = pin!(tx.send(1).until(Bomb));
    assert!(panics(|| poll(send.as_mut())));
    // The time is up, and the next poll says so.
    let Poll::Ready(Err(error)) = poll(send) else { panic!("the limit is gone") };
    assert_eq!((error.why(), error.into_unsent()), (Why::TimedOut, Some(1)));

    let mut send = pin!(tx.send(2).until(Bomb));
    assert!(panics(|| poll(send.as_mut())));
    assert_eq!(rx.recv().now(), Ok(2));
    assert_eq!(poll(send), Poll::Ready(Ok(())));

    // Dropped before it was up: the operation goes as well.
    let census = Census::new();
    let (tx, _rx) = rendezvous();
    assert!(panics(|| drop(tx.send(census.make()).until(Bomb))));
    census.assert_settled();
}

#[test]
fn a_limited_operation_that_is_polled_after_it_was_done_says_so() {
    let (_tx, rx) = rendezvous::<u8>();
    let mut recv = pin!(rx.recv().until(now(())));
    assert!(poll(recv.as_mut()).is_ready());
    assert!(panic_text(|| poll(recv.as_mut())).contains("Receiver::recv"));
    assert!(format!("{:?}", recv.as_ref()).contains("Until"));
}

#[test]
fn a_limit_wakes_the_task_that_waits() {
    let _dog = Watchdog::new();
    let (_tx, rx) = rendezvous::<u8>();
    let (mut stop, mut stopped) = simplex::<()>();
    let stopping = thread::spawn(move || {
        let_them_park();
        stop.answer(()).wait()
    });
    let error = pollster::block_on(rx.recv().until(stopped.recv())).unwrap_err();
    assert!(error.is_timed_out());
    stopping.join().unwrap().unwrap();
}

#[test]
fn a_runtime_s_sleep_races_deliveries_and_each_value_is_somewhere() {
    let _dog = Watchdog::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let census = Census::new();
    let (tx, rx) = rendezvous::<Counted>();
    let receiving = thread::spawn(move || {
        let mut got = Vec::new();
        for value in &rx {
            got.push(value.id);
            dither(2_000);
        }
        got
    });
    let sent = runtime.block_on(async {
        let mut sent = Vec::new();
        for n in 0..300 {
            let (id, value) = census.next();
            let nap = tokio::time::sleep(std::time::Duration::from_micros(n % 7));
            match tx.send(value).until(nap).await {
                Ok(()) => sent.push(id),
                Err(error) => assert_eq!(error.into_unsent().unwrap().id, id),
            }
        }
        sent
    });
    drop(tx);
    assert_eq!(receiving.join().unwrap(), sent);
    census.assert_settled();
}
