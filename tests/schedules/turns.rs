//! First come, first served: the order in which the parties of each side began to wait is known.

use std::mem;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use handover::{Receiver, Sender, op, rendezvous, select};
use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle, Thread, yield_now};

use crate::explore::tally;
use crate::ways::{below, one_in, pick, poll_times};

/// Senders, of which some leave, to one receiver: what is taken is taken in the order in which it was offered.
pub(crate) fn of_senders() {
    let (tx, rx) = rendezvous::<usize>();
    let count = 2 + below(5);
    let mut sends: Vec<Option<op::Send<'_, usize>>> =
        (0..count).map(|n| Some(tx.send(n))).collect();
    for send in sends.iter_mut().flatten() {
        assert!(block_on(poll_times(send, 1)).is_none());
    }
    let receiver = thread::spawn(move || receive_all(&rx));
    let late: Vec<JoinHandle<()>> = (0..below(3))
        .map(|n| {
            let tx = tx.clone();
            thread::spawn(move || send_late(&tx, 100 + n))
        })
        .collect();
    let mut is_sent = vec![false; count];
    while sends.iter().any(Option::is_some) {
        let at = below(count);
        let Some(mut send) = sends[at].take() else { continue };
        match below(3) {
            0 => is_sent[at] = send.reclaim().is_none(),
            1 => is_sent[at] = block_on(send).is_ok(),
            _ => match block_on(poll_times(&mut send, 1)) {
                Some(sent) => is_sent[at] = sent.is_ok(),
                None => sends[at] = Some(send),
            },
        }
    }
    drop(sends);
    let latecomers = late.len();
    late.into_iter().for_each(|late| late.join().unwrap());
    tx.close();
    let received = receiver.join().unwrap();
    let due: Vec<usize> = (0..count).filter(|&n| is_sent[n]).collect();
    let (early, late) = received.split_at(due.len());
    assert_eq!(early, due, "of {received:?}");
    assert!(late.len() == latecomers && late.iter().all(|&n| n >= 100), "{received:?}");
    tally(count + latecomers, received.len());
}

fn send_late(tx: &Sender<usize>, n: usize) {
    let sent = if one_in(2) { tx.send(n).wait() } else { block_on(tx.send(n)) };
    assert!(sent.is_ok());
}

/// Receives up to the end, in all ways.
fn receive_all(rx: &Receiver<usize>) -> Vec<usize> {
    let mut received = Vec::new();
    loop {
        let result = match below(5) {
            0 => rx.recv().wait(),
            1 => block_on(rx.recv()),
            2 => rx.recv().now(),
            3 => match select((rx.recv(), rx.closed())).wait() {
                handover::Sel2::A(result) => result,
                handover::Sel2::B(_) => return received,
            },
            _ => match block_on(poll_times(&mut rx.recv(), 1)) {
                Some(result) => result,
                None => continue,
            },
        };
        match result {
            Ok(n) => received.push(n),
            Err(error) if error.is_end() => return received,
            Err(_) => {}
        }
    }
}

/// A waker that remembers that it was woken.
struct Bell {
    is_rung: AtomicBool,
    owner: Thread,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.is_rung.store(true, Relaxed);
        self.owner.unpark();
    }
}

/// One of several receives of one thread. It is polled only when it was woken, as an executor does.
struct Receive<'a> {
    op: Option<Pin<Box<dyn Future<Output = Option<usize>> + 'a>>>,
    bell: Arc<Bell>,
    got: Option<usize>,
}

impl<'a> Receive<'a> {
    fn new(rx: &'a Receiver<usize>) -> Self {
        Self {
            op: Some(Box::pin(receive(rx))),
            bell: Arc::new(Bell { is_rung: AtomicBool::new(false), owner: thread::current() }),
            got: None,
        }
    }

    /// Polls whenever it is woken, until it has a value.
    fn wait(&mut self) -> usize {
        loop {
            if let Some(got) = self.got {
                return got;
            }
            if self.bell.is_rung.swap(false, Relaxed) {
                self.poll();
            } else {
                thread::park();
            }
        }
    }

    fn poll(&mut self) {
        let Some(op) = &mut self.op else { return };
        let waker = Waker::from(Arc::clone(&self.bell));
        if let Poll::Ready(got) = op.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.got = got;
            self.op = None;
        }
    }
}

/// Receives once, singly or in a select.
async fn receive(rx: &Receiver<usize>) -> Option<usize> {
    let result = if one_in(2) { rx.recv().await } else { select([rx.recv()]).await.1 };
    result.ok()
}

/// Tasks that wait to receive, of which some leave, and senders: as many as there are values are served, and these are the first ones that stayed.
pub(crate) fn of_receiving_tasks() {
    let (tx, rx) = rendezvous::<usize>();
    let count = 3 + below(3);
    let values = 1 + below(count);
    let mut receives: Vec<Receive<'_>> = (0..count).map(|_| Receive::new(&rx)).collect();
    receives.iter_mut().for_each(Receive::poll);
    let senders = send_by(tx, values);
    let mut has_left = vec![false; count];
    loop {
        let staying = has_left.iter().filter(|left| !**left).count();
        let served = receives.iter().filter(|receive| receive.got.is_some()).count();
        if served == values {
            break;
        }
        let at = below(count);
        if one_in(8) && staying > values && receives[at].op.is_some() && !has_left[at] {
            has_left[at] = true;
            receives[at].op = None;
        }
        let rung: Vec<usize> =
            (0..count).filter(|&at| receives[at].bell.is_rung.load(Relaxed)).collect();
        if rung.is_empty() {
            thread::park();
            continue;
        }
        let at = pick(&rung);
        receives[at].bell.is_rung.store(false, Relaxed);
        receives[at].poll();
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    let stayed = (0..count).filter(|&at| !has_left[at] || receives[at].got.is_some());
    for (place, at) in stayed.enumerate() {
        assert_eq!(receives[at].got.is_some(), place < values, "the {place}th to wait");
    }
    tally(values, values);
}

/// Threads that wait to receive, and senders: the first ones are served. (In a select a thread that is slow may be passed over.)
pub(crate) fn of_receiving_threads() {
    let (tx, rx) = rendezvous::<usize>();
    let count = 3 + below(3);
    let values = 1 + below(count);
    let served: Arc<Mutex<Vec<usize>>> = Arc::default();
    let mut threads = Vec::new();
    for at in 0..count {
        let (end, served) = (rx.clone(), Arc::clone(&served));
        threads.push(thread::spawn(move || {
            if end.recv().wait().is_ok() {
                served.lock().unwrap_or_else(PoisonError::into_inner).push(at);
            }
        }));
        // Each begins to wait before the next one does.
        while rx.stats().waiting_receivers <= at {
            yield_now();
        }
    }
    send_by(tx, values).into_iter().for_each(|sender| sender.join().unwrap());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let mut served = mem::take(&mut *served.lock().unwrap_or_else(PoisonError::into_inner));
    served.sort_unstable();
    assert!(served.iter().copied().eq(0..values), "the first {values}, not {served:?}");
    tally(values, values);
}

/// A permit keeps a task that receives for its value, whatever others offer meanwhile.
pub(crate) fn of_permits() {
    const BY_PERMIT: usize = 100;
    let (tx, rx) = rendezvous::<usize>();
    let mut receive = Receive::new(&rx);
    receive.poll();
    let waiting = 1 + below(2);
    let senders: Vec<_> = (0..waiting)
        .map(|n| {
            let tx = tx.clone();
            thread::spawn(move || tx.send(n).wait().is_ok())
        })
        .collect();
    let permit_sender = {
        let tx = tx.clone();
        thread::spawn(move || {
            let Ok(permit) = tx.reserve().now() else { return false }; // A sender was faster.
            for _ in 0..below(4) {
                yield_now();
            }
            let send = permit.send(BY_PERMIT);
            let sent = if one_in(2) { send.wait() } else { block_on(send) };
            assert!(sent.is_ok(), "the receiver that it kept has taken another value");
            true
        })
    };
    let got = receive.wait();
    drop(receive);
    rx.close();
    let had_permit = permit_sender.join().unwrap();
    let sent = senders.into_iter().map(|sender| sender.join().unwrap());
    let others = sent.filter(|is_sent| *is_sent).count();
    assert_eq!(got == BY_PERMIT, had_permit, "the permit's value goes to its receiver");
    assert_eq!(others, usize::from(!had_permit));
    tally(waiting + 1, 1);
}

/// One to three parties that send so many values together.
fn send_by(tx: Sender<usize>, values: usize) -> Vec<JoinHandle<()>> {
    let parties = (1 + below(3)).min(values);
    let send = |party: usize, tx: Sender<usize>| {
        let is_task = one_in(2);
        move || {
            for n in (party..values).step_by(parties) {
                let sent = if is_task { block_on(tx.send(n)) } else { tx.send(n).wait() };
                assert!(sent.is_ok());
            }
        }
    };
    (0..parties).map(|party| thread::spawn(send(party, tx.clone()))).collect()
}
