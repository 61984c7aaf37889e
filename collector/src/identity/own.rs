//! The collector's own identity: its CA, or the operator's PKI, and what is known of clients.

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
use super::stamp::{Stamp, Watched};
use super::token::{self, NewToken, OpenTokens};

/// The collector's identity.
#[derive(Debug)]
pub struct Identity {
    pub(super) dir: PathBuf,
    pub(super) records: ClientRecords,
    pub(super) pki: Pki,
    pub(super) keys: EndpointKeys,
    pub(super) revocations: Revocations,
    pub(super) files: Mutex<Watched<Vec<Option<Stamp>>>>,
}

/// Who gives certificates.
#[derive(Debug)]
pub(super) enum Pki {
    /// The collector itself.
    Own(RwLock<Arc<Ca>>),
    /// The operator.
    Operator(TlsFiles),
}

impl Identity {
    /// Opens the identity in `dir`. At the first time the directory, a CA and the collector's
    /// certificate are made; with `tls` the operator's own PKI takes their place.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that is missing, damaged or can be read by others.
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

    /// The config to accept connections. The files are read again, and the own CA's certificate for
    /// the collector is renewed when it is due: call it at the start, every hour, on SIGHUP and
    /// after [`Self::files_changed`], and give it to [`quinn::Endpoint::set_server_config`]; open
    /// connections aren't touched.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that is of no use; what was set before stays good.
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

    /// Makes a new CA in place of the one in `dir`, which stays trusted while certificates of it live.
    /// A collector that runs takes it up by itself; agents learn of it with their next certificates.
    ///
    /// # Errors
    /// [`IdentityError::RollingOver`] while the CA before is still trusted,
    /// [`IdentityError::NoCa`] if there is none; otherwise it names the file.
    pub fn roll_ca(dir: &Path, now: UnixTime) -> Result<Rolled, IdentityError> {
        let key = dir.join(ca::KEY);
        if !private_file::exists(&key)? {
            return Err(IdentityError::NoCa(key));
        }
        let _locked = private_file::lock(dir)?;
        let end = ClientRecords::at(dir).latest_end()?;
        Ca::roll(dir, end, now)
    }

    /// True if files of certificates were changed since this was last asked: give what
    /// [`Self::server_config`] makes of them to the endpoint then. Cheap enough for every second.
    #[must_use]
    pub fn files_changed(&self) -> bool {
        let files = match &self.pki {
            Pki::Operator(TlsFiles { ca, cert, key, crl }) => {
                [ca, cert, key].into_iter().chain(crl).cloned().collect()
            }
            Pki::Own(_) => vec![self.dir.join(ca::KEY)],
        };
        // What can't be looked at is told when it is read.
        let stamps = files.iter().map(|file| Stamp::of(file).ok()).collect();
        self.files.lock().unwrap_or_else(PoisonError::into_inner).changed(stamps)
    }

    /// What quinn is to know of the endpoint: its keys stay the same over restarts, so that agents
    /// notice a restart at once.
    #[must_use]
    pub fn endpoint_config(&self) -> EndpointConfig {
        self.keys.endpoint_config()
    }

    /// Makes a token. It is good at once, for a collector that runs already too.
    ///
    /// # Errors
    /// [`IdentityError::OperatorPki`] if certificates come from elsewhere, else it names the file.
    pub fn new_token(&self, new: NewToken, now: UnixTime) -> Result<Token, IdentityError> {
        let ca = self.ca().ok_or(IdentityError::OperatorPki)?;
        let _locked = private_file::lock(&self.dir)?;
        token::make(&self.tokens_dir(), ca.fingerprint(), new, now)
    }

    /// The tokens that can still be used, as far as this directory knows.
    ///
    /// # Errors
    /// [`IdentityError`] names the directory that can't be read.
    pub fn open_tokens(&self, now: UnixTime) -> Result<OpenTokens, IdentityError> {
        token::open(&self.tokens_dir(), now)
    }

    /// Cancels a token, by the digest of its secret. False if it was used up meanwhile.
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
