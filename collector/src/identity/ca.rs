//! The collector's own CA: made at the first start, signs the collector's and the agents'
//! certificates.

use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, UnixTime};
use rustls::sign::CertifiedKey;
use wire::certificate::{Facts, Fingerprint, GENERATION, utc};
use wire::pem;
use wire::private_file;

use super::error::IdentityError;
use super::record::Issued;

/// File with copies of the present and the earlier CA's certificate.
const CERTIFICATE: &str = "ca.pem";

/// File of the CA's private key and of all of its certificates.
pub(super) const KEY: &str = "ca.key";

const DAY: u64 = 86_400;

/// Validity of the CA's certificate, seconds. Agents and collectors that trust the CA ignore it.
const CA_LIFE: u64 = 3650 * DAY;

/// Validity of the collector's and of an agent's certificate, seconds.
const LIFE: u64 = 90 * DAY;

/// How long before the present validity begins, seconds, because other hosts' clocks may be behind.
const CLOCK_SKEW: u64 = DAY;

/// The CA. Agents get its certificate when they enrol, and again with each certificate.
#[derive(Debug)]
pub(super) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    earlier: Option<Earlier>,
}

/// The earlier CA, trusted while certificates of it may be valid.
#[derive(Debug)]
struct Earlier {
    root: CertificateDer<'static>,
    /// The present CA's certificate signed by the earlier CA. Agents and collectors that know only the
    /// earlier CA accept certificates of the present one by it.
    voucher: CertificateDer<'static>,
    /// Last second of that certificate's validity.
    until: UnixTime,
}

/// The result of a roll-over.
#[derive(Debug)]
pub struct Rolled {
    /// Fingerprint of the new CA.
    pub fingerprint: Fingerprint,
    /// How long the earlier CA is trusted.
    pub until: UnixTime,
}

/// A certificate just issued.
#[derive(Debug)]
pub(super) struct NewCertificate {
    pub pem: String,
    pub der: CertificateDer<'static>,
    pub record: Issued,
}

impl Ca {
    /// Opens the CA in `dir`, or creates one. The directory must be locked.
    pub fn open(dir: &Path, now: UnixTime) -> Result<Self, IdentityError> {
        let (public, secret) = (dir.join(CERTIFICATE), dir.join(KEY));
        if !private_file::exists(&secret)? {
            if private_file::exists(&public)? {
                return Err(IdentityError::KeyLost { certificate: public, key: secret });
            }
            let key = KeyPair::generate()?;
            let certificate = own_params(&key, now)?.self_signed(&key)?;
            let both = key.serialize_pem() + &certificate.pem();
            private_file::write(&secret, both.as_bytes())?;
        }
        let ca = Self::load(&public, &secret, now)?;
        // A copy for people and for manual connections.
        if pem::read_certificates(&public).ok() != Some(ca.trusted(now)) {
            private_file::write_public(&public, ca.pem(now).as_bytes())?;
        }
        Ok(ca)
    }

    /// One file holds everything, so that a roll-over is atomic: the key, its certificate, and
    /// after a roll-over the cross-certificate and the earlier certificate.
    fn load(public: &Path, secret: &Path, now: UnixTime) -> Result<Self, IdentityError> {
        let text = private_file::read(secret)?;
        let key = pem::key(&text, secret)?;
        let mut found = pem::certificates_beside(&text, secret)?.into_iter();
        let certificate = match found.next() {
            Some(certificate) => certificate,
            // An older release kept it in a separate file. A certificate made again from the key is
            // equivalent, because agents trust its name and key.
            None if private_file::exists(public)? => pem::read_certificates(public)?.remove(0),
            None => {
                let key = KeyPair::try_from(&key)?;
                own_params(&key, now)?.self_signed(&key)?.into()
            }
        };
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(vec![certificate.clone()], key.clone_key(), &provider).map_err(
            |error| IdentityError::Unusable {
                certificate: secret.to_owned(),
                key: secret.to_owned(),
                error,
            },
        )?;
        let earlier = match (found.next(), found.next()) {
            (Some(voucher), Some(root)) => {
                let until = Facts::read(&voucher).map(|facts| facts.validity.not_after);
                let until = until.map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
                Some(Earlier { root, voucher, until })
            }
            _ => None,
        };
        let issuer = Issuer::from_ca_cert_der(&certificate, KeyPair::try_from(&key)?)?;
        Ok(Self { issuer, certificate, earlier })
    }

    /// Creates a new CA to replace the one in `dir`. The old CA signs the new one and stays trusted
    /// until its last known certificate has expired, `certificates_end` included. The directory must be
    /// locked.
    pub fn roll(
        dir: &Path,
        certificates_end: UnixTime,
        now: UnixTime,
    ) -> Result<Rolled, IdentityError> {
        let present = Self::open(dir, now)?;
        if let Some(Earlier { until, .. }) = present.earlier(now) {
            return Err(IdentityError::RollingOver(utc(*until)));
        }
        let key = KeyPair::generate()?;
        let certificate = own_params(&key, now)?.self_signed(&key)?;
        // Other collectors may sign with the old CA for some hours.
        let life = now.as_secs().saturating_add(LIFE).max(certificates_end.as_secs());
        let until = Duration::from_secs(life.saturating_add(DAY));
        let mut voucher = own_params(&key, now)?;
        voucher.not_after = rcgen::date_time_ymd(1970, 1, 1) + until;
        voucher.use_authority_key_identifier_extension = true;
        let voucher = voucher.signed_by(&key, &present.issuer)?.into();
        let certificate: CertificateDer<'static> = certificate.into();
        let fingerprint = Fingerprint::of(&certificate);
        let all = pem::encode(&[certificate, voucher, present.certificate]);
        private_file::write(&dir.join(KEY), (key.serialize_pem() + &all).as_bytes())?;
        Self::open(dir, now)?;
        Ok(Rolled { fingerprint, until: UnixTime::since_unix_epoch(until) })
    }

    /// The earlier CA, while it is trusted; again if a wrong clock is corrected.
    fn earlier(&self, now: UnixTime) -> Option<&Earlier> {
        self.earlier.as_ref().filter(|it| now.as_secs() <= it.until.as_secs())
    }

    /// The CAs whose certificates are accepted, the present one first.
    pub fn trusted(&self, now: UnixTime) -> Vec<CertificateDer<'static>> {
        let earlier = self.earlier(now).map(|it| it.root.clone());
        [self.certificate.clone()].into_iter().chain(earlier).collect()
    }

    /// The certificates that a collector sends after its own, because hosts that enrol know a CA only
    /// by its fingerprint.
    pub fn chain(&self, now: UnixTime) -> Vec<CertificateDer<'static>> {
        let voucher = self.earlier(now).map(|it| it.voucher.clone());
        voucher.into_iter().chain(self.trusted(now)).collect()
    }

    /// The certificates of [`Self::trusted`] as PEM.
    pub fn pem(&self, now: UnixTime) -> String {
        pem::encode(&self.trusted(now))
    }

    /// The present CA alone.
    pub fn present_pem(&self) -> String {
        pem::encode([&self.certificate])
    }

    /// True if it has signed a certificate, by the issuer's name.
    pub fn has_signed(&self, facts: &Facts) -> bool {
        Facts::read(&self.certificate).is_ok_and(|own| own.subject == facts.issuer)
    }

    /// Last second of its own certificate.
    pub fn ends(&self) -> Option<UnixTime> {
        Facts::read(&self.certificate).ok().map(|facts| facts.validity.not_after)
    }

    /// Fingerprint of the CA.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Signs a certificate for an agent, with a generation and the key of a signing request. Ignores
    /// the rest of the request.
    pub fn sign_client(
        &self,
        name: &str,
        csr: &CertificateSigningRequestParams,
        generation: u64,
        now: UnixTime,
    ) -> Result<NewCertificate, IdentityError> {
        let mut params = leaf(name, ExtendedKeyUsagePurpose::ClientAuth, now)?;
        let kind = DnType::CustomDnType(GENERATION.to_vec());
        params.distinguished_name.push(kind, generation.to_string());
        let mut made = self.sign(&params, &csr.public_key)?;
        // Collectors that know only the earlier CA accept it too.
        made.pem.push_str(&pem::encode(self.earlier(now).map(|it| &it.voucher)));
        Ok(made)
    }

    /// Creates a key and a certificate for the collector; returns both as PEM.
    pub fn make_server(&self, name: &str, now: UnixTime) -> Result<String, IdentityError> {
        let key = KeyPair::generate()?;
        let params = leaf(name, ExtendedKeyUsagePurpose::ServerAuth, now)?;
        let signed = self.sign(&params, &key)?;
        Ok(signed.pem + &key.serialize_pem())
    }

    fn sign(
        &self,
        params: &CertificateParams,
        public_key: &impl PublicKeyData,
    ) -> Result<NewCertificate, IdentityError> {
        let certificate = params.signed_by(public_key, &self.issuer)?;
        let facts =
            Facts::read(certificate.der()).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
        let record = Issued {
            serial: facts.serial,
            not_before: facts.validity.not_before.as_secs(),
            not_after: facts.validity.not_after.as_secs(),
        };
        Ok(NewCertificate { pem: certificate.pem(), der: certificate.into(), record })
    }
}

/// Reads a signing request, and checks by its signature that the sender has the key.
pub(super) fn read_csr(der: &[u8]) -> Result<CertificateSigningRequestParams, rcgen::Error> {
    CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der))
}

fn leaf(
    name: &str,
    usage: ExtendedKeyUsagePurpose,
    now: UnixTime,
) -> Result<CertificateParams, IdentityError> {
    let mut params = params("Network Monitor", LIFE, now)?;
    params.subject_alt_names = vec![SanType::DnsName(name.try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn own_params(key: &KeyPair, now: UnixTime) -> Result<CertificateParams, IdentityError> {
    // Each CA has its own name; otherwise a certificate of another collector's CA would look forged.
    let key_digest = Fingerprint::of(&key.subject_public_key_info()).to_string();
    let name = format!("Network Monitor CA {}", &key_digest[..8]);
    let mut params = params(&name, CA_LIFE, now)?;
    // One level more than needed for its own certificates, because it also signs its successor.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn params(common_name: &str, life: u64, now: UnixTime) -> Result<CertificateParams, IdentityError> {
    let at = |seconds| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    let mut serial = [0; 16];
    getrandom::fill(&mut serial)?;
    // Positive and never zero.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = at(now.as_secs().saturating_sub(CLOCK_SKEW));
    params.not_after = at(now.as_secs().saturating_add(life));
    Ok(params)
}
