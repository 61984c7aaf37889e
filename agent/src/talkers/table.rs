//! The table of one direction: which talkers have the most bytes, in bounded memory and time.
//!
//! Misra-Gries, purged of the half with the least (Anderson et al., "A High-Performance Algorithm for
//! Identifying Frequent Items in Data Streams", 2017, as in Apache DataSketches). A talker enters with
//! the table's *offset* as its error: so much may it have had before. When the table is full, the offset
//! rises to the median of all upper bounds (bytes and error), and whoever has no more than that leaves.
//! So, at any time:
//! - the true bytes of a talker in the table are at least its bytes and at most its error more;
//! - those of any other talker are at most the offset;
//! - with N bytes in all and room for C talkers, the offset is at most 2 N / C: each rise takes as much
//!   from at least half of the C upper bounds, of which the sum is at most N.
//!
//! The crate `datasketches` has the same bounds and needs twice the time (`bench talkers`).
//!
//! Others choose the keys. The hash is keyed and universal, so that nobody can make talkers collide; a
//! search ends after 64 places all the same, and what finds no place by then is in no table.

mod entry;
mod index;

use wire::{Bytes, Packets};

pub use self::entry::TalkerEntry;
use self::index::{EMPTY, PROBES, low, number, place, value};
use super::distinct::Distinct;
use super::key::KeyedFlow;
pub use super::seed::Seed;

/// Room for talkers of a table, if memory allows; with fewer, everything is exact. Entries take 384 KiB.
pub const TALKERS: usize = 6144;

/// Times that a table is emptied before it gives the allocator back what it didn't need: half a minute, if
/// of samples. How much of that the system gets is the allocator's affair.
const KEPT: u32 = 16;

/// Fewest places of the index.
const PLACES_MIN: usize = 64;

/// Places of the index per talker while it may grow: nearly all talkers are in the first place of their
/// search.
const SPARSE: usize = 16;

/// Places of the index per talker of a full table, at least. The cache has room for them.
const SPARSE_FULL: usize = 4;

/// The talkers received and transmitted.
pub type TalkerTables = [TalkerTable; 2];

/// Borrowed [`TalkerTables`].
pub type TalkerTablesRef<'a> = [&'a TalkerTable; 2];

/// Empty tables of both directions, each with room for so many talkers.
#[must_use]
pub fn tables(seed: Seed, talkers: usize) -> TalkerTables {
    [TalkerTable::with_room(seed, talkers), TalkerTable::with_room(seed, talkers)]
}

/// Most memory that the tables of both directions take, bytes, with room for so many talkers each.
#[must_use]
pub const fn bytes_of_tables(talkers: usize) -> u64 {
    2 * bytes_of_table(talkers) as u64
}

/// Most memory that a table takes, bytes, with room for so many talkers.
pub(super) const fn bytes_of_table(talkers: usize) -> usize {
    let room = TalkerTable::room_for(talkers);
    let each = size_of::<TalkerEntry>() + size_of::<u64>();
    let places = TalkerTable::places(room) * size_of::<u16>();
    room * each + places + Distinct::BYTES + size_of::<TalkerTable>()
}

/// Where the talker of a flow is.
#[derive(Debug)]
enum Found {
    /// The number of its entry.
    Entry(usize),
    /// It has none yet.
    Vacancy(Vacancy),
    /// It has none, and would find no place.
    Nothing,
}

/// The first free place of a search.
#[derive(Debug)]
struct Vacancy {
    hash: u64,
    at: usize,
}

/// The talkers of one direction.
#[derive(Debug)]
pub struct TalkerTable {
    seed: Seed,
    /// Open addressing with linear probing; at most a quarter full. A place holds the number of its entry,
    /// from 1.
    index: Vec<u16>,
    /// Most talkers.
    room: usize,
    /// Reserved for all of them; the system gives pages as they are written.
    entries: Vec<TalkerEntry>,
    offset: u64,
    distinct: Distinct,
    /// A talker found no place.
    crowded: bool,
    /// What is counted but in no entry: of talkers that have left.
    left: (Bytes, Packets),
    /// For the median.
    uppers: Vec<u64>,
    /// Most entries since its memory was reserved, and in the last times that it was emptied.
    most: usize,
    most_lately: usize,
    /// How many times that are.
    emptied: u32,
}

impl TalkerTable {
    /// An empty table with room for [`TALKERS`].
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self::with_room(seed, TALKERS)
    }

    pub(super) const fn room_for(talkers: usize) -> usize {
        match talkers {
            ..2 => 2,
            2..16_384 => talkers,
            _ => 16_384,
        }
    }

    /// Most places of the index.
    const fn places(room: usize) -> usize {
        let places = (SPARSE_FULL * room).next_power_of_two();
        if places < PLACES_MIN { PLACES_MIN } else { places }
    }

    /// An empty table with room for so many talkers, 2 to 16,384.
    #[must_use]
    pub fn with_room(seed: Seed, talkers: usize) -> Self {
        let room = Self::room_for(talkers);
        let mut index = Vec::with_capacity(Self::places(room));
        index.resize(PLACES_MIN, EMPTY);
        Self {
            seed,
            index,
            room,
            entries: Vec::with_capacity(room),
            offset: 0,
            distinct: Distinct::default(),
            crowded: false,
            left: (Bytes(0), Packets(0)),
            uppers: Vec::with_capacity(room),
            most: 0,
            most_lately: 0,
            emptied: 0,
        }
    }

    /// True if nothing was counted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.left.1.get() == 0
    }

    /// The talkers in it, in no order.
    #[must_use]
    pub fn entries(&self) -> &[TalkerEntry] {
        &self.entries
    }

    /// The talkers in it, by the numbers of their entries.
    pub(super) fn entries_mut(&mut self) -> &mut [TalkerEntry] {
        &mut self.entries
    }

    /// The true bytes of a talker that isn't in it are at most this.
    #[must_use]
    pub const fn offset(&self) -> Bytes {
        Bytes(self.offset)
    }

    /// Bytes and packets of all that was counted, also of talkers that have left.
    #[must_use]
    pub fn total(&self) -> (Bytes, Packets) {
        self.entries.iter().fold(self.left, plus)
    }

    /// Number of different talkers, and the standard error of it: none while all are in the table.
    #[must_use]
    pub fn distinct(&self) -> (u64, u64) {
        let known = self.entries.len() as u64;
        if self.offset == 0 && !self.crowded {
            return (known, 0);
        }
        let estimate = self.distinct.estimate().max(known);
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate, not negative"
        )]
        let error = (estimate as f64 * Distinct::ERROR).ceil() as u64;
        (estimate, error)
    }

    /// Counts bytes and packets, at least one, of a flow.
    #[inline]
    pub fn add(&mut self, flow: &KeyedFlow, bytes: Bytes, packets: Packets) {
        self.add_numbered(flow, bytes, packets, |_| ());
    }

    /// Counts bytes and packets, at least one, of a flow. Returns the number of its talker's entry, `None`
    /// if it found no place. Numbers stay until `before_renumbering` is called.
    #[inline(always)]
    pub(super) fn add_numbered(
        &mut self,
        flow: &KeyedFlow,
        bytes: Bytes,
        packets: Packets,
        before_renumbering: impl FnOnce(&mut [TalkerEntry]),
    ) -> Option<usize> {
        let number = self.number_of(flow, before_renumbering)?;
        if let Some(entry) = self.entries.get_mut(number) {
            entry.count(flow, bytes, packets);
        }
        Some(number)
    }

    /// Adds another table. Both bounds of each talker add up.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        // Whoever isn't in the other table may have had its offset there.
        for entry in &mut self.entries {
            entry.error += other.offset;
        }
        self.offset += other.offset;
        for theirs in &other.entries {
            let number = self.number_of(&theirs.flow, |_| ());
            let Some(entry) = number.and_then(|number| self.entries.get_mut(number)) else {
                // It stays outside, with all that it may have had here and there.
                let upper = self.offset - other.offset + theirs.upper().get();
                self.offset = self.offset.max(upper);
                self.left = plus(self.left, theirs);
                continue;
            };
            // Its bounds there are known better.
            entry.error -= other.offset - theirs.error;
            entry.merge(theirs);
        }
        self.distinct.merge(&other.distinct);
        self.crowded |= other.crowded;
        self.left = (self.left.0 + other.left.0, self.left.1 + other.left.1);
    }

    /// Room for talkers.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.room
    }

    /// Forgets everything. Gives back memory that was written to if less than a quarter of it has been
    /// needed lately.
    pub fn clear(&mut self) {
        self.empty();
    }

    /// [`TalkerTable::clear`]; true if it gave back memory.
    pub(super) fn empty(&mut self) -> bool {
        self.most_lately =
            self.most_lately.max(if self.offset > 0 { self.room } else { self.entries.len() });
        self.most = self.most.max(self.most_lately);
        self.emptied += 1;
        if self.emptied >= KEPT {
            if 4 * self.most_lately < self.most {
                *self = Self::with_room(self.seed, self.room);
                return true;
            }
            (self.most_lately, self.emptied) = (0, 0);
        }
        if self.is_empty() {
            return false;
        }
        // It stays as large as it was: nothing needs to grow anew.
        self.index.fill(EMPTY);
        self.entries.clear();
        self.distinct.clear();
        (self.offset, self.crowded) = (0, false);
        self.left = (Bytes(0), Packets(0));
        false
    }

    /// The number of the entry with the key of a flow, made if there is none. `None` if it finds no
    /// place.
    #[inline(always)]
    fn number_of(
        &mut self,
        flow: &KeyedFlow,
        before_renumbering: impl FnOnce(&mut [TalkerEntry]),
    ) -> Option<usize> {
        match self.find(flow) {
            Found::Entry(number) => Some(number),
            Found::Vacancy(vacancy) => {
                if self.renumbers() {
                    before_renumbering(&mut self.entries);
                }
                self.insert(flow, &vacancy)
            }
            Found::Nothing => None,
        }
    }

    /// The entry with the key of a flow. Nearly always it is in the first place of the search.
    #[inline(always)]
    fn find(&mut self, flow: &KeyedFlow) -> Found {
        let hash = self.seed.hash(flow);
        let mask = self.index.len() - 1;
        for probe in 0..PROBES {
            let at = low(hash).wrapping_add(probe) & mask;
            let place = self.index[at];
            if place == EMPTY {
                return Found::Vacancy(Vacancy { hash, at });
            }
            let number = number(place);
            if self.entries.get(number).is_some_and(|entry| entry.flow.has_key_of(flow)) {
                return Found::Entry(number);
            }
        }
        self.crowded = true;
        Found::Nothing
    }

    /// True if the next talker changes the numbers of entries.
    #[inline]
    const fn renumbers(&self) -> bool {
        let grows = SPARSE * (self.entries.len() + 1) > self.index.len()
            && 2 * self.index.len() <= self.index.capacity();
        self.entries.len() == self.room || grows
    }

    /// Makes an entry for a new talker, and returns its number. `None` if it finds no place.
    fn insert(&mut self, flow: &KeyedFlow, vacancy: &Vacancy) -> Option<usize> {
        let Vacancy { hash, at } = *vacancy;
        self.distinct.add(hash);
        if self.renumbers() {
            return self.insert_anew(flow, hash);
        }
        let number = self.entries.len();
        self.index[at] = value(number);
        self.push(flow);
        Some(number)
    }

    /// Makes an entry for a new talker, and room for it before.
    #[cold]
    fn insert_anew(&mut self, flow: &KeyedFlow, hash: u64) -> Option<usize> {
        if self.entries.len() == self.room {
            self.purge();
        } else {
            self.index.resize(2 * self.index.len(), EMPTY);
            self.reindex();
        }
        let number = self.entries.len();
        if !place(&mut self.index, hash, number) {
            self.crowded = true;
            return None;
        }
        self.push(flow);
        Some(number)
    }

    #[inline]
    fn push(&mut self, flow: &KeyedFlow) {
        self.entries.push(TalkerEntry::new(flow, self.offset));
    }

    /// Lets at least half of the talkers leave: those with the least.
    fn purge(&mut self) {
        self.uppers.clear();
        self.uppers.extend(self.entries.iter().map(|entry| entry.upper().get()));
        let middle = self.uppers.len() / 2;
        let (_, median, _) = self.uppers.select_nth_unstable(middle);
        self.offset = self.offset.max(*median);
        let Self { entries, offset, left, .. } = self;
        entries.retain(|entry| {
            let stays = entry.upper().get() > *offset;
            if !stays {
                *left = plus(*left, entry);
            }
            stays
        });
        self.reindex();
    }

    /// Makes the index anew. An entry without a place leaves; the bytes that it had stay counted.
    fn reindex(&mut self) {
        self.index.fill(EMPTY);
        let Self { seed, index, entries, offset, crowded, left, .. } = self;
        let mut number = 0;
        entries.retain(|entry| {
            let placed = place(index, seed.hash(&entry.flow), number);
            number += usize::from(placed);
            if !placed {
                (*offset, *crowded) = ((*offset).max(entry.upper().get()), true);
                *left = plus(*left, entry);
            }
            placed
        });
    }
}

/// Sums with those of an entry.
fn plus((bytes, packets): (Bytes, Packets), entry: &TalkerEntry) -> (Bytes, Packets) {
    (bytes + entry.bytes(), packets + entry.packets())
}

#[cfg(test)]
mod tests;
