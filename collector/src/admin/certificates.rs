//! Commands for certificates: revoking a client's, and a new CA.

use rustls::pki_types::UnixTime;
use settings::InFull;
use wire::certificate::utc;
use wire::id::ClientId;
use wire::pem::TlsFiles;

use super::error::AdminError;
use super::shared::{audited, block_on, client_records};
use crate::audit::{AuditEvent, AuditRecord};
use crate::config::Config;
use crate::identity::{Identity, IdentityError, Rolled};
use crate::run::identity_dir;
use crate::store::Registered;
use crate::store_location::{StoreLocation, StoreLocationError};

/// Revokes a client. Returns a text about the result.
///
/// # Errors
/// [`AdminError::NoSuchClient`] if it never had a certificate of this collector,
/// [`AdminError::RevokedHere`] if it is revoked but other collectors of the store can't be informed.
pub fn revoke(
    config: &Config,
    location: &StoreLocation,
    tls: Option<&TlsFiles>,
    client: &ClientId,
) -> Result<String, AdminError> {
    let records = client_records(config);
    if tls.is_none() && !records.knows(client)? && !is_elsewhere(location, client) {
        return Err(AdminError::NoSuchClient(client.clone()));
    }
    let revocation = records.revoke(client, UnixTime::now())?;
    let record = AuditRecord::of(AuditEvent::ClientRevoked, client);
    // An embedded store has one collector, which notices by itself.
    if let StoreLocation::Postgres(_) = location {
        let told = block_on::<_, StoreLocationError>(async {
            Ok(location.open_to_forget()?.keep_revocation(client, &revocation).await?)
        });
        if let Err(error) = told {
            let done = format!(
                "{client} is revoked at this collector, but not yet at the others of its \
                 database: {}; that happens once this collector runs and reaches the \
                 database, or by: collector revoke {client}",
                error.in_full()
            );
            return Err(AdminError::RevokedHere(audited(config, record, done)?));
        }
    }
    let done = format!(
        "{client} is revoked; running collectors cut it off within a second. To let it in again: \
         collector token --client {client} --replace"
    );
    audited(config, record, done)
}

/// True if another collector of the same database may have issued the client's certificate, or if the
/// database can't be reached.
fn is_elsewhere(location: &StoreLocation, client: &ClientId) -> bool {
    let StoreLocation::Postgres(_) = location else { return false };
    let registered = block_on::<_, StoreLocationError>(async {
        let used = location.is_used().await?;
        Ok(if used { location.open_to_read()?.registered().await? } else { vec![] })
    });
    let known = |it: &Registered| it.client == client.as_str() && it.forgotten_ns.is_none();
    registered.map_or(true, |it| it.iter().any(known))
}

/// Creates a new CA to replace the collector's own. Returns a text about the result.
///
/// # Errors
/// [`AdminError::Identity`] if the earlier CA is still trusted, or this collector issues no
/// certificates.
pub fn roll_ca(config: &Config, tls: Option<&TlsFiles>) -> Result<String, AdminError> {
    if tls.is_some() {
        return Err(IdentityError::OperatorPki.into());
    }
    let dir = identity_dir(&config.data_dir);
    let Rolled { fingerprint, until } = Identity::roll_ca(&dir, UnixTime::now())?;
    let (until, key) = (utc(until), dir.join("ca.key"));
    let done = format!(
        "a new CA, SHA-256 {fingerprint}; a running collector uses it within a second, agents get \
         it with their next certificates. The old CA is trusted until {until}; copy {} to the \
         other collectors of these agents before then",
        key.display()
    );
    let detail = Some(fingerprint.to_string());
    audited(config, AuditRecord { detail, ..AuditRecord::new(AuditEvent::CaRolled) }, done)
}
