//! What the server has done so far, and how each export ended.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// Counts over all exports, and the exports themselves.
#[derive(Debug, Default)]
pub struct Stats {
    rows_made: AtomicU64,
    rows_handed_on: AtomicU64,
    queries_running: AtomicU64,
    exports: Mutex<BTreeMap<u64, Arc<Export>>>,
    last: AtomicU64,
}

/// One export.
#[derive(Debug, Default)]
pub struct Export {
    pub id: u64,
    rows_made: AtomicU64,
    rows_handed_on: AtomicU64,
    /// How it ended, once it has, and why if it failed.
    outcome: Mutex<Option<(Outcome, Option<String>)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Complete,
    /// The client has left.
    Cancelled,
    Failed,
}

/// How many exports are remembered.
const REMEMBERED: usize = 256;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stats {
    /// A new export. The oldest that have ended are forgotten.
    pub fn begin(&self) -> Arc<Export> {
        let id = self.last.fetch_add(1, Relaxed) + 1;
        let export = Arc::new(Export { id, ..Export::default() });
        let mut exports = lock(&self.exports);
        exports.insert(id, Arc::clone(&export));
        if exports.len() > REMEMBERED {
            let ended = exports.iter().find(|(_, export)| lock(&export.outcome).is_some());
            if let Some(id) = ended.map(|(id, _)| *id) {
                exports.remove(&id);
            }
        }
        self.queries_running.fetch_add(1, Relaxed);
        export
    }

    /// The query has made a row.
    pub fn made(&self, export: &Export) {
        self.rows_made.fetch_add(1, Relaxed);
        export.rows_made.fetch_add(1, Relaxed);
    }

    /// The connection has taken rows.
    pub fn handed_on(&self, export: &Export, rows: u64) {
        self.rows_handed_on.fetch_add(rows, Relaxed);
        export.rows_handed_on.fetch_add(rows, Relaxed);
    }

    /// The query is over.
    pub fn end(&self, export: &Export, outcome: Outcome, error: Option<String>) {
        *lock(&export.outcome) = Some((outcome, error));
        self.queries_running.fetch_sub(1, Relaxed);
    }

    pub fn queries_running(&self) -> u64 {
        self.queries_running.load(Relaxed)
    }

    pub fn export(&self, id: u64) -> Option<Value> {
        let export = Arc::clone(lock(&self.exports).get(&id)?);
        let outcome = lock(&export.outcome).clone();
        let (state, error) = match outcome {
            None => ("running", None),
            Some((Outcome::Complete, error)) => ("complete", error),
            Some((Outcome::Cancelled, error)) => ("cancelled", error),
            Some((Outcome::Failed, error)) => ("failed", error),
        };
        // In this order, here and below: rows are made before they are handed on.
        let handed_on = export.rows_handed_on.load(Relaxed);
        let made = export.rows_made.load(Relaxed);
        Some(
            json!({ "state": state, "error": error, "rows_made": made, "rows_handed_on": handed_on }),
        )
    }

    /// All counts at once.
    pub fn counts(&self) -> Value {
        let handed_on = self.rows_handed_on.load(Relaxed);
        let made = self.rows_made.load(Relaxed);
        json!({
            "queries_running": self.queries_running(),
            "rows_made": made,
            "rows_handed_on": handed_on,
            "batch": crate::BATCH,
        })
    }
}
