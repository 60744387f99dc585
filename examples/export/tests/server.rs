//! The export as its clients see it.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use support::{LIMIT, Server, database};

mod support;

/// The body as far as it comes, and whether it is complete.
async fn body(mut response: reqwest::Response) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return (bytes, true),
            Err(_) => return (bytes, false),
        }
    }
}

fn id(response: &reqwest::Response) -> String {
    response.headers()["x-export"].to_str().unwrap().to_owned()
}

fn lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

#[tokio::test]
async fn every_row_comes_once_in_both_formats() {
    let server = Server::start(["--rows", "10001"]);
    for (query, rows) in [("", 10_001), ("&limit=64", 64), ("&limit=65", 65), ("&limit=0", 0)] {
        let response = server.get(&format!("export?format=ndjson{query}")).await;
        let id = id(&response);
        let (bytes, is_complete) = body(response).await;
        assert!(is_complete);
        let ids = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let ids: Vec<u64> = ids
            .map(|line| {
                serde_json::from_slice::<serde_json::Value>(line).unwrap()["id"].as_u64().unwrap()
            })
            .collect();
        assert!(ids.into_iter().eq(1..=rows));
        let export =
            server.until(&format!("exports/{id}"), |export| export["state"] == "complete").await;
        assert_eq!(
            (export["rows_made"].as_u64(), export["rows_handed_on"].as_u64()),
            (Some(rows), Some(rows))
        );

        let response = server.get(&format!("export?format=csv&table=orders{query}")).await;
        assert_eq!(
            response.headers()["content-disposition"],
            "attachment; filename=\"orders.csv\""
        );
        let (bytes, is_complete) = body(response).await;
        assert!(is_complete && bytes.starts_with(b"id,placed,customer,item,quantity,price\r\n"));
        assert_eq!(lines(&bytes) as u64, rows + 1);
    }
    server.until("stats", |stats| stats["queries_running"] == 0).await;
}

#[tokio::test]
async fn a_row_that_fails_breaks_the_response_off() {
    let server = Server::start(["--rows", "5000"]);
    for format in ["ndjson", "csv"] {
        for fail_at in [2, 64, 65, 66, 5_000] {
            let response = server.get(&format!("export?format={format}&fail_at={fail_at}")).await;
            assert_eq!(response.status(), 200);
            let id = id(&response);
            let (bytes, is_complete) = body(response).await;
            assert!(!is_complete, "{format} {fail_at}");
            assert!(lines(&bytes) <= fail_at);
            let export =
                server.until(&format!("exports/{id}"), |export| export["state"] == "failed").await;
            assert_eq!(export["error"], format!("row {fail_at}: a failure was asked for"));
        }
        // Before the first row there still is a status.
        let response = server.get(&format!("export?format={format}&fail_at=1")).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.text().await.unwrap(), "row 1: a failure was asked for\n");
    }
    // Behind the last row nothing fails.
    let (bytes, is_complete) = body(server.get("export?fail_at=5002").await).await;
    assert!(is_complete && lines(&bytes) == 5_000);
}

#[tokio::test]
async fn a_text_that_is_none_is_a_row_that_fails() {
    let (_directory, path) = database(
        "CREATE TABLE t (s); WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 500) INSERT INTO t SELECT 'row ' || x FROM n;
         UPDATE t SET s = CAST(x'ff' AS TEXT) WHERE rowid = 300;",
    );
    let server = Server::start([&path]);
    let response = server.get("export").await;
    let id = id(&response);
    assert!(!body(response).await.1);
    let export = server.until(&format!("exports/{id}"), |export| export["state"] == "failed").await;
    assert!(
        export["error"].as_str().unwrap().starts_with("row 300: column s is not UTF-8"),
        "{export}"
    );
}

#[tokio::test]
async fn what_is_asked_wrongly_is_told() {
    let server = Server::start(["--rows", "10"]);
    for (path, status, text) in [
        ("export?limit=many", 400, "limit: invalid digit found in string"),
        ("export?limit=-1", 400, "limit: invalid digit found in string"),
        ("export?limit=999999999999999999999", 400, "limit: number too large"),
        ("export?fail_at=x", 400, "fail_at: invalid digit found in string"),
        ("export?format=xml", 400, "unknown variant `xml`"),
        ("export?what=this", 400, "unknown field `what`"),
        ("export?table=nothing", 404, "there is no table \"nothing\""),
        ("export?table=orders%22%3B--", 404, "there is no table"),
        ("exports/99", 404, "export 99 is not known"),
        ("exports/x", 400, "Cannot parse"),
        ("elsewhere", 404, ""),
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        let told = response.text().await.unwrap();
        assert!(told.contains(text), "{path}: {told}");
    }
    assert_eq!(server.json("stats").await["queries_running"], 0);
}

fn refused(path: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_export")).arg(path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_database_that_is_missing_or_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(refused(&directory.path().join("missing")).contains("there is no such file"));
    assert!(refused(directory.path()).contains("there is no such file"));
    let text = directory.path().join("text");
    fs::write(&text, "no database, but a text that is long enough to look at".repeat(50)).unwrap();
    assert!(refused(&text).contains("file is not a database"));
    let empty = directory.path().join("empty");
    fs::write(&empty, "").unwrap();
    assert!(refused(&empty).contains("the database has no table"));
    let usage =
        Command::new(env!("CARGO_BIN_EXE_export")).args(["--rows", "many"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

#[tokio::test]
async fn a_database_that_is_locked_is_told_with_a_status() {
    let (_directory, path) = database("CREATE TABLE t (x); INSERT INTO t VALUES (1);");
    let server = Server::start([&path]);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for request in ["export", "tables"] {
        let response = server.get(request).await;
        assert_eq!(response.status(), 503);
        assert!(response.text().await.unwrap().contains("database is locked"));
    }
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(server.get("export").await.text().await.unwrap(), "{\"x\":1}\n");
}

#[tokio::test]
async fn a_database_that_is_broken_in_the_middle_breaks_the_response_off() {
    let (_directory, path) = database(
        "CREATE TABLE t (s); WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 20000) INSERT INTO t SELECT 'a row of some length, number ' || x FROM n;",
    );
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let middle = file.metadata().unwrap().len() / 2 / 4096 * 4096;
    file.seek(SeekFrom::Start(middle)).unwrap();
    file.write_all(&[0xa5; 3 * 4096]).unwrap();
    drop(file);
    let server = Server::start([&path]);
    let response = server.get("export").await;
    let id = id(&response);
    let (bytes, is_complete) = body(response).await;
    assert!(!is_complete && lines(&bytes) > 100);
    let export = server.until(&format!("exports/{id}"), |export| export["state"] == "failed").await;
    assert!(export["error"].as_str().unwrap().contains("malformed"), "{export}");
}

/// A client that asks and then reads nothing.
fn silent_client(server: &Server) -> TcpStream {
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.write_all(b"GET /export HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    client
}

#[tokio::test]
async fn a_client_that_does_not_read_makes_the_query_stand_still() {
    let server = Server::start(["--rows", "1000000"]);
    let clients = [(); 2].map(|()| silent_client(&server));
    server
        .until("stats", |stats| {
            stats["queries_running"] == 2 && stats["rows_made"].as_u64() > Some(1_000)
        })
        .await;
    let made = server.until_it_stands_still().await;
    assert!(made < 2_000_000, "the sockets hold all of it");
    let batch = server.json("stats").await["batch"].as_u64().unwrap();
    assert!(server.ahead().await <= 2 * batch);
    // One of them reads on, the other leaves.
    let [mut reading, leaving] = clients;
    drop(leaving);
    server.until("stats", |stats| stats["queries_running"] == 1).await;
    reading.read_exact(&mut vec![0; 20_000_000]).unwrap();
    server.until("stats", |stats| stats["rows_made"].as_u64() > Some(made)).await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_given_up() {
    let server = Server::start(["--rows", "1000000", "--patience", "0.5"]);
    let _client = silent_client(&server);
    server.until("stats", |stats| stats["rows_made"].as_u64() > Some(0)).await;
    server.until("stats", |stats| stats["queries_running"] == 0).await;
    let export = server.json("exports/1").await;
    assert_eq!(
        (export["state"].as_str(), export["error"].as_str()),
        (Some("failed"), Some("the client has taken nothing for 0.5 s"))
    );
}

#[tokio::test]
async fn a_client_that_leaves_ends_a_query_in_the_middle_of_a_step() {
    // Without the interrupt these never end: the first has no first row, the second no second one.
    let (_directory, path) = database(
        "CREATE VIEW none AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n WHERE x < 0;
         CREATE VIEW one AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n WHERE x < 2;",
    );
    let server = Server::start([&path]);
    for (n, table) in [(1, "none"), (2, "one")] {
        let mut client = TcpStream::connect(server.address()).unwrap();
        client
            .write_all(
                format!("GET /export?table={table} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes(),
            )
            .unwrap();
        let made = n - 1;
        server
            .until("stats", |stats| {
                stats["queries_running"] == 1 && stats["rows_made"].as_u64() == Some(made)
            })
            .await;
        let start = std::time::Instant::now();
        drop(client);
        server.until("stats", |stats| stats["queries_running"] == 0).await;
        println!("{table}: the query has ended after {:?}", start.elapsed());
        assert_eq!(server.json(&format!("exports/{n}")).await["state"], "cancelled");
    }
}

#[tokio::test]
async fn more_than_the_most_exports_at_a_time_are_refused() {
    let server = Server::start(["--rows", "1000000", "--most", "1"]);
    let client = silent_client(&server);
    server.until("stats", |stats| stats["queries_running"] == 1).await;
    let response = server.get("export").await;
    assert_eq!(response.status(), 503);
    assert!(response.text().await.unwrap().contains("running already"));
    drop(client);
    server.until("stats", |stats| stats["queries_running"] == 0).await;
    let whole = tokio::time::timeout(LIMIT, server.get("export?limit=100").await.bytes()).await;
    assert_eq!(lines(&whole.unwrap().unwrap()), 100);
}

#[tokio::test]
async fn the_tables_are_named_with_their_rows() {
    let (_directory, path) = database(
        "CREATE TABLE \"a \"\"b\" (x); INSERT INTO \"a \"\"b\" VALUES (1), (2); CREATE VIEW v AS SELECT 1;",
    );
    let server = Server::start([&path]);
    assert_eq!(
        server.json("tables").await,
        serde_json::json!([{ "name": "a \"b", "rows": 2 }, { "name": "v", "rows": null }])
    );
    assert_eq!(
        server.get("export?table=a+%22b").await.text().await.unwrap(),
        "{\"x\":1}\n{\"x\":2}\n"
    );
    assert_eq!(server.get("export?table=v&format=csv").await.text().await.unwrap(), "1\r\n1\r\n");
}
