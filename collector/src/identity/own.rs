//! The collector's own identity: its CA or the operator's PKI, and the records of clients.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use quinn::{EndpointConfig, ServerConfig};
use rustls::pki_types::UnixTime;
use wire::pem::TlsFiles;
use wire::private_file;
use wire::token::Token;

use super::ca::{self, Ca, Rolled};
use super::clients::ClientRecords;
use super::endpoint::{EndpointKeys, ServerTls};
use super::error::IdentityError;
use super::revocations::Revocations;
use super::stamp::{Stamp, StampedFile};
use super::token::{self, NewToken, OpenTokens};

/// The collector's identity.
#[derive(Debug)]
pub struct Identity {
    pub(super) dir: PathBuf,
    pub(super) records: ClientRecords,
    pub(super) pki: Pki,
    pub(super) keys: EndpointKeys,
    pub(super) revocations: Revocations,
    pub(super) files: Mutex<StampedFile<Vec<Option<Stamp>>>>,
}

/// The issuer of certificates.
#[derive(Debug)]
pub(super) enum Pki {
    /// The collector itself.
    Own(RwLock<Arc<Ca>>),
    /// The operator.
    Operator(TlsFiles),
}

impl Identity {
    /// Opens the identity in `dir`. The first time, creates the directory, a CA and the collector's
    /// certificate; with `tls` the operator's own PKI is used instead of the latter two.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that is missing, damaged or readable by others.
    pub fn open(dir: &Path, tls: Option<&TlsFiles>, now: UnixTime) -> Result<Self, IdentityError> {
        private_file::create_directory(dir)?;
        let locked = private_file::lock(dir)?;
        let pki = match tls {
            Some(files) => Pki::Operator(files.clone()),
            None => Pki::Own(RwLock::new(Arc::new(Ca::open(dir, now)?))),
        };
        let keys = EndpointKeys::open(dir)?;
        drop(locked);
        let identity = Self {
            dir: dir.to_owned(),
            records: ClientRecords::at(dir),
            pki,
            keys,
            revocations: Revocations::default(),
            files: Mutex::default(),
        };
        for directory in
            [identity.tokens_dir(), identity.records.issued_dir(), identity.records.revoked_dir()]
        {
            private_file::create_directory(&directory)?;
        }
        identity.server_config(now)?;
        Ok(identity)
    }

    /// The config for accepting connections. Reads the files again, and renews the collector's
    /// certificate of its own CA when due. Call it at the start, every hour, on SIGHUP and after
    /// [`Self::files_changed`], and pass the result to [`quinn::Endpoint::set_server_config`]; open
    /// connections are unaffected.
    ///
    /// # Errors
    /// [`IdentityError`] names the unusable file; the config in use stays valid.
    pub fn server_config(&self, now: UnixTime) -> Result<ServerConfig, IdentityError> {
        let tls = match &self.pki {
            Pki::Operator(files) => {
                let tls = ServerTls::of_files(files)?;
                self.revocations.listed_by_operator(tls.revoked());
                tls
            }
            Pki::Own(ca) => {
                let _locked = private_file::lock(&self.dir)?;
                let found = Arc::new(Ca::open(&self.dir, now)?);
                let tls = ServerTls::of_own_ca(&self.dir, &found, now)?;
                *ca.write().unwrap_or_else(PoisonError::into_inner) = found;
                tls
            }
        };
        tls.server_config(&self.keys)
    }

    /// Creates a new CA to replace the one in `dir`, which stays trusted while its certificates are
    /// valid. A running collector switches to it by itself; agents learn it with their next
    /// certificates.
    ///
    /// # Errors
    /// [`IdentityError::RollingOver`] while the earlier CA is still trusted, [`IdentityError::NoCa`] if
    /// there is none; otherwise it names the file.
    pub fn roll_ca(dir: &Path, now: UnixTime) -> Result<Rolled, IdentityError> {
        let key = dir.join(ca::KEY);
        if !private_file::exists(&key)? {
            return Err(IdentityError::NoCa(key));
        }
        let _locked = private_file::lock(dir)?;
        let end = ClientRecords::at(dir).latest_end()?;
        Ca::roll(dir, end, now)
    }

    /// True if files of certificates have changed since the last call; then pass a new
    /// [`Self::server_config`] to the endpoint. Cheap enough for every second.
    #[must_use]
    pub fn files_changed(&self) -> bool {
        let files = match &self.pki {
            Pki::Operator(TlsFiles { ca, cert, key, crl }) => {
                [ca, cert, key].into_iter().chain(crl).cloned().collect()
            }
            Pki::Own(_) => vec![self.dir.join(ca::KEY)],
        };
        // Errors are reported when the file is read.
        let stamps = files.iter().map(|file| Stamp::of(file).ok()).collect();
        self.files.lock().unwrap_or_else(PoisonError::into_inner).changed(stamps)
    }

    /// The endpoint config for quinn. Its keys survive restarts, so agents notice a restart at once.
    #[must_use]
    pub fn endpoint_config(&self) -> EndpointConfig {
        self.keys.endpoint_config()
    }

    /// Creates a token. It is valid at once, also for a running collector.
    ///
    /// # Errors
    /// [`IdentityError::OperatorPki`] if this collector issues no certificates; otherwise it names the
    /// file.
    pub fn new_token(&self, new: NewToken, now: UnixTime) -> Result<Token, IdentityError> {
        let ca = self.ca().ok_or(IdentityError::OperatorPki)?;
        let _locked = private_file::lock(&self.dir)?;
        token::make(&self.tokens_dir(), ca.fingerprint(), new, now)
    }

    /// The tokens that can still be used, according to this directory.
    ///
    /// # Errors
    /// [`IdentityError`] names the unreadable directory.
    pub fn open_tokens(&self, now: UnixTime) -> Result<OpenTokens, IdentityError> {
        token::open(&self.tokens_dir(), now)
    }

    /// Cancels a token by the digest of its secret. False if it was used up in the meantime.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that can't be removed.
    pub fn cancel_token(&self, digest: &str) -> Result<bool, IdentityError> {
        let _locked = private_file::lock(&self.dir)?;
        Ok(private_file::remove(&token::path(&self.tokens_dir(), digest))?)
    }

    /// The CA, if it is the collector's own.
    pub(super) fn ca(&self) -> Option<Arc<Ca>> {
        match &self.pki {
            Pki::Own(ca) => Some(ca.read().unwrap_or_else(PoisonError::into_inner).clone()),
            Pki::Operator(_) => None,
        }
    }

    pub(super) fn tokens_dir(&self) -> PathBuf {
        self.dir.join("tokens")
    }
}
