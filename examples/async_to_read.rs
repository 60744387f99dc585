//! From async to blocking: a source that lives on tokio feeds a library that wants `std::io::Read`.
//!
//! The library is serde_json, which reads documents until `read` says that there is nothing more. So a connection that breaks between two
//! documents must not look like the end of the text: only a source that has *finished* is one, and every other end is an error.
//!
//! ```text
//! cargo run --example async_to_read
//! ```
//!
//! prints what a thermometer reports over a connection that comes to its end, and over one that breaks:
//!
//! ```text
//! 17.5 18.5 21.0 degrees
//! 17.5 18.5 then an error: nothing was received: the peer was dropped without closing the channel
//! ```
#![allow(clippy::print_stdout)] // printing is its job

use std::error::Error;
use std::io::{self, Cursor, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use handover::{Client, Server, Why, simplex};
use serde_json::{Deserializer, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::runtime::{Builder, Runtime};

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().worker_threads(1).build()?;

    let all = r#"{"degrees": 17.5} {"degrees": 18.5} {"degrees": 21.0}"#;
    println!("{}", report(read_from(connect(all, &runtime), &runtime)));

    let some = r#"{"degrees": 17.5} {"degrees": 18.5}"#;
    println!("{}", report(read_from(connect(some, &runtime).chain(Broken), &runtime)));
    Ok(())
}

/// The consumer: knows nothing of tasks and channels.
fn report(text: impl Read) -> String {
    let mut report = String::new();
    for document in Deserializer::from_reader(text).into_iter::<Value>() {
        match document {
            Ok(document) => report += &format!("{} ", document["degrees"]),
            Err(error) => return report + &format!("then an error: {error}"),
        }
    }
    report + "degrees"
}

/// Starts the source as a task, and gives what it passes on to someone who blocks.
fn read_from(connection: impl AsyncRead + Unpin + Send + 'static, runtime: &Runtime) -> ClientRead {
    let (server, client) = simplex();
    runtime.spawn(pass_on(connection, server));
    ClientRead { client, chunk: Cursor::default() }
}

/// The source. Whichever `?` it leaves by, the channel is then not finished.
async fn pass_on(
    mut connection: impl AsyncRead + Unpin,
    mut server: Server<Vec<u8>>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    loop {
        let mut chunk = Vec::with_capacity(16);
        if connection.read_buf(&mut chunk).await? == 0 {
            break;
        }
        server.send(chunk).await?;
    }
    server.finish();
    Ok(())
}

/// The bytes of all chunks that a client gets.
struct ClientRead {
    client: Client<Vec<u8>>,
    /// The newest chunk, as far as it is not read yet.
    chunk: Cursor<Vec<u8>>,
}

impl Read for ClientRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = Read::read(&mut self.chunk, buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.client.recv().wait() {
                Ok(chunk) => self.chunk = Cursor::new(chunk),
                Err(end) if end.why() == Why::Closed => return Ok(0),
                Err(end) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, end)),
            }
        }
    }
}

/// A connection to a peer that says `text` and hangs up.
fn connect(text: &'static str, runtime: &Runtime) -> DuplexStream {
    let (near, mut far) = tokio::io::duplex(16);
    runtime.spawn(async move { far.write_all(text.as_bytes()).await });
    near
}

/// The rest of a connection that breaks.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}
