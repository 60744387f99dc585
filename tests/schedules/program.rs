//! What the parties of a schedule do, picked by shuttle.

use crate::ways::{Way, below, one_in, pick};
use crate::world::Kind;

/// One operation of a single party, or one arm of its select.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arm {
    pub(crate) kind: Kind,
    pub(crate) channel: usize,
    /// How many, if it is `SendAll`.
    pub(crate) items: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// One operation, or a select of several.
    Operation { arms: Vec<Arm>, way: Way },
    /// A channel is closed, by an end of that side.
    Close(usize, usize),
    /// An end of that side is had from a weak one, and used once.
    Upgrade(usize, usize),
}

/// Which acts there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    /// Single operations, that all wait for good.
    Plain,
    /// Operations in all ways.
    Ways,
    /// Selects of sends and receives that wait for good.
    Selects,
    /// Selects and single operations with permits, that wait for good.
    Permits,
    /// Selects of a permit on one channel and a receive on another, that wait for good or are given up.
    Crosswise,
    /// Operations and selects that are dropped, kept, forgotten.
    Kept,
    /// Channels are closed, and weak ends upgraded.
    Ends,
    /// All of these.
    All,
}

impl Mix {
    fn kind(self, is_select: bool) -> Kind {
        let common =
            [Kind::Send, Kind::Send, Kind::Send, Kind::Recv, Kind::Recv, Kind::Recv, Kind::Recv];
        match (self, below(10)) {
            (Mix::Permits | Mix::Crosswise, 0..3) => Kind::Reserve,
            (Mix::All | Mix::Kept, 0) => Kind::Reserve,
            (Mix::Ends | Mix::All, 1) => Kind::Closed,
            (_, 8) => Kind::SendAll,
            (_, 9) if is_select => Kind::Borrowed,
            _ => pick(&common),
        }
    }

    fn arms(self) -> usize {
        match self {
            Mix::Plain => 1,
            Mix::Selects => pick(&[2, 2, 3]),
            _ => pick(&[1, 1, 2, 3]),
        }
    }

    fn way(self, is_alone: bool) -> Way {
        match self {
            Mix::Plain | Mix::Selects | Mix::Permits if is_alone => Way::for_good(),
            Mix::Plain | Mix::Selects | Mix::Permits => Way::Await,
            Mix::Crosswise if !one_in(6) => {
                if is_alone {
                    Way::for_good()
                } else {
                    Way::Await
                }
            }
            Mix::Kept if one_in(2) => Way::Leave(1 + below(2)),
            _ if is_alone => Way::any(),
            _ => Way::of_task(),
        }
    }

    fn act(self, channels: usize, is_alone: bool) -> Act {
        let is_about_ends = match self {
            Mix::Ends => one_in(4),
            Mix::All => one_in(12),
            _ => false,
        };
        if is_about_ends {
            let (channel, side) = (below(channels), below(2));
            return pick(&[Act::Close, Act::Upgrade])(channel, side);
        }
        if self == Mix::Crosswise && !one_in(5) {
            return self.crosswise(channels, is_alone);
        }
        let count = self.arms();
        let arm =
            |_| Arm { kind: self.kind(count > 1), channel: below(channels), items: 1 + below(3) };
        Act::Operation { arms: (0..count).map(arm).collect(), way: self.way(is_alone) }
    }

    /// What two parties can only do one after the other: each wants a permit for the other's receive.
    fn crosswise(self, channels: usize, is_alone: bool) -> Act {
        let from = below(channels);
        let arm = |kind, channel| Arm { kind, channel, items: 1 };
        let mut arms =
            vec![arm(Kind::Reserve, from), arm(Kind::Recv, (from + 1 + below(2)) % channels)];
        if one_in(4) {
            let kind = pick(&[Kind::Reserve, Kind::Recv, Kind::Send]);
            arms.push(arm(kind, below(channels)));
        }
        Act::Operation { arms, way: self.way(is_alone) }
    }

    /// For one party. If it `is_alone`, no other party shares its thread.
    pub(crate) fn program(self, channels: usize, is_alone: bool) -> Vec<Act> {
        (0..1 + below(3)).map(|_| self.act(channels, is_alone)).collect()
    }
}
