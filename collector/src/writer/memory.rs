//! Memory for frames on their way to the store.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::codec::frame_size;
use wire::frame::Frame;

/// Unit in which memory is reserved, bytes.
const UNIT: usize = 256;

/// Memory reserved for a frame on its way to the store.
#[derive(Debug)]
pub struct Reservation {
    _permit: OwnedSemaphorePermit,
    _of_client: OwnedSemaphorePermit,
}

/// A client's share of the memory for frames on their way to the store.
#[derive(Debug, Clone)]
pub struct ClientShare(Arc<Semaphore>);

/// The memory for all frames on their way to the store.
#[derive(Debug, Clone)]
pub(super) struct WriterMemory(Arc<Semaphore>);

impl ClientShare {
    /// A share of `bytes`, with room for at least the longest frame.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(units(bytes))))
    }
}

impl WriterMemory {
    /// `bytes`, with room for at least the longest frame.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(units(bytes))))
    }

    /// Reserves memory for a frame if there is any left.
    pub(super) fn try_reserve(&self, frame: &Frame, share: &ClientShare) -> Option<Reservation> {
        let of_client = share.0.clone().try_acquire_many_owned(units_of(frame)).ok()?;
        let permit = self.0.clone().try_acquire_many_owned(units_of(frame)).ok()?;
        Some(Reservation { _permit: permit, _of_client: of_client })
    }

    /// Waits for memory for a frame. `None` once it is closed.
    pub(super) async fn reserve(&self, frame: &Frame, share: &ClientShare) -> Option<Reservation> {
        // A client waiting for its own share holds up nobody else.
        let of_client = share.0.clone().acquire_many_owned(units_of(frame)).await.ok()?;
        let permit = self.0.clone().acquire_many_owned(units_of(frame)).await.ok()?;
        Some(Reservation { _permit: permit, _of_client: of_client })
    }

    /// Gives no more memory.
    pub(super) fn close(&self) {
        self.0.close();
    }
}

/// Units of an amount of memory, with room for at least the longest frame, which could never pass
/// otherwise.
fn units(bytes: usize) -> usize {
    let units = bytes.max(wire::codec::LEN_MAX as usize) / UNIT;
    units.min(Semaphore::MAX_PERMITS)
}

fn units_of(frame: &Frame) -> u32 {
    let bytes = frame_size(frame);
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}
