//! What all connections share.

use std::sync::Arc;

use super::claims::ConnectedHosts;
use super::limits::Quotas;
use crate::identity::Identity;
use crate::live::Live;
use crate::store::Database;
use crate::writer::WriterHandle;

/// What every connection works with.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// The certificates that may connect.
    pub identity: Arc<Identity>,
    /// Registers sessions.
    pub store: Arc<dyn Database>,
    /// Takes frames.
    pub writer: WriterHandle,
    /// The data of pages and Prometheus.
    pub live: Live,
    /// The connected hosts.
    pub claims: ConnectedHosts,
    /// The limits and their use.
    pub limits: Quotas,
}
