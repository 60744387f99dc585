//! What a child can be.

use std::future::pending;
use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use handover::{Client, simplex, stream};
use handover_remote::{Ended, Options, export, export_reader, import, planted_fault, work};

use super::child::tell;
use super::{connect, listen, runtime};

/// Plays a role: its name, and numbers after it.
pub(crate) fn play(role: &str) {
    let mut words = role.split_whitespace();
    let name = words.next().unwrap();
    let numbers: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
    runtime().block_on(async {
        match name {
            "count" => count(numbers[0], numbers[1]).await,
            "count-forgetting" => {
                planted_fault::keep_no_answer();
                count(numbers[0], numbers[1]).await;
            }
            "batches" => batches(numbers[0], numbers[1]).await,
            "consume" => consume(numbers[0], numbers[1], false).await,
            "consume-and-ask" => consume(numbers[0], numbers[1], true).await,
            "work" => work_on(numbers[0], numbers[1]).await,
            other => panic!("no such role: {other}"),
        }
    });
}

fn options(grace: u64) -> Options {
    Options { grace: Duration::from_millis(grace), ..Options::default() }
}

fn tell_end<T: std::fmt::Debug>(ended: &Ended<T>) {
    let Ended { why, answers, asked_again, in_doubt, .. } = ended;
    tell(format!("ended {why:?} answers {answers} again {asked_again} in_doubt {in_doubt:?}"));
}

/// Exports, in lockstep, the numbers from 0 on. Whenever it gets a line, it tells how many it has made.
async fn count(port: u64, grace: u64) {
    let session = listen(port as u16).await;
    let (mut server, client) = simplex::<u64>();
    let made = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&made);
    let producer = thread::spawn(move || {
        _ = server.demand().wait();
        for n in 0.. {
            counter.fetch_add(1, Ordering::SeqCst); // the side effect
            if server.send(n).wait().is_err() {
                break;
            }
        }
    });
    let asked = Arc::clone(&made);
    thread::spawn(move || {
        for _ in std::io::stdin().lock().lines() {
            tell(format!("made {}", asked.load(Ordering::SeqCst)));
        }
    });
    let driver = export(&session, "count", client, options(grace)).await.unwrap();
    tell("ready");
    let ended = driver.await;
    producer.join().unwrap();
    tell(format!("made {}", made.load(Ordering::SeqCst)));
    tell_end(&ended);
    session.close().await.unwrap();
}

/// Exports the numbers from 0 on, in batches.
async fn batches(port: u64, grace: u64) {
    let session = listen(port as u16).await;
    let (mut writer, reader) = stream::<u64>();
    thread::spawn(move || writer.write(0..).wait().map(|()| writer.finish()));
    let driver = export_reader(&session, "batches", reader, options(grace)).await.unwrap();
    tell("ready");
    let ended = driver.await;
    tell(format!("ended {:?}", ended.why));
}

/// Imports, takes so many items, and waits to be killed: quietly, or with a demand that is not answered.
async fn consume(port: u64, items: u64, and_asks: bool) {
    let session = connect(port as u16).await;
    let (mut client, driver): (Client<u64>, _) =
        import(&session, "consumed", Options::default()).await.unwrap();
    tokio::spawn(driver);
    for _ in 0..items {
        client.recv().await.unwrap();
    }
    tell("idle");
    if and_asks {
        _ = client.recv().await;
    }
    pending().await
}

/// Works on jobs, and tells each. With a number of jobs after which it does not say done but waits to be killed.
async fn work_on(port: u64, stops_after: u64) {
    let session = connect(port as u16).await;
    let mut jobs = work::<u64>(&session, "jobs", options(300)).await.unwrap();
    tell("ready");
    let mut taken = 0;
    while let Some(job) = jobs.next().await.unwrap() {
        taken += 1;
        tell(format!("took {}", *job));
        if taken == stops_after {
            tell("stuck");
            pending::<()>().await;
        }
        let n = *job;
        job.done().await.unwrap();
        tell(format!("done {n}"));
    }
    tell("finished");
}
