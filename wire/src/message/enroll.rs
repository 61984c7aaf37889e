//! Messages by which a host requests its certificate.

use std::fmt;

use rkyv::{Archive, Deserialize, Serialize};

/// A host with a token requests its certificate (ALPN [`crate::ALPN_ENROLL`]).
#[derive(Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Enroll {
    /// The secret of the token.
    pub secret: Vec<u8>,
    /// The requested client id; may be empty if it isn't chosen.
    pub client_id: String,
    /// True if the host's operator chose the id: the host gets this id or none. Otherwise it is the
    /// host's name, and a token made for an id overrides it.
    pub chosen: bool,
    /// A certificate signing request (PKCS #10, DER); its key stays on the host.
    pub csr_der: Vec<u8>,
}

/// [`Enroll`] from agents that don't report whether the id was chosen: it counts as chosen.
#[derive(Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// The one-time secret of the token.
    pub secret: Vec<u8>,
    /// The requested client id.
    pub client_id: String,
    /// A certificate signing request (PKCS #10, DER); its key stays on the host.
    pub csr_der: Vec<u8>,
}

impl From<EnrollRequest> for Enroll {
    fn from(EnrollRequest { secret, client_id, csr_der }: EnrollRequest) -> Self {
        Self { secret, client_id, chosen: true, csr_der }
    }
}

impl fmt::Debug for Enroll {
    /// Omits the secret: a message sent to the wrong place may be logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enroll").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for EnrollRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Enroll::from(self.clone()).fmt(f)
    }
}
