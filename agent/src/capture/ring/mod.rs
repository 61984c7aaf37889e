//! The TPACKET_V3 receive ring of one NIC, behind a safe iterator over its packets.
//!
//! The only module with `unsafe` in it. Its invariants:
//! - a block is read only after its status said `TP_STATUS_USER` (acquire), and until it is given
//!   back (release, when [`Block`] is dropped) the kernel doesn't write to it;
//! - a ring lends one block at a time ([`Ring::next_block`] takes `&mut self`);
//! - no offset found in ring memory is used unchecked: packets are cut from a slice by `get`.

mod geometry;
mod mapping;
mod socket;

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use afpacket::sync::RawPacketStream;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::SocketError;
use settings::way_out;

pub use self::geometry::{RingConfig, STALL, page_size};
use self::mapping::Mapping;
use super::wire_len::VnetHeader;
use crate::clocks;

/// Why a ring could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// No packet socket: most often the capability is missing.
    #[error(
        "can't open a packet socket: {}; {}",
        .0,
        way_out(.0, "capturing needs CAP_NET_RAW (run as root or grant it)")
    )]
    Open(#[source] io::Error),
    /// The kernel has no TPACKET_V3.
    #[error("the kernel refuses TPACKET_V3: {0}; Linux 3.2 or later is needed")]
    Version(#[source] io::Error),
    /// The kernel has no PACKET_VNET_HDR.
    #[error("the kernel refuses PACKET_VNET_HDR: {0}")]
    VnetHeader(#[source] io::Error),
    /// The filter was refused.
    #[error("the kernel refuses the snaplen filter: {0}")]
    Filter(#[source] io::Error),
    /// No memory for the ring, or a geometry the kernel refuses.
    #[error("can't set up the ring: {0}; make it smaller if memory is short")]
    Ring(#[source] io::Error),
    /// The ring could not be mapped.
    #[error("can't map the ring: {0}")]
    Map(#[source] io::Error),
    /// A name no NIC can have.
    #[error("{0:?} can't be a NIC: a name has at most 15 bytes")]
    NicName(String),
    /// The NIC is not there or not usable.
    #[error("can't capture on NIC {nic}: {error}; `ip link` lists the NICs of this host")]
    Bind {
        /// Name of the NIC.
        nic: String,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// The NIC can't be made promiscuous.
    #[error("can't make NIC {nic} promiscuous: {error}; set monitor.promiscuous: false")]
    Promiscuous {
        /// Name of the NIC.
        nic: String,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// The rings of a NIC can't share its packets.
    #[error("can't join the rings of NIC {nic}: {error}; set monitor.rings_per_nic: 1")]
    Fanout {
        /// Name of the NIC.
        nic: String,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
}

/// What the kernel counted since the statistics were last read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RingStatistics {
    /// Packets that came to the ring, the dropped ones included.
    pub offered: u64,
    /// Packets for which the ring had no room.
    pub dropped: u64,
    /// Times the ring ran full.
    pub freezes: u64,
}

/// The receive ring of one NIC.
#[derive(Debug)]
pub struct Ring {
    // Declared before the stream, so that the memory is unmapped before the socket is closed.
    mapping: Mapping,
    stream: RawPacketStream,
    block_count: usize,
    next: usize,
    vnet_header: bool,
    began_ns: u64,
}

impl Ring {
    /// Opens a ring on a NIC, given by name.
    ///
    /// # Errors
    /// [`RingError`] names the step the kernel refused and the way out.
    pub fn open(nic: &str, config: &RingConfig) -> Result<Self, RingError> {
        if nic.len() >= libc::IFNAMSIZ {
            return Err(RingError::NicName(nic.to_owned()));
        }
        let unknown = |errno: Errno| RingError::Bind { nic: nic.to_owned(), error: errno.into() };
        Self::open_at(if_nametoindex(nic).map_err(unknown)?, nic, config)
    }

    /// Opens a ring on the NIC with the kernel's index. `nic` is what to call it.
    ///
    /// # Errors
    /// [`RingError`] names the step the kernel refused and the way out.
    pub fn open_at(index: u32, nic: &str, config: &RingConfig) -> Result<Self, RingError> {
        let config = &config.in_pages(page_size());
        let mut stream = socket::open(config)?;
        let (size, count) = (config.block_size as usize, config.block_count as usize);
        // SAFETY: the stream keeps the descriptor open for longer than this borrow of it.
        let fd = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
        let mapping = Mapping::of_socket(fd, size, count).map_err(RingError::Map)?;
        let before_ns = clocks::boot_ns();
        socket::bind(&mut stream, index, nic, config)?;
        // What comes to a ring that joins others would have come to them.
        let began_ns = if config.fanout.is_some() { before_ns } else { clocks::boot_ns() };
        let vnet_header = config.vnet_header;
        Ok(Self { mapping, stream, block_count: count, next: 0, vnet_header, began_ns })
    }

    /// Boot time from which on all packets come, nanoseconds. Few are older.
    #[must_use]
    pub const fn began_ns(&self) -> u64 {
        self.began_ns
    }

    /// How many blocks it has.
    #[must_use]
    pub fn block_count(&self) -> u32 {
        u32::try_from(self.block_count).unwrap_or(u32::MAX)
    }

    /// How many blocks the kernel has handed over by now, in their order, up to `most`.
    #[must_use]
    pub fn ready(&self, most: usize) -> usize {
        let blocks = (0..most.min(self.block_count)).map(|n| (self.next + n) % self.block_count);
        blocks.take_while(|&block| self.is_ready(block)).count()
    }

    /// True if the block was handed over: its contents may be read.
    fn is_ready(&self, block: usize) -> bool {
        self.mapping.status(block).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// The next block that the kernel has handed over, if there is one.
    pub fn next_block(&mut self) -> Option<Block<'_>> {
        let block = self.next;
        if !self.is_ready(block) {
            return None;
        }
        let status = self.mapping.status(block);
        self.next = (block + 1) % self.block_count;
        // SAFETY: the status was read as TP_STATUS_USER with acquire ordering just above, and the
        // block is given back only when the `Block` that holds the slice is dropped.
        let bytes = unsafe { self.mapping.after_status(block) };
        Some(Block { status, bytes, vnet_header: self.vnet_header })
    }

    /// Waits until a block is ready or the time is over. A NIC that goes down ends the wait too;
    /// the ring stays in use, for the NIC may come up again.
    ///
    /// # Errors
    /// What poll(2) says.
    pub fn wait(&self, timeout_ms: u16) -> io::Result<()> {
        self.wait_with(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], timeout_ms)
    }

    /// As [`Ring::wait`], or until something can be read from `other`: true if so.
    ///
    /// # Errors
    /// What poll(2) says.
    pub fn wait_or(&self, other: BorrowedFd<'_>, timeout_ms: u16) -> io::Result<bool> {
        let mut fds = [self.as_fd(), other].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        self.wait_with(&mut fds, timeout_ms)?;
        Ok(fds[1].any().unwrap_or(false))
    }

    /// Polls the descriptors, of which the first is the ring's.
    fn wait_with(&self, fds: &mut [PollFd<'_>], timeout_ms: u16) -> io::Result<()> {
        match poll(fds, PollTimeout::from(timeout_ms)) {
            Ok(0) | Err(Errno::EINTR) => return Ok(()),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        if fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR)) {
            // Reading the error (ENETDOWN) clears it, or every further poll would end at once.
            getsockopt(&self.as_fd(), SocketError)?;
        }
        Ok(())
    }

    /// Lets no further packet in. What is in the ring can still be read, and once it is, the
    /// statistics are final: a packet that the filter refuses is in none of them.
    ///
    /// # Errors
    /// [`RingError::Filter`].
    pub fn mute(&mut self) -> Result<(), RingError> {
        socket::set_snaplen(&mut self.stream, 0)
    }

    /// Access to the kernel's statistics of the ring, for one reader of them.
    ///
    /// # Errors
    /// What the system says when it has no descriptor left.
    pub fn statistics(&self) -> io::Result<Statistics> {
        Ok(Statistics(self.as_fd().try_clone_to_owned()?))
    }
}

/// The kernel's statistics of a ring, which reading resets: a ring has one reader of them only; and
/// how far the reader of its packets has come.
#[derive(Debug)]
pub struct Statistics(OwnedFd);

impl Statistics {
    /// Reads and so resets them.
    ///
    /// # Errors
    /// What getsockopt(2) says.
    pub fn take(&mut self) -> io::Result<RingStatistics> {
        let stats = socket::statistics(self.0.as_raw_fd())?;
        Ok(RingStatistics {
            offered: stats.tp_packets.into(),
            dropped: stats.tp_drops.into(),
            freezes: stats.tp_freeze_q_cnt.into(),
        })
    }

    /// The kernel's index of the NIC whose packets come to the ring; `None` once that one is
    /// deleted or in another namespace, from which the ring never recovers.
    #[must_use]
    pub fn nic_index(&self) -> Option<u32> {
        socket::nic_index(self.0.as_raw_fd())
    }

    /// True if the kernel has handed over blocks that were not given back yet (`packet_poll` asks
    /// for the newest one).
    ///
    /// # Errors
    /// What poll(2) says.
    pub fn has_unread_block(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO)?;
        Ok(fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)))
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the stream owns the descriptor and lives as long as `self`.
        unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) }
    }
}

/// A block of packets, given back to the kernel on drop.
#[derive(Debug)]
pub struct Block<'ring> {
    status: &'ring AtomicU32,
    bytes: &'ring [u8],
    vnet_header: bool,
}

impl Block<'_> {
    /// The packets of the block, in the order of their arrival.
    #[must_use]
    pub fn packets(&self) -> Packets<'_> {
        Packets::of_block(self.bytes, self.vnet_header)
    }

    /// How many there are.
    #[must_use]
    pub fn packet_count(&self) -> u32 {
        self.packets().left
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        // Release: every read of the block happens before the kernel may overwrite it.
        self.status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}

/// One captured packet.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'block> {
    /// When the kernel saw it, nanoseconds of `CLOCK_REALTIME`.
    pub time_ns: u64,
    /// Length in bytes from the MAC header on, before the snaplen cut it.
    pub len: u32,
    /// The captured first bytes, from the MAC header on.
    pub headers: &'block [u8],
    /// Segmentation that is still to happen, or that was undone on reception; `None` where the
    /// ring works without the virtio header.
    pub vnet: Option<VnetHeader>,
    /// The kernel took a VLAN tag out of the packet.
    pub vlan_stripped: bool,
    /// Where the kernel has come to in the packet: offset of its network header.
    pub network_at: u16,
    /// `sll_pkttype`: `PACKET_OUTGOING` is tx, all else rx (packet(7)).
    pub kind: u8,
    /// `sll_hatype`: what link-layer header there is (`ARPHRD_*`, `include/uapi/linux/if_arp.h`).
    pub link_type: u16,
}

/// Iterator over the packets of a block; ends early if an offset leaves the block.
#[derive(Debug)]
pub struct Packets<'block> {
    bytes: &'block [u8],
    vnet_header: bool,
    /// Offset of the next packet's header in `bytes`.
    at: usize,
    left: u32,
}

/// What stands before each packet: `tpacket3_hdr` and, aligned, `sockaddr_ll`.
type Before = [u8; LINK_ADDRESS + size_of::<libc::sockaddr_ll>()];

/// `sockaddr_ll` follows the header, aligned to `TPACKET_ALIGNMENT`.
const LINK_ADDRESS: usize =
    size_of::<libc::tpacket3_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);

/// `struct virtio_net_hdr` stands right before the MAC header.
const VNET_LEN: usize = 10;

impl<'block> Packets<'block> {
    /// The packets of a block, of which `bytes` are what follows the status word of its descriptor.
    #[must_use]
    pub fn of_block(bytes: &'block [u8], vnet_header: bool) -> Self {
        use libc::tpacket_hdr_v1 as V1;
        let hdr = offset_of!(libc::tpacket_block_desc, hdr);
        let field = |offset| ne_u32(bytes, hdr + offset - Mapping::AFTER_STATUS);
        let left = field(offset_of!(V1, num_pkts)).unwrap_or(0);
        let first = field(offset_of!(V1, offset_to_first_pkt)).unwrap_or(0);
        // One that lies before the bytes is as far out of the block as one behind them.
        let at = (first as usize).checked_sub(Mapping::AFTER_STATUS).unwrap_or(bytes.len());
        Self { bytes, vnet_header, at, left }
    }

    /// The next place in the block, its header and status.
    #[inline]
    fn place(&mut self) -> Option<(&'block [u8], &'block Before, u32)> {
        use libc::tpacket3_hdr as Hdr;
        loop {
            self.left = self.left.checked_sub(1)?;
            let frame = self.bytes.get(self.at..)?;
            let before: &Before = frame.first_chunk()?;
            let next = ne_u32(before, offset_of!(Hdr, tp_next_offset))? as usize;
            // The last place says 0. Any other is behind this one: a block ends, however many
            // packets its descriptor names.
            self.left = if next < size_of::<Before>() { 0 } else { self.left };
            self.at = self.at.checked_add(next)?;
            let status = ne_u32(before, offset_of!(Hdr, tp_status))?;
            // A packet that the virtio header can't express leaves its place in the block behind,
            // with what stood there before, and is among the drops (tpacket_rcv).
            if status & libc::TP_STATUS_USER != 0 {
                return Some((frame, before, status));
            }
        }
    }
}

impl<'block> Iterator for Packets<'block> {
    type Item = Packet<'block>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'block>> {
        use libc::sockaddr_ll as Link;
        use libc::tpacket3_hdr as Hdr;

        let (frame, before, status) = self.place()?;
        let mac_at = ne_u16(before, offset_of!(Hdr, tp_mac))?;
        let mac = usize::from(mac_at);
        let snaplen = ne_u32(before, offset_of!(Hdr, tp_snaplen))? as usize;
        let (vnet, headers) = if self.vnet_header {
            let bytes = frame.get(mac.checked_sub(VNET_LEN)?..mac.checked_add(snaplen)?)?;
            let (vnet, headers) = bytes.split_first_chunk()?;
            (Some(vnet_header(vnet)), headers)
        } else {
            (None, frame.get(mac..mac.checked_add(snaplen)?)?)
        };
        let seconds = u64::from(ne_u32(before, offset_of!(Hdr, tp_sec))?);
        let nanos = u64::from(ne_u32(before, offset_of!(Hdr, tp_nsec))?);
        Some(Packet {
            time_ns: clocks::stamped(seconds * 1_000_000_000 + nanos),
            len: ne_u32(before, offset_of!(Hdr, tp_len))?,
            headers,
            vnet,
            vlan_stripped: status & libc::TP_STATUS_VLAN_VALID != 0,
            network_at: ne_u16(before, offset_of!(Hdr, tp_net))?.saturating_sub(mac_at),
            kind: before[LINK_ADDRESS + offset_of!(Link, sll_pkttype)],
            link_type: ne_u16(before, LINK_ADDRESS + offset_of!(Link, sll_hatype))?,
        })
    }
}

/// Reads a `struct virtio_net_hdr`.
#[inline]
const fn vnet_header(bytes: &[u8; VNET_LEN]) -> VnetHeader {
    VnetHeader {
        flags: bytes[0],
        gso_type: bytes[1],
        gso_size: u16::from_ne_bytes([bytes[4], bytes[5]]),
        csum_start: u16::from_ne_bytes([bytes[6], bytes[7]]),
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
