//! Ends as iterators, for threads, and as streams, for tasks.

use std::task::{Context, Poll};

use crate::error::Why;

/// What gives one item after the other, up to the end of the channel.
pub(crate) trait Pull {
    type Item;

    /// The next item, awaited by blocking this thread.
    fn wait_next(&mut self) -> Option<Self::Item>;

    /// The next item for a task. Pending, it leaves the waker.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Self::Item>>;

    /// Takes the waker back.
    fn unwait(&mut self);

    /// How the channel ended, once that was told.
    fn end(&self) -> Option<Why>;
}

/// Makes a type whose field `pull` is a `Pull` an iterator.
macro_rules! iterator {
    ($name:ident<$($lifetime:lifetime,)? T>, $item:ty) => {
        impl<T> Iterator for $name<$($lifetime,)? T> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                $crate::pull::Pull::wait_next(&mut self.pull)
            }
        }

        impl<T> ::std::iter::FusedIterator for $name<$($lifetime,)? T> {}

        $crate::pull::end!($name<$($lifetime,)? T>);
    };
}
pub(crate) use iterator;

/// Makes a type whose field `pull` is a `Pull` a stream.
macro_rules! stream {
    ($name:ident<$($lifetime:lifetime,)? T>, $item:ty) => {
        impl<T> ::futures_core::Stream for $name<$($lifetime,)? T> {
            type Item = $item;

            #[inline]
            fn poll_next(
                mut self: ::std::pin::Pin<&mut Self>,
                context: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<Option<$item>> {
                $crate::pull::Pull::poll_next(&mut self.pull, context)
            }
        }

        impl<T> ::futures_core::FusedStream for $name<$($lifetime,)? T> {
            fn is_terminated(&self) -> bool {
                $crate::pull::Pull::end(&self.pull).is_some()
            }
        }

        // Nothing in it is ever pinned.
        impl<T> Unpin for $name<$($lifetime,)? T> {}

        impl<T> Drop for $name<$($lifetime,)? T> {
            fn drop(&mut self) {
                $crate::pull::Pull::unwait(&mut self.pull);
            }
        }

        $crate::pull::end!($name<$($lifetime,)? T>);
    };
}
pub(crate) use stream;

macro_rules! end {
    ($name:ident<$($lifetime:lifetime,)? T>) => {
        impl<T> $name<$($lifetime,)? T> {
            /// How the channel ended, once the items have.
            pub fn end(&self) -> Option<$crate::Why> {
                $crate::pull::Pull::end(&self.pull)
            }
        }

        impl<T> ::std::fmt::Debug for $name<$($lifetime,)? T> {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($name)).field("end", &self.end()).finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use end;

impl<P: Pull> Pull for &mut P {
    type Item = P::Item;

    #[inline]
    fn wait_next(&mut self) -> Option<P::Item> {
        (**self).wait_next()
    }

    #[inline]
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<P::Item>> {
        (**self).poll_next(context)
    }

    fn unwait(&mut self) {
        (**self).unwait();
    }

    fn end(&self) -> Option<Why> {
        (**self).end()
    }
}
