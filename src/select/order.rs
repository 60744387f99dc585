//! The order in which a `select` attempts its arms: each arm once, and each order as likely as any other.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use crate::sync;

/// Up to so many arms the order is on the stack.
const FEW: usize = 16;

/// The memory of an order of many arms, allocated once.
#[derive(Debug, Default)]
pub(super) struct Order(Vec<u32>);

impl Order {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Calls `attempt` with each arm until one is done, and tells whether one is.
    pub(super) fn any(
        &mut self,
        arms: usize,
        is_biased: bool,
        mut attempt: impl FnMut(usize) -> bool,
    ) -> bool {
        // A loom model must take the same steps again.
        if is_biased || arms < 2 || cfg!(handover_loom) {
            return (0..arms).any(attempt);
        }
        #[cfg(feature = "model")]
        if crate::point::is_live() {
            return in_model(arms, attempt);
        }
        if arms <= FEW {
            let mut few: [u8; FEW] = std::array::from_fn(|arm| arm as u8);
            return shuffle(&mut few[..arms], random_below, |arm| attempt(usize::from(arm)));
        }
        if self.0.len() != arms {
            self.0 = (0..arms as u32).collect();
        }
        shuffle(&mut self.0, random_below, |arm| attempt(arm as usize))
    }
}

/// Shuffles (by Fisher and Yates) only as far as it is looked at.
#[inline]
fn shuffle<I: Copy>(
    arms: &mut [I],
    below: impl Fn(usize) -> usize,
    mut attempt: impl FnMut(I) -> bool,
) -> bool {
    for at in 0..arms.len() {
        arms.swap(at, at + below(arms.len() - at));
        if attempt(arms[at]) {
            return true;
        }
    }
    false
}

/// A model may choose the order. A thread that is no party of one draws it as ever.
#[cfg(feature = "model")]
#[cold]
#[inline(never)]
fn in_model(arms: usize, attempt: impl FnMut(usize) -> bool) -> bool {
    let below = |bound| crate::model::pick(bound).unwrap_or_else(|| random_below(bound));
    let mut order: Vec<usize> = (0..arms).collect();
    shuffle(&mut order, below, attempt)
}

thread_local! {
    static DICE: Cell<u64> = Cell::new(RandomState::new().hash_one(0) | 1);
}

/// By xorshift: good enough for a choice, and it takes a nanosecond.
#[inline]
fn random_below(bound: usize) -> usize {
    if bound < 2 {
        return 0;
    }
    if let Some(picked) = sync::pick(bound) {
        return picked;
    }
    let roll = |dice: &Cell<u64>| {
        let mut state = dice.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        dice.set(state);
        // The high bits of a product are spread more evenly than a remainder.
        ((u128::from(state) * bound as u128) >> 64) as usize
    };
    DICE.try_with(roll).unwrap_or(0)
}
