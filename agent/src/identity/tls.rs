//! The agent's QUIC: TLS 1.3 only, small windows, the collector always verified.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, IdleTimeout, TransportConfig, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
};
use rustls::{
    CertificateError, ConfigBuilder, DigitallySignedStruct, Error, PeerMisbehaved, RootCertStore,
    SignatureScheme, WantsVerifier,
};
use settings::InFull;
use wire::certificate::Fingerprint;

/// Interval of keep-alives.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How long the collector may be silent, milliseconds.
const IDLE_MS: u32 = 15_000;

/// What a stream and the connection may have in flight towards the agent, bytes: the collector
/// sends short messages only.
const RECEIVE_WINDOW: u32 = 256 << 10;

/// QUIC send window towards the collector for streams, bytes.
const SEND_WINDOW: u64 = 1 << 20;

/// Datagrams waiting to be sent, bytes. The oldest are dropped, and the delivery window sends them
/// again.
const DATAGRAM_BUFFER: usize = 64 << 10;

/// Streams that the collector may open, for notices.
const NOTICES: u32 = 1;

/// Connects by [`wire::ALPN`], or by an earlier protocol to an older collector. It has a certificate, and
/// the collector's must be of `roots` and not on a list in `revoked`. A CA without a list has revoked none.
pub(super) fn client_config(
    roots: Arc<RootCertStore>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, Error> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider())
        .with_crls(revoked)
        .allow_unknown_revocation_status()
        .build()
        .map_err(|error| Error::General(error.in_full().to_string()))?;
    let tls = builder()?.with_webpki_verifier(verifier).with_client_auth_cert(chain, key)?;
    // In the order of preference.
    quic(tls, &[wire::ALPN, wire::ALPN_2, wire::ALPN_1])
}

/// Connects by [`wire::ALPN_ENROLL`] to a collector of the CA with a fingerprint. `refusal` gets
/// the reason if it is another.
pub(super) fn enrolling_config(
    ca: Fingerprint,
    refusal: Arc<OnceLock<String>>,
) -> Result<ClientConfig, Error> {
    let verifier = PinnedCa { ca, refusal, provider: provider() };
    let tls = builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    quic(tls, &[wire::ALPN_ENROLL])
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder() -> Result<ConfigBuilder<rustls::ClientConfig, WantsVerifier>, Error> {
    rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
}

fn quic(mut tls: rustls::ClientConfig, alpn: &[&[u8]]) -> Result<ClientConfig, Error> {
    tls.alpn_protocols = alpn.iter().map(|it| it.to_vec()).collect();
    tls.resumption = Resumption::disabled();
    tls.enable_early_data = false;
    let tls = QuicClientConfig::try_from(tls)
        .map_err(|error| Error::General(error.in_full().to_string()))?;
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport()));
    Ok(config)
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_send_buffer_size(DATAGRAM_BUFFER)
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(NOTICES))
        // Older kernels hide UDP super-packets from taps, so the agent would miss its own traffic.
        .enable_segmentation_offload(false);
    transport
}

/// Accepts a certificate that is signed by the CA with a fingerprint, which the collector sends
/// along, and by no other.
#[derive(Debug)]
struct PinnedCa {
    ca: Fingerprint,
    refusal: Arc<OnceLock<String>>,
    provider: Arc<CryptoProvider>,
}

impl PinnedCa {
    fn refuse(&self, reason: String, error: Error) -> Error {
        // Keep the first reason.
        let _already = self.refusal.set(reason);
        error
    }
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(ca) = intermediates.iter().find(|it| Fingerprint::of(it) == self.ca) else {
            let reason = format!("its certificate is not of the token's CA ({})", self.ca);
            return Err(self.refuse(reason, CertificateError::UnknownIssuer.into()));
        };
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let provider = self.provider.clone();
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::General(error.in_full().to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| match error {
                // It made the token; errors about its dates are reported where all such errors are.
                Error::InvalidCertificate(
                    CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYetContext { .. },
                ) => error,
                error => self.refuse(error.in_full().to_string(), error),
            })
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
