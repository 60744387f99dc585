//! What the tests share.

mod ends;
mod operations;
mod parties;
mod stress;
pub(crate) mod thread;
mod values;
mod wakers;
pub(crate) mod watch;
mod watchdog;

pub(crate) use {ends::*, operations::*, parties::*, stress::*, values::*, wakers::*, watchdog::*};
