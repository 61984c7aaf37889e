//! Claims of clients' places, and second hosts that were refused one.

use std::fmt::Debug;

use async_trait::async_trait;
use wire::id::ClientId;

use super::error::StoreError;
use crate::store::rows::claims::{Holder, Lost, PlaceId, Question, SecondHostRecord};

/// Claims of places. What is given here is the answer of a store that one collector has for itself:
/// its own connections are all there are.
#[async_trait]
pub trait Claims: Send + Sync + Debug {
    /// Takes a client's place, unless another host has it; gives that one. `lost` has it no more. A
    /// collector that is silent keeps it for [`SILENCE`] from the first question that it left
    /// unanswered.
    ///
    /// [`SILENCE`]: crate::store::SILENCE
    async fn claim(
        &self,
        _client: &ClientId,
        _holder: &Holder,
        _lost: Option<Lost>,
    ) -> Result<Option<Holder>, StoreError> {
        Ok(None)
    }

    /// Takes a client's place again that the store has lost, unless anybody has it by now; gives that
    /// one.
    async fn claim_again(
        &self,
        _client: &ClientId,
        _holder: &Holder,
    ) -> Result<Option<Holder>, StoreError> {
        Ok(None)
    }

    /// Gives a place back, if it still is the client's.
    async fn release(&self, _client: &ClientId, _place: PlaceId) -> Result<(), StoreError> {
        Ok(())
    }

    /// Asks whether the host at a place answers; gives the question's number. `None` if the place
    /// isn't the client's any more.
    async fn ask(&self, _client: &ClientId, _place: PlaceId) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// Whether that question was answered: the host goes on. `None` as in [`Self::ask`].
    async fn is_answered(
        &self,
        _client: &ClientId,
        _place: PlaceId,
        _question: u64,
    ) -> Result<Option<bool>, StoreError> {
        Ok(None)
    }

    /// The questions to a collector that wait. Cheap enough to ask several times a second.
    async fn questions(&self, _collector: u64) -> Result<Vec<Question>, StoreError> {
        Ok(vec![])
    }

    /// Answers a question to a collector: the host goes on.
    async fn answer(&self, _collector: u64, _question: &Question) -> Result<(), StoreError> {
        Ok(())
    }

    /// The places that a collector has: clients, and the numbers of the places. `None`: those that it
    /// thinks to have.
    async fn held(&self, _collector: u64) -> Result<Option<Vec<(String, u64)>>, StoreError> {
        Ok(None)
    }

    /// Keeps that a second host was refused. It goes on from the one before, if that was told of
    /// within half an hour.
    async fn note_second_host(&self, second: &SecondHostRecord) -> Result<(), StoreError>;

    /// What was known of a client's second host holds no more.
    async fn forget_second_host(&self, client: &ClientId) -> Result<(), StoreError>;
}

/// Reading which second hosts were refused.
#[async_trait]
pub trait SecondHosts: Send + Sync + Debug {
    /// The last of each client.
    async fn second_hosts(&self) -> Result<Vec<SecondHostRecord>, StoreError>;
}
