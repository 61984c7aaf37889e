//! An enrolment's claims on what all collectors of a store share: a use of its token, and the
//! client id.

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

/// How long the store may take to answer: the agent waits for 10 s in all.
const ANSWERED: Duration = Duration::from_secs(4);

/// The ids that clients have, at all collectors that share a store.
#[async_trait]
pub trait ClientIds: Send + Sync + Debug {
    /// Takes an id for a host that enrols, atomically. False if a client has it: one that enrolled or
    /// connected at any collector of the store, and was not forgotten since.
    async fn take_id(&self, client: &ClientId, now: UnixTime) -> Result<bool, UsesError>;

    /// Gives an id back under which no host enrolled in the end.
    async fn give_back_id(&self, client: &ClientId) -> Result<(), UsesError>;

    /// Whether a client has an id.
    async fn has_id(&self, client: &ClientId) -> Result<bool, UsesError>;
}

/// What collectors that share a store know together of enrolments.
pub trait EnrolmentStore: TokenUses + ClientIds {}

impl<T: TokenUses + ClientIds> EnrolmentStore for T {}

/// What one enrolment takes.
#[derive(Debug, Clone)]
pub(super) struct Taking {
    pub shared: Arc<dyn EnrolmentStore>,
    pub token: TokenUse,
    pub client: ClientId,
}

/// What could be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing: all uses of the token are taken.
    Nothing,
    /// A use of the token; the id is a client's.
    Use,
    /// A use of the token and the id.
    UseAndId,
}

impl Taking {
    /// Takes all that is there, in time. What is taken too late is given back. A crash before the
    /// certificate is made costs the use, and the id is then only got by a token to replace its client.
    pub async fn take(&self) -> Result<Taken, EnrollError> {
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

    async fn ask(&self) -> Result<Taken, UsesError> {
        if !self.shared.take(&self.token).await? {
            return Ok(Taken::Nothing);
        }
        match self.shared.take_id(&self.client, self.token.now).await {
            Ok(true) => Ok(Taken::UseAndId),
            Ok(false) => Ok(Taken::Use),
            Err(error) => {
                self.give_back(Taken::Use).await;
                Err(error)
            }
        }
    }

    /// Gives back what came to nothing.
    pub async fn give_back(&self, taken: Taken) {
        let token = id(&self.token.token);
        if taken != Taken::Nothing
            && let Err(error) = self.shared.give_back(&self.token.token).await
        {
            tracing::warn!(token, error, "can't give back the use of a token");
        }
        if taken == Taken::UseAndId
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
