//! Reads certificates and private keys from PEM. Errors name the file.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::advice::Advised;
use crate::certificate::{Facts, NotACertificate, NotARevocationList, RevocationList};
use crate::private_file::{self, FileError};

/// Largest file of revocation lists, bytes: about 400,000 certificates.
const LISTS_MAX: u64 = 16 << 20;

/// The files of an operator's PKI: `tls.ca`, `tls.cert`, `tls.key` and `tls.crl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the accepted CAs.
    pub ca: PathBuf,
    /// This program's certificate, followed by the intermediate ones.
    pub cert: PathBuf,
    /// The private key of that certificate.
    pub key: PathBuf,
    /// Revocation lists of the CAs.
    pub crl: Option<PathBuf>,
}

/// Why a PEM file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// It can't be read, or other users can read it.
    #[error(transparent)]
    File(#[from] FileError),
    /// It doesn't contain the expected item.
    #[error("{path} holds no {what}: a PEM file with \"-----BEGIN {label}-----\" is needed{hint}")]
    Absent {
        /// The file.
        path: PathBuf,
        /// The expected item.
        what: &'static str,
        /// The label of its PEM block.
        label: &'static str,
        /// Another possible cause.
        hint: &'static str,
    },
    /// It is invalid.
    #[error("{path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The error, with the remedy.
        #[source]
        error: Advised,
    },
}

/// Bytes among the certificates of a file that are none.
#[derive(Debug, thiserror::Error)]
#[error("certificate {number}")]
struct BadCertificate {
    /// Its place in the file, from 1.
    number: usize,
    #[source]
    error: NotACertificate,
}

/// Bytes among the revocation lists of a file that are none.
#[derive(Debug, thiserror::Error)]
#[error("revocation list {number}")]
struct BadRevocationList {
    /// Its place in the file, from 1.
    number: usize,
    #[source]
    error: NotARevocationList,
}

impl PemError {
    /// The file is invalid because of `error`.
    pub fn damaged(path: &Path, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            error: Advised::new(error, "put the right file there"),
        }
    }
}

/// Reads the certificates of a file, at least one.
///
/// # Errors
/// [`PemError`] names the file.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    certificates(&private_file::read_public(path)?, path)
}

/// The certificates of a PEM text, at least one. Errors name `path` as the source.
///
/// # Errors
/// [`PemError`] names the file.
pub fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found = certificates_beside(pem, path)?;
    if found.is_empty() {
        let (what, label) = ("certificate", "CERTIFICATE");
        return Err(PemError::Absent { path: path.to_owned(), what, label, hint: "" });
    }
    Ok(found)
}

/// The certificates beside other items in a PEM text; there may be none. Errors name `path` as the
/// source.
///
/// # Errors
/// [`PemError`] names the file.
pub fn certificates_beside(
    pem: &[u8],
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found: Result<Vec<_>, _> = rustls_pemfile::certs(&mut &*pem).collect();
    let found = found.map_err(|error| PemError::damaged(path, error))?;
    for (number, der) in (1..).zip(&found) {
        Facts::read(der)
            .map_err(|error| PemError::damaged(path, BadCertificate { number, error }))?;
    }
    Ok(found)
}

/// Reads the revocation lists of a file, at least one.
///
/// # Errors
/// [`PemError`] names the file.
pub fn read_revocation_lists(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    let read_error = |error| PemError::File(FileError::read(path, error));
    let mut text = Vec::new();
    let file = File::open(path).map_err(read_error)?;
    file.take(LISTS_MAX + 1).read_to_end(&mut text).map_err(read_error)?;
    if text.len() as u64 > LISTS_MAX {
        return Err(PemError::damaged(path, format!("it has more than {LISTS_MAX} bytes")));
    }
    let found: Result<Vec<_>, _> = rustls_pemfile::crls(&mut &*text).collect();
    let found = found.map_err(|error| PemError::damaged(path, error))?;
    if found.is_empty() {
        let (what, label) = ("certificate revocation list", "X509 CRL");
        let hint = "; one in DER: openssl crl -inform DER -in CRL -out NEWCRL";
        return Err(PemError::Absent { path: path.to_owned(), what, label, hint });
    }
    for (number, der) in (1..).zip(&found) {
        RevocationList::read(der)
            .map_err(|error| PemError::damaged(path, BadRevocationList { number, error }))?;
    }
    Ok(found)
}

/// Encodes certificates as PEM, one after the other.
#[must_use]
pub fn encode<'a>(certificates: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> String {
    let mut pem = String::new();
    for certificate in certificates {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let base64 = STANDARD.encode(certificate);
        let mut rest = base64.as_str();
        while !rest.is_empty() {
            // Base64 consists of ASCII letters (RFC 7468: 64 per line).
            let (line, after) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

/// Reads the private key of a file that only its owner can read.
///
/// # Errors
/// [`PemError`] names the file. A key that other users can read is refused.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    key(&private_file::read(path)?, path)
}

/// The private key of a PEM text. Errors name `path` as the source.
///
/// # Errors
/// [`PemError`] names the file.
pub fn key(pem: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    let found = rustls_pemfile::private_key(&mut &*pem);
    found.map_err(|error| PemError::damaged(path, error))?.ok_or_else(|| PemError::Absent {
        path: path.to_owned(),
        what: "private key",
        label: "PRIVATE KEY",
        hint: "; an encrypted key must be decrypted first: openssl pkey -in KEY -out NEWKEY",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::InFull as _;

    fn file() -> &'static Path {
        Path::new("/etc/pki/x.pem")
    }

    fn certificate_pem() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()
    }

    #[test]
    fn all_certificates_are_read_in_order() {
        let (first, second) = (certificate_pem(), certificate_pem());
        let both = certificates(format!("# ours\n{first}\n{second}").as_bytes(), file()).unwrap();
        assert_eq!(both[..1], certificates(first.as_bytes(), file()).unwrap());
        assert_eq!(both[1..], certificates(second.as_bytes(), file()).unwrap());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let found = |pem: &str| certificates(pem.as_bytes(), file()).unwrap();
        let both = found(&(certificate_pem() + &certificate_pem()));
        let written = encode(&both);
        assert_eq!(found(&written), both);
        assert!(written.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn a_key_is_found_beside_its_certificate() {
        let key_pair = rcgen::KeyPair::generate().unwrap();
        let both = certificate_pem() + &key_pair.serialize_pem();
        let found = key(both.as_bytes(), file()).unwrap();
        assert_eq!(found.secret_der(), key_pair.serialized_der());
    }

    #[test]
    fn what_is_damaged_or_missing_names_the_file_and_the_way_out() {
        let whole = certificate_pem();
        let cut = &whole[..whole.len() / 2];
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let cases = [
            (certificates(cut.as_bytes(), file()).unwrap_err(), "damaged"),
            (certificates(garbage.as_bytes(), file()).unwrap_err(), "not an X.509 certificate"),
            (certificates(b"hello", file()).unwrap_err(), "BEGIN CERTIFICATE"),
            (key(whole.as_bytes(), file()).unwrap_err(), "decrypted"),
            (key(b"-----BEGIN PRIVATE KEY-----\n%%\n", file()).unwrap_err(), "damaged"),
        ];
        for (error, said) in cases {
            let text = error.in_full().to_string();
            assert!(text.contains("/etc/pki/x.pem") && text.contains(said), "{text}");
        }
        let absent =
            read_certificates(Path::new("/nowhere/x.pem")).unwrap_err().in_full().to_string();
        assert!(absent.contains("/nowhere/x.pem"), "{absent}");
    }
}
