//! What errors, ends and operations say, and misuse that is named.

use std::fmt;
use std::time::Duration;

use crate::support::*;
use handover::{RecvError, SendError, Why, WriteError, duplex, simplex};

// ---- polled again after it was done

#[test]
fn a_finished_operation_that_is_polled_again_panics_with_its_name() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u8, u8>();
    drop(server.demand());
    let mut ask = client.exchange(1);
    pend(&mut ask);

    let mut demand = server.demand();
    ready(&mut demand).unwrap();
    let text = panic_text(|| poll_once(&mut demand));
    assert!(text.contains("`Server::demand`"), "{text}");
    assert!(panic_text(|| demand.wait()).contains("`Server::demand`"));

    let mut exchange = server.exchange(2);
    pend(&mut exchange);
    ready(&mut ask).unwrap();
    assert!(panic_text(|| poll_once(&mut ask)).contains("`Client::exchange`"));
    assert!(panic_text(|| ask.now()).contains("`Client::exchange`"));
    let mut ask = client.exchange(3);
    pend(&mut ask);
    ready(&mut exchange).unwrap();
    assert!(panic_text(|| poll_once(&mut exchange)).contains("`Server::exchange or Server::send`"));
    assert!(
        panic_text(|| exchange.wait_timeout(Duration::ZERO))
            .contains("`Server::exchange or Server::send`")
    );
    drop(ask);

    let (mut server, mut client) = simplex::<u8>();
    pend(&mut client.recv());
    let mut write = server.send_all([]);
    ready(&mut write).unwrap();
    assert!(panic_text(|| poll_once(&mut write)).contains("`Server::send_all`"));
    assert!(panic_text(|| write.wait_deadline(past())).contains("`Server::send_all`"));
    server.finish();
    let mut recv = client.recv();
    ready(&mut recv).unwrap_err();
    assert!(panic_text(|| poll_once(&mut recv)).contains("`Client::recv or Client::owed`"));
    assert!(panic_text(|| recv.wait()).contains("`Client::recv or Client::owed`"));
    // The channel is whole after all these panics.
    assert_eq!(client.recv().wait().unwrap_err().why(), Why::Closed);
}

// ---- errors

/// A value without `Debug`.
struct Mute;

#[test]
fn errors_speak_without_their_values_doing_so() {
    fn texts<E: std::error::Error>(error: &E) -> (String, String) {
        (error.to_string(), format!("{error:?}"))
    }
    let _watchdog = Watchdog::new();
    let (mut server, client) = simplex::<Mute>();
    let late = server.send(Mute).wait_deadline(past()).unwrap_err();
    let early = server.demand().now().unwrap_err();
    drop(client);
    let gone = server.send_all([Mute]).now().unwrap_err();
    for (display, debug) in [texts(&late), texts(&early), texts(&gone)] {
        assert!(!display.is_empty() && !debug.is_empty());
    }
    assert!(late.to_string().contains("the time was up"), "{late}");
    assert!(format!("{late:?}").contains("TimedOut"), "{late:?}");
    assert!(early.to_string().contains("would have had to wait"), "{early}");
    assert!(format!("{gone:?}").contains("Dropped"), "{gone:?}");
    assert!(!format!("{:?}", gone.into_rest()).is_empty());

    // An error says whether its value came back or was taken.
    let (mut server, mut client) = simplex::<Mute>();
    pend(&mut client.recv());
    let mut send = server.send(Mute);
    pend(&mut send);
    drop(ready(&mut client.recv()));
    let taken = send.now().unwrap_err();
    assert!(taken.unsent().is_none() && late.unsent().is_some());
    let reason = |text: String| text.split(':').next().unwrap().to_owned();
    assert_ne!(reason(taken.to_string()), reason(late.to_string()));
    assert!(late.into_unsent().is_some());
}

#[test]
fn errors_answer_what_they_are() {
    fn check<E: Reason>(error: &E, why: Why) {
        assert_eq!(error.reason(), why);
        assert_eq!(
            error.is(),
            [why.is_end(), why == Why::TimedOut, why == Why::NotReady],
            "{error:?}"
        );
        assert!(error.to_string().contains(&why.to_string()), "{error}");
    }
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        assert!(why.is_end());
        let (mut server, client) = simplex::<Mute>();
        leave_by(client, why, |client| client.close());
        check::<RecvError>(&server.demand().now().unwrap_err(), why);
        check::<SendError<Mute>>(&server.send(Mute).now().unwrap_err(), why);
        check::<WriteError<_>>(&server.send_all([Mute]).now().unwrap_err(), why);
        let (server, mut client) = duplex::<Mute, Mute>();
        leave_by(server, why, |server| server.finish());
        check(&client.exchange(Mute).now().map(drop).unwrap_err(), why);
        check(&client.owed().now().map(drop).unwrap_err(), why);
    }
    let (mut server, mut client) = duplex::<Mute, Mute>();
    check(&client.owed().now().map(drop).unwrap_err(), Why::OutOfTurn);
    check(&client.exchange(Mute).now().map(drop).unwrap_err(), Why::NotReady);
    check(&client.exchange(Mute).wait_deadline(past()).map(drop).unwrap_err(), Why::TimedOut);
    check(&server.demand().wait_deadline(past()).map(drop).unwrap_err(), Why::TimedOut);
    check(&server.demand().now().map(drop).unwrap_err(), Why::NotReady);
    for why in [Why::TimedOut, Why::NotReady, Why::OutOfTurn] {
        assert!(!why.is_end());
    }
}

#[test]
fn ends_and_operations_speak_without_their_values_doing_so() {
    fn speaks(it: &dyn fmt::Debug) {
        assert!(!format!("{it:?}").is_empty());
    }
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<Mute, Mute>();
    speaks(&server);
    speaks(&client);
    speaks(&server.demand());
    speaks(&server.exchange(Mute));
    speaks(&client.exchange(Mute));
    speaks(&client.owed());
    let (mut server, mut client) = simplex::<Mute>();
    speaks(&server.send_all([Mute]));
    speaks(&client.recv());
    speaks(&client.iter());
    speaks(&client.stream());
    speaks(&client.into_iter());
    assert!(server.is_closed());
}
