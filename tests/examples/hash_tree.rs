//! `hash_tree` prints what sha256sum prints.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{Finished, example, has_seen_enough_of, run, text, tree};
use sha2::{Digest, Sha256};

fn hash_tree<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Finished {
    run(example("hash_tree").args(args))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes with 1, 2 and 9 threads: always the same.
#[track_caller]
fn hashed(dir: &Path) -> String {
    let by = |threads: &str| {
        hash_tree([dir.as_os_str(), "--threads".as_ref(), threads.as_ref()]).output().to_owned()
    };
    let one = by("1");
    assert_eq!(by("2"), one);
    assert_eq!(by("9"), one);
    one
}

/// The output of sha256sum for the files, in the order of their paths.
#[cfg(target_os = "linux")]
fn by_sha256sum(dir: &Path, files: &[&str]) -> String {
    let mut paths: Vec<PathBuf> = files.iter().map(|file| dir.join(file)).collect();
    paths.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    run(Command::new("sha256sum").args(paths)).output().to_owned()
}

#[test]
fn prints_what_it_hashes_in_the_order_of_the_paths() {
    let dir = tree([
        ("b", text("second")),
        ("a/inner", text("behind a.txt")),
        ("a.txt", text("first")),
        ("c/empty", Vec::new()),
    ]);
    let line = |file: &str, bytes: &str| {
        format!("{}  {}\n", sha256(bytes.as_bytes()), dir.path().join(file).display())
    };
    let expected = [
        line("a.txt", "first"),
        line("a/inner", "behind a.txt"),
        line("b", "second"),
        line("c/empty", ""),
    ];
    assert_eq!(hashed(dir.path()), expected.concat());
}

#[cfg(target_os = "linux")]
#[test]
fn equals_sha256sum() {
    let files =
        ["a", "a b/c", "a-b", "a.b/d/e", "line\nbreak", r"back\slash", "return\r", "z/large"];
    let dir = tree(
        files.map(|file| (file, file.repeat(if file == "z/large" { 300_000 } else { 1 }).into())),
    );
    assert_eq!(hashed(dir.path()), by_sha256sum(dir.path(), &files));
}

#[cfg(target_os = "linux")]
#[test]
fn equals_sha256sum_over_many_files() {
    let names: Vec<_> = (0..700).map(|n| format!("{}/{}/{n}", n % 7, n % 3)).collect();
    let dir = tree(names.iter().map(|name| (&**name, name.repeat(name.len() * 40).into())));
    let files: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(hashed(dir.path()), by_sha256sum(dir.path(), &files));
}

#[test]
fn an_empty_directory_has_no_lines() {
    assert_eq!(hashed(tree([]).path()), "");
}

#[test]
fn a_file_can_be_named_itself() {
    let dir = tree([("file", text("x")), ("other", text("y"))]);
    let path = dir.path().join("file");
    assert_eq!(hashed(&path), format!("{}  {}\n", sha256(b"x"), path.display()));
}

#[cfg(unix)]
#[test]
fn the_current_directory_is_the_default_and_links_are_not_followed() {
    let dir = tree([("file", text("x"))]);
    std::os::unix::fs::symlink(dir.path().join("file"), dir.path().join("link")).unwrap();
    let printed = run(example("hash_tree").current_dir(dir.path()));
    assert_eq!(printed.output(), format!("{}  ./file\n", sha256(b"x")));
}

#[test]
fn names_what_cannot_be_read_and_goes_on() {
    let dir = tree([("a", text("x")), ("z", text("y"))]);
    let missing = dir.path().join("missing");
    let printed = hash_tree([&missing]);
    assert_eq!((printed.status.code(), &*printed.stdout), (Some(1), ""));
    assert!(printed.stderr.starts_with("hash_tree: ") && printed.stderr.contains("missing"));
    assert_eq!(printed.stderr.lines().count(), 1);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let locked = dir.path().join("locked");
        fs::write(&locked, "secret").unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o0)).unwrap();
        if fs::read(&locked).is_ok() {
            return; // root reads everything
        }
        let printed = hash_tree([dir.path()]);
        assert_eq!((printed.status.code(), printed.stdout.lines().count()), (Some(1), 2));
        assert!(printed.stderr.contains("locked"));
    }
}

#[test]
fn bad_arguments_are_one_line_and_status_2() {
    for args in [&["--threads", "0"][..], &["--threads"], &["a", "b"], &["--what"]] {
        let printed = hash_tree(args);
        assert_eq!((printed.status.code(), &*printed.stdout), (Some(2), ""), "{args:?}");
        assert_eq!(printed.stderr.lines().count(), 1, "{args:?}");
    }
    assert!(hash_tree(["--help"]).output().contains("--threads N"));
}

/// The collector leaves, then the hashers, then the walker.
#[test]
fn ends_quietly_when_its_reader_has_seen_enough() {
    let names: Vec<_> = (0..3_000).map(|n| format!("{n:05}")).collect();
    let dir = tree(names.iter().map(|name| (&**name, text(name))));
    let first = has_seen_enough_of(example("hash_tree").arg(dir.path()));
    assert!(first.starts_with(&sha256(b"00000")));
}
