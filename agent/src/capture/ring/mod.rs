//! The TPACKET_V3 receive ring of one NIC, behind a safe iterator over its packets.
//!
//! The only module with `unsafe` in it. Its invariants, which each `SAFETY` comment names:
//!
//! - **R1, ownership.** A block is read only after its status word was read as `TP_STATUS_USER` with
//!   acquire ordering. From then on the kernel doesn't write to it, until [`Block`] is dropped and
//!   stores `TP_STATUS_KERNEL` with release ordering.
//! - **R2, one at a time.** A ring lends one block at a time: [`Ring::next_block`] takes `&mut self`,
//!   and the block borrows it. So a block is given back once, by who read it.
//! - **R3, bounds.** The mapping is `block_size * block_count` bytes long. Each address in it is made
//!   from the number of a block, which is asserted to be below `block_count`, and an offset that
//!   is a constant below the size of a page.
//! - **R4, status words.** They are reached as atomics only: no slice covers one. Blocks begin at
//!   a page, which the kernel demands, so that each word is aligned.
//! - **R5, lifetime.** A borrow of ring memory lives no longer than its mapping, which is unmapped
//!   once, on drop, and no thread owns.
//! - **R6, contents.** No offset found in ring memory is used unchecked: packets are cut from a
//!   slice by `get`. Whatever the bytes say, no read leaves the block.
//! - **R7, descriptors.** The stream owns the socket's descriptor and closes it once; it is borrowed
//!   only while the stream lives.
//! - **R8, calls.** A pointer given to the kernel is to a live value of plain data and goes with the
//!   size of its type; `abi` asserts the layout of structs.

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

pub use self::error::RingError;
pub use self::geometry::{RingConfig, STALL, page_size};
use self::mapping::Mapping;
pub use self::packets::{Packet, Packets};
use crate::clocks;

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
        // SAFETY: R7; the stream lives for longer than this borrow.
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
        // SAFETY: R1, R2; the status was read just above, and the `Block` that holds the slice gives
        // the block back when it is dropped.
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
        // SAFETY: R7; the stream lives as long as `self`.
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
        self.packets().count_left()
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        // R1: every read of the block happens before the kernel may overwrite it.
        self.status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}
