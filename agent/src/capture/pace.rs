//! How a reader waits. Under load it lets packets gather, so that it rarely wakes; at low rates each
//! block wakes it.

use std::time::Duration;

/// Longest time for packets to gather.
pub const PAUSE_MAX: Duration = Duration::from_millis(10);

/// Below this rate, blocks come by their timeout, rarely enough.
const PER_SECOND_MIN: u32 = 8_000;

/// At most 1/SHARE of the ring may fill during a pause; the rest is reserve for faster traffic.
const SHARE: u32 = 16;

/// What the reader took since its last look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Blocks.
    pub blocks: u32,
    /// Packets in them.
    pub packets: u32,
    /// Time since the last look.
    pub within: Duration,
}

/// How long to let packets gather in a ring of `blocks` blocks before the next look. `None`: the next
/// block wakes the reader.
#[must_use]
pub fn pause(gathered: Gathered, blocks: u32) -> Option<Duration> {
    let Gathered { blocks: read, packets, within } = gathered;
    let share = blocks / SHARE;
    let load = Duration::from_secs(packets.into()) >= within.saturating_mul(PER_SECOND_MIN);
    if !load || share == 0 || read == 0 {
        return None;
    }
    Some((within * share / read).min(PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: u32 = 256;

    fn after(blocks: u32, packets: u32, ms: u64) -> Option<Duration> {
        pause(Gathered { blocks, packets, within: Duration::from_millis(ms) }, RING)
    }

    #[test]
    fn what_seldom_comes_wakes_the_reader() {
        assert_eq!(after(0, 0, 100), None);
        assert_eq!(after(1, 31, 4), None);
        assert_eq!(after(20, 700, 100), None, "a burst after a silence");
    }

    #[test]
    fn under_load_no_more_than_a_share_of_the_ring_fills() {
        assert_eq!(after(1, 32, 4), Some(PAUSE_MAX));
        assert_eq!(after(8, 3000, 2), Some(Duration::from_millis(4)), "16 blocks at 4 per ms");
        assert_eq!(after(160, 60_000, 2), Some(Duration::from_micros(200)));
    }

    #[test]
    fn a_small_ring_is_read_as_its_blocks_come() {
        let gathered = Gathered { blocks: 3, packets: 900, within: Duration::from_millis(1) };
        assert_eq!(pause(gathered, 8), None);
    }
}
