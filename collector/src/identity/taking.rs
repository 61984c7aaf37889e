//! Takes what an enrolment needs from all collectors of a store: a use of its token, and the client id.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::pki_types::UnixTime;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wire::id::ClientId;
use wire::token::id;

use super::refusal::EnrollError;
use super::token::{TokenUse, TokenUses, UsesError};

/// Time limit for the store; the agent waits 10 s in total.
const ANSWERED: Duration = Duration::from_secs(4);

/// The ids of clients at all collectors of a store.
#[async_trait]
pub trait ClientIds: Send + Sync + Debug {
    /// Takes an id for a host that enrols, atomically. False if a client has it: one that enrolled or
    /// connected at any collector of the store, and was not forgotten since.
    async fn take_id(&self, client: &ClientId, now: UnixTime) -> Result<bool, UsesError>;

    /// Gives back an id whose enrolment failed.
    async fn give_back_id(&self, client: &ClientId) -> Result<(), UsesError>;

    /// True if a client has this id.
    async fn has_id(&self, client: &ClientId) -> Result<bool, UsesError>;
}

/// Enrolment data shared by the collectors of a store.
pub trait EnrolmentStore: TokenUses + ClientIds {}

impl<T: TokenUses + ClientIds> EnrolmentStore for T {}

/// What one enrolment takes.
#[derive(Debug, Clone)]
pub(super) struct Taking {
    pub shared: Arc<dyn EnrolmentStore>,
    pub token: TokenUse,
    pub client: ClientId,
}

/// What was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TakenUse {
    /// Nothing; all uses of the token are taken.
    Nothing,
    /// A use of the token; a client already has the id.
    Use,
    /// A use of the token and the id.
    UseAndId,
}

impl Taking {
    /// Takes what is available within the time limit, and gives back what is taken too late. A crash
    /// before the certificate is made costs the use; the id is then available only with a token that
    /// replaces its client.
    pub async fn take(&self) -> Result<TakenUse, EnrollError> {
        let (answer, answered) = oneshot::channel();
        let taking = self.clone();
        tokio::spawn(async move {
            if let Err(Ok(taken)) = answer.send(taking.ask().await) {
                taking.give_back(taken).await;
            }
        });
        match timeout(ANSWERED, answered).await {
            Ok(Ok(Ok(taken))) => Ok(taken),
            Ok(Ok(Err(error))) => {
                tracing::error!(error, "uses of tokens can't be counted");
                Err(EnrollError::Uncounted)
            }
            Ok(Err(_)) => Err(EnrollError::Broken),
            Err(_) => {
                tracing::error!("uses of tokens can't be counted: no answer within {ANSWERED:?}");
                Err(EnrollError::Uncounted)
            }
        }
    }

    async fn ask(&self) -> Result<TakenUse, UsesError> {
        if !self.shared.take(&self.token).await? {
            return Ok(TakenUse::Nothing);
        }
        match self.shared.take_id(&self.client, self.token.now).await {
            Ok(true) => Ok(TakenUse::UseAndId),
            Ok(false) => Ok(TakenUse::Use),
            Err(error) => {
                self.give_back(TakenUse::Use).await;
                Err(error)
            }
        }
    }

    /// Gives back what an enrolment took in vain.
    pub async fn give_back(&self, taken: TakenUse) {
        let token = id(&self.token.token);
        if taken != TakenUse::Nothing
            && let Err(error) = self.shared.give_back(&self.token.token).await
        {
            tracing::warn!(token, error, "can't give back the use of a token");
        }
        if taken == TakenUse::UseAndId
            && let Err(error) = self.shared.give_back_id(&self.client).await
        {
            let client = self.client.as_str();
            tracing::warn!(
                client,
                error,
                "the id needs a token with --replace, though nobody has it"
            );
        }
    }
}
