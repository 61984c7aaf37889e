//! Revocation: files that name clients, looked at again every second.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::pki_types::UnixTime;
use settings::{Failures, words};
use wire::id::ClientId;
use wire::private_file;

use super::peer::Agent;
use super::record::{self, IssuedRecord, RevokedRecord};
use super::{Identity, IdentityError};

/// How long it may take until a revocation by another process is noticed.
const NOTICED: Duration = Duration::from_secs(1);

/// The clients that have a revocation, as last listed.
#[derive(Debug, Default)]
pub(super) struct Revocations(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    /// When, and who.
    names: Option<(Instant, HashSet<String>)>,
    failures: Failures<String>,
}

impl Revocations {
    /// True if there is a revocation of `client`.
    fn names(&self, dir: &Path, client: &ClientId, now: Instant) -> bool {
        let mut listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |(at, _): &(Instant, _)| now.saturating_duration_since(*at);
        if listed.names.as_ref().is_none_or(|names| age(names) >= NOTICED) {
            match record::names(dir) {
                Ok(names) => {
                    listed.names = Some((now, names.into_iter().collect()));
                    listed.failures.succeeded();
                }
                Err(error) => {
                    if let Some(tell) = listed.failures.failed(words(&error.to_string()), now) {
                        tracing::error!(%error, "can't see who is revoked{tell}");
                    }
                }
            }
        }
        // Nobody is let in while it can't be known.
        listed.names.as_ref().is_none_or(|(_, names)| names.contains(client.as_str()))
    }
}

impl Identity {
    /// Refuses all certificates that a client has, on open connections too. A certificate that it
    /// gets after this is good again. Gives the number of certificates known to be valid so far.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that can't be written.
    pub fn revoke(&self, client: &ClientId, now: UnixTime) -> Result<usize, IdentityError> {
        self.refuse_all(client, RevokedRecord { revoked_at: now.as_secs(), forgotten: false }, now)
    }

    fn refuse_all(
        &self,
        client: &ClientId,
        revoked: RevokedRecord,
        now: UnixTime,
    ) -> Result<usize, IdentityError> {
        let _locked = private_file::lock(&self.dir)?;
        let issued = self.issued_path(client);
        let known: IssuedRecord = record::read(&issued)?.unwrap_or_default();
        record::write(&self.revoked_path(client), &revoked)?;
        private_file::remove(&issued)?;
        private_file::remove(&self.second_host_path(client))?;
        let valid = known.certificates.iter().filter(|it| it.not_after >= now.as_secs());
        Ok(valid.count())
    }

    /// An operator forgot a client at `at`, here or at another collector of the same store: refuses
    /// all certificates that it had by then. To be called again and again.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that can't be written.
    pub fn on_forgotten(&self, client: &ClientId, at: UnixTime) -> Result<(), IdentityError> {
        let revoked: Option<RevokedRecord> = record::read(&self.revoked_path(client))?;
        let forgotten = RevokedRecord { revoked_at: at.as_secs(), forgotten: true };
        let done = |it: &RevokedRecord| *it == forgotten || it.revoked_at > at.as_secs();
        if !revoked.as_ref().is_some_and(done) {
            self.refuse_all(client, forgotten, at)?;
        }
        Ok(())
    }

    /// True if an agent's certificate is refused. Cheap enough to ask about every open connection
    /// every second. Revocations by other processes are noticed within a second.
    #[must_use]
    pub fn is_revoked(&self, agent: &Agent, now: Instant) -> bool {
        self.revocations.names(&self.revoked_dir(), &agent.client, now)
            && self.certificate_revoked(agent)
    }

    /// As [`Self::is_revoked`], from the files as they are now.
    pub(crate) fn certificate_revoked(&self, agent: &Agent) -> bool {
        let revoked = match record::read::<RevokedRecord>(&self.revoked_path(&agent.client)) {
            Ok(revoked) => revoked,
            Err(error) => {
                tracing::error!(%error, client = %agent.client, "refused, since this can't be read");
                return true;
            }
        };
        let Some(revoked) = revoked else { return false };
        if self.ca().is_none() {
            // Of another CA's certificates nothing is known but when their validity begins.
            return agent.validity.not_before.as_secs() <= revoked.revoked_at;
        }
        let issued: IssuedRecord = match record::read(&self.issued_path(&agent.client)) {
            Ok(issued) => issued.unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, client = %agent.client, "refused, since this can't be read");
                return true;
            }
        };
        !issued.certificates.iter().any(|known| known.serial == agent.serial)
    }
}
