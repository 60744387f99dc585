//! A run as a Mermaid sequence diagram.
//!
//! An arrow is a hand-over: from the party that gave to the one that took. In a rendezvous it is drawn where one of the two completes and wakes the other; on a
//! one-to-one channel where the taker has what it waited for. A dashed arrow is a wake-up without a hand-over: an offer, a demand, an end.

use std::fmt::Write as _;

use super::report::place;
use super::run::{Event, Name, State, What};
use crate::point::Ending;

/// At most so many of the last events are drawn.
const DRAWN: usize = 120;

/// Whether a method brings something to its caller.
fn takes(name: &str) -> bool {
    ["Receiver::", "Client::", "Reader::"].iter().any(|end| name.starts_with(end))
}

pub(super) fn of(state: &State) -> String {
    let mut text = String::from("sequenceDiagram\n");
    for (number, party) in state.parties.iter().enumerate() {
        _ = writeln!(text, "    participant p{number} as {}", escape(&party.name));
    }
    let skipped = state.trace.len().saturating_sub(DRAWN);
    if skipped > 0 {
        _ = writeln!(text, "    Note over p0: {skipped} events before");
    }
    // What each party has woken since it began its operation.
    let mut woken: Vec<Vec<usize>> = vec![Vec::new(); state.parties.len()];
    let mut pending: Vec<Vec<(usize, String)>> = vec![Vec::new(); state.parties.len()];
    for (at, event) in state.trace.iter().enumerate() {
        let is_drawn = at >= skipped;
        let mut draw = |line: String| {
            if is_drawn {
                _ = writeln!(text, "    {}", without_signs(&line));
            }
        };
        draw_event(state, event, &mut woken, &mut pending, &mut draw);
    }
    let stuck = state.parties.iter().enumerate().filter(|(_, party)| !party.doing.is_empty());
    for (number, party) in stuck {
        if let Some(doing) = party.doing.last() {
            let Name::Method(name) = doing.name else { continue };
            let line = format!("Note over p{number}: {name}, {}", place(doing.at));
            _ = writeln!(text, "    {}", without_signs(&line));
        }
    }
    text
}

fn draw_event(
    state: &State,
    event: &Event,
    woken: &mut [Vec<usize>],
    pending: &mut [Vec<(usize, String)>],
    draw: &mut impl FnMut(String),
) {
    let (party, channel) = (event.party, event.channel);
    let p = |party: usize| format!("p{party}");
    let on = if channel == 0 { String::new() } else { format!("channel {channel}") };
    match event.what {
        What::Begins(_) => woken[party].clear(),
        What::Wakes(other) => {
            woken[party].push(other);
            pending[party].push((other, on));
        }
        What::Did(Name::Method(name), Ending::Done, arm) => {
            let name = arm.map_or(name, |arm| arm.name());
            let others = std::mem::take(&mut woken[party]);
            pending[party].clear();
            let is_rendezvous = name.starts_with("Sender::")
                || name.starts_with("Receiver::")
                || name.starts_with("Permit::");
            if is_rendezvous {
                for other in others {
                    let (from, to) = if takes(name) { (other, party) } else { (party, other) };
                    draw(format!("{}->>{}: {on}", p(from), p(to)));
                }
            } else if takes(name) {
                if let Some(other) = peer(state, channel, party) {
                    draw(format!("{}->>{}: {on}", p(other), p(party)));
                }
            }
        }
        What::Did(..) | What::Waits | What::Acts(_) | What::Leaves(..) | What::Ends => {
            for (other, on) in pending[party].drain(..) {
                let what = match event.what {
                    What::Leaves(..) | What::Ends => "leaves",
                    _ => "asks or offers",
                };
                draw(format!("{}-->>{}: {on} {what}", p(party), p(other)));
            }
            woken[party].clear();
            match event.what {
                What::Did(Name::Method(name), Ending::Failed(why), _) => {
                    draw(format!("Note over {}: {name} {on}: {why:?}", p(party)));
                }
                What::Leaves(end, why) => {
                    draw(format!("Note over {}: the {end} leaves {on}: {why:?}", p(party)));
                }
                _ => {}
            }
        }
        What::Spawns(other) => draw(format!("{}-->>{}: spawns", p(party), p(other))),
        What::TimePasses(now) => draw(format!("Note over {}: time passes to {now:?}", p(party))),
        What::Loses => draw(format!("Note over {}: loses a token", p(party))),
        What::Panics => draw(format!("Note over {}: panics", p(party))),
        What::Withdraws(_) | What::Chooses(..) | What::Yields | What::Sleeps => {}
    }
}

/// The other party of a one-to-one channel: the one that used it last.
fn peer(state: &State, channel: u32, party: usize) -> Option<usize> {
    let users = &state.channels.get(channel)?.users;
    let others = users.iter().filter(|user| user.0 != party);
    others.max_by_key(|user| user.2).map(|user| user.0)
}

/// A line without the signs that would end it, as the name of a file may have.
fn without_signs(line: &str) -> String {
    line.replace(['#', ';'], "_")
}

/// A name without what has a meaning in the language.
fn escape(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || " _-".contains(c) { c } else { '_' }).collect()
}
