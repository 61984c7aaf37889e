//! TLS of this program as a client.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// The system's authorities. Those that can't be read are left out; the others may suffice.
#[must_use]
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
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
