//! Who waits: what is listed, from when to when. The list is that of the process, so these tests run one after the other.
#![cfg(all(feature = "diagnose", not(any(handover_loom, handover_shuttle))))]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_core::Stream;
use handover::diagnose::{Waiting, waiting};
use handover::{Sel2, duplex, rendezvous, select, simplex, stream};

static ALONE: Mutex<()> = Mutex::new(());

/// Nothing waits but what this test makes wait.
fn alone() -> MutexGuard<'static, ()> {
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(waiting().is_empty(), "{}", waiting());
    guard
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
fn pend<F: Future + Unpin>(future: &mut F) {
    assert!(poll(future).is_pending());
}

fn poll_next<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(Waker::noop()))
}

/// What waits, by the methods' names.
fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = waiting().iter().map(Waiting::what).collect();
    names.sort_unstable();
    names
}

#[track_caller]
fn assert_nothing_waits() {
    assert!(waiting().is_empty(), "{}", waiting());
}

/// Waits until so many wait.
fn until_waiting(n: usize) {
    let start = Instant::now();
    while waiting().len() != n {
        assert!(start.elapsed() < Duration::from_secs(60), "not {n}: {}", waiting());
        thread::yield_now();
    }
}

#[test]
fn a_thread_that_blocks_is_listed_with_all_there_is_to_say() {
    let _alone = alone();
    let begun = Instant::now();
    let (channel_line, (tx, rx)) = (line!(), rendezvous::<u8>());
    let receiver = thread::Builder::new().name("the receiver".into());
    let receiver = receiver.spawn(move || (rx.recv().wait(), line!())).unwrap();
    until_waiting(1);
    let table = waiting();
    let row = &table[0];
    assert_eq!((row.what(), row.thread_name()), ("Receiver::recv", Some("the receiver")));
    assert_eq!((row.made_at().file(), row.made_at().line()), (file!(), channel_line));
    assert!(begun <= row.since() && row.since() <= Instant::now());
    tx.send(1).wait().unwrap();
    let (received, line) = receiver.join().unwrap();
    assert_eq!((received, line), (Ok(1), row.at().line()));
    assert_eq!(row.at().file(), file!());
    assert_nothing_waits();
    assert_eq!(table.clone().into_iter().count(), 1, "the list stays as it was");
}

#[test]
fn a_task_is_listed_from_its_first_pending_poll_to_its_end() {
    let _alone = alone();
    let (mut server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    assert_nothing_waits();
    pend(&mut recv);
    let first = waiting()[0].clone();
    assert_eq!((first.what(), first.thread_name()), ("Client::recv", None));
    thread::sleep(Duration::from_millis(2));
    pend(&mut recv);
    let second = waiting()[0].clone();
    assert_eq!(first.since(), second.since(), "it is the same wait");
    assert!(server.send(1).now().is_err());
    let mut send = server.send(1);
    pend(&mut send);
    assert_eq!(poll(&mut recv), Poll::Ready(Ok(1)));
    assert_eq!(names(), ["Server::send"]);
    drop(send);
    assert_nothing_waits();
}

#[test]
fn what_is_given_up_is_listed_no_more() {
    let _alone = alone();
    let (tx, rx) = rendezvous::<u8>();
    assert!(rx.recv().wait_timeout(Duration::from_millis(1)).is_err());
    assert!(tx.send(1).now().is_err());
    assert_nothing_waits();
    let mut send = tx.send(1);
    pend(&mut send);
    assert_eq!(names(), ["Sender::send"]);
    assert_eq!(send.reclaim(), Some(1));
    assert_nothing_waits();
    let mut recv = rx.recv();
    pend(&mut recv);
    drop(recv);
    assert_nothing_waits();
    let (mut server, mut client) = duplex::<u8, u8>();
    let mut ask = client.exchange(1);
    pend(&mut ask);
    assert_eq!(names(), ["Client::exchange"]);
    assert!(ask.now().is_err());
    assert_nothing_waits();
    let mut exchange = server.exchange(1);
    pend(&mut exchange);
    assert_eq!(exchange.reclaim(), Some(1));
    assert_nothing_waits();
    let mut recv = Box::pin(rx.recv().until(std::future::ready(())));
    assert!(poll(&mut recv).is_ready());
    assert_nothing_waits();
    let mut recv = Box::pin(rx.recv().until(std::future::pending::<()>()));
    pend(&mut recv);
    assert_eq!(names(), ["Receiver::recv"]);
    drop(recv);
    assert_nothing_waits();
}

#[test]
fn each_arm_of_a_select_is_listed_with_its_own_line() {
    let _alone = alone();
    let (tx, rx) = rendezvous::<u8>();
    let (_server, mut client) = simplex::<u8>();
    let (other, _rx) = rendezvous::<u8>();
    let first = line!() + 1;
    let receive = rx.recv();
    let ask = client.recv();
    let sends = vec![other.send(1), other.send(2)];
    let mut choice = select((receive, ask, sends));
    pend(&mut choice);
    assert_eq!(names(), ["Client::recv", "Receiver::recv", "Sender::send", "Sender::send"]);
    let table = waiting();
    let mut lines: Vec<_> = table.iter().map(|row| row.at().line()).collect();
    lines.sort_unstable();
    assert_eq!(lines, [first, first + 1, first + 2, first + 2]);
    let mut channels: Vec<_> = table.iter().map(Waiting::channel).collect();
    channels.sort_unstable();
    assert_eq!(channels, [channels[0], channels[0] + 1, channels[0] + 2, channels[0] + 2]);
    pend(&mut choice);
    assert_eq!(waiting().len(), 4);
    let mut send = tx.send(7);
    pend(&mut send);
    assert!(poll(&mut choice).is_ready());
    drop(choice);
    assert!(poll(&mut send).is_ready());
    assert_nothing_waits();
}

#[test]
fn a_thread_in_a_select_and_a_select_that_is_dropped() {
    let _alone = alone();
    let (tx, rx) = rendezvous::<u8>();
    let (stop, stopped) = rendezvous::<u8>();
    thread::scope(|scope| {
        let choosing = scope.spawn(|| select((rx.recv(), stopped.recv())).wait());
        until_waiting(2);
        stop.send(1).wait().unwrap();
        assert!(matches!(choosing.join().unwrap(), Sel2::B(Ok(1))));
    });
    assert_nothing_waits();
    let mut choice = select([rx.recv(), stopped.recv(), rx.recv()]);
    pend(&mut choice);
    assert_eq!(waiting().len(), 3);
    drop(choice);
    assert_nothing_waits();
    drop(tx);
}

#[test]
fn iterators_and_streams_go_by_the_method_that_made_them() {
    let _alone = alone();
    let (tx, rx) = rendezvous::<u8>();
    let (server, client) = simplex::<u8>();
    let (writer, reader) = stream::<u8>();
    thread::scope(|scope| {
        scope.spawn(|| rx.iter().count());
        scope.spawn(|| client.into_iter().count());
        scope.spawn(|| reader.into_chunks(3).count());
        until_waiting(3);
        assert_eq!(names(), ["Client::into_iter", "Reader::into_chunks", "Receiver::iter"]);
        assert!(waiting().iter().all(|row| row.at().file() == file!()));
        drop((tx, server, writer));
    });
    assert_nothing_waits();

    let (tx, rx) = rendezvous::<u8>();
    let (_server, client) = simplex::<u8>();
    let (_writer, mut reader) = stream::<u8>();
    let mut values = rx.into_stream();
    let mut items = client.into_stream().checked();
    let mut batches = reader.chunks(3).into_stream();
    for _ in 0..2 {
        assert!(poll_next(&mut values).is_pending());
        assert!(poll_next(&mut items).is_pending());
        assert!(poll_next(&mut batches).is_pending());
        assert_eq!(names(), ["Client::into_stream", "Reader::chunks", "Receiver::into_stream"]);
    }
    drop((values, batches));
    assert_eq!(names(), ["Client::into_stream"]);
    drop(items);
    assert_nothing_waits();
    drop(tx);
}

#[test]
fn every_kind_of_operation_is_listed() {
    let _alone = alone();
    let (tx, rx) = rendezvous::<u8>();
    let (mut server, mut client) = duplex::<u8, u8>();
    let (mut writer, mut reader) = stream::<u8>();
    let mut into = Vec::new();
    let mut last = line!();
    macro_rules! listed {
        ($($name:literal: $op:expr;)*) => {$({
            let mut op = $op;
            pend(&mut op);
            assert_eq!(names(), [$name]);
            let table = waiting();
            assert_eq!(table[0].at().file(), file!(), $name);
            assert!(table[0].at().line() > last, "each has a line of its own");
            last = table[0].at().line();
            drop(op);
            assert_nothing_waits();
        })*};
    }
    listed! {
        "Sender::send": tx.send(1);
        "Sender::send_all": tx.send_all([1, 2]);
        "Sender::reserve": tx.reserve();
        "Sender::closed": tx.closed();
        "Receiver::recv": rx.recv();
        "Receiver::closed": rx.closed();
        "Server::demand": server.demand();
        "Server::exchange": server.exchange(1);
        "Server::answer": server.answer(1);
        "Server::closed": server.closed();
        "Client::exchange": client.exchange(1);
        "Client::closed": client.closed();
        "Writer::send": writer.send(1);
        "Writer::write": writer.write([1, 2]);
        "Writer::write_local": writer.write_local([1, 2]);
        "Writer::wanted": writer.wanted();
        "Reader::recv": reader.recv();
        "Reader::read": reader.read(3);
        "Reader::read_into": reader.read_into(3, &mut into);
        "Reader::read_some": reader.read_some(3);
        "Reader::read_all": reader.read_all();
        "Reader::read_once": reader.read_once();
        "Reader::closed": reader.closed();
    }
    let peer = server.peer();
    listed! {
        "Peer::closed": peer.closed();
    }
    assert!(last < line!());
    let mut recv = rx.recv();
    pend(&mut recv);
    let permit = pollster::block_on(tx.reserve()).unwrap();
    let mut send = permit.send(1);
    pend(&mut send);
    assert_eq!(names(), ["Permit::send", "Receiver::recv"]);
    drop((send, recv));
    assert_nothing_waits();
}

#[test]
fn a_read_once_that_is_done_is_listed_no_more() {
    let _alone = alone();
    let (mut writer, mut reader) = stream::<u8>();
    let mut once = reader.read_once();
    pend(&mut once);
    let mut write = writer.write([1, 2]);
    pend(&mut write);
    let Poll::Ready(Ok(batch)) = poll(&mut once) else { panic!("a write is there") };
    assert_eq!(names(), ["Writer::write"]);
    assert!(batch.eq([1, 2]));
}

#[test]
fn an_end_that_is_polled_by_reference_is_listed_until_it_is_used_again() {
    let _alone = alone();
    let (mut server, mut client) = simplex::<u8>();
    let mut context = Context::from_waker(Waker::noop());
    assert!(client.poll_recv(&mut context).is_pending());
    assert_eq!(names(), ["Client::poll_recv"], "its waker is registered");
    let mut send = server.send(1);
    pend(&mut send);
    assert_eq!(client.poll_recv(&mut context), Poll::Ready(Ok(1)));
    assert_eq!(names(), ["Server::send"]);
    drop(send);
    assert!(client.poll_recv(&mut context).is_pending());
    assert_eq!(names(), ["Client::poll_recv"]);
    drop(client);
    assert_nothing_waits();
}

#[test]
fn pipes_by_thread() {
    use std::io::{BufRead, Read, Write};
    let _alone = alone();
    let (mut writer, mut reader) = handover::pipe();
    thread::scope(|scope| {
        scope.spawn(|| {
            reader.read_exact(&mut [0; 1]).unwrap();
            assert_eq!(reader.fill_buf().unwrap(), b"b");
            reader.finished().wait().unwrap();
        });
        until_waiting(1);
        assert_eq!(names(), ["PipeReader::read"]);
        assert_eq!(waiting()[0].made_at().file(), file!());
        writer.write_all(b"a").unwrap();
        while names() != ["PipeReader::fill_buf"] {
            thread::yield_now();
        }
        writer.write_all(b"b").unwrap();
        while names() != ["PipeReader::finished"] {
            thread::yield_now();
        }
        writer.finish().unwrap();
    });
    let (mut writer, reader) = handover::pipe();
    thread::scope(|scope| {
        scope.spawn(move || writer.write(b"a"));
        until_waiting(1);
        assert_eq!(names(), ["PipeWriter::write"]);
        drop(reader);
    });
    assert_nothing_waits();
}

#[cfg(feature = "futures-io")]
#[test]
fn pipes_by_task() {
    use futures_util::{AsyncReadExt, AsyncWriteExt};
    let _alone = alone();
    let (mut writer, mut reader) = handover::pipe();
    let mut into = [0; 3];
    pend(&mut reader.read(&mut into));
    assert_eq!(names(), ["PipeReader::read"]);
    let mut write = writer.write(b"abc");
    assert!(poll(&mut write).is_ready());
    assert!(poll(&mut reader.read(&mut into)).is_ready());
    assert_nothing_waits();
    pend(&mut writer.write(b"abc"));
    assert_eq!(names(), ["PipeWriter::write"]);
    drop(writer);
    assert_nothing_waits();
}

#[cfg(feature = "sink")]
#[test]
fn sinks_and_send_stream() {
    use futures_util::SinkExt;
    let _alone = alone();
    let (mut server, _client) = simplex::<u8>();
    pend(&mut server.feed(1));
    assert_eq!(names(), ["Server::poll_ready"]);
    drop(server);
    let (tx, _rx) = rendezvous::<u8>();
    let line = line!() + 1;
    let mut sink = tx.clone().into_sink();
    pend(&mut sink.feed(1));
    assert_eq!(names(), ["Sender::into_sink"]);
    assert_eq!((waiting()[0].at().file(), waiting()[0].at().line()), (file!(), line));
    drop(sink);
    let line = line!() + 1;
    let mut send = tx.send_stream(futures_util::stream::pending());
    pend(&mut send);
    assert_eq!(names(), ["Sender::send_stream"]);
    assert_eq!((waiting()[0].at().file(), waiting()[0].at().line()), (file!(), line));
    drop(send);
    assert_nothing_waits();
}

#[test]
fn a_wait_that_ends_in_a_panic_is_listed_no_more() {
    let _alone = alone();
    let panics = handover::generate(|mut server| async move {
        _ = server.send(1).wait(); // It blocks the thread that drives it.
    });
    assert!(catch_unwind(AssertUnwindSafe(|| panics.count())).is_err());
    assert_nothing_waits();
}

#[test]
fn channels_are_told_apart_by_their_numbers() {
    let _alone = alone();
    let channels: Vec<_> = (0..3).map(|_| rendezvous::<u8>()).collect();
    let mut receives: Vec<_> = channels.iter().map(|(_, rx)| rx.recv()).collect();
    receives.iter_mut().for_each(pend);
    let numbers: Vec<_> = waiting().iter().map(Waiting::channel).collect();
    assert_eq!(numbers, [numbers[0], numbers[0] + 1, numbers[0] + 2], "first come, first listed");
    drop(receives);
    drop(channels);
    let (_tx, rx) = rendezvous::<u8>();
    let mut recv = rx.recv();
    pend(&mut recv);
    assert_eq!(waiting()[0].channel(), numbers[0] + 3, "an address is used again, a number is not");
}

#[test]
fn many_threads_come_and_go() {
    let _alone = alone();
    let (tx, rx) = rendezvous::<usize>();
    for round in 0..20 {
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| rx.recv().wait().unwrap());
            }
            until_waiting(20);
            assert!(waiting().iter().all(|row| row.what() == "Receiver::recv"));
            tx.send_all((0..20).map(|n| n + round)).wait().unwrap();
        });
        assert_nothing_waits();
    }
}

#[test]
fn the_table_has_a_line_for_each_in_columns() {
    let _alone = alone();
    assert_eq!(waiting().to_string(), "nothing waits");
    let (tx, rx) = rendezvous::<u8>();
    let (_server, mut client) = simplex::<u8>();
    thread::scope(|scope| {
        let receiver = thread::Builder::new().name("a".into());
        receiver.spawn_scoped(scope, || rx.recv().wait().unwrap()).unwrap();
        until_waiting(1);
        let mut recv = client.recv();
        pend(&mut recv);
        let text = waiting().to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains("  thread a  Receiver::recv  tests/diagnose.rs:"), "{text}");
        assert!(lines[1].contains("  a task    Client::recv    tests/diagnose.rs:"), "{text}");
        assert!(
            lines.iter().all(|line| line.contains(" s  ") && line.contains("  channel ")),
            "{text}"
        );
        tx.send(1).wait().unwrap();
    });
}

#[test]
fn a_forgotten_operation_is_not_told_of_a_channel_that_is_gone() {
    let _alone = alone();
    let (tx, rx) = rendezvous::<u8>();
    let mut recv = rx.recv();
    pend(&mut recv);
    std::mem::forget(recv);
    assert_eq!(names(), ["Receiver::recv"], "its waker is registered");
    drop((tx, rx));
    assert_nothing_waits();
    // Another channel, perhaps at the same address.
    let channels: Vec<_> = (0..64).map(|_| rendezvous::<u8>()).collect();
    assert_nothing_waits();
    drop(channels);
}

#[test]
fn a_sequence_that_is_dropped_is_listed_no_more() {
    let _alone = alone();
    let (_tx, rx) = rendezvous::<u8>();
    let (_server, mut client) = simplex::<u8>();
    let (_writer, mut reader) = stream::<u8>();
    {
        let mut values = rx.stream();
        assert!(poll_next(&mut values).is_pending());
        let mut items = client.stream();
        assert!(poll_next(&mut items).is_pending());
        let mut read = reader.stream();
        assert!(poll_next(&mut read).is_pending());
        assert_eq!(names(), ["Client::stream", "Reader::stream", "Receiver::stream"]);
    }
    assert_nothing_waits();
    let mut ahead = reader.ahead(3).into_stream();
    assert!(poll_next(&mut ahead).is_pending());
    assert_eq!(names(), ["Reader::ahead"]);
    drop(ahead);
    assert_nothing_waits();
    assert!(poll_next(&mut client.stream().checked()).is_pending());
    assert_nothing_waits();
}

#[test]
fn an_operation_that_a_select_withdrew_is_listed_no_more() {
    let _alone = alone();
    let (tx, rx) = rendezvous::<u8>();
    let (_server, mut client) = simplex::<u8>();
    let (quiet, _rx) = rendezvous::<u8>();
    let mut recv = client.recv();
    let mut send = quiet.send(1);
    let mut receive = rx.recv();
    let mut closed = quiet.closed();
    pend(&mut recv);
    pend(&mut send);
    pend(&mut receive);
    pend(&mut closed);
    assert_eq!(waiting().len(), 4);
    let mut offer = tx.send(1);
    pend(&mut offer);
    let choice = select((&mut recv, &mut send, &mut receive, &mut closed));
    assert!(matches!(pollster::block_on(choice), handover::Sel4::C(Ok(1))));
    assert_eq!(names(), ["Sender::send"], "the offer has not been polled again: {}", waiting());
    drop(offer);
    assert_nothing_waits();
    drop((recv, send, receive, closed));
}

#[test]
fn an_arm_that_waited_before_is_listed_once() {
    let _alone = alone();
    let (_tx, rx) = rendezvous::<u8>();
    let (_server, mut client) = simplex::<u8>();
    let mut receive = rx.recv();
    let mut recv = client.recv();
    pend(&mut receive);
    pend(&mut recv);
    let mut choice = select((&mut receive, &mut recv));
    pend(&mut choice);
    assert_eq!(names(), ["Client::recv", "Receiver::recv"]);
    drop(choice);
    assert_nothing_waits();
}

#[test]
fn an_operation_that_is_done_by_reference_is_listed_no_more() {
    let _alone = alone();
    let (tx, _rx) = rendezvous::<u8>();
    let mut send = Box::pin(tx.send(1).until(std::future::pending::<()>()));
    pend(&mut send);
    assert_eq!(names(), ["Sender::send"]);
    assert_eq!(send.as_mut().reclaim(), Some(1));
    assert_nothing_waits();
    drop(send);

    let (mut server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    pend(&mut recv);
    pend(&mut server.send(1));
    assert!(server.send(1).now().is_err());
    let mut send = server.send(1);
    pend(&mut send);
    assert!(poll(&mut recv).is_ready());
    drop(send);
    assert_nothing_waits();
}

#[test]
fn an_operation_whose_poll_panics_is_listed_no_more_when_it_is_dropped() {
    let _alone = alone();
    let (mut writer, mut reader) = stream::<u8>();
    let mut items = 0;
    let mut write = writer.write_local(std::iter::from_fn(|| {
        items += 1;
        if items == 2 {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
        Some(items)
    }));
    pend(&mut write);
    assert_eq!(names(), ["Writer::write_local"]);
    pend(&mut reader.read(3));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut write))).is_err());
    drop(write);
    assert_nothing_waits();
    drop(reader);
}

#[test]
fn producers_channels_are_told_by_the_lines_that_made_them() {
    let _alone = alone();
    let line = line!() + 1;
    let producer = handover::produce(|server| {
        let mut n = 0;
        while server.send(n).wait().is_ok() {
            n += 1;
        }
    });
    until_waiting(1);
    let table = waiting();
    assert_eq!(table[0].what(), "Server::send");
    assert_eq!((table[0].made_at().file(), table[0].made_at().line()), (file!(), line));
    drop(producer);
    let start = Instant::now();
    while !waiting().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60));
        thread::yield_now();
    }
}

#[test]
fn a_for_loop_goes_by_its_own_line() {
    let _alone = alone();
    let (tx, rx) = rendezvous::<u8>();
    let (server, client) = simplex::<u8>();
    let first = line!() + 3;
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in &rx {}
            for _ in client {}
        });
        // Told only after the threads have ended, so that a failure does not hang.
        until_waiting(1);
        let one = waiting();
        tx.close();
        let start = Instant::now();
        while !waiting().iter().any(|row| row.what().starts_with("Client"))
            && start.elapsed() < Duration::from_secs(30)
        {
            thread::yield_now();
        }
        let other = waiting();
        drop(server);
        assert_eq!((one[0].what(), one[0].at().line()), ("Receiver::iter", first));
        assert_eq!((other[0].what(), other[0].at().line()), ("Client::into_iter", first + 1));
    });
    assert_nothing_waits();
}

#[cfg(feature = "futures-io")]
#[test]
fn a_pipe_polled_for_its_buffer_goes_by_that() {
    use futures_util::AsyncBufReadExt;
    let _alone = alone();
    let (_writer, mut reader) = handover::pipe();
    pend(&mut reader.fill_buf());
    assert_eq!(names(), ["PipeReader::fill_buf"]);
    drop(reader);
    assert_nothing_waits();
}

#[cfg(feature = "tokio")]
#[test]
fn a_pipe_polled_by_tokio_goes_by_what_it_is_polled_for() {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt};
    let _alone = alone();
    let (_writer, mut reader) = handover::pipe();
    pend(&mut Box::pin(reader.fill_buf()));
    assert_eq!(names(), ["PipeReader::fill_buf"]);
    let mut into = [0; 3];
    pend(&mut Box::pin(reader.read(&mut into)));
    assert_eq!(names(), ["PipeReader::read"]);
}

#[cfg(feature = "sink")]
#[test]
fn a_flush_is_listed_and_a_send_stream_that_is_dropped_is_not() {
    use futures_util::SinkExt;
    let _alone = alone();
    let (mut server, mut client) = simplex::<u8>();
    assert!(client.recv().now().is_err());
    pend(&mut SinkExt::send(&mut server, 1));
    assert_eq!(names(), ["Server::poll_flush"]);
    drop((server, client));
    assert_nothing_waits();
    let (mut writer, mut reader) = stream::<u8>();
    assert!(reader.read(3).now().is_err());
    pend(&mut SinkExt::send(&mut writer, 1));
    assert_eq!(names(), ["Writer::poll_flush"]);
    assert_eq!(reader.read(3).wait(), Ok(vec![1]));
    assert!(poll(&mut SinkExt::<u8>::flush(&mut writer)).is_ready());
    assert_nothing_waits();

    let (mut server, _client) = simplex::<u8>();
    let mut send = server.send_stream(futures_util::stream::iter([1]));
    pend(&mut send);
    assert_eq!(names(), ["Server::send_stream"]);
    drop(send);
    assert_nothing_waits();
    let mut send = writer.send_stream(futures_util::stream::iter([1]));
    pend(&mut send);
    assert_eq!(names(), ["Writer::send_stream"]);
    drop(send);
    assert_nothing_waits();
}

#[cfg(feature = "sink")]
#[test]
fn a_senders_send_stream_is_listed_once_and_not_when_it_is_done() {
    let _alone = alone();
    let (tx, rx) = rendezvous::<u8>();
    let mut polls = 0;
    let mut send = tx.send_stream(futures_util::stream::poll_fn(|_| {
        polls += 1;
        match polls {
            1 => Poll::Pending,
            2 => Poll::Ready(Some(7)),
            _ => Poll::Ready(None),
        }
    }));
    let mut recv = rx.recv();
    pend(&mut recv);
    pend(&mut send);
    pend(&mut send);
    assert_eq!(names(), ["Receiver::recv", "Sender::send_stream"]);
    assert_eq!(poll(&mut recv), Poll::Ready(Ok(7)));
    let mut recv = rx.recv();
    pend(&mut recv);
    assert!(poll(&mut send).is_ready());
    assert_eq!(names(), ["Receiver::recv"], "{}", waiting());
}

#[cfg(feature = "sink")]
#[test]
fn a_sink_in_which_nobody_waits_is_not_listed() {
    use futures_util::SinkExt;
    let _alone = alone();
    let (tx, rx) = rendezvous::<u8>();
    let mut recv = rx.recv();
    pend(&mut recv);
    let mut sink = tx.into_sink();
    assert!(poll(&mut sink.feed(1)).is_ready());
    assert_eq!(names(), ["Receiver::recv"], "the item is on its way, and nobody waits for it yet");
    pend(&mut SinkExt::<u8>::flush(&mut sink));
    assert_eq!(names(), ["Receiver::recv", "Sender::into_sink"]);
    let tx = sink.into_inner().unwrap();
    assert_eq!(names(), ["Receiver::recv"]);
    assert_eq!(poll(&mut recv), Poll::Ready(Ok(1)));
    drop((recv, tx));
    assert_nothing_waits();
}

#[test]
fn tables_are_taken_and_watches_come_and_go_while_operations_do() {
    let _alone = alone();
    let stop = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    for row in waiting() {
                        assert!(!row.what().is_empty());
                    }
                }
            });
        }
        let watches = [(); 2].map(|()| handover::diagnose::watch(Duration::from_secs(3_600)));
        for _ in 0..200 {
            drop(handover::diagnose::watch(Duration::from_secs(3_600)));
            let (tx, rx) = rendezvous::<u8>();
            let receiving = scope.spawn(move || rx.recv().wait());
            tx.send(1).wait().unwrap();
            receiving.join().unwrap().unwrap();
            let (server, mut client) = simplex::<u8>();
            let mut recv = client.recv();
            pend(&mut recv);
            // An operation that waits goes to another thread, and ends there.
            thread::scope(|scope| {
                scope.spawn(move || {
                    pend(&mut recv);
                    drop(recv);
                });
            });
            drop(server);
        }
        drop(watches);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_nothing_waits();
}
