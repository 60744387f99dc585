//! The ends of `handover-remote`, between sessions and between processes on loopback.
//!
//! Each test that needs other processes starts this program again, as a child with a role: see `support::child`.

mod bad_input;
mod batches;
mod crossings;
mod cuts;
mod deaths;
mod dependencies;
mod ends;
mod jobs;
mod sockets;
mod support;
mod tls;

/// Plays a role for another test. Run by itself it does nothing.
#[test]
fn child() {
    if let Ok(role) = std::env::var(support::ROLE) {
        support::play(&role);
    }
}
