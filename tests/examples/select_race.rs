//! `select_race` takes as many lines as it is asked for, and keeps the next one.

use crate::programs::{example, promised, run, text, tree};

const TEXT: &str =
    "It was the best of times,\nit was the worst of times,\nit was the age of wisdom,\nit was\n";

fn race(wanted: &[&str]) -> String {
    let dir = tree([("text", text(TEXT))]);
    run(example("select_race").arg(dir.path().join("text")).args(wanted)).output().to_owned()
}

#[test]
fn prints_what_its_header_says() {
    assert_eq!(race(&["2"]), promised(include_str!("../../examples/select_race.rs")));
}

/// However many lines are taken, the next one is still there.
#[test]
fn no_line_is_lost_or_told_twice() {
    let lines: Vec<_> = TEXT.lines().collect();
    for wanted in 0..=lines.len() + 1 {
        let printed = race(&[&wanted.to_string()]);
        let mut expected: Vec<_> =
            lines.iter().take(wanted).map(|line| format!("taken: {line}")).collect();
        expected.push(match lines.get(wanted) {
            Some(line) => {
                format!("stopped before line {}, which is still here: {line}", wanted + 1)
            }
            None => "that was all".into(),
        });
        assert!(printed.lines().eq(&expected), "{wanted}: {printed}");
    }
}

#[test]
fn a_missing_file_or_a_bad_number_is_an_error() {
    for args in [&[][..], &["/no/such/file"], &["Cargo.toml", "many"]] {
        let printed = run(example("select_race").args(args));
        assert!(!printed.status.success() && printed.stderr.starts_with("Error: "), "{args:?}");
    }
}
