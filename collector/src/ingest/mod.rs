//! Ingest: what agents send, from the UDP socket to the writer.

mod agent;
mod claims;
mod clock;
mod end;
mod introduction;
mod limits;
mod listener;
mod notes;
mod notice;
mod reading;
mod sessions;

use std::sync::Arc;

pub use self::claims::Claims;
pub use self::limits::{ClientLimits, Limits, TotalLimits};
pub use self::listener::{ListenError, Listener, Reloader};
use crate::identity::Identity;
use crate::live::Live;
use crate::store::Database;
use crate::writer::WriterHandle;

/// What every connection works with.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// Who may connect.
    pub identity: Arc<Identity>,
    /// Where sessions are registered.
    pub store: Arc<dyn Database>,
    /// Where frames go.
    pub writer: WriterHandle,
    /// What pages and Prometheus show.
    pub live: Live,
    /// Which hosts are connected.
    pub claims: Claims,
    /// What they may take.
    pub limits: Limits,
}
