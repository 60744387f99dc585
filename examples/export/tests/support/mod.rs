//! The server as a program, for the tests.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

/// The time that a step may take on a very busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The server, until it is dropped.
pub struct Server {
    child: Child,
    pub url: String,
}

impl Server {
    pub fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_export"))
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "no address: {url}");
        Self { child, url: url.trim_end().to_owned() }
    }

    #[allow(dead_code, reason = "not every test uses it")]
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches('/')
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        reqwest::get(format!("{}{path}", self.url)).await.unwrap()
    }

    pub async fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path).await.bytes().await.unwrap()).unwrap()
    }

    /// Asks until the answer fits.
    pub async fn until(&self, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let answer = self.json(path).await;
                if fits(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let answer = tokio::time::timeout(LIMIT, asking).await;
        match answer {
            Ok(answer) => answer,
            Err(_) => panic!("{path} does not come to fit: {}", self.json(path).await),
        }
    }

    /// Rows that were made and not handed on. A batch that was made lies with the query until the body takes it.
    pub async fn ahead(&self) -> u64 {
        let stats = self.json("stats").await;
        stats["rows_made"].as_u64().unwrap() - stats["rows_handed_on"].as_u64().unwrap()
    }

    /// Waits until no query makes rows any more, though some run. The number of rows made.
    pub async fn until_it_stands_still(&self) -> u64 {
        let (mut made, mut same) = (0, 0);
        while same < 10 {
            let now = self.json("stats").await["rows_made"].as_u64().unwrap();
            same = if now == made { same + 1 } else { 0 };
            made = now;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        made
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A database with these statements done, in a directory that is deleted with the first of the two.
#[allow(dead_code, reason = "not every test uses it")]
pub fn database(statements: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.sqlite");
    Connection::open(&path).unwrap().execute_batch(statements).unwrap();
    (directory, path)
}
