//! A client asks, a server takes.

use std::mem;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::*;
use handover::{Client, SendError, Server, Why, duplex};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// Asks twice, then closes.
    Ask,
    DropBefore,
    /// Has a value on its way up, drops the operation, is dropped.
    DropDuring,
    /// Forgets an operation whose value is on its way up, and fetches the answer.
    Forget,
    /// Asks until the time is up; fetches the answer if it is owed one; is dropped.
    TimeOut,
    /// Asks once, then panics.
    Panic,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answerer {
    /// Answers all.
    Answer,
    DropBefore,
    /// Takes a demand and is dropped without an answer.
    DropDuring,
    /// Forgets a wait for a demand, then answers all.
    Forget,
    /// Waits for a demand until the time is up, then answers all.
    TimeOut,
    /// Takes a demand, then panics.
    Panic,
    Finish,
    /// Takes a demand, answers it, closes.
    FinishWith,
}

async fn ask(
    client: Client<Counted, Counted>,
    act: Asker,
    census: &Census,
    how: How,
) -> (Sent, Got) {
    let mut client = client;
    let (mut sent, mut got) = (Sent::default(), Got::default());
    let mut note = |sent: &mut Sent, id, result: Result<Counted, SendError<Counted>>| match result {
        Ok(answer) => {
            got.items.push(answer.id);
            sent.note(id, Ok(()))
        }
        Err(error) => sent.note::<()>(id, Err(error)),
    };
    match act {
        Asker::DropBefore => drop(client),
        Asker::Ask | Asker::Panic => {
            for _ in 0..if act == Asker::Ask { 2 } else { 1 } {
                let (id, value) = census.next();
                if !note(&mut sent, id, how.run(client.exchange(value)).await) {
                    assert_eq!(client.end(), sent.end);
                    break;
                }
            }
            if act == Asker::Ask { client.close() } else { panic_holding(client) }
        }
        Asker::DropDuring => {
            let (id, value) = census.next();
            let mut ask = client.exchange(value);
            match poll_once(&mut ask) {
                Poll::Ready(result) => _ = note(&mut sent, id, result),
                Poll::Pending => sent.unknown.push(id),
            }
        }
        Asker::Forget => {
            let (id, value) = census.next();
            let mut ask = client.exchange(value);
            match poll_once(&mut ask) {
                Poll::Ready(result) => _ = note(&mut sent, id, result),
                Poll::Pending => {
                    sent.unknown.push(id);
                    mem::forget(ask);
                    let (id, value) = census.next();
                    let error = client.exchange(value).now().unwrap_err();
                    assert!(error.why() == Why::OutOfTurn || error.is_end(), "{error:?}");
                    assert_eq!(error.into_unsent().unwrap().id, id);
                    sent.back.push(id);
                    match how.run(client.owed()).await {
                        Ok(answer) => got.items.push(answer.id),
                        Err(error) => sent.end = Some(error.why()),
                    }
                }
            }
        }
        Asker::TimeOut => {
            let (id, value) = census.next();
            let ask = client.exchange(value);
            let result = match how {
                How::Thread => ask.wait_deadline(Instant::now()),
                How::Task => ask.now(),
            };
            note(&mut sent, id, result);
            if sent.taken == [id] && got.items.is_empty() && sent.end.is_none() {
                match how.run(client.owed()).await {
                    Ok(answer) => got.items.push(answer.id),
                    Err(error) => sent.end = Some(error.why()),
                }
            }
        }
        Asker::Close => client.close(),
    }
    (sent, got)
}

async fn answer(
    server: Server<Counted, Counted>,
    act: Answerer,
    census: &Census,
    how: How,
) -> (Sent, Got) {
    let mut server = server;
    let (mut sent, mut got) = (Sent::default(), Got::default());
    match act {
        Answerer::DropBefore => return (sent, got),
        Answerer::Finish => {
            server.finish();
            return (sent, got);
        }
        Answerer::Forget => {
            let mut demand = server.demand();
            match poll_once(&mut demand) {
                Poll::Ready(result) => got.note(result),
                Poll::Pending => mem::forget(demand),
            }
        }
        Answerer::TimeOut => {
            let demand = server.demand();
            let result = match how {
                How::Thread => demand.wait_timeout(Duration::from_micros(20)),
                How::Task => demand.now(),
            };
            got.note(result);
        }
        _ => {}
    }
    if got.items.is_empty() && got.end.is_none() {
        got.note(how.run(server.demand()).await);
    }
    match act {
        Answerer::DropDuring => drop(server),
        Answerer::Panic => panic_holding(server),
        Answerer::FinishWith => {
            let (id, item) = census.next();
            match server.finish_with(item) {
                Ok(()) => sent.unknown.push(id),
                error => _ = sent.note(id, error),
            }
        }
        _ => {
            while got.end.is_none() {
                let (id, item) = census.next();
                match how.run(server.exchange(item)).await {
                    Ok(demand) => {
                        got.items.push(demand.id);
                        sent.note(id, Ok(()));
                    }
                    Err(error) => {
                        sent.note::<()>(id, Err(error));
                        got.end = sent.end;
                    }
                }
            }
        }
    }
    (sent, got)
}

fn up(pairing: Pairing, asker: Asker, answerer: Answerer) {
    let _watchdog = Watchdog::new();
    for first in [First::Server, First::Client] {
        let (demands, answers) = (Census::new(), Census::new());
        let (server, client) = duplex();
        let ((answered, asked), (sent, got)) = pair(
            pairing,
            first,
            async |how| answer(server, answerer, &answers, how).await,
            async |how| ask(client, asker, &demands, how).await,
        );
        demands.assert_settled();
        answers.assert_settled();
        let case = format!("{answered:?} {asked:?} {sent:?} {got:?} {first:?}");
        sent.assert_agrees_with(&asked.items, &case);
        answered.assert_agrees_with(&got.items, &case);

        let askers_end = match asker {
            Asker::Ask | Asker::Close => Why::Closed,
            Asker::Panic => Why::Panicked,
            _ => Why::Dropped,
        };
        let answerers_end = match answerer {
            Answerer::Finish | Answerer::FinishWith => Why::Closed,
            Answerer::Panic => Why::Panicked,
            // An answerer that answers all leaves after the asker.
            _ => Why::Dropped,
        };
        assert!(asked.end.is_none_or(|end| end == askers_end), "{case}");
        assert!(sent.end.is_none_or(|end| end == answerers_end), "{case}");

        let n = if asker == Asker::Ask { 2 } else { 1 };
        let all = &[0, 1][..n];
        let refused = (vec![], vec![0], Some(answerers_end));
        let told = (sent.taken, sent.back, sent.end);
        match (asker, answerer) {
            (Asker::Ask | Asker::Panic, answerer) => match answerer {
                Answerer::Answer | Answerer::Forget | Answerer::TimeOut => {
                    assert_eq!((&asked.items[..], &got.items[..]), (all, all), "{case}");
                    assert_eq!(told, (all.to_vec(), vec![], None), "{case}");
                    assert_eq!(asked.end, Some(askers_end), "{case}");
                }
                Answerer::DropBefore | Answerer::Finish => assert_eq!(told, refused, "{case}"),
                Answerer::DropDuring | Answerer::Panic => {
                    assert_eq!(told, (vec![0], vec![], Some(answerers_end)), "{case}");
                    assert_eq!((asked.items, got.items), (vec![0], vec![]), "{case}");
                }
                Answerer::FinishWith => {
                    assert_eq!((asked.items, got.items), (vec![0], vec![0]), "{case}");
                    let second = (n == 2).then_some(answerers_end);
                    assert_eq!(told, (vec![0], vec![1; n - 1], second), "{case}");
                }
            },
            (Asker::Forget, answerer) => match answerer {
                Answerer::Answer | Answerer::Forget | Answerer::TimeOut | Answerer::FinishWith => {
                    assert_eq!((asked.items, got.items), (vec![0], vec![0]), "{case}");
                }
                Answerer::DropDuring | Answerer::Panic => {
                    assert_eq!((asked.items, got.items), (vec![0], vec![]), "{case}");
                    assert_eq!(told.2, Some(answerers_end), "{case}");
                }
                Answerer::DropBefore | Answerer::Finish => {
                    assert_eq!((asked.items, got.items), (vec![], vec![]), "{case}");
                    assert_eq!(told.2, Some(answerers_end), "{case}");
                }
            },
            (Asker::DropBefore | Asker::Close, _) => {
                assert!(asked.items.is_empty() && got.items.is_empty(), "{case}");
                if !matches!(answerer, Answerer::DropBefore | Answerer::Finish) {
                    assert_eq!(asked.end, Some(askers_end), "{case}");
                }
            }
            // These race: both accounts are checked above.
            (Asker::DropDuring | Asker::TimeOut, _) => {}
        }
    }
}

macro_rules! rows {
    ($($module:ident: $a:ident,)*) => {
        $(row!($module, up, Asker::$a, Answerer {
            to_answer: Answer,
            to_drop_before: DropBefore,
            to_drop_during: DropDuring,
            to_forget: Forget,
            to_time_out: TimeOut,
            to_panic: Panic,
            to_finish: Finish,
            to_finish_with: FinishWith,
        });)*
    };
}

rows! {
    ask: Ask,
    drop_before: DropBefore,
    drop_during: DropDuring,
    forget: Forget,
    time_out: TimeOut,
    panic: Panic,
    close: Close,
}
