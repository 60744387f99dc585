//! The pages and the export itself.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{StreamExt, stream};
use handover::{Peer, Why, Writer};
use rusqlite::{Connection, Rows};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::BATCH;
use crate::database::{Database, quoted, reason};
use crate::format::Format;
use crate::stats::{Export, Outcome, Stats};

/// What every request needs.
#[derive(Debug)]
pub struct Service {
    pub database: Database,
    pub stats: Stats,
    /// How long an export waits for a client that takes nothing.
    pub patience: Duration,
    /// How many exports may run at a time.
    pub most: u64,
}

/// The routes.
pub fn router(service: Service) -> Router {
    let html = "text/html; charset=utf-8";
    let page = |content_type: &'static str, text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, content_type)], text) })
    };
    Router::new()
        .route("/", page(html, include_str!("page/index.html")))
        .route("/page.css", page("text/css; charset=utf-8", include_str!("page/page.css")))
        .route("/page.js", page("text/javascript; charset=utf-8", include_str!("page/page.js")))
        .route("/tables", get(tables))
        .route("/export", get(export))
        .route("/exports/{id}", get(outcome))
        .route(
            "/stats",
            get(|State(service): State<Arc<Service>>| async move { Json(service.stats.counts()) }),
        )
        .with_state(Arc::new(service))
}

/// An answer that says what is wrong, in a line.
struct Wrong(StatusCode, String);

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        (self.0, self.1 + "\n").into_response()
    }
}

/// What a client may ask for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    format: Format,
    /// The first one, if none is named.
    table: Option<String>,
    limit: Option<u64>,
    /// A row in whose place the query fails, to see what that looks like.
    fail_at: Option<u64>,
}

async fn tables(State(service): State<Arc<Service>>) -> Result<Response, Wrong> {
    let tables = tokio::task::spawn_blocking(move || service.database.tables());
    match tables.await.expect("a thread that does not panic") {
        Ok(tables) => Ok(Json(tables).into_response()),
        Err(error) => Err(unavailable(&error)),
    }
}

fn unavailable(error: &rusqlite::Error) -> Wrong {
    Wrong(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("the database cannot be read now: {}", reason(error)),
    )
}

/// How an export ended: a response that was broken off cannot tell why.
async fn outcome(
    State(service): State<Arc<Service>>,
    Path(id): Path<u64>,
) -> Result<Response, Wrong> {
    match service.stats.export(id) {
        Some(export) => Ok(Json(export).into_response()),
        None => Err(Wrong(StatusCode::NOT_FOUND, format!("export {id} is not known (any more)"))),
    }
}

async fn export(
    State(service): State<Arc<Service>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Wrong> {
    let Query(wanted) =
        wanted.map_err(|error| Wrong(StatusCode::BAD_REQUEST, error.body_text()))?;
    if service.stats.queries_running() >= service.most {
        let text = format!("{} exports are running already; try again later", service.most);
        return Err(Wrong(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    let format = wanted.format;
    let (writer, reader) = handover::stream();
    let (begun, has_begun) = oneshot::channel();
    let export = service.stats.begin();
    let query = RunningQuery {
        service: Arc::clone(&service),
        export: Arc::clone(&export),
        runtime: Handle::current(),
        wanted,
    };
    tokio::task::spawn_blocking(move || query.run_and_report(writer, begun));
    let Begun { file, head } = match has_begun.await {
        Ok(begun) => begun?,
        Err(_) => {
            return Err(Wrong(StatusCode::INTERNAL_SERVER_ERROR, "the query has died".into()));
        }
    };
    let headers = [
        (header::CONTENT_TYPE, format.content_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (HeaderName::from_static("x-export"), export.id.to_string()),
    ];
    // A query that leaves without `finish` is an error here, and the connection is broken off.
    let batches = reader.into_chunks(BATCH).into_stream().checked();
    let batches = batches.map(move |batch: Result<Vec<Vec<u8>>, Why>| {
        let batch = batch?;
        service.stats.handed_on(&export, batch.len() as u64);
        Ok::<_, io::Error>(Bytes::from(batch.concat()))
    });
    let head = stream::iter((!head.is_empty()).then(|| Ok(Bytes::from(head))));
    Ok((headers, Body::from_stream(head.chain(batches))).into_response())
}

/// What the response needs to know before its first row.
struct Begun {
    /// The name for a file to save it in.
    file: String,
    head: Vec<u8>,
}

/// Why a query ended before its last row.
enum Failure {
    /// Before the first row: the status tells it.
    Early(Wrong),
    /// In the middle: the connection is broken off.
    Late(String),
    /// The client has left.
    Left,
}

fn early(error: &rusqlite::Error) -> Failure {
    Failure::Early(unavailable(error))
}

/// A query, on a thread of its own.
struct RunningQuery {
    service: Arc<Service>,
    export: Arc<Export>,
    runtime: Handle,
    wanted: Wanted,
}

impl RunningQuery {
    fn run_and_report(
        &self,
        writer: Writer<Vec<u8>>,
        begun: oneshot::Sender<Result<Begun, Wrong>>,
    ) {
        let mut begun = Some(begun);
        let (outcome, error) = match self.run(writer, &mut begun) {
            Ok(()) => (Outcome::Complete, None),
            Err(Failure::Left) => (Outcome::Cancelled, None),
            Err(Failure::Late(text)) => (Outcome::Failed, Some(text)),
            Err(Failure::Early(wrong)) => {
                let text = wrong.1.clone();
                if let Some(begun) = begun.take() {
                    _ = begun.send(Err(wrong));
                }
                (Outcome::Failed, Some(text))
            }
        };
        if let Some(text) = &error {
            eprintln!("export {}: {text}", self.export.id);
        }
        self.service.stats.end(&self.export, outcome, error);
    }

    /// Runs the query to its end. Each way out but `finish` drops the writer, which the body takes for a failure.
    fn run(
        &self,
        mut writer: Writer<Vec<u8>>,
        begun: &mut Option<oneshot::Sender<Result<Begun, Wrong>>>,
    ) -> Result<(), Failure> {
        let connection = self.service.database.connect().map_err(|error| early(&error))?;
        self.interrupt_when_left(&connection, writer.peer());
        let table = self.table()?;
        // SQLite takes -1 for no limit.
        let limit = self.wanted.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let select = format!("SELECT * FROM {} LIMIT ?", quoted(&table));
        let mut statement = connection.prepare(&select).map_err(|error| early(&error))?;
        let columns: Vec<_> = statement.column_names().into_iter().map(str::to_owned).collect();
        let mut lines = Lines {
            query: self,
            rows: statement.query([limit]).map_err(|error| early(&error))?,
            columns,
            number: 0,
            first: None,
            is_over: false,
            failure: None,
        };
        // The first row comes before the status, so that a database that is locked or broken has a status that says so.
        lines.first = lines.next();
        if let Some(text) = lines.failure {
            let wrong = Wrong(StatusCode::SERVICE_UNAVAILABLE, text);
            return Err(if writer.is_closed() { Failure::Left } else { Failure::Early(wrong) });
        }
        let name = table.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let format = self.wanted.format;
        let file = format!("{name}.{}", format.extension());
        if let Some(begun) = begun.take() {
            _ = begun.send(Ok(Begun { file, head: format.head(&lines.columns) }));
        }

        while !lines.is_over {
            // Each batch is made when the body asks for it, and not before.
            let batch = lines.by_ref().take(BATCH);
            let written = writer.write_local(batch).wait_timeout(self.service.patience);
            written.map_err(|error| match error.why() {
                Why::TimedOut => {
                    let seconds = self.service.patience.as_secs_f32();
                    Failure::Late(format!("the client has taken nothing for {seconds} s"))
                }
                _ => Failure::Left,
            })?;
        }
        match lines.failure {
            Some(_) if writer.is_closed() => Err(Failure::Left),
            Some(text) => Err(Failure::Late(text)),
            None => writer.finish().map_err(|_| Failure::Left),
        }
    }

    /// The table that is wanted, if there is one.
    fn table(&self) -> Result<String, Failure> {
        let tables = self.service.database.names().map_err(|error| early(&error))?;
        let wanted = self.wanted.table.as_ref();
        let found = tables.into_iter().find(|name| wanted.is_none_or(|wanted| wanted == name));
        found.ok_or_else(|| {
            let text = format!("there is no table {:?}", wanted.map_or("", |name| name));
            Failure::Early(Wrong(StatusCode::NOT_FOUND, text))
        })
    }

    /// Ends the query in the middle of a step when the client leaves. A step may take long: sorting, or passing over rows.
    fn interrupt_when_left(&self, connection: &Connection, client: Peer) {
        let interrupt = connection.get_interrupt_handle();
        self.runtime.spawn(async move {
            // The end of the query ends the watch, too: it drops the writer, and the body the reader.
            _ = client.closed().await;
            interrupt.interrupt();
        });
    }
}

/// The rows as text, made one by one.
struct Lines<'a> {
    query: &'a RunningQuery,
    rows: Rows<'a>,
    columns: Vec<String>,
    number: u64,
    /// A row that was made already.
    first: Option<Vec<u8>>,
    /// There is no further row, or it failed.
    is_over: bool,
    failure: Option<String>,
}

impl Lines<'_> {
    fn fetch(&mut self) -> Result<Option<Vec<u8>>, String> {
        if self.query.wanted.fail_at == Some(self.number) {
            return Err("a failure was asked for".to_owned());
        }
        match self.rows.next().map_err(|error| reason(&error))? {
            Some(row) => self.query.wanted.format.row(&self.columns, row).map(Some),
            None => Ok(None),
        }
    }
}

impl Iterator for Lines<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.first.is_some() || self.is_over {
            return self.first.take();
        }
        self.number += 1;
        let line = self.fetch().unwrap_or_else(|text| {
            self.failure = Some(format!("row {}: {text}", self.number));
            None
        });
        match line {
            Some(_) => self.query.service.stats.made(&self.query.export),
            None => self.is_over = true,
        }
        line
    }
}
