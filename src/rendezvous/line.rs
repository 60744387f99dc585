//! Who waits, in the order in which they came: a slab of entries that is reused, strung into lists.
//!
//! An entry is in one list or in none (`OUT`). Whoever holds its ticket finds it in one step, and it leaves in one step, wherever
//! it stands. Pure bookkeeping: no locks, no wakers.

/// No entry.
const NIL: u32 = u32::MAX;
/// Serials count up from here; those of who had a turn before, down.
const MIDDLE: u64 = 1 << 63;
/// The list of entries that are in none.
const OUT: u8 = u8::MAX;
/// An empty slab gives back what it holds for more entries than this.
const LARGE: usize = 64;
/// What an empty slab keeps.
const SMALL: usize = 8;

/// An entry that belongs to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) index: u32,
    /// Who came first has the lower one. No two entries of a line ever have the same.
    pub(super) serial: u64,
}

#[derive(Debug)]
struct Entry<W> {
    /// Of the ticket; 0 in a free entry.
    serial: u64,
    list: u8,
    prev: u32,
    /// Also the next free one.
    next: u32,
    waiter: Option<W>,
}

#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
    len: u32,
}

impl List {
    const EMPTY: Self = Self { head: NIL, tail: NIL, len: 0 };
}

// In this order: what changes rarely first.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Line<W, const LISTS: usize> {
    entries: Vec<Entry<W>>,
    serial: u64,
    free: u32,
    used: u32,
    lists: [List; LISTS],
}

impl<W, const LISTS: usize> Line<W, LISTS> {
    pub(super) const fn new() -> Self {
        let lists = [List::EMPTY; LISTS];
        Self { entries: Vec::new(), serial: MIDDLE, free: NIL, used: 0, lists }
    }

    /// How many stand in a list.
    #[inline]
    pub(super) fn len(&self, list: u8) -> u32 {
        self.lists[list as usize].len
    }

    #[inline]
    pub(super) fn is_empty(&self, list: u8) -> bool {
        self.lists[list as usize].len == 0
    }

    /// Who stands first in a list.
    #[inline]
    pub(super) fn first(&self, list: u8) -> Option<Ticket> {
        let index = self.lists[list as usize].head;
        (index != NIL).then(|| Ticket { index, serial: self.entries[index as usize].serial })
    }

    /// Who stands behind a waiter that is in a list.
    pub(super) fn next(&self, ticket: Ticket) -> Option<Ticket> {
        let index = self.entries[ticket.index as usize].next;
        (index != NIL).then(|| Ticket { index, serial: self.entries[index as usize].serial })
    }

    /// Those that stand in a list, in order.
    pub(super) fn iter(&self, list: u8) -> impl Iterator<Item = (Ticket, &W)> {
        std::iter::successors(self.first(list), |&ticket| self.next(ticket)).filter_map(|ticket| {
            Some((ticket, self.entries[ticket.index as usize].waiter.as_ref()?))
        })
    }

    /// The waiter of a ticket, if it still stands here.
    #[inline]
    pub(super) fn get(&mut self, ticket: Ticket) -> Option<&mut W> {
        let entry = self.entries.get_mut(ticket.index as usize)?;
        if entry.serial == ticket.serial { entry.waiter.as_mut() } else { None }
    }

    #[inline]
    pub(super) fn contains(&self, ticket: Ticket) -> bool {
        self.entries.get(ticket.index as usize).is_some_and(|entry| entry.serial == ticket.serial)
    }

    /// Every waiter, in no order.
    pub(super) fn all(&mut self) -> impl Iterator<Item = (Ticket, &mut W)> {
        self.entries.iter_mut().zip(0..).filter_map(|(entry, index)| {
            let ticket = Ticket { index, serial: entry.serial };
            entry.waiter.as_mut().map(|waiter| (ticket, waiter))
        })
    }

    /// A new entry, in no list yet.
    #[inline]
    pub(super) fn enter(&mut self, waiter: W) -> Ticket {
        self.serial += 1;
        self.enter_as(waiter, self.serial)
    }

    /// A new entry for one that came before all others, the `nth` such one in this line; in no list yet.
    pub(super) fn enter_first(&mut self, waiter: W, nth: u64) -> Ticket {
        self.enter_as(waiter, MIDDLE - nth)
    }

    #[inline]
    fn enter_as(&mut self, waiter: W, serial: u64) -> Ticket {
        let entry = Entry { serial, list: OUT, prev: NIL, next: NIL, waiter: Some(waiter) };
        self.used += 1;
        let index = self.free;
        if index == NIL {
            let index = u32::try_from(self.entries.len()).expect("fewer than 2^32 waiters");
            self.entries.push(entry);
            Ticket { index, serial }
        } else {
            self.free = self.entries[index as usize].next;
            self.entries[index as usize] = entry;
            Ticket { index, serial }
        }
    }

    /// Puts an entry that is in no list behind all of a list.
    #[inline]
    pub(super) fn append(&mut self, ticket: Ticket, list: u8) {
        self.insert_after(self.lists[list as usize].tail, ticket.index, list);
    }

    /// Puts an entry that is in no list before all of a list.
    #[inline]
    pub(super) fn prepend(&mut self, ticket: Ticket, list: u8) {
        self.insert_after(NIL, ticket.index, list);
    }

    /// Puts an entry that is in no list before all who came later. Costs as many steps as came earlier.
    pub(super) fn insert(&mut self, ticket: Ticket, list: u8) {
        let mut before = NIL;
        let mut next = self.lists[list as usize].head;
        while next != NIL && self.entries[next as usize].serial < ticket.serial {
            before = next;
            next = self.entries[next as usize].next;
        }
        self.insert_after(before, ticket.index, list);
    }

    #[inline]
    fn insert_after(&mut self, prev: u32, index: u32, list: u8) {
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
        debug_assert_eq!(entry.list, OUT, "an entry stands in one list");
        (entry.list, entry.prev, entry.next) = (list, prev, next);
    }

    pub(super) fn is_in_list(&self, ticket: Ticket) -> bool {
        self.contains(ticket) && self.entries[ticket.index as usize].list != OUT
    }

    /// Takes an entry out of its list, if it is in one; it stays an entry.
    #[inline]
    pub(super) fn step_out(&mut self, ticket: Ticket) {
        let entry = &mut self.entries[ticket.index as usize];
        debug_assert_eq!(entry.serial, ticket.serial, "an entry of its own");
        let (list, prev, next) = (entry.list, entry.prev, entry.next);
        if list == OUT {
            return;
        }
        entry.list = OUT;
        let ends = &mut self.lists[list as usize];
        ends.len -= 1;
        if prev == NIL {
            ends.head = next;
        } else {
            self.entries[prev as usize].next = next;
        }
        if next == NIL {
            ends.tail = prev;
        } else {
            self.entries[next as usize].prev = prev;
        }
    }

    /// Gives an entry up.
    #[inline]
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<W> {
        if !self.contains(ticket) {
            return None;
        }
        self.step_out(ticket);
        let entry = &mut self.entries[ticket.index as usize];
        let waiter = entry.waiter.take();
        entry.serial = 0;
        entry.next = self.free;
        self.free = ticket.index;
        self.used -= 1;
        if self.used == 0 && self.entries.len() > SMALL {
            self.shrink();
        }
        waiter
    }

    /// Everybody is gone: forgets the entries, and after a burst gives their memory back.
    #[cold]
    fn shrink(&mut self) {
        self.entries.clear();
        self.free = NIL;
        if self.entries.capacity() > LARGE {
            self.entries.shrink_to(SMALL);
        }
    }
}

#[cfg(all(test, not(handover_loom)))]
mod tests {
    use super::*;

    fn order(line: &mut Line<u32, 2>, list: u8) -> Vec<u32> {
        let mut order = Vec::new();
        while let Some(first) = line.first(list) {
            order.push(line.leave(first).unwrap());
        }
        order
    }

    fn filled(n: u32) -> (Line<u32, 2>, Vec<Ticket>) {
        let mut line = Line::new();
        let tickets = (0..n)
            .map(|waiter| {
                let ticket = line.enter(waiter);
                line.append(ticket, 0);
                ticket
            })
            .collect();
        (line, tickets)
    }

    #[test]
    fn who_leaves_from_the_middle_does_not_change_the_order() {
        for gone in 0..5 {
            let (mut line, tickets) = filled(5);
            assert_eq!(line.leave(tickets[gone]), Some(gone as u32));
            assert_eq!(line.leave(tickets[gone]), None);
            assert_eq!(line.len(0), 4);
            let rest: Vec<u32> = (0..5).filter(|&waiter| waiter != gone as u32).collect();
            assert_eq!(order(&mut line, 0), rest);
        }
    }

    #[test]
    fn who_comes_back_stands_where_it_stood() {
        for (first, second) in [(0, 3), (3, 0), (1, 2), (4, 0), (0, 4)] {
            let (mut line, tickets) = filled(5);
            line.step_out(tickets[first]);
            line.step_out(tickets[second]);
            line.insert(tickets[first], 0);
            line.insert(tickets[second], 0);
            assert_eq!(order(&mut line, 0), [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn an_old_ticket_does_not_fit_a_reused_entry() {
        let (mut line, tickets) = filled(1);
        line.leave(tickets[0]);
        let new = line.enter(7);
        assert_eq!(new.index, tickets[0].index);
        assert!(!line.contains(tickets[0]));
        assert_eq!(line.get(tickets[0]), None);
        assert_eq!(line.leave(tickets[0]), None);
        assert_eq!(line.get(new), Some(&mut 7));
    }

    #[test]
    fn memory_shrinks_when_a_burst_has_gone() {
        let (mut line, tickets) = filled(1000);
        for &ticket in tickets.iter().rev() {
            assert!(line.entries.capacity() >= 1000);
            line.leave(ticket);
        }
        assert!(line.entries.capacity() <= SMALL);
    }

    #[test]
    fn lists_are_apart_and_prepending_comes_first() {
        let (mut line, tickets) = filled(3);
        line.step_out(tickets[1]);
        line.append(tickets[1], 1);
        line.step_out(tickets[2]);
        line.prepend(tickets[2], 0);
        assert_eq!(line.all().count(), 3);
        assert_eq!(order(&mut line, 0), [2, 0]);
        assert_eq!(order(&mut line, 1), [1]);
        assert!(line.is_empty(0) && line.is_empty(1));
    }
}
