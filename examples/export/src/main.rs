//! Serves a database as large downloads, with a page to try them. See README.md.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use export::database::{self, Database};
use export::server::{Service, router};
use export::stats::Stats;
use lexopt::{Arg, Parser, ValueExt};

const HELP: &str = "\
Serves the tables of a SQLite database as NDJSON and CSV, with a page to start, pause and cancel a download.

Usage: export [--port N] [--rows N | DATABASE]

  DATABASE     a database of yours; it is opened for reading only
  --rows N     without one: make a database with so many rows (1000000)
  --port N     listen on this port of 127.0.0.1 (8080); 0 takes a free one
  --patience S give up on a client that takes nothing for so many seconds (600)
  --most N     serve so many downloads at a time (64)
  --help       print this
";

struct Options {
    database: Option<PathBuf>,
    rows: u64,
    port: u16,
    patience: Duration,
    most: u64,
}

impl Options {
    /// `None`: help is wanted.
    fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Self>, lexopt::Error> {
        let mut options = Self {
            database: None,
            rows: 1_000_000,
            port: 8080,
            patience: Duration::from_secs(600),
            most: 64,
        };
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("rows") => options.rows = parser.value()?.parse()?,
                Arg::Long("port") => options.port = parser.value()?.parse()?,
                Arg::Long("patience") => {
                    options.patience = parser.value()?.parse_with(|text| {
                        let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
                        Duration::try_from_secs_f64(seconds).map_err(|error| format!("{error}"))
                    })?;
                }
                Arg::Long("most") => options.most = parser.value()?.parse()?,
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Value(path) if options.database.is_none() => {
                    options.database = Some(path.into())
                }
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(options))
    }
}

fn main() -> ExitCode {
    let (text, status) = match Options::parse(std::env::args_os().skip(1)) {
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Ok(Some(options)) => match serve(&options) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(text) => (text, 1),
        },
        Err(error) => (format!("{error}; see --help"), 2),
    };
    eprintln!("export: {text}");
    ExitCode::from(status)
}

fn serve(options: &Options) -> Result<(), String> {
    // Deleted at the end.
    let directory;
    let path = match &options.database {
        Some(path) => path.clone(),
        None => {
            directory = tempfile::tempdir().map_err(|error| error.to_string())?;
            let path = directory.path().join("orders.sqlite");
            let start = Instant::now();
            eprint!("making a database of {} rows ... ", options.rows);
            database::make(&path, options.rows).map_err(|error| database::reason(&error))?;
            eprintln!("{:.1} s", start.elapsed().as_secs_f64());
            path
        }
    };
    let service = Service {
        database: Database::open(&path)?,
        stats: Stats::default(),
        patience: options.patience,
        most: options.most,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let served = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", options.port)).await?;
        println!("http://{}/", listener.local_addr()?);
        tokio::select! {
            served = axum::serve(listener, router(service)) => served,
            stopped = tokio::signal::ctrl_c() => stopped,
        }
    });
    // Downloads that run are broken off.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.map_err(|error| format!("port {}: {error}", options.port))
}
