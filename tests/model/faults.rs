//! Faults that users make: found, and shrunk to a few departures; their mended twins pass.

use handover::model::{self, FailureKind, Model, Schedule, schedules};

use crate::programs;
use crate::support::{check, departures, shrink, watched};

/// Found within 300 random runs whatever the seed, and shrunk to at most 2 departures; the same when it is replayed.
fn is_found(kind: FailureKind, faulty: fn()) {
    watched(move || {
        for seed in 1..=8 {
            let shrunk = shrink(schedules(300), seed, faulty).expect("a run that fails");
            assert_eq!(shrunk.last.kind(), kind, "{}", shrunk.last);
            assert!(departures(&shrunk.last) <= 2, "{}", shrunk.last);
            assert!(departures(&shrunk.last) <= departures(&shrunk.first));
            assert!(shrunk.tries < 40, "{} tries", shrunk.tries);
            let text = shrunk.last.schedule().to_string();
            let again = check(&text.parse().unwrap(), faulty).unwrap_err();
            assert_eq!(again.report(), shrunk.last.report());
            assert_eq!(again.diagram(), shrunk.last.diagram());
        }
    });
}

/// No random run fails, nor one of all with 2 departures.
fn passes(mended: fn()) {
    watched(move || {
        model::check(&Schedule::random(1, 3_000), mended).unwrap();
        Model::new().exhaust(2, mended).unwrap();
    });
}

/// For each program a test that its fault is found, and one that its mended twin passes.
macro_rules! programs {
    ($($name:ident: $kind:ident, $run:expr;)+) => {
        mod found {
            use super::*;
            $(
                #[test]
                fn $name() {
                    is_found(FailureKind::$kind, || {
                        let run: fn(bool) = $run;
                        run(false);
                    });
                }
            )+
        }
        mod mended {
            use super::*;
            $(
                #[test]
                fn $name() {
                    passes(|| {
                        let run: fn(bool) = $run;
                        run(true);
                    });
                }
            )+
        }
    };
}

programs! {
    a_pool_that_deadlocks_on_its_full_result_channel: Deadlock, |m| _ = programs::pool(2, 4, m);
    a_service_whose_own_select_loses_a_job: Deadlock, |m| _ = programs::service(2, 2, m);
    philosophers: Deadlock, programs::philosophers;
    an_answer_to_the_question_before: Panic, programs::late_answers;
    a_shutdown_that_loses_the_last_item: Lost, |m| programs::shutdown(2, m);
    a_demand_that_nobody_makes: Deadlock, programs::demands;
}

#[test]
fn the_pool_gives_all_squares() {
    let results = model::check(&Schedule::random(5, 100), || programs::pool(3, 5, true));
    assert_eq!(results.unwrap(), [0, 1, 4, 9, 16]);
}

#[test]
fn a_lost_job_is_listed_with_the_deadlock_that_it_brings() {
    let failure = model::check(&Schedule::random(5, 300), || programs::service(2, 2, false));
    let failure = failure.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Deadlock);
    assert!(failure.report().contains("  lost: the token made at tests/model/programs.rs:"));
    assert!(failure.report().contains("dropped by server at step"));
}
