//! Real formats through a pipe, whole and cut short.

use std::io::{self, ErrorKind, Read, Write};

use super::*;
use crate::support::thread;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use handover::{Why, pipe};

fn text() -> Vec<u8> {
    (0..30_000)
        .flat_map(|n: u32| format!("line {}\n", n.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

#[test]
fn a_gzip_is_whole_only_if_its_writer_said_finish() {
    let _watchdog = Watchdog::new();
    for leaves_early in [false, true] {
        let (writer, reader) = pipe();
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut encoder = GzEncoder::new(writer, Compression::fast());
                let text = text();
                let (first, second) = text.split_at(100_000);
                encoder.write_all(first)?;
                if leaves_early {
                    // The encoder's drop writes a trailer: the gzip looks whole.
                    return Err(io::Error::other("the source broke"));
                }
                encoder.write_all(second)?;
                encoder.finish()?.finish()
            });
            let mut decoder = GzDecoder::new(reader);
            let mut read = Vec::new();
            decoder.read_to_end(&mut read).unwrap();
            let mut reader = decoder.into_inner();
            assert_eq!(read == text(), !leaves_early);
            match reader.finished().wait() {
                Ok(()) => assert!(!leaves_early),
                Err(error) => {
                    assert!(leaves_early);
                    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                    assert_eq!(reader.end(), Some(Why::Dropped));
                }
            }
        });
    }
}

#[test]
fn a_gzip_that_is_cut_in_the_middle_is_an_error_of_its_decoder() {
    let _watchdog = Watchdog::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&text()).unwrap();
    let gzip = encoder.finish().unwrap();
    for says_finish in [false, true] {
        let (mut writer, reader) = pipe();
        let half = &gzip[..gzip.len() / 2];
        thread::scope(|scope| {
            scope.spawn(move || {
                writer.write_all(half).unwrap();
                if says_finish {
                    writer.finish().unwrap();
                }
            });
            let mut decoder = GzDecoder::new(reader);
            let error = decoder.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            assert_eq!(decoder.into_inner().finished().wait().is_ok(), says_finish);
        });
    }
}

#[test]
fn records_of_a_csv_on_a_thread() {
    let _watchdog = Watchdog::new();
    for &by in By::ALL {
        let (mut writer, reader) = pipe();
        thread::scope(|scope| {
            scope.spawn(move || {
                let rows: String = (0..5_000).map(|n| format!("{n},\"row, {n}\"\n")).collect();
                by.how().drive(async {
                    by.write_all(&mut writer, b"id,name\n", 3).await.unwrap();
                    by.write_all(&mut writer, rows.as_bytes(), 1_400).await.unwrap();
                    by.finish(writer).await.unwrap();
                });
            });
            let mut records = csv::Reader::from_reader(reader);
            let rows: Vec<(u32, String)> = records.deserialize().collect::<Result<_, _>>().unwrap();
            assert!(rows.into_iter().eq((0..5_000).map(|n| (n, format!("row, {n}")))));
        });
    }
}

#[test]
fn a_csv_that_is_cut_short_between_two_rows_is_an_error() {
    let _watchdog = Watchdog::new();
    let (mut writer, reader) = pipe();
    thread::spawn(move || writer.write_all(b"id\n1\n2\n"));
    let rows: Vec<_> = csv::Reader::from_reader(reader).into_records().collect();
    assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 2);
    assert!(rows.last().unwrap().is_err(), "no `finish`");
}

#[test]
fn files_of_a_tar_on_a_thread() {
    let _watchdog = Watchdog::new();
    let (writer, reader) = pipe();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut archive = tar::Builder::new(writer);
            for n in 0..20_usize {
                let data = pattern(n * 1_234);
                let mut header = tar::Header::new_gnu();
                header.set_size(data.len() as u64);
                archive.append_data(&mut header, format!("file-{n}"), &data[..]).unwrap();
            }
            archive.into_inner().unwrap().finish()
        });
        let mut archive = tar::Archive::new(reader);
        let mut n = 0;
        for entry in archive.entries().unwrap() {
            let (mut entry, mut data) = (entry.unwrap(), Vec::new());
            entry.read_to_end(&mut data).unwrap();
            assert!(entry.path_bytes().as_ref() == format!("file-{n}").as_bytes());
            assert!(data == pattern(n * 1_234));
            n += 1;
        }
        assert_eq!(n, 20);
        archive.into_inner().finished().wait().unwrap();
    });
}
