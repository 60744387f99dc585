//! Items and demands between two processes, as they should be.

use std::thread;
use std::time::Duration;

use handover::{Client, Why, duplex, simplex};
use handover_remote::{Error, Options, export, import};

use crate::support::{Child, connect, free_port, run, two_sessions};

#[test]
fn side_effects_are_demands() {
    run(async {
        let port = free_port();
        let mut producer = Child::start(format!("count {port} 2000"));
        producer.expect("ready");
        let session = connect(port).await;
        let (mut client, driver): (Client<u64>, _) =
            import(&session, "count", Options::default()).await.unwrap();
        let importing = tokio::spawn(driver);
        for n in 0..200 {
            assert_eq!(client.recv().await, Ok(n));
            if n % 10 == 0 {
                producer.say("how many?");
                assert_eq!(producer.expect("made"), (n + 1).to_string());
            }
        }
        client.close();
        importing.await.unwrap().unwrap();
        assert_eq!(producer.expect("made"), "200");
        assert_eq!(producer.expect("ended"), "Closed answers 200 again 0 in_doubt None");
    });
}

#[test]
fn demands_go_up_and_answers_come_down() {
    run(async {
        let (there, here) = two_sessions().await;
        let (mut server, client) = duplex::<String, u32>();
        let producer = thread::spawn(move || {
            let mut n = server.demand().wait()?;
            loop {
                match server.exchange("x".repeat(n as usize)).wait() {
                    Ok(next) => n = next,
                    Err(error) => return Ok::<_, handover::RecvError>(error.why()),
                }
            }
        });
        let options = Options::default();
        let exporting = tokio::spawn(export(&there, "x", client, options).await.unwrap());
        let (mut client, driver) = import::<String, u32>(&here, "x", options).await.unwrap();
        let importing = tokio::spawn(driver);
        for n in [3, 0, 100_000, 1] {
            assert_eq!(client.exchange(n).await.unwrap().len(), n as usize);
        }
        client.close();
        importing.await.unwrap().unwrap();
        let ended = exporting.await.unwrap();
        assert_eq!((ended.why, ended.answers, ended.in_doubt), (Why::Closed, 4, None));
        assert_eq!(producer.join().unwrap(), Ok(Why::Closed));
    });
}

#[test]
fn a_producer_slower_than_ask_is_no_failure() {
    run(async {
        let (there, here) = two_sessions().await;
        let (mut server, client) = simplex::<u32>();
        thread::spawn(move || {
            _ = server.demand().wait();
            for n in 0..3 {
                thread::sleep(Duration::from_millis(300)); // far longer than `ask`; a busy machine only makes it slower
                if server.send(n).wait().is_err() {
                    return;
                }
            }
            server.finish();
        });
        let options = Options { ask: Duration::from_millis(50), ..Options::default() };
        let exporting = tokio::spawn(export(&there, "slow", client, options).await.unwrap());
        let (client, driver) = import::<u32, ()>(&here, "slow", options).await.unwrap();
        let importing = tokio::spawn(driver);
        let items = tokio::task::spawn_blocking(move || client.into_iter().collect::<Vec<_>>());
        assert_eq!(items.await.unwrap(), [0, 1, 2]);
        importing.await.unwrap().unwrap();
        let ended = exporting.await.unwrap();
        assert_eq!((ended.why, ended.answers), (Why::Closed, 3));
        assert!(ended.asked_again > 0, "{ended:?}");
    });
}

#[test]
fn receives_that_are_given_up_lose_nothing() {
    run(async {
        let (there, here) = two_sessions().await;
        let (mut server, client) = simplex::<u64>();
        thread::spawn(move || server.send_all(0..).wait().unwrap_err());
        let options = Options::default();
        let exporting = tokio::spawn(export(&there, "given-up", client, options).await.unwrap());
        let (mut client, driver) = import::<u64, ()>(&here, "given-up", options).await.unwrap();
        let importing = tokio::spawn(driver);
        let mut given_up = 0;
        for n in 0..150 {
            let mut patience = Duration::from_micros(20 * (n % 20));
            loop {
                match tokio::time::timeout(patience, client.recv()).await {
                    Ok(item) => break assert_eq!(item, Ok(n)),
                    Err(_) => given_up += 1,
                }
                patience *= 2;
            }
        }
        assert!(given_up > 0);
        drop(client);
        importing.await.unwrap().unwrap();
        let ended = exporting.await.unwrap();
        assert_eq!((ended.why, ended.answers), (Why::Dropped, 150));
    });
}

#[test]
fn a_demand_waits_until_somebody_exports() {
    run(async {
        let (there, here) = two_sessions().await;
        let options = Options { grace: Duration::ZERO, ..Options::default() };
        let (mut client, driver) = import::<u8, ()>(&here, "late", options).await.unwrap();
        let importing = tokio::spawn(driver);
        let too_early = client.recv().until(tokio::time::sleep(Duration::from_millis(20)));
        assert!(too_early.await.unwrap_err().is_timed_out());
        let (server, local) = simplex::<u8>();
        tokio::spawn(export(&there, "late", local, options).await.unwrap());
        server.finish_with(1).unwrap();
        assert_eq!(client.recv().await, Ok(1));
        assert_eq!(client.recv().await.unwrap_err().why(), Why::Closed);
        importing.await.unwrap().unwrap();
    });
}

#[test]
fn a_second_importer_is_refused() {
    run(async {
        let (there, here) = two_sessions().await;
        let (mut server, client) = simplex::<u32>();
        thread::spawn(move || server.send_all(0..).wait().unwrap_err());
        let options = Options::default();
        let exporting = tokio::spawn(export(&there, "once", client, options).await.unwrap());
        let (mut first, driver) = import::<u32, ()>(&here, "once", options).await.unwrap();
        tokio::spawn(driver);
        assert_eq!(first.recv().await, Ok(0));

        let (mut second, driver) = import::<u32, ()>(&there, "once", options).await.unwrap();
        let importing = tokio::spawn(driver);
        assert_eq!(second.recv().await.unwrap_err().why(), Why::Dropped);
        let error = importing.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Taken), "{error}");

        assert_eq!(first.recv().await, Ok(1));
        drop(first);
        assert_eq!(exporting.await.unwrap().answers, 2);
    });
}

#[test]
fn a_key_that_is_taken_is_refused_and_free_again_after_the_end() {
    run(async {
        let (there, here) = two_sessions().await;
        let options = Options::default();
        let (mut server, client) = simplex::<u32>();
        let exporting = tokio::spawn(export(&there, "key", client, options).await.unwrap());
        let (mut client, driver) = import::<u32, ()>(&here, "key", options).await.unwrap();
        tokio::spawn(driver);
        let (got, answered) = futures_lite::future::zip(client.recv(), server.answer(6)).await;
        assert_eq!((got, answered), (Ok(6), Ok(())));
        for session in [&there, &here] {
            let (_server, client) = simplex::<u32>();
            let error = export(session, "key", client, options).await.unwrap_err();
            assert!(matches!(error, Error::Taken), "{error}");
        }
        server.finish_with(7).unwrap();
        assert_eq!(client.recv().await, Ok(7));
        assert!(client.recv().await.is_err());
        assert_eq!(exporting.await.unwrap().why, Why::Closed);

        let (server, client) = simplex::<u32>();
        tokio::spawn(export(&there, "key", client, options).await.unwrap());
        let (mut client, driver) = import::<u32, ()>(&here, "key", options).await.unwrap();
        tokio::spawn(driver);
        server.finish_with(8).unwrap();
        assert_eq!(client.recv().await, Ok(8));
    });
}
