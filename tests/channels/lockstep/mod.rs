//! Channels in lockstep: `simplex()` and `duplex()`.

mod answers;
mod answers_told;
mod cancel;
mod cases;
mod ends;
mod kept;
mod matrix;
mod model;
mod owed;
mod panics;
mod races;
mod reenter;
mod says;
mod threads;
mod time;
mod turns;
mod wakers;
mod watching;

use crate::support::*;
use handover::{Client, Server, Why};

/// Receives up to the end. Returns the items and the end.
pub(crate) async fn collect<T>(client: &mut Client<T>, how: How) -> (Vec<T>, Why) {
    let mut items = Vec::new();
    loop {
        match how.run(client.recv()).await {
            Ok(item) => items.push(item),
            Err(end) => return (items, end.why()),
        }
    }
}

/// Lets an end leave for the reason `why`.
pub(crate) fn leave(end: impl Leave, why: Why) {
    leave_by(end, why, Leave::say_goodbye);
}

/// The own way of an end to close its channel.
pub(crate) trait Leave {
    fn say_goodbye(self);
}

impl<T, U> Leave for Server<T, U> {
    fn say_goodbye(self) {
        self.finish();
    }
}

impl<T, U> Leave for Client<T, U> {
    fn say_goodbye(self) {
        self.close();
    }
}
