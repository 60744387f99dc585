//! Programs of users, explored by `handover::model`.
#![allow(missing_docs)]

mod counts;
mod examples;
mod faults;
mod first_example;
mod hostile;
mod kinds;
mod pitfalls;
mod programs;
mod random_steps;
mod shrinking;
mod speed;
mod support;
