//! The protocol over a network that loses, delays, doubles and reorders, with deaths on either side, beside a model of what
//! must hold.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use super::*;

/// What happens next. An index chooses among the messages on their way.
#[derive(Clone, Debug)]
enum Happens {
    /// The local consumer wants an item, if it waits for none.
    Want,
    /// The asker sends its question, for the first time or again.
    Ask,
    QuestionArrives(prop::sample::Index),
    QuestionDoubles(prop::sample::Index),
    QuestionIsLost(prop::sample::Index),
    AnswerArrives(prop::sample::Index),
    AnswerDoubles(prop::sample::Index),
    AnswerIsLost(prop::sample::Index),
    /// The producer makes the item that is asked for.
    Make,
    /// The producer has no more.
    Finish,
    /// The consumer leaves; it has used the last item, or not.
    Leave {
        used: bool,
    },
    /// A question of somebody else arrives.
    Intrude,
    /// Bytes arrive that are no message.
    Noise(Vec<u8>),
    /// The answering side begins a new life.
    Restart,
}

fn happens() -> impl Strategy<Value = Happens> {
    let index = || any::<prop::sample::Index>();
    prop_oneof![
        8 => Just(Happens::Want),
        8 => Just(Happens::Ask),
        10 => index().prop_map(Happens::QuestionArrives),
        3 => index().prop_map(Happens::QuestionDoubles),
        3 => index().prop_map(Happens::QuestionIsLost),
        10 => index().prop_map(Happens::AnswerArrives),
        3 => index().prop_map(Happens::AnswerDoubles),
        3 => index().prop_map(Happens::AnswerIsLost),
        8 => Just(Happens::Make),
        1 => Just(Happens::Intrude),
        1 => any::<Vec<u8>>().prop_map(Happens::Noise),
    ]
}

/// How it ends.
#[derive(Clone, Copy, Debug)]
enum Finale {
    Nothing,
    Finish,
    Leave { used: bool },
    AskerDies,
    Restart,
}

fn finale() -> impl Strategy<Value = Finale> {
    prop_oneof![
        Just(Finale::Nothing),
        Just(Finale::Finish),
        any::<bool>().prop_map(|used| Finale::Leave { used }),
        Just(Finale::AskerDies),
        Just(Finale::Restart),
    ]
}

struct World {
    asker: Asker,
    answerer: Answerer<Vec<u8>, u64>,
    questions: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
    /// Items that the consumer wanted, that the producer made, and that the consumer got: each is the number of the next one.
    wanted: u64,
    made: u64,
    got: u64,
    is_working: bool,
    is_finished: bool,
    /// Ends that the asker was told.
    ends: u32,
    /// What the answerer was told of the asker's leave: the item that was not used.
    left: Option<(Why, Option<u64>, bool)>,
    heard_left: bool,
}

const ME: u64 = 7;
const EPOCH: u64 = 100;

impl World {
    fn new(is_forgetful: bool) -> Self {
        let mut asker = Asker::new(ME);
        asker.bind(EPOCH);
        let answerer = if is_forgetful { Answerer::forgetful(EPOCH) } else { Answerer::new(EPOCH) };
        Self {
            asker,
            answerer,
            questions: Vec::new(),
            answers: Vec::new(),
            wanted: 0,
            made: 0,
            got: 0,
            is_working: false,
            is_finished: false,
            ends: 0,
            left: None,
            heard_left: false,
        }
    }

    fn happen(&mut self, what: Happens) -> TestCaseResult {
        match what {
            Happens::Want if self.asker.state == AskerState::Quiet => {
                self.asker.demand(&self.wanted.to_le_bytes());
                self.wanted += 1;
            }
            Happens::Ask => self.questions.extend(self.asker.question().map(Cow::into_owned)),
            Happens::QuestionArrives(index) if !self.questions.is_empty() => {
                let question = self.questions.swap_remove(index.index(self.questions.len()));
                self.question_arrives(&question)?;
            }
            Happens::QuestionDoubles(index) if !self.questions.is_empty() => {
                self.questions.push(index.get(&self.questions).clone());
            }
            Happens::QuestionIsLost(index) if !self.questions.is_empty() => {
                self.questions.swap_remove(index.index(self.questions.len()));
            }
            Happens::AnswerArrives(index) if !self.answers.is_empty() => {
                let answer = self.answers.swap_remove(index.index(self.answers.len()));
                self.answer_arrives(&answer)?;
            }
            Happens::AnswerDoubles(index) if !self.answers.is_empty() => {
                self.answers.push(index.get(&self.answers).clone());
            }
            Happens::AnswerIsLost(index) if !self.answers.is_empty() => {
                self.answers.swap_remove(index.index(self.answers.len()));
            }
            Happens::Make if self.is_working => {
                self.is_working = false;
                if self.is_finished {
                    let end = self.answerer.end(Why::Closed, "");
                    self.answers.push(end);
                } else {
                    let mut reply = self.answerer.item_head();
                    reply.extend_from_slice(&self.made.to_le_bytes());
                    self.answerer.answer(reply.clone(), self.made);
                    self.answers.push(reply);
                    self.made += 1;
                }
            }
            Happens::Finish => self.is_finished = true,
            Happens::Leave { used } => {
                let unused = u64::from(!used && self.got > 0);
                self.asker.leave(Leave { why: Why::Closed, unused, fault: "" });
            }
            Happens::Intrude => {
                let asked = Question { asker: ME + 1, number: 1, what: Asked::Demand(&[]) };
                let bytes = wire::question(&asked);
                if self.answerer.asker() == Some(ME) {
                    let heard = self.answerer.hear(&bytes);
                    let Heard::Refuse(reply) = heard else {
                        return Err(TestCaseError::fail(format!("served two: {heard:?}")));
                    };
                    let answer = wire::read_answer(&reply).unwrap();
                    prop_assert_eq!(answer.what, Answered::Taken);
                }
            }
            Happens::Noise(bytes) => {
                let bytes = [&[wire::VERSION, 9][..], &bytes].concat();
                prop_assert_eq!(self.answerer.hear(&bytes), Heard::Ignore);
                prop_assert_eq!(self.asker.hear(&bytes), Told::Ignore);
            }
            Happens::Restart => {
                self.answerer = Answerer::new(EPOCH + 1);
                self.is_working = false;
            }
            _ => {}
        }
        Ok(())
    }

    fn question_arrives(&mut self, question: &[u8]) -> TestCaseResult {
        match self.answerer.hear(question) {
            Heard::Begin { demand, acknowledged } => {
                let demand = u64::from_le_bytes(demand.try_into().unwrap());
                prop_assert_eq!(demand, self.made, "a demand was made twice, or skipped");
                prop_assert_eq!(acknowledged, demand.checked_sub(1));
                prop_assert!(!self.is_working);
                self.is_working = true;
            }
            Heard::Again(reply) | Heard::Greet(reply) => self.answers.push(reply),
            heard @ Heard::Refuse(_) => return Err(TestCaseError::fail(format!("{heard:?}"))),
            Heard::Left { reply, leave, last, was_told_end } => {
                let unused = last.filter(|_| leave.unused > 0);
                prop_assert!(self.left.is_none(), "it left twice");
                self.left = Some((leave.why, unused, was_told_end));
                self.is_working = false;
                self.answers.push(reply);
            }
            Heard::Waiting => prop_assert!(self.is_working),
            Heard::Ignore => {}
        }
        Ok(())
    }

    fn answer_arrives(&mut self, answer: &[u8]) -> TestCaseResult {
        match self.asker.hear(answer) {
            Told::Item(item) => {
                let item = u64::from_le_bytes(item.try_into().unwrap());
                prop_assert_eq!(item, self.got, "an item came twice, late, or never");
                self.got += 1;
            }
            Told::End(why, _) => {
                prop_assert_eq!(why, Why::Closed);
                self.ends += 1;
            }
            Told::Left => self.heard_left = true,
            Told::Welcome | Told::Ignore => {}
            told => return Err(TestCaseError::fail(format!("{told:?}"))),
        }
        prop_assert!(self.got <= self.made && self.made <= self.wanted);
        prop_assert!(self.made - self.got <= 1, "more than one answer in flight");
        Ok(())
    }

    /// From now on the network is a good one.
    fn settle(&mut self) -> TestCaseResult {
        for _ in 0..8 {
            self.happen(Happens::Ask)?;
            while let Some(question) = self.questions.pop() {
                self.question_arrives(&question)?;
            }
            self.happen(Happens::Make)?;
            while let Some(answer) = self.answers.pop() {
                self.answer_arrives(&answer)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, finale: Finale) -> TestCaseResult {
        match finale {
            Finale::Nothing => {
                self.settle()?;
                prop_assert_eq!(self.got, self.wanted);
                prop_assert_eq!(self.made, self.wanted);
            }
            Finale::Finish => {
                self.settle()?;
                self.happen(Happens::Finish)?;
                self.happen(Happens::Want)?;
                self.settle()?;
                prop_assert_eq!(self.ends, 1);
                prop_assert_eq!(self.got, self.wanted - 1);
                prop_assert_eq!(self.made, self.got);
                prop_assert_eq!(self.left, Some((Why::Closed, None, true)));
                prop_assert!(self.heard_left);
            }
            Finale::Leave { used } => {
                let was_asking = self.asker.is_asking();
                self.happen(Happens::Leave { used })?;
                let got = self.got;
                self.settle()?;
                prop_assert_eq!(self.got, got, "an item came after the leave");
                prop_assert!(self.heard_left);
                let (why, unused, was_told_end) = self.left.unwrap();
                prop_assert_eq!((why, was_told_end), (Why::Closed, false));
                // What was made and not got, or got and not used, comes back.
                let expected = if self.made > got {
                    Some(got)
                } else if !was_asking && !used {
                    got.checked_sub(1)
                } else {
                    None
                };
                prop_assert_eq!(unused, expected);
            }
            Finale::AskerDies => {
                // The last questions may still arrive, or not.
                let in_doubt = self.answerer.give_up();
                prop_assert!(in_doubt.is_none_or(|item| item + 1 == self.made));
                if self.made > self.got {
                    prop_assert_eq!(in_doubt, Some(self.got), "an item was lost silently");
                }
            }
            Finale::Restart => {
                self.happen(Happens::Restart)?;
                let got = self.got;
                // An old answer may still arrive; the new life answers nothing of the old one.
                let pending: Vec<_> = self.answers.drain(..).collect();
                for answer in pending {
                    self.answer_arrives(&answer)?;
                }
                prop_assert!(self.got - got <= 1);
                let got = self.got;
                let mut bytes = wire::item_head(EPOCH + 1, self.wanted);
                bytes.extend_from_slice(&0_u64.to_le_bytes());
                self.answer_arrives(&bytes)?;
                prop_assert_eq!(self.got, got, "an answer of another life was believed");
            }
        }
        Ok(())
    }
}

fn model(is_forgetful: bool, cases: u32) -> Result<(), String> {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let strategy = (prop::collection::vec(happens(), 0..120), finale());
    runner
        .run(&strategy, |(story, finale)| {
            let mut world = World::new(is_forgetful);
            for what in story {
                world.happen(what)?;
            }
            world.end(finale)
        })
        .map_err(|error| error.to_string())
}

#[test]
fn whatever_the_network_does_each_item_comes_once_in_order() {
    model(false, 4000).unwrap();
}

#[test]
fn an_answerer_that_keeps_no_answer_is_noticed() {
    model(true, 4000).unwrap_err();
}

#[test]
fn a_question_of_another_version_is_answered_by_the_version() {
    let mut answerer = Answerer::<Vec<u8>, ()>::new(EPOCH);
    assert_eq!(answerer.hear(&[9, 1, 2, 3]), Heard::Refuse(vec![wire::VERSION]));

    let mut asker = Asker::new(ME);
    asker.bind(EPOCH);
    assert_eq!(asker.hear(&[9]), Told::Ignore); // it has asked nothing
    asker.demand(&[]);
    assert_eq!(asker.hear(&[9]), Told::Version(9));
    assert_eq!(asker.question(), None);
}

#[test]
fn an_asker_that_was_forgotten_is_told_so() {
    let mut asker = Asker::new(ME);
    asker.bind(EPOCH);
    asker.is_welcome = true;
    for _ in 0..3 {
        asker.demand(&[]);
        asker.state = AskerState::Quiet;
    }
    asker.demand(&[]);
    let mut answerer = Answerer::<Vec<u8>, ()>::new(EPOCH);
    let Heard::Refuse(reply) = answerer.hear(&asker.question().unwrap()) else { panic!() };
    assert_eq!(asker.hear(&reply), Told::Unknown);
}

#[test]
fn an_asker_that_is_not_welcome_yet_may_take_another_answerer() {
    let mut asker = Asker::new(ME);
    asker.bind(EPOCH);
    asker.demand(&[5]);
    assert!(asker.unbind());
    asker.bind(EPOCH + 1);
    let mut answerer = Answerer::<Vec<u8>, ()>::new(EPOCH + 1);
    let hello = asker.question().unwrap().into_owned();
    let Heard::Greet(welcome) = answerer.hear(&hello) else { panic!() };
    assert_eq!(asker.hear(&welcome), Told::Welcome);
    assert!(!asker.unbind());
    let question = asker.question().unwrap().into_owned();
    assert!(matches!(answerer.hear(&question), Heard::Begin { demand: [5], .. }));
}
