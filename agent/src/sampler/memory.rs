//! Memory of the rings: bounded for all of them together, however many NICs there are.

use crate::capture::ring::{RingConfig, page_size};

/// Least memory of a ring, as a share of what is configured: by default 512 KiB, room for 1,800
/// packets.
const LEAST: u64 = 32;

/// Fewest pages of a ring, if that many are configured.
const PAGES_MIN: u64 = 8;

/// Share of the second half that each further NIC may take.
const SHARE: u64 = 64;

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
