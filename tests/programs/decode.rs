//! From bytes to a program. Every string of bytes is one, and a short string is a short one.

/// What a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Simplex,
    Duplex,
    Stream,
    Rendezvous,
    /// Without the feature `futures-io` it is a stream.
    Pipe,
}

/// A channel, and the parties that have its ends at first: those of a bit that is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    /// Which parties send. One of them, but for a rendezvous.
    pub(crate) senders: u8,
    pub(crate) receivers: u8,
}

/// One step of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Every party that was woken is polled, until none is.
    Settle,
    /// The party's waker panics at the next such moment: when it is woken, cloned or dropped.
    ArmWaker { party: usize, moment: u8 },
    /// The destructor of the next value that the library drops panics.
    ArmDrop,
    /// A party that does nothing begins an operation; one that has begun one goes on with it or gives it up.
    Act { party: usize, code: u8, arg: u8 },
}

#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) parties: usize,
    pub(crate) channels: Vec<Plan>,
    pub(crate) steps: Vec<Step>,
}

/// What lies beyond is not looked at, so that a long input is soon done.
const MOST_STEPS: usize = 200;

impl Program {
    /// * The first byte: the number of parties (2 to 4) and of channels (1 to 3).
    /// * Two bytes a channel: its kind, and who has its ends.
    /// * Two bytes a step: the party (two bits) and the action; an argument.
    pub(crate) fn decode(data: &[u8]) -> Self {
        let mut bytes = data.iter().copied();
        let mut next = || bytes.next().unwrap_or_default();
        let first = next();
        let parties = 2 + usize::from(first % 3);
        let count = 1 + usize::from(first / 3 % 3);
        let channels = (0..count).map(|_| plan(next(), next(), parties)).collect();
        let rest: Vec<u8> = bytes.collect();
        let steps = rest.chunks(2).take(MOST_STEPS).map(|pair| {
            let (action, arg) = (pair[0], pair.get(1).copied().unwrap_or_default());
            let (party, code) = (usize::from(action & 3) % parties, action >> 2);
            match code {
                0..=2 => Step::Settle,
                3 => Step::ArmWaker { party, moment: arg % 3 },
                4 if arg % 2 == 0 => Step::ArmDrop,
                _ => Step::Act { party, code: code - 4, arg },
            }
        });
        Self { parties, channels, steps: steps.collect() }
    }
}

fn plan(kind: u8, owners: u8, parties: usize) -> Plan {
    let kind = match kind % 5 {
        0 => Kind::Rendezvous,
        1 => Kind::Simplex,
        2 => Kind::Stream,
        3 => Kind::Duplex,
        _ if cfg!(feature = "futures-io") => Kind::Pipe,
        _ => Kind::Stream,
    };
    if kind == Kind::Rendezvous {
        let all = (1 << parties) - 1;
        let side = |bits: u8, default: u8| if bits & all == 0 { default } else { bits & all };
        return Plan { kind, senders: side(owners, 1), receivers: side(owners >> 4, 2) };
    }
    // Two parties, since one that waits at one end does nothing at the other.
    let sender = usize::from(owners) % parties;
    let receiver = (sender + 1 + usize::from(owners >> 4) % (parties - 1)) % parties;
    Plan { kind, senders: 1 << sender, receivers: 1 << receiver }
}
