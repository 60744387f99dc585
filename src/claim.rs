//! One claim for all arms of a `select`: it decides which of them happens.
//!
//! # Which arm happens
//!
//! | state         | means                                                       | what may come next                                                     |
//! |---------------|-------------------------------------------------------------|------------------------------------------------------------------------|
//! | `WAITING`     | the party waits; any of its offers may be taken             | its owner attempts: `REGISTERING`; a receiver takes an offer: won by that arm |
//! | `REGISTERING` | its owner attempts its arms, or has done one, or gave up    | its owner has found nothing: `WAITING`; a receiver passes over an offer: `REREGISTER` |
//! | `REREGISTER`  | as `REGISTERING`, and an offer was passed over and has left its list | its owner has found nothing: `WAITING`, and it queues its offers again |
//! | won by `i`    | that arm has happened, its owner does not know it yet       | nothing                                                                |
//!
//! Receivers change it under the lock of the channel of the offer, and never wait for it. While a party attempts its arms it cannot be
//! won; so two parties that attempt to meet each other pass each other over, and have each other queue the offers again.
//!
//! # Permits
//!
//! A party that waits for permits and for values must not be granted a permit while one of its receiving arms belongs to another party's permit: else two
//! such parties could hold a permit for each other, and both would send. `Permits` counts, never both at once:
//!
//! | count      | means                                            | raised by                  | lowered by                                                  |
//! |------------|--------------------------------------------------|----------------------------|-------------------------------------------------------------|
//! | `granted`  | permits that this party was granted              | the grant, before the next | the grant that fails by the next; the party finds the receiver gone |
//! | `reserved` | receiving arms that belong to somebody's permit  | the grant                  | the arm is idle again or leaves                             |
//!
//! A grant that gives way because the receiving party has been granted a permit itself leaves a mark there (`must_retry`). If that permit comes to nothing, its party
//! finds the mark, and attempts its arms again. Without the mark two grants could both give way, and nothing would bring the parties together again.
//!
//! A party that only receives needs no claim: a value comes to it in a step of its own.

use std::mem;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crate::sync::{Arc, AtomicU32, Mutex};

const WAITING: u32 = 0;
const REGISTERING: u32 = 1;
const REREGISTER: u32 = 2;
/// And the arm.
const WON: u32 = 3;

/// See above. Its lock is the last that is locked, and nothing else is done under it.
#[derive(Debug, Default)]
struct Permits {
    granted: u32,
    reserved: u32,
    /// A grant gave way to one of this party's.
    must_retry: bool,
}

impl Permits {
    fn may_be_reserved(&mut self) -> bool {
        self.must_retry |= self.granted > 0;
        self.granted == 0
    }
}

/// What the arms of one `select` share.
#[derive(Debug)]
pub(crate) struct Claim {
    state: AtomicU32,
    permits: Mutex<Permits>,
    /// Whether an arm wants a permit.
    wants_permit: bool,
}

impl Claim {
    /// For a party that attempts its arms.
    pub(crate) fn new(wants_permit: bool) -> Arc<Self> {
        let state = AtomicU32::new(REGISTERING);
        Arc::new(Self { state, permits: Mutex::default(), wants_permit })
    }

    /// Its owner begins to attempt its arms, or learns which arm has happened.
    pub(crate) fn begin(&self) -> Result<(), u32> {
        // Ordering: here and below AcqRel orders what the parties do by the claim; the offers themselves are under their channels' locks.
        match self.state.compare_exchange(WAITING, REGISTERING, AcqRel, Acquire) {
            // It was attempting its arms when a waker panicked.
            Ok(_) | Err(REGISTERING | REREGISTER) => Ok(()),
            Err(state) => Err(state.saturating_sub(WON)),
        }
    }

    /// Its owner has found nothing, and waits. Whether it must queue its arms again first, since one was passed over meanwhile.
    pub(crate) fn end(&self) -> bool {
        self.state.swap(WAITING, AcqRel) == REREGISTER
    }

    /// Whether an arm has happened.
    pub(crate) fn is_won(&self) -> bool {
        // Ordering: Relaxed, since the party that sees it attempts its arms again.
        self.state.load(Relaxed) >= WON
    }

    /// Called by a receiver, under the lock of the channel: makes an arm happen.
    fn try_select(&self, arm: u32) -> bool {
        // Ordering: Relaxed, since the exchange decides.
        let mut state = self.state.load(Relaxed);
        loop {
            let next = match state {
                WAITING => WON + arm,
                REGISTERING => REREGISTER,
                _ => return false,
            };
            match self.state.compare_exchange_weak(state, next, AcqRel, Relaxed) {
                Ok(_) => return next != REREGISTER,
                Err(now) => state = now,
            }
        }
    }

    /// Its owner is to queue its arms again before it waits.
    fn request_reregister(&self) {
        // Ordering: Relaxed on failure: it waits already, and is woken.
        _ = self.state.compare_exchange(REGISTERING, REREGISTER, AcqRel, Relaxed);
    }
}

/// One arm of a `select`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArmRef<'c> {
    claim: &'c Arc<Claim>,
    arm: u32,
}

/// An arm that need not win: its offers are taken while another arm may still happen.
const UNCLAIMED: u32 = u32::MAX;

impl<'c> ArmRef<'c> {
    pub(crate) const fn new(claim: &'c Arc<Claim>, arm: u32) -> Self {
        Self { claim, arm }
    }

    /// A `send_all` arm: one item taken does not complete the select.
    pub(crate) const fn unclaimed(self) -> Self {
        Self { arm: UNCLAIMED, ..self }
    }

    pub(crate) fn select_id(self) -> SelectId {
        SelectId(Arc::as_ptr(self.claim).addr())
    }

    /// For an entry, which outlives an attempt.
    pub(crate) fn handle(self) -> ArmHandle {
        ArmHandle { claim: Arc::clone(self.claim), arm: self.arm }
    }

    /// For the entry of a receiving arm, if its party also waits for permits.
    pub(crate) fn permit_handle(self) -> Option<ArmHandle> {
        self.claim.wants_permit.then(|| self.handle())
    }
}

/// An arm that is kept with its entry in a channel.
#[derive(Debug)]
pub(crate) struct ArmHandle {
    claim: Arc<Claim>,
    arm: u32,
}

impl ArmHandle {
    /// Whether the offer may be taken: then its arm has happened. If not, its owner queues it again, should it still wait.
    pub(crate) fn try_select(&self) -> bool {
        self.arm == UNCLAIMED || self.claim.try_select(self.arm)
    }

    pub(crate) fn select_id(&self) -> SelectId {
        SelectId(Arc::as_ptr(&self.claim).addr())
    }

    /// Whether this party may now be granted a permit.
    pub(crate) fn may_be_granted(&self) -> bool {
        self.claim.permits.lock().reserved == 0
    }

    /// Whether a receiving arm of this party may now be reserved for a permit. If not, the mark is left for which the party looks.
    pub(crate) fn may_be_reserved(&self) -> bool {
        self.claim.permits.lock().may_be_reserved()
    }

    /// Marks this party as granted one more permit, unless one of its receiving arms is reserved.
    pub(crate) fn try_grant(&self) -> bool {
        let mut permits = self.claim.permits.lock();
        let may = permits.reserved == 0;
        permits.granted += u32::from(may);
        may
    }

    /// A granted permit has come to nothing. Whether this party must attempt its arms again, since another party gave way to the grant.
    pub(crate) fn undo_grant(&self) -> bool {
        let mut permits = self.claim.permits.lock();
        permits.granted -= 1;
        let must_retry = permits.granted == 0 && mem::take(&mut permits.must_retry);
        drop(permits);
        if must_retry {
            self.claim.request_reregister();
        }
        must_retry
    }

    /// Marks one more receiving arm of this party as reserved, unless the party has been granted a permit.
    pub(crate) fn try_reserve(&self) -> bool {
        let mut permits = self.claim.permits.lock();
        let may = permits.may_be_reserved();
        permits.reserved += u32::from(may);
        may
    }

    /// A receiving arm is no longer reserved. Its party may have looked for a permit in vain just before: then it queues its arms again.
    pub(crate) fn undo_reserve(&self) {
        self.claim.permits.lock().reserved -= 1;
        self.claim.request_reregister();
    }
}

/// The identity of a `select`: one must not meet itself. All parties that do not select are `NONE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SelectId(usize);

impl SelectId {
    pub(crate) const NONE: Self = Self(0);
}

#[cfg(all(test, not(any(handover_loom, handover_shuttle))))]
mod tests {
    use super::*;

    fn arm(claim: &Arc<Claim>) -> ArmHandle {
        ArmRef::new(claim, 0).handle()
    }

    #[test]
    fn a_party_is_granted_or_reserved_and_never_both() {
        let claim = Claim::new(true);
        let arm = arm(&claim);
        assert!(arm.try_reserve() && arm.try_reserve());
        assert!(!arm.may_be_granted() && !arm.try_grant());
        arm.undo_reserve();
        assert!(!arm.try_grant(), "one more arm is reserved");
        arm.undo_reserve();
        assert!(arm.try_grant() && arm.try_grant());
        assert!(!arm.may_be_reserved() && !arm.try_reserve());
        arm.undo_grant();
        assert!(!arm.try_reserve(), "it has one more permit");
        arm.undo_grant();
        assert!(arm.may_be_reserved() && arm.may_be_granted() && arm.try_reserve());
    }

    /// A grant that gave way is made good by the party to which it gave way.
    #[test]
    fn a_permit_that_comes_to_nothing_tells_whether_another_gave_way() {
        let claim = Claim::new(true);
        let arm = arm(&claim);
        assert!(arm.try_grant());
        assert!(!arm.undo_grant() && !claim.end(), "nobody gave way");
        claim.begin().unwrap();
        assert!(arm.try_grant() && arm.try_grant());
        assert!(!arm.try_reserve());
        assert!(!arm.undo_grant(), "it has one more permit");
        assert!(arm.undo_grant());
        assert!(claim.end(), "it queues its arms again");
        claim.begin().unwrap();
        assert!(arm.try_grant() && !arm.undo_grant(), "that was told");
        assert!(
            arm.try_grant() && !arm.may_be_reserved() && arm.undo_grant(),
            "who only looks gives way, too"
        );
    }

    /// A party that attempted another arm while this one was reserved must attempt it again.
    #[test]
    fn an_arm_that_is_free_again_has_its_party_queue_again() {
        let claim = Claim::new(true);
        let arm = arm(&claim);
        assert!(arm.may_be_reserved() && arm.try_reserve());
        arm.undo_reserve();
        assert!(claim.end());
        assert!(arm.try_grant() && !arm.undo_grant(), "nobody gave way to it");
        assert!(arm.try_grant() && arm.try_grant() && !arm.may_be_reserved());
        assert_eq!([arm.undo_grant(), arm.undo_grant()], [false, true], "somebody did");
    }

    #[test]
    fn a_party_may_have_any_number_of_permits_and_of_reserved_arms() {
        const MANY: usize = 70_000; // More than 16 bits count.
        let claim = Claim::new(true);
        let arm = arm(&claim);
        assert!((0..MANY).all(|_| arm.may_be_reserved() && arm.try_reserve()));
        for _ in 0..MANY {
            assert!(!arm.may_be_granted() && !arm.try_grant());
            arm.undo_reserve();
        }
        assert!((0..MANY).all(|_| arm.may_be_granted() && arm.try_grant()));
        for left in (0..MANY).rev() {
            assert!(!arm.may_be_reserved());
            assert_eq!(arm.undo_grant(), left == 0);
        }
        assert!(arm.try_reserve());
    }

    #[test]
    fn an_arm_happens_once_and_only_while_its_party_waits() {
        let claim = Claim::new(false);
        let [first, second] = [0, 1].map(|number| ArmRef::new(&claim, number));
        assert!(!first.handle().try_select(), "its party attempts its arms");
        assert!(claim.end(), "the arm is to be queued again");
        assert!(!claim.is_won());
        assert!(second.handle().try_select());
        assert!(claim.is_won());
        assert!(!first.handle().try_select());
        assert!(first.unclaimed().handle().try_select(), "it need not win");
        assert_eq!(claim.begin(), Err(1));
    }

    #[test]
    fn a_party_that_finds_nothing_waits() {
        let claim = Claim::new(false);
        assert!(!claim.end());
        assert_eq!(claim.begin(), Ok(()));
        assert_eq!(claim.begin(), Ok(()), "a waker panicked meanwhile");
        assert!(!claim.is_won());
        claim.request_reregister();
        assert!(!claim.is_won());
        assert_eq!(claim.begin(), Ok(()));
        assert!(claim.end());
        claim.request_reregister();
        assert!(!claim.end(), "it waited already");
    }

    #[test]
    fn a_receiving_arm_needs_its_claim_only_for_a_party_that_wants_permits() {
        for wants_permit in [false, true] {
            let claim = Claim::new(wants_permit);
            assert_eq!(ArmRef::new(&claim, 0).permit_handle().is_some(), wants_permit);
        }
    }

    #[test]
    fn whoever_gave_way_to_a_grant_is_tried_again_for_however_often_it_looked() {
        for looks in [0, 1, 2, 3] {
            for reserves in [0, 1, 2] {
                let claim = Claim::new(true);
                let arm = arm(&claim);
                assert!(arm.try_grant());
                (0..looks).for_each(|_| assert!(!arm.may_be_reserved()));
                (0..reserves).for_each(|_| assert!(!arm.try_reserve()));
                let was_marked = looks + reserves > 0;
                assert_eq!(arm.undo_grant(), was_marked);
                assert_eq!(claim.end(), was_marked, "its party is to attempt its arms again");
                assert!(arm.try_grant());
                assert!(!arm.undo_grant(), "the mark is gone");
            }
        }
    }
}
