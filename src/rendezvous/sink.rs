//! `Sender::into_sink`: a sender as a sink.
//!
//! The sink drives a routine of its own, which owns the sender and borrows it for its operations; the two have a `Desk` in common. The routine runs only
//! within the sink's calls, and its operations register the caller's waker.
//!
//! | the routine is ...            | `poll_ready`             | `start_send`            | `poll_flush`            | dropped, or `into_inner`                     |
//! |-------------------------------|--------------------------|-------------------------|-------------------------|----------------------------------------------|
//! | `Idle`                        | tells it to reserve      | out of turn             | done                    | nothing is pending                           |
//! | reserving (`Wants`)           | polls it                 | out of turn             | done                    | the reserve is withdrawn                     |
//! | `Ready`: it keeps a permit    | ready                    | it sends by the permit  | done                    | the permit is dropped: the receiver is free  |
//! | `Sending`                     | polls it, then reserves  | out of turn             | polls it                | the offer stays for its receiver (see below) |
//! | ended (`why` is set)          | the end                  | the end, with the item  | the end, once with the item | nothing is pending                       |
//!
//! An offer that is left behind by a drop must keep its channel open, since after the end nothing is handed over. So the routine goes on without the sink: it
//! becomes its offer's waker, and when that is woken (the value was taken, or the channel has ended) it leaves, as `Dropped` or `Panicked`.
//!
//! A waker or destructor that panics within the routine does not end it: the sink's call raises that panic again when the routine is pending. A call that gets the
//! sender out of it, and a routine without its sink, swallow it.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread;

use futures_sink::Sink;
use parking_lot::Mutex;

use super::{Permit, Sender};
use crate::error::{SendError, Why};
use crate::panics::FirstPanic;
use crate::point::{Name, Origin};

/// A [`Sender`] as a [`futures_sink::Sink`]: see [`Sender::into_sink`].
#[must_use = "a sink does nothing until something is sent into it"]
pub struct SenderSink<T: Send + 'static> {
    desk: Arc<Mutex<Desk<T>>>,
    /// `None` once it was closed or taken out.
    routine: Option<Routine<T>>,
}

/// It gives the sender back when it is told to stop.
type Routine<T> = Pin<Box<dyn Future<Output = Sender<T>> + Send>>;

/// What the sink and its routine tell each other.
struct Desk<T> {
    phase: Phase,
    order: Order,
    /// The item to send.
    item: Option<T>,
    /// How the channel has ended, and the item that was not taken.
    end: Option<Why>,
    unsent: Option<T>,
    /// A panic of user code within the routine. The routine goes on, and the sink's call raises it again.
    panic: FirstPanic,
}

impl<T> Desk<T> {
    /// Nothing is on offer any more. `Some`: the item was not taken, for this reason, or since it was reclaimed.
    /// Gives what was not fetched of the item before.
    fn settle(&mut self, unsent: Option<(Option<Why>, Option<T>)>) -> Option<T> {
        self.phase = Phase::Idle;
        if self.order == Order::Reclaim {
            self.order = Order::GoOn;
        }
        let (why, item) = unsent?;
        self.end = self.end.or(why);
        mem::replace(&mut self.unsent, item)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Wants,
    Ready,
    Sending,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    GoOn,
    /// The item on offer is to be given back.
    Reclaim,
    /// The sender is to be given back; an offer stays.
    Stop,
    /// The sink is gone: the sender leaves when the offer was taken.
    Leave(Why),
}

impl<T: Send + 'static> Sender<T> {
    /// This end as a [`futures_sink::Sink`]: ready is a [permit](Sender::reserve), `start_send` sends by it, flush waits until that was taken, close flushes and is
    /// [`finish`](Sender::finish). With the feature `sink`.
    ///
    /// A sink that is ready keeps a receiver for itself: send soon, or drop it. Dropping the sink withdraws nothing that was started: the receiver that was kept for the item
    /// still takes it, and this end leaves then.
    ///
    /// ```
    /// use futures_util::{SinkExt, StreamExt, stream};
    /// use handover::rendezvous;
    ///
    /// let (tx, rx) = rendezvous();
    /// # pollster::block_on(async {
    /// let forward = stream::iter(1..=3).map(Ok).forward(tx.into_sink());
    /// let (forwarded, items) = futures_lite::future::zip(forward, rx.into_stream().checked().collect::<Vec<_>>()).await;
    /// assert!(forwarded.is_ok());
    /// assert_eq!(items, [Ok(1), Ok(2), Ok(3)]); // and then `Closed`
    /// # });
    /// ```
    #[cfg_attr(any(feature = "model", feature = "diagnose"), track_caller)]
    pub fn into_sink(self) -> SenderSink<T> {
        let desk = Desk {
            phase: Phase::Idle,
            order: Order::GoOn,
            item: None,
            end: None,
            unsent: None,
            panic: FirstPanic::default(),
        };
        let desk = Arc::new(Mutex::new(desk));
        let routine = Box::pin(run(
            self,
            Arc::clone(&desk),
            Origin::of(const { Name::of("Sender::into_sink") }),
        ));
        SenderSink { desk, routine: Some(routine) }
    }
}

/// The routine.
async fn run<T>(mut sender: Sender<T>, desk: Arc<Mutex<Desk<T>>>, origin: Origin) -> Sender<T> {
    if let Some(why) = work(&sender, &desk, origin).await {
        sender.end.leave(why);
    }
    sender
}

/// Reserves and sends as the sink asks for it, until it is told to stop, or to leave as what it gives.
async fn work<T>(sender: &Sender<T>, desk: &Mutex<Desk<T>>, origin: Origin) -> Option<Why> {
    loop {
        if !until(desk, |desk| desk.phase == Phase::Wants).await {
            return None;
        }
        let mut reserve = sender.reserve();
        reserve.set_origin(origin);
        let reserved = poll_fn(|context| {
            if desk.lock().order != Order::GoOn {
                return Poll::Ready(None);
            }
            guard(desk, || Pin::new(&mut reserve).poll(context).map(Some)).unwrap_or(Poll::Pending)
        });
        let permit: Permit<'_, T> = match reserved.await {
            None => {
                guard(desk, || drop(reserve));
                return None;
            }
            Some(Ok(permit)) => permit,
            Some(Err(error)) => {
                let mut desk = desk.lock();
                (desk.phase, desk.end) = (Phase::Idle, Some(error.why()));
                continue;
            }
        };
        desk.lock().phase = Phase::Ready;
        if !until(desk, |desk| desk.item.is_some()).await {
            guard(desk, || drop(permit));
            return None;
        }
        let Some(item) = desk.lock().item.take() else { continue };
        let mut send = permit.send(item);
        send.set_origin(origin);
        let mut is_starting = true;
        let sent = poll_fn(|context| {
            if matches!(desk.lock().order, Order::Reclaim | Order::Stop) {
                return Poll::Ready(None);
            }
            let sent = guard(desk, || Pin::new(&mut send).poll(context).map(Some));
            if mem::take(&mut is_starting) {
                send.leave_seat(); // Nobody waits for it yet.
            }
            sent.unwrap_or(Poll::Pending)
        });
        let sent = sent.await;
        let order = desk.lock().order;
        let unsent = match sent {
            Some(Ok(())) => None,
            Some(Err(error)) => Some((Some(error.why()), error.into_unsent())),
            None if order == Order::Reclaim => {
                Some((None, guard(desk, || send.reclaim()).flatten()))
            }
            None => {
                send.detach();
                return None;
            }
        };
        let untold = desk.lock().settle(unsent);
        guard(desk, || drop(untold)); // Its destructor is user code, and so runs without the lock.
        if let Order::Leave(why) = order {
            return Some(why);
        }
    }
}

/// Runs what calls user code: wakers, destructors. `None`: it panicked, which the desk keeps. A panic through the routine would end that, and what it holds.
fn guard<T, R>(desk: &Mutex<Desk<T>>, f: impl FnOnce() -> R) -> Option<R> {
    let mut panic = mem::take(&mut desk.lock().panic);
    let result = panic.run(f);
    desk.lock().panic = panic;
    result
}

/// Waits for the sink's next call. `false`: it is told to stop.
async fn until<T>(desk: &Mutex<Desk<T>>, is_due: impl Fn(&Desk<T>) -> bool) -> bool {
    poll_fn(|_| {
        let desk = desk.lock();
        match desk.order {
            Order::GoOn if is_due(&desk) => Poll::Ready(true),
            Order::GoOn | Order::Reclaim => Poll::Pending,
            Order::Stop | Order::Leave(_) => Poll::Ready(false),
        }
    })
    .await
}

impl<T: Send + 'static> SenderSink<T> {
    /// Lets the routine go on as far as it can.
    fn drive(&mut self, waker: &Waker) -> Poll<Sender<T>> {
        let Some(routine) = &mut self.routine else { return Poll::Pending };
        let polled = routine.as_mut().poll(&mut Context::from_waker(waker));
        let panic = mem::take(&mut self.desk.lock().panic);
        if polled.is_ready() {
            self.routine = None;
            panic.swallow(); // It would destroy the sender.
        } else {
            panic.resume();
        }
        polled
    }

    fn phase(&self) -> Phase {
        self.desk.lock().phase
    }

    /// The end, if it was told: with the item that was not taken, once.
    fn end(&self) -> Result<(), SendError<T>> {
        let mut desk = self.desk.lock();
        match desk.end {
            _ if self.routine.is_none() => Err(SendError::new(Why::Closed, None)),
            Some(why) => Err(SendError::new(why, desk.unsent.take())),
            None => Ok(()),
        }
    }

    /// Waits until nothing is on offer.
    fn poll_sent(&mut self, waker: &Waker) -> Poll<Result<(), SendError<T>>> {
        if self.phase() == Phase::Sending {
            _ = self.drive(waker);
            if self.phase() == Phase::Sending {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.end())
    }

    /// Takes the sender out. What is on offer stays so.
    fn stop(&mut self) -> Option<Sender<T>> {
        self.desk.lock().order = Order::Stop;
        match self.drive(Waker::noop()) {
            Poll::Ready(sender) => Some(sender),
            Poll::Pending => None,
        }
    }

    /// Gives back the item that was started and not taken. The sink can be used on.
    ///
    /// ```
    /// use futures_util::SinkExt;
    /// use handover::rendezvous;
    ///
    /// let (tx, rx) = rendezvous();
    /// # pollster::block_on(async {
    /// let mut recv = rx.recv();
    /// assert!(futures_lite::future::poll_once(&mut recv).await.is_none()); // a receiver stands ready
    /// let mut sink = tx.into_sink();
    /// sink.feed("a letter").await.unwrap();
    /// assert_eq!(sink.reclaim(), Some("a letter"));
    /// # });
    /// ```
    pub fn reclaim(&mut self) -> Option<T> {
        if self.phase() == Phase::Sending {
            self.desk.lock().order = Order::Reclaim;
            _ = self.drive(Waker::noop());
        }
        self.desk.lock().unsent.take()
    }

    /// The sender itself. A permit that was kept is dropped; an item that was started and not taken stays on offer.
    ///
    /// `None` if the sink was closed.
    ///
    /// ```
    /// let (tx, rx) = handover::rendezvous::<u8>();
    /// let sink = tx.into_sink();
    /// let tx = sink.into_inner().unwrap();
    /// drop(rx);
    /// assert!(tx.is_closed());
    /// ```
    pub fn into_inner(mut self) -> Option<Sender<T>> {
        self.stop()
    }
}

impl<T: Send + 'static> Sink<T> for SenderSink<T> {
    type Error = SendError<T>;

    fn poll_ready(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        let this = self.get_mut();
        ready!(this.poll_sent(context.waker()))?;
        if this.phase() != Phase::Ready {
            this.desk.lock().phase = Phase::Wants;
            _ = this.drive(context.waker());
            this.end()?;
        }
        if this.phase() == Phase::Ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn start_send(self: Pin<&mut Self>, item: T) -> Result<(), SendError<T>> {
        let this = self.get_mut();
        if let Err(error) = this.end() {
            return Err(SendError::new(error.why(), Some(item)));
        }
        if this.phase() != Phase::Ready {
            return Err(SendError::new(Why::OutOfTurn, Some(item)));
        }
        {
            let mut desk = this.desk.lock();
            (desk.phase, desk.item) = (Phase::Sending, Some(item));
        }
        _ = this.drive(Waker::noop()); // A flush, or the next item, registers the caller's waker.
        this.end()
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        let this = self.get_mut();
        match ready!(this.poll_sent(context.waker())) {
            Err(_) if this.routine.is_none() => Poll::Ready(Ok(())), // It is closed, and nothing is left.
            flushed => Poll::Ready(flushed),
        }
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        let flushed = ready!(self.as_mut().poll_flush(context));
        if let Some(sender) = self.get_mut().stop() {
            sender.finish();
        }
        Poll::Ready(flushed)
    }
}

impl<T: Send + 'static> Drop for SenderSink<T> {
    fn drop(&mut self) {
        if self.phase() != Phase::Sending {
            return; // The routine is dropped, and the sender with it.
        }
        let why = if thread::panicking() { Why::Panicked } else { Why::Dropped };
        self.desk.lock().order = Order::Leave(why);
        if let Some(routine) = mem::take(&mut self.routine) {
            Leaving::go_on(routine);
        }
    }
}

/// A routine whose sink is gone. It goes on when it is woken.
struct Leaving<T> {
    state: Mutex<LeavingState<T>>,
}

struct LeavingState<T> {
    /// `None` while it is polled, and when it is done.
    routine: Option<Routine<T>>,
    is_woken: bool,
}

impl<T: Send + 'static> Leaving<T> {
    fn go_on(routine: Routine<T>) {
        let state = LeavingState { routine: Some(routine), is_woken: false };
        Arc::new(Self { state: Mutex::new(state) }).wake();
    }
}

impl<T: Send + 'static> Wake for Leaving<T> {
    // Neither the channel's lock is held here, which wakes after unlocking, nor this one while the routine runs.
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        let mut state = self.state.lock();
        loop {
            state.is_woken = true;
            let Some(mut routine) = state.routine.take() else { return };
            state.is_woken = false;
            drop(state);
            if routine.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                return;
            }
            state = self.state.lock();
            state.routine = Some(routine);
            if !state.is_woken {
                return;
            }
        }
    }
}

impl<T: Send + 'static> fmt::Debug for SenderSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let desk = self.desk.lock();
        f.debug_struct("SenderSink")
            .field("is_ready", &(desk.phase == Phase::Ready))
            .field("is_sending", &(desk.phase == Phase::Sending))
            .field("end", &desk.end)
            .finish_non_exhaustive()
    }
}
