//! `links` finds what a browser takes for a link.

use std::path::Path;

use crate::programs::{Finished, example, has_seen_enough_of, run, text, tree};

const BOTH: [&str; 2] = ["--with=produce", "--with=generate"];

fn links(with: &str, dir: &Path, files: &[&str]) -> Finished {
    run(example("links").arg(with).args(files).current_dir(dir))
}

#[test]
fn finds_what_a_browser_takes_for_a_link() {
    let page = "\u{feff}<!DOCTYPE html><title><a href=no></title>\n\
        <a href='quoted'><A HREF=large>x</A><a class=c href=second rel=r>\n\
        <a href=\"a?b&amp;c=&eacute;\"\n>the tag ends in the next line</a>\n\
        <a href=' /spaces\n and/lines '><a href=first href=no>\n\
        <!-- <a href=no> --><script>'<a href=no>' </a><a href=no></script>\n\
        <style><a href=no></style><textarea><a href=no></textarea>\n\
        <a><a name=no></a href=no><link href=no><abbr href=no><svg><a href=svg /></svg>\n\
        &lt;a href=no><a href=''><a href=no";
    let root = tree([("page.html", text(page)), ("empty.html", vec![])]);
    let expected = [
        "2: quoted",
        "2: large",
        "2: second",
        "4: a?b&c=\u{e9}",
        "6: /spaces and/lines",
        "6: first",
        "9: svg",
        "10: ",
    ];
    let expected: String = expected.map(|link| format!("page.html:{link}\n")).concat();
    for with in BOTH {
        let found = links(with, root.path(), &["empty.html", "page.html"]);
        assert_eq!(found.output(), expected, "{with}");
    }
    let found = run(example("links").arg("page.html").current_dir(root.path()));
    assert_eq!(found.output(), expected);
}

#[test]
fn finds_links_wherever_a_chunk_ends() {
    let page = |links: u32| -> Vec<u8> {
        let link = |n| format!("<p>\u{20ac}</p><a href='/\u{1f517}/{n}'>\u{e9}</a>\n");
        (1..=links).flat_map(|n| text(&link(n))).collect()
    };
    let mut broken = page(2000);
    broken.insert(0, 0xff); // and all the rest one byte on
    let root = tree([("a", page(2000)), ("b", broken), ("c", page(1))]);
    let expected = |file: &str, links: u32| -> String {
        (1..=links).map(|n| format!("{file}:{n}: /\u{1f517}/{n}\n")).collect()
    };
    let expected = expected("a", 2000) + &expected("b", 2000) + &expected("c", 1);
    for with in BOTH {
        assert_eq!(links(with, root.path(), &["a", "b", "c"]).output(), expected, "{with}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_line_and_status_2_in_the_end() {
    let root = tree([("page", text("<a href=x>")), ("dir/page", vec![])]);
    for with in BOTH {
        let found = links(with, root.path(), &["page", "nowhere", "dir", "page"]);
        assert_eq!(found.status.code(), Some(2), "{with}");
        assert_eq!(found.stdout, "page:1: x\npage:1: x\n", "{with}");
        let lines: Vec<_> = found.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{with}: {lines:?}");
        assert!(lines[0].starts_with("links: \"nowhere\": "), "{with}: {lines:?}");
        assert!(lines[1].starts_with("links: \"dir\": "), "{with}: {lines:?}");
    }
}

#[test]
fn ends_quietly_when_its_reader_has_seen_enough() {
    let page = (0..100_000).flat_map(|n| text(&format!("<a href={n}>\n"))).collect();
    let root = tree([("page", page)]);
    for with in BOTH {
        let mut links = example("links");
        links.arg(with).args(["page", "page"]).current_dir(root.path());
        assert_eq!(has_seen_enough_of(&mut links), "page:1: 0", "{with}");
    }
}

#[test]
fn bad_arguments_are_one_line_and_status_2() {
    let cases: [&[&str]; 5] =
        [&[], &["--with", "a thread", "f"], &["--with"], &["--with=generate"], &["-x", "f"]];
    for args in cases {
        let found = run(example("links").args(args));
        assert_eq!(found.status.code(), Some(2), "{args:?}");
        assert_eq!(found.stdout, "", "{args:?}");
        assert_eq!(found.stderr.lines().count(), 1, "{args:?}: {}", found.stderr);
        assert!(found.stderr.starts_with("links: "), "{args:?}: {}", found.stderr);
    }
}

#[test]
fn help_tells_every_option() {
    let help = run(example("links").arg("--help"));
    for option in ["FILE...", "--with produce|generate", "--help"] {
        assert!(help.output().contains(option), "{option}");
    }
}
