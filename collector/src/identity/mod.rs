//! Identity: the collector's own CA or the operator's PKI, how agents get their certificates, and
//! who is who on a connection.
//!
//! In the directory: `ca.pem` and `ca.key`, `server.pem`, `reset.key`, and as small JSON files
//! `tokens/<digest of the secret>`, `issued/<client>`, `revoked/<client>` and
//! `second_hosts/<client>`. Other processes may
//! work on it at the same time: what changes more than one file is done under `lock`.

mod ca;
mod endpoint;
mod enroll;
mod error;
mod exchange;
mod peer;
mod record;
mod revoke;
mod token;

use std::path::{Path, PathBuf};

use quinn::{EndpointConfig, ServerConfig};
use rustls::pki_types::UnixTime;
use wire::id::ClientId;
use wire::pem::TlsFiles;
use wire::private_file;
use wire::token::Token;

use self::ca::Ca;
use self::endpoint::{EndpointKeys, ServerTls};
pub use self::enroll::EnrollError;
pub use self::error::IdentityError;
pub use self::peer::{Agent, CLOSE_REFUSED, Peer, PeerError, on_handshake_error, peer};
pub use self::record::{Issued, SecondHostRecord};
use self::record::{IssuedRecord, RevokedRecord};
use self::revoke::Revocations;
pub use self::token::NewToken;

/// The collector's identity.
#[derive(Debug)]
pub struct Identity {
    dir: PathBuf,
    pki: Pki,
    keys: EndpointKeys,
    revocations: Revocations,
}

/// Who gives certificates.
#[derive(Debug)]
enum Pki {
    /// The collector itself.
    Own(Box<Ca>),
    /// The operator.
    Operator(TlsFiles),
}

/// A client as the identity knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownClient {
    /// Its id.
    pub client: String,
    /// Certificates issued since it was last revoked, oldest first, the expired ones included
    /// until the next is issued.
    pub certificates: Vec<Issued>,
    /// When it was last revoked, seconds since 1970 (UTC).
    pub revoked_at: Option<u64>,
    /// The last second host that was refused under its present certificate.
    pub second_host: Option<SecondHostRecord>,
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
            None => Pki::Own(Box::new(Ca::open(dir, now)?)),
        };
        let keys = EndpointKeys::open(dir)?;
        drop(locked);
        let revocations = Revocations::default();
        let identity = Self { dir: dir.to_owned(), pki, keys, revocations };
        for directory in [
            identity.tokens_dir(),
            identity.issued_dir(),
            identity.revoked_dir(),
            identity.second_hosts_dir(),
        ] {
            private_file::create_directory(&directory)?;
        }
        identity.server_config(now)?;
        Ok(identity)
    }

    /// What quinn is to know to accept connections. The files are read again, and the own CA's
    /// certificate for the collector is renewed when it is due: call it at the start, every hour
    /// and on SIGHUP, and give it to [`quinn::Endpoint::set_server_config`]; open connections
    /// aren't touched.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that is of no use; what was set before stays good.
    pub fn server_config(&self, now: UnixTime) -> Result<ServerConfig, IdentityError> {
        let tls = match &self.pki {
            Pki::Operator(files) => ServerTls::of_files(files)?,
            Pki::Own(ca) => {
                let _locked = private_file::lock(&self.dir)?;
                ServerTls::of_own_ca(&self.dir, ca, now)?
            }
        };
        tls.server_config(&self.keys)
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

    /// Every client that was ever given a certificate or revoked, by id.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that can't be read.
    pub fn clients(&self) -> Result<Vec<KnownClient>, IdentityError> {
        let mut names = record::names(&self.issued_dir())?;
        names.extend(record::names(&self.revoked_dir())?);
        names.extend(record::names(&self.second_hosts_dir())?);
        names.sort();
        names.dedup();
        let known = |client: String| {
            let issued: Option<IssuedRecord> = record::read(&self.issued_dir().join(&client))?;
            let revoked: Option<RevokedRecord> = record::read(&self.revoked_dir().join(&client))?;
            let second_host = record::read(&self.second_hosts_dir().join(&client))?;
            Ok(KnownClient {
                client,
                certificates: issued.unwrap_or_default().certificates,
                revoked_at: revoked.map(|it| it.revoked_at),
                second_host,
            })
        };
        names.into_iter().map(known).collect()
    }

    /// True if a client was ever given a certificate or revoked, and not forgotten since.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that can't be read.
    pub fn knows(&self, client: &ClientId) -> Result<bool, IdentityError> {
        let issued: Option<IssuedRecord> = record::read(&self.issued_path(client))?;
        let revoked: Option<RevokedRecord> = record::read(&self.revoked_path(client))?;
        Ok(issued.is_some() || revoked.is_some_and(|revoked| !revoked.forgotten))
    }

    /// Keeps that a second host was refused, for those who list the clients.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that can't be written.
    pub fn note_second_host(
        &self,
        client: &ClientId,
        second: &SecondHostRecord,
    ) -> Result<(), IdentityError> {
        record::write(&self.second_host_path(client), second)
    }

    /// The CA, if it is the collector's own.
    fn ca(&self) -> Option<&Ca> {
        match &self.pki {
            Pki::Own(ca) => Some(ca),
            Pki::Operator(_) => None,
        }
    }

    fn tokens_dir(&self) -> PathBuf {
        self.dir.join("tokens")
    }

    fn issued_dir(&self) -> PathBuf {
        self.dir.join("issued")
    }

    fn revoked_dir(&self) -> PathBuf {
        self.dir.join("revoked")
    }

    fn second_hosts_dir(&self) -> PathBuf {
        self.dir.join("second_hosts")
    }

    fn second_host_path(&self, client: &ClientId) -> PathBuf {
        self.second_hosts_dir().join(client.as_str())
    }

    fn issued_path(&self, client: &ClientId) -> PathBuf {
        self.issued_dir().join(client.as_str())
    }

    fn revoked_path(&self, client: &ClientId) -> PathBuf {
        self.revoked_dir().join(client.as_str())
    }
}
