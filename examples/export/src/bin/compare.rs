//! The same export over other channels, in one run: what each costs, from the query's thread to a client on the loopback.
//!
//! ```sh
//! cargo run --release --bin compare            # 200,000 rows, 7 rounds
//! cargo run --release --bin compare -- 20000 3
//! ```
//!
//! The contestants take turns, round after round; a figure is the median of the rounds, with their range. Each serves the rows of a database in memory as NDJSON
//! by axum; the client reads all of it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::routing::get;
use export::BATCH;
use export::database;
use export::format::Format;
use futures_util::{Stream, StreamExt, stream};
use rusqlite::Connection;
use tokio::sync::mpsc;

type Rows = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;
type Database = Arc<Mutex<Connection>>;

/// Runs the query; `send` sends its rows.
fn query(database: &Database, send: impl FnOnce(&mut dyn Iterator<Item = Vec<u8>>)) {
    let connection = database.lock().expect("one query at a time");
    let mut statement = connection.prepare("SELECT * FROM orders").expect("a table");
    let columns: Vec<_> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.query([]).expect("a query");
    send(&mut std::iter::from_fn(|| {
        let row = rows.next().expect("a row")?;
        Some(Format::Ndjson.row(&columns, row).expect("a text"))
    }));
}

/// Starts the query on a thread; its rows are the body.
type Way = fn(Database) -> Rows;

/// How rows come from the query's thread into the body.
const WAYS: [(&str, Way); 6] = [
    ("handover stream, into_chunks(64)", |database| {
        let (mut writer, reader) = handover::stream();
        tokio::task::spawn_blocking(move || {
            query(&database, |rows| _ = writer.write_local(rows).wait());
            _ = writer.finish();
        });
        let batches = reader.into_chunks(BATCH).into_stream().checked();
        Box::pin(batches.map(|batch| Ok(Bytes::from(batch?.concat()))))
    }),
    ("handover simplex, row by row", |database| {
        let (mut server, client) = handover::simplex();
        tokio::task::spawn_blocking(move || {
            query(&database, |rows| _ = server.send_all(rows).wait());
            server.finish();
        });
        Box::pin(client.into_stream().checked().map(|row| Ok(Bytes::from(row?))))
    }),
    ("tokio mpsc(1), row by row", |database| mpsc_of(1, database)),
    ("tokio mpsc(64), row by row", |database| mpsc_of(64, database)),
    ("tokio mpsc(1), batches of 64 by hand", |database| {
        let (sender, receiver) = mpsc::channel::<Vec<Vec<u8>>>(1);
        tokio::task::spawn_blocking(move || {
            query(&database, |rows| {
                loop {
                    let batch: Vec<_> = rows.take(BATCH).collect();
                    // Nothing tells a query that is over from one that has died.
                    if batch.is_empty() || sender.blocking_send(batch).is_err() {
                        break;
                    }
                }
            });
        });
        Box::pin(received(receiver).map(|batch| Ok(Bytes::from(batch.concat()))))
    }),
    ("no channel: all rows first", |database| {
        let (sender, receiver) = mpsc::channel(1);
        tokio::task::spawn_blocking(move || {
            query(&database, |rows| _ = sender.blocking_send(rows.collect::<Vec<_>>().concat()));
        });
        Box::pin(received(receiver).map(|all| Ok(Bytes::from(all))))
    }),
];

fn mpsc_of(capacity: usize, database: Database) -> Rows {
    let (sender, receiver) = mpsc::channel(capacity);
    tokio::task::spawn_blocking(move || {
        query(&database, |rows| {
            _ = rows.map(|row| sender.blocking_send(row)).all(|sent| sent.is_ok())
        });
    });
    Box::pin(received(receiver).map(|row: Vec<u8>| Ok(Bytes::from(row))))
}

fn received<T: Send + 'static>(receiver: mpsc::Receiver<T>) -> impl Stream<Item = T> + Send {
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}

/// Fetches all of it. The number of bytes, and the seconds.
fn fetch(address: SocketAddr, way: usize) -> io::Result<(usize, f64)> {
    let start = Instant::now();
    let mut connection = TcpStream::connect(address)?;
    write!(connection, "GET /{way} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
    let (mut total, mut into) = (0, vec![0; 256 * 1024]);
    loop {
        match connection.read(&mut into)? {
            0 => return Ok((total, start.elapsed().as_secs_f64())),
            n => total += n,
        }
    }
}

fn main() -> io::Result<()> {
    let numbers: Vec<u64> =
        std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let rows = numbers.first().copied().unwrap_or(200_000);
    let rounds = numbers.get(1).copied().unwrap_or(7).max(1);
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("orders.sqlite");
    database::make(&file, rows).map_err(io::Error::other)?;
    let database = Connection::open_in_memory().map_err(io::Error::other)?;
    let copy =
        format!("ATTACH '{}' AS f; CREATE TABLE orders AS SELECT * FROM f.orders;", file.display());
    database.execute_batch(&copy).map_err(io::Error::other)?;
    let database: Database = Arc::new(Mutex::new(database));

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let serve = |State(database): State<Database>, Path(way): Path<usize>| async move {
        Body::from_stream(WAYS[way].1(database))
    };
    let router = Router::new().route("/{way}", get(serve)).with_state(database);
    runtime.spawn(async move { axum::serve(listener, router).await });

    let mut times = vec![Vec::new(); WAYS.len()];
    for _ in 0..rounds {
        for (way, times) in times.iter_mut().enumerate() {
            times.push(fetch(address, way)?.1);
        }
    }
    println!("{rows} rows, {rounds} rounds\n\n| way | seconds, median (range) |\n|---|---:|");
    for ((name, _), times) in WAYS.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
        println!("| {name} | {median:.2} ({least:.2} – {most:.2}) |");
    }
    Ok(())
}
