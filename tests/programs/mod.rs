//! Programs of operations over 2 to 4 parties, made from bytes and run against a reference.
//!
//! All of it runs in one thread: a party is a coroutine that does its next step when the program says so, and polls its operation
//! by hand. So a program is one interleaving, runs the same each time, and can be made smaller. The crate in `fuzz/` runs random
//! programs; `cargo test` runs those in `corpus/`.
//!
//! | file        | has                                                                         |
//! |-------------|-----------------------------------------------------------------------------|
//! | `decode`    | from bytes to a program                                                     |
//! | `party`     | one operation at a time: polled, given up, forgotten, timed out             |
//! | `acts`, `sequences`, `pipes`, `choice` | which operations there are                       |
//! | `world`     | the reference                                                               |
//! | `ledger`    | values, and what became of each                                             |

mod acts;
mod choice;
mod decode;
mod ledger;
mod out;
mod party;
mod pipes;
mod sequences;
mod world;

use std::cell::RefCell;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use handover::{duplex, rendezvous, simplex, stream};

use acts::{End, Held};
use decode::{Kind, Program, Step};
use party::{Command, Seat};
use world::{RECEIVING, SENDING, World};

/// Runs the program that the bytes are. It panics where the outcome is none that the reference allows.
pub(crate) fn run(data: &[u8]) {
    run_traced(data, false);
}

/// Runs a program, and gives its text and what it panicked with.
pub(crate) fn explain(data: &[u8]) -> Option<String> {
    let result = panic::catch_unwind(AssertUnwindSafe(|| run_traced(data, true)));
    let error = result.err()?;
    let text = (error.downcast_ref::<String>().cloned())
        .or_else(|| error.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default();
    Some(format!("{}\n=> {text}", ledger::take_trace().join("\n")))
}

fn run_traced(data: &[u8], traces: bool) {
    let program = Program::decode(data);
    ledger::begin(traces);
    ledger::trace(|| format!("{} parties: {:?}", program.parties, program.channels));
    let mut stage = Stage::new(&program);
    for &step in &program.steps {
        stage.run(step);
    }
    stage.close();
}

type Body = Pin<Box<dyn Future<Output = ()>>>;

/// The parties and what they share.
struct Stage {
    world: Rc<RefCell<World>>,
    seats: Vec<Rc<Seat>>,
    ends: Vec<Rc<RefCell<Vec<Held>>>>,
    bodies: Vec<Body>,
}

impl Stage {
    fn new(program: &Program) -> Self {
        let world = Rc::new(RefCell::new(World::new(program.parties)));
        let seats: Vec<_> = (0..program.parties)
            .map(|party| Rc::new(Seat::new(party, Rc::clone(&world))))
            .collect();
        let ends: Vec<Rc<RefCell<Vec<Held>>>> = seats.iter().map(|_| Rc::default()).collect();
        for (channel, plan) in program.channels.iter().enumerate() {
            let give = |party: usize, end| ends[party].borrow_mut().push(Held { channel, end });
            let owner = |bits: u8| bits.trailing_zeros() as usize;
            let pair = match plan.kind {
                Kind::Simplex => {
                    let (server, client) = simplex();
                    (End::Server(server), End::Client(client))
                }
                Kind::Duplex => {
                    let (server, client) = duplex();
                    (End::Answering(server), End::Asking(client))
                }
                Kind::Stream => {
                    let (writer, reader) = stream();
                    (End::Writer(writer), End::Reader(reader))
                }
                Kind::Pipe => pipes::ends(),
                Kind::Rendezvous => {
                    let (tx, rx) = rendezvous();
                    for party in 0..program.parties {
                        if plan.senders & (1 << party) != 0 {
                            give(party, End::Sender(tx.clone()));
                        }
                        if plan.receivers & (1 << party) != 0 {
                            give(party, End::Receiver(rx.clone()));
                        }
                    }
                    // The first two say nothing when they leave.
                    tx.finish();
                    rx.finish();
                    let counts =
                        [plan.senders, plan.receivers].map(|bits| bits.count_ones() as usize);
                    world.borrow_mut().add_channel(plan.kind, counts);
                    continue;
                }
            };
            give(owner(plan.senders), pair.0);
            give(owner(plan.receivers), pair.1);
            world.borrow_mut().add_channel(plan.kind, [1, 1]);
        }
        let bodies = seats
            .iter()
            .map(|seat| -> Body {
                let all: Vec<_> = ends.iter().map(Rc::clone).collect();
                Box::pin(live(Rc::clone(seat), all))
            })
            .collect();
        let mut stage = Self { world, seats, ends, bodies };
        // Each comes to wait for its first step.
        (0..program.parties).for_each(|party| stage.resume(party));
        stage
    }

    fn resume(&mut self, party: usize) {
        let polled = self.bodies[party].as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Pending, "a party goes on for ever");
        self.seats.iter().for_each(|seat| seat.note_rings());
    }

    fn tell(&mut self, party: usize, command: Command) {
        ledger::trace(|| format!("party {party}:"));
        self.seats[party].command.set(Some(command));
        self.resume(party);
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Settle => self.settle(),
            Step::ArmWaker { party, moment } => {
                ledger::trace(|| format!("the waker of party {party} will panic ({moment})"));
                self.seats[party].arm(moment);
            }
            Step::ArmDrop => {
                ledger::trace(|| "the next destructor will panic".to_owned());
                ledger::arm();
            }
            Step::Act { party, code, arg } => {
                let command = if !self.seats[party].is_busy() {
                    Command::Begin { code, arg }
                } else {
                    match (code % 8, arg % 2) {
                        (4, _) => Command::Drop,
                        (5, 0) => Command::Forget,
                        (5, _) => Command::Reclaim,
                        (6, 0) => Command::Now,
                        (6, _) => Command::TimeOut,
                        (7, _) => Command::PollAnew,
                        _ => Command::Poll,
                    }
                };
                self.tell(party, command);
            }
        }
    }

    /// Polls each party that was woken, until none is.
    fn settle(&mut self) {
        ledger::trace(|| "settles:".to_owned());
        let mut rounds = 0;
        let can_go_on = |seat: &Rc<Seat>| seat.is_busy() && seat.is_woken.get();
        while let Some(party) = self.seats.iter().position(can_go_on) {
            self.tell(party, Command::Poll);
            rounds += 1;
            assert!(rounds < 2_000, "the parties wake each other for ever");
        }
        self.world.borrow().assert_settled();
    }

    /// The operations that wait are given up; each channel is used once more; all leave. Then each value must have its end.
    fn close(&mut self) {
        self.settle();
        ledger::trace(|| "the program ends".to_owned());
        ledger::disarm();
        self.seats.iter().for_each(|seat| seat.renew_waker());
        self.give_up_all();
        let channels = self.world.borrow().channels.len();
        for channel in 0..channels {
            self.use_once_more(channel);
        }
        self.assert_rendezvous_are_empty();
        for party in 0..self.seats.len() {
            let held = std::mem::take(&mut *self.ends[party].borrow_mut());
            for held in held {
                acts::leave(&self.seats[party], held, 2);
            }
        }
        self.bodies.clear();
        for (id, fate) in ledger::fates().into_iter().enumerate() {
            assert!(fate.drops <= 1, "#{id} was dropped twice");
            assert!(fate.drops == 1 || fate.is_forgotten, "#{id} is still there: {fate:?}");
        }
    }

    fn give_up_all(&mut self) {
        for party in 0..self.seats.len() {
            // A permit is dropped, too.
            while self.seats[party].is_busy() {
                self.tell(party, Command::Drop);
            }
        }
    }

    /// A party that has such an end, and that is not `but`.
    fn holder(&self, channel: usize, side: usize, but: Option<usize>) -> Option<usize> {
        let has = |held: &Held| held.channel == channel && held.end.side() == side;
        let mut parties = 0..self.ends.len();
        parties.find(|&party| Some(party) != but && self.ends[party].borrow().iter().any(has))
    }

    /// A send and a receive, which must meet; then the sender leaves, and the receiver receives all that is left.
    fn use_once_more(&mut self, channel: usize) {
        let receiver = self.holder(channel, RECEIVING, None);
        let sender = self.holder(channel, SENDING, receiver);
        if let (Some(sender), Some(receiver)) = (sender, receiver) {
            self.tell(sender, Command::Use { channel, side: SENDING });
            self.tell(receiver, Command::Use { channel, side: RECEIVING });
            self.settle();
            self.give_up_all();
        }
        if self.world.borrow().channels[channel].kind == Kind::Rendezvous {
            return;
        }
        if let Some(sender) = sender {
            self.tell(sender, Command::Leave { channel, side: SENDING });
        }
        if let Some(receiver) = receiver {
            for _ in 0..1_000 {
                if self.world.borrow().channels[channel].is_end_told {
                    break;
                }
                self.tell(receiver, Command::Use { channel, side: RECEIVING });
                self.settle();
            }
            self.world.borrow().assert_nothing_owed(channel);
        }
    }

    fn assert_rendezvous_are_empty(&self) {
        let world = self.world.borrow();
        let all: Vec<_> = self.ends.iter().map(|ends| ends.borrow()).collect();
        for held in all.iter().flat_map(|ends| ends.iter()) {
            let it = &world.channels[held.channel];
            let stats = match &held.end {
                End::Sender(tx) => tx.stats(),
                End::Receiver(rx) => rx.stats(),
                _ => continue,
            };
            let is_counted = stats.handed_over == it.handed_over || world.is_disturbed;
            assert!(is_counted, "channel {}: {stats:?}, {it:?}", held.channel);
            assert_eq!([stats.senders, stats.receivers], it.ends, "channel {}", held.channel);
            if it.forgotten == 0 {
                let waiting = (stats.waiting_senders, stats.waiting_receivers);
                assert_eq!(waiting, (0, 0), "nobody waits on channel {}", held.channel);
            }
        }
    }
}

/// What a party does: its operations, one after the other.
async fn live(seat: Rc<Seat>, all: Vec<Rc<RefCell<Vec<Held>>>>) {
    let mine = &all[seat.number];
    loop {
        match seat.next().await {
            Command::Begin { code, arg } => {
                let mut ends = std::mem::take(&mut *mine.borrow_mut());
                if ends.is_empty() {
                    continue;
                }
                if code % 16 >= 14 && ends.len() > 1 {
                    choice::choose(&seat, &mut ends, code, arg).await;
                } else {
                    let held = ends.remove(usize::from(code / 16) % ends.len());
                    let (held, clone) = acts::act(&seat, held, code, arg).await;
                    ends.extend(held);
                    if let Some(clone) = clone {
                        all[usize::from(arg) % all.len()].borrow_mut().push(clone);
                    }
                }
                // A clone may have been given to this party meanwhile.
                mine.borrow_mut().extend(ends);
            }
            Command::Use { channel, side } => {
                if let Some(mut held) = take(mine, channel, side) {
                    acts::use_end(&seat, &mut held).await;
                    mine.borrow_mut().push(held);
                }
            }
            Command::Leave { channel, side } => {
                if let Some(held) = take(mine, channel, side) {
                    acts::leave(&seat, held, 4);
                }
            }
            _ => {}
        }
    }
}

fn take(ends: &RefCell<Vec<Held>>, channel: usize, side: usize) -> Option<Held> {
    let mut ends = ends.borrow_mut();
    let place = ends.iter().position(|held| held.channel == channel && held.end.side() == side)?;
    Some(ends.remove(place))
}
