//! The channels as their users see them: each kind in a module of its own, by what is tried.
//!
//! `cases` is what must work, `cancel` what is given up, `kept` a future that is not polled again, `time` what happens at the
//! deadline, `wakers`, `reenter` and `panics` what wakers may do, `matrix` each action of one side against each of the other,
//! `model` random operations against a reference.
#![cfg(not(any(handover_loom, handover_shuttle)))]
#![allow(clippy::type_complexity, reason = "tables of functions")]

mod bounds;
mod errors;
mod expiry;
mod interrupts;
mod lockstep;
mod pipe;
mod produce;
mod rendezvous;
mod select;
mod sequences;
#[cfg(feature = "sink")]
mod sinks;
mod stream;
mod support;
mod until;
#[cfg(target_os = "linux")]
mod waiting;
