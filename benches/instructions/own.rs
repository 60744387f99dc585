//! More hot paths. Each has a type of item of its own: see [`Own`].

use std::hint::black_box;
use std::ops::Range;

use futures_lite::StreamExt;
use futures_lite::future::{block_on, zip};
use handover::{
    Client, Generator, Receiver, Sender, Server, Writer, generate, never, rendezvous, select,
    simplex, stream,
};
use tokio::runtime::Builder;

use crate::paths::{Run, check, expected};

pub(crate) const PATHS: &[(&str, Run)] = &[
    ("simplex, two tasks in one, block_on", |n| {
        let (server, client) = simplex::<Own<1>>();
        let ((), sum) = block_on(zip(serve(server, n), sum_of_client(client)));
        assert_eq!(sum, expected(n));
    }),
    ("rendezvous, two tasks in one, block_on", |n| {
        let (tx, rx) = rendezvous::<Own<2>>();
        let ((), sum) = block_on(zip(send(tx, 0..n), sum_of_receiver(rx)));
        assert_eq!(sum, expected(n));
    }),
    ("simplex, two tasks on current_thread", |n| {
        let (server, client) = simplex::<Own<3>>();
        let sum = on_current_thread(vec![serve(server, n)], vec![sum_of_client(client)]);
        assert_eq!(sum, expected(n));
    }),
    ("rendezvous, two tasks on current_thread", |n| {
        let (tx, rx) = rendezvous::<Own<4>>();
        let sum = on_current_thread(vec![send(tx, 0..n)], vec![sum_of_receiver(rx)]);
        assert_eq!(sum, expected(n));
    }),
    ("rendezvous, 4 x 4 tasks on current_thread", |n| {
        let (tx, rx) = rendezvous::<Own<4>>();
        let part = |part| n * part / 4..n * (part + 1) / 4;
        let senders = (0..4).map(|number| send(tx.clone(), part(number))).collect();
        drop(tx);
        let receivers = (0..4).map(|_| sum_of_receiver(rx.clone())).collect();
        assert_eq!(on_current_thread(senders, receivers), expected(n));
    }),
    ("stream, ahead(16)", |n| {
        let (writer, mut reader) = stream::<Own<6>>();
        let read = reader.ahead(16).into_stream().fold(0, |sum, item| sum + item.0);
        check(n, async { zip(write_own(writer, n), read).await.1 });
    }),
    ("stream, ahead(4096)", |n| {
        let (writer, mut reader) = stream::<Own<7>>();
        let read = reader.ahead(4096).into_stream().fold(0, |sum, item| sum + item.0);
        check(n, async { zip(write_own(writer, n), read).await.1 });
    }),
    ("generate, for", |n| {
        let mut sum = 0;
        for item in numbers::<8>(n) {
            sum += item.0;
        }
        assert_eq!(sum, expected(n));
    }),
    ("generate, for_each", |n| {
        let mut sum = 0;
        numbers::<9>(n).for_each(|item| sum += item.0);
        assert_eq!(sum, expected(n));
    }),
    ("generate, as a stream", |n| {
        check(n, numbers::<10>(n).into_stream().fold(0, |sum, item| sum + item.0));
    }),
    ("create and drop a channel that never sends", |n| {
        (0..n).for_each(|_| drop(black_box(never::<Own<11>>())));
    }),
    ("clone and drop both ends of a rendezvous", |n| {
        let (tx, rx) = rendezvous::<Own<12>>();
        (0..n).for_each(|_| drop(black_box((tx.clone(), rx.clone()))));
    }),
    ("select of 8 that are not ready, flat", |n| {
        let rx = never::<Own<13>>();
        for _ in 0..n {
            let recv = || rx.recv();
            let arms = (recv(), recv(), recv(), recv(), recv(), recv(), recv(), recv());
            assert!(select(arms).now().is_none());
        }
    }),
    ("select of 8 that are not ready, nested", |n| {
        let rx = never::<Own<14>>();
        for _ in 0..n {
            let pair = || (rx.recv(), rx.recv());
            assert!(select(((pair(), pair()), (pair(), pair()))).now().is_none());
        }
    }),
    ("simplex, send_all to a stream, own items", |n| {
        let (server, client) = simplex::<Own<15>>();
        let sum = client.into_stream().fold(0, |sum, item| sum + item.0);
        let ((), sum) = block_on(zip(serve_all(server, n), sum));
        assert_eq!(sum, expected(n));
    }),
    ("simplex, send_all to a checked stream", |n| {
        let (server, client) = simplex::<Own<16>>();
        let sum = client.into_stream().checked().fold(0, |sum, item| sum + item.unwrap().0);
        let ((), sum) = block_on(zip(serve_all(server, n), sum));
        assert_eq!(sum, expected(n));
    }),
];

/// An item of a type that one path uses, or a few. The compiler makes the code of a channel for each type of item, and inlines a function
/// that is called once more readily: a path with a type of its own hardly changes the counts of other paths.
struct Own<const PATH: u32>(u64);

async fn serve<const PATH: u32>(mut server: Server<Own<PATH>>, n: u64) {
    for item in 0..n {
        // The last send returns at the end of the channel.
        server.send(Own(item)).await.unwrap_or_else(|error| assert!(error.is_end()));
    }
}

async fn serve_all<const PATH: u32>(mut server: Server<Own<PATH>>, n: u64) {
    server.send_all((0..n).map(Own)).await.unwrap();
    server.finish();
}

async fn sum_of_client<const PATH: u32>(mut client: Client<Own<PATH>>) -> u64 {
    let mut sum = 0;
    while let Ok(item) = client.recv().await {
        sum += item.0;
    }
    sum
}

async fn send<const PATH: u32>(tx: Sender<Own<PATH>>, items: Range<u64>) {
    for item in items {
        assert!(tx.send(Own(item)).await.is_ok());
    }
}

async fn sum_of_receiver<const PATH: u32>(rx: Receiver<Own<PATH>>) -> u64 {
    let mut sum = 0;
    while let Ok(item) = rx.recv().await {
        sum += item.0;
    }
    sum
}

fn numbers<const PATH: u32>(n: u64) -> Generator<Own<PATH>, impl Future<Output = ()> + Send> {
    generate(move |mut server| async move {
        for item in 0..n {
            if server.send(Own(item)).await.is_err() {
                break;
            }
        }
    })
}

async fn write_own<const PATH: u32>(mut writer: Writer<Own<PATH>>, n: u64) {
    assert!(writer.write((0..n).map(Own)).await.is_ok());
    writer.finish().unwrap();
}

/// Runs all futures as tasks of their own on one thread, and returns the sum of what the receivers return.
fn on_current_thread(
    senders: Vec<impl Future<Output = ()> + Send + 'static>,
    receivers: Vec<impl Future<Output = u64> + Send + 'static>,
) -> u64 {
    Builder::new_current_thread().build().unwrap().block_on(async {
        let senders: Vec<_> = senders.into_iter().map(tokio::spawn).collect();
        let receivers: Vec<_> = receivers.into_iter().map(tokio::spawn).collect();
        for sender in senders {
            sender.await.unwrap();
        }
        let mut sum = 0;
        for receiver in receivers {
            sum += receiver.await.unwrap();
        }
        sum
    })
}
