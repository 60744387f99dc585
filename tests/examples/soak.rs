//! `soak` runs, tells what it was told wrong, stops when it is interrupted; and its judge finds what is wrong with a log.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::programs::{Finished, aside, example, in_time, run, text_of};

#[path = "../../examples/soak/oracle.rs"]
#[allow(dead_code)]
mod oracle;

use oracle::{Fate, Faults, Log, judge, number};

fn soak(args: &[&str]) -> Finished {
    run(example("soak").args(args))
}

/// The number in a line of the totals.
#[track_caller]
fn total(printed: &str, name: &str) -> u64 {
    let line = printed.lines().find_map(|line| line.strip_prefix("  ")?.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name}: {printed}"));
    let digits = line.trim_start().split(' ').next().unwrap().replace(',', "");
    digits.parse().unwrap_or_else(|_| panic!("{name}{line}"))
}

#[track_caller]
fn is_without_faults(printed: &str) {
    for name in ["lost", "twice", "out of order", "other faults", "hangs"] {
        assert_eq!(total(printed, name), 0, "{printed}");
    }
    let operations = total(printed, "operations");
    assert!(total(printed, "rounds") > 0 && operations > 0, "{printed}");
    assert!(total(printed, "cancelled  ") <= operations, "{printed}");
    assert!(total(printed, "cancelled across threads") <= total(printed, "cancelled  "));
}

#[test]
fn a_second_of_it_finds_nothing_and_prints_the_totals() {
    let printed = soak(&["--seconds", "1", "--seed", "7"]);
    assert_eq!(printed.status.code(), Some(0), "{}{}", printed.stdout, printed.stderr);
    assert!(printed.stdout.starts_with("soak: --seed 7, 1 s, "), "{}", printed.stdout);
    is_without_faults(&printed.stdout);
}

#[test]
fn each_scene_and_a_round_again() {
    let scenes =
        ["simplex", "duplex", "stream", "rendezvous", "order", "select", "pipe", "produce"];
    // All at once: each takes a second, however busy the machine.
    std::thread::scope(|scope| {
        for scene in scenes {
            scope.spawn(move || {
                let args = ["--seconds", "1", "--seed", "5", "--only", scene, "--lanes", "1"];
                let printed = soak(&args);
                assert_eq!(printed.status.code(), Some(0), "{scene}: {}", printed.stdout);
                is_without_faults(&printed.stdout);
            });
        }
    });
    let without = ["--without", "tokio", "--without", "panics", "--without", "forgets"];
    let printed = soak(&[&["--seconds", "1", "--round", "3"], &without[..]].concat());
    assert_eq!(printed.status.code(), Some(0), "{}", printed.stdout);
    assert!(printed.stdout.contains(", round 3, "), "{}", printed.stdout);
    is_without_faults(&printed.stdout);
}

#[test]
fn wrong_options_are_one_line_and_status_2() {
    for (args, told) in [
        (&["--seed", "x"][..], "--seed x: it must be a number"),
        (&["--seed", "-1"], "--seed -1: it must be a number"),
        (&["--seed"], "--seed needs a value"),
        (&["--seconds", "0"], "--seconds 0: it must be a number from 1"),
        (&["--seconds", "99999999999999999999"], "--seconds 99999999999999999999: it must be"),
        (&["--lanes", "0"], "--lanes 0: it must be"),
        (&["--patience", "0"], "--patience 0: it must be"),
        (&["--round", "first"], "--round first: it must be a number"),
        (&["--only", "what"], "--only what: it knows simplex, duplex"),
        (&["--without", "what"], "--without what: it knows `forgets`"),
        (&["--what"], "invalid option '--what'"),
        (&["what"], "unexpected argument \"what\""),
    ] {
        let printed = soak(args);
        assert_eq!((printed.status.code(), &*printed.stdout), (Some(2), ""), "{args:?}");
        assert_eq!(printed.stderr.lines().count(), 1, "{args:?}: {}", printed.stderr);
        let expected = format!("soak: {told}");
        assert!(printed.stderr.starts_with(&expected), "{args:?}: {}", printed.stderr);
    }
    assert!(soak(&["--help"]).output().contains("--seconds N"));
}

/// Begins a soak that would take long, and waits until it has said so.
fn begin(command: &mut Command) -> (Child, impl BufRead + Send + use<>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let first = aside(move || {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        (line, stdout)
    });
    let (line, stdout) = in_time(&mut child, first);
    assert!(line.starts_with("soak: --seed "), "{line}");
    (child, stdout)
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_with_what_it_has_seen() {
    let (mut child, stdout) = begin(example("soak").args(["--seconds", "100000"]));
    let stderr = text_of(child.stderr.take().unwrap());
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let stdout = in_time(&mut child, text_of(stdout));
    let stderr = in_time(&mut child, stderr);
    assert_eq!(child.wait().unwrap().code(), Some(130), "{stdout}{stderr}");
    is_without_faults(&stdout);
    assert!(stderr.ends_with("soak: it was interrupted\n"), "{stderr}");
}

/// `--pinned` needs a program of Linux.
#[cfg(target_os = "linux")]
#[test]
fn pinned_it_has_one_core() {
    if Command::new("taskset").arg("--version").output().is_err() {
        let printed = soak(&["--pinned"]);
        assert_eq!(printed.status.code(), Some(2));
        assert!(printed.stderr.contains("taskset"), "{}", printed.stderr);
        return;
    }
    let printed = soak(&["--pinned", "--seconds", "1"]);
    assert_eq!(printed.status.code(), Some(0), "{}{}", printed.stdout, printed.stderr);
    assert!(printed.stdout.contains(", 1 rounds at a time on 1 cores"), "{}", printed.stdout);
    is_without_faults(&printed.stdout);
}

// ---- The judge

/// A sender that was told this of its values, and a receiver that got those.
fn faults(fates: &[Fate], got: &[usize], has_seen_end: bool, living: i64) -> Faults {
    let got = got.iter().map(|serial| number(0, *serial)).collect();
    let sender = Log { fates: fates.to_vec(), ..Log::default() };
    let receiver = Log { got, is_receiver: true, has_seen_end, ..Log::default() };
    let (faults, text) = judge(&[(0, sender), (1, receiver)], living);
    assert_eq!(text.is_empty(), faults == Faults::default(), "{text}");
    faults
}

#[test]
fn the_judge_lets_the_right_pass() {
    use Fate::{Back, Delivered, Left, Untold};
    let none = Faults::default();
    assert_eq!(faults(&[Delivered, Back, Untold, Untold, Delivered], &[0, 2, 4], false, 0), none);
    assert_eq!(faults(&[Delivered, Left, Left], &[0, 1], false, 0), none);
    assert_eq!(faults(&[Delivered, Left], &[0, 1], true, 0), none);
}

#[test]
fn the_judge_sees_what_is_lost_doubled_or_out_of_order() {
    use Fate::{Back, Delivered, Left, Untold};
    let lost = Faults { lost: 1, ..Faults::default() };
    let twice = Faults { twice: 1, ..Faults::default() };
    let out_of_order = Faults { out_of_order: 1, ..Faults::default() };
    let other = Faults { other: 1, ..Faults::default() };
    assert_eq!(faults(&[Delivered, Delivered], &[1], false, 0), lost);
    assert_eq!(faults(&[Left, Left], &[0], true, 0), lost);
    assert_eq!(faults(&[Left, Left], &[1], false, 0), lost);
    assert_eq!(faults(&[Delivered], &[0, 0], false, 0), twice);
    assert_eq!(faults(&[Untold], &[0, 0], false, 0), twice);
    assert_eq!(faults(&[Back], &[0], false, 0), twice);
    assert_eq!(faults(&[Delivered, Untold], &[1, 0], false, 0), out_of_order);
    assert_eq!(faults(&[Delivered], &[0, 7], false, 0), other);
    assert_eq!(faults(&[Delivered], &[0], false, 1), other);
    assert_eq!(faults(&[Delivered], &[0], false, -1), other);
}

#[test]
fn the_judge_counts_bytes_and_what_was_forgotten() {
    let bytes = |written, read, has_seen_end| {
        let writer = Log { written, ..Log::default() };
        let reader = Log { read, is_receiver: true, has_seen_end, ..Log::default() };
        judge(&[(0, writer), (1, reader)], 0).0
    };
    assert_eq!(bytes(10, 10, true), Faults::default());
    assert_eq!(bytes(10, 8, false), Faults::default());
    assert_eq!(bytes(10, 8, true), Faults { lost: 2, ..Faults::default() });
    assert_eq!(bytes(10, 11, false), Faults { twice: 1, ..Faults::default() });

    let forgetful = || Log { forgotten: 8, ..Log::default() };
    assert_eq!(judge(&[(0, forgetful())], 3).0, Faults::default());
    assert_eq!(judge(&[(0, forgetful())], 9).0.other, 1);
}
