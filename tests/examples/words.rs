//! `words` counts what grep counts.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, iter};

use crate::programs::{Finished, example, has_seen_enough_of, in_time, run, text, text_of, tree};

use words_itself::{BATCH, CHUNK};

/// The counting half of `words`, to try it against readers that fail.
#[allow(dead_code)]
#[path = "../../examples/words.rs"]
mod words_itself;

fn words<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Finished {
    run(example("words").args(args))
}

#[derive(Debug, PartialEq)]
struct Counted {
    top: Vec<(String, u64)>,
    files: u64,
    skipped: u64,
    words: u64,
    distinct: u64,
    bytes: u64,
}

/// All words below `dir`, from the JSON document. In one thread it must come to the same.
fn count(dir: &Path) -> Counted {
    let args = [dir.as_os_str(), "--json".as_ref(), "--top=1000000000".as_ref()];
    let counted = parse(words(args).output());
    let alone = words(args.into_iter().chain(["--single".as_ref()]));
    assert_eq!(parse(alone.output()), counted);
    assert_eq!(handovers(alone.output()), (0, 0.0));
    counted
}

/// How many hand-overs there were, and items in each.
fn handovers(json: &str) -> (u64, f64) {
    let document: serde_json::Value = serde_json::from_str(json).unwrap();
    let items = document["items_per_handover"].as_f64().unwrap();
    (document["handovers"].as_u64().unwrap(), items)
}

fn parse(json: &str) -> Counted {
    let document: serde_json::Value = serde_json::from_str(json).unwrap();
    let number = |name: &str| document[name].as_u64().unwrap();
    assert!(document["seconds"].as_f64().unwrap() > 0.0);
    let keys: BTreeSet<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["bytes", "distinct", "files", "handovers", "items_per_handover", "seconds"];
    assert!(keys.iter().eq(expected.iter().chain(&["skipped", "top", "words"])));
    let top = document["top"].as_array().unwrap().iter();
    let top = top.map(|entry| {
        (entry["word"].as_str().unwrap().to_owned(), entry["count"].as_u64().unwrap())
    });
    Counted {
        top: top.collect(),
        files: number("files"),
        skipped: number("skipped"),
        words: number("words"),
        distinct: number("distinct"),
        bytes: number("bytes"),
    }
}

/// The same from grep, over the files that should be counted.
fn count_with_grep(dir: &Path, files: &[&str], skipped: u64) -> Counted {
    let paths: Vec<PathBuf> = files.iter().map(|file| dir.join(file)).collect();
    let mut grep = Command::new("grep");
    let found = run(grep.env("LC_ALL", "C").args(["-aohE", "[A-Za-z0-9_]+"]).args(&paths));
    assert_eq!(found.stderr, "");
    let mut counts = BTreeMap::<_, u64>::new();
    for word in found.stdout.lines() {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    let mut top: Vec<_> = counts.into_iter().collect();
    top.sort_by_key(|(_, count)| u64::MAX - count);
    Counted {
        files: files.len() as u64,
        skipped,
        words: top.iter().map(|(_, count)| count).sum(),
        distinct: top.len() as u64,
        bytes: paths.iter().map(|path| path.metadata().unwrap().len()).sum(),
        top,
    }
}

/// Words of many lengths without a regular beat, so that buffers end anywhere in them.
fn prose(len: usize) -> Vec<u8> {
    let mut seed = 1_u32;
    let mut step = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 16
    };
    let mut text = Vec::new();
    while text.len() < len {
        let word = format!("w{}_{}", step() % 500, "x".repeat(step() as usize % 12));
        text.extend_from_slice(word.as_bytes());
        text.extend_from_slice([" ", "\n", "--", "\u{e9}"][step() as usize % 4].as_bytes());
    }
    text
}

#[cfg(unix)]
#[test]
fn counts_what_grep_counts() {
    let late_nul = [vec![b'n'; 8 << 10], text("\0 late nul")].concat();
    let early_nul = [vec![b'n'; (8 << 10) - 1], text("\0 early nul")].concat();
    let one_word = vec![b'W'; 3 * CHUNK + 17];
    let root = tree([
        ("plain", text("The cat, the dog; the_end 42 -- the\n")),
        ("empty", vec![]),
        ("no_newline_at_its_end", text("ends open")),
        ("no_newline_at_its_start", text("starts open")),
        ("latin_1", b"caf\xe9 na\xefve \xff\xfe the\x80the".to_vec()),
        ("deep/er/and/deeper", text("down the well")),
        ("prose", prose(5 * CHUNK)),
        ("one_line", iter::repeat_n(text("on and on "), CHUNK / 4).flatten().collect()),
        ("one_word", one_word),
        ("exactly_a_head", vec![b'h'; 8 << 10]),
        ("exactly_a_chunk", vec![b'c'; CHUNK]),
        ("no_words", vec![b'-'; CHUNK + 1]),
        ("late_nul", late_nul),
        ("target_practice/in", text("not left out")),
        (".hidden", text("not left out either")),
        // From here on nothing counts.
        ("early_nul", early_nul),
        ("binary", b"\x7fELF\0\0\0 the".to_vec()),
        ("target/left_out", text("the the")),
        ("deep/target/debug/left_out", text("the the")),
        (".git/left_out", text("the the")),
        ("deep/.git/left_out", text("the the")),
    ]);
    std::os::unix::fs::symlink(root.path().join("plain"), root.path().join("link")).unwrap();
    std::os::unix::fs::symlink(root.path(), root.path().join("deep/loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.path().join("dangling")).unwrap();
    let files = [
        "plain",
        "empty",
        "no_newline_at_its_end",
        "no_newline_at_its_start",
        "latin_1",
        "deep/er/and/deeper",
        "prose",
        "one_line",
        "one_word",
        "exactly_a_head",
        "exactly_a_chunk",
        "no_words",
        "late_nul",
        "target_practice/in",
        ".hidden",
    ];
    assert_eq!(count(root.path()), count_with_grep(root.path(), &files, 2));
}

#[cfg(unix)]
#[test]
fn counts_words_wherever_a_buffer_ends() {
    // One byte more before the same text each time: every word meets the end of a buffer.
    for shift in 0..40 {
        let root = tree([("file", [vec![b'-'; CHUNK - 30 + shift], prose(60)].concat())]);
        assert_eq!(count(root.path()), count_with_grep(root.path(), &["file"], 0), "{shift}");
    }
}

#[test]
fn never_joins_words_of_two_files() {
    let names: Vec<_> = (0..300).map(|n| n.to_string()).collect();
    let root = tree(names.iter().map(|name| (name.as_str(), text("word"))));
    assert_eq!(count(root.path()).top, [("word".to_owned(), 300)]);
}

#[test]
fn an_empty_directory_has_no_words() {
    let root = tree([]);
    let nothing = Counted { top: vec![], files: 0, skipped: 0, words: 0, distinct: 0, bytes: 0 };
    assert_eq!(count(root.path()), nothing);
    assert!(words([root.path()]).output().trim_start().starts_with("0 files\n"));
}

#[test]
fn a_file_can_be_named_itself() {
    let root = tree([("target/file", text("one two one"))]);
    assert_eq!(count(&root.path().join("target/file")).words, 3);
    assert_eq!(count(&root.path().join("target")).words, 3);
    assert_eq!(count(root.path()).words, 0);
}

#[test]
fn the_current_directory_is_the_default() {
    let root = tree([("file", text("here"))]);
    let found = run(example("words").arg("--json").current_dir(root.path()));
    assert_eq!(parse(found.output()).top, [("here".to_owned(), 1)]);
}

#[test]
fn prints_the_most_frequent_words_and_a_summary() {
    let root = tree([("file", text("b a c b a d b")), ("binary", vec![0])]);
    let found = words([root.path().as_os_str(), "--top".as_ref(), "3".as_ref()]);
    let (exact, timed) = found.output().split_at(found.stdout.find("0.00 MiB").unwrap());
    let lines: Vec<_> = exact.lines().map(str::trim).collect();
    let expected =
        ["3 b", "2 a", "1 c", "", "1 files", "1 skipped files", "7 words", "4 distinct words", ""];
    assert_eq!(lines, expected);
    let units: Vec<_> = timed.lines().map(|line| line.split_whitespace().nth(1)).collect();
    let expected = ["MiB", "seconds", "MiB/s", "handovers", "items"].map(Some);
    assert_eq!(units, expected);
    assert!(timed.ends_with(" 1 handovers\n      1.00 items per handover\n"), "{timed}");
}

#[test]
fn hands_over_a_batch_at_a_time() {
    // Each time one byte goes to what keeps files apart; the last chunk has what is left.
    for (chunks, handovers_expected) in [(1, 1), (BATCH, 1), (BATCH + 1, 2), (3 * BATCH, 3)] {
        let root = tree([("file", vec![b'-'; chunks * CHUNK - 10_000])]);
        let (handovers, items) =
            handovers(words([root.path().as_os_str(), "--json".as_ref()]).output());
        assert_eq!(handovers, handovers_expected);
        assert_eq!(items, chunks as f64 / handovers as f64);
    }
}

#[test]
fn the_twenty_most_frequent_words_are_the_default() {
    let root = tree([("file", (0..100).flat_map(|n| text(&format!("w{n:02} "))).collect())]);
    let found = words([root.path()]);
    let top: Vec<_> = found.output().lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(top.len(), 20);
    assert_eq!((top[0].trim(), top[19].trim()), ("1 w00", "1 w19")); // ties by word
    let none = words([root.path().as_os_str(), "--top".as_ref(), "0".as_ref()]);
    assert!(none.output().trim_start().starts_with("1 files\n"));
}

/// A file that cannot be opened because its path is too long. Permissions would not stop every user.
#[cfg(unix)]
#[test]
fn names_and_skips_what_cannot_be_read() {
    let root = tree([("readable", text("seen"))]);
    let long = "d".repeat(200);
    let mut deepest = root.path().canonicalize().unwrap();
    let path_max = if cfg!(target_os = "linux") { 4096 } else { 1024 };
    while deepest.as_os_str().len() + 1 + long.len() < path_max {
        deepest.push(&long);
    }
    fs::create_dir_all(&deepest).unwrap();
    let name = |kind: &str| format!("{kind}_{}", "n".repeat(230));
    let (file, dir) = (name("file"), name("dir"));
    let script = "echo unseen >\"$0\" && mkdir \"$1\"";
    let made = run(Command::new("sh").args(["-c", script, &file, &dir]).current_dir(&deepest));
    assert_eq!(made.output(), "");

    let top = deepest.ancestors().find(|path| path.join("readable").exists()).unwrap();
    let found = words([top.as_os_str(), "--json".as_ref()]);
    assert!(found.status.success());
    let counted = parse(&found.stdout);
    assert_eq!(counted.top, [("seen".to_owned(), 1)]);
    assert_eq!((counted.files, counted.skipped), (1, 2));
    assert_eq!(found.stderr.lines().count(), 2, "{}", found.stderr);
    assert!(found.stderr.contains(&file) && found.stderr.contains(&dir), "{}", found.stderr);
}

#[test]
fn bad_arguments_are_one_line_and_status_2() {
    let root = tree([]);
    let nowhere = root.path().join("nowhere");
    let cases: [&[&OsStr]; 9] = [
        &[nowhere.as_ref()],
        &["--frequent".as_ref()],
        &["-x".as_ref()],
        &["--top".as_ref()],
        &["--top=many".as_ref()],
        &["--top=-1".as_ref()],
        &["--json=yes".as_ref()],
        &["--single=1".as_ref()],
        &[root.path().as_ref(), root.path().as_ref()],
    ];
    for args in cases {
        let found = words(args);
        assert_eq!(found.status.code(), Some(2), "{args:?}");
        assert_eq!(found.stdout, "", "{args:?}");
        assert_eq!(found.stderr.lines().count(), 1, "{args:?}: {}", found.stderr);
        assert!(found.stderr.starts_with("words: "), "{args:?}: {}", found.stderr);
    }
}

#[test]
fn help_tells_every_option() {
    let help = words(["--help"]);
    for option in ["DIR", "--top N", "--json", "--single", "--help"] {
        assert!(help.output().contains(option), "{option}");
    }
}

#[test]
fn ends_quietly_when_its_reader_has_seen_enough() {
    // More output than a pipe holds: it is still being written when the reader goes.
    let root = tree([("file", (0..100_000).flat_map(|n| text(&format!("w{n} "))).collect())]);
    let first = has_seen_enough_of(example("words").arg(root.path()).arg("--top=100000"));
    assert_eq!(first.trim(), "1 w0");
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let root = tree([("file", text("word"))]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut child =
        example("words").arg(root.path()).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = text_of(child.stderr.take().unwrap());
    let stderr = in_time(&mut child, stderr);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

mod a_count_is_complete_or_an_error {
    use super::words_itself::{Chunk, Tally, count};
    use crate::programs::LIMIT;
    use crate::programs::aside;
    use handover::{Why, Writer, stream};
    use std::panic;

    /// Counts what `read` writes: the files by the last tally.
    fn count_from(read: fn(Writer<Chunk>)) -> Result<u64, Why> {
        let (writer, reader) = stream();
        let _reading = aside(move || read(writer));
        let counted = aside(|| pollster::block_on(count(reader, |_| {})));
        counted.recv_timeout(LIMIT).expect("an end").map(|counted| counted.tally.files)
    }

    fn chunk(files: u64) -> Chunk {
        Chunk::new(b"some words".into(), Tally { files, ..Tally::default() })
    }

    #[test]
    fn finished() {
        let files = count_from(|mut writer| {
            writer.write([chunk(1), chunk(2)]).wait().unwrap();
            writer.finish().unwrap();
        });
        assert_eq!(files, Ok(2));
    }

    #[test]
    fn a_writer_that_is_dropped_is_told() {
        let files = count_from(|mut writer| writer.send(chunk(1)).wait().unwrap());
        assert_eq!(files, Err(Why::Dropped));
    }

    #[test]
    fn panicked() {
        let files = count_from(|mut writer| {
            writer.send(chunk(1)).wait().unwrap();
            panic::resume_unwind(Box::new("quietly"));
        });
        assert_eq!(files, Err(Why::Panicked));
    }

    #[test]
    fn panicked_between_two_chunks() {
        let files = count_from(|mut writer| {
            let mut chunks = 0..3;
            let panicking = std::iter::from_fn(move || match chunks.next() {
                Some(2) | None => panic::resume_unwind(Box::new("quietly")),
                Some(files) => Some(chunk(files)),
            });
            _ = writer.write(panicking).wait();
        });
        assert_eq!(files, Err(Why::Panicked));
    }
}
