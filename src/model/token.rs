//! A value that must not be lost.

use std::fmt;
use std::panic::Location;

use super::hooks::with_seat;
use super::run::{Lost, Place, What};

/// A value that must come to where it belongs: dropped before [`done`](Token::done), it is lost, and the run fails with
/// [`FailureKind::Lost`](super::FailureKind::Lost). The report tells where it was made, and which party dropped it.
///
/// Outside of a model it is its value and nothing more.
///
/// ```
/// use handover::model::{self, FailureKind, Schedule, Token};
/// use handover::rendezvous;
///
/// let failure = model::check(&Schedule::default(), || {
///     let (tx, rx) = rendezvous();
///     let sender = model::thread::spawn(move || tx.send(Token::new("a job")).wait());
///     _ = rx.recv().wait(); // takes the job, and forgets it
///     sender.join().unwrap().unwrap();
/// });
/// assert_eq!(failure.unwrap_err().kind(), FailureKind::Lost);
/// ```
pub struct Token<T> {
    value: Option<T>,
    made_at: Place,
}

impl<T> Token<T> {
    /// Takes care of a value.
    ///
    /// ```
    /// let token = handover::model::Token::new(1);
    /// assert_eq!(token.done(), 1);
    /// ```
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self { value: Some(value), made_at: Location::caller() }
    }

    /// The value.
    ///
    /// ```
    /// let token = handover::model::Token::new("a job");
    /// assert_eq!(*token.get(), "a job");
    /// # token.done();
    /// ```
    pub fn get(&self) -> &T {
        self.value.as_ref().expect("a token that is not done")
    }

    /// The value has come to where it belongs.
    ///
    /// ```
    /// assert_eq!(handover::model::Token::new("a job").done(), "a job");
    /// ```
    pub fn done(mut self) -> T {
        self.value.take().expect("a token that is not done")
    }
}

impl<T> Drop for Token<T> {
    fn drop(&mut self) {
        if self.value.is_none() {
            return;
        }
        with_seat(|seat| {
            if !seat.run.is_ending() {
                let mut state = seat.run.state();
                let (by, step) = (seat.party, state.steps);
                state.push(by, What::Loses, Some(self.made_at), 0);
                state.lost.push(Lost { made_at: self.made_at, by, step });
            }
        });
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("made_at", &self.made_at.to_string()).finish_non_exhaustive()
    }
}
