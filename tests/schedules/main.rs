//! Schedules of 3 to 6 parties over all kinds of channels.
//!
//! loom tries each interleaving of two or three parties (`tests/models`); here shuttle picks schedules of more of them, at random and by
//! changes of priority. What the parties do is picked, too. No value may be lost or come twice, those of one sender come in order, each is dropped once; and if two
//! parties that must meet both wait for ever, shuttle reports a deadlock. Whether they must, `world` knows.
//!
//! ```text
//! RUSTFLAGS="--cfg handover_shuttle" cargo test --release --target-dir target/shuttle --test schedules
//! ```
//!
//! `HANDOVER_SECONDS=..` is the time that all scenarios take together (10), `HANDOVER_SCHEDULES=..` is the number of schedules of each scenario in place of
//! that. A schedule that fails is written into a file, with the command that runs it again. Without the cfg there is nothing here.
//!
//! shuttle is sequentially consistent: what a weaker order of memory would show, only loom shows.
#![cfg(handover_shuttle)]
#![allow(missing_docs, clippy::print_stdout)]

mod census;
mod crossing;
mod explore;
mod hostile;
mod lockstep;
mod party;
mod pipes;
mod producers;
mod program;
mod streams;
mod turns;
mod ways;
mod world;

use program::Mix;

macro_rules! scenarios {
    ($($name:ident: $scenario:expr;)+) => {
        const SCENARIOS: usize = [$(stringify!($name)),+].len();

        $(#[test]
        fn $name() {
            explore::explore(SCENARIOS, $scenario);
        })+
    };
}

scenarios! {
    rendezvous_plain: || crossing::run(Mix::Plain);
    rendezvous_in_all_ways: || crossing::run(Mix::Ways);
    rendezvous_selects: || crossing::run(Mix::Selects);
    rendezvous_permits: || crossing::run(Mix::Permits);
    rendezvous_crosswise: || crossing::run(Mix::Crosswise);
    rendezvous_kept: || crossing::run(Mix::Kept);
    rendezvous_ends: || crossing::run(Mix::Ends);
    rendezvous_all: || crossing::run(Mix::All);
    turns_of_senders: turns::of_senders;
    turns_of_receiving_tasks: turns::of_receiving_tasks;
    turns_of_receiving_threads: turns::of_receiving_threads;
    turns_of_permits: turns::of_permits;
    lockstep: || lockstep::run(false);
    lockstep_left_early: || lockstep::run(true);
    streams: || streams::run(false);
    streams_left_early: || streams::run(true);
    streams_endless: streams::endless;
    pipes: pipes::run;
    producers: producers::run;
    hostile_rendezvous: hostile::over_a_rendezvous;
    hostile_stream: hostile::over_a_stream;
}
