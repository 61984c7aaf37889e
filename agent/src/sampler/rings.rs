//! The rings of one NIC with their readers, and the memory that those of all NICs take.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use settings::InFull;

use crate::capture::reader::ReaderHandle;

/// Memory of all NICs, including what is about to be freed, bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct MemoryInUse(Arc<AtomicU64>);

impl MemoryInUse {
    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Counts bytes as used.
    pub fn reserve(&self, bytes: u64) -> Reserved {
        self.0.fetch_add(bytes, Ordering::AcqRel);
        Reserved { bytes, memory: self.clone() }
    }
}

/// Memory in use until this is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    bytes: u64,
    memory: MemoryInUse,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// The readers of a NIC's rings; none once they were released.
#[derive(Debug)]
pub(super) struct Rings {
    readers: Vec<ReaderHandle>,
    memory: Option<Reserved>,
}

impl Rings {
    /// Takes readers and the memory of their rings.
    pub const fn new(readers: Vec<ReaderHandle>, memory: Reserved) -> Self {
        Self { readers, memory: Some(memory) }
    }

    /// Closes the rings, on a thread of its own: it takes the kernel some 10 ms for each
    /// (`packet_release` waits for an RCU grace period), which would delay the sampler.
    pub fn release(&mut self) {
        let (readers, memory) = (std::mem::take(&mut self.readers), self.memory.take());
        if readers.is_empty() {
            return;
        }
        let close = move || {
            drop(readers);
            drop(memory);
        };
        let started = thread::Builder::new().name("ring release".to_owned()).spawn(close);
        if let Err(error) = started {
            // The closure was dropped, and the readers with it.
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
