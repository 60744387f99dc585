//! One file for each kind of fault that was found: what is right is tried here.
#![allow(clippy::type_complexity)]

#[path = "../support/mod.rs"]
mod support;
mod watch;

#[cfg(target_os = "linux")]
mod idle;
mod interrupts;
mod kept;
mod permits;
mod scale;
mod survivors;
