//! Models of examples, as a user writes them: the programs are those of `examples/`, with the threads of `handover::model` in place of std's.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use handover::model::{self, FailureKind, Model, Panics, Schedule, schedules};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{plain, watched};

#[path = "../../examples/hash_tree.rs"]
#[allow(dead_code, unreachable_pub)]
mod hash_tree;
#[path = "../../examples/links.rs"]
#[allow(dead_code, unreachable_pub)]
mod links;
#[path = "../../examples/pool.rs"]
#[allow(dead_code, unreachable_pub)]
mod pool;

/// A directory with these files.
fn tree(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// An output that breaks after so many writes.
struct Breaks(usize);

impl Write for Breaks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

mod the_pool {
    use super::pool::{Status, parse_dir};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

        #[test]
        fn tells_of_all_files(workers in 1..4_usize, files in 0..4_usize, s in schedules(15)) {
            let names: Vec<_> = (0..files).map(|n| format!("{n}.json")).collect();
            let texts: Vec<_> = names.iter().map(|name| (&**name, "[1, 2]")).collect();
            let dir = tree(&texts);
            let printed = model::check(&s, || {
                let mut out = Vec::new();
                let report = parse_dir(dir.path(), workers, None, &mut out).unwrap();
                assert_eq!((report.status, report.complaints.len()), (Status::AllParsed, 0));
                String::from_utf8(out).unwrap()
            })?;
            let lines: BTreeSet<_> = printed.lines().collect();
            prop_assert_eq!(lines.len(), files);
            prop_assert!(lines.iter().all(|line| line.ends_with(": 2 values")));
        }
    }

    #[test]
    fn names_the_worker_that_died_in_every_order() {
        watched(|| {
            let dir = tree(&[("a.json", "1"), ("b.json", "2"), ("c.json", "3")]);
            let model = Model::new().panics(Panics::Join);
            let body = || {
                let mut out = Vec::new();
                let deadly = Some(OsStr::new("b.json"));
                let report = parse_dir(dir.path(), 2, deadly, &mut out).unwrap();
                assert_eq!(report.status, Status::Incomplete);
                assert_eq!(report.complaints.len(), 2, "{:?}", report.complaints);
                assert!(report.complaints[0].starts_with("worker "));
                let printed = String::from_utf8(out).unwrap();
                assert_eq!(printed.lines().count(), 2, "the other worker goes on: {printed}");
            };
            model.exhaust(1, body).unwrap();
            model.check(&Schedule::random(3, 300), body).unwrap();
        });
    }

    #[test]
    fn ends_when_its_output_breaks() {
        watched(|| {
            let dir = tree(&[("a.json", "1"), ("b.json", "2"), ("c.json", "3")]);
            let body = || {
                let failed = parse_dir(dir.path(), 2, None, Breaks(model::choose(3)));
                assert!(failed.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe));
            };
            Model::new().exhaust(1, body).unwrap();
            model::check(&Schedule::random(4, 300), body).unwrap();
        });
    }
}

mod the_hash_tree {
    use super::hash_tree::{Failure, hash_dir};
    use super::*;

    #[test]
    fn prints_in_order_whoever_is_faster() {
        watched(|| {
            let dir = tree(&[("a", "x"), ("b", ""), ("c", "y")]);
            let in_order = model::check(&plain(), || {
                let mut out = Vec::new();
                assert!(!hash_dir(dir.path(), 1, &mut out).unwrap_or(true));
                out
            });
            let in_order = in_order.unwrap();
            let body = || {
                let mut out = Vec::new();
                assert!(!hash_dir(dir.path(), 2, &mut out).unwrap_or(true));
                assert_eq!(out, in_order);
            };
            Model::new().exhaust(1, body).unwrap();
            model::check(&Schedule::random(5, 300), body).unwrap();
        });
    }

    #[test]
    fn ends_when_its_output_breaks() {
        watched(|| {
            let dir = tree(&[("a", "x"), ("b", ""), ("c", "y")]);
            let body = || match hash_dir(dir.path(), 2, Breaks(model::choose(3))) {
                Err(Failure::Output(_)) => {}
                _ => panic!("the output is broken"),
            };
            Model::new().exhaust(1, body).unwrap();
            model::check(&Schedule::random(6, 300), body).unwrap();
        });
    }
}

mod the_links {
    use super::links::{Found, with_generate, with_produce};
    use super::*;

    fn hrefs(found: impl Iterator<Item = Found>) -> Vec<String> {
        found.map(|found| found.map_or("unreadable".to_string(), |link| link.href)).collect()
    }

    fn pages(dir: &TempDir) -> Vec<PathBuf> {
        ["one.html", "missing.html", "two.html"].iter().map(|name| dir.path().join(name)).collect()
    }

    #[test]
    fn a_reader_that_stops_leaves_no_parser_behind() {
        watched(|| {
            let dir = tree(&[("one.html", "<a href=1><a href=2>"), ("two.html", "<a href=3>")]);
            let body = || {
                let wanted = model::choose(6);
                let produced = hrefs(with_produce(pages(&dir)).take(wanted));
                let generated = hrefs(with_generate(pages(&dir)).take(wanted));
                assert_eq!(produced, generated);
                let all = ["1", "2", "unreadable", "3"];
                assert_eq!(produced, all[..wanted.min(4)]);
            };
            Model::new().exhaust(2, body).unwrap();
            model::check(&Schedule::random(7, 300), body).unwrap();
        });
    }
}

/// A worker that says `finish` too early, before it has handed over its last result: the pool then tells of an end that is none.
#[test]
fn a_fault_that_is_planted_in_the_pool_is_found() {
    let failure = watched(|| {
        model::check(&Schedule::random(8, 300), || {
            let (jobs, free) = handover::rendezvous::<u32>();
            let (results, collected) = handover::rendezvous();
            let workers: Vec<_> = (0..2)
                .map(|_| {
                    let (free, results) = (free.clone(), results.clone());
                    model::thread::spawn(move || {
                        let last = free.iter().inspect(|job| _ = results.send(*job).wait()).last();
                        results.finish();
                        last
                    })
                })
                .collect();
            drop(free);
            // Faulty: `results` is kept here, so the collection never ends.
            jobs.send_all(0..3).wait().unwrap();
            jobs.finish();
            let all: Vec<_> = collected.iter().collect();
            drop(results);
            workers.into_iter().for_each(|worker| _ = worker.join().unwrap());
            all
        })
    });
    assert_eq!(failure.unwrap_err().kind(), FailureKind::Deadlock);
}
