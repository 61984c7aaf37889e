//! Geometry of a ring: how its memory is divided into blocks, and which stalls of its reader it
//! survives.
//!
//! The kernel hands a block over when the next packet doesn't fit, or when the retire timeout ends and
//! the block holds at least one packet. (Up to Linux 6.17 each block starts a new timeout; later
//! kernels run it at fixed times.) So a reader that stalls for a time T loses nothing, whatever the
//! pattern of arrivals, as long as
//!
//! ```text
//! T / retire  +  packets / packets per block  <=  blocks - 1
//! ```
//!
//! The number of blocks separates two properties at the same memory: how long samples wait for the
//! kernel (the retire timeout), and how long a stall the ring survives.

use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use super::super::fields::ethernet;
use super::abi::block::DESCRIPTOR;
use super::abi::{PLACE_ALIGNMENT, before_packet};

/// Longest stall of a reader that a ring must survive. At least half of the blocks, less one, are left
/// for packets then.
pub const STALL: Duration = Duration::from_secs(5);

/// Shortest time that the blocks of a ring must last by the retire timeout alone, milliseconds.
const LASTS_MS: u32 = 10_000;

/// The steps to make a ring last long enough: split blocks down to a size in bytes, and raise the
/// retire timeout to a number of milliseconds.
///
/// Down to 8 KiB a packet costs the same (`bench capture`); 4 KiB is the smallest page. The first
/// timeout is the default. The last one suffices for rings of 80 blocks, 320 KiB, and is a fifth of the
/// time during which samples of 10 ms stay open.
const MEASURES: [(u32, u32); 2] = [(8 << 10, 12), (4 << 10, 125)];

/// Bytes before the captured bytes of an Ethernet packet.
const BEFORE_PACKET: u32 = 92;
const _: () = assert!(before_packet(ethernet::HEADER_LEN) == BEFORE_PACKET as usize);

/// Geometry of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingConfig {
    /// Bytes per block, a multiple of the page size.
    pub block_size: u32,
    /// Number of blocks; two blocks lose packets under load.
    pub block_count: u32,
    /// Milliseconds after which the kernel hands over a block that isn't full.
    pub retire_ms: u32,
    /// Bytes captured per packet: counting needs only headers.
    pub snaplen: u32,
    /// Ask the kernel for each packet's virtio header, which describes super-packets.
    pub vnet_header: bool,
    /// Also receive packets for other hosts.
    pub promiscuous: bool,
    /// Share the NIC's packets with every other ring of the same `PACKET_FANOUT` group, by flow.
    pub fanout: Option<u16>,
}

impl Default for RingConfig {
    /// 16 MiB per NIC: room for 57,000 packets of any length, 45,000 during a stall of 5 s, and 24 s of
    /// nearly empty blocks. The snaplen holds the headers of TCP in VXLAN over IPv6, with tags outside
    /// and inside.
    fn default() -> Self {
        Self {
            block_size: 8 << 10,
            block_count: 2048,
            retire_ms: 12,
            snaplen: 192,
            vnet_header: true,
            promiscuous: false,
            fanout: None,
        }
    }
}

impl RingConfig {
    /// Frame size for the kernel. V3 only checks it.
    pub(super) const FRAME_SIZE: u32 = 2048;

    /// Memory of the ring, bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::from(self.block_size) * u64::from(self.block_count)
    }

    /// The longest stall it survives if each block is handed over nearly empty.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        let blocks = self.block_count.saturating_sub(1);
        Duration::from_millis(u64::from(blocks) * u64::from(self.retire_ms))
    }

    /// Number of packets of `len` bytes, from the MAC header on, that fit while the reader stalls.
    #[must_use]
    pub fn room(&self, len: u32, stall: Duration) -> u64 {
        let place = (BEFORE_PACKET + len.min(self.snaplen)).next_multiple_of(PLACE_ALIGNMENT);
        let in_block = u64::from(self.block_size.saturating_sub(DESCRIPTOR) / place);
        let by_time = stall.as_millis().div_ceil(u128::from(self.retire_ms.max(1)));
        let by_time = u64::try_from(by_time).unwrap_or(u64::MAX);
        in_block * u64::from(self.block_count).saturating_sub(1).saturating_sub(by_time)
    }

    /// The same memory in blocks of whole pages. Pages have 4 to 64 KiB.
    #[must_use]
    pub fn in_pages(self, page: u32) -> Self {
        let block_size = self.block_size.next_multiple_of(page.max(1));
        Self { block_size, ..self }.of_bytes(self.bytes())
    }

    /// The same memory divided so that it survives a stall of [`STALL`]: into smaller blocks, and if
    /// those would be too small, with a longer retire timeout.
    #[must_use]
    pub fn lasting(self, page: u32) -> Self {
        let one_packet = DESCRIPTOR + BEFORE_PACKET + self.snaplen + PLACE_ALIGNMENT;
        let mut ring = self.in_pages(page);
        for (least, longest_ms) in MEASURES {
            let least = least.max(one_packet).next_multiple_of(page.max(1));
            while ring.wanted_ms() > ring.retire_ms && ring.block_size / 2 >= least {
                let block_size = ring.block_size / 2;
                ring = Self { block_size, ..ring }.in_pages(page).of_bytes(self.bytes());
            }
            ring.retire_ms = ring.retire_ms.max(ring.wanted_ms().min(longest_ms));
        }
        ring
    }

    /// The retire timeout at which its blocks last long enough, milliseconds.
    const fn wanted_ms(&self) -> u32 {
        let blocks = if self.block_count < 2 { 1 } else { self.block_count - 1 };
        LASTS_MS.div_ceil(blocks)
    }

    /// This many bytes in blocks of the same size, at least two blocks.
    #[must_use]
    pub fn of_bytes(self, bytes: u64) -> Self {
        let blocks = bytes / u64::from(self.block_size.max(1));
        Self { block_count: u32::try_from(blocks).unwrap_or(u32::MAX).max(2), ..self }
    }
}

/// Size of a page of memory, bytes.
#[must_use]
pub fn page_size() -> u32 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    // The smallest page size of Linux.
    size.and_then(|size| u32::try_from(size).ok()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: u32 = 4096;

    #[test]
    fn the_default_outlasts_a_stall_without_further_ado() {
        let ring = RingConfig::default();
        assert_eq!(ring.lasting(PAGE), ring);
        assert_eq!(ring.bytes(), 16 << 20);
        assert_eq!((ring.room(1500, Duration::ZERO), ring.room(1500, STALL)), (57_316, 45_640));
        assert_eq!(ring.room(60, STALL), 86_390);
    }

    #[test]
    fn few_large_blocks_are_split_before_samples_have_to_wait() {
        let large = RingConfig { block_size: 256 << 10, block_count: 64, ..RingConfig::default() };
        let ring = large.lasting(PAGE);
        assert_eq!((ring.block_size, ring.block_count, ring.retire_ms), (16 << 10, 1024, 12));
        let quick = RingConfig { retire_ms: 4, ..large }.lasting(PAGE);
        assert_eq!((quick.block_size, quick.block_count, quick.retire_ms), (8 << 10, 2048, 5));
        let odd = RingConfig { block_size: 36 << 10, block_count: 400, ..large }.lasting(PAGE);
        assert_eq!((odd.block_size, odd.block_count, odd.retire_ms), (12 << 10, 1200, 12));
    }

    #[test]
    fn a_small_ring_holds_blocks_back_for_longer() {
        let small = RingConfig { block_count: 64, ..RingConfig::default() }.lasting(PAGE);
        assert_eq!((small.block_size, small.block_count, small.retire_ms), (4 << 10, 128, 79));
        let tiny = RingConfig { block_count: 4, block_size: 4096, ..small }.lasting(PAGE);
        assert_eq!((tiny.block_size, tiny.block_count, tiny.retire_ms), (4096, 4, 125));
    }

    #[test]
    fn where_pages_are_large_blocks_are() {
        let ring = RingConfig::default().lasting(64 << 10);
        assert_eq!((ring.block_size, ring.block_count, ring.retire_ms), (64 << 10, 256, 40));
    }

    proptest! {
        #[test]
        fn whatever_is_configured_outlasts_a_stall_in_the_memory_given(
            pages in 4..1024u32,
            block_count in 4..4096u32,
            retire_ms in 1..1000u32,
            page in prop_oneof![Just(PAGE), Just(16 << 10)],
        ) {
            let given = RingConfig { block_size: pages * PAGE, block_count, retire_ms, ..RingConfig::default() };
            prop_assume!(given.bytes() >= 90 * u64::from(page));
            let ring = given.lasting(page);
            prop_assert!(ring.bytes() <= given.bytes());
            prop_assert!(ring.bytes() + u64::from(ring.block_size) > given.bytes(), "all memory is used");
            let whole = ring.room(1500, Duration::ZERO);
            let block = whole / u64::from(ring.block_count - 1);
            prop_assert!(2 * ring.room(1500, STALL) + block >= whole, "half, less one block");
            prop_assert!(ring.lasts() >= 2 * STALL, "{ring:?}");
            prop_assert!(ring.block_size.is_multiple_of(page));
            prop_assert!(ring.retire_ms >= retire_ms);
            prop_assert_eq!(ring.lasting(page), ring);
        }
    }
}
