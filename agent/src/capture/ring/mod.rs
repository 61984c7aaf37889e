//! The TPACKET_V3 receive ring of one NIC, behind a safe iterator over its packets.
//!
//! The only module with `unsafe`. Each `SAFETY` comment names the invariants that it relies on:
//!
//! - **R1, ownership.** A block is read only after its status word was read as `TP_STATUS_USER` with
//!   acquire ordering. From then on the kernel doesn't write to it, until [`Block`] is dropped and
//!   stores `TP_STATUS_KERNEL` with release ordering.
//! - **R2, one at a time.** A ring lends one block at a time: [`Ring::next_block`] takes `&mut self`,
//!   and the block borrows it. So each block is returned once, by its reader.
//! - **R3, bounds.** The mapping is `block_size * block_count` bytes long. Each address in it comes
//!   from a block number, which is asserted to be below `block_count`, and a constant offset below the
//!   page size.
//! - **R4, status words.** They are accessed as atomics only: no slice covers one. Blocks start at a
//!   page, as the kernel demands, so each word is aligned.
//! - **R5, lifetime.** A borrow of ring memory lives no longer than its mapping. The mapping is
//!   unmapped once, on drop, and belongs to no thread.
//! - **R6, contents.** Offsets from ring memory are always checked: packets are cut from a slice with
//!   `get`. Whatever the bytes are, no read leaves the block.
//! - **R7, descriptors.** The stream owns the socket's descriptor and closes it once; it is borrowed
//!   only while the stream lives.
//! - **R8, calls.** A pointer passed to the kernel points to a live value of plain data and comes with
//!   the size of its type; `abi` asserts the layout of structs.

mod abi;
mod error;
mod geometry;
mod mapping;
mod packets;
mod socket;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use afpacket::sync::RawPacketStream;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::SocketError;
use wire::{BootNs, Packets};

pub use self::error::RingError;
pub use self::geometry::{RingConfig, STALL, page_size};
use self::mapping::Mapping;
pub use self::packets::{BlockPackets, Packet};
use crate::clocks;

/// The kernel's counts since the statistics were last read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RingStatistics {
    /// Packets that reached the ring, including dropped ones.
    pub offered: Packets,
    /// Packets dropped because the ring was full.
    pub dropped: Packets,
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
    began_ns: BootNs,
}

impl Ring {
    /// Opens a ring on a NIC, given by name.
    ///
    /// # Errors
    /// [`RingError`] names the step that the kernel refused, and the remedy.
    pub fn open(nic: &str, config: &RingConfig) -> Result<Self, RingError> {
        if nic.len() >= libc::IFNAMSIZ {
            return Err(RingError::NicName(nic.to_owned()));
        }
        let unknown = |errno: Errno| RingError::bind(nic, errno.into());
        Self::open_at(if_nametoindex(nic).map_err(unknown)?, nic, config)
    }

    /// Opens a ring on the NIC with this kernel index. `nic` is its display name.
    ///
    /// # Errors
    /// [`RingError`] names the step that the kernel refused, and the remedy.
    pub fn open_at(index: u32, nic: &str, config: &RingConfig) -> Result<Self, RingError> {
        let config = &config.in_pages(page_size());
        let mut stream = socket::open(config)?;
        let (size, count) = (config.block_size as usize, config.block_count as usize);
        // SAFETY: R7; the stream lives for longer than this borrow.
        let fd = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
        let mapping = Mapping::of_socket(fd, size, count).map_err(RingError::Map)?;
        let before_ns = clocks::boot_ns();
        socket::bind(&mut stream, index, nic, config)?;
        // A ring in a fanout group gets packets that the others would have received.
        let began_ns = if config.fanout.is_some() { before_ns } else { clocks::boot_ns() };
        let vnet_header = config.vnet_header;
        Ok(Self { mapping, stream, block_count: count, next: 0, vnet_header, began_ns })
    }

    /// All packets from this boot time on reach the ring, nanoseconds. Few are older.
    #[must_use]
    pub const fn began_ns(&self) -> BootNs {
        self.began_ns
    }

    /// Number of blocks.
    #[must_use]
    pub fn block_count(&self) -> u32 {
        u32::try_from(self.block_count).unwrap_or(u32::MAX)
    }

    /// Number of blocks, at most `most`, that the kernel has handed over in sequence.
    #[must_use]
    pub fn ready(&self, most: usize) -> usize {
        let blocks = (0..most.min(self.block_count)).map(|n| (self.next + n) % self.block_count);
        blocks.take_while(|&block| self.is_ready(block)).count()
    }

    /// True if the block was handed over, so that it may be read.
    fn is_ready(&self, block: usize) -> bool {
        self.mapping.status(block).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// The next block that the kernel has handed over, if any.
    pub fn next_block(&mut self) -> Option<Block<'_>> {
        let block = self.next;
        if !self.is_ready(block) {
            return None;
        }
        let status = self.mapping.status(block);
        self.next = (block + 1) % self.block_count;
        // SAFETY: R1, R2; the status was read just above, and the `Block` that holds the slice returns
        // the block when it is dropped.
        let bytes = unsafe { self.mapping.after_status(block) };
        Some(Block { status, bytes, vnet_header: self.vnet_header })
    }

    /// Waits until a block is ready or the time is over. The wait also ends if the NIC goes down; the
    /// ring stays usable, because the NIC may come up again.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn wait(&self, timeout_ms: u16) -> io::Result<()> {
        self.wait_with(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], timeout_ms)
    }

    /// Like [`Ring::wait`], but also ends when `other` becomes readable. Returns true in that case.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn wait_or(&self, other: BorrowedFd<'_>, timeout_ms: u16) -> io::Result<bool> {
        let mut fds = [self.as_fd(), other].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        self.wait_with(&mut fds, timeout_ms)?;
        Ok(fds[1].any().unwrap_or(false))
    }

    /// Polls the descriptors; the first is the ring's.
    fn wait_with(&self, fds: &mut [PollFd<'_>], timeout_ms: u16) -> io::Result<()> {
        match poll(fds, PollTimeout::from(timeout_ms)) {
            Ok(0) | Err(Errno::EINTR) => return Ok(()),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        if fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR)) {
            // Reading the error (ENETDOWN) clears it; otherwise every further poll would return at
            // once.
            getsockopt(&self.as_fd(), SocketError)?;
        }
        Ok(())
    }

    /// Lets no further packet in. Packets in the ring can still be read. After that the statistics are
    /// final: they don't include packets that the filter refuses.
    ///
    /// # Errors
    /// [`RingError::Filter`].
    pub fn mute(&mut self) -> Result<(), RingError> {
        socket::set_snaplen(&mut self.stream, 0)
    }

    /// Access to the kernel's statistics of the ring, for a single reader.
    ///
    /// # Errors
    /// Fails if no descriptor is left.
    pub fn statistics(&self) -> io::Result<Statistics> {
        Ok(Statistics(self.as_fd().try_clone_to_owned()?))
    }
}

/// The kernel's statistics of a ring, and the progress of its reader. Reading resets the statistics, so
/// a ring has only one reader of them.
#[derive(Debug)]
pub struct Statistics(OwnedFd);

impl Statistics {
    /// Reads and resets the statistics.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn take(&mut self) -> io::Result<RingStatistics> {
        let stats = socket::statistics(self.0.as_raw_fd())?;
        Ok(RingStatistics {
            offered: Packets(stats.tp_packets.into()),
            dropped: Packets(stats.tp_drops.into()),
            freezes: stats.tp_freeze_q_cnt.into(),
        })
    }

    /// The kernel's index of the ring's NIC. `None` once the NIC is deleted or in another namespace; a
    /// ring never recovers from that.
    #[must_use]
    pub fn nic_index(&self) -> Option<u32> {
        socket::nic_index(self.0.as_raw_fd())
    }

    /// True if the kernel has handed over blocks that were not returned yet (`packet_poll` checks the
    /// newest one).
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn has_unread_block(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO)?;
        Ok(fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)))
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: R7; the stream lives as long as `self`.
        unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) }
    }
}

/// A block of packets. It returns to the kernel on drop.
#[derive(Debug)]
pub struct Block<'ring> {
    status: &'ring AtomicU32,
    bytes: &'ring [u8],
    vnet_header: bool,
}

impl Block<'_> {
    /// The packets of the block in order of arrival.
    #[must_use]
    pub fn packets(&self) -> BlockPackets<'_> {
        BlockPackets::of_block(self.bytes, self.vnet_header)
    }

    /// Number of packets.
    #[must_use]
    pub fn packet_count(&self) -> u32 {
        self.packets().count_left()
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        // R1: every read of the block happens before the kernel may overwrite it.
        self.status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}
