//! Figures of this machine, in one run: raw TCP, raw zenoh, and this crate's ends over it, each between two processes on loopback.
//!
//! ```text
//! cargo run --release --manifest-path remote/Cargo.toml --example figures
//! ```
//!
//! The rows take turns, round by round, so that a busy moment of the machine falls on all of them. Each figure is the median.

use std::env;
use std::error::Error;
use std::future::pending;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use handover::{simplex, stream};
use handover_remote::zenoh::query::{ConsolidationMode, QueryTarget};
use handover_remote::{
    Options, export, export_reader, import, import_reader, open_local_connecting,
    open_local_listening, zenoh,
};

type Failure = Box<dyn Error + Send + Sync>;

const ROUNDS: usize = 7;
const ECHO: &str = "figures/echo";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tcp", port] => echo_tcp(port.parse()?),
        ["zenoh", port] => serve(port.parse()?).await,
        _ => measure().await,
    }
}

/// A child: sends back what comes.
fn echo_tcp(port: u16) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("ready");
    let (mut peer, _) = listener.accept()?;
    peer.set_nodelay(true)?;
    let mut bytes = [0; 8];
    while peer.read_exact(&mut bytes).is_ok() {
        peer.write_all(&bytes)?;
    }
    Ok(())
}

/// A child: answers raw queries, and exports a client and a reader.
async fn serve(port: u16) -> Result<(), Failure> {
    let session = zenoh::open(open_local_listening(port)).await?;
    let echo = session.declare_queryable(ECHO).complete(true).await?;
    tokio::spawn(async move {
        while let Ok(query) = echo.recv_async().await {
            let payload = query.payload().cloned().unwrap_or_default();
            _ = query.reply(ECHO, payload).await;
        }
    });
    let (mut server, client) = simplex::<u64>();
    tokio::spawn(async move { server.send_all(0..).await.is_ok() });
    tokio::spawn(export(&session, "figures/lockstep", client, Options::default()).await?);
    let (mut writer, reader) = stream::<u64>();
    thread::spawn(move || writer.write(0..).wait().is_ok());
    tokio::spawn(export_reader(&session, "figures/batches", reader, Options::default()).await?);
    println!("ready");
    pending().await
}

struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn start(role: &str) -> Result<(Kept, u16), Failure> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut child = Command::new(env::current_exe()?)
        .args([role, &port.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().ok_or("no output")?;
    let child = Kept(child);
    BufReader::new(out).lines().next().ok_or("it has ended")??;
    Ok((child, port))
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() / 2]
}

async fn measure() -> Result<(), Failure> {
    let (_tcp, port) = start("tcp")?;
    let mut tcp = TcpStream::connect(("127.0.0.1", port))?;
    tcp.set_nodelay(true)?;
    let (_server, port) = start("zenoh")?;
    let session = zenoh::open(open_local_connecting(port)).await?;
    let querier = session
        .declare_querier(ECHO)
        .target(QueryTarget::BestMatching)
        .consolidation(ConsolidationMode::None)
        .await?;
    while !querier.matching_status().await?.matching() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (mut client, driver) =
        import::<u64, ()>(&session, "figures/lockstep", Options::default()).await?;
    tokio::spawn(driver);
    let (mut reader, driver) =
        import_reader::<u64>(&session, "figures/batches", Options::default()).await?;
    tokio::spawn(driver);

    const TURNS: u32 = 500;
    const BATCHES: [usize; 4] = [1, 16, 256, 4096];
    let (mut raw_tcp, mut raw_zenoh, mut lockstep) = (vec![], vec![], vec![]);
    let mut ratios = vec![];
    let mut batches = [const { Vec::<Duration>::new() }; BATCHES.len()];
    let (mut n, mut item) = (0, 0);
    for round in 0..=ROUNDS {
        let mut took = vec![];
        for turn in 0..TURNS {
            let begun = Instant::now();
            let mut bytes = u64::from(turn).to_le_bytes();
            tcp.write_all(&bytes)?;
            tcp.read_exact(&mut bytes)?;
            took.push(begun.elapsed());
        }
        let of_tcp = median(took);

        let (mut of_zenoh, mut of_lockstep) = (vec![], vec![]);
        for _ in 0..10 {
            for turn in 0..TURNS / 10 {
                let begun = Instant::now();
                let bytes = u64::from(turn).to_le_bytes().to_vec();
                let replies = querier.get().payload(bytes).await?;
                replies.recv_async().await?.result().map_err(|_| "no reply")?;
                of_zenoh.push(begun.elapsed());
            }
            for _ in 0..TURNS / 10 {
                let begun = Instant::now();
                if client.recv().await? != n {
                    return Err("not in order".into());
                }
                n += 1;
                of_lockstep.push(begun.elapsed());
            }
        }
        let (of_zenoh, of_lockstep) = (median(of_zenoh), median(of_lockstep));

        let mut of_batches = vec![];
        for size in BATCHES {
            let mut took = vec![];
            for _ in 0..100 {
                let begun = Instant::now();
                for got in reader.read(size).await? {
                    if got != item {
                        return Err("not in order".into());
                    }
                    item += 1;
                }
                took.push(begun.elapsed());
            }
            of_batches.push(median(took));
        }
        if round == 0 {
            continue; // everything is warm now
        }
        raw_tcp.push(of_tcp);
        raw_zenoh.push(of_zenoh);
        lockstep.push(of_lockstep);
        ratios.push(of_lockstep.as_secs_f64() / of_zenoh.as_secs_f64());
        for (all, took) in batches.iter_mut().zip(of_batches) {
            all.push(took);
        }
    }

    println!("| between two processes on loopback | there and back | items a second |");
    println!("|---|---:|---:|");
    let row = |name: &str, took: Duration, items: usize| {
        let rate = items as f64 / took.as_secs_f64();
        println!("| {name} | {:.0} us | {rate:.0} |", took.as_secs_f64() * 1e6);
    };
    row("raw TCP, blocking threads", median(raw_tcp), 1);
    row("raw zenoh, a query and its reply", median(raw_zenoh), 1);
    row("lockstep: `import`, `recv`", median(lockstep), 1);
    for (size, took) in BATCHES.into_iter().zip(batches) {
        row(&format!("batches: `import_reader`, `read({size})`"), median(took), size);
    }
    let deaths = deaths().await?;
    ratios.sort_by(f64::total_cmp);
    println!(
        "\nlockstep / raw zenoh: {:.2} ({:.2} to {:.2} in {ROUNDS} rounds)",
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1]
    );
    println!(
        "\nfrom `kill -9` of the producing process to `Dropped`, with no grace: {:.0} ms in the median of {}, {:.0} ms at worst",
        deaths[deaths.len() / 2].as_secs_f64() * 1e3,
        deaths.len(),
        deaths[deaths.len() - 1].as_secs_f64() * 1e3,
    );
    Ok(())
}

/// Kills the producing process in the middle of a stream, again and again. How long it took until the reader was told, sorted.
async fn deaths() -> Result<Vec<Duration>, Failure> {
    let mut took = vec![];
    for round in 0..15 {
        let (mut server, port) = start("zenoh")?;
        let session = zenoh::open(open_local_connecting(port)).await?;
        let options = Options { grace: Duration::ZERO, ..Options::default() };
        let (mut reader, driver) =
            import_reader::<u64>(&session, "figures/batches", options).await?;
        tokio::spawn(driver);
        for _ in 0..10 + round {
            reader.read(100).await?;
        }
        let begun = Instant::now();
        server.0.kill()?;
        while reader.read(100).await.is_ok() {}
        took.push(begun.elapsed());
        session.close().await?;
    }
    took.sort_unstable();
    Ok(took)
}
