//! TLS of pages and API: certificate and key from files, which are reloaded regularly.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme,
};
use settings::InFull;
use tokio_rustls::TlsAcceptor;
use wire::advice::Advised;
use wire::certificate::{Facts, utc};
use wire::pem::{self, PemError};

/// When the certificate expires.
const EXPIRY: &str = "netmon_collector_http_certificate_expiry_timestamp_seconds";

/// The files of a certificate: `http.tls.cert` and `http.tls.key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, followed by its intermediates.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why a certificate is unusable.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is unusable.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The two don't match, or TLS doesn't support their kind.
    #[error("{} and {} can't be used", files.cert.display(), files.key.display())]
    Unusable {
        /// The files.
        files: CertificateFiles,
        /// The error of TLS, with the remedy.
        #[source]
        error: Advised,
    },
}

impl TlsError {
    fn unusable(files: &CertificateFiles, error: rustls::Error) -> Self {
        let error = Advised::new(error, "put a certificate and its key there");
        Self::Unusable { files: files.clone(), error }
    }
}

/// TLS of the pages. Clones share it.
#[derive(Debug, Clone)]
pub struct HttpTls {
    files: CertificateFiles,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl HttpTls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] names the file and the remedy.
    pub fn open(files: CertificateFiles) -> Result<Self, TlsError> {
        let config = Arc::new(RwLock::new(read(&files)?));
        Ok(Self { files, config })
    }

    /// Reads the files again for new connections.
    ///
    /// # Errors
    /// [`TlsError`]; the certificate in use stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = read(&self.files)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Reloads without a request; logs errors.
    pub(super) fn renew(&self) {
        if let Err(error) = self.reload() {
            tracing::error!(error = %error.in_full(), "the present HTTPS certificate stays in use");
        }
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }
}

fn read(files: &CertificateFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = pem::read_certificates(&files.cert)?;
    let key = pem::read_key(&files.key)?;
    tell(files, chain.first(), UnixTime::now());
    let config =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config =
        config.and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| TlsError::unusable(files, error))?;
    // HTTP/2 is off, because one connection would carry many requests.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Reports when the certificate expires, and warns if it isn't valid now.
fn tell(files: &CertificateFiles, certificate: Option<&CertificateDer<'_>>, now: UnixTime) {
    let Some(Ok(Facts { validity, .. })) = certificate.map(|it| Facts::read(it)) else { return };
    metrics::describe_gauge!(EXPIRY, "When the HTTPS certificate expires.");
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    metrics::gauge!(EXPIRY).set(validity.not_after.as_secs() as f64);
    if !validity.covers(now) {
        tracing::error!(
            certificate = %files.cert.display(), %validity, clock = utc(now),
            "browsers refuse the pages' certificate; check this host's clock, or put a new one \
             there"
        );
    }
}

/// The TLS config of a client on this host, for any address of the pages. It accepts only the
/// certificate in the file.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn own_client(files: &CertificateFiles) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let certificate = pem::read_certificates(&files.cert)?.swap_remove(0);
    let pinned = Arc::new(Pinned { certificate, provider: provider.clone() });
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| TlsError::unusable(files, error))?;
    let config = config.dangerous().with_custom_certificate_verifier(pinned);
    Ok(config.with_no_client_auth())
}

/// Accepts only this certificate, whatever its names and issuer.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        found: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.certificate == *found {
            return Ok(ServerCertVerified::assertion());
        }
        let why = CertificateError::ApplicationVerificationFailure;
        Err(rustls::Error::InvalidCertificate(why))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
