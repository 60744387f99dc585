//! The link is cut, again and again, while questions are open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use handover::{Client, Why};
use handover_remote::{Options, export_reader, import, import_reader};

use crate::support::{Child, Dice, Link, connect, free_port, listen, run};

const CUTS: u64 = 90;

/// Cuts a link while a question is open, until so many such cuts were made or it is told to stop.
struct Cutter {
    is_asking: Arc<AtomicBool>,
    cuts: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
}

impl Cutter {
    fn start(link: Arc<Link>) -> Self {
        let is_asking = Arc::new(AtomicBool::new(false));
        let cuts = Arc::new(AtomicU64::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let (asking, made, over) =
            (Arc::clone(&is_asking), Arc::clone(&cuts), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            let mut dice = Dice(5);
            while !over.load(Ordering::SeqCst) {
                // Anywhere in an exchange, and while the sessions come together again.
                thread::sleep(Duration::from_micros(dice.below(60_000)));
                while !asking.load(Ordering::SeqCst) && !over.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
                // Only cuts of a link that was there count.
                if link.cut() && asking.load(Ordering::SeqCst) {
                    made.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { is_asking, cuts, thread: Some(thread), is_over }
    }

    fn made(&self) -> u64 {
        self.cuts.load(Ordering::SeqCst)
    }

    async fn asking<O>(&self, receive: impl Future<Output = O>) -> O {
        self.is_asking.store(true, Ordering::SeqCst);
        let output = receive.await;
        self.is_asking.store(false, Ordering::SeqCst);
        output
    }

    fn stop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn importer(role: &str) -> (Child, Arc<Link>, Client<u64>) {
    let port = free_port();
    let producer = Child::start(format!("{role} {port} 20000"));
    producer.expect("ready");
    let link = Arc::new(Link::to(port));
    let session = connect(link.port()).await;
    let options = Options { grace: Duration::from_secs(20), ..Options::default() };
    let (client, driver) = import::<u64, ()>(&session, "count", options).await.unwrap();
    tokio::spawn(async move {
        _ = driver.await;
        drop(session);
    });
    (producer, link, client)
}

#[test]
fn each_item_comes_once_in_order() {
    run(async {
        let (producer, link, mut client) = importer("count").await;
        let mut cutter = Cutter::start(link);
        let mut n = 0;
        while cutter.made() < CUTS {
            assert_eq!(cutter.asking(client.recv()).await, Ok(n));
            n += 1;
        }
        cutter.stop();
        client.close();
        assert_eq!(producer.expect("made"), n.to_string(), "side effects are demands");
        let ended = producer.expect("ended");
        let words: Vec<_> = ended.split_whitespace().collect();
        assert_eq!(words[..3], ["Closed", "answers", &n.to_string()], "{ended}");
        let asked_again: u64 = words[4].parse().unwrap();
        assert!(asked_again > 0, "{ended}");
        assert!(ended.ends_with("in_doubt None"), "{ended}");
    });
}

#[test]
fn an_exporter_that_keeps_no_answer_is_noticed() {
    run(async {
        let (_producer, link, mut client) = importer("count-forgetting").await;
        let cutter = Cutter::start(link);
        let mut n = 0;
        let is_noticed = loop {
            if cutter.made() >= 3 * CUTS {
                break false;
            }
            if cutter.asking(client.recv()).await != Ok(n) {
                break true;
            }
            n += 1;
        };
        assert!(is_noticed, "{n} items in order over {} cuts", cutter.made());
    });
}

#[test]
fn batches_come_whole() {
    run(async {
        let port = free_port();
        let there = listen(port).await;
        let link = Arc::new(Link::to(port));
        let here = connect(link.port()).await;
        let options =
            Options { grace: Duration::from_secs(20), max_batch_bytes: 2000, ..Options::default() };
        let (mut writer, local) = handover::stream::<u64>();
        thread::spawn(move || writer.write(0..).wait().map(|()| writer.finish()));
        let exporting = tokio::spawn(export_reader(&there, "cut", local, options).await.unwrap());
        let (mut reader, driver) = import_reader::<u64>(&here, "cut", options).await.unwrap();
        let importing = tokio::spawn(driver);
        let mut cutter = Cutter::start(link);
        let mut n = 0;
        while cutter.made() < 30 {
            let batch = cutter.asking(reader.read(1000)).await.unwrap();
            assert!(batch.into_iter().eq(n..n + 1000));
            n += 1000;
        }
        cutter.stop();
        reader.close();
        importing.await.unwrap().unwrap();
        let ended = exporting.await.unwrap();
        assert_eq!((ended.why, ended.in_doubt, ended.unsent), (Why::Closed, None, None));
        assert!(ended.asked_again > 0);
    });
}
