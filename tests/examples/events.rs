//! `events` loses nothing, wherever its loop is dropped.

use crate::programs::{example, promised, run};

#[test]
fn prints_what_its_header_says() {
    let source = include_str!("../../examples/events.rs");
    let printed = run(&mut example("events"));
    assert!(printed.status.success(), "{}", printed.stderr);
    assert_eq!(printed.stdout, promised(source));
    let numbers: Vec<u32> =
        printed.stderr.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [drops, pings] = numbers[..] else { panic!("{}", printed.stderr) };
    assert!(drops > 0 && pings > 0, "{}", printed.stderr);
}

#[test]
fn loses_nothing_whatever_the_numbers() {
    for (requests, clients) in [(0, 1), (1, 1), (500, 1), (1, 200), (50, 40)] {
        let (each, all) = (requests.to_string(), requests * clients);
        let clients = clients.to_string();
        let printed = run(example("events").args(["--requests", &each, "--clients", &clients]));
        assert!(printed.status.success(), "{}", printed.stderr);
        let expected = format!(
            "{all} requests sent, {all} acknowledged to their clients\n\
             {all} messages received, each one once\n\
             the broker said: Closed\n"
        );
        assert_eq!(printed.stdout, expected);
    }
}

#[test]
fn bad_arguments_are_one_line_and_status_2() {
    for args in [&["--clients", "0"][..], &["--requests", "x"], &["--requests"], &["file"]] {
        let printed = run(example("events").args(args));
        assert_eq!((printed.status.code(), &*printed.stdout), (Some(2), ""), "{args:?}");
        assert_eq!(printed.stderr.lines().count(), 1, "{args:?}");
    }
    assert!(run(example("events").arg("--help")).output().contains("--requests N"));
}
