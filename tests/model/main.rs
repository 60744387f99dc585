//! Programs of users, explored by `handover::model`.
#![allow(missing_docs)]

mod faults;
mod programs;
