//! The hot paths. Each runs on one thread, so that it takes the same steps in every run. The items that arrive are checked.

use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_lite::StreamExt;
use futures_lite::future::zip;
use handover::{
    Reader, Sel2, Writer, duplex, generate, never, op, rendezvous, select, simplex, stream,
};

/// Passes a number of items.
pub(crate) type Run = fn(u64);

pub(crate) const PATHS: &[(&str, Run)] = &[
    ("simplex, two tasks in one", |n| {
        let (mut server, mut client) = simplex();
        let serve = async move {
            for item in 0..n {
                server.send(item).await.unwrap_or_else(|error| assert!(error.is_end()));
            }
        };
        check(n, async {
            let mut sum = 0;
            let ask = async {
                for _ in 0..n {
                    sum += client.recv().await.unwrap();
                }
                client.close();
            };
            zip(serve, ask).await;
            sum
        });
    }),
    ("simplex, send_all to a stream", |n| {
        let (mut server, client) = simplex();
        let serve = async move { server.send_all(0..n).await.unwrap() };
        let ask = client.into_stream().fold(0, |sum, item| sum + item);
        check(n, async { zip(serve, ask).await.1 });
    }),
    ("duplex, two tasks in one", |n| {
        let (mut server, mut client) = duplex();
        let serve = async move {
            let mut demand = server.demand().await.unwrap();
            while let Ok(next) = server.exchange(demand).await {
                demand = next;
            }
        };
        let ask = async move {
            let mut sum = 0;
            for number in 0..n {
                sum += client.exchange(number).await.unwrap();
            }
            client.close();
            sum
        };
        check(n, async { zip(serve, ask).await.1 });
    }),
    ("rendezvous, two tasks in one", |n| {
        let (tx, rx) = rendezvous();
        let send = async move {
            for item in 0..n {
                tx.send(item).await.unwrap();
            }
        };
        let receive = rx.into_stream().fold(0, |sum, item| sum + item);
        check(n, async { zip(send, receive).await.1 });
    }),
    ("rendezvous, an offer taken by now()", |n| {
        let (tx, rx) = rendezvous();
        for item in 0..n {
            let mut send = offered(tx.send(item));
            assert_eq!(rx.recv().now(), Ok(item));
            assert!(matches!(poll(&mut send), Poll::Ready(Ok(()))));
        }
    }),
    ("rendezvous, now() finds nothing", |n| {
        let (tx, rx) = rendezvous::<u64>();
        for _ in 0..n {
            assert!(rx.recv().now().is_err_and(|error| error.is_not_ready()));
        }
        drop(tx);
    }),
    ("stream, item by item", |n| {
        let read = async |reader: &mut Reader<u64>| {
            let mut sum = 0;
            while let Ok(item) = reader.recv().await {
                sum += item;
            }
            sum
        };
        let (writer, mut reader) = stream();
        check(n, async { zip(write(writer, n), read(&mut reader)).await.1 });
    }),
    ("stream, ahead(256)", |n| {
        let (writer, mut reader) = stream();
        let read = reader.ahead(256).into_stream().fold(0, |sum, item| sum + item);
        check(n, async { zip(write(writer, n), read).await.1 });
    }),
    ("stream, read_into(256)", |n| {
        let (writer, mut reader) = stream();
        let read = async {
            let (mut batch, mut sum) = (Vec::new(), 0);
            while reader.read_into(256, &mut batch).await.unwrap() > 0 {
                sum += batch.drain(..).sum::<u64>();
            }
            sum
        };
        check(n, async { zip(write(writer, n), read).await.1 });
    }),
    ("generate", |n| {
        let items = generate(|mut server| async move {
            for item in 0..n {
                if server.send(item).await.is_err() {
                    break;
                }
            }
        });
        assert_eq!(items.sum::<u64>(), expected(n));
    }),
    ("generate, send_all", |n| {
        let items = generate(|mut server| async move { _ = server.send_all(0..n).await });
        assert_eq!(items.sum::<u64>(), expected(n));
    }),
    ("select of 2 offers", |n| {
        let [a, b] = [rendezvous(), rendezvous()];
        let mut offers = [offered(a.0.send(0)), offered(b.0.send(0))];
        for item in 0..n {
            let (end, offer, value) = match select((a.1.recv(), b.1.recv())).now() {
                Some(Sel2::A(value)) => (&a.0, &mut offers[0], value),
                Some(Sel2::B(value)) => (&b.0, &mut offers[1], value),
                None => panic!("two offers"),
            };
            assert!(value.unwrap() <= item && poll(offer).is_ready());
            *offer = offered(end.send(item));
        }
    }),
    ("select of 8 offers, a Vec", |n| {
        let channels: [_; 8] = std::array::from_fn(|_| rendezvous());
        let mut offers: Vec<_> = channels.iter().map(|(tx, _)| offered(tx.send(0))).collect();
        for item in 0..n {
            let arms: Vec<_> = channels.iter().map(|(_, rx)| rx.recv()).collect();
            let (arm, value) = select(arms).now().unwrap();
            assert!(value.unwrap() <= item && poll(&mut offers[arm]).is_ready());
            offers[arm] = offered(channels[arm].0.send(item));
        }
    }),
    ("select of 2, an offer and nothing", |n| {
        let ((tx, rx), never) = (rendezvous(), never::<u64>());
        for item in 0..n {
            let mut send = offered(tx.send(item));
            let choice = select((never.recv(), rx.recv())).now();
            assert!(matches!(choice, Some(Sel2::B(Ok(value))) if value == item));
            assert!(poll(&mut send).is_ready());
        }
    }),
    ("create and drop a simplex", |n| (0..n).for_each(|_| drop(black_box(simplex::<u64>())))),
    ("create and drop a duplex", |n| (0..n).for_each(|_| drop(black_box(duplex::<u64, u64>())))),
    ("create and drop a stream", |n| (0..n).for_each(|_| drop(black_box(stream::<u64>())))),
    ("create and drop a rendezvous", |n| (0..n).for_each(|_| drop(black_box(rendezvous::<u64>())))),
    ("create and drop a generator", |n| {
        for _ in 0..n {
            drop(black_box(generate(|mut server| async move { _ = server.send(1).await })));
        }
    }),
];

async fn write(mut writer: Writer<u64>, n: u64) {
    writer.write(0..n).await.unwrap();
    writer.finish().unwrap();
}

/// A send that was polled and waits for its receiver.
fn offered<'a>(mut send: op::Send<'a, u64>) -> op::Send<'a, u64> {
    assert!(poll(&mut send).is_pending());
    send
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

pub(crate) fn expected(n: u64) -> u64 {
    n * n.saturating_sub(1) / 2
}

/// Polls a task to its end with a waker that does nothing, and checks the sum that it returns.
pub(crate) fn check(n: u64, task: impl Future<Output = u64>) {
    let mut task = pin!(task);
    for _ in 0..10 * n + 10 {
        // (By `poll`, one more call would be in line or not from build to build.)
        if let Poll::Ready(sum) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            assert_eq!(sum, expected(n));
            return;
        }
    }
    panic!("a task that does not come to an end");
}
