//! The packets of a block, parsed from its bytes: safe, whatever the bytes are (R6).

use wire::WallNs;

use super::abi::{VNET_LEN, block, place, vnet_header};
use crate::account::bank::Direction;
use crate::capture::wire_len::VnetHeader;
use crate::clocks;

/// One captured packet.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'block> {
    /// Time at which the kernel saw it, nanoseconds of `CLOCK_REALTIME`.
    pub time_ns: WallNs,
    /// Length in bytes from the MAC header on, before the snaplen cut.
    pub len: u32,
    /// The captured first bytes, from the MAC header on.
    pub headers: &'block [u8],
    /// Segmentation still to come, or undone on reception. `None` if the ring has no virtio headers.
    pub vnet: Option<VnetHeader>,
    /// The kernel stripped a VLAN tag from the packet.
    pub vlan_stripped: bool,
    /// Offset of the network header at which the kernel's processing is.
    pub network_at: u16,
    /// `sll_pkttype`: `PACKET_OUTGOING` is tx, every other is rx (packet(7)).
    pub kind: u8,
    /// `sll_hatype`: the kind of link-layer header (`ARPHRD_*`, `include/uapi/linux/if_arp.h`).
    pub link_type: u16,
}

impl Packet<'_> {
    /// True if its captured bytes begin with an Ethernet header.
    #[must_use]
    #[inline]
    pub const fn is_ethernet(&self) -> bool {
        matches!(self.link_type, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK)
    }

    /// Its direction.
    #[must_use]
    #[inline]
    pub const fn direction(&self) -> Direction {
        if self.kind == libc::PACKET_OUTGOING { Direction::Tx } else { Direction::Rx }
    }
}

/// Iterator over the packets of a block; ends early if an offset leaves the block.
#[derive(Debug)]
pub struct BlockPackets<'block> {
    bytes: &'block [u8],
    vnet_header: bool,
    /// Offset of the next packet's header in `bytes`.
    at: usize,
    left: u32,
}

/// The headers before each packet.
type Before = [u8; place::HEADERS_LEN];

impl<'block> BlockPackets<'block> {
    /// The packets of a block. `bytes` are those behind the status word of its descriptor.
    #[must_use]
    pub fn of_block(bytes: &'block [u8], vnet_header: bool) -> Self {
        let field = |offset| ne_u32(bytes, offset - block::AFTER_STATUS);
        let left = field(block::PACKETS).unwrap_or(0);
        let first = field(block::FIRST).unwrap_or(0);
        // An offset before the bytes is as invalid as one behind them.
        let at = (first as usize).checked_sub(block::AFTER_STATUS).unwrap_or(bytes.len());
        Self { bytes, vnet_header, at, left }
    }

    /// Number of packets left, according to the descriptor.
    pub(super) const fn count_left(&self) -> u32 {
        self.left
    }

    /// The next place in the block, its header and status.
    #[inline]
    fn place(&mut self) -> Option<(&'block [u8], &'block Before, u32)> {
        loop {
            self.left = self.left.checked_sub(1)?;
            let frame = self.bytes.get(self.at..)?;
            let before: &Before = frame.first_chunk()?;
            let next = ne_u32(before, place::NEXT)? as usize;
            // The last place holds 0, any other the next offset. So a block ends, however many packets
            // its descriptor announces.
            self.left = if next < size_of::<Before>() { 0 } else { self.left };
            self.at = self.at.checked_add(next)?;
            let status = ne_u32(before, place::STATUS)?;
            // A packet that the virtio header can't describe counts as a drop, but its place in the
            // block remains, with old contents (tpacket_rcv).
            if status & libc::TP_STATUS_USER != 0 {
                return Some((frame, before, status));
            }
        }
    }
}

impl<'block> Iterator for BlockPackets<'block> {
    type Item = Packet<'block>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'block>> {
        let (frame, before, status) = self.place()?;
        let mac_at = ne_u16(before, place::MAC)?;
        let mac = usize::from(mac_at);
        let snaplen = ne_u32(before, place::SNAPLEN)? as usize;
        let (vnet, headers) = if self.vnet_header {
            let bytes = frame.get(mac.checked_sub(VNET_LEN)?..mac.checked_add(snaplen)?)?;
            let (vnet, headers) = bytes.split_first_chunk()?;
            (Some(vnet_header(vnet)), headers)
        } else {
            (None, frame.get(mac..mac.checked_add(snaplen)?)?)
        };
        let seconds = u64::from(ne_u32(before, place::SECONDS)?);
        let nanos = u64::from(ne_u32(before, place::NANOSECONDS)?);
        Some(Packet {
            time_ns: clocks::stamped(WallNs(seconds * 1_000_000_000 + nanos)),
            len: ne_u32(before, place::LEN)?,
            headers,
            vnet,
            vlan_stripped: status & libc::TP_STATUS_VLAN_VALID != 0,
            network_at: ne_u16(before, place::NETWORK)?.saturating_sub(mac_at),
            kind: before[place::KIND],
            link_type: ne_u16(before, place::LINK_TYPE)?,
        })
    }
}

/// A 32-bit number in host byte order at `at`.
#[inline]
fn ne_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A 16-bit number in host byte order at `at`.
#[inline]
fn ne_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
