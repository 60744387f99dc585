//! The report of a run that failed, in words.

use std::fmt::Write as _;

use super::diagram;
use super::failure::{Details, FailureKind};
use super::run::{Doing, Event, Name, Party, PartyKind, Place, State, Status, What};
use super::schedule::{Plan, Schedule, departures};
use crate::point::Ending;

/// How many of the last events are told.
const SHOWN: usize = 40;

/// What the kind of a failure does not say.
#[derive(Debug)]
pub(super) enum Verdict {
    Plain,
    Panic { party: usize, message: String, at: Option<String> },
    Stranger { name: String, what: String, at: Option<Place>, channel: u32 },
}

pub(super) fn place(at: Place) -> String {
    format!("{}:{}:{}", at.file(), at.line(), at.column())
}

/// "1 choice", "2 choices".
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

impl State {
    pub(super) fn name(&self, party: usize) -> &str {
        &self.parties[party].name
    }

    fn text_of(&self, name: Name) -> String {
        match name {
            Name::Method(name) => name.to_string(),
            Name::Join(party) => format!("join of {}", self.name(party)),
            Name::Scope => "the threads of its scope".to_string(),
        }
    }

    /// The operation with its channel, and the arms of a `select`.
    fn text_of_doing(&self, doing: &Doing) -> String {
        let name = self.text_of(doing.name);
        match (&doing.targets[..], doing.name) {
            ([(_, 0)] | [], _) => name,
            ([(_, channel)], Name::Method(name)) if name != "select" => {
                format!("{name} #{channel}")
            }
            (targets, _) => {
                let arms: Vec<_> = targets
                    .iter()
                    .map(|(origin, channel)| format!("{} #{channel}", origin.name()))
                    .collect();
                format!("{name} of {}", arms.join(" | "))
            }
        }
    }
}

pub(super) fn of(state: &State, kind: FailureKind, verdict: &Verdict) -> Details {
    let mut text = String::new();
    headline(state, kind, verdict, &mut text);
    if kind != FailureKind::Lost {
        table(state, kind, &mut text);
    }
    if !state.lost.is_empty() {
        for lost in &state.lost {
            let (by, step, made_at) = (state.name(lost.by), lost.step, place(lost.made_at));
            _ = writeln!(
                text,
                "  lost: the token made at {made_at}, dropped by {by} at step {step}"
            );
        }
    }
    let departures = departures(&state.picks);
    let schedule = Schedule::new(Plan::Given(departures.clone()));
    _ = writeln!(
        text,
        "schedule: \"{schedule}\" ({} of {})",
        count(departures.len(), "departure"),
        count(state.picks.len(), "choice"),
    );
    trace(state, &mut text);
    Details { kind, departures, report: text, diagram: diagram::of(state) }
}

fn headline(state: &State, kind: FailureKind, verdict: &Verdict, text: &mut String) {
    let (all, step) = (state.parties.len(), state.steps);
    let waiting = state.parties.iter().filter(|party| party.status != Status::Ended).count();
    _ = match (kind, verdict) {
        (FailureKind::Deadlock, _) if waiting == 1 && all == 1 => {
            write!(text, "deadlock at step {step}: the only party waits")
        }
        (FailureKind::Deadlock, _) if waiting == all => {
            write!(text, "deadlock at step {step}: all {all} parties wait")
        }
        (FailureKind::Deadlock, _) => {
            let others = if all - waiting == 1 { "the other one has" } else { "the others have" };
            let wait = if waiting == 1 { "waits" } else { "wait" };
            write!(
                text,
                "deadlock at step {step}: {waiting} of {all} parties {wait}, {others} ended"
            )
        }
        (FailureKind::Panic, Verdict::Panic { party, message, at }) => {
            let (name, at) = (state.name(*party), at.as_deref().unwrap_or("an unknown line"));
            let message = message.replace('\n', "\n  ");
            write!(text, "{name} panicked at step {step}, {at}:\n  {message}\n ")
        }
        (FailureKind::Endless, _) => write!(
            text,
            "no end within {}: does a party go round and round without letting others run (by `thread::yield_now`)?",
            count(step.saturating_sub(1) as usize, "step")
        ),
        (FailureKind::Lost, _) => {
            write!(text, "{} lost by the end, after step {step}", count(state.lost.len(), "token"))
        }
        (FailureKind::Stuck, Verdict::Stranger { name, what, at, channel }) => {
            let at = at.map_or(String::new(), |at| format!(" at {}", place(at)));
            let channel = if *channel == 0 { String::new() } else { format!(" #{channel}") };
            write!(
                text,
                "stuck at step {step}: {name} is no party of the model, and used {what}{channel}{at}; \
                 start threads by `model::thread`, and let those of a pool run a `model::party`"
            )
        }
        _ => {
            let current = &state.parties[state.current];
            let mut events = state.trace.iter().rev().filter(|event| event.party == state.current);
            let last = match events.find(|event| event.at.is_some()) {
                Some(event) => format!(
                    "the last it did was `{}`{}",
                    text_of_event(state, event).trim(),
                    event.at.map_or(String::new(), |at| format!(" at {}", place(at)))
                ),
                None => "it has done nothing yet".to_string(),
            };
            write!(
                text,
                "stuck at step {step}: {} has the turn and does not come to a point of choice; {last}. \
                 Does it wait for something that the model does not see (a mutex that another party holds across an operation, \
                 a join of std, the `block_on` of another crate), or compute for longer than `Model::patience`?",
                current.name
            )
        }
    };
    _ = writeln!(text, " (virtual time {:?})", state.now);
}

/// What each party that has not ended waits for, and the channels of that.
fn table(state: &State, kind: FailureKind, text: &mut String) {
    let mut rows = vec![["party", "waits for", "at", "since", "spawned at"].map(String::from)];
    let mut channels = Vec::new();
    for party in state.parties.iter().filter(|party| party.status != Status::Ended) {
        row(state, party, &mut rows, &mut channels);
    }
    if rows.len() > 1 {
        write_columns(&rows, text);
    }
    channels.sort_unstable();
    channels.dedup();
    for number in channels {
        let Some(channel) = state.channels.get(number) else { continue };
        _ = match channel.made {
            Some((kind, at)) => write!(text, "  #{number} {kind}, made at {}", place(at)),
            None => write!(text, "  #{number} a channel made outside of the model"),
        };
        let users: Vec<_> = channel
            .users
            .iter()
            .map(|&(party, name, step)| {
                let now = match state.parties[party].status {
                    Status::Ended => "has ended",
                    Status::Ready => "could go on",
                    Status::Waiting { .. } => "waits",
                };
                let (party, name) = (state.name(party), state.text_of(name));
                format!("{party} ({name}, step {step}; {now})")
            })
            .collect();
        _ = writeln!(text, "; last used by: {}", users.join(", "));
    }
    if kind == FailureKind::Deadlock {
        text.push_str("  (a thread that was not started by the model is not seen)\n");
    }
}

fn row(state: &State, party: &Party, rows: &mut Vec<[String; 5]>, channels: &mut Vec<u32>) {
    let deadline = match party.status {
        Status::Waiting { deadline: Some(deadline), .. } => format!(" until {deadline:?}"),
        _ => String::new(),
    };
    let is_waiting = matches!(party.status, Status::Waiting { .. });
    let mut lines: Vec<(String, String)> = party
        .doing
        .iter()
        .map(|doing| {
            channels.extend(doing.targets.iter().map(|&(_, channel)| channel));
            (state.text_of_doing(doing), place(doing.at))
        })
        .collect();
    if lines.len() > 1 && party.doing[0].name == Name::Method("block_on") {
        lines.remove(0);
    }
    // The others of a task are shown after the one that it began last.
    lines.reverse();
    if !is_waiting {
        let (at, state) = match (lines.first(), party.is_here) {
            (_, false) => (String::new(), "(no thread runs it)".to_string()),
            (Some((what, at)), _) => (at.clone(), format!("- (last: {what})")),
            (None, _) => (String::new(), "-".to_string()),
        };
        lines = vec![(state, at)];
    } else if lines.is_empty() {
        lines.push(("its waker".to_string(), String::new()));
    }
    let kind = if party.kind == PartyKind::Task { " (task)" } else { "" };
    for (n, (what, at)) in lines.into_iter().enumerate() {
        rows.push(if n == 0 {
            let since =
                if is_waiting { format!("step {}", party.since) } else { "can go on".to_string() };
            [
                format!("{}{kind}", party.name),
                format!("{what}{deadline}"),
                at,
                since,
                place(party.spawned_at),
            ]
        } else {
            [String::new(), format!("and {what}"), at, String::new(), String::new()]
        });
    }
}

fn write_columns(rows: &[[String; 5]], text: &mut String) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..5).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells: Vec<_> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        _ = writeln!(text, "  {}", cells.join("  ").trim_end());
    }
}

/// The events that people read.
fn is_told(event: &Event) -> bool {
    !matches!(event.what, What::Wakes(_))
}

fn trace(state: &State, text: &mut String) {
    let told: Vec<&Event> = state.trace.iter().filter(|event| is_told(event)).collect();
    let skipped = told.len().saturating_sub(SHOWN);
    let before = if skipped > 0 { format!(" ({skipped} before)") } else { String::new() };
    _ = writeln!(text, "the last steps{before}:");
    let names = told[skipped..].iter().map(|event| state.name(event.party).chars().count());
    let width = names.max().unwrap_or(0);
    let mut last = usize::MAX;
    for event in &told[skipped..] {
        let name = if event.party == last { "" } else { state.name(event.party) };
        last = event.party;
        let what = text_of_event(state, event);
        let at = event.at.map_or(String::new(), |at| format!("  {}", place(at)));
        _ = writeln!(text, "  {:>5} {name:width$} {what}{at}", event.step);
    }
}

fn text_of_event(state: &State, event: &Event) -> String {
    let channel = match event.channel {
        0 => String::new(),
        number => format!(" #{number}"),
    };
    match event.what {
        What::Begins(name) => format!("{}{channel}", state.text_of(name)),
        What::Waits => "  waits".to_string(),
        What::Did(_, ending, arm) => {
            let arm = arm.map_or(String::new(), |arm| format!("{}{channel}: ", arm.name()));
            match ending {
                Ending::Done => format!("  -> {arm}Ok"),
                Ending::Failed(why) => format!("  -> {arm}{why:?}"),
                Ending::Nothing => "  -> None".to_string(),
            }
        }
        What::Acts(name) => format!("{name}{channel}"),
        What::Leaves(name, why) => format!("the {name} leaves{channel}: {why:?}"),
        What::Withdraws(name) => format!("drops {name}{channel} unfinished"),
        What::Wakes(party) => format!("wakes {}", state.name(party)),
        What::Spawns(party) => format!("spawns {}", state.name(party)),
        What::Chooses(pick, of) => format!("chooses {pick} of {of}"),
        What::Yields => "lets others run".to_string(),
        What::Sleeps => "sleeps".to_string(),
        What::TimePasses(now) => format!("  time passes to {now:?}"),
        What::Loses => "  loses a token".to_string(),
        What::Panics => "panics".to_string(),
        What::Ends => "ends".to_string(),
    }
}

/// For the standard error: a run has failed, and a thread that cannot be left behind does not end.
pub(super) fn still_stuck(state: &State) -> String {
    let stuck: Vec<&str> = state
        .parties
        .iter()
        .filter(|party| party.is_here && party.status != Status::Ended)
        .map(|party| party.name.as_str())
        .collect();
    let report = state.failure.as_ref().map_or("", |failure| failure.report.as_str());
    format!(
        "handover::model: a run has failed, and does not end, because these parties are stuck: {}\n{report}",
        stuck.join(", ")
    )
}
