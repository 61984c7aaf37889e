//! The memory that ring and kernel share.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::abi::block::{AFTER_STATUS, STATUS};

/// Owns a shared mapping of whole blocks and unmaps it on drop.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    block_size: usize,
    block_count: usize,
}

// SAFETY: R5; no thread owns the memory, and moving its owner moves the right to it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the ring of a packet socket.
    pub(super) fn of_socket(
        fd: BorrowedFd<'_>,
        block_size: usize,
        block_count: usize,
    ) -> io::Result<Self> {
        let len = NonZeroUsize::new(block_size * block_count)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: R5; a fresh mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe { mmap(None, len, protection, MapFlags::MAP_SHARED, fd, 0) }?;
        Ok(Self { start: start.cast(), block_size, block_count })
    }

    /// The status word of a block, shared with the kernel.
    pub(super) fn status(&self, block: usize) -> &AtomicU32 {
        let at = block * self.block_size + STATUS;
        assert!(block < self.block_count, "block {block} of {}", self.block_count);
        // SAFETY: R3, R4, R5; the assertion keeps the word inside the mapping, which lives as long as
        // `self`.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(at).cast()) }
    }

    /// The bytes of a block from behind its status word on.
    ///
    /// # Safety
    /// R1: the block must belong to user space (`TP_STATUS_USER` was read with acquire ordering) and
    /// stay so for as long as the slice lives.
    pub(super) unsafe fn after_status(&self, block: usize) -> &[u8] {
        let at = block * self.block_size + AFTER_STATUS;
        assert!(block < self.block_count, "block {block} of {}", self.block_count);
        let len = self.block_size - AFTER_STATUS;
        // SAFETY: R1, R3, R4, R5; the assertion keeps the range inside the mapping, it begins behind
        // the status word, and the caller promises that the kernel doesn't write to it meanwhile.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(at), len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: R5; address and length are those of the mapping made in `of_socket`, and every borrow
        // of it has ended with `self`. Nothing can be done about an error: the mapping stays.
        let _unmapped = unsafe { munmap(self.start.cast(), self.block_size * self.block_count) };
    }
}
