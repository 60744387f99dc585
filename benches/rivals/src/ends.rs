//! What the drivers ask of the ends of a channel, and how each crate does it. A crate's types are named here, one line an end.

use std::sync::mpsc;

use crossfire::{AsyncRx, AsyncTx, MAsyncRx, MAsyncTx, MRx, MTx, Rx, Tx, mpmc, spsc};
use futures_lite::StreamExt;
use futures_util::SinkExt;
use handover::{Client, Server};

/// A sending end on a thread. `false`: there is nobody to receive.
pub(crate) trait Give: Send + 'static {
    fn give(&mut self, item: u64) -> bool;
}

/// A receiving end on a thread.
pub(crate) trait Take: Send + 'static {
    fn take(&mut self) -> Option<u64>;
}

/// A sending end in a task.
pub(crate) trait GiveAsync: Send + 'static {
    fn give_async(&mut self, item: u64) -> impl Future<Output = bool> + Send;
}

/// A receiving end in a task.
pub(crate) trait TakeAsync: Send + 'static {
    fn take_async(&mut self) -> impl Future<Output = Option<u64>> + Send;
}

/// What the receiving methods of the crates give.
trait Got {
    fn got(self) -> Option<u64>;
}

impl Got for Option<u64> {
    fn got(self) -> Self {
        self
    }
}

impl<E> Got for Result<u64, E> {
    fn got(self) -> Option<u64> {
        self.ok()
    }
}

/// `type: method`, or `type: method, way to wait`.
macro_rules! give {
    ($($end:ty: $send:ident $(, $wait:ident)?;)+) => { $(
        impl Give for $end {
            fn give(&mut self, item: u64) -> bool {
                self.$send(item)$(.$wait())?.is_ok()
            }
        }
    )+ };
}

macro_rules! take {
    ($($end:ty: $recv:ident $(, $wait:ident)?;)+) => { $(
        impl Take for $end {
            fn take(&mut self) -> Option<u64> {
                self.$recv()$(.$wait())?.got()
            }
        }
    )+ };
}

macro_rules! give_async {
    ($($end:ty: $send:ident;)+) => { $(
        impl GiveAsync for $end {
            fn give_async(&mut self, item: u64) -> impl Future<Output = bool> + Send {
                let sending = self.$send(item);
                async move { sending.await.is_ok() }
            }
        }
    )+ };
}

macro_rules! take_async {
    ($($end:ty: $recv:ident;)+) => { $(
        impl TakeAsync for $end {
            fn take_async(&mut self) -> impl Future<Output = Option<u64>> + Send {
                let receiving = self.$recv();
                async move { receiving.await.got() }
            }
        }
    )+ };
}

give! {
    Server<u64>: send, wait;
    handover::Sender<u64>: send, wait;
    mpsc::SyncSender<u64>: send;
    crossbeam_channel::Sender<u64>: send;
    flume::Sender<u64>: send;
    kanal::Sender<u64>: send;
    Tx<spsc::One<u64>>: send;
    Tx<spsc::Array<u64>>: send;
    MTx<mpmc::Array<u64>>: send;
    async_channel::Sender<u64>: send_blocking;
    tokio::sync::mpsc::Sender<u64>: blocking_send;
}

take! {
    Client<u64>: recv, wait;
    handover::Receiver<u64>: recv, wait;
    mpsc::Receiver<u64>: recv;
    crossbeam_channel::Receiver<u64>: recv;
    flume::Receiver<u64>: recv;
    kanal::Receiver<u64>: recv;
    Rx<spsc::One<u64>>: recv;
    MRx<mpmc::Array<u64>>: recv;
    async_channel::Receiver<u64>: recv_blocking;
    tokio::sync::mpsc::Receiver<u64>: blocking_recv;
}

give_async! {
    Server<u64>: send;
    handover::Sender<u64>: send;
    flume::Sender<u64>: send_async;
    kanal::AsyncSender<u64>: send;
    AsyncTx<spsc::One<u64>>: send;
    MAsyncTx<mpmc::Array<u64>>: send;
    async_channel::Sender<u64>: send;
    tokio::sync::mpsc::Sender<u64>: send;
    futures_channel::mpsc::Sender<u64>: send;
    handoff::Sender<u64>: send;
}

take_async! {
    Client<u64>: recv;
    handover::Receiver<u64>: recv;
    flume::Receiver<u64>: recv_async;
    kanal::AsyncReceiver<u64>: recv;
    AsyncRx<spsc::One<u64>>: recv;
    MAsyncRx<mpmc::Array<u64>>: recv;
    async_channel::Receiver<u64>: recv;
    tokio::sync::mpsc::Receiver<u64>: recv;
    futures_channel::mpsc::Receiver<u64>: next;
    handoff::Receiver<u64>: recv;
}

/// The end that asks, and waits for an answer.
pub(crate) trait Caller: Send + 'static {
    fn call(&mut self, number: u64) -> u64;
}

/// The end that answers each number by `work` until the caller has left.
pub(crate) trait Answerer: Send + 'static {
    fn answer(self, work: impl FnMut(u64) -> u64);
}

impl Caller for Client<u64, u64> {
    fn call(&mut self, number: u64) -> u64 {
        self.exchange(number).wait().expect("an answer")
    }
}

impl Answerer for Server<u64, u64> {
    fn answer(mut self, mut work: impl FnMut(u64) -> u64) {
        let Ok(mut number) = self.demand().wait() else { return };
        while let Ok(next) = self.exchange(work(number)).wait() {
            number = next;
        }
    }
}

/// One end of two channels, one there and one back.
pub(crate) struct Two<G, T>(pub(crate) G, pub(crate) T);

impl<G: Give, T: Take> Caller for Two<G, T> {
    fn call(&mut self, number: u64) -> u64 {
        assert!(self.0.give(number), "an answerer");
        self.1.take().expect("an answer")
    }
}

impl<G: Give, T: Take> Answerer for Two<G, T> {
    fn answer(mut self, mut work: impl FnMut(u64) -> u64) {
        while let Some(number) = self.1.take() {
            if !self.0.give(work(number)) {
                return;
            }
        }
    }
}
