//! Random programs over channels of all kinds, each run against the reference: those that the fuzzer has stored, and a few new ones. See `fuzz/README.md`.
#![cfg(not(any(handover_loom, handover_shuttle)))]
#![allow(clippy::type_complexity, reason = "tables of functions")]

#[path = "mod.rs"]
mod programs;
#[allow(dead_code, unreachable_pub, reason = "the fuzzer's package has all of it")]
mod random;
#[allow(dead_code, reason = "the tests of the channels use more of it")]
#[path = "../channels/support/wakers.rs"]
mod wakers;
#[allow(dead_code, reason = "the tests of the channels use more of it")]
#[path = "../channels/support/watchdog.rs"]
mod watchdog;

/// What the programs need of the support of the other tests.
mod support {
    pub(crate) use crate::wakers::{Hook, Moment};
}

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use random::Dice;
use watchdog::{Watchdog, progress};

/// The stored programs, with their names, in the order of these.
fn stored() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/corpus");
    let entries = fs::read_dir(&folder).expect("the folder of the programs");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(paths.len() >= 50, "only {} programs in {}", paths.len(), folder.display());
    let read = |path: &Path| fs::read(path).expect("a program");
    paths.iter().map(|path| (path.display().to_string(), read(path))).collect()
}

#[test]
fn stored_programs_agree_with_the_reference() {
    let _watchdog = Watchdog::new();
    for (name, data) in stored() {
        progress();
        if let Some(text) = programs::explain(&data) {
            panic!("the program in {name} fails:\n{text}");
        }
    }
}

#[test]
// The harness captures this line, and shows it when the test fails.
#[allow(clippy::print_stdout)]
fn random_programs_agree_with_the_reference() {
    let _watchdog = Watchdog::new();
    let seed = std::env::var("HANDOVER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    println!("HANDOVER_SEED={seed}");
    let known: Vec<_> = stored().into_iter().map(|(_, data)| data).collect();
    let mut dice = Dice::new(seed);
    for _ in 0..2_000 {
        progress();
        let data = dice.program(&known);
        if let Some(text) = programs::explain(&data) {
            panic!("a program fails: {data:?}\n{text}");
        }
    }
}

#[test]
fn every_string_of_bytes_is_a_program() {
    let _watchdog = Watchdog::new();
    programs::run(&[]);
    programs::run(&[0xff]);
    let mut dice = Dice::new(1);
    let long: Vec<u8> = (0..1 << 20).map(|_| dice.below(256) as u8).collect();
    programs::run(&long);
}
