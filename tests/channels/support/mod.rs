//! What the tests share.

mod ends;
mod operations;
mod parties;
mod stress;
mod values;
mod wakers;
pub(crate) mod watch;
mod watchdog;

pub(crate) use {ends::*, operations::*, parties::*, stress::*, values::*, wakers::*, watchdog::*};
