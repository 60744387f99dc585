//! What each side gets, for each thing that the sender may do with each that the receiver may, on threads and in tasks.
//!
//! Down: a server sends, a client receives. Up: a client asks, a server takes. Every value is counted: it is received once,
//! or given back once, or dropped with what gave it up.

use crate::support::*;
use handover::{SendError, Why};

/// The values that a side sent, by number, sorted by what that side was told of them.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) taken: Vec<usize>,
    pub(crate) back: Vec<usize>,
    /// Forgotten, or left behind: the side is not told.
    pub(crate) unknown: Vec<usize>,
    pub(crate) end: Option<Why>,
}

impl Sent {
    /// Notes the result of an operation with the value `id`. Returns whether the side may go on.
    pub(crate) fn note<R>(&mut self, id: usize, result: Result<R, SendError<Counted>>) -> bool {
        let error = match result {
            Ok(_) => {
                self.taken.push(id);
                return true;
            }
            Err(error) => error,
        };
        self.end = error.is_end().then(|| error.why());
        match error.into_unsent() {
            Some(value) => {
                assert_eq!(value.id, id, "another value came back");
                self.back.push(id);
            }
            None => self.taken.push(id),
        }
        false
    }

    pub(crate) fn note_reclaimed(&mut self, id: usize, value: Option<Counted>) {
        match value {
            Some(value) => {
                assert_eq!(value.id, id, "another value came back");
                self.back.push(id);
            }
            None => self.taken.push(id),
        }
    }
}

/// The values that a side received, and the end if it was told one.
#[derive(Debug, Default)]
pub(crate) struct Got {
    pub(crate) items: Vec<usize>,
    pub(crate) end: Option<Why>,
}

impl Got {
    pub(crate) fn note(&mut self, result: Result<Counted, handover::RecvError>) {
        match result {
            Ok(item) => self.items.push(item.id),
            Err(error) if error.is_end() => self.end = Some(error.why()),
            Err(error) => assert!(error.is_timed_out() || error.is_not_ready(), "{error:?}"),
        }
    }
}

impl Sent {
    /// Each value that counts as taken was received, in order; beside these only values of unknown fate were received.
    pub(crate) fn assert_agrees_with(&self, received: &[usize], case: &str) {
        assert!(received.is_sorted_by(|a, b| a < b), "{case}");
        assert!(self.taken.iter().all(|id| received.contains(id)), "{case}");
        assert!(
            received.iter().all(|id| self.taken.contains(id) || self.unknown.contains(id)),
            "{case}"
        );
    }
}

/// The tests of one cell: one for each pairing of thread and task.
macro_rules! cell {
    ($run:ident, $name:ident, $a:expr, $b:expr) => {
        mod $name {
            use super::*;

            cell!(@ $run, $a, $b, thread_thread: ThreadThread, thread_task: ThreadTask, task_thread: TaskThread,
                task_task: TaskTask, one_task: OneTask);
        }
    };
    (@ $run:ident, $a:expr, $b:expr, $($name:ident: $pairing:ident),*) => {
        $(
            #[test]
            fn $name() {
                $run(Pairing::$pairing, $a, $b);
            }
        )*
    };
}

/// The cells of one action of the first side: one for each action `$other` of the second side.
macro_rules! row {
    ($module:ident, $run:ident, $a:expr, $other:ident { $($name:ident: $b:ident,)* }) => {
        mod $module {
            use super::*;

            $(cell!($run, $name, $a, $other::$b);)*
        }
    };
}

mod down;
mod up;
