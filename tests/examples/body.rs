//! `body` shows each client whether its response is complete.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::programs::{
    Finished, aside, example, has_seen_enough_of, in_time, promised, run, text, tree,
};

const WAYS: [&str; 2] = ["produce", "batches"];

fn body<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Finished {
    run(example("body").args(args))
}

/// A file of so many lines, and what the client gets of it.
fn file(lines: usize) -> (tempfile::TempDir, String, Vec<String>) {
    let numbers = || (1..=lines).map(|number| format!("the {number}th \"line\" \u{e9}"));
    let dir = tree([("file", numbers().flat_map(|line| text(&format!("{line}\n"))).collect())]);
    let path = dir.path().join("file").to_str().unwrap().to_owned();
    let rows = (1..).zip(numbers());
    let rows =
        rows.map(|(number, line)| serde_json::json!({ "line": number, "text": line }).to_string());
    (dir, path, rows.collect())
}

#[test]
fn prints_what_its_header_says() {
    let source = include_str!("../../examples/body.rs");
    let dir = tree([("file", text("to be\nor not\n"))]);
    for with in WAYS {
        let path = dir.path().join("file");
        let printed = body(["--with".as_ref(), with.as_ref(), path.as_os_str()]);
        assert_eq!(printed.output(), promised(source));
    }
}

#[test]
fn a_body_whose_producer_is_through_is_complete() {
    for lines in [0, 1, 63, 64, 65, 1_000] {
        let (_dir, path, rows) = file(lines);
        for with in WAYS {
            let printed = body(["--with", with, &path]);
            assert!(printed.output().lines().eq(&rows), "{lines} {with}");
        }
    }
}

#[test]
fn a_body_whose_producer_failed_is_not() {
    let (_dir, path, rows) = file(200);
    for fail_at in [1, 2, 64, 65, 128, 129, 200] {
        for with in WAYS {
            let printed = body(["--with", with, "--fail-at", &fail_at.to_string(), &path]);
            assert_eq!(printed.status.code(), Some(1), "{fail_at} {with}");
            assert!(printed.stdout.lines().eq(&rows[..fail_at - 1]), "{fail_at} {with}");
            let complaints = ["failure at line", "was broken off", "body is not complete"];
            assert!(
                complaints.iter().all(|text| printed.stderr.contains(text)),
                "{}",
                printed.stderr
            );
        }
    }
}

#[test]
fn a_line_that_is_no_text_is_a_failure() {
    let dir = tree([("file", b"good\n\xff\nbehind it\n".to_vec())]);
    for with in WAYS {
        let path = dir.path().join("file");
        let printed = body(["--with".as_ref(), with.as_ref(), path.as_os_str()]);
        assert_eq!(printed.status.code(), Some(1));
        assert_eq!(printed.stdout, "{\"line\":1,\"text\":\"good\"}\n");
    }
}

/// The bytes themselves, as a client gets them that knows nothing of this program.
#[test]
fn a_last_chunk_is_sent_only_after_a_whole_body() {
    let (_dir, path, _) = file(100);
    for with in WAYS {
        for (fail_at, is_whole) in [("1000", true), ("100", false), ("1", false)] {
            let mut command = example("body");
            command.args(["--serve", "--with", with, "--fail-at", fail_at, &path]);
            let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
            let address = in_time(&mut server, aside(move || lines.next().unwrap().unwrap()));
            let address = address["http://".len()..].trim_end_matches('/').to_owned();
            // One client after the other, and one that leaves early.
            for _ in 0..2 {
                drop(TcpStream::connect(&address).unwrap());
                let mut socket = TcpStream::connect(&address).unwrap();
                socket.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
                let response = aside(move || {
                    let mut bytes = Vec::new();
                    socket.read_to_end(&mut bytes).map(|_| String::from_utf8(bytes).unwrap())
                });
                let response = in_time(&mut server, response).unwrap();
                assert!(response.starts_with("HTTP/1.1 200 OK\r\n"));
                assert_eq!(response.ends_with("\r\n0\r\n\r\n"), is_whole, "{with} {fail_at}");
            }
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }
}

#[test]
fn bad_arguments_are_one_line_and_status_2() {
    let (_dir, path, _) = file(1);
    let cases: [&[&str]; 6] = [
        &[],
        &["/nowhere"],
        &[&path, &path],
        &["--with", "magic", &path],
        &["--fail-at", "soon", &path],
        &["--what"],
    ];
    for args in cases {
        let printed = body(args);
        assert_eq!((printed.status.code(), &*printed.stdout), (Some(2), ""), "{args:?}");
        assert_eq!(printed.stderr.lines().count(), 1, "{args:?}");
    }
    let help = body(["--help"]);
    for option in ["--with", "--fail-at N", "--serve", "FILE"] {
        assert!(help.output().contains(option), "{option}");
    }
}

#[test]
fn ends_quietly_when_its_reader_has_seen_enough() {
    let (_dir, path, rows) = file(20_000);
    let mut command = example("body");
    command.arg(&path);
    assert_eq!(has_seen_enough_of(&mut command), rows[0]);
}
