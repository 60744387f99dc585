//! The stored programs of the fuzzer, each run against the reference: see `tests/programs`.

use std::fs;
use std::path::Path;

use crate::programs;
use crate::support::{Watchdog, progress};

#[test]
fn stored_programs_agree_with_the_reference() {
    let _watchdog = Watchdog::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/corpus");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .expect("the folder of the programs")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 50, "only {} programs in {}", paths.len(), folder.display());
    for path in paths {
        progress();
        let data = fs::read(&path).expect("a program");
        if let Some(text) = programs::explain(&data) {
            panic!("the program in {} fails:\n{text}", path.display());
        }
    }
}

#[test]
fn every_string_of_bytes_is_a_program() {
    let _watchdog = Watchdog::new();
    programs::run(&[]);
    programs::run(&[0xff]);
    let long: Vec<u8> =
        (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    programs::run(&long);
}
