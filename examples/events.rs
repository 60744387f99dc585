//! An event loop in the manner of an MQTT client: it chooses among what a socket brings, a timer, and requests that expect a reply.
//! Its user may drop the future of `EventLoop::next` at any moment and call `next` again: nothing is lost.
//!
//! ```text
//! cargo run --example events -- [--requests N] [--clients N]
//! ```
//!
//! runs a broker and a client over a loopback connection. Clients (tasks) publish texts, and each waits for the broker's acknowledgement before
//! its next one; the broker also sends each text back to the subscriber. The event loop is dropped at each place where it waits, and resumed:
//!
//! ```text
//! 300 requests sent, 300 acknowledged to their clients
//! 300 messages received, each one once
//! the broker said: Closed
//! ```
//!
//! and on standard error how often the loop was dropped, and how often it pinged the broker. Three things make it safe to drop:
//!
//! * A read of a frame (`read_exact`) may not be dropped half-way. So it runs in a task of its own, which hands each frame over by a channel.
//! * The foreign `select!` waits only for operations that may be dropped: receives, a timer, and a write that keeps its own place in a buffer.
//!   After each of them the loop does what follows without waiting.
//! * A reply is not sent, which would be to wait for the client: the request has a reply end inside, and `finish_with` never waits.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::num::NonZero;
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::future::poll_once;
use handover::{Client, Receiver, Sel2, Sender, Server, Why, never, rendezvous, select, simplex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Interval, MissedTickBehavior, interval};

const HELP: &str = "\
Runs an event loop against a broker over a loopback connection, and drops it wherever it waits.

Usage: events [--requests N] [--clients N]

  --requests N  how many texts each client publishes (default: 100)
  --clients N   how many clients share the connection (default: 3)
  --help        print this
";

/// How often the event loop pings the broker.
const KEEP_ALIVE: Duration = Duration::from_millis(5);

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
    _ = writeln!(io::stderr(), "events: {text}");
    ExitCode::from(status)
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
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    Ok(runtime.worker_threads(2).enable_all().build()?.block_on(talk(options))?)
}

async fn talk(Options { requests, clients }: Options) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let broker = tokio::spawn(async move { serve(listener.accept().await?.0).await });

    let (mut events, handle) = EventLoop::over(TcpStream::connect(address).await?);
    let clients: Vec<_> = (0..clients)
        .map(|client| tokio::spawn(publish_all(handle.clone(), client, requests)))
        .collect();
    handle.requests.finish();

    let (mut received, mut drops, mut pings) = (BTreeMap::<String, u32>::new(), 0, 0);
    let end = loop {
        // A user who is impatient: polls the loop once, and drops it wherever it waits. The second call goes on where that one was.
        let event = match poll_once(events.next()).await {
            Some(event) => event,
            None => {
                drops += 1;
                events.next().await
            }
        };
        match event {
            Ok(Event::Message(text)) => *received.entry(text).or_default() += 1,
            Ok(Event::Acknowledged(_)) => {}
            Ok(Event::Pinged) => pings += 1,
            Err(end) => break end,
        }
    };
    drop(events); // and with it the connection
    broker.await??;

    let (mut sent, mut acknowledged) = (0, 0);
    for client in clients {
        let counts = client.await?;
        sent += counts.0;
        acknowledged += counts.1;
    }
    let is_once = received.values().all(|times| *times == 1);
    let once = if is_once { "each one once" } else { "some of them twice" };
    let mut out = io::stdout().lock();
    writeln!(out, "{sent} requests sent, {acknowledged} acknowledged to their clients")?;
    writeln!(out, "{} messages received, {once}", received.len())?;
    writeln!(out, "the broker said: {end:?}")?;
    _ = writeln!(
        io::stderr(),
        "the event loop was dropped {drops} times, and pinged {pings} times"
    );
    Ok(())
}

/// A client: publishes, and waits for each acknowledgement. Tells how many texts it sent, and how many were acknowledged.
async fn publish_all(handle: Handle, client: usize, requests: usize) -> (usize, usize) {
    let mut acknowledged = 0;
    for number in 0..requests {
        if handle.publish(format!("text {number} of client {client}")).await.is_ok() {
            acknowledged += 1;
        }
    }
    handle.requests.finish();
    (requests, acknowledged)
}

/// What a client wants, with the end by which it is answered.
struct Request {
    text: String,
    reply: Server<u32>,
}

/// A client's end of the event loop.
#[derive(Clone)]
struct Handle {
    requests: Sender<Request>,
}

impl Handle {
    /// Publishes a text; done when the broker has acknowledged it.
    async fn publish(&self, text: String) -> Result<u32, Why> {
        let (reply, mut acknowledged) = simplex();
        self.requests.send(Request { text, reply }).await?;
        // If the event loop goes, it drops the reply end, and this tells.
        Ok(acknowledged.recv().await?)
    }
}

enum Event {
    /// The broker sent a text.
    Message(String),
    /// The broker acknowledged a request, and its client was told.
    #[expect(dead_code, reason = "a user may log it")]
    Acknowledged(u32),
    /// The connection was idle for a while, and the broker is asked whether it lives.
    Pinged,
}

/// All of its state is here, and none in the future of `next`.
struct EventLoop {
    frames: Client<Frame>,
    requests: Receiver<Request>,
    timer: Interval,
    socket: OwnedWriteHalf,
    /// What is to be written; a write takes away what it has written.
    out: io::Cursor<Vec<u8>>,
    /// The ends that wait for an acknowledgement.
    unacknowledged: BTreeMap<u32, Server<u32>>,
    next_id: u32,
}

impl EventLoop {
    fn over(connection: TcpStream) -> (Self, Handle) {
        let (socket, out) = connection.into_split();
        let (server, frames) = simplex();
        tokio::spawn(read_frames(socket, server));
        let (requests, received) = rendezvous();
        let mut timer = interval(KEEP_ALIVE);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let events = Self {
            frames,
            requests: received,
            timer,
            socket: out,
            out: io::Cursor::default(),
            unacknowledged: BTreeMap::new(),
            next_id: 0,
        };
        (events, Handle { requests })
    }

    /// The next event, or how the connection ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: whatever it waits for may be dropped, and it does not wait between a receive and what follows from it.
    async fn next(&mut self) -> Result<Event, Why> {
        loop {
            let has_output = self.out.position() < self.out.get_ref().len() as u64;
            tokio::select! {
                written = self.socket.write_buf(&mut self.out), if has_output => {
                    written.map_err(|_| Why::Dropped)?;
                }
                choice = select((self.frames.recv(), self.requests.recv())) => match choice {
                    Sel2::A(frame) => {
                        if let Some(event) = self.accept(frame?) {
                            return Ok(event);
                        }
                    }
                    Sel2::B(Ok(request)) => self.begin(request),
                    Sel2::B(Err(_)) => {
                        // All clients have gone. This arm is not wanted any more.
                        self.requests = never();
                        self.put(Frame::Disconnect);
                    }
                },
                _ = self.timer.tick() => {
                    self.put(Frame::Ping);
                    return Ok(Event::Pinged);
                }
            }
        }
    }

    fn begin(&mut self, Request { text, reply }: Request) {
        self.next_id += 1;
        self.put(Frame::Publish(self.next_id, text));
        self.unacknowledged.insert(self.next_id, reply);
    }

    fn accept(&mut self, frame: Frame) -> Option<Event> {
        match frame {
            Frame::Acknowledge(id) => {
                // It fails if the client has left; then there is nobody to tell.
                _ = self.unacknowledged.remove(&id)?.finish_with(id);
                Some(Event::Acknowledged(id))
            }
            Frame::Message(text) => Some(Event::Message(text)),
            Frame::Publish(..) | Frame::Ping | Frame::Disconnect => None,
        }
    }

    fn put(&mut self, frame: Frame) {
        if self.out.position() == self.out.get_ref().len() as u64 {
            self.out = io::Cursor::default();
        }
        frame.encode(self.out.get_mut());
    }
}

/// A task that nobody drops: takes frames off a socket, and hands them over. It reads no frame before the last one was taken.
async fn read_frames(
    mut socket: impl AsyncRead + Unpin,
    mut server: Server<Frame>,
) -> Result<(), Why> {
    // An error of the socket drops the server, and its client is told `Dropped`; after a last frame it is told `Closed`.
    while let Some(frame) = Frame::read(&mut socket).await.map_err(|_| Why::Dropped)? {
        server.send(frame).await?;
    }
    server.finish();
    Ok(())
}

enum Frame {
    Publish(u32, String),
    Acknowledge(u32),
    Message(String),
    Ping,
    Disconnect,
}

impl Frame {
    /// A kind, a number, a length and a text.
    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, id, text) = match self {
            Frame::Publish(id, text) => (b'P', *id, text.as_str()),
            Frame::Acknowledge(id) => (b'A', *id, ""),
            Frame::Message(text) => (b'M', 0, text.as_str()),
            Frame::Ping => (b'I', 0, ""),
            Frame::Disconnect => (b'D', 0, ""),
        };
        out.push(kind);
        out.extend(id.to_be_bytes());
        out.extend(u32::try_from(text.len()).expect("a short text").to_be_bytes());
        out.extend(text.as_bytes());
    }

    /// `None` at the end of the stream. It may not be dropped half-way.
    async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
        let kind = match socket.read_u8().await {
            Ok(kind) => kind,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        let id = socket.read_u32().await?;
        let mut text = vec![0; socket.read_u32().await? as usize];
        socket.read_exact(&mut text).await?;
        let text = String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Some(match kind {
            b'P' => Frame::Publish(id, text),
            b'A' => Frame::Acknowledge(id),
            b'M' => Frame::Message(text),
            b'I' => Frame::Ping,
            b'D' => Frame::Disconnect,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }))
    }
}

/// The broker, which could as well be on another machine: acknowledges each text, and sends it to the subscriber.
async fn serve(connection: TcpStream) -> io::Result<()> {
    let (mut requests, mut answers) = connection.into_split();
    while let Some(frame) = Frame::read(&mut requests).await? {
        let mut out = Vec::new();
        match frame {
            Frame::Publish(id, text) => {
                Frame::Message(text).encode(&mut out);
                Frame::Acknowledge(id).encode(&mut out);
            }
            Frame::Disconnect => break,
            _ => {}
        }
        // In two parts, so that frames come in pieces.
        let (first, second) = out.split_at(out.len() / 3);
        answers.write_all(first).await?;
        tokio::task::yield_now().await;
        answers.write_all(second).await?;
    }
    answers.shutdown().await?;
    // What the client still says is read, so that its connection is closed and not reset.
    while Frame::read(&mut requests).await.is_ok_and(|frame| frame.is_some()) {}
    Ok(())
}

struct Options {
    requests: usize,
    clients: usize,
}

impl Options {
    /// `None` when only help is wanted.
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        use lexopt::{Arg, Parser, ValueExt};

        let usage = |error: lexopt::Error| Failure::Arguments(error.to_string());
        let (mut requests, mut clients) = (100, 3);
        let mut args = Parser::from_iter(args);
        while let Some(arg) = args.next().map_err(usage)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("requests") => {
                    requests = args.value().and_then(|value| value.parse()).map_err(usage)?;
                }
                Arg::Long("clients") => {
                    let number = args.value().and_then(|value| value.parse::<NonZero<usize>>());
                    clients = number.map_err(usage)?.get();
                }
                other => return Err(usage(other.unexpected())),
            }
        }
        Ok(Some(Self { requests, clients }))
    }
}
