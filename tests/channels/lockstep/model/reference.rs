//! The reference: whose turn it is, and what lies between the two.

use std::mem;

use super::*;
use handover::Why;

pub(super) const CLIENT: usize = 0;

pub(super) const SERVER: usize = 1;

/// The state of a channel: whose turn it is, and which message lies between the ends.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Turn {
    /// The client's.
    Idle,
    /// A demand lies there.
    Asked(Option<usize>),
    /// The server's, which has a demand in hand.
    InHand,
    /// An answer lies there.
    Offered(usize),
}

/// An operation that is under way.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// Asks by itself, or only waits for what is owed.
    Recv {
        asks: bool,
    },
    Stream,
    Ask {
        up: Option<usize>,
        is_put: bool,
    },
    Demand,
    Exchange {
        item: Option<usize>,
        is_put: bool,
    },
    SendAll {
        item: Option<usize>,
        is_put: bool,
        rest: Vec<usize>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Model {
    pub(super) turn: Turn,
    pub(super) ends: [Option<Why>; 2],
    pub(super) left: Option<usize>,
    pub(super) told: Option<Why>,
    pub(super) ops: [Option<Op>; 2],
}

impl Model {
    pub(super) fn new() -> Self {
        Self { turn: Turn::Idle, ends: [None; 2], left: None, told: None, ops: [None, None] }
    }

    /// One attempt of the side's operation. The values that it drops go to `dead`.
    pub(super) fn step(&mut self, side: usize, dead: &mut Vec<usize>) -> Output {
        let mut op = self.ops[side].take().expect("an operation");
        let output = match &mut op {
            Op::Recv { asks } => self.step_recv(*asks, dead),
            Op::Stream => match self.step_recv(true, dead) {
                Output::Failed(..) => Output::Ended,
                output => output,
            },
            Op::Ask { up, is_put } => self.step_ask(up, is_put, dead),
            Op::Demand => match self.next_demand(dead, false) {
                Ok(Some(up)) => Output::Got(up),
                Ok(None) => Output::Pending,
                Err(why) => Output::Failed(why, vec![]),
            },
            Op::Exchange { item, is_put } => match self.step_answer(item, is_put, dead) {
                Ok(Some(up)) => Output::Got(up),
                Ok(None) => Output::Pending,
                Err((why, unsent)) => Output::Failed(why, unsent.into_iter().collect()),
            },
            Op::SendAll { item, is_put, rest } => loop {
                let is_asked = if item.is_some() || *is_put {
                    self.step_answer(item, is_put, dead)
                } else {
                    match self.next_demand(dead, false) {
                        Err(Why::OutOfTurn) => Ok(Some(None)),
                        other => other.map_err(|why| (why, None)),
                    }
                };
                match is_asked {
                    Ok(None) => break Output::Pending,
                    Err((why, unsent)) => {
                        break Output::Failed(
                            why,
                            unsent.into_iter().chain(mem::take(rest)).collect(),
                        );
                    }
                    Ok(Some(_)) if rest.is_empty() => break Output::Sent,
                    Ok(Some(_)) => *item = Some(rest.remove(0)),
                }
            },
        };
        match &output {
            Output::Pending => self.ops[side] = Some(op),
            Output::Got(Some(value)) => dead.push(*value),
            Output::Failed(_, values) => dead.extend(values),
            _ => {}
        }
        output
    }

    pub(super) fn last_words(&mut self, why: Why) -> Result<usize, Why> {
        self.left.take().ok_or_else(|| {
            self.told = Some(why);
            why
        })
    }

    pub(super) fn step_recv(&mut self, asks: bool, _: &mut Vec<usize>) -> Output {
        if let Turn::Offered(item) = self.turn {
            self.turn = Turn::Idle;
            return Output::Got(Some(item));
        }
        if let Some(why) = self.ends[SERVER] {
            return match self.last_words(why) {
                Ok(item) => Output::Got(Some(item)),
                Err(why) => Output::Failed(why, vec![]),
            };
        }
        match (&self.turn, asks) {
            (Turn::Idle, true) => self.turn = Turn::Asked(None),
            (Turn::Idle, false) => return Output::Failed(Why::OutOfTurn, vec![]),
            _ => {}
        }
        Output::Pending
    }

    pub(super) fn step_ask(
        &mut self,
        up: &mut Option<usize>,
        is_put: &mut bool,
        dead: &mut Vec<usize>,
    ) -> Output {
        if let Turn::Offered(item) = self.turn {
            if !*is_put {
                return Output::Failed(Why::OutOfTurn, up.take().into_iter().collect());
            }
            self.turn = Turn::Idle;
            return Output::Got(Some(item));
        }
        if let Some(why) = self.ends[SERVER] {
            let last = self.last_words(why);
            let unsent = self.take_back_ask(up, is_put);
            return match last {
                Ok(item) => {
                    dead.extend(unsent);
                    Output::Got(Some(item))
                }
                Err(why) => Output::Failed(why, unsent.into_iter().collect()),
            };
        }
        if !*is_put {
            if self.turn != Turn::Idle {
                return Output::Failed(Why::OutOfTurn, up.take().into_iter().collect());
            }
            (self.turn, *is_put) = (Turn::Asked(up.take()), true);
        }
        Output::Pending
    }

    pub(super) fn take_back_ask(
        &mut self,
        up: &mut Option<usize>,
        is_put: &mut bool,
    ) -> Option<usize> {
        match self.turn {
            Turn::Asked(demand) if mem::take(is_put) => {
                self.turn = Turn::Idle;
                demand
            }
            _ => up.take(),
        }
    }

    /// The next demand, if there is one; dropped here if it is `unwanted`.
    pub(super) fn next_demand(
        &mut self,
        dead: &mut Vec<usize>,
        unwanted: bool,
    ) -> Result<Option<Option<usize>>, Why> {
        if let Some(why) = self.ends[CLIENT] {
            return Err(why);
        }
        match self.turn {
            Turn::Asked(up) => {
                self.turn = Turn::InHand;
                if unwanted {
                    dead.extend(up);
                }
                Ok(Some(up))
            }
            Turn::InHand => Err(Why::OutOfTurn),
            Turn::Idle | Turn::Offered(_) => Ok(None),
        }
    }

    pub(super) fn step_answer(
        &mut self,
        item: &mut Option<usize>,
        is_put: &mut bool,
        dead: &mut Vec<usize>,
    ) -> Result<Option<Option<usize>>, (Why, Option<usize>)> {
        loop {
            match self.next_demand(dead, !*is_put) {
                Ok(Some(up)) if mem::take(is_put) => return Ok(Some(up)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(Why::OutOfTurn) => {
                    (self.turn, *is_put) = (Turn::Offered(item.take().unwrap()), true);
                    return Ok(None);
                }
                Err(why) => return Err((why, self.take_back_answer(item, is_put))),
            }
        }
    }

    pub(super) fn take_back_answer(
        &mut self,
        item: &mut Option<usize>,
        is_put: &mut bool,
    ) -> Option<usize> {
        match self.turn {
            Turn::Offered(offered) if mem::take(is_put) => {
                self.turn = Turn::InHand;
                Some(offered)
            }
            _ => item.take(),
        }
    }

    /// Gives up the side's operation. Returns the values that were not taken, in order.
    pub(super) fn withdraw(&mut self, side: usize) -> Vec<usize> {
        match self.ops[side].take().expect("an operation") {
            Op::Recv { .. } | Op::Stream | Op::Demand => vec![],
            Op::Ask { mut up, mut is_put } => {
                self.take_back_ask(&mut up, &mut is_put).into_iter().collect()
            }
            Op::Exchange { mut item, mut is_put } => {
                self.take_back_answer(&mut item, &mut is_put).into_iter().collect()
            }
            Op::SendAll { mut item, mut is_put, rest } => {
                let unsent = self.take_back_answer(&mut item, &mut is_put);
                unsent.into_iter().chain(rest).collect()
            }
        }
    }

    /// One end leaves. When both have left, the message between them is dropped.
    pub(super) fn leave(&mut self, side: usize, why: Why, dead: &mut Vec<usize>) {
        self.ends[side].get_or_insert(why);
        if self.ends.iter().all(Option::is_some) {
            match mem::replace(&mut self.turn, Turn::Idle) {
                Turn::Asked(up) => dead.extend(up),
                Turn::Offered(item) => dead.push(item),
                Turn::Idle | Turn::InHand => {}
            }
            dead.extend(self.left.take());
        }
    }

    /// Does a command and returns its outcome. `values` are the values that it brings in; the values that it drops go to `dead`.
    pub(super) fn run(
        &mut self,
        side: usize,
        command: Command,
        values: &[usize],
        dead: &mut Vec<usize>,
        is_simplex: bool,
    ) -> Output {
        let begin = |model: &mut Self, op| {
            model.ops[side] = Some(op);
            Output::Begun
        };
        match command {
            Command::Recv => begin(self, Op::Recv { asks: is_simplex }),
            Command::Answer => begin(self, Op::Recv { asks: false }),
            Command::Ask => begin(self, Op::Ask { up: values.first().copied(), is_put: false }),
            Command::Demand => begin(self, Op::Demand),
            Command::Exchange => begin(self, Op::Exchange { item: Some(values[0]), is_put: false }),
            Command::SendAll(_) => {
                begin(self, Op::SendAll { item: None, is_put: false, rest: values.to_vec() })
            }
            Command::PollNext | Command::DropStream => {
                self.ops[side] = Some(Op::Stream);
                let output = self.step(side, dead);
                if command == Command::DropStream && output == Output::Pending {
                    self.ops[side] = None;
                    return Output::Dropped;
                }
                output
            }
            Command::Poll { .. } => self.step(side, dead),
            Command::Now | Command::WaitTimeout | Command::WaitDeadline => {
                match self.step(side, dead) {
                    Output::Pending => {
                        let why =
                            if command == Command::Now { Why::NotReady } else { Why::TimedOut };
                        let unsent = self.withdraw(side);
                        dead.extend(&unsent);
                        Output::Failed(why, unsent)
                    }
                    output => output,
                }
            }
            Command::Drop => {
                dead.extend(self.withdraw(side));
                Output::Dropped
            }
            Command::Reclaim => {
                let unsent = self.withdraw(side);
                dead.extend(&unsent);
                Output::Reclaimed(unsent.first().copied())
            }
            Command::Forget => {
                self.ops[side] = None; // a message that was put stays, the rest leaks
                Output::Dropped
            }
            Command::Leave | Command::Close | Command::Finish => {
                if matches!(&self.ops[side], Some(op) if *op != Op::Stream) {
                    dead.extend(self.withdraw(side));
                }
                self.ops[side] = None;
                let why = if command == Command::Leave { Why::Dropped } else { Why::Closed };
                self.leave(side, why, dead);
                Output::Left
            }
            Command::FinishWith => {
                let item = values[0];
                let refused = match self.next_demand(dead, true) {
                    Ok(Some(_)) | Err(Why::OutOfTurn) => {
                        self.turn = Turn::Offered(item);
                        None
                    }
                    Ok(None) if self.turn == Turn::Idle => {
                        self.left = Some(item);
                        None
                    }
                    Ok(None) => Some(Why::OutOfTurn),
                    Err(why) => Some(why),
                };
                let why = if refused == Some(Why::OutOfTurn) { Why::Dropped } else { Why::Closed };
                self.leave(side, why, dead);
                match refused {
                    None => Output::Left,
                    Some(why) => {
                        dead.push(item);
                        Output::Failed(why, vec![item])
                    }
                }
            }
        }
    }

    /// Whether a poll of the side's operation would change anything.
    pub(super) fn can_go_on(&self, side: usize) -> bool {
        let mut trial = self.clone();
        trial.step(side, &mut Vec::new());
        trial != *self
    }
}
