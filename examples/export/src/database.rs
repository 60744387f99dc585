//! The database: opened for reading, or made for trying.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction};

/// Where the rows come from.
#[derive(Clone, Debug)]
pub struct Database {
    path: PathBuf,
    /// How long a query waits for a lock of somebody else.
    patience: Duration,
}

/// A table or view, and how many rows it has.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Table {
    pub name: String,
    /// Not for views: to count their rows is to run their queries.
    pub rows: Option<u64>,
}

impl Database {
    /// A database that is there already.
    ///
    /// # Errors
    ///
    /// If the file is missing, is no database, or has no table.
    pub fn open(path: &Path) -> Result<Self, String> {
        let database = Self { path: path.to_owned(), patience: Duration::from_secs(2) };
        let describe = |error: rusqlite::Error| format!("{}: {}", path.display(), reason(&error));
        if !path.is_file() {
            return Err(format!("{}: there is no such file", path.display()));
        }
        if database.names().map_err(describe)?.is_empty() {
            return Err(format!("{}: the database has no table", path.display()));
        }
        Ok(database)
    }

    /// A connection of its own, for reading only.
    ///
    /// # Errors
    ///
    /// What SQLite says.
    pub fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.patience)?;
        Ok(connection)
    }

    /// The names of its tables and views, in order.
    ///
    /// # Errors
    ///
    /// What SQLite says.
    pub fn names(&self) -> rusqlite::Result<Vec<String>> {
        let connection = self.connect()?;
        let mut names = connection.prepare(
            "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
        )?;
        let names = names.query_map([], |row| row.get::<_, String>(0))?;
        names.collect()
    }

    /// Its tables and views with the number of their rows.
    ///
    /// # Errors
    ///
    /// What SQLite says.
    pub fn tables(&self) -> rusqlite::Result<Vec<Table>> {
        let connection = self.connect()?;
        let mut is_table =
            connection.prepare("SELECT type = 'table' FROM sqlite_schema WHERE name = ?")?;
        let mut count = |name: String| {
            let rows = if is_table.query_row([&name], |row| row.get(0))? {
                let select = format!("SELECT count(*) FROM {}", quoted(&name));
                let rows: i64 = connection.query_row(&select, [], |row| row.get(0))?;
                Some(rows.unsigned_abs())
            } else {
                None
            };
            Ok(Table { name, rows })
        };
        self.names()?.into_iter().map(&mut count).collect()
    }
}

/// A name within a statement.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What SQLite says, without its codes.
pub fn reason(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => {
            text.clone().unwrap_or_else(|| code.to_string())
        }
        error => error.to_string(),
    }
}

/// Fills a new file with so many rows of about 90 bytes.
///
/// # Errors
///
/// What SQLite says.
pub fn make(path: &Path, rows: u64) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
         CREATE TABLE orders (id INTEGER PRIMARY KEY, placed TEXT NOT NULL, customer TEXT NOT NULL, item TEXT NOT NULL, quantity INTEGER NOT NULL, price REAL NOT NULL);",
    )?;
    let transaction = connection.transaction()?;
    fill(&transaction, rows)?;
    transaction.commit()
}

fn fill(transaction: &Transaction<'_>, rows: u64) -> rusqlite::Result<()> {
    const CUSTOMERS: [&str; 8] = [
        "Ada Lovelace",
        "Grace Hopper",
        "Alan Turing",
        "Edsger Dijkstra",
        "Barbara Liskov",
        "Tony Hoare",
        "Leslie Lamport",
        "Frances Allen",
    ];
    const ITEMS: [&str; 6] =
        ["pencil, soft", "notebook \"A5\"", "ink, blue", "ruler", "paper, 500 sheets", "envelope"];
    let mut insert = transaction.prepare(
        "INSERT INTO orders (placed, customer, item, quantity, price) VALUES (?, ?, ?, ?, ?)",
    )?;
    for n in 0..rows {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let pick = |list: &[&'static str], by: u64| list[(by % list.len() as u64) as usize];
        let placed = format!("2026-{:02}-{:02}", mixed % 12 + 1, mixed / 12 % 28 + 1);
        let price = (mixed % 10_000) as f64 / 100.0;
        insert.execute((
            placed,
            pick(&CUSTOMERS, mixed),
            pick(&ITEMS, mixed / 8),
            (mixed % 9 + 1) as i64,
            price,
        ))?;
    }
    Ok(())
}
