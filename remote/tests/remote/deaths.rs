//! One side dies, or is stopped.

use std::time::{Duration, Instant};

use handover::{Client, Reader, Why, simplex};
use handover_remote::{Error, Options, export, import, import_reader};

use crate::support::{Child, Dice, LEASE, StallMeter, connect, free_port, grace, listen, run};

const GRACE: Duration = Duration::from_millis(300);

/// A producer in a child, whose numbers come in batches.
async fn batches() -> (Child, Reader<u64>, tokio::task::JoinHandle<Result<(), Error>>) {
    let port = free_port();
    let producer = Child::start(format!("batches {port} {}", GRACE.as_millis()));
    producer.expect("ready");
    let session = connect(port).await;
    let (reader, driver) = import_reader::<u64>(&session, "batches", grace(GRACE)).await.unwrap();
    let importing = tokio::spawn(async move {
        let told = driver.await;
        drop(session);
        told
    });
    (producer, reader, importing)
}

#[test]
fn a_killed_producer_is_told_within_the_grace_time() {
    run(async {
        let stall = StallMeter::start();
        let mut dice = Dice(3);
        for round in 0..24 {
            let (producer, mut reader, importing) = batches().await;
            let (kill_at, mut n) = (1 + dice.below(30_000), 0);
            let mut killed_at = None;
            let why = loop {
                if n >= kill_at && killed_at.is_none() {
                    killed_at = Some(Instant::now());
                    producer.signal("-KILL");
                }
                match reader.read(1 + dice.below(300) as usize).await {
                    Ok(batch) => {
                        for item in batch {
                            assert_eq!(item, n);
                            n += 1;
                        }
                    }
                    Err(error) => break error.why(),
                }
            };
            let took = killed_at.unwrap().elapsed();
            assert_eq!(why, Why::Dropped);
            let bound = GRACE + Duration::from_millis(200) + stall.allowance();
            assert!(took <= bound, "round {round}: told after {took:?}, the bound is {bound:?}");
            let error = importing.await.unwrap().unwrap_err();
            assert!(matches!(error, Error::Gone), "{error}");
        }
    });
}

#[test]
fn a_killed_producer_is_told_between_two_demands() {
    run(async {
        let (producer, mut reader, importing) = batches().await;
        assert_eq!(reader.read(3).await.unwrap(), [0, 1, 2]);
        producer.signal("-KILL");
        assert_eq!(reader.closed().await, Ok(Why::Dropped));
        assert!(matches!(importing.await.unwrap(), Err(Error::Gone)));
    });
}

#[test]
fn a_stopped_producer_is_told_and_its_late_answers_are_not() {
    run(async {
        let stall = StallMeter::start();
        let (producer, mut reader, importing) = batches().await;
        assert_eq!(reader.read(3).await.unwrap(), [0, 1, 2]);
        let stopped_at = Instant::now();
        producer.signal("-STOP");
        let why = loop {
            // The stop may come after an answer or two.
            if let Err(error) = reader.read(3).await {
                break error.why();
            }
        };
        let took = stopped_at.elapsed();
        assert_eq!(why, Why::Dropped);
        let bound = LEASE + GRACE + Duration::from_secs(1) + stall.allowance();
        assert!(took <= bound, "told after {took:?}, the bound is {bound:?}");
        assert!(matches!(importing.await.unwrap(), Err(Error::Gone)));

        producer.signal("-CONT");
        assert_eq!(producer.expect("ended"), "Dropped"); // it has run on, and knows
        for _ in 0..3 {
            assert_eq!(reader.read(3).await.unwrap_err().why(), Why::Dropped);
        }
    });
}

#[test]
fn a_restarted_producer_is_another_one() {
    run(async {
        let port = free_port();
        let producer = Child::start(format!("count {port} 2000"));
        producer.expect("ready");
        let session = connect(port).await;
        let options = grace(Duration::from_secs(5));
        let (mut client, driver): (Client<u64>, _) =
            import(&session, "count", options).await.unwrap();
        let importing = tokio::spawn(driver);
        assert_eq!(client.recv().await, Ok(0));
        assert_eq!(client.recv().await, Ok(1));
        drop(producer); // it is killed

        let producer = Child::start(format!("count {port} 2000"));
        producer.expect("ready");
        assert_eq!(client.recv().await.unwrap_err().why(), Why::Dropped);
        let error = importing.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Restarted), "{error}");

        // Whoever wants the new one, imports it.
        let (mut client, driver): (Client<u64>, _) =
            import(&session, "count", options).await.unwrap();
        tokio::spawn(driver);
        assert_eq!(client.recv().await, Ok(0));
    });
}

#[test]
fn what_a_killed_consumer_was_given_last_is_in_doubt() {
    run(async {
        let port = free_port();
        let session = listen(port).await;
        let (mut server, client) = simplex::<u64>();
        let options = Options { grace: GRACE, ..Options::default() };
        let exporting = tokio::spawn(export(&session, "consumed", client, options).await.unwrap());
        let consumer = Child::start(format!("consume {port} 3"));
        let producer = async {
            for n in [70, 71, 72, 73] {
                if let Err(error) = server.send(n).await {
                    return (error.why(), error.into_unsent());
                }
            }
            unreachable!("nobody asks for the fourth");
        };
        let killer = async {
            let consumer = tokio::task::spawn_blocking(move || {
                consumer.expect("idle");
                consumer
            });
            consumer.await.unwrap().signal("-KILL");
        };
        let ((why, unsent), ()) = futures_lite::future::zip(producer, killer).await;
        assert_eq!((why, unsent), (Why::Dropped, None), "the third was taken by the driver");
        let ended = exporting.await.unwrap();
        assert_eq!((ended.why, ended.answers), (Why::Dropped, 3));
        assert_eq!(ended.in_doubt, Some(72));
        assert!(matches!(ended.error, Some(Error::Gone)));
    });
}

#[test]
fn nothing_is_in_doubt_when_a_consumer_is_killed_that_waits() {
    run(async {
        let port = free_port();
        let session = listen(port).await;
        let (mut server, client) = simplex::<u64>();
        let options = Options { grace: GRACE, ..Options::default() };
        let exporting = tokio::spawn(export(&session, "consumed", client, options).await.unwrap());
        let consumer = Child::start(format!("consume-and-ask {port} 2"));
        for n in 0..2 {
            server.send(n).await.unwrap();
        }
        // It has asked for the third, so the first two are acknowledged.
        consumer.signal("-KILL");
        assert_eq!(server.closed().await, Ok(Why::Dropped));
        let error = server.send(2).await.unwrap_err();
        assert_eq!(error.into_unsent(), Some(2));
        let ended = exporting.await.unwrap();
        assert_eq!((ended.why, ended.in_doubt, ended.unsent), (Why::Dropped, None, None));
    });
}
