//! Hashes all files of a directory by three worker processes, one of which is killed with a job in hand.
//!
//! ```text
//! cargo run --release --manifest-path remote/Cargo.toml --example jobs -- DIR
//! ```
//!
//! It prints what `sha256sum` prints, sorted by path, and a summary. The file that the killed worker had is hashed by another one.
//! (`jobs work PORT` is what it starts three times.)

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;
use std::{env, fs};

use handover::rendezvous;
use handover_remote::{Options, open_local_connecting, open_local_listening, share, work, zenoh};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

const KEY: &str = "example/jobs";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["work", port] => hash_files(port.parse()?, false).await,
        ["work-slowly", port] => hash_files(port.parse()?, true).await,
        [directory] => share_files(directory).await,
        _ => Err("usage: jobs DIR".into()),
    }
}

/// A worker: hashes one file after the other.
async fn hash_files(port: u16, is_slow: bool) -> Result<(), Box<dyn Error + Send + Sync>> {
    let session = zenoh::open(open_local_connecting(port)).await?;
    let mut jobs = work::<String>(&session, KEY, Options::default()).await?;
    while let Some(job) = jobs.next().await? {
        if is_slow {
            println!("has {}", *job);
            tokio::time::sleep(Duration::from_secs(600)).await; // long before that it is killed
        }
        let hash: String =
            Sha256::digest(fs::read(&*job)?).iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{hash}  {}", *job);
        job.done().await?;
    }
    session.close().await?;
    Ok(())
}

async fn share_files(directory: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let session = zenoh::open(open_local_listening(port)).await?;
    let (jobs, receiver) = rendezvous();
    let options = Options { grace: Duration::from_millis(500), ..Options::default() };
    let sharing = tokio::spawn(share(&session, KEY, receiver, options).await?);

    let (mut victim, victim_says) = start("work-slowly", port)?;
    let files: Vec<String> = WalkDir::new(Path::new(directory))
        .into_iter()
        .filter_map(|entry| entry.ok().filter(|entry| entry.file_type().is_file()))
        .map(|entry| entry.path().display().to_string())
        .collect();
    let count = files.len();
    tokio::spawn(async move {
        // Each send waits until a worker is free.
        if jobs.send_all(files).await.is_ok() {
            jobs.finish();
        }
    });
    if count > 0 {
        let line = tokio::task::spawn_blocking(move || victim_says.lines().next()).await?;
        println!("killed, a worker that {}", line.ok_or("the worker has ended")??);
    }
    victim.kill()?;
    victim.wait()?;

    let mut readers = Vec::new();
    for _ in 0..2 {
        let (mut worker, says) = start("work", port)?;
        readers.push(thread::spawn(move || {
            let lines: Vec<String> = says.lines().map_while(Result::ok).collect();
            worker.wait().map(|status| (status.success(), lines))
        }));
    }
    let shared = sharing.await?;
    let mut hashes = BTreeMap::new();
    for reader in readers {
        let (is_well, lines) = reader.join().map_err(|_| "a reader panicked")??;
        if !is_well {
            return Err("a worker failed".into());
        }
        for line in lines {
            let (hash, path) = line.split_once("  ").ok_or("no hash")?;
            hashes.insert(path.to_owned(), hash.to_owned());
        }
    }
    session.close().await?;
    for (path, hash) in &hashes {
        println!("{hash}  {path}");
    }
    println!(
        "{count} files, {} hashed, {} jobs given again, the end: {:?}",
        hashes.len(),
        shared.given_again,
        shared.why
    );
    if hashes.len() == count { Ok(()) } else { Err("not all were hashed".into()) }
}

fn start(
    role: &str,
    port: u16,
) -> Result<(Child, BufReader<ChildStdout>), Box<dyn Error + Send + Sync>> {
    let mut worker = Command::new(env::current_exe()?)
        .args([role, &port.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let says = BufReader::new(worker.stdout.take().ok_or("no output")?);
    Ok((worker, says))
}
