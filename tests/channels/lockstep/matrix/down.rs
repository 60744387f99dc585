//! A server sends, a client receives.

use std::mem;
use std::task::Poll;
use std::time::Duration;

use super::*;
use handover::{Client, Server, Why, simplex};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// Sends two items, then finishes.
    Send,
    /// Is dropped at once.
    DropBefore,
    /// Has an item on offer, drops the operation, is dropped.
    DropDuring,
    /// Forgets a send whose item is on offer, sends another item, finishes.
    Forget,
    /// Offers an item until the time is up, is dropped.
    TimeOut,
    /// Sends an item, then panics.
    Panic,
    Finish,
    FinishWith,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiver {
    /// Receives all up to the end.
    Recv,
    /// Is dropped before the sender begins.
    DropBefore,
    /// Has asked, drops the operation, and is dropped when the sender has done what it can.
    DropDuring,
    /// Forgets a receive that waits, then receives all.
    Forget,
    /// Asks until the time is up, then receives all.
    TimeOut,
    /// Receives an item, then panics.
    Panic,
    /// Receives an item, then closes.
    Close,
}

async fn send(server: Server<Counted>, act: Sender, census: &Census, how: How) -> Sent {
    let mut server = server;
    let mut sent = Sent::default();
    if matches!(act, Sender::DropDuring | Sender::Forget | Sender::TimeOut) {
        // With the demand in hand the item is really on offer.
        _ = how.run(server.demand()).await;
    }
    match act {
        Sender::Send => {
            for _ in 0..2 {
                let (id, item) = census.next();
                if !sent.note(id, how.run(server.send(item)).await) {
                    return sent;
                }
            }
            server.finish();
        }
        Sender::DropBefore => drop(server),
        Sender::DropDuring => {
            let (id, item) = census.next();
            let mut send = server.send(item);
            match poll_once(&mut send) {
                Poll::Ready(result) => _ = sent.note(id, result),
                Poll::Pending => sent.unknown.push(id),
            }
            drop(send);
        }
        Sender::Forget => {
            let (id, item) = census.next();
            let goes_on = {
                let mut send = server.send(item);
                match poll_once(&mut send) {
                    Poll::Ready(result) => sent.note(id, result),
                    Poll::Pending => {
                        sent.unknown.push(id);
                        mem::forget(send);
                        true
                    }
                }
            };
            if !goes_on {
                return sent;
            }
            let (id, item) = census.next();
            if sent.note(id, how.run(server.send(item)).await) {
                server.finish();
            }
        }
        Sender::TimeOut => {
            let (id, item) = census.next();
            let mut send = server.send(item);
            match how {
                How::Thread => _ = sent.note(id, send.wait_timeout(Duration::from_micros(50))),
                How::Task => match poll_once(&mut send) {
                    Poll::Ready(result) => _ = sent.note(id, result),
                    Poll::Pending => sent.note_reclaimed(id, send.reclaim()),
                },
            }
        }
        Sender::Panic => {
            let (id, item) = census.next();
            sent.note(id, how.run(server.send(item)).await);
            panic_holding(server);
        }
        Sender::Finish => server.finish(),
        Sender::FinishWith => {
            let (id, item) = census.next();
            match server.finish_with(item) {
                Ok(()) => sent.unknown.push(id),
                error => _ = sent.note(id, error),
            }
        }
    }
    sent
}

async fn receive(client: Client<Counted>, act: Receiver, how: How) -> Got {
    let mut client = client;
    let mut got = Got::default();
    match act {
        Receiver::DropBefore => unreachable!("dropped already"),
        Receiver::DropDuring => {
            how.until(|| peer_waits(&client) || peer_has_left(&client)).await;
            return got;
        }
        Receiver::Forget => {
            let mut recv = client.recv();
            match poll_once(&mut recv) {
                Poll::Ready(result) => got.note(result),
                Poll::Pending => mem::forget(recv),
            }
        }
        Receiver::TimeOut => {
            let recv = client.recv();
            let result = match how {
                How::Thread => recv.wait_timeout(Duration::from_micros(20)),
                How::Task => recv.now(),
            };
            got.note(result);
        }
        Receiver::Recv | Receiver::Panic | Receiver::Close => {}
    }
    match act {
        Receiver::Panic | Receiver::Close => {
            got.note(how.run(client.recv()).await);
            if act == Receiver::Panic { panic_holding(client) } else { client.close() }
        }
        _ => {
            while got.end.is_none() {
                got.note(how.run(client.recv()).await);
            }
            assert_eq!(client.end(), got.end);
        }
    }
    got
}

fn down(pairing: Pairing, sender: Sender, receiver: Receiver) {
    let _watchdog = Watchdog::new();
    for first in [First::Server, First::Client] {
        let census = Census::new();
        let (server, mut client) = simplex();
        let (sent, got) = if receiver == Receiver::DropBefore {
            drop(client);
            let server = async |how| send(server, sender, &census, how).await;
            (pair(pairing, first, server, async |_| ()).0, Got::default())
        } else {
            if receiver == Receiver::DropDuring {
                pend(&mut client.recv());
            }
            pair(
                pairing,
                first,
                async |how| send(server, sender, &census, how).await,
                async |how| receive(client, receiver, how).await,
            )
        };
        census.assert_settled();
        let case = format!("{sent:?} {got:?} {first:?}");
        sent.assert_agrees_with(&got.items, &case);

        // The receiver's account.
        let all = match sender {
            Sender::Send | Sender::Forget => &[0, 1][..],
            Sender::Panic | Sender::FinishWith => &[0],
            Sender::DropBefore | Sender::Finish => &[],
            // Either is right: the sender's account is checked above.
            Sender::DropDuring | Sender::TimeOut => &got.items,
        };
        let senders_end = match sender {
            Sender::Send | Sender::Forget | Sender::Finish | Sender::FinishWith => Why::Closed,
            Sender::DropBefore | Sender::DropDuring | Sender::TimeOut => Why::Dropped,
            Sender::Panic => Why::Panicked,
        };
        match receiver {
            Receiver::Recv | Receiver::Forget | Receiver::TimeOut => {
                assert_eq!(got.items, all, "{case}");
                assert_eq!(got.end, Some(senders_end), "{case}");
                assert_eq!(sent.end, None, "{case}");
            }
            Receiver::Panic | Receiver::Close => {
                assert_eq!(got.items, all[..all.len().min(1)], "{case}");
                assert_eq!(got.end, got.items.is_empty().then_some(senders_end), "{case}");
            }
            Receiver::DropBefore | Receiver::DropDuring => assert!(got.items.is_empty(), "{case}"),
        }

        // The sender's account.
        let receivers_end = match receiver {
            Receiver::Close => Why::Closed,
            Receiver::Panic => Why::Panicked,
            _ => Why::Dropped,
        };
        assert!(sent.end.is_none_or(|end| end == receivers_end), "{case}");
        let stays = matches!(receiver, Receiver::Recv | Receiver::Forget | Receiver::TimeOut);
        if !stays && matches!(sender, Sender::Send | Sender::Forget | Sender::Panic) {
            assert_eq!(sent.end, Some(receivers_end), "{case}");
        }
        match (sender, receiver) {
            (Sender::DropBefore | Sender::Finish, _) => {}
            (_, Receiver::DropBefore) => {
                assert_eq!((&sent.back[..], sent.end), (&[0][..], Some(Why::Dropped)), "{case}");
            }
            (Sender::Send | Sender::Panic | Sender::TimeOut, Receiver::DropDuring) => {
                assert_eq!(sent.back, [0], "{case}");
            }
            (Sender::Forget, Receiver::Panic | Receiver::Close) => {
                assert!(sent.taken == [0] || (&sent.unknown, &sent.back) == (&vec![0], &vec![1]));
            }
            (Sender::Send | Sender::Panic, _) => assert!(sent.back.is_empty(), "{case}"),
            _ => {}
        }
    }
}

macro_rules! rows {
    ($($module:ident: $a:ident,)*) => {
        $(row!($module, down, Sender::$a, Receiver {
            to_recv: Recv,
            to_drop_before: DropBefore,
            to_drop_during: DropDuring,
            to_forget: Forget,
            to_time_out: TimeOut,
            to_panic: Panic,
            to_close: Close,
        });)*
    };
}

rows! {
    send: Send,
    drop_before: DropBefore,
    drop_during: DropDuring,
    forget: Forget,
    time_out: TimeOut,
    panic: Panic,
    finish: Finish,
    finish_with: FinishWith,
}
