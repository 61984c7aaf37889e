//! How a host asks for its certificate.

use std::fmt;

use rkyv::{Archive, Deserialize, Serialize};

/// A host that has a token asks for its certificate (ALPN [`crate::ALPN_ENROLL`]).
#[derive(Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Enroll {
    /// The secret of the token.
    pub secret: Vec<u8>,
    /// The client id asked for; may be empty if it isn't chosen.
    pub client_id: String,
    /// An operator of the host chose the id: it gets this one or none. Otherwise it is the host's
    /// name, and a token that was made for an id gives that one.
    pub chosen: bool,
    /// A certificate signing request (PKCS #10, DER); its key stays on the host.
    pub csr_der: Vec<u8>,
}

/// [`Enroll`] as agents said it that didn't know whether the id was chosen: it counts as chosen.
#[derive(Clone, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// The one-time secret of the token.
    pub secret: Vec<u8>,
    /// The client id asked for.
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
    /// Without the secret: what was sent to the wrong place may be logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enroll").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for EnrollRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Enroll::from(self.clone()).fmt(f)
    }
}
