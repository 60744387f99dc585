//! The future that carries an end over the network.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Carries an end over the network for as long as it is polled: spawn it, or join it with other futures. Its output tells how it went.
///
/// It needs no particular runtime, and its timers run on a thread of their own. To drop it is to leave without a word: the local end is told
/// [`Why::Dropped`](handover::Why::Dropped), and the other process is so too, after its [`grace`](crate::Options::grace).
///
/// ```
/// use handover::simplex;
/// use handover_remote::{Options, export, import, open_local, zenoh};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let session = zenoh::open(open_local()).await.unwrap();
/// let (server, client) = simplex::<u32>();
/// let exporting = tokio::spawn(export(&session, "one", client, Options::default()).await.unwrap());
/// let (mut client, driver) = import::<u32, ()>(&session, "one", Options::default()).await.unwrap();
/// let importing = tokio::spawn(driver);
///
/// server.finish_with(1).unwrap();
/// assert_eq!(client.recv().await, Ok(1));
/// assert!(client.recv().await.is_err());
/// importing.await.unwrap().unwrap();
/// assert_eq!(exporting.await.unwrap().answers, 1);
/// # });
/// ```
#[must_use = "an end goes nowhere unless its driver is polled: spawn it"]
pub struct Driver<O> {
    future: Pin<Box<dyn Future<Output = O> + Send>>,
}

impl<O> Driver<O> {
    pub(crate) fn new(future: impl Future<Output = O> + Send + 'static) -> Self {
        Self { future: Box::pin(future) }
    }
}

impl<O> Future for Driver<O> {
    type Output = O;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O> {
        self.future.as_mut().poll(context)
    }
}

impl<O> fmt::Debug for Driver<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}
