//! What ends, operations and errors say of themselves.

use std::marker::PhantomPinned;
use std::time::Duration;

use crate::support::*;
use futures_lite::StreamExt;
use handover::{Why, rendezvous};

/// Neither `Debug` nor `Unpin` nor `Clone`.
struct Mute(#[allow(dead_code)] PhantomPinned);

#[test]
fn all_types_say_what_they_are() {
    let (tx, rx) = rendezvous::<Mute>();
    let mute = || Mute(PhantomPinned);
    for text in [format!("{tx:?}"), format!("{rx:?}")] {
        for part in ["end: None", "senders: 1", "receivers: 1", "handed_over: 0"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    assert!(format!("{tx:?}").starts_with("Sender") && format!("{rx:?}").starts_with("Receiver"));
    assert!(format!("{:?}", tx.downgrade()).starts_with("WeakSender"));
    assert!(format!("{:?}", rx.downgrade()).starts_with("WeakReceiver"));
    assert!(format!("{:?}", tx.stats()).starts_with("Stats"));

    let mut recv = rx.recv();
    assert!(format!("{recv:?}").contains("recv"));
    pend(&mut recv);
    assert!(format!("{tx:?}").contains("waiting_receivers: 1"));
    let permit = tx.reserve().now().unwrap();
    assert!(format!("{permit:?}").starts_with("Permit"));
    drop((permit, recv));
    for (text, name) in [
        (format!("{:?}", tx.send(mute())), "send"),
        (format!("{:?}", tx.send_all([mute()])), "send_all"),
        (format!("{:?}", tx.reserve()), "reserve"),
        (format!("{:?}", rx.closed()), "closed"),
        (format!("{:?}", rx.iter()), "Iter"),
        (format!("{:?}", rx.stream()), "Stream"),
        (format!("{:?}", rx.clone().into_iter()), "Iter"),
        (format!("{:?}", rx.clone().into_stream()), "Stream"),
    ] {
        assert!(text.contains(name), "{name} in {text}");
    }

    let error = tx.send(mute()).now().unwrap_err();
    assert!(format!("{error:?}").contains("NotReady"));
    assert!(error.to_string().contains("not taken"), "{error}");
    let error = tx.send_all([mute()]).now().unwrap_err();
    assert!(format!("{error:?}").contains("NotReady"));
    assert!(error.to_string().contains("not all items"), "{error}");
    drop(error);
    let error = rx.recv().wait_deadline(past()).err().unwrap();
    assert!(format!("{error:?}").contains("TimedOut"));
    assert!(error.to_string().contains("nothing was received"), "{error}");

    tx.close();
    for text in [format!("{tx:?}"), format!("{rx:?}")] {
        assert!(text.contains("Some(Closed)"), "{text}");
    }
    // One text a reason, for all errors alike.
    let (send, recv) = (tx.send(mute()).now().unwrap_err(), rx.recv().now().err().unwrap());
    let why = Why::Closed.to_string();
    assert!(send.to_string().ends_with(&why) && recv.to_string().ends_with(&why));
    assert_eq!([Reason::is(&send), Reason::is(&recv)], [[true, false, false]; 2]);
    assert!(tx.closed().now().is_ok());
}

#[test]
fn an_operation_says_whether_it_is_done() {
    let (tx, rx) = rendezvous();
    let mut send = tx.send(1);
    pend(&mut send);
    assert!(format!("{send:?}").contains("done: false"));
    assert_eq!(futures_lite::future::block_on(rx.stream().next()), Some(1));
    ready(&mut send).unwrap();
    assert!(format!("{send:?}").contains("done: true"));
    for (text, name) in [
        (panic_text(|| poll_once(&mut send)), "Sender::send"),
        (
            {
                let mut sends = tx.send_all([0; 0]);
                ready(&mut sends).unwrap();
                panic_text(|| poll_once(&mut sends))
            },
            "Sender::send_all",
        ),
        (
            {
                tx.close();
                let mut closed = rx.closed();
                ready(&mut closed).unwrap();
                panic_text(|| poll_once(&mut closed))
            },
            "closed",
        ),
        (
            {
                let mut reserve = tx.reserve();
                assert!(ready(&mut reserve).is_err());
                panic_text(|| reserve.wait().map(drop))
            },
            "Sender::reserve",
        ),
        (
            {
                let mut recv = rx.recv();
                assert!(ready(&mut recv).is_err());
                panic_text(|| recv.wait_timeout(Duration::ZERO))
            },
            "Receiver::recv",
        ),
    ] {
        assert!(text.contains(name), "{name} in {text}");
    }
    // A finished send has nothing to reclaim.
    assert_eq!(send.reclaim(), None);
}
