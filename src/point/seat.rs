//! Where an operation, or an end, keeps that it waits: for a diagnosis.
//!
//! | event                                             | the seat                                                            |
//! |---------------------------------------------------|---------------------------------------------------------------------|
//! | a task's poll is pending; a thread is about to park | is taken, unless the same operation has it already                |
//! | the operation is done, dropped, or out of time    | is left                                                             |
//! | an end that polls by reference (`poll_recv`, a pipe's async traits) is not polled again | stays taken until the end is used again or dropped: its waker is registered as long |
//!
//! Without the feature `diagnose` a seat has no size, and nothing is done.

#[cfg(feature = "diagnose")]
use crate::diagnose::Listing;
use crate::point::Origin;
use crate::step::Step;
#[cfg(feature = "diagnose")]
use crate::step::Waiter;
use crate::wait::WaiterKind;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Seat {
    #[cfg(feature = "diagnose")]
    listing: Listing,
}

impl Seat {
    pub(crate) const fn new() -> Self {
        Self {
            #[cfg(feature = "diagnose")]
            listing: Listing::new(),
        }
    }

    /// The operation waits no more.
    #[inline(always)]
    #[cfg_attr(not(feature = "diagnose"), allow(clippy::needless_pass_by_ref_mut))]
    pub(crate) fn leave(&mut self) {
        #[cfg(feature = "diagnose")]
        self.listing.leave();
    }
}

/// The operation is pending, and is going to wait.
#[inline(always)]
#[cfg_attr(not(feature = "diagnose"), allow(unused_variables, clippy::needless_pass_by_ref_mut))]
pub(crate) fn take_seat<S: Step>(step: &mut S, origin: Origin, kind: WaiterKind) {
    #[cfg(feature = "diagnose")]
    {
        // Taken out meanwhile, since the step tells its targets.
        let seat = step.waiter().seat().filter(|seat| !seat.listing.is_of(origin));
        let Some(mut listing) = seat.map(|seat| std::mem::take(&mut seat.listing)) else { return };
        let is_thread = kind != WaiterKind::Task;
        listing.begin(origin, is_thread, |list| step.each_target(origin, list));
        if let Some(seat) = step.waiter().seat() {
            seat.listing = listing;
        }
    }
}

/// The operation waits no more, if it did.
#[inline(always)]
#[cfg_attr(not(feature = "diagnose"), allow(unused_variables, clippy::needless_pass_by_ref_mut))]
pub(crate) fn leave_seat<S: Step>(step: &mut S) {
    #[cfg(feature = "diagnose")]
    if let Some(seat) = step.waiter().seat() {
        seat.leave();
    }
}
