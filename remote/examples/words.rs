//! Counts the words in all text files of a directory, over two processes: one walks and reads, the other counts. The same
//! counts as the example `words` of `handover` itself.
//!
//! ```text
//! cargo run --release --manifest-path remote/Cargo.toml --example words -- export DIR
//! cargo run --release --manifest-path remote/Cargo.toml --example words -- import
//! ```
//!
//! The reading process makes the next batch when the counting one asks for it, and nothing before.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use futures_lite::StreamExt;
use handover::{Why, stream};
use handover_remote::{
    Options, export_reader, import_reader, open_local_connecting, open_local_listening, zenoh,
};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

const HELP: &str = "\
Counts the words (runs of ASCII letters, digits and `_`) in all text files below a directory, over two processes.

Usage: words export DIR [--port P]
       words import [--top N] [--port P]

  DIR       where to look
  --top N   print the N most frequent words (default: 20)
  --port P  of 127.0.0.1, where they meet (default: 7451)
";

/// So many texts are asked for at a time.
const BATCH: usize = 16;
/// No text is longer.
const CHUNK: usize = 64 << 10;
const KEY: &str = "example/words";

/// What is handed over: a text that no word leads out of, and what was met so far.
#[derive(Serialize, Deserialize)]
struct Text {
    text: String,
    files: u64,
    skipped: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    use lexopt::{Arg, Parser, ValueExt};

    let (mut port, mut top, mut words) = (7451, 20, Vec::new());
    let mut args = Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("port") => port = args.value()?.parse()?,
            Arg::Long("top") => top = args.value()?.parse()?,
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            Arg::Value(value) => words.push(value),
            other => return Err(other.unexpected().into()),
        }
    }
    match words.iter().map(|word| word.to_str()).collect::<Vec<_>>()[..] {
        [Some("export"), _] => export(PathBuf::from(&words[1]), port).await,
        [Some("import")] => import(port, top).await,
        _ => Err(HELP.into()),
    }
}

async fn export(directory: PathBuf, port: u16) -> Result<(), Box<dyn Error + Send + Sync>> {
    let session = zenoh::open(open_local_listening(port)).await?;
    let (mut writer, reader) = stream();
    thread::spawn(move || {
        // Any other way out of here, a panic too, tells the counting process that data is missing.
        if writer.write(texts(&directory)).wait().is_ok() {
            _ = writer.finish();
        }
    });
    let ended = export_reader(&session, KEY, reader, Options::default()).await?.await;
    session.close().await?;
    eprintln!("{} answers, the end: {:?}", ended.answers, ended.why);
    match ended.error {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

async fn import(port: u16, top: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
    let session = zenoh::open(open_local_connecting(port)).await?;
    let (mut reader, driver) = import_reader(&session, KEY, Options::default()).await?;
    let importing = tokio::spawn(driver);
    let mut counts = HashMap::<String, u64>::new();
    let (mut total, mut files, mut skipped) = (0_u64, 0, 0);
    let mut texts = reader.ahead(BATCH).into_stream();
    while let Some(Text { text, files: read, skipped: left }) = texts.next().await {
        for word in text.split(|c| !is_word(c)).filter(|word| !word.is_empty()) {
            total += 1;
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => _ = counts.insert(word.to_owned(), 1),
            }
        }
        (files, skipped) = (read, left);
    }
    let end = texts.end();
    drop(texts);
    importing.await??;
    session.close().await?;
    if end != Some(Why::Closed) {
        return Err(format!("the count is not complete: {end:?}").into());
    }
    let mut words: Vec<_> = counts.into_iter().collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for (word, count) in words.iter().take(top) {
        println!("{count:>10} {word}");
    }
    println!();
    for (number, what) in [
        (files, "files"),
        (skipped, "skipped files"),
        (total, "words"),
        (words.len() as u64, "distinct words"),
    ] {
        println!("{number:>10} {what}");
    }
    Ok(())
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The text of all files below a directory, read when it is asked for.
fn texts(directory: &Path) -> impl Iterator<Item = Text> + Send + 'static {
    let is_wanted = |entry: &walkdir::DirEntry| {
        let name = entry.file_name();
        entry.depth() == 0 || !entry.file_type().is_dir() || (name != ".git" && name != "target")
    };
    let (mut files, mut skipped) = (0, 0);
    WalkDir::new(directory).into_iter().filter_entry(is_wanted).flat_map(move |entry| {
        let text = entry.map_err(|error| error.to_string()).and_then(|entry| {
            if !entry.file_type().is_file() {
                return Ok(None);
            }
            match fs::read(entry.path()) {
                Ok(bytes) if bytes[..bytes.len().min(8 << 10)].contains(&0) => {
                    skipped += 1;
                    Ok(None)
                }
                Ok(bytes) => {
                    files += 1;
                    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
                }
                Err(error) => Err(format!("{:?}: {error}", entry.path())),
            }
        });
        let text = text.unwrap_or_else(|why| {
            skipped += 1;
            eprintln!("words: {why}");
            None
        });
        // A file without text has something to tell, too: that it was met.
        let pieces = pieces(text.unwrap_or_default());
        pieces.into_iter().map(move |text| Text { text, files, skipped })
    })
}

/// Cuts a text between words.
fn pieces(mut text: String) -> Vec<String> {
    let mut pieces = Vec::new();
    while text.len() > CHUNK {
        let end = (0..=CHUNK).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let cut = text[..end].rfind(|c| !is_word(c)).filter(|at| *at > 0);
        // A word that is longer than a piece goes whole.
        let cut = cut.or_else(|| text[end..].find(|c| !is_word(c)).map(|at| end + at));
        let rest = text.split_off(cut.unwrap_or(text.len()));
        pieces.push(std::mem::replace(&mut text, rest));
    }
    pieces.push(text);
    pieces
}
