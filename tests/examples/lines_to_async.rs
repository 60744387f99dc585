//! `lines_to_async` passes lines on from a blocking reader to a task.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::programs::{Finished, example, in_time, promised, run, text_of, tree};

/// Runs the example with a file as its argument, and with the same file as its standard input.
fn answers(lines: &[u8]) -> [Finished; 2] {
    let root = tree([("lines", lines.to_vec())]);
    let path = root.path().join("lines");
    let input = fs::File::open(&path).unwrap();
    [run(example("lines_to_async").arg(&path)), run(example("lines_to_async").stdin(input))]
}

#[test]
fn prints_what_its_header_says() {
    let promised = promised(include_str!("../../examples/lines_to_async.rs"));
    for found in answers(b"red\ngreen\n\nblue\n") {
        assert_eq!(found.output(), promised);
    }
}

#[test]
fn passes_on_every_line() {
    let lines: String = (1..=1000).map(|n| format!("line {n}\n")).collect();
    let expected: String = (1..=1000).map(|n| format!("{n}: LINE {n}\n")).collect();
    for found in answers(lines.as_bytes()) {
        assert_eq!(found.output(), expected);
    }
    for found in answers(b"") {
        assert_eq!(found.output(), "");
    }
    for found in answers(b"no line end") {
        assert_eq!(found.output(), "1: NO LINE END\n");
    }
}

#[test]
fn bytes_that_are_not_text_are_an_error_after_the_lines_before_them() {
    for found in answers(b"one\n\xff\nthree\n") {
        assert_eq!(found.status.code(), Some(1));
        assert_eq!(found.stdout, "1: ONE\n");
        assert_eq!(found.stderr.lines().count(), 1, "{}", found.stderr);
    }
}

#[test]
fn gives_up_without_waiting_for_the_next_line() {
    let mut child = example("lines_to_async")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"one\n\xff\n").unwrap();
    let stdout = text_of(child.stdout.take().unwrap());
    assert_eq!(in_time(&mut child, stdout), "1: ONE\n");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    drop(input); // was open all the time
}

#[test]
fn a_missing_file_is_an_error() {
    let found = run(example("lines_to_async").arg("/nowhere/at/all"));
    assert_eq!((found.status.code(), &*found.stdout), (Some(1), ""));
}
