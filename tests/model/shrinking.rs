//! Schedules in `proptest!`: data and schedule shrink together, and what is left fails again.

use handover::model::{self, FailureKind, Model, Schedule, schedules, thread};
use handover::rendezvous;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crate::programs;
use crate::support::{check, departures, plain, shrink, watched};

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() })
}

#[test]
fn data_and_schedule_shrink_together() {
    watched(|| {
        let strategy = (1..4_usize, 0..9_u32, schedules(20));
        let failed = runner().run(&strategy, |(workers, jobs, s)| {
            let results = check(&s, || programs::pool(workers, jobs, false))?;
            prop_assert_eq!(results.len(), jobs as usize);
            Ok(())
        });
        let Err(TestError::Fail(why, (workers, jobs, s))) = failed else {
            panic!("the fault was not found");
        };
        // One worker and two jobs are enough, if the first result is late; and so are few departures.
        assert!(workers <= 2 && jobs <= 4, "{workers} {jobs}");
        let failure = check(&s, || programs::pool(workers, jobs, false)).unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Deadlock);
        assert!(departures(&failure) <= 2, "{failure}");
        assert_eq!(why.message(), failure.report());
        // And from the text that the report holds.
        let text = failure.report().split('"').nth(1).unwrap().to_string();
        let again = check(&text.parse().unwrap(), || programs::pool(workers, jobs, false));
        assert_eq!(again.unwrap_err().report(), failure.report());
    });
}

#[test]
fn the_mended_pool_of_any_size_passes() {
    watched(|| {
        let strategy = (1..4_usize, 0..6_u32, schedules(10));
        let mut runner =
            TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
        let passed = runner.run(&strategy, |(workers, jobs, s)| {
            let results = check(&s, || programs::pool(workers, jobs, true))?;
            prop_assert_eq!(results.len(), jobs as usize);
            Ok(())
        });
        passed.unwrap();
    });
}

#[test]
fn a_failure_of_the_test_outside_of_the_model_shrinks_the_data_alone() {
    watched(|| {
        let failed = runner().run(&(0..100_u32, schedules(3)), |(n, s)| {
            check(&s, || ())?;
            prop_assert!(n < 10);
            Ok(())
        });
        let Err(TestError::Fail(_, (n, _))) = failed else { panic!("it does not fail") };
        assert_eq!(n, 10);
    });
}

#[test]
fn the_question_mark_reports() {
    let failed: Result<(), TestCaseError> = (|| {
        check(&plain(), || panic!("as planned"))?;
        Ok(())
    })();
    assert!(failed.unwrap_err().to_string().contains("main panicked at step 0"));
}

#[test]
fn own_choices_shrink_to_the_smallest_that_fail() {
    watched(|| {
        for seed in 1..6 {
            let shrunk = shrink(schedules(100), seed, || {
                let (a, b) = (model::choose(10), model::choose(10));
                assert!(a + b < 4, "{a} {b}");
            });
            let last = shrunk.unwrap().last;
            assert_eq!(departures(&last), 1, "{last}");
            assert!(last.report().contains("0 4") || last.report().contains("4 0"), "{last}");
        }
    });
}

#[test]
fn a_fault_that_needs_many_departures_loses_the_others() {
    watched(|| {
        // Fails only if all five choices depart, so that no search of two finds it.
        let body = || {
            let picks: Vec<_> = (0..8).map(|_| model::choose(3)).collect();
            let departing = picks.iter().filter(|pick| **pick > 0).count();
            assert!(departing < 5);
        };
        for seed in 1..6 {
            let last = shrink(schedules(300), seed, body).unwrap().last;
            assert_eq!(departures(&last), 5, "{last}");
            assert!(
                last.schedule().to_string().split(' ').all(|part| part.ends_with(":1")),
                "{last}"
            );
        }
    });
}

#[test]
fn a_search_in_which_every_run_fails_differently_ends() {
    watched(|| {
        let runs = std::cell::Cell::new(0_u32);
        // The kind of the failure changes with each run, whatever the schedule.
        let body = || {
            runs.set(runs.get() + 1);
            _ = (model::choose(5), model::choose(5));
            if runs.get() % 2 == 0 {
                panic!("an even run");
            }
            let (_tx, rx) = rendezvous::<u8>();
            _ = rx.recv().wait();
        };
        let strategy = schedules(5);
        let config = Config { failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new(config);
        let mut tree = proptest::strategy::Strategy::new_tree(&strategy, &mut runner).unwrap();
        use proptest::strategy::ValueTree;
        let mut goes_on = true;
        let mut tries = 0;
        while goes_on && tries < 500 {
            tries += 1;
            goes_on = match model::check(&tree.current(), body) {
                Err(_) => tree.simplify(),
                Ok(()) => tree.complicate(),
            };
        }
        assert!(tries < 500);
    });
}

#[test]
fn the_kind_of_the_failure_stays_while_it_shrinks() {
    watched(|| {
        for seed in 1..6 {
            // A deadlock needs a departure; a panic needs two, and hides it.
            let shrunk = shrink(schedules(100), seed, || {
                let (a, b) = (model::choose(3), model::choose(3));
                assert!(a == 0 || b == 0, "both");
                if a > 0 {
                    let (_tx, rx) = rendezvous::<u8>();
                    _ = rx.recv().wait();
                }
            });
            let shrunk = shrunk.unwrap();
            assert_eq!(shrunk.first.kind(), shrunk.last.kind());
            let expected = if shrunk.last.kind() == FailureKind::Panic { 2 } else { 1 };
            assert_eq!(departures(&shrunk.last), expected);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    /// As a user writes it.
    #[test]
    fn what_is_sent_is_received_in_order(values: Vec<u8>, s in schedules(20)) {
        let got = Model::new().check(&s, || {
            let (tx, rx) = rendezvous();
            let values = values.clone();
            let sender = thread::spawn(move || tx.send_all(values).wait());
            let got: Vec<u8> = rx.iter().collect();
            sender.join().unwrap().unwrap();
            got
        })?;
        prop_assert_eq!(got, values);
    }
}

#[test]
fn schedules_are_equal_by_their_text() {
    assert_eq!(plain(), "".parse().unwrap());
    assert_ne!(plain(), Schedule::random(1, 1));
    assert_eq!(format!("{:?}", Schedule::random(1, 2)), "Schedule(\"random 1 2\")");
}
