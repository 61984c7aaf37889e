//! The contents of a certificate: its owner, its serial number and its validity.

use std::fmt;
use std::time::Duration;

use rustls_pki_types::UnixTime;
use sha2::{Digest, Sha256};
use x509_parser::der_parser::oid;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::nom;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use crate::id::{ClientId, InvalidClientId};

/// The name of every collector in certificates of the collector's own CA (DNS, SAN).
pub const COLLECTOR_NAME: &str = "collector.netmon";

/// The part of a subject in which the collector's own CA stores the generation of a client's
/// certificates (X.520, generationQualifier). A revocation starts the next generation.
pub const GENERATION: &[u64] = &[2, 5, 4, 44];

/// SHA-256 of a certificate's DER encoding.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    #[must_use]
    pub fn of(certificate_der: &[u8]) -> Self {
        Self(Sha256::digest(certificate_der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The contents of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Serial number, hexadecimal, unique per CA.
    pub serial: String,
    /// Its validity.
    pub validity: Validity,
    /// The DNS names of its SAN.
    pub dns_names: Vec<String>,
    /// Generation of the client's certificates; 0 if it has none ([`GENERATION`]).
    pub generation: u64,
    /// Its subject, as in the certificate (DER).
    pub subject: Vec<u8>,
    /// Its issuer, as in the certificate (DER).
    pub issuer: Vec<u8>,
    /// SHA-256 of its DER.
    pub fingerprint: Fingerprint,
}

/// The bytes are not an X.509 certificate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("not an X.509 certificate")]
pub struct NotACertificate(#[from] DerError);

/// The bytes are not an X.509 revocation list.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("not an X.509 revocation list")]
pub struct NotARevocationList(#[from] DerError);

/// Why bytes can't be read as DER.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DerError {
    /// They are something else.
    #[error(transparent)]
    Structure(#[from] nom::Err<X509Error>),
    /// An extension can't be.
    #[error(transparent)]
    Extension(#[from] X509Error),
    /// So many more bytes follow.
    #[error("{0} bytes follow it")]
    Followed(usize),
}

/// The certificate doesn't name its client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No name or several.
    #[error("it has {0} DNS names in its SAN; exactly one, the client id, is needed")]
    Count(usize),
    /// A name that is not a client id.
    #[error("the DNS name of its SAN is no client id")]
    ClientId(#[from] InvalidClientId),
}

impl Facts {
    /// The client of the certificate: the single DNS name of its SAN.
    ///
    /// # Errors
    /// [`NameError`] if there is none.
    pub fn client(&self) -> Result<ClientId, NameError> {
        match self.dns_names.as_slice() {
            [name] => Ok(ClientId::new(name)?),
            names => Err(NameError::Count(names.len())),
        }
    }

    /// Parses a certificate in DER. Doesn't check its signature.
    ///
    /// # Errors
    /// [`NotACertificate`] with the reason.
    pub fn read(der: &[u8]) -> Result<Self, NotACertificate> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(DerError::from)?;
        if !rest.is_empty() {
            return Err(DerError::Followed(rest.len()).into());
        }
        let san = certificate.subject_alternative_name().map_err(DerError::from)?;
        let names = san.iter().flat_map(|san| &san.value.general_names);
        let dns = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        let validity = certificate.validity();
        Ok(Self {
            serial: hexadecimal(certificate.raw_serial()),
            validity: Validity {
                not_before: unix_time(validity.not_before),
                not_after: unix_time(validity.not_after),
            },
            dns_names: dns.collect(),
            generation: generation(&certificate),
            subject: certificate.subject().as_raw().to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
            fingerprint: Fingerprint::of(der),
        })
    }
}

/// The contents of a certificate revocation list. Its signature is not checked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// The CA whose certificates are revoked, as in those certificates (DER).
    pub issuer: Vec<u8>,
    /// Serial numbers of the revoked certificates, hexadecimal.
    pub serials: Vec<String>,
    /// When the next list is due, if the list says so.
    pub next_update: Option<UnixTime>,
}

impl RevocationList {
    /// Parses a list in DER.
    ///
    /// # Errors
    /// [`NotARevocationList`] with the reason.
    pub fn read(der: &[u8]) -> Result<Self, NotARevocationList> {
        let (rest, list) = CertificateRevocationList::from_der(der).map_err(DerError::from)?;
        if !rest.is_empty() {
            return Err(DerError::Followed(rest.len()).into());
        }
        let revoked = list.iter_revoked_certificates();
        Ok(Self {
            issuer: list.issuer().as_raw().to_vec(),
            serials: revoked.map(|it| hexadecimal(it.raw_serial())).collect(),
            next_update: list.next_update().map(unix_time),
        })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn generation(certificate: &X509Certificate<'_>) -> u64 {
    let said = certificate.subject().iter_by_oid(&oid!(2.5.4.44)).next();
    said.and_then(|it| it.as_str().ok()).and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// Times before 1970 become 1970.
fn unix_time(time: ASN1Time) -> UnixTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// A time as text, UTC (RFC 3339).
#[must_use]
pub fn utc(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    let at = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    at.map_or_else(|| format!("second {}", time.as_secs()), |at| at.to_string())
}

/// The validity of a certificate, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: UnixTime,
    /// Last second.
    pub not_after: UnixTime,
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {}", utc(self.not_before), utc(self.not_after))
    }
}

impl Validity {
    /// True once two thirds of the lifetime are over: the next certificate should be fetched.
    #[must_use]
    pub fn renew_due(&self, now: UnixTime) -> bool {
        now.as_secs() >= self.due().as_secs()
    }

    /// When two thirds of the lifetime are over.
    #[must_use]
    pub fn due(&self) -> UnixTime {
        let (from, to) = (self.not_before.as_secs(), self.not_after.as_secs());
        let life = to.saturating_sub(from);
        UnixTime::since_unix_epoch(Duration::from_secs(to - life / 3))
    }

    /// True while the certificate is valid.
    #[must_use]
    pub fn covers(&self, now: UnixTime) -> bool {
        now.as_secs() >= self.not_before.as_secs() && !self.is_over(now)
    }

    /// True once the certificate has expired.
    #[must_use]
    pub fn is_over(&self, now: UnixTime) -> bool {
        now.as_secs() > self.not_after.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn renewal_is_due_after_two_thirds_of_the_life() {
        let validity = Validity { not_before: at(1000), not_after: at(1900) };
        assert!(!validity.renew_due(at(0)));
        assert!(!validity.renew_due(at(1599)));
        assert!(validity.renew_due(at(1600)));
        assert!(validity.renew_due(at(5000)));
    }

    #[test]
    fn any_time_has_a_text() {
        assert_eq!(utc(at(1_800_000_000)), "2027-01-15T08:00:00Z");
        assert_eq!(utc(at(u64::MAX)), "second 18446744073709551615");
    }

    #[test]
    fn a_certificate_is_valid_in_its_last_second() {
        let validity = Validity { not_before: at(10), not_after: at(20) };
        assert!(!validity.is_over(at(20)));
        assert!(validity.is_over(at(21)));
    }

    #[test]
    fn a_certificate_is_valid_from_its_first_second_on() {
        let validity = Validity { not_before: at(10), not_after: at(20) };
        assert!(!validity.covers(at(9)) && validity.covers(at(10)) && !validity.covers(at(21)));
        assert_eq!(validity.to_string(), "from 1970-01-01T00:00:10Z to 1970-01-01T00:00:20Z");
    }

    #[test]
    fn a_certificate_that_ends_before_it_begins_is_due_and_harmless() {
        let validity = Validity { not_before: at(20), not_after: at(10) };
        assert!(validity.renew_due(at(10)));
    }

    #[test]
    fn names_serial_and_validity_are_read() {
        let mut params = rcgen::CertificateParams::new(vec!["web-1".to_owned()]).unwrap();
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x12, 0xab]));
        params.not_before = rcgen::date_time_ymd(1970, 1, 2);
        params.not_after = rcgen::date_time_ymd(1970, 1, 3);
        let generation = rcgen::DnType::CustomDnType(GENERATION.to_vec());
        params.distinguished_name.push(generation, "1800000000");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let facts = Facts::read(certificate.der()).unwrap();
        assert_eq!(facts.serial, "12ab");
        assert_eq!(facts.generation, 1_800_000_000);
        assert_eq!(facts.subject, facts.issuer);
        assert_eq!(facts.dns_names, ["web-1"]);
        assert_eq!(facts.client(), Ok(ClientId::new("web-1").unwrap()));
        assert_eq!(facts.validity.not_before, at(86_400));
        assert_eq!(facts.validity.not_after, at(2 * 86_400));
        assert_eq!(facts.fingerprint, Fingerprint::of(certificate.der()));
    }

    #[test]
    fn a_certificate_for_no_name_or_several_or_a_pattern_is_for_no_client() {
        let client = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let params = rcgen::CertificateParams::new(names).unwrap();
            let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            let facts = Facts::read(certificate.der()).unwrap();
            assert_eq!(facts.generation, 0);
            facts.client()
        };
        assert_eq!(client(&[]), Err(NameError::Count(0)));
        assert_eq!(client(&["10.0.0.1"]), Err(NameError::Count(0)));
        assert_eq!(client(&["a", "b"]), Err(NameError::Count(2)));
        assert!(matches!(client(&["*.example"]), Err(NameError::ClientId(_))));
    }

    #[test]
    fn other_bytes_are_no_certificate() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let mut longer = certificate.der().to_vec();
        longer.push(0);
        for bytes in [&b""[..], b"x", &longer, &longer[..100]] {
            assert!(Facts::read(bytes).is_err());
        }
    }
}
