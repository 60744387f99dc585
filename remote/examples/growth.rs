//! How a channel grows with distance, loss and number: the protocol of this crate over simulated links, in virtual time.
//!
//! ```text
//! cargo run --release --manifest-path remote/Cargo.toml --example growth
//! ```
//!
//! It drives the very state machines of the crate (`src/protocol.rs`), checks that each item comes once and in order, and prints the
//! tables of the README. What it assumes is in `Costs`; the rest follows. The same numbers come in each run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

#[path = "../src/protocol.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the crate's own file, of which the simulation needs a part"
)]
mod protocol;
#[path = "../src/wire.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the crate's own file, of which the simulation needs a part"
)]
mod wire;

use protocol::{Answerer, Asker, Heard, Told};

/// Nanoseconds of virtual time.
type Time = u64;
const MICRO: Time = 1000;
const MILLI: Time = 1_000_000;
const SECOND: Time = 1_000_000_000;

/// What things take, in nanoseconds. The first two were measured on loopback by the example `figures`.
#[derive(Clone, Copy)]
struct Costs {
    /// A process takes or sends a message: threads wake one another, bytes are copied.
    message: Time,
    /// An item is made, written, read and used.
    item: Time,
    /// A router passes a message on.
    router: Time,
    /// A byte on a link of 1 Gbit/s.
    byte: Time,
    /// So many bytes has an item.
    item_bytes: u64,
    /// TCP finds a lost segment after so long, beyond a way there and back.
    retransmission: Time,
}

const COSTS: Costs = Costs {
    message: 60 * MICRO,
    item: 500,
    router: 10 * MICRO,
    byte: 8,
    item_bytes: 100,
    retransmission: 200 * MILLI,
};

/// A way between two places.
#[derive(Clone, Copy)]
struct Link {
    one_way: Time,
    /// Of a thousand messages so many are lost by the link.
    lost_per_mille: u64,
    /// Loss is repaired by TCP, late; otherwise the message is gone, and the question is asked again after `ask`.
    is_repaired: bool,
    has_router: bool,
}

impl Link {
    const fn of(round_trip: Time) -> Self {
        Self { one_way: round_trip / 2, lost_per_mille: 0, is_repaired: true, has_router: false }
    }
}

/// What a run is about: `channels` exporting processes, and one process that imports from all of them.
#[derive(Clone, Copy)]
struct Run {
    link: Link,
    channels: usize,
    n: u64,
    /// Exchanges of each channel.
    exchanges: u64,
    ask: Time,
    /// Threads of the importing process that can work at a time.
    cores: usize,
}

struct Outcome {
    items: u64,
    time: Time,
    /// How long each exchange took, sorted.
    took: Vec<Time>,
    asked_again: u64,
}

impl Outcome {
    fn rate(&self) -> f64 {
        self.items as f64 * SECOND as f64 / self.time as f64
    }

    fn percentile(&self, percent: usize) -> f64 {
        self.took[(self.took.len() - 1) * percent / 100] as f64 / MILLI as f64
    }
}

enum Event {
    /// The importing process sends its question, or sends it again if this is still the one of so many attempts.
    Ask {
        channel: usize,
        number: u64,
        attempt: u64,
    },
    Question {
        channel: usize,
        bytes: Vec<u8>,
    },
    /// The items are made.
    Made {
        channel: usize,
    },
    Answer {
        channel: usize,
        bytes: Vec<u8>,
        size: u64,
    },
}

struct Channel {
    asker: Asker,
    answerer: Answerer<Vec<u8>, u64>,
    exchange: u64,
    attempt: u64,
    begun: Time,
    made: u64,
    got: u64,
    /// The exporting process is busy until then.
    busy: Time,
}

struct World {
    run: Run,
    now: Time,
    events: BinaryHeap<Reverse<(Time, u64)>>,
    pending: Vec<Option<Event>>,
    dice: u64,
    /// The router's and the importing process' threads are busy until then.
    router: Time,
    cores: Vec<Time>,
    channels: Vec<Channel>,
    took: Vec<Time>,
    /// When the last exchange ended.
    end: Time,
    asked_again: u64,
}

impl World {
    fn new(run: Run) -> Self {
        let channel = |id: usize| {
            let mut asker = Asker::new(1);
            asker.bind(id as u64);
            Channel {
                asker,
                answerer: Answerer::new(id as u64),
                exchange: 0,
                attempt: 0,
                begun: 0,
                made: 0,
                got: 0,
                busy: 0,
            }
        };
        Self {
            run,
            now: 0,
            events: BinaryHeap::new(),
            pending: Vec::new(),
            dice: 0x9E37_79B9_7F4A_7C15,
            router: 0,
            cores: vec![0; run.cores],
            channels: (0..run.channels).map(channel).collect(),
            took: Vec::new(),
            end: 0,
            asked_again: 0,
        }
    }

    fn at(&mut self, time: Time, event: Event) {
        self.events.push(Reverse((time, self.pending.len() as u64)));
        self.pending.push(Some(event));
    }

    fn below(&mut self, n: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % n
    }

    /// Sends a message of so many bytes over the link: gives when it arrives, if it does.
    fn travel(&mut self, from: Time, bytes: u64) -> Option<Time> {
        let link = self.run.link;
        let mut time = from + link.one_way + bytes * COSTS.byte;
        if self.below(1000) < link.lost_per_mille {
            if !link.is_repaired {
                return None;
            }
            time += 2 * link.one_way + COSTS.retransmission;
        }
        if link.has_router {
            self.router = self.router.max(time) + COSTS.router;
            time = self.router;
        }
        Some(time)
    }

    /// The importing process works on something, when one of its threads is free.
    fn import_works(&mut self, cost: Time) -> Time {
        let now = self.now;
        let core = self.cores.iter_mut().min().expect("a core");
        *core = (*core).max(now) + cost;
        *core
    }

    /// The exporting process of a channel works on something.
    fn export_works(&mut self, channel: usize, cost: Time) -> Time {
        let busy = &mut self.channels[channel].busy;
        *busy = (*busy).max(self.now) + cost;
        *busy
    }

    fn begin_exchange(&mut self, channel: usize, time: Time) {
        let state = &mut self.channels[channel];
        if state.exchange == self.run.exchanges {
            return;
        }
        state.exchange += 1;
        state.begun = time;
        state.asker.demand(&self.run.n.to_le_bytes());
        let (number, attempt) = (state.exchange, state.attempt);
        self.at(time, Event::Ask { channel, number, attempt });
    }

    fn play(mut self) -> Outcome {
        for channel in 0..self.run.channels {
            self.begin_exchange(channel, 0);
        }
        while let Some(Reverse((time, event))) = self.events.pop() {
            self.now = time;
            match self.pending[event as usize].take().expect("an event happens once") {
                Event::Ask { channel, number, attempt } => self.ask(channel, number, attempt),
                Event::Question { channel, bytes } => self.question(channel, &bytes),
                Event::Made { channel } => self.made(channel),
                Event::Answer { channel, bytes, size } => self.answer(channel, &bytes, size),
            }
        }
        let expected = self.run.exchanges * self.run.n;
        for channel in &self.channels {
            assert_eq!(
                (channel.made, channel.got),
                (expected, expected),
                "an item was lost or doubled"
            );
        }
        self.took.sort_unstable();
        Outcome {
            items: expected * self.run.channels as u64,
            time: self.end,
            took: self.took,
            asked_again: self.asked_again,
        }
    }

    fn ask(&mut self, channel: usize, number: u64, attempt: u64) {
        let state = &mut self.channels[channel];
        if state.exchange != number || state.attempt != attempt {
            return; // it was answered meanwhile
        }
        let Some(question) = state.asker.question() else { return };
        let bytes = question.into_owned();
        state.attempt += 1;
        let attempt = state.attempt;
        let sent = self.import_works(COSTS.message);
        if let Some(time) = self.travel(sent, bytes.len() as u64) {
            self.at(time, Event::Question { channel, bytes });
        }
        self.at(sent + self.run.ask, Event::Ask { channel, number, attempt });
    }

    fn question(&mut self, channel: usize, bytes: &[u8]) {
        let done = match self.channels[channel].answerer.hear(bytes) {
            Heard::Begin { .. } => {
                let cost = COSTS.message + self.run.n * COSTS.item;
                let done = self.export_works(channel, cost);
                return self.at(done, Event::Made { channel });
            }
            Heard::Again(reply) => {
                self.asked_again += 1;
                let size = self.run.n * COSTS.item_bytes;
                Some((reply, size))
            }
            Heard::Greet(reply) => Some((reply, 0)),
            Heard::Waiting | Heard::Ignore => None,
            other => panic!("nobody leaves, and nobody intrudes: {other:?}"),
        };
        if let Some((reply, size)) = done {
            let sent = self.export_works(channel, COSTS.message);
            self.reply(channel, sent, reply, size);
        }
    }

    fn made(&mut self, channel: usize) {
        let n = self.run.n;
        let state = &mut self.channels[channel];
        let mut reply = state.answerer.item_head();
        reply.extend_from_slice(&state.made.to_le_bytes());
        state.answerer.answer(reply.clone(), state.made);
        state.made += n;
        self.reply(channel, self.now, reply, n * COSTS.item_bytes);
    }

    fn reply(&mut self, channel: usize, sent: Time, bytes: Vec<u8>, size: u64) {
        if let Some(time) = self.travel(sent, size + bytes.len() as u64) {
            self.at(time, Event::Answer { channel, bytes, size });
        }
    }

    fn answer(&mut self, channel: usize, bytes: &[u8], size: u64) {
        let state = &mut self.channels[channel];
        match state.asker.hear(bytes) {
            Told::Welcome => {
                // The demand itself goes at once.
                let (number, attempt) = (state.exchange, state.attempt);
                self.at(self.now, Event::Ask { channel, number, attempt });
            }
            Told::Item(item) => {
                let first = u64::from_le_bytes(item.try_into().expect("eight bytes"));
                assert_eq!(first, state.got, "an item came twice, or out of order");
                state.got += self.run.n;
                let items = size / COSTS.item_bytes;
                let done = self.import_works(COSTS.message + items * COSTS.item);
                self.end = self.end.max(done);
                let begun = self.channels[channel].begun;
                self.took.push(done - begun);
                self.channels[channel].attempt += 1;
                self.begin_exchange(channel, done);
            }
            Told::Ignore => {}
            other => panic!("nobody leaves, and nobody intrudes: {other:?}"),
        }
    }
}

fn run(link: Link, channels: usize, n: u64, exchanges: u64) -> Outcome {
    World::new(Run { link, channels, n, exchanges, ask: 5 * SECOND, cores: 2 }).play()
}

fn rounded(rate: f64) -> String {
    let digits = rate.log10().floor() as i32 - 1;
    let unit = 10_f64.powi(digits);
    let mut text = format!("{:.0}", (rate / unit).round() * unit);
    let mut at = text.len();
    while at > 3 {
        at -= 3;
        text.insert(at, ',');
    }
    text
}

const DISTANCES: [(&str, Time); 5] = [
    ("one machine", 20 * MICRO),
    ("one room, 0.5 ms", 500 * MICRO),
    ("one city, 5 ms", 5 * MILLI),
    ("one continent, 30 ms", 30 * MILLI),
    ("two regions, 100 ms", 100 * MILLI),
];

fn main() {
    let Costs { message, item, router, item_bytes, .. } = COSTS;
    println!(
        "A message costs a process {} us, an item {} ns on each side and {item_bytes} bytes, a router {} us a message; 1 Gbit/s.\n",
        message / MICRO,
        item,
        router / MICRO
    );

    println!("### Which `n`: items a second of one channel, by the way there and back\n");
    let ns = [1, 16, 64, 256, 1024, 4096, 16384];
    let head: Vec<String> = ns.iter().map(|n| format!("read({n})")).collect();
    println!("| way there and back | {} | n for 90 % of the most |", head.join(" | "));
    println!("|---|{}---:|", "---:|".repeat(ns.len()));
    for (name, round_trip) in DISTANCES {
        let rates = ns.map(|n| rounded(run(Link::of(round_trip), 1, n, 50).rate()));
        println!("| {name} | {} | {} |", rates.join(" | "), enough(round_trip));
    }

    println!("\n### A lossy link between two regions, 100 ms there and back: one exchange\n");
    println!("| lost | repaired | n | median | 99 % | items a second | asked again |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    for is_repaired in [true, false] {
        for lost_per_mille in [0, 1, 10, 50] {
            for n in [1, 256, 4096] {
                let link = Link { lost_per_mille, is_repaired, ..Link::of(100 * MILLI) };
                let outcome = run(link, 1, n, 2000);
                println!(
                    "| {} % | {} | {n} | {:.0} ms | {:.0} ms | {} | {} |",
                    lost_per_mille as f64 / 10.0,
                    if is_repaired { "by TCP" } else { "no: asked again after 5 s" },
                    outcome.percentile(50),
                    outcome.percentile(99),
                    rounded(outcome.rate()),
                    outcome.asked_again,
                );
            }
        }
    }

    println!(
        "\n### Many exporters behind one router, 100 ms away, into one process with two cores\n"
    );
    println!("| exporters | n | exchanges a second | items a second | median | 99 % |");
    println!("|---:|---:|---:|---:|---:|---:|");
    for channels in [1, 10, 100, 1000] {
        for n in [1, 256] {
            let link = Link { has_router: true, ..Link::of(100 * MILLI) };
            let outcome = run(link, channels, n, 30);
            println!(
                "| {channels} | {n} | {} | {} | {:.0} ms | {:.0} ms |",
                rounded(outcome.rate() / n as f64),
                rounded(outcome.rate()),
                outcome.percentile(50),
                outcome.percentile(99),
            );
        }
    }
}

/// The least power of two that gives 90 % of what an endless `n` would give. One question brings no more than 65,536 items.
fn enough(round_trip: Time) -> String {
    let rate = |n: u64| run(Link::of(round_trip), 1, n, 20).rate();
    let most = rate(1 << 24);
    let n = (0..=16).map(|power| 1 << power).find(|n| rate(*n) >= 0.9 * most);
    n.map_or_else(
        || format!("65536 gives {:.0} %", 100.0 * rate(1 << 16) / most),
        |n: u64| n.to_string(),
    )
}
