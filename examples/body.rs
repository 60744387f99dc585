//! A stream of results as the body of an HTTP response, in which a producer that fails is visible to the client.
//!
//! A blocking producer turns the lines of a file into JSON texts, one a line; a task writes them to a TCP connection as HTTP/1.1 with chunked
//! encoding. The body is a stream of `io::Result`s. When an item is an error, the task drops the connection without the last chunk, which is how
//! HTTP/1.1 says that a body is not complete.
//!
//! ```text
//! cargo run --example body -- [--with produce|batches] [--fail-at N] FILE
//! cargo run --example body -- --serve [--with produce|batches] [--fail-at N] FILE
//! ```
//!
//! The first prints what a client of its own gets over a loopback connection. The second serves until it is killed, to any client:
//! `curl -N http://ADDRESS/`. With `--fail-at N` the producer fails in place of line N: the client has the lines before it, and the exit status
//! is 1 (of `curl`: 18). For a file of two lines it prints
//!
//! ```text
//! {"line":1,"text":"to be"}
//! {"line":2,"text":"or not"}
//! ```
//!
//! Made in two ways:
//!
//! * `--with produce`: `try_produce` makes a stream of the producer; its error is the last item. `checked_results` is there for an end without one.
//! * `--with batches`: the producer writes to a `stream`, and `into_chunks` reads batches. A producer that leaves by `?` drops its writer, and
//!   `checked` makes an error of that. What the error was stays with the producer.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::thread;

use futures_lite::{Stream, StreamExt};
use handover::{Server, Writer, stream, try_produce};
use serde_json::json;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HELP: &str = "\
Sends the lines of a file as JSON texts in a chunked HTTP/1.1 response, and prints what a client gets.

Usage: body [--serve] [--with produce|batches] [--fail-at N] FILE

  --with WHAT  what the body is made of: produce (single lines, the default) or batches
  --fail-at N  the producer fails in place of line N
  --serve      print the address, and serve clients until killed
  --help       print this
";

/// How many lines are in a batch.
const BATCH: usize = 64;

fn main() -> ExitCode {
    let (status, text) = match run() {
        Ok(()) => return ExitCode::SUCCESS,
        // The reader of the output has seen enough.
        Err(Failure::Failed(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Err(Failure::Arguments(text)) => (2, text),
        Err(Failure::Failed(error)) => (1, error.to_string()),
    };
    complain(&text);
    ExitCode::from(status)
}

fn complain(text: &str) {
    _ = writeln!(io::stderr(), "body: {text}");
}

enum Failure {
    Arguments(String),
    Failed(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Failed(error)
    }
}

fn run() -> Result<(), Failure> {
    let Some(options) = Options::parse(std::env::args_os())? else {
        return Ok(io::stdout().write_all(HELP.as_bytes())?);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        if options.must_serve {
            writeln!(io::stdout(), "http://{address}/")?;
            loop {
                serve(&options, listener.accept().await?.0);
            }
        }
        let client = tokio::spawn(async move { get(TcpStream::connect(address).await?).await });
        serve(&options, listener.accept().await?.0);
        client.await?
    })?)
}

/// Answers a client in a task of its own.
fn serve(options: &Options, connection: TcpStream) {
    let lines = Lines { file: options.file.clone(), fail_at: options.fail_at };
    let body = match options.with {
        With::Produce => lines.produced(),
        With::Batches => lines.in_batches(),
    };
    tokio::spawn(async move {
        match respond(connection, body).await {
            // The client has left: that is its right.
            Err(error)
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            Err(error) => complain(&format!("the response was broken off: {error}")),
            Ok(()) => {}
        }
    });
}

/// What a web framework wants as a body.
type Body = Pin<Box<dyn Stream<Item = io::Result<Vec<u8>>> + Send>>;

/// The lines of a file, read by a blocking producer. What it gives first is an error if the file cannot be opened.
struct Lines {
    file: PathBuf,
    fail_at: Option<usize>,
}

impl Lines {
    fn produced(self) -> Body {
        let rows = try_produce(move |server: &mut Server<Vec<u8>>| {
            for row in self.rows()? {
                if server.send(row?).wait().is_err() {
                    break; // the client has left
                }
            }
            Ok::<_, io::Error>(())
        });
        Box::pin(rows.into_stream().checked_results())
    }

    fn in_batches(self) -> Body {
        let (mut writer, reader) = stream();
        thread::spawn(move || match self.write_to(&mut writer) {
            Ok(()) => _ = writer.finish(),
            // The writer is dropped: what it has in hand is still handed over, and then the reader is told `Dropped`.
            Err(error) => complain(&format!("the producer has failed: {error}")),
        });
        let batches = reader.into_chunks(BATCH).into_stream().checked();
        Box::pin(batches.map(|batch| Ok(batch?.concat())))
    }

    fn write_to(&self, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        for row in self.rows()? {
            writer.send(row?).wait()?;
        }
        Ok(())
    }

    fn rows(&self) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>> + use<>> {
        let fail_at = self.fail_at;
        let lines = (1..).zip(BufReader::new(File::open(&self.file)?).lines());
        Ok(lines.map(move |(number, text)| {
            if fail_at == Some(number) {
                return Err(io::Error::other(format!("a failure at line {number} was asked for")));
            }
            Ok(format!("{}\n", json!({ "line": number, "text": text? })).into())
        }))
    }
}

/// Writes the response. It is complete only if the body's stream ended without an error.
async fn respond(connection: TcpStream, mut body: Body) -> io::Result<()> {
    let (requests, mut out) = connection.into_split();
    read_head(&mut tokio::io::BufReader::new(requests)).await?;
    let head = "HTTP/1.1 200 OK\r\n\
        Content-Type: application/x-ndjson\r\n\
        Transfer-Encoding: chunked\r\n\
        Connection: close\r\n\r\n";
    out.write_all(head.as_bytes()).await?;
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        if !chunk.is_empty() {
            let chunk = [format!("{:x}\r\n", chunk.len()).as_bytes(), &chunk, b"\r\n"].concat();
            out.write_all(&chunk).await?;
        }
    }
    out.write_all(b"0\r\n\r\n").await?;
    out.shutdown().await
}

/// The client: prints the body, and fails if it is not complete.
async fn get(connection: TcpStream) -> io::Result<()> {
    let (answers, mut requests) = connection.into_split();
    requests.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut answers = tokio::io::BufReader::new(answers);
    let head = read_head(&mut answers).await?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(head));
    }
    loop {
        let length = read_line(&mut answers).await?;
        let length = usize::from_str_radix(&length, 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; length];
        answers.read_exact(&mut chunk).await.map_err(|_| incomplete())?;
        read_line(&mut answers).await?;
        if length == 0 {
            return Ok(());
        }
        io::stdout().write_all(&chunk)?;
    }
}

fn incomplete() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the body is not complete")
}

/// A line without its end.
async fn read_line(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line).await?;
    line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(incomplete)
}

/// All lines up to an empty one.
async fn read_head(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut head = String::new();
    loop {
        let line = read_line(from).await?;
        if line.is_empty() {
            return Ok(head);
        }
        head += &line;
        head.push('\n');
    }
}

enum With {
    Produce,
    Batches,
}

struct Options {
    file: PathBuf,
    with: With,
    fail_at: Option<usize>,
    must_serve: bool,
}

impl Options {
    /// `None` when only help is wanted.
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        use lexopt::{Arg, Parser, ValueExt};

        let usage = |error: lexopt::Error| Failure::Arguments(error.to_string());
        let (mut file, mut with, mut fail_at, mut must_serve) = (None, With::Produce, None, false);
        let mut args = Parser::from_iter(args);
        while let Some(arg) = args.next().map_err(usage)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("serve") => must_serve = true,
                Arg::Long("fail-at") => {
                    fail_at = Some(args.value().and_then(|value| value.parse()).map_err(usage)?);
                }
                Arg::Long("with") => {
                    with = match &*args.value().and_then(ValueExt::string).map_err(usage)? {
                        "produce" => With::Produce,
                        "batches" => With::Batches,
                        other => {
                            let text = format!("--with: neither produce nor batches: {other:?}");
                            return Err(Failure::Arguments(text));
                        }
                    };
                }
                Arg::Value(value) if file.is_none() => file = Some(PathBuf::from(value)),
                other => return Err(usage(other.unexpected())),
            }
        }
        let file = file.ok_or_else(|| Failure::Arguments("no file is given".into()))?;
        if !Path::new(&file).is_file() {
            return Err(Failure::Arguments(format!("{}: not a file", file.display())));
        }
        Ok(Some(Self { file, with, fail_at, must_serve }))
    }
}
