//! Ingest: what agents send, from the UDP socket to the writer.

mod agent;
mod clock;
mod listener;
mod reading;
mod sessions;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub use self::listener::Listener;
use crate::identity::Identity;
use crate::live::Live;
use crate::store::Store;
use crate::writer::WriterHandle;

/// What every connection works with.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// Who may connect.
    pub identity: Arc<Identity>,
    /// Where sessions are registered.
    pub store: Arc<dyn Store>,
    /// Where frames go.
    pub writer: WriterHandle,
    /// What pages and Prometheus show.
    pub live: Live,
}

/// Now, nanoseconds since 1970 (UTC).
fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}
