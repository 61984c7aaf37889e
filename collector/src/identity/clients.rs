//! The directory's records of clients: small files, one per client, independent of each other. Reading
//! and writing them needs no CA.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use settings::InFull;
use wire::id::ClientId;
use wire::private_file;

use super::error::IdentityError;
use super::record::{self, Issued, IssuedRecord, Revocation};

/// Number of certificates kept per client: the present one, its successor, and some whose answer was
/// lost.
/// answer was lost.
const KEPT: usize = 4;

/// The records of clients in an identity's directory. Other processes may use them too.
#[derive(Debug, Clone)]
pub struct ClientRecords {
    dir: PathBuf,
}

/// A client as the identity knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownClient {
    /// Its id.
    pub client: String,
    /// The newest certificates that this collector has issued to it since its last revocation, oldest
    /// first. Expired ones stay until the next is issued.
    pub certificates: Vec<Issued>,
    /// When it was last revoked, seconds since 1970 (UTC).
    pub revoked_at: Option<u64>,
    /// Its unreadable records, with the remedy.
    pub damaged: Vec<String>,
}

impl ClientRecords {
    /// The records in the identity's directory `dir`, which may not exist yet.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Lists every client that ever got a certificate or was revoked, by id. Reports an unreadable
    /// record without hiding the others.
    ///
    /// # Errors
    /// [`IdentityError`] names the unreadable directory.
    pub fn list(&self) -> Result<Vec<KnownClient>, IdentityError> {
        let mut names = Vec::new();
        for directory in [self.issued_dir(), self.revoked_dir()] {
            if private_file::exists(&directory)? {
                names.extend(record::names(&directory)?);
            }
        }
        names.sort();
        names.dedup();
        Ok(names.into_iter().map(|client| self.known(client)).collect())
    }

    fn known(&self, client: String) -> KnownClient {
        let mut known = KnownClient { client, ..KnownClient::default() };
        let name = known.client.clone();
        match record::read::<IssuedRecord>(&self.issued_dir().join(&name)) {
            Ok(issued) => known.certificates = issued.unwrap_or_default().certificates,
            Err(error) => {
                known.damaged.push(format!("{}; its next certificate replaces it", error.in_full()))
            }
        }
        match record::read::<Revocation>(&self.revoked_dir().join(&name)) {
            Ok(revoked) => {
                let revoked = revoked.filter(|it| !it.replaced || !known.certificates.is_empty());
                known.revoked_at = revoked.map(|it| it.revoked_at);
            }
            Err(error) => known.damaged.push(refused_until(&error, &name)),
        }
        known
    }

    /// True if a client ever got a certificate or was revoked, and was not forgotten since. A client
    /// with an unreadable record counts as known.
    ///
    /// # Errors
    /// [`IdentityError`] names the unreadable directory.
    pub fn knows(&self, client: &ClientId) -> Result<bool, IdentityError> {
        let revoked = match self.revocation(client) {
            Ok(revoked) => revoked.is_some_and(|revoked| !revoked.forgotten),
            Err(_) => true,
        };
        Ok(revoked || private_file::exists(&self.issued_path(client))?)
    }

    /// Refuses all present certificates of a client, on open connections too. Later certificates are
    /// valid again. This writes a single file and works even if others are damaged.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that can't be written.
    pub fn revoke(&self, client: &ClientId, now: UnixTime) -> Result<Revocation, IdentityError> {
        private_file::create_directory(&self.dir)?;
        let _locked = private_file::lock(&self.dir)?;
        let revocation = Revocation::after(self.revocation(client).ok().flatten().as_ref(), now);
        self.refuse_earlier(client, &revocation)?;
        Ok(revocation)
    }

    /// An operator forgot a client at `at`, here or at another collector of the store. Refuses all
    /// certificates that it had by then. May be repeated.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that can't be written.
    pub fn on_forgotten(&self, client: &ClientId, at: UnixTime) -> Result<(), IdentityError> {
        private_file::create_directory(&self.dir)?;
        let _locked = private_file::lock(&self.dir)?;
        let known = self.revocation(client).ok().flatten();
        let done = |it: &Revocation| {
            it.revoked_at > at.as_secs() || (it.forgotten && it.revoked_at == at.as_secs())
        };
        if known.as_ref().is_some_and(done) {
            return Ok(());
        }
        let revocation = Revocation { forgotten: true, ..Revocation::after(known.as_ref(), at) };
        self.refuse_earlier(client, &revocation)
    }

    /// Takes over a revocation from another collector of the store, unless it is known already.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that can't be written.
    pub fn merge(&self, client: &ClientId, revoked: &Revocation) -> Result<bool, IdentityError> {
        let _locked = private_file::lock(&self.dir)?;
        let known = self.revocation(client).ok().flatten();
        let news = known.is_none_or(|known| known.generation < revoked.generation);
        if news {
            self.refuse_earlier(client, revoked)?;
        }
        Ok(news)
    }

    /// Keeps a new certificate and a few earlier unexpired ones, for lists of clients. `presented` is
    /// the serial number of the certificate used to ask for the new one. Replaces an unreadable list.
    pub(super) fn note_issued(
        &self,
        client: &ClientId,
        made: Issued,
        presented: Option<&str>,
        now: UnixTime,
    ) -> Result<(), IdentityError> {
        let path = self.issued_path(client);
        let known: Option<IssuedRecord> = record::read(&path).unwrap_or_else(|error| {
            tracing::warn!(error = %error.in_full(), %client, "a list of certificates starts again, empty");
            None
        });
        let mut certificates = known.unwrap_or_default().certificates;
        certificates.retain(|known| known.not_after >= now.as_secs());
        while certificates.len() >= KEPT {
            let oldest = certificates.iter().position(|it| Some(&*it.serial) != presented);
            certificates.remove(oldest.unwrap_or(0));
        }
        certificates.push(made);
        record::write(&path, &IssuedRecord { certificates })
    }

    /// Refuses a client's certificates of earlier generations. The directory must be locked.
    pub(super) fn refuse_earlier(
        &self,
        client: &ClientId,
        revocation: &Revocation,
    ) -> Result<(), IdentityError> {
        private_file::create_directory(&self.revoked_dir())?;
        record::write(&self.revoked_path(client), revocation)?;
        // From here on it is revoked. The next step only removes a list of invalid certificates.
        if let Err(error) = private_file::remove(&self.issued_path(client)) {
            tracing::warn!(error = %error.in_full(), %client, "left behind by a revocation");
        }
        Ok(())
    }

    /// The newest revocation of a client.
    pub(super) fn revocation(
        &self,
        client: &ClientId,
    ) -> Result<Option<Revocation>, IdentityError> {
        record::read(&self.revoked_path(client))
    }

    /// True if the list of a client contains this serial number.
    pub(super) fn has_issued(
        &self,
        client: &ClientId,
        serial: &str,
    ) -> Result<bool, IdentityError> {
        let issued: Option<IssuedRecord> = record::read(&self.issued_path(client))?;
        Ok(issued.is_some_and(|it| it.certificates.iter().any(|known| known.serial == serial)))
    }

    /// The latest expiry of all known certificates issued by this collector.
    pub(super) fn latest_end(&self) -> Result<UnixTime, IdentityError> {
        let certificates = self.list()?.into_iter().flat_map(|known| known.certificates);
        let end = certificates.map(|it| it.not_after).max().unwrap_or(0);
        Ok(UnixTime::since_unix_epoch(Duration::from_secs(end)))
    }

    pub(super) fn issued_dir(&self) -> PathBuf {
        self.dir.join("issued")
    }

    pub(super) fn revoked_dir(&self) -> PathBuf {
        self.dir.join("revoked")
    }

    fn issued_path(&self, client: &ClientId) -> PathBuf {
        self.issued_dir().join(client.as_str())
    }

    fn revoked_path(&self, client: &ClientId) -> PathBuf {
        self.revoked_dir().join(client.as_str())
    }
}

/// The text about an unreadable revocation.
pub(super) fn refused_until(error: &IdentityError, client: &str) -> String {
    format!(
        "{}; {client} is refused until then; or have it enrol again: collector token --client \
         {client} --replace",
        error.in_full()
    )
}
