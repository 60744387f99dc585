//! A push parser as an iterator: the links of HTML files.
//!
//! html5ever's tokenizer calls back for every tag that it meets. A program that wants to *pull* the links, in a `for` loop that may end
//! at any moment, has to turn it round. This does so twice:
//!
//! * with `produce`, the parser has a thread of its own, and sends right inside the callback: it stands still there until the
//!   next link is wanted.
//! * with `generate`, there is no thread. A callback cannot await, so it collects, and the routine sends what a chunk of text
//!   had before it feeds the next chunk.
//!
//! ```text
//! cargo run --example links -- [--with produce|generate] FILE...
//! ```
//!
//! prints `FILE:LINE: HREF` for each `<a href=HREF>`, in order, with the line in which the tag ends. A file that cannot be read is
//! one line on standard error, and in the end the exit status 2.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use handover::{Server, generate, produce};
use html5ever::tendril::fmt::UTF8;
use html5ever::tendril::stream::Utf8LossyDecoder;
use html5ever::tendril::{ByteTendril, StrTendril, TendrilSink};
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, StartTag, Tag, TagToken, Token, TokenSink, TokenSinkResult, Tokenizer,
};

const HELP: &str = "\
Prints the links of HTML files, as FILE:LINE: HREF.

Usage: links [--with produce|generate] FILE...

  --with WHAT  what makes an iterator of the parser: produce (a thread, the default) or generate
  --help       print this
";

fn main() -> ExitCode {
    let (status, text) = match run() {
        Ok(status) => return status,
        // The reader of the output has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Err(Failure::Arguments(text)) => (2, text),
        Err(Failure::Output(error)) => (1, format!("standard output: {error}")),
    };
    complain(&text);
    ExitCode::from(status)
}

enum Failure {
    Arguments(String),
    Output(io::Error),
}

fn run() -> Result<ExitCode, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let Some(Options { files, with }) = Options::parse(std::env::args_os())? else {
        return out.write_all(HELP.as_bytes()).map(|()| ExitCode::SUCCESS).map_err(Failure::Output);
    };
    let found: Box<dyn Iterator<Item = Found>> = match with {
        With::Produce => Box::new(with_produce(files)),
        With::Generate => Box::new(with_generate(files)),
    };
    let mut status = ExitCode::SUCCESS;
    for found in found {
        match found {
            Ok(Link { file, line, href }) => {
                writeln!(out, "{}:{line}: {href}", file.display()).map_err(Failure::Output)?;
            }
            Err(Unreadable { file, error }) => {
                complain(&format!("{file:?}: {error}"));
                status = ExitCode::from(2);
            }
        }
    }
    out.flush().map_err(Failure::Output)?;
    Ok(status)
}

fn complain(text: &str) {
    // A standard error that is closed is no reason to stop.
    _ = writeln!(io::stderr(), "links: {text}");
}

struct Options {
    files: Vec<PathBuf>,
    with: With,
}

enum With {
    Produce,
    Generate,
}

impl Options {
    /// `None` when only help is wanted.
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        use lexopt::{Arg, Parser, ValueExt};

        let usage = |error: lexopt::Error| Failure::Arguments(error.to_string());
        let (mut files, mut with) = (Vec::new(), With::Produce);
        let mut args = Parser::from_iter(args);
        while let Some(arg) = args.next().map_err(usage)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("with") => {
                    with = match &*args.value().and_then(ValueExt::string).map_err(usage)? {
                        "produce" => With::Produce,
                        "generate" => With::Generate,
                        other => {
                            let text = format!("--with: neither produce nor generate: {other:?}");
                            return Err(Failure::Arguments(text));
                        }
                    };
                }
                Arg::Value(file) => files.push(PathBuf::from(file)),
                other => return Err(usage(other.unexpected())),
            }
        }
        if files.is_empty() {
            return Err(Failure::Arguments("no file is given".into()));
        }
        Ok(Some(Self { files, with }))
    }
}

/// What is iterated over.
pub(crate) type Found = Result<Link, Unreadable>;

pub(crate) struct Link {
    file: PathBuf,
    line: u64,
    pub(crate) href: String,
}

pub(crate) struct Unreadable {
    file: PathBuf,
    error: io::Error,
}

/// The parser runs on a thread, from one link to the next.
pub(crate) fn with_produce(files: Vec<PathBuf>) -> impl Iterator<Item = Found> {
    fn send_links(file: &Path, server: &mut Server<Found>) -> io::Result<()> {
        let is_unheard = Cell::new(false);
        let mut page = Page::open(file, |link| {
            // The parser knows of no end but the file's: what it still finds in the chunk is dropped.
            if server.send(Ok(link)).wait().is_err() {
                is_unheard.set(true);
            }
        })?;
        while !is_unheard.get() && page.feed()? {}
        Ok(())
    }

    produce(|server| {
        for file in files {
            if let Err(error) = send_links(&file, server) {
                _ = server.send(Err(Unreadable { file, error })).wait();
            }
            if server.is_closed() {
                break;
            }
        }
    })
}

/// The parser runs in the calls of `next`, from one chunk with links to the next.
pub(crate) fn with_generate(files: Vec<PathBuf>) -> impl Iterator<Item = Found> {
    async fn send_links(file: &Path, server: &mut Server<Found>) -> io::Result<()> {
        let links = RefCell::new(Vec::new());
        let mut page = Page::open(file, |link| links.borrow_mut().push(Ok(link)))?;
        while page.feed()? {
            // It does not fail: the routine goes when its consumer goes.
            _ = server.send_all(links.take()).await;
        }
        Ok(())
    }

    generate(|mut server| async move {
        for file in files {
            if let Err(error) = send_links(&file, &mut server).await {
                _ = server.send(Err(Unreadable { file, error })).await;
            }
        }
    })
}

/// A file that is parsed chunk by chunk, with someone to call for each link.
struct Page<F: FnMut(Link)> {
    file: File,
    /// Characters may span chunks; bytes that are none become U+FFFD.
    parser: Utf8LossyDecoder<Parser<F>>,
}

impl<F: FnMut(Link)> Page<F> {
    const CHUNK: u64 = 16 << 10;

    fn open(path: &Path, call: F) -> io::Result<Self> {
        let sink = Sink { path: path.to_owned(), call: RefCell::new(call) };
        let tokenizer = Tokenizer::new(sink, Default::default());
        let parser = Utf8LossyDecoder::new(Parser { tokenizer, text: BufferQueue::default() });
        Ok(Self { file: File::open(path)?, parser })
    }

    /// Parses the next chunk. `false` at the end of the file: a tag that is still open there is none.
    fn feed(&mut self) -> io::Result<bool> {
        let mut chunk = Vec::new();
        (&self.file).take(Self::CHUNK).read_to_end(&mut chunk)?;
        self.parser.process(ByteTendril::from_slice(&chunk));
        Ok(!chunk.is_empty())
    }
}

/// What the decoder pushes its text to.
struct Parser<F: FnMut(Link)> {
    tokenizer: Tokenizer<Sink<F>>,
    text: BufferQueue,
}

impl<F: FnMut(Link)> TendrilSink<UTF8> for Parser<F> {
    type Output = ();

    fn process(&mut self, text: StrTendril) {
        self.text.push_back(text);
        // It stops only where the sink says so, and this one does not.
        _ = self.tokenizer.feed(&self.text);
    }

    fn error(&mut self, _text: Cow<'static, str>) {}

    fn finish(self) {}
}

/// What the tokenizer pushes its tokens to.
struct Sink<F: FnMut(Link)> {
    path: PathBuf,
    call: RefCell<F>,
}

impl<F: FnMut(Link)> TokenSink for Sink<F> {
    type Handle = ();

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<()> {
        let TagToken(Tag { kind: StartTag, name, attrs, .. }) = token else {
            return TokenSinkResult::Continue;
        };
        match &*name {
            "a" => {
                if let Some(href) = attrs.iter().find(|attr| &*attr.name.local == "href") {
                    let link = Link { file: self.path.clone(), line, href: tidy(&href.value) };
                    self.call.borrow_mut()(link);
                }
                TokenSinkResult::Continue
            }
            // What looks like a tag in here is none.
            "script" => TokenSinkResult::RawData(RawKind::ScriptData),
            "style" | "xmp" | "iframe" | "noembed" | "noframes" => {
                TokenSinkResult::RawData(RawKind::Rawtext)
            }
            "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            "plaintext" => TokenSinkResult::Plaintext,
            _ => TokenSinkResult::Continue,
        }
    }
}

/// As a browser takes it: white space around it and line ends and tabs in it do not count.
fn tidy(href: &str) -> String {
    href.trim().replace(['\t', '\n', '\r'], "")
}
