//! The protocol between one asker and one answerer, without a network: demands and answers are numbered, and the next demand
//! acknowledges the last answer.
//!
//! # The answerer
//!
//! It is of one epoch: the life of one exporting end. `k` is the number of the last demand that it has begun.
//!
//! | state | demand `k` again | demand `k + 1` | leave `k` or `k + 1` | the asker is dead |
//! |---|---|---|---|---|
//! | `Idle` (`k` is 0, or `k` was acknowledged) | – | to `Working`, `k + 1` | to `Over` | nothing is in doubt |
//! | `Working`: answer `k` is being made | hold this question in place of the older one | cannot be: unknown | to `Over`; the answer is no longer wanted | nothing is in doubt |
//! | `Kept`: answer `k` was sent and is kept | send it again | answer `k` is acknowledged and dropped; to `Working`, `k + 1` | leave `k` tells how much of answer `k` was used, leave `k + 1` that all was; to `Over` | answer `k` is in doubt |
//! | `Ended`: the end was answer `k` | send it again | cannot be: unknown | the end is acknowledged; to `Over` | nothing is in doubt |
//! | `Over` | – | – | say again that it was heard | – |
//!
//! The first question binds the asker, be it only a hello, which is answered by a welcome at any time and has no other effect. Questions of another one are refused as `Taken`. Questions with a lower number are late
//! doubles and not answered. A number that skips one is answered by `Unknown`: the asker was declared dead, and forgotten.
//!
//! # The asker
//!
//! | state | moves |
//! |---|---|
//! | `Quiet` | a demand of the local end: to `Waiting`, `k + 1`; the local end leaves: to `Leaving` |
//! | `Waiting` | the question may be sent any number of times; an answer of this epoch with number `k`: to `Quiet`; its end: to `Leaving`; the local end leaves: to `Leaving` |
//! | `Leaving` | the question may be sent any number of times; `Left`: to `Over` |
//! | `Over` | – |
//!
//! Before its first question of any kind it says hello to an answerer, and is bound to that one once it is welcome. If that answerer goes
//! before (its token was a late one, of a life that has ended), it takes another one. Nothing was asked yet, so nothing is asked twice.
//!
//! Answers with another number or epoch are late doubles. So, whatever the network loses, delays, doubles or reorders: each
//! answer is used once, in order, and when one side dies, at most the last answer is in doubt.

use std::borrow::Cow;
use std::mem;

use handover::Why;

use crate::wire::{self, Answer, Answered, Asked, Leave, Question, Unreadable};

/// The answering side. `R` is an answer as it is sent, and cheap to clone; `K` is what it was made of, kept until it is acknowledged.
#[derive(Debug)]
pub(crate) struct Answerer<R, K> {
    epoch: u64,
    asker: Option<u64>,
    number: u64,
    state: AnswererState<R, K>,
    asked_again: u64,
    /// Keeps no answer: the fault that the tests must notice.
    is_forgetful: bool,
}

#[derive(Debug)]
enum AnswererState<R, K> {
    Idle,
    Working,
    Kept { reply: R, kept: K },
    Ended { reply: R },
    Over,
}

/// What a question calls for.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard<'a, R, K> {
    /// A new demand: make its answer. With the answer before, which was acknowledged.
    Begin { demand: &'a [u8], acknowledged: Option<K> },
    /// The demand whose answer is being made was asked again: the older question is given up.
    Waiting,
    /// Send this: the answer or the end again.
    Again(R),
    /// Send this, and no more: a welcome, or that a leave was heard before.
    Greet(Vec<u8>),
    /// Send this, and no more: a refusal.
    Refuse(Vec<u8>),
    /// The asker has left. Send the reply.
    Left { reply: Vec<u8>, leave: Leave<'a>, last: Option<K>, was_told_end: bool },
    /// A late double, or no question at all: no answer.
    Ignore,
}

impl<R: Clone, K> Answerer<R, K> {
    pub(crate) const fn new(epoch: u64) -> Self {
        let state = AnswererState::Idle;
        Self { epoch, asker: None, number: 0, state, asked_again: 0, is_forgetful: false }
    }

    /// One that keeps no answer: the planted fault.
    #[cfg(any(test, feature = "planted-fault"))]
    pub(crate) fn forgetful(epoch: u64) -> Self {
        Self { is_forgetful: true, ..Self::new(epoch) }
    }

    pub(crate) const fn asker(&self) -> Option<u64> {
        self.asker
    }

    /// The number of the last demand that was begun.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// So often was a demand asked again.
    pub(crate) const fn asked_again(&self) -> u64 {
        self.asked_again
    }

    /// The end was answered, and is not acknowledged yet.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self.state, AnswererState::Ended { .. })
    }

    /// A question has come.
    pub(crate) fn hear<'a>(&mut self, bytes: &'a [u8]) -> Heard<'a, R, K> {
        let question = match wire::read_question(bytes) {
            Ok(question) => question,
            Err(Unreadable::Version(_)) => return Heard::Refuse(vec![wire::VERSION]),
            Err(Unreadable::Malformed) => return Heard::Ignore,
        };
        if self.asker.is_some_and(|asker| asker != question.asker) {
            return self.refuse(question.number, Answered::Taken);
        }
        let heard = match question.what {
            Asked::Hello => {
                let said =
                    Answer { epoch: self.epoch, number: question.number, what: Answered::Welcome };
                Heard::Greet(wire::answer(&said))
            }
            Asked::Demand(demand) => self.hear_demand(question.number, demand),
            Asked::Leave(leave) => self.hear_leave(question.number, leave),
        };
        if !matches!(heard, Heard::Refuse(_) | Heard::Ignore) {
            self.asker = Some(question.asker);
        }
        heard
    }

    fn hear_demand<'a>(&mut self, number: u64, demand: &'a [u8]) -> Heard<'a, R, K> {
        if number < self.number || number == 0 {
            return Heard::Ignore;
        }
        if number > self.number + 1 {
            return self.refuse(number, Answered::Unknown);
        }
        let is_again = number == self.number;
        match (&self.state, is_again) {
            (AnswererState::Over, _) => Heard::Ignore,
            (AnswererState::Working, true) => {
                self.asked_again += 1;
                Heard::Waiting
            }
            (AnswererState::Kept { reply, .. } | AnswererState::Ended { reply }, true) => {
                self.asked_again += 1;
                Heard::Again(reply.clone())
            }
            (AnswererState::Idle, true) if self.is_forgetful => {
                self.asked_again += 1;
                self.state = AnswererState::Working;
                Heard::Begin { demand, acknowledged: None }
            }
            (AnswererState::Idle, true) => Heard::Ignore,
            (AnswererState::Working | AnswererState::Ended { .. }, false) => {
                self.refuse(number, Answered::Unknown)
            }
            (AnswererState::Idle | AnswererState::Kept { .. }, false) => {
                self.number = number;
                let acknowledged = self.take_kept(AnswererState::Working);
                Heard::Begin { demand, acknowledged }
            }
        }
    }

    fn hear_leave<'a>(&mut self, number: u64, leave: Leave<'a>) -> Heard<'a, R, K> {
        if number < self.number {
            return Heard::Ignore;
        }
        if number > self.number + 1 {
            return self.refuse(number, Answered::Unknown);
        }
        let said = Answer { epoch: self.epoch, number, what: Answered::Left };
        let reply = wire::answer(&said);
        if matches!(self.state, AnswererState::Over) {
            return Heard::Greet(reply);
        }
        let was_told_end = self.has_ended() && number == self.number;
        // A leave under the next number: the demand of that number was lost, but it acknowledges the last answer.
        let last = self.take_kept(AnswererState::Over).filter(|_| number == self.number);
        Heard::Left { reply, leave, last, was_told_end }
    }

    fn refuse<'a>(&self, number: u64, what: Answered<'_>) -> Heard<'a, R, K> {
        Heard::Refuse(wire::answer(&Answer { epoch: self.epoch, number, what }))
    }

    fn take_kept(&mut self, next: AnswererState<R, K>) -> Option<K> {
        match mem::replace(&mut self.state, next) {
            AnswererState::Kept { kept, .. } => Some(kept),
            _ => None,
        }
    }

    /// The begin of the answer that is being made.
    pub(crate) fn item_head(&self) -> Vec<u8> {
        wire::item_head(self.epoch, self.number)
    }

    /// The answer was made: it is kept, and to be sent.
    pub(crate) fn answer(&mut self, reply: R, kept: K) {
        debug_assert!(matches!(self.state, AnswererState::Working), "there is no demand to answer");
        self.state = if self.is_forgetful {
            AnswererState::Idle
        } else {
            AnswererState::Kept { reply, kept }
        };
    }

    /// There is no answer but the end: it is kept, and to be sent. With the error that brought it; empty without one.
    pub(crate) fn end(&mut self, why: Why, fault: &str) -> R
    where
        R: From<Vec<u8>>,
    {
        debug_assert!(matches!(self.state, AnswererState::Working), "there is no demand to answer");
        let what = Answered::End(why, fault);
        let said = Answer { epoch: self.epoch, number: self.number, what };
        let reply = R::from(wire::answer(&said));
        self.state = AnswererState::Ended { reply: reply.clone() };
        reply
    }

    /// The asker is dead, or nobody can ask any more: gives the answer that is in doubt.
    pub(crate) fn give_up(&mut self) -> Option<K> {
        self.take_kept(AnswererState::Over)
    }
}

/// The asking side.
#[derive(Debug)]
pub(crate) struct Asker {
    me: u64,
    epoch: Option<u64>,
    is_welcome: bool,
    number: u64,
    state: AskerState,
}

#[derive(Debug, PartialEq)]
enum AskerState {
    Quiet,
    Waiting(Vec<u8>),
    Leaving(Vec<u8>),
    Over,
}

/// What an answer tells.
#[derive(Debug, PartialEq)]
pub(crate) enum Told<'a> {
    Item(&'a [u8]),
    /// The end, with the error that brought it (empty without one). It is to be acknowledged by a leave.
    End(Why, &'a str),
    /// The leave was heard.
    Left,
    /// The answerer is this asker's: the question itself may be sent.
    Welcome,
    /// Somebody else has the channel.
    Taken,
    /// The answerer does not know this asker any more.
    Unknown,
    /// The answerer speaks another version.
    Version(u8),
    /// A late double, or no answer at all.
    Ignore,
}

impl Asker {
    pub(crate) const fn new(me: u64) -> Self {
        Self { me, epoch: None, is_welcome: false, number: 0, state: AskerState::Quiet }
    }

    /// Only this life of an answerer is asked and believed: from now on, and for good once this asker is welcome there.
    pub(crate) fn bind(&mut self, epoch: u64) {
        debug_assert!(!self.is_welcome);
        self.epoch = Some(epoch);
    }

    /// The answerer is gone. Tells whether another one may be taken, since this asker was not welcome yet.
    pub(crate) fn unbind(&mut self) -> bool {
        if !self.is_welcome {
            self.epoch = None;
        }
        !self.is_welcome
    }

    pub(crate) const fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    pub(crate) const fn is_leaving(&self) -> bool {
        matches!(self.state, AskerState::Leaving(_))
    }

    const fn is_asking(&self) -> bool {
        matches!(self.state, AskerState::Waiting(_))
    }

    /// Begins the next demand.
    pub(crate) fn demand(&mut self, demand: &[u8]) {
        debug_assert_eq!(self.state, AskerState::Quiet);
        self.number += 1;
        self.state = AskerState::Waiting(self.write(Asked::Demand(demand)));
    }

    /// Leaves. A demand that is not answered is given up.
    pub(crate) fn leave(&mut self, leave: Leave<'_>) {
        let unused = if self.is_asking() { u64::MAX } else { leave.unused };
        self.state = AskerState::Leaving(self.write(Asked::Leave(Leave { unused, ..leave })));
    }

    fn write(&self, what: Asked<'_>) -> Vec<u8> {
        wire::question(&Question { asker: self.me, number: self.number, what })
    }

    /// The question to send, the first time and again; `None` when there is none.
    pub(crate) fn question(&self) -> Option<Cow<'_, [u8]>> {
        match &self.state {
            AskerState::Quiet | AskerState::Over => None,
            _ if !self.is_welcome => {
                let hello = Question { asker: self.me, number: 0, what: Asked::Hello };
                Some(Cow::Owned(wire::question(&hello)))
            }
            AskerState::Waiting(question) | AskerState::Leaving(question) => {
                Some(Cow::Borrowed(question))
            }
        }
    }

    /// An answer has come.
    pub(crate) fn hear<'a>(&mut self, bytes: &'a [u8]) -> Told<'a> {
        let answer = match wire::read_answer(bytes) {
            Ok(answer) => answer,
            Err(Unreadable::Version(version)) => {
                if self.question().is_none() {
                    return Told::Ignore;
                }
                self.state = AskerState::Over;
                return Told::Version(version);
            }
            Err(Unreadable::Malformed) => return Told::Ignore,
        };
        let number = if self.is_welcome { self.number } else { 0 };
        if Some(answer.epoch) != self.epoch || answer.number != number || self.question().is_none()
        {
            return Told::Ignore;
        }
        if !self.is_welcome {
            return match answer.what {
                Answered::Welcome => {
                    self.is_welcome = true;
                    Told::Welcome
                }
                Answered::Taken => {
                    self.state = AskerState::Over;
                    Told::Taken
                }
                _ => Told::Ignore,
            };
        }
        let (next, told) = match (&self.state, answer.what) {
            (AskerState::Waiting(_), Answered::Item(item)) => (AskerState::Quiet, Told::Item(item)),
            (AskerState::Waiting(_), Answered::End(why, fault)) => {
                let leave = Leave { why, unused: 0, fault: "" };
                (AskerState::Leaving(self.write(Asked::Leave(leave))), Told::End(why, fault))
            }
            (AskerState::Leaving(_), Answered::Left) => (AskerState::Over, Told::Left),
            (AskerState::Waiting(_) | AskerState::Leaving(_), Answered::Taken) => {
                (AskerState::Over, Told::Taken)
            }
            (AskerState::Waiting(_) | AskerState::Leaving(_), Answered::Unknown) => {
                (AskerState::Over, Told::Unknown)
            }
            _ => return Told::Ignore,
        };
        self.state = next;
        told
    }
}

#[cfg(test)]
#[path = "protocol/tests.rs"]
mod tests;
