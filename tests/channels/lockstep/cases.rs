//! The cases that must work, each in every pairing of thread and task, either end first.

use std::sync::Mutex;

use super::collect;
use crate::support::*;
use futures_lite::StreamExt;
use handover::{Client, SendError, Server, Why, duplex, simplex};

#[test]
fn a_transformer_between_two_channels_takes_two_and_yields_one() {
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
fn letters_and_numbers_converse() {
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
fn a_lent_server_produces_in_its_owners_place() {
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
fn one_routine_feeds_two_consumers_in_turn() {
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
fn a_body_sends_to_one_loop_then_another_then_the_first() {
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
fn a_producer_and_a_generator_have_the_same_transcript() {
    let _watchdog = Watchdog::new();
    // The loop that drives the generator is written once, too.
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
fn a_consumer_routine_is_opened_sent_one_message_and_closed() {
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

macro_rules! in_each_pairing {
    ($($name:ident: $pairing:ident,)*) => {
        mod both_sides_run_in_one_exact_order_a_thousand_times {
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

in_each_pairing! {
    thread_thread: ThreadThread,
    thread_task: ThreadTask,
    task_thread: TaskThread,
    task_task: TaskTask,
    one_task: OneTask,
}

#[test]
fn an_end_that_closes_goes_on_before_its_peer_has_run() {
    let _watchdog = Watchdog::new();
    let (mut server, mut client) = simplex::<u8>();
    let mut recv = client.recv();
    pend(&mut recv);
    pend(&mut server.send(1));
    server.finish();
    assert_eq!(ready(&mut recv).unwrap_err().why(), Why::Closed);
}

#[test]
fn an_opening_waits_for_the_consumer_and_goes_on() {
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
fn values_need_be_neither_static_nor_send_nor_small() {
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
