//! Rendezvous channels crosswise: 3 to 6 parties with random programs over 1 to 3 channels, each alone on a thread or several in one.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use handover::{Receiver, Sender, rendezvous};
use shuttle::future::block_on;
use shuttle::thread;

use crate::party::{Ends, Party};
use crate::program::{Act, Mix};
use crate::ways::{below, one_in, pick};
use crate::world::{Kind, Value, World};

type Channel = (Sender<Value>, Receiver<Value>);

/// Gives a party the ends that its program needs.
fn ends(world: &World, channels: &[Channel], program: &[Act]) -> Vec<Ends> {
    let weak = |(sender, receiver): &Channel| Ends {
        weak: Some((sender.downgrade(), receiver.downgrade())),
        ..Ends::default()
    };
    let mut ends: Vec<Ends> = channels.iter().map(weak).collect();
    let mut add = |channel: usize, side: usize| {
        let (sender, receiver) = &channels[channel];
        let ends = &mut ends[channel];
        if side == 0 && ends.sender.is_none() {
            world.add_end(channel, 0);
            ends.sender = Some(sender.clone());
        }
        if side == 1 && ends.receiver.is_none() {
            world.add_end(channel, 1);
            ends.receiver = Some(receiver.clone());
        }
    };
    for act in program {
        match act {
            Act::Close(channel, side) => add(*channel, *side),
            Act::Upgrade(..) => {}
            Act::Operation { arms, .. } => arms.iter().for_each(|arm| {
                let side = match arm.kind {
                    Kind::Recv => 1,
                    Kind::Closed => below(2),
                    _ => 0,
                };
                add(arm.channel, side);
            }),
        }
    }
    ends
}

/// Runs several parties as parts of one task: each is polled whenever one is woken.
async fn join(parties: Vec<Pin<Box<dyn Future<Output = ()>>>>) {
    let mut parties: Vec<_> = parties.into_iter().map(Some).collect();
    poll_fn(move |context| {
        for place in &mut parties {
            if place.as_mut().is_some_and(|party| party.as_mut().poll(context).is_ready()) {
                *place = None;
            }
        }
        if parties.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn spawn(mut parties: Vec<(Party, Vec<Act>)>) -> thread::JoinHandle<()> {
    thread::spawn(move || match parties.pop() {
        Some((party, program)) if parties.is_empty() => block_on(party.run(program)),
        Some(last) => {
            parties.push(last);
            let futures =
                parties.into_iter().map(|(party, program)| Box::pin(party.run(program)) as _);
            block_on(join(futures.collect()));
        }
        None => {}
    })
}

/// Closes what is still open, by any end that lives.
fn close_all(world: &World, weak: &[Ends]) {
    for (channel, ends) in weak.iter().enumerate() {
        world.close(channel);
        let Some((sender, receiver)) = &ends.weak else { continue };
        if let Some(sender) = sender.upgrade() {
            sender.close();
        } else if let Some(receiver) = receiver.upgrade() {
            receiver.close();
        }
    }
}

pub(crate) fn run(mix: Mix) {
    let channels = 1 + below(3);
    let groups: Vec<usize> = pick(&[
        &[1, 1, 1][..],
        &[1, 1, 1, 1],
        &[1, 1, 1, 1, 1],
        &[1, 1, 1, 1, 1, 1],
        &[2, 1],
        &[2, 1, 1],
        &[2, 2, 1],
        &[3, 1, 1],
        &[4],
        &[3, 3],
    ])
    .to_vec();
    let world = World::new(groups.iter().sum(), channels);
    let channels: Vec<Channel> = (0..channels).map(|_| rendezvous()).collect();
    let mut threads = Vec::new();
    let mut number = 0;
    for group in groups {
        let mut parties = Vec::new();
        for _ in 0..group {
            let program = mix.program(channels.len(), group == 1);
            let party = Party {
                number,
                world: Arc::clone(&world),
                ends: ends(&world, &channels, &program),
                is_alone: group == 1,
                last: RefCell::default(),
            };
            parties.push((party, program));
            number += 1;
        }
        threads.push(spawn(parties));
    }
    let weak = ends(&world, &channels, &[]);
    let mut own = Vec::new();
    for (channel, (sender, receiver)) in channels.into_iter().enumerate() {
        let keep = |side| {
            let keeps = one_in(2);
            if !keeps {
                world.leave(channel, side);
            }
            keeps
        };
        own.push((keep(0).then_some(sender), keep(1).then_some(receiver)));
    }
    while !world.wait_until_quiet() {
        close_all(&world, &weak);
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    for (channel, (sender, receiver)) in own.iter().enumerate() {
        let stats = sender.as_ref().map(Sender::stats).or(receiver.as_ref().map(Receiver::stats));
        let Some(stats) = stats else { continue };
        assert_eq!(stats.handed_over, world.delivered(channel), "handed over, and received");
        if !world.has_forgotten() {
            assert_eq!((stats.waiting_senders, stats.waiting_receivers), (0, 0));
        }
    }
    drop((own, weak));
    world.check_values();
}
