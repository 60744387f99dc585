//! The judge of a round: what the senders were told must agree with what the receivers got.
//!
//! Every value has the number of its sender and a serial. Each party keeps a log, and when all have left the logs are compared:
//!
//! | the sender was told ...                                       | the value was received | it was not                           |
//! |---------------------------------------------------------------|------------------------|--------------------------------------|
//! | `Delivered`                                                   | once: right            | lost                                 |
//! | `Back`: it came back                                          | it is there twice      | right                                |
//! | `Untold`: a future was dropped or forgotten, or a panic       | once: right            | right                                |
//! | `Left` for a receiver that may leave (a batch, `finish_with`) | once: right            | lost, if its receiver has seen a later one of that sender, or the end |
//!
//! Each receiver must get the values of one sender in the order of their serials.

use std::collections::HashMap;
use std::fmt::Write as _;

/// What a sender was told of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    Back,
    Untold,
    Left,
}

/// The number of a value: its sender and its serial.
pub(crate) const fn number(sender: u32, serial: usize) -> u64 {
    (sender as u64) << 32 | serial as u64
}

/// What one party has seen.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// What was told of each value that this party made, by serial.
    pub(crate) fates: Vec<Fate>,
    /// What it received, in order.
    pub(crate) got: Vec<u64>,
    /// This party receives what is `Left`.
    pub(crate) is_receiver: bool,
    /// How often a later operation was served before an earlier one.
    pub(crate) out_of_turn: u64,
    /// It received until it was told the end.
    pub(crate) has_seen_end: bool,
    /// How many values it gave to futures that were forgotten: these may never be dropped.
    pub(crate) forgotten: i64,
    /// How many items did not come by a count of its own.
    pub(crate) lost: u64,
    /// Bytes that it wrote, and read.
    pub(crate) written: u64,
    pub(crate) read: u64,
    /// What is `Untold` of it may be received after later ones: a send that was forgotten or left behind keeps its own place.
    pub(crate) may_be_late: bool,
    /// What it did: the operation, and how many values it had made and received before.
    pub(crate) trail: Vec<(&'static str, usize, usize)>,
    /// What it saw that must not be.
    pub(crate) wrong: Vec<String>,
}

/// How many values are not where they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    pub(crate) out_of_order: u64,
    /// Everything else: a value that was never dropped or dropped twice, an arm too many, a wrong answer, a panic of the library.
    pub(crate) other: u64,
}

impl Faults {
    pub(crate) const fn total(&self) -> u64 {
        self.lost + self.twice + self.out_of_order + self.other
    }

    pub(crate) const fn add(&mut self, more: Self) {
        self.lost += more.lost;
        self.twice += more.twice;
        self.out_of_order += more.out_of_order;
        self.other += more.other;
    }
}

/// Compares the logs of all parties, which come with their numbers. `living`: how many values have not been dropped. Describes the first few faults.
pub(crate) fn judge(logs: &[(u32, Log)], living: i64) -> (Faults, String) {
    let (mut faults, mut words) = (Faults::default(), String::new());
    let mut tell = |text: String| {
        if words.len() < 2_000 {
            _ = writeln!(words, "  {text}");
        }
    };

    let mut received: HashMap<u64, u64> = HashMap::new();
    let mut last_of_sender: HashMap<u64, u64> = HashMap::new();
    for (party, log) in logs {
        let mut last: HashMap<u64, u64> = HashMap::new();
        for &value in &log.got {
            *received.entry(value).or_default() += 1;
            let (sender, serial) = (value >> 32, value & 0xFFFF_FFFF);
            let is_late = logs.iter().any(|(party, log)| {
                let fate = log.fates.get(serial as usize);
                log.may_be_late && u64::from(*party) == sender && fate == Some(&Fate::Untold)
            });
            if is_late {
                continue;
            }
            if let Some(before) = last.insert(sender, serial).filter(|before| *before > serial) {
                faults.out_of_order += 1;
                tell(format!(
                    "out of order: party {party} got {serial} of sender {sender} after {before}"
                ));
            }
            let newest = last_of_sender.entry(sender).or_default();
            *newest = serial.max(*newest);
        }
    }

    let mut receivers = logs.iter().filter(|(_, log)| log.is_receiver).peekable();
    let is_read_to_end = receivers.peek().is_some() && receivers.all(|(_, log)| log.has_seen_end);
    for (party, log) in logs {
        for (serial, fate) in log.fates.iter().enumerate() {
            let times = received.remove(&number(*party, serial)).unwrap_or_default();
            let is_owed = match fate {
                Fate::Delivered => true,
                Fate::Left => {
                    let newest = last_of_sender.get(&u64::from(*party));
                    is_read_to_end || newest.is_some_and(|newest| *newest > serial as u64)
                }
                Fate::Back | Fate::Untold => false,
            };
            if times == 0 && is_owed {
                faults.lost += 1;
                tell(format!("lost: {serial} of sender {party}, {fate:?}"));
            }
            if times > 1 || (times == 1 && *fate == Fate::Back) {
                faults.twice += 1;
                tell(format!(
                    "twice: {serial} of sender {party}, {fate:?}, was received {times} times"
                ));
            }
        }
        if log.lost > 0 {
            faults.lost += log.lost;
            tell(format!("lost: {} of party {party}'s producer", log.lost));
        }
        if log.out_of_turn > 0 {
            faults.out_of_order += log.out_of_turn;
            tell(format!(
                "out of order: party {party} was served {} times before another that came first",
                log.out_of_turn
            ));
        }
        for wrong in &log.wrong {
            faults.other += 1;
            tell(format!("party {party}: {wrong}"));
        }
    }
    for (value, times) in received {
        faults.other += 1;
        tell(format!("out of nowhere: {value:#x}, {times} times"));
    }

    let written: u64 = logs.iter().map(|(_, log)| log.written).sum();
    let read: u64 = logs.iter().map(|(_, log)| log.read).sum();
    if read > written {
        faults.twice += read - written;
        tell(format!("twice: {written} bytes were written, and {read} read"));
    } else if is_read_to_end && read < written {
        faults.lost += written - read;
        tell(format!("lost: {written} bytes were written, and {read} read up to the end"));
    }

    let forgotten: i64 = logs.iter().map(|(_, log)| log.forgotten).sum();
    if living < 0 || living > forgotten {
        faults.other += 1;
        tell(format!(
            "{living} values live after their round, and {forgotten} may: more were never dropped, fewer were dropped twice"
        ));
    }
    if faults.total() > 0 {
        for (party, log) in logs {
            _ = writeln!(
                words,
                "  party {party} began these last, with so many values made and received before:"
            );
            for (name, made, received) in log.trail.iter().rev().take(12).rev() {
                _ = writeln!(words, "    {name} ({made}, {received})");
            }
            _ = writeln!(words, "    it was told: {:?}", log.fates);
            let got: Vec<_> = log
                .got
                .iter()
                .map(|value| format!("{}.{}", value >> 32, value & 0xFFFF_FFFF))
                .collect();
            _ = writeln!(words, "    it received: {}", got.join(" "));
        }
    }
    (faults, words)
}
