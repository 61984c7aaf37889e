//! Memory of rings and of tables of talkers: bounded for all of them together, however many NICs there
//! are.

use crate::capture::ring::{RingConfig, page_size};
use crate::talkers::flow_table::bytes_of_flow_tables;
use crate::talkers::table::{TALKERS, bytes_of_tables};

/// Least memory of a ring, as a share of what is configured: by default 512 KiB, room for 1,800
/// packets.
const LEAST: u64 = 32;

/// Fewest pages of a ring, if that many are configured.
const PAGES_MIN: u64 = 8;

/// Share of the second half that each further NIC may take.
const SHARE: u64 = 64;

/// Most memory of the tables of talkers, bytes, also if all NICs are flooded: with what 2,500 NICs take
/// besides, it leaves a third of the unit's `MemoryMax` free.
pub const TALKER_MEMORY: u64 = 256 << 20;

/// Share of the second half that each further NIC may take for its tables: less than for its rings, as
/// a small table still names who has a hundredth of the bytes.
const TALKER_SHARE: u64 = 256;

/// Least room of a table: twice the entries of the longest list.
const ROOM_MIN: usize = 128;

/// Tables of a NIC besides those of its rings' slots: of the sample and of the minute.
const TABLES_OF_NIC: u64 = 2;

/// Room for talkers of each table of a NIC whose rings have so many slots with tables, when `used` of `most`
/// bytes are in use. As with rings, NICs get [`TALKERS`] until half of the memory is in use, and then
/// each takes a 256th of what is left: enough for 500 NICs. `None` if the memory is spent.
#[must_use]
pub fn talkers(slots: usize, used: u64, most: u64) -> Option<usize> {
    let left = most.saturating_sub(used);
    let share = (left / TALKER_SHARE).max(left.saturating_sub(most / 2));
    // A table's memory grows with its room, in steps.
    let (mut room, mut above) = (ROOM_MIN, TALKERS + 1);
    while room + 1 < above {
        let middle = room.midpoint(above);
        if of_talkers(slots, middle) <= share { room = middle } else { above = middle }
    }
    (of_talkers(slots, room) <= left).then_some(room)
}

/// Room for talkers of each of so many NICs, each with so many slots, and its memory in bytes, in the
/// order in which they come; `None` for those that come when it is spent.
#[must_use]
pub fn plan_talkers(slots: usize, nics: usize) -> Vec<Option<(usize, u64)>> {
    let mut used = 0;
    let next = |_| {
        let room = talkers(slots, used, TALKER_MEMORY)?;
        let bytes = of_talkers(slots, room);
        used += bytes;
        Some((room, bytes))
    };
    (0..nics).map(next).collect()
}

/// Most memory of the tables of a NIC whose rings have so many slots with tables, bytes.
#[must_use]
pub fn of_talkers(slots: usize, room: usize) -> u64 {
    bytes_of_flow_tables(room) * slots as u64 + bytes_of_tables(room) * TABLES_OF_NIC
}

/// Geometry of each of a NIC's rings when `used` of `most` bytes are in use.
///
/// NICs get rings as they are configured until half of the memory is in use. The other half is
/// for hosts where hundreds of NICs come, all at once or one by one: each takes a 64th of what is
/// left. `None` if the memory is spent. However small, a ring is cut so that it outlasts a reader
/// that stands still ([`RingConfig::lasting`]).
#[must_use]
pub fn ring(
    config: &RingConfig,
    rings: u16,
    used: u64,
    most: u64,
    page: u32,
) -> Option<RingConfig> {
    let left = most.saturating_sub(used);
    let share = (left / SHARE).max(left.saturating_sub(most / 2));
    let (rings, whole) = (u64::from(rings.max(1)), config.bytes());
    let least = (whole / LEAST).max(PAGES_MIN * u64::from(page)).min(whole);
    let bytes = (share / rings).clamp(least, whole);
    let ring = config.of_bytes(bytes).lasting(page);
    (ring.bytes() * rings <= left).then_some(ring)
}

/// Memory that each of so many NICs gets for its rings, bytes, in the order in which they come;
/// `None` for those that come when it is spent.
#[must_use]
pub fn plan(config: &RingConfig, rings: u16, most: u64, nics: usize) -> Vec<Option<u64>> {
    let (mut used, page) = (0, page_size());
    let next = |_| {
        let bytes = ring(config, rings, used, most, page)?.bytes() * u64::from(rings.max(1));
        used += bytes;
        Some(bytes)
    };
    (0..nics).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::ring::STALL;

    const MIB: u64 = 1 << 20;

    /// Memory of each NIC that comes, until one gets none.
    fn come(rings: u16, most: u64) -> Vec<u64> {
        let nics: Vec<u64> = plan(&RingConfig::default(), rings, most, 1000)
            .into_iter()
            .map_while(|it| it)
            .collect();
        assert!(nics.iter().sum::<u64>() <= most);
        nics
    }

    #[test]
    fn some_nics_get_whole_rings_and_hundreds_get_smaller_ones() {
        let nics = come(1, 512 * MIB);
        assert!(nics.iter().take(16).all(|bytes| *bytes == 16 * MIB));
        assert!(nics.len() > 200, "{}", nics.len());
        assert_eq!(nics[199], MIB / 2);
        assert!(nics.is_sorted_by(|a, b| a >= b), "who comes later gets no more");
    }

    #[test]
    fn all_rings_of_a_nic_count() {
        assert_eq!(come(4, 512 * MIB)[..4], [64 * MIB; 4]);
        assert!(come(4, 512 * MIB)[4] < 64 * MIB);
    }

    /// Room for talkers and memory of each NIC that comes, until one gets none.
    fn talkers_come(slots: usize) -> Vec<(usize, u64)> {
        let nics: Vec<_> = plan_talkers(slots, 3000).into_iter().map_while(|it| it).collect();
        assert!(nics.iter().map(|(_, bytes)| bytes).sum::<u64>() <= TALKER_MEMORY);
        nics
    }

    #[test]
    fn talkers_of_hundreds_of_nics_have_room_in_bounded_memory() {
        // One ring of four slots.
        let nics = talkers_come(4);
        assert!(nics.iter().take(17).all(|(room, _)| *room == TALKERS));
        assert!(nics.is_sorted_by(|a, b| a >= b), "who comes later gets no more");
        assert!(nics[99].0 >= 256 && nics[299].0 >= ROOM_MIN, "{:?} {:?}", nics[99], nics[299]);
        assert!(nics.len() > 500, "{}", nics.len());
        // NICs of 64 rings.
        let large = talkers_come(64 * 4);
        assert!(large[0].0 < TALKERS && large.len() >= 16, "{}", large.len());
        assert_eq!(talkers(4, TALKER_MEMORY, TALKER_MEMORY), None);
    }

    #[test]
    fn little_memory_makes_small_rings_and_none_is_the_end() {
        let nics = come(1, 8 * MIB);
        assert_eq!(nics[0], 4 * MIB, "half of it");
        assert!(nics.len() > 8);
        assert!(come(1, 0).is_empty());
        let tiny = RingConfig { block_count: 4, ..RingConfig::default() };
        let ring = ring(&tiny, 1, 0, MIB, 4096).unwrap();
        assert_eq!(ring.bytes(), tiny.bytes(), "no more than is configured");
    }

    #[test]
    fn every_ring_outlasts_a_reader_that_stands_still() {
        for used in [0, 255, 300, 500].map(|used| used * MIB) {
            let ring = ring(&RingConfig::default(), 1, used, 512 * MIB, 4096).unwrap();
            assert!(ring.lasts() >= STALL, "{ring:?}");
        }
    }
}
