//! Hand-over of slots from the reader of a ring to the sampler, without a lock.
//!
//! Slots are numbered; the reader counts into *open* ones only. It says when it is inside a block
//! of packets, and looks once per block which slots are open. The sampler *seals* slots and may
//! take what is in them as soon as the reader has left the block that it was in at that moment:
//! from its next block on it knows of the seal.

use super::sync::{AtomicU64, Ordering, fence};

/// Alone on its cache lines (two, since neighbours are fetched in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded(AtomicU64);

/// The state that reader and sampler share.
#[derive(Debug)]
pub struct Handover {
    /// Number of the oldest open slot: written by the sampler only.
    open: Padded,
    /// Odd while the reader is inside a block, and different for each: written by it only.
    block: Padded,
}

/// A promise to wait for: where the reader was when slots were sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal(u64);

impl Handover {
    /// Starts with the given slot as the oldest open one.
    #[must_use]
    pub fn new(open: u64) -> Self {
        Self { open: Padded(AtomicU64::new(open)), block: Padded::default() }
    }

    /// The reader enters a block and learns the oldest open slot, which holds until it leaves.
    pub fn enter(&self) -> u64 {
        let block = self.block.0.load(Ordering::Relaxed);
        self.block.0.store(block + 1, Ordering::Release);
        // Against the fence in `seal`: the reader sees the seal, or the sampler sees the block.
        fence(Ordering::SeqCst);
        self.open.0.load(Ordering::Acquire)
    }

    /// The reader leaves the block: all that it counted can be taken.
    pub fn leave(&self) {
        let block = self.block.0.load(Ordering::Relaxed);
        self.block.0.store(block + 1, Ordering::Release);
    }

    /// The sampler seals all slots before `open`. What is in them may be taken once
    /// [`Handover::is_left`] says so.
    #[must_use]
    pub fn seal(&self, open: u64) -> Seal {
        self.open.0.store(open, Ordering::Release);
        fence(Ordering::SeqCst);
        Seal(self.block.0.load(Ordering::Acquire))
    }

    /// True once the reader has left the block that it was in when the seal was made.
    #[must_use]
    pub fn is_left(&self, seal: Seal) -> bool {
        seal.0.is_multiple_of(2) || self.block.0.load(Ordering::Acquire) != seal.0
    }
}
