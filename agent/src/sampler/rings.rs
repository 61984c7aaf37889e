//! The rings of one NIC with their readers, and the memory that all rings take.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use settings::InFull;

use crate::capture::reader::ReaderHandle;

/// Memory of all rings, including those that the kernel is about to free, bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct RingMemory(Arc<AtomicU64>);

impl RingMemory {
    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The readers of a NIC's rings; none once they were released.
#[derive(Debug)]
pub(super) struct Rings {
    readers: Vec<ReaderHandle>,
    bytes: u64,
    memory: RingMemory,
}

impl Rings {
    /// Takes readers whose rings occupy this many bytes of the memory.
    pub fn new(readers: Vec<ReaderHandle>, bytes: u64, memory: RingMemory) -> Self {
        memory.0.fetch_add(bytes, Ordering::AcqRel);
        Self { readers, bytes, memory }
    }

    /// Closes the rings, on a thread of its own: it takes the kernel some 10 ms for each
    /// (`packet_release` waits for an RCU grace period), which would delay the sampler.
    pub fn release(&mut self) {
        let (readers, bytes) = (std::mem::take(&mut self.readers), std::mem::take(&mut self.bytes));
        if readers.is_empty() {
            return;
        }
        let memory = self.memory.clone();
        let close = move || {
            drop(readers);
            memory.0.fetch_sub(bytes, Ordering::AcqRel);
        };
        let started = thread::Builder::new().name("ring release".to_owned()).spawn(close);
        if let Err(error) = started {
            // The closure was dropped, and the readers with it.
            self.memory.0.fetch_sub(bytes, Ordering::AcqRel);
            tracing::warn!(error = %error.in_full(), "rings are closed by the sampler, which delays samples");
        }
    }
}

impl Deref for Rings {
    type Target = [ReaderHandle];

    fn deref(&self) -> &Self::Target {
        &self.readers
    }
}

impl DerefMut for Rings {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.readers
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        self.release();
    }
}
