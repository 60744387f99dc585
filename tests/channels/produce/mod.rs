//! Routines as iterators and streams.

mod blocking;
mod failing;
mod failing_late;
mod generators;
mod threads;

/// The text of a panic.
fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().unwrap_or("not a text")
}
