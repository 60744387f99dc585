//! `gzip_body` and `csv_download`: real formats through a pipe, and what a cut in the middle looks like.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread;

use flate2::read::GzDecoder;

use crate::programs::{Finished, aside, example, promised, run, text, tree};

/// `gzip_body`, until it is dropped.
struct Service(Child, String);

impl Service {
    fn of(file: &std::path::Path) -> Self {
        let mut child = example("gzip_body")
            .arg(file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self(child, url.trim_end().to_owned())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Serves these bytes to one client, as they are.
fn serve_raw(response: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/table", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = BufReader::new(connection.try_clone().unwrap()).lines();
        while request.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        _ = connection.write_all(&response);
    });
    url
}

fn download(url: &str, column: &str) -> Finished {
    run(example("csv_download").args([url, column]))
}

fn table(rows: usize) -> String {
    (0..rows).fold(String::from("id,price\n"), |table, n| table + &format!("{n},{}.5\n", n % 100))
}

fn plain(body: &str, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

#[test]
fn a_packed_table_is_served_and_added_up() {
    let dir = tree([("table", table(200_000).into_bytes())]);
    let service = Service::of(&dir.path().join("table"));
    for _ in 0..2 {
        let found = download(&service.1, "price");
        assert_eq!(found.output(), "200000 rows, price: 10000000\n");
    }
    assert_eq!(download(&service.1, "id").output(), "200000 rows, id: 19999900000\n");
}

#[test]
fn prints_what_its_header_says() {
    let promised = promised(include_str!("../../examples/csv_download.rs"));
    let body = "name,price\npen,2.25\n\"ink, blue\",5\n";
    let url = serve_raw(plain(body, body.len()));
    assert_eq!(download(&url, "price").output(), promised);
}

#[test]
fn what_is_wrong_is_told_and_nothing_hangs() {
    let body = table(3);
    let cases = [
        (plain(&body, body.len() + 1), "price", "end of file"),
        (plain(&body, body.len()), "weight", "no column `weight`"),
        (plain("a,b\n1,2\n1,2,3\n", 14), "a", "found record with 3 fields"),
        (plain("a\n1\nx\n", 6), "a", "row 2: `x`"),
        (text("HTTP/1.1 404 Not Found\r\n\r\n"), "a", "404 Not Found"),
        (
            text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na\n1\n\r\n"),
            "a",
            "end of file",
        ),
        (text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "a", "`zz`"),
        (text("HTTP/1.1 200 OK\r\n\r\na\n1\n"), "a", "unknown length"),
        (text(""), "a", "end of file"),
    ];
    for (response, column, complaint) in cases {
        let found = download(&serve_raw(response), column);
        assert_eq!((found.status.code(), found.stdout.as_str()), (Some(1), ""), "{complaint}");
        assert!(found.stderr.contains(complaint), "{}", found.stderr);
    }
    // A table that is wrong at its beginning, and long: the download ends at once.
    let long = "a\nx\n".to_owned() + &"1\n".repeat(3_000_000);
    let found = download(&serve_raw(plain(&long, long.len())), "a");
    assert!(found.stderr.contains("row 1: `x`"), "{}", found.stderr);
    assert_eq!(run(&mut example("csv_download")).status.code(), Some(2));
    assert_eq!(download("ftp://somewhere", "a").status.code(), Some(1));
    assert_eq!(run(example("gzip_body").arg("no such file")).status.code(), Some(1));
}

#[test]
fn a_client_that_reads_nothing_and_leaves_ends_the_packing() {
    // Random digits, so that the gzip is long.
    let mut state = 1_u64;
    let digits = (0..8_000_000).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    });
    let dir = tree([("file", digits.collect())]);
    let service = Service::of(&dir.path().join("file"));
    let address = service.1.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    for _ in 0..3 {
        let mut client = TcpStream::connect(&address).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        client.read_exact(&mut [0; 100]).unwrap();
    }
    // It serves on, and the whole file comes to a client that reads.
    let whole = aside(move || {
        let mut client = TcpStream::connect(&address).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut response = Vec::new();
        client.read_to_end(&mut response).unwrap();
        response
    });
    let response = whole.recv_timeout(crate::programs::LIMIT).unwrap();
    let at = response.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let (mut body, mut rest) = (Vec::new(), &response[at..]);
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let length =
            usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if length == 0 {
            break;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + length]);
        rest = &rest[line + 4 + length..];
    }
    let mut unpacked = Vec::new();
    GzDecoder::new(&body[..]).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == std::fs::read(dir.path().join("file")).unwrap());
}
