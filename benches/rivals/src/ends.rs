//! What the drivers need of the ends of a channel, and how each crate does it: one line for each end.

use std::sync::mpsc;

use crossfire::{AsyncRx, AsyncTx, MAsyncRx, MAsyncTx, MRx, MTx, Rx, Tx, mpmc, spsc};
use futures_lite::StreamExt;
use futures_util::SinkExt;
use handover::{Client, Server};

/// A sending end on a thread. `false` means that the receiving end has gone.
pub(crate) trait BlockingSend: Send + 'static {
    fn send_item(&mut self, item: u64) -> bool;
}

/// A receiving end on a thread.
pub(crate) trait BlockingRecv: Send + 'static {
    fn recv_item(&mut self) -> Option<u64>;
}

/// A sending end in a task.
pub(crate) trait AsyncSend: Send + 'static {
    fn send_item_async(&mut self, item: u64) -> impl Future<Output = bool> + Send;
}

/// A receiving end in a task.
pub(crate) trait AsyncRecv: Send + 'static {
    fn recv_item_async(&mut self) -> impl Future<Output = Option<u64>> + Send;
}

/// What the receiving methods of the crates return.
trait Received {
    fn received(self) -> Option<u64>;
}

impl Received for Option<u64> {
    fn received(self) -> Self {
        self
    }
}

impl<E> Received for Result<u64, E> {
    fn received(self) -> Option<u64> {
        self.ok()
    }
}

/// `type: method`, or `type: method, way to wait`.
macro_rules! blocking_send {
    ($($end:ty: $send:ident $(, $wait:ident)?;)+) => { $(
        impl BlockingSend for $end {
            fn send_item(&mut self, item: u64) -> bool {
                self.$send(item)$(.$wait())?.is_ok()
            }
        }
    )+ };
}

macro_rules! blocking_recv {
    ($($end:ty: $recv:ident $(, $wait:ident)?;)+) => { $(
        impl BlockingRecv for $end {
            fn recv_item(&mut self) -> Option<u64> {
                self.$recv()$(.$wait())?.received()
            }
        }
    )+ };
}

macro_rules! async_send {
    ($($end:ty: $send:ident;)+) => { $(
        impl AsyncSend for $end {
            fn send_item_async(&mut self, item: u64) -> impl Future<Output = bool> + Send {
                let sending = self.$send(item);
                async move { sending.await.is_ok() }
            }
        }
    )+ };
}

macro_rules! async_recv {
    ($($end:ty: $recv:ident;)+) => { $(
        impl AsyncRecv for $end {
            fn recv_item_async(&mut self) -> impl Future<Output = Option<u64>> + Send {
                let receiving = self.$recv();
                async move { receiving.await.received() }
            }
        }
    )+ };
}

blocking_send! {
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

blocking_recv! {
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

async_send! {
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

async_recv! {
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

/// The end that asks and waits for an answer.
pub(crate) trait Requester: Send + 'static {
    fn request(&mut self, number: u64) -> u64;
}

/// The end that answers each number by `work` until the requester has gone.
pub(crate) trait Responder: Send + 'static {
    fn respond(self, work: impl FnMut(u64) -> u64);
}

impl Requester for Client<u64, u64> {
    fn request(&mut self, number: u64) -> u64 {
        self.exchange(number).wait().expect("an answer")
    }
}

impl Responder for Server<u64, u64> {
    fn respond(mut self, mut work: impl FnMut(u64) -> u64) {
        let Ok(mut number) = self.demand().wait() else { return };
        while let Ok(next) = self.exchange(work(number)).wait() {
            number = next;
        }
    }
}

/// The near ends of two channels: one leads to the peer, the other one comes from it.
pub(crate) struct TwoWay<S, R>(pub(crate) S, pub(crate) R);

impl<S: BlockingSend, R: BlockingRecv> Requester for TwoWay<S, R> {
    fn request(&mut self, number: u64) -> u64 {
        assert!(self.0.send_item(number), "a responder");
        self.1.recv_item().expect("an answer")
    }
}

impl<S: BlockingSend, R: BlockingRecv> Responder for TwoWay<S, R> {
    fn respond(mut self, mut work: impl FnMut(u64) -> u64) {
        while let Some(number) = self.1.recv_item() {
            if !self.0.send_item(work(number)) {
                return;
            }
        }
    }
}
