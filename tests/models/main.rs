//! Every interleaving (up to a number of preemptions) of small conversations, for each pairing of thread and task.
//!
//! Run: `RUSTFLAGS="--cfg handover_loom" cargo test --release --target-dir target/loom --features sink --test models`. Without that cfg there is
//! nothing here. A lost wake-up shows as loom's "deadlock", an endless loop as "exceeded maximum number of branches": no other
//! watchdog is needed. A failing model may abort the test binary, where an end is dropped while unwinding; run that model alone to
//! see its message.
#![cfg(handover_loom)]

mod lockstep;
mod meetings;
mod rendezvous;
mod select;
#[cfg(feature = "sink")]
mod sinks;
mod stream;
mod support;
mod told;
