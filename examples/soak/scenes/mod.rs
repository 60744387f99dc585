//! What can happen in a round: a scene is some channels, and the parties that use them until all have left.

use std::future::Future;
use std::pin::Pin;

use crate::chance::Chance;
use crate::party::{Me, Modes};

mod choose;
mod lockstep;
mod many;
mod order;
mod pipe;
mod produce;
#[cfg(feature = "sink")]
mod sinks;
mod stream;

/// What one party does. It gives itself back, with its log.
pub(crate) type Party = Box<dyn FnOnce(Me) -> Pin<Box<dyn Future<Output = Me> + Send>> + Send>;

/// A party that is an async function over `&mut Me`.
macro_rules! party {
    (|$me:ident| $body:expr) => {
        Box::new(move |mut me: $crate::party::Me| {
            Box::pin(async move {
                {
                    let $me = &mut me;
                    $body.await;
                }
                me
            })
        })
    };
}
use party;

/// Adapts the modes to what the scene can bear, and makes the parties.
type Make = fn(&mut Chance, &mut Modes) -> Vec<Party>;

/// The scenes, and how often each is chosen.
pub(crate) const SCENES: &[(&str, u64, Make)] = &[
    ("simplex", 8, lockstep::simplex),
    ("duplex", 8, lockstep::duplex),
    ("stream", 10, stream::make),
    ("rendezvous", 12, many::make),
    ("order", 4, order::make),
    ("select", 8, choose::make),
    ("pipe", 4, pipe::make),
    ("produce", 1, produce::make),
    #[cfg(feature = "sink")]
    ("sink", 5, sinks::make),
];

/// One of the scenes, by its share, or the one of this name.
pub(crate) fn choose(chance: &mut Chance, only: Option<&str>) -> (&'static str, Make) {
    let total: u64 = SCENES.iter().map(|(_, share, _)| share).sum();
    let mut at = chance.below(total);
    let mut chosen = None;
    for &(name, share, make) in SCENES {
        if only.map_or(at < share, |only| only == name) {
            chosen = Some((name, make));
            break;
        }
        at = at.saturating_sub(share);
    }
    chosen.expect("the names are checked before, and the shares add up")
}
