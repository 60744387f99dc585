//! How many runs a second a model makes: `cargo test --release --features proptest --test model speed -- --ignored --nocapture`.
#![allow(clippy::print_stdout)] // It is a measurement.

use std::time::Instant;

use handover::model::{self, Schedule, thread};
use handover::rendezvous;

use crate::programs;

#[test]
#[ignore = "a measurement, which fails nowhere"]
fn speed() {
    let bodies: [(&str, fn()); 4] = [
        ("ping-pong 2 parties 10 values", || {
            let (tx, rx) = rendezvous();
            let receiver = thread::spawn(move || rx.iter().count());
            (0..10).for_each(|n| tx.send(n).wait().unwrap());
            drop(tx);
            assert_eq!(receiver.join().unwrap(), 10);
        }),
        ("pool 2 workers 4 jobs", || _ = programs::pool(2, 4, true)),
        ("service 2 jobs 2 ticks", || _ = programs::service(2, 2, true)),
        ("philosophers", || programs::philosophers(true)),
    ];
    const RUNS: u32 = 3_000;
    for (name, body) in bodies {
        let start = Instant::now();
        model::check(&Schedule::random(7, RUNS), body).unwrap();
        println!("{name}: {:.0} runs/s", f64::from(RUNS) / start.elapsed().as_secs_f64());
    }
}
