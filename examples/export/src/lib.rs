//! An export of a large SQLite query over HTTP: rows go from a blocking thread into the response as fast as the client takes them.
//!
//! `handover::stream` joins the two. A query runs on a thread and writes rows; the body of the response asks for a batch when the connection has taken the one before. So
//!
//! * a client that pauses makes the query stand still, a batch ahead of the socket at most;
//! * a client that leaves ends the query, also in the middle of a step (`sqlite3_interrupt`);
//! * a row that fails breaks the connection off, and the response does not look complete.

pub mod database;
pub mod format;
pub mod server;
pub mod stats;

/// Rows in a batch: what is asked for at a time, and the most that is ahead of the socket.
pub const BATCH: usize = 64;
