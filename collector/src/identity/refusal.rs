//! Why a host gets no certificate.

use settings::InFull;
use wire::certificate::COLLECTOR_NAME;
use wire::id::{ClientId, InvalidClientId};

use super::error::IdentityError;
use super::peer::count_reject;
use crate::audit::AuditRecord;

/// Why an agent gets no certificate. The agent receives [`EnrollError::for_agent`].
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// No such token.
    #[error(
        "the collector doesn't know this token, or it was used before or cancelled; get a new one \
         by `collector token`"
    )]
    UnknownToken,
    /// The token has expired.
    #[error("the token expired at {0}; get a new one by `collector token`")]
    ExpiredToken(String),
    /// The token is for another client.
    #[error(
        "the token is for client {bound}, not for {asked}; it is still good: \
         agent enroll --id {bound} TOKEN"
    )]
    OtherClient {
        /// The client that may use it.
        bound: String,
        /// The client that wanted to.
        asked: ClientId,
    },
    /// The token is for other clients.
    #[error(
        "the token is for clients {matching}, not for {asked}; it is still good: agent enroll \
         --id NAME TOKEN, with a name like that"
    )]
    NoMatch {
        /// The clients that may use it.
        matching: String,
        /// The client that wanted to.
        asked: ClientId,
    },
    /// The host's name is not a valid client id, and the token names none.
    #[error(
        "this host's name can't be a client id, and the token is for any; it is still good: agent \
         enroll --id NAME TOKEN"
    )]
    Nameless,
    /// Uses of tokens can't be counted now.
    #[error(
        "the collector's store is out of reach, so it can't count uses of tokens: see its log; \
         try the same token again later; if it is used up then, get a new one"
    )]
    Uncounted,
    /// The client exists, and the token is only for new ones.
    #[error(
        "client {0} is there already, and this token makes new clients only; the token is still \
         valid: if this is another host, give it another client.id (or: agent enroll --id NAME \
         TOKEN); if it should take over {0}, get a token by `collector token --client {0} \
         --replace`"
    )]
    ClientExists(ClientId),
    /// The client id is not allowed in a certificate.
    #[error(transparent)]
    ClientId(#[from] InvalidClientId),
    /// The client id is reserved for collectors.
    #[error("{COLLECTOR_NAME} is the name of collectors; set another client.id")]
    Reserved,
    /// The signing request is invalid.
    #[error("the certificate signing request can't be used")]
    Csr(#[source] rcgen::Error),
    /// The client was revoked.
    #[error("client {0} was revoked; it needs a token: `collector token --client {0} --replace`")]
    Revoked(ClientId),
    /// The present certificate isn't due for renewal.
    #[error(
        "the certificate can be renewed from {due} on, after two thirds of its life, and the \
         collector's clock says {now}; it stays valid: ask again later"
    )]
    Early {
        /// Due time, UTC.
        due: String,
        /// The collector's clock, UTC.
        now: String,
    },
    /// This collector issues no certificates.
    #[error("this collector gives no certificates: set tls.ca, tls.cert and tls.key of your PKI")]
    OperatorPki,
    /// The collector's identity fails. The cause names files of the collector: it is for its log only.
    #[error("the collector can't give certificates now: see its log")]
    Failed(#[from] IdentityError),
    /// The collector failed.
    #[error("the collector failed: see its log")]
    Broken,
}

impl EnrollError {
    /// What the agent receives: everything but the causes of the collector's own failures.
    #[must_use]
    pub fn for_agent(&self) -> String {
        match self {
            Self::Failed(_) => self.to_string(),
            other => other.in_full().to_string(),
        }
    }

    /// The reason as the label of the metric.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::UnknownToken => "bad_token",
            Self::ExpiredToken(_) => "expired_token",
            Self::OtherClient { .. } | Self::NoMatch { .. } => "foreign_token",
            Self::ClientExists(_) => "client_exists",
            Self::ClientId(_) | Self::Reserved | Self::Nameless => "bad_client_id",
            Self::Csr(_) => "bad_request",
            Self::Revoked(_) => "revoked",
            Self::Early { .. } => "early_renewal",
            Self::OperatorPki => "operator_pki",
            Self::Uncounted => "uncounted_token",
            Self::Failed(_) | Self::Broken => "failed",
        }
    }
}

/// Counts a refusal, and returns its record for the audit log.
pub(super) fn refused(error: &EnrollError, record: AuditRecord) -> AuditRecord {
    count_reject(error.reason());
    if let EnrollError::Failed(cause) = error {
        tracing::error!(client = record.client, error = %cause.in_full(), "can't issue a certificate");
    }
    let (reason, detail) = (Some(error.reason().to_owned()), Some(error.in_full().to_string()));
    AuditRecord { reason, detail, ..record }
}
