//! What all connections share.

use std::sync::Arc;

use super::claims::Claims;
use super::limits::Limits;
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
