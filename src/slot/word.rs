//! The bits of a slot's word. What they mean is told in `slot`.

use std::fmt;

use crate::error::Why;

/// The party that asks, and holds the slot at first.
pub(crate) const CLIENT: u32 = 0;
/// The party that answers.
pub(crate) const SERVER: u32 = 1;

pub(super) const KIND: u32 = 0b011;
pub(super) const HELD: u32 = 0b000;
pub(super) const REVOCABLE: u32 = 0b001;
pub(super) const COMMITTED: u32 = 0b010;
const SIDE: u32 = 0b100;
pub(super) const WHOSE: u32 = KIND | SIDE;
pub(super) const FLUSH_REQUESTED: u32 = 0b1000;
/// The party that put the message is to be woken when it is taken.
pub(super) const TELL_TAKEN: u32 = 1 << 12;
/// There is a watch.
pub(super) const WATCHED: u32 = 1 << 13;
/// A party that leaves goes on by reference.
pub(super) const STAYS: u32 = 1 << 14;

// A party's flags, to be shifted by `shift(side)`.
pub(super) const WAIT: u32 = 0b0001;
pub(super) const WAKER_UPDATED: u32 = 0b0010;
pub(super) const END: u32 = 0b1100;

pub(super) const fn shift(side: u32) -> u32 {
    4 + 4 * side
}

pub(super) const fn by(side: u32) -> u32 {
    side * SIDE
}

pub(super) const fn end_code(why: Why) -> u32 {
    match why {
        Why::Closed => 0b0100,
        Why::Panicked => 0b1100,
        _ => 0b1000,
    }
}

pub(super) const fn end_of(word: u32, side: u32) -> Option<Why> {
    match word >> shift(side) & END {
        0b0000 => None,
        0b0100 => Some(Why::Closed),
        0b1000 => Some(Why::Dropped),
        _ => Some(Why::Panicked),
    }
}

/// A word in words, for one of the parties.
pub(super) fn describe(word: u32, me: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let side = |side| if side == CLIENT { "client" } else { "server" };
    let kind = match word & KIND {
        HELD => "held by",
        REVOCABLE => "put revocably by",
        _ => "put for good by",
    };
    let waits = |party: u32| word & WAIT << shift(party) != 0;
    f.debug_struct(side(me))
        .field("slot", &format_args!("{kind} {}", side(u32::from(word & SIDE != 0))))
        .field("waits", &waits(me))
        .field("peer_waits", &waits(1 - me))
        .field("peer_end", &end_of(word, 1 - me))
        .finish()
}

#[cfg(all(test, not(any(handover_loom, handover_shuttle))))]
mod tests {
    use super::*;

    struct Told {
        word: u32,
        to: u32,
    }

    impl fmt::Debug for Told {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            describe(self.word, self.to, f)
        }
    }

    fn told(word: u32) -> [String; 2] {
        [CLIENT, SERVER].map(|to| format!("{:?}", Told { word, to }))
    }

    #[test]
    fn each_party_is_told_the_word_from_its_side() {
        assert_eq!(
            told(HELD | by(CLIENT) | WAIT << shift(SERVER)),
            [
                "client { slot: held by client, waits: false, peer_waits: true, peer_end: None }",
                "server { slot: held by client, waits: true, peer_waits: false, peer_end: None }",
            ]
        );
        assert_eq!(
            told(REVOCABLE | by(SERVER) | WAIT << shift(CLIENT)),
            [
                "client { slot: put revocably by server, waits: true, peer_waits: false, peer_end: None }",
                "server { slot: put revocably by server, waits: false, peer_waits: true, peer_end: None }",
            ]
        );
        assert_eq!(
            told(HELD | by(SERVER) | end_code(Why::Panicked) << shift(CLIENT)),
            [
                "client { slot: held by server, waits: false, peer_waits: false, peer_end: None }",
                "server { slot: held by server, waits: false, peer_waits: false, peer_end: Some(Panicked) }",
            ]
        );
        assert_eq!(
            told(COMMITTED | by(CLIENT) | end_code(Why::Dropped) << shift(SERVER)),
            [
                "client { slot: put for good by client, waits: false, peer_waits: false, peer_end: Some(Dropped) }",
                "server { slot: put for good by client, waits: false, peer_waits: false, peer_end: None }",
            ]
        );
    }
}
