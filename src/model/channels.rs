//! The channels of a run, by address.

use std::collections::HashMap;

use super::run::{Name, Place};
use crate::point::ChannelId;

#[derive(Debug)]
pub(super) struct Channel {
    /// The function that made it. `None`: it was made outside of the run.
    pub(super) made: Option<(&'static str, Place)>,
    /// What each party last did there, and at which step.
    pub(super) users: Vec<(usize, Name, u32)>,
}

/// Numbers from 1 for the channels, in the order in which they were made or first used.
#[derive(Debug, Default)]
pub(super) struct Channels {
    numbers: HashMap<ChannelId, u32>,
    channels: Vec<Channel>,
}

impl Channels {
    fn add(&mut self, id: ChannelId, made: Option<(&'static str, Place)>) -> u32 {
        self.channels.push(Channel { made, users: Vec::new() });
        let number = self.channels.len() as u32;
        self.numbers.insert(id, number);
        number
    }

    /// A new channel. The address may be that of one that has gone.
    pub(super) fn made(&mut self, id: ChannelId, kind: &'static str, at: Place) -> u32 {
        self.add(id, Some((kind, at)))
    }

    /// The number of a channel that is used. 0 is none.
    pub(super) fn number(&mut self, id: ChannelId) -> u32 {
        if id == ChannelId::NONE {
            return 0;
        }
        match self.numbers.get(&id) {
            Some(&number) => number,
            None => self.add(id, None),
        }
    }

    /// The number of a channel that is known.
    pub(super) fn known(&self, id: ChannelId) -> Option<u32> {
        self.numbers.get(&id).copied()
    }

    /// Somebody else has made a channel at this address: ours has gone.
    pub(super) fn forget(&mut self, id: ChannelId) {
        self.numbers.remove(&id);
    }

    pub(super) fn uses(&mut self, number: u32, party: usize, name: Name, step: u32) {
        let Some(channel) = self.channels.get_mut((number as usize).wrapping_sub(1)) else {
            return;
        };
        match channel.users.iter_mut().find(|user| user.0 == party) {
            Some(user) => *user = (party, name, step),
            None => channel.users.push((party, name, step)),
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&Channel> {
        self.channels.get((number as usize).wrapping_sub(1))
    }
}
