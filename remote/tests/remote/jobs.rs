//! Jobs that are shared among workers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use handover::{Why, rendezvous};
use handover_remote::{Error, Options, share, work};

use crate::support::{Child, Link, connect, free_port, grace, listen, run, two_sessions};

const GRACE: Duration = Duration::from_millis(300);

/// Three workers in three processes; one is killed with a job in hand.
#[test]
fn each_job_is_done_although_a_worker_is_killed() {
    run(async {
        const JOBS: u64 = 200;
        let port = free_port();
        let session = listen(port).await;
        let (jobs, receiver) = rendezvous::<u64>();
        let sharing = tokio::spawn(share(&session, "jobs", receiver, grace(GRACE)).await.unwrap());
        let victim = Child::start(format!("work {port} 3"));
        victim.expect("ready");
        let workers: Vec<_> = (0..2).map(|_| Child::start(format!("work {port} 0"))).collect();
        workers.iter().for_each(|worker| _ = worker.expect("ready"));
        let sender = tokio::spawn(async move {
            jobs.send_all(0..JOBS).await.unwrap();
            jobs.finish();
        });

        let (victim, mut told) = tokio::task::spawn_blocking(move || {
            let mut told = Vec::new();
            loop {
                match victim.line().unwrap() {
                    line if line == "stuck" => return (victim, told),
                    line => told.push(line),
                }
            }
        })
        .await
        .unwrap();
        victim.signal("-KILL");
        sender.await.unwrap();
        let shared = sharing.await.unwrap();
        assert_eq!((shared.why, shared.done), (Why::Closed, JOBS));
        assert!(shared.given_again >= 1, "{shared:?}");
        assert!(shared.unfinished.is_empty() && shared.error.is_none());

        for worker in workers {
            let rest = tokio::task::spawn_blocking(move || worker.rest()).await.unwrap();
            assert_eq!(rest.last().unwrap(), "finished");
            told.extend(rest);
        }
        let done: HashSet<u64> =
            (told.iter()).filter_map(|line| line.strip_prefix("done ")?.parse().ok()).collect();
        assert_eq!(done.len() as u64, JOBS);
    });
}

#[test]
fn a_sender_waits_until_a_worker_is_free() {
    run(async {
        let (there, here) = two_sessions().await;
        let (jobs, receiver) = rendezvous::<u32>();
        tokio::spawn(share(&there, "jobs", receiver, Options::default()).await.unwrap());
        assert!(jobs.send(1).wait_timeout(Duration::from_millis(20)).is_err());
        let mut worker = work::<u32>(&here, "jobs", Options::default()).await.unwrap();
        let (sent, job) = futures_lite::future::zip(jobs.send(1), worker.next()).await;
        sent.unwrap();
        let job = job.unwrap().unwrap();
        assert_eq!((*job, job.attempts()), (1, 1));
        assert!(jobs.send(2).wait_timeout(Duration::from_millis(20)).is_err());
        job.done().await.unwrap();
        let (sent, job) = futures_lite::future::zip(jobs.send(2), worker.next()).await;
        sent.unwrap();
        assert_eq!(*job.unwrap().unwrap(), 2);
    });
}

#[test]
fn a_job_that_is_dropped_goes_to_somebody_else() {
    run(async {
        let (there, here) = two_sessions().await;
        let (jobs, receiver) = rendezvous::<String>();
        let options = Options::default();
        let sharing = tokio::spawn(share(&there, "jobs", receiver, options).await.unwrap());
        let sender = tokio::spawn(async move {
            jobs.send("a".into()).await.unwrap();
            jobs.finish();
        });
        let mut first = work::<String>(&here, "jobs", options).await.unwrap();
        let mut second = work::<String>(&there, "jobs", options).await.unwrap();
        let job = first.next().await.unwrap().unwrap();
        sender.await.unwrap();
        assert_eq!((job.as_str(), job.attempts()), ("a", 1));
        drop(job); // and `first` says nothing more

        let job = second.next().await.unwrap().unwrap();
        assert_eq!((job.as_str(), job.attempts()), ("a", 2));
        drop(second_is_over(job).await);
        let job = first.next().await.unwrap().unwrap();
        assert_eq!(job.attempts(), 3);
        job.done().await.unwrap();
        assert!(first.next().await.unwrap().is_none());
        assert!(first.next().await.unwrap().is_none(), "and it stays so");
        assert!(second.next().await.unwrap().is_none());
        let shared = sharing.await.unwrap();
        assert_eq!((shared.why, shared.done, shared.given_again), (Why::Closed, 1, 2));
    });
}

async fn second_is_over<T>(job: handover_remote::Job<'_, T>) -> impl Sized {
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _job = job;
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    panicked.unwrap_err()
}

#[test]
fn a_worker_that_leaves_gives_its_job_back_at_once() {
    run(async {
        let (there, here) = two_sessions().await;
        let (jobs, receiver) = rendezvous::<u32>();
        let options = Options { grace: Duration::from_secs(100), ..Options::default() };
        let sharing = tokio::spawn(share(&there, "jobs", receiver, options).await.unwrap());
        let sender = tokio::spawn(async move {
            jobs.send(1).await.unwrap();
            jobs.finish();
        });
        let mut first = work::<u32>(&here, "jobs", options).await.unwrap();
        std::mem::forget(first.next().await.unwrap().unwrap());
        drop(first);
        sender.await.unwrap();
        let mut second = work::<u32>(&here, "jobs", options).await.unwrap();
        let job = second.next().await.unwrap().unwrap();
        assert_eq!(job.attempts(), 2);
        job.done().await.unwrap();
        assert!(second.next().await.unwrap().is_none());
        assert_eq!(sharing.await.unwrap().done, 1);
    });
}

#[test]
fn a_call_that_is_given_up_loses_no_job() {
    run(async {
        let (there, here) = two_sessions().await;
        let (jobs, receiver) = rendezvous::<u32>();
        let options = Options::default();
        let sharing = tokio::spawn(share(&there, "jobs", receiver, options).await.unwrap());
        tokio::spawn(async move {
            jobs.send_all(0..100).await.unwrap();
            jobs.finish();
        });
        let mut worker = work::<u32>(&here, "jobs", options).await.unwrap();
        let (mut got, mut given_up) = (Vec::new(), 0);
        for round in 0.. {
            let patience = Duration::from_micros(30 * (round % 20));
            match tokio::time::timeout(patience, worker.next()).await {
                Err(_) => given_up += 1,
                Ok(next) => match next.unwrap() {
                    None => break,
                    Some(job) => {
                        got.push(*job);
                        // It is said, and not waited for.
                        _ = futures_lite::future::poll_once(Box::pin(job.done())).await;
                    }
                },
            }
        }
        assert!(given_up > 0);
        assert!(got.into_iter().eq(0..100));
        let shared = sharing.await.unwrap();
        assert_eq!((shared.done, shared.given_again), (100, 0));
    });
}

/// A worker whose link is cut for longer than `grace` has lost its job, and is told so when it says that it is done.
#[test]
fn a_worker_that_was_away_for_too_long_is_told_that_it_was_forgotten() {
    run(async {
        let port = free_port();
        let there = listen(port).await;
        let link = Arc::new(Link::to(port));
        let (here, far) = (connect(port).await, connect(link.port()).await);
        let (jobs, receiver) = rendezvous::<u32>();
        tokio::spawn(share(&there, "jobs", receiver, grace(GRACE)).await.unwrap());
        tokio::spawn(async move {
            jobs.send(7).await.unwrap();
            std::future::pending::<()>().await;
        });
        let patient = grace(Duration::from_secs(100));
        let mut first = work::<u32>(&far, "jobs", patient).await.unwrap();
        let job = first.next().await.unwrap().unwrap();
        link.block(true);
        assert!(link.cut());
        let mut second = work::<u32>(&here, "jobs", patient).await.unwrap();
        let again = second.next().await.unwrap().unwrap();
        assert_eq!((*again, again.attempts()), (7, 2));
        link.block(false);
        let error = job.done().await.unwrap_err();
        assert!(matches!(error, Error::Forgotten), "{error}");
        assert!(matches!(first.next().await, Err(Error::Gone)));
        again.done().await.unwrap();
    });
}

#[test]
fn workers_are_told_how_the_senders_ended() {
    run(async {
        let (there, here) = two_sessions().await;
        let (jobs, receiver) = rendezvous::<u32>();
        let options = Options::default();
        let sharing = tokio::spawn(share(&there, "jobs", receiver, options).await.unwrap());
        let mut worker = work::<u32>(&here, "jobs", options).await.unwrap();
        let (sent, job) = futures_lite::future::zip(jobs.send(1), worker.next()).await;
        sent.unwrap();
        job.unwrap().unwrap().done().await.unwrap();
        drop(jobs); // no `finish`
        let error = worker.next().await.unwrap_err();
        assert!(matches!(error, Error::Ended(Why::Dropped)), "{error}");
        assert_eq!(sharing.await.unwrap().why, Why::Dropped);
    });
}

#[test]
fn jobs_that_are_out_when_the_session_closes_come_back() {
    run(async {
        let (there, here) = two_sessions().await;
        let (jobs, receiver) = rendezvous::<u32>();
        let options = Options::default();
        let sharing = tokio::spawn(share(&there, "jobs", receiver, options).await.unwrap());
        let mut worker = work::<u32>(&here, "jobs", options).await.unwrap();
        let (sent, job) = futures_lite::future::zip(jobs.send(3), worker.next()).await;
        sent.unwrap();
        let job = job.unwrap().unwrap();
        there.close().await.unwrap();
        let shared = sharing.await.unwrap();
        assert_eq!((shared.why, shared.unfinished), (Why::Dropped, vec![3]));
        assert!(matches!(shared.error, Some(Error::Session(_))));
        assert!(job.done().await.is_err());
        assert!(jobs.send(4).await.is_err());
    });
}
