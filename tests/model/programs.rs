//! Six faulty programs, as users write them, and their mended twins.

use std::time::Duration;

use handover::model::{self, Token, thread};
use handover::{Sel2, Server, rendezvous, select, simplex};

/// A pool of workers, whose feeder takes results only now and then, and believes that one comes within 5 ms.
///
/// Faulty: when the time is up it hands out the next job, while all workers wait to hand over their results.
pub(crate) fn pool(workers: usize, jobs: u32, is_mended: bool) -> Vec<u32> {
    let (jobs_tx, jobs_rx) = rendezvous::<u32>();
    let (results_tx, results_rx) = rendezvous::<u32>();
    let threads: Vec<_> = (0..workers)
        .map(|n| {
            let (jobs, results) = (jobs_rx.clone(), results_tx.clone());
            let work = move || {
                for job in jobs {
                    if results.send(job * job).wait().is_err() {
                        return;
                    }
                }
            };
            thread::Builder::new().name(format!("worker {n}")).spawn(work).unwrap()
        })
        .collect();
    drop((jobs_rx, results_tx));
    let mut all = Vec::new();
    for job in 0..jobs {
        if is_mended {
            let mut send = jobs_tx.send(job);
            while let Sel2::B(result) = select((&mut send, results_rx.recv())).wait() {
                all.push(result.unwrap());
            }
            continue;
        }
        if job as usize >= workers {
            if let Ok(result) = results_rx.recv().wait_timeout(Duration::from_millis(5)) {
                all.push(result);
            }
        }
        jobs_tx.send(job).wait().unwrap();
    }
    jobs_tx.close();
    all.extend(&results_rx);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    all.sort_unstable();
    all
}

/// A server that answers jobs and counts ticks, as a task.
///
/// Faulty: a tick that comes while it answers wins the `select`, and the answer is dropped with the other arm.
pub(crate) fn service(jobs: u32, ticks: u32, is_mended: bool) -> u32 {
    let (requests_tx, requests) = rendezvous::<Token<u32>>();
    let (replies, replies_rx) = rendezvous::<Token<u32>>();
    let (ticks_tx, ticks_rx) = rendezvous::<()>();
    let server = model::spawn_async("server", async move {
        let mut count = 0;
        loop {
            match select((requests.recv(), ticks_rx.recv())).await {
                Sel2::A(Ok(job)) => {
                    let mut reply = replies.send(job);
                    if is_mended {
                        while let Sel2::B(tick) = select((&mut reply, ticks_rx.recv())).await {
                            if tick.is_err() {
                                _ = (&mut reply).await;
                                break;
                            }
                            count += 1;
                        }
                    } else if let Sel2::B(_) = select((reply, ticks_rx.recv())).await {
                        count += 1;
                    }
                }
                Sel2::B(Ok(())) => count += 1,
                Sel2::A(Err(_)) => return count,
                Sel2::B(Err(_)) => match requests.recv().await {
                    Ok(job) => _ = replies.send(job).await,
                    Err(_) => return count,
                },
            }
        }
    });
    let ticker = thread::Builder::new().name("ticker".to_string()).spawn(move || {
        for _ in 0..ticks {
            if ticks_tx.send(()).wait().is_err() {
                return;
            }
        }
    });
    let client = model::spawn_async("client", async move {
        for job in 0..jobs {
            requests_tx.send(Token::new(job)).await.unwrap();
            let Ok(answer) = replies_rx.recv().await else { return };
            answer.done();
        }
    });
    client.join().unwrap();
    let count = server.join().unwrap();
    ticker.unwrap().join().unwrap();
    count
}

/// Two forks, each handed out over a rendezvous and taken back over another one, and two who eat.
///
/// Faulty: they take the forks in different orders.
pub(crate) fn philosophers(is_mended: bool) {
    let mut forks = Vec::new();
    let mut ends = Vec::new();
    for n in 0..2 {
        let (out, take) = rendezvous::<()>();
        let (back, back_rx) = rendezvous::<()>();
        let fork = move || {
            while out.send(()).wait().is_ok() {
                if back_rx.recv().wait().is_err() {
                    return;
                }
            }
        };
        forks.push(thread::Builder::new().name(format!("fork {n}")).spawn(fork).unwrap());
        ends.push((take, back));
    }
    let first = ends.clone();
    let plato = thread::Builder::new().name("plato".to_string()).spawn(move || {
        first[0].0.recv().wait().unwrap();
        first[1].0.recv().wait().unwrap();
        first[1].1.send(()).wait().unwrap();
        first[0].1.send(()).wait().unwrap();
    });
    let second = ends;
    let kant = model::spawn_async("kant", async move {
        let (a, b) = if is_mended { (0, 1) } else { (1, 0) };
        second[a].0.recv().await.unwrap();
        second[b].0.recv().await.unwrap();
        second[b].1.send(()).await.unwrap();
        second[a].1.send(()).await.unwrap();
    });
    plato.unwrap().join().unwrap();
    kant.join().unwrap();
    forks.into_iter().for_each(|fork| fork.join().unwrap());
}

/// Questions to a slow server, each with a time limit.
///
/// Faulty: a question that timed out is still answered, and its answer is taken for the answer to the next one. Mended: each question brings an end for its answer.
pub(crate) fn late_answers(is_mended: bool) {
    if is_mended {
        return answers_by_reply_ends();
    }
    let (questions_tx, questions) = rendezvous::<u32>();
    let (answers, answers_rx) = rendezvous::<u32>();
    let clerk = thread::Builder::new().name("clerk".to_string()).spawn(move || {
        // Each question has a thread of its own, so that a slow one stops no other.
        for question in questions {
            let answers = answers.clone();
            thread::spawn(move || _ = answers.send(question * 10).wait());
        }
    });
    for question in 1..=2 {
        questions_tx.send(question).wait().unwrap();
        if let Ok(answer) = answers_rx.recv().wait_timeout(Duration::from_millis(1)) {
            assert_eq!(answer, question * 10, "the answer to another question");
        }
    }
    drop((questions_tx, answers_rx));
    clerk.unwrap().join().unwrap();
}

fn answers_by_reply_ends() {
    let (questions_tx, questions) = rendezvous::<(u32, Server<u32>)>();
    let clerk = thread::Builder::new().name("clerk".to_string()).spawn(move || {
        for (question, reply) in questions {
            _ = reply.finish_with(question * 10);
        }
    });
    for question in 1..=3 {
        let (reply, mut answer) = simplex();
        let asked = questions_tx.send((question, reply));
        if asked.wait_timeout(Duration::from_millis(1)).is_ok() {
            if let Ok(answer) = answer.recv().wait_timeout(Duration::from_millis(1)) {
                assert_eq!(answer, question * 10);
            }
        }
    }
    drop(questions_tx);
    clerk.unwrap().join().unwrap();
}

/// A consumer that stops when it is told to.
///
/// Faulty: told to stop, it leaves at once, and an item that its producer was about to hand over is lost.
pub(crate) fn shutdown(items: u32, is_mended: bool) {
    let (items_tx, items_rx) = rendezvous::<Token<u32>>();
    let (stop_tx, stop_rx) = rendezvous::<()>();
    let consumer = thread::Builder::new().name("consumer".to_string()).spawn(move || {
        loop {
            match select((items_rx.recv(), stop_rx.recv())).wait() {
                Sel2::A(Ok(item)) => _ = item.done(),
                Sel2::A(Err(_)) => return,
                Sel2::B(_) => break,
            }
        }
        if is_mended {
            items_rx.into_iter().for_each(|item| _ = item.done());
        }
    });
    let producer = thread::Builder::new().name("producer".to_string()).spawn(move || {
        for item in 0..items {
            if items_tx.send(Token::new(item)).wait().is_err() {
                return;
            }
        }
    });
    _ = stop_tx.send(()).wait();
    producer.unwrap().join().unwrap();
    consumer.unwrap().join().unwrap();
}

/// A consumer that may be stopped, and then waits for its producer.
///
/// Faulty: the producer waits for a demand, and nobody makes one any more. Mended: the consumer closes its end first.
pub(crate) fn demands(is_mended: bool) {
    let (mut server, mut client) = simplex();
    let (stop_tx, stop_rx) = rendezvous::<()>();
    let producer = thread::Builder::new().name("producer".to_string()).spawn(move || {
        for n in 0..3 {
            if server.send(n).wait().is_err() {
                return;
            }
        }
        server.finish();
    });
    let stopper = thread::Builder::new().name("stopper".to_string()).spawn(move || {
        _ = stop_tx.send(()).wait();
    });
    while let Sel2::A(Ok(_)) = select((client.recv(), stop_rx.recv())).wait() {}
    drop(stop_rx);
    if is_mended {
        client.close();
        producer.unwrap().join().unwrap();
    } else {
        producer.unwrap().join().unwrap();
        client.close();
    }
    stopper.unwrap().join().unwrap();
}
