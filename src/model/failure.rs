//! What a run that failed tells.

use std::error::Error;
use std::fmt;

use super::schedule::{Departure, Plan, Schedule};

/// How a run failed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Parties wait, and nothing can wake them.
    Deadlock,
    /// A party panicked.
    Panic,
    /// A run took more steps than [`Model::max_steps`](super::Model::max_steps), or went round and round.
    Endless,
    /// A [`Token`](super::Token) was dropped before it was done.
    Lost,
    /// A party did not come back to a point of choice within [`Model::patience`](super::Model::patience): it waits for something that the model does not see. Or a
    /// thread that is no party used a channel of the model.
    Stuck,
}

/// What is told of a run that failed.
#[derive(Clone, Debug)]
pub(super) struct Details {
    pub(super) kind: FailureKind,
    pub(super) departures: Vec<Departure>,
    pub(super) report: String,
    pub(super) diagram: String,
}

/// A run that failed: how, by which schedule, and what each party was doing.
///
/// `Display` and `Debug` give the [`report`](Failure::report), so that `unwrap` and `?` in a `proptest!` show it.
///
/// ```
/// use handover::model::{self, FailureKind, Schedule};
/// use handover::rendezvous;
///
/// let failure = model::check(&Schedule::default(), || {
///     let (_tx, rx) = rendezvous::<()>();
///     rx.recv().wait() // for ever
/// });
/// let failure = failure.unwrap_err();
/// assert_eq!(failure.kind(), FailureKind::Deadlock);
/// assert!(failure.report().starts_with("deadlock at step 1: the only party waits"));
/// ```
#[derive(Clone)]
pub struct Failure {
    details: Box<Details>,
}

impl Failure {
    pub(super) fn new(details: Details) -> Self {
        Self { details: Box::new(details) }
    }

    /// How the run failed.
    ///
    /// ```
    /// use handover::model::{self, FailureKind, Schedule};
    ///
    /// let failure = model::check(&Schedule::default(), || assert_eq!(1 + 1, 3)).unwrap_err();
    /// assert_eq!(failure.kind(), FailureKind::Panic);
    /// ```
    pub fn kind(&self) -> FailureKind {
        self.details.kind
    }

    /// The schedule that brings the same run again.
    ///
    /// ```
    /// use handover::model::{self, Schedule};
    ///
    /// let fails = |s: &Schedule| model::check(s, || assert!(model::choose(10) < 5)).unwrap_err();
    /// let failure = fails(&Schedule::random(1, 100));
    /// let again = fails(&failure.schedule());
    /// assert_eq!(again.report(), failure.report());
    /// ```
    pub fn schedule(&self) -> Schedule {
        Schedule::new(Plan::Given(self.details.departures.clone()))
    }

    /// What happened, in words: the verdict, what each party waits for and at which line, the channels, the schedule, and the last steps.
    ///
    /// ```
    /// use handover::model::{self, Schedule};
    /// use handover::rendezvous;
    ///
    /// let failure = model::check(&Schedule::default(), || {
    ///     let (tx, rx) = rendezvous();
    ///     let sender = model::thread::spawn(move || tx.send(1).wait());
    ///     sender.join().unwrap().unwrap();
    ///     drop(rx);
    /// });
    /// let failure = failure.unwrap_err();
    /// assert!(failure.report().contains("Sender::send #1"));
    /// ```
    pub fn report(&self) -> &str {
        &self.details.report
    }

    /// The run as a sequence diagram, in the language of [Mermaid](https://mermaid.js.org): the parties as lifelines, the hand-overs as arrows. Many viewers of
    /// Markdown draw it.
    ///
    /// ```
    /// use handover::model::{self, Schedule};
    /// use handover::rendezvous;
    ///
    /// let failure = model::check(&Schedule::default(), || {
    ///     let (tx, rx) = rendezvous();
    ///     let sender = model::thread::spawn(move || tx.send("a letter").wait());
    ///     rx.recv().wait().unwrap();
    ///     sender.join().unwrap().unwrap();
    ///     panic!("to see the diagram");
    /// });
    /// let diagram = failure.unwrap_err().diagram();
    /// assert!(diagram.starts_with("sequenceDiagram"));
    /// assert!(diagram.contains("p1->>p0: channel 1"));
    /// ```
    pub fn diagram(&self) -> String {
        self.details.diagram.clone()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.report())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.report())
    }
}

impl Error for Failure {}
