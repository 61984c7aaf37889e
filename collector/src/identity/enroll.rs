//! Enrolment: the first certificate of a host, against a token.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use wire::certificate::{COLLECTOR_NAME, utc};
use wire::id::{ClientId, InvalidClientId};
use wire::message::{EnrollReply, EnrollRequest};
use wire::private_file;
use wire::token::Secret;

use super::issue::{Issuing, Renewed};
use super::peer::count_reject;
use super::record::{self, TokenRecord};
use super::{Identity, IdentityError, token};

/// Why an agent gets no certificate. The agent is told this text.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// No such token.
    #[error(
        "the collector doesn't know this token, or it was used before; get a new one by \
         `collector token`"
    )]
    UnknownToken,
    /// The token's time is over.
    #[error("the token expired at {0}; get a new one by `collector token`")]
    ExpiredToken(String),
    /// The token is for somebody else.
    #[error(
        "the token is for client {bound}, not for {asked}; it is still good: \
         agent enroll --id {bound} TOKEN"
    )]
    OtherClient {
        /// Who may use it.
        bound: String,
        /// Who wanted to.
        asked: ClientId,
    },
    /// The client is there already, and the token makes new ones only.
    #[error(
        "client {0} is there already, and this token makes new clients only; the token is still \
         good: if this is another host, give it another client.id (or: agent enroll --id NAME \
         TOKEN); if it is to take the place of {0}, get a token by `collector token --client {0} \
         --replace`"
    )]
    ClientExists(ClientId),
    /// The client id can't stand in a certificate.
    #[error(transparent)]
    ClientId(#[from] InvalidClientId),
    /// The client id is the collectors' own name.
    #[error("{COLLECTOR_NAME} is the name of collectors; set another client.id")]
    Reserved,
    /// The signing request is unsound.
    #[error("the certificate signing request can't be used: {0}")]
    Csr(rcgen::Error),
    /// The client was revoked.
    #[error("client {0} was revoked; it needs a token: `collector token --client {0} --replace`")]
    Revoked(ClientId),
    /// The present certificate is good for long.
    #[error(
        "the certificate is renewed from {due} on, when two thirds of its life are over, and the \
         collector's clock says {now}; it stays good until then: ask again"
    )]
    Early {
        /// From when on, UTC.
        due: String,
        /// The collector's clock, UTC.
        now: String,
    },
    /// Certificates come from elsewhere.
    #[error("this collector gives no certificates: set tls.ca, tls.cert and tls.key of your PKI")]
    OperatorPki,
    /// The collector can't.
    #[error("the collector can't give certificates now: see its log")]
    Failed(#[from] IdentityError),
}

impl EnrollError {
    /// The reason as the label of the metric.
    const fn reason(&self) -> &'static str {
        match self {
            Self::UnknownToken => "bad_token",
            Self::ExpiredToken(_) => "expired_token",
            Self::OtherClient { .. } => "foreign_token",
            Self::ClientExists(_) => "client_exists",
            Self::ClientId(_) | Self::Reserved => "bad_client_id",
            Self::Csr(_) => "bad_request",
            Self::Revoked(_) => "revoked",
            Self::Early { .. } => "early_renewal",
            Self::OperatorPki => "operator_pki",
            Self::Failed(_) => "failed",
        }
    }
}

impl Identity {
    /// Gives a certificate to a host that has a token, and uses the token up. A refusal leaves
    /// the token as it was. A client that is there already is only replaced by a token made for
    /// that; its earlier certificates are revoked then.
    ///
    /// # Errors
    /// [`EnrollError`] says why not; the text is meant for the host.
    pub fn enroll(
        &self,
        request: &EnrollRequest,
        now: UnixTime,
    ) -> Result<EnrollReply, EnrollError> {
        let enrolled = self.try_enroll(request, now);
        match &enrolled {
            Ok(_) => {
                metrics::counter!("netmon_collector_enrolments_total").increment(1);
                tracing::info!(client = %request.client_id, "enrolled");
            }
            Err(error) => refused(&request.client_id, error),
        }
        enrolled
    }

    fn try_enroll(
        &self,
        request: &EnrollRequest,
        now: UnixTime,
    ) -> Result<EnrollReply, EnrollError> {
        let ca = self.ca().ok_or(EnrollError::OperatorPki)?;
        let secret: [u8; 32] =
            request.secret.as_slice().try_into().map_err(|_| EnrollError::UnknownToken)?;
        let token_path = token::path(&self.tokens_dir(), Secret(secret));
        let _locked = private_file::lock(&self.dir).map_err(IdentityError::from)?;
        let token: TokenRecord = record::read(&token_path)?.ok_or(EnrollError::UnknownToken)?;
        let expires_at = UnixTime::since_unix_epoch(Duration::from_secs(token.expires_at));
        if expires_at <= now {
            return Err(EnrollError::ExpiredToken(utc(expires_at)));
        }
        let client = ClientId::new(&request.client_id)?;
        if client.as_str() == COLLECTOR_NAME {
            return Err(EnrollError::Reserved);
        }
        if let Some(bound) = token.client.filter(|bound| bound != client.as_str()) {
            return Err(EnrollError::OtherClient { bound, asked: client });
        }
        let known = self.records.knows(&client)?;
        if known && !token.replace {
            return Err(EnrollError::ClientExists(client));
        }
        let issuing = if known { Issuing::Only } else { Issuing::Next(None) };
        let Renewed { reply, .. } = self.issue(&ca, &client, &request.csr_der, issuing, now)?;
        // The certificate leaves this host only if the token was still there to be used up.
        if private_file::remove(&token_path).map_err(IdentityError::from)? {
            Ok(reply)
        } else {
            Err(EnrollError::UnknownToken)
        }
    }
}

/// Counts and logs a refusal.
pub(super) fn refused(client: &str, error: &EnrollError) {
    count_reject(error.reason());
    match error {
        EnrollError::Failed(cause) => {
            tracing::error!(client, error = %cause, "can't issue a certificate")
        }
        _ => tracing::warn!(client, %error, "refused a certificate"),
    }
}
