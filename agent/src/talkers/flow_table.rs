//! The table of one direction as a reader counts into it: the talkers' table behind places for flows.
//!
//! Most packets are of a flow that came lately. Such a packet is counted at the place of its flow, which is
//! found by what stands in its headers, without the key of its talker. The sums of a place go to its talker
//! when another flow takes the place, before entries get other numbers, and when the table is read
//! ([`FlowTable::settled`]). By then each packet is in the table once. A flow keeps its talker until then, also
//! if the addresses of this host change meanwhile. While most packets miss the places, they bypass them.

mod places;

use wire::{Bytes, Packets};

use self::places::FlowPlaces;
pub use self::places::Ipv4Flow;
use super::key::KeyedFlow;
use super::seed::Seed;
use super::table::{TalkerTable, bytes_of_tables};

/// The tables of a reader, of what it received and transmitted.
pub type FlowTables = [FlowTable; 2];

/// Empty tables of both directions, each with room for so many talkers.
#[must_use]
pub fn flow_tables(seed: Seed, talkers: usize) -> FlowTables {
    [FlowTable::with_room(seed, talkers), FlowTable::with_room(seed, talkers)]
}

/// Most memory that the tables of both directions take, bytes, with room for so many talkers each.
#[must_use]
pub const fn bytes_of_flow_tables(talkers: usize) -> u64 {
    let places = FlowPlaces::bytes(FlowTable::places_for(talkers));
    let besides = places + size_of::<FlowTable>() - size_of::<TalkerTable>();
    bytes_of_tables(talkers) + 2 * besides as u64
}

/// The talkers of one direction, and the places of flows.
#[derive(Debug)]
pub struct FlowTable {
    places: FlowPlaces,
    table: TalkerTable,
}

impl FlowTable {
    /// An empty table with room for so many talkers, 2 to 16,384.
    #[must_use]
    pub fn with_room(seed: Seed, talkers: usize) -> Self {
        let table = TalkerTable::with_room(seed, talkers);
        Self { places: FlowPlaces::new(Self::places_for(talkers)), table }
    }

    /// Most places of flows: for each second talker, or up to twice as many. They take 128 KiB if memory
    /// allows.
    const fn places_for(talkers: usize) -> usize {
        let places = (2 * TalkerTable::room_for(talkers)).next_power_of_two() / 4;
        if places < FlowPlaces::FEWEST { FlowPlaces::FEWEST } else { places }
    }

    /// Counts a packet of a flow that has a place. False if it has none.
    #[inline(always)]
    pub fn add_known(&mut self, flow: Ipv4Flow, bytes: Bytes) -> bool {
        self.places.add(flow, bytes)
    }

    /// Counts a packet of a flow that has no place. It may get one.
    #[inline(always)]
    pub fn add_new(&mut self, flow: Ipv4Flow, keyed: &KeyedFlow, bytes: Bytes) {
        let Some(number) = self.add_numbered(keyed, bytes, Packets(1)) else { return };
        self.places.offer(flow, number, self.table.entries_mut());
    }

    /// Counts bytes and packets, at least one, of any flow.
    pub fn add(&mut self, keyed: &KeyedFlow, bytes: Bytes, packets: Packets) {
        self.add_numbered(keyed, bytes, packets);
    }

    /// Counts, and returns the number of the talker's entry. `None` if it found no place in the table.
    #[inline(always)]
    fn add_numbered(&mut self, keyed: &KeyedFlow, bytes: Bytes, packets: Packets) -> Option<usize> {
        let Self { places, table } = self;
        table.add_numbered(keyed, bytes, packets, |entries| places.settle(entries))
    }

    /// The table, with all that was counted.
    pub fn settled(&mut self) -> &TalkerTable {
        self.places.settle(self.table.entries_mut());
        &self.table
    }

    /// Forgets everything. Gives back memory as [`TalkerTable::clear`] does.
    pub fn clear(&mut self) {
        self.places.clear();
        if self.table.empty() {
            self.places.shrink();
        }
    }
}

#[cfg(test)]
mod tests;
