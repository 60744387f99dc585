//! The waiting parties of one side, in the order in which they came: a slab of entries that is reused, strung into lists.
//!
//! An entry is in one list or in none. The holder of its ticket finds it in one step, and it leaves in one step, wherever
//! it stands. An entry that comes back between others goes into a heap beside its list, so that each way back costs the same, whatever
//! the order and the number of those that wait. This is pure bookkeeping: no locks, no wakers.
//!
//! | an entry is ...        | `list`        | `prev`                        | `next`           | `child`         |
//! |------------------------|---------------|-------------------------------|------------------|-----------------|
//! | free                   | `NONE`        | -                             | the next free    | -               |
//! | in no list             | `NONE`        | -                             | -                | -               |
//! | linked into a list     | the list      | its neighbour                 | its neighbour    | -               |
//! | back, in a list's heap | list + `BACK` | the sibling before, or parent | the sibling next | its first child |

/// No entry.
const NIL: u32 = u32::MAX;
/// Serials count up from here; those of offers that had a turn before, down.
const MIDDLE: u64 = 1 << 63;
/// The list of entries that are in none.
const NONE: u8 = u8::MAX;
/// Added to the list of an entry that is in the heap.
const BACK: u8 = 0x40;
/// An empty slab that held more entries than this gives memory back.
const LARGE: usize = 64;
/// What an empty slab keeps.
const SMALL: usize = 8;
/// Free entries below this may keep the waker of their last party for the next one: they are never given back.
pub(crate) const KEPT: u32 = SMALL as u32 - 1;

/// An entry that belongs to a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) index: u32,
    /// The party that came first has the lower one. No two entries of a queue ever have the same.
    pub(crate) serial: u64,
}

// Aligned to a cache line, and what changes rarely last: a small waiter then changes in one line, which two parties pass to and fro.
#[derive(Debug)]
#[repr(C, align(64))]
struct Entry<W> {
    /// That of the ticket; 0 in a free entry.
    serial: u64,
    prev: u32,
    next: u32,
    child: u32,
    list: u8,
    /// The party; `W::default()` in a free entry, but for what it may keep.
    waiter: W,
}

#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
    /// The heap of the entries that came back between others; the lowest serial is on top.
    back: u32,
    len: u32,
}

impl List {
    const EMPTY: Self = Self { head: NIL, tail: NIL, back: NIL, len: 0 };
}

// In this order: what changes rarely first.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct WaitQueue<W, const LISTS: usize> {
    entries: Vec<Entry<W>>,
    serial: u64,
    free: u32,
    used: u32,
    lists: [List; LISTS],
}

impl<W, const LISTS: usize> WaitQueue<W, LISTS> {
    pub(crate) const fn new() -> Self {
        let lists = [List::EMPTY; LISTS];
        Self { entries: Vec::new(), serial: MIDDLE, free: NIL, used: 0, lists }
    }

    #[inline]
    pub(crate) const fn has_entries(&self) -> bool {
        self.used > 0
    }

    /// How many entries a list has.
    #[inline]
    pub(crate) fn len(&self, list: u8) -> u32 {
        self.lists[list as usize].len
    }

    #[inline]
    pub(crate) fn is_empty(&self, list: u8) -> bool {
        self.lists[list as usize].len == 0
    }

    #[inline]
    fn ticket(&self, index: u32) -> Ticket {
        Ticket { index, serial: self.entries[index as usize].serial }
    }

    /// The first entry of a list.
    #[inline]
    pub(crate) fn first(&self, list: u8) -> Option<Ticket> {
        let List { head, back, .. } = self.lists[list as usize];
        let head =
            self.entries.get(head as usize).map(|e| Ticket { index: head, serial: e.serial });
        if back == NIL {
            return head;
        }
        let back = self.ticket(back);
        Some(head.filter(|head| head.serial < back.serial).unwrap_or(back))
    }

    /// The first entry of a list that fits. If it is not the first of all, each entry before it costs a step, and each that came back
    /// between others, too.
    #[inline]
    pub(crate) fn find(&self, list: u8, fits: impl Fn(&W) -> bool) -> Option<Ticket> {
        let first = self.first(list)?;
        if fits(&self.entries[first.index as usize].waiter) {
            return Some(first);
        }
        self.find_behind_first(list, &fits)
    }

    fn find_behind_first(&self, list: u8, fits: &dyn Fn(&W) -> bool) -> Option<Ticket> {
        let List { head, back, .. } = self.lists[list as usize];
        let mut linked = head;
        while linked != NIL && !fits(&self.entries[linked as usize].waiter) {
            linked = self.entries[linked as usize].next;
        }
        let mut found = if linked == NIL { None } else { Some(self.ticket(linked)) };
        if back != NIL {
            for (entry, index) in self.entries.iter().zip(0..) {
                let Entry { serial, .. } = *entry;
                if entry.list == list + BACK
                    && found.is_none_or(|found| serial < found.serial)
                    && fits(&entry.waiter)
                {
                    found = Some(Ticket { index, serial });
                }
            }
        }
        found
    }

    /// The waiter of a ticket that is in a list.
    #[inline]
    pub(crate) fn peek(&self, ticket: Ticket) -> Option<&W> {
        self.entries.get(ticket.index as usize).map(|entry| &entry.waiter)
    }

    /// The waiter of a ticket, if the entry is still its own.
    #[inline]
    pub(crate) fn get(&mut self, ticket: Ticket) -> Option<&mut W> {
        let entry = self.entries.get_mut(ticket.index as usize)?;
        if entry.serial == ticket.serial { Some(&mut entry.waiter) } else { None }
    }

    #[inline]
    pub(crate) fn contains(&self, ticket: Ticket) -> bool {
        self.entries.get(ticket.index as usize).is_some_and(|entry| entry.serial == ticket.serial)
    }

    /// Every waiter, in no order.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = (Ticket, &mut W)> {
        self.entries.iter_mut().zip(0..).filter_map(|(entry, index)| {
            let Entry { serial, .. } = *entry;
            if serial == 0 { None } else { Some((Ticket { index, serial }, &mut entry.waiter)) }
        })
    }

    /// What the free entries keep.
    pub(crate) fn all_free(&mut self) -> impl Iterator<Item = &mut W> {
        self.entries.iter_mut().filter(|entry| entry.serial == 0).map(|entry| &mut entry.waiter)
    }

    #[inline]
    fn link_after(&mut self, prev: u32, index: u32, list: u8) {
        let ends = &mut self.lists[list as usize];
        let next = if prev == NIL { ends.head } else { self.entries[prev as usize].next };
        if prev == NIL {
            ends.head = index;
        } else {
            self.entries[prev as usize].next = index;
        }
        if next == NIL {
            ends.tail = index;
        } else {
            self.entries[next as usize].prev = index;
        }
        ends.len += 1;
        let entry = &mut self.entries[index as usize];
        debug_assert_eq!(entry.list, NONE, "an entry is in one list");
        (entry.list, entry.prev, entry.next) = (list, prev, next);
    }

    /// Puts an entry that is in no list back to where it stood. Between others it costs one step now, and as many as their number has
    /// bits when it leaves (taken together, by the heap).
    pub(crate) fn put_back(&mut self, ticket: Ticket, list: u8) {
        let List { head, tail, .. } = self.lists[list as usize];
        if head == NIL || self.ticket(tail).serial < ticket.serial {
            self.link_after(tail, ticket.index, list);
        } else if ticket.serial < self.ticket(head).serial {
            self.link_after(NIL, ticket.index, list);
        } else {
            self.push_heap(ticket.index, list);
        }
    }

    pub(crate) fn is_in_list(&self, ticket: Ticket) -> bool {
        self.contains(ticket) && self.entries[ticket.index as usize].list != NONE
    }

    /// Takes an entry out of its list, if it is in one; it stays an entry.
    #[inline]
    pub(crate) fn unlink(&mut self, ticket: Ticket) -> &mut W {
        let entry = &mut self.entries[ticket.index as usize];
        debug_assert_eq!(entry.serial, ticket.serial, "an entry of its own");
        let (list, prev, next) = (entry.list, entry.prev, entry.next);
        entry.list = NONE;
        if list < BACK {
            self.unlink_between(prev, next, list);
        } else if list != NONE {
            self.remove_from_heap(ticket.index, list - BACK);
        }
        &mut self.entries[ticket.index as usize].waiter
    }

    #[inline]
    fn unlink_between(&mut self, prev: u32, next: u32, list: u8) {
        let ends = &mut self.lists[list as usize];
        ends.len -= 1;
        match self.entries.get_mut(prev as usize) {
            None => ends.head = next,
            Some(before) => before.next = next,
        }
        match self.entries.get_mut(next as usize) {
            None => ends.tail = prev,
            Some(after) => after.prev = prev,
        }
    }
}

/// Entries that come and go.
impl<W: Default, const LISTS: usize> WaitQueue<W, LISTS> {
    /// A new entry, in no list yet.
    #[inline]
    pub(crate) fn insert(&mut self) -> (Ticket, &mut W) {
        self.serial += 1;
        self.insert_as(self.serial)
    }

    /// A new entry for a party that came before all others, the `nth` such one in this queue: the first of a list.
    pub(crate) fn push_front(&mut self, nth: u64, list: u8) -> (Ticket, &mut W) {
        let (ticket, _) = self.insert_as(MIDDLE - nth);
        self.link_after(NIL, ticket.index, list);
        (ticket, &mut self.entries[ticket.index as usize].waiter)
    }

    /// A new entry, the last of a list.
    #[inline]
    pub(crate) fn push_back(&mut self, list: u8) -> (Ticket, &mut W) {
        let tail = self.lists[list as usize].tail;
        let (ticket, _) = self.insert();
        let ends = &mut self.lists[list as usize];
        ends.tail = ticket.index;
        ends.len += 1;
        match self.entries.get_mut(tail as usize) {
            None => ends.head = ticket.index,
            Some(before) => before.next = ticket.index,
        }
        let entry = &mut self.entries[ticket.index as usize];
        (entry.list, entry.prev, entry.next) = (list, tail, NIL);
        (ticket, &mut entry.waiter)
    }

    #[inline]
    fn insert_as(&mut self, serial: u64) -> (Ticket, &mut W) {
        self.used += 1;
        if self.free == NIL {
            self.grow();
        }
        let index = self.free;
        let entry = &mut self.entries[index as usize];
        self.free = entry.next;
        entry.serial = serial;
        (Ticket { index, serial }, &mut entry.waiter)
    }

    #[cold]
    fn grow(&mut self) {
        self.free = u32::try_from(self.entries.len()).expect("fewer than 2^32 waiters");
        if self.entries.is_empty() {
            self.entries.reserve_exact(1); // Most channels never have more on a side.
        }
        self.entries.push(Entry::free());
    }

    /// Gives an entry up. The caller empties what is left there, but for what it may keep.
    #[inline(always)]
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<&mut W> {
        if !self.contains(ticket) {
            return None;
        }
        self.unlink(ticket);
        self.used -= 1;
        let index = ticket.index as usize;
        if self.used == 0 && self.entries.len() > SMALL {
            return Some(self.shrink(index));
        }
        let entry = &mut self.entries[index];
        entry.serial = 0;
        entry.next = self.free;
        self.free = ticket.index;
        Some(&mut entry.waiter)
    }

    /// Forgets most entries when all are free, and after a burst gives their memory back. The `last` one to leave keeps what is in it.
    #[cold]
    fn shrink(&mut self, mut last: usize) -> &mut W {
        if last >= SMALL {
            self.entries.swap(KEPT as usize, last);
            last = KEPT as usize;
        }
        self.entries.truncate(SMALL);
        if self.entries.capacity() > LARGE {
            self.entries.shrink_to(SMALL);
        }
        self.free = NIL;
        for index in (0..SMALL).rev() {
            let entry = &mut self.entries[index];
            entry.serial = 0;
            entry.next = self.free;
            self.free = index as u32;
        }
        &mut self.entries[last].waiter
    }
}

impl<W: Default> Entry<W> {
    fn free() -> Self {
        Self { serial: 0, list: NONE, prev: NIL, next: NIL, child: NIL, waiter: W::default() }
    }
}

/// The heaps (pairing heaps) of the entries that came back between others.
impl<W, const LISTS: usize> WaitQueue<W, LISTS> {
    #[cold]
    fn push_heap(&mut self, index: u32, list: u8) {
        let entry = &mut self.entries[index as usize];
        (entry.list, entry.prev, entry.next, entry.child) = (list + BACK, NIL, NIL, NIL);
        self.lists[list as usize].len += 1;
        self.lists[list as usize].back = self.merge(self.lists[list as usize].back, index);
    }

    #[cold]
    fn remove_from_heap(&mut self, index: u32, list: u8) {
        self.lists[list as usize].len -= 1;
        let Entry { prev, next, child, .. } = self.entries[index as usize];
        let below = self.combine(child);
        let root = self.lists[list as usize].back;
        self.lists[list as usize].back = if index == root {
            below
        } else {
            if self.entries[prev as usize].child == index {
                self.entries[prev as usize].child = next;
            } else {
                self.entries[prev as usize].next = next;
            }
            if next != NIL {
                self.entries[next as usize].prev = prev;
            }
            self.merge(root, below)
        };
    }

    /// Makes one heap of two: the one with the higher serial on top becomes the first child of the other.
    fn merge(&mut self, a: u32, b: u32) -> u32 {
        if a == NIL || b == NIL {
            return if a == NIL { b } else { a };
        }
        let is_a_first = self.entries[a as usize].serial < self.entries[b as usize].serial;
        let (root, below) = if is_a_first { (a, b) } else { (b, a) };
        let sibling = self.entries[root as usize].child;
        if sibling != NIL {
            self.entries[sibling as usize].prev = below;
        }
        (self.entries[below as usize].prev, self.entries[below as usize].next) = (root, sibling);
        let entry = &mut self.entries[root as usize];
        (entry.prev, entry.next, entry.child) = (NIL, NIL, below);
        root
    }

    /// Makes one heap of siblings: in pairs, then all pairs.
    fn combine(&mut self, first: u32) -> u32 {
        let (mut at, mut pairs) = (first, NIL);
        while at != NIL {
            let second = self.entries[at as usize].next;
            let after = if second == NIL { NIL } else { self.entries[second as usize].next };
            let pair = self.merge(at, second);
            self.entries[pair as usize].next = pairs;
            pairs = pair;
            at = after;
        }
        let mut root = NIL;
        while pairs != NIL {
            let after = self.entries[pairs as usize].next;
            root = self.merge(root, pairs);
            pairs = after;
        }
        if root != NIL {
            (self.entries[root as usize].prev, self.entries[root as usize].next) = (NIL, NIL);
        }
        root
    }
}

#[cfg(all(test, not(any(handover_loom, handover_shuttle))))]
mod tests {
    use super::*;

    fn order(queue: &mut WaitQueue<u32, 2>, list: u8) -> Vec<u32> {
        let mut order = Vec::new();
        while let Some(first) = queue.first(list) {
            order.push(*queue.remove(first).unwrap());
        }
        order
    }

    fn filled(n: u32) -> (WaitQueue<u32, 2>, Vec<Ticket>) {
        let mut queue = WaitQueue::new();
        let tickets = (0..n)
            .map(|waiter| {
                let (ticket, place) = queue.push_back(0);
                *place = waiter;
                ticket
            })
            .collect();
        (queue, tickets)
    }

    #[test]
    fn an_entry_that_leaves_from_the_middle_does_not_change_the_order() {
        for gone in 0..5 {
            let (mut queue, tickets) = filled(5);
            assert_eq!(queue.remove(tickets[gone]).copied(), Some(gone as u32));
            assert_eq!(queue.remove(tickets[gone]), None);
            assert_eq!(queue.len(0), 4);
            let rest: Vec<u32> = (0..5).filter(|&waiter| waiter != gone as u32).collect();
            assert_eq!(order(&mut queue, 0), rest);
        }
    }

    #[test]
    fn an_entry_that_comes_back_stands_where_it_stood() {
        for (first, second) in [(0, 3), (3, 0), (1, 2), (4, 0), (0, 4)] {
            let (mut queue, tickets) = filled(5);
            queue.unlink(tickets[first]);
            queue.unlink(tickets[second]);
            queue.put_back(tickets[first], 0);
            queue.put_back(tickets[second], 0);
            assert_eq!(order(&mut queue, 0), [0, 1, 2, 3, 4]);
        }
    }

    /// Against a sorted list.
    #[test]
    fn random_steps_keep_the_order() {
        let mut seed = 3_u64;
        let mut below = |bound: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % bound
        };
        let mut queue = WaitQueue::<u64, 2>::new();
        let (mut inside, mut outside) = (Vec::<Ticket>::new(), Vec::<Ticket>::new());
        for step in 0..20_000 {
            match below(6) {
                0 | 1 => {
                    let (ticket, place) = queue.push_back(0);
                    *place = step;
                    inside.push(ticket);
                }
                2 | 3 if !inside.is_empty() => {
                    let ticket = inside.swap_remove(below(inside.len()));
                    queue.unlink(ticket);
                    outside.push(ticket);
                }
                4 if !outside.is_empty() => {
                    let ticket = outside.swap_remove(below(outside.len()));
                    queue.put_back(ticket, 0);
                    inside.push(ticket);
                }
                5 if !inside.is_empty() => {
                    let ticket = inside.swap_remove(below(inside.len()));
                    assert!(queue.remove(ticket).is_some());
                }
                _ => {}
            }
            let first = inside.iter().min_by_key(|ticket| ticket.serial).copied();
            assert_eq!(queue.first(0), first);
            assert_eq!(queue.len(0) as usize, inside.len());
            let odd = |waiter: &u64| waiter % 2 == 1;
            let found = queue.find(0, odd);
            let mut odds: Vec<_> = inside.clone();
            odds.retain(|&ticket| queue.get(ticket).is_some_and(|waiter| odd(waiter)));
            assert_eq!(found, odds.into_iter().min_by_key(|ticket| ticket.serial));
        }
    }

    #[test]
    fn an_old_ticket_does_not_fit_a_reused_entry() {
        let (mut queue, tickets) = filled(1);
        queue.remove(tickets[0]);
        let (new, place) = queue.insert();
        *place = 7;
        assert_eq!(new.index, tickets[0].index);
        assert!(!queue.contains(tickets[0]));
        assert_eq!(queue.get(tickets[0]), None);
        assert_eq!(queue.remove(tickets[0]), None);
        assert_eq!(queue.get(new), Some(&mut 7));
    }

    #[test]
    fn memory_shrinks_when_a_burst_has_gone() {
        let (mut queue, tickets) = filled(1000);
        for &ticket in tickets.iter().rev() {
            assert!(queue.entries.capacity() >= 1000);
            queue.remove(ticket);
        }
        assert!(queue.entries.capacity() <= SMALL);
    }

    /// The last one to leave is found by its party, wherever it stood; entries below `KEPT` keep what they have.
    #[test]
    fn what_free_entries_keep_outlives_a_burst() {
        for last in [0, 3, 7, 8, 99] {
            let (mut queue, mut tickets) = filled(100);
            let last = tickets.remove(last);
            for ticket in tickets {
                *queue.remove(ticket).unwrap() += u32::from(ticket.index < KEPT) * 1000;
            }
            assert_eq!(queue.remove(last).copied(), Some(last.index));
            let mut kept: Vec<u32> = queue.all_free().map(|kept| *kept).collect();
            kept.truncate(KEPT as usize);
            let expected = |index| if index == last.index { index } else { index + 1000 };
            assert_eq!(kept, (0..KEPT).map(expected).collect::<Vec<_>>());
            let indices: Vec<u32> = (0..9).map(|_| queue.insert().0.index).collect();
            assert_eq!(indices, (0..9).collect::<Vec<_>>());
        }
    }

    #[test]
    fn lists_are_apart_and_a_pushed_front_comes_first() {
        let (mut queue, tickets) = filled(3);
        queue.unlink(tickets[1]);
        queue.put_back(tickets[1], 1);
        *queue.push_front(1, 0).1 = 3;
        assert_eq!(queue.all().count(), 4);
        assert_eq!(order(&mut queue, 0), [3, 0, 2]);
        assert_eq!(order(&mut queue, 1), [1]);
        assert!(queue.is_empty(0) && queue.is_empty(1));
    }
}
