//! A short random run, on any toolchain: new programs, and changes of the stored ones.
//!
//! `HANDOVER_SEED` repeats a run, `HANDOVER_RUNS` says how many programs there are.

use std::env;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::panic;
use std::path::Path;
use std::time::Instant;

use handover_fuzz::random::{Dice, shrink};

/// The bytes of the stored programs, in the order of their names.
fn stored() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/programs/corpus");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .map(|entries| entries.map(|entry| entry.expect("an entry").path()).collect())
        .unwrap_or_default();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a stored program")).collect()
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[test]
fn random_programs_agree_with_the_reference() {
    let seed = number("HANDOVER_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    let runs = number("HANDOVER_RUNS").unwrap_or(10_000);
    println!("HANDOVER_SEED={seed} HANDOVER_RUNS={runs}");
    let known = stored();
    let mut dice = Dice::new(seed);
    let begun = Instant::now();
    let failing = quietly(|| (0..runs).map(|_| dice.program(&known)).find(|data| fails(data)));
    println!("{:?}", begun.elapsed());
    if let Some((data, text)) = failing.and_then(|data| smallest(&data)) {
        panic!("a program fails (HANDOVER_SEED={seed}), as small as it gets: {data:?}\n{text}");
    }
}

fn fails(data: &[u8]) -> bool {
    panic::catch_unwind(|| handover_fuzz::run(data)).is_err()
}

/// The smallest program like it that fails, too, and its text. `None`: it does not fail.
fn smallest(data: &[u8]) -> Option<(Vec<u8>, String)> {
    quietly(|| {
        let data = fails(data).then(|| shrink(data, fails))?;
        let text = handover_fuzz::explain(&data).expect("it fails");
        Some((data, text))
    })
}

/// Without a message for each panic.
fn quietly<R>(f: impl FnOnce() -> R) -> R {
    let loud = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let result = f();
    panic::set_hook(loud);
    result
}

#[test]
fn stored_programs_agree_with_the_reference() {
    let failing = quietly(|| stored().into_iter().find(|data| fails(data)));
    if let Some((data, text)) = failing.and_then(|data| smallest(&data)) {
        panic!("a stored program fails, as small as it gets: {data:?}\n{text}");
    }
}

#[test]
fn every_string_of_bytes_is_a_program() {
    handover_fuzz::run(&[]);
    handover_fuzz::run(&[0xff]);
    let mut dice = Dice::new(1);
    let long: Vec<u8> = (0..1 << 20).map(|_| dice.below(256) as u8).collect();
    handover_fuzz::run(&long);
}

/// `HANDOVER_PROGRAM` is the path of one that fails: it is made small, and printed.
#[test]
fn a_given_program_agrees_with_the_reference() {
    let Ok(path) = env::var("HANDOVER_PROGRAM") else {
        return println!("HANDOVER_PROGRAM names none");
    };
    let data = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    if let Some((data, text)) = smallest(&data) {
        panic!("{path} fails, as small as it gets: {data:?}\n{text}");
    }
}
