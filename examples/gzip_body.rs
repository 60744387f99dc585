//! A gzip that a blocking thread makes, as an async body: `pipe` between them.
//!
//! `flate2`'s encoder wants a `std::io::Write` and blocks; an HTTP server wants an `AsyncRead` and must not. The encoder writes into the pipe on a thread, the
//! server reads from it in a task. The file is read and packed as fast as the client takes it, and a client that leaves ends the thread.
//!
//! ```text
//! cargo run --features tokio --example gzip_body -- FILE
//! ```
//!
//! prints the address at which it serves until it is killed, to any client: `curl --compressed http://ADDRESS/`. If the file cannot be read to its end, the
//! writer is dropped without `finish`. (The encoder's drop writes a trailer, so the gzip itself looks whole.) The server then breaks the connection off without the
//! last chunk, and the client knows: `curl` exits with 18.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use handover::{PipeReader, PipeWriter, pipe};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const HELP: &str = "\
Serves a file as a gzip-encoded HTTP/1.1 response.

Usage: gzip_body FILE

  --help  print this
";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let served = match &arguments[..] {
        [help] if help == "--help" => io::stdout().write_all(HELP.as_bytes()),
        [file] => serve(file.into()),
        _ => {
            complain("one FILE is wanted; see --help");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = served {
        complain(&error.to_string());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn complain(text: &str) {
    _ = writeln!(io::stderr(), "gzip_body: {text}");
}

fn serve(file: PathBuf) -> io::Result<()> {
    File::open(&file)?; // Better now than at the first client.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(io::stdout(), "http://{}/", listener.local_addr()?)?;
        loop {
            let (connection, _) = listener.accept().await?;
            let body = packed(file.clone());
            tokio::spawn(async move {
                if let Err(error) = respond(connection, body).await {
                    complain(&format!("the response was broken off: {error}"));
                }
            });
        }
    })
}

/// The file as a gzip, made by a thread of its own.
fn packed(file: PathBuf) -> PipeReader {
    let (writer, reader) = pipe();
    thread::spawn(move || {
        // A client that leaves is no failure of the file, but the thread ends by it, too.
        if let Err(error) = pack(file, writer) {
            complain(&error.to_string());
        }
    });
    reader
}

fn pack(file: PathBuf, writer: PipeWriter) -> io::Result<()> {
    let mut encoder = GzEncoder::new(writer, Compression::fast());
    io::copy(&mut File::open(file)?, &mut encoder)?;
    encoder.finish()?.finish() // An early `?` before this line leaves by a drop, and the body is not complete.
}

/// Answers the request with the body, by chunks; what `fill_buf` brings is a chunk.
async fn respond(connection: TcpStream, mut body: PipeReader) -> io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    while connection.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    connection.write_all(head.as_bytes()).await?;
    loop {
        let chunk = body.fill_buf().await?;
        let length = chunk.len();
        if length == 0 {
            return connection.write_all(b"0\r\n\r\n").await; // The writer said `finish`.
        }
        connection.write_all(format!("{length:x}\r\n").as_bytes()).await?;
        connection.write_all(chunk).await?;
        connection.write_all(b"\r\n").await?;
        body.consume(length);
    }
}
