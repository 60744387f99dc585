//! Every kind of channel and every way to use it, in a model: with random schedules, and with every schedule of few departures.

use std::io::{Read, Write};
use std::time::Duration;

use futures_lite::StreamExt;
use futures_lite::future::{poll_once, zip};
use handover::model::{self, FailureKind, Model, Panics, Schedule, thread};
use handover::{
    Sel2, Sel3, Want, Why, duplex, generate, never, pipe, produce, produce_in, produce_on,
    rendezvous, select, simplex, stream, try_generate, try_produce, try_produce_on,
};

use crate::support::{plain, watched};

/// No run of these fails.
fn holds(body: fn()) {
    watched(move || {
        model::check(&Schedule::random(1, 300), body).unwrap();
        Model::new().exhaust(1, body).unwrap();
    });
}

#[test]
fn lockstep_between_threads_and_tasks() {
    holds(|| {
        let (mut server, client) = simplex();
        let producer = thread::spawn(move || {
            server.send(1).wait().unwrap();
            server.send_all([2, 3]).wait().unwrap();
            server.finish_with(4).unwrap();
        });
        let task = model::spawn_async("consumer", async move {
            let mut items = client.into_stream().checked();
            let mut sum = 0;
            while let Some(item) = items.next().await {
                sum += item.unwrap();
            }
            sum
        });
        assert_eq!(task.join().unwrap(), 10);
        producer.join().unwrap();
    });
}

#[test]
fn questions_and_answers() {
    holds(|| {
        let (mut server, mut client) = duplex::<u32, u32>();
        let clerk = thread::spawn(move || {
            loop {
                let question = match server.demand().wait() {
                    Ok(question) => question,
                    Err(end) => return end.why(),
                };
                server.answer(question * 10).wait().unwrap();
            }
        });
        for question in 1..=2 {
            match client.exchange(question).wait_timeout(Duration::from_millis(1)) {
                Ok(answer) => assert_eq!(answer, question * 10),
                Err(error) if error.unsent().is_some() => {}
                Err(_) => assert_eq!(client.owed().wait(), Ok(question * 10)),
            }
        }
        client.close();
        match clerk.join().unwrap() {
            Why::Closed => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn batches() {
    holds(|| {
        let (mut writer, mut reader) = stream();
        let producer = thread::spawn(move || {
            assert!(matches!(writer.wanted().wait(), Ok(Want::Exactly(2))));
            writer.write(0..4).wait().unwrap();
            writer.send(4).wait().unwrap();
            _ = writer.flush().wait();
            writer.finish().unwrap();
        });
        assert_eq!(reader.read(2).wait().unwrap(), [0, 1]);
        let mut into = Vec::new();
        assert!(reader.read_into(2, &mut into).wait().unwrap() > 0);
        let mut got = into;
        loop {
            match reader.read_some(8).wait() {
                Ok(items) => got.extend(items),
                Err(end) => break assert_eq!(end.why(), Why::Closed),
            }
        }
        assert_eq!(got, [2, 3, 4]);
        producer.join().unwrap();
    });
}

#[test]
fn sequences_of_a_reader() {
    holds(|| {
        let (mut writer, mut reader) = stream();
        let producer = model::spawn_async("writer", async move {
            writer.write(0..7).await.unwrap();
            writer.finish().unwrap();
        });
        assert_eq!(reader.recv().wait(), Ok(0));
        assert_eq!(reader.chunks(2).next(), Some(vec![1, 2]));
        assert_eq!(reader.ahead(2).take(2).collect::<Vec<_>>(), [3, 4]);
        assert!(reader.iter().eq([5, 6]));
        producer.join().unwrap();
    });
}

#[test]
fn a_rendezvous_of_many() {
    holds(|| {
        let (tx, rx) = rendezvous();
        let senders: Vec<_> = (0..2)
            .map(|n| {
                let tx = tx.clone();
                thread::spawn(move || {
                    tx.send(n).wait().unwrap();
                    tx.finish();
                })
            })
            .collect();
        tx.finish();
        let other = rx.clone();
        let task = model::spawn_async("receiver", async move {
            let mut got = Vec::new();
            let mut values = other.into_stream();
            while let Some(value) = values.next().await {
                got.push(value);
            }
            assert_eq!(values.end(), Some(Why::Closed));
            got
        });
        let mut got: Vec<u32> = rx.iter().collect();
        got.extend(task.join().unwrap());
        got.sort_unstable();
        assert_eq!(got, [0, 1]);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn permits_ends_and_stats() {
    holds(|| {
        let (tx, rx) = rendezvous();
        let weak = tx.downgrade();
        let receiver = thread::spawn(move || {
            let got = rx.recv().wait();
            rx.close();
            got
        });
        tx.reserve().wait().unwrap().send(1).wait().unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(1));
        assert_eq!(tx.closed().wait(), Ok(Why::Closed));
        assert!(tx.is_closed());
        assert_eq!(tx.stats().handed_over, 1);
        drop(tx);
        assert!(weak.upgrade().is_none());
    });
}

#[test]
fn peers_that_leave() {
    holds(|| {
        let (mut server, client) = simplex::<u8>();
        let peer = server.peer();
        let watcher = thread::spawn(move || peer.closed().wait().unwrap());
        let closes = thread::spawn(move || client.close());
        assert_eq!(server.closed().wait(), Ok(Why::Closed));
        assert_eq!(watcher.join().unwrap(), Why::Closed);
        assert!(server.is_closed());
        closes.join().unwrap();
    });
}

#[test]
fn choices_of_threads_and_tasks_of_every_kind() {
    holds(|| {
        let (mut server, mut client) = simplex();
        let (tx, rx) = rendezvous();
        let (quiet, producer) =
            (never::<()>(), thread::spawn(move || server.send(1).wait().is_ok()));
        let other = thread::spawn(move || tx.send(2).wait().is_ok());
        let (mut first, mut second) = (None, None);
        while first.is_none() || second.is_none() {
            // An arm that is done with is left out by an operation that never happens.
            match (first, second) {
                (None, None) => match select((client.recv(), rx.recv(), quiet.recv())).wait() {
                    Sel3::A(item) => first = Some(item.unwrap()),
                    Sel3::B(value) => second = Some(value.unwrap()),
                    Sel3::C(_) => unreachable!("nothing comes there"),
                },
                (None, _) => first = Some(select([client.recv()]).wait().1.unwrap()),
                _ => second = Some(model::block_on(select(vec![rx.recv()])).1.unwrap()),
            }
        }
        assert_eq!((first, second), (Some(1), Some(2)));
        client.close();
        assert!(!producer.join().unwrap(), "no demand came after the item");
        assert!(other.join().unwrap());
    });
    holds(|| {
        let (a, b) = (rendezvous(), rendezvous());
        let left = model::spawn_async("left", async move {
            matches!(select((a.0.send(1), b.1.recv())).await, Sel2::A(Ok(())))
        });
        let right = thread::spawn(move || match select((a.1.recv(), b.0.send(2))).wait() {
            Sel2::A(value) => value == Ok(1),
            Sel2::B(sent) => {
                assert!(sent.is_ok());
                false
            }
        });
        assert_eq!(left.join().unwrap(), right.join().unwrap());
    });
}

#[test]
fn a_time_limit_of_a_task_is_a_party_that_sleeps() {
    watched(|| {
        let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
        let body = || {
            let (tx, rx) = rendezvous();
            let receiver = thread::spawn(move || {
                let got = rx.recv().wait();
                drop(rx);
                got
            });
            let sent = model::block_on(async {
                let timer = model::spawn_async("timer", async {
                    thread::sleep(Duration::from_millis(1));
                });
                tx.send(1).until(timer).await
            });
            let (is_sent, unsent) = match sent {
                Ok(()) => (true, None),
                Err(error) => (false, error.into_unsent()),
            };
            assert_eq!(is_sent, unsent.is_none(), "withdrawn or delivered");
            drop(tx);
            assert_eq!(receiver.join().unwrap().is_ok(), is_sent);
            seen.borrow_mut().insert(is_sent);
        };
        Model::new().exhaust(3, body).unwrap();
        assert_eq!(seen.into_inner().len(), 2, "both happen");
    });
}

#[test]
fn a_generator_runs_in_its_consumer() {
    holds(|| {
        let numbers = generate(|mut server| async move {
            for n in 0..3 {
                if server.send(n).await.is_err() {
                    return;
                }
            }
        });
        assert!(numbers.eq(0..3));
        let numbers = try_generate(|mut server| async move {
            _ = server.send(1).await;
            Err("that was all")
        });
        assert!(numbers.eq([Ok(1), Err("that was all")]));
        // It waits for another party.
        let (tx, rx) = rendezvous();
        let sender = thread::spawn(move || tx.send_all([1, 2]).wait());
        let mut doubled = generate(|mut server| async move {
            let mut values = rx.into_stream();
            while let Some(value) = values.next().await {
                _ = server.send(value * 2).await;
            }
        });
        assert_eq!((doubled.next(), doubled.next(), doubled.next()), (Some(2), Some(4), None));
        sender.join().unwrap().unwrap();
    });
}

#[test]
fn producers_are_parties() {
    holds(|| {
        assert!(produce(|server| _ = server.send_all(0..3).wait()).eq(0..3));
        let failing = try_produce(|server| {
            _ = server.send(1).wait();
            Err("no more")
        });
        assert!(failing.eq([Ok(1), Err("no more")]));
        let mut cut = produce(|server| _ = server.send_all(0..).wait());
        assert_eq!(cut.next(), Some(0));
        assert!(cut.join().is_ok());
    });
    holds(|| {
        let words = ["one", "two"];
        let longest = thread::scope(|scope| {
            let items = produce_in(scope, |server| _ = server.send_all(words).wait());
            items.map(str::len).max()
        });
        assert_eq!(longest, Some(3));
        let on =
            produce_on(|job| _ = thread::spawn(job), |server| _ = server.send_all([1, 2]).wait());
        assert!(on.eq([1, 2]));
        let mut on = try_produce_on(
            |job| _ = thread::spawn(job),
            |server| {
                _ = server.send(1).wait();
                _ = server.send(2).wait();
                Err("at the end")
            },
        );
        assert_eq!(on.next(), Some(Ok(1)));
        assert_eq!(on.join().unwrap(), Err("at the end"));
    });
}

#[test]
fn the_panic_of_a_producer_is_a_failure_or_its_consumers() {
    watched(|| {
        let body = || {
            let mut items = produce::<u8>(|_| panic!("in the routine"));
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| items.next())).is_err()
        };
        let failure = model::check(&plain(), body).unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Panic);
        assert!(failure.report().contains("in the routine"), "{failure}");
        assert!(Model::new().panics(Panics::Join).check(&plain(), body).unwrap());
    });
}

#[test]
fn scopes_lend_to_their_threads() {
    holds(|| {
        let (tx, rx) = rendezvous();
        let mut got = Vec::new();
        thread::scope(|scope| {
            let inner = *scope;
            scope.spawn(move || {
                let tx = &tx;
                inner.spawn({
                    let tx = tx.clone();
                    move || tx.send(1).wait().unwrap()
                });
                tx.send(2).wait().unwrap();
            });
            let builder = thread::Builder::new().name("collects".to_string());
            builder.spawn_scoped(scope, || got.extend(rx.iter())).unwrap();
        });
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn a_task_with_several_operations_is_told_with_all_of_them() {
    let failure = watched(|| {
        model::check(&plain(), || {
            let (a, b) = (rendezvous::<u8>(), rendezvous::<u8>());
            model::block_on(zip(a.1.recv(), b.1.recv()))
        })
    });
    let report = failure.map(|_| ()).unwrap_err().report().to_string();
    assert!(report.contains("main   Receiver::recv #2 "), "{report}");
    assert!(report.contains("       and Receiver::recv #1 "), "{report}");
    let failure = watched(|| {
        model::check(&plain(), || {
            let (a, b) = (rendezvous::<u8>(), rendezvous::<u8>());
            select((a.1.recv(), b.0.send(1), a.1.closed())).wait()
        })
    });
    let report = failure.map(|_| ()).unwrap_err().report().to_string();
    assert!(
        report.contains("select of Receiver::recv #1 | Sender::send #2 | Receiver::closed #1"),
        "{report}"
    );
}

#[test]
fn locations_are_the_users_lines() {
    // Each of these waits for ever; the report tells the line and the column of the user's call.
    #[rustfmt::skip]
    let bodies: [(fn(), u32, &str); 7] = [
        (|| _ = never::<u8>().recv().wait(), line!(), "Receiver::recv"),
        (|| _ = never::<u8>().iter().map(|n| n + 1).max(), line!(), "Receiver::iter"),
        (|| for n in never::<u8>() { _ = n }, line!(), "Receiver::into_iter"),
        (|| _ = model::block_on(never::<u8>().stream().count()), line!(), "Receiver::stream"),
        (|| _ = model::block_on(async { never::<u8>().recv().await }), line!(), "Receiver::recv"),
        (|| _ = select([never::<u8>().recv()]).wait(), line!(), "select of Receiver::recv"),
        (|| _ = thread::spawn(|| never::<u8>().closed().wait()).join(), line!(), "join of thread 1"),
    ];
    for (body, line, name) in bodies {
        let failure = watched(move || model::check(&plain(), body)).unwrap_err();
        let row = failure.report().lines().find(|row| row.starts_with("  main ")).unwrap();
        assert!(row.contains(name), "{name} in {failure}");
        assert!(row.contains(&format!(" tests/model/kinds.rs:{line}:")), "{line} in {failure}");
    }
}

#[test]
fn results_are_told() {
    let failure = watched(|| {
        model::check(&plain(), || {
            let (tx, rx) = rendezvous::<u8>();
            _ = rx.recv().now();
            _ = rx.recv().wait_timeout(Duration::from_millis(3));
            _ = select((rx.recv(), rx.closed())).now();
            _ = model::block_on(async { poll_once(rx.recv()).await });
            tx.close();
            _ = select((never::<u8>().recv(), rx.recv())).wait();
            panic!("to see it");
        })
    });
    let report = failure.map(|_: ()| ()).unwrap_err().report().to_string();
    for part in [
        "  -> NotReady\n",
        "  time passes to 3ms\n",
        "  -> TimedOut\n",
        "  -> None\n",
        "drops Receiver::recv #1 unfinished",
        "Sender::close #1",
        "  -> Receiver::recv #1: Closed\n",
        "  panics\n",
    ] {
        let part = part.trim_start();
        assert!(report.contains(part), "{part} in {report}");
    }
}

#[test]
fn outside_of_a_model_all_is_as_in_std() {
    watched(|| {
        let start = std::time::Instant::now();
        thread::sleep(Duration::from_millis(2));
        assert!(model::now() - start >= Duration::from_millis(2));
        thread::yield_now();
        assert_eq!(model::choose(5), 0);
        let named = thread::Builder::new().name("named".to_string());
        let named = named.spawn(|| std::thread::current().name().map(str::to_string)).unwrap();
        assert_eq!(named.join().unwrap().as_deref(), Some("named"));
        let joined = thread::spawn(|| panic!("as planned")).join();
        assert_eq!(joined.unwrap_err().downcast_ref::<&str>(), Some(&"as planned"));
        let task = model::spawn_async("task", async { 1 });
        assert_eq!(model::block_on(async { task.await.unwrap() }), 1);
        let sum = thread::scope(|scope| {
            let one = scope.spawn(|| 1);
            while !one.is_finished() {
                thread::yield_now();
            }
            one.join().unwrap() + scope.spawn(|| 2).join().unwrap()
        });
        assert_eq!(sum, 3);
    });
}

/// So many calls in one another, of more than 4 KiB each.
fn nest(calls: usize) -> usize {
    let frame = std::hint::black_box([1_u8; 4096]);
    if calls == 0 { 0 } else { nest(calls - 1) + usize::from(frame[calls % 4096]) }
}

/// On a stack of the usual two mebibytes this overflows, which ends the process.
#[test]
fn a_thread_has_the_stack_that_it_asked_for() {
    const CALLS: usize = 3_000;
    let deep = || thread::Builder::new().stack_size(64 << 20);
    watched(move || {
        assert_eq!(deep().spawn(|| nest(CALLS)).unwrap().join().unwrap(), CALLS);
        model::check(&Schedule::random(1, 10), move || {
            // Threads of the model are used again, and keep their size.
            let plain = thread::spawn(|| 1);
            let first = deep().spawn(|| nest(CALLS)).unwrap();
            let plain = plain.join().unwrap() + thread::spawn(|| 2).join().unwrap();
            let second = thread::scope(|scope| {
                deep().spawn_scoped(scope, || nest(CALLS)).unwrap().join().unwrap()
            });
            assert_eq!((plain, first.join().unwrap(), second), (3, CALLS, CALLS));
        })
        .unwrap();
    });
}

#[test]
fn a_thread_that_cannot_start_is_no_party() {
    watched(|| {
        model::check(&Schedule::random(1, 10), || {
            let (tx, rx) = rendezvous();
            let vast = thread::Builder::new().name("vast".to_string()).stack_size(usize::MAX / 2);
            assert!(vast.spawn(|| ()).is_err());
            let vast = thread::Builder::new().stack_size(usize::MAX / 2);
            thread::scope(|scope| assert!(vast.spawn_scoped(scope, || ()).is_err()));
            thread::spawn(move || tx.send(1).wait());
            assert_eq!(rx.recv().wait(), Ok(1));
        })
        .unwrap();
    });
}

/// Bytes by the blocking traits: a pipe is one channel more.
#[test]
fn bytes_through_a_pipe() {
    holds(|| {
        let (mut writer, mut reader) = pipe();
        let producer = thread::spawn(move || {
            writer.write_all(b"three").unwrap();
            writer.write_all(b" words here").unwrap();
            writer.finish().unwrap();
        });
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "three words here");
        producer.join().unwrap();
    });
}

/// A reader that waits for a writer that waits for it to read another pipe: told with both lines.
#[test]
fn two_pipes_that_wait_for_each_other_are_told() {
    let failure = watched(|| {
        Model::new()
            .exhaust(1, || {
                let ((mut question, mut asked), (mut answer, mut told)) = (pipe(), pipe());
                let clerk = thread::spawn(move || {
                    let mut all = String::new();
                    asked.read_to_string(&mut all).unwrap(); // up to the end, which never comes
                    answer.write_all(b"an answer").unwrap();
                });
                question.write_all(b"a question").unwrap();
                told.read_exact(&mut [0; 9]).unwrap();
                question.finish().unwrap();
                clerk.join().unwrap();
            })
            .unwrap_err()
    });
    assert_eq!(failure.kind(), FailureKind::Deadlock);
    let report = failure.report();
    assert!(report.contains("PipeReader::read"), "{report}");
    assert!(report.contains("tests/model/kinds.rs"), "{report}");
}

#[test]
fn a_pipes_time_limit_is_virtual() {
    holds(|| {
        let (mut writer, mut reader) = pipe();
        reader.set_timeout(Some(Duration::from_secs(3600)));
        let error = reader.read(&mut [0; 4]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        // What it asked for still comes with its next read.
        let producer = thread::spawn(move || {
            writer.write_all(b"late").unwrap();
            writer.finish().unwrap();
        });
        reader.set_timeout(None);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "late");
        producer.join().unwrap();
    });
}
