//! What is known of the parties of a schedule from outside, and whether one of them must go on.
//!
//! | a party is ... | it                                             | then the supervisor                                                  |
//! |----------------|------------------------------------------------|----------------------------------------------------------------------|
//! | `Busy`         | goes on by itself                              | waits                                                                |
//! | `Waiting`      | waits for good, for one of some arms           | waits while one of them must be done, else ends the channels         |
//! | `Done`         | has left                                       |                                                                      |
//!
//! So if two parties that must meet both wait for ever, so does the supervisor, and shuttle reports a deadlock.
//!
//! Beside the arms that are waited for there are those of operations that were polled, and then kept or forgotten (`Kept`):
//!
//! | kept      | means for the others                                                           |
//! |-----------|--------------------------------------------------------------------------------|
//! | a send    | a receiver must take its value                                                 |
//! | a receive | it may hold up one offer: of the receivers behind, only a thread must go on     |
//! | a reserve | it may keep a receiver: none must go on, nor be granted a permit itself         |

use std::sync::{Arc, Mutex, PoisonError};

use shuttle::thread::Thread;

use crate::explore::{note, tally};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Send,
    /// A send that the select borrows.
    Borrowed,
    SendAll,
    Recv,
    Reserve,
    Closed,
}

impl Kind {
    pub(crate) fn is_send(self) -> bool {
        matches!(self, Self::Send | Self::Borrowed | Self::SendAll)
    }
}

/// What a party waits for on one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) kind: Kind,
    pub(crate) channel: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Doing {
    Busy,
    Waiting { wishes: Vec<Wish>, is_thread: bool },
    Done,
}

/// An operation that was polled and is not polled again for now.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) party: usize,
    pub(crate) wishes: Vec<Wish>,
    /// Those that it offers.
    pub(crate) values: Vec<usize>,
    pub(crate) is_forgotten: bool,
}

/// What the sender of a value knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Unknown,
    Sent,
    NotSent,
}

/// One value.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) channel: usize,
    pub(crate) party: usize,
    pub(crate) fate: Fate,
    pub(crate) deliveries: u8,
    drops: u8,
    /// It comes after those that its party sent before into the same channel.
    pub(crate) is_in_order: bool,
}

pub(crate) struct State {
    doing: Vec<Doing>,
    kept: Vec<Kept>,
    is_closed: Vec<bool>,
    has_ended: Vec<bool>,
    /// The ends of each channel: those that send, those that receive.
    ends: Vec<[usize; 2]>,
    pub(crate) values: Vec<Record>,
}

/// See above. Its lock is never held while another party runs.
pub(crate) struct World {
    state: Mutex<State>,
    supervisor: Thread,
}

/// A value that tells the world of its drop.
pub(crate) struct Value {
    pub(crate) id: usize,
    world: Arc<World>,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.world.with(|state| state.values[self.id].drops += 1);
    }
}

impl World {
    /// The caller is the supervisor, and has one end of each side.
    pub(crate) fn new(parties: usize, channels: usize) -> Arc<Self> {
        Arc::new(Self {
            supervisor: shuttle::thread::current(),
            state: Mutex::new(State {
                doing: vec![Doing::Busy; parties],
                kept: Vec::new(),
                is_closed: vec![false; channels],
                has_ended: vec![false; channels],
                ends: vec![[1, 1]; channels],
                values: Vec::new(),
            }),
        })
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set(&self, party: usize, doing: Doing) {
        note(|| format!("{party}: {doing:?}"));
        self.with(|state| state.doing[party] = doing);
        self.supervisor.unpark();
    }

    /// A new value.
    pub(crate) fn id(&self, party: usize, channel: usize, is_in_order: bool) -> usize {
        self.with(|state| {
            state.values.push(Record {
                channel,
                party,
                fate: Fate::Unknown,
                deliveries: 0,
                drops: 0,
                is_in_order,
            });
            state.values.len() - 1
        })
    }

    pub(crate) fn value(self: &Arc<Self>, id: usize) -> Value {
        Value { id, world: Arc::clone(self) }
    }

    /// The sender of a value learns what has become of it.
    pub(crate) fn learn(&self, id: usize, is_sent: bool) {
        note(|| format!("value {id} was {}sent", if is_sent { "" } else { "not " }));
        self.with(|state| {
            let fate = &mut state.values[id].fate;
            assert_eq!(*fate, Fate::Unknown, "value {id} has two fates");
            *fate = if is_sent { Fate::Sent } else { Fate::NotSent };
        });
    }

    pub(crate) fn fate(&self, id: usize) -> Fate {
        self.with(|state| state.values[id].fate)
    }

    pub(crate) fn keep(&self, kept: Kept) {
        note(|| format!("{}: keeps {kept:?}", kept.party));
        self.with(|state| state.kept.push(kept));
    }

    /// The party is about to go on with the last operation that it keeps.
    pub(crate) fn resume(&self, party: usize, doing: Doing) {
        self.with(|state| {
            let last =
                state.kept.iter().rposition(|kept| kept.party == party && !kept.is_forgotten);
            let resumed = state.kept.remove(last.expect("it keeps an operation"));
            if resumed.wishes.len() > 1 {
                state.may_be_overtaken(&resumed);
            }
        });
        self.set(party, doing);
    }

    pub(crate) fn add_end(&self, channel: usize, side: usize) {
        self.with(|state| state.ends[channel][side] += 1);
    }

    /// An end is about to leave.
    pub(crate) fn leave(&self, channel: usize, side: usize) {
        self.with(|state| {
            state.ends[channel][side] -= 1;
            state.has_ended[channel] |= state.ends[channel][side] == 0;
        });
    }

    /// The channel is about to be ended by `close`.
    pub(crate) fn close(&self, channel: usize) {
        note(|| format!("channel {channel} is closed"));
        self.with(|state| {
            state.is_closed[channel] = true;
            state.has_ended[channel] = true;
        });
    }

    /// Whether a party may have found the end of that channel. (An end that is upgraded from a weak one revives no channel, but counts.)
    pub(crate) fn has_ended(&self, channel: usize) -> bool {
        self.with(|state| state.has_ended[channel])
    }

    /// Waits until all parties are done (`true`), or all wait and none must go on.
    pub(crate) fn wait_until_quiet(&self) -> bool {
        loop {
            let (is_done, must_go_on) = self.with(|state| {
                let is_done = state.doing.iter().all(|doing| matches!(doing, Doing::Done));
                let is_busy = state.doing.iter().any(|doing| matches!(doing, Doing::Busy));
                (is_done, is_busy || state.must_go_on())
            });
            if is_done || !must_go_on {
                return is_done;
            }
            shuttle::thread::park();
        }
    }

    /// How many values of a channel were received.
    pub(crate) fn delivered(&self, channel: usize) -> u64 {
        self.with(|state| {
            let of_channel = state.values.iter().filter(|value| value.channel == channel);
            of_channel.map(|value| u64::from(value.deliveries)).sum()
        })
    }

    pub(crate) fn has_forgotten(&self) -> bool {
        self.with(|state| state.kept.iter().any(|kept| kept.is_forgotten))
    }

    /// When all ends have gone: what the senders know is true, and each value was dropped once.
    pub(crate) fn check_values(&self) {
        self.with(|state| {
            for (id, value) in state.values.iter().enumerate() {
                match value.fate {
                    Fate::Sent => assert_eq!(value.deliveries, 1, "{id} is lost: {value:?}"),
                    Fate::NotSent => assert_eq!(value.deliveries, 0, "{id} came: {value:?}"),
                    Fate::Unknown => assert!(value.deliveries <= 1, "{id}: {value:?}"),
                }
                assert_eq!(value.drops, 1, "{id}: {value:?}");
            }
            let delivered = state.values.iter().filter(|value| value.deliveries == 1).count();
            tally(state.values.len(), delivered);
        });
    }
}

impl State {
    /// A select goes on. While it attempts its arms, a receiver passes over its offers, and may take one that the same party has made
    /// since, and has forgotten.
    fn may_be_overtaken(&mut self, select: &Kept) {
        for &value in &select.values {
            let channel = self.values[value].channel;
            let is_later = |other: &usize| *other > value && self.values[*other].channel == channel;
            let of_party = self.kept.iter().filter(|kept| kept.party == select.party);
            if of_party.flat_map(|kept| &kept.values).any(is_later) {
                self.values[value].is_in_order = false;
            }
        }
    }

    fn has_ended_now(&self, channel: usize) -> bool {
        self.is_closed[channel] || self.ends[channel].contains(&0)
    }

    fn keeps(&self, kind: Kind, channel: usize) -> bool {
        let wish = Wish { kind, channel };
        self.kept.iter().any(|kept| kept.wishes.contains(&wish))
    }

    /// Whether a kept send has a value for a receiver of that channel. Of a select only one arm happens.
    fn has_kept_offer(&self, channel: usize) -> bool {
        self.kept.iter().any(|kept| {
            let values = || kept.values.iter().map(|&id| &self.values[id]);
            let is_here = |value: &Record| value.channel == channel && value.fate == Fate::Unknown;
            values().all(|value| value.deliveries == 0) && values().any(is_here)
        })
    }

    /// Whether a kept reserve may have a receiving arm of a party with these arms: then the party gets no permit itself.
    fn is_held(&self, wishes: &[Wish]) -> bool {
        let is_kept = |wish: &Wish| self.keeps(Kind::Reserve, wish.channel);
        wishes.iter().any(|wish| wish.kind == Kind::Recv && is_kept(wish))
    }

    /// Whether one of the parties that wait must go on.
    fn must_go_on(&self) -> bool {
        let waiting = || {
            self.doing.iter().enumerate().filter_map(|(party, doing)| match doing {
                Doing::Waiting { wishes, is_thread } => Some((party, wishes, *is_thread)),
                _ => None,
            })
        };
        for (party, wishes, is_thread) in waiting() {
            for &Wish { kind, channel } in wishes {
                if self.has_ended_now(channel) {
                    return true;
                }
                if kind != Kind::Recv || self.keeps(Kind::Reserve, channel) {
                    continue;
                }
                let others = || {
                    let others = waiting().filter(|(other, ..)| *other != party);
                    others.map(|(_, wishes, _)| &wishes[..])
                };
                let is_wish = |wish: &Wish, fits: fn(Kind) -> bool| {
                    wish.channel == channel && fits(wish.kind)
                };
                let is_reserve = |wish: &Wish| is_wish(wish, |kind| kind == Kind::Reserve);
                if others().any(|wishes| wishes.iter().any(is_reserve) && !self.is_held(wishes)) {
                    return true;
                }
                let is_send = |wish: &Wish| is_wish(wish, Kind::is_send);
                let is_offered = others().any(|wishes| wishes.iter().any(is_send))
                    || self.has_kept_offer(channel);
                let may_be_passed_over = !is_thread && self.keeps(Kind::Recv, channel);
                if is_offered && !may_be_passed_over {
                    return true;
                }
            }
        }
        false
    }
}
