//! Memory of the rings: bounded for all of them together, however many NICs there are.

use crate::capture::ring::RingConfig;

/// Fewest blocks of a ring: below that, a reader that isn't scheduled for some 30 ms loses
/// packets.
const BLOCKS_MIN: u32 = 8;

/// Of the half that is spared, each further NIC may take this share.
const SHARE: u64 = 64;

/// Memory of one ring, bytes.
#[must_use]
pub fn ring_bytes(ring: &RingConfig) -> u64 {
    u64::from(ring.block_size) * u64::from(ring.block_count)
}

/// The number of blocks for each of a NIC's rings, where `used` of `most` bytes are in use.
///
/// NICs get rings as they are configured until half of the memory is in use. The other half is
/// for hosts where hundreds of NICs come, all at once or one by one: each takes a 64th of what is
/// left. `None` if the memory is spent.
#[must_use]
pub fn blocks(ring: &RingConfig, rings: u16, used: u64, most: u64) -> Option<u32> {
    let left = most.saturating_sub(used);
    let share = (left / SHARE).max(left.saturating_sub(most / 2));
    let block = u64::from(ring.block_size) * u64::from(rings.max(1));
    let fewest = BLOCKS_MIN.min(ring.block_count);
    let blocks = share.checked_div(block)?.clamp(fewest.into(), ring.block_count.into());
    (blocks * block <= left).then(|| u32::try_from(blocks).unwrap_or(ring.block_count))
}

/// Memory that each of so many NICs gets for its rings, bytes, in the order in which they come;
/// `None` for those that come when it is spent.
#[must_use]
pub fn plan(ring: &RingConfig, rings: u16, most: u64, nics: usize) -> Vec<Option<u64>> {
    let mut used = 0;
    let next = |_| {
        let block_count = blocks(ring, rings, used, most)?;
        let bytes = ring_bytes(&RingConfig { block_count, ..*ring }) * u64::from(rings.max(1));
        used += bytes;
        Some(bytes)
    };
    (0..nics).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(blocks(&tiny, 1, 0, MIB), Some(4), "no more than is configured");
    }
}
