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
use wire::certificate::{Facts, Fingerprint, GENERATION};
use wire::pem;
use wire::private_file;

use super::IdentityError;
use super::record::Issued;

/// File of the CA's certificate.
const CERTIFICATE: &str = "ca.pem";

/// File of the CA's private key.
const KEY: &str = "ca.key";

const DAY: u64 = 86_400;

/// Validity of the CA's certificate, seconds. Those who trust the CA don't look at it.
const CA_LIFE: u64 = 3650 * DAY;

/// Validity of the collector's and of an agent's certificate, seconds.
const LIFE: u64 = 90 * DAY;

/// By how much validity begins before now, seconds: other hosts' clocks may be behind.
const CLOCK_SKEW: u64 = DAY;

/// The CA.
#[derive(Debug)]
pub(super) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// A certificate just issued.
#[derive(Debug)]
pub(super) struct NewCertificate {
    pub pem: String,
    pub der: CertificateDer<'static>,
    pub record: Issued,
}

impl Ca {
    /// Opens the CA in `dir`, or makes one. The directory must be locked.
    pub fn open(dir: &Path, now: UnixTime) -> Result<Self, IdentityError> {
        let (certificate_path, key_path) = (dir.join(CERTIFICATE), dir.join(KEY));
        match (private_file::exists(&certificate_path)?, private_file::exists(&key_path)?) {
            (true, false) => {
                return Err(IdentityError::KeyLost {
                    certificate: certificate_path,
                    key: key_path,
                });
            }
            (true, true) => {}
            (false, with_key) => {
                if !with_key {
                    let key = KeyPair::generate()?;
                    private_file::write(&key_path, key.serialize_pem().as_bytes())?;
                }
                // A certificate made again from the key is as good as the first: it has the same
                // name and key, and that is what agents trust.
                let key = KeyPair::try_from(&pem::read_key(&key_path)?)?;
                let certificate = own_params(&key, now)?.self_signed(&key)?;
                private_file::write_public(&certificate_path, certificate.pem().as_bytes())?;
            }
        }
        Self::load(&certificate_path, &key_path)
    }

    fn load(certificate_path: &Path, key_path: &Path) -> Result<Self, IdentityError> {
        let pem = private_file::read_public(certificate_path)?;
        let certificates = pem::certificates(&pem, certificate_path)?;
        let key = pem::read_key(key_path)?;
        let unusable = |error| IdentityError::Unusable {
            certificate: certificate_path.to_owned(),
            key: key_path.to_owned(),
            error,
        };
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(certificates.clone(), key.clone_key(), &provider)
            .map_err(unusable)?;
        let certificate = certificates
            .into_iter()
            .next()
            .ok_or_else(|| unusable(rustls::Error::NoCertificatesPresented))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, KeyPair::try_from(&key)?)?;
        Ok(Self { issuer, certificate, pem: String::from_utf8_lossy(&pem).into_owned() })
    }

    /// The CA's certificate.
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The CA's certificate as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// By what agents know the CA.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Signs a certificate for an agent, of a generation of its client's, with the key of a signing
    /// request. Nothing else of the request counts.
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
        self.sign(&params, &csr.public_key)
    }

    /// Makes a key and a certificate for the collector: PEM of both.
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

/// Reads a signing request and checks its signature: whoever made it has the key.
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
    // Each CA has a name of its own, or a certificate of another collector's CA would look like
    // a forged one.
    let key_digest = Fingerprint::of(&key.subject_public_key_info()).to_string();
    let name = format!("Network Monitor CA {}", &key_digest[..8]);
    let mut params = params(&name, CA_LIFE, now)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
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
