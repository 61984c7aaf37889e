//! Identifies the other end of a connection.

use quinn::Connection;
use quinn::crypto::rustls::HandshakeData;
use rustls::pki_types::CertificateDer;
use wire::certificate::{Facts, Fingerprint, NameError, NotACertificate, Validity};
use wire::id::ClientId;

/// Close code of a refused connection; the reason is in the text.
pub const CLOSE_REFUSED: u32 = 1;

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// An agent with a certificate.
    Agent(Agent),
    /// A host that wants a certificate.
    Enrolling,
}

/// An agent, as identified by its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its client id.
    pub client: ClientId,
    /// Serial number of its certificate, hexadecimal.
    pub serial: String,
    /// How long its certificate is valid.
    pub validity: Validity,
    /// Generation of the certificate, if the own CA issued it.
    pub generation: u64,
    /// Its certificate and the intermediates up to the CA, for checking revocation.
    pub chain: Vec<Signed>,
    /// SHA-256 of its certificate.
    pub fingerprint: Fingerprint,
}

/// A certificate as a CA's revocation list names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Name of the CA that has signed it (DER).
    pub issuer: Vec<u8>,
    /// Its serial number, hexadecimal.
    pub serial: String,
}

/// Why a connection is refused after its handshake. The agent receives this text.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PeerError {
    /// No certificate.
    #[error(
        "this host has no certificate; get a token by `collector token` and run: agent enroll TOKEN"
    )]
    NoCertificate,
    /// The certificate is unreadable.
    #[error("the client's certificate can't be used")]
    Certificate(#[from] NotACertificate),
    /// The certificate names no client.
    #[error("the client's certificate can't be used")]
    Name(#[from] NameError),
    /// The client was revoked.
    #[error(
        "client {0} was revoked, or another host took its place; to go on as {0} instead of any \
         other host it needs a new certificate (own CA: `collector token --client {0} --replace`, \
         then agent enroll --id {0} TOKEN); to be measured beside it, an id of its own (`collector \
         token`, then agent enroll --id NAME TOKEN)"
    )]
    Revoked(ClientId),
    /// The certificate expired while the connection was open.
    #[error(
        "this host's certificate was valid until {ended}, and the collector's clock says {now}; check \
         the clocks of both hosts; if they are right, enrol this host again"
    )]
    Ended {
        /// Its last second, UTC.
        ended: String,
        /// The collector's clock, UTC.
        now: String,
    },
    /// The client offers none of the application protocols.
    #[error("unknown application protocol; run agent and collector of the same release")]
    Protocol,
}

impl PeerError {
    /// The reason as the label of the metric.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::Certificate(_) | Self::Name(_) => "bad_certificate",
            Self::Revoked(_) => "revoked",
            Self::Ended { .. } => "expired_certificate",
            Self::Protocol => "unknown_protocol",
        }
    }
}

/// The application protocol of a connection; empty if there is none.
pub fn protocol(connection: &Connection) -> Vec<u8> {
    let handshake = connection.handshake_data().and_then(|it| it.downcast::<HandshakeData>().ok());
    handshake.and_then(|it| it.protocol).unwrap_or_default()
}

/// Identifies the other end of a connection by its ALPN and its certificate, which TLS has checked.
///
/// # Errors
/// [`PeerError`] if it is refused.
pub fn peer(connection: &Connection) -> Result<Peer, PeerError> {
    match &*protocol(connection) {
        wire::ALPN_ENROLL => return Ok(Peer::Enrolling),
        wire::ALPN | wire::ALPN_2 | wire::ALPN_1 => {}
        _ => return Err(PeerError::Protocol),
    }
    let chain = connection
        .peer_identity()
        .and_then(|it| it.downcast::<Vec<CertificateDer<'static>>>().ok())
        .ok_or(PeerError::NoCertificate)?;
    let (own, above) = chain.split_first().ok_or(PeerError::NoCertificate)?;
    let mut agent = agent(own)?;
    for certificate in above {
        let Facts { issuer, serial, .. } = Facts::read(certificate)?;
        agent.chain.push(Signed { issuer, serial });
    }
    Ok(Peer::Agent(agent))
}

/// The agent that a certificate (DER) is for.
pub(super) fn agent(certificate: &[u8]) -> Result<Agent, PeerError> {
    let facts = Facts::read(certificate)?;
    let client = facts.client()?;
    let Facts { serial, validity, generation, issuer, fingerprint, .. } = facts;
    let chain = vec![Signed { issuer, serial: serial.clone() }];
    Ok(Agent { client, serial, validity, generation, chain, fingerprint })
}

/// Counts a peer that was refused.
pub(super) fn count_reject(reason: &'static str) {
    metrics::counter!("netmon_collector_rejects_total", "reason" => reason).increment(1);
}
