//! The agent's credentials and whom it trusts: from enrolment or from the operator's PKI.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quinn::ClientConfig;
use rcgen::{CertificateParams, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use settings::InFull;
use wire::advice::Advised;
use wire::certificate::{COLLECTOR_NAME, Facts, Validity, utc};
use wire::id::ClientId;
use wire::pem::{self, PemError, TlsFiles};
use wire::private_file;

use super::error::IdentityError;
use super::tls;

/// Who gave the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pki {
    /// The collector, by enrolment.
    Collector,
    /// The operator.
    Operator,
}

impl Pki {
    /// What to do if the certificate can't be used.
    const fn fix(self) -> &'static str {
        match self {
            Self::Collector => {
                "get a token by `collector token --client ID --replace`, with the id of this \
                 client, and run: agent enroll TOKEN"
            }
            Self::Operator => "correct tls.ca, tls.cert and tls.key, or the files",
        }
    }
}

/// The agent's credentials.
#[derive(Debug)]
pub struct Credentials {
    pki: Pki,
    client: ClientId,
    validity: Validity,
    key: PrivateKeyDer<'static>,
    config: ClientConfig,
}

/// The contents of the three files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pem<'a> {
    pub ca: &'a [u8],
    pub cert: &'a [u8],
    pub key: &'a [u8],
}

/// The files of an enrolment in `dir`. `key.pem` has the certificate too, after the key: both change
/// at once. `cert.pem` is a copy for people, and the certificate of a key that has none beside it.
pub(super) fn enrolled_files(dir: &Path) -> TlsFiles {
    TlsFiles {
        ca: dir.join("ca.pem"),
        cert: dir.join("cert.pem"),
        key: dir.join("key.pem"),
        crl: None,
    }
}

impl Credentials {
    /// Loads what enrolment left in `dir`, or the operator's own `tls` files. Load it again before
    /// each connection: the files may have been replaced.
    ///
    /// # Errors
    /// [`IdentityError`] says what is missing, damaged, expired or readable by others, and what to
    /// do.
    pub fn load(dir: &Path, tls: Option<&TlsFiles>, now: UnixTime) -> Result<Self, IdentityError> {
        let (files, pki) = match tls {
            Some(files) => (files.clone(), Pki::Operator),
            None => (enrolled_files(dir), Pki::Collector),
        };
        let mut files = files;
        if pki == Pki::Collector && !private_file::exists(&files.key)? {
            return Err(IdentityError::NotEnrolled(files.key));
        }
        let key = private_file::read(&files.key)?;
        let cert = if pki == Pki::Collector && has_certificate(&key, &files.key)? {
            files.cert.clone_from(&files.key);
            key.clone()
        } else {
            private_file::read_public(&files.cert)?
        };
        let ca = private_file::read_public(&files.ca)?;
        let loaded = Self::parse(&files, pki, Pem { ca: &ca, cert: &cert, key: &key })?;
        if loaded.validity.is_over(now) {
            let at = utc(loaded.validity.not_after);
            let (now, fix) = (utc(now), pki.fix());
            return Err(IdentityError::Expired { path: files.cert, at, now, fix });
        }
        Ok(loaded)
    }

    /// Credentials from the contents of an enrolment's files. Errors name the files.
    pub(super) fn of_enrollment(files: &TlsFiles, pem: Pem<'_>) -> Result<Self, IdentityError> {
        Self::parse(files, Pki::Collector, pem)
    }

    fn parse(files: &TlsFiles, pki: Pki, pem: Pem<'_>) -> Result<Self, IdentityError> {
        let TlsFiles { ca: ca_path, cert: path, key: key_path, crl } = files;
        let unusable = |error: rustls::Error| IdentityError::Unusable {
            certificate: path.clone(),
            key: key_path.clone(),
            error: Advised::new(error, pki.fix()),
        };
        let chain = pem::certificates(pem.cert, path)?;
        let first = chain.first().map_or(&[][..], |certificate| certificate.as_ref());
        let facts = Facts::read(first)
            .map_err(|error| IdentityError::Certificate { path: path.clone(), error })?;
        let client =
            facts.client().map_err(|error| IdentityError::Name { path: path.clone(), error })?;
        let key = pem::key(pem.key, key_path)?;
        let mut roots = RootCertStore::empty();
        for certificate in pem::certificates(pem.ca, ca_path)? {
            roots.add(certificate).map_err(|error| PemError::damaged(ca_path, error))?;
        }
        let revoked = crl.as_deref().map(pem::read_revocation_lists).transpose()?;
        let revoked = revoked.unwrap_or_default();
        let config = tls::client_config(Arc::new(roots), revoked, chain, key.clone_key());
        let config = config.map_err(unusable)?;
        Ok(Self { pki, client, validity: facts.validity, key, config })
    }

    /// Who the agent is, by its certificate.
    #[must_use]
    pub const fn client(&self) -> &ClientId {
        &self.client
    }

    /// How long the certificate is valid.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.validity
    }

    /// The name that the collector at `host` must prove to have.
    #[must_use]
    pub const fn server_name<'a>(&self, host: &'a str) -> &'a str {
        match self.pki {
            Pki::Collector => COLLECTOR_NAME,
            Pki::Operator => host,
        }
    }

    /// The QUIC config to connect by [`wire::ALPN`], or by an earlier protocol to an older collector.
    #[must_use]
    pub fn client_config(&self) -> ClientConfig {
        self.config.clone()
    }

    /// True once the next certificate is due ([`super::renew`]). Never with the operator's own PKI.
    #[must_use]
    pub fn renew_due(&self, now: UnixTime) -> bool {
        self.pki == Pki::Collector && self.validity.renew_due(now)
    }

    /// How long to wait before checking again whether the next certificate is due, or asking again.
    #[must_use]
    pub fn look_in(&self, now: UnixTime) -> Duration {
        look_in(self.validity, now)
    }

    /// True if these are of the same key.
    pub(super) fn same_key(&self, other: &Self) -> bool {
        self.key.secret_der() == other.key.secret_der()
    }
}

/// At most an hour, because the clock may be stepped. Once it is due, a tenth of the time that is
/// left, so that even a certificate of a minute is renewed in time.
fn look_in(validity: Validity, now: UnixTime) -> Duration {
    const RANGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
    let until = |end: UnixTime| end.as_secs().saturating_sub(now.as_secs());
    let seconds = match until(validity.due()) {
        0 => until(validity.not_after) / 10,
        until => until,
    };
    Duration::from_secs(seconds).clamp(RANGE.0, RANGE.1)
}

/// True if a certificate stands beside a key.
fn has_certificate(key: &[u8], path: &Path) -> Result<bool, PemError> {
    Ok(!pem::certificates_beside(key, path)?.is_empty())
}

/// Stores what an enrolment or renewal gave: first the CAs, then key and certificate at once, in
/// one file. If it is interrupted anywhere, either the old or the new pair can be used. The
/// directory must be locked.
pub(super) fn keep(files: &TlsFiles, pem: Pem<'_>) -> Result<(), IdentityError> {
    private_file::write_public(&files.ca, pem.ca)?;
    private_file::write(&files.key, &[pem.key, pem.cert].concat())?;
    if let Err(error) = private_file::write_public(&files.cert, pem.cert) {
        tracing::warn!(error = %error.in_full(), "the copy of the certificate is an old one");
    }
    Ok(())
}

/// A signing request, DER, without a subject: the collector decides what is in a certificate.
pub(super) fn signing_request(key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    Ok(CertificateParams::default().serialize_request(key)?.der().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn a_certificate_is_looked_after_as_often_as_its_life_asks_for() {
        let day = 86_400;
        let long = Validity { not_before: at(0), not_after: at(90 * day) };
        let short = Validity { not_before: at(1000), not_after: at(1060) };
        for (validity, now, seconds) in [
            (long, 0, 3600),
            (long, 60 * day - 5, 5),
            (long, 61 * day, 3600),
            (long, 100 * day, 1),
            (short, 1000, 40),
            (short, 1040, 2),
            (short, 1059, 1),
            (short, 0, 1040),
        ] {
            let looked = look_in(validity, at(now));
            assert_eq!(looked, Duration::from_secs(seconds), "{validity} at {now}");
        }
    }
}
