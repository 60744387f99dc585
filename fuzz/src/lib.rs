//! Random programs of operations on the channels, run against a reference. The source is that of the library's own tests, in
//! `tests/programs`, where `cargo test` runs the stored ones.
#![allow(clippy::type_complexity, reason = "as the tests that it shares its source with")]

#[path = "../../tests/programs/mod.rs"]
mod programs;

#[allow(dead_code, reason = "the library's tests use more of it")]
#[path = "../../tests/channels/support/wakers.rs"]
mod wakers;

/// What the programs need of the support of the library's tests.
mod support {
    pub(crate) use crate::wakers::{Hook, Moment};
}

// The random programs of `tests/random.rs`.
#[path = "../../tests/programs/random.rs"]
pub mod random;

/// Runs the program that the bytes are.
///
/// # Panics
///
/// Where the outcome is none that the reference allows.
pub fn run(data: &[u8]) {
    programs::run(data);
}

/// Runs a program again. If it panics: its readable text, with what it panicked with.
pub fn explain(data: &[u8]) -> Option<String> {
    programs::explain(data)
}
