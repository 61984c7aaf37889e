//! What the sampler tells all readers: replaced now and then, and looked at without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A value with a version, which one thread changes.
#[derive(Debug)]
pub struct Shared<T> {
    version: AtomicU64,
    value: Mutex<T>,
}

impl<T: Clone> Shared<T> {
    /// Shares a value.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { version: AtomicU64::new(0), value: Mutex::new(value) }
    }

    /// Replaces the value.
    pub fn set(&self, value: T) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = value;
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The value, and the version that it has at least.
    #[must_use]
    pub fn get(&self) -> (u64, T) {
        let version = self.version.load(Ordering::Acquire);
        (version, self.value.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// True if the value was replaced since `version`; takes no lock.
    #[must_use]
    pub fn is_newer(&self, version: u64) -> bool {
        self.version.load(Ordering::Acquire) != version
    }
}
