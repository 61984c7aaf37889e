//! TLS of this program as a client.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use settings::InFull;
use wire::pem::read_certificates;

/// The system's authorities. Those that can't be read are left out; the others may suffice.
#[must_use]
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// TrustedAuthorities of a file, each of which can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedAuthorities(Vec<CertificateDer<'static>>);

impl TrustedAuthorities {
    /// Those of a PEM file.
    ///
    /// # Errors
    /// What is wrong with the file, by its name.
    pub fn read(file: &Path) -> Result<Self, String> {
        let found = read_certificates(file).map_err(|error| error.in_full().to_string())?;
        let mut roots = RootCertStore::empty();
        for certificate in &found {
            let added = roots.add(certificate.clone());
            added.map_err(|error| format!("{}: {}", file.display(), error.in_full()))?;
        }
        Ok(Self(found))
    }

    /// The certificates.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }

    /// TLS of a client that trusts these only.
    ///
    /// # Errors
    /// As [`config`].
    pub fn config(&self) -> Result<ClientConfig, rustls::Error> {
        let mut roots = RootCertStore::empty();
        // Each was added once already.
        roots.add_parsable_certificates(self.0.iter().cloned());
        config(roots)
    }
}

/// TLS of a client that trusts these authorities.
///
/// # Errors
/// None in practice: the provider has every protocol version.
pub fn config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    Ok(config.with_no_client_auth())
}
