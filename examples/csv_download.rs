//! An async download into `csv` on a thread: `pipe` between them.
//!
//! The `csv` crate reads from a `std::io::Read` and blocks; the download is a task. The task writes what comes from the network into the pipe, the thread parses
//! it. No more is fetched than the thread has asked for, and a table that is broken in the middle ends the download at once.
//!
//! ```text
//! cargo run --features tokio --example csv_download -- http://HOST:PORT/PATH COLUMN
//! ```
//!
//! fetches a table with a line of headings, packed by gzip or not, and prints its rows and the sum of a column. For a table of two rows:
//!
//! ```text
//! 2 rows, price: 7.25
//! ```
//!
//! A download that is cut short is an error, also where the rows before look like a complete table: the task leaves by `?`, without `finish`.

use std::error::Error;
use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use std::thread;

use flate2::bufread::MultiGzDecoder;
use handover::{PipeReader, PipeWriter, pipe};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const HELP: &str = "\
Downloads a table as CSV, and prints its rows and the sum of a column.

Usage: csv_download http://HOST:PORT/PATH COLUMN

  --help  print this
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match &arguments[..] {
        [help] if help == "--help" => Ok(HELP.to_owned()),
        [url, column] => sum(url, column),
        _ => {
            _ = writeln!(io::stderr(), "csv_download: a URL and a COLUMN are wanted; see --help");
            return ExitCode::from(2);
        }
    };
    let printed = result.and_then(|text| Ok(io::stdout().write_all(text.as_bytes())?));
    if let Err(error) = printed {
        _ = writeln!(io::stderr(), "csv_download: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn sum(url: &str, column: &str) -> Result<String, Box<dyn Error>> {
    let rest = url.strip_prefix("http://").ok_or("the URL must begin with http://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (writer, reader) = pipe();
    let name = column.to_owned();
    let parser = thread::spawn(move || parse(reader, &name).map_err(|error| error.to_string()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let downloaded = runtime.block_on(download(host, path, writer));
    let parsed = parser.join().expect("a parser that does not panic");
    // The first cause: a parser that stops breaks the pipe of the download, a download that stops ends that of the parser.
    match (downloaded, parsed) {
        (Err(error), _) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        (_, Err(error)) => Err(error.into()),
        (Err(error), Ok(_)) => Err(error.into()),
        (Ok(()), Ok((rows, sum))) => Ok(format!("{rows} rows, {column}: {sum}\n")),
    }
}

/// The blocking side: knows nothing of tasks.
fn parse(mut reader: PipeReader, column: &str) -> Result<(usize, f64), Box<dyn Error>> {
    let is_gzip = BufRead::fill_buf(&mut reader)?.starts_with(&[0x1f, 0x8b]);
    let counted = if is_gzip {
        add_up(MultiGzDecoder::new(&mut reader), column)?
    } else {
        add_up(&mut reader, column)?
    };
    // A gzip that was dropped early has a trailer all the same: only the end of the pipe tells.
    reader.finished().wait()?;
    Ok(counted)
}

fn add_up(table: impl Read, column: &str) -> Result<(usize, f64), Box<dyn Error>> {
    let mut table = csv::Reader::from_reader(table);
    let at = table.headers()?.iter().position(|heading| heading == column);
    let at = at.ok_or_else(|| format!("the table has no column `{column}`"))?;
    let (mut rows, mut sum) = (0, 0.0);
    for row in table.records() {
        let row = row?;
        let field = row.get(at).unwrap_or("");
        sum += field
            .parse::<f64>()
            .map_err(|error| format!("row {}: `{field}`: {error}", rows + 1))?;
        rows += 1;
    }
    Ok((rows, sum))
}

/// The async side: fetches the body of the response into the pipe.
async fn download(host: &str, path: &str, mut into: PipeWriter) -> io::Result<()> {
    let mut connection = BufReader::new(TcpStream::connect(host).await?);
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let status = line(&mut connection).await?;
    if status.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(format!("the server answers `{status}`")));
    }
    let (mut is_chunked, mut length) = (false, None);
    loop {
        let header = line(&mut connection).await?.to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("transfer-encoding", value)) => is_chunked = value == "chunked",
            Some(("content-length", value)) => length = Some(number(value, 10)?),
            _ if header.is_empty() => break,
            _ => {}
        }
    }
    if is_chunked {
        loop {
            let length = number(&line(&mut connection).await?, 16)?;
            if length == 0 {
                break;
            }
            copy(&mut connection, length, &mut into).await?;
            line(&mut connection).await?;
        }
    } else {
        let length =
            length.ok_or_else(|| io::Error::other("a body of unknown length cannot be checked"))?;
        copy(&mut connection, length, &mut into).await?;
    }
    into.finish()
}

async fn line(connection: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = String::new();
    match connection.read_line(&mut line).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end().to_owned()),
    }
}

fn number(text: &str, radix: u32) -> io::Result<u64> {
    u64::from_str_radix(text, radix).map_err(|error| io::Error::other(format!("`{text}`: {error}")))
}

async fn copy(
    from: impl AsyncBufRead + Unpin,
    length: u64,
    into: &mut PipeWriter,
) -> io::Result<()> {
    match tokio::io::copy_buf(&mut from.take(length), into).await? {
        copied if copied == length => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
