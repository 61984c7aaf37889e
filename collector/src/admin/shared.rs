//! Shared parts of the commands.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use wire::certificate;
use wire::id::ClientId;

use super::error::AdminError;
use crate::audit::{AuditRecord, Pending};
use crate::config::Config;
use crate::identity::ClientRecords;
use crate::run::identity_dir;
use crate::store_location::{StoreLocation, StoreLocationError};

/// Writes the audit log, then returns `done`.
pub(super) fn audited(
    config: &Config,
    record: AuditRecord,
    done: String,
) -> Result<String, AdminError> {
    match Pending::of(&config.data_dir).leave(record, UnixTime::now()) {
        Ok(()) => Ok(done),
        Err(error) => Err(AdminError::Unaudited { done, error }),
    }
}

/// The clients' records outside the store. Reading them creates nothing.
pub(super) fn client_records(config: &Config) -> ClientRecords {
    ClientRecords::at(&identity_dir(&config.data_dir))
}

/// A time for people, from seconds since 1970 (UTC).
pub(super) fn utc(seconds: u64) -> String {
    certificate::utc(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

/// Runs a future that uses the store to its end.
pub(super) fn block_on<T, E>(future: impl Future<Output = Result<T, E>>) -> Result<T, AdminError>
where
    AdminError: From<E>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future)?)
}

/// True if a collector of the store has a client of this id.
pub(super) async fn has_id(
    location: &StoreLocation,
    client: &ClientId,
) -> Result<bool, StoreLocationError> {
    if !location.is_used().await? {
        return Ok(false);
    }
    let has = location.open_to_enrol()?.has_id(client).await;
    has.map_err(StoreLocationError::Uses)
}
