//! What must be a clear error, at the operation that meets it, with nothing lost silently.

use std::time::Duration;

use handover::{Why, duplex, simplex};
use handover_remote::zenoh::Session;
use handover_remote::{Ended, Error, Options, export, export_reader, import, open_local};
use serde::{Deserialize, Serialize};

use crate::support::{open, run, two_sessions};

#[test]
fn keys_that_are_none() {
    run(async {
        let session = open(open_local()).await;
        for key in ["", "/a", "a/", "a/*", "a?b"] {
            let (_server, client) = simplex::<u8>();
            let error = export(&session, key, client, Options::default()).await.unwrap_err();
            assert!(matches!(error, Error::Key(_)), "{key:?}: {error}");
            let error = import::<u8, ()>(&session, key, Options::default()).await.unwrap_err();
            assert!(matches!(error, Error::Key(_)), "{key:?}: {error}");
        }
    });
}

#[test]
fn an_answerer_of_another_version() {
    run(async {
        let (there, here) = two_sessions().await;
        let key = "version/@handover/answers/17";
        let _questions = there
            .declare_queryable(key)
            .callback(move |query| {
                use handover_remote::zenoh::Wait;
                query.reply(key, vec![9_u8, 1, 2, 3]).wait().unwrap();
            })
            .await
            .unwrap();
        let _token = there.liveliness().declare_token(key).await.unwrap();
        let (mut client, driver) =
            import::<u8, ()>(&here, "version", Options::default()).await.unwrap();
        let importing = tokio::spawn(driver);
        assert_eq!(client.recv().await.unwrap_err().why(), Why::Dropped);
        let error = importing.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Version(9)), "{error}");
        assert!(error.to_string().contains("version 9"), "{error}");
    });
}

async fn raw_question(session: &Session, key: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let replies = session
        .get(format!("{key}/@handover/answers/*"))
        .payload(bytes)
        .timeout(Duration::from_secs(5))
        .await
        .unwrap();
    let reply = replies.recv_async().await.ok()?;
    Some(reply.result().ok()?.payload().to_bytes().into_owned())
}

#[test]
fn an_asker_of_another_version_and_questions_that_are_none() {
    run(async {
        let (there, here) = two_sessions().await;
        let (server, client) = simplex::<u8>();
        let options = Options::default();
        let exporting = tokio::spawn(export(&there, "version", client, options).await.unwrap());
        // The exporting end is known here after a moment.
        let answer = loop {
            if let Some(answer) = raw_question(&here, "version", &[9, 1, 2, 3]).await {
                break answer;
            }
        };
        assert_eq!(answer, [1]);
        for bytes in
            [&[][..], &[1], &[1, 0, 0, 0], &[1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
        {
            assert_eq!(raw_question(&here, "version", bytes).await, None);
        }
        // They have not taken the place of an importer.
        let (mut client, driver) = import::<u8, ()>(&here, "version", options).await.unwrap();
        tokio::spawn(driver);
        server.finish_with(1).unwrap();
        assert_eq!(client.recv().await, Ok(1));
        assert!(client.recv().await.is_err());
        assert_eq!(exporting.await.unwrap().why, Why::Closed);
    });
}

#[test]
fn an_item_that_does_not_decode() {
    run(async {
        let (there, here) = two_sessions().await;
        let (server, client) = simplex::<String>();
        let options = Options::default();
        let exporting = tokio::spawn(export(&there, "decode", client, options).await.unwrap());
        let (mut client, driver) = import::<bool, ()>(&here, "decode", options).await.unwrap();
        let importing = tokio::spawn(driver);
        server.finish_with("no bool".to_owned()).unwrap();
        assert_eq!(client.recv().await.unwrap_err().why(), Why::Dropped);
        let error = importing.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Decode(_)), "{error}");
        let ended = exporting.await.unwrap();
        assert_eq!((ended.why, ended.in_doubt), (Why::Dropped, None));
        assert_eq!(ended.unsent.as_deref(), Some("no bool"));
        assert!(matches!(ended.error, Some(Error::Peer(_))), "{:?}", ended.error);
    });
}

#[test]
fn a_demand_that_does_not_decode() {
    run(async {
        let (there, here) = two_sessions().await;
        let (mut server, client) = duplex::<u8, bool>();
        let options = Options::default();
        let exporting = tokio::spawn(export(&there, "demand", client, options).await.unwrap());
        let (mut client, driver) = import::<u8, String>(&here, "demand", options).await.unwrap();
        let importing = tokio::spawn(driver);
        let error = client.exchange("no bool".to_owned()).await.unwrap_err();
        assert_eq!(error.why(), Why::Dropped);
        let error = importing.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Peer(_)), "{error}");
        let ended: Ended<u8> = exporting.await.unwrap();
        assert!(matches!(ended.error, Some(Error::Decode(_))), "{:?}", ended.error);
        assert_eq!(server.demand().await.unwrap_err().why(), Why::Dropped);
    });
}

/// Written by a serializer that refuses.
#[derive(Debug, PartialEq, Deserialize)]
struct Unwritable(u8);

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => serializer.serialize_u8(0),
            _ => Err(serde::ser::Error::custom("not this one")),
        }
    }
}

#[test]
fn an_item_that_cannot_be_written_comes_back() {
    run(async {
        let (there, here) = two_sessions().await;
        let (mut server, client) = simplex::<Unwritable>();
        let options = Options::default();
        let exporting = tokio::spawn(export(&there, "write", client, options).await.unwrap());
        let (mut client, driver) = import::<Unwritable, ()>(&here, "write", options).await.unwrap();
        let importing = tokio::spawn(driver);
        let producer = async {
            server.send(Unwritable(0)).await.unwrap();
            assert_eq!(server.send(Unwritable(1)).await.unwrap_err().why(), Why::Dropped);
        };
        let consumer = async {
            assert_eq!(client.recv().await, Ok(Unwritable(0)));
            assert_eq!(client.recv().await.unwrap_err().why(), Why::Dropped);
        };
        futures_lite::future::zip(producer, consumer).await;
        assert!(matches!(importing.await.unwrap(), Err(Error::Peer(_))));
        let ended = exporting.await.unwrap();
        assert_eq!(ended.unsent, Some(Unwritable(1)));
        assert!(matches!(ended.error, Some(Error::Encode(_))), "{:?}", ended.error);
    });
}

#[test]
fn an_item_or_a_demand_above_the_bound() {
    run(async {
        let (there, here) = two_sessions().await;
        let options = Options { max_batch_bytes: 100, ..Options::default() };
        let (server, client) = duplex::<String, String>();
        let exporting = tokio::spawn(export(&there, "large", client, options).await.unwrap());
        let (mut client, driver) = import::<String, String>(&here, "large", options).await.unwrap();
        let importing = tokio::spawn(driver);
        server.finish_with("x".repeat(200)).unwrap();
        let error = client.exchange("small".to_owned()).await.unwrap_err();
        assert_eq!(error.why(), Why::Dropped);
        assert!(matches!(importing.await.unwrap(), Err(Error::Peer(_))));
        let ended = exporting.await.unwrap();
        assert_eq!(ended.unsent.unwrap().len(), 200);
        assert!(matches!(ended.error, Some(Error::TooLarge { bytes: 202, limit: 100 })));

        let (mut server, client) = duplex::<String, String>();
        let exporting = tokio::spawn(export(&there, "large", client, options).await.unwrap());
        let (mut client, driver) = import::<String, String>(&here, "large", options).await.unwrap();
        let importing = tokio::spawn(driver);
        let producer = async {
            assert_eq!(server.demand().await.unwrap(), "small");
            server.answer("small, too".to_owned()).await.unwrap();
        };
        let consumer = async { client.exchange("small".to_owned()).await.unwrap() };
        futures_lite::future::zip(producer, consumer).await;
        let error = client.exchange("x".repeat(200)).await.unwrap_err();
        assert_eq!(error.why(), Why::Dropped);
        assert!(matches!(importing.await.unwrap(), Err(Error::TooLarge { .. })));
        let ended = exporting.await.unwrap();
        assert!(matches!(ended.error, Some(Error::Peer(_))), "{:?}", ended.error);
        assert_eq!(server.demand().await.unwrap_err().why(), Why::Dropped);
    });
}

#[test]
fn a_session_that_is_closed_in_the_middle_of_a_demand() {
    run(async {
        // At the consumer.
        let (there, here) = two_sessions().await;
        let (mut server, client) = simplex::<u8>();
        let options = Options { grace: Duration::from_millis(100), ..Options::default() };
        let exporting = tokio::spawn(export(&there, "closed", client, options).await.unwrap());
        let (mut client, driver) = import::<u8, ()>(&here, "closed", options).await.unwrap();
        let importing = tokio::spawn(driver);
        let consumer = async {
            assert_eq!(client.recv().await, Ok(1));
            client.recv().await.unwrap_err().why()
        };
        let producer = async {
            server.send(1).await.unwrap();
            here.close().await.unwrap();
        };
        assert_eq!(futures_lite::future::zip(consumer, producer).await.0, Why::Dropped);
        let error = importing.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Session(_)), "{error}");
        let ended = exporting.await.unwrap();
        assert!(matches!(ended.error, Some(Error::Gone)), "{:?}", ended.error);
        assert_eq!(server.closed().await, Ok(Why::Dropped));

        // At the producer.
        let (there, here) = two_sessions().await;
        let (mut server, client) = simplex::<u8>();
        let exporting = tokio::spawn(export(&there, "closed", client, options).await.unwrap());
        let (mut client, driver) = import::<u8, ()>(&here, "closed", options).await.unwrap();
        let importing = tokio::spawn(driver);
        let consumer = async { client.recv().await };
        let (got, answered) = futures_lite::future::zip(consumer, server.answer(1)).await;
        assert_eq!((got, answered), (Ok(1), Ok(())));
        there.close().await.unwrap();
        let ended = exporting.await.unwrap();
        assert!(matches!(ended.error, Some(Error::Session(_))), "{:?}", ended.error);
        assert_eq!((ended.why, ended.in_doubt), (Why::Dropped, Some(1)));
        assert_eq!(client.recv().await.unwrap_err().why(), Why::Dropped);
        let error = importing.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Gone), "{error}");
        assert_eq!(server.closed().await, Ok(Why::Dropped));
    });
}

#[test]
fn a_session_that_is_closed_already() {
    run(async {
        let session = open(open_local()).await;
        session.close().await.unwrap();
        let (_server, client) = simplex::<u8>();
        let error = export(&session, "a", client, Options::default()).await.unwrap_err();
        assert!(matches!(error, Error::Session(_)), "{error}");
        let (_writer, reader) = handover::stream::<u8>();
        let error = export_reader(&session, "a", reader, Options::default()).await.unwrap_err();
        assert!(matches!(error, Error::Session(_)), "{error}");
        let error = import::<u8, ()>(&session, "a", Options::default()).await.unwrap_err();
        assert!(matches!(error, Error::Session(_)), "{error}");
    });
}
