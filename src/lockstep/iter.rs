//! A client as an iterator, and as a stream.

use std::task::{Context, Poll};

use super::Client;
use crate::drive;
use crate::error::Why;
use crate::sequence::{Iter, Source};

impl<T> Source for Client<T> {
    type Item = T;

    #[inline]
    fn wait_next(&mut self) -> Option<T> {
        self.recv().wait().ok()
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut recv = self.recv();
        let polled = drive::poll(&mut recv.step, context);
        // Pending, the waker stays: the stream goes on waiting without the operation.
        recv.detach();
        polled.map(Result::ok)
    }

    fn unregister(&mut self) {
        self.half.unregister();
    }

    fn end(&self) -> Option<Why> {
        self.reported_end
    }
}

impl<T> IntoIterator for Client<T> {
    type Item = T;
    type IntoIter = Iter<Client<T>>;

    fn into_iter(self) -> Iter<Client<T>> {
        Iter { source: self }
    }
}

impl<'a, T> IntoIterator for &'a mut Client<T> {
    type Item = T;
    type IntoIter = Iter<&'a mut Client<T>>;

    fn into_iter(self) -> Iter<&'a mut Client<T>> {
        self.iter()
    }
}
