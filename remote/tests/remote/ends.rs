//! `Closed`, `Dropped` and `Panicked` arrive as such, in both directions, and are acknowledged.

use std::panic;
use std::thread;

use handover::{Client, Server, Why, simplex, stream};
use handover_remote::{Options, export, export_reader, import, import_reader};

use crate::support::{run, two_sessions};

const ENDS: [Why; 3] = [Why::Closed, Why::Dropped, Why::Panicked];

fn leave<E: Send + 'static>(end: E, why: Why, close: impl FnOnce(E) + Send + 'static) {
    match why {
        Why::Closed => close(end),
        Why::Panicked => {
            let thread = thread::spawn(move || {
                let _end = end;
                panic::resume_unwind(Box::new("on purpose"));
            });
            thread.join().unwrap_err();
        }
        _ => drop(end),
    }
}

#[test]
fn of_the_producer() {
    run(async {
        let (there, here) = two_sessions().await;
        for why in ENDS {
            let options = Options::default();
            let (mut server, client) = simplex::<u32>();
            let exporting = tokio::spawn(export(&there, "end", client, options).await.unwrap());
            let (mut client, driver) = import::<u32, ()>(&here, "end", options).await.unwrap();
            let importing = tokio::spawn(driver);
            let producer = async {
                server.send(5).await.unwrap();
                leave(server, why, Server::finish);
            };
            let consumer = async {
                assert_eq!(client.recv().await, Ok(5));
                for _ in 0..2 {
                    assert_eq!(client.recv().await.unwrap_err().why(), why);
                }
            };
            futures_lite::future::zip(producer, consumer).await;
            importing.await.unwrap().unwrap();
            let ended = exporting.await.unwrap();
            assert_eq!((ended.why, ended.in_doubt, ended.unsent), (why, None, None));
            assert!(ended.error.is_none());
        }
    });
}

#[test]
fn of_the_consumer() {
    run(async {
        let (there, here) = two_sessions().await;
        for why in ENDS {
            let options = Options::default();
            let (mut server, client) = simplex::<u32>();
            let exporting = tokio::spawn(export(&there, "end", client, options).await.unwrap());
            let (mut client, driver) = import::<u32, ()>(&here, "end", options).await.unwrap();
            let importing = tokio::spawn(driver);
            let producer = async { server.send(5).await.unwrap_err().why() };
            let consumer = async {
                assert_eq!(client.recv().await, Ok(5));
                leave(client, why, Client::close);
            };
            assert_eq!(futures_lite::future::zip(producer, consumer).await.0, why);
            importing.await.unwrap().unwrap();
            let ended = exporting.await.unwrap();
            assert_eq!((ended.why, ended.in_doubt, ended.unsent), (why, None, None));
        }
    });
}

#[test]
fn of_a_consumer_that_has_not_asked() {
    run(async {
        let (there, here) = two_sessions().await;
        let options = Options::default();
        let (mut server, client) = simplex::<u32>();
        let exporting = tokio::spawn(export(&there, "end", client, options).await.unwrap());
        // One that leaves before it has seen the exporting end has nobody to tell it to.
        loop {
            let (client, driver) = import::<u32, ()>(&here, "end", options).await.unwrap();
            client.close();
            driver.await.unwrap();
            let a_moment = tokio::time::sleep(std::time::Duration::from_millis(10));
            if let Ok(why) = server.closed().until(a_moment).await {
                break assert_eq!(why, Why::Closed);
            }
        }
        assert_eq!(exporting.await.unwrap().why, Why::Closed);
    });
}

#[test]
fn of_a_consumer_that_waits() {
    run(async {
        let (there, here) = two_sessions().await;
        let options = Options::default();
        let (mut server, client) = simplex::<u32>();
        let exporting = tokio::spawn(export(&there, "end", client, options).await.unwrap());
        let (mut client, driver) = import::<u32, ()>(&here, "end", options).await.unwrap();
        let importing = tokio::spawn(driver);
        let (asked, _) = futures_lite::future::zip(
            server.demand(),
            futures_lite::future::poll_once(client.recv()),
        )
        .await;
        asked.unwrap();
        client.close(); // while its demand is there, and before it is answered
        importing.await.unwrap().unwrap();
        let error = server.send(1).await.unwrap_err();
        assert_eq!((error.why(), error.into_unsent()), (Why::Closed, Some(1)));
        let ended = exporting.await.unwrap();
        assert_eq!((ended.why, ended.in_doubt, ended.answers), (Why::Closed, None, 0));
    });
}

/// The consumer gives up on a demand, the answer comes, and it leaves: the item was not used.
#[test]
fn what_the_consumer_left_behind_comes_back() {
    run(async {
        let (there, here) = two_sessions().await;
        let options = Options::default();
        let (mut server, client) = simplex::<String>();
        let exporting = tokio::spawn(export(&there, "back", client, options).await.unwrap());
        let (mut client, driver) = import::<String, ()>(&here, "back", options).await.unwrap();
        let importing = tokio::spawn(driver);
        assert!(futures_lite::future::poll_once(client.recv()).await.is_none());
        server.answer("unread".to_owned()).await.unwrap(); // the driver has it
        client.close();
        importing.await.unwrap().unwrap();
        let ended = exporting.await.unwrap();
        assert_eq!((ended.why, ended.in_doubt), (Why::Closed, None));
        assert_eq!(ended.unsent.as_deref(), Some("unread"));
    });
}

#[test]
fn of_batches() {
    run(async {
        let (there, here) = two_sessions().await;
        for why in ENDS {
            let options = Options::default();
            let (mut writer, reader) = stream::<u32>();
            let exporting =
                tokio::spawn(export_reader(&there, "end", reader, options).await.unwrap());
            let (mut reader, driver) = import_reader::<u32>(&here, "end", options).await.unwrap();
            let importing = tokio::spawn(driver);
            let producer = async {
                writer.write(0..5).await.unwrap();
                leave(writer, why, |writer| writer.finish().unwrap());
            };
            let consumer = async {
                assert_eq!(reader.read(3).await.unwrap(), [0, 1, 2]);
                assert_eq!(reader.read(9).await.unwrap(), [3, 4]);
                if why == Why::Closed {
                    assert!(reader.read(9).await.unwrap().is_empty());
                }
                assert_eq!(reader.read(9).await.unwrap_err().why(), why);
            };
            futures_lite::future::zip(producer, consumer).await;
            importing.await.unwrap().unwrap();
            let ended = exporting.await.unwrap();
            assert_eq!((ended.why, ended.in_doubt, ended.unsent), (why, None, None));
        }
    });
}

#[test]
fn of_a_reader() {
    run(async {
        let (there, here) = two_sessions().await;
        for why in ENDS {
            let options = Options::default();
            let (mut writer, reader) = stream::<u32>();
            let exporting =
                tokio::spawn(export_reader(&there, "end", reader, options).await.unwrap());
            let (mut reader, driver) = import_reader::<u32>(&here, "end", options).await.unwrap();
            let importing = tokio::spawn(driver);
            let producer = async {
                let error = writer.write(0..).await.unwrap_err();
                assert_eq!(error.why(), why);
            };
            let consumer = async {
                assert_eq!(reader.read(3).await.unwrap(), [0, 1, 2]);
                leave(reader, why, |reader| reader.close());
            };
            futures_lite::future::zip(producer, consumer).await;
            importing.await.unwrap().unwrap();
            let ended = exporting.await.unwrap();
            assert_eq!((ended.why, ended.in_doubt, ended.unsent), (why, None, None));
        }
    });
}
