//! The bytes of questions and answers.
//!
//! | message | bytes |
//! |---|---|
//! | question | version, kind, asker (8), number (8), body |
//! | answer | version, kind, epoch (8), number (8), body |
//!
//! Numbers are little-endian. Every message of every version begins with the version, so that peers of different versions can
//! tell each other so; an answer to a question of another version is the answerer's version and nothing else.

use handover::Why;

/// The version of the protocol that this crate speaks.
pub(crate) const VERSION: u8 = 1;

/// So long is the head of a question and of an answer.
const HEAD: usize = 18;

/// What an asker asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question<'a> {
    pub(crate) asker: u64,
    pub(crate) number: u64,
    pub(crate) what: Asked<'a>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked<'a> {
    /// An asker is there, and wants to be this answerer's. It has no other effect.
    Hello,
    /// An answer is wanted.
    Demand(&'a [u8]),
    /// The asker has left, or has been told the end.
    Leave(Leave<'a>),
}

/// How an asker leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leave<'a> {
    pub(crate) why: Why,
    /// So many items, the last ones of the last answer, were not used: 0 if all were, `u64::MAX` if none was.
    pub(crate) unused: u64,
    /// The error that made it leave; empty without one.
    pub(crate) fault: &'a str,
}

/// What an answerer answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) epoch: u64,
    pub(crate) number: u64,
    pub(crate) what: Answered<'a>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answered<'a> {
    Item(&'a [u8]),
    /// There are no more items. With the error that ended it; empty without one.
    End(Why, &'a str),
    /// The leave was heard.
    Left,
    /// The answerer is this asker's.
    Welcome,
    /// Another asker has this channel.
    Taken,
    /// The number does not follow the last one that the answerer knows of this asker.
    Unknown,
}

/// Why a message was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Version(u8),
    Malformed,
}

const DEMAND: u8 = 0;
const LEAVE: u8 = 1;
const HELLO: u8 = 2;

const ITEM: u8 = 0;
const END: u8 = 1;
const LEFT: u8 = 2;
const TAKEN: u8 = 3;
const UNKNOWN: u8 = 4;
const WELCOME: u8 = 5;

/// A question, as bytes.
pub(crate) fn question(question: &Question<'_>) -> Vec<u8> {
    let (kind, body) = match &question.what {
        Asked::Demand(demand) => (DEMAND, *demand),
        Asked::Leave(_) => (LEAVE, &[][..]),
        Asked::Hello => (HELLO, &[][..]),
    };
    let mut bytes = head(kind, question.asker, question.number, body.len());
    bytes.extend_from_slice(body);
    if let Asked::Leave(leave) = &question.what {
        bytes.push(code(leave.why));
        bytes.extend_from_slice(&leave.unused.to_le_bytes());
        bytes.extend_from_slice(leave.fault.as_bytes());
    }
    bytes
}

/// The begin of an answer with an item: the item's bytes follow.
pub(crate) fn item_head(epoch: u64, number: u64) -> Vec<u8> {
    head(ITEM, epoch, number, 16)
}

/// An answer, as bytes.
pub(crate) fn answer(answer: &Answer<'_>) -> Vec<u8> {
    let kind = match answer.what {
        Answered::Item(_) => ITEM,
        Answered::End(..) => END,
        Answered::Left => LEFT,
        Answered::Welcome => WELCOME,
        Answered::Taken => TAKEN,
        Answered::Unknown => UNKNOWN,
    };
    let mut bytes = head(kind, answer.epoch, answer.number, 0);
    match answer.what {
        Answered::Item(item) => bytes.extend_from_slice(item),
        Answered::End(why, fault) => {
            bytes.push(code(why));
            bytes.extend_from_slice(fault.as_bytes());
        }
        _ => {}
    }
    bytes
}

fn head(kind: u8, who: u64, number: u64, room: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + room);
    bytes.extend_from_slice(&[VERSION, kind]);
    bytes.extend_from_slice(&who.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes
}

/// Kind, asker or epoch, number, and body.
fn behead(bytes: &[u8]) -> Result<(u8, u64, u64, &[u8]), Unreadable> {
    match bytes.first() {
        None => return Err(Unreadable::Malformed),
        Some(&VERSION) => {}
        Some(&version) => return Err(Unreadable::Version(version)),
    }
    let (kind, rest) = bytes[1..].split_first().ok_or(Unreadable::Malformed)?;
    let (who, rest) = rest.split_first_chunk().ok_or(Unreadable::Malformed)?;
    let (number, body) = rest.split_first_chunk().ok_or(Unreadable::Malformed)?;
    Ok((*kind, u64::from_le_bytes(*who), u64::from_le_bytes(*number), body))
}

/// Reads a question.
pub(crate) fn read_question(bytes: &[u8]) -> Result<Question<'_>, Unreadable> {
    let (kind, asker, number, body) = behead(bytes)?;
    let what = match kind {
        HELLO if body.is_empty() => Asked::Hello,
        DEMAND => Asked::Demand(body),
        LEAVE => {
            let (why, rest) = body.split_first().ok_or(Unreadable::Malformed)?;
            let (unused, fault) = rest.split_first_chunk().ok_or(Unreadable::Malformed)?;
            Asked::Leave(Leave {
                why: end(*why)?,
                unused: u64::from_le_bytes(*unused),
                fault: text(fault)?,
            })
        }
        _ => return Err(Unreadable::Malformed),
    };
    Ok(Question { asker, number, what })
}

/// Reads an answer.
pub(crate) fn read_answer(bytes: &[u8]) -> Result<Answer<'_>, Unreadable> {
    let (kind, epoch, number, body) = behead(bytes)?;
    let what = match kind {
        ITEM => Answered::Item(body),
        END => {
            let (why, fault) = body.split_first().ok_or(Unreadable::Malformed)?;
            Answered::End(end(*why)?, text(fault)?)
        }
        LEFT if body.is_empty() => Answered::Left,
        TAKEN if body.is_empty() => Answered::Taken,
        UNKNOWN if body.is_empty() => Answered::Unknown,
        WELCOME if body.is_empty() => Answered::Welcome,
        _ => return Err(Unreadable::Malformed),
    };
    Ok(Answer { epoch, number, what })
}

const fn code(why: Why) -> u8 {
    match why {
        Why::Closed => 0,
        Why::Panicked => 2,
        _ => 1,
    }
}

const fn end(code: u8) -> Result<Why, Unreadable> {
    match code {
        0 => Ok(Why::Closed),
        1 => Ok(Why::Dropped),
        2 => Ok(Why::Panicked),
        _ => Err(Unreadable::Malformed),
    }
}

fn text(bytes: &[u8]) -> Result<&str, Unreadable> {
    str::from_utf8(bytes).map_err(|_| Unreadable::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn why() -> impl Strategy<Value = Why> {
        prop_oneof![Just(Why::Closed), Just(Why::Dropped), Just(Why::Panicked)]
    }

    proptest! {
        #[test]
        fn a_demand_is_read_as_it_was_written(asker: u64, number: u64, body: Vec<u8>) {
            let asked = Question { asker, number, what: Asked::Demand(&body) };
            let bytes = question(&asked);
            prop_assert_eq!(read_question(&bytes), Ok(asked));
        }

        #[test]
        fn a_leave_is_read_as_it_was_written(
            asker: u64, number: u64, why in why(), unused: u64, fault: String,
        ) {
            let what = Asked::Leave(Leave { why, unused, fault: &fault });
            let asked = Question { asker, number, what };
            let bytes = question(&asked);
            prop_assert_eq!(read_question(&bytes), Ok(asked));
        }

        #[test]
        fn an_answer_is_read_as_it_was_written(
            epoch: u64, number: u64, why in why(), body: Vec<u8>, fault: String, kind in 0..6_u8,
        ) {
            let what = match kind {
                ITEM => Answered::Item(&body),
                END => Answered::End(why, &fault),
                LEFT => Answered::Left,
                TAKEN => Answered::Taken,
                UNKNOWN => Answered::Unknown,
                _ => Answered::Welcome,
            };
            let said = Answer { epoch, number, what };
            let bytes = answer(&said);
            prop_assert_eq!(read_answer(&bytes), Ok(said));
        }

        #[test]
        fn other_bytes_are_no_message_and_no_panic(bytes: Vec<u8>) {
            if let Ok(asked) = read_question(&bytes) {
                prop_assert_eq!(question(&asked), bytes.clone());
            }
            if let Ok(said) = read_answer(&bytes) {
                prop_assert_eq!(answer(&said), bytes);
            }
        }

        #[test]
        fn another_version_is_named(version in 2_u8.., rest: Vec<u8>) {
            let bytes = [&[version][..], &rest].concat();
            prop_assert_eq!(read_question(&bytes), Err(Unreadable::Version(version)));
            prop_assert_eq!(read_answer(&bytes), Err(Unreadable::Version(version)));
        }
    }
}
