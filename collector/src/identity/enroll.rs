//! Enrolment: gives a host its first certificate for a token.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use wire::certificate::{COLLECTOR_NAME, utc};
use wire::id::ClientId;
use wire::message::{Enroll, EnrollReply};
use wire::private_file;
use wire::token::{TokenSecret, id};

use super::ca;
use super::error::IdentityError;
use super::issue::{Cas, Issuing, Renewed};
use super::own::Identity;
use super::record;
use super::refusal::{EnrollError, refused};
use super::taking::{EnrolmentStore, TakenUse, Taking};
use super::token::{self, ClientGlob, TokenRecord};
use crate::audit::{self, AuditEvent, AuditRecord};

/// A request allowed by its token.
#[derive(Debug)]
struct Allowed {
    client: ClientId,
    /// The token's file.
    digest: String,
    token: TokenRecord,
}

/// A certificate just issued.
struct Given {
    reply: EnrollReply,
    client: ClientId,
    /// It replaced another host.
    replaced: bool,
    /// Remaining uses of the token.
    uses: u32,
}

impl Identity {
    /// Gives a host with a token its certificate. Takes one use of the token and the client id, which
    /// are `shared` by all collectors of the store. A refusal leaves the token unchanged. An existing
    /// client, here or at another collector of the store, is replaced only by a token made for that;
    /// this revokes its earlier certificates.
    ///
    /// The use is counted before the certificate is made: a crash in between costs the use, but
    /// never gives two certificates for one.
    ///
    /// # Errors
    /// [`EnrollError`] gives the reason, for the host.
    pub async fn enroll(
        self: &Arc<Self>,
        request: Enroll,
        cas: Cas,
        from: IpAddr,
        shared: &Arc<dyn EnrolmentStore>,
        now: UnixTime,
    ) -> Result<EnrollReply, EnrollError> {
        let digest = digest(&request).unwrap_or_default();
        let of = |event, client: &str| AuditRecord {
            address: Some(from.to_canonical()),
            token: Some(id(&digest).to_owned()),
            ..AuditRecord::of(event, client)
        };
        let asked = request.client_id.clone();
        match self.try_enroll(request, cas, shared, now).await {
            Ok(Given { reply, client, replaced, uses }) => {
                metrics::counter!("netmon_collector_enrolments_total").increment(1);
                if replaced {
                    audit::log(&of(AuditEvent::ClientReplaced, client.as_str()));
                }
                let enrolled = of(AuditEvent::Enrolled, client.as_str());
                audit::log(&AuditRecord { uses: Some(uses), ..enrolled });
                Ok(reply)
            }
            Err(error) => {
                audit::log(&refused(&error, of(AuditEvent::EnrolmentRefused, &asked)));
                Err(error)
            }
        }
    }

    async fn try_enroll(
        self: &Arc<Self>,
        request: Enroll,
        cas: Cas,
        shared: &Arc<dyn EnrolmentStore>,
        now: UnixTime,
    ) -> Result<Given, EnrollError> {
        let request = Arc::new(request);
        let (identity, asked) = (self.clone(), request.clone());
        let allowed = blocking(move || identity.examine(&asked, now)).await?;
        let taking = Taking {
            shared: shared.clone(),
            token: allowed.token.usage(&allowed.digest, now),
            client: allowed.client.clone(),
        };
        let taken = taking.take().await?;
        let known = match taken {
            TakenUse::Nothing => return Err(EnrollError::UnknownToken),
            TakenUse::Use => true,
            TakenUse::UseAndId => false,
        };
        let identity = self.clone();
        let given = blocking(move || identity.give(&allowed, &request, cas, known, now)).await;
        if given.is_err() {
            taking.give_back(taken).await;
        }
        given
    }

    /// Checks that a request is valid and that its token allows it.
    fn examine(&self, request: &Enroll, now: UnixTime) -> Result<Allowed, EnrollError> {
        self.ca().ok_or(EnrollError::OperatorPki)?;
        let digest = digest(request).ok_or(EnrollError::UnknownToken)?;
        let token = self.token(&digest)?;
        let expires_at = UnixTime::since_unix_epoch(Duration::from_secs(token.expires_at));
        if expires_at <= now {
            return Err(EnrollError::ExpiredToken(utc(expires_at)));
        }
        let asked = match &token.client {
            Some(bound) if !request.chosen => bound,
            _ if !request.chosen && request.client_id.is_empty() => {
                return Err(EnrollError::Nameless);
            }
            _ => &request.client_id,
        };
        let client = ClientId::new(asked)?;
        if client.as_str() == COLLECTOR_NAME {
            return Err(EnrollError::Reserved);
        }
        if let Some(bound) = token.client.as_ref().filter(|bound| *bound != client.as_str()) {
            return Err(EnrollError::OtherClient { bound: bound.clone(), asked: client });
        }
        if let Some(matching) = &token.matching
            && !matching.parse::<ClientGlob>().is_ok_and(|glob| glob.matches(&client))
        {
            return Err(EnrollError::NoMatch { matching: matching.clone(), asked: client });
        }
        if self.records.knows(&client)? && !token.replace {
            return Err(EnrollError::ClientExists(client));
        }
        ca::read_csr(&request.csr_der).map_err(EnrollError::Csr)?;
        Ok(Allowed { client, digest, token })
    }

    /// Issues the certificate of a request whose use was taken, unless another request was faster.
    /// `known`: a collector of the store has a client of this id.
    fn give(
        &self,
        Allowed { client, digest, .. }: &Allowed,
        request: &Enroll,
        cas: Cas,
        known: bool,
        now: UnixTime,
    ) -> Result<Given, EnrollError> {
        let ca = self.ca().ok_or(EnrollError::OperatorPki)?;
        let _locked = private_file::lock(&self.dir).map_err(IdentityError::from)?;
        let mut token = self.token(digest)?;
        let known = known || self.records.knows(client)?;
        if known && !token.replace {
            return Err(EnrollError::ClientExists(client.clone()));
        }
        let issuing = if known { Issuing::Only } else { Issuing::Next(None) };
        let Renewed { reply, .. } = self.issue(&ca, client, &request.csr_der, issuing, cas, now)?;
        token.used += 1;
        let (path, uses) = (token::path(&self.tokens_dir(), digest), token.uses - token.used);
        // The certificate may leave this host only after this was written.
        if uses > 0 {
            record::write(&path, &token)?;
        } else if !private_file::remove(&path).map_err(IdentityError::from)? {
            return Err(EnrollError::UnknownToken);
        }
        Ok(Given { reply, client: client.clone(), replaced: known, uses })
    }

    /// The token with this digest, unless it is used up.
    fn token(&self, digest: &str) -> Result<TokenRecord, EnrollError> {
        let token = record::read::<TokenRecord>(&token::path(&self.tokens_dir(), digest))?;
        token.filter(|token| token.used < token.uses).ok_or(EnrollError::UnknownToken)
    }
}

/// Digest of the secret in a request; `None` without one.
fn digest(request: &Enroll) -> Option<String> {
    let secret = request.secret.as_slice().try_into().ok()?;
    Some(TokenSecret(secret).digest())
}

/// Runs a blocking function.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EnrollError> + Send + 'static,
) -> Result<T, EnrollError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(EnrollError::Broken))
}
