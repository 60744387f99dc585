//! Values, and what became of each.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::thread;

/// What became of a value so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fate {
    pub(crate) channel: usize,
    /// It goes up, with a demand of a duplex.
    pub(crate) goes_up: bool,
    pub(crate) drops: u8,
    pub(crate) is_received: bool,
    /// Its sender has it back.
    pub(crate) is_returned: bool,
    /// The channel has it, and owes it to a receiver that is there.
    pub(crate) is_accepted: bool,
    /// An operation that was forgotten had it.
    pub(crate) is_forgotten: bool,
}

thread_local! {
    static FATES: RefCell<Vec<Fate>> = const { RefCell::new(Vec::new()) };
    static IS_ARMED: Cell<bool> = const { Cell::new(false) };
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    static IS_CONSUMED: Cell<bool> = const { Cell::new(false) };
    static TRACE: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// A value with a number. The ledger of the thread has its fate.
pub(crate) struct Value(pub(crate) usize);

impl Value {
    pub(crate) fn new(channel: usize, goes_up: bool) -> Self {
        FATES.with_borrow_mut(|fates| {
            fates.push(Fate { channel, goes_up, ..Fate::default() });
            Self(fates.len() - 1)
        })
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // Such a call has received it, but has no way to return it.
        let goes_down = IS_CONSUMED.get() && thread::panicking();
        change(self.0, |fate| {
            fate.drops = fate.drops.saturating_add(1);
            fate.is_received |= goes_down;
        });
        if IS_INSIDE.get() && IS_ARMED.take() {
            panic_as_planned();
        }
    }
}

/// What a panic carries that the program has planned.
struct Planned;

/// Panics, but not in the middle of another panic: that would abort.
pub(crate) fn panic_as_planned() {
    if !thread::panicking() {
        panic::resume_unwind(Box::new(Planned));
    }
}

pub(crate) fn begin(traces: bool) {
    FATES.set(Vec::new());
    IS_ARMED.set(false);
    IS_INSIDE.set(false);
    IS_CONSUMED.set(false);
    TRACE.set(traces.then(Vec::new));
}

/// The next value that is dropped inside the library panics.
pub(crate) fn arm() {
    IS_ARMED.set(true);
}

pub(crate) fn disarm() {
    IS_ARMED.set(false);
}

pub(crate) fn fate(id: usize) -> Fate {
    FATES.with_borrow(|fates| fates[id])
}

pub(crate) fn fates() -> Vec<Fate> {
    FATES.with_borrow(Clone::clone)
}

pub(crate) fn change(id: usize, f: impl FnOnce(&mut Fate)) {
    FATES.with_borrow_mut(|fates| f(&mut fates[id]));
}

/// Adds a line to the readable text of the program, if it is asked for.
pub(crate) fn trace(line: impl FnOnce() -> String) {
    if TRACE.with_borrow(Option::is_some) {
        add_line(line());
    }
}

fn add_line(line: String) {
    TRACE.with_borrow_mut(|trace| trace.as_mut().expect("wanted").push(line));
}

pub(crate) fn take_trace() -> Vec<String> {
    TRACE.take().unwrap_or_default()
}

/// As `call`, by value: what the operation has received goes down with it if a planned panic comes out.
pub(crate) fn call_by_value<R>(f: impl FnOnce() -> R) -> Option<R> {
    IS_CONSUMED.set(true);
    let result = call(f);
    IS_CONSUMED.set(false);
    result
}

/// Calls the library. `None`: a panic that the program has planned came out.
pub(crate) fn call<R>(f: impl FnOnce() -> R) -> Option<R> {
    let (mut f, mut result) = (Some(f), None);
    call_inside(&mut || result = f.take().map(|f| f()));
    result
}

/// Compiled once, and not for each call.
fn call_inside(f: &mut dyn FnMut()) {
    IS_INSIDE.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    IS_INSIDE.set(false);
    match result {
        Ok(()) => {}
        Err(payload) if payload.is::<Planned>() => {
            trace(|| "    a planned panic came out".to_owned());
        }
        Err(payload) => panic::resume_unwind(payload),
    }
}
