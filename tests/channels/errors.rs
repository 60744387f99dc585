//! Errors: what they become elsewhere, and what they say.

use std::error::Error;
use std::io;

use crate::support::*;
use handover::{RecvError, SendError, Why, WriteError, duplex, rendezvous, simplex, stream};

const ALL: [Why; 6] =
    [Why::Closed, Why::Dropped, Why::Panicked, Why::TimedOut, Why::NotReady, Why::OutOfTurn];

fn kind_of(why: Why, end: io::ErrorKind) -> io::ErrorKind {
    match why {
        Why::TimedOut => io::ErrorKind::TimedOut,
        Why::NotReady => io::ErrorKind::WouldBlock,
        Why::OutOfTurn => io::ErrorKind::InvalidInput,
        _ => end,
    }
}

#[track_caller]
fn assert_io(error: io::Error, why: Why, end: io::ErrorKind) {
    assert_eq!(error.kind(), kind_of(why, end));
    assert_eq!(error.get_ref().unwrap().downcast_ref::<Why>(), Some(&why));
    assert_eq!(error.to_string(), why.to_string());
}

#[test]
fn each_error_gives_its_reason_and_becomes_an_io_error_with_the_reason_inside() {
    for why in ALL {
        let recv = RecvError::new(why);
        assert_eq!((recv.why(), Why::from(recv)), (why, why));
        assert_eq!(recv.is_end(), why.is_end());
        assert_io(why.into(), why, io::ErrorKind::UnexpectedEof);
        assert_io(recv.into(), why, io::ErrorKind::UnexpectedEof);

        // Of values that are no more than values: neither `Debug` nor `Send`.
        struct Plain(#[allow(dead_code, reason = "it only makes the type not `Send`")] *const u8);
        let plain = || Plain(std::ptr::null());
        assert_eq!(Why::from(SendError::new(why, Some(plain()))), why);
        assert_io(SendError::new(why, Some(plain())).into(), why, io::ErrorKind::BrokenPipe);
        assert_io(SendError::<Plain>::new(why, None).into(), why, io::ErrorKind::BrokenPipe);
        assert!(SendError::new(why, Some(plain())).into_unsent().is_some());
        assert!(SendError::<Plain>::new(why, None).unsent().is_none());
    }
}

#[test]
fn a_send_that_failed_tells_whether_it_gives_a_value_back() {
    for why in ALL {
        let given_back = SendError::new(why, Some(1)).to_string();
        assert_eq!(given_back, format!("the value was not taken: {why}"));
        // A sink that finds the end before it has an item says the same as a send whose value was taken.
        let none = SendError::<u8>::new(why, None).to_string();
        assert_eq!(none, format!("no value comes back (it was taken, or there was none): {why}"));
    }
}

#[test]
fn a_failed_write_becomes_a_reason_and_an_io_error() {
    let failed = || -> WriteError<std::ops::Range<u8>> {
        let (mut server, client) = simplex();
        client.close();
        server.send_all(0..3).now().unwrap_err()
    };
    assert_eq!(Why::from(failed()), Why::Closed);
    assert_io(failed().into(), Why::Closed, io::ErrorKind::BrokenPipe);
    let (mut writer, _reader) = stream();
    let error = writer.write(0..3).now().unwrap_err();
    assert_io(error.into(), Why::NotReady, io::ErrorKind::BrokenPipe);
}

#[test]
fn a_question_mark_carries_every_error_into_io() {
    fn relay() -> io::Result<u8> {
        let (tx, rx) = rendezvous();
        drop(rx.clone());
        tx.close();
        let item = rx.recv().wait()?;
        tx.send(item).wait()?;
        Ok(item)
    }
    assert_eq!(relay().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    fn send() -> Result<(), Why> {
        let (tx, rx) = rendezvous();
        drop(rx);
        tx.send(1).wait()?;
        Ok(())
    }
    assert_eq!(send(), Err(Why::Dropped));
    fn boxed() -> Result<(), Box<dyn Error + Send + Sync>> {
        let (tx, rx) = rendezvous();
        drop(rx);
        tx.send(String::from("kept")).wait()?;
        Ok(())
    }
    let error = boxed().unwrap_err();
    assert_eq!(error.downcast_ref::<SendError<String>>().unwrap().unsent().unwrap(), "kept");
}

#[test]
fn errors_built_by_hand_equal_those_of_the_channels() {
    let (mut server, mut client) = simplex::<u8>();
    assert_eq!(client.recv().now().unwrap_err(), RecvError::new(Why::NotReady));
    assert_eq!(server.send(1).now().unwrap_err(), SendError::new(Why::NotReady, Some(1)));
    drop(client);
    assert_eq!(server.send(1).now().unwrap_err(), SendError::new(Why::Dropped, Some(1)));
}

#[test]
fn out_of_turn_names_the_call_that_is_due() {
    let text = Why::OutOfTurn.to_string();
    for name in ["owed", "exchange", "recv", "answer"] {
        assert!(text.contains(name), "`{name}` is missing in: {text}");
    }
    let (mut server, mut client) = duplex::<u8, u8>();
    assert!(client.owed().now().unwrap_err().to_string().contains("exchange"));
    pend(&mut client.exchange(1));
    let mut ask = client.exchange(1);
    pend(&mut ask);
    server.demand().now().unwrap();
    assert!(server.demand().now().unwrap_err().to_string().contains("answer"));
    drop(ask);
    assert!(client.exchange(2).now().unwrap_err().to_string().contains("owed"));
}

#[test]
fn each_reason_has_a_text_of_its_own_and_only_ends_are_ends() {
    let texts: std::collections::HashSet<_> = ALL.iter().map(Why::to_string).collect();
    assert_eq!(texts.len(), ALL.len());
    let ends: Vec<_> = ALL.into_iter().filter(|why| why.is_end()).collect();
    assert_eq!(ends, [Why::Closed, Why::Dropped, Why::Panicked]);
}
