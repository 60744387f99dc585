//! `pool` parses all files, or says which worker died.

use std::ffi::OsStr;

use crate::programs::{Finished, example, has_seen_enough_of, run, text, tree};

fn pool<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Finished {
    run(example("pool").args(args))
}

fn sorted(printed: &Finished) -> Vec<&str> {
    let mut lines: Vec<_> = printed.stdout.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn counts_the_values_of_all_files() {
    let dir = tree([
        ("a.json", text(r#"{"a": [1, 2, {"b": null}], "c": "x"}"#)),
        ("deep/b.json", text("[]")),
        ("deep/c.json", text("true")),
        ("deep/not_json.txt", text("[1")),
    ]);
    let line =
        |file: &str, values: u32| format!("{}: {values} values", dir.path().join(file).display());
    for workers in ["1", "2", "9"] {
        let printed = pool([dir.path().as_os_str(), "--workers".as_ref(), workers.as_ref()]);
        printed.output();
        let expected = [line("a.json", 4), line("deep/b.json", 0), line("deep/c.json", 1)];
        assert_eq!(sorted(&printed), expected);
    }
}

#[test]
fn a_file_that_is_not_json_is_told_and_the_others_are_counted() {
    let dir = tree([("bad.json", text("[1,\n x]")), ("good.json", text("[1]"))]);
    let printed = pool([dir.path()]);
    assert_eq!((printed.status.code(), &*printed.stderr), (Some(1), ""));
    let path = |name: &str| dir.path().join(name).display().to_string();
    let expected = [
        format!("{}: expected value at line 2 column 2", path("bad.json")),
        format!("{}: 1 values", path("good.json")),
    ];
    assert_eq!(sorted(&printed), expected);
    let printed = pool([dir.path().join("missing")]);
    assert_eq!(printed.status.code(), Some(1));
    assert!(printed.stdout.contains("missing"));
}

#[test]
fn a_worker_that_dies_is_named_and_the_others_go_on() {
    let names: Vec<_> = (0..50).map(|number| format!("{number:02}.json")).collect();
    let dir = tree(names.iter().map(|name| (&**name, text("[1, 2]"))));
    for workers in ["2", "3", "8"] {
        let args = ["--workers", workers, "--panic-on", "17.json"];
        let printed = run(example("pool").arg(dir.path()).args(args));
        assert_eq!(printed.status.code(), Some(3), "{}", printed.stderr);
        assert_eq!(printed.stdout.lines().count(), 49);
        let named = printed.stderr.lines().find(|line| line.contains("has died")).unwrap();
        assert!(named.starts_with("pool: worker ") && named.contains("17.json"), "{named}");
        assert!(printed.stderr.contains("pool: the results are not complete"));
    }
}

#[test]
fn the_death_of_the_only_worker_ends_it() {
    let names: Vec<_> = (0..50).map(|number| format!("{number:02}.json")).collect();
    let dir = tree(names.iter().map(|name| (&**name, text("[1, 2]"))));
    let args = ["--workers", "1", "--panic-on", "17.json"];
    let printed = run(example("pool").arg(dir.path()).args(args));
    assert_eq!((printed.status.code(), printed.stdout.lines().count()), (Some(3), 17));
    assert!(printed.stderr.contains("pool: worker 1 has died: "));
}

#[test]
fn bad_arguments_are_one_line_and_status_2() {
    for args in [&["--workers", "0"][..], &["--panic-on"], &["a", "b"], &["--what"]] {
        let printed = pool(args);
        assert_eq!((printed.status.code(), &*printed.stdout), (Some(2), ""), "{args:?}");
        assert_eq!(printed.stderr.lines().count(), 1, "{args:?}");
    }
    assert!(pool(["--help"]).output().contains("--panic-on NAME"));
}

#[test]
fn ends_quietly_when_its_reader_has_seen_enough() {
    let names: Vec<_> = (0..3_000).map(|number| format!("{number:05}.json")).collect();
    let dir = tree(names.iter().map(|name| (&**name, text("1"))));
    let first = has_seen_enough_of(example("pool").arg(dir.path()));
    assert!(first.ends_with(": 1 values"));
}
