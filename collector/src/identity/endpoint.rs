//! The collector's QUIC: TLS 1.3, small windows, keys that survive a restart.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;
use ring::{hkdf, hmac};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use settings::InFull;
use wire::advice::Advised;
use wire::certificate::{COLLECTOR_NAME, Facts, RevocationList};
use wire::pem::{self, TlsFiles};
use wire::private_file;

use super::ca::Ca;
use super::error::IdentityError;

/// File of the collector's certificate and key, if it uses its own CA.
const SERVER: &str = "server.pem";

/// File of the key from which the endpoint's keys are made.
const RESET: &str = "reset.key";

const RESET_LEN: usize = 64;

/// How long a connection may be silent, milliseconds; agents send something every 5 s.
const IDLE_MS: u32 = 30_000;

/// QUIC receive window of a connection before the welcome, bytes.
const RECEIVE_WINDOW: u32 = 128 << 10;

/// QUIC receive window of one stream, bytes.
const STREAM_WINDOW: u32 = 256 << 10;

/// Streams that an agent may open: the control stream and an exchange beside it. Streams for backfill
/// are allowed only once it is served.
const BIDI_STREAMS: u32 = 4;
const UNI_STREAMS: u32 = 0;

/// Unread datagrams of one connection, bytes.
const DATAGRAM_BUFFER: usize = 256 << 10;

/// Connections waiting to be accepted, and data buffered for one and for all of them, bytes.
const INCOMING: (usize, u64, u64) = (4096, 64 << 10, 16 << 20);

/// Keys that must survive a restart of the collector.
#[derive(Clone)]
pub(super) struct EndpointKeys([u8; RESET_LEN]);

impl std::fmt::Debug for EndpointKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EndpointKeys(..)")
    }
}

impl EndpointKeys {
    /// Reads the keys in `dir`, or creates them. The directory must be locked.
    pub fn open(dir: &Path) -> Result<Self, IdentityError> {
        let path = dir.join(RESET);
        match private_file::read(&path) {
            Err(error) if error.is_absent() => {
                let mut key = [0; RESET_LEN];
                getrandom::fill(&mut key)?;
                private_file::write(&path, &key)?;
                Ok(Self(key))
            }
            read => read?.try_into().map(Self).map_err(|bytes: Vec<u8>| IdentityError::Damaged {
                path,
                error: Advised::new(
                    format!("{} bytes instead of {RESET_LEN}", bytes.len()),
                    "remove it; a new one is made at the next start",
                ),
            }),
        }
    }

    /// The endpoint's config: connections of an earlier run are reset at once.
    pub fn endpoint_config(&self) -> EndpointConfig {
        let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &self.0)));
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        let cid_key = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(cid_key)));
        // Thousands of agents may need a reset after a restart.
        config.min_reset_interval(Duration::from_millis(1));
        config
    }
}

/// Serial numbers of revoked certificates, by their CA (its name in DER).
pub(super) type Revoked = HashMap<Vec<u8>, HashSet<String>>;

/// The collector's certificate, and the CAs it accepts.
#[derive(Debug)]
pub(super) struct ServerTls {
    chain: Vec<CertificateDer<'static>>,
    key: rustls::pki_types::PrivateKeyDer<'static>,
    clients: Arc<RootCertStore>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    paths: (PathBuf, PathBuf),
}

impl ServerTls {
    /// The collector's certificate from its own CA, renewed if it is due. The directory must be locked.
    pub fn of_own_ca(dir: &Path, ca: &Ca, now: UnixTime) -> Result<Self, IdentityError> {
        let path = dir.join(SERVER);
        let sound = private_file::exists(&path)? && {
            let found = pem::read_certificates(&path)?;
            let facts = found.first().map(|certificate| Facts::read(certificate));
            // A certificate that is not valid yet was made while the clock was wrong.
            let timely =
                |facts: &Facts| facts.validity.covers(now) && !facts.validity.renew_due(now);
            let good = |facts: Facts| timely(&facts) && ca.has_signed(&facts);
            facts.is_some_and(|facts| facts.is_ok_and(good))
        };
        if !sound {
            private_file::write(&path, ca.make_server(COLLECTOR_NAME, now)?.as_bytes())?;
        }
        let mut chain = pem::read_certificates(&path)?;
        chain.extend(ca.chain(now));
        let clients = roots(&path, ca.trusted(now))?;
        let key = pem::read_key(&path)?;
        if let Some(end) = ca.ends() {
            tell_end("netmon_collector_ca_expiry_timestamp_seconds", end);
        }
        Ok(Self { chain, key, clients, revoked: vec![], paths: (path.clone(), path) })
    }

    /// The certificate and CA set by the operator.
    pub fn of_files(files: &TlsFiles) -> Result<Self, IdentityError> {
        Ok(Self {
            chain: pem::read_certificates(&files.cert)?,
            key: pem::read_key(&files.key)?,
            clients: roots(&files.ca, pem::read_certificates(&files.ca)?)?,
            revoked: files.crl.as_deref().map_or(Ok(vec![]), pem::read_revocation_lists)?,
            paths: (files.cert.clone(), files.key.clone()),
        })
    }

    /// Certificates revoked by the operator's CAs: serial numbers by CA.
    pub fn revoked(&self) -> Revoked {
        let lists = self.revoked.iter().filter_map(|it| RevocationList::read(it).ok());
        let mut revoked = Revoked::new();
        for RevocationList { issuer, serials, .. } in lists {
            revoked.entry(issuer).or_default().extend(serials);
        }
        revoked
    }

    /// The config for accepting connections.
    pub fn server_config(self, keys: &EndpointKeys) -> Result<ServerConfig, IdentityError> {
        self.tell_expiry();
        let (certificate, key) = self.paths;
        let unusable = |error| IdentityError::Unusable { certificate, key, error };
        let tls = server_tls(self.chain, self.key, self.clients, self.revoked).map_err(unusable)?;
        let token_key = hkdf::Salt::new(hkdf::HKDF_SHA256, b"address validation").extract(&keys.0);
        let mut config = ServerConfig::new(Arc::new(tls), Arc::new(token_key));
        config.transport_config(Arc::new(transport()));
        let (connections, each, total) = INCOMING;
        config.max_incoming(connections);
        config.incoming_buffer_size(each).incoming_buffer_size_total(total);
        Ok(config)
    }

    /// Reports to Prometheus when the certificate expires.
    fn tell_expiry(&self) {
        if let Some(Ok(facts)) = self.chain.first().map(|it| Facts::read(it)) {
            let end = facts.validity.not_after;
            tell_end("netmon_collector_certificate_expiry_timestamp_seconds", end);
        }
    }
}

fn tell_end(gauge: &'static str, end: UnixTime) {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    metrics::gauge!(gauge).set(end.as_secs() as f64);
}

fn roots(
    path: &Path,
    certificates: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<Arc<RootCertStore>, IdentityError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| IdentityError::Ca { path: path.to_owned(), error })?;
    }
    Ok(Arc::new(roots))
}

/// Lets a client without a certificate pass the handshake and sends it a text afterwards, because TLS
/// could only send a number.
fn server_tls(
    chain: Vec<CertificateDer<'static>>,
    key: rustls::pki_types::PrivateKeyDer<'static>,
    clients: Arc<RootCertStore>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
) -> Result<QuicServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(clients, provider.clone())
        .with_crls(revoked)
        // A CA without a revocation list has revoked nothing.
        .allow_unknown_revocation_status()
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.in_full().to_string()))?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    let known = [wire::ALPN, wire::ALPN_2, wire::ALPN_1, wire::ALPN_ENROLL];
    tls.alpn_protocols = known.map(<[u8]>::to_vec).into();
    // A resumed session would skip the check of the client's certificate.
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    QuicServerConfig::try_from(tls)
        .map_err(|error| rustls::Error::General(error.in_full().to_string()))
}

/// Quinn's defaults would let one connection take 250 MB.
fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .send_window(u64::from(STREAM_WINDOW))
        .max_concurrent_bidi_streams(VarInt::from_u32(BIDI_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))))
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER);
    transport
}
