//! `deadlock` shows a deadlock and its table.

use crate::programs::{example, promised, run};

/// The lines without the time, which varies.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<_> =
        text.lines().map(|line| line.split_once(" s  ").unwrap().1.to_owned()).collect();
    lines.sort(); // The one that waits longer comes first.
    lines
}

#[test]
fn prints_what_its_header_says() {
    let found = run(&mut example("deadlock"));
    let promised = promised(include_str!("../../examples/deadlock.rs"));
    assert_eq!(lines(found.output()), lines(&promised));
}

#[test]
fn the_watch_prints_the_table_once() {
    let found = run(example("deadlock").arg("--watch"));
    assert!(found.status.success());
    let (head, table) = found.stderr.split_once('\n').unwrap();
    assert!(head.starts_with("handover: something has waited for 200ms"), "{head}");
    let promised = promised(include_str!("../../examples/deadlock.rs"));
    let tables = table.matches("thread east").count();
    // The two may begin to wait so far apart that the first is late alone.
    assert!(tables == 1 || tables == 2, "{}", found.stderr);
    let last = found.stderr.rsplit("All that waits:\n").next().unwrap();
    assert_eq!(lines(last), lines(&promised));
}
