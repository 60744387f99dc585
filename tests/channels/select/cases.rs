//! What `select` does: which arm wins, and what it says of misuse.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::MOMENT;
use crate::support::thread;
use crate::support::*;
use futures_lite::future::block_on;
use handover::{
    RecvError, Sel2, Sel3, Sel4, Sel5, Sel6, Sel7, Sel8, never, op, rendezvous, select, simplex,
};

// ---- each arm of each size

macro_rules! each_position_wins {
    ($Sel:ident: $($Arm:ident $n:tt),+) => {{
        let channels = [$({ _ = $n; rendezvous::<usize>() }),+];
        for winner in 0..channels.len() {
            let arm_of = |choice| match choice {
                $($Sel::$Arm(Ok(value)) => {
                    assert_eq!(value, winner);
                    $n
                })+
                other => panic!("{other:?}"),
            };
            let recvs = || select(($(channels[$n].1.recv(),)+));
            // The arm is ready before the select is waited for, in each way to wait.
            let ways: [fn(op::Select<_>) -> _; 4] = [
                |choice| choice.now().unwrap(),
                |choice| choice.wait(),
                |choice| choice.wait_timeout(Duration::MAX).unwrap(),
                |choice| block_on(choice),
            ];
            for way in ways {
                let mut send = channels[winner].0.send(winner);
                pend(&mut send);
                assert_eq!(arm_of(way(recvs())), winner);
                ready(&mut send).unwrap();
            }
            // The arm becomes ready while the select waits.
            let (bell, waker) = Bell::new();
            let mut choice = recvs();
            assert!(poll_with(&mut choice, &waker).is_pending());
            let mut send = channels[winner].0.send(winner);
            pend(&mut send);
            assert_eq!(bell.rings(), 1);
            assert_eq!(arm_of(ready(&mut choice)), winner);
            ready(&mut send).unwrap();

            // The same for sends.
            let arm_of = |choice| match choice {
                $($Sel::$Arm(Ok(())) => $n,)+
                other => panic!("{other:?}"),
            };
            let sends = || select(($(channels[$n].0.send($n),)+));
            let mut recv = channels[winner].1.recv();
            pend(&mut recv);
            let mut choice = sends();
            assert!(poll_with(&mut choice, &waker).is_pending());
            assert_eq!(ready(&mut recv), Ok(winner));
            assert_eq!(bell.rings(), 1);
            assert_eq!(arm_of(ready(&mut choice)), winner);
            thread::scope(|scope| {
                let receiver = scope.spawn(|| channels[winner].1.recv().wait());
                until_receivers(&channels[winner].0, 1);
                assert_eq!(arm_of(sends().now().unwrap()), winner, "a thread takes it at once");
                assert_eq!(receiver.join().unwrap(), Ok(winner));
            });
        }
        for (tx, _) in &channels {
            let stats = tx.stats();
            assert_eq!((stats.waiting_senders, stats.waiting_receivers), (0, 0));
        }
    }};
}

#[test]
fn each_position_of_each_tuple_can_win() {
    let _watchdog = Watchdog::new();
    each_position_wins!(Sel2: A 0, B 1);
    each_position_wins!(Sel3: A 0, B 1, C 2);
    each_position_wins!(Sel4: A 0, B 1, C 2, D 3);
    each_position_wins!(Sel5: A 0, B 1, C 2, D 3, E 4);
    each_position_wins!(Sel6: A 0, B 1, C 2, D 3, E 4, F 5);
    each_position_wins!(Sel7: A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    each_position_wins!(Sel8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
}

#[test]
fn a_vec_tells_the_index() {
    let _watchdog = Watchdog::new();
    let channels: Vec<_> = (0..20).map(|_| rendezvous::<usize>()).collect();
    for winner in 0..20 {
        let mut send = channels[winner].0.send(winner);
        pend(&mut send);
        let recvs = channels.iter().map(|(_, rx)| rx.recv()).collect::<Vec<_>>();
        assert_eq!(select(recvs).wait(), (winner, Ok(winner)));
        ready(&mut send).unwrap();
        // The same for borrowed arms, for sends, and on a thread that waits.
        let mut sends: Vec<_> = channels.iter().map(|(tx, _)| tx.send(7)).collect();
        let (index, sent) = thread::scope(|scope| {
            scope.spawn(|| assert_eq!(channels[winner].1.recv().wait(), Ok(7)));
            select(sends.iter_mut().collect::<Vec<_>>()).wait()
        });
        sent.unwrap();
        assert_eq!(index, winner);
        for (place, send) in sends.into_iter().enumerate() {
            assert_eq!(send.reclaim().is_none(), place == winner);
        }
    }
    let (tx, rx) = rendezvous();
    let mut send = tx.send(1);
    pend(&mut send);
    assert_eq!(select(vec![rx.recv()]).wait(), (0, Ok(1)));
}

#[test]
fn an_empty_vec_is_never_done() {
    let empty = || select(Vec::<op::Take<'static, u8>>::new());
    assert!(empty().now().is_none());
    assert!(empty().biased().now().is_none());
    assert!(empty().wait_timeout(MOMENT).is_none());
    assert!(empty().wait_timeout(Duration::ZERO).is_none());
    assert!(empty().wait_deadline(Instant::now()).is_none());
    let (bell, waker) = Bell::new();
    let mut choice = empty();
    for _ in 0..3 {
        assert!(poll_with(&mut choice, &waker).is_pending());
    }
    assert_eq!(bell.rings(), 0);
    // This thread is left behind, and blocks as long as the process lives.
    let blocked = thread::spawn(move || _ = empty().wait());
    assert!(empty().wait_timeout(10 * MOMENT).is_none());
    assert!(!blocked.is_finished());
}

// ---- misuse, and what it is

#[test]
fn a_finished_choice_or_arm_is_named_in_the_panic() {
    let (tx, rx) = rendezvous::<u8>();
    tx.close();
    let quiet = never::<u8>();
    let mut choice = select((rx.recv(), quiet.recv()));
    assert!(matches!(ready(&mut choice), Sel2::A(Err(_))));
    let text = panic_text(|| poll_once(&mut choice));
    assert!(text.contains("`select`") && text.contains("after it was done"), "{text}");
    let text = panic_text(|| choice.wait_timeout(MOMENT));
    assert!(text.contains("`select`"), "{text}");

    let mut recv = rx.recv();
    assert!(ready(&mut recv).is_err());
    let text = panic_text(|| select((&mut recv, quiet.recv())).wait());
    assert!(text.contains("`Receiver::recv`"), "{text}");
    let (mut server, _client) = simplex::<u8>();
    drop(_client);
    let mut send = server.send(1);
    assert!(ready(&mut send).is_err());
    let text = panic_text(|| select(vec![&mut send]).now());
    assert!(text.contains("Server::send"), "{text}");
}

#[test]
fn debug_asks_nothing_of_the_values() {
    struct Opaque;
    let (tx, rx) = rendezvous::<Opaque>();
    let mut choice = select((tx.send(Opaque), rx.recv(), rx.recv()));
    let text = format!("{choice:?}");
    assert!(text.contains("select") && text.contains("arms: 3"), "{text}");
    assert!(text.contains("done: false"), "{text}");
    drop(rx.recv().now());
    tx.close();
    assert!(!format!("{:?}", ready(&mut choice).is_a()).is_empty());
    assert!(format!("{choice:?}").contains("done: true"));
}

trait IsA {
    fn is_a(&self) -> bool;
}

impl<A, B, C> IsA for Sel3<A, B, C> {
    fn is_a(&self) -> bool {
        matches!(self, Self::A(_))
    }
}

type Unshared = Cell<u8>;

type Both<T> = op::Select<(op::Send<'static, T>, op::Take<'static, T>)>;
static_assertions::assert_impl_all!(Both<Unshared>: Send, Unpin, std::future::Future);
static_assertions::assert_impl_all!(op::Select<Vec<op::Recv<'static, Unshared, ()>>>: Send, Unpin);
static_assertions::assert_impl_all!(op::Select<(&'static mut op::Take<'static, u8>, op::Closed<'static, u8>)>: Send, Unpin);
static_assertions::assert_impl_all!(Both<u8>: Send, Sync, Unpin);
static_assertions::assert_not_impl_any!(Both<Rc<u8>>: Send, Sync);
static_assertions::assert_impl_all!(Both<Rc<u8>>: Unpin);
static_assertions::assert_not_impl_any!(Both<u8>: Clone, Copy);
static_assertions::assert_impl_all!(Sel2<u8, Result<u8, RecvError>>: Copy, std::fmt::Debug, Eq, std::hash::Hash, Send, Sync);
static_assertions::assert_impl_all!(Sel8<u8, u8, u8, u8, u8, u8, u8, u8>: Copy, std::fmt::Debug, Eq, std::hash::Hash);

#[test]
fn a_choice_is_spawned_on_a_work_stealing_executor() {
    let _watchdog = Watchdog::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let (tx, rx) = rendezvous::<u64>();
        let (back, results) = rendezvous::<u64>();
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let (rx, back) = (rx.clone(), back.clone());
            tasks.push(tokio::spawn(async move {
                let mut ready = None;
                loop {
                    match ready {
                        None => match rx.recv().await {
                            Ok(n) => ready = Some(n * 2),
                            Err(_) => return,
                        },
                        // The select sends an item on, or takes another one.
                        Some(n) => match select((back.send(n), rx.recv())).await {
                            Sel2::A(sent) => {
                                sent.unwrap();
                                ready = None;
                            }
                            Sel2::B(Ok(more)) => ready = Some(n + more * 2),
                            Sel2::B(Err(_)) => {
                                back.send(n).await.unwrap();
                                return;
                            }
                        },
                    }
                }
            }));
        }
        drop((rx, back));
        let feed = tokio::spawn(async move {
            for n in 0..2_000 {
                tx.send(n).await.unwrap();
            }
            tx.close();
        });
        let mut sum = 0;
        while let Ok(part) = results.recv().await {
            sum += part;
        }
        feed.await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(sum, 2_000 * 1_999);
    });
}
