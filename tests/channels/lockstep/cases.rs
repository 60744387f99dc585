//! The cases that must work, each in every pairing of thread and task, either end first.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::*;
use futures_lite::StreamExt;
use futures_lite::future::zip;
use handover::{Client, RecvError, SendError, Server, Why, duplex, simplex};

/// How many ways there are to run three bodies: each combination of thread and task, and all in one task.
const TRIPLES: u32 = 9;

/// Runs three bodies to their end, in one of the ways.
fn triple(
    way: u32,
    a: impl AsyncFnOnce(How) + Send,
    b: impl AsyncFnOnce(How) + Send,
    c: impl AsyncFnOnce(How) + Send,
) {
    if way == TRIPLES - 1 {
        return pollster::block_on(async {
            zip(zip(a(How::Task), b(How::Task)), c(How::Task)).await;
        });
    }
    let [a_how, b_how, c_how] =
        [1, 2, 4].map(|bit| if way & bit != 0 { How::Task } else { How::Thread });
    thread::scope(|scope| {
        scope.spawn(move || a_how.drive(a(a_how)));
        scope.spawn(move || b_how.drive(b(b_how)));
        c_how.drive(c(c_how));
    });
}

/// All items up to the end, and the end.
async fn collect<T>(client: &mut Client<T>, how: How) -> (Vec<T>, Why) {
    let mut items = Vec::new();
    loop {
        match how.run(client.recv()).await {
            Ok(item) => items.push(item),
            Err(end) => return (items, end.why()),
        }
    }
}

#[test]
fn s1_a_transformer_between_two_channels_takes_two_and_yields_one() {
    let _watchdog = Watchdog::new();
    for way in 0..TRIPLES {
        let (mut out, mut items) = simplex::<String>();
        let (mut combined_out, mut combined) = simplex::<String>();
        let got = Mutex::new(Vec::new());
        let got = &got;
        triple(
            way,
            async move |how| {
                for n in 1..=4 {
                    how.run(out.send(format!("Item {n}"))).await.unwrap();
                }
                out.finish();
            },
            async move |how| {
                while let Ok(a) = how.run(items.recv()).await {
                    let b = how.run(items.recv()).await.unwrap();
                    how.run(combined_out.send(format!("Combining: {a} {b}"))).await.unwrap();
                }
                assert_eq!(items.end(), Some(Why::Closed));
                combined_out.finish();
            },
            async move |how| {
                let (all, end) = collect(&mut combined, how).await;
                assert_eq!(end, Why::Closed);
                *got.lock().unwrap() = all;
            },
        );
        assert_eq!(*got.lock().unwrap(), ["Combining: Item 1 Item 2", "Combining: Item 3 Item 4"]);
    }
}

#[test]
fn s3_letters_and_numbers_converse() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (mut letters, mut numbers) = duplex::<char, Option<u32>>();
        let said = Trace::new();
        pair(
            pairing,
            first,
            async |how| {
                assert_eq!(how.run(letters.demand()).await, Ok(None));
                for letter in ['A', 'B'] {
                    let number = how.run(letters.exchange(letter)).await.unwrap();
                    said.log(number.unwrap().to_string());
                }
                letters.finish();
            },
            async |how| {
                said.log(how.run(numbers.exchange(None)).await.unwrap());
                for number in 0.. {
                    match how.run(numbers.exchange(Some(number))).await {
                        Ok(letter) => said.log(letter),
                        Err(error) => {
                            assert_eq!((error.why(), error.unsent()), (Why::Closed, None));
                            break;
                        }
                    }
                }
            },
        );
        assert_eq!(said.take(), ["A", "0", "B", "1"], "{pairing:?} {first:?}");
    });
}

#[test]
fn s4_a_lent_server_produces_in_its_owners_place() {
    async fn delegate(server: &mut Server<&str>, how: How) -> Result<(), SendError<&'static str>> {
        how.run(server.send("Two")).await.map_err(|error| error.into_unsent()).unwrap();
        Ok(())
    }
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (mut server, mut client) = simplex();
        let (_, got) = pair(
            pairing,
            first,
            async |how| {
                how.run(server.send("One")).await.unwrap();
                delegate(&mut server, how).await.unwrap();
                how.run(server.send("Three")).await.unwrap();
                server.finish();
            },
            async |how| collect(&mut client, how).await,
        );
        assert_eq!(got, (vec!["One", "Two", "Three"], Why::Closed));
    });
}

#[test]
fn s6_one_routine_feeds_two_consumers_in_turn() {
    let _watchdog = Watchdog::new();
    for way in 0..TRIPLES {
        let (mut a, mut arnold) = simplex::<&str>();
        let (mut b, mut bernard) = simplex::<&str>();
        let said = Trace::new();
        let print = async |name: &str, client: &mut Client<&str>, how: How| {
            while let Ok(message) = how.run(client.recv()).await {
                said.log(format!("Message for {name}: {message}"));
            }
            assert_eq!(client.end(), Some(Why::Closed));
        };
        triple(
            way,
            async move |how| {
                how.run(a.demand()).await.unwrap();
                how.run(b.demand()).await.unwrap();
                how.run(a.send("Hello Arnold.")).await.unwrap();
                how.run(b.send("Hello Bernard.")).await.unwrap();
                how.run(a.send("Goodbye Arnold.")).await.unwrap();
                how.run(b.send("Goodbye Bernard.")).await.unwrap();
                a.finish();
                b.finish();
            },
            async |how| print("Arnold", &mut arnold, how).await,
            async |how| print("Bernard", &mut bernard, how).await,
        );
        assert_eq!(
            said.take(),
            [
                "Message for Arnold: Hello Arnold.",
                "Message for Bernard: Hello Bernard.",
                "Message for Arnold: Goodbye Arnold.",
                "Message for Bernard: Goodbye Bernard.",
            ]
        );
    }
}

#[test]
fn s7_a_body_sends_to_one_loop_then_another_then_the_first() {
    let _watchdog = Watchdog::new();
    for way in 0..TRIPLES {
        let (mut a, mut loop_a) = simplex::<u32>();
        let (mut b, mut loop_b) = simplex::<u32>();
        let said = Trace::new();
        triple(
            way,
            async move |how| {
                how.run(a.send(1)).await.unwrap();
                how.run(b.send(1)).await.unwrap();
                how.run(a.send(2)).await.unwrap();
            },
            async |how| {
                while let Ok(n) = how.run(loop_a.recv()).await {
                    said.log(format!("a{n}"));
                }
            },
            async |how| {
                while let Ok(n) = how.run(loop_b.recv()).await {
                    said.log(format!("b{n}"));
                }
            },
        );
        assert_eq!(said.take(), ["a1", "b1", "a2"]);
    }
}

#[test]
fn s8_a_producer_and_a_generator_have_the_same_transcript() {
    let _watchdog = Watchdog::new();
    // What drives the generator is written once, too.
    fn generator(said: &Trace) -> Vec<String> {
        let mut step = 0;
        let mut resume = |value: &str| {
            if step > 0 {
                said.log(format!("resumed with {value}"));
            }
            step += 1;
            ["One", "Two", "Three"].get(step - 1).inspect(|word| said.log(format!("yields {word}")))
        };
        for value in ["start", "a", "b", "c"] {
            match resume(value) {
                Some(word) => said.log(format!("got {word}")),
                None => said.log("got the end"),
            }
        }
        said.take()
    }
    let _watchdog = Watchdog::new();
    let said = Trace::new();
    let expected = generator(&said);
    in_all_pairings(|pairing, first| {
        let (mut server, mut client) = duplex::<&str, &str>();
        pair(
            pairing,
            first,
            async |how| {
                how.run(server.demand()).await.unwrap();
                for word in ["One", "Two", "Three"] {
                    said.log(format!("yields {word}"));
                    let value = how.run(server.exchange(word)).await.unwrap();
                    said.log(format!("resumed with {value}"));
                }
                server.finish();
            },
            async |how| {
                for value in ["start", "a", "b", "c"] {
                    match how.run(client.exchange(value)).await {
                        Ok(word) => said.log(format!("got {word}")),
                        Err(_) => said.log("got the end"),
                    }
                }
            },
        );
        assert_eq!(said.take(), expected, "{pairing:?} {first:?}");
    });
}

#[test]
fn s9_a_consumer_routine_is_opened_sent_one_message_and_closed() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (mut server, mut client) = simplex();
        let (_, got) = pair(
            pairing,
            first,
            async |how| {
                how.run(server.demand()).await.unwrap();
                how.run(server.send("Hello world!")).await.unwrap();
                server.finish();
            },
            async |how| collect(&mut client, how).await,
        );
        assert_eq!(got, (vec!["Hello world!"], Why::Closed));
    });
}

fn traced(pairing: Pairing, first: First, trace: &Trace) {
    let (mut server, mut client) = simplex();
    pair(
        pairing,
        first,
        async move |how| {
            how.run(server.demand()).await.unwrap();
            trace.log("p opened");
            for item in ["A", "B"] {
                trace.log(format!("p sends {item}"));
                how.run(server.send(item)).await.unwrap();
                trace.log(format!("p's send({item}) returned"));
            }
            trace.log("p leaves and closes");
            server.finish();
        },
        async move |how| {
            trace.log("c asks");
            while let Ok(item) = how.run(client.recv()).await {
                trace.log(format!("c got {item}"));
                trace.log(format!("c done with {item}"));
            }
            assert_eq!(client.end(), Some(Why::Closed));
            trace.log("c told of the end");
        },
    );
}

macro_rules! d1 {
    ($($name:ident: $pairing:ident,)*) => {
        mod d1_who_runs_when_is_exact_in_a_thousand_runs {
            use super::*;

            $(
                #[test]
                fn $name() {
                    let _watchdog = Watchdog::new();
                    let trace = Trace::new();
                    for run in 0..1000 {
                        let first = if run % 2 == 0 { First::Server } else { First::Client };
                        traced(Pairing::$pairing, first, &trace);
                        assert_eq!(
                            trace.take(),
                            [
                                "c asks",
                                "p opened",
                                "p sends A",
                                "c got A",
                                "c done with A",
                                "p's send(A) returned",
                                "p sends B",
                                "c got B",
                                "c done with B",
                                "p's send(B) returned",
                                "p leaves and closes",
                                "c told of the end",
                            ],
                            "run {run}"
                        );
                    }
                }
            )*
        }
    };
}

d1! {
    thread_thread: ThreadThread,
    thread_task: ThreadTask,
    task_thread: TaskThread,
    task_task: TaskTask,
    one_task: OneTask,
}

#[test]
fn d1_the_closer_goes_on_before_the_peer_has_run() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    pend(&mut recv);
    pend(&mut server.send(1));
    server.finish();
    assert_eq!(ready(&mut recv).unwrap_err().why(), Why::Closed);
}

#[test]
fn d2_an_opening_waits_for_the_consumer_and_goes_on() {
    let _watchdog = Watchdog::new();
    for pairing in Pairing::ALL {
        let (server, client) = duplex::<(), u8>();
        let opened = Trace::new();
        pair(
            pairing,
            First::Server,
            async |how| {
                let mut server = server;
                assert_eq!(how.run(server.demand()).await, Ok(7));
                opened.log("opened");
            },
            async |how| {
                let mut client = client;
                how.until(|| peer_waits(&client)).await;
                assert!(opened.take().is_empty());
                assert!(how.run(client.exchange(7)).await.is_err());
            },
        );
        assert_eq!(opened.take(), ["opened"]);
    }
}

#[test]
fn d3_an_empty_body_ends_the_consumer_without_items() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        for (close, end) in [(true, Why::Closed), (false, Why::Dropped)] {
            let (server, mut client) = simplex::<u8>();
            let (_, got) = pair(
                pairing,
                first,
                async |_| if close { server.finish() } else { drop(server) },
                async |how| collect(&mut client, how).await,
            );
            assert_eq!(got, (vec![], end));
        }
    });
}

#[test]
fn d3_an_opened_and_empty_body_ends_the_consumer_without_items() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (server, mut client) = simplex::<u8>();
        let (_, got) = pair(
            pairing,
            first,
            async |how| {
                let mut server = server;
                how.run(server.demand()).await.unwrap();
                server.finish();
            },
            async |how| collect(&mut client, how).await,
        );
        assert_eq!(got, (vec![], Why::Closed));
    });
}

#[test]
fn d4_a_body_that_fails_by_question_mark_is_dropped() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (server, mut client) = simplex();
        let (failed, got) = pair(
            pairing,
            first,
            async |how| {
                let mut server = server;
                how.run(server.send(1)).await.unwrap();
                let parsed: u8 = "not a number".parse()?;
                how.run(server.send(parsed)).await.unwrap();
                server.finish();
                Ok::<_, std::num::ParseIntError>(())
            },
            async |how| collect(&mut client, how).await,
        );
        assert!(failed.is_err());
        assert_eq!(got, (vec![1], Why::Dropped));
    });
}

#[test]
fn d4_a_body_that_panics_is_told_apart() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (server, mut client) = simplex();
        let (_, got) = pair(
            pairing,
            first,
            async |how| {
                let mut server = server;
                how.run(server.send(1)).await.unwrap();
                assert!(panics(move || {
                    let _server = server;
                    quiet_panic();
                }));
            },
            async |how| collect(&mut client, how).await,
        );
        assert_eq!(got, (vec![1], Why::Panicked));
    });
}

#[test]
fn d5_a_consumer_that_leaves_after_one_item_had_taken_it() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        for how_to_leave in [Why::Closed, Why::Dropped, Why::Panicked] {
            let (mut server, client) = simplex();
            let (error, item) = pair(
                pairing,
                first,
                async |how| how.run(server.send(1)).await.unwrap_err(),
                async |how| {
                    let mut client = client;
                    let item = how.run(client.recv()).await;
                    leave(client, how_to_leave);
                    item
                },
            );
            assert_eq!(item, Ok(1));
            assert_eq!((error.why(), error.into_unsent()), (how_to_leave, None));
            let error = server.send(2).wait().unwrap_err();
            assert_eq!((error.why(), error.into_unsent()), (how_to_leave, Some(2)));
        }
    });
}

#[test]
fn d5_a_loop_that_breaks_had_taken_its_item() {
    let _watchdog = Watchdog::new();
    let (mut server, client) = simplex();
    let consumer = thread::spawn(move || client.into_iter().next());
    let error = server.send(1).wait().unwrap_err();
    assert_eq!((error.why(), error.into_unsent()), (Why::Dropped, None));
    assert_eq!(consumer.join().unwrap(), Some(1));
}

fn leave<T>(end: T, why: Why)
where
    T: Leave,
{
    match why {
        Why::Closed => end.say_goodbye(),
        Why::Dropped => drop(end),
        _ => assert!(panics(move || {
            let _end = end;
            quiet_panic();
        })),
    }
}

trait Leave {
    fn say_goodbye(self);
}

impl<T, U> Leave for Server<T, U> {
    fn say_goodbye(self) {
        self.finish();
    }
}

impl<T, U> Leave for Client<T, U> {
    fn say_goodbye(self) {
        self.close();
    }
}

#[test]
fn d6_a_consumer_dropped_while_the_item_is_on_offer_leaves_it_to_the_server() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let census = Census::new();
        let (mut server, mut client) = simplex();
        pend(&mut client.recv());
        let (error, ()) = pair(
            pairing,
            first,
            async |how| how.run(server.send(census.make())).await.unwrap_err(),
            async |how| {
                let client = client;
                how.until(|| peer_waits(&client)).await;
            },
        );
        assert_eq!((error.why(), error.into_unsent().unwrap().id), (Why::Dropped, 0));
        census.assert_settled();
    });
}

#[test]
fn d7_an_unused_end_that_is_dropped_wakes_the_waiting_peer() {
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        for pairing in Pairing::ALL {
            let (server, mut client) = simplex::<u8>();
            let (_, got) = pair(
                pairing,
                First::Client,
                async |how| {
                    let server = server;
                    how.until(|| peer_waits(&server)).await;
                    leave(server, why);
                },
                async |how| collect(&mut client, how).await,
            );
            assert_eq!(got, (vec![], why));

            let (mut server, client) = simplex();
            let (error, _) = pair(
                pairing,
                First::Server,
                async |how| how.run(server.send(1)).await.unwrap_err(),
                async |how| {
                    let client = client;
                    how.until(|| peer_waits(&client)).await;
                    leave(client, why);
                },
            );
            assert_eq!((error.why(), error.into_unsent()), (why, Some(1)));
        }
    }
}

#[test]
fn d8_receives_that_are_given_up_and_made_again_lose_nothing() {
    let _watchdog = Watchdog::new();
    const ITEMS: u32 = 200;
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (mut server, mut client) = simplex();
        let (_, got) = pair(
            pairing,
            first,
            async |how| {
                for n in 0..ITEMS {
                    how.run(server.send(n)).await.unwrap();
                }
                server.finish();
            },
            async |how| {
                let mut got = Vec::new();
                for attempt in 0u32.. {
                    let item = match attempt % 5 {
                        0 => client.recv().now(),
                        1 => match poll_once(&mut client.recv()) {
                            Poll::Ready(item) => item,
                            Poll::Pending => continue,
                        },
                        2 if how == How::Thread => {
                            client.recv().wait_timeout(Duration::from_micros(20))
                        }
                        3 => client.recv().wait_deadline(Instant::now()),
                        _ => how.run(client.recv()).await,
                    };
                    match item {
                        Ok(item) => got.push(item),
                        Err(error) if error.is_end() => break,
                        Err(error) => assert!(error.is_timed_out() || error.is_not_ready()),
                    }
                }
                got
            },
        );
        assert!(got.into_iter().eq(0..ITEMS), "{pairing:?} {first:?}");
        assert_eq!(client.end(), Some(Why::Closed));
    });
}

#[test]
fn d9_a_send_given_up_before_the_take_gives_the_item_back() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    let mut send = server.send(census.make());
    pend(&mut send);
    assert_eq!(send.reclaim().unwrap().id, 0);
    // Given up without a word: dropped with the operation.
    pend(&mut server.send(census.make()));
    assert_eq!(census.gone(), 2);
    let mut send = server.send(census.make());
    pend(&mut send);
    assert_eq!(ready(&mut client.recv()).unwrap().id, 2);
    pend(&mut client.recv());
    assert!(ready(&mut send).is_ok());
    drop(send);
    census.assert_settled();
}

#[test]
fn d9_a_send_given_up_after_the_take_was_delivered() {
    let _watchdog = Watchdog::new();
    let census = Census::new();
    let (mut server, mut client) = simplex();
    pend(&mut client.recv());
    let mut send = server.send(census.make());
    pend(&mut send);
    let first = ready(&mut client.recv()).unwrap();
    assert!(send.reclaim().is_none());
    let mut send = server.send(census.make());
    pend(&mut send);
    pend(&mut client.recv());
    pend(&mut send);
    let second = ready(&mut client.recv()).unwrap();
    assert_eq!((first.id, second.id), (0, 1));
    drop((first, second));
    drop(send);
    census.assert_settled();
}

#[test]
fn d9_sends_given_up_at_random_moments_are_reclaimed_or_delivered() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let census = Census::new();
        let (server, mut client) = simplex();
        let (delivered, got) = pair(
            pairing,
            first,
            async |how| {
                let mut server = server;
                let mut delivered = Vec::new();
                for n in 0..200 {
                    let item = census.make();
                    let id = item.id;
                    let mut send = server.send(item);
                    let fate = match n % 3 {
                        0 => {
                            let polled = poll_once(&mut send);
                            dither(n);
                            match polled {
                                Poll::Ready(done) => done.err().map(|error| error.into_unsent()),
                                Poll::Pending => Some(send.reclaim()),
                            }
                        }
                        1 => send.now().err().map(|error| {
                            assert!(error.is_not_ready());
                            error.into_unsent()
                        }),
                        _ => how.run(send).await.err().map(|error| error.into_unsent()),
                    };
                    if !matches!(fate, Some(Some(_))) {
                        delivered.push(id);
                    }
                }
                server.finish();
                delivered
            },
            async |how| {
                let (items, end) = collect(&mut client, how).await;
                assert_eq!(end, Why::Closed);
                items.into_iter().map(|item| item.id).collect::<Vec<_>>()
            },
        );
        assert_eq!(delivered, got, "{pairing:?} {first:?}");
        census.assert_settled();
    });
}

#[test]
fn d22_after_the_end_a_server_says_the_same_for_ever_and_gives_back_the_value() {
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        for asked in [false, true] {
            let (mut server, mut client) = duplex::<u8, u8>();
            if asked {
                pend(&mut client.exchange(0));
            }
            leave(client, why);
            let soon = Duration::from_secs(1);
            for _ in 0..3 {
                assert!(server.is_closed());
                let recv =
                    |result: Result<u8, RecvError>| assert_eq!(result.unwrap_err().why(), why);
                recv(ready(&mut server.demand()));
                recv(server.demand().wait());
                recv(server.demand().wait_timeout(soon));
                recv(server.demand().wait_deadline(Instant::now()));
                recv(server.demand().now());
                let send = |result: Result<u8, SendError<u8>>| {
                    let error = result.unwrap_err();
                    assert_eq!((error.why(), error.into_unsent()), (why, Some(5)));
                };
                send(ready(&mut server.exchange(5)));
                send(server.exchange(5).wait());
                send(server.exchange(5).wait_timeout(soon));
                send(server.exchange(5).wait_deadline(Instant::now()));
                send(server.exchange(5).now());
            }
            let error = server.finish_with(6).unwrap_err();
            assert_eq!((error.why(), error.into_unsent()), (why, Some(6)));
        }
    }
}

#[test]
fn d22_after_the_end_a_write_says_the_same_for_ever_and_gives_back_the_rest() {
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        let (mut server, client) = simplex::<u8>();
        leave(client, why);
        for _ in 0..3 {
            let polled = ready(&mut server.send_all([1, 2, 3]));
            for result in [
                polled,
                server.send_all([1, 2, 3]).wait(),
                server.send_all([1, 2, 3]).wait_timeout(Duration::from_secs(1)),
                server.send_all([1, 2, 3]).wait_deadline(Instant::now()),
                server.send_all([1, 2, 3]).now(),
            ] {
                let error = result.unwrap_err();
                assert_eq!(error.why(), why);
                assert!(error.into_rest().eq([1, 2, 3]));
            }
            assert_eq!(server.send_all([]).wait().unwrap_err().why(), why);
        }
    }
}

#[test]
fn d22_after_the_end_a_client_says_the_same_for_ever_and_gives_back_the_value() {
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        let (server, mut client) = duplex::<u8, u8>();
        leave(server, why);
        let soon = Duration::from_secs(1);
        for round in 0..3 {
            assert_eq!(client.end(), (round > 0).then_some(why));
            let send = |result: Result<u8, SendError<u8>>| {
                let error = result.unwrap_err();
                assert_eq!((error.why(), error.into_unsent()), (why, Some(5)));
            };
            send(ready(&mut client.exchange(5)));
            assert_eq!(client.end(), Some(why));
            send(client.exchange(5).wait());
            send(client.exchange(5).wait_timeout(soon));
            send(client.exchange(5).wait_deadline(Instant::now()));
            send(client.exchange(5).now());
            let recv = |result: Result<u8, RecvError>| assert_eq!(result.unwrap_err().why(), why);
            recv(ready(&mut client.answer()));
            recv(client.answer().wait());
            recv(client.answer().wait_timeout(soon));
            recv(client.answer().wait_deadline(Instant::now()));
            recv(client.answer().now());
        }
    }
}

#[test]
fn d22_after_the_end_iterators_and_streams_stay_ended() {
    let _watchdog = Watchdog::new();
    for why in [Why::Closed, Why::Dropped, Why::Panicked] {
        let (server, mut client) = simplex::<u8>();
        leave(server, why);
        for _ in 0..3 {
            assert_eq!(client.recv().wait().unwrap_err().why(), why);
            assert_eq!(client.iter().next(), None);
            let mut stream = client.stream();
            assert_eq!(ready(&mut stream.next()), None);
            assert_eq!(ready(&mut stream.next()), None);
            assert_eq!(stream.end(), Some(why));
        }
        let mut stream = client.into_stream();
        assert_eq!(ready(&mut stream.next()), None);
        assert_eq!(stream.end(), Some(why));
    }
}

#[test]
fn what_was_handed_over_before_the_end_is_received_before_it_is_told() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (mut server, mut client) = simplex();
        let (_, got) = pair(
            pairing,
            first,
            async |how| {
                how.run(server.send(1)).await.unwrap();
                server.finish_with(2).unwrap();
            },
            async |how| collect(&mut client, how).await,
        );
        assert_eq!(got, (vec![1, 2], Why::Closed));
    });
}

#[test]
fn a_stream_gives_what_the_blocking_iterator_gives() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let (server, client) = simplex();
        let (_, got) = pair(
            pairing,
            first,
            async |how| {
                let mut server = server;
                how.run(server.send_all(0..50)).await.unwrap();
                server.finish();
            },
            async |how| match how {
                How::Thread => client.into_iter().collect::<Vec<_>>(),
                How::Task => client.into_stream().collect().await,
            },
        );
        assert!(got.into_iter().eq(0..50));
    });
}

#[test]
fn send_all_makes_one_step_a_demand() {
    let _watchdog = Watchdog::new();
    in_all_pairings(|pairing, first| {
        let trace = Trace::new();
        let (mut server, client) = simplex();
        let (error, _) = pair(
            pairing,
            first,
            async |how| {
                let items = (0..10).inspect(|n| trace.log(format!("makes {n}")));
                how.run(server.send_all(items)).await.unwrap_err()
            },
            async |how| {
                let mut client = client;
                for n in 0..3 {
                    trace.log(format!("asks for {n}"));
                    assert_eq!(how.run(client.recv()).await, Ok(n));
                }
            },
        );
        assert_eq!(error.why(), Why::Dropped);
        assert_eq!(
            trace.take(),
            ["asks for 0", "makes 0", "asks for 1", "makes 1", "asks for 2", "makes 2"]
        );
        assert!(error.into_rest().eq(3..10));
    });
}

#[test]
fn an_end_changes_from_thread_to_task_between_two_operations() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex();
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..300 {
                match n % 3 {
                    0 => server.send(n).wait().unwrap(),
                    1 => pollster::block_on(server.send(n)).unwrap(),
                    _ => server.send(n).wait_timeout(Duration::MAX).unwrap(),
                }
            }
            server.finish();
        });
        for n in 0..300 {
            let item = match n % 4 {
                0 => pollster::block_on(client.recv()),
                1 => client.recv().wait(),
                2 => pollster::block_on(client.stream().next())
                    .ok_or(())
                    .map_or_else(|()| unreachable!(), Ok),
                _ => Ok(client.iter().next().unwrap()),
            };
            assert_eq!(item, Ok(n));
        }
        assert_eq!(client.recv().wait().unwrap_err().why(), Why::Closed);
    });
}

#[test]
fn an_operation_that_was_polled_is_then_waited_for() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = duplex::<u32, u32>();
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..100 {
                let mut ask = client.exchange(n);
                // It may be done already.
                match poll_once(&mut ask) {
                    Poll::Ready(answer) => assert_eq!(answer.unwrap(), n + 1),
                    Poll::Pending => assert_eq!(ask.wait().unwrap(), n + 1),
                }
            }
        });
        let mut n = {
            let mut demand = server.demand();
            match poll_once(&mut demand) {
                Poll::Ready(n) => n.unwrap(),
                Poll::Pending => demand.wait().unwrap(),
            }
        };
        loop {
            let mut exchange = server.exchange(n + 1);
            let next = match poll_once(&mut exchange) {
                Poll::Ready(next) => next,
                Poll::Pending => exchange.wait(),
            };
            match next {
                Ok(next) => n = next,
                Err(error) => break assert_eq!(error.into_unsent(), None),
            }
        }
    });
    assert!(server.is_closed());
}

#[test]
fn ends_move_between_threads_and_executors() {
    let _watchdog = Watchdog::new();
    const LAPS: u32 = 20;
    let _watchdog = Watchdog::new();
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let one = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut server, mut client) = simplex();
    thread::scope(|scope| {
        scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
            for lap in 0..LAPS {
                let n = lap * 4;
                server.send(n).wait().unwrap();
                server = runtime
                    .block_on(runtime.spawn(async move {
                        server.send(n + 1).await.unwrap();
                        server
                    }))
                    .unwrap();
                server = thread::spawn(move || {
                    server.send(n + 2).wait().unwrap();
                    server
                })
                .join()
                .unwrap();
                pollster::block_on(server.send(n + 3)).unwrap();
            }
            server.finish();
        });
        for lap in 0..LAPS {
            let n = lap * 4;
            client = many
                .block_on(many.spawn(async move {
                    assert_eq!(client.recv().await, Ok(n));
                    client
                }))
                .unwrap();
            assert_eq!(one.block_on(client.recv()), Ok(n + 1));
            assert_eq!(client.recv().wait(), Ok(n + 2));
            client = thread::spawn(move || {
                assert_eq!(pollster::block_on(client.recv()), Ok(n + 3));
                client
            })
            .join()
            .unwrap();
        }
        assert_eq!(one.block_on(client.recv()).unwrap_err().why(), Why::Closed);
    });
}

#[test]
fn two_tokio_tasks_converse() {
    let _watchdog = Watchdog::new();
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (mut server, mut client) = duplex::<u64, u64>();
    many.block_on(async {
        let squares = tokio::spawn(async move {
            let mut n = server.demand().await.unwrap();
            while let Ok(next) = server.exchange(n * n).await {
                n = next;
            }
        });
        for n in 0..500 {
            assert_eq!(client.exchange(n).await.unwrap(), n * n);
        }
        client.close();
        squares.await.unwrap();
    });
}

#[test]
fn values_need_be_neither_static_nor_send_nor_sized_well() {
    let _watchdog = Watchdog::new();
    struct NotMuch(std::rc::Rc<u8>);
    let word = String::from("borrowed");
    let (mut server, mut client) = simplex::<(&str, NotMuch, [u64; 100], ())>();
    pend(&mut client.recv());
    let mut send = server.send((&word, NotMuch(std::rc::Rc::new(3)), [7; 100], ()));
    pend(&mut send);
    let (text, rc, array, ()) = ready(&mut client.recv()).unwrap();
    assert_eq!((text, *rc.0, array[99]), ("borrowed", 3, 7));
    drop(send);

    let (mut server, mut client) = simplex::<()>();
    pend(&mut client.recv());
    pend(&mut server.send(()));
    assert!(client.recv().now().unwrap_err().is_not_ready());
}

/// One poll of a long `send_all` against a thread that is always there again gives the other tasks of its executor their turn.
#[test]
fn a_poll_comes_to_an_end_however_well_it_goes() {
    let _watchdog = Watchdog::new();
    let (mut server, client) = simplex();
    let consumer = thread::spawn(move || client.into_iter().take(200_000).count());
    let made = AtomicU64::new(0);
    let mut send = server.send_all((0_u32..).inspect(|_| _ = made.fetch_add(1, Relaxed)));
    let (_bell, waker) = Bell::new();
    loop {
        let before = made.load(Relaxed);
        let is_over = poll_with(&mut send, &waker).is_ready();
        let in_this_poll = made.load(Relaxed) - before;
        assert!(in_this_poll <= 2_000, "{in_this_poll} items in one poll");
        if is_over {
            break;
        }
    }
    drop(send);
    assert_eq!(consumer.join().unwrap(), 200_000);
}
